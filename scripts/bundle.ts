import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type CodeSplittingNameFunction, type OutputChunk, type Plugin, type RolldownOutput, rolldown } from "rolldown";

/**
 * Bundles `src` and all runtime dependencies into `dist` as CommonJS, which Node's own `require` loads without pi's
 * transpiler. What every start needs is one file, which `warm-start.ts` loads. Each `import()` becomes a file of its
 * own, read at first use. A package loads the bundle through `package-index.cjs`; a checkout runs its sources.
 */

/** Root of this repository, without a trailing slash. */
export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/[/\\]$/, "");

/** The file that replaces `index.ts` in a package. */
export const PACKAGE_INDEX = join(root, "scripts/package-index.cjs");

/** The program without pi, which `bin/pi-multicodex.cjs` loads. */
const PROGRAM = join(root, "src/cli/main.ts");
/** What replaces pi-tui in the program. It uses none of pi's other packages. */
const PI_TUI = "@mariozechner/pi-tui";
const STAND_IN = join(root, "src/cli/terminal-text.ts");

/** The file of the bundle through which `warm-start.ts` provides pi's packages. */
const HOST_FILE = "host.cjs";
/** The file that rolldown makes of the entry itself. It only leads to the start. */
const FACADE = "compose.cjs";
const PROGRAM_FACADE = "main.cjs";
const HOST_PACKAGE = /^@mariozechner\/pi-(ai|coding-agent|tui)$/;
const VIRTUAL = "\0host:";

/** Resolves pi's own packages to whatever `warm-start.ts` was given. */
const hostPackages: Plugin = {
	name: "host-packages",
	resolveId: {
		filter: { id: HOST_PACKAGE },
		handler: (id) => ({ id: `${VIRTUAL}${id}`, moduleSideEffects: false }),
	},
	load: {
		filter: { id: /^\0host:/ },
		handler: (id) => ({
			code: `module.exports = require("${HOST_FILE}").packages[${JSON.stringify(id.slice(VIRTUAL.length))}];`,
			moduleType: "js",
		}),
	},
};

/**
 * Replaces graceful-fs. proper-lockfile uses nothing of it that differs from Node's own, and loading it would cost
 * every start two milliseconds and change `fs.close` for all of pi.
 */
const FILE_SYSTEM = { "graceful-fs": "node:fs" };

/** Writes the bundle to `folder`, emptying it first. Returns the names of its files. */
export async function bundle(folder: string): Promise<readonly string[]> {
	rmSync(folder, { recursive: true, force: true });
	const build = await rolldown({
		cwd: root,
		input: join(root, "src/compose.ts"),
		platform: "node",
		external: [/^node:/, HOST_FILE],
		plugins: [hostPackages],
		resolve: { alias: FILE_SYSTEM },
		transform: { target: "node20" },
	});
	const { output } = await build.write({
		dir: folder,
		format: "cjs",
		paths: { [HOST_FILE]: `./${HOST_FILE}` },
		// Keep names and lines, so that stack traces of the bundle can be read and reviewed.
		minify: false,
		// The sources have the comments. Every start would read and skip them.
		comments: false,
		sourcemap: true,
		entryFileNames: FACADE,
		chunkFileNames: "[name]-[hash].cjs",
		codeSplitting: {
			groups: [
				{ debugName: "start", name: startOnly(join(root, "src/compose.ts"), EVALUATED_LATE) },
				// Only read on a machine with a shared pool.
				{ name: "postgres", test: /[/\\]node_modules[/\\]postgres[/\\]/ },
			],
		},
	});
	await build.close();
	writeFileSync(join(folder, HOST_FILE), "exports.packages = {};\n");
	const ofExtension = output.filter((file) => file.type === "chunk");
	await writeExtension(folder, ofExtension);
	const ofProgram = await bundleProgram(folder);
	const chunks = [...ofExtension, ...ofProgram.filter((file) => file.type === "chunk")];
	writeFileSync(join(folder, "licenses.txt"), licensesOf(chunks));
	return readdirSync(folder).sort();
}

/**
 * Adds the program without pi. It shares no file with the extension, so it starts in a fraction of the time that those
 * files would take.
 */
async function bundleProgram(folder: string): Promise<RolldownOutput["output"]> {
	const build = await rolldown({
		cwd: root,
		input: PROGRAM,
		platform: "node",
		external: [/^node:/],
		resolve: { alias: { [PI_TUI]: STAND_IN } },
		transform: { target: "node20" },
	});
	const { output } = await build.write({
		dir: folder,
		format: "cjs",
		minify: false,
		comments: false,
		sourcemap: true,
		entryFileNames: PROGRAM_FACADE,
		chunkFileNames: "cli-[name]-[hash].cjs",
		codeSplitting: { groups: [{ debugName: "start", name: startOnly(PROGRAM) }] },
	});
	await build.close();
	const chunks = output.filter((file) => file.type === "chunk");
	const start = chunks.find(({ name, exports }) => name === "start" && exports.includes("main"));
	if (start === undefined) throw new Error("the bundle holds no start that exports main");
	writeStart(folder, start, withLateBuiltIns(withShortExports(withHelpers(start.code, chunks))));
	removeFacade(folder, PROGRAM_FACADE);
	await writeEntry(folder, "scripts/warm-program.ts", "cli.cjs", start);
	return output;
}

/** Writes the file that every start of the extension reads, and its entry. */
async function writeExtension(folder: string, chunks: readonly OutputChunk[]): Promise<void> {
	const start = chunks.find(({ name, exports }) => name === "start" && exports.includes("compose"));
	if (start === undefined) throw new Error("the bundle holds no start that exports compose");
	writeStart(folder, start, withShortExports(withHelpers(withHostAsItIs(start.code), chunks)));
	removeFacade(folder, FACADE);
	await writeEntry(folder, "scripts/warm-start.ts", "multicodex.cjs", start);
}

function writeStart(folder: string, start: OutputChunk, code: string): void {
	// `vm` runs this file without a module loader.
	if (/\bimport\(/.test(code)) throw new Error(`${start.fileName} imports a module by itself`);
	writeFileSync(join(folder, start.fileName), inAscii(code.replace(ANNOTATION, "")));
}

function removeFacade(folder: string, facade: string): void {
	rmSync(join(folder, facade));
	rmSync(join(folder, `${facade}.map`), { force: true });
}

/** Writes the file `name`, which loads `start` with its bytecode. */
async function writeEntry(folder: string, source: string, name: string, start: OutputChunk): Promise<void> {
	const build = await rolldown({
		input: join(root, source),
		platform: "node",
		external: [/^node:/],
		transform: { target: "node20", define: { START_FILE: JSON.stringify(start.fileName) } },
	});
	await build.write({ dir: folder, format: "cjs", minify: false, comments: false, entryFileNames: name });
	await build.close();
}

/** Matches an annotation for other bundlers. Every start would read and skip it. */
const ANNOTATION = /\/\* @__PURE__ \*\/ /g;

/** Removes a copy of all exports of pi-ai, made for default imports. That package has none. */
function withHostAsItIs(code: string): string {
	const shortened = code.replace(/[\w.]*__toESM\((require_pi_ai\(\)), 1\)/, "$1");
	if (shortened === code) throw new Error("the bundle does not take pi-ai as it was taken");
	return shortened;
}

/**
 * Writes the exports of the start, which late files import, as one list. Otherwise each of some 300 names has a
 * statement of six lines, which every start would read.
 */
function withShortExports(code: string): string {
	const getters: string[] = [];
	const rest = code.replace(EXPORT, (_, name: string, local: string) => {
		getters.push(`\t${name}: () => ${local}`);
		return "";
	});
	if (getters.length === 0) throw new Error("the bundle does not export the start as it did");
	const list = `Object.entries({\n${getters.join(",\n")}\n})`;
	const all = `for (const [name, get] of ${list}) Object.defineProperty(exports, name, { enumerable: true, get });\n`;
	return rest.replace(/(?=\n\/\/# sourceMappingURL=[^\n]*\s*$|$)/, () => `\n${all}`);
}

/** What rolldown writes for one exported name. */
const EXPORT =
	/^Object\.defineProperty\(exports, "([\w$]+)", \{\s+enumerable: true,\s+get: function \(\) \{\s+return ([\w$]+);\s+\}\s+\}\);\n/gm;

/**
 * Replaces the import of rolldown's helper functions by the functions: every start would find, read and compile their
 * file. They have no state, so late files may have their own. All in one line, so that the source map stays right.
 */
function withHelpers(code: string, chunks: readonly OutputChunk[]): string {
	const helpers = chunks.find(({ name }) => name === "rolldown-runtime");
	const imported = `require("./${helpers?.fileName}")`;
	if (!helpers || !code.includes(imported)) throw new Error("the start does not import rolldown's helpers");
	const lines = helpers.code.split("\n").filter((line) => !line.startsWith("//"));
	return code.replace(imported, () => `((exports) => { ${lines.join(" ")} return exports; })({})`);
}

/** Parts of Node that a line for a status bar does not need. Loading them takes up to half of the time that it has. */
const LATE_BUILT_INS = ["crypto", "fs/promises", "timers/promises"];

/** Has these parts of Node loaded at their first use. Changes no line, so that the source map stays right. */
function withLateBuiltIns(code: string): string {
	return LATE_BUILT_INS.reduce((text, name) => {
		const required = `require("node:${name}")`;
		const local = `node_${name.replace("/", "_")}`;
		if (!text.includes(`let ${local} = ${required};`) || text.includes(`__toESM(${local}`)) {
			throw new Error(`the program does not import node:${name} as it did`);
		}
		return text.replace(required, () => `new Proxy({}, { get: (_, key) => ${required}[key] })`);
	}, code);
}

/** A single character beyond ASCII doubles the memory of the whole file and slows down reading it. */
function inAscii(code: string): string {
	if (/String\.raw`[^`]*[^\0-\x7f]/.test(code)) throw new Error("a text that is taken as it stands is not ASCII");
	return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Modules that are imported late only to be evaluated late. Requests, or the end of a session with an answer, need
 * them, so an update of the files must not remove them.
 */
const EVALUATED_LATE = [
	/\/node_modules\/proper-lockfile\//,
	/\/src\/platform\/stores\/quota-history-store\.ts$/,
	/\/src\/platform\/stores\/ledger-store\.ts$/,
];

/** Puts everything that `entry` needs at once into one file. Whatever is imported with `import()` stays out. */
function startOnly(entry: string, evaluatedLate: readonly RegExp[] = []): CodeSplittingNameFunction {
	const needed = new Set<string>();
	return (id, context) => {
		const visit = (each: string) => {
			if (needed.has(each)) return;
			needed.add(each);
			const { importedIds = [], dynamicallyImportedIds = [] } = context.getModuleInfo(each) ?? {};
			for (const imported of importedIds) visit(imported);
			const isNeeded = (found: string) => evaluatedLate.some((pattern) => pattern.test(found));
			for (const late of dynamicallyImportedIds.filter(isNeeded)) visit(late);
		};
		if (needed.size === 0) {
			visit(entry);
			// One that was moved would become a file of its own without a word.
			const unseen = evaluatedLate.find((pattern) => ![...needed].some((found) => pattern.test(found)));
			if (unseen) throw new Error(`nothing that ${entry} reaches is ${unseen}`);
		}
		return needed.has(id) ? "start" : null;
	};
}

/** Collects the licenses of the packages in the bundle. */
function licensesOf(chunks: readonly OutputChunk[]): string {
	const folders = chunks
		.flatMap((chunk) => chunk.moduleIds)
		.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id.replaceAll("\\", "/")) ?? []);
	return [...new Set(folders)]
		.sort()
		.map((folder) => {
			const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
			const name = basename(dirname(folder)).startsWith("@")
				? relative(dirname(dirname(folder)), folder)
				: basename(folder);
			const text = file === undefined ? withoutFile(folder) : readFileSync(join(folder, file), "utf8");
			return `${name}\n\n${text.trim()}\n`;
		})
		.join(`\n${"-".repeat(80)}\n\n`);
}

/** A package in the public domain brings no text and requires none. */
function withoutFile(folder: string): string {
	const { license }: { license?: unknown } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
	if (license === "Unlicense") return "In the public domain, as the Unlicense has it: https://unlicense.org";
	throw new Error(`${folder} holds no license`);
}
