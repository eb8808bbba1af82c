import { describe, expect, it } from "vitest";
import { answerOf, choicesOf, sharedAnswer } from "../../../../src/features/beyond/choices.ts";
import { anAccount } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { ALL, anOffer, RUNGS } from "./offers.ts";

const kindsOf = (offers: Parameters<typeof choicesOf>[0]) =>
	choicesOf(offers).map((choice) => (choice.kind === "stop" ? "stop" : choice.rung.kind));
const taken = (rung: (typeof RUNGS)[keyof typeof RUNGS], forToday = false) =>
	({ kind: "take", rung, forToday }) as const;
const other = anAccount("other", { id: anId("3") });

describe("the rows of the question", () => {
	it("the rows of the question begin with the wait, and end with the end of the turn", () => {
		expect(kindsOf(ALL)).toEqual(["wait", "credits", "reserve-model", "reset-credit", "chain", "stop"]);
	});

	it("the rows of the question begin with the end of the turn if nothing can be waited for", () => {
		expect(kindsOf([anOffer(RUNGS.credits), anOffer(RUNGS.resetCredit)])).toEqual(["stop", "credits", "reset-credit"]);
	});

	it("never remember a reset credit, whatever the offer says", () => {
		const [, choice = { kind: "stop" as const }] = choicesOf([anOffer(RUNGS.resetCredit)]);
		expect(answerOf(choice, true)).toEqual(taken(RUNGS.resetCredit));
	});
});

describe("an answer that two requests share", () => {
	it("names the rung as it was offered to the second one", () => {
		const fresher = { ...RUNGS.credits, balance: "11.00" };
		expect(sharedAnswer(taken(RUNGS.credits, true), [anOffer(fresher)])).toEqual(taken(fresher as never, true));
	});

	it.each([
		["credits of another account", RUNGS.credits, { ...RUNGS.credits, account: other }],
		["another reset credit", RUNGS.resetCredit, { ...RUNGS.resetCredit, credit: { id: "x", expiresAt: undefined } }],
		["another model", RUNGS.chain, { ...RUNGS.chain, model: "openai/gpt" }],
	])("an answer that two requests share does not stand for %s", (_what, rung, offered) => {
		expect(sharedAnswer(taken(rung), [anOffer(offered)])).toBeUndefined();
	});

	it("ends both if it ends one", () => {
		expect(sharedAnswer({ kind: "stop" }, ALL)).toEqual({ kind: "stop" });
	});
});
