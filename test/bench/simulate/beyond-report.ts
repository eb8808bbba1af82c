import { type BeyondInit, type CountedBeyond, createBeyond, creditsOf, endingFirst, whenAWeekIsOut } from "./beyond.ts";
import { ours } from "./choosers.ts";
import { type AccountSpec, createScenario, type Family } from "./demand.ts";
import type { Model } from "./model.ts";
import { bestSchedule } from "./oracle.ts";
import { aligned, percent, sum } from "./report.ts";
import { play } from "./run.ts";

/** What one way to go on served of the weeks of one seed. */
interface Way {
	readonly name: string;
	readonly served: number;
	readonly redeemed: number;
	/** Work that was served on the reserve model. */
	readonly onReserve: number;
}

/** The weeks of one seed, with and without what there is beyond included quota. */
export interface BeyondWeeks {
	readonly family: string;
	readonly title: string;
	readonly demanded: number;
	/** Reset credits at the beginning. */
	readonly credits: number;
	/** The first way has nothing. */
	readonly ways: readonly Way[];
}

const NOTHING = "nothing";
const EVERY_OFFER = "a reset at every offer";
const WEEK_OUT = "a reset when a week is out";

/** Plays the weeks of a family in every way. A reserve holds `reserveWindows` 5h windows of its account for a week. */
export function holdBeyond(
	family: Family,
	seed: number,
	weeks: number,
	model: Model,
	reserveWindows: number,
): BeyondWeeks {
	const scenario = createScenario(family, seed, weeks, model);
	const credits = creditsOf(scenario);
	const reserveOf = ({ shortWork, longWork }: AccountSpec) =>
		reserveWindows * (shortWork ?? longWork / model.windowsPerWeek);
	const inits: readonly (readonly [name: string, init: BeyondInit | undefined])[] = [
		[NOTHING, undefined],
		[EVERY_OFFER, { credits }],
		[WEEK_OUT, { credits, pick: whenAWeekIsOut }],
		["the same, whichever ends first", { credits, pick: endingFirst }],
		["Luna Reserve", { reserveOf }],
		["both, the reset when a week is out", { credits, pick: whenAWeekIsOut, reserveOf }],
	];
	const outcomes = inits.map(([name, init]) => {
		const beyond = init && createBeyond(init);
		const { served, demanded } = play(scenario, ours("soonest-reset"), model, { ...(beyond && { beyond }) });
		return { demanded, way: { name, served, ...countsOf(beyond) } };
	});
	return {
		family: family.name,
		title: family.title,
		demanded: outcomes[0]?.demanded ?? 0,
		credits: credits.flat().length,
		ways: outcomes.map(({ way }) => way),
	};
}

function countsOf(beyond: CountedBeyond | undefined): Pick<Way, "redeemed" | "onReserve"> {
	return beyond?.counts() ?? { redeemed: 0, onReserve: 0 };
}

/** What each way served in each family, as a table. */
export function beyondTable(held: readonly BeyondWeeks[], model: Model): string {
	const names = held[0]?.ways.map(({ name }) => name) ?? [];
	const rows = [...new Set(held.map(({ family }) => family))].flatMap((family) => {
		const own = held.filter((each) => each.family === family);
		return names.map((name) => [name === NOTHING ? family : "", name, ...cellsOf(own, name, model)]);
	});
	const head = ["", "beyond included quota", "lost %", "redeemed", "windows/reset", "on reserve %"];
	return [
		"What there is beyond included quota: one reset credit an account, at once wherever it is offered or not before a week is out",
		...aligned([head, ...rows]),
	].join("\n");
}

function cellsOf(held: readonly BeyondWeeks[], name: string, model: Model): string[] {
	const demanded = sum(held.map((each) => each.demanded));
	const served = sum(held.map(({ ways }) => wayOf(ways, name)?.served ?? 0));
	const without = sum(held.map(({ ways }) => wayOf(ways, NOTHING)?.served ?? 0));
	const redeemed = sum(held.map(({ ways }) => wayOf(ways, name)?.redeemed ?? 0));
	const onReserve = sum(held.map(({ ways }) => wayOf(ways, name)?.onReserve ?? 0));
	const isOfResets = redeemed > 0 && onReserve === 0;
	return [
		percent(1 - served / demanded),
		redeemed > 0 ? `${redeemed} of ${sum(held.map(({ credits }) => credits))}` : "",
		isOfResets ? ((served - without) / redeemed / model.windowWork).toFixed(1) : "",
		onReserve > 0 ? percent(onReserve / demanded) : "",
	];
}

function wayOf(ways: readonly Way[], name: string): Way | undefined {
	return ways.find((way) => way.name === name);
}

/** How the product's choice of a reset compares to the best known schedule, in the weeks of one seed. */
export interface Duel {
	readonly family: string;
	readonly seed: number;
	readonly demanded: number;
	readonly without: number;
	readonly everyOffer: number;
	readonly weekOut: number;
	readonly best: number;
	readonly schedules: number;
	readonly isComplete: boolean;
}

/** Weeks and accounts that are few enough for a search. */
export const DUEL_WEEKS = 1;
const DUEL_ACCOUNTS = 3;

/** Compares the choices in small weeks; undefined where the seed has too many accounts for a search. */
export function duel(family: Family, seed: number, model: Model, most: number): Duel | undefined {
	const scenario = createScenario(family, seed, DUEL_WEEKS, model);
	if (scenario.accounts.length > DUEL_ACCOUNTS) return undefined;
	const credits = creditsOf(scenario);
	const playWith = (init: BeyondInit) => play(scenario, ours("soonest-reset"), model, { beyond: createBeyond(init) });
	const { served: without, demanded } = playWith({});
	const everyOffer = playWith({ credits }).served;
	const weekOut = playWith({ credits, pick: whenAWeekIsOut }).served;
	const { served, schedules, isComplete } = bestSchedule(scenario, credits, model, most);
	const best = Math.max(served, everyOffer, weekOut);
	return { family: family.name, seed, demanded, without, everyOffer, weekOut, best, schedules, isComplete };
}

/** The comparisons of each family in a line. */
export function duelTable(duels: readonly Duel[]): string {
	const rows = [...new Set(duels.map(({ family }) => family))].map((family) => {
		const own = duels.filter((each) => each.family === family);
		const lost = (served: (duel: Duel) => number) => percent(1 - sum(own.map(served)) / sum(own.map(wanted)));
		const complete = own.filter(({ isComplete }) => isComplete).length;
		return [
			family,
			lost(({ without }) => without),
			lost(({ everyOffer }) => everyOffer),
			lost(({ weekOut }) => weekOut),
			lost(({ best }) => best),
			`${sum(own.map(({ schedules }) => schedules))} (${complete} of ${own.length} searched whole)`,
		];
	});
	const head = ["lost %", NOTHING, "every offer", "week out", "best known", "schedules"];
	return [
		`Against the best known schedule of resets, which knows the future: ${DUEL_WEEKS} week, up to ${DUEL_ACCOUNTS} accounts`,
		...aligned([head, ...rows]),
	].join("\n");
}

function wanted({ demanded }: Duel): number {
	return demanded;
}
