import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { type Account, labelProblem } from "../../core/account.ts";
import {
	accountChoices,
	accountRef,
	resolveAccount,
	type Subcommand,
	type SubcommandDeps,
	usageError,
} from "../../pi/command.ts";
import { modeOf } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import * as messages from "../../ui-kit/messages.ts";
import { createNameField } from "./name-field.ts";

/** `/multicodex rename`: give an account another label. */
export const rename: Subcommand = {
	name: "rename",
	usage: "rename <account> <label>",
	summary: "give an account another label",
	asksAccount: () => true,
	complete: (deps, before) => (before.length === 0 ? accountChoices(deps) : []),
	run: async (words, ctx, deps) => {
		const [named, ...rest] = words;
		if (named === undefined || (rest.length === 0 && !ctx.hasUI)) return usageError(rename);
		const account = resolveAccount([named], deps);
		if ("failure" in account) return account;
		const label = (rest.length > 0 ? rest.join(" ") : await askForLabel(account, ctx, deps))?.trim();
		if (label === undefined) return { text: "Nothing was changed.", json: { account: null }, isCancelled: true };
		const problem = problemOf(label, account, deps);
		if (problem !== undefined) return { failure: `${problem} Nothing was changed.` };
		// The question may have stood for a while.
		if (!deps.pool.account(account.id))
			return { failure: `${account.label} is not here any more. Nothing was changed.` };
		const given = await deps.membership.rename(account.id, label);
		return {
			text: `Codex: ${account.label} is called ${given} now.`,
			json: { account: { ...accountRef(account), label: given }, formerly: account.label },
		};
	},
};

/** Why an account cannot be called so, as a sentence. */
function problemOf(label: string, { id }: Account, { pool }: SubcommandDeps): string | undefined {
	const isTaken = pool.accounts().some((other) => other.id !== id && other.label === label);
	return isTaken ? `Another Codex account is called ${label} already.` : messages.badLabel(label, labelProblem(label));
}

/** In a field that holds the label as it is, and stays until it holds one that will do; else in a dialog. */
async function askForLabel(
	account: Account,
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
): Promise<string | undefined> {
	const { settings, signal } = deps;
	const { label } = account;
	const title = `New label of ${label}`;
	// Letter by letter an e-mail cannot be hidden.
	const value = settings.read().maskEmails && label.includes("@") ? "" : label;
	const typed =
		modeOf(ctx) === "tui"
			? await openPanel<{ readonly label: string | undefined }>(ctx, { signal, ended: { label: undefined } }, (host) =>
					createNameField({
						...host,
						title,
						value,
						problemOf: (wanted) => problemOf(wanted, account, deps),
						onEnd: (ended) => host.close({ label: ended }),
					}),
				)
			: undefined;
	return typed ? typed.label : ctx.ui.input(title, label, { signal });
}
