import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { repositoryRoot } from "./support/hosts.ts";

/** Sources by their path from the repository's root, with forward slashes. */
type Sources = ReadonlyMap<string, string>;

interface Import {
	/** As written. */
	readonly specifier: string;
	/** Erased by the compiler: `import type`, `export type`. */
	readonly isType: boolean;
	/** Path of the file it means; undefined for a package or `node:`. */
	readonly target: string | undefined;
}

/** The manifest as far as imports depend on it. */
interface Manifest {
	readonly dependencies: readonly string[];
	/** Names that the host provides: peers, or host packages among the development dependencies. */
	readonly hosts: readonly string[];
}

const HOST_ROOTS = ["@mariozechner/pi-ai", "@mariozechner/pi-coding-agent", "@mariozechner/pi-tui"];
const HOST_PACKAGE = /^@(mariozechner|earendil-works)\//;

/** Statements stand at the start of a line, so that neither a comment nor a string is taken for one. */
const STATEMENT = /^(?:import|export)\s+(?:(type)\s+)?(?:[\w*\s{},$]*?\bfrom\s*)?["']([^"'\n]+)["']/gm;
const DYNAMIC = /\b(?:import|require)\s*\(\s*(?:(["'])([^"'\n]*)\1\s*\))?/g;

function importsOf(file: string, text: string): Import[] {
	const stated = [...text.matchAll(STATEMENT)].map(([, type, specifier = ""]) => ({
		specifier,
		isType: type !== undefined,
	}));
	const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
	const dynamic = [...code.matchAll(DYNAMIC)].map(([, , specifier = "(computed)"]) => ({ specifier, isType: false }));
	return [...stated, ...dynamic].map((each) => ({
		...each,
		target: each.specifier.startsWith(".") ? join(dirname(file), each.specifier).replaceAll("\\", "/") : undefined,
	}));
}

function layerOf(path: string): string {
	if (path === "index.ts" || path === "src/compose.ts") return "index";
	return /^src\/([a-z]+)\//.exec(path)?.[1] ?? "unknown";
}

/** What a layer may import; the word says what is wrong, undefined that nothing is. */
const RULES: Readonly<Record<string, (imported: Import) => string | undefined>> = {
	domain: ({ target }) => {
		if (target === undefined) return "domain imports nothing from outside";
		return layerOf(target) === "domain" ? undefined : "domain imports only domain";
	},
	pool: ({ target, specifier, isType }) => {
		if (target !== undefined)
			return ["domain", "pool"].includes(layerOf(target)) ? undefined : "pool imports only domain and pool";
		if (specifier === "zod") return undefined;
		return specifier === "@mariozechner/pi-ai" && isType ? undefined : "pool imports only types of pi-ai, and zod";
	},
	io: ({ target, specifier, isType }) => {
		if (target === undefined) return HOST_PACKAGE.test(specifier) ? "io does not know pi" : undefined;
		if (layerOf(target) === "domain" || layerOf(target) === "io") return undefined;
		return target === "src/pool/ports.ts" && isType ? undefined : "io imports domain, io and the types of the ports";
	},
	ui: ({ target, specifier }) => {
		if (target === undefined) {
			return ["@mariozechner/pi-tui", "zod"].includes(specifier) ? undefined : "ui imports only pi-tui, and zod";
		}
		return ["domain", "ui"].includes(layerOf(target)) ? undefined : "ui imports only domain and ui";
	},
	pi: ({ target, isType }) => {
		if (target === undefined || layerOf(target) !== "io") return undefined;
		return isType ? undefined : "pi is handed io by compose.ts";
	},
	index: () => undefined,
};

/** Every breach of the architecture, as `<file>: <what>`. */
function violations(sources: Sources, manifest: Manifest): string[] {
	const found: string[] = [];
	const known = [...manifest.dependencies, ...manifest.hosts];
	for (const [file, text] of sources) {
		const layer = layerOf(file);
		const report = (what: string) => found.push(`${file}: ${what}`);
		const rule = RULES[layer];
		if (!rule) report("is in no layer");
		if (layer === "domain" && /\bDate\.now\b|\bMath\.random\b|\bnew Date\(\)/.test(text)) report("is not pure");
		if (layer !== "pi" && layer !== "index" && /ExtensionAPI/.test(text)) report("knows ExtensionAPI");
		for (const imported of importsOf(file, text)) {
			const { specifier, isType, target } = imported;
			const complaint = rule?.(imported);
			if (complaint) report(`${complaint} (${specifier})`);
			if (target === "index.ts") report("imports index.ts");
			if (target !== undefined && !sources.has(target)) report(`imports what is not there (${specifier})`);
			if (target !== undefined || isType || specifier.startsWith("node:")) continue;
			const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
			if (!known.includes(name)) report(`imports a package that nobody installs (${specifier})`);
			if (HOST_PACKAGE.test(specifier) && !HOST_ROOTS.includes(specifier)) {
				report(`imports a host package by another name than its root (${specifier})`);
			}
		}
	}
	return [...found, ...unreachable(sources).map((file) => `${file}: is not reachable from index.ts`)];
}

function unreachable(sources: Sources): string[] {
	const reached = new Set<string>();
	const visit = (file: string) => {
		const text = sources.get(file);
		if (text === undefined || reached.has(file)) return;
		reached.add(file);
		for (const { target } of importsOf(file, text)) if (target !== undefined) visit(target);
	};
	visit("index.ts");
	return [...sources.keys()].filter((file) => !reached.has(file));
}

function productSources(): Sources {
	const paths = readdirSync(join(repositoryRoot, "src"), { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
		.map((entry) => relative(repositoryRoot, join(entry.parentPath, entry.name)).replaceAll("\\", "/"));
	return new Map(["index.ts", ...paths.sort()].map((path) => [path, readFileSync(join(repositoryRoot, path), "utf8")]));
}

function productManifest(): Manifest {
	const names = z.record(z.string(), z.string()).default({});
	const { dependencies, peerDependencies, devDependencies } = z
		.object({ dependencies: names, peerDependencies: names, devDependencies: names })
		.parse(JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")));
	return {
		dependencies: Object.keys(dependencies),
		hosts: [...Object.keys(peerDependencies), ...Object.keys(devDependencies)].filter((name) =>
			HOST_PACKAGE.test(name),
		),
	};
}

const SAMPLE_MANIFEST: Manifest = { dependencies: ["zod", "proper-lockfile"], hosts: HOST_ROOTS };

/** A small house without a fault, with one file more. */
function houseWith(file: string, text: string): Sources {
	const house = new Map([
		["index.ts", `import { pool } from "./src/pool/pool.ts";\nimport "./${file}";\n`],
		["src/domain/account.ts", "export const account = 1;\n"],
		["src/pool/ports.ts", 'import type { account } from "../domain/account.ts";\nexport type Port = typeof account;\n'],
		["src/pool/pool.ts", 'import type { Port } from "./ports.ts";\nexport const pool: Port = 1;\n'],
		["src/io/store.ts", "export const store = 1;\n"],
		["src/ui/text.ts", "export const text = 1;\n"],
	]);
	for (const path of house.keys()) {
		if (path !== "index.ts") house.set("index.ts", `${house.get("index.ts")}import "./${path}";\n`);
	}
	return house.set(file, text);
}

describe("the architecture", () => {
	it("holds for every file", () => {
		expect(violations(productSources(), productManifest())).toEqual([]);
	});

	it("is checked on real files with real imports", () => {
		const sources = productSources();
		const all = [...sources].flatMap(([file, text]) => importsOf(file, text));
		expect(sources.size).toBeGreaterThan(40);
		for (const layer of ["domain", "pool", "io", "ui", "pi"]) {
			expect([...sources.keys()].filter((path) => layerOf(path) === layer).length).toBeGreaterThan(2);
		}
		// Every statement is seen: as many as there are lines that end one.
		const text = [...sources.values()].join("\n");
		const written = text.match(/\bfrom\s*"[^"]+";$/gm) ?? [];
		const late = text.match(/\bawait import\("[^"]+"\)/g) ?? [];
		expect(all.length).toBe(written.length + late.length);
	});
});

it("loads nothing but what Node has before it can say what is missing", () => {
	const text = productSources().get("index.ts") ?? "";
	const early = [...text.matchAll(STATEMENT)].filter(
		([, type, specifier = ""]) => !type && !specifier.startsWith("node:"),
	);
	expect(early).toEqual([]);
	expect(text).toContain('await import("./src/compose.ts")');
});

describe("the check of the architecture", () => {
	it("is content with a house without a fault", () => {
		expect(violations(houseWith("src/domain/usage.ts", "export const usage = 1;\n"), SAMPLE_MANIFEST)).toEqual([]);
	});

	it.each([
		["src/domain/a.ts", 'import { z } from "zod";', "domain imports nothing from outside"],
		["src/domain/a.ts", 'import { join } from "node:path";', "domain imports nothing from outside"],
		["src/domain/a.ts", 'import type { Model } from "@mariozechner/pi-ai";', "domain imports nothing from outside"],
		["src/domain/a.ts", 'import type { Port } from "../pool/ports.ts";', "domain imports only domain"],
		["src/domain/a.ts", "export const now = Date.now();", "is not pure"],
		["src/domain/a.ts", "export const dice = () => Math.random();", "is not pure"],
		["src/pool/a.ts", 'import { store } from "../io/store.ts";', "pool imports only domain and pool"],
		["src/pool/a.ts", 'import {\n\tstore,\n} from "../io/store.ts";', "pool imports only domain and pool"],
		["src/pool/a.ts", 'import * as ai from "@mariozechner/pi-ai";', "pool imports only types of pi-ai, and zod"],
		["src/pool/a.ts", 'import { readFile } from "node:fs/promises";', "pool imports only types of pi-ai, and zod"],
		["src/pool/a.ts", 'export * from "../ui/text.ts";', "pool imports only domain and pool"],
		["src/pool/a.ts", 'const late = () => import("../io/store.ts");', "pool imports only domain and pool"],
		["src/io/a.ts", 'import { pool } from "../pool/pool.ts";', "io imports domain, io and the types of the ports"],
		["src/io/a.ts", 'import { Port } from "../pool/ports.ts";', "io imports domain, io and the types of the ports"],
		["src/io/a.ts", 'import type { Api } from "@mariozechner/pi-ai";', "io does not know pi"],
		["src/ui/a.ts", 'import { pool } from "../pool/pool.ts";', "ui imports only domain and ui"],
		["src/ui/a.ts", 'import { EOL } from "node:os";', "ui imports only pi-tui"],
		["src/pi/a.ts", 'import { store } from "../io/store.ts";', "pi is handed io by compose.ts"],
		["src/pool/a.ts", "export type Pi = ExtensionAPI;", "knows ExtensionAPI"],
		["src/ui/a.ts", 'import multicodex from "../../index.ts";', "imports index.ts"],
		["src/pi/a.ts", 'import { x } from "@mariozechner/pi-ai/oauth";', "by another name than its root"],
		["src/pi/a.ts", 'import { x } from "@earendil-works/pi-ai";', "imports a package that nobody installs"],
		["src/io/a.ts", 'import { parse } from "yaml";', "imports a package that nobody installs"],
		["src/io/a.ts", 'const yaml = require("yaml");', "imports a package that nobody installs"],
		["src/io/a.ts", "const any = (name: string) => import(name);", "imports a package that nobody installs"],
		["src/io/a.ts", 'import { gone } from "./gone.ts";', "imports what is not there"],
		["src/attic/a.ts", "export const old = 1;", "is in no layer"],
	])("finds in %s: %s", (file, text, complaint) => {
		const found = violations(houseWith(file, `${text}\n`), SAMPLE_MANIFEST);
		expect(found).toContainEqual(expect.stringContaining(complaint));
		expect(found.every((each) => each.startsWith(`${file}: `))).toBe(true);
	});

	it("finds a file that nothing leads to", () => {
		const house = new Map(houseWith("src/domain/usage.ts", "export const usage = 1;\n"));
		house.set("src/domain/forgotten.ts", 'import { usage } from "./usage.ts";\n');
		expect(violations(house, SAMPLE_MANIFEST)).toEqual(["src/domain/forgotten.ts: is not reachable from index.ts"]);
	});

	it("takes neither a comment nor a string for an import", () => {
		const text = '// import { x } from "yaml";\nexport const hint = "import x from \'yaml\'";\n/* import("yaml") */\n';
		expect(violations(houseWith("src/io/a.ts", text), SAMPLE_MANIFEST)).toEqual([]);
	});
});
