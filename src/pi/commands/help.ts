import type { Subcommand } from "./subcommand.ts";

/** `/multicodex help`: one line a subcommand. */
export const help: Subcommand = {
	name: "help",
	usage: "help",
	summary: "this list",
	run: async (_words, _ctx, { commands }) => {
		const width = Math.max(...commands.map(({ usage }) => usage.length));
		const lines = commands.map(({ usage, summary }) => `/multicodex ${usage.padEnd(width)}  ${summary}`);
		return { text: lines.join("\n"), json: commands.map(({ name, usage, summary }) => ({ name, usage, summary })) };
	},
};
