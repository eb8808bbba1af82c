import type { Usage } from "@mariozechner/pi-ai";
import type { RequestInfo } from "../events.ts";
import type { AccountId } from "../ids.ts";

/** The amounts that are counted. `requests` counts answers, including those that broke off after their first output. */
export interface Amounts {
	readonly requests: number;
	/** Input tokens that were not cached. */
	readonly input: number;
	/** Input tokens that were cached. */
	readonly cached: number;
	readonly output: number;
	/** What the API would charge, as computed by pi, US dollars. */
	readonly cost: number;
	/** How often a session left the account because it could not continue there. */
	readonly rotations: number;
	readonly refusals: number;
	/** Time until those refusals arrived, ms. */
	readonly refusedMs: number;
}

/** What the amounts of a row belong to. Old rows of a large ledger may lack a part; they cover several values of it. */
interface LedgerKey {
	/** A day on the local calendar, such as `2026-11-29`, or a month, such as `2026-11`. */
	readonly period: string;
	readonly account?: AccountId | undefined;
	/** The root of the project's checkout, or the folder of the session. */
	readonly project?: string | undefined;
	readonly model?: string | undefined;
}

/** What an account did for one project with one model, in a day or a month. */
export interface LedgerRow extends LedgerKey, Amounts {}

/** Something to count. */
export type LedgerEntry = {
	readonly account: AccountId;
	readonly asked: RequestInfo;
} & (
	| { readonly kind: "answered"; readonly usage: Usage }
	| { readonly kind: "refused"; readonly tookMs: number }
	| { readonly kind: "rotated" }
);

/** Counts what happens to requests. Never throws, and no request waits for it. */
export type RecordEntry = (entry: LedgerEntry) => void;

/** The ledger, for screens and for the program without pi. */
export interface Ledger {
	/** Returns every row, including what this process has just done. */
	read(): Promise<readonly LedgerRow[]>;
	/** Deletes the ledger. Resolves to false if there was none. */
	forget(): Promise<boolean>;
	/** Calls `listener` after each write, until the returned function is called. */
	follow(listener: () => void): () => void;
}

/** Names of the amounts. */
export const AMOUNTS = [
	"requests",
	"input",
	"cached",
	"output",
	"cost",
	"rotations",
	"refusals",
	"refusedMs",
] as const satisfies readonly (keyof Amounts)[];

/** Amounts of zero. */
export const NOTHING: Amounts = {
	requests: 0,
	input: 0,
	cached: 0,
	output: 0,
	cost: 0,
	rotations: 0,
	refusals: 0,
	refusedMs: 0,
};

/** Number of days kept as days. Older ones become months. */
export const DAYS_KEPT = 90;
/** Number of months kept. */
export const MONTHS_KEPT = 60;
/** A ledger with more rows is kept less finely, oldest part first. That loses detail but no amounts. */
export const MOST_ROWS = 10_000;
/** Sums of dollars are rounded to a millionth of a cent, so that no binary fractions end up in the file. */
const COST_UNIT = 1e8;

/** Returns the local day of a time, such as `2026-11-29`. */
export function dayOf(at: number): string {
	return keyOf(new Date(at));
}

/** Returns the day `count` days before `day`. */
export function daysBefore(day: string, count: number): string {
	const [year = 0, month = 1, date = 1] = day.split("-").map(Number);
	// Use noon, which no change of the clock moves to another day.
	return keyOf(new Date(year, month - 1, date - count, 12));
}

function keyOf(date: Date): string {
	const two = (value: number) => String(value).padStart(2, "0");
	return `${String(date.getFullYear()).padStart(4, "0")}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

const MONTH_LENGTH = "2026-11".length;

/** Returns the month of a day or a month. */
export function monthOf(period: string): string {
	return period.slice(0, MONTH_LENGTH);
}

/** True for a row of a whole month. */
export function isMonth(period: string): boolean {
	return period.length === MONTH_LENGTH;
}

/** Returns the month `count` months before that of `period`. */
export function monthsBefore(period: string, count: number): string {
	const [year = 0, month = 1] = period.split("-").map(Number);
	return monthOf(keyOf(new Date(year, month - 1 - count, 1, 12)));
}

/** Returns the amounts of an entry. What the host does not report counts as zero. */
export function amountsOf(entry: LedgerEntry): Amounts {
	switch (entry.kind) {
		case "answered": {
			const { input, cacheRead, cacheWrite, output, cost } = entry.usage;
			return {
				...NOTHING,
				requests: 1,
				input: known(input) + known(cacheWrite),
				cached: known(cacheRead),
				output: known(output),
				cost: known(cost?.total),
			};
		}
		case "refused":
			return { ...NOTHING, refusals: 1, refusedMs: Math.round(known(entry.tookMs)) };
		case "rotated":
			return { ...NOTHING, rotations: 1 };
	}
}

function known(amount: number | undefined): number {
	return amount !== undefined && Number.isFinite(amount) && amount > 0 ? amount : 0;
}

/** Adds up many amounts. */
export function sumOf(all: Iterable<Amounts>): Amounts {
	const sum = { ...NOTHING };
	for (const each of all) add(sum, each);
	return sum;
}

type Sum<T> = { -readonly [K in keyof T]: T[K] };

/** Adds in place, since a large ledger has tens of thousands of rows. */
function add(sum: Sum<Amounts>, more: Amounts): void {
	sum.requests += more.requests;
	sum.input += more.input;
	sum.cached += more.cached;
	sum.output += more.output;
	sum.cost = Math.round((sum.cost + more.cost) * COST_UNIT) / COST_UNIT;
	sum.rotations += more.rotations;
	sum.refusals += more.refusals;
	sum.refusedMs += more.refusedMs;
}

/** Adds up rows with the same key, in order of first occurrence. */
export function merged(rows: Iterable<LedgerRow>, keyOf: (row: LedgerRow) => LedgerKey = ownKey): LedgerRow[] {
	const sums = new Map<string, Sum<LedgerRow>>();
	for (const row of rows) {
		const { period, account, project, model } = keyOf(row);
		const key = `${period}\n${account}\n${project}\n${model}`;
		const before = sums.get(key);
		if (before) add(before, row);
		else sums.set(key, { ...row, period, account, project, model });
	}
	return [...sums.values()];
}

function ownKey(row: LedgerRow): LedgerKey {
	return row;
}

/** A way to keep the ledger less finely. */
interface Coarser {
	/** Older days become months, without `parts`. */
	readonly days: number;
	readonly parts: readonly ("account" | "project" | "model")[];
	/** Drops `parts` from all other rows as well. */
	readonly isEverywhere?: true;
}

/** From the finest on. A pool of a hundred accounts needs only the first; the last ones fit any pool. */
const COARSER: readonly Coarser[] = [
	{ days: DAYS_KEPT, parts: [] },
	{ days: DAYS_KEPT, parts: ["project"] },
	{ days: 31, parts: ["project"] },
	{ days: 7, parts: ["project"] },
	{ days: 7, parts: ["project", "account"] },
	{ days: 1, parts: ["project", "account"] },
	{ days: 1, parts: ["project"], isEverywhere: true },
	{ days: 1, parts: ["project", "account"], isEverywhere: true },
	{ days: 1, parts: ["project", "account", "model"], isEverywhere: true },
];

/** Returns the ledger within its bounds on the day `today`: days for a while, then months. */
export function bounded(rows: Iterable<LedgerRow>, today: string): LedgerRow[] {
	const oldest = monthsBefore(today, MONTHS_KEPT - 1);
	let kept = merged([...rows].filter(({ period }) => monthOf(period) >= oldest));
	for (const step of COARSER) {
		kept = merged(kept, coarser(step, today));
		if (kept.length <= MOST_ROWS) break;
	}
	return kept;
}

function coarser({ days, parts, isEverywhere }: Coarser, today: string): (row: LedgerRow) => LedgerKey {
	const oldestDay = daysBefore(today, days);
	const [hasAccount, hasProject, hasModel] = [
		!parts.includes("account"),
		!parts.includes("project"),
		!parts.includes("model"),
	];
	const less = ({ account, project, model }: LedgerRow, period: string): LedgerKey => ({
		period,
		account: hasAccount ? account : undefined,
		project: hasProject ? project : undefined,
		model: hasModel ? model : undefined,
	});
	return (row) => {
		const { period } = row;
		if (isMonth(period) || period < oldestDay) return less(row, monthOf(period));
		return isEverywhere ? less(row, period) : row;
	};
}
