import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CooldownScope, FURTHEST_RESET_MS } from "../../../../src/core/cooldown.ts";
import { type Cooling, classify, tellingCode, withKnownReset } from "../../../../src/core/request/classify.ts";
import { evidenceFromBody } from "../../../../src/core/request/evidence.ts";
import { type FailureEvidence, RULES, SIGN_IN_GONE_CODES } from "../../../../src/core/request/failure-rules.ts";
import type { UsageWindow } from "../../../../src/core/usage.ts";
import { anyCharacter } from "../../../support/arbitraries.ts";
import { aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { runs } from "../../../support/tiers.ts";

const context = { now: NOW, modelId: "gpt-5.5", cooldownMs: HOUR_MS };
const kindOf = (evidence: FailureEvidence) => classify(evidence, context).kind;

describe("evidence of different strength", () => {
	it.each<[string, FailureEvidence, string]>([
		[
			"a code beats words of another row",
			{ status: 400, code: "context_length_exceeded", message: "The usage limit has been reached" },
			"request",
		],
		["a code beats a status of another row", { status: 429, code: "invalid_encrypted_content" }, "reasoning-refused"],
		["words beat the bare status", { status: 429, message: "The usage limit has been reached" }, "usage-limit"],
		["words beat the bare 401", { status: 401, message: "Your account has been deactivated." }, "account-closed"],
		["a header beats a code", { code: "usage_limit_reached", headers: { "cf-mitigated": "challenge" } }, "cloudflare"],
		[
			"the workspace's header beats the code of a plain limit",
			{
				status: 429,
				code: "usage_limit_reached",
				headers: { "x-codex-rate-limit-reached-type": "workspace_owner_credits_depleted" },
			},
			"workspace-limit",
		],
		[
			"the header of a plain limit is no workspace's",
			{
				status: 429,
				code: "usage_limit_reached",
				headers: { "x-codex-rate-limit-reached-type": "rate_limit_reached" },
			},
			"usage-limit",
		],
		[
			"a spent window beats words of a rate limit",
			{ status: 429, message: "Too many requests", windows: [{ usedPercent: 100, windowMinutes: 300 }] },
			"usage-limit",
		],
		[
			"99.6 % is not spent",
			{ status: 429, message: "Too many requests", windows: [{ usedPercent: 99.6, windowMinutes: 300 }] },
			"rate-limit",
		],
		[
			"a spent window explains only a 429",
			{ status: 400, windows: [{ usedPercent: 100, windowMinutes: 300 }] },
			"other",
		],
		[
			"a server error is one whatever its words say",
			{ status: 502, message: "The usage limit service is not reachable" },
			"overloaded",
		],
		["but for its code", { status: 503, code: "usage_limit_reached" }, "usage-limit"],
		[
			"an unknown code leaves the words to decide",
			{ code: "brand_new", message: "Model not found gpt-6" },
			"model-not-supported",
		],
		["a page of HTML is a challenge only where one is served", { status: 404, html: true }, "other"],
		["a throttled organization is throttled, not refused", { status: 429, code: "account_rate_limited" }, "rate-limit"],
		["a model that may not be used is the model", { status: 403, code: "model_access_denied" }, "model-not-supported"],
		[
			"a reached limit is no throttle",
			{ status: 429, headers: { "x-codex-rate-limit-reached-type": "rate_limit_reached" } },
			"usage-limit",
		],
		[
			"a header is read in any case",
			{ status: 429, headers: { "x-codex-rate-limit-reached-type": " Workspace_Owner_Credits_Depleted" } },
			"workspace-limit",
		],
		["a member's cap is the member's", { status: 429, code: "workspace_spend_limit_reached" }, "member-limit"],
		["a budget of tokens is the request's", { message: "The thinking budget was exceeded." }, "other"],
		["a region that is the workspace's bars the account", { status: 401, code: "region_not_allowed" }, "barred"],
		["a region that is the caller's bars all", { status: 403, code: "unsupported_country" }, "region"],
		["an account that is not found is the account's", { status: 404, code: "account_not_found" }, "account-refused"],
		["a conflict names the account by chance", { status: 409, code: "workspace_conflict" }, "other"],
		["a legal bar is no account's", { status: 451 }, "other"],
		["a new status of a server is a server's", { status: 599, message: "usage limit" }, "overloaded"],
	])("%s", (_name, evidence, kind) => {
		expect(kindOf(evidence)).toBe(kind);
	});

	it.each<[string, FailureEvidence]>([
		["a server error", { status: 500, message: "The server had an error while processing your request." }],
		["a bad gateway", { status: 502 }],
		["a time-out", { message: "Request timed out." }],
		["a broken connection", { message: "fetch failed" }],
		["an unknown refusal", { status: 400, code: "invalid_value", message: "Invalid image_url" }],
		["a plain 404", { status: 404, message: "Not Found" }],
		["a policy, whatever its status", { status: 429, code: "cyber_policy", message: "The usage limit is reached" }],
		["a policy named in words", { message: "Codex error: bio_policy (usage limit)" }],
		["a violation of a policy", { status: 400, code: "content_policy_violation", message: "no" }],
		["a policy that has no room", { status: 429, code: "policy_capacity_unavailable", message: "no" }],
		["a token that a request names", { status: 400, message: "The page token is expired." }],
		[
			"a schema that names a limit",
			{ status: 400, message: "Invalid schema for function 'x': ('usage_limit') must be" },
		],
		["the same in a frame", { message: "Codex error: Invalid schema for function 'get_usage_limit': no type" }],
		["a parameter that names a limit", { status: 422, message: "The field usage_limit is out of credits" }],
		["an unknown code of a request", { status: 422, code: "workspace_name_too_long" }],
		["nothing at all", {}],
	])("surfaces %s and blames no account", (_name, evidence) => {
		expect(classify(evidence, context)).toMatchObject({ remedy: "surface", cooling: undefined });
	});

	it.each<[string, FailureEvidence, boolean]>([
		["a model at capacity in a stream", { message: "Selected model is at capacity." }, true],
		["an overload as a status", { status: 503, code: "server_is_overloaded" }, true],
		["an overload in the words of a status", { status: 503, message: "The model is overloaded" }, true],
		["an error in a stream", { code: "server_error", message: "An error occurred." }, true],
		["an error as a status", { status: 500, code: "server_error", message: "An error occurred." }, false],
		["a gateway", { status: 502 }, false],
	])("leaves a server's failure to the host alone, or tries it elsewhere: %s", (_name, evidence, isLeftToHost) => {
		expect(classify(evidence, context)).toMatchObject({ kind: "overloaded", isLeftToHost, cooling: undefined });
	});

	it.each([...SIGN_IN_GONE_CODES])("takes a 401 with %s for the end of the sign-in, after one refresh", (code) => {
		expect(classify({ status: 401, code }, context)).toMatchObject({ remedy: "refresh-or-rotate", isSignInGone: true });
	});

	it("takes a 401 without such a code for an old token", () => {
		expect(classify({ status: 401, code: "token_expired" }, context)).toMatchObject({
			remedy: "refresh-or-rotate",
			isSignInGone: false,
		});
	});
});

describe("the words of a refusal", () => {
	it("the words of a refusal are read up to two thousand characters", () => {
		const message = "The usage limit has been reached";
		expect(kindOf({ message: `${" ".repeat(1900)}${message}` })).toBe("usage-limit");
		expect(kindOf({ message: `${" ".repeat(2000)}${message}` })).toBe("other");
	});
});

describe("the end of a cooldown", () => {
	const limit = { status: 429, code: "usage_limit_reached" } as const;
	const coolingOf = (evidence: FailureEvidence) => classify(evidence, context).cooling;

	it("the end of a cooldown is the server's reset", () => {
		const windows = [{ usedPercent: 100, windowMinutes: 300, resetsAt: NOW + 2 * HOUR_MS }];
		expect(coolingOf({ ...limit, resetsAt: NOW + 3 * HOUR_MS, windows })).toMatchObject({
			until: NOW + 3 * HOUR_MS,
			guessed: false,
		});
	});

	it("the end of a cooldown is the latest reset of the spent windows if the server told none", () => {
		const windows = [
			{ usedPercent: 100, windowMinutes: 300, resetsAt: NOW + 2 * HOUR_MS },
			{ usedPercent: 100, windowMinutes: 10080, resetsAt: NOW + 3 * DAY_MS },
			{ usedPercent: 10, windowMinutes: 43200, resetsAt: NOW + 20 * DAY_MS },
		];
		expect(coolingOf({ ...limit, windows })).toMatchObject({ until: NOW + 3 * DAY_MS, guessed: false });
	});

	it("the end of a cooldown is the person's setting, marked as a guess, if the server gives none", () => {
		expect(coolingOf(limit)).toMatchObject({ until: NOW + HOUR_MS, guessed: true });
		expect(classify(limit, { ...context, cooldownMs: 5 * MINUTE_MS }).cooling).toMatchObject({
			until: NOW + 5 * MINUTE_MS,
		});
	});

	it.each([
		["past", NOW - 1],
		["now", NOW],
		["more than 366 days ahead", NOW + FURTHEST_RESET_MS + 1],
	])("ignores a reset that is %s", (_name, resetsAt) => {
		expect(coolingOf({ ...limit, resetsAt })).toMatchObject({ until: NOW + HOUR_MS, guessed: true });
	});

	it("is retry-after for a rate limit, else a minute", () => {
		expect(coolingOf({ status: 429, retryAfterMs: 20_000 })).toMatchObject({
			until: NOW + 20_000,
			reason: "rate_limit",
			guessed: false,
		});
		expect(coolingOf({ status: 429 })).toMatchObject({ until: NOW + MINUTE_MS, guessed: true });
	});

	it("the end of a cooldown is no word of when to come back: how long to hold back says nothing of a quota", () => {
		expect(coolingOf({ ...limit, retryAfterMs: 5000 })).toMatchObject({ until: NOW + HOUR_MS, guessed: true });
	});

	it("is an hour for a model that the plan leaves out, ten minutes for one that is not offered", () => {
		expect(coolingOf({ code: "usage_not_included", resetsAt: NOW + DAY_MS })).toMatchObject({
			scope: "model:gpt-5.5",
			until: NOW + HOUR_MS,
			guessed: false,
		});
		expect(coolingOf({ status: 404, message: "Model not found gpt-5.5" })).toMatchObject({
			scope: "model:gpt-5.5",
			until: NOW + 10 * MINUTE_MS,
		});
	});

	it("is of the metered limit alone if one was hit", () => {
		expect(coolingOf({ ...limit, limitId: "codex_bengalfox", resetsAt: NOW + DAY_MS })).toMatchObject({
			covers: "account",
			scope: "limit:codex_bengalfox",
			until: NOW + DAY_MS,
		});
	});

	describe("the end of a cooldown of a workspace", () => {
		const ofType = (type: string) => ({ ...limit, headers: { "x-codex-rate-limit-reached-type": type } });
		const owner = ofType("workspace_owner_credits_depleted");

		it("covers all seats if its owner's limit is reached, others a quarter of an hour at most", () => {
			expect(coolingOf(owner)).toMatchObject({
				covers: "workspace",
				until: NOW + HOUR_MS,
				seatsUntil: NOW + 15 * MINUTE_MS,
			});
		});

		it("covers the other seats as long as the server tells", () => {
			expect(coolingOf({ ...owner, resetsAt: NOW + DAY_MS })).toMatchObject({ seatsUntil: NOW + DAY_MS });
		});

		it("never lays one seat's windows on another", () => {
			const windows = [{ usedPercent: 100, windowMinutes: 10080, resetsAt: NOW + 3 * DAY_MS }];
			expect(coolingOf({ ...owner, windows, resetsAt: NOW + 3 * DAY_MS })).toMatchObject({
				until: NOW + 3 * DAY_MS,
				seatsUntil: NOW + 15 * MINUTE_MS,
			});
		});

		it("covers one seat if the limit is its own", () => {
			for (const type of ["workspace_member_usage_limit_reached", "workspace_member_credits_depleted"]) {
				expect(coolingOf(ofType(type))).toMatchObject({ covers: "account", reason: "workspace_limit" });
				expect(coolingOf({ status: 429, code: type })).toMatchObject({ covers: "account", reason: "workspace_limit" });
			}
		});
	});

	it("is an hour for a workspace that is switched off", () => {
		expect(coolingOf({ status: 402 })).toMatchObject({ scope: "account", until: NOW + HOUR_MS });
	});
});

describe("a refusal of the account itself", () => {
	it.each<[string, FailureEvidence]>([
		["a workspace that may not", { status: 403, code: "codex_workspace_access_denied" }],
		["a code that no row knows", { status: 403, code: "brand_new" }],
		["a 402 with a code that no row knows", { status: 402, code: "brand_new" }],
		["words alone", { message: "You do not have access to Codex." }],
		["a frame that names it", { code: "workspace_suspended_for_review", message: "no" }],
		["a host that could not read the token", { message: "Failed to extract accountId from token" }],
		["a host that failed before it sent anything", { message: "x is not a function", unsent: true }],
	])("is tried once elsewhere, and rests only if that serves: %s", (_name, evidence) => {
		expect(classify(evidence, context)).toMatchObject({
			remedy: "try-elsewhere-once",
			cooling: { reason: "refused", until: NOW + 10 * MINUTE_MS, ifAnotherServes: true },
		});
	});

	it("is a 401 that says why: no renewal helps", () => {
		const evidence = { status: 401, message: "Workspace is not authorized in this region." };
		expect(classify(evidence, context)).toMatchObject({
			remedy: "rotate",
			cooling: { reason: "unauthorized", until: NOW + HOUR_MS, ifAnotherServes: true },
		});
	});

	it("takes no end from the windows that come with it", () => {
		const windows = [{ usedPercent: 100, windowMinutes: 10080, resetsAt: NOW + 3 * DAY_MS }];
		expect(classify({ status: 401, windows }, context).cooling).toMatchObject({ until: NOW + HOUR_MS });
	});
});

describe("content that is refused", () => {
	it.each([
		"policy_violation",
		"content_filter",
		"content_filtered",
		"moderation_blocked",
		"safety_violation",
		"safety_check_failed",
		"safety_identifier_blocked",
		"prompt_flagged",
		"cyber_abuse",
		"bio_risk",
		"terms_violation",
		"inference_hook_denied",
	])("content that is refused moves no account: %s", (code) => {
		for (const status of [400, 401, 402, 403, 429, undefined]) {
			const evidence = { ...(status !== undefined && { status }), code, message: "The usage limit is reached" };
			expect(classify(evidence, context)).toMatchObject({ kind: "request", remedy: "surface", cooling: undefined });
		}
	});

	it.each([
		"This request was blocked by our safety system.",
		"Your request was rejected as a result of our safety system.",
		"Your prompt was flagged by our moderation system.",
		"Your prompt was flagged as potentially violating our usage policy.",
		"The response was filtered due to the prompt triggering our content management policy.",
		"We have limited access to this content for safety reasons.",
		"Your request violates our terms of use.",
		"The request may contain unsafe content.",
		"The request failed.\nIt violates the usage policies.",
	])("content that is refused in words moves no account: %s", (message) => {
		for (const status of [{}, { status: 401 }, { status: 403 }, { status: 429 }]) {
			const evidence = { ...status, message };
			expect(classify(evidence, context)).toMatchObject({ kind: "request", remedy: "surface", cooling: undefined });
		}
	});

	it("refused content is not what closes an account: an account that was suspended for it is disabled", () => {
		const message = "Your account has been suspended for violating our usage policies.";
		expect(classify({ status: 403, message }, context).remedy).toBe("close-account");
	});
});

describe("a token that is refused in words", () => {
	it.each([
		"Codex error: Provided authentication token is expired. Please try signing in again.",
		"Your access token has expired",
		"Your authentication token has been invalidated. Please try signing in again.",
		"Could not parse your authentication token",
		"Could not validate your access token. Please log in again.",
		"Encountered invalidated oauth token for user, failing request",
		"Your session has expired.",
		"Your authentication token has expired.",
	])("a token that is refused in words is renewed: %s", (message) => {
		expect(classify({ message }, context)).toMatchObject({ kind: "unauthorized", remedy: "refresh-or-rotate" });
	});
});

describe("an account that is refused in words", () => {
	it.each([
		["unauthorized", "Authentication required"],
		["unauthorized", "Not authenticated"],
		["unauthorized", "Invalid authentication credentials"],
		["unauthorized", "Invalid bearer token"],
		["unauthorized", "Missing bearer authentication in header"],
		["unauthorized", "Incorrect API key provided: eyJh"],
		["unauthorized", "The token is no longer valid"],
		["unauthorized", "Unauthorized: the session was closed"],
		["overloaded", "Our servers are currently overloaded. Please try again later."],
		["overloaded", "The server had an error while processing your request."],
		["overloaded", "This model is temporarily unavailable."],
		["account-refused", "This workspace has been disabled."],
		["account-refused", "deactivated_workspace"],
		["account-refused", "Forbidden"],
		["connection", "Request timed out."],
		["connection", "write EPIPE"],
		["connection", "connection closed"],
		["connection", "connect ECONNREFUSED 127.0.0.1:443"],
		["usage-limit", "Your monthly budget has been reached."],
		["unauthorized", "Access token is missing"],
		["unauthorized", "jwt expired"],
		["unauthorized", "Could not parse your authentication token. Please try signing in again."],
		["account-refused", "You have insufficient permissions for this operation. Missing scopes: api.write"],
		["account-refused", "Your OpenAI account has been deactivated, please check your email for more information."],
		["overloaded", "An error occurred while processing your request. You can retry your request, or contact us."],
		["usage-limit", "You exceeded your current quota, please check your plan and billing details."],
		["usage-limit", "You have reached your individual limit for this month."],
		["unauthorized", "Your session has ended. Please log in again."],
		["not-included", "To use Codex with your ChatGPT plan, upgrade to Plus: https://chatgpt.com/explore/plus."],
		["connection", "read ECONNRESET"],
		["request", "This content was flagged for possible cybersecurity risk."],
		["request", "This request violates the cyber policy."],
		["barred", "Workspace is not authorized in this region."],
		["connection", "Codex WebSocket stream ended before a terminal response event"],
		["request", "The request violates our usage policies."],
		["region", "Country not supported"],
		["model-not-supported", "Project does not have access to model gpt-6"],
		["model-not-supported", "Model gpt-6 not found"],
		["account-refused", "Forbidden: workspace"],
		["account-refused", "permission denied"],
		["account-refused", "You have insufficient permissions for this operation. Missing scopes: api.responses.write"],
		["account-refused", "You must be a member of an organization to use the API"],
		["account-refused", "Your account is not active, please check your billing details on our website."],
		["account-refused", "Your subscription has expired."],
		["account-refused", "Your subscription was cancelled."],
		["account-refused", "You no longer have access to this workspace"],
		["account-refused", "Your account has been banned"],
		["account-refused", "This workspace is blocked"],
		["account-refused", "Codex is disabled for your workspace"],
		["account-refused", "Codex is not enabled for this workspace"],
		["account-refused", "Codex is not available on your plan"],
		["account-refused", "Your plan does not include Codex"],
		["account-refused", "Your account has been suspended for violating our usage policies."],
		["usage-limit", "Five-hour limit reached"],
		["usage-limit", "Your weekly quota is used up"],
		["usage-limit", "Quota exhausted"],
		["usage-limit", "Not enough quota"],
		["rate-limit", "429"],
		["rate-limit", "HTTP 429"],
		["rate-limit", "You are being rate limited"],
		["rate-limit", "Too many concurrent requests"],
		["region", "OpenAI's services are not available in your country."],
		["overloaded", "The model is at full capacity"],
		["overloaded", "The usage system is temporarily unavailable"],
		[
			"connection-lost-state",
			"Responses websocket connection limit reached (60 minutes). Create a new websocket connection to continue.",
		],
		["usage-limit", "Billing hard limit has been reached"],
		["usage-limit", "Weekly limit reached"],
		["usage-limit", "5-hour limit reached"],
		["usage-limit", "No credits remaining"],
		["usage-limit", "You've reached your workspace's usage cap"],
		["overloaded", "bad gateway"],
		["overloaded", "The server is too busy"],
		["overloaded", "529"],
		["overloaded", "HTTP 520"],
	])("an account that is refused in words is found: %s by %s", (kind, words) => {
		for (const message of [words, `Codex error: ${words}`])
			expect([message, kindOf({ message })]).toEqual([message, kind]);
	});

	it.each([
		"The image could not be authenticated by its signature block",
		"Item 529 of the input is not valid",
		"Forbidden content in the prompt",
		"The number of members must be a member of the list",
		"This tool has a hard limits section",
		"The file limit is 5 hours",
		"The page is busy",
		"Item 429 of the input is not valid",
		"The disk is at half capacity",
		"The connection limit of the page was reached",
		"The token quota of the prompt",
		"EDQUOT: disk quota exceeded, write",
		"The model asked for a tool that was not found",
	])("an account that is refused in words is no account for %s", (words) => {
		for (const status of [{}, { status: 400 }]) {
			expect(classify({ ...status, message: words }, context)).toMatchObject({ kind: "other", cooling: undefined });
		}
	});
});

describe("a reset that the refusal did not tell", () => {
	const guess = (scope: CooldownScope = "account"): Cooling => ({
		covers: "account",
		scope,
		reason: "usage_limit",
		until: NOW + HOUR_MS,
		guessed: true,
	});
	const spent = { usedPercent: 100, windowMinutes: 10080, resetsAt: NOW + 3 * DAY_MS };
	const fullest = { usedPercent: 97, windowMinutes: 300, resetsAt: NOW + 2 * HOUR_MS };
	const free = { usedPercent: 10, windowMinutes: 10080, resetsAt: NOW + 5 * DAY_MS };

	it.each<[string, UsageWindow[], number]>([
		["of the spent window", [fullest, spent], NOW + 3 * DAY_MS],
		["of the fullest window where none is spent", [free, fullest], NOW + 2 * HOUR_MS],
	])("a reset that the refusal did not tell is known: that %s", (_name, windows, until) => {
		expect(withKnownReset(guess(), aSnapshot({ windows }), NOW)).toMatchObject({ until, guessed: false });
	});

	it("a reset that the refusal did not tell stays a guess for a window without one, and for a workspace", () => {
		const endless = { ...spent, resetsAt: undefined };
		expect(withKnownReset(guess(), aSnapshot({ windows: [endless, fullest] }), NOW)).toEqual(guess());
		const ofWorkspace = { ...guess(), reason: "workspace_limit" as const };
		expect(withKnownReset(ofWorkspace, aSnapshot({ windows: [free, fullest] }), NOW)).toEqual(ofWorkspace);
		expect(withKnownReset(ofWorkspace, aSnapshot({ windows: [spent] }), NOW).until).toBe(NOW + 3 * DAY_MS);
	});

	it("stays a guess if no window tells one", () => {
		const past = { ...spent, resetsAt: NOW - 1 };
		const windows = [past, { ...free, resetsAt: undefined }, { ...free, resetsAt: NOW + 400 * DAY_MS }];
		expect(withKnownReset(guess(), aSnapshot({ windows }), NOW)).toEqual(guess());
		expect(withKnownReset(guess(), undefined, NOW)).toEqual(guess());
	});

	it("a reset that the refusal did not tell is that of its own limit", () => {
		const limits = { codex_x: { windows: [fullest] } };
		const usage = aSnapshot({ windows: [spent], limits });
		expect(withKnownReset(guess("limit:codex_x"), usage, NOW).until).toBe(NOW + 2 * HOUR_MS);
		expect(withKnownReset(guess("limit:constructor"), usage, NOW)).toEqual(guess("limit:constructor"));
	});

	it("a reset that the refusal did not tell is not looked for if the refusal told one, or is of no quota", () => {
		const usage = aSnapshot({ windows: [spent] });
		for (const cooling of [
			{ ...guess(), guessed: false },
			{ ...guess(), reason: "rate_limit" as const },
		]) {
			expect(withKnownReset(cooling, usage, NOW)).toEqual(cooling);
		}
	});
});

describe("a header that names the type of a limit", () => {
	const types = ["rate_limit_reached", "workspace_owner_credits_depleted", "workspace_member_usage_limit_reached"];
	const withType = (type: string) => ({ headers: { "x-codex-rate-limit-reached-type": type } });

	it.each<[string, FailureEvidence, string]>([
		["a broken stream", { message: "terminated" }, "other"],
		["content that is refused", { message: "This content was flagged for possible cybersecurity risk." }, "request"],
		["a full context", { message: "Your input exceeds the context window of this model." }, "request"],
		["a busy model", { message: "Selected model is at capacity." }, "overloaded"],
		["a wrong request", { status: 400, code: "invalid_value" }, "other"],
		["an old token", { status: 401, message: "Unauthorized" }, "unauthorized"],
	])("makes no limit of %s", (_what, evidence, kind) => {
		for (const type of types) expect(kindOf({ ...evidence, ...withType(type) })).toBe(kind);
	});

	it.each<[string, FailureEvidence]>([
		["status", { status: 429 }],
		["code", { code: "usage_limit_reached" }],
		["words", { message: "The usage limit has been reached" }],
	])("says which limit a refusal for want of quota is about, which is known by its %s", (_what, evidence) => {
		const kinds = types.map((type) => kindOf({ ...evidence, ...withType(type) }));
		expect(kinds).toEqual(["usage-limit", "workspace-limit", "member-limit"]);
	});
});

describe("several codes of one refusal", () => {
	it.each<[string, string[], string | undefined]>([
		["a policy wins", ["rate_limit_exceeded", "cyber_policy"], "cyber_policy"],
		["a policy that no row lists wins", ["rate_limit_exceeded", "cyber_abuse"], "cyber_abuse"],
		["a known one wins", ["brand_new", "token_expired"], "token_expired"],
		["else the first counts", ["brand_new", "newer_still"], "brand_new"],
		["none is none", [], undefined],
	])("%s", (_name, codes, expected) => {
		expect(tellingCode(codes)).toBe(expected);
	});
});

describe("arbitrary evidence", () => {
	const anyNumber = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(0, -1, Number.NaN, Number.POSITIVE_INFINITY));
	const aWindow = fc.record(
		{ usedPercent: anyNumber, windowMinutes: anyNumber, resetsAt: anyNumber },
		{ requiredKeys: ["usedPercent", "windowMinutes"] },
	);
	const knownCodes = RULES.flatMap(({ signs }) => signs.flatMap(({ codes }) => codes ?? []));
	const evidence = fc.record(
		{
			status: fc.oneof(fc.constantFrom(400, 401, 402, 403, 404, 429, 500, 503), anyNumber),
			code: fc.oneof(fc.constantFrom(...knownCodes), fc.string()),
			message: fc.oneof(fc.constantFrom("usage limit", "model not found", "<html>"), fc.string({ unit: anyCharacter })),
			headers: fc.dictionary(fc.oneof(fc.constant("cf-mitigated"), fc.string()), fc.string()),
			html: fc.boolean(),
			resetsAt: anyNumber,
			retryAfterMs: anyNumber,
			windows: fc.array(aWindow),
			limitId: fc.string(),
		},
		{ requiredKeys: [] },
	);
	const remedies = new Set([...RULES.map(({ remedy }) => remedy), "surface"]);

	it("never throws, and always ends in a known remedy", () => {
		fc.assert(
			fc.property(evidence, (each) => {
				const failure = classify(each, context);
				expect(remedies.has(failure.remedy)).toBe(true);
				expect(failure.kind === "other" || RULES.some(({ name }) => name === failure.kind)).toBe(true);
			}),
			runs(80, 3000),
		);
	});

	it("never cools for longer than 366 days, nor into the past", () => {
		fc.assert(
			fc.property(evidence, (each) => {
				const { cooling } = classify(each, context);
				if (!cooling) return;
				expect(cooling.until).toBeGreaterThanOrEqual(NOW);
				expect(cooling.until - NOW).toBeLessThanOrEqual(FURTHEST_RESET_MS);
			}),
			runs(80, 3000),
		);
	});

	it("lets a code win over any words, and words over any status", () => {
		const ofCode = RULES.flatMap(({ signs }) => signs.flatMap(({ codes }) => codes ?? []));
		const words = RULES.flatMap(({ samples }) => samples.flatMap((sample) => sample.message ?? []));
		fc.assert(
			fc.property(fc.constantFrom(...ofCode), fc.constantFrom(...words), fc.integer(), (code, said, status) => {
				const isServers = status === 408 || (status >= 500 && status < 600);
				expect(kindOf({ code, message: said, ...(!isServers && { status }) })).toBe(kindOf({ code }));
			}),
		);
	});

	it("is judged alike whatever else a body holds", () => {
		const body = fc.record({ code: fc.constantFrom(...knownCodes), message: fc.string() });
		const names = fc
			.string()
			.filter((name) => !/^(error|detail|details|errors|response|code|type|msg|message)$/.test(name));
		const others = fc.dictionary(names, fc.jsonValue());
		fc.assert(
			fc.property(body, others, fc.constantFrom(401, 403, 429), (error, more, status) => {
				const bare = evidenceFromBody(JSON.stringify({ error }), NOW);
				const full = evidenceFromBody(JSON.stringify({ ...more, error: { ...more, ...error } }), NOW);
				expect(kindOf({ ...full, status })).toBe(kindOf({ ...bare, status }));
			}),
		);
	});

	it("is harmless in any JSON, prototypes included", () => {
		fc.assert(
			fc.property(fc.json(), fc.jsonValue(), (text, value) => {
				for (const body of [text, JSON.stringify({ error: value }), JSON.stringify({ detail: [value] })]) {
					const read = evidenceFromBody(body, NOW);
					expect(remedies.has(classify(read, context).remedy)).toBe(true);
				}
			}),
			runs(50, 1500),
		);
		const hostile = '{"__proto__":{"code":"usage_limit_reached"},"error":{"__proto__":{"message":"usage limit"}}}';
		expect(evidenceFromBody(hostile, NOW)).toEqual({});
	});

	it("gives the same answer each time", () => {
		fc.assert(
			fc.property(evidence, (each) => {
				expect(classify(each, context)).toEqual(classify(each, context));
			}),
		);
	});
});
