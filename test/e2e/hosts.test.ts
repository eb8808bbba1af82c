import { cpSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { z } from "zod";
import { answers, type RecordedRequest, usageAnswers } from "../support/fake-codex/index.ts";
import { findModernNode, type Host, type HostName, hostNames, repositoryRoot } from "../support/hosts.ts";
import { parseJsonEvents, runPi, startRpc } from "../support/pi.ts";
import type { Rpc } from "../support/rpc.ts";
import { coreOf, endHosts, isWide } from "../support/tiers.ts";
import { signPiInAs } from "./credentials-support.ts";
import { type Bench, createBench } from "./support.ts";

/** A pi version, and whether it has to be put on a Node with WebSockets of its own. */
interface Platform {
	readonly name: string;
	readonly host: HostName;
	readonly onNewNode: boolean;
}

const OLDEST = "0.73.1";
const hasOldest = hostNames.includes(OLDEST);
const onDefaultNode: readonly Platform[] = hasOldest ? [{ name: OLDEST, host: OLDEST, onNewNode: false }] : [];

/** 0.79.8 to 0.79.10 put their own function over ours with each call of it: one of them is enough. */
const withLostPlace: readonly HostName[] = isWide && hasOldest ? ["0.79.10"] : [];

/** Those that can open a WebSocket: 0.73.1 only finds one on a newer Node. */
const withWebSocket: readonly Platform[] = [...hostNames, ...withLostPlace].map((host) => ({
	name: host === OLDEST ? `${OLDEST} on a new Node` : host,
	host,
	onNewNode: host === OLDEST,
}));

const everyPlatform = [...onDefaultNode, ...withWebSocket];
const inCore = ({ host }: Platform) => endHosts.includes(host);

let newNode = "";
beforeAll(async () => {
	newNode = await findModernNode();
});

/** A refused usage call leaves the accounts in the order of the list. */
const usage = answers.serverError(500);
const inMoreThanAnHour = 100 * 60_000;
/** pi's own turn retry, which waits for two seconds otherwise. */
const settings = { retry: { enabled: true, maxRetries: 3, baseDelayMs: 50 } };
const half = answers.failedAfterOutput("usage_limit_reached", "The usage limit has been reached", "HALF OF IT");

function hostOf(bench: Bench, platform: Platform): Host {
	return platform.onNewNode ? { ...bench.host, node: newNode } : bench.host;
}

function run(bench: Bench, platform: Platform, ...args: readonly string[]) {
	return runPi(hostOf(bench, platform), bench.dir, args, { env: { PI_MULTICODEX_AUTH_URL: bench.codex.issuer } });
}

function print(bench: Bench, platform: Platform, ...prompts: readonly string[]) {
	return run(bench, platform, "-p", ...prompts);
}

const finalMessages = z.array(
	z.looseObject({ role: z.string(), stopReason: z.string().optional(), content: z.unknown() }),
);

const stateSchema = z.looseObject({ model: z.looseObject({ provider: z.string(), id: z.string() }) });

/** Asks once while the first account breaks off in mid-answer, and checks who finished the turn, and how. */
async function expectRetryElsewhere(bench: Bench, platform: Platform): Promise<void> {
	bench.codex.account("a").always(half);

	const result = await run(bench, platform, "--mode", "json", "say hi");

	expect(result).toMatchObject({ code: 0, stderr: "" });
	const events = parseJsonEvents(result.stdout);
	expect(events.filter(({ type }) => type === "auto_retry_start")).toHaveLength(1);
	const ends = events.filter(({ type }) => type === "agent_end");
	const last = finalMessages.parse(ends.at(-1)?.messages).filter(({ role }) => role === "assistant");
	expect(last.map(({ stopReason }) => stopReason)).toEqual(["stop"]);
	expect(JSON.stringify(last)).toContain("OK from b #1");
	expect(JSON.stringify(last)).not.toContain("HALF OF IT");
	expect(bench.asked()).toEqual(["a", "b"]);
	expect(bench.codex.responsesRequests("b")[0]?.bodyText).not.toContain("HALF OF IT");
}

function rpcOf(bench: Bench, platform: Platform): Rpc {
	const rpc = startRpc(hostOf(bench, platform), bench.dir, [], { env: { PI_MULTICODEX_AUTH_URL: bench.codex.issuer } });
	onTestFinished(async () => {
		await rpc.close();
	});
	return rpc;
}

function bearerOf(request: RecordedRequest | undefined): string | undefined {
	return request?.headers.authorization?.replace(/^Bearer /, "");
}

function only<T>(list: readonly T[]): T {
	const [first] = list;
	if (first === undefined || list.length !== 1) throw new Error(`one was expected, there are ${list.length}`);
	return first;
}

/** Of three accounts the first is refused before its stream and the second in it: the third answers. */
async function expectPassedOn(bench: Bench, platform: Platform): Promise<void> {
	bench.codex.account("a").always(answers.usageLimit({ resetsInMs: inMoreThanAnHour }));
	bench.codex
		.account("b")
		.always(answers.failedBeforeOutput("usage_limit_reached", "The usage limit has been reached"));

	const result = await print(bench, platform, "say hi");

	expect(result).toMatchObject({ code: 0, stdout: "OK from c #1\n" });
	expect(bench.asked()).toEqual(["a", "b", "c"]);
}

describe.each(everyPlatform)("pi $name, WebSockets refused", (platform) => {
	it("rotates past a refused and a failed account over SSE, with one request for each", async () => {
		const bench = await createBench({ host: platform.host, accounts: ["a", "b", "c"], usage });
		bench.codex.websocket = "refuse";
		await expectPassedOn(bench, platform);
		expect(bench.codex.requestsOf("websocket-request")).toEqual([]);
		expect(bench.codex.requestsOf("responses").map((request) => request.headers["chatgpt-account-id"])).toEqual(
			["a", "b", "c"].map((name) => bench.codex.account(name).accountId),
		);
	});
});

describe.each(coreOf(everyPlatform, (each) => inCore(each) && !each.onNewNode))(
	"pi $name, WebSockets refused",
	(platform) => {
		it("leaves a turn whose quota ran out in mid-answer to pi's retry, which finishes on another account", async () => {
			const bench = await createBench({ host: platform.host, usage, settings });
			bench.codex.websocket = "refuse";
			await expectRetryElsewhere(bench, platform);
			expect(bench.codex.requestsOf("websocket-request")).toEqual([]);
		});
	},
);

describe.each(coreOf(withWebSocket, inCore))("pi $name, WebSockets accepted", (platform) => {
	it("rotates on the error frame of a usage limit, each account on a socket of its own", async () => {
		const bench = await createBench({ host: platform.host, accounts: ["a", "b", "c"], usage });
		await expectPassedOn(bench, platform);
		const requests = bench.codex.requestsOf("websocket-request");
		expect(requests.map((request) => request.account)).toEqual(["a", "b", "c"]);
		expect(new Set(requests.map((request) => request.connectionId)).size).toBe(3);
		expect(requests.map((request) => request.headers["chatgpt-account-id"])).toEqual(
			["a", "b", "c"].map((name) => bench.codex.account(name).accountId),
		);
		expect(bench.status("a").cooldowns).toMatchObject([{ scope: "account", reason: "usage_limit" }]);
	});

	it("learns the reset from the usage endpoint when an error frame does not tell it", async () => {
		const bench = await createBench({ host: platform.host });
		const error = { type: "usage_limit_reached", message: "The usage limit has been reached" };
		const frame = answers.wsErrorFrame({ status: 429, error });
		bench.codex.account("a").always(frame);
		bench.codex
			.account("a")
			.usage(usageAnswers.windows(["fiveHour", { usedPercent: 100, resetsInMs: inMoreThanAnHour }]));
		// With fresh usage there is no question at the start of the request: the one question left is the one after the
		// frame.
		const known = { capturedAt: Date.now(), source: "api", windows: [] };
		const statusById = ["a", "b"].map((name) => [bench.id(name), { usage: known }] as const);
		bench.dir.write("codex-state.json", { version: 1, pin: null, accounts: Object.fromEntries(statusById) });
		const before = Date.now();
		const rpc = rpcOf(bench, platform);

		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: "OK from b #1" });

		await vi.waitFor(() => {
			const { until } = only(bench.status("a").cooldowns);
			expect(until).toBeGreaterThan(before + inMoreThanAnHour - 1_000);
		}, 15_000);
		expect(bench.codex.usageRequests("a")).toHaveLength(1);
		expect(bench.asked()).toEqual(["a", "b"]);
	});

	it("leaves a turn whose quota ran out in mid-answer to pi's retry, which finishes on another account", async () => {
		const bench = await createBench({ host: platform.host, usage, settings });
		await expectRetryElsewhere(bench, platform);
		expect(bench.codex.requestsOf("responses")).toEqual([]);
	});

	it.each([
		{ whose: "two workspaces", accounts: ["a", "b"] },
		{
			whose: "two seats of one workspace",
			accounts: [
				{ name: "a", accountId: "acct-shared" },
				{ name: "b", accountId: "acct-shared" },
			],
		},
	])("uses nothing of the former account after a switch between turns: $whose", async ({ accounts }) => {
		const bench = await createBench({ host: platform.host, accounts, usage });
		const rpc = rpcOf(bench, platform);
		const ask = async (text: string): Promise<RecordedRequest> => {
			const before = bench.codex.requestsOf("websocket-request").length;
			const turn = await rpc.prompt(text);
			expect(turn.stopReason).toBe("stop");
			return only(bench.codex.requestsOf("websocket-request").slice(before));
		};

		const first = await ask("one");
		const second = await ask("two");
		// This host does go on with a socket and a response id; otherwise the rest of this test would show nothing.
		expect(second.connectionId).toBe(first.connectionId);
		expect(second.body?.previous_response_id).toMatch(/^resp_/);

		await rpc.send("/multicodex use b");
		const switched = await ask("three");
		expect(switched.account).toBe("b");
		expect(bearerOf(switched)).toBe(bench.stored("b").credential.access);
		expect(switched.connectionId).not.toBe(first.connectionId);
		expect(switched.body).not.toHaveProperty("previous_response_id");
		for (const text of ["one", "two", "three"]) expect(switched.bodyText).toContain(`"${text}"`);

		await rpc.send("/multicodex use a");
		const back = await ask("four");
		expect(back.account).toBe("a");
		expect(bearerOf(back)).toBe(bench.stored("a").credential.access);
		expect([first.connectionId, switched.connectionId]).not.toContain(back.connectionId);
		expect(back.body).not.toHaveProperty("previous_response_id");
		for (const text of ["one", "two", "three", "four"]) expect(back.bodyText).toContain(`"${text}"`);
	});

	it("uses nothing of the former account when a quota ran out between two prompts of one run", async () => {
		const bench = await createBench({ host: platform.host, usage });
		bench.codex
			.account("a")
			.next(answers.text("first"))
			.always(answers.usageLimit({ resetsInMs: inMoreThanAnHour }));

		const result = await print(bench, platform, "one", "two");

		expect(result.code).toBe(0);
		const [first, refused, switched] = bench.codex.requestsOf("websocket-request");
		expect([first?.account, refused?.account, switched?.account]).toEqual(["a", "a", "b"]);
		expect(refused?.body?.previous_response_id).toMatch(/^resp_/);
		expect([first?.connectionId, refused?.connectionId]).not.toContain(switched?.connectionId);
		expect(switched?.body).not.toHaveProperty("previous_response_id");
		expect(switched?.bodyText).toContain('"one"');
	});
});

it.skipIf(!hasOldest)("keeps the reset that an error frame told, on the host that passes it on", async () => {
	const platform = only(withWebSocket.filter(({ host }) => host === OLDEST));
	const bench = await createBench({ host: platform.host, usage });
	const error = { type: "usage_limit_reached", message: "The usage limit has been reached", resets_in_seconds: 6_000 };
	bench.codex.account("a").always(answers.wsErrorFrame({ status: 429, error }));
	const before = Date.now();

	expect(await print(bench, platform, "say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });

	const { until } = only(bench.status("a").cooldowns);
	expect(until).toBeGreaterThan(before + 5_990_000);
	expect(until).toBeLessThanOrEqual(Date.now() + 6_000_000);
});

describe.each(endHosts.map((host) => ({ host })))("pi $host with no account anywhere", ({ host }) => {
	it.each(
		coreOf(
			[
				{ what: "a prompt", args: ["-p", "say hi"], env: {} },
				{ what: "the list of models with another provider's key", args: ["--list-models"], env: { GROQ_API_KEY: "k" } },
				{ what: "the list of models", args: ["--list-models"], env: {} },
			],
			(_, index) => index < 2,
		),
	)("says exactly what plain pi says to $what", async ({ args, env }) => {
		const bench = await createBench({ host, accounts: [] });
		const plainBench = await createBench({ host, accounts: [] });
		bench.dir.write("settings.json", {});
		plainBench.dir.write("settings.json", {});

		const ours = await bench.run(args, { env });
		const plain = await plainBench.run(args, { env, extension: false });

		const told = ({ code, stdout, stderr }: typeof ours, { dir }: Bench) => ({
			code,
			stdout: stdout.replaceAll(dir.home, "HOME"),
			stderr: stderr.replaceAll(dir.home, "HOME"),
		});
		expect(told(ours, bench)).toEqual(told(plain, plainBench));
		expect(bench.codex.requests).toEqual([]);
		const files = ({ dir }: Bench) => readdirSync(dir.dir).sort();
		expect(files(bench)).toEqual(files(plainBench));
	});

	it("has the default model that plain pi has, for a person with another provider's key", async () => {
		const modelOf = async (extension: boolean) => {
			const bench = await createBench({ host, accounts: [] });
			bench.dir.write("settings.json", {});
			const rpc = bench.rpc([], { extension, env: { GROQ_API_KEY: "k" } });
			const { model } = stateSchema.parse(await rpc.command("get_state"));
			return `${model.provider}/${model.id}`;
		};

		const plain = await modelOf(false);
		expect(plain).toMatch(/^groq\//);
		expect(await modelOf(true)).toBe(plain);
	});
});

describe.each(endHosts.map((host) => ({ host })))(
	"a copy of this extension without its packages, on pi $host",
	({ host }) => {
		it("is a pi without us and one line that names the package and the remedy", async ({ skip }) => {
			const bench = await createBench({ host, usage, accounts: [], strangers: ["a"] });
			skip(basename(bench.host.node).startsWith("bun"), "bun fetches by itself what is missing");
			signPiInAs(bench, "a");
			const copy = join(bench.dir.home, "copy");
			for (const part of ["index.ts", "src", "package.json"]) {
				cpSync(join(repositoryRoot, part), join(copy, part), { recursive: true });
			}

			const result = await bench.print("say hi", [], { extension: join(copy, "index.ts") });

			expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
			expect(result.stderr).toMatch(
				/^pi-multicodex could not start: the package [\w-]+ is missing\. Run "npm install" in .+copy\. pi continues without it\.\n$/,
			);
		});
	},
);
