import type { AccountId } from "../ids.ts";
import { type Amounts, dayOf, daysBefore, isMonth, type LedgerRow, monthOf, monthsBefore, sumOf } from "./ledger.ts";

/** The period of a report: today, the last 7 days, the last 30 days, or everything kept. */
export const PERIODS = ["today", "week", "month", "all"] as const;

/** One of {@link PERIODS}. */
export type Period = (typeof PERIODS)[number];

/** What a report has one row for. */
export const GROUPINGS = ["account", "project", "model", "day"] as const;

/** One of {@link GROUPINGS}. */
export type Grouping = (typeof GROUPINGS)[number];

/** One row of a report. */
export interface Group {
	/** An account's id, a folder, a model, a day or a month; undefined for amounts kept for several together. */
	readonly key: string | undefined;
	readonly amounts: Amounts;
	/** The amount in each of the report's steps. */
	readonly course: readonly number[];
}

/** What was used in a period. */
export interface Report {
	readonly period: Period;
	readonly by: Grouping;
	/** The first day; undefined if the report covers everything. */
	readonly from: string | undefined;
	readonly to: string;
	/** Largest amounts first; days newest first. */
	readonly groups: readonly Group[];
	readonly total: Group;
	/** The days or months that a course covers; for a single day, the week up to it. */
	readonly steps: readonly string[];
}

const DAYS: Readonly<Record<Exclude<Period, "all">, number>> = { today: 1, week: 7, month: 30 };
const STEPS: Readonly<Record<Period, number>> = { today: 7, week: 7, month: 30, all: 12 };

/** Adds up what was used in a period that ends now (epoch ms). */
export function reportOf(rows: readonly LedgerRow[], period: Period, by: Grouping, now: number): Report {
	const to = dayOf(now);
	const from = period === "all" ? undefined : daysBefore(to, DAYS[period] - 1);
	const steps = stepsOf(period, to);
	const isOfPeriod = (row: LedgerRow) => from === undefined || isWithin(row.period, from, to);
	const groupOf = (key: string | undefined, own: readonly LedgerRow[]): Group => ({
		key,
		amounts: sumOf(own.filter(isOfPeriod)),
		course: courseOf(own, steps),
	});
	const groups = [...grouped(rows, (row) => keyOf(row, by, period))]
		.filter(([, own]) => own.some(isOfPeriod))
		.map(([key, own]) => groupOf(key, own))
		.sort(by === "day" ? laterFirst : moreFirst);
	return { period, by, from, to, groups, total: groupOf(undefined, rows), steps };
}

/** Counts the tokens of input and output. */
function tokensIn({ input, cached, output }: Amounts): number {
	return input + cached + output;
}

/** Returns what an account was used for today; undefined for nothing. */
export function usedToday(rows: readonly LedgerRow[], account: AccountId, now: number): Amounts | undefined {
	const today = dayOf(now);
	const own = rows.filter((row) => row.account === account && row.period === today);
	const { requests, ...sum } = sumOf(own);
	return requests > 0 ? { requests, ...sum } : undefined;
}

/** A month counts if it overlaps the period. Recent days are joined to months only in very large ledgers. */
function isWithin(period: string, from: string, to: string): boolean {
	if (!isMonth(period)) return period >= from && period <= to;
	return from !== to && period >= monthOf(from) && period <= monthOf(to);
}

function stepsOf(period: Period, to: string): readonly string[] {
	const backwards = Array.from({ length: STEPS[period] }, (_, ago) =>
		period === "all" ? monthsBefore(to, ago) : daysBefore(to, ago),
	);
	return backwards.reverse();
}

function keyOf(row: LedgerRow, by: Grouping, period: Period): string | undefined {
	if (by === "day") return period === "all" ? monthOf(row.period) : row.period;
	return row[by];
}

function courseOf(rows: readonly LedgerRow[], steps: readonly string[]): readonly number[] {
	const isByMonth = isMonth(steps[0] ?? "");
	const sums = new Map<string, number>();
	for (const row of rows) {
		const step = isByMonth ? monthOf(row.period) : row.period;
		sums.set(step, (sums.get(step) ?? 0) + tokensIn(row));
	}
	return steps.map((step) => sums.get(step) ?? 0);
}

function grouped<T, K>(all: readonly T[], keyIn: (each: T) => K): ReadonlyMap<K, readonly T[]> {
	const groups = new Map<K, T[]>();
	for (const each of all) {
		const key = keyIn(each);
		const group = groups.get(key);
		if (group) group.push(each);
		else groups.set(key, [each]);
	}
	return groups;
}

function laterFirst(a: Group, b: Group): number {
	return (b.key ?? "") < (a.key ?? "") ? -1 : 1;
}

/** Puts amounts kept for several together last. */
function moreFirst(a: Group, b: Group): number {
	if (a.key === undefined || b.key === undefined) return Number(a.key === undefined) - Number(b.key === undefined);
	return (
		tokensIn(b.amounts) - tokensIn(a.amounts) || b.amounts.requests - a.amounts.requests || (a.key < b.key ? -1 : 1)
	);
}
