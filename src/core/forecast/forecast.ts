import type { AccountId } from "../ids.ts";
import { planFactor } from "../plan-sizes.ts";
import { headroom, isUntouched, remaining, windowsOf } from "../quota.ts";
import { plan, type SelectionRequest, type Snapshot } from "../request/plan.ts";
import { demandOf, type HourlyDemand } from "./demand.ts";
import { demandFutures } from "./demand-paths.ts";
import { createPlayer, type Played } from "./forecast-play.ts";
import type { HistorySample } from "./quota-history.ts";

/** A scheduled reset. */
export interface ComesBack {
	/** Epoch ms. */
	readonly at: number;
	readonly accountId: AccountId;
	/** What it gives back, percent of what all the pool's windows of that length hold. */
	readonly percent: number;
}

/** When something runs out. Epoch ms. */
export interface Outlook {
	/** Rather early than late: it is before this time in one case of three. */
	readonly dryAt: number;
	/** In four cases of five it is between these two; without `to` it may be after the next week, or never. */
	readonly from: number;
	readonly to: number | undefined;
	/** What comes back until then, the first first. */
	readonly comesBack: readonly ComesBack[];
}

/** How long quota lasts at the person's own rhythm. What cannot be told has no outlook. */
export interface Forecast {
	/** When it was made, epoch ms. */
	readonly madeAt: number;
	/** Until a request finds no account. */
	readonly pool: Outlook | undefined;
	/** Until an account is spent, in the pool's order. */
	readonly accounts: readonly { readonly id: AccountId; readonly outlook: Outlook | undefined }[];
	/** Of the account that serves the session. */
	readonly serving: Outlook | undefined;
	/** Of a pool that is out now: how long it will last from its first return on. */
	readonly again?: Outlook | undefined;
}

/** What a forecast is made of. */
export interface ForecastInput {
	/** The pool as a request would find it now. */
	readonly snapshot: Snapshot;
	readonly request: Pick<SelectionRequest, "modelId" | "patienceMs">;
	/** The account that serves the session. */
	readonly serving: AccountId | undefined;
}

const DAY_MS = 24 * 60 * 60_000;
/** A shorter history gives no forecast. */
export const LEAST_HISTORY_MS = 3 * DAY_MS;
/** An account that has used less than this percentage of a window gets no forecast. */
const LEAST_USED_PERCENT = 3;
/** A forecast looks this far ahead. */
export const HORIZON_HOURS = 7 * 24;
/** Futures that are played; fewer of a large pool, where each takes longer. */
const FUTURES = 19;
const FUTURES_OF_MANY = 9;
const MANY_ACCOUNTS = 8;
/** One future in ten is before the interval, and one after it. */
const OUTSIDE = 0.1;
/** The time shown is early rather than late: one future in three is before it. */
const SHOWN = 0.35;

/** What was wanted of the pool; undefined while the history is too short. */
export function knownDemand(history: readonly HistorySample[], snapshot: Snapshot): HourlyDemand | undefined {
	const { now, candidates } = snapshot;
	const first = history.reduce((earliest, { at }) => Math.min(earliest, at), now);
	return now - first < LEAST_HISTORY_MS ? undefined : demandOf(history, candidates, now);
}

/**
 * How long quota lasts: plays the product's own plan over futures that are drawn from what was wanted. In steps of a
 * few milliseconds: whatever else is to be done can be done between them.
 */
export function* forecastSteps(
	{ snapshot, request, serving }: ForecastInput,
	demand: HourlyDemand | undefined,
): Generator<undefined, Forecast> {
	const { now, candidates } = snapshot;
	if (!demand) {
		const unknown = candidates.map(({ account: { id } }) => ({ id, outlook: undefined }));
		return { madeAt: now, pool: undefined, serving: undefined, accounts: unknown };
	}
	const { windowsPerWeek, sessionPace } = demand;
	const start = { snapshot, request, serving, windowsPerWeek, sessionPace };
	const play = createPlayer(start);
	const { next, waitUntil } = plan({ ...request, sessionId: undefined, affinity: serving, served: serving }, snapshot);
	const played: Played[] = [];
	const again: (number | undefined)[] = [];
	const playAgain = next || waitUntil === undefined ? undefined : createPlayer({ ...start, serving: undefined });
	for (const future of demandFutures(demand, futuresOf(snapshot), HORIZON_HOURS)) {
		yield;
		played.push(play(future));
		if (playAgain) again.push(playAgain(future, waitUntil).dryAt);
	}
	const returns = returnsIn(snapshot);
	const outlook = (of: (each: Played) => number | undefined) => outlookOf(played.map(of), now, returns);
	const accounts = candidates.map((candidate) => {
		const { account, usage } = candidate;
		const canTell = account.enabled && !account.needsLogin && usage && headroom(usage, now) <= 100 - LEAST_USED_PERCENT;
		return { id: account.id, outlook: canTell ? outlook(({ spentAt }) => spentAt.get(account.id)) : undefined };
	});
	return {
		madeAt: now,
		pool: next ? outlook(({ dryAt }) => dryAt) : undefined,
		accounts,
		serving: accounts.find(({ id }) => id === serving)?.outlook,
		again: again.length > 0 ? outlookOf(again, now, returns) : undefined,
	};
}

/** How many futures are played for the pool. */
export function futuresOf({ candidates }: Snapshot): number {
	return candidates.length > MANY_ACCOUNTS ? FUTURES_OF_MANY : FUTURES;
}

/** The outlook of `times`, one for each future; undefined where it happens in less than one of three. */
function outlookOf(
	times: readonly (number | undefined)[],
	now: number,
	returns: readonly ComesBack[],
): Outlook | undefined {
	const sorted = times.map((at) => at ?? Infinity).sort((a, b) => a - b);
	const at = (level: number) =>
		sorted[Math.min(sorted.length, Math.max(1, Math.round(level * (sorted.length + 1)))) - 1];
	const [from = Infinity, dryAt = Infinity, to = Infinity] = [OUTSIDE, SHOWN, 1 - OUTSIDE].map(at);
	if (dryAt === Infinity || dryAt <= now) return undefined;
	return {
		dryAt,
		from,
		to: to === Infinity ? undefined : to,
		comesBack: returns.filter(({ at: back }) => back <= dryAt),
	};
}

/** Every reset that is ahead, the first first. */
function returnsIn({ candidates, now }: Snapshot): ComesBack[] {
	const sized = candidates.flatMap(({ account, usage }) => {
		if (!account.enabled || account.needsLogin || !usage) return [];
		const factor = planFactor(usage.plan ?? account.plan, usage);
		return windowsOf(usage).map((window) => ({ id: account.id, factor, window, usage }));
	});
	const holds = new Map<number, number>();
	for (const { factor, window } of sized) {
		holds.set(window.windowMinutes, (holds.get(window.windowMinutes) ?? 0) + factor);
	}
	return sized
		.flatMap(({ id, factor, window, usage }): ComesBack[] => {
			const { resetsAt, windowMinutes } = window;
			if (resetsAt === undefined || resetsAt <= now || isUntouched(window, usage, now)) return [];
			const percent = ((100 - remaining(window, now)) * factor) / (holds.get(windowMinutes) ?? factor);
			return [{ at: resetsAt, accountId: id, percent }];
		})
		.sort((a, b) => a.at - b.at);
}
