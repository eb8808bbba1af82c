/** One rolling limit. Named by its length, never by its position in the answer. */
export interface UsageWindow {
	/** 0..100, may be fractional; 100 or more means exhausted. */
	readonly usedPercent: number;
	readonly windowMinutes: number;
	/** Epoch ms; undefined when the backend did not say. */
	readonly resetsAt?: number | undefined;
}

/** A budget of a month, or a member's cap in a workspace: spent like a window, and filled again on a day. */
export interface Budget extends UsageWindow {
	/** The server says that it is spent; `usedPercent` is 100 or more then. */
	readonly isReached: boolean;
	/** In the server's unit, if it reports them. */
	readonly used?: number | undefined;
	readonly limit?: number | undefined;
}

/** A further limit that only some models draw on. */
export interface MeteredLimit {
	readonly name?: string | undefined;
	readonly windows: readonly UsageWindow[];
	/** Models that were answered on it. */
	readonly models?: readonly string[] | undefined;
}

/** Credits of an account, as the backend reports them. */
export interface Credits {
	/** False also if the limit on spending them is reached. */
	readonly hasCredits: boolean;
	readonly unlimited: boolean;
	readonly balance?: string | undefined;
	/** The limit on spending them is reached, whatever the balance. Only the endpoint reports it. */
	readonly overageReached?: boolean | undefined;
}

/**
 * Luna Reserve: a second allowance for one model, which serves once the included quota is spent. Never a limit of the
 * normal model.
 */
export interface ReserveModel {
	readonly limitId: string;
	/** The model to ask the backend for. */
	readonly wireModel: string;
	/** The model that the person knows it by; empty where the backend did not say, and then it is not offered. */
	readonly visibleModel: string;
	readonly windows: readonly UsageWindow[];
	/** The server says that it is used up. */
	readonly isReached?: boolean | undefined;
}

/** Everything known of an account's usage at one moment. Read it through the functions of `quota.ts`. */
export interface UsageSnapshot {
	/** Epoch ms. */
	readonly capturedAt: number;
	readonly source: "headers" | "api";
	readonly plan?: string | undefined;
	readonly windows: readonly UsageWindow[];
	/** Only the endpoint reports these. */
	readonly budgets?: readonly Budget[] | undefined;
	/** By limit id, e.g. `codex_bengalfox`. */
	readonly limits: Readonly<Record<string, MeteredLimit>>;
	readonly credits?: Credits | undefined;
	/** The server says that the general limit is reached. */
	readonly limitReached: boolean;
	/** The endpoint reports it only if asked for it, headers only while it serves. */
	readonly reserveModel?: ReserveModel | undefined;
	/** The endpoint was asked for the reserve model: where it reports none, there is none. */
	readonly askedForReserve?: true | undefined;
	/** How many reset credits can be redeemed. Only the endpoint reports them. */
	readonly resetCredits?: number | undefined;
}

/** A snapshot of this age is stale (15 min, as in the status of Codex). */
export const STALE_AFTER_MS = 15 * 60 * 1000;

/** Usage is asked again at most this often (5 min), over all processes. */
export const USAGE_TTL_MS = 5 * 60 * 1000;

/** A reset may jitter by up to a minute between two polls. */
export const RESET_JITTER_MS = 60 * 1000;
