import type { Account } from "../../core/account.ts";
import type { LoggedDecision } from "../../core/decision.ts";
import type { AccountId } from "../../core/ids.ts";
import { followReads } from "../../pi/follow-reads.ts";

/** A session's move from one account to another, in any process. */
export interface Move {
	/** Epoch ms. */
	readonly at: number;
	readonly from: AccountId;
	readonly to: AccountId;
	readonly reason: string;
	/** The spent window, such as `5h`. */
	readonly window: string | undefined;
	/** True if a request left `from` before it had its answer; false if the session changed between two requests. */
	readonly isRotation: boolean;
}

/** Moves between accounts in the decision log, kept up to date. */
export interface Moves {
	/** Returns the moves, newest first. */
	list(): readonly Move[];
	/** Stops following the log. */
	stop(): void;
}

/** Dependencies of {@link followMoves}. */
interface MovesDeps {
	/** Returns the last `count` decisions of the log, newest last. */
	readonly read: (count: number) => Promise<readonly LoggedDecision[]>;
	/** Calls `listener` after each write of the log, until the returned function is called. */
	readonly follow: (listener: () => void) => () => void;
	readonly onNews: () => void;
	readonly onFailure: (error: unknown) => void;
}

/** Number of decisions read, since others lie between the moves. */
const DECISIONS = 200;

/** Reads the moves now and after each write of the log. */
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

/** Returns the label of an account, or its id if it has left. */
export function labelIn(accounts: readonly Account[], id: AccountId): string {
	return accounts.find((account) => account.id === id)?.label ?? id;
}
