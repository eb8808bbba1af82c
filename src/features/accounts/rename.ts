import { type Account, labelProblem } from "../../core/account.ts";
import type { Membership } from "../../core/credentials/membership.ts";
import {
	type AccountNames,
	accountChoices,
	accountRef,
	type CommandContext,
	resolveAccount,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import { modeOf } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import { badLabel, forAllMachines } from "../../ui-kit/account-texts.ts";
import { createNameField } from "./name-field.ts";

interface Args {
	readonly account: Account;
	/** Undefined to ask the person. */
	readonly label: string | undefined;
}

interface Ports extends AccountNames {
	readonly membership: Pick<Membership, "rename">;
}

const USAGE = "rename <account> <label>";

/** `/multicodex rename`: gives an account another label. */
export function createRename(ports: Ports): Subcommand<Args> {
	const { pool, membership } = ports;
	return {
		name: "rename",
		usage: USAGE,
		summary: "give an account another label",
		onAccount: { isOffered: () => true, args: (account) => ({ account, label: undefined }) },
		complete: (before) => (before.length === 0 ? accountChoices(ports) : []),
		parse: ([named, ...rest]) => {
			if (named === undefined) return usageError(USAGE);
			const account = resolveAccount([named], pool);
			if ("failure" in account) return account;
			return { account, label: rest.length > 0 ? rest.join(" ") : undefined };
		},
		run: async ({ account, label: wanted }, ctx) => {
			if (wanted === undefined && !ctx.host.hasUI) return usageError(USAGE);
			const label = (wanted ?? (await askForLabel(account, ctx, ports)))?.trim();
			if (label === undefined) return { text: "Nothing was changed.", json: { account: null }, isCancelled: true };
			const problem = problemOf(label, account, ports);
			if (problem !== undefined) return { failure: `${problem} Nothing was changed.` };
			// The question may have been open for a while.
			if (!pool.accounts().some(({ id }) => id === account.id))
				return { failure: `${account.label} is no longer in the pool. Nothing was changed.` };
			const given = await membership.rename(account.id, label);
			return {
				text: `Codex: ${account.label} is called ${given} now${forAllMachines(account)}.`,
				json: { account: { ...accountRef(account), label: given }, formerly: account.label },
			};
		},
	};
}

/** Returns why an account cannot have this label, as a sentence. */
function problemOf(label: string, { id }: Account, { pool }: Ports): string | undefined {
	const isTaken = pool.accounts().some((other) => other.id !== id && other.label === label);
	return isTaken ? `Another Codex account is already called ${label}.` : badLabel(label, labelProblem(label));
}

/** Asks in a field that contains the present label and stays open until the label is valid; otherwise in a dialog. */
async function askForLabel(account: Account, ctx: CommandContext, ports: Ports): Promise<string | undefined> {
	const { host, signal } = ctx;
	const { label } = account;
	const title = `New label of ${label}`;
	// An e-mail cannot be masked while it is being edited.
	const value = ports.settings.read().maskEmails && label.includes("@") ? "" : label;
	const typed =
		modeOf(host) === "tui"
			? await openPanel<{ readonly label: string | undefined }>(ctx, { ended: { label: undefined } }, (panel) =>
					createNameField({
						...panel,
						title,
						value,
						problemOf: (wanted) => problemOf(wanted, account, ports),
						onEnd: (ended) => panel.close({ label: ended }),
					}),
				)
			: undefined;
	return typed ? typed.label : host.ui.input(title, label, { signal });
}
