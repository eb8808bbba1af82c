/** As every calendar and schema has it: with a year of four digits. */
const PLAIN = /^\d{4}-/;

/** ISO 8601, UTC, of a time in epoch ms; null for undefined, and for a time that no calendar has. */
export function iso(at: number | undefined): string | null {
	const date = new Date(at ?? Number.NaN);
	const text = Number.isNaN(date.getTime()) ? "" : date.toISOString();
	return PLAIN.test(text) ? text : null;
}
