import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Forecast } from "../../../../src/core/forecast/forecast.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import type { SharedPoolStatus } from "../../../../src/core/shared-pool.ts";
import { createFooter, type Footer } from "../../../../src/features/footer/footer.ts";
import { aPoolStatus } from "../../../support/fake-shared-pools.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW, settled } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { aContext, type FakeContext } from "../../fake-pi.ts";
import { createHarness, type Harness } from "../../harness.ts";

let harness: Harness;
let footer: Footer;
let screen: FakeContext;
let ticks: number;
let isForeign: boolean;
let link: string | undefined;
let forecast: Forecast | undefined;
let stores: Set<() => void>;
let sharedPool: SharedPoolStatus | undefined;
beforeEach(() => {
	harness = createHarness(anAccount("a"), anAccount("b"));
	ticks = 0;
	isForeign = false;
	link = undefined;
	forecast = undefined;
	stores = new Set();
	sharedPool = undefined;
	footer = createFooter({
		pool: harness.pool,
		affinity: harness.affinity,
		settings: () => harness.settings,
		isForeign: () => isForeign,
		codexId: (ctx) => ctx.model?.id,
		serving: () => link,
		sourceOf: harness.deps.beyond.source,
		sharedPool: () => sharedPool,
		onTick: () => {
			ticks += 1;
		},
		forecasts: { current: () => forecast, subscribe: () => () => undefined },
		followStores: (listener) => {
			stores.add(listener);
			return () => stores.delete(listener);
		},
	});
	screen = aContext({ mode: "tui" });
});
afterEach(() => {
	footer.stop();
	vi.useRealTimers();
});
/** The line that is shown, without its colours. */
const shown = (on = screen) => on.statuses.at(-1)?.replace(/<\w+>/g, "");
/** The session is on this account from now on. */
const serves = (id: AccountId) => {
	harness.affinity.begin(aSessionId("s"), id, NOW);
	harness.pool.emit({ type: "changed" });
};
const onlyTimers = () => vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });

describe("the footer", () => {
	it("has a mark while the shared pool is away", async () => {
		footer.start(screen.ctx);
		sharedPool = aPoolStatus();
		serves(anId("a"));
		await settled();
		expect(shown()).not.toContain("pool away");
		const text = "db.example cannot be reached.";
		sharedPool = aPoolStatus({ connection: { kind: "away", since: NOW, problem: "away", text } });
		harness.pool.emit({ type: "pool-away", problem: "away", text, since: NOW });
		await settled();
		expect(shown()).toMatch(/^codex a .*· pool away/);
	});

	it.each([
		["credits", "credits"],
		["reserve-model", "Luna Reserve"],
	] as const)("says what a session goes on with, until an account has quota again: %s", async (on, words) => {
		const windows = [{ usedPercent: 100, windowMinutes: 10_080, resetsAt: NOW + HOUR_MS }];
		const usage = aSnapshot({ source: "api", windows });
		for (const id of [anId("a"), anId("b")]) harness.pool.noteUsage(id, usage);
		footer.start(screen.ctx);
		await settled();
		expect(shown()).not.toContain(words);
		const asked = { modelId: "gpt-5.5", sessionId: aSessionId(screen.ctx.sessionManager.getSessionId()) };
		harness.deps.beyond.serves(on, anAccount("b"), NOW + HOUR_MS, asked);
		await settled();
		expect(shown()).toMatch(new RegExp(`^codex b (?:\\(plus\\) )?· ${words} · `));
		harness.pool.noteUsage(anId("a"), aSnapshot({ source: "api", capturedAt: NOW + 5 * HOUR_MS, windows: [] }));
		await harness.pool.clearCooldowns();
		await settled();
		expect(shown()).not.toContain(words);
	});

	it("keeps pi alive, and the next tick, if a look behind it throws", () => {
		onlyTimers();
		footer.stop();
		const onTick = vi.fn(() => {
			throw new TypeError("secret");
		});
		const { pool, affinity } = harness;
		const followStores = () => () => undefined;
		footer = createFooter({
			pool,
			affinity,
			settings: () => harness.settings,
			isForeign: () => false,
			codexId: (ctx) => ctx.model?.id,
			serving: () => undefined,
			sourceOf: () => undefined,
			onTick,
			forecasts: { current: () => undefined, subscribe: () => () => undefined },
			followStores,
		});
		footer.start(screen.ctx);
		vi.advanceTimersByTime(3 * MINUTE_MS);
		expect(onTick.mock.calls.length).toBeGreaterThan(1);
		expect(harness.told).toContainEqual(expect.objectContaining({ type: "defect", where: "footer" }));
	});

	it("tells how long the pool lasts if the person wants that, and asks for no forecast otherwise", async () => {
		const dryAt = NOW + 2 * DAY_MS;
		const pool = { dryAt, from: NOW + DAY_MS, to: undefined, comesBack: [] };
		forecast = { madeAt: NOW, pool, serving: undefined, accounts: [] };
		footer.start(screen.ctx);
		await settled();
		expect(shown()).not.toContain("until");
		harness.settings = { ...harness.settings, footer: { ...harness.settings.footer, lasts: true } };
		harness.pool.emit({ type: "changed" });
		await settled();
		expect(shown()).toContain("pool until Sat or later");
	});

	it("names no account of the pool while pi's own API key serves", async () => {
		isForeign = true;
		footer.start(screen.ctx);
		await settled();
		expect(shown()).toContain("API key");
	});

	it("is drawn when a session begins, and after every change that shows", async () => {
		footer.start(screen.ctx);
		expect(shown()).toMatch(/^codex a .* 2 of 2 ready$/);
		serves(anId("b"));
		await settled();
		expect(screen.statuses.at(-1)).toMatch(/^<dim>codex <text>b<dim> /);
	});

	it("is drawn once for many changes of one moment, and not at all if nothing shows", async () => {
		footer.start(screen.ctx);
		for (let time = 0; time < 20; time += 1) harness.pool.emit({ type: "changed" });
		await settled();
		expect(screen.statuses).toHaveLength(1);
		for (const id of [anId("b"), anId("a"), anId("b")]) serves(id);
		await settled();
		expect(screen.statuses).toHaveLength(2);
	});

	it("is there only while a Codex model is selected, and comes back with it", async () => {
		footer.start(screen.ctx);
		screen.model = { provider: "anthropic", baseUrl: "x" };
		footer.draw();
		await settled();
		expect(shown()).toBeUndefined();
		serves(anId("a"));
		await settled();
		expect(shown()).toBeUndefined();
		screen.model = { provider: "openai-codex", baseUrl: "x" };
		footer.draw();
		await settled();
		expect(shown()).toContain("codex a");
	});

	it("the footer is not there without a screen", async () => {
		screen = aContext({ hasUI: false, mode: "print" });
		footer.start(screen.ctx);
		serves(anId("a"));
		await settled();
		expect(screen.statuses).toEqual([]);
	});

	it("has no colours if a client draws by itself", () => {
		screen = aContext({ mode: "rpc" });
		footer.start(screen.ctx);
		expect(screen.statuses).toEqual([expect.stringMatching(/^codex a [^<]*$/)]);
	});

	it("follows the person's settings, and says that we are off", async () => {
		footer.start(screen.ctx);
		serves(anId("a"));
		harness.settings = { ...harness.settings, footer: { ...harness.settings.footer, ready: false } };
		await settled();
		expect(shown()).not.toContain("ready");
		harness.settings = { ...harness.settings, enabled: false };
		harness.pool.emit({ type: "changed" });
		await settled();
		expect(shown()).toContain("/multicodex on");
	});

	it("names the account that is back first when none is ready, and leaves out who must sign in", async () => {
		harness.accounts.rows = [...harness.accounts.rows, anAccount("c", { needsLogin: { reason: "revoked", at: NOW } })];
		const cool = (until: number) => ({ cooldowns: [aCooldown({ until })], strikes: 0 });
		harness.state.statusById.set(anId("a"), cool(NOW + 2 * HOUR_MS));
		harness.state.statusById.set(anId("b"), cool(NOW + HOUR_MS));
		footer.start(screen.ctx);
		expect(shown()).toMatch(/^codex 0\/3 ready · b back /);
	});

	it("shows the pinned account before the first request", () => {
		harness.state.pinnedId = anId("b");
		footer.start(screen.ctx);
		expect(shown()).toMatch(/^codex b pinned \(plus\)/);
	});

	describe("names the account that serves the next request", () => {
		const week = { usedPercent: 8, windowMinutes: 10_080, resetsAt: NOW + 24 * HOUR_MS };
		const used = (usedPercent: number) =>
			aSnapshot({ windows: [{ usedPercent, windowMinutes: 300, resetsAt: NOW + HOUR_MS }, week] });
		const COOLING = {
			covers: "account",
			scope: "account",
			reason: "usage_limit",
			until: NOW + HOUR_MS,
			guessed: false,
		} as const;
		const name = () => /^codex (\S+(?: pinned)?)/.exec(shown() ?? "")?.[1];

		it("the next account is named from the first second, with the stored figures", () => {
			harness.state.statusById.set(anId("a"), { usage: used(90), cooldowns: [], strikes: 0 });
			harness.state.statusById.set(anId("b"), { usage: used(27), cooldowns: [], strikes: 0 });
			footer.start(screen.ctx);
			expect(shown()).toMatch(/^codex b .* 5h 73% .* week 92% /);
		});

		it("the next account is named after each change, and is never one that is off or out", async () => {
			const { pool, accounts, state } = harness;
			serves(anId("a"));
			footer.start(screen.ctx);
			const names = [name()];
			const step = async (change: () => unknown) => {
				await change();
				await settled();
				names.push(name());
			};
			await step(() => pool.pin(anId("b")));
			await step(() => pool.pin(undefined));
			await step(() => pool.cool(anAccount("a"), COOLING, "m"));
			await step(() => pool.clearCooldowns());
			await step(() => accounts.patch(anId("a"), { enabled: false }).then(() => pool.emit({ type: "changed" })));
			await step(() => accounts.patch(anId("a"), { enabled: true }).then(() => pool.emit({ type: "changed" })));
			await step(() => accounts.remove(anId("a")).then(() => pool.emit({ type: "changed" })));
			expect(names).toEqual(["a", "b pinned", "a", "b", "a", "b", "a", "b"]);
			// What another process has stored needs no event of this one.
			state.statusById.set(anId("b"), { cooldowns: [aCooldown({ until: NOW + HOUR_MS })], strikes: 0 });
			for (const tell of stores) tell();
			await settled();
			expect(shown()).toMatch(/^codex 0\/1 ready · b back /);
		});

		it("an account that may not use the selected model is neither named nor counted", async () => {
			const cooldowns = [aCooldown({ scope: "model:m", reason: "model_not_supported", until: NOW + HOUR_MS })];
			harness.state.statusById.set(anId("a"), { cooldowns, strikes: 0 });
			screen.model = Object.assign({ provider: "openai-codex", baseUrl: "x" }, { id: "m" });
			footer.start(screen.ctx);
			expect(shown()).toMatch(/^codex b .* last ready$/);
			harness.state.statusById.set(anId("b"), { cooldowns, strikes: 0 });
			harness.pool.emit({ type: "changed" });
			await settled();
			expect(shown()).toMatch(/^codex 0\/2 ready · a back /);
		});

		it("the next account is named if other sessions need what is left of all of them", () => {
			harness.state.statusById.set(anId("a"), { usage: used(95), cooldowns: [], strikes: 0 });
			harness.state.statusById.set(anId("b"), { cooldowns: [aCooldown({ until: NOW + HOUR_MS })], strikes: 0 });
			harness.state.live.set("other", anId("a"));
			harness.affinity.begin(aSessionId("s"), anId("b"), NOW);
			footer.start(screen.ctx);
			expect(name()).toBe("a");
		});

		it("the next account is the one that the request chooses", async () => {
			harness.pool.doubt([anId("a")]);
			footer.start(screen.ctx);
			expect(name()).toBe("b");
			await harness.ask();
			expect(harness.tries).toEqual(["b"]);
		});

		it("the footer follows other processes for as long as a session lasts", () => {
			footer.start(screen.ctx);
			footer.start(screen.ctx);
			expect(stores.size).toBe(1);
			footer.stop();
			expect(stores.size).toBe(0);
		});
	});

	it("fits the terminal, also after that has another size", async () => {
		const before = Object.getOwnPropertyDescriptor(process.stdout, "columns");
		const resize = (columns: number) => {
			Object.defineProperty(process.stdout, "columns", { configurable: true, value: columns });
			process.stdout.emit("resize");
		};
		try {
			serves(anId("a"));
			resize(120);
			footer.start(screen.ctx);
			expect(shown()?.length).toBeGreaterThan(30);
			resize(30);
			await settled();
			expect(shown()?.length).toBeLessThanOrEqual(30);
		} finally {
			Reflect.deleteProperty(process.stdout, "columns");
			if (before) Object.defineProperty(process.stdout, "columns", before);
		}
	});
});

describe("the footer while a request waits", () => {
	it("counts down, and is as before when the wait is over", async () => {
		footer.start(screen.ctx);
		harness.pool.emit({ type: "waiting", request: 1, until: NOW + 42_000, forRoom: false });
		await settled();
		expect(shown()).toMatch(/^codex waiting · first account back .* \(42s\) · esc ends the wait$/);
		harness.pool.emit({ type: "waiting", request: 1, until: undefined, forRoom: false });
		await settled();
		expect(shown()).toMatch(/^codex a .* ready$/);
		harness.pool.emit({ type: "waiting", request: 1, until: NOW + 42_000, forRoom: true });
		await settled();
		expect(shown()).toMatch(/^codex waiting for room · first account back .* \(42s\) · esc ends the wait$/);
	});

	it("continues with the countdown of one request if the wait of another ends, and shows the soonest", async () => {
		footer.start(screen.ctx);
		harness.pool.emit({ type: "waiting", request: 1, until: NOW + 42_000, forRoom: false });
		harness.pool.emit({ type: "waiting", request: 2, until: NOW + 21_000, forRoom: true });
		await settled();
		expect(shown()).toMatch(/^codex waiting for room · first account back .* \(21s\) · esc ends the wait$/);
		harness.pool.emit({ type: "waiting", request: 2, until: undefined, forRoom: false });
		await settled();
		expect(shown()).toMatch(/^codex waiting · first account back .* \(42s\) · esc ends the wait$/);
		// A request that never waited has nothing to end.
		harness.pool.emit({ type: "waiting", request: 3, until: undefined, forRoom: false });
		await settled();
		expect(shown()).toMatch(/^codex waiting · first account back .* \(42s\) · esc ends the wait$/);
	});

	it("counts every second, in whatever session, and leaves no timer", async () => {
		onlyTimers();
		footer.start(screen.ctx);
		harness.pool.emit({ type: "waiting", request: 1, until: NOW + 42_000, forRoom: false });
		harness.pool.emit({ type: "waiting", request: 1, until: NOW + 42_000, forRoom: false });
		expect(vi.getTimerCount()).toBe(2);
		harness.clock.at += 1000;
		vi.advanceTimersByTime(1000);
		expect(shown()).toMatch(/first account back .* \(41s\)/);
		footer.stop();
		expect(vi.getTimerCount()).toBe(0);

		const next = aContext({ mode: "tui" });
		footer.start(next.ctx);
		harness.clock.at += 1000;
		vi.advanceTimersByTime(1000);
		expect(shown(next)).toMatch(/^codex waiting · first account back .* \(40s\) · esc ends the wait$/);
		harness.pool.emit({ type: "waiting", request: 1, until: undefined, forRoom: false });
		expect(vi.getTimerCount()).toBe(1);
		footer.stop();
		expect(vi.getTimerCount()).toBe(0);
	});

	it("begins no timer if no session is", () => {
		onlyTimers();
		harness.pool.emit({ type: "waiting", request: 1, until: NOW + 42_000, forRoom: false });
		expect(vi.getTimerCount()).toBe(0);
	});

	it("leaves no timer behind a session that was replaced without a word", () => {
		onlyTimers();
		footer.start(screen.ctx);
		harness.pool.emit({ type: "waiting", request: 1, until: NOW + 42_000, forRoom: false });
		screen.isStale = true;
		harness.clock.at += 1000;
		vi.advanceTimersByTime(1000);
		expect(vi.getTimerCount()).toBe(0);
	});
});

it("the footer counts a minute down when it is over, as a panel above it does", async () => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
	const windows = [{ usedPercent: 40, windowMinutes: 300, resetsAt: NOW + HOUR_MS + 20_000 }];
	harness.pool.noteUsage(anId("a"), aSnapshot({ source: "api", windows }));
	serves(anId("a"));
	footer.start(screen.ctx);
	await settled();
	expect(shown()).toContain("(1h00m)");
	harness.clock.at += 21_000;
	vi.advanceTimersByTime(21_000);
	expect(shown()).toContain("(59m)");
	harness.clock.at += 60_000;
	vi.advanceTimersByTime(60_000);
	expect(shown()).toContain("(58m)");
	const drawn = screen.statuses.length;
	footer.stop();
	harness.clock.at += HOUR_MS;
	vi.advanceTimersByTime(HOUR_MS);
	expect(screen.statuses).toHaveLength(drawn);
});

describe("the footer over sessions", () => {
	it("is looked after once a minute, once", () => {
		onlyTimers();
		footer.start(screen.ctx);
		harness.affinity.begin(aSessionId("s"), anId("b"), NOW);
		vi.advanceTimersByTime(60_000);
		expect([ticks, screen.statuses.length]).toEqual([1, 2]);
		footer.start(screen.ctx);
		vi.advanceTimersByTime(60_000);
		expect(ticks).toBe(2);
		footer.stop();
		vi.advanceTimersByTime(600_000);
		expect(ticks).toBe(2);
		expect(vi.getTimerCount()).toBe(0);
	});

	it("outlives a context whose session was replaced, and is drawn again in the next", async () => {
		footer.start(screen.ctx);
		screen.isStale = true;
		serves(anId("a"));
		await settled();
		const next = aContext({ mode: "tui" });
		footer.start(next.ctx);
		expect(next.statuses).toHaveLength(1);
		serves(anId("b"));
		await settled();
		expect([screen.statuses.length, next.statuses.length]).toEqual([1, 2]);
	});

	it("leaves no listener on the terminal, however often a session begins", () => {
		const before = process.stdout.listenerCount("resize");
		for (let time = 0; time < 5; time += 1) footer.start(screen.ctx);
		expect(process.stdout.listenerCount("resize")).toBe(before + 1);
		footer.stop();
		expect(process.stdout.listenerCount("resize")).toBe(before);
	});
});
