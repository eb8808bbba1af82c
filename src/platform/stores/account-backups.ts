import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Account, Credential } from "../../core/account.ts";
import { type AccountId, asAccountId } from "../../core/ids.ts";
import { writeAtomically } from "../files/atomic-file.ts";
import { isMissing } from "../files/errors.ts";
import { readText } from "../files/regular-file.ts";
import {
	type AccountsFile,
	bytesOf,
	fileFrom,
	type Row,
	rowSchema,
	toAccounts,
	toStored,
	wasIssuedAfter,
} from "./account-file.ts";

/** Why an account left the file: it was removed, or its sign-in gave way to a better one of the same account. */
type Leaving = "removed" | "merged";

/** A copy of an account that left, in a file beside the accounts file. */
interface AccountBackup {
	readonly path: string;
	readonly why: Leaving;
	/** When it was made, epoch ms. */
	readonly at: number;
	/** The account that it holds. */
	readonly id: AccountId;
}

/**
 * How many backups of each kind are kept. Each kind is counted separately: merging many accounts must not delete the
 * backup of an account that a person removed.
 */
const BACKUPS_KEPT: Readonly<Record<Leaving, number>> = { removed: 3, merged: 10 };

/** The part of the file name before the time. */
const MARKS: Readonly<Record<Leaving, string>> = { removed: "", merged: "merged-" };

/**
 * Writes `content`, account `id` of the file at `path`, into a backup file, and deletes the oldest backups. Resolves to
 * a function that replaces the content of the new backup, unless another process has put a newer token there. `now` is
 * epoch ms.
 */
export async function keepBackup(
	path: string,
	{ id, why }: { readonly id: AccountId; readonly why: Leaving },
	content: string,
	now: number,
): Promise<(content: string) => Promise<void>> {
	const ofThisKind = async () => (await backupsOf(path)).filter((backup) => backup.why === why);
	// If the clock was set back, the newest backup must not become the oldest.
	const latest = (await ofThisKind()).at(-1)?.at ?? 0;
	const kept = `${path}.bak-${MARKS[why]}${Math.max(now, latest + 1)}-${id}`;
	await writeAtomically(kept, content, 0o600);
	const all = await ofThisKind();
	const former = all.filter((backup) => backup.id === id && backup.path < kept);
	// Several processes may notice one logout, so a removed account is backed up once. An account may be merged several
	// times.
	const isSame = async (backup: AccountBackup) =>
		why === "removed" || (await readText(backup.path).catch(() => undefined)) === content;
	const same = await Promise.all(former.map(isSame));
	const older = former.filter((_, index) => same[index]);
	const rest = all.filter((backup) => !older.includes(backup) && backup.path !== kept);
	const surplus = rest.slice(0, Math.max(0, rest.length + 1 - BACKUPS_KEPT[why]));
	for (const old of [...older, ...surplus]) await rm(old.path, { force: true });
	return async (changed) => {
		if ((await readText(kept).catch(() => undefined)) === content) await writeAtomically(kept, changed, 0o600);
	};
}

/** Lists the backups beside the file at `path`, oldest of each kind first. */
async function backupsOf(path: string): Promise<AccountBackup[]> {
	const prefix = `${basename(path)}.bak-`;
	const names = await readdir(dirname(path)).catch(() => []);
	return names.sort().flatMap((name) => {
		const parts = name.startsWith(prefix) && /^(merged-)?(\d+)-([\w-]+)$/.exec(name.slice(prefix.length));
		const [, mark, at, id] = parts || [];
		const why = mark === undefined ? "removed" : "merged";
		return at && id ? [{ path: join(dirname(path), name), why, at: Number(at), id: asAccountId(id) }] : [];
	});
}

/** Lists the backups of removed accounts. Those of merged accounts are not worth restoring. */
export async function removedFrom(path: string): Promise<AccountBackup[]> {
	return (await backupsOf(path)).filter(({ why }) => why === "removed");
}

/** Returns the row in a backup; undefined if the backup is damaged or gone. */
export async function rowIn(backup: AccountBackup): Promise<Row | undefined> {
	return rowSchema.safeParse((await contentOf(backup)).accounts[0]).data;
}

/** Does the same as {@link rowIn}, and returns the account. */
export async function accountIn(backup: AccountBackup): Promise<Account | undefined> {
	return toAccounts(await contentOf(backup))[0];
}

async function contentOf({ path }: AccountBackup): Promise<AccountsFile> {
	const bytes = await readText(path).catch(() => "");
	return fileFrom(bytes);
}

/** Replaces a spent token in the backups of a removed account. Resolves to false if none has it. */
export async function renewBackups(
	path: string,
	id: AccountId,
	spentRefresh: string,
	next: Credential,
): Promise<boolean> {
	let isRenewed = false;
	for (const backup of (await removedFrom(path)).filter((each) => each.id === id)) {
		const row = await rowIn(backup);
		if (row?.credential.refresh !== spentRefresh) continue;
		const renewed = { ...row, credential: { ...row.credential, ...toStored(next) } };
		await writeAtomically(backup.path, bytesOf(renewed), 0o600);
		isRenewed = true;
	}
	return isRenewed;
}

/** True if a backup of this removed account has a later sign-in. */
export async function hasLaterBackup(path: string, { id, credential }: Account): Promise<boolean> {
	for (const backup of (await removedFrom(path)).filter((each) => each.id === id)) {
		const row = await rowIn(backup);
		if (row && wasIssuedAfter(row.credential.access, credential.access)) return true;
	}
	return false;
}

/** Deletes the backups of an account that have this refresh token. */
export async function dropBackups(path: string, id: AccountId, refresh: string): Promise<void> {
	for (const backup of (await backupsOf(path)).filter((each) => each.id === id)) {
		if ((await rowIn(backup))?.credential.refresh === refresh) await rm(backup.path, { force: true });
	}
}

/** Returns the path of the unchanged copy of a pi-multicodex 2.x file at `path`. */
export function migratedCopyOf(path: string): string {
	return `${path}.v1.bak`;
}

/** Deletes every backup beside the file at `path`, and the copy of its 2.x version. Resolves to how many there were. */
export async function removeBackupsOf(path: string): Promise<number> {
	const copies = [...(await backupsOf(path)).map((backup) => backup.path), migratedCopyOf(path)];
	let count = 0;
	for (const copy of copies) {
		try {
			await rm(copy);
			count += 1;
		} catch (error) {
			// Another process has deleted it, or it never existed.
			if (!isMissing(error)) throw error;
		}
	}
	return count;
}
