import { readFileSync } from "node:fs";
import { z } from "zod";
import { FURTHEST_RESET_MS } from "../domain/cooldown.ts";
import { DEFAULT_SETTINGS, type Settings } from "../domain/settings.ts";
import type { ReadSettings } from "../pool/ports.ts";
import { signatureOf } from "./shared-document.ts";

/** Our key in pi's `settings.json`. */
export const SETTINGS_KEY = "pi-multicodex";

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const rotations = z.number().int().min(0).max(50);

const duration = z
	.string()
	.regex(/^\d{1,8}[smhd]$/)
	.transform((text) => Number(text.slice(0, -1)) * (UNIT_MS[text.slice(-1)] ?? 0))
	.pipe(z.number().max(FURTHEST_RESET_MS));

const fileSchema = z.object({ [SETTINGS_KEY]: z.unknown() });
const groupSchema = z.record(z.string(), z.unknown());

/**
 * Reads preferences from pi's `settings.json`, again whenever the file has changed. Never writes.
 * A torn or broken file keeps the last good values; a bad value falls back to its default and is reported once.
 */
export function openSettings(path: string, onProblem: (text: string) => void): ReadSettings {
	let signature: string | undefined;
	let settings = DEFAULT_SETTINGS;
	const reported = new Set<string>();
	return () => {
		const current = signatureOf(path);
		if (current === signature) return settings;
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
	};
}

/** What stands under our key; undefined where the file cannot be read. */
function load(path: string): { readonly preferences: unknown } | undefined {
	try {
		const parsed = fileSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
		return parsed.success ? { preferences: parsed.data[SETTINGS_KEY] } : undefined;
	} catch {
		// Not there, torn, or not JSON.
		return undefined;
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
	const rotation = group(ours.rotation, `${SETTINGS_KEY}.rotation`);
	const read = <T>(value: unknown, name: string, schema: z.ZodType<T>, wanted: string, otherwise: T): T => {
		if (value === undefined) return otherwise;
		const parsed = schema.safeParse(value);
		if (!parsed.success) complain(`${SETTINGS_KEY}.${name}`, wanted);
		return parsed.success ? parsed.data : otherwise;
	};
	const span = (key: string, otherwise: number) =>
		read(rotation[key], `rotation.${key}`, duration, "a duration such as 60s, 15m or 8h", otherwise);
	const flag = (key: "notifications" | "maskEmails") =>
		read(ours[key], key, z.boolean(), "true or false", DEFAULT_SETTINGS[key]);
	const { maxRotations, maxWaitMs, cooldownMs } = DEFAULT_SETTINGS.rotation;
	const upTo = "a whole number from 0 to 50";
	return {
		rotation: {
			maxRotations: read(rotation.maxRotations, "rotation.maxRotations", rotations, upTo, maxRotations),
			maxWaitMs: span("maxWait", maxWaitMs),
			cooldownMs: span("cooldown", cooldownMs),
		},
		notifications: flag("notifications"),
		maskEmails: flag("maskEmails"),
	};
}
