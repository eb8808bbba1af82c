import { type Conflicts, carryOver } from "./carry-over.ts";

/** This many changes in a row, for which no caller waits, are merged into one, unless more changes precede them. */
const MOST_IN_A_ROW = 16;

/** Changes a draft of the document in place. `isNewest`: the draft is the file as it is under the lock. */
export type Change<T> = (draft: T, isNewest: boolean) => void;

/** A change that the file does not have yet. */
interface PendingChange<T> {
	readonly change: Change<T>;
	/** Called once, after the first write that included the change, with the error if that failed. */
	readonly settle?: ((error?: unknown) => void) | undefined;
	/** True for a change that a person asked for: if it cannot be written, it is dropped instead of retried. */
	readonly isRolledBack?: boolean;
}

/** The changes of one process that the file does not have yet, in order. Knows nothing of files, locks or timers. */
export interface WriteQueue<T> {
	/** Number of changes that are applied again when the file is reread. */
	readonly length: number;
	/** True if a caller waits for a write. */
	hasWaiting(): boolean;
	add(change: PendingChange<T>): void;
	/** Applies everything pending to `draft`, which was just read. */
	applyTo(draft: T): void;
	/** Takes all pending changes for one write, which must end with `written` or `failed`. */
	take(): WriteBatch<T>;
}

/** The changes in one write. They stay pending until the write has succeeded. */
export interface WriteBatch<T> {
	readonly isEmpty: boolean;
	/** Applies the changes to the file as it is under the lock. */
	applyTo(draft: T): void;
	/** The file has the changes, so they are no longer pending. */
	written(): void;
	/** Tells the callers that the changes are durable. */
	settle(): void;
	/**
	 * Tells the callers that the write failed. Changes to roll back are dropped, and the result says so. The others are
	 * merged into one change, so that further changes cost no more while a file cannot be written for days.
	 */
	failed(error: unknown): { readonly isRolledBack: boolean };
}

/**
 * Creates a queue. `pristine` returns a fresh copy of the document as last read, without pending changes. Merged
 * changes hold one value before and one after per key (account, pin, lease) and are applied by {@link carryOver}: what
 * another process writes to other keys stays, and `conflicts` decides about keys that both changed.
 * Merging reads the document twice, so it waits for `worthOf()` changes where the document is a large one.
 */
export function createWriteQueue<T extends Record<string, unknown>>(
	pristine: () => T,
	conflicts: Conflicts = { resolve: (_key, mine) => mine },
	worthOf: () => number = () => 0,
): WriteQueue<T> {
	let pending: readonly PendingChange<T>[] = [];
	/** Changes in the write in progress. They must stay as they are. */
	let inFlight: readonly PendingChange<T>[] = [];

	/** Replaces `run`, whose changes must be adjacent, by one change. */
	const combine = (run: readonly PendingChange<T>[]) => {
		const [first] = run;
		if (first === undefined || run.length < 2) return;
		const at = pending.indexOf(first);
		const [base, mine] = [pristine(), pristine()];
		for (const { change } of pending.slice(0, at)) {
			change(base, false);
			change(mine, false);
		}
		for (const { change } of run) change(mine, false);
		pending = [
			...pending.slice(0, at),
			{ change: difference(base, mine, conflicts) },
			...pending.slice(at + run.length),
		];
	};

	/** Returns the latest changes that no caller waits for and that are not in a write. */
	const lastRun = () => {
		const end = pending.findLastIndex((each) => each.settle || each.isRolledBack || inFlight.includes(each));
		return pending.slice(end + 1);
	};

	return {
		get length() {
			return pending.length;
		},
		hasWaiting: () => pending.some(({ settle }) => settle),
		add: (change) => {
			pending = [...pending, change];
			const run = lastRun();
			// All changes before it are applied again each time, so it must not be outnumbered much.
			const isLong = run.length > Math.max(MOST_IN_A_ROW, pending.length - run.length);
			if (isLong && run.length > worthOf()) combine(run);
		},
		applyTo: (draft) => {
			for (const { change } of pending) change(draft, false);
		},
		take: () => {
			const batch = pending;
			inFlight = batch;
			const withoutBatch = () => pending.filter((each) => !batch.includes(each));
			return {
				isEmpty: batch.length === 0,
				applyTo: (draft) => {
					for (const { change } of batch) change(draft, true);
				},
				written: () => {
					pending = withoutBatch();
					inFlight = [];
				},
				settle: () => {
					for (const { settle } of batch) settle?.();
				},
				failed: (error) => {
					const tried = pending.filter((each) => batch.includes(each));
					const kept = tried.flatMap(({ change, isRolledBack }) => (isRolledBack ? [] : [{ change }]));
					pending = [...kept, ...withoutBatch()];
					inFlight = [];
					// Settle first: no change, whatever it does, may leave a caller waiting.
					for (const { settle } of batch) settle?.(error);
					combine(kept);
					return { isRolledBack: tried.some(({ isRolledBack }) => isRolledBack) };
				},
			};
		},
	};
}

/**
 * Returns a change that carries over what `mine` has changed since `base`. A function of its own, so that it keeps only
 * these two alive: a closure in the queue would also keep the change before it, and that one the change before.
 */
function difference<T extends Record<string, unknown>>(base: T, mine: T, conflicts: Conflicts): (draft: T) => void {
	return (draft) => carryOver(base, mine, draft, conflicts);
}
