import { parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { askToAct } from "../../pi/question.ts";
import { plural } from "../../ui-kit/format.ts";
import * as messages from "../../ui-kit/messages.ts";
import { nearest } from "../../ui-kit/nearest.ts";
import { nextRequestFor } from "./successor.ts";

const WHAT = {
	pin: "the pin",
	quota: "every rest: accounts are offered again at once",
	all: "the pin and every rest",
	backups: "the backups of removed accounts",
} as const;

type What = keyof typeof WHAT;

/** What was done. */
const DONE = {
	pin: "Unpinned; accounts are chosen automatically.",
	quota: "Accounts that rested or were out of quota are offered again.",
	all: "Unpinned, and accounts that rested or were out of quota are offered again.",
} as const;

/** Words of earlier versions. Neither deletes anything. */
const ALIASES: Readonly<Record<string, What>> = { manual: "pin", all: "all" };
const OFFERED = ["pin", "quota", "backups"] as const;
const YES = "--yes";

const BACKUPS_QUESTION = {
	heading: "Delete the backups?",
	text: "This deletes every codex-accounts.json.bak-* file, so that add --undo finds nothing, and codex-accounts.json.v1.bak, the accounts file of pi-multicodex 2.x. They cannot be restored.",
	act: "Delete the backups",
	keep: "Keep them",
};

/**
 * `/multicodex reset`: forgets the pin, the rests, or both. Only `backups` deletes a sign-in, and only after a yes:
 * the answer to a question, or `--yes`.
 */
export const reset: Subcommand = {
	name: "reset",
	usage: "reset [pin|quota|backups] [--yes]",
	summary: "unpin, and offer resting accounts again; backups deletes copies of removed accounts",
	complete: (_deps, before) => {
		if (before.length === 0) return OFFERED.map((value) => ({ value, label: value, description: WHAT[value] }));
		const takesYes = before.includes("backups") && !before.includes(YES);
		return takesYes ? [{ value: YES, label: YES, description: "delete without a question" }] : [];
	},
	run: async (words, ctx, deps) => {
		const { pool, removeBackups, signal } = deps;
		const given = parseOptions(words, [YES], reset);
		if ("failure" in given) return given;
		const what = whatIn(given.rest);
		if (!what) return usageError(reset, messages.unknownWord(given.rest, nearest(given.rest.join(" "), OFFERED)));
		if (what !== "backups") {
			if (what !== "quota") await pool.pin(undefined);
			if (what !== "pin") await pool.clearCooldowns();
			return { text: `${DONE[what]} ${messages.nextRequest(nextRequestFor(ctx, deps))}`, json: { reset: what } };
		}
		const isSure = given.options.has(YES);
		if (!isSure && !ctx.hasUI)
			return { failure: `Add ${YES} to delete ${WHAT.backups}: /multicodex reset backups ${YES}` };
		const answer = isSure ? "act" : await askToAct(ctx, BACKUPS_QUESTION, signal);
		if (answer !== "act") {
			return { text: "Nothing was deleted.", json: { reset: null }, isCancelled: answer === "cancelled" };
		}
		const deleted = await removeBackups();
		const text = deleted === 0 ? "There were no backups." : `Deleted ${plural(deleted, "backup")}.`;
		return { text, json: { reset: what, deleted } };
	},
};

/** What the words ask for; without any, what can be cleared without losing a sign-in. */
function whatIn([word = "all", ...others]: readonly string[]): What | undefined {
	if (others.length > 0) return undefined;
	if (Object.hasOwn(ALIASES, word)) return ALIASES[word];
	return OFFERED.find((offered) => offered === word);
}
