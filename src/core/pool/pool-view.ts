import type { Account, AccountState } from "../account.ts";
import type { AccountSet } from "../account-sets.ts";
import type { Floors } from "../caps.ts";
import type { Cooldown } from "../cooldown.ts";
import type { Forecast, Outlook } from "../forecast/forecast.ts";
import type { AccountId } from "../ids.ts";
import type { ResetCredit } from "../reset-credits/reset-credits.ts";
import type { SharedPoolStatus, SharedUse } from "../shared-pool.ts";
import type { UsageSnapshot } from "../usage.ts";

/** One account for display. Times are epoch ms. */
export interface ShownAccount {
	readonly account: Account;
	readonly state: AccountState;
	readonly isActive: boolean;
	readonly isPinned: boolean;
	readonly readyAt: number | undefined;
	readonly cooldowns: readonly Cooldown[];
	readonly usage: UsageSnapshot | undefined;
	/** Its reset credits as listed last, the first to expire in front; undefined where none is known. */
	readonly resetCredits?: readonly ResetCredit[] | undefined;
	readonly lastUsedAt: number | undefined;
	readonly lastError: { readonly text: string; readonly at: number } | undefined;
	/** Sessions that are at work on it, in any process. */
	readonly sessions: number;
	/** The last call of the usage endpoint failed: the figures may be old. */
	readonly isUsageFailing: boolean;
	/** The caps on it. */
	readonly floors?: Floors | undefined;
	/** The folder whose account set keeps the session from it. */
	readonly outsideOf?: string | undefined;
	/** Several machines share it. */
	readonly shared?: SharedUse | undefined;
	/** When it will be spent, at the pace of the last weeks. */
	readonly outlook?: Outlook | undefined;
}

/** The accounts that the session may use, ready ones and others. */
export function usableIn({ accounts }: Pick<PoolView, "accounts">): readonly ShownAccount[] {
	return accounts.filter(({ outsideOf }) => outsideOf === undefined);
}

/** The pool at one moment, for `show`, the dashboard and the picker. */
export interface PoolView {
	/** False while the person has switched the extension off. */
	readonly isEnabled: boolean;
	/** pi holds a key of its own for Codex, which serves as it is. */
	readonly isForeign: boolean;
	readonly policy: string;
	readonly active: string | undefined;
	readonly pinned: AccountId | undefined;
	/** The account set that holds for the session. */
	readonly set?: AccountSet | undefined;
	readonly accounts: readonly ShownAccount[];
	/** The pool that this machine shares with others. */
	readonly sharedPool?: SharedPoolStatus | undefined;
	/** How long quota lasts, where that can be told. */
	readonly forecast?: Forecast | undefined;
	readonly now: number;
}
