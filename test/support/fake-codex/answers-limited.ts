import type { RefusalAnswer } from "./answer.ts";
import { errorBody, fixed, refusal } from "./answers-refused.ts";
import type { JsonRecord } from "./json.ts";
import {
	epochSeconds,
	type LimitWindow,
	limitHeaders,
	secondsUntil,
	WINDOW_MINUTES,
	type WindowName,
	windowFor,
} from "./quota.ts";

import { RESERVE_LIMIT_ID, WIRE_MODEL } from "./reserve.ts";

const HOUR_MS = 3_600_000;

/** Where a usage limit refusal says when it ends. */
export interface UsageLimitOptions {
	readonly resetsInMs?: number;
	/** The spent window; default: the shortest that can hold the reset. */
	readonly window?: WindowName;
	/** Windows for the headers instead of the spent one alone. */
	readonly windows?: readonly LimitWindow[];
	/** Sends the `x-codex-*` headers. */
	readonly headers?: boolean;
	/** false: an empty body; "no-reset": the error type and message without any reset. */
	readonly body?: boolean | "no-reset";
	/** Default: the plan of the account. */
	readonly plan?: string;
}

/** 429 usage_limit_reached of the whole account (codex-backend.md 5.1). */
export function usageLimit(options: UsageLimitOptions = {}): RefusalAnswer {
	return refusal("usageLimit", (context) => {
		const spent = spentWindow(options, context.nowMs);
		const { nowMs, plan } = { ...context, plan: options.plan ?? context.plan };
		const planHeaders = { "x-codex-active-limit": "codex", "x-codex-plan-type": plan };
		const headers = { ...limitHeaders(options.windows ?? [spent], nowMs), ...planHeaders };
		return {
			status: 429,
			headers: options.headers === false ? {} : headers,
			body: options.body === false ? "" : limitBody(plan, options.body === "no-reset" ? undefined : spent, nowMs),
			spent,
		};
	});
}

/** 429 of one model's own limit, named by `x-codex-active-limit` and its header family; the account itself is fine. */
export function perModelLimit(
	options: { limitId?: string; limitName?: string; resetsInMs?: number; plan?: string } = {},
): RefusalAnswer {
	const { limitId = "codex_bengalfox", limitName = "GPT-5.3-Codex-Spark" } = options;
	return refusal("perModelLimit", (context) => {
		const { nowMs, plan } = { ...context, plan: options.plan ?? context.plan };
		const spent = spentWindow(options, nowMs);
		const family = `x-${limitId.replaceAll("_", "-")}`;
		const open = { usedPercent: 20, windowMinutes: WINDOW_MINUTES.week, resetsAt: nowMs + 96 * HOUR_MS };
		const headers = {
			...limitHeaders([open], nowMs),
			...limitHeaders([spent], nowMs, family),
			[`${family}-limit-name`]: limitName,
			"x-codex-active-limit": limitId,
			"x-codex-plan-type": plan,
		};
		return { status: 429, headers, body: limitBody(plan, spent, nowMs) };
	});
}

/** 429 of Luna Reserve: it is used up, or the ordinary usage is still allowed. */
export function reserveLimit(options: { resetsInMs?: number; windows?: readonly LimitWindow[] } = {}): RefusalAnswer {
	return refusal("reserveLimit", ({ nowMs, plan }) => {
		const windows = options.windows ?? [spentWindow({ ...options, window: "week" }, nowMs)];
		const headers = { ...reserveHeaders(windows, nowMs), "x-codex-plan-type": plan };
		const spent = windows.find(({ usedPercent }) => usedPercent >= 100);
		return { status: 429, headers, body: limitBody(plan, spent, nowMs) };
	});
}

/** The headers of an answer on Luna Reserve. */
export function reserveHeaders(
	windows: readonly LimitWindow[],
	nowMs: number,
	wireModel: string = WIRE_MODEL,
): Record<string, string> {
	const family = `x-${RESERVE_LIMIT_ID.replaceAll("_", "-")}`;
	return {
		...limitHeaders(windows, nowMs, family),
		[`${family}-limit-name`]: wireModel,
		"x-codex-active-limit": RESERVE_LIMIT_ID,
	};
}

/** Why a workspace as a whole is limited (codex-backend.md 2.2). */
export type WorkspaceLimitType = `workspace_${"owner" | "member"}_${"credits_depleted" | "usage_limit_reached"}`;

/** 429 that every seat of the workspace shares. */
export function workspaceLimit(type: WorkspaceLimitType, options: { resetsInMs?: number } = {}): RefusalAnswer {
	return refusal("workspaceLimit", ({ nowMs, plan }) => {
		const spent = options.resetsInMs === undefined ? undefined : spentWindow(options, nowMs);
		const headers = { "x-codex-rate-limit-reached-type": type, "x-codex-plan-type": plan };
		return { status: 429, headers, body: limitBody(plan, spent, nowMs) };
	});
}

/**
 * 429 rate_limit_exceeded: a short burst limit. The text always says "try again in"; the header only when seconds are
 * given.
 */
export function rateLimit(options: { retryAfterSeconds?: number } = {}): RefusalAnswer {
	const seconds = options.retryAfterSeconds;
	const headers: Record<string, string> = seconds === undefined ? {} : { "retry-after": String(seconds) };
	const when = `Please try again in ${seconds ?? 1.2}s.`;
	return fixed(
		"rateLimit",
		429,
		errorBody("rate_limit_exceeded", `Rate limit reached for gpt-5.5 on tokens per min. ${when}`),
		headers,
	);
}

/** 429 with nothing but the status. */
export function bare429(): RefusalAnswer {
	return fixed("bare429", 429, "Too Many Requests", { "content-type": "text/plain" });
}

/** 429 (or 403, as some clients saw it) of a plan without Codex or without this model. */
export function usageNotIncluded(status: 429 | 403 = 429): RefusalAnswer {
	return refusal("usageNotIncluded", ({ plan }) => {
		const error = {
			type: "usage_not_included",
			message: "To use Codex with your ChatGPT plan, upgrade to Plus.",
			plan_type: plan,
		};
		return { status, headers: {}, body: { error } };
	});
}

function spentWindow(options: { resetsInMs?: number; window?: WindowName }, nowMs: number): LimitWindow {
	const resetsInMs = options.resetsInMs ?? HOUR_MS;
	const windowMinutes = options.window === undefined ? windowFor(resetsInMs) : WINDOW_MINUTES[options.window];
	return { usedPercent: 100, windowMinutes, resetsAt: nowMs + resetsInMs };
}

function limitBody(plan: string, spent: LimitWindow | undefined, nowMs: number): JsonRecord {
	const error = { type: "usage_limit_reached", message: "The usage limit has been reached", plan_type: plan };
	if (spent === undefined) return { error };
	const resets = { resets_at: epochSeconds(spent.resetsAt), resets_in_seconds: secondsUntil(spent.resetsAt, nowMs) };
	return { error: { ...error, eligible_promo: null, ...resets } };
}
