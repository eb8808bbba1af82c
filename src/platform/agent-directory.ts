import { realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fingerprint } from "./jwt.ts";

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
	const file = join(directory, "codex-accounts.json");
	return { login: fingerprint(realOr(beside, beside)), holdsFile: dirname(realOr(path, file)) === directory };
}

function realOr(path: string, otherwise: string): string {
	try {
		return realpathSync(path);
	} catch {
		// Not there yet, or out of reach: then it is no link that could be followed.
		return otherwise;
	}
}
