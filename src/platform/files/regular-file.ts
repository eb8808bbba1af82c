import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats, statSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { textFrom } from "../json.ts";

/** The largest file that is read. Our files and pi's are a few kilobytes. */
const MOST_BYTES = 64 * 1024 * 1024;

/** Without this flag, opening a pipe waits for a writer. Windows has neither. */
const READ_ONLY = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Thrown for a folder, a pipe, a socket or a device, and for a file that is far too large. */
export class NotReadableError extends Error {
	readonly code: "ENOTREGULAR" | "EFBIG";
	constructor(path: string, code: "ENOTREGULAR" | "EFBIG") {
		super(code === "EFBIG" ? `${path} is too large` : `${path} is not a regular file`);
		this.name = "NotReadableError";
		this.code = code;
	}
}

/** Reads a text file of any system synchronously. Throws {@link NotReadableError}, or the file system's error. */
export function readTextNow(path: string): string {
	// Check before opening: opening some devices has a side effect.
	assertReadable(path, statSync(path));
	const file = openSync(path, READ_ONLY);
	try {
		// Another file may have replaced it meanwhile.
		assertReadable(path, fstatSync(file));
		return textFrom(readFileSync(file));
	} finally {
		closeSync(file);
	}
}

/** Reads a text file of any system. Rejects with {@link NotReadableError}, or with the file system's error. */
export async function readText(path: string): Promise<string> {
	assertReadable(path, await stat(path));
	const handle = await open(path, READ_ONLY);
	try {
		assertReadable(path, await handle.stat());
		return textFrom(await handle.readFile());
	} finally {
		await handle.close();
	}
}

function assertReadable(path: string, stats: Stats): void {
	if (!stats.isFile()) throw new NotReadableError(path, "ENOTREGULAR");
	if (stats.size > MOST_BYTES) throw new NotReadableError(path, "EFBIG");
}
