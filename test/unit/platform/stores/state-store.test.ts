import { chmodSync, rmSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { allSpent } from "../../../../src/core/credentials/spent-tokens.ts";
import type { AccountId, SessionId } from "../../../../src/core/ids.ts";
import { withLock } from "../../../../src/platform/files/lock.ts";
import { openStateStore } from "../../../../src/platform/stores/state-store.ts";
import {
	aClock,
	aCooldown,
	aSnapshot,
	DAY_MS,
	type FakeClock,
	HOUR_MS,
	MINUTE_MS,
	NOW,
	settled,
} from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { expectMode } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { hurryTimersOf } from "../../waits.ts";

const NAME = "codex-state.json";

const scratch = scratchForEach();
let problems: string[];
let clock: FakeClock;
let opened: { flush(): Promise<void> }[];
beforeEach(() => {
	opened = [];
	problems = [];
	clock = aClock();
});
afterEach(async () => {
	vi.useRealTimers();
	// A look alone may begin a write: it must not outlive its folder.
	await Promise.all(opened.map((store) => store.flush()));
});

function openStore(path = scratch.path(NAME)) {
	const told = problems;
	const store = openStateStore(path, (text) => told.push(text), clock.now);
	opened.push(store);
	return store;
}
const write = (accounts: Record<string, unknown>, more: Record<string, unknown> = {}) =>
	scratch.write(NAME, { version: 1, pin: null, accounts, ...more });
const nothing = { cooldowns: [], strikes: 0 };

describe("what is remembered of an account", () => {
	it("is not read again if another process has changed that of another account alone", async () => {
		const [one, other] = [openStore(), openStore()];
		for (const id of [anId("a"), anId("b")]) await other.update(id, (status) => ({ ...status, usage: aSnapshot() }));
		const before = one.status(anId("a")).usage;
		await other.update(anId("b"), (status) => ({ ...status, strikes: 1 }));

		expect(one.status(anId("b")).strikes).toBe(1);
		expect(before).toEqual(aSnapshot());
		expect(one.status(anId("a")).usage).toBe(before);
	});

	it("is nothing before anything has happened", () => {
		const state = openStore();
		expect(state.status(anId("a"))).toEqual(nothing);
		expect(state.pin()).toBeUndefined();
		expect(scratch.names()).toEqual([]);
	});

	it("is seen by another process at its next look, and after a restart", async () => {
		const [one, other] = [openStore(), openStore()];
		const usage = aSnapshot({
			windows: [{ usedPercent: 27.5, windowMinutes: 300, resetsAt: NOW + HOUR_MS }],
			limits: {
				codex_bengalfox: { name: "Spark", windows: [{ usedPercent: 100, windowMinutes: 10080 }], models: ["spark"] },
			},
			budgets: [
				{ usedPercent: 98, windowMinutes: 43_200, resetsAt: NOW + HOUR_MS, isReached: false, used: 490, limit: 500 },
			],
			credits: { hasCredits: true, unlimited: false, balance: "12.50" },
			plan: "pro",
		});
		const status = {
			cooldowns: [
				aCooldown({ scope: "limit:codex_bengalfox", models: ["gpt-5.3-codex-spark"] }),
				aCooldown({ except: ["spark"] }),
			],
			usage,
			usageAskedAt: NOW,
			usageFailures: 3,
			lastUsedAt: NOW - 1,
			lastError: { text: "rate-limit", at: NOW },
			usageError: { text: "503", at: NOW },
			strikes: 2,
			exchange: { tokenHash: "abc", at: NOW },
			trialAt: NOW - 2,
		};
		await one.update(anId("a"), () => status);
		expect(other.status(anId("a"))).toEqual(status);
		expect(openStore().status(anId("a"))).toEqual(status);
		expectMode(scratch.path(NAME), 0o600);
	});

	it("is read part by part, by the bounds of today: odd figures are lost alone", () => {
		const odd = [
			{ usedPercent: 1e308, windowMinutes: 300 },
			{ usedPercent: -1, windowMinutes: 300 },
			{ usedPercent: 5, windowMinutes: 1e9 },
			{ usedPercent: 5 },
			"soon",
		];
		const week = { usedPercent: 20, windowMinutes: 10_080, resetsAt: NOW + 367 * 24 * HOUR_MS };
		const past = { usedPercent: 100, windowMinutes: 300, resetsAt: NOW - 48 * HOUR_MS };
		const limits = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`limit-${at}`, { windows: [past] }]));
		const usage = {
			capturedAt: NOW,
			source: "api",
			plan: "p".repeat(500),
			windows: [...odd, week, past],
			budgets: [{ ...past, isReached: "yes", used: -5, limit: 9 }, ...odd],
			limits: { odd: 7, ...limits },
			credits: { hasCredits: true, unlimited: false, balance: 12 },
			limitReached: "maybe",
		};
		write({ a: { usage } });
		const read = openStore().status(anId("a")).usage;
		expect(read).toMatchObject({ plan: "p".repeat(80), limitReached: false, credits: { hasCredits: true } });
		expect(read?.windows).toEqual([{ ...week, resetsAt: undefined }, past]);
		expect(read?.budgets).toEqual([{ ...past, isReached: false, used: undefined, limit: 9 }]);
		expect(Object.keys(read?.limits ?? {})).toHaveLength(50);
		expect(read?.limits["limit-0"]).toEqual({ name: undefined, windows: [past] });
	});

	it("is merged if two processes write of it at once", async () => {
		const [one, other] = [openStore(), openStore()];
		await Promise.all([
			one.update(anId("a"), (status) => ({ ...status, strikes: status.strikes + 1 })),
			other.update(anId("a"), (status) => ({ ...status, lastUsedAt: NOW })),
			other.update(anId("b"), (status) => ({ ...status, strikes: 1 })),
			one.update(anId("a"), (status) => ({ ...status, strikes: status.strikes + 1 })),
		]);
		expect(openStore().status(anId("a"))).toMatchObject({ strikes: 2, lastUsedAt: NOW });
		expect(openStore().status(anId("b"))).toMatchObject({ strikes: 1 });
	});

	it("is dropped if a change says undefined", async () => {
		const state = openStore();
		await state.update(anId("a"), (status) => ({ ...status, exchange: { tokenHash: "abc", at: NOW } }));
		await state.update(anId("a"), (status) => ({ ...status, exchange: undefined }));
		expect(scratch.json(NAME)).toMatchObject({ accounts: { a: { cooldowns: [], strikes: 0 } } });
		expect(scratch.text(NAME)).not.toContain("exchange");
	});

	it("is written in the background if no process needs it at once", async () => {
		const state = openStore();
		state.updateSoon(anId("a"), (status) => ({ ...status, lastUsedAt: NOW }));
		expect(state.status(anId("a"))).toMatchObject({ lastUsedAt: NOW });
		expect(scratch.names()).toEqual([]);
		await state.flush();
		expect(openStore().status(anId("a"))).toMatchObject({ lastUsedAt: NOW });
	});

	it("what is remembered is forgotten with its pin", async () => {
		const state = openStore();
		await state.update(anId("a"), (status) => ({ ...status, strikes: 1 }));
		await state.setPin(anId("a"));
		await state.forget(anId("b"));
		expect(state.pin()).toBe("a");
		await state.forget(anId("a"));
		expect([state.pin(), state.status(anId("a"))]).toEqual([undefined, nothing]);
	});

	it("is forgotten but for an exchange that is under way: its account may come back with that token", async () => {
		const state = openStore();
		const exchange = { tokenHash: "abc", at: NOW };
		await state.update(anId("a"), (status) => ({ ...status, strikes: 1, exchange }));
		await state.forget(anId("a"));
		expect(openStore().status(anId("a"))).toEqual({ ...nothing, exchange });
	});

	it("keeps the list of spent refresh tokens, of two processes and of accounts that left", async () => {
		const [one, other] = [openStore(), openStore()];
		const token = (tokenHash: string) => ({ tokenHash, reason: "refresh_token_reused" });
		const note = (state: typeof one, tokenHash: string) =>
			state.update(anId("a"), (status) => ({
				...status,
				strikes: 1,
				spent: allSpent(status.spent, [token(tokenHash)]),
			}));
		await Promise.all([note(one, "one"), note(other, "other")]);
		await one.forget(anId("a"));
		expect(openStore().status(anId("a"))).toEqual({
			...nothing,
			spent: expect.arrayContaining(["one", "other"].map(token)),
		});
		await note(one, "more");
		await one.inherit(anId("b"), anId("a"));
		expect(openStore().status(anId("b")).spent).toEqual(expect.arrayContaining(["one", "other", "more"].map(token)));
	});

	it("is changed by one of two processes that try at once, on the newest state of the file", async () => {
		const [one, other] = [openStore(), openStore()];
		expect([one.status(anId("a")), other.status(anId("a"))]).toEqual([nothing, nothing]);
		const claim = (state: typeof one, tokenHash: string) =>
			state.updateIf(
				anId("a"),
				({ exchange }) => exchange === undefined,
				(status) => ({ ...status, exchange: { tokenHash, at: NOW } }),
			);
		const claims = await Promise.all([claim(one, "one"), claim(other, "other")]);
		expect([...claims].sort()).toEqual([false, true]);
		const tokenHash = claims[0] ? "one" : "other";
		for (const state of [one, other, openStore()])
			expect(state.status(anId("a")).exchange).toEqual({ tokenHash, at: NOW });
		expect(await claim(one, "late")).toBe(false);
	});

	it("is judged on the file as it was before the change, however often others look while it is written", async () => {
		const state = openStore();
		await state.setPin(undefined);
		for (let time = 0; time < 3; time += 1) {
			let isOver = false;
			const claiming = state
				.updateIf(
					anId(`account-${time}`),
					({ usageAskedAt }) => usageAskedAt === undefined,
					(status) => ({ ...status, usageAskedAt: NOW }),
				)
				.finally(() => {
					isOver = true;
				});
			// As a footer that is drawn, or a request that chooses.
			while (!isOver) {
				state.status(anId(`account-${time}`));
				await settled();
			}
			expect([time, await claiming]).toEqual([time, true]);
		}
	});

	it("keeps what a newer pi-multicodex has added", async () => {
		write({ a: { strikes: 1, mood: "good" } }, { leases: { x: 1 } });
		await openStore().update(anId("a"), (status) => ({ ...status, strikes: 2 }));
		expect(scratch.json(NAME)).toMatchObject({ leases: { x: 1 }, accounts: { a: { strikes: 2, mood: "good" } } });
	});
});

it("the pin holds for all processes until it is taken away", async () => {
	const [one, other] = [openStore(), openStore()];
	await one.setPin(anId("b"), NOW + HOUR_MS);
	expect([other.pin(), other.pinnedBelowCapUntil()]).toEqual(["b", NOW + HOUR_MS]);
	await one.setPin(anId("a"));
	expect([other.pin(), other.pinnedBelowCapUntil()]).toEqual(["a", undefined]);
	await other.setPin(undefined);
	expect(one.pin()).toBeUndefined();
});

describe("a session at work", () => {
	const live = (state: ReturnType<typeof openStore>, except?: SessionId) =>
		Object.fromEntries(state.liveSessions(except));

	it("is counted on its account by every process, but not by itself", async () => {
		const [one, other] = [openStore(), openStore()];
		one.acquireLease(aSessionId("s1"), anId("a"), true);
		one.acquireLease(aSessionId("s2"), anId("a"), true);
		one.acquireLease(aSessionId("s3"), anId("b"), true);
		await one.flush();
		expect([live(other), live(other, aSessionId("s1")), live(other, aSessionId("s3"))]).toEqual([
			{ a: 2, b: 1 },
			{ a: 1, b: 1 },
			{ a: 2 },
		]);
		expect(live(openStore())).toEqual({ a: 2, b: 1 });
	});

	it("is counted where it is now, and nowhere else", async () => {
		const [one, other] = [openStore(), openStore()];
		one.acquireLease(aSessionId("s1"), anId("a"), true);
		one.acquireLease(aSessionId("s1"), anId("b"), true);
		await one.flush();
		expect([live(other), other.lastChosen()]).toEqual([{ b: 1 }, "b"]);
	});

	it("is known here at once, before anything is written, and waits for no lock", async () => {
		const state = openStore();
		state.acquireLease(aSessionId("s1"), anId("a"), true);
		expect([live(state), state.lastChosen(), scratch.names()]).toEqual([{ a: 1 }, "a", []]);
	});

	it("is written at once if that is news: it begins, it moves, it is back after a pause", async () => {
		const [one, other] = [openStore(), openStore()];
		// What is written behind waits for a timer.
		vi.useFakeTimers({ toFake: ["setTimeout"] });
		const arrives = async (what: string, account: AccountId) => {
			const began = performance.now();
			while (other.liveSessions(undefined).get(account) !== 1) {
				if (performance.now() - began > 20_000) throw new Error(`never happened: ${what}`);
				await settled();
			}
			await one.flush();
		};
		one.acquireLease(aSessionId("s1"), anId("a"), false);
		await arrives("a beginning", anId("a"));
		one.acquireLease(aSessionId("s1"), anId("b"), false);
		await arrives("a move", anId("b"));
		clock.at += 5 * MINUTE_MS;
		expect(live(other)).toEqual({});
		one.acquireLease(aSessionId("s1"), anId("b"), false);
		await arrives("a return", anId("b"));
		expect(other.lastChosen()).toBeUndefined();
	});

	it("a session that stays on its account is written once a minute at most", async () => {
		const state = openStore();
		state.acquireLease(aSessionId("s1"), anId("a"), true);
		await state.flush();
		const before = scratch.text(NAME);
		for (let turn = 0; turn < 5; turn += 1) {
			clock.at += 11_000;
			state.acquireLease(aSessionId("s1"), anId("a"), false);
		}
		await state.flush();
		expect(scratch.text(NAME)).toBe(before);
		clock.at += 5000;
		state.acquireLease(aSessionId("s1"), anId("a"), false);
		expect(scratch.text(NAME)).toBe(before);
		await state.flush();
		expect(scratch.json(NAME)).toMatchObject({ live: { s1: { account: "a", at: NOW + MINUTE_MS } } });
	});

	it("is not at work any more after five minutes without a request, and is swept out by the next one", async () => {
		const [one, other] = [openStore(), openStore()];
		one.acquireLease(aSessionId("s1"), anId("a"), true);
		await one.flush();
		clock.at += 5 * MINUTE_MS - 1;
		expect(live(other)).toEqual({ a: 1 });
		clock.at += 1;
		expect(live(other)).toEqual({});
		other.acquireLease(aSessionId("s2"), anId("b"), true);
		await other.flush();
		expect(Object.keys(Object(Object(scratch.json(NAME)).live))).toEqual(["s2"]);
	});

	it("goes on for as long as it asks", async () => {
		const [one, other] = [openStore(), openStore()];
		for (let minute = 0; minute < 20; minute += 1) {
			one.acquireLease(aSessionId("s1"), anId("a"), minute === 0);
			await one.flush();
			expect(live(other)).toEqual({ a: 1 });
			clock.at += MINUTE_MS;
		}
	});

	it("a session at work is not at work for hours if a clock was set back", async () => {
		const state = openStore();
		state.acquireLease(aSessionId("s1"), anId("a"), true);
		await state.flush();
		clock.at = NOW - HOUR_MS;
		expect(live(state)).toEqual({});
		state.acquireLease(aSessionId("s1"), anId("a"), false);
		await state.flush();
		expect(live(openStore())).toEqual({ a: 1 });
	});

	it("is over when it says so, for every process after the next flush, and no other session is", async () => {
		const [one, other] = [openStore(), openStore()];
		one.acquireLease(aSessionId("s1"), anId("a"), true);
		one.acquireLease(aSessionId("s2"), anId("a"), true);
		await one.flush();
		one.releaseLease(aSessionId("s1"));
		one.releaseLease(aSessionId("never begun"));
		expect(live(one)).toEqual({ a: 1 });
		await one.flush();
		expect([live(other), live(other, aSessionId("s2"))]).toEqual([{ a: 1 }, {}]);
		expect(scratch.text(NAME)).not.toContain("s1");
	});

	it("two processes that write at once lose no session", async () => {
		const stores = [openStore(), openStore(), openStore(), openStore()];
		for (const [at, state] of stores.entries()) state.acquireLease(aSessionId(`s${at}`), anId("a"), true);
		await Promise.all(stores.map((state) => state.flush()));
		expect(live(openStore())).toEqual({ a: 4 });
	});

	it("is unknown to a state that was written before there were such", () => {
		write({ a: { strikes: 1 } });
		const state = openStore();
		expect([live(state), state.lastChosen(), state.status(anId("a")).strikes]).toEqual([{}, undefined, 1]);
		expect(problems).toEqual([]);
	});

	it.each([
		["all of them", { live: "many" }, {}],
		["a list", { live: [{ account: "a", at: NOW }] }, undefined],
		["the last choice", { live: { s1: { account: "a", at: NOW } }, lastChosen: 5 }, { a: 1 }],
		[
			"one of several",
			{ live: { s1: { account: "a", at: NOW }, s2: { account: "a" }, s3: 5, s4: { account: 7, at: NOW } } },
			{ a: 1 },
		],
	])("is read beside damaged parts, which fall back alone: %s", (_what, damage, counted) => {
		write({ b: { cooldowns: [aCooldown()], strikes: 2 } }, { pin: "b", ...damage });
		const state = openStore();
		if (counted) expect(live(state)).toEqual(counted);
		else expect(() => live(state)).not.toThrow();
		expect([state.pin(), state.status(anId("b")).strikes, state.lastChosen()]).toEqual(["b", 2, undefined]);
		expect(problems).toEqual([]);
	});

	it("keeps unknown keys of the file, of an account and of a session when it ends", async () => {
		write(
			{ a: { mood: "good" } },
			{ era: "new", live: { s0: { account: "a", at: NOW, request: "r1" } }, lastChosen: "a" },
		);
		const state = openStore();
		expect(live(state)).toEqual({ a: 1 });
		state.acquireLease(aSessionId("s1"), anId("b"), true);
		await state.flush();
		expect(scratch.json(NAME)).toMatchObject({
			era: "new",
			accounts: { a: { mood: "good" } },
			live: { s0: { account: "a", at: NOW, request: "r1" }, s1: { account: "b", at: NOW } },
			lastChosen: "b",
		});
	});

	it("is kept in memory if nothing can be written, and never a failure", async () => {
		scratch.write("folder", "a file where a folder should be");
		const state = openStore(scratch.path(`folder/${NAME}`));
		state.acquireLease(aSessionId("s1"), anId("a"), true);
		state.acquireLease(aSessionId("s2"), anId("a"), false);
		state.releaseLease(aSessionId("s2"));
		await state.flush();
		expect([live(state), state.lastChosen()]).toEqual([{ a: 1 }, "a"]);
	});

	it("a session that was written after its end is not at work", async () => {
		scratch.write("folder", "a file where a folder should be");
		const state = openStore(scratch.path(`folder/${NAME}`));
		state.acquireLease(aSessionId("s1"), anId("a"), true);
		await state.flush();
		clock.at += 10 * MINUTE_MS;
		rmSync(scratch.path("folder"));
		await state.flush();
		expect(live(openStore(scratch.path(`folder/${NAME}`)))).toEqual({});
	});

	it("is stored only by its id and the account's", async () => {
		const state = openStore();
		state.acquireLease(aSessionId("s1"), anId("a"), true);
		await state.flush();
		expect(Object(scratch.json(NAME)).live).toEqual({ s1: { account: "a", at: NOW } });
		expectMode(scratch.path(NAME), 0o600);
	});
});

describe("what cannot be true", () => {
	it("what cannot be true is no cooldown: one that has ended, or that is further off than 366 days", async () => {
		const real = aCooldown({ until: NOW + DAY_MS });
		write({
			a: { cooldowns: [aCooldown({ until: NOW }), real, aCooldown({ scope: "model:x", until: NOW + 400 * DAY_MS })] },
		});
		expect(openStore().status(anId("a")).cooldowns).toEqual([real]);
		clock.at = NOW + DAY_MS;
		expect(openStore().status(anId("a")).cooldowns).toEqual([]);
	});

	it("what cannot be true is no snapshot: one from the future, beyond what clocks may differ by", () => {
		write({
			a: { usage: aSnapshot({ capturedAt: NOW + 2 * MINUTE_MS }) },
			b: { usage: aSnapshot({ capturedAt: NOW + 30_000 }) },
		});
		expect(openStore().status(anId("a")).usage).toBeUndefined();
		expect(openStore().status(anId("b")).usage).toMatchObject({ capturedAt: NOW + 30_000 });
	});
});

const RESERVE_MODEL = { limitId: "base_model_inference", wireModel: "gpt-reserve", visibleModel: "gpt-6-luna" };

it("keeps the reserve model, the reset credits and a limit on spending credits over a restart", async () => {
	const usage = aSnapshot({
		reserveModel: { ...RESERVE_MODEL, windows: [{ usedPercent: 60, windowMinutes: 10_080 }], isReached: true },
		resetCredits: 2,
		credits: { hasCredits: false, unlimited: false, balance: "5", overageReached: true },
	});
	const state = openStore();
	await state.update(anId("a"), (status) => ({ ...status, usage }));
	expect(openStore().status(anId("a")).usage).toEqual(usage);
});

describe("a damaged part", () => {
	const cooldown = aCooldown();

	it.each([
		["usage", { usage: "lots" }],
		["a usage window", { usage: { ...aSnapshot(), windows: [{ usedPercent: "27" }] } }],
		["the last error", { lastError: "bad", usageError: "bad" }],
		["strikes", { strikes: -1 }],
		["an exchange", { exchange: { tokenHash: 5 } }],
		["failed calls for usage", { usageFailures: -1 }],
		["a time", { usageAskedAt: "now", lastUsedAt: null }],
	])("falls back alone: %s", (_name, damage) => {
		write({ a: { cooldowns: [cooldown], ...damage } });
		expect(openStore().status(anId("a"))).toMatchObject({ cooldowns: [cooldown], strikes: 0 });
		expect(problems).toEqual([]);
	});

	it("falls back alone: one of several cooldowns", () => {
		const odd = [{ ...cooldown, scope: "planet" }, { ...cooldown, reason: "mood" }, { ...cooldown, until: null }, 5];
		write({ a: { cooldowns: [...odd, cooldown], strikes: 2 } });
		expect(openStore().status(anId("a"))).toMatchObject({ cooldowns: [cooldown], strikes: 2 });
	});

	it("falls back alone: all cooldowns at once", () => {
		write({ a: { cooldowns: "none", strikes: 2, lastUsedAt: NOW } });
		expect(openStore().status(anId("a"))).toMatchObject({ cooldowns: [], strikes: 2, lastUsedAt: NOW });
	});

	it("falls back alone: the limits, the credits and the plan of a snapshot", () => {
		write({ a: { usage: { ...aSnapshot(), limits: 5, credits: "many", plan: 7, limitReached: "no" } } });
		expect(openStore().status(anId("a")).usage).toMatchObject({ capturedAt: NOW, limits: {}, limitReached: false });
	});

	it("falls back alone: the reserve model, and the number of reset credits", () => {
		write({ a: { usage: { ...aSnapshot(), reserveModel: { limitId: 5 }, resetCredits: "two" } } });
		expect(openStore().status(anId("a")).usage).toMatchObject({ capturedAt: NOW, limits: {} });
		expect(openStore().status(anId("a")).usage).not.toMatchObject({ reserveModel: expect.anything() });
		expect(openStore().status(anId("a")).usage).not.toMatchObject({ resetCredits: expect.anything() });
	});

	it("falls back alone: a window of the reserve model", () => {
		const windows = [{ usedPercent: 1e9, windowMinutes: 300 }, { usedPercent: 20, windowMinutes: 10_080 }, 5];
		write({ a: { usage: { ...aSnapshot(), reserveModel: { ...RESERVE_MODEL, windows } } } });
		const kept = { ...RESERVE_MODEL, windows: [{ usedPercent: 20, windowMinutes: 10_080 }] };
		expect(openStore().status(anId("a")).usage?.reserveModel).toEqual(kept);
	});

	it("falls back alone: the pin", () => {
		write({ a: { cooldowns: [cooldown] } }, { pin: 5 });
		const state = openStore();
		expect([state.pin(), state.status(anId("a")).cooldowns]).toEqual([undefined, [cooldown]]);
	});

	it.each([[null], [5], ["x"], [[]]])("falls back alone: one account of several (%j)", (damage) => {
		write({ a: { cooldowns: [cooldown] }, b: damage });
		const state = openStore();
		expect(state.status(anId("a")).cooldowns).toEqual([cooldown]);
		expect(state.status(anId("b")).cooldowns).toEqual([]);
	});

	it("is set aside as a whole if nothing can be read, and reported", async () => {
		hurryTimersOf(500);
		scratch.write(NAME, '{"version":1,"pin":');
		const state = openStore();
		expect(state.status(anId("a"))).toEqual(nothing);
		await state.setPin(anId("a"));
		expect(scratch.names(`${NAME}.corrupt-`)).toHaveLength(1);
		expect(problems).toHaveLength(1);
		expect(openStore().pin()).toBe("a");
	});
});

describe("ending cooldowns", () => {
	it("ends them all, with the strikes, and nothing else", async () => {
		const state = openStore();
		for (const id of [anId("a"), anId("b")]) {
			await state.update(id, (status) => ({ ...status, cooldowns: [aCooldown()], strikes: 2, lastUsedAt: NOW }));
		}
		await state.setPin(anId("a"));
		await state.clearCooldowns();
		for (const id of [anId("a"), anId("b")])
			expect(openStore().status(id)).toEqual({ cooldowns: [], strikes: 0, lastUsedAt: NOW });
		expect(openStore().pin()).toBe("a");
	});

	it("leaves them as they are in another reading of the file", async () => {
		write({ a: { cooldowns: [aCooldown()], strikes: 2 } });
		const [one, other] = [openStore(), openStore(scratch.path("copy.json"))];
		scratch.write("copy.json", scratch.text(NAME));
		expect([one, other].map((each) => each.status(anId("a")).strikes)).toEqual([2, 2]);
		await one.clearCooldowns();
		expect(other.status(anId("a"))).toMatchObject({ cooldowns: [aCooldown()], strikes: 2 });
	});

	it("ends those that another process has just set", async () => {
		const [one, other] = [openStore(), openStore()];
		await one.update(anId("a"), (status) => ({ ...status, cooldowns: [aCooldown()] }));
		await other.clearCooldowns();
		expect(one.status(anId("a")).cooldowns).toEqual([]);
	});
});

describe("a cooldown that is written after a reset, and was set before it", () => {
	const rest = aCooldown({ until: NOW + 5 * HOUR_MS });

	it.each(["at once", "behind"])("does not come back if it is written %s by another process", async (how) => {
		const [one, other] = [openStore(), openStore()];
		await other.update(anId("a"), (status) => ({ ...status, lastUsedAt: NOW - 1 }));
		one.status(anId("a"));
		const change = (status: ReturnType<typeof one.status>) => ({ ...status, cooldowns: [rest], lastUsedAt: NOW });
		if (how === "behind") {
			one.updateSoon(anId("a"), change);
			await other.clearCooldowns();
			await one.flush();
		} else {
			// The other process is quicker with the lock.
			await withLock(scratch.path(NAME), { waitMs: 0 }, async () => {
				void one.update(anId("a"), change);
				write({ a: { cooldowns: [], strikes: 0, lastUsedAt: NOW - 1 } }, { resets: 1 });
			});
			await one.flush();
		}
		const expected = { cooldowns: [], lastUsedAt: NOW };
		expect([one.status(anId("a")), openStore().status(anId("a"))]).toMatchObject([expected, expected]);
	});

	it("leaves those alone that were set since", async () => {
		const [one, other] = [openStore(), openStore()];
		one.updateSoon(anId("a"), (status) => ({ ...status, cooldowns: [rest] }));
		await other.clearCooldowns();
		const later = aCooldown({ until: NOW + HOUR_MS });
		await other.update(anId("a"), (status) => ({ ...status, cooldowns: [later] }));
		await one.flush();
		expect(openStore().status(anId("a")).cooldowns).toMatchObject([later]);
		await one.update(anId("a"), (status) => ({ ...status, cooldowns: [...status.cooldowns, rest] }));
		expect(openStore().status(anId("a")).cooldowns).toHaveLength(2);
	});
});

describe("a state file that cannot be written", () => {
	it("never rejects: the change is kept in memory and the failure reported once", async () => {
		scratch.write("folder", "a file where a folder should be");
		const state = openStore(scratch.path(`folder/${NAME}`));
		await state.update(anId("a"), (status) => ({ ...status, cooldowns: [aCooldown()] }));
		await state.setPin(anId("a"));
		await state.clearCooldowns();
		await state.forget(anId("b"));
		expect([state.pin(), state.status(anId("a")).cooldowns]).toEqual(["a", []]);
		// Every process is let through: no other process's claim can be seen.
		const change = (status: ReturnType<typeof state.status>) => ({ ...status, strikes: 7 });
		expect(await state.updateIf(anId("a"), ({ strikes }) => strikes === 0, change)).toBe(true);
		expect(await state.updateIf(anId("a"), ({ strikes }) => strikes === 0, change)).toBe(false);
		expect(problems).toHaveLength(1);
	});

	it("a state file of a newer version is left as it is", async () => {
		const bytes = '{"version":2,"accounts":[]}';
		scratch.write(NAME, bytes);
		const state = openStore();
		await state.update(anId("a"), (status) => ({ ...status, strikes: 1 }));
		await state.setPin(anId("a"));
		state.updateSoon(anId("a"), (status) => ({ ...status, lastUsedAt: NOW }));
		await state.flush();
		expect(scratch.text(NAME)).toBe(bytes);
		expect(problems).toHaveLength(1);
	});
});

/** A flush waits three seconds for a lock. */
async function flushHurriedly(store: ReturnType<typeof openStore>): Promise<void> {
	const endHurry = hurryTimersOf(3000);
	await store.flush();
	endHurry();
}

describe("changes that wait while a file cannot be written", () => {
	const ours = { tokenHash: "first", at: NOW, holder: { pid: 1, machine: "m" } };
	const theirs = { tokenHash: "second", at: NOW + 1, holder: { pid: 2, machine: "m" } };
	const redemption = { creditId: "credit", key: "key", at: NOW };

	/** A store whose changes since `before` have failed twice, so that they are one by now. */
	async function openWaiting(before: Record<string, unknown>, change: (store: ReturnType<typeof openStore>) => void) {
		write({ a: { ...nothing, ...before } });
		const store = openStore();
		store.status(anId("a"));
		await withLock(scratch.path(NAME), { waitMs: 0 }, async () => {
			change(store);
			store.updateSoon(anId("b"), (status) => ({ ...status, lastUsedAt: NOW }));
			await flushHurriedly(store);
		});
		return store;
	}

	it.each([
		{
			what: "taking back the note of an exchange",
			before: { exchange: ours },
			change: { exchange: undefined },
			since: { exchange: theirs },
		},
		{
			what: "letting time tell of an exchange",
			before: { exchange: ours },
			change: { exchange: { tokenHash: "first", at: NOW + 2 } },
			since: { exchange: theirs },
		},
		{
			what: "noting the end of a redemption",
			before: { redemption },
			change: { redemption: { ...redemption, end: "failed" } as const },
			since: { redemption: { ...redemption, key: "another key", at: NOW + 3 } },
		},
	])(
		"a waiting change leaves the later note of another process as a whole: $what",
		async ({ before, change, since }) => {
			const store = await openWaiting(before, (waiting) => {
				waiting.updateSoon(anId("a"), (status) => ({ ...status, ...change, lastUsedAt: NOW }));
			});
			write({ a: { ...nothing, ...since } });
			await store.flush();
			expect(openStore().status(anId("a"))).toEqual({ ...nothing, ...since, lastUsedAt: NOW });
		},
	);

	it("a waiting change leaves that note if the account was forgotten, with what is spent", async () => {
		const spent = [{ tokenHash: "first", reason: "refresh_token_reused" }];
		const store = await openWaiting({ strikes: 1 }, (waiting) => void waiting.forget(anId("a")));
		write({ a: { ...nothing, strikes: 1, exchange: theirs, spent } });
		await store.flush();
		expect(openStore().status(anId("a"))).toMatchObject({ exchange: theirs, spent });
	});

	it("a waiting change takes back its own note", async () => {
		const store = await openWaiting({ exchange: ours }, (waiting) => {
			waiting.updateSoon(anId("a"), (status) => ({ ...status, exchange: undefined }));
		});
		await store.flush();
		expect(openStore().status(anId("a")).exchange).toBeUndefined();
	});
});

describe("an account that is merged into another one", () => {
	it("leaves it its rests, its pin, its sessions, the newer usage, and the note of an exchange under way", async () => {
		const store = openStore();
		const exchange = { tokenHash: "hash", at: NOW };
		await store.update(anId("old"), () => ({
			cooldowns: [aCooldown({ until: NOW + HOUR_MS })],
			strikes: 0,
			usage: aSnapshot(),
		}));
		await store.update(anId("gone"), () => ({
			cooldowns: [aCooldown({ until: NOW + 2 * HOUR_MS }), aCooldown({ scope: "model:m" })],
			strikes: 1,
			usage: aSnapshot({ capturedAt: NOW - 1, limitReached: true }),
			exchange,
		}));
		await store.setPin(anId("gone"));
		store.acquireLease(aSessionId("session"), anId("gone"), true);
		await store.inherit(anId("old"), anId("gone"));
		const status = store.status(anId("old"));
		expect(status.cooldowns.map(({ scope, until }) => [scope, until])).toEqual([
			["account", NOW + 2 * HOUR_MS],
			["model:m", NOW + HOUR_MS],
		]);
		expect(status).toMatchObject({ usage: { capturedAt: NOW, limitReached: false }, exchange });
		expect([store.pin(), store.lastChosen(), store.liveSessions(undefined).get(anId("old"))]).toEqual([
			"old",
			"old",
			1,
		]);
		expect(store.status(anId("gone"))).toEqual({ cooldowns: [], strikes: 0, exchange });
	});

	it("an account without a status changes nothing else", async () => {
		const store = openStore();
		await store.update(anId("old"), () => ({ cooldowns: [aCooldown()], strikes: 2 }));
		await store.inherit(anId("old"), anId("gone"));
		expect(store.status(anId("old"))).toMatchObject({ cooldowns: [{ scope: "account" }], strikes: 2 });
	});
});

describe("a state file that is damaged in places", () => {
	const status = { cooldowns: [aCooldown()], strikes: 1 };

	it.each(["constructor", "toString", "__proto__"])(
		"knows nothing of an account or a session called %s",
		async (name) => {
			scratch.write(NAME, { version: 1, pin: null, accounts: { a: status } });
			const state = openStore();
			expect(state.status(anId(name))).toEqual({ cooldowns: [], strikes: 0 });
			state.releaseLease(aSessionId(name));
			state.acquireLease(aSessionId(name), anId("a"), true);
			await state.update(anId("a"), (former) => ({ ...former, strikes: 2 }));
			await state.forget(anId(name));
			// No document can have a member of that name.
			const live = name === "__proto__" ? undefined : 1;
			expect([state.status(anId("a")).strikes, state.liveSessions(undefined).get(anId("a"))]).toEqual([2, live]);
		},
	);

	it("keeps what is known of an account that is called as what every object has", async () => {
		const state = openStore();
		await state.update(anId("constructor"), (former) => ({ ...former, strikes: 2 }));
		expect(openStore().status(anId("constructor")).strikes).toBe(2);
	});

	it.each([["1"], [null], [undefined], ["one"], [[]]])("is read if its version is %j", (version) => {
		scratch.write(NAME, { version, pin: "a", accounts: { a: status } });
		const state = openStore();
		expect([state.pin(), state.status(anId("a")).strikes]).toEqual(["a", 1]);
	});

	it("loses a damaged account, window or limit by itself", () => {
		const window = { usedPercent: 5, windowMinutes: 300, resetsAt: NOW + HOUR_MS };
		const usage = {
			capturedAt: NOW,
			source: "elsewhere",
			windows: [window, { usedPercent: "much" }, null],
			limits: { good: { name: "g", windows: [window, 5] }, bad: 7 },
			credits: "none",
			limitReached: "no",
		};
		scratch.write(NAME, { version: 1, pin: 5, live: [], accounts: { a: { ...status, usage }, b: 5, c: status } });
		const state = openStore();
		expect(state.status(anId("a")).usage).toMatchObject({ windows: [window], limits: { good: { windows: [window] } } });
		expect(Object.keys(state.status(anId("a")).usage?.limits ?? {})).toEqual(["good"]);
		expect([state.status(anId("b")).strikes, state.status(anId("c")).strikes, state.pin()]).toEqual([0, 1, undefined]);
	});

	it("is begun anew if its accounts are none, and keeps the pin", async () => {
		scratch.write(NAME, { version: 1, pin: "a", accounts: [1, 2] });
		const state = openStore();
		await state.update(anId("a"), (former) => ({ ...former, strikes: 2 }));
		expect([
			openStore().pin(),
			openStore().status(anId("a")).strikes,
			scratch.names("codex-state.json.corrupt"),
		]).toEqual(["a", 2, []]);
	});
});

it("unwritten changes are made anew a few times only, and shorten no cooldown of another process", async () => {
	scratch.write(NAME, { version: 99 });
	const state = openStore();
	let calls = 0;
	for (let at = 0; at < 500; at += 1) {
		void state.update(anId("a"), (former) => {
			calls += 1;
			return { ...former, strikes: former.strikes + 1, cooldowns: [aCooldown({ until: NOW + HOUR_MS })] };
		});
	}
	await state.flush();
	calls = 0;
	const longer = aCooldown({ until: NOW + DAY_MS });
	scratch.write(NAME, {
		version: 1,
		pin: null,
		lastChosen: null,
		live: {},
		accounts: { a: { cooldowns: [longer], strikes: 0 } },
	});
	expect(state.status(anId("a"))).toMatchObject({ strikes: 500, cooldowns: [{ until: NOW + DAY_MS }] });
	expect(calls).toBeLessThan(10);
	await state.flush();
	expect(openStore().status(anId("a"))).toMatchObject({ strikes: 500, cooldowns: [{ until: NOW + DAY_MS }] });
});

describe("what the person has said yes to beforehand", () => {
	it("holds in every process, and ends in every process", async () => {
		const [one, other] = [openStore(), openStore()];
		await Promise.all([one.giveConsent("credits", NOW + 1), other.giveConsent("reserve-model", NOW + 2)]);
		const both = [
			["credits", NOW + 1],
			["reserve-model", NOW + 2],
		];
		expect([...one.consents()].sort()).toEqual(both);
		expect([...openStore().consents()].sort()).toEqual(both);
		await other.endConsents();
		expect([...one.consents()]).toEqual([]);
		expect(scratch.json(NAME)).not.toHaveProperty("consents");
	});

	it("is nothing in a file without it, which stays as it is", async () => {
		write({});
		const state = openStore();
		expect([...state.consents()]).toEqual([]);
		await state.setPin(anId("aaaaaaaaaaaa"));
		expect(scratch.json(NAME)).not.toHaveProperty("consents");
	});

	it("loses a damaged part alone", () => {
		write({}, { consents: { credits: "always", "reserve-model": NOW } });
		expect([...openStore().consents()]).toEqual([["reserve-model", NOW]]);
	});
});

describe("news that one process passes on", () => {
	const claim = { until: NOW + HOUR_MS, slackMs: MINUTE_MS };

	it("goes to one of the processes that find it at once, and to none afterwards", async () => {
		const stores = Array.from({ length: 4 }, openStore);
		const claims = await Promise.all(stores.map((store) => store.claimNotice("dry", claim)));
		expect(claims.filter(Boolean)).toHaveLength(1);
		expect(await openStore().claimNotice("dry", { ...claim, until: claim.until + MINUTE_MS })).toBe(false);
		expect(await openStore().claimNotice("else", claim)).toBe(true);
	});

	it("is news again at a lower level, for a later time, and once its time is over", async () => {
		const [one, other] = [openStore(), openStore()];
		expect(await one.claimNotice("window", { ...claim, level: 25 })).toBe(true);
		expect(await other.claimNotice("window", { ...claim, level: 10 })).toBe(true);
		expect(await one.claimNotice("window", { ...claim, level: 25 })).toBe(false);
		const later = { ...claim, until: claim.until + 2 * MINUTE_MS };
		expect(await one.claimNotice("window", { ...later, level: 25 })).toBe(true);
		clock.at = later.until;
		expect(await other.claimNotice("window", { ...claim, level: 25 })).toBe(true);
	});

	it("is ended by one process, after which it is news again", async () => {
		const [one, other] = [openStore(), openStore()];
		expect(await one.endNotice("dry")).toBe(false);
		await one.claimNotice("dry", claim);
		const ends = await Promise.all([one.endNotice("dry"), other.endNotice("dry")]);
		expect([...ends].sort()).toEqual([false, true]);
		expect(await other.claimNotice("dry", claim)).toBe(true);
	});

	it("is forgotten with its time, and a damaged or absurd entry alone is lost", async () => {
		write(
			{},
			{ told: { old: { until: NOW - 1, level: 0 }, odd: "x", far: { until: 1e300 }, dry: { until: NOW + 9 } } },
		);
		const state = openStore();
		expect(await state.claimNotice("dry", { until: NOW + MINUTE_MS, slackMs: HOUR_MS })).toBe(false);
		expect(await state.claimNotice("far", claim)).toBe(true);
		expect(Object.keys((scratch.json(NAME) as { told: object }).told).sort()).toEqual(["dry", "far"]);
	});

	it("is decided by memory if nothing can be written", async () => {
		scratch.write(NAME, { version: 99 });
		const state = openStore();
		expect([await state.claimNotice("dry", claim), await state.claimNotice("dry", claim)]).toEqual([true, false]);
	});
});

describe("the first words in a home", () => {
	it("first words are for one of the processes that begin at once, and for none afterwards", async () => {
		const [one, other] = [openStore(), openStore()];
		const claims = await Promise.all([one.claimWelcome(), other.claimWelcome()]);
		expect([...claims].sort()).toEqual([false, true]);
		expect(await openStore().claimWelcome()).toBe(false);
		expect(scratch.json(NAME)).toMatchObject({ welcomedAt: NOW });
	});

	it("first words are due again after an account was there", async () => {
		const state = openStore();
		await state.claimWelcome();
		state.endWelcome();
		await state.flush();
		expect(scratch.json(NAME)).not.toHaveProperty("welcomedAt");
		expect(await openStore().claimWelcome()).toBe(true);
	});

	it("first words leave a home alone in which nothing was shown", async () => {
		const state = openStore();
		state.endWelcome();
		await state.flush();
		expect(scratch.names()).toEqual([]);
	});

	it.skipIf(process.getuid?.() === 0)(
		"first words are not said if that cannot be remembered, and nothing else is",
		async () => {
			chmodSync(scratch.path(""), 0o500);
			try {
				expect([await openStore().claimWelcome(), problems]).toEqual([false, []]);
			} finally {
				chmodSync(scratch.path(""), 0o700);
			}
		},
	);
});
