import { expect } from "vitest";
import type { StressReport } from "./stress.ts";

/**
 * What every stress must show, whatever its size. The seed is in every message: with it the lots are the same again.
 */
export function expectSurvival(report: StressReport, seed: number): void {
	const { fates, turns, exchanges, kills, signedInAgain, ...faults } = report;
	const lost = fates.filter(({ isLost }) => isLost).length;
	process.stdout.write(
		`stress, seed ${seed}: ${turns} turns, ${exchanges} exchanges, ${kills} killed, ` +
			`${signedInAgain} signed in again, ${lost} of ${fates.length} lost\n`,
	);
	expect(faults, `seed ${seed}`).toEqual({
		sentTwice: [],
		lostByTheLiving: [],
		brokenFiles: [],
		failedTurns: [],
		stuckLocks: [],
		spoiltAnswers: [],
		oddFiles: [],
		slowTurns: [],
	});
	// Works, or says why not; and only who lost a token to a kill may say so.
	const expected = fates.map(({ name, isLost }) =>
		isLost
			? { name, isLost, needsLogin: "refresh_token_reused", shown: "needs-login", works: false }
			: { name, isLost, needsLogin: undefined, shown: "ready", works: true },
	);
	expect(fates, `seed ${seed}`).toEqual(expected);
	expect(exchanges, `seed ${seed}`).toBeGreaterThan(fates.length);
}

/** A new seed, or the one of `STRESS_SEED`, to draw the lots of an earlier run once more. */
export function stressSeed(): number {
	const wanted = Number(process.env.STRESS_SEED);
	return Number.isInteger(wanted) && wanted > 0 ? wanted : Date.now() % 1_000_000;
}
