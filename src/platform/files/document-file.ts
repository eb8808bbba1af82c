import { type BigIntStats, renameSync, statSync } from "node:fs";
import type * as z from "zod/mini";
import { withoutMark } from "../json.ts";
import { codeOf, isMissing } from "./errors.ts";
import { LockBusyError } from "./lock.ts";
import { DeadPathError, LOOPING } from "./real-path.ts";
import { NotReadableError, readTextNow } from "./regular-file.ts";

/** The schema of a document. It must describe an object. */
export type JsonSchema = z.ZodMiniType<Record<string, unknown>>;

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

/** The result of reading a file. */
export type Reading<T> =
	| { readonly kind: "ok"; readonly value: T; readonly bytes: string; readonly migrated: boolean }
	| { readonly kind: "corrupt" | "newer" };

/** Why one of our files cannot be used as it is. */
export interface DocumentProblem {
	readonly kind: "corrupt" | "newer" | "unwritable" | "unreadable";
	/** What a person reads. Contains nothing of the file. */
	readonly text: string;
}

/** Reports a problem, unless one with this `cause`, by default its text, was reported before. */
export type Report = (kind: DocumentProblem["kind"], text: string, cause?: string) => void;

/** Creates a report for one file. */
export function reportOnce(onProblem: (problem: DocumentProblem) => void): Report {
	const reported = new Set<string>();
	return (kind, text, cause = text) => {
		if (reported.has(cause)) return;
		reported.add(cause);
		onProblem({ kind, text });
	};
}

/** Error codes that pass by themselves. */
export const PASSING_CODES: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "EAGAIN", "EBUSY", "EINTR", "EIO"]);

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

/** Returns the same of a file that was just written. */
export function signatureFrom({ ino, size, mtimeNs }: BigIntStats): string {
	return `${ino}:${size}:${mtimeNs}`;
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

/** Returns the message for a file of a newer version. */
export function newerThanUs(name: string): string {
	return `${name} was written by a newer pi-multicodex and is left as it is. Update this one.`;
}

/** Returns the message for a file that cannot be read. */
export function unreadableFor(name: string, why: unknown): string {
	return `${name} cannot be read (${reasonOf(why)}) and is left as it is.`;
}

/** Returns the message for a file that cannot be written. */
export function unwritableFor(name: string, why: unknown): string {
	return `${name} cannot be written (${reasonOf(why)}); changes are kept in memory.`;
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
