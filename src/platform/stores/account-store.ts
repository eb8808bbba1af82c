import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Account, Credential } from "../../core/account.ts";
import { accountWith, allClaims, speakForOne } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import type { AccountStore } from "../../core/ports.ts";
import { stageFile, writeAtomically } from "../files/atomic-file.ts";
import { carryOver } from "../files/carry-over.ts";
import { withLockUnlessBusy } from "../files/lock.ts";
import { realTarget } from "../files/real-path.ts";
import { openSharedDocument } from "../files/shared-document.ts";
import {
	accountIn,
	dropBackups,
	hasLaterBackup,
	keepBackup,
	migratedCopyOf,
	removeBackupsOf,
	removedFrom,
	renewBackups,
	rowIn,
} from "./account-backups.ts";
import { dropRow, patchRow, putRow, removeRow, restoreRow, rowOf } from "./account-changes.ts";
import {
	ACCOUNTS_VERSION,
	type AccountsFile,
	accountsFormat,
	bytesOf,
	claimsIn,
	type Row,
	rowSchema,
	toAccounts,
	toCredential,
	toRow,
	wasIssuedAfter,
} from "./account-file.ts";
import { uniteDoubles } from "./account-merge.ts";
import { agentDirectoryOf } from "./agent-directory.ts";

/** The same as for pi's own lock. Do not wait longer for a live holder, since another account can serve. */
const REFRESH_LOCK_WAIT_MS = 3000;

/** Reserved beyond the present size when proving that the file can be written, for a longer token. */
const SPARE_BYTES = 8192;

/** The accounts file, with what is done to it for this machine alone. */
export interface LocalAccountStore extends AccountStore {
	/** Deletes the backups. Resolves to how many there were. */
	removeBackups(): Promise<number>;
	/**
	 * Removes an account whose refresh token is now stored elsewhere. Writes no backup, and deletes any backup with this
	 * token: it would be a second place to spend it from. Leaves an account with another token alone. Rejects if the
	 * removal is not durable.
	 */
	drop(id: AccountId, refresh: string): Promise<void>;
}

/**
 * Opens `codex-accounts.json` at `path`. `onProblem` is called once for each broken, newer or unwritable file,
 * `onMerged` when an account was merged into another one, and `onFailure` with an error that kept accounts from being
 * merged. A program that only reads passes another `open`.
 */
export function openAccountStore(
	path: string,
	onProblem: (text: string) => void,
	now: () => number,
	onMerged: (into: AccountId, former: AccountId) => void = () => undefined,
	onFailure: (error: unknown) => void = () => undefined,
	open: typeof openSharedDocument = openSharedDocument,
): LocalAccountStore {
	const document = open({
		path,
		...accountsFormat(now),
		empty: (): AccountsFile => ({ version: ACCOUNTS_VERSION, accounts: [] }),
		beforeMigration: async (bytes) => {
			await writeAtomically(migratedCopyOf(path), bytes, 0o600);
		},
		conflicts: { resolve: laterSignIn },
		onProblem: (problem) => onProblem(problem.text),
	});
	let listedFrom: AccountsFile | undefined;
	let listed: readonly Account[] = [];
	const directory = () => agentDirectoryOf(path);

	const list = () => {
		const file = document.read();
		if (file !== listedFrom) {
			listed = toAccounts(file, directory());
			listedFrom = file;
		}
		return listed;
	};
	const update = async (mutate: (draft: AccountsFile) => void): Promise<void> => {
		const durable = document.update(mutate);
		listedFrom = undefined;
		await durable;
	};
	/** Rebuilds the list, also after a rollback. */
	const updateOrRollBack = async (mutate: (draft: AccountsFile) => void): Promise<void> => {
		const durable = document.updateOrRollBack(mutate);
		listedFrom = undefined;
		await durable.finally(() => {
			listedFrom = undefined;
		});
	};
	/**
	 * Copies a row into a backup. Call the result with the row as it left the file, since it may have changed meanwhile.
	 */
	const keepCopy = async (id: AccountId): Promise<(row: unknown) => Promise<void>> => {
		const row = rowOf(document.read(), id);
		const replace = await keepBackup(path, { id, why: "removed" }, bytesOf(row), now());
		return async (changed) => {
			if (changed !== undefined && bytesOf(changed) !== bytesOf(row)) await replace(bytesOf(changed));
		};
	};

	/** Merges the rows that belong to the account `id`, and keeps copies of the sign-ins given up. */
	const mergeDoubles = async (id: AccountId): Promise<void> => {
		const keepSpare = (spare: Row) => keepBackup(path, { id: spare.id, why: "merged" }, bytesOf(spare), now());
		const merged = await uniteDoubles({ list, read: document.read, update }, id, keepSpare);
		for (const { into, former } of merged) onMerged(into, former);
	};
	/** The change is stored by now. If the merge fails, the next sign-in finds it again. */
	const merging = async (durable: Promise<void>, id: AccountId): Promise<void> => {
		await durable;
		await mergeDoubles(id).catch(onFailure);
	};

	return {
		list,
		put: (account) =>
			merging(
				update((draft) => putRow(draft, account, directory)),
				account.id,
			),
		patch: (id, patch, applies, isExchanged = false) => {
			const durable = update((draft) => patchRow(draft, id, patch, directory, { applies, isExchanged }));
			return patch.credential || patch.claims ? merging(durable, id) : durable;
		},
		edit: (id, patch) => updateOrRollBack((draft) => patchRow(draft, id, patch, directory)),
		remove: async (id) => {
			if (!list().some((account) => account.id === id)) return;
			const correct = await keepCopy(id);
			let removed: unknown;
			await updateOrRollBack((draft) => {
				removed = removeRow(draft, id) ?? removed;
			});
			// Another process may have stored a newer token in between.
			await correct(removed);
		},
		drop: async (id, refresh) => {
			await updateOrRollBack((draft) => dropRow(draft, id, refresh));
			await dropBackups(path, id, refresh);
		},
		backUp: async (id) => {
			await keepCopy(id);
		},
		renewBackup: (id, spentRefresh, next) => renewBackups(path, id, spentRefresh, next),
		keepAside: async (account) => {
			if (await hasLaterBackup(path, account)) return;
			const content = bytesOf(toRow(account, directory()));
			await keepBackup(path, { id: account.id, why: "removed" }, content, now());
		},
		lastRemoved: (wanted) => lastRemoved(path, wanted, list),
		restore: async (id) => {
			const backup = (await removedFrom(path)).findLast((each) => each.id === id);
			const row = backup && (await rowIn(backup));
			if (!row) return;
			await updateOrRollBack((draft) => restoreRow(draft, id, row, directory));
			// Another process may have put the next token into the backup in between.
			const renewed = await rowIn(backup);
			if (!renewed || renewed.credential.refresh === row.credential.refresh) return;
			const isFormer = ({ refresh }: Credential) => refresh === row.credential.refresh;
			const terms = { applies: isFormer, isExchanged: true };
			await update((draft) => patchRow(draft, id, { credential: toCredential(renewed) }, directory, terms));
		},
		whileRefreshing: async (id, work) => {
			const folder = dirname(await realTarget(path));
			return withLockUnlessBusy(join(folder, `codex-refresh-${id}`), { waitMs: REFRESH_LOCK_WAIT_MS }, work);
		},
		assertWritable: () => proveWritable(path),
		flush: () => document.flush(),
		removeBackups: () => removeBackupsOf(path),
	};
}

/** Returns the account that was removed last, or the account `wanted`, unless it is back. */
async function lastRemoved(
	path: string,
	wanted: AccountId | undefined,
	list: () => readonly Account[],
): Promise<Account | undefined> {
	for (const backup of (await removedFrom(path)).reverse()) {
		if (wanted !== undefined && backup.id !== wanted) continue;
		if (accountWith(list(), backup.id)) continue;
		const account = await accountIn(backup);
		// The account may have come back by a sign-in, under another id.
		const isBack = account !== undefined && list().some((other) => speakForOne(other, account));
		if (account?.id === backup.id && !isBack) return account;
	}
	return undefined;
}

/** Rejects if the file cannot be written, or has no room for a longer token. Changes nothing. */
async function proveWritable(path: string): Promise<void> {
	const target = await realTarget(path);
	const { size } = await stat(target).catch(() => ({ size: 0 }));
	const staged = await stageFile(target, { bytes: size + SPARE_BYTES, mode: 0o600 });
	await staged.discard();
}

/**
 * Decides about a row that two processes have changed: what we have changed in it stays, unless the other one holds a
 * later sign-in. A token exchanged for the stored one is later, whatever the issue times say.
 */
function laterSignIn(_key: string, mine: unknown, theirs: unknown, before: unknown): unknown {
	const [ours, stored, former] = [mine, theirs, before].map((row) => rowSchema.safeParse(row).data);
	if (!ours || !stored) return theirs;
	const { access, refresh } = stored.credential;
	const isOurs = refresh === ours.credential.refresh || refresh === former?.credential.refresh;
	if (!isOurs && !wasIssuedAfter(ours.credential.access, access)) return theirs;
	const row = structuredClone(stored);
	carryOver(former ?? {}, ours, row, { resolve: (_member, own) => own });
	const { credential, needsLogin } = ours;
	const isReplaced = credential.refresh !== refresh;
	const claims = allClaims(claimsIn(stored), claimsIn(ours));
	return { ...row, credential, claims, ...(isReplaced && { needsLogin }) };
}
