import type { Account } from "../../core/account.ts";
import { planFactor } from "../../core/plan-sizes.ts";
import { type PoolView, type ShownAccount, usableIn } from "../../core/pool/pool-view.ts";
import { byLength, freshness, includedOf, remaining, windowName } from "../../core/quota.ts";
import type { UsageWindow } from "../../core/usage.ts";

/** What the whole pool has left of one kind of window. */
export interface PoolWindow {
	/** As `5h` or `7d`. */
	readonly name: string;
	/** Of what the pool holds when it is full; an account counts by the size of its plan. */
	readonly leftPercent: number;
	/** A figure in it is old. */
	readonly isStale: boolean;
}

/** The reset that gives the pool quota back first. */
export interface NextReset {
	readonly account: Account;
	/** As `5h`. */
	readonly window: string;
	/** Epoch ms. */
	readonly at: number;
}

/** What the pool has left in all, and what it gets back first. */
export interface PoolTotals {
	/** The shortest first. */
	readonly windows: readonly PoolWindow[];
	readonly nextReset: NextReset | undefined;
}

/** Adds up what the accounts of the session have left that can serve, or will when a window resets. */
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
 * The tightest window of each length, with what of it can be used; undefined where a longer one is spent: until that
 * resets, neither the rest of the shorter one nor its reset helps.
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
