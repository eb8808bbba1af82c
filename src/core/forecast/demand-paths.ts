import type { HourlyDemand } from "./demand.ts";

/** The demand in each hour from now on. */
export type DemandPath = Float64Array;

const DAY = 24;
const WEEK = 7;
/** Weekdays are compared in parts of this many hours. */
const PART = 6;
/** A day counts half as much as one this many days later. */
const HALF_LIFE_DAYS = 14;
/** How much the weekday counts if weekdays differ. */
const WEEKDAY_POWER = 3;
/** A past day counts more if the hours before it resemble the last hours, weighted by how recent they are. */
const LOOK_BACK_HOURS = 3;
const LIKENESS = 1.2;
/** Maximum spread of the futures' levels, as the standard deviation of the logarithm. */
const MOST_DEVIATION = 0.6;
/** Seed of the order of the levels. Differs from the seeds of days. */
const LEVELS = 1000;
/** Demand in an hour below this is negligible. */
const LITTLE = 4;

/**
 * Returns `count` possible courses of demand over the next hours. Each is put together from past days, starting with
 * one that began like the last hours. Each is scaled a little up or down as a whole, since a few days do not show
 * long-term demand exactly. The same history gives the same futures.
 */
export function demandFutures({ hours: past }: HourlyDemand, count: number, hours: number): DemandPath[] {
	const days = Math.floor(past.length / DAY);
	const weekdays = weekdayParts(past, days);
	const recency = Array.from({ length: days }, (_, index) => 0.5 ** ((index + 1) / HALF_LIFE_DAYS));
	const levels = levelsOf(past, recency, count);
	const futures = Array.from({ length: count }, () => new Float64Array(hours));
	for (let day = 0; day * DAY < hours; day += 1) {
		const sources = drawDays(past, weekdays, { recency, day, count });
		const length = Math.min(DAY, hours - day * DAY);
		for (const [index, future] of futures.entries()) {
			const begins = past.length - DAY * (sources[index] ?? 1);
			const level = levels[index] ?? 1;
			for (let hour = 0; hour < length; hour += 1) future[day * DAY + hour] = (past[begins + hour] ?? 0) * level;
		}
	}
	return futures;
}

/** Returns how far each future is scaled above or below the mean of the history, by how uncertain that mean is. */
function levelsOf(past: Float64Array, recency: readonly number[], count: number): number[] {
	let [weight, squares, mean, spread] = [0, 0, 0, 0];
	const totals = recency.map((_, index) => sumOf(past, past.length - DAY * (index + 1), DAY));
	for (const [index, own] of recency.entries()) {
		weight += own;
		squares += own ** 2;
		mean += own * (totals[index] ?? 0);
	}
	mean /= weight;
	for (const [index, own] of recency.entries()) spread += (own / weight) * ((totals[index] ?? 0) - mean) ** 2;
	// The number of equally weighted days that would carry as much information.
	const telling = weight ** 2 / squares;
	const deviation = mean > 0 ? Math.sqrt(spread / telling) / mean : 0;
	return scrambled(LEVELS, count).map((place) =>
		Math.exp(Math.min(deviation, MOST_DEVIATION) * normalAt((place + 0.5) / count)),
	);
}

/** Returns the approximate value below which a share of a normal distribution lies: Tukey's lambda. */
function normalAt(share: number): number {
	return 4.91 * (share ** 0.14 - (1 - share) ** 0.14);
}

function sumOf(hours: Float64Array, begins: number, length: number): number {
	let sum = 0;
	for (let hour = begins; hour < begins + length; hour += 1) sum += hours[hour] ?? 0;
	return sum;
}

/**
 * Returns the mean demand by weekday, 0 for the 24 hours that begin now, in parts of a day. Unknown days are like all
 * others.
 */
function weekdayParts(past: Float64Array, days: number): number[][] {
	const byLag = Array.from({ length: days }, (_, index) => partsOf(past, index + 1));
	const meanOf = (some: readonly (readonly number[])[], part: number) =>
		some.reduce((sum, parts) => sum + (parts[part] ?? 0), 0) / Math.max(1, some.length);
	return Array.from({ length: WEEK }, (_, weekday) => {
		const same = byLag.filter((_parts, index) => (index + 1 + weekday) % WEEK === 0);
		return Array.from({ length: DAY / PART }, (_part, part) => {
			return (meanOf(same, part) * same.length + meanOf(byLag, part)) / (same.length + 1);
		});
	});
}

/** Returns the demand of the day that began `lag` days ago, in parts. */
function partsOf(past: Float64Array, lag: number): number[] {
	return Array.from({ length: DAY / PART }, (_, part) => sumOf(past, past.length - DAY * lag + PART * part, PART));
}

/** Returns how similar two weekdays are, 0..1. */
function likenessOf(one: readonly number[], other: readonly number[]): number {
	const difference = one.reduce((sum, amount, part) => sum + Math.abs(amount - (other[part] ?? 0)), 0);
	const whole = one.reduce((sum, amount, part) => sum + Math.max(amount, other[part] ?? 0), 0);
	return 1 - difference / (whole + LITTLE);
}

/** Picks, for each future, the past day (in days ago) that its day `day` resembles. Day 0 begins now. */
function drawDays(
	past: Float64Array,
	weekdays: readonly (readonly number[])[],
	{ recency, day, count }: { readonly recency: readonly number[]; readonly day: number; readonly count: number },
): number[] {
	const wanted = weekdays[day % WEEK] ?? [];
	const likenesses = weekdays.map((found) => likenessOf(wanted, found) ** WEEKDAY_POWER);
	const weights = recency.map((own, index) => {
		const lag = index + 1;
		const likeness = likenesses[(WEEK - (lag % WEEK)) % WEEK] ?? 1;
		return own * likeness * (day === 0 ? likenessOfStart(past, lag) : 1);
	});
	const total = weights.reduce((sum, weight) => sum + weight, 0);
	const order = scrambled(day, count);
	const drawn: number[] = [];
	let index = 0;
	let reached = weights[0] ?? 0;
	for (let future = 0; future < count; future += 1) {
		const goal = ((future + 0.5) / count) * total;
		while (reached < goal && index < weights.length - 1) {
			index += 1;
			reached += weights[index] ?? 0;
		}
		drawn[order[future] ?? 0] = index + 1;
	}
	return drawn;
}

/** Returns how similar the hours before a past day are to the hours before now, 0..1. */
function likenessOfStart(past: Float64Array, lag: number): number {
	const begins = past.length - DAY * lag;
	if (begins < LOOK_BACK_HOURS) return 0.5;
	let difference = 0;
	for (let back = 1; back <= LOOK_BACK_HOURS; back += 1) {
		const now = (past[past.length - back] ?? 0) + LITTLE;
		const then = (past[begins - back] ?? 0) + LITTLE;
		difference += Math.log(now / then) ** 2 / back;
	}
	return Math.exp(-difference / (2 * LIKENESS ** 2));
}

/** Returns the numbers below `count` in an order that depends on `seed` alone. */
function scrambled(seed: number, count: number): number[] {
	const numbers = Array.from({ length: count }, (_, index) => index);
	let state = Math.imul(seed + 1, 0x9e3779b9);
	for (let index = count - 1; index > 0; index -= 1) {
		state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) | 0;
		const other = (state >>> 0) % (index + 1);
		const held = numbers[index] ?? 0;
		numbers[index] = numbers[other] ?? 0;
		numbers[other] = held;
	}
	return numbers;
}
