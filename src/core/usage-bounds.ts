import { printable } from "./account.ts";
import { FURTHEST_RESET_MS } from "./cooldown.ts";
import type { UsageWindow } from "./usage.ts";

/** At most so many further limits of an account are kept: this backend has far fewer. */
export const MOST_LIMITS = 50;

const LONGEST_WORD = 80;
/** A larger use cannot be true: overdrawn windows were seen a little above 100. */
const MOST_PERCENT = 1000;
/** A reset that is further in the past when it arrives does not belong to the current window. */
const OLDEST_RESET_MS = 24 * 60 * 60_000;
const MOST_MINUTES = FURTHEST_RESET_MS / 60_000;

/** Bounds a plan, balance or name of the server: printable, and no longer than fits on a line. */
export function boundedWord(text: string | undefined): string | undefined {
	const word = [...printable((text ?? "").slice(0, 2 * LONGEST_WORD)).trim()].slice(0, LONGEST_WORD).join("");
	return word === "" ? undefined : word;
}

/** Bounds a use in percent; undefined if it cannot be true. */
export function boundedPercent(percent: number | undefined): number | undefined {
	return percent !== undefined && percent >= 0 && percent <= MOST_PERCENT ? percent : undefined;
}

/** Bounds a reset as reported at `reportedAt`; undefined over 366 days ahead, and over a day back. Both epoch ms. */
export function boundedReset(resetsAt: number | undefined, reportedAt: number): number | undefined {
	if (resetsAt === undefined) return undefined;
	const aheadMs = resetsAt - reportedAt;
	return aheadMs >= -OLDEST_RESET_MS && aheadMs <= FURTHEST_RESET_MS ? resetsAt : undefined;
}

/** Bounds a window as reported at `reportedAt`, epoch ms; undefined if its use or its length cannot be true. */
export function boundedWindow(
	reported: { readonly [Key in keyof UsageWindow]: UsageWindow[Key] | undefined },
	reportedAt: number,
): UsageWindow | undefined {
	const usedPercent = boundedPercent(reported.usedPercent);
	const { windowMinutes } = reported;
	// The plan has switched off a window of zero minutes.
	if (usedPercent === undefined || windowMinutes === undefined) return undefined;
	if (!(windowMinutes > 0 && windowMinutes <= MOST_MINUTES)) return undefined;
	return { usedPercent, windowMinutes, resetsAt: boundedReset(reported.resetsAt, reportedAt) };
}
