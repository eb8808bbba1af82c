import { describe, expect, it } from "vitest";
import {
	isIncludedSpent,
	isReserveUnknown,
	onReserveModel,
	openReserveModel,
	reserveClosedBy,
	reserveLeft,
	standInFor,
} from "../../../../src/core/beyond/reserve-model.ts";
import type { Cooldown } from "../../../../src/core/cooldown.ts";
import type { AccountStatus } from "../../../../src/core/ports.ts";
import { classify } from "../../../../src/core/request/classify.ts";
import type { FailureEvidence } from "../../../../src/core/request/failure-rules.ts";
import type { ReserveModel } from "../../../../src/core/usage.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { MODEL } from "../../harness.ts";
import { aMessage } from "../../streams.ts";

const week = (usedPercent: number) => ({ usedPercent, windowMinutes: 10_080, resetsAt: NOW + 3 * DAY_MS });
const LUNA: ReserveModel = {
	limitId: "base_model_inference",
	wireModel: "gpt-reserve",
	visibleModel: "gpt-6-luna",
	windows: [week(60)],
};
const SCOPE = "limit:base_model_inference";

const opened = (
	reserveModel: ReserveModel | undefined,
	cooldowns: readonly Cooldown[] = [aCooldown()],
	overrides = {},
) => openReserveModel(anAccount("a", overrides), { cooldowns, usage: aSnapshot({ reserveModel }) }, NOW);

describe("a reserve model", () => {
	it.each<[string, readonly Cooldown[]]>([
		["its account is out of quota", [aCooldown()]],
		["the workspace of its account is out of quota", [aCooldown({ reason: "workspace_limit" })]],
		["another limit of its account is spent", [aCooldown(), aCooldown({ scope: "limit:spark" })]],
		["it was closed, and that is over", [aCooldown(), aCooldown({ scope: SCOPE, until: NOW - 1 })]],
	])("a reserve model can serve while %s", (_name, cooldowns) => {
		expect(opened(LUNA, cooldowns)).toBe(LUNA);
	});

	it.each<[string, readonly Cooldown[]]>([
		["it was refused", [aCooldown(), aCooldown({ scope: SCOPE, reason: "model_not_supported" })]],
		["its account was refused", [aCooldown({ reason: "refused" })]],
		["its account is asked to slow down", [aCooldown({ reason: "rate_limit" })]],
		["the sign-in of its account was refused", [aCooldown({ reason: "unauthorized" })]],
		["its account's workspace is disabled", [aCooldown(), aCooldown({ reason: "workspace_disabled" })]],
		["the included quota is there, and only a limit of one model is spent", [aCooldown({ scope: "limit:spark" })]],
	])("a reserve model cannot serve while %s", (_name, cooldowns) => {
		expect(opened(LUNA, cooldowns)).toBeUndefined();
	});

	it.each<[string, ReserveModel | undefined, object]>([
		["there is none", undefined, {}],
		["it is used up", { ...LUNA, windows: [week(100)] }, {}],
		["the server says that it is used up", { ...LUNA, isReached: true }, {}],
		["nothing tells which model it stands for", { ...LUNA, visibleModel: "" }, {}],
		["its account is off", LUNA, { enabled: false }],
		["its account has to sign in again", LUNA, { needsLogin: { reason: "x", at: NOW } }],
	])("a reserve model cannot serve if %s", (_name, reserveModel, account) => {
		expect(opened(reserveModel, [aCooldown()], account)).toBeUndefined();
	});

	it("can serve again once the window that was used up has reset", () => {
		const windows = [{ ...week(100), resetsAt: NOW - 1 }];
		expect(opened({ ...LUNA, windows, isReached: true })).toBeDefined();
	});

	it("has as much left as its tightest window", () => {
		const windows = [week(60), { usedPercent: 90, windowMinutes: 300, resetsAt: NOW + HOUR_MS }];
		expect(reserveLeft({ ...LUNA, windows }, NOW)).toBe(10);
		expect(reserveLeft({ ...LUNA, windows: [] }, NOW)).toBeUndefined();
	});

	it("is closed by a cooldown of its own limit alone", () => {
		const usage = aSnapshot({ reserveModel: LUNA });
		const own = aCooldown({ scope: SCOPE });
		expect(
			reserveClosedBy({ cooldowns: [aCooldown(), aCooldown({ scope: "limit:spark" })], usage }, NOW),
		).toBeUndefined();
		expect(reserveClosedBy({ cooldowns: [aCooldown(), own], usage }, NOW)).toBe(own);
	});
});

describe("the included quota of an account", () => {
	it.each<[string, Parameters<typeof isIncludedSpent>[0], boolean]>([
		["nothing is known", { cooldowns: [] }, false],
		["a window is used up", { cooldowns: [], usage: aSnapshot({ windows: [week(100)] }) }, true],
		["a refusal said so", { cooldowns: [aCooldown()], usage: aSnapshot({ windows: [week(99)] }) }, true],
		["the account is asked to slow down", { cooldowns: [aCooldown({ reason: "rate_limit" })] }, false],
		["a limit of one model is spent", { cooldowns: [aCooldown({ scope: "limit:spark" })] }, false],
		["that cooldown is over", { cooldowns: [aCooldown({ until: NOW })] }, false],
	])("the included quota counts as spent if %s: %o", (_name, known, isSpent) => {
		expect(isIncludedSpent(known, NOW)).toBe(isSpent);
	});
});

describe("whether a spent account has a reserve model", () => {
	const spent = aSnapshot({ source: "api", windows: [week(100)] });
	const refused = [aCooldown({ setAt: NOW - HOUR_MS })];
	it.each<[string, Partial<AccountStatus>, boolean]>([
		["it was never asked about one", { cooldowns: refused, usageAskedAt: NOW }, true],
		["it was asked about one before it was refused", { cooldowns: refused, reserveAskedAt: NOW - HOUR_MS - 1 }, true],
		["it was asked about one after that", { cooldowns: refused, reserveAskedAt: NOW - HOUR_MS + 1 }, false],
		["it was refused, and has one", { cooldowns: refused, usage: { ...spent, reserveModel: LUNA } }, false],
		["it has credits, and was asked a quarter of an hour ago", { usage: spent, reserveAskedAt: NOW - 900_000 }, true],
		["it has credits, and was asked just now", { usage: spent, reserveAskedAt: NOW - 899_000 }, false],
		["its quota is not spent", { usage: aSnapshot(), cooldowns: [aCooldown({ reason: "rate_limit" })] }, false],
	])("a reserve model is unknown if %s: %o", (_name, status, isUnknown) => {
		expect(isReserveUnknown(anAccount("a"), { cooldowns: [], strikes: 0, ...status }, NOW)).toBe(isUnknown);
	});

	it("a reserve model is not asked of one that is off, or has to sign in again", () => {
		for (const row of [{ enabled: false }, { needsLogin: { reason: "x", at: NOW } }]) {
			expect(isReserveUnknown(anAccount("a", row), { cooldowns: refused, strikes: 0 }, NOW)).toBe(false);
		}
	});
});

/** What a refusal comes to on the reserve model. */
function refusedWith(evidence: FailureEvidence) {
	const failure = classify(evidence, { now: NOW, modelId: "gpt-6-luna", cooldownMs: HOUR_MS });
	return { failure, mapped: onReserveModel(failure, evidence, LUNA, NOW) };
}

describe("a refusal on a reserve model", () => {
	it.each<[string, FailureEvidence, string, number]>([
		[
			"used up, with its reset",
			{ status: 429, code: "usage_limit_reached", resetsAt: NOW + DAY_MS },
			"usage_limit",
			DAY_MS,
		],
		["used up, by its windows", { status: 429, windows: [week(100)] }, "usage_limit", 3 * DAY_MS],
		[
			"used up, as a whole workspace",
			{ status: 429, code: "workspace_owner_credits_depleted" },
			"workspace_limit",
			HOUR_MS,
		],
		["asked to slow down", { status: 429, code: "rate_limit_exceeded", retryAfterMs: 5000 }, "rate_limit", 5000],
		["not included", { status: 403, code: "usage_not_included" }, "not_included", DAY_MS],
		["an unknown model", { status: 404, message: "Model not found gpt-reserve" }, "model_not_supported", DAY_MS],
		["a model that is not for it", { status: 400, code: "model_not_available" }, "model_not_supported", DAY_MS],
		["refused for nothing known", { status: 400, message: "No." }, "model_not_supported", DAY_MS],
		["forbidden", { status: 403, message: "Forbidden" }, "model_not_supported", DAY_MS],
		["forbidden, as of a workspace", { status: 403, code: "workspace_disabled" }, "model_not_supported", DAY_MS],
		["named in a frame", { message: "Effort xhigh is not for gpt-reserve." }, "model_not_supported", DAY_MS],
		[
			"too new",
			{ status: 400, message: "The 'gpt-reserve' model requires a newer version of Codex." },
			"model_not_supported",
			DAY_MS,
		],
	])("%s, closes that alone", (_name, evidence, reason, lastsMs) => {
		expect(refusedWith(evidence).mapped).toMatchObject({
			remedy: reason === "rate_limit" ? "retry-or-rotate" : "rotate",
			cooling: { covers: "account", scope: SCOPE, reason, until: NOW + lastsMs },
		});
		expect(refusedWith(evidence).mapped.cooling).not.toHaveProperty("seatsUntil");
		expect(refusedWith(evidence).mapped.cooling?.ifAnotherServes).toBeUndefined();
	});

	it.each<[string, FailureEvidence]>([
		["too much context", { status: 400, code: "context_length_exceeded" }],
		["a policy", { status: 400, code: "cyber_policy" }],
		["encrypted reasoning", { status: 400, code: "invalid_encrypted_content" }],
		["a lost response", { status: 400, code: "previous_response_not_found" }],
		["an expired token", { status: 401, code: "token_expired" }],
		["an account that was closed", { status: 401, code: "account_deactivated" }],
		["a page of a gateway", { status: 403, html: true, message: "<html>Just a moment...</html>" }],
		["a server at its limit", { status: 503, code: "server_is_overloaded" }],
		["a connection that broke", { message: "read ECONNRESET" }],
		["a token that the host cannot read", { message: "Failed to extract accountId from token", unsent: true }],
		["an unknown error of the server", { status: 418, message: "teapot" }],
	])("a refusal on a reserve model for %s is what it would be on the included quota", (_name, evidence) => {
		const { failure, mapped } = refusedWith(evidence);
		expect(mapped).toBe(failure);
	});
});

describe("a request on a reserve model", () => {
	const luna = { ...MODEL, id: "gpt-6-luna", baseUrl: "https://elsewhere.example", contextWindow: 1000 };
	const named = (id: string) => (id === luna.id ? luna : undefined);
	const request = (modelId: string, tokens = 0) => {
		const usage = { ...aMessage().usage, totalTokens: tokens };
		return { model: { ...MODEL, id: modelId }, context: { messages: [aMessage({ usage }), aMessage()] } };
	};

	it("goes on as the model that the session is on", () => {
		const asked = request("gpt-6-luna", 5000);
		expect(standInFor(asked, LUNA, () => undefined)).toEqual({ model: asked.model, reserveModel: LUNA });
	});

	it("a request on a reserve model becomes one of the model that answers, and goes nowhere else", () => {
		const standIn = standInFor(request("gpt-6.2-sol", 999), LUNA, named);
		expect(standIn?.model).toEqual({ ...luna, baseUrl: MODEL.baseUrl });
	});

	it.each([
		["pi does not know", "gpt-6.2-sol", 0, () => undefined],
		["is too small for the conversation", "gpt-6.2-sol", 1000, named],
		["speaks another protocol", "gpt-6.2-sol", 0, () => ({ ...luna, api: "openai-responses" })],
	])("cannot become one of a model that %s", (_name, modelId, tokens, lookUp) => {
		expect(standInFor(request(modelId, tokens), LUNA, lookUp)).toBeUndefined();
	});
});
