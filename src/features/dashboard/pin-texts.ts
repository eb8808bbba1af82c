import type { Account } from "../../core/account.ts";
import type { ReachedCap } from "../../core/caps.ts";
import { type NextRequest, nextRequest } from "../../ui-kit/account-texts.ts";
import { about, asWord, formatClock, formatDuration, formatPercent, windowLabel } from "../../ui-kit/format.ts";
import type { ActQuestion } from "../../ui-kit/question.ts";

/** Returns the text after `use <account>`. `readyAt` (epoch ms) is set if the account is cooling. */
export function pinned(
	account: Account,
	how: {
		readonly readyAt: number | undefined;
		readonly isGuess: boolean;
		readonly next: NextRequest;
		/** Until when it may be used below its caps, epoch ms. */
		readonly belowCapUntil?: number | undefined;
		/** Epoch ms. */
		readonly now: number;
	},
): string {
	const { readyAt, isGuess, next, belowCapUntil, now } = how;
	const rests = readyAt !== undefined && readyAt > now;
	const when = rests
		? ` It cannot serve yet and takes over in ${about(isGuess)}${formatDuration(readyAt - now)} (${formatClock(readyAt, now)}).`
		: "";
	const belowCap =
		belowCapUntil === undefined ? "" : ` Its caps do not apply until ${formatClock(belowCapUntil, now)}.`;
	// The first sentence has already said that the account serves at once.
	const follows = next.account?.id === account.id && next.isEnabled && !next.isForeign ? "" : ` ${nextRequest(next)}`;
	return `Codex: using ${account.label} in all sessions until you choose another.${when}${belowCap}${follows} /multicodex use auto to undo.`;
}

/** Returns the text for a pin on an account that the session may not use. The pin would do nothing. */
export function notInSet({ label }: Account, folder: string): string {
	return `${label} is not in the account set of ${folder}, and is not used here. /multicodex only shows the set, /multicodex only all ends it.`;
}

function keptText({ window, floorPercent, leftPercent }: ReachedCap): string {
	return `${formatPercent(leftPercent)} of its ${windowLabel(window)} limit is left, ${formatPercent(floorPercent)} of it is kept`;
}

/** Asks before an account is used below its cap. */
export function capQuestion({ label }: Account, cap: ReachedCap, until: number, now: number): ActQuestion {
	return {
		heading: `Use ${label} below its cap?`,
		text: `${keptText(cap)}. All sessions would use ${label} without its caps until ${formatClock(until, now)}, or until you choose another.`,
		act: "Use it below the cap",
		keep: "Keep the cap",
	};
}

/** Returns the text if no person can be asked. */
export function atItsCap({ label }: Account, cap: ReachedCap, until: number, now: number): string {
	const command = `/multicodex use ${asWord(label)} --yes`;
	return `${label} is at its cap: ${keptText(cap)}. ${command} uses it without its caps until ${formatClock(until, now)}.`;
}

/** Returns the text after `use auto`. */
export function unpinned(next: NextRequest): string {
	return `Codex: unpinned; accounts are chosen automatically. ${nextRequest(next)}`;
}
