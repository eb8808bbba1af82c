import type { PoolView } from "../../core/pool-view.ts";
import { parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { columnsNow } from "../../pi/output.ts";
import { viewOf } from "../../pi/view-of-pool.ts";
import { poolAsJson, poolAsLines, poolAsText, poolInDetail } from "./show-view.ts";
import { nextFor } from "./successor.ts";

const JSON_OPTION = "--json";
const COMPACT = "--compact";
const DETAIL = "--detail";
const OPTIONS = [
	{ value: JSON_OPTION, label: JSON_OPTION, description: "as one JSON document" },
	{ value: COMPACT, label: COMPACT, description: "one line an account, in fixed columns" },
	{
		value: DETAIL,
		label: DETAIL,
		description: "all that is known of each: when what resets, budgets, credits, last error",
	},
];

/** `/multicodex show`: every account, its state, what it has left. */
export const show: Subcommand = {
	name: "show",
	usage: `show [${JSON_OPTION}|${COMPACT}|${DETAIL}]`,
	summary: "every account: state, windows left, resets",
	complete: (_deps, before) => (before.length === 0 ? OPTIONS : []),
	run: async (words, ctx, deps) => {
		const { pool, clock, settings } = deps;
		const given = parseOptions(
			words,
			OPTIONS.map(({ value }) => value),
			show,
		);
		if ("failure" in given) return given;
		const { options, rest } = given;
		if (rest.length > 0) return usageError(show);
		if (options.size > 1) return usageError(show, `${[...options].join(" and ")} do not go together.`);
		const view = viewOf(pool, settings.read(), clock.now(), nextFor(ctx, deps));
		return { text: textOf(view, options), json: poolAsJson(view), asJson: options.has(JSON_OPTION) };
	},
};

function textOf(view: PoolView, options: ReadonlySet<string>): string {
	if (options.has(COMPACT)) return poolAsLines(view);
	return options.has(DETAIL) ? poolInDetail(view, columnsNow()) : poolAsText(view, columnsNow());
}
