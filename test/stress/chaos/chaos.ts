/**
 * `npm run chaos -- [--seed N] [--minutes M | --seconds S] [--break NAME] [--phase MS] [--processes N] [--seats N]
 * [--weather NAME]…`: see `run.ts`. Exits with 1 where a promise was broken; where a guard was taken out on purpose
 * (`--break`), where none was.
 */
import { parseArgs } from "node:util";
import { breaks, misfits } from "./breaks.ts";
import { replayOf, summaryOf } from "./report.ts";
import { runChaos, WEATHERS } from "./run.ts";

const { values } = parseArgs({
	options: {
		seed: { type: "string" },
		minutes: { type: "string" },
		seconds: { type: "string", default: "60" },
		break: { type: "string" },
		phase: { type: "string" },
		processes: { type: "string" },
		seats: { type: "string" },
		weather: { type: "string", multiple: true },
	},
});

const broken = values.break;
if (broken !== undefined && !(broken in breaks)) {
	process.stderr.write(`There is no break "${broken}". There are: ${Object.keys(breaks).join(", ")}.\n`);
	process.exit(2);
}
const notThere = broken === undefined ? [] : misfits(broken);
if (notThere.length > 0) {
	process.stderr.write(`The source has changed: ${notThere.join(", ")}. See breaks.json.\n`);
	process.exit(2);
}
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const ms = values.minutes === undefined ? Number(values.seconds) * 1000 : Number(values.minutes) * 60_000;
const weathers = WEATHERS.filter((each) => values.weather?.includes(each));
process.stdout.write(`chaos, seed ${seed}, ${ms / 1000} s${broken === undefined ? "" : `, without "${broken}"`}\n`);

const report = await runChaos({
	seed,
	ms,
	broken,
	...(values.phase !== undefined && { phaseMs: Number(values.phase) }),
	...(values.processes !== undefined && { processes: Number(values.processes) }),
	...(values.seats !== undefined && { seats: Number(values.seats) }),
	untilFirst: broken !== undefined,
	...(weathers.length > 0 && { weathers }),
	onProgress: (line) => process.stdout.write(`${line}\n`),
});
process.stdout.write(`${summaryOf(report)}\n`);
for (const line of report.errors.slice(0, 25)) process.stdout.write(`    ${line}\n`);
if (report.violations.length > 0) process.stdout.write(`Play it again: ${replayOf(report)}\n`);
const isBad = broken === undefined ? report.violations.length > 0 : report.violations.length === 0;
process.exit(isBad ? 1 : 0);
