import { readFileSync } from "node:fs";
import { z } from "zod";
import { DEFAULT_SETTINGS, type Settings } from "../domain/settings.ts";
import type { ReadSettings } from "../pool/ports.ts";
import { signatureOf } from "./shared-document.ts";

/** Our key in pi's `settings.json`. */
export const SETTINGS_KEY = "pi-multicodex";

const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const rotations = z.number().int().min(0).max(50);

const duration = z
	.string()
	.regex(/^\d{1,6}[smhd]$/)
	.transform((text) => Number(text.slice(0, -1)) * (UNIT_MS[text.slice(-1)] ?? 0));

const fileSchema = z.object({ [SETTINGS_KEY]: z.record(z.string(), z.unknown()).optional() });

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
		const preferences = load(path);
		// pi writes in place: an unreadable moment is looked at again next time.
		if (!preferences) return settings;
		signature = current;
		settings = toSettings(preferences, (name, wanted) => {
			if (reported.has(name)) return;
			reported.add(name);
			onProblem(`settings.json: ${SETTINGS_KEY}.${name} must be ${wanted}; the default is used.`);
		});
		return settings;
	};
}

function load(path: string): Record<string, unknown> | undefined {
	try {
		const parsed = fileSchema.safeParse(JSON.parse(readFileSync(path, "utf8")));
		return parsed.success ? (parsed.data[SETTINGS_KEY] ?? {}) : undefined;
	} catch {
		// Not there, torn, or not JSON.
		return undefined;
	}
}

/** One preference at a time: a bad one falls back alone. */
function toSettings(preferences: Record<string, unknown>, complain: (name: string, wanted: string) => void): Settings {
	const { rotation, notifications, maskEmails } = DEFAULT_SETTINGS;
	const read = <T>(name: string, schema: z.ZodType<T>, wanted: string, otherwise: T): T => {
		const value = name.split(".").reduce<unknown>(property, preferences);
		if (value === undefined) return otherwise;
		const parsed = schema.safeParse(value);
		if (!parsed.success) complain(name, wanted);
		return parsed.success ? parsed.data : otherwise;
	};
	const aDuration = "a duration such as 60s, 15m or 8h";
	return {
		rotation: {
			maxRotations: read("rotation.maxRotations", rotations, "a whole number from 0 to 50", rotation.maxRotations),
			maxWaitMs: read("rotation.maxWait", duration, aDuration, rotation.maxWaitMs),
			cooldownMs: read("rotation.cooldown", duration, aDuration, rotation.cooldownMs),
		},
		notifications: read("notifications", z.boolean(), "true or false", notifications),
		maskEmails: read("maskEmails", z.boolean(), "true or false", maskEmails),
	};
}

function property(value: unknown, name: string): unknown {
	return typeof value === "object" && value !== null && !Array.isArray(value)
		? (value as Record<string, unknown>)[name]
		: undefined;
}
