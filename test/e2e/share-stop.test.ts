import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { until } from "../support/fakes.ts";
import { foundPool } from "../support/pool.ts";
import { anIssuer, aPoolProcess, type FakeIssuer, type PoolProcess } from "../support/pool-home.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { createBenchOnAnyHost } from "./support.ts";

const PATIENCE_MS = 30_000;
/** A database that does not answer is given up after 8 s at the earliest. */
const AT_ONCE_MS = 5000;
/** Parts of the statements that add, remove and seal rows anew. */
const ADDING = "returning a.version";
const REMOVING = "set is_gone = true";
const RESEALING = "given as materialized";

let server: TestPostgres;
let proxy: PostgresProxy;
/** Of an empty database, through the proxy. */
let url: string;
let issuer: FakeIssuer;
const running: PoolProcess[] = [];
beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server.close());
beforeEach(async () => {
	proxy = await startPostgresProxy(server.port);
	url = proxy.through(await server.database());
	issuer = anIssuer();
});
afterEach(async () => {
	for (const each of running) await each.end().catch(() => undefined);
	for (const each of running.splice(0)) each.scratch.remove();
	await proxy.close();
});

const start = () => {
	const started = aPoolProcess(issuer);
	running.push(started);
	return started;
};
const labels = ({ sharing }: PoolProcess, isShared: boolean) =>
	sharing.accounts.list().flatMap(({ label, shared }) => ((shared ?? false) === isShared ? [label] : []));

/** Does something whose answer at `text` never comes, ends the wait for it, and gives the words of that. */
async function stopped(text: string, act: (signal: AbortSignal) => Promise<unknown>): Promise<string> {
	const ending = new AbortController();
	const before = proxy.traffic().silenced;
	proxy.swallowAnswersOf(text);
	const said = act(ending.signal).then(
		() => "it was done",
		(error: unknown) => (error instanceof Error ? error.message : String(error)),
	);
	await until("an answer is swallowed", () => proxy.traffic().silenced > before);
	const endedAt = performance.now();
	ending.abort();
	const words = await said;
	expect(performance.now() - endedAt).toBeLessThan(AT_ONCE_MS);
	proxy.swallowAnswersOf(undefined);
	return words;
}

describe("a wait for the database that a person ends", () => {
	it("leaves no pool half made and none half joined, and the same command goes on", async () => {
		const one = start();
		const ids = [await one.signIn("a"), await one.signIn("b")];
		const pool = { url, name: "team", machine: "one", accounts: ids };
		for (const text of ["", "insert into pi_multicodex.pool"]) {
			expect(await stopped(text, (signal) => one.pools.create(pool, signal))).toMatch(
				/No account was moved, and no pool/,
			);
			expect([one.pools.status(), labels(one, false)]).toEqual([undefined, ["a", "b"]]);
		}
		const codes = await one.pools.create(pool, undefined);
		expect(labels(one, true)).toEqual(["a", "b"]);

		const two = start();
		const joining = await stopped("", (signal) => two.pools.join(codes.keeper, "two", signal));
		expect(joining).toBe("Stopped before the database had answered. No pool was joined.");
		expect([two.pools.status(), two.scratch.names("codex-pool")]).toEqual([undefined, []]);
		await two.pools.join(codes.keeper, "two", undefined);
		expect(labels(two, true)).toEqual(["a", "b"]);
	});

	it("leaves an account that was moved where one side alone uses it, and says where each stands", async () => {
		const one = start();
		const ids = [await one.signIn("a"), await one.signIn("b"), await one.signIn("c")];
		const [a = "", b = "", c = ""] = ids;
		await one.pools.create({ url, name: "team", machine: "one", accounts: [a] }, undefined);

		expect(await stopped(ADDING, (signal) => one.pools.add([b, c], signal))).toBe(
			"Stopped. On the way until the database answers: b. Still on this machine alone: c.",
		);
		// Until it is settled, it is taken for a shared one, and renewed by no side.
		expect([labels(one, true), labels(one, false)]).toEqual([["b", "a"], ["c"]]);
		expect(one.local.list()).toHaveLength(2);
		await one.pools.look(undefined);
		// The statement was done, and its answer alone was lost.
		expect([labels(one, true), labels(one, false)]).toEqual([["a", "b"], ["c"]]);
		expect(one.local.list().map(({ label }) => label)).toEqual(["c"]);

		expect(await stopped(REMOVING, (signal) => one.pools.leave([a], { isForced: false }, signal))).toBe(
			"Stopped. The pool was not left. On the way until the database answers: a.",
		);
		await one.pools.look(undefined);
		expect([labels(one, true), labels(one, false)]).toEqual([["b"], ["c", "a"]]);
		expect(issuer.sent).toEqual([]);
	});

	it("leaves keys that open every account, the old ones or the new", async () => {
		const one = start();
		const ids = [await one.signIn("a")];
		await one.pools.create({ url, name: "team", machine: "one", accounts: ids }, undefined);
		const before = one.pools.codes()?.keeper;
		expect(await stopped("", (signal) => one.pools.rotate(undefined, signal))).toMatch(/The keys were kept\.$/);
		expect(await stopped(RESEALING, (signal) => one.pools.rotate(undefined, signal))).toMatch(/old keys and the new/);
		await one.pools.look(undefined);
		await until("the new keys are in use", () => one.pools.codes()?.keeper !== before);
		const two = start();
		await two.pools.join(one.pools.codes()?.keeper ?? "", "two", undefined);
		expect(labels(two, true)).toEqual(["a"]);
	});

	it("leaves what was not done by then to be done later: it is never done on two sides", async () => {
		const one = start();
		const ids = [await one.signIn("a"), await one.signIn("b")];
		const [a = "", b = ""] = ids;
		await one.pools.create({ url, name: "team", machine: "one", accounts: [a] }, undefined);
		const held = async (text: string, act: (signal: AbortSignal) => Promise<unknown>) => {
			const ending = new AbortController();
			proxy.holdBack(text, () => ending.abort());
			await expect(act(ending.signal)).rejects.toThrow(/^Stopped/);
		};

		await held(ADDING, (signal) => one.pools.add([b], signal));
		await one.pools.look(undefined);
		expect([labels(one, true), one.local.list()]).toEqual([["a", "b"], []]);

		await held(RESEALING, (signal) => one.pools.rotate(undefined, signal));
		const { next } = JSON.parse(one.scratch.text("codex-pool.json"));
		const codes = await one.pools.rotate(undefined, undefined);
		expect([codes.keeper, one.pools.codes()?.keeper]).toEqual([next, next]);
	});
});

describe("Esc in a terminal", () => {
	it("ends what waits for a database that does not answer, and says what was done", async () => {
		const bench = await createBenchOnAnyHost({ accounts: ["work"] });
		const pool = await foundPool(url, []);
		onTestFinished(() => pool.database.end());
		const terminal = bench.terminal([], { cols: 100 });
		await terminal.ready(PATIENCE_MS);
		const stop = async (command: string, words: RegExp) => {
			await terminal.submit(command);
			await terminal.waitForText("esc stop waiting", PATIENCE_MS);
			const pressedAt = performance.now();
			await terminal.press("escape");
			await terminal.waitForText(words, PATIENCE_MS);
			expect(performance.now() - pressedAt).toBeLessThan(AT_ONCE_MS);
		};

		proxy.swallowAnswersOf("");
		const code = pool.code("keeper", url);
		await stop(`/multicodex join ${code} --name desk`, /No pool was joined\./);
		expect(bench.dir.read("settings.json")).not.toContain("pool");
		proxy.swallowAnswersOf(undefined);
		await terminal.submit(`/multicodex join ${code} --name desk`);
		await terminal.waitForText(/desk has joined the shared pool/, PATIENCE_MS);

		proxy.swallowAnswersOf("returning a.version");
		await stop("/multicodex share work", /On the way until the database answers: work\./);
		proxy.swallowAnswersOf(undefined);
		await terminal.submit("/multicodex share");
		await terminal.waitForText(/others +none seen/, PATIENCE_MS);
		await until(
			"it is in the pool alone",
			() => !(bench.dir.read("codex-accounts.json") ?? "").includes(bench.id("work")),
		);
		await terminal.submit("say hi");
		await terminal.waitForText("work", PATIENCE_MS);
		await terminal.stop();
	});
});
