import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { raceAbort, within } from "../../core/abort.ts";
import { createOtherAccounts } from "../../core/credentials/other-account.ts";
import type { PoolListener } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import type { AccountStore, Clock, OAuthClient, SharedTokens, StateStore, TokenReader } from "../../core/ports.ts";
import type { JoinCodes, SharedPoolStatus } from "../../core/shared-pool.ts";
import type { LocalAccountStore } from "../stores/account-store.ts";
import type { LocalStateStore } from "../stores/state-store.ts";
import { createCatchUp } from "./catch-up.ts";
import { composeAccounts } from "./composed-accounts.ts";
import { type Connection, createConnection } from "./connection.ts";
import { codesOf } from "./join-code.ts";
import { type Journal, openJournal } from "./journal.ts";
import { type Mirror, mirrorInMemory, type OwnMirror } from "./mirror.ts";
import { createMoves, type Moves } from "./moves.ts";
import { othersIn } from "./other-machines.ts";
import { parsePoolUrl } from "./pool-url.ts";
import { createPutBack } from "./put-back.ts";
import { createRenewing } from "./renewing.ts";
import { createReplay, type Replay } from "./replay.ts";
import type { Keys } from "./sealed-account.ts";
import { keysOf } from "./sealing.ts";
import { createSessionFollow } from "./session-follow.ts";
import { createSharedAccounts } from "./shared-accounts.ts";
import { createSharedRows, type SharedRows } from "./shared-rows.ts";
import { createSharedState } from "./shared-state.ts";
import { createStopwatch } from "./stopwatch.ts";
import { type Asker, type JoinCode, PATIENT } from "./types.ts";
import { createUnsentClaims } from "./unsent-claims.ts";

/** What is needed to open a pool. */
export interface SharedPoolDeps {
	readonly code: JoinCode;
	readonly joinedBy: SharedPoolStatus["joinedBy"];
	/** `codex-pool.json`. With a runner's code, or one from the environment, no account is written to it. */
	readonly file: OwnMirror;
	/** The folder of journals and locks. */
	readonly folder: string;
	readonly local: { readonly accounts: LocalAccountStore; readonly state: LocalStateStore };
	readonly oauth: OAuthClient;
	readonly tokens: TokenReader;
	readonly clock: Clock;
	/** Returns a time that changes of the clock do not affect, ms. */
	readonly monotonic: () => number;
	readonly pause: (ms: number) => Promise<void>;
	readonly labelFor: (email: string | undefined, id: AccountId) => string;
	readonly tell: PoolListener;
	/** Renews an account's token in the background if it is due. */
	readonly renewAhead: (id: AccountId) => void;
	readonly onFailure: (error: unknown) => void;
}

/** The pool that this machine has joined. */
export interface SharedPool {
	/** The accounts of this machine and of the pool. */
	readonly accounts: AccountStore;
	readonly state: StateStore;
	readonly tokens: SharedTokens;
	/** Starts a session. `stays`: in a terminal, or in a program that keeps running. Nothing is awaited. */
	begin(stays: boolean): void;
	/** Waits for the first look if no account is known. Bounded; rejects only with the abort reason. */
	ready(signal: AbortSignal | undefined): Promise<void>;
	/** True if no account is known, but a look may bring one. */
	isAwaited(): boolean;
	/** Returns the status from memory. */
	status(): SharedPoolStatus;
	/**
	 * Reads the database now, and completes what was left unfinished. Rejects with a `PoolProblem`, or when the asker
	 * stops waiting.
	 */
	look(asker: Asker): Promise<void>;
	/** Returns the valid codes; undefined for a runner. */
	codes(): JoinCodes | undefined;
	/** What only commands need. */
	readonly inside: Inside;
	/** Writes what is pending. Never rejects. */
	flush(): Promise<void>;
	/** Closes the pool until it is used again, when a session ends. */
	rest(): Promise<void>;
}

/** The parts of a pool, for changes to all of it. */
interface Inside {
	readonly code: JoinCode;
	readonly keys: Keys;
	readonly connection: Connection;
	readonly mirror: Mirror;
	readonly rows: SharedRows;
	readonly journal: Journal;
	readonly replay: Replay;
	readonly moves: Moves;
}

/** How long the first request waits on a machine that knows no account. */
const FIRST_LOOK_MS = 10_000;
/** Maximum wait for background work at the end of a process. */
const LAST_WRITE_MS = 2000;

/** Opens the pool of a join code. Reads, loads and connects nothing before it is used. */
export function openSharedPool(deps: SharedPoolDeps): SharedPool {
	const { code, joinedBy, file, folder, local, oauth, tokens, clock, monotonic, pause, tell, onFailure } = deps;
	const own = randomBytes(8).toString("hex");
	/** The name at the start. Another process of this machine may have joined again under another name since. */
	const firstName = file.machine() ?? hostname();
	const machine = () => file.machine() ?? firstName;
	const isKept = joinedBy === "settings" && code.role === "keeper";
	const mirror = isKept ? file : mirrorInMemory("", firstName);
	const keys = keysOf(code);
	const connection = createConnection({
		open: async () => {
			const { createPoolDatabase } = await import("./database.ts");
			return createPoolDatabase(code, { keyIds: keys.sealing.keyIds, now: clock.now });
		},
		clock,
		tell,
	});
	let claims = 0;
	const newHolder = () => {
		claims += 1;
		return `${own}-${claims}`;
	};
	const startWatch = createStopwatch(clock, monotonic);
	const rows = createSharedRows({ connection, mirror, keys, own });
	const unsent = createUnsentClaims(connection);
	const journal = openJournal(folder, keys);
	/** With a code from the environment, nothing of the pool stays on this disk. */
	const keepAside = isKept ? local.accounts.keepAside : async () => undefined;
	const replay = createReplay({ connection, rows, mirror, journal, keys, own, keepAside, onFailure });
	const shared = createSharedAccounts({
		role: code.role,
		mirror,
		rows,
		connection,
		unsent,
		own,
		keepAside,
		keepSignIn: (account, spentHash) => replay.keep({ account, spentHash, isSignIn: true }),
		newHolder,
		startWatch,
		onFailure,
	});
	const accounts = composeAccounts({ local: local.accounts, shared, mirror });
	const putBack = createPutBack({ mirror, keys, connection, unsent, newHolder });
	const moves = createMoves({
		local: local.accounts,
		state: local.state,
		rows,
		mirror,
		connection,
		unsent,
		own,
		newHolder,
		now: clock.now,
		startWatch,
	});

	const catchUp = createCatchUp({
		role: code.role,
		unsent,
		replay,
		moves,
		shared,
		putBack,
		isDue: (account) => renewing.isDue(account),
		renewAhead: deps.renewAhead,
		isAway: () => connection.away() !== undefined,
		onFailure,
	});

	const onNews = () => tell({ type: "changed" });
	const { state, exchange } = createSharedState({
		poolId: code.poolId,
		own,
		machine,
		local: local.state,
		mirror,
		connection,
		clock,
		monotonic,
		onNews,
		onFailure,
	});
	const following = createSessionFollow({
		connection,
		mirror,
		keys,
		own,
		lockPath: isKept ? join(folder, "codex-pool-watch") : undefined,
		exchange,
		clock,
		onLooked: catchUp.begin,
		onNews,
		onWarning: (text) => tell({ type: "warning", text }),
		onFailure,
	});
	const renewing = createRenewing({
		role: code.role,
		mirror,
		rows,
		connection,
		unsent,
		journal,
		replay,
		look: () => following.look(PATIENT).catch(ignoreAway),
		alone: local.accounts.whileRefreshing,
		others: createOtherAccounts({ accounts, tokens, clock, labelFor: deps.labelFor, tell }),
		oauth,
		tokens,
		clock,
		monotonic,
		startWatch,
		pause,
		newHolder,
		tell,
		onFailure,
	});
	let journals = 0;
	const countJournals = async () => {
		journals = await journal.count();
	};

	return {
		accounts,
		state,
		tokens: renewing,
		begin: following.begin,
		isAwaited: () => accounts.list().length === 0 && !following.hasLooked(),
		ready: async (signal) => {
			following.beginNow();
			if (following.hasLooked() || accounts.list().length > 0) return;
			const looked = following.look().catch(ignoreAway);
			await raceAbort(
				within(looked, FIRST_LOOK_MS, () => undefined),
				signal,
			);
		},
		status: () => {
			const last = mirror.lastLook();
			return {
				name: mirror.name() ?? file.name() ?? "",
				role: code.role,
				machine: machine(),
				place: parsePoolUrl(code.url).place,
				joinedBy,
				connection: following.connection(),
				others: othersIn(last?.presences ?? [], machine()),
				clockAheadMs: last?.aheadMs,
				journals,
			};
		},
		look: async (asker) => {
			await following.look(asker);
			await raceAbort(catchUp.done(), asker.signal);
			await countJournals();
		},
		codes: () => (code.role === "keeper" ? codesOf(code) : undefined),
		inside: { code, keys, connection, mirror, rows, journal, replay, moves },
		flush: async () => {
			await within(catchUp.done(), LAST_WRITE_MS, () => undefined);
			await mirror.flush();
		},
		rest: following.rest,
	};
}

/** The status contains the problem, and the connection has reported it. */
function ignoreAway(): undefined {
	return undefined;
}
