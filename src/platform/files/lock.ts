import { randomBytes } from "node:crypto";
import type { Stats } from "node:fs";
import { lstat, mkdir, readdir, rename, rmdir, unlink } from "node:fs/promises";
import { resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { raceAbort } from "../../core/abort.ts";
import type { Busy } from "../../core/ports.ts";
import { codeOf, isMissing } from "./errors.ts";

/** Thrown if a lock was not acquired in time because its holder is alive. */
export class LockBusyError extends Error {
	readonly code = "ELOCKED";
	constructor(path: string) {
		super(`${path} is locked by another process`);
		this.name = "LockBusyError";
	}
}

/** How long to wait for a lock, and when its holder counts as gone. All ms. */
export interface LockOptions {
	readonly waitMs: number;
	readonly signal?: AbortSignal | undefined;
	readonly staleMs?: number;
}

/**
 * pi's synchronous start-up lock treats a lock as stale 10 s after its last touch, whatever the holder asked for.
 * Touching it every 2 s (proper-lockfile's lower bound is 1 s) keeps it ours during a slow exchange.
 */
const TOUCH_MS = 2000;
/** Default age at which a lock counts as left behind. pi uses the same. */
export const STALE_MS = 10_000;
/** Every holder creates a folder. Anything else at its path gets this long, in case it is still being created. */
const STRANGE_MS = 2000;
const NEVER_MS = Number.MAX_SAFE_INTEGER;
const FIRST_RETRY_MS = 20;
const LONGEST_RETRY_MS = 1000;
/**
 * How often something other than a folder is removed from a lock's path. If it returns each time, another program
 * creates it, and we wait for the lock.
 */
const MOST_CLEARINGS = 3;

/**
 * Runs `work` while holding `<path>.lock`, by pi's own convention (proper-lockfile, `realpath: false`). Throws {@link
 * LockBusyError} if the lock is not acquired within `waitMs`, the abort reason if `signal` fires first, and the file
 * system's error if the lock cannot be created at all. If other processes take the lock for stale, typically after the
 * machine slept, `work` still continues: it must check the file again before replacing it.
 */
export async function withLock<T>(path: string, options: LockOptions, work: () => T | Promise<T>): Promise<T> {
	const deadline = performance.now() + options.waitMs;
	const endTurn = await takeTurn(path, deadline, options.signal);
	try {
		const release = await acquire(path, deadline, options);
		try {
			return await work();
		} finally {
			// If the lock was taken from us, it is no longer ours to release.
			await release().catch(() => undefined);
		}
	} finally {
		endTurn();
	}
}

/** Runs `work` as {@link withLock} does, but returns `busy` if the lock is not acquired in time. */
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
		// `work` may take other locks. If one of those is busy, that is its own error.
		if (!isHeld && error instanceof LockBusyError) return "busy";
		throw error;
	}
}

declare global {
	/** The last turn at each lock, shared by every copy of this module: pi may load one per session. */
	var multicodexLockTurns: Map<string, Promise<void>> | undefined;
}

/**
 * Waits until no other work of this process holds the lock. That work lasts as long as the process, so its lock is
 * never stale, whatever a changed clock suggests. Resolves to a function that ends the turn.
 */
async function takeTurn(path: string, deadline: number, signal: AbortSignal | undefined): Promise<() => void> {
	globalThis.multicodexLockTurns ??= new Map();
	const turns = globalThis.multicodexLockTurns;
	const key = resolve(path);
	const before = turns.get(key);
	const { promise, resolve: endTurn } = withResolvers();
	// If a turn is given up, the next one still waits for all earlier ones.
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
		// This timer would keep the process alive.
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
	// Imported with the first lock, which is taken after a request was sent. The bundle has it in the same file.
	const { default: lockfile } = await import("proper-lockfile");
	let clearings = 0;
	for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LONGEST_RETRY_MS)) {
		options.signal?.throwIfAborted();
		const staleMs = options.staleMs ?? STALE_MS;
		try {
			return await lockfile.lock(path, {
				realpath: false,
				// proper-lockfile removes a stale lock in two steps. With several processes, the second would remove the new
				// lock of the first.
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
 * True if another process has the lock: either it was there before, or a process with a differing clock removed ours
 * before it was dated. If the path is no folder, errors vary and mean neither.
 */
function isTaken(error: unknown): boolean {
	if (codeOf(error) === "ELOCKED") return true;
	const isOfFolder = error instanceof Error && "syscall" in error && error.syscall === "mkdir";
	return isMissing(error) && !isOfFolder;
}

/** What is found at the path of a lock. Only an empty folder is a lock. */
type LockShape = "folder" | "full-folder" | "other";

interface LookedAt {
	readonly shape: LockShape;
	readonly stats: Stats;
}

/** Checks the path of a lock; undefined if nothing is there. */
export async function lookAtLock(lock: string): Promise<LookedAt | undefined> {
	// Do not follow a link: no holder creates one.
	const stats = await lstat(lock).catch(() => undefined);
	if (!stats) return undefined;
	if (!stats.isDirectory()) return { shape: "other", stats };
	const names = await readdir(lock).catch(() => []);
	return { shape: names.length > 0 ? "full-folder" : "folder", stats };
}

/**
 * True for a lock without a live holder. `ageMs` counts from its last touch, and is negative for a date in the future.
 */
function isLeftBehind(shape: LockShape, ageMs: number, staleMs: number): boolean {
	return Math.abs(ageMs) > (shape === "other" ? STRANGE_MS : staleMs);
}

/**
 * Removes what is at the path of a lock and belongs to no live holder: a lock not touched for `staleMs`, a lock dated
 * further ahead than that, and anything but a folder. With `isForced`, also anything but an empty folder. A folder with
 * content is kept under another name. Returns false if it stays; throws the file system's error.
 */
export async function clearLock(lock: string, staleMs: number, isForced = false): Promise<boolean> {
	const isLeft = ({ shape, stats }: LookedAt) =>
		(isForced && shape !== "folder") || isLeftBehind(shape, Date.now() - stats.mtimeMs, staleMs);
	const seen = await lookAtLock(lock);
	if (!seen || !isLeft(seen)) return false;
	// One process at a time, which checks again: what another one saw before may be the next holder's lock by now.
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

/**
 * Returns false while another process is removing the lock. Cleans up after one that was killed meanwhile, for the next
 * try.
 */
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
		// The holder was alive after all, and another one has the lock.
		await rename(aside, lock);
		return false;
	}
	if (!taken.isDirectory()) await unlink(aside);
	else await rmdir(aside).catch(() => rename(aside, `${lock}.corrupt-${Date.now()}`));
	return true;
}
