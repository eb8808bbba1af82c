import type { NeedsLogin } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Role } from "../../core/shared-pool.ts";

export { PoolProblem, type PoolProblemKind, type Role } from "../../core/shared-pool.ts";

/** What a machine needs to use a shared pool: where it is, and what its rows are sealed with. Contains secrets. */
export interface JoinCode {
	/** A Postgres URL, including the password. */
	readonly url: string;
	/** The id that the database got when the pool was created. No other database is taken for it. */
	readonly poolId: string;
	readonly role: Role;
	/** 32 bytes. A runner's secret is derived from a keeper's, and not the other way round. */
	readonly secret: Uint8Array;
}

/** What a sealed text is bound to. It does not open under another id, kind or version. */
export interface SealedPlace {
	readonly poolId: string;
	readonly account: AccountId;
	readonly kind: Role;
	readonly version: number;
}

/** Seals for the roles whose keys are in a code, and opens what was sealed for them. */
export interface Sealing {
	readonly role: Role;
	/** Short hashes that identify keys. The keeper's is undefined for a runner. */
	readonly keyIds: { readonly keeper: string | undefined; readonly runner: string };
	/** Throws if the key of `place.kind` is not in the code. */
	seal(text: string, place: SealedPlace): Uint8Array;
	/**
	 * `other-key`: sealed under a key that this code does not contain. `damaged`: changed, or moved from another place.
	 */
	open(
		sealed: Uint8Array,
		place: SealedPlace,
	): { readonly kind: "ok"; readonly text: string } | { readonly kind: "other-key" | "damaged" };
}

/** The pool itself, as stored in the database. */
export interface PoolHead {
	readonly id: string;
	readonly name: string;
	readonly keeperKeyId: string;
	readonly runnerKeyId: string;
	/** Version of the tables. */
	readonly schemaVersion: number;
}

/** One shared account, as stored in the database. Times are epoch ms by the database's clock. */
export interface SharedRow {
	readonly id: AccountId;
	/** Grows with each change of anything but the status. Sealed texts are bound to it. */
	readonly version: number;
	/** A sealed account with its refresh token. */
	readonly forKeepers: Uint8Array;
	/** The same without the refresh token. */
	readonly forRunners: Uint8Array;
	/** Hash of the refresh token, to identify it. */
	readonly tokenHash: string;
	/** When the access token expires. */
	readonly expiresAt: number;
	readonly enabled: boolean;
	readonly disabledReason: string | undefined;
	readonly needsLogin: NeedsLogin | undefined;
}

/**
 * What all machines have learnt of an account: JSON, with times by the database's clock. `null` if the account was
 * taken out of the pool and is back.
 */
export interface SharedStatus {
	readonly id: AccountId;
	readonly version: number;
	readonly status: unknown;
}

/** One process that uses the pool. */
export interface Presence {
	/** Random id of this run of the process. */
	readonly process: string;
	/** The name of its machine. */
	readonly machine: string;
	/** How many of its sessions work on each account. */
	readonly sessions: Readonly<Record<AccountId, number>>;
	/** By the database's clock. Ignored when written. */
	readonly seenAt: number;
}

/** What one look at the database found: the rows and statuses that differ from what was known. */
export interface Look {
	/** The database's time, epoch ms. */
	readonly now: number;
	/** This machine's time in the middle of the statement, epoch ms. The difference shows how far its clock is off. */
	readonly localNow: number;
	readonly head: PoolHead;
	readonly rows: readonly SharedRow[];
	readonly statuses: readonly SharedStatus[];
	/** Accounts that were taken out of the pool. */
	readonly gone: readonly AccountId[];
	/** Processes seen in the last five minutes, including this one. */
	readonly presences: readonly Presence[];
	readonly pin: { readonly account: AccountId | undefined; readonly version: number };
}

/** The versions that a machine knows. */
export interface Known {
	readonly rows: ReadonlyMap<AccountId, number>;
	readonly statuses: ReadonlyMap<AccountId, number>;
}

/**
 * A new sign-in, or a change by a person, if the row still has version `replaces`. To add an account, `replaces` is
 * what `lastVersion` returns: 0, unless it was in the pool before.
 */
export type RowChange = Omit<SharedRow, "version"> & { readonly replaces: number };

/** A person who waits for the answer, and may stop waiting. */
export interface Asker {
	readonly signal: AbortSignal | undefined;
}

/** A person who waits until the database answers, or is given up. */
export const PATIENT: Asker = { signal: undefined };

/** What a process writes in the background, in one statement. An empty push asks for the time. */
export interface Push {
	readonly process: string;
	/**
	 * Present statuses, and the version that each is based on, 0 for the first one. A status whose row has another
	 * version by now is not written. A version below 0 never matches, so such a row only asks for the status.
	 */
	readonly statuses: readonly SharedStatus[];
	/** `gone` removes the process from the presences. A push of presences alone does not notify others. */
	readonly presence?: Omit<Presence, "process" | "seenAt"> | "gone" | undefined;
	readonly pin?: { readonly account: AccountId | undefined; readonly replaces: number } | undefined;
}

/** The result of a push. */
export interface Pushed {
	readonly now: number;
	/** The new versions of the statuses that were written. */
	readonly written: ReadonlyMap<AccountId, number>;
	/**
	 * The stored versions of the statuses that were not written, to be merged and pushed again. Leaves out accounts
	 * without a stored status, and those that were taken out of the pool.
	 */
	readonly others: readonly SharedStatus[];
	/** The present pin; undefined if the push had none. `isWritten` is false if another process has changed it. */
	readonly pin:
		| { readonly account: AccountId | undefined; readonly version: number; readonly isWritten: boolean }
		| undefined;
}

/** The answer to a claim on an account's refresh token. */
export type SharedClaiming =
	/** Only the caller may send the token, for the next 20 s. */
	| { readonly kind: "ours" }
	/** Another process has it, or had it and never reported how that ended. Not before `retryAfterMs`. */
	| { readonly kind: "taken"; readonly retryAfterMs: number }
	/** The row has another token by now, or is gone. */
	| { readonly kind: "moved" }
	/** This token was sent before, and refused or exchanged. It is never sent again. */
	| { readonly kind: "spent"; readonly reason: string };

/**
 * The statements on the tables of a pool. Each uses one connection, for one statement or one transaction, and depends
 * on no session state, so that a pooler may be in between. Each rejects only with a {@link PoolProblem}.
 */
export interface PoolDatabase {
	/** Creates missing tables, or updates older ones. */
	migrate(): Promise<void>;
	/** Returns the pool in the tables; undefined if there is none yet. */
	head(): Promise<PoolHead | undefined>;
	/** Creates the pool. Resolves to false if there is one already. */
	create(head: Omit<PoolHead, "schemaVersion">): Promise<boolean>;
	look(known: Known): Promise<Look>;
	/** Returns one row as it is now; undefined if it is gone. */
	row(id: AccountId): Promise<SharedRow | undefined>;
	/** Writes a row, sealed for version `replaces` + 1. Resolves to that version; undefined if another one is stored. */
	change(change: RowChange, by: string): Promise<number | undefined>;
	/**
	 * Returns the last version of an account's row, even if the row is gone; 0 if there never was one. Versions thus grow
	 * over a removal, and a machine that was away sees that the row is another one.
	 */
	lastVersion(id: AccountId): Promise<number>;
	/**
	 * Takes an account out of the pool, for all machines, as long as its row holds the token with this hash. Resolves to
	 * false if the row holds another one, to true if the account is no longer in the pool.
	 */
	remove(id: AccountId, tokenHash: string, by: string): Promise<boolean>;
	push(push: Push): Promise<Pushed>;
	/** Deletes the presences of a machine. A process that still runs writes its own again. */
	forgetMachine(machine: string): Promise<void>;
	/**
	 * Claims the refresh token with `tokenHash` for `holder`, a process. Only one process gets a token. Another one gets
	 * it only after 60 s without an outcome, and in the last 10 minutes of the access token. The database's clock
	 * decides. A claim that rejected may still have been made: its holder settles it as unsent.
	 */
	claim(id: AccountId, tokenHash: string, holder: string): Promise<SharedClaiming>;
	/** Ends a claim of `holder`. `unsent` frees the token; any other outcome is the reason why it is never sent again. */
	settle(
		id: AccountId,
		tokenHash: string,
		holder: string,
		outcome: "unsent" | { readonly reason: string },
	): Promise<void>;
	/**
	 * Stores the successor of the token with `spentHash`, ends the claim on it, and clears `needsLogin`, in one
	 * transaction. `changed`: the row has another version but the same token, so it must be sealed again. `moved`: it has
	 * another token, or is gone.
	 */
	storeExchanged(
		row: Omit<RowChange, "enabled" | "disabledReason" | "needsLogin">,
		spentHash: string,
		by: string,
	): Promise<"stored" | "changed" | "moved">;
	/**
	 * Replaces the keys and all sealed texts in one transaction. Resolves to false if a row has changed since it was
	 * read, or if a token may be in use: read again and retry.
	 */
	reseal(keys: Pick<PoolHead, "keeperKeyId" | "runnerKeyId">, rows: readonly RowChange[]): Promise<boolean>;
	/**
	 * Returns the same database for a person who may stop waiting. Each statement rejects with the reason of `signal` as
	 * soon as that fires. The statement may have been executed anyway.
	 */
	until(signal: AbortSignal): PoolDatabase;
	/**
	 * Calls `onNews` after each change by a process other than `own`, until the returned function is called. Resolves to
	 * undefined if notifications do not get through, for instance behind a pooler in transaction mode.
	 */
	listen(own: string, onNews: () => void): Promise<(() => Promise<void>) | undefined>;
	/** Closes every connection. */
	end(): Promise<void>;
}
