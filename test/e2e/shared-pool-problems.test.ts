import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { type PoolDatabase, PoolProblem } from "../../src/platform/shared-pool/types.ts";
import { anId } from "../support/ids.ts";
import { aRow, KEYS, NOTHING, POOL_ID, startPool, type TestPool } from "../support/pool-database.ts";
import { POSTGRES_PASSWORD, startPostgres, type TestPostgres } from "../support/postgres.ts";
import { wide } from "../support/tiers.ts";

let server: TestPostgres;
let pool: TestPool;

beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server.close());
beforeEach(async () => {
	pool = await startPool(server);
});
afterEach(() => pool.end());

/** The problem that an act ends with: one sentence, which holds no password. */
async function problemOf(act: Promise<unknown>): Promise<Pick<PoolProblem, "kind" | "message">> {
	const error = await act.then(
		() => undefined,
		(reason: unknown) => reason,
	);
	if (!(error instanceof PoolProblem)) throw new Error(`no problem, but ${String(error)}`);
	const { kind, message } = error;
	expect(message).toMatch(/^[A-Z0-9].*\.$/);
	expect(JSON.stringify([message, error.stack, Object.getOwnPropertyNames(error)])).not.toMatch(
		new RegExp(`${POSTGRES_PASSWORD}|another-secret|parameters|hash-1`),
	);
	return { kind, message };
}

const like = (kind: string, part: string) => ({ kind, message: expect.stringContaining(part) });

/** The same database for a role of its own, which may log in and no more. */
async function asRole(name: string, options = ""): Promise<string> {
	await pool.query(`create role ${name} login password 'another-secret' ${options}`);
	return pool.url.replace(/\/\/[^@]*@/, `//${name}:another-secret@`);
}

describe("a database that is not reached", () => {
	const times = { connectMs: 400, statementMs: 1000 };

	it("is named with its host, whether its port is refused, its host is unknown or it says nothing", async () => {
		const held: Socket[] = [];
		const silent = createServer((socket) => void held.push(socket));
		await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
		const address = silent.address();
		const port = typeof address === "object" && address !== null ? address.port : 0;
		const at = (url: string) => problemOf(pool.open({ url, times }).head());
		expect(await at("postgres://pool:another-secret@127.0.0.1:1/pi")).toEqual({
			kind: "away",
			message:
				"The connection to the database at 127.0.0.1:1/pi was refused: check that it runs, and the host and port of its URL.",
		});
		// No name server is asked for a name of this length.
		const unknown = `${"x".repeat(64)}.example`;
		expect(await at(`postgres://pool:another-secret@${unknown}/pi`)).toEqual(
			like("away", `The host of the database at ${unknown}:5432/pi is not known`),
		);
		expect(await at(`postgres://pool:another-secret@127.0.0.1:${port}/pi?sslmode=disable`)).toEqual(
			like("away", "did not answer in time"),
		);
		expect(await at(`postgres://pool:another-secret@127.0.0.1:${port}/pi?sslmode=require`)).toEqual(
			like("away", "did not answer in time"),
		);
		expect(await at("postgres:///pi?host=/nowhere")).toEqual(
			like("away", "There is no socket of the database at /nowhere:5432/pi"),
		);
		for (const socket of held) socket.destroy();
		await new Promise((done) => silent.close(done));
	});

	it("is found at the second of two hosts, and by its socket", async () => {
		const second = pool.url.replace("@127.0.0.1:", "@127.0.0.1:1,127.0.0.1:");
		expect(await pool.open({ url: second }).head()).toBeDefined();
		const database = new URL(pool.url).pathname.slice(1);
		const login = `user=postgres&password=${POSTGRES_PASSWORD}`;
		const socket = `postgres:///${database}?host=${encodeURIComponent(server.folder)}&port=${server.port}&${login}`;
		expect(await pool.open({ url: socket }).head()).toBeDefined();
	});
});

describe("a database that refuses", () => {
	it("a login, a database that is not there, or one connection more, says what to correct", async () => {
		const wrong = pool.url.replace(POSTGRES_PASSWORD, "another-secret");
		expect(await problemOf(pool.open({ url: wrong }).head())).toEqual(
			like("refused", "refused the user or its password: check both in the URL."),
		);
		const missing = pool.url.replace(/\/pool_\d+/, "/missing");
		expect(await problemOf(pool.open({ url: missing }).head())).toEqual(
			like("bad-url", "There is no database 127.0.0.1:"),
		);
		const url = await asRole("limited", "connection limit 1");
		const [first, second] = [pool.open({ url }), pool.open({ url })];
		await first.head().catch(() => undefined);
		expect(await problemOf(second.head())).toEqual(like("away", "has no connection free"));
	});

	it("takes a role that owns the schema, and names the right that another one lacks", async () => {
		const empty = await server.database();
		const urlOf = (name: string) => empty.replace(/\/\/[^@]*@/, `//${name}:another-secret@`);
		await asRole("reader");
		await asRole("owner");
		await server.query(empty, "create schema pi_multicodex authorization owner");
		const owner = pool.open({ url: urlOf("owner") });
		const reader = pool.open({ url: urlOf("reader") });
		const lacks = like("no-rights", "has to own the schema pi_multicodex");
		expect(await problemOf(reader.migrate())).toEqual(lacks);
		await owner.migrate();
		await owner.create({ id: "pool-1", name: "mine", keeperKeyId: "k", runnerKeyId: "r" });
		expect(await owner.change(aRow(), "me")).toBe(1);
		expect(await owner.claim(anId("a1"), "hash-1", "p1")).toEqual({ kind: "ours" });
		await owner.push({ process: "p", statuses: [{ id: anId("a1"), version: 0, status: 1 }] });
		expect(await problemOf(reader.look(NOTHING))).toEqual(lacks);
		await server.query(empty, "grant usage on schema pi_multicodex to reader");
		await server.query(empty, "grant select on all tables in schema pi_multicodex to reader");
		expect((await reader.look(NOTHING)).rows).toHaveLength(1);
		const writes: readonly ((database: PoolDatabase) => Promise<unknown>)[] = [
			(database) => database.change(aRow({ replaces: 1 }), "me"),
			(database) => database.push({ process: "p2", statuses: [] }),
			(database) => database.claim(anId("a1"), "hash-1", "p2"),
			(database) => database.remove(anId("a1"), "hash-1", "me"),
		];
		for (const write of writes) expect(await problemOf(write(reader))).toEqual(lacks);
		expect(await owner.row(anId("a1"))).toMatchObject({ version: 1 });
		await asRole("stranger");
		expect(
			await problemOf(pool.open({ url: pool.url.replace(/\/\/[^@]*@/, "//stranger:another-secret@") }).migrate()),
		).toEqual(lacks);
	});

	it("changes, because it is read-only, or because its disk is full, goes on to be read", async () => {
		await pool.database.change(aRow(), "me");
		const database = new URL(pool.url).pathname.slice(1);
		await pool.query(`alter database ${database} set default_transaction_read_only = on`);
		const readOnly = pool.open();
		expect(await problemOf(readOnly.change(aRow({ replaces: 1 }), "me"))).toEqual(
			like("read-only", "use the URL of the primary"),
		);
		expect(await problemOf(readOnly.push({ process: "p", statuses: [] }))).toEqual(
			like("read-only", "accepts no changes now"),
		);
		expect((await readOnly.look(NOTHING)).rows).toHaveLength(1);
		await pool.query(`set transaction_read_only = off; alter database ${database} reset default_transaction_read_only`);
		// Not every machine has a disk that a test may fill: the server raises what it raises then.
		await pool.query(`
			create function pi_multicodex.fill() returns trigger language plpgsql as
			$$ begin raise exception 'could not extend file: No space left on device' using errcode = '53100'; end $$;
			create trigger fill before insert or update on pi_multicodex.account
			for each row execute function pi_multicodex.fill()`);
		expect(await problemOf(pool.database.change(aRow({ replaces: 1 }), "me"))).toEqual(
			like("full", "The disk of the database at"),
		);
		expect(await pool.database.row(anId("a1"))).toMatchObject({ version: 1 });
	});

	it("changes, because it is a replica, goes on to be read", async () => {
		await pool.database.change(aRow(), "me");
		const signal = join(server.folder, "standby.signal");
		writeFileSync(signal, "");
		server.hand(signal);
		await server.restart();
		expect((await pool.database.look(NOTHING)).rows).toHaveLength(1);
		const readOnly = like("read-only", "use the URL of the primary");
		expect(await problemOf(pool.database.claim(anId("a1"), "hash-1", "p"))).toEqual(readOnly);
		expect(await problemOf(pool.database.push({ process: "p", statuses: [] }))).toEqual(readOnly);
		rmSync(signal);
		await server.restart();
		expect(await pool.database.claim(anId("a1"), "hash-1", "p")).toEqual({ kind: "ours" });
	});

	wide("goes on at the other server of its URL if the first one is a replica now, or is starting", async () => {
		const former = await startPostgres();
		onTestFinished(() => former.close());
		const name = new URL(pool.url).pathname.slice(1);
		const any = await former.database();
		await former.query(any, `create database ${name}`);
		const formerUrl = any.replace(/\/\w+\?/, `/${name}?`);
		// A replica that lags behind: it has no row.
		const lagging = pool.open({ url: formerUrl });
		await lagging.migrate();
		await lagging.create({ id: POOL_ID, name: "mine", keeperKeyId: KEYS.keeper, runnerKeyId: KEYS.runner });
		const signal = join(former.folder, "standby.signal");
		writeFileSync(signal, "");
		former.hand(signal);
		await former.restart();

		await pool.database.change(aRow(), "me");
		const both = pool.url.replace("@127.0.0.1:", `@127.0.0.1:${former.port},127.0.0.1:`);
		const news = vi.fn();
		const listener = pool.open({ url: both });
		const stop = await listener.listen("me", news);
		expect(stop).toBeDefined();
		const database = pool.open({ url: both });
		expect((await database.look(NOTHING)).rows).toEqual([]);
		const claims = ["p1", "p2", "p3"].map((holder) => database.claim(anId("a1"), "hash-1", holder));
		expect((await Promise.all(claims)).map(({ kind }) => kind).sort()).toEqual(["ours", "taken", "taken"]);
		expect((await database.look(NOTHING)).rows).toHaveLength(1);
		expect(await database.change(aRow({ replaces: 1, enabled: false }), "you")).toBe(2);
		await vi.waitFor(() => expect(news).toHaveBeenCalled(), 3000);
		await stop?.();

		// If neither server takes changes, the error says so, and the client stops trying.
		const alone = pool.open({ url: formerUrl.replace("@127.0.0.1:", `@127.0.0.1:${former.port},127.0.0.1:`) });
		expect(await problemOf(alone.claim(anId("a1"), "hash-1", "p"))).toEqual(
			like("read-only", "use the URL of the primary"),
		);
	});

	it("differs in its sentence by whether it is of something else, of a newer version, or of another pool", async () => {
		const empty = await server.database();
		expect(await problemOf(pool.open({ url: empty }).look(NOTHING))).toEqual(
			like("no-pool", "There is no pool in the database at"),
		);
		expect(await problemOf(pool.open({ url: empty }).claim(anId("a"), "b", "c"))).toEqual(
			like("no-pool", "There is no pool in"),
		);
		await server.query(empty, "create schema pi_multicodex; create table pi_multicodex.account (login text)");
		const foreign = like("no-pool", "belongs to something else: use another database");
		expect(await problemOf(pool.open({ url: empty }).migrate())).toEqual(foreign);
		await server.query(empty, "create table pi_multicodex.migration (file text)");
		expect(await problemOf(pool.open({ url: empty }).migrate())).toEqual(foreign);
		await server.query(empty, "create table pi_multicodex.pool (id int, number int)");
		expect(await problemOf(pool.open({ url: empty }).head())).toEqual(foreign);
		expect(
			await server.query(empty, "select count(*)::int as tables from pg_tables where schemaname = 'pi_multicodex'"),
		).toEqual([{ tables: 3 }]);

		const other = like("other-pool", "has another pool than the join code names");
		const mistaken = pool.open({ poolId: "pool-2" });
		await pool.database.change(aRow(), "me");
		expect(await problemOf(mistaken.look(NOTHING))).toEqual(other);
		expect(await problemOf(mistaken.claim(anId("a1"), "hash-1", "p"))).toEqual(other);
		expect(await problemOf(mistaken.push({ process: "p", statuses: [] }))).toEqual(other);

		await pool.query("delete from pi_multicodex.migration");
		const incomplete = like("no-pool", "are incomplete: restore them from a backup");
		expect(await problemOf(pool.database.look(NOTHING))).toEqual(incomplete);
		expect(await problemOf(pool.database.claim(anId("a1"), "hash-1", "p"))).toEqual(incomplete);
		await pool.query(
			"insert into pi_multicodex.migration values (99); alter table pi_multicodex.account rename enabled to is_on",
		);
		const newer = like("newer", "update pi-multicodex on this machine");
		expect(await problemOf(pool.database.migrate())).toEqual(newer);
		expect(await problemOf(pool.database.look(NOTHING))).toEqual(newer);
		expect(await problemOf(pool.database.push({ process: "p", statuses: [] }))).toEqual(newer);
		expect(await problemOf(pool.database.row(anId("a1")))).toEqual(newer);
		expect(await problemOf(pool.database.change(aRow({ replaces: 1 }), "p"))).toEqual(newer);
		expect(await pool.query("select version::int from pi_multicodex.account")).toEqual([{ version: 1 }]);
	});
});

describe("an encrypted connection", () => {
	let certificate: string;

	it("is what the URL asks for, and a certificate that was made by hand is trusted if its file is named", async () => {
		const plain = (mode: string) => pool.url.replace("sslmode=disable", mode);
		expect(await problemOf(pool.open({ url: plain("sslmode=require") }).head())).toEqual(
			like("bad-url", "does not accept encrypted connections, and the URL asks for one (sslmode=require)."),
		);
		expect(await pool.open({ url: plain("sslmode=prefer") }).head()).toBeDefined();

		const key = join(server.folder, "server.key");
		certificate = join(server.folder, "server.crt");
		const how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost";
		const name = ["-addext", "subjectAltName=DNS:localhost"];
		execFileSync("openssl", [...how.split(" "), ...name, "-keyout", key, "-out", certificate], { stdio: "ignore" });
		for (const file of [key, certificate]) server.hand(file);
		server.configure("ssl = on");
		writeFileSync(join(server.folder, "pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n");
		await server.restart();

		const byName = (mode: string) => plain(mode).replace("127.0.0.1", "localhost");
		const root = `sslrootcert=${encodeURIComponent(certificate)}`;
		const taken = [
			"sslmode=prefer",
			"sslmode=require",
			`sslmode=verify-ca&${root}`,
			`sslmode=require&${root}`,
			"sslmode=require&sslnegotiation=direct",
			"ssl=true&ssl_min_protocol_version=TLSv1.3",
		];
		for (const mode of taken) {
			expect(await pool.open({ url: plain(mode) }).head()).toBeDefined();
		}
		const secure = pool.open({ url: byName(`sslmode=verify-full&${root}`) });
		expect(await secure.head()).toBeDefined();
		expect(await secure.listen("me", () => undefined)).toBeDefined();
		const refusals: readonly (readonly [string, ReturnType<typeof like>])[] = [
			[
				plain("sslmode=disable"),
				like("refused", "accepts only encrypted connections: add sslmode=require to the URL."),
			],
			[byName("sslmode=verify-full"), like("untrusted", "is not trusted here: name the file of its root in the URL")],
			[plain("sslmode=verify-ca"), like("untrusted", "is not trusted here")],
			[byName("sslmode=require&channel_binding=require"), like("untrusted", "is not trusted here")],
			[plain(`sslmode=verify-full&${root}`), like("untrusted", "is for another host")],
			[
				plain("sslmode=verify-ca&sslrootcert=/nowhere/ca.pem"),
				like("bad-url", "The file /nowhere/ca.pem that the URL of"),
			],
		];
		for (const [url, problem] of refusals) expect(await problemOf(pool.open({ url }).head())).toEqual(problem);
		await pool.end();
	});
});
