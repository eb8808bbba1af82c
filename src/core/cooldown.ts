/** What a cooldown covers: the whole account, one metered limit, or one model. */
export type CooldownScope = "account" | `limit:${string}` | `model:${string}`;

/** Why an account is not offered. `show --json` uses the same words. */
export type CooldownReason =
	| "usage_limit"
	| "workspace_limit"
	| "rate_limit"
	| "not_included"
	| "model_not_supported"
	| "workspace_disabled"
	| "unauthorized"
	| "refused";

/** A period in which an account, or a part of it, is not offered. */
export interface Cooldown {
	readonly scope: CooldownScope;
	readonly reason: CooldownReason;
	/** Epoch ms. */
	readonly until: number;
	/** When the evidence was seen, epoch ms. Newer usage may end the cooldown. */
	readonly setAt: number;
	/** For `limit:` scopes: the models that were refused on that limit. */
	readonly models: readonly string[];
	/** Models that the cooldown does not cover: they were answered on a limit of their own. */
	readonly except?: readonly string[] | undefined;
	/** True if the end is a guess, because the refusal named none. */
	readonly guessed?: true | undefined;
	/** True if another seat of the workspace was refused, not this account. */
	readonly shared?: true | undefined;
}

/** Resets further ahead than this are implausible (a leap year, in ms). */
export const FURTHEST_RESET_MS = 366 * 24 * 60 * 60 * 1000;

/** Returns a length of time, ms; undefined if it is implausible. */
export function plausibleLength(ms: number | undefined): number | undefined {
	return ms !== undefined && ms >= 0 && ms <= FURTHEST_RESET_MS ? ms : undefined;
}

/** Returns a reset, epoch ms; undefined if it has passed or is implausibly far ahead. */
export function plausibleReset(at: number | undefined, now: number): number | undefined {
	return at !== undefined && at > now && at - now <= FURTHEST_RESET_MS ? at : undefined;
}

/** Returns the cooldowns that hold at `now`, without expired or implausibly long ones. */
export function activeCooldowns(cooldowns: readonly Cooldown[], now: number): Cooldown[] {
	return cooldowns.filter((cooldown) => isActive(cooldown, now));
}

function isActive({ until }: Cooldown, now: number): boolean {
	return until > now && until - now <= FURTHEST_RESET_MS;
}

/**
 * Adds `next` to the list, which has one entry per scope. A later, shorter cooldown never shortens a longer one: a
 * retry-after of 30 s must not erase a weekly cooldown.
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

/** Returns the models still excepted. An exception ends once its model is refused, or once the account itself is. */
function exceptIn(former: Cooldown, next: Cooldown): readonly string[] | undefined {
	if (!isOfQuota(next) && next.reason !== "rate_limit") return undefined;
	const models = new Set([...(former.except ?? []), ...(next.except ?? [])]);
	for (const model of next.models) models.delete(model);
	return models.size > 0 ? [...models] : undefined;
}

/** Returns the cooldowns without those of a refused sign-in, which a new sign-in ends. */
export function withoutRefusal(cooldowns: readonly Cooldown[]): Cooldown[] {
	return cooldowns.filter(({ reason }) => reason !== "unauthorized" && reason !== "refused");
}

/** True if the time at which the account can serve `modelId` again is a guess. */
export function isReadyAtGuessed(cooldowns: readonly Cooldown[], modelId: string | undefined, now: number): boolean {
	const until = readyAt(cooldowns, modelId, now);
	return cooldowns.some((each) => each.until === until && each.guessed === true && isKeeping(each, modelId, now));
}

/** True if the account cools for `modelId` because its quota is used up. */
export function isReadyAtOfQuota(cooldowns: readonly Cooldown[], modelId: string | undefined, now: number): boolean {
	const until = readyAt(cooldowns, modelId, now);
	return cooldowns.some((each) => each.until === until && isOfQuota(each) && isKeeping(each, modelId, now));
}

/** True if the cooldown was set because quota is used up. */
export function isOfQuota({ reason }: Pick<Cooldown, "reason">): boolean {
	return reason === "usage_limit" || reason === "workspace_limit";
}

/** True if the cooldown passes without any change of quota. */
export function isPassing({ reason }: Cooldown): boolean {
	return reason === "rate_limit" || reason === "unauthorized";
}

/**
 * True if this cooldown keeps its account from serving `modelId`. Without a model, only account-wide cooldowns count.
 */
export function covers(cooldown: Cooldown, modelId: string | undefined): boolean {
	if (cooldown.scope === "account") return modelId === undefined || cooldown.except?.includes(modelId) !== true;
	if (modelId === undefined) return false;
	return cooldown.scope === `model:${modelId}` || cooldown.models.includes(modelId);
}

/** Returns when the account can serve `modelId` again, epoch ms; `now` if it already can. */
export function readyAt(cooldowns: readonly Cooldown[], modelId: string | undefined, now: number): number {
	let latest = now;
	for (const each of cooldowns) if (each.until > latest && isKeeping(each, modelId, now)) latest = each.until;
	return latest;
}

function isKeeping(cooldown: Cooldown, modelId: string | undefined, now: number): boolean {
	return isActive(cooldown, now) && covers(cooldown, modelId);
}
