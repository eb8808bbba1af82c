import { basename } from "node:path";
import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { type Account, matchAccounts } from "../core/account.ts";
import { ownValue } from "../core/own-value.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { SettingsStore } from "../core/ports.ts";
import { hideEmails } from "../core/privacy.ts";
import { asWord } from "../ui-kit/format.ts";
import { comparable, nearest } from "../ui-kit/nearest.ts";
import { noSuchAccount, unknownOption } from "./command-texts.ts";
import type { Result } from "./output.ts";

/** A choice offered while a command is typed. */
export interface Completion {
	readonly value: string;
	readonly label: string;
	readonly description?: string;
}

/** Why a command did nothing, in one line. */
export interface Failure {
	readonly failure: string;
}

/** True for a {@link Failure}. */
export function isFailure(value: object): value is Failure {
	return "failure" in value && typeof value.failure === "string";
}

/** The outcome of a command. A failure means that nothing has changed. */
export type Outcome = Result | Failure;

/** The input of a command: the words typed after its name, or the account that a panel or menu holds. */
export type Given = { readonly words: readonly string[] } | { readonly account: Account };

/** How a command ended. `cancelled`: the person left a dialog without an answer. */
export type Ended = "done" | "cancelled";

/** The session that a command runs in, and the other commands. */
export interface CommandContext {
	/** pi's own context. */
	readonly host: ExtensionCommandContext;
	/** Fires when the session in which the command was given ends. */
	readonly signal: AbortSignal;
	/** Every subcommand. The one without a word comes first. */
	readonly commands: readonly Subcommand[];
	/** Settles when the command and everything that it has run have ended. Until then it may show a panel. */
	readonly ended: Promise<void>;
	/** Runs another command and reports its outcome; with `isQuiet`, only a failure. Never throws. */
	run(name: string, given: Given, how?: { readonly isQuiet?: boolean }): Promise<Ended>;
	/** Returns the same session with another view of pi's context. */
	on(host: ExtensionCommandContext): CommandContext;
}

/** One word after `/multicodex`. A feature creates it over the ports that it names. */
export interface Subcommand<Args extends object = object> {
	readonly name: string;
	/** How it is typed, for `help`. */
	readonly usage: string;
	/** What it does, in a few words. */
	readonly summary: string;
	/** True if it writes nothing. It then starts without first applying what other processes and pi have stored. */
	readonly isLookOnly?: true;
	/** Set if it can work on one account that a panel or menu holds. */
	readonly onAccount?: AccountCommand<Args>;
	/** Completes the words after `before`; `typed` is the beginning of the next one. */
	complete?(before: readonly string[], typed: string): Completion[];
	/** True if, with these words, it is a panel that draws at once. Changes made elsewhere are read afterwards. */
	isPanel?(words: readonly string[]): boolean;
	/** Parses the words of the slash command. Only typed words get here. */
	parse(words: readonly string[]): Args | Failure;
	/** Runs the command. Undefined if everything was already reported. */
	run(args: Args, ctx: CommandContext): Promise<Outcome | undefined>;
}

/** How a command works on one account. */
interface AccountCommand<Args> {
	args(account: Account): Args;
	/** True if a menu offers the account for this command. Without this method the command asks by itself. */
	isOffered?(account: Account): boolean;
}

/** The subcommands: the one for `/multicodex` without a word, and the others in the order of `help`. */
export interface CommandList {
	readonly withoutAWord: Subcommand;
	readonly named: readonly Subcommand[];
}

/** Returns the failure for words that a subcommand does not take. `problem` is a sentence about what is wrong. */
export function usageError(usage: string, problem?: string): Failure {
	const typed = `Usage: /multicodex ${usage}`;
	return { failure: problem === undefined ? typed : `${problem} ${typed}` };
}

const OPTION = /^-+\p{L}/u;
/** Matches what keyboards make of two minus signs. A label may begin like this, or a known option may be meant. */
const DASHED = /^[\u2013\u2014]\p{L}/u;

/** Splits words into options and others. Returns a failure that names the first unknown option. */
export function parseOptions(
	words: readonly string[],
	known: readonly string[],
	usage: string,
): { readonly options: ReadonlySet<string>; readonly rest: readonly string[] } | Failure {
	const isOption = (word: string) => OPTION.test(word) || (known.length > 0 && DASHED.test(word));
	const options = words.filter(isOption);
	const unknown = options.find((option) => !known.includes(option));
	if (unknown !== undefined) return usageError(usage, unknownOption(unknown, nearest(unknown, known)));
	return { options: new Set(options), rest: words.filter((word) => !isOption(word)) };
}

/** The arguments of a command that takes no words. */
export type NoArgs = Readonly<Record<string, never>>;

/** Accepts no words. */
export function parseNothing(words: readonly string[], usage: string): NoArgs | Failure {
	const given = parseOptions(words, [], usage);
	if ("failure" in given) return given;
	return words.length > 0 ? usageError(usage) : {};
}

/** The arguments of a command that takes one account and nothing else. */
export interface AccountArgs {
	readonly account: Account;
}

/** Parses the name of one account. */
export function parseAccount(
	words: readonly string[],
	usage: string,
	pool: Pick<Pool, "accounts">,
): AccountArgs | Failure {
	const given = parseOptions(words, [], usage);
	if ("failure" in given) return given;
	if (words.length === 0) return usageError(usage);
	const account = resolveAccount(words, pool);
	return "failure" in account ? account : { account };
}

/** True if only options precede the next word, which may then be what the command is about. */
export function isFirstPositional(before: readonly string[]): boolean {
	return before.every((word) => word.startsWith("--"));
}

/**
 * Returns the one account that `words` name, by label, e-mail or id prefix; otherwise a failure. `others` are words
 * that are valid in its place and may have been meant.
 */
export function resolveAccount(
	words: readonly string[],
	pool: Pick<Pool, "accounts">,
	others: readonly string[] = [],
): Account | Failure {
	const wanted = words.join(" ");
	const accounts = pool.accounts();
	const [account, ...namesakes] = matchAccounts(accounts, wanted);
	if (!account) {
		const labels = accounts.map(({ label }) => label);
		return { failure: noSuchAccount(wanted, meantBy(wanted, accounts, others), labels) };
	}
	if (namesakes.length === 0) return account;
	const listed = [account, ...namesakes].map(({ label, id }) => `${label} (${id})`).join(", ");
	return { failure: `"${wanted}" may mean ${listed}. Nothing was changed.` };
}

/** Returns labels, and words of `others`, that may have been meant. Also compares e-mails. */
function meantBy(wanted: string, accounts: readonly Account[], others: readonly string[]): string[] {
	const meant = nearest(wanted, [...accounts.map(({ label }) => label), ...others]);
	if (meant.length > 0) return meant.map(asWord);
	const emails = nearest(
		wanted,
		accounts.flatMap(({ email }) => (email === undefined ? [] : [email])),
	);
	return accounts.filter(({ email = "" }) => emails.includes(email)).map(({ label }) => asWord(label));
}

/** What completing an account's name needs. */
export interface AccountNames {
	readonly pool: Pick<Pool, "accounts">;
	readonly settings: Pick<SettingsStore, "read">;
}

/** Returns labels to choose from, if `isOffered` accepts their accounts. */
export function accountChoices(
	{ pool, settings }: AccountNames,
	isOffered: (account: Account) => boolean = () => true,
): Completion[] {
	const { maskEmails } = settings.read();
	return pool
		.accounts()
		.filter(isOffered)
		.map(({ id, label, email }) => {
			const shown = maskEmails ? hideEmails(label) : label;
			const description = email !== undefined && !maskEmails ? { description: email } : {};
			// The value must name the account, and is also shown.
			return { value: shown === label ? asWord(label) : id, label: shown, ...description };
		});
}

/** Error codes of the file system, in words. */
const REASONS: Readonly<Record<string, string>> = {
	EROFS: "its file system is read-only",
	EACCES: "you may not write there",
	EPERM: "you may not write there",
	ENOSPC: "the disk is full",
	EDQUOT: "your disk quota is used up",
};

/** Matches the end of a temporary file's name. The message then names the file beside which we write. */
const TEMPORARY = /\.\d+-[0-9a-f]{8}\.tmp\b/g;

/**
 * Returns why something failed. Messages of file system errors name paths but never content; other messages may quote
 * anything.
 */
export function reasonOf(error: unknown): string {
	if (!(error instanceof Error) || !("code" in error)) return "an unexpected error";
	const code = String(error.code);
	const reason = ownValue(REASONS, code);
	const path =
		"path" in error && typeof error.path === "string" ? basename(error.path.replace(TEMPORARY, "")) : undefined;
	if (reason === undefined || path === undefined) return error.message.replaceAll(TEMPORARY, "");
	return `${path} cannot be written: ${reason} (${code})`;
}

/** Offers `--json`, unless it was typed already. */
export function jsonChoice(before: readonly string[]): Completion[] {
	return before.includes("--json") ? [] : [{ value: "--json", label: "--json", description: "as one JSON document" }];
}

/** Returns an account as it appears in JSON results. */
export function accountRef({ id, label }: Account): { readonly id: string; readonly label: string } {
	return { id, label };
}

/** Finds the subcommand with this name. */
export function commandCalled(name: string, commands: readonly Subcommand[]): Subcommand | undefined {
	return commands.find((candidate) => candidate.name === comparable(name));
}

/** Splits at blanks. Quotes keep a label, a path or a value together. */
export function wordsIn(args: string): string[] {
	return [...args.matchAll(/(?:"[^"]*"|\S)+/g)].map(([word]) => word.replace(/"([^"]*)"/g, "$1"));
}
