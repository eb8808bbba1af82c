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
	footer = createFooter(house.pool, house.clock, () => {
		ticks += 1;
	});
	screen = aContext({ mode: "tui" });
});
afterEach(() => {
	footer.stop();
	vi.useRealTimers();
});
const shown = () => screen.statuses.at(-1);

describe("the footer", () => {
	it("is drawn when a session begins, and after every change that shows", async () => {
		footer.start(screen.ctx);
		expect(shown()).toBe("<dim>codex · 2 of 2 ready");
		house.pool.setActive("a");
		await settled();
		expect(shown()).toMatch(/^<dim>codex a \(plus\) · usage unknown · 2 of 2 ready$/);
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

	it("is there only while a Codex model is selected", async () => {
		footer.start(screen.ctx);
		screen.model = { provider: "anthropic", baseUrl: "x" };
		footer.draw();
		await settled();
		expect(shown()).toBeUndefined();
		screen.model = { provider: "openai-codex", baseUrl: "x" };
		footer.draw();
		await settled();
		expect(shown()).toContain("codex");
	});

	it("is not there where nobody looks on", async () => {
		screen = aContext({ hasUI: false, mode: "print" });
		footer.start(screen.ctx);
		house.pool.setActive("a");
		await settled();
		expect(screen.statuses).toEqual([]);
	});

	it("counts down while a request waits", async () => {
		footer.start(screen.ctx);
		house.pool.emit({ type: "waiting", until: NOW + 42_000 });
		await settled();
		expect(shown()).toBe("<warning>codex waiting · first account back in 42s");
		house.pool.emit({ type: "waiting", until: undefined });
		await settled();
		expect(shown()).toBe("<dim>codex · 2 of 2 ready");
	});

	it("names the account that is back first when none is ready, and leaves out who must sign in", async () => {
		house.accounts.rows = [...house.accounts.rows, anAccount("c", { needsLogin: { reason: "revoked", at: NOW } })];
		const cool = (until: number) => ({ cooldowns: [aCooldown({ until })], strikes: 0 });
		house.state.memos.set("a", cool(NOW + 2 * HOUR_MS));
		house.state.memos.set("b", cool(NOW + HOUR_MS));
		footer.start(screen.ctx);
		expect(shown()).toMatch(/^<error>codex 0\/3 ready · b back /);
	});

	it("shows the pinned account before the first request", () => {
		house.state.pinnedId = "b";
		footer.start(screen.ctx);
		expect(shown()).toMatch(/^<dim>codex b pinned \(plus\)/);
	});

	it("is looked after once a minute", () => {
		vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
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
	});

	it("leaves no listener on the terminal, however often a session begins", () => {
		const before = process.stdout.listenerCount("resize");
		for (let time = 0; time < 5; time += 1) footer.start(screen.ctx);
		expect(process.stdout.listenerCount("resize")).toBe(before + 1);
		footer.stop();
		expect(process.stdout.listenerCount("resize")).toBe(before);
	});
});
