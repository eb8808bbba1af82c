import { aligned } from "../../ui/format.ts";
import type { Subcommand } from "./subcommand.ts";

/** pi indents a notice by this much. */
const MARGIN = 2;

/** `/multicodex help`: one line a subcommand. */
export const help: Subcommand = {
	name: "help",
	usage: "help",
	summary: "this list",
	run: async (_words, _ctx, { listed }) => {
		const wide = aligned(listed.map(({ usage, summary }) => [`/multicodex ${usage}`, summary]));
		// A pipe has no width. In a terminal two columns that do not fit are worse than none.
		const columns = process.stdout.columns ?? Number.POSITIVE_INFINITY;
		const fits = wide.every((line) => line.length + MARGIN <= columns);
		const lines = fits
			? wide
			: listed.map(({ usage, summary }) => `${`/multicodex ${usage}`.trimEnd()}\n    ${summary}`);
		return { text: lines.join("\n"), json: listed.map(({ name, usage, summary }) => ({ name, usage, summary })) };
	},
};
