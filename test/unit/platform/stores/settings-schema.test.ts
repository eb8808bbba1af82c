import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import {
	BEYOND_PREFERENCES,
	commandIn,
	FOOTER_PREFERENCES,
	GENERAL_PREFERENCES,
	NOTIFY_PREFERENCES,
	type Preference,
	ROTATION_PREFERENCES,
} from "../../../../src/platform/stores/settings-schema.ts";
import { DAY_MS } from "../../../support/fakes.ts";

const { rotation: defaults } = DEFAULT_SETTINGS;
const called = (key: string) => {
	const found = ROTATION_PREFERENCES.find((preference) => preference.key === key);
	if (!found) throw new Error(`no ${key}`);
	return found;
};

it("every setting is read by a preference, except groups and what has a reader of its own", () => {
	const typed = (choice: string): unknown => (/^(\d+|true|false)$/.test(choice) ? JSON.parse(choice) : choice);
	const unread = <G extends object>(defaults: G, preferences: readonly Preference<G>[]) => {
		const results = preferences.flatMap(({ choices, read }) =>
			choices.map((choice) => read(typed(choice), defaults) ?? defaults),
		);
		const fields = Object.keys(defaults) as (keyof G)[];
		return fields.filter((field) => results.every((each) => each[field] === defaults[field]));
	};
	const { rotation, beyond, footer, notify } = DEFAULT_SETTINGS;
	expect(unread(rotation, ROTATION_PREFERENCES)).toEqual([]);
	expect(unread(beyond, BEYOND_PREFERENCES)).toEqual(["chain"]);
	expect(unread(footer, FOOTER_PREFERENCES)).toEqual([]);
	expect(unread(notify, NOTIFY_PREFERENCES)).toEqual(["command"]);
	expect(unread(DEFAULT_SETTINGS, GENERAL_PREFERENCES)).toEqual([
		"rotation",
		"beyond",
		"caps",
		"sets",
		"footer",
		"notify",
	]);
});

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
		["1.5h", "90m"],
		["1,5 h", "90m"],
		["1h30m", "90m"],
		["1h 30 min", "90m"],
		["1h30", "90m"],
		["1 hour 30 minutes", "90m"],
		["45 min", "45m"],
		["90 Seconds", "90s"],
		["2d", "48h"],
		["2 days", "48h"],
		["1d12h", "36h"],
		["1 week", "168h"],
		["0.5m", "30s"],
		["0.4s", "0s"],
		["0", "0s"],
		[" 8h ", "8h"],
	])("a value of rotation that is the duration %s is written %s", (typed, written) => {
		const { read, stored } = called("maxWait");
		const next = read(typed, defaults);
		expect(next && stored(next)).toBe(written);
	});

	it.each([
		"60",
		"1h30m15",
		"30m1h",
		"5m5m",
		"h",
		"1x",
		"1 fortnight",
		"1h-30m",
		"-5s",
		"1..5h",
		"1e3s",
		"5 5m",
		"1:30",
		"∞",
		"367d",
		"9".repeat(99),
	])("a value of rotation that is no duration, or one that may mean anything, is left alone: %s", (typed) => {
		expect(called("maxWait").read(typed, defaults)).toBeUndefined();
	});

	it.each(ROTATION_PREFERENCES.map((preference) => [preference.key, preference] as const))(
		"has its default among what is offered: %s",
		(_key, { choices, stored }) => {
			expect(choices).toContain(String(stored(defaults)));
		},
	);

	it("a value of rotation that is a duration is the same after it was written and read again", () => {
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

	it("a reserve leaves the other windows alone", () => {
		const reserved = called("reserve.5h").read(10, { ...defaults, reserve: { "7d": 20, "30d": 5 } });
		expect(reserved?.reserve).toEqual({ "5h": 10, "7d": 20, "30d": 5 });
	});
});

describe("a value of notify", () => {
	const { notify } = DEFAULT_SETTINGS;
	const readAs = (key: string) => {
		const found = NOTIFY_PREFERENCES.find((preference) => preference.key === key);
		if (!found) throw new Error(`no ${key}`);
		return (value: unknown) => {
			const next = found.read(value, notify);
			return next && found.stored(next);
		};
	};

	it.each(NOTIFY_PREFERENCES.map((preference) => [preference.key, preference] as const))(
		"is read as it is offered and stored, and not for what will not do: %s",
		(_key, { choices, read, stored }) => {
			expect(choices).toContain(String(stored(notify)));
			for (const choice of choices) {
				const next = read(/^\d+$/.test(choice) ? Number(choice) : choice, notify);
				expect(next && stored(next)).toBe(choice);
			}
			for (const bad of [undefined, null, "", "x", -1, 0.5, Number.NaN, 1e9, true, {}]) {
				expect(read(bad, notify)).toBeUndefined();
			}
		},
	);

	it.each([
		["22:00-08:00", "22:00-08:00"],
		["22-8", "22:00-08:00"],
		["9:30 - 17", "09:30-17:00"],
		["2230–0700", "22:30-07:00"],
		["22 to 8", "22:00-08:00"],
		["20:00-24:00", "20:00-00:00"],
		["OFF", "off"],
	])("quiet hours typed as %s are %s", (typed, written) => {
		expect(readAs("quiet")(typed)).toBe(written);
	});

	it.each(["25:00-8:00", "22:60-8:00", "24:01-8", "8-8", "22:00", "22:00-", "night", "-1-8", "22:00-08:00-09:00"])(
		"quiet hours that are none stay as they are: %s",
		(typed) => {
			expect(readAs("quiet")(typed)).toBeUndefined();
		},
	);

	it.each([
		["5,25,10", "25,10,5"],
		["25, 10, 5", "25,10,5"],
		["25% 10%", "25,10"],
		["10,10", "10"],
		[10, "10"],
		[[5, 25], "25,5"],
		[[], "off"],
		["Off", "off"],
	] as const)("thresholds given as %j are %s", (given, written) => {
		expect(readAs("warnAt")(given)).toBe(written);
	});

	it.each(["0", "51", "25,0", "1.5", "25,x", "1,2,3,4,5,6", [0], ["5"]] as const)(
		"thresholds that are none stay as they are: %j",
		(given) => {
			expect(readAs("warnAt")(given)).toBeUndefined();
		},
	);

	it.each([
		[["notify-send", "Codex", ""], true],
		[[], true],
		[[""], false],
		[["a\0b"], false],
		["notify-send Codex", false],
		[[1], false],
		[Array.from({ length: 51 }, () => "x"), false],
		[null, false],
	] as const)("a command is a list of a program and its arguments: %j", (given, isOne) => {
		expect(commandIn(given)).toEqual(isOne ? given : undefined);
	});
});
