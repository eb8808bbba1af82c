import { mkdir, readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { codeOf, isMissing } from "./errors.ts";

/** What is wrong with a link for which the system reports `ELOOP`. */
export const LOOPING = "it is a link that leads back to itself";

/** The path of one of our files leads to a place where no file can be. */
export class DeadPathError extends Error {
	/** The code that the system reports for such a file. */
	readonly code: string;
	/** The reason, without the name of the file. */
	readonly reason: string;
	constructor(path: string, reason: string, code: string) {
		super(`${basename(path)} cannot be written: ${reason} (${code})`);
		this.name = "DeadPathError";
		this.code = code;
		this.reason = reason;
	}
}

/**
 * Resolves the real path of one of our files, so that a link stays a link and all processes lock the same path. Creates
 * its folder if necessary. Resolves to the path itself if the file does not exist yet. Throws {@link DeadPathError} if
 * a link leads into a missing folder: it may be on a disk that is not mounted, and a new folder there would hide what
 * is written from other users of that disk. With `isFolderGiven` the folder of `path` may itself be such a folder.
 */
export async function realTarget(path: string, isFolderGiven = false): Promise<string> {
	try {
		return await realpath(path);
	} catch (error) {
		const code = codeOf(error);
		if (code === "ELOOP") throw new DeadPathError(path, LOOPING, code);
		if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
	}
	const target = await endOfLink(path);
	if (target === path && !isFolderGiven) await mkdir(dirname(path), { recursive: true, mode: 0o700 });
	const folder = dirname(target);
	if (await isFolder(folder)) return target;
	const missing = `there is no folder ${folder}`;
	throw new DeadPathError(path, target === path ? missing : `it is a link to ${target}, and ${missing}`, "ENOTDIR");
}

/** Resolves the same path without creating anything. */
export async function whereIs(path: string): Promise<string> {
	return realpath(path).catch((error) => {
		if (isMissing(error)) return endOfLink(path);
		throw error;
	});
}

/**
 * Returns the target of a link to a missing file, where the file is then created. `realpath` has already refused loops.
 */
async function endOfLink(path: string): Promise<string> {
	const next = await readlink(path).catch(() => undefined);
	if (next === undefined) return path;
	const folder = await realpath(dirname(path)).catch(() => dirname(path));
	return endOfLink(resolve(folder, next));
}

function isFolder(path: string): Promise<boolean> {
	return stat(path).then(
		(found) => found.isDirectory(),
		() => false,
	);
}
