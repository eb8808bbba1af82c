import type { AccountId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import type { LocalStateStore } from "../stores/state-store.ts";
import { type ComposedState, composeState } from "./composed-state.ts";
import type { Connection } from "./connection.ts";
import { createDatabaseClock } from "./database-clock.ts";
import type { Mirror } from "./mirror.ts";
import type { After } from "./push-schedule.ts";
import { createStatusExchange, type StatusExchange } from "./status-exchange.ts";

interface Deps {
	readonly poolId: string;
	/** The id of this run of the process. */
	readonly own: string;
	/** Returns the name of this machine. */
	readonly machine: () => string;
	readonly local: LocalStateStore;
	readonly mirror: Pick<Mirror, "rows" | "lastLook">;
	readonly connection: Connection;
	readonly clock: Clock;
	/** Returns a time that changes of the clock do not affect, ms. */
	readonly monotonic: () => number;
	/** Called when another machine has changed something here. */
	readonly onNews: () => void;
	readonly onFailure: (error: unknown) => void;
}

/** The state of this machine, as far as other machines have a part in it. */
export interface SharedState {
	readonly state: ComposedState;
	/** Starts to exchange it with other machines, until that exchange ends and another one is begun. */
	exchange(): StatusExchange;
}

/** Creates the shared state. Nothing is exchanged before the first call. */
export function createSharedState(deps: Deps): SharedState {
	const { poolId, own, machine, local, mirror, connection, clock, monotonic, onNews, onFailure } = deps;
	const isShared = (id: AccountId) => mirror.rows().has(id);
	const sharedIds = () => [...mirror.rows().keys()];
	const presences = () => mirror.lastLook()?.presences ?? [];
	const state = composeState({ local, isShared, sharedIds, presences, machine, clock });
	const databaseClock = createDatabaseClock({ measured: () => mirror.lastLook(), clock, monotonic });
	return {
		state,
		exchange: () => {
			const exchange = createStatusExchange({
				poolId,
				own,
				machine,
				state: local,
				isShared,
				sharedIds,
				sessions: state.sessions,
				databaseClock,
				push: (push) => connection.use((database) => database.push(push)),
				onNews,
				onFailure,
				clock,
				after,
			});
			state.tell(exchange);
			return exchange;
		},
	};
}

/** Nothing waits for this work. */
const after: After = (ms, run) => {
	const timer = setTimeout(run, ms);
	timer.unref();
	return () => clearTimeout(timer);
};
