import { describe, expect, it } from "vitest";
import { createSimulation } from "../../../../src/core/forecast/simulation.ts";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import type { Snapshot } from "../../../../src/core/request/plan.ts";
import type { PolicyName } from "../../../../src/core/request/policies.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW, resultOf } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

/** Accounts whose 5h window has begun, with so much of it used. */
function poolOf(used: readonly number[], policy: PolicyName = "soonest-reset"): Snapshot {
	const candidates = used.map((usedPercent, index): Candidate => {
		const windows = [
			{ windowMinutes: 300, usedPercent, resetsAt: NOW + 4.5 * HOUR_MS },
			{ windowMinutes: 10_080, usedPercent: 10, resetsAt: NOW + 3 * DAY_MS },
		];
		return { account: anAccount(`a${index}`), cooldowns: [], usage: aSnapshot({ windows }) };
	});
	return {
		now: NOW,
		candidates,
		pinned: undefined,
		liveSessions: new Map(),
		lastChosen: undefined,
		policy,
		reserve: {},
	};
}

function outcomeOf(snapshot: Snapshot, path: readonly number[], sessionPace: number) {
	const request = { modelId: undefined };
	const simulate = createSimulation({ snapshot, request, serving: undefined, windowsPerWeek: 6, sessionPace });
	const { dryAt, spentAt } = resultOf(simulate(Float64Array.from(path)));
	const hoursAfter = (at: number) => Math.round(((at - NOW) / HOUR_MS) * 100) / 100;
	return {
		dry: dryAt === undefined ? undefined : hoursAfter(dryAt),
		spent: [...spentAt.values()].map(hoursAfter).sort((a, b) => a - b),
	};
}

describe("a simulated future", () => {
	it("uses up one account after the other if one session takes all", () => {
		expect(outcomeOf(poolOf([10, 10, 10]), [90, 90, 90, 90], 90)).toEqual({ dry: 3, spent: [1, 2, 3] });
	});

	it("uses as many accounts side by side as sessions take what is wanted", () => {
		const { dry, spent } = outcomeOf(poolOf([10, 10, 10]), [90, 90, 90, 90], 30);
		expect(spent).toEqual([3, 3, 3]);
		expect(dry).toBe(3);
	});

	it("has a pool last until all is used, although its sessions are simulated one after the other", () => {
		// In the first hour 100 are left: the first of three sessions could take 40 of it, and the last one nothing.
		expect(outcomeOf(poolOf([60, 70, 70]), [120, 120], 40).dry).toBeCloseTo(100 / 120, 1);
	});

	it("has a window that is over, or has not begun, as a whole one whose clock starts with the next request", () => {
		const first = poolOf([0]).candidates[0];
		if (!first) throw new Error("There is no account");
		const whenOf = (usedPercent: number, resetsAt: number) => {
			const usage = aSnapshot({ capturedAt: NOW, windows: [{ windowMinutes: 300, usedPercent, resetsAt }] });
			const snapshot = { ...poolOf([]), candidates: [{ ...first, usage }] };
			return outcomeOf(snapshot, [0, 0, 0, 0, 50, 50, 50], 50).dry;
		};
		expect(whenOf(80, NOW - HOUR_MS)).toBe(6);
		expect(whenOf(0, NOW + 5 * HOUR_MS)).toBe(6);
		// Its clock runs: it is whole again after an hour in which it was used.
		expect(whenOf(20, NOW + 5 * HOUR_MS)).toBeUndefined();
	});

	it("a simulated future is the same every time, whatever was simulated before", () => {
		const snapshot = poolOf([10, 30, 50], "round-robin");
		const request = { modelId: undefined };
		const simulate = createSimulation({ snapshot, request, serving: anId("a1"), windowsPerWeek: 6, sessionPace: 30 });
		const path = Float64Array.from({ length: 60 }, (_, hour) => (hour % 12 < 6 ? 70 : 0));
		const first = resultOf(simulate(path));
		resultOf(simulate(path.map((amount) => amount * 2)));
		expect(resultOf(simulate(path))).toEqual(first);
	});

	it("is simulated in steps, none of which looks at many more accounts than that of a small pool", () => {
		const request = { modelId: undefined };
		const stepsWith = (accounts: number) => {
			const snapshot = poolOf(Array.from({ length: accounts }, (_, index) => index % 90));
			const simulate = createSimulation({ snapshot, request, serving: undefined, windowsPerWeek: 6, sessionPace: 30 });
			// Work by day, so that sessions begin anew each morning.
			const steps = simulate(Float64Array.from({ length: 72 }, (_, hour) => (hour % 24 < 10 ? 150 : 0)));
			let count = 1;
			let step = steps.next();
			for (; !step.done; step = steps.next()) count += 1;
			return { count, looks: step.value.choices * accounts };
		};
		expect(stepsWith(5).count).toBe(1);
		const { count, looks } = stepsWith(1000);
		expect(looks / count).toBeLessThan(10_000);
	});
});
