import type { Account } from "../account.ts";
import type { AccountSet } from "../account-sets.ts";
import { type Cooldown, isOfQuota } from "../cooldown.ts";
import type { AccountId, SessionId } from "../ids.ts";
import { creditsOf, hasFunds } from "../quota.ts";
import { STALE_AFTER_MS, type UsageSnapshot } from "../usage.ts";
import {
	blockingOf,
	type Candidate,
	type Crowded,
	createMeasure,
	crowdOn,
	type Gate,
	gateOf,
	isOnlyResting,
	type Measured,
	type Reserve,
	returnOf,
} from "./candidate.ts";
import { type Ordering, orderingOf, type PolicyName, type TermShown } from "./policies.ts";

/** What an account is needed for. */
export interface SelectionRequest {
	/** The model; undefined for what holds for every model. */
	readonly modelId: string | undefined;
	/** The session that asks. Its own load does not count against an account. */
	readonly sessionId: SessionId | undefined;
	/** The session whose account set applies, if it is another one. */
	readonly inSetOf?: SessionId | undefined;
	/** The account that the session should stay on. */
	readonly affinity: AccountId | undefined;
	/** The account that served the session last, however long ago. The session may continue there on bought credits. */
	readonly served?: AccountId | undefined;
	/** How long the session would wait for an account, ms. */
	readonly patienceMs?: number | undefined;
	/** Accounts not to offer: the request has tried them, or the caller wants a plan without them. */
	readonly tried?: ReadonlySet<AccountId> | undefined;
	/** Accounts that are not even worth waiting for. */
	readonly givenUp?: ReadonlySet<AccountId> | undefined;
	/** When to ask an account again that is not in a cooldown but had no token. */
	readonly retries?: ReadonlyMap<AccountId, Retry> | undefined;
}

/** An account had no token and may be asked again later. Times are epoch ms. */
export interface Retry {
	readonly at: number;
	/** When the account had no token. */
	readonly since: number;
	/** The stored access token at that time, which cannot be used. */
	readonly access: string;
}

/** The pool at one moment. */
export interface Snapshot {
	/** Epoch ms. */
	readonly now: number;
	/** All accounts, in the list's order. */
	readonly candidates: readonly Candidate[];
	readonly pinned: AccountId | undefined;
	/** How many sessions other than the asking one are live on an account, in any process. */
	readonly liveSessions: ReadonlyMap<AccountId, number>;
	/** The account that the policy chose last, for any session. */
	readonly lastChosen: AccountId | undefined;
	readonly policy: PolicyName;
	readonly reserve: Reserve;
	/** The account set that applies to the session. */
	readonly set?: AccountSet | undefined;
	/** True if no session may continue on bought credits unasked, not even on those of its own account. */
	readonly leavesOwnCredits?: boolean | undefined;
}

/** An account that may be tried, and the reason for its rank. */
export interface Ranked {
	readonly account: Account;
	/** 1 is tried first. */
	readonly rank: number;
	readonly usage: UsageSnapshot | undefined;
	/** `reserve` if it is kept for later; `credits` if only bought credits are left everywhere. */
	readonly gate: Gate | undefined;
	/**
	 * The terms that order it, most significant first. Computed on demand, since a request reads those of one account.
	 */
	terms(): readonly TermShown[];
	/** The term that put it behind the previous account; undefined for the first. */
	readonly decidedBy: string | undefined;
}

/** An account that is not offered. */
export interface Gated {
	readonly account: Account;
	readonly usage: UsageSnapshot | undefined;
	readonly gate: Gate;
	/**
	 * When it can serve again, epoch ms; `now` for a crowded one. Undefined if a person has to act, or no end is known.
	 */
	readonly readyAt: number | undefined;
	/** The cooldowns that keep it out. */
	blocking(): readonly Cooldown[];
}

/** Who serves a request, in which order, when, and why. Everything that shows or uses this reads it from here. */
export interface Plan {
	/** Epoch ms. */
	readonly now: number;
	/** Number of accounts that the session may use at all, available or not. */
	readonly total: number;
	/** The account set that applies; undefined if the session may use every account. */
	readonly set: AccountSet | undefined;
	/** Accounts to try now. */
	readonly order: readonly Ranked[];
	/**
	 * Accounts that could also serve but that other sessions need. Tried only if no wait helps.
	 */
	readonly lastResort: readonly Ranked[];
	/** Accounts that are not offered, in the list's order. Includes those of `lastResort`. */
	readonly gated: readonly Gated[];
	/** Accounts that could serve but that this request has finished with. */
	readonly passed: readonly Account[];
	/** When the first account worth waiting for is back, epoch ms; undefined if one can be tried now. */
	readonly waitUntil: number | undefined;
	/** True if accounts that could serve are passed over while waiting. */
	readonly forRoom: boolean;
	/** An account that cools on weak evidence. It may be asked once if no other is left. */
	readonly trial: Account | undefined;
	/** The account that serves next; undefined while none is ready. */
	readonly next: Account | undefined;
	readonly pinned: AccountId | undefined;
}

/** Why an account was the one to be tried. */
export interface SelectionReason {
	/**
	 * The term that put the next account behind it; undefined if there was no other. For an account that serves without
	 * included quota: `credits`, `reserve-model` or `trial`.
	 */
	readonly decidedBy: string | undefined;
	/** The terms that order it. */
	readonly terms: readonly TermShown[];
}

/** Minimum time between two trials of a cooling account on weak evidence. A refusal counts as a trial. */
export const TRIAL_MS = 10 * 60_000;

const EMPTY: ReadonlySet<AccountId> = new Set();

/** A candidate with what decides whether and when it is tried. */
export interface Looked {
	readonly candidate: Candidate;
	readonly account: Account;
	readonly position: number;
	readonly gate: Gate | undefined;
	readonly crowd: Crowded | undefined;
	/** Undefined if a gate excludes the candidate. */
	readonly measured: Measured | undefined;
}

/** A candidate with everything that the plan measures, once. */
interface Seen extends Looked {
	readonly readyAt: number | undefined;
}

/** Candidates, divided by what the plan does with them. */
interface Divided<T> {
	/** Accounts to try now. */
	readonly order: readonly T[];
	readonly lastResort: readonly T[];
	readonly crowded: readonly T[];
	/** The account that may serve on bought credits. */
	readonly credits: T | undefined;
	/** True if the request has finished with the account, or the caller wants a plan without it. */
	readonly isOut: (account: Account) => boolean;
}

/** Creates the plan for `request` from one snapshot of the pool. */
export function plan(request: SelectionRequest, snapshot: Snapshot): Plan {
	const { now } = snapshot;
	const measure = createMeasure(snapshot.candidates, { ...snapshot, affinity: request.affinity });
	const seen = look(request, snapshot, measure);
	const { crowded, credits, isOut, ...divided } = divide(request, snapshot, seen);
	const ordering = orderingOf(snapshot.policy, snapshot.candidates);
	const order = ranked(divided.order, ordering, measure, now);
	const lastResort = ranked(divided.lastResort, ordering, measure, now);
	return {
		now,
		total: seen.filter(({ gate }) => gate?.kind !== "not-in-set").length,
		set: snapshot.set,
		order,
		lastResort,
		gated: seen.flatMap((each) => {
			const gate = each.gate ?? (crowded.includes(each) ? each.crowd : undefined);
			const isOffered = each === credits && divided.order.includes(each);
			return gate && !isOffered ? [gatedOf(each, gate, request, now)] : [];
		}),
		passed: seen.flatMap(({ gate, account }) => (!gate && isOut(account) ? [account] : [])),
		waitUntil: order.length > 0 ? undefined : firstReturn(seen, crowded, request, now),
		forRoom: crowded.length > 0,
		trial: order.length + lastResort.length > 0 ? undefined : trialOf(seen, request, now, isOut),
		next: (order[0] ?? lastResort[0])?.account,
		pinned: snapshot.pinned,
	};
}

/** Divides the candidates into those to try and those to try only if no wait helps; each group in the list's order. */
export function divide<T extends Looked>(
	request: SelectionRequest,
	snapshot: Snapshot,
	seen: readonly T[],
): Divided<T> {
	const { tried = EMPTY } = request;
	const { now } = snapshot;
	const isOut = (account: Account) => tried.has(account.id) || retryOf(account, request, now) > now;
	const crowded = isRoomWorthWaiting(seen, request, now) ? seen.filter(({ crowd }) => crowd) : [];
	const offered = seen.filter(({ gate, account }) => !gate && !isOut(account));
	const credits = snapshot.leavesOwnCredits ? undefined : onCredits(seen, request, now, isOut);
	const free = crowded.length === 0 ? offered : offered.filter((each) => !crowded.includes(each));
	return {
		order: free.length === 0 && credits ? [credits] : free,
		lastResort: [...offered.filter((each) => crowded.includes(each)), ...(free.length > 0 && credits ? [credits] : [])],
		crowded,
		credits,
		isOut,
	};
}

function look(
	{ modelId }: SelectionRequest,
	{ candidates, now }: Snapshot,
	measure: (candidate: Candidate, position: number) => Measured,
): Seen[] {
	return candidates.map((candidate, position) => {
		const gate = gateOf(candidate, modelId, now);
		const measured = gate ? undefined : measure(candidate, position);
		return {
			candidate,
			account: candidate.account,
			position,
			gate,
			readyAt: gate ? returnOf(candidate, modelId, now) : now,
			crowd: measured && crowdOn(measured),
			measured,
		};
	});
}

/**
 * True if the session should leave crowded accounts to their own sessions. That holds only if its own account is out of
 * quota, and another one has room or is back within the time that the session would wait. A session without an account
 * of its own has no prompt cache to lose.
 */
export function isRoomWorthWaiting(
	seen: readonly Looked[],
	{ served, modelId, patienceMs = 0 }: SelectionRequest,
	now: number,
): boolean {
	const own = seen.find(({ account }) => account.id === served);
	if (!own || !isOutOfQuota(own, modelId, now)) return false;
	return seen.some(({ gate, crowd }) => {
		if (crowd) return false;
		return !gate || (gate.kind === "cooling" && gate.until <= now + patienceMs);
	});
}

function isOutOfQuota({ gate, candidate }: Looked, modelId: string | undefined, now: number): boolean {
	if (gate?.kind === "capped") return true;
	return gate?.kind === "cooling" && blockingOf(candidate, modelId, now).some(isOfQuota);
}

/**
 * Returns the account that may serve on bought credits: the one that the session is already on, or the only one that
 * could serve at all. It always ranks behind every account with included quota. Plain pi would spend these credits too;
 * no session ever moves to another account's credits.
 */
function onCredits<T extends Looked>(
	seen: readonly T[],
	request: SelectionRequest,
	now: number,
	isOut: (account: Account) => boolean,
): T | undefined {
	const { served, modelId, patienceMs = 0, givenUp } = request;
	if (!seen.some(({ gate }) => gate?.kind === "credits")) return undefined;
	const usable = seen.filter(({ account }) => account.enabled && !account.needsLogin);
	const own = usable.length === 1 ? usable[0] : usable.find(({ account }) => account.id === served);
	if (own?.gate?.kind !== "credits" || isOut(own.account)) return undefined;
	// The request may have tried that account already, and asks it again after a wait.
	const isBackSoon = usable.some(({ account, gate, candidate }) => {
		if (account === own.account || givenUp?.has(account.id) || (gate && gate.kind !== "cooling")) return false;
		const backAt = Math.max(gate?.until ?? now, retryOf(account, request, now));
		return patienceMs > 0 && backAt <= now + patienceMs && isOnlyResting(candidate, modelId, now);
	});
	return isBackSoon ? undefined : own;
}

function ranked(
	some: readonly Seen[],
	ordering: Ordering,
	measure: (candidate: Candidate, position: number) => Measured,
	now: number,
): Ranked[] {
	const placed = some
		.map(({ candidate, position, gate, measured }) => ({ gate, measured: measured ?? measure(candidate, position) }))
		.sort((a, b) => ordering.compare(a.measured, b.measured));
	return placed.map(({ gate, measured }, at) => {
		const before = placed[at - 1]?.measured;
		return {
			account: measured.candidate.account,
			rank: at + 1,
			usage: measured.candidate.usage,
			gate: gate ?? measured.reserve,
			terms: () => ordering.show(measured, now),
			decidedBy: before && ordering.decisive(before, measured),
		};
	});
}

function gatedOf({ candidate, account, readyAt }: Seen, gate: Gate, { modelId }: SelectionRequest, now: number): Gated {
	return {
		account,
		usage: candidate.usage,
		gate,
		readyAt,
		blocking: () => blockingOf(candidate, modelId, now),
	};
}

function firstReturn(
	seen: readonly Seen[],
	crowded: readonly Seen[],
	request: SelectionRequest,
	now: number,
): number | undefined {
	const times = seen.flatMap((each) => {
		const { account, readyAt } = each;
		if (readyAt === undefined || crowded.includes(each) || request.givenUp?.has(account.id)) return [];
		return Math.max(readyAt, retryOf(account, request, now));
	});
	return times.length > 0 ? Math.min(...times) : undefined;
}

/** When the account may be asked again, epoch ms. 0 if another token was stored since, or the clock was set back. */
function retryOf({ id, credential }: Account, { retries }: SelectionRequest, now: number): number {
	const retry = retries?.get(id);
	return retry && retry.since <= now && retry.access === credential.access ? retry.at : 0;
}

/**
 * Finds the account whose evidence is weakest: its return is a guess, or the usage behind it is old. It must cool
 * because its quota is spent, and must not be known to have bought credits, which a trial would spend.
 */
function trialOf(
	seen: readonly Seen[],
	{ modelId }: SelectionRequest,
	now: number,
	isOut: (account: Account) => boolean,
): Account | undefined {
	const weak = seen.flatMap(({ account, gate, candidate }) => {
		if (gate?.kind !== "cooling" || isOut(account)) return [];
		const { usage } = candidate;
		const trialAt = (candidate.trialAt ?? 0) <= now ? (candidate.trialAt ?? 0) : 0;
		const blocking = blockingOf(candidate, modelId, now);
		const seenAt = Math.max(...blocking.map(({ setAt }) => setAt));
		if (hasFunds(creditsOf(usage)) || now - Math.max(seenAt, trialAt) < TRIAL_MS) return [];
		const isOld = now - Math.max(seenAt, usage?.capturedAt ?? 0) > STALE_AFTER_MS;
		const isWeak = blocking.every((cooldown) => isOfQuota(cooldown) && (cooldown.guessed === true || isOld));
		return isWeak ? [{ account, isGuess: gate.guessed === true, seenAt }] : [];
	});
	weak.sort((a, b) => Number(b.isGuess) - Number(a.isGuess) || a.seenAt - b.seenAt);
	return weak[0]?.account;
}

/** Returns why `account` was tried first among the accounts of its kind in the plan. */
export function selectionReason({ order, lastResort }: Plan, account: Account): SelectionReason {
	const [first, second] = [order, lastResort].find(([each]) => each?.account.id === account.id) ?? [];
	return { decidedBy: second?.decidedBy, terms: first?.terms() ?? [] };
}

/** Returns what excludes an account; undefined if it is offered. */
export function gatedIn({ gated }: Plan, id: AccountId): Gated | undefined {
	return gated.find(({ account }) => account.id === id);
}

/** Counts the accounts that could serve from included quota, crowded ones included. */
export function readyCount({ order, lastResort }: Plan): number {
	return [...order, ...lastResort].filter(({ gate }) => gate?.kind !== "credits").length;
}

/** The account that is back first. */
export interface FirstBack {
	readonly account: Account;
	/** Epoch ms. */
	readonly readyAt: number;
	/** The time is a guess. */
	readonly isGuess: boolean;
	/** A cap excludes it although quota is left. */
	readonly isCapped?: true;
}

/** Returns the account that is back first, among those that cool or have only bought credits left. */
export function firstBack({ gated }: Plan): FirstBack | undefined {
	let first: FirstBack | undefined;
	for (const { account, gate, readyAt } of gated) {
		if (readyAt === undefined || gate.kind === "crowded") continue;
		const isGuess = gate.kind === "cooling" && gate.guessed === true;
		const isCapped = gate.kind === "capped" && { isCapped: true as const };
		if (!first || readyAt < first.readyAt) first = { account, readyAt, isGuess, ...isCapped };
	}
	return first;
}
