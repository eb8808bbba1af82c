import { fuzzyFilter } from "@mariozechner/pi-tui";
import type { ShownAccount } from "../../core/pool/pool-view.ts";

/** The accounts that a filter leaves. */
export interface Filtered {
	/** In the order of the list. */
	readonly accounts: readonly ShownAccount[];
	/** The one that the filter fits best; undefined where none is left. */
	readonly best: ShownAccount | undefined;
}

/** Filters by label and e-mail; every word has to fit. The rows that are left keep their order. */
export function filtered(accounts: readonly ShownAccount[], filter: string): Filtered {
	if (filter.trim() === "") return { accounts, best: accounts[0] };
	const fitting = fuzzyFilter([...accounts], filter, ({ account }) => `${account.label} ${account.email ?? ""}`);
	return { accounts: accounts.filter((each) => fitting.includes(each)), best: fitting[0] };
}

/** What a list says that has no row for the filter. */
export function noMatch(filter: string): string {
	return `No account matches "${filter.trim()}".`;
}
