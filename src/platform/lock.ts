import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { lstat, readdir, rename, rmdir, unlink } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import lockfile from "proper-lockfile";
import { codeOf, isMissing } from "./errors.ts";

/** Thrown when a lock was not had in time; the holder is alive. */
export class LockBusyError extends Error {
	readonly code = "ELOCKED";
	constructor(path: string) {
		super(`${path} is locked by another process`);
		this.name = "LockBusyError";
	}
}

/** How long to wait for a lock, and when a holder counts as dead. All ms. */
export interface LockOptions {
	readonly waitMs: number;
	readonly signal?: AbortSignal | undefined;
	readonly staleMs?: number;
}

/**
 * pi's synchronous start-up lock takes a lock for stale 10 s after its last touch, whatever the holder asked for.
 * Touching it every 2 s (proper-lockfile's lower bound is 1 s) keeps it ours during a slow exchange.
 */
const TOUCH_MS = 2000;
/** Default age from which a lock counts as left behind; pi's own figure. */
export const STALE_MS = 10_000;
/** Every holder makes a folder. Anything else in its place gets this long, in case it is still being made. */
const STRANGE_MS = 2000;
const FIRST_RETRY_MS = 20;
const LONGEST_RETRY_MS = 1000;
/** An odd lock that comes back each time has an owner, so it is waited for. */
const MOST_CLEARINGS = 3;

/**
 * Runs `work` while holding `<path>.lock`, in pi's own convention (proper-lockfile, `realpath: false`).
 * Throws {@link LockBusyError} when the lock is not had within `waitMs`, the abort reason when `signal` fires first,
 * and whatever the file system says when the lock cannot be made at all. A lock that others take for stale, typically
 * after the machine slept, does not end `work`: it must look at the file again before it replaces it.
 */
export async function withLock<T>(path: string, options: LockOptions, work: () => T | Promise<T>): Promise<T> {
	const release = await acquire(path, options);
	try {
		return await work();
	} finally {
		// A lock that was taken from us is no longer ours to release.
		await release().catch(() => undefined);
	}
}

async function acquire(path: string, options: LockOptions): Promise<() => Promise<void>> {
	const deadline = performance.now() + options.waitMs;
	let clearings = 0;
	for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LONGEST_RETRY_MS)) {
		options.signal?.throwIfAborted();
		const staleMs = options.staleMs ?? STALE_MS;
		try {
			return await lockfile.lock(path, {
				realpath: false,
				stale: staleMs,
				update: TOUCH_MS,
				retries: 0,
				// The default throws from a timer and ends the process.
				onCompromised: () => undefined,
			});
		} catch (error) {
			if (clearings < MOST_CLEARINGS && (await clearLock(`${path}.lock`, staleMs))) {
				clearings += 1;
				continue;
			}
			// What is no folder answers in many ways, and is waited for as well.
			const isInTheWay = codeOf(error) === "ELOCKED" || (await lookAtLock(`${path}.lock`))?.shape === "other";
			if (!isInTheWay) throw error;
		}
		const left = deadline - performance.now();
		if (left <= 0) throw new LockBusyError(path);
		// An abort ends the pause, and the next round throws its reason.
		await setTimeout(Math.min(pause, left), undefined, { signal: options.signal }).catch(() => undefined);
	}
}

/** What lies where a lock belongs. Only an empty folder is one. */
export type LockShape = "folder" | "full-folder" | "other";

/** A look at the path of a lock; undefined where nothing is. */
export async function lookAtLock(
	lock: string,
): Promise<{ readonly shape: LockShape; readonly stats: Stats } | undefined> {
	// A link is not followed: no holder makes one.
	const stats = await lstat(lock).catch(() => undefined);
	if (!stats) return undefined;
	if (!stats.isDirectory()) return { shape: "other", stats };
	const names = await readdir(lock).catch(() => []);
	return { shape: names.length > 0 ? "full-folder" : "folder", stats };
}

/** True for a lock without a live holder. `ageMs` counts from its last touch; it is negative for a date ahead. */
export function isLeftBehind(shape: LockShape, ageMs: number, staleMs: number): boolean {
	return Math.abs(ageMs) > (shape === "other" ? STRANGE_MS : staleMs);
}

/**
 * Takes away what lies at the path of a lock and is none of a live holder: one that was not touched for `staleMs`, one
 * that is dated ahead by more than that, and what is no folder; with `isForced` all that is no empty folder. A folder with
 * something in it is kept under another name. False where it stays; throws what the file system says.
 */
export async function clearLock(lock: string, staleMs: number, isForced = false): Promise<boolean> {
	const found = await lookAtLock(lock);
	if (!found) return false;
	const isStrange = isForced && found.shape !== "folder";
	if (!isStrange && !isLeftBehind(found.shape, Date.now() - found.stats.mtimeMs, staleMs)) return false;
	const aside = `${lock}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
	try {
		// In one step, so that of several processes one does it.
		await rename(lock, aside);
	} catch (error) {
		if (isMissing(error)) return true;
		throw error;
	}
	const taken = await lstat(aside);
	if (taken.ino !== found.stats.ino || taken.mtimeMs !== found.stats.mtimeMs) {
		// Another process was quicker, and this is its own lock.
		await rename(aside, lock);
		return false;
	}
	if (!taken.isDirectory()) await unlink(aside);
	else await rmdir(aside).catch(() => rename(aside, `${lock}.corrupt-${Date.now()}`));
	return true;
}
