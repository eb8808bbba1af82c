import { type AccountSet, isInSet } from "../account-sets.ts";
import type { AccountId, SessionId } from "../ids.ts";
import type { AccountStore, Clock, StateStore } from "../ports.ts";
import type { Candidate } from "../request/candidate.ts";
import type { Snapshot } from "../request/plan.ts";
import { goesOnWithOwnCredits, type Settings } from "../settings.ts";
import type { FloorsOf } from "./restrictions.ts";

/** How long other accounts are tried first after a refusal whose fault is unclear. */
export const DOUBT_MS = 10 * 60_000;

interface Deps {
	readonly accounts: Pick<AccountStore, "list">;
	readonly state: Pick<StateStore, "snapshot" | "liveSessions" | "lastChosen">;
	readonly clock: Clock;
	readonly settings: () => Pick<Settings, "rotation" | "beyond">;
	/** Reads the settings once and returns the caps on every account as of then. */
	readonly allFloors: () => FloorsOf;
	readonly pinned: () => AccountId | undefined;
}

/**
 * Returns a function that takes a snapshot of the pool for a session that is bound to `set`: everything that decides
 * which account serves it, read from the stores once.
 */
export function createSnapshots({ accounts, state, clock, settings, allFloors, pinned }: Deps) {
	const candidatesAt = (now: number, set: AccountSet | undefined): Candidate[] => {
		const statusOf = state.snapshot();
		const floors = allFloors();
		const isDoubted = (until = 0) => until > now && until - now <= DOUBT_MS;
		return accounts.list().map((account): Candidate => {
			const { cooldowns, usage, doubtedUntil, trialAt } = statusOf(account.id);
			return {
				account,
				cooldowns,
				usage,
				isDoubted: isDoubted(doubtedUntil),
				trialAt,
				floors: floors(account),
				outsideOf: set && !isInSet(set, account) ? set.folder : undefined,
			};
		});
	};

	return (sessionId: SessionId | undefined, set: AccountSet | undefined): Snapshot => {
		const now = clock.now();
		const { rotation, beyond } = settings();
		const { policy, reserve } = rotation;
		return {
			now,
			set,
			candidates: candidatesAt(now, set),
			pinned: pinned(),
			liveSessions: state.liveSessions(sessionId),
			lastChosen: state.lastChosen(),
			policy,
			reserve,
			leavesOwnCredits: !goesOnWithOwnCredits(beyond),
		};
	};
}
