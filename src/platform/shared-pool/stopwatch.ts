import { uptime } from "node:os";
import type { Clock } from "../../core/ports.ts";

/** Starts to measure. The returned function returns how much time has passed, ms, including sleep of the machine. */
export type Stopwatch = () => () => number;

/**
 * Creates a stopwatch for what must have happened in time. It goes by the clock that shows most time: `monotonic`
 * stands still during sleep on some systems, and in a paused virtual machine only the time of day is corrected. If that
 * was set forward instead, what was measured is merely tried again.
 */
export function createStopwatch(
	clock: Clock,
	monotonic: () => number,
	uptimeMs: () => number = () => uptime() * 1000,
): Stopwatch {
	const clocks = [clock.now, monotonic, uptimeMs];
	return () => {
		const begun = clocks.map((now) => [now, now()] as const);
		return () => Math.max(...begun.map(([now, at]) => now() - at));
	};
}
