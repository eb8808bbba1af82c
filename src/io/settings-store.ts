import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { z } from "zod";
import { DEFAULT_SETTINGS, ROTATION_PREFERENCES, type RotationSettings, type Settings } from "../domain/settings.ts";
import type { SettingsStore } from "../pool/ports.ts";
import { parseJson } from "./json.ts";
import { changePiFile } from "./pi-file.ts";
import { signatureOf } from "./shared-document.ts";

/** Our key in pi's `settings.json`. */
export const SETTINGS_KEY = "pi-multicodex";

/** As pi's own synchronous lock has it. */
const LOCK = { waitMs: 3000, staleMs: 10_000 };

const groupSchema = z.record(z.string(), z.unknown());

/**
 * Reads preferences from pi's `settings.json`, again whenever the file has changed, and writes them there under pi's lock.
 * A torn or broken file keeps the last good values; a bad value falls back to its default and is reported once.
 */
export function openSettings(path: string, onProblem: (text: string) => void): SettingsStore {
	let signature: string | undefined;
	let settings = DEFAULT_SETTINGS;
	const reported = new Set<string>();
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
			// pi writes in place: an unreadable moment is looked at again next time.
			if (!loaded) return settings;
			signature = current;
			settings = toSettings(loaded.preferences, (name, wanted) => {
				if (reported.has(name)) return;
				reported.add(name);
				onProblem(`settings.json: ${name} must be ${wanted}; the default is used.`);
			});
			return settings;
		},
		setRotation: async (values) => {
			// Only where there is none: the file is pi's.
			await writeFile(path, "{}\n", { flag: "wx", mode: 0o600 }).catch(ignoreExisting);
			await changePiFile(path, LOCK, (bytes) => withRotation(bytes, values));
		},
	};
}

const savedModelSchema = z.object({ defaultProvider: z.string(), defaultModel: z.string() });

/** The model of `provider` that pi's `settings.json` names as the default; undefined where it names none of it. */
export function savedModelIn(path: string, provider: string): string | undefined {
	const saved = parseJson(savedModelSchema, textOf(path));
	return saved?.defaultProvider === provider ? saved.defaultModel : undefined;
}

/** What stands under our key; undefined where the file cannot be read. */
function load(path: string): { readonly preferences: unknown } | undefined {
	const file = parseJson(groupSchema, textOf(path));
	return file && { preferences: file[SETTINGS_KEY] };
}

/** Empty where the file is not there, or not to be had at this moment. */
function textOf(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch {
		// An empty text is no JSON: it says nothing, as a torn one does.
		return "";
	}
}

/** One preference at a time: a bad one falls back alone. */
function toSettings(preferences: unknown, complain: (name: string, wanted: string) => void): Settings {
	const group = (value: unknown, name: string) => {
		const { data } = groupSchema.safeParse(value);
		if (!data && value !== undefined) complain(name, "an object");
		return data ?? {};
	};
	const ours = group(preferences, SETTINGS_KEY);
	const stored = group(ours.rotation, `${SETTINGS_KEY}.rotation`);
	const flag = (key: "notifications" | "maskEmails") => {
		const value = ours[key];
		if (typeof value === "boolean") return value;
		if (value !== undefined) complain(`${SETTINGS_KEY}.${key}`, "true or false");
		return DEFAULT_SETTINGS[key];
	};
	let rotation: RotationSettings = DEFAULT_SETTINGS.rotation;
	for (const { key, wanted, read } of ROTATION_PREFERENCES) {
		const [outer = key, inner] = key.split(".");
		const value =
			inner === undefined ? stored[outer] : group(stored[outer], `${SETTINGS_KEY}.rotation.${outer}`)[inner];
		if (value === undefined) continue;
		const next = read(value, rotation);
		if (next) rotation = next;
		else complain(`${SETTINGS_KEY}.rotation.${key}`, wanted);
	}
	return { rotation, notifications: flag("notifications"), maskEmails: flag("maskEmails") };
}

/** The file with the values in it, in pi's own layout. Throws where the file cannot be read: it is never written over. */
function withRotation(bytes: string, values: Readonly<Record<string, string | number>>): string {
	const file = parseJson(groupSchema, bytes);
	if (!file) throw new UnreadableSettingsError();
	const ours = groupSchema.safeParse(file[SETTINGS_KEY]).data ?? {};
	const rotation: Record<string, unknown> = { ...groupSchema.safeParse(ours.rotation).data };
	for (const [key, value] of Object.entries(values)) {
		const [outer = key, inner] = key.split(".");
		const group = groupSchema.safeParse(rotation[outer]).data;
		rotation[outer] = inner === undefined ? value : { ...group, [inner]: value };
	}
	const text = JSON.stringify({ ...file, [SETTINGS_KEY]: { ...ours, rotation } }, undefined, 2);
	return bytes.endsWith("\n") ? `${text}\n` : text;
}

/** `settings.json` does not parse. */
class UnreadableSettingsError extends Error {
	readonly code = "EUNREADABLE";
	constructor() {
		super("settings.json is not valid JSON and was left as it is");
		this.name = "UnreadableSettingsError";
	}
}

function ignoreExisting(error: unknown): undefined {
	if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
}
