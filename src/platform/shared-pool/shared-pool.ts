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
import { composeAccounts } from "./composed-accounts.ts";
import { composeState } from "./composed-state.ts";
import { type Connection, createConnection } from "./connection.ts";
import { createDatabaseClock } from "./database-clock.ts";
import { createFollow } from "./follow.ts";
import { codesOf } from "./join-code.ts";
import { type Journal, openJournal } from "./journal.ts";
import { type Mirror, mirrorInMemory, type OwnMirror } from "./mirror.ts";
import { createMoves, type Moves } from "./moves.ts";
import { othersIn } from "./other-machines.ts";
import { parsePoolUrl } from "./pool-url.ts";
import type { After } from "./push-schedule.ts";
import { createPutBack } from "./put-back.ts";
import { createRenewing } from "./renewing.ts";
import { createReplay, type Replay } from "./replay.ts";
import type { Keys } from "./sealed-account.ts";
import { createSealing } from "./sealing.ts";
import { createSharedAccounts } from "./shared-accounts.ts";
import { createSharedRows, type SharedRows } from "./shared-rows.ts";
import { createStatusExchange, type StatusExchange } from "./status-exchange.ts";
import { createStopwatch } from "./stopwatch.ts";
import { type Asker, type JoinCode, PATIENT, type SharedRow } from "./types.ts";
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
export interface Inside {
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
/** Maximum number of tokens renewed ahead of time after one look. */
const MOST_AHEAD = 3;
/** The first request starts sooner than this. */
const SOON_MS = 1000;
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
	const keys: Keys = { sealing: createSealing(code), poolId: code.poolId };
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

	/** Does what was left undone while the database was unreachable, or by a process that ended. */
	const catchUp = async (looked: readonly SharedRow[]) => {
		if (code.role === "runner") return;
		await unsent.catchUp();
		await replay.all();
		await moves.settle();
		await shared.catchUp();
		await putBack.note(looked);
		const due = shared.list().filter((account) => renewing.isDue(account));
		for (const { id } of due.slice(0, MOST_AHEAD)) deps.renewAhead(id);
	};
	let behind: Promise<unknown> = Promise.resolve();
	const catchUpBehind = (looked: readonly SharedRow[]) => {
		behind = behind
			.then(() => catchUp(looked))
			.catch((error: unknown) => {
				if (!connection.away()) onFailure(error);
			});
	};

	const isShared = (id: AccountId) => mirror.rows().has(id);
	const sharedIds = () => [...mirror.rows().keys()];
	const state = composeState({
		local: local.state,
		isShared,
		sharedIds,
		presences: () => mirror.lastLook()?.presences ?? [],
		machine,
		clock,
	});
	const databaseClock = createDatabaseClock({ measured: () => mirror.lastLook(), clock, monotonic });
	const onNews = () => tell({ type: "changed" });
	const newExchange = () =>
		createStatusExchange({
			poolId: code.poolId,
			own,
			machine,
			state: local.state,
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
	let hasLooked = false;
	const newFollow = (exchange: StatusExchange) =>
		createFollow({
			connection,
			mirror,
			keys,
			own,
			lockPath: isKept ? join(folder, "codex-pool-watch") : undefined,
			lookers: [
				{ known: exchange.known, onLook: exchange.take },
				{
					known: () => new Map(),
					onLook: ({ rows: looked }) => {
						hasLooked = true;
						catchUpBehind(looked);
					},
				},
			],
			clock,
			onNews,
			onWarning: (text) => tell({ type: "warning", text }),
			onFailure,
		});
	/** Runs from one session to the next. */
	const begin = () => {
		const exchange = newExchange();
		state.tell(exchange);
		return { exchange, follow: newFollow(exchange) };
	};
	let life = begin();
	let stays = false;
	let beginning: NodeJS.Timeout | undefined;
	const renewing = createRenewing({
		role: code.role,
		mirror,
		rows,
		connection,
		unsent,
		journal,
		replay,
		look: () => life.follow.look(PATIENT).catch(ignoreAway),
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
		begin: (staysNow) => {
			stays = staysNow;
			clearTimeout(beginning);
			if (!stays) return;
			beginning = setTimeout(() => life.follow.begin(true), SOON_MS);
			beginning.unref();
		},
		isAwaited: () => accounts.list().length === 0 && !hasLooked,
		ready: async (signal) => {
			life.follow.begin(stays);
			if (hasLooked || accounts.list().length > 0) return;
			const looked = life.follow.look().catch(ignoreAway);
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
				connection: life.follow.connection(),
				others: othersIn(last?.presences ?? [], machine()),
				clockAheadMs: last?.aheadMs,
				journals,
			};
		},
		look: async (asker) => {
			await life.follow.look(asker);
			await raceAbort(behind, asker.signal);
			await countJournals();
		},
		codes: () => (code.role === "keeper" ? codesOf(code) : undefined),
		inside: { code, keys, connection, mirror, rows, journal, replay, moves },
		flush: async () => {
			await within(behind, LAST_WRITE_MS, () => undefined);
			await mirror.flush();
		},
		rest: async () => {
			clearTimeout(beginning);
			const former = life;
			life = begin();
			await former.exchange.end();
			await former.follow.end();
		},
	};
}

/** Nothing waits for this work. */
const after: After = (ms, run) => {
	const timer = setTimeout(run, ms);
	timer.unref();
	return () => clearTimeout(timer);
};

/** The status contains the problem, and the connection has reported it. */
function ignoreAway(): undefined {
	return undefined;
}
