import { existsSync, linkSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fingerprint } from "../backend/jwt.ts";

const ACCOUNTS = "codex-accounts.json";
const STATE = "codex-state.json";
/** The maximum number of links in a row that systems follow. */
const MOST_LINKS = 40;

/** What an accounts file shared by several agent directories must know about one of them. */
export interface AgentDirectory {
	/** Distinguishes its `auth.json` from those of other directories. */
	readonly login: string;
	/** True if the accounts file itself is in it, and not a link to another directory's file. */
	readonly holdsFile: boolean;
}

/** Returns the directory in which the accounts file at `path` is found. `path` may be a link. */
export function agentDirectoryOf(path: string): AgentDirectory {
	const directory = realOr(dirname(path), dirname(path));
	const beside = join(directory, "auth.json");
	const file = join(directory, ACCOUNTS);
	return {
		// Only the rows of several directories name one. Every other reader is spared the hash.
		get login() {
			return fingerprint(realOr(beside, beside));
		},
		holdsFile: dirname(realOr(path, file)) === directory,
	};
}

/** The real accounts file of an agent directory, and its state file. */
interface AccountsPlace {
	readonly accounts: string;
	readonly state: string;
	/** True if a link leads both out of the agent directory. */
	readonly isElsewhere: boolean;
}

/**
 * Finds where the accounts file of an agent directory really is. Its state is beside the real file, not beside the
 * link: which tokens are spent or being exchanged, and which accounts cool, must be known wherever these accounts are
 * used.
 */
export function accountsPlaceOf(directory: string): AccountsPlace {
	const own = { accounts: join(directory, ACCOUNTS), state: join(directory, STATE), isElsewhere: false };
	const accounts = endOfLinks(own.accounts, MOST_LINKS);
	const isHere = accounts === join(realOr(directory, directory), ACCOUNTS);
	if (isHere) return own;
	// Several accounts files, with different names, may be in one folder.
	const name = basename(accounts) === ACCOUNTS ? STATE : `${basename(accounts, ".json")}.state.json`;
	return { accounts, state: join(dirname(accounts), name), isElsewhere: true };
}

/** Starts the state at `place` with that of `directory`, if the accounts file has only now become a link. */
export function adoptState(directory: string, { state }: AccountsPlace): void {
	const former = join(directory, STATE);
	if (state === former || existsSync(state)) return;
	try {
		// Link in one step, and only if no other process has created the file. The first write separates the two.
		linkSync(realpathSync(former), state);
	} catch {
		// It does not exist, or is on another disk. A new state is created.
		return;
	}
}

/** Returns the target of a link, which need not exist yet. */
function endOfLinks(path: string, most: number): string {
	const here = join(realOr(dirname(path), dirname(path)), basename(path));
	const target = linkAt(here);
	return target === undefined || most === 0 ? here : endOfLinks(resolve(dirname(here), target), most - 1);
}

function linkAt(path: string): string | undefined {
	try {
		return readlinkSync(path);
	} catch {
		// Not a link, or nothing there.
		return undefined;
	}
}

function realOr(path: string, otherwise: string): string {
	try {
		return realpathSync(path);
	} catch {
		// It does not exist yet or cannot be reached, so it is not a link to follow.
		return otherwise;
	}
}
