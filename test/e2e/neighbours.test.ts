import { describe, expect, it } from "vitest";
import { z } from "zod";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import { coreOf, isAtAnEnd, wide } from "../support/tiers.ts";
import { signPiInAs } from "./credentials-support.ts";
import { type Bench, createBench } from "./support.ts";

/** Refused usage calls leave the accounts in the order of the list. */
const usage = answers.serverError(500);
const settings = { transport: "sse" };
const hosts = coreOf(
	hostNames.map((host) => ({ host })),
	({ host }) => isAtAnEnd(host),
);

/** What only the full stream function takes. */
const FULL = { reasoningEffort: "high", reasoningSummary: "detailed", serviceTier: "flex", textVerbosity: "high" };

/**
 * Another extension: `/ask <options>` asks the session's model through pi, as far as the host has a way, and `/key`
 * keeps what pi gives it for a key. What comes is written to files, since a key may not be shown.
 */
function neighbour(bench: Bench): string {
	bench.dir.write(
		"neighbour.ts",
		`import { writeFileSync } from "node:fs";
		import * as ai from "@mariozechner/pi-ai";
		export default function neighbour(pi) {
			pi.registerCommand("ask", { handler: async (args, ctx) => {
				const context = { messages: [{ role: "user", content: "a question of another", timestamp: 1 }] };
				const { apiKey } = await ctx.modelRegistry.getApiKeyAndHeaders(ctx.model);
				const options = { ...JSON.parse(args), transport: "sse" };
				const way = "complete" in ctx.modelRegistry ? "through the registry" : "through pi-ai";
				writeFileSync(${JSON.stringify(bench.dir.path("way"))}, way);
				const answer = "complete" in ctx.modelRegistry
					? await ctx.modelRegistry.complete(ctx.model, context, options)
					: await ai.complete(ctx.model, context, { ...options, apiKey });
				writeFileSync(${JSON.stringify(bench.dir.path("answer.json"))}, JSON.stringify(answer));
			} });
			pi.registerCommand("key", { handler: async (_args, ctx) => {
				const given = await ctx.modelRegistry.getApiKeyAndHeaders(ctx.model);
				writeFileSync(${JSON.stringify(bench.dir.path("auth.json.given"))}, JSON.stringify(given));
			} });
		}`,
	);
	return bench.dir.path("neighbour.ts");
}

const givenSchema = z.looseObject({ ok: z.boolean(), apiKey: z.string().optional() });

/**
 * Does the request of the neighbour come by us? From 0.80 on pi-ai's own function leads past every registered provider,
 * and only later hosts have one that does not: between them it is the token alone that another extension has from us.
 */
function comesByUs({ dir, host }: Bench): boolean {
	return dir.read("way") === "through the registry" || /^0\.7\d\./.test(host.name);
}

/** Body of the only request, by field, without what every session has of its own. */
function bodyOf(bench: Bench, account: string): Record<string, unknown> {
	const { prompt_cache_key: _own, ...body } = bench.codex.responsesRequests(account).at(-1)?.body ?? {};
	return body;
}

describe.each(hosts)("a request of another extension through pi $host", ({ host }) => {
	async function ask(extension: boolean, options: object, prepare: (bench: Bench) => void = () => undefined) {
		const bench = await createBench({
			host,
			usage,
			settings,
			accounts: extension ? ["a", "b"] : [],
			strangers: extension ? [] : ["a", "b"],
		});
		if (!extension) signPiInAs(bench, "b");
		prepare(bench);
		const args = ["-e", neighbour(bench), "-p", `/ask ${JSON.stringify(options)}`];
		expect(await bench.run(args, { extension })).toMatchObject({ code: 0 });
		return bench;
	}

	it("keeps the options of the full stream function, on the second account too", async () => {
		const plain = bodyOf(await ask(false, FULL), "b");
		const ours = await ask(true, FULL, ({ codex }) => codex.account("a").always(answers.usageLimit({})));

		expect(plain).toMatchObject({ service_tier: "flex", text: { verbosity: "high" } });
		expect(plain.reasoning).toMatchObject({ summary: "detailed" });
		const asked = comesByUs(ours) ? ["a", "b"] : ["a"];
		expect(ours.asked()).toEqual(asked);
		expect(asked.map((account) => bodyOf(ours, account))).toEqual(asked.map(() => plain));
	});

	wide.each([
		...Object.entries(FULL).map(([name, value]) => ({ [name]: value })),
		{ reasoningEffort: "low", maxTokens: 500 },
		{ ...FULL, reasoning: "low" },
	])("is plain pi's request, with %j", async (options) => {
		expect(bodyOf(await ask(true, options), "a")).toEqual(bodyOf(await ask(false, options), "b"));
	});

	wide("keeps them with the key of the command line", async () => {
		const bench = await createBench({ host, usage, settings, accounts: ["a"], strangers: ["b"] });
		const key = bench.codex.grant("b").access;
		const args = ["--provider", "openai-codex", "--model", bench.host.model, "--api-key", key];
		const result = await bench.run([...args, "-e", neighbour(bench), "-p", `/ask ${JSON.stringify(FULL)}`]);
		expect(result).toMatchObject({ code: 0 });
		// Plain newer hosts have no use for such a key here: their request with a login is what it has to be.
		expect(bodyOf(bench, "b")).toEqual(bodyOf(await ask(false, FULL), "b"));
	});
});

describe.each(hosts)("a turn on pi $host", ({ host }) => {
	it("asks what plain pi asks, field by field, and the thinking level is in it", async () => {
		const run = async (extension: boolean) => {
			const bench = await createBench({ host, usage, settings, accounts: extension ? ["a"] : [], strangers: ["b"] });
			if (!extension) signPiInAs(bench, "b");
			expect(await bench.run(["--thinking", "high", "-p", "say hi"], { extension })).toMatchObject({ code: 0 });
			return bodyOf(bench, extension ? "a" : "b");
		};
		const plain = await run(false);
		expect(JSON.stringify(plain)).toContain("high");
		expect(timeless(await run(true))).toEqual(timeless(plain));
	});
});

/** Without what pi writes of the day and the folder. */
function timeless(body: Record<string, unknown>): unknown {
	return JSON.parse(JSON.stringify(body).replace(/pi-home-\w+/g, "HOME"));
}

describe.each(hosts)("the key that another extension gets from pi $host", ({ host }) => {
	async function setUp(linked: boolean) {
		const bench = await createBench({
			host,
			usage,
			settings,
			accounts: linked ? ["b"] : ["a", "b"],
			strangers: linked ? ["a"] : [],
		});
		if (linked) signPiInAs(bench, "a");
		const rpc = bench.rpc(["-e", neighbour(bench)]);
		const key = async () => {
			await rpc.send("/key");
			return givenSchema.parse(bench.dir.readJson("auth.json.given"));
		};
		return { bench, rpc, key };
	}

	it.each([
		{ whose: "our own accounts", linked: false, first: "a", second: "b" },
		{ whose: "an account of ours before pi's login", linked: true, first: "b", second: "a" },
	])("is the token of the account that would serve: $whose", async ({ linked, first, second }) => {
		const { bench, rpc, key } = await setUp(linked);
		const tokenOf = (name: string) => bench.stored(name).credential.access;
		bench.codex
			.account(first)
			.next(answers.text("first"))
			.always(answers.usageLimit({ resetsInMs: 100 * 60_000 }));

		expect(await rpc.prompt("one")).toMatchObject({ text: "first" });
		expect(await key()).toMatchObject({ ok: true, apiKey: tokenOf(first) });

		expect(await rpc.prompt("two")).toMatchObject({ stopReason: "stop", text: `OK from ${second} #1` });
		expect(await key()).toMatchObject({ ok: true, apiKey: tokenOf(second) });
		// None of it makes a login of pi's.
		expect(bench.dir.read("auth.json")?.includes(tokenOf("b")) ?? false).toBe(false);
	});

	it("is neither pi's own login nor any other account that the project's account set does not have", async () => {
		const { bench, rpc, key } = await setUp(true);
		await rpc.send("/multicodex only b");
		expect(await rpc.prompt("one")).toMatchObject({ text: "OK from b #1" });
		expect(await key()).toMatchObject({ ok: true, apiKey: bench.stored("b").credential.access });
		await rpc.send("/multicodex disable b");
		const kept = await key();
		const { access } = bench.stored("a").credential;
		expect([kept.apiKey === access, kept.apiKey]).toEqual([false, "pi-multicodex-kept"]);
		expect((await rpc.prompt("two")).errorMessage).toContain("This folder's account set allows no other account");
		expect(bench.asked()).toEqual(["b"]);
	});

	wide("is there before the first request of a session", async () => {
		const { bench, key } = await setUp(false);
		expect(await key()).toMatchObject({ ok: true, apiKey: bench.stored("a").credential.access });
	});
});
