import type { AccountId } from "../../src/core/ids.ts";
import type { Clock } from "../../src/core/ports.ts";
import { type ComposedState, composeState } from "../../src/platform/shared-pool/composed-state.ts";
import { createDatabaseClock } from "../../src/platform/shared-pool/database-clock.ts";
import { createStatusExchange, type StatusExchange } from "../../src/platform/shared-pool/status-exchange.ts";
import type { Known, Look, Presence, Push, Pushed } from "../../src/platform/shared-pool/types.ts";
import { openStateStore } from "../../src/platform/stores/state-store.ts";
import { settled } from "./fakes.ts";

/** Timers that run when a test moves the time. */
export interface Timers extends Clock {
	after(ms: number, run: () => void): () => void;
	/** Moves the time on, and runs what is due on the way. */
	pass(ms: number): Promise<void>;
}

export function timersFrom(begin: number): Timers {
	let now = begin;
	let due: { readonly at: number; readonly run: () => void }[] = [];
	const quiet = async () => {
		for (let turn = 0; turn < 20; turn += 1) await settled();
	};
	return {
		now: () => now,
		after: (ms, run) => {
			const timer = { at: now + ms, run };
			due.push(timer);
			return () => {
				due = due.filter((each) => each !== timer);
			};
		},
		pass: async (ms) => {
			const end = now + ms;
			await quiet();
			for (;;) {
				const next = due.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
				if (!next) break;
				now = Math.max(now, next.at);
				due = due.filter((each) => each !== next);
				next.run();
				await quiet();
			}
			now = end;
		},
	};
}

interface Options {
	readonly name: string;
	/** Of the state file, which several processes may have in common. */
	readonly path: string;
	readonly shared: readonly AccountId[];
	/** How far the clock of the machine is ahead of the true one, ms. */
	readonly aheadMs?: number;
	readonly timers: Pick<Timers, "now" | "after">;
	readonly database: {
		push(push: Push): Promise<Pushed>;
		lookBy(known: Known, localNow: number): Promise<Look>;
	};
}

/** One process on a machine of a pool: its state, its exchange, and what they have told. */
export interface PoolMachine {
	readonly state: ComposedState;
	readonly exchange: StatusExchange;
	readonly clock: Clock & { aheadMs: number };
	/** How often other machines have changed something here. */
	news: number;
	readonly failures: unknown[];
	/** Looks at the database, as one process of the machine does on news. */
	look(): Promise<void>;
	/** Resolves once its file has everything: while one is written, a change may be seen twice for a moment. */
	written(): Promise<void>;
	close(): Promise<void>;
}

/** Starts a process. Its id is its name. */
export function aPoolMachine({ name, path, shared, aheadMs = 0, timers, database }: Options): PoolMachine {
	const clock = { aheadMs, now: () => timers.now() + clock.aheadMs };
	const problems: string[] = [];
	const local = openStateStore(path, (text) => problems.push(text), clock.now);
	let presences: readonly Presence[] = [];
	let measured: { aheadMs: number; at: number } | undefined;
	const isShared = (id: AccountId) => shared.includes(id);
	const state = composeState({
		local,
		isShared,
		sharedIds: () => shared,
		presences: () => presences,
		machine: () => name,
		clock,
	});
	const databaseClock = createDatabaseClock({ measured: () => measured, clock, monotonic: timers.now });
	const machine: PoolMachine = {
		state,
		clock,
		news: 0,
		failures: problems,
		exchange: createStatusExchange({
			poolId: "p",
			own: name,
			machine: () => name,
			state: local,
			isShared,
			sharedIds: () => shared,
			sessions: state.sessions,
			databaseClock,
			push: database.push,
			onNews: () => {
				machine.news += 1;
			},
			onFailure: (error) => void machine.failures.push(error),
			clock,
			after: timers.after,
		}),
		look: async () => {
			const known = { rows: new Map(), statuses: machine.exchange.known() };
			const look = await database.lookBy(known, clock.now());
			measured ??= { aheadMs: look.localNow - look.now, at: clock.now() };
			presences = look.presences.map((each) => ({ ...each, seenAt: each.seenAt + (measured?.aheadMs ?? 0) }));
			await machine.exchange.take(look);
		},
		written: () => local.flush(),
		close: async () => {
			state.tell(undefined);
			await local.flush();
		},
	};
	state.tell(machine.exchange);
	return machine;
}
