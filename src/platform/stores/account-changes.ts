import { type Account, type Credential, uniqueLabel } from "../../core/account.ts";
import { allClaims, claimsOf } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import type { AccountPatch } from "../../core/ports.ts";
import { identityOf } from "../backend/jwt.ts";
import {
	type AccountsFile,
	claimsIn,
	defaultLabel,
	idOf,
	isLinkedElsewhere,
	isReadable,
	type Row,
	rowSchema,
	toAccounts,
	toCredential,
	toRow,
	toStored,
	wasIssuedAfter,
} from "./account-file.ts";
import type { AgentDirectory } from "./agent-directory.ts";

/** Returns the directory whose `auth.json` a row is linked to. Called only if a row needs it. */
type DirectoryOf = () => AgentDirectory;

/** Adds an account, or replaces its row, unless a later token was stored there meanwhile. */
export function putRow(draft: AccountsFile, account: Account, directory: DirectoryOf): void {
	const at = draft.accounts.findIndex((row) => isReadable(row, account.id));
	const former = rowSchema.safeParse(draft.accounts[at]).data;
	const row = {
		...former,
		...toRow(account, directory()),
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
}

/** When a patch applies, and what its credential is. */
interface PatchTerms {
	/** The patch applies only if this is true of the stored credential. */
	readonly applies?: ((newest: Credential) => boolean) | undefined;
	/** The credential is the one that the stored one was exchanged for. */
	readonly isExchanged?: boolean;
}

/** Changes what `patch` names. An account that is gone is not brought back. */
export function patchRow(
	draft: AccountsFile,
	id: AccountId,
	patch: AccountPatch,
	directory: DirectoryOf,
	{ applies, isExchanged = false }: PatchTerms = {},
): void {
	const row = rowToChange(draft, id);
	const former = rowSchema.safeParse(row).data;
	if (typeof row !== "object" || row === null || !former) return;
	if (applies && !applies(toCredential(former))) return;
	const { credential, label, claims = [], ...plain } = patch;
	Object.assign(row, plain);
	if (patch.linked !== undefined) {
		Object.assign(row, { linkedTo: patch.linked ? directory().login : undefined });
	}
	const ofToken = credential ? (identityOf(credential.access)?.claims ?? []) : [];
	if (credential || claims.length > 0) Object.assign(row, { claims: allClaims(claimsIn(former), claims, ofToken) });
	if (label !== undefined) Object.assign(row, { label: uniqueLabel(label, labelsBeside(draft, former.id)) });
	if ("needsLogin" in patch) Object.assign(row, { needsLogin: patch.needsLogin ?? null });
	if ("disabledReason" in patch) Object.assign(row, { disabledReason: patch.disabledReason ?? null });
	// A sign-in that works replaces one that is over. A token that was exchanged for the stored one replaces it, even if
	// the service's clock went back.
	const isRepaired = Boolean(former.needsLogin) && "needsLogin" in patch && patch.needsLogin === undefined;
	const isNext = isExchanged || isRepaired || !wasIssuedAfter(former.credential.access, credential?.access ?? "");
	if (credential && isNext) {
		Object.assign(row, { credential: { ...former.credential, ...toStored(credential) } });
	}
}

/** Adds the row of an account that was removed, unless the account is back. */
export function restoreRow(draft: AccountsFile, id: AccountId, row: Row, directory: DirectoryOf): void {
	if (draft.accounts.some((other) => isReadable(other, id))) return;
	const label = uniqueLabel(row.label ?? defaultLabel(row.email ?? undefined, id), labelsBeside(draft, id));
	// Our pi owned this login and lost it with the account, so it is ours now. Another pi has kept its own.
	const isOurs = !isLinkedElsewhere(row, directory());
	const source = row.source === "pi" ? "login" : row.source;
	draft.accounts.push({ ...row, label, ...(isOurs && { linked: false, linkedTo: undefined, source }) });
}

/** Returns the row of an account: one that can be read, else one that cannot; undefined without one. */
export function rowOf({ accounts }: AccountsFile, id: AccountId): unknown {
	return accounts.find((row) => isReadable(row, id)) ?? accounts.find((row) => idOf(row) === id);
}

/** Removes an account, and only what can be read of it, if anything can. Returns its row; undefined without one. */
export function removeRow(draft: AccountsFile, id: AccountId): unknown {
	const removed = rowOf(draft, id);
	const isMeant = isReadable(removed, id) ? isReadable : (row: unknown) => idOf(row) === id;
	draft.accounts = draft.accounts.filter((row) => !isMeant(row, id));
	return removed;
}

/** Removes an account if it has this refresh token. */
export function dropRow(draft: AccountsFile, id: AccountId, refresh: string): void {
	const isMeant = (row: unknown) => rowSchema.safeParse(row).data?.credential.refresh === refresh;
	draft.accounts = draft.accounts.filter((row) => !(idOf(row) === id && isMeant(row)));
}

function labelsBeside(file: AccountsFile, id: AccountId): ReadonlySet<string> {
	return new Set(
		toAccounts(file)
			.filter((account) => account.id !== id)
			.map(({ label }) => label),
	);
}

/**
 * Returns the readable row of an account, or of the account that it was merged into: an exchange in progress stores its
 * token there, although a damaged row may still have the former id.
 */
function rowToChange({ accounts }: AccountsFile, id: AccountId): unknown {
	const isFormer = (row: unknown) => rowSchema.safeParse(row).data?.formerIds?.includes(id) === true;
	return accounts.find((row) => isReadable(row, id)) ?? accounts.find(isFormer);
}
