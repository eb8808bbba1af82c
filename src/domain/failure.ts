import type { CooldownReason, CooldownScope } from "./cooldown.ts";
import { FURTHEST_RESET_MS } from "./cooldown.ts";
import { exhaustedUntil, isExhausted, type UsageWindow } from "./usage.ts";

/** Everything known about one refused attempt, from the best source the host offered. */
export interface FailureEvidence {
	/** HTTP status of the response, or the one in a frame. */
	readonly status?: number;
	/** Structured code of the body or frame, lower-cased; generic types such as `invalid_request_error` are left out. */
	readonly code?: string;
	/** The server's or the host's message. */
	readonly words?: string;
	/** Response headers, lower-cased names. */
	readonly headers?: Readonly<Record<string, string>>;
	/** An HTML page came instead of JSON. */
	readonly html?: boolean;
	/** Reset told by the body or frame, epoch ms. */
	readonly resetsAt?: number;
	/** How long the server asks to wait, ms. */
	readonly retryAfterMs?: number;
	/** The windows of the limit that was hit, from the headers. */
	readonly windows?: readonly UsageWindow[];
	/** The metered limit that was hit, where it is not the general one. */
	readonly limitId?: string;
}

/**
 * What to do about a failure before output was shown.
 * `rotate`: another account. `retry-or-rotate`: the same once if told to wait briefly, else another.
 * `refresh-or-rotate`: a new token once, then another. `close-account`: switch it off, then another.
 * `strip-reasoning`, `reconnect`: the same account once, changed. `surface`: pi hears of it unchanged.
 */
export type Remedy =
	| "rotate"
	| "retry-or-rotate"
	| "refresh-or-rotate"
	| "close-account"
	| "strip-reasoning"
	| "reconnect"
	| "surface";

/** How a failure takes an account out of the choice. */
export interface CoolingRule {
	readonly covers: "account" | "workspace" | "limit" | "model";
	readonly reason: CooldownReason;
	/** Length where the server told none, ms; `cooldown` is the person's setting. */
	readonly otherwiseMs: number | "cooldown";
}

/** Signs are alternatives; within a sign everything given must hold. */
export interface Sign {
	readonly codes?: readonly string[];
	readonly header?: readonly [name: string, value: RegExp];
	readonly html?: true;
	/** A window of the limit is used up, as the headers tell. */
	readonly exhausted?: true;
	readonly words?: RegExp;
	readonly status?: readonly number[];
	/** Only where no code tells more; makes a status as strong a sign as a code. */
	readonly uncoded?: true;
}

/** One row of the failure table. `sample` is its documentation and its test case. */
export interface Rule {
	readonly name: string;
	readonly signs: readonly Sign[];
	readonly remedy: Remedy;
	readonly cools?: CoolingRule;
	readonly samples: readonly FailureEvidence[];
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The longest wait for which a throttled account is asked again instead of another one. */
export const SHORT_RETRY_MS = 10_000;

/** Codes with which a 401 says that no refresh will help; the refresh is tried once all the same. */
export const SIGN_IN_GONE_CODES: ReadonlySet<string> = new Set([
	"token_invalidated",
	"token_revoked",
	"app_session_terminated",
	"account_session_expired",
	"account_auth_invalidated",
]);

/**
 * Who is at fault, and what follows. Rows are tried from top to bottom, three times: first by codes, headers and HTML,
 * then by words, last by the bare status. So structured evidence always beats a lucky phrase.
 */
export const RULES: readonly Rule[] = [
	{
		name: "cloudflare",
		signs: [{ header: ["cf-mitigated", /./] }, { html: true, status: [403, 429, 503] }],
		remedy: "surface",
		samples: [
			{ status: 403, html: true, words: "<html><title>Just a moment...</title></html>" },
			{ status: 403, headers: { "cf-mitigated": "challenge" } },
		],
	},
	{
		name: "region",
		signs: [{ codes: ["unsupported_country_region_territory"] }],
		remedy: "surface",
		samples: [{ status: 403, code: "unsupported_country_region_territory" }],
	},
	{
		name: "reasoning-refused",
		signs: [
			{ codes: ["invalid_encrypted_content", "thinking_signature_invalid"] },
			{ words: /encrypted .{0,40}content .{0,1900}could not be (verified|decrypted|decoded)/i },
		],
		remedy: "strip-reasoning",
		samples: [
			{ status: 400, code: "invalid_encrypted_content" },
			{ words: "The encrypted content gAAA...= could not be verified. Reason: Encrypted content could not be parsed." },
		],
	},
	{
		name: "connection-lost-state",
		signs: [
			{ codes: ["previous_response_not_found", "websocket_connection_limit_reached"] },
			{ words: /previous_response_id|previous response .{0,200}not found|websocket_connection_limit_reached/i },
		],
		remedy: "reconnect",
		samples: [
			{ status: 400, code: "previous_response_not_found" },
			{ words: "Invalid `previous_response_id`" },
			{ status: 400, code: "websocket_connection_limit_reached" },
		],
	},
	{
		name: "request",
		signs: [
			{ codes: ["context_length_exceeded", "invalid_prompt", "cyber_policy", "misalignment_policy_violation"] },
			{ words: /context window|requires a newer version of codex/i },
		],
		remedy: "surface",
		samples: [
			{ status: 400, code: "context_length_exceeded" },
			{ status: 400, words: "The 'gpt-9' model requires a newer version of Codex. Please upgrade." },
		],
	},
	{
		name: "overloaded",
		signs: [
			{ codes: ["server_is_overloaded", "slow_down", "server_error"] },
			{ status: [500, 502, 503, 504, 529], uncoded: true },
		],
		remedy: "surface",
		samples: [
			{ status: 503, code: "server_is_overloaded" },
			{ status: 500, words: "The usage limit service failed" },
		],
	},
	{
		name: "account-closed",
		signs: [
			{ codes: ["account_deactivated", "account_suspended", "account_deleted"] },
			{ status: [401, 403], words: /account has been (deactivated|suspended|deleted)/i },
		],
		remedy: "close-account",
		samples: [
			{ status: 401, code: "account_deactivated" },
			{ status: 401, words: "Your account has been deactivated." },
		],
	},
	{
		name: "workspace-limit",
		signs: [
			{ header: ["x-codex-rate-limit-reached-type", /^workspace_/] },
			{ codes: ["workspace_owner_credits_depleted", "workspace_member_credits_depleted"] },
			{ codes: ["workspace_owner_usage_limit_reached", "workspace_member_usage_limit_reached"] },
		],
		remedy: "rotate",
		cools: { covers: "workspace", reason: "workspace_limit", otherwiseMs: "cooldown" },
		samples: [
			{
				status: 429,
				code: "usage_limit_reached",
				headers: { "x-codex-rate-limit-reached-type": "workspace_member_usage_limit_reached" },
			},
		],
	},
	{
		name: "not-included",
		signs: [
			{ codes: ["usage_not_included"] },
			{ words: /usage_not_included|to use codex with your chatgpt plan, upgrade/i },
			{ status: [403], words: /usage limit/i },
		],
		remedy: "rotate",
		cools: { covers: "model", reason: "not_included", otherwiseMs: HOUR_MS },
		samples: [
			{ status: 403, code: "usage_not_included" },
			{ status: 403, words: "You have hit your ChatGPT usage limit (free plan)." },
			{ words: "To use Codex with your ChatGPT plan, upgrade to Plus: https://chatgpt.com/explore/plus." },
		],
	},
	{
		name: "model-not-supported",
		signs: [
			{ codes: ["model_not_supported_with_chatgpt_account", "model_not_found"] },
			{ words: /model is not supported when using|model not found/i },
		],
		remedy: "rotate",
		cools: { covers: "model", reason: "model_not_supported", otherwiseMs: 10 * MINUTE_MS },
		samples: [
			{ status: 400, words: "The 'gpt-6' model is not supported when using Codex with a ChatGPT account." },
			{ status: 404, words: "Model not found gpt-6" },
		],
	},
	{
		name: "workspace-disabled",
		signs: [
			{ codes: ["deactivated_workspace", "workspace_disabled", "account_disabled", "organization_disabled"] },
			{ status: [402, 403], words: /(workspace|organization|account) (has been |was |is )?(disabled|deactivated)/i },
			{ status: [402] },
		],
		remedy: "rotate",
		cools: { covers: "account", reason: "workspace_disabled", otherwiseMs: HOUR_MS },
		samples: [
			{ status: 402, code: "deactivated_workspace" },
			{ status: 403, words: "This workspace has been disabled." },
			{ status: 402 },
		],
	},
	{
		name: "usage-limit",
		signs: [
			{ codes: ["usage_limit_reached", "insufficient_quota", "quota_exceeded"] },
			{ exhausted: true, status: [429] },
			{ words: /usage[ _]limit|insufficient_quota|exceeded your current quota|quota exceeded/i },
		],
		remedy: "rotate",
		cools: { covers: "limit", reason: "usage_limit", otherwiseMs: "cooldown" },
		samples: [
			{ status: 429, code: "usage_limit_reached" },
			{ words: "The usage limit has been reached" },
			{ words: "You have hit your ChatGPT usage limit (plus plan). Try again in ~60 min." },
			{ status: 429, windows: [{ usedPercent: 100, windowMinutes: 300, resetsAt: undefined }] },
			{ words: "You exceeded your current quota, please check your plan and billing details." },
		],
	},
	{
		name: "unauthorized",
		signs: [
			{ codes: ["token_expired", "token_invalidated", "token_revoked", "app_session_terminated"] },
			{ codes: ["account_session_expired", "account_auth_invalidated"] },
			{ words: /authentication token has been invalidated|session has ended|invalidated oauth token/i },
			{ status: [401] },
		],
		remedy: "refresh-or-rotate",
		cools: { covers: "account", reason: "unauthorized", otherwiseMs: MINUTE_MS },
		samples: [
			{ status: 401 },
			{ status: 401, code: "token_invalidated" },
			{ words: "Your session has ended. Please log in again." },
		],
	},
	{
		name: "rate-limit",
		signs: [
			{ codes: ["rate_limit_exceeded"] },
			{ words: /rate[ _]limit (reached|exceeded)|rate_limit_exceeded|too many requests/i },
			{ status: [429] },
		],
		remedy: "retry-or-rotate",
		cools: { covers: "account", reason: "rate_limit", otherwiseMs: MINUTE_MS },
		samples: [
			{ status: 429, code: "rate_limit_exceeded", retryAfterMs: 1200 },
			{ words: "Rate limit reached for gpt-5.5 in organization org-1. Please try again in 1.2s." },
			{ status: 429 },
		],
	},
];

/** A cooldown to set, and on whom. */
export interface Cooling {
	readonly covers: "account" | "workspace";
	readonly scope: CooldownScope;
	readonly reason: CooldownReason;
	/** Epoch ms. */
	readonly until: number;
	/** True where no reset was told: the usage endpoint knows better. */
	readonly guessed: boolean;
}

/** A classified failure. */
export interface Failure {
	/** Name of the matching row, or `other`. */
	readonly kind: string;
	readonly remedy: Remedy;
	readonly cooling: Cooling | undefined;
	/** How long the server asks to wait, ms. */
	readonly retryAfterMs: number | undefined;
	/** A 401 whose code says that the sign-in itself is gone. */
	readonly isSignInGone: boolean;
}

/** Patterns see no more of any words: a server may quote what it was sent, and time must not grow with that. */
const LONGEST_WORDS = 2000;

/** Finds the row for `given`; what no row knows is surfaced unchanged. `now` is epoch ms. */
export function classify(
	given: FailureEvidence,
	context: { readonly now: number; readonly modelId: string; readonly cooldownMs: number },
): Failure {
	const evidence = given.words === undefined ? given : { ...given, words: given.words.slice(0, LONGEST_WORDS) };
	const rule = findRule(evidence);
	return {
		kind: rule?.name ?? "other",
		remedy: rule?.remedy ?? "surface",
		cooling: rule?.cools && coolingOf(rule.cools, evidence, context),
		retryAfterMs: evidence.retryAfterMs,
		isSignInGone: evidence.code !== undefined && SIGN_IN_GONE_CODES.has(evidence.code),
	};
}

function findRule(evidence: FailureEvidence): Rule | undefined {
	const strengths: ((sign: Sign) => boolean)[] = [
		(sign) => sign.words === undefined && !isBareStatus(sign),
		(sign) => sign.words !== undefined,
		isBareStatus,
	];
	for (const hasStrength of strengths) {
		const found = RULES.find((rule) => rule.signs.some((sign) => hasStrength(sign) && holds(sign, evidence)));
		if (found) return found;
	}
	return undefined;
}

function isBareStatus(sign: Sign): boolean {
	return !sign.codes && !sign.header && !sign.html && !sign.exhausted && !sign.words && !sign.uncoded;
}

function holds(sign: Sign, evidence: FailureEvidence): boolean {
	if (sign.status && !(evidence.status !== undefined && sign.status.includes(evidence.status))) return false;
	if (sign.codes && !(evidence.code !== undefined && sign.codes.includes(evidence.code))) return false;
	if (sign.header && !sign.header[1].test(evidence.headers?.[sign.header[0]] ?? "")) return false;
	if (sign.html && !evidence.html) return false;
	if (sign.uncoded && evidence.code !== undefined) return false;
	if (sign.exhausted && !isExhausted(evidence.windows ?? [], Number.NEGATIVE_INFINITY)) return false;
	return !sign.words || sign.words.test(evidence.words ?? "");
}

function coolingOf(
	rule: CoolingRule,
	evidence: FailureEvidence,
	{ now, modelId, cooldownMs }: { now: number; modelId: string; cooldownMs: number },
): Cooling {
	const otherwise = now + (rule.otherwiseMs === "cooldown" ? cooldownMs : rule.otherwiseMs);
	const told = rule.covers === "model" ? undefined : toldUntil(rule, evidence, now);
	return {
		covers: rule.covers === "workspace" ? "workspace" : "account",
		scope: scopeOf(rule, evidence, modelId),
		reason: rule.reason,
		until: told ?? otherwise,
		guessed: told === undefined && rule.covers !== "model",
	};
}

function scopeOf(rule: CoolingRule, evidence: FailureEvidence, modelId: string): CooldownScope {
	if (rule.covers === "model") return `model:${modelId}`;
	if (rule.covers === "limit" && evidence.limitId !== undefined) return `limit:${evidence.limitId}`;
	return "account";
}

function toldUntil(rule: CoolingRule, evidence: FailureEvidence, now: number): number | undefined {
	const { resetsAt, retryAfterMs } = evidence;
	// How long to hold back is no word on when a quota resets.
	if (rule.reason === "rate_limit" && retryAfterMs !== undefined)
		return now + Math.min(retryAfterMs, FURTHEST_RESET_MS);
	if (resetsAt !== undefined && resetsAt > now && resetsAt - now <= FURTHEST_RESET_MS) return resetsAt;
	return exhaustedUntil(evidence.windows ?? [], now);
}
