import { visibleWidth } from "@mariozechner/pi-tui";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	alignColumns,
	asWord,
	formatClock,
	formatCount,
	formatCountdown,
	formatDuration,
	formatPast,
	formatPercent,
	hanging,
	plural,
	truncate,
	windowLabel,
} from "../../../src/ui-kit/format.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS } from "../../support/fakes.ts";

describe("a duration", () => {
	it.each([
		[-HOUR_MS, "<1m"],
		[0, "<1m"],
		[MINUTE_MS - 1, "<1m"],
		[MINUTE_MS, "1m"],
		[42 * MINUTE_MS + 59_000, "42m"],
		[HOUR_MS, "1h00m"],
		[67 * MINUTE_MS, "1h07m"],
		[DAY_MS - 1, "23h59m"],
		[DAY_MS, "1d00h"],
		[6 * DAY_MS + 20 * HOUR_MS, "6d20h"],
		[100 * DAY_MS - 1, "99d23h"],
		[100 * DAY_MS, "over 99d"],
		[Number.POSITIVE_INFINITY, "over 99d"],
	])("a duration of %d ms is %s", (ms, text) => {
		expect(formatDuration(ms)).toBe(text);
	});

	it("never has three digits in a row", () => {
		for (let minutes = 0; minutes <= 366 * 24 * 60; minutes += 1) {
			if (/\d{3}/.test(formatDuration(minutes * MINUTE_MS))) expect.fail(`${minutes} minutes`);
		}
	});

	it.each([
		[-5, "0s"],
		[1, "1s"],
		[41_001, "42s"],
		[MINUTE_MS - 1, "60s"],
		[MINUTE_MS, "1m"],
		[HOUR_MS, "1h00m"],
	])("a countdown of %d ms reads %s", (ms, text) => {
		expect(formatCountdown(ms)).toBe(text);
	});
});

describe("a moment", () => {
	const noon = new Date(2026, 10, 20, 12, 0).getTime();

	it.each([
		["today", new Date(2026, 10, 20, 14, 5).getTime(), "14:05"],
		["this morning", new Date(2026, 10, 20, 0, 0).getTime(), "00:00"],
		["tomorrow", new Date(2026, 10, 21, 9, 30).getTime(), "Sat 09:30"],
		["in five days", new Date(2026, 10, 25, 12, 0).getTime(), "Wed 12:00"],
		["in six days", new Date(2026, 10, 26, 12, 0).getTime(), "26 Nov"],
		["next month", new Date(2026, 11, 12, 8, 0).getTime(), "12 Dec"],
		["next year", new Date(2027, 0, 1, 8, 0).getTime(), "1 Jan"],
	])("%s", (_name, at, text) => {
		expect(formatClock(at, noon)).toBe(text);
	});

	it.each([1e300, -1e300, 8.64e15, Number.MAX_VALUE])("that no calendar has, %d, is still words", (at) => {
		expect(formatClock(at, noon)).toMatch(/^\d+ [A-Z][a-z]{2}$|^[A-Z][a-z]{2} \d\d:\d\d$/);
		expect(formatPast(at, noon)).toMatch(/^\d+ [A-Z][a-z]{2} \d\d:\d\d$/);
	});

	it("is never the bare hour of another day", () => {
		for (let hours = 0; hours < 24 * 366; hours += 1) {
			const at = noon + hours * HOUR_MS;
			const isToday = new Date(at).toDateString() === new Date(noon).toDateString();
			expect([hours, /^\d\d:\d\d$/.test(formatClock(at, noon))]).toEqual([hours, isToday]);
		}
	});
});

describe("a percentage", () => {
	it.each([
		[0, "0%"],
		[0.4, "<1%"],
		[1, "1%"],
		[72.9, "72%"],
		[99.6, "99%"],
		[100, "100%"],
		[130, "100%"],
		[-3, "0%"],
	])("a percentage of %d is %s", (percent, text) => {
		expect(formatPercent(percent)).toBe(text);
	});
});

describe("a count", () => {
	it.each([
		[0, "0 accounts"],
		[1, "1 account"],
		[99, "99 accounts"],
		[100, "over 99 accounts"],
		[1200, "over 99 accounts"],
	])("a count of %i is %s", (count, text) => {
		expect(plural(count, "account")).toBe(text);
		expect(text.startsWith(formatCount(count))).toBe(true);
	});
});

describe("a window in running text", () => {
	it.each([
		["7d", "week"],
		["30d", "month"],
		["5h", "5h"],
		["1d", "1d"],
	])("%s is %s", (name, text) => {
		expect(windowLabel(name)).toBe(text);
	});
});

describe("a label as it is typed in a command", () => {
	it.each([
		["work", "work"],
		["day job", '"day job"'],
		["職 場", '"職 場"'],
		["it's", "it's"],
	])("%s is %s", (label, word) => {
		expect(asWord(label)).toBe(word);
	});
});

describe("the beginning of a text that is too long", () => {
	it("the beginning of a text that is too long is as much of it as fits, in whole characters", () => {
		expect(["cut me", "職場の人", "👩‍👩‍👧👩‍👩‍👧👩‍👩‍👧", "e\u0301te\u0301s"].map((text) => truncate(text, 4))).toEqual([
			"cut…",
			"職…",
			"👩‍👩‍👧…",
			"e\u0301te\u0301s",
		]);
		expect([truncate("ab", 1), truncate("ab", 0), truncate("ab", -1), truncate("", 0)]).toEqual(["…", "", "", ""]);
	});

	it("never takes more columns than there are", () => {
		fc.assert(
			fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), fc.integer({ min: 0, max: 20 }), (text, columns) => {
				const shown = truncate(text, columns);
				expect(visibleWidth(shown)).toBeLessThanOrEqual(columns);
				if (shown !== text && columns > 0) expect(text.startsWith(shown.slice(0, -1))).toBe(true);
			}),
		);
	});
});

it("cells of a column stand below each other, whatever their characters are wide", () => {
	expect(
		alignColumns([
			["a", "職場", "x"],
			["bcd", "e"],
			["", "", ""],
		]),
	).toEqual(["a    職場  x", "bcd  e", ""]);
	expect(alignColumns([])).toEqual([]);
});

describe("a text behind a head", () => {
	it("goes on below its own beginning, and loses nothing", () => {
		expect(hanging("5h  ", "73% left, resets 14:57", 16)).toEqual(["5h  73% left,", "    resets 14:57"]);
		expect(hanging("5h  ", "73% left", 16)).toEqual(["5h  73% left"]);
	});

	it("stands below the head, indented, if little room is beside it", () => {
		expect(hanging("limit bengalfox  ", "40% left, resets 14:57", 20)).toEqual([
			"limit bengalfox",
			"    40% left, resets",
			"    14:57",
		]);
		expect(hanging("limit bengalfox  ", "40%", 20)).toEqual(["limit bengalfox  40%"]);
	});

	it("fits any width, and holds every character", () => {
		fc.assert(
			fc.property(
				fc.stringMatching(/^[a-z職]{0,12}$/),
				fc.stringMatching(/^[a-z職場]{1,8}( [a-z職場]{1,8}){0,6}$/),
				fc.integer({ min: 2, max: 80 }),
				(head, text, columns) => {
					const lines = hanging(head, text, columns);
					for (const line of lines) expect(visibleWidth(line)).toBeLessThanOrEqual(columns);
					expect(lines.join("").replaceAll(" ", "")).toBe(`${head}${text}`.replaceAll(" ", ""));
				},
			),
		);
	});
});

it("a moment in the past is a time today, else has its day", () => {
	const now = new Date(2026, 10, 20, 14, 32).getTime();
	expect(formatPast(new Date(2026, 10, 20, 0, 5).getTime(), now)).toBe("00:05");
	expect(formatPast(new Date(2026, 10, 19, 23, 59).getTime(), now)).toBe("19 Nov 23:59");
});
