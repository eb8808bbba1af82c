import { expect, vi } from "vitest";
import { wide } from "../support/tiers.ts";
import { runStress } from "./stress.ts";
import { expectSurvival, stressSeed } from "./stress-verdict.ts";

vi.setConfig({ testTimeout: 400_000 });

/** The chaos test of the core kills processes too. */
wide("loses no account and spends no token twice while half of its processes are killed", async () => {
	const seed = stressSeed();
	const report = await runStress({
		host: "0.87.1",
		processes: 4,
		accounts: 3,
		kills: 4,
		// Ends with the last kill, long before, unless the machine is very busy.
		longestMs: 90_000,
		leastKills: 1,
		seed,
		fire: "kills",
	});

	expectSurvival(report, seed);
	expect(report.kills, `seed ${seed}`).toBeGreaterThan(0);
});
