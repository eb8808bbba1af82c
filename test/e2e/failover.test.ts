import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { answers, startFakeCodex } from "../support/fake-codex/index.ts";
import { hostNames, NEWEST_HOST } from "../support/hosts.ts";
import type { Rpc } from "../support/rpc.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { type Bench, createBench, gapBetween, until } from "./support.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** What pi waits before its first own retry. How fast a rotation is beyond that, `test/bench` measures. */
const HOST_RETRY_MS = 1000;

/** With usage unknown the order of accounts is that of the list, whatever is fetched meanwhile. */
const usageUnknown = answers.serverError(503);
/** Over a socket no host shows when a quota is back, and what was said before is not sent again. */
const SSE = { transport: "sse" };
const spent = (resetsInMs = HOUR_MS) => answers.usageLimit({ resetsInMs });

/** Time from the end of each refusal to the arrival of the next account's request, ms. */
function gaps({ codex }: Bench): number[] {
	const requests = codex.responsesRequests();
	return requests.slice(1).map((request, index) => gapBetween(requests[index], request));
}

/** Every line of every session file of the bench. */
function sessionEntries({ dir }: Bench): { type: string; customType?: string; data?: unknown }[] {
	const folder = dir.path("sessions");
	return readdirSync(folder, { recursive: true, encoding: "utf8" })
		.filter((name) => name.endsWith(".jsonl"))
		.flatMap((name) => readFileSync(join(folder, name), "utf8").trim().split("\n"))
		.map((line) => JSON.parse(line));
}

function answersOf(rpc: Rpc): Promise<unknown> {
	return rpc.command("get_messages");
}

describe("an account that is out of quota", () => {
	it("hands the request to the next one at once, in one request each", async () => {
		const bench = await createBench({ usage: usageUnknown });
		bench.codex.account("a").always(spent());
		const quickest: number[] = [];
		for (let run = 0; run < 3; run += 1) {
			bench.dir.write("codex-state.json", { version: 1, pin: null, accounts: {} });
			bench.codex.clearRequests();
			const result = await bench.print("say hi");
			expect(result).toMatchObject({ code: 0, stdout: `OK from b #${run + 1}\n`, stderr: "" });
			expect(bench.asked()).toEqual(["a", "b"]);
			quickest.push(...gaps(bench));
		}
		expect(Math.min(...quickest), `gaps in ms: ${quickest}`).toBeLessThan(HOST_RETRY_MS);
	});

	it("is followed by as many others as it takes, up to the sixth", async () => {
		const names = ["a", "b", "c", "d", "e", "f"];
		const bench = await createBench({ accounts: names, usage: usageUnknown });
		for (const name of names.slice(0, 5)) bench.codex.account(name).always(spent());
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 0, stdout: "OK from f #1\n", stderr: "" });
		expect(bench.asked()).toEqual(names);
		expect(Math.min(...gaps(bench)), `gaps in ms: ${gaps(bench)}`).toBeLessThan(HOST_RETRY_MS);
	});

	it("gets the same request as the account before it, and nothing that tells who is who", async () => {
		const bench = await createBench({
			accounts: [{ name: "a", email: "me@secret.example" }, "b"],
			usage: usageUnknown,
		});
		bench.codex.account("a").always(spent());
		await bench.print("say hi");
		const [first, second] = bench.codex.responsesRequests();
		expect(second?.body).toEqual(first?.body);
		expect(Object.keys(second?.headers ?? {})).toEqual(Object.keys(first?.headers ?? {}));
		expect(second?.headers["chatgpt-account-id"]).toBe("acct-b");
		const wire = bench.codex.requests.map(({ headers, bodyText, query }) =>
			JSON.stringify({ headers, bodyText, query }),
		);
		for (const secret of ["me@secret.example", bench.id("a"), bench.id("b"), "multicodex"]) {
			expect(wire.filter((text) => text.includes(secret))).toEqual([]);
		}
	});

	it("is not asked again by other processes until its reset, and a shorter refusal does not shorten that", async () => {
		const bench = await createBench({ usage: usageUnknown, settings: SSE });
		const { codex } = bench;
		const refusedAt = Date.now();
		// Parallel sessions would spread over the two.
		expect((await bench.print("/multicodex use a")).code).toBe(0);
		// Two processes ask `a` at once; the long refusal is stored before the short one is given.
		codex.account("a").next(
			async () => {
				await until("both to ask", () => codex.responsesRequests("a").length === 2);
				return spent(72 * HOUR_MS);
			},
			async () => {
				await until("the first refusal to be stored", () => bench.status("a").cooldowns.length > 0);
				return answers.rateLimit({ retryAfterSeconds: 20 });
			},
		);
		const results = await Promise.all([bench.print("first"), bench.print("second")]);
		expect(results.map(({ code }) => code)).toEqual([0, 0]);
		expect(codex.responsesRequests("a")).toHaveLength(2);
		expect(codex.responsesRequests("b")).toHaveLength(2);
		const [cooldown, ...others] = bench.status("a").cooldowns;
		expect(others).toEqual([]);
		expect(cooldown).toMatchObject({ scope: "account", reason: "usage_limit" });
		expect(cooldown?.until).toBeGreaterThanOrEqual(refusedAt + 72 * HOUR_MS);

		codex.clearRequests();
		expect((await bench.print("third")).code).toBe(0);
		expect(bench.asked()).toEqual(["b"]);
	});

	it("is left out without being asked when its usage already says so", async () => {
		const bench = await createBench({
			accounts: [{ name: "a", quota: { fiveHour: { usedPercent: 100 } } }, "b"],
		});
		const rpc = bench.rpc();
		await until("the usage of a to be known", () => bench.status("a").cooldowns.length > 0);
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		expect(bench.asked()).toEqual(["b"]);
	});
});

describe("a usage endpoint that does not answer", () => {
	it("delays neither the answer nor the end of pi", async () => {
		const bench = await createBench({ usage: answers.hang() });
		bench.codex.account("a").always(spent());
		// Long enough for usage to be asked behind the request: of all processes one asks, and that is settled first.
		bench.codex.account("b").always(answers.slow({ beforeHeadersMs: 2000 }));
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 0, stdout: "OK from b #1\n", stderr: "" });
		expect(bench.codex.usageRequests().length).toBeGreaterThan(0);
		// A request is given up after 15 s; a pi that waited for that would not have ended before.
		expect(result.ms).toBeLessThan(12_000);
	});

	wide("delays the end of pi no more if the answer came over a WebSocket, and is followed", async () => {
		const bench = await createBench({ usage: answers.hang(), host: NEWEST_HOST });
		bench.codex.account("a").always(answers.slow({ beforeHeadersMs: 2000 }));
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
		expect(bench.codex.requestsOf("websocket-request")).toHaveLength(1);
		expect(result.ms).toBeLessThan(12_000);
	});
});

describe("a quota failure inside the stream", () => {
	const failure = ["usage_limit_reached", "The usage limit has been reached"] as const;

	it("rotates while nothing was shown, and nothing of the first try is left", async () => {
		const bench = await createBench({ usage: usageUnknown });
		bench.codex.account("a").always(answers.failedBeforeOutput(...failure));
		const { result, events } = await bench.json("say hi");
		expect(result).toMatchObject({ code: 0, stderr: "" });
		expect(bench.asked()).toEqual(["a", "b"]);
		const started = events.filter((event) => event.type === "message_start");
		const roles = started.map(({ message }) => (message as { role: string }).role);
		// 1.6.0 begins with the system prompt.
		expect(roles.filter((role) => role !== "system")).toEqual(["user", "assistant"]);
		expect(events.filter((event) => event.type === "auto_retry_start")).toEqual([]);
		expect(JSON.stringify(events)).not.toContain("usage limit");
		expect(JSON.stringify(events.findLast(({ type }) => type === "agent_end"))).toContain("OK from b #1");
	});

	it("a failure after text goes to pi's own retry, which finishes on the next account", async () => {
		const bench = await createBench({ usage: usageUnknown });
		bench.codex.account("a").always(answers.failedAfterOutput(...failure, "half of the first"));
		const { result, events } = await bench.json("say hi");
		expect(result.code).toBe(0);
		expect(bench.asked()).toEqual(["a", "b"]);
		const retries = events.filter((event) => event.type === "auto_retry_start");
		expect(retries).toHaveLength(1);
		expect(retries[0]?.errorMessage).toBe(
			"The Codex usage limit was reached while answering. Another account takes over after the retry delay.",
		);
		expect(JSON.stringify(bench.codex.responsesRequests("b")[0]?.body)).not.toContain("half of the first");
		const last = events.findLast(({ type }) => type === "agent_end");
		expect(JSON.stringify(last)).toContain("OK from b #1");
		expect(JSON.stringify(last)).not.toContain("half of the first");
		expect(bench.status("a").cooldowns).toMatchObject([{ scope: "account", reason: "usage_limit" }]);
	});

	wide("a failure after text leaves no half message in the session", async () => {
		const bench = await createBench({ usage: usageUnknown, settings: SSE });
		bench.codex.account("a").always(answers.failedAfterOutput(...failure, "half of the first"));
		const rpc = bench.rpc();
		const turn = await rpc.prompt("say hi");
		expect(turn).toMatchObject({ text: "OK from b #1", stopReason: "stop", retries: 1 });
		const kept = JSON.stringify(await answersOf(rpc));
		expect(kept).toContain("OK from b #1");
		expect(kept).not.toContain("half of the first");
		expect((await rpc.prompt("and again")).text).toBe("OK from b #2");
		const next = JSON.stringify(bench.codex.responsesRequests("b")[1]?.body);
		expect(next).toContain("OK from b #1");
		expect(next).not.toContain("half of the first");
	});

	it("a failure after text surfaces in pi's own words when no other account is left", async () => {
		const bench = await createBench({ accounts: ["a"], usage: usageUnknown });
		bench.codex.account("a").always(answers.failedAfterOutput(...failure, "half of the first"));
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 1, stdout: "", stderr: "The usage limit has been reached\n" });
		expect(bench.asked()).toEqual(["a"]);
		expect(bench.status("a").cooldowns).toMatchObject([{ scope: "account", reason: "usage_limit" }]);
	});
});

describe("a session", () => {
	it("stays on its account across --continue, while a new one starts with the first", async () => {
		const bench = await createBench({ usage: usageUnknown });
		// Without headers nothing is learned of its windows, so that the list alone decides later.
		bench.codex.account("a").next(answers.usageLimit({ headers: false }));
		expect((await bench.print("first")).stdout).toBe("OK from b #1\n");
		expect((await bench.print("/multicodex reset quota")).code).toBe(0);

		expect((await bench.print("second", ["--continue"])).stdout).toBe("OK from b #2\n");
		// Once per change of account, not once per answer.
		const remembered = sessionEntries(bench).filter(({ customType }) => customType === "multicodex");
		expect(remembered.map(({ data }) => data)).toEqual([{ account: bench.id("b") }]);

		expect((await bench.print("third")).stdout).toBe("OK from a #2\n");
		expect(bench.asked()).toEqual(["a", "b", "b", "a"]);
	});

	it.each(coreOf(hostNames))(
		"stays on its account on another branch of its tree, and across --continue, on %s",
		async (host) => {
			const bench = await createBench({ usage: usageUnknown, host, settings: { transport: "sse" } });
			bench.codex.account("a").next(answers.usageLimit({ headers: false }));
			const terminal = bench.terminal([], { rows: 40 });
			await terminal.ready();
			await terminal.submit("first");
			await terminal.waitForText("OK from b #1");
			expect((await bench.print("/multicodex reset quota")).code).toBe(0);

			// Back to the prompt before any record of the account.
			await terminal.submit("/tree");
			await terminal.waitForText(/› • assistant: OK from b #1/);
			await terminal.press("up");
			await terminal.waitForText(/› • user: first/);
			await terminal.press("enter");
			await terminal.waitForText("No summary");
			await terminal.press("enter");
			await terminal.waitForScreen((screen) => !/No summary|OK from b/.test(screen));
			await terminal.press("enter");
			await terminal.waitForText("OK from b #2");
			await terminal.stop();

			expect((await bench.print("again", ["--continue"])).stdout).toBe("OK from b #3\n");
			expect(bench.asked()).toEqual(["a", "b", "b", "b"]);
		},
	);

	it("moves on for good when its account runs out, and remembers that as well", async () => {
		const bench = await createBench({ usage: usageUnknown });
		const rpc = bench.rpc();
		expect((await rpc.prompt("first")).text).toBe("OK from a #1");
		bench.codex.account("a").next(spent());
		expect((await rpc.prompt("second")).text).toBe("OK from b #1");
		expect((await bench.print("/multicodex reset quota")).code).toBe(0);
		expect((await rpc.prompt("third")).text).toBe("OK from b #2");
		await rpc.close();
		const remembered = sessionEntries(bench).filter(({ customType }) => customType === "multicodex");
		expect(remembered.map(({ data }) => data)).toEqual([{ account: bench.id("a") }, { account: bench.id("b") }]);
	});
});

describe("a pinned account", () => {
	it("serves every process first, is kept while it cools, and again when it is back", async () => {
		const bench = await createBench({ accounts: ["a", "b", "c"], usage: usageUnknown });
		expect((await bench.print("/multicodex use b")).code).toBe(0);
		bench.codex.account("b").next(answers.echoAccount(), spent());
		expect((await bench.print("first")).stdout).toBe("OK from b #1\n");
		expect((await bench.print("second")).stdout).toBe("OK from a #1\n");
		expect(bench.pin()).toBe(bench.id("b"));
		expect((await bench.print("/multicodex reset quota")).code).toBe(0);
		expect((await bench.print("third")).stdout).toBe("OK from b #3\n");
		expect((await bench.print("/multicodex use auto")).code).toBe(0);
		expect((await bench.print("fourth")).stdout).toBe("OK from a #2\n");
		expect(bench.asked()).toEqual(["b", "b", "a", "b", "a"]);
	});

	it("takes over a running session of another process", async () => {
		const bench = await createBench({ usage: usageUnknown });
		const rpc = bench.rpc();
		expect((await rpc.prompt("first")).text).toBe("OK from a #1");
		expect((await bench.print("/multicodex use b")).code).toBe(0);
		expect((await rpc.prompt("second")).text).toBe("OK from b #1");
	});
});

describe("requests that are not ours", () => {
	// Over the transport that the host takes by itself. Those of newer hosts know their sockets by session alone.
	it.each(coreOf(hostNames))(
		"requests to the person's own provider carry none of our tokens, on pi %s",
		async (host) => {
			const bench = await createBench({ usage: usageUnknown, host });
			const other = await startFakeCodex({ accounts: ["own"] });
			try {
				const ownKey = other.grant("own").access;
				bench.dir.write("models.json", {
					providers: {
						"openai-codex": { baseUrl: bench.codex.baseUrl },
						mine: {
							baseUrl: other.baseUrl,
							api: "openai-codex-responses",
							apiKey: ownKey,
							models: [{ id: "gpt-5.5" }],
						},
					},
				});
				const rpc = bench.rpc();
				expect((await rpc.prompt("first")).text).toBe("OK from a #1");
				await rpc.command("set_model", { provider: "mine", modelId: "gpt-5.5" });
				expect((await rpc.prompt("second")).text).toBe("OK from own #1");
				// One that would rotate if it were ours; said in the stream, so that pi does not repeat it for seconds.
				const failure = answers.failedBeforeOutput("usage_limit_reached", "The usage limit has been reached");
				other.account("own").next(failure);
				expect(await rpc.prompt("third")).toMatchObject({
					stopReason: "error",
					errorMessage: expect.stringContaining("The usage limit has been reached"),
				});
				await rpc.command("set_model", { provider: "openai-codex", modelId: bench.host.model });
				expect((await rpc.prompt("fourth")).text).toBe("OK from a #2");
				const theirs = other.responsesRequests();
				expect(theirs.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${ownKey}`, `Bearer ${ownKey}`]);
				expect(bench.asked()).toEqual(["a", "a"]);
				const received = JSON.stringify(other.requests);
				expect(bench.codex.secrets().filter((secret) => received.includes(secret))).toEqual([]);
			} finally {
				await other.close();
			}
		},
	);

	it("requests with --api-key go out with that key and end as without us", async () => {
		const bench = await createBench({ strangers: ["guest"], usage: usageUnknown });
		const { access } = bench.codex.grant("guest");
		const args = ["--model", `openai-codex/${bench.host.model}`, "--api-key", access];
		const answered = await bench.print("say hi", args);
		expect(answered).toMatchObject({ code: 0, stdout: "OK from guest #1\n" });
		const failure = answers.failedBeforeOutput("usage_limit_reached", "The usage limit has been reached");
		bench.codex.account("guest").next(failure);
		const refused = await bench.print("say hi", args);
		expect(refused).toMatchObject({ code: 1, stdout: "", stderr: "The usage limit has been reached\n" });
		expect(bench.asked()).toEqual(["guest", "guest"]);
		expect(bench.codex.usageRequests("guest")).toEqual([]);
	});
});

describe("the notice of a rotation", () => {
	const startedAt = Date.now();
	const clockOf = (at: number) => {
		const clock = new Date(at).toISOString().slice(11, 16);
		const isToday = new Date(at).getUTCDate() === new Date(startedAt).getUTCDate();
		return isToday ? clock : `${new Date(at).toUTCString().slice(0, 3)} ${clock}`;
	};

	it("says in one line who ran out, until when, and what the next one has left", async () => {
		const bench = await createBench({
			accounts: ["side", { name: "work", quota: { fiveHour: { usedPercent: 27 } } }],
			settings: SSE,
		});
		const { codex } = bench;
		const rpc = bench.rpc();
		await until("usage to be known", () => ["side", "work"].every((name) => bench.status(name).usage !== undefined));
		const resetsAt = Date.now() + 80 * MINUTE_MS;
		codex.account("side").always(answers.usageLimit({ resetsInMs: 80 * MINUTE_MS }));
		await rpc.prompt("say hi");
		await until("the cooldown to be stored", () => bench.status("side").cooldowns.length > 0);
		const spentUntil = bench.status("side").cooldowns[0]?.until ?? 0;
		expect(Math.abs(spentUntil - resetsAt)).toBeLessThan(MINUTE_MS);
		expect(rpc.notifications.map(({ message, level }) => [level, message])).toEqual([
			[
				"info",
				`Codex: side reached its 5h limit (resets ${clockOf(spentUntil)}). Continued on work, 73% of its 5h limit left.`,
			],
		]);
		await rpc.prompt("again");
		expect(rpc.notifications).toHaveLength(1);
	});

	wide("is left out with notifications off, and wherever there is no screen", async () => {
		const bench = await createBench({
			usage: usageUnknown,
			settings: { "pi-multicodex": { notifications: false } },
		});
		bench.codex.account("a").next(spent());
		const rpc = bench.rpc();
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		expect(rpc.notifications).toEqual([]);
		await rpc.close();

		bench.dir.write("settings.json", { defaultProvider: "openai-codex", defaultModel: bench.host.model });
		bench.dir.write("codex-state.json", { version: 1, pin: null, accounts: {} });
		bench.codex.account("a").next(spent());
		const { result, events } = await bench.json("say hi");
		expect(result).toMatchObject({ code: 0, stderr: "" });
		expect(JSON.stringify(events)).not.toContain("Continued on");
		expect(bench.asked()).toEqual(["a", "b", "a", "b"]);
	});
});
