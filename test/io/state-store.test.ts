import { statSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openStateStore } from "../../src/io/state-store.ts";
import {
	aClock,
	aCooldown,
	aScratch,
	aSnapshot,
	DAY_MS,
	type FakeClock,
	HOUR_MS,
	MINUTE_MS,
	NOW,
	type Scratch,
} from "../support/fakes.ts";

const NAME = "codex-state.json";

let scratch: Scratch;
let problems: string[];
let clock: FakeClock;
let opened: { flush(): Promise<void> }[];
beforeEach(() => {
	opened = [];
	scratch = aScratch();
	problems = [];
	clock = aClock();
});
afterEach(async () => {
	// A look alone may begin a write: it must not outlive its folder.
	await Promise.all(opened.map((store) => store.flush()));
	scratch.remove();
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
	it("is nothing before anything has happened", () => {
		const state = openStore();
		expect(state.memo("a")).toEqual(nothing);
		expect(state.pin()).toBeUndefined();
		expect(scratch.names()).toEqual([]);
	});

	it("is seen by another process at its next look, and after a restart", async () => {
		const [one, other] = [openStore(), openStore()];
		const usage = aSnapshot({
			windows: [{ usedPercent: 27.5, windowMinutes: 300, resetsAt: NOW + HOUR_MS }],
			limits: { codex_bengalfox: { name: "Spark", windows: [{ usedPercent: 100, windowMinutes: 10080 }] } },
			credits: { hasCredits: true, unlimited: false, balance: "12.50" },
			plan: "pro",
		});
		const memo = {
			cooldowns: [aCooldown({ scope: "limit:codex_bengalfox", models: ["gpt-5.3-codex-spark"] })],
			usage,
			usageAskedAt: NOW,
			lastUsedAt: NOW - 1,
			lastError: { text: "rate-limit", at: NOW },
			strikes: 2,
			exchange: { tokenHash: "abc", at: NOW },
		};
		await one.update("a", () => memo);
		expect(other.memo("a")).toEqual(memo);
		expect(openStore().memo("a")).toEqual(memo);
		expect(statSync(scratch.path(NAME)).mode & 0o777).toBe(0o600);
	});

	it("is merged where two processes write of it at once", async () => {
		const [one, other] = [openStore(), openStore()];
		await Promise.all([
			one.update("a", (memo) => ({ ...memo, strikes: memo.strikes + 1 })),
			other.update("a", (memo) => ({ ...memo, lastUsedAt: NOW })),
			other.update("b", (memo) => ({ ...memo, strikes: 1 })),
			one.update("a", (memo) => ({ ...memo, strikes: memo.strikes + 1 })),
		]);
		expect(openStore().memo("a")).toMatchObject({ strikes: 2, lastUsedAt: NOW });
		expect(openStore().memo("b")).toMatchObject({ strikes: 1 });
	});

	it("is dropped where a change says undefined", async () => {
		const state = openStore();
		await state.update("a", (memo) => ({ ...memo, exchange: { tokenHash: "abc", at: NOW } }));
		await state.update("a", (memo) => ({ ...memo, exchange: undefined }));
		expect(scratch.json(NAME)).toMatchObject({ accounts: { a: { cooldowns: [], strikes: 0 } } });
		expect(scratch.text(NAME)).not.toContain("exchange");
	});

	it("is written behind where nobody needs it at once", async () => {
		const state = openStore();
		state.updateSoon("a", (memo) => ({ ...memo, lastUsedAt: NOW }));
		expect(state.memo("a")).toMatchObject({ lastUsedAt: NOW });
		expect(scratch.names()).toEqual([]);
		await state.flush();
		expect(openStore().memo("a")).toMatchObject({ lastUsedAt: NOW });
	});

	it("is forgotten with its pin", async () => {
		const state = openStore();
		await state.update("a", (memo) => ({ ...memo, strikes: 1 }));
		await state.setPin("a");
		await state.forget("b");
		expect(state.pin()).toBe("a");
		await state.forget("a");
		expect([state.pin(), state.memo("a")]).toEqual([undefined, nothing]);
	});

	it("keeps what a newer pi-multicodex has added", async () => {
		write({ a: { strikes: 1, mood: "good" } }, { leases: { x: 1 } });
		await openStore().update("a", (memo) => ({ ...memo, strikes: 2 }));
		expect(scratch.json(NAME)).toMatchObject({ leases: { x: 1 }, accounts: { a: { strikes: 2, mood: "good" } } });
	});
});

describe("the pin", () => {
	it("holds for all processes until it is taken away", async () => {
		const [one, other] = [openStore(), openStore()];
		await one.setPin("a");
		expect(other.pin()).toBe("a");
		await other.setPin(undefined);
		expect(one.pin()).toBeUndefined();
	});
});

describe("what cannot be true", () => {
	it("is no cooldown: one that has ended, or that is further off than 366 days", async () => {
		const real = aCooldown({ until: NOW + DAY_MS });
		write({
			a: { cooldowns: [aCooldown({ until: NOW }), real, aCooldown({ scope: "model:x", until: NOW + 400 * DAY_MS })] },
		});
		expect(openStore().memo("a").cooldowns).toEqual([real]);
		clock.at = NOW + DAY_MS;
		expect(openStore().memo("a").cooldowns).toEqual([]);
	});

	it("is no snapshot: one from the future, beyond what clocks may differ by", () => {
		write({
			a: { usage: aSnapshot({ capturedAt: NOW + 2 * MINUTE_MS }) },
			b: { usage: aSnapshot({ capturedAt: NOW + 30_000 }) },
		});
		expect(openStore().memo("a").usage).toBeUndefined();
		expect(openStore().memo("b").usage).toMatchObject({ capturedAt: NOW + 30_000 });
	});
});

describe("a damaged part", () => {
	const cooldown = aCooldown();

	it.each([
		["usage", { usage: "lots" }],
		["a usage window", { usage: { ...aSnapshot(), windows: [{ usedPercent: "27" }] } }],
		["the last error", { lastError: "bad" }],
		["strikes", { strikes: -1 }],
		["an exchange", { exchange: { tokenHash: 5 } }],
		["a time", { usageAskedAt: "now", lastUsedAt: null }],
	])("falls back alone: %s", (_name, damage) => {
		write({ a: { cooldowns: [cooldown], ...damage } });
		expect(openStore().memo("a")).toMatchObject({ cooldowns: [cooldown], strikes: 0 });
		expect(problems).toEqual([]);
	});

	it("falls back alone: one of several cooldowns", () => {
		const odd = [{ ...cooldown, scope: "planet" }, { ...cooldown, reason: "mood" }, { ...cooldown, until: null }, 5];
		write({ a: { cooldowns: [...odd, cooldown], strikes: 2 } });
		expect(openStore().memo("a")).toMatchObject({ cooldowns: [cooldown], strikes: 2 });
	});

	it("falls back alone: all cooldowns at once", () => {
		write({ a: { cooldowns: "none", strikes: 2, lastUsedAt: NOW } });
		expect(openStore().memo("a")).toMatchObject({ cooldowns: [], strikes: 2, lastUsedAt: NOW });
	});

	it("falls back alone: the limits, the credits and the plan of a snapshot", () => {
		write({ a: { usage: { ...aSnapshot(), limits: 5, credits: "many", plan: 7, limitReached: "no" } } });
		expect(openStore().memo("a").usage).toMatchObject({ capturedAt: NOW, limits: {}, limitReached: false });
	});

	it("falls back alone: the pin", () => {
		write({ a: { cooldowns: [cooldown] } }, { pin: 5 });
		const state = openStore();
		expect([state.pin(), state.memo("a").cooldowns]).toEqual([undefined, [cooldown]]);
	});

	it.each([[null], [5], ["x"], [[]]])("falls back alone: one account of several (%j)", (damage) => {
		write({ a: { cooldowns: [cooldown] }, b: damage });
		const state = openStore();
		expect(state.memo("a").cooldowns).toEqual([cooldown]);
		expect(state.memo("b").cooldowns).toEqual([]);
	});

	it("is set aside as a whole where nothing can be read, and told of", async () => {
		scratch.write(NAME, '{"version":1,"pin":');
		const state = openStore();
		expect(state.memo("a")).toEqual(nothing);
		await state.setPin("a");
		expect(scratch.names(`${NAME}.corrupt-`)).toHaveLength(1);
		expect(problems).toHaveLength(1);
		expect(openStore().pin()).toBe("a");
	});
});

describe("ending cooldowns", () => {
	it("ends them all, with the strikes, and nothing else", async () => {
		const state = openStore();
		for (const id of ["a", "b"]) {
			await state.update(id, (memo) => ({ ...memo, cooldowns: [aCooldown()], strikes: 2, lastUsedAt: NOW }));
		}
		await state.setPin("a");
		await state.clearCooldowns();
		for (const id of ["a", "b"]) expect(openStore().memo(id)).toEqual({ cooldowns: [], strikes: 0, lastUsedAt: NOW });
		expect(openStore().pin()).toBe("a");
	});

	it("ends those that another process has just set", async () => {
		const [one, other] = [openStore(), openStore()];
		await one.update("a", (memo) => ({ ...memo, cooldowns: [aCooldown()] }));
		await other.clearCooldowns();
		expect(one.memo("a").cooldowns).toEqual([]);
	});
});

describe("a state file that cannot be written", () => {
	it("never rejects: what happens is kept in memory and told of once", async () => {
		scratch.write("folder", "a file where a folder should be");
		const state = openStore(scratch.path(`folder/${NAME}`));
		await state.update("a", (memo) => ({ ...memo, cooldowns: [aCooldown()] }));
		await state.setPin("a");
		await state.clearCooldowns();
		await state.forget("b");
		expect([state.pin(), state.memo("a").cooldowns]).toEqual(["a", []]);
		expect(problems).toHaveLength(1);
	});

	it("of a newer version is left as it is", async () => {
		const bytes = '{"version":2,"accounts":[]}';
		scratch.write(NAME, bytes);
		const state = openStore();
		await state.update("a", (memo) => ({ ...memo, strikes: 1 }));
		await state.setPin("a");
		state.updateSoon("a", (memo) => ({ ...memo, lastUsedAt: NOW }));
		await state.flush();
		expect(scratch.text(NAME)).toBe(bytes);
		expect(problems).toHaveLength(1);
	});
});
