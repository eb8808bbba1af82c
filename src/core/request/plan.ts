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

/** Describes what an account is asked for. */
export interface SelectionRequest {
	/** Without a model only what holds for all models counts. */
	readonly modelId: string | undefined;
	/** The session that asks: what it does itself is no reason to go elsewhere. */
	readonly sessionId: SessionId | undefined;
	/** The session whose account set holds, where that is another one. */
	readonly inSetOf?: SessionId | undefined;
	/** The account that the session is to stay on. */
	readonly affinity: AccountId | undefined;
	/** The account that served the session last, however long ago: it may go on there on bought credits. */
	readonly served?: AccountId | undefined;
	/** How long the session would wait for an account, ms. */
	readonly patienceMs?: number | undefined;
	/** Accounts that are not to be offered: the request has tried them, or asks as if they were gone. */
	readonly tried?: ReadonlySet<AccountId> | undefined;
	/** Accounts that are not even waited for. */
	readonly givenUp?: ReadonlySet<AccountId> | undefined;
	/** When an account may be asked again that no cooldown keeps out. */
	readonly retries?: ReadonlyMap<AccountId, Retry> | undefined;
}

/** An account had no token, and may be asked again later. Times are epoch ms. */
export interface Retry {
	readonly at: number;
	/** When it had none. */
	readonly since: number;
	/** The access token that is stored with it, and is no good. */
	readonly access: string;
}

/** The pool at one moment. */
export interface Snapshot {
	/** Epoch ms. */
	readonly now: number;
	/** All accounts, in the list's order. */
	readonly candidates: readonly Candidate[];
	readonly pinned: AccountId | undefined;
	/** How many other sessions than the one that asks are live on an account, in any process. */
	readonly liveSessions: ReadonlyMap<AccountId, number>;
	/** The account that the policy chose last, for whatever session. */
	readonly lastChosen: AccountId | undefined;
	readonly policy: PolicyName;
	readonly reserve: Reserve;
	/** The account set that holds for the session. */
	readonly set?: AccountSet | undefined;
	/** No session goes on with bought credits by itself, not even with those of the account that it is on. */
	readonly leavesOwnCredits?: boolean | undefined;
}

/** An account that may be tried, and why it stands where it does. */
export interface Ranked {
	readonly account: Account;
	/** 1 is tried first. */
	readonly rank: number;
	readonly usage: UsageSnapshot | undefined;
	/** `reserve` where it is kept for later, `credits` where nothing but bought credits is left anywhere. */
	readonly gate: Gate | undefined;
	/** What it is ordered by, the first to decide first. Worded when asked for: a request reads those of one account. */
	terms(): readonly TermShown[];
	/** The term that put it behind the one before it; undefined for the first. */
	readonly decidedBy: string | undefined;
}

/** An account that is not offered. */
export interface Gated {
	readonly account: Account;
	readonly usage: UsageSnapshot | undefined;
	readonly gate: Gate;
	/**
	 * When it can serve again, epoch ms: the present for one that is crowded, undefined while it needs a person, or has
	 * no known end.
	 */
	readonly readyAt: number | undefined;
	/** The cooldowns that keep it out. */
	blocking(): readonly Cooldown[];
}

/** Who serves a request, in which order, when, and why: the one answer of which everything else is read. */
export interface Plan {
	/** Epoch ms. */
	readonly now: number;
	/** Accounts of the pool that the session may use at all, whatever becomes of them here. */
	readonly total: number;
	/** The account set that holds; undefined where the session may use every account. */
	readonly set: AccountSet | undefined;
	/** Accounts to try now. */
	readonly order: readonly Ranked[];
	/** Accounts that could serve as well, but are needed by others; tried where no wait for another helps. */
	readonly lastResort: readonly Ranked[];
	/** Accounts that are not offered, as listed: those of `lastResort` among them. */
	readonly gated: readonly Gated[];
	/** Accounts that could serve, but that the request is done with. */
	readonly passed: readonly Account[];
	/** When the first account is back that is worth waiting for, epoch ms; undefined where one can be tried now. */
	readonly waitUntil: number | undefined;
	/** The wait passes accounts by that could serve. */
	readonly forRoom: boolean;
	/** An account that cools on weak evidence: with none left it may be asked once. */
	readonly trial: Account | undefined;
	/** The account that serves next; undefined while none is ready. */
	readonly next: Account | undefined;
	readonly pinned: AccountId | undefined;
}

/** Why an account was the one to be tried. */
export interface SelectionReason {
	/**
	 * The term that put the next account behind it; undefined where there was no other. Of an account that serves without
	 * included quota: `credits`, `reserve-model` or `trial`.
	 */
	readonly decidedBy: string | undefined;
	/** What it is ordered by. */
	readonly terms: readonly TermShown[];
}

/** A cooling account is asked on weak evidence this seldom; a refusal counts as such a question. */
export const TRIAL_MS = 10 * 60_000;

const EMPTY: ReadonlySet<AccountId> = new Set();

/** A candidate with what decides whether it is tried, and when. */
export interface Looked {
	readonly candidate: Candidate;
	readonly account: Account;
	readonly position: number;
	readonly gate: Gate | undefined;
	readonly crowd: Crowded | undefined;
	/** Undefined behind a gate. */
	readonly measured: Measured | undefined;
}

/** A candidate with everything that the plan measures of it, once. */
interface Seen extends Looked {
	readonly readyAt: number | undefined;
}

/** Candidates by what becomes of them. */
interface Divided<T> {
	/** Accounts to try now. */
	readonly order: readonly T[];
	readonly lastResort: readonly T[];
	readonly crowded: readonly T[];
	/** The account that may serve on bought credits. */
	readonly credits: T | undefined;
	/** The request is done with the account, or asks as if it were gone. */
	readonly isOut: (account: Account) => boolean;
}

/** Makes the plan for `request` over the pool of `snapshot`. */
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

/** Which candidates are tried, and which ones only where no wait for another helps; each in the list's order. */
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
 * A session leaves crowded accounts to those at work there only where its own has run out of quota, and another one has
 * room, or is back as soon as the session would wait. Without an account of its own it has no cache to lose.
 */
function isRoomWorthWaiting(
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
 * The account that may serve on bought credits: one that the session is on already, or the only one that could serve at
 * all, and only behind every account with included quota. As pi without us would spend them; nothing ever moves onto
 * credits.
 */
function onCredits<T extends Looked>(
	seen: readonly T[],
	{ served, modelId, patienceMs = 0 }: SelectionRequest,
	now: number,
	isOut: (account: Account) => boolean,
): T | undefined {
	if (!seen.some(({ gate }) => gate?.kind === "credits")) return undefined;
	const usable = seen.filter(({ account }) => account.enabled && !account.needsLogin);
	const own = usable.length === 1 ? usable[0] : usable.find(({ account }) => account.id === served);
	if (own?.gate?.kind !== "credits" || isOut(own.account)) return undefined;
	const isBackSoon = usable.some(({ account, gate, candidate }) => {
		if (account === own.account || isOut(account) || gate?.kind !== "cooling") return false;
		return gate.until <= now + patienceMs && isOnlyResting(candidate, modelId, now);
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

/** When it may be asked again; 0 where another token was stored since, or the clock was set back. */
function retryOf({ id, credential }: Account, { retries }: SelectionRequest, now: number): number {
	const retry = retries?.get(id);
	return retry && retry.since <= now && retry.access === credential.access ? retry.at : 0;
}

/**
 * Finds the account whose evidence is weakest: its return is a guess, or the figures behind it are old. It must cool
 * for want of quota, and must not be known to have bought credits, which it would spend.
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

/** Why `account` was the one to be tried among those of its kind in the plan. */
export function selectionReason({ order, lastResort }: Plan, account: Account): SelectionReason {
	const [first, second] = [order, lastResort].find(([each]) => each?.account.id === account.id) ?? [];
	return { decidedBy: second?.decidedBy, terms: first?.terms() ?? [] };
}

/** What keeps an account out; undefined where it is offered. */
export function gatedIn({ gated }: Plan, id: AccountId): Gated | undefined {
	return gated.find(({ account }) => account.id === id);
}

/** How many accounts could serve from their included quota, crowded ones among them. */
export function readyCount({ order, lastResort }: Plan): number {
	return [...order, ...lastResort].filter(({ gate }) => gate?.kind !== "credits").length;
}

/** When an account is back. */
export interface FirstBack {
	readonly account: Account;
	/** Epoch ms. */
	readonly readyAt: number;
	/** The time is a guess. */
	readonly isGuess: boolean;
	/** A cap keeps what it has left. */
	readonly isCapped?: true;
}

/** The account that is back first of those that cool, or have only bought credits left. */
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
