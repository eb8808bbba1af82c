import { createHash } from "node:crypto";
import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import * as nodeModule from "node:module";
import { dirname, join, sep } from "node:path";
import { debuglog } from "node:util";
import { cachedDataVersionTag } from "node:v8";
import { Script } from "node:vm";
import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import type { compose as composeSources } from "../src/compose.ts";

/**
 * The entry of the bundle. Takes pi's own packages, and loads the file that every start reads together with the
 * bytecode that V8 made of it in an earlier process. Node's own compile cache, from 22.1 on, only contains the
 * functions that run while a file is loaded; this cache contains everything that a start and a first answer have
 * called. It is kept beside the code: a user who can write one can write the other, and an update removes both.
 */

/** Name of that file. `bundle.ts` inserts it. */
declare const START_FILE: string;

const DIGEST_BYTES = 32;
/** Later, V8 may have discarded what only a start needs. Milliseconds since the process started. */
const LAST_KEPT = 60_000;
/** Late enough to include the work after an answer, and without making the person wait. */
const KEPT_AFTER = 5_000;

const HEAD = Buffer.from("(function (exports, require, module, __filename, __dirname) { ");
const TAIL = Buffer.from("\n})");

const debug = debuglog("multicodex");
const load = nodeModule.createRequire(__filename);
const path = join(__dirname, START_FILE);

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
	load("./host.cjs").packages = Object.fromEntries(packages);
	const compose: typeof composeSources = isOfNode() ? loadWithCache() : load(path).compose;
	await compose(pi);
}

/** Other runtimes have no such cache, and only Node's loader follows source maps. */
function isOfNode(): boolean {
	return process.versions.bun === undefined && !process.sourceMapsEnabled;
}

function loadWithCache(): typeof composeSources {
	const cachePath = `${path}.${cachedDataVersionTag().toString(16)}.v8`;
	const cachedData = readCache(cachePath);
	if (cachedData === undefined && !isWritable(__dirname)) {
		enableCompileCache();
		return load(path).compose;
	}
	// It stores what pi itself loads from now on. The first start after an install has enough to do.
	if (cachedData !== undefined) enableCompileCache();
	// Join as bytes: joining strings would copy the text once more.
	const code = Buffer.concat([HEAD, readFileSync(path), TAIL]).toString("latin1");
	const script = new Script(code, { filename: path, ...(cachedData && { cachedData }) });
	const loaded = new nodeModule.Module(path);
	// Late files of the bundle require it by its path.
	load.cache[path] = loaded;
	script
		.runInThisContext()
		.call(loaded.exports, loaded.exports, nodeModule.createRequire(path), loaded, path, dirname(path));
	loaded.loaded = true;
	const { compose } = loaded.exports;
	if (cachedData !== undefined && script.cachedDataRejected === false) return compose;
	return (pi) => {
		const composed = compose(pi);
		keepAfterFirstAnswer(pi, () => writeCache(cachePath, script.createCachedData()));
		return composed;
	};
}

/** Available in Node from 22.1 on. */
function enableCompileCache(): void {
	const enable: unknown = Reflect.get(nodeModule, "enableCompileCache");
	if (typeof enable === "function") enable();
}

function isWritable(folder: string): boolean {
	try {
		accessSync(folder, constants.W_OK);
		return true;
	} catch (error) {
		debug("%s", error);
		return false;
	}
}

/** V8 does not check its input: half a file might crash the process. */
function readCache(cachePath: string): Buffer | undefined {
	try {
		const bytes = readFileSync(cachePath);
		const data = bytes.subarray(DIGEST_BYTES);
		return digestOf(data).equals(bytes.subarray(0, DIGEST_BYTES)) ? data : undefined;
	} catch (error) {
		debug("%s", error);
		return undefined;
	}
}

function digestOf(data: Buffer): Buffer {
	return createHash("sha256").update(data).digest();
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

/** Not written atomically, since a reader compares the digest. */
function writeCache(cachePath: string, data: Buffer): void {
	try {
		writeFileSync(cachePath, Buffer.concat([digestOf(data), data]), { mode: 0o600 });
	} catch (error) {
		debug("%s", error);
	}
}
