/**
 * `npm run fleet -- [--seed N] [--exchanges N] [--minutes M] [--machines N] [--seats N] [--pis N] [--accounts N]
 * [--break NAME]`: see `run.ts`. Exits with 1 where a promise was broken; where a guard was taken out on purpose
 * (`--break`), where none was.
 */
import { parseArgs } from "node:util";
import { misfits, readBreaks } from "../chaos/breaks.ts";
import { summaryOf, violationsOf } from "./report.ts";
import { runFleet } from "./run.ts";

const { values } = parseArgs({
	options: {
		seed: { type: "string" },
		exchanges: { type: "string", default: "1000" },
		minutes: { type: "string", default: "30" },
		machines: { type: "string", default: "3" },
		seats: { type: "string", default: "3" },
		pis: { type: "string", default: "1" },
		accounts: { type: "string", default: "6" },
		break: { type: "string" },
	},
});

const breaks = readBreaks(new URL("breaks.json", import.meta.url));
const broken = values.break;
if (broken !== undefined && !(broken in breaks)) {
	process.stderr.write(`There is no break "${broken}". There are: ${Object.keys(breaks).join(", ")}.\n`);
	process.exit(2);
}
const notThere = broken === undefined ? [] : misfits(broken, breaks);
if (notThere.length > 0) {
	process.stderr.write(`The source has changed: ${notThere.join(", ")}. See breaks.json.\n`);
	process.exit(2);
}
const seed = Number(values.seed ?? Date.now() % 1_000_000);
process.stdout.write(`fleet, seed ${seed}${broken === undefined ? "" : `, without "${broken}"`}\n`);
const report = await runFleet({
	seed,
	machines: Number(values.machines),
	seats: Number(values.seats),
	pis: broken === undefined ? Number(values.pis) : 0,
	accounts: Number(values.accounts),
	exchanges: Number(values.exchanges),
	longestMs: Number(values.minutes) * 60_000,
	lifeMs: 30_000,
	crashEveryMs: 30_000,
	broken,
	untilFirst: broken !== undefined,
	onProgress: (line) => process.stdout.write(`${line}\n`),
});
process.stdout.write(`${summaryOf(report)}\n`);
const violations = violationsOf(report).length;
const isBad = broken === undefined ? violations > 0 : violations === 0;
process.exit(isBad ? 1 : 0);
