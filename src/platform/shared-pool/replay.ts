import type { Account } from "../../core/account.ts";
import { fingerprint } from "../backend/jwt.ts";
import { wasIssuedAfter } from "../stores/account-file.ts";
import type { Connection } from "./connection.ts";
import type { Journal, JournalEntry } from "./journal.ts";
import type { Mirror } from "./mirror.ts";
import { type Keys, sealAccount } from "./sealed-account.ts";
import { doesNotOpen, type OpenRow, type SharedRows, withSignIn } from "./shared-rows.ts";

/** Stores new tokens in the database, now or later. */
export interface Replay {
	/**
	 * Keeps a token that is new: in the journal, for this machine, and in the database. Rejects if it is
	 * in neither the journal nor the database.
	 */
	keep(entry: JournalEntry): Promise<void>;
	/** Stores every entry of this machine and deletes the stored ones. Rejects with the first problem. */
	all(): Promise<void>;
}

interface Deps {
	readonly connection: Connection;
	readonly rows: SharedRows;
	readonly mirror: Pick<Mirror, "renewed">;
	readonly journal: Journal;
	readonly keys: Keys;
	/** The id of this run of the process. */
	readonly own: string;
	/** Keeps the sign-in of an account that was taken out of the pool meanwhile, so that it can be restored. */
	readonly keepAside: (account: Account) => Promise<void>;
	readonly onFailure: (error: unknown) => void;
}

/** More tries than processes can change one row at once. */
const MOST_TRIES = 10;

/** Creates the replay. */
export function createReplay(deps: Deps): Replay {
	const { connection, rows, mirror, journal, keys, own, keepAside, onFailure } = deps;
	/** Returns false if the row has another version but the same token. */
	const tryToStore = async (open: OpenRow, { account, spentHash }: JournalEntry): Promise<boolean> => {
		// Keep what a person has changed meanwhile, such as a label.
		const next = { ...open.account, credential: account.credential, needsLogin: undefined };
		const { id } = account;
		const version = open.row.version + 1;
		const sealed = sealAccount(next, version, keys);
		const { enabled, disabledReason } = open.row;
		const change = { id, replaces: open.row.version, ...sealed };
		const outcome = await connection.use(async (database) => {
			if (sealed.tokenHash !== spentHash) return database.storeExchanged(change, spentHash, own);
			// The refresh token is unchanged and may be sent again.
			const kept = { ...change, enabled, disabledReason, needsLogin: undefined };
			return (await database.change(kept, own)) === undefined ? "changed" : "stored";
		});
		if (outcome === "stored") {
			await rows.mirror({ row: { ...open.row, ...sealed, version, needsLogin: undefined }, account: next });
		}
		// The row has another token, for instance from a new sign-in. The mirror has it now too.
		if (outcome === "moved") await rows.read(id);
		return outcome !== "changed";
	};

	const storeSignIn = async ({ account }: JournalEntry): Promise<void> => {
		const stored = await rows.change(account.id, (open) =>
			isLater(open.account, account) ? undefined : withSignIn(open.account, account),
		);
		if (!stored) await keepAside({ ...account, shared: undefined });
	};

	/** Stores one entry. Rejects with a `PoolProblem` if it has to be tried again. */
	const store = async (entry: JournalEntry): Promise<void> => {
		if (entry.isSignIn) return storeSignIn(entry);
		for (let tries = 0; tries < MOST_TRIES; tries += 1) {
			const open = await rows.read(entry.account.id);
			if (!open) return keepAside({ ...entry.account, shared: undefined });
			// The token was stored before, by a statement whose answer was lost, or replaced by a sign-in.
			if (open.row.tokenHash !== entry.spentHash) return;
			if (await tryToStore(open, entry)) return;
		}
		throw doesNotOpen("damaged");
	};

	/** Keeps the last of several sign-ins. Those of one second cannot be told apart later. */
	const dropEarlier = async ({ account, spentHash }: JournalEntry): Promise<void> => {
		const earlier = (await journal.read()).filter((each) => each.isSignIn && each.account.id === account.id);
		for (const each of earlier) if (each.spentHash !== spentHash) await journal.drop(each);
	};

	const keep = async (entry: JournalEntry): Promise<void> => {
		const { account, spentHash } = entry;
		const isNoted = await journal.write(entry).then(
			() => true,
			(error: unknown) => {
				onFailure(error);
				return false;
			},
		);
		if (isNoted && entry.isSignIn) await dropEarlier(entry);
		await mirror.renewed(account.id, spentHash, account.credential, fingerprint(account.credential.refresh));
		try {
			await store(entry);
		} catch (error) {
			if (!isNoted) throw error;
			// The journal keeps it until the next look.
			onFailure(error);
			return;
		}
		if (isNoted) await journal.drop(entry);
	};

	return {
		keep,
		all: async () => {
			for (const entry of await journal.read()) {
				await store(entry);
				await journal.drop(entry);
			}
		},
	};
}

/** True if the pool has a later sign-in that works. */
function isLater(stored: Account, { credential }: Account): boolean {
	return !stored.needsLogin && wasIssuedAfter(stored.credential.access, credential.access);
}
