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

/** A choice while a command is typed. */
export interface Completion {
	readonly value: string;
	readonly label: string;
	readonly description?: string;
}

/** Why a command did nothing, as one line. */
export interface Failure {
	readonly failure: string;
}

/** True for a {@link Failure}. */
export function isFailure(value: object): value is Failure {
	return "failure" in value && typeof value.failure === "string";
}

/** The outcome of a command. After a failure nothing has changed. */
export type Outcome = Result | Failure;

/** What a command is run on: words typed after its name, or the account that a panel or a menu holds. */
export type Given = { readonly words: readonly string[] } | { readonly account: Account };

/** How a command ended: `cancelled` when the person left one of its dialogs without an answer. */
export type Ended = "done" | "cancelled";

/** The session that a command runs in, and the other commands of the list. */
export interface CommandContext {
	/** pi's own context. */
	readonly host: ExtensionCommandContext;
	/** Fires when the session ends in which the command was given. */
	readonly signal: AbortSignal;
	/** Every subcommand, the one without a word first. */
	readonly commands: readonly Subcommand[];
	/** Settles when the command that was given has ended, with all that it has run; until then it may show a panel. */
	readonly ended: Promise<void>;
	/** Runs another command of the list and reports its outcome; with `isQuiet` only a failure. Never throws. */
	run(name: string, given: Given, how?: { readonly isQuiet?: boolean }): Promise<Ended>;
	/** The same session through another view of pi's context. */
	on(host: ExtensionCommandContext): CommandContext;
}

/** One word after `/multicodex`. A feature creates it over the ports that it names. */
export interface Subcommand<Args extends object = object> {
	readonly name: string;
	/** How it is typed, for `help`. */
	readonly usage: string;
	/** What it does, in a few words. */
	readonly summary: string;
	/** It writes nothing: what other processes and pi have stored since is not taken over first. */
	readonly isLookOnly?: true;
	/** It can work on one account that a panel or a menu holds. */
	readonly onAccount?: AccountCommand<Args>;
	/** The words that may follow those in `before`; `typed` is what stands of the next one already. */
	complete?(before: readonly string[], typed: string): Completion[];
	/** With these words it is a panel, which paints at once: what may have changed elsewhere is read afterwards. */
	isPanel?(words: readonly string[]): boolean;
	/** Reads the words of the slash command. Only typed words come here. */
	parse(words: readonly string[]): Args | Failure;
	/** Undefined when everything has been reported already. */
	run(args: Args, ctx: CommandContext): Promise<Outcome | undefined>;
}

/** The side of a command that works on one account. */
export interface AccountCommand<Args> {
	args(account: Account): Args;
	/** A menu asks for the account first, and offers these. Without it the command asks by itself. */
	isOffered?(account: Account): boolean;
}

/**
 * The subcommands: the one for `/multicodex` without a word, and the others in the order in which `help` lists them.
 */
export interface CommandList {
	readonly withoutAWord: Subcommand;
	readonly named: readonly Subcommand[];
}

/** The failure for words that a subcommand does not take; `problem`, a sentence, says what is wrong with them. */
export function usageError(usage: string, problem?: string): Failure {
	const typed = `Usage: /multicodex ${usage}`;
	return { failure: problem === undefined ? typed : `${problem} ${typed}` };
}

const OPTION = /^-+\p{L}/u;
/** What keyboards make of two minus signs. A label may begin so, an option that there is may be meant by it. */
const DASHED = /^[\u2013\u2014]\p{L}/u;

/** Options and the other words of a command; else the failure that names the option that it does not know. */
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

/** Refuses every word. */
export function parseNothing(words: readonly string[], usage: string): NoArgs | Failure {
	const given = parseOptions(words, [], usage);
	if ("failure" in given) return given;
	return words.length > 0 ? usageError(usage) : {};
}

/** The arguments of a command that takes an account and nothing else. */
export interface AccountArgs {
	readonly account: Account;
}

/** Reads the name of one account. */
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

/** True where no word but options stands before: the next one may be what the command is about. */
export function isFirstPositional(before: readonly string[]): boolean {
	return before.every((word) => word.startsWith("--"));
}

/**
 * The one account that `words` name, by label, e-mail or id prefix; else why it is none. `others` are words that may
 * stand in its place, and may have been meant.
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

/** Labels, and `others`, that may have been meant; an account by its e-mail too. */
function meantBy(wanted: string, accounts: readonly Account[], others: readonly string[]): string[] {
	const meant = nearest(wanted, [...accounts.map(({ label }) => label), ...others]);
	if (meant.length > 0) return meant.map(asWord);
	const emails = nearest(
		wanted,
		accounts.flatMap(({ email }) => (email === undefined ? [] : [email])),
	);
	return accounts.filter(({ email = "" }) => emails.includes(email)).map(({ label }) => asWord(label));
}

/** What the completion of an account's name reads. */
export interface AccountNames {
	readonly pool: Pick<Pool, "accounts">;
	readonly settings: Pick<SettingsStore, "read">;
}

/** Labels to choose from, those that `isOffered` lets through. */
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
			// What is typed must name the account, and is seen as well.
			return { value: shown === label ? asWord(label) : id, label: shown, ...description };
		});
}

/** What file systems say, in words. */
const REASONS: Readonly<Record<string, string>> = {
	EROFS: "it lies where nothing can be written",
	EACCES: "you may not write there",
	EPERM: "you may not write there",
	ENOSPC: "the disk is full",
	EDQUOT: "your share of the disk is full",
};

/** The path in a message is then that of the file beside which we write. */
const TEMPORARY = /\.\d+-[0-9a-f]{8}\.tmp\b/g;

/** Why something failed. Messages of file-system errors name paths, never content; any other may quote anything. */
export function reasonOf(error: unknown): string {
	if (!(error instanceof Error) || !("code" in error)) return "an unexpected error";
	const code = String(error.code);
	const reason = ownValue(REASONS, code);
	const path =
		"path" in error && typeof error.path === "string" ? basename(error.path.replace(TEMPORARY, "")) : undefined;
	if (reason === undefined || path === undefined) return error.message.replaceAll(TEMPORARY, "");
	return `${path} cannot be written: ${reason} (${code})`;
}

/** The option of a command that prints one JSON document where it is asked to. */
export function jsonChoice(before: readonly string[]): Completion[] {
	return before.includes("--json") ? [] : [{ value: "--json", label: "--json", description: "as one JSON document" }];
}

/** An account in a result for machines. */
export function accountRef({ id, label }: Account): { readonly id: string; readonly label: string } {
	return { id, label };
}

/** The subcommand of that name. */
export function commandCalled(name: string, commands: readonly Subcommand[]): Subcommand | undefined {
	return commands.find((candidate) => candidate.name === comparable(name));
}

/** Words are parted by blanks; quotes keep a label, a path or a value together. */
export function wordsIn(args: string): string[] {
	return [...args.matchAll(/(?:"[^"]*"|\S)+/g)].map(([word]) => word.replace(/"([^"]*)"/g, "$1"));
}
