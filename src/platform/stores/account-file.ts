import * as z from "zod/mini";
import {
	type Account,
	type Credential,
	createUniqueLabels,
	labelProblem,
	type NeedsLogin,
	NO_WORKSPACE,
	printable,
} from "../../core/account.ts";
import { allClaims, claimsOf, type Speaker, type UserClaim } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import { identityOf, tokenSchema, tokenTimes } from "../backend/jwt.ts";
import { type DocumentFormat, readDocument, versionOf } from "../files/document-file.ts";
import { accountIdSchema, workspaceIdSchema } from "../ids.ts";
import { parseJson } from "../json.ts";
import { lazily } from "../lazily.ts";
import { lenient, lenientOrNull } from "../lenient.ts";
import type { AgentDirectory } from "./agent-directory.ts";

/** The version of `codex-accounts.json` that this code writes. */
export const ACCOUNTS_VERSION = 2;

/** A missing expiry is read from the token. Without either, the token is renewed before use. */
const credentialSchema = z.pipe(
	z.looseObject({ access: tokenSchema, refresh: tokenSchema, expires: lenient(z.number()) }),
	z.transform((read) => ({ ...read, expires: read.expires ?? tokenTimes(read.access).expiresAt ?? 0 })),
);
const optionalText = lenientOrNull(z.string());

/** What a person who edits the file may mean by `false`. A disabled account must not be used by mistake. */
const NO: readonly unknown[] = [false, 0, "false", "no", "off"];

export const rowSchema = z.pipe(
	z.transform(withWorkspace),
	z.looseObject({
		// Part of the names of locks and backups.
		id: accountIdSchema,
		accountId: workspaceIdSchema,
		credential: credentialSchema,
		label: optionalText,
		email: optionalText,
		userId: optionalText,
		plan: optionalText,
		claims: lenient(z.array(z.string())),
		formerIds: lenient(z.array(accountIdSchema)),
		source: z.catch(z.string(), "login"),
		linked: z.catch(z.boolean(), false),
		// Which `auth.json` the row is linked to. Older versions keep this field but know only one directory.
		linkedTo: lenient(z.string()),
		enabled: z.pipe(
			z.optional(z.unknown()),
			z.transform((value) => !NO.includes(value)),
		),
		disabledReason: optionalText,
		needsLogin: lenientOrNull(z.object({ reason: z.string(), at: z.number() })),
		addedAt: z.catch(z.number(), 0),
	}),
);

/** A readable row of the file. */
export type Row = z.output<typeof rowSchema>;

const tokenRowSchema = z.looseObject({
	accountId: lenient(workspaceIdSchema),
	credential: z.looseObject({ access: tokenSchema }),
});

/** Fills in a missing or damaged workspace from the row's token. */
function withWorkspace(row: unknown): unknown {
	const isWhole = typeof row === "object" && row !== null && "accountId" in row;
	if (isWhole && workspaceIdSchema.safeParse(row.accountId).success) return row;
	const { data } = tokenRowSchema.safeParse(row);
	if (!data || data.accountId !== undefined) return row;
	const workspaceId = identityOf(data.credential.access)?.workspaceId;
	return workspaceId === undefined ? row : { ...data, accountId: workspaceId };
}

/** Rows stay raw here, so that rows this version cannot read survive every write. */
const fileSchema = z.looseObject({
	// Neither a newer nor an older version gets here.
	version: z.catch(z.literal(ACCOUNTS_VERSION), ACCOUNTS_VERSION),
	accounts: z.array(z.unknown()),
});
/** The content of `codex-accounts.json`. */
export type AccountsFile = z.output<typeof fileSchema>;

const versionOne = lazily(() => ({
	file: z.object({ accounts: z.array(z.unknown()) }),
	row: z.object({
		email: optionalText,
		accessToken: tokenSchema,
		refreshToken: tokenSchema,
		expiresAt: z.catch(z.number(), 0),
		accountId: optionalText,
		needsReauth: lenientOrNull(z.boolean()),
	}),
}));

/** The format of `codex-accounts.json`. */
export function accountsFormat(now: () => number): DocumentFormat<typeof fileSchema> {
	return { schema: fileSchema, version: ACCOUNTS_VERSION, migrate: (raw) => migrate(raw, now()) };
}

/** Reads the bytes of a `codex-accounts.json` without side effects. `now` is epoch ms. */
export function accountsIn(
	bytes: string,
	now: number,
	directory?: AgentDirectory,
): {
	readonly content: "good" | "older" | "newer" | "broken";
	readonly accounts: readonly Account[];
	/** Number of rows that cannot be read. */
	readonly unreadableRows: number;
} {
	const reading = readDocument(
		bytes,
		accountsFormat(() => now),
	);
	if (reading.kind !== "ok") {
		return { content: reading.kind === "newer" ? "newer" : "broken", accounts: [], unreadableRows: 0 };
	}
	const { value, migrated } = reading;
	const unreadableRows = value.accounts.filter((row) => !rowSchema.safeParse(row).success).length;
	return { content: migrated ? "older" : "good", accounts: toAccounts(value, directory), unreadableRows };
}

/** Returns the user claims of a row: the stored ones, and those of its token. */
export function claimsIn(row: Row): UserClaim[] {
	const ofToken = identityOf(row.credential.access, row.accountId)?.claims ?? [];
	if (row.claims) return allClaims(row.claims, ofToken);
	// Older versions stored one user id, but not which claim it came from.
	const isInToken = ofToken.some((claim) => claim.endsWith(`=${row.userId}`));
	const userId = isInToken ? undefined : (row.userId ?? undefined);
	const stored = { workspaceId: row.accountId, email: undefined, userId, claims: undefined, id: row.id };
	return allClaims(ofToken, claimsOf(stored));
}

export function speakerOf(row: Row): Speaker {
	const email = row.email ?? identityOf(row.credential.access, row.accountId)?.email;
	return { workspaceId: row.accountId, userId: row.userId ?? undefined, email, claims: claimsIn(row) };
}

export function wasIssuedAfter(stored: string, offered: string): boolean {
	const storedAt = tokenTimes(stored).issuedAt;
	const offeredAt = tokenTimes(offered).issuedAt;
	return storedAt !== undefined && offeredAt !== undefined && storedAt > offeredAt;
}

/** Without a directory, every link counts as a link to this directory. */
export function toAccounts(file: AccountsFile, directory?: AgentDirectory): Account[] {
	const labelFor = createUniqueLabels();
	const accounts = new Map<string, Account>();
	for (const raw of file.accounts) {
		const { data: row } = rowSchema.safeParse(raw);
		if (row && !accounts.has(row.id)) accounts.set(row.id, toAccount(row, labelFor, directory));
	}
	return [...accounts.values()];
}

function toAccount(row: Row, labelFor: (wanted: string) => string, directory: AgentDirectory | undefined): Account {
	const isElsewhere = directory !== undefined && isLinkedElsewhere(row, directory);
	const identity = identityOf(row.credential.access, row.accountId);
	const email = row.email ? printable(row.email) : identity?.email;
	return {
		id: row.id,
		workspaceId: row.accountId,
		label: labelFor(printable(row.label ?? defaultLabel(email, row.id))),
		email,
		userId: row.userId ?? identity?.userId,
		plan: row.plan ? printable(row.plan) : identity?.plan,
		claims: claimsIn(row),
		formerIds: row.formerIds,
		credential: toCredential(row),
		source: row.source,
		linked: row.linked && !isElsewhere,
		...(isElsewhere && { linkedElsewhere: true }),
		enabled: row.enabled,
		disabledReason: row.disabledReason ? printable(row.disabledReason) : undefined,
		needsLogin: needsLoginOf(row),
		addedAt: row.addedAt,
	};
}

/** True if the row is linked to another `auth.json`. A row that names none is linked to the one beside the file. */
export function isLinkedElsewhere({ linked, linkedTo }: Row, directory: AgentDirectory): boolean {
	return linked && (linkedTo === undefined ? !directory.holdsFile : linkedTo !== directory.login);
}

/**
 * Returns why the account of a row cannot be used. Older versions accepted a token without a workspace, with which pi
 * fails before it sends anything. Such an account would be chosen, and fail, again and again.
 */
function needsLoginOf({ needsLogin, credential, addedAt }: Row): NeedsLogin | undefined {
	if (needsLogin) return { ...needsLogin, reason: printable(needsLogin.reason) };
	return identityOf(credential.access) ? undefined : { reason: NO_WORKSPACE, at: addedAt };
}

/** Returns the label for an account without a name: the e-mail's local part, or else its id. */
export function defaultLabel(email: string | undefined, id: AccountId): string {
	const wanted = email?.split("@")[0] ?? "";
	return labelProblem(wanted) ? id : wanted;
}

export function toRow(account: Account, directory?: AgentDirectory): Row {
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
		linkedTo: account.linked ? directory?.login : undefined,
		enabled: account.enabled,
		disabledReason: account.disabledReason ?? null,
		// Derived from the token, so not stored.
		needsLogin: account.needsLogin?.reason === NO_WORKSPACE ? null : (account.needsLogin ?? null),
		addedAt: account.addedAt,
	};
}

export function toCredential({ credential }: Row): Credential {
	const { access, refresh, expires } = credential;
	return { access, refresh, expiresAt: expires > 0 ? expires : (tokenTimes(access).expiresAt ?? 0) };
}

export function toStored(credential: Credential): { access: string; refresh: string; expires: number } {
	return { access: credential.access, refresh: credential.refresh, expires: credential.expiresAt };
}

/** Converts a file to the present shape. The file of pi-multicodex 2.x has no version, or version 1. */
function migrate(file: unknown, now: number): unknown {
	const { accounts } = versionOne().file.parse(file);
	// The rows decide, since a version may be missing or damaged. Only 2.x has tokens beside the e-mail.
	if (versionOf(file) === ACCOUNTS_VERSION || !accounts.some(isOfVersionOne)) return file;
	const rows = new Map<string, Row>();
	const labelFor = createUniqueLabels();
	const others: unknown[] = [];
	for (const raw of accounts) {
		// A row of the present version, in a file that has lost its version number.
		if (rowSchema.safeParse(raw).success) others.push(raw);
		// A row that cannot be read remains in the copy of the original file.
		const { data: former } = versionOne().row.safeParse(raw);
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
	return versionOne().row.safeParse(row).success;
}

/** Returns the bytes of a file that contains one row, unchanged. */
export function bytesOf(row: unknown): string {
	return `${JSON.stringify({ version: ACCOUNTS_VERSION, accounts: [row] }, undefined, 2)}\n`;
}

/**
 * Reads the bytes of a file in the present format, such as a backup. Returns a file without rows if the bytes do not
 * match.
 */
export function fileFrom(bytes: string): AccountsFile {
	return parseJson(fileSchema, bytes) ?? { version: ACCOUNTS_VERSION, accounts: [] };
}

/** Returns the id of a row, even of one that cannot be read. */
export function idOf(row: unknown): unknown {
	return typeof row === "object" && row !== null && "id" in row ? row.id : undefined;
}

/** True if a row is one of the account that can be read. A damaged row may have the same id. */
export function isReadable(row: unknown, id: AccountId): boolean {
	return idOf(row) === id && rowSchema.safeParse(row).success;
}
