import type { Account } from "../account.ts";
import { type ChainRung, type Offer, type ResetCreditRung, type Rung, rungKey } from "../beyond/ladder.ts";
import type { RotationReason } from "../events.ts";
import type { AccountId } from "../ids.ts";
import type { RotationSettings } from "../settings.ts";
import type { Failure } from "./classify.ts";
import type { Plan, Ranked, Retry, SelectionRequest } from "./plan.ts";
import type { Alternatives, Refused, Served, ServedOn } from "./serve.ts";

/** After this many refusals in one request an account is not asked again, however soon it is back. */
const REFUSALS_PER_REQUEST = 2;
/** Several sign-ins lost in a row look like mass invalidation. Continuing might lose the whole pool. */
const MOST_SIGNED_OUT_IN_A_ROW = 2;
/** Added to a wait that the person has chosen, since resets may be late. */
const LATE_RETURN_MS = 60_000;
/** Rather than wait longer than this, the request asks one account whose evidence is weak. */
const LONGEST_WAIT_BEFORE_TRIAL_MS = 60_000;

/** A refusal for which either the account or the request may be at fault. */
interface Suspect extends Refused {
	readonly account: Account;
}

/** What has happened to a request so far. */
export interface Progress {
	readonly maxRotations: number;
	/** The last account: of the session first, then of the request itself. */
	readonly previous: Account | undefined;
	/** Accounts that are not offered again before a wait. */
	readonly tried: ReadonlySet<AccountId>;
	readonly refusals: ReadonlyMap<AccountId, number>;
	/** Accounts that cannot serve before the person has changed something. */
	readonly unable: ReadonlySet<AccountId>;
	/** When an account without a cooldown may be asked again. */
	readonly retries: ReadonlyMap<AccountId, Retry>;
	readonly attempts: number;
	/** Every account that the request has used. */
	readonly visited: ReadonlySet<AccountId>;
	/** Number of accounts that it has used besides the first. */
	readonly rotations: number;
	readonly signedOutInARow: number;
	readonly hasWaited: boolean;
	readonly hadTrial: boolean;
	/** What is left of the maximum wait, ms. */
	readonly waitBudgetMs: number;
	/** What the person has to change before a sign-in can be renewed. */
	readonly obstacle: string | undefined;
	readonly lastRefusal: Refused | undefined;
	/** Refusals whose cause is open. Another account that serves proves that the accounts were at fault. */
	readonly suspects: readonly Suspect[];
	/** What the person chose to serve beyond included quota. */
	readonly chosen: Rung | undefined;
	/** Keys of rungs that have failed or are used up. A request takes each once. */
	readonly closed: ReadonlySet<string>;
	readonly isStopped: boolean;
	readonly isFinished: boolean;
}

/** What a request does next. */
export type Step =
	| Try
	| Wait
	/** Asks the person which of the offers should serve. */
	| { readonly kind: "ask"; readonly offers: readonly Offer[] }
	/** Redeems a reset credit that the person has agreed to. */
	| { readonly kind: "redeem"; readonly rung: ResetCreditRung }
	/** Hands the request over to a link of the chain. */
	| { readonly kind: "hand-over"; readonly rung: ChainRung }
	| { readonly kind: "give-up"; readonly why: GiveUp }
	| { readonly kind: "done" };

/** What a decision depends on besides the plan. */
export interface Circumstances {
	/** False if the person has switched the extension off meanwhile. */
	readonly isEnabled: boolean;
	/** What could serve beyond included quota. */
	readonly offers: readonly Offer[];
	/** True if the person was not asked in this turn yet. */
	readonly mayAsk: boolean;
}

/** Lets an account serve. */
export interface Try {
	readonly kind: "try";
	readonly account: Account;
	readonly on: ServedOn;
	readonly others: Alternatives;
	/** True if the account cools on weak evidence. */
	readonly isTrial: boolean;
	/** Rotations of the request, including this one. */
	readonly rotations: number;
	/** Why the previous account was left, if stored state does not tell; undefined for the first account. */
	readonly leftFor: RotationReason | undefined;
}

/** Waits for a moment and checks again. Times are epoch ms. */
export interface Wait {
	readonly kind: "wait";
	readonly now: number;
	readonly until: number;
	readonly forRoom: boolean;
	readonly budgetMs: number;
}

/** Why a request ends without an answer. */
type GiveUp = "exhausted" | "signed-out-in-a-row" | "switched-off";

/** Returns the progress of a new request, in a session that `previous` served last. */
export function beginProgress(
	{ maxRotations, maxWaitMs }: Pick<RotationSettings, "maxRotations" | "maxWaitMs">,
	previous: Account | undefined,
): Progress {
	return {
		maxRotations,
		previous,
		tried: new Set(),
		refusals: new Map(),
		unable: new Set(),
		retries: new Map(),
		attempts: 0,
		visited: new Set(),
		rotations: 0,
		signedOutInARow: 0,
		hasWaited: false,
		hadTrial: false,
		waitBudgetMs: maxWaitMs,
		obstacle: undefined,
		lastRefusal: undefined,
		suspects: [],
		chosen: undefined,
		closed: new Set(),
		isStopped: false,
		isFinished: false,
	};
}

/** Returns the part of the progress that a plan depends on. */
export function askedOf(progress: Progress): Pick<SelectionRequest, "tried" | "givenUp" | "retries" | "patienceMs"> {
	const { tried, retries, waitBudgetMs } = progress;
	return { tried, givenUp: givenUpIn(progress), retries, patienceMs: waitBudgetMs };
}

/** Decides what the request does next. */
export function next(progress: Progress, plan: Plan, now: Circumstances): Step {
	if (progress.isFinished) return { kind: "done" };
	if (progress.isStopped) return { kind: "give-up", why: "exhausted" };
	if (progress.signedOutInARow >= MOST_SIGNED_OUT_IN_A_ROW) return { kind: "give-up", why: "signed-out-in-a-row" };
	const [first] = offered(plan.order, progress);
	if (first) return tryOf(first, false, progress, plan);
	if (!now.isEnabled) return { kind: "give-up", why: "switched-off" };
	const wait = waitOf(progress, plan);
	const [lastResort] = offered(plan.lastResort, progress);
	const isBackSoon = wait !== undefined && wait.until - plan.now <= LONGEST_WAIT_BEFORE_TRIAL_MS;
	const { trial } = plan;
	// An account past the limit of rotations must not end what may still come.
	if (trial && !progress.hadTrial && !isBackSoon && rotationsWith(trial, progress) <= progress.maxRotations) {
		return tryOf({ account: trial, gate: undefined }, true, progress, plan);
	}
	const beyond = stepBeyond(progress, now);
	if (beyond) return beyond;
	if (wait) return wait;
	// One more session on a crowded account is better than no answer.
	return lastResort ? tryOf(lastResort, false, progress, plan) : { kind: "give-up", why: "exhausted" };
}

/**
 * Finds the first offer that lacks nothing but consent. It is taken if the person has agreed; otherwise the person is
 * asked, once per turn. An offer to wait is no reason to ask.
 */
function stepBeyond(progress: Progress, now: Circumstances): Step | undefined {
	const { chosen, closed, suspects } = progress;
	// If the request itself may be at fault, nothing is spent on it.
	if (suspects.length > 0 || chosen?.kind === "wait") return undefined;
	const offers = chosenFirst(now.offers, chosen).filter(({ rung }) => !closed.has(rungKey(rung)));
	for (const { rung, consent } of offers) {
		if (rung.kind === "wait") return undefined;
		if (consent === "ask" && now.mayAsk) return { kind: "ask", offers };
		if (consent === "ask") continue;
		if (rung.kind === "chain") return { kind: "hand-over", rung };
		if (rung.kind === "reset-credit") return { kind: "redeem", rung };
		const rotations = rotationsWith(rung.account, progress);
		if (rotations > progress.maxRotations) continue;
		return {
			kind: "try",
			account: rung.account,
			on: rung.kind,
			others: { hasNext: false, mayTryElsewhere: false },
			isTrial: false,
			rotations,
			leftFor: undefined,
		};
	}
	return undefined;
}

function chosenFirst(offers: readonly Offer[], chosen: Rung | undefined): readonly Offer[] {
	if (!chosen) return offers;
	const isChosen = ({ rung }: Offer) => rungKey(rung) === rungKey(chosen);
	return [...offers.filter(isChosen), ...offers.filter((offer) => !isChosen(offer))];
}

/** Returns the progress after the person has chosen a rung. `now` is epoch ms. */
export function chose(progress: Progress, rung: Rung, now: number): Progress {
	const resumed = resume({ ...progress, chosen: rung });
	if (rung.kind !== "wait") return resumed;
	return { ...resumed, waitBudgetMs: Math.max(progress.waitBudgetMs, rung.until - now + LATE_RETURN_MS) };
}

/** Returns the progress after `rung` failed or was used up. */
export function closed(progress: Progress, rung: Rung): Progress {
	return { ...progress, closed: new Set([...progress.closed, rungKey(rung)]) };
}

/** Returns the progress after something has changed during a wait: accounts that were tried once may be asked again. */
export function resume(progress: Progress): Progress {
	return { ...progress, tried: givenUpIn(progress), hasWaited: true };
}

/** Returns the progress after a reset credit was redeemed: earlier refusals of its account no longer count. */
export function redeemed(progress: Progress, rung: ResetCreditRung): Progress {
	const refusals = new Map([...progress.refusals].filter(([id]) => id !== rung.account.id));
	return closed(resume({ ...progress, refusals }), rung);
}

/** Returns the accounts that may be tried. If the request itself may be at fault, no bought credits are spent on it. */
function offered(some: readonly Ranked[], progress: Progress): readonly Ranked[] {
	return isProbing(progress) ? some.filter(isIncluded) : some;
}

function isIncluded(ranked: Pick<Ranked, "gate">): boolean {
	return onOf(ranked) === "included";
}

function onOf({ gate }: Pick<Ranked, "gate">): ServedOn {
	return gate?.kind === "credits" ? "credits" : "included";
}

function tryOf(
	ranked: Pick<Ranked, "account" | "gate">,
	isTrial: boolean,
	progress: Progress,
	{ order, lastResort }: Plan,
): Step {
	const { account } = ranked;
	const { previous, attempts, maxRotations, suspects } = progress;
	const rotations = rotationsWith(account, progress);
	if (rotations > maxRotations) return { kind: "give-up", why: "exhausted" };
	// No session leaves included quota for bought credits to find out whether the request is at fault.
	const hasNext = [...order, ...lastResort].some((other) => isIncluded(other) && other.account.id !== account.id);
	const mayTryElsewhere = hasNext && !isProbing(progress) && rotations < maxRotations;
	const leftFor = attempts > 0 ? reasonOf(suspects.at(-1), previous) : undefined;
	return { kind: "try", account, on: onOf(ranked), others: { hasNext, mayTryElsewhere }, isTrial, rotations, leftFor };
}

/** Counts the rotations of the request once it uses `account`. An account that it returns to counts once. */
function rotationsWith({ id }: Account, { previous, attempts, visited, rotations }: Progress): number {
	const isRotation = attempts > 0 && previous !== undefined && previous.id !== id && !visited.has(id);
	return rotations + (isRotation ? 1 : 0);
}

function waitOf({ waitBudgetMs: budgetMs }: Progress, { waitUntil: until, now, forRoom }: Plan): Wait | undefined {
	if (until === undefined || budgetMs <= 0 || until - now > budgetMs) return undefined;
	return { kind: "wait", now, until, forRoom, budgetMs };
}

/** Returns the progress after `step` has waited for `tookMs`. */
export function waited(progress: Progress, tookMs: number): Progress {
	return { ...resume(progress), waitBudgetMs: progress.waitBudgetMs - tookMs };
}

/** Returns the progress after the account of `step` has served or refused. */
export function tried(progress: Progress, { account, on, isTrial, rotations }: Try, served: Served): Progress {
	const common: Progress = {
		...progress,
		closed: on === "included" ? progress.closed : new Set([...progress.closed, `${on} ${account.id}`]),
		previous: account,
		tried: new Set([...progress.tried, account.id]),
		attempts: progress.attempts + 1,
		visited: new Set([...progress.visited, account.id]),
		rotations,
		hadTrial: progress.hadTrial || isTrial,
		signedOutInARow: isSignedOut(served) ? progress.signedOutInARow + 1 : 0,
	};
	switch (served.kind) {
		case "finished":
			return { ...common, isFinished: true };
		case "signed-out":
		case "barred":
			return common;
		case "unavailable": {
			const retry = { at: served.retryAt, since: served.since, access: account.credential.access };
			const retries = new Map([...progress.retries, [account.id, retry] as const]);
			if (served.why === undefined) return { ...common, retries };
			return { ...common, retries, unable: new Set([...progress.unable, account.id]), obstacle: served.why };
		}
		case "refused": {
			const isSuspect = served.failure.cooling?.ifAnotherServes === true || isProbe(served.failure);
			// Nothing will change for this account while the request waits.
			const count = isSuspect ? REFUSALS_PER_REQUEST : (progress.refusals.get(account.id) ?? 0) + 1;
			return {
				...common,
				refusals: new Map([...progress.refusals, [account.id, count] as const]),
				lastRefusal: served,
				suspects:
					isSuspect && !served.failure.isSignInGone
						? [...progress.suspects, { ...served, account }]
						: progress.suspects,
			};
		}
	}
}

/** True if one other account should be tried, to find out who is at fault. */
export function isProbing({ suspects }: Progress): boolean {
	return suspects.some(({ failure }) => isProbe(failure));
}

function givenUpIn({ refusals, unable }: Progress): ReadonlySet<AccountId> {
	const refused = [...refusals].flatMap(([id, count]) => (count >= REFUSALS_PER_REQUEST ? [id] : []));
	return new Set([...refused, ...unable]);
}

/** True for a failure after which exactly one other account is tried. */
function isProbe({ remedy, isLeftToHost }: Failure): boolean {
	return remedy === "try-elsewhere-once" || isLeftToHost;
}

function isSignedOut(served: Served): boolean {
	if (served.kind !== "refused") return served.kind === "signed-out";
	return served.failure.isSignInGone || served.failure.remedy === "close-account";
}

function reasonOf(last: Suspect | undefined, previous: Account | undefined): RotationReason {
	if (last === undefined || last.account.id !== previous?.id) return "unavailable";
	return last.failure.cooling?.reason ?? "overloaded";
}
