import { expect, it } from "vitest";
import { runStress } from "../e2e/stress.ts";
import { expectSurvival, stressSeed } from "../e2e/stress-verdict.ts";

/** Fewer prove little. */
const LEAST_KILLS = 20;

it.each([{ host: "0.73.1" }, { host: "0.87.1" }, { host: "1.6.0" }] as const)(
	"survives eight processes of pi $host on six accounts under every fault, half of them killed again and again",
	async ({ host }) => {
		const seed = stressSeed();
		const report = await runStress({
			host,
			processes: 8,
			accounts: 6,
			kills: 60,
			longestMs: 180_000,
			leastKills: LEAST_KILLS,
			seed,
			fire: "all",
		});

		expectSurvival(report, seed);
		expect(report.kills, `seed ${seed}`).toBeGreaterThanOrEqual(LEAST_KILLS);
	},
);
