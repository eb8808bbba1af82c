import type { Offer, Rung } from "../../../../src/core/beyond/ladder.ts";
import { anAccount, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const work = anAccount("work", { id: anId("1") });
const home = anAccount("home", { id: anId("2") });

/** One rung of every kind. */
export const RUNGS = {
	credits: { kind: "credits", account: work, balance: "12.40" },
	reserveModel: { kind: "reserve-model", account: work, model: "gpt-6-luna", leftPercent: 40.2 },
	resetCredit: {
		kind: "reset-credit",
		account: home,
		credit: { id: "credit-1", expiresAt: NOW + 13 * DAY_MS },
		window: "7d",
		resetsAt: NOW + 3 * DAY_MS,
	},
	chain: { kind: "chain", model: "anthropic/claude-fable", isPaid: true },
	wait: { kind: "wait", account: home, until: NOW + 2 * HOUR_MS + 7 * MINUTE_MS, isGuess: false },
} as const satisfies Readonly<Record<string, Rung>>;

/** An offer of a rung; by default it asks, and a yes can be remembered. */
export function anOffer(rung: Rung, overrides: Partial<Offer> = {}): Offer {
	return { rung, consent: "ask", canBeRemembered: true, ...overrides };
}

/** Every rung, in the order of the ladder. */
export const ALL: readonly Offer[] = Object.values(RUNGS).map((rung) => anOffer(rung));
