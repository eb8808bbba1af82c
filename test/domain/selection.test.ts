import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readyAt } from "../../src/domain/cooldown.ts";
import { type Candidate, isEligible, rank, type SelectionContext } from "../../src/domain/selection.ts";
import type { UsageWindow } from "../../src/domain/usage.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW } from "../support/fakes.ts";

const context = (overrides: Partial<SelectionContext> = {}): SelectionContext => ({
	modelId: "gpt-5.5",
	now: NOW,
	pinned: undefined,
	affinity: undefined,
	...overrides,
});
const candidate = (id: string, windows?: readonly UsageWindow[], overrides: Partial<Candidate> = {}): Candidate => ({
	account: anAccount(id),
	cooldowns: [],
	usage: windows && aSnapshot({ windows }),
	...overrides,
});
const fiveHours = (usedPercent: number, resetsInMs?: number): UsageWindow => ({
	usedPercent,
	windowMinutes: 300,
	resetsAt: resetsInMs === undefined ? undefined : NOW + resetsInMs,
});
const week = (usedPercent: number, resetsInMs?: number): UsageWindow => ({
	...fiveHours(usedPercent, resetsInMs),
	windowMinutes: 10080,
});
const ids = (ranked: readonly Candidate[]) => ranked.map(({ account }) => account.id);

describe("the choice among eligible accounts", () => {
	const untouched = candidate("untouched", [fiveHours(0, 5 * HOUR_MS), week(0, 7 * DAY_MS)]);
	const idle = candidate("idle", [fiveHours(0, 5 * HOUR_MS), week(40, DAY_MS)]);
	const unknown = candidate("unknown");
	const soon = candidate("soon", [fiveHours(10, HOUR_MS), week(60, DAY_MS)]);
	const late = candidate("late", [fiveHours(10, HOUR_MS), week(5, 5 * DAY_MS)]);

	it("is the untouched one, then the idle, the unknown, and the soonest reset", () => {
		expect(ids(rank([late, soon, unknown, idle, untouched], context()))).toEqual([
			"untouched",
			"idle",
			"unknown",
			"soon",
			"late",
		]);
	});

	it("is the pinned one first, then the session's own", () => {
		const all = [untouched, soon, late];
		expect(ids(rank(all, context({ pinned: "late", affinity: "soon" })))).toEqual(["late", "soon", "untouched"]);
		expect(ids(rank(all, context({ affinity: "late" })))).toEqual(["late", "untouched", "soon"]);
	});

	it("leaves out a pinned one that is cooling, and goes on with the session's own", () => {
		const cooling = { ...late, cooldowns: [aCooldown()] };
		expect(ids(rank([untouched, soon, cooling], context({ pinned: "late", affinity: "soon" })))).toEqual([
			"soon",
			"untouched",
		]);
	});

	it("looks at the longest window, whatever slot it came in", () => {
		const first = candidate("first", [week(10, 2 * DAY_MS), fiveHours(10, HOUR_MS)]);
		const second = candidate("second", [fiveHours(10, 2 * HOUR_MS), week(10, DAY_MS)]);
		expect(ids(rank([first, second], context()))).toEqual(["second", "first"]);
	});

	it("puts a longest window whose clock has not started last among equals", () => {
		const notStarted = candidate("not-started", [fiveHours(50, HOUR_MS), week(0, 7 * DAY_MS)]);
		expect(ids(rank([notStarted, late], context()))).toEqual(["late", "not-started"]);
	});

	it("breaks a tie by headroom, then by the list's order", () => {
		const roomy = candidate("roomy", [fiveHours(10, HOUR_MS), week(10, DAY_MS)]);
		const tight = candidate("tight", [fiveHours(80, HOUR_MS), week(10, DAY_MS)]);
		const twin = candidate("twin", [fiveHours(10, HOUR_MS), week(10, DAY_MS)]);
		expect(ids(rank([tight, roomy, twin], context()))).toEqual(["roomy", "twin", "tight"]);
	});

	it("takes an account whose windows have all been reset for an untouched one", () => {
		const reset = candidate("reset", [fiveHours(100, -1), week(100, -1)]);
		expect(ids(rank([soon, reset], context()))).toEqual(["reset", "soon"]);
	});

	it("is nobody where nobody is left", () => {
		expect(rank([], context())).toEqual([]);
	});
});

describe("an eligible account", () => {
	it("is signed in, enabled, and not cooling for the model", () => {
		const account = anAccount("a");
		expect(isEligible({ account, cooldowns: [], usage: undefined }, "gpt-5.5", NOW)).toBe(true);
		const spark = aCooldown({ scope: "model:gpt-5.3-codex-spark" });
		expect(isEligible({ account, cooldowns: [spark], usage: undefined }, "gpt-5.5", NOW)).toBe(true);
		expect(isEligible({ account, cooldowns: [spark], usage: undefined }, "gpt-5.3-codex-spark", NOW)).toBe(false);
		expect(isEligible({ account, cooldowns: [aCooldown()], usage: undefined }, "gpt-5.5", NOW)).toBe(false);
	});

	it("is none that is switched off or must sign in, even when pinned", () => {
		const off = candidate("off", [], { account: anAccount("off", { enabled: false }) });
		const out = candidate("out", [], { account: anAccount("out", { needsLogin: { reason: "revoked", at: NOW } }) });
		expect(rank([off, out], context({ pinned: "off", affinity: "out" }))).toEqual([]);
	});
});

describe("any ranking", () => {
	const aWindow = fc.record({
		usedPercent: fc.double({ min: 0, max: 120, noNaN: true }),
		windowMinutes: fc.constantFrom(300, 1440, 10080, 43200),
		resetsAt: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 30 * DAY_MS }), { nil: undefined }),
	});
	const aCandidate = fc.record({
		enabled: fc.boolean(),
		needsLogin: fc.boolean(),
		coolsUntil: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 400 * DAY_MS }), { nil: undefined }),
		scope: fc.constantFrom("account" as const, "model:gpt-5.5" as const, "model:gpt-6" as const),
		windows: fc.option(fc.array(aWindow, { maxLength: 3 }), { nil: undefined }),
	});
	const pools = fc.array(aCandidate, { maxLength: 7 }).map((list) =>
		list.map(({ enabled, needsLogin, coolsUntil, scope, windows }, at): Candidate => {
			const account = anAccount(`a${at}`, {
				enabled,
				needsLogin: needsLogin ? { reason: "revoked", at: NOW } : undefined,
			});
			const cooldowns = coolsUntil === undefined ? [] : [aCooldown({ scope, until: coolsUntil })];
			return { account, cooldowns, usage: windows && aSnapshot({ windows }) };
		}),
	);
	const anId = fc.option(
		fc.integer({ min: 0, max: 7 }).map((at) => `a${at}`),
		{ nil: undefined },
	);

	it("holds the eligible accounts, each once, and never another", () => {
		fc.assert(
			fc.property(pools, anId, anId, (pool, pinned, affinity) => {
				const ranked = rank(pool, context({ pinned, affinity }));
				const eligible = pool.filter(
					({ account, cooldowns }) =>
						account.enabled && !account.needsLogin && readyAt(cooldowns, "gpt-5.5", NOW) <= NOW,
				);
				expect([...ids(ranked)].sort()).toEqual([...ids(eligible)].sort());
			}),
		);
	});

	it("begins with the pin where it is eligible, and with the session's own where no pin is", () => {
		fc.assert(
			fc.property(pools, anId, anId, (pool, pinned, affinity) => {
				const ranked = ids(rank(pool, context({ pinned, affinity })));
				const isRanked = (id: string | undefined) => id !== undefined && ranked.includes(id);
				if (isRanked(pinned)) expect(ranked[0]).toBe(pinned);
				if (isRanked(affinity) && affinity !== pinned) expect(ranked[isRanked(pinned) ? 1 : 0]).toBe(affinity);
			}),
		);
	});

	it("does not depend on what else is in the pool", () => {
		fc.assert(
			fc.property(pools, (pool) => {
				const all = ids(rank(pool, context()));
				for (const [at, left] of pool.entries()) {
					const others = pool.filter((_each, position) => position !== at);
					expect(ids(rank(others, context()))).toEqual(all.filter((id) => id !== left.account.id));
				}
			}),
		);
	});

	it("leaves the pool as it was", () => {
		fc.assert(
			fc.property(pools, (pool) => {
				const before = ids(pool);
				rank(Object.freeze(pool), context());
				expect(ids(pool)).toEqual(before);
			}),
		);
	});
});
