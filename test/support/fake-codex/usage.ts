import type { FakeAccount, SpendControlInit } from "./accounts.ts";
import type { PlainAnswer } from "./answer.ts";
import type { JsonRecord } from "./json.ts";
import {
	epochSeconds,
	type LimitWindow,
	secondsUntil,
	WINDOW_MINUTES,
	type WindowInit,
	type WindowName,
} from "./quota.ts";
import { type ModelledReserve, RESERVE_LIMIT_ID } from "./reserve.ts";

/** A wham/usage payload made from the modelled one. */
export interface UsagePayloadAnswer {
	readonly kind: "usage";
	readonly name: string;
	readonly delayMs: number;
	readonly change: (payload: JsonRecord, nowMs: number) => JsonRecord;
}

/** How wham/usage is answered: a payload, or any answer of `answers` that is not a stream. */
export type UsageAnswer = PlainAnswer | UsagePayloadAnswer;

/** Constructors of wham/usage payloads. */
export const usageAnswers = {
	modelled,
	change,
	windows,
	nullWindows,
	noRateLimit,
	limitReached,
	spendControl,
	budget,
	malformed,
};

/** What the account's state says, optionally late. */
function modelled(options: { delayMs?: number } = {}): UsagePayloadAnswer {
	return { kind: "usage", name: "modelled", delayMs: options.delayMs ?? 0, change: (payload) => payload };
}

/** The modelled payload with a change. */
function change(edit: (payload: JsonRecord) => JsonRecord): UsagePayloadAnswer {
	return { kind: "usage", name: "change", delayMs: 0, change: edit };
}

/** Exactly these windows, in this order of slots; one alone leaves the secondary null. */
function windows(...slots: readonly (readonly [WindowName, WindowInit])[]): UsagePayloadAnswer {
	const at = (nowMs: number) =>
		slots.map(([name, init]) => ({
			usedPercent: init.usedPercent ?? 0,
			windowMinutes: WINDOW_MINUTES[name],
			resetsAt: nowMs + (init.resetsInMs ?? WINDOW_MINUTES[name] * 60_000),
		}));
	return {
		...change((payload) => payload),
		change: (payload, nowMs) => ({ ...payload, rate_limit: rateLimit(at(nowMs), nowMs) }),
	};
}

/** `rate_limit` present, both windows null. */
function nullWindows(): UsagePayloadAnswer {
	return windows();
}

/** `rate_limit: null`, as usage-based plans show. */
function noRateLimit(): UsagePayloadAnswer {
	return change((payload) => ({ ...payload, rate_limit: null }));
}

/** The workspace is limited as a whole: `rate_limit_reached_type`. */
function limitReached(type: string): UsagePayloadAnswer {
	return change((payload) => ({ ...payload, rate_limit_reached_type: { type } }));
}

/** A spending limit; reached or not. */
function spendControl(reached: boolean): UsagePayloadAnswer {
	return change((payload) => ({ ...payload, spend_control: { reached, individual_limit: null } }));
}

/** A seat without windows, whose quota is a monthly budget; numbers are text, as they were seen. */
function budget(init: { usedPercent: number; resetsInMs: number; reached?: boolean }): UsagePayloadAnswer {
	const { usedPercent, resetsInMs, reached = usedPercent >= 100 } = init;
	const control = { limit: 500, used: 5 * usedPercent, resetsInMs, reached };
	return {
		...change((payload) => payload),
		change: (payload, nowMs) => ({
			...payload,
			rate_limit: null,
			credits: { has_credits: true, unlimited: false, balance: null },
			spend_control: spendControlOf(control, nowMs),
		}),
	};
}

/** Status 200 with a body of the wrong shape. */
function malformed(): UsagePayloadAnswer {
	return change(() => ({ rate_limit: "soon", plan_type: 7 }));
}

/** The payload of codex-backend.md 2.2 for the account's state; `asksForReserve`: with the entry of Luna Reserve. */
export function usagePayload(account: FakeAccount, nowMs: number, asksForReserve = false): JsonRecord {
	const { credits } = account;
	return {
		user_id: account.userId,
		account_id: account.accountId,
		email: account.email,
		plan_type: account.plan,
		rate_limit: rateLimit(account.windows(), nowMs),
		code_review_rate_limit: null,
		additional_rate_limits: additional(account, nowMs, asksForReserve),
		credits: {
			has_credits: credits?.hasCredits ?? false,
			unlimited: credits?.unlimited ?? false,
			balance: credits?.balance ?? null,
			approx_local_messages: null,
			approx_cloud_messages: null,
			...(credits?.overageReached !== undefined && { overage_limit_reached: credits.overageReached }),
		},
		spend_control: spendControlOf(account.spendControl, nowMs),
		rate_limit_reached_type: null,
		rate_limit_reset_credits: { available_count: account.resetCredits.available },
		promo: null,
	};
}

function spendControlOf(control: SpendControlInit | undefined, nowMs: number): JsonRecord {
	if (control === undefined) return { reached: false, individual_limit: null };
	const { limit, used, resetsInMs, reached = used >= limit } = control;
	const usedPercent = (used / limit) * 100;
	return {
		reached,
		individual_limit: {
			source: "member",
			limit: String(limit),
			used: String(used),
			remaining: String(limit - used),
			used_percent: usedPercent,
			remaining_percent: 100 - usedPercent,
			reset_at: epochSeconds(nowMs + resetsInMs),
			reset_after_seconds: secondsUntil(nowMs + resetsInMs, nowMs),
		},
	};
}

function additional(account: FakeAccount, nowMs: number, asksForReserve: boolean): JsonRecord[] | null {
	const limits = account.additionalLimits.map((limit): JsonRecord => {
		const { limitName, meteredFeature, usedPercent, resetsInMs, windowMinutes = WINDOW_MINUTES.week } = limit;
		const window = { usedPercent, windowMinutes, resetsAt: nowMs + resetsInMs };
		return { limit_name: limitName, metered_feature: meteredFeature, rate_limit: rateLimit([window], nowMs) };
	});
	if (asksForReserve && account.reserve !== undefined) limits.push(reserveEntry(account.reserve, nowMs));
	return limits.length === 0 ? null : limits;
}

function reserveEntry(reserve: ModelledReserve, nowMs: number): JsonRecord {
	return {
		limit_name: reserve.wireModel,
		metered_feature: RESERVE_LIMIT_ID,
		rate_limit: rateLimit(reserve.windows(nowMs), nowMs),
		...(reserve.normalModel !== null && { normal_model_slug: reserve.normalModel }),
	};
}

function rateLimit(windowList: readonly LimitWindow[], nowMs: number): JsonRecord {
	const reached = windowList.some((window) => window.usedPercent >= 100);
	return {
		allowed: !reached,
		limit_reached: reached,
		primary_window: wireWindow(windowList[0], nowMs),
		secondary_window: wireWindow(windowList[1], nowMs),
	};
}

function wireWindow(window: LimitWindow | undefined, nowMs: number): JsonRecord | null {
	if (window === undefined) return null;
	return {
		used_percent: window.usedPercent,
		limit_window_seconds: window.windowMinutes * 60,
		reset_after_seconds: secondsUntil(window.resetsAt, nowMs),
		reset_at: epochSeconds(window.resetsAt),
	};
}
