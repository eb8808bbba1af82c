import { realpath, stat } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { type StagedFile, stageFile } from "./atomic-file.ts";
import { signatureOf } from "./document-file.ts";
import { LockBusyError, type LockOptions, withLock } from "./lock.ts";
import { readText } from "./regular-file.ts";

/** Reserved in the temporary file beyond the present size, for longer content. */
const SPARE_BYTES = 8192;

/** How often the file is read again because another program wrote between our read and our lock. */
const TRIES = 5;

const TORN = Symbol("torn");
const TORN_PAUSE_MS = 20;

/**
 * Changes one of pi's own files. Keeps links, the mode, and everything that `change` leaves alone. Holds pi's lock only
 * for a rename, since pi's start waits for it for just 200 ms; longer only if others keep writing. `change` returns
 * undefined if there is nothing to do. Resolves to false if nothing was written.
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
				const seen = signatureOf(path);
				if ((await readText(path)) !== before) return false;
				return (await staged.commit(() => signatureOf(path) === seen)) !== undefined;
			});
			if (isDone) return true;
		} finally {
			await staged.discard();
		}
	}
	// Another program was faster each time. Now hold the lock while reading too.
	return withLock(path, lock, async () => {
		const staged = await stageBeside(path);
		try {
			return await rewrite(path, staged, change);
		} finally {
			await staged.discard();
		}
	});
}

/**
 * Replaces the file with the result of `change`, through `staged`, while its lock is held. A suspended process has lost
 * that lock, so what another program wrote since is read again and never overwritten. Resolves to false if `change`
 * returns undefined. Rejects if another program writes each time.
 */
export async function rewrite(
	path: string,
	staged: StagedFile,
	change: (bytes: string) => string | undefined,
): Promise<boolean> {
	for (let tries = 1; tries <= TRIES; tries += 1) {
		const seen = signatureOf(path);
		const after = change(await readText(path));
		if (after === undefined) return false;
		await staged.write(after);
		if (await staged.commit(() => signatureOf(path) === seen)) return true;
	}
	throw new LockBusyError(path);
}

/**
 * Applies `change` to the bytes. pi writes in place, so `change` may throw on half a file, which is then read again.
 */
function changed(bytes: string, change: (bytes: string) => string | undefined): string | undefined | typeof TORN {
	try {
		return change(bytes);
	} catch {
		return TORN;
	}
}

/** Stages a file beside the real one, so that a link stays a link. Uses the file's size and mode. */
export async function stageBeside(path: string): Promise<StagedFile> {
	const target = await realpath(path);
	const { size, mode } = await stat(target);
	return stageFile(target, { bytes: size + SPARE_BYTES, mode: mode & 0o777 });
}
