import { type BigIntStats, renameSync, statSync } from "node:fs";
import { basename } from "node:path";
import type * as z from "zod/mini";
import { withoutMark } from "../json.ts";
import { writeAtomically } from "./atomic-file.ts";
import type { Conflicts } from "./carry-over.ts";
import { codeOf, isMissing } from "./errors.ts";
import { LockBusyError, withLock } from "./lock.ts";
import { DeadPathError, LOOPING, realTarget } from "./real-path.ts";
import { NotReadableError, readTextNow } from "./regular-file.ts";
import { type Change, createWriteQueue, type WriteBatch } from "./write-queue.ts";

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

/** The schema of a document. It must describe an object. */
type JsonSchema = z.ZodMiniType<Record<string, unknown>>;

/** The format of one of our files. */
export interface DocumentFormat<S extends JsonSchema> {
	readonly schema: S;
	/** Newest version this code understands; files with a larger `version` are never written. */
	readonly version: number;
	/**
	 * Converts older versions to the present shape, before the schema is applied. If it throws, the file counts as
	 * corrupt.
	 */
	readonly migrate?: (raw: unknown) => unknown;
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
	readonly onProblem: (problem: { kind: ProblemKind; text: string }) => void;
}

type ProblemKind = "corrupt" | "newer" | "unwritable" | "unreadable";

/** The result of reading a file. */
export type Reading<T> =
	| { readonly kind: "ok"; readonly value: T; readonly bytes: string; readonly migrated: boolean }
	| { readonly kind: "corrupt" | "newer" };
type Loaded<T> = Reading<T> | { readonly kind: "none" };

const LOCK_WAIT_MS = 10_000;
/** A signature that no file has, so that the next read reads the file again. */
const FORGOTTEN = "forgotten";
const COALESCE_MS = 1000;
/** Reading so many rows of a document costs about as much as applying one change again. */
const ROWS_A_CHANGE = 16;
const LONGEST_RETRY_MS = 30_000;
/** pi waits for a flush when it ends, so a flush waits no longer than this for a lock. */
const FLUSH_WAIT_MS = 3000;
/** Error codes that pass by themselves. */
export const PASSING_CODES: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EAGAIN", "EBUSY", "EINTR", "EIO"]);
/**
 * If this process is suspended during a write, another one may take its lock for stale and write. Ours then starts
 * again.
 */
const TRIES_AGAINST_INTRUDERS = 3;

/** Opens a shared document. Reads and writes nothing until it is used. */
export function openSharedDocument<S extends JsonSchema>(
	options: SharedDocumentOptions<S>,
): SharedDocument<z.output<S>> {
	type T = z.output<S>;
	const { path } = options;
	const name = basename(path);
	/** Signature of the file that `value` was read from; undefined without a file. */
	let signature: string | undefined;
	let value: T = options.empty();
	/** The bytes that `value` was read from; undefined if they were not a document of ours. */
	let readFrom: string | undefined;
	let writing: Promise<void> | undefined;
	let timer: NodeJS.Timeout | undefined;
	let retryMs = COALESCE_MS;
	/** Number of writes in a row that did not get the lock. */
	let busyInARow = 0;
	/** The file belongs to a newer version, so no write is retried automatically. */
	let isNewer = false;
	/** Ends the wait for the lock early. */
	let impatience = new AbortController();
	const reported = new Set<string>();

	const report = (kind: ProblemKind, text: string, cause = text) => {
		if (reported.has(cause)) return;
		reported.add(cause);
		options.onProblem({ kind, text });
	};

	/** Returns the document as last read, without any change of ours. */
	const pristine = (): T => {
		const loaded = readFrom === undefined ? undefined : readDocument(readFrom, options);
		return loaded?.kind === "ok" ? loaded.value : options.empty();
	};
	/** Changes that `value` contains but the file does not yet. */
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
			if (!PASSING_CODES.has(codeOf(found.why) ?? "")) reportUnreadable(found.why);
			return value;
		}
		const { bytes } = found;
		if (bytes === undefined && signature === undefined) return value;
		signature = bytes === undefined ? undefined : current;
		const loaded: Loaded<T> = bytes === undefined ? { kind: "none" } : readDocument(bytes, options);
		readFrom = loaded.kind === "ok" ? bytes : undefined;
		adopt(loaded.kind === "ok" ? loaded.value : options.empty());
		if (loaded.kind === "newer") reportNewer();
		// Moving a broken file out of the way needs the lock, which only a write takes.
		if (loaded.kind === "corrupt" || (loaded.kind === "ok" && loaded.migrated)) void write();
		return value;
	};

	const reportNewer = () => report("newer", newerThanUs(name));

	const reportUnreadable = (why: unknown) => report("unreadable", unreadableFor(name, why), reasonOf(why));

	/**
	 * Reads the file under the lock, and moves a broken one out of the way. Returns undefined if another process has
	 * replaced the file since it had the signature `seen`.
	 */
	const loadForWriting = async (target: string, seen: string | undefined): Promise<Loaded<T> | undefined> => {
		const found = readNow(target);
		if ("why" in found) throw found.why;
		const { bytes } = found;
		if (bytes === undefined) return { kind: "none" };
		const loaded = readDocument(bytes, options);
		if (loaded.kind === "corrupt") {
			const kept = quarantine(target, path, seen);
			if (kept === undefined) return undefined;
			report("corrupt", `${name} could not be read. It is kept as ${basename(kept)}, and a new one is begun.`);
		}
		if (loaded.kind === "ok" && loaded.migrated) await options.beforeMigration?.(loaded.bytes);
		return loaded;
	};

	/**
	 * Reads, changes and replaces the file under the lock. Returns false if another process wrote although we held the
	 * lock.
	 */
	const writeOnce = async (batch: WriteBatch<T>): Promise<boolean> => {
		const target = await realTarget(path, options.isFolderGiven);
		return withLock(target, { waitMs: LOCK_WAIT_MS, signal: impatience.signal }, async () => {
			let current = signatureOf(target);
			const loaded = await loadForWriting(target, current);
			if (!loaded) return false;
			if (loaded.kind === "newer") {
				reportNewer();
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
			// Keep the signature of what was written, not of the present file: a program without the lock may have replaced
			// it.
			signature = current;
			readFrom = hasNothingToKeep ? undefined : bytes;
			batch.written();
			adopt(next);
			return true;
		});
	};

	const writeBatch = async (): Promise<void> => {
		const batch = queue.take();
		try {
			for (let tries = 1; !(await writeOnce(batch)); tries += 1) {
				if (tries >= TRIES_AGAINST_INTRUDERS) throw new LockBusyError(path);
			}
			retryMs = COALESCE_MS;
			isNewer = false;
			busyInARow = 0;
			batch.settle();
		} catch (error) {
			if (batch.failed(error).isRolledBack) {
				// Read again, without the changes that were dropped.
				signature = FORGOTTEN;
				read();
			}
			isNewer = error instanceof NewerVersionError;
			busyInARow = error instanceof LockBusyError ? busyInARow + 1 : 0;
			if (isNewer || queue.length === 0) return;
			const reason = reasonOf(error);
			// A file that cannot be read cannot be written either. Report that as one problem.
			if (busyInARow !== 1 || options.isDisposable !== true) {
				report("unwritable", `${name} cannot be written (${reason}); changes are kept in memory.`, reason);
			}
			retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
			writeIn(retryMs);
		}
	};

	const write = (): Promise<void> => {
		stopTimer();
		writing ??= (async () => {
			try {
				// Put all changes of this tick into one write.
				await Promise.resolve();
				do await writeBatch();
				while (queue.hasWaiting());
			} catch (error) {
				// One of our changes cannot be applied to the newest file. Most callers do not wait, and an unhandled rejection
				// would end pi.
				report("unwritable", `${name} cannot be written (${reasonOf(error)}); changes are kept in memory.`, "defect");
				retryMs = LONGEST_RETRY_MS;
				writeIn(retryMs);
			} finally {
				// In the same tick as the last check of the queue, so that no change is missed in between.
				writing = undefined;
				if (queue.length === 0) stopTimer();
				else if (!isNewer) writeIn(COALESCE_MS);
			}
		})();
		return writing;
	};

	const stopTimer = () => {
		clearTimeout(timer);
		timer = undefined;
	};

	const writeIn = (ms: number) => {
		if (timer) return;
		timer = setTimeout(() => void write(), ms);
		timer.unref();
	};

	const writeNow = (change: Change<T>, isRolledBack: boolean): Promise<void> =>
		new Promise((resolve, reject) => {
			read();
			change(value, false);
			const settle = (error?: unknown) => (error === undefined ? resolve() : reject(error));
			queue.add({ change, settle, isRolledBack });
			void write();
		});

	return {
		read,
		update: (change) => writeNow(change, false),
		updateOrRollBack: (change) => writeNow(change, true),
		updateDebounced: (change) => {
			read();
			change(value);
			queue.add({ change });
			writeIn(COALESCE_MS);
		},
		flush: async () => {
			const { signal } = impatience;
			const hurry = setTimeout(() => impatience.abort(new LockBusyError(path)), FLUSH_WAIT_MS);
			try {
				await writing;
				if (queue.length > 0) await write();
			} finally {
				clearTimeout(hurry);
				if (signal.aborted) impatience = new AbortController();
			}
		},
	};
}

/** Opens a document in a folder that a person's link leads to. The folder is not created. */
export const openInGivenFolder: typeof openSharedDocument = (options) =>
	openSharedDocument({ ...options, isFolderGiven: true });

/** Reads the bytes of one of our files. Never throws. */
export function readDocument<S extends JsonSchema>(bytes: string, format: DocumentFormat<S>): Reading<z.output<S>> {
	try {
		const raw: unknown = JSON.parse(withoutMark(bytes));
		if (versionOf(raw) > format.version) return { kind: "newer" };
		const migrated = format.migrate?.(raw) ?? raw;
		return { kind: "ok", value: format.schema.parse(migrated), bytes, migrated: migrated !== raw };
	} catch {
		// Errors of JSON and schemas quote content, which may be a token. Pass on only the kind.
		return { kind: "corrupt" };
	}
}

/**
 * Renames a broken file, beside `path`, and returns its new path. The caller holds the lock, but others may have taken
 * it for stale: a file without the signature `seen` was written by them, and stays.
 */
export function quarantine(target: string, path: string, seen: string | undefined): string | undefined {
	const kept = `${path}.corrupt-${Date.now()}`;
	if (signatureOf(target) !== seen) return undefined;
	renameSync(target, kept);
	return kept;
}

/** The file belongs to a newer version of pi-multicodex and is never written. */
class NewerVersionError extends Error {
	readonly code = "ENEWER";
	constructor(name: string) {
		super(`${name} was written by a newer pi-multicodex`);
		this.name = "NewerVersionError";
	}
}

/** Returns the version in a document, which may be text; 0 without one. */
export function versionOf(raw: unknown): number {
	const version = typeof raw === "object" && raw !== null && "version" in raw ? raw.version : undefined;
	if (typeof version === "string") return /^\d+$/.test(version) ? Number(version) : 0;
	return typeof version === "number" ? version : 0;
}

/** Returns the bytes of a file, undefined if it does not exist; otherwise why it cannot be read. */
export function readNow(path: string): { readonly bytes: string | undefined } | { readonly why: unknown } {
	try {
		return { bytes: readTextNow(path) };
	} catch (error) {
		const isThere = !isMissing(error) && codeOf(error) !== "ENOTDIR";
		return isThere ? { why: error } : { bytes: undefined };
	}
}

/** Returns a signature of a file's content, as far as a stat can tell; undefined without a file. */
export function signatureOf(path: string): string | undefined {
	try {
		// Avoid an error for each missing file: it would cost more than all checks of existing ones.
		const found = statSync(path, { bigint: true, throwIfNoEntry: false });
		return found && signatureFrom(found);
	} catch {
		// Unreachable. There is nothing to read either way.
		return undefined;
	}
}

/** Counts the rows and members one level down. */
function sizeOf(value: Readonly<Record<string, unknown>>): number {
	const groups = Object.values(value).filter((each) => typeof each === "object" && each !== null);
	return groups.reduce<number>((sum, group) => sum + Object.keys(group ?? {}).length, 0);
}

function signatureFrom({ ino, size, mtimeNs }: BigIntStats): string {
	return `${ino}:${size}:${mtimeNs}`;
}

/** Returns the message for a file of a newer version. */
export function newerThanUs(name: string): string {
	return `${name} was written by a newer pi-multicodex and is left as it is. Update this one.`;
}

/** Returns the message for a file that cannot be read. */
export function unreadableFor(name: string, why: unknown): string {
	return `${name} cannot be read (${reasonOf(why)}) and is left as it is.`;
}

/** Returns why one of our files cannot be read or written, in a word or two. */
export function reasonOf(error: unknown): string {
	if (error instanceof LockBusyError) return "locked by another process";
	if (error instanceof DeadPathError) return error.reason;
	if (error instanceof NotReadableError) return error.code === "EFBIG" ? "too large" : "not a regular file";
	// The error of JSON for a value that is nested a hundred thousand times.
	if (error instanceof RangeError) return "nested too deeply, or too large";
	const code = codeOf(error) ?? "unknown error";
	return code === "ELOOP" ? LOOPING : code;
}
