import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { NEWEST_HOST, OLDEST_HOST } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import { signPiInAs } from "./credentials-support.ts";
import { type Bench, createBench, type JsonRun } from "./support.ts";

const SPENT = { week: { usedPercent: 100 } };
const CREDITS = { hasCredits: true, balance: "20" };
const RICH = { name: "rich", quota: SPENT, credits: CREDITS };
const settingsWith = (beyond: Record<string, unknown>) => ({
	transport: "sse",
	"pi-multicodex": { beyond, rotation: { maxWait: "0s" } },
});
const set = ({ dir }: Bench, beyond: Record<string, unknown>) => {
	dir.write("settings.json", { ...Object(dir.readJson("settings.json")), ...settingsWith(beyond) });
};
/** What a project says, which must not count. */
const projectSays = ({ dir }: Bench, beyond: Record<string, unknown>) => {
	mkdirSync(join(dir.cwd, ".pi"), { recursive: true });
	writeFileSync(join(dir.cwd, ".pi/settings.json"), JSON.stringify(settingsWith(beyond)));
};
const OUT = /^Codex quota exceeded on all 2 accounts\. The first resets in \S+ \(.*\)\./;

it.each(coreOf([NEWEST_HOST, OLDEST_HOST]))(
	"bought credits are spent by whom the person's own settings name, and by no other, on %s",
	async (host) => {
		const bench = await createBench({
			host,
			accounts: [RICH, { name: "b", quota: SPENT }],
			settings: settingsWith({}),
		});
		projectSays(bench, { credits: "allow", reserve: "always" });
		await bench.print("/multicodex refresh");
		// No session is on the account yet, and in print mode no person can be asked.
		for (const credits of ["own", "ask", "never"]) {
			set(bench, { credits });
			const result = await bench.print("say hi");
			expect(result).toMatchObject({ code: 1, stdout: "" });
			expect(result.stderr).toMatch(OUT);
			expect(result.stderr).toContain(" Bought credits are left: /multicodex beyond lets them serve.");
		}
		expect(bench.asked()).toEqual([]);
		set(bench, { credits: "allow" });
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from rich #1\n" });
		expect((await bench.print("/multicodex log")).stdout).toContain("rich: continues on bought credits until ");
	},
);

it("a session is asked before it goes on with credits, and leaves them when the settings change", async () => {
	const bench = await createBench({
		accounts: [
			{ ...RICH, quota: { week: { usedPercent: 50 } } },
			{ name: "b", quota: SPENT },
		],
		settings: settingsWith({ credits: "ask" }),
	});
	const rpc = bench.rpc();
	await rpc.send("/multicodex refresh");
	expect((await rpc.prompt("one")).text).toBe("OK from rich #1");
	bench.codex.account("rich").setQuota(SPENT);
	// This answer reports that the quota is out.
	expect((await rpc.prompt("two")).text).toBe("OK from rich #2");
	rpc.answerDialogs(({ options = [] }) => options.find((each) => each.includes("bought credits of rich")));
	expect((await rpc.prompt("three")).text).toBe("OK from rich #3");
	set(bench, { credits: "never" });
	expect(await rpc.prompt("four")).toMatchObject({ stopReason: "error" });
	set(bench, { credits: "own" });
	expect((await rpc.prompt("five")).text).toBe("OK from rich #4");
	expect(bench.asked()).toHaveLength(4);
});

it("credits are not spent while the other account only waits for a moment, within one turn either", async () => {
	const bench = await createBench({
		accounts: [
			{ ...RICH, quota: { week: { usedPercent: 50 } } },
			{ name: "b", quota: { week: { usedPercent: 5 } } },
		],
		settings: { transport: "sse", "pi-multicodex": { rotation: { maxWait: "60s" } } },
	});
	const rpc = bench.rpc();
	await rpc.send("/multicodex use rich");
	expect((await rpc.prompt("one")).text).toBe("OK from rich #1");
	await rpc.send("/multicodex use auto");
	bench.codex.account("rich").setQuota(SPENT);
	await rpc.send("/multicodex refresh");
	// Longer than an account is asked again by itself.
	bench.codex.account("b").next(answers.rateLimit({ retryAfterSeconds: 11 }));
	expect((await rpc.prompt("two")).text).toMatch(/^OK from b/);
	expect(bench.asked()).toEqual(["rich", "b", "b"]);
});

it("credits of the only account are spent as by plain pi, unless the settings or their limit say no", async () => {
	const bench = await createBench({ accounts: [], strangers: [RICH], settings: settingsWith({}) });
	signPiInAs(bench, "rich");
	await bench.print("/multicodex refresh");
	const told = ({ result, events }: JsonRun) => [
		result.code,
		events
			// Which account serves a session is remembered in it.
			.filter(({ type }) => type !== "entry_appended")
			.map(({ type, assistantMessageEvent }) => [type, Object(assistantMessageEvent).type]),
	];
	const plain = await bench.json("say hi", [], { env: { PI_MULTICODEX_DISABLE: "1" } });
	expect(told(await bench.json("say hi"))).toEqual(told(plain));
	expect(plain.events.length).toBeGreaterThan(5);

	set(bench, { credits: "never" });
	const dry = await bench.print("say hi");
	expect(dry.stderr).toMatch(/^Codex quota exceeded\. It resets in .* Bought credits are left: \/multicodex beyond /);
	expect(bench.asked()).toEqual(["rich", "rich"]);

	bench.codex.account("rich").credits = { ...CREDITS, overageReached: true };
	await bench.print("/multicodex refresh");
	set(bench, { credits: "allow" });
	const closed = await bench.print("say hi");
	expect([closed.code, closed.stderr]).toEqual([1, expect.not.stringContaining("Bought credits")]);
	expect(bench.asked()).toEqual(["rich", "rich"]);
});

it("a person with nothing beyond included quota has the same requests and the same error, whatever is set", async () => {
	const withoutTimes = (text: string) => text.replace(/resets in \S+ \([^)]*\)/, "resets in 3d (Mon 12:00)");
	const runs: unknown[] = [];
	for (const beyond of [undefined, { credits: "own", reserve: "ask", chain: [] }]) {
		const bench = await createBench({
			accounts: ["a", "b"].map((name) => ({ name, quota: SPENT })),
			settings: { transport: "sse", "pi-multicodex": { ...(beyond && { beyond }), rotation: { maxWait: "0s" } } },
		});
		const { code, stdout, stderr } = await bench.print("say hi");
		const requests = bench.codex.responsesRequests().map(({ method, path, account, body, headers }) => {
			const { prompt_cache_key: _session, ...rest } = body ?? {};
			const bytes = JSON.stringify(rest).replaceAll(bench.dir.home, "~");
			return { method, path, account, bytes, names: Object.keys(headers).sort() };
		});
		runs.push({ code, stdout, stderr: withoutTimes(stderr), requests });
	}
	expect(runs[1]).toEqual(runs[0]);
	expect(runs[0]).toMatchObject({
		code: 1,
		stdout: "",
		stderr:
			"Codex quota exceeded on all 2 accounts. The first resets in 3d (Mon 12:00). " +
			"/multicodex shows all, /model switches provider.\n",
		requests: [{ account: "a" }, { account: "b" }],
	});
});
