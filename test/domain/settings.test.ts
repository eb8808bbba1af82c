import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS, ROTATION_PREFERENCES } from "../../src/domain/settings.ts";
import { DAY_MS } from "../support/fakes.ts";

const { rotation: defaults } = DEFAULT_SETTINGS;
const called = (key: string) => {
	const found = ROTATION_PREFERENCES.find((preference) => preference.key === key);
	if (!found) throw new Error(`no ${key}`);
	return found;
};

describe("a value of rotation", () => {
	it.each(ROTATION_PREFERENCES.map((preference) => [preference.key, preference] as const))(
		"is stored as it is read: %s, by default",
		(_key, { read, stored }) => {
			expect(read(stored(defaults), defaults)).toEqual(defaults);
		},
	);

	it.each(ROTATION_PREFERENCES.map((preference) => [preference.key, preference] as const))(
		"changes itself alone, and nothing for what will not do: %s",
		(_key, { choices, read, stored }) => {
			for (const choice of choices) {
				const value = /^\d+$/.test(choice) ? Number(choice) : choice;
				const next = read(value, defaults);
				expect(next).toBeDefined();
				for (const other of ROTATION_PREFERENCES) {
					if (next && other.stored !== stored) expect(other.stored(next)).toEqual(other.stored(defaults));
				}
			}
			for (const bad of [undefined, null, "", "x", -1, 0.5, Number.NaN, 1e9, true, [], {}]) {
				expect(read(bad, defaults)).toBeUndefined();
			}
		},
	);

	it.each([
		["0s", "0s"],
		["60s", "60s"],
		["1m", "60s"],
		["61s", "61s"],
		["120s", "2m"],
		["90m", "90m"],
		["3600s", "1h"],
		["1d", "24h"],
		["366d", "8784h"],
	])("that is the duration %s is written %s", (typed, written) => {
		const { read, stored } = called("maxWait");
		const next = read(typed, defaults);
		expect(next && stored(next)).toBe(written);
	});

	it("that is a duration is the same after it was written and read again", () => {
		const { read, stored } = called("cooldown");
		fc.assert(
			fc.property(fc.nat(9_999_999), fc.constantFrom("s", "m", "h", "d"), (count, unit) => {
				const once = read(`${count}${unit}`, defaults);
				if (!once) return;
				expect(once.cooldownMs).toBeLessThanOrEqual(366 * DAY_MS);
				expect(read(stored(once), defaults)).toEqual(once);
			}),
		);
	});

	it("of the reserve leaves the other windows alone", () => {
		const reserved = called("reserve.5h").read(10, { ...defaults, reserve: { "7d": 20, "30d": 5 } });
		expect(reserved?.reserve).toEqual({ "5h": 10, "7d": 20, "30d": 5 });
	});
});
