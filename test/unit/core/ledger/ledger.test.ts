import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	type Amounts,
	amountsOf,
	bounded,
	DAYS_KEPT,
	dayOf,
	daysBefore,
	isMonth,
	type LedgerRow,
	MONTHS_KEPT,
	MOST_ROWS,
	merged,
	monthsBefore,
	NOTHING,
	sumOf,
} from "../../../../src/core/ledger/ledger.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { isWide, runs } from "../../../support/tiers.ts";

const TODAY = "2026-11-30";
const asked = { modelId: "gpt-5.5", sessionId: aSessionId("s") };
const aRow = (row: Partial<LedgerRow>): LedgerRow => ({
	...NOTHING,
	period: TODAY,
	account: anId("a"),
	project: "/p",
	model: "gpt-5.5",
	requests: 1,
	...row,
});
const totals = ({ cost, ...whole }: Amounts) => ({ ...whole, cost: Math.round(cost * 1e6) });

describe("what is counted of a request", () => {
	const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0.5 };

	it("is what its final message tells: input, what a cache had of it, output and cost", () => {
		const usage = { input: 10, output: 3, cacheRead: 7, cacheWrite: 2, totalTokens: 22, cost };
		expect(amountsOf({ kind: "answered", account: anId("a"), asked, usage })).toEqual({
			...NOTHING,
			requests: 1,
			input: 12,
			cached: 7,
			output: 3,
			cost: 0.5,
		});
	});

	it("is a request and nothing more if the host tells nothing that can be counted", () => {
		const usage = { input: Number.NaN, output: -1, cacheRead: Number.POSITIVE_INFINITY, cacheWrite: 0, totalTokens: 0 };
		const counted = amountsOf({ kind: "answered", account: anId("a"), asked, usage: { ...usage, cost } });
		expect(counted).toEqual({ ...NOTHING, requests: 1, cost: 0.5 });
	});

	it("is the time that a refusal took; a clock that was set back meanwhile takes none", () => {
		const refused = (tookMs: number) => amountsOf({ kind: "refused", account: anId("a"), asked, tookMs });
		expect([refused(1234.4), refused(-5)]).toEqual([
			{ ...NOTHING, refusals: 1, refusedMs: 1234 },
			{ ...NOTHING, refusals: 1 },
		]);
	});
});

it("days and months are those of the local calendar, across the change of clocks, months and years", () => {
	expect(dayOf(new Date(2026, 2, 29, 0, 30).getTime())).toBe("2026-03-29");
	expect(dayOf(new Date(2026, 2, 29, 23, 30).getTime())).toBe("2026-03-29");
	expect([daysBefore("2026-03-30", 1), daysBefore("2026-01-01", 1), daysBefore("2024-03-01", 1)]).toEqual([
		"2026-03-29",
		"2025-12-31",
		"2024-02-29",
	]);
	expect([monthsBefore("2026-01-31", 1), monthsBefore("2026-11", 23)]).toEqual(["2025-12", "2024-12"]);
});

describe("the rows of a ledger", () => {
	it("rows of a ledger are added up if they are of one day, account, project and model", () => {
		const [sum, other] = merged([aRow({ cost: 0.1 }), aRow({ model: "m" }), aRow({ cost: 0.2, input: 4 })]);
		expect(sum).toEqual(aRow({ requests: 2, cost: 0.3, input: 4 }));
		expect(other?.model).toBe("m");
	});

	it("rows of a ledger are days for ninety days, then months, and gone after five years", () => {
		const last = daysBefore(TODAY, DAYS_KEPT);
		const kept = bounded(
			[
				aRow({}),
				aRow({ period: last }),
				aRow({ period: daysBefore(last, 1) }),
				aRow({ period: "2026-08-01" }),
				aRow({ period: monthsBefore(TODAY, MONTHS_KEPT - 1) }),
				aRow({ period: monthsBefore(TODAY, MONTHS_KEPT) }),
			],
			TODAY,
		);
		expect(kept.map(({ period, requests }) => `${period} ${requests}`)).toEqual([
			"2026-11-30 1",
			"2026-09-01 1",
			"2026-08 2",
			"2021-12 1",
		]);
	});

	it("rows of a ledger keep their sums, whatever is kept less finely for want of room", () => {
		const row = fc.record({
			day: fc.integer({ min: -3, max: 1000 }),
			account: fc.integer({ min: 0, max: 400 }),
			project: fc.integer({ min: 0, max: 40 }),
			requests: fc.integer({ min: 0, max: 9 }),
			cost: fc.double({ min: 0, max: 9, noNaN: true }),
		});
		fc.assert(
			fc.property(fc.array(row, { maxLength: 300 }), (drawn) => {
				const rows = drawn.map(({ day, account, project, requests, cost }) =>
					aRow({
						period: daysBefore(TODAY, day),
						account: anId(`a${account}`),
						project: `/${project}`,
						requests,
						cost,
					}),
				);
				const kept = bounded(rows, TODAY);
				expect(totals(sumOf(kept))).toEqual(totals(sumOf(rows)));
				expect(bounded(kept, TODAY)).toEqual(kept);
			}),
			runs(50),
		);
	});

	it("rows of a ledger stay within their bound with a thousand accounts over a year, and the last days stay whole", () => {
		let rows: LedgerRow[] = [];
		let requests = 0;
		// One day a week in a wide run, in the core one a quarter; and each of the last seven.
		const step = isWide ? 7 : 91;
		const days = Array.from({ length: 365 }, (_, at) => 364 - at).filter((ago) => ago % step === 0 || ago < 7);
		for (const ago of days) {
			const day = daysBefore(TODAY, ago);
			const own = Array.from({ length: 1000 }, (_, at) =>
				aRow({ period: day, account: anId(`a${at}`), project: `/p${at % 3}`, model: `m${at % 2}`, input: at }),
			);
			requests += own.length;
			rows = bounded([...rows, ...own], day);
			expect(rows.length).toBeLessThanOrEqual(MOST_ROWS);
		}
		expect(sumOf(rows).requests).toBe(requests);
		expect(rows.filter(({ period }) => period === TODAY)).toHaveLength(1000);
		expect(rows.filter(({ period }) => isMonth(period)).length).toBeGreaterThan(0);
		expect(rows.filter(({ period, account }) => period === daysBefore(TODAY, 6) && account === "a7")).toHaveLength(1);
	}, 100_000);

	it("rows of a ledger stay within their bound if one day alone has more than fits", () => {
		const rows = Array.from({ length: MOST_ROWS + 1000 }, (_, at) =>
			aRow({ account: anId(`a${at % 300}`), project: `/p${at}` }),
		);
		const kept = bounded(rows, TODAY);
		expect(kept).toHaveLength(300);
		expect(sumOf(kept).requests).toBe(rows.length);
	});
});
