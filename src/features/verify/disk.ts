import { access, chmod, constants, readdir, realpath, rm, stat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { Account } from "../../core/account.ts";
import { accountOf } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import { identityOf } from "../../platform/backend/jwt.ts";
import { leftoversIn } from "../../platform/files/atomic-file.ts";
import { quarantine, readDocument, signatureOf } from "../../platform/files/document-file.ts";
import { isMissing } from "../../platform/files/errors.ts";
import { clearLock, lookAtLock, STALE_MS, withLock } from "../../platform/files/lock.ts";
import { realTarget, whereIs } from "../../platform/files/real-path.ts";
import { readText } from "../../platform/files/regular-file.ts";
import { withoutMark } from "../../platform/json.ts";
import { MIRROR_FORMAT } from "../../platform/shared-pool/mirror.ts";
import { accountsIn } from "../../platform/stores/account-file.ts";
import { accountsPlaceOf, agentDirectoryOf } from "../../platform/stores/agent-directory.ts";
import { hasPlanLoginIn, parseLogin } from "../../platform/stores/pi-auth.ts";
import { settingsProblemsIn } from "../../platform/stores/settings-store.ts";
import { STATE_FORMAT } from "../../platform/stores/state-file.ts";
import { probeBackend, probeIssuer } from "./probe.ts";
import type { DiskFacts, EndpointFact, EntryFact, FileFact, LockFact, Repair } from "./rules.ts";

const ACCOUNTS = "codex-accounts.json";
const STATE = "codex-state.json";
/** The mirror of the shared pool, with this machine's join code. */
const POOL = "codex-pool.json";
const AUTH = "auth.json";
const SETTINGS = "settings.json";

/** Matches our files and locks, and those of pi that concern us. Names of other files may start with `codex-` too. */
const OURS =
	/^codex-(accounts\.json|state\.json|pool\.json|pool-[\w-]+\.journal|(events(\.1)?|history|ledger)\.jsonl)(\.[\w.-]+)?$/;
const LOCK =
	/^(codex-((accounts|state|pool)\.json|(events|history|ledger)\.jsonl|refresh-[\w-]+|pool-watch)|auth\.json|settings\.json)\.lock$/;
const REFRESH_LOCK = /^codex-refresh-[\w-]+\.lock$/;
/** Matches what follows the name of one of our files in the names of its lock and its copies. */
const AFFIX = /\.(lock|bak-[\w-]+|corrupt-\d+|v1\.bak)$/;
const QUARANTINED = /\.corrupt-\d+$/;
/** Matches something that was moved from the path of a lock. */
const FORMER_LOCK = /^(codex-refresh-[\w-]+|auth\.json|settings\.json)\.lock\.corrupt-\d+$/;

/** The ages that their holders use: pi's own asynchronous lock for `auth.json`, and ours for everything else. */
const STALE_AUTH_MS = 30_000;

/** Set on a directory that every user may write to, such as `/tmp`. We must not change its permissions. */
const STICKY = 0o1000;

/** pi writes in place, so a read may find half a file. */
const TORN_TRIES = 3;
const TORN_PAUSE_MS = 50;

/** The state of the files, and of the connection to the backend. */
export interface HealthCheck {
	/** Reads what is in the agent directory. Changes nothing. */
	look(): Promise<DiskFacts>;
	/** Repairs what is safe to repair, and returns what that was. Leaves everything else alone. Never rejects. */
	repair(): Promise<readonly Repair[]>;
	/**
	 * Asks the sign-in service and, if its base URL is known, the backend for any answer. Sends no token. Never rejects.
	 */
	reach(baseUrl: string | undefined): Promise<readonly EndpointFact[]>;
}

/** Creates the check of an agent directory. `look` changes nothing; `repair` repairs what is safe to repair. */
export function openHealth(directory: string, issuer: string, now: () => number): HealthCheck {
	return {
		look: () => look(directory, now),
		repair: async () => [
			...(await narrowPermissions(directory)),
			...(await releaseLocks(directory)),
			...(await removeLeftovers(directory)),
			...(await quarantineBroken(directory, now)),
		],
		reach: (baseUrl) =>
			Promise.all([...(baseUrl === undefined ? [] : [probeBackend(baseUrl, now)]), probeIssuer(issuer, now)]),
	};
}

async function look(directory: string, now: () => number): Promise<DiskFacts> {
	const auth = await readSteadily(join(directory, AUTH), (bytes) => parseLogin(bytes).kind !== "unreadable");
	const settings = await readSteadily(join(directory, SETTINGS), isJson);
	const accounts = await readOnce(join(directory, ACCOUNTS));
	const state = await readOnce(accountsPlaceOf(directory).state);
	const pool = await readOnce(join(directory, POOL));
	const rows = accountsIn(
		typeof accounts === "string" ? accounts : "",
		now(),
		agentDirectoryOf(join(directory, ACCOUNTS)),
	);
	const login = parseLogin(typeof auth === "string" ? auth : "{}");
	return {
		files: [
			fact(ACCOUNTS, "us", accounts, () => rows.content, rows.unreadableRows),
			fact(STATE, "us", state, contentOfState),
			fact(AUTH, "pi", auth, (bytes) => (parseLogin(bytes).kind === "unreadable" ? "broken" : "good")),
			fact(SETTINGS, "pi", settings, (bytes) => (isJson(bytes) ? "good" : "broken")),
			// Few machines have one.
			...(pool === undefined ? [] : [fact(POOL, "us", pool, contentOfPool)]),
		],
		entries: await entriesOf(directory),
		locks: await locksOf(directory, now),
		isWritable: await access(directory, constants.W_OK).then(
			() => true,
			(error) => isMissing(error),
		),
		readOnly: await readOnlyIn(directory),
		accounts: rows.accounts,
		piLogin: {
			kind: auth === "unreadable" ? "unreadable" : login.kind,
			owner: login.kind === "oauth" ? ownerOf(login.credential.access, rows.accounts) : undefined,
			refresh: login.kind === "oauth" ? login.credential.refresh : undefined,
		},
		hasPlanLogin: typeof auth === "string" && hasPlanLoginIn(auth),
		settings: typeof settings === "string" ? settingsProblemsIn(settings) : [],
	};
}

/** Returns the account that a token belongs to, or the id that it would get. */
function ownerOf(access: string, accounts: readonly Account[]): AccountId | undefined {
	const identity = identityOf(access);
	return identity && (accountOf(accounts, identity)?.id ?? identity.id);
}

/**
 * Returns links that lead into a folder that is missing or not writable: a file cannot be replaced there in one step.
 */
async function readOnlyIn(directory: string): Promise<{ name: string; target: string }[]> {
	const home = await realpath(directory).catch(() => directory);
	const found: { name: string; target: string }[] = [];
	for (const name of [ACCOUNTS, STATE, POOL, AUTH, SETTINGS]) {
		const target = await whereIs(join(home, name)).catch(() => undefined);
		if (target === undefined || dirname(target) === home) continue;
		const isWritable = await access(dirname(target), constants.W_OK).then(
			() => true,
			() => false,
		);
		if (!isWritable) found.push({ name, target });
	}
	return found;
}

/** Bytes of a file; undefined if it does not exist. */
type Bytes = string | undefined | "unreadable";

function fact(
	name: string,
	owner: FileFact["owner"],
	bytes: Bytes,
	contentOf: (bytes: string) => FileFact["content"],
	unreadableRows = 0,
): FileFact {
	const kept = { name, owner, unreadableRows: 0, bytes: 0 };
	if (bytes === undefined) return { ...kept, content: "missing" };
	if (bytes === "unreadable") return { ...kept, content: "unreadable" };
	return { ...kept, content: contentOf(bytes), bytes: Buffer.byteLength(bytes), unreadableRows };
}

function contentOfState(bytes: string): FileFact["content"] {
	const { kind } = readDocument(bytes, STATE_FORMAT);
	if (kind === "ok") return "good";
	return kind === "newer" ? "newer" : "broken";
}

function contentOfPool(bytes: string): FileFact["content"] {
	const { kind } = readDocument(bytes, MIRROR_FORMAT);
	if (kind === "ok") return "good";
	return kind === "newer" ? "newer" : "broken";
}

function isJson(bytes: string): boolean {
	try {
		JSON.parse(withoutMark(bytes));
		return true;
	} catch {
		// The error's message may quote a token.
		return false;
	}
}

async function readOnce(path: string): Promise<Bytes> {
	return readText(path).catch((error) => (isMissing(error) ? undefined : "unreadable"));
}

async function readSteadily(path: string, isWhole: (bytes: string) => boolean): Promise<Bytes> {
	let bytes = await readOnce(path);
	for (let tries = 1; tries < TORN_TRIES && bytes !== undefined && !isWhole(bytes); tries += 1) {
		await setTimeout(TORN_PAUSE_MS);
		bytes = await readOnce(path);
	}
	return bytes;
}

/** Lists the names in the agent directory. For an accounts file elsewhere, as behind a link, whole paths. */
async function namesIn(directory: string): Promise<string[]> {
	const here = await sortedNamesIn(directory);
	const there = await placeElsewhere(directory);
	if (!there) return here;
	const names = (await sortedNamesIn(there.folder)).filter(
		(name) => there.isOurs(name.replace(AFFIX, "")) || REFRESH_LOCK.test(name),
	);
	// It may be the same folder, where the file has another name.
	const isTwice = (name: string) => there.isHere && names.includes(name);
	return [...here.filter((name) => !isTwice(name)), ...names.map((name) => join(there.folder, name))];
}

async function sortedNamesIn(folder: string): Promise<string[]> {
	return (await readdir(folder).catch(() => [])).sort();
}

/** Returns the folder of an accounts file that is not a plain file of the agent directory, and our files in it. */
async function placeElsewhere(directory: string) {
	const { accounts, state } = accountsPlaceOf(directory);
	const folder = dirname(state);
	if (folder === directory) return undefined;
	const isHere = folder === (await realpath(directory).catch(() => directory));
	return { folder, isHere, isOurs: (name: string) => [accounts, state].some((path) => basename(path) === name) };
}

function isLock(name: string): boolean {
	return isAbsolute(name) ? name.endsWith(".lock") : LOCK.test(name);
}

async function entriesOf(directory: string): Promise<EntryFact[]> {
	const leftovers = new Set(await leftoversOf(directory));
	const isKnown = (name: string) =>
		isAbsolute(name) || OURS.test(name) || FORMER_LOCK.test(name) || name === AUTH || leftovers.has(name);
	const names = [...new Set([...(await namesIn(directory)), ...leftovers])].filter(isKnown);
	const entries: EntryFact[] = [];
	for (const name of [".", ...names]) {
		const found = await stat(resolve(directory, name)).catch(() => undefined);
		if (!found) continue;
		const kind = kindOf(name, leftovers);
		const isFolder = found.isDirectory() && name !== ".";
		// Of folders, only one that was moved aside is reported.
		if (isFolder ? kind !== "quarantined" : name !== "." && !found.isFile()) continue;
		entries.push({ name, kind, mode: isFolder ? undefined : permissionsIn(found.mode) });
	}
	return entries;
}

function kindOf(name: string, leftovers: ReadonlySet<string>): EntryFact["kind"] {
	if (name === ".") return "directory";
	if (leftovers.has(name)) return "leftover";
	return QUARANTINED.test(name) ? "quarantined" : "file";
}

/** Windows has no such permissions. */
function permissionsIn(mode: number): number | undefined {
	return process.platform === "win32" ? undefined : mode & 0o777;
}

async function leftoversOf(directory: string): Promise<string[]> {
	const isWanted = (target: string) => OURS.test(target) || target === AUTH || target === SETTINGS;
	const here = await leftoversIn(directory, isWanted).catch(() => []);
	const there = await placeElsewhere(directory);
	if (!there || there.isHere) return here;
	const names = await leftoversIn(there.folder, there.isOurs).catch(() => []);
	return [...here, ...names.map((name) => join(there.folder, name))];
}

async function locksOf(directory: string, now: () => number): Promise<LockFact[]> {
	const locks: LockFact[] = [];
	for (const name of (await namesIn(directory)).filter(isLock)) {
		const found = await lookAtLock(resolve(directory, name));
		// It was released in the meantime.
		if (!found) continue;
		const { shape, stats } = found;
		locks.push({ name, ageMs: now() - stats.mtimeMs, staleMs: staleMsOf(name), isStrange: shape !== "folder" });
	}
	return locks;
}

function staleMsOf(lock: string): number {
	return lock === `${AUTH}.lock` ? STALE_AUTH_MS : STALE_MS;
}

async function narrowPermissions(directory: string): Promise<Repair[]> {
	const repairs: Repair[] = [];
	for (const { name, kind, mode: bits } of await entriesOf(directory)) {
		if (bits === undefined || (bits & 0o077) === 0) continue;
		const path = resolve(directory, name);
		const narrow = async () => {
			const { mode } = await stat(path);
			if (mode & STICKY) return false;
			// Never adds rights for the owner.
			await chmod(path, mode & (kind === "directory" ? 0o700 : 0o600));
			return true;
		};
		if (await narrow().catch(notMended)) repairs.push({ kind: "permissions", subject: name });
	}
	return repairs;
}

/** Removes every lock that no live process holds. */
async function releaseLocks(directory: string): Promise<Repair[]> {
	const repairs: Repair[] = [];
	for (const name of (await namesIn(directory)).filter(isLock)) {
		const isCleared = await clearLock(resolve(directory, name), staleMsOf(name), true).catch(notMended);
		if (isCleared) repairs.push({ kind: "lock", subject: name });
	}
	return repairs;
}

async function removeLeftovers(directory: string): Promise<Repair[]> {
	const repairs: Repair[] = [];
	for (const name of await leftoversOf(directory)) {
		const remove = async () => {
			await rm(resolve(directory, name), { force: true });
			return true;
		};
		if (await remove().catch(notMended)) repairs.push({ kind: "leftover", subject: name });
	}
	return repairs;
}

/** Only our own files. A person has to repair pi's. */
async function quarantineBroken(directory: string, now: () => number): Promise<Repair[]> {
	const isBroken = {
		[ACCOUNTS]: (bytes: string) => accountsIn(bytes, now()).content === "broken",
		[STATE]: (bytes: string) => contentOfState(bytes) === "broken",
		[POOL]: (bytes: string) => contentOfPool(bytes) === "broken",
	};
	const repairs: Repair[] = [];
	for (const [name, test] of Object.entries(isBroken)) {
		const path = name === STATE ? accountsPlaceOf(directory).state : join(directory, name);
		const isSuspect = async (target: string) => {
			const bytes = await readOnce(target);
			return bytes !== undefined && bytes !== "unreadable" && test(bytes);
		};
		if (!(await isSuspect(path))) continue;
		const set = async () => {
			const target = await realTarget(path);
			// Another process may have moved it aside since, and created a new one.
			return withLock(target, { waitMs: STALE_MS }, async () => {
				const seen = signatureOf(target);
				return (await isSuspect(target)) && quarantine(target, path, seen);
			});
		};
		const kept = await set().catch(notMended);
		if (kept) repairs.push({ kind: "set-aside", subject: basename(kept) });
	}
	return repairs;
}

/** A process holds it, or the file system refuses. The next run finds it again, and everything else is repaired. */
function notMended(): false {
	return false;
}
