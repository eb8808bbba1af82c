import {
	type Redeemable,
	type RedeemFacts,
	type ResetCredit,
	redeemables,
	unexpired,
} from "../../../src/core/reset-credits/reset-credits.ts";
import { nextReadyAt } from "./choosers.ts";
import type { AccountSpec, Scenario } from "./demand.ts";
import type { Meter } from "./meter.ts";
import { DAY_MS, START, WEEK_MS } from "./model.ts";
import { createDice } from "./random.ts";
import type { Beyond } from "./run.ts";

/** How long the backend keeps a reset credit. */
const CREDIT_LIFE_MS = 30 * DAY_MS;

/** Reset credits by account. */
export type Credits = readonly (readonly ResetCredit[])[];

/** Picks the account on which a reset is redeemed, of those that `facts` are about; undefined for none. */
export type Picker = (facts: readonly RedeemFacts[], meters: readonly Meter[], now: number) => number | undefined;

/** What a pool has beside its included quota. */
export interface BeyondInit {
	readonly credits?: Credits;
	readonly pick?: Picker;
	/** What the second allowance of an account holds for a week. */
	readonly reserveOf?: ((spec: AccountSpec) => number) | undefined;
}

/** What there is beyond included quota, and how much of it was used. */
export interface CountedBeyond extends Beyond {
	readonly counts: () => { readonly redeemed: number; readonly onReserve: number };
}

/** The reset credits that the accounts of a scenario have at its beginning: one each, of any age. */
export function creditsOf({ name, seed, accounts }: Scenario): Credits {
	const dice = createDice(seed, `${name} reset credits`);
	return accounts.map((_, index) => [
		{ id: `credit-${index}`, grantedAt: START, expiresAt: START + dice.unit() * CREDIT_LIFE_MS },
	]);
}

/** The product's own choice, with a yes of the person at each offer. */
export const asOffered: Picker = (facts, _meters, now) => placeOf(redeemables(facts, now)[0], facts);

/** As {@link asOffered}, with a no while nothing but a 5h window is out. */
export const whenAWeekIsOut: Picker = (facts, _meters, now) => placeOf(weeksOut(facts, now)[0], facts);

/** As {@link whenAWeekIsOut}, and the credit that ends first, whatever it gives back. */
export const endingFirst: Picker = (facts, _meters, now) => {
	const [first] = weeksOut(facts, now).sort((a, b) => (a.credit.expiresAt ?? 0) - (b.credit.expiresAt ?? 0));
	return placeOf(first, facts);
};

function weeksOut(facts: readonly RedeemFacts[], now: number): Redeemable[] {
	return redeemables(facts, now).filter(({ window }) => window === "7d");
}

function placeOf(found: Redeemable | undefined, facts: readonly RedeemFacts[]): number | undefined {
	return found && facts.findIndex(({ account }) => account.id === found.account.id);
}

/** Creates what a pool may turn to when it is dry. Every play needs one of its own. */
export function createBeyond({ credits = [], pick = asOffered, reserveOf }: BeyondInit): CountedBeyond {
	const left = credits.map((list) => [...list]);
	const reserves = new Map<Meter, { used: number; endsAt: number }>();
	let redeemed = 0;
	let onReserve = 0;

	const hasReserve = (meter: Meter, now: number): boolean => {
		if (!reserveOf) return false;
		const reserve = reserves.get(meter);
		return !reserve || reserve.endsAt <= now || reserve.used < reserveOf(meter.spec);
	};
	return {
		serveOnReserve: (meters, own, work, now) => {
			const meter = [...(own ? [own] : []), ...meters].find((each) => hasReserve(each, now));
			if (!meter) return undefined;
			const running = reserves.get(meter);
			const reserve = running && running.endsAt > now ? running : { used: 0, endsAt: now + WEEK_MS };
			reserve.used += work;
			reserves.set(meter, reserve);
			onReserve += work;
			return meter;
		},
		redeem: (meters, now) => {
			const facts = meters.map(({ account, usage, index }) => ({ account, usage, credits: left[index] ?? [] }));
			const picked = pick(facts, meters, now);
			const meter = picked === undefined ? undefined : meters[picked];
			const [credit] = unexpired(left[meter?.index ?? -1] ?? [], now);
			if (!meter || !credit) return false;
			left[meter.index] = (left[meter.index] ?? []).filter((each) => each !== credit);
			redeemed += 1;
			// A reset may have come from outside meanwhile: the backend takes the credit all the same.
			meter.resetEarly(now);
			meter.observeNow(now);
			return true;
		},
		counts: () => ({ redeemed, onReserve }),
	};
}

/** One moment at which a reset could be redeemed, and the accounts that have one. */
export interface Occasion {
	readonly accounts: readonly number[];
}

/**
 * Redeems by a list: at the first dry spell on the first account of it, and so on; undefined lets a spell pass, as does
 * the end of the list. `occasions` gets every spell with an account that could be reset.
 */
export function bySchedule(schedule: readonly (number | undefined)[], occasions: Occasion[]): Picker {
	let spell: number | undefined;
	return (facts, meters, now) => {
		const until = nextReadyAt(meters, now);
		// Of one spell only the first moment counts: to redeem later in it never serves more.
		if (until === spell) return undefined;
		spell = until;
		const accounts = facts.flatMap(({ credits, usage }, index) =>
			unexpired(credits, now).length > 0 && (usage?.windows.length ?? 0) > 1 ? [index] : [],
		);
		if (accounts.length === 0) return undefined;
		occasions.push({ accounts });
		return schedule[occasions.length - 1];
	};
}
