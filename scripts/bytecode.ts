import { accessSync, constants, readFileSync, writeFileSync } from "node:fs";
import * as nodeModule from "node:module";
import { dirname } from "node:path";
import { debuglog } from "node:util";
import { Script } from "node:vm";

/**
 * Loads a file of the bundle together with the bytecode that V8 made of it in an earlier process. Node's own compile
 * cache, from 22.1 on, only contains the functions that run while a file is loaded; this cache contains everything that
 * was called until it was kept. It is kept beside the code: a user who can write one can write the other, and an update
 * removes both.
 */

const HEAD = Buffer.from("(function (exports, require, module, __filename, __dirname) { ");
const TAIL = Buffer.from("\n})");

const debug = debuglog("multicodex");
const load = nodeModule.createRequire(__filename);

/** A file of the bundle that was loaded. */
export interface LoadedFile {
	// biome-ignore lint/suspicious/noExplicitAny: what `require` returns; each caller gives it the type of its sources.
	readonly exports: any;
	/** Stores the bytecode of everything that has been called so far; undefined if it is stored already. */
	readonly keep?: () => void;
}

/** Tells whether bytecode is whole. V8 does not check its input: half a file might crash the process. */
export interface Checksum {
	readonly bytes: number;
	of(data: Buffer): Buffer;
}

/** Loads the file at `path`, with its bytecode if there is any. It imports other files through `requireOf`. */
export function loadWithBytecode(
	path: string,
	checksum: Checksum,
	requireOf: (id: string) => unknown = load,
): LoadedFile {
	// Other runtimes have no such cache, and only Node's loader follows source maps.
	if (process.versions.bun !== undefined || process.sourceMapsEnabled) return { exports: load(path) };
	// `node:v8` has a tag for this, but loading that takes as long as all the rest here.
	const cachePath = `${path}.${process.versions.v8}-${process.arch}.v8`;
	const cachedData = readCache(cachePath, checksum);
	if (cachedData === undefined && !isWritable(dirname(path))) {
		enableCompileCache();
		return { exports: load(path) };
	}
	// It stores what is loaded from now on. The first start after an install has enough to do.
	if (cachedData !== undefined) enableCompileCache();
	// Join as bytes: joining strings would copy the text once more.
	const code = Buffer.concat([HEAD, readFileSync(path), TAIL]).toString("latin1");
	const script = new Script(code, { filename: path, ...(cachedData && { cachedData }) });
	const loaded = provide(path, {});
	script.runInThisContext().call(loaded.exports, loaded.exports, requireOf, loaded, path, dirname(path));
	const isRejected = script.cachedDataRejected === true;
	// V8 rejects what was made with other flags. Two kinds of starts must not replace each other's over and over.
	if (cachedData !== undefined && !(isRejected && hasNoFlags())) return { exports: loaded.exports };
	return { exports: loaded.exports, keep: () => writeCache(cachePath, checksum, script.createCachedData()) };
}

function hasNoFlags(): boolean {
	return process.execArgv.length === 0 && !process.env.NODE_OPTIONS;
}

/** Makes `exports` what every file of the bundle gets that requires `path`, without a look at that file. */
export function provide(path: string, exports: unknown): nodeModule.Module {
	const made = new nodeModule.Module(path);
	made.exports = exports;
	made.loaded = true;
	load.cache[path] = made;
	return made;
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

function readCache(cachePath: string, checksum: Checksum): Buffer | undefined {
	try {
		const bytes = readFileSync(cachePath);
		const data = bytes.subarray(checksum.bytes);
		return checksum.of(data).equals(bytes.subarray(0, checksum.bytes)) ? data : undefined;
	} catch (error) {
		debug("%s", error);
		return undefined;
	}
}

/** Not written atomically, since a reader compares the checksum. */
function writeCache(cachePath: string, checksum: Checksum, data: Buffer): void {
	try {
		writeFileSync(cachePath, Buffer.concat([checksum.of(data), data]), { mode: 0o600 });
	} catch (error) {
		debug("%s", error);
	}
}
