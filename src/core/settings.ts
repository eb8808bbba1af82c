import type { Reserve } from "./candidate.ts";
import { DEFAULT_POLICY, type PolicyName } from "./policies.ts";

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
