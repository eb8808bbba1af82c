import type { AccountSets } from "./account-sets.ts";
import type { Caps } from "./caps.ts";
import type { Reserve } from "./request/candidate.ts";
import { DEFAULT_POLICY, type PolicyName } from "./request/policies.ts";

/** When to ask for the faster service tier: never, while every known window has plenty left, or always. */
export const FAST_MODES = ["off", "auto", "always"] as const;

/** One of {@link FAST_MODES}. */
export type FastMode = (typeof FAST_MODES)[number];

/** Percentages of the quota that is left, or of the quota that is used. */
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
	/** Longest wait for an account if none is available. */
	readonly maxWaitMs: number;
	/** Cooldown after a usage limit without a known reset. */
	readonly cooldownMs: number;
	/** The part of each window that is reserved for sessions already on an account. */
	readonly reserve: Reserve;
	readonly fastMode: FastMode;
}

/** The parts of the footer, which shows as many as fit. */
export interface FooterSettings {
	/** Percentages of the quota that is left, or of the quota that is used. */
	readonly usage: (typeof USAGE_MODES)[number];
	/** The windows to show, by name; an account that has only others shows those. */
	readonly windows: (typeof FOOTER_WINDOWS)[number];
	/** The label. */
	readonly account: boolean;
	/** Time to the reset, beside each percentage. */
	readonly reset: boolean;
	readonly meters: boolean;
	/** How many accounts are ready. */
	readonly ready: boolean;
	/** How long the pool lasts. */
	readonly lasts: boolean;
	readonly order: (typeof FOOTER_ORDERS)[number];
}

/**
 * Who may serve on bought credits once all included quota is out: only what plain pi would spend (a session that is on
 * the account already, or a pool of one), a yes of the person first, any session, or none.
 */
export const CREDITS_CONSENTS = ["own", "ask", "allow", "never"] as const;

/** One of {@link CREDITS_CONSENTS}. */
export type CreditsConsent = (typeof CREDITS_CONSENTS)[number];

/** Whether a spent account may go on with its reserve model: after a yes, always, or never. */
export const RESERVE_MODEL_CONSENTS = ["ask", "always", "never"] as const;

/** One of {@link RESERVE_MODEL_CONSENTS}. */
export type ReserveModelConsent = (typeof RESERVE_MODEL_CONSENTS)[number];

/** What may serve once all included quota is out. Read from the person's own file alone, never from a project's. */
export interface BeyondSettings {
	readonly credits: CreditsConsent;
	/** Stored as `beyond.reserve`. */
	readonly reserveModel: ReserveModelConsent;
	/**
	 * Models that serve one after the other while no account can, each as `provider/model`. Being listed is the consent.
	 */
	readonly chain: readonly string[];
}

/** May a session go on with the bought credits of its own account unasked, as plain pi would? */
export function goesOnWithOwnCredits({ credits }: BeyondSettings): boolean {
	return credits === "own" || credits === "allow";
}

/** Where notices go besides the chat. */
export const NOTICE_WAYS = ["off", "terminal", "command"] as const;

/** How a terminal gets a notice: by what is known of it, or in one way whatever is known. */
export const TERMINAL_WAYS = ["auto", "osc9", "osc777", "bell"] as const;

/** One of {@link TERMINAL_WAYS} that a terminal can get. */
export type TerminalWay = Exclude<(typeof TERMINAL_WAYS)[number], "auto">;

/** A part of each day, in minutes after midnight on the local clock. It may go over midnight. */
export interface QuietHours {
	readonly from: number;
	readonly to: number;
}

/** Thresholds of warnings are no higher than this, percent. */
export const HIGHEST_THRESHOLD = 50;

/** Warnings, and notices that a person gets while pi is out of sight. */
export interface NotifySettings {
	readonly to: (typeof NOTICE_WAYS)[number];
	readonly terminal: (typeof TERMINAL_WAYS)[number];
	/** A program and its arguments, started without a shell. */
	readonly command: readonly string[];
	/** When nothing goes anywhere but into the chat. */
	readonly quiet: QuietHours | undefined;
	/** What is left of a window of the last account when a person is warned, percent; the highest first. */
	readonly warnAt: readonly number[];
	/** How long before a forecast has the whole pool run out a person is warned, ms; 0 for never. */
	readonly aheadMs: number;
}

/** All settings with their defaults. A person sets them under `pi-multicodex` in `settings.json`. */
export interface Settings {
	/** If false, pi behaves as without this extension. */
	readonly enabled: boolean;
	readonly rotation: RotationSettings;
	readonly beyond: BeyondSettings;
	/** What no session uses, by account. Read from the person's own file alone, as the sets. */
	readonly caps: Caps;
	/** The accounts that sessions use below a folder. */
	readonly sets: AccountSets;
	readonly footer: FooterSettings;
	readonly notify: NotifySettings;
	/** One line when a request moves to another account. */
	readonly notifications: boolean;
	/** Hide e-mails on every screen. */
	readonly maskEmails: boolean;
	/** Count what each account is used for. */
	readonly ledger: boolean;
	/** The name of the pool that this machine shares with others; undefined where it has joined none. */
	readonly pool?: string | undefined;
}

/** The settings of a person who has set none. */
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
