import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { isReserveUnknown } from "../../../../src/core/beyond/reserve-model.ts";
import type { Caps } from "../../../../src/core/caps.ts";
import { createPool, type Pool } from "../../../../src/core/pool/pool.ts";
import { createUsageMonitor, type UsageMonitor } from "../../../../src/core/pool/usage-monitor.ts";
import type { AccountStatus, StateStore, UsageRequest } from "../../../../src/core/ports.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import type { UsageSnapshot } from "../../../../src/core/usage.ts";
import { openStateStore } from "../../../../src/platform/stores/state-store.ts";
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
	until,
} from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const BASE = "http://127.0.0.1:1/backend-api";

let isEnabled: boolean;
let caps: Caps;
let clock: FakeClock;
let state: FakeStateStore;
let pool: Pool;
let monitor: UsageMonitor;
let mayUseReserveModel: boolean;
let asked: UsageRequest[];
let answer: (signal: AbortSignal) => Promise<UsageSnapshot>;
let tokens: Map<string, string | undefined>;

function open(statusById: Record<string, Partial<AccountStatus>>, ...rows: Account[]): void {
	clock = aClock();
	state = aStateStore(statusById);
	caps = {};
	const settings = () => ({ ...DEFAULT_SETTINGS, caps });
	pool = createPool({ accounts: anAccountStore(...rows), state, clock, settings });
	asked = [];
	answer = async () => aSnapshot({ source: "api", capturedAt: clock.now() });
	tokens = new Map();
	monitor = createUsageMonitor({
		pool,
		state,
		clock,
		isEnabled: () => isEnabled,
		mayUseReserveModel: () => mayUseReserveModel,
		credentials: { currentToken: (id) => (tokens.has(id) ? tokens.get(id) : `access-${id}`) },
		usageApi: {
			fetch: async (request, signal) => {
				asked.push(request);
				return answer(signal);
			},
		},
	});
	monitor.setBaseUrl(BASE);
}
beforeEach(() => {
	isEnabled = true;
	mayUseReserveModel = true;
	open({}, anAccount("a"), anAccount("b"));
});

describe("a defect on the way to usage", () => {
	it("ends no pi, of whose calls most wait for nothing, and leaves a trace each time", async () => {
		const told: string[] = [];
		pool.subscribe((event) => told.push(event.type === "defect" ? event.where : event.type));
		const status = vi.spyOn(state, "status").mockImplementation(() => {
			throw new TypeError("secret");
		});
		const update = vi.spyOn(state, "updateSoon").mockImplementation(() => {
			throw new TypeError("secret");
		});
		await Promise.all([monitor.refreshStale(), monitor.follow(anId("a"), true), monitor.recheckCooling()]);
		await monitor.follow(anId("a"), false);
		expect(await monitor.ask(anId("a"))).toBe(false);
		expect(told).toEqual(Array.from({ length: 7 }, () => "usage"));
		status.mockRestore();
		update.mockRestore();
		expect(await monitor.ask(anId("a"))).toBe(true);
	});
});

const askedFor = () => asked.map(({ workspaceId }) => workspaceId);

describe("usage", () => {
	it("is asked for with the account's own token, and taken in", async () => {
		expect(await monitor.ask(anId("a"))).toBe(true);
		expect(asked).toEqual([{ baseUrl: BASE, access: "access-a", workspaceId: "acct-a" }]);
		expect(state.status(anId("a"))).toMatchObject({ usage: { source: "api", capturedAt: NOW }, usageAskedAt: NOW });
	});

	it("is asked for with the reserve model of a spent account, unless the person wants none", async () => {
		const spent = { a: { usage: aSnapshot({ windows: [{ usedPercent: 100, windowMinutes: 300 }] }) } };
		open({ ...spent, b: { cooldowns: [aCooldown()] } }, anAccount("a"), anAccount("b"), anAccount("c"));
		for (const id of [anId("a"), anId("b"), anId("c")]) await monitor.ask(id);
		expect(asked.map((request) => "withReserveModel" in request)).toEqual([true, true, false]);
		expect(["a", "b", "c"].map(anId).map((id) => state.status(id).reserveAskedAt)).toEqual([NOW, NOW, undefined]);
		open(spent, anAccount("a"));
		mayUseReserveModel = false;
		await monitor.ask(anId("a"));
		expect(asked).toEqual([{ baseUrl: BASE, access: "access-a", workspaceId: "acct-a" }]);
	});

	it("leaves the reserve model unknown until the call ends or fails, so that a request waits for it", async () => {
		const account = anAccount("a");
		const isUnknown = () => isReserveUnknown(account, state.status(anId("a")), clock.at);
		for (const fails of [false, true]) {
			open({ a: { cooldowns: [aCooldown()] } }, account);
			let end = (): void => undefined;
			answer = () =>
				new Promise((resolve, reject) => {
					end = () => (fails ? reject(new Error("503")) : resolve(aSnapshot({ source: "api", capturedAt: NOW })));
				});
			const asking = monitor.ask(anId("a"));
			await vi.waitFor(() => expect(asked).toMatchObject([{ withReserveModel: true }]));
			expect(isUnknown()).toBe(true);
			end();
			expect(await asking).toBe(!fails);
			expect(isUnknown()).toBe(false);
		}
	});

	it("is asked for with the reserve model once if the answer begins the cooldown", async () => {
		const account = anAccount("a");
		const windows = [{ usedPercent: 100, windowMinutes: 300, resetsAt: NOW + 3 * HOUR_MS }];
		open({ a: { usage: aSnapshot({ windows }) } }, account);
		answer = async () => {
			clock.at += 200;
			return aSnapshot({ source: "api", capturedAt: NOW, windows });
		};
		await monitor.ask(anId("a"));
		expect(state.status(anId("a")).cooldowns.map(({ setAt }) => setAt)).toContain(NOW + 200);
		expect(isReserveUnknown(account, state.status(anId("a")), clock.at)).toBe(false);
	});

	it("is asked for only by the person while everything is switched off", async () => {
		isEnabled = false;
		await monitor.refreshStale();
		await monitor.follow(anId("a"), false);
		await monitor.recheckCooling();
		expect(askedFor()).toEqual([]);
		expect(await monitor.ask(anId("a"))).toBe(true);
	});

	it("is asked for once while an answer is under way", async () => {
		const finish: ((usage: UsageSnapshot) => void)[] = [];
		answer = () => new Promise((resolve) => finish.push(resolve));
		const all = [monitor.ask(anId("a")), monitor.ask(anId("a")), monitor.refreshStale()];
		await settled();
		expect(askedFor()).toEqual(["acct-a", "acct-b"]);
		for (const each of finish) each(aSnapshot());
		// Its answer is for all of them.
		expect(await Promise.all(all)).toEqual([true, true, undefined]);
		answer = async () => aSnapshot();
		await monitor.ask(anId("a"));
		expect(askedFor()).toEqual(["acct-a", "acct-b", "acct-a"]);
	});

	it("is asked for once more if the account was refused while an answer was under way", async () => {
		const finish: ((usage: UsageSnapshot) => void)[] = [];
		answer = () => new Promise((resolve) => finish.push(resolve));
		const first = monitor.ask(anId("a"));
		await settled();
		clock.at += 1000;
		const cooldowns = [aCooldown({ setAt: clock.at })];
		state.statusById.set(anId("a"), { ...state.status(anId("a")), cooldowns });
		const after = [monitor.ask(anId("a")), monitor.ask(anId("a"))];
		await settled();
		expect(askedFor()).toEqual(["acct-a"]);
		finish[0]?.(aSnapshot({ source: "api", capturedAt: NOW }));
		await until("the second call", () => finish.length === 2);
		finish[1]?.(aSnapshot({ source: "api", capturedAt: clock.at }));
		expect(await Promise.all([first, ...after])).toEqual([true, true, true]);
		expect(askedFor()).toEqual(["acct-a", "acct-a"]);
	});

	it.each<[string, Partial<UsageSnapshot>, boolean]>([
		["a window is spent", { windows: [{ usedPercent: 100, windowMinutes: 300 }] }, true],
		["a budget is spent", { budgets: [{ usedPercent: 100, windowMinutes: 43_200, isReached: true }] }, true],
		["the limit is reached, without a window", { limitReached: true }, true],
		["there is room", { windows: [{ usedPercent: 99, windowMinutes: 300 }] }, false],
	])("is asked again of an account of which %s", async (_name, told, isAsked) => {
		const capturedAt = NOW - 15 * MINUTE_MS;
		open({ a: { usage: aSnapshot({ ...told, capturedAt }) } }, anAccount("a"));
		await monitor.recheckCooling();
		expect(askedFor()).toEqual(isAsked ? ["acct-a"] : []);
	});

	it("usage is not asked for again and again of an account whose reserve model alone is closed", async () => {
		const reserveModel = { limitId: "reserve", wireModel: "gpt-reserve", visibleModel: "gpt-6-luna", windows: [] };
		const usage = aSnapshot({ reserveModel, capturedAt: NOW - HOUR_MS });
		open(
			{ a: { usage, cooldowns: [aCooldown({ scope: "limit:reserve" })] }, b: { usage, cooldowns: [aCooldown()] } },
			anAccount("a"),
			anAccount("b"),
		);
		await monitor.recheckCooling();
		expect(askedFor()).toEqual(["acct-b"]);
	});

	it("is asked for nowhere until it is known where", async () => {
		monitor = createUsageMonitor({
			isEnabled: () => true,
			mayUseReserveModel: () => true,
			pool,
			state,
			clock,
			credentials: { currentToken: () => "access" },
			usageApi: { fetch: () => Promise.reject(new Error("asked")) },
		});
		await monitor.refreshStale();
		expect(await monitor.ask(anId("a"))).toBe(false);
		expect(state.status(anId("a"))).toEqual({ cooldowns: [], strikes: 0 });
	});

	it("is asked for with no token that is not good now", async () => {
		tokens.set("a", undefined);
		expect(await monitor.ask(anId("a"))).toBe(false);
		expect(asked).toEqual([]);
	});

	it("is asked for no account that is switched off or unknown", async () => {
		open({}, anAccount("a", { enabled: false }));
		expect([await monitor.ask(anId("a")), await monitor.ask(anId("missing")), asked]).toEqual([false, false, []]);
	});

	it("never hides what a request was refused for, whether it fails or comes right", async () => {
		const lastError = { text: "Workspace is not authorized in this region.", at: NOW };
		open({ a: { lastError } }, anAccount("a"));
		answer = () => Promise.reject(new Error("the usage service answered 503"));
		await monitor.ask(anId("a"));
		expect(state.status(anId("a")).lastError).toEqual(lastError);
		answer = async () => aSnapshot();
		await monitor.ask(anId("a"));
		expect(state.status(anId("a"))).toMatchObject({ lastError, usageError: undefined });
	});

	it("usage that fails to arrive changes nothing else, and leaves the reason", async () => {
		const known = aSnapshot({ windows: [{ usedPercent: 10, windowMinutes: 300 }] });
		open({ a: { usage: known, cooldowns: [aCooldown()] } }, anAccount("a"));
		answer = () => Promise.reject(new Error("the usage service answered 503"));
		expect(await monitor.ask(anId("a"))).toBe(false);
		expect(state.status(anId("a"))).toMatchObject({
			usage: known,
			cooldowns: [aCooldown()],
			usageError: { text: "the usage service answered 503", at: NOW },
		});
		expect(pool.account(anId("a"))).toMatchObject({ enabled: true, needsLogin: undefined });
	});
});

describe("the end of a session", () => {
	it("begins no call that waited for one under way: that would hold up the end of pi", async () => {
		open({}, anAccount("a"));
		let calls = 0;
		answer = (signal) => {
			calls += 1;
			return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
		};
		const first = monitor.ask(anId("a"));
		await settled();
		clock.at += 1000;
		const waiting = monitor.follow(anId("a"), false);
		state.statusById.set(anId("a"), { ...state.status(anId("a")), cooldowns: [aCooldown({ setAt: clock.at })] });
		const again = monitor.ask(anId("a"));
		await settled();
		monitor.stop();
		await first;
		await settled();
		expect(calls).toBe(1);
		expect(await Promise.all([waiting, again])).toEqual([undefined, false]);
	});

	it("lets go of what is being asked, without a word of it, and the next one asks again", async () => {
		answer = (signal) =>
			new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
		const all = [monitor.ask(anId("a")), monitor.refreshStale()];
		await settled();
		monitor.stop();
		expect(await Promise.all(all)).toEqual([false, undefined]);
		expect(state.status(anId("a")).usageError).toBeUndefined();
		answer = async () => aSnapshot();
		await monitor.ask(anId("a"));
		expect(state.status(anId("a")).usage).toBeDefined();
	});
});

describe("a refresh of what is stale", () => {
	const at = (ageMs: number, overrides: Partial<UsageSnapshot> = {}): Partial<AccountStatus> => ({
		usage: aSnapshot({ capturedAt: NOW - ageMs, ...overrides }),
	});
	const fresh = at(MINUTE_MS);

	it.each<[string, Partial<AccountStatus>, boolean]>([
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
	])("asks if %s: %j %s", async (_name, status, isAsked) => {
		open({ a: status, b: fresh }, anAccount("a"), anAccount("b"));
		await monitor.refreshStale();
		expect(askedFor()).toEqual(isAsked ? ["acct-a"] : []);
	});

	it("skips accounts that are switched off or must sign in", async () => {
		open({}, anAccount("a", { enabled: false }), anAccount("b", { needsLogin: { reason: "revoked", at: NOW } }));
		await monitor.refreshStale();
		expect(asked).toEqual([]);
	});

	it("asks for every account, even when one of them fails", async () => {
		let calls = 0;
		answer = async () => {
			calls += 1;
			if (calls === 1) throw new Error("503");
			return aSnapshot();
		};
		await expect(monitor.refreshStale()).resolves.toBeUndefined();
		expect(askedFor()).toEqual(["acct-a", "acct-b"]);
		expect(state.status(anId("b")).usage).toBeDefined();
	});
});

/** Windows of an account: percent used of 5 hours, and of the week; when the 5 hours end. */
const windows = (used5h: number, used7d = 10, resets5hAt = NOW + 4 * HOUR_MS) => [
	{ usedPercent: used5h, windowMinutes: 300, resetsAt: resets5hAt },
	{ usedPercent: used7d, windowMinutes: 10080, resetsAt: NOW + 5 * 24 * HOUR_MS },
];

describe("usage behind a session's turns", () => {
	const told = (used5h: number, overrides: Partial<UsageSnapshot> = {}) =>
		aSnapshot({ capturedAt: clock.at, windows: windows(used5h), ...overrides });

	it("is never asked for in an hour in which every response brings it, over a reset too", async () => {
		await monitor.refreshStale();
		expect(askedFor()).toEqual(["acct-a", "acct-b"]);
		for (let turn = 0; turn < 120; turn += 1) {
			clock.at += MINUTE_MS / 2;
			const hasReset = clock.at >= NOW + HOUR_MS / 2;
			const resetsAt = hasReset ? NOW + 5 * HOUR_MS : NOW + HOUR_MS / 2;
			pool.noteUsage(anId("a"), told(0, { windows: windows(hasReset ? turn / 4 : 60, 10, resetsAt) }));
			await monitor.follow(anId("a"), true);
			if (turn % 2 === 0) await monitor.recheckCooling();
		}
		expect(asked).toHaveLength(2);
	});

	describe("usage behind a session's turns that no answer brings", () => {
		let used: number;
		let times: number[];
		beforeEach(() => {
			used = 40;
			times = [];
			answer = async () => {
				times.push((clock.at - NOW) / MINUTE_MS);
				return told(used, { source: "api" });
			};
		});
		afterEach(() => monitor.stop());

		it("is asked for after each answer near a cap, and a request waits for it", async () => {
			caps = { [anId("a")]: { "5h": 55 } };
			pool.noteUsage(anId("a"), told(40));
			const done = vi.fn();
			expect(monitor.figuresDue(anId("a"))).toBeUndefined();
			for (let turn = 1; turn <= 3; turn += 1) {
				done.mockClear();
				used = 40 + turn;
				const following = monitor.follow(anId("a"), false);
				void monitor.figuresDue(anId("a"))?.then(done);
				expect(done).not.toHaveBeenCalled();
				await following;
				await settled();
				expect(done).toHaveBeenCalled();
				expect(monitor.figuresDue(anId("a"))).toBeUndefined();
				clock.at += 1000;
			}
			expect(times).toHaveLength(3);
		});

		it("is asked for at its usual pace far above a cap, and beside one of a window that is not there", async () => {
			for (const floors of [{ "5h": 20 }, { "30d": 90 }]) {
				times.length = 0;
				caps = { [anId("a")]: floors };
				clock.at += 10 * MINUTE_MS;
				pool.noteUsage(anId("a"), told(40));
				await monitor.follow(anId("a"), false);
				expect(monitor.figuresDue(anId("a"))).toBeUndefined();
				await monitor.follow(anId("a"), false);
				expect(times).toHaveLength(1);
			}
		});

		it("is asked for if the account has a budget, of which no header tells", async () => {
			const budget = { windowMinutes: 43_200, usedPercent: 40, isReached: false };
			answer = async () => {
				times.push((clock.at - NOW) / MINUTE_MS);
				return told(40, { source: "api", budgets: [budget] });
			};
			pool.noteUsage(anId("a"), told(40, { source: "api", budgets: [budget] }));
			for (let turn = 0; turn < 8; turn += 1) {
				pool.noteUsage(anId("a"), told(40));
				await monitor.follow(anId("a"), true);
				clock.at += MINUTE_MS / 4;
			}
			expect(times).toEqual([0, 1]);
		});

		it("is asked for of the account that answered, at most once a minute", async () => {
			for (let turn = 0; turn < 16; turn += 1) {
				await monitor.follow(anId("a"), false);
				clock.at += MINUTE_MS / 4;
			}
			expect(times).toEqual([0, 1, 2, 3]);
			expect(new Set(askedFor())).toEqual(new Set(["acct-a"]));
		});

		it("is asked for after the first answer, however soon that comes after the session has begun", async () => {
			await monitor.refreshStale();
			clock.at += 5000;
			await monitor.follow(anId("a"), false);
			clock.at += 5000;
			await monitor.follow(anId("a"), false);
			expect(askedFor()).toEqual(["acct-a", "acct-b", "acct-a"]);
		});

		it("is asked for after each answer with less than 10 % left, and not with 10 %", async () => {
			used = 90;
			for (let turn = 0; turn < 4; turn += 1) {
				await monitor.follow(anId("a"), false);
				clock.at += 1000;
			}
			const before = times.length;
			expect(askedFor().filter((id) => id === "acct-a")).toHaveLength(1);
			clock.at += MINUTE_MS;
			used = 91;
			for (let turn = 0; turn < 4; turn += 1) {
				await monitor.follow(anId("a"), false);
				clock.at += 1000;
			}
			expect(times.length - before).toBeGreaterThanOrEqual(4);
			expect(askedFor().filter((id) => id === "acct-a")).toHaveLength(5);
		});

		it("is asked for when the minute is over if an answer came within it, once", async () => {
			vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
			onTestFinished(() => {
				vi.useRealTimers();
			});
			await monitor.follow(anId("a"), false);
			for (let turn = 0; turn < 3; turn += 1) {
				clock.at += 10_000;
				await monitor.follow(anId("a"), false);
			}
			expect(times).toEqual([0]);
			clock.at = NOW + MINUTE_MS;
			await vi.advanceTimersByTimeAsync(MINUTE_MS);
			expect(times).toEqual([0, 1]);
			await vi.advanceTimersByTimeAsync(2 * MINUTE_MS);
			expect(times).toEqual([0, 1]);
			clock.at += 10_000;
			await monitor.follow(anId("a"), false);
			monitor.stop();
			clock.at += 2 * MINUTE_MS;
			await vi.advanceTimersByTimeAsync(2 * MINUTE_MS);
			expect(times).toEqual([0, 1]);
		});

		it("is not asked for again if another process has asked since the answer", async () => {
			vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
			onTestFinished(() => {
				vi.useRealTimers();
			});
			await monitor.follow(anId("a"), false);
			clock.at += 30_000;
			await monitor.follow(anId("a"), false);
			clock.at += 1000;
			state.statusById.set(anId("a"), { ...state.status(anId("a")), usageAskedAt: clock.at });
			clock.at += 2 * MINUTE_MS;
			await vi.advanceTimersByTimeAsync(2 * MINUTE_MS);
			expect(times).toEqual([0]);
		});

		it("is asked for once more if a call was under way when the answer came", async () => {
			open({}, anAccount("a"));
			const finish: (() => void)[] = [];
			answer = async () => {
				await new Promise<void>((resolve) => finish.push(resolve));
				return told(95, { source: "api" });
			};
			const first = monitor.ask(anId("a"));
			await settled();
			clock.at += 1000;
			const following = monitor.follow(anId("a"), false);
			await settled();
			expect(finish).toHaveLength(1);
			finish[0]?.();
			await until("the second call", () => finish.length === 2);
			finish[1]?.();
			await Promise.all([first, following]);
			expect(askedFor()).toEqual(["acct-a", "acct-a"]);
		});

		it("is not asked for while everything is switched off", async () => {
			isEnabled = false;
			await monitor.follow(anId("a"), false);
			expect(asked).toEqual([]);
		});
	});

	it.each([
		{ used: 75, times: 0 },
		{ used: 76, times: 1 },
		{ used: 90, times: 1 },
		{ used: 91, times: 1 },
		{ used: 100, times: 1 },
	])("is asked for of the others $times times in an hour in which $used % stay used", async ({ used, times }) => {
		for (let turn = 0; turn < 240; turn += 1) {
			pool.noteUsage(anId("a"), told(5, { windows: windows(5, used) }));
			await monitor.follow(anId("a"), true);
			clock.at += MINUTE_MS / 4;
		}
		expect(askedFor()).toEqual(Array.from({ length: times }, () => "acct-b"));
	});

	it("is asked for of the others again at each step to the end, and after a reset anew", async () => {
		const times: number[] = [];
		for (const used of [76, 85, 91, 95, 98, 99, 2, 80]) {
			clock.at += 6 * MINUTE_MS;
			pool.noteUsage(anId("a"), told(used));
			await monitor.follow(anId("a"), true);
			if (asked.length > times.length) times.push(used);
		}
		expect(times).toEqual([76, 91, 98, 80]);
		expect(new Set(askedFor())).toEqual(new Set(["acct-b"]));
	});

	it("is asked for of the others if any window nears its end", async () => {
		pool.noteUsage(anId("a"), told(5, { windows: windows(5, 80) }));
		await monitor.follow(anId("a"), true);
		expect(askedFor()).toEqual(["acct-b"]);
	});

	it("usage behind a session's turns is not asked for of an account that is gone", async () => {
		await monitor.follow(anId("gone"), false);
		expect(asked).toEqual([]);
	});

	it("is asked for no more often if the backend's clock is behind", async () => {
		const times: number[] = [];
		answer = async () => {
			times.push((clock.at - NOW) / MINUTE_MS);
			return told(40, { source: "api", windows: windows(40, 10, clock.at - MINUTE_MS) });
		};
		for (let turn = 0; turn < 40; turn += 1) {
			await monitor.follow(anId("a"), true);
			clock.at += MINUTE_MS / 4;
		}
		expect(times).toEqual([0, 5]);
	});
});

describe("usage that fails to arrive", () => {
	beforeEach(() => open({}, anAccount("a")));

	const timesOver = async (minutes: number, look = () => monitor.refreshStale()) => {
		const times: number[] = [];
		const play = answer;
		answer = (signal) => {
			times.push((clock.at - NOW) / 1000);
			return play(signal);
		};
		for (let tick = 0; tick < minutes * 6; tick += 1) {
			await look();
			clock.at += 10_000;
		}
		answer = play;
		return times;
	};
	const gaps = (times: readonly number[]) => times.slice(1).map((time, at) => time - (times[at] ?? 0));

	it("is asked for at growing intervals, up to a quarter of an hour", async () => {
		answer = () => Promise.reject(new Error("503"));
		expect(gaps(await timesOver(75))).toEqual([60, 120, 240, 480, 900, 900, 900]);
	});

	it("changes only when it is asked for again, and what is shown of it", async () => {
		const status = {
			usage: aSnapshot({ capturedAt: NOW - HOUR_MS, windows: windows(30) }),
			cooldowns: [aCooldown({ scope: "model:x" })],
			strikes: 1,
			lastUsedAt: NOW - HOUR_MS,
		};
		open({ a: status }, anAccount("a"));
		answer = () => Promise.reject(new Error("503"));
		await monitor.follow(anId("a"), false);
		expect(asked).toHaveLength(1);
		expect(state.status(anId("a"))).toEqual({
			...status,
			usageAskedAt: NOW,
			usageFailures: 1,
			usageError: { text: "503", at: NOW },
		});
		expect([state.live.size, state.pinnedId, pool.account(anId("a"))]).toEqual([0, undefined, anAccount("a")]);
	});

	it("usage that fails to arrive is as if it had never failed once an answer has come", async () => {
		answer = () => Promise.reject(new Error("503"));
		await timesOver(8);
		expect(state.status(anId("a")).usageFailures).toBe(4);
		answer = async () => aSnapshot({ capturedAt: clock.at, source: "api" });
		expect(await monitor.ask(anId("a"))).toBe(true);
		expect(state.status(anId("a"))).toMatchObject({ usageFailures: undefined, usageError: undefined });
		clock.at += 5 * MINUTE_MS;
		answer = () => Promise.reject(new Error("503"));
		expect(gaps(await timesOver(4))).toEqual([60, 120]);
	});

	it("is asked for at once if a person wants it", async () => {
		answer = () => Promise.reject(new Error("503"));
		await timesOver(30);
		const before = asked.length;
		expect(await monitor.ask(anId("a"))).toBe(false);
		expect(asked).toHaveLength(before + 1);
	});

	it("holds up no other account", async () => {
		open({}, anAccount("a"), anAccount("b"));
		answer = () => Promise.reject(new Error("503"));
		await monitor.ask(anId("a"));
		await monitor.ask(anId("a"));
		answer = async () => aSnapshot({ capturedAt: clock.at });
		asked = [];
		await monitor.refreshStale();
		expect(askedFor()).toEqual(["acct-b"]);
	});

	it("usage that fails to arrive is no failure if the session ended meanwhile", async () => {
		answer = (signal) =>
			new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
		const asking = monitor.follow(anId("a"), false);
		await until("it is asked", () => asked.length === 1);
		monitor.stop();
		await asking;
		expect(state.status(anId("a")).usageFailures).toBeUndefined();
	});

	it("usage that fails to arrive is not asked for any more if the session ended before its turn came", async () => {
		const claims: (() => void)[] = [];
		const { updateIf } = state;
		state.updateIf = async (...claim) => {
			await new Promise<void>((resolve) => claims.push(resolve));
			return updateIf(...claim);
		};
		const asking = monitor.follow(anId("a"), false);
		await until("it waits for the file", () => claims.length === 1);
		monitor.stop();
		for (const proceed of claims) proceed();
		await asking;
		expect(asked).toEqual([]);
	});
});

describe("over many processes", () => {
	const scratch = scratchForEach();
	let stores: StateStore[];
	beforeEach(() => {
		stores = [];
	});
	afterEach(async () => {
		await Promise.all(stores.map((store) => store.flush()));
	});

	/** One more process on the same state file. */
	const aProcess = (...rows: Account[]) => {
		const store = openStateStore(scratch.path("codex-state.json"), () => undefined, clock.now);
		stores.push(store);
		const accounts = anAccountStore(...rows);
		const itsPool = createPool({ accounts, state: store, clock, settings: () => DEFAULT_SETTINGS });
		const itsMonitor = createUsageMonitor({
			isEnabled: () => true,
			mayUseReserveModel: () => true,
			pool: itsPool,
			state: store,
			clock,
			credentials: { currentToken: (id) => `access-${id}` },
			usageApi: {
				fetch: async (request, signal) => {
					asked.push(request);
					return answer(signal);
				},
			},
		});
		itsMonitor.setBaseUrl(BASE);
		return { pool: itsPool, state: store, monitor: itsMonitor };
	};
	const six = ["a", "b", "c", "d", "e", "f"].map((name) => anAccount(name));

	it("four processes that start together ask three times for three accounts", async () => {
		const three = six.slice(0, 3);
		answer = async () => aSnapshot({ source: "api", capturedAt: clock.at, windows: windows(42) });
		const processes = Array.from({ length: 4 }, () => aProcess(...three));
		await Promise.all(processes.map((each) => each.monitor.refreshStale()));
		expect(askedFor().sort()).toEqual(three.map(({ workspaceId }) => workspaceId));
		await Promise.all(stores.map((store) => store.flush()));
		for (const { state: each } of processes) {
			for (const { id } of three) expect(each.status(id).usage?.windows).toEqual(windows(42));
		}
		clock.at += 5 * MINUTE_MS - 1;
		await Promise.all(processes.map((each) => each.monitor.refreshStale()));
		expect(asked).toHaveLength(3);
		clock.at += 1;
		await Promise.all(processes.map((each) => each.monitor.refreshStale()));
		expect(asked).toHaveLength(6);
	});

	/** When one of the processes has asked, in seconds, while all follow one account every ten seconds. */
	async function secondsAsked(processes: readonly ReturnType<typeof aProcess>[], ticks: number): Promise<number[]> {
		const times: number[] = [];
		for (let tick = 0; tick < ticks; tick += 1) {
			const before = asked.length;
			await Promise.all(processes.map((each) => each.monitor.follow(anId("a"), false)));
			await Promise.all(stores.map((store) => store.flush()));
			for (let call = before; call < asked.length; call += 1) times.push((clock.at - NOW) / 1000);
			clock.at += 10_000;
		}
		return times;
	}

	it("all processes back off if one of them has failed", async () => {
		answer = () => Promise.reject(new Error("503"));
		const processes = [aProcess(...six.slice(0, 1)), aProcess(...six.slice(0, 1))];
		expect(await secondsAsked(processes, 60)).toEqual([0, 60, 180, 420]);
	});

	it("all processes together ask once a minute if answers do not report usage", async () => {
		const processes = [aProcess(...six.slice(0, 1)), aProcess(...six.slice(0, 1)), aProcess(...six.slice(0, 1))];
		onTestFinished(() => {
			for (const each of processes) each.monitor.stop();
		});
		expect(await secondsAsked(processes, 19)).toEqual([0, 60, 120, 180]);
	});

	it("a process without a valid token leaves the question to another one", async () => {
		const [without, having] = [aProcess(...six.slice(0, 1)), aProcess(...six.slice(0, 1))];
		const none = createUsageMonitor({
			isEnabled: () => true,
			mayUseReserveModel: () => true,
			pool: without.pool,
			state: without.state,
			clock,
			credentials: { currentToken: () => undefined },
			usageApi: { fetch: () => Promise.reject(new Error("asked")) },
		});
		none.setBaseUrl(BASE);
		await none.refreshStale();
		await having.monitor.refreshStale();
		expect(askedFor()).toEqual(["acct-a"]);
	});

	describe("an account that cools", () => {
		const reset = NOW + 125 * MINUTE_MS;
		const spent = () => aSnapshot({ source: "api", capturedAt: clock.at, windows: windows(100, 10, reset) });
		const timesOver = async (minutes: number, tick: () => Promise<unknown>) => {
			const times: number[] = [];
			for (let minute = 0; minute < minutes; minute += 1) {
				clock.at += MINUTE_MS;
				const before = asked.length;
				await tick();
				// A second has passed long before the next minute.
				await Promise.all(stores.map((store) => store.flush()));
				for (let call = before; call < asked.length; call += 1) times.push((clock.at - NOW) / MINUTE_MS);
			}
			return times;
		};

		it("is asked for every quarter of an hour and at its reset, by one process", async () => {
			const processes = [aProcess(...six.slice(0, 1)), aProcess(...six.slice(0, 1))];
			const [one, other] = processes;
			one?.pool.noteUsage(anId("a"), spent());
			await one?.state.flush();
			expect(other?.pool.plan(anyone).next).toBeUndefined();
			answer = async () =>
				clock.at < reset
					? spent()
					: aSnapshot({ source: "api", capturedAt: clock.at, windows: windows(0, 10, clock.at + 5 * HOUR_MS) });
			const times = await timesOver(139, () => Promise.all(processes.map((each) => each.monitor.recheckCooling())));
			expect(times).toEqual([15, 30, 45, 60, 75, 90, 105, 120, 125]);
			for (const { pool: each } of processes) expect(each.plan(anyone).next?.id).toBe("a");
		});

		it("an account that is back early is ready for all processes at once", async () => {
			const [one, other] = [aProcess(...six.slice(0, 1)), aProcess(...six.slice(0, 1))];
			one.pool.noteUsage(anId("a"), spent());
			await one.state.flush();
			answer = async () => aSnapshot({ source: "api", capturedAt: clock.at, windows: windows(0) });
			expect(await timesOver(20, () => other.monitor.recheckCooling())).toEqual([15]);
			await other.state.flush();
			for (const { pool: each } of [one, other]) expect(each.plan(anyone).next?.id).toBe("a");
		});

		it("an account that cools for one limit is asked for no more often", async () => {
			const { state: store, monitor: its } = aProcess(...six.slice(0, 1));
			const cooldown = aCooldown({ scope: "limit:spark", models: ["spark"], until: NOW + 24 * HOUR_MS });
			await store.update(anId("a"), (status) => ({
				...status,
				cooldowns: [cooldown],
				usage: aSnapshot({ windows: windows(20) }),
			}));
			answer = async () => aSnapshot({ source: "api", capturedAt: clock.at, windows: windows(20) });
			expect(await timesOver(50, () => its.recheckCooling())).toEqual([15, 30, 45]);
		});

		it("only a cooling account is asked for", async () => {
			const { state: store, monitor: its } = aProcess(...six.slice(0, 3));
			await store.update(anId("b"), (status) => ({ ...status, cooldowns: [aCooldown()] }));
			await its.recheckCooling();
			expect(askedFor()).toEqual(["acct-b"]);
		});
	});
});

const anyone = { modelId: "gpt-5.5", affinity: undefined, sessionId: undefined };

describe("an account at its cap", () => {
	it("is asked about as one that is out of quota, since it may be full again before its time", async () => {
		open({}, anAccount("a"));
		monitor.setBaseUrl(BASE);
		caps = { [anId("a")]: { "5h": 50 } };
		pool.noteUsage(anId("a"), aSnapshot({ windows: windows(60), capturedAt: NOW }));
		expect(pool.aboveCap(anAccount("a"))).toBe(-10);
		clock.at = NOW + 16 * MINUTE_MS;
		answer = async () => aSnapshot({ source: "api", capturedAt: clock.now(), windows: windows(60) });
		await monitor.recheckCooling();
		expect(asked).toHaveLength(1);
		caps = {};
		clock.at += 16 * MINUTE_MS;
		await monitor.recheckCooling();
		expect(asked).toHaveLength(1);
	});
});
