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
	/** Its reset credits as last listed, the first to expire first; undefined if unknown. */
	readonly resetCredits?: readonly ResetCredit[] | undefined;
	readonly lastUsedAt: number | undefined;
	readonly lastError: { readonly text: string; readonly at: number } | undefined;
	/** Sessions working on it, in any process. */
	readonly sessions: number;
	/** True if the last usage call failed. The figures may be old. */
	readonly isUsageFailing: boolean;
	/** The caps on it. */
	readonly floors?: Floors | undefined;
	/** The folder whose account set excludes this account for the session. */
	readonly outsideOf?: string | undefined;
	/** Several machines share it. */
	readonly shared?: SharedUse | undefined;
	/** When it will be spent at the pace of recent weeks. */
	readonly outlook?: Outlook | undefined;
}

/** Returns the accounts that the session may use, ready or not. */
export function usableIn({ accounts }: Pick<PoolView, "accounts">): readonly ShownAccount[] {
	return accounts.filter(({ outsideOf }) => outsideOf === undefined);
}

/** The pool at one moment, for `show`, the dashboard and the picker. */
export interface PoolView {
	/** False while the extension is switched off. */
	readonly isEnabled: boolean;
	/** True if pi holds its own API key for Codex, which it uses directly. */
	readonly isForeign: boolean;
	readonly policy: string;
	readonly active: string | undefined;
	readonly pinned: AccountId | undefined;
	/** The account set that applies to the session. */
	readonly set?: AccountSet | undefined;
	readonly accounts: readonly ShownAccount[];
	/** The pool that this machine shares with others. */
	readonly sharedPool?: SharedPoolStatus | undefined;
	/** How long quota lasts, if a forecast is possible. */
	readonly forecast?: Forecast | undefined;
	readonly now: number;
}
