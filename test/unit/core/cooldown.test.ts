import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	activeCooldowns,
	type Cooldown,
	type CooldownScope,
	covers,
	FURTHEST_RESET_MS,
	mergeCooldown,
	readyAt,
} from "../../../src/core/cooldown.ts";
import { aCooldown, DAY_MS, HOUR_MS, NOW } from "../../support/fakes.ts";

const scopes: readonly CooldownScope[] = ["account", "limit:codex_bengalfox", "model:gpt-5.5"];

/** A cooldown as evidence gives it: ahead of now, and not absurdly far. */
const aLiveCooldown: fc.Arbitrary<Cooldown> = fc.record({
	scope: fc.constantFrom(...scopes),
	reason: fc.constantFrom("usage_limit" as const, "rate_limit" as const),
	until: fc.integer({ min: NOW + 1, max: NOW + FURTHEST_RESET_MS }),
	setAt: fc.integer({ min: NOW - DAY_MS, max: NOW }),
	models: fc.uniqueArray(fc.constantFrom("gpt-5.5", "gpt-5.3-codex-spark", "gpt-6")),
});

const mergeAll = (cooldowns: readonly Cooldown[]) =>
	cooldowns.reduce<readonly Cooldown[]>((merged, next) => mergeCooldown(merged, next, NOW), []);
const untils = (cooldowns: readonly Cooldown[]) =>
	Object.fromEntries(cooldowns.map(({ scope, until }) => [scope, until]));

describe("merging cooldowns", () => {
	it("never shortens one", () => {
		fc.assert(
			fc.property(fc.array(aLiveCooldown), aLiveCooldown, (earlier, next) => {
				const before = mergeAll(earlier);
				const after = mergeCooldown(before, next, NOW);
				for (const cooldown of [...before, next]) {
					const kept = after.find(({ scope }) => scope === cooldown.scope);
					expect(kept?.until).toBeGreaterThanOrEqual(cooldown.until);
				}
			}),
		);
	});

	it("comes to the same end in whatever order they are seen", () => {
		const shuffled = fc
			.array(aLiveCooldown, { minLength: 1, maxLength: 8 })
			.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })));
		fc.assert(
			fc.property(shuffled, ([list, other]) => {
				expect(untils(mergeAll(other))).toEqual(untils(mergeAll(list)));
			}),
		);
	});

	it("keeps one entry a scope, with every model that was refused", () => {
		fc.assert(
			fc.property(fc.array(aLiveCooldown), (list) => {
				const merged = mergeAll(list);
				expect(new Set(merged.map(({ scope }) => scope)).size).toBe(merged.length);
				for (const { scope, models } of list) {
					const kept = merged.find((each) => each.scope === scope);
					expect(kept?.models).toEqual(expect.arrayContaining([...models]));
				}
			}),
		);
	});

	it("does not let a 30 s retry-after erase a weekly block", () => {
		const weekly = aCooldown({ until: NOW + 5 * DAY_MS });
		const brief = aCooldown({ reason: "rate_limit", until: NOW + 30_000, setAt: NOW + 1000 });
		expect(mergeCooldown([weekly], brief, NOW + 1000)).toEqual([{ ...weekly, setAt: NOW + 1000 }]);
	});

	it("does not let an absurd reset take a real one out of force", () => {
		const weekly = aCooldown({ until: NOW + 5 * DAY_MS });
		const absurd = aCooldown({ until: NOW + FURTHEST_RESET_MS + HOUR_MS });
		expect(readyAt(mergeCooldown([weekly], absurd, NOW), undefined, NOW)).toBe(weekly.until);
		expect(readyAt(mergeCooldown([absurd], weekly, NOW), undefined, NOW)).toBe(weekly.until);
	});

	it("drops what has ended on the way", () => {
		const ended = aCooldown({ scope: "model:gpt-6", until: NOW });
		expect(mergeCooldown([ended], aCooldown(), NOW)).toEqual([aCooldown()]);
	});

	it("changes none of its arguments", () => {
		const list = Object.freeze([Object.freeze(aCooldown())]);
		expect(() => mergeCooldown(list, Object.freeze(aCooldown({ until: NOW + DAY_MS })), NOW)).not.toThrow();
	});
});

describe("active cooldowns", () => {
	it.each([
		["ended a moment ago", NOW - 1, false],
		["end now", NOW, false],
		["end in a moment", NOW + 1, true],
		["end in exactly 366 days", NOW + FURTHEST_RESET_MS, true],
		["would end later than in 366 days", NOW + FURTHEST_RESET_MS + 1, false],
		["have no end", Number.POSITIVE_INFINITY, false],
		["have a broken end", Number.NaN, false],
	])("active cooldowns that %s", (_name, until, isActive) => {
		expect(activeCooldowns([aCooldown({ until })], NOW)).toHaveLength(isActive ? 1 : 0);
	});

	it("active cooldowns are 366 days at most", () => {
		expect(FURTHEST_RESET_MS).toBe(366 * DAY_MS);
	});
});

describe("what a cooldown covers", () => {
	it("is every model for the account", () => {
		expect(covers(aCooldown(), "gpt-5.5")).toBe(true);
		expect(covers(aCooldown(), undefined)).toBe(true);
	});

	it("a cooldown for a model is its own model alone", () => {
		expect(covers(aCooldown({ scope: "model:gpt-5.5" }), "gpt-5.5")).toBe(true);
		expect(covers(aCooldown({ scope: "model:gpt-5.5" }), "gpt-5.5-mini")).toBe(false);
		expect(covers(aCooldown({ scope: "model:gpt-5.5" }), undefined)).toBe(false);
	});

	it("a cooldown for a model is the models that were refused on a metered limit", () => {
		const spark = aCooldown({ scope: "limit:codex_bengalfox", models: ["gpt-5.3-codex-spark"] });
		expect(covers(spark, "gpt-5.3-codex-spark")).toBe(true);
		expect(covers(spark, "gpt-5.5")).toBe(false);
	});
});

describe("the time of return", () => {
	it("the time of return is the latest end of what covers the model", () => {
		const cooldowns = [
			aCooldown({ until: NOW + HOUR_MS }),
			aCooldown({ scope: "model:gpt-5.5", until: NOW + DAY_MS }),
			aCooldown({ scope: "model:gpt-6", until: NOW + 2 * DAY_MS }),
		];
		expect(readyAt(cooldowns, "gpt-5.5", NOW)).toBe(NOW + DAY_MS);
		expect(readyAt(cooldowns, undefined, NOW)).toBe(NOW + HOUR_MS);
	});

	it("is now if nothing covers it", () => {
		expect(readyAt([aCooldown({ until: NOW - 1 })], "gpt-5.5", NOW)).toBe(NOW);
	});

	it("keeps a model out that it makes no exception of, and that one only until it is refused itself", () => {
		const rest = aCooldown({ except: ["spark"] });
		expect([covers(rest, "spark"), covers(rest, "gpt-5.5"), covers(rest, undefined)]).toEqual([false, true, true]);
		const merged = (next: Parameters<typeof aCooldown>[0]) => mergeCooldown([rest], aCooldown(next), NOW)[0];
		expect(merged({ models: ["gpt-5.5"] })?.except).toEqual(["spark"]);
		expect(merged({ reason: "rate_limit" })?.except).toEqual(["spark"]);
		expect(merged({ models: ["spark"] })?.except).toBeUndefined();
		expect(merged({ reason: "unauthorized" })?.except).toBeUndefined();
	});
});
