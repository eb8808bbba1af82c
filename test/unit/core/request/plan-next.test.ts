import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import { plan, type SelectionRequest, type Snapshot } from "../../../../src/core/request/plan.ts";
import { createNextInPlan } from "../../../../src/core/request/plan-next.ts";
import { POLICIES, type PolicyName } from "../../../../src/core/request/policies.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";

const IDS = ["a", "b", "c", "d", "e"].map(anId);

const sometimes = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
/** Full hours, so that different times meet. */
const time = fc.integer({ min: -3, max: 12 }).map((hours) => NOW + hours * HOUR_MS);
const percent = fc.constantFrom(0, 5, 50, 85, 95, 100);

const windows = fc.tuple(percent, time, percent, time).map(([short, shortEnd, long, longEnd]) => [
	{ windowMinutes: 300, usedPercent: short, resetsAt: shortEnd },
	{ windowMinutes: 10_080, usedPercent: long, resetsAt: longEnd },
]);
const budgets = fc
	.tuple(percent, time)
	.map(([usedPercent, resetsAt]) => [{ windowMinutes: 43_200, usedPercent, resetsAt, isReached: usedPercent >= 100 }]);
const usage = fc
	.record({
		windows: fc.oneof({ weight: 4, arbitrary: windows }, { weight: 1, arbitrary: fc.constant([]) }),
		budgets: sometimes(budgets),
		capturedAt: time,
		credits: sometimes(fc.constant({ hasCredits: true, unlimited: false, balance: "12", overageReached: false })),
	})
	.map((parts) => aSnapshot(parts));
const cooldown = fc
	.record({ until: time, reason: fc.constantFrom("usage_limit", "rate_limit", "not_included") })
	.map((parts) => aCooldown({ ...parts, setAt: NOW - 4 * HOUR_MS }));

const candidateOf = (id: string): fc.Arbitrary<Candidate> =>
	fc
		.record({
			cooldowns: fc.array(cooldown, { maxLength: 2 }),
			usage: sometimes(usage),
			isDoubted: fc.boolean(),
			floors: sometimes(fc.constant({ "7d": 10 })),
			enabled: fc.integer({ max: 9, min: 0 }).map((value) => value > 0),
		})
		.map(({ enabled, ...parts }) => ({ ...parts, account: anAccount(id, { enabled }) }));

/** One choice: when, by whom, and with which account changed since the one before. */
const moment = fc.record({
	now: fc.integer({ min: 0, max: 48 }).map((quarters) => NOW + quarters * 15 * MINUTE_MS),
	changed: sometimes(fc.nat(IDS.length - 1)),
	affinity: sometimes(fc.constantFrom(...IDS)),
	served: sometimes(fc.constantFrom(...IDS)),
	tried: sometimes(fc.subarray(IDS, { maxLength: 2 })),
	live: fc.array(fc.tuple(fc.constantFrom(...IDS), fc.integer({ min: 1, max: 3 })), { maxLength: 3 }),
	lastChosen: sometimes(fc.constantFrom(...IDS)),
});

const pool = fc.record({
	pinned: sometimes(fc.constantFrom(...IDS)),
	policy: fc.constantFrom(...(Object.keys(POLICIES) as PolicyName[])),
	reserve: fc.constantFrom({}, { "5h": 20 }),
	leavesOwnCredits: fc.boolean(),
	patienceMs: fc.constantFrom(0, 2 * HOUR_MS),
	modelId: fc.constantFrom(undefined, "gpt-5.4"),
	candidates: fc.tuple(...IDS.map(candidateOf)),
	others: fc.tuple(...IDS.map(candidateOf)),
	moments: fc.array(moment, { minLength: 1, maxLength: 12 }),
});

describe("the account with which a plan begins", () => {
	it("is that of the whole plan, however much is kept of former moments of the pool", () => {
		fc.assert(
			fc.property(pool, ({ candidates: first, others, moments, patienceMs, modelId, ...rest }) => {
				const next = createNextInPlan();
				const candidates = [...first];
				for (const { now, changed, live, lastChosen, tried, affinity, served } of moments) {
					const other = changed === undefined ? undefined : others[changed];
					if (changed !== undefined && other) candidates[changed] = { ...other };
					const snapshot: Snapshot = { ...rest, now, candidates, lastChosen, liveSessions: new Map(live) };
					const request: SelectionRequest = {
						modelId,
						patienceMs,
						affinity,
						served,
						sessionId: undefined,
						tried: tried && new Set(tried),
					};
					expect(next.nextOf(request, snapshot)).toBe(plan(request, snapshot).next);
				}
			}),
			runs(60, 600),
		);
	});
});
