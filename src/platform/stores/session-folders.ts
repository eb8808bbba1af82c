import { readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import {
	type AccountSet,
	type AccountSets,
	EVERYWHERE,
	narrowest,
	nearestSet,
	type SetFinder,
} from "../../core/account-sets.ts";
import type { SessionId } from "../../core/ids.ts";

/** The folders in which the sessions of this process run, and the account sets that apply there. */
export interface SessionFolders extends SetFinder {
	/** Records that this instance's session starts, or continues, in `cwd`. */
	begin(sessionId: SessionId, cwd: string): void;
	/** Records that this instance's session has ended. */
	end(): void;
	/** Returns the folder of a session; for an unknown session, the folder of this instance's own. */
	folderOf(sessionId: SessionId | undefined): string | undefined;
}

interface Deps {
	readonly sets: () => AccountSets;
	/** Returns the folder in which the process runs. May throw if that folder is gone. */
	readonly processFolder: () => string;
	readonly registry?: Map<unknown, unknown>;
}

/**
 * Lets every instance of the extension in this process find the sessions of the others. Some hosts load the code again
 * for each session and send the requests of all to the last instance.
 */
const REGISTRY = Symbol.for("pi-multicodex.session-folders");

/**
 * Finds sets by the folder of the session. Reads no folder while there is no set. A request of an unknown session may
 * belong to any known one, so it is bound to the sets of all; without a known session, to the set of the process.
 */
export function createSessionFolders({ sets, processFolder, registry = sharedRegistry() }: Deps): SessionFolders {
	let own: SessionId | undefined;
	let canonical: { readonly of: AccountSets; readonly sets: AccountSets } | undefined;
	const canonicalSets = (stored: AccountSets): AccountSets => {
		if (canonical?.of !== stored) canonical = { of: stored, sets: canonicalIn(stored) };
		return canonical.sets;
	};
	const lookIn = (folders: readonly string[], stored: AccountSets) => nearestSet(canonicalSets(stored), folders);
	/** For every known session, its folder and the folders around it. Determined once. */
	const chains = new Map<string, readonly string[]>();
	const chainOf = (cwd: string) => {
		const known = chains.get(cwd);
		if (known) return known;
		const found = foldersAround(cwd);
		chains.set(cwd, found);
		return found;
	};
	const processChain = (): readonly string[] | undefined => {
		try {
			return chainOf(processFolder());
		} catch {
			// A missing folder belongs to any set.
			return undefined;
		}
	};
	const setsOfAll = (stored: AccountSets): readonly AccountSet[] => {
		const live = [...registry.values()].filter((cwd) => typeof cwd === "string");
		if (live.length > 0) return live.flatMap((cwd) => lookIn(chainOf(cwd), stored) ?? []);
		const here = processChain();
		if (here) return [lookIn(here, stored) ?? []].flat();
		return Object.entries(canonicalSets(stored)).map(([folder, accounts]) => ({ folder, accounts }));
	};
	return {
		begin: (sessionId, cwd) => {
			if (own !== undefined && own !== sessionId) registry.delete(own);
			own = sessionId;
			registry.set(sessionId, cwd);
			// A folder may have been created, or linked to another one, since the last session.
			chains.clear();
			canonical = undefined;
			if (hasAny(sets())) chainOf(cwd);
		},
		end: () => {
			if (own !== undefined) registry.delete(own);
			own = undefined;
		},
		folderOf: (sessionId) => {
			const folder = registry.get(sessionId) ?? registry.get(own);
			return typeof folder === "string" ? folder : undefined;
		},
		setFor: (sessionId) => {
			const stored = sets();
			if (!hasAny(stored)) return undefined;
			const cwd = sessionId === undefined ? undefined : registry.get(sessionId);
			return typeof cwd === "string" ? lookIn(chainOf(cwd), stored) : narrowest(setsOfAll(stored));
		},
	};
}

function sharedRegistry(): Map<unknown, unknown> {
	const known: unknown = Reflect.get(globalThis, REGISTRY);
	if (known instanceof Map) return known;
	const registry = new Map<unknown, unknown>();
	Reflect.set(globalThis, REGISTRY, registry);
	return registry;
}

function hasAny(sets: AccountSets): boolean {
	for (const _folder in sets) return true;
	return false;
}

/**
 * Returns the same sets by the folders that their keys lead to, and by the keys as they are: a folder that has become a
 * link is still the one in which a session started. Two keys of one folder allow what both allow.
 */
function canonicalIn(stored: AccountSets): AccountSets {
	const found = new Map<string, AccountSet>();
	for (const [key, accounts] of Object.entries(stored)) {
		const folders = key === EVERYWHERE ? [key] : new Set([resolve(key), realFolder(key)]);
		for (const folder of folders) {
			const set = narrowest([found.get(folder) ?? [], { folder, accounts }].flat());
			if (set) found.set(folder, set);
		}
	}
	return Object.fromEntries([...found].map(([folder, { accounts }]) => [folder, accounts]));
}

/** Returns the folder without links, in the disk's own case. For a missing folder, as much of it as exists. */
export function realFolder(folder: string): string {
	const path = resolve(folder);
	try {
		return realpathSync.native(path);
	} catch {
		const parent = dirname(path);
		return parent === path ? path : join(realFolder(parent), basename(path));
	}
}

/**
 * Returns a folder and the folders around it, from the inside out, followed by those of the repository whose linked
 * worktree it is: what applies to a project applies to each of its checkouts.
 */
export function foldersAround(cwd: string): readonly string[] {
	const around = ancestorsOf(realFolder(cwd));
	const main = around.flatMap((folder) => mainCheckoutOf(folder) ?? []).at(0);
	return main === undefined ? around : [...around, ...ancestorsOf(realFolder(main))];
}

function ancestorsOf(folder: string): string[] {
	const parent = dirname(folder);
	return parent === folder ? [folder] : [folder, ...ancestorsOf(parent)];
}

/**
 * Returns the folder under which a set given in `cwd` is stored: the root of its checkout, or else the folder itself.
 */
export function projectOf(cwd: string): string {
	const around = ancestorsOf(realFolder(cwd));
	return around.find((folder) => kindOf(join(folder, ".git")) !== undefined) ?? realFolder(cwd);
}

/** Returns the project of work in `cwd`: like {@link projectOf}, but one for a repository and its linked worktrees. */
export function repositoryOf(cwd: string): string {
	const project = projectOf(cwd);
	return mainCheckoutOf(project) ?? project;
}

/** Maximum length of a file that points to a repository. */
const LONGEST_GIT_FILE = 4096;
const GIT_DIR = "gitdir:";

function mainCheckoutOf(folder: string): string | undefined {
	const path = join(folder, ".git");
	if (kindOf(path) !== "file") return undefined;
	try {
		// Parsed by hand: the file belongs to the project, and could be made to slow a pattern down.
		const text = readFileSync(path, "utf8").trim();
		const told = text.startsWith(GIT_DIR) ? text.slice(GIT_DIR.length).trim() : "";
		const worktrees = dirname(resolve(folder, told));
		if (basename(worktrees) !== "worktrees" || !told.includes(basename(worktrees))) return undefined;
		const repository = dirname(worktrees);
		return basename(repository) === ".git" ? dirname(repository) : repository;
	} catch {
		// A file that cannot be read points nowhere.
		return undefined;
	}
}

/** True if there is a folder at `path`. */
export function isFolder(path: string): boolean {
	return kindOf(path) === "folder";
}

/** Returns what is at `path`, if usable here: pipes and large files are never read. */
function kindOf(path: string): "file" | "folder" | undefined {
	try {
		const stats = statSync(path);
		if (stats.isDirectory()) return "folder";
		return stats.isFile() && stats.size <= LONGEST_GIT_FILE ? "file" : undefined;
	} catch {
		// There is nothing, or nothing that may be checked.
		return undefined;
	}
}
