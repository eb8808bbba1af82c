import { accountsNamed } from "../../domain/account.ts";
import * as messages from "../../ui/messages.ts";
import { misused, type Subcommand } from "./subcommand.ts";

const AUTO = "auto";

/** `/multicodex use`: pin an account for all sessions, or let the policy choose again. */
export const use: Subcommand = {
	name: "use",
	usage: "use <account|auto>",
	summary: "pin an account in all sessions, or end that",
	complete: ({ pool, maskEmails }) => [
		...pool.accounts().map(({ label, email }) => {
			return { value: label, label, ...(email !== undefined && !maskEmails() && { description: email }) };
		}),
		{ value: AUTO, label: AUTO, description: "let the policy choose" },
	],
	run: async (words, ctx, { pool, clock }) => {
		if (words.length > 1) return misused(use);
		const labels = pool.accounts().map(({ label }) => label);
		const wanted = words[0] ?? (ctx.hasUI ? await ctx.ui.select("Use Codex account", [...labels, AUTO]) : undefined);
		if (wanted === undefined)
			return ctx.hasUI ? { text: "Nothing was changed.", json: { pinned: null } } : misused(use);
		if (wanted === AUTO) {
			await pool.pin(undefined);
			return { text: "Codex: the policy chooses the account again.", json: { pinned: null } };
		}
		const matches = accountsNamed(pool.accounts(), wanted);
		const [account] = matches;
		if (!account) return { failure: `No Codex account is called "${wanted}". Known: ${labels.join(", ") || "none"}.` };
		if (matches.length > 1) {
			const listed = matches.map(({ label, id }) => `${label} (${id})`).join(", ");
			return { failure: `"${wanted}" may mean ${listed}. Nothing was changed.` };
		}
		if (!account.enabled) return { failure: `Codex account ${account.label} is switched off.` };
		if (account.needsLogin) return { failure: `Codex account ${account.label} must sign in again: /login.` };
		await pool.pin(account.id);
		const text = messages.pinned(account, pool.readyAt(account, clock.now()), clock.now());
		return { text, json: { pinned: account.id } };
	},
};
