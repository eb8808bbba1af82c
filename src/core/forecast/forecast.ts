import type { AccountId } from "../ids.ts";
import { planFactor } from "../plan-sizes.ts";
import { headroom, isUntouched, remaining, windowsOf } from "../quota.ts";
import { plan, type SelectionRequest, type Snapshot } from "../request/plan.ts";
import { demandOf, type HourlyDemand } from "./demand.ts";
import { demandFutures } from "./demand-paths.ts";
import type { HistorySample } from "./quota-history.ts";
import { createSimulation, type SimulatedPath } from "./simulation.ts";

/** A scheduled reset. */
interface ComesBack {
	/** Epoch ms. */
	readonly at: number;
	readonly accountId: AccountId;
	/** What it gives back, as a percentage of all the pool's windows of that length. */
	readonly percent: number;
}

/** When something runs out. Epoch ms. */
export interface Outlook {
	/** The time to show. Early rather than late: in one of three cases it happens before. */
	readonly dryAt: number;
	/** In four of five cases it happens between these two. Without `to` it may happen after the next week, or never. */
	readonly from: number;
	readonly to: number | undefined;
	/** What comes back until then, earliest first. */
	readonly comesBack: readonly ComesBack[];
}

/** How long quota lasts at the person's own pace. Undefined where no forecast is possible. */
export interface Forecast {
	/** When it was made, epoch ms. */
	readonly madeAt: number;
	/** When a request will find no account. */
	readonly pool: Outlook | undefined;
	/** When each account is spent, in the pool's order. */
	readonly accounts: readonly { readonly id: AccountId; readonly outlook: Outlook | undefined }[];
	/** The outlook of the account that serves the session. */
	readonly serving: Outlook | undefined;
	/** For a pool that is out now: how long it will last from its first return on. */
	readonly again?: Outlook | undefined;
}

/** The input of a forecast. */
export interface ForecastInput {
	/** The pool as a request would find it now. */
	readonly snapshot: Snapshot;
	readonly request: Pick<SelectionRequest, "modelId" | "patienceMs">;
	/** The account that serves the session. */
	readonly serving: AccountId | undefined;
}

const DAY_MS = 24 * 60 * 60_000;
/** A shorter history gives no forecast. */
const LEAST_HISTORY_MS = 3 * DAY_MS;
/** An account that has used less than this percentage of a window gets no forecast. */
const LEAST_USED_PERCENT = 3;
/** How far a forecast looks ahead. */
export const HORIZON_HOURS = 7 * 24;
/** Number of simulated futures. Fewer for a large pool, where each takes longer. */
const FUTURES = 19;
const FUTURES_OF_MANY = 9;
const MANY_ACCOUNTS = 8;
/** How many of {@link FUTURES} lie before the interval, and how many after it. */
const OUTSIDE = 1;
/** How many of {@link FUTURES} lie before the time shown, which is early rather than late. */
const SHOWN = 6;

/** Returns the past demand on the pool; undefined while the history is too short. */
export function knownDemand(history: readonly HistorySample[], snapshot: Snapshot): HourlyDemand | undefined {
	const { now, candidates } = snapshot;
	const first = history.reduce((earliest, { at }) => Math.min(earliest, at), now);
	return now - first < LEAST_HISTORY_MS ? undefined : demandOf(history, candidates, now);
}

/**
 * Forecasts how long quota lasts, by simulating the product's own plan over futures drawn from past demand. Yields
 * every few milliseconds, so that other work can run in between.
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
	const simulate = createSimulation(start);
	const { next, waitUntil } = plan({ ...request, sessionId: undefined, affinity: serving, served: serving }, snapshot);
	const paths: SimulatedPath[] = [];
	const again: (number | undefined)[] = [];
	const simulateAgain =
		next || waitUntil === undefined ? undefined : createSimulation({ ...start, serving: undefined });
	for (const future of demandFutures(demand, futuresOf(snapshot), HORIZON_HOURS)) {
		yield;
		paths.push(yield* simulate(future));
		if (simulateAgain) again.push((yield* simulateAgain(future, waitUntil)).dryAt);
	}
	const returns = returnsIn(snapshot);
	const outlook = (of: (each: SimulatedPath) => number | undefined) => outlookOf(paths.map(of), now, returns);
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

/** Returns how many futures are simulated for the pool. */
export function futuresOf({ candidates }: Snapshot): number {
	return candidates.length > MANY_ACCOUNTS ? FUTURES_OF_MANY : FUTURES;
}

/** Computes the outlook from `times`, one per future; undefined if it happens in less than one of three. */
export function outlookOf(
	times: readonly (number | undefined)[],
	now: number,
	returns: readonly ComesBack[],
): Outlook | undefined {
	const sorted = times.map((at) => at ?? Infinity).sort((a, b) => a - b);
	const [from = Infinity, dryAt = Infinity, to = Infinity] = [OUTSIDE, SHOWN, FUTURES - 1 - OUTSIDE].map((place) =>
		timeAt(sorted, place),
	);
	if (dryAt === Infinity || dryAt <= now) return undefined;
	return {
		dryAt,
		from,
		to: to === Infinity ? undefined : to,
		comesBack: returns.filter(({ at: back }) => back <= dryAt),
	};
}

/**
 * Returns the time at a place, counted from 0 as among {@link FUTURES}. Each future stands for the middle of an equal
 * part of all that may happen, so an interval over fewer futures encloses as much.
 */
function timeAt(sorted: readonly number[], place: number): number {
	const exact = Math.max(0, ((place + 0.5) * sorted.length) / FUTURES - 0.5);
	const [earlier = Infinity, later = Infinity] = [sorted[Math.floor(exact)], sorted[Math.ceil(exact)]];
	const part = exact - Math.floor(exact);
	if (later === Infinity) return part < 0.5 ? earlier : later;
	return Math.round(earlier + (later - earlier) * part);
}

/** Returns every reset ahead, earliest first. */
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
