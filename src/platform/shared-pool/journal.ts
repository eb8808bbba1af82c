import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import type { Account } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import { stageFile, writeAtomically } from "../files/atomic-file.ts";
import { isMissing } from "../files/errors.ts";
import { readText } from "../files/regular-file.ts";
import { accountIdSchema } from "../ids.ts";
import { parseJson } from "../json.ts";
import { lenient } from "../lenient.ts";
import { accountIn, type Keys, textOf } from "./sealed-account.ts";

/** A token that the database may not have yet, renewed or from a new sign-in. */
export interface JournalEntry {
	/** The account with its new credential. */
	readonly account: Account;
	/** Hash of the refresh token that it replaces. */
	readonly spentHash: string;
	/** True if a person has signed in again: no exchange, so the pool takes it in place of whatever token it has. */
	readonly isSignIn?: boolean | undefined;
}

/** Tokens renewed on this machine. Each is in a file of its own, sealed with a keeper's key. */
export interface Journal {
	/** Proves that an entry can be written, before a single-use token is spent. Throws the file system's error. */
	prove(id: AccountId): Promise<void>;
	/** Writes an entry durably. */
	write(entry: JournalEntry): Promise<void>;
	/** Returns the entries of this machine. Leaves an entry that this key does not open as it is. */
	read(): Promise<JournalEntry[]>;
	drop(entry: JournalEntry): Promise<void>;
	/** Returns the number of entries, under any key. */
	count(): Promise<number>;
}

const NAME = /^codex-pool-[\w-]+\.journal$/;
/** Larger than the longest entry. */
const ROOM_BYTES = 32_768;
/** A version that no row has, so that an entry cannot be taken for a row. */
const NO_VERSION = 0;

const fileSchema = z.object({ pool: z.string(), account: accountIdSchema, sealed: z.string() });
const entrySchema = z.object({ spentHash: z.string(), account: z.string(), isSignIn: lenient(z.boolean()) });

/** Opens the journal in `folder`. */
export function openJournal(folder: string, { sealing, poolId }: Keys): Journal {
	const placeOf = (account: AccountId) => ({ poolId, account, kind: "keeper", version: NO_VERSION }) as const;
	const pathOf = (id: AccountId, spentHash: string) => join(folder, `codex-pool-${id}-${spentHash}.journal`);
	const names = async () => (await readdir(folder).catch(ignoreMissing)).filter((name) => NAME.test(name)).sort();
	const readOne = async (path: string): Promise<JournalEntry | undefined> => {
		const file = parseJson(fileSchema, await readText(path).catch(() => ""));
		if (file?.pool !== poolId) return undefined;
		const opened = sealing.open(Buffer.from(file.sealed, "base64"), placeOf(file.account));
		const entry = opened.kind === "ok" ? parseJson(entrySchema, opened.text) : undefined;
		const account = entry && accountIn(entry.account);
		if (!account) return undefined;
		const { spentHash, isSignIn } = entry;
		return { account: { ...account, shared: true }, spentHash, ...(isSignIn && { isSignIn }) };
	};

	return {
		prove: async (id) => {
			const staged = await stageFile(pathOf(id, "proof"), { bytes: ROOM_BYTES, mode: 0o600 });
			await staged.discard();
		},
		write: async ({ account, spentHash, isSignIn }) => {
			const { id } = account;
			const text = JSON.stringify({ spentHash, account: textOf(account), isSignIn });
			const sealed = Buffer.from(sealing.seal(text, placeOf(id))).toString("base64");
			const file = { version: 1, pool: poolId, account: id, sealed };
			await writeAtomically(pathOf(id, spentHash), `${JSON.stringify(file)}\n`, 0o600);
		},
		read: async () => {
			const entries = await Promise.all((await names()).map((name) => readOne(join(folder, name))));
			return entries.filter((entry) => entry !== undefined);
		},
		drop: ({ account: { id }, spentHash }) => rm(pathOf(id, spentHash), { force: true }),
		count: async () => (await names()).length,
	};
}

function ignoreMissing(error: unknown): string[] {
	if (isMissing(error)) return [];
	throw error;
}
