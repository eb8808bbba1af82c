import type { Account } from "../../core/account.ts";
import { planFactor } from "../../core/plan-sizes.ts";
import { type PoolView, type ShownAccount, usableIn } from "../../core/pool/pool-view.ts";
import { byLength, freshness, includedOf, remaining, windowName } from "../../core/quota.ts";
import type { UsageWindow } from "../../core/usage.ts";

/** What the whole pool has left of one kind of window. */
interface PoolWindow {
	/** Such as `5h` or `7d`. */
	readonly name: string;
	/** Relative to a full pool. Each account counts by the size of its plan. */
	readonly leftPercent: number;
	/** True if one of the figures is old. */
	readonly isStale: boolean;
}

/** The first reset that gives the pool quota back. */
export interface NextReset {
	readonly account: Account;
	/** Such as `5h`. */
	readonly window: string;
	/** Epoch ms. */
	readonly at: number;
}

/** What the pool has left in total, and what it gets back first. */
interface PoolTotals {
	/** Shortest first. */
	readonly windows: readonly PoolWindow[];
	readonly nextReset: NextReset | undefined;
}

/** Adds up what the session's accounts have left, if they can serve now or after the reset of a window. */
export function totalsOf(view: PoolView): PoolTotals {
	const { now } = view;
	const known = usableIn(view).filter(({ state, usage }) => usage && (state === "ready" || state === "cooling"));
	const sums = new Map<string, { minutes: number; left: number; whole: number; isStale: boolean }>();
	const resets: NextReset[] = [];
	for (const shown of known) {
		const size = planFactor(shown.usage?.plan ?? shown.account.plan, shown.usage);
		const isStale = freshness(shown.usage, now) === "stale";
		for (const { window, left } of usableOf(shown, now)) {
			const name = windowName(window.windowMinutes);
			const sum = sums.get(name) ?? { minutes: window.windowMinutes, left: 0, whole: 0, isStale: false };
			sums.set(name, {
				...sum,
				left: sum.left + (left ?? 0) * size,
				whole: sum.whole + size,
				isStale: sum.isStale || isStale,
			});
			const { resetsAt, usedPercent } = window;
			const isOfUse = left !== undefined && usedPercent > 0;
			if (isOfUse && resetsAt !== undefined && resetsAt > now) {
				resets.push({ account: shown.account, window: name, at: resetsAt });
			}
		}
	}
	const windows = [...sums].sort(([, a], [, b]) => a.minutes - b.minutes);
	const [nextReset] = resets.sort((a, b) => a.at - b.at);
	return {
		windows: windows.map(([name, { left, whole, isStale }]) => ({ name, leftPercent: left / whole, isStale })),
		nextReset,
	};
}

/**
 * Returns the tightest window of each length and how much of it is usable; undefined if a longer one is spent. Until
 * that resets, neither the rest of the shorter one nor its reset helps.
 */
function usableOf({ usage }: ShownAccount, now: number) {
	const tightest = new Map<string, UsageWindow>();
	for (const quota of usage ? includedOf(usage) : []) {
		const name = windowName(quota.windowMinutes);
		const other = tightest.get(name);
		if (!other || remaining(quota, now) < remaining(other, now)) tightest.set(name, quota);
	}
	const windows = byLength([...tightest.values()]);
	const lastSpent = windows.findLastIndex((window) => remaining(window, now) <= 0);
	return windows.map((window, at) => ({ window, left: at < lastSpent ? undefined : remaining(window, now) }));
}
