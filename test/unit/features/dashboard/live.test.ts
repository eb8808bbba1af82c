import { describe, expect, it } from "vitest";
import { totalsOf } from "../../../../src/features/dashboard/live.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { aShown, aView, DRAWN } from "../../pool-views.ts";

type Told = readonly [usedPercent: number, resetsAt?: number];

const having = (label: string, plan: string, fiveHours: Told, week: Told, capturedAt = NOW) =>
	aShown(label, {
		account: anAccount(label, { plan }),
		usage: aSnapshot({
			capturedAt,
			windows: [
				{ windowMinutes: 10_080, usedPercent: week[0], resetsAt: week[1] },
				{ windowMinutes: 300, usedPercent: fiveHours[0], resetsAt: fiveHours[1] },
			],
		}),
	});

describe("the totals of the pool", () => {
	it("weigh what is left by the size of each plan, and name the reset that comes first and on whom", () => {
		const { windows, nextReset } = totalsOf(DRAWN);
		expect(windows).toEqual([
			{ name: "5h", leftPercent: (73 + 6.7 * 100 + 0) / 8.7, isStale: false },
			{ name: "7d", leftPercent: expect.closeTo((92 + 6.7 * 58 + 31) / 8.7), isStale: false },
		]);
		expect(nextReset).toMatchObject({ account: { label: "side" }, window: "5h", at: NOW + 42 * MINUTE_MS });
	});

	it("totals count nothing of a short window while a longer one is spent, whose reset is the one that helps", () => {
		const spent = having("a", "plus", [10, NOW + HOUR_MS], [100, NOW + DAY_MS]);
		const other = having("b", "plus", [40, NOW + 2 * HOUR_MS], [50, NOW + 3 * DAY_MS]);
		const { windows, nextReset } = totalsOf(aView([spent, other]));
		expect(windows.map(({ name, leftPercent }) => [name, leftPercent])).toEqual([
			["5h", 30],
			["7d", 25],
		]);
		expect(nextReset).toMatchObject({ account: { label: "b" }, window: "5h" });
		expect(totalsOf(aView([spent])).nextReset).toMatchObject({ account: { label: "a" }, window: "7d" });
	});

	it("totals leave out who is off, signed out or unknown, and call a total old that rests on an old figure", () => {
		const counted = having("a", "plus", [20, NOW + HOUR_MS], [0]);
		const left = [
			aShown("off", { state: "disabled" }),
			aShown("out", { state: "needs-login" }),
			aShown("new", { usage: undefined }),
		];
		const { windows, nextReset } = totalsOf(aView([counted, ...left]));
		expect(windows).toEqual([
			{ name: "5h", leftPercent: 80, isStale: false },
			{ name: "7d", leftPercent: 100, isStale: false },
		]);
		expect(nextReset).toMatchObject({ account: { label: "a" } });
		const old = having("b", "plus", [20, NOW + HOUR_MS], [0], NOW - HOUR_MS);
		expect(totalsOf(aView([counted, old])).windows.map(({ isStale }) => isStale)).toEqual([true, true]);
		expect(totalsOf(aView(left))).toEqual({ windows: [], nextReset: undefined });
	});

	it("totals name no reset of a window in which nothing is used, and none that has passed", () => {
		const untouched = having("a", "plus", [0, NOW + HOUR_MS], [30, NOW - 1]);
		const { windows, nextReset } = totalsOf(aView([untouched]));
		expect(nextReset).toBeUndefined();
		expect(windows.map(({ leftPercent }) => leftPercent)).toEqual([100, 100]);
	});
});
