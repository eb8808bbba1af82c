/**
 * What the simulated backend is like. Work is counted in tokens of uncached input; sources are in the comments, and
 * what is not known outside the backend can be changed from the command line.
 */
export interface Model {
	/** What a plus account's 5h window holds. */
	readonly windowWork: number;
	/** Full 5h windows in a week's quota. */
	readonly windowsPerWeek: number;
	/** Share of a turn's input that comes from the cache where the session stayed on its account. */
	readonly cachedWhenWarm: number;
	/** The same in the first turn on another account. */
	readonly cachedAfterSwitch: number;
	/** Whether the headers of an answer tell what was left before its request, or after it. */
	readonly headersTell: "before" | "after";
}

/**
 * 225 credits a window at 62.5 credits a million tokens of input (public rate card of GPT-5.4); six windows a week as
 * reported; hit rates as a proxy measured them in production, of turns with 60k tokens and more.
 */
export const MODEL: Model = {
	windowWork: 3_600_000,
	windowsPerWeek: 6,
	cachedWhenWarm: 0.947,
	cachedAfterSwitch: 0.537,
	headersTell: "after",
};

/** A token of cached input, and one of output, in tokens of uncached input. */
export const CACHED_WEIGHT = 0.1;
/** See {@link CACHED_WEIGHT}. */
export const OUTPUT_WEIGHT = 4;

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
export const WEEK_MS = 7 * DAY_MS;

/** `rotation.maxWait` of people who let pi wait. */
export const NIGHT_MS = 8 * HOUR_MS;

/** Length of the shorter window. */
export const SHORT_MS = 5 * HOUR_MS;

/** A cache is gone after so long without a request. */
export const CACHE_LIFE_MS = HOUR_MS;

/** A Monday, midnight UTC: the simulated weeks begin here. */
export const START = Date.UTC(2026, 10, 16);

/** What a turn costs with `cached` (0..1) of its input in the cache. */
export function workOf(inputTokens: number, outputTokens: number, cached: number): number {
	return inputTokens * (1 - cached + cached * CACHED_WEIGHT) + outputTokens * OUTPUT_WEIGHT;
}
