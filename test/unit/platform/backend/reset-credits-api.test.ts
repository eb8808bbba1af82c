import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { createResetCreditsApi, creditsIn } from "../../../../src/platform/backend/reset-credits-api.ts";
import { answers, type FakeCodex, resetCreditAnswers, startFakeCodex } from "../../../support/fake-codex/index.ts";
import { DAY_MS, NOW } from "../../../support/fakes.ts";
import { aWorkspaceId } from "../../../support/ids.ts";

const api = createResetCreditsApi(Date.now);
const KEY = "0b0f9a52-7a0f-4a8e-9d3b-2f4f6f0d8a11";

let codex: FakeCodex;
beforeEach(async () => {
	codex = await startFakeCodex({ accounts: ["a"] });
	codex.account("a").setQuota({ fiveHour: { usedPercent: 10 }, week: { usedPercent: 100, resetsInMs: 4 * DAY_MS } });
});
afterEach(() => codex.close());

const callOn = (baseUrl = codex.baseUrl) => {
	return { baseUrl, access: codex.grant("a").access, workspaceId: aWorkspaceId(codex.account("a").accountId) };
};
const list = (baseUrl?: string, signal = new AbortController().signal) => api.list(callOn(baseUrl), signal);
const consume = (creditId: string, key = KEY, baseUrl?: string) => api.consume(callOn(baseUrl), { creditId, key });
const credits = () => codex.account("a").resetCredits;

/** What it says when it fails; never a token, and never the body. */
const failureOf = async (asked: Promise<unknown>) => {
	const error = await asked.then(
		() => undefined,
		(reason: unknown) => reason,
	);
	const text = error instanceof Error ? error.message : "";
	expect(codex.secrets().filter((secret) => text.includes(secret))).toEqual([]);
	return text;
};

describe("the list of reset credits", () => {
	it("is every credit that can be redeemed, asked for with the account's own token and workspace", async () => {
		credits().grant(
			{ id: "x", expiresInMs: 3 * DAY_MS },
			{ id: "gone", status: "redeemed" },
			{ id: "now", status: "redeeming" },
		);
		expect(await list()).toMatchObject([{ id: "x", expiresAt: expect.any(Number), grantedAt: expect.any(Number) }]);
		const [request] = codex.resetCreditRequests();
		expect(request).toMatchObject({ method: "GET", account: "a" });
		expect(request?.headers["chatgpt-account-id"]).toBe("acct-a");
		expect(JSON.stringify(request?.headers)).not.toMatch(/example\.test|multicodex/);
	});

	it.each<[string, unknown, readonly unknown[]]>([
		["an ISO time", { id: "c", expires_at: "2026-12-03T12:00:00Z" }, [{ id: "c", expiresAt: NOW + 13 * DAY_MS }]],
		["seconds", { id: "c", expires_at: (NOW + DAY_MS) / 1000 }, [{ id: "c", expiresAt: NOW + DAY_MS }]],
		["milliseconds as text", { id: "c", expires_at: String(NOW + DAY_MS) }, [{ id: "c", expiresAt: NOW + DAY_MS }]],
		["no end", { id: "c" }, [{ id: "c", expiresAt: undefined }]],
		["null for the end", { id: "c", expires_at: null, granted_at: null }, [{ id: "c", expiresAt: undefined }]],
		["nonsense for the end", { id: "c", expires_at: "soon-ish" }, [{ id: "c", expiresAt: undefined }]],
		["an end in another age", { id: "c", expires_at: 7 }, [{ id: "c", expiresAt: undefined }]],
		["a status that is no text", { id: "c", status: 7 }, [{ id: "c", expiresAt: undefined }]],
		["a status in capitals", { id: "c", status: "AVAILABLE" }, [{ id: "c", expiresAt: undefined }]],
		["a status that is not known", { id: "c", status: "frozen" }, []],
		["another kind of credit", { id: "c", reset_type: "image_limits" }, []],
		["no id", { status: "available" }, []],
		["an empty id", { id: "" }, []],
		["an id of several lines", { id: "a\nb" }, []],
		["an id as long as a page", { id: "x".repeat(201) }, []],
		["no object", "credit", []],
	])("reads a credit with %s", (_what, entry, expected) => {
		expect(creditsIn(JSON.stringify({ credits: [entry, { id: "good" }] }), NOW)).toEqual([
			...expected,
			{ id: "good", expiresAt: undefined },
		]);
	});

	it("reads no more than a hundred credits", () => {
		const many = Array.from({ length: 1000 }, (_each, at) => ({ id: `c${at}` }));
		expect(creditsIn(JSON.stringify({ credits: many }), NOW)).toHaveLength(100);
	});

	it.each(["", "<html>", "null", "[]", '{"credits":{}}', '{"available_count":2}'])(
		"a list of reset credits is none in %j",
		(text) => {
			expect(creditsIn(text, NOW)).toBeUndefined();
		},
	);

	it("fails with a reason that quotes nothing", async () => {
		const { listScript } = credits();
		listScript.next(
			answers.refuse(503, "secret"),
			resetCreditAnswers.list(() => ({ credits: "secret" })),
		);
		expect(await failureOf(list())).toMatch(/ answered 503$/);
		expect(await failureOf(list())).toMatch(/ unexpected answer$/);
		expect(await failureOf(list("http://127.0.0.1:1/backend-api"))).toMatch(/ cannot be reached$/);
		expect(await failureOf(list("http://example.test/backend-api"))).toContain("must use https");
	});

	it("ends with its signal, even if the answer has begun", async () => {
		credits().listScript.always(answers.hang());
		const stop = new AbortController();
		const asked = failureOf(list(codex.baseUrl, stop.signal));
		await codex.waitFor(({ kind }) => kind === "reset-credits");
		stop.abort();
		expect(await asked).not.toBe("");
	});
});

describe("a redemption", () => {
	it("names the credit and the key, and resets every window", async () => {
		credits().grant({ id: "x" });
		expect(await consume("x")).toEqual({ kind: "reset" });
		expect(codex.redeemRequests()).toMatchObject([
			{ method: "POST", account: "a", body: { redeem_request_id: KEY, credit_id: "x" } },
		]);
		expect(codex.account("a").windows()).toMatchObject([{ usedPercent: 0 }, { usedPercent: 0 }]);
	});

	it("is carried out once for a key, however often it is sent", async () => {
		credits().grant({ id: "x" }, { id: "y" });
		await consume("x");
		expect(await consume("x")).toEqual({ kind: "already_redeemed" });
		expect(credits().ids("redeemed")).toEqual(["x"]);
	});

	it("finds no credit that is spent or expired, and nothing to reset in windows that have room", async () => {
		credits().grant({ id: "x", status: "redeemed" }, { id: "y", expiresInMs: -1 }, { id: "z" });
		expect(await consume("x")).toEqual({ kind: "no_credit" });
		expect(await consume("y")).toEqual({ kind: "no_credit" });
		codex.account("a").setQuota({ fiveHour: { usedPercent: 10 }, week: { usedPercent: 99 } });
		expect(await consume("z")).toEqual({ kind: "nothing_to_reset" });
		codex.account("a").setQuota({ week: { usedPercent: 100 } });
		expect(await consume("z")).toEqual({ kind: "nothing_to_reset" });
		expect(credits().ids("available")).toEqual(["y", "z"]);
	});

	it.each<[string, Parameters<ReturnType<typeof credits>["consumeScript"]["always"]>[0], object]>([
		["401", answers.refuse(401, { detail: "no" }), { kind: "refused", status: 401 }],
		["404", answers.refuse(404, "nothing here"), { kind: "refused", status: 404 }],
		["429", answers.refuse(429, {}, { "retry-after": "120" }), { kind: "refused", status: 429, retryAfterMs: 120_000 }],
		["503", answers.refuse(503, "<html>"), { kind: "unknown" }],
		["409 with a code", answers.refuse(409, { error: { code: "already_redeemed" } }), { kind: "already_redeemed" }],
		["400 with a detail", answers.refuse(400, { detail: { code: "no_credit" } }), { kind: "no_credit" }],
		["no JSON", answers.refuse(200, "reset"), { kind: "unknown" }],
		["another code", resetCreditAnswers.changed(() => ({ code: "maybe" })), { kind: "unknown" }],
		["a code that is no text", resetCreditAnswers.changed(() => ({ code: 7 })), { kind: "unknown" }],
		["a reset connection", answers.resetBeforeHeaders(), { kind: "unknown" }],
	])("that is answered with %s has an outcome without a number or a secret", async (_what, answer, expected) => {
		credits().grant({ id: "x" });
		credits().consumeScript.always(answer);
		const outcome = await consume("x");
		expect(outcome).toMatchObject(expected);
		if ("reason" in outcome) expect(outcome.reason).toMatch(/^[^\d<]+$/);
	});

	it("that cannot leave this machine was not sent", async () => {
		expect(await consume("x", KEY, "http://127.0.0.1:1/backend-api")).toMatchObject({ kind: "unsent" });
		expect(await consume("x", KEY, "http://example.test/backend-api")).toMatchObject({ kind: "unsent" });
	});

	it("that is never answered is open after half a minute", async () => {
		credits().grant({ id: "x" });
		credits().consumeScript.always(answers.hang());
		const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
			expect(ms).toBe(30_000);
			return AbortSignal.abort(new DOMException("too late", "TimeoutError"));
		});
		onTestFinished(() => timeout.mockRestore());
		expect(await consume("x")).toMatchObject({ kind: "unknown" });
	});
});
