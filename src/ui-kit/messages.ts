import { type Account, NO_WORKSPACE, printable } from "../core/account.ts";
import type { PoolEvent } from "../core/events.ts";
import { ownValue } from "../core/own-value.ts";
import { nobodySignedIn } from "../core/turn-texts.ts";
import {
	byLength,
	isUntouched,
	quotasOf,
	remaining,
	type UsageSnapshot,
	type WindowLeft,
	windowName,
} from "../core/usage.ts";
import { IMPORTED, isTaken, type PlannedImport, TOOLS } from "../features/import/rules.ts";
import { about, asWord, formatClock, formatDuration, formatPercent, humanize, plural, windowLabel } from "./format.ts";

/** The first words in a home without an account: what other tools keep, and what to type. */
export function welcome(planned: readonly PlannedImport[]): string {
	const [first, ...others] = planned.filter(isTaken);
	if (!first) return "No Codex account yet. /multicodex add signs in to one.";
	const { owner, found } = first;
	const who = owner.email ?? found.name;
	if (others.length === 0) {
		return `${TOOLS[found.tool]} login${who === undefined ? "" : ` ${who}`} found. /multicodex import takes it.`;
	}
	const tools = new Set([first, ...others].map((each) => TOOLS[each.found.tool]));
	return `${others.length + 1} Codex logins found (${[...tools].join(", ")}). /multicodex import takes them.`;
}

/** A session on pi's ChatGPT sign-in under `openai`. `model`: the Codex model to change to, where an account could serve it. */
export function notServed(model: string | undefined): string {
	const remedy = model === undefined ? "/multicodex add signs in there." : `/model openai-codex/${model}`;
	return `This session uses OpenAI's own ChatGPT sign-in; pi-multicodex serves openai-codex. ${remedy}`;
}

/** After `off`. Other processes follow at their next request. */
export function switchedAllOff(hasPiLogin: boolean, wasOff: boolean): string {
	const done = wasOff
		? "pi-multicodex is off already."
		: "pi-multicodex is off, here and in every other pi from its next request on.";
	const login = hasPiLogin
		? "pi uses its own Codex login."
		: "pi itself has no Codex login now: /login signs in, /model chooses another provider.";
	return `${done} ${login} /multicodex on to undo.`;
}

/** After `on`. */
export function switchedBackOn(accounts: number, wasOn: boolean): string {
	const done = wasOn ? "pi-multicodex is on already." : "pi-multicodex is on again.";
	return accounts === 0 ? `${done} ${nobodySignedIn()}` : `${done} The pool has ${plural(accounts, "account")}.`;
}

/** The sign-in service is another one than OpenAI's: tools set variables by project. */
export function unusualIssuer(host: string): string {
	return `PI_MULTICODEX_AUTH_URL is set: Codex sign-ins are made and renewed at ${host}, which gets every refresh token.`;
}

/** What a person hears of a pool event; undefined where the footer is enough. */
export function noticeOf(
	event: PoolEvent,
	now: number,
): { readonly level: "info" | "warning"; readonly text: string } | undefined {
	switch (event.type) {
		case "continued":
			return { level: "info", text: continued(event, now) };
		case "last-one":
			return { level: "warning", text: lastOne(event, now) };
		case "on-credits":
			return {
				level: "warning",
				text: `Codex: no account has included quota left. This session goes on with ${event.account.label} on its bought credits until ${formatClock(event.until, now)}.`,
			};
		case "signed-out":
			return {
				level: "warning",
				text: `Codex account ${event.account.label} was signed out: ${printable(whySignedOut(event.account, event.reason))}. ${signInAgain(event.account)}`,
			};
		case "closed":
			return {
				level: "warning",
				text: closed(event),
			};
		case "warning":
			return { level: "warning", text: `Codex: ${printable(event.text)}` };
		default:
			return undefined;
	}
}

const REASON_WORDS = {
	usage_limit: "reached its usage limit",
	workspace_limit: "reached its workspace's limit",
	rate_limit: "is asked to slow down",
	not_included: "has no Codex use for this model",
	model_not_supported: "may not use this model",
	workspace_disabled: "was turned off by its workspace",
	unauthorized: "was refused",
	signed_out: "was signed out",
	closed: "is off",
	refused: "was refused",
	unavailable: "cannot be used just now",
	overloaded: "met a server at its limit",
} as const;

/** First cause and last account, however many were tried between them. */
function continued(event: Extract<PoolEvent, { type: "continued" }>, now: number): string {
	const { first, to, remainingPercent, remainingWindow } = event;
	if (first.type === "switched") {
		const { from, left } = first;
		const why = left ? `; ${from.label} has ${left.isStale ? "~" : ""}${leftOf(left)}` : "";
		return `Codex: now on ${to.label}${why}.`;
	}
	const { from, reason, window, readyAt, guessed } = first;
	const what = reason === "usage_limit" && window ? `reached its ${windowLabel(window)} limit` : REASON_WORDS[reason];
	const resets =
		reason === "usage_limit" && readyAt !== undefined ? ` (resets ${about(guessed)}${formatClock(readyAt, now)})` : "";
	const of = remainingWindow === undefined ? "" : ` of its ${windowLabel(remainingWindow)} limit`;
	const rest = remainingPercent === undefined ? "" : `, ${formatPercent(remainingPercent)}${of} left`;
	return `Codex: ${from.label} ${what}${resets}. Continued on ${to.label}${rest}.`;
}

/** `48% of its 5h limit left`. */
export function leftOf({ window, percent }: WindowLeft): string {
	return `${formatPercent(percent)} of its ${windowLabel(window)} limit left`;
}

function lastOne({ account, left }: Extract<PoolEvent, { type: "last-one" }>, now: number): string {
	const resets = left.resetsAt === undefined ? "" : `, resets in ${formatDuration(left.resetsAt - now)}`;
	return `${account.label} is the last Codex account with quota: ${leftOf(left)}${resets}.`;
}

/** A workspace that stays disabled is not OpenAI's word on the account. */
function closed({ account, reason }: Extract<PoolEvent, { type: "closed" }>): string {
	if (reason.includes("workspace")) return `Codex account ${account.label} is off: ${printable(reason)}.`;
	return `Codex account ${account.label} was deactivated by OpenAI and is off.`;
}

/** Who serves the next request. */
export interface NextRequest {
	/** False while the person has turned us off. */
	readonly isEnabled: boolean;
	/** pi holds a key of its own for Codex, which serves as it is. */
	readonly isForeign: boolean;
	/** The account that serves; undefined where none can. */
	readonly account: Account | undefined;
}

/** `The next request goes to work.`, or why it does not go to one of the accounts. */
export function nextRequest({ isEnabled, isForeign, account }: NextRequest): string {
	if (!isEnabled) return "pi-multicodex is off: this counts after /multicodex on.";
	if (isForeign) return "pi's own API key for openai-codex serves as long as it is there.";
	return account ? `The next request goes to ${account.label}.` : "No Codex account is ready now.";
}

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
	// That the account serves at once is said already.
	const follows = next.account?.id === account.id && next.isEnabled && !next.isForeign ? "" : ` ${nextRequest(next)}`;
	return `Codex: using ${account.label} in all sessions until you choose another.${when}${follows} /multicodex use auto to undo.`;
}

/** After `use auto`. */
export function unpinned(next: NextRequest): string {
	return `Codex: unpinned; accounts are chosen automatically. ${nextRequest(next)}`;
}

/** How to sign in to an account again. */
export function signInAgain({ label }: Account): string {
	return `/multicodex login ${asWord(label)}`;
}

const LOST_REASONS: Readonly<Record<string, string>> = {
	refresh_token_expired: "its sign-in has expired",
	refresh_token_reused: "its sign-in was used by another program",
	refresh_token_invalidated: "its sign-in was revoked",
	refresh_token_exhausted: "its sign-in cannot be renewed any more",
	refresh_token_revoked: "its sign-in was revoked",
	refresh_token_invalid: "its sign-in is not valid any more",
	refresh_token_not_found: "its sign-in is not valid any more",
	invalid_refresh_token: "its sign-in was revoked",
	revoked: "its sign-in was revoked",
	token_revoked: "its sign-in was revoked",
	token_invalidated: "its sign-in was revoked",
	invalid_grant: "its sign-in is not valid any more",
	token_expired: "its sign-in has expired",
	app_session_terminated: "its session was ended",
	session_terminated: "its session was ended",
	session_expired: "its session has expired",
	account_session_expired: "its session has expired",
	account_auth_invalidated: "its sign-in was revoked",
	unauthorized: "its sign-in was refused",
	[NO_WORKSPACE]: "its sign-in names no ChatGPT workspace, so pi cannot use it",
	renewal_refused: "the sign-in service has refused twice to renew its sign-in",
};

/** Codes that say that somebody else has used or ended a sign-in which two programs share. */
const CLASHES = new Set(["refresh_token_reused", "refresh_token_invalidated", "revoked", "token_revoked"]);

/** Why the sign-in of an account is over, as the end of a sentence. An imported one may have clashed with its tool. */
export function whySignedOut({ source }: Account, reason: string): string {
	const tool = source.startsWith(IMPORTED) ? source.slice(IMPORTED.length) : undefined;
	if (tool !== undefined && CLASHES.has(reason)) {
		return `its sign-in is shared with ${toolName(tool)}, which has used or ended it`;
	}
	return ownValue(LOST_REASONS, reason) ?? humanize(reason);
}

const CODE = /^[a-z]+([-_][a-z]+)*$/;

/** The last error of an account in words, also where a code is all that is known of it. */
export function errorWords(text: string): string {
	if (!CODE.test(text)) return text;
	return ownValue(LOST_REASONS, text) ?? text.replaceAll(/[-_]/g, " ");
}

function toolName(tool: string): string {
	return Object.entries(TOOLS).find(([name]) => name === tool)?.[1] ?? tool;
}

/** Of an account whose included quota is spent while bought credits are left. `until`, when quota is back, is epoch ms. */
export function onlyCredits(until: number, now: number): string {
	return `bought credits are left; only a session that is on it goes on with them, until ${formatClock(until, now)}`;
}

/** What is the matter with an account that cannot be used, and what to type. */
export function whatNow(account: Account): string {
	if (!account.enabled) {
		const why = account.disabledReason === undefined ? "by hand" : humanize(account.disabledReason);
		return `off (${why}). /multicodex enable ${asWord(account.label)}`;
	}
	const { needsLogin } = account;
	return needsLogin ? `${whySignedOut(account, needsLogin.reason)}. ${signInAgain(account)}` : "ready";
}

/** Beside the address of a sign-in. */
export function browserSignIn(comesBack: boolean): string {
	return comesBack
		? "A browser window should open. Complete the sign-in to finish."
		: "Ports 1455 and 1457 are taken by other programs, so the browser cannot come back here by itself. Paste the address it ends on.";
}

/** The address of a sign-in was sent as a prompt. `isGiven`: to the sign-in that waits for it. */
export function strayAddress(isGiven: boolean): string {
	return isGiven
		? "Codex: that address went to the sign-in that waits for it, and not to the model."
		: "That is the address of a sign-in, so it was not sent to the model. /multicodex add begins a sign-in to paste it into.";
}

/** Where a sign-in waits and nothing could open its address. */
export function browserMissing(): string {
	return "No browser could be opened here. Open the address on any machine.";
}

/** Where to go with a device code. */
export function deviceSignIn(shown: {
	readonly userCode: string;
	readonly verificationUri: string;
	readonly expiresInSeconds: number;
}): string {
	const { userCode, verificationUri, expiresInSeconds } = shown;
	return `Open ${verificationUri} on any device and type the code ${userCode} there. It is good for ${formatDuration(expiresInSeconds * 1000)}.`;
}

/** A sign-in was asked for where nobody can use a browser or paste anything. */
export function noBrowserHere(): string {
	return "No browser can be used here. Add --device: it prints a code to type on another device.";
}

/** The token that came names nobody whom Codex would serve. */
export function unusableSignIn(): string {
	return "The sign-in gave no account that Codex can be used with. Nothing was changed.";
}

/** The title of a sign-in to an account that is here. */
export function signInAgainTitle({ label }: Account): string {
	return `Sign in to ${label} again`;
}

/** Somebody else has signed in than was asked for. */
export interface OtherAccount {
	/** Undefined where it is not known. */
	readonly email: string | undefined;
	readonly plan: string | undefined;
	/** The account that this is, where it is in the pool. */
	readonly known: Account | undefined;
}

function nameOfOther({ email, plan, known }: OtherAccount, asked: Account): string {
	if (known) return known.label;
	if (email === undefined) return "another account";
	// One person in two workspaces has one e-mail.
	return email === asked.email ? `another workspace of ${email}${plan ? ` (${plan})` : ""}` : email;
}

/** Asks whether the account that has signed in is wanted. */
export function otherAccountQuestion(asked: Account, other: OtherAccount): ActQuestion {
	const what = other.known ? `Give ${other.known.label} this new sign-in?` : "Add it as one more account?";
	return {
		heading: `That was not ${asked.label}`,
		text: `You signed in as ${nameOfOther(other, asked)}, not as ${asked.label}. ${what} ${asked.label} stays as it is.`,
		act: other.known ? `Give it to ${other.known.label}` : "Add it",
		keep: "Change nothing",
		isHarmless: true,
	};
}

/** The same where nobody can be asked. */
export function otherAccountRefused(asked: Account, other: OtherAccount): string {
	return `You signed in as ${nameOfOther(other, asked)}, not as ${asked.label}. Nothing was changed. /multicodex add takes any account.`;
}

/** Several accounts need a sign-in, and none was named. */
export function severalNeedLogin(accounts: readonly Account[]): string {
	return `Several Codex accounts need a sign-in: ${accounts.map(({ label }) => label).join(", ")}. Name one.`;
}

/** What became of a sign-in. */
export interface Joined {
	readonly isNew: boolean;
	/** It was meant for a new account. */
	readonly isForNew: boolean;
	/** Accounts in the pool now. */
	readonly total: number;
	/** What the account has left; undefined where its usage is not known yet. */
	readonly usage?: UsageSnapshot | undefined;
	/** Epoch ms. */
	readonly now: number;
	/** How to choose a model, where that is left to do. */
	readonly modelAdvice?: string;
}

/** After a sign-in: what was done, who that is and what is left, and what to type for the next one. */
export function joined(account: Account, how: Joined): string {
	const { usage, now, modelAdvice = "" } = how;
	const left = usage === undefined ? undefined : leftUntil(usage, now);
	const about = [whoThatIs(account), ...(left === undefined ? [] : [`Left: ${left}.`])].filter(Boolean).join(" ");
	const lines = [`${whatWasDone(account, how)}${modelAdvice}`, about, how.isNew ? NEXT_ONE : ""];
	return lines.filter(Boolean).join("\n");
}

const NEXT_ONE = "/multicodex add signs in to the next one, /multicodex shows all.";

function whoThatIs({ label, email, plan }: Account): string {
	const named = email === label ? undefined : email;
	if (named === undefined && plan === undefined) return "";
	const what = named === undefined ? `on the ${plan} plan` : `${named}${plan === undefined ? "" : ` (${plan})`}`;
	return `${label} is ${what}.`;
}

/** What is left of each window and until when: `73% of 5h until 14:57, 92% of the week until 27 Nov`. */
export function leftUntil(usage: UsageSnapshot, now: number): string | undefined {
	const quotas = byLength(quotasOf(usage)).map((quota) => {
		const name = windowLabel(windowName(quota.windowMinutes));
		const { resetsAt } = quota;
		const isRunning = resetsAt !== undefined && resetsAt > now && !isUntouched(quota, usage, now);
		const until = isRunning ? ` until ${formatClock(resetsAt, now)}` : "";
		return `${formatPercent(remaining(quota, now))} of ${/^\d/.test(name) ? name : `the ${name}`}${until}`;
	});
	return quotas.length > 0 ? quotas.join(", ") : undefined;
}

function whatWasDone(account: Account, { isNew, isForNew, total }: Joined): string {
	const { label, enabled } = account;
	const renewed = isForNew
		? `Codex: that was ${label}, which was already added; its sign-in is renewed. To add another account, choose it in the browser or use a private window.`
		: `Codex: ${label} is signed in again.`;
	const done = isNew ? `Codex: added ${label}. The pool has ${plural(total, "account")} now.` : renewed;
	return enabled ? done : `${done} It is ${whatNow(account)}`;
}

/** Before what became of a sign-in that is only in memory so far. */
export function notStoredYet(): string {
	return "codex-accounts.json cannot be written just now: leave pi open, it tries again by itself. ";
}

/** After `add --undo`. */
export function restored({ label, source }: Account, isPiSignedIn: boolean): string {
	const pis = source === "pi" && !isPiSignedIn ? " pi itself stays signed out; /login signs it in." : "";
	return `Codex: ${label} is back.${pis}`;
}

/** `add <label>` with the label of an account that is here. */
export function labelTakenByAdd(account: Account): string {
	return `A Codex account is called ${account.label} already. ${signInAgain(account)} signs in to it again.`;
}

/** Why a label will not do; undefined where `problem` is. */
export function badLabel(label: string, problem: string | undefined): string | undefined {
	// What makes it bad may be a character that must not reach a terminal.
	return problem === undefined ? undefined : `${/^[\w-]+$/.test(label) ? `"${label}"` : "That label"} ${problem}.`;
}

/** A question about one act, with two answers that name what they do. */
export interface ActQuestion {
	readonly heading: string;
	readonly text: string;
	/** The same for a dialog that is answered by yes or no, where it differs. */
	readonly dialogText?: string;
	/** The answer that does it, e.g. `Remove`. */
	readonly act: string;
	/** The answer that changes nothing, e.g. `Keep`. */
	readonly keep: string;
	/** The act is what the person came for, and takes nothing away: its answer is the highlighted one. */
	readonly isHarmless?: boolean;
}

/** Asks before an account leaves. pi keeps its own login in the pool as long as it is signed in with it. */
export function removeQuestion(
	{ label }: Account,
	how: { readonly isPis: boolean; readonly isActive: boolean; readonly next: NextRequest },
): ActQuestion {
	const { account, isEnabled, isForeign } = how.next;
	const isLast = account === undefined && isEnabled && !isForeign;
	const next = isLast ? "No other account is ready." : nextRequest(how.next);
	const rest = [...(how.isActive || isLast ? [next] : []), "/multicodex add --undo puts it back."];
	const named = how.isPis ? ["This is pi's own login: removing it signs pi out too."] : [];
	const asked = how.isPis ? ["This is pi's own login. Sign pi out too?"] : [];
	return {
		heading: `Remove ${label}?`,
		text: [...named, ...rest].join(" "),
		dialogText: [...asked, ...rest].join(" "),
		act: how.isPis ? "Remove and sign pi out" : "Remove",
		keep: "Keep",
	};
}

/** pi's own login cannot be removed while pi keeps it. */
export function removeNeedsLogout(account: Account): string {
	return `${account.label} is pi's own login. To remove it and sign pi out: /multicodex remove ${asWord(account.label)} --logout`;
}

/** An account cannot leave while its token is on its way. */
export function isBeingRenewed({ label }: Account): string {
	return `The sign-in of ${label} is being renewed just now. Try again in a moment.`;
}

/** pi cannot be signed out of a file that nobody can read. */
export function piLoginUnreadable({ label }: Account): string {
	return `pi's auth.json cannot be read, so pi cannot be signed out of ${label}. Nothing was changed.`;
}

/** After an account left. */
export function removed(
	{ label }: Account,
	how: {
		/** Undefined where the account was not the one to serve next. */
		readonly next: NextRequest | undefined;
		readonly isPiSignedOut: boolean;
		readonly left: number;
	},
): string {
	const pis = how.isPiSignedOut ? " and signed pi out" : "";
	const next = how.next ? [nextRequest(how.next)] : [];
	return [
		`Codex: removed ${label}${pis}.`,
		...(how.left === 0 ? ["No Codex account is left."] : next),
		"/multicodex add --undo puts it back.",
	].join(" ");
}

/** After an account was turned on by hand. */
export function switchedOn(account: Account, next: NextRequest): string {
	const { label, disabledReason, needsLogin } = account;
	if (needsLogin) return `Codex: ${label} is on again, but signed out: ${signInAgain(account)}`;
	const closed = disabledReason ? ` It had been turned off: ${humanize(disabledReason)}.` : "";
	return `Codex: ${label} is on again.${closed} ${nextRequest(next)}`;
}

/** After an account was turned off by hand. */
export function switchedOff({ label }: Account, next: NextRequest): string {
	return `Codex: ${label} is off. ${nextRequest(next)} /multicodex enable ${asWord(label)} to undo.`;
}

/** The end of a sentence about an unknown word: what may have been meant, if anything is near. */
function didYouMean(meant: readonly string[]): string {
	return meant.length > 0 ? ` Did you mean ${oneOfThem(meant)}?` : "";
}

function oneOfThem(words: readonly string[]): string {
	const last = words.at(-1) ?? "";
	return words.length > 1 ? `${words.slice(0, -1).join(", ")} or ${last}` : last;
}

/** The word after `/multicodex` is none. */
export function noSuchCommand(typed: string, meant: readonly string[]): string {
	return `multicodex: there is no "${typed}".${didYouMean(meant) || " /multicodex help lists every command."}`;
}

/** A command was given an option that it does not have. */
export function unknownOption(typed: string, meant: readonly string[]): string {
	return `There is no option ${typed} here.${didYouMean(meant)}`;
}

/** A command was given a word that it does not take; undefined where there was none. */
export function unknownWord(typed: readonly string[], meant: readonly string[]): string | undefined {
	return typed.length > 0 ? `There is no "${typed.join(" ")}" here.${didYouMean(meant)}` : undefined;
}

/** More labels than this are a list to look up, not one to read in a message. */
const FEW = 6;

/** An account was named that there is not. */
export function noSuchAccount(typed: string, meant: readonly string[], labels: readonly string[]): string {
	const few = labels.length > 0 ? `Known: ${labels.join(", ")}.` : "There is none yet: /multicodex add.";
	const known = labels.length > FEW ? "/multicodex show lists them." : few;
	return `No Codex account is called "${typed}".${didYouMean(meant) || ` ${known}`}`;
}

/** `import` was given neither a tool nor a path that is there. */
export function nothingToImport(typed: string, meant: readonly string[], tools: readonly string[]): string {
	return `There is no file, folder or tool "${typed}".${didYouMean(meant) || ` Tools: ${tools.join(", ")}.`}`;
}

/** A preference was named that there is not. */
export function noSuchSetting(typed: string, meant: readonly string[], known: readonly string[]): string {
	return `There is no setting "${typed}".${didYouMean(meant) || ` Known: ${known.join(", ")}.`}`;
}

/** A value will not do. `wanted` is the end of "must be …". */
export function badValue(name: string, wanted: string, meant: readonly string[]): string {
	return `${name} must be ${wanted}, and stays as it is.${didYouMean(meant)}`;
}

/** After `next`. `before`: who would have served else; `wasPinned`: which the move has ended. */
export function movedOn(
	next: Account,
	before: Account | undefined,
	{ left, wasPinned }: { readonly left: string | undefined; readonly wasPinned: boolean },
): string {
	const has = left === undefined ? "" : `, ${left}`;
	const unpinned = before && wasPinned ? ` ${before.label} is no longer pinned.` : "";
	const back = before ? ` /multicodex use ${asWord(before.label)} goes back.` : "";
	return `Codex: this session goes on with ${next.label}${has}.${unpinned}${back}`;
}

/** `next` while everything is off. */
export function noNextWhileOff(): string {
	return "pi-multicodex is off, so pi serves with its own Codex login. /multicodex on resumes.";
}

/** `next` where no other account can serve. */
export function noNext(only: Account | undefined): string {
	return only
		? `No other Codex account can serve now: this session stays on ${only.label}. /multicodex shows all.`
		: "No Codex account can serve now. /multicodex shows all.";
}
