/** What a cooldown covers: the whole account, one metered limit, or one model. */
export type CooldownScope = "account" | `limit:${string}` | `model:${string}`;

/** Why an account is not offered; also the word in `show --json`. */
export type CooldownReason =
	| "usage_limit"
	| "workspace_limit"
	| "rate_limit"
	| "not_included"
	| "model_not_supported"
	| "workspace_disabled"
	| "unauthorized"
	| "refused";

/** A time until which an account, or a part of it, is not offered. */
export interface Cooldown {
	readonly scope: CooldownScope;
	readonly reason: CooldownReason;
	/** Epoch ms. */
	readonly until: number;
	/** When the evidence was seen, epoch ms: newer usage data may end the cooldown. */
	readonly setAt: number;
	/** For `limit:` scopes, the models that were refused on that limit. */
	readonly models: readonly string[];
	/** Models that it does not cover: they draw on a limit of their own, and were answered on it. */
	readonly except?: readonly string[] | undefined;
	/** The end is a guess: the refusal named none. */
	readonly guessed?: true | undefined;
	/** Another seat of the workspace was refused, not this account. */
	readonly shared?: true | undefined;
}

/** Resets further away than this cannot be true (a leap year, in ms). */
export const FURTHEST_RESET_MS = 366 * 24 * 60 * 60 * 1000;

/** A length of time as given, ms; undefined if it cannot be true. */
export function plausibleLength(ms: number | undefined): number | undefined {
	return ms !== undefined && ms >= 0 && ms <= FURTHEST_RESET_MS ? ms : undefined;
}

/** A reset as given, epoch ms; undefined if it is over, or too far ahead to be true. */
export function plausibleReset(at: number | undefined, now: number): number | undefined {
	return at !== undefined && at > now && at - now <= FURTHEST_RESET_MS ? at : undefined;
}

/** The cooldowns that hold at `now`; expired ones and absurdly distant ones are left out. */
export function activeCooldowns(cooldowns: readonly Cooldown[], now: number): Cooldown[] {
	return cooldowns.filter((cooldown) => cooldown.until > now && cooldown.until - now <= FURTHEST_RESET_MS);
}

/**
 * Adds `next` to the list, which has one entry per scope. A later, shorter cooldown never shortens a longer one: a 30 s
 * retry-after must not erase a weekly cooldown.
 */
export function mergeCooldown(cooldowns: readonly Cooldown[], next: Cooldown, now: number): Cooldown[] {
	const live = activeCooldowns(cooldowns, now);
	if (activeCooldowns([next], now).length === 0) return live;
	const same = live.find((cooldown) => cooldown.scope === next.scope);
	if (!same) return [...live, next];
	const longer = same.until >= next.until ? same : next;
	const merged: Cooldown = {
		...longer,
		setAt: Math.max(same.setAt, next.setAt),
		models: [...new Set([...same.models, ...next.models])],
		except: exceptIn(same, next),
	};
	return live.map((cooldown) => (cooldown === same ? merged : cooldown));
}

/**
 * What was answered on a limit of its own is no exception any more once it is refused, or once the account itself is.
 */
function exceptIn(former: Cooldown, next: Cooldown): readonly string[] | undefined {
	if (!isOfQuota(next) && next.reason !== "rate_limit") return undefined;
	const models = new Set([...(former.except ?? []), ...(next.except ?? [])]);
	for (const model of next.models) models.delete(model);
	return models.size > 0 ? [...models] : undefined;
}

/** The cooldowns without those of a refused sign-in, which a new sign-in ends. */
export function withoutRefusal(cooldowns: readonly Cooldown[]): Cooldown[] {
	return cooldowns.filter(({ reason }) => reason !== "unauthorized" && reason !== "refused");
}

/** Is the time at which the account can serve `modelId` again a guess? */
export function isReadyAtGuessed(cooldowns: readonly Cooldown[], modelId: string | undefined, now: number): boolean {
	const blocking = activeCooldowns(cooldowns, now).filter((cooldown) => covers(cooldown, modelId));
	const until = Math.max(...blocking.map((cooldown) => cooldown.until));
	return blocking.some((cooldown) => cooldown.until === until && cooldown.guessed === true);
}

/** Does the account cool for `modelId` because its quota is used up? */
export function isReadyAtOfQuota(cooldowns: readonly Cooldown[], modelId: string | undefined, now: number): boolean {
	const blocking = activeCooldowns(cooldowns, now).filter((cooldown) => covers(cooldown, modelId));
	const until = Math.max(...blocking.map((cooldown) => cooldown.until));
	return blocking.some((cooldown) => cooldown.until === until && isOfQuota(cooldown));
}

/** Is the cooldown one of a used up quota? */
export function isOfQuota({ reason }: Pick<Cooldown, "reason">): boolean {
	return reason === "usage_limit" || reason === "workspace_limit";
}

/** Does the cooldown pass without a change of quota? */
export function isPassing({ reason }: Cooldown): boolean {
	return reason === "rate_limit" || reason === "unauthorized";
}

/** Does this cooldown keep its account from serving `modelId`? Without a model only account-wide ones count. */
export function covers(cooldown: Cooldown, modelId: string | undefined): boolean {
	if (cooldown.scope === "account") return modelId === undefined || cooldown.except?.includes(modelId) !== true;
	if (modelId === undefined) return false;
	return cooldown.scope === `model:${modelId}` || cooldown.models.includes(modelId);
}

/** When the account can serve `modelId` again, epoch ms; `now` if it can already. */
export function readyAt(cooldowns: readonly Cooldown[], modelId: string | undefined, now: number): number {
	const blocking = activeCooldowns(cooldowns, now).filter((cooldown) => covers(cooldown, modelId));
	return blocking.reduce((latest, cooldown) => Math.max(latest, cooldown.until), now);
}
