import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createFooter, type Footer } from "../../src/pi/footer.ts";
import { aHouse, type House } from "../pool/house.ts";
import { aCooldown, anAccount, HOUR_MS, NOW, settled } from "../support/fakes.ts";
import { aContext, type FakeContext } from "./fake-pi.ts";

let house: House;
let footer: Footer;
let screen: FakeContext;
let ticks: number;
beforeEach(() => {
	house = aHouse(anAccount("a"), anAccount("b"));
	ticks = 0;
	footer = createFooter({
		pool: house.pool,
		settings: () => house.settings,
		clock: house.clock,
		onTick: () => {
			ticks += 1;
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
const onlyTimers = () => vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });

describe("the footer", () => {
	it("keeps pi alive, and the next tick, where a look behind it throws", () => {
		onlyTimers();
		footer.stop();
		const onTick = vi.fn(() => {
			throw new TypeError("secret");
		});
		footer = createFooter({ pool: house.pool, settings: () => house.settings, clock: house.clock, onTick });
		footer.start(screen.ctx);
		vi.advanceTimersByTime(2 * HOUR_MS);
		expect(onTick.mock.calls.length).toBeGreaterThan(1);
		expect(house.told).toContainEqual(expect.objectContaining({ type: "defect", where: "footer" }));
	});

	it("is drawn when a session begins, and after every change that shows", async () => {
		footer.start(screen.ctx);
		expect(shown()).toBe("codex 2 of 2 ready");
		house.pool.setActive("a");
		await settled();
		expect(screen.statuses.at(-1)).toBe(
			"<dim>codex <text>a<dim> (plus)<dim> · <dim>usage unknown<dim> · <dim>2 of 2 ready",
		);
	});

	it("is drawn once for many changes of one moment, and not at all where nothing shows", async () => {
		footer.start(screen.ctx);
		for (let time = 0; time < 20; time += 1) house.pool.emit({ type: "changed" });
		await settled();
		expect(screen.statuses).toHaveLength(1);
		house.pool.setActive("a");
		house.pool.setActive("b");
		await settled();
		expect(screen.statuses).toHaveLength(2);
	});

	it("is there only while a Codex model is selected, and comes back with it", async () => {
		footer.start(screen.ctx);
		screen.model = { provider: "anthropic", baseUrl: "x" };
		footer.draw();
		await settled();
		expect(shown()).toBeUndefined();
		house.pool.setActive("a");
		await settled();
		expect(shown()).toBeUndefined();
		screen.model = { provider: "openai-codex", baseUrl: "x" };
		footer.draw();
		await settled();
		expect(shown()).toContain("codex a");
	});

	it("is not there where nobody looks on", async () => {
		screen = aContext({ hasUI: false, mode: "print" });
		footer.start(screen.ctx);
		house.pool.setActive("a");
		await settled();
		expect(screen.statuses).toEqual([]);
	});

	it("has no colours where a client draws by itself", () => {
		screen = aContext({ mode: "rpc" });
		footer.start(screen.ctx);
		expect(screen.statuses).toEqual(["codex 2 of 2 ready"]);
	});

	it("follows the person's settings, and says that we are off", async () => {
		footer.start(screen.ctx);
		house.pool.setActive("a");
		house.settings = { ...house.settings, footer: { ...house.settings.footer, ready: false } };
		await settled();
		expect(shown()).toBe("codex a (plus) · usage unknown");
		house.settings = { ...house.settings, enabled: false };
		house.pool.emit({ type: "changed" });
		await settled();
		expect(shown()).toBe("codex off · /multicodex on");
	});

	it("names the account that is back first when none is ready, and leaves out who must sign in", async () => {
		house.accounts.rows = [...house.accounts.rows, anAccount("c", { needsLogin: { reason: "revoked", at: NOW } })];
		const cool = (until: number) => ({ cooldowns: [aCooldown({ until })], strikes: 0 });
		house.state.memos.set("a", cool(NOW + 2 * HOUR_MS));
		house.state.memos.set("b", cool(NOW + HOUR_MS));
		footer.start(screen.ctx);
		expect(shown()).toMatch(/^codex 0\/3 ready · b back /);
	});

	it("shows the pinned account before the first request", () => {
		house.state.pinnedId = "b";
		footer.start(screen.ctx);
		expect(shown()).toMatch(/^codex b pinned \(plus\)/);
	});

	it("fits the terminal, also after that has another size", async () => {
		const before = Object.getOwnPropertyDescriptor(process.stdout, "columns");
		const resize = (columns: number) => {
			Object.defineProperty(process.stdout, "columns", { configurable: true, value: columns });
			process.stdout.emit("resize");
		};
		try {
			house.pool.setActive("a");
			resize(120);
			footer.start(screen.ctx);
			expect(shown()).toBe("codex a (plus) · usage unknown · 2 of 2 ready");
			resize(30);
			await settled();
			expect(shown()).toBe("a · unknown · 2/2");
		} finally {
			Reflect.deleteProperty(process.stdout, "columns");
			if (before) Object.defineProperty(process.stdout, "columns", before);
		}
	});
});

describe("the footer while a request waits", () => {
	it("counts down, and is as before when the wait is over", async () => {
		footer.start(screen.ctx);
		house.pool.emit({ type: "waiting", until: NOW + 42_000, forRoom: false });
		await settled();
		expect(shown()).toBe("codex waiting · first account back in 42s");
		house.pool.emit({ type: "waiting", until: undefined, forRoom: false });
		await settled();
		expect(shown()).toBe("codex 2 of 2 ready");
		house.pool.emit({ type: "waiting", until: NOW + 42_000, forRoom: true });
		await settled();
		expect(shown()).toBe("codex waiting for room · first account back in 42s");
	});

	it("counts every second, in whatever session, and leaves no timer", async () => {
		onlyTimers();
		footer.start(screen.ctx);
		house.pool.emit({ type: "waiting", until: NOW + 42_000, forRoom: false });
		house.pool.emit({ type: "waiting", until: NOW + 42_000, forRoom: false });
		expect(vi.getTimerCount()).toBe(2);
		house.clock.at += 1000;
		vi.advanceTimersByTime(1000);
		expect(shown()).toBe("codex waiting · first account back in 41s");
		footer.stop();
		expect(vi.getTimerCount()).toBe(0);

		const next = aContext({ mode: "tui" });
		footer.start(next.ctx);
		house.clock.at += 1000;
		vi.advanceTimersByTime(1000);
		expect(shown(next)).toBe("codex waiting · first account back in 40s");
		house.pool.emit({ type: "waiting", until: undefined, forRoom: false });
		expect(vi.getTimerCount()).toBe(1);
		footer.stop();
		expect(vi.getTimerCount()).toBe(0);
	});

	it("begins no timer where no session is", () => {
		onlyTimers();
		house.pool.emit({ type: "waiting", until: NOW + 42_000, forRoom: false });
		expect(vi.getTimerCount()).toBe(0);
	});

	it("leaves no timer behind a session that was replaced without a word", () => {
		onlyTimers();
		footer.start(screen.ctx);
		house.pool.emit({ type: "waiting", until: NOW + 42_000, forRoom: false });
		screen.isStale = true;
		house.clock.at += 1000;
		vi.advanceTimersByTime(1000);
		expect(vi.getTimerCount()).toBe(0);
	});
});

describe("the footer over sessions", () => {
	it("is looked after once a minute, once", () => {
		onlyTimers();
		footer.start(screen.ctx);
		house.pool.setActive("a");
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
		house.pool.setActive("a");
		await settled();
		const next = aContext({ mode: "tui" });
		footer.start(next.ctx);
		expect(next.statuses).toHaveLength(1);
		house.pool.setActive("b");
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
