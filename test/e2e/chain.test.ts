import { describe, expect, it, onTestFinished } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { type FakeOther, type OtherModel, startFakeOther } from "../support/fake-other.ts";
import { hostNames, NEWEST_HOST, OLDEST_HOST, prepareHost } from "../support/hosts.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { type Bench, type BenchOptions, createBench } from "./support.ts";

const HOUR_MS = 60 * 60_000;
const POOL = ["--model", "openai-codex/pool"];
/** With usage unknown nothing frees an account behind the test's back. */
const usageUnknown = answers.serverError(503);
const spent = (resetsInMs = HOUR_MS + 30_000) => answers.usageLimit({ resetsInMs });

interface ChainBench extends Bench {
	readonly other: FakeOther;
}

/** A pool, and another provider `other` with a chain over it. */
async function chainBench(
	chain: readonly string[],
	models: readonly OtherModel[] = [{ id: "big", cost: { input: 3, output: 15 } }, { id: "small" }],
	{ isUsageKnown = false, ...options }: BenchOptions & { readonly isUsageKnown?: boolean } = {},
): Promise<ChainBench> {
	const other = await startFakeOther();
	onTestFinished(() => other.close());
	const bench = await createBench({
		host: NEWEST_HOST,
		...(!isUsageKnown && { usage: usageUnknown }),
		settings: { transport: "sse", retry: { baseDelayMs: 50 }, "pi-multicodex": { beyond: { chain } } },
		...options,
	});
	const { baseUrl } = bench.codex;
	bench.dir.write("models.json", { providers: { "openai-codex": { baseUrl }, other: other.provider(models) } });
	return { ...bench, other };
}

describe("a chain behind the pool", () => {
	const hosts = coreOf([...new Set([NEWEST_HOST, "1.5.2"])].filter((host) => hostNames.includes(host)));
	it.each(hosts)(
		"answers while the pool is out, with nothing sent to that, and leaves to it again, on %s",
		async (host) => {
			const bench = await chainBench(["other/small"], undefined, { host });
			const { codex, other } = bench;
			const rpc = bench.rpc(POOL);
			expect((await rpc.prompt("one")).text).toBe("OK from a #1");
			for (const name of ["a", "b"]) codex.account(name).always(spent());
			const moved = await rpc.prompt("two");
			expect(moved).toMatchObject({ text: "OK from small", stopReason: "stop", retries: 1 });
			const asked = bench.asked().length;
			expect(await rpc.prompt("three")).toMatchObject({ text: "OK from small", retries: 0 });
			expect(bench.asked()).toHaveLength(asked);
			for (const name of ["a", "b"]) codex.account(name).always(undefined);
			await rpc.send("/multicodex reset quota");
			const back = await rpc.prompt("four");
			expect(back.text).toMatch(/^OK from [ab]/);
			expect(other.asked()).toEqual(["small", "small"]);
			// Each provider gets its own key and no other.
			expect(new Set(other.requests.map(({ authorization }) => authorization))).toEqual(
				new Set(["Bearer key-of-another"]),
			);
			const log = await bench.print("/multicodex log");
			expect(log.stdout).toMatch(/other\/small serves: no account can serve, \w+ back [\s\S]*the pool serves again/);
			await rpc.send("/multicodex chain clear");
			expect((await rpc.prompt("five")).text).toMatch(/^OK from [ab]/);
		},
	);

	it("is asked in its order from the first request on, past links that cannot be asked and one that fails", async () => {
		const bench = await chainBench(["other/gone", "unsigned/model", "other/small", "other/big"]);
		const { codex, other } = bench;
		for (const name of ["a", "b"]) codex.account(name).always(spent());
		expect((await bench.print("find out that the pool is out")).code).toBe(1);
		const asked = bench.asked().length;
		other.always("small", { status: 401, message: "invalid api key" });
		const result = await bench.print("say hi", POOL);
		expect(result).toMatchObject({ code: 0, stdout: "OK from big\n" });
		expect(result.stderr).toMatch(
			/other\/small did not accept its sign-in or key[\s\S]*other\/big answers, charged by the token/,
		);
		expect(other.asked()).toEqual(["small", "big"]);
		expect(bench.asked()).toHaveLength(asked);
	});

	it("is offered in a session on a Codex model, which a yes moves to the pool and its chain", async () => {
		const bench = await chainBench(["other/small"]);
		for (const name of ["a", "b"]) bench.codex.account(name).always(spent());
		const rpc = bench.rpc();
		await rpc.send("say hi");
		const dialog = await rpc.waitForDialog();
		expect(dialog.options).toContainEqual("Continue with other/small");
		rpc.answer(dialog, "Continue with other/small");
		expect(await rpc.settled()).toMatchObject({ text: "OK from small", stopReason: "stop", retries: 1 });
		for (const name of ["a", "b"]) bench.codex.account(name).always(undefined);
		await rpc.send("/multicodex reset quota");
		expect((await rpc.prompt("again")).text).toMatch(/^OK from [ab]/);
		expect(bench.other.asked()).toEqual(["small"]);
	});

	it("a chain on a pi without virtual models changes only the error, which names the first link", async () => {
		const bench = await chainBench(["unsigned/model", "other/small"], undefined, { host: OLDEST_HOST });
		for (const name of ["a", "b"]) bench.codex.account(name).always(spent());
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 1, stdout: "" });
		expect(result.stderr).toMatch(
			/^Codex quota exceeded on all 2 accounts\. .* \/model other\/small switches to it, from your chain\. /,
		);
		expect(bench.asked()).toEqual(["a", "b"]);
		expect(bench.other.asked()).toEqual([]);
	});
});

describe("a night of printed turns", () => {
	wide("passes through Luna Reserve and the chain, and back to the pool, and the log tells each move", async () => {
		const { model: normalModel } = await prepareHost(NEWEST_HOST);
		const reserve = { usedPercent: 60, normalModel, costPerRequestPercent: 40 };
		const bench = await chainBench(["other/small"], undefined, {
			accounts: [
				{ name: "a", reserve },
				{ name: "b", quota: { week: { usedPercent: 100 } }, credits: { hasCredits: true, balance: "12.50" } },
			],
			isUsageKnown: true,
			settings: {
				transport: "sse",
				retry: { baseDelayMs: 50 },
				"pi-multicodex": {
					beyond: { credits: "never", reserve: "always", chain: ["other/small"] },
					rotation: { maxWait: "0s" },
				},
			},
		});
		const { codex, other } = bench;
		// What is left of the other account, bought credits alone, is known from the start.
		const spentWeek = { usedPercent: 100, windowMinutes: 10_080, resetsAt: Date.now() + 24 * HOUR_MS };
		const credits = { hasCredits: true, unlimited: false, balance: "12.50" };
		const usage = { capturedAt: Date.now(), source: "api", windows: [spentWeek], limits: {}, credits };
		bench.dir.write("codex-state.json", { version: 1, pin: null, accounts: { [bench.id("b")]: { usage } } });
		const say = async (text: string) => (await bench.print(text, ["-c"])).stdout.trim();
		expect((await bench.print("one", POOL)).stdout.trim()).toBe("OK from a #1");
		codex.account("a").setQuota({ week: { usedPercent: 100 } });
		expect(await say("two")).toMatch(/^OK from a/);
		expect(codex.responsesRequests().at(-1)?.body?.model).toBe("gpt-reserve");
		expect(await say("three")).toBe("OK from small");
		const asked = bench.asked().length;
		expect(await say("four")).toBe("OK from small");
		expect(bench.asked()).toHaveLength(asked);
		codex.account("a").setQuota({ week: { usedPercent: 0 } });
		await bench.print("/multicodex reset quota");
		expect(await say("five")).toMatch(/^OK from a/);
		expect(codex.responsesRequests().at(-1)?.body?.model).toBe(normalModel);
		expect(other.asked()).toEqual(["small", "small"]);
		expect(bench.asked()).not.toContain("b");
		const log = (await bench.print("/multicodex log 50")).stdout.replaceAll(/\s+/g, " ");
		expect(log).toMatch(
			/continues with Luna Reserve.* other\/small serves.* the pool serves again, in place of other\/small/,
		);
	});
});

wide("pi lists the models that it lists without us", async () => {
	const bench = await chainBench([]);
	const models = await bench.run(["--list-models", "codex"]);
	expect(models.stdout).toContain("openai-codex");
	expect(models.stdout).not.toMatch(/\bpool\b/);
});
