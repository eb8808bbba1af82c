import { type Conflicts, carryOver } from "./carry-over.ts";

/** So many changes in a row that no caller waits for are replaced by one, unless more than that stand before them. */
const MOST_IN_A_ROW = 16;

/** Changes a draft of the document in place. `isNewest`: the draft is the file as it is under the lock. */
export type Change<T> = (draft: T, isNewest: boolean) => void;

/** A change that is not in the file yet. */
export interface PendingChange<T> {
	readonly change: Change<T>;
	/** Called once, after the first write that was to carry the change, with the error if that failed. */
	readonly settle?: ((error?: unknown) => void) | undefined;
	/** A change that a person asked for: dropped if it cannot be written, instead of tried again. */
	readonly isRolledBack?: boolean;
}

/** The changes of one process that are not in the file yet, in order. Knows no file, no lock and no timer. */
export interface WriteQueue<T> {
	/** How many changes are applied again to a file that was read anew. */
	readonly length: number;
	/** Does a caller wait for a write? */
	hasWaiting(): boolean;
	add(change: PendingChange<T>): void;
	/** Applies everything that is pending to `draft`, which was read anew. */
	applyTo(draft: T): void;
	/** Takes all pending changes for one write, which must end in `written` or `failed`. */
	take(): WriteBatch<T>;
}

/** The changes that one write carries. They stay pending until the write has succeeded. */
export interface WriteBatch<T> {
	readonly isEmpty: boolean;
	/** Applies the changes to the file as it is under the lock. */
	applyTo(draft: T): void;
	/** The file has the changes: they are pending no more. */
	written(): void;
	/** Lets the callers know that the changes are durable. */
	settle(): void;
	/**
	 * Lets the callers know that the write failed. Changes that are rolled back are dropped, which the result tells; the
	 * others become one change, so that a file that cannot be written for days costs no more with each change.
	 */
	failed(error: unknown): { readonly isRolledBack: boolean };
}

/**
 * Creates a queue. `pristine` gives a fresh copy of the document as last read, without any pending change. What
 * replaces several changes holds one value before and one after for each key (account, pin, lease) and is applied by
 * {@link carryOver}: what another process writes to other keys stays, and `conflicts` decides over a key that both
 * changed.
 */
export function createWriteQueue<T extends Record<string, unknown>>(
	pristine: () => T,
	conflicts: Conflicts = { resolve: (_key, mine) => mine },
): WriteQueue<T> {
	let pending: readonly PendingChange<T>[] = [];
	/** Changes that a write carries at this moment: they stay as they are. */
	let inFlight: readonly PendingChange<T>[] = [];

	/** Puts one change in the place of `run`, which must be adjacent. */
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

	/** The latest changes that no caller waits for and no write carries. */
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
			// Those before it are applied anew each time, so there must not be many more of them.
			if (run.length > Math.max(MOST_IN_A_ROW, pending.length - run.length)) combine(run);
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
					// First: no change, whatever it does, may leave a caller waiting.
					for (const { settle } of batch) settle?.(error);
					combine(kept);
					return { isRolledBack: tried.some(({ isRolledBack }) => isRolledBack) };
				},
			};
		},
	};
}

/**
 * A change that carries over what `mine` has changed since `base`. It is made in a function of its own so that it keeps
 * these two alone alive: a closure of the queue would keep the change before it as well, and that the one before it.
 */
function difference<T extends Record<string, unknown>>(base: T, mine: T, conflicts: Conflicts): (draft: T) => void {
	return (draft) => carryOver(base, mine, draft, conflicts);
}
