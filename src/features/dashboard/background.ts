import { tellDefect } from "../../core/defect-reports.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Amounts, Ledger, LedgerRow } from "../../core/ledger/ledger.ts";
import { usedToday } from "../../core/ledger/ledger-report.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { UsageMonitor } from "../../core/pool/usage-monitor.ts";
import type { Clock, EventLog } from "../../core/ports.ts";
import type { ResetCreditList } from "../../core/reset-credits/reset-credit-list.ts";
import { followReads } from "../../pi/follow-reads.ts";
import { followMoves, type Move, type Moves } from "./moves.ts";

/** What the open dashboard reads and fetches in the background. */
interface Background {
	/** Starts, once what is known is on the screen. */
	begin(): void;
	/** Returns the moves of sessions between accounts, in any process, newest first. */
	moves(): readonly Move[];
	/** Returns what an account was used for today; undefined for nothing, or while unknown. */
	usedToday(id: AccountId): Amounts | undefined;
	/** Stops all of it. */
	end(): void;
}

/** What the background needs. */
export interface BackgroundPorts {
	readonly pool: Pick<Pool, "emit">;
	readonly usage: Pick<UsageMonitor, "refreshStale">;
	readonly resetCredits: Pick<ResetCreditList, "refreshStale">;
	readonly eventLog: Pick<EventLog, "read">;
	/** Calls `listener` after each write of the event log, until the returned function is called. */
	readonly followLog: (listener: () => void) => () => void;
	readonly ledger: Pick<Ledger, "read" | "follow">;
	readonly clock: Clock;
}

/** How often due usage is fetched. The monitor decides what is due. */
const LOOK_MS = 60_000;

/** Creates the background work of one opening of the dashboard. */
export function createBackground(ports: BackgroundPorts, repaint: () => void): Background {
	const { pool, usage, resetCredits, eventLog, followLog, ledger, clock } = ports;
	const isClosed = new AbortController();
	/** The usage says which lists exist. */
	const look = async () => {
		await usage.refreshStale();
		if (!isClosed.signal.aborted) await resetCredits.refreshStale(isClosed.signal);
	};
	const looking = setInterval(() => void look(), LOOK_MS);
	const onFailure = (error: unknown) => tellDefect(error, "command", pool.emit);
	let moves: Moves | undefined;
	let rows: readonly LedgerRow[] = [];
	let reads: { readonly stop: () => void } | undefined;
	return {
		begin: () => {
			if (isClosed.signal.aborted) return;
			void look();
			moves = followMoves({ read: eventLog.read, follow: followLog, onNews: repaint, onFailure });
			reads = followReads({
				...ledger,
				onRead: (read) => {
					rows = read;
					repaint();
				},
				onFailure,
			});
			repaint();
		},
		moves: () => moves?.list() ?? [],
		usedToday: (id) => usedToday(rows, id, clock.now()),
		end: () => {
			isClosed.abort();
			clearInterval(looking);
			moves?.stop();
			reads?.stop();
		},
	};
}
