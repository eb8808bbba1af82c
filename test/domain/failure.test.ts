import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { FURTHEST_RESET_MS } from "../../src/domain/cooldown.ts";
import { classify, type FailureEvidence, RULES, SIGN_IN_GONE_CODES } from "../../src/domain/failure.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../support/fakes.ts";

const context = { now: NOW, modelId: "gpt-5.5", cooldownMs: HOUR_MS };
const kindOf = (evidence: FailureEvidence) => classify(evidence, context).kind;

describe("the table of failures", () => {
	const samples = RULES.flatMap((rule) =>
		rule.samples.map((sample, at) => [`${rule.name} #${at + 1}`, rule, sample] as const),
	);

	it.each(samples)("classifies the sample %s to its own row", (_name, rule, sample) => {
		const failure = classify(sample, context);
		expect(failure.kind).toBe(rule.name);
		expect(failure.remedy).toBe(rule.remedy);
		expect(failure.cooling?.reason).toBe(rule.cools?.reason);
	});

	it("has a sample and a name of its own in every row", () => {
		expect(RULES.filter(({ samples: { length } }) => length === 0)).toEqual([]);
		expect(new Set(RULES.map(({ name }) => name)).size).toBe(RULES.length);
	});

	it("has no code that an earlier row takes away", () => {
		const owners = RULES.flatMap((rule) =>
			rule.signs.flatMap((sign) => (sign.codes ?? []).map((code) => [code, rule.name] as const)),
		);
		for (const [code, name] of owners) expect([code, kindOf({ code })]).toEqual([code, name]);
	});

	it("has no pattern that goes on without a bound, or takes more than the beginning of any words", () => {
		const patterns = RULES.flatMap(({ signs }) => signs.flatMap(({ words, header }) => [words, header?.[1]]));
		const unbounded = patterns.filter((pattern) => pattern && /(?<!\\)[*+]|\{\d+,\}/.test(pattern.source));
		expect(unbounded).toEqual([]);
		const read: number[] = [];
		const exec = vi.spyOn(RegExp.prototype, "exec").mockImplementation((text) => {
			read.push(text.length);
			return null;
		});
		classify({ words: "encrypted content ".repeat(100_000) }, context);
		exec.mockRestore();
		expect(read.length).toBeGreaterThan(5);
		expect(Math.max(...read)).toBe(2000);
	});

	it("rotates only on what is the account's fault", () => {
		const cooling = RULES.filter(({ cools }) => cools).map(({ remedy }) => remedy);
		expect(new Set(cooling)).toEqual(new Set(["rotate", "refresh-or-rotate", "retry-or-rotate"]));
		const blameless = RULES.filter(({ cools }) => !cools).map(({ remedy }) => remedy);
		expect(new Set(blameless)).toEqual(new Set(["surface", "strip-reasoning", "reconnect", "close-account"]));
	});
});

describe("evidence of different strength", () => {
	it.each<[string, FailureEvidence, string]>([
		[
			"a code beats words of another row",
			{ status: 400, code: "context_length_exceeded", words: "The usage limit has been reached" },
			"request",
		],
		["a code beats a status of another row", { status: 429, code: "invalid_encrypted_content" }, "reasoning-refused"],
		["words beat the bare status", { status: 429, words: "The usage limit has been reached" }, "usage-limit"],
		["words beat the bare 401", { status: 401, words: "Your account has been deactivated." }, "account-closed"],
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
			{ status: 429, words: "Too many requests", windows: [{ usedPercent: 100, windowMinutes: 300 }] },
			"usage-limit",
		],
		[
			"99.6 % is not spent",
			{ status: 429, words: "Too many requests", windows: [{ usedPercent: 99.6, windowMinutes: 300 }] },
			"rate-limit",
		],
		[
			"a spent window explains only a 429",
			{ status: 400, windows: [{ usedPercent: 100, windowMinutes: 300 }] },
			"other",
		],
		[
			"a server error is one whatever its words say",
			{ status: 502, words: "The usage limit service is not reachable" },
			"overloaded",
		],
		["but for its code", { status: 503, code: "usage_limit_reached" }, "usage-limit"],
		[
			"an unknown code leaves the words to decide",
			{ code: "brand_new", words: "Model not found gpt-6" },
			"model-not-supported",
		],
		["a page of HTML is a challenge only where one is served", { status: 404, html: true }, "other"],
	])("%s", (_name, evidence, kind) => {
		expect(kindOf(evidence)).toBe(kind);
	});

	it.each<[string, FailureEvidence]>([
		["a server error", { status: 500, words: "The server had an error while processing your request." }],
		["a bad gateway", { status: 502 }],
		["a time-out", { words: "Request timed out." }],
		["a broken connection", { words: "fetch failed" }],
		["an unknown refusal", { status: 400, code: "invalid_value", words: "Invalid image_url" }],
		["a plain 403", { status: 403, words: "Forbidden" }],
		["nothing at all", {}],
	])("surfaces %s and blames no account", (_name, evidence) => {
		expect(classify(evidence, context)).toMatchObject({ remedy: "surface", cooling: undefined });
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

describe("the end of a cooldown", () => {
	const limit = { status: 429, code: "usage_limit_reached" } as const;
	const coolingOf = (evidence: FailureEvidence) => classify(evidence, context).cooling;

	it("is the server's reset", () => {
		const windows = [{ usedPercent: 100, windowMinutes: 300, resetsAt: NOW + 2 * HOUR_MS }];
		expect(coolingOf({ ...limit, resetsAt: NOW + 3 * HOUR_MS, windows })).toMatchObject({
			until: NOW + 3 * HOUR_MS,
			guessed: false,
		});
	});

	it("is the latest reset of the spent windows where the server told none", () => {
		const windows = [
			{ usedPercent: 100, windowMinutes: 300, resetsAt: NOW + 2 * HOUR_MS },
			{ usedPercent: 100, windowMinutes: 10080, resetsAt: NOW + 3 * DAY_MS },
			{ usedPercent: 10, windowMinutes: 43200, resetsAt: NOW + 20 * DAY_MS },
		];
		expect(coolingOf({ ...limit, windows })).toMatchObject({ until: NOW + 3 * DAY_MS, guessed: false });
	});

	it("is the person's setting, and a guess, where nobody told any", () => {
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

	it("is no word of when to come back: how long to hold back says nothing of a quota", () => {
		expect(coolingOf({ ...limit, retryAfterMs: 5000 })).toMatchObject({ until: NOW + HOUR_MS, guessed: true });
	});

	it("is an hour for a model that the plan leaves out, ten minutes for one that is not offered", () => {
		expect(coolingOf({ code: "usage_not_included", resetsAt: NOW + DAY_MS })).toMatchObject({
			scope: "model:gpt-5.5",
			until: NOW + HOUR_MS,
			guessed: false,
		});
		expect(coolingOf({ status: 404, words: "Model not found gpt-5.5" })).toMatchObject({
			scope: "model:gpt-5.5",
			until: NOW + 10 * MINUTE_MS,
		});
	});

	it("is of the metered limit alone where one was hit", () => {
		expect(coolingOf({ ...limit, limitId: "codex_bengalfox", resetsAt: NOW + DAY_MS })).toMatchObject({
			covers: "account",
			scope: "limit:codex_bengalfox",
			until: NOW + DAY_MS,
		});
	});

	it("is of the whole workspace where that is limited", () => {
		const headers = { "x-codex-rate-limit-reached-type": "workspace_member_usage_limit_reached" };
		expect(coolingOf({ ...limit, headers })).toMatchObject({ covers: "workspace", scope: "account" });
	});

	it("is an hour for a workspace that is switched off", () => {
		expect(coolingOf({ status: 402 })).toMatchObject({ scope: "account", until: NOW + HOUR_MS });
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
			words: fc.oneof(fc.constantFrom("usage limit", "model not found", "<html>"), fc.string({ unit: "binary" })),
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
			{ numRuns: 2000 },
		);
	});

	it("never cools for longer than 366 days, nor into the past", () => {
		fc.assert(
			fc.property(evidence, (each) => {
				const sane = { ...each, retryAfterMs: Math.max(0, each.retryAfterMs ?? 0) || 0 };
				const { cooling } = classify(sane, context);
				if (!cooling) return;
				expect(cooling.until).toBeGreaterThanOrEqual(NOW);
				expect(cooling.until - NOW).toBeLessThanOrEqual(FURTHEST_RESET_MS);
			}),
			{ numRuns: 2000 },
		);
	});

	it("gives the same answer each time", () => {
		fc.assert(
			fc.property(evidence, (each) => {
				expect(classify(each, context)).toEqual(classify(each, context));
			}),
		);
	});
});
