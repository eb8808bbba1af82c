import { describe, expect, it, type onTestFinished } from "vitest";
import { type Answer, answers, reasoningBlob, type ScriptedAnswer } from "../support/fake-codex/index.ts";
import { OLDEST_HOST } from "../support/hosts.ts";
import { ANY_HOST, coreOf, wide } from "../support/tiers.ts";
import { type Bench, type BenchOptions, createBench, type StoredStatus, until } from "./support.ts";

/** Over HTTP, where every pi tells the headers of a refusal. */
const benchOverHttp = ({ settings, ...options }: BenchOptions, whenFinished: typeof onTestFinished) =>
	createBench({ settings: { transport: "sse", ...settings }, ...options }, whenFinished);

/** The oldest pi repeats a refusal three times by itself if only the body tells what it is. */
const TRIES = ANY_HOST === "0.73.1" ? 4 : 1;

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** With usage unknown the order of accounts is that of the list, whatever is fetched meanwhile. */
const usageUnknown = answers.serverError(503);
/** pi's own turn retry, without its pauses. */
const quickRetry = { retry: { maxRetries: 2, baseDelayMs: 20 } };
const epochSeconds = (ms: number) => String(Math.ceil((Date.now() + ms) / SECOND_MS));
const headersOf = (family: string, usedPercent: number, windowMinutes: number, resetsInMs: number) => ({
	[`x-${family}-primary-used-percent`]: String(usedPercent),
	[`x-${family}-primary-window-minutes`]: String(windowMinutes),
	[`x-${family}-primary-reset-at`]: epochSeconds(resetsInMs),
});

const LIMIT = "The usage limit has been reached";
const UNVERIFIED =
	"The encrypted content gAAA...= could not be verified. Reason: Encrypted content could not be decrypted.";
const NOT_SUPPORTED = "The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account.";

/** A cooldown as it should be stored, and its length. */
interface Expected {
	/** `model` is that of the host. */
	readonly scope: "account" | "model" | `limit:${string}`;
	readonly reason: string;
	readonly lastsMs: number;
}

interface Case {
	readonly what: string;
	/** What `a` answers first; after that it is healthy. */
	readonly first: readonly ScriptedAnswer[];
	/** Who is asked for one prompt, of `a` and `b`. */
	readonly asked: readonly string[];
	/** On `a`, afterwards. Nothing is ever held against `b`. */
	readonly cooldown?: Expected;
	readonly strikes?: number;
	readonly settings?: Readonly<Record<string, unknown>>;
	/** Told in another way than in a row that leads to the same. */
	readonly isVariant?: true;
}

const accountLimit = (lastsMs: number): Expected => ({ scope: "account", reason: "usage_limit", lastsMs });
const throttled = (lastsMs: number): Expected => ({ scope: "account", reason: "rate_limit", lastsMs });
const forModel = (reason: string, lastsMs: number): Expected => ({ scope: "model", reason, lastsMs });
const workspaceDisabled: Expected = { scope: "account", reason: "workspace_disabled", lastsMs: HOUR_MS };

const CASES: readonly Case[] = [
	{
		what: "a usage limit with headers and body",
		first: [answers.usageLimit({ resetsInMs: 3 * HOUR_MS })],
		asked: ["a", "b"],
		cooldown: accountLimit(3 * HOUR_MS),
	},
	{
		what: "a usage limit with headers alone",
		isVariant: true,
		first: [answers.usageLimit({ resetsInMs: 100 * HOUR_MS, body: false })],
		asked: ["a", "b"],
		cooldown: accountLimit(100 * HOUR_MS),
	},
	{
		what: "two spent windows: the later reset counts",
		first: [
			() => {
				const week = { usedPercent: 100, windowMinutes: 10_080, resetsAt: Date.now() + 50 * HOUR_MS };
				const fiveHour = { usedPercent: 100, windowMinutes: 300, resetsAt: Date.now() + HOUR_MS };
				return answers.usageLimit({ windows: [week, fiveHour], body: false });
			},
		],
		asked: ["a", "b"],
		cooldown: accountLimit(50 * HOUR_MS),
	},
	{
		what: "a usage limit of the limit that is called premium",
		isVariant: true,
		first: [
			() =>
				answers.refuse(429, "", {
					...headersOf("codex", 100, 300, 2 * HOUR_MS),
					"x-codex-active-limit": "premium",
				}),
		],
		asked: ["a", "b"],
		cooldown: accountLimit(2 * HOUR_MS),
	},
	{
		what: "a usage limit inside the stream, with no reset told",
		first: [answers.failedBeforeOutput("usage_limit_reached", LIMIT)],
		asked: ["a", "b"],
		cooldown: accountLimit(HOUR_MS),
	},
	{
		what: "no reset told, and the person's own cooldown",
		isVariant: true,
		first: [answers.failedBeforeOutput("usage_limit_reached", LIMIT)],
		asked: ["a", "b"],
		cooldown: accountLimit(8 * HOUR_MS),
		settings: { "pi-multicodex": { rotation: { cooldown: "8h" } } },
	},
	{
		what: "an error event with a usage limit",
		isVariant: true,
		first: [answers.errorEvent("usage_limit_reached", LIMIT)],
		asked: ["a", "b"],
		cooldown: accountLimit(HOUR_MS),
	},
	{ what: "a bare 429", first: [answers.bare429()], asked: ["a", "b"], cooldown: throttled(MINUTE_MS) },
	{
		what: "a rate limit of one second, once",
		first: [answers.rateLimit({ retryAfterSeconds: 1 })],
		asked: ["a", "a"],
	},
	{
		what: "a rate limit of one second, twice",
		isVariant: true,
		first: [answers.rateLimit({ retryAfterSeconds: 1 }), answers.rateLimit({ retryAfterSeconds: 1 })],
		asked: ["a", "a", "b"],
	},
	{
		what: "a rate limit told in milliseconds",
		isVariant: true,
		first: [answers.refuse(429, "", { "retry-after-ms": "300" })],
		asked: ["a", "a"],
	},
	{
		what: "a rate limit of more than ten seconds",
		isVariant: true,
		first: [answers.rateLimit({ retryAfterSeconds: 11 })],
		asked: ["a", "b"],
		cooldown: throttled(11 * SECOND_MS),
	},
	{
		what: "a plan without Codex, as 403",
		isVariant: true,
		first: [answers.usageNotIncluded(403)],
		asked: ["a", "b"],
		cooldown: forModel("not_included", HOUR_MS),
	},
	{
		what: "a model that the account may not use, as 400",
		first: Array.from({ length: TRIES }, () => answers.modelNotSupported("gpt-5.5")),
		asked: [...Array.from({ length: TRIES }, () => "a"), "b"],
		cooldown: forModel("model_not_supported", 10 * MINUTE_MS),
	},
	{
		what: "a deactivated workspace",
		first: [answers.deactivatedWorkspace()],
		asked: ["a", "b"],
		cooldown: workspaceDisabled,
		strikes: 1,
	},
	{
		what: "encrypted reasoning that is refused once",
		first: [answers.failedBeforeOutput("invalid_encrypted_content", UNVERIFIED)],
		asked: ["a", "a"],
	},
	{
		what: "a continuation that is gone",
		first: [answers.failedBeforeOutput("previous_response_not_found", "Previous response with id 'resp_1' not found.")],
		asked: ["a", "a"],
	},
];

describe("what one account's refusal leads to", () => {
	it.concurrent.for(coreOf(CASES, ({ isVariant }) => !isVariant))("$what", async (row, { onTestFinished, expect }) => {
		const options = { usage: usageUnknown, ...(row.settings && { settings: row.settings }) };
		const bench = await benchOverHttp(options, onTestFinished);
		bench.codex.account("a").next(...row.first);
		const result = await bench.print("say hi");
		const last = row.asked.at(-1);
		const count = row.asked.filter((name) => name === last).length;
		expect(result).toMatchObject({ code: 0, stdout: `OK from ${last} #${count}\n`, stderr: "" });
		expect(bench.asked()).toEqual(row.asked);
		expect(bench.codex.account("a").pendingAnswers).toBe(0);
		if (row.cooldown) expectCooldown(bench, "a", row.cooldown);
		expect(bench.status("a").strikes).toBe(row.strikes ?? 0);
		expect(bench.stored("a")).toMatchObject({ enabled: true, needsLogin: null });
		if (last === "a") expect(bench.status("a").cooldowns).toEqual([]);
		expect(bench.status("b").cooldowns).toEqual([]);
	});

	wide.concurrent("a pause that is asked for is kept", async ({ onTestFinished, expect }) => {
		const bench = await benchOverHttp({ usage: usageUnknown }, onTestFinished);
		bench.codex.account("a").next(answers.rateLimit({ retryAfterSeconds: 2 }));
		await bench.print("say hi");
		const [refused, answered] = bench.codex.responsesRequests("a");
		expect((answered?.at ?? 0) - (refused?.endedAt ?? 0)).toBeGreaterThanOrEqual(2 * SECOND_MS - 5);
	});
});

/** Exactly one cooldown, which ends `lastsMs` after the refusal (a reset comes in whole seconds). */
function expectCooldown(bench: Bench, name: string, { scope, reason, lastsMs }: Expected): void {
	const { cooldowns } = bench.status(name);
	expect(cooldowns).toMatchObject([{ scope: scope === "model" ? `model:${bench.host.model}` : scope, reason }]);
	const refusedAt = bench.codex.responsesRequests(name).findLast(({ status }) => status !== undefined)?.endedAt ?? 0;
	const lasts = (cooldowns[0]?.until ?? 0) - refusedAt;
	expect(lasts).toBeGreaterThan(lastsMs - 5 * SECOND_MS);
	expect(lasts).toBeLessThan(lastsMs + 5 * SECOND_MS);
}

interface Surfaced {
	readonly what: string;
	readonly always: Answer;
	/** Another answer of a kind that another row has. */
	readonly isVariant?: true;
}

/** Faults of no account: what pi makes of them alone is what it must make of them with us. */
const SURFACED: readonly Surfaced[] = [
	{ what: "a Cloudflare challenge", always: answers.cloudflare() },
	{
		what: "an overload inside the stream",
		always: answers.failedBeforeOutput(
			"server_is_overloaded",
			"Our servers are currently overloaded. Try again later.",
		),
	},
	{
		what: "an overload after text",
		isVariant: true,
		always: answers.failedAfterOutput("slow_down", "The server is overloaded.", "half"),
	},
];

describe("a failure that no account causes is left to pi", () => {
	it.concurrent.for(coreOf(SURFACED, ({ isVariant }) => !isVariant))(
		"$what",
		async ({ always }, { onTestFinished, expect }) => {
			const plain = await benchOverHttp({ accounts: [], strangers: ["a"], settings: quickRetry }, onTestFinished);
			plain.dir.write("auth.json", { "openai-codex": plain.codex.piAuthEntry("a") });
			const bench = await benchOverHttp({ usage: usageUnknown, settings: quickRetry }, onTestFinished);
			plain.codex.account("a").always(always);
			bench.codex.account("a").always(always);
			const [without, withUs] = await Promise.all([
				plain.print("say hi", [], { extension: false }),
				bench.print("say hi"),
			]);
			const { code, stdout, stderr } = without;
			expect(withUs).toMatchObject({ code, stdout, stderr });
			expect(plain.asked().length).toBeGreaterThan(0);
			expect(bench.asked()).toEqual(plain.asked());
			for (const name of ["a", "b"]) {
				expect(bench.status(name)).toMatchObject({ cooldowns: [], strikes: 0 });
				expect(bench.stored(name)).toMatchObject({ enabled: true, needsLogin: null });
			}
		},
	);

	wide.concurrent(
		"encrypted reasoning that is refused even when it is left out",
		async ({ onTestFinished, expect }) => {
			const bench = await benchOverHttp({ usage: usageUnknown }, onTestFinished);
			bench.codex.account("a").always(answers.failedBeforeOutput("invalid_encrypted_content", UNVERIFIED));
			expect(await bench.print("say hi")).toMatchObject({ code: 1, stdout: "", stderr: `${UNVERIFIED}\n` });
			expect(bench.asked()).toEqual(["a", "a"]);
			expect(bench.status("a").cooldowns).toEqual([]);
		},
	);
});

describe("encrypted reasoning that the next account refuses", () => {
	it.concurrent("is left out in one retry on that account, and from then on at once", async ({
		onTestFinished,
		expect,
	}) => {
		const bench = await benchOverHttp({ usage: usageUnknown }, onTestFinished);
		const { codex } = bench;
		codex.account("a").next(answers.text("thought through", { reasoning: true }));
		codex.account("a").always(answers.usageLimit({ resetsInMs: HOUR_MS }));
		codex.account("b").always(answers.refuseReasoning());
		const rpc = bench.rpc();
		expect((await rpc.prompt("first question")).text).toBe("thought through");
		const blob = reasoningBlob("a");

		codex.clearRequests();
		expect(await rpc.prompt("second question")).toMatchObject({ stopReason: "stop", retries: 0 });
		const bodies = codex.responsesRequests("b").map(({ bodyText }) => bodyText);
		// The last one is our one retry.
		const withReasoning = Array.from({ length: TRIES }, () => true);
		expect(bodies.map((body) => body.includes(blob))).toEqual([...withReasoning, false]);
		expect(codex.responsesRequests("a")).toHaveLength(1);
		for (const kept of ["first question", "thought through", "second question"]) {
			expect(bodies.at(-1)).toContain(kept);
		}
		expect(bench.status("b").cooldowns).toEqual([]);

		codex.clearRequests();
		expect(await rpc.prompt("third question")).toMatchObject({ stopReason: "stop", retries: 0 });
		expect(bench.asked()).toEqual(["b"]);
		expect(codex.responsesRequests()[0]?.bodyText).not.toContain(blob);
	});
});

describe("a limit that only some models draw on", () => {
	it.concurrent("leaves the account to the other models", async ({ onTestFinished, expect }) => {
		const bench = await benchOverHttp({ usage: usageUnknown }, onTestFinished);
		const spark = ["--model", "openai-codex/gpt-5.3-codex-spark"];
		const isSpark = (body: Readonly<Record<string, unknown>> | undefined) => body?.model === "gpt-5.3-codex-spark";
		bench.codex.account("a").always((request) => {
			if (!isSpark(request.body)) return answers.echoAccount();
			return answers.perModelLimit({ limitId: "codex_bengalfox", resetsInMs: 20 * HOUR_MS });
		});
		expect((await bench.print("first", spark)).stdout).toBe("OK from b #1\n");
		expectCooldown(bench, "a", { scope: "limit:codex_bengalfox", reason: "usage_limit", lastsMs: 20 * HOUR_MS });
		expect((await bench.print("second", spark)).stdout).toBe("OK from b #2\n");
		bench.codex.account("b").always(answers.usageLimit());
		expect((await bench.print("third")).stdout).toBe("OK from a #2\n");
		// The refusal, twice the other account, and the account itself for another model.
		expect(bench.asked().filter((name) => name === "a")).toHaveLength(2);
		const shown: unknown = JSON.parse((await bench.print("/multicodex show --json")).stdout);
		expect(shown).toMatchObject({ accounts: [{ label: "a", state: "ready" }, { label: "b" }] });
	});
});

describe("a model that is refused for an account", () => {
	it.concurrent("leaves the account to the other models", async ({ onTestFinished, expect }) => {
		const bench = await benchOverHttp({ usage: usageUnknown }, onTestFinished);
		bench.codex.account("a").next(answers.failedBeforeOutput("invalid_request_error", NOT_SUPPORTED));
		expect((await bench.print("first")).stdout).toBe("OK from b #1\n");
		expect((await bench.print("second")).stdout).toBe("OK from b #2\n");
		expect((await bench.print("third", ["--model", "openai-codex/gpt-5.4"])).stdout).toBe("OK from a #2\n");
	});

	wide.concurrent(
		"a model that is refused for every account ends in pi's own words",
		async ({ onTestFinished, expect }) => {
			const bench = await benchOverHttp({ accounts: ["a", "b", "c"], usage: usageUnknown }, onTestFinished);
			const refusal = answers.failedBeforeOutput("invalid_request_error", NOT_SUPPORTED);
			for (const account of bench.codex.accounts) account.always(refusal);
			const result = await bench.print("say hi");
			expect(result).toMatchObject({ code: 1, stdout: "", stderr: `${NOT_SUPPORTED}\n` });
			expect(bench.asked()).toEqual(["a", "b", "c"]);

			const again = await bench.print("say hi");
			expect(again).toMatchObject({ code: 1, stdout: "" });
			expect(again.stderr.trim().split("\n")).toHaveLength(1);
			expect(bench.asked()).toEqual(["a", "b", "c"]);
		},
	);

	// Newer pis show the whole body. With us they show the sentence in it.
	it.concurrent("a model that the only account refuses with 400 reads as in plain pi", async ({
		onTestFinished,
		expect,
	}) => {
		const plain = await benchOverHttp({ host: OLDEST_HOST, accounts: [], strangers: ["a"] }, onTestFinished);
		plain.dir.write("auth.json", { "openai-codex": plain.codex.piAuthEntry("a") });
		const bench = await benchOverHttp({ host: OLDEST_HOST, accounts: ["a"], usage: usageUnknown }, onTestFinished);
		for (const { codex } of [plain, bench]) codex.account("a").always(answers.modelNotSupported("gpt-5.5"));
		const [without, withUs] = await Promise.all([
			plain.print("say hi", [], { extension: false }),
			bench.print("say hi"),
		]);
		expect(without.stderr).toContain(NOT_SUPPORTED);
		expect(withUs).toMatchObject({ code: 1, stdout: "", stderr: without.stderr });
	});
});

describe("a limit of the whole workspace", () => {
	it.concurrent("takes its other seats out as well, and goes on elsewhere", async ({ onTestFinished, expect }) => {
		const seat = (name: string) => ({ name, accountId: "acct-shared" });
		const bench = await benchOverHttp({ accounts: [seat("a"), seat("b"), "c"], usage: usageUnknown }, onTestFinished);
		expect(new Set(["a", "b", "c"].map(bench.id)).size).toBe(3);
		bench.codex.account("a").next(answers.workspaceLimit("workspace_owner_usage_limit_reached"));
		expect((await bench.print("say hi")).stdout).toBe("OK from c #1\n");
		expect(bench.asked()).toEqual(["a", "c"]);
		for (const name of ["a", "b"]) {
			expect(bench.status(name).cooldowns).toMatchObject([{ scope: "account", reason: "workspace_limit" }]);
		}
		expect(bench.status("c").cooldowns).toEqual([]);
	});
});

describe("a 429 that does not say why", () => {
	it.concurrent("lasts until the reset once the usage endpoint has told", async ({ onTestFinished, expect }) => {
		const bench = await benchOverHttp({}, onTestFinished);
		const rpc = bench.rpc();
		await until("usage to be known", () => ["a", "b"].every((name) => bench.status(name).usage !== undefined));
		bench.codex.account("a").always(answers.usageLimit({ headers: false, resetsInMs: 4 * HOUR_MS }));
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		await until("the reset to be stored", () => lastsAtLeast(bench.status("a"), 3 * HOUR_MS));
		expectCooldown(bench, "a", accountLimit(4 * HOUR_MS));
	});

	wide.concurrent("stays short while the usage endpoint sees room", async ({ onTestFinished, expect }) => {
		const bench = await benchOverHttp({}, onTestFinished);
		const rpc = bench.rpc();
		await until("usage to be known", () => ["a", "b"].every((name) => bench.status(name).usage !== undefined));
		bench.codex.account("a").always(answers.bare429());
		bench.codex.clearRequests();
		const refusedAt = Date.now();
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		await until("the usage to be asked and stored", () => (bench.status("a").usage?.capturedAt ?? 0) >= refusedAt);
		expectCooldown(bench, "a", throttled(MINUTE_MS));
	});
});

function lastsAtLeast({ cooldowns }: StoredStatus, ms: number): boolean {
	return cooldowns.some((cooldown) => cooldown.until - Date.now() > ms);
}

describe("an account whose workspace is refused", () => {
	/** Lets the cooldowns run out, as an hour would. */
	function letCooldownsEnd({ dir }: Bench): void {
		const state = dir.readJson("codex-state.json") as { accounts: Record<string, object> };
		const accounts = Object.entries(state.accounts).map(([id, status]) => [id, { ...status, cooldowns: [] }]);
		dir.write("codex-state.json", { ...state, accounts: Object.fromEntries(accounts) });
	}

	it.concurrent("an account that is refused three times in a row is switched off, with a notice", async ({
		onTestFinished,
		expect,
	}) => {
		const bench = await benchOverHttp({ usage: usageUnknown }, onTestFinished);
		bench.codex.account("a").always(answers.deactivatedWorkspace());
		for (const strikes of [1, 2]) {
			expect(await bench.print("say hi")).toMatchObject({ code: 0, stderr: "" });
			expect(bench.status("a").strikes).toBe(strikes);
			expect(bench.stored("a").enabled).toBe(true);
			letCooldownsEnd(bench);
		}
		const third = await bench.print("say hi");
		expect(third).toMatchObject({ code: 0, stdout: "OK from b #3\n" });
		expect(third.stderr).toMatch(/^Codex account a is off: its workspace is disabled\.\n$/);
		expect(bench.stored("a")).toMatchObject({ enabled: false, needsLogin: null });
		letCooldownsEnd(bench);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stderr: "" });
		expect(bench.asked()).toEqual(["a", "b", "a", "b", "a", "b", "b"]);
	});

	wide.concurrent("is kept when it answers in between", async ({ onTestFinished, expect }) => {
		const bench = await benchOverHttp({ usage: usageUnknown }, onTestFinished);
		const refusal = answers.deactivatedWorkspace();
		bench.codex.account("a").next(refusal, refusal, answers.echoAccount(), refusal);
		for (const strikes of [1, 2, 0, 1]) {
			expect(await bench.print("say hi")).toMatchObject({ code: 0, stderr: "" });
			expect(bench.status("a").strikes).toBe(strikes);
			letCooldownsEnd(bench);
		}
		expect(bench.stored("a").enabled).toBe(true);
	});
});
