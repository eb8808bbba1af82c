import { type Account, type NeedsLogin, printable } from "../../core/account.ts";

const HALF_MOVED = "half moved: ";

/**
 * Returns why an account in the accounts file needs a sign-in while it moves between the file and a pool. Processes of
 * that pool know of the move and show a shared account. All others leave its token alone, since the pool may have it.
 */
export function halfMoved(poolName: string | undefined, now: number): NeedsLogin {
	const pool = poolName ? `the pool "${printable(poolName)}"` : "a pool";
	return { reason: `${HALF_MOVED}its sign-in may be in ${pool}`, at: now };
}

/** True if only a move keeps the account from being used. */
export function isHalfMoved({ needsLogin }: Pick<Account, "needsLogin">): boolean {
	return needsLogin?.reason.startsWith(HALF_MOVED) === true;
}

/** Returns the account as it was before the move. */
export function beforeMove(account: Account): Account {
	return isHalfMoved(account) ? { ...account, needsLogin: undefined } : account;
}
