import { renameSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import lockfile from "proper-lockfile";
import { describe, expect, it } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { NEWEST_HOST } from "../support/hosts.ts";
import type { Rpc } from "../support/rpc.ts";
import { wide } from "../support/tiers.ts";
import { type Bench, type BenchOptions, createBench, until } from "./support.ts";

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

/** With usage unknown the order of accounts is that of the list, whatever is fetched meanwhile. */
const usageUnknown = answers.serverError(503);
const spent = (resetsInMs: number) => answers.usageLimit({ resetsInMs });
const rotation = (values: Readonly<Record<string, unknown>>) => ({ "pi-multicodex": { rotation: values } });

/** When a limit resets is read from HTTP responses here; newer hosts keep to themselves what a socket told of it. */
const createSseBench = (options: BenchOptions = {}) =>
	createBench({ ...options, settings: { transport: "sse", ...options.settings } });

/** The countdown that the footer shows while a request waits. */
const WAITING = /^codex waiting · \w+ back (?:\w{3} )?\d\d:\d\d \(\d+s\)$/;

function isWaiting(rpc: Rpc): boolean {
	return WAITING.test(stripVTControlCharacters(rpc.status("multicodex") ?? ""));
}

/** Ends the cooldowns of an account in codex-state.json, as another program that keeps to the rules would. */
async function freeInStateFile({ dir, id }: Bench, name: string): Promise<void> {
	const path = dir.path("codex-state.json");
	const release = await lockfile.lock(path, { realpath: false, retries: 20 });
	try {
		const state = dir.readJson("codex-state.json") as { accounts: Record<string, object> };
		state.accounts[id(name)] = { ...state.accounts[id(name)], cooldowns: [] };
		dir.write("codex-state.json.edited", state);
		renameSync(dir.path("codex-state.json.edited"), path);
	} finally {
		await release();
	}
}

describe("with every account out of quota", () => {
	it("asks each once, then says how many, when the first is back and what to do", async () => {
		const bench = await createSseBench({ accounts: ["a", "b", "c"], usage: usageUnknown });
		const { codex } = bench;
		codex.account("a").always(spent(90 * MINUTE_MS));
		codex.account("b").always(spent(42 * MINUTE_MS + 30 * SECOND_MS));
		codex.account("c").always(spent(5000 * MINUTE_MS));
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 1, stdout: "" });
		expect(bench.asked()).toEqual(["a", "b", "c"]);
		const firstBackAt = bench.status("b").cooldowns[0]?.until ?? 0;
		const clock = new Date(firstBackAt).toISOString().slice(11, 16);
		const isToday = new Date(firstBackAt).getUTCDate() === new Date().getUTCDate();
		const when = isToday ? clock : `${new Date(firstBackAt).toUTCString().slice(0, 3)} ${clock}`;
		expect(result.stderr).toBe(
			`Codex quota exceeded on all 3 accounts. The first resets in 42m (${when}). /multicodex shows all, /model switches provider.\n`,
		);

		// Another process knows it without a request.
		codex.clearRequests();
		const second = await bench.print("say hi");
		expect(second.code).toBe(1);
		expect(second.stderr).toMatch(/^Codex quota exceeded on all 3 accounts\. The first resets in 4\dm /);
		expect(bench.asked()).toEqual([]);
	});

	wide("does not wake pi's own retry, even with a reset in 500 or 429 minutes", async () => {
		const bench = await createSseBench({ usage: usageUnknown });
		bench.codex.account("a").always(spent(500 * MINUTE_MS + 10 * SECOND_MS));
		bench.codex.account("b").always(spent(429 * MINUTE_MS + 10 * SECOND_MS));
		const rpc = bench.rpc();
		const turn = await rpc.prompt("say hi");
		expect(turn).toMatchObject({ stopReason: "error", retries: 0, text: "" });
		expect(turn.errorMessage).toMatch(/^Codex quota exceeded on all 2 accounts\. The first resets in 7h/);
		expect(bench.asked()).toEqual(["a", "b"]);

		bench.codex.account("b").always(undefined);
		expect((await bench.print("/multicodex reset quota")).code).toBe(0);
		// The first is still spent, so this is also a turn that ends on another account than it began with.
		expect((await rpc.prompt("again")).text).toBe("OK from b #2");
	});

	it("asks each once and counts them all also when the usage endpoint lags behind and sees room", async () => {
		const bench = await createSseBench({ accounts: ["a", "b", "c"] });
		const refusal = answers.failedBeforeOutput("usage_limit_reached", "The usage limit has been reached");
		for (const account of bench.codex.accounts) account.always(refusal);
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 1, stdout: "" });
		expect(result.stderr).toMatch(/^Codex quota exceeded on all 3 accounts\. /);
		expect(result.stderr).not.toContain("could not be reached");
		expect(bench.asked().sort()).toEqual(["a", "b", "c"]);
	});

	it("counts those that are signed out apart, and asks nothing of them", async () => {
		const needsLogin = { reason: "refresh_token_expired", at: Date.now() };
		const bench = await createSseBench({ rows: { a: { needsLogin } }, usage: usageUnknown });
		bench.codex.account("b").always(spent(42 * MINUTE_MS));
		const result = await bench.print("say hi");
		expect(result.code).toBe(1);
		expect(result.stderr).toMatch(/^Codex quota exceeded on 1 account\. .* 1 account is signed out\. /);
		expect(bench.codex.requests.filter(({ account }) => account === "a")).toEqual([]);
	});

	it("says which accounts are off and which are signed out when that is why", async () => {
		const needsLogin = { reason: "refresh_token_expired", at: Date.now() };
		const bench = await createSseBench({ rows: { a: { needsLogin }, b: { enabled: false } }, usage: usageUnknown });
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 1, stdout: "" });
		expect(result.stderr).toMatch(/^No Codex account is ready: 1 account is off, 1 account is signed out\./);
		expect(bench.codex.requests).toEqual([]);
	});
});

describe("with more accounts than one request may try", () => {
	const names = ["a", "b", "c", "d", "e", "f", "g"];

	it("stops after six and goes on with the rest when asked again", async () => {
		const bench = await createSseBench({ accounts: names, usage: usageUnknown });
		for (const name of names.slice(0, 6)) bench.codex.account(name).always(spent(90 * MINUTE_MS));
		const result = await bench.print("say hi");
		expect(result).toMatchObject({
			code: 1,
			stdout: "",
			stderr: "Codex quota exceeded on 6 accounts in a row. Send again to try 1 more.\n",
		});
		expect(bench.asked()).toEqual(names.slice(0, 6));

		const again = await bench.print("say hi");
		expect(again).toMatchObject({ code: 0, stdout: "OK from g #1\n", stderr: "" });
		expect(bench.asked()).toEqual(names);
	});

	wide("counts those that are left right, however many there are", async () => {
		const many = Array.from({ length: 92 }, (_, index) => `account-${index}`);
		const settings = rotation({ maxRotations: 1 });
		const bench = await createSseBench({ accounts: many, usage: usageUnknown, settings });
		for (const name of many) bench.codex.account(name).always(spent(90 * MINUTE_MS));
		const result = await bench.print("say hi");
		expect(result.stderr).toBe("Codex quota exceeded on 2 accounts in a row. Send again to try 90 more.\n");
		expect(bench.asked()).toHaveLength(2);
	});
});

describe("an account that is back soon", () => {
	it("is waited for, and the turn ends with its answer", async () => {
		const bench = await createSseBench({ usage: usageUnknown, settings: rotation({ maxWait: "30s" }) });
		bench.codex.account("a").next(spent(90 * MINUTE_MS));
		bench.codex.account("b").next(spent(2 * SECOND_MS));
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 0, stdout: "OK from b #2\n", stderr: "" });
		expect(bench.asked()).toEqual(["a", "b", "b"]);
		const [, refused, answered] = bench.codex.responsesRequests();
		expect((answered?.at ?? 0) - (refused?.at ?? 0)).toBeGreaterThanOrEqual(2 * SECOND_MS);
	});

	wide("is waited for also when it was known from the start to be away", async () => {
		const bench = await createSseBench({
			accounts: ["a"],
			usage: usageUnknown,
			settings: rotation({ maxWait: "30s" }),
		});
		const until = Date.now() + 3 * SECOND_MS;
		const cooldown = { scope: "account", reason: "usage_limit", until, setAt: Date.now(), models: [] };
		bench.dir.write("codex-state.json", {
			version: 1,
			pin: null,
			accounts: { [bench.id("a")]: { cooldowns: [cooldown] } },
		});
		const result = await bench.print("say hi");
		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
		expect(bench.codex.responsesRequests()[0]?.at).toBeGreaterThanOrEqual(until);
	});

	it("is not waited for when that would take longer than the settings allow", async () => {
		const bench = await createSseBench({ usage: usageUnknown, settings: rotation({ maxWait: "5s" }) });
		for (const name of ["a", "b"]) bench.codex.account(name).always(spent(50 * SECOND_MS));
		const rpc = bench.rpc();
		const turn = await rpc.prompt("say hi");
		expect(turn).toMatchObject({ stopReason: "error", retries: 0 });
		expect(turn.errorMessage).toMatch(/^Codex quota exceeded on all 2 accounts\. The first resets in <1m /);
		expect(rpc.statusChanges.filter(({ text }) => text?.includes("waiting"))).toEqual([]);
		expect(bench.asked()).toEqual(["a", "b"]);
	});

	it("is asked once more after the wait, not for ever", async () => {
		const bench = await createSseBench({
			accounts: ["a"],
			usage: usageUnknown,
			settings: rotation({ maxWait: "30s" }),
		});
		bench.codex.account("a").always(spent(SECOND_MS));
		const result = await bench.print("say hi");
		expect(result.code).toBe(1);
		expect(result.stderr).toMatch(/^Codex quota exceeded/);
		expect(bench.asked()).toEqual(["a", "a"]);
	});
});

describe("an account whose return is only a guess", () => {
	it("is asked once with no other left, over all processes, and serves on if it answers", async () => {
		const bench = await createSseBench({ accounts: ["a"], usage: usageUnknown });
		const now = Date.now();
		const guess = { scope: "account", reason: "usage_limit", models: [], guessed: true };
		const cooldown = { ...guess, setAt: now - 30 * MINUTE_MS, until: now + 60 * MINUTE_MS };
		const remember = () =>
			bench.dir.write("codex-state.json", { version: 1, accounts: { [bench.id("a")]: { cooldowns: [cooldown] } } });
		remember();
		bench.codex.account("a").next(spent(90 * MINUTE_MS));
		for (const _process of [1, 2]) {
			const result = await bench.print("say hi");
			expect(result).toMatchObject({ code: 1, stdout: "" });
			expect(result.stderr).toMatch(/^Codex quota exceeded\. It resets in 1h/);
		}
		expect(bench.asked()).toEqual(["a"]);

		remember();
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #2\n", stderr: "" });
		expect(bench.status("a").cooldowns).toEqual([]);
	});
});

describe("the wait for an account", () => {
	it("shows a countdown, and ends when another pi clears the cooldowns", async () => {
		const bench = await createSseBench({ usage: usageUnknown });
		for (const name of ["a", "b"]) bench.codex.account(name).next(spent(50 * SECOND_MS));
		const rpc = bench.rpc();
		await rpc.send("say hi");
		await rpc.waitFor(() => isWaiting(rpc));
		expect(bench.asked()).toEqual(["a", "b"]);
		expect((await bench.print("/multicodex reset quota")).code).toBe(0);
		const turn = await rpc.settled();
		expect(turn).toMatchObject({ stopReason: "stop", text: "OK from a #2", retries: 0 });
		expect(bench.asked()).toEqual(["a", "b", "a"]);
		await until("the countdown to go", () => !isWaiting(rpc));
	});

	it("is counted down on while another request of the same pi ends", async () => {
		const bench = await createBench({
			host: NEWEST_HOST,
			accounts: ["a"],
			usage: usageUnknown,
			settings: { transport: "sse", ...rotation({ maxWait: "10m" }) },
		});
		bench.codex.account("a").next(spent(50 * SECOND_MS));
		bench.dir.write(
			"neighbour.ts",
			`import { writeFileSync } from "node:fs";
			export default function neighbour(pi) {
				pi.registerCommand("ask", { handler: async (_args, ctx) => {
					const context = { messages: [{ role: "user", content: "a question of another", timestamp: 1 }] };
					const answer = await ctx.modelRegistry.complete(ctx.model, context, { signal: AbortSignal.timeout(1500) });
					writeFileSync(${JSON.stringify(bench.dir.path("ended"))}, answer.stopReason);
				} });
			}`,
		);
		const rpc = bench.rpc(["-e", bench.dir.path("neighbour.ts")]);
		await rpc.send("say hi");
		await rpc.waitFor(() => isWaiting(rpc));
		const before = rpc.statusChanges.length;
		await rpc.send("/ask");
		await until("the other request to end", () => bench.dir.read("ended") === "aborted");
		const ended = rpc.statusChanges.length;
		await until("the next second of the countdown", () => rpc.statusChanges.length > ended);
		const since = rpc.statusChanges.slice(before).map(({ text }) => stripVTControlCharacters(text ?? ""));
		expect(since.filter((text) => !WAITING.test(text))).toEqual([]);
		await rpc.abort();
	});

	wide("ends when the state file says that an account is free", async () => {
		const bench = await createSseBench({ usage: usageUnknown });
		for (const name of ["a", "b"]) bench.codex.account(name).next(spent(50 * SECOND_MS));
		const rpc = bench.rpc();
		await rpc.send("say hi");
		await rpc.waitFor(() => isWaiting(rpc));
		await until("both cooldowns to be stored", () =>
			["a", "b"].every((name) => bench.status(name).cooldowns.length > 0),
		);
		await freeInStateFile(bench, "b");
		expect(await rpc.settled()).toMatchObject({ stopReason: "stop", text: "OK from b #2" });
		expect(bench.asked()).toEqual(["a", "b", "b"]);
	});

	wide("ends when an account is added meanwhile", async () => {
		const bench = await createSseBench({ accounts: ["a"], strangers: ["b"], usage: usageUnknown });
		bench.codex.account("a").next(spent(50 * SECOND_MS));
		const rpc = bench.rpc();
		await rpc.send("say hi");
		await rpc.waitFor(() => isWaiting(rpc));
		const rows = [bench.stored("a"), bench.row("b")];
		bench.dir.write("codex-accounts.json.edited", { version: 2, accounts: rows });
		renameSync(bench.dir.path("codex-accounts.json.edited"), bench.dir.path("codex-accounts.json"));
		expect(await rpc.settled()).toMatchObject({ stopReason: "stop", text: "OK from b #1" });
		expect(bench.asked()).toEqual(["a", "b"]);
	});

	it("is ended by an abort, with one aborted message, and pi goes on", async () => {
		const bench = await createSseBench({ host: "0.73.1", usage: usageUnknown });
		for (const name of ["a", "b"]) bench.codex.account(name).next(spent(50 * SECOND_MS));
		const rpc = bench.rpc();
		await rpc.send("say hi");
		await rpc.waitFor(() => isWaiting(rpc));
		await rpc.abort(10_000);
		const turn = await rpc.settled();
		expect(turn).toMatchObject({ stopReason: "aborted", retries: 0 });
		const ended = turn.events.filter(({ type }) => type === "message_end");
		expect(ended.map(({ message }) => (message as { role: string }).role)).toEqual(["user", "assistant"]);
		await until("the countdown to go", () => !isWaiting(rpc));
		expect((await bench.print("/multicodex reset quota")).code).toBe(0);
		expect((await rpc.prompt("again")).text).toBe("OK from a #2");
	});
});
