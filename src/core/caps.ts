import type { Account } from "./account.ts";
import { accountWith } from "./identity.ts";
import type { AccountId } from "./ids.ts";
import { ownValue } from "./own-value.ts";
import { byLength, includedOf, remaining, windowName } from "./quota.ts";
import type { UsageSnapshot } from "./usage.ts";

/** What no session may use of an account, percent by window name (`5h`, `7d`). 100 keeps the account unused. */
export type Floors = Readonly<Record<string, number>>;

/** The caps of all accounts, by id. */
export type Caps = Readonly<Record<AccountId, Floors>>;

/** A cap that is reached. */
export interface ReachedCap {
	/** As `7d`. */
	readonly window: string;
	readonly leftPercent: number;
	readonly floorPercent: number;
	/** When that window resets, epoch ms; undefined where the backend did not say. */
	readonly until: number | undefined;
	readonly windowMinutes: number;
}

/** The caps of one account, also those stored under an id that it had before; undefined without any. */
export function floorsOf(caps: Caps, { id, formerIds = [] }: Account): Floors | undefined {
	let floors: Floors | undefined;
	for (const each of [...formerIds, id]) {
		const found = ownValue(caps, each);
		if (found) floors = { ...floors, ...found };
	}
	return floors;
}

/**
 * The cap that keeps an account from serving at `now`: of several the one that holds longest. What was known last
 * counts, however old it is, until the window resets. Of an account without known usage none is reached.
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
	// One without a known end holds longest.
	return reached.reduce<ReachedCap | undefined>(
		(longest, each) =>
			!longest || (longest.until !== undefined && (each.until ?? Infinity) > longest.until) ? each : longest,
		undefined,
	);
}

/** The least that is left above a cap, percent; undefined where no cap holds on a known window. */
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

/** Ids with caps that belong to no account. */
export function strayCaps(caps: Caps, accounts: readonly Account[]): AccountId[] {
	return Object.keys(caps).filter((id) => !accountWith(accounts, id));
}

/** What people call windows, and the names that those have. */
export const WORDS_OF_WINDOWS: readonly (readonly [word: string, name: string])[] = [
	["day", "1d"],
	["week", "7d"],
	["month", "30d"],
	["year", "365d"],
];

/** Words for windows, as a person may type them. */
export const CAPPABLE_WINDOWS: readonly string[] = ["5h", "7d", "30d", "day", "week", "month"];

const WINDOW_NAME = /^[1-9]\d{0,3}[mhd]$/;

/** The name of the window that `typed` means: `7d` for `7d`, `week` and `7D`; undefined where it means none. */
export function windowCalled(typed: string): string | undefined {
	const word = typed.trim().toLowerCase();
	const [, name] = WORDS_OF_WINDOWS.find(([each]) => each === word) ?? [];
	return name ?? (WINDOW_NAME.test(word) ? word : undefined);
}
