import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	type RedeemFacts,
	type ResetCredit,
	redeemable,
	redeemables,
	SOON_MS,
	unexpired,
} from "../../../../src/core/reset-credits/reset-credits.ts";
import type { UsageSnapshot, UsageWindow } from "../../../../src/core/usage.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { runs } from "../../../support/tiers.ts";

const fiveHours = (usedPercent: number, resetsInMs = 2 * HOUR_MS): UsageWindow => ({
	usedPercent,
	windowMinutes: 300,
	resetsAt: NOW + resetsInMs,
});
const week = (usedPercent: number, resetsInMs = 4 * DAY_MS): UsageWindow => ({
	usedPercent,
	windowMinutes: 10_080,
	resetsAt: NOW + resetsInMs,
});
const credit = (id: string, expiresInMs = 20 * DAY_MS): ResetCredit => ({ id, expiresAt: NOW + expiresInMs });
const ENDLESS: ResetCredit = { id: "never", expiresAt: undefined };
const spent = (overrides: Partial<UsageSnapshot> = {}) =>
	aSnapshot({ source: "api", windows: [fiveHours(10), week(100)], ...overrides });
const facts = (overrides: Partial<RedeemFacts> = {}): RedeemFacts => ({
	account: anAccount("a"),
	usage: spent(),
	credits: [credit("c")],
	...overrides,
});
const kindOf = (given: RedeemFacts) => redeemable(given, NOW).kind;

describe("a reset credit of one account", () => {
	it("is redeemed for the spent window that resets last, and says all that it fills again", () => {
		expect(redeemable(facts(), NOW)).toMatchObject({
			kind: "redeemable",
			account: { id: "a" },
			credit: { id: "c" },
			window: "7d",
			resetsAt: NOW + 4 * DAY_MS,
			windows: [{ windowMinutes: 300 }, { windowMinutes: 10_080 }],
		});
		const both = facts({ usage: spent({ windows: [week(100, 2 * HOUR_MS), fiveHours(100, 4 * HOUR_MS)] }) });
		expect(redeemable(both, NOW)).toMatchObject({ window: "5h", resetsAt: NOW + 4 * HOUR_MS });
	});

	it("a reset credit of one account is the one that expires first, and one without an end comes last", () => {
		const credits = [credit("late", 25 * DAY_MS), ENDLESS, credit("soon", 5 * DAY_MS)];
		expect(redeemable(facts({ credits }), NOW)).toMatchObject({ credit: { id: "soon" } });
		expect(unexpired(credits, NOW).map(({ id }) => id)).toEqual(["soon", "late", "never"]);
		expect(redeemable(facts({ credits: [ENDLESS] }), NOW)).toMatchObject({ kind: "redeemable" });
	});

	it("a reset credit of one account is not redeemed within an hour of the reset that comes by itself", () => {
		const resets = (inMs: number) => facts({ usage: spent({ windows: [fiveHours(10), week(100, inMs)] }) });
		expect(redeemable(resets(SOON_MS), NOW)).toEqual({ kind: "resets-soon", at: NOW + SOON_MS });
		expect(kindOf(resets(MINUTE_MS))).toBe("resets-soon");
		expect(kindOf(resets(SOON_MS + 1))).toBe("redeemable");
		// The shorter window resets soon, and the week would keep the account out all the same.
		const windows = [fiveHours(100, 10 * MINUTE_MS), week(100)];
		expect(redeemable(facts({ usage: spent({ windows }) }), NOW)).toMatchObject({ window: "7d" });
	});

	it.each<[string, Partial<RedeemFacts>]>([
		["off", { account: anAccount("a", { enabled: false }) }],
		["signed-out", { account: anAccount("a", { needsLogin: { reason: "revoked", at: NOW } }) }],
		["no-credit", { credits: [] }],
		["expired", { credits: [credit("c", 0), credit("d", -DAY_MS)] }],
		["usage-unknown", { usage: undefined }],
		["not-spent", { usage: spent({ windows: [fiveHours(99.6), week(99)] }) }],
		["not-spent", { usage: spent({ windows: [fiveHours(100, -MINUTE_MS), week(50)] }) }],
		["one-window", { usage: spent({ windows: [week(100)] }) }],
		["one-window", { usage: spent({ windows: [], limitReached: true }) }],
		["budget-spent", { usage: spent({ budgets: [{ ...week(100), windowMinutes: 43_200, isReached: true }] }) }],
		["closed", { closedUntil: NOW + 1 }],
	])("is kept if the account is %s", (kind, given) => {
		expect(kindOf(facts(given))).toBe(kind);
	});

	it("is redeemed if only the server says that the limit is reached", () => {
		const usage = spent({ windows: [fiveHours(98), week(97)], limitReached: true });
		expect(redeemable(facts({ usage }), NOW)).toMatchObject({ kind: "redeemable", window: "5h" });
	});

	it("is redeemed if nothing is known of the next reset", () => {
		const usage = spent({ windows: [fiveHours(0), { ...week(100), resetsAt: undefined }] });
		expect(redeemable(facts({ usage }), NOW)).toMatchObject({ kind: "redeemable", resetsAt: undefined });
	});
});

describe("the reset credits of a pool", () => {
	const on = (id: string, given: Partial<RedeemFacts>) => facts({ account: anAccount(id), ...given });
	const order = (pool: readonly RedeemFacts[]) =>
		redeemables(pool, NOW).map((each) => [each.account.id, each.credit.id]);

	it("reset credits are redeemed first if most is given back: by time, by use, and by the size of the plan", () => {
		const resets = (inMs: number, used = 100) => ({ usage: spent({ windows: [fiveHours(0), week(used, inMs)] }) });
		expect(order([on("a", resets(3 * HOUR_MS)), on("b", resets(6 * DAY_MS))])).toEqual([
			["b", "c"],
			["a", "c"],
		]);
		const short = { usage: spent({ windows: [fiveHours(100), week(20)] }) };
		expect(order([on("a", short), on("b", resets(4 * DAY_MS))])[0]?.[0]).toBe("b");
		const pro = { usage: spent({ plan: "pro" }) };
		expect(order([on("a", {}), on("b", pro)])[0]?.[0]).toBe("b");
	});

	it("reset credits that would be lost within three days are redeemed first, the first to expire before the others", () => {
		const little = { usage: spent({ windows: [fiveHours(0), week(100, 2 * HOUR_MS)] }) };
		const pool = [
			on("a", { credits: [credit("far")] }),
			on("b", { ...little, credits: [credit("two-days", 2.5 * DAY_MS)] }),
			on("c", { ...little, credits: [credit("hours", 5 * HOUR_MS), credit("later")] }),
		];
		expect(order(pool)).toEqual([
			["c", "hours"],
			["b", "two-days"],
			["a", "far"],
		]);
	});

	it("reset credits are never offered if one rule forbids it, whatever the figures", () => {
		const window = fc.record({
			usedPercent: fc.integer({ min: 0, max: 120 }),
			windowMinutes: fc.constantFrom(300, 10_080, 43_200),
			resetsAt: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 30 * DAY_MS }), { nil: undefined }),
		});
		const credits = fc.array(
			fc.record({
				id: fc.string(),
				expiresAt: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 40 * DAY_MS }), { nil: undefined }),
			}),
			{ maxLength: 4 },
		);
		fc.assert(
			fc.property(fc.array(window, { maxLength: 3 }), credits, fc.boolean(), (windows, list, limitReached) => {
				const given = facts({ usage: spent({ windows, limitReached }), credits: list });
				const found = redeemable(given, NOW);
				if (found.kind !== "redeemable") return;
				expect(found.credit.expiresAt ?? NOW + 1).toBeGreaterThan(NOW);
				expect((found.resetsAt ?? Number.MAX_SAFE_INTEGER) - NOW).toBeGreaterThan(SOON_MS);
				expect(windows.length).toBeGreaterThan(1);
				expect(Number.isFinite(found.gain) && found.gain >= 0).toBe(true);
			}),
			runs(200),
		);
	});
});
