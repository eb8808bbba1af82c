import type { ChaosReport } from "./run.ts";

/** A run in one line. */
export function summaryOf(report: ChaosReport): string {
	const { seed, ms, turns, requests, exchanges, usageCalls, faults, kills, stops, jumps, diskTroubles, commands } =
		report;
	const reasons = Object.entries(report.byReason).map(([reason, count]) => `${count} ${reason}`);
	return [
		`chaos, seed ${seed}: ${Math.round(ms / 1000)} s, ${turns} turns (${reasons.join(", ")}), ${requests} requests`,
		`${faults} faults, ${exchanges} exchanges, ${usageCalls} usage calls, ${kills} killed, ${stops} stopped`,
		`${jumps} jumps of clocks, ${diskTroubles} troubles with disks, ${commands} commands, ${report.signIns} signed in again`,
		`${report.violations.length} violations`,
	].join(", ");
}

/** How to play a run again. */
export function replayOf({
	options: { seed, ms, phaseMs, processes, seats, broken, weathers = [] },
}: ChaosReport): string {
	const words = ["npm run chaos --", `--seed ${seed}`, `--seconds ${Math.round(ms / 1000)}`];
	if (phaseMs !== undefined) words.push(`--phase ${phaseMs}`);
	if (processes !== undefined) words.push(`--processes ${processes}`);
	if (seats !== undefined) words.push(`--seats ${seats}`);
	if (broken !== undefined) words.push(`--break ${broken}`);
	return [...words, ...weathers.map((weather) => `--weather ${weather}`)].join(" ");
}

/** Every violation with what led to it, for a person who has to find out why. */
export function violationsOf(report: ChaosReport): string {
	const told = report.violations.map(({ what, trace }) => [what, ...trace.map((line) => `    ${line}`)].join("\n"));
	return [...told, `Play it again: ${replayOf(report)}`].join("\n");
}
