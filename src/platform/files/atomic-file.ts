import { randomBytes } from "node:crypto";
import { type BigIntStats, renameSync } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { codeOf, isMissing } from "./errors.ts";

/** A temporary file beside its target. It proves that writing works before anything irreversible happens. */
export interface StagedFile {
	/** Writes `content` durably into the temporary file. */
	write(content: string): Promise<void>;
	/**
	 * Renames the temporary file over the target and returns the stats of the new file. The stage is used up then.
	 * `isStillOurs` is called right before the rename; if it returns false, nothing changes and the result is undefined.
	 * After that, or after an error, the stage can be written and committed again.
	 */
	commit(isStillOurs?: () => boolean): Promise<BigIntStats | undefined>;
	/** Removes the temporary file. Harmless after `commit`. */
	discard(): Promise<void>;
}

/** How long a rename is retried while another program on Windows has the target open. */
const RENAME_PATIENCE_MS = 2000;
const LEFTOVER_MS = 60_000;
const RENAME_RETRY_CODES = new Set(["EPERM", "EBUSY", "EACCES"]);

/**
 * Opens a temporary file beside `target` (a real path: resolve links first) and reserves `bytes` in it. Throws the file
 * system's error, so that a full or read-only disk is detected before a single-use token is spent.
 */
export async function stageFile(target: string, options: { bytes: number; mode: number }): Promise<StagedFile> {
	const temporary = `${target}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
	const handle = await create(temporary, options.mode);
	let current: FileHandle | undefined = handle;
	let isCommitted = false;
	/** The largest size that the file has had. Whatever exceeds its content is cut off. */
	let longest = options.bytes;
	const discard = async () => {
		await current?.close().catch(() => undefined);
		current = undefined;
		if (!isCommitted) await rm(temporary, { force: true });
	};
	/** The file must be closed for the rename, so another try opens it again. */
	const opened = async () => {
		current ??= await open(temporary, "r+");
		return current;
	};
	try {
		await sweepLeftovers(target);
		// The umask may have removed mode bits that the target has.
		await handle.chmod(options.mode);
		if (options.bytes > 0) {
			await writeAll(handle, Buffer.alloc(options.bytes, " "));
			await handle.sync();
		}
	} catch (error) {
		await discard();
		throw error;
	}
	return {
		write: async (content) => {
			const bytes = Buffer.from(content);
			await fill(await opened(), bytes, longest);
			longest = Math.max(longest, bytes.length);
		},
		commit: async (isStillOurs = () => true) => {
			const written = await opened();
			const stats = await written.stat({ bigint: true });
			current = undefined;
			await written.close();
			if (!(await renamePatiently(temporary, target, isStillOurs))) return undefined;
			isCommitted = true;
			await syncDirectory(dirname(target));
			return stats;
		},
		discard,
	};
}

/**
 * Replaces `target` with `content` in one step: temporary file, fsync, rename. Resolves to the stats of the new file.
 * `isStillOurs` is called right before the rename; if it returns false, nothing changes and the result is undefined.
 */
export async function writeAtomically(
	target: string,
	content: string,
	mode: number,
	isStillOurs: () => boolean = () => true,
): Promise<BigIntStats | undefined> {
	const staged = await stageFile(target, { bytes: 0, mode });
	try {
		await staged.write(content);
		return await staged.commit(isStillOurs);
	} finally {
		await staged.discard();
	}
}

/** Creates a file, and its folder if that does not exist yet. */
async function create(path: string, mode: number): Promise<FileHandle> {
	try {
		return await open(path, "wx", mode);
	} catch (error) {
		if (!isMissing(error)) throw error;
		await mkdir(dirname(path), { recursive: true, mode: 0o700 });
		return open(path, "wx", mode);
	}
}

/** When this process last looked for files that killed processes left behind, by target. */
const sweptAt = new Map<string, number>();

/** Removes temporary files that killed processes left beside `target`. They may hold tokens. */
async function sweepLeftovers(target: string): Promise<void> {
	const now = performance.now();
	const last = sweptAt.get(target);
	// Younger files would be kept anyway.
	if (last !== undefined && now - last < LEFTOVER_MS) return;
	sweptAt.set(target, now);
	const directory = dirname(target);
	for (const name of await leftoversIn(directory, (written) => written === basename(target))) {
		await rm(join(directory, name), { force: true });
	}
}

/** Lists temporary files in `directory` whose writers have ended. `isWanted` gets the name of the target. */
export async function leftoversIn(directory: string, isWanted: (target: string) => boolean): Promise<string[]> {
	const found: string[] = [];
	for (const name of await readdir(directory)) {
		const [, target = "", pid] = /^(.+)\.(\d+)-[0-9a-f]{8}\.tmp$/.exec(name) ?? [];
		if (pid === undefined || !isWanted(target) || isAlive(Number(pid))) continue;
		// A process in another container looks as if it had ended. A file must therefore also be older than any write.
		const age = await stat(join(directory, name)).then(
			({ mtimeMs }) => Date.now() - mtimeMs,
			() => 0,
		);
		if (age > LEFTOVER_MS) found.push(name);
	}
	return found;
}

function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return codeOf(error) === "EPERM";
	}
}

async function fill(handle: FileHandle, bytes: Buffer, formerLength: number): Promise<void> {
	await writeAll(handle, bytes);
	if (formerLength > bytes.length) await handle.truncate(bytes.length);
	await handle.sync();
}

/** Writes all bytes. A single call of `write` may write only part of them, and its count is the only sign of that. */
async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
	for (let at = 0; at < bytes.length; ) {
		const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, at);
		at += bytesWritten;
	}
}

/**
 * Renames in the same tick in which `isStillOurs` returns true. An asynchronous rename waits for a free thread, behind
 * every sync of a slow disk, and would overwrite what another process writes meanwhile. Returns false if `isStillOurs`
 * does.
 */
async function renamePatiently(from: string, to: string, isStillOurs: () => boolean): Promise<boolean> {
	const deadline = performance.now() + RENAME_PATIENCE_MS;
	for (;;) {
		if (!isStillOurs()) return false;
		try {
			renameSync(from, to);
			return true;
		} catch (error) {
			const code = codeOf(error) ?? "";
			if (!RENAME_RETRY_CODES.has(code) || performance.now() >= deadline) throw error;
		}
		await setTimeout(50);
	}
}

/**
 * Makes the rename durable if the file system can. The content is already in place, so an error here does not fail the
 * write: SMB and some FUSE file systems cannot sync a directory, and not every directory may be opened.
 */
async function syncDirectory(path: string): Promise<void> {
	if (process.platform === "win32") return;
	const handle = await open(path, "r").catch(ignored);
	await handle?.sync().catch(ignored);
	await handle?.close().catch(ignored);
}

/** See {@link syncDirectory}. */
function ignored(): undefined {
	return undefined;
}
