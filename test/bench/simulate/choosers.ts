import type { AccountId } from "../../../src/core/ids.ts";
import { gateOf } from "../../../src/core/request/candidate.ts";
import { plan } from "../../../src/core/request/plan.ts";
import type { PolicyName } from "../../../src/core/request/policies.ts";
import type { Meter, SeenWindow } from "./meter.ts";
import { CACHE_LIFE_MS, HOUR_MS, MINUTE_MS, NIGHT_MS } from "./model.ts";
import type { Dice } from "./random.ts";

/** One request that needs an account. */
export interface Request {
	readonly now: number;
	readonly meters: readonly Meter[];
	/** The account that served the session last, and when; undefined before its first answer. */
	readonly last: { readonly meter: Meter; readonly at: number } | undefined;
	/** The session's context was compacted since its last request. */
	readonly isCompacted: boolean;
	/** Since when this request waits; undefined where it does not yet. */
	readonly waitsSince: number | undefined;
	/** Sessions other than this one that were served within the last five minutes, by account. */
	readonly liveSessions: () => ReadonlyMap<AccountId, number>;
}

/** A way to choose accounts. Knows what a {@link Meter} has seen, never its truth. */
export interface Chooser {
	readonly name: string;
	/** The account to try; undefined where all are cooling. */
	choose(request: Request): Meter | undefined;
}

const MODEL_ID = "simulated";

/** Every simulated account is signed in and enabled: without a cooldown there is nothing to ask. */
const isReady = (meter: Meter, now: number) =>
	meter.cooldowns.length === 0 || gateOf(meter, MODEL_ID, now) === undefined;

/** What {@link ours} can be told. */
interface Ours {
	/** Asks for a plan also where affinity decides. */
	readonly isSure?: boolean;
	/** `rotation.maxWait`: no request waits for room if an account takes longer than that to be back. */
	readonly maxWaitMs?: number;
}

/** Our policy: the product's own plan, with affinity and wait as the product has them. */
export function ours(policy: PolicyName, { isSure = false, maxWaitMs = NIGHT_MS }: Ours = {}): Chooser {
	let lastChosen: AccountId | undefined;
	return {
		name: policy,
		choose: ({ now, meters, last, isCompacted, waitsSince, liveSessions }) => {
			const isCached = last !== undefined && now - last.at < CACHE_LIFE_MS && !isCompacted;
			const own = isCached || waitsSince !== undefined ? last?.meter : undefined;
			// The plan begins with it, which the tests of the selection show; the tests of the simulator run with `isSure`.
			if (!isSure && own && isReady(own, now)) return own;
			// No plan has an account then. Sessions that wait ask every minute, which would take most of the time.
			if (!isSure && meters.every(({ cooldowns }) => cooldowns.some(({ until }) => until > now))) return undefined;
			const patienceMs = (waitsSince ?? now) + maxWaitMs - now;
			const { order, lastResort, waitUntil } = plan(
				{
					modelId: MODEL_ID,
					sessionId: undefined,
					affinity: own?.account.id,
					served: last?.meter.account.id,
					patienceMs,
				},
				{
					now,
					candidates: meters,
					pinned: undefined,
					liveSessions: liveSessions(),
					lastChosen,
					policy,
					reserve: {},
				},
			);
			const mayWait = waitUntil !== undefined && waitUntil <= now + patienceMs;
			const first = order[0] ?? (mayWait ? undefined : lastResort[0]);
			const chosen = meters.find((meter) => meter.account === first?.account);
			if (chosen && chosen !== own) lastChosen = chosen.account.id;
			return chosen;
		},
	};
}

/** Any account that is ready, by lot, for each request. */
export function randomPerRequest(dice: Dice): Chooser {
	return {
		name: "random, per request",
		choose: ({ now, meters }) => {
			const ready = meters.filter((meter) => isReady(meter, now));
			return ready.length > 0 ? dice.pick(ready) : undefined;
		},
	};
}

/** The next account of the list that is ready, for each request. */
export function roundRobinPerRequest(): Chooser {
	let last = -1;
	return {
		name: "round robin, per request",
		choose: ({ now, meters }) => {
			for (let step = 1; step <= meters.length; step += 1) {
				const meter = meters[(last + step) % meters.length];
				if (!meter || !isReady(meter, now)) continue;
				last = meter.index;
				return meter;
			}
			return undefined;
		},
	};
}

/**
 * pi-multicodex 2.3.1 as published: unused accounts, then the lowest maximum of the windows, then the earliest weekly
 * reset; for each request. Its last word, the lot, is never needed: no two resets are the same.
 */
export function lowestMaximumPerRequest(): Chooser {
	return perRequest(
		"lowest maximum, per request (2.3.1)",
		({ seen }, now) => {
			let most = 0;
			for (const window of seen) most = Math.max(most, usedOf(window, now));
			return most;
		},
		(meter, now) => resetOf(longestOf(meter), now),
	);
}

/** opencode codex-pool: its score, the account of the last five minutes kept, accounts that stand still begun first. */
export function codexPoolScore(): Chooser {
	const begunAt = new Map<Meter, number>();
	return {
		name: "codex-pool score",
		choose: ({ now, meters, last }) => {
			if (last && now - last.at < 5 * MINUTE_MS && isReady(last.meter, now)) return last.meter;
			const dormancy = (meter: Meter) => {
				const wasBegun = now - (begunAt.get(meter) ?? 0) < 30 * MINUTE_MS;
				return last || wasBegun ? 0 : -dormancyOf(meter, now);
			};
			const chosen = best(meters, now, dormancy, (meter) => -codexPoolScoreOf(meter, now));
			if (chosen) begunAt.set(chosen, now);
			return chosen;
		},
	};
}

type Key = (meter: Meter, now: number) => number;

/** The account with the smallest `first`, of those the one with the smallest `second`, for each request. */
export function perRequest(name: string, first: Key, second: Key): Chooser {
	return { name, choose: ({ now, meters }) => best(meters, now, first, second) };
}

/** Whether an account's clocks stand still: 0 all, 1 the shortest, 2 none. */
export function stillness({ seen, seenAt }: Meter, now: number): number {
	let still = 0;
	for (const window of seen) {
		if (isStill(window, seenAt, now)) still += 1;
		else if (still === 0) return 2;
	}
	return still === seen.length ? 0 : 1;
}

export function longestOf({ seen }: Meter): SeenWindow {
	const longest = seen.at(-1);
	if (!longest) throw new RangeError("An account has a window");
	return longest;
}

export function usedOf({ usedPercent, resetsAt }: SeenWindow, now: number): number {
	return resetsAt <= now ? 0 : usedPercent;
}

/** When a window ends, were it begun now at the latest. */
export function resetOf({ resetsAt, lengthMs }: SeenWindow, now: number): number {
	return resetsAt <= now ? now + lengthMs : resetsAt;
}

/** When the first account that cools is back; never while none does. */
export function nextReadyAt(meters: readonly Meter[], now: number): number {
	let earliest = Number.POSITIVE_INFINITY;
	for (const { cooldowns } of meters) {
		for (const { until } of cooldowns) if (until > now) earliest = Math.min(earliest, until);
	}
	return earliest;
}

function isStill({ usedPercent, resetsAt, lengthMs }: SeenWindow, seenAt: number, now: number): boolean {
	return resetsAt <= now || (usedPercent === 0 && resetsAt - seenAt >= lengthMs);
}

function best(meters: readonly Meter[], now: number, first: Key, second: Key): Meter | undefined {
	let chosen: Meter | undefined;
	let least = 0;
	let leastSecond = 0;
	for (const meter of meters) {
		if (!isReady(meter, now)) continue;
		const key = first(meter, now);
		if (chosen && key > least) continue;
		const secondKey = second(meter, now);
		if (chosen && key === least && secondKey >= leastSecond) continue;
		chosen = meter;
		least = key;
		leastSecond = secondKey;
	}
	return chosen;
}

function dormancyOf(meter: Meter, now: number): number {
	if (isStill(longestOf(meter), meter.seenAt, now)) return 2;
	const [shortest] = meter.seen;
	return shortest && isStill(shortest, meter.seenAt, now) ? 1 : 0;
}

/** By its published description: the longest window's score, less what the worst of the shorter ones takes away. */
function codexPoolScoreOf(meter: Meter, now: number): number {
	const plan = meter.spec.plan === "prolite" ? Math.sqrt(5) : 1;
	const main = longestOf(meter);
	const score = (leftShare: number, window: SeenWindow) => {
		const spanSeconds = window.lengthMs / 1000;
		const resetSeconds = (resetOf(window, now) - now) / 1000;
		const pace = resetSeconds / spanSeconds;
		const horizon = 1 + Math.log((14 * 24 * 3600) / 14_400);
		const consumption = Math.min(horizon, Math.max(1, 1 + Math.log(Math.max(resetSeconds, 1) / 14_400)));
		const ahead = Math.min(1, Math.max(-1, (leftShare - pace) / 0.2));
		const health = ahead >= 0 ? 1 + 0.12 * ahead : 1 + 0.18 * ahead;
		return ((plan * leftShare * Math.sqrt(spanSeconds / 1800)) / (Math.max(pace, 1e-6) * consumption)) * health;
	};
	const left = (window: SeenWindow) => (100 - usedOf(window, now)) / 100;
	const guards = meter.seen.slice(0, -1).map((window) => {
		const spare = left(window) < 0.03 ? left(window) / 0.03 : 1;
		const pace = (resetOf(window, now) - now) / window.lengthMs;
		const apart = (resetOf(main, now) - resetOf(window, now)) / window.lengthMs;
		const weight = Math.min(1, Math.max(0, apart));
		const debt = Math.log(Math.max(score(left(window), window), 1e-9) / Math.max(score(pace, window), 1e-9));
		return Math.min(spare, Math.min(1, Math.exp(weight * debt)));
	});
	return score(left(main), main) * Math.min(1, ...guards);
}

/** Percent of the longest window that is left, for each hour until it is lost. */
export function urgencyOf(meter: Meter, now: number): number {
	const longest = longestOf(meter);
	return (100 - usedOf(longest, now)) / Math.max(1, (resetOf(longest, now) - now) / HOUR_MS);
}
