import { demandOf, type HourlyDemand } from "./demand.ts";
import { demandPaths } from "./demand-paths.ts";
import { type Played, playForward } from "./forecast-play.ts";
import type { AccountId } from "./ids.ts";
import { plan, type SelectionRequest, type Snapshot } from "./plan.ts";
import { planFactor } from "./plan-sizes.ts";
import { headroom, isUntouched, remaining, windowsOf } from "./quota.ts";
import type { HistorySample } from "./quota-history.ts";
import type { UsageWindow } from "./usage.ts";

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
	/** As likely before as after it. */
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
}

/** What a forecast is made of. */
export interface ForecastInput {
	/** The pool as a request would find it now. */
	readonly snapshot: Snapshot;
	readonly request: Pick<SelectionRequest, "modelId" | "patienceMs">;
	/** The account that serves the session. */
	readonly serving: AccountId | undefined;
	readonly history: readonly HistorySample[];
}

const DAY_MS = 24 * 60 * 60_000;
/** Nothing is said before the history is this long. */
export const LEAST_HISTORY_MS = 3 * DAY_MS;
/** Nothing is said of an account of which less than this was used, percent of a window. */
const LEAST_USED_PERCENT = 3;
const HORIZON_HOURS = 7 * 24;
/** Demand is played as it would be in one case of ten at most, in the middle one, and in nine of ten. */
const LEVELS = [0.1, 0.5, 0.9] as const;

/** How long quota lasts. Plays the product's own plan over demand that is drawn from the history. */
export function forecast(input: ForecastInput): Forecast {
	const { snapshot, history } = input;
	const { now, candidates } = snapshot;
	const first = history.reduce((earliest, { at }) => Math.min(earliest, at), now);
	const nothing = { madeAt: now, pool: undefined, serving: undefined };
	const none = candidates.map(({ account: { id } }) => ({ id, outlook: undefined }));
	if (now - first < LEAST_HISTORY_MS) return { ...nothing, accounts: none };
	const demand = demandOf(history, candidates, now);
	return forecastFrom(input, demand);
}

/** As {@link forecast}, from demand that is known already. */
export function forecastFrom({ snapshot, request, serving }: ForecastInput, demand: HourlyDemand): Forecast {
	const { now, candidates } = snapshot;
	const start = { snapshot, request, serving, windowsPerWeek: demand.windowsPerWeek };
	const played = demandPaths(demand, LEVELS, HORIZON_HOURS).map((path) => playForward(start, path));
	const outlook = (of: (each: Played) => number | undefined) => outlookOf(played.map(of), snapshot);
	const { next } = plan({ ...request, sessionId: undefined, affinity: serving, served: serving }, snapshot);
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
	};
}

function outlookOf(times: readonly (number | undefined)[], snapshot: Snapshot): Outlook | undefined {
	const [late, dryAt, early] = times;
	if (dryAt === undefined || dryAt <= snapshot.now) return undefined;
	return {
		dryAt,
		from: Math.min(dryAt, early ?? dryAt),
		to: late === undefined ? undefined : Math.max(dryAt, late),
		comesBack: comesBackUntil(dryAt, snapshot),
	};
}

function comesBackUntil(until: number, { candidates, now }: Snapshot): ComesBack[] {
	const sized = candidates.flatMap(({ account, usage }) => {
		if (!account.enabled || account.needsLogin || !usage) return [];
		const factor = planFactor(usage.plan ?? account.plan, usage);
		return windowsOf(usage).map((window) => ({ id: account.id, factor, window, usage }));
	});
	const holds = new Map<number, number>();
	for (const { factor, window } of sized) {
		holds.set(window.windowMinutes, (holds.get(window.windowMinutes) ?? 0) + factor);
	}
	const isAhead = ({ resetsAt }: UsageWindow) => resetsAt !== undefined && resetsAt > now && resetsAt <= until;
	return sized
		.flatMap(({ id, factor, window, usage }): ComesBack[] => {
			const { resetsAt, windowMinutes } = window;
			if (resetsAt === undefined || !isAhead(window) || isUntouched(window, usage, now)) return [];
			const percent = ((100 - remaining(window, now)) * factor) / (holds.get(windowMinutes) ?? factor);
			return [{ at: resetsAt, accountId: id, percent }];
		})
		.sort((a, b) => a.at - b.at);
}
