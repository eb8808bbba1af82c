import * as messages from "../../ui/messages.ts";
import { accountCalled, accountChoices, misused, type Subcommand } from "./subcommand.ts";

const AUTO = "auto";

/** `/multicodex use`: pin an account for all sessions, or let the policy choose again. */
export const use: Subcommand = {
	name: "use",
	usage: "use <account|auto>",
	summary: "pin an account in all sessions, or end that",
	complete: (deps, before) =>
		before.length > 0
			? []
			: [...accountChoices(deps), { value: AUTO, label: AUTO, description: "let the policy choose" }],
	run: async (words, ctx, deps) => {
		const { pool, clock, signal } = deps;
		const labels = pool.accounts().map(({ label }) => label);
		const typed = words.length > 0 ? words.join(" ") : undefined;
		const wanted =
			typed ?? (ctx.hasUI ? await ctx.ui.select("Use Codex account", [...labels, AUTO], { signal }) : undefined);
		if (wanted === undefined)
			return ctx.hasUI ? { text: "Nothing was changed.", json: { pinned: null } } : misused(use);
		if (wanted === AUTO) {
			await pool.pin(undefined);
			return { text: "Codex: the policy chooses the account again.", json: { pinned: null } };
		}
		const account = accountCalled([wanted], deps);
		if ("failure" in account) return account;
		if (!account.enabled || account.needsLogin) {
			return { failure: `Codex account ${account.label} cannot be used: ${messages.whatNow(account)}` };
		}
		await pool.pin(account.id);
		const text = messages.pinned(account, pool.readyAt(account, clock.now()), clock.now());
		return { text, json: { pinned: account.id } };
	},
};
