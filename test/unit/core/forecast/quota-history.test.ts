import { describe, expect, it } from "vitest";
import { boundedHistory, type HistorySample, samplesOf } from "../../../../src/core/forecast/quota-history.ts";
import { aSnapshot, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const MINUTE_MS = 60_000;

function aSample(at: number, usedPercent: number, more: Partial<HistorySample> = {}): HistorySample {
	return { accountId: anId("a"), windowMinutes: 300, at, usedPercent, resetsAt: NOW + 4 * HOUR_MS, ...more };
}

/** Every account in use at every hour of `days` days up to {@link NOW}, in both windows. */
function busyDays(accounts: number, days: number): HistorySample[] {
	const samples: HistorySample[] = [];
	for (let hour = days * 24; hour >= 0; hour -= 1) {
		const at = NOW - hour * HOUR_MS;
		for (let index = 0; index < accounts; index += 1) {
			const windows = [
				{ windowMinutes: 300, usedPercent: (hour * 37) % 100, resetsAt: at + (5 - (hour % 5)) * HOUR_MS },
				{ windowMinutes: 10_080, usedPercent: (hour * 0.6) % 100, resetsAt: at + 3 * DAY_MS },
			];
			for (const window of windows) samples.push({ accountId: anId(`account-${index}`), at, ...window });
		}
	}
	return samples;
}

describe("the history of quota", () => {
	it("takes a sample of every general window, and none of one that has reset since", () => {
		const windows = [
			{ windowMinutes: 300, usedPercent: 80, resetsAt: NOW - 1 },
			{ windowMinutes: 10_080, usedPercent: 12.5, resetsAt: NOW + DAY_MS },
		];
		expect(samplesOf(anId("a"), aSnapshot({ windows }))).toEqual([
			{ accountId: "a", windowMinutes: 10_080, at: NOW, usedPercent: 12.5, resetsAt: NOW + DAY_MS },
		]);
	});

	it("keeps the last figure of an hour", () => {
		const samples = [aSample(NOW, 10), aSample(NOW + 20 * MINUTE_MS, 14), aSample(NOW + HOUR_MS, 20)];
		expect(boundedHistory(samples, NOW + HOUR_MS).map(({ usedPercent }) => usedPercent)).toEqual([14, 20]);
	});

	it("keeps what a window had reached that ended within the hour", () => {
		const samples = [
			aSample(NOW, 90, { resetsAt: NOW + 10 * MINUTE_MS }),
			aSample(NOW + 20 * MINUTE_MS, 3, { resetsAt: NOW + 5 * HOUR_MS }),
			aSample(NOW + 40 * MINUTE_MS, 7, { resetsAt: NOW + 5 * HOUR_MS }),
		];
		expect(boundedHistory(samples, NOW + HOUR_MS)).toEqual([{ ...samples[2], formerPercent: 90 }]);
	});

	it("keeps no figure that repeats the one before it, nor what an idle window says of its reset", () => {
		const idle = [0, 1, 2].map((hour) => aSample(NOW + hour * HOUR_MS, 0, { resetsAt: NOW + (5 + hour) * HOUR_MS }));
		expect(boundedHistory(idle, NOW + 3 * HOUR_MS)).toEqual([idle[0]]);
	});

	it("holds one sample per window and hour for four weeks, then one a day for a year, and nothing older", () => {
		const kept = boundedHistory(busyDays(1, 400), NOW);
		const ofWeek = kept.filter(({ windowMinutes }) => windowMinutes === 10_080);
		const late = ofWeek.filter(({ at }) => NOW - at <= 28 * DAY_MS);
		expect(late.length).toBe(28 * 24 + 1);
		expect(ofWeek.length - late.length).toBeGreaterThan(330);
		expect(ofWeek.length - late.length).toBeLessThanOrEqual(365 - 28 + 1);
		expect(Math.min(...kept.map(({ at }) => at))).toBeGreaterThanOrEqual(NOW - 365 * DAY_MS);
	});

	it("the history of quota is the same when it is bounded again, in whatever order the samples come", () => {
		const samples = busyDays(2, 60);
		const once = boundedHistory(samples, NOW);
		expect(boundedHistory(once, NOW)).toEqual(once);
		expect(new Set(boundedHistory([...samples].reverse(), NOW).map((each) => JSON.stringify(each)))).toEqual(
			new Set(once.map((each) => JSON.stringify(each))),
		);
	});
});
