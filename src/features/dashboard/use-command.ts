import type { Account } from "../../core/account.ts";
import { isInSet } from "../../core/account-sets.ts";
import { reachedCap } from "../../core/caps.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { Clock } from "../../core/ports.ts";
import { gatedIn } from "../../core/request/plan.ts";
import {
	type AccountNames,
	accountChoices,
	type CommandContext,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { discardingTypeahead } from "../../pi/discard-typeahead.ts";
import { modeOf } from "../../pi/output.ts";
import { askToAct } from "../../pi/question.ts";
import { sessionIdOf } from "../../pi/session-id.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { whatNow } from "../../ui-kit/account-texts.ts";
import { pickOnScreen } from "./pick-on-screen.ts";
import { atItsCap, capQuestion, notInSet, pinned, unpinned } from "./pin-texts.ts";

const MINUTE_MS = 60_000;
const AUTO = "auto";
const ADD = "add";
const YES = "--yes";

/** An account to pin, `auto` for the policy, `add` for a sign-in, or `ask` for a list to choose from. */
type Choice =
	| {
			readonly kind: "account";
			readonly account: Account;
			/** True if `--yes` was typed. A cap then needs no question. */
			readonly isAgreed?: boolean;
	  }
	| { readonly kind: "auto" | "add" | "ask" };

interface Ports extends AccountNames {
	readonly pool: Pool;
	readonly session: Pick<SessionView, "nextRequest" | "plan" | "pool">;
	readonly clock: Clock;
}

/** `/multicodex use`: pins an account for all sessions, or lets the policy choose again. */
export function createUse(ports: Ports): Subcommand<Choice> {
	const { pool, session } = ports;
	const usage = `use [account|auto] [${YES}]`;
	return {
		name: "use",
		usage,
		summary: "pin an account in all sessions, or unpin it; choose from a list",
		isPanel: (words) => words.length === 0,
		onAccount: { args: (account) => ({ kind: "account", account }) },
		complete: (before) =>
			before.length > 0
				? []
				: [...accountChoices(ports), { value: AUTO, label: AUTO, description: "let the policy choose" }],
		parse: (words) => {
			const given = parseOptions(words, [YES], usage);
			if ("failure" in given) return given;
			if (words.length === 0) return { kind: "ask" };
			if (given.rest.length === 0) return usageError(usage);
			const wanted = given.rest.join(" ");
			if (wanted === AUTO || wanted === ADD) return { kind: wanted };
			const account = resolveAccount([wanted], pool, [AUTO, ADD]);
			return "failure" in account ? account : { kind: "account", account, isAgreed: given.options.has(YES) };
		},
		run: async (args, ctx) => {
			if (args.kind === "ask" && !ctx.host.hasUI) return usageError(usage);
			const choice = args.kind === "ask" ? await ask(ctx, ports) : args;
			switch (choice?.kind) {
				case "account":
					return pin(choice.account, choice.isAgreed === true, ctx, ports);
				case "auto":
					await pool.pin(undefined);
					return { text: unpinned(session.nextRequest(ctx.host)), json: { pinned: null } };
				case "add":
					await ctx.run("add", { words: [] });
					return undefined;
				case "closed":
					return undefined;
				default:
					return { text: "Nothing was changed.", json: { pinned: null } };
			}
		},
	};
}

async function pin(
	account: Account,
	isAgreed: boolean,
	ctx: CommandContext,
	{ pool, session, clock }: Ports,
): Promise<Outcome> {
	const { host } = ctx;
	if (!account.enabled || account.needsLogin) {
		return { failure: `Codex account ${account.label} cannot be used: ${whatNow(account)}` };
	}
	const set = pool.setFor(sessionIdOf(host));
	if (set && !isInSet(set, account)) return { failure: notInSet(account, set.folder) };
	const now = clock.now();
	const cap = reachedCap(pool.floors(account), pool.status(account.id).usage, now);
	const belowCapUntil = cap && (cap.until ?? now + cap.windowMinutes * MINUTE_MS);
	if (cap && belowCapUntil !== undefined && !isAgreed) {
		if (!host.hasUI) return { failure: atItsCap(account, cap, belowCapUntil, now) };
		const answer = await askToAct(ctx, capQuestion(account, cap, belowCapUntil, now));
		const isCancelled = answer === "cancelled";
		if (answer !== "act") return { text: "Nothing was changed.", json: { pinned: pool.pinned() ?? null }, isCancelled };
	}
	await pool.pin(account.id, belowCapUntil);
	const gated = gatedIn(session.plan(host), account.id);
	const isGuess = gated?.gate.kind === "cooling" && gated.gate.guessed === true;
	const next = session.nextRequest(host);
	const text = pinned(account, { readyAt: gated?.readyAt, isGuess, next, belowCapUntil, now });
	return { text, json: { pinned: account.id } };
}

/** Asks on a panel, or in a dialog if there are only dialogs; undefined without an answer. */
async function ask(ctx: CommandContext, ports: Ports): Promise<Choice | { readonly kind: "closed" } | undefined> {
	const { pool, clock } = ports;
	const { host, signal } = ctx;
	const pick = (held: CommandContext) => pickOnScreen(held, ports);
	const picked = modeOf(host) === "tui" ? await discardingTypeahead(ctx, clock, pick) : undefined;
	if (picked?.kind === "use") {
		const account = pool.account(picked.id);
		return account && { kind: "account", account };
	}
	if (picked) return picked;
	const accounts = pool.accounts();
	const choices = [...accounts.map(({ label }) => label), AUTO, ADD];
	const chosen = await host.ui.select("Use Codex account", choices, { signal });
	if (chosen === AUTO || chosen === ADD) return { kind: chosen };
	const account = accounts.find(({ label }) => label === chosen);
	return account && { kind: "account", account };
}
