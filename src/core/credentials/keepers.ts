import type { Account, Credential } from "../account.ts";
import { accountIn, accountWith } from "../identity.ts";
import type { AccountStore, LockedPiAuth, TokenReader } from "../ports.ts";
import type { OtherAccounts } from "./other-account.ts";
import { loginOf } from "./pi-login-sync.ts";
import type { TokenClaims } from "./token-claims.ts";
import type { Keeper } from "./token-exchange.ts";

/** Where credentials are stored on this machine: in our file, or in pi's and in ours. */
interface Keepers {
	/** Returns where an owned account stores its credential. Its refresh lock is held. */
	owned(account: Account): Keeper;
	/**
	 * Returns where pi's own login is stored. The lock of `file` is held. `stored` is the credential in it, `spend` the
	 * one to exchange.
	 */
	linked(account: Account, file: LockedPiAuth, credentials: Record<"stored" | "spend", Credential>): Keeper;
}

interface Deps {
	readonly accounts: AccountStore;
	readonly tokens: TokenReader;
	readonly claims: Pick<TokenClaims, "endedBy">;
	readonly others: OtherAccounts;
}

/** Creates them over both files. */
export function createKeepers({ accounts, tokens, claims, others }: Deps): Keepers {
	const storedFor = (account: Account) => accountIn(accounts.list(), account.id)?.credential;

	/**
	 * Stores the successor of `spend` in our file. If the row holds another working grant, from a sign-in in the
	 * meantime, that one stays. If the account was removed meanwhile, or lost with a damaged file, the token goes to its
	 * backup, which can be restored. `isInPiFile`: the token is in pi's file, and a new backup would be a second place to
	 * spend it from.
	 */
	const keep = async (account: Account, spend: Credential, next: Credential, isInPiFile = false): Promise<void> => {
		if (others.isOther(account, spend, next)) return others.keep(account, next, isInPiFile);
		const { id, credential } = account;
		const isReplaced = ({ refresh }: Credential) =>
			refresh === credential.refresh || refresh === spend.refresh || claims.endedBy(account, { refresh }) !== undefined;
		await accounts.patch(id, { credential: next, needsLogin: undefined }, isReplaced, true);
		if (!accountWith(accounts.list(), id)) {
			const isInBackup = await accounts.renewBackup(id, spend.refresh, next);
			if (!isInBackup && !isInPiFile) await accounts.keepAside({ ...account, credential: next, needsLogin: undefined });
		}
		// Between these steps the account may have been restored, with the old token of its backup.
		const stored = accountWith(accounts.list(), id)?.credential;
		if (stored && stored.refresh !== next.refresh && isReplaced(stored)) throw new SpentTokenStored();
	};

	return {
		owned: (account) => {
			const { credential } = account;
			return {
				spend: credential,
				seen: credential,
				store: (next) => keep(account, credential, next),
				reread: () => storedFor(account),
			};
		},
		linked: (account, file, { stored: inFile, spend }) => ({
			spend,
			seen: inFile,
			store: async (next) => {
				const workspaceId = tokens.identify(next.access)?.workspaceId ?? account.workspaceId;
				const isInFile = await file.replaceCredential(inFile.refresh, next, workspaceId).catch(() => false);
				const inPool = keep(account, spend, next, isInFile);
				// One of the two places is enough. What is only in our file is written to pi's at the next request.
				await (isInFile ? inPool.catch(ignoreWriteFailure) : inPool);
			},
			reread: () => loginOf(account, file.login(), tokens) ?? storedFor(account),
		}),
	};
}

/** The account was restored with a spent token, so its successor must be stored again. */
class SpentTokenStored extends Error {
	constructor() {
		super("the account holds a token that is spent");
		this.name = "SpentTokenStored";
	}
}

/** Ignores a failed write: the store has reported it, keeps the change in memory and retries. */
export function ignoreWriteFailure(): undefined {
	return undefined;
}
