import { aligned } from "../../ui/format.ts";
import { misused, type Subcommand, sorted } from "./subcommand.ts";

/** `/multicodex path`: where everything is stored. */
export const path: Subcommand = {
	name: "path",
	usage: "path",
	summary: "where everything is stored",
	run: async (words, _ctx, { paths }) => {
		const given = sorted(words, [], path);
		if ("failure" in given) return given;
		if (words.length > 0) return misused(path);
		return { text: aligned(Object.entries(paths)).join("\n"), json: paths };
	},
};
