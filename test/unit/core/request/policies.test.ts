import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readyAt } from "../../../../src/core/cooldown.ts";
import { type AccountId, entriesById } from "../../../../src/core/ids.ts";
import { type Candidate, gateOf } from "../../../../src/core/request/candidate.ts";
import { gatedIn, selectionReason } from "../../../../src/core/request/plan.ts";
import { POLICIES, type PolicyName } from "../../../../src/core/request/policies.ts";
import type { UsageWindow } from "../../../../src/core/usage.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";
import { aSetting as context, planOf, rank, rowsOf, type Setting } from "../../plans.ts";

const explain = (...args: Parameters<typeof planOf>) => rowsOf(planOf(...args));
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

const live = (sessions: Readonly<Record<string, number>>) => new Map(entriesById(sessions));

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

	it("the choice among eligible accounts is the pinned one first, then the session's own", () => {
		const all = [untouched, soon, late];
		expect(ids(rank(all, context({ pinned: anId("late"), affinity: anId("soon") })))).toEqual([
			"late",
			"soon",
			"untouched",
		]);
		expect(ids(rank(all, context({ affinity: anId("late") })))).toEqual(["late", "untouched", "soon"]);
	});

	it("leaves out a pinned one that is cooling, and goes on with the session's own", () => {
		const cooling = { ...late, cooldowns: [aCooldown()] };
		expect(ids(rank([untouched, soon, cooling], context({ pinned: anId("late"), affinity: anId("soon") })))).toEqual([
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

	it("goes past an account whose 5h window is nearly used up, or would be by the sessions on it", () => {
		const tight = candidate("tight", [fiveHours(81, HOUR_MS), week(10, DAY_MS)]);
		const busy = candidate("busy", [fiveHours(40, HOUR_MS), week(10, DAY_MS)]);
		const free = candidate("free", [fiveHours(80, HOUR_MS), week(10, 6 * DAY_MS)]);
		expect(ids(rank([tight, busy, free], context()))).toEqual(["busy", "free", "tight"]);
		expect(ids(rank([tight, busy, free], context({ liveSessions: live({ busy: 3 }) })))).toEqual([
			"free",
			"tight",
			"busy",
		]);
	});

	it("the choice among eligible accounts is the roomiest if none has room", () => {
		const least = candidate("least", [fiveHours(95, HOUR_MS), week(10, DAY_MS)]);
		const most = candidate("most", [fiveHours(85, HOUR_MS), week(10, 2 * DAY_MS)]);
		expect(ids(rank([least, most], context()))).toEqual(["most", "least"]);
	});

	it.each([
		["plus", ["other", "large"]],
		["team", ["other", "large"]],
		["prolite", ["large", "other"]],
		["self_serve_business_prolite", ["large", "other"]],
		["promax", ["large", "other"]],
		["enterprise_cbp_trial", ["large", "other"]],
		["unknown", ["other", "large"]],
		["pro", ["large", "other"]],
	])("counts a session for less on a larger account: %s", (plan, expected) => {
		const windows = [fiveHours(50, HOUR_MS), week(10, DAY_MS)];
		const large = { ...candidate("large"), usage: aSnapshot({ windows, plan }) };
		const other = candidate("other", [fiveHours(50, HOUR_MS), week(10, 2 * DAY_MS)]);
		expect(ids(rank([large, other], context({ liveSessions: live({ large: 3 }) })))).toEqual(expected);
	});

	it("counts a budget for what is left, and for when that is lost if there is no window", () => {
		const budget = (usedPercent: number, resetsInMs: number) => ({
			...fiveHours(usedPercent, resetsInMs),
			windowMinutes: 43_200,
			isReached: false,
		});
		const seat = (id: string, windows: readonly UsageWindow[], left: number, resetsInMs = 12 * DAY_MS) => ({
			...candidate(id),
			usage: aSnapshot({ windows, budgets: [budget(100 - left, resetsInMs)] }),
		});
		const plus = candidate("plus", [fiveHours(10, HOUR_MS), week(30, DAY_MS)]);
		expect(ids(rank([seat("seat", [], 2), plus], context(), "most-headroom"))).toEqual(["plus", "seat"]);
		expect(ids(rank([plus, seat("seat", [], 90)], context(), "most-headroom"))).toEqual(["seat", "plus"]);
		const windows = [fiveHours(10, HOUR_MS), week(30, 2 * DAY_MS)];
		expect(ids(rank([plus, seat("seat", windows, 50, HOUR_MS)], context()))).toEqual(["plus", "seat"]);
		expect(ids(rank([plus, seat("seat", [], 50, HOUR_MS)], context()))).toEqual(["seat", "plus"]);
		const kept = context({ reserve: { "30d": 5 } });
		expect(ids(rank([seat("seat", windows, 4, HOUR_MS), plus], kept))).toEqual(["plus", "seat"]);
	});

	it("takes an account without a 5h window for one with room", () => {
		const weekly = candidate("weekly", [week(95, DAY_MS)]);
		const tight = candidate("tight", [fiveHours(90, HOUR_MS), week(10, HOUR_MS)]);
		const sessions = live({ weekly: 9 });
		expect(ids(rank([tight, weekly], context({ liveSessions: sessions })))).toEqual(["weekly", "tight"]);
	});

	it("spreads sessions that start together, although the news of each is not there yet", () => {
		const twins = ["a", "b", "c"].map((id) => candidate(id, [fiveHours(0, 5 * HOUR_MS), week(0, 7 * DAY_MS)]));
		const sessions = new Map<AccountId, number>();
		const chosen = Array.from({ length: 6 }, () => {
			const id = rank(twins, context({ liveSessions: sessions }))[0]?.account.id ?? anId("missing");
			sessions.set(id, (sessions.get(id) ?? 0) + 1);
			return id;
		});
		expect(chosen).toEqual(["a", "b", "c", "a", "b", "c"]);
	});

	it("takes an account on which a session has just begun for one whose clocks run", () => {
		expect(ids(rank([untouched, idle], context()))).toEqual(["untouched", "idle"]);
		expect(ids(rank([untouched, idle], context({ liveSessions: live({ untouched: 1 }) })))).toEqual([
			"idle",
			"untouched",
		]);
	});

	it("is undefined if no account is left", () => {
		expect(rank([], context())).toEqual([]);
	});
});

describe("an eligible account", () => {
	it("is signed in, enabled, and not cooling for the model", () => {
		const account = anAccount("a");
		expect(gateOf({ account, cooldowns: [], usage: undefined }, "gpt-5.5", NOW)).toBeUndefined();
		const spark = aCooldown({ scope: "model:gpt-5.3-codex-spark" });
		expect(gateOf({ account, cooldowns: [spark], usage: undefined }, "gpt-5.5", NOW)).toBeUndefined();
		expect(gateOf({ account, cooldowns: [spark], usage: undefined }, "gpt-5.3-codex-spark", NOW)?.kind).toBe("cooling");
		expect(gateOf({ account, cooldowns: [aCooldown()], usage: undefined }, "gpt-5.5", NOW)?.kind).toBe("cooling");
	});

	it("an eligible account is none that is switched off or must sign in, even when pinned", () => {
		const off = candidate("off", [], { account: anAccount("off", { enabled: false }) });
		const out = candidate("out", [], { account: anAccount("out", { needsLogin: { reason: "revoked", at: NOW } }) });
		expect(rank([off, out], context({ pinned: anId("off"), affinity: anId("out") }))).toEqual([]);
	});
});

describe("the other policies", () => {
	const half = candidate("half", [fiveHours(0, 5 * HOUR_MS), week(50, DAY_MS)]);
	const full = candidate("full", [fiveHours(10, HOUR_MS), week(10, 6 * DAY_MS)]);
	const unknown = candidate("unknown");
	const low = candidate("low", [fiveHours(0, 5 * HOUR_MS), week(90, DAY_MS)]);

	it("most-headroom takes the one with most left in its tightest window, and knows nothing of the unknown", () => {
		expect(ids(rank([low, unknown, half, full], context(), "most-headroom"))).toEqual([
			"full",
			"unknown",
			"half",
			"low",
		]);
	});

	it("in-order takes the list as it is", () => {
		expect(ids(rank([low, unknown, half, full], context(), "in-order"))).toEqual(["low", "unknown", "half", "full"]);
	});

	it("round-robin goes on after the one that was chosen last, and begins again at the top", () => {
		const all = [low, unknown, half, full];
		const next = (lastChosen: AccountId | undefined) => ids(rank(all, context({ lastChosen }), "round-robin"));
		expect(next(undefined)).toEqual(["low", "unknown", "half", "full"]);
		expect(next(anId("low"))).toEqual(["unknown", "half", "full", "low"]);
		expect(next(anId("full"))).toEqual(["low", "unknown", "half", "full"]);
		expect(next(anId("gone"))).toEqual(["low", "unknown", "half", "full"]);
	});

	it("round-robin keeps its place while the one that was chosen last cools", () => {
		const cooling = { ...unknown, cooldowns: [aCooldown()] };
		expect(ids(rank([low, cooling, half, full], context({ lastChosen: anId("unknown") }), "round-robin"))).toEqual([
			"half",
			"full",
			"low",
		]);
	});

	it("put the pin and the session's own first, all of them", () => {
		for (const policy of Object.keys(POLICIES) as PolicyName[]) {
			const ranked = ids(rank([full, half, low], context({ pinned: anId("low"), affinity: anId("half") }), policy));
			expect(ranked).toEqual(["low", "half", "full"]);
		}
	});
});

describe("the reserve", () => {
	const spare = candidate("spare", [fiveHours(85, HOUR_MS), week(10, DAY_MS)]);
	const other = candidate("other", [fiveHours(60, HOUR_MS), week(60, 6 * DAY_MS)]);
	const reserve = { "5h": 20, "7d": 0 };

	it("keeps an account out of a new session while another is there, whatever the policy", () => {
		for (const policy of Object.keys(POLICIES) as PolicyName[]) {
			expect(ids(rank([spare, other], context({ reserve }), policy))).toEqual(["other", "spare"]);
		}
	});

	it("holds from the floor on", () => {
		const at = (usedPercent: number) => candidate("at", [fiveHours(usedPercent, HOUR_MS), week(0, 7 * DAY_MS)]);
		expect(ids(rank([at(80), other], context({ reserve }), "in-order"))).toEqual(["other", "at"]);
		expect(ids(rank([at(79), other], context({ reserve }), "in-order"))).toEqual(["at", "other"]);
	});

	it("names windows as they are shown, and holds no account without such a window or without news", () => {
		const monthly = candidate("monthly", [{ ...week(99, DAY_MS), windowMinutes: 43_200 }]);
		const floors = { "5h": 50, "7d": 50 };
		expect(ids(rank([monthly, candidate("unknown"), other], context({ reserve: floors }), "in-order"))).toEqual([
			"monthly",
			"unknown",
			"other",
		]);
		expect(ids(rank([monthly, other], context({ reserve: { "30d": 5 } }), "in-order"))).toEqual(["other", "monthly"]);
	});

	it("the reserve is none if none was asked for", () => {
		const empty = candidate("empty", [fiveHours(100, HOUR_MS), week(100, DAY_MS)]);
		expect(ids(rank([empty, other], context({ reserve: { "5h": 0, "7d": 0 } }), "in-order"))).toEqual([
			"empty",
			"other",
		]);
	});

	it("never stands against the pin or the session's own account", () => {
		expect(ids(rank([other, spare], context({ reserve, affinity: anId("spare") })))).toEqual(["spare", "other"]);
		expect(ids(rank([other, spare], context({ reserve, pinned: anId("spare") })))).toEqual(["spare", "other"]);
	});

	it("never empties the choice", () => {
		expect(ids(rank([spare], context({ reserve })))).toEqual(["spare"]);
		expect(ids(rank([spare, { ...other, cooldowns: [aCooldown()] }], context({ reserve })))).toEqual(["spare"]);
	});
});

describe("an account", () => {
	const usage = (used: number, plan = "plus") => aSnapshot({ windows: [fiveHours(used, HOUR_MS), week(20)], plan });
	/** It served the session that asks, and is back as soon as that would wait. */
	const own = candidate("own", undefined, { cooldowns: [aCooldown({ until: NOW + HOUR_MS })] });
	const crowdOf = (plan: ReturnType<typeof planOf>) => {
		const gate = gatedIn(plan, anId("one"))?.gate;
		return gate?.kind === "crowded" ? gate : undefined;
	};
	const crowded = (one: Candidate, sessions: number, overrides: Partial<Setting> = {}) =>
		crowdOf(
			planOf([own, one], {
				liveSessions: live({ one: sessions }),
				served: anId("own"),
				patienceMs: HOUR_MS,
				...overrides,
			}),
		);
	const one = (used: number, overrides: Partial<Candidate> = {}) => ({
		...candidate("one", undefined, { usage: usage(used) }),
		...overrides,
	});

	it("is crowded when those at work on it will need what is left of its 5h window", () => {
		expect(crowded(one(55), 1)).toBeUndefined();
		expect(crowded(one(56), 1)).toEqual({ kind: "crowded", live: 1, roomPercent: 9 });
		expect(crowded(one(0), 2)).toBeUndefined();
		expect(crowded(one(0), 3)).toEqual({ kind: "crowded", live: 3, roomPercent: -5 });
	});

	it("is never crowded with no session on it, however little is left", () => {
		expect(crowded(one(99), 0)).toBeUndefined();
	});

	it("is never crowded without usage, or without a 5h window", () => {
		expect(crowded(one(0, { usage: undefined }), 9)).toBeUndefined();
		expect(crowded(one(0, { usage: aSnapshot({ windows: [week(90)] }) }), 9)).toBeUndefined();
	});

	it("holds more sessions on a larger plan", () => {
		expect(crowded(one(50, { usage: usage(50, "prolite") }), 5)).toBeUndefined();
		expect(crowded(one(50, { usage: usage(50, "prolite") }), 6)).toBeDefined();
	});

	it("an account is not called crowded if it is pinned, or cannot serve anyway", () => {
		expect(crowded(one(90), 2, { pinned: anId("one") })).toBeUndefined();
		expect(crowded(one(90, { cooldowns: [aCooldown()] }), 2)).toBeUndefined();
		expect(crowded(one(90, { account: anAccount("one", { enabled: false }) }), 2)).toBeUndefined();
	});

	it("an account that is crowded has no rank if the session waits, and says why", () => {
		const other = candidate("other", undefined, { cooldowns: [aCooldown()] });
		const verdicts = explain([one(60), other], {
			liveSessions: live({ one: 2 }),
			served: anId("other"),
			patienceMs: HOUR_MS,
		});
		expect(verdicts).toMatchObject([
			{ account: { id: "one" }, rank: undefined, gate: { kind: "crowded", live: 2, roomPercent: -30 } },
			{ account: { id: "other" }, rank: undefined, gate: { kind: "cooling" } },
		]);
	});
});

describe("the explanation of a choice", () => {
	const soon = candidate("soon", [fiveHours(38, HOUR_MS), week(59, 2 * DAY_MS + 3 * HOUR_MS)]);
	const late = candidate("late", [fiveHours(10, HOUR_MS), week(20, 6 * DAY_MS)]);

	it("tells each account's rank, and the term that put it behind the one before", () => {
		const verdicts = explain([late, soon], context({ pinned: undefined }));
		expect(verdicts.map(({ account, rank, decidedBy }) => [account.id, rank, decidedBy])).toEqual([
			["soon", 1, undefined],
			["late", 2, "expires"],
		]);
	});

	it("tells the terms in the order in which they decide, each with its value and in words", () => {
		const [first] = explain([soon], context({ liveSessions: live({ soon: 1 }), affinity: anId("soon") }));
		expect(first?.terms).toEqual([
			{ name: "pin", value: 0, text: "not pinned" },
			{ name: "session", value: 1, text: "served this session last" },
			{ name: "reserve", value: 0, text: "not in reserve" },
			{ name: "room", value: 27, text: "27% of 5h left after 1 live session" },
			{ name: "fresh", value: 3, text: "1 live session on it" },
			{ name: "expires", value: NOW + 2 * DAY_MS + 3 * HOUR_MS, text: "week resets in 2d03h" },
			{ name: "headroom", value: 41, text: "41% left" },
			{ name: "live", value: 1, text: "1 live session" },
			{ name: "list", value: 1, text: "number 1 of the list" },
		]);
	});

	it.each([
		["soonest-reset", ["room", "fresh", "expires", "headroom", "live"]],
		["most-headroom", ["headroom", "live"]],
		["in-order", []],
		["round-robin", ["turn"]],
	] as const)("tells the terms of the policy that chose: %s", (policy, names) => {
		const [first] = explain([soon], context(), policy);
		expect(first?.terms.map(({ name }) => name)).toEqual(["pin", "session", "reserve", ...names, "list"]);
	});

	it.each([
		["room", candidate("a"), "5h unknown"],
		["room", candidate("a", [week(10, DAY_MS)]), "no 5h window"],
		["room", candidate("a", [fiveHours(99.5, HOUR_MS)]), "<1% of 5h left, below 20%"],
		["fresh", candidate("a"), "usage unknown"],
		["fresh", candidate("a", [fiveHours(0, 5 * HOUR_MS)]), "unused"],
		["fresh", candidate("a", [fiveHours(0, 5 * HOUR_MS), week(9, DAY_MS)]), "its shortest window has not started"],
		["fresh", candidate("a", [fiveHours(9, HOUR_MS)]), "its windows are running"],
		["expires", candidate("a"), "no window known"],
		["expires", candidate("a", [fiveHours(9, HOUR_MS), week(0, 7 * DAY_MS)]), "week not started"],
		["expires", candidate("a", [week(9)]), "reset of week unknown"],
		["expires", candidate("a", [week(9, 42 * 60_000 + 1)]), "week resets in 42m"],
		["headroom", candidate("a"), "usage unknown"],
	])("says what it knows: %s", (name, account, text) => {
		const [first] = explain([account], context());
		expect(first?.terms.find((term) => term.name === name)?.text).toBe(text);
	});

	it("names the gate that keeps an account out, after those with a rank", () => {
		const off = candidate("off", [], { account: anAccount("off", { enabled: false }) });
		const out = candidate("out", [], { account: anAccount("out", { needsLogin: { reason: "revoked", at: NOW } }) });
		const cooling = candidate("cooling", [], { cooldowns: [aCooldown({ until: NOW + HOUR_MS })] });
		const verdicts = explain([off, out, cooling, late], context());
		expect(verdicts.map(({ account, rank, gate, terms }) => [account.id, rank, gate, terms.length > 0])).toEqual([
			["late", 1, undefined, true],
			["off", undefined, { kind: "disabled" }, false],
			["out", undefined, { kind: "needs-login" }, false],
			["cooling", undefined, { kind: "cooling", until: NOW + HOUR_MS, ofQuota: true }, false],
		]);
	});

	it("names the reserve of an account that is kept for the end", () => {
		const spare = candidate("spare", [fiveHours(88.5, HOUR_MS), week(10, DAY_MS)]);
		const [, last] = explain([spare, late], context({ reserve: { "5h": 20 } }));
		expect(last).toMatchObject({
			rank: 2,
			gate: { kind: "reserve", window: "5h", leftPercent: 11.5, floorPercent: 20 },
			decidedBy: "reserve",
		});
		expect(last?.terms[2]?.text).toBe("11% of 5h left, 20% kept in reserve");
	});
});

/** Every three different ones, in every order. */
function triples<T>(list: readonly T[]): [T, T, T][] {
	return list.flatMap((a) =>
		list.flatMap((b) => list.map((c): [T, T, T] => [a, b, c])).filter(([a, b, c]) => a !== b && b !== c && a !== c),
	);
}

describe("any ranking", () => {
	const aWindow = fc.record({
		usedPercent: fc.oneof(fc.constantFrom(0, 80, 100), fc.double({ min: 0, max: 120, noNaN: true })),
		windowMinutes: fc.constantFrom(300, 1440, 10080, 43200),
		resetsAt: fc.option(
			fc.oneof(
				fc.constantFrom(NOW + 5 * HOUR_MS, NOW + 7 * DAY_MS),
				fc.integer({ min: NOW - DAY_MS, max: NOW + 30 * DAY_MS }),
			),
			{ nil: undefined },
		),
	});
	const aCandidate = fc.record({
		// Most are eligible, so that there is something to order.
		enabled: fc.constantFrom(true, true, true, true, false),
		needsLogin: fc.constantFrom(false, false, false, false, true),
		coolsUntil: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 400 * DAY_MS }), { nil: undefined, freq: 2 }),
		scope: fc.constantFrom("account" as const, "model:gpt-5.5" as const, "model:gpt-6" as const),
		windows: fc.option(fc.array(aWindow, { maxLength: 3 }), { nil: undefined }),
		plan: fc.constantFrom(undefined, "plus", "prolite", "pro", "guest"),
	});
	const someAccounts = (least: number) =>
		fc.array(aCandidate, { minLength: least, maxLength: 7 }).map((list) =>
			list.map(({ enabled, needsLogin, coolsUntil, scope, windows, plan }, at): Candidate => {
				const account = anAccount(`a${at}`, {
					enabled,
					needsLogin: needsLogin ? { reason: "revoked", at: NOW } : undefined,
				});
				const cooldowns = coolsUntil === undefined ? [] : [aCooldown({ scope, until: coolsUntil })];
				return { account, cooldowns, usage: windows && aSnapshot({ windows, plan }) };
			}),
		);
	const pools = someAccounts(0);
	const someId = fc.option(
		fc.integer({ min: 0, max: 7 }).map((at) => anId(`a${at}`)),
		{ nil: undefined },
	);
	const policies = fc.constantFrom(...(Object.keys(POLICIES) as PolicyName[]));
	/** These order by what accounts are, not by where they stand. */
	const byWorth = fc.constantFrom("soonest-reset" as const, "most-headroom" as const);
	const contexts = fc
		.record({
			pinned: someId,
			affinity: someId,
			lastChosen: someId,
			sessions: fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 8, maxLength: 8 }),
			reserve: fc.record({ "5h": fc.integer({ min: 0, max: 100 }), "7d": fc.integer({ min: 0, max: 100 }) }),
		})
		.map(({ sessions, ...rest }) =>
			context({ ...rest, liveSessions: new Map(sessions.map((count, at) => [anId(`a${at}`), count])) }),
		);
	const isReady = ({ account, cooldowns }: Candidate) =>
		account.enabled && !account.needsLogin && readyAt(cooldowns, "gpt-5.5", NOW) <= NOW;

	it("holds the eligible accounts, each once, and never another", () => {
		fc.assert(
			fc.property(pools, contexts, policies, (pool, where, policy) => {
				const ranked = rank(pool, where, policy);
				expect([...ids(ranked)].sort()).toEqual(ids(pool.filter(isReady)).sort());
			}),
			runs(30),
		);
	});

	it("begins with the pin if it is eligible, and with the session's own if no pin is", () => {
		fc.assert(
			fc.property(pools, contexts, policies, (pool, where, policy) => {
				const { pinned, affinity } = where;
				const ranked = ids(rank(pool, where, policy));
				const isRanked = (id: AccountId | undefined) => id !== undefined && ranked.includes(id);
				if (isRanked(pinned)) expect(ranked[0]).toBe(pinned);
				if (isRanked(affinity) && affinity !== pinned) expect(ranked[isRanked(pinned) ? 1 : 0]).toBe(affinity);
			}),
			runs(30),
		);
	});

	it("is begun by the one that is chosen, and goes on with the one that is chosen without it", () => {
		fc.assert(
			fc.property(pools, contexts, policies, (pool, where, policy) => {
				const [first, second] = rank(pool, where, policy);
				expect(planOf(pool, where, policy).next).toBe(first?.account);
				const tried = new Set(first && [first.account.id]);
				expect(planOf(pool, { ...where, tried }, policy).next).toBe(second?.account);
			}),
			runs(30),
		);
	});

	it("is a total order: of every two one is first, and no three go round", () => {
		fc.assert(
			fc.property(pools, contexts, byWorth, (pool, where, policy) => {
				const ready = pool.filter(isReady);
				// Two at a time, so that no sort can smooth anything over; 0 where the list decides.
				const order = (a: Candidate, b: Candidate) => {
					const leads = [rank([a, b], where, policy)[0] === a, rank([b, a], where, policy)[0] === a];
					expect(leads).not.toEqual([false, true]);
					return leads.filter((isFirst) => !isFirst).length - 1;
				};
				for (const [a, b, c] of triples(ready)) {
					const [ab, bc, ac] = [order(a, b), order(b, c), order(a, c)];
					expect(order(b, a)).toBe(0 - ab);
					if (ab <= 0 && bc <= 0) expect(ac).toBe(Math.min(ab, bc));
				}
			}),
			runs(15, 400),
		);
	});

	it("any ranking is the order of its terms, the first that differs deciding", () => {
		fc.assert(
			fc.property(pools, contexts, policies, (pool, where, policy) => {
				const verdicts = explain(pool, where, policy);
				const ranked = verdicts.filter(({ rank: at }) => at !== undefined);
				expect(ranked.map(({ account }) => account.id)).toEqual(ids(rank(pool, where, policy)));
				expect(ranked.map(({ rank: at }) => at)).toEqual(ranked.map((_each, at) => at + 1));
				expect(verdicts.map(({ account }) => account.id).sort()).toEqual(ids(pool).sort());
				for (const [at, { decidedBy, terms }] of ranked.entries()) {
					if (at === 0) expect(decidedBy).toBeUndefined();
					else expect(terms.map(({ name }) => name)).toContain(decidedBy);
				}
			}),
			runs(30),
		);
	});

	it("shows no number that is none, whatever windows are missing", () => {
		fc.assert(
			fc.property(pools, contexts, policies, (pool, where, policy) => {
				for (const { terms } of explain(pool, where, policy)) {
					for (const { value, text } of terms) {
						expect(value === undefined || Number.isFinite(value)).toBe(true);
						expect(text).not.toMatch(/NaN|undefined|Infinity/);
					}
				}
			}),
			runs(30),
		);
	});

	it("does not depend on the list's order, save between accounts that are alike", () => {
		fc.assert(
			fc.property(pools, contexts, byWorth, fc.infiniteStream(fc.nat()), (pool, where, policy, dice) => {
				const weights = pool.map((each) => ({ each, weight: dice.next().value }));
				const shuffled = weights.sort((a, b) => a.weight - b.weight).map(({ each }) => each);
				/** Accounts that only the list's order separates, together. */
				const groups = (order: readonly Candidate[]) => {
					const ranked = explain(order, where, policy).filter(({ rank: at }) => at !== undefined);
					return ranked.reduce<string[][]>((all, { account, decidedBy }) => {
						const group = decidedBy === "list" ? (all.at(-1) ?? []) : [];
						if (group.length === 0) all.push(group);
						group.push(account.id);
						group.sort();
						return all;
					}, []);
				};
				expect(groups(shuffled)).toEqual(groups(pool));
			}),
			runs(30),
		);
	});

	it("does not depend on what else is in the pool", () => {
		fc.assert(
			fc.property(pools, contexts, byWorth, (pool, where, policy) => {
				const all = ids(rank(pool, where, policy));
				for (const [at, left] of pool.entries()) {
					const others = pool.filter((_each, position) => position !== at);
					expect(ids(rank(others, where, policy))).toEqual(all.filter((id) => id !== left.account.id));
				}
			}),
			runs(30),
		);
	});

	it("never ranks an account lower under most-headroom for having more left", () => {
		const refill = (each: Candidate, by: number): Candidate => {
			const windows = each.usage?.windows.map((window) => ({ ...window, usedPercent: window.usedPercent - by }));
			return { ...each, usage: windows && aSnapshot({ windows }) };
		};
		fc.assert(
			fc.property(someAccounts(1), contexts, fc.nat(), fc.integer({ min: 1, max: 60 }), (pool, where, nth, by) => {
				const chosen = pool[nth % pool.length]?.account.id;
				const fuller = pool.map((each) => (each.account.id === chosen ? refill(each, by) : each));
				const placeIn = (list: readonly Candidate[]) =>
					ids(rank(list, where, "most-headroom")).indexOf(chosen ?? anId(""));
				expect(placeIn(fuller)).toBeLessThanOrEqual(placeIn(pool));
			}),
			runs(30),
		);
	});

	it("never ranks an account higher for having more sessions on it", () => {
		fc.assert(
			fc.property(someAccounts(1), contexts, policies, fc.nat(), (pool, where, policy, nth) => {
				const chosen = pool[nth % pool.length]?.account.id ?? anId("");
				const busier = new Map(where.liveSessions).set(chosen, (where.liveSessions.get(chosen) ?? 0) + 1);
				const placeWith = (liveSessions: ReadonlyMap<AccountId, number>) =>
					ids(rank(pool, { ...where, liveSessions }, policy)).indexOf(chosen);
				expect(placeWith(busier)).toBeGreaterThanOrEqual(placeWith(where.liveSessions));
			}),
			runs(30),
		);
	});

	it("is never emptied by a reserve, and never led by a reserved account while another is there", () => {
		fc.assert(
			fc.property(pools, contexts, policies, (pool, where, policy) => {
				const ranked = explain(pool, where, policy).filter(({ rank: at }) => at !== undefined);
				expect(ranked.length).toBe(pool.filter(isReady).length);
				const isChosen = (id: string) => id === where.pinned || id === where.affinity;
				const rest = ranked.filter(({ account }) => !isChosen(account.id));
				const held = rest.map(({ gate }) => gate?.kind === "reserve");
				expect(held).toEqual([...held].sort((a, b) => Number(a) - Number(b)));
			}),
			runs(30),
		);
	});

	it("leaves the pool as it was", () => {
		fc.assert(
			fc.property(pools, contexts, policies, (pool, where, policy) => {
				const before = ids(pool);
				rank(Object.freeze(pool), where, policy);
				explain(pool, where, policy);
				expect(ids(pool)).toEqual(before);
			}),
			runs(30),
		);
	});
});

describe("the grounds of a choice", () => {
	const [first, second, third] = [
		candidate("first", [fiveHours(10)]),
		candidate("second", [fiveHours(10)]),
		candidate("third", [fiveHours(60)]),
	];
	const grounds = (tried: readonly string[], cooling?: Candidate) => {
		const plan = planOf(
			[first, second, third, ...(cooling ? [cooling] : [])],
			{ tried: new Set(tried.map(anId)) },
			"most-headroom",
		);
		return selectionReason(plan, plan.next ?? anAccount("none"));
	};

	it("the grounds of a choice are what the next account lacks, of those that can still serve", () => {
		expect(grounds([]).decidedBy).toBe("list");
		expect(grounds(["second"]).decidedBy).toBe("headroom");
		expect(grounds(["first"]).terms).toContainEqual({ name: "list", value: 2, text: "number 2 of the list" });
	});

	it("a pool without another account gives no grounds", () => {
		expect(grounds(["first", "second"]).decidedBy).toBeUndefined();
		const cooling = candidate("cooling", undefined, { cooldowns: [aCooldown()] });
		expect(grounds(["first", "second", "third"], cooling)).toEqual({ decidedBy: undefined, terms: [] });
	});
});
