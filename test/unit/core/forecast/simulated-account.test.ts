import { describe, expect, it } from "vitest";
import {
	candidateAt,
	markSpent,
	roomOf,
	simulatedAccount,
	use,
} from "../../../../src/core/forecast/simulated-account.ts";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";

const usage = aSnapshot({
	windows: [
		{ windowMinutes: 300, usedPercent: 40, resetsAt: NOW + HOUR_MS },
		{ windowMinutes: 10_080, usedPercent: 10, resetsAt: NOW + 3 * DAY_MS },
	],
});
const simulated = (overrides: Partial<Candidate> = {}) =>
	simulatedAccount({ account: anAccount("a"), cooldowns: [], usage, ...overrides }, 6, NOW);

describe("a simulated account", () => {
	it("has room for what is left of its shortest window, less what its cap keeps", () => {
		expect(roomOf(simulated())).toBe(60);
		expect(roomOf(simulated({ floors: { "5h": 20 } }))).toBe(40);
		expect(roomOf(simulated({ floors: { "5h": 70 } }))).toBe(0);
	});

	it("is spent until the reset of the window that is used down to its cap", () => {
		const capped = simulated({ floors: { "5h": 20 } });
		use(capped, 40, NOW);
		markSpent(capped, NOW);
		expect(capped.spentUntil).toBe(NOW + HOUR_MS);
		expect(candidateAt(capped, NOW).cooldowns).toMatchObject([{ until: NOW + HOUR_MS, reason: "usage_limit" }]);
	});

	it("is whole again once its window has reset", () => {
		const used = simulated();
		use(used, 60, NOW);
		candidateAt(used, NOW + HOUR_MS);
		expect(roomOf(used)).toBe(100);
	});
});
