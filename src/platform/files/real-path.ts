import { mkdir, readlink, realpath, stat } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { codeOf, isMissing } from "./errors.ts";

/** What is wrong with a link that the system calls `ELOOP`. */
export const LOOPING = "it is a link that leads back to itself";

/** The path of one of our files leads to where no file can be. */
export class DeadPathError extends Error {
	/** What the system says of a file in such a place. */
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
 * Resolves the real path of one of our files, and creates its folder if need be: a link stays a link, and all processes
 * lock the same path. Resolves to the path itself if there is no file yet. Throws {@link DeadPathError} where a link
 * leads into a folder that is not there. It may be on a disk that is away, and a folder in its place would hide what is
 * written from all who use that disk. With `isFolderGiven` the folder of `path` itself may be such a one.
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

/** Resolves the same path, and creates nothing. */
export async function whereIs(path: string): Promise<string> {
	return realpath(path).catch((error) => {
		if (isMissing(error)) return endOfLink(path);
		throw error;
	});
}

/** The target of a link to a missing file, which is created there. `realpath` has refused loops before. */
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
