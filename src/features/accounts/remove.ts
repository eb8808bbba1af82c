import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../core/account.ts";
import {
	accountChoices,
	accountRef,
	isFirstPositional,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
	type SubcommandDeps,
	usageError,
} from "../../pi/command.ts";
import { forgetLoginInMemory } from "../../pi/provider.ts";
import { askToAct } from "../../pi/question.ts";
import * as messages from "../../ui-kit/messages.ts";
import { isAnyReady, nextFor, nextRequestFor } from "./successor.ts";

/** `/multicodex remove`: take an account out of the pool. Asks first where it can. */
export const remove: Subcommand = {
	name: "remove",
	usage: "remove <account> [--logout]",
	summary: "take an account out; add --undo puts it back",
	asksAccount: () => true,
	complete: (deps, before) => {
		const accounts = isFirstPositional(before) ? accountChoices(deps) : [];
		const option = { value: "--logout", label: "--logout", description: "sign pi out too, where it is pi's own login" };
		return before.includes("--logout") ? accounts : [...accounts, option];
	},
	run: async (words, ctx, deps) => {
		const given = parseOptions(words, ["--logout"], remove);
		if ("failure" in given) return given;
		if (given.rest.length === 0) return usageError(remove);
		const account = resolveAccount(given.rest, deps);
		if ("failure" in account) return account;
		const isPis = deps.membership.isPis(account);
		const mayLogout = given.options.has("--logout");
		if (isPis && !mayLogout && !ctx.hasUI) return { failure: messages.removeNeedsLogout(account) };
		if (ctx.hasUI) {
			const question = messages.removeQuestion(account, {
				isPis,
				next: nextRequestFor(ctx, deps, account.id),
				isActive: nextFor(ctx, deps)?.id === account.id,
			});
			const answer = await askToAct(ctx, question, deps.signal);
			const isCancelled = answer === "cancelled";
			if (answer !== "act") return { text: "Nothing was removed.", json: { account: null }, isCancelled };
		}
		return removeNow(account, ctx, deps);
	},
};

async function removeNow(account: Account, ctx: ExtensionCommandContext, deps: SubcommandDeps): Promise<Outcome> {
	const { membership, pool } = deps;
	const wasReady = isAnyReady(deps);
	const wasNext = nextFor(ctx, deps)?.id === account.id;
	const removal = await membership.remove(account.id);
	if (removal.kind === "busy") return { failure: messages.isBeingRenewed(account) };
	if (removal.kind === "pi-unreadable") return { failure: messages.piLoginUnreadable(account) };
	const { isPiSignedOut } = removal;
	if (isPiSignedOut) forgetLoginInMemory(ctx);
	const next = nextRequestFor(ctx, deps);
	const isNoneReady = wasReady && !isAnyReady(deps);
	return {
		text: messages.removed(account, {
			next: wasNext || isNoneReady ? next : undefined,
			isPiSignedOut,
			left: pool.accounts().length,
		}),
		json: { account: accountRef(account), active: wasNext ? (next.account?.id ?? null) : null },
		isWarning: isNoneReady,
	};
}
