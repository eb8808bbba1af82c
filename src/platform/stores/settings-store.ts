import { readlink, realpath, stat, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import * as z from "zod/mini";
import { EVERYWHERE } from "../../core/account-sets.ts";
import { POOL_MODEL_ID, PROVIDER } from "../../core/ids.ts";
import type { SettingEdit, SettingsStore } from "../../core/ports.ts";
import { DEFAULT_SETTINGS, type Settings, type StoredValue } from "../../core/settings.ts";
import { signatureOf } from "../files/document-file.ts";
import { codeOf } from "../files/errors.ts";
import { changePiFile } from "../files/pi-file.ts";
import { readTextNow } from "../files/regular-file.ts";
import { parseJson } from "../json.ts";
import { capsIn, setsIn } from "./account-rules.ts";
import {
	BEYOND_PREFERENCES,
	chainIn,
	commandIn,
	FOOTER_PREFERENCES,
	GENERAL_PREFERENCES,
	NOTIFY_PREFERENCES,
	type Preference,
	ROTATION_PREFERENCES,
} from "./settings-schema.ts";

/** Our key in pi's `settings.json`. */
const SETTINGS_KEY = "pi-multicodex";

/** The same times as pi's own synchronous lock. */
const LOCK = { waitMs: 3000, staleMs: 10_000 };

const groupSchema = z.record(z.string(), z.unknown());

/**
 * Reads preferences from pi's `settings.json` whenever the file has changed, and writes them under pi's lock. If the
 * file is torn or broken, the last valid values stay. An invalid value falls back to its default and is reported once.
 */
export function openSettings(path: string, onProblem: (text: string) => void): SettingsStore {
	let signature: string | undefined;
	let settings = DEFAULT_SETTINGS;
	let wasRead = false;
	const reported = new Set<string>();
	const store = async (edit: (bytes: string) => string) => {
		try {
			// Create it only if it does not exist: the file is pi's.
			await writeFile(path, "{}\n", NEW_FILE).catch(ignoreExisting);
			await fillLink(path);
			await changePiFile(path, LOCK, edit);
		} catch (error) {
			const code = codeOf(error) ?? "";
			throw UNUSABLE_CODES.has(code) ? await unusableError(path, code) : error;
		}
	};
	return {
		read: () => {
			const current = signatureOf(path);
			if (current === signature) return settings;
			if (current === undefined) {
				signature = undefined;
				settings = DEFAULT_SETTINGS;
				return settings;
			}
			const loaded = load(path);
			// pi writes in place. If the file cannot be read now, it is read again next time.
			if (!loaded) return wasRead ? settings : whileUnread(path);
			wasRead = true;
			signature = current;
			settings = toSettings(loaded.preferences, (name, wanted, instead) => {
				const problem = badSetting(name, wanted, instead);
				if (reported.has(problem)) return;
				reported.add(problem);
				onProblem(problem);
			});
			return settings;
		},
		set: (values) => store((bytes) => withValues(bytes, values)),
		change: (edits) => store((bytes) => withEdits(bytes, edits)),
		changeChain: (change) => store((bytes) => withChain(bytes, change)),
	};
}

/**
 * Returns the settings that apply while the file has never been readable. If it may contain account sets or caps, no
 * account serves.
 */
function whileUnread(path: string): Settings {
	const mayRestrict = /"(?:sets|caps)"\s*:/.test(readIfThere(path));
	return mayRestrict ? { ...DEFAULT_SETTINGS, sets: { [EVERYWHERE]: [] } } : DEFAULT_SETTINGS;
}

/** Lists the problems of our preferences in the bytes of a `settings.json`, as whole sentences. */
export function settingsProblemsIn(bytes: string): string[] {
	const problems: string[] = [];
	const file = parseJson(groupSchema, bytes);
	if (file) {
		toSettings(file[SETTINGS_KEY], (name, wanted, instead) => problems.push(badSetting(name, wanted, instead)));
	}
	return [...new Set(problems)];
}

function badSetting(name: string, wanted: string, instead = "the default is used"): string {
	return `settings.json: ${name} must be ${wanted}; ${instead}.`;
}

const savedModelSchema = z.object({ defaultProvider: z.string(), defaultModel: z.string() });

/**
 * Returns the Codex model that is the default in pi's `settings.json`; undefined if the default is another one, or the
 * virtual one.
 */
export function savedCodexModelIn(path: string): string | undefined {
	const { defaultProvider, defaultModel } = parseJson(savedModelSchema, readIfThere(path)) ?? {};
	return defaultProvider === PROVIDER && defaultModel !== POOL_MODEL_ID ? defaultModel : undefined;
}

/** True if the file can be read as pi's settings. A missing file can. */
export function canBeRead(path: string): boolean {
	return signatureOf(path) === undefined || load(path) !== undefined;
}

/** Returns the value of our key; undefined if the file cannot be read. */
function load(path: string): { readonly preferences: unknown } | undefined {
	const file = parseJson(groupSchema, readIfThere(path));
	return file && { preferences: file[SETTINGS_KEY] };
}

/** Reads the file's text; empty if it is missing or cannot be read right now. */
function readIfThere(path: string): string {
	try {
		return readTextNow(path);
	} catch {
		// An empty text is not JSON, and is treated as torn.
		return "";
	}
}

/** Keys of pi-multicodex 2.x outside any group, and their names in `footer`. */
const FORMER_FOOTER_KEYS: ReadonlyMap<string, string> = new Map([
	["usageMode", "usage"],
	["resetWindow", "windows"],
	["showAccount", "account"],
	["showReset", "reset"],
	["order", "order"],
]);

/** Reads preferences one at a time, so that an invalid one falls back alone. */
function toSettings(
	preferences: unknown,
	complain: (name: string, wanted: string, instead?: string) => void,
): Settings {
	const group = (value: unknown, name: string) => {
		const { data } = groupSchema.safeParse(value);
		if (!data && value !== undefined) complain(name, "an object");
		return data ?? {};
	};
	const valueAt = (stored: Record<string, unknown>, key: string, name: string) => {
		const [outer = key, inner] = key.split(".");
		return inner === undefined ? stored[outer] : group(stored[outer], `${name}.${outer}`)[inner];
	};
	const readAll = <G>(
		entries: readonly Preference<G>[],
		defaults: G,
		stored: Record<string, unknown>,
		name: string,
	) => {
		let settings = defaults;
		for (const { key, wanted, read } of entries) {
			const value = valueAt(stored, key, name);
			if (value === undefined) continue;
			const next = read(value, settings);
			if (next) settings = next;
			else complain(`${name}.${key}`, wanted);
		}
		return settings;
	};
	const ours = group(preferences, SETTINGS_KEY);
	const general = readAll(GENERAL_PREFERENCES, DEFAULT_SETTINGS, ours, SETTINGS_KEY);
	const rotation = group(ours.rotation, `${SETTINGS_KEY}.rotation`);
	const beyond = group(ours.beyond, `${SETTINGS_KEY}.beyond`);
	const footer = group(footerIn(ours), `${SETTINGS_KEY}.footer`);
	const notify = group(ours.notify, `${SETTINGS_KEY}.notify`);
	return {
		...general,
		...(ours.pool !== undefined && { pool: readPool(ours.pool, complain) }),
		rotation: readAll(ROTATION_PREFERENCES, DEFAULT_SETTINGS.rotation, rotation, `${SETTINGS_KEY}.rotation`),
		beyond: {
			...readAll(BEYOND_PREFERENCES, DEFAULT_SETTINGS.beyond, beyond, `${SETTINGS_KEY}.beyond`),
			chain: readChain(beyond.chain, complain),
		},
		caps: capsIn(ours.caps, `${SETTINGS_KEY}.caps`, complain),
		sets: setsIn(ours.sets, `${SETTINGS_KEY}.sets`, complain),
		footer: readAll(FOOTER_PREFERENCES, DEFAULT_SETTINGS.footer, footer, `${SETTINGS_KEY}.footer`),
		notify: {
			...readAll(NOTIFY_PREFERENCES, DEFAULT_SETTINGS.notify, notify, `${SETTINGS_KEY}.notify`),
			command: readCommand(notify.command, complain),
		},
	};
}

/** Reads the name of the shared pool that was joined. */
function readPool(stored: unknown, complain: (name: string, wanted: string, instead?: string) => void) {
	if (typeof stored === "string" && stored !== "") return stored;
	complain(`${SETTINGS_KEY}.pool`, "the name of a pool that was joined", "no pool is used");
	return undefined;
}

/** Reads the chain, without invalid entries. */
function readChain(
	stored: unknown,
	complain: (name: string, wanted: string, instead?: string) => void,
): readonly string[] {
	const name = `${SETTINGS_KEY}.beyond.chain`;
	if (stored === undefined) return DEFAULT_SETTINGS.beyond.chain;
	if (!Array.isArray(stored)) complain(name, "a list of models");
	const { chain, problems } = chainIn(stored);
	for (const { at, wanted } of problems) complain(`${name}[${at}]`, wanted, "it is left out");
	return chain;
}

function readCommand(stored: unknown, complain: (name: string, wanted: string) => void): readonly string[] {
	const command = stored === undefined ? DEFAULT_SETTINGS.notify.command : commandIn(stored);
	if (!command) complain(`${SETTINGS_KEY}.notify.command`, "a list of a program and its arguments");
	return command ?? DEFAULT_SETTINGS.notify.command;
}

/** Returns the stored footer group; without one, the keys that pi-multicodex 2.x stored. */
function footerIn(ours: Record<string, unknown>): unknown {
	if (ours.footer !== undefined) return ours.footer;
	const former = [...FORMER_FOOTER_KEYS].flatMap(([old, key]) => (ours[old] === undefined ? [] : [[key, ours[old]]]));
	return former.length > 0 ? Object.fromEntries(former) : undefined;
}

/** Returns the file with the new values, in pi's own layout. */
function withValues(bytes: string, values: Readonly<Record<string, StoredValue>>): string {
	return changed(bytes, (stored) => {
		let ours = stored;
		for (const [key, value] of Object.entries(values)) {
			const path = key.split(".");
			// The former keys are not read once there is a group, so their values are copied into it together with the first
			// new one.
			if (path[0] === "footer" && ours.footer === undefined) ours = { ...ours, footer: footerIn(ours) };
			ours = withValueAt(ours, path, value);
		}
		return ours;
	});
}

function withEdits(bytes: string, edits: readonly SettingEdit[]): string {
	return changed(bytes, (stored) => edits.reduce((ours, { path, value }) => withValueAt(ours, path, value), stored));
}

function withChain(bytes: string, change: (chain: readonly string[]) => readonly string[] | undefined): string {
	return changed(bytes, (ours) => {
		const stored: unknown = groupSchema.safeParse(ours.beyond).data?.chain;
		const next = change(chainIn(stored).chain);
		if (next === undefined) return ours;
		const unread = Array.isArray(stored) && next.length > 0 ? stored.filter((entry) => typeof entry !== "string") : [];
		return withValueAt(ours, ["beyond", "chain"], [...next, ...unread]);
	});
}

/** Returns the file with our key changed. Throws if the file cannot be read: it is never overwritten. */
function changed(bytes: string, change: (ours: Record<string, unknown>) => Record<string, unknown>): string {
	const file = parseJson(groupSchema, bytes);
	if (!file) throw new UnreadableSettingsError();
	const ours = change(groupSchema.safeParse(file[SETTINGS_KEY]).data ?? {});
	const text = JSON.stringify({ ...file, [SETTINGS_KEY]: ours }, undefined, 2);
	return bytes.endsWith("\n") ? `${text}\n` : text;
}

function withValueAt(
	stored: unknown,
	[key, ...rest]: readonly string[],
	value: SettingEdit["value"] | readonly unknown[],
): Record<string, unknown> {
	const group = groupSchema.safeParse(stored).data ?? {};
	if (key === undefined) return group;
	const inner = rest.length === 0 ? value : withValueAt(group[key], rest, value);
	const isGone = inner === undefined || (value === undefined && Object.keys(inner).length === 0);
	const others = Object.entries(group).filter(([each]) => each !== key);
	return isGone ? Object.fromEntries(others) : { ...group, [key]: inner };
}

/** `settings.json` does not parse. */
class UnreadableSettingsError extends Error {
	readonly code = "EUNREADABLE";
	constructor() {
		super("settings.json is not valid JSON and was left as it is");
		this.name = "UnreadableSettingsError";
	}
}

/** Creates the file only if it does not exist. */
const NEW_FILE = { flag: "wx", mode: 0o600 } as const;

/** Creates the missing file that a link leads to, as pi does by writing through the link. */
async function fillLink(path: string): Promise<void> {
	const target = await readlink(path).catch(() => undefined);
	if (target === undefined || (await isThere(path))) return;
	await writeFile(resolve(dirname(path), target), "{}\n", NEW_FILE).catch(ignoreExisting);
}

/** Codes for a read-only file system, a file of another user, and a link that leads nowhere. */
const UNUSABLE_CODES: ReadonlySet<string> = new Set(["EROFS", "EACCES", "EPERM", "ENOENT", "ENOTDIR", "ELOOP"]);

/** The file cannot be written where it is, typically because a configuration manager generated it. */
class UnusableSettingsError extends Error {
	readonly code: string;
	constructor(text: string, code: string) {
		super(text);
		this.name = "UnusableSettingsError";
		this.code = code;
	}
}

async function unusableError(path: string, code: string): Promise<UnusableSettingsError> {
	const given = await readlink(path).catch(() => undefined);
	const target = await realpath(path).catch(() => (given === undefined ? path : resolve(dirname(path), given)));
	const isLeading = target !== path;
	const what = isLeading && !(await isThere(target)) ? `is not there (${code})` : `cannot be written (${code})`;
	const where = isLeading ? `settings.json leads to ${target}, which ${what}` : `settings.json ${what}`;
	return new UnusableSettingsError(`${where}. Set "${SETTINGS_KEY}" in what that file is made from`, code);
}

function isThere(path: string): Promise<boolean> {
	return stat(path).then(
		() => true,
		() => false,
	);
}

function ignoreExisting(error: unknown): undefined {
	if (codeOf(error) !== "EEXIST") throw error;
}
