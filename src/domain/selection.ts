import type { Account, AccountId } from "./account.ts";
import type { Cooldown } from "./cooldown.ts";
import { readyAt } from "./cooldown.ts";
import { byLength, headroom, isUntouched, type UsageSnapshot } from "./usage.ts";

/** An account as the choice sees it. */
export interface Candidate {
	readonly account: Account;
	readonly cooldowns: readonly Cooldown[];
	readonly usage: UsageSnapshot | undefined;
}

/** What a choice is made for. */
export interface SelectionContext {
	readonly modelId: string | undefined;
	readonly now: number;
	/** The person's explicit choice. */
	readonly pinned: AccountId | undefined;
	/** The account that last served this session. */
	readonly affinity: AccountId | undefined;
}

/** Orders eligible accounts: negative where `a` is to be used before `b`; 0 leaves the list's order. */
export interface Policy {
	readonly compare: (a: Candidate, b: Candidate, now: number) => number;
}

/** Every selection policy by its name in the settings. The next one is one entry here. */
export const POLICIES = {
	// Untouched accounts first, which starts their clock, then the one whose quota expires soonest.
	"soonest-reset": {
		compare: (a, b, now) =>
			freshRank(a, now) - freshRank(b, now) || expiresAt(a, now) - expiresAt(b, now) || roomOf(b, now) - roomOf(a, now),
	},
} as const satisfies Record<string, Policy>;

/** Name of a selection policy. */
export type PolicyName = keyof typeof POLICIES;

/** The policy that holds unless the person says otherwise. */
export const DEFAULT_POLICY: PolicyName = "soonest-reset";

/** Signed in, enabled, and not cooling for this model. */
export function isEligible(candidate: Candidate, modelId: string | undefined, now: number): boolean {
	if (!candidate.account.enabled || candidate.account.needsLogin) return false;
	return readyAt(candidate.cooldowns, modelId, now) <= now;
}

/** The eligible candidates in the order in which to try them: pin, then affinity, then the policy's order. */
export function rank(
	candidates: readonly Candidate[],
	context: SelectionContext,
	policy: PolicyName = DEFAULT_POLICY,
): Candidate[] {
	const { now } = context;
	const precedence = (candidate: Candidate): number => {
		if (candidate.account.id === context.pinned) return 0;
		return candidate.account.id === context.affinity ? 1 : 2;
	};
	return candidates
		.filter((candidate) => isEligible(candidate, context.modelId, now))
		.map((candidate, position) => ({ candidate, position }))
		.sort(
			(a, b) =>
				precedence(a.candidate) - precedence(b.candidate) ||
				POLICIES[policy].compare(a.candidate, b.candidate, now) ||
				a.position - b.position,
		)
		.map(({ candidate }) => candidate);
}

/** 0 untouched, 1 the shortest window's clock does not run, 2 unknown usage, 3 the rest. */
function freshRank({ usage }: Candidate, now: number): number {
	if (!usage) return 2;
	const windows = byLength(usage.windows);
	const [shortest] = windows;
	if (!shortest) return 2;
	if (windows.every((window) => isUntouched(window, usage, now))) return 0;
	return isUntouched(shortest, usage, now) ? 1 : 3;
}

/** Reset of the longest window, epoch ms; a clock that has not started comes last. */
function expiresAt({ usage }: Candidate, now: number): number {
	const longest = usage ? byLength(usage.windows).at(-1) : undefined;
	if (!usage || longest?.resetsAt === undefined) return Number.MAX_SAFE_INTEGER;
	return isUntouched(longest, usage, now) ? Number.MAX_SAFE_INTEGER : longest.resetsAt;
}

function roomOf({ usage }: Candidate, now: number): number {
	return usage ? headroom(usage, now) : 100;
}
