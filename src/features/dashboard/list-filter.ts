import { fuzzyFilter } from "@mariozechner/pi-tui";
import type { ShownAccount } from "../../core/pool/pool-view.ts";

/** The accounts that match a filter. */
interface Filtered {
	/** In the list's order. */
	readonly accounts: readonly ShownAccount[];
	/** The best match; undefined if there is none. */
	readonly best: ShownAccount | undefined;
}

/** Filters by label and e-mail. Every word must match. The remaining rows keep their order. */
export function filtered(accounts: readonly ShownAccount[], filter: string): Filtered {
	if (filter.trim() === "") return { accounts, best: accounts[0] };
	const fitting = fuzzyFilter([...accounts], filter, ({ account }) => `${account.label} ${account.email ?? ""}`);
	return { accounts: accounts.filter((each) => fitting.includes(each)), best: fitting[0] };
}

/** Returns the text for a filter without a match. */
export function noMatch(filter: string): string {
	return `No account matches "${filter.trim()}".`;
}
