import { existsSync, linkSync, readlinkSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fingerprint } from "../backend/jwt.ts";

const ACCOUNTS = "codex-accounts.json";
const STATE = "codex-state.json";
/** As many links in a row as systems follow. */
const MOST_LINKS = 40;

/** The agent directory of a process, as far as an accounts file that several of them share has to know it. */
export interface AgentDirectory {
	/** Tells its `auth.json` from those of other directories. */
	readonly login: string;
	/** The accounts file is in it, and no link to that of another directory. */
	readonly holdsFile: boolean;
}

/** The directory in which the accounts file is found at `path`, which may be a link. */
export function agentDirectoryOf(path: string): AgentDirectory {
	const directory = realOr(dirname(path), dirname(path));
	const beside = join(directory, "auth.json");
	const file = join(directory, ACCOUNTS);
	return { login: fingerprint(realOr(beside, beside)), holdsFile: dirname(realOr(path, file)) === directory };
}

/** The real accounts file of the agent directory `directory`, and the state file that belongs to it. */
export interface AccountsPlace {
	readonly accounts: string;
	readonly state: string;
	/** Neither is where the agent directory has it: a link leads there. */
	readonly isElsewhere: boolean;
}

/**
 * Finds where the accounts file of an agent directory really is. Its state is beside it, and not beside the link: which
 * tokens are spent, or being exchanged, and which accounts cool, has to be known wherever these accounts are used.
 */
export function accountsPlaceOf(directory: string): AccountsPlace {
	const own = { accounts: join(directory, ACCOUNTS), state: join(directory, STATE), isElsewhere: false };
	const accounts = endOfLinks(own.accounts, MOST_LINKS);
	const isHere = accounts === join(realOr(directory, directory), ACCOUNTS);
	if (isHere) return own;
	// Several accounts files may be in one folder, under names of their own.
	const name = basename(accounts) === ACCOUNTS ? STATE : `${basename(accounts, ".json")}.state.json`;
	return { accounts, state: join(dirname(accounts), name), isElsewhere: true };
}

/** Begins the state at `place` with that of `directory`, where the accounts file was made a link only now. */
export function adoptState(directory: string, { state }: AccountsPlace): void {
	const former = join(directory, STATE);
	if (state === former || existsSync(state)) return;
	try {
		// In one step, and only if no other process has begun it. The first write parts the two.
		linkSync(realpathSync(former), state);
	} catch {
		// There is none, or it is on another disk: it is made anew.
		return;
	}
}

/** The target of a link, which need not be there yet. */
function endOfLinks(path: string, most: number): string {
	const here = join(realOr(dirname(path), dirname(path)), basename(path));
	const target = linkAt(here);
	return target === undefined || most === 0 ? here : endOfLinks(resolve(dirname(here), target), most - 1);
}

function linkAt(path: string): string | undefined {
	try {
		return readlinkSync(path);
	} catch {
		// No link, or nothing there.
		return undefined;
	}
}

function realOr(path: string, otherwise: string): string {
	try {
		return realpathSync(path);
	} catch {
		// Not there yet, or out of reach: then it is no link that could be followed.
		return otherwise;
	}
}
