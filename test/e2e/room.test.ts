import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { type HostName, hostNames, NEWEST_HOST } from "../support/hosts.ts";
import type { Rpc } from "../support/rpc.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { type Bench, createBench, until } from "./support.ts";

/**
 * `theirs` is at work on b, which has too little for one more; `mine` was served by a, which runs out with its next
 * request.
 */
async function crowdedBench(host: HostName, maxWait: string, resetsInMs: number) {
	const quota = (usedPercent: number) => ({ fiveHour: { usedPercent }, week: { usedPercent: 10 } });
	const bench = await createBench({
		host,
		accounts: [
			{ name: "a", quota: quota(10) },
			{ name: "b", quota: quota(60) },
		],
		usage: answers.serverError(503),
		settings: { transport: "sse", "pi-multicodex": { rotation: { policy: "most-headroom", maxWait } } },
	});
	const theirs = bench.rpc();
	await theirs.send("/multicodex use b");
	expect((await theirs.prompt("say hi")).text).toBe("OK from b #1");
	await theirs.send("/multicodex use auto");
	const mine = bench.rpc();
	await until("what b has left to be known", () => bench.status("b").usage !== undefined);
	expect((await mine.prompt("say hi")).text).toBe("OK from a #1");
	bench.codex.account("a").next(answers.usageLimit({ resetsInMs }));
	await mine.send("again");
	return { bench, theirs, mine };
}
const footer = (rpc: Rpc) => stripVTControlCharacters(rpc.status("multicodex") ?? "");
const waitsForRoom = (rpc: Rpc) => footer(rpc).includes("waiting for room");
const waits = (rpc: Rpc) => until("the wait", () => waitsForRoom(rpc));
const lastAsked = (bench: Bench, count: number) => bench.asked().slice(-count);

describe.each(coreOf(hostNames))("a session that has lost its account, on %s", (host) => {
	it("waits for it rather than take what another session needs, and goes on where it was", async () => {
		const { bench, mine } = await crowdedBench(host, "1m", 8000);
		await waits(mine);
		expect(footer(mine)).toMatch(/^codex waiting for room · a back (?:\w{3} )?\d\d:\d\d \(\ds\)$/);
		await mine.send("/multicodex why");
		expect(mine.notifications.at(-1)?.message).toMatch(
			/^No account has room before .*\n- a +out of quota [\s\S]*\n- b +kept for its 1 live session$/,
		);

		expect(await mine.settled()).toMatchObject({ stopReason: "stop", text: "OK from a #3", retries: 0 });
		expect(lastAsked(bench, 3)).toEqual(["a", "a", "a"]);
	});
});

it("waits no longer than until the other session is over", async () => {
	const { bench, theirs, mine } = await crowdedBench(NEWEST_HOST, "8h", 3_600_000);
	await waits(mine);
	await theirs.close();
	expect(await mine.settled()).toMatchObject({ stopReason: "stop", text: "OK from b #2" });
	expect(lastAsked(bench, 2)).toEqual(["a", "b"]);
});

it("shares the other account at once if its own is not back as soon as it may wait", async () => {
	const { bench, mine } = await crowdedBench(NEWEST_HOST, "60s", 3_600_000);
	expect(await mine.settled()).toMatchObject({ stopReason: "stop", text: "OK from b #2" });
	expect(lastAsked(bench, 2)).toEqual(["a", "b"]);
	expect(mine.statusChanges.some(({ text }) => text?.includes("waiting"))).toBe(false);
});

wide("queues with others that wait for one account: no more go on than it has room for", async () => {
	const bench = await createBench({
		host: NEWEST_HOST,
		usage: answers.serverError(503),
		settings: { transport: "sse", "pi-multicodex": { rotation: { policy: "in-order", maxWait: "8h" } } },
	});
	const sessions = Array.from({ length: 6 }, () => bench.rpc());
	for (const session of sessions) expect((await session.prompt("say hi")).text).toMatch(/^OK from a/);
	bench.codex.account("a").next(answers.usageLimit({ resetsInMs: 3_600_000 }));
	bench.codex.account("b").next(answers.usageLimit({ resetsInMs: 9000 }));
	const [first, ...others] = sessions;
	await first?.send("again");
	await until("both accounts to cool", () => ["a", "b"].every((name) => bench.status(name).cooldowns.length > 0));
	for (const session of others) await session.send("again");

	// Three sessions are expected to need all of a window; two that look in the same moment may both go.
	const wentOn = () => bench.asked().filter((name) => name === "b").length - 1;
	await until("those who find room", () => wentOn() >= 3);
	await until("the others to queue", () => sessions.filter(waitsForRoom).length === sessions.length - wentOn());
	expect(wentOn()).toBeLessThan(sessions.length);
	for (const session of sessions) await session.abort();
});
