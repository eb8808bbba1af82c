import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../core/account.ts";
import {
	accountChoices,
	accountRef,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
	type SubcommandDeps,
} from "../../pi/command.ts";
import { baseUrlOf } from "../../pi/provider.ts";
import { type Refreshed, refreshedAsText } from "./refreshed.ts";

const ALL = "all";

/** `/multicodex refresh`: ask for usage now, and renew the token where that is due. */
export const refresh: Subcommand = {
	name: "refresh",
	usage: "refresh [account|all]",
	summary: "ask for usage now, and renew tokens that are due",
	complete: (deps, before) =>
		before.length === 0 ? [...accountChoices(deps), { value: ALL, label: ALL, description: "every account" }] : [],
	run: async (words, ctx, deps) => {
		const given = parseOptions(words, [], refresh);
		if ("failure" in given) return given;
		const isAll = words.length === 0 || words.join(" ") === ALL;
		const named = isAll ? undefined : resolveAccount(words, deps, [ALL]);
		if (named && "failure" in named) return named;
		return refreshAll(named ? [named] : deps.pool.accounts(), ctx, deps);
	},
};

async function refreshAll(
	accounts: readonly Account[],
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
): Promise<Outcome> {
	const { pool, usage, clock } = deps;
	const baseUrl = baseUrlOf(ctx);
	if (baseUrl !== undefined) usage.setBaseUrl(baseUrl);
	const refreshed = await Promise.all(accounts.map((account) => refreshOne(account, deps)));
	pool.emit({ type: "changed" });
	const text = refreshedAsText(refreshed, clock.now());
	const [first] = refreshed;
	// One line for one account, and for many only where nobody could be asked.
	if (first?.problem !== undefined && refreshed.every(({ problem }) => problem !== undefined)) {
		return { failure: text };
	}
	return {
		text,
		json: refreshed.map(({ account, problem }) => ({ account: accountRef(account), problem: problem ?? null })),
	};
}

async function refreshOne(account: Account, deps: SubcommandDeps): Promise<Refreshed> {
	const { pool, credentials, usage, signal } = deps;
	const { id } = account;
	const outcome = (problem?: string): Refreshed => {
		return { account: pool.account(id) ?? account, usage: pool.status(id).usage, problem };
	};
	if (!account.enabled) return outcome("off");
	// A refresh token that was refused once is not sent again: it needs the person.
	if (account.needsLogin) return outcome("signed out");
	const token = await credentials.accessToken(id, { signal });
	if (token.kind !== "ready") return outcome(token.kind === "signed-out" ? "signed out" : token.reason);
	if (await usage.ask(id)) return outcome();
	const { usageError, lastError } = pool.status(id);
	return outcome(usageError?.text ?? lastError?.text ?? "its usage could not be asked for");
}
