import { expect, it } from "vitest";
import { choiceText, consequence } from "../../../../src/features/beyond/texts.ts";
import { DAY_MS, NOW } from "../../../support/fakes.ts";
import { RUNGS } from "./offers.ts";

it("Luna Reserve is offered with the model that the session would change to, and without one that it keeps", () => {
	const text = (changes: { changesModel?: true }) =>
		choiceText({ kind: "take", rung: { ...RUNGS.reserveModel, ...changes }, canBeRemembered: true }, NOW);
	expect(text({})).toMatch(/ Luna Reserve of work: about 40% left$/);
	expect(text({ changesModel: true })).toMatch(/ Luna Reserve \(gpt-6-luna\) of work: about 40% left$/);
});

it("waiting tells how long quota lasts then, if that is known", () => {
	const wait = { kind: "take", rung: RUNGS.wait, canBeRemembered: false } as const;
	const again = { dryAt: NOW + 3 * DAY_MS, from: NOW + 2 * DAY_MS, to: undefined, comesBack: [] };
	expect(consequence(wait, NOW)).toMatch(/^Nothing is spent\. .* continues by itself\.$/);
	expect(consequence(wait, NOW, again)).toMatch(/ continues by itself, and .* until Mon \(Sun or later\)\.$/);
});
