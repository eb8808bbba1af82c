import type { Pool } from "../../core/pool/pool.ts";
import { parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { unknownWord } from "../../pi/command-texts.ts";
import { askToAct } from "../../pi/question.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { nextRequest } from "../../ui-kit/account-texts.ts";
import { plural } from "../../ui-kit/format.ts";
import { nearest } from "../../ui-kit/nearest.ts";

const WHAT = {
	pin: "the pin",
	quota: "all cooldowns: accounts are offered again at once",
	all: "the pin and all cooldowns",
	backups: "the backups of removed accounts",
} as const;

type What = keyof typeof WHAT;

/** Texts for what was done. */
const DONE = {
	pin: "Unpinned; accounts are chosen automatically.",
	quota: "Accounts that rested or were out of quota are offered again.",
	all: "Unpinned, and accounts that rested or were out of quota are offered again.",
} as const;

/** Words of earlier versions. Neither of them deletes anything. */
const ALIASES: Readonly<Record<string, What>> = { manual: "pin", all: "all" };
const OFFERED = ["pin", "quota", "backups"] as const;
const YES = "--yes";

const BACKUPS_QUESTION = {
	heading: "Delete the backups?",
	text: "This deletes every codex-accounts.json.bak-* file, so that add --undo finds nothing, and codex-accounts.json.v1.bak, the accounts file of pi-multicodex 2.x. They cannot be restored.",
	act: "Delete the backups",
	keep: "Keep them",
};

interface Args {
	readonly what: What;
	/** True if `--yes` was typed. */
	readonly isSure: boolean;
}

interface Ports {
	readonly pool: Pick<Pool, "clearCooldowns" | "pin">;
	readonly session: Pick<SessionView, "nextRequest">;
	/** Deletes the backups of removed and migrated accounts. Resolves to how many there were. */
	readonly removeBackups: () => Promise<number>;
}

/**
 * `/multicodex reset`: clears the pin, the cooldowns, or both. Only `backups` deletes sign-ins, and only after consent:
 * the answer to a question, or `--yes`.
 */
export function createReset({ pool, session, removeBackups }: Ports): Subcommand<Args> {
	const usage = "reset [pin|quota|backups] [--yes]";
	return {
		name: "reset",
		usage,
		summary: "unpin, and let resting accounts serve again; backups deletes copies of removed accounts",
		complete: (before) => {
			if (before.length === 0) return OFFERED.map((value) => ({ value, label: value, description: WHAT[value] }));
			const takesYes = before.includes("backups") && !before.includes(YES);
			return takesYes ? [{ value: YES, label: YES, description: "delete without a question" }] : [];
		},
		parse: (words) => {
			const given = parseOptions(words, [YES], usage);
			if ("failure" in given) return given;
			const what = whatIn(given.rest);
			if (!what) return usageError(usage, unknownWord(given.rest, nearest(given.rest.join(" "), OFFERED)));
			return { what, isSure: given.options.has(YES) };
		},
		run: async ({ what, isSure }, ctx) => {
			if (what !== "backups") {
				if (what !== "quota") await pool.pin(undefined);
				if (what !== "pin") await pool.clearCooldowns();
				return { text: `${DONE[what]} ${nextRequest(session.nextRequest(ctx.host))}`, json: { reset: what } };
			}
			if (!isSure && !ctx.host.hasUI)
				return { failure: `Add ${YES} to delete ${WHAT.backups}: /multicodex reset backups ${YES}` };
			const answer = isSure ? "act" : await askToAct(ctx, BACKUPS_QUESTION);
			if (answer !== "act") {
				return { text: "Nothing was deleted.", json: { reset: null }, isCancelled: answer === "cancelled" };
			}
			const deleted = await removeBackups();
			const text = deleted === 0 ? "There were no backups." : `Deleted ${plural(deleted, "backup")}.`;
			return { text, json: { reset: what, deleted } };
		},
	};
}

/** Returns what to reset. Without words, everything that can be cleared without losing a sign-in. */
function whatIn([word = "all", ...others]: readonly string[]): What | undefined {
	if (others.length > 0) return undefined;
	if (Object.hasOwn(ALIASES, word)) return ALIASES[word];
	return OFFERED.find((offered) => offered === word);
}
