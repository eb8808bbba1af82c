import type { HourlyDemand } from "./demand.ts";

/** What may be wanted in each hour from now on. */
export type DemandPath = Float64Array;

const DAY = 24;
const WEEK = 7;
/** Possible futures that are drawn from the history. */
const FUTURES = 96;
/** A day counts half as much as one that is this much later. */
const HALF_LIFE_DAYS = 14;
/** How much the weekday counts where weekdays differ. */
const WEEKDAY_POWER = 3;
/** A day of the history that begins like today counts more: in its last hours, weighted by how near they are. */
const LOOK_BACK_HOURS = 3;
const LIKENESS = 0.9;
/** Less than this in an hour is next to nothing. */
const LITTLE = 4;

/**
 * Paths of demand over the next hours, one for each of `levels` (0..1): up to every hour, that share of the futures has
 * wanted less than the path has. Futures are days of the history put together, the first of which went on like the last
 * hours; the same history gives the same paths.
 */
export function demandPaths(demand: HourlyDemand, levels: readonly number[], hours: number): DemandPath[] {
	const { hours: past } = demand;
	const days = Math.floor(past.length / DAY);
	const totals = weekdayTotals(past, days);
	const sums = Array.from({ length: FUTURES }, () => 0);
	const paths = levels.map(() => new Float64Array(hours));
	const before = levels.map(() => 0);
	const column = new Float64Array(FUTURES);
	let sources: readonly number[] = [];
	for (let hour = 0; hour < hours; hour += 1) {
		const day = Math.floor(hour / DAY);
		if (hour % DAY === 0) sources = drawDays(past, totals, days, day);
		for (let future = 0; future < FUTURES; future += 1) {
			const begins = past.length - DAY * (sources[future] ?? 1);
			const wanted = past[begins + (hour % DAY)] ?? 0;
			const sum = (sums[future] ?? 0) + wanted;
			sums[future] = sum;
			column[future] = sum;
		}
		column.sort();
		for (const [index, level] of levels.entries()) {
			const reached = Math.max(before[index] ?? 0, quantileOf(column, level));
			const path = paths[index];
			if (path) path[hour] = reached - (before[index] ?? 0);
			before[index] = reached;
		}
	}
	return paths;
}

/** The value below which `level` of the sorted values are. */
function quantileOf(sorted: Float64Array, level: number): number {
	const place = level * (sorted.length - 1);
	const low = sorted[Math.floor(place)] ?? 0;
	const high = sorted[Math.ceil(place)] ?? low;
	return low + (high - low) * (place - Math.floor(place));
}

/** Mean demand by weekday, 0 for the 24 hours that begin now; days that are not known are like all others. */
function weekdayTotals(past: Float64Array, days: number): number[] {
	const byLag = Array.from({ length: days }, (_, index) => totalOf(past, index + 1));
	const overall = byLag.reduce((sum, total) => sum + total, 0) / Math.max(1, days);
	return Array.from({ length: WEEK }, (_, weekday) => {
		const same = byLag.filter((_, index) => (index + 1 + weekday) % WEEK === 0);
		return (same.reduce((sum, total) => sum + total, 0) + overall) / (same.length + 1);
	});
}

/** Demand of the day that began `lag` days ago. */
function totalOf(past: Float64Array, lag: number): number {
	const begins = past.length - DAY * lag;
	let sum = 0;
	for (let hour = begins; hour < begins + DAY; hour += 1) sum += past[hour] ?? 0;
	return sum;
}

/** For each future the day of the history, as days ago, that its day `day` (0 begins now) is like. */
function drawDays(past: Float64Array, totals: readonly number[], days: number, day: number): number[] {
	const wanted = totals[day % WEEK] ?? 0;
	const weights = Array.from({ length: days }, (_, index) => {
		const lag = index + 1;
		const found = totals[(WEEK - (lag % WEEK)) % WEEK] ?? 0;
		const likeness = (Math.min(wanted, found) + LITTLE) / (Math.max(wanted, found) + LITTLE);
		const recency = 0.5 ** (lag / HALF_LIFE_DAYS);
		return recency * likeness ** WEEKDAY_POWER * (day === 0 ? likenessOfStart(past, lag) : 1);
	});
	const total = weights.reduce((sum, weight) => sum + weight, 0);
	const order = scrambled(day);
	const drawn: number[] = [];
	let index = 0;
	let reached = weights[0] ?? 0;
	for (let future = 0; future < FUTURES; future += 1) {
		const goal = ((future + 0.5) / FUTURES) * total;
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

/** The numbers below {@link FUTURES} in an order that depends on `seed` alone. */
function scrambled(seed: number): number[] {
	const numbers = Array.from({ length: FUTURES }, (_, index) => index);
	let state = (seed + 1) * 0x9e3779b9;
	for (let index = FUTURES - 1; index > 0; index -= 1) {
		state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5;
		const other = (state >>> 0) % (index + 1);
		const held = numbers[index] ?? 0;
		numbers[index] = numbers[other] ?? 0;
		numbers[other] = held;
	}
	return numbers;
}
