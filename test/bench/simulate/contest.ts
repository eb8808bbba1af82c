import { DEFAULT_POLICY, POLICIES, type PolicyName } from "../../../src/core/request/policies.ts";
import { fluidBound } from "./bound.ts";
import {
	type Chooser,
	codexPoolScore,
	longestOf,
	lowestMaximumPerRequest,
	ours,
	perRequest,
	randomPerRequest,
	resetOf,
	roundRobinPerRequest,
	stillness,
	urgencyOf,
} from "./choosers.ts";
import { createScenario, type Family } from "./demand.ts";
import type { Meter } from "./meter.ts";
import { type Model, NIGHT_MS } from "./model.ts";
import { createDice } from "./random.ts";
import { type Outcome, play } from "./run.ts";

/** One policy's outcome in the weeks of one seed. */
export interface Entry {
	readonly policy: string;
	readonly outcome: Outcome;
	/** Work served, as a share of the fluid bound and of the best reference: 1 is all of it. */
	readonly ofBound: number;
	readonly ofBest: number;
}

/** The weeks of one seed. */
export interface Contest {
	readonly family: string;
	readonly seed: number;
	/** Demand as a share of capacity. */
	readonly load: number;
	readonly demanded: number;
	readonly bound: number;
	readonly best: number;
	readonly entries: readonly Entry[];
}

/** The names of our policies, as they stand in the results; the default first. */
export const OURS: readonly string[] = Object.keys(POLICIES).sort(
	(a, b) => Number(b === DEFAULT_POLICY) - Number(a === DEFAULT_POLICY),
);

const shortestOf = (meter: Meter) => meter.seen[0] ?? longestOf(meter);

/**
 * The five with which a contest's best is found, of some fifteen that were tried the ones that are best most often.
 * They know all usage, and changing the account costs them nothing.
 */
export const REFERENCES: readonly (() => Chooser)[] = [
	() => perRequest("fresh, then soonest reset", stillness, (meter, now) => resetOf(longestOf(meter), now)),
	() => perRequest("fresh, then urgency", stillness, (meter, now) => -urgencyOf(meter, now)),
	() => perRequest("fresh, then 5h reset", stillness, (meter, now) => resetOf(shortestOf(meter), now)),
	() => perRequest("urgency", (meter, now) => -urgencyOf(meter, now), stillness),
	() => codexPoolScore(),
];

function contestants(seed: number, maxWaitMs: number): Chooser[] {
	return [
		...OURS.map((name) => ours(name as PolicyName, { maxWaitMs })),
		codexPoolScore(),
		lowestMaximumPerRequest(),
		randomPerRequest(createDice(seed, "random")),
		roundRobinPerRequest(),
	];
}

/** Lets every policy serve the same weeks. */
export function hold(family: Family, seed: number, weeks: number, model: Model, maxWaitMs = NIGHT_MS): Contest {
	const scenario = createScenario(family, seed, weeks, model);
	const bound = fluidBound(scenario);
	const freely = (chooser: Chooser) => play(scenario, chooser, model, { isFree: true }).served;
	const best = Math.max(...REFERENCES.map((create) => freely(create())));
	const entries = contestants(seed, maxWaitMs).map((chooser): Entry => {
		const outcome = play(scenario, chooser, model);
		return { policy: chooser.name, outcome, ofBound: outcome.served / bound, ofBest: outcome.served / best };
	});
	const demanded = entries[0]?.outcome.demanded ?? 0;
	return { family: family.name, seed, load: scenario.load, demanded, bound, best, entries };
}
