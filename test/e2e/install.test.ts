import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import type { AgentDir } from "../support/agent-dir.ts";
import { answers } from "../support/fake-codex/index.ts";
import { findModernNode, type HostName, hostNames, repositoryRoot } from "../support/hosts.ts";
import { packRepository, unpack } from "../support/package.ts";
import { startRegistry } from "../support/registry.ts";
import { coreOf, isAtAnEnd } from "../support/tiers.ts";
import { type Bench, createBench } from "./support.ts";

const run = promisify(execFile);
const HOUR_MS = 3_600_000;
const NAME = "pi-multicodex";
const SLUG = "pi-multicodex/pi-multicodex";
const MOST_PACKAGES = 25;
const MOST_BYTES = 12 * 1024 * 1024;

/** Every host but the one that differs from its neighbours in nothing that is looked at here. */
const HOSTS = hostNames.filter((name) => name !== "1.5.2");

const folder = mkdtempSync(join(realpathSync(tmpdir()), "install-"));
const manifestSchema = z.looseObject({ name: z.string(), version: z.string() });
let tarball: string;
let unpacked: string;

beforeAll(async () => {
	tarball = await packRepository(folder);
	unpacked = await unpack(tarball);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const manifestIn = (path: string) => manifestSchema.parse(JSON.parse(readFileSync(join(path, "package.json"), "utf8")));

/** Files below `path`, by their paths from there. */
function filesIn(path: string): string[] {
	return readdirSync(path, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1));
}

/** Packages below `path`, however deep. */
function packagesIn(path: string): string[] {
	return filesIn(path).filter((file) => /(^|\/)node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(`/${file}`));
}

function bytesIn(path: string): number {
	return filesIn(path).reduce((sum, file) => sum + statSync(join(path, file)).size, 0);
}

describe("the package", () => {
	it("holds the bundle, its maps and licenses, the documents and their pictures, and nothing else", () => {
		const files = filesIn(unpacked);
		const isBundle = (file: string) => /^dist\/[\w-]+\.cjs(\.map)?$/.test(file);
		const isDocument = (file: string) => /^(docs\/[\w-]+\.md|test\/screens\/pictures\/[\w-]+\.svg)$/.test(file);
		expect(files.filter((file) => !isBundle(file) && !isDocument(file)).sort()).toEqual([
			"CHANGELOG.md",
			"LICENSE",
			"README.md",
			"bin/pi-multicodex.cjs",
			"dist/licenses.txt",
			"index.ts",
			"package.json",
		]);
		for (const file of ["dist/host.cjs", "dist/multicodex.cjs"]) expect(files).toContain(file);
		expect(files.some((file) => /^dist\/start-[\w-]+\.cjs\.map$/.test(file))).toBe(true);
		const [start = "", driver = ""] = ["start", "postgres"].map((name) =>
			files.find((file) => new RegExp(`^dist/${name}-[\\w-]+\\.cjs$`).test(file)),
		);
		// Who has no shared pool never reads the driver of its database.
		expect(statSync(join(unpacked, driver)).size).toBeLessThan(100_000);
		expect(readFileSync(join(unpacked, start), "utf8")).not.toMatch(/postgres-[\w-]+\.cjs/);
		expect(bytesIn(unpacked)).toBeLessThan(MOST_BYTES);
	});

	it("names no dependency and no script, so that an install is one package and runs nothing", () => {
		const manifest = manifestIn(unpacked);
		for (const key of ["dependencies", "devDependencies", "scripts"]) expect(manifest).not.toHaveProperty(key);
		const checkout = manifestIn(repositoryRoot);
		expect(manifest).toMatchObject({
			name: NAME,
			version: checkout.version,
			pi: checkout.pi,
			engines: checkout.engines,
		});
	});

	it("has all that README and the registry's page lead to", () => {
		const links = [...readFileSync(join(unpacked, "README.md"), "utf8").matchAll(/\]\((?!https?:|#)([^)#]+)/g)];
		expect(links.length).toBeGreaterThan(3);
		const files = new Set(filesIn(unpacked));
		expect(links.map(([, path = ""]) => path).filter((path) => !files.has(path) && path !== "AGENTS.md")).toEqual([]);
	});

	it("has nothing that publint finds wrong", async () => {
		const publint = join(repositoryRoot, "node_modules/publint/src/cli.js");
		const { stdout } = await run(process.execPath, [publint, unpacked, "--strict"]);
		expect(stdout).toContain("All good!");
	});
});

interface Machine extends Bench {
	/** pi as it was installed, without an extension named on its command line, to its end. Returns what it wrote. */
	pi(...args: string[]): Promise<string>;
}

/** A machine with two accounts, of which the first has run out. */
async function aMachine(host: HostName, more: Readonly<Record<string, string>>): Promise<Machine> {
	const bench = await createBench({ host, accounts: ["a", "b"] });
	bench.codex.account("a").always(answers.usageLimit({ resetsInMs: HOUR_MS }));
	const env = {
		PI_OFFLINE: undefined,
		npm_config_prefix: join(bench.dir.home, "prefix"),
		npm_config_audit: "false",
		npm_config_fund: "false",
		npm_config_update_notifier: "false",
		...more,
	};
	const pi = async (...args: string[]) => {
		const { code, stdout, stderr } = await bench.run(args, { extension: false, env, timeoutMs: 100_000 });
		expect([args[0], code, code === 0 ? "" : stdout + stderr]).toEqual([args[0], 0, ""]);
		return stdout + stderr;
	};
	return { ...bench, pi };
}

async function expectRotation({ pi, asked }: Machine): Promise<void> {
	const before = asked().length;
	await pi("-p", "--no-tools", "--no-session", "say hi");
	expect(asked().slice(before).at(-1)).toBe("b");
}

/** How npm reaches the registry that this machine is set up for: the dependencies of the sources are nowhere else. */
function realRegistry(): Record<string, string> {
	const names = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"];
	const given = names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
	const config = (name: string) => execFileSync("npm", ["config", "get", name], { encoding: "utf8" }).trim();
	return {
		...Object.fromEntries(given),
		npm_config_userconfig: config("userconfig"),
		npm_config_cache: config("cache"),
		npm_config_registry: config("registry"),
	};
}

/** The folder that pi has put the package into. */
function installedIn(home: string, version: string): string {
	const found = filesIn(home)
		.filter((file) => file.endsWith(`${NAME}/package.json`))
		.map((file) => join(home, file, ".."));
	const [path] = found.filter((each) => manifestIn(each).version === version);
	if (path === undefined) throw new Error(`${NAME}@${version} is not installed: ${found.join(", ")}`);
	return path;
}

/** Where npm has put the program without pi. */
function linksIn(home: string): string[] {
	return readdirSync(home, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isSymbolicLink() && entry.name === NAME)
		.map((entry) => join(entry.parentPath, entry.name));
}

/** What the program shows in a status bar. Throws where no account is ready. */
function lineOf(node: string, program: string, { home, dir }: AgentDir): string {
	const env = { HOME: home, PI_CODING_AGENT_DIR: dir };
	return execFileSync(node, [program, "status", "--line"], { cwd: home, env, encoding: "utf8" });
}

describe("pi install", () => {
	it.each(coreOf(HOSTS, isAtAnEnd))(
		"takes the package from a registry on %s, and gives it back whole",
		async (name) => {
			const registry = await startRegistry(NAME);
			onTestFinished(() => registry.close());
			const manifest = manifestIn(unpacked);
			registry.publish(manifest.version, tarball, manifest);
			const machine = await aMachine(name, { npm_config_registry: registry.url });
			const { dir, pi } = machine;
			const before = dir.readJson("settings.json");

			await pi("install", `npm:${NAME}`);
			await expectRotation(machine);
			expect(await pi("-p", "/multicodex verify --json")).not.toContain("from-source");
			expect(await pi("list")).toContain(`npm:${NAME}`);
			const path = installedIn(dir.home, manifest.version);
			const modules = path.slice(0, path.lastIndexOf("/node_modules/"));
			expect(packagesIn(modules)).toHaveLength(1);
			expect(bytesIn(modules)).toBeLessThan(MOST_BYTES);
			const [linked] = linksIn(dir.home);
			expect(lineOf(process.execPath, linked ?? "no link", dir)).toContain("b · ");
			expect(registry.missing).toEqual([]);

			const next = await packRepository(mkdtempSync(join(folder, "next-")), "99.0.0");
			registry.publish("99.0.0", next, { ...manifest, version: "99.0.0" });
			await pi("update", `npm:${NAME}`);
			expect(manifestIn(path).version).toBe("99.0.0");
			await expectRotation(machine);

			await pi("remove", `npm:${NAME}`);
			expect(filesIn(dir.home).filter((file) => file.includes(`${NAME}/`))).toEqual([]);
			expect(dir.readJson("settings.json")).toEqual({ ...Object(before), packages: [] });
		},
	);

	it.each(coreOf(HOSTS))("takes a git repository on %s, from source", async (name) => {
		const repository = join(mkdtempSync(join(folder, "git-")), "repository.git");
		execFileSync("git", ["clone", "--quiet", "--bare", repositoryRoot, repository]);
		const machine = await aMachine(name, {
			...realRegistry(),
			GIT_CONFIG_COUNT: "1",
			GIT_CONFIG_KEY_0: `url.file://${repository}.insteadOf`,
			GIT_CONFIG_VALUE_0: `https://github.com/${SLUG}`,
		});
		const { dir, pi } = machine;
		await pi("install", `git:github.com/${SLUG}`);
		const clone = join(dir.dir, "git/github.com", SLUG);
		const packages = packagesIn(clone);
		expect(packages.length).toBeGreaterThan(5);
		expect(packages.length).toBeLessThan(MOST_PACKAGES);
		expect(packages.filter((file) => /@(mariozechner|earendil-works)\//.test(file))).toEqual([]);
		expect(bytesIn(join(clone, "node_modules"))).toBeLessThan(MOST_BYTES);
		await expectRotation(machine);
		expect(lineOf(await findModernNode(), join(clone, "bin/pi-multicodex.cjs"), dir)).toContain("b · ");
		expect(await pi("-p", "/multicodex verify --json")).toContain("from-source");
		expect(await pi("list")).toContain(SLUG);
		await pi("remove", `git:github.com/${SLUG}`);
		expect(filesIn(dir.home).filter((file) => file.includes(`${SLUG}/`))).toEqual([]);
	});
});
