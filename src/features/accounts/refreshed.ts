import { type Account, printable } from "../../core/account.ts";
import {
	byLength,
	creditsOf,
	creditsUntil,
	hasFunds,
	includedOf,
	isLimitReached,
	remaining,
	windowName,
} from "../../core/quota.ts";
import { noAccountSignedIn } from "../../core/request/turn-texts.ts";
import type { UsageSnapshot } from "../../core/usage.ts";
import { whatNow } from "../../ui-kit/account-texts.ts";
import { alignColumns, formatPercent, windowLabel } from "../../ui-kit/format.ts";

/** The result of fetching one account's usage. */
export interface Refreshed {
	readonly account: Account;
	readonly usage: UsageSnapshot | undefined;
	/** Why there is no new answer. */
	readonly problem: string | undefined;
}

/** Formats one line per account. `now` is epoch ms. */
export function refreshedAsText(refreshed: readonly Refreshed[], now: number): string {
	if (refreshed.length === 0) return noAccountSignedIn();
	const rows = refreshed.map((each) => [printable(each.account.label), printable(outcomeOf(each, now))]);
	return alignColumns(rows).join("\n");
}

function outcomeOf({ account, usage, problem }: Refreshed, now: number): string {
	if (account.needsLogin || !account.enabled) return whatNow(account);
	if (problem !== undefined) return problem;
	const quotas = byLength(usage ? includedOf(usage) : []).map(
		(quota) => `${windowLabel(windowName(quota.windowMinutes))} ${formatPercent(remaining(quota, now))} left`,
	);
	const known = quotas.length > 0 ? quotas : withoutLimits(usage);
	return [...known, ...(creditsUntil(usage, now) === undefined ? [] : ["bought credits"])].join(" · ");
}

function withoutLimits(usage: UsageSnapshot | undefined): string[] {
	if (isLimitReached(usage)) return ["limit reached"];
	return [hasFunds(creditsOf(usage)) ? "runs on credits, without a limit" : "no limit reported"];
}
