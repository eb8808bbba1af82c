import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { lstat, mkdir, readdir, rename, rmdir, unlink } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { raceAbort } from "../../core/abort.ts";
import type { Busy } from "../../core/ports.ts";
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
const NEVER_MS = Number.MAX_SAFE_INTEGER;
const FIRST_RETRY_MS = 20;
const LONGEST_RETRY_MS = 1000;
/**
 * Anything in the place of a lock that is no folder is removed this often. If it comes back each time, another program
 * makes it, and the lock is waited for.
 */
const MOST_CLEARINGS = 3;

/**
 * Runs `work` while holding `<path>.lock`, in pi's own convention (proper-lockfile, `realpath: false`).
 * Throws {@link LockBusyError} when the lock is not had within `waitMs`, the abort reason when `signal` fires first,
 * and whatever the file system says when the lock cannot be made at all. A lock that others take for stale, typically
 * after the machine slept, does not end `work`: it must look at the file again before it replaces it.
 */
export async function withLock<T>(path: string, options: LockOptions, work: () => T | Promise<T>): Promise<T> {
	const deadline = performance.now() + options.waitMs;
	const endTurn = await takeTurn(path, deadline, options.signal);
	try {
		const release = await acquire(path, deadline, options);
		try {
			return await work();
		} finally {
			// A lock that was taken from us is no longer ours to release.
			await release().catch(() => undefined);
		}
	} finally {
		endTurn();
	}
}

/** Runs `work` as {@link withLock} does, but answers `busy` if the lock is not had in time. */
export async function withLockUnlessBusy<T>(
	path: string,
	options: LockOptions,
	work: () => Promise<T>,
): Promise<T | Busy> {
	let isHeld = false;
	const held = () => {
		isHeld = true;
		return work();
	};
	try {
		return await withLock(path, options, held);
	} catch (error) {
		// `work` may take other locks; that one of them is busy is an error of its own.
		if (!isHeld && error instanceof LockBusyError) return "busy";
		throw error;
	}
}

declare global {
	/** The last turn at each lock, for every copy of this module: pi may load one for each session. */
	var multicodexLockTurns: Map<string, Promise<void>> | undefined;
}

/**
 * Waits until no other work of this process has the lock. That one is at work as long as the process is, so its lock is
 * never stale, however a clock that was set makes it look. Resolves to a function that ends the turn.
 */
async function takeTurn(path: string, deadline: number, signal: AbortSignal | undefined): Promise<() => void> {
	globalThis.multicodexLockTurns ??= new Map();
	const turns = globalThis.multicodexLockTurns;
	const key = resolve(path);
	const before = turns.get(key);
	const { promise, resolve: endTurn } = withResolvers();
	// A turn that is given up lets the next one wait for those before it all the same.
	const last = Promise.all([before, promise]).then(() => {
		if (turns.get(key) === last) turns.delete(key);
	});
	turns.set(key, last);
	if (!before) return endTurn;
	const giveUp = new AbortController();
	const isTooLate = setTimeout(Math.max(0, deadline - performance.now()), true, { signal: giveUp.signal });
	try {
		const isInTime = Promise.race([before.then(() => true), isTooLate.then(() => false)]);
		if (!(await raceAbort(isInTime, signal))) throw new LockBusyError(path);
		return endTurn;
	} catch (error) {
		endTurn();
		throw error;
	} finally {
		// Its timer would keep the process alive.
		isTooLate.catch(() => undefined);
		giveUp.abort();
	}
}

function withResolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
	let resolvePromise: () => void = () => undefined;
	const promise = new Promise<void>((done) => {
		resolvePromise = done;
	});
	return { promise, resolve: resolvePromise };
}

async function acquire(path: string, deadline: number, options: LockOptions): Promise<() => Promise<void>> {
	// Evaluated with the first lock, which is taken after a request has left. The bundle holds it in the same file.
	const { default: lockfile } = await import("proper-lockfile");
	let clearings = 0;
	for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LONGEST_RETRY_MS)) {
		options.signal?.throwIfAborted();
		const staleMs = options.staleMs ?? STALE_MS;
		try {
			return await lockfile.lock(path, {
				realpath: false,
				// It clears a lock in two steps, and of several processes the second one would clear that of the first.
				stale: NEVER_MS,
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
			if (!isTaken(error) && (await lookAtLock(`${path}.lock`))?.shape !== "other") throw error;
		}
		const left = deadline - performance.now();
		if (left <= 0) throw new LockBusyError(path);
		// An abort ends the pause, and the next round throws its reason.
		await setTimeout(Math.min(pause, left), undefined, { signal: options.signal }).catch(() => undefined);
	}
}

/**
 * True where another process has the lock: it was there before, or has cleared ours before it was dated, as one does
 * whose clock differs. What is no folder answers in many ways, and is none of these.
 */
function isTaken(error: unknown): boolean {
	if (codeOf(error) === "ELOCKED") return true;
	const isOfFolder = error instanceof Error && "syscall" in error && error.syscall === "mkdir";
	return isMissing(error) && !isOfFolder;
}

/** What lies where a lock belongs. Only an empty folder is one. */
export type LockShape = "folder" | "full-folder" | "other";

interface LookedAt {
	readonly shape: LockShape;
	readonly stats: Stats;
}

/** A look at the path of a lock; undefined where nothing is. */
export async function lookAtLock(lock: string): Promise<LookedAt | undefined> {
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
 * that is dated ahead by more than that, and what is no folder; with `isForced` all that is no empty folder. A folder
 * with something in it is kept under another name. False where it stays; throws what the file system says.
 */
export async function clearLock(lock: string, staleMs: number, isForced = false): Promise<boolean> {
	const isLeft = ({ shape, stats }: LookedAt) =>
		(isForced && shape !== "folder") || isLeftBehind(shape, Date.now() - stats.mtimeMs, staleMs);
	const seen = await lookAtLock(lock);
	if (!seen || !isLeft(seen)) return false;
	// One process at a time, which looks again: what another one saw before may be the next holder's own lock by now.
	const turn = `${lock}.clearing`;
	if (!(await beginClearing(turn, staleMs))) return false;
	try {
		const found = await lookAtLock(lock);
		if (!found) return true;
		return isLeft(found) && (await takeAway(lock, found.stats));
	} finally {
		await rmdir(turn).catch(() => undefined);
	}
}

/** False while another process clears. What a process left that was killed meanwhile is taken away for the next try. */
async function beginClearing(turn: string, staleMs: number): Promise<boolean> {
	try {
		await mkdir(turn);
		return true;
	} catch (error) {
		if (codeOf(error) !== "EEXIST") throw error;
		const { mtimeMs } = await lstat(turn).catch(() => ({ mtimeMs: Date.now() }));
		if (isLeftBehind("folder", Date.now() - mtimeMs, staleMs)) await rmdir(turn).catch(() => undefined);
		return false;
	}
}

async function takeAway(lock: string, found: Stats): Promise<boolean> {
	const aside = `${lock}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`;
	try {
		await rename(lock, aside);
	} catch (error) {
		if (isMissing(error)) return true;
		throw error;
	}
	const taken = await lstat(aside);
	if (taken.ino !== found.ino || taken.mtimeMs !== found.mtimeMs) {
		// Its holder was alive after all, and another one has the lock.
		await rename(aside, lock);
		return false;
	}
	if (!taken.isDirectory()) await unlink(aside);
	else await rmdir(aside).catch(() => rename(aside, `${lock}.corrupt-${Date.now()}`));
	return true;
}
