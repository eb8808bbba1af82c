import {
	accountChoices,
	accountRef,
	parseOptions,
	resolveAccount,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import * as messages from "../../ui-kit/messages.ts";
import { isAnyReady, nextRequestFor } from "./successor.ts";

/** `/multicodex enable`: offer an account again that was off. */
export const enable: Subcommand = {
	name: "enable",
	usage: "enable <account>",
	summary: "turn an account on again",
	asksAccount: ({ enabled }) => !enabled,
	complete: (deps, before) => (before.length === 0 ? accountChoices(deps, enable.asksAccount) : []),
	run: async (words, ctx, deps) => {
		const given = parseOptions(words, [], enable);
		if ("failure" in given) return given;
		if (words.length === 0) return usageError(enable);
		const account = resolveAccount(words, deps);
		if ("failure" in account) return account;
		const json = { account: accountRef(account), enabled: true };
		if (account.enabled) return { text: `Codex account ${account.label} is on already.`, json };
		await deps.membership.setEnabled(account.id, true);
		return { text: messages.switchedOn(account, nextRequestFor(ctx, deps)), json };
	},
};

/** `/multicodex disable`: keep an account, but out of use. */
export const disable: Subcommand = {
	name: "disable",
	usage: "disable <account>",
	summary: "turn an account off: keep it, but do not use it",
	asksAccount: ({ enabled }) => enabled,
	complete: (deps, before) => (before.length === 0 ? accountChoices(deps, disable.asksAccount) : []),
	run: async (words, ctx, deps) => {
		const given = parseOptions(words, [], disable);
		if ("failure" in given) return given;
		if (words.length === 0) return usageError(disable);
		const account = resolveAccount(words, deps);
		if ("failure" in account) return account;
		const json = { account: accountRef(account), enabled: false };
		if (!account.enabled) return { text: `Codex account ${account.label} is off already.`, json };
		const wasReady = isAnyReady(deps);
		await deps.membership.setEnabled(account.id, false);
		const isNoneReady = wasReady && !isAnyReady(deps);
		return { text: messages.switchedOff(account, nextRequestFor(ctx, deps)), json, isWarning: isNoneReady };
	},
};
