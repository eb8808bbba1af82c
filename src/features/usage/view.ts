import type { Account } from "../../core/account.ts";
import type { Amounts } from "../../core/ledger/ledger.ts";
import type { Report } from "../../core/ledger/ledger-report.ts";
import type { UsageDocument } from "../../pi/json-schemas.ts";
import { amountsText } from "../../ui-kit/amount-texts.ts";
import { hanging } from "../../ui-kit/format.ts";
import { tableOf } from "./table.ts";
import { COST_NOTE, nothingIn, titleOf } from "./texts.ts";

/** What `usage` shows. */
export interface UsageView {
	readonly report: Report;
	/** Used for their labels. */
	readonly accounts: readonly Account[];
	/** True if requests are counted. */
	readonly isOn: boolean;
}

/** Formats the report in lines of `columns`. */
export function usageAsText(view: UsageView, columns: number): string {
	const { report, isOn } = view;
	if (report.groups.length === 0) return nothingIn(report.period, isOn);
	const { heading, rows, total } = tableOf(report, view.accounts, columns);
	const title = hanging("", `${titleOf(report)}: ${amountsText(report.total.amounts)}`, columns);
	const note = hanging("", COST_NOTE, columns);
	return [...title, heading, ...rows, ...(total === undefined ? [] : [total]), ...note].join("\n");
}

/** Returns the document of `usage --json`. Identifies accounts only by id. */
export function usageAsJson({ report, isOn }: UsageView): UsageDocument {
	const { period, by, from, to, groups, total, steps } = report;
	return {
		version: 1,
		counting: isOn,
		period,
		by,
		from: from ?? null,
		to,
		rows: groups.map(({ key, amounts, course }) => ({ key: key ?? null, ...amountsIn(amounts), course: [...course] })),
		total: amountsIn(total.amounts),
		steps: [...steps],
	};
}

/** Returns only the amounts of a row. */
function amountsIn({ requests, input, cached, output, cost, rotations, refusals, refusedMs }: Amounts): Amounts {
	return { requests, input, cached, output, cost, rotations, refusals, refusedMs };
}
