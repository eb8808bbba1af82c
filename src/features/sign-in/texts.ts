import type { Account } from "../../core/account.ts";
import type { UsageSnapshot } from "../../core/usage.ts";
import type { Notice } from "../../pi/output.ts";
import { forAllMachines, leftUntil, signInAgain, whatNow } from "../../ui-kit/account-texts.ts";
import { formatDuration, plural } from "../../ui-kit/format.ts";
import type { ActQuestion } from "../../ui-kit/question.ts";

/** Warns about a sign-in service other than OpenAI's, since tools may set variables per project. */
export function unusualIssuer(host: string): string {
	return `PI_MULTICODEX_AUTH_URL is set: ${host} makes and renews Codex sign-ins, and gets every refresh token.`;
}

/** Returns the text beside the address of a sign-in. */
export function browserSignIn(comesBack: boolean): string {
	return comesBack
		? "A browser window should open. Complete the sign-in to finish."
		: "Ports 1455 and 1457 are taken by other programs, so the browser cannot report back to pi. Paste the address that it ends on.";
}

/**
 * Returns the notice for a sign-in address that was sent as a prompt. `isGiven`: it was passed to the waiting sign-in.
 */
export function strayNotice(isGiven: boolean): Notice {
	return isGiven
		? {
				level: "info",
				text: "Codex: that address went to the waiting sign-in, not to the model.",
			}
		: {
				level: "warning",
				text: "That is the address of a sign-in, so it was not sent to the model. /multicodex add starts a sign-in that takes it.",
			};
}

/** Returns the notice for a secret of a shared pool that was sent as a prompt. */
export function strayPoolSecret(what: "code" | "password"): Notice {
	const text =
		what === "code"
			? "That contains the join code of a shared pool, which is secret, so it was not sent to the model. /multicodex join asks for the code."
			: "That contains the password of a database, so it was not sent to the model. To share a pool: /multicodex share <postgres URL>.";
	return { level: "warning", text };
}

/** Returns the text for a runner, who cannot store a sign-in of a shared account. */
export function isKeptByKeepers({ label }: Account): string {
	return `${label} is shared, and this machine is a runner: sign in to it on a keeper's machine.`;
}

/** Returns the text for a waiting sign-in whose address could not be opened. */
export function browserMissing(): string {
	return "No browser could be opened here. Open the address on any machine.";
}

/** Says where to type a device code. */
export function deviceSignIn(shown: {
	readonly userCode: string;
	readonly verificationUri: string;
	readonly expiresInSeconds: number;
}): string {
	const { userCode, verificationUri, expiresInSeconds } = shown;
	return `Open ${verificationUri} on any device and type the code ${userCode} there. It is valid for ${formatDuration(expiresInSeconds * 1000)}.`;
}

/** Returns the text for a mode without a browser or a way to paste. */
export function noBrowserHere(): string {
	return "No browser can be used here. Add --device: it prints a code to type on another device.";
}

/** Returns the text for a token that names no account Codex would serve. */
export function unusableSignIn(): string {
	return "The sign-in returned no account that Codex accepts. Nothing was changed.";
}

/** Returns the title of a sign-in to a known account. */
export function signInAgainTitle({ label }: Account): string {
	return `Sign in to ${label} again`;
}

/** The account of a sign-in, if it is not the one that was asked for. */
interface OtherAccount {
	/** Undefined if unknown. */
	readonly email: string | undefined;
	readonly plan: string | undefined;
	/** The known account, if it is in the pool. */
	readonly known: Account | undefined;
}

function nameOfOther({ email, plan, known }: OtherAccount, asked: Account): string {
	if (known) return known.label;
	if (email === undefined) return "another account";
	// A person in two workspaces has one e-mail.
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

/** Returns the text for a mode without questions. */
export function otherAccountRefused(asked: Account, other: OtherAccount): string {
	return `You signed in as ${nameOfOther(other, asked)}, not as ${asked.label}. Nothing was changed. /multicodex add takes any account.`;
}

/** Returns the text if several accounts need a sign-in and none was named. */
export function severalNeedLogin(accounts: readonly Account[]): string {
	return `Several Codex accounts need a sign-in: ${accounts.map(({ label }) => label).join(", ")}. Name one.`;
}

/** The result of a sign-in. */
interface Joined {
	readonly isNew: boolean;
	/** True if it was meant for a new account. */
	readonly isForNew: boolean;
	/** Number of accounts in the pool now. */
	readonly total: number;
	/** What the account has left; undefined while its usage is unknown. */
	readonly usage?: UsageSnapshot | undefined;
	/** Epoch ms. */
	readonly now: number;
	/** How to choose a model, if that remains to be done. */
	readonly modelAdvice?: string;
}

/**
 * Returns the text after a sign-in: what was done, which account it is and what is left, and what to type for the next
 * one.
 */
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

function whatWasDone(account: Account, { isNew, isForNew, total }: Joined): string {
	const { label, enabled } = account;
	const renewed = isForNew
		? `Codex: that was ${label}, which was already added; its sign-in is renewed${forAllMachines(account)}. To add another account, choose it in the browser or use a private window.`
		: `Codex: ${label} is signed in again${forAllMachines(account)}.`;
	const done = isNew ? `Codex: added ${label}. The pool has ${plural(total, "account")} now.` : renewed;
	return enabled ? done : `${done} It is ${whatNow(account)}`;
}

/** Prefix for a sign-in that could not be saved yet. */
export function notStoredYet(): string {
	return "codex-accounts.json cannot be written right now. Leave pi open: it tries again by itself. ";
}

/** Returns the text after `add --undo`. */
export function restored(account: Account, isPiSignedIn: boolean): string {
	const { label, source, enabled, needsLogin } = account;
	const state = enabled && !needsLogin ? "" : ` It is ${enabled ? "signed out: " : ""}${whatNow(account)}`;
	const pis = source === "pi" && !isPiSignedIn ? " pi itself stays signed out; /login signs it in." : "";
	return `Codex: ${label} is back.${state}${pis}`;
}

/**
 * Returns the text for `add --undo` if there is no backup, or the account is in the pool. `wanted` is the one that a
 * panel removed.
 */
export function nothingToRestore(wanted: Account | undefined): string {
	if (!wanted) return "There is no removed account to put back.";
	return `Codex: ${wanted.label} cannot be put back: it is already here, or its backup is gone.`;
}

/** Returns the text for `add <label>` with the label of a known account. */
export function labelTakenByAdd(account: Account): string {
	return `A Codex account is already called ${account.label}. ${signInAgain(account)} signs in to it again.`;
}
