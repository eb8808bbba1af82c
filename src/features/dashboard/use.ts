import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { isReadyAtGuessed } from "../../core/cooldown.ts";
import {
	accountChoices,
	parseOptions,
	resolveAccount,
	type Subcommand,
	type SubcommandDeps,
	usageError,
} from "../../pi/command.ts";
import { discardingTypeahead } from "../../pi/discard-typeahead.ts";
import { modeOf } from "../../pi/output.ts";
import * as messages from "../../ui-kit/messages.ts";
import { nextRequestFor } from "../accounts/successor.ts";
import { add } from "../sign-in/add.ts";
import { pickOnScreen } from "./picker-command.ts";

const AUTO = "auto";
const ADD = "add";

/** `/multicodex use`: pin an account for all sessions, or let the policy choose again. */
export const use: Subcommand = {
	name: "use",
	usage: "use [account|auto]",
	isPanel: (words) => words.length === 0,
	summary: "pin an account in all sessions, or end that; choose from a list",
	complete: (deps, before) =>
		before.length > 0
			? []
			: [...accountChoices(deps), { value: AUTO, label: AUTO, description: "let the policy choose" }],
	run: async (words, ctx, deps) => {
		const { pool, clock } = deps;
		if (words.length === 0 && !ctx.hasUI) return usageError(use);
		const given = parseOptions(words, [], use);
		if ("failure" in given) return given;
		const picked =
			words.length === 0 && modeOf(ctx) === "tui" ? await discardingTypeahead(ctx, deps, pickOnScreen) : undefined;
		if (picked?.kind === "closed") return undefined;
		const wanted = words.length > 0 ? words.join(" ") : await wordFor(picked, ctx, deps);
		if (wanted === undefined) return { text: "Nothing was changed.", json: { pinned: null } };
		if (wanted === ADD) return add.run([], ctx, deps);
		if (wanted === AUTO) {
			await pool.pin(undefined);
			return { text: messages.unpinned(nextRequestFor(ctx, deps)), json: { pinned: null } };
		}
		const account = resolveAccount([wanted], deps, [AUTO, ADD]);
		if ("failure" in account) return account;
		if (!account.enabled || account.needsLogin) {
			return { failure: `Codex account ${account.label} cannot be used: ${messages.whatNow(account)}` };
		}
		await pool.pin(account.id);
		const now = clock.now();
		const isGuess = isReadyAtGuessed(pool.status(account.id).cooldowns, undefined, now);
		const next = nextRequestFor(ctx, deps);
		const text = messages.pinned(account, { readyAt: pool.readyAt(account, now), isGuess, next, now });
		return { text, json: { pinned: account.id } };
	},
};

/** What was picked, as it would be typed; where there are only dialogs, what is chosen in one. */
function wordFor(
	picked: Awaited<ReturnType<typeof pickOnScreen>>,
	ctx: ExtensionCommandContext,
	{ pool, signal }: SubcommandDeps,
): Promise<string | undefined> | string {
	if (picked) return "id" in picked ? picked.id : AUTO;
	const labels = pool.accounts().map(({ label }) => label);
	return ctx.ui.select("Use Codex account", [...labels, AUTO, ADD], { signal });
}
