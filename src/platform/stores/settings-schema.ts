import * as z from "zod/mini";
import { FURTHEST_RESET_MS } from "../../core/cooldown.ts";
import { durationIn, durationText } from "../../core/duration.ts";
import { POLICIES, type PolicyName } from "../../core/request/policies.ts";
import {
	type BeyondSettings,
	CREDITS_CONSENTS,
	FAST_MODES,
	FOOTER_ORDERS,
	FOOTER_WINDOWS,
	type FooterSettings,
	HIGHEST_THRESHOLD,
	NOTICE_WAYS,
	type NotifySettings,
	type QuietHours,
	RESERVE_MODEL_CONSENTS,
	type RotationSettings,
	type Settings,
	type StoredValue,
	TERMINAL_WAYS,
	USAGE_MODES,
} from "../../core/settings.ts";
import { lazily } from "../lazily.ts";

/** One preference of a group `G`: how it is stored, typed and shown. */
export interface Preference<G> {
	/** Its key in the group. A dot leads one level down. */
	readonly key: string;
	/** What it does, in a few words. */
	readonly summary: string;
	/** What it must be, as the end of "must be …". */
	readonly wanted: string;
	/** Values to offer while typing. */
	readonly choices: readonly string[];
	/** Returns the settings with a stored value applied; undefined if the value is invalid. */
	read(stored: unknown, into: G): G | undefined;
	/** Returns the value as stored. */
	stored(settings: G): StoredValue;
}

/** Every value of `rotation`. A new one is one entry here. */
export const ROTATION_PREFERENCES: readonly Preference<RotationSettings>[] = [
	preference("policy", "which account a new session starts on", oneOf(policyNames())),
	preference("maxRotations", "other accounts tried for one request", wholeNumber(50, [0, 5, 10])),
	preference(
		"maxWaitMs",
		"longest wait for the first account to come back",
		duration(["0s", "60s", "15m", "8h"]),
		"maxWait",
	),
	preference(
		"cooldownMs",
		"how long an account rests when its reset is unknown",
		duration(["60s", "15m", "1h", "8h"]),
		"cooldown",
	),
	reserveOf("5h"),
	reserveOf("7d"),
	preference("fastMode", "ask for the faster service tier, which draws more quota", oneOf(FAST_MODES)),
];

/** Every value of `beyond`. A new one is one entry here. */
export const BEYOND_PREFERENCES: readonly Preference<BeyondSettings>[] = [
	preference("credits", "which sessions may use bought credits once all quota is out", oneOf(CREDITS_CONSENTS)),
	preference(
		"reserveModel",
		"whether Luna Reserve may serve once all quota is out",
		oneOf(RESERVE_MODEL_CONSENTS),
		"reserve",
	),
];

/** One entry of the chain: a provider, and the id of a model, which may contain slashes. */
const linkSchema = lazily(() => z.string().check(z.regex(/^[^\s/]+\/\S+$/), z.maxLength(200)));

/**
 * Reads a stored chain entry by entry. Returns the valid links, and for each invalid one its position and what it must
 * be.
 */
export function chainIn(stored: unknown): {
	readonly chain: readonly string[];
	readonly problems: readonly { readonly at: number; readonly wanted: string }[];
} {
	const chain: string[] = [];
	const problems: { readonly at: number; readonly wanted: string }[] = [];
	for (const [at, entry] of (Array.isArray(stored) ? stored : []).entries()) {
		const { data } = linkSchema().safeParse(entry);
		if (data === undefined) problems.push({ at, wanted: "a model as provider/model" });
		else if (chain.includes(data)) problems.push({ at, wanted: `listed once, and ${data} is already listed` });
		else chain.push(data);
	}
	return { chain, problems };
}

/** Every value of `footer`. A new one is one entry here. */
export const FOOTER_PREFERENCES: readonly Preference<FooterSettings>[] = [
	preference("usage", "percent that is left, or used", oneOf(USAGE_MODES)),
	preference("windows", "which usage windows", oneOf(FOOTER_WINDOWS)),
	preference("account", "the label of the account", flag()),
	preference("reset", "time to the reset", flag()),
	preference("meters", "a meter beside each percentage, where there is room", flag()),
	preference("ready", "how many accounts are ready", flag()),
	preference("lasts", "how long the pool lasts, if there is a forecast", flag()),
	preference("order", "what comes first", oneOf(FOOTER_ORDERS)),
];

/** More warnings for one window would be noise. */
const MOST_THRESHOLDS = 5;

/** Stands for no quiet hours, and for no thresholds. */
const OFF = "off";

/** Every value of `notify` except its command. A new one is one entry here. */
export const NOTIFY_PREFERENCES: readonly Preference<NotifySettings>[] = [
	preference("to", "where notices go besides the chat", oneOf(NOTICE_WAYS)),
	preference("terminal", "how the terminal shows them; auto detects the terminal", oneOf(TERMINAL_WAYS)),
	preference("quiet", "hours in which they stay in the chat", quietHours(["off", "22:00-08:00"])),
	preference(
		"warnAt",
		"percent left of the last account when the chat warns",
		thresholds(["25,10,5", "50,25,10,5", "10", "off"]),
	),
	preference(
		"aheadMs",
		"how long before a forecast has the pool run out the chat warns",
		duration(["0s", "1h", "3h", "8h"]),
		"ahead",
	),
];

/** The preferences outside any group. A new one is one entry here. */
export const GENERAL_PREFERENCES: readonly Preference<Settings>[] = [
	preference("enabled", "off: pi behaves as without pi-multicodex", flag()),
	preference("notifications", "one line in the chat when the account changes", flag()),
	preference("maskEmails", "hide e-mails on the screen", flag()),
	preference("ledger", "count requests and tokens by day, for usage", flag()),
];

/** A program and its arguments, as stored. */
const commandSchema = lazily(() =>
	z.readonly(z.array(z.string().check(z.maxLength(4000), z.regex(/^[^\0]*$/))).check(z.maxLength(50))),
);

/** Returns a stored command; undefined if it is not one. */
export function commandIn(stored: unknown): readonly string[] | undefined {
	const { data } = commandSchema().safeParse(stored);
	return data?.[0] === "" ? undefined : data;
}

/** What values of a kind have in common: how they are checked, asked for, offered and stored. */
interface Kind<T> {
	readonly schema: () => z.ZodMiniType<T>;
	readonly wanted: string;
	readonly choices: readonly string[];
	stored(value: T): StoredValue;
}

/** Creates a preference for one field of its group, stored as `name`. */
function preference<G, K extends keyof G & string>(
	field: K,
	summary: string,
	kind: Kind<G[K]>,
	name: string = field,
): Preference<G> {
	const { schema, wanted, choices } = kind;
	return {
		key: name,
		summary,
		wanted,
		choices,
		read: (stored, into) => {
			const { success, data } = schema().safeParse(stored);
			return success ? { ...into, [field]: data } : undefined;
		},
		stored: (settings) => kind.stored(settings[field]),
	};
}

/** Creates the preference for what is kept of one window, leaving other windows alone. */
function reserveOf(window: string): Preference<RotationSettings> {
	const share = preference<Readonly<Record<string, number>>, string>(
		window,
		`percent of ${window} that new sessions leave alone`,
		wholeNumber(95, [0, 10, 20]),
		`reserve.${window}`,
	);
	return {
		...share,
		read: (stored, into) => {
			const reserve = share.read(stored, into.reserve);
			return reserve && { ...into, reserve };
		},
		stored: ({ reserve }) => share.stored({ [window]: 0, ...reserve }),
	};
}

function flag(): Kind<boolean> {
	return {
		schema: lazily(() => z.boolean()),
		wanted: "true or false",
		choices: ["true", "false"],
		stored: (value) => value,
	};
}

function oneOf<T extends string>(values: readonly T[]): Kind<T> {
	return {
		schema: lazily(() => z.enum(values)),
		wanted: `one of ${values.join(", ")}`,
		choices: values,
		stored: (value) => value,
	};
}

function wholeNumber(most: number, choices: readonly number[]): Kind<number> {
	return {
		schema: lazily(() => z.int().check(z.minimum(0), z.maximum(most))),
		wanted: `a whole number from 0 to ${most}`,
		choices: choices.map(String),
		stored: (value) => value,
	};
}

/** Stored as text, kept in ms. A bare 0 needs no unit. */
function duration(choices: readonly string[]): Kind<number> {
	return {
		schema: lazily(() => {
			const inMs = z.transform((stored: string | 0) => durationIn(String(stored)) ?? Number.NaN);
			const read = z.pipe(z.union([z.string(), z.literal(0)]), inMs);
			return z.pipe(read, z.number().check(z.maximum(FURTHEST_RESET_MS)));
		}),
		wanted: "a duration such as 90s, 45 min or 1h30m",
		choices,
		stored: durationText,
	};
}

/** Stored as text. */
function quietHours(choices: readonly string[]): Kind<QuietHours | undefined> {
	return {
		schema: lazily(() => {
			const checked = z.transform((stored: string, ctx): QuietHours | undefined => {
				const hours = quietHoursIn(stored);
				if (hours === undefined) ctx.issues.push({ code: "custom", input: stored, message: "no hours" });
				return hours === OFF ? undefined : hours;
			});
			return z.pipe(z.string(), checked);
		}),
		wanted: "hours such as 22:00-08:00, or off",
		choices,
		stored: (hours) => (hours === undefined ? OFF : `${clockText(hours.from)}-${clockText(hours.to)}`),
	};
}

const HOURS = /^(\d{1,2})(?::?(\d\d))?\s*(?:-|–|to)\s*(\d{1,2})(?::?(\d\d))?$/;

function quietHoursIn(text: string): QuietHours | typeof OFF | undefined {
	const typed = text.trim().toLowerCase();
	if (typed === OFF) return OFF;
	const [, fromHour, fromMinute = 0, toHour, toMinute = 0] = HOURS.exec(typed) ?? [];
	const from = minuteOfDay(Number(fromHour), Number(fromMinute));
	const to = minuteOfDay(Number(toHour), Number(toMinute));
	return from === undefined || to === undefined || from === to ? undefined : { from, to };
}

function minuteOfDay(hour: number, minute: number): number | undefined {
	// Midnight is also the end of a day.
	if (hour === 24 && minute === 0) return 0;
	return hour < 24 && minute < 60 ? hour * 60 + minute : undefined;
}

function clockText(minutes: number): string {
	return [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0")).join(":");
}

/** Highest first, each once. Stored as text. */
function thresholds(choices: readonly string[]): Kind<readonly number[]> {
	const listIn = (stored: string | number | number[]): number[] => {
		if (typeof stored !== "string") return [stored].flat();
		const typed = stored.trim().toLowerCase();
		return typed === OFF ? [] : typed.split(/[\s,;]+/).map((part) => Number(part.replace("%", "") || Number.NaN));
	};
	return {
		schema: lazily(() => {
			const stored = z.union([z.string(), z.number(), z.array(z.number())]);
			const threshold = z.int().check(z.minimum(1), z.maximum(HIGHEST_THRESHOLD));
			const checked = z.array(threshold).check(z.maxLength(MOST_THRESHOLDS));
			const sorted = z.transform((list: number[]): readonly number[] => [...new Set(list)].sort((a, b) => b - a));
			return z.pipe(z.pipe(z.pipe(stored, z.transform(listIn)), checked), sorted);
		}),
		wanted: `up to ${MOST_THRESHOLDS} whole numbers from 1 to ${HIGHEST_THRESHOLD}, such as 25,10,5, or off`,
		choices,
		stored: (list) => (list.length === 0 ? OFF : list.join()),
	};
}

function policyNames(): readonly PolicyName[] {
	return Object.keys(POLICIES).filter((name): name is PolicyName => Object.hasOwn(POLICIES, name));
}
