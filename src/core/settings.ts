import type { Reserve } from "./candidate.ts";
import { FURTHEST_RESET_MS } from "./cooldown.ts";
import { DEFAULT_POLICY, POLICIES, type PolicyName } from "./policies.ts";

/** When to ask for the faster service tier: never, while every known window has much left, or always. */
export const FAST_MODES = ["off", "auto", "always"] as const;

/** One of {@link FAST_MODES}. */
export type FastMode = (typeof FAST_MODES)[number];

/** Whether percentages are of what is left or of what is used. */
export const USAGE_MODES = ["left", "used"] as const;

/** Windows that the footer shows. */
export const FOOTER_WINDOWS = ["both", "5h", "7d"] as const;

/** What the footer begins with. */
export const FOOTER_ORDERS = ["account-first", "usage-first"] as const;

/** How accounts are chosen and changed. Durations in ms. */
export interface RotationSettings {
	readonly policy: PolicyName;
	/** Other accounts tried for one request. */
	readonly maxRotations: number;
	/** Longest wait for the first account to come back, when none is left. */
	readonly maxWaitMs: number;
	/** Cooldown after a usage limit whose reset nobody told. */
	readonly cooldownMs: number;
	/** What is kept of each window for sessions that are already on an account. */
	readonly reserve: Reserve;
	readonly fastMode: FastMode;
}

/** What the footer shows of the account that serves, as far as there is room. */
export interface FooterSettings {
	/** Percentages are of what is left, or of what is used. */
	readonly usage: (typeof USAGE_MODES)[number];
	/** Which windows, by name; an account that has only others shows those. */
	readonly windows: (typeof FOOTER_WINDOWS)[number];
	/** The label. */
	readonly account: boolean;
	/** Time to the reset, beside each percentage. */
	readonly reset: boolean;
	readonly meters: boolean;
	/** How many accounts are ready. */
	readonly ready: boolean;
	readonly order: (typeof FOOTER_ORDERS)[number];
}

/** The preferences that have an effect. Written by the person under `pi-multicodex` in `settings.json`. */
export interface Settings {
	/** False: pi behaves as without us. */
	readonly enabled: boolean;
	readonly rotation: RotationSettings;
	readonly footer: FooterSettings;
	/** One line when a request moves to another account. */
	readonly notifications: boolean;
	/** Hide e-mails on the person's own screen. */
	readonly maskEmails: boolean;
}

/** What holds where the person set nothing. */
export const DEFAULT_SETTINGS: Settings = {
	enabled: true,
	rotation: {
		policy: DEFAULT_POLICY,
		maxRotations: 5,
		maxWaitMs: 60_000,
		cooldownMs: 60 * 60 * 1000,
		reserve: { "5h": 0, "7d": 0 },
		fastMode: "off",
	},
	footer: {
		usage: "left",
		windows: "both",
		account: true,
		reset: true,
		meters: true,
		ready: true,
		order: "account-first",
	},
	notifications: true,
	maskEmails: false,
};

/** A preference as `settings.json` holds it. */
export type StoredValue = string | number | boolean;

/** One preference of a group `G`, as it is stored, typed and shown. */
export interface Preference<G> {
	/** Its key in the group; a dot leads one level down. */
	readonly key: string;
	/** What it does, in a few words. */
	readonly summary: string;
	/** What it has to be, as the end of "must be …". */
	readonly wanted: string;
	/** Values to offer while it is typed. */
	readonly choices: readonly string[];
	/** The settings with a stored value in them; undefined where the value will not do. */
	read(stored: unknown, into: G): G | undefined;
	/** The value as it is stored. */
	stored(settings: G): StoredValue;
}

/** The preferences that stand by themselves. The next one is one entry here. */
export const GENERAL_PREFERENCES: readonly Preference<Settings>[] = [
	{
		key: "enabled",
		summary: "off: pi behaves as without pi-multicodex",
		...aFlag(),
		read: (stored, into) => (isFlag(stored) ? { ...into, enabled: stored } : undefined),
		stored: ({ enabled }) => enabled,
	},
	{
		key: "notifications",
		summary: "one line in the chat when the account changes",
		...aFlag(),
		read: (stored, into) => (isFlag(stored) ? { ...into, notifications: stored } : undefined),
		stored: ({ notifications }) => notifications,
	},
	{
		key: "maskEmails",
		summary: "hide e-mails on the screen",
		...aFlag(),
		read: (stored, into) => (isFlag(stored) ? { ...into, maskEmails: stored } : undefined),
		stored: ({ maskEmails }) => maskEmails,
	},
];

/** Every value of `footer`. The next one is one entry here. */
export const FOOTER_PREFERENCES: readonly Preference<FooterSettings>[] = [
	footerChoice("usage", "percent that is left, or used", USAGE_MODES),
	footerChoice("windows", "which usage windows", FOOTER_WINDOWS),
	footerFlag("account", "the label of the account"),
	footerFlag("reset", "time to the reset"),
	footerFlag("meters", "a meter beside each percentage, where there is room"),
	footerFlag("ready", "how many accounts are ready"),
	footerChoice("order", "what comes first", FOOTER_ORDERS),
];

/** Every value of `rotation`. The next one is one entry here. */
export const ROTATION_PREFERENCES: readonly Preference<RotationSettings>[] = [
	{
		key: "policy",
		summary: "which account a new session starts on",
		...oneOf(Object.keys(POLICIES)),
		read: (stored, into) => (isPolicy(stored) ? { ...into, policy: stored } : undefined),
		stored: ({ policy }) => policy,
	},
	{
		key: "maxRotations",
		summary: "other accounts tried for one request",
		wanted: "a whole number from 0 to 50",
		choices: ["0", "5", "10"],
		read: (stored, into) => (isWhole(stored, 50) ? { ...into, maxRotations: stored } : undefined),
		stored: ({ maxRotations }) => maxRotations,
	},
	{
		key: "maxWait",
		summary: "longest wait for the first account to come back",
		...aDuration(["0s", "60s", "15m", "8h"]),
		read: (stored, into) => withDuration(stored, (maxWaitMs) => ({ ...into, maxWaitMs })),
		stored: ({ maxWaitMs }) => durationText(maxWaitMs),
	},
	{
		key: "cooldown",
		summary: "how long an account rests when its reset is unknown",
		...aDuration(["60s", "15m", "1h", "8h"]),
		read: (stored, into) => withDuration(stored, (cooldownMs) => ({ ...into, cooldownMs })),
		stored: ({ cooldownMs }) => durationText(cooldownMs),
	},
	reserveOf("5h"),
	reserveOf("7d"),
	{
		key: "fastMode",
		summary: "ask for the faster service tier, which draws more quota",
		...oneOf(FAST_MODES),
		read: (stored, into) => (isFastMode(stored) ? { ...into, fastMode: stored } : undefined),
		stored: ({ fastMode }) => fastMode,
	},
];

function reserveOf(window: string): Preference<RotationSettings> {
	return {
		key: `reserve.${window}`,
		summary: `percent of ${window} that new sessions leave alone`,
		wanted: "a whole number from 0 to 95",
		choices: ["0", "10", "20"],
		read: (stored, into) =>
			isWhole(stored, 95) ? { ...into, reserve: { ...into.reserve, [window]: stored } } : undefined,
		stored: ({ reserve }) => reserve[window] ?? 0,
	};
}

type FlagOfFooter = "account" | "reset" | "meters" | "ready";
type ChoiceOfFooter = Exclude<keyof FooterSettings, FlagOfFooter>;

function footerFlag(key: FlagOfFooter, summary: string): Preference<FooterSettings> {
	return {
		key,
		summary,
		...aFlag(),
		read: (stored, into) => (isFlag(stored) ? { ...into, [key]: stored } : undefined),
		stored: (footer) => footer[key],
	};
}

function footerChoice<K extends ChoiceOfFooter>(
	key: K,
	summary: string,
	choices: readonly FooterSettings[K][],
): Preference<FooterSettings> {
	return {
		key,
		summary,
		...oneOf(choices),
		read: (stored, into) => {
			const chosen = choices.find((choice) => choice === stored);
			return chosen === undefined ? undefined : { ...into, [key]: chosen };
		},
		stored: (footer) => footer[key],
	};
}

type Wanted = Pick<Preference<never>, "wanted" | "choices">;

function aFlag(): Wanted {
	return { wanted: "true or false", choices: ["true", "false"] };
}

function isFlag(value: unknown): value is boolean {
	return typeof value === "boolean";
}

function oneOf(choices: readonly string[]): Wanted {
	return { wanted: `one of ${choices.join(", ")}`, choices };
}

function aDuration(choices: readonly string[]): Wanted {
	return { wanted: "a duration such as 90s, 45 min or 1h30m", choices };
}

function isPolicy(value: unknown): value is PolicyName {
	return typeof value === "string" && Object.hasOwn(POLICIES, value);
}

function isFastMode(value: unknown): value is FastMode {
	return FAST_MODES.some((mode) => mode === value);
}

function isWhole(value: unknown, most: number): value is number {
	return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most;
}

const SECOND_MS = 1000;

/** The words that a person has for a unit, and its length; the longest first. */
const UNITS: readonly { readonly words: readonly string[]; readonly ms: number }[] = [
	{ words: ["w", "wk", "wks", "week", "weeks"], ms: 7 * 86_400_000 },
	{ words: ["d", "day", "days"], ms: 86_400_000 },
	{ words: ["h", "hr", "hrs", "hour", "hours"], ms: 3_600_000 },
	{ words: ["m", "min", "mins", "minute", "minutes"], ms: 60_000 },
	{ words: ["s", "sec", "secs", "second", "seconds"], ms: SECOND_MS },
];
const PART = /(\d{1,8}(?:[.,]\d{1,6})?)\s*([a-z]*)\s*/gy;
const LONGEST_DURATION = 60;

/**
 * A duration as a person writes it, in ms: `90s`, `1.5h`, `1h30m`, `1h30`, `45 min`, `2 days`, `0`. Undefined for anything
 * else: a number without a unit may mean any.
 */
export function durationIn(text: string): number | undefined {
	const typed = text.trim().toLowerCase();
	if (typed === "" || typed.length > LONGEST_DURATION) return undefined;
	let ms = 0;
	let end = 0;
	let finest = Number.POSITIVE_INFINITY;
	for (const [part, count = "", word = ""] of typed.matchAll(PART)) {
		const length = lengthOf(word, finest, Number(count) === 0);
		// From the longest to the shortest, each once: anything else was not meant so.
		if (length === undefined || length >= finest) return undefined;
		ms += Number(count.replace(",", ".")) * length;
		finest = length;
		end += part.length;
	}
	return end === typed.length ? Math.round(ms / SECOND_MS) * SECOND_MS : undefined;
}

/** The length of a unit by its word. Without one: minutes behind hours, and what is nothing needs none. */
function lengthOf(word: string, before: number, isNothing: boolean): number | undefined {
	if (word !== "") return UNITS.find(({ words }) => words.includes(word))?.ms;
	if (before === 3_600_000) return 60_000;
	return isNothing && before === Number.POSITIVE_INFINITY ? SECOND_MS : undefined;
}

function withDuration<T>(stored: unknown, make: (ms: number) => T): T | undefined {
	if (stored !== 0 && typeof stored !== "string") return undefined;
	const ms = durationIn(String(stored));
	return ms !== undefined && ms <= FURTHEST_RESET_MS ? make(ms) : undefined;
}

const WRITTEN: readonly (readonly [unit: string, ms: number])[] = [
	["h", 3_600_000],
	["m", 60_000],
	["s", SECOND_MS],
];

/** In hours, minutes or seconds, whichever is largest without a rest; a minute is written as the default is, `60s`. */
function durationText(ms: number): string {
	const [unit, length] = WRITTEN.find(([, size]) => ms >= size && ms % size === 0) ?? ["s", SECOND_MS];
	return ms === 60_000 ? "60s" : `${Math.round(ms / length)}${unit}`;
}
