import type { Account } from "../../core/account.ts";
import { forAllMachines, type NextRequest, nextRequest, signInAgain } from "../../ui-kit/account-texts.ts";
import { asWord, humanize } from "../../ui-kit/format.ts";
import type { ActQuestion } from "../../ui-kit/question.ts";

/** Asks before an account is removed. pi's own login stays in the pool as long as pi is signed in with it. */
export function removeQuestion(
	{ label, shared }: Account,
	how: { readonly isPis: boolean; readonly isActive: boolean; readonly next: NextRequest },
): ActQuestion {
	const { account, isEnabled, isForeign } = how.next;
	const isLast = account === undefined && isEnabled && !isForeign;
	const next = isLast ? "No other account is ready." : nextRequest(how.next);
	const rest = [...(how.isActive || isLast ? [next] : []), undo(shared)];
	const named = how.isPis ? ["This is pi's own login: removing it signs pi out too."] : [];
	const pooled = shared ? ["It is shared: every machine of the pool loses it."] : [];
	return {
		heading: `Remove ${label}?`,
		text: [...named, ...pooled, ...rest].join(" "),
		act: how.isPis ? "Remove and sign pi out" : "Remove",
		keep: "Keep",
	};
}

/** A shared account comes back as an account of this machine alone. */
function undo(shared: boolean | undefined): string {
	return `/multicodex add --undo puts it back${shared ? ", on this machine alone" : ""}.`;
}

/** pi's own login cannot be removed while pi is signed in with it. */
export function removeNeedsLogout(account: Account): string {
	return `${account.label} is pi's own login. To remove it and sign pi out: /multicodex remove ${asWord(account.label)} --logout`;
}

/** An account cannot be removed while its token is being exchanged. */
export function isBeingRenewed({ label }: Account): string {
	return `The sign-in of ${label} is being renewed right now. Try again in a moment.`;
}

/** pi cannot be signed out if its file cannot be read. */
export function piLoginUnreadable({ label }: Account): string {
	return `pi's auth.json cannot be read, so pi cannot be signed out of ${label}. Nothing was changed.`;
}

/** Returns the text after an account was removed. */
export function removed(
	account: Account,
	how: {
		/** Undefined if the account was not the next one to serve. */
		readonly next: NextRequest | undefined;
		readonly isPiSignedOut: boolean;
		readonly left: number;
	},
): string {
	const { label, shared } = account;
	const pis = how.isPiSignedOut ? " and signed pi out" : "";
	const next = how.next ? [nextRequest(how.next)] : [];
	return [
		`Codex: removed ${label}${pis}${forAllMachines(account)}.`,
		...(how.left === 0 ? ["No Codex account is left."] : next),
		undo(shared),
	].join(" ");
}

/** Returns the text after an account was enabled by hand. */
export function switchedOn(account: Account, next: NextRequest): string {
	const { label, disabledReason, needsLogin } = account;
	if (needsLogin) return `Codex: ${label} is on again, but signed out: ${signInAgain(account)}`;
	const closed = disabledReason ? ` It had been turned off: ${humanize(disabledReason)}.` : "";
	return `Codex: ${label} is on again${forAllMachines(account)}.${closed} ${nextRequest(next)}`;
}

/** Returns the text after an account was disabled by hand. */
export function switchedOff(account: Account, next: NextRequest): string {
	const { label } = account;
	return `Codex: ${label} is off${forAllMachines(account)}. ${nextRequest(next)} /multicodex enable ${asWord(label)} to undo.`;
}

/**
 * Returns the text after `next`. `before`: who would otherwise have served. `wasPinned`: the pin that the move has
 * removed.
 */
export function movedOn(
	next: Account,
	before: Account | undefined,
	{ left, wasPinned }: { readonly left: string | undefined; readonly wasPinned: boolean },
): string {
	const has = left === undefined ? "" : `, ${left}`;
	const unpinned = before && wasPinned ? ` ${before.label} is no longer pinned.` : "";
	const back = before ? ` /multicodex use ${asWord(before.label)} goes back.` : "";
	return `Codex: this session continues on ${next.label}${has}.${unpinned}${back}`;
}

/** Returns the text for `next` while the extension is off. */
export function noNextWhileOff(): string {
	return "pi-multicodex is off, so no account of the pool serves. /multicodex on resumes.";
}

/** Returns the text for `next` if no other account can serve. */
export function noNext(only: Account | undefined): string {
	return only
		? `No other Codex account can serve now: this session stays on ${only.label}. /multicodex shows all.`
		: "No Codex account can serve now. /multicodex shows all.";
}
