import { bySchedule, type Credits, createBeyond, type Occasion } from "./beyond.ts";
import { ours } from "./choosers.ts";
import type { Scenario } from "./demand.ts";
import type { Model } from "./model.ts";
import { play } from "./run.ts";

/** The best that reset credits can do for a scenario, as far as it was searched. */
export interface Best {
	readonly served: number;
	/** How many schedules were played. */
	readonly schedules: number;
	/** Every schedule was played. */
	readonly isComplete: boolean;
}

type Schedule = readonly (number | undefined)[];

interface Played {
	readonly served: number;
	/** The schedule with one redemption more, at any later occasion and on any account that has a reset left then. */
	readonly continuations: readonly Schedule[];
}

/**
 * Plays schedules of redeeming `credits` at the beginning of dry spells, all of them, but no more than `most`: those
 * first that continue what served most. Knows the future, as no pool does; the account of each request is the product's
 * own choice.
 */
export function bestSchedule(scenario: Scenario, credits: Credits, model: Model, most: number): Best {
	const frontier = [playSchedule([], scenario, credits, model)];
	let served = frontier[0]?.served ?? 0;
	let schedules = 1;
	for (let next = frontier.shift(); next; next = frontier.shift()) {
		for (const schedule of next.continuations) {
			if (schedules === most) return { served, schedules, isComplete: false };
			const played = playSchedule(schedule, scenario, credits, model);
			schedules += 1;
			served = Math.max(served, played.served);
			frontier.push(played);
		}
		frontier.sort((a, b) => b.served - a.served);
	}
	return { served, schedules, isComplete: true };
}

function playSchedule(schedule: Schedule, scenario: Scenario, credits: Credits, model: Model): Played {
	const occasions: Occasion[] = [];
	const beyond = createBeyond({ credits, pick: bySchedule(schedule, occasions) });
	const { served } = play(scenario, ours("soonest-reset"), model, { beyond });
	const continuations = occasions.slice(schedule.length).flatMap(({ accounts }, passed) => {
		const skipped = Array.from({ length: passed }, () => undefined);
		return accounts.map((account) => [...schedule, ...skipped, account]);
	});
	return { served, continuations };
}
