import type { Account } from "../../core/account.ts";
import { printable } from "../../core/account.ts";
import { EVERYWHERE } from "../../core/account-sets.ts";
import type { Floors } from "../../core/caps.ts";
import { setsUnreadable } from "../../core/request/turn-texts.ts";
import type { UsageSnapshot } from "../../core/usage.ts";
import { capText, type NextRequest, nextRequest } from "../../ui-kit/account-texts.ts";
import { asWord, windowLabel } from "../../ui-kit/format.ts";
import { didYouMean } from "../../ui-kit/nearest.ts";

/** Returns the text for an unknown window. */
export function noSuchWindow(typed: string, meant: readonly string[]): string {
	return `There is no window "${typed}".${didYouMean(meant) || " Known: 5h, week, month."}`;
}

/** Returns the text for a word in place of a cap. */
export function noCap(typed: string): string {
	return `"${typed}" is not a cap: write it as week=20.`;
}

/** Returns the text for a cap that would keep the account unused. */
export function capOfAll(account: string): string {
	return `A cap of 100% would keep the account unused: /multicodex disable ${asWord(account)} does that.`;
}

/** Returns the text for an invalid percentage. */
export function badPercent(window: string, account: string): string {
	const name = windowLabel(window);
	return `${name} must be a whole percentage from 1 to 99. /multicodex cap ${asWord(account)} ${name}=off ends its cap.`;
}

/** Returns the text if no account has a cap. */
export function noCaps(): string {
	return "No account has a cap. /multicodex cap <account> week=20 keeps 20% of its week from every session.";
}

/** Returns the text if an account has no cap. */
export function noCapsOn({ label }: Account): string {
	return `${label} has no cap. /multicodex cap ${asWord(label)} week=20 keeps 20% of its week from every session.`;
}

/** Returns the text after caps were set. */
export function capsSet(
	{ label }: Account,
	windows: readonly string[],
	known: { readonly floors: Floors; readonly usage: UsageSnapshot | undefined; readonly now: number },
): string {
	const caps = windows.map((window) => capText(window, known.floors, known.usage, known.now));
	return `Codex: ${label} is used only down to its cap: ${caps.join("; ")}.`;
}

/** Returns the text after caps of an account ended. */
export function capsEnded({ label }: Account, windows: readonly string[]): string {
	const which = windows.length > 0 ? `its cap of ${windows.map(windowLabel).join(" and ")}` : "its caps";
	return `Codex: ${label} no longer has ${which}.`;
}

/** Returns the text after every cap ended. */
export function allCapsEnded(): string {
	return "Codex: no account has a cap now.";
}

/** Names an account in a list, even if it has left. */
export function nameOr(account: Account | undefined, id: string): string {
	return account?.label ?? `${printable(id)} (not in the pool)`;
}

/** Joins the names of a set's accounts for a sentence. */
function listed(names: readonly string[]): string {
	const last = names.at(-1) ?? "no account";
	return names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${last}` : last;
}

/** Returns the text if no set applies in `folder`. */
export function noSet(folder: string): string {
	return `Sessions in ${printable(folder)} may use every account. /multicodex only <account> limits them to some.`;
}

/** Describes the set that applies, by the names of its accounts. */
export function setHolds(folder: string, names: readonly string[]): string {
	if (folder === EVERYWHERE) return setsUnreadable();
	const use = names.length > 0 ? `use ${listed(names)}, and no other account` : "use no account";
	return `Sessions in ${printable(folder)} ${use}. /multicodex only all ends that.`;
}

/** Returns the text after a set was made. `pinned`: the account outside the set that is pinned. */
export function setMade(
	folder: string,
	names: readonly string[],
	how: { readonly next: NextRequest; readonly pinned: Account | undefined },
): string {
	const pin = how.pinned ? ` The pin on ${how.pinned.label} has no effect there.` : "";
	return `Codex: sessions in ${printable(folder)} use ${listed(names)}, and no other account.${pin} ${nextRequest(how.next)}`;
}

/** Returns the text after a set ended. `outer` is the folder whose set applies now. */
export function setEnded(folder: string, outer: string | undefined, next: NextRequest): string {
	const now = outer === undefined ? "may use every account again" : `are bound to the set of ${printable(outer)}`;
	return `Codex: the account set of ${printable(folder)} has ended: sessions there ${now}. ${nextRequest(next)}`;
}
