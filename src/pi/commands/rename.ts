import { labelProblem } from "../../domain/account.ts";
import * as messages from "../../ui/messages.ts";
import { accountCalled, accountChoices, misused, reference, type Subcommand } from "./subcommand.ts";

/** `/multicodex rename`: give an account another label. */
export const rename: Subcommand = {
	name: "rename",
	usage: "rename <account> <label>",
	summary: "give an account another label",
	asksAccount: () => true,
	complete: (deps, before) => (before.length === 0 ? accountChoices(deps) : []),
	run: async (words, ctx, deps) => {
		const [named, ...rest] = words;
		if (named === undefined || (rest.length === 0 && !ctx.hasUI)) return misused(rename);
		const account = accountCalled([named], deps);
		if ("failure" in account) return account;
		const ask = () => ctx.ui.input(`New label of ${account.label}`, account.label, { signal: deps.signal });
		const label = (rest.length > 0 ? rest.join(" ") : await ask())?.trim();
		if (label === undefined) return { text: "Nothing was changed.", json: { account: null } };
		const problem = messages.badLabel(label, labelProblem(label));
		if (problem !== undefined) return { failure: problem };
		const taken = deps.pool.accounts().find((other) => other.id !== account.id && other.label === label);
		if (taken) return { failure: `Another Codex account is called ${label} already. Nothing was changed.` };
		// The question may have stood for a while.
		if (!deps.pool.account(account.id))
			return { failure: `${account.label} is not here any more. Nothing was changed.` };
		const given = await deps.membership.rename(account.id, label);
		return {
			text: `Codex: ${account.label} is called ${given} now.`,
			json: { account: { ...reference(account), label: given }, formerly: account.label },
		};
	},
};
