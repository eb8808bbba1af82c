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
import { budgetsOf, creditsUntil, isSpent, isUntouched, remaining, windowName, windowsOf } from "../quota.ts";
import type { UsageSnapshot, UsageWindow } from "../usage.ts";

/** An account as the choice sees it. */
export interface Candidate {
	readonly account: Account;
	readonly cooldowns: readonly Cooldown[];
	readonly usage: UsageSnapshot | undefined;
	/** It has refused requests lately, and nothing tells whose fault that was: others are tried first. */
	readonly isDoubted?: boolean | undefined;
	/** When it was last asked although it cooled, epoch ms. */
	readonly trialAt?: number | undefined;
	/** The caps on it. */
	readonly floors?: Floors | undefined;
	/** The folder whose account set keeps the session from it. */
	readonly outsideOf?: string | undefined;
}

/**
 * What has to be left of a window, in percent, before a new session begins on an account; by window name (`5h`, `7d`).
 */
export type Reserve = Readonly<Record<string, number>>;

/** What the measures of a choice depend on beside the candidates. */
export interface MeasureContext {
	/** Epoch ms. */
	readonly now: number;
	/** The person's explicit choice. */
	readonly pinned: AccountId | undefined;
	/** The account that the session is to stay on. */
	readonly affinity: AccountId | undefined;
	/** How many other sessions are live on an account, in any process: with a request in flight, or served just now. */
	readonly liveSessions: ReadonlyMap<AccountId, number>;
	readonly reserve: Reserve;
	/** The account that the policy chose last, for whatever session. */
	readonly lastChosen: AccountId | undefined;
}

/**
 * What keeps an account out of a choice, or at its end (`reserve`), or has a session wait for another (`crowded`).
 * `ofQuota`: it rests for want of quota. `credits`: its included quota is spent and bought credits are left, which only
 * a session that is on it may use. Times are epoch ms.
 */
export type Gate =
	| { readonly kind: "disabled" }
	| { readonly kind: "needs-login" }
	| { readonly kind: "cooling"; readonly until: number; readonly guessed?: true; readonly ofQuota?: true }
	| { readonly kind: "credits"; readonly until: number }
	| { readonly kind: "reserve"; readonly window: string; readonly leftPercent: number; readonly floorPercent: number }
	| { readonly kind: "crowded"; readonly live: number; readonly roomPercent: number }
	/** What is left of a window is kept: no session uses it before the window resets, where that is known. */
	| {
			readonly kind: "capped";
			readonly window: string;
			readonly leftPercent: number;
			readonly floorPercent: number;
			readonly until: number | undefined;
	  }
	/** The account set of `folder`, in which the session runs, does not have it. */
	| { readonly kind: "not-in-set"; readonly folder: string };

/** How far an account's clocks run: the fresher, the smaller. */
export const FRESHNESS = { untouched: 0, idle: 1, unknown: 2, running: 3 } as const;

/** One of {@link FRESHNESS}. */
export type Freshness = (typeof FRESHNESS)[keyof typeof FRESHNESS];

/** A usage window or budget at the moment of a choice. */
export interface WindowNow {
	/** As `5h` or `7d`. */
	readonly name: string;
	readonly minutes: number;
	readonly leftPercent: number;
	/** Its clock does not run: the next request starts it. */
	readonly isUntouched: boolean;
	/** When it resets, epoch ms; undefined while its clock does not run, or where the backend did not say. */
	readonly resetsAt: number | undefined;
}

/** A candidate with everything that a term may ask of it. */
export interface Measured {
	readonly candidate: Candidate;
	/** Place in the pool's list, from 0. */
	readonly position: number;
	/** Places after the account that was chosen last, from 0, going round the list. */
	readonly turn: number;
	readonly isPinned: boolean;
	/** It served this session last. */
	readonly isOwn: boolean;
	readonly reserve: Extract<Gate, { kind: "reserve" }> | undefined;
	/** Other live sessions on it. */
	readonly live: number;
	/**
	 * What is left of the 5h window after what the live sessions will take, in percent; undefined without such a window.
	 */
	readonly roomPercent: number | undefined;
	readonly freshness: Freshness;
	/** The longest window; where there is none, the budget. */
	readonly longest: WindowNow | undefined;
	/** The least that is left over all windows and budgets, in percent; undefined while nothing is known. */
	readonly headroomPercent: number | undefined;
}

const NO_WINDOWS: readonly WindowNow[] = [];

/**
 * What one live session is expected to take of a plus account's 5h window, in percent. Found with `npm run simulate`.
 */
const PERCENT_PER_SESSION = 35;

/** With less room than this, percent, an account's quota is left to the sessions that are at work on it. */
const CROWDED_BELOW_PERCENT = 10;

/** Why `candidate` cannot serve `modelId` at `now`; undefined where it can. */
export function gateOf(candidate: Candidate, modelId: string | undefined, now: number): Gate | undefined {
	const { account, cooldowns, usage, outsideOf } = candidate;
	if (outsideOf !== undefined) return { kind: "not-in-set", folder: outsideOf };
	if (!account.enabled) return { kind: "disabled" };
	if (account.needsLogin) return { kind: "needs-login" };
	const until = cooldowns.length === 0 ? now : readyAt(cooldowns, modelId, now);
	// Before every other want of quota: neither a trial nor credits nor any other quota of it helps past a cap.
	const capped = cappedIn(candidate, until, now);
	if (capped) return capped;
	if (until > now) {
		const isGuess = isReadyAtGuessed(cooldowns, modelId, now);
		const isOfQuota = isReadyAtOfQuota(cooldowns, modelId, now);
		return { kind: "cooling", until, ...(isGuess && { guessed: true }), ...(isOfQuota && { ofQuota: true }) };
	}
	const included = creditsUntil(usage, now);
	return included === undefined ? undefined : { kind: "credits", until: included };
}

/** The cap that holds on the candidate, until its cooldowns are over as well. */
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

/** Signed in, enabled, not cooling for this model, and with included quota left as far as is known. */
export function isEligible(candidate: Candidate, modelId: string | undefined, now: number): boolean {
	return gateOf(candidate, modelId, now) === undefined;
}

/**
 * When the candidate can serve `modelId` again from its included quota, epoch ms; `now` where it can already, undefined
 * while it needs a person, or is kept out by a set or by a cap without a known end.
 */
export function returnOf(
	{ account, cooldowns, usage, floors, outsideOf }: Candidate,
	modelId: string | undefined,
	now: number,
): number | undefined {
	if (!account.enabled || account.needsLogin || outsideOf !== undefined) return undefined;
	const cap = reachedCap(floors, usage, now);
	if (cap && cap.until === undefined) return undefined;
	return Math.max(readyAt(cooldowns, modelId, now), creditsUntil(usage, now) ?? now, cap?.until ?? now);
}

/** The cooldowns that keep the candidate from serving `modelId` now. */
export function blockingOf({ cooldowns }: Candidate, modelId: string | undefined, now: number): readonly Cooldown[] {
	return activeCooldowns(cooldowns, now).filter((cooldown) => covers(cooldown, modelId));
}

/** Does it cool for a moment, with quota left? */
export function isOnlyResting(candidate: Candidate, modelId: string | undefined, now: number): boolean {
	const { usage } = candidate;
	return blockingOf(candidate, modelId, now).every(isPassing) && !(usage && isSpent(usage, now));
}

/** What a candidate measures to by itself, the same for every request. */
export interface Facts {
	readonly windows: readonly WindowNow[];
	readonly shortest: WindowNow | undefined;
	readonly longest: WindowNow | undefined;
	readonly reserve: Measured["reserve"];
	readonly headroomPercent: number | undefined;
}

/** Measures `candidate` by itself. */
export function factsOf({ usage }: Candidate, { now, reserve }: Pick<MeasureContext, "now" | "reserve">): Facts {
	const windows = usage ? windowsNow(windowsOf(usage), usage, now) : NO_WINDOWS;
	const budgets = usage ? windowsNow(budgetsOf(usage), usage, now) : NO_WINDOWS;
	const quotas = budgets.length === 0 ? windows : [...windows, ...budgets];
	// A budget beside windows limits them; alone it is the quota.
	const [shortest, longest] = extremesOf(windows.length > 0 ? windows : budgets);
	return {
		windows,
		shortest,
		longest,
		reserve: reserveOf(quotas, reserve),
		headroomPercent: usage && quotas.reduce((least, { leftPercent }) => Math.min(least, leftPercent), 100),
	};
}

/** A way to measure the candidates of one choice among `candidates`, the whole pool in the list's order. */
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
 * Tells where the live sessions of an account need what its 5h window has left: one more session there, and all of them
 * have to change sooner, each at the price of a cold cache. Never the pinned one, nor one of which nothing is known.
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

/** The shortest, and the longest: the extremes of what a backend may send in any order. */
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
	// A session is about to start the clocks, or has, and the news is not here yet: sessions that start together spread
	// as if one had begun after the other.
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
