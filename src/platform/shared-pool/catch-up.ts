import type { Account } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Moves } from "./moves.ts";
import type { PutBack } from "./put-back.ts";
import type { Replay } from "./replay.ts";
import type { SharedAccounts } from "./shared-accounts.ts";
import type { Role, SharedRow } from "./types.ts";
import type { UnsentClaims } from "./unsent-claims.ts";

/** Does what was left undone while the database was unreachable, or by a process that ended. */
interface CatchUp {
	/** Does it in the background, after a look that brought `looked`. One run follows another. */
	begin(looked: readonly SharedRow[]): void;
	/** Resolves when all runs so far have ended. Never rejects. */
	done(): Promise<void>;
}

interface Deps {
	readonly role: Role;
	readonly unsent: Pick<UnsentClaims, "catchUp">;
	readonly replay: Pick<Replay, "all">;
	readonly moves: Pick<Moves, "settle">;
	readonly shared: Pick<SharedAccounts, "catchUp" | "list">;
	readonly putBack: PutBack;
	/** True if a token that still works should be renewed. */
	readonly isDue: (account: Account) => boolean;
	readonly renewAhead: (id: AccountId) => void;
	readonly isAway: () => boolean;
	readonly onFailure: (error: unknown) => void;
}

/** Maximum number of tokens renewed ahead of time after one look. */
const MOST_AHEAD = 3;

/** Creates the catch-up. A runner has nothing to catch up with. */
export function createCatchUp(deps: Deps): CatchUp {
	const { role, unsent, replay, moves, shared, putBack, isDue, renewAhead, isAway, onFailure } = deps;
	const catchUp = async (looked: readonly SharedRow[]) => {
		if (role === "runner") return;
		await unsent.catchUp();
		await replay.all();
		await moves.settle();
		await shared.catchUp();
		await putBack.note(looked);
		const due = shared.list().filter(isDue);
		for (const { id } of due.slice(0, MOST_AHEAD)) renewAhead(id);
	};
	let behind: Promise<void> = Promise.resolve();
	return {
		begin: (looked) => {
			behind = behind
				.then(() => catchUp(looked))
				.catch((error: unknown) => {
					if (!isAway()) onFailure(error);
				});
		},
		done: () => behind,
	};
}
