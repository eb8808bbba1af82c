import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod/mini";
import { ACCOUNT_ID, type Account } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import { stageFile, writeAtomically } from "../files/atomic-file.ts";
import { isMissing } from "../files/errors.ts";
import { readText } from "../files/regular-file.ts";
import { parseJson } from "../json.ts";
import { accountIn, type Keys, textOf } from "./sealed-account.ts";

/** A token that came, and that the database may not have yet. */
export interface JournalEntry {
	/** The account with the new credential. */
	readonly account: Account;
	/** Of the refresh token that it came for. */
	readonly spentHash: string;
}

/** Tokens that came on this machine, each in a file of its own that is sealed with the key of a keeper. */
export interface Journal {
	/** Proves that an entry could be written, before a single-use token is spent. Throws the error of the file system. */
	prove(id: AccountId): Promise<void>;
	/** Writes an entry, durably. */
	write(entry: JournalEntry): Promise<void>;
	/** All entries of this machine. One that this key does not open is left as it is. */
	read(): Promise<JournalEntry[]>;
	drop(entry: JournalEntry): Promise<void>;
	/** How many there are, of any key. */
	count(): Promise<number>;
}

const NAME = /^codex-pool-[\w-]+\.journal$/;
/** More than the longest entry. */
const ROOM_BYTES = 32_768;
/** No row has this version: an entry cannot be taken for one. */
const NO_VERSION = 0;

const fileSchema = z.object({ pool: z.string(), account: z.string().check(z.regex(ACCOUNT_ID)), sealed: z.string() });
const entrySchema = z.object({ spentHash: z.string(), account: z.string() });

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
		return account && { account: { ...account, shared: true }, spentHash: entry.spentHash };
	};

	return {
		prove: async (id) => {
			const staged = await stageFile(pathOf(id, "proof"), { bytes: ROOM_BYTES, mode: 0o600 });
			await staged.discard();
		},
		write: async ({ account, spentHash }) => {
			const { id } = account;
			const text = JSON.stringify({ spentHash, account: textOf(account) });
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
