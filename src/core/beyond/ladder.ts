import type { Account } from "../account.ts";
import { isOfQuota, isPassing } from "../cooldown.ts";
import type { AccountId } from "../ids.ts";
import { creditsOf, isSpent } from "../quota.ts";
import { firstBack, type Gated, type Plan } from "../request/plan.ts";
import type { ResetCredit } from "../reset-credits/reset-credits.ts";
import type { BeyondSettings } from "../settings.ts";

/** Bought credits of an account. `balance` is in the server's unit. */
export interface CreditsRung {
	readonly kind: "credits";
	readonly account: Account;
	readonly balance: string | undefined;
}

/** The second allowance of a spent account. `model` is the visible model that answers. */
export interface ReserveModelRung {
	readonly kind: "reserve-model";
	readonly account: Account;
	readonly model: string;
	readonly leftPercent: number | undefined;
	/** The session is on another model. */
	readonly changesModel?: true;
}

/** A voucher that resets `window` early; by itself it would reset at `resetsAt`, epoch ms. */
export interface ResetCreditRung {
	readonly kind: "reset-credit";
	readonly account: Account;
	readonly credit: ResetCredit;
	readonly window: string;
	readonly resetsAt: number | undefined;
}

/** A link of the person's own list, such as `anthropic/claude-…`. */
export interface ChainRung {
	readonly kind: "chain";
	readonly model: string;
	readonly isPaid: boolean;
	/** The person has chosen another model than the one that uses the chain: the session moves there by a yes alone. */
	readonly needsYes?: boolean;
}

/** The first account that is back, at `until`, epoch ms. */
export interface WaitRung {
	readonly kind: "wait";
	readonly account: Account;
	readonly until: number;
	readonly isGuess: boolean;
}

/** One thing that could serve a request, or bring back what serves it, once all included quota is out. */
export type Rung = CreditsRung | ReserveModelRung | ResetCreditRung | ChainRung | WaitRung;

/** A rung, and whether the person has agreed to it already. */
export interface Offer {
	readonly rung: Rung;
	readonly consent: "given" | "ask";
	/** A yes may be given for the whole day. */
	readonly canBeRemembered: boolean;
}

/** What a person answers when all included quota is out. */
export type DryAnswer =
	| { readonly kind: "take"; readonly rung: Rung; readonly forToday: boolean }
	/** The turn ends with its error. */
	| { readonly kind: "stop" }
	/** No person could be asked: only what the settings allow may happen. */
	| { readonly kind: "unavailable" };

/** What could serve beside accounts, and what is known of the person's will. */
export interface LadderFacts {
	/** The account that served the session last: what it has left comes first of its kind. */
	readonly served: AccountId | undefined;
	/** Reserve models that could answer the request. */
	readonly reserveModels: readonly ReserveModelRung[];
	/** Reset credits that are worth redeeming, the best first. */
	readonly resetCredits: readonly ResetCreditRung[];
	/** Links of the chain that could be asked, in the person's order. */
	readonly chain: readonly ChainRung[];
	/** How long the request would wait unasked, ms. */
	readonly patienceMs: number;
	/** Does a yes of the person, of this turn or of today, cover it? */
	readonly isAgreed: (rung: Rung) => boolean;
}

/**
 * What may serve a request beyond included quota, in the order in which it does, and where a yes is missing. Nothing
 * while an account has included quota left: credits, reserve model and resets are for spent accounts alone.
 */
export function ladder(plan: Plan, beyond: BeyondSettings, facts: LadderFacts): readonly Offer[] {
	if (plan.order.length + plan.lastResort.length > 0) return [];
	const isOut = isIncludedOut(plan);
	return [
		...(isOut ? creditsOffers(plan, beyond, facts) : []),
		...(isOut ? reserveModelOffers(plan, beyond, facts) : []),
		...(isOut ? resetOffers(plan, facts) : []),
		...chainOffers(plan, facts),
		...waitOffers(plan, facts),
	];
}

/**
 * Is all included quota out? One account is enough to deny it that has some left and only rests for a moment, or that
 * the request has tried for another reason. True only where an account is out for want of quota, and not all are off.
 */
export function isIncludedOut(plan: Plan): boolean {
	if (plan.order.length + plan.lastResort.length + plan.passed.length > 0) return false;
	const usable = plan.gated.filter(isUsable);
	return usable.some(isOutOfQuota) && !usable.some((gated) => isOnlyResting(gated, plan.now));
}

/** Tells two rungs apart. */
export function rungKey(rung: Rung): string {
	switch (rung.kind) {
		case "chain":
			return `${rung.kind} ${rung.model}`;
		case "reset-credit":
			return `${rung.kind} ${rung.account.id} ${rung.credit.id}`;
		case "wait":
			return rung.kind;
		case "credits":
		case "reserve-model":
			return `${rung.kind} ${rung.account.id}`;
	}
}

/** Accounts whose included quota is spent and that have bought credits left, whatever the settings say of those. */
export function creditsRungs(plan: Plan, served: AccountId | undefined): readonly CreditsRung[] {
	const funded = plan.gated.filter(({ gate }) => gate.kind === "credits");
	return ownFirst(funded, served).map(({ account, usage }) => ({
		kind: "credits",
		account,
		balance: creditsOf(usage)?.balance,
	}));
}

/** The reserve models of accounts that the plan knows as spent. */
export function reserveModelRungs(plan: Plan, { reserveModels, served }: LadderFacts): readonly ReserveModelRung[] {
	const left = ({ leftPercent = UNKNOWN_LEFT_PERCENT }: ReserveModelRung) => leftPercent;
	const fullestFirst = spentOf(plan, reserveModels).sort((a, b) => left(b) - left(a));
	return ownFirst(fullestFirst, served);
}

/** Of a reserve model of which nothing is known: between those with much and those with little. */
const UNKNOWN_LEFT_PERCENT = 50;

function creditsOffers(plan: Plan, { credits }: BeyondSettings, facts: LadderFacts): readonly Offer[] {
	// What a session may spend unasked on its own account stands in the plan; no other moves onto credits then.
	if (credits === "never" || credits === "own") return [];
	return creditsRungs(plan, facts.served).map((rung) => ({
		rung,
		consent: credits === "allow" || facts.isAgreed(rung) ? "given" : "ask",
		canBeRemembered: true,
	}));
}

function reserveModelOffers(plan: Plan, { reserveModel }: BeyondSettings, facts: LadderFacts): readonly Offer[] {
	if (reserveModel === "never") return [];
	return reserveModelRungs(plan, facts).map((rung) => ({
		rung,
		consent: reserveModel === "always" || facts.isAgreed(rung) ? "given" : "ask",
		canBeRemembered: true,
	}));
}

function resetOffers(plan: Plan, { resetCredits, isAgreed }: LadderFacts): readonly Offer[] {
	const [best] = spentOf(plan, resetCredits);
	return best ? [{ rung: best, consent: isAgreed(best) ? "given" : "ask", canBeRemembered: false }] : [];
}

/**
 * Being listed is the consent in a session that uses the chain. The chain is for a pool that is out, not for a model
 * that no account may use.
 */
function chainOffers(plan: Plan, { chain, patienceMs, isAgreed }: LadderFacts): readonly Offer[] {
	const isBackSoon = plan.waitUntil !== undefined && plan.waitUntil - plan.now <= patienceMs;
	const isAnyAway = plan.gated.some((gated) => isUsable(gated) && !isOfModelAlone(gated));
	if (!isAnyAway || (isBackSoon && !isIncludedOut(plan))) return [];
	return chain.map((rung) => ({
		rung,
		consent: rung.needsYes && !isAgreed(rung) ? "ask" : "given",
		canBeRemembered: false,
	}));
}

function waitOffers(plan: Plan, { patienceMs }: LadderFacts): readonly Offer[] {
	const first = firstBack(plan);
	const until = plan.waitUntil;
	if (!first || until === undefined) return [];
	const { account, isGuess } = first;
	const consent = until - plan.now <= patienceMs ? "given" : "ask";
	return [{ rung: { kind: "wait", account, until, isGuess }, consent, canBeRemembered: false }];
}

/** Those of accounts that are out for want of quota. */
export function spentOf<T extends { readonly account: Account }>({ gated }: Plan, all: readonly T[]): T[] {
	const spent = new Set(gated.filter((each) => isUsable(each) && isOutOfQuota(each)).map(({ account }) => account.id));
	return all.filter(({ account }) => spent.has(account.id));
}

function ownFirst<T extends { readonly account: Account }>(all: readonly T[], served: AccountId | undefined): T[] {
	const isOwn = ({ account }: T) => account.id === served;
	return [...all.filter(isOwn), ...all.filter((each) => !isOwn(each))];
}

/** Gates of accounts that the session has not: these are no part of its quota. */
const NOT_THERE: ReadonlySet<string> = new Set(["disabled", "needs-login", "not-in-set"]);

function isUsable({ gate }: Gated): boolean {
	return !NOT_THERE.has(gate.kind);
}

function isOutOfQuota(gated: Gated): boolean {
	return gated.gate.kind === "credits" || (gated.gate.kind === "cooling" && gated.blocking().some(isOfQuota));
}

function isOnlyResting({ gate, usage, blocking }: Gated, now: number): boolean {
	return gate.kind === "cooling" && blocking().every(isPassing) && !(usage && isSpent(usage, now));
}

function isOfModelAlone({ gate, blocking }: Gated): boolean {
	return gate.kind === "cooling" && blocking().every(({ scope }) => scope.startsWith("model:"));
}
