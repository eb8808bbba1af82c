import { type Cooldown, covers, isOfQuota, mergeCooldown } from "../cooldown.ts";
import { ownValue } from "../own-value.ts";
import type { AccountStatus } from "../ports.ts";
import {
	creditsUntil,
	exhaustedUntil,
	hasFunds,
	includedOf,
	isNamedAfter,
	isResetOf,
	isSpent,
	limitOf,
	modelsApart,
	remaining,
} from "../quota.ts";
import type { Credits, MeteredLimit, ReserveModel, UsageSnapshot, UsageWindow } from "../usage.ts";
import { MOST_LIMITS } from "../usage-bounds.ts";

/**
 * The usage endpoint lags behind a refusal. Newer usage ends a cooldown only with this much left, and this long after
 * it.
 */
const ROOM_TO_RETURN_PERCENT = 5;
export const ENDPOINT_LAG_MS = 60_000;
/** A cooldown caused by usage is dated when it is written. That may be after its consequences. */
const LONGEST_WRITE_MS = 10_000;
/** Maximum number of models remembered per limit. */
const MOST_MODELS = 20;
/** How soon a spent window without a reset is checked again. */
const UNKNOWN_END_MS = 15 * 60_000;

/** A model that was answered on a limit of its own. */
export interface AnsweredOn {
	readonly modelId: string;
	readonly limitId: string;
}

/**
 * Merges a newer snapshot into a status, at `now` (epoch ms). New usage may end a cooldown, correct its end, or start
 * one. `answered`: the snapshot came with an answer on a limit of its own, which the general limit does not block.
 */
export function mergeUsage(
	status: AccountStatus,
	usage: UsageSnapshot,
	now: number,
	answered?: AnsweredOn | undefined,
): AccountStatus {
	const former = status.usage;
	if (former && former.capturedAt > usage.capturedAt) return status;
	if (lagsBehindReset(status, usage, now)) return status;
	const known = withModels(isWholeAnswer(usage) ? usage.limits : mergedLimits(former, usage), former, answered);
	const isWhole = isWholeAnswer(usage);
	const budgets = isWhole ? usage.budgets : former?.budgets;
	const { askedForReserve: _asked, isPartial = false, ...told } = usage;
	const windows = mergedWindows(former, usage);
	const reserveModel = mergedReserve(former?.reserveModel, usage);
	const resetCredits = isWhole ? usage.resetCredits : former?.resetCredits;
	const merged: UsageSnapshot = {
		...told,
		windows,
		limitReached: usage.limitReached || isStillReached(former, usage, now),
		...(budgets && { budgets }),
		limits: known,
		credits: isWhole ? usage.credits : mergedCredits(former?.credits, usage.credits),
		plan: usage.plan ?? former?.plan,
		reserveModel,
		resetCredits,
	};
	const reported = {
		...merged,
		windows: isPartial ? windows : usage.windows,
		limitReached: usage.limitReached,
		budgets: usage.budgets,
		limits: usage.limits,
	};
	const except = modelsApart(merged, now);
	const before = { cooldowns: status.cooldowns, redeemedAt: resetAt(status) };
	const cooldowns = reconcileCooldowns(before, reported, former, now, except);
	return { ...status, usage: merged, cooldowns: answered ? sparing(cooldowns, answered.modelId) : cooldowns };
}

/** Returns when a reset credit has reset the windows, or may have, epoch ms. */
function resetAt({ redemption }: AccountStatus): number | undefined {
	const isPossible = redemption?.end === undefined || redemption.end === "redeemed" || redemption.end === "already";
	return isPossible ? redemption?.at : undefined;
}

/**
 * True if the endpoint may still report the windows from before a reset. Believing it would undo the reset for days.
 */
function lagsBehindReset(status: AccountStatus, usage: UsageSnapshot, now: number): boolean {
	const { redemption } = status;
	const at = redemption?.end === "redeemed" ? redemption.at : undefined;
	if (at === undefined || usage.source !== "api" || !isSpent(usage, now)) return false;
	return Math.abs(usage.capturedAt - at) < ENDPOINT_LAG_MS;
}

/**
 * Returns the status after a reset at `now` (epoch ms): the windows are full, and the cooldown that they caused has
 * ended.
 */
export function refilled(status: AccountStatus, now: number): AccountStatus {
	const { usage, cooldowns } = status;
	const isOver = ({ scope, reason }: Cooldown) => scope === "account" && reason === "usage_limit";
	return {
		...status,
		cooldowns: cooldowns.filter((cooldown) => !isOver(cooldown)),
		...(usage && {
			usage: {
				...usage,
				capturedAt: now,
				limitReached: false,
				windows: usage.windows.map(({ windowMinutes }) => ({ windowMinutes, usedPercent: 0 })),
			},
		}),
	};
}

/** True if the snapshot is complete. Only the endpoint reports everything. */
function isWholeAnswer({ source }: UsageSnapshot): boolean {
	return source === "api";
}

/** Adds to each limit the models that were answered on it, which snapshots do not report. */
function withModels(
	limits: Readonly<Record<string, MeteredLimit>>,
	former: UsageSnapshot | undefined,
	answered: AnsweredOn | undefined,
): Readonly<Record<string, MeteredLimit>> {
	const all =
		answered && !Object.hasOwn(limits, answered.limitId) ? { [answered.limitId]: { windows: [] }, ...limits } : limits;
	return Object.fromEntries(
		Object.entries(all).map(([id, limit]) => {
			const models = new Set([...(limit.models ?? []), ...(ownValue(former?.limits ?? {}, id)?.models ?? [])]);
			if (answered?.limitId === id) models.add(answered.modelId);
			else if (answered) models.delete(answered.modelId);
			return [id, models.size > 0 ? { ...limit, models: [...models].slice(-MOST_MODELS) } : limit];
		}),
	);
}

/** Removes the cooldowns that cover a model which was answered just now. */
function sparing(cooldowns: readonly Cooldown[], modelId: string): readonly Cooldown[] {
	const isWrong = (each: Cooldown) => each.scope === "account" && isOfQuota(each) && covers(each, modelId);
	if (!cooldowns.some(isWrong)) return cooldowns;
	return cooldowns.map((each) => (isWrong(each) ? { ...each, except: [...(each.except ?? []), modelId] } : each));
}

/** Removes `modelId` from the models with a limit of their own: the general limit has refused it. */
export function withoutModelApart(status: AccountStatus, modelId: string): AccountStatus {
	const { usage } = status;
	if (!usage || Object.values(usage.limits).every(({ models }) => !models?.includes(modelId))) return status;
	const limits = Object.fromEntries(
		Object.entries(usage.limits).map(([id, limit]) => {
			return [id, limit.models ? { ...limit, models: limit.models.filter((each) => each !== modelId) } : limit];
		}),
	);
	return { ...status, usage: { ...usage, limits } };
}

/** Updates what is left of the account's reserve model. */
export function withReserveWindows(status: AccountStatus, windows: readonly UsageWindow[]): AccountStatus {
	const { usage } = status;
	const reserveModel = usage?.reserveModel;
	if (!reserveModel) return status;
	const { limitId, wireModel, visibleModel } = reserveModel;
	return { ...status, usage: { ...usage, reserveModel: { limitId, wireModel, visibleModel, windows } } };
}

/**
 * The endpoint reports every window, though not all of them may be readable. The headers of a refusal may report only
 * the one that was hit.
 */
function mergedWindows(former: UsageSnapshot | undefined, usage: UsageSnapshot): readonly UsageWindow[] {
	const isWhole = isWholeAnswer(usage) && !usage.isPartial;
	return isWhole ? usage.windows : withNewer(former?.windows ?? [], usage.windows);
}

/**
 * True if the endpoint has said that the general limit is reached, and no window shows more quota since. Headers do not
 * report that flag.
 */
function isStillReached(former: UsageSnapshot | undefined, usage: UsageSnapshot, now: number): boolean {
	if (isWholeAnswer(usage) || !former || !isSpent(former, now) || !former.limitReached) return false;
	return usage.windows.every(({ windowMinutes, usedPercent }) => {
		const before = former.windows.find((window) => window.windowMinutes === windowMinutes);
		return before !== undefined && usedPercent >= before.usedPercent;
	});
}

function withNewer(former: readonly UsageWindow[], newer: readonly UsageWindow[]): readonly UsageWindow[] {
	const reported = new Set(newer.map(({ windowMinutes }) => windowMinutes));
	return [...newer, ...former.filter(({ windowMinutes }) => !reported.has(windowMinutes))];
}

/** Headers report the balance, but not the spending limit. */
function mergedCredits(former: Credits | undefined, told: Credits | undefined): Credits | undefined {
	if (!told) return former;
	return former?.overageReached ? { ...told, hasCredits: false, unlimited: false, overageReached: true } : told;
}

/**
 * Merges the reserve model. An answer says nothing about it unless it was asked for, and headers do not say which model
 * it stands for.
 */
function mergedReserve(former: ReserveModel | undefined, usage: UsageSnapshot): ReserveModel | undefined {
	const told = usage.reserveModel;
	if (!told) return usage.askedForReserve ? undefined : former;
	const visibleModel = told.visibleModel || former?.visibleModel;
	if (!visibleModel) return undefined;
	if (isWholeAnswer(usage) || !former) return { ...told, visibleModel };
	const windows = withNewer(former.windows, told.windows);
	return { ...told, wireModel: former.wireModel, visibleModel, windows };
}

/**
 * Puts the newest limits first, and drops the oldest, so that a backend with ever new limits does not grow the file.
 */
function mergedLimits(former: UsageSnapshot | undefined, usage: UsageSnapshot): Readonly<Record<string, MeteredLimit>> {
	const kept = Object.entries(former?.limits ?? {}).filter(([id]) => !Object.hasOwn(usage.limits, id));
	return Object.fromEntries([...Object.entries(usage.limits), ...kept].slice(0, MOST_LIMITS));
}

/** The cooldowns before a snapshot, and when a reset credit was last redeemed, epoch ms, if known. */
interface Before {
	readonly cooldowns: readonly Cooldown[];
	readonly redeemedAt: number | undefined;
}

function reconcileCooldowns(
	before: Before,
	usage: UsageSnapshot,
	former: UsageSnapshot | undefined,
	now: number,
	except: readonly string[],
): readonly Cooldown[] {
	// Only the endpoint reports everything. Headers may contain one window of several, which must not end a weekly
	// cooldown; they count only for their own windows, since an older snapshot must not restore a cooldown that the
	// person has ended.
	const isWhole = isWholeAnswer(usage);
	const settled = isWhole ? reconcileWithEndpoint(before, usage, former, now) : before.cooldowns;
	// With bought credits the account does not cool. Another gate keeps it for sessions already on it.
	if (!isSpent(usage, now) || creditsUntil(usage, now) !== undefined) return settled;
	const resetsAt = exhaustedUntil(includedOf(usage), now);
	if (resetsAt === undefined && !isWhole) return settled;
	const isKnown = settled.some(({ scope, until }) => scope === "account" && until >= (resetsAt ?? now));
	if (isKnown) return settled;
	const until = resetsAt ?? now + UNKNOWN_END_MS;
	const cooldown: Cooldown = {
		scope: "account",
		reason: "usage_limit",
		until,
		setAt: now,
		models: [],
		...(except.length > 0 && { except }),
	};
	return mergeCooldown(settled, resetsAt === undefined ? { ...cooldown, guessed: true } : cooldown, now);
}

/** Corrects quota cooldowns by the endpoint: ends them if there is quota again, else uses the reset that it reports. */
function reconcileWithEndpoint(
	{ cooldowns, redeemedAt = 0 }: Before,
	usage: UsageSnapshot,
	former: UsageSnapshot | undefined,
	now: number,
): readonly Cooldown[] {
	const isFunded = creditsUntil(usage, now) !== undefined;
	const isNewlyFunded = isFunded && former !== undefined && !hasFunds(former.credits);
	const settle = (cooldown: Cooldown): Cooldown | undefined => {
		if (!isOfQuota(cooldown) || cooldown.setAt > usage.capturedAt) return cooldown;
		const isGeneral = cooldown.scope === "account";
		const quotas = quotasBehind(cooldown, usage);
		if (!quotas) return cooldown;
		// A redemption since then, whose answer may be lost, explains the new quota. The endpoint is not lagging.
		const wasReset = redeemedAt >= cooldown.setAt - LONGEST_WRITE_MS && usage.capturedAt >= redeemedAt;
		const hasCaughtUp = wasReset || usage.capturedAt - cooldown.setAt >= ENDPOINT_LAG_MS;
		const isBack = isGeneral ? hasRoom(usage, now) : isRoomy(quotas, now);
		const limit = isGeneral ? limitBehind(cooldown, usage, now) : undefined;
		if (limit) return { ...cooldown, ...limit, guessed: undefined };
		if (hasCaughtUp && (isBack || (isGeneral && isNewlyFunded))) return undefined;
		const until = exhaustedUntil(quotas, now);
		return until === undefined || until === cooldown.until ? cooldown : { ...cooldown, until, guessed: undefined };
	};
	const settled = cooldowns.map(settle).filter((cooldown) => cooldown !== undefined);
	const isSame = settled.length === cooldowns.length && settled.every((cooldown, at) => cooldown === cooldowns[at]);
	return isSame ? cooldowns : settled;
}

/** True if the endpoint says that the account can serve. A seat without any limit uses the credits of its plan. */
function hasRoom(usage: UsageSnapshot, now: number): boolean {
	if (usage.limitReached) return false;
	const quotas = includedOf(usage);
	return quotas.length === 0 ? hasFunds(usage.credits) : isRoomy(quotas, now);
}

function isRoomy(quotas: readonly UsageWindow[], now: number): boolean {
	return quotas.length > 0 && quotas.every((quota) => remaining(quota, now) >= ROOM_TO_RETURN_PERCENT);
}

/**
 * Finds the limit that was hit if the refusal named none: the general limit has quota left, and another limit is spent
 * until the reset that the refusal named, or bears the name of the model that was refused.
 */
function limitBehind(
	{ models, until: stated }: Cooldown,
	usage: UsageSnapshot,
	now: number,
): Pick<Cooldown, "scope" | "until"> | undefined {
	if (models.length === 0 || !hasRoom(usage, now)) return undefined;
	for (const [id, { name = id, windows }] of Object.entries(usage.limits)) {
		const until = exhaustedUntil(windows, now);
		const isIts = isResetOf(windows, stated, now) || models.every((model) => isNamedAfter(name, model));
		if (until !== undefined && isIts) return { scope: `limit:${id}`, until };
	}
	return undefined;
}

function quotasBehind({ scope }: Cooldown, usage: UsageSnapshot): readonly UsageWindow[] | undefined {
	if (scope === "account") return includedOf(usage);
	return scope.startsWith("limit:") ? limitOf(usage, scope.slice("limit:".length)) : undefined;
}
