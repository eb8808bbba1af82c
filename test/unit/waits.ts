import { onTestFinished, vi } from "vitest";

const BLINK_MS = 30;

/**
 * Ends the waits for a lock early: each look at the stopwatch is almost as long after the last one as a lock is waited
 * for. Returns how long that has been by this stopwatch, ms.
 */
export function hurryLocks(): () => number {
	let at = 0;
	const now = vi.spyOn(performance, "now").mockImplementation(() => {
		at += 2900;
		return at;
	});
	onTestFinished(() => now.mockRestore());
	return () => at;
}

/** Lets the timers that are set for `ms` fire after a blink. All others run as they are. The result ends that early. */
export function hurryTimersOf(ms: number): () => void {
	const setTimer: (act: () => void, wanted?: number, ...rest: unknown[]) => NodeJS.Timeout = globalThis.setTimeout;
	const hurried: typeof setTimer = (act, wanted, ...rest) => setTimer(act, wanted === ms ? BLINK_MS : wanted, ...rest);
	const timers = vi.spyOn(globalThis, "setTimeout").mockImplementation(hurried as typeof setTimeout);
	onTestFinished(() => timers.mockRestore());
	return () => timers.mockRestore();
}
