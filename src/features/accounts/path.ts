import { parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { aligned } from "../../ui-kit/format.ts";

/** `/multicodex path`: where everything is stored. */
export const path: Subcommand = {
	name: "path",
	usage: "path",
	summary: "where everything is stored",
	run: async (words, _ctx, { paths }) => {
		const given = parseOptions(words, [], path);
		if ("failure" in given) return given;
		if (words.length > 0) return usageError(path);
		return { text: aligned(Object.entries(paths)).join("\n"), json: paths };
	},
};
