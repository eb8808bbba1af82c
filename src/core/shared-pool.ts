import type { AccountId } from "./ids.ts";

/** A keeper may renew, add and remove accounts. A runner can only read access tokens. */
export type Role = "keeper" | "runner";

/** Reasons why a database cannot be used as a pool. */
export const POOL_PROBLEMS = [
	/** Unreachable, or the connection broke. May pass. */
	"away",
	/** The password or the role was refused. */
	"refused",
	/** The role lacks the rights. */
	"no-rights",
	"read-only",
	"full",
	/** The tables belong to a newer version. */
	"newer",
	/** The database contains no pool of ours, or the tables belong to something else. */
	"no-pool",
	/** The database contains another pool than that of the code. */
	"other-pool",
	/** The keys were replaced after the code was printed. */
	"revoked",
	/** The URL is malformed, or asks for something that the client cannot do. */
	"bad-url",
	/** The certificate cannot be verified. */
	"untrusted",
	/** An answer that this code does not expect. */
	"unexpected",
] as const;

/** One of {@link POOL_PROBLEMS}. */
export type PoolProblemKind = (typeof POOL_PROBLEMS)[number];

/** Why a pool cannot be used. `message` is one sentence for a person. It says what to do and contains no secret. */
export class PoolProblem extends Error {
	readonly kind: PoolProblemKind;
	constructor(kind: PoolProblemKind, message: string) {
		super(message);
		this.name = "PoolProblem";
		this.kind = kind;
	}
}

/**
 * The state of the connection to the database: of this process, or of the process that connects for this machine. Times
 * are epoch ms.
 */
export type PoolConnection =
	/** Not checked since this process started. */
	| { readonly kind: "unknown" }
	/**
	 * `listens`: true if changes arrive at once; false if that failed, for instance behind a pooler in transaction mode,
	 * so that changes arrive with a check every minute; undefined if it was not tried, as in a print run.
	 */
	| { readonly kind: "connected"; readonly lookedAt: number; readonly listens: boolean | undefined }
	/** Closed until it is needed again. */
	| { readonly kind: "resting"; readonly lookedAt: number }
	/** Another pi on this machine is connected. This process reads what that one writes. */
	| { readonly kind: "followed"; readonly lookedAt: number }
	/** `text`: the message of a {@link PoolProblem}. */
	| { readonly kind: "away"; readonly since: number; readonly problem: PoolProblemKind; readonly text: string };

/** Another machine that was seen within the last five minutes. */
export interface OtherMachine {
	readonly name: string;
	/** Epoch ms, on this machine's clock. */
	readonly seenAt: number;
	/** How many of its sessions are at work on each account. */
	readonly sessions: ReadonlyMap<AccountId, number>;
}

/** The pool that this machine has joined, as shown on screens. Read from memory; contains no secret. */
export interface SharedPoolStatus {
	readonly name: string;
	readonly role: Role;
	/** The name of this machine. */
	readonly machine: string;
	/** Host and database, such as `db.example/pi`. */
	readonly place: string;
	/** `environment`: joined by `PI_MULTICODEX_POOL`, for as long as the process runs. */
	readonly joinedBy: "settings" | "environment";
	readonly connection: PoolConnection;
	/** The other machines by name. Processes of one machine count as one. */
	readonly others: readonly OtherMachine[];
	/** How far this machine's clock is ahead of the database's, ms; undefined before the first check. */
	readonly clockAheadMs: number | undefined;
	/** Number of logins that this machine has renewed but not yet stored in the database. They wait in a journal. */
	readonly journals: number;
}

/** A machine, and how many of its sessions work on an account. */
export interface MachineUse {
	readonly machine: string;
	readonly sessions: number;
}

/** Returns the other machines that work on an account. */
export function usersOf(id: AccountId, { others }: Pick<SharedPoolStatus, "others">): MachineUse[] {
	return others.flatMap(({ name, sessions }) => {
		const count = sessions.get(id) ?? 0;
		return count > 0 ? [{ machine: name, sessions: count }] : [];
	});
}

/** What is shown of an account's shared pool. */
export interface SharedUse {
	readonly pool: string;
	readonly users: readonly MachineUse[];
	/**
	 * Who renews the sign-in: this machine, or a machine of a keeper. `waits` while the pool is unreachable.
	 */
	readonly renewal: "here" | "keepers" | "waits";
}

/** Returns what is shown of an account in this pool. */
export function sharedUseOf(id: AccountId, status: SharedPoolStatus): SharedUse {
	const { name, role, connection } = status;
	const own = connection.kind === "away" ? "waits" : "here";
	return { pool: name, users: usersOf(id, status), renewal: role === "runner" ? "keepers" : own };
}

/** Shared accounts whose sign-ins are not in the database yet, by label. */
export interface Unstored {
	/** Renewed here. The database still has the spent tokens. */
	readonly renewed: readonly string[];
	/** Being moved into the pool or out of it. Both sides may have them. */
	readonly moving: readonly string[];
}

/** The result of trying to leave a pool. */
export type Left =
	| { readonly kind: "left" }
	/** Nothing has changed. `why` says why the database cannot be used; undefined if it was reached. */
	| { readonly kind: "waiting"; readonly unstored: Unstored; readonly why: string | undefined };

/** The two codes that other machines join with. Secret: shown as a result, and nowhere else. */
export interface JoinCodes {
	readonly keeper: string;
	readonly runner: string;
}
