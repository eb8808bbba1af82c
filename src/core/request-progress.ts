import type { Account } from "./account.ts";
import type { Failure } from "./classify.ts";
import type { RotationReason } from "./events.ts";
import type { AccountId } from "./ids.ts";
import type { Plan, SelectionRequest } from "./plan.ts";
import type { Alternatives, Refused, Served } from "./serve.ts";
import type { RotationSettings } from "./settings.ts";

/** An account that refused this often in one request is done with, however soon it is back. */
const REFUSALS_PER_REQUEST = 2;
/** Sign-ins lost in a row look like a burst of invalidations: going on might take the whole pool along. */
const MOST_SIGNED_OUT_IN_A_ROW = 2;
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
	/** When an account that nothing is held against may be asked again, epoch ms. */
	readonly retryAt: ReadonlyMap<AccountId, number>;
	readonly attempts: number;
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
	readonly isFinished: boolean;
}

/** What a request does next. */
export type Step = Try | Wait | { readonly kind: "give-up"; readonly why: GiveUp } | { readonly kind: "done" };

/** Has an account serve. */
export interface Try {
	readonly kind: "try";
	readonly account: Account;
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
		retryAt: new Map(),
		attempts: 0,
		rotations: 0,
		signedOutInARow: 0,
		hasWaited: false,
		hadTrial: false,
		waitBudgetMs: maxWaitMs,
		obstacle: undefined,
		lastRefusal: undefined,
		suspects: [],
		isFinished: false,
	};
}

/** What a plan has to know of the request's past. */
export function askedOf(progress: Progress): Pick<SelectionRequest, "tried" | "givenUp" | "retryAt" | "patienceMs"> {
	const { tried, retryAt, waitBudgetMs } = progress;
	return { tried, givenUp: givenUpIn(progress), retryAt, patienceMs: waitBudgetMs };
}

/** Decides what the request does next. `isEnabled`: the person has not switched us off meanwhile. */
export function next(progress: Progress, plan: Plan, isEnabled: boolean): Step {
	if (progress.isFinished) return { kind: "done" };
	if (progress.signedOutInARow >= MOST_SIGNED_OUT_IN_A_ROW) return { kind: "give-up", why: "signed-out-in-a-row" };
	const [first] = plan.order;
	if (first) return tryOf(first.account, false, progress, plan);
	if (!isEnabled) return { kind: "give-up", why: "switched-off" };
	const wait = waitOf(progress, plan);
	const [lastResort] = plan.lastResort;
	const isBackSoon = wait !== undefined && wait.until - plan.now <= LONGEST_WAIT_BEFORE_TRIAL_MS;
	if (plan.trial && !progress.hadTrial && !isBackSoon) return tryOf(plan.trial, true, progress, plan);
	if (wait) return wait;
	// One more on a crowded account is better than no answer.
	return lastResort ? tryOf(lastResort.account, false, progress, plan) : { kind: "give-up", why: "exhausted" };
}

function tryOf(account: Account, isTrial: boolean, progress: Progress, { order, lastResort }: Plan): Step {
	const { previous, attempts, maxRotations, suspects } = progress;
	const isRotation = attempts > 0 && previous !== undefined && previous.id !== account.id;
	const rotations = progress.rotations + (isRotation ? 1 : 0);
	if (rotations > maxRotations) return { kind: "give-up", why: "exhausted" };
	const hasNext = [...order, ...lastResort].some((other) => other.account.id !== account.id);
	const mayTryElsewhere = hasNext && !isProbing(progress) && rotations < maxRotations;
	const leftFor = attempts > 0 ? reasonOf(suspects.at(-1), previous) : undefined;
	return { kind: "try", account, others: { hasNext, mayTryElsewhere }, isTrial, rotations, leftFor };
}

function waitOf({ waitBudgetMs: budgetMs }: Progress, { waitUntil: until, now, forRoom }: Plan): Wait | undefined {
	if (until === undefined || budgetMs <= 0 || until - now > budgetMs) return undefined;
	return { kind: "wait", now, until, forRoom, budgetMs };
}

/** The progress after `step` has waited for `tookMs`, by the clock. */
export function waited(progress: Progress, tookMs: number): Progress {
	return {
		...progress,
		// What was tried once may be asked again when it is back.
		tried: givenUpIn(progress),
		hasWaited: true,
		waitBudgetMs: progress.waitBudgetMs - tookMs,
	};
}

/** The progress after the account of `step` has served, or has not. */
export function tried(progress: Progress, { account, isTrial, rotations }: Try, served: Served): Progress {
	const common: Progress = {
		...progress,
		previous: account,
		tried: new Set([...progress.tried, account.id]),
		attempts: progress.attempts + 1,
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
			const retryAt = new Map([...progress.retryAt, [account.id, served.retryAt] as const]);
			if (served.why === undefined) return { ...common, retryAt };
			return { ...common, retryAt, blocked: new Set([...progress.blocked, account.id]), obstacle: served.why };
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
