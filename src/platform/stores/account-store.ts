import { rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Account, type Credential, uniqueLabel } from "../../core/account.ts";
import { accountWith, allClaims, claimsOf, speakForOne } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import type { AccountPatch, AccountStore } from "../../core/ports.ts";
import { identityOf } from "../backend/jwt.ts";
import { stageFile, writeAtomically } from "../files/atomic-file.ts";
import { withLockUnlessBusy } from "../files/lock.ts";
import { realTarget } from "../files/real-path.ts";
import { readText } from "../files/regular-file.ts";
import { openSharedDocument } from "../files/shared-document.ts";
import { type AccountBackup, backupsOf, keepBackup, migratedCopyOf, removeBackupsOf } from "./account-backups.ts";
import {
	ACCOUNTS_VERSION,
	type AccountsFile,
	accountsFormat,
	bytesOf,
	claimsIn,
	defaultLabel,
	fileFrom,
	idOf,
	isLinkedElsewhere,
	type Row,
	rowSchema,
	toAccounts,
	toCredential,
	toRow,
	toStored,
	wasIssuedAfter,
} from "./account-file.ts";
import { isSameGrant, type Merged, unite } from "./account-merge.ts";
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

	const list = () => {
		const file = document.read();
		if (file !== listedFrom) {
			listed = toAccounts(file, agentDirectoryOf(path));
			listedFrom = file;
		}
		return listed;
	};
	const update = async (mutate: (draft: AccountsFile) => void): Promise<void> => {
		const durable = document.update(mutate);
		listedFrom = undefined;
		await durable;
	};
	/** Builds the list anew, also after a rollback. */
	const updateOrRollBack = async (mutate: (draft: AccountsFile) => void): Promise<void> => {
		const durable = document.updateOrRollBack(mutate);
		listedFrom = undefined;
		await durable.finally(() => {
			listedFrom = undefined;
		});
	};
	const patched =
		(
			id: AccountId,
			patch: AccountPatch,
			applies: ((newest: Credential) => boolean) | undefined,
			isExchanged: boolean,
		) =>
		(draft: AccountsFile) => {
			const row = rowWith(draft, id);
			const former = rowSchema.safeParse(row).data;
			if (typeof row !== "object" || row === null || !former) return;
			if (applies && !applies(toCredential(former))) return;
			const { credential, label, claims = [], ...plain } = patch;
			Object.assign(row, plain);
			if (patch.linked !== undefined) {
				Object.assign(row, { linkedTo: patch.linked ? agentDirectoryOf(path).login : undefined });
			}
			const ofToken = credential ? (identityOf(credential.access)?.claims ?? []) : [];
			if (credential || claims.length > 0) Object.assign(row, { claims: allClaims(claimsIn(former), claims, ofToken) });
			if (label !== undefined) Object.assign(row, { label: uniqueLabel(label, labelsBeside(draft, former.id)) });
			if ("needsLogin" in patch) Object.assign(row, { needsLogin: patch.needsLogin ?? null });
			if ("disabledReason" in patch) Object.assign(row, { disabledReason: patch.disabledReason ?? null });
			// A token that was exchanged for the stored one replaces it, even if the service's clock went back.
			const isNext = isExchanged || !wasIssuedAfter(former.credential.access, credential?.access ?? "");
			if (credential && isNext) {
				Object.assign(row, { credential: { ...former.credential, ...toStored(credential) } });
			}
		};
	/**
	 * Copies a row into a backup. Call the result with the row as it left the file, since it may have changed meanwhile.
	 */
	const keepCopy = async (id: AccountId): Promise<(row: unknown) => Promise<void>> => {
		const row = document.read().accounts.find((candidate) => idOf(candidate) === id);
		const replace = await keepBackup(path, { id, why: "removed" }, bytesOf(row), now());
		return async (changed) => {
			if (changed !== undefined && bytesOf(changed) !== bytesOf(row)) await replace(bytesOf(changed));
		};
	};

	/** Merges the rows that belong to the account `id`, and keeps copies of the sign-ins given up. */
	const mergeDoubles = async (id: AccountId): Promise<void> => {
		const one = accountWith(list(), id);
		const isDoubled = (other: Account) =>
			other.id !== one?.id && one !== undefined && (isSameGrant(other, one) || speakForOne(other, one));
		if (!list().some(isDoubled)) return;
		const foreseen = unite(structuredClone(document.read()), one?.id ?? id);
		if (foreseen.length === 0) return;
		const keepSpare = (spare: Row) => keepBackup(path, { id: spare.id, why: "merged" }, bytesOf(spare), now());
		for (const { spare } of foreseen) await keepSpare(spare);
		let done: readonly Merged[] = [];
		await update((draft) => {
			const merged = unite(draft, one?.id ?? id);
			if (merged.length > 0) done = merged;
		});
		// Another process may have stored a newer sign-in in between.
		const kept = new Set(foreseen.map(({ spare }) => bytesOf(spare)));
		for (const { spare } of done) {
			if (!kept.has(bytesOf(spare))) await keepSpare(spare);
		}
		for (const { into, former } of done) onMerged(into, former);
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
				update((draft) => {
					const at = draft.accounts.findIndex((row) => idOf(row) === account.id);
					const former = rowSchema.safeParse(draft.accounts[at]).data;
					const row = {
						...former,
						...toRow(account, agentDirectoryOf(path)),
						label: uniqueLabel(account.label, labelsBeside(draft, account.id)),
						credential: { ...former?.credential, ...toStored(account.credential) },
						claims: allClaims(
							former ? claimsIn(former) : [],
							claimsOf(account),
							identityOf(account.credential.access)?.claims ?? [],
						),
					};
					// Another process may have stored this account with a later token since the caller read it.
					const isLater = former && wasIssuedAfter(former.credential.access, account.credential.access);
					if (isLater && !former.needsLogin) return;
					if (at < 0) draft.accounts.push(row);
					else draft.accounts[at] = row;
				}),
				account.id,
			),
		patch: (id, patch, applies, isExchanged = false) => {
			const durable = update(patched(id, patch, applies, isExchanged));
			return patch.credential || patch.claims ? merging(durable, id) : durable;
		},
		edit: (id, patch) => updateOrRollBack(patched(id, patch, undefined, false)),
		remove: async (id) => {
			if (!list().some((account) => account.id === id)) return;
			const correct = await keepCopy(id);
			let removed: unknown;
			await updateOrRollBack((draft) => {
				removed = draft.accounts.find((row) => idOf(row) === id) ?? removed;
				draft.accounts = draft.accounts.filter((row) => idOf(row) !== id);
			});
			// Another process may have stored a newer token in between.
			await correct(removed);
		},
		drop: async (id, refresh) => {
			await updateOrRollBack((draft) => {
				const isMeant = (row: unknown) => rowSchema.safeParse(row).data?.credential.refresh === refresh;
				draft.accounts = draft.accounts.filter((row) => !(idOf(row) === id && isMeant(row)));
			});
			for (const backup of (await backupsOf(path)).filter((each) => each.id === id)) {
				if ((await rowIn(backup))?.credential.refresh === refresh) await rm(backup.path, { force: true });
			}
		},
		backUp: async (id) => {
			await keepCopy(id);
		},
		renewBackup: async (id, spentRefresh, next) => {
			let isRenewed = false;
			for (const backup of (await removedFrom(path)).filter((each) => each.id === id)) {
				const row = await rowIn(backup);
				if (row?.credential.refresh !== spentRefresh) continue;
				const renewed = { ...row, credential: { ...row.credential, ...toStored(next) } };
				await writeAtomically(backup.path, bytesOf(renewed), 0o600);
				isRenewed = true;
			}
			return isRenewed;
		},
		keepAside: async (account) => {
			for (const backup of (await removedFrom(path)).filter((each) => each.id === account.id)) {
				const row = await rowIn(backup);
				if (row && wasIssuedAfter(row.credential.access, account.credential.access)) return;
			}
			const content = bytesOf(toRow(account, agentDirectoryOf(path)));
			await keepBackup(path, { id: account.id, why: "removed" }, content, now());
		},
		lastRemoved: async (wanted) => {
			for (const backup of (await removedFrom(path)).reverse()) {
				if (wanted !== undefined && backup.id !== wanted) continue;
				if (accountWith(list(), backup.id)) continue;
				const [account] = toAccounts(await readBackup(backup.path));
				// The account may have come back by a sign-in, under another id.
				const isBack = account !== undefined && list().some((other) => speakForOne(other, account));
				if (account?.id === backup.id && !isBack) return account;
			}
			return undefined;
		},
		restore: async (id) => {
			const backup = (await removedFrom(path)).findLast((each) => each.id === id);
			const row = backup && (await rowIn(backup));
			if (!row) return;
			await updateOrRollBack((draft) => {
				if (draft.accounts.some((other) => idOf(other) === id)) return;
				const label = uniqueLabel(row.label ?? defaultLabel(row.email ?? undefined, id), labelsBeside(draft, id));
				// Our pi owned this login and lost it with the account, so it is ours now. Another pi has kept its own.
				const isOurs = !isLinkedElsewhere(row, agentDirectoryOf(path));
				const source = row.source === "pi" ? "login" : row.source;
				draft.accounts.push({ ...row, label, ...(isOurs && { linked: false, linkedTo: undefined, source }) });
			});
			// Another process may have put the next token into the backup in between.
			const renewed = await rowIn(backup);
			if (!renewed || renewed.credential.refresh === row.credential.refresh) return;
			const isFormer = ({ refresh }: Credential) => refresh === row.credential.refresh;
			await update(patched(id, { credential: toCredential(renewed) }, isFormer, true));
		},
		whileRefreshing: async (id, work) => {
			const folder = dirname(await realTarget(path));
			return withLockUnlessBusy(join(folder, `codex-refresh-${id}`), { waitMs: REFRESH_LOCK_WAIT_MS }, work);
		},
		assertWritable: async () => {
			const target = await realTarget(path);
			const { size } = await stat(target).catch(() => ({ size: 0 }));
			const staged = await stageFile(target, { bytes: size + SPARE_BYTES, mode: 0o600 });
			await staged.discard();
		},
		flush: () => document.flush(),
		removeBackups: () => removeBackupsOf(path),
	};
}

function labelsBeside(file: AccountsFile, id: AccountId): ReadonlySet<string> {
	return new Set(
		toAccounts(file)
			.filter((account) => account.id !== id)
			.map(({ label }) => label),
	);
}

/**
 * Returns the row of an account, or of the account that it was merged into: an exchange in progress stores its token
 * there.
 */
function rowWith(draft: AccountsFile, id: AccountId): unknown {
	const isFormer = (row: unknown) => rowSchema.safeParse(row).data?.formerIds?.includes(id) === true;
	return draft.accounts.find((row) => idOf(row) === id) ?? draft.accounts.find(isFormer);
}

/**
 * Decides about a row that two processes have changed: ours stays unless the other one holds a later sign-in. A token
 * exchanged for the stored one is later, whatever the issue times say.
 */
function laterSignIn(_key: string, mine: unknown, theirs: unknown, before: unknown): unknown {
	const [ours, stored, former] = [mine, theirs, before].map((row) => rowSchema.safeParse(row).data?.credential);
	if (!ours || !stored) return theirs;
	const isOurs = stored.refresh === ours.refresh || stored.refresh === former?.refresh;
	return isOurs || wasIssuedAfter(ours.access, stored.access) ? mine : theirs;
}

/** Lists the backups of removed accounts. Those of merged accounts are not worth restoring. */
async function removedFrom(path: string): Promise<AccountBackup[]> {
	return (await backupsOf(path)).filter(({ why }) => why === "removed");
}

async function rowIn({ path }: AccountBackup): Promise<Row | undefined> {
	return rowSchema.safeParse((await readBackup(path)).accounts[0]).data;
}

async function readBackup(path: string): Promise<AccountsFile> {
	const bytes = await readText(path).catch(() => "");
	return fileFrom(bytes);
}
