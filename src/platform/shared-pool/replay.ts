import type { Account } from "../../core/account.ts";
import type { Connection } from "./connection.ts";
import type { Journal, JournalEntry } from "./journal.ts";
import { type Keys, sealAccount } from "./sealed-account.ts";
import { doesNotOpen, type OpenRow, type SharedRows } from "./shared-rows.ts";

/** Stores what has come for a token in the database, at once or later. */
export interface Replay {
	/** Stores one entry. Rejects with a `PoolProblem` where that has to be done again. */
	store(entry: JournalEntry): Promise<void>;
	/** Stores every entry of this machine, and drops those that are stored. Rejects with the first problem. */
	all(): Promise<void>;
}

interface Deps {
	readonly connection: Connection;
	readonly rows: SharedRows;
	readonly journal: Journal;
	readonly keys: Keys;
	/** Of this run of the process. */
	readonly own: string;
	/** Keeps the sign-in of an account that was taken out of the pool meanwhile, so that it can be put back. */
	readonly keepAside: (account: Account) => Promise<void>;
}

/** More tries than processes that change one row at once. */
const MOST_TRIES = 10;

/** Creates it. */
export function createReplay({ connection, rows, journal, keys, own, keepAside }: Deps): Replay {
	/** False where the row has another version by now, and the same token. */
	const tryToStore = async (open: OpenRow, { account, spentHash }: JournalEntry): Promise<boolean> => {
		// What a person has changed meanwhile, a label say, stays.
		const next = { ...open.account, credential: account.credential, needsLogin: undefined };
		const { id } = account;
		const version = open.row.version + 1;
		const sealed = sealAccount(next, version, keys);
		const { enabled, disabledReason } = open.row;
		const change = { id, replaces: open.row.version, ...sealed };
		const outcome = await connection.use(async (database) => {
			if (sealed.tokenHash !== spentHash) return database.storeExchanged(change, spentHash, own);
			// The refresh token stays as it was, and may be sent again.
			const kept = { ...change, enabled, disabledReason, needsLogin: undefined };
			return (await database.change(kept, own)) === undefined ? "changed" : "stored";
		});
		if (outcome === "stored") {
			await rows.mirror({ row: { ...open.row, ...sealed, version, needsLogin: undefined }, account: next });
		}
		// Another token is there, and now in the mirror, too: of a sign-in since, say.
		if (outcome === "moved") await rows.read(id);
		return outcome !== "changed";
	};

	const store = async (entry: JournalEntry): Promise<void> => {
		for (let tries = 0; tries < MOST_TRIES; tries += 1) {
			const open = await rows.read(entry.account.id);
			if (!open) return keepAside({ ...entry.account, shared: undefined });
			// Stored before, by a statement whose answer was lost; or replaced by a sign-in.
			if (open.row.tokenHash !== entry.spentHash) return;
			if (await tryToStore(open, entry)) return;
		}
		throw doesNotOpen("damaged");
	};

	return {
		store,
		all: async () => {
			for (const entry of await journal.read()) {
				await store(entry);
				await journal.drop(entry);
			}
		},
	};
}
