import type { DryAnswer, Offer, Rung } from "../../core/beyond/ladder.ts";

/** A row of the question. */
export type Choice =
	| { readonly kind: "take"; readonly rung: Rung; readonly canBeRemembered: boolean }
	| { readonly kind: "stop" };

/**
 * Returns the rows of the question in order. The first one is highlighted, so it must be harmless: a wait, or else
 * stopping.
 */
export function choicesOf(offers: readonly Offer[]): readonly Choice[] {
	const taking = offers.map(({ rung, canBeRemembered }): Choice => {
		// A spent reset credit is gone for good, so each one needs its own consent.
		return { kind: "take", rung, canBeRemembered: canBeRemembered && rung.kind !== "reset-credit" };
	});
	const waits = taking.filter(isWait);
	const others = taking.filter((choice) => !isWait(choice));
	const stop: Choice = { kind: "stop" };
	return waits.length > 0 ? [...waits, ...others, stop] : [stop, ...others];
}

/** Returns the answer for a choice. */
export function answerOf(choice: Choice, forToday: boolean): DryAnswer {
	if (choice.kind === "stop") return choice;
	return { kind: "take", rung: choice.rung, forToday: forToday && choice.canBeRemembered };
}

/** Turns the answer that another request just got into an answer for `offers`; undefined if it fits none of them. */
export function sharedAnswer(answer: DryAnswer, offers: readonly Offer[]): DryAnswer | undefined {
	if (answer.kind !== "take") return answer;
	const same = offers.find(({ rung }) => isSame(rung, answer.rung));
	return same && { ...answer, rung: same.rung };
}

function isWait(choice: Choice): boolean {
	return choice.kind === "take" && choice.rung.kind === "wait";
}

function isSame(one: Rung, other: Rung): boolean {
	return keyOf(one) === keyOf(other);
}

function keyOf(rung: Rung): string {
	if (rung.kind === "chain") return `${rung.kind} ${rung.model}`;
	const { kind, account } = rung;
	return rung.kind === "reset-credit" ? `${kind} ${account.id} ${rung.credit.id}` : `${kind} ${account.id}`;
}
