import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { PiLink } from "../../pool/pi-link.ts";
import type { Pool } from "../../pool/pool.ts";
import type { Clock } from "../../pool/ports.ts";
import type { Result } from "../output.ts";

/** What subcommands work on. */
export interface SubcommandDeps {
	/** All subcommands, for `help`. */
	readonly commands: readonly Subcommand[];
	readonly pool: Pool;
	readonly link: PiLink;
	readonly clock: Clock;
	/** Where everything is stored: what it is, and its path. */
	readonly paths: Readonly<Record<string, string>>;
	readonly maskEmails: () => boolean;
	/** Deletes the backups of removed and migrated accounts. */
	readonly removeBackups: () => Promise<void>;
}

/** A choice while a command is typed. */
export interface Completion {
	readonly value: string;
	readonly label: string;
	readonly description?: string;
}

/** One word after `/multicodex`. */
export interface Subcommand {
	readonly name: string;
	/** How it is typed, for `help`. */
	readonly usage: string;
	/** What it does, in a few words. */
	readonly summary: string;
	/** The words that may follow. */
	complete?(deps: SubcommandDeps): Completion[];
	/** Does it. A failure is one line; nothing has changed then. */
	run(
		words: readonly string[],
		ctx: ExtensionCommandContext,
		deps: SubcommandDeps,
	): Promise<Result | { readonly failure: string }>;
}

/** The failure for words that a subcommand does not take. */
export function misused(command: { readonly usage: string }): { readonly failure: string } {
	return { failure: `Usage: /multicodex ${command.usage}` };
}
