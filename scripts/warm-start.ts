import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { join, sep } from "node:path";
import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import type { compose as composeSources } from "../src/compose.ts";
import { type Checksum, loadWithBytecode, provide } from "./bytecode.ts";

/** The entry of the bundle. Takes pi's own packages, and loads the file that every start reads. */

/** Name of that file. `bundle.ts` inserts it. */
declare const START_FILE: string;

/** Later, V8 may have discarded what only a start needs. Milliseconds since the process started. */
const LAST_KEPT = 60_000;
/** Late enough to include the work after an answer, and without making the person wait. */
const KEPT_AFTER = 5_000;

const load = createRequire(__filename);
const HOST_FILE = "./host.cjs";

/** pi has loaded `node:crypto` itself. */
const SHA256: Checksum = { bytes: 32, of: (data) => createHash("sha256").update(data).digest() };

/** The names by which `bundle.ts` finds pi's own packages. */
const HOST_PACKAGES = ["@mariozechner/pi-ai", "@mariozechner/pi-coding-agent", "@mariozechner/pi-tui"] as const;

/** Imports one of pi's packages, like pi's loader for extensions. */
type ImportPackage = (name: string) => Promise<unknown>;

// After an update, `/reload` must not find old files, including this one.
for (const each of Object.keys(load.cache)) if (each.startsWith(__dirname + sep)) delete load.cache[each];

/**
 * Starts pi-multicodex. Missing or damaged bytecode is created again after the first answer. A loader without an
 * `import` of its own uses Node's.
 */
export async function start(pi: ExtensionAPI, importPackage: ImportPackage = (name) => import(name)): Promise<void> {
	const packages = await Promise.all(HOST_PACKAGES.map(async (name) => [name, await importPackage(name)] as const));
	const host = { packages: Object.fromEntries(packages) };
	provide(join(__dirname, HOST_FILE), host);
	const requireOf = (id: string) => (id === HOST_FILE ? host : load(id));
	const loaded = loadWithBytecode(join(__dirname, START_FILE), SHA256, requireOf);
	const compose: typeof composeSources = loaded.exports.compose;
	const composed = compose(pi);
	if (loaded.keep) keepAfterFirstAnswer(pi, loaded.keep);
	await composed;
}

function keepAfterFirstAnswer(pi: ExtensionAPI, write: () => void): void {
	let isDue = true;
	const keep = () => {
		if (isDue) write();
		isDue = false;
	};
	let isFirst = true;
	pi.on("agent_end", () => {
		if (isFirst && performance.now() < LAST_KEPT) {
			setTimeout(keep, KEPT_AFTER).unref();
			process.once("exit", keep);
		}
		isFirst = false;
	});
}
