import { describe, expect, it } from "vitest";
import { planFactor } from "../../../src/core/plan-sizes.ts";
import { aSnapshot } from "../../support/fakes.ts";

describe("the size of a plan", () => {
	const budgetOf = (limit: number) =>
		aSnapshot({ budgets: [{ usedPercent: 1, windowMinutes: 43_200, isReached: false, limit }] });

	it.each([
		["guest", 0.15],
		["free", 0.15],
		["free_workspace", 0.15],
		["go", 0.15],
		["plus", 1],
		["team", 1],
		["Team", 1],
		["business", 1],
		["self_serve_business_usage_based", 1],
		["edu", 1],
		["education", 1],
		["k12", 1],
		["quorum", 1],
		["sci", 1],
		["prolite", 5],
		["self_serve_business_prolite", 5],
		["pro", 6.7],
		["promax", 6.7],
		["edu_pro", 6.7],
		["hc", 6.7],
		["ent26", 6.7],
		["enterprise", 6.7],
		["enterprise_cbp_automation", 6.7],
		["enterprise_cbp_trial", 6.7],
		["enterprise_cbp_usage_based", 6.7],
		["enterprise_cbp_of_tomorrow", 6.7],
	])("%s is worth %f plus accounts, whatever its budget", (plan, factor) => {
		expect(planFactor(plan, undefined)).toBe(factor);
		expect(planFactor(plan, budgetOf(648_000))).toBe(factor);
	});

	it.each(["of_tomorrow", "constructor", "", undefined])("%s counts as plus while no number says more", (plan) => {
		expect(planFactor(plan, undefined)).toBe(1);
		expect(planFactor(plan, aSnapshot())).toBe(1);
	});

	it("is taken from the monthly budget of a plan that is not known, within bounds", () => {
		expect(planFactor("of_tomorrow", budgetOf(100))).toBe(1);
		expect(planFactor("of_tomorrow", budgetOf(162_000))).toBe(5);
		expect(planFactor("of_tomorrow", budgetOf(1e12))).toBe(20);
	});
});
