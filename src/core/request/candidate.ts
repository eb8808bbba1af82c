import type { Account } from "../account.ts";
import { type Floors, reachedCap } from "../caps.ts";
import {
	activeCooldowns,
	type Cooldown,
	covers,
	isPassing,
	isReadyAtGuessed,
	isReadyAtOfQuota,
	readyAt,
} from "../cooldown.ts";
import type { AccountId } from "../ids.ts";
import { ownValue } from "../own-value.ts";
import { planFactor } from "../plan-sizes.ts";
import {
	budgetsOf,
	creditsUntil,
	isSpent,
	isUntouched,
	modelsApart,
	remaining,
	windowName,
	windowsOf,
} from "../quota.ts";
import type { UsageSnapshot, UsageWindow } from "../usage.ts";

/** An account with everything that decides whether and when it is chosen. */
export interface Candidate {
	readonly account: Account;
	readonly cooldowns: readonly Cooldown[];
	readonly usage: UsageSnapshot | undefined;
	/** It has refused requests lately, and the fault may be theirs. Others are tried first. */
	readonly isDoubted?: boolean | undefined;
	/** When it was last asked while in a cooldown, epoch ms. */
	readonly trialAt?: number | undefined;
	/** The caps on it. */
	readonly floors?: Floors | undefined;
	/** The folder whose account set excludes this account for the session. */
	readonly outsideOf?: string | undefined;
}

/** Percent of a window that must be left before a new session begins on an account, by window name (`5h`, `7d`). */
export type Reserve = Readonly<Record<string, number>>;

/** What the measures depend on besides the candidates. */
export interface MeasureContext {
	/** Epoch ms. */
	readonly now: number;
	/** The person's explicit choice. */
	readonly pinned: AccountId | undefined;
	/** The account that the session should stay on. */
	readonly affinity: AccountId | undefined;
	/**
	 * How many other sessions are live on an account, in any process: they have a request in flight, or were served just
	 * now.
	 */
	readonly liveSessions: ReadonlyMap<AccountId, number>;
	readonly reserve: Reserve;
	/** The account that the policy chose last, for any session. */
	readonly lastChosen: AccountId | undefined;
}

/**
 * Why an account is excluded, put last (`reserve`), or left to other sessions (`crowded`). `ofQuota`: it cools because
 * its quota is spent. `credits`: included quota is spent but bought credits are left, which only a session already on
 * the account may use. Times are epoch ms.
 */
export type Gate =
	| { readonly kind: "disabled" }
	| { readonly kind: "needs-login" }
	| { readonly kind: "cooling"; readonly until: number; readonly guessed?: true; readonly ofQuota?: true }
	| { readonly kind: "credits"; readonly until: number }
	| { readonly kind: "reserve"; readonly window: string; readonly leftPercent: number; readonly floorPercent: number }
	| { readonly kind: "crowded"; readonly live: number; readonly roomPercent: number }
	/** A cap reserves what is left of a window: no session uses it until the window resets, if that is known. */
	| {
			readonly kind: "capped";
			readonly window: string;
			readonly leftPercent: number;
			readonly floorPercent: number;
			readonly until: number | undefined;
	  }
	/** The account is not in the account set of `folder`, where the session runs. */
	| { readonly kind: "not-in-set"; readonly folder: string };

/** How many of an account's windows have started. A lower number is fresher. */
export const FRESHNESS = { untouched: 0, idle: 1, unknown: 2, running: 3 } as const;

/** One of {@link FRESHNESS}. */
export type Freshness = (typeof FRESHNESS)[keyof typeof FRESHNESS];

/** A usage window or budget, as it is at one moment. */
interface WindowNow {
	/** Such as `5h` or `7d`. */
	readonly name: string;
	readonly minutes: number;
	readonly leftPercent: number;
	/** The window has not started. The next request starts it. */
	readonly isUntouched: boolean;
	/** When it resets, epoch ms. Undefined if the window has not started, or the backend did not say. */
	readonly resetsAt: number | undefined;
}

/** A candidate with everything that a policy term may read. */
export interface Measured {
	readonly candidate: Candidate;
	/** Position in the pool's list, from 0. */
	readonly position: number;
	/** Distance from the account that was chosen last, going round the list, from 0. */
	readonly turn: number;
	readonly isPinned: boolean;
	/** True if this account served the session last. */
	readonly isOwn: boolean;
	readonly reserve: Extract<Gate, { kind: "reserve" }> | undefined;
	/** Number of other live sessions on it. */
	readonly live: number;
	/**
	 * What is left of the 5h window after the live sessions have taken their share, percent. Undefined without such a
	 * window.
	 */
	readonly roomPercent: number | undefined;
	readonly freshness: Freshness;
	/** The longest window, or the budget if there is no window. */
	readonly longest: WindowNow | undefined;
	/** The smallest remaining part of all windows and budgets, percent. Undefined while no usage is known. */
	readonly headroomPercent: number | undefined;
}

const NO_WINDOWS: readonly WindowNow[] = [];

/**
 * The share of a plus account's 5h window that one live session is expected to use, percent. Found with `npm run
 * simulate`.
 */
const PERCENT_PER_SESSION = 35;

/** Below this much room, percent, an account's quota is left to the sessions that are already on it. */
const CROWDED_BELOW_PERCENT = 10;

/** Returns why `candidate` cannot serve `modelId` at `now`; undefined if it can. */
export function gateOf(candidate: Candidate, modelId: string | undefined, now: number): Gate | undefined {
	const { account, cooldowns, usage, outsideOf } = candidate;
	if (outsideOf !== undefined) return { kind: "not-in-set", folder: outsideOf };
	if (!account.enabled) return { kind: "disabled" };
	if (account.needsLogin) return { kind: "needs-login" };
	const until = cooldowns.length === 0 ? now : readyAt(cooldowns, modelId, now);
	// Caps come first: neither a trial, nor credits, nor any other quota may pass one.
	const capped = cappedIn(candidate, until, now);
	if (capped) return capped;
	if (until > now) {
		const isGuess = isReadyAtGuessed(cooldowns, modelId, now);
		const isOfQuota = isReadyAtOfQuota(cooldowns, modelId, now);
		return { kind: "cooling", until, ...(isGuess && { guessed: true }), ...(isOfQuota && { ofQuota: true }) };
	}
	const included = onCreditsUntil(usage, modelId, now);
	return included === undefined ? undefined : { kind: "credits", until: included };
}

/** Until when `modelId` would be served from bought credits alone, epoch ms. A model may have a limit of its own. */
function onCreditsUntil(
	usage: UsageSnapshot | undefined,
	modelId: string | undefined,
	now: number,
): number | undefined {
	const until = creditsUntil(usage, now);
	if (until === undefined || !usage || modelId === undefined) return until;
	return modelsApart(usage, now).includes(modelId) ? undefined : until;
}

/** Returns the cap that the candidate has reached. It lasts at least as long as the candidate's cooldowns. */
function cappedIn(
	{ floors, usage }: Candidate,
	readyAt: number,
	now: number,
): Extract<Gate, { kind: "capped" }> | undefined {
	const cap = reachedCap(floors, usage, now);
	if (!cap) return undefined;
	const { window, leftPercent, floorPercent, until } = cap;
	return { kind: "capped", window, leftPercent, floorPercent, until: until && Math.max(until, readyAt) };
}

/**
 * When the candidate can serve `modelId` from included quota again, epoch ms; `now` if it can already. Undefined if a
 * person has to act, or if an account set, or a cap without a known end, excludes it.
 */
export function returnOf(
	{ account, cooldowns, usage, floors, outsideOf }: Candidate,
	modelId: string | undefined,
	now: number,
): number | undefined {
	if (!account.enabled || account.needsLogin || outsideOf !== undefined) return undefined;
	const cap = reachedCap(floors, usage, now);
	if (cap && cap.until === undefined) return undefined;
	return Math.max(readyAt(cooldowns, modelId, now), onCreditsUntil(usage, modelId, now) ?? now, cap?.until ?? now);
}

/** Returns the cooldowns that keep the candidate from serving `modelId` now. */
export function blockingOf({ cooldowns }: Candidate, modelId: string | undefined, now: number): readonly Cooldown[] {
	return activeCooldowns(cooldowns, now).filter((cooldown) => covers(cooldown, modelId));
}

/** True if the account has quota left and cools only for a short time. */
export function isOnlyResting(candidate: Candidate, modelId: string | undefined, now: number): boolean {
	const { usage } = candidate;
	return blockingOf(candidate, modelId, now).every(isPassing) && !(usage && isSpent(usage, now));
}

/** The measures of a candidate that do not depend on the request. */
export interface Facts {
	readonly windows: readonly WindowNow[];
	readonly shortest: WindowNow | undefined;
	readonly longest: WindowNow | undefined;
	readonly reserve: Measured["reserve"];
	readonly headroomPercent: number | undefined;
}

/** Computes the measures of `candidate` that do not depend on the request. */
export function factsOf({ usage }: Candidate, { now, reserve }: Pick<MeasureContext, "now" | "reserve">): Facts {
	const windows = usage ? windowsNow(windowsOf(usage), usage, now) : NO_WINDOWS;
	const budgets = usage ? windowsNow(budgetsOf(usage), usage, now) : NO_WINDOWS;
	const quotas = budgets.length === 0 ? windows : [...windows, ...budgets];
	// Beside windows, budgets only limit them. Without windows, budgets are the quota.
	const [shortest, longest] = extremesOf(windows.length > 0 ? windows : budgets);
	return {
		windows,
		shortest,
		longest,
		reserve: reserveOf(quotas, reserve),
		headroomPercent: usage && quotas.reduce((least, { leftPercent }) => Math.min(least, leftPercent), 100),
	};
}

/**
 * Creates a function that measures the candidates of one choice. `candidates` is the whole pool, in the list's order.
 */
export function createMeasure(
	candidates: readonly Candidate[],
	context: MeasureContext,
): (candidate: Candidate, position: number, facts?: Facts) => Measured {
	const { pinned, affinity, liveSessions, lastChosen } = context;
	const size = candidates.length;
	const lastPosition = candidates.findIndex(({ account }) => account.id === lastChosen);
	return (candidate, position, facts = factsOf(candidate, context)) => {
		const { id } = candidate.account;
		const live = liveSessions.get(id) ?? 0;
		const { windows, shortest, longest, reserve, headroomPercent } = facts;
		return {
			candidate,
			position,
			turn: (position - lastPosition - 1 + size) % size,
			isPinned: id === pinned,
			isOwn: id === affinity,
			reserve,
			live,
			roomPercent: roomOf(candidate, windows, live),
			freshness: freshnessOf(windows, shortest, live),
			longest,
			headroomPercent,
		};
	};
}

/** Why an account is crowded. */
export type Crowded = Extract<Gate, { kind: "crowded" }>;

/**
 * Returns why an account is crowded: its live sessions need what is left of its 5h window. One more session would make
 * all of them change accounts sooner, each losing its prompt cache. Never applies to the pinned account, or to one
 * without known usage.
 */
export function crowdOn({ candidate, isPinned, live, roomPercent }: Measured): Crowded | undefined {
	if (!candidate.usage || isPinned || live === 0 || roomPercent === undefined) return undefined;
	return roomPercent < CROWDED_BELOW_PERCENT ? { kind: "crowded", live, roomPercent } : undefined;
}

function windowsNow(windows: readonly UsageWindow[], usage: UsageSnapshot, now: number): WindowNow[] {
	return windows.map((window) => {
		const untouched = isUntouched(window, usage, now);
		return {
			name: windowName(window.windowMinutes),
			minutes: window.windowMinutes,
			leftPercent: remaining(window, now),
			isUntouched: untouched,
			resetsAt: untouched ? undefined : window.resetsAt,
		};
	});
}

/** Returns the shortest and the longest window. The backend may list them in any order. */
function extremesOf(windows: readonly WindowNow[]): readonly [WindowNow | undefined, WindowNow | undefined] {
	let [shortest] = windows;
	let longest = shortest;
	for (const window of windows) {
		if (shortest && window.minutes < shortest.minutes) shortest = window;
		if (longest && window.minutes > longest.minutes) longest = window;
	}
	return [shortest, longest];
}

function freshnessOf(windows: readonly WindowNow[], shortest: WindowNow | undefined, live: number): Freshness {
	if (!shortest) return FRESHNESS.unknown;
	// A live session has started the windows, or is about to, before usage shows it. This spreads sessions that start at
	// the same time as if they had started one after the other.
	if (live > 0 || !shortest.isUntouched) return FRESHNESS.running;
	return windows.every((window) => window.isUntouched) ? FRESHNESS.untouched : FRESHNESS.idle;
}

function roomOf({ account, usage }: Candidate, windows: readonly WindowNow[], live: number): number | undefined {
	const short = windows.find(({ name }) => name === "5h");
	if (usage && !short) return undefined;
	const left = short?.leftPercent ?? 100;
	if (live === 0) return left;
	return left - (PERCENT_PER_SESSION * live) / planFactor(usage?.plan ?? account.plan, usage);
}

function reserveOf(windows: readonly WindowNow[], floors: Reserve): Measured["reserve"] {
	for (const name in floors) {
		const floorPercent = ownValue(floors, name) ?? 0;
		if (floorPercent <= 0) continue;
		const short = windows.find((window) => window.name === name && window.leftPercent <= floorPercent);
		if (short) return { kind: "reserve", window: name, leftPercent: short.leftPercent, floorPercent };
	}
	return undefined;
}
