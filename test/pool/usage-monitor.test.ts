import { beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../src/domain/account.ts";
import type { UsageSnapshot } from "../../src/domain/usage.ts";
import { createPool, type Pool } from "../../src/pool/pool.ts";
import type { AccountMemo } from "../../src/pool/ports.ts";
import { createUsageMonitor, type UsageMonitor } from "../../src/pool/usage-monitor.ts";
import {
	aClock,
	aCooldown,
	anAccount,
	anAccountStore,
	aSnapshot,
	aStateStore,
	type FakeClock,
	type FakeStateStore,
	HOUR_MS,
	MINUTE_MS,
	NOW,
	settled,
} from "../support/fakes.ts";

const BASE = "http://127.0.0.1:1/backend-api";

let clock: FakeClock;
let state: FakeStateStore;
let pool: Pool;
let monitor: UsageMonitor;
let asked: { baseUrl: string; access: string; accountId: string }[];
let answer: (signal: AbortSignal) => Promise<UsageSnapshot>;
let tokens: Map<string, string | undefined>;

function open(memos: Record<string, Partial<AccountMemo>>, ...rows: Account[]): void {
	clock = aClock();
	state = aStateStore(memos);
	pool = createPool({ accounts: anAccountStore(...rows), state, clock });
	asked = [];
	answer = async () => aSnapshot({ source: "api", capturedAt: clock.now() });
	tokens = new Map();
	monitor = createUsageMonitor({
		pool,
		state,
		clock,
		credentials: {
			accessToken: () => Promise.reject(new Error("an exchange is begun for no such work")),
			currentToken: (id) => (tokens.has(id) ? tokens.get(id) : `access-${id}`),
			idle: async () => undefined,
		},
		usageApi: {
			fetch: async (request, signal) => {
				asked.push(request);
				return answer(signal);
			},
		},
	});
	monitor.setBaseUrl(BASE);
}
beforeEach(() => open({}, anAccount("a"), anAccount("b")));

const askedFor = () => asked.map(({ accountId }) => accountId);

describe("usage", () => {
	it("is asked for with the account's own token, and taken in", async () => {
		await monitor.ask("a");
		expect(asked).toEqual([{ baseUrl: BASE, access: "access-a", accountId: "acct-a" }]);
		expect(state.memo("a")).toMatchObject({ usage: { source: "api", capturedAt: NOW }, usageAskedAt: NOW });
	});

	it("is asked for once while an answer is under way", async () => {
		const finish: ((usage: UsageSnapshot) => void)[] = [];
		answer = () => new Promise((resolve) => finish.push(resolve));
		const all = [monitor.ask("a"), monitor.ask("a"), monitor.refreshStale()];
		await settled();
		expect(askedFor()).toEqual(["acct-a", "acct-b"]);
		for (const each of finish) each(aSnapshot());
		await Promise.all(all);
		answer = async () => aSnapshot();
		await monitor.ask("a");
		expect(askedFor()).toEqual(["acct-a", "acct-b", "acct-a"]);
	});

	it("is asked for nowhere until it is known where", async () => {
		monitor = createUsageMonitor({
			pool,
			state,
			clock,
			credentials: {
				accessToken: () => Promise.reject(new Error("no")),
				currentToken: () => "access",
				idle: async () => undefined,
			},
			usageApi: { fetch: () => Promise.reject(new Error("asked")) },
		});
		await monitor.refreshStale();
		await monitor.ask("a");
		expect(state.memo("a")).toEqual({ cooldowns: [], strikes: 0 });
	});

	it("is asked for with no token that is not good now", async () => {
		tokens.set("a", undefined);
		await monitor.ask("a");
		expect(asked).toEqual([]);
	});

	it("that cannot be had changes nothing else, and leaves the reason", async () => {
		const known = aSnapshot({ windows: [{ usedPercent: 10, windowMinutes: 300 }] });
		open({ a: { usage: known, cooldowns: [aCooldown()] } }, anAccount("a"));
		answer = () => Promise.reject(new Error("the usage service answered 503"));
		await expect(monitor.ask("a")).resolves.toBeUndefined();
		expect(state.memo("a")).toMatchObject({
			usage: known,
			cooldowns: [aCooldown()],
			lastError: { text: "the usage service answered 503", at: NOW },
		});
		expect(pool.account("a")).toMatchObject({ enabled: true, needsLogin: undefined });
	});
});

describe("the end of a session", () => {
	it("lets go of what is being asked, without a word of it, and the next one asks again", async () => {
		answer = (signal) =>
			new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
		const all = monitor.refreshStale();
		await settled();
		monitor.stop();
		await all;
		expect(state.memo("a").lastError).toBeUndefined();
		answer = async () => aSnapshot();
		await monitor.ask("a");
		expect(state.memo("a").usage).toBeDefined();
	});
});

describe("a refresh of what is stale", () => {
	const at = (ageMs: number, overrides: Partial<UsageSnapshot> = {}): Partial<AccountMemo> => ({
		usage: aSnapshot({ capturedAt: NOW - ageMs, ...overrides }),
	});
	const fresh = at(MINUTE_MS);

	it.each<[string, Partial<AccountMemo>, boolean]>([
		["nothing is known", {}, true],
		["it is younger than five minutes", at(5 * MINUTE_MS - 1), false],
		["it is five minutes old", at(5 * MINUTE_MS), true],
		[
			"a window was reset since",
			at(MINUTE_MS, { windows: [{ usedPercent: 9, windowMinutes: 300, resetsAt: NOW }] }),
			true,
		],
		["another process has just begun to ask", { ...at(HOUR_MS), usageAskedAt: NOW - 29_000 }, false],
		["another process began to ask half a minute ago", { ...at(HOUR_MS), usageAskedAt: NOW - 30_000 }, true],
		["the account cools, and it is ten minutes old", { ...at(10 * MINUTE_MS), cooldowns: [aCooldown()] }, false],
		["the account cools, and it is fifteen minutes old", { ...at(15 * MINUTE_MS), cooldowns: [aCooldown()] }, true],
		["a clock was set back", { ...at(-HOUR_MS), usageAskedAt: NOW + HOUR_MS }, false],
	])("asks where %s: %j %s", async (_name, memo, isAsked) => {
		open({ a: memo, b: fresh }, anAccount("a"), anAccount("b"));
		await monitor.refreshStale();
		expect(askedFor()).toEqual(isAsked ? ["acct-a"] : []);
	});

	it("asks for nobody who is switched off or must sign in", async () => {
		open({}, anAccount("a", { enabled: false }), anAccount("b", { needsLogin: { reason: "revoked", at: NOW } }));
		await monitor.refreshStale();
		expect(asked).toEqual([]);
	});

	it("asks for everybody, whatever comes of one", async () => {
		let calls = 0;
		answer = async () => {
			calls += 1;
			if (calls === 1) throw new Error("503");
			return aSnapshot();
		};
		await expect(monitor.refreshStale()).resolves.toBeUndefined();
		expect(askedFor()).toEqual(["acct-a", "acct-b"]);
		expect(state.memo("b").usage).toBeDefined();
	});
});
