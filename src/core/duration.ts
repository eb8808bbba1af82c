const SECOND_MS = 1000;

/** Names and length of each unit, longest first. */
const UNITS: readonly { readonly names: readonly string[]; readonly ms: number }[] = [
	{ names: ["w", "wk", "wks", "week", "weeks"], ms: 7 * 86_400_000 },
	{ names: ["d", "day", "days"], ms: 86_400_000 },
	{ names: ["h", "hr", "hrs", "hour", "hours"], ms: 3_600_000 },
	{ names: ["m", "min", "mins", "minute", "minutes"], ms: 60_000 },
	{ names: ["s", "sec", "secs", "second", "seconds"], ms: SECOND_MS },
];
const PART = /(\d{1,8}(?:[.,]\d{1,6})?)\s*([a-z]*)\s*/gy;
const LONGEST_DURATION = 60;

/**
 * Reads a duration: `90s`, `1.5h`, `1h30m`, `1h30`, `45 min`, `2 days`, `0`. Returns ms, or undefined for anything
 * else. A number without a unit is ambiguous.
 */
export function durationIn(text: string): number | undefined {
	const typed = text.trim().toLowerCase();
	if (typed === "" || typed.length > LONGEST_DURATION) return undefined;
	let ms = 0;
	let end = 0;
	let finest = Number.POSITIVE_INFINITY;
	for (const [part, count = "", word = ""] of typed.matchAll(PART)) {
		const length = lengthOf(word, finest, Number(count) === 0);
		// Units must go from the longest to the shortest, each once. Anything else is a typo.
		if (length === undefined || length >= finest) return undefined;
		ms += Number(count.replace(",", ".")) * length;
		finest = length;
		end += part.length;
	}
	return end === typed.length ? Math.round(ms / SECOND_MS) * SECOND_MS : undefined;
}

/**
 * Returns the length of a unit by its name, ms. A number without a unit means minutes after hours, and zero needs no
 * unit.
 */
function lengthOf(word: string, before: number, isNothing: boolean): number | undefined {
	if (word !== "") return UNITS.find(({ names }) => names.includes(word))?.ms;
	if (before === 3_600_000) return 60_000;
	return isNothing && before === Number.POSITIVE_INFINITY ? SECOND_MS : undefined;
}

const WRITTEN: readonly (readonly [unit: string, ms: number])[] = [
	["h", 3_600_000],
	["m", 60_000],
	["s", SECOND_MS],
];

/**
 * Formats a duration in hours, minutes or seconds, whichever is the largest unit without a remainder. A minute is
 * `60s`.
 */
export function durationText(ms: number): string {
	const [unit, length] = WRITTEN.find(([, size]) => ms >= size && ms % size === 0) ?? ["s", SECOND_MS];
	return ms === 60_000 ? "60s" : `${Math.round(ms / length)}${unit}`;
}
