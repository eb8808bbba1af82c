import type { AccountId } from "../../core/ids.ts";
import type { After } from "./push-schedule.ts";
import type { StatusVersions } from "./status-versions.ts";
import type { Pushed, SharedStatus } from "./types.ts";

/**
 * What this machine knows beyond the database is written after this long, unless the process that knows it writes it
 * first.
 */
const OTHERS_FIRST_MS = 3000;
/** Maximum per statement. */
const MOST_STATUSES = 100;
/** The version of a row that only asks for what is stored. */
const ASKS = -1;

interface Deps {
	readonly versions: StatusVersions;
	readonly sharedIds: () => readonly AccountId[];
	readonly after: After;
	/** Called when statuses that were left to other processes are due. */
	readonly onDue: () => void;
}

/** The statuses of one statement. */
interface DueBatch {
	/** The accounts that were compared. */
	readonly ids: readonly AccountId[];
	/** Statuses that are new in the database, and questions for those never seen. */
	readonly rows: readonly SharedStatus[];
}

/** Accounts whose status may be new to the database. */
interface DueStatuses {
	/** Adds an account. Those that are urgent are not held up by a thousand others. */
	add(id: AccountId, isUrgent: boolean): void;
	/** Adds an account whose status this process has changed, and so writes itself. */
	changed(id: AccountId, isUrgent: boolean): void;
	/** Reads the stored status of an account again when it is due, although it was seen before. */
	ask(id: AccountId): void;
	/**
	 * Adds an account after a while. Another process of this machine will probably write its change, and a change whose
	 * file is being written may be seen twice for a moment.
	 */
	leave(id: AccountId): void;
	/** Adds the accounts that were left to others, now. */
	addLeft(): void;
	has(id: AccountId): boolean;
	isAny(): boolean;
	/** Takes the next accounts. Without `aheadMs`, this machine's clock compared to the database's, it can only ask. */
	next(aheadMs: number | undefined): DueBatch;
	/** Puts accounts back whose statement failed, or could only ask. */
	putBack(batch: DueBatch): void;
	/** Records how pushing a batch ended. `wasLate`: others were faster with one of the rows. */
	wasPushed(
		batch: DueBatch,
		pushed: Pushed,
		times: { readonly usedMs: number; readonly aheadMs: number },
	): { readonly isNews: boolean; readonly wasLate: boolean };
	/** Stops the timer. */
	stop(): void;
}

/** Creates an empty set of due statuses. */
export function createDueStatuses({ versions, sharedIds, after, onDue }: Deps): DueStatuses {
	const due = new Set<AccountId>();
	/** Those of `due` that others need to know at once. */
	const urgent = new Set<AccountId>();
	/** Accounts to compare again after a while. */
	const left = new Set<AccountId>();
	/** Accounts whose stored status must be read again. */
	const unsure = new Set<AccountId>();
	let cancel: (() => void) | undefined;

	const add = (id: AccountId, isUrgent: boolean) => {
		due.add(id);
		if (isUrgent) urgent.add(id);
	};
	const addLeft = () => {
		for (const id of left) due.add(id);
		left.clear();
	};
	const leave = (id: AccountId) => {
		left.add(id);
		cancel ??= after(OTHERS_FIRST_MS, () => {
			cancel = undefined;
			addLeft();
			onDue();
		});
	};
	const rowsFor = (ids: readonly AccountId[], aheadMs: number | undefined): readonly SharedStatus[] =>
		ids.flatMap((id) => {
			if (unsure.has(id) || versions.isUnseen(id)) return [{ id, version: ASKS, status: null }];
			return (aheadMs === undefined ? undefined : versions.toStore(id, aheadMs)) ?? [];
		});
	const compareAgain = (id: AccountId) => {
		unsure.delete(id);
		due.add(id);
	};

	return {
		add,
		changed: (id, isUrgent) => {
			left.delete(id);
			add(id, isUrgent);
		},
		ask: (id) => {
			unsure.add(id);
		},
		leave,
		addLeft,
		has: (id) => due.has(id),
		isAny: () => due.size > 0,
		next: (aheadMs) => {
			const shared = new Set(sharedIds());
			const first = [...due].filter((id) => urgent.has(id));
			const all = [...new Set([...first, ...due])].filter((id) => shared.has(id));
			const [ids, rest] = [all.slice(0, MOST_STATUSES), all.slice(MOST_STATUSES)];
			const rows = rowsFor(ids, aheadMs);
			due.clear();
			for (const id of rest) due.add(id);
			return { ids, rows };
		},
		putBack: ({ ids }) => {
			for (const id of ids) due.add(id);
		},
		wasPushed: ({ rows }, { written, others }, { usedMs, aheadMs }) => {
			let [isNews, wasLate] = [false, false];
			const stored = new Map(others.map((other) => [other.id, other]));
			for (const row of rows) {
				const version = written.get(row.id);
				const other = stored.get(row.id);
				if (version !== undefined) {
					versions.wasStored(row, version, usedMs);
					leave(row.id);
				} else if (other) {
					const isLate = row.version !== ASKS;
					isNews = versions.take(other, aheadMs, isLate).isNewsHere || isNews;
					wasLate ||= isLate;
					compareAgain(row.id);
				} else if (row.version === ASKS) {
					versions.isUnstored(row.id);
					compareAgain(row.id);
				} else {
					// The account was taken out of the pool.
					versions.forget(row.id);
				}
			}
			for (const id of urgent) if (!due.has(id)) urgent.delete(id);
			return { isNews, wasLate };
		},
		stop: () => cancel?.(),
	};
}
