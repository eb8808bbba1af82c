import { type BigIntStats, statSync } from "node:fs";
import { mkdir, readlink, realpath, rename } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type * as z from "zod/mini";
import { writeAtomically } from "./atomic-file.ts";
import type { Resolve } from "./carry-over.ts";
import { codeOf, isMissing } from "./errors.ts";
import { withoutMark } from "./json.ts";
import { LockBusyError, withLock } from "./lock.ts";
import { NotReadableError, readText, readTextNow } from "./regular-file.ts";
import { type Change, createWriteQueue, type WriteBatch } from "./write-queue.ts";

/** A JSON file of ours that many processes share. */
export interface SharedDocument<T> {
	/** The newest content: the file's, with this process's unsaved changes on top. Synchronous; a stat when nothing changed. */
	read(): T;
	/**
	 * Applies `change` in memory at once and to the freshly read file under its lock. Resolves when durable, rejects when
	 * it could not be written: memory keeps it then, and it is tried again by itself and with the next write. `change` may
	 * run several times and must touch only what it owns; `isNewest`: the draft is the file as it is under the lock, without
	 * the change. Any other draft may have it already.
	 */
	update(change: (draft: T, isNewest: boolean) => void): Promise<void>;
	/** As `change`, for what a person asked for and is told the outcome of: forgotten where it could not be written. */
	updateOrRollBack(change: (draft: T) => void): Promise<void>;
	/** As `change`, but written with others, at least a second later. Failures are reported, not thrown. */
	updateDebounced(change: (draft: T) => void): void;
	/** Writes whatever is not written yet, once more where it had failed. Never rejects. */
	flush(): Promise<void>;
}

/** Of a document, which is an object. */
type JsonSchema = z.ZodMiniType<Record<string, unknown>>;

/** How a file of ours is read. */
export interface DocumentFormat<S extends JsonSchema> {
	readonly schema: S;
	/** Newest version this code understands; files with a larger `version` are never written. */
	readonly version: number;
	/** Turns older versions into today's shape, before the schema is applied. May throw; then the file counts as corrupt. */
	readonly migrate?: (raw: unknown) => unknown;
}

/** What a shared document is made of. */
export interface SharedDocumentOptions<S extends JsonSchema> extends DocumentFormat<S> {
	readonly path: string;
	readonly empty: () => z.output<S>;
	/**
	 * Decides over a value that this process and another one have both changed, where changes could not be written: they
	 * are kept as one difference then, however many they were. Without it this process wins.
	 */
	readonly resolve?: Resolve;
	/** Called before a migrated file is first overwritten, with its former bytes. */
	readonly beforeMigration?: (bytes: string) => Promise<void>;
	/** Told once per problem; never receives content. */
	readonly onProblem: (problem: { kind: ProblemKind; text: string }) => void;
}

type ProblemKind = "corrupt" | "newer" | "unwritable" | "unreadable";

/** What the bytes of a file come to. */
export type Reading<T> =
	| { readonly kind: "ok"; readonly value: T; readonly bytes: string; readonly migrated: boolean }
	| { readonly kind: "corrupt" | "newer" };
type Loaded<T> = Reading<T> | { readonly kind: "none" };

const LOCK_WAIT_MS = 10_000;
/** Of no file: the next look reads it again. */
const FORGOTTEN = "forgotten";
const COALESCE_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
/** pi waits for a flush when it ends: a lock that is not had by then is given up. */
const FLUSH_WAIT_MS = 3000;
/** These pass by themselves. */
const PASSING_CODES: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EAGAIN", "EBUSY", "EINTR", "EIO"]);
/** Another process may take our lock for stale, and the file with it, when this one was stopped in mid-write. */
const TRIES_AGAINST_INTRUDERS = 3;

/** Opens a shared document. Nothing is read or written until it is used. */
export function openSharedDocument<S extends JsonSchema>(
	options: SharedDocumentOptions<S>,
): SharedDocument<z.output<S>> {
	type T = z.output<S>;
	const { path } = options;
	const name = basename(path);
	/** Of the file that `value` was read from; undefined where there was none, or where it must be read again. */
	let signature: string | undefined;
	let value: T = options.empty();
	/** What `value` was read from; undefined where that was no file of ours. */
	let readFrom: string | undefined;
	let writing: Promise<void> | undefined;
	let timer: NodeJS.Timeout | undefined;
	let retryMs = COALESCE_MS;
	/** The file is not ours to write until somebody changes it: nothing is tried again by itself. */
	let isNewer = false;
	/** Ends the wait for the lock. */
	let impatience = new AbortController();
	const reported = new Set<string>();

	const report = (kind: ProblemKind, text: string, cause = text) => {
		if (reported.has(cause)) return;
		reported.add(cause);
		options.onProblem({ kind, text });
	};

	/** What was read last, without any change of ours. */
	const pristine = (): T => {
		const loaded = readFrom === undefined ? undefined : readDocument(readFrom, options);
		return loaded?.kind === "ok" ? loaded.value : options.empty();
	};
	/** What is not in the file yet; `value` has it. */
	const queue = createWriteQueue<T>(pristine, options.resolve);

	const adopt = (next: T) => {
		value = next;
		queue.applyTo(value);
	};

	const read = (): T => {
		const current = signatureOf(path);
		if (current === signature && current !== undefined) return value;
		const found = readNow(path);
		if ("why" in found) {
			// What is known stays, and the file is read again next time.
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
		// Setting a broken file aside needs the lock, which only the writer takes.
		if (loaded.kind === "corrupt" || (loaded.kind === "ok" && loaded.migrated)) void write();
		return value;
	};

	const reportNewer = () =>
		report("newer", `${name} was written by a newer pi-multicodex and is left as it is. Update this one.`);

	const reportUnreadable = (why: unknown) =>
		report("unreadable", `${name} cannot be read (${reasonOf(why)}) and is left as it is.`, reasonOf(why));

	/** Under the lock: the file's content, with a broken file moved out of the way. */
	const loadForWriting = async (target: string): Promise<Loaded<T>> => {
		const bytes = await readText(target).catch(ignoreMissing);
		if (bytes === undefined) return { kind: "none" };
		const loaded = readDocument(bytes, options);
		if (loaded.kind === "corrupt") {
			const kept = await quarantine(target, path);
			report("corrupt", `${name} could not be read. It is kept as ${basename(kept)}, and a new one is begun.`);
		}
		if (loaded.kind === "ok" && loaded.migrated) await options.beforeMigration?.(loaded.bytes);
		return loaded;
	};

	/** One locked read, change and replacement. False when somebody else wrote although we held the lock. */
	const writeOnce = async (batch: WriteBatch<T>): Promise<boolean> => {
		const target = await realTarget(path);
		return withLock(target, { waitMs: LOCK_WAIT_MS, signal: impatience.signal }, async () => {
			let current = signatureOf(target);
			const loaded = await loadForWriting(target);
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
			// Of what `next` is, and not of what lies there by now: somebody who takes no lock may have replaced it.
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
			batch.settle();
		} catch (error) {
			if (batch.failed(error).isRolledBack) {
				// Read again without the changes that were dropped.
				signature = FORGOTTEN;
				read();
			}
			isNewer = error instanceof NewerVersionError;
			if (isNewer || queue.length === 0) return;
			const reason = reasonOf(error);
			// What cannot be read cannot be written either: that is one thing to hear of.
			report("unwritable", `${name} cannot be written (${reason}); changes are kept in memory.`, reason);
			retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
			writeIn(retryMs);
		}
	};

	const write = (): Promise<void> => {
		stopTimer();
		writing ??= (async () => {
			try {
				// Everything asked for in this tick goes into one write.
				await Promise.resolve();
				do await writeBatch();
				while (queue.hasWaiting());
			} finally {
				// In the same step as the last look at what is unsaved, so that nothing falls in between.
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

/** Reads the bytes of a file of ours. Never throws. */
export function readDocument<S extends JsonSchema>(bytes: string, format: DocumentFormat<S>): Reading<z.output<S>> {
	try {
		const raw: unknown = JSON.parse(withoutMark(bytes));
		if (versionOf(raw) > format.version) return { kind: "newer" };
		const migrated = format.migrate?.(raw) ?? raw;
		return { kind: "ok", value: format.schema.parse(migrated), bytes, migrated: migrated !== raw };
	} catch {
		// JSON and schema errors quote the file's content, which may be a token: only the kind goes on.
		return { kind: "corrupt" };
	}
}

/** Moves a broken file out of the way, beside `path`, and gives the path of what is kept. Its lock must be held. */
export async function quarantine(target: string, path: string): Promise<string> {
	const kept = `${path}.corrupt-${Date.now()}`;
	await rename(target, kept);
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

/** The version that a document says it has, also as text; 0 where it says none. */
export function versionOf(raw: unknown): number {
	const version = typeof raw === "object" && raw !== null && "version" in raw ? raw.version : undefined;
	if (typeof version === "string") return /^\d+$/.test(version) ? Number(version) : 0;
	return typeof version === "number" ? version : 0;
}

/** The bytes of a file, undefined where there is none; else why it cannot be read. */
function readNow(path: string): { readonly bytes: string | undefined } | { readonly why: unknown } {
	try {
		return { bytes: readTextNow(path) };
	} catch (error) {
		const isThere = !isMissing(error) && codeOf(error) !== "ENOTDIR";
		return isThere ? { why: error } : { bytes: undefined };
	}
}

/**
 * Where the bytes of one of our files really are, its folder made if need be: a file which is a link stays one, and
 * everybody who shares it locks the same place. The path itself where there is nothing yet.
 */
export async function realTarget(path: string): Promise<string> {
	await mkdir(dirname(path), { recursive: true, mode: 0o700 });
	return realpath(path).catch((error) => {
		if (isMissing(error)) return endOfLink(path);
		throw error;
	});
}

/** Where a link to nothing leads: the file is made there, and the link stays. No loop gets here. */
async function endOfLink(path: string): Promise<string> {
	const next = await readlink(path).catch(() => undefined);
	return next === undefined ? path : endOfLink(resolve(await realpath(dirname(path)), next));
}

/** Identity of a file's content as far as a stat can tell; undefined where there is none. */
export function signatureOf(path: string): string | undefined {
	try {
		return signatureFrom(statSync(path, { bigint: true }));
	} catch {
		// Not there, or not reachable: nothing to read either way.
		return undefined;
	}
}

function signatureFrom({ ino, size, mtimeNs }: BigIntStats): string {
	return `${ino}:${size}:${mtimeNs}`;
}

function ignoreMissing(error: unknown): undefined {
	if (!isMissing(error)) throw error;
}

function reasonOf(error: unknown): string {
	if (error instanceof LockBusyError) return "locked by another process";
	if (error instanceof NotReadableError) return error.code === "EFBIG" ? "too large" : "not a regular file";
	// What JSON throws for a value that is nested a hundred thousand times.
	if (error instanceof RangeError) return "nested too deeply, or too large";
	return codeOf(error) ?? "unknown error";
}
