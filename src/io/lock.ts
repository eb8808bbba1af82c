import lockfile from "proper-lockfile";
import { codeOf } from "./errors.ts";

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
const FIRST_RETRY_MS = 20;
const LONGEST_RETRY_MS = 1000;

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
	for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, LONGEST_RETRY_MS)) {
		options.signal?.throwIfAborted();
		try {
			return await lockfile.lock(path, {
				realpath: false,
				stale: options.staleMs ?? 10_000,
				update: TOUCH_MS,
				retries: 0,
				// The default throws from a timer and ends the process.
				onCompromised: () => undefined,
			});
		} catch (error) {
			if (codeOf(error) !== "ELOCKED") throw error;
		}
		const left = deadline - performance.now();
		if (left <= 0) throw new LockBusyError(path);
		await pauseFor(Math.min(pause, left), options.signal);
	}
}

/** Resolves after `ms`, or rejects with the abort reason as soon as `signal` fires. The timer keeps the process alive. */
export function pauseFor(ms: number, signal?: AbortSignal): Promise<void> {
	return new Promise((resolve, reject) => {
		if (signal?.aborted) {
			reject(signal.reason);
			return;
		}
		const onAbort = () => {
			clearTimeout(timer);
			reject(signal?.reason);
		};
		const timer = setTimeout(() => {
			signal?.removeEventListener("abort", onAbort);
			resolve();
		}, ms);
		signal?.addEventListener("abort", onAbort, { once: true });
	});
}
