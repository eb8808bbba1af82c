import type { Account } from "../account.ts";
import type { AccountId } from "../ids.ts";
import { planFactor } from "../plan-sizes.ts";
import type { UsageSnapshot } from "../usage.ts";
import { type HistorySample, hasBegunAnew } from "./quota-history.ts";

/**
 * What was used of the whole pool, hour by hour. The unit is one percent of a plus account's 5h window. The last hour
 * ends now.
 */
export interface HourlyDemand {
	/** Oldest first. */
	readonly hours: Float64Array;
	/** How many 5h windows fit into an account's weekly window, by its own figures. */
	readonly windowsPerWeek: number;
	/** What one active session uses in an hour, as seen when accounts were used side by side. */
	readonly sessionPace: number;
}

/** An account whose size is known from its plan. */
export interface Sized {
	readonly account: Account;
	readonly usage: UsageSnapshot | undefined;
}

export const HOUR_MS = 60 * 60_000;
const WEEK_MINUTES = 7 * 24 * 60;
const SHORT_MINUTES = 300;
/** Older hours say little about the coming ones. */
const MOST_HOURS = 28 * 24;
/** Reported for plus accounts. An account's own figures count more. */
const USUAL_WINDOWS_PER_WEEK = 6;
/** Figures count only after they have moved by this percentage of a week. */
const TELLING_PERCENT = 15;
/** An account that has used this much of a window, percent, counts as spent. */
const SPENT_PERCENT = 99.5;
/** What an active session uses in an hour, while little is known. */
const USUAL_PACE = 30;
/** How much demand must be known before it counts as much as the usual pace. */
const TELLING_DEMAND = 300;
/** Less than this in an hour is no session: figures are whole percents, and other programs use accounts too. */
const LEAST_SESSION = 1;
const SLOWEST_PACE = 10;
/** A change of figures after a longer pause happened at most this long before. */
const LONGEST_CHANGE_MS = HOUR_MS;

/** True for the 5h window, in which everything is measured. */
function isShort(windowMinutes: number): boolean {
	return Math.abs(windowMinutes - SHORT_MINUTES) <= SHORT_MINUTES * 0.05;
}

/** Returns how much a window of an account holds, in the unit of {@link HourlyDemand}. */
export function sizeOf(windowMinutes: number, factor: number, windowsPerWeek: number): number {
	if (isShort(windowMinutes)) return 100 * factor;
	return (100 * factor * windowsPerWeek * windowMinutes) / WEEK_MINUTES;
}

/** Computes the demand in the hours before `now` from samples. */
export function demandOf(samples: readonly HistorySample[], accounts: readonly Sized[], now: number): HourlyDemand {
	const { byAccount, first } = seriesIn(samples, now);
	const windowsPerWeek = ratioOf(byAccount);
	const total = Math.min(MOST_HOURS, Math.floor((now - first) / HOUR_MS));
	const begins = now - total * HOUR_MS;
	const factors = new Map(
		accounts.map(({ account, usage }) => [account.id, planFactor(usage?.plan ?? account.plan, usage)]),
	);
	const hours = new Float64Array(total);
	/** The number of accounts used in each hour. */
	const used = new Uint16Array(total);
	for (const [accountId, all] of byAccount) {
		const { windowMinutes, changes } = shortestOf(all);
		const unit = sizeOf(windowMinutes, factors.get(accountId) ?? 1, windowsPerWeek) / 100;
		const own = new Float64Array(total);
		for (const { from, to, percent } of changes) spread(own, begins, from, to, percent * unit);
		for (let hour = 0; hour < total; hour += 1) {
			const amount = own[hour] ?? 0;
			hours[hour] = (hours[hour] ?? 0) + amount;
			if (amount >= LEAST_SESSION) used[hour] = (used[hour] ?? 0) + 1;
		}
	}
	const isUnknown = spentHours(byAccount, begins, total);
	return { hours: filled(hours, isUnknown), windowsPerWeek, sessionPace: paceOf(hours, used) };
}

/** How much of a window was used in a time span. */
interface Change {
	readonly from: number;
	readonly to: number;
	readonly percent: number;
}

/** What the samples of one window show. */
interface Series {
	readonly windowMinutes: number;
	readonly changes: Change[];
	/** When nothing was left of it. */
	readonly spent: { readonly from: number; readonly to: number }[];
	usedPercent: number;
	last: HistorySample;
}

interface AllSeries {
	readonly byAccount: ReadonlyMap<AccountId, readonly Series[]>;
	/** The first sample of all. */
	readonly first: number;
}

function seriesIn(samples: readonly HistorySample[], now: number): AllSeries {
	const byAccount = new Map<AccountId, Series[]>();
	let first = now;
	for (const sample of samples) {
		const { accountId, windowMinutes, at } = sample;
		if (at < first) first = at;
		if (at > now) continue;
		const own = byAccount.get(accountId);
		const known = own?.find((each) => each.windowMinutes === windowMinutes);
		if (known) {
			takeIn(known, sample);
			continue;
		}
		const series = { windowMinutes, changes: [], spent: [], usedPercent: 0, last: sample };
		if (own) own.push(series);
		else byAccount.set(accountId, [series]);
	}
	return { byAccount, first };
}

function takeIn(series: Series, sample: HistorySample): void {
	const former = series.last;
	const { at, usedPercent, formerPercent = 0, resetsAt = at } = sample;
	const isNew = formerPercent > usedPercent || hasBegunAnew(former, sample);
	const percent = isNew
		? Math.max(0, formerPercent - former.usedPercent) + usedPercent
		: Math.max(0, usedPercent - former.usedPercent);
	if (percent > 0) series.changes.push({ from: Math.max(former.at, at - LONGEST_CHANGE_MS), to: at, percent });
	if (usedPercent >= SPENT_PERCENT) series.spent.push({ from: at, to: resetsAt });
	series.usedPercent += percent;
	series.last = sample;
}

/** Returns the window with the finest percents. */
function shortestOf(all: readonly Series[]): Pick<Series, "windowMinutes" | "changes"> {
	return all.reduce<Pick<Series, "windowMinutes" | "changes">>(
		(shortest, each) => (each.windowMinutes < shortest.windowMinutes ? each : shortest),
		all[0] ?? { windowMinutes: 0, changes: [] },
	);
}

/** Returns how many 5h windows a week of an account was worth. */
function ratioOf(byAccount: AllSeries["byAccount"]): number {
	let short = USUAL_WINDOWS_PER_WEEK * TELLING_PERCENT;
	let week = TELLING_PERCENT;
	for (const all of byAccount.values()) {
		let ownShort = 0;
		let ownWeek = 0;
		for (const { windowMinutes, usedPercent } of all) {
			if (isShort(windowMinutes)) ownShort += usedPercent;
			else if (Math.abs(windowMinutes - WEEK_MINUTES) < WEEK_MINUTES * 0.05) ownWeek += usedPercent;
		}
		if (ownShort === 0 || ownWeek === 0) continue;
		short += ownShort;
		week += ownWeek;
	}
	return short / week;
}

/** Returns what an account served in an hour of use. Busy hours say more than those of a single question. */
function paceOf(hours: Float64Array, used: Uint16Array): number {
	let amounts = USUAL_PACE * TELLING_DEMAND;
	let whole = TELLING_DEMAND;
	for (const [hour, amount] of hours.entries()) {
		const accounts = used[hour] ?? 0;
		if (accounts === 0) continue;
		amounts += (amount * amount) / accounts;
		whole += amount;
	}
	return Math.max(SLOWEST_PACE, amounts / whole);
}

function spread(hours: Float64Array, begins: number, from: number, to: number, amount: number): void {
	if (to <= begins) return;
	const length = Math.max(1, to - from);
	for (let hour = Math.floor((from - begins) / HOUR_MS); hour <= (to - begins) / HOUR_MS; hour += 1) {
		const starts = begins + hour * HOUR_MS;
		const shared = Math.min(to, starts + HOUR_MS) - Math.max(from, starts);
		const known = hours[hour];
		if (known !== undefined && shared > 0) hours[hour] = known + (amount * shared) / length;
	}
}

/** Finds the hours in which every account was spent. Nothing was used then, whatever the demand. */
function spentHours(byAccount: AllSeries["byAccount"], begins: number, total: number): Uint8Array {
	const all = [...byAccount.values()].map((series) => series.flatMap(({ spent }) => spent));
	const spent = new Uint8Array(total);
	if (all.length === 0 || all.some((times) => times.length === 0)) return spent;
	spent.fill(1);
	for (const times of all) {
		const own = new Uint8Array(total);
		for (const { from, to } of times) {
			const [first, end] = [Math.ceil((from - begins) / HOUR_MS), Math.floor((to - begins) / HOUR_MS)];
			own.fill(1, Math.max(0, first), Math.max(0, end));
		}
		for (let hour = 0; hour < total; hour += 1) if (own[hour] === 0) spent[hour] = 0;
	}
	return spent;
}

/** Fills the hours in which nothing could be used with the demand of other days. */
function filled(hours: Float64Array, isUnknown: Uint8Array): Float64Array {
	return hours.map((amount, hour) => {
		if (isUnknown[hour] !== 1) return amount;
		let sum = 0;
		let count = 0;
		for (const stepHours of [7 * 24, 24]) {
			for (let other = hour % stepHours; other < hours.length && count < 4; other += stepHours) {
				if (isUnknown[other] === 1) continue;
				sum += hours[other] ?? 0;
				count += 1;
			}
			if (count > 0) break;
		}
		return count > 0 ? Math.max(amount, sum / count) : amount;
	});
}
