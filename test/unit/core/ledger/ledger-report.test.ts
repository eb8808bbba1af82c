import { describe, expect, it } from "vitest";
import { daysBefore, type LedgerRow, NOTHING } from "../../../../src/core/ledger/ledger.ts";
import { type Grouping, type Period, reportOf, usedToday } from "../../../../src/core/ledger/ledger-report.ts";
import { anId } from "../../../support/ids.ts";

const NOW = new Date(2026, 10, 30, 12).getTime();
const TODAY = "2026-11-30";
const aRow = (ago: number, row: Partial<LedgerRow> = {}): LedgerRow => ({
	...NOTHING,
	period: daysBefore(TODAY, ago),
	account: anId("a"),
	project: "/p",
	model: "gpt-5.5",
	requests: 1,
	input: 10,
	...row,
});
const keys = (rows: readonly LedgerRow[], period: Period, by: Grouping) =>
	reportOf(rows, period, by, NOW).groups.map(({ key, amounts }) => `${key} ${amounts.requests}`);

describe("a report", () => {
	it("is of today, of the last 7 or 30 days, or of all, each with today", () => {
		const rows = [0, 1, 6, 7, 29, 30, 80].map((ago) => aRow(ago));
		const requests = (period: Period) => reportOf(rows, period, "account", NOW).total.amounts.requests;
		expect([requests("today"), requests("week"), requests("month"), requests("all")]).toEqual([1, 3, 5, 7]);
	});

	it("begins with what took the most tokens, and ends with what is kept of several together", () => {
		const rows = [
			aRow(0, { account: undefined, input: 99 }),
			aRow(0, { account: anId("b"), input: 1 }),
			aRow(0, { account: anId("c"), output: 50 }),
			aRow(1, { account: anId("b"), input: 1 }),
		];
		expect(keys(rows, "week", "account")).toEqual(["c 1", "b 2", "undefined 1"]);
	});

	it("lists projects, models, and days with the newest first", () => {
		const rows = [aRow(0), aRow(1, { project: "/q", model: "m" }), aRow(1)];
		expect(keys(rows, "week", "project")).toEqual(["/p 2", "/q 1"]);
		expect(keys(rows, "week", "model")).toEqual(["gpt-5.5 2", "m 1"]);
		expect(keys(rows, "week", "day")).toEqual(["2026-11-30 1", "2026-11-29 2"]);
	});

	it("lists months if it is of all that is kept", () => {
		expect(keys([aRow(0), aRow(40), aRow(0, { period: "2026-10" })], "all", "day")).toEqual(["2026-11 1", "2026-10 2"]);
	});

	it("leaves out what was not used in its period, although it was in the days that a course shows", () => {
		const rows = [aRow(0), aRow(3, { account: anId("b") })];
		expect(keys(rows, "today", "account")).toEqual(["a 1"]);
		expect(reportOf(rows, "today", "account", NOW).total.course).toEqual([0, 0, 0, 10, 0, 0, 10]);
	});

	it("has the course of the days up to now, and of the months for all", () => {
		const rows = [aRow(0, { cached: 5, output: 1 }), aRow(2), aRow(45)];
		const { steps, groups } = reportOf(rows, "week", "account", NOW);
		expect([steps.at(0), steps.at(-1), groups[0]?.course]).toEqual(["2026-11-24", TODAY, [0, 0, 0, 0, 10, 0, 16]]);
		const all = reportOf(rows, "all", "account", NOW);
		expect([all.steps.at(0), all.steps.length, all.groups[0]?.course.slice(-2)]).toEqual(["2025-12", 12, [10, 26]]);
	});

	it("counts a month that a very large ledger has joined early if it touches the period, and never for today", () => {
		const rows = [aRow(0, { period: "2026-11", requests: 5 }), aRow(0, { period: "2026-10", requests: 9 })];
		expect(keys(rows, "month", "account")).toEqual(["a 5"]);
		expect(keys(rows, "today", "account")).toEqual([]);
	});
});

it("what an account was used for today is nothing if it only was left or refused", () => {
	const rows = [
		aRow(0),
		aRow(0, { project: "/q" }),
		aRow(1),
		aRow(0, { account: anId("b"), requests: 0, rotations: 2 }),
	];
	expect(usedToday(rows, anId("a"), NOW)).toEqual({ ...NOTHING, requests: 2, input: 20 });
	expect([usedToday(rows, anId("b"), NOW), usedToday(rows, anId("c"), NOW)]).toEqual([undefined, undefined]);
});
