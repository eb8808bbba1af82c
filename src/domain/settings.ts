/** The preferences that have an effect, all durations in ms. Written by the person under `pi-multicodex` in `settings.json`. */
export interface Settings {
	readonly rotation: {
		/** Other accounts tried for one request. */
		readonly maxRotations: number;
		/** Longest wait for the first account to come back, when none is left. */
		readonly maxWaitMs: number;
		/** Cooldown after a usage limit whose reset nobody told. */
		readonly cooldownMs: number;
	};
	/** One line when a request moves to another account. */
	readonly notifications: boolean;
	/** Hide e-mails on the person's own screen. */
	readonly maskEmails: boolean;
}

/** What holds where the person set nothing. */
export const DEFAULT_SETTINGS: Settings = {
	rotation: { maxRotations: 5, maxWaitMs: 60_000, cooldownMs: 60 * 60 * 1000 },
	notifications: true,
	maskEmails: false,
};
