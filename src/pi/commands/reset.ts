import { misused, type Subcommand } from "./subcommand.ts";

const WHAT = {
	manual: "the pinned account",
	quota: "all cooldowns",
	all: "the pin, all cooldowns, and the backups of removed accounts",
} as const;

/** `/multicodex reset`: forget the pin, the cooldowns, or both. `all` asks first where it can. */
export const reset: Subcommand = {
	name: "reset",
	usage: "reset [manual|quota|all]",
	summary: "clear the pin, the cooldowns, or both",
	complete: (_deps, before) =>
		before.length > 0 ? [] : Object.entries(WHAT).map(([value, description]) => ({ value, label: value, description })),
	run: async (words, ctx, { pool, removeBackups, signal }) => {
		const [what = "all"] = words;
		if (words.length > 1 || !isKnown(what)) return misused(reset);
		if (
			what === "all" &&
			ctx.hasUI &&
			!(await ctx.ui.confirm("Reset MultiCodex?", `Clears ${WHAT.all}.`, { signal }))
		) {
			return { text: "Nothing was reset.", json: { reset: null } };
		}
		if (what !== "quota") await pool.pin(undefined);
		if (what !== "manual") await pool.clearCooldowns();
		if (what === "all") await removeBackups();
		return { text: `Cleared ${WHAT[what]}.`, json: { reset: what } };
	},
};

function isKnown(word: string): word is keyof typeof WHAT {
	return Object.hasOwn(WHAT, word);
}
