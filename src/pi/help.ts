import { aligned } from "../ui-kit/format.ts";
import { aliasLine } from "./aliases.ts";
import { parseOptions, type Subcommand } from "./command.ts";

/** pi indents a notice by this much. */
const MARGIN = 2;

/** `/multicodex help`: one line a subcommand. */
export const help: Subcommand = {
	name: "help",
	usage: "help",
	summary: "this list",
	run: async (words, _ctx, { listed }) => {
		const given = parseOptions(words, [], help);
		if ("failure" in given) return given;
		const wide = aligned(listed.map(({ usage, summary }) => [`/multicodex ${usage}`, summary]));
		// A pipe has no width. In a terminal two columns that do not fit are worse than none.
		const columns = process.stdout.columns ?? Number.POSITIVE_INFINITY;
		const fits = wide.every((line) => line.length + MARGIN <= columns);
		const lines = fits
			? wide
			: listed.map(({ usage, summary }) => `${`/multicodex ${usage}`.trimEnd()}\n    ${summary}`);
		return {
			text: [...lines, `Also understood: ${aliasLine()}`].join("\n"),
			json: listed.map(({ name, usage, summary }) => ({ name, usage, summary })),
		};
	},
};
