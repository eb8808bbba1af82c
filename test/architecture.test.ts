import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { repositoryRoot } from "./support/hosts.ts";
import * as standIn from "./unit/pi-stand-in.ts";

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

/** The room a file is in: `core`, `platform`, `ui-kit`, `pi`, one of `features/<name>`, `compose`, or `index`. */
function roomOf(path: string): string {
	if (path === "index.ts" || path === "src/compose.ts" || path === "src/features/index.ts") return "index";
	return /^src\/(features\/[a-z-]+|[a-z-]+)\//.exec(path)?.[1] ?? "unknown";
}

/** A clock, dice, the network, or a global that only Node has. */
const IMPURE =
	/\bDate\.now\b|\bMath\.random\b|\bnew Date\(\)|\b(await|return|globalThis\.)\s*fetch\(|\bBuffer\.|\bprocess\.\w/;

/** Who may read the fields of a usage snapshot: the functions of quota.ts, and what makes, merges and stores one. */
const KNOWS_SNAPSHOTS = new Set([
	"src/core/quota.ts",
	"src/core/pool/merge-usage.ts",
	"src/core/usage.ts",
	"src/platform/backend/usage-body.ts",
	"src/platform/backend/usage-api.ts",
	"src/platform/stores/state-file.ts",
	"src/platform/shared-pool/shared-status.ts",
]);
const SNAPSHOT_FIELDS = "windows|budgets|limits|credits|limitReached|reserveModel|resetCredits";
/** Names that snapshots go by. */
const SNAPSHOT_NAMES = String.raw`(?:\w+[!?]?\.)*(?:\w*[uU]sage|\w*[sS]napshot|former|reported)`;
const READS_SNAPSHOT: readonly RegExp[] = [
	new RegExp(String.raw`\b${SNAPSHOT_NAMES}(?:\s*\?\?\s*\{\}\))?[!?]?\.(?:${SNAPSHOT_FIELDS})\b`),
	// Fields that nothing else has, under whatever name the snapshot goes.
	/\w[!?]?\.limitReached\b/,
	new RegExp(
		String.raw`\{[^{}]*\b(?:${SNAPSHOT_FIELDS})\b[^{}]*\}\s*(?::\s*(?:Partial<)?UsageSnapshot\b|=\s*\(?${SNAPSHOT_NAMES}\b(?![(.]))`,
	),
];

/** Who makes ids of texts: what derives a new one, what takes one over from pi, and what reads one in a file's name. */
const MAKES_IDS = new Set([
	"src/core/ids.ts",
	"src/core/identity.ts",
	"src/pi/provider.ts",
	"src/pi/session-id.ts",
	"src/pi/session-memory.ts",
	"src/platform/backend/jwt.ts",
	"src/platform/ids.ts",
	"src/platform/stores/account-backups.ts",
]);
const ID_MADE = /\bas(?:Account|Session)Id\b|\bas (?:unknown as )?(?:Account|Session|Workspace)Id\b|z\.custom<\w+Id>/;

/** What a room may import; the words say what is wrong, undefined that nothing is. */
const RULES: Readonly<Record<string, (imported: Import, room: string) => string | undefined>> = {
	core: ({ target, specifier, isType }) => {
		if (target !== undefined) return roomOf(target) === "core" ? undefined : "core imports only core";
		return specifier === "@mariozechner/pi-ai" && isType ? undefined : "core imports only types of pi-ai";
	},
	platform: ({ target, specifier }) => {
		if (target === undefined) return HOST_PACKAGE.test(specifier) ? "platform does not know pi" : undefined;
		return ["core", "platform"].includes(roomOf(target)) ? undefined : "platform imports only core and platform";
	},
	features: ({ target }, room) => {
		if (target === undefined || [room, "core", "platform", "ui-kit", "pi"].includes(roomOf(target))) return undefined;
		return "a feature imports no other feature";
	},
	"ui-kit": ({ target, specifier }) => {
		if (target === undefined) return specifier === "@mariozechner/pi-tui" ? undefined : "ui-kit imports only pi-tui";
		return ["core", "ui-kit"].includes(roomOf(target)) ? undefined : "ui-kit imports only core and ui-kit";
	},
	pi: ({ target }) => {
		if (target === undefined || ["core", "ui-kit", "pi"].includes(roomOf(target))) return undefined;
		return target === "src/features/index.ts" ? undefined : "pi is handed platform and features";
	},
	cli: ({ target, specifier }) => {
		if (target === undefined)
			return HOST_PACKAGE.test(specifier) ? "the program without pi does not know pi" : undefined;
		const isOfExtension = ["index", "compose"].includes(roomOf(target));
		return isOfExtension ? "the program without pi is no part of the extension" : undefined;
	},
	compose: () => undefined,
	index: () => undefined,
};

/** Where the extension begins, and the program without pi. */
const ENTRIES = ["index.ts", "src/cli/main.ts"] as const;
/** What the program has of pi-tui: see `scripts/bundle.ts`. */
const STAND_IN = "src/cli/terminal-text.ts";

/** Every breach of the architecture, as `<file>: <what>`. */
function violations(sources: Sources, manifest: Manifest): string[] {
	const found: string[] = [];
	const known = [...manifest.dependencies, ...manifest.hosts];
	for (const [file, text] of sources) {
		const room = roomOf(file);
		const report = (what: string) => found.push(`${file}: ${what}`);
		const rule = RULES[room.replace(/\/.*/, "")];
		if (!rule) report("is in no room");
		if (room === "core" && IMPURE.test(text)) report("is not pure");
		if (["core", "platform", "ui-kit", "cli"].includes(room) && /ExtensionAPI/.test(text)) report("knows ExtensionAPI");
		if (!KNOWS_SNAPSHOTS.has(file) && READS_SNAPSHOT.some((way) => way.test(text))) report("reads a usage snapshot");
		if (!MAKES_IDS.has(file) && ID_MADE.test(text)) report("makes an id");
		for (const imported of importsOf(file, text)) {
			const { specifier, isType, target } = imported;
			const complaint = rule?.(imported, room);
			if (complaint) report(`${complaint} (${specifier})`);
			if (target === "index.ts") report("imports index.ts");
			if (target !== undefined && !sources.has(target)) report(`imports what is not there (${specifier})`);
			if (target !== undefined || isType || specifier.startsWith("node:")) continue;
			const name = specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");
			if (!known.includes(name)) report(`imports a package that is not installed (${specifier})`);
			if (HOST_PACKAGE.test(specifier) && !HOST_ROOTS.includes(specifier)) {
				report(`imports a host package by another name than its root (${specifier})`);
			}
		}
	}
	const lost = unreachable(sources).map((file) => `${file}: is not reachable from ${ENTRIES.join(" or ")}`);
	return [...found, ...lost, ...piInProgram(sources)];
}

/** What the program without pi would need of pi when it runs, however far away the import stands. */
function piInProgram(sources: Sources): string[] {
	const standIn = [...(sources.get(STAND_IN) ?? "").matchAll(/^export function (\w+)/gm)].map(([, name]) => name);
	return [...reachedFrom([ENTRIES[1]], sources, ({ isType }) => !isType)].flatMap((file) => {
		const text = sources.get(file) ?? "";
		return importsOf(file, text)
			.filter(({ specifier, isType }) => !isType && HOST_PACKAGE.test(specifier))
			.flatMap(({ specifier }) => {
				const [, names] = new RegExp(`^import \\{([^}]*)\\} from "${specifier}"`, "m").exec(text) ?? [];
				const values = (names ?? "everything").split(",").map((name) => name.trim());
				const missing = values.filter((name) => name !== "" && !/^type /.test(name) && !standIn.includes(name));
				const isCovered = specifier === "@mariozechner/pi-tui" && missing.length === 0;
				return isCovered ? [] : [`${file}: the program without pi needs ${specifier} (${missing.join(", ")})`];
			});
	});
}

function reachedFrom(
	entries: readonly string[],
	sources: Sources,
	counts: (imported: Import) => boolean = () => true,
): ReadonlySet<string> {
	const reached = new Set<string>();
	const visit = (file: string) => {
		const text = sources.get(file);
		if (text === undefined || reached.has(file)) return;
		reached.add(file);
		for (const imported of importsOf(file, text)) {
			if (imported.target !== undefined && counts(imported)) visit(imported.target);
		}
	};
	entries.forEach(visit);
	return reached;
}

function unreachable(sources: Sources): string[] {
	const reached = reachedFrom(ENTRIES, sources);
	return [...sources.keys()].filter((file) => !reached.has(file));
}

const EXPORTED = /^export (?:async )?(?:function\*?|const|let|class|interface|type) (\w+)/gm;

/** Every name that a source exports and that no other file mentions outside its comments, as `<file>: <name>`. */
function unusedExports(sources: Sources, others: Sources): string[] {
	const mentions = new Map<string, number>();
	for (const text of new Map([...sources, ...others]).values()) {
		const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/.*$/gm, "$1");
		for (const name of new Set(code.match(/\b\w+\b/g))) mentions.set(name, (mentions.get(name) ?? 0) + 1);
	}
	return [...sources].flatMap(([file, text]) =>
		[...text.matchAll(EXPORTED)].flatMap(([, name = ""]) => (mentions.get(name) === 1 ? [`${file}: ${name}`] : [])),
	);
}

function filesIn(...folders: readonly string[]): Sources {
	const paths = folders.flatMap((folder) =>
		readdirSync(join(repositoryRoot, folder), { recursive: true, withFileTypes: true })
			.filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
			.map((entry) => relative(repositoryRoot, join(entry.parentPath, entry.name)).replaceAll("\\", "/")),
	);
	return new Map(["index.ts", ...paths.sort()].map((path) => [path, readFileSync(join(repositoryRoot, path), "utf8")]));
}

function productSources(): Sources {
	return filesIn("src");
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

/** A small project without a fault, with one file more. */
function projectWith(file: string, text: string): Sources {
	const project = new Map([
		["index.ts", `import { pool } from "./src/core/pool.ts";\nimport "./${file}";\n`],
		["src/core/account.ts", "export const account = 1;\n"],
		["src/core/ports.ts", 'import type { account } from "./account.ts";\nexport type Port = typeof account;\n'],
		["src/core/pool.ts", 'import type { Port } from "./ports.ts";\nexport const pool: Port = 1;\n'],
		["src/platform/store.ts", "export const store = 1;\n"],
		["src/ui-kit/text.ts", "export const text = 1;\n"],
		["src/pi/command.ts", "export const command = 1;\n"],
		["src/features/show/view.ts", "export const view = 1;\n"],
	]);
	for (const path of project.keys()) {
		if (path !== "index.ts") project.set("index.ts", `${project.get("index.ts")}import "./${path}";\n`);
	}
	return project.set(file, text);
}

describe("the architecture", () => {
	it("holds for every file", () => {
		expect(violations(productSources(), productManifest())).toEqual([]);
	});

	it("is checked on real files with real imports", () => {
		const sources = productSources();
		const all = [...sources].flatMap(([file, text]) => importsOf(file, text));
		expect(sources.size).toBeGreaterThan(40);
		for (const room of ["core", "platform", "ui-kit", "pi", "cli", "features/accounts"]) {
			expect([...sources.keys()].filter((path) => roomOf(path) === room).length).toBeGreaterThan(2);
		}
		// Every statement is seen: as many as there are lines that end one.
		const text = [...sources.values()].join("\n");
		const written = text.match(/\bfrom\s*"[^"]+";$/gm) ?? [];
		const late = text.match(/\bawait import\("[^"]+"\)/g) ?? [];
		expect(all.length).toBe(written.length + late.length);
	});
});

it("what unit tests have in place of pi has every value that the sources import of it", () => {
	const values = [...productSources().values()].flatMap((text) =>
		[...text.matchAll(/^import \{([^}]*)\} from "@mariozechner\/pi-coding-agent"/gm)].flatMap(([, names = ""]) =>
			names
				.split(",")
				.map((name) => name.trim())
				.filter((name) => name !== "" && !name.startsWith("type ")),
		),
	);
	expect(values.length).toBeGreaterThan(3);
	expect(values.filter((name) => !(name in standIn))).toEqual([]);
});

it("no name is exported that no other file mentions", () => {
	expect(unusedExports(productSources(), filesIn("scripts", "test"))).toEqual([]);
	const text = "export const used = 1;\nexport interface Own {}\nexport async function own() {}\n";
	const sources = new Map([["src/core/a.ts", text]]);
	const reader = "// own\nimport { used } from '../src/core/a.ts';\n";
	expect(unusedExports(sources, new Map([["test/a.test.ts", reader]]))).toEqual([
		"src/core/a.ts: Own",
		"src/core/a.ts: own",
	]);
});

it("no comment is wider than 120 columns", () => {
	const comments = [...productSources()].flatMap(([path, text]) =>
		text
			.split("\n")
			.map((line) => line.replaceAll("\t", "  "))
			.filter((line) => /^ *(?:\/\/|\/?\*)/.test(line) && line.length > 120)
			.map((line) => `${path}: ${line.trim()}`),
	);
	expect(comments).toEqual([]);
});

describe("the code map", () => {
	const map = readFileSync(join(repositoryRoot, "AGENTS.md"), "utf8");
	const folders = ["compose", "core", "platform", "pi", "ui-kit", "cli"];

	it("names every file of the folders that it lists file by file, and every feature", () => {
		const missing = [...productSources().keys()].filter((path) => {
			const [, folder = "", name = ""] = /^src\/(?:features\/)?([\w-]+)\/(?:tools\/)?([\w.-]+)$/.exec(path) ?? [];
			if (folders.includes(folder)) return !map.includes(`\`${name}\``);
			return path.startsWith("src/features/") && !path.endsWith("features/index.ts") && !map.includes(`${folder}/\``);
		});
		expect(missing).toEqual([]);
	});

	it("names no file that is not there", () => {
		const sources = productSources();
		const named = [...map.matchAll(/`((?:compose|core|platform|pi|ui-kit|cli|features)\/[\w/.-]+\.ts)/g)].map(
			([, path = ""]) => path,
		);
		expect(named.length).toBeGreaterThan(20);
		expect(named.filter((path) => !sources.has(`src/${path}`))).toEqual([]);
		const alone = [...map.matchAll(/`([a-z][a-z-]+\.ts)`/g)].map(([, name = ""]) => name);
		const names = new Set([...sources.keys()].map((path) => path.split("/").at(-1)));
		const ofTests = new Set(
			readdirSync(join(repositoryRoot, "test"), { recursive: true, encoding: "utf8" }).map((path) =>
				path.split(/[\\/]/).at(-1),
			),
		);
		expect(alone.filter((name) => !names.has(name) && !ofTests.has(name))).toEqual([]);
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
	it("is content with a project without a fault", () => {
		expect(violations(projectWith("src/core/usage.ts", "export const usage = 1;\n"), SAMPLE_MANIFEST)).toEqual([]);
	});

	it.each([
		["src/core/a.ts", 'import { z } from "zod";', "core imports only types of pi-ai"],
		["src/core/a.ts", 'import { join } from "node:path";', "core imports only types of pi-ai"],
		["src/core/a.ts", 'import * as ai from "@mariozechner/pi-ai";', "core imports only types of pi-ai"],
		["src/core/a.ts", 'import type { store } from "../platform/store.ts";', "core imports only core"],
		["src/core/a.ts", 'import {\n\tstore,\n} from "../platform/store.ts";', "core imports only core"],
		["src/core/a.ts", 'export * from "../ui-kit/text.ts";', "core imports only core"],
		["src/core/a.ts", 'const late = () => import("../pi/command.ts");', "core imports only core"],
		["src/core/a.ts", 'import { view } from "../features/show/view.ts";', "core imports only core"],
		["src/core/a.ts", 'import { createPoolParts } from "../compose/pool.ts";', "core imports only core"],
		["src/core/a.ts", "export const now = Date.now();", "is not pure"],
		["src/core/a.ts", "export const dice = () => Math.random();", "is not pure"],
		["src/core/a.ts", "export const ask = () => globalThis.fetch(url);", "is not pure"],
		["src/core/a.ts", "export const text = Buffer.from(bytes);", "is not pure"],
		["src/core/a.ts", "export const id = process.pid;", "is not pure"],
		["src/core/a.ts", "export type Pi = ExtensionAPI;", "knows ExtensionAPI"],
		["src/core/a.ts", "export const all = (usage) => usage.windows;", "reads a usage snapshot"],
		["src/core/a.ts", "export const all = (status) => status.usage?.budgets ?? [];", "reads a usage snapshot"],
		["src/pi/a.ts", "export const is = (known) => known.limitReached;", "reads a usage snapshot"],
		["src/ui-kit/a.ts", "export const of = ({ plan, credits }: UsageSnapshot) => credits;", "reads a usage snapshot"],
		["src/ui-kit/a.ts", "const { limits } = shown.usage;", "reads a usage snapshot"],
		["src/ui-kit/a.ts", "const { resetCredits = 0 } = usage ?? {};", "reads a usage snapshot"],
		["src/features/a/a.ts", "const model = lastSnapshot.reserveModel;", "reads a usage snapshot"],
		["src/core/a.ts", "export const id = text as AccountId;", "makes an id"],
		["src/features/a/a.ts", "export const session = asSessionId(text);", "makes an id"],
		["src/platform/a.ts", "const schema = z.custom<WorkspaceId>();", "makes an id"],
		["src/platform/a.ts", 'import { text } from "../ui-kit/text.ts";', "platform imports only core and platform"],
		[
			"src/platform/a.ts",
			'import type { view } from "../features/show/view.ts";',
			"platform imports only core and platform",
		],
		["src/platform/a.ts", 'import { once } from "../compose/late.ts";', "platform imports only core and platform"],
		["src/platform/a.ts", 'import type { Api } from "@mariozechner/pi-ai";', "platform does not know pi"],
		["src/ui-kit/a.ts", 'import { store } from "../platform/store.ts";', "ui-kit imports only core and ui-kit"],
		["src/ui-kit/a.ts", 'import { EOL } from "node:os";', "ui-kit imports only pi-tui"],
		["src/ui-kit/a.ts", 'import multicodex from "../../index.ts";', "imports index.ts"],
		["src/features/a/a.ts", 'import { view } from "../show/view.ts";', "a feature imports no other feature"],
		["src/features/a/a.ts", 'import type { view } from "../show/view.ts";', "a feature imports no other feature"],
		[
			"src/features/a/a.ts",
			'import { openFiles } from "../../compose/stores.ts";',
			"a feature imports no other feature",
		],
		["src/pi/a.ts", 'import type { Files } from "../compose/stores.ts";', "pi is handed platform and features"],
		["src/pi/a.ts", 'import { store } from "../platform/store.ts";', "pi is handed platform and features"],
		["src/pi/a.ts", 'import { view } from "../features/show/view.ts";', "pi is handed platform and features"],
		["src/pi/a.ts", 'import { x } from "@mariozechner/pi-ai/oauth";', "by another name than its root"],
		["src/pi/a.ts", 'import { x } from "@earendil-works/pi-ai";', "imports a package that is not installed"],
		["src/platform/a.ts", 'import { parse } from "yaml";', "imports a package that is not installed"],
		["src/platform/a.ts", 'const yaml = require("yaml");', "imports a package that is not installed"],
		["src/platform/a.ts", "const any = (name: string) => import(name);", "imports a package that is not installed"],
		["src/platform/a.ts", 'import { gone } from "./gone.ts";', "imports what is not there"],
		["src/cli/a.ts", 'import type { Api } from "@mariozechner/pi-ai";', "the program without pi does not know pi"],
		["src/cli/a.ts", 'import { compose } from "../compose.ts";', "is no part of the extension"],
		["src/cli/a.ts", 'import { openFiles } from "../compose/stores.ts";', "is no part of the extension"],
		["src/cli/a.ts", "export type Pi = ExtensionAPI;", "knows ExtensionAPI"],
		["src/attic/a.ts", "export const old = 1;", "is in no room"],
	])("finds in %s: %s", (file, text, complaint) => {
		const found = violations(projectWith(file, `${text}\n`), SAMPLE_MANIFEST);
		expect(found).toContainEqual(expect.stringContaining(complaint));
		expect(found.every((each) => each.startsWith(`${file}: `))).toBe(true);
	});

	it.each([
		"const { windows } = settings;",
		"const spent = evidence.windows;",
		"const { credits } = beyond;",
		"const windows = windowsOf(usage);",
		"const { windows } = totalsOf(usage);",
		"const row = { windows: rows, credits: creditsOf(usage) };",
		"const { capturedAt } = usage;",
	])("takes this for no look at a usage snapshot: %s", (text) => {
		expect(violations(projectWith("src/core/a.ts", `${text}\n`), SAMPLE_MANIFEST)).toEqual([]);
	});

	it("finds a file that nothing leads to", () => {
		const project = new Map(projectWith("src/core/usage.ts", "export const usage = 1;\n"));
		project.set("src/core/forgotten.ts", 'import { usage } from "./usage.ts";\n');
		expect(violations(project, SAMPLE_MANIFEST)).toEqual([
			"src/core/forgotten.ts: is not reachable from index.ts or src/cli/main.ts",
		]);
	});

	it.each([
		['import * as ai from "@mariozechner/pi-ai";', "the program without pi needs @mariozechner/pi-ai (everything)"],
		['import { VERSION } from "@mariozechner/pi-coding-agent";', "(VERSION)"],
		['import { visibleWidth, type Component, matchesKey } from "@mariozechner/pi-tui";', "pi-tui (matchesKey)"],
		['import { type Component, visibleWidth } from "@mariozechner/pi-tui";', undefined],
		['import type { Api } from "@mariozechner/pi-ai";', undefined],
	])("sees what the program without pi would need of pi: %s", (text, complaint) => {
		const project = new Map(projectWith("src/cli/main.ts", 'import { far } from "../pi/far.ts";\n'));
		project.set("src/pi/far.ts", `${text}\nexport const far = 1;\n`);
		project.set("src/cli/terminal-text.ts", "export function visibleWidth() {}\n");
		project.set("src/cli/main.ts", `${project.get("src/cli/main.ts")}import "./terminal-text.ts";\n`);
		const found = violations(project, SAMPLE_MANIFEST);
		expect(found).toEqual(complaint === undefined ? [] : [expect.stringContaining(complaint)]);
	});

	it("takes neither a comment nor a string for an import", () => {
		const text = '// import { x } from "yaml";\nexport const hint = "import x from \'yaml\'";\n/* import("yaml") */\n';
		expect(violations(projectWith("src/platform/a.ts", text), SAMPLE_MANIFEST)).toEqual([]);
	});
});
