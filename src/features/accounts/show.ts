import type { PoolView } from "../../core/pool-view.ts";
import { parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { columnsNow } from "../../pi/output.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { poolAsJson, poolAsLines, poolAsText, poolInDetail } from "./show-view.ts";

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

interface Args {
	readonly options: ReadonlySet<string>;
}

interface Ports {
	readonly session: Pick<SessionView, "pool">;
}

/** `/multicodex show`: every account, its state, what it has left. */
export function createShow({ session }: Ports): Subcommand<Args> {
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
		run: async ({ options }, { host }) => {
			const view = session.pool(host);
			return { text: textOf(view, options), json: poolAsJson(view), asJson: options.has(JSON_OPTION) };
		},
	};
}

function textOf(view: PoolView, options: ReadonlySet<string>): string {
	if (options.has(COMPACT)) return poolAsLines(view);
	return options.has(DETAIL) ? poolInDetail(view, columnsNow()) : poolAsText(view, columnsNow());
}
