import type { PoolConnection } from "../../core/shared-pool.ts";
import { createFollow, type FollowDeps } from "./follow.ts";
import type { SharedState } from "./shared-state.ts";
import type { Asker, SharedRow } from "./types.ts";

/** Follows the database during a session, and anew during the next one. */
interface SessionFollow {
	/** Starts in the background, unless {@link beginNow} comes first. Without `stays`, only that starts. */
	begin(stays: boolean): void;
	/** Starts now, the way that `begin` said last. */
	beginNow(): void;
	/** Reads the database now. Rejects with a `PoolProblem`, or when the asker stops waiting. */
	look(asker?: Asker): Promise<void>;
	/** True once a look has succeeded. */
	hasLooked(): boolean;
	/** Returns the state of this process's connection. */
	connection(): PoolConnection;
	/** Ends the session: writes what is due, and closes the connection. */
	rest(): Promise<void>;
}

interface Deps extends Omit<FollowDeps, "lookers"> {
	/** Starts to exchange the state with other machines, for one session. */
	readonly exchange: SharedState["exchange"];
	/** Called after every look, once its accounts are in the mirror. */
	readonly onLooked: (rows: readonly SharedRow[]) => void;
}

/** The first request starts sooner than this. */
const SOON_MS = 1000;

/** Creates the follower for the first session. Nothing is read before it begins. */
export function createSessionFollow(deps: Deps): SessionFollow {
	const { onLooked, ...followed } = deps;
	let hasLooked = false;
	const start = () => {
		const exchange = deps.exchange();
		const lookers = [
			{ known: exchange.known, onLook: exchange.take },
			{
				known: () => new Map(),
				onLook: ({ rows }: { readonly rows: readonly SharedRow[] }) => {
					hasLooked = true;
					onLooked(rows);
				},
			},
		];
		return { exchange, follow: createFollow({ ...followed, lookers }) };
	};
	let session = start();
	let stays = false;
	let beginning: NodeJS.Timeout | undefined;
	return {
		begin: (staysNow) => {
			stays = staysNow;
			clearTimeout(beginning);
			if (!stays) return;
			beginning = setTimeout(() => session.follow.begin(true), SOON_MS);
			beginning.unref();
		},
		beginNow: () => session.follow.begin(stays),
		look: (asker) => session.follow.look(asker),
		hasLooked: () => hasLooked,
		connection: () => session.follow.connection(),
		rest: async () => {
			clearTimeout(beginning);
			const former = session;
			session = start();
			await former.exchange.end();
			await former.follow.end();
		},
	};
}
