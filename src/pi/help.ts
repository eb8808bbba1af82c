import { alignColumns } from "../ui-kit/format.ts";
import { aliasLine } from "./aliases.ts";
import { type NoArgs, parseOptions, type Subcommand } from "./command.ts";

/** The width of the margin that pi puts before a notice. */
const MARGIN = 2;

/** `/multicodex help`: one line per subcommand. Ignores further words. */
export const help: Subcommand<NoArgs> = {
	name: "help",
	usage: "help",
	summary: "this list",
	parse: (words) => {
		const given = parseOptions(words, [], help.usage);
		return "failure" in given ? given : {};
	},
	run: async (_args, { commands }) => {
		const wide = alignColumns(commands.map(({ usage, summary }) => [`/multicodex ${usage}`, summary]));
		// A pipe has no width. In a terminal, two columns that do not fit are worse than one.
		const columns = process.stdout.columns ?? Number.POSITIVE_INFINITY;
		const fits = wide.every((line) => line.length + MARGIN <= columns);
		const lines = fits
			? wide
			: commands.map(({ usage, summary }) => `${`/multicodex ${usage}`.trimEnd()}\n    ${summary}`);
		return {
			text: [...lines, `Also understood: ${aliasLine()}`].join("\n"),
			json: commands.map(({ name, usage, summary }) => ({ name, usage, summary })),
		};
	},
};
