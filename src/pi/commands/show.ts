import type { PoolView } from "../../ui/pool-view.ts";
import { poolAsJson, poolAsLines, poolAsText, poolInDetail } from "../../ui/show.ts";
import { columnsNow } from "../output.ts";
import { viewOf } from "../pool-view.ts";
import { nextFor } from "./moving-on.ts";
import { misused, type Subcommand, sorted } from "./subcommand.ts";

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
		const given = sorted(
			words,
			OPTIONS.map(({ value }) => value),
			show,
		);
		if ("failure" in given) return given;
		const { options, rest } = given;
		if (rest.length > 0) return misused(show);
		if (options.size > 1) return misused(show, `${[...options].join(" and ")} do not go together.`);
		const view = viewOf(pool, settings.read(), clock.now(), nextFor(ctx, deps));
		return { text: textOf(view, options), json: poolAsJson(view), asJson: options.has(JSON_OPTION) };
	},
};

function textOf(view: PoolView, options: ReadonlySet<string>): string {
	if (options.has(COMPACT)) return poolAsLines(view);
	return options.has(DETAIL) ? poolInDetail(view, columnsNow()) : poolAsText(view, columnsNow());
}
