import { describe, expect, it } from "vitest";
import { EVERYWHERE, isInSet, membersOf, narrowest, nearestSet } from "../../../src/core/account-sets.ts";
import type { Candidate } from "../../../src/core/request/candidate.ts";
import { readyCount } from "../../../src/core/request/plan.ts";
import { anAccount, aSnapshot, DAY_MS, NOW } from "../../support/fakes.ts";
import { anId } from "../../support/ids.ts";
import { planOf } from "../plans.ts";

const free = (id: string, overrides: Partial<Candidate> = {}): Candidate => ({
	account: anAccount(id),
	cooldowns: [],
	usage: undefined,
	...overrides,
});
const outside = (id: string, overrides: Partial<Candidate> = {}) => free(id, { outsideOf: "/proj", ...overrides });
const set = { folder: "/proj", accounts: [anId("a")] };

describe("the set of a folder", () => {
	it("the set of a folder is that of the nearest folder around it", () => {
		const sets = { "/": [anId("x")], "/proj": [anId("a"), anId("b")], "/proj/sub": [anId("c")] };
		expect(nearestSet(sets, ["/proj/sub/deep", "/proj/sub", "/proj", "/"])?.accounts).toEqual(["c"]);
		expect(nearestSet(sets, ["/proj/other", "/proj", "/"])).toEqual({ folder: "/proj", accounts: ["a", "b"] });
		expect(nearestSet({ "/proj": [anId("a")] }, ["/project", "/"])).toBeUndefined();
		expect(nearestSet({}, ["/constructor", "/"])).toBeUndefined();
	});

	it("the set of a folder is one of no account while the sets cannot be read", () => {
		expect(nearestSet({ [EVERYWHERE]: [] }, ["/anywhere", "/"])?.accounts).toEqual([]);
	});

	it("the set of a folder is what all have in common if a request may belong to any", () => {
		expect(narrowest([set, { folder: "/b", accounts: [anId("b"), anId("a")] }])?.accounts).toEqual(["a"]);
		expect(narrowest([set, { folder: "/b", accounts: [anId("b")] }])?.accounts).toEqual([]);
		const third = { folder: "/c", accounts: [anId("b"), anId("c")] };
		expect(narrowest([{ folder: "/d", accounts: [anId("a"), anId("b")] }, set, third])?.accounts).toEqual([]);
		expect(narrowest([set])).toEqual(set);
		expect(narrowest([])).toBeUndefined();
	});

	it("has an account under each id that it ever had, and names those that have left", () => {
		const merged = anAccount("new", { formerIds: [anId("a")] });
		expect(isInSet(set, merged)).toBe(true);
		const members = membersOf({ folder: "/proj", accounts: [anId("a"), anId("gone")] }, [merged, anAccount("c")]);
		expect([members.present, members.gone]).toEqual([[merged], ["gone"]]);
	});
});

describe("a plan within a set", () => {
	it("offers nothing outside, whatever speaks for it", () => {
		const credits = { hasCredits: true, unlimited: false, balance: "50" };
		const spent = aSnapshot({ windows: [{ usedPercent: 100, windowMinutes: 300, resetsAt: NOW + DAY_MS }], credits });
		const plan = planOf([outside("b"), outside("c", { usage: spent })], {
			pinned: anId("b"),
			affinity: anId("c"),
			served: anId("c"),
			set,
		});
		expect([plan.order, plan.lastResort, plan.trial, plan.next, plan.waitUntil]).toEqual([
			[],
			[],
			undefined,
			undefined,
			undefined,
		]);
		expect(plan.gated.map(({ gate }) => gate.kind)).toEqual(["not-in-set", "not-in-set"]);
	});

	it("counts only the accounts that the session may use", () => {
		const plan = planOf([free("a"), outside("b"), outside("c")], { set });
		expect([plan.total, readyCount(plan), plan.next?.id, plan.set]).toEqual([1, 1, "a", set]);
	});
});
