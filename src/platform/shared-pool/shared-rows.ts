import type { Account } from "../../core/account.ts";
import { allClaims } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Connection } from "./connection.ts";
import type { Mirror, Mirrored } from "./mirror.ts";
import { asShared, type Keys, openRow, sealAccount } from "./sealed-account.ts";
import { type Asker, PoolProblem, type SharedRow } from "./types.ts";

/** A row of the database, opened with a keeper's key. */
export interface OpenRow {
	readonly row: SharedRow;
	/** With its refresh token. */
	readonly account: Account;
}

/**
 * Rows of the database, as a keeper reads and changes them. Every method rejects with a `PoolProblem`, or when the
 * asker stops waiting.
 */
export interface SharedRows {
	/** Reads one row and updates the mirror; undefined if the row is gone, from the mirror too. */
	read(id: AccountId, asker?: Asker): Promise<OpenRow | undefined>;
	/**
	 * Replaces a row by what `change` returns for its present content; undefined leaves it alone. Runs again if another
	 * process was faster. Resolves to the resulting row.
	 */
	change(id: AccountId, change: (open: OpenRow) => Account | undefined, asker?: Asker): Promise<OpenRow | undefined>;
	/** Adds a row for an account with its refresh token. Resolves to false if a row with this id exists. */
	add(account: Account, asker: Asker): Promise<boolean>;
	/** Copies a row into the mirror. */
	mirror(open: OpenRow): Promise<void>;
}

interface Deps {
	readonly connection: Connection;
	readonly mirror: Mirror;
	readonly keys: Keys;
	/** The id of this run of the process. */
	readonly own: string;
}

/** More tries than processes can change one row at once. */
const MOST_TRIES = 10;

/** Returns why something is refused that only a keeper may do. */
export function keepersOnly(): PoolProblem {
	return new PoolProblem(
		"no-rights",
		"This machine has joined its pool as a runner, which cannot change accounts. Use a machine with a keeper's code.",
	);
}

/** Returns what this machine knows of a row, without its refresh token. */
export function mirroredOf({ row, account }: OpenRow): Mirrored {
	return { version: row.version, tokenHash: row.tokenHash, account: asShared(account, row.tokenHash) };
}

/** Creates the access to the rows. */
export function createSharedRows({ connection, mirror, keys, own }: Deps): SharedRows {
	const opened = (row: SharedRow): OpenRow => {
		const result = openRow(row, keys);
		if (result.kind === "ok") return { row, account: result.account };
		throw doesNotOpen(result.kind);
	};
	const read: SharedRows["read"] = async (id, asker) => {
		const row = await connection.use((database) => database.row(id), asker);
		if (!row) {
			await mirror.take([], [id]);
			return undefined;
		}
		const open = opened(row);
		await mirror.take([mirroredOf(open)]);
		return open;
	};
	return {
		read,
		change: async (id, change, asker) => {
			for (let tries = 0; tries < MOST_TRIES; tries += 1) {
				const open = await read(id, asker);
				const next = open && change(open);
				if (!next) return open;
				const { version: replaces } = open.row;
				const version = replaces + 1;
				const { enabled, disabledReason, needsLogin } = next;
				const changed = { id, ...sealAccount(next, version, keys), enabled, disabledReason, needsLogin };
				const written = await connection.use((database) => database.change({ ...changed, replaces }, own), asker);
				if (written === undefined) continue;
				const now = { row: { ...changed, version: written }, account: next };
				await mirror.take([mirroredOf(now)]);
				return now;
			}
			throw new PoolProblem("unexpected", "Other machines are changing this account. Try again in a while.");
		},
		add: async (account, asker) => {
			const { id, enabled, disabledReason, needsLogin } = account;
			if (await connection.use((database) => database.row(id), asker)) return false;
			const replaces = await connection.use((database) => database.lastVersion(id), asker);
			const sealed = sealAccount(account, replaces + 1, keys);
			const added = { id, ...sealed, enabled, disabledReason, needsLogin };
			const version = await connection.use((database) => database.change({ ...added, replaces }, own), asker);
			if (version === undefined) return false;
			await mirror.take([mirroredOf({ row: { ...added, version }, account })]);
			return true;
		},
		mirror: (open) => mirror.take([mirroredOf(open)]),
	};
}

/** Returns a shared account with a new sign-in. It keeps its label and stays enabled or disabled. */
export function withSignIn(
	stored: Account,
	{ credential, email, userId, plan, claims, workspaceId }: Account,
): Account {
	return {
		...stored,
		credential,
		workspaceId,
		email: email ?? stored.email,
		userId: userId ?? stored.userId,
		plan: plan ?? stored.plan,
		claims: allClaims(stored.claims ?? [], claims ?? []),
		needsLogin: undefined,
	};
}

/** Returns why a row cannot be read. */
export function doesNotOpen(kind: "other-key" | "damaged"): PoolProblem {
	if (kind === "damaged") {
		return new PoolProblem(
			"unexpected",
			"An account in the database of the shared pool was changed by something else, and is not used.",
		);
	}
	return new PoolProblem(
		"revoked",
		"The keys of the shared pool were replaced. Join again with a new code: a keeper prints one with /multicodex share --codes.",
	);
}
