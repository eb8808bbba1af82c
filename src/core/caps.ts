import type { Account } from "./account.ts";
import type { AccountId } from "./ids.ts";
import { ownValue } from "./own-value.ts";
import { byLength, includedOf, remaining, windowName } from "./quota.ts";
import type { UsageSnapshot } from "./usage.ts";

/**
 * What no session may use of an account, in percent by window name (`5h`, `7d`). 100 keeps the whole account unused.
 */
export type Floors = Readonly<Record<string, number>>;

/** The caps of all accounts, by id. */
export type Caps = Readonly<Record<AccountId, Floors>>;

/** A cap that the account has reached. */
export interface ReachedCap {
	/** Such as `7d`. */
	readonly window: string;
	readonly leftPercent: number;
	readonly floorPercent: number;
	/** When that window resets, epoch ms; undefined if the backend did not say. */
	readonly until: number | undefined;
	readonly windowMinutes: number;
}

/** Returns the caps of one account, including those stored under an earlier id of it; undefined if there are none. */
export function floorsOf(caps: Caps, { id, formerIds = [] }: Account): Floors | undefined {
	let floors: Floors | undefined;
	for (const each of [...formerIds, id]) {
		const found = ownValue(caps, each);
		if (found) floors = { ...floors, ...found };
	}
	return floors;
}

/**
 * Returns the reached cap that lasts longest at `now`. The last known usage counts, however old, until the window
 * resets. An account without known usage has reached no cap.
 */
export function reachedCap(
	floors: Floors | undefined,
	usage: UsageSnapshot | undefined,
	now: number,
): ReachedCap | undefined {
	if (!floors || !usage) return undefined;
	const reached = byLength(includedOf(usage)).flatMap((quota): ReachedCap[] => {
		const window = windowName(quota.windowMinutes);
		const floorPercent = ownValue(floors, window) ?? 0;
		const leftPercent = remaining(quota, now);
		if (floorPercent <= 0 || leftPercent > floorPercent) return [];
		const { resetsAt: until, windowMinutes } = quota;
		return [{ window, leftPercent, floorPercent, until, windowMinutes }];
	});
	// A cap without a known end lasts longest.
	return reached.reduce<ReachedCap | undefined>(
		(longest, each) =>
			!longest || (longest.until !== undefined && (each.until ?? Infinity) > longest.until) ? each : longest,
		undefined,
	);
}

/** Returns the smallest part of quota above a cap, percent; undefined if no cap applies to a known window. */
export function aboveCap(
	floors: Floors | undefined,
	usage: UsageSnapshot | undefined,
	now: number,
): number | undefined {
	if (!floors || !usage) return undefined;
	const gaps = includedOf(usage).flatMap((quota) => {
		const floor = ownValue(floors, windowName(quota.windowMinutes)) ?? 0;
		return floor > 0 ? [remaining(quota, now) - floor] : [];
	});
	return gaps.length > 0 ? Math.min(...gaps) : undefined;
}

/** Everyday words for windows, and the window names that they stand for. */
export const WORDS_OF_WINDOWS: readonly (readonly [word: string, name: string])[] = [
	["day", "1d"],
	["week", "7d"],
	["month", "30d"],
	["year", "365d"],
];

/** Words that a person may type for a window. */
export const CAPPABLE_WINDOWS: readonly string[] = ["5h", "7d", "30d", "day", "week", "month"];

const WINDOW_NAME = /^[1-9]\d{0,3}[mhd]$/;

/** Returns the window name for `typed`: `7d` for `7d`, `7D` and `week`. Undefined if it names no window. */
export function windowCalled(typed: string): string | undefined {
	const word = typed.trim().toLowerCase();
	const [, name] = WORDS_OF_WINDOWS.find(([each]) => each === word) ?? [];
	return name ?? (WINDOW_NAME.test(word) ? word : undefined);
}
