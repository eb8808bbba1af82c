import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AccountId } from "../../../../src/core/ids.ts";
import { creditsUntil, hasFunds } from "../../../../src/core/quota.ts";
import { gateOf } from "../../../../src/core/request/candidate.ts";
import type { Budget, UsageSnapshot } from "../../../../src/core/usage.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";
import { answered, createHarness, failedWith, gaveUp, type Harness, refused } from "../../harness.ts";

const week = (usedPercent: number, resetsInMs = 3 * DAY_MS) => ({
	usedPercent,
	windowMinutes: 10_080,
	resetsAt: NOW + resetsInMs,
});
const FUNDED = { hasCredits: true, unlimited: false, balance: "20" };
const spent = (overrides: Partial<UsageSnapshot> = {}) =>
	aSnapshot({ source: "api", windows: [week(100)], ...overrides });
const onCredits = () => spent({ credits: FUNDED });
const told = (harness: Harness) => harness.told.filter(({ type }) => type === "on-credits");
const hasServed = (harness: Harness, id: AccountId) => void harness.affinity.served(aSessionId("s"), id);

describe("bought credits", () => {
	it("bought credits are not touched while another account has included quota: the session moves to it", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		hasServed(harness, anId("a"));
		harness.pool.noteUsage(anId("a"), onCredits());
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.tries).toEqual(["b"]);
		expect(harness.told.find(({ type }) => type === "rotated")).toMatchObject({
			reason: "usage_limit",
			window: "7d",
			readyAt: NOW + 3 * DAY_MS,
		});
	});

	it("bought credits are spent by the session on that account when nothing else is left, and reported once", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		hasServed(harness, anId("a"));
		harness.pool.noteUsage(anId("a"), onCredits());
		harness.pool.noteUsage(anId("b"), spent());
		for (let time = 0; time < 3; time += 1) expect((await harness.ask()).text).toBe("from a");
		expect(told(harness)).toMatchObject([{ account: { id: "a" }, until: NOW + 3 * DAY_MS }]);
		// Also hours later, when its cache is gone.
		harness.clock.at += 3 * HOUR_MS;
		expect((await harness.ask()).text).toBe("from a");
		expect(told(harness)).toHaveLength(1);
	});

	it("bought credits are spent by no session that is not on the account, pinned or not", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		hasServed(harness, anId("b"));
		harness.pool.noteUsage(anId("a"), onCredits());
		harness.pool.noteUsage(anId("b"), spent());
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		await harness.pool.pin(anId("a"));
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect([harness.tries, harness.exhaustions[0]?.cooling]).toEqual([[], 2]);
	});

	it("bought credits are not moved onto when an account is refused within a request", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		harness.pool.noteUsage(anId("b"), onCredits());
		harness.play("a", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 3600 } }));
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect(harness.tries).toEqual(["a"]);
	});

	it("bought credits are left for one that is pinned as for any other", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		hasServed(harness, anId("a"));
		await harness.pool.pin(anId("a"));
		harness.pool.noteUsage(anId("a"), onCredits());
		expect((await harness.ask()).text).toBe("from b");
	});

	it.each([
		["is the only one", [anAccount("a")]],
		["is the only one that is signed in", [anAccount("a"), anAccount("b", { needsLogin: { reason: "x", at: NOW } })]],
		["is the only one that is switched on", [anAccount("a"), anAccount("b", { enabled: false })]],
	])("bought credits are spent as pi would by an account that %s", async (_name, rows) => {
		const harness = createHarness(...rows);
		harness.pool.noteUsage(anId("a"), onCredits());
		expect((await harness.ask()).text).toBe("from a");
		expect(told(harness)).toHaveLength(1);
	});

	it("bought credits end with a refusal: the account cools as ever", async () => {
		const harness = createHarness(anAccount("a"));
		harness.pool.noteUsage(anId("a"), onCredits());
		harness.play("a", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 3600 } }));
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect(harness.tries).toEqual(["a"]);
	});

	it("bought credits are waited with for an account that only rests", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs: MINUTE_MS } };
		hasServed(harness, anId("a"));
		harness.pool.noteUsage(anId("a"), onCredits());
		const rest = aCooldown({ reason: "rate_limit", until: NOW + 30_000 });
		harness.state.statusById.set(anId("b"), { cooldowns: [rest], strikes: 0 });
		expect((await harness.ask()).text).toBe("from b");
		// Not longer than the person would wait: then it goes on as pi would.
		harness.state.statusById.set(anId("b"), {
			cooldowns: [{ ...rest, until: harness.clock.at + 2 * MINUTE_MS }],
			strikes: 0,
		});
		hasServed(harness, anId("a"));
		expect((await harness.ask()).text).toBe("from a");
	});

	describe("with an account on bought credits, and a request that has tried the other one", () => {
		const aHarness = (maxWaitMs = MINUTE_MS) => {
			const harness = createHarness(anAccount("a"), anAccount("b"));
			harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs } };
			hasServed(harness, anId("a"));
			harness.pool.noteUsage(anId("a"), onCredits());
			harness.pool.noteUsage(anId("b"), aSnapshot({ source: "api", windows: [week(5)] }));
			return harness;
		};
		const throttled = () =>
			refused(429, { error: { code: "rate_limit_exceeded", message: "Try again in 30s." } }, { "retry-after": "30" });

		it("the request waits for an account that is throttled for less than it may wait", async () => {
			const harness = aHarness();
			harness.play("b", throttled(), answered("from b"));
			expect((await harness.ask()).text).toBe("from b");
			expect(harness.tries).toEqual(["b", "b"]);
			expect(told(harness)).toEqual([]);
		});

		it("the request goes on as pi would if the other account stays away for longer, or refuses again", async () => {
			const impatient = aHarness(0);
			impatient.play("b", throttled());
			expect((await impatient.ask()).text).toBe("from a");
			const refusedAgain = aHarness();
			refusedAgain.play("b", throttled(), throttled());
			expect((await refusedAgain.ask()).text).toBe("from a");
			expect(refusedAgain.tries).toEqual(["b", "b", "a"]);
		});

		it.each([
			["a refusal that the request may have caused", () => refused(403, { error: { code: "brand_new" } })],
			["a model at capacity", () => failedWith("Selected model is at capacity. Please try a different model.")],
		])("nothing is spent to find out who is at fault: %s", async (_what, refusal) => {
			const harness = aHarness();
			harness.play("b", refusal());
			expect((await harness.ask()).final?.type).toBe("error");
			expect(harness.tries).toEqual(["b"]);
			expect(told(harness)).toEqual([]);
		});

		it("nothing is spent to find out who is at fault, once a third account is out of quota either", async () => {
			const harness = createHarness(anAccount("a"), anAccount("b"), anAccount("c"));
			hasServed(harness, anId("a"));
			harness.pool.noteUsage(anId("a"), onCredits());
			harness.play("b", refused(403, { error: { code: "brand_new" } }));
			harness.play("c", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 36_000 } }));
			expect((await harness.ask()).final?.type).toBe("error");
			expect(harness.tries).toEqual(["b", "c"]);
			expect(told(harness)).toEqual([]);
		});

		it("the credits are spent as ever if the other account is out of quota", async () => {
			const harness = aHarness();
			harness.play("b", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 36_000 } }));
			expect((await harness.ask()).text).toBe("from a");
			expect(harness.tries).toEqual(["b", "a"]);
		});
	});

	it("bought credits do not stand before a limit of the model's own that has quota left", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		const windows = [{ usedPercent: 10, windowMinutes: 300, resetsAt: NOW + HOUR_MS }];
		const limits = (percent: number) => ({
			codex_x: { models: ["gpt-5.5"], windows: windows.map((window) => ({ ...window, usedPercent: percent })) },
		});
		harness.pool.noteUsage(anId("a"), spent({ credits: FUNDED, limits: limits(10) }));
		harness.pool.noteUsage(anId("b"), spent());
		const candidate = (percent: number) => ({
			account: anAccount("a"),
			cooldowns: [],
			usage: spent({ credits: FUNDED, limits: limits(percent) }),
		});
		expect(gateOf(candidate(10), "gpt-5.5", NOW)).toBeUndefined();
		expect(gateOf(candidate(10), "gpt-6", NOW)).toMatchObject({ kind: "credits" });
		expect(gateOf(candidate(100), "gpt-5.5", NOW)).toMatchObject({ kind: "credits" });
	});

	it("bought credits are not spent because the others are doubted", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		hasServed(harness, anId("a"));
		harness.pool.noteUsage(anId("a"), onCredits());
		harness.pool.doubt([anId("b")]);
		expect((await harness.ask()).text).toBe("from b");
	});

	it("bought credits are no reason to leave out a seat whose quota they are", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		harness.pool.noteUsage(anId("a"), aSnapshot({ source: "api", credits: FUNDED }));
		harness.pool.noteUsage(anId("b"), aSnapshot({ source: "api", windows: [week(95, 6 * DAY_MS)] }));
		expect(harness.pool.state(anAccount("a"))).toBe("ready");
		expect(told(harness)).toEqual([]);
		hasServed(harness, anId("a"));
		expect((await harness.ask()).text).toBe("from a");
	});

	it("bought credits are never used before included quota, and only by a session on that account", async () => {
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
		const id = fc.constantFrom(...["a", "b", "c"].map(anId));
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
					const harness = createHarness(...rows);
					const { clock, pool, affinity } = harness;
					let isRefused = false;
					const gate = (name: AccountId) => {
						const { cooldowns, usage } = pool.status(name);
						return gateOf({ account: anAccount(name), cooldowns, usage }, "gpt-5.5", clock.at);
					};
					for (const { id: name } of rows) {
						harness.play(name, (options) => {
							const isSpending = creditsUntil(pool.status(name).usage, clock.at) !== undefined;
							if (isSpending) {
								spendings += 1;
								if (size > 1 && affinity.lastServed() !== name) wrong.push(`${name} was moved onto credits`);
								if (rows.some((row) => gate(row.id) === undefined)) wrong.push(`${name} spent beside quota`);
							}
							const kind = gate(name)?.kind;
							const isTrial = kind === "cooling" && rows.every((row) => gate(row.id) !== undefined);
							if (isTrial && hasFunds(pool.status(name).usage?.credits)) wrong.push(`${name} was tried beside credits`);
							const expected = isSpending ? "credits" : undefined;
							if (kind !== expected && !isTrial) wrong.push(`${name} was asked behind ${kind}`);
							return isRefused
								? refused(429, { error: { type: "usage_limit_reached" } })(options)
								: answered()(options);
						});
					}
					for (const step of steps) {
						if (step.type === "later") clock.at += step.ms;
						else if (step.type === "ask") {
							isRefused = step.isRefused;
							expect((await harness.ask()).ends).toBe(1);
							expect(wrong).toEqual([]);
						} else if (rows.every((row) => row.id !== step.id)) continue;
						else if (step.type === "pin") await pool.pin(step.id);
						else if (step.type === "settle") hasServed(harness, step.id);
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
			runs(50),
		);
		// The search has been where credits are spent.
		expect(spendings).toBeGreaterThan(20);
	});
});
