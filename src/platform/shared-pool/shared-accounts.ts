import type { Account, Credential } from "../../core/account.ts";
import { allClaims } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import type { AccountPatch, AccountStore } from "../../core/ports.ts";
import type { Connection } from "./connection.ts";
import type { Mirror } from "./mirror.ts";
import { CLAIM_MS } from "./shared-claim.ts";
import { keepersOnly, type OpenRow, type SharedRows, withSignIn } from "./shared-rows.ts";
import type { Stopwatch } from "./stopwatch.ts";
import { type Asker, PATIENT, PoolProblem, type PoolProblemKind, type Role } from "./types.ts";
import type { UnsentClaims } from "./unsent-claims.ts";

/** The accounts of the pool as this machine knows them, and their changes. */
export interface SharedAccounts extends Pick<AccountStore, "list" | "put" | "patch" | "edit" | "remove" | "flush"> {
	has(id: AccountId): boolean;
	/** Writes the changes that were kept while the database was unreachable. Never rejects. */
	catchUp(): Promise<void>;
}

interface Deps {
	readonly role: Role;
	readonly mirror: Mirror;
	readonly rows: SharedRows;
	readonly connection: Connection;
	readonly unsent: UnsentClaims;
	/** The id of this run of the process. */
	readonly own: string;
	/** Writes a backup, with the refresh token, on this machine. */
	readonly keepAside: (account: Account) => Promise<void>;
	/** Keeps a new sign-in in place of the token with `hash` until the database has it. */
	readonly keepSignIn: (account: Account, hash: string) => Promise<void>;
	/** Creates a name for a claim that no other claim has. */
	readonly newHolder: () => string;
	readonly startWatch: Stopwatch;
	readonly onFailure: (error: unknown) => void;
}

/** A change that the database does not have yet. */
interface Pending {
	readonly id: AccountId;
	readonly patch: AccountPatch;
	readonly applies: ((newest: Credential) => boolean) | undefined;
}

/** Problems that keep everything from being written for a while. */
const PASSING: ReadonlySet<PoolProblemKind> = new Set([
	"away",
	"refused",
	"untrusted",
	"no-rights",
	"read-only",
	"full",
	// It is stored once this machine has joined with the new code, or was updated.
	"revoked",
	"newer",
]);
/** More changes than accounts can be flagged, renamed or disabled while the database is unreachable. */
const MOST_PENDING = 200;

/** Creates the shared accounts. Reads come from memory, and only a keeper changes an account of the pool. */
export function createSharedAccounts(deps: Deps): SharedAccounts {
	const { role, mirror, rows, connection, unsent, own, keepAside, keepSignIn, newHolder, startWatch, onFailure } = deps;
	/** Pending changes, one per account and kind. The newest wins. */
	const pending = new Map<string, Pending>();
	let listedFrom: ReturnType<Mirror["rows"]> | undefined;
	let listed: readonly Account[] = [];

	const list = () => {
		const known = mirror.rows();
		if (known !== listedFrom) {
			listed = [...known.values()].map(({ account }) => account);
			listedFrom = known;
		}
		return listed;
	};
	const write = async ({ id, patch, applies }: Pending, asker?: Asker): Promise<void> => {
		await rows.change(
			id,
			(open) => {
				const isMeant = applies === undefined || applies(open.account.credential);
				const next = isMeant ? patched(open, patch) : open.account;
				return JSON.stringify(next) === JSON.stringify(open.account) ? undefined : next;
			},
			asker,
		);
	};
	const keyOf = ({ id, patch }: Pending) => [id, ...Object.keys(patch).sort()].join(" ");
	const removed = async (id: AccountId) => {
		const open = await rows.read(id, PATIENT);
		if (!open) return;
		const { tokenHash } = open.row;
		const holder = newHolder();
		// A machine that exchanges the token now would find no row to store the next one in.
		const ageMs = startWatch();
		const claiming = await unsent.claim({ id, tokenHash, holder }, PATIENT);
		if (claiming.kind === "taken" || claiming.kind === "moved") throw isBusy();
		try {
			await keepAside({ ...open.account, shared: undefined });
			// The machine may have slept, and another one may be renewing the token.
			if (claiming.kind === "ours" && ageMs() > CLAIM_MS) throw isBusy();
			// Another machine may have stored a newer token, after a sign-in or while this one slept.
			const isGone = await connection.use((database) => database.remove(id, tokenHash, own), PATIENT);
			if (!isGone) throw isBusy();
		} finally {
			// The same token may come back, from the backup.
			if (claiming.kind === "ours") await unsent.free({ id, tokenHash, holder });
		}
		await mirror.take([], [id]);
	};

	return {
		list,
		has: (id) => mirror.rows().has(id),
		put: async (account) => {
			if (role === "runner") throw keepersOnly();
			const { id } = account;
			const seen = mirror.rows().get(id);
			const change = rows.change(id, ({ account: stored }) => withSignIn(stored, account), PATIENT);
			const now = await change.catch(async (error: unknown) => {
				// A new sign-in cannot be repeated without the person.
				if (!seen || !(error instanceof PoolProblem && PASSING.has(error.kind))) throw error;
				await keepSignIn(account, seen.tokenHash);
				return undefined;
			});
			// In a restored database, the new sign-in may have a version no newer than what this machine has seen.
			if (now && seen && seen.tokenHash !== now.row.tokenHash && seen.version >= now.row.version) {
				await mirror.take([], [id]);
				await rows.mirror(now);
			}
		},
		patch: async (id, patch, applies) => {
			const known = mirror.rows().get(id);
			if (!known) return;
			if (applies && !applies(known.account.credential)) return;
			const { credential: _, linked: __, ...rest } = patch;
			if (Object.keys(rest).length === 0) return;
			await mirror.patch(id, rest);
			if (role === "runner") return;
			const change = { id, patch: rest, applies };
			try {
				await write(change);
				pending.delete(keyOf(change));
			} catch (error) {
				if (error instanceof PoolProblem && pending.size < MOST_PENDING) pending.set(keyOf(change), change);
				throw error;
			}
		},
		edit: async (id, patch) => {
			if (role === "runner") throw keepersOnly();
			await write({ id, patch, applies: undefined }, PATIENT);
		},
		remove: async (id) => {
			if (role === "runner") throw keepersOnly();
			await removed(id);
		},
		catchUp: async () => {
			for (const [key, change] of pending) {
				try {
					await write(change);
					if (pending.get(key) === change) pending.delete(key);
				} catch (error) {
					if (error instanceof PoolProblem) return;
					pending.delete(key);
					onFailure(error);
				}
			}
		},
		flush: () => mirror.flush(),
	};
}

/** Says that another machine is renewing the token that should be moved or removed. */
export function isBusy(): PoolProblem {
	return new PoolProblem(
		"unexpected",
		"Another machine is renewing the sign-in of this account. Nothing was changed; try again in a minute.",
	);
}

function patched({ account }: OpenRow, { credential: _, linked: __, claims, ...patch }: AccountPatch): Account {
	return { ...account, ...patch, ...(claims && { claims: allClaims(account.claims ?? [], claims) }) };
}
