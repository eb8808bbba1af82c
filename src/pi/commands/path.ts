import type { Subcommand } from "./subcommand.ts";

/** `/multicodex path`: where everything is stored. */
export const path: Subcommand = {
	name: "path",
	usage: "path",
	summary: "where everything is stored",
	run: async (_words, _ctx, { paths }) => {
		const width = Math.max(...Object.keys(paths).map((name) => name.length));
		const lines = Object.entries(paths).map(([name, location]) => `${name.padEnd(width)}  ${location}`);
		return { text: lines.join("\n"), json: paths };
	},
};
