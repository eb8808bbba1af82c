import { DEFAULT_POLICY } from "../../../src/domain/selection.ts";
import type { Contest, Entry } from "./contest.ts";
import type { Family } from "./demand.ts";

/** What the default has to reach. */
export interface Goal {
	readonly text: string;
	readonly value: number;
	readonly isReached: boolean;
}

const HEAVY_DAY = "W6";

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

/** The goals of the default policy, over all families that ran. */
export function goalsOf(contests: readonly Contest[]): Goal[] {
	const families = [...new Set(contests.map(({ family }) => family))];
	const of = (family: string) => entriesOf(contests.filter((contest) => contest.family === family));
	// One heavy day a week leaves every policy with forced moves, and less of them all: its worst week is no goal.
	const ordinary = entriesOf(contests.filter(({ family }) => family !== HEAVY_DAY));
	const atLeast = (text: string, value: number, least: number): Goal => ({ text, value, isReached: value >= least });
	const atMost = (text: string, value: number, most: number): Goal => ({ text, value, isReached: value <= most });
	const light = contests.filter(({ family, load }) => family !== HEAVY_DAY && load <= 0.8);
	const lightShare = mean(entriesOf(light).map(({ ofBound }) => ofBound * 100));
	return [
		...families.map((family) => {
			const least = family === HEAVY_DAY ? 97 : 98.5;
			return atLeast(`${family} mean >= ${least} % of the best known`, mean(of(family).map(ofBest)), least);
		}),
		...(ordinary.length > 0
			? [atLeast(`every seed but of ${HEAVY_DAY} >= 95 % of the best known`, Math.min(...ordinary.map(ofBest)), 95)]
			: []),
		...(light.length > 0 ? [atLeast("demand <= 80 % of capacity: >= 99.5 % of the bound", lightShare, 99.5)] : []),
		...families.map((family) => {
			const most = family === HEAVY_DAY ? 3 : 1;
			const burn = share(of(family), "switchBurn", "served") * 100;
			return atMost(`${family} switch burn <= ${most} % of the work`, burn, most);
		}),
		...families.map((family) =>
			atMost(`${family} failed attempts <= 0.3 per 1,000 turns`, share(of(family), "refused", "turns") * 1000, 0.3),
		),
	];
}

/** The goals, one a line. */
export function goalsAsText(goals: readonly Goal[]): string {
	const lines = goals.map(
		({ text, value, isReached }) => `${isReached ? "ok    " : "MISSED"} ${text}: ${value.toFixed(2)}`,
	);
	return ["Goals of the default", ...lines].join("\n");
}

function ofBest(entry: Entry): number {
	return entry.ofBest * 100;
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

function sum(values: readonly number[]): number {
	return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
	return sum(values) / Math.max(1, values.length);
}

function percent(value: number, digits = 1): string {
	return (value * 100).toFixed(digits);
}

function spread(values: readonly number[]): string {
	const middle = mean(values);
	const variance = sum(values.map((value) => (value - middle) ** 2)) / Math.max(1, values.length - 1);
	return `(${Math.sqrt(variance).toFixed(1)}, ${Math.min(...values).toFixed(0)})`;
}

function aligned(rows: readonly (readonly string[])[]): string[] {
	const widths = (rows[0] ?? []).map((_cell, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
	return rows.map((row) =>
		row
			.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
			.join("  "),
	);
}
