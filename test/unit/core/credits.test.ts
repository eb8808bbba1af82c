import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gateOf } from "../../../src/core/candidate.ts";
import { type Budget, creditsUntil, type UsageSnapshot } from "../../../src/core/usage.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";
import { aHouse, answered, gaveUp, type House, refused } from "../harness.ts";

const week = (usedPercent: number, resetsInMs = 3 * DAY_MS) => ({
	usedPercent,
	windowMinutes: 10_080,
	resetsAt: NOW + resetsInMs,
});
const FUNDED = { hasCredits: true, unlimited: false, balance: "20" };
const spent = (overrides: Partial<UsageSnapshot> = {}) =>
	aSnapshot({ source: "api", windows: [week(100)], ...overrides });
const onCredits = () => spent({ credits: FUNDED });
const told = (house: House) => house.told.filter(({ type }) => type === "on-credits");
const hasServed = (house: House, id: string) => void house.affinity.served("s", id);

describe("bought credits", () => {
	it("are not touched while another account has included quota: the session moves to it", async () => {
		const house = aHouse(anAccount("a"), anAccount("b"));
		hasServed(house, "a");
		house.pool.noteUsage("a", onCredits());
		expect((await house.ask()).text).toBe("from b");
		expect(house.tries).toEqual(["b"]);
		expect(house.told.find(({ type }) => type === "rotated")).toMatchObject({
			reason: "usage_limit",
			window: "7d",
			readyAt: NOW + 3 * DAY_MS,
		});
	});

	it("are spent by the session that is on the account, when nothing else is left, and it is told once", async () => {
		const house = aHouse(anAccount("a"), anAccount("b"));
		hasServed(house, "a");
		house.pool.noteUsage("a", onCredits());
		house.pool.noteUsage("b", spent());
		for (let time = 0; time < 3; time += 1) expect((await house.ask()).text).toBe("from a");
		expect(told(house)).toMatchObject([{ account: { id: "a" }, until: NOW + 3 * DAY_MS }]);
		// Also hours later, when its cache is gone.
		house.clock.at += 3 * HOUR_MS;
		expect((await house.ask()).text).toBe("from a");
		expect(told(house)).toHaveLength(1);
	});

	it("are spent by no session that is not on the account, pinned or not", async () => {
		const house = aHouse(anAccount("a"), anAccount("b"));
		hasServed(house, "b");
		house.pool.noteUsage("a", onCredits());
		house.pool.noteUsage("b", spent());
		expect((await house.ask()).words).toBe(gaveUp(house));
		await house.pool.pin("a");
		expect((await house.ask()).words).toBe(gaveUp(house));
		expect([house.tries, house.exhaustions[0]?.cooling]).toEqual([[], 2]);
	});

	it("are not moved onto when an account is refused within a request", async () => {
		const house = aHouse(anAccount("a"), anAccount("b"));
		house.pool.noteUsage("b", onCredits());
		house.play("a", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 3600 } }));
		expect((await house.ask()).words).toBe(gaveUp(house));
		expect(house.tries).toEqual(["a"]);
	});

	it("are left for one that is pinned as for any other", async () => {
		const house = aHouse(anAccount("a"), anAccount("b"));
		hasServed(house, "a");
		await house.pool.pin("a");
		house.pool.noteUsage("a", onCredits());
		expect((await house.ask()).text).toBe("from b");
	});

	it.each([
		["is the only one", [anAccount("a")]],
		["is the only one that is signed in", [anAccount("a"), anAccount("b", { needsLogin: { reason: "x", at: NOW } })]],
		["is the only one that is switched on", [anAccount("a"), anAccount("b", { enabled: false })]],
	])("are spent as pi would by an account that %s", async (_name, rows) => {
		const house = aHouse(...rows);
		house.pool.noteUsage("a", onCredits());
		expect((await house.ask()).text).toBe("from a");
		expect(told(house)).toHaveLength(1);
	});

	it("end with a refusal: the account cools as ever", async () => {
		const house = aHouse(anAccount("a"));
		house.pool.noteUsage("a", onCredits());
		house.play("a", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 3600 } }));
		expect((await house.ask()).words).toBe(gaveUp(house));
		expect((await house.ask()).words).toBe(gaveUp(house));
		expect(house.tries).toEqual(["a"]);
	});

	it("are waited with for an account that only rests", async () => {
		const house = aHouse(anAccount("a"), anAccount("b"));
		house.settings = { ...house.settings, rotation: { ...house.settings.rotation, maxWaitMs: MINUTE_MS } };
		hasServed(house, "a");
		house.pool.noteUsage("a", onCredits());
		const rest = aCooldown({ reason: "rate_limit", until: NOW + 30_000 });
		house.state.memos.set("b", { cooldowns: [rest], strikes: 0 });
		expect((await house.ask()).text).toBe("from b");
		// Not longer than the person would wait: then it goes on as pi would.
		house.state.memos.set("b", { cooldowns: [{ ...rest, until: house.clock.at + 2 * MINUTE_MS }], strikes: 0 });
		hasServed(house, "a");
		expect((await house.ask()).text).toBe("from a");
	});

	it("are not spent because the others are doubted", async () => {
		const house = aHouse(anAccount("a"), anAccount("b"));
		hasServed(house, "a");
		house.pool.noteUsage("a", onCredits());
		house.pool.doubt(["b"]);
		expect((await house.ask()).text).toBe("from b");
	});

	it("are no reason to leave out a seat whose quota they are", async () => {
		const house = aHouse(anAccount("a"), anAccount("b"));
		house.pool.noteUsage("a", aSnapshot({ source: "api", credits: FUNDED }));
		house.pool.noteUsage("b", aSnapshot({ source: "api", windows: [week(95, 6 * DAY_MS)] }));
		expect(house.pool.state(anAccount("a"))).toBe("ready");
		expect(told(house)).toEqual([]);
		hasServed(house, "a");
		expect((await house.ask()).text).toBe("from a");
	});

	it("never come before included quota, and to no session that is not on them, in whatever order usage is told", async () => {
		const percent = fc.constantFrom(0, 40, 99.6, 100, 100, 100, 104);
		const aUsage = fc.record({
			windows: fc.array(fc.record({ usedPercent: percent, windowMinutes: fc.constantFrom(300, 10_080) }), {
				minLength: 1,
				maxLength: 2,
			}),
			budget: fc.constantFrom(undefined, undefined, undefined, 40, 100),
			credits: fc.constantFrom(
				undefined,
				FUNDED,
				FUNDED,
				FUNDED,
				{ ...FUNDED, balance: "0" },
				{ hasCredits: false, unlimited: true },
			),
			limitReached: fc.constantFrom(false, false, true),
			source: fc.constantFrom("api" as const, "headers" as const),
			resetsInMs: fc.constantFrom(undefined, HOUR_MS, DAY_MS, 3 * DAY_MS),
		});
		const id = fc.constantFrom("a", "b", "c");
		const aStep = fc.oneof(
			fc.record({ type: fc.constant("usage" as const), id, usage: aUsage }),
			fc.record({ type: fc.constant("ask" as const), isRefused: fc.constantFrom(true, false, false, false) }),
			fc.record({ type: fc.constant("ask" as const), isRefused: fc.constant(false) }),
			fc.record({ type: fc.constant("pin" as const), id }),
			fc.record({ type: fc.constant("settle" as const), id }),
			fc.record({ type: fc.constant("later" as const), ms: fc.constantFrom(MINUTE_MS, MINUTE_MS, HOUR_MS, DAY_MS) }),
		);
		let spendings = 0;
		const wrong: string[] = [];
		await fc.assert(
			fc.asyncProperty(
				fc.integer({ min: 1, max: 3 }),
				fc.array(aStep, { minLength: 15, maxLength: 40 }),
				async (size, steps) => {
					const rows = ["a", "b", "c"].slice(0, size).map((name) => anAccount(name));
					const house = aHouse(...rows);
					const { clock, pool, affinity } = house;
					let isRefused = false;
					const gate = (name: string) => {
						const { cooldowns, usage } = pool.status(name);
						return gateOf({ account: anAccount(name), cooldowns, usage }, "gpt-5.5", clock.at);
					};
					for (const { id: name } of rows) {
						house.play(name, (options) => {
							const isSpending = creditsUntil(pool.status(name).usage, clock.at) !== undefined;
							if (isSpending) {
								spendings += 1;
								if (size > 1 && affinity.lastServed() !== name) wrong.push(`${name} was moved onto credits`);
								if (rows.some((row) => gate(row.id) === undefined)) wrong.push(`${name} spent beside quota`);
							}
							const kind = gate(name)?.kind;
							if (kind !== (isSpending ? "credits" : undefined)) wrong.push(`${name} was asked behind ${kind}`);
							return isRefused
								? refused(429, { error: { type: "usage_limit_reached" } })(options)
								: answered()(options);
						});
					}
					for (const step of steps) {
						if (step.type === "later") clock.at += step.ms;
						else if (step.type === "ask") {
							isRefused = step.isRefused;
							expect((await house.ask()).ends).toBe(1);
							expect(wrong).toEqual([]);
						} else if (rows.every((row) => row.id !== step.id)) continue;
						else if (step.type === "pin") await pool.pin(step.id);
						else if (step.type === "settle") hasServed(house, step.id);
						else {
							const { budget, resetsInMs, ...usage } = step.usage;
							const resetsAt = resetsInMs === undefined ? undefined : clock.at + resetsInMs;
							const budgets: Budget[] =
								budget === undefined
									? []
									: [{ usedPercent: budget, windowMinutes: 43_200, resetsAt, isReached: false }];
							const windows = usage.windows.map((window) => ({ ...window, resetsAt }));
							pool.noteUsage(step.id, aSnapshot({ ...usage, capturedAt: clock.at, windows, budgets }));
						}
					}
				},
			),
			{ numRuns: 150 },
		);
		// The search has been where credits are spent.
		expect(spendings).toBeGreaterThan(20);
	});
});
