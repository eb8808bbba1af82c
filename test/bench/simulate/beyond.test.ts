import { describe, expect, it } from "vitest";
import { wide } from "../../support/tiers.ts";
import { asOffered, type BeyondInit, createBeyond, creditsOf, endingFirst, whenAWeekIsOut } from "./beyond.ts";
import { beyondTable, duel, duelTable, holdBeyond } from "./beyond-report.ts";
import { ours } from "./choosers.ts";
import { type AccountSpec, createScenario, FAMILIES, type Scenario, type Session, type Turn } from "./demand.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, MODEL, START, WEEK_MS } from "./model.ts";
import { bestSchedule } from "./oracle.ts";
import { play } from "./run.ts";

const WINDOW = MODEL.windowWork;
const WEEK = 6 * WINDOW;

const aSpec = (overrides: Partial<AccountSpec> = {}): AccountSpec => ({
	plan: "plus",
	shortWork: WINDOW,
	longWork: WEEK,
	longMs: WEEK_MS,
	running: undefined,
	poll: { firstAt: START, everyMs: 10 * MINUTE_MS },
	...overrides,
});
/** A turn that costs `windows` 5h windows, whatever the cache. */
const aTurn = (at: number, windows: number, overrides: Partial<Turn> = {}): Turn => ({
	plannedAt: at,
	gapMs: MINUTE_MS,
	inputTokens: 0,
	outputTokens: 0,
	isCold: false,
	isCompacted: false,
	work: windows * WINDOW,
	...overrides,
});
const aSession = (...turns: readonly Turn[]): Session => ({
	turns,
	deadline: (turns.at(-1)?.plannedAt ?? START) + HOUR_MS,
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
const aCredit = (expiresAt = START + 20 * DAY_MS) => [{ id: "credit", expiresAt }];
const playWith = (scenario: Scenario, init: BeyondInit) => {
	const beyond = createBeyond(init);
	const { served, lost, switches } = play(scenario, ours("soonest-reset"), MODEL, { beyond });
	return { served: served / WINDOW, lost: lost / WINDOW, switches, ...beyond.counts() };
};

/** A whole window, and a turn an hour later that finds it spent. */
const dryAfterAnHour = (turns: readonly Turn[] = [aTurn(START + HOUR_MS, 0.5)]) =>
	aScenario({ sessions: [aSession(aTurn(START, 1), ...turns)] });

describe("a simulated reset", () => {
	it("gives a dry pool its windows back, once for each credit", () => {
		const turns = [aTurn(START + HOUR_MS, 1), aTurn(START + 2 * HOUR_MS, 1)];
		expect(playWith(dryAfterAnHour(turns), {})).toMatchObject({ served: 1, lost: 2, redeemed: 0 });
		const credits = [aCredit()];
		expect(playWith(dryAfterAnHour(turns), { credits })).toMatchObject({ served: 2, lost: 1, redeemed: 1 });
		expect(playWith(dryAfterAnHour(turns), { credits: [[...aCredit(), ...aCredit()]] })).toMatchObject({
			served: 3,
			redeemed: 2,
		});
	});

	it("is not redeemed once its credit has expired, nor within an hour of the reset that comes by itself", () => {
		expect(playWith(dryAfterAnHour(), { credits: [aCredit(START + HOUR_MS)] })).toMatchObject({ redeemed: 0 });
		const late = dryAfterAnHour([aTurn(START + 4.5 * HOUR_MS, 0.5)]);
		expect(playWith(late, { credits: [aCredit()] })).toMatchObject({ served: 1.5, redeemed: 0 });
	});

	it("a simulated reset is not redeemed while another account has quota left", () => {
		const scenario = { ...dryAfterAnHour(), accounts: [aSpec(), aSpec()] };
		expect(playWith(scenario, { credits: [aCredit(), aCredit()] })).toMatchObject({
			switches: 1,
			redeemed: 0,
			lost: 0,
		});
	});

	it("waits for a week that is out if the person says no while only a 5h window is", () => {
		const pick = whenAWeekIsOut;
		expect(playWith(dryAfterAnHour(), { credits: [aCredit()], pick })).toMatchObject({ redeemed: 0 });
		const running = { endsAt: START + 6 * DAY_MS, used: WEEK - WINDOW };
		const week = { ...dryAfterAnHour(), accounts: [aSpec({ running })] };
		expect(playWith(week, { credits: [aCredit()], pick })).toMatchObject({ redeemed: 1, lost: 0 });
	});

	it("goes to the credit that expires within days, whatever the other account would gain", () => {
		const credits = [aCredit(), aCredit(START + DAY_MS)];
		const spent = (used: number) => aSpec({ running: { endsAt: START + 6 * DAY_MS, used } });
		const scenario = aScenario({
			accounts: [spent(WEEK), spent(WEEK)],
			sessions: [aSession(aTurn(START + MINUTE_MS, 0.5))],
		});
		const picks: (number | undefined)[] = [];
		const pick: typeof asOffered = (facts, meters, now) => {
			picks.push(asOffered(facts, meters, now));
			return picks.at(-1);
		};
		expect(playWith(scenario, { credits, pick })).toMatchObject({ redeemed: 1, lost: 0 });
		expect(picks).toEqual([1]);
	});
});

it("a simulated reset of the credit that ends first leaves what another one would gain", () => {
	const spent = (endsAt: number) => aSpec({ running: { endsAt, used: WEEK } });
	const scenario = aScenario({
		accounts: [spent(START + 6 * DAY_MS), spent(START + 2 * DAY_MS)],
		sessions: [aSession(aTurn(START + MINUTE_MS, 0.5))],
	});
	const credits = [aCredit(START + 20 * DAY_MS), aCredit(START + 10 * DAY_MS)];
	const pickedBy = (choice: typeof endingFirst) => {
		const picks: (number | undefined)[] = [];
		const pick: typeof endingFirst = (facts, meters, now) => {
			picks.push(choice(facts, meters, now));
			return picks.at(-1);
		};
		playWith(scenario, { credits, pick });
		return picks;
	};
	expect([pickedBy(endingFirst), pickedBy(whenAWeekIsOut)]).toEqual([[1], [0]]);
});

describe("a simulated reserve", () => {
	const reserveOf = () => 0.6 * WINDOW;

	it("serves a dry pool until it is out, and never before that is dry", () => {
		const turns = [0, 1, 2].map((minute) => aTurn(START + HOUR_MS + minute * MINUTE_MS, 0.5));
		expect(playWith(dryAfterAnHour(turns), { reserveOf })).toMatchObject({ served: 2, lost: 0.5, onReserve: WINDOW });
		const two = { ...dryAfterAnHour(), accounts: [aSpec(), aSpec()] };
		expect(playWith(two, { reserveOf })).toMatchObject({ served: 1.5, onReserve: 0 });
	});

	it("comes before a reset credit", () => {
		expect(playWith(dryAfterAnHour(), { reserveOf, credits: [aCredit()] })).toMatchObject({ lost: 0, redeemed: 0 });
	});

	it("begins with a cold cache, and so does the account afterwards", () => {
		const inputTokens = 100_000;
		const turns = [60, 61, 110].map((minute) => aTurn(START + minute * MINUTE_MS, 0, { inputTokens }));
		const scenario = aScenario({
			sessions: [aSession(aTurn(START, 1), ...turns)],
			outside: [{ at: START + 100 * MINUTE_MS, account: 0, work: undefined }],
		});
		const warm = inputTokens * (1 - MODEL.cachedWhenWarm + MODEL.cachedWhenWarm * 0.1);
		expect(playWith(scenario, { reserveOf: () => WINDOW }).onReserve).toBeCloseTo(inputTokens + warm, 3);
		const { waitBurn } = play(scenario, ours("soonest-reset"), MODEL, {
			beyond: createBeyond({ reserveOf: () => WINDOW }),
		});
		// Cold twice: on the reserve, and back on the account. The turn between them cost what it has to.
		expect(waitBurn).toBeCloseTo(2 * inputTokens + warm, 3);
	});
});

describe("the best known schedule of resets", () => {
	/** A short spell of want on the first day, and a long one at the end of the week. */
	const twoSpells = () => {
		const at = START + 2 * DAY_MS;
		const running = { endsAt: START + 6 * DAY_MS, used: WEEK - 2.2 * WINDOW };
		const heavy = Array.from({ length: 9 }, (_, index) => aTurn(at + index * 5.1 * HOUR_MS, 0.9));
		return aScenario({
			accounts: [aSpec({ running })],
			sessions: [aSession(aTurn(START, 1), aTurn(START + HOUR_MS, 0.2)), aSession(...heavy)],
		});
	};

	it("keeps a reset for the spell in which it serves most, which no pool can know", () => {
		const credits = [aCredit()];
		const atOnce = playWith(twoSpells(), { credits }).served;
		const best = bestSchedule(twoSpells(), credits, MODEL, 100);
		expect(best).toMatchObject({ isComplete: true });
		expect(best.served / WINDOW).toBeGreaterThan(atOnce + 0.5);
		expect(best.served / WINDOW).toBeCloseTo(playWith(twoSpells(), { credits, pick: whenAWeekIsOut }).served, 6);
	});

	it("is that of no reset if there is none, and a search ends where it may play no more", () => {
		const without = playWith(twoSpells(), {}).served;
		expect(bestSchedule(twoSpells(), [[]], MODEL, 100)).toEqual({
			served: without * WINDOW,
			schedules: 1,
			isComplete: true,
		});
		expect(bestSchedule(twoSpells(), [aCredit()], MODEL, 2)).toMatchObject({ schedules: 2, isComplete: false });
	});

	it("is never beaten by a choice of the product, and is the same whenever it is searched", () => {
		const family = FAMILIES.find(({ name }) => name === "W1");
		if (!family) throw new Error("W1 is gone");
		const found = duel(family, 1, MODEL, 4);
		if (!found) throw new Error("the seed has too many accounts");
		expect(duel(family, 1, MODEL, 4)).toEqual(found);
		expect(found.best).toBeGreaterThanOrEqual(Math.max(found.without, found.everyOffer, found.weekOut));
		expect(found.best).toBeLessThanOrEqual(found.demanded * (1 + 1e-9));
	});
});

describe("what there is beyond included quota, in the report", () => {
	const [family] = FAMILIES;
	if (!family) throw new Error("there are no families");

	it("what there is beyond included quota, in the report is one credit an account, the same for the same seed", () => {
		const scenario = createScenario(family, 1, 1, MODEL);
		const credits = creditsOf(scenario);
		expect(credits.map((list) => list.length)).toEqual(scenario.accounts.map(() => 1));
		expect(creditsOf(createScenario(family, 1, 1, MODEL))).toEqual(credits);
		expect(creditsOf(createScenario(family, 2, 1, MODEL))).not.toEqual(credits);
	});

	wide("has a line for each way, and one for each family that was searched", () => {
		const held = holdBeyond(family, 3, 1, MODEL, 1);
		const lines = beyondTable([held], MODEL).split("\n");
		expect(lines).toHaveLength(2 + 6);
		expect(lines[2]).toMatch(/^W1 +nothing +\d+\.\d *$/);
		expect(lines[3]).toMatch(/^ +a reset at every offer +\d+\.\d +\d of \d +-?\d+\.\d *$/);
		const found = duel(family, 3, MODEL, 2);
		expect(duelTable(found ? [found] : [])).toMatch(/\nW1( +\d+\.\d){4} +\d+ \([01] of 1 searched whole\)$/);
	});
});
