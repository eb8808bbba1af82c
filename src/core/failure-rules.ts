import type { CooldownReason, CooldownScope } from "./cooldown.ts";
import { FURTHEST_RESET_MS, isOfQuota } from "./cooldown.ts";
import { exhaustedUntil, isExhausted, knownReset, type UsageSnapshot, type UsageWindow } from "./usage.ts";

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
	/** The host failed before anything of the request went out. */
	readonly unsent?: boolean;
}

/**
 * What to do about a failure before output was shown.
 * `rotate`: another account. `retry-or-rotate`: the same once if told to wait briefly, else another.
 * `refresh-or-rotate`: a new token once, then another. `close-account`: switch it off, then another.
 * `strip-reasoning`, `reconnect`: the same account once, changed. `surface`: pi hears of it unchanged.
 * `try-elsewhere-once`: one other account, to learn whether the account or the request is at fault.
 */
export type Remedy =
	| "rotate"
	| "retry-or-rotate"
	| "refresh-or-rotate"
	| "close-account"
	| "strip-reasoning"
	| "reconnect"
	| "try-elsewhere-once"
	| "surface";

/** How a failure takes an account out of the choice. */
export interface CoolingRule {
	readonly covers: "account" | "workspace" | "limit" | "model";
	readonly reason: CooldownReason;
	/** Length where the server told none, ms; `cooldown` is the person's setting. */
	readonly otherwiseMs: number | "cooldown";
	/** Set only once another account has served the same request: until then the request may be at fault. */
	readonly ifAnotherServes?: true;
}

/** Signs are alternatives; within a sign everything given must hold. */
export interface Sign {
	readonly codes?: readonly string[];
	/** A code that is not listed, by what its name speaks of; no stronger than words. */
	readonly codeLike?: RegExp;
	readonly header?: readonly [name: string, value: RegExp];
	readonly html?: true;
	/** A window of the limit is used up, as the headers tell. */
	readonly exhausted?: true;
	readonly words?: RegExp;
	readonly status?: readonly number[];
	/** Statuses with which the sign does not hold: there the request is at fault, whatever the words are. */
	readonly statusNot?: readonly number[];
	/** Only where no code tells more; makes a status as strong a sign as a code. */
	readonly uncoded?: true;
	/** Only where neither a code nor words came along. */
	readonly mute?: true;
	/** Only where no response came, or one without a status. */
	readonly unanswered?: true;
	readonly unsent?: true;
}

/** One row of the failure table. `sample` is its documentation and its test case. */
export interface Rule {
	readonly name: string;
	readonly signs: readonly Sign[];
	readonly remedy: Remedy;
	readonly cools?: CoolingRule;
	/** Surfaced because the host asks again by itself, on the same account. Where it does not, one other account is tried. */
	readonly leftToHost?: true;
	readonly samples: readonly FailureEvidence[];
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** The longest wait for which a throttled account is asked again instead of another one. */
export const SHORT_RETRY_MS = 10_000;

/** With these the request is at fault, not the account. */
const REQUEST_STATUSES = [400, 404, 405, 409, 410, 413, 414, 415, 422];

/** With these a code that names the account speaks of the account. */
const NAMING_STATUSES = [404, 410];

/** The server is at fault, or what stands in front of it. */
const SERVER_STATUSES = [408, ...Array.from({ length: 100 }, (_, at) => 500 + at)];

const OVERLOAD_CODES = ["server_is_overloaded", "server_overloaded", "overloaded_error", "slow_down"];
const OVERLOAD_CODE = /(^|_)(overloaded|overload|(at|over)_capacity|capacity_(reached|exceeded))(_|$)/;
const OVERLOAD_WORDS = /\bat capacity\b|\boverloaded\b|experiencing high demand/i;

/** The content is refused, for whatever account. */
const POLICY_CODES = [
	"cyber_policy",
	"bio_policy",
	"misalignment_policy_violation",
	"policy_capacity_unavailable",
	"content_policy_violation",
	"access_program_not_enabled",
] as const;

/** Kinds of limits that concern every seat of a workspace; of a new kind only the refused seat is known to be concerned. */
const OF_WORKSPACE = /^workspace_(owner|credits?)_.{0,60}(depleted|reached|exceeded|exhausted)$/;

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
		signs: [
			{ codes: ["unsupported_country_region_territory"] },
			{
				codeLike: /^unsupported_(country|region|territory)|^(country|region|territory)_(is_)?(not_supported|blocked)/,
				statusNot: [401],
			},
			{ words: /country, region,? or territory (is )?not supported/i },
		],
		remedy: "surface",
		samples: [
			{ status: 403, code: "unsupported_country_region_territory" },
			{ status: 403, code: "country_not_supported" },
			{ words: "Codex error: Country, region, or territory not supported" },
		],
	},
	{
		name: "request",
		signs: [
			{ codes: POLICY_CODES },
			{ codes: ["context_length_exceeded", "invalid_prompt"] },
			{ codeLike: /_policy(_violation)?$/ },
			{ words: new RegExp(`\\b(${POLICY_CODES.join("|")})\\b`, "i") },
			{ words: /\b(usage|content|safety|cyber|bio) polic(y|ies)\b|\bviolates .{0,40}\bpolic(y|ies)\b/i },
			{ words: /\bflagged (for|as) (possible|potential)/i },
			{ words: /context window|requires a newer version of codex/i },
		],
		remedy: "surface",
		samples: [
			{ status: 400, code: "context_length_exceeded" },
			{ status: 400, words: "The 'gpt-9' model requires a newer version of Codex. Please upgrade." },
			{ status: 403, code: "cyber_policy" },
			{ status: 429, code: "policy_capacity_unavailable", words: "The usage limit of this policy is reached" },
			{ words: "Codex error: This content was flagged for possible cybersecurity risk." },
			{ words: "The request violates our usage policies." },
			{ words: "Codex error: This request violates the cyber policy." },
		],
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
		name: "overloaded",
		signs: [
			{ codes: OVERLOAD_CODES },
			{ codes: ["server_error", "internal_error", "internal_server_error", "service_unavailable_error"] },
			{ status: SERVER_STATUSES, uncoded: true },
			{ codeLike: OVERLOAD_CODE },
			{ words: OVERLOAD_WORDS },
			{ words: /\binternal (server )?error\b/i },
			{ words: /\b(retry|try) your request\b|\berror (occurred )?while processing your request\b/i },
			{ words: /\b(temporarily|currently) unavailable\b/i, statusNot: [...REQUEST_STATUSES, 401, 402, 403] },
			{ status: SERVER_STATUSES },
		],
		remedy: "surface",
		leftToHost: true,
		samples: [
			{ status: 503, code: "server_is_overloaded" },
			{ status: 500, words: "The usage limit service failed" },
			{ words: "Selected model is at capacity. Please try a different model." },
			{ words: "Our servers are currently overloaded. Please try again later." },
			{ words: "An error occurred while processing your request. You can retry your request, or contact us." },
			{ words: "The server had an error while processing your request." },
			{ words: "This model is temporarily unavailable." },
			{ status: 503, code: "brand_new" },
			{ status: 429, code: "engine_overloaded" },
			{ status: 530 },
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
			{ header: ["x-codex-rate-limit-reached-type", OF_WORKSPACE] },
			{ codes: ["workspace_owner_credits_depleted", "workspace_owner_usage_limit_reached"] },
			{ codeLike: OF_WORKSPACE },
		],
		remedy: "rotate",
		cools: { covers: "workspace", reason: "workspace_limit", otherwiseMs: "cooldown" },
		samples: [
			{
				status: 429,
				code: "usage_limit_reached",
				headers: { "x-codex-rate-limit-reached-type": "workspace_owner_credits_depleted" },
			},
			{ status: 429, code: "workspace_owner_usage_limit_reached" },
			{ status: 429, code: "workspace_credits_depleted" },
		],
	},
	{
		name: "member-limit",
		signs: [
			{ header: ["x-codex-rate-limit-reached-type", /^workspace_/] },
			{ codes: ["workspace_member_credits_depleted", "workspace_member_usage_limit_reached"] },
			{ codeLike: /^workspace_.{0,60}(depleted|reached|exceeded|exhausted)$/ },
		],
		remedy: "rotate",
		cools: { covers: "account", reason: "workspace_limit", otherwiseMs: "cooldown" },
		samples: [
			{
				status: 429,
				code: "usage_limit_reached",
				headers: { "x-codex-rate-limit-reached-type": "workspace_member_usage_limit_reached" },
			},
			{ status: 429, code: "workspace_member_credits_depleted" },
			{ status: 429, code: "workspace_seat_limit_reached" },
			{ status: 429, headers: { "x-codex-rate-limit-reached-type": "workspace_brand_new" } },
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
			{ words: /model is not supported when using|model not found|\bhave access to (this|the) model\b/i },
			{ codeLike: /^(model|engine)_(is_)?not_(available|allowed|supported|enabled|permitted)|^unsupported_model/ },
			{ words: /\bmodel\b.{0,100} does not exist\b/i },
			{
				words: /\bmodel\b.{0,100} not (available|included|enabled|supported)\b.{0,40}\b(plan|account|subscription)\b/i,
			},
		],
		remedy: "rotate",
		cools: { covers: "model", reason: "model_not_supported", otherwiseMs: 10 * MINUTE_MS },
		samples: [
			{ status: 400, words: "The 'gpt-6' model is not supported when using Codex with a ChatGPT account." },
			{ status: 404, words: "Model not found gpt-6" },
			{ status: 404, words: "The model `gpt-6` does not exist or you do not have access to it." },
			{ status: 404, words: "The model `gpt-6` does not exist" },
			{ status: 403, code: "model_not_available" },
			{ status: 403, words: "The model gpt-6 is not available on your plan." },
		],
	},
	{
		name: "workspace-disabled",
		signs: [
			{ codes: ["deactivated_workspace", "workspace_disabled", "account_disabled", "organization_disabled"] },
			{ status: [402, 403], words: /(workspace|organization|account) (has been |was |is )?(disabled|deactivated)/i },
			{ status: [402], mute: true },
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
			{ codes: ["usage_limit_reached", "usage_limit_exceeded", "insufficient_quota", "quota_exceeded"] },
			{ exhausted: true, status: [429] },
			{ header: ["x-codex-rate-limit-reached-type", /(^|_)(spend|spending|budget|individual|credits?)(_|$)/] },
			{ codeLike: /^(spend_control|spend_limit|spending_limit|individual_limit)(_|$)/ },
			{
				codeLike: /(^|_)(spend|spending|budget|credits?|quota)(_|$)|(individual|monthly|usage|hard)_(limit|cap)/,
				statusNot: REQUEST_STATUSES,
			},
			{ words: /usage[ _]limit|insufficient_quota|exceeded your current quota|quota exceeded/i },
			{ words: /\b(spend|spending)[ _](control|limit|cap)\b|\bindividual[ _]limit\b|\bout of (credits|budget)\b/i },
			{
				words:
					/(?<!(tokens?|thinking|reasoning|context|output) )\b(budget|credits?|credit limit)\b.{0,40}\b(reached|exceeded|depleted|exhausted|used up)\b/i,
			},
		],
		remedy: "rotate",
		cools: { covers: "limit", reason: "usage_limit", otherwiseMs: "cooldown" },
		samples: [
			{ status: 429, code: "usage_limit_reached" },
			{ words: "The usage limit has been reached" },
			{ words: "You have hit your ChatGPT usage limit (plus plan). Try again in ~60 min." },
			{ status: 429, windows: [{ usedPercent: 100, windowMinutes: 300, resetsAt: undefined }] },
			{ words: "You exceeded your current quota, please check your plan and billing details." },
			{ status: 429, code: "spend_control_reached" },
			{ status: 403, code: "individual_limit_reached" },
			{ status: 400, code: "spend_control_reached" },
			{ status: 429, code: "member_spend_cap_reached" },
			{ status: 402, code: "billing_hard_limit_reached" },
			{ status: 429, headers: { "x-codex-rate-limit-reached-type": "spend_control_reached" } },
			{ words: "You have reached your individual limit for this month." },
			{ words: "Your monthly budget has been reached." },
		],
	},
	{
		name: "barred",
		signs: [
			{ codeLike: /workspace|organization|region|country/, status: [401] },
			{ words: /\b(workspace|organization|account|seat) is not (authorized|allowed|permitted|enabled|available)/i },
			{ words: /\bnot (authorized|allowed|permitted|available) in (this|your) (region|country|workspace)/i },
			{ words: /\b(workspace|organization) (does not allow|requires|has blocked)\b/i, status: [401] },
		],
		remedy: "rotate",
		cools: { covers: "account", reason: "unauthorized", otherwiseMs: HOUR_MS, ifAnotherServes: true },
		samples: [
			{ status: 401, words: "Workspace is not authorized in this region." },
			{ status: 401, code: "workspace_region_mismatch" },
			{ status: 401, words: "Your workspace does not allow access from this country." },
			{ words: "Codex error: Workspace is not authorized in this region." },
		],
	},
	{
		name: "unauthorized",
		signs: [
			{ codes: ["token_expired", "token_invalidated", "token_revoked", "app_session_terminated"] },
			{ codes: ["account_session_expired", "account_auth_invalidated"] },
			{
				words:
					/\b(token|session|sign-in|login|jwt|signature)( is| has| was)?( been)? (expired|ended|invalidated|revoked)\b/i,
				statusNot: REQUEST_STATUSES,
			},
			{
				words: /\bcould not (parse|verify|validate|decode) your (authentication|access) token\b/i,
				statusNot: REQUEST_STATUSES,
			},
			{
				words: /\binvalid(ated)? (oauth|authentication|access) token\b|\b(sign|log)(ning|ging|ing)? in again\b/i,
				statusNot: REQUEST_STATUSES,
			},
			{
				words: /\b(access|authentication|bearer) token is (missing|invalid|not valid)\b/i,
				statusNot: REQUEST_STATUSES,
			},
			// A frame shows neither status nor code.
			{ words: /^(codex error: )?(unauthorized|invalid token|http 401|401 unauthorized)\.?$/i, unanswered: true },
			{ status: [401] },
		],
		remedy: "refresh-or-rotate",
		cools: { covers: "account", reason: "unauthorized", otherwiseMs: HOUR_MS, ifAnotherServes: true },
		samples: [
			{ status: 401 },
			{ status: 401, code: "token_invalidated" },
			{ words: "Your session has ended. Please log in again." },
			{ words: "Codex error: Unauthorized" },
			{ words: "Codex error: jwt expired" },
			{ words: "Codex error: Access token is missing" },
			{ words: "Codex error: Provided authentication token is expired. Please try signing in again." },
			{ words: "Your authentication token has expired." },
			{ words: "Codex error: Your authentication token has been invalidated. Please try signing in again." },
			{ words: "Could not parse your authentication token. Please try signing in again." },
		],
	},
	{
		name: "rate-limit",
		signs: [
			{ codes: ["rate_limit_exceeded"] },
			{ codeLike: /(^|_)rate_?limit(_|ed|$)|too_many_requests/ },
			{ words: /rate[ _]limit (reached|exceeded)|rate_limit_exceeded|too many requests/i },
			{ status: [429] },
		],
		remedy: "retry-or-rotate",
		cools: { covers: "account", reason: "rate_limit", otherwiseMs: MINUTE_MS },
		samples: [
			{ status: 429, code: "rate_limit_exceeded", retryAfterMs: 1200 },
			{ status: 429, code: "organization_rate_limit_exceeded" },
			{ words: "Rate limit reached for gpt-5.5 in organization org-1. Please try again in 1.2s." },
			{ status: 429 },
		],
	},
	{
		name: "account-refused",
		signs: [
			{ codes: ["codex_workspace_access_denied", "invalid_workspace_selected", "gateway_login_required"] },
			{
				codeLike: /(^|_)(workspace|account|organization|seat|member|billing|payment)(_|$)|denied$|login_required$/,
				statusNot: [...REQUEST_STATUSES.filter((status) => !NAMING_STATUSES.includes(status)), 429],
			},
			{ words: /\bextract accountId from token\b|\bno account id in token\b/i, unanswered: true },
			// A frame shows only its words, which are too weak a reason to switch an account off.
			{
				words: /\b(workspace|organization|account) (has been |was |is )?(disabled|deactivated|suspended|deleted)\b/i,
				unanswered: true,
			},
			{ words: /\bdeactivated_workspace\b|\b(workspace|account|organization)_disabled\b/i, unanswered: true },
			{
				words: /^(codex error: )?(forbidden|payment required|http 40[23]|40[23] (forbidden|payment required))\.?$/i,
				unanswered: true,
			},
			{ words: /\b(do|does) not have (access|permission)\b|\baccess denied\b/i, statusNot: REQUEST_STATUSES },
			{ status: [402, 403] },
			{ unsent: true },
		],
		remedy: "try-elsewhere-once",
		cools: { covers: "account", reason: "refused", otherwiseMs: 10 * MINUTE_MS, ifAnotherServes: true },
		samples: [
			{ status: 403, code: "codex_workspace_access_denied" },
			{ words: "Codex error: This workspace has been disabled." },
			{ words: "Codex error: Your OpenAI account has been deactivated, please check your email for more information." },
			{ words: "Codex error: deactivated_workspace" },
			{ status: 403, code: "brand_new" },
			{ status: 402, code: "brand_new" },
			{ status: 403, words: "Forbidden" },
			{ words: "Codex error: Forbidden" },
			{ status: 404, code: "workspace_not_found" },
			{ code: "invalid_workspace_selected", words: "Codex error: invalid_workspace_selected" },
			{ words: "Failed to extract accountId from token" },
			{ words: "anything", unsent: true },
		],
	},
	{
		name: "connection",
		signs: [
			{ words: /\btimed? ?out\b|\btimeout\b|\bECONNRESET\b|\bEPIPE\b|\bETIMEDOUT\b/i, unanswered: true },
			{ words: /\bconnection (was |is )?(closed|reset|lost|refused|aborted)\b|\bsocket hang up\b/i, unanswered: true },
			{ words: /\bfetch failed\b|\bnetwork (error|connection lost)\b|\bother side closed\b/i, unanswered: true },
			{ words: /\bECONNREFUSED\b|\bENOTFOUND\b|\bEAI_AGAIN\b|\bstream (disconnected|ended before)/i, unanswered: true },
		],
		remedy: "surface",
		leftToHost: true,
		samples: [
			{ words: "Request timed out." },
			{ words: "read ECONNRESET" },
			{ words: "write EPIPE" },
			{ words: "connection closed" },
			{ words: "fetch failed" },
			{ words: "connect ECONNREFUSED 127.0.0.1:443" },
			{ words: "Codex WebSocket stream ended before a terminal response event" },
		],
	},
];

const KNOWN_CODES: ReadonlySet<string> = new Set(
	RULES.flatMap(({ signs }) => signs.flatMap(({ codes }) => codes ?? [])),
);

/** The code that tells most of all that came in one refusal: of a policy, else one that a row knows, else the first. */
export function tellingCode(codes: readonly string[]): string | undefined {
	const policies: readonly string[] = POLICY_CODES;
	return codes.find((code) => policies.includes(code)) ?? codes.find((code) => KNOWN_CODES.has(code)) ?? codes[0];
}

/** A cooldown to set, and on whom. */
export interface Cooling {
	readonly covers: "account" | "workspace";
	readonly scope: CooldownScope;
	readonly reason: CooldownReason;
	/** Epoch ms. */
	readonly until: number;
	/** Where it covers a workspace: until when the other seats are not offered, epoch ms. */
	readonly seatsUntil?: number | undefined;
	/** True where no reset was told: the usage endpoint knows better. */
	readonly guessed: boolean;
	/** No window proves what was spent: it may be the limit of one model. */
	readonly isUnproved?: true;
	/** Set only once another account has served the same request. */
	readonly ifAnotherServes?: true;
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
	/** Surfaced in the hope that the host asks again by itself. */
	readonly isLeftToHost: boolean;
}

/** Patterns see no more of any words: a server may quote what it was sent, and time must not grow with that. */
const LONGEST_WORDS = 2000;
const LONGEST_CODE = 200;

/** Finds the row for `given`; what no row knows is surfaced unchanged. `now` is epoch ms. */
export function classify(
	given: FailureEvidence,
	context: { readonly now: number; readonly modelId: string; readonly cooldownMs: number },
): Failure {
	const evidence = {
		...given,
		...(given.words !== undefined && { words: given.words.slice(0, LONGEST_WORDS) }),
		...(given.code !== undefined && { code: given.code.slice(0, LONGEST_CODE) }),
	};
	const rule = findRule(evidence);
	return {
		kind: rule?.name ?? "other",
		remedy: rule?.remedy ?? "surface",
		cooling: rule?.cools && coolingOf(rule.cools, evidence, context),
		retryAfterMs: lengthOf(evidence.retryAfterMs),
		isSignInGone: evidence.code !== undefined && SIGN_IN_GONE_CODES.has(evidence.code),
		isLeftToHost: rule?.leftToHost === true && !isMereServerError(evidence),
	};
}

/** A status of the server that tells of no overload: the host has repeated the request by itself before it said so. */
function isMereServerError({ status, code = "", words = "" }: FailureEvidence): boolean {
	if (status === undefined || !SERVER_STATUSES.includes(status)) return false;
	return !OVERLOAD_CODES.includes(code) && !OVERLOAD_CODE.test(code) && !OVERLOAD_WORDS.test(words);
}

function findRule(evidence: FailureEvidence): Rule | undefined {
	const strengths: ((sign: Sign) => boolean)[] = [
		(sign) => !isWordy(sign) && !isBareStatus(sign),
		isWordy,
		isBareStatus,
	];
	for (const hasStrength of strengths) {
		const found = RULES.find((rule) => rule.signs.some((sign) => hasStrength(sign) && holds(sign, evidence)));
		if (found) return found;
	}
	return undefined;
}

function isWordy(sign: Sign): boolean {
	return sign.words !== undefined || sign.codeLike !== undefined;
}

function isBareStatus(sign: Sign): boolean {
	return !isWordy(sign) && !sign.codes && !sign.header && !sign.html && !sign.exhausted && !sign.uncoded;
}

function holds(sign: Sign, evidence: FailureEvidence): boolean {
	const { status, code, words } = evidence;
	if (sign.status && !(status !== undefined && sign.status.includes(status))) return false;
	if (sign.statusNot && status !== undefined && sign.statusNot.includes(status)) return false;
	if (sign.unanswered && status !== undefined) return false;
	if (sign.codes && !(code !== undefined && sign.codes.includes(code))) return false;
	if (sign.codeLike && !sign.codeLike.test(code ?? "")) return false;
	if (sign.header && !sign.header[1].test(evidence.headers?.[sign.header[0]] ?? "")) return false;
	if (sign.html && !evidence.html) return false;
	if (sign.unsent && !evidence.unsent) return false;
	if (sign.uncoded && code !== undefined) return false;
	if (sign.mute && (code !== undefined || (words ?? "") !== "")) return false;
	if (sign.exhausted && !isExhausted(evidence.windows ?? [], Number.NEGATIVE_INFINITY)) return false;
	return !sign.words || sign.words.test(words ?? "");
}

/** What concerns a whole workspace keeps its other seats away no longer than this, unless the server tells its end. */
const SEATS_REST_MS = 15 * MINUTE_MS;

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
		...(rule.covers === "workspace" && { seatsUntil: seatsUntil(evidence, now) }),
		guessed: told === undefined && rule.covers !== "model",
		...(rule.covers === "limit" && !isExhausted(evidence.windows ?? [], now) && { isUnproved: true }),
		...(rule.ifAnotherServes && { ifAnotherServes: true }),
	};
}

/** A spent window is the refused seat's own, and so is a reset that comes with one. */
function seatsUntil({ windows = [], resetsAt }: FailureEvidence, now: number): number {
	const isOwn = isExhausted(windows, now);
	return (isOwn ? undefined : resetWithin(resetsAt, now)) ?? now + SEATS_REST_MS;
}

function scopeOf(rule: CoolingRule, evidence: FailureEvidence, modelId: string): CooldownScope {
	if (rule.covers === "model") return `model:${modelId}`;
	if (rule.covers === "limit" && evidence.limitId !== undefined) return `limit:${evidence.limitId}`;
	return "account";
}

function toldUntil(rule: CoolingRule, evidence: FailureEvidence, now: number): number | undefined {
	// A refusal of the account itself tells of no quota, whatever windows its headers name.
	if (rule.ifAnotherServes) return undefined;
	const { resetsAt } = evidence;
	const retryAfterMs = lengthOf(evidence.retryAfterMs);
	// How long to hold back is no word on when a quota resets.
	if (rule.reason === "rate_limit" && retryAfterMs !== undefined) return now + retryAfterMs;
	return resetWithin(resetsAt, now) ?? exhaustedUntil(evidence.windows ?? [], now);
}

/** A length that can be true, ms. */
function lengthOf(ms: number | undefined): number | undefined {
	return ms !== undefined && ms >= 0 && ms <= FURTHEST_RESET_MS ? ms : undefined;
}

/** A time ahead that can be true, epoch ms. */
function resetWithin(at: number | undefined, now: number): number | undefined {
	return at !== undefined && at > now && at - now <= FURTHEST_RESET_MS ? at : undefined;
}

/** The cooling with the end that is known of its quota, where the refusal told none. */
export function withKnownReset(cooling: Cooling, usage: UsageSnapshot | undefined, now: number): Cooling {
	if (!cooling.guessed || !isOfQuota(cooling) || !usage) return cooling;
	const limitId = cooling.scope.startsWith("limit:") ? cooling.scope.slice("limit:".length) : undefined;
	const limit = limitId !== undefined && Object.hasOwn(usage.limits, limitId) ? usage.limits[limitId] : undefined;
	const told = limitId === undefined ? usage : { ...usage, windows: limit?.windows ?? [], budgets: [] };
	const until = knownReset(told, now);
	return until === undefined ? cooling : { ...cooling, until, guessed: false };
}
