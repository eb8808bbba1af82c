import type { Account } from "../../core/account.ts";
import type { LoggedDecision } from "../../core/decision.ts";
import type { AccountId } from "../../core/ids.ts";
import { followReads } from "../../pi/follow-reads.ts";

/** A session that left one account for another, in any process. */
export interface Move {
	/** Epoch ms. */
	readonly at: number;
	readonly from: AccountId;
	readonly to: AccountId;
	readonly reason: string;
	/** The window that was spent, as `5h`. */
	readonly window: string | undefined;
	/** A request left `from` before it had its answer; else a session changed between two requests. */
	readonly isRotation: boolean;
}

/** What the decision log tells of moves between accounts, kept current while it is followed. */
export interface Moves {
	/** The newest first. */
	list(): readonly Move[];
	/** Lets go of the log. */
	stop(): void;
}

/** What {@link followMoves} needs. */
export interface MovesDeps {
	/** The last `count` decisions of the log, the newest last. */
	readonly read: (count: number) => Promise<readonly LoggedDecision[]>;
	/** Has `listener` called after the log was written, until the function that it gives is called. */
	readonly follow: (listener: () => void) => () => void;
	readonly onNews: () => void;
	readonly onFailure: (error: unknown) => void;
}

/** The log is read this far back: other decisions stand between the moves. */
const DECISIONS = 200;

/** Reads the moves, and again whenever the log was written. */
export function followMoves({ read, follow, onNews, onFailure }: MovesDeps): Moves {
	let moves: readonly Move[] = [];
	const { stop } = followReads({
		read: () => read(DECISIONS),
		follow,
		onRead: (decisions) => {
			moves = movesIn(decisions);
			onNews();
		},
		onFailure,
	});
	return { list: () => moves, stop };
}

function movesIn(decisions: readonly LoggedDecision[]): Move[] {
	const moves = decisions.flatMap(({ kind, at, from, account, reason = "", window }) => {
		const isMove = kind === "rotated" || kind === "switched";
		if (!isMove || from === undefined || account === undefined) return [];
		return [{ at, from, to: account, reason, window, isRotation: kind === "rotated" }];
	});
	return moves.reverse();
}

/** The label of an account; of one that has left, its id. */
export function labelIn(accounts: readonly Account[], id: AccountId): string {
	return accounts.find((account) => account.id === id)?.label ?? id;
}
