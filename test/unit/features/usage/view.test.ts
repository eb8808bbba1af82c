import { visibleWidth } from "@mariozechner/pi-tui";
import { describe, expect, it } from "vitest";
import { dayOf, daysBefore, type LedgerRow, NOTHING } from "../../../../src/core/ledger/ledger.ts";
import { type Grouping, type Period, reportOf } from "../../../../src/core/ledger/ledger-report.ts";
import { tableOf } from "../../../../src/features/usage/table.ts";
import { COST_NOTE, refusalsText, sparkline } from "../../../../src/features/usage/texts.ts";
import { type UsageView, usageAsJson, usageAsText } from "../../../../src/features/usage/view.ts";
import { usageSchema } from "../../../../src/pi/json-schemas.ts";
import { costText, countText } from "../../../../src/ui-kit/amount-texts.ts";
import { anAccount, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const TODAY = dayOf(NOW);
const accounts = [anAccount("work", { id: anId("1") }), anAccount("side", { id: anId("2") })];
const aRow = (row: Partial<LedgerRow> = {}): LedgerRow => ({
	...NOTHING,
	period: TODAY,
	account: anId("1"),
	project: "/home/me/web",
	model: "gpt-5.5",
	requests: 4,
	input: 1200,
	cached: 2_100_000,
	output: 340,
	cost: 3.2,
	...row,
});
const rows = [
	aRow(),
	aRow({
		account: anId("2"),
		project: "/srv/web",
		model: "m",
		requests: 1,
		cached: 0,
		cost: 0.001,
		refusals: 2,
		refusedMs: 61_000,
	}),
	aRow({ period: daysBefore(TODAY, 2), rotations: 1 }),
	aRow({ account: anId("gone"), project: undefined, requests: 1, cached: 0, input: 1 }),
];
const viewOf = (period: Period, by: Grouping, of = rows, isOn = true) => ({
	report: reportOf(of, period, by, NOW),
	accounts,
	isOn,
});
const tableIn = (view: UsageView, width: number) => tableOf(view.report, view.accounts, width);
const named = (by: Grouping) => tableIn(viewOf("week", by), 100).rows.map((row) => row.split(/ {2,}/)[0]);

describe("figures in words", () => {
	it("figures in words are short, and no thousand of a unit", () => {
		expect([0, 999, 999.6, 1000, 4100, 9960, 310_400, 999_600, 2_100_000, 3e9].map(countText)).toEqual([
			"0",
			"999",
			"1.0k",
			"1.0k",
			"4.1k",
			"10k",
			"310k",
			"1.0M",
			"2.1M",
			"3.0B",
		]);
	});

	it("never show a little money as none", () => {
		expect([0, 0.001, 3.2, 999.4, 1234].map(costText)).toEqual(["$0.00", "<$0.01", "$3.20", "$999.40", "$1.2k"]);
	});

	it("figures in words say how often an account refused, and how long that took", () => {
		expect(
			[0, 400, 61_000].map((refusedMs) => refusalsText({ ...NOTHING, refusals: refusedMs ? 2 : 0, refusedMs })),
		).toEqual(["0", "2 (<1s)", "2 (1m)"]);
	});

	it("figures in words are bars in a course of time, and a dot if there was nothing", () => {
		expect([sparkline([0, 1, 50, 100], 4), sparkline([9, 0, 0], 2), sparkline([], 7)]).toEqual(["·▁▄█", "··", ""]);
	});
});

describe("the table of a report", () => {
	it("names accounts by their labels, and one that has left by its id", () => {
		expect(named("account")).toEqual(["work", "side", "gone"]);
	});

	it("names projects by as much of their folders as tells them apart", () => {
		expect(named("project")).toEqual(["me/web", "srv/web", "other folders"]);
	});

	it("names models, days and months", () => {
		expect(named("model")).toEqual(["gpt-5.5", "m"]);
		expect(named("day")).toEqual(["20 Nov", "18 Nov"]);
		expect(tableIn(viewOf("all", "day"), 100).rows).toHaveLength(1);
	});

	it("has fewer figures with less room, the cost to the last, and no line is too wide", () => {
		const headings = [120, 80, 60, 40, 30].map((width) => tableIn(viewOf("week", "account"), width).heading);
		expect(headings.map((heading) => heading.split(/ {2,}/).length)).toEqual([9, 9, 7, 4, 3]);
		expect(headings.every((heading) => heading.includes("cost"))).toBe(true);
		for (let width = 12; width <= 130; width += 1) {
			for (const by of ["account", "project", "model", "day"] as const) {
				const { heading, rows: lines, total = "" } = tableIn(viewOf("month", by), width);
				const widest = Math.max(...[heading, ...lines, total].map(visibleWidth));
				expect([width, widest <= width]).toEqual([width, true]);
			}
		}
	});

	it("adds up more than one row", () => {
		expect(tableIn(viewOf("week", "account"), 100).total).toMatch(/^total +10 /);
		expect(tableIn(viewOf("today", "model", [aRow()]), 100).total).toBeUndefined();
	});
});

describe("the report for a person", () => {
	it("says what it is of, the sum, and whose money is meant", () => {
		const text = usageAsText(viewOf("week", "account"), 100);
		expect(text).toMatch(/^.* 7 days, by account: 10 requests, 3\.6k tokens in, 4\.2M cached, /);
		expect(text).toContain(COST_NOTE);
	});

	it("says so if there is nothing, and how it would be counted", () => {
		expect(usageAsText(viewOf("today", "account", []), 80)).toMatch(/^Nothing was used today\.$/);
		expect(usageAsText(viewOf("all", "account", []), 80)).toMatch(/^Nothing .* yet\.$/);
		expect(usageAsText(viewOf("week", "account", [], false), 80)).toMatch(/footer ledger=true/);
	});
});

it("the document of a report keeps to its schema, with ids in place of labels", () => {
	for (const by of ["account", "project", "model", "day"] as const) {
		for (const period of ["today", "week", "month", "all"] as const) {
			const document = usageAsJson(viewOf(period, by));
			expect(usageSchema.parse(JSON.parse(JSON.stringify(document)))).toEqual(document);
		}
	}
	const { rows: groups, total } = usageAsJson(viewOf("week", "account"));
	expect(groups.map(({ key, requests }) => [key, requests])).toEqual([
		["1", 8],
		["2", 1],
		["gone", 1],
	]);
	expect(total).toMatchObject({ requests: 10, refusals: 2, refusedMs: 61_000, rotations: 1 });
	expect(usageAsJson(viewOf("week", "project")).rows.at(-1)?.key).toBeNull();
});
