import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { foundPool, sharedAccountOf } from "../support/pool.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { startPostgresProxy } from "../support/postgres-proxy.ts";
import { type Bench, createBench, until } from "./support.ts";
import { NO_SESSION } from "./under-fire-support.ts";

let server: TestPostgres;
beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server?.close());

const TURNS = 4;
/** Longer than a whole turn, however busy the machine is. */
const SLOW_MS = 8000;

/** A pi on a machine that has joined a pool, whose way to the database is in our hands. */
async function aMachine() {
	const bench = await createBench({ accounts: [], strangers: ["a", "b"], settings: { transport: "sse" } });
	const url = await server.database();
	const pool = await foundPool(
		url,
		["a", "b"].map((name) => sharedAccountOf(bench.codex, name)),
	);
	const proxy = await startPostgresProxy(server.port);
	onTestFinished(async () => {
		await pool.database.end();
		await proxy.close();
	});
	await pool.join(bench.dir, "laptop", proxy.through(url));
	return { bench, pool, proxy };
}

/** So long nothing was asked of the database that what follows is of what follows. */
async function quiet(statements: () => number): Promise<void> {
	let seen = statements();
	let since = Date.now();
	await until("the database to be left alone", () => {
		if (statements() !== seen) since = Date.now();
		seen = statements();
		return Date.now() - since > 1500;
	});
}

const answered = ({ codex }: Bench) => codex.responsesRequests().length;

it("asks the database for nothing that a turn waits for, and for no more than two things behind it", async () => {
	const { bench, proxy } = await aMachine();
	const rpc = bench.rpc(NO_SESSION);
	expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
	await quiet(() => proxy.traffic().statements);

	for (let turn = 1; turn <= TURNS; turn += 1) {
		const before = proxy.traffic().statements;
		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
		await quiet(() => proxy.traffic().statements);
		expect(proxy.traffic().statements - before).toBeLessThanOrEqual(2);
	}

	proxy.delay(SLOW_MS);
	const sentAt = Date.now();
	expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
	expect(Date.now() - sentAt).toBeLessThan(SLOW_MS);
	expect(answered(bench)).toBe(TURNS + 2);
	proxy.delay(0);
});

it("starts, answers and says so once while the database is away", async () => {
	const { bench, proxy } = await aMachine();
	const first = bench.rpc(NO_SESSION);
	expect(await first.prompt("say hi")).toMatchObject({ stopReason: "stop" });
	await first.close();
	proxy.refuse(true);
	proxy.cut();

	const rpc = bench.rpc(NO_SESSION);
	for (let turn = 1; turn <= 2; turn += 1) expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
	await rpc.waitForNotification(/database/i);
	expect(rpc.notifications.filter(({ message }) => /database/i.test(message))).toHaveLength(1);
	expect(bench.codex.tokenRequests()).toEqual([]);
});
