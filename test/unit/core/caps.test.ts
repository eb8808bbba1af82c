import { describe, expect, it } from "vitest";
import { stateOf } from "../../../src/core/account.ts";
import { aboveCap, floorsOf, reachedCap, windowCalled } from "../../../src/core/caps.ts";
import { type Candidate, gateOf, returnOf } from "../../../src/core/request/candidate.ts";
import { firstBack } from "../../../src/core/request/plan.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";
import { anId } from "../../support/ids.ts";
import { planOf } from "../plans.ts";

const FIVE_HOURS = 300;
const WEEK = 10_080;
const used = (usedPercent: number, windowMinutes = WEEK, resetsAt: number | undefined = NOW + 2 * DAY_MS) => ({
	usedPercent,
	windowMinutes,
	resetsAt,
});
const capped = (id: string, usedPercent: number, overrides: Partial<Candidate> = {}): Candidate => ({
	account: anAccount(id),
	cooldowns: [],
	usage: aSnapshot({ windows: [used(usedPercent)] }),
	floors: { "7d": 20 },
	...overrides,
});
const gate = (candidate: Candidate) => gateOf(candidate, "gpt-5.5", NOW);

describe("a cap", () => {
	it("holds once no more than it is left, until the window resets", () => {
		expect(gate(capped("a", 79.9))).toBeUndefined();
		const until = NOW + 2 * DAY_MS;
		expect(gate(capped("a", 80))).toEqual({ kind: "capped", window: "7d", leftPercent: 20, floorPercent: 20, until });
		expect(gateOf(capped("a", 80), "gpt-5.5", until)).toBeUndefined();
		expect(returnOf(capped("a", 80), "gpt-5.5", NOW)).toBe(until);
	});

	it("holds on what was known last, however old that is", () => {
		const old = aSnapshot({ capturedAt: NOW - 30 * HOUR_MS, windows: [used(85)] });
		expect(gate(capped("a", 0, { usage: old }))?.kind).toBe("capped");
	});

	it("a cap is not reached on an account of which nothing is known, or without that window", () => {
		expect(gate(capped("a", 0, { usage: undefined }))).toBeUndefined();
		expect(gate(capped("a", 0, { usage: aSnapshot({ windows: [used(99, FIVE_HOURS)] }) }))).toBeUndefined();
	});

	it("has no known end if the backend names no reset, and is then not waited for", () => {
		const candidate = capped("a", 0, { usage: aSnapshot({ windows: [{ usedPercent: 90, windowMinutes: WEEK }] }) });
		expect(gate(candidate)).toMatchObject({ kind: "capped", until: undefined });
		expect(returnOf(candidate, "gpt-5.5", NOW)).toBeUndefined();
		expect(planOf([candidate]).waitUntil).toBeUndefined();
	});

	it("counts a budget as the window of its length", () => {
		const budgets = [{ ...used(90, 43_200), isReached: false }];
		const usage = aSnapshot({ windows: [], budgets });
		expect(gate(capped("a", 0, { usage, floors: { "30d": 10 } }))).toMatchObject({ kind: "capped", window: "30d" });
	});

	it("a cap is the one that holds longest if several do", () => {
		const usage = aSnapshot({ windows: [used(95, FIVE_HOURS, NOW + HOUR_MS), used(85)] });
		const floors = { "5h": 10, "7d": 20 };
		expect(reachedCap(floors, usage, NOW)?.window).toBe("7d");
		const endless = aSnapshot({ windows: [{ usedPercent: 95, windowMinutes: FIVE_HOURS }, used(85)] });
		expect(reachedCap(floors, endless, NOW)?.window).toBe("5h");
	});

	it("a cap of all there is keeps an account unused, also at a fresh window", () => {
		expect(gate(capped("a", 0, { floors: { "7d": 100 } }))?.kind).toBe("capped");
	});

	it("makes an account wait as one that is out of quota, and come back as one", () => {
		const { account, usage, floors } = capped("a", 85);
		expect(stateOf(account, [], NOW, usage, floors)).toBe("cooling");
		const plan = planOf([capped("a", 85)]);
		expect(plan.next).toBeUndefined();
		expect(firstBack(plan)?.readyAt).toBe(NOW + 2 * DAY_MS);
	});

	it("lets no trial, no bought credits and no session that is on the account past it", () => {
		const credits = { hasCredits: true, unlimited: false, balance: "50" };
		const usage = aSnapshot({ windows: [used(100)], credits });
		const rich = planOf([capped("a", 100, { usage })], { affinity: anId("a"), served: anId("a") });
		expect([rich.order, rich.lastResort, rich.trial]).toEqual([[], [], undefined]);
		const old = aCooldown({ guessed: true, setAt: NOW - HOUR_MS, until: NOW + HOUR_MS });
		const weak = { cooldowns: [old] };
		expect(planOf([capped("a", 100, { ...weak, floors: undefined })]).trial?.id).toBe("a");
		expect(planOf([capped("a", 100, weak)]).trial).toBeUndefined();
	});

	it("ends no sooner than the cooldown beside it", () => {
		const until = NOW + 3 * DAY_MS;
		expect(gate(capped("a", 85, { cooldowns: [aCooldown({ until })] }))).toMatchObject({ kind: "capped", until });
	});

	it("a cap is no reserve: the account is not even the last one to be tried", () => {
		expect(planOf([capped("a", 85)], { reserve: { "7d": 20 } }).order).toEqual([]);
		expect(planOf([capped("a", 85, { floors: undefined })], { reserve: { "7d": 20 } }).order).toHaveLength(1);
	});

	it("is left for other accounts without a wait for room on them", () => {
		const busy: Candidate = {
			account: anAccount("b"),
			cooldowns: [],
			usage: aSnapshot({ windows: [used(75, FIVE_HOURS, NOW + MINUTE_MS)] }),
		};
		const { order, lastResort } = planOf([capped("a", 85), busy], { served: anId("a"), affinity: anId("a") });
		expect([...order, ...lastResort].map(({ account }) => account.id)).toEqual(["b"]);
	});
});

it("what is left above a cap is the least over all capped windows, and unknown without any", () => {
	const usage = aSnapshot({ windows: [used(50, FIVE_HOURS), used(70)] });
	expect(aboveCap({ "5h": 10, "7d": 20 }, usage, NOW)).toBe(10);
	expect(aboveCap({ "30d": 10 }, usage, NOW)).toBeUndefined();
	expect(aboveCap(undefined, usage, NOW)).toBeUndefined();
});

it("the caps of an account are those under its id and under every id that it had before", () => {
	const merged = anAccount("a", { formerIds: [anId("old")] });
	expect(floorsOf({ [anId("old")]: { "5h": 5, "7d": 1 }, [anId("a")]: { "7d": 20 } }, merged)).toEqual({
		"5h": 5,
		"7d": 20,
	});
	expect(floorsOf({ [anId("other")]: { "7d": 20 } }, merged)).toBeUndefined();
	expect(floorsOf({}, anAccount("constructor"))).toBeUndefined();
});

describe("a window by its word", () => {
	it.each([
		["week", "7d"],
		["Week", "7d"],
		["month", "30d"],
		["day", "1d"],
		["5H", "5h"],
		["30d", "30d"],
		["fortnight", undefined],
		["", undefined],
		["0d", undefined],
	])("%s is %s", (typed, name) => {
		expect(windowCalled(typed)).toBe(name);
	});
});
