import type { Account } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import { fingerprint } from "../backend/jwt.ts";
import { parseJson } from "../json.ts";
import { ACCOUNTS_VERSION, rowSchema, toAccounts, toRow } from "../stores/account-file.ts";
import type { Role, RowChange, Sealing, SharedRow } from "./types.ts";

/** Returns the placeholder for a refresh token that must not be stored. It differs for each token and is never sent. */
export function standInFor(tokenHash: string): string {
	return `${STAND_IN}${tokenHash}`;
}

const STAND_IN = "shared:";

/** Returns the account as a shared one, with a placeholder for its refresh token. */
export function asShared(account: Account, tokenHash: string): Account {
	return {
		...account,
		credential: { ...account.credential, refresh: standInFor(tokenHash) },
		linked: false,
		linkedElsewhere: undefined,
		shared: true,
	};
}

/** Seals an account, including its refresh token, as version `version` of its row. */
export function sealAccount(
	account: Account,
	version: number,
	{ sealing, poolId }: Keys,
): Pick<RowChange, "forKeepers" | "forRunners" | "tokenHash" | "expiresAt"> {
	const { id, credential } = account;
	if (credential.refresh.startsWith(STAND_IN)) throw new Error("an account without its refresh token cannot be sealed");
	const tokenHash = fingerprint(credential.refresh);
	const seal = (kind: Role, told: Account) => sealing.seal(textOf(told), { poolId, account: id, kind, version });
	return {
		forKeepers: seal("keeper", account),
		forRunners: seal("runner", asShared(account, tokenHash)),
		tokenHash,
		expiresAt: credential.expiresAt,
	};
}

/** What a machine opens and seals rows with. */
export interface Keys {
	readonly sealing: Sealing;
	readonly poolId: string;
}

/** An opened row. A keeper gets the account with its refresh token, a runner with a placeholder. */
type Opened =
	| { readonly kind: "ok"; readonly account: Account }
	| { readonly kind: "other-key" | "damaged"; readonly id: AccountId };

/** Opens a row for the role of this machine. */
export function openRow(row: SharedRow, { sealing, poolId }: Keys): Opened {
	const { id, version, tokenHash } = row;
	const kind = sealing.role;
	const sealed = kind === "keeper" ? row.forKeepers : row.forRunners;
	const opened = sealing.open(sealed, { poolId, account: id, kind, version });
	if (opened.kind !== "ok") return { kind: opened.kind, id };
	const account = accountIn(opened.text);
	const isWhole = account?.id === id && (kind === "runner" || fingerprint(account.credential.refresh) === tokenHash);
	if (!account || !isWhole) return { kind: "damaged", id };
	const { enabled, disabledReason, needsLogin } = row;
	return {
		kind: "ok",
		account: { ...account, shared: true, enabled, disabledReason, needsLogin: needsLogin ?? account.needsLogin },
	};
}

/** Formats an account as text, with its whole credential. Leaves out what the row stores outside the sealed text. */
export function textOf(account: Account): string {
	const plain = { linked: false, linkedElsewhere: undefined, enabled: true, disabledReason: undefined };
	return JSON.stringify(toRow({ ...account, ...plain, needsLogin: undefined }));
}

/** Reads the account in such a text; undefined if there is none. */
export function accountIn(text: string): Account | undefined {
	const row = parseJson(rowSchema, text);
	return row && toAccounts({ version: ACCOUNTS_VERSION, accounts: [row] })[0];
}
