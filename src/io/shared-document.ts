import { readFileSync, statSync } from "node:fs";
import { mkdir, readFile, rename } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { z } from "zod";
import { writeAtomically } from "./atomic-file.ts";
import { withLock } from "./lock.ts";

/** A JSON file of ours that many processes share. */
export interface SharedDocument<T> {
	/** The newest content: the file's, with this process's unsaved changes on top. Synchronous; a stat when nothing changed. */
	read(): T;
	/**
	 * Applies `change` in memory at once and to the freshly read file under its lock. Resolves when durable, rejects when
	 * it could not be written (memory keeps the change and the next write carries it). `change` must touch only what it owns.
	 */
	change(change: (draft: T) => void): Promise<void>;
	/** As `change`, but written with others, at least a second later. Failures are reported, not thrown. */
	changeSoon(change: (draft: T) => void): void;
	/** Waits until everything is written or has failed. */
	flush(): Promise<void>;
}

/** What a shared document is made of. */
export interface SharedDocumentOptions<S extends z.ZodType> {
	readonly path: string;
	readonly schema: S;
	/** Newest version this code understands; files with a larger `version` are never written. */
	readonly version: number;
	readonly empty: () => z.output<S>;
	/** Turns older versions into today's shape, before the schema is applied. May throw; then the file counts as corrupt. */
	readonly migrate?: (raw: unknown) => unknown;
	/** Called before a migrated file is first overwritten, with its former bytes. */
	readonly beforeMigration?: (bytes: string) => Promise<void>;
	/** Told once per problem; never receives content. */
	readonly onProblem: (problem: { kind: "corrupt" | "newer" | "unwritable"; text: string }) => void;
}

type Loaded<T> = { kind: "ok"; value: T; bytes: string; migrated: boolean } | { kind: "none" | "corrupt" | "newer" };

const LOCK_WAIT_MS = 10_000;
const COALESCE_MS = 1000;

/** Opens a shared document. Nothing is read or written until it is used. */
export function openSharedDocument<S extends z.ZodType>(
	options: SharedDocumentOptions<S>,
): SharedDocument<z.output<S>> {
	type T = z.output<S>;
	type Pending = { change: (draft: T) => void; settle: (error?: unknown) => void };
	const { path } = options;
	const name = basename(path);
	let signature: string | undefined;
	let value: T = options.empty();
	let frozen = false;
	let pending: Pending[] = [];
	let writing: Promise<void> | undefined;
	let timer: NodeJS.Timeout | undefined;
	const reported = new Set<string>();

	const report = (kind: "corrupt" | "newer" | "unwritable", text: string) => {
		if (reported.has(text)) return;
		reported.add(text);
		options.onProblem({ kind, text });
	};

	const parse = (bytes: string): Loaded<T> => {
		try {
			const raw: unknown = JSON.parse(bytes);
			if (versionOf(raw) > options.version) return { kind: "newer" };
			const migrated = options.migrate?.(raw) ?? raw;
			return { kind: "ok", value: options.schema.parse(migrated), bytes, migrated: migrated !== raw };
		} catch {
			// JSON and schema errors quote the file's content, which may be a token: only the kind goes on.
			return { kind: "corrupt" };
		}
	};

	const adopt = (loaded: Loaded<T>) => {
		frozen = loaded.kind === "newer";
		value = loaded.kind === "ok" ? loaded.value : options.empty();
		for (const { change } of pending) change(value);
		if (loaded.kind === "newer") {
			report("newer", `${name} was written by a newer pi-multicodex and is left as it is. Update this one.`);
		}
	};

	const read = (): T => {
		const current = signatureOf(path);
		if (current === signature) return value;
		signature = current;
		const loaded = current === undefined ? { kind: "none" as const } : load(path, parse);
		adopt(loaded);
		// Setting a broken file aside needs the lock, which only the writer takes.
		if (loaded.kind === "corrupt" || (loaded.kind === "ok" && loaded.migrated)) void write();
		return value;
	};

	/** Under the lock: the file's content, with a broken file moved out of the way. */
	const loadForWriting = async (): Promise<Loaded<T>> => {
		const bytes = await readFile(path, "utf8").catch(ignoreMissing);
		if (bytes === undefined) return { kind: "none" };
		const loaded = parse(bytes);
		if (loaded.kind === "corrupt") {
			const kept = `${path}.corrupt-${Date.now()}`;
			await rename(path, kept);
			report("corrupt", `${name} could not be read. It is kept as ${basename(kept)}, and a new one is begun.`);
		}
		if (loaded.kind === "ok" && loaded.migrated) await options.beforeMigration?.(loaded.bytes);
		return loaded;
	};

	const writeOnce = async (batch: Pending[]): Promise<void> => {
		await mkdir(dirname(path), { recursive: true, mode: 0o700 });
		await withLock(path, { waitMs: LOCK_WAIT_MS }, async () => {
			const loaded = await loadForWriting();
			if (loaded.kind === "newer") {
				signature = undefined;
				return;
			}
			const next: T = loaded.kind === "ok" ? loaded.value : options.empty();
			for (const { change } of batch) change(next);
			const bytes = `${JSON.stringify(next, undefined, 2)}\n`;
			const unchanged = loaded.kind === "ok" && loaded.bytes === bytes;
			const nothingToKeep = loaded.kind !== "ok" && batch.length === 0;
			if (!unchanged && !nothingToKeep) await writeAtomically(path, bytes, 0o600);
			signature = signatureOf(path);
			value = next;
			// What was asked for meanwhile is not in the file yet.
			for (const { change } of pending) change(value);
		});
	};

	const write = (): Promise<void> => {
		clearTimeout(timer);
		timer = undefined;
		writing ??= (async () => {
			// Everything asked for in this tick goes into one write.
			await Promise.resolve();
			do {
				const batch = pending;
				pending = [];
				try {
					if (!frozen) await writeOnce(batch);
					for (const { settle } of batch) settle();
				} catch (error) {
					pending = [...batch.map(({ change }) => ({ change, settle: () => undefined })), ...pending];
					for (const { settle } of batch) settle(error);
					report("unwritable", `${name} cannot be written (${reasonOf(error)}); changes are kept in memory.`);
					return;
				}
			} while (pending.length > 0);
		})().finally(() => {
			writing = undefined;
		});
		return writing;
	};

	const enqueue = (change: (draft: T) => void, settle: Pending["settle"]) => {
		read();
		change(value);
		pending.push({ change, settle });
	};

	return {
		read,
		change: (change) =>
			new Promise((resolve, reject) => {
				enqueue(change, (error) => (error === undefined ? resolve() : reject(error)));
				void write();
			}),
		changeSoon: (change) => {
			enqueue(change, () => undefined);
			if (writing || timer) return;
			timer = setTimeout(() => void write(), COALESCE_MS);
			timer.unref();
		},
		flush: async () => {
			if (timer) await write();
			await writing;
		},
	};
}

function versionOf(raw: unknown): number {
	const version = typeof raw === "object" && raw !== null && "version" in raw ? raw.version : undefined;
	return typeof version === "number" ? version : 0;
}

function load<T>(path: string, parse: (bytes: string) => Loaded<T>): Loaded<T> {
	try {
		return parse(readFileSync(path, "utf8"));
	} catch {
		// Gone between stat and read, or not readable: the same as not there for now.
		return { kind: "none" };
	}
}

/** Identity of a file's content as far as a stat can tell; undefined where there is none. */
export function signatureOf(path: string): string | undefined {
	try {
		const stats = statSync(path, { bigint: true });
		return `${stats.ino}:${stats.size}:${stats.mtimeNs}`;
	} catch {
		// Not there, or not reachable: nothing to read either way.
		return undefined;
	}
}

function ignoreMissing(error: unknown): undefined {
	if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
	throw error;
}

function reasonOf(error: unknown): string {
	return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}
