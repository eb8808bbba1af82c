import { realpath, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { identityOf } from "../../../platform/backend/jwt.ts";
import { parseLogin } from "../../../platform/stores/pi-auth.ts";
import type { ImportFinder } from "../imports.ts";
import type { Finding } from "../rules.ts";
import { leftOut, loginsInAnyShape, readCodexHome, type Whose } from "./codex-file.ts";
import { codexAuth, codexCli, hotswap, orchestrator, prodex } from "./codex-tools.ts";
import { expanded, namesIn, objectSchema, readJsonFile, readText } from "./files.ts";
import { codexPool, loginsInOpencodeShape, opencode, readDatabase } from "./opencode.ts";
import type { ImportSource, Places } from "./source.ts";

/** Every tool to search, in this order. A new one is one line here. */
const IMPORT_SOURCES: readonly ImportSource[] = [
	codexCli,
	codexAuth,
	orchestrator,
	hotswap,
	prodex,
	opencode,
	codexPool,
];

/** Maximum number of files read in a named folder. */
const MOST_FILES = 200;

/** Creates the finder for the person's home. `piAuthPath` is pi's own `auth.json`. */
export function createImportFinder(places: Places, piAuthPath: string): ImportFinder {
	const sources: readonly ImportSource[] = [
		{ tool: "pi", find: () => readPiAuth({ tool: "pi", path: piAuthPath, name: undefined }) },
		...IMPORT_SOURCES,
	];
	return {
		tools: sources.map(({ tool }) => tool),
		find: async (tool) => {
			const asked = sources.filter((source) => tool === undefined || source.tool === tool);
			return (await Promise.all(asked.map((source) => findIn(source, places)))).flat();
		},
		read: async (path) => {
			const real = (file: string) => realpath(file).catch(() => file);
			const piAuth = await real(piAuthPath);
			return readPath(resolve(expanded(path, places.home)), async (file) => (await real(file)) === piAuth);
		},
	};
}

/** A tool with unreadable files must not hide the others. */
async function findIn(source: ImportSource, places: Places): Promise<Finding[]> {
	try {
		return await source.find(places);
	} catch {
		// The error may quote what was read.
		return [leftOut({ tool: source.tool, path: places.home, name: undefined }, "could not be looked through")];
	}
}

/** True if this file, whatever its name and path, is pi's own login. */
type IsPis = (path: string) => Promise<boolean>;

async function readPath(path: string, isPis: IsPis): Promise<Finding[] | undefined> {
	const stats = await stat(path).catch(() => undefined);
	if (!stats) return undefined;
	return stats.isDirectory() ? readFolder(path, isPis) : readAnyFile(path, isPis);
}

/** Reads a Codex home, a folder of snapshots, or a folder of Codex homes. */
async function readFolder(folder: string, isPis: IsPis): Promise<Finding[]> {
	const all = await namesIn(folder);
	const names = all.slice(0, MOST_FILES);
	const homes = [folder, ...names.map((name) => join(folder, name))].map((home) => readHome(home, isPis));
	const files = names
		.filter((name) => /\.(json|db)$/.test(name) && name !== "auth.json")
		.map((name) => readAnyFile(join(folder, name), isPis));
	const found = (await Promise.all([...homes, ...files])).flat();
	// A folder contains many other things. They are only worth mentioning if nothing was found.
	const logins = found.filter(({ kind }) => kind === "login");
	const whose: Whose = { tool: "file", path: folder, name: undefined };
	const rest =
		all.length > names.length ? [leftOut(whose, `has more than ${MOST_FILES} entries; the rest was not read`)] : [];
	return [...(logins.length > 0 ? logins : found), ...rest];
}

/** Reads a folder with an `auth.json` of Codex or another tool. Codex may keep its login elsewhere. */
async function readHome(folder: string, isPis: IsPis): Promise<Finding[]> {
	const path = join(folder, "auth.json");
	if (await isPis(path)) return readPiAuth({ tool: "pi", path, name: undefined });
	const file = await readJsonFile(path);
	const others = file.kind === "read" ? await inOtherShape(file.content, anonymous(path)) : undefined;
	return others ?? readCodexHome(folder, { tool: "file", name: undefined });
}

/** Reads a file in any known format. */
async function readAnyFile(path: string, isPis: IsPis): Promise<Finding[]> {
	if (await isPis(path)) return readPiAuth({ tool: "pi", path, name: undefined });
	if (path.endsWith(".db")) return (await readDatabase(path)).map((found) => ({ ...found, tool: "file" }));
	const whose = anonymous(path);
	const file = await readJsonFile(path);
	if (file.kind === "missing") return [];
	if (file.kind === "unreadable") return [leftOut(whose, file.reason)];
	return (await inOtherShape(file.content, whose)) ?? loginsInAnyShape(file.content, whose);
}

function anonymous(path: string): Whose {
	return { tool: "file", path, name: undefined };
}

/**
 * Reads JSON in pi's or opencode's format; undefined if it is neither. Exports use the same names for other things, and
 * extensions keep further accounts beside pi's, so every other sign-in for Codex is found too.
 */
async function inOtherShape(content: unknown, whose: Whose): Promise<Finding[] | undefined> {
	const { data: entries } = objectSchema.safeParse(content);
	const isPis = entries?.["openai-codex"] !== undefined;
	const isOpencodes = entries?.openai !== undefined || entries?.codex !== undefined;
	if (!isPis && !isOpencodes) return undefined;
	const known = isPis ? await readPiAuth(whose) : loginsInOpencodeShape(content, whose);
	const logins = known.filter((found) => found.kind === "login");
	const seen = new Set(logins.map((found) => found.credential.refresh));
	const others = loginsInAnyShape(content, whose).filter(
		(found) =>
			found.kind === "login" &&
			!seen.has(found.credential.refresh) &&
			identityOf(found.credential.access, found.workspaceIdHint) !== undefined,
	);
	return others.length > 0 ? [...logins, ...others] : known;
}

/** Reads an `auth.json` of pi. */
async function readPiAuth(whose: Whose): Promise<Finding[]> {
	const file = await readText(whose.path);
	if (file.kind === "missing") return [];
	if (file.kind === "unreadable") return [leftOut(whose, file.reason)];
	const login = parseLogin(file.content);
	if (login.kind === "none") return [];
	if (login.kind === "foreign") return [leftOut(whose, "holds an API key for Codex, no ChatGPT sign-in")];
	if (login.kind === "unreadable") return [leftOut(whose, "cannot be read")];
	return [{ kind: "login", ...whose, credential: login.credential, workspaceIdHint: login.workspaceId }];
}
