import type { HourlyDemand } from "./demand.ts";

/** What is wanted in each hour from now on. */
export type DemandPath = Float64Array;

const DAY = 24;
const WEEK = 7;
/** Weekdays are compared in parts of so many hours. */
const PART = 6;
/** A day counts half as much as one that is this much later. */
const HALF_LIFE_DAYS = 14;
/** How much the weekday counts where weekdays differ. */
const WEEKDAY_POWER = 3;
/** A day of the history that begins like today counts more: in its last hours, weighted by how near they are. */
const LOOK_BACK_HOURS = 3;
const LIKENESS = 1.2;
/** Less than this in an hour is next to nothing. */
const LITTLE = 4;

/**
 * `count` ways in which the demand of the next hours may go on: days of the history put together, the first of which
 * began like the last hours. The same history gives the same futures.
 */
export function demandFutures({ hours: past }: HourlyDemand, count: number, hours: number): DemandPath[] {
	const days = Math.floor(past.length / DAY);
	const weekdays = weekdayParts(past, days);
	const futures = Array.from({ length: count }, () => new Float64Array(hours));
	for (let day = 0; day * DAY < hours; day += 1) {
		const sources = drawDays(past, weekdays, { days, day, count });
		for (const [index, future] of futures.entries()) {
			const begins = past.length - DAY * (sources[index] ?? 1);
			future.set(past.subarray(begins, begins + Math.min(DAY, hours - day * DAY)), day * DAY);
		}
	}
	return futures;
}

/**
 * Mean demand by weekday, 0 for the 24 hours that begin now, in parts of a day; days that are not known are like all
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

/** Demand of the day that began `lag` days ago, in parts. */
function partsOf(past: Float64Array, lag: number): number[] {
	return Array.from({ length: DAY / PART }, (_, part) => {
		const begins = past.length - DAY * lag + PART * part;
		return past.subarray(begins, begins + PART).reduce((sum, amount) => sum + amount, 0);
	});
}

/** How much two weekdays are alike, 0..1. */
function likenessOf(one: readonly number[], other: readonly number[]): number {
	const difference = one.reduce((sum, amount, part) => sum + Math.abs(amount - (other[part] ?? 0)), 0);
	const whole = one.reduce((sum, amount, part) => sum + Math.max(amount, other[part] ?? 0), 0);
	return 1 - difference / (whole + LITTLE);
}

/** For each future the day of the history, as days ago, that its day `day` (0 begins now) is like. */
function drawDays(
	past: Float64Array,
	weekdays: readonly (readonly number[])[],
	{ days, day, count }: { readonly days: number; readonly day: number; readonly count: number },
): number[] {
	const wanted = weekdays[day % WEEK] ?? [];
	const weights = Array.from({ length: days }, (_, index) => {
		const lag = index + 1;
		const found = weekdays[(WEEK - (lag % WEEK)) % WEEK] ?? [];
		const likeness = likenessOf(wanted, found);
		const recency = 0.5 ** (lag / HALF_LIFE_DAYS);
		return recency * likeness ** WEEKDAY_POWER * (day === 0 ? likenessOfStart(past, lag) : 1);
	});
	const total = weights.reduce((sum, weight) => sum + weight, 0);
	const order = scrambled(day, count);
	const drawn: number[] = [];
	let index = 0;
	let reached = weights[0] ?? 0;
	for (let future = 0; future < count; future += 1) {
		const goal = ((future + 0.5) / count) * total;
		while (reached < goal && index < days - 1) {
			index += 1;
			reached += weights[index] ?? 0;
		}
		drawn[order[future] ?? 0] = index + 1;
	}
	return drawn;
}

/** How much the hours before a day of the history are like the hours before now, 0..1. */
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

/** The numbers below `count` in an order that depends on `seed` alone. */
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
