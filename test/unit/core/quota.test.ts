import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FURTHEST_RESET_MS } from "../../../src/core/cooldown.ts";
import { planFactor } from "../../../src/core/plan-sizes.ts";
import {
	creditsUntil,
	exhaustedUntil,
	freshness,
	headroom,
	isExhausted,
	isSpent,
	isUntouched,
	knownReset,
	remaining,
	tightest,
	windowName,
} from "../../../src/core/quota.ts";
import { STALE_AFTER_MS, type UsageSnapshot, type UsageWindow } from "../../../src/core/usage.ts";
import { aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";

describe("the name of a window", () => {
	it.each([
		[300, "5h"],
		[1440, "1d"],
		[10080, "7d"],
		[43200, "30d"],
		[525600, "365d"],
	])("the name of a window of %i minutes is %s, within 5 %", (minutes, name) => {
		fc.assert(
			fc.property(fc.double({ min: -0.05, max: 0.05, noNaN: true }), (deviation) => {
				expect(windowName(minutes * (1 + deviation * 0.999))).toBe(name);
			}),
		);
	});

	it.each([
		[1440 * 0.94, "23h"],
		[1440 * 1.06, "25h"],
		[10_080 * 1.06, "7d"],
		[10_080 * 1.1, "8d"],
		[43_200 * 0.94, "28d"],
		[43_200 * 1.06, "32d"],
		[525_600 * 0.94, "343d"],
		[43_800, "30d"],
		[30, "30m"],
		[59, "59m"],
		[60, "1h"],
		[720, "12h"],
		[2880, "2d"],
		[20_160, "14d"],
	])("the name of a window of %d minutes is its rounded length, %s", (minutes, name) => {
		expect(windowName(minutes)).toBe(name);
	});
});

describe("what is left of a window", () => {
	const aWindow = (usedPercent: number, resetsAt?: number): UsageWindow => ({
		usedPercent,
		windowMinutes: 300,
		resetsAt,
	});

	it.each([
		[0, 100],
		[27, 73],
		[99.6, 0.4],
		[100, 0],
		[140, 0],
		[-5, 100],
	])("is the rest of %d %%", (used, left) => {
		expect(remaining(aWindow(used, NOW + 1), NOW)).toBeCloseTo(left);
	});

	it("is all of it once the reset has passed", () => {
		expect(remaining(aWindow(100, NOW), NOW)).toBe(100);
		expect(remaining(aWindow(100, NOW + 1), NOW)).toBe(0);
	});

	it("is the least over all windows, everything without one", () => {
		expect(headroom(aSnapshot({ windows: [aWindow(20), aWindow(80), aWindow(50)] }), NOW)).toBe(20);
		expect(headroom(aSnapshot(), NOW)).toBe(100);
	});
});

describe("how far a snapshot is trusted", () => {
	it("is not at all where there is none", () => {
		expect(freshness(undefined, NOW)).toBe("unknown");
	});

	it.each([
		["of now", 0, "fresh"],
		["of 15 minutes ago", -STALE_AFTER_MS, "fresh"],
		["older than 15 minutes", -STALE_AFTER_MS - 1, "stale"],
		["from the future", 2 * MINUTE_MS, "stale"],
	] as const)("%s: %s", (_name, age, expected) => {
		expect(freshness(aSnapshot({ capturedAt: NOW + age }), NOW)).toBe(expected);
	});

	it("ends with the reset of one of its windows", () => {
		const windows = [{ usedPercent: 5, windowMinutes: 300, resetsAt: NOW }];
		expect(freshness(aSnapshot({ windows }), NOW)).toBe("stale");
		expect(freshness(aSnapshot({ windows }), NOW - 1)).toBe("fresh");
	});
});

describe("a window whose clock does not run", () => {
	const week = (window: Partial<UsageWindow>): UsageWindow => ({ usedPercent: 0, windowMinutes: 10080, ...window });

	it.each([
		["has used nothing and tells no reset", week({}), true],
		["has used something and tells no reset", week({ usedPercent: 1 }), false],
		["has its whole length ahead of it", week({ resetsAt: NOW + 7 * DAY_MS }), true],
		["has its whole length ahead, but for the jitter", week({ resetsAt: NOW + 7 * DAY_MS - 30_000 }), true],
		["has used nothing, but its clock runs", week({ resetsAt: NOW + 6 * DAY_MS }), false],
		["is used, with its whole length ahead", week({ usedPercent: 3, resetsAt: NOW + 7 * DAY_MS }), false],
		["was reset since", week({ usedPercent: 80, resetsAt: NOW - 1 }), true],
	])("%s: %j %s", (_name, window, expected) => {
		expect(isUntouched(window, aSnapshot({ windows: [window] }), NOW)).toBe(expected);
	});
});

describe("exhausted windows", () => {
	const spent = (resetsAt: number | undefined): UsageWindow => ({ usedPercent: 100, windowMinutes: 300, resetsAt });

	it("come back with the latest of their resets", () => {
		const windows = [spent(NOW + HOUR_MS), spent(NOW + DAY_MS), { ...spent(NOW + 2 * DAY_MS), usedPercent: 99.9 }];
		expect(exhaustedUntil(windows, NOW)).toBe(NOW + DAY_MS);
	});

	it("tell nothing where no reset is known, passed, or absurd", () => {
		expect(exhaustedUntil([spent(undefined), spent(NOW), spent(NOW + FURTHEST_RESET_MS + 1)], NOW)).toBeUndefined();
		expect(exhaustedUntil([], NOW)).toBeUndefined();
	});

	it("count until their reset, and without one for good", () => {
		expect(isExhausted([spent(NOW + 1)], NOW)).toBe(true);
		expect(isExhausted([spent(NOW)], NOW)).toBe(false);
		expect(isExhausted([spent(undefined)], NOW)).toBe(true);
		expect(isExhausted([{ usedPercent: 99.99, windowMinutes: 300 }], NOW)).toBe(false);
	});
});

describe("the window that ends first", () => {
	it("is the one with the least left, as it looks now", () => {
		const windows = [
			{ usedPercent: 20, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
			{ usedPercent: 91, windowMinutes: 10_080, resetsAt: NOW + DAY_MS },
		];
		const left = { window: "7d", percent: 9, resetsAt: NOW + DAY_MS, isStale: false };
		expect(tightest(aSnapshot({ windows }), NOW)).toEqual(left);
		expect(tightest(aSnapshot({ windows }), NOW + 20 * MINUTE_MS)).toEqual({ ...left, isStale: true });
		expect(tightest(aSnapshot({ windows }), NOW + 2 * DAY_MS)).toMatchObject({ percent: 100, isStale: true });
	});

	it("is none where none is known", () => {
		expect([tightest(undefined, NOW), tightest(aSnapshot(), NOW)]).toEqual([undefined, undefined]);
	});
});

describe("what quota is made of", () => {
	const week = { usedPercent: 40, windowMinutes: 10_080, resetsAt: NOW + DAY_MS };
	const budget = { usedPercent: 98, windowMinutes: 43_200, resetsAt: NOW + 12 * DAY_MS, isReached: false };
	const funded = { hasCredits: true, unlimited: false };
	const both = aSnapshot({ windows: [week], budgets: [budget] });

	it("is windows and budgets: what is left, what binds, and how old it is", () => {
		expect(headroom(both, NOW)).toBe(2);
		expect(tightest(both, NOW)).toMatchObject({ window: "30d", percent: 2, resetsAt: NOW + 12 * DAY_MS });
		expect(freshness(aSnapshot({ budgets: [{ ...budget, resetsAt: NOW }] }), NOW)).toBe("stale");
	});

	it.each<[string, Partial<UsageSnapshot>, boolean]>([
		["a window is at 100 %", { windows: [{ ...week, usedPercent: 100 }] }, true],
		["a window was at 100 % until its reset", { windows: [{ ...week, usedPercent: 100, resetsAt: NOW }] }, false],
		["a budget is reached", { windows: [week], budgets: [{ ...budget, usedPercent: 100, isReached: true }] }, true],
		["the server says so", { limitReached: true }, true],
		["the server says so beside windows with room", { windows: [week], limitReached: true }, true],
		[
			"the fullest is reset since the server said so",
			{ windows: [{ ...week, resetsAt: NOW }], limitReached: true },
			false,
		],
		[
			"the spent one is reset since",
			{ windows: [{ ...week, usedPercent: 100, resetsAt: NOW }], limitReached: true },
			false,
		],
		["the backend reports nothing", {}, false],
	])("is spent or not where %s", (_name, told, expected) => {
		expect(isSpent(aSnapshot(told), NOW)).toBe(expected);
	});

	it("is back at the latest reset of what is spent, else at that of the fullest", () => {
		const spent = { ...budget, usedPercent: 100 };
		const alsoSpent = { ...week, usedPercent: 120 };
		expect(knownReset(aSnapshot({ windows: [alsoSpent], budgets: [spent] }), NOW)).toBe(NOW + 12 * DAY_MS);
		expect(knownReset(aSnapshot({ windows: [alsoSpent], budgets: [budget] }), NOW)).toBe(NOW + DAY_MS);
		expect(knownReset(both, NOW)).toBe(NOW + 12 * DAY_MS);
		expect(knownReset(aSnapshot({ windows: [{ ...week, resetsAt: undefined }] }), NOW)).toBeUndefined();
		expect(knownReset(undefined, NOW)).toBeUndefined();
	});

	it("is followed by credits where windows are spent, and not where a budget is", () => {
		const windows = [{ ...week, usedPercent: 100 }];
		expect(creditsUntil(aSnapshot({ windows, credits: funded }), NOW)).toBe(NOW + DAY_MS);
		expect(creditsUntil(aSnapshot({ windows, credits: funded }), NOW + DAY_MS)).toBeUndefined();
		expect(creditsUntil(aSnapshot({ windows, budgets: [{ ...budget, usedPercent: 100 }], credits: funded }), NOW)).toBe(
			undefined,
		);
		expect(creditsUntil(aSnapshot({ windows: [week], credits: funded }), NOW)).toBeUndefined();
		expect(creditsUntil(aSnapshot({ limitReached: true, credits: funded }), NOW)).toBe(NOW + 15 * MINUTE_MS);
	});
});

describe("the size of a plan", () => {
	const budgetOf = (limit: number) =>
		aSnapshot({ budgets: [{ usedPercent: 1, windowMinutes: 43_200, isReached: false, limit }] });

	it.each([
		["plus", 1],
		["Team", 1],
		["k12", 1],
		["sci", 1],
		["free", 0.15],
		["prolite", 5],
		["self_serve_business_prolite", 5],
		["pro", 6.7],
		["promax", 6.7],
		["edu_pro", 6.7],
		["ent26", 6.7],
		["enterprise", 6.7],
		["enterprise_cbp_automation", 6.7],
		["enterprise_cbp_of_tomorrow", 6.7],
		["of_tomorrow", 1],
		["constructor", 1],
		[undefined, 1],
	])("%s is worth %f plus accounts", (plan, factor) => {
		expect(planFactor(plan, undefined)).toBe(factor);
	});

	it("a plan without a known name has the size of its budget, and is never small", () => {
		expect(planFactor("of_tomorrow", budgetOf(100))).toBe(1);
		expect(planFactor("of_tomorrow", budgetOf(162_000))).toBe(5);
		expect(planFactor("of_tomorrow", budgetOf(1e12))).toBe(20);
		expect(planFactor("plus", budgetOf(162_000))).toBe(1);
	});
});
