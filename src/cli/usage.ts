import { reportOf } from "../core/ledger/ledger-report.ts";
import { usageAsJson, usageAsText } from "../features/usage/view.ts";
import { openLedgerStore } from "../platform/stores/ledger-store.ts";
import type { UsageAsked } from "./arguments.ts";
import type { Paths, StoredPool } from "./stored-pool.ts";

/** Returns the output of `usage`, as pi prints it in print mode. */
export async function usageReport(
	{ period, by }: Pick<UsageAsked, "period" | "by">,
	{ pool, settings, clock }: StoredPool,
	{ ledger: path }: Paths,
	columns: number,
): Promise<{ readonly text: string; readonly json: unknown }> {
	const onFailure = (error: unknown) => {
		throw error;
	};
	// Nothing is counted here, so no folder is ever read.
	const ledger = openLedgerStore({ path, now: clock.now, projectOf: (folder) => folder, onFailure });
	const report = reportOf(await ledger.read(), period, by, clock.now());
	const view = { report, accounts: pool.accounts(), isOn: settings.read().ledger };
	return { text: usageAsText(view, columns), json: usageAsJson(view) };
}
