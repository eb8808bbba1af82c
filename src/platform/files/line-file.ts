import { type FileHandle, open, stat } from "node:fs/promises";

/** Another process may rename the file between our look at it and our write. */
const TRIES = 3;

/** Writes what has been collected, one write after the other, so that lines stay in order. */
export interface WriteBehind {
	/** Writes now, after a write that is under way. */
	flush(): Promise<void>;
	/** Waits for a write that is under way, and begins none. */
	ended(): Promise<void>;
	/** Writes within `ms` unless a write is due already. The process does not stay alive for it. */
	soon(ms: number): void;
}

/** Creates it over `write`. What rejects behind, where no caller waits for it, goes to `onFailure`. */
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
 * Appends `batch`, which is whole lines, to the file at `target` (a real path), which only its owner may read. Many
 * processes may do so at once. Before that `makeRoom` gets the size of the file as it is; true says that it has put
 * another file in its place. Nothing is written to what is no regular file. Throws the error of the file system.
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
			// Another process has renamed it since it was opened: the next round begins a new file.
			if ((await inodeOf(target)) !== held.ino) continue;
			// A line that a full disk has cut off must not swallow our first line.
			const text = (await endsInALine(handle, held.size)) ? batch : `\n${batch}`;
			// One write at the end of the file keeps the lines of several processes whole.
			await handle.write(text);
			return;
		} finally {
			await handle.close();
		}
	}
}

/** The inode of a file; undefined if there is none, or if it cannot be looked at. */
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
