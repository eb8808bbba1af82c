import { accountChoices, isFirstPositional, parseOptions, resolveAccount, type Subcommand } from "../../pi/command.ts";
import * as messages from "../../ui-kit/messages.ts";
import { addBySignIn, storeSignIn } from "./add.ts";

/** `/multicodex login`: sign in again to an account that needs it. */
export const login: Subcommand = {
	name: "login",
	usage: "login [account] [--device]",
	summary: "sign in again to an account that needs it",
	complete: (deps, before) => {
		const accounts = isFirstPositional(before) ? accountChoices(deps) : [];
		const device = { value: "--device", label: "--device", description: "with a code to type on another device" };
		return before.includes("--device") ? accounts : [...accounts, device];
	},
	run: async (words, ctx, deps) => {
		const given = parseOptions(words, ["--device"], login);
		if ("failure" in given) return given;
		const onDevice = given.options.has("--device");
		const inNeed = deps.pool.accounts().filter(({ needsLogin }) => needsLogin);
		let { rest } = given;
		if (rest.length === 0) {
			const [only, ...others] = inNeed;
			if (!only) return addBySignIn({ label: undefined, onDevice }, ctx, deps);
			if (others.length > 0 && !ctx.hasUI) return { failure: messages.severalNeedLogin(inNeed) };
			const labels = inNeed.map(({ label }) => label);
			const chosen =
				others.length === 0
					? only.label
					: await ctx.ui.select("Sign in again to which account?", labels, { signal: deps.signal });
			if (chosen === undefined) return { text: "Nothing was changed.", json: { account: null } };
			rest = [chosen];
		}
		const asked = resolveAccount(rest, deps);
		if ("failure" in asked) return asked;
		return storeSignIn({ title: messages.signInAgainTitle(asked), onDevice, asked }, ctx, deps);
	},
};
