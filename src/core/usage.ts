/** One rolling limit. Identified by its length, never by its position in the answer. */
export interface UsageWindow {
	/** 0..100, may be fractional; 100 or more means exhausted. */
	readonly usedPercent: number;
	readonly windowMinutes: number;
	/** Epoch ms; undefined if the backend did not say. */
	readonly resetsAt?: number | undefined;
}

/** A monthly budget, or a member's cap in a workspace. Spent like a window, and refilled on a certain day. */
export interface Budget extends UsageWindow {
	/** True if the server says that it is spent; `usedPercent` is 100 or more then. */
	readonly isReached: boolean;
	/** In the server's unit, if it reports amounts. */
	readonly used?: number | undefined;
	readonly limit?: number | undefined;
}

/** A further limit that only some models use. */
export interface MeteredLimit {
	readonly name?: string | undefined;
	readonly windows: readonly UsageWindow[];
	/** Models that were answered on this limit. */
	readonly models?: readonly string[] | undefined;
}

/** Credits of an account, as the backend reports them. */
export interface Credits {
	/** False also if the spending limit is reached. */
	readonly hasCredits: boolean;
	readonly unlimited: boolean;
	readonly balance?: string | undefined;
	/** True if the spending limit is reached, whatever the balance. Only the usage endpoint reports it. */
	readonly overageReached?: boolean | undefined;
}

/**
 * Luna Reserve: a second allowance for one model that serves once included quota is spent. Never a limit of the normal
 * model.
 */
export interface ReserveModel {
	readonly limitId: string;
	/** The model name to send to the backend. */
	readonly wireModel: string;
	/** The model name that the person knows. Empty if the backend did not say; the model is not offered then. */
	readonly visibleModel: string;
	readonly windows: readonly UsageWindow[];
	/** True if the server says that it is used up. */
	readonly isReached?: boolean | undefined;
}

/** Everything known of an account's usage at one moment. Read it through the functions of `quota.ts`. */
export interface UsageSnapshot {
	/** Epoch ms. */
	readonly capturedAt: number;
	readonly source: "headers" | "api";
	readonly plan?: string | undefined;
	readonly windows: readonly UsageWindow[];
	/** True if the answer had a window that could not be read. What was known of it still holds. */
	readonly isPartial?: true | undefined;
	/** Only the usage endpoint reports budgets. */
	readonly budgets?: readonly Budget[] | undefined;
	/** By limit id, e.g. `codex_bengalfox`. */
	readonly limits: Readonly<Record<string, MeteredLimit>>;
	readonly credits?: Credits | undefined;
	/** True if the server says that the general limit is reached. */
	readonly limitReached: boolean;
	/** The usage endpoint reports it only on request, and headers only while it serves. */
	readonly reserveModel?: ReserveModel | undefined;
	/** True if the usage endpoint was asked for the reserve model. If it reported none, there is none. */
	readonly askedForReserve?: true | undefined;
	/** How many reset credits can be redeemed. Only the usage endpoint reports them. */
	readonly resetCredits?: number | undefined;
}

/** Age at which a snapshot is stale (15 min, as in the status of Codex). */
export const STALE_AFTER_MS = 15 * 60 * 1000;

/** Minimum time between two usage calls for one account, over all processes (5 min). */
export const USAGE_TTL_MS = 5 * 60 * 1000;

/** Resets may differ by up to a minute between two polls. */
export const RESET_JITTER_MS = 60 * 1000;
