import { describe, expect, it } from "vitest";
import { fluidBound } from "./bound.ts";
import { ours, roundRobinPerRequest } from "./choosers.ts";
import type { AccountSpec, Scenario, Session, Turn } from "./demand.ts";
import { createMeter } from "./meter.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, MODEL, START, WEEK_MS, workOf } from "./model.ts";
import { play } from "./run.ts";

const WARM_WORK = workOf(80_000, 0, MODEL.cachedWhenWarm);

const aTurn = (plannedAt: number, overrides: Partial<Turn> = {}): Turn => ({
	plannedAt,
	gapMs: MINUTE_MS,
	inputTokens: 80_000,
	outputTokens: 0,
	isCold: false,
	isCompacted: false,
	work: WARM_WORK,
	...overrides,
});
const aSession = (turns: readonly Turn[], deadline = (turns.at(-1)?.plannedAt ?? START) + HOUR_MS): Session => ({
	turns,
	deadline,
});
const aSpec = (overrides: Partial<AccountSpec> = {}): AccountSpec => ({
	plan: "plus",
	shortWork: MODEL.windowWork,
	longWork: 6 * MODEL.windowWork,
	longMs: WEEK_MS,
	running: undefined,
	poll: { firstAt: START, everyMs: 10 * MINUTE_MS },
	...overrides,
});
const aScenario = (overrides: Partial<Scenario> = {}): Scenario => ({
	name: "test",
	seed: 1,
	accounts: [aSpec()],
	sessions: [],
	outside: [],
	load: 1,
	endsAt: START + WEEK_MS,
	...overrides,
});
/** Turns of one kind, a minute apart. */
const turnsFrom = (at: number, count: number, overrides: Partial<Turn> = {}) =>
	Array.from({ length: count }, (_, index) => aTurn(at + index * MINUTE_MS, overrides));

describe("a simulated account", () => {
	it("starts a clock with its first use, and fills up at its end", () => {
		const meter = createMeter(aSpec(), 0, MODEL);
		meter.observe(START + DAY_MS);
		expect(meter.seen.map(({ usedPercent }) => usedPercent)).toEqual([0, 0]);
		const at = START + DAY_MS + HOUR_MS;
		meter.serve(MODEL.windowWork / 2, at);
		expect(meter.seen).toEqual([
			{ usedPercent: 50, lengthMs: 5 * HOUR_MS, resetsAt: at + 5 * HOUR_MS },
			{ usedPercent: 8, lengthMs: WEEK_MS, resetsAt: at + WEEK_MS },
		]);
		meter.observe(at + 5 * HOUR_MS + 20 * MINUTE_MS);
		expect(meter.seen.map(({ usedPercent }) => usedPercent)).toEqual([0, 8]);
	});

	it("cools until its reset once it is spent, and holds six full windows a week", () => {
		const meter = createMeter(aSpec(), 0, MODEL);
		let at = START;
		for (let window = 0; window < 6; window += 1) {
			expect(meter.isSpent(at)).toBe(false);
			expect(meter.serve(MODEL.windowWork, at)).toBe(0);
			expect(meter.isSpent(at + HOUR_MS)).toBe(true);
			at += 5 * HOUR_MS;
		}
		expect(meter.isSpent(at)).toBe(true);
		expect(meter.cooldowns).toMatchObject([{ until: START + WEEK_MS }]);
		expect(meter.isSpent(START + WEEK_MS)).toBe(false);
	});

	it("tells what went beyond its limit", () => {
		const meter = createMeter(aSpec(), 0, MODEL);
		meter.serve(MODEL.windowWork - 10, START);
		expect(meter.serve(100, START + 1)).toBe(90);
	});

	it("is known as it was when it was asked: what others do is seen later", () => {
		const meter = createMeter(aSpec(), 0, MODEL);
		meter.observe(START + MINUTE_MS);
		meter.takeOutside(MODEL.windowWork, START + 2 * MINUTE_MS);
		meter.observe(START + 9 * MINUTE_MS);
		expect(meter.seen[0]?.usedPercent).toBe(0);
		expect(meter.cooldowns).toEqual([]);
		expect(meter.isSpent(START + 9 * MINUTE_MS)).toBe(true);
		meter.observe(START + 10 * MINUTE_MS);
		expect(meter.seen[0]?.usedPercent).toBe(100);
		expect(meter.cooldowns).toMatchObject([{ until: START + 2 * MINUTE_MS + 5 * HOUR_MS }]);
	});

	it("is known as of the moment it was asked, even when no look came in between", () => {
		const meter = createMeter(aSpec(), 0, MODEL);
		meter.takeOutside(MODEL.windowWork, START + 12 * MINUTE_MS);
		meter.observe(START + 13 * MINUTE_MS);
		expect(meter.seenAt).toBe(START + 10 * MINUTE_MS);
		expect(meter.seen[0]?.usedPercent).toBe(0);
	});

	it("is free again after an early reset, once it was asked", () => {
		const meter = createMeter(aSpec(), 0, MODEL);
		meter.serve(MODEL.windowWork, START);
		meter.resetEarly(START + 11 * MINUTE_MS);
		expect(meter.cooldowns).toHaveLength(1);
		meter.observe(START + 20 * MINUTE_MS);
		expect(meter.cooldowns).toEqual([]);
		expect(meter.expired).toEqual([
			{ from: START, to: START + 11 * MINUTE_MS, unused: 5 * MODEL.windowWork, holds: 6 * MODEL.windowWork },
		]);
	});

	it("tells in headers what was left before a request, if the model says so", () => {
		const meter = createMeter(aSpec(), 0, { ...MODEL, headersTell: "before" });
		meter.serve(MODEL.windowWork, START);
		expect(meter.seen[0]?.usedPercent).toBe(0);
		expect(meter.cooldowns).toEqual([]);
		meter.refuse(START + 1);
		expect(meter.cooldowns).toHaveLength(1);
	});
});

describe("a simulated session", () => {
	const two = [aSpec(), aSpec()];

	it("pays one cold turn for each change of account, and nothing for staying", () => {
		const sessions = [aSession(turnsFrom(START, 10))];
		const stays = play(aScenario({ accounts: two, sessions }), ours("soonest-reset"), MODEL);
		expect(stays).toMatchObject({ switches: 0, coldTokens: 0, switchBurn: 0, servedTurns: 10 });
		const moves = play(aScenario({ accounts: two, sessions }), roundRobinPerRequest(), MODEL);
		const tokens = 80_000 * (MODEL.cachedWhenWarm - MODEL.cachedAfterSwitch);
		expect(moves.switches).toBe(9);
		expect(moves.coldTokens).toBeCloseTo(9 * tokens, 3);
		expect(moves.switchBurn).toBeCloseTo(9 * tokens * 0.9, 3);
	});

	it("pays nothing for a change if the cache was gone anyway", () => {
		const sessions = [aSession(turnsFrom(START, 4, { isCold: true, work: 80_000 }))];
		const moves = play(aScenario({ accounts: two, sessions }), roundRobinPerRequest(), MODEL);
		expect(moves).toMatchObject({ switches: 3, coldTokens: 0, switchBurn: 0 });
	});

	it("waits for the reset, and what its deadline does not allow is lost", () => {
		const work = MODEL.windowWork;
		const turns = [aTurn(START, { work, isCold: true }), aTurn(START + HOUR_MS), aTurn(START + 2 * HOUR_MS)];
		const patient = aSession(turns, START + DAY_MS);
		const waited = play(aScenario({ sessions: [patient] }), ours("soonest-reset"), MODEL);
		expect(waited).toMatchObject({ servedTurns: 3, lost: 0, blockedTurns: 1, waitedMs: 4 * HOUR_MS });
		expect(waited.waitBurn).toBeGreaterThan(0);
		const hasty = aSession(turns, START + 4 * HOUR_MS);
		const lost = play(aScenario({ sessions: [hasty] }), ours("soonest-reset"), MODEL);
		expect(lost).toMatchObject({ servedTurns: 1, served: work, blockedTurns: 2, waitedMs: 3 * HOUR_MS });
		expect(lost.lost).toBeCloseTo(2 * WARM_WORK, 3);
	});

	it("is refused once by an account that others have spent meanwhile, and goes on with the next", () => {
		const outside = [{ at: START + 2 * MINUTE_MS, account: 0, work: MODEL.windowWork }];
		const sessions = [aSession(turnsFrom(START + MINUTE_MS, 5))];
		const outcome = play(aScenario({ accounts: two, sessions, outside }), ours("in-order"), MODEL);
		expect(outcome).toMatchObject({ refused: 1, switches: 1, servedTurns: 5 });
	});

	it("chooses anew after a compaction, and pays nothing for it", () => {
		const [first, ...rest] = turnsFrom(START, 3);
		const compacted = aTurn(START + HOUR_MS / 2, { isCold: true, isCompacted: true, work: 80_000 });
		const sessions = [aSession([...(first ? [first] : []), ...rest, compacted])];
		const outcome = play(aScenario({ accounts: two, sessions }), ours("soonest-reset"), MODEL);
		// The other account is the fresher one.
		expect(outcome).toMatchObject({ servedTurns: 4, switches: 1, switchBurn: 0 });
	});

	describe("a simulated session whose account runs dry while the other is needed by those at work there", () => {
		/** Ten minutes in the first account is spent, and the second has too little for the session that is on it. */
		const scenario = () => {
			const work = MODEL.windowWork * 0.6;
			const heavy = [aTurn(START + MINUTE_MS, { work, isCold: true })];
			return aScenario({
				accounts: two,
				sessions: [
					aSession(turnsFrom(START, 20), START + DAY_MS),
					aSession([...heavy, ...turnsFrom(START + 2 * MINUTE_MS, 30)], START + DAY_MS),
				],
				outside: [{ at: START + 10 * MINUTE_MS - 1, account: 0, work: MODEL.windowWork }],
			});
		};

		it("waits until there is room, and no longer", () => {
			const outcome = play(scenario(), ours("soonest-reset"), MODEL);
			expect(outcome).toMatchObject({ switches: 1, servedTurns: 51, blockedTurns: 1 });
			// The other session's last request was at 31 minutes, and it counts as live for five more.
			expect(outcome.waitedMs).toBeGreaterThan(20 * MINUTE_MS);
			expect(outcome.waitedMs).toBeLessThan(30 * MINUTE_MS);
		});

		it("goes there at once if no account is back within the time it may wait", () => {
			const outcome = play(scenario(), ours("soonest-reset", { maxWaitMs: HOUR_MS }), MODEL);
			expect(outcome).toMatchObject({ switches: 1, servedTurns: 51, blockedTurns: 0, waitedMs: 0 });
		});
	});

	it("a simulated session is not refused if everything is known at once, and changes for nothing", () => {
		const outside = [{ at: START + 2 * MINUTE_MS, account: 0, work: MODEL.windowWork }];
		const sessions = [aSession(turnsFrom(START + MINUTE_MS, 5))];
		const scenario = aScenario({ accounts: two, sessions, outside });
		const outcome = play(scenario, ours("in-order"), MODEL, { isFree: true });
		expect(outcome).toMatchObject({ refused: 0, switches: 1, switchBurn: 0, servedTurns: 5 });
	});
});

describe("the bound", () => {
	const heavy = (count: number, at = START, deadline = START + DAY_MS) =>
		aSession(
			Array.from({ length: count }, (_, index) => aTurn(at + index * 1000, { work: MODEL.windowWork / 10 })),
			deadline,
		);

	it("the bound is what is wanted if the accounts hold more", () => {
		const sessions = [heavy(5)];
		expect(fluidBound(aScenario({ sessions, endsAt: START + DAY_MS }))).toBeCloseTo(0.5 * MODEL.windowWork, 0);
	});

	it("the bound is what the 5h windows hold that fit in before the deadline", () => {
		const sessions = [heavy(100, START, START + 7 * HOUR_MS)];
		expect(fluidBound(aScenario({ sessions, endsAt: START + DAY_MS }))).toBeCloseTo(2 * MODEL.windowWork, 0);
	});

	it("counts a window that may have been begun before and left unused, but none before the beginning", () => {
		const at = START + DAY_MS;
		const later = [heavy(100, at, at + 5 * HOUR_MS)];
		expect(fluidBound(aScenario({ sessions: later, endsAt: at + DAY_MS }))).toBeCloseTo(2 * MODEL.windowWork, 0);
		const now = [heavy(100, START, START + 5 * HOUR_MS)];
		expect(fluidBound(aScenario({ sessions: now, endsAt: START + DAY_MS }))).toBeCloseTo(MODEL.windowWork, 0);
	});

	it("the bound is what the week holds, with one week more for each early reset, less what was used before", () => {
		const sessions = [heavy(1000, START, START + WEEK_MS)];
		const boundOf = (overrides: Partial<Scenario>) =>
			fluidBound(aScenario({ sessions, ...overrides })) / MODEL.windowWork;
		expect(boundOf({})).toBeCloseTo(6, 3);
		expect(boundOf({ outside: [{ at: START + DAY_MS, account: 0, work: undefined }] })).toBeCloseTo(12, 3);
		const running = { endsAt: START + WEEK_MS, used: MODEL.windowWork };
		expect(boundOf({ accounts: [aSpec({ running })] })).toBeCloseTo(5, 3);
		expect(boundOf({ accounts: [aSpec(), aSpec()] })).toBeCloseTo(12, 3);
	});
});
