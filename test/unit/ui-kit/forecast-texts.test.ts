import { describe, expect, it } from "vitest";
import type { Forecast, Outlook } from "../../../src/core/forecast/forecast.ts";
import type { PoolView } from "../../../src/core/pool/pool-view.ts";
import { lastsTexts, outText, untilText } from "../../../src/ui-kit/forecast-texts.ts";
import { anAccount, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";

const outlook = (dryAt: number, from: number, to: number | undefined): Outlook => ({ dryAt, from, to, comesBack: [] });
const soon = outlook(NOW + 100 * MINUTE_MS, NOW + 52 * MINUTE_MS, NOW + 3 * HOUR_MS);
const later = outlook(NOW + 3 * DAY_MS, NOW + 2 * DAY_MS, undefined);

function viewWith(forecast: Partial<Forecast>, labels: readonly string[] = ["work", "side"]): PoolView {
	return {
		isEnabled: true,
		isForeign: false,
		policy: "soonest-reset",
		active: labels[0],
		pinned: undefined,
		accounts: labels.map((label) => ({
			account: anAccount(label),
			state: "ready" as const,
			isActive: false,
			isPinned: false,
			readyAt: NOW,
			cooldowns: [],
			usage: undefined,
			lastUsedAt: undefined,
			lastError: undefined,
			sessions: 0,
			isUsageFailing: false,
		})),
		forecast: { madeAt: NOW, pool: undefined, serving: undefined, accounts: [], ...forecast },
		now: NOW,
	};
}

describe("how long quota lasts, in words", () => {
	it("is a clock time with both ends of its interval, to ten minutes", () => {
		expect(untilText(soon, NOW)).toMatch(/^about (\w+ )?\d\d:\d0 \((\w+ )?\d\d:\d0 to (\w+ )?\d\d:\d0\)$/);
	});

	it("is a day with its days if the interval is longer than one", () => {
		expect(untilText(outlook(NOW + 3 * DAY_MS, NOW + 2 * DAY_MS, NOW + 4 * DAY_MS), NOW)).toBe("Mon (Sun to Tue)");
	});

	it("has an open end if it may be after the next week, or never", () => {
		expect(untilText(later, NOW)).toBe("Mon (Sun or later)");
		expect(untilText(outlook(NOW + 2 * DAY_MS, NOW, undefined), NOW)).toBe("Sun (today or later)");
	});

	it("is in days if it is far ahead, and in clock times again if all is one day", () => {
		const far = NOW + 2.5 * DAY_MS;
		expect(untilText(outlook(far, far - 20 * HOUR_MS, far), NOW)).toBe("Mon (Sun to Mon)");
		expect(untilText(outlook(far + 2 * HOUR_MS, far + HOUR_MS, far + 3 * HOUR_MS), NOW)).toMatch(/^about Mon \d/);
	});

	it("fits a narrow screen", () => {
		const [shortest = ""] = lastsTexts(
			viewWith({ serving: soon, pool: outlook(NOW + 80 * HOUR_MS, NOW + DAY_MS, NOW + 5 * DAY_MS) }),
		).slice(-1);
		expect(shortest.length).toBeLessThan(30);
	});

	it("never begins before now", () => {
		expect(untilText(outlook(NOW + HOUR_MS, NOW - HOUR_MS, NOW + 2 * HOUR_MS), NOW)).toBe(
			untilText(outlook(NOW + HOUR_MS, NOW, NOW + 2 * HOUR_MS), NOW),
		);
	});

	it("names the account that serves, and the pool", () => {
		const [longest = "", ...shorter] = lastsTexts(viewWith({ serving: soon, pool: later }));
		const [until, range] = [untilText(soon, NOW), untilText(later, NOW)];
		expect(range).toBe("Mon (Sun or later)");
		for (const text of [longest, shorter[0]]) {
			expect(text?.endsWith(` until ${until}, the pool until ${range}`)).toBe(true);
			expect(text).toMatch(/\bwork lasts /);
		}
		expect(shorter.slice(1)).toEqual([
			...[1, 2, 3].map(() => expect.stringMatching(/pool (lasts )?until Mon \(Sun or later\)$/)),
			"pool until Sun or later",
		]);
		const lengths = [longest, ...shorter].map((text) => text.length);
		expect(lengths).toEqual(lengths.toSorted((a, b) => b - a));
	});

	it("names the pool alone if the account has no forecast, and no pool if there is one account", () => {
		expect(lastsTexts(viewWith({ pool: later }))[0]).toMatch(/ the pool lasts until Mon \(Sun or later\)$/);
		const [alone] = lastsTexts(viewWith({ serving: soon, pool: soon }, ["work"]));
		expect(alone?.endsWith(` quota lasts until ${untilText(soon, NOW)}`)).toBe(true);
	});

	it("a forecast says of what it is in every length, and the interval in the shortest", () => {
		const one = lastsTexts(viewWith({ serving: soon, pool: soon }, ["work"]));
		expect(one.every((text) => text.includes("quota"))).toBe(true);
		const far = outlook(NOW + 3 * DAY_MS, NOW + 2 * DAY_MS, NOW + 3 * DAY_MS);
		expect(lastsTexts(viewWith({ pool: far })).slice(-2)).toEqual([
			"pool until Mon (Sun to Mon)",
			"pool out Sun to Mon",
		]);
		expect(lastsTexts(viewWith({ serving: far })).slice(-2)).toEqual([
			"work until Mon (Sun to Mon)",
			"work out Sun to Mon",
		]);
		expect(outText(outlook(far.dryAt, far.dryAt - HOUR_MS, far.dryAt), NOW)).toBe("out Mon");
		const today = outlook(NOW + 20 * MINUTE_MS, NOW + 10 * MINUTE_MS, NOW + 30 * MINUTE_MS);
		expect(outText(today, NOW)).toMatch(/^out \d\d:\d0 to \d\d:\d0$/);
	});

	it("is nothing if nothing can be told", () => {
		expect(lastsTexts(viewWith({}))).toEqual([]);
		expect(lastsTexts({ ...viewWith({}), forecast: undefined })).toEqual([]);
	});
});
