import type { Account } from "../../core/account.ts";
import type { SharedPools } from "../../core/ports.ts";
import {
	type AccountNames,
	accountChoices,
	type CommandContext,
	isFirstPositional,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
} from "../../pi/command.ts";
import { addBySignIn, type SignInPorts, storeSignIn } from "./add.ts";
import * as texts from "./texts.ts";

interface Args {
	/** Undefined for the one that needs it. */
	readonly account: Account | undefined;
	readonly onDevice: boolean;
}

type Ports = SignInPorts & AccountNames & { readonly sharedPools: Pick<SharedPools, "status"> };

/** `/multicodex login`: signs in again to an account that needs it. */
export function createLogin(ports: Ports): Subcommand<Args> {
	const { pool } = ports;
	const usage = "login [account] [--device]";
	return {
		name: "login",
		usage,
		summary: "sign in again to an account that needs it",
		onAccount: { args: (account) => ({ account, onDevice: false }) },
		complete: (before) => {
			const accounts = isFirstPositional(before) ? accountChoices(ports) : [];
			const device = { value: "--device", label: "--device", description: "with a code to type on another device" };
			return before.includes("--device") ? accounts : [...accounts, device];
		},
		parse: (words) => {
			const given = parseOptions(words, ["--device"], usage);
			if ("failure" in given) return given;
			const onDevice = given.options.has("--device");
			if (given.rest.length === 0) return { account: undefined, onDevice };
			const account = resolveAccount(given.rest, pool);
			return "failure" in account ? account : { account, onDevice };
		},
		run: (args, ctx) =>
			args.account ? signInAgain(args.account, args.onDevice, ctx, ports) : oneInNeed(args, ctx, ports),
	};
}

/** Signs in to the account that needs it, or to a new one if none does. */
async function oneInNeed({ onDevice }: Args, ctx: CommandContext, ports: Ports): Promise<Outcome> {
	const { host, signal } = ctx;
	const inNeed = ports.pool.accounts().filter(({ needsLogin }) => needsLogin);
	const [only, ...others] = inNeed;
	if (!only) return addBySignIn({ label: undefined, onDevice }, ctx, ports);
	if (others.length === 0) return signInAgain(only, onDevice, ctx, ports);
	if (!host.hasUI) return { failure: texts.severalNeedLogin(inNeed) };
	const labels = inNeed.map(({ label }) => label);
	const chosen = await host.ui.select("Sign in again to which account?", labels, { signal });
	const account = inNeed.find(({ label }) => label === chosen);
	if (!account) return { text: "Nothing was changed.", json: { account: null } };
	return signInAgain(account, onDevice, ctx, ports);
}

async function signInAgain(asked: Account, onDevice: boolean, ctx: CommandContext, ports: Ports): Promise<Outcome> {
	// Say so before the person signs in, not afterwards.
	if (asked.shared && ports.sharedPools.status()?.role === "runner") return { failure: texts.isKeptByKeepers(asked) };
	return storeSignIn({ title: texts.signInAgainTitle(asked), onDevice, asked }, ctx, ports);
}
