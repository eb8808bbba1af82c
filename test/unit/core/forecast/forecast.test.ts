import { describe, expect, it } from "vitest";
import { type ForecastInput, forecastSteps, knownDemand, outlookOf } from "../../../../src/core/forecast/forecast.ts";
import type { HistorySample } from "../../../../src/core/forecast/quota-history.ts";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import type { UsageWindow } from "../../../../src/core/usage.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const WEEK = 10_080;

const week = (usedPercent: number, resetsAt = NOW + 3 * DAY_MS): UsageWindow => ({
	windowMinutes: WEEK,
	usedPercent,
	resetsAt,
});
const short = (usedPercent: number, resetsAt = NOW + 4 * HOUR_MS): UsageWindow => ({
	windowMinutes: 300,
	usedPercent,
	resetsAt,
});

function aCandidate(label: string, windows: readonly UsageWindow[], more: Partial<Candidate> = {}): Candidate {
	return { account: anAccount(label), cooldowns: [], usage: aSnapshot({ windows }), ...more };
}

/** So many days on which one account was used from 9 to 17 UTC, `perHour` percent of its 5h window an hour. */
function officeHours(days: number, perHour: number, accountId = anId("a")): HistorySample[] {
	const samples: HistorySample[] = [];
	let used = 0;
	let resetsAt = 0;
	for (let at = NOW - days * DAY_MS; at <= NOW; at += HOUR_MS) {
		const hour = new Date(at).getUTCHours();
		if (hour < 9 || hour >= 17) continue;
		if (at >= resetsAt) {
			used = 0;
			resetsAt = at + 5 * HOUR_MS;
		}
		used += perHour;
		samples.push({ accountId, windowMinutes: 300, at, usedPercent: used, resetsAt });
	}
	return samples;
}

/** NOW is a Friday noon. */
function forecastOf(
	candidates: readonly Candidate[],
	history: readonly HistorySample[],
	more: Partial<ForecastInput> = {},
) {
	const snapshot = {
		now: NOW,
		candidates,
		pinned: undefined,
		liveSessions: new Map(),
		lastChosen: undefined,
		policy: "soonest-reset",
		reserve: {},
	} as const;
	const input = { snapshot, request: { modelId: undefined }, serving: anId("a"), ...more };
	const steps = forecastSteps(input, knownDemand(history, snapshot));
	for (;;) {
		const step = steps.next();
		if (step.done) return step.value;
	}
}

const hoursUntil = (at: number | undefined) => (at === undefined ? undefined : (at - NOW) / HOUR_MS);

describe("the forecast", () => {
	it("tells when a week runs out at an even pace, across the night", () => {
		// 6 % of a 5h window an hour are 1 % of the week: 8 % a day, of which 5 are left today.
		const { pool, serving } = forecastOf([aCandidate("a", [short(0), week(90)])], officeHours(21, 6));
		expect(hoursUntil(pool?.dryAt)).toBeGreaterThan(20);
		expect(hoursUntil(pool?.dryAt)).toBeLessThan(30);
		expect(serving).toEqual(pool);
		expect(pool?.from).toBeLessThanOrEqual(pool?.dryAt ?? 0);
		expect(pool?.to).toBeGreaterThanOrEqual(pool?.dryAt ?? 0);
	});

	it("goes on with the account that the plan chooses next, and tells of each", () => {
		const candidates = [aCandidate("a", [short(94), week(50)]), aCandidate("b", [short(80), week(20)])];
		const { pool, accounts, serving } = forecastOf(candidates, officeHours(21, 12));
		const [a, b] = accounts.map(({ outlook }) => hoursUntil(outlook?.dryAt));
		expect(a).toBeLessThan(1);
		expect(b).toBeGreaterThan(a ?? 0);
		expect(hoursUntil(pool?.dryAt)).toBe(b);
		expect(serving).toEqual(accounts[0]?.outlook);
	});

	it("is without an end if quota comes back faster than it is used", () => {
		const { pool, accounts } = forecastOf([aCandidate("a", [short(10), week(10)])], officeHours(21, 2));
		expect(pool).toBeUndefined();
		expect(accounts).toEqual([{ id: "a", outlook: undefined }]);
	});

	it("tells nothing of a 5h window that resets before it is used up", () => {
		const soon = [short(60, NOW + HOUR_MS), week(10)];
		expect(forecastOf([aCandidate("a", soon)], officeHours(21, 12)).serving).toBeUndefined();
		const late = [short(60, NOW + 4.9 * HOUR_MS), week(10)];
		expect(hoursUntil(forecastOf([aCandidate("a", late)], officeHours(21, 12)).serving?.dryAt)).toBeLessThan(4);
	});

	it("tells nothing before three days are known", () => {
		const candidates = [aCandidate("a", [short(90), week(97)])];
		expect(forecastOf(candidates, officeHours(2.9, 12))).toMatchObject({ pool: undefined, serving: undefined });
		expect(forecastOf(candidates, officeHours(3.2, 12)).pool).toBeDefined();
		expect(forecastOf(candidates, []).pool).toBeUndefined();
	});

	it("tells nothing of an account of which hardly anything was used, that is off, or signed out", () => {
		const used = [short(50), week(90)];
		const candidates = [
			aCandidate("a", used),
			aCandidate("fresh", [short(2), week(2)]),
			{ ...aCandidate("off", used), account: anAccount("off", { enabled: false }) },
			{ ...aCandidate("out", used), account: anAccount("out", { needsLogin: { reason: "x", at: NOW } }) },
		];
		const { accounts } = forecastOf(candidates, officeHours(21, 40));
		expect(accounts.map(({ id, outlook }) => [id, outlook !== undefined])).toEqual([
			["a", true],
			["fresh", false],
			["off", false],
			["out", false],
		]);
	});

	it("tells nothing of a pool that is out already, but how long it lasts once it is back", () => {
		const spent = aCandidate("a", [short(100), week(50)], { cooldowns: [aCooldown({ until: NOW + 4 * HOUR_MS })] });
		const { pool, again } = forecastOf([spent], officeHours(21, 30));
		expect(pool).toBeUndefined();
		expect(hoursUntil(again?.dryAt)).toBeGreaterThan(4);
		expect(hoursUntil(again?.dryAt)).toBeLessThan(72);
	});

	it("tells nothing of a pool with an account whose quota is not known", () => {
		const unknown: Candidate = { account: anAccount("new"), cooldowns: [], usage: undefined };
		expect(forecastOf([aCandidate("a", [short(90), week(97)]), unknown], officeHours(21, 12)).pool).toBeUndefined();
	});

	it("counts what comes back until then, by what it gives back of the pool", () => {
		const pro = { ...aCandidate("pro", [week(60, NOW + HOUR_MS)]), account: anAccount("pro", { plan: "prolite" }) };
		const candidates = [aCandidate("a", [short(90, NOW + 2 * HOUR_MS), week(50, NOW + 6 * DAY_MS)]), pro];
		const { pool } = forecastOf(candidates, officeHours(21, 400));
		expect(pool?.comesBack).toEqual([
			{ at: NOW + HOUR_MS, accountId: "pro", percent: (60 * 5) / 6 },
			{ at: NOW + 2 * HOUR_MS, accountId: "a", percent: 90 },
		]);
	});

	it("keeps what a cap keeps", () => {
		const capped = aCandidate("a", [short(0), week(70)], { floors: { "7d": 25 } });
		const free = forecastOf([aCandidate("a", [short(0), week(70)])], officeHours(21, 12)).pool;
		const kept = forecastOf([capped], officeHours(21, 12)).pool;
		expect(kept?.dryAt).toBeLessThan(free?.dryAt ?? Infinity);
	});

	it("says the same of the same", () => {
		const candidates = [aCandidate("a", [short(50), week(80)]), aCandidate("b", [short(10), week(60)])];
		const history = officeHours(10, 15);
		expect(forecastOf(candidates, history)).toEqual(forecastOf(candidates, history));
	});
});

describe("an outlook", () => {
	/** One future in the middle of each equal part of a week. */
	const spread = (count: number) => Array.from({ length: count }, (_, at) => NOW + (7 * DAY_MS * (at + 0.5)) / count);

	it("encloses as much over nine futures as over nineteen", () => {
		expect(outlookOf(spread(9), NOW, [])).toEqual(outlookOf(spread(19), NOW, []));
	});

	it("has no end if a future in nine does not run out", () => {
		const outlook = outlookOf([...spread(9).slice(1), undefined], NOW, []);
		expect(outlook).toMatchObject({ to: undefined });
		expect(outlook?.from).toBeLessThan(outlook?.dryAt ?? 0);
	});
});
