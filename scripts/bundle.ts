import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type CodeSplittingNameFunction, type OutputChunk, type Plugin, type RolldownOutput, rolldown } from "rolldown";

/**
 * Bundles `src` and all runtime dependencies into `dist`: CommonJS, which Node's own `require` loads without pi's
 * transpiler. What every start needs is one file, which `warm-start.ts` loads; an `import()` makes a file of its own,
 * which is read when it is used first. A package loads it, by `package-index.cjs`; a checkout runs its sources.
 */

/** Root of this repository, without a trailing slash. */
export const root = fileURLToPath(new URL("..", import.meta.url)).replace(/[/\\]$/, "");

/** What a package has in the place of `index.ts`. */
export const PACKAGE_INDEX = join(root, "scripts/package-index.cjs");

/** The program without pi. `bin/pi-multicodex.cjs` loads it. */
const PROGRAM = join(root, "src/cli/main.ts");
/** What stands in the program in the place of pi-tui; of pi's other packages it uses none. */
const PI_TUI = "@mariozechner/pi-tui";
const STAND_IN = join(root, "src/cli/terminal-text.ts");

/** The file of the bundle that `warm-start.ts` puts pi's packages into. */
const HOST_FILE = "host.cjs";
/** What rolldown makes of the entry itself: nothing but a way to the start. */
const FACADE = "compose.cjs";
const HOST_PACKAGE = /^@mariozechner\/pi-(ai|coding-agent|tui)$/;
const VIRTUAL = "\0host:";

/** pi's own packages: whatever `warm-start.ts` was handed. */
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
 * Stands in the place of graceful-fs. proper-lockfile calls nothing of it that differs from Node's own, and loading it
 * costs every start two milliseconds and changes `fs.close` for all of pi.
 */
const FILE_SYSTEM = { "graceful-fs": "node:fs" };

/** Writes the bundle to `folder`, which is emptied first. Returns the names of its files. */
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
		// Names and lines stay readable: a stack trace of the bundle can be read, and reviewed.
		minify: false,
		// The sources have them. Every start would read and skip them.
		comments: false,
		sourcemap: true,
		entryFileNames: FACADE,
		chunkFileNames: "[name]-[hash].cjs",
		codeSplitting: {
			groups: [
				{ debugName: "start", name: startOnly(join(root, "src/compose.ts"), EVALUATED_LATE) },
				// Read by who has a shared pool, and by no other.
				{ name: "postgres", test: /[/\\]node_modules[/\\]postgres[/\\]/ },
			],
		},
	});
	await build.close();
	writeFileSync(join(folder, HOST_FILE), "exports.packages = {};\n");
	const ofExtension = output.filter((file) => file.type === "chunk");
	await writeEntry(folder, ofExtension);
	const ofProgram = await bundleProgram(folder);
	const chunks = [...ofExtension, ...ofProgram.filter((file) => file.type === "chunk")];
	writeFileSync(join(folder, "licenses.txt"), licensesOf(chunks));
	return readdirSync(folder).sort();
}

/**
 * Adds the program without pi, which shares no file with the extension: it starts in a fraction of the time that those
 * would take.
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
		entryFileNames: "cli.cjs",
		chunkFileNames: "cli-[name]-[hash].cjs",
		codeSplitting: { groups: [{ debugName: "start", name: startOnly(PROGRAM) }] },
	});
	await build.close();
	return output;
}

/** Writes what `index.ts` of a package loads: `warm-start.ts`, which loads the file that holds the start. */
async function writeEntry(folder: string, chunks: readonly OutputChunk[]): Promise<void> {
	const start = chunks.find(({ name, exports }) => name === "start" && exports.includes("compose"));
	if (start === undefined) throw new Error("the bundle holds no start that exports compose");
	// It is run by `vm`, without a loader of modules.
	if (/\bimport\(/.test(start.code)) throw new Error(`${start.fileName} imports a module by itself`);
	writeFileSync(join(folder, start.fileName), inAscii(withHostAsItIs(start.code).replace(ANNOTATION, "")));
	rmSync(join(folder, FACADE));
	rmSync(join(folder, `${FACADE}.map`), { force: true });
	const build = await rolldown({
		input: join(root, "scripts/warm-start.ts"),
		platform: "node",
		external: [/^node:/],
		transform: { target: "node20", define: { START_FILE: JSON.stringify(start.fileName) } },
	});
	await build.write({ dir: folder, format: "cjs", minify: false, comments: false, entryFileNames: "multicodex.cjs" });
	await build.close();
}

/** Tells another bundler what it may leave out. Every start would read and skip it. */
const ANNOTATION = /\/\* @__PURE__ \*\/ /g;

/** Takes away a copy of all that pi-ai exports, which is made for default imports. There is none of that package. */
function withHostAsItIs(code: string): string {
	const shortened = code.replace(/[\w.]*__toESM\((require_pi_ai\(\)), 1\)/, "$1");
	if (shortened === code) throw new Error("the bundle does not take pi-ai as it was taken");
	return shortened;
}

/** One character beyond ASCII doubles what the whole file takes in memory, and slows its reading down. */
function inAscii(code: string): string {
	if (/String\.raw`[^`]*[^\0-\x7f]/.test(code)) throw new Error("a text that is taken as it stands is not ASCII");
	return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/**
 * Imported late to be evaluated late, and needed by requests, or at the end of each session that had an answer: an
 * update of the files must not take it away.
 */
const EVALUATED_LATE = [
	/\/node_modules\/proper-lockfile\//,
	/\/src\/platform\/stores\/quota-history-store\.ts$/,
	/\/src\/platform\/stores\/ledger-store\.ts$/,
];

/** Puts everything that `entry` needs at once into one file; what is imported with `import()` stays out of it. */
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

/** The licenses of the packages that are in the bundle. */
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

/** A package in the public domain asks for no text to be passed on, and brings none. */
function withoutFile(folder: string): string {
	const { license }: { license?: unknown } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
	if (license === "Unlicense") return "In the public domain, as the Unlicense has it: https://unlicense.org";
	throw new Error(`${folder} holds no license`);
}
