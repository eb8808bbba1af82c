import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { AccountId } from "../../src/core/ids.ts";
import { openSettings } from "../../src/platform/stores/settings-store.ts";
import { type Scratch, until } from "../support/fakes.ts";
import { anId } from "../support/ids.ts";
import { foundPool } from "../support/pool.ts";
import { anIssuer, aPoolProcess, type FakeIssuer, type PoolProcess } from "../support/pool-home.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { wide } from "../support/tiers.ts";
import { createBench } from "./support.ts";

const PATIENCE_MS = 30_000;
/** A database that does not answer is given up after 8 s at the earliest. */
const AT_ONCE_MS = 5000;
/** Parts of the statements that add, remove and seal rows anew. */
const ADDING = "returning a.version";
const REMOVING = "set is_gone = true";
const RESEALING = "e->>'forKeepers'";

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

/** Looks at the pool until a look has seen something: one alone may not reach a database in time. */
const looking = (process: PoolProcess, see: () => void) =>
	vi.waitFor(
		async () => {
			await process.pools.look(undefined);
			see();
		},
		{ timeout: PATIENCE_MS },
	);

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

	it("leaves an account that was moved if one side alone uses it, and says where each stands", async () => {
		const one = start();
		const ids = [await one.signIn("a"), await one.signIn("b"), await one.signIn("c")];
		const [a = anId(""), b = anId(""), c = anId("")] = ids;
		await one.pools.create({ url, name: "team", machine: "one", accounts: [a] }, undefined);

		expect(await stopped(ADDING, (signal) => one.pools.add([b, c], signal))).toBe(
			"Stopped. On the way until the database answers: b. Still on this machine alone: c.",
		);
		// Until it is settled, it is taken for a shared one, and renewed by no side.
		expect([labels(one, true), labels(one, false)]).toEqual([["b", "a"], ["c"]]);
		expect(one.local.list()).toHaveLength(2);
		// The statement was done, and its answer alone was lost.
		await looking(one, () => expect([labels(one, true), labels(one, false)]).toEqual([["a", "b"], ["c"]]));
		expect(one.local.list().map(({ label }) => label)).toEqual(["c"]);

		expect(await stopped(REMOVING, (signal) => one.pools.leave([a], { isForced: false }, signal))).toBe(
			"Stopped. The pool was not left. On the way until the database answers: a.",
		);
		await looking(one, () => expect([labels(one, true), labels(one, false)]).toEqual([["b"], ["c", "a"]]));
		expect(issuer.sent).toEqual([]);
	});

	it("leaves keys that open every account, the old ones or the new", async () => {
		const one = start();
		const ids = [await one.signIn("a")];
		await one.pools.create({ url, name: "team", machine: "one", accounts: ids }, undefined);
		const before = one.pools.codes()?.keeper;
		expect(await stopped("", (signal) => one.pools.rotate(undefined, signal))).toMatch(/The keys were kept\.$/);
		expect(await stopped(RESEALING, (signal) => one.pools.rotate(undefined, signal))).toMatch(/old keys and the new/);
		await looking(one, () => expect(one.pools.codes()?.keeper).not.toBe(before));
		const two = start();
		await two.pools.join(one.pools.codes()?.keeper ?? "", "two", undefined);
		expect(labels(two, true)).toEqual(["a"]);
	});

	it("leaves what was not done by then to be done later: it is never done on two sides", async () => {
		const one = start();
		const ids = [await one.signIn("a"), await one.signIn("b")];
		const [a = anId(""), b = anId("")] = ids;
		await one.pools.create({ url, name: "team", machine: "one", accounts: [a] }, undefined);
		const held = async (text: string, act: (signal: AbortSignal) => Promise<unknown>) => {
			const ending = new AbortController();
			proxy.holdBack(text, () => ending.abort());
			await expect(act(ending.signal)).rejects.toThrow(/^Stopped/);
		};

		await held(ADDING, (signal) => one.pools.add([b], signal));
		await looking(one, () => expect([labels(one, true), one.local.list()]).toEqual([["a", "b"], []]));

		await held(RESEALING, (signal) => one.pools.rotate(undefined, signal));
		const { next } = JSON.parse(one.scratch.text("codex-pool.json"));
		const codes = await one.pools.rotate(undefined, undefined);
		expect([codes.keeper, one.pools.codes()?.keeper]).toEqual([next, next]);
	});
});

describe("an account that a machine had half moved when it stopped", () => {
	const REACHES: readonly [string, string, (text: string) => void][] = [
		["done", "an answer that was lost", (text) => proxy.loseAnswerOf(text)],
		["not done", "a connection that was cut", (text) => proxy.holdBack(text, () => proxy.cut())],
	];
	const MOVES = (["in", "out"] as const).flatMap((way) => REACHES.map((reach) => [way, ...reach] as const));
	const start = (scratch?: Scratch, environment?: string) => {
		const started = aPoolProcess(issuer, { ...(scratch && { scratch }), ...(environment && { environment }) });
		running.push(started);
		return started;
	};
	const poolOf = async (name: string) => {
		const machine = start();
		const ids = [await machine.signIn(`${name} account`)];
		const wanted = { url: await server.database(), name, machine: name, accounts: ids };
		return { machine, codes: await machine.pools.create(wanted, undefined) };
	};
	/** Tries to have the account renewed there, and says whether it could be. */
	const renewed = async (process: PoolProcess, id: AccountId) => {
		const had = process.sharing.accounts.list().find((account) => account.id === id)?.credential.access;
		if (had === undefined) return "unknown";
		return (await process.credentials.accessToken(id, { refused: had })).kind;
	};
	const rowsIn = (process: PoolProcess) => process.open().inside.mirror.rows();
	const inFile = ({ local }: PoolProcess, id: string) => local.list().find((account) => account.id === id);

	wide.each(MOVES)("has its token on one side alone, moved %s, %s, after %s", async (way, _, __, fails) => {
		const one = start();
		const a = await one.signIn("a");
		const accounts = way === "in" ? [] : [a];
		const codes = await one.pools.create({ url, name: "team", machine: "one", accounts }, undefined);
		const two = start();
		await two.pools.join(codes.keeper, "two", undefined);
		fails(way === "in" ? ADDING : REMOVING);
		const move = () =>
			way === "in" ? one.pools.add([a], undefined) : one.pools.leave([a], { isForced: false }, undefined);
		await expect(move()).rejects.toThrow(/database/);
		await one.end();
		proxy.refuse(true);

		// The settings name the pool no more, as after a restored file.
		const settings = openSettings(one.scratch.path("settings.json"), () => undefined);
		await settings.change([{ path: ["pool"], value: undefined }]);
		const other = await poolOf("other");
		const without = start(one.scratch);
		expect(await renewed(without, a)).toBe("unavailable");
		await without.end();
		const byEnvironment = start(one.scratch, other.codes.keeper);
		await byEnvironment.sharing.settling();
		expect(await renewed(byEnvironment, a)).toBe("unavailable");
		await byEnvironment.end();

		const next = start(one.scratch);
		await next.pools.join(other.codes.keeper, "one", undefined);
		await next.pools.look(undefined);
		expect(rowsIn(next).has(a)).toBe(false);
		expect(next.open().inside.mirror.crossings()).toEqual([]);
		const text = 'Half moved between this machine and the pool "team": a. /multicodex login a signs in here.';
		expect(next.events).toContainEqual({ type: "warning", text });
		expect(inFile(next, a)?.needsLogin?.reason).toBe('half moved: its sign-in may be in the pool "team"');
		expect(await renewed(next, a)).toBe("unavailable");

		proxy.refuse(false);
		await two.pools.look(undefined);
		await renewed(two, a);
		await next.signIn("a");
		expect(await renewed(next, a)).toBe("ready");
		expect(new Set(issuer.sent).size).toBe(issuer.sent.length);
	});

	wide("keeps what the former pool has not got, if its machine joins another one", async () => {
		const one = start();
		const a = await one.signIn("a");
		await one.pools.create({ url, name: "team", machine: "one", accounts: [a] }, undefined);
		issuer.onExchanged = async () => {
			proxy.refuse(true);
			proxy.cut();
		};
		expect(await renewed(one, a)).toBe("ready");
		issuer.onExchanged = async () => undefined;
		await one.end();
		const settings = openSettings(one.scratch.path("settings.json"), () => undefined);
		await settings.change([{ path: ["pool"], value: undefined }]);

		const other = await poolOf("other");
		const next = start(one.scratch);
		await next.pools.join(other.codes.keeper, "one", undefined);
		expect(inFile(next, a)?.credential.refresh).toBe(issuer.refreshOf("a"));
		const text = 'The newest sign-in of a is not in the pool "team", and stays on this machine.';
		expect(next.events).toContainEqual({ type: "warning", text });
		expect(await renewed(next, a)).toBe("ready");
		expect(new Set(issuer.sent).size).toBe(issuer.sent.length);
	});
});

describe("Esc in a terminal", () => {
	it("ends what waits for a database that does not answer, and says what was done", async () => {
		const bench = await createBench({ accounts: ["work"] });
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
