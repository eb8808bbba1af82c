import { basename } from "node:path";
import type { Api, Model } from "@mariozechner/pi-ai";
import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { type Account, matchAccounts } from "../core/account.ts";
import type { Affinity } from "../core/affinity.ts";
import type { Credentials } from "../core/credentials.ts";
import { isDefect, traceOf } from "../core/defect.ts";
import type { Membership } from "../core/membership.ts";
import { ownValue } from "../core/own-value.ts";
import type { PiLoginSync } from "../core/pi-login-sync.ts";
import type { Pool } from "../core/pool.ts";
import type { Clock, EventLog, HealthCheck, SettingsStore } from "../core/ports.ts";
import { hideEmails } from "../core/privacy.ts";
import type { UsageMonitor } from "../core/usage-monitor.ts";
import type { LastRotation } from "../features/dashboard/texts.ts";
import type { Imports } from "../features/import/imports.ts";
import type { SignInWays } from "../features/sign-in/dialog.ts";
import { asWord } from "../ui-kit/format.ts";
import * as messages from "../ui-kit/messages.ts";
import { nearest } from "../ui-kit/nearest.ts";
import type { Result } from "./output.ts";

/** What subcommands work on. */
export interface SubcommandDeps {
	/** All subcommands. */
	readonly commands: readonly Subcommand[];
	/** The same after the command without a word, for `help`. */
	readonly listed: readonly Subcommand[];
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly eventLog: EventLog;
	readonly membership: Membership;
	readonly credentials: Credentials;
	readonly usage: UsageMonitor;
	readonly imports: Imports;
	readonly link: PiLoginSync;
	readonly signInWays: SignInWays;
	readonly settings: SettingsStore;
	readonly health: HealthCheck;
	/** Makes a model the session's; false where pi has no key for it. */
	readonly setModel: (model: Model<Api>) => Promise<boolean>;
	/** True where pi has a Codex login of its own, of whatever kind. */
	readonly hasPiLogin: () => boolean;
	/** The Codex model that the person has saved as the default. */
	readonly savedModel: () => string | undefined;
	readonly clock: Clock;
	/** Where everything is stored: what it is, and its path. */
	readonly paths: Readonly<Record<string, string>>;
	/** Deletes the backups of removed and migrated accounts; resolves to how many there were. */
	readonly removeBackups: () => Promise<number>;
	/** The last time that this process moved from one account to another. */
	readonly lastRotation: () => LastRotation | undefined;
	/** Fires when the session ends in which the command was given. */
	readonly signal: AbortSignal;
}

/** A choice while a command is typed. */
export interface Completion {
	readonly value: string;
	readonly label: string;
	readonly description?: string;
}

/** What a command comes to. A failure is one line; nothing has changed then. */
export type Outcome = Result | { readonly failure: string };

/** One word after `/multicodex`. */
export interface Subcommand {
	readonly name: string;
	/** How it is typed, for `help`. */
	readonly usage: string;
	/** What it does, in a few words. */
	readonly summary: string;
	/** Nothing may be written for it: what other processes and pi have stored since is not taken over first. */
	readonly isLookOnly?: true;
	/** The words that may follow those in `before`; `typed` is what stands of the next one already. */
	complete?(deps: SubcommandDeps, before: readonly string[], typed: string): Completion[];
	/** It needs an account, which a menu asks for; says which of them there are to choose from. */
	asksAccount?(account: Account): boolean;
	/** With these words it is a panel, which paints at once: what may have changed elsewhere is looked at behind it. */
	isPanel?(words: readonly string[]): boolean;
	/** Undefined where everything has been told already. */
	run(words: readonly string[], ctx: ExtensionCommandContext, deps: SubcommandDeps): Promise<Outcome | undefined>;
}

/** The failure for words that a subcommand does not take; `problem`, a sentence, says what is wrong with them. */
export function usageError(command: { readonly usage: string }, problem?: string): { readonly failure: string } {
	const usage = `Usage: /multicodex ${command.usage}`;
	return { failure: problem === undefined ? usage : `${problem} ${usage}` };
}

const OPTION = /^-+\p{L}/u;
/** What keyboards make of two minus signs. A label may begin so, an option that there is may be meant by it. */
const DASHED = /^[\u2013\u2014]\p{L}/u;

/** Options and the other words of a command; else the failure that names the option that it does not know. */
export function parseOptions(
	words: readonly string[],
	known: readonly string[],
	command: { readonly usage: string },
): { readonly options: ReadonlySet<string>; readonly rest: readonly string[] } | { readonly failure: string } {
	const isOption = (word: string) => OPTION.test(word) || (known.length > 0 && DASHED.test(word));
	const options = words.filter(isOption);
	const unknown = options.find((option) => !known.includes(option));
	if (unknown !== undefined) return usageError(command, messages.unknownOption(unknown, nearest(unknown, known)));
	return { options: new Set(options), rest: words.filter((word) => !isOption(word)) };
}

/** True where no word but options stands before: the next one may be what the command is about. */
export function isFirstPositional(before: readonly string[]): boolean {
	return before.every((word) => word.startsWith("--"));
}

/**
 * The one account that `words` name, by label, e-mail or id prefix; else why it is none. `others` are words that may stand
 * in its place, and may have been meant.
 */
export function resolveAccount(
	words: readonly string[],
	{ pool }: Pick<SubcommandDeps, "pool">,
	others: readonly string[] = [],
): Account | { readonly failure: string } {
	const wanted = words.join(" ");
	const accounts = pool.accounts();
	const [account, ...namesakes] = matchAccounts(accounts, wanted);
	if (!account) {
		const labels = accounts.map(({ label }) => label);
		return { failure: messages.noSuchAccount(wanted, meantBy(wanted, accounts, others), labels) };
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

/** Labels to choose from, those that `isOffered` lets through. */
export function accountChoices(
	{ pool, settings }: SubcommandDeps,
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

/** Leaves a trace of what {@link reasonOf} has no words for. */
export function tellUnexpected(error: unknown, { emit }: Pick<Pool, "emit">): void {
	const isForeseen = error instanceof Error && "code" in error && !isDefect(error);
	if (!isForeseen) emit({ type: "defect", where: "command", trace: traceOf(error) });
}

/** The option of a command that prints one JSON document where it is asked to. */
export function jsonChoice(before: readonly string[]): Completion[] {
	return before.includes("--json") ? [] : [{ value: "--json", label: "--json", description: "as one JSON document" }];
}

/** An account in a result for machines. */
export function accountRef({ id, label }: Account): { readonly id: string; readonly label: string } {
	return { id, label };
}
