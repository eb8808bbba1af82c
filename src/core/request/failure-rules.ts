import type { CooldownReason } from "../cooldown.ts";
import type { UsageWindow } from "../usage.ts";

/** Everything known about one refused attempt, from the best source that the host offers. */
export interface FailureEvidence {
	/** HTTP status of the response, or the one in a frame. */
	readonly status?: number;
	/** Structured code of the body or frame, lower-cased. Never a generic type such as `invalid_request_error`. */
	readonly code?: string;
	/** The server's or the host's message. */
	readonly message?: string;
	/** Response headers, lower-cased names. */
	readonly headers?: Readonly<Record<string, string>>;
	/** The body is an HTML page instead of JSON. */
	readonly html?: boolean;
	/** Reset stated in the body or frame, epoch ms. */
	readonly resetsAt?: number;
	/** How long the server asks us to wait, ms. */
	readonly retryAfterMs?: number;
	/** The windows of the limit that was hit, from the headers. */
	readonly windows?: readonly UsageWindow[];
	/** The metered limit that was hit, unless it is the general one. */
	readonly limitId?: string;
	/** The host failed before it sent anything of the request. */
	readonly unsent?: boolean;
}

/**
 * How to handle a failure before output was shown.
 * - `rotate`: use another account.
 * - `retry-or-rotate`: retry the same account once if the server asks for a short wait, else use another one.
 * - `refresh-or-rotate`: renew the token once, then use another account.
 * - `close-account`: disable the account, then use another one.
 * - `strip-reasoning`, `reconnect`: retry the same account once, with the request changed.
 * - `surface`: pass the error to pi unchanged.
 * - `try-elsewhere-once`: try one other account, to find out whether the account or the request is at fault.
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

/** The cooldown that a failure sets. */
export interface CoolingRule {
	readonly covers: "account" | "workspace" | "limit" | "model";
	readonly reason: CooldownReason;
	/** Length if the server names no end, ms. `cooldown` stands for the person's setting. */
	readonly otherwiseMs: number | "cooldown";
	/**
	 * Set the cooldown only after another account has served the same request. Until then the request may be at fault.
	 */
	readonly ifAnotherServes?: true;
}

/** One way to recognize a failure. The signs of a rule are alternatives; all conditions within a sign must hold. */
export interface Sign {
	readonly codes?: readonly string[];
	/** Matches a code that no row lists, by parts of its name. As weak as a message. */
	readonly codeLike?: RegExp;
	readonly header?: readonly [name: string, value: RegExp];
	readonly html?: true;
	/** The headers report a window of the limit as used up. */
	readonly exhausted?: true;
	readonly message?: RegExp;
	readonly status?: readonly number[];
	/** The sign does not hold with these statuses: there the request is at fault, whatever the message says. */
	readonly statusNot?: readonly number[];
	/** Holds only without a code. Makes a status as strong a sign as a code. */
	readonly uncoded?: true;
	/** Holds only with neither a code nor a message. */
	readonly unexplained?: true;
	/** Holds only without a response, or with one that has no status. */
	readonly unanswered?: true;
	readonly unsent?: true;
}

/**
 * One row of the failure table. `samples` document it, and are test cases. Each start loads them, so further wordings
 * are in `classify.test.ts` alone.
 */
export interface Rule {
	readonly name: string;
	readonly signs: readonly Sign[];
	readonly remedy: Remedy;
	readonly cools?: CoolingRule;
	/**
	 * Surfaced because the host repeats the request on the same account. If the host does not, one other account is
	 * tried.
	 */
	readonly leftToHost?: true;
	readonly samples: readonly FailureEvidence[];
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Statuses that blame the request, not the account. */
const REQUEST_STATUSES = [400, 404, 405, 409, 410, 413, 414, 415, 422];

/** Statuses that still blame the account if the code names it. */
const NAMING_STATUSES = [404, 410];

/** Statuses that blame the server or a proxy in front of it. */
export const SERVER_STATUSES: readonly number[] = [408, ...Array.from({ length: 100 }, (_, at) => 500 + at)];

export const OVERLOAD_CODES = ["server_is_overloaded", "server_overloaded", "overloaded_error", "slow_down"];
export const OVERLOAD_CODE = /(^|_)(overloaded|overload|(at|over)_capacity|capacity_(reached|exceeded))(_|$)/;
export const OVERLOAD_MESSAGE = /\bat (full )?capacity\b|\boverloaded\b|experiencing high demand/i;

/** Codes that refuse the content, whichever account sends it. */
export const POLICY_CODES: readonly string[] = [
	"cyber_policy",
	"bio_policy",
	"misalignment_policy_violation",
	"policy_capacity_unavailable",
	"content_policy_violation",
	"access_program_not_enabled",
	"inference_hook_denied",
];

/** Matches further codes that refuse the content. */
export const POLICY_CODE =
	/_policy$|^(policy|safety|moderation|cyber|bio|flagged|terms)_|(^|_)(policy_violation|content_filter(ed)?)$|^(prompt|input|content)_flagged$/;

/** Matches a message that refuses the content. It may also be why an account was closed, which is no content. */
const OF_POLICY = new RegExp(
	String.raw`^(?![^]{0,200}\baccount (has been|was) (deactivated|suspended|deleted))[^]{0,1999}?(` +
		String.raw`\b(usage|content|safety|cyber|bio)( management)? polic(y|ies)\b|\b(content|safety|moderation) (system|filter)\b|` +
		String.raw`\bviolat(es|ing) .{0,40}\b(polic(y|ies)|terms)\b|\bfor safety reasons\b|\bunsafe content\b|` +
		String.raw`\bflagged (for|as) (possible|potential)|\b(prompt|content|request) (has been|was) flagged\b)`,
	"i",
);

/** Matches the budget or credits of an account, but not the token budget of a request, or the quota of a disk. */
const OF_QUOTA = String.raw`(?<!(tokens?|thinking|reasoning|context|output|disk) )\b(budget|quota|credits?|credit limit)\b`;

/** Matches the parts of a sign-in. */
const OF_SIGN_IN = String.raw`\b(token|session|sign-in|login|jwt|signature)`;

/** Limits that hold for every seat of a workspace. An unknown kind of limit counts against the refused seat only. */
const OF_WORKSPACE = /^workspace_(owner|credits?)_.{0,60}(depleted|reached|exceeded|exhausted)$/;

/** Statuses of a refusal for want of quota. */
const LIMIT_STATUSES = [402, 403, 429];
const LIMIT_CODES = ["usage_limit_reached", "usage_limit_exceeded", "insufficient_quota", "quota_exceeded"];
/** Matches the words of a host that shows neither status nor code. */
const OF_LIMIT = /usage[ _]limit|\bquota\b|\bcredits?\b|\bspend/i;

/**
 * Signs of a limit by the header that names its type. An answer that begins well may have the header too, so it only
 * tells which limit a failure is about that is one of quota.
 */
function reached(type: RegExp): readonly Sign[] {
	const header = ["x-codex-rate-limit-reached-type", type] as const;
	return [
		{ header, status: LIMIT_STATUSES },
		{ header, codes: LIMIT_CODES },
		{ header, message: OF_LIMIT, unanswered: true },
	];
}

/** Codes of a 401 that a renewal will hardly cure. One renewal is tried anyway. */
export const SIGN_IN_GONE_CODES: readonly string[] = [
	"token_invalidated",
	"token_revoked",
	"app_session_terminated",
	"account_session_expired",
	"account_auth_invalidated",
];

/**
 * The failure table: who is at fault, and how to react. Rows are tried from top to bottom, three times: by codes,
 * headers and HTML, then by messages, then by the bare status. Structured evidence always wins over a lucky phrase.
 */
export const RULES: readonly Rule[] = [
	{
		name: "cloudflare",
		signs: [{ header: ["cf-mitigated", /./] }, { html: true, status: [403, 429, 503] }],
		remedy: "surface",
		samples: [
			{ status: 403, html: true, message: "<html><title>Just a moment...</title></html>" },
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
			{ message: /\b(country|region|territory) (is )?not supported|\bservices? (is|are) not available in your\b/i },
		],
		remedy: "surface",
		samples: [
			{ status: 403, code: "unsupported_country_region_territory" },
			{ status: 403, code: "country_not_supported" },
			{ message: "Codex error: Country, region, or territory not supported" },
		],
	},
	{
		name: "request",
		signs: [
			{ codes: POLICY_CODES },
			{ codes: ["context_length_exceeded", "invalid_prompt"] },
			{ codeLike: POLICY_CODE },
			{ message: new RegExp(`\\b(${POLICY_CODES.join("|")})\\b`, "i") },
			{ message: OF_POLICY },
			{ message: /context window|requires a newer version of codex/i },
			{
				message:
					/^(codex error: )?invalid (schema|type|value)\b|^(codex error: )?(missing|unknown) (required )?parameter\b/i,
			},
		],
		remedy: "surface",
		samples: [
			{ status: 400, code: "context_length_exceeded" },
			{ status: 400, message: "The 'gpt-9' model requires a newer version of Codex. Please upgrade." },
			{ status: 403, code: "cyber_policy" },
			{ status: 429, code: "policy_capacity_unavailable", message: "The usage limit of this policy is reached" },
		],
	},
	{
		name: "reasoning-refused",
		signs: [
			{ codes: ["invalid_encrypted_content", "thinking_signature_invalid"] },
			{ message: /encrypted .{0,40}content .{0,1900}could not be (verified|decrypted|decoded)/i },
		],
		remedy: "strip-reasoning",
		samples: [
			{ status: 400, code: "invalid_encrypted_content" },
			{
				message: "The encrypted content gAAA...= could not be verified. Reason: Encrypted content could not be parsed.",
			},
		],
	},
	{
		name: "connection-lost-state",
		signs: [
			{ codes: ["previous_response_not_found", "websocket_connection_limit_reached"] },
			{
				message:
					/previous_response_id|previous response .{0,200}not found|websocket[_ ]connection[_ ]limit[_ ]reached/i,
			},
		],
		remedy: "reconnect",
		samples: [
			{ status: 400, code: "previous_response_not_found" },
			{ message: "Invalid `previous_response_id`" },
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
			{ message: OVERLOAD_MESSAGE },
			{ message: /\binternal (server )?error\b/i },
			{ message: /\bbad gateway\b|\b(server|service) is (too )?busy\b|\bno healthy upstream\b/i, unanswered: true },
			{ message: /^(codex error: )?(http |status )?5\d\d\b/i, unanswered: true },
			{ message: /\b(retry|try) your request\b|\berror (occurred )?while processing your request\b/i },
			{ message: /\b(temporarily|currently) unavailable\b/i, statusNot: [...REQUEST_STATUSES, 401, 402, 403] },
			{ status: SERVER_STATUSES },
		],
		remedy: "surface",
		leftToHost: true,
		samples: [
			{ status: 503, code: "server_is_overloaded" },
			{ status: 500, message: "The usage limit service failed" },
			{ message: "Selected model is at capacity. Please try a different model." },
			{ status: 503, code: "brand_new" },
			{ status: 429, code: "engine_overloaded" },
			{ status: 530 },
		],
	},
	{
		name: "account-closed",
		signs: [
			{ codes: ["account_deactivated", "account_suspended", "account_deleted"] },
			{ status: [401, 403], message: /account has been (deactivated|suspended|deleted)/i },
		],
		remedy: "close-account",
		samples: [
			{ status: 401, code: "account_deactivated" },
			{ status: 401, message: "Your account has been deactivated." },
		],
	},
	{
		name: "workspace-limit",
		signs: [
			...reached(OF_WORKSPACE),
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
			...reached(/^workspace_/),
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
			{ message: /usage_not_included|to use codex with your chatgpt plan, upgrade/i },
			{ status: [403], message: /usage limit/i },
		],
		remedy: "rotate",
		cools: { covers: "model", reason: "not_included", otherwiseMs: HOUR_MS },
		samples: [
			{ status: 403, code: "usage_not_included" },
			{ status: 403, message: "You have hit your ChatGPT usage limit (free plan)." },
		],
	},
	{
		name: "model-not-supported",
		signs: [
			{ codes: ["model_not_supported_with_chatgpt_account", "model_not_found"] },
			{ message: /model is not supported when using|model not found|\bhave access to ((this|the) )?model\b/i },
			{
				codeLike:
					/^(model|engine)_(is_)?not_(available|allowed|supported|enabled|permitted)|^unsupported_model|^model_access_/,
			},
			{ message: /\bmodel\b.{0,100} does not exist\b|\bmodel \S{1,60} (was |is )?not found\b/i },
			{
				message:
					/\bmodel\b.{0,100} not (available|included|enabled|supported)\b.{0,40}\b(plan|account|subscription)\b/i,
			},
		],
		remedy: "rotate",
		cools: { covers: "model", reason: "model_not_supported", otherwiseMs: 10 * MINUTE_MS },
		samples: [
			{ status: 400, message: "The 'gpt-6' model is not supported when using Codex with a ChatGPT account." },
			{ status: 404, message: "Model not found gpt-6" },
			{ status: 404, message: "The model `gpt-6` does not exist or you do not have access to it." },
			{ status: 404, message: "The model `gpt-6` does not exist" },
			{ status: 403, code: "model_not_available" },
			{ status: 403, message: "The model gpt-6 is not available on your plan." },
		],
	},
	{
		name: "workspace-disabled",
		signs: [
			{ codes: ["deactivated_workspace", "workspace_disabled", "account_disabled", "organization_disabled"] },
			{ status: [402, 403], message: /(workspace|organization|account) (has been |was |is )?(disabled|deactivated)/i },
			{ status: [402], unexplained: true },
		],
		remedy: "rotate",
		cools: { covers: "account", reason: "workspace_disabled", otherwiseMs: HOUR_MS },
		samples: [
			{ status: 402, code: "deactivated_workspace" },
			{ status: 403, message: "This workspace has been disabled." },
			{ status: 402 },
		],
	},
	{
		name: "usage-limit",
		signs: [
			{ codes: LIMIT_CODES },
			{ exhausted: true, status: [429] },
			...reached(/(^|_)(spend|spending|budget|individual|credits?)(_|$)|^rate_limit_reached$/),
			{ codeLike: /^(spend_control|spend_limit|spending_limit|individual_limit)(_|$)/ },
			{
				codeLike: /(^|_)(spend|spending|budget|credits?|quota)(_|$)|(individual|monthly|usage|hard)_(limit|cap)/,
				statusNot: REQUEST_STATUSES,
			},
			{
				message: /usage[ _]limit|insufficient_quota|exceeded your current quota|(?<!disk )quota exceeded/i,
				statusNot: REQUEST_STATUSES,
			},
			{
				message: /\b(spend|spending)[ _](control|limit|cap)\b|\bindividual[ _]limit\b|\bout of (credits|budget)\b/i,
				statusNot: REQUEST_STATUSES,
			},
			{
				message: /\b(no|insufficient|not enough) (credits?|quota)\b|\busage cap\b|\b(billing )?hard limit\b/i,
				statusNot: REQUEST_STATUSES,
			},
			{
				message: /\b(hourly|daily|weekly|monthly|(five|\d{1,3})[- ]?(hour|day|h|d))[ -](limit|cap)\b/i,
				statusNot: REQUEST_STATUSES,
			},
			{
				message: new RegExp(`${OF_QUOTA}.{0,40}\\b(reached|exceeded|depleted|exhausted|used up)\\b`, "i"),
				statusNot: REQUEST_STATUSES,
			},
		],
		remedy: "rotate",
		cools: { covers: "limit", reason: "usage_limit", otherwiseMs: "cooldown" },
		samples: [
			{ status: 429, code: "usage_limit_reached" },
			{ message: "The usage limit has been reached" },
			{ message: "You have hit your ChatGPT usage limit (plus plan). Try again in ~60 min." },
			{ status: 429, windows: [{ usedPercent: 100, windowMinutes: 300, resetsAt: undefined }] },
			{ status: 429, code: "spend_control_reached" },
			{ status: 403, code: "individual_limit_reached" },
			{ status: 400, code: "spend_control_reached" },
			{ status: 429, code: "member_spend_cap_reached" },
			{ status: 402, code: "billing_hard_limit_reached" },
			{ status: 429, headers: { "x-codex-rate-limit-reached-type": "spend_control_reached" } },
		],
	},
	{
		name: "barred",
		signs: [
			{ codeLike: /workspace|organization|region|country/, status: [401] },
			{ message: /\b(workspace|organization|account|seat) is not (authorized|allowed|permitted|enabled|available)/i },
			{ message: /\bnot (authorized|allowed|permitted|available) in (this|your) (region|country|workspace)/i },
			{ message: /\b(workspace|organization) (does not allow|requires|has blocked)\b/i, status: [401] },
		],
		remedy: "rotate",
		cools: { covers: "account", reason: "unauthorized", otherwiseMs: HOUR_MS, ifAnotherServes: true },
		samples: [
			{ status: 401, message: "Workspace is not authorized in this region." },
			{ status: 401, code: "workspace_region_mismatch" },
			{ status: 401, message: "Your workspace does not allow access from this country." },
		],
	},
	{
		name: "unauthorized",
		signs: [
			{ codes: ["token_expired", ...SIGN_IN_GONE_CODES] },
			{
				message: new RegExp(`${OF_SIGN_IN}( is| has| was)?( been)? (expired|ended|invalidated|revoked)\\b`, "i"),
				statusNot: REQUEST_STATUSES,
			},
			{
				message: /\bcould not (parse|verify|validate|decode) your (authentication|access) token\b/i,
				statusNot: REQUEST_STATUSES,
			},
			{
				message: /\binvalid(ated)? (oauth|authentication|access) token\b|\b(sign|log)(ning|ging|ing)? in again\b/i,
				statusNot: REQUEST_STATUSES,
			},
			{
				message: /\b(access|authentication|bearer) token is (missing|invalid|not valid)\b/i,
				statusNot: REQUEST_STATUSES,
			},
			// A frame has neither status nor code.
			{
				message: /^(codex error: )?(unauthorized|invalid token|http 401|401 unauthorized|401)([.:]|$)/i,
				unanswered: true,
			},
			{
				message:
					/\b(not|un)[ -]?authenticated\b|\bauthentication (is |was )?(required|failed)|\bmissing (bearer|authenti|authori)/i,
				unanswered: true,
			},
			{
				message:
					/\b(invalid|incorrect) (bearer|api|authentication|login)[ -](key|token|credential)|\btoken is (no longer|not) valid\b/i,
				unanswered: true,
			},
			{ status: [401] },
		],
		remedy: "refresh-or-rotate",
		cools: { covers: "account", reason: "unauthorized", otherwiseMs: HOUR_MS, ifAnotherServes: true },
		samples: [{ status: 401 }, { status: 401, code: "token_invalidated" }, { message: "Codex error: Unauthorized" }],
	},
	{
		name: "rate-limit",
		signs: [
			{ codes: ["rate_limit_exceeded"] },
			{ codeLike: /(^|_)rate_?limit(_|ed|$)|too_many_requests/ },
			{ message: /rate[ _]limit(ed\b| reached| exceeded)|rate_limit_exceeded|too many (concurrent )?requests/i },
			{ message: /^(codex error: )?(http |status )?429\b/i, unanswered: true },
			{ status: [429] },
		],
		remedy: "retry-or-rotate",
		cools: { covers: "account", reason: "rate_limit", otherwiseMs: MINUTE_MS },
		samples: [
			{ status: 429, code: "rate_limit_exceeded", retryAfterMs: 1200 },
			{ status: 429, code: "organization_rate_limit_exceeded" },
			{ message: "Rate limit reached for gpt-5.5 in organization org-1. Please try again in 1.2s." },
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
			{ message: /\bextract accountId from token\b|\bno account id in token\b/i, unanswered: true },
			// A frame has only a message, which is too weak a reason to disable an account.
			{
				message:
					/\b(workspace|organization|account) (has been |was |is )?(disabled|deactivated|suspended|deleted|banned|blocked)\b/i,
				unanswered: true,
			},
			{
				message:
					/\bcodex is (disabled|not (enabled|available|included)) (for|in|on) (your|this) |does not include codex\b/i,
				unanswered: true,
			},
			{ message: /\bdeactivated_workspace\b|\b(workspace|account|organization)_disabled\b/i, unanswered: true },
			{
				message:
					/^(codex error: )?(forbidden|payment required|http 40[23]|40[23]( forbidden| payment required)?)([.:]|$)/i,
				unanswered: true,
			},
			{
				message:
					/\bpermission denied\b|\binsufficient (permission|scope)|\bmissing scope|\bmember of (an?|the|this) (organization|workspace)\b/i,
				unanswered: true,
			},
			{
				message: /\b(account|subscription|plan) (is not active|is inactive|(has|was) (expired|ended|cancell?ed))\b/i,
				unanswered: true,
			},
			{
				message: /\b((do|does) not|no longer) have (access|permission)\b|\baccess denied\b/i,
				statusNot: REQUEST_STATUSES,
			},
			{ status: [402, 403] },
			{ unsent: true },
		],
		remedy: "try-elsewhere-once",
		cools: { covers: "account", reason: "refused", otherwiseMs: 10 * MINUTE_MS, ifAnotherServes: true },
		samples: [
			{ status: 403, code: "codex_workspace_access_denied" },
			{ status: 403, code: "brand_new" },
			{ status: 402, code: "brand_new" },
			{ status: 403, message: "Forbidden" },
			{ status: 404, code: "workspace_not_found" },
			{ code: "invalid_workspace_selected", message: "Codex error: invalid_workspace_selected" },
			{ message: "Failed to extract accountId from token" },
			{ message: "anything", unsent: true },
		],
	},
	{
		name: "connection",
		signs: [
			{ message: /\btimed? ?out\b|\btimeout\b|\bECONNRESET\b|\bEPIPE\b|\bETIMEDOUT\b/i, unanswered: true },
			{
				message: /\bconnection (was |is )?(closed|reset|lost|refused|aborted)\b|\bsocket hang up\b/i,
				unanswered: true,
			},
			{ message: /\bfetch failed\b|\bnetwork (error|connection lost)\b|\bother side closed\b/i, unanswered: true },
			{
				message: /\bECONNREFUSED\b|\bENOTFOUND\b|\bEAI_AGAIN\b|\bstream (disconnected|ended before)/i,
				unanswered: true,
			},
		],
		remedy: "surface",
		leftToHost: true,
		samples: [{ message: "fetch failed" }],
	},
];
