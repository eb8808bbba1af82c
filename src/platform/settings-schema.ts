import * as z from "zod/mini";
import { FURTHEST_RESET_MS } from "../core/cooldown.ts";
import { durationIn, durationText } from "../core/duration.ts";
import { POLICIES, type PolicyName } from "../core/policies.ts";
import {
	type BeyondSettings,
	CREDITS_CONSENTS,
	FAST_MODES,
	FOOTER_ORDERS,
	FOOTER_WINDOWS,
	type FooterSettings,
	RESERVE_MODEL_CONSENTS,
	type RotationSettings,
	type Settings,
	type StoredValue,
	USAGE_MODES,
} from "../core/settings.ts";
import { lazily } from "./lazily.ts";

/** One preference of a group `G`, as it is stored, typed and shown. */
export interface Preference<G> {
	/** Its key in the group; a dot leads one level down. */
	readonly key: string;
	/** What it does, briefly. */
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

/** Every value of `rotation`. The next one is one entry here. */
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

/** Every value of `beyond`. The next one is one entry here. */
export const BEYOND_PREFERENCES: readonly Preference<BeyondSettings>[] = [
	preference("credits", "who may go on with bought credits once all quota is out", oneOf(CREDITS_CONSENTS)),
	preference(
		"reserveModel",
		"whether Luna Reserve may serve once all quota is out",
		oneOf(RESERVE_MODEL_CONSENTS),
		"reserve",
	),
];

/** One entry of the chain: a provider and the id of a model, which may have slashes of its own. */
const linkSchema = lazily(() => z.string().check(z.regex(/^[^\s/]+\/\S+$/), z.maxLength(200)));

/** A stored chain, entry by entry: the links that will do, and where the others stand, with what each has to be. */
export function chainIn(stored: unknown): {
	readonly chain: readonly string[];
	readonly problems: readonly { readonly at: number; readonly wanted: string }[];
} {
	const chain: string[] = [];
	const problems: { readonly at: number; readonly wanted: string }[] = [];
	for (const [at, entry] of (Array.isArray(stored) ? stored : []).entries()) {
		const { data } = linkSchema().safeParse(entry);
		if (data === undefined) problems.push({ at, wanted: "a model as provider/model" });
		else if (chain.includes(data)) problems.push({ at, wanted: `listed once, and ${data} stands before it` });
		else chain.push(data);
	}
	return { chain, problems };
}

/** Every value of `footer`. The next one is one entry here. */
export const FOOTER_PREFERENCES: readonly Preference<FooterSettings>[] = [
	preference("usage", "percent that is left, or used", oneOf(USAGE_MODES)),
	preference("windows", "which usage windows", oneOf(FOOTER_WINDOWS)),
	preference("account", "the label of the account", flag()),
	preference("reset", "time to the reset", flag()),
	preference("meters", "a meter beside each percentage, where there is room", flag()),
	preference("ready", "how many accounts are ready", flag()),
	preference("order", "what comes first", oneOf(FOOTER_ORDERS)),
];

/** The preferences that stand by themselves. The next one is one entry here. */
export const GENERAL_PREFERENCES: readonly Preference<Settings>[] = [
	preference("enabled", "off: pi behaves as without pi-multicodex", flag()),
	preference("notifications", "one line in the chat when the account changes", flag()),
	preference("maskEmails", "hide e-mails on the screen", flag()),
];

/** What values of a kind have in common: how they are checked, asked for, offered and stored. */
interface Kind<T> {
	readonly schema: () => z.ZodMiniType<T>;
	readonly wanted: string;
	readonly choices: readonly string[];
	stored(value: T): StoredValue;
}

/** A preference that is one field of its group, `name` in the file. */
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

/** What is kept of one window, beside what is kept of the others. */
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

function policyNames(): readonly PolicyName[] {
	return Object.keys(POLICIES).filter((name): name is PolicyName => Object.hasOwn(POLICIES, name));
}
