import { existsSync } from "node:fs";
import { join } from "node:path";
import lockfile from "proper-lockfile";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { type HostName, hostNames } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import { keepers, signPiInAs } from "./credentials-support.ts";
import { type Bench, createBench, until } from "./support.ts";
import { NO_SESSION, readLedger, watchedDisk } from "./under-fire-support.ts";

const TURNS = 3;
const settings = { transport: "sse" };

/** pi with everything known of its accounts, and nothing left to write. */
async function settledPi(bench: Bench, names: readonly string[], env: Record<string, string> = {}) {
	const rpc = bench.rpc(NO_SESSION, { env });
	await until("usage to be known", () => names.every((name) => bench.status(name).usage !== undefined));
	await until("the state to be written", () => !isLocked(bench));
	bench.codex.clearRequests();
	return rpc;
}

const isLocked = ({ dir }: Bench) => existsSync(dir.path("codex-state.json.lock"));
const hasServedSince = (bench: Bench, name: string, at: number) => Number(bench.status(name).lastUsedAt ?? 0) >= at;

describe("a request of a healthy account", () => {
	it.each(coreOf(hostNames))("begins nothing but itself before it leaves, on %s", async (host) => {
		const bench = await createBench({ host, settings, accounts: ["a"], strangers: ["b"] });
		signPiInAs(bench, "b");
		const ledger = join(bench.dir.home, "ledger");
		const rpc = await settledPi(bench, ["a", "b"], watchedDisk(bench, { ledger }));
		const startedAt = Date.now();

		for (let turn = 1; turn <= TURNS; turn += 1) {
			const sentAt = Date.now();
			expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
			const [request] = bench.codex.requests;
			const begun = readLedger(ledger).filter(({ at, what }) => {
				return at > sentAt && at <= (request?.at ?? 0) && !what.startsWith("connect");
			});
			// The first turn of a session tells other processes where it is, behind the request; the others have no news.
			if (turn === 1) expect(begun.filter(({ what }) => !what.includes(" codex-state.json"))).toEqual([]);
			else expect(begun).toEqual([]);
			expect(bench.codex.requests.map(({ kind }) => kind)).toEqual(["responses"]);
			await until("the turn to be written", () => hasServedSince(bench, "a", sentAt) && !isLocked(bench));
			bench.codex.clearRequests();
		}
		await rpc.close();

		const entries = readLedger(ledger);
		// A rename is one step, and nothing may come between the last look at a file and its replacement.
		const isBlocking = ({ what, isSync }: (typeof entries)[number]) => isSync && !what.startsWith("rename ");
		expect(entries.filter((entry) => entry.at >= startedAt && isBlocking(entry))).toEqual([]);
		const connections = entries.map(({ what }) => what).filter((what) => what.startsWith("connect"));
		expect(new Set(connections)).toEqual(new Set([`connect ${new URL(bench.codex.baseUrl).host}`]));
	});

	it.each(keepers)("waits for no lock, in a new session or later, its login kept by $keeper", async ({ keeper }) => {
		const accounts = keeper === "us" ? ["a"] : [];
		const bench = await createBench({ accounts, strangers: keeper === "us" ? [] : ["a"], settings });
		if (keeper === "pi") signPiInAs(bench, "a");
		const rpc = await settledPi(bench, ["a"]);
		const before = bench.dir.read("codex-state.json");
		const files = ["codex-accounts.json", "codex-state.json", "auth.json", "settings.json"];
		const locks = files.map((name) =>
			lockfile.lock(bench.dir.path(name), { realpath: false, retries: 20, onCompromised: () => undefined }),
		);
		const releases = await Promise.all(locks);

		for (const turn of [1, 2]) expect((await rpc.prompt("say hi")).text).toBe(`OK from a #${turn}`);

		// Whatever waits for a lock gives up after some seconds, and says so.
		expect(rpc.notifications).toEqual([]);
		expect(bench.dir.read("codex-state.json")).toBe(before);
		for (const release of releases) await release();
		await until("the turns to be written", () => bench.status("a").lastUsedAt !== undefined);
		expect(bench.codex.requests.map(({ kind }) => kind)).toEqual(["responses", "responses"]);
	});

	it("is written down behind it, together with others", async () => {
		const bench = await createBench({ settings });
		const ledger = join(bench.dir.home, "ledger");
		const rpc = await settledPi(bench, ["a", "b"], watchedDisk(bench, { ledger }));
		const startedAt = Date.now();
		for (let turn = 1; turn <= 5; turn += 1) await rpc.prompt("say hi");
		await rpc.close();
		const seconds = Math.ceil((Date.now() - startedAt) / 1000);
		const writes = readLedger(ledger).filter(({ at, what }) => at >= startedAt && what === "rename codex-state.json");
		// Each turn has news of usage, of the account's last use and of its session: once for the new session at once, else
		// at most once a second, and at the end.
		expect(writes.length).toBeGreaterThan(0);
		expect(writes.length).toBeLessThanOrEqual(2 + seconds);
		expect(bench.status("a")).toMatchObject({ strikes: 0, lastUsedAt: expect.any(Number) });
	});
});

describe("JSON mode", () => {
	/** What pi tells, in order, and of a message in progress what was new in it. */
	async function told(host: HostName, extension: boolean) {
		const bench = await createBench({
			host,
			settings,
			accounts: extension ? ["a"] : [],
			strangers: extension ? [] : ["a"],
		});
		if (!extension) signPiInAs(bench, "a");
		const { result, events } = await bench.json("say hi", [], { extension });
		expect(result).toMatchObject({ code: 0, stderr: "" });
		return events.map(({ type, assistantMessageEvent: part }) => (part ? `${type} ${newIn.parse(part).type}` : type));
	}
	const newIn = z.looseObject({ type: z.string() });

	it.each(coreOf(hostNames))(
		"tells of a turn what plain pi tells, and of the session's account when the message is over, on %s",
		async (host) => {
			const [ours, plain] = [await told(host, true), await told(host, false)];
			const appended = ours.indexOf("entry_appended");
			expect(ours.filter((type) => type !== "entry_appended")).toEqual(plain);
			expect(ours.filter((type) => type === "entry_appended")).toHaveLength(host === "0.73.1" ? 0 : 1);
			if (appended >= 0) expect(appended).toBeGreaterThan(ours.lastIndexOf("message_end"));
		},
	);
});
