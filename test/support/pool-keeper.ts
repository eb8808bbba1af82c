import type { Account, Credential } from "../../src/core/account.ts";
import type { OtherAccounts } from "../../src/core/credentials/other-account.ts";
import type { PoolEvent } from "../../src/core/events.ts";
import type { AccountId } from "../../src/core/ids.ts";
import type { RefreshOutcome, SharedTokens, TokenReader } from "../../src/core/ports.ts";
import { fingerprint, identityOf, tokenTimes } from "../../src/platform/backend/jwt.ts";
import { type Connection, createConnection } from "../../src/platform/shared-pool/connection.ts";
import { newKeeperCode } from "../../src/platform/shared-pool/join-code.ts";
import type { Journal, JournalEntry } from "../../src/platform/shared-pool/journal.ts";
import { type Mirror, mirrorInMemory } from "../../src/platform/shared-pool/mirror.ts";
import { createPutBack, type PutBack } from "../../src/platform/shared-pool/put-back.ts";
import { createRenewing } from "../../src/platform/shared-pool/renewing.ts";
import { createReplay, type Replay } from "../../src/platform/shared-pool/replay.ts";
import { type Keys, openRow, sealAccount } from "../../src/platform/shared-pool/sealed-account.ts";
import { createSealing } from "../../src/platform/shared-pool/sealing.ts";
import { createSharedAccounts, type SharedAccounts } from "../../src/platform/shared-pool/shared-accounts.ts";
import { createSharedRows, type SharedRows } from "../../src/platform/shared-pool/shared-rows.ts";
import { createStopwatch, type Stopwatch } from "../../src/platform/shared-pool/stopwatch.ts";
import { type PoolDatabase, PoolProblem, type SharedRow } from "../../src/platform/shared-pool/types.ts";
import { createUnsentClaims, type UnsentClaims } from "../../src/platform/shared-pool/unsent-claims.ts";
import { aClock, type FakeClock } from "./fakes.ts";
import { aPoolInMemory } from "./pool-in-memory.ts";

type Statement = "row" | "change" | "remove" | "claim" | "settle" | "storeExchanged";

/** The rows and claims of a pool, without Postgres: for what another machine does between two statements. */
export interface RowsInMemory {
	readonly database: PoolDatabase;
	readonly rows: Map<AccountId, SharedRow>;
	/** Claims by account and hash of the token; without an outcome the token may be on its way. */
	readonly claims: Map<string, { readonly holder: string; readonly outcome?: string }>;
	/** Puts an account into the pool as another machine does, as the next version of its row. */
	put(account: Account): void;
	/** The account as a keeper reads it; undefined where it is gone. */
	account(id: AccountId): Account | undefined;
	/** Runs `act` once, before the next such statement or after it. What it throws is what the statement rejects with. */
	once(statement: Statement, act: () => void, when?: "before" | "after"): void;
}

export function away(): PoolProblem {
	return new PoolProblem("away", "The database is away.");
}

export function rowsInMemory(keys: Keys, clock: FakeClock): RowsInMemory {
	const rows = new Map<AccountId, SharedRow>();
	const claims: RowsInMemory["claims"] = new Map();
	const acts = new Map<string, () => void>();
	const versions = new Map<AccountId, number>();
	const act = (key: string) => {
		const run = acts.get(key);
		acts.delete(key);
		run?.();
	};
	const during = async <T>(statement: Statement, work: () => T): Promise<T> => {
		act(`before ${statement}`);
		const result = work();
		act(`after ${statement}`);
		return result;
	};
	const write = (row: SharedRow) => {
		rows.set(row.id, row);
		versions.set(row.id, row.version);
		return row.version;
	};
	const notHere = () => Promise.reject(new Error("not asked for here"));
	const database: PoolDatabase = {
		...aPoolInMemory([], clock.now),
		...{ migrate: notHere, head: notHere, create: notHere, reseal: notHere, listen: notHere },
		...{ forgetMachine: notHere, until: () => database },
		end: async () => undefined,
		row: (id) => during("row", () => rows.get(id)),
		lastVersion: async (id) => versions.get(id) ?? 0,
		change: ({ replaces, ...row }) =>
			during("change", () => {
				const isNewest = (rows.get(row.id)?.version ?? versions.get(row.id) ?? 0) === replaces;
				return isNewest ? write({ ...row, version: replaces + 1 }) : undefined;
			}),
		remove: (id, tokenHash) =>
			during("remove", () => {
				if (rows.get(id)?.tokenHash === tokenHash) rows.delete(id);
				return !rows.has(id);
			}),
		claim: (id, tokenHash, holder) =>
			during("claim", () => {
				if (rows.get(id)?.tokenHash !== tokenHash) return { kind: "moved" };
				const known = claims.get(`${id} ${tokenHash}`);
				if (known?.outcome !== undefined) return { kind: "spent", reason: known.outcome };
				if (known) return { kind: "taken", retryAfterMs: 60_000 };
				claims.set(`${id} ${tokenHash}`, { holder });
				return { kind: "ours" };
			}),
		settle: (id, tokenHash, holder, outcome) =>
			during("settle", () => {
				const key = `${id} ${tokenHash}`;
				const known = claims.get(key);
				if (known?.holder !== holder || known.outcome !== undefined) return;
				if (outcome === "unsent") claims.delete(key);
				else claims.set(key, { holder, outcome: outcome.reason });
			}),
		storeExchanged: ({ replaces, ...row }, spentHash, by) =>
			during("storeExchanged", () => {
				const held = rows.get(row.id);
				if (held?.tokenHash !== spentHash) return "moved";
				if (held.version !== replaces) return "changed";
				write({ ...held, ...row, version: replaces + 1, needsLogin: undefined });
				claims.set(`${row.id} ${spentHash}`, { holder: by, outcome: "exchanged" });
				return "stored";
			}),
	};
	return {
		database,
		rows,
		claims,
		put: (account) => {
			const version = (versions.get(account.id) ?? 0) + 1;
			const { id, enabled, disabledReason, needsLogin } = account;
			write({ id, version, ...sealAccount(account, version, keys), enabled, disabledReason, needsLogin });
		},
		account: (id) => {
			const row = rows.get(id);
			const opened = row && openRow(row, keys);
			return opened?.kind === "ok" ? opened.account : undefined;
		},
		once: (statement, run, when = "before") => {
			acts.set(`${when} ${statement}`, run);
		},
	};
}

/** One machine that has joined as a keeper, over rows in memory. */
export interface Keeper {
	readonly pool: RowsInMemory;
	readonly clock: FakeClock;
	readonly startWatch: Stopwatch;
	/** How long this machine has run, ms: awake, and with the time that it has slept. */
	ranMs: number;
	upMs: number;
	readonly connection: Connection;
	readonly mirror: Mirror;
	readonly rows: SharedRows;
	readonly unsent: UnsentClaims;
	readonly replay: Replay;
	readonly putBack: PutBack;
	/** What it seals rows with. */
	readonly keys: Keys;
	readonly accounts: SharedAccounts;
	readonly tokens: SharedTokens;
	/** What its journal holds. */
	readonly journal: JournalEntry[];
	/** What it has backed up. */
	readonly aside: Account[];
	/** The refresh tokens that it has sent. */
	readonly sent: string[];
	readonly events: PoolEvent[];
	readonly failures: unknown[];
	/** How the endpoint answers a token. */
	answer: (refresh: string) => RefreshOutcome;
	/** What each call of this kind rejects with. */
	journalProblem: Error | undefined;
	backupProblem: Error | undefined;
}

export function aKeeper(): Keeper {
	const clock = aClock();
	const code = newKeeperCode("postgres://x@localhost/pi");
	const keys = { sealing: createSealing(code), poolId: code.poolId };
	const pool = rowsInMemory(keys, clock);
	const events: PoolEvent[] = [];
	const connection = createConnection({ open: async () => pool.database, clock, tell: (event) => events.push(event) });
	const mirror = mirrorInMemory("code", "laptop");
	const rows = createSharedRows({ connection, mirror, keys, own: "me" });
	const unsent = createUnsentClaims(connection);
	const entries: JournalEntry[] = [];
	const journal: Journal = {
		prove: async () => {
			if (keeper.journalProblem) throw keeper.journalProblem;
		},
		write: async (entry) => {
			if (keeper.journalProblem) throw keeper.journalProblem;
			entries.push(entry);
		},
		read: async () => [...entries],
		drop: async ({ spentHash }) => {
			entries.splice(0, entries.length, ...entries.filter((each) => each.spentHash !== spentHash));
		},
		count: async () => entries.length,
	};
	const aside: Account[] = [];
	const keepAside = async (account: Account) => {
		if (keeper.backupProblem) throw keeper.backupProblem;
		aside.push(account);
	};
	const failures: unknown[] = [];
	const onFailure = (error: unknown) => void failures.push(error);
	let holders = 0;
	const newHolder = () => {
		holders += 1;
		return `me ${holders}`;
	};
	const replay = createReplay({ connection, rows, mirror, journal, keys, own: "me", keepAside, onFailure });
	const sent: string[] = [];
	const reader: TokenReader = {
		fingerprint,
		identify: identityOf,
		issuedAt: (access) => tokenTimes(access).issuedAt,
	};
	const others: OtherAccounts = { isOther: () => false, keep: async () => undefined };
	const startWatch = createStopwatch(
		clock,
		() => keeper.ranMs,
		() => keeper.upMs,
	);
	const keeper: Keeper = {
		startWatch,
		pool,
		clock,
		ranMs: 0,
		upMs: 0,
		connection,
		mirror,
		rows,
		unsent,
		replay,
		putBack: createPutBack({ mirror, keys, connection, unsent, newHolder }),
		keys,
		accounts: createSharedAccounts({
			...{ role: "keeper", mirror, rows, connection, unsent, own: "me", keepAside, newHolder, startWatch, onFailure },
			keepSignIn: (account, spentHash) => replay.keep({ account, spentHash, isSignIn: true }),
		}),
		tokens: createRenewing({
			...{ role: "keeper", mirror, rows, connection, unsent, journal, replay, others, clock, newHolder, onFailure },
			startWatch,
			tokens: reader,
			look: async () => undefined,
			alone: async (_id, work) => work(),
			oauth: {
				refresh: async (refresh) => {
					sent.push(refresh);
					return keeper.answer(refresh);
				},
			},
			monotonic: () => keeper.ranMs,
			pause: async () => undefined,
			tell: (event) => events.push(event),
		}),
		journal: entries,
		aside,
		sent,
		events,
		failures,
		answer: () => ({ kind: "unavailable", reason: "no answer is set" }),
		journalProblem: undefined,
		backupProblem: undefined,
	};
	return keeper;
}

/** What the endpoint gives for a token. */
export function granted(credential: Credential): RefreshOutcome {
	return { kind: "granted", credential };
}
