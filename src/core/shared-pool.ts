import type { AccountId } from "./ids.ts";

/** A keeper may renew, add and remove accounts; a runner opens access tokens only. */
export type Role = "keeper" | "runner";

/** What keeps a database from being used as a pool. */
export const POOL_PROBLEMS = [
	/** Not reached, or cut off: it may pass. */
	"away",
	/** The password or the role was refused. */
	"refused",
	/** The role may not do it. */
	"no-rights",
	"read-only",
	"full",
	/** Its tables are of a newer version. */
	"newer",
	/** No pool of ours is there, or the tables belong to something else. */
	"no-pool",
	/** Another pool than that of the code. */
	"other-pool",
	/** The keys were replaced since the code was printed. */
	"revoked",
	/** The URL is none, or asks for something that the client cannot do. */
	"bad-url",
	/** The certificate cannot be verified. */
	"untrusted",
	/** An answer that nothing here expects. */
	"unexpected",
] as const;

/** One of {@link POOL_PROBLEMS}. */
export type PoolProblemKind = (typeof POOL_PROBLEMS)[number];

/** Why a pool cannot be used. `message` is one sentence for a person, without a secret, that says what to do. */
export class PoolProblem extends Error {
	readonly kind: PoolProblemKind;
	constructor(kind: PoolProblemKind, message: string) {
		super(message);
		this.name = "PoolProblem";
		this.kind = kind;
	}
}

/** How this process, or the one that looks for all of this machine, stands to the database. Times are epoch ms. */
export type PoolConnection =
	/** No look since this process began. */
	| { readonly kind: "unknown" }
	/**
	 * `listens`: news arrives at once. False where that was tried in vain, as behind a pooler in transaction mode: it
	 * comes with a look each minute. Undefined where it was not tried, as in a print run.
	 */
	| { readonly kind: "connected"; readonly lookedAt: number; readonly listens: boolean | undefined }
	/** Closed until the next use. */
	| { readonly kind: "resting"; readonly lookedAt: number }
	/** Another pi on this machine is connected, and this one reads what it writes. */
	| { readonly kind: "followed"; readonly lookedAt: number }
	/** `text`: the message of a {@link PoolProblem}. */
	| { readonly kind: "away"; readonly since: number; readonly problem: PoolProblemKind; readonly text: string };

/** Another machine that was seen in the last five minutes. */
export interface OtherMachine {
	readonly name: string;
	/** Epoch ms, by the clock of this machine. */
	readonly seenAt: number;
	/** How many of its sessions are at work on each account. */
	readonly sessions: ReadonlyMap<AccountId, number>;
}

/** The pool that this machine has joined, as screens show it. Read from memory; holds no secret. */
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
	/** By name; several processes of one machine are one. */
	readonly others: readonly OtherMachine[];
	/** How far the clock of this machine is ahead of that of the database, ms; undefined before the first look. */
	readonly clockAheadMs: number | undefined;
	/** Logins that this machine has renewed, and that wait in a journal for the database. */
	readonly journals: number;
}

/** A machine, and how many of its sessions are at work on an account. */
export interface MachineUse {
	readonly machine: string;
	readonly sessions: number;
}

/** The other machines that are at work on an account. */
export function usersOf(id: AccountId, { others }: Pick<SharedPoolStatus, "others">): MachineUse[] {
	return others.flatMap(({ name, sessions }) => {
		const count = sessions.get(id) ?? 0;
		return count > 0 ? [{ machine: name, sessions: count }] : [];
	});
}

/** What is shown of a shared account. */
export interface SharedUse {
	readonly pool: string;
	readonly users: readonly MachineUse[];
	/** Who renews its sign-in: this machine, or a keeper's; `waits` while the pool is away. */
	readonly renewal: "here" | "keepers" | "waits";
}

/** What is shown of a shared account of this pool. */
export function sharedUseOf(id: AccountId, status: SharedPoolStatus): SharedUse {
	const { name, role, connection } = status;
	const own = connection.kind === "away" ? "waits" : "here";
	return { pool: name, users: usersOf(id, status), renewal: role === "runner" ? "keepers" : own };
}

/** The two codes that other machines join with. Secrets: shown as a result, and nowhere else. */
export interface JoinCodes {
	readonly keeper: string;
	readonly runner: string;
}
