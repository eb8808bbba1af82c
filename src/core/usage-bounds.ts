import { printable } from "./account.ts";
import { FURTHEST_RESET_MS } from "./cooldown.ts";
import type { UsageWindow } from "./usage.ts";

/** Further limits of one account that are kept; more is no answer of this backend. */
export const MOST_LIMITS = 50;

const LONGEST_WORD = 80;
/** A use beyond this is no use: overdrawn windows were seen a little above 100. */
const MOST_PERCENT = 1000;
/** A reset that is this far in the past when it arrives does not belong to the current window. */
const OLDEST_RESET_MS = 24 * 60 * 60_000;
const MOST_MINUTES = FURTHEST_RESET_MS / 60_000;

/** A plan, balance or name of the server's as it is kept: printable, and no longer than a line takes. */
export function boundedWord(text: string | undefined): string | undefined {
	const word = [...printable((text ?? "").slice(0, 2 * LONGEST_WORD)).trim()].slice(0, LONGEST_WORD).join("");
	return word === "" ? undefined : word;
}

/** A use in percent; undefined for what is none. */
export function boundedPercent(percent: number | undefined): number | undefined {
	return percent !== undefined && percent >= 0 && percent <= MOST_PERCENT ? percent : undefined;
}

/** A reset as told at `toldAt`; undefined over 366 days ahead, and over a day back. Both epoch ms. */
export function boundedReset(resetsAt: number | undefined, toldAt: number): number | undefined {
	if (resetsAt === undefined) return undefined;
	const aheadMs = resetsAt - toldAt;
	return aheadMs >= -OLDEST_RESET_MS && aheadMs <= FURTHEST_RESET_MS ? resetsAt : undefined;
}

/** A window as told at `toldAt`, epoch ms; undefined where its use or its length is no data. */
export function boundedWindow(
	told: { readonly [Key in keyof UsageWindow]: UsageWindow[Key] | undefined },
	toldAt: number,
): UsageWindow | undefined {
	const usedPercent = boundedPercent(told.usedPercent);
	const { windowMinutes } = told;
	// A window of zero minutes is one that the plan has switched off.
	if (usedPercent === undefined || windowMinutes === undefined) return undefined;
	if (!(windowMinutes > 0 && windowMinutes <= MOST_MINUTES)) return undefined;
	return { usedPercent, windowMinutes, resetsAt: boundedReset(told.resetsAt, toldAt) };
}
