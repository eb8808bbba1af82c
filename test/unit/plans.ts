import type { Candidate } from "../../src/core/request/candidate.ts";
import { type Plan, plan, type SelectionRequest, type Snapshot } from "../../src/core/request/plan.ts";
import { DEFAULT_POLICY, type PolicyName } from "../../src/core/request/policies.ts";
import { NOW } from "../support/fakes.ts";
import { aSessionId } from "../support/ids.ts";

/** What a plan is made for, and what it finds besides the candidates. */
export type Setting = Omit<SelectionRequest, "sessionId"> & Omit<Snapshot, "candidates" | "policy">;

export const aSetting = (overrides: Partial<Setting> = {}): Setting => ({
	modelId: "gpt-5.5",
	now: NOW,
	pinned: undefined,
	affinity: undefined,
	liveSessions: new Map(),
	reserve: {},
	lastChosen: undefined,
	...overrides,
});

/** The plan over `candidates`, the whole pool in the list's order. */
export function planOf(
	candidates: readonly Candidate[],
	overrides: Partial<Setting> = {},
	policy: PolicyName = DEFAULT_POLICY,
): Plan {
	const setting = aSetting(overrides);
	return plan({ ...setting, sessionId: aSessionId("s") }, { ...setting, candidates, policy });
}

/** The candidates that may be tried, in the order of the plan. */
export function rank(
	candidates: readonly Candidate[],
	overrides: Partial<Setting> = {},
	policy: PolicyName = DEFAULT_POLICY,
): Candidate[] {
	return planOf(candidates, overrides, policy).order.flatMap(
		({ account }) => candidates.find((each) => each.account === account) ?? [],
	);
}

/** Every account of the plan: those with a rank first, then those that are not offered. */
export function rowsOf({ order, gated }: Plan) {
	return [
		...order.map(({ account, rank: at, gate, terms, decidedBy }) => ({
			account,
			rank: at,
			gate,
			terms: terms(),
			decidedBy,
		})),
		...gated.map(({ account, gate }) => ({ account, rank: undefined, gate, terms: [], decidedBy: undefined })),
	];
}
