import type { AccountSets } from "./account-sets.ts";
import type { Caps } from "./caps.ts";
import type { Reserve } from "./request/candidate.ts";
import { DEFAULT_POLICY, type PolicyName } from "./request/policies.ts";

/** When to ask for the faster service tier: never, while plenty is left of every known window, or always. */
export const FAST_MODES = ["off", "auto", "always"] as const;

/** One of {@link FAST_MODES}. */
export type FastMode = (typeof FAST_MODES)[number];

/** Whether percentages show the quota that is left or the quota that is used. */
export const USAGE_MODES = ["left", "used"] as const;

/** Windows that the footer shows. */
export const FOOTER_WINDOWS = ["both", "5h", "7d"] as const;

/** What the footer begins with. */
export const FOOTER_ORDERS = ["account-first", "usage-first"] as const;

/** How accounts are chosen and rotated. Durations in ms. */
export interface RotationSettings {
	readonly policy: PolicyName;
	/** How many other accounts one request may try. */
	readonly maxRotations: number;
	/** Maximum wait if no account is available. */
	readonly maxWaitMs: number;
	/** Cooldown after a usage limit whose reset is unknown. */
	readonly cooldownMs: number;
	/** The part of each window that is reserved for sessions already on the account. */
	readonly reserve: Reserve;
	readonly fastMode: FastMode;
}

/** What the footer shows, as far as it fits. */
export interface FooterSettings {
	/** Whether percentages show the quota that is left or the quota that is used. */
	readonly usage: (typeof USAGE_MODES)[number];
	/** Names of the windows to show. An account without them shows those it has. */
	readonly windows: (typeof FOOTER_WINDOWS)[number];
	/** Show the label. */
	readonly account: boolean;
	/** Show the time to the reset beside each percentage. */
	readonly reset: boolean;
	readonly meters: boolean;
	/** Show how many accounts are ready. */
	readonly ready: boolean;
	/** Show how long the pool lasts. */
	readonly lasts: boolean;
	readonly order: (typeof FOOTER_ORDERS)[number];
}

/**
 * Who may use bought credits once all included quota is out.
 * - `own`: only sessions for which plain pi would spend them, that is a session already on the account, or a pool of
 *   one.
 * - `ask`: a session whose person agrees first.
 * - `allow`: any session.
 * - `never`: none.
 */
export const CREDITS_CONSENTS = ["own", "ask", "allow", "never"] as const;

/** One of {@link CREDITS_CONSENTS}. */
export type CreditsConsent = (typeof CREDITS_CONSENTS)[number];

/** Whether a spent account may continue with its reserve model: after consent, always, or never. */
export const RESERVE_MODEL_CONSENTS = ["ask", "always", "never"] as const;

/** One of {@link RESERVE_MODEL_CONSENTS}. */
export type ReserveModelConsent = (typeof RESERVE_MODEL_CONSENTS)[number];

/** What may serve once all included quota is out. Read only from the person's own file, never from a project's. */
export interface BeyondSettings {
	readonly credits: CreditsConsent;
	/** Stored as `beyond.reserve`. */
	readonly reserveModel: ReserveModelConsent;
	/** Models that serve, in this order, while no account can, each as `provider/model`. Listing a model is consent. */
	readonly chain: readonly string[];
}

/** True if a session may continue on its own account's bought credits unasked, as plain pi would. */
export function goesOnWithOwnCredits({ credits }: BeyondSettings): boolean {
	return credits === "own" || credits === "allow";
}

/** Where notices go besides the chat. */
export const NOTICE_WAYS = ["off", "terminal", "command"] as const;

/** How a notice is sent to the terminal: chosen by what is known of the terminal, or always in one way. */
export const TERMINAL_WAYS = ["auto", "osc9", "osc777", "bell"] as const;

/** A way of {@link TERMINAL_WAYS} that a terminal can support. */
export type TerminalWay = Exclude<(typeof TERMINAL_WAYS)[number], "auto">;

/** A part of each day, in minutes after midnight on the local clock. May cross midnight. */
export interface QuietHours {
	readonly from: number;
	readonly to: number;
}

/** The highest threshold for warnings, percent. */
export const HIGHEST_THRESHOLD = 50;

/** Warnings, and notices for a person who does not see pi. */
export interface NotifySettings {
	readonly to: (typeof NOTICE_WAYS)[number];
	readonly terminal: (typeof TERMINAL_WAYS)[number];
	/** A program and its arguments, started without a shell. */
	readonly command: readonly string[];
	/** During these hours notices only go to the chat. */
	readonly quiet: QuietHours | undefined;
	/** Warn when this much is left of a window of the last account, percent, highest first. */
	readonly warnAt: readonly number[];
	/** How long before the forecast exhaustion of the pool a person is warned, ms; 0 for never. */
	readonly aheadMs: number;
}

/** All settings with their defaults. A person sets them under `pi-multicodex` in `settings.json`. */
export interface Settings {
	/** If false, pi behaves as if this extension were not installed. */
	readonly enabled: boolean;
	readonly rotation: RotationSettings;
	readonly beyond: BeyondSettings;
	/** What no session may use, by account. Like the sets, read only from the person's own file. */
	readonly caps: Caps;
	/** The accounts that sessions below a folder may use. */
	readonly sets: AccountSets;
	readonly footer: FooterSettings;
	readonly notify: NotifySettings;
	/** Show one line when a request moves to another account. */
	readonly notifications: boolean;
	/** Hide e-mails on every screen. */
	readonly maskEmails: boolean;
	/** Count what each account is used for. */
	readonly ledger: boolean;
	/** The name of the shared pool that this machine has joined; undefined if none. */
	readonly pool?: string | undefined;
}

/** The settings of a person who has changed none. */
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
	beyond: { credits: "own", reserveModel: "ask", chain: [] },
	caps: {},
	sets: {},
	footer: {
		usage: "left",
		windows: "both",
		account: true,
		reset: true,
		meters: true,
		ready: true,
		lasts: false,
		order: "account-first",
	},
	notify: { to: "off", terminal: "auto", command: [], quiet: undefined, warnAt: [25, 10, 5], aheadMs: 3 * 3_600_000 },
	notifications: true,
	maskEmails: false,
	ledger: true,
};

/** A preference as stored in `settings.json`. */
export type StoredValue = string | number | boolean | readonly string[];
