import { describe, expect, it } from "vitest";
import type { AccountId } from "../../../../src/core/ids.ts";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import { POLICIES } from "../../../../src/core/request/policies.ts";
import { startsOn } from "../../../../src/features/preferences/preview.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { planOf } from "../../plans.ts";

const weekly = (label: string, usedPercent: number, resetsInMs: number): Candidate => ({
	account: anAccount(label),
	cooldowns: [],
	usage: aSnapshot({ windows: [{ usedPercent, windowMinutes: 10080, resetsAt: NOW + resetsInMs }] }),
});
const work = weekly("work", 40, 2 * DAY_MS);
const home = weekly("home", 10, 5 * DAY_MS);
const cooling: Candidate = { ...home, cooldowns: [aCooldown()] };

const said = (candidates: readonly Candidate[], pinned?: AccountId, policy: keyof typeof POLICIES = "soonest-reset") =>
	startsOn(planOf(candidates, { modelId: "m", pinned }, policy));

describe("which account a new session starts on", () => {
	it("names what decided, for both accounts", () => {
		expect(said([work, home])).toMatch(/ on work: week .* 2d00h \(home: week .* 5d00h\)\.$/);
		expect(said([work, home], undefined, "most-headroom")).toMatch(/ on home: 90% left \(work: 60% left\)\.$/);
		expect(said([home, work], undefined, "in-order")).toMatch(/ on home: number 1 .* \(work: number 2 .*\)\.$/);
		expect(said([work, home], anId("home"))).toMatch(/ on home: pinned \(work: not pinned\)\.$/);
	});

	it("needs no reason if there is no choice", () => {
		expect(said([work, cooling])).toMatch(/ on work, the only one /);
	});

	it("names no account if none is ready or there is none", () => {
		expect(said([cooling])).toMatch(/^A new session .* no account /);
		expect(said([])).toMatch(/^No .* \/multicodex add\.$/);
	});

	it("the preview has words for every policy", () => {
		for (const policy of Object.keys(POLICIES)) {
			expect(said([work, home], undefined, policy as keyof typeof POLICIES)).toMatch(
				/on (work|home): .+ \((work|home): .+\)\.$/,
			);
		}
	});
});
