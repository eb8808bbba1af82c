import type { Account } from "./account.ts";
import { planFactor } from "./plan-sizes.ts";
import { type HistorySample, hasBegunAnew, seriesOf } from "./quota-history.ts";
import type { UsageSnapshot } from "./usage.ts";

/**
 * What was used of the whole pool, hour by hour. The unit is one percent of the 5h window of a plus account; the last
 * hour ends now.
 */
export interface HourlyDemand {
	/** Oldest first. */
	readonly hours: Float64Array;
	/** 5h windows in the week of an account, as its figures show. */
	readonly windowsPerWeek: number;
}

/** An account whose size is known by its plan. */
export interface Sized {
	readonly account: Account;
	readonly usage: UsageSnapshot | undefined;
}

export const HOUR_MS = 60 * 60_000;
const WEEK_MINUTES = 7 * 24 * 60;
const SHORT_MINUTES = 300;
/** Older hours say little about the next ones. */
const MOST_HOURS = 28 * 24;
/** As reported of plus accounts; what an account's own figures show counts more. */
const USUAL_WINDOWS_PER_WEEK = 6;
/** Percent of a week that figures must have moved by before they are believed. */
const TELLING_PERCENT = 15;
/** With this much of a window, percent, an account counts as spent. */
const SPENT_PERCENT = 99.5;
/** A change of figures that follows a longer pause happened within this time before it. */
const LONGEST_CHANGE_MS = HOUR_MS;

/** Is the window the one that is measured in: the 5h window? */
export function isShort(windowMinutes: number): boolean {
	return Math.abs(windowMinutes - SHORT_MINUTES) <= SHORT_MINUTES * 0.05;
}

/** How much a window of an account holds, in the unit of {@link HourlyDemand}. */
export function sizeOf(windowMinutes: number, factor: number, windowsPerWeek: number): number {
	if (isShort(windowMinutes)) return 100 * factor;
	return (100 * factor * windowsPerWeek * windowMinutes) / WEEK_MINUTES;
}

/** The demand that the samples tell of, in the hours before `now`. */
export function demandOf(samples: readonly HistorySample[], accounts: readonly Sized[], now: number): HourlyDemand {
	const series = new Map<string, HistorySample[]>();
	for (const sample of samples) {
		if (sample.at > now) continue;
		const key = seriesOf(sample);
		const list = series.get(key);
		if (list) list.push(sample);
		else series.set(key, [sample]);
	}
	const changes = [...series.values()].map(changesOf);
	const windowsPerWeek = ratioOf(changes);
	const first = samples.reduce((earliest, { at }) => Math.min(earliest, at), now);
	const total = Math.min(MOST_HOURS, Math.floor((now - first) / HOUR_MS));
	const hours = new Float64Array(total);
	const begins = now - total * HOUR_MS;
	const factors = new Map(
		accounts.map(({ account, usage }) => [account.id, planFactor(usage?.plan ?? account.plan, usage)]),
	);
	for (const list of measuring(changes)) {
		const [{ accountId, windowMinutes } = { accountId: "", windowMinutes: 0 }] = list;
		const unit = sizeOf(windowMinutes, factors.get(accountId) ?? 1, windowsPerWeek) / 100;
		for (const { from, to, percent } of list) spread(hours, begins, from, to, percent * unit);
	}
	return { hours: filled(hours, spentHours(changes, begins, total)), windowsPerWeek };
}

/** How much of a window was used in a span of time. */
interface Change {
	readonly accountId: string;
	readonly windowMinutes: number;
	readonly from: number;
	readonly to: number;
	readonly percent: number;
	/** What is used at its end, and until when at most. */
	readonly usedPercent: number;
	readonly resetsAt: number;
}

function changesOf(samples: readonly HistorySample[]): Change[] {
	return samples.flatMap((sample, index) => {
		const former = samples[index - 1];
		if (!former) return [];
		const { accountId, windowMinutes, at, usedPercent, formerPercent = 0, resetsAt = at } = sample;
		const isNew = hasBegunAnew(former, sample) || formerPercent > usedPercent;
		const percent = isNew
			? Math.max(0, formerPercent - former.usedPercent) + usedPercent
			: Math.max(0, usedPercent - former.usedPercent);
		const from = Math.max(former.at, at - LONGEST_CHANGE_MS);
		return [{ accountId, windowMinutes, from, to: at, percent, usedPercent, resetsAt }];
	});
}

/** The changes of one window of each account: of its shortest, whose percents are the finest. */
function measuring(all: readonly (readonly Change[])[]): (readonly Change[])[] {
	const shortest = new Map<string, readonly Change[]>();
	for (const list of all) {
		const [first] = list;
		if (!first) continue;
		const [known] = shortest.get(first.accountId) ?? [];
		if (!known || first.windowMinutes < known.windowMinutes) shortest.set(first.accountId, list);
	}
	return [...shortest.values()];
}

/** How many 5h windows one week of an account was worth. */
function ratioOf(all: readonly (readonly Change[])[]): number {
	const totals = new Map<string, { short: number; week: number }>();
	for (const list of all) {
		const [first] = list;
		if (!first) continue;
		const used = list.reduce((sum, { percent }) => sum + percent, 0);
		const total = totals.get(first.accountId) ?? { short: 0, week: 0 };
		totals.set(first.accountId, total);
		if (isShort(first.windowMinutes)) total.short += used;
		else if (Math.abs(first.windowMinutes - WEEK_MINUTES) < WEEK_MINUTES * 0.05) total.week += used;
	}
	let short = USUAL_WINDOWS_PER_WEEK * TELLING_PERCENT;
	let week = TELLING_PERCENT;
	for (const total of totals.values()) {
		if (total.short === 0 || total.week === 0) continue;
		short += total.short;
		week += total.week;
	}
	return short / week;
}

function spread(hours: Float64Array, begins: number, from: number, to: number, amount: number): void {
	if (amount <= 0 || to <= begins) return;
	const length = Math.max(1, to - from);
	for (let hour = Math.floor((from - begins) / HOUR_MS); hour <= (to - begins) / HOUR_MS; hour += 1) {
		const starts = begins + hour * HOUR_MS;
		const shared = Math.min(to, starts + HOUR_MS) - Math.max(from, starts);
		const known = hours[hour];
		if (known !== undefined && shared > 0) hours[hour] = known + (amount * shared) / length;
	}
}

/** Hours in which every account was spent: nothing was used then, whatever was wanted. */
function spentHours(all: readonly (readonly Change[])[], begins: number, total: number): Uint8Array {
	const accounts = new Set(all.flatMap(([first]) => (first ? [first.accountId] : [])));
	const spent = new Map([...accounts].map((id) => [id, new Uint8Array(total)]));
	for (const list of all) {
		for (const { accountId, to, usedPercent, resetsAt } of list) {
			if (usedPercent < SPENT_PERCENT) continue;
			spent
				.get(accountId)
				?.fill(
					1,
					Math.max(0, Math.ceil((to - begins) / HOUR_MS)),
					Math.max(0, Math.floor((resetsAt - begins) / HOUR_MS)),
				);
		}
	}
	return new Uint8Array(total).map((_, hour) => Number([...spent.values()].every((each) => each[hour] === 1)));
}

/** The demand with hours in which nothing could be used as they were on other days. */
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
