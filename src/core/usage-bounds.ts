import { printable } from "./account.ts";
import { FURTHEST_RESET_MS } from "./cooldown.ts";
import type { UsageWindow } from "./usage.ts";

/** Maximum number of further limits kept per account. The backend has far fewer. */
export const MOST_LIMITS = 50;

const LONGEST_WORD = 80;
/** A larger use is implausible. Overdrawn windows were seen slightly above 100. */
const MOST_PERCENT = 1000;
/** A reset further in the past than this, when reported, does not belong to the current window. */
const OLDEST_RESET_MS = 24 * 60 * 60_000;
const MOST_MINUTES = FURTHEST_RESET_MS / 60_000;

/** Bounds a plan, balance or name from the server: printable, and short enough for one line. */
export function boundedWord(text: string | undefined): string | undefined {
	const word = [...printable((text ?? "").slice(0, 2 * LONGEST_WORD)).trim()].slice(0, LONGEST_WORD).join("");
	return word === "" ? undefined : word;
}

/** Bounds a use in percent; undefined if it is implausible. */
export function boundedPercent(percent: number | undefined): number | undefined {
	return percent !== undefined && percent >= 0 && percent <= MOST_PERCENT ? percent : undefined;
}

/**
 * Bounds a reset that was reported at `reportedAt`, both epoch ms. Undefined if it is over 366 days ahead or over a day
 * past.
 */
export function boundedReset(resetsAt: number | undefined, reportedAt: number): number | undefined {
	if (resetsAt === undefined) return undefined;
	const aheadMs = resetsAt - reportedAt;
	return aheadMs >= -OLDEST_RESET_MS && aheadMs <= FURTHEST_RESET_MS ? resetsAt : undefined;
}

/** Bounds a window that was reported at `reportedAt`, epoch ms. Undefined if its use or its length is implausible. */
export function boundedWindow(
	reported: { readonly [Key in keyof UsageWindow]: UsageWindow[Key] | undefined },
	reportedAt: number,
): UsageWindow | undefined {
	const usedPercent = boundedPercent(reported.usedPercent);
	const windowMinutes = boundedLength(reported.windowMinutes);
	if (usedPercent === undefined || windowMinutes === undefined) return undefined;
	return { usedPercent, windowMinutes, resetsAt: boundedReset(reported.resetsAt, reportedAt) };
}

/**
 * Bounds a length in minutes. Undefined if it is implausible; zero means that the plan has switched the window off.
 * Headers may round down: 299 minutes are the same window as 300.
 */
function boundedLength(minutes: number | undefined): number | undefined {
	if (minutes === undefined || !(minutes > 0 && minutes <= MOST_MINUTES)) return undefined;
	const wholeHours = Math.ceil(minutes / 60) * 60;
	return wholeHours - minutes <= 1 ? wholeHours : minutes;
}
