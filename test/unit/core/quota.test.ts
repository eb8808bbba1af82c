import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FURTHEST_RESET_MS } from "../../../src/core/cooldown.ts";
import { mergeUsage } from "../../../src/core/pool/merge-usage.ts";
import type { AccountStatus } from "../../../src/core/ports.ts";
import {
	creditsUntil,
	exhaustedUntil,
	freshness,
	headroom,
	isExhausted,
	isSpent,
	isUntouched,
	knownReset,
	knownResetOfLimit,
	type Quota,
	quotasOf,
	refillsAt,
	remaining,
	spentLimit,
	tightest,
	windowName,
} from "../../../src/core/quota.ts";
import { gateOf } from "../../../src/core/request/candidate.ts";
import { type ReserveModel, STALE_AFTER_MS, type UsageSnapshot, type UsageWindow } from "../../../src/core/usage.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";
import { runs } from "../../support/tiers.ts";

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
	])("what is left of a window is the rest of %d %%", (used, left) => {
		expect(remaining(aWindow(used, NOW + 1), NOW)).toBeCloseTo(left);
	});

	it("what is left of a window is all of it once the reset has passed", () => {
		expect(remaining(aWindow(100, NOW), NOW)).toBe(100);
		expect(remaining(aWindow(100, NOW + 1), NOW)).toBe(0);
	});

	it("what is left of a window is the least over all windows, everything without one", () => {
		expect(headroom(aSnapshot({ windows: [aWindow(20), aWindow(80), aWindow(50)] }), NOW)).toBe(20);
		expect(headroom(aSnapshot(), NOW)).toBe(100);
	});
});

describe("how far a snapshot is trusted", () => {
	it("how far a snapshot is trusted is not at all if there is none", () => {
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

	it("exhausted windows come back with the latest of their resets", () => {
		const windows = [spent(NOW + HOUR_MS), spent(NOW + DAY_MS), { ...spent(NOW + 2 * DAY_MS), usedPercent: 99.9 }];
		expect(exhaustedUntil(windows, NOW)).toBe(NOW + DAY_MS);
	});

	it("exhausted windows tell nothing if no reset is known, passed, or absurd", () => {
		expect(exhaustedUntil([spent(undefined), spent(NOW), spent(NOW + FURTHEST_RESET_MS + 1)], NOW)).toBeUndefined();
		expect(exhaustedUntil([], NOW)).toBeUndefined();
	});

	it("exhausted windows count until their reset, and without one for good", () => {
		expect(isExhausted([spent(NOW + 1)], NOW)).toBe(true);
		expect(isExhausted([spent(NOW)], NOW)).toBe(false);
		expect(isExhausted([spent(undefined)], NOW)).toBe(true);
		expect(isExhausted([{ usedPercent: 99.99, windowMinutes: 300 }], NOW)).toBe(false);
	});
});

describe("the window that ends first", () => {
	it("the window that ends first is the one with the least left, as it looks now", () => {
		const windows = [
			{ usedPercent: 20, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
			{ usedPercent: 91, windowMinutes: 10_080, resetsAt: NOW + DAY_MS },
		];
		const left = { window: "7d", percent: 9, resetsAt: NOW + DAY_MS, isStale: false };
		expect(tightest(aSnapshot({ windows }), NOW)).toEqual(left);
		expect(tightest(aSnapshot({ windows }), NOW + 20 * MINUTE_MS)).toEqual({ ...left, isStale: true });
		expect(tightest(aSnapshot({ windows }), NOW + 2 * DAY_MS)).toMatchObject({ percent: 100, isStale: true });
	});

	it("the window that ends first is none if none is known", () => {
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
	])("is spent or not if %s", (_name, told, expected) => {
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

	it("is followed by credits if windows are spent, and not if a budget is", () => {
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

describe("the kinds of quota", () => {
	const week = { usedPercent: 40, windowMinutes: 10_080, resetsAt: NOW + DAY_MS };
	const fiveHours = { usedPercent: 10, windowMinutes: 300, resetsAt: NOW + HOUR_MS };
	const budget = { usedPercent: 98, windowMinutes: 43_200, resetsAt: NOW + 12 * DAY_MS, isReached: false };
	const credits = { hasCredits: true, unlimited: false, balance: "20" };
	const reserveModel: ReserveModel = {
		limitId: "base_model_inference",
		wireModel: "gpt-reserve",
		visibleModel: "gpt-6-luna",
		windows: [week],
	};

	it("kinds of quota are listed in the order of what matters, with the further limits by their names", () => {
		const limits = { spark: { name: "Spark", windows: [week, fiveHours] } };
		const all = aSnapshot({
			windows: [week, fiveHours],
			budgets: [budget],
			limits,
			credits,
			reserveModel,
			resetCredits: 2,
		});
		const limit = { id: "spark", name: "Spark" };
		expect(quotasOf(all)).toEqual([
			{ kind: "window", ...fiveHours },
			{ kind: "window", ...week },
			{ kind: "budget", ...budget },
			{ kind: "credits", ...credits },
			{ kind: "window", limit, ...fiveHours },
			{ kind: "window", limit, ...week },
			{ kind: "reserve-model", ...reserveModel },
			{ kind: "reset-credit", count: 2 },
		]);
	});

	it("kinds of quota are none if nothing is known, no reset credit is left, or a reserve stands for nothing", () => {
		const nameless = { ...reserveModel, visibleModel: "" };
		expect(quotasOf(undefined)).toEqual([]);
		expect(quotasOf(aSnapshot({ resetCredits: 0, reserveModel: nameless }))).toEqual([]);
	});

	it.each<[string, Quota, number | undefined]>([
		["a window", { kind: "window", ...week }, 60],
		["a budget", { kind: "budget", ...budget }, 2],
		["credits with a balance", { kind: "credits", ...credits }, undefined],
		["credits without a limit", { kind: "credits", ...credits, unlimited: true }, 100],
		["credits that are gone", { kind: "credits", ...credits, hasCredits: false }, 0],
		["credits whose balance is nothing", { kind: "credits", ...credits, balance: "0.00" }, 0],
		["credits that must not be spent", { kind: "credits", ...credits, unlimited: true, overageReached: true }, 0],
		["a reserve", { kind: "reserve-model", ...reserveModel }, 60],
		["a reserve of two windows", { kind: "reserve-model", ...reserveModel, windows: [week, fiveHours] }, 60],
		["a reserve that is used up", { kind: "reserve-model", ...reserveModel, isReached: true }, 0],
		["a reserve without windows", { kind: "reserve-model", ...reserveModel, windows: [] }, undefined],
		["reset credits", { kind: "reset-credit", count: 1 }, 100],
		["no reset credit", { kind: "reset-credit", count: 0 }, 0],
	])("kinds of quota have this left: %s", (_name, quota, left) => {
		expect(remaining(quota, NOW)).toBe(left);
	});

	it("kinds of quota have a reserve whole again once its window has reset, whatever the server said before", () => {
		const used: Quota = { kind: "reserve-model", ...reserveModel, isReached: true };
		expect(remaining(used, NOW + DAY_MS)).toBe(100);
	});

	it.each<[string, Quota, number | undefined]>([
		["a window", { kind: "window", ...week }, NOW + DAY_MS],
		["a window whose reset has passed", { kind: "window", ...week, resetsAt: NOW }, undefined],
		["a budget", { kind: "budget", ...budget }, NOW + 12 * DAY_MS],
		["credits", { kind: "credits", ...credits }, undefined],
		["a reserve", { kind: "reserve-model", ...reserveModel, windows: [fiveHours, week] }, NOW + DAY_MS],
		[
			"a reserve with a spent window",
			{ kind: "reserve-model", ...reserveModel, windows: [{ ...fiveHours, usedPercent: 100 }, week] },
			NOW + HOUR_MS,
		],
		["reset credits", { kind: "reset-credit", count: 1 }, undefined],
	])("kinds of quota are filled again then: %s", (_name, quota, at) => {
		expect(refillsAt(quota, NOW)).toBe(at);
	});

	it("kinds of quota tell of a further limit when it is back, and which one is spent", () => {
		const spent = { ...fiveHours, usedPercent: 100 };
		const known = aSnapshot({ limits: { open: { windows: [week] }, spark: { windows: [spent, week] } } });
		expect(knownResetOfLimit(known, "spark", NOW)).toBe(NOW + HOUR_MS);
		expect(knownResetOfLimit(known, "open", NOW)).toBe(NOW + DAY_MS);
		expect(knownResetOfLimit(known, "constructor", NOW)).toBeUndefined();
		expect(spentLimit(known, NOW)).toEqual({ limitId: "spark", windows: [spent, week] });
		expect(spentLimit(known, NOW + HOUR_MS)).toBeUndefined();
	});
});

describe("any snapshot at all", () => {
	const instant = fc.integer({ min: -2 * 24, max: 400 * 24 }).map((hours) => NOW + hours * HOUR_MS);
	const window = fc.record({
		usedPercent: fc.oneof(fc.constant(0), fc.constant(100), fc.double({ min: 0, max: 130, noNaN: true })),
		windowMinutes: fc.constantFrom(300, 1440, 10_080, 43_200),
		resetsAt: fc.option(instant, { nil: undefined }),
	});
	const windows = fc.array(window, { maxLength: 3 });
	const budgets = fc.array(
		window.map((budget) => ({ ...budget, isReached: budget.usedPercent >= 100 })),
		{ maxLength: 2 },
	);
	const credits = fc.option(
		fc.record({
			hasCredits: fc.boolean(),
			unlimited: fc.boolean(),
			balance: fc.constantFrom(undefined, "20", "0"),
			overageReached: fc.constantFrom(undefined, true),
		}),
		{ nil: undefined },
	);
	const models = fc.constantFrom(undefined, ["gpt-6-luna"], ["gpt-reserve"]);
	const limits = fc.dictionary(fc.constantFrom("spark", "other"), fc.record({ windows, models }));
	const reserveModel: fc.Arbitrary<ReserveModel> = fc.record({
		limitId: fc.constant("base_model_inference"),
		wireModel: fc.constant("gpt-reserve"),
		visibleModel: fc.constantFrom("gpt-6-luna", ""),
		windows,
		isReached: fc.constantFrom(undefined, true),
	});
	const snapshot: fc.Arbitrary<UsageSnapshot> = fc.record({
		capturedAt: fc.integer({ min: -60, max: 0 }).map((minutes) => NOW + minutes * MINUTE_MS),
		source: fc.constantFrom("api", "headers"),
		windows,
		budgets,
		limits,
		credits,
		limitReached: fc.boolean(),
		resetCredits: fc.constantFrom(undefined, 0, 3),
		reserveModel: fc.option(reserveModel, { nil: undefined }),
	});
	const MODELS = [undefined, "gpt-6", "gpt-6-luna", "gpt-reserve"];
	const gatesOf = (status: AccountStatus, now: number) =>
		MODELS.map((model) =>
			gateOf({ account: anAccount("a"), cooldowns: status.cooldowns, usage: status.usage }, model, now),
		);
	const learnt = (...told: readonly UsageSnapshot[]) =>
		told.reduce<AccountStatus>((status, usage) => mergeUsage(status, usage, NOW), { cooldowns: [], strikes: 0 });

	it("has between nothing and all of each quota left, and what binds next has the least of the included", () => {
		fc.assert(
			fc.property(snapshot, instant, (usage, now) => {
				for (const quota of quotasOf(usage)) {
					const left = remaining(quota, now) ?? 0;
					expect(left >= 0 && left <= 100).toBe(true);
				}
				const least = headroom(usage, now);
				expect(least >= 0 && least <= 100).toBe(true);
				expect(tightest(usage, now)?.percent ?? 100).toBe(least);
			}),
			runs(60, 2000),
		);
	});

	it("never names an earlier end later on, nor one that has passed", () => {
		const endsAt = (usage: UsageSnapshot, now: number) => [
			knownReset(usage, now),
			...quotasOf(usage).map((quota) => refillsAt(quota, now)),
		];
		fc.assert(
			fc.property(snapshot, instant, instant, (usage, first, second) => {
				const [before, after] = [Math.min(first, second), Math.max(first, second)];
				const later = endsAt(usage, after);
				for (const [index, end] of endsAt(usage, before).entries()) {
					expect(end === undefined || end > before).toBe(true);
					expect((later[index] ?? Number.MAX_SAFE_INTEGER) >= (end ?? 0)).toBe(true);
				}
			}),
			runs(80, 3000),
		);
	});

	it("any snapshot at all is not healed by credits if a budget is spent", () => {
		fc.assert(
			fc.property(snapshot, credits, (told, bought) => {
				const spent = { usedPercent: 100, windowMinutes: 43_200, resetsAt: NOW + DAY_MS, isReached: true };
				const usage: UsageSnapshot = {
					...told,
					source: "api",
					budgets: [...(told.budgets ?? []), spent],
					credits: bought,
				};
				expect([isSpent(usage, NOW), creditsUntil(usage, NOW)]).toEqual([true, undefined]);
				expect(gatesOf(learnt(usage), NOW)[0]).toMatchObject({ kind: "cooling" });
			}),
			runs(60, 2000),
		);
	});

	it("counts nothing as spent that it does not know of", () => {
		fc.assert(
			fc.property(snapshot, (told) => {
				const open = <T extends { readonly usedPercent: number }>(rows: readonly T[] = []) =>
					rows.filter(({ usedPercent }) => usedPercent < 100);
				const usage = { ...told, windows: open(told.windows), budgets: open(told.budgets), limitReached: false };
				expect([isSpent(usage, NOW), creditsUntil(usage, NOW)]).toEqual([false, undefined]);
				expect(gatesOf(learnt(usage), NOW)).toEqual(MODELS.map(() => undefined));
			}),
			runs(60, 2000),
		);
		expect(gatesOf({ cooldowns: [], strikes: 0 }, NOW)).toEqual(MODELS.map(() => undefined));
	});

	it("has the same gates for every normal model whatever is known of a reserve and of reset credits", () => {
		fc.assert(
			fc.property(snapshot, snapshot, reserveModel, fc.nat(3), instant, (first, told, reserve, resetCredits, now) => {
				const second = { ...told, capturedAt: first.capturedAt };
				const without = (usage: UsageSnapshot) => ({ ...usage, reserveModel: undefined, resetCredits: undefined });
				const plain = learnt(without(first), without(second));
				const rich = learnt({ ...first, reserveModel: reserve, resetCredits }, second);
				expect(rich.cooldowns).toEqual(plain.cooldowns);
				expect(gatesOf(rich, now)).toEqual(gatesOf(plain, now));
				const measures = ({ usage }: AccountStatus) =>
					usage && [headroom(usage, now), tightest(usage, now), isSpent(usage, now), knownReset(usage, now)];
				expect(measures(rich)).toEqual(measures(plain));
			}),
			runs(60, 2000),
		);
	});
});
