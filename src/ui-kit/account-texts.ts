import { type Account, NO_WORKSPACE, printable } from "../core/account.ts";
import { IMPORTED, TOOLS } from "../core/account-source.ts";
import type { Floors } from "../core/caps.ts";
import { ownValue } from "../core/own-value.ts";
import { byLength, includedOf, isUntouched, remaining, type WindowLeft, windowName } from "../core/quota.ts";
import type { ResetCredit } from "../core/reset-credits/reset-credits.ts";
import type { SharedUse } from "../core/shared-pool.ts";
import type { UsageSnapshot } from "../core/usage.ts";
import { asWord, formatClock, formatPercent, humanize, windowLabel } from "./format.ts";

/** `48% of its 5h limit left`. */
export function leftOf({ window, percent }: WindowLeft): string {
	return `${formatPercent(percent)} of its ${windowLabel(window)} limit left`;
}

/** Who serves the next request. */
export interface NextRequest {
	/** False while the extension is switched off. */
	readonly isEnabled: boolean;
	/** True if pi holds its own API key for Codex, which it uses directly. */
	readonly isForeign: boolean;
	/** The account that serves; undefined if none can. */
	readonly account: Account | undefined;
}

/** `The next request goes to work.`, or why none of the accounts gets it. */
export function nextRequest({ isEnabled, isForeign, account }: NextRequest): string {
	if (!isEnabled) return "pi-multicodex is off: this applies after /multicodex on.";
	if (isForeign) return "pi's own API key for openai-codex serves while it is set.";
	return account ? `The next request goes to ${account.label}.` : "No Codex account is ready now.";
}

/** Returns the command to sign in to an account again. */
export function signInAgain({ label }: Account): string {
	return `/multicodex login ${asWord(label)}`;
}

const LOST_REASONS: Readonly<Record<string, string>> = {
	refresh_token_expired: "its sign-in has expired",
	refresh_token_reused: "its sign-in was used by another program",
	refresh_token_invalidated: "its sign-in was revoked",
	refresh_token_exhausted: "its sign-in can no longer be renewed",
	refresh_token_revoked: "its sign-in was revoked",
	refresh_token_invalid: "its sign-in is no longer valid",
	refresh_token_not_found: "its sign-in is no longer valid",
	invalid_refresh_token: "its sign-in was revoked",
	revoked: "its sign-in was revoked",
	token_revoked: "its sign-in was revoked",
	token_invalidated: "its sign-in was revoked",
	invalid_grant: "its sign-in is no longer valid",
	token_expired: "its sign-in has expired",
	app_session_terminated: "its session was ended",
	session_terminated: "its session was ended",
	session_expired: "its session has expired",
	account_session_expired: "its session has expired",
	account_auth_invalidated: "its sign-in was revoked",
	unauthorized: "its sign-in was refused",
	[NO_WORKSPACE]: "its sign-in names no ChatGPT workspace, so pi cannot use it",
	renewal_refused: "the sign-in service has refused twice to renew its sign-in",
	renewed_as_another: "its sign-in was renewed as that of another account",
};

/** Codes for a sign-in that two programs share and that the other one has used or ended. */
const CLASHES = new Set(["refresh_token_reused", "refresh_token_invalidated", "revoked", "token_revoked"]);

/**
 * Returns why the sign-in of an account has ended, as the end of a sentence. An imported one may conflict with its
 * tool.
 */
export function whySignedOut({ source }: Account, reason: string): string {
	const tool = source.startsWith(IMPORTED) ? source.slice(IMPORTED.length) : undefined;
	if (tool !== undefined && CLASHES.has(reason)) {
		return `its sign-in is shared with ${toolName(tool)}, which has used or ended it`;
	}
	return ownValue(LOST_REASONS, reason) ?? humanize(reason);
}

const CODE = /^[a-z]+([-_][a-z]+)*$/;

/** Returns the last error of an account in words, even if only a code is known. */
export function errorWords(text: string): string {
	if (!CODE.test(text)) return text;
	return ownValue(LOST_REASONS, text) ?? text.replaceAll(/[-_]/g, " ");
}

function toolName(tool: string): string {
	return Object.entries(TOOLS).find(([name]) => name === tool)?.[1] ?? tool;
}

/** Returns the text for an account with only bought credits left. `until`, when quota is back, is epoch ms. */
export function onlyCredits(until: number, now: number): string {
	return `bought credits are left; only a session already on this account uses them, until ${formatClock(until, now)}`;
}

/** `20% of the week is kept, reached: 18% left`, or whatever else applies to a cap. */
export function capText(window: string, floors: Floors, usage: UsageSnapshot | undefined, now: number): string {
	const floor = floors[window] ?? 0;
	const kept = `${formatPercent(floor)} of ${partName(window)} is kept`;
	const known = usage ? includedOf(usage).filter(({ windowMinutes }) => windowName(windowMinutes) === window) : [];
	if (!usage) return `${kept}, usage unknown`;
	if (known.length === 0) return `${kept}, not reported now`;
	const left = Math.min(...known.map((each) => remaining(each, now)));
	return `${kept}, ${left <= floor ? "reached: " : ""}${formatPercent(left)} left`;
}

/** Returns the last part of a path, where there is no room for the whole path. */
export function folderName(folder: string): string {
	const name = folder.split(/[\\/]/).findLast((part) => part !== "");
	return printable(name ?? folder);
}

/** Returns the text for an account that the session may not use. */
export function outsideText(folder: string): string {
	return `not in the account set of ${printable(folder)}. /multicodex only`;
}

/** `5h`, but `the week`. */
function partName(window: string): string {
	const name = windowLabel(window);
	return /^\d/.test(name) ? name : `the ${name}`;
}

/** Counts reset credits and says when the first expires: `2, the first expires 3 Dec`. */
export function resetCreditsText(count: number, listed: readonly ResetCredit[] | undefined, now: number): string {
	return `${count}${firstExpiry(count, listed, now)}`;
}

/** `, the first expires 3 Dec`; empty if unknown. */
export function firstExpiry(count: number, listed: readonly ResetCredit[] | undefined, now: number): string {
	const at = listed?.[0]?.expiresAt;
	return at === undefined ? "" : `, ${count === 1 ? "" : "the first "}expires ${formatClock(at, now)}`;
}

/** A change to a shared account applies everywhere. Ends a clause; empty for any other account. */
export function forAllMachines({ shared }: Pick<Account, "shared">): string {
	return shared ? ", for all machines of the pool" : "";
}

/** Returns what is wrong with an account that cannot be used, and what to type. */
export function whatNow(account: Account): string {
	if (!account.enabled) {
		const why = account.disabledReason === undefined ? "by hand" : humanize(account.disabledReason);
		return `off (${why}). /multicodex enable ${asWord(account.label)}`;
	}
	const { needsLogin } = account;
	return needsLogin ? `${whySignedOut(account, needsLogin.reason)}. ${signInAgain(account)}` : "ready";
}

/** Returns what is left of each window, and until when: `73% of 5h until 14:57, 92% of the week until 27 Nov`. */
export function leftUntil(usage: UsageSnapshot, now: number): string | undefined {
	const quotas = byLength(includedOf(usage)).map((quota) => {
		const name = windowLabel(windowName(quota.windowMinutes));
		const { resetsAt } = quota;
		const isRunning = resetsAt !== undefined && resetsAt > now && !isUntouched(quota, usage, now);
		const until = isRunning ? ` until ${formatClock(resetsAt, now)}` : "";
		return `${formatPercent(remaining(quota, now))} of ${partName(name)}${until}`;
	});
	return quotas.length > 0 ? quotas.join(", ") : undefined;
}

/** Returns why a label is invalid; undefined if `problem` is. */
export function badLabel(label: string, problem: string | undefined): string | undefined {
	// The invalid character may be one that must not reach a terminal.
	return problem === undefined ? undefined : `${/^[\w-]+$/.test(label) ? `"${label}"` : "That label"} ${problem}.`;
}

/** Who renews the token of a shared account, unless this machine does. */
const RENEWED_ELSEWHERE: Readonly<Record<SharedUse["renewal"], string | undefined>> = {
	here: undefined,
	keepers: "renewed by a keeper",
	waits: "not renewed while the pool is away",
};

/** Returns when the token of an account expires; undefined if the account has to sign in again. */
export function signedIn(
	{ credential, needsLogin }: Account,
	now: number,
	shared?: SharedUse | undefined,
): string | undefined {
	if (needsLogin) return undefined;
	const { expiresAt } = credential;
	const elsewhere = shared && RENEWED_ELSEWHERE[shared.renewal];
	if (expiresAt > now) return `token until ${formatClock(expiresAt, now)}, ${elsewhere ?? "renewed by itself"}`;
	return elsewhere === undefined ? "renewed at its next request" : `token expired, ${elsewhere}`;
}
