/** Matches a year of four digits, as schemas expect. */
const PLAIN = /^\d{4}-/;

/** Formats epoch ms as ISO 8601, UTC. Null for undefined, and for a time whose year does not have four digits. */
export function iso(at: number | undefined): string | null {
	const date = new Date(at ?? Number.NaN);
	const text = Number.isNaN(date.getTime()) ? "" : date.toISOString();
	return PLAIN.test(text) ? text : null;
}
