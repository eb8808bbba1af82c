import { poolAsJson, poolAsText } from "../../ui/show.ts";
import { columnsNow } from "../output.ts";
import { viewOf } from "../pool-view.ts";
import { nextFor } from "./moving-on.ts";
import { jsonChoice, misused, type Subcommand, sorted } from "./subcommand.ts";

/** `/multicodex show`: every account, its state, what it has left. */
export const show: Subcommand = {
	name: "show",
	usage: "show [--json]",
	summary: "every account: state, windows left, resets",
	complete: (_deps, before) => jsonChoice(before),
	run: async (words, ctx, deps) => {
		const { pool, clock, settings } = deps;
		const given = sorted(words, ["--json"], show);
		if ("failure" in given) return given;
		if (given.rest.length > 0) return misused(show);
		const view = viewOf(pool, settings.read(), clock.now(), nextFor(ctx, deps));
		return { text: poolAsText(view, columnsNow()), json: poolAsJson(view), asJson: given.options.has("--json") };
	},
};
