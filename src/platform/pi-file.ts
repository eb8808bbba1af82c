import { realpath, stat } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { type StagedFile, stageFile } from "./atomic-file.ts";
import { type LockOptions, withLock } from "./lock.ts";
import { readText } from "./regular-file.ts";

/** Room proven beyond the present size, for what is longer than before. */
const SPARE_BYTES = 8192;

/** pi, or another program that keeps to its lock, wrote between our look and our lock: it is looked at again. */
const TRIES = 5;

const TORN = Symbol("torn");
const TORN_PAUSE_MS = 20;

/**
 * Changes one of pi's own files: links stay links, mode and everything that `change` leaves alone stay, and pi's lock is
 * held for a rename only, unless others write all the time, because pi's start gives up waiting for it after 200 ms.
 * `change` returns undefined where there is nothing to do. False where nothing was written.
 */
export async function changePiFile(
	path: string,
	lock: LockOptions,
	change: (bytes: string) => string | undefined,
): Promise<boolean> {
	for (let tries = 1; tries < TRIES; tries += 1) {
		const before = await readText(path);
		const after = changed(before, change);
		if (after === TORN) {
			await setTimeout(TORN_PAUSE_MS);
			continue;
		}
		if (after === undefined) return false;
		const staged = await stageBeside(path);
		try {
			await staged.write(after);
			const isDone = await withLock(path, lock, async () => {
				if ((await readText(path)) !== before) return false;
				await staged.commit();
				return true;
			});
			if (isDone) return true;
		} finally {
			await staged.discard();
		}
	}
	// Somebody was quicker each time: now nobody gets in between.
	return withLock(path, lock, async () => {
		const after = change(await readText(path));
		if (after === undefined) return false;
		const staged = await stageBeside(path);
		try {
			await staged.write(after);
			await staged.commit();
			return true;
		} finally {
			await staged.discard();
		}
	});
}

/** What `change` makes of the bytes. pi writes in place: what it throws over may be half a file, and is read again. */
function changed(bytes: string, change: (bytes: string) => string | undefined): string | undefined | typeof TORN {
	try {
		return change(bytes);
	} catch {
		return TORN;
	}
}

/** Stages beside the real file, so that a link stays one; size and mode are those of the file. */
export async function stageBeside(path: string): Promise<StagedFile> {
	const target = await realpath(path);
	const { size, mode } = await stat(target);
	return stageFile(target, { bytes: size + SPARE_BYTES, mode: mode & 0o777 });
}
