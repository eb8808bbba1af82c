import fc from "fast-check";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { PoolEvent } from "../../../../src/core/events.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { hideEmails } from "../../../../src/core/privacy.ts";
import { gatedIn, type SelectionRequest } from "../../../../src/core/request/plan.ts";
import { POLICIES, type PolicyName } from "../../../../src/core/request/policies.ts";
import * as texts from "../../../../src/core/request/turn-texts.ts";
import {
	aCooldown,
	aCredential,
	anAccount,
	aSnapshot,
	DAY_MS,
	HOUR_MS,
	MINUTE_MS,
	NOW,
	settled,
} from "../../../support/fakes.ts";
import { anId, aSessionId, aWorkspaceId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";
import {
	answered,
	createHarness,
	failedWith,
	gaveUp,
	type Harness,
	MODEL,
	type Play,
	refused,
	silent,
} from "../../harness.ts";
import { hurryTimersOf } from "../../waits.ts";

const LIMIT = refused(429, { error: { type: "usage_limit_reached", message: "limit", resets_in_seconds: 3600 } });
const someone = (...names: string[]) => createHarness(...names.map((name) => anAccount(name)));
const typesOf = (events: readonly { type: string }[]) => events.map(({ type }) => type);
const toldOf = <T extends PoolEvent["type"]>(harness: Harness, type: T) =>
	harness.told.filter((event): event is Extract<PoolEvent, { type: T }> => event.type === type);
/** The plan of a session that no account has served yet. */
const planOf = ({ pool }: Harness, overrides: Partial<SelectionRequest> = {}) =>
	pool.plan({ modelId: MODEL.id, sessionId: aSessionId("s"), affinity: undefined, ...overrides });
const WHOLE = ["start", "text_start", "text_delta", "text_end", "done"];

describe("a request", () => {
	it("gets exactly what the host's stream gives", async () => {
		const harness = someone("a");
		const { events, ends, text } = await harness.ask();
		expect(typesOf(events)).toEqual(WHOLE);
		expect([text, ends]).toEqual(["from a", 1]);
		expect(harness.tries).toEqual(["a"]);
	});

	it("looks at the state file no more often for two hundred accounts than for two", async () => {
		const looksOf = async (count: number) => {
			const harness = someone(...Array.from({ length: count }, (_, at) => `a${at}`));
			await harness.ask();
			harness.state.looks = 0;
			await harness.ask();
			return harness.state.looks;
		};
		expect(await looksOf(200)).toBe(await looksOf(2));
	});

	it("goes to another account when the quota is used up, once to each, and shows nothing of the first", async () => {
		const harness = someone("a", "b");
		harness.play("a", LIMIT);
		const { events, text } = await harness.ask();
		expect(typesOf(events)).toEqual(WHOLE);
		expect(text).toBe("from b");
		expect(harness.tries).toEqual(["a", "b"]);
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([{ scope: "account", until: NOW + HOUR_MS }]);
		expect(toldOf(harness, "rotated")).toMatchObject([
			{ from: { id: "a" }, to: { id: "b" }, reason: "usage_limit", readyAt: NOW + HOUR_MS },
		]);
	});

	it("lets go of the connection of every try that is over", async () => {
		const harness = someone("a", "b");
		harness.play("a", failedWith("The usage limit has been reached"));
		await harness.ask();
		expect(harness.options.map(({ signal }) => signal?.aborted)).toEqual([true, true]);
	});

	it("goes on when the quota runs out after the start but before any output", async () => {
		const harness = someone("a", "b");
		harness.play("a", failedWith("The usage limit has been reached"));
		const { events, text } = await harness.ask();
		expect(typesOf(events)).toEqual(WHOLE);
		expect(text).toBe("from b");
		expect(harness.asked).toEqual(["a"]);
	});

	it("tries five accounts more at most, and says how many are left", async () => {
		const harness = someone("a", "b", "c", "d", "e", "f", "g", "h");
		for (const { id } of harness.pool.accounts()) harness.play(id, LIMIT);
		const { words, ends } = await harness.ask();
		expect(harness.tries).toEqual(["a", "b", "c", "d", "e", "f"]);
		expect([words, ends]).toEqual([gaveUp(harness), 1]);
		expect(harness.exhaustions).toMatchObject([{ tried: 6, untried: 2, total: 8 }]);
	});

	it("remembers at the next request which accounts are used up, and asks none of them", async () => {
		const harness = someone("a", "b");
		harness.play("a", LIMIT);
		await harness.ask();
		harness.tries.length = 0;
		await harness.ask();
		expect(harness.tries).toEqual(["b"]);
	});

	it("begins with the session's account, and with the pinned one before that", async () => {
		const harness = someone("a", "b", "c");
		harness.affinity.begin(aSessionId("s"), anId("b"), NOW);
		await harness.ask();
		await harness.pool.pin(anId("c"));
		await harness.ask();
		expect(harness.tries).toEqual(["b", "c"]);
	});

	it("is remembered by its session when it is answered by another account, once", async () => {
		const harness = someone("a", "b");
		await harness.ask();
		await harness.ask();
		harness.play("a", LIMIT);
		await harness.ask();
		expect(toldOf(harness, "served").map(({ account, hasMoved }) => [account, hasMoved])).toEqual([
			["a", true],
			["a", false],
			["b", true],
		]);
	});

	it("is recorded before pi learns that it is done", async () => {
		const harness = someone("a");
		const order: string[] = [];
		harness.pool.subscribe(({ type }) => order.push(type));
		const { final } = await harness.ask();
		expect(final?.type).toBe("done");
		expect(order.filter((type) => type === "served")).toHaveLength(1);
		expect(harness.pool.active()).toBe("a");
	});

	it("uses no socket of one account with another", async () => {
		const harness = someone("a", "b");
		harness.play("a", answered("first"), LIMIT);
		await harness.ask();
		await harness.ask();
		expect(harness.tries).toEqual(["a", "a", "b"]);
		// The first one is of unknown origin.
		expect(harness.closed).toEqual(["s before try 1", "s before try 3"]);
	});

	it("goes without sockets beside one of another account that is under way in its session", async () => {
		const harness = someone("a", "b");
		const abort = new AbortController();
		harness.play("a", silent(), LIMIT);
		const first = harness.ask({ signal: abort.signal });
		await settled();
		const second = await harness.ask({ transport: "auto" });
		expect(second.text).toBe("from b");
		expect(harness.options.map(({ transport }) => transport)).toEqual([undefined, "auto", "sse"]);
		expect(harness.closed).toEqual(["s before try 1"]);
		abort.abort();
		await first;
	});
});

describe("output that was shown", () => {
	it("is never replayed: another account takes over by pi's own retry", async () => {
		const harness = someone("a", "b");
		harness.play("a", failedWith("The usage limit has been reached", { after: "half an ans" }));
		const { events, words, text } = await harness.ask();
		expect(typesOf(events)).toEqual(["start", "text_delta", "error"]);
		expect(words).toBe(texts.continuesElsewhere());
		expect(text).toBe("");
		expect(harness.tries).toEqual(["a"]);
		expect(harness.state.status(anId("a")).cooldowns).toHaveLength(1);
		expect((await harness.ask()).text).toBe("from b");
	});

	it("is followed by the backend's own words if no account can take over", async () => {
		const harness = someone("a");
		harness.play("a", failedWith("The usage limit has been reached", { after: "half" }));
		expect((await harness.ask()).words).toBe("The usage limit has been reached");
	});

	it("is followed by the backend's own words if the account is not at fault", async () => {
		const harness = someone("a", "b");
		harness.play("a", failedWith("The server had an error", { after: "half" }));
		expect((await harness.ask()).words).toBe("The server had an error");
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
	});
});

describe("the matrix before any output", () => {
	it.each([
		["a 500", refused(500, { error: { message: "oops" } }), "HTTP 500"],
		["a time-out", failedWith("Request timed out."), "Request timed out."],
		["a challenge", refused(403, "<html>Just a moment...</html>", { "cf-mitigated": "challenge" }), "HTTP 403"],
		["too long an input", refused(400, { error: { code: "context_length_exceeded" } }), "HTTP 400"],
		["a policy", refused(400, { error: { code: "cyber_policy" } }), "HTTP 400"],
	])("surfaces %s in the host's own words, without another try and without blame", async (_name, play, told) => {
		const harness = someone("a", "b");
		harness.play("a", play);
		const { words, ends } = await harness.ask();
		expect([words, ends]).toEqual([told, 1]);
		expect(harness.tries).toEqual(["a"]);
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
		expect(toldOf(harness, "rotated")).toEqual([]);
	});

	it("forwards the start that was held, if a failure after it goes to pi", async () => {
		const harness = someone("a");
		harness.play("a", failedWith("Request timed out."));
		expect(typesOf((await harness.ask()).events)).toEqual(["start", "error"]);
	});

	it("rotates on every fault of the account, and cools what is at fault", async () => {
		const faults: [Play, string, string][] = [
			[refused(402, { detail: { code: "deactivated_workspace" } }), "account", "workspace_disabled"],
			[refused(403, { error: { code: "usage_not_included" } }), "model:gpt-5.5", "not_included"],
			[refused(404, { error: { message: "Model not found gpt-5.5" } }), "model:gpt-5.5", "model_not_supported"],
			[refused(429, { error: { code: "insufficient_quota" } }), "account", "usage_limit"],
			[refused(429, {}), "account", "rate_limit"],
		];
		for (const [play, scope, reason] of faults) {
			const harness = someone("a", "b");
			harness.play("a", play);
			expect((await harness.ask()).text).toBe("from b");
			expect(harness.state.status(anId("a")).cooldowns).toMatchObject([{ scope, reason }]);
		}
	});

	it("goes to another workspace when one is limited as a whole", async () => {
		const seat = (name: string) => anAccount(name, { workspaceId: aWorkspaceId("acct-team") });
		const harness = createHarness(seat("a"), seat("b"), anAccount("c"));
		const headers = { "x-codex-rate-limit-reached-type": "workspace_owner_usage_limit_reached" };
		harness.play("a", refused(429, { error: { type: "usage_limit_reached" } }, headers));
		expect((await harness.ask()).text).toBe("from c");
		expect(harness.tries).toEqual(["a", "c"]);
		expect(harness.state.status(anId("b")).cooldowns).toMatchObject([
			{ reason: "workspace_limit", until: NOW + 15 * MINUTE_MS, shared: true },
		]);
		// Another seat that answers proves that the workspace has quota: the refused one keeps its own rest.
		harness.pool.served(anId("b"), false, true);
		expect(harness.state.status(anId("b")).cooldowns).toEqual([]);
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([{ reason: "workspace_limit" }]);
	});

	it("stays in a workspace if one member alone is at its limit", async () => {
		const seat = (name: string) => anAccount(name, { workspaceId: aWorkspaceId("acct-team") });
		const harness = createHarness(seat("a"), seat("b"));
		harness.play("a", refused(429, { error: { code: "workspace_member_usage_limit_reached" } }));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.state.status(anId("b")).cooldowns).toEqual([]);
	});

	it("cools one limit of an account alone, so that its other models go on", async () => {
		const harness = someone("a", "b");
		harness.readUsageHeaders = () => ({ snapshot: undefined, activeLimit: "codex_bengalfox", activeWindows: [] });
		harness.play("a", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 3600 } }));
		await harness.ask();
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([
			{ scope: "limit:codex_bengalfox", models: ["gpt-5.5"] },
		]);
		const account = harness.pool.account(anId("a")) ?? anAccount("a");
		expect(harness.pool.state(account)).toBe("ready");
		expect(gatedIn(planOf(harness, { modelId: "gpt-6" }), anId("a"))).toBeUndefined();
	});

	it("waits briefly and asks the same account once more, if the server says so", async () => {
		const harness = someone("a", "b");
		harness.play("a", refused(429, {}, { "retry-after": "2" }), answered("second try"));
		expect((await harness.ask()).text).toBe("second try");
		expect([harness.tries, harness.pauses]).toEqual([["a", "a"], [2000]]);
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
	});

	it("goes elsewhere after that, and if the server asks for a longer wait", async () => {
		const twice = someone("a", "b");
		twice.play("a", refused(429, {}, { "retry-after": "2" }));
		expect((await twice.ask()).text).toBe("from b");
		expect(twice.tries).toEqual(["a", "a", "b"]);
		const long = someone("a", "b");
		long.play("a", refused(429, {}, { "retry-after": "11" }));
		expect((await long.ask()).text).toBe("from b");
		expect([long.tries, long.pauses]).toEqual([["a", "b"], []]);
		expect(long.state.status(anId("a")).cooldowns).toMatchObject([{ until: NOW + 11_000 }]);
	});

	it("asks for usage in the background if the refusal names no reset", async () => {
		const harness = someone("a", "b");
		harness.play("a", refused(429, { error: { type: "usage_limit_reached" } }));
		await harness.ask();
		expect(harness.asked).toEqual(["a"]);
	});

	it("leaves out the reasoning that is refused, once, and from then on in this session", async () => {
		const harness = someone("a", "b");
		const payloads: unknown[] = [];
		const payload = {
			input: [
				{ type: "reasoning", encrypted_content: "gA" },
				{ type: "message", id: "m", role: "user" },
			],
		};
		const seeing = (play: Play): Play =>
			async function* (options) {
				payloads.push(await options.onPayload?.(payload, {} as never));
				yield* play(options);
			};
		harness.play("a", seeing(refused(400, { error: { code: "invalid_encrypted_content" } })), seeing(answered("yes")));
		expect((await harness.ask()).text).toBe("yes");
		expect(harness.tries).toEqual(["a", "a"]);
		await harness.ask();
		const stripped = { input: [{ type: "message", role: "user" }] };
		expect(payloads).toEqual([payload, stripped, stripped]);
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
	});

	it("surfaces refused reasoning that is refused without it, too", async () => {
		const harness = someone("a", "b");
		harness.play("a", refused(400, { error: { code: "invalid_encrypted_content", message: "not verified" } }));
		expect((await harness.ask()).words).toBe("not verified");
		expect(harness.tries).toEqual(["a", "a"]);
	});

	it("resends on a fresh socket if the backend has lost its state", async () => {
		const harness = someone("a", "b");
		harness.play("a", failedWith("Invalid `previous_response_id`", { withStart: false }), answered("again"));
		expect((await harness.ask()).text).toBe("again");
		expect(harness.tries).toEqual(["a", "a"]);
		expect(harness.closed).toContain("s before try 2");
		const still = someone("a", "b");
		still.play("a", failedWith("Invalid `previous_response_id`", { withStart: false }));
		expect((await still.ask()).words).toBe("Invalid `previous_response_id`");
		expect(still.tries).toEqual(["a", "a"]);
	});

	it("switches a closed account off, and one whose workspace refuses it three times in a row", async () => {
		const harness = someone("a", "b");
		harness.play("a", refused(401, { error: { code: "account_deactivated" } }));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.pool.account(anId("a"))).toMatchObject({ enabled: false });
		expect(toldOf(harness, "closed")).toHaveLength(1);
		const disabled = someone("a", "b");
		disabled.play("a", refused(402, {}));
		for (let time = 1; time <= 3; time += 1) {
			expect(disabled.pool.account(anId("a"))?.enabled).toBe(true);
			disabled.state.statusById.set(anId("a"), { ...disabled.state.status(anId("a")), cooldowns: [] });
			disabled.affinity.begin(aSessionId("s"), anId("a"), NOW);
			await disabled.ask();
		}
		expect(disabled.pool.account(anId("a"))).toMatchObject({ enabled: false });
	});
});

describe("a sign-in", () => {
	it("is renewed once on a 401, and the same account goes on", async () => {
		const harness = someone("a", "b");
		harness.tokens.set(anId("a"), (refusedToken) => ({
			kind: "ready",
			access: refusedToken ? "access-renewed" : "access-a",
		}));
		harness.play("a", refused(401, { error: { code: "token_expired" } }));
		harness.play("renewed", answered("renewed"));
		expect((await harness.ask()).text).toBe("renewed");
		expect(harness.tries).toEqual(["a", "renewed"]);
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
	});

	it("a sign-in that is refused again rests, and another account serves", async () => {
		const harness = someone("a", "b");
		harness.play("a", refused(401, { detail: "Unauthorized" }));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.tries).toEqual(["a", "a", "b"]);
		expect(harness.pool.account(anId("a"))?.needsLogin).toBeUndefined();
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([{ reason: "unauthorized" }]);
	});

	it("a sign-in that is refused everywhere is not called a quota: the server's own words are passed on", async () => {
		const harness = someone("a");
		harness.play("a", refused(401, { detail: "Unauthorized" }));
		expect((await harness.ask()).words).toBe("Unauthorized");
		expect(toldOf(harness, "exhausted")).toMatchObject([
			{ why: { total: 1, cooling: 0, unavailable: 1, readyAt: undefined } },
		]);
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
	});

	it("a sign-in that is refused right after a renewal rests an hour, and is not renewed again", async () => {
		const harness = someone("a", "b");
		const renewals: (string | undefined)[] = [];
		harness.tokens.set(anId("a"), (refusedToken) => {
			if (refusedToken) renewals.push(refusedToken);
			return { kind: "ready", access: "access-a" };
		});
		harness.play("a", refused(401, { detail: `No entry${"!".repeat(100)}\u001b[31m` }));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.state.status(anId("a"))).toMatchObject({
			cooldowns: [{ reason: "unauthorized", until: NOW + HOUR_MS }],
			lastError: { text: `No entry${"!".repeat(72)}` },
		});
		await harness.pool.clearCooldowns();
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		await harness.ask();
		expect(renewals).toEqual(["access-a"]);
		expect(harness.tries).toEqual(["a", "a", "b", "a", "b"]);
	});

	it("a sign-in that is refused for a reason is not renewed at all", async () => {
		const harness = someone("a", "b");
		harness.play("a", refused(401, { detail: "Workspace is not authorized in this region." }));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.tries).toEqual(["a", "b"]);
		expect(harness.state.status(anId("a"))).toMatchObject({
			cooldowns: [{ reason: "unauthorized", until: NOW + HOUR_MS }],
			lastError: { text: "Workspace is not authorized in this region." },
		});
		expect(toldOf(harness, "rotated")).toMatchObject([{ reason: "unauthorized" }]);
	});

	it.each([
		{ end: "until the renewal may be tried again", retryInMs: 20_000, coolsMs: 20_000 },
		{ end: "for five seconds at least", retryInMs: 500, coolsMs: 5000 },
		{ end: "for a minute at most", retryInMs: HOUR_MS, coolsMs: MINUTE_MS },
		{ end: "for a minute if trying again is useless", retryInMs: 500, lasts: true as const, coolsMs: MINUTE_MS },
	])("a sign-in that is refused while no other token can be had cools $end", async ({ retryInMs, lasts, coolsMs }) => {
		const harness = someone("a", "b");
		harness.tokens.set(anId("a"), (refusedToken) =>
			refusedToken
				? { kind: "unavailable", reason: "down", retryAt: NOW + retryInMs, ...(lasts && { lasts }) }
				: { kind: "ready", access: "access-a" },
		);
		harness.play("a", refused(401, {}));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([{ reason: "unauthorized", until: NOW + coolsMs }]);
	});

	it("a sign-in whose new token is refused for good is flagged", async () => {
		const harness = someone("a", "b");
		harness.play("a", refused(401, { error: { code: "token_invalidated" } }));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.pool.account(anId("a"))?.needsLogin).toBeDefined();
		expect(toldOf(harness, "signed-out").map(({ account }) => account.id)).toEqual(["a"]);
	});

	it("a sign-in that cannot be renewed just now flags no account, and another account serves", async () => {
		const harness = someone("a", "b");
		harness.tokens.set(anId("a"), () => ({ kind: "unavailable", reason: "down", retryAt: NOW + 2000 }));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.tries).toEqual(["b"]);
		expect(harness.pool.account(anId("a"))).toMatchObject({ enabled: true, needsLogin: undefined });
	});

	it("is waited for to its end only if no other account could serve meanwhile", async () => {
		const harness = someone("a", "b", "c");
		harness.state.statusById.set(anId("c"), { cooldowns: [aCooldown()], strikes: 0 });
		harness.play("a", LIMIT);
		await harness.ask();
		expect([harness.tries, harness.patience]).toEqual([
			["a", "b"],
			[expect.any(Number), undefined],
		]);
	});

	it("is waited for if no other account is left", async () => {
		const harness = someone("a");
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs: 60_000 } };
		harness.tokens.set(anId("a"), () =>
			harness.clock.now() < NOW + 2000
				? { kind: "unavailable", reason: "down", retryAt: NOW + 2000 }
				: { kind: "ready", access: "access-a" },
		);
		expect((await harness.ask()).text).toBe("from a");
	});

	it("two lost sign-ins in a row end the search for an account", async () => {
		const harness = someone("a", "b", "c", "d");
		for (const account of harness.pool.accounts()) {
			if (account.id !== "d") {
				harness.tokens.set(account.id, () => ({ kind: "signed-out", account, reason: "revoked", closed: false }));
			}
		}
		expect((await harness.ask()).words).toBe(texts.signedOutInARow());
		expect(harness.tries).toEqual([]);
		expect(toldOf(harness, "signed-out").map(({ account }) => account.id)).toEqual(["a", "b"]);
	});
});

describe("a refusal that no row knows", () => {
	const DENIED = refused(403, { detail: { code: "codex_workspace_access_denied" } });
	const WORDS = "Codex refused the request with status 403 (codex_workspace_access_denied).";

	it("is tried on one other account, and the first account rests when the other one serves", async () => {
		const harness = someone("a", "b");
		harness.play("a", DENIED);
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.tries).toEqual(["a", "b"]);
		expect(harness.state.status(anId("a"))).toMatchObject({
			cooldowns: [{ scope: "account", reason: "refused", until: NOW + 10 * MINUTE_MS }],
			lastError: { text: WORDS },
		});
		expect(toldOf(harness, "rotated")).toMatchObject([{ from: { id: "a" }, to: { id: "b" }, reason: "refused" }]);
		await harness.ask();
		expect(harness.tries).toEqual(["a", "b", "b"]);
	});

	it("is surfaced if the other account is refused alike, and neither account rests", async () => {
		const harness = someone("a", "b", "c");
		harness.play("a", DENIED);
		harness.play("b", DENIED);
		expect((await harness.ask()).words).toBe(WORDS);
		expect(harness.tries).toEqual(["a", "b"]);
		for (const id of [anId("a"), anId("b")]) expect(harness.state.status(id).cooldowns).toEqual([]);
		expect((await harness.ask()).text).toBe("from c");
		expect(harness.tries).toEqual(["a", "b", "c"]);
	});

	it("goes back to accounts that were refused alike after a while, or if there is no third", async () => {
		const harness = someone("a", "b");
		harness.play("a", DENIED, answered("again"));
		harness.play("b", DENIED);
		await harness.ask();
		expect((await harness.ask()).text).toBe("again");
		const doubted = () =>
			planOf(harness).order.flatMap(({ account, terms }) =>
				terms().some(({ name, value }) => name === "doubt" && value === 1) ? [account.id] : [],
			);
		expect(doubted()).toEqual(["b"]);
		harness.clock.at += 10 * MINUTE_MS;
		expect(doubted()).toEqual([]);
	});

	it("is surfaced at once if there is no other account", async () => {
		const harness = someone("a");
		harness.play("a", DENIED);
		expect(await harness.ask()).toMatchObject({ words: WORDS, ends: 1 });
		expect(harness.tries).toEqual(["a"]);
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
	});

	it("is surfaced if the person allows no rotation", async () => {
		const harness = someone("a", "b");
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxRotations: 0 } };
		harness.play("a", DENIED);
		expect((await harness.ask()).words).toBe(WORDS);
		expect(harness.tries).toEqual(["a"]);
	});

	it("goes past an account without quota, which says nothing of it", async () => {
		const harness = someone("a", "b", "c");
		harness.play("a", DENIED);
		harness.play("b", LIMIT);
		expect((await harness.ask()).text).toBe("from c");
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([{ reason: "refused" }]);
		expect(harness.state.status(anId("b")).cooldowns).toMatchObject([{ reason: "usage_limit" }]);
	});

	it("a refusal is called one if other accounts are out of quota", async () => {
		const harness = someone("a", "b", "c");
		harness.play("a", DENIED);
		for (const name of ["b", "c"]) harness.play(name, LIMIT);
		await harness.ask();
		expect(harness.exhaustions).toMatchObject([{ cooling: 2, refused: 1 }]);
		const some = someone("a", "b", "c", "d");
		some.settings = { ...some.settings, rotation: { ...some.settings.rotation, maxRotations: 2 } };
		some.play("a", DENIED);
		for (const name of ["b", "c"]) some.play(name, LIMIT);
		await some.ask();
		expect(some.exhaustions).toMatchObject([{ cooling: 2, refused: 1, untried: 1 }]);
	});

	it("a refusal that no row knows is not waited for", async () => {
		const harness = someone("a", "b");
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs: 60_000 } };
		harness.play("a", DENIED);
		harness.play("b", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 3600 } }));
		expect((await harness.ask()).ends).toBe(1);
		expect(harness.tries).toEqual(["a", "b"]);
		expect(harness.pauses).toEqual([]);
	});
});

describe("an account that refuses every request", () => {
	const early = failedWith("Failed to extract accountId from token", { withStart: false });
	const hidden = (json: unknown) => ({ "x-error-json": Buffer.from(JSON.stringify(json)).toString("base64") });
	const plays: [string, Play][] = [
		["401 without words", refused(401)],
		["401 for a region", refused(401, { detail: { code: "workspace_region_mismatch" } })],
		[
			"401 with its reason in a header",
			refused(401, { detail: "Unauthorized" }, hidden({ error: { code: "seat_gone" } })),
		],
		["401 of a deactivated account", refused(401, "", hidden({ error: { code: "account_deactivated" } }))],
		["401 of a token that ended", refused(401, { errors: [{ code: "token_revoked", message: "Encountered" }] })],
		["402 without words", refused(402)],
		["402 for a bill", refused(402, { detail: { code: "billing_not_active" } })],
		["403 without words", refused(403, {})],
		["403 with a list", refused(403, { errors: [{ code: "brand_new" }] })],
		["403 cut off", refused(403, '{"detail":{"code":"codex_work')],
		["403 of a workspace", refused(403, { response: { error: { code: "invalid_workspace_selected" } } })],
		["403 of a plan", refused(403, { error: { type: "plan_not_supported", message: "The guest plan has no Codex." } })],
		["404 of an account", refused(404, { detail: { code: "account_not_found" } })],
		["429 of an organization", refused(429, { error: { code: "organization_rate_limit_exceeded" } })],
		["429 of a member", refused(429, {}, { "x-codex-rate-limit-reached-type": "workspace_member_brand_new" })],
		["429 of a budget", refused(429, { error: { code: "spend_control_reached", resets_at: "2027-01-01T00:00:00Z" } })],
		["400 of a budget", refused(400, { detail: { code: "individual_limit_reached" } })],
		["400 of a model", refused(400, { detail: "The 'gpt-5.5' model is not supported when using Codex." })],
		["a frame without a code", failedWith("Codex error: Forbidden")],
		["a frame of a bill", failedWith("Codex error: Payment required")],
		["a frame of a token", failedWith("Codex error: jwt expired")],
		["a frame of a code", failedWith("Codex error: codex_workspace_access_denied")],
		["a failure before anything is sent", early],
	];

	it.each(plays)("costs no turn, and begins no further one: %s", async (_name, play) => {
		for (const way of ["list", "pin", "session"]) {
			const harness = someone("a", "b");
			harness.play("a", play);
			if (way === "pin") await harness.pool.pin(anId("a"));
			if (way === "session") harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
			expect([way, (await harness.ask()).text]).toEqual([way, "from b"]);
			const first = harness.tries.filter((name) => name === "a").length;
			expect(first).toBeLessThanOrEqual(2);
			// Another session, as in another process: only what is stored tells it.
			harness.affinity.begin(aSessionId("another"), undefined, NOW);
			expect([way, (await harness.ask({ sessionId: "another" })).text]).toEqual([way, "from b"]);
			expect([way, harness.tries.filter((name) => name === "a").length]).toEqual([way, first]);
		}
	});

	it.each<[string, Play]>([
		["a frame of an unknown kind", failedWith("Codex error: The moon is in the way.")],
		["404", refused(404, { detail: "Not Found" })],
		["418", refused(418, { error: { code: "teapot" } })],
	])("begins no third turn if nothing tells whose fault it is: %s", async (_name, play) => {
		const harness = someone("a", "b");
		harness.play("a", play);
		for (const _turn of [1, 2]) expect((await harness.ask()).words).toBeDefined();
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.tries).toEqual(["a", "a", "b"]);
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
		// One good answer between them, and it was the request.
		const other = someone("a", "b");
		other.play("a", play, answered("fine"), play, answered("still here"));
		for (const _turn of [1, 2, 3, 4]) await other.ask();
		expect(other.tries).toEqual(["a", "a", "a", "a"]);
	});

	it("is not doubted for a failure of an unknown kind that pi repeats by itself", async () => {
		const harness = someone("a", "b");
		harness.repeated = /moon/;
		harness.play("a", failedWith("Codex error: The moon is in the way."));
		for (const _turn of [1, 2, 3]) await harness.ask();
		expect(harness.tries).toEqual(["a", "a", "a"]);
	});

	it.each(plays)("ends in one error if all are alike, and in an answer if a third is not: %s", async (_name, play) => {
		const harness = someone("a", "b", "c");
		for (const name of ["a", "b"]) harness.play(name, play);
		const outcomes = [await harness.ask(), await harness.ask()];
		expect(outcomes.map(({ ends }) => ends)).toEqual([1, 1]);
		expect(outcomes.at(-1)?.text).toBe("from c");
		const alone = someone("a");
		alone.play("a", play);
		expect(await alone.ask()).toMatchObject({ ends: 1, text: "" });
	});
});

describe("a host that fails before anything is sent", () => {
	const early = (words: string): Play => failedWith(words, { withStart: false });
	const broken: Play = () => {
		throw new Error("Cannot read properties of undefined");
	};

	it.each<[string, Play]>([
		["with an error event", early("Failed to extract accountId from token")],
		["with a throw", broken],
	])("is tried with another account, and the first rests: %s", async (_name, play) => {
		const harness = someone("a", "b");
		harness.play("a", play);
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([
			{ reason: "refused", until: NOW + 10 * MINUTE_MS },
		]);
	});

	it("is surfaced in its own words if all accounts meet the same", async () => {
		const harness = someone("a", "b");
		for (const name of ["a", "b"]) harness.play(name, broken);
		expect(await harness.ask()).toMatchObject({ words: "Cannot read properties of undefined", ends: 1 });
		expect(harness.tries).toEqual(["a", "b"]);
		for (const id of [anId("a"), anId("b")]) expect(harness.state.status(id).cooldowns).toEqual([]);
	});

	it("a request that may be on its way is not tried with another account", async () => {
		const onItsWay: Play = async function* (options) {
			await options.onPayload?.({}, MODEL);
			yield* early("Cannot read properties of undefined")(options);
		};
		const harness = someone("a", "b");
		harness.play("a", onItsWay);
		expect((await harness.ask()).words).toBe("Cannot read properties of undefined");
		expect(harness.tries).toEqual(["a"]);
	});

	it("a request that may be on its way is not tried with another account whatever words its host throws", async () => {
		const harness = someone("a", "b");
		harness.play("a", (options) => ({
			[Symbol.asyncIterator]: () => ({
				next: async () => {
					await options.onPayload?.({}, MODEL);
					throw new Error("The usage limit has been reached");
				},
			}),
		}));
		expect(await harness.ask()).toMatchObject({ words: "The usage limit has been reached", ends: 1 });
		expect(harness.tries).toEqual(["a"]);
	});
});

describe("a server that is at its limit", () => {
	const CAPACITY = "Selected model is at capacity. Please try a different model.";
	const full = () => failedWith(CAPACITY);

	it("is left to the host's own retry if that knows the words", async () => {
		const harness = someone("a", "b");
		harness.repeated = /at capacity/;
		harness.play("a", full());
		expect((await harness.ask()).words).toBe(CAPACITY);
		expect(harness.tries).toEqual(["a"]);
	});

	it("a request with other words is tried on one other account, and no account rests", async () => {
		const harness = someone("a", "b");
		harness.play("a", full());
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
		expect(toldOf(harness, "rotated")).toMatchObject([{ reason: "overloaded" }]);
	});

	it("is surfaced after one other account", async () => {
		const harness = someone("a", "b", "c");
		for (const name of ["a", "b"]) harness.play(name, full());
		expect((await harness.ask()).words).toBe(CAPACITY);
		expect(harness.tries).toEqual(["a", "b"]);
	});

	it.each([
		["as a status", refused(503, { error: { code: "server_is_overloaded", message: CAPACITY } })],
		["as a throttled request", refused(429, { error: { message: CAPACITY } })],
		["over a socket", failedWith(`Codex error: ${CAPACITY}`)],
		["as a broken connection", failedWith("read ECONNRESET")],
	])("a server that is at its limit may say so %s", async (_name, play) => {
		const harness = someone("a", "b");
		harness.repeated = /nothing at all/;
		harness.play("a", play);
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
	});

	it("replays nothing once something was shown", async () => {
		const harness = someone("a", "b");
		harness.play("a", failedWith(CAPACITY, { after: "half" }));
		expect(await harness.ask()).toMatchObject({ words: CAPACITY, ends: 1 });
		expect(harness.tries).toEqual(["a"]);
	});
});

describe("a limit that is not the account's", () => {
	const spent = { usedPercent: 100, windowMinutes: 10080, resetsAt: NOW + 3 * DAY_MS };
	const free = { usedPercent: 20, windowMinutes: 10080, resetsAt: NOW + 5 * DAY_MS };
	const body = { error: { type: "usage_limit_reached", resets_in_seconds: 3 * 86_400 } };

	it("rests alone beside free general windows, whatever limit the headers call active", async () => {
		const harness = someone("a", "b");
		harness.readUsageHeaders = () => ({
			snapshot: aSnapshot({ source: "headers", windows: [free], limits: { codex_bengalfox: { windows: [spent] } } }),
			activeLimit: undefined,
			activeWindows: [free],
		});
		harness.play("a", refused(429, body));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([
			{ scope: "limit:codex_bengalfox", models: ["gpt-5.5"], until: NOW + 3 * DAY_MS },
		]);
	});

	it.each<[string, string | undefined, object, object]>([
		[
			"another model's limit is spent and this one is throttled",
			"GPT-5.3-Codex-Spark",
			{ detail: "Too many requests" },
			{ scope: "account", reason: "rate_limit", until: NOW + MINUTE_MS },
		],
		[
			"a limit without a name is spent and the model is throttled",
			undefined,
			{ error: { code: "rate_limit_exceeded" } },
			{ scope: "account", reason: "rate_limit", until: NOW + MINUTE_MS },
		],
		[
			"another model's limit is spent and the refusal names no reset",
			"GPT-5.3-Codex-Spark",
			{ error: { type: "usage_limit_reached" } },
			{ scope: "account", reason: "usage_limit" },
		],
		[
			"a limit without a name is spent and the refusal names another reset",
			undefined,
			{ error: { type: "usage_limit_reached", resets_in_seconds: 7200 } },
			{ scope: "account", reason: "usage_limit", until: NOW + 2 * HOUR_MS },
		],
		[
			"the limit of this very model is spent",
			"GPT-5.5",
			{ detail: "Too many requests" },
			{ scope: "limit:codex_bengalfox", reason: "usage_limit", until: NOW + 3 * DAY_MS },
		],
	])("a spent limit is not blamed for what another one refused: %s", async (_when, name, said, cooldown) => {
		const harness = someone("a", "b");
		const limits = { codex_bengalfox: { name, windows: [spent] } };
		harness.readUsageHeaders = () => ({
			snapshot: aSnapshot({ source: "headers", windows: [free], limits }),
			activeLimit: undefined,
			activeWindows: [free],
		});
		harness.play("a", refused(429, said));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([cooldown]);
	});

	it("is asked for at once if no header tells what was spent", async () => {
		const harness = someone("a", "b");
		harness.play("a", refused(429, body));
		await harness.ask();
		expect(harness.asked).toEqual(["a"]);
	});

	it("is known if a window proves it", async () => {
		const harness = someone("a", "b");
		harness.readUsageHeaders = () => ({ snapshot: undefined, activeLimit: undefined, activeWindows: [spent] });
		harness.play("a", refused(429, body));
		await harness.ask();
		expect(harness.asked).toEqual([]);
	});

	it("ends when the last known window resets, if the refusal tells no reset", async () => {
		const harness = someone("a", "b");
		harness.state.statusById.set(anId("a"), {
			cooldowns: [],
			strikes: 0,
			usage: aSnapshot({ windows: [{ ...spent, usedPercent: 99 }] }),
		});
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.play("a", failedWith("The usage limit has been reached"));
		await harness.ask();
		const [cooldown] = harness.state.status(anId("a")).cooldowns;
		expect(cooldown).toMatchObject({ until: NOW + 3 * DAY_MS });
		expect(cooldown?.guessed).toBeUndefined();
		expect(harness.asked).toEqual(["a"]);
	});

	it("is a guess only if nothing tells its reset", async () => {
		const harness = someone("a", "b");
		harness.play("a", failedWith("The usage limit has been reached"));
		await harness.ask();
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([{ until: NOW + HOUR_MS, guessed: true }]);
		expect(toldOf(harness, "rotated")).toMatchObject([{ readyAt: NOW + HOUR_MS, guessed: true }]);
		harness.play("b", failedWith("The usage limit has been reached"));
		await harness.ask();
		expect(harness.exhaustions).toMatchObject([{ readyAt: NOW + HOUR_MS, guessed: true }]);
	});
});

describe("waiting for an account", () => {
	const waiting = (...names: string[]) => {
		const harness = someone(...names);
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs: 60_000 } };
		return harness;
	};
	const cool = (harness: Harness, id: AccountId, until: number) => {
		harness.state.statusById.set(id, { cooldowns: [aCooldown({ until })], strikes: 0 });
	};

	it("goes on with the first that is back, and says until when it waits", async () => {
		const harness = waiting("a", "b");
		cool(harness, anId("a"), NOW + 40_000);
		cool(harness, anId("b"), NOW + 30_000);
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.clock.at).toBe(NOW + 30_000);
		expect(Math.max(...harness.pauses)).toBeLessThanOrEqual(30_000);
		const untils = toldOf(harness, "waiting").map(({ until }) => until);
		expect(untils[0]).toBe(NOW + 30_000);
		expect(untils.at(-1)).toBeUndefined();
	});

	it("says with which account it goes on, and that it does not if the wait ends otherwise", async () => {
		const harness = waiting("a");
		cool(harness, anId("a"), NOW + 30_000);
		await harness.ask();
		const ends = (told: Harness) => toldOf(told, "waiting").filter(({ until }) => until === undefined);
		expect(ends(harness).map(({ goesOnWith }) => goesOnWith?.id)).toEqual(["a"]);
		const given = waiting("a");
		cool(given, anId("a"), NOW + 30_000);
		const stop = new AbortController();
		given.onPause = () => stop.abort();
		await given.ask({ signal: stop.signal });
		expect(ends(given).map(({ goesOnWith }) => goesOnWith)).toEqual([undefined]);
	});

	it("does not end in the same moment in every process, nor later than the person allows", async () => {
		const harness = waiting("a");
		harness.dice = 0.5;
		cool(harness, anId("a"), NOW + 40_000);
		await harness.ask();
		expect(harness.clock.at).toBe(NOW + 40_500);
		const late = waiting("a");
		late.dice = 0.5;
		cool(late, anId("a"), NOW + 60_000);
		expect((await late.ask()).text).toBe("from a");
		expect(late.clock.at).toBe(NOW + 60_000);
	});

	it("is reported as over only by a request that has waited", async () => {
		const harness = waiting("a", "b");
		await harness.ask();
		harness.play("a", LIMIT);
		await harness.ask();
		expect(toldOf(harness, "waiting")).toEqual([]);
		cool(harness, anId("b"), NOW + 20_000);
		await harness.ask();
		const events = toldOf(harness, "waiting");
		expect(new Set(events.map(({ request }) => request)).size).toBe(1);
		expect(events.filter(({ until }) => until === undefined)).toHaveLength(1);
	});

	it("ends as soon as another process frees an account", async () => {
		const harness = waiting("a");
		cool(harness, anId("a"), NOW + 50_000);
		harness.onPause = () => {
			if (harness.pauses.length === 3) harness.state.statusById.set(anId("a"), { cooldowns: [], strikes: 0 });
		};
		expect((await harness.ask()).text).toBe("from a");
		expect(harness.clock.at).toBeLessThan(NOW + 50_000);
	});

	it("ends if the account that it waits for is cooled for longer meanwhile", async () => {
		const harness = waiting("a");
		cool(harness, anId("a"), NOW + 30_000);
		harness.onPause = () => cool(harness, anId("a"), NOW + DAY_MS);
		expect((await harness.ask()).words).toBe(gaveUp(harness));
	});

	it("ends as soon as the person switches us off, in whatever process", async () => {
		const harness = waiting("a");
		cool(harness, anId("a"), NOW + 30_000);
		harness.onPause = () => {
			harness.settings = { ...harness.settings, enabled: false };
		};
		expect((await harness.ask()).words).toBe(texts.switchedOffMeanwhile());
		expect([harness.pauses.length, harness.tries, harness.exhaustions]).toEqual([1, [], []]);
	});

	it("ends with the person's abort, in one aborted event", async () => {
		const harness = waiting("a");
		cool(harness, anId("a"), NOW + 30_000);
		const abort = new AbortController();
		harness.onPause = () => abort.abort();
		const { events, ends } = await harness.ask({ signal: abort.signal });
		expect(events).toMatchObject([{ type: "error", reason: "aborted", error: { stopReason: "aborted" } }]);
		expect(ends).toBe(1);
		expect(toldOf(harness, "waiting").at(-1)?.until).toBeUndefined();
	});

	it("survives a clock that is set back or jumps ahead", async () => {
		const back = waiting("a");
		cool(back, anId("a"), NOW + 20_000);
		back.onPause = () => {
			if (back.pauses.length === 1) back.clock.at -= DAY_MS;
		};
		expect((await back.ask()).final?.type).toBeDefined();
		expect(back.pauses.length).toBeLessThan(200);
		const ahead = waiting("a");
		cool(ahead, anId("a"), NOW + 20_000);
		ahead.onPause = () => {
			ahead.clock.at += HOUR_MS;
		};
		expect((await ahead.ask()).text).toBe("from a");
		expect(ahead.pauses).toHaveLength(1);
	});

	it.each([HOUR_MS, 70_000, -70_000, -HOUR_MS])(
		"outlasts an exchange without an answer if a clock that is wrong by %d ms meanwhile is set right",
		async (wrongMs) => {
			for (const wrongFrom of [1, 5, 15]) {
				const harness = waiting("a", "b");
				const wrong = () => (harness.pauses.length >= wrongFrom && harness.pauses.length < 20 ? wrongMs : 0);
				let setMs = 0;
				harness.onPause = () => {
					harness.clock.at += wrong() - setMs;
					setMs = wrong();
				};
				const token = () => {
					const leftMs = NOW + 40_000 - (harness.clock.now() - setMs);
					if (leftMs <= 0) return { kind: "ready", access: "access-a" } as const;
					return { kind: "unavailable", reason: "unanswered", retryAt: harness.clock.now() + leftMs } as const;
				};
				harness.tokens.set(anId("a"), token);
				harness.tokens.set(anId("b"), token);
				expect((await harness.ask()).text).toBe("from a");
				expect(harness.clock.at).toBeLessThan(NOW + 45_000);
			}
		},
	);

	it("outlasts it if the clock is wrong while the accounts are asked, and set right behind that", async () => {
		const harness = waiting("a");
		harness.clock.at += HOUR_MS;
		harness.onPause = () => {
			if (harness.pauses.length === 1) harness.clock.at -= HOUR_MS;
		};
		harness.tokens.set(anId("a"), () =>
			harness.pauses.length === 0
				? { kind: "unavailable", reason: "unanswered", retryAt: harness.clock.now() + 20_000 }
				: { kind: "ready", access: "access-a" },
		);
		expect((await harness.ask()).text).toBe("from a");
	});

	it("ends as soon as another process has stored a token for an account that had none", async () => {
		const harness = waiting("a");
		harness.tokens.set(anId("a"), () =>
			harness.pool.account(anId("a"))?.credential.access === "access-newer"
				? { kind: "ready", access: "access-newer" }
				: { kind: "unavailable", reason: "unanswered", retryAt: harness.clock.now() + 50_000 },
		);
		harness.onPause = () => {
			if (harness.pauses.length !== 3) return;
			const credential = { ...anAccount("a").credential, access: "access-newer" };
			harness.accounts.rows = [anAccount("a", { credential })];
		};
		expect((await harness.ask()).text).toBe("from newer");
		expect(harness.clock.at).toBeLessThan(NOW + 5000);
	});

	it("counts no time that the machine slept through", async () => {
		const harness = waiting("a");
		harness.tokens.set(anId("a"), () =>
			harness.pauses.length < 30
				? { kind: "unavailable", reason: "down", retryAt: harness.clock.now() + 1000 }
				: { kind: "ready", access: "access-a" },
		);
		harness.onPause = () => {
			if (harness.pauses.length === 2) harness.clock.at += HOUR_MS;
		};
		expect((await harness.ask()).text).toBe("from a");
	});

	it("waiting for an account is no longer in all than the person allows, however often it begins anew", async () => {
		const harness = waiting("a");
		let asked = 0;
		harness.tokens.set(anId("a"), () => {
			asked += 1;
			if (asked > 20) throw new Error("it never ends");
			return { kind: "unavailable", reason: "down", retryAt: harness.clock.now() + 20_000 };
		});
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect([asked, harness.clock.at]).toEqual([4, NOW + 60_000]);
	});

	it("tries no account for ever", async () => {
		const harness = waiting("a");
		harness.play("a", refused(429, {}, { "retry-after": "12" }));
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect(harness.tries).toEqual(["a", "a"]);
	});
});

describe("waiting for room", () => {
	/** The session's own account `a` is out of quota for 40 s; `b` has half left, and two sessions at work on it. */
	const crowded = (maxWaitMs = 60_000) => {
		const harness = someone("a", "b");
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs } };
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown({ until: NOW + 40_000 })], strikes: 0 });
		const windows = [{ usedPercent: 50, windowMinutes: 300, resetsAt: NOW + HOUR_MS }];
		harness.state.statusById.set(anId("b"), { cooldowns: [], strikes: 0, usage: aSnapshot({ windows }) });
		for (const session of [aSessionId("s1"), aSessionId("s2")]) harness.pool.acquireLease(anId("b"), session, true);
		return harness;
	};

	it("leaves a crowded account to those at work on it, and goes on when its own is back", async () => {
		const harness = crowded();
		expect((await harness.ask()).text).toBe("from a");
		expect([harness.tries, harness.clock.at]).toEqual([["a"], NOW + 40_000]);
		expect(toldOf(harness, "waiting")[0]).toMatchObject({ until: NOW + 40_000, forRoom: true });
		expect(toldOf(harness, "waiting").at(-1)).toMatchObject({ until: undefined, forRoom: false });
		expect(typesOf(harness.told)).not.toContain("rotated");
	});

	it("does so too if its own is refused in the request itself", async () => {
		const harness = crowded();
		harness.state.statusById.delete(anId("a"));
		harness.play(
			"a",
			refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 30 } }),
			answered("again"),
		);
		expect((await harness.ask()).text).toBe("again");
		expect([harness.tries, harness.clock.at]).toEqual([["a", "a"], NOW + 30_000]);
	});

	it("ends as soon as there is room", async () => {
		const harness = crowded();
		harness.onPause = () => {
			if (harness.pauses.length === 3) harness.pool.releaseLease(aSessionId("s1"));
		};
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.pauses).toHaveLength(3);
		const [rotated] = toldOf(harness, "rotated");
		expect(rotated).toMatchObject({ from: { id: "a" }, to: { id: "b" }, reason: "usage_limit" });
	});

	it("does not begin if no account is back soon enough: one more try is better than none", async () => {
		const harness = crowded(39_000);
		expect((await harness.ask()).text).toBe("from b");
		expect([harness.tries, harness.pauses]).toEqual([["b"], []]);
	});

	it("does not begin for a new session, nor for one that changes without need", async () => {
		const fresh = crowded();
		fresh.affinity.begin(aSessionId("s"));
		expect((await fresh.ask()).text).toBe("from b");
		const compacted = crowded();
		compacted.affinity.begin(aSessionId("s"), anId("b"), NOW);
		compacted.affinity.compacted();
		expect((await compacted.ask()).text).toBe("from b");
		expect([...fresh.pauses, ...compacted.pauses]).toEqual([]);
	});

	it("does not begin for a new session whose first account refuses: it has no cache to lose", async () => {
		const harness = crowded();
		harness.affinity.begin(aSessionId("s"));
		harness.state.statusById.delete(anId("a"));
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, policy: "in-order" } };
		harness.play("a", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 30 } }));
		expect((await harness.ask()).text).toBe("from b");
		expect([harness.tries, harness.pauses]).toEqual([["a", "b"], []]);
	});

	it("is for the account that served the session, even if another was tried in vain since", async () => {
		const harness = crowded();
		harness.accounts.rows.push(anAccount("c"));
		harness.tokens.set(anId("c"), () => ({ kind: "unavailable", reason: "down", retryAt: NOW + DAY_MS }));
		expect((await harness.ask()).text).toBe("from a");
		expect(harness.clock.at).toBe(NOW + 40_000);
	});

	it("passes a crowded account for one that is not, and does not wait", async () => {
		const harness = crowded();
		harness.accounts.rows.push(anAccount("c"));
		expect((await harness.ask()).text).toBe("from c");
		expect(harness.pauses).toEqual([]);
		// The one that was passed is no ground for the choice.
		expect(toldOf(harness, "rotated")).toMatchObject([{ grounds: { decidedBy: undefined } }]);
	});

	it("ends on the crowded one if its own stays away for longer than it may wait", async () => {
		const harness = crowded();
		harness.onPause = () => {
			if (harness.pauses.length !== 5) return;
			harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown({ until: NOW + DAY_MS })], strikes: 0 });
		};
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.pauses).toHaveLength(5);
	});

	it("ends without an account if the person switches the extension off", async () => {
		const harness = crowded();
		harness.onPause = () => {
			harness.settings = { ...harness.settings, enabled: false };
		};
		expect((await harness.ask()).words).toBe(texts.switchedOffMeanwhile());
		expect([harness.pauses.length, harness.tries, harness.exhaustions]).toEqual([1, [], []]);
	});

	it("ends on the crowded one if its own refuses it again, and is not begun a third time", async () => {
		const harness = crowded();
		harness.state.statusById.delete(anId("a"));
		harness.play("a", refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 20 } }));
		expect((await harness.ask()).text).toBe("from b");
		expect([harness.tries, harness.clock.at]).toEqual([["a", "a", "b"], NOW + 20_000]);
		expect(toldOf(harness, "rotated")).toMatchObject([{ from: { id: "a" }, to: { id: "b" }, reason: "usage_limit" }]);
	});

	it("goes back to its own if another is back as well, though it was about to choose anew", async () => {
		const harness = crowded();
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, policy: "in-order" } };
		harness.accounts.rows.unshift(anAccount("c"));
		harness.state.statusById.set(anId("c"), harness.state.status(anId("a")));
		harness.affinity.compacted();
		harness.onPause = () => {
			for (const name of [anId("a"), anId("c")]) harness.state.statusById.delete(name);
		};
		expect((await harness.ask()).text).toBe("from a");
		expect(typesOf(harness.told)).not.toContain("switched");
	});

	it("goes on with the one that is back, though its own is away for longer than it may still wait", async () => {
		const harness = crowded();
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, policy: "in-order" } };
		harness.accounts.rows.push(anAccount("c"));
		harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown({ until: NOW + DAY_MS })], strikes: 0 });
		harness.state.statusById.set(anId("c"), {
			cooldowns: [aCooldown({ until: NOW + 30_000, reason: "rate_limit" })],
			strikes: 0,
		});
		expect((await harness.ask()).text).toBe("from c");
		expect(harness.clock.at).toBe(NOW + 30_000);
	});

	it("ends with a pin, also on a crowded account, and even if another is back in that moment", async () => {
		const harness = crowded();
		harness.affinity.compacted();
		harness.onPause = () => {
			if (harness.pauses.length !== 2) return;
			harness.state.statusById.delete(anId("a"));
			void harness.pool.pin(anId("b"));
		};
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.pauses).toHaveLength(2);
	});

	it("does not end in the same moment in every process", async () => {
		const harness = crowded();
		harness.dice = 0.5;
		await harness.ask();
		expect(harness.clock.at).toBe(NOW + 40_500);
		expect(harness.pauses.slice(0, -1)).toEqual(harness.pauses.slice(0, -1).map(() => 1000));
	});

	it("waiting for room is no longer than the person allows, whatever chance says", async () => {
		const harness = crowded(40_000);
		harness.dice = 0.9;
		expect((await harness.ask()).text).toBe("from a");
		expect(harness.clock.at).toBe(NOW + 40_000);
	});

	it.each(Object.keys(POLICIES) as PolicyName[])("waiting for room is the same under %s", async (policy) => {
		const harness = crowded();
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, policy } };
		expect((await harness.ask()).text).toBe("from a");
	});

	it.each(Object.keys(POLICIES) as PolicyName[])(
		"does not end on the crowded one if a choice is due: %s",
		async (policy) => {
			const harness = crowded();
			harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, policy } };
			harness.accounts.rows.reverse();
			harness.affinity.compacted();
			expect((await harness.ask()).text).toBe("from a");
			expect(harness.clock.at).toBe(NOW + 40_000);
		},
	);
});

describe("a model that was answered on a limit of its own", () => {
	const general = { usedPercent: 100, windowMinutes: 300, resetsAt: NOW + HOUR_MS };
	const own = (usedPercent: number) => ({
		spark: { windows: [{ usedPercent, windowMinutes: 300, resetsAt: NOW + HOUR_MS }] },
	});
	/** An answer with headers: the general limit is spent, the model's own is not. */
	const apart = (usedPercent = 10): Play =>
		async function* (options) {
			await options.onResponse?.({ status: 200, headers: { "x-codex-own": `${usedPercent}` } }, MODEL);
			yield* asAsync(answered("on its own")(options));
		};
	const withHeaders = (...names: string[]) => {
		const harness = someone(...names);
		harness.readUsageHeaders = ({ "x-codex-own": used, "x-codex-general": refused }, now) => {
			if (used === undefined && refused === undefined) {
				return { snapshot: undefined, activeLimit: undefined, activeWindows: [] };
			}
			const snapshot = aSnapshot({
				source: "headers",
				capturedAt: now,
				windows: [general],
				limits: own(Number(used ?? 10)),
			});
			return {
				snapshot,
				activeLimit: refused ? undefined : "spark",
				activeWindows: refused ? [general] : (snapshot.limits.spark?.windows ?? []),
			};
		};
		return harness;
	};

	it("goes on there while the general limit is spent, and no other model does", async () => {
		const harness = withHeaders("a");
		harness.play("a", apart());
		expect((await harness.ask()).text).toBe("on its own");
		expect((await harness.ask()).text).toBe("on its own");
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([{ scope: "account", except: ["gpt-5.5"] }]);
		const other = planOf(harness, { modelId: "gpt-6" });
		expect([other.next, gatedIn(other, anId("a"))?.gate.kind]).toEqual([undefined, "cooling"]);
		expect(harness.pool.state(anAccount("a"))).toBe("cooling");
	});

	it("is remembered when the general limit is spent later, by whatever told that", async () => {
		const harness = withHeaders("a");
		harness.readUsageHeaders = ({ "x-codex-own": used }, now) => ({
			snapshot:
				used === undefined
					? undefined
					: aSnapshot({
							source: "headers",
							capturedAt: now,
							windows: [{ ...general, usedPercent: 50 }],
							limits: own(10),
						}),
			activeLimit: used === undefined ? undefined : "spark",
			activeWindows: [],
		});
		harness.play("a", apart());
		await harness.ask();
		const usage = aSnapshot({ source: "api", capturedAt: NOW + 1, windows: [general], limits: own(20) });
		harness.pool.noteUsage(anId("a"), usage);
		expect(planOf(harness).next?.id).toBe("a");
		expect(planOf(harness, { modelId: "gpt-6" }).next).toBeUndefined();
		// Its own limit is spent as well.
		const spent = aSnapshot({ source: "api", capturedAt: NOW + 2, windows: [general], limits: own(100) });
		harness.state.statusById.set(anId("a"), { ...harness.state.status(anId("a")), cooldowns: [] });
		harness.pool.noteUsage(anId("a"), spent);
		expect(planOf(harness).next).toBeUndefined();
	});

	it("ends no cooldown of the others if a trial shows it", async () => {
		const harness = withHeaders("a");
		const old = aCooldown({ until: NOW + HOUR_MS, setAt: NOW - 30 * MINUTE_MS, models: ["gpt-6"] });
		harness.state.statusById.set(anId("a"), { cooldowns: [old], strikes: 0 });
		harness.play("a", apart());
		expect((await harness.ask()).text).toBe("on its own");
		expect(harness.state.status(anId("a")).cooldowns).toEqual([{ ...old, except: ["gpt-5.5"] }]);
		expect([planOf(harness).next?.id, planOf(harness, { modelId: "gpt-6" }).next]).toEqual(["a", undefined]);
	});

	it("a model that is refused for the general limit is out with the others, and stays out", async () => {
		const harness = withHeaders("a");
		const REFUSED = refused(429, { error: { type: "usage_limit_reached" } }, { "x-codex-general": "1" });
		harness.play("a", apart(), REFUSED);
		await harness.ask();
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect(harness.state.status(anId("a")).cooldowns).toMatchObject([{ scope: "account", models: ["gpt-5.5"] }]);
		expect(planOf(harness).next).toBeUndefined();
		harness.pool.noteUsage(
			anId("a"),
			aSnapshot({ source: "api", capturedAt: NOW + 1, windows: [general], limits: own(10) }),
		);
		expect(planOf(harness).next).toBeUndefined();
	});
});

describe("a trial on weak evidence", () => {
	const guess = aCooldown({ until: NOW + HOUR_MS, setAt: NOW - 30 * MINUTE_MS, guessed: true });
	const guessed = (...names: string[]) => {
		const harness = someone(...names);
		for (const name of names) harness.state.statusById.set(anId(name), { cooldowns: [guess], strikes: 0 });
		return harness;
	};

	it("serves if the account is back after all, and ends its cooldown", async () => {
		const harness = guessed("a");
		expect((await harness.ask()).text).toBe("from a");
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
		expect((await harness.ask()).text).toBe("from a");
	});

	it("a refused trial is one request, and is not repeated for ten minutes", async () => {
		const harness = guessed("a", "b");
		harness.play("a", failedWith("The usage limit has been reached"));
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect(harness.tries).toEqual(["a"]);
		// The other one's turn: its evidence is as weak, and it was not asked.
		harness.play("b", failedWith("The usage limit has been reached"));
		await harness.ask();
		await harness.ask();
		expect(harness.tries).toEqual(["a", "b"]);
		harness.clock.at += 10 * MINUTE_MS;
		await harness.ask();
		expect(harness.tries).toEqual(["a", "b", "a"]);
	});

	it("is made by one of many requests that find the same", async () => {
		const harness = guessed("a");
		harness.play("a", failedWith("The usage limit has been reached"));
		await Promise.all(["s", "t", "u"].map((sessionId) => harness.ask({ sessionId })));
		expect(harness.tries).toEqual(["a"]);
	});

	it("is not made while another account can serve, nor on an account that refused in this very request", async () => {
		const harness = guessed("a");
		harness.accounts.rows.push(anAccount("b"));
		expect((await harness.ask()).text).toBe("from b");
		harness.play("b", failedWith("The usage limit has been reached"));
		harness.play("a", LIMIT);
		await harness.ask();
		expect(harness.tries).toEqual(["b", "b", "a"]);
	});

	it("leaves a cooldown that another request has met since it began", async () => {
		const harness = guessed("a");
		const later = aCooldown({ until: NOW + DAY_MS, setAt: NOW + 1 });
		harness.play("a", (options) => {
			harness.state.statusById.set(anId("a"), { cooldowns: [later], strikes: 0 });
			return answered()(options);
		});
		await harness.ask();
		expect(harness.state.status(anId("a")).cooldowns).toEqual([later]);
	});
});

it("the longest wait counts the time that passed, not the pauses that were asked for", async () => {
	const harness = someone("a");
	harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs: 60_000 } };
	harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown({ until: NOW + 50_000 })], strikes: 0 });
	// Another request's refusal puts the return off; every look at pi's login takes five seconds.
	Object.assign(harness.deps.link, {
		sync: async () => {
			harness.clock.at += 5000;
			const until = harness.clock.at + 9000;
			harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown({ until })], strikes: 0 });
		},
	});
	expect((await harness.ask()).words).toBe(gaveUp(harness));
	expect(harness.clock.at - NOW).toBeLessThanOrEqual(66_000);
	expect(harness.pauses.length).toBeLessThanOrEqual(10);
});

it("a look at pi's login is taken once a step, behind the account that was tried", async () => {
	const harness = someone("a", "b", "c");
	const looks: number[] = [];
	Object.assign(harness.deps.link, { sync: async () => void looks.push(harness.tries.length) });
	for (const name of ["a", "b"]) harness.play(name, LIMIT);
	expect((await harness.ask()).text).toBe("from c");
	expect(looks).toEqual([1, 2]);
});

describe("an abort", () => {
	it.each([
		["before anything", "", ["error"]],
		["in silence", silent(), ["start", "error"]],
		["after output", silent("half"), ["start", "text_delta", "error"]],
	])("ends the request in one aborted event: %s", async (_name, play, types) => {
		const harness = someone("a", "b");
		const abort = new AbortController();
		if (typeof play === "string") abort.abort();
		else harness.play("a", play);
		const asking = harness.ask({ signal: abort.signal });
		await settled();
		abort.abort();
		const { events, final, ends } = await asking;
		expect(typesOf(events)).toEqual(types);
		expect(final).toMatchObject({ type: "error", reason: "aborted", error: { stopReason: "aborted" } });
		expect(ends).toBe(1);
		expect(harness.tries.length).toBeLessThanOrEqual(1);
		expect(harness.state.status(anId("a")).cooldowns).toEqual([]);
	});

	it("ends the request while it waits for the state file, which another process has locked", async () => {
		const harness = someone("a");
		const guess = aCooldown({ until: NOW + HOUR_MS, setAt: NOW - 30 * MINUTE_MS, guessed: true });
		harness.state.statusById.set(anId("a"), { cooldowns: [guess], strikes: 0 });
		harness.pool.claimTrial = () => new Promise(() => undefined);
		const abort = new AbortController();
		const asking = harness.ask({ signal: abort.signal });
		await settled();
		abort.abort();
		expect(await asking).toMatchObject({ final: { type: "error", reason: "aborted" }, ends: 1 });
	});

	it("keeps what was shown in the final message", async () => {
		hurryTimersOf(500);
		const harness = someone("a");
		const abort = new AbortController();
		harness.play("a", async function* (options) {
			for await (const event of asAsync(silent("half an answer")(options))) {
				// A host that says nothing more after an abort.
				if (event.type === "error") await new Promise(() => undefined);
				yield event;
			}
		});
		const asking = harness.ask({ signal: abort.signal });
		await settled();
		abort.abort();
		expect(await asking).toMatchObject({ text: "half an answer", final: { reason: "aborted" } });
	});
});

async function* asAsync<T>(events: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
	yield* events;
}

describe("a host that misbehaves", () => {
	it("a host that ends without a final event gets one, before output and after", async () => {
		const harness = someone("a");
		harness.play("a", () => []);
		expect(await harness.ask()).toMatchObject({ words: texts.brokenOff(), ends: 1 });
		harness.play("a", async function* (options) {
			for await (const event of asAsync(answered("half")(options))) if (event.type !== "done") yield event;
		});
		expect(await harness.ask()).toMatchObject({ words: texts.brokenOff(), text: "half", ends: 1 });
		expect(harness.tries).toEqual(["a", "a"]);
	});
});

describe("the events of a rotation", () => {
	it("names the window that is used up, and what the next account has left", async () => {
		const harness = someone("a", "b");
		const spent = { usedPercent: 100, windowMinutes: 10080, resetsAt: NOW + HOUR_MS };
		harness.readUsageHeaders = (headers, now) =>
			headers["x-codex"] === undefined
				? { snapshot: undefined, activeLimit: undefined, activeWindows: [] }
				: {
						snapshot: aSnapshot({ capturedAt: now, windows: [spent] }),
						activeLimit: undefined,
						activeWindows: [spent],
					};
		const room = aSnapshot({ windows: [{ usedPercent: 27, windowMinutes: 300, resetsAt: NOW + HOUR_MS }] });
		harness.state.statusById.set(anId("b"), { cooldowns: [], strikes: 0, usage: room });
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.play("a", refused(429, { error: { type: "usage_limit_reached" } }, { "x-codex": "1" }));
		await harness.ask();
		expect(toldOf(harness, "rotated")).toMatchObject([
			{ window: "7d", remainingPercent: 73, readyAt: NOW + HOUR_MS, reason: "usage_limit" },
		]);
	});

	it("promises nothing from old figures", async () => {
		const harness = someone("a", "b");
		const old = aSnapshot({ capturedAt: NOW - HOUR_MS, windows: [{ usedPercent: 27, windowMinutes: 300 }] });
		harness.state.statusById.set(anId("b"), { cooldowns: [], strikes: 0, usage: old });
		harness.play("a", LIMIT);
		await harness.ask();
		expect(toldOf(harness, "rotated")[0]?.remainingPercent).toBeUndefined();
	});
});

describe("the words that end a turn", () => {
	/** Labels that would wake a host's retry. */
	const labels = ["timeout 429", "overloaded-500", "rate limit"];
	const named = () => {
		return createHarness(
			...labels.map((label, at) => anAccount(label, { id: anId(`id-of-${at}`), credential: credentialOf(at) })),
		);
	};
	const credentialOf = (at: number) => aCredential(String(at));
	const SECOND_LIMIT = failedWith("The usage limit has been reached", { after: "half" });

	it.each<[string, Play, number, RegExp]>([
		["all are used up", LIMIT, 5, /quota exceeded on all 3 accounts/],
		["some are left untried", LIMIT, 1, /Send again to try 1 more/],
		["sign-ins are lost", refused(401, { error: { code: "token_invalidated" } }), 5, /in a row were signed out/],
		["another account takes over", SECOND_LIMIT, 5, /takes over after the retry delay/],
	])("words that end a turn name no account if %s", async (_name, play, maxRotations, expected) => {
		const harness = named();
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxRotations } };
		for (const at of labels.keys()) harness.play(String(at), play);
		const { words = "" } = await harness.ask();
		expect(words).toMatch(expected);
		for (const { label, email, id, workspaceId } of harness.pool.accounts()) {
			for (const name of [label, email ?? label, id, workspaceId]) expect(words).not.toContain(name);
		}
	});
});

describe("a defect of ours", () => {
	const defectsOf = (harness: ReturnType<typeof createHarness>) => harness.told.filter(({ type }) => type === "defect");

	it("ends the request with our own error, and records its class and place", async () => {
		const harness = createHarness(anAccount("a"));
		Object.assign(harness.deps.affinity, {
			account: () => {
				throw new RangeError("secret-token");
			},
		});
		const { words, ends } = await harness.ask();
		expect([words, ends]).toEqual([texts.unexpected(), 1]);
		expect(defectsOf(harness)).toMatchObject([{ where: "request", trace: { error: "RangeError" } }]);
		expect(JSON.stringify(defectsOf(harness))).not.toContain("secret-token");
	});

	it("a defect of ours hides its message; an error of the host is shown as it is", async () => {
		const harness = createHarness(anAccount("a"));
		const inOurs = () => Reflect.apply(hideEmails, undefined, [Symbol("secret-token")]);
		const inTheHost = () => {
			throw new Error("the host's own words");
		};
		harness.play("a", inOurs, inTheHost);
		expect([(await harness.ask()).words, defectsOf(harness).length]).toEqual([texts.unexpected(), 1]);
		expect([(await harness.ask()).words, defectsOf(harness).length]).toEqual(["the host's own words", 1]);
	});
});

describe("any course of a request", () => {
	const plays: Record<string, Play> = {
		answer: answered(),
		limit: LIMIT,
		throttled: refused(429, {}, { "retry-after": "3" }),
		denied: refused(403, { detail: { code: "brand_new" } }),
		barred: refused(401, { detail: "Workspace is not authorized in this region." }),
		full: failedWith("Selected model is at capacity."),
		unsent: failedWith("Failed to extract accountId from token", { withStart: false }),
		throttledForLong: refused(429, {}, { "retry-after": "100" }),
		unauthorized: refused(401, {}),
		invalidated: refused(401, { error: { code: "token_invalidated" } }),
		closed: refused(401, { error: { code: "account_deactivated" } }),
		workspaceOff: refused(402, {}),
		noModel: refused(404, { error: { message: "Model not found gpt-5.5" } }),
		noReasoning: refused(400, { error: { code: "invalid_encrypted_content" } }),
		lostState: failedWith("Invalid `previous_response_id`"),
		server: refused(500, {}),
		limitInStream: failedWith("The usage limit has been reached"),
		limitInAnswer: failedWith("The usage limit has been reached", { after: "half" }),
		nothing: () => [],
		defect: () => {
			throw new Error("x");
		},
	};
	const courses = fc.array(fc.array(fc.constantFrom(...Object.keys(plays)), { minLength: 1, maxLength: 3 }), {
		minLength: 1,
		maxLength: 8,
	});

	it("ends in exactly one final event, after at most six accounts, without a replay", async () => {
		await fc.assert(
			fc.asyncProperty(courses, fc.constantFrom(0, 60_000), async (course, maxWaitMs) => {
				const harness = createHarness(...course.map((_plays, at) => anAccount(`a${at}`)));
				harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs } };
				for (const [at, names] of course.entries()) {
					harness.play(`a${at}`, ...names.flatMap((name) => plays[name] ?? []));
				}
				const { events, ends } = await harness.ask();
				expect(ends).toBe(1);
				const finals = events.filter(({ type }) => type === "done" || type === "error");
				expect(finals).toHaveLength(1);
				expect(finals[0]).toBe(events.at(-1));
				// One answer's beginning at most: a second start would double the message.
				expect(events.filter(({ type }) => type === "start").length).toBeLessThanOrEqual(1);
				const sent = new Set(harness.tries);
				expect(sent.size).toBeLessThanOrEqual(6);
				if (maxWaitMs === 0) {
					const visits = harness.tries.filter((name, at) => name !== harness.tries[at - 1]);
					expect(new Set(visits).size).toBe(visits.length);
				}
			}),
			runs(30, 1000),
		);
	});

	it("has the same end if an abort comes at any moment of it", async () => {
		await fc.assert(
			fc.asyncProperty(courses, fc.nat(12), async (course, turns) => {
				const harness = createHarness(...course.map((_plays, at) => anAccount(`a${at}`)));
				for (const [at, names] of course.entries()) {
					harness.play(`a${at}`, ...names.flatMap((name) => plays[name] ?? []));
				}
				const abort = new AbortController();
				const asking = harness.ask({ signal: abort.signal });
				for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
				abort.abort();
				const { events, ends } = await asking;
				expect(ends).toBe(1);
				expect(events.filter(({ type }) => type === "done" || type === "error")).toHaveLength(1);
			}),
			runs(20, 600),
		);
	});
});

describe("a summary, which has an id of its own", () => {
	it("is at work while it is written, and no live session after that", async () => {
		const harness = someone("a");
		const during: unknown[] = [];
		const play = answered();
		harness.play("a", (options) => {
			during.push([...harness.state.live]);
			return play(options);
		});
		await harness.ask();
		await harness.ask({ sessionId: "summary" });
		expect(during.at(-1)).toContainEqual(["summary", "a"]);
		expect([...harness.state.live]).toEqual([["s", "a"]]);
	});

	it("is gone even if it fails", async () => {
		const harness = someone("a");
		await harness.ask();
		harness.play("a", refused(500, {}));
		await harness.ask({ sessionId: "summary" });
		await harness.ask();
		expect([...harness.state.live]).toEqual([["s", "a"]]);
	});
});

it("many requests at once share what is known, not their tries", async () => {
	const harness = someone("a", "b", "c");
	harness.play("a", LIMIT);
	const outcomes = await Promise.all(["s", "t", "u"].map((sessionId) => harness.ask({ sessionId })));
	for (const { text, ends } of outcomes) expect([text.startsWith("from "), ends]).toEqual([true, 1]);
	expect(harness.state.status(anId("a")).cooldowns).toHaveLength(1);
	expect(harness.clock.at - NOW).toBeLessThan(MINUTE_MS);
});

describe("the faster tier", () => {
	const payload = { model: "gpt-5.5", input: [] };
	const spent = (used5h: number, used7d: number) =>
		aSnapshot({
			windows: [
				{ usedPercent: used5h, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
				{ usedPercent: used7d, windowMinutes: 10080, resetsAt: NOW + DAY_MS },
			],
		});
	const tierOf = async (harness: Harness, at: number) =>
		Object(await harness.options[at]?.onPayload?.(payload, MODEL)).service_tier;
	const within = (harness: Harness, fastMode: "off" | "auto" | "always") => {
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, fastMode } };
		return harness;
	};

	it.each<["off" | "auto" | "always", number, number, string | undefined]>([
		["off", 0, 0, undefined],
		["always", 99, 99, "priority"],
		["auto", 70, 70, "priority"],
		["auto", 70.1, 0, undefined],
		["auto", 0, 71, undefined],
	])("is asked for if it is %s, with %d and %d percent used: %s", async (fastMode, used5h, used7d, tier) => {
		const harness = within(someone("a"), fastMode);
		harness.pool.noteUsage(anId("a"), spent(used5h, used7d));
		await harness.ask();
		expect(await tierOf(harness, 0)).toBe(tier);
	});

	it("the faster tier is not asked for by itself of an account that nothing is known of", async () => {
		const harness = within(someone("a"), "auto");
		await harness.ask();
		expect(await tierOf(harness, 0)).toBeUndefined();
	});

	it("is a matter of each account that serves, and of the settings as they are then", async () => {
		const harness = within(someone("a", "b"), "auto");
		harness.pool.noteUsage(anId("a"), spent(90, 0));
		harness.pool.noteUsage(anId("b"), spent(10, 0));
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.play("a", LIMIT);
		await harness.ask();
		within(harness, "off");
		await harness.ask();
		expect(harness.tries).toEqual(["a", "b", "b"]);
		expect([await tierOf(harness, 0), await tierOf(harness, 1), await tierOf(harness, 2)]).toEqual([
			undefined,
			"priority",
			undefined,
		]);
	});
});

describe("a session at work", () => {
	it("is counted on the account that serves it, and a choice is one only if it moves", async () => {
		const harness = someone("a", "b");
		await harness.ask();
		expect([[...harness.state.live], harness.state.chosenLast]).toEqual([[["s", "a"]], "a"]);
		harness.state.chosenLast = undefined;
		await harness.ask();
		expect([[...harness.state.live], harness.state.chosenLast]).toEqual([[["s", "a"]], undefined]);
		harness.play("a", LIMIT);
		await harness.ask();
		expect([[...harness.state.live], harness.state.chosenLast]).toEqual([[["s", "b"]], "b"]);
	});

	it.each([
		{ how: "has come", end: answered("late") },
		{ how: "has failed", end: failedWith("overloaded") },
	])("is counted as long as its answer takes, and no longer when that $how", async ({ end }) => {
		vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
		onTestFinished(() => void vi.useRealTimers());
		const harness = someone("a", "b");
		const occupy = vi.spyOn(harness.state, "acquireLease");
		const finish: (() => void)[] = [];
		harness.play("a", async function* (options) {
			await new Promise<void>((resolve) => finish.push(resolve));
			yield* end(options);
		});
		const answer = harness.ask();
		await settled();
		expect(occupy.mock.calls).toEqual([["s", "a", true]]);
		vi.advanceTimersByTime(20 * MINUTE_MS);
		expect(occupy.mock.calls.slice(1)).toEqual(Array.from({ length: 20 }, () => ["s", "a", false]));
		for (const each of finish) each();
		await answer;
		occupy.mockClear();
		vi.advanceTimersByTime(20 * MINUTE_MS);
		expect(occupy.mock.calls).toEqual([]);
	});

	it("is counted before the answer is there: others that begin meanwhile go elsewhere", async () => {
		const harness = someone("a", "b");
		const elsewhere: (string | undefined)[] = [];
		const look: Play = (options) => {
			elsewhere.push(planOf(harness, { sessionId: aSessionId("other") }).next?.id);
			return answered()(options);
		};
		harness.play("a", look);
		await harness.ask();
		expect(elsewhere).toEqual(["b"]);
	});

	it("is counted from the end of its answer, however long that took", async () => {
		const harness = someone("a");
		const occupied: [session: string, account: string, isChoice: boolean, at: number][] = [];
		harness.state.acquireLease = (session, account, isChoice) => {
			occupied.push([session, account, isChoice, harness.clock.at]);
		};
		harness.play("a", (options) => {
			harness.clock.at += 10 * MINUTE_MS;
			return answered()(options);
		});
		await harness.ask();
		expect(occupied).toEqual([
			["s", "a", true, NOW],
			["s", "a", false, NOW + 10 * MINUTE_MS],
		]);
	});

	it("goes to an account with other sessions on it rather than fail", async () => {
		const harness = someone("a");
		for (let each = 0; each < 20; each += 1) harness.state.live.set(`other-${each}`, anId("a"));
		expect((await harness.ask()).text).toBe("from a");
	});

	it("asks for the accounts that cool, behind the wait for one of them", async () => {
		const harness = someone("a");
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs: 60_000 } };
		harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown({ until: NOW + 10_000 })], strikes: 0 });
		expect((await harness.ask()).text).toBe("from a");
		expect(harness.rechecks).toBe(10);
	});

	it("goes on at once if such an account turns out to be back", async () => {
		const harness = someone("a");
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs: HOUR_MS } };
		harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown({ until: NOW + 30 * MINUTE_MS })], strikes: 0 });
		harness.onPause = () => {
			if (harness.rechecks < 3) return;
			const windows = [{ usedPercent: 0, windowMinutes: 300 }];
			harness.pool.noteUsage(anId("a"), aSnapshot({ source: "api", capturedAt: NOW + 2 * MINUTE_MS, windows }));
		};
		expect((await harness.ask()).text).toBe("from a");
		expect(harness.pauses.length).toBe(3);
	});

	it("does not ask for them if there is no account to wait for", async () => {
		const harness = someone("a");
		harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown()], strikes: 0 });
		await harness.ask();
		expect(harness.rechecks).toBe(0);
	});
});
