import type { Account } from "../../core/account.ts";
import { type NextRequest, nextRequest } from "../../ui-kit/account-texts.ts";
import { about, formatClock, formatDuration } from "../../ui-kit/format.ts";

/** After `use <account>`. `readyAt` (epoch ms) where the account rests. */
export function pinned(
	account: Account,
	how: {
		readonly readyAt: number | undefined;
		readonly isGuess: boolean;
		readonly next: NextRequest;
		/** Epoch ms. */
		readonly now: number;
	},
): string {
	const { readyAt, isGuess, next, now } = how;
	const rests = readyAt !== undefined && readyAt > now;
	const when = rests
		? ` It cannot serve yet and takes over in ${about(isGuess)}${formatDuration(readyAt - now)} (${formatClock(readyAt, now)}).`
		: "";
	// The first sentence has said that the account serves at once.
	const follows = next.account?.id === account.id && next.isEnabled && !next.isForeign ? "" : ` ${nextRequest(next)}`;
	return `Codex: using ${account.label} in all sessions until you choose another.${when}${follows} /multicodex use auto to undo.`;
}

/** After `use auto`. */
export function unpinned(next: NextRequest): string {
	return `Codex: unpinned; accounts are chosen automatically. ${nextRequest(next)}`;
}
