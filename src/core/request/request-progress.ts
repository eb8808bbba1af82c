import type { Account } from "../account.ts";
import { type ChainRung, type Offer, type ResetCreditRung, type Rung, rungKey } from "../beyond/ladder.ts";
import type { RotationReason } from "../events.ts";
import type { AccountId } from "../ids.ts";
import type { RotationSettings } from "../settings.ts";
import type { Failure } from "./classify.ts";
import type { Plan, Ranked, Retry, SelectionRequest } from "./plan.ts";
import type { Alternatives, Refused, Served, ServedOn } from "./serve.ts";

/** An account that refused this often in one request is done with, however soon it is back. */
const REFUSALS_PER_REQUEST = 2;
/** Sign-ins lost in a row look like a burst of invalidations: going on might take the whole pool along. */
const MOST_SIGNED_OUT_IN_A_ROW = 2;
/** A person who waits for a time waits this much longer, as resets may be late. */
const LATE_RETURN_MS = 60_000;
/** Rather than wait for longer than this, one account is asked whose evidence is weak. */
const LONGEST_WAIT_BEFORE_TRIAL_MS = 60_000;

/** A refusal that may be the account's fault or the request's. */
export interface Suspect extends Refused {
	readonly account: Account;
}

/** What a request has met so far. */
export interface Progress {
	readonly maxRotations: number;
	/** The account that it comes from: of the session first, then of the request itself. */
	readonly previous: Account | undefined;
	/** Accounts that are not offered any more, until a wait. */
	readonly tried: ReadonlySet<AccountId>;
	readonly refusals: ReadonlyMap<AccountId, number>;
	/** Accounts that no try helps before the person has changed something. */
	readonly blocked: ReadonlySet<AccountId>;
	/** When an account that nothing is held against may be asked again. */
	readonly retries: ReadonlyMap<AccountId, Retry>;
	readonly attempts: number;
	/** Every account that the request has come to. */
	readonly visited: ReadonlySet<AccountId>;
	/** Accounts that it has come to beside the first. */
	readonly rotations: number;
	readonly signedOutInARow: number;
	readonly hasWaited: boolean;
	readonly hadTrial: boolean;
	/** What is left of the longest wait. */
	readonly waitBudgetMs: number;
	/** What the person has to change before a sign-in can be renewed. */
	readonly obstacle: string | undefined;
	readonly lastRefusal: Refused | undefined;
	/** Refusals of which it is open whose fault they are: another account that serves proves it. */
	readonly suspects: readonly Suspect[];
	/** What the person has chosen beyond included quota. */
	readonly chosen: Rung | undefined;
	/** Keys of rungs that have failed, or are used up: each is taken once by a request. */
	readonly closed: ReadonlySet<string>;
	readonly isStopped: boolean;
	readonly isFinished: boolean;
}

/** What a request does next. */
export type Step =
	| Try
	| Wait
	/** Asks the person which of the offers is to serve. */
	| { readonly kind: "ask"; readonly offers: readonly Offer[] }
	/** Redeems a reset credit, to which the person has said yes. */
	| { readonly kind: "redeem"; readonly rung: ResetCreditRung }
	/** Leaves the request to a link of the chain. */
	| { readonly kind: "hand-over"; readonly rung: ChainRung }
	| { readonly kind: "give-up"; readonly why: GiveUp }
	| { readonly kind: "done" };

/** What holds at the moment of a decision, besides the plan. */
export interface Circumstances {
	/** The person has not switched us off meanwhile. */
	readonly isEnabled: boolean;
	/** What lies beyond included quota. */
	readonly offers: readonly Offer[];
	/** The turn has not asked the person yet. */
	readonly mayAsk: boolean;
}

/** Has an account serve. */
export interface Try {
	readonly kind: "try";
	readonly account: Account;
	readonly on: ServedOn;
	readonly others: Alternatives;
	/** The account cools, on weak evidence. */
	readonly isTrial: boolean;
	/** Rotations of the request, with this one. */
	readonly rotations: number;
	/** Why the account before was left, where nothing that is stored tells it; undefined for the first account. */
	readonly leftFor: RotationReason | undefined;
}

/** Looks again a moment later. Times are epoch ms. */
export interface Wait {
	readonly kind: "wait";
	readonly now: number;
	readonly until: number;
	readonly forRoom: boolean;
	readonly budgetMs: number;
}

/** Why a request ends without an answer. */
export type GiveUp = "exhausted" | "signed-out-in-a-row" | "switched-off";

/** A request that begins in a session that `previous` served last. */
export function beginProgress(
	{ maxRotations, maxWaitMs }: Pick<RotationSettings, "maxRotations" | "maxWaitMs">,
	previous: Account | undefined,
): Progress {
	return {
		maxRotations,
		previous,
		tried: new Set(),
		refusals: new Map(),
		blocked: new Set(),
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

/** What a plan has to know of the request's past. */
export function askedOf(progress: Progress): Pick<SelectionRequest, "tried" | "givenUp" | "retries" | "patienceMs"> {
	const { tried, retries, waitBudgetMs } = progress;
	return { tried, givenUp: givenUpIn(progress), retries, patienceMs: waitBudgetMs };
}

/** Decides what the request does next. */
export function next(progress: Progress, plan: Plan, now: Circumstances): Step {
	if (progress.isFinished) return { kind: "done" };
	if (progress.isStopped) return { kind: "give-up", why: "exhausted" };
	if (progress.signedOutInARow >= MOST_SIGNED_OUT_IN_A_ROW) return { kind: "give-up", why: "signed-out-in-a-row" };
	const [first] = plan.order;
	if (first) return tryOf(first, false, progress, plan);
	if (!now.isEnabled) return { kind: "give-up", why: "switched-off" };
	const wait = waitOf(progress, plan);
	const [lastResort] = plan.lastResort;
	const isBackSoon = wait !== undefined && wait.until - plan.now <= LONGEST_WAIT_BEFORE_TRIAL_MS;
	if (plan.trial && !progress.hadTrial && !isBackSoon) {
		return tryOf({ account: plan.trial, gate: undefined }, true, progress, plan);
	}
	const beyond = stepBeyond(progress, now);
	if (beyond) return beyond;
	if (wait) return wait;
	// One more on a crowded account is better than no answer.
	return lastResort ? tryOf(lastResort, false, progress, plan) : { kind: "give-up", why: "exhausted" };
}

/**
 * The first offer that nothing is missing for but a yes: with the yes it is taken, without it the person is asked, once
 * a turn. A wait is no reason to ask.
 */
function stepBeyond(progress: Progress, now: Circumstances): Step | undefined {
	const { chosen, closed, suspects } = progress;
	// Where the request itself may be at fault, nothing is spent on it.
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

/** The progress after the person has chosen a rung; `now` is epoch ms. */
export function chose(progress: Progress, rung: Rung, now: number): Progress {
	const resumed = resume({ ...progress, chosen: rung });
	if (rung.kind !== "wait") return resumed;
	return { ...resumed, waitBudgetMs: Math.max(progress.waitBudgetMs, rung.until - now + LATE_RETURN_MS) };
}

/** The progress after what `rung` had to give was tried in vain, or is used up. */
export function closed(progress: Progress, rung: Rung): Progress {
	return { ...progress, closed: new Set([...progress.closed, rungKey(rung)]) };
}

/** The progress after the world has changed while the request stood still: what was tried once may be asked again. */
export function resume(progress: Progress): Progress {
	return { ...progress, tried: givenUpIn(progress), hasWaited: true };
}

/** The progress after a reset credit of `rung` was redeemed: what its account refused before counts no more. */
export function redeemed(progress: Progress, rung: ResetCreditRung): Progress {
	const refusals = new Map([...progress.refusals].filter(([id]) => id !== rung.account.id));
	return closed(resume({ ...progress, refusals }), rung);
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
	const hasNext = [...order, ...lastResort].some((other) => other.account.id !== account.id);
	const mayTryElsewhere = hasNext && !isProbing(progress) && rotations < maxRotations;
	const leftFor = attempts > 0 ? reasonOf(suspects.at(-1), previous) : undefined;
	return { kind: "try", account, on: onOf(ranked), others: { hasNext, mayTryElsewhere }, isTrial, rotations, leftFor };
}

/** Rotations of the request once it has come to `account`. One that it only comes back to counts once. */
function rotationsWith({ id }: Account, { previous, attempts, visited, rotations }: Progress): number {
	const isRotation = attempts > 0 && previous !== undefined && previous.id !== id && !visited.has(id);
	return rotations + (isRotation ? 1 : 0);
}

function waitOf({ waitBudgetMs: budgetMs }: Progress, { waitUntil: until, now, forRoom }: Plan): Wait | undefined {
	if (until === undefined || budgetMs <= 0 || until - now > budgetMs) return undefined;
	return { kind: "wait", now, until, forRoom, budgetMs };
}

/** The progress after `step` has waited for `tookMs`, by the clock. */
export function waited(progress: Progress, tookMs: number): Progress {
	return { ...resume(progress), waitBudgetMs: progress.waitBudgetMs - tookMs };
}

/** The progress after the account of `step` has served, or has not. */
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
			return { ...common, retries, blocked: new Set([...progress.blocked, account.id]), obstacle: served.why };
		}
		case "refused": {
			const isSuspect = served.failure.cooling?.ifAnotherServes === true || isProbe(served.failure);
			// Nothing will have changed for it while this request waits.
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

/** True where the request has been refused for something that one other account is to be tried with. */
export function isProbing({ suspects }: Progress): boolean {
	return suspects.some(({ failure }) => isProbe(failure));
}

function givenUpIn({ refusals, blocked }: Progress): ReadonlySet<AccountId> {
	const refused = [...refusals].flatMap(([id, count]) => (count >= REFUSALS_PER_REQUEST ? [id] : []));
	return new Set([...refused, ...blocked]);
}

/** One other account is tried after it, and no more. */
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
