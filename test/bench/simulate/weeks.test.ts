import { describe, expect, it } from "vitest";
import type { PolicyName } from "../../../src/core/request/policies.ts";
import { wide } from "../../support/tiers.ts";
import { fluidBound } from "./bound.ts";
import { codexPoolScore, lowestMaximumPerRequest, ours, randomPerRequest, roundRobinPerRequest } from "./choosers.ts";
import { hold, OURS, REFERENCES } from "./contest.ts";
import { createScenario, FAMILIES, type Family, workIn } from "./demand.ts";
import { MINUTE_MS, MODEL, WEEK_MS } from "./model.ts";
import { createDice } from "./random.ts";
import { goalsAsText, goalsOf, tableOf, targetsOf } from "./report.ts";
import { play } from "./run.ts";

const WEEKS = 1;

const choosers = () => [
	...OURS.map((name) => ours(name as PolicyName)),
	codexPoolScore(),
	lowestMaximumPerRequest(),
	randomPerRequest(createDice(1, "random")),
	roundRobinPerRequest(),
];

describe.each(FAMILIES)("the weeks of $name", (family) => {
	const scenario = createScenario(family, 1, WEEKS, MODEL);
	const outcomes = choosers().map((chooser) => play(scenario, chooser, MODEL));
	const references = REFERENCES.map((create) => play(scenario, create(), MODEL, { isFree: true }));

	it("the weeks are the same for the same seed, and others for another", () => {
		expect(createScenario(family, 1, WEEKS, MODEL)).toEqual(scenario);
		expect(createScenario(family, 2, WEEKS, MODEL).sessions).not.toEqual(scenario.sessions);
	});

	it("demand what their load says", () => {
		const { sessions, accounts, load } = scenario;
		const demanded = sessions.reduce((sum, session) => sum + workIn(session), 0);
		const capacity = accounts.reduce((sum, { longWork, longMs }) => sum + (longWork * WEEKS * WEEK_MS) / longMs, 0);
		const largest = Math.max(...sessions.map(workIn));
		expect(demanded).toBeGreaterThanOrEqual(load * capacity);
		// The last piece planned may be a burst of one session and eight more.
		expect(demanded).toBeLessThan(load * capacity + 9 * largest);
	});

	it("the weeks are accounted for: what was wanted was served or lost, and every turn is one or the other", () => {
		for (const outcome of [...outcomes, ...references]) {
			expect(outcome.served + outcome.lost).toBeCloseTo(outcome.demanded, 0);
			expect(outcome.blockedTurns).toBeGreaterThanOrEqual(outcome.turns - outcome.servedTurns);
			expect(outcome.blockedTurns).toBeLessThanOrEqual(outcome.turns);
			expect(outcome.avoidableWaste).toBeLessThanOrEqual(outcome.lost + 1);
		}
	});

	it("the weeks are never served beyond the bound, by a policy or by a reference", () => {
		const bound = fluidBound(scenario) * (1 + 1e-9);
		for (const { served, overshoot, demanded } of [...outcomes, ...references]) {
			expect(served - overshoot).toBeLessThanOrEqual(bound);
			expect(overshoot).toBeLessThan(0.01 * demanded);
			expect(bound).toBeLessThanOrEqual(demanded * (1 + 1e-8));
		}
	});

	it("the weeks are served by the default no worse than the goals allow a seed", () => {
		const best = Math.max(...references.map(({ served }) => served));
		const [byDefault] = outcomes;
		expect(((byDefault?.served ?? 0) / best) * 100).toBeGreaterThanOrEqual(targetsOf(family.name).worst);
	});

	it("the weeks end the same way whenever they are played", () => {
		expect(choosers().map((chooser) => play(scenario, chooser, MODEL))).toEqual(outcomes);
	});
});

it("our policies are the product's own rank: asking it for every request changes nothing", () => {
	const family = FAMILIES.find(({ name }) => name === "W1");
	if (!family) throw new Error("W1 is gone");
	const scenario = createScenario(family, 3, WEEKS, MODEL);
	for (const name of OURS) {
		const short = play(scenario, ours(name as PolicyName), MODEL);
		expect(play(scenario, ours(name as PolicyName, { isSure: true }), MODEL)).toEqual(short);
		expect(short.switches).toBeGreaterThan(0);
	}
});

wide("our policies are the product's own rank also while every account is out of quota", { timeout: 60_000 }, () => {
	const family = FAMILIES.find(({ name }) => name === "W3");
	if (!family) throw new Error("W3 is gone");
	const isDryForDays = createScenario(family, 701, 4, MODEL);
	const outcome = (isSure: boolean) =>
		play(isDryForDays, ours("soonest-reset", { isSure, maxWaitMs: MINUTE_MS }), MODEL);
	expect(outcome(false)).toEqual(outcome(true));
	expect(outcome(false).blockedTurns).toBeGreaterThan(100);
});

describe("the report", () => {
	const family = FAMILIES.find(({ name }) => name === "W5");
	if (!family) throw new Error("W5 is gone");
	const contest = hold(family, 1, WEEKS, MODEL);

	it("holds a line for each policy", () => {
		const lines = tableOf(family, [contest]).split("\n");
		expect(lines).toHaveLength(2 + OURS.length + 4);
		expect(lines[2]).toMatch(/^soonest-reset /);
	});

	const sixSeeds = (of: Family) => Array.from({ length: 6 }, (_, index) => hold(of, 1 + index, of.weeks, MODEL));
	const worse = contest.entries.map((entry) => ({
		...entry,
		ofBest: 0.94,
		ofBound: 0.99,
		outcome: { ...entry.outcome, switchBurn: entry.outcome.served * 0.02, refused: entry.outcome.turns / 1000 },
	}));

	it("finds the goals reached, or missed", () => {
		expect(goalsOf([contest]).every(({ isReached }) => isReached)).toBe(true);
		expect(goalsOf([{ ...contest, entries: worse }]).map(({ isReached }) => isReached)).toEqual(
			Array.from({ length: 5 }, () => false),
		);
	});

	it("marks what is missed, and else the goal that is nearest to it", () => {
		expect(goalsAsText(goalsOf([{ ...contest, entries: worse }])).match(/MISSED/g)).toHaveLength(5);
		const [, line] = goalsAsText(goalsOf([contest])).split("\n");
		expect(line).toMatch(/^W5 .*burn % \S+ <= 1\*/);
		expect(line?.match(/\*/g)).toHaveLength(1);
	});

	it("finds every goal reached in six seeds of the family that is hardest to serve", { timeout: 60_000 }, () => {
		const heavyDay = FAMILIES.filter(({ name }) => name === "W6");
		const contests = heavyDay.flatMap((each) => sixSeeds(each));
		expect(goalsOf(contests)).toHaveLength(4);
		expect(goalsOf(contests).filter(({ isReached }) => !isReached)).toEqual([]);
	});

	wide("finds every goal reached in six seeds of each family", { timeout: 600_000 }, () => {
		const contests = FAMILIES.flatMap((each) => sixSeeds(each));
		expect(goalsOf(contests).filter(({ isReached }) => !isReached)).toEqual([]);
	});
});
