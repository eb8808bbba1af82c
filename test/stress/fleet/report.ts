import type { FleetReport } from "./run.ts";

/** Every promise that was broken, one a line. */
export function violationsOf({ problems, fates }: FleetReport): string[] {
	const broken = Object.entries(problems).flatMap(([kind, list]) => list.map((what) => `${kind}: ${what}`));
	// Works, or says why not.
	const silent = fates
		.filter(({ works, needsLogin, isSaid }) => !works && needsLogin === undefined && !isSaid)
		.map(({ name }) => `silent: ${name} is shown as ready, and does not answer`);
	const wrongly = fates
		.filter(({ isGood, needsLogin }) => isGood && needsLogin !== undefined)
		.map(({ name, needsLogin }) => `silent: ${name} has a good sign-in, and says ${needsLogin}`);
	const unable = fates
		.filter(({ isGood, isClaimed, works, shown }) => isGood && !isClaimed && !works && shown === "ready")
		.map(({ name, shown }) => `silent: ${name} has a good sign-in, is shown as ${shown}, and does not answer`);
	return [...broken, ...silent, ...wrongly, ...unable];
}

/** What happened, in a few lines. */
export function summaryOf(report: FleetReport): string {
	const { fates } = report;
	return [
		`fleet, seed ${report.seed}, ${Math.round(report.ms / 1000)} s: ${report.exchanges} exchanges ` +
			`(${report.exchangesByPi} by real pis), ${report.turns} turns, ${report.processes} processes`,
		`  ${report.kills} killed, ${report.killsAfterAnswer} of them right after an answer of the token endpoint; ` +
			`${report.saved} of those tokens were stored all the same; ${report.journaled} seen in a journal`,
		`  ${report.crashes} crashes of the database, ${report.cuts} cuts of connections, ` +
			`${report.lostMachines} machine lost for good, ${report.signedInAgain} signed in again`,
		`  ${fates.filter(({ works }) => works).length} of ${fates.length} accounts work; ` +
			fates.map(({ name, shown, needsLogin }) => `${name} ${shown}${needsLogin ? ` (${needsLogin})` : ""}`).join(", "),
		...violationsOf(report)
			.slice(0, 40)
			.map((line) => `  BROKEN ${line}`),
	].join("\n");
}
