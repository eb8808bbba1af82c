import { basename } from "node:path";
import type * as z from "zod/mini";
import { writeAtomically } from "./atomic-file.ts";
import type { Conflicts } from "./carry-over.ts";
import {
	type DocumentFormat,
	type DocumentProblem,
	type JsonSchema,
	newerThanUs,
	PASSING_CODES,
	quarantine,
	type Reading,
	type Report,
	readDocument,
	readNow,
	reasonOf,
	reportOnce,
	signatureFrom,
	signatureOf,
	unreadableFor,
	unwritableFor,
} from "./document-file.ts";
import { codeOf } from "./errors.ts";
import { LockBusyError, withLock } from "./lock.ts";
import { realTarget } from "./real-path.ts";
import { type Change, createWriteQueue, type WriteBatch, type WriteQueue } from "./write-queue.ts";
import { createWriteSchedule } from "./write-schedule.ts";

/** One of our JSON files, which many processes share. */
export interface SharedDocument<T> {
	/**
	 * Returns the newest content: the file plus the pending changes of this process. Synchronous; costs one stat if
	 * nothing changed.
	 */
	read(): T;
	/**
	 * Applies `change` to memory at once, and to the freshly read file under its lock. Resolves when the change is
	 * durable. Rejects if it could not be written: memory keeps the change, which is retried after a while and with the
	 * next write. `change` may run several times and must touch only what it owns. `isNewest`: the draft is the file
	 * under the lock, without the change; any other draft may already contain the change.
	 */
	update(change: (draft: T, isNewest: boolean) => void): Promise<void>;
	/**
	 * Does the same as `update`, for a change whose outcome is shown to a person: if it cannot be written, it is undone.
	 */
	updateOrRollBack(change: (draft: T) => void): Promise<void>;
	/**
	 * Does the same as `update`, but writes a second later, together with other changes. Failures are reported, not
	 * thrown.
	 */
	updateDebounced(change: (draft: T) => void): void;
	/** Writes all pending changes, including those of a failed write. Never rejects. */
	flush(): Promise<void>;
}

/** The options of a shared document. */
export interface SharedDocumentOptions<S extends JsonSchema> extends DocumentFormat<S> {
	readonly path: string;
	readonly empty: () => z.output<S>;
	/**
	 * Resolves a conflict with a value that another process changed before this one could write its change. By default
	 * our change wins.
	 */
	readonly conflicts?: Conflicts;
	/** Called with the old bytes before a migrated file is first overwritten. */
	readonly beforeMigration?: (bytes: string) => Promise<void>;
	/** A link leads to its folder, which is therefore not created. */
	readonly isFolderGiven?: boolean;
	/** Losing its content does no harm. A busy lock is reported only if it is still busy at the next try. */
	readonly isDisposable?: boolean;
	/** Called once per problem. Never receives content. */
	readonly onProblem: (problem: DocumentProblem) => void;
}

type Loaded<T> = Reading<T> | { readonly kind: "none" };

const LOCK_WAIT_MS = 10_000;
/** A program that writes without our lock may be in the middle of it. What is broken for longer stays so. */
const SETTLING_MS = 500;
/** A signature that no file has, so that the next read reads the file again. */
const FORGOTTEN = "forgotten";
/** Reading so many rows of a document costs about as much as applying one change again. */
const ROWS_A_CHANGE = 16;
/** pi waits for a flush when it ends, so a flush waits no longer than this for a lock. */
const FLUSH_WAIT_MS = 3000;
/**
 * If this process is suspended during a write, another one may take its lock for stale and write. Ours then starts
 * again.
 */
const TRIES_AGAINST_INTRUDERS = 3;

/** The document as this process knows it. */
interface DocumentCopy<T> {
	/** Changes that the copy contains but the file does not yet. */
	readonly queue: WriteQueue<T>;
	/** Returns the newest content: the file plus the pending changes. */
	read(): T;
	/** Takes over what was just read and written under the lock; `bytes` is undefined without a document of ours. */
	replace(next: {
		readonly value: T;
		readonly bytes: string | undefined;
		readonly signature: string | undefined;
	}): void;
	/** Reads the file again, without changes that were dropped. */
	readAgain(): void;
}

/** Creates the copy. `onUnfit` is called when the file is broken, or of an older version. */
function createDocumentCopy<S extends JsonSchema>(
	options: SharedDocumentOptions<S>,
	report: Report,
	onUnfit: () => void,
): DocumentCopy<z.output<S>> {
	type T = z.output<S>;
	const { path } = options;
	/** Signature of the file that `value` was read from; undefined without a file. */
	let signature: string | undefined;
	let value: T = options.empty();
	/** The bytes that `value` was read from; undefined if they were not a document of ours. */
	let readFrom: string | undefined;

	/** Returns the document as last read, without any change of ours. */
	const pristine = (): T => {
		const loaded = readFrom === undefined ? undefined : readDocument(readFrom, options);
		return loaded?.kind === "ok" ? loaded.value : options.empty();
	};
	const queue = createWriteQueue<T>(pristine, options.conflicts, () => sizeOf(value) / ROWS_A_CHANGE);
	const adopt = (next: T) => {
		value = next;
		queue.applyTo(value);
	};

	const read = (): T => {
		const current = signatureOf(path);
		if (current === signature && current !== undefined) return value;
		const found = readNow(path);
		if ("why" in found) {
			// Keep the present value, and read the file again next time.
			if (!PASSING_CODES.has(codeOf(found.why) ?? "")) {
				report("unreadable", unreadableFor(basename(path), found.why), reasonOf(found.why));
			}
			return value;
		}
		const { bytes } = found;
		if (bytes === undefined && signature === undefined) return value;
		signature = bytes === undefined ? undefined : current;
		const loaded: Loaded<T> = bytes === undefined ? { kind: "none" } : readDocument(bytes, options);
		readFrom = loaded.kind === "ok" ? bytes : undefined;
		adopt(loaded.kind === "ok" ? loaded.value : options.empty());
		if (loaded.kind === "newer") report("newer", newerThanUs(basename(path)));
		if (loaded.kind === "corrupt" || (loaded.kind === "ok" && loaded.migrated)) onUnfit();
		return value;
	};

	return {
		queue,
		read,
		replace: (next) => {
			({ signature, bytes: readFrom } = next);
			adopt(next.value);
		},
		readAgain: () => {
			signature = FORGOTTEN;
			read();
		},
	};
}

/** Opens a shared document. Reads and writes nothing until it is used. */
export function openSharedDocument<S extends JsonSchema>(
	options: SharedDocumentOptions<S>,
): SharedDocument<z.output<S>> {
	type T = z.output<S>;
	const { path } = options;
	const name = basename(path);
	/** Number of writes in a row that did not get the lock. */
	let busyInARow = 0;
	/** The file belongs to a newer version, so no write is retried automatically. */
	let isNewer = false;
	/** Ends the wait for the lock early. */
	let impatience = new AbortController();
	const report = reportOnce(options.onProblem);
	// Moving a broken file out of the way needs the lock, which only a write takes.
	const copy = createDocumentCopy(options, report, () => void schedule.now());
	const { queue, read } = copy;

	/**
	 * Reads, changes and replaces the file under the lock. Returns false if another process wrote although we held the
	 * lock.
	 */
	const writeOnce = async (batch: WriteBatch<T>): Promise<boolean> => {
		const target = await realTarget(path, options.isFolderGiven);
		return withLock(target, { waitMs: LOCK_WAIT_MS, signal: impatience.signal }, async () => {
			let current = signatureOf(target);
			const loaded = await loadForWriting(target, current, options, report);
			if (!loaded) return false;
			if (loaded.kind === "newer") {
				report("newer", newerThanUs(name));
				throw new NewerVersionError(name);
			}
			// The broken file was moved out of the way.
			if (loaded.kind === "corrupt") current = undefined;
			const next: T = loaded.kind === "ok" ? loaded.value : options.empty();
			batch.applyTo(next);
			const bytes = `${JSON.stringify(next, undefined, 2)}\n`;
			const isUnchanged = loaded.kind === "ok" && loaded.bytes === bytes;
			const hasNothingToKeep = loaded.kind !== "ok" && batch.isEmpty;
			if (!isUnchanged && !hasNothingToKeep) {
				const written = await writeAtomically(target, bytes, 0o600, () => signatureOf(target) === current);
				if (!written) return false;
				current = signatureFrom(written);
			}
			batch.written();
			// Keep the signature of what was written, not of the present file: a program without the lock may have replaced
			// it.
			copy.replace({ value: next, bytes: hasNothingToKeep ? undefined : bytes, signature: current });
			return true;
		});
	};

	const writeBatch = async (): Promise<void> => {
		const batch = queue.take();
		try {
			for (let tries = 1; !(await writeOnce(batch)); tries += 1) {
				if (tries >= TRIES_AGAINST_INTRUDERS) throw new LockBusyError(path);
			}
			schedule.succeeded();
			isNewer = false;
			busyInARow = 0;
			batch.settle();
		} catch (error) {
			if (batch.failed(error).isRolledBack) copy.readAgain();
			isNewer = error instanceof NewerVersionError;
			busyInARow = error instanceof LockBusyError ? busyInARow + 1 : 0;
			if (isNewer || queue.length === 0) return;
			// A file that cannot be read cannot be written either. Report that as one problem.
			if (busyInARow !== 1 || options.isDisposable !== true) {
				report("unwritable", unwritableFor(name, error), reasonOf(error));
			}
			schedule.retry();
		}
	};

	const schedule = createWriteSchedule({
		write: writeBatch,
		queue,
		isPaused: () => isNewer,
		// One of our changes cannot be applied to the newest file.
		onDefect: (error) => report("unwritable", unwritableFor(name, error), "defect"),
	});

	const writeNow = (change: Change<T>, isRolledBack: boolean): Promise<void> =>
		new Promise((resolve, reject) => {
			change(read(), false);
			const settle = (error?: unknown) => (error === undefined ? resolve() : reject(error));
			queue.add({ change, settle, isRolledBack });
			void schedule.now();
		});

	return {
		read,
		update: (change) => writeNow(change, false),
		updateOrRollBack: (change) => writeNow(change, true),
		updateDebounced: (change) => {
			change(read());
			queue.add({ change });
			schedule.soon();
		},
		flush: async () => {
			const { signal } = impatience;
			const hurry = setTimeout(() => impatience.abort(new LockBusyError(path)), FLUSH_WAIT_MS);
			try {
				await schedule.drain();
			} finally {
				clearTimeout(hurry);
				if (signal.aborted) impatience = new AbortController();
			}
		},
	};
}

/**
 * Reads the file under the lock, and moves a broken one out of the way. Returns undefined if another process has
 * replaced the file since it had the signature `seen`.
 */
async function loadForWriting<S extends JsonSchema>(
	target: string,
	seen: string | undefined,
	options: SharedDocumentOptions<S>,
	report: Report,
): Promise<Loaded<z.output<S>> | undefined> {
	const found = readNow(target);
	if ("why" in found) throw found.why;
	const { bytes } = found;
	if (bytes === undefined) return { kind: "none" };
	const loaded = readDocument(bytes, options);
	if (loaded.kind === "corrupt") {
		await new Promise((resolve) => setTimeout(resolve, SETTLING_MS));
		if (signatureOf(target) !== seen) return undefined;
		const kept = quarantine(target, options.path, seen);
		if (kept === undefined) return undefined;
		const name = basename(options.path);
		report("corrupt", `${name} could not be read. It is kept as ${basename(kept)}, and a new one is started.`);
	}
	if (loaded.kind === "ok" && loaded.migrated) await options.beforeMigration?.(loaded.bytes);
	return loaded;
}

/** Opens a document in a folder that a person's link leads to. The folder is not created. */
export const openInGivenFolder: typeof openSharedDocument = (options) =>
	openSharedDocument({ ...options, isFolderGiven: true });

/** The file belongs to a newer version of pi-multicodex and is never written. */
class NewerVersionError extends Error {
	readonly code = "ENEWER";
	constructor(name: string) {
		super(`${name} was written by a newer pi-multicodex`);
		this.name = "NewerVersionError";
	}
}

/** Counts the rows and members one level down. */
function sizeOf(value: Readonly<Record<string, unknown>>): number {
	const groups = Object.values(value).filter((each) => typeof each === "object" && each !== null);
	return groups.reduce<number>((sum, group) => sum + Object.keys(group ?? {}).length, 0);
}
