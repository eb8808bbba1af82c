import { stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { ACCOUNT_ID, type Account, type Credential, labelProblem, printable, uniqueLabel } from "../domain/account.ts";
import type { AccountPatch, AccountStore } from "../pool/ports.ts";
import { backupsOf, keepBackup, migratedCopyOf, removeBackupsOf } from "./account-backups.ts";
import { stageFile, writeAtomically } from "./atomic-file.ts";
import { parseJson } from "./json.ts";
import { identityOf, tokenSchema, tokenTimes, workspaceIdSchema } from "./jwt.ts";
import { withLock } from "./lock.ts";
import { readText } from "./regular-file.ts";
import { type DocumentFormat, openSharedDocument, readDocument, realTarget } from "./shared-document.ts";

/** Version of `codex-accounts.json` that is written here. */
const ACCOUNTS_VERSION = 2;

/** As for pi's own lock: a live holder is not worth a longer wait, another account serves. */
const REFRESH_LOCK_WAIT_MS = 3000;

/** Room proven beyond the present size, for a longer token. */
const SPARE_BYTES = 8192;

const credentialSchema = z.looseObject({ access: tokenSchema, refresh: tokenSchema, expires: z.number() });
const optionalText = z.string().nullish().catch(undefined);

const rowSchema = z.looseObject({
	// Part of file names: of locks and backups.
	id: z.string().regex(ACCOUNT_ID),
	accountId: workspaceIdSchema,
	credential: credentialSchema,
	label: optionalText,
	email: optionalText,
	userId: optionalText,
	plan: optionalText,
	source: z.string().catch("login"),
	linked: z.boolean().catch(false),
	enabled: z.boolean().catch(true),
	disabledReason: optionalText,
	needsLogin: z.object({ reason: z.string(), at: z.number() }).nullish().catch(undefined),
	addedAt: z.number().catch(0),
});

type Row = z.output<typeof rowSchema>;

/** Rows stay raw here, so that one that this version cannot read survives every write. */
const fileSchema = z.looseObject({ version: z.number(), accounts: z.array(z.unknown()) });
type AccountsFile = z.output<typeof fileSchema>;

const versionOneSchema = z.object({ accounts: z.array(z.unknown()) });
const versionOneRowSchema = z.object({
	email: optionalText,
	accessToken: tokenSchema,
	refreshToken: tokenSchema,
	expiresAt: z.number(),
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

/** Opens `codex-accounts.json` at `path`. `onProblem` hears of broken, newer and unwritable files, once each. */
export function openAccountStore(
	path: string,
	onProblem: (text: string) => void,
	now: () => number,
): AccountStore & { removeBackups(): Promise<number> } {
	const document = openSharedDocument({
		path,
		...accountsFormat(now),
		empty: (): AccountsFile => ({ version: ACCOUNTS_VERSION, accounts: [] }),
		beforeMigration: async (bytes) => {
			await writeAtomically(migratedCopyOf(path), bytes, 0o600);
		},
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
		const durable = document.change(mutate);
		listedFrom = undefined;
		await durable;
	};
	/** A list that has forgotten what could not be written is made anew, too. */
	const changeOrForget = async (mutate: (draft: AccountsFile) => void): Promise<void> => {
		const durable = document.changeOrForget(mutate);
		listedFrom = undefined;
		await durable.finally(() => {
			listedFrom = undefined;
		});
	};
	const patched =
		(id: string, patch: AccountPatch, applies: (newest: Credential) => boolean) => (draft: AccountsFile) => {
			const row = draft.accounts.find((candidate) => idOf(candidate) === id);
			const former = rowSchema.safeParse(row).data;
			if (typeof row !== "object" || row === null || !former || !applies(toCredential(former))) return;
			const { credential, label, ...plain } = patch;
			Object.assign(row, plain);
			if (label !== undefined) Object.assign(row, { label: uniqueLabel(label, labelsBeside(draft, id)) });
			if ("needsLogin" in patch) Object.assign(row, { needsLogin: patch.needsLogin ?? null });
			if ("disabledReason" in patch) Object.assign(row, { disabledReason: patch.disabledReason ?? null });
			if (credential && !wasIssuedAfter(former.credential.access, credential.access)) {
				Object.assign(row, { credential: { ...former.credential, ...toStored(credential) } });
			}
		};
	/** The result corrects the copy, where the row turns out to have changed. */
	const keepCopy = async (id: string): Promise<(row: unknown) => Promise<void>> => {
		const row = document.read().accounts.find((candidate) => idOf(candidate) === id);
		const replace = await keepBackup(path, id, bytesOf(row), now());
		return async (changed) => {
			if (changed !== undefined && bytesOf(changed) !== bytesOf(row)) await replace(bytesOf(changed));
		};
	};

	return {
		list,
		put: (account, { replaces } = {}) =>
			change((draft) => {
				draft.accounts = draft.accounts.filter((row) => replaces === undefined || idOf(row) !== replaces);
				const at = draft.accounts.findIndex((row) => idOf(row) === account.id);
				const former = rowSchema.safeParse(draft.accounts[at]).data;
				const row = {
					...former,
					...toRow(account),
					label: uniqueLabel(account.label, labelsBeside(draft, account.id)),
					credential: { ...former?.credential, ...toStored(account.credential) },
				};
				// Another process may have stored this account, with a later token, since the caller looked.
				const isLater = former && wasIssuedAfter(former.credential.access, account.credential.access);
				if (isLater && !former.needsLogin) return;
				if (at < 0) draft.accounts.push(row);
				else draft.accounts[at] = row;
			}),
		patch: (id, patch, applies = () => true) => change(patched(id, patch, applies)),
		edit: (id, patch) => changeOrForget(patched(id, patch, () => true)),
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
		lastRemoved: async () => {
			for (const { path: backup, removed } of (await backupsOf(path)).reverse()) {
				if (list().some(({ id }) => id === removed)) continue;
				const [account] = toAccounts(await readBackup(backup));
				if (account?.id === removed) return account;
			}
			return undefined;
		},
		restore: async (id) => {
			const backup = (await backupsOf(path)).findLast(({ removed }) => removed === id);
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

function labelsBeside(file: AccountsFile, id: string): ReadonlySet<string> {
	return new Set(
		toAccounts(file)
			.filter((account) => account.id !== id)
			.map(({ label }) => label),
	);
}

function idOf(row: unknown): unknown {
	return typeof row === "object" && row !== null && "id" in row ? row.id : undefined;
}

function wasIssuedAfter(stored: string, offered: string): boolean {
	const storedAt = tokenTimes(stored).issuedAt;
	const offeredAt = tokenTimes(offered).issuedAt;
	return storedAt !== undefined && offeredAt !== undefined && storedAt > offeredAt;
}

function toAccounts(file: AccountsFile): Account[] {
	const labels = new Set<string>();
	const accounts: Account[] = [];
	for (const raw of file.accounts) {
		const { data: row } = rowSchema.safeParse(raw);
		if (!row || accounts.some(({ id }) => id === row.id)) continue;
		const account = toAccount(row, labels);
		labels.add(account.label);
		accounts.push(account);
	}
	return accounts;
}

function toAccount(row: Row, taken: ReadonlySet<string>): Account {
	const told = identityOf(row.credential.access, row.accountId);
	const email = row.email ? printable(row.email) : told?.email;
	return {
		id: row.id,
		accountId: row.accountId,
		label: uniqueLabel(printable(row.label ?? defaultLabel(email, row.id)), taken),
		email,
		userId: row.userId ?? told?.userId,
		plan: row.plan ? printable(row.plan) : told?.plan,
		credential: toCredential(row),
		source: row.source,
		linked: row.linked,
		enabled: row.enabled,
		disabledReason: row.disabledReason ? printable(row.disabledReason) : undefined,
		needsLogin: row.needsLogin ? { ...row.needsLogin, reason: printable(row.needsLogin.reason) } : undefined,
		addedAt: row.addedAt,
	};
}

/** The label of an account that nobody named: the e-mail's local part, else its id. */
export function defaultLabel(email: string | undefined, id: string): string {
	const wanted = email?.split("@")[0] ?? "";
	return labelProblem(wanted) ? id : wanted;
}

function toRow(account: Account): Row {
	return {
		id: account.id,
		label: account.label,
		email: account.email ?? null,
		userId: account.userId ?? null,
		accountId: account.accountId,
		plan: account.plan ?? null,
		credential: toStored(account.credential),
		source: account.source,
		linked: account.linked,
		enabled: account.enabled,
		disabledReason: account.disabledReason ?? null,
		needsLogin: account.needsLogin ?? null,
		addedAt: account.addedAt,
	};
}

function toCredential({ credential }: Row): Credential {
	return { access: credential.access, refresh: credential.refresh, expiresAt: credential.expires };
}

function toStored(credential: Credential): { access: string; refresh: string; expires: number } {
	return { access: credential.access, refresh: credential.refresh, expires: credential.expiresAt };
}

/** Today's shape of whatever was read. The file that pi-multicodex 2.x wrote has no version, or 1. */
function migrate(file: unknown, now: number): unknown {
	const version = typeof file === "object" && file !== null && "version" in file ? file.version : undefined;
	if (version === ACCOUNTS_VERSION) return file;
	const { accounts } = versionOneSchema.parse(file);
	const rows = new Map<string, Row>();
	const labels = new Set<string>();
	for (const raw of accounts) {
		// A row that cannot be read stays in the copy of the original.
		const { data: former } = versionOneRowSchema.safeParse(raw);
		const identity = former && identityOf(former.accessToken, former.accountId ?? undefined);
		if (!identity) continue;
		const known = rows.get(identity.id);
		if (known && known.credential.expires >= former.expiresAt) continue;
		const email = identity.email ?? former.email ?? undefined;
		const label = known?.label ?? uniqueLabel(defaultLabel(email, identity.id), labels);
		labels.add(label);
		rows.set(identity.id, {
			id: identity.id,
			label,
			email,
			userId: identity.userId ?? null,
			accountId: identity.accountId,
			plan: identity.plan ?? null,
			credential: { access: former.accessToken, refresh: former.refreshToken, expires: former.expiresAt },
			source: "import:pi-multicodex-2",
			linked: false,
			enabled: true,
			needsLogin: former.needsReauth ? { reason: "signed out", at: now } : null,
			addedAt: now,
		});
	}
	return { version: ACCOUNTS_VERSION, accounts: [...rows.values()] };
}

/** A file that holds one account: the row as it was. */
function bytesOf(row: unknown): string {
	return `${JSON.stringify({ version: ACCOUNTS_VERSION, accounts: [row] }, undefined, 2)}\n`;
}

async function readBackup(path: string): Promise<AccountsFile> {
	const bytes = await readText(path).catch(() => "");
	return parseJson(fileSchema, bytes) ?? { version: ACCOUNTS_VERSION, accounts: [] };
}
