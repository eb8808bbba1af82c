/**
 * Numbers from here on are ms. As seconds they would lie thousands of years ahead, and as ms the time before 1973 is
 * below.
 */
const LEAST_MS = 1e11;

/** Reads a number, which may be written as text. Undefined for anything else. */
export function numberOf(value: unknown): number | undefined {
	const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
	return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

/** Reads a time from a server: seconds or ms since 1970, or a date with its year. Returns epoch ms. */
export function timeOf(value: unknown): number | undefined {
	const number = numberOf(value);
	if (number !== undefined) return number >= LEAST_MS ? number : number * 1000;
	return typeof value === "string" ? dateOf(value) : undefined;
}

/** Reads a date in the format of HTTP or ISO 8601. `Date.parse` alone would read "-5" as a year. */
export function dateOf(text: string): number | undefined {
	const at = /[a-z]{3}|^\s*\d{4}-\d{2}-\d{2}/i.test(text) ? Date.parse(text.trim()) : Number.NaN;
	return Number.isNaN(at) ? undefined : at;
}
