import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import {
	ACCOUNT_ID,
	type Account,
	type Credential,
	createUniqueLabels,
	labelProblem,
	type NeedsLogin,
	NO_WORKSPACE,
	printable,
	uniqueLabel,
} from "../core/account.ts";
import { accountWith, allClaims, claimsOf, type Speaker, speakForOne, type UserClaim } from "../core/identity.ts";
import type { AccountId, WorkspaceId } from "../core/ids.ts";
import type { AccountPatch, AccountStore } from "../core/ports.ts";
import { type AccountBackup, backupsOf, keepBackup, migratedCopyOf, removeBackupsOf } from "./account-backups.ts";
import { stageFile, writeAtomically } from "./atomic-file.ts";
import { parseJson } from "./json.ts";
import { identityOf, tokenSchema, tokenTimes, workspaceIdSchema } from "./jwt.ts";
import { withLock } from "./lock.ts";
import { readText } from "./regular-file.ts";
import { type DocumentFormat, openSharedDocument, readDocument, realTarget, versionOf } from "./shared-document.ts";

/** Version of `codex-accounts.json` that is written here. */
const ACCOUNTS_VERSION = 2;

/** As for pi's own lock: a live holder is not worth a longer wait, another account serves. */
const REFRESH_LOCK_WAIT_MS = 3000;

/** Room proven beyond the present size, for a longer token. */
const SPARE_BYTES = 8192;

/** The token itself carries its expiry, too. Without either expiry it is renewed before use. */
const credentialSchema = z
	.looseObject({ access: tokenSchema, refresh: tokenSchema, expires: z.number().optional().catch(undefined) })
	.transform((read) => ({ ...read, expires: read.expires ?? tokenTimes(read.access).expiresAt ?? 0 }));
const optionalText = z.string().nullish().catch(undefined);

const rowSchema = z.preprocess(
	withWorkspace,
	z.looseObject({
		// Part of file names: of locks and backups.
		id: z.string().regex(ACCOUNT_ID),
		accountId: workspaceIdSchema,
		credential: credentialSchema,
		label: optionalText,
		email: optionalText,
		userId: optionalText,
		plan: optionalText,
		claims: z.array(z.string()).optional().catch(undefined),
		formerIds: z.array(z.string().regex(ACCOUNT_ID)).optional().catch(undefined),
		source: z.string().catch("login"),
		linked: z.boolean().catch(false),
		enabled: z.boolean().catch(true),
		disabledReason: optionalText,
		needsLogin: z.object({ reason: z.string(), at: z.number() }).nullish().catch(undefined),
		addedAt: z.number().catch(0),
	}),
);

type Row = z.output<typeof rowSchema>;

const tokenRowSchema = z.looseObject({
	accountId: workspaceIdSchema.optional().catch(undefined),
	credential: z.looseObject({ access: tokenSchema }),
});

/** A row whose workspace is missing or damaged has it from its token. */
function withWorkspace(row: unknown): unknown {
	const { data } = tokenRowSchema.safeParse(row);
	if (!data || data.accountId !== undefined) return row;
	const told = identityOf(data.credential.access)?.workspaceId;
	return told === undefined ? row : { ...data, accountId: told };
}

/** Rows stay raw here, so that one that this version cannot read survives every write. */
const fileSchema = z.looseObject({
	// A newer one does not get here, nor does what an older version wrote.
	version: z.literal(ACCOUNTS_VERSION).catch(ACCOUNTS_VERSION),
	accounts: z.array(z.unknown()),
});
type AccountsFile = z.output<typeof fileSchema>;

const versionOneSchema = z.object({ accounts: z.array(z.unknown()) });
const versionOneRowSchema = z.object({
	email: optionalText,
	accessToken: tokenSchema,
	refreshToken: tokenSchema,
	expiresAt: z.number().catch(0),
	accountId: optionalText,
	needsReauth: z.boolean().nullish().catch(undefined),
});

/** How `codex-accounts.json` is read. */
function accountsFormat(now: () => number): DocumentFormat<typeof fileSchema> {
	return { schema: fileSchema, version: ACCOUNTS_VERSION, migrate: (raw) => migrate(raw, now()) };
}

/** What the bytes of a `codex-accounts.json` hold, without anything being done about it. `now` is epoch ms. */
export function accountsIn(
	bytes: string,
	now: number,
): {
	readonly content: "good" | "older" | "newer" | "broken";
	readonly accounts: readonly Account[];
	/** Rows that cannot be read. */
	readonly strangeRows: number;
} {
	const reading = readDocument(
		bytes,
		accountsFormat(() => now),
	);
	if (reading.kind !== "ok") {
		return { content: reading.kind === "newer" ? "newer" : "broken", accounts: [], strangeRows: 0 };
	}
	const { value, migrated } = reading;
	const strangeRows = value.accounts.filter((row) => !rowSchema.safeParse(row).success).length;
	return { content: migrated ? "older" : "good", accounts: toAccounts(value), strangeRows };
}

/**
 * Opens `codex-accounts.json` at `path`. `onProblem` hears of broken, newer and unwritable files, once each; `onMerged` of
 * an account that was merged into another one; `onFailure` of an error that kept accounts from being merged.
 */
export function openAccountStore(
	path: string,
	onProblem: (text: string) => void,
	now: () => number,
	onMerged: (into: AccountId, former: AccountId) => void = () => undefined,
	onFailure: (error: unknown) => void = () => undefined,
): AccountStore & { removeBackups(): Promise<number> } {
	const document = openSharedDocument({
		path,
		...accountsFormat(now),
		empty: (): AccountsFile => ({ version: ACCOUNTS_VERSION, accounts: [] }),
		beforeMigration: async (bytes) => {
			await writeAtomically(migratedCopyOf(path), bytes, 0o600);
		},
		resolve: laterSignIn,
		onProblem: (problem) => onProblem(problem.text),
	});
	let listedFrom: AccountsFile | undefined;
	let listed: readonly Account[] = [];

	const list = () => {
		const file = document.read();
		if (file !== listedFrom) {
			listed = toAccounts(file);
			listedFrom = file;
		}
		return listed;
	};
	const change = async (mutate: (draft: AccountsFile) => void): Promise<void> => {
		const durable = document.update(mutate);
		listedFrom = undefined;
		await durable;
	};
	/** A list that has forgotten what could not be written is made anew, too. */
	const changeOrForget = async (mutate: (draft: AccountsFile) => void): Promise<void> => {
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
			const told = credential ? (identityOf(credential.access)?.claims ?? []) : [];
			if (credential || claims.length > 0) Object.assign(row, { claims: allClaims(claimsIn(former), claims, told) });
			if (label !== undefined) Object.assign(row, { label: uniqueLabel(label, labelsBeside(draft, former.id)) });
			if ("needsLogin" in patch) Object.assign(row, { needsLogin: patch.needsLogin ?? null });
			if ("disabledReason" in patch) Object.assign(row, { disabledReason: patch.disabledReason ?? null });
			// What came for the sign-in that is stored replaces it, whatever time its service believes it is.
			const isNext = isExchanged || !wasIssuedAfter(former.credential.access, credential?.access ?? "");
			if (credential && isNext) {
				Object.assign(row, { credential: { ...former.credential, ...toStored(credential) } });
			}
		};
	/** The result corrects the copy, where the row turns out to have changed. */
	const keepCopy = async (id: AccountId): Promise<(row: unknown) => Promise<void>> => {
		const row = document.read().accounts.find((candidate) => idOf(candidate) === id);
		const replace = await keepBackup(path, { id, why: "removed" }, bytesOf(row), now());
		return async (changed) => {
			if (changed !== undefined && bytesOf(changed) !== bytesOf(row)) await replace(bytesOf(changed));
		};
	};

	/** Merges what speaks for the account `id` as well, with copies of the sign-ins that are given up. */
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
		await change((draft) => {
			const merged = unite(draft, one?.id ?? id);
			if (merged.length > 0) done = merged;
		});
		// Another process may have stored a newer sign-in between the two.
		const kept = new Set(foreseen.map(({ spare }) => bytesOf(spare)));
		for (const { spare } of done) {
			if (!kept.has(bytesOf(spare))) await keepSpare(spare);
		}
		for (const { into, former } of done) onMerged(into, former);
	};
	/** What was asked for is stored; a merge that could not be is found again by the next sign-in. */
	const merging = async (durable: Promise<void>, id: AccountId): Promise<void> => {
		await durable;
		await mergeDoubles(id).catch(onFailure);
	};

	return {
		list,
		put: (account) =>
			merging(
				change((draft) => {
					const at = draft.accounts.findIndex((row) => idOf(row) === account.id);
					const former = rowSchema.safeParse(draft.accounts[at]).data;
					const row = {
						...former,
						...toRow(account),
						label: uniqueLabel(account.label, labelsBeside(draft, account.id)),
						credential: { ...former?.credential, ...toStored(account.credential) },
						claims: allClaims(
							former ? claimsIn(former) : [],
							claimsOf(account),
							identityOf(account.credential.access)?.claims ?? [],
						),
					};
					// Another process may have stored this account, with a later token, since the caller looked.
					const isLater = former && wasIssuedAfter(former.credential.access, account.credential.access);
					if (isLater && !former.needsLogin) return;
					if (at < 0) draft.accounts.push(row);
					else draft.accounts[at] = row;
				}),
				account.id,
			),
		patch: (id, patch, applies, isExchanged = false) => {
			const durable = change(patched(id, patch, applies, isExchanged));
			return patch.credential || patch.claims ? merging(durable, id) : durable;
		},
		edit: (id, patch) => changeOrForget(patched(id, patch, undefined, false)),
		remove: async (id) => {
			if (!list().some((account) => account.id === id)) return;
			const correct = await keepCopy(id);
			let removed: unknown;
			await changeOrForget((draft) => {
				removed = draft.accounts.find((row) => idOf(row) === id) ?? removed;
				draft.accounts = draft.accounts.filter((row) => idOf(row) !== id);
			});
			// Another process may have stored a newer token between the two.
			await correct(removed);
		},
		backUp: async (id) => {
			await keepCopy(id);
		},
		renewBackup: async (id, spentRefresh, next) => {
			for (const backup of (await removedFrom(path)).filter((each) => each.id === id)) {
				const row = rowSchema.safeParse((await readBackup(backup.path)).accounts[0]).data;
				if (row?.credential.refresh !== spentRefresh) continue;
				const renewed = { ...row, credential: { ...row.credential, ...toStored(next) } };
				await writeAtomically(backup.path, bytesOf(renewed), 0o600);
			}
		},
		lastRemoved: async () => {
			for (const backup of (await removedFrom(path)).reverse()) {
				if (accountWith(list(), backup.id)) continue;
				const [account] = toAccounts(await readBackup(backup.path));
				// It may have come back by a sign-in that gave it another id.
				const isBack = account !== undefined && list().some((other) => speakForOne(other, account));
				if (account?.id === backup.id && !isBack) return account;
			}
			return undefined;
		},
		restore: async (id) => {
			const backup = (await removedFrom(path)).findLast((each) => each.id === id);
			const [raw] = backup ? (await readBackup(backup.path)).accounts : [];
			const row = rowSchema.safeParse(raw).data;
			if (!row) return;
			await changeOrForget((draft) => {
				if (draft.accounts.some((other) => idOf(other) === id)) return;
				const label = uniqueLabel(row.label ?? defaultLabel(row.email ?? undefined, id), labelsBeside(draft, id));
				// What pi owned when it left is nobody's but ours now.
				draft.accounts.push({ ...row, label, linked: false, source: row.source === "pi" ? "login" : row.source });
			});
		},
		whileRefreshing: async (id, work) => {
			const folder = dirname(await realTarget(path));
			return withLock(join(folder, `codex-refresh-${id}`), { waitMs: REFRESH_LOCK_WAIT_MS }, work);
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

/** The row of an account, or of the one into which it was merged: an exchange that was under way stores its token there. */
function rowWith(draft: AccountsFile, id: AccountId): unknown {
	const isFormer = (row: unknown) => rowSchema.safeParse(row).data?.formerIds?.includes(id) === true;
	return draft.accounts.find((row) => idOf(row) === id) ?? draft.accounts.find(isFormer);
}

/** Of a row that two processes have changed: one with another sign-in than ours began with is not ours to change. */
function laterSignIn(_key: string, mine: unknown, theirs: unknown): unknown {
	const [ours, stored] = [rowSchema.safeParse(mine).data, rowSchema.safeParse(theirs).data];
	if (!ours || !stored) return theirs;
	const isOurs = ours.credential.refresh === stored.credential.refresh;
	return isOurs || wasIssuedAfter(ours.credential.access, stored.credential.access) ? mine : theirs;
}

function idOf(row: unknown): unknown {
	return typeof row === "object" && row !== null && "id" in row ? row.id : undefined;
}

/** An account that was merged into another one. */
interface Merged {
	readonly into: AccountId;
	readonly former: AccountId;
	/** The row whose sign-in was given up, as it was. */
	readonly spare: Row;
}

/**
 * Merges every row that speaks for the account `id`, or holds its very sign-in, into the oldest of them: that one's id,
 * name and switch stay, with the newest sign-in that works.
 */
function unite(draft: AccountsFile, id: AccountId): Merged[] {
	const merged: Merged[] = [];
	let wanted = id;
	for (;;) {
		const rows = draft.accounts.flatMap((raw) => rowSchema.safeParse(raw).data ?? []);
		const one = rows.find((row) => row.id === wanted);
		const other = one && rows.find((row) => row.id !== wanted && isOneWith(row, one));
		if (!one || !other) return merged;
		const isOlder =
			one.addedAt === other.addedAt ? rows.indexOf(one) < rows.indexOf(other) : one.addedAt < other.addedAt;
		const [older, newer] = isOlder ? [one, other] : [other, one];
		const best = isBetter(newer, older) ? newer : older;
		const spare = best === newer ? older : newer;
		const united: Row = {
			...newer,
			...older,
			email: best.email ?? spare.email,
			userId: best.userId ?? spare.userId,
			plan: best.plan ?? spare.plan,
			claims: allClaims(claimsIn(older), claimsIn(newer)),
			formerIds: [...new Set([...(older.formerIds ?? []), newer.id, ...(newer.formerIds ?? [])])],
			credential: best.credential,
			// pi's own login stays one that came from pi or elsewhere, as the older account did.
			source: best.linked ? older.source : best.source,
			linked: best.linked || (isSameGrant(grantIn(best), grantIn(spare)) && spare.linked),
			needsLogin: best.needsLogin,
		};
		draft.accounts = draft.accounts.flatMap((raw) => {
			if (idOf(raw) === older.id) return [united];
			return idOf(raw) === newer.id ? [] : [raw];
		});
		merged.push({ into: older.id, former: newer.id, spare });
		wanted = older.id;
	}
}

function isOneWith(a: Row, b: Row): boolean {
	return isSameGrant(grantIn(a), grantIn(b)) || speakForOne(speakerOf(a), speakerOf(b));
}

interface Granted {
	readonly workspaceId: WorkspaceId;
	readonly credential: { readonly refresh: string };
}

function grantIn({ accountId, credential }: Row): Granted {
	return { workspaceId: accountId, credential };
}

function isSameGrant(a: Granted, b: Granted): boolean {
	return a.workspaceId === b.workspaceId && a.credential.refresh === b.credential.refresh;
}

/** A sign-in that works is better than one that does not; of two alike the one that was issued later. */
function isBetter(a: Row, b: Row): boolean {
	const [aWorks, bWorks] = [a, b].map((row) => !row.needsLogin && identityOf(row.credential.access) !== undefined);
	if (aWorks !== bWorks) return aWorks === true;
	return wasIssuedAfter(a.credential.access, b.credential.access);
}

/** The user claims of a row: those that were kept, and those of its token. */
function claimsIn(row: Row): UserClaim[] {
	const told = identityOf(row.credential.access, row.accountId)?.claims ?? [];
	if (row.claims) return allClaims(row.claims, told);
	// Older versions kept one of them, and did not say which.
	const isTold = told.some((claim) => claim.endsWith(`=${row.userId}`));
	const kept = { workspaceId: row.accountId, email: undefined, userId: isTold ? undefined : (row.userId ?? undefined) };
	return allClaims(told, claimsOf({ ...kept, claims: undefined, id: row.id }));
}

function speakerOf(row: Row): Speaker {
	const email = row.email ?? identityOf(row.credential.access, row.accountId)?.email;
	return { workspaceId: row.accountId, userId: row.userId ?? undefined, email, claims: claimsIn(row) };
}

function wasIssuedAfter(stored: string, offered: string): boolean {
	const storedAt = tokenTimes(stored).issuedAt;
	const offeredAt = tokenTimes(offered).issuedAt;
	return storedAt !== undefined && offeredAt !== undefined && storedAt > offeredAt;
}

function toAccounts(file: AccountsFile): Account[] {
	const labelFor = createUniqueLabels();
	const accounts = new Map<string, Account>();
	for (const raw of file.accounts) {
		const { data: row } = rowSchema.safeParse(raw);
		if (row && !accounts.has(row.id)) accounts.set(row.id, toAccount(row, labelFor));
	}
	return [...accounts.values()];
}

function toAccount(row: Row, labelFor: (wanted: string) => string): Account {
	const told = identityOf(row.credential.access, row.accountId);
	const email = row.email ? printable(row.email) : told?.email;
	return {
		id: row.id,
		workspaceId: row.accountId,
		label: labelFor(printable(row.label ?? defaultLabel(email, row.id))),
		email,
		userId: row.userId ?? told?.userId,
		plan: row.plan ? printable(row.plan) : told?.plan,
		claims: claimsIn(row),
		formerIds: row.formerIds,
		credential: toCredential(row),
		source: row.source,
		linked: row.linked,
		enabled: row.enabled,
		disabledReason: row.disabledReason ? printable(row.disabledReason) : undefined,
		needsLogin: needsLoginOf(row),
		addedAt: row.addedAt,
	};
}

/**
 * Why a row cannot be used. A token without a workspace, which older versions took in by what was stored beside it, lets
 * pi fail before anything is sent: such an account would be chosen, and fail, for ever.
 */
function needsLoginOf({ needsLogin, credential, addedAt }: Row): NeedsLogin | undefined {
	if (needsLogin) return { ...needsLogin, reason: printable(needsLogin.reason) };
	return identityOf(credential.access) ? undefined : { reason: NO_WORKSPACE, at: addedAt };
}

/** The label of an account that nobody named: the e-mail's local part, else its id. */
export function defaultLabel(email: string | undefined, id: AccountId): string {
	const wanted = email?.split("@")[0] ?? "";
	return labelProblem(wanted) ? id : wanted;
}

function toRow(account: Account): Row {
	return {
		id: account.id,
		label: account.label,
		email: account.email ?? null,
		userId: account.userId ?? null,
		accountId: account.workspaceId,
		plan: account.plan ?? null,
		claims: [...(account.claims ?? [])],
		...(account.formerIds && account.formerIds.length > 0 ? { formerIds: [...account.formerIds] } : {}),
		credential: toStored(account.credential),
		source: account.source,
		linked: account.linked,
		enabled: account.enabled,
		disabledReason: account.disabledReason ?? null,
		// A token without a workspace is seen in the token itself, as long as it is there.
		needsLogin: account.needsLogin?.reason === NO_WORKSPACE ? null : (account.needsLogin ?? null),
		addedAt: account.addedAt,
	};
}

function toCredential({ credential }: Row): Credential {
	const { access, refresh, expires } = credential;
	return { access, refresh, expiresAt: expires > 0 ? expires : (tokenTimes(access).expiresAt ?? 0) };
}

function toStored(credential: Credential): { access: string; refresh: string; expires: number } {
	return { access: credential.access, refresh: credential.refresh, expires: credential.expiresAt };
}

/** Today's shape of whatever was read. The file that pi-multicodex 2.x wrote has no version, or 1. */
function migrate(file: unknown, now: number): unknown {
	const { accounts } = versionOneSchema.parse(file);
	// A version that is missing or damaged says less than the rows: only a 2.x has tokens beside the e-mail.
	if (versionOf(file) === ACCOUNTS_VERSION || !accounts.some(isOfVersionOne)) return file;
	const rows = new Map<string, Row>();
	const labelFor = createUniqueLabels();
	const others: unknown[] = [];
	for (const raw of accounts) {
		// Written by this version into a file that has lost its number.
		if (rowSchema.safeParse(raw).success) others.push(raw);
		// A row that cannot be read stays in the copy of the original.
		const { data: former } = versionOneRowSchema.safeParse(raw);
		const identity = former && identityOf(former.accessToken, former.accountId ?? undefined);
		if (!identity) continue;
		const known = rows.get(identity.id);
		if (known && known.credential.expires >= former.expiresAt) continue;
		const email = identity.email ?? former.email ?? undefined;
		const label = known?.label ?? labelFor(defaultLabel(email, identity.id));
		rows.set(identity.id, {
			id: identity.id,
			label,
			email,
			userId: identity.userId ?? null,
			accountId: identity.workspaceId,
			plan: identity.plan ?? null,
			claims: [...identity.claims],
			credential: { access: former.accessToken, refresh: former.refreshToken, expires: former.expiresAt },
			source: "import:pi-multicodex-2",
			linked: false,
			enabled: true,
			needsLogin: former.needsReauth ? { reason: "signed out", at: now } : null,
			addedAt: now,
		});
	}
	return { version: ACCOUNTS_VERSION, accounts: [...others, ...rows.values()] };
}

function isOfVersionOne(row: unknown): boolean {
	return versionOneRowSchema.safeParse(row).success;
}

/** A file that holds one account: the row as it was. */
function bytesOf(row: unknown): string {
	return `${JSON.stringify({ version: ACCOUNTS_VERSION, accounts: [row] }, undefined, 2)}\n`;
}

/** Backups of accounts that were taken out: only those are worth putting back. */
async function removedFrom(path: string): Promise<AccountBackup[]> {
	return (await backupsOf(path)).filter(({ why }) => why === "removed");
}

async function readBackup(path: string): Promise<AccountsFile> {
	const bytes = await readText(path).catch(() => "");
	return parseJson(fileSchema, bytes) ?? { version: ACCOUNTS_VERSION, accounts: [] };
}
