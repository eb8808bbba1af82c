import { beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import type { PoolEvent } from "../../../../src/core/events.ts";
import type { AccountId, SessionId } from "../../../../src/core/ids.ts";
import { createPool, type Pool } from "../../../../src/core/pool/pool.ts";
import { gatedIn, type SelectionRequest } from "../../../../src/core/request/plan.ts";
import { DEFAULT_SETTINGS, type RotationSettings } from "../../../../src/core/settings.ts";
import type { UsageSnapshot, UsageWindow } from "../../../../src/core/usage.ts";
import {
	aClock,
	aCooldown,
	anAccount,
	anAccountStore,
	aSnapshot,
	aStateStore,
	DAY_MS,
	type FakeAccountStore,
	type FakeClock,
	type FakeStateStore,
	HOUR_MS,
	MINUTE_MS,
	NOW,
} from "../../../support/fakes.ts";
import { anId, aSessionId, aWorkspaceId } from "../../../support/ids.ts";
import { rowsOf } from "../../plans.ts";

let clock: FakeClock;
let accounts: FakeAccountStore;
let state: FakeStateStore;
let pool: Pool;
let told: PoolEvent[];
let rotation: RotationSettings;

function open(...rows: Account[]): void {
	clock = aClock();
	accounts = anAccountStore(...rows);
	state = aStateStore();
	rotation = DEFAULT_SETTINGS.rotation;
	pool = anotherPool();
	told = [];
	pool.subscribe((event) => told.push(event));
}
/** The same accounts and state, seen from another process. */
const anotherPool = () => createPool({ accounts, state, clock, settings: () => ({ ...DEFAULT_SETTINGS, rotation }) });

beforeEach(() => open(anAccount("a"), anAccount("b"), anAccount("c")));

const account = (id: AccountId) => pool.account(id) ?? anAccount(id);
const planFor = (overrides: Partial<SelectionRequest> = {}, of = pool) =>
	of.plan({ modelId: "gpt-5.5", affinity: undefined, sessionId: aSessionId("s"), ...overrides });
const choose = (overrides: Partial<SelectionRequest> = {}, of = pool) => planFor(overrides, of).next?.id;
/** When the account can serve `modelId` (any without one) again; the present where it can already. */
const backAt = (id: AccountId, modelId?: string) => {
	const plan = planFor({ modelId });
	const gated = gatedIn(plan, id);
	return gated ? gated.readyAt : plan.now;
};
const crowdedFor = (overrides: Partial<SelectionRequest>) =>
	planFor(overrides).gated.flatMap(({ account: { id }, gate }) => (gate.kind === "crowded" ? [id] : []));
const typesTold = () => told.map(({ type }) => type);
const cooling = (overrides: Partial<Parameters<Pool["cool"]>[1]> = {}) =>
	({
		covers: "account",
		scope: "account",
		reason: "usage_limit",
		until: NOW + HOUR_MS,
		guessed: false,
		...overrides,
	}) as const;

describe("the choice", () => {
	it("is the pin, then the session's own, then the list's order, of those that are not excluded", async () => {
		expect(choose()).toBe("a");
		expect(choose({ affinity: anId("b") })).toBe("b");
		await pool.pin(anId("c"));
		expect(choose({ affinity: anId("b") })).toBe("c");
		expect(choose({ affinity: anId("b"), tried: new Set([anId("b"), anId("c")]) })).toBe("a");
		expect(choose({ tried: new Set([anId("a"), anId("b"), anId("c")]) })).toBeUndefined();
	});

	it("keeps the pin while it cools, and comes back to it", async () => {
		await pool.pin(anId("c"));
		pool.cool(account(anId("c")), cooling(), "gpt-5.5");
		expect([choose(), pool.pinned()]).toEqual(["a", "c"]);
		clock.at += HOUR_MS;
		expect(choose()).toBe("c");
	});
});

describe("the choice by policy", () => {
	const set = (overrides: Partial<RotationSettings>) => {
		rotation = { ...rotation, ...overrides };
	};
	const week = (usedPercent: number, resetsInMs = 3 * DAY_MS) => ({
		usedPercent,
		windowMinutes: 10080,
		resetsAt: NOW + resetsInMs,
	});
	const fiveHours = (usedPercent: number) => ({ usedPercent, windowMinutes: 300, resetsAt: NOW + HOUR_MS });
	const know = (id: AccountId, ...windows: UsageWindow[]) =>
		state.statusById.set(id, { cooldowns: [], strikes: 0, usage: aSnapshot({ windows }) });
	/** A session that begins, and goes on where it was put. */
	const begin = (sessionId: SessionId) => {
		const id = choose({ sessionId });
		if (id !== undefined) pool.acquireLease(id, sessionId, true);
		return id;
	};

	it("spreads sessions that begin together over accounts that are alike", () => {
		expect(["s1", "s2", "s3", "s4"].map(aSessionId).map(begin)).toEqual(["a", "b", "c", "a"]);
		set({ policy: "most-headroom" });
		expect(["t1", "t2"].map(aSessionId).map(begin)).toEqual(["b", "c"]);
	});

	it("spreads them over processes, as soon as one knows of the other", () => {
		const other = anotherPool();
		pool.acquireLease(anId("a"), aSessionId("s1"), true);
		expect(choose({ sessionId: aSessionId("s2") }, other)).toBe("b");
	});

	it("counts no session against itself, and none that is over", () => {
		expect(begin(aSessionId("s1"))).toBe("a");
		expect([choose({ sessionId: aSessionId("s1") }), choose({ sessionId: aSessionId("s2") })]).toEqual(["a", "b"]);
		pool.releaseLease(aSessionId("s1"));
		expect(choose({ sessionId: aSessionId("s2") })).toBe("a");
	});

	it("leaves an account to those at work on it while the own one is out of quota, for room now or soon", async () => {
		const crowded = (served: AccountId | undefined, patienceMs = 5 * HOUR_MS) => crowdedFor({ served, patienceMs });
		know(anId("b"), fiveHours(60), week(10));
		know(anId("c"), fiveHours(10), week(10));
		for (const session of [aSessionId("s1"), aSessionId("s2")]) pool.acquireLease(anId("b"), session, true);
		expect(crowded(anId("a"))).toEqual([]);
		pool.cool(account(anId("a")), cooling(), "gpt-5.5");
		expect(crowded(anId("a"))).toEqual(["b"]);
		// No business of a session that has not lost its account.
		expect([crowded(undefined), crowded(anId("c")), crowded(anId("gone"))]).toEqual([[], [], []]);
		expect(crowded(anId("a"), 0)).toEqual(["b"]);
		await accounts.patch(anId("c"), { enabled: false });
		expect([crowded(anId("a"), HOUR_MS), crowded(anId("a"), HOUR_MS - 1)]).toEqual([["b"], []]);
		await pool.pin(anId("b"));
		expect(crowded(anId("a"))).toEqual([]);
		await pool.pin(undefined);
		clock.at += HOUR_MS;
		expect(crowded(anId("a"))).toEqual([]);
	});

	it("leaves an account to its sessions if a workspace is out of quota, not for a throttle", () => {
		const crowded = () => crowdedFor({ served: anId("a"), patienceMs: 5 * HOUR_MS }).length;
		know(anId("b"), fiveHours(60), week(10));
		for (const session of [aSessionId("s1"), aSessionId("s2")]) pool.acquireLease(anId("b"), session, true);
		pool.cool(account(anId("a")), cooling({ scope: "limit:spark" }), "gpt-5.4-spark");
		pool.cool(account(anId("a")), cooling({ reason: "rate_limit" }), "gpt-5.5");
		expect(crowded()).toBe(0);
		pool.cool(account(anId("a")), cooling({ reason: "workspace_limit", until: NOW + 2 * HOUR_MS }), "gpt-5.5");
		expect(crowded()).toBe(1);
	});

	it.each([
		["of another limit", { scope: "limit:spark" }],
		["of a throttle", { reason: "rate_limit" }],
		["of a refused token", { reason: "unauthorized" }],
	] as const)("leaves no account out because %s", (_name, overrides) => {
		know(anId("b"), fiveHours(60), week(10));
		for (const session of [aSessionId("s1"), aSessionId("s2")]) pool.acquireLease(anId("b"), session, true);
		pool.cool(account(anId("a")), cooling(overrides), "gpt-5.4-spark");
		expect(crowdedFor({ served: anId("a"), patienceMs: 5 * HOUR_MS })).toEqual([]);
	});

	it.each([
		["is switched off besides", { enabled: false }],
		["needs a sign-in besides", { needsLogin: { reason: "revoked", at: NOW } }],
	])(
		"leaves no account out for the sake of one that %s, which its quota does not bring back",
		async (_name, fields) => {
			know(anId("b"), fiveHours(60), week(10));
			for (const session of [aSessionId("s1"), aSessionId("s2")]) pool.acquireLease(anId("b"), session, true);
			for (const name of [anId("a"), anId("c")]) pool.cool(account(name), cooling(), "gpt-5.5");
			const crowded = () => crowdedFor({ served: anId("a"), patienceMs: 5 * HOUR_MS });
			expect(crowded()).toEqual(["b"]);
			await accounts.patch(anId("a"), fields);
			expect(crowded()).toEqual([]);
		},
	);

	it("works without a session id", () => {
		pool.acquireLease(anId("b"), undefined, true);
		pool.releaseLease(undefined);
		expect([pool.active(), state.live.size, choose({ sessionId: undefined })]).toEqual(["b", 0, "a"]);
	});

	it("goes round the list, from the last choice of whatever process", () => {
		set({ policy: "round-robin" });
		expect(["s1", "s2", "s3", "s4", "s5"].map(aSessionId).map(begin)).toEqual(["a", "b", "c", "a", "b"]);
		const other = anotherPool();
		expect(choose({ sessionId: aSessionId("x") }, other)).toBe("c");
	});

	it("goes round the list past accounts that cool, and is not moved on by a session that stays", () => {
		set({ policy: "round-robin" });
		expect(begin(aSessionId("s1"))).toBe("a");
		pool.cool(account(anId("b")), cooling(), "gpt-5.5");
		expect(begin(aSessionId("s2"))).toBe("c");
		pool.acquireLease(anId("a"), aSessionId("s1"), false);
		expect(choose({ sessionId: aSessionId("s1"), affinity: anId("a") })).toBe("a");
		expect(choose({ sessionId: aSessionId("s3") })).toBe("a");
		clock.at += HOUR_MS;
		expect(begin(aSessionId("s3"))).toBe("a");
		expect(begin(aSessionId("s4"))).toBe("b");
	});

	it("begins the list anew if the last choice is gone", () => {
		set({ policy: "round-robin" });
		state.chosenLast = anId("gone");
		expect(choose()).toBe("a");
	});

	it.each(["soonest-reset", "most-headroom", "in-order", "round-robin"] as const)(
		"is by %s only if neither a pin nor the session's own account decides",
		async (policy) => {
			set({ policy });
			know(anId("a"), fiveHours(0), week(0));
			know(anId("b"), fiveHours(60), week(60));
			know(anId("c"), fiveHours(90), week(90));
			expect(choose({ affinity: anId("c") })).toBe("c");
			await pool.pin(anId("b"));
			expect(choose({ affinity: anId("c") })).toBe("b");
			pool.cool(account(anId("b")), cooling(), "gpt-5.5");
			expect(choose({ affinity: anId("c") })).toBe("c");
			expect(pool.pinned()).toBe("b");
			clock.at += HOUR_MS;
			expect(choose({ affinity: anId("c") })).toBe("b");
		},
	);

	it("follows the settings at once", () => {
		know(anId("a"), fiveHours(70), week(70, 6 * DAY_MS));
		know(anId("b"), fiveHours(50), week(50, DAY_MS));
		know(anId("c"), fiveHours(10), week(10, 5 * DAY_MS));
		expect(choose()).toBe("b");
		set({ policy: "most-headroom" });
		expect(choose()).toBe("c");
		set({ policy: "in-order" });
		expect(choose()).toBe("a");
	});

	it("leaves a reserve alone while another account has room, and breaks into it rather than fail", () => {
		set({ policy: "in-order", reserve: { "5h": 0, "7d": 20 } });
		know(anId("a"), week(85));
		know(anId("b"), week(79));
		know(anId("c"), week(90));
		expect(choose()).toBe("b");
		expect(choose({ affinity: anId("a") })).toBe("a");
		expect(choose({ tried: new Set([anId("b")]) })).toBe("a");
		set({ reserve: { "5h": 0, "7d": 0 } });
		expect(choose()).toBe("a");
	});

	it("can be explained: each account's rank, or what keeps it out, in the order in which they are tried", async () => {
		open(
			anAccount("a"),
			anAccount("b"),
			anAccount("off", { enabled: false }),
			anAccount("c"),
			anAccount("d"),
			anAccount("e"),
		);
		set({ policy: "in-order", reserve: { "7d": 20 } });
		know(anId("a"), week(85));
		know(anId("b"), week(50, 5 * DAY_MS));
		know(anId("e"), week(50, DAY_MS));
		pool.cool(account(anId("c")), cooling(), "gpt-5.5");
		const verdicts = rowsOf(planFor({ affinity: anId("d") }));
		expect(verdicts.map(({ account: { id }, rank, gate }) => [id, rank, gate?.kind])).toEqual([
			["d", 1, undefined],
			["b", 2, undefined],
			["e", 3, undefined],
			["a", 4, "reserve"],
			["off", undefined, "disabled"],
			["c", undefined, "cooling"],
		]);
		expect(choose({ affinity: anId("d") })).toBe(verdicts[0]?.account.id);
	});
});

describe("a cooldown", () => {
	it("takes an account out for every model, and is written at once", () => {
		pool.cool(account(anId("a")), cooling(), "gpt-5.5");
		expect([choose(), choose({ modelId: "gpt-6" })]).toEqual(["b", "b"]);
		expect(pool.state(account(anId("a")))).toBe("cooling");
		expect(backAt(anId("a"))).toBe(NOW + HOUR_MS);
		expect([state.written, state.writtenSoon]).toEqual([["a"], []]);
		expect(typesTold()).toContain("changed");
	});

	it("a cooldown of one model takes out no other", () => {
		pool.cool(account(anId("a")), cooling({ scope: "model:gpt-5.5" }), "gpt-5.5");
		expect([choose(), choose({ modelId: "gpt-6" })]).toEqual(["b", "a"]);
		expect(pool.state(account(anId("a")))).toBe("ready");
	});

	it("a cooldown of one limit takes out the models that were refused on it", () => {
		pool.cool(account(anId("a")), cooling({ scope: "limit:codex_bengalfox" }), "spark");
		expect([choose({ modelId: "spark" }), choose()]).toEqual(["b", "a"]);
		pool.cool(account(anId("a")), cooling({ scope: "limit:codex_bengalfox" }), "spark-2");
		expect([choose({ modelId: "spark" }), choose({ modelId: "spark-2" }), choose()]).toEqual(["b", "b", "a"]);
	});

	it("a cooldown of a workspace ends for the other seats once one of them is reported to have quota again", () => {
		open(
			anAccount("a", { workspaceId: aWorkspaceId("team") }),
			anAccount("b", { workspaceId: aWorkspaceId("team") }),
			anAccount("c"),
		);
		pool.cool(account(anId("a")), cooling({ covers: "workspace", reason: "workspace_limit" }), "gpt-5.5");
		clock.at = NOW + 2 * MINUTE_MS;
		const reported = (usedPercent: number) =>
			aSnapshot({
				source: "api",
				capturedAt: clock.at,
				windows: [{ usedPercent, windowMinutes: 300, resetsAt: NOW + HOUR_MS }],
			});
		pool.noteUsage(anId("a"), reported(100));
		expect(state.status(anId("b")).cooldowns).toMatchObject([{ shared: true }]);
		pool.noteUsage(anId("a"), reported(10));
		expect(state.status(anId("b")).cooldowns).toEqual([]);
	});

	it("a cooldown of a workspace takes out every seat of it, and no other account", () => {
		open(
			anAccount("a", { workspaceId: aWorkspaceId("team") }),
			anAccount("b", { workspaceId: aWorkspaceId("team") }),
			anAccount("c"),
		);
		pool.cool(account(anId("a")), cooling({ covers: "workspace", reason: "workspace_limit" }), "gpt-5.5");
		expect([pool.state(account(anId("a"))), pool.state(account(anId("b"))), pool.state(account(anId("c")))]).toEqual([
			"cooling",
			"cooling",
			"ready",
		]);
	});

	it("is never shortened by a shorter one, of this or another process", () => {
		const other = anotherPool();
		pool.cool(account(anId("a")), cooling({ until: NOW + 5 * DAY_MS }), "gpt-5.5");
		other.cool(account(anId("a")), cooling({ reason: "rate_limit", until: NOW + 30_000 }), "gpt-5.5");
		expect(backAt(anId("a"))).toBe(NOW + 5 * DAY_MS);
	});

	it("ends when the person says so", async () => {
		pool.cool(account(anId("a")), cooling(), "gpt-5.5");
		await pool.clearCooldowns();
		expect(choose()).toBe("a");
	});
});

describe("an account that needs a person", () => {
	it("an account that needs a person is ready at no time", () => {
		open(
			anAccount("off", { enabled: false }),
			anAccount("out", { needsLogin: { reason: "revoked", at: NOW } }),
			anAccount("on"),
		);
		expect(["off", "out", "on"].map(anId).map((id) => backAt(id))).toEqual([undefined, undefined, NOW]);
		expect(choose()).toBe("on");
	});

	it("is switched off when the backend has closed it", () => {
		pool.close(account(anId("a")), "account_deactivated");
		expect(pool.account(anId("a"))).toMatchObject({ enabled: false, disabledReason: "account_deactivated" });
		expect(typesTold()).toContain("closed");
	});

	it("is switched off at the third refusal in a row, each after the rest of the one before", () => {
		for (const expected of [true, true, false]) {
			pool.strike(account(anId("a")), "its workspace is disabled");
			pool.cool(account(anId("a")), cooling({ reason: "workspace_disabled" }), "gpt-5.5");
			expect(account(anId("a")).enabled).toBe(expected);
			clock.at += 2 * HOUR_MS;
			state.statusById.set(anId("a"), { ...state.status(anId("a")), cooldowns: [] });
		}
	});

	it("is not switched off by many refusals of one moment, nor by those with an answer between them", () => {
		for (let time = 0; time < 5; time += 1) {
			pool.strike(account(anId("a")), "its workspace is disabled");
			pool.cool(account(anId("a")), cooling({ reason: "workspace_disabled" }), "gpt-5.5");
		}
		expect(account(anId("a")).enabled).toBe(true);
		for (let time = 0; time < 4; time += 1) {
			pool.strike(account(anId("b")), "its workspace is disabled");
			pool.served(anId("b"), false, true);
		}
		expect(account(anId("b")).enabled).toBe(true);
	});

	it("is flagged when its sign-in is over", () => {
		pool.signOut(account(anId("a")), "access-a", "unauthorized");
		expect(pool.account(anId("a"))).toMatchObject({ needsLogin: { reason: "unauthorized", at: NOW } });
		expect(pool.state(account(anId("a")))).toBe("needs-login");
		expect(typesTold()).toContain("signed-out");
	});

	it("is neither flagged nor reported for a token that it no longer has", () => {
		pool.signOut(account(anId("a")), "access-of-before", "unauthorized");
		expect(pool.account(anId("a"))?.needsLogin).toBeUndefined();
		expect(typesTold()).not.toContain("signed-out");
	});

	it("stays so in memory if the file cannot be written", async () => {
		accounts.isFull = true;
		pool.close(account(anId("a")), "closed");
		pool.signOut(account(anId("b")), "access-b", "gone");
		await new Promise((resolve) => setImmediate(resolve));
		expect(choose()).toBe("c");
	});
});

describe("usage", () => {
	const window = (usedPercent: number, windowMinutes = 300, resetsInMs = HOUR_MS): UsageWindow => ({
		usedPercent,
		windowMinutes,
		resetsAt: NOW + resetsInMs,
	});
	const week = (usedPercent: number, resetsInMs = 3 * DAY_MS) => window(usedPercent, 10080, resetsInMs);
	const note = (overrides: Partial<UsageSnapshot>, id = anId("a")) => pool.noteUsage(id, aSnapshot(overrides));

	it("has the history hear of figures that are newer than those known", () => {
		const heard: string[] = [];
		const history = {
			record: (id: AccountId, { windows }: UsageSnapshot) =>
				void heard.push(`${id} ${windows.map(({ usedPercent }) => usedPercent).join()}`),
		};
		const recorded = createPool({ accounts, state, clock, settings: () => DEFAULT_SETTINGS, history });
		const used = (usedPercent: number, capturedAt: number) =>
			recorded.noteUsage(anId("a"), aSnapshot({ capturedAt, windows: [{ windowMinutes: 300, usedPercent }] }));
		used(20, NOW);
		used(10, NOW - 1);
		used(30, NOW + 1);
		expect(heard).toEqual(["a 20", "a 30"]);
	});
	const coolingOf = (id = anId("a")) => state.status(id).cooldowns;

	it("is kept, the newer over the older, in whatever order it comes", () => {
		note({ capturedAt: NOW, windows: [window(20)] });
		note({ capturedAt: NOW - 1, windows: [window(10)] });
		expect(state.status(anId("a")).usage?.windows).toEqual([window(20)]);
		expect([state.written, state.writtenSoon.length]).toEqual([[], 2]);
		expect(typesTold()).toContain("changed");
	});

	it("usage from headers adds to what is known, usage from the endpoint replaces it", () => {
		note({
			source: "api",
			windows: [window(20), week(30)],
			plan: "pro",
			credits: { hasCredits: false, unlimited: false },
		});
		note({ capturedAt: NOW + 1, windows: [window(25)], limits: { spark: { windows: [week(1)] } } });
		expect(state.status(anId("a")).usage).toMatchObject({
			windows: [window(25), week(30)],
			plan: "pro",
			credits: { hasCredits: false },
			limits: { spark: {} },
		});
		note({ capturedAt: NOW + 2, source: "api", windows: [week(31)] });
		expect(state.status(anId("a")).usage?.windows).toEqual([week(31)]);
	});

	it("corrects the plan if the endpoint knows better than the token", () => {
		note({ plan: "pro" });
		expect(account(anId("a")).plan).toBe("plus");
		note({ source: "api", plan: "pro" });
		expect(account(anId("a")).plan).toBe("pro");
	});

	it.each(["headers", "api"] as const)("spent usage cools the account until the latest reset, by %s", (source) => {
		note({ source, windows: [window(100), week(100)] });
		expect(coolingOf()).toMatchObject([{ scope: "account", reason: "usage_limit", until: NOW + 3 * DAY_MS }]);
		expect(state.written).toEqual(["a"]);
		expect(choose()).toBe("b");
	});

	it("usage that is spent is written once", () => {
		note({ windows: [window(100)] });
		note({ windows: [window(100)], capturedAt: NOW + 1 });
		expect(state.written).toEqual(["a"]);
	});

	it("usage that is spent cools no account that runs on credits or is almost spent", () => {
		note({ windows: [window(100)], credits: { hasCredits: true, unlimited: false } });
		note({ windows: [window(100)], credits: { hasCredits: false, unlimited: true } }, anId("b"));
		note({ windows: [window(99.6)] }, anId("c"));
		expect(["a", "b", "c"].map(anId).map((id) => coolingOf(id))).toEqual([[], [], []]);
	});

	it("ends a quota cooldown early if the endpoint shows room in every window", () => {
		state.statusById.set(anId("a"), { cooldowns: [aCooldown({ until: NOW + 5 * DAY_MS })], strikes: 0 });
		note({ source: "api", capturedAt: NOW + MINUTE_MS, windows: [window(0), week(95)] });
		expect(coolingOf()).toEqual([]);
		expect(state.written).toEqual(["a"]);
	});

	it.each<[string, Partial<UsageSnapshot>]>([
		["less than 5 % are left of a window", { windows: [window(0), week(95.5)] }],
		["the server says that the limit is reached", { windows: [window(0)], limitReached: true }],
		["there is no window", { windows: [] }],
		["it is older than the cooldown", { windows: [window(0)], capturedAt: NOW - 1 }],
		["it comes so soon after the refusal that it may not know", { windows: [window(0)], capturedAt: NOW + 59_000 }],
		["headers name one window of several", { windows: [window(0)], source: "headers" }],
	])("ends no cooldown if %s", (_name, overrides) => {
		const cooldown = aCooldown({ until: NOW + 5 * DAY_MS });
		state.statusById.set(anId("a"), { cooldowns: [cooldown], strikes: 0 });
		note({ source: "api", capturedAt: NOW + MINUTE_MS, ...overrides });
		expect(coolingOf()).toEqual([cooldown]);
	});

	it("ends no cooldown of another reason", () => {
		const others = [
			aCooldown({ reason: "rate_limit" }),
			aCooldown({ scope: "model:gpt-5.5", reason: "model_not_supported" }),
		];
		state.statusById.set(anId("a"), { cooldowns: others, strikes: 0 });
		note({ source: "api", capturedAt: NOW + 1, windows: [window(0)] });
		expect(coolingOf()).toEqual(others);
	});

	it("corrects a guessed end in either direction", () => {
		state.statusById.set(anId("a"), { cooldowns: [aCooldown()], strikes: 0 });
		note({ source: "api", windows: [week(100)] });
		expect(coolingOf()).toMatchObject([{ until: NOW + 3 * DAY_MS }]);
		note({ source: "api", capturedAt: NOW + 1, windows: [week(100, DAY_MS)] });
		expect(coolingOf()).toMatchObject([{ until: NOW + DAY_MS }]);
	});

	it("usage of one limit ends the cooldown of that limit", () => {
		const spark = aCooldown({ scope: "limit:codex_bengalfox", models: ["spark"] });
		state.statusById.set(anId("a"), { cooldowns: [spark], strikes: 0 });
		note({ source: "api", windows: [window(50)] });
		expect(coolingOf()).toEqual([spark]);
		note({ source: "api", capturedAt: NOW + MINUTE_MS, limits: { codex_bengalfox: { windows: [week(10)] } } });
		expect(coolingOf()).toEqual([]);
	});

	const budget = (usedPercent: number, isReached = usedPercent >= 100) => ({
		...window(usedPercent, 43_200, 12 * DAY_MS),
		isReached,
	});
	const funded = { hasCredits: true, unlimited: false };

	it("usage that tells of a spent budget cools the account until its reset, whatever credits there are", () => {
		note({ source: "api", budgets: [budget(98)], credits: funded });
		expect([coolingOf(), choose()]).toEqual([[], "b"]);
		note({ source: "api", capturedAt: NOW + 1, budgets: [budget(100)], credits: funded });
		expect(coolingOf()).toMatchObject([{ scope: "account", reason: "usage_limit", until: NOW + 12 * DAY_MS }]);
		expect(pool.state(account(anId("a")))).toBe("cooling");
	});

	it.each<[string, Partial<UsageSnapshot>]>([
		["a budget that is reached", { budgets: [{ usedPercent: 100, windowMinutes: 43_200, isReached: true }] }],
		["a window that is spent", { windows: [{ usedPercent: 100, windowMinutes: 300 }] }],
		["no window at all, and the server's word", { limitReached: true }],
		["windows with room, and the server's word", { windows: [window(60)], limitReached: true }],
	])("usage without a told end rests the account until usage is asked again: %s", (_name, told) => {
		note({ source: "api", ...told });
		expect(coolingOf()).toMatchObject([{ until: NOW + 15 * MINUTE_MS }]);
		note({ source: "api", ...told, capturedAt: NOW + MINUTE_MS });
		expect(coolingOf()).toHaveLength(1);
		note({ source: "api", capturedAt: NOW + 2 * MINUTE_MS, windows: [window(10)] });
		expect(coolingOf()).toEqual([]);
	});

	it.each(["usage_limit", "workspace_limit"] as const)("ends or corrects a rest for %s by a budget", (reason) => {
		state.statusById.set(anId("a"), { cooldowns: [aCooldown({ reason })], strikes: 0 });
		note({ source: "api", budgets: [budget(100)] });
		expect(coolingOf()).toMatchObject([{ reason, until: NOW + 12 * DAY_MS }]);
		note({ source: "api", capturedAt: NOW + MINUTE_MS, budgets: [budget(40)] });
		expect(coolingOf()).toEqual([]);
	});

	it("ends the rest of a seat that has no limit but the credits of its plan", () => {
		const cooldowns = [aCooldown({ reason: "workspace_limit" })];
		state.statusById.set(anId("a"), { cooldowns, strikes: 0 });
		note({ source: "api", capturedAt: NOW + MINUTE_MS, credits: { hasCredits: false, unlimited: false } });
		expect(coolingOf()).toEqual(cooldowns);
		note({ source: "api", capturedAt: NOW + 2 * MINUTE_MS, credits: funded });
		expect([coolingOf(), pool.state(account(anId("a")))]).toEqual([[], "ready"]);
	});

	it("usage of the endpoint keeps no further limit, budget or credits that it tells no more; headers keep them", () => {
		const limits = { spark: { windows: [week(1)] } };
		note({ source: "api", windows: [week(5)], limits, budgets: [budget(50)], credits: funded });
		note({ capturedAt: NOW + 1, windows: [week(6)], limits: { other: { windows: [week(2)] } } });
		expect(state.status(anId("a")).usage).toMatchObject({
			limits: { spark: {}, other: {} },
			budgets: [{}],
			credits: funded,
		});
		note({ source: "api", capturedAt: NOW + 2, windows: [week(7)] });
		expect(state.status(anId("a")).usage).toEqual(
			aSnapshot({ source: "api", capturedAt: NOW + 2, windows: [week(7)], credits: undefined, plan: undefined }),
		);
	});

	it("keeps no more than 50 further limits, however many headers name", () => {
		for (let at = 0; at < 120; at += 1) {
			note({ capturedAt: NOW + at, windows: [week(1)], limits: { [`limit-${at}`]: { windows: [week(1)] } } });
		}
		const kept = Object.keys(state.status(anId("a")).usage?.limits ?? {});
		expect([kept.length, kept[0]]).toEqual([50, "limit-119"]);
	});

	it("rests only the further limit that a refusal was for, although that did not name it", () => {
		const until = NOW + 3 * DAY_MS;
		const refusal = aCooldown({ until, models: ["spark"] });
		const limits = { spark: { windows: [week(100)] }, other: { windows: [week(100, DAY_MS)] } };
		for (const told of [{ windows: [week(97)] }, { windows: [week(20)], limitReached: true }, { limits: {} }]) {
			state.statusById.set(anId("a"), { cooldowns: [refusal], strikes: 0 });
			note({ source: "api", windows: [week(20)], limits, ...told });
			expect(coolingOf()).toMatchObject([{ scope: "account" }]);
		}
		state.statusById.set(anId("a"), { cooldowns: [refusal], strikes: 0 });
		note({ source: "api", windows: [week(20)], limits });
		expect(coolingOf()).toEqual([{ ...refusal, scope: "limit:spark" }]);
		expect(backAt(anId("a"), "gpt-5.5")).toBe(NOW);
		expect(backAt(anId("a"), "spark")).toBe(until);
	});

	it.each([
		["a flag", funded],
		["no limit to them", { hasCredits: false, unlimited: true }],
		["a balance", { ...funded, balance: "12.5" }],
		["a balance that is no number", { ...funded, balance: "lots" }],
	])("usage that is spent beside credits (%s) leaves the account to the sessions on it", (_name, credits) => {
		note({ source: "api", windows: [week(100)], credits });
		expect(coolingOf()).toEqual([]);
		expect([choose(), choose({ affinity: anId("a"), served: anId("a") })]).toEqual(["b", "b"]);
		for (const id of [anId("b"), anId("c")]) pool.noteUsage(id, aSnapshot({ windows: [week(100)] }));
		expect([choose(), choose({ served: anId("b") }), choose({ served: anId("a") })]).toEqual([
			undefined,
			undefined,
			"a",
		]);
		expect([pool.state(account(anId("a"))), backAt(anId("a"))]).toEqual(["cooling", NOW + 3 * DAY_MS]);
	});

	it.each([
		["the balance is 0", { ...funded, balance: "0" }],
		["the balance is 0.00", { ...funded, balance: " 0.00 " }],
		["the balance is negative", { ...funded, balance: "-3" }],
		["there are none", { hasCredits: false, unlimited: false, balance: "7" }],
	])("usage that is spent cools the account if %s", (_name, credits) => {
		note({ source: "api", windows: [week(100)], credits });
		expect(coolingOf()).toMatchObject([{ until: NOW + 3 * DAY_MS }]);
	});

	it("ends the rest of an account that has been given credits since, and of no other", () => {
		const cooldowns = [aCooldown({ until: NOW + 3 * DAY_MS })];
		state.statusById.set(anId("a"), { cooldowns, strikes: 0, usage: aSnapshot({ windows: [week(100)] }) });
		note({ source: "api", capturedAt: NOW + MINUTE_MS, windows: [week(100)], credits: funded });
		expect(coolingOf()).toEqual([]);
		// Refused although there are credits.
		state.statusById.set(anId("a"), { ...state.status(anId("a")), cooldowns });
		note({ source: "api", capturedAt: NOW + 2 * MINUTE_MS, windows: [week(100)], credits: funded });
		expect(coolingOf()).toEqual(cooldowns);
	});

	it("usage of an account that is gone does no harm", () => {
		expect(() => note({ windows: [window(100)], plan: "pro" }, anId("missing"))).not.toThrow();
	});
});

describe("events", () => {
	it("events reach every listener, whatever another one does, until it leaves", () => {
		const heard: string[] = [];
		pool.subscribe(() => {
			throw new Error("a stale session");
		});
		const leave = pool.subscribe(({ type }) => heard.push(type));
		pool.emit({ type: "changed" });
		leave();
		pool.emit({ type: "changed" });
		expect(heard).toEqual(["changed"]);
	});

	it("events tell of a listener's defect, and of none if that listener or a replaced session is at fault", () => {
		let thrown: Error = new TypeError("secret");
		const leave = pool.subscribe(() => {
			throw thrown;
		});
		pool.emit({ type: "changed" });
		thrown = new Error("a stale session");
		pool.emit({ type: "changed" });
		leave();
		expect(typesTold()).toEqual(["changed", "defect", "changed"]);
		expect(JSON.stringify(told)).not.toContain("secret");
	});

	it("events tell of an answer, and clear what went wrong before", () => {
		state.statusById.set(anId("a"), { cooldowns: [], strikes: 2, lastError: { text: "rate-limit", at: NOW } });
		pool.served(anId("a"), true, true);
		expect(state.status(anId("a"))).toMatchObject({ strikes: 0, lastUsedAt: NOW, lastError: undefined });
		expect(told.at(-1)).toEqual({ type: "served", account: "a", hasMoved: true, hasToldUsage: true });
	});

	it("events tell of another active account once", () => {
		pool.setActive(anId("a"));
		pool.setActive(anId("a"));
		expect([pool.active(), typesTold()]).toEqual(["a", ["changed"]]);
	});
});
