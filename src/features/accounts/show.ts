import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Pool } from "../../core/pool/pool.ts";
import type { PoolView } from "../../core/pool/pool-view.ts";
import type { UsageMonitor } from "../../core/pool/usage-monitor.ts";
import type { ForecastSource } from "../../core/ports.ts";
import { resetCreditsOf } from "../../core/quota.ts";
import type { ResetCreditList } from "../../core/reset-credits/reset-credit-list.ts";
import { parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { columnsNow } from "../../pi/output.ts";
import { baseUrlOf } from "../../pi/provider.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { poolAsJson, poolAsLines, poolAsText, poolInDetail } from "./show-view.ts";

const JSON_OPTION = "--json";
const COMPACT = "--compact";
const DETAIL = "--detail";
const OPTIONS = [
	{ value: JSON_OPTION, label: JSON_OPTION, description: "as one JSON document" },
	{ value: COMPACT, label: COMPACT, description: "one line per account, in fixed columns" },
	{
		value: DETAIL,
		label: DETAIL,
		description: "everything about each: times of resets, budgets, credits, last error",
	},
];

interface Args {
	readonly options: ReadonlySet<string>;
}

interface Ports {
	readonly pool: Pick<Pool, "accounts" | "statuses">;
	readonly session: Pick<SessionView, "pool">;
	readonly usage: Pick<UsageMonitor, "setBaseUrl">;
	readonly resetCredits: Pick<ResetCreditList, "refreshStale">;
	readonly forecasts: Pick<ForecastSource, "fresh">;
}

/** Maximum wait for the lists of reset credits. */
const LISTS_MS = 2000;

/** `/multicodex show`: lists every account, its state and what it has left. */
export function createShow(ports: Ports): Subcommand<Args> {
	const usage = `show [${JSON_OPTION}|${COMPACT}|${DETAIL}]`;
	const known = OPTIONS.map(({ value }) => value);
	return {
		name: "show",
		usage,
		summary: "every account: state, windows left, resets",
		complete: (before) => (before.length === 0 ? OPTIONS : []),
		parse: (words) => {
			const given = parseOptions(words, known, usage);
			if ("failure" in given) return given;
			const { options, rest } = given;
			if (rest.length > 0) return usageError(usage);
			return options.size > 1 ? usageError(usage, `${[...options].join(" and ")} do not go together.`) : { options };
		},
		run: async ({ options }, { host, signal }) => {
			await lookAtResetCredits(host, signal, ports);
			await ports.forecasts.fresh();
			const view = ports.session.pool(host);
			return { text: textOf(view, options), json: poolAsJson(view), asJson: options.has(JSON_OPTION) };
		},
	};
}

/** Fetches the list only if usage reports credits and the list is old. Changes nothing for a pool without any. */
async function lookAtResetCredits(
	host: ExtensionCommandContext,
	signal: AbortSignal,
	{ pool, usage, resetCredits }: Ports,
): Promise<void> {
	const statusOf = pool.statuses();
	if (!pool.accounts().some(({ id }) => resetCreditsOf(statusOf(id).usage) > 0)) return;
	const baseUrl = baseUrlOf(host);
	if (baseUrl !== undefined) usage.setBaseUrl(baseUrl);
	await resetCredits.refreshStale(AbortSignal.any([signal, AbortSignal.timeout(LISTS_MS)]));
}

function textOf(view: PoolView, options: ReadonlySet<string>): string {
	if (options.has(COMPACT)) return poolAsLines(view);
	return options.has(DETAIL) ? poolInDetail(view, columnsNow()) : poolAsText(view, columnsNow());
}
