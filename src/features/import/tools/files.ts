import { readdir, readFile, stat } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import * as z from "zod/mini";
import { codeOf } from "../../../platform/files/errors.ts";
import { textFrom } from "../../../platform/json.ts";

/** Larger files are not read. No file with sign-ins is this large. */
const LARGEST_BYTES = 4 * 1024 * 1024;

/** Other tools write in place. A file that does not parse is read once more after this pause. */
const TORN_PAUSE_MS = 100;

/** The result of reading another tool's file. */
type ForeignFile<T> =
	| { readonly kind: "read"; readonly content: T }
	| { readonly kind: "missing" }
	/** The end of a sentence. */
	| { readonly kind: "unreadable"; readonly reason: string };

/** Reads another tool's file as text. Never throws and never waits: a pipe or a device is not opened. */
export async function readText(path: string): Promise<ForeignFile<string>> {
	try {
		const stats = await stat(path);
		if (!stats.isFile())
			return stats.isDirectory() ? { kind: "missing" } : { kind: "unreadable", reason: "is not a file" };
		if (stats.size > LARGEST_BYTES) return { kind: "unreadable", reason: "is too large" };
		return { kind: "read", content: textFrom(await readFile(path)) };
	} catch (error) {
		const code = codeOf(error) ?? "unknown error";
		if (code === "ENOENT" || code === "ENOTDIR") return { kind: "missing" };
		return { kind: "unreadable", reason: `cannot be read (${code})` };
	}
}

/** Reads a JSON file that another program may be writing. Damaged content is not passed on. */
export async function readJsonFile(path: string): Promise<ForeignFile<unknown>> {
	return (await readJsonOnce(path)) ?? (await readAgain(path));
}

async function readAgain(path: string): Promise<ForeignFile<unknown>> {
	await pause(TORN_PAUSE_MS);
	return (await readJsonOnce(path)) ?? { kind: "unreadable", reason: "is not valid JSON" };
}

/** Undefined if it does not parse. */
async function readJsonOnce(path: string): Promise<ForeignFile<unknown> | undefined> {
	const text = await readText(path);
	if (text.kind !== "read") return text;
	try {
		const content: unknown = JSON.parse(text.content);
		return { kind: "read", content };
	} catch {
		// The parser's message would quote the content.
		return undefined;
	}
}

/** Reads a TOML file; empty if it is missing or damaged. */
export async function readTomlFile(path: string): Promise<Readonly<Record<string, unknown>>> {
	const text = await readText(path);
	if (text.kind !== "read") return {};
	try {
		// Loaded at first use, since every start of pi would pay for it.
		const { parse } = await import("smol-toml");
		return parse(text.content);
	} catch {
		// Its own tool cannot read it either. The message would quote the content.
		return {};
	}
}

/** Expands a leading `~`. */
export function expanded(path: string, home: string): string {
	return path.replace(/^~(?=[/\\]|$)/, () => home);
}

/** Lists the names in a folder, sorted; empty if it does not exist. */
export async function namesIn(folder: string): Promise<string[]> {
	const names = await readdir(folder).catch(() => []);
	return names.sort();
}

/** Any JSON object. */
export const objectSchema = z.record(z.string(), z.unknown());
