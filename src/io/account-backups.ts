import { readdir, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeAtomically } from "./atomic-file.ts";
import { isMissing } from "./errors.ts";

/** A copy of one account that was taken out, beside the file that it was in. */
export interface AccountBackup {
	readonly path: string;
	/** When it was made, epoch ms. */
	readonly at: number;
	/** Which account it holds: that one, and no other. */
	readonly removed: string;
}

const BACKUPS_KEPT = 3;

/**
 * Keeps `content`, which is account `id` of the file at `path`, in a file of its own, and the last three of these. The
 * result puts other content into that file. `now` is epoch ms.
 */
export async function keepBackup(
	path: string,
	id: string,
	content: string,
	now: number,
): Promise<(content: string) => Promise<void>> {
	// A clock that was set back must not make the newest the oldest.
	const latest = (await backupsOf(path)).at(-1)?.at ?? 0;
	const kept = `${path}.bak-${Math.max(now, latest + 1)}-${id}`;
	await writeAtomically(kept, content, 0o600);
	const all = await backupsOf(path);
	// Many processes may notice one logout: each account is kept once.
	const older = all.filter((backup) => backup.removed === id && backup.path < kept);
	const rest = all.filter((backup) => !older.includes(backup) && backup.path !== kept);
	const surplus = rest.slice(0, Math.max(0, rest.length + 1 - BACKUPS_KEPT));
	for (const old of [...older, ...surplus]) await rm(old.path, { force: true });
	return async (changed) => {
		await writeAtomically(kept, changed, 0o600);
	};
}

/** The backups beside the file at `path`, oldest first. */
export async function backupsOf(path: string): Promise<AccountBackup[]> {
	const prefix = `${basename(path)}.bak-`;
	const names = await readdir(dirname(path)).catch(() => []);
	return names.sort().flatMap((name) => {
		const [, at, removed] = (name.startsWith(prefix) && /^(\d+)-([\w-]+)$/.exec(name.slice(prefix.length))) || [];
		return at && removed ? [{ path: join(dirname(path), name), at: Number(at), removed }] : [];
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
