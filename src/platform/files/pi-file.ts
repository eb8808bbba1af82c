import { realpath, stat } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import { type StagedFile, stageFile } from "./atomic-file.ts";
import { LockBusyError, type LockOptions, withLock } from "./lock.ts";
import { readText } from "./regular-file.ts";
import { signatureOf } from "./shared-document.ts";

/** The temporary file reserves this much beyond the present size, for longer content. */
const SPARE_BYTES = 8192;

/** How often the file is read again because another program wrote between our look and our lock. */
const TRIES = 5;

const TORN = Symbol("torn");
const TORN_PAUSE_MS = 20;

/**
 * Changes one of pi's own files. Links stay links; the mode stays, and everything that `change` leaves alone. pi's lock
 * is held for a rename only, because pi's start gives up waiting for it after 200 ms, unless others write all the time.
 * `change` returns undefined if there is nothing to do. Resolves to false if nothing was written.
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
	// Another program was quicker each time. Now the lock is held over the read, too.
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
 * Replaces the file by what `change` makes of it, through `staged`, while its lock is held. A process that was stopped
 * has lost that lock: what another program wrote since the look at the file is looked at again, and never overwritten.
 * Resolves to false if `change` returns undefined; rejects if another program writes each time.
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

/** Applies `change` to the bytes. pi writes in place, so `change` may throw over half a file, which is read again. */
function changed(bytes: string, change: (bytes: string) => string | undefined): string | undefined | typeof TORN {
	try {
		return change(bytes);
	} catch {
		return TORN;
	}
}

/** Stages a file beside the real one, so that a link stays a link; size and mode are those of the file. */
export async function stageBeside(path: string): Promise<StagedFile> {
	const target = await realpath(path);
	const { size, mode } = await stat(target);
	return stageFile(target, { bytes: size + SPARE_BYTES, mode: mode & 0o777 });
}
