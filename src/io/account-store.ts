import { readdir, readFile, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { type Account, type Credential, uniqueLabel } from "../domain/account.ts";
import type { AccountStore } from "../pool/ports.ts";
import { stageFile, writeAtomically } from "./atomic-file.ts";
import { identityOf, tokenSchema, tokenTimes } from "./jwt.ts";
import { withLock } from "./lock.ts";
import { openSharedDocument, realTarget } from "./shared-document.ts";

/** Version of `codex-accounts.json` that is written here. */
export const ACCOUNTS_VERSION = 2;

/** Backups kept of removed accounts. */
const BACKUPS_KEPT = 3;

/** As for pi's own lock: a live holder is not worth a longer wait, another account serves. */
const REFRESH_LOCK_WAIT_MS = 3000;

/** Room proven beyond the present size, for a longer token. */
const SPARE_BYTES = 8192;

const credentialSchema = z.looseObject({ access: tokenSchema, refresh: tokenSchema, expires: z.number() });
const optionalText = z.string().nullish().catch(undefined);

const rowSchema = z.looseObject({
	id: z.string().min(1),
	accountId: z.string(),
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

/** Opens `codex-accounts.json` at `path`. `onProblem` hears of broken, newer and unwritable files, once each. */
export function openAccountStore(
	path: string,
	onProblem: (text: string) => void,
	now: () => number,
): AccountStore & { removeBackups(): Promise<void> } {
	const document = openSharedDocument({
		path,
		schema: fileSchema,
		version: ACCOUNTS_VERSION,
		empty: (): AccountsFile => ({ version: ACCOUNTS_VERSION, accounts: [] }),
		migrate: (raw) => migrate(raw, now()),
		beforeMigration: async (bytes) => {
			await writeAtomically(`${path}.v1.bak`, bytes, 0o600);
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

	return {
		list,
		put: (account, { replaces } = {}) =>
			change((draft) => {
				draft.accounts = draft.accounts.filter((row) => replaces === undefined || idOf(row) !== replaces);
				const at = draft.accounts.findIndex((row) => idOf(row) === account.id);
				const former = rowSchema.safeParse(draft.accounts[at]).data;
				const taken = new Set(
					toAccounts(draft)
						.filter(({ id }) => id !== account.id)
						.map(({ label }) => label),
				);
				const row = {
					...former,
					...toRow(account),
					label: uniqueLabel(account.label, taken),
					credential: { ...former?.credential, ...toStored(account.credential) },
				};
				// Another process may have stored this account, with a later token, since the caller looked.
				if (former && wasIssuedAfter(former.credential.access, account.credential.access)) return;
				if (at < 0) draft.accounts.push(row);
				else draft.accounts[at] = row;
			}),
		patch: (id, patch, applies = () => true) =>
			change((draft) => {
				const row = draft.accounts.find((candidate) => idOf(candidate) === id);
				const former = rowSchema.safeParse(row).data;
				if (typeof row !== "object" || row === null || !former || !applies(toCredential(former))) return;
				const { credential, ...plain } = patch;
				Object.assign(row, plain);
				if ("needsLogin" in patch) Object.assign(row, { needsLogin: patch.needsLogin ?? null });
				if ("disabledReason" in patch) Object.assign(row, { disabledReason: patch.disabledReason ?? null });
				if (credential && !wasIssuedAfter(former.credential.access, credential.access)) {
					Object.assign(row, { credential: { ...former.credential, ...toStored(credential) } });
				}
			}),
		remove: async (id) => {
			await backUp(path, now());
			await change((draft) => {
				draft.accounts = draft.accounts.filter((row) => idOf(row) !== id);
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
		removeBackups: async () => {
			for (const backup of await backupsOf(path)) await rm(backup, { force: true });
			await rm(`${path}.v1.bak`, { force: true });
		},
	};
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
	const email = row.email ?? told?.email;
	return {
		id: row.id,
		accountId: row.accountId,
		label: uniqueLabel(row.label ?? defaultLabel(email, row.id), taken),
		email,
		userId: row.userId ?? told?.userId,
		plan: row.plan ?? told?.plan,
		credential: toCredential(row),
		source: row.source,
		linked: row.linked,
		enabled: row.enabled,
		disabledReason: row.disabledReason ?? undefined,
		needsLogin: row.needsLogin ?? undefined,
		addedAt: row.addedAt,
	};
}

/** The label of an account that nobody named: the e-mail's local part, else its id. */
export function defaultLabel(email: string | undefined, id: string): string {
	return email?.split("@")[0] || id;
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

async function backUp(path: string, now: number): Promise<void> {
	const bytes = await readFile(path, "utf8").catch(() => undefined);
	if (bytes === undefined) return;
	await writeAtomically(`${path}.bak-${now}`, bytes, 0o600);
	const backups = await backupsOf(path);
	for (const old of backups.slice(0, -BACKUPS_KEPT)) await rm(old, { force: true });
}

/** Paths of the backups, oldest first. */
async function backupsOf(path: string): Promise<string[]> {
	const prefix = `${basename(path)}.bak-`;
	const names = await readdir(dirname(path)).catch(() => []);
	return names
		.filter((name) => name.startsWith(prefix))
		.sort()
		.map((name) => join(dirname(path), name));
}
