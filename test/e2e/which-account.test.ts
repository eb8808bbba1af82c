import { expect, it } from "vitest";
import { z } from "zod";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import { type Bench, createBench, until } from "./support.ts";

const HOUR_MS = 3_600_000;
const SIX = ["a", "b", "c", "d", "e", "f"];

it("keeps a session on its account while usage drifts between two, also in a process that resumes it", async () => {
	const bench = await createBench({
		settings: { transport: "sse" },
		accounts: [
			{ name: "a", quota: { fiveHour: { usedPercent: 10 }, week: { usedPercent: 10 } } },
			{ name: "b", quota: { fiveHour: { usedPercent: 12 }, week: { usedPercent: 12 } } },
		],
	});
	const rpc = bench.rpc();
	await until("usage to be known", () => ["a", "b"].every((name) => bench.status(name).usage !== undefined));
	for (let turn = 0; turn < 6; turn += 1) {
		const [less, more] = turn % 2 === 0 ? [5, 60] : [60, 5];
		bench.codex.account("a").setQuota({ fiveHour: { usedPercent: more }, week: { usedPercent: more } });
		bench.codex.account("b").setQuota({ fiveHour: { usedPercent: less }, week: { usedPercent: less } });
		expect((await rpc.prompt("say hi")).stopReason).toBe("stop");
	}
	await rpc.close();
	const [first] = bench.asked();
	expect(bench.asked()).toEqual(Array.from({ length: 6 }, () => first));

	const resumed = await bench.print("say hi", ["--continue"]);

	expect(resumed).toMatchObject({ code: 0 });
	expect(bench.asked()).toEqual(Array.from({ length: 7 }, () => first));
});

it.each(coreOf(hostNames))(
	"chooses anew once a session was compacted, also in a process that resumes it: %s",
	async (host) => {
		const quota = (usedPercent: number) => ({ fiveHour: { usedPercent }, week: { usedPercent } });
		const bench = await createBench({
			host,
			accounts: [
				{ name: "a", quota: quota(10) },
				{ name: "b", quota: quota(20) },
			],
			settings: {
				transport: "sse",
				compaction: { enabled: false, reserveTokens: 16_384, keepRecentTokens: 1 },
				"pi-multicodex": { rotation: { policy: "most-headroom" } },
			},
		});
		const rpc = bench.rpc();
		await until("usage to be known", () => ["a", "b"].every((name) => bench.status(name).usage !== undefined));
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
		bench.codex.account("a").setQuota(quota(60));
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #2");
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #3");

		await rpc.command("compact");
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #2");

		bench.codex.account("b").setQuota(quota(90));
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #3");
		await rpc.command("compact");
		await rpc.close();
		expect((await bench.print("say hi", ["--continue"])).stdout).toMatch(/^OK from a/);
		// The summaries were written where the session was.
		const moves = bench.asked().filter((name, at, all) => name !== all[at - 1]);
		expect(moves).toEqual(["a", "b", "a"]);
	},
);

it("asks for the usage of six accounts six times when eight processes start together", async () => {
	const bench = await createBench({ accounts: SIX });
	const clients = Array.from({ length: 8 }, () => bench.rpc());
	await Promise.all(clients.map((client) => client.send("/multicodex path")));
	await until("usage to be known", () => SIX.every((name) => bench.status(name).usage !== undefined));
	await Promise.all(clients.map((client) => client.close()));
	expect(
		bench.codex
			.usageRequests()
			.map(({ account }) => account)
			.sort(),
	).toEqual(SIX);
});

it("asks for no usage at all while every response brings it along", async () => {
	const bench = await createBench({ accounts: ["a"], settings: { transport: "sse" } });
	const rpc = bench.rpc();
	await until("usage to be known", () => bench.status("a").usage !== undefined);
	bench.codex.clearRequests();
	for (let turn = 0; turn < 5; turn += 1) await rpc.prompt("say hi");
	expect(bench.codex.usageRequests()).toEqual([]);
});

it("spreads sessions that start one after the other over accounts that are alike", async () => {
	const bench = await createBench({ accounts: ["a", "b", "c"], usage: answers.serverError(503) });
	const clients = [bench.rpc(), bench.rpc(), bench.rpc()];
	for (const [index, client] of clients.entries()) {
		expect((await client.prompt("say hi")).stopReason).toBe("stop");
		// A lease is never waited for by the request that takes it.
		await until("the lease to be written", () => liveSessions(bench) === index + 1);
	}
	expect([...bench.asked()].sort()).toEqual(["a", "b", "c"]);
});

it("follows a change of the policy at once, in processes that run already", async () => {
	const bench = await createBench({ accounts: ["a", "b"], usage: answers.serverError(503) });
	const running = bench.rpc();
	await running.send("/multicodex path");
	const set = await bench.print("/multicodex rotation policy=round-robin maxWait=8h nonsense=1");
	expect(set).toMatchObject({ code: 0, stderr: "" });
	expect(set.stdout).toMatch(/nonsense[\s\S]*round-robin[\s\S]*8h/);
	await running.send("/multicodex rotation");
	expect(running.notifications.at(-1)?.message).toMatch(/policy +round-robin/);
	expect(bench.dir.readJson("settings.json")).toMatchObject({
		defaultProvider: "openai-codex",
		"pi-multicodex": { rotation: { policy: "round-robin", maxWait: "8h" } },
	});
	const bad = await bench.print("/multicodex rotation policy=best");
	expect(bad).toMatchObject({ code: 1, stdout: "" });
	expect(bad.stderr).toContain("policy must be one of");
});

it("has an account back in all running processes as soon as an early reset is seen", async () => {
	const bench = await createBench({ accounts: ["a", "b"], settings: { transport: "sse" } });
	const rpc = bench.rpc();
	const other = bench.rpc();
	await other.send("/multicodex path");
	await until("usage to be known", () => ["a", "b"].every((name) => bench.status(name).usage !== undefined));
	await rpc.send("/multicodex use a");
	bench.codex.account("a").next(answers.usageLimit({ resetsInMs: 2 * HOUR_MS }));
	expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
	await until("the cooldown to be written", () => bench.status("a").cooldowns.length === 1);
	// A minute later, as far as the files know: a reset credit was redeemed.
	bench.dir.replace("codex-state.json", aged(bench.dir.readJson("codex-state.json"), 5 * 60_000));
	bench.codex.account("a").setQuota({ fiveHour: { usedPercent: 3 }, week: { usedPercent: 3 } });
	await other.send("/multicodex refresh a");
	await until("the cooldown to end", () => bench.status("a").cooldowns.length === 0);
	expect((await rpc.prompt("say hi")).text).toMatch(/^OK from a/);
});

function liveSessions(bench: Bench): number {
	const { live } = z
		.looseObject({ live: z.record(z.string(), z.unknown()).default({}) })
		.parse(bench.dir.readJson("codex-state.json") ?? {});
	return Object.keys(live).length;
}

/** The state with every moment of the past moved back. */
function aged(state: unknown, byMs: number): Record<string, unknown> {
	const text = JSON.stringify(state, (key, value: unknown) =>
		["setAt", "capturedAt", "usageAskedAt"].includes(key) && typeof value === "number" ? value - byMs : value,
	);
	return JSON.parse(text);
}
