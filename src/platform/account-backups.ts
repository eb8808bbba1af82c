import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { AccountId } from "../core/ids.ts";
import { writeAtomically } from "./atomic-file.ts";
import { isMissing } from "./errors.ts";
import { readText } from "./regular-file.ts";

/** Why an account left the file: it was taken out, or its sign-in was given up for a better one of the same account. */
export type Leaving = "removed" | "merged";

/** A copy of one account that left, beside the file that it was in. */
export interface AccountBackup {
	readonly path: string;
	readonly why: Leaving;
	/** When it was made, epoch ms. */
	readonly at: number;
	/** Which account it holds: that one, and no other. */
	readonly id: AccountId;
}

/**
 * How many of each are kept. They are counted apart: a pool whose accounts are merged one after the other must not push
 * out what a person has removed.
 */
const BACKUPS_KEPT: Readonly<Record<Leaving, number>> = { removed: 3, merged: 10 };

/** What stands before the time in a file's name. */
const MARKS: Readonly<Record<Leaving, string>> = { removed: "", merged: "merged-" };

/**
 * Keeps `content`, which is account `id` of the file at `path`, in a file of its own, and the last few of these. The
 * result puts other content into that file. `now` is epoch ms.
 */
export async function keepBackup(
	path: string,
	{ id, why }: { readonly id: AccountId; readonly why: Leaving },
	content: string,
	now: number,
): Promise<(content: string) => Promise<void>> {
	const ofThisKind = async () => (await backupsOf(path)).filter((backup) => backup.why === why);
	// A clock that was set back must not make the newest the oldest.
	const latest = (await ofThisKind()).at(-1)?.at ?? 0;
	const kept = `${path}.bak-${MARKS[why]}${Math.max(now, latest + 1)}-${id}`;
	await writeAtomically(kept, content, 0o600);
	const all = await ofThisKind();
	const former = all.filter((backup) => backup.id === id && backup.path < kept);
	// Many processes may notice one logout: each account is kept once. Sign-ins that were given up for others are several.
	const isSame = async (backup: AccountBackup) =>
		why === "removed" || (await readText(backup.path).catch(() => undefined)) === content;
	const same = await Promise.all(former.map(isSame));
	const older = former.filter((_, index) => same[index]);
	const rest = all.filter((backup) => !older.includes(backup) && backup.path !== kept);
	const surplus = rest.slice(0, Math.max(0, rest.length + 1 - BACKUPS_KEPT[why]));
	for (const old of [...older, ...surplus]) await rm(old.path, { force: true });
	return async (changed) => {
		await writeAtomically(kept, changed, 0o600);
	};
}

/** The backups beside the file at `path`, of each kind the oldest first. */
export async function backupsOf(path: string): Promise<AccountBackup[]> {
	const prefix = `${basename(path)}.bak-`;
	const names = await readdir(dirname(path)).catch(() => []);
	return names.sort().flatMap((name) => {
		const told = name.startsWith(prefix) && /^(merged-)?(\d+)-([\w-]+)$/.exec(name.slice(prefix.length));
		const [, mark, at, id] = told || [];
		const why = mark === undefined ? "removed" : "merged";
		return at && id ? [{ path: join(dirname(path), name), why, at: Number(at), id }] : [];
	});
}

/** Where the file of pi-multicodex 2.x at `path` is kept as it was. */
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
			// Another process has deleted it, or there never was one.
			if (!isMissing(error)) throw error;
		}
	}
	return count;
}
