import { describe, expect, it } from "vitest";
import { wide } from "../../support/tiers.ts";
import { FAMILIES } from "./demand.ts";
import { askEveryHour, forecastTable, type Judged, scoresOf } from "./forecast.ts";
import { HOUR_MS, MODEL, START } from "./model.ts";

const [W1] = FAMILIES;
if (!W1) throw new Error("There is no family");

/** One hour: what was said, and what was true, both in hours from then on. */
function anHour(said: number | undefined, truth: number | undefined, interval = [0, 100], seed = 1): Judged {
	const at = (hours: number | undefined) => (hours === undefined ? undefined : START + hours * HOUR_MS);
	const [from = 0, to = 0] = interval.map(at);
	const dryAt = at(said);
	return {
		at: START,
		seed,
		ours: dryAt === undefined ? undefined : { dryAt, from, to },
		linear: dryAt,
		lastWeek: undefined,
		allKnown: at(truth),
		truth: at(truth),
	};
}

describe("the scores of a forecast", () => {
	it("the scores of a forecast are the median error in percent of the time until dry, of those under two days", () => {
		const [own, linear] = scoresOf([anHour(8, 10), anHour(15, 10), anHour(22, 20), anHour(20, 60)]);
		expect(own).toMatchObject({ medianError: 20, hours: 3 });
		expect(linear).toMatchObject({ medianError: 20, coverage: undefined });
	});

	it("the scores of a forecast count an hour at which nothing was said as the largest error", () => {
		expect(scoresOf([anHour(undefined, 10), anHour(undefined, 5), anHour(5, 5)])[0]).toMatchObject({
			medianError: Number.POSITIVE_INFINITY,
		});
	});

	it("the scores of a forecast are how often the truth was inside the interval, even if it never came", () => {
		const hours = [
			anHour(10, 12, [8, 14]),
			anHour(10, 20, [8, 14]),
			anHour(10, 7, [8, 14]),
			anHour(10, undefined, [8, 14]),
		];
		expect(scoresOf(hours)[0]?.coverage).toMatchObject({ percent: 25, hours: 4 });
	});

	it("the scores of a forecast tell by the seeds how exact that is, and nothing by a single seed", () => {
		const seed = (number: number, inside: number) =>
			Array.from({ length: 10 }, (_, index) => anHour(10, index < inside ? 12 : 20, [8, 14], number));
		const ofOne = scoresOf(seed(1, 5))[0]?.coverage;
		expect(ofOne).toMatchObject({ percent: 50, least: 0, most: 100 });
		const alike = scoresOf([1, 2, 3, 4, 5].flatMap((number) => seed(number, 8)))[0]?.coverage;
		expect(alike).toMatchObject({ percent: 80, least: 80, most: 80, worth: 50 });
		// The mean of 10, 10, 10, 5 and 5 of 10 is 80 %, with a standard error of 12.25 %: t(4) = 2.776.
		const apart = scoresOf([10, 10, 10, 5, 5].flatMap((inside, index) => seed(index, inside)))[0]?.coverage;
		expect(apart?.percent).toBe(80);
		expect(apart?.least).toBeCloseTo(80 - 2.776 * 12.25, 0);
		expect(apart?.most).toBe(100);
		expect(apart?.worth).toBeCloseTo(0.16 / 0.1225 ** 2, 1);
	});

	it("the scores of a forecast count intervals without an end apart", () => {
		const open = [anHour(10, 5), anHour(10, undefined)].map((each) => ({
			...each,
			ours: { dryAt: START + 10 * HOUR_MS, from: START + 8 * HOUR_MS, to: undefined },
		}));
		const [own] = scoresOf([...open, anHour(10, 12, [8, 14])]);
		expect(own).toMatchObject({ withEnd: { percent: 100, hours: 1 }, withoutEnd: { percent: 50, hours: 2 } });
	});

	it("the scores of a forecast tell by draws of the seeds how sure it is that one rule errs less", () => {
		const hours = (seeds: readonly number[], error: number, others: number) =>
			seeds.flatMap((seed) =>
				[1, 2, 3].map(() => ({ ...anHour(10 + error, 10, [0, 100], seed), lastWeek: START + others * HOUR_MS })),
			);
		const [own, , always] = scoresOf(hours([1, 2, 3, 4], 1, 13));
		expect(own).toMatchObject({ likelyError: [10, 10], behindForecast: Number.NaN });
		expect(always).toMatchObject({ medianError: 30, likelyError: [30, 30], behindForecast: 100 });
		const [, , open] = scoresOf([...hours([1, 2], 1, 13), ...hours([3, 4], 4, 11)]);
		expect(open?.behindForecast).toBeGreaterThan(5);
		expect(open?.behindForecast).toBeLessThan(95);
	});

	it("the scores of a forecast count an alarm as false if the pool had quota for two more days", () => {
		const hours = [anHour(10, 30), anHour(10, 60), anHour(10, undefined), anHour(30, undefined)];
		expect(scoresOf(hours)[0]).toMatchObject({ alarms: 3, falseAlarms: (2 / 3) * 100 });
	});

	it("miss a goal if a naive rule is as good", () => {
		const table = forecastTable(W1, [anHour(10, 10, [9, 11]), anHour(20, 10, [15, 25])], 1);
		expect(table).toContain("better than linear pace: MISSED");
		expect(table).toContain("coverage 75 to 85: within chance of it");
		expect(table.split("\n")).toHaveLength(2 + 4 + 2);
	});

	it("miss the goal of the interval only if chance does not explain it", () => {
		const table = (...inside: readonly number[]) => {
			const hours = inside.flatMap((count, seed) =>
				Array.from({ length: 10 }, (_, index) => anHour(60, index < count ? 60 : 80, [50, 70], seed)),
			);
			return forecastTable(W1, hours, inside.length);
		};
		expect(table(8, 8, 7, 9, 8)).toContain("coverage 75 to 85: reached");
		expect(table(7, 8, 4, 9, 6)).toContain("coverage 75 to 85: within chance of it");
		expect(table(5, 6, 5, 4, 5)).toContain("coverage 75 to 85: MISSED");
		expect(table(9, 10, 10, 9, 10)).toContain("coverage 75 to 85: MISSED");
	});
});

wide("a forecast is asked for at every hour of two weeks at which the pool was not dry", { timeout: 300_000 }, () => {
	const judged = askEveryHour(W1, 3, MODEL);
	expect(judged.length).toBeGreaterThan(200);
	expect(judged.length).toBeLessThanOrEqual(14 * 24);
	for (const { at, ours, truth = Number.POSITIVE_INFINITY } of judged) {
		expect(truth).toBeGreaterThanOrEqual(at);
		if (ours) expect(ours.dryAt).toBeGreaterThanOrEqual(ours.from);
	}
	expect(judged.filter(({ ours }) => ours).length).toBeGreaterThan(100);
});
