import { keep, option } from "./options.ts";
import { measureStart, type StartCost } from "./start-up.ts";

/**
 * Prints what a start costs on each host; `--rounds 7`, `--host 1.6.0`, `--kind warm`, `--json <file>` for every
 * figure.
 */
const rounds = Number(option("rounds") ?? 7);
const host = option("host");
const kinds = (["warm", "cold"] as const).filter((kind) => kind === (option("kind") ?? kind));

const all: StartCost[] = [];
for (const name of host === undefined ? ["0.73.1", "0.87.1", "1.6.0"] : [host]) {
	for (const each of kinds) {
		const costs = await measureStart(name, each, rounds);
		for (const { variant, milliseconds, ratio } of costs) {
			const figures = `${milliseconds.toFixed(0).padStart(6)} ms  ${ratio.toFixed(2)}`;
			process.stdout.write(`pi ${name.padEnd(8)} ${each.padEnd(6)} ${variant.padEnd(18)} ${figures}\n`);
		}
		all.push(...costs);
	}
}
keep({ rounds, costs: all });
