import { DEFAULT_POLICY } from "../../../src/core/request/policies.ts";
import type { Contest, Entry } from "./contest.ts";
import type { Family } from "./demand.ts";

/** What the default has to reach in a family. */
export interface Targets {
	/** Percent of the best known: in the mean, and in the worst seed. */
	readonly mean: number;
	readonly worst: number;
	/** Work spent on changes of account: percent of the work served. */
	readonly burn: number;
	/** Failed attempts per 1,000 turns. */
	readonly failed: number;
}

/** One thing that the default has to reach. */
export interface Goal {
	readonly family: string;
	readonly name: string;
	readonly value: number;
	readonly limit: number;
	/** The value has to be as high as the limit at least, or as low at most. */
	readonly isFloor: boolean;
	readonly isReached: boolean;
	/** How much of what the limit allows is used up: 1 is all of it. */
	readonly usedUp: number;
}

const USUAL: Targets = { mean: 98.5, worst: 95, burn: 1, failed: 0.3 };

/** With one heavy day a week several accounts run dry under their sessions at once: a cold turn for each, or a wait. */
const HEAVY_DAY = "W6";
const HEAVY: Targets = { ...USUAL, mean: 97 };

const COLUMNS = [
	["of bound %", (entries: readonly Entry[]) => percent(mean(entries.map(({ ofBound }) => ofBound)))],
	["(sd, min)", (entries: readonly Entry[]) => spread(entries.map(({ ofBound }) => ofBound * 100))],
	["of best %", (entries: readonly Entry[]) => percent(mean(entries.map(({ ofBest }) => ofBest)))],
	["(min)", (entries: readonly Entry[]) => `(${percent(Math.min(...entries.map(({ ofBest }) => ofBest)))})`],
	["blocked %", (entries: readonly Entry[]) => percent(share(entries, "blockedTurns", "turns"))],
	["switches/session", (entries: readonly Entry[]) => share(entries, "switches", "sessions").toFixed(2)],
	["cold tokens/turn", (entries: readonly Entry[]) => share(entries, "coldTokens", "servedTurns").toFixed(0)],
	["burn %", (entries: readonly Entry[]) => percent(share(entries, "switchBurn", "served"), 2)],
	["waste %", (entries: readonly Entry[]) => percent(share(entries, "avoidableWaste", "expiredWork"))],
	["429s/1000", (entries: readonly Entry[]) => (share(entries, "refused", "turns") * 1000).toFixed(2)],
] as const;

/** The results of one family as a table. */
export function tableOf(family: Family, contests: readonly Contest[]): string {
	const demanded = sum(contests.map((contest) => contest.demanded));
	const bound = sum(contests.map((contest) => contest.bound)) / demanded;
	const best = sum(contests.map((contest) => contest.best)) / demanded;
	const head = `${family.name} ${family.title}: ${contests.length} seeds, bound ${percent(bound)} %, best known ${percent(best)} % of demand`;
	const rows = policiesOf(contests).map((policy) => {
		const entries = entriesOf(contests, policy);
		return [policy, ...COLUMNS.map(([, cell]) => cell(entries))];
	});
	return [head, ...aligned([["", ...COLUMNS.map(([name]) => name)], ...rows])].join("\n");
}

/** What the default has to reach in a family. */
export function targetsOf(family: string): Targets {
	return family === HEAVY_DAY ? HEAVY : USUAL;
}

/** The goals of the default policy, over all families that ran. */
export function goalsOf(contests: readonly Contest[]): Goal[] {
	const light = contests.filter(({ family, load }) => family !== HEAVY_DAY && load <= 0.8);
	const lightShare = mean(entriesOf(light).map(({ ofBound }) => ofBound * 100));
	return [
		...familiesOf(contests).flatMap((family) => {
			const entries = entriesOf(contests.filter((contest) => contest.family === family));
			const targets = targetsOf(family);
			return [
				atLeast(family, "mean", mean(entries.map(ofBest)), targets.mean),
				atLeast(family, "worst seed", Math.min(...entries.map(ofBest)), targets.worst),
				atMost(family, "burn %", share(entries, "switchBurn", "served") * 100, targets.burn),
				atMost(family, "429s/1000", share(entries, "refused", "turns") * 1000, targets.failed),
			];
		}),
		...(light.length > 0 ? [atLeast("load <= 80 %", "of bound %", lightShare, 99.5)] : []),
	];
}

function atLeast(family: string, name: string, value: number, limit: number): Goal {
	return {
		family,
		name,
		value,
		limit,
		isFloor: true,
		isReached: value >= limit,
		usedUp: (100 - value) / (100 - limit),
	};
}

function atMost(family: string, name: string, value: number, limit: number): Goal {
	return { family, name, value, limit, isFloor: false, isReached: value <= limit, usedUp: value / limit };
}

/** The goals, one line a family, and in each the one that is nearest to being missed. */
export function goalsAsText(goals: readonly Goal[]): string {
	const lines = familiesOf(goals).map((family) => {
		const own = goals.filter((goal) => goal.family === family);
		const nearest = Math.max(...own.map(({ usedUp }) => usedUp));
		return [family, ...own.map((goal) => cellOf(goal, goal.usedUp === nearest))];
	});
	return ["Goals of the default: mean and worst seed in % of the best known (* the nearest to being missed)"]
		.concat(aligned(lines))
		.join("\n");
}

function cellOf({ name, value, limit, isFloor, isReached }: Goal, isNearest: boolean): string {
	const mark = isNearest ? "*" : "";
	return `${name} ${value.toFixed(2)} ${isFloor ? ">=" : "<="} ${limit}${isReached ? mark : " MISSED"}`;
}

function ofBest(entry: Entry): number {
	return entry.ofBest * 100;
}

function familiesOf(all: readonly { readonly family: string }[]): string[] {
	return [...new Set(all.map(({ family }) => family))];
}

function policiesOf(contests: readonly Contest[]): string[] {
	return contests[0]?.entries.map(({ policy }) => policy) ?? [];
}

function entriesOf(contests: readonly Contest[], wanted: string = DEFAULT_POLICY): Entry[] {
	return contests.flatMap(({ entries }) => entries.filter(({ policy }) => policy === wanted));
}

type Count = Exclude<keyof Entry["outcome"], undefined>;

/** Of all seeds together: a seed counts by its size. */
function share(entries: readonly Entry[], part: Count, whole: Count): number {
	const of = (count: Count) => sum(entries.map(({ outcome }) => outcome[count]));
	return of(part) / Math.max(1, of(whole));
}

/** The sum of `values`. */
export function sum(values: readonly number[]): number {
	return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
	return sum(values) / Math.max(1, values.length);
}

/** A share as a percentage. */
export function percent(value: number, digits = 1): string {
	return (value * 100).toFixed(digits);
}

function spread(values: readonly number[]): string {
	const middle = mean(values);
	const variance = sum(values.map((value) => (value - middle) ** 2)) / Math.max(1, values.length - 1);
	return `(${Math.sqrt(variance).toFixed(1)}, ${Math.min(...values).toFixed(0)})`;
}

/** Rows as lines, with each column as wide as its widest cell. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
	const widths = (rows[0] ?? []).map((_cell, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
	return rows.map((row) =>
		row
			.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
			.join("  "),
	);
}
