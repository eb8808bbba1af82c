import { poolAsJson, poolAsText } from "../../ui/show.ts";
import { viewOf } from "../pool-view.ts";
import { misused, type Subcommand } from "./subcommand.ts";

const DEFAULT_COLUMNS = 80;
/** pi indents a notice by this much. */
const MARGIN = 2;

/** `/multicodex show`: every account, its state, what it has left. */
export const show: Subcommand = {
	name: "show",
	usage: "show [--json]",
	summary: "every account: state, windows left, resets",
	complete: (_deps, before) =>
		before.length > 0 ? [] : [{ value: "--json", label: "--json", description: "as one JSON document" }],
	run: async (words, _ctx, { pool, clock, settings }) => {
		const [option] = words;
		if (words.length > 1 || (option !== undefined && option !== "--json")) return misused(show);
		const view = viewOf(pool, settings.read(), clock.now());
		const columns = (process.stdout.columns ?? DEFAULT_COLUMNS) - MARGIN;
		return { text: poolAsText(view, columns), json: poolAsJson(view), asJson: option === "--json" };
	},
};
