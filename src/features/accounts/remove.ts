import type { Account } from "../../core/account.ts";
import type { Membership } from "../../core/credentials/membership.ts";
import {
	type AccountNames,
	accountChoices,
	accountRef,
	type CommandContext,
	isFirstPositional,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { forgetLoginInMemory } from "../../pi/provider.ts";
import { askToAct } from "../../pi/question.ts";
import type { SessionView } from "../../pi/session-view.ts";
import * as texts from "./texts.ts";

interface Args {
	readonly account: Account;
	/** True if `--logout` was typed. */
	readonly mayLogout: boolean;
}

interface Ports extends AccountNames {
	readonly membership: Pick<Membership, "isPis" | "remove">;
	readonly session: Pick<SessionView, "isAnyReady" | "next" | "nextRequest">;
}

/** `/multicodex remove`: takes an account out of the pool. Asks first if it can. */
export function createRemove(ports: Ports): Subcommand<Args> {
	const { membership, pool, session } = ports;
	const usage = "remove <account> [--logout]";
	return {
		name: "remove",
		usage,
		summary: "remove an account; add --undo puts it back",
		onAccount: { isOffered: () => true, args: (account) => ({ account, mayLogout: false }) },
		complete: (before) => {
			const accounts = isFirstPositional(before) ? accountChoices(ports) : [];
			const option = {
				value: "--logout",
				label: "--logout",
				description: "also sign pi out, if it is pi's own login",
			};
			return before.includes("--logout") ? accounts : [...accounts, option];
		},
		parse: (words) => {
			const given = parseOptions(words, ["--logout"], usage);
			if ("failure" in given) return given;
			if (given.rest.length === 0) return usageError(usage);
			const account = resolveAccount(given.rest, pool);
			return "failure" in account ? account : { account, mayLogout: given.options.has("--logout") };
		},
		run: async ({ account, mayLogout }, ctx) => {
			const { host } = ctx;
			const isPis = membership.isPis(account);
			if (isPis && !mayLogout && !host.hasUI) return { failure: texts.removeNeedsLogout(account) };
			if (host.hasUI) {
				const question = texts.removeQuestion(account, {
					isPis,
					next: session.nextRequest(host, account.id),
					isActive: session.next(host)?.id === account.id,
				});
				const answer = await askToAct(ctx, question);
				const isCancelled = answer === "cancelled";
				if (answer !== "act") return { text: "Nothing was removed.", json: { account: null }, isCancelled };
			}
			return removeNow(account, ctx, ports);
		},
	};
}

async function removeNow(
	account: Account,
	{ host }: CommandContext,
	{ membership, pool, session }: Ports,
): Promise<Outcome> {
	const wasReady = session.isAnyReady();
	const wasNext = session.next(host)?.id === account.id;
	const removal = await membership.remove(account.id);
	if (removal.kind === "busy") return { failure: texts.isBeingRenewed(account) };
	if (removal.kind === "pi-unreadable") return { failure: texts.piLoginUnreadable(account) };
	const { isPiSignedOut } = removal;
	if (isPiSignedOut) forgetLoginInMemory(host);
	const next = session.nextRequest(host);
	const isNoneReady = wasReady && !session.isAnyReady();
	return {
		text: texts.removed(account, {
			next: wasNext || isNoneReady ? next : undefined,
			isPiSignedOut,
			left: pool.accounts().length,
		}),
		json: { account: accountRef(account), active: wasNext ? (next.account?.id ?? null) : null },
		isWarning: isNoneReady,
	};
}
