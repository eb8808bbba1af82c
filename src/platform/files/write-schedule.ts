import type { WriteQueue } from "./write-queue.ts";

/** Changes within this time share one write. */
const COALESCE_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

interface Deps {
	/** Writes all pending changes once. Rejects only if one of them cannot be applied. */
	readonly write: () => Promise<void>;
	readonly queue: Pick<WriteQueue<never>, "length" | "hasWaiting">;
	/** True if no write is retried automatically. */
	readonly isPaused: () => boolean;
	/** Called when `write` has rejected. */
	readonly onDefect: (error: unknown) => void;
}

/** Decides when pending changes are written. One write runs at a time. */
interface WriteSchedule {
	/** Writes with all other changes of this tick, and goes on while a caller waits for a write. Never rejects. */
	now(): Promise<void>;
	/** Writes a second later, together with other changes. */
	soon(): void;
	/** Records that a write has succeeded. */
	succeeded(): void;
	/** Writes again after a pause, which doubles each time. */
	retry(): void;
	/** Waits for the write in progress, and writes what is pending then. Never rejects. */
	drain(): Promise<void>;
}

/** Creates the schedule. Nothing is written before the first call. */
export function createWriteSchedule({ write, queue, isPaused, onDefect }: Deps): WriteSchedule {
	let writing: Promise<void> | undefined;
	let timer: NodeJS.Timeout | undefined;
	let retryMs = COALESCE_MS;

	const stopTimer = () => {
		clearTimeout(timer);
		timer = undefined;
	};
	const writeIn = (ms: number) => {
		if (timer) return;
		timer = setTimeout(() => void now(), ms);
		timer.unref();
	};
	const now = (): Promise<void> => {
		stopTimer();
		writing ??= (async () => {
			try {
				// Put all changes of this tick into one write.
				await Promise.resolve();
				do await write();
				while (queue.hasWaiting());
			} catch (error) {
				// Most callers do not wait, and an unhandled rejection would end pi.
				onDefect(error);
				retryMs = LONGEST_RETRY_MS;
				writeIn(retryMs);
			} finally {
				// In the same tick as the last check of the queue, so that no change is missed in between.
				writing = undefined;
				if (queue.length === 0) stopTimer();
				else if (!isPaused()) writeIn(COALESCE_MS);
			}
		})();
		return writing;
	};

	return {
		now,
		soon: () => writeIn(COALESCE_MS),
		succeeded: () => {
			retryMs = COALESCE_MS;
		},
		retry: () => {
			retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
			writeIn(retryMs);
		},
		drain: async () => {
			await writing;
			if (queue.length > 0) await now();
		},
	};
}
