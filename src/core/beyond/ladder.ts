import type { Account } from "../account.ts";
import { isOfQuota, isPassing } from "../cooldown.ts";
import type { AccountId } from "../ids.ts";
import { creditsOf, isSpent } from "../quota.ts";
import { firstBack, type Gated, type Plan } from "../request/plan.ts";
import type { ResetCredit } from "../reset-credits/reset-credits.ts";
import type { BeyondSettings } from "../settings.ts";

/** Bought credits of an account. `balance` is in the server's unit. */
interface CreditsRung {
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
	/** True if the session is on another model. */
	readonly changesModel?: true;
}

/** A voucher that resets `window` early. Otherwise the window resets at `resetsAt`, epoch ms. */
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
	/**
	 * True if the person has chosen another model than the one that uses the chain. The session then moves only by
	 * consent.
	 */
	readonly needsYes?: boolean;
}

/** The first account that is back, at `until`, epoch ms. */
interface WaitRung {
	readonly kind: "wait";
	readonly account: Account;
	readonly until: number;
	readonly isGuess: boolean;
}

/** One option that could serve a request, or refill what serves it, once all included quota is out. */
export type Rung = CreditsRung | ReserveModelRung | ResetCreditRung | ChainRung | WaitRung;

/** A rung, and whether the person has already agreed to it. */
export interface Offer {
	readonly rung: Rung;
	readonly consent: "given" | "ask";
	/** True if consent may be given for the whole day. */
	readonly canBeRemembered: boolean;
}

/** What a person answers when all included quota is out. */
export type DryAnswer =
	| { readonly kind: "take"; readonly rung: Rung; readonly forToday: boolean }
	/** The turn ends with its error. */
	| { readonly kind: "stop" }
	/** No person could be asked. Only what the settings allow may happen. */
	| { readonly kind: "unavailable" };

/** What could serve besides included quota, and what is known of the person's wishes. */
export interface LadderFacts {
	/** The account that served the session last. Its own options come first among those of a kind. */
	readonly served: AccountId | undefined;
	/** Reserve models that could answer the request. */
	readonly reserveModels: readonly ReserveModelRung[];
	/** Reset credits worth redeeming, the best first. */
	readonly resetCredits: readonly ResetCreditRung[];
	/** Links of the chain that could be asked, in the person's order. */
	readonly chain: readonly ChainRung[];
	/** How long the request would wait unasked, ms. */
	readonly patienceMs: number;
	/** True if a consent of this turn or of today covers the rung. */
	readonly isAgreed: (rung: Rung) => boolean;
}

/**
 * Returns what may serve a request beyond included quota, in order, and what still needs consent. Empty while an
 * account has included quota left: credits, reserve model and resets are for spent accounts only.
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
 * True if all included quota is out. A single account prevents that if it has some left and only cools for a moment, or
 * if the request has tried it for another reason. At least one account must be out of quota; disabled ones alone do not
 * count.
 */
export function isIncludedOut(plan: Plan): boolean {
	if (plan.order.length + plan.lastResort.length + plan.passed.length > 0) return false;
	const usable = plan.gated.filter(isUsable);
	return usable.some(isOutOfQuota) && !usable.some((gated) => isOnlyResting(gated, plan.now));
}

/** Returns a key that identifies a rung. */
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

/**
 * Returns the accounts whose included quota is spent and that have bought credits left, whatever the settings allow.
 */
export function creditsRungs(plan: Plan, served: AccountId | undefined): readonly CreditsRung[] {
	const funded = plan.gated.filter(({ gate }) => gate.kind === "credits");
	return ownFirst(funded, served).map(({ account, usage }) => ({
		kind: "credits",
		account,
		balance: creditsOf(usage)?.balance,
	}));
}

/** Returns the reserve models of accounts that the plan knows as spent. */
export function reserveModelRungs(plan: Plan, { reserveModels, served }: LadderFacts): readonly ReserveModelRung[] {
	const left = ({ leftPercent = UNKNOWN_LEFT_PERCENT }: ReserveModelRung) => leftPercent;
	const fullestFirst = spentOf(plan, reserveModels).sort((a, b) => left(b) - left(a));
	return ownFirst(fullestFirst, served);
}

/** Assumed for an unknown reserve model: ranks it between those with much and those with little left. */
const UNKNOWN_LEFT_PERCENT = 50;

function creditsOffers(plan: Plan, { credits }: BeyondSettings, facts: LadderFacts): readonly Offer[] {
	// The plan already includes what a session may spend unasked on its own account. No other session moves onto credits.
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
 * Returns the links. In a session that uses the chain, listing them is consent. The chain is for a pool that is out,
 * not for a model that no account may use.
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

/** Keeps what belongs to accounts that are out of quota. */
export function spentOf<T extends { readonly account: Account }>({ gated }: Plan, all: readonly T[]): T[] {
	const spent = new Set(gated.filter((each) => isUsable(each) && isOutOfQuota(each)).map(({ account }) => account.id));
	return all.filter(({ account }) => spent.has(account.id));
}

function ownFirst<T extends { readonly account: Account }>(all: readonly T[], served: AccountId | undefined): T[] {
	const isOwn = ({ account }: T) => account.id === served;
	return [...all.filter(isOwn), ...all.filter((each) => !isOwn(each))];
}

/** Gates of accounts that are not available to the session at all. They are no part of its quota. */
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
