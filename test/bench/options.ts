import { writeFileSync } from "node:fs";

/** The value of `--name value` on the command line. */
export function option(name: string): string | undefined {
	const at = process.argv.indexOf(`--${name}`);
	return at < 0 ? undefined : process.argv[at + 1];
}

/** The middle one of `values`; of an even number the upper of the two. */
export function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** The value at `share` of the sorted values: 0.1 is what the tenth took that was disturbed least. */
export function quantile(values: readonly number[], share: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Prints one figure. */
export function line(name: string, text: string): void {
	process.stdout.write(`${name.padEnd(56)} ${text}\n`);
}

/** Writes every figure to the file of `--json`, if there is one. */
export function keep(figures: Readonly<Record<string, unknown>>): void {
	const file = option("json");
	if (file === undefined) return;
	const all = { node: process.version, at: new Date().toISOString(), ...figures };
	writeFileSync(file, `${JSON.stringify(all, undefined, "\t")}\n`);
}
