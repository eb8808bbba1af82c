import { aligned } from "../../ui/format.ts";
import type { Subcommand } from "./subcommand.ts";

/** `/multicodex path`: where everything is stored. */
export const path: Subcommand = {
	name: "path",
	usage: "path",
	summary: "where everything is stored",
	run: async (_words, _ctx, { paths }) => {
		return { text: aligned(Object.entries(paths)).join("\n"), json: paths };
	},
};
