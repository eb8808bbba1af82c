import { describe, expect, it } from "vitest";
import { showSchema } from "../../src/pi/json-schemas.ts";
import { type Answer, answers } from "../support/fake-codex/index.ts";
import { type HostName, hostNames, NEWEST_HOST, OLDEST_HOST } from "../support/hosts.ts";
import { coreOf, isAtAnEnd, wide } from "../support/tiers.ts";
import { type Bench, type BenchOptions, createBench, until } from "./support.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** With usage unknown the order of accounts is that of the list, whatever is fetched meanwhile. */
const usageUnknown = answers.serverError(503);
/** pi's own turn retry, without its pauses. */
const quickRetry = { retry: { enabled: true, maxRetries: 2, baseDelayMs: 20 } };
const SSE = { transport: "sse", ...quickRetry };

const ends: readonly HostName[] = hostNames.filter(isAtAnEnd);
const inCore = (host: HostName) => ends.filter((each) => coreOf(ends, (one) => one === host).includes(each));
const onNewest = inCore(NEWEST_HOST);

const overHttp = (host: HostName, options: BenchOptions = {}) =>
	createBench({ host, usage: usageUnknown, settings: SSE, ...options });

/** The accounts that were asked, the repeats of one account counted once: the oldest host repeats some by itself. */
const turnsOf = (bench: Bench) => bench.asked().filter((name, at, all) => name !== all[at - 1]);

async function shown(bench: Bench) {
	const { stdout } = await bench.print("/multicodex show --json");
	return showSchema.parse(JSON.parse(stdout)).accounts;
}

function expectRest(bench: Bench, name: string, reason: string, lastsMs: number): void {
	const { cooldowns } = bench.status(name);
	expect(cooldowns).toMatchObject([{ scope: "account", reason }]);
	expect(Math.abs((cooldowns[0]?.until ?? 0) - Date.now() - lastsMs)).toBeLessThan(MINUTE_MS);
}

describe.each(onNewest)("a refusal that no row knows, on pi %s", (host) => {
	const denied = answers.refuse(403, { detail: { code: "codex_workspace_access_denied" } });

	it("is tried elsewhere in the same turn, and the next turn does not begin there", async () => {
		const bench = await overHttp(host);
		bench.codex.account("a").always(denied);
		await bench.print("/multicodex use a");
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		expect(turnsOf(bench)).toEqual(["a", "b"]);
		expectRest(bench, "a", "refused", 10 * MINUTE_MS);
		bench.codex.clearRequests();
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #2\n" });
		expect(turnsOf(bench)).toEqual(["b"]);
		const [a] = await shown(bench);
		expect(a).toMatchObject({ state: "cooling", lastError: expect.stringContaining("codex_workspace_access_denied") });
	});

	wide("is surfaced if two accounts are refused alike, none rests, and the next turn begins with a third", async () => {
		const bench = await overHttp(host, { accounts: ["a", "b", "c"] });
		for (const name of ["a", "b"]) bench.codex.account(name).always(denied);
		const first = await bench.print("say hi");
		expect(first).toMatchObject({ code: 1, stdout: "" });
		expect(first.stderr).toContain("codex_workspace_access_denied");
		expect(turnsOf(bench)).toEqual(["a", "b"]);
		for (const name of ["a", "b"]) expect(bench.status(name).cooldowns).toEqual([]);
		bench.codex.clearRequests();
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from c #1\n" });
		expect(turnsOf(bench)).toEqual(["c"]);
	});
});

describe.each(onNewest)("a 401 that no renewal mends, on pi %s", (host) => {
	wide("spends no renewal if it says why, and the reason is shown", async () => {
		const bench = await overHttp(host);
		const region = "Workspace is not authorized in this region.";
		bench.codex.account("a").always(answers.refuse(401, { detail: region }));
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		// The oldest host does not show the body of a 401, so one renewal is what tells there.
		const renewals = host === OLDEST_HOST ? 1 : 0;
		expect(bench.codex.tokenRequests()).toHaveLength(renewals);
		expect(bench.asked()).toEqual(host === OLDEST_HOST ? ["a", "a", "b"] : ["a", "b"]);
		expectRest(bench, "a", "unauthorized", HOUR_MS);
		const told = host === OLDEST_HOST ? "Codex refused the request with status 401." : region;
		expect((await shown(bench))[0]).toMatchObject({ lastError: told });
	});

	it("spends one renewal in all if it comes again right after it, over two sessions", async () => {
		const bench = await overHttp(host);
		bench.codex.account("a").always(answers.refuse(401, { detail: "No entry for this seat." }));
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		expect(bench.asked()).toEqual(["a", "a", "b"]);
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expectRest(bench, "a", "unauthorized", HOUR_MS);
		await bench.print("/multicodex reset quota");
		bench.codex.clearRequests();
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #2\n" });
		expect(bench.asked()).toEqual(["a", "b"]);
		expect(bench.codex.tokenRequests()).toEqual([]);
		expect(bench.stored("a")).toMatchObject({ enabled: true, needsLogin: null });
	});
});

const POLICIES: readonly (readonly [string, Answer])[] = [
	["as 403", answers.refuse(403, { error: { code: "access_program_not_enabled", message: "Not in this program." } })],
	["inside the stream", answers.failedBeforeOutput("bio_policy", "This request violates the bio policy.")],
	["as 400", answers.refuse(400, { error: { type: "content_policy_violation", message: "It violates the policy." } })],
	["as 403 under detail", answers.refuse(403, { detail: { code: "misalignment_policy_violation", message: "No." } })],
	["as an error event", answers.errorEvent("cyber_policy", "This request violates the cyber policy.")],
	["as 429", answers.refuse(429, { error: { code: "policy_capacity_unavailable", message: "Not now." } })],
];

describe.each(onNewest)("a policy that refuses, on pi %s", (host) => {
	// The oldest host shows no body of a 429, and no code of a 403: there they are refusals of the account.
	const forms = POLICIES.filter(([form]) => host !== OLDEST_HOST || !["as 403", "as 429"].includes(form));

	it.each(coreOf(forms))("ends as in pi alone, and moves and cools nothing: %s", async (_form, always) => {
		const plain = await createBench({ host, accounts: [], strangers: ["a"], settings: SSE });
		plain.dir.write("auth.json", { "openai-codex": plain.codex.piAuthEntry("a") });
		const bench = await overHttp(host);
		for (const { codex } of [plain, bench]) codex.account("a").always(always);
		const without = await plain.print("say hi", [], { extension: false });
		const { code, stdout, stderr } = without;
		expect(await bench.print("say hi")).toMatchObject({ code, stdout, stderr });
		expect(plain.asked().length).toBeGreaterThan(0);
		expect(bench.asked()).toEqual(plain.asked());
		for (const name of ["a", "b"]) expect(bench.status(name).cooldowns).toEqual([]);
	});
});

const epochSeconds = (inMs: number) => Math.ceil((Date.now() + inMs) / SECOND_MS);
const familyOf = (family: string, usedPercent: number) => ({
	[`x-${family}-primary-used-percent`]: String(usedPercent),
	[`x-${family}-primary-window-minutes`]: "10080",
	[`x-${family}-primary-reset-at`]: String(epochSeconds(3 * DAY_MS)),
});
const sparkSpent = () => ({ ...familyOf("codex", 20), ...familyOf("codex-bengalfox", 100) });

const NO_HEADER = "no header tells anything";
const SPARK_SPENT: readonly (readonly [string, () => Record<string, string>])[] = [
	[NO_HEADER, () => ({})],
	["the headers call another one active", () => ({ ...sparkSpent(), "x-codex-active-limit": "premium" })],
	["the headers call none active", sparkSpent],
];

describe.each(onNewest)("a spent limit of one model beside free general windows, on pi %s", (host) => {
	// The oldest host does not show the body of a 429: without headers it is a throttled account, which is back in a
	// minute.
	const forms = SPARK_SPENT.filter(([form]) => host !== OLDEST_HOST || form !== NO_HEADER);

	it.each(coreOf(forms))("leaves the account to the other models: %s", async (_form, headers) => {
		const additional = { limitName: "GPT-5.3-Codex-Spark", meteredFeature: "codex_bengalfox" };
		const limits = [{ ...additional, usedPercent: 100, resetsInMs: 3 * DAY_MS }];
		const quota = { week: { usedPercent: 20 } };
		const bench = await createBench({
			host,
			accounts: [{ name: "a", quota, additionalLimits: limits }, "b"],
			settings: SSE,
		});
		const body = { error: { type: "usage_limit_reached", message: "The usage limit has been reached" } };
		const resets = { resets_at: epochSeconds(3 * DAY_MS) };
		bench.codex.account("a").always(({ body: asked }) => {
			if (asked?.model !== "gpt-5.3-codex-spark") return answers.echoAccount();
			return answers.refuse(429, { error: { ...body.error, ...resets } }, headers());
		});
		const rpc = bench.rpc(["--model", "openai-codex/gpt-5.3-codex-spark"]);
		await bench.print("/multicodex use a");
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		const isOfLimit = () => bench.status("a").cooldowns.some(({ scope }) => scope.startsWith("limit:"));
		await until("the rest to be that of the limit alone", isOfLimit, 10_000);
		expect(bench.status("a").cooldowns).toMatchObject([{ scope: "limit:codex_bengalfox" }]);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #2\n" });
	});
});

describe.each(onNewest)("an account that pi cannot ask, on pi %s", (host) => {
	it("costs no turn if its token names no workspace", async () => {
		const a = { name: "a", claims: { chatgpt_account_id: null } };
		const bench = await overHttp(host, { accounts: [a, "b"] });
		for (const turn of [1, 2]) {
			expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: `OK from b #${turn}\n` });
		}
		expect(bench.asked()).toEqual(["b", "b"]);
		expect((await shown(bench))[0]?.state).not.toBe("ready");
	});
});

describe.each(hostNames.filter((host) => host === NEWEST_HOST))(
	"a refusal in a frame of a WebSocket, on pi %s",
	(host) => {
		it("a refusal for an expired token is healed by one renewal", async () => {
			const bench = await createBench({ host, usage: usageUnknown, settings: quickRetry });
			bench.codex.account("a").next(answers.unauthorized("token_expired"));
			expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #2\n" });
			expect(bench.codex.requestsOf("websocket-request").map(({ account }) => account)).toEqual(["a", "a"]);
			expect(bench.codex.tokenRequests()).toHaveLength(1);
			expect(bench.status("a").cooldowns).toEqual([]);
		});
	},
);

describe.each(inCore(OLDEST_HOST))("a model at capacity inside the stream, on pi %s", (host) => {
	it("costs no turn: pi itself asks again if it knows the words, else another account answers", async () => {
		const bench = await overHttp(host);
		const full = "Selected model is at capacity. Please try a different model.";
		bench.codex.account("a").next(answers.failedBeforeOutput("server_is_overloaded", full));
		const [answer, asked] = host === OLDEST_HOST ? ["OK from b #1\n", ["a", "b"]] : ["OK from a #2\n", ["a", "a"]];
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: answer });
		expect(bench.asked()).toEqual(asked);
		for (const name of ["a", "b"]) expect(bench.status(name).cooldowns).toEqual([]);
	});
});
