import { type Account, printable } from "../domain/account.ts";
import { byLength, remaining, type UsageSnapshot, windowName } from "../domain/usage.ts";
import { aligned, formatPercent, spokenWindow } from "./format.ts";
import { whatNow } from "./messages.ts";

/** What asking for one account's usage came to. */
export interface Refreshed {
	readonly account: Account;
	readonly usage: UsageSnapshot | undefined;
	/** Why there is no new answer. */
	readonly problem: string | undefined;
}

/** One line an account. `now` is epoch ms. */
export function refreshedAsText(refreshed: readonly Refreshed[], now: number): string {
	if (refreshed.length === 0) return "There is no Codex account to ask for.";
	const rows = refreshed.map((each) => [printable(each.account.label), printable(outcomeOf(each, now))]);
	return aligned(rows).join("\n");
}

function outcomeOf({ account, usage, problem }: Refreshed, now: number): string {
	if (account.needsLogin || !account.enabled) return whatNow(account);
	if (problem !== undefined) return problem;
	const windows = byLength(usage?.windows ?? []).map(
		(window) => `${spokenWindow(windowName(window.windowMinutes))} ${formatPercent(remaining(window, now))} left`,
	);
	return windows.length > 0 ? windows.join(" · ") : "no limits are told";
}
