import { type FileHandle, open, stat } from "node:fs/promises";

/** Another process may rename the file between our check and our write. */
const TRIES = 3;

/** Writes what was collected, one write at a time, so that lines stay in order. */
interface WriteBehind {
	/** Writes now, after any write in progress. */
	flush(): Promise<void>;
	/** Waits for a write in progress, without starting one. */
	ended(): Promise<void>;
	/** Writes within `ms`, unless a write is already due. Does not keep the process alive. */
	soon(ms: number): void;
}

/**
 * Creates the queue of `write`. If a background write rejects, `onFailure` gets the error, since no caller waits for
 * it.
 */
export function createWriteBehind(write: () => Promise<void>, onFailure: (error: unknown) => void): WriteBehind {
	let writing: Promise<void> | undefined;
	let timer: NodeJS.Timeout | undefined;
	const ended = async (): Promise<void> => {
		while (writing) await writing;
	};
	const flush = async (): Promise<void> => {
		clearTimeout(timer);
		timer = undefined;
		await ended();
		writing = write().finally(() => {
			writing = undefined;
		});
		await writing;
	};
	return {
		flush,
		ended,
		soon: (ms) => {
			timer ??= setTimeout(() => void flush().catch(onFailure), ms).unref();
		},
	};
}

/**
 * Appends `batch`, which consists of whole lines, to the file at `target` (a real path). Only its owner may read the
 * file. Many processes may append at once. First calls `makeRoom` with the present size; if that returns true, it has
 * put another file in place. Writes to nothing but a regular file. Throws the file system's error.
 */
export async function appendLines(
	target: string,
	batch: string,
	makeRoom: (size: number) => Promise<boolean>,
): Promise<void> {
	for (let tries = 1; tries <= TRIES; tries += 1) {
		// Opening a pipe or a device has side effects.
		const isOther = await stat(target).then(
			(found) => !found.isFile(),
			() => false,
		);
		if (isOther) return;
		const handle = await open(target, "a+", 0o600);
		try {
			const held = await handle.stat();
			if (!held.isFile()) return;
			if (held.size > 0 && (await makeRoom(held.size))) continue;
			// Another process has renamed the file since it was opened. The next round starts a new file.
			if ((await inodeOf(target)) !== held.ino) continue;
			// A line that a full disk has cut off must not run into our first line.
			const text = (await endsInALine(handle, held.size)) ? batch : `\n${batch}`;
			// A single write at the end of the file keeps the lines of several processes whole.
			await handle.write(text);
			return;
		} finally {
			await handle.close();
		}
	}
}

/** Returns the inode of a file; undefined if it does not exist or cannot be checked. */
export function inodeOf(path: string): Promise<number | undefined> {
	return stat(path).then(
		({ ino }) => ino,
		() => undefined,
	);
}

async function endsInALine(handle: FileHandle, size: number): Promise<boolean> {
	if (size === 0) return true;
	const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
	return bytesRead === 0 || buffer.toString() === "\n";
}
