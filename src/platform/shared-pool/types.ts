import type { NeedsLogin } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Role } from "../../core/shared-pool.ts";

export { PoolProblem, type PoolProblemKind, type Role } from "../../core/shared-pool.ts";

/** What a machine needs of a shared pool: where it is, and what its rows are sealed with. Holds secrets. */
export interface JoinCode {
	/** A Postgres URL, with the password. */
	readonly url: string;
	/** The id that the database was given when the pool was made: another database is never taken for it. */
	readonly poolId: string;
	readonly role: Role;
	/** 32 bytes. That of a runner follows from that of a keeper, and not the other way round. */
	readonly secret: Uint8Array;
}

/** What a sealed text is part of. A row under another id, of another kind or of another version does not open. */
export interface SealedPlace {
	readonly poolId: string;
	readonly account: AccountId;
	readonly kind: Role;
	readonly version: number;
}

/** Seals for the roles that a code holds the keys of, and opens what was sealed so. */
export interface Sealing {
	readonly role: Role;
	/** Short hashes that tell keys apart; undefined for the key of a keeper in the hands of a runner. */
	readonly keyIds: { readonly keeper: string | undefined; readonly runner: string };
	/** Throws where the key of `place.kind` is not in the code. */
	seal(text: string, place: SealedPlace): Uint8Array;
	/** `other-key`: sealed under a key that this code does not hold. `damaged`: changed, or of another place. */
	open(
		sealed: Uint8Array,
		place: SealedPlace,
	): { readonly kind: "ok"; readonly text: string } | { readonly kind: "other-key" | "damaged" };
}

/** The pool itself, as the database has it. */
export interface PoolHead {
	readonly id: string;
	readonly name: string;
	readonly keeperKeyId: string;
	readonly runnerKeyId: string;
	/** Of the tables. */
	readonly schemaVersion: number;
}

/** One shared account as the database has it. Times are epoch ms by the clock of the database. */
export interface SharedRow {
	readonly id: AccountId;
	/** Grows with each change of anything but the status. Sealed texts are of this version. */
	readonly version: number;
	/** A `SealedAccount` with its refresh token. */
	readonly forKeepers: Uint8Array;
	/** The same without a refresh token. */
	readonly forRunners: Uint8Array;
	/** Of the refresh token: tells it from another one. */
	readonly tokenHash: string;
	/** When the access token expires. */
	readonly expiresAt: number;
	readonly enabled: boolean;
	readonly disabledReason: string | undefined;
	readonly needsLogin: NeedsLogin | undefined;
}

/**
 * What all machines have learnt of an account: JSON, with times by the clock of the database. `null` where the account
 * was taken out of the pool and is back.
 */
export interface SharedStatus {
	readonly id: AccountId;
	readonly version: number;
	readonly status: unknown;
}

/** One process at work on the pool. */
export interface Presence {
	/** Random, of this run of the process. */
	readonly process: string;
	/** The name of its machine. */
	readonly machine: string;
	/** How many of its sessions are at work on each account. */
	readonly sessions: Readonly<Record<AccountId, number>>;
	/** By the clock of the database; ignored where it is written. */
	readonly seenAt: number;
}

/** What one look found. Rows and statuses are those that differ from what was known. */
export interface Look {
	/** The time of the database, epoch ms. */
	readonly now: number;
	/** The time of this machine in the middle of the statement, epoch ms: the difference is what its clock is off by. */
	readonly localNow: number;
	readonly head: PoolHead;
	readonly rows: readonly SharedRow[];
	readonly statuses: readonly SharedStatus[];
	/** Accounts that were taken out of the pool. */
	readonly gone: readonly AccountId[];
	/** Who was seen in the last five minutes, this process included. */
	readonly presences: readonly Presence[];
	readonly pin: { readonly account: AccountId | undefined; readonly version: number };
}

/** The versions that a machine knows. */
export interface Known {
	readonly rows: ReadonlyMap<AccountId, number>;
	readonly statuses: ReadonlyMap<AccountId, number>;
}

/**
 * A new sign-in or a change by a person, where the row is of `version` still. To add an account replaces the version
 * that `lastVersion` gives: 0, unless it was in the pool before.
 */
export type RowChange = Omit<SharedRow, "version"> & { readonly replaces: number };

/** What a process writes behind, in one statement. A push of nothing asks for the time. */
export interface Push {
	readonly process: string;
	/**
	 * Each as it is now, and the version that it was made of, 0 for the first one: one that is of another version by now
	 * is not written. A version below 0 is none, so that such a row asks for the status alone.
	 */
	readonly statuses: readonly SharedStatus[];
	/** `gone` takes the process out of the presences. A push of presences alone is no news for others. */
	readonly presence?: Omit<Presence, "process" | "seenAt"> | "gone" | undefined;
	readonly pin?: { readonly account: AccountId | undefined; readonly replaces: number } | undefined;
}

/** What became of a push. */
export interface Pushed {
	readonly now: number;
	/** The new versions of the statuses that were written. */
	readonly written: ReadonlyMap<AccountId, number>;
	/**
	 * The statuses that were not written, as they are stored: they have to be merged and pushed again. Without those that
	 * have no status yet, and those of accounts that were taken out of the pool.
	 */
	readonly others: readonly SharedStatus[];
	/** The pin as it is now; undefined where the push had none. `isWritten` is false where another process changed it. */
	readonly pin:
		| { readonly account: AccountId | undefined; readonly version: number; readonly isWritten: boolean }
		| undefined;
}

/** How a claim on the refresh token of an account was answered. */
export type SharedClaiming =
	/** The caller alone may send the token, for the next 20 s. */
	| { readonly kind: "ours" }
	/** Another process has it, or had it and never said how it ended: not before `retryAfterMs`. */
	| { readonly kind: "taken"; readonly retryAfterMs: number }
	/** The row holds another token by now, or is gone. */
	| { readonly kind: "moved" }
	/** This token was sent before, and refused or exchanged: it is never sent again. */
	| { readonly kind: "spent"; readonly reason: string };

/**
 * The statements on the tables of a pool. Each takes one connection, for one statement or one transaction, and needs
 * nothing of a session, so that a pooler may stand in between. Each rejects with a {@link PoolProblem} alone.
 */
export interface PoolDatabase {
	/** Makes the tables where they are missing, or brings older ones up to date. */
	migrate(): Promise<void>;
	/** The pool that the tables hold; undefined where there is none yet. */
	head(): Promise<PoolHead | undefined>;
	/** Makes the pool. False where there is one already. */
	create(head: Omit<PoolHead, "schemaVersion">): Promise<boolean>;
	look(known: Known): Promise<Look>;
	/** One row as it is now; undefined where it is gone. */
	row(id: AccountId): Promise<SharedRow | undefined>;
	/** Writes a row, sealed for `replaces` + 1. Resolves to that version; undefined where another one is stored. */
	change(change: RowChange, by: string): Promise<number | undefined>;
	/**
	 * The version that the row of an account had last, also where it is gone; 0 where there never was one. So versions
	 * grow over a removal, too, and a machine that was away sees that the row is another one.
	 */
	lastVersion(id: AccountId): Promise<number>;
	/** Takes an account out of the pool, for all machines. */
	remove(id: AccountId, by: string): Promise<void>;
	push(push: Push): Promise<Pushed>;
	/**
	 * Claims the refresh token with `tokenHash` for `holder`, a process. One process gets a token; another one gets it
	 * only after 60 s without an outcome, and in the last 10 minutes of the access token. The database's clock decides.
	 * A claim that rejected may have been made all the same: its holder settles it as unsent.
	 */
	claim(id: AccountId, tokenHash: string, holder: string): Promise<SharedClaiming>;
	/** Ends a claim of `holder`. `unsent` frees the token; any other outcome is why it is never sent again. */
	settle(
		id: AccountId,
		tokenHash: string,
		holder: string,
		outcome: "unsent" | { readonly reason: string },
	): Promise<void>;
	/**
	 * Stores what came for the token with `spentHash`, ends the claim on it, and clears `needsLogin`, in one transaction.
	 * `changed`: the row has another version by now, and the same token, so that it has to be sealed anew. `moved`: it
	 * holds another token, or is gone.
	 */
	storeExchanged(
		row: Omit<RowChange, "enabled" | "disabledReason" | "needsLogin">,
		spentHash: string,
		by: string,
	): Promise<"stored" | "changed" | "moved">;
	/**
	 * Replaces the keys and all sealed texts in one transaction. False where a row has changed since it was read, or
	 * where a token may be on its way: to be read and tried again.
	 */
	reseal(keys: Pick<PoolHead, "keeperKeyId" | "runnerKeyId">, rows: readonly RowChange[]): Promise<boolean>;
	/**
	 * Calls `onNews` after each change by a process other than `own`, until the function that it gives is called.
	 * Resolves to undefined where notifications do not get through, as behind a pooler in transaction mode.
	 */
	listen(own: string, onNews: () => void): Promise<(() => Promise<void>) | undefined>;
	/** Closes every connection. */
	end(): Promise<void>;
}
