import { expect, it } from "vitest";
import { choiceText } from "../../../../src/features/beyond/texts.ts";
import { NOW } from "../../../support/fakes.ts";
import { RUNGS } from "./offers.ts";

it("Luna Reserve is offered with the model that the session would change to, and without one that it keeps", () => {
	const text = (changes: { changesModel?: true }) =>
		choiceText({ kind: "take", rung: { ...RUNGS.reserveModel, ...changes }, canBeRemembered: true }, NOW);
	expect(text({})).toBe("Go on with Luna Reserve of work: about 40% left");
	expect(text({ changesModel: true })).toBe("Go on with Luna Reserve (gpt-6-luna) of work: about 40% left");
});
