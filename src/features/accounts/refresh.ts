import type { Account } from "../../core/account.ts";
import type { Credentials } from "../../core/credentials/credentials.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { UsageMonitor } from "../../core/pool/usage-monitor.ts";
import type { Clock } from "../../core/ports.ts";
import {
	type AccountNames,
	accountChoices,
	accountRef,
	type CommandContext,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
} from "../../pi/command.ts";
import { baseUrlOf } from "../../pi/provider.ts";
import { type Refreshed, refreshedAsText } from "./refreshed.ts";

const ALL = "all";

interface Args {
	/** Undefined for every account. */
	readonly account: Account | undefined;
}

interface Ports extends AccountNames {
	readonly pool: Pool;
	readonly credentials: Pick<Credentials, "accessToken">;
	readonly usage: Pick<UsageMonitor, "ask" | "setBaseUrl">;
	readonly clock: Clock;
}

/** `/multicodex refresh`: fetches usage now, and renews the token if that is due. */
export function createRefresh(ports: Ports): Subcommand<Args> {
	const { pool } = ports;
	const usage = "refresh [account|all]";
	return {
		name: "refresh",
		usage,
		summary: "ask for usage now, and renew tokens that are due",
		complete: (before) =>
			before.length === 0 ? [...accountChoices(ports), { value: ALL, label: ALL, description: "every account" }] : [],
		parse: (words) => {
			const given = parseOptions(words, [], usage);
			if ("failure" in given) return given;
			if (words.length === 0 || words.join(" ") === ALL) return { account: undefined };
			const account = resolveAccount(words, pool, [ALL]);
			return "failure" in account ? account : { account };
		},
		run: ({ account }, ctx) => refreshAll(account ? [account] : pool.accounts(), ctx, ports),
	};
}

async function refreshAll(accounts: readonly Account[], ctx: CommandContext, ports: Ports): Promise<Outcome> {
	const { pool, usage, clock } = ports;
	const baseUrl = baseUrlOf(ctx.host);
	if (baseUrl !== undefined) usage.setBaseUrl(baseUrl);
	const refreshed = await Promise.all(accounts.map((account) => refreshOne(account, ctx.signal, ports)));
	pool.emit({ type: "changed" });
	const text = refreshedAsText(refreshed, clock.now());
	const [first] = refreshed;
	// Only a failure if not a single account answered.
	if (first?.problem !== undefined && refreshed.every(({ problem }) => problem !== undefined)) {
		return { failure: text };
	}
	return {
		text,
		json: refreshed.map(({ account, problem }) => ({ account: accountRef(account), problem: problem ?? null })),
	};
}

async function refreshOne(
	account: Account,
	signal: AbortSignal,
	{ pool, credentials, usage }: Ports,
): Promise<Refreshed> {
	const { id } = account;
	const outcome = (problem?: string): Refreshed => {
		return { account: pool.account(id) ?? account, usage: pool.status(id).usage, problem };
	};
	if (!account.enabled) return outcome("off");
	// A refresh token that was refused is not sent again. The person has to sign in.
	if (account.needsLogin) return outcome("signed out");
	const token = await credentials.accessToken(id, { signal });
	if (token.kind !== "ready") return outcome(token.kind === "signed-out" ? "signed out" : token.reason);
	if (await usage.ask(id)) return outcome();
	const { usageError, lastError } = pool.status(id);
	return outcome(usageError?.text ?? lastError?.text ?? "its usage could not be fetched");
}
