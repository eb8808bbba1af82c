import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { classify } from "../../../../src/core/request/classify.ts";
import {
	evidenceFromBody,
	evidenceFromHeaders,
	evidenceFromMessage,
	together,
} from "../../../../src/core/request/evidence.ts";
import type { FailureEvidence } from "../../../../src/core/request/failure-rules.ts";
import { anyCharacter } from "../../../support/arbitraries.ts";
import { HOUR_MS, NOW } from "../../../support/fakes.ts";
import { isLinear } from "../../../support/growth.ts";
import { runs } from "../../../support/tiers.ts";

const RESETS_AT = NOW + HOUR_MS;
const REUSED = {
	message: "Your authentication token has been invalidated. Please try signing in again.",
	type: "invalid_request_error",
	code: "token_invalidated",
	param: null,
};
const PAGE = "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>";

type Shape = readonly [name: string, status: number, body: unknown, evidence: FailureEvidence, kind: string];
const told = (name: string, status: number, kind: string, message: string, code?: string): Shape => {
	const error = { ...(code && { code }), message };
	return [name, status, { error }, error, kind];
};
const detailed = (name: string, status: number, kind: string, message: string): Shape => {
	return [name, status, { detail: message }, { message }, kind];
};

/** Every shape of codex-backend.md 5.1: status, body, what it is read as, and the row it leads to. */
const SHAPES: readonly Shape[] = [
	[
		"a usage limit with its reset",
		429,
		{
			error: {
				type: "usage_limit_reached",
				message: "The usage limit has been reached",
				plan_type: "team",
				resets_at: RESETS_AT / 1000,
				eligible_promo: null,
				resets_in_seconds: 3600,
			},
		},
		{ code: "usage_limit_reached", message: "The usage limit has been reached", resetsAt: RESETS_AT },
		"usage-limit",
	],
	[
		"a usage limit that tells only how long",
		429,
		{ error: { type: "usage_limit_reached", message: "The usage limit has been reached", resets_in_seconds: 3600 } },
		{ code: "usage_limit_reached", message: "The usage limit has been reached", resetsAt: RESETS_AT },
		"usage-limit",
	],
	[
		"no use for this plan",
		429,
		{ error: { type: "usage_not_included", message: "To use Codex, upgrade to Plus." } },
		{ code: "usage_not_included", message: "To use Codex, upgrade to Plus." },
		"not-included",
	],
	[
		"a short burst",
		429,
		{
			error: {
				code: "rate_limit_exceeded",
				type: "requests",
				message: "Rate limit reached. Please try again in 1.2s.",
			},
		},
		{ code: "rate_limit_exceeded", message: "Rate limit reached. Please try again in 1.2s.", retryAfterMs: 1200 },
		"rate-limit",
	],
	["a 429 that says nothing", 429, {}, {}, "rate-limit"],
	["a 429 of plain text", 429, "slow down", { message: "slow down" }, "rate-limit"],
	[
		"an invalidated token",
		401,
		{ error: REUSED, status: 401 },
		{ status: 401, code: "token_invalidated", message: REUSED.message },
		"unauthorized",
	],
	["an unauthorized detail", 401, { detail: "Unauthorized" }, { message: "Unauthorized" }, "unauthorized"],
	told(
		"a revoked token",
		401,
		"unauthorized",
		"Encountered invalidated oauth token for user, failing request",
		"token_revoked",
	),
	told(
		"a session that has ended",
		401,
		"unauthorized",
		"Your session has ended. Please log in again.",
		"app_session_terminated",
	),
	told(
		"a deactivated account",
		401,
		"account-closed",
		"Your OpenAI account has been deactivated.",
		"account_deactivated",
	),
	[
		"a deactivated workspace",
		402,
		{ detail: { code: "deactivated_workspace" } },
		{ code: "deactivated_workspace" },
		"workspace-disabled",
	],
	["a challenge of Cloudflare", 403, PAGE, { message: PAGE, html: true }, "cloudflare"],
	[
		"a region without Codex",
		403,
		{
			error: {
				code: "unsupported_country_region_territory",
				message: "Country, region, or territory not supported",
				param: null,
				type: "request_forbidden",
			},
		},
		{ code: "unsupported_country_region_territory", message: "Country, region, or territory not supported" },
		"region",
	],
	told("a disabled workspace", 403, "workspace-disabled", "This workspace has been disabled.", "workspace_disabled"),
	detailed(
		"a disabled organization, by words alone",
		403,
		"workspace-disabled",
		"Your organization has been disabled.",
	),
	detailed(
		"a model that ChatGPT accounts may not use",
		400,
		"model-not-supported",
		"The 'gpt-6' model is not supported when using Codex with a ChatGPT account.",
	),
	told(
		"the same, nested",
		400,
		"model-not-supported",
		"The 'gpt-6' model is not supported when using Codex with a ChatGPT account.",
	),
	told("the same, with a code", 400, "model-not-supported", "no", "model_not_supported_with_chatgpt_account"),
	detailed(
		"a model that wants a newer Codex",
		400,
		"request",
		"The 'gpt-6' model requires a newer version of Codex. Please upgrade.",
	),
	detailed(
		"a model that is not there for responses-lite",
		400,
		"model-not-supported",
		"This model is not supported when using X-OpenAI-Internal-Codex-Responses-Lite.",
	),
	[
		"refused reasoning",
		400,
		{
			error: {
				...REUSED,
				code: "invalid_encrypted_content",
				message: "The encrypted content gA= could not be verified.",
			},
		},
		{ code: "invalid_encrypted_content", message: "The encrypted content gA= could not be verified." },
		"reasoning-refused",
	],
	told(
		"a lost response",
		400,
		"connection-lost-state",
		"Previous response with id 'r' not found.",
		"previous_response_not_found",
	),
	told("too long an input", 400, "request", "Your input exceeds the context window.", "context_length_exceeded"),
	told("a bad value", 400, "other", "image_url", "invalid_value"),
	told("a policy", 400, "request", "no", "cyber_policy"),
	[
		"a model that was not found",
		404,
		{ error: { ...REUSED, code: null, message: "Model not found gpt-6" } },
		{ message: "Model not found gpt-6" },
		"model-not-supported",
	],
	told("an overload", 503, "overloaded", "Our servers are currently overloaded.", "server_is_overloaded"),
	["a request to slow down", 503, { error: { code: "slow_down" } }, { code: "slow_down" }, "overloaded"],
	told("a capacity", 503, "overloaded", "Selected model is at capacity"),
	[
		"an error of the server",
		500,
		{ error: { type: "server_error", code: null, message: "oops" } },
		{ code: "server_error", message: "oops" },
		"overloaded",
	],
];

describe("the body of a refusal", () => {
	it.each(SHAPES)("the body of a refusal that is %s (%i)", (_name, status, body, expected, kind) => {
		const evidence = evidenceFromBody(typeof body === "string" ? body : JSON.stringify(body), NOW);
		expect(evidence).toEqual(expected);
		const context = { now: NOW, modelId: "gpt-6", cooldownMs: HOUR_MS };
		expect(classify({ ...evidence, status }, context).kind).toBe(kind);
	});

	it.each([
		["an error that is a text", { error: "invalid_grant", message: "no" }, { code: "invalid_grant", message: "no" }],
		[
			"an error that is a text alone",
			{ error: "quota_exceeded" },
			{ code: "quota_exceeded", message: "quota_exceeded" },
		],
		[
			"a flat event",
			{ type: "error", code: "usage_limit_reached", message: "m" },
			{ code: "usage_limit_reached", message: "m" },
		],
		["a code in capitals", { error: { code: " Usage_Limit_Reached " } }, { code: "usage_limit_reached" }],
		[
			"a generic code beside a type that tells more",
			{ error: { code: "api_error", type: "slow_down" } },
			{ code: "slow_down" },
		],
		["nothing but generic words", { error: { code: "error", type: "invalid_request_error" } }, {}],
		[
			"fields of other kinds",
			{ error: { code: 5, type: [], message: {}, resets_at: "soon", resets_in_seconds: null } },
			{},
		],
		["a detail that is a list", { detail: [{ loc: ["body"], msg: "field required" }] }, { message: "field required" }],
		["an error in an error", { error: { error: { code: "token_expired" } } }, { code: "token_expired" }],
		[
			"a code beside details that tell more",
			{ error: { code: "forbidden", details: [{ code: "cyber_policy" }] } },
			{ code: "cyber_policy" },
		],
		[
			"a policy as its type",
			{ error: { code: "rate_limit_exceeded", type: "content_policy_violation" } },
			{ code: "content_policy_violation" },
		],
		["a message in its detail", { detail: { message: "no", code: 5 } }, { message: "no" }],
		["a list of errors", [{ code: "slow_down", message: "m" }], { code: "slow_down", message: "m" }],
		["a status as text", { status: "403", error: { code: "x_y" } }, { status: 403, code: "x_y" }],
		["a status that is none", { status: 7, error: { code: "x_y" } }, { code: "x_y" }],
		[
			"a failed response",
			{ type: "response.failed", response: { error: { code: "cyber_policy", message: "m" } } },
			{ code: "cyber_policy", message: "m" },
		],
		["a reset as text", { error: { resets_in_seconds: "3600" } }, { resetsAt: NOW + HOUR_MS }],
		[
			"a reset that is past",
			{ error: { resets_at: NOW / 1000 - 5, resets_in_seconds: 60 } },
			{ resetsAt: NOW + 60_000 },
		],
		["a reset in another year but one", { error: { resets_at: NOW / 1000 + 400 * 86_400 } }, {}],
		["a reset in milliseconds", { error: { resets_at: NOW + HOUR_MS } }, { resetsAt: RESETS_AT }],
		["a negative length", { error: { resets_in_seconds: -5 } }, {}],
		["too long a length", { error: { resets_in_seconds: 1e300 } }, {}],
		[
			"zero seconds",
			{ error: { type: "usage_limit_reached", resets_at: 0, resets_in_seconds: 0 } },
			{ code: "usage_limit_reached" },
		],
		["a reset as a date", { detail: { resets_at: new Date(RESETS_AT).toISOString() } }, { resetsAt: RESETS_AT }],
		["a reset as usage calls it", { error: { reset_at: RESETS_AT / 1000 } }, { resetsAt: RESETS_AT }],
		["a length as usage calls it", { error: { reset_after_seconds: 3600 } }, { resetsAt: RESETS_AT }],
		["a length in words", { error: { resets_at: "soon", resets_in_seconds: "1h" } }, {}],
		["a date too far ahead to be true", { error: { resets_at: "2099-01-01T00:00:00Z" } }, {}],
	])("the body of a refusal may have %s", (_name, body, expected) => {
		expect(evidenceFromBody(JSON.stringify(body), NOW)).toEqual(expected);
	});

	it.each(["null", "5", "[]", '"text"', "", "{", PAGE])("the body of a refusal may be anything: %j", (body) => {
		expect(() => evidenceFromBody(body, NOW)).not.toThrow();
		expect(evidenceFromBody(body, NOW).code).toBeUndefined();
	});

	it("is read to a bounded depth, however deep it is", () => {
		const nested = (depth: number) => `${'{"error":'.repeat(depth)}{"code":"usage_limit_reached"}${"}".repeat(depth)}`;
		expect(evidenceFromBody(nested(4), NOW).code).toBe("usage_limit_reached");
		expect(evidenceFromBody(nested(5), NOW).code).toBeUndefined();
		expect(evidenceFromBody(nested(5000), NOW)).toEqual({});
	});

	it("is a page of HTML if it begins as one", () => {
		expect(evidenceFromBody(`\n ${PAGE}`, NOW).html).toBe(true);
		expect(evidenceFromBody("5 < 6", NOW).html).toBeUndefined();
	});

	it("never throws", () => {
		fc.assert(
			fc.property(fc.oneof(fc.string({ unit: anyCharacter }), fc.json()), (body) => {
				expect(evidenceFromBody(body, NOW)).toBeTypeOf("object");
				expect(evidenceFromMessage(`Codex error: ${body}`, NOW)).toBeTypeOf("object");
			}),
			runs(40, 1000),
		);
	});
});

describe("the words of an error event", () => {
	const frame = {
		type: "error",
		status: 429,
		error: { type: "usage_limit_reached", message: "The usage limit has been reached", resets_in_seconds: 3600 },
		headers: { "X-Codex-Primary-Used-Percent": "100", "X-Codex-Primary-Window-Minutes": 300 },
	};

	it("may quote a frame with headers that are no text: those are left out", () => {
		const frame = {
			type: "error",
			status: 429,
			headers: { "X-A": { toString: 1, valueOf: 1 }, "X-B": 1, "X-C": null },
		};
		expect(evidenceFromMessage(`Codex error: ${JSON.stringify(frame)}`, NOW).headers).toEqual({ "x-b": "1" });
	});

	it("may quote a whole frame, as 0.73.1 does: status, code, reset and headers are in it", () => {
		expect(evidenceFromMessage(`Codex error: ${JSON.stringify(frame)}`, NOW)).toEqual({
			status: 429,
			code: "usage_limit_reached",
			message: "The usage limit has been reached",
			resetsAt: RESETS_AT,
			headers: { "x-codex-primary-used-percent": "100", "x-codex-primary-window-minutes": "300" },
		});
	});

	it("may quote a frame over several lines, or with status_code", () => {
		const { status, ...rest } = frame;
		const text = `Codex error: ${JSON.stringify({ ...rest, status_code: status }, undefined, 2)}`;
		expect(evidenceFromMessage(text, NOW)).toMatchObject({ status: 429, code: "usage_limit_reached" });
	});

	it("may be of a frame that is cut off: then they are words", () => {
		const text = 'Codex error: {"type":"error","message":"usage limit"';
		expect(evidenceFromMessage(text, NOW)).toEqual({ message: text });
	});

	it.each<[string, FailureEvidence]>([
		["Codex error: codex_workspace_access_denied", { code: "codex_workspace_access_denied" }],
		["rate_limit_exceeded: slow down", { code: "rate_limit_exceeded" }],
		["Error Code token_expired: no", { code: "token_expired" }],
		['{"detail":{"code":"invalid_workspace_selected"}}', { code: "invalid_workspace_selected" }],
		[
			'Codex error: {"type":"error","status":"401","error":{"code":"token_expired"}}',
			{ status: 401, code: "token_expired" },
		],
	])("words of an error event name a code: %s", (words, expected) => {
		expect(evidenceFromMessage(words, NOW)).toEqual({ message: words, ...expected });
	});

	it("words of an error event are no code if they are a sentence", () => {
		expect(evidenceFromMessage("Failed to fetch: rate_limit_exceeded", NOW).code).toBeUndefined();
	});

	it("words of an error event are no frame anywhere else in a text", () => {
		const text = `He said: Codex error: ${JSON.stringify(frame)}`;
		expect(evidenceFromMessage(text, NOW)).toEqual({ message: text });
	});

	it.each([
		["Please try again in 1.2s.", 1200],
		["Please try again in 350ms.", 350],
		["Please try again in 20 seconds.", 20_000],
		["try again in 1 second", 1000],
		["Try again in 7 milliseconds", 7],
		["Try again in ~60 min.", undefined],
		["Try again in 5 minutes", 300_000],
		["Please try again in 1m20s.", 80_000],
		["Please try again in 1m2.639999999999s. Visit the limits page.", 62_639.999999999],
		["Please try again in 2h3m", 7_380_000],
		["Please try again in 6m0s", 360_000],
		["try again in 1 minute 30 seconds", 90_000],
		["Please try again in 5 min", 300_000],
		["Try again in 2 days", 172_800_000],
		["try again in 1d2h", 93_600_000],
		["Retry after 10 secs.", 10_000],
		["Please retry after 20 seconds", 20_000],
		["Try again in 9000000h", undefined],
		["Try again in 3 months", undefined],
		["Try again in 2 sunny days", undefined],
		["Try again later", undefined],
	])("words of an error event tell how long to wait: %s", (words, retryAfterMs) => {
		expect(evidenceFromMessage(words, NOW).retryAfterMs).toBe(retryAfterMs);
	});
});

describe("the headers of a refusal", () => {
	it.each<[string, Record<string, string>, number | undefined]>([
		["in seconds", { "retry-after": "20" }, 20_000],
		["in fractions of a second", { "retry-after": "0.5" }, 500],
		["in milliseconds, which win", { "retry-after-ms": "1500", "retry-after": "20" }, 1500],
		["in broken milliseconds beside seconds", { "retry-after-ms": "soon", "retry-after": "20" }, 20_000],
		["in no milliseconds beside seconds", { "retry-after-ms": "", "retry-after": "30" }, 30_000],
		["not at all", {}, undefined],
		["as nonsense", { "retry-after": "soon" }, undefined],
		["as a date", { "retry-after": new Date(NOW + 20_000).toUTCString() }, 20_000],
		["as a date in the past", { "retry-after": new Date(NOW - 20_000).toUTCString() }, 0],
		["as nothing", { "retry-after": "" }, undefined],
		["as a date of ISO 8601", { "retry-after": new Date(NOW + 20_000).toISOString() }, 20_000],
		["as less than nothing", { "retry-after": "-5" }, undefined],
	])("the headers of a refusal tell how long to wait: %s", (_name, headers, retryAfterMs) => {
		expect(evidenceFromHeaders(headers, NOW).retryAfterMs).toBe(retryAfterMs);
	});

	it("the headers of a refusal tell of a page of HTML", () => {
		expect(evidenceFromHeaders({ "content-type": "text/html; charset=UTF-8" }, NOW).html).toBe(true);
		expect(evidenceFromHeaders({ "content-type": "application/json" }, NOW).html).toBe(false);
		expect(evidenceFromHeaders({}, NOW).html).toBe(false);
	});

	it("hide a code in base64", () => {
		const hidden = (value: string) => ({ "x-error-json": Buffer.from(value).toString("base64") });
		expect(evidenceFromHeaders(hidden('{"error":{"code":"token_expired"}}'), NOW).code).toBe("token_expired");
		expect(evidenceFromHeaders(hidden("nonsense"), NOW).code).toBeUndefined();
		expect(evidenceFromHeaders({ "x-error-json": "%%%" }, NOW).code).toBeUndefined();
	});

	it("hide a code in base64 that is written for URLs, without padding, with letters beyond ASCII", () => {
		const json = '{"error":{"code":"token_expired","message":"ü>>>???"}}';
		const encoded = Buffer.from(json).toString("base64url");
		expect(encoded).toMatch(/[-_]/);
		expect(evidenceFromHeaders({ "x-error-json": encoded }, NOW)).toMatchObject({ message: "ü>>>???" });
	});

	it("hide JSON as it is, a sentence, or the cause of a refused authorization", () => {
		const json = '{"error":{"code":"workspace_moved","message":"It has moved."}}';
		expect(evidenceFromHeaders({ "x-error-json": json }, NOW)).toMatchObject({
			code: "workspace_moved",
			message: "It has moved.",
		});
		const told = (cause: string) => evidenceFromHeaders({ "x-openai-authorization-error": cause }, NOW);
		expect(told("Workspace_Not_In_Region")).toMatchObject({ code: "workspace_not_in_region" });
		expect(told("Not in this region").message).toBe("Not in this region");
		expect(told("Not in this region").code).toBeUndefined();
	});

	it.each<[string, FailureEvidence, FailureEvidence, FailureEvidence]>([
		["its body's words count", { message: "header" }, { message: "body" }, { message: "body" }],
		["but for a mere status", { message: "It has moved." }, { message: "Unauthorized" }, { message: "It has moved." }],
		["a mere status is better than none", {}, { message: "Unauthorized" }, { message: "Unauthorized" }],
		["the code that is known counts", { code: "token_expired" }, { code: "new" }, { code: "token_expired" }],
		["else its body's", { code: "newer" }, { code: "new" }, { code: "new" }],
		["the rest is of both", { retryAfterMs: 5 }, { resetsAt: 7 }, { retryAfterMs: 5, resetsAt: 7 }],
	])("the headers of a refusal stand beside the body: %s", (_name, headers, body, expected) => {
		expect(together(headers, body)).toEqual(expected);
	});
});

describe("adversarial words", () => {
	it.each(["try again in 1", "try again in 1.", "1", "Codex error: {", "}", "{", "[", " ", "<", '{"error":'])(
		"adversarial words are read in time by their length, not by its square: %j over and over",
		(piece) => {
			const work = (text: string) => {
				for (const words of [text, `Codex error: {${text}`, `try again in ${text}`]) evidenceFromMessage(words, NOW);
				evidenceFromBody(text, NOW);
				evidenceFromHeaders({ "retry-after": text, "x-error-json": text }, NOW);
			};
			expect(isLinear(work, piece)).toBe(true);
		},
	);
});
