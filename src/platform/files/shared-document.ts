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

/** A JSON file of ours that many processes share. */
export interface SharedDocument<T> {
	/**
	 * The newest content: the file with the pending changes of this process. Synchronous; one stat if nothing changed.
	 */
	read(): T;
	/**
	 * Applies `change` in memory at once, and to the freshly read file under its lock. Resolves when the change is
	 * durable. Rejects when it could not be written: memory keeps the change, and it is retried after a while and with
	 * the next write. `change` may run several times and must touch only what it owns. `isNewest`: the draft is the file
	 * as it is under the lock, without the change; any other draft may have the change already.
	 */
	update(change: (draft: T, isNewest: boolean) => void): Promise<void>;
	/** Works as `update` does, for a change whose outcome a person sees: one that cannot be written is undone. */
	updateOrRollBack(change: (draft: T) => void): Promise<void>;
	/** Works as `update` does, but writes a second later, with other changes. Failures are reported, not thrown. */
	updateDebounced(change: (draft: T) => void): void;
	/** Writes all pending changes, including those of a failed write. Never rejects. */
	flush(): Promise<void>;
}

/** The schema of a document, which is an object. */
type JsonSchema = z.ZodMiniType<Record<string, unknown>>;

/** The format of a file of ours. */
export interface DocumentFormat<S extends JsonSchema> {
	readonly schema: S;
	/** Newest version this code understands; files with a larger `version` are never written. */
	readonly version: number;
	/**
	 * Turns older versions into today's shape, before the schema is applied. May throw; then the file counts as corrupt.
	 */
	readonly migrate?: (raw: unknown) => unknown;
}

/** The parts of a shared document. */
export interface SharedDocumentOptions<S extends JsonSchema> extends DocumentFormat<S> {
	readonly path: string;
	readonly empty: () => z.output<S>;
	/**
	 * Decides over a value that another process has changed since this one could not write its change. By default ours
	 * wins.
	 */
	readonly conflicts?: Conflicts;
	/** Called with the former bytes before a migrated file is first overwritten. */
	readonly beforeMigration?: (bytes: string) => Promise<void>;
	/** Its folder is where a link leads, and is not created. */
	readonly isFolderGiven?: boolean;
	/** Nothing in it is precious: that its lock is busy is reported only when it is so at the next try, too. */
	readonly isDisposable?: boolean;
	/** Called once per problem; never receives content. */
	readonly onProblem: (problem: { kind: ProblemKind; text: string }) => void;
}

type ProblemKind = "corrupt" | "newer" | "unwritable" | "unreadable";

/** A file that was read. */
export type Reading<T> =
	| { readonly kind: "ok"; readonly value: T; readonly bytes: string; readonly migrated: boolean }
	| { readonly kind: "corrupt" | "newer" };
type Loaded<T> = Reading<T> | { readonly kind: "none" };

const LOCK_WAIT_MS = 10_000;
/** The signature of no file: the next look reads the file again. */
const FORGOTTEN = "forgotten";
const COALESCE_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
/** pi waits for a flush when it ends, so a flush waits no longer for a lock. */
const FLUSH_WAIT_MS = 3000;
/** Errors that pass by themselves. */
export const PASSING_CODES: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EAGAIN", "EBUSY", "EINTR", "EIO"]);
/** If this process is stopped in mid-write, another one takes the lock for stale and writes: then ours starts anew. */
const TRIES_AGAINST_INTRUDERS = 3;

/** Opens a shared document. Nothing is read or written until it is used. */
export function openSharedDocument<S extends JsonSchema>(
	options: SharedDocumentOptions<S>,
): SharedDocument<z.output<S>> {
	type T = z.output<S>;
	const { path } = options;
	const name = basename(path);
	/** Signature of the file that `value` was read from; undefined without a file. */
	let signature: string | undefined;
	let value: T = options.empty();
	/** The bytes that `value` was read from; undefined if they were no document of ours. */
	let readFrom: string | undefined;
	let writing: Promise<void> | undefined;
	let timer: NodeJS.Timeout | undefined;
	let retryMs = COALESCE_MS;
	/** Writes in a row that did not get the lock. */
	let busyInARow = 0;
	/** The file belongs to a newer version: no write is retried by itself. */
	let isNewer = false;
	/** Ends the wait for the lock early. */
	let impatience = new AbortController();
	const reported = new Set<string>();

	const report = (kind: ProblemKind, text: string, cause = text) => {
		if (reported.has(cause)) return;
		reported.add(cause);
		options.onProblem({ kind, text });
	};

	/** The document as last read, without any change of ours. */
	const pristine = (): T => {
		const loaded = readFrom === undefined ? undefined : readDocument(readFrom, options);
		return loaded?.kind === "ok" ? loaded.value : options.empty();
	};
	/** Changes that `value` has, and the file does not have yet. */
	const queue = createWriteQueue<T>(pristine, options.conflicts);

	const adopt = (next: T) => {
		value = next;
		queue.applyTo(value);
	};

	const read = (): T => {
		const current = signatureOf(path);
		if (current === signature && current !== undefined) return value;
		const found = readNow(path);
		if ("why" in found) {
			// The present value stays, and the file is read again next time.
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
	 * Reads the file under the lock, and moves a broken one out of the way. Undefined if another process has replaced it
	 * since it had the signature `seen`.
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

	/** Reads, changes and replaces the file under the lock. False if another process wrote although we held the lock. */
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
			// A broken one was moved out of the way.
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
			// The signature of what was written, not of the file by now: a program without the lock may have replaced it.
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
				// Read again without the changes that were dropped.
				signature = FORGOTTEN;
				read();
			}
			isNewer = error instanceof NewerVersionError;
			busyInARow = error instanceof LockBusyError ? busyInARow + 1 : 0;
			if (isNewer || queue.length === 0) return;
			const reason = reasonOf(error);
			// A file that cannot be read cannot be written either: that is one problem, reported once.
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
				// All changes of this tick go into one write.
				await Promise.resolve();
				do await writeBatch();
				while (queue.hasWaiting());
			} catch (error) {
				// A change of ours that cannot be made to the newest file. Most callers do not wait, and pi would end with it.
				report("unwritable", `${name} cannot be written (${reasonOf(error)}); changes are kept in memory.`, "defect");
				retryMs = LONGEST_RETRY_MS;
				writeIn(retryMs);
			} finally {
				// In the same tick as the last look at the queue, so that no change falls in between.
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

/** Opens one in a folder to which a link of the person leads: that is not created. */
export const openInGivenFolder: typeof openSharedDocument = (options) =>
	openSharedDocument({ ...options, isFolderGiven: true });

/** Reads the bytes of a file of ours. Never throws. */
export function readDocument<S extends JsonSchema>(bytes: string, format: DocumentFormat<S>): Reading<z.output<S>> {
	try {
		const raw: unknown = JSON.parse(withoutMark(bytes));
		if (versionOf(raw) > format.version) return { kind: "newer" };
		const migrated = format.migrate?.(raw) ?? raw;
		return { kind: "ok", value: format.schema.parse(migrated), bytes, migrated: migrated !== raw };
	} catch {
		// Errors of JSON and schemas quote the content, which may be a token: only the kind is passed on.
		return { kind: "corrupt" };
	}
}

/**
 * Renames a broken file, beside `path`, and returns its new path. The caller holds its lock, which others may have
 * taken for stale: a file without the signature `seen` is one that they have written, and stays.
 */
export function quarantine(target: string, path: string, seen: string | undefined): string | undefined {
	const kept = `${path}.corrupt-${Date.now()}`;
	if (signatureOf(target) !== seen) return undefined;
	renameSync(target, kept);
	return kept;
}

/** The file belongs to a newer version of us; it is never written. */
class NewerVersionError extends Error {
	readonly code = "ENEWER";
	constructor(name: string) {
		super(`${name} was written by a newer pi-multicodex`);
		this.name = "NewerVersionError";
	}
}

/** The version in a document, which may be a text; 0 without one. */
export function versionOf(raw: unknown): number {
	const version = typeof raw === "object" && raw !== null && "version" in raw ? raw.version : undefined;
	if (typeof version === "string") return /^\d+$/.test(version) ? Number(version) : 0;
	return typeof version === "number" ? version : 0;
}

/** The bytes of a file, which are undefined without a file; else why it cannot be read. */
export function readNow(path: string): { readonly bytes: string | undefined } | { readonly why: unknown } {
	try {
		return { bytes: readTextNow(path) };
	} catch (error) {
		const isThere = !isMissing(error) && codeOf(error) !== "ENOTDIR";
		return isThere ? { why: error } : { bytes: undefined };
	}
}

/** Identifies the content of a file as far as a stat can; undefined without a file. */
export function signatureOf(path: string): string | undefined {
	try {
		// An error for each file that is not there yet would cost more than all looks at those that are.
		const found = statSync(path, { bigint: true, throwIfNoEntry: false });
		return found && signatureFrom(found);
	} catch {
		// Unreachable: there is nothing to read either way.
		return undefined;
	}
}

function signatureFrom({ ino, size, mtimeNs }: BigIntStats): string {
	return `${ino}:${size}:${mtimeNs}`;
}

/** Says that a file is of a newer version. */
export function newerThanUs(name: string): string {
	return `${name} was written by a newer pi-multicodex and is left as it is. Update this one.`;
}

/** Says that a file cannot be read. */
export function unreadableFor(name: string, why: unknown): string {
	return `${name} cannot be read (${reasonOf(why)}) and is left as it is.`;
}

/** Why a file of ours cannot be read or written, in a word or two. */
export function reasonOf(error: unknown): string {
	if (error instanceof LockBusyError) return "locked by another process";
	if (error instanceof DeadPathError) return error.reason;
	if (error instanceof NotReadableError) return error.code === "EFBIG" ? "too large" : "not a regular file";
	// The error of JSON for a value that is nested a hundred thousand times.
	if (error instanceof RangeError) return "nested too deeply, or too large";
	const code = codeOf(error) ?? "unknown error";
	return code === "ELOOP" ? LOOPING : code;
}
