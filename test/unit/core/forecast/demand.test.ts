import { describe, expect, it } from "vitest";
import { demandOf, type Sized } from "../../../../src/core/forecast/demand.ts";
import { demandFutures } from "../../../../src/core/forecast/demand-paths.ts";
import type { HistorySample } from "../../../../src/core/forecast/quota-history.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { anAccount, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const WEEK = 10_080;

/** A sample, at so many hours before now. */
function ago(hours: number, usedPercent: number, more: Partial<HistorySample> = {}): HistorySample {
	const at = NOW - hours * HOUR_MS;
	return { accountId: anId("a"), windowMinutes: 300, at, usedPercent, resetsAt: NOW + HOUR_MS, ...more };
}

const sized = (label: string, plan = "plus"): Sized => ({ account: anAccount(label, { plan }), usage: undefined });
const hoursOf = (samples: readonly HistorySample[], accounts: readonly Sized[] = [sized("a")]) =>
	[...demandOf(samples, accounts, NOW).hours].map((amount) => Math.round(amount * 10) / 10);

describe("the demand of the last hours", () => {
	it("the demand of the last hours is what was used between two figures, in the hour before the later one", () => {
		expect(hoursOf([ago(6, 10), ago(3.5, 30), ago(1, 34)])).toEqual([0, 10, 10, 0, 4, 0]);
	});

	it("has nothing of figures from the future, as a clock that was wrong has left them", () => {
		expect(hoursOf([ago(3, 10), ago(0.5, 20), ago(-0.5, 60)])).toEqual(hoursOf([ago(3, 10), ago(0.5, 20)]));
	});

	it("counts what a window had reached before it ended, and what was used of the next one", () => {
		const next = { resetsAt: NOW + 5 * HOUR_MS };
		expect(hoursOf([ago(4, 60, { resetsAt: NOW - 3 * HOUR_MS }), ago(2, 8, { ...next, formerPercent: 70 })])).toEqual([
			0, 18, 0, 0,
		]);
	});

	it("is none if a figure only falls a little, and if an idle window moves its reset", () => {
		const moved = ago(1, 0, { windowMinutes: 301, resetsAt: NOW + 5 * HOUR_MS });
		expect(hoursOf([ago(3, 30), ago(2, 29.5), ago(3, 0, { windowMinutes: 301 }), moved])).toEqual([0, 0, 0]);
	});

	it("weighs an account by its plan", () => {
		expect(hoursOf([ago(3, 10), ago(1, 20)], [sized("a", "prolite")])).toEqual([0, 50, 0]);
	});

	it("knows how many 5h windows a week holds by the figures of both", () => {
		const both = (hours: number, used: number) => [
			ago(hours, 10, { resetsAt: NOW - (hours - 5) * HOUR_MS }),
			ago(hours, used, { windowMinutes: WEEK }),
		];
		const samples = Array.from({ length: 80 }, (_, index) => both(400 - 5 * index, index)).flat();
		const { windowsPerWeek } = demandOf(samples, [sized("a")], NOW);
		expect(windowsPerWeek).toBeGreaterThan(8);
		expect(windowsPerWeek).toBeLessThanOrEqual(10);
	});

	it("knows what a session takes in an hour by the accounts that were used side by side", () => {
		const used = (accountId: AccountId, perHour: number) =>
			Array.from({ length: 200 }, (_, index) =>
				ago(200 - index, perHour * (index % 4), {
					accountId,
					resetsAt: NOW + (Math.floor(index / 4) - 49) * 4 * HOUR_MS,
				}),
			);
		const paceOf = (...accounts: HistorySample[][]) => {
			const sizedAs = accounts.map((_, index) => sized(`${index}`));
			return demandOf(accounts.flat(), sizedAs, NOW).sessionPace;
		};
		expect(paceOf(used(anId("0"), 20), used(anId("1"), 20))).toBeCloseTo(20, 0);
		expect(paceOf(used(anId("0"), 40))).toBeGreaterThan(36);
		// As long as little is known.
		expect(paceOf([ago(3, 1), ago(2, 5)])).toBeCloseTo(30, 0);
	});

	it("measures an account without a 5h window by its week", () => {
		const samples = [ago(3, 10, { windowMinutes: WEEK }), ago(1, 12, { windowMinutes: WEEK })];
		expect(hoursOf(samples)).toEqual([0, 12, 0]);
	});

	it("takes an hour in which nothing could be used for the same hour of other days", () => {
		const day = (lag: number, used: number, resetsIn: number) => [
			ago(24 * lag + 2, 0, { resetsAt: NOW - (24 * lag - 3) * HOUR_MS }),
			ago(24 * lag + 1, used, { resetsAt: NOW - (24 * lag - resetsIn) * HOUR_MS }),
			ago(24 * lag, used + 20, { resetsAt: NOW - (24 * lag - resetsIn) * HOUR_MS }),
		];
		const open = [...day(3, 30, 4), ...day(2, 30, 4)];
		const spent = [ago(26, 0, { resetsAt: NOW - 20 * HOUR_MS }), ago(25, 100, { resetsAt: NOW - 20 * HOUR_MS })];
		const hours = hoursOf([...open, ...spent]);
		// Of three days that had that hour, in two of them 20 were used.
		expect([hours.at(-49), hours.at(-25)]).toEqual([20, 13.3]);
	});

	it("holds no more than four weeks, and nothing from the future", () => {
		const samples = [ago(60 * 24, 1), ago(1, 5), ago(-2, 90)];
		expect(hoursOf(samples)).toHaveLength(28 * 24);
		expect(Math.max(...hoursOf(samples))).toBe(4);
	});
});

describe("the futures of a demand", () => {
	/** Office hours, with nothing at the weekend; the last hour is that before now, a Friday noon. */
	const hours = Float64Array.from({ length: 28 * 24 }, (_, index) => {
		const at = new Date(NOW - (28 * 24 - index) * HOUR_MS + MINUTE_MS);
		const isOff = [0, 6].includes(at.getUTCDay()) || at.getUTCHours() < 9 || at.getUTCHours() >= 17;
		return isOff ? 0 : 10 + (Math.floor(index / 24) % 5);
	});
	const SIZES = { windowsPerWeek: 6, sessionPace: 30 };
	const futures = demandFutures({ hours, ...SIZES }, 19, 7 * 24);
	const wanted = (from: number, to: number) =>
		futures.map((future) => future.slice(from, to).reduce((sum, amount) => sum + amount, 0));

	it("the futures of a demand have the hours of the day, and the weekend, of the history", () => {
		expect(Math.min(...wanted(0, 5))).toBeGreaterThan(40);
		expect(Math.max(...wanted(5, 21))).toBe(0);
		// Saturday afternoon; then Monday afternoon.
		expect(wanted(24, 29).filter((sum) => sum > 20).length).toBeLessThan(6);
		expect(wanted(72, 77).filter((sum) => sum > 20).length).toBeGreaterThan(13);
	});

	it("the futures of a demand are the same for the same history, and differ among each other", () => {
		expect(demandFutures({ hours, ...SIZES }, 19, 7 * 24)).toEqual(futures);
		expect(new Set(wanted(0, 5)).size).toBeGreaterThan(2);
	});

	it("the futures of a demand are apart on the whole as far as the mean of the days is uncertain", () => {
		/** The most that a future wants, to the least: of so many days that those which are drawn make no difference. */
		const range = (amountOf: (day: number) => number, days: number) => {
			const past = Float64Array.from({ length: days * 24 }, (_, hour) => amountOf(Math.floor(hour / 24)));
			const sums = demandFutures({ hours: past, ...SIZES }, 19, 112 * 24).map((future) =>
				future.reduce((sum, amount) => sum + amount, 0),
			);
			return Math.max(...sums) / Math.min(...sums);
		};
		const uneven = (day: number) => (day % 2 === 0 ? 5 : 30);
		expect(range(() => 10, 28)).toBeCloseTo(1);
		expect(range(uneven, 28)).toBeGreaterThan(1.5);
		expect(range(uneven, 8)).toBeGreaterThan(2.2);
	});

	it("the futures of a demand are at a standstill if nothing was ever wanted", () => {
		const idle = demandFutures({ hours: new Float64Array((5 * DAY_MS) / HOUR_MS), ...SIZES }, 3, 48);
		expect(idle).toEqual(Array.from({ length: 3 }, () => new Float64Array(48)));
	});
});
