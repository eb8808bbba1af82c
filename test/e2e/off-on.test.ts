import { describe, expect, it, onTestFinished, vi } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames, NEWEST_HOST, prepareHost } from "../support/hosts.ts";
import { startRpc } from "../support/pi.ts";
import type { Rpc } from "../support/rpc.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { bearerOf, EXPIRED_MS, loginOfPi, redirectOf, signPiInAs } from "./credentials-support.ts";
import { type Bench, besidesPi, createBench, resultLines, until } from "./support.ts";

vi.setConfig({ testTimeout: 120_000 });

/** Refused usage calls leave the accounts in the order of the list. */
const usage = answers.serverError(500);
const isEnabled = (bench: Bench) => {
	const settings = bench.dir.readJson("settings.json");
	return JSON.stringify(settings).includes('"enabled":true');
};

/** Off in one process, the next request in both, on in the other, the next request in both. */
async function expectBothFollow(bench: Bench, first: Rpc, second: Rpc): Promise<void> {
	await first.send("/multicodex use a");
	for (const rpc of [first, second]) expect((await rpc.prompt("say hi")).text).toMatch(/^OK from a #/);

	await first.send("/multicodex off");
	expect((await first.waitForNotification("multicodex is off")).message).toContain("pi uses its own Codex login.");
	const access = { "openai-codex": loginOfPi(bench) };
	bench.codex.clearRequests();
	for (const rpc of [first, second]) expect((await rpc.prompt("say hi")).text).toMatch(/^OK from p #/);
	expect(bench.asked()).toEqual(["p", "p"]);
	expect(bench.codex.usageRequests()).toEqual([]);
	expect({ "openai-codex": loginOfPi(bench) }).toEqual(access);

	await second.send("/multicodex on");
	await second.waitForNotification("multicodex is on again");
	expect(isEnabled(bench)).toBe(true);
	bench.codex.clearRequests();
	for (const rpc of [first, second]) expect((await rpc.prompt("say hi")).text).toMatch(/^OK from a #/);
	expect(bench.asked()).toEqual(["a", "a"]);
	expect([...first.strayLines, ...second.strayLines]).toEqual([]);
}

describe.each(coreOf(hostNames))("/multicodex off and on, on pi %s", (host) => {
	it("leaves every running process to pi's own login at its next request, and takes each back", async () => {
		const bench = await createBench({ host, accounts: ["a"], strangers: ["p"], usage });
		signPiInAs(bench, "p");
		await expectBothFollow(bench, bench.rpc(), bench.rpc());
	});

	const onNewest = host === NEWEST_HOST ? it : wide;
	onNewest("leaves a pi that starts later as it is without us, with pi's own words where it has no login", async () => {
		const bench = await createBench({ host, accounts: ["a"], usage });
		expect((await bench.print("/multicodex off")).stdout).toContain("pi itself has no Codex login now");
		const off = await bench.print("say hi");
		const plain = await bench.print("say hi", [], { env: { PI_MULTICODEX_DISABLE: "1" } });
		expect(off).toEqual({ ...plain, ms: off.ms });
		expect(off).toMatchObject({ code: 1, stderr: expect.stringContaining("No API key found") });
		// Commands go on working.
		expect(JSON.parse((await bench.print("/multicodex show --json")).stdout)).toMatchObject({ enabled: false });

		const on = await bench.print("/multicodex on");
		expect([on.code, besidesPi(on.stderr)]).toEqual([0, ""]);
		expect((await bench.print("say hi")).stdout).toContain("OK from a #1");
		expect(bench.asked()).toEqual(["a"]);
	});

	it("takes the login away in a session that runs, with pi's own words, and gives it back", async () => {
		const bench = await createBench({ host, accounts: ["a"], usage });
		const [first, second] = [bench.rpc(), bench.rpc()];
		expect((await first.prompt("say hi")).text).toBe("OK from a #1");
		expect((await second.prompt("say hi")).text).toBe("OK from a #2");
		await first.send("/multicodex off");
		for (const rpc of [first, second]) await expect(rpc.prompt("say hi")).rejects.toThrow(/No API key found/);
		await first.send("/multicodex on");
		for (const rpc of [second, first]) expect((await rpc.prompt("say hi")).stopReason).toBe("stop");
		expect(bench.asked()).toEqual(["a", "a", "a", "a"]);
	});

	wide("serves the next prompt of a session that began without an account, once another process has one", async () => {
		const bench = await createBench({ host, accounts: [], strangers: ["a"], usage });
		const rpc = bench.rpc(["--model", `openai-codex/${bench.host.model}`]);
		await expect(rpc.prompt("say hi")).rejects.toThrow(/No API key found/);
		bench.dir.write("codex-accounts.json", { version: 2, accounts: [bench.row("a")] });
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
		bench.dir.write("codex-accounts.json", { version: 2, accounts: [] });
		await expect(rpc.prompt("say hi")).rejects.toThrow(/No API key found/);
	});
});

it("keeps a login that pi renews by itself meanwhile, and then gives up for another", async () => {
	const bench = await createBench({ accounts: [], strangers: ["p", "q"], usage });
	signPiInAs(bench, "p", { expiresInMs: EXPIRED_MS });
	await bench.print("/multicodex off");
	const rpc = bench.rpc(["-e", redirectOf(bench)]);
	expect((await rpc.prompt("say hi")).text).toBe("OK from p #1");
	expect(bench.codex.tokenRequests()).toHaveLength(1);

	signPiInAs(bench, "q");
	await rpc.send("/multicodex on");
	await rpc.waitForNotification("multicodex is on again");
	await rpc.send("/multicodex use p");
	await rpc.waitForNotification("using p");
	expect((await rpc.prompt("say hi")).text).toBe("OK from p #2");
	expect(bench.codex.tokenRequests()).toHaveLength(1);
});

it("lets a request finish where it has begun, and shows the outcome in JSON mode", async () => {
	const bench = await createBench({ accounts: ["a"], strangers: ["p"], usage });
	signPiInAs(bench, "p");
	bench.codex.account("a").next(answers.slow({ beforeHeadersMs: 3000 }));
	const rpc = bench.rpc();
	await rpc.send("/multicodex use a");
	await rpc.send("say hi");
	await until("the request to be under way", () => bench.asked().length === 1);
	const { result } = await bench.json("/multicodex off");
	expect(result).toMatchObject({ code: 0, stderr: "" });
	expect(resultLines(result.stdout)).toEqual([{ type: "multicodex", command: "off", result: { enabled: false } }]);
	const turn = await rpc.settled();
	expect([turn.text, turn.retries]).toEqual(["OK from a #1", 0]);
	expect((await rpc.prompt("say hi")).text).toBe("OK from p #1");
});

wide("sends pi's own login on no socket of ours, if the host keeps sockets by session", async () => {
	const bench = await createBench({ accounts: ["a"], strangers: ["p"], usage });
	signPiInAs(bench, "p");
	const { node } = await prepareHost("0.87.1");
	const env = { PI_MULTICODEX_AUTH_URL: bench.codex.issuer };
	const open = () => {
		const rpc = startRpc({ ...bench.host, node }, bench.dir, [], { env });
		onTestFinished(async () => {
			await rpc.close();
		});
		return rpc;
	};
	await expectBothFollow(bench, open(), open());
	const upgrades = bench.codex.requests.filter(({ kind }) => kind === "websocket-upgrade");
	expect(upgrades.map(bearerOf)).toHaveLength(2);
});
