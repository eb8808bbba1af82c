import { setTimeout as sleep } from "node:timers/promises";
import postgres from "postgres";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { AccountId } from "../../src/core/ids.ts";
import { type PoolDatabase, PoolProblem } from "../../src/platform/shared-pool/types.ts";
import { anId } from "../support/ids.ts";
import { aRow, HOUR, KEYS, NOTHING, POOL_ID, startPool, type TestPool } from "../support/pool-database.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { coreOf, isWide, wide } from "../support/tiers.ts";

let server: TestPostgres;
let pool: TestPool;
let database: PoolDatabase;

beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server.close());
beforeEach(async () => {
	pool = await startPool(server);
	database = pool.database;
});
afterEach(() => pool.end());

const push = { process: "me", statuses: [] };

describe("the tables of a pool", () => {
	it("the tables of a pool are made once, also by processes that begin at the same moment", async () => {
		const empty = await server.database();
		const all = Array.from({ length: 5 }, () => pool.open({ url: empty }));
		expect(await all[0]?.head()).toBeUndefined();
		await Promise.all(all.map((each) => each.migrate()));
		expect(await all[0]?.head()).toBeUndefined();
		const head = { id: POOL_ID, name: "mine", keeperKeyId: "k", runnerKeyId: "r" };
		const made = await Promise.all(all.map((each) => each.create(head)));
		expect(made.filter(Boolean)).toHaveLength(1);
		expect(await all[1]?.head()).toEqual({ ...head, schemaVersion: 1 });
		expect(await server.query(empty, "select number from pi_multicodex.migration")).toEqual([{ number: 1 }]);
	});

	it("the tables of a pool keep what they hold when they are made again", async () => {
		await database.change(aRow(), "me");
		await server.query(pool.url, "delete from pi_multicodex.migration");
		await server.query(pool.url, "create table pi_multicodex.other (id int)");
		await database.migrate();
		expect(await database.row(anId("a1"))).toMatchObject({ id: "a1", version: 1 });
	});
});

describe("a row", () => {
	it("is added, read, changed and removed, and its version grows over all of that", async () => {
		const row = aRow({ disabledReason: "why", needsLogin: { reason: "refused", at: 5 }, enabled: false });
		expect(await database.lastVersion(anId("a1"))).toBe(0);
		expect(await database.change(row, "me")).toBe(1);
		const { replaces: _, ...stored } = row;
		expect(await database.row(anId("a1"))).toEqual({ ...stored, version: 1 });
		expect(await database.change(aRow({ replaces: 1, tokenHash: "hash-2" }), "me")).toBe(2);
		expect(await database.row(anId("a1"))).toMatchObject({ version: 2, tokenHash: "hash-2", needsLogin: undefined });
		expect(await database.remove(anId("a1"), "hash-1", "me")).toBe(false);
		expect(await database.row(anId("a1"))).toMatchObject({ version: 2 });
		expect(await database.remove(anId("a1"), "hash-2", "me")).toBe(true);
		expect(await database.remove(anId("a1"), "hash-2", "me")).toBe(true);
		expect(await database.row(anId("a1"))).toBeUndefined();
		expect(await database.lastVersion(anId("a1"))).toBe(3);
		expect(await pool.query("select for_keepers, for_runners, token_hash from pi_multicodex.account")).toEqual([
			{ for_keepers: Buffer.of(), for_runners: Buffer.of(), token_hash: "" },
		]);
		expect(await database.change(aRow({ replaces: 3 }), "me")).toBe(4);
	});

	it.each([
		["was changed since", 0],
		["has never had that version", 5],
	])("a row is not changed if it %s", async (_, replaces) => {
		await database.change(aRow(), "me");
		expect(await database.change(aRow({ replaces, tokenHash: "lost" }), "me")).toBeUndefined();
		expect(await database.row(anId("a1"))).toMatchObject({ version: 1, tokenHash: "hash-1" });
	});

	it("that is gone, or was never there, is not brought back by a change", async () => {
		expect(await database.change(aRow({ replaces: 1 }), "me")).toBeUndefined();
		await database.change(aRow(), "me");
		await database.remove(anId("a1"), "hash-1", "me");
		expect(await database.change(aRow({ replaces: 1 }), "me")).toBeUndefined();
		expect(await database.row(anId("a1"))).toBeUndefined();
	});

	it("is changed by one of those that change it at the same moment", async () => {
		await database.change(aRow(), "me");
		const others = Array.from({ length: 8 }, () => pool.open());
		const done = await Promise.all(
			others.map((each, index) => each.change(aRow({ replaces: 1, tokenHash: `of-${index}` }), "me")),
		);
		expect(done.filter((version) => version === 2)).toHaveLength(1);
		expect(await database.row(anId("a1"))).toMatchObject({ version: 2, tokenHash: `of-${done.indexOf(2)}` });
	});
});

describe("a look", () => {
	it("finds what differs from what is known, and no more", async () => {
		await database.change(aRow(), "me");
		await database.change(aRow({ id: anId("a2") }), "me");
		await database.push({ ...push, statuses: [{ id: anId("a1"), version: 0, status: { strikes: 1 } }] });
		const first = await database.look(NOTHING);
		expect(first.head).toEqual({
			id: POOL_ID,
			name: "mine",
			keeperKeyId: KEYS.keeper,
			runnerKeyId: KEYS.runner,
			schemaVersion: 1,
		});
		expect(first.rows.map(({ id }) => id).sort()).toEqual(["a1", "a2"]);
		expect(first.statuses).toEqual([{ id: "a1", version: 1, status: { strikes: 1 } }]);
		expect(first.gone).toEqual([]);
		expect(first.pin).toEqual({ account: undefined, version: 0 });
		const known = {
			rows: new Map([
				[anId("a1"), 1],
				[anId("a2"), 1],
				[anId("a3"), 4],
			]),
			statuses: new Map([[anId("a1"), 1]]),
		};
		expect(await database.look(known)).toMatchObject({ rows: [], statuses: [], gone: ["a3"] });
		await database.change(aRow({ id: anId("a2"), replaces: 1 }), "me");
		await database.remove(anId("a1"), "hash-1", "me");
		const last = await database.look(known);
		expect(last).toMatchObject({ rows: [{ id: "a2", version: 2 }], statuses: [] });
		expect([...last.gone].sort()).toEqual(["a1", "a3"]);
	});

	it("sees that an account was taken out and is back, whatever it was known as", async () => {
		await database.change(aRow(), "me");
		await database.push({ ...push, statuses: [{ id: anId("a1"), version: 0, status: 1 }] });
		await database.remove(anId("a1"), "hash-1", "me");
		await database.change(aRow({ replaces: await database.lastVersion(anId("a1")) }), "me");
		const look = await database.look({ rows: new Map([[anId("a1"), 1]]), statuses: new Map([[anId("a1"), 1]]) });
		expect(look).toMatchObject({ rows: [{ version: 3 }], statuses: [{ version: 2, status: null }], gone: [] });
	});

	it("tells the time of the database beside that of the machine", async () => {
		const ahead = pool.open({ now: () => Date.now() + 10 * 60_000 });
		await ahead.look(NOTHING);
		const { now, localNow } = await ahead.look(NOTHING);
		expect(Math.abs(localNow - now - 10 * 60_000)).toBeLessThan(2000);
	});

	it("a look is one statement, as long as what differs, at 1,000 accounts", async () => {
		await pool.query(`
			insert into pi_multicodex.account
			select 'a' || n, 1, decode(repeat('ab', 4000), 'hex'), decode(repeat('cd', 3000), 'hex'), 'h' || n, 0, true
			from generate_series(1, 1000) n;
			insert into pi_multicodex.status select 'a' || n, 1, '{"cooldowns":[]}' from generate_series(1, 1000) n`);
		const proxy = await startPostgresProxy(server.port);
		const other = pool.open({ url: proxy.through(pool.url) });
		const all = await other.look(NOTHING);
		expect(all.rows).toHaveLength(1000);
		expect(all.statuses).toHaveLength(1000);
		const known = {
			rows: new Map(all.rows.map(({ id, version }) => [id, version])),
			statuses: new Map(all.statuses.map(({ id, version }) => [id, version])),
		};
		await database.change(aRow({ id: anId("a7"), replaces: 1 }), "me");
		const before = proxy.traffic();
		expect((await other.look(known)).rows.map(({ id }) => id)).toEqual(["a7"]);
		const { statements, received } = proxy.traffic();
		expect(statements - before.statements).toBe(1);
		expect(received - before.received).toBeLessThan(5000);
		await other.end();
		await proxy.close();
	});
});

describe("a push", () => {
	it("writes statuses, a presence and the pin in one statement", async () => {
		await database.change(aRow(), "me");
		await database.change(aRow({ id: anId("a2") }), "me");
		const proxy = await startPostgresProxy(server.port);
		const other = pool.open({ url: proxy.through(pool.url) });
		const statuses = [
			{ id: anId("a2"), version: 0, status: { text: "\u0000 \ud800 \u{1f600}" } },
			{ id: anId("a1"), version: 0, status: [] },
			{ id: anId("a1-gone"), version: 0, status: 1 },
		];
		await other.head();
		const before = proxy.traffic().statements;
		const pushed = await other.push({
			process: "p1",
			statuses: statuses.slice(0, 2),
			presence: { machine: "laptop", sessions: { [anId("a1")]: 2 } },
			pin: { account: anId("a2"), replaces: 0 },
		});
		expect(proxy.traffic().statements - before).toBe(1);
		expect([...pushed.written].sort()).toEqual([
			["a1", 1],
			["a2", 1],
		]);
		expect(pushed).toMatchObject({ others: [], pin: { account: "a2", version: 1, isWritten: true } });
		expect((await other.push({ process: "p1", statuses: statuses.slice(2) })).written.size).toBe(0);
		const look = await database.look(NOTHING);
		expect(look.statuses.find(({ id }) => id === "a2")?.status).toEqual(statuses[0]?.status);
		expect(look.presences).toEqual([
			{ process: "p1", machine: "laptop", sessions: { a1: 2 }, seenAt: expect.any(Number) },
		]);
		expect(look.pin).toEqual({ account: "a2", version: 1 });
		await other.end();
		await proxy.close();
	});

	it("answers with what another process has written in between, and with what was only asked for", async () => {
		await database.change(aRow(), "me");
		await database.push({
			...push,
			statuses: [{ id: anId("a1"), version: 0, status: "first" }],
			pin: { account: anId("a1"), replaces: 0 },
		});
		const late = await database.push({
			...push,
			statuses: [{ id: anId("a1"), version: 0, status: "late" }],
			pin: { account: undefined, replaces: 0 },
		});
		expect(late.written.size).toBe(0);
		expect(late.others).toEqual([{ id: "a1", version: 1, status: "first" }]);
		expect(late.pin).toEqual({ account: "a1", version: 1, isWritten: false });
		const asked = await database.push({ ...push, statuses: [{ id: anId("a1"), version: -1, status: undefined }] });
		expect(asked.others).toEqual([{ id: "a1", version: 1, status: "first" }]);
		const next = await database.push({
			...push,
			statuses: [{ id: anId("a1"), version: 1, status: "second" }],
			pin: { account: undefined, replaces: 1 },
		});
		expect(next).toMatchObject({ others: [], pin: { account: undefined, version: 2, isWritten: true } });
		expect(next.written.get(anId("a1"))).toBe(2);
	});

	it("a push of many processes at once loses none, and none waits for another for ever", async () => {
		const ids = Array.from({ length: 12 }, (_, index) => anId(`a${index}`));
		for (const id of ids) await database.change(aRow({ id }), "me");
		const add = async (process: PoolDatabase, name: string, order: readonly AccountId[]) => {
			const versions = new Map(ids.map((id) => [id, 0]));
			const counts = new Map(ids.map((id) => [id, 0]));
			for (let left = new Set(order); left.size > 0; ) {
				const statuses = [...left].map((id) => ({
					id,
					version: versions.get(id) ?? 0,
					status: (counts.get(id) ?? 0) + 1,
				}));
				const { written, others } = await process.push({ process: name, statuses });
				for (const other of others) {
					versions.set(other.id, other.version);
					counts.set(other.id, Number(other.status));
				}
				left = new Set([...left].filter((id) => !written.has(id)));
			}
		};
		const processes = Array.from({ length: 6 }, () => pool.open());
		await Promise.all(
			processes.map((process, index) => add(process, `p${index}`, index % 2 === 0 ? ids : [...ids].reverse())),
		);
		const { statuses } = await database.look(NOTHING);
		expect(statuses.map(({ status }) => status)).toEqual(ids.map(() => processes.length));
	});

	it("takes out a process that says it is gone, and those that were not seen for an hour", async () => {
		const presence = { machine: "m", sessions: {} };
		for (const process of ["p1", "p2", "p3"]) await database.push({ process, statuses: [], presence });
		await pool.query("update pi_multicodex.presence set seen_at = seen_at - interval '6 minutes' where process = 'p2'");
		expect((await database.look(NOTHING)).presences.map(({ process }) => process).sort()).toEqual(["p1", "p3"]);
		await pool.query("update pi_multicodex.presence set seen_at = seen_at - interval '1 hour' where process = 'p2'");
		await database.push({ process: "p1", statuses: [], presence: "gone" });
		expect(await pool.query("select process from pi_multicodex.presence")).toEqual([{ process: "p3" }]);
	});
});

describe("a claim", () => {
	const inTenMinutes = () => Date.now() + 10 * 60_000;
	/** As if the claim had been made so long ago. */
	const age = (seconds: number) =>
		pool.query(`update pi_multicodex.claim set claimed_at = clock_timestamp() - interval '${seconds} seconds'`);

	it("is given to one of 20 processes that ask at the same moment", async () => {
		for (let round = 1; round <= (isWide ? 20 : 3); round += 1) {
			const id = anId(`a${round}`);
			await database.change(aRow({ id }), "me");
			const processes = Array.from({ length: 20 }, () => pool.open());
			await Promise.all(processes.map((each) => each.head()));
			const answers = await Promise.all(processes.map((each, index) => each.claim(id, "hash-1", `p${index}`)));
			expect(answers.filter(({ kind }) => kind === "ours")).toHaveLength(1);
			expect(answers.filter(({ kind }) => kind === "taken")).toHaveLength(19);
			await Promise.all(processes.map((each) => each.end()));
		}
	});

	it.each([
		["the claim is 59 s old, in the last minute of the access token", 59, 60_000, "taken"],
		["the claim is 61 s old, 11 minutes before the end of the access token", 61, 11 * 60_000, "taken"],
		["the claim is 61 s old, 9 minutes before the end of the access token", 61, 9 * 60_000, "ours"],
		["the claim is a day old, and the access token ended long ago", 86_400, -HOUR, "ours"],
	])("a claim without an outcome is answered by the database's clock to another process, if %s", async (...row) => {
		const [, seconds, leftMs, kind] = row;
		await database.change(aRow({ expiresAt: Date.now() + leftMs }), "me");
		expect(await database.claim(anId("a1"), "hash-1", "p1")).toEqual({ kind: "ours" });
		await age(seconds);
		// A clock that is an hour off changes nothing.
		const other = pool.open({ now: () => Date.now() + HOUR });
		expect((await other.claim(anId("a1"), "hash-1", "p2")).kind).toBe(kind);
		expect(await pool.query("select holder from pi_multicodex.claim")).toEqual([
			{ holder: kind === "ours" ? "p2" : "p1" },
		]);
	});

	it("that is taken over goes to one process alone, and the former holder ends nothing of it", async () => {
		await database.change(aRow({ expiresAt: inTenMinutes() - 1000 }), "me");
		await database.claim(anId("a1"), "hash-1", "p0");
		await age(61);
		const processes = Array.from({ length: 8 }, () => pool.open());
		const answers = await Promise.all(
			processes.map((each, index) => each.claim(anId("a1"), "hash-1", `p${index + 1}`)),
		);
		expect(answers.filter(({ kind }) => kind === "ours")).toHaveLength(1);
		await database.settle(anId("a1"), "hash-1", "p0", "unsent");
		await database.settle(anId("a1"), "hash-1", "p0", { reason: "refused" });
		expect((await database.claim(anId("a1"), "hash-1", "p9")).kind).toBe("taken");
	});

	it("says when to ask again: not before the last 10 minutes, nor before 60 s", async () => {
		await database.change(aRow({ expiresAt: Date.now() + HOUR }), "me");
		await database.claim(anId("a1"), "hash-1", "p1");
		const early = await database.claim(anId("a1"), "hash-1", "p2");
		expect(early.kind === "taken" && Math.abs(early.retryAfterMs - 50 * 60_000)).toBeLessThan(5000);
		await database.change(aRow({ replaces: 1, expiresAt: Date.now() }), "me");
		const late = await database.claim(anId("a1"), "hash-1", "p2");
		expect(late.kind === "taken" && Math.abs(late.retryAfterMs - 60_000)).toBeLessThan(5000);
	});

	it("that was not sent is free again, and one with an outcome is spent for ever", async () => {
		await database.change(aRow(), "me");
		await database.claim(anId("a1"), "hash-1", "p1");
		await database.settle(anId("a1"), "hash-1", "p2", "unsent");
		expect((await database.claim(anId("a1"), "hash-1", "p2")).kind).toBe("taken");
		await database.settle(anId("a1"), "hash-1", "p1", "unsent");
		expect(await database.claim(anId("a1"), "hash-1", "p2")).toEqual({ kind: "ours" });
		await database.settle(anId("a1"), "hash-1", "p2", { reason: "refused: used before" });
		await age(86_400);
		await database.change(aRow({ replaces: 1, expiresAt: 0 }), "me");
		expect(await database.claim(anId("a1"), "hash-1", "p3")).toEqual({ kind: "spent", reason: "refused: used before" });
	});

	it("a claim of a token that the row no longer holds, or of an account that is gone, is not given", async () => {
		await database.change(aRow(), "me");
		expect(await database.claim(anId("a1"), "hash-0", "p1")).toEqual({ kind: "moved" });
		expect(await database.claim(anId("a2"), "hash-1", "p1")).toEqual({ kind: "moved" });
		await database.claim(anId("a1"), "hash-1", "p1");
		await database.remove(anId("a1"), "hash-1", "me");
		expect(await database.claim(anId("a1"), "hash-1", "p2")).toEqual({ kind: "moved" });
		// Nor again once the account is back with the same token.
		await database.change(aRow({ replaces: 2 }), "me");
		expect((await database.claim(anId("a1"), "hash-1", "p2")).kind).toBe("taken");
	});
});

describe("a token that was exchanged", () => {
	const next = (replaces: number) => ({ ...aRow({ replaces, tokenHash: "hash-2" }) });

	it("is stored, clears what asked for a sign-in, and ends the claim", async () => {
		await database.change(aRow({ needsLogin: { reason: "why", at: 1 } }), "me");
		await database.claim(anId("a1"), "hash-1", "p1");
		expect(await database.storeExchanged(next(1), "hash-1", "p1")).toBe("stored");
		expect(await database.row(anId("a1"))).toMatchObject({ version: 2, tokenHash: "hash-2", needsLogin: undefined });
		expect(await pool.query("select token_hash, outcome from pi_multicodex.claim")).toEqual([
			{ token_hash: "hash-1", outcome: "exchanged" },
		]);
		// A journal that is replayed a second time.
		expect(await database.storeExchanged(next(1), "hash-1", "p1")).toBe("moved");
		expect(await database.claim(anId("a1"), "hash-2", "p1")).toEqual({ kind: "ours" });
	});

	it("has to be sealed anew if the row was changed, and is stored then", async () => {
		await database.change(aRow(), "me");
		await database.claim(anId("a1"), "hash-1", "p1");
		await database.change(aRow({ replaces: 1, enabled: false }), "you");
		expect(await database.storeExchanged(next(1), "hash-1", "p1")).toBe("changed");
		expect((await database.claim(anId("a1"), "hash-1", "p2")).kind).toBe("taken");
		expect(await database.storeExchanged(next(2), "hash-1", "p1")).toBe("stored");
		expect(await database.row(anId("a1"))).toMatchObject({ version: 3, enabled: false, tokenHash: "hash-2" });
	});

	it("a token that was exchanged is not stored over a new sign-in, nor if the account is gone", async () => {
		await database.change(aRow(), "me");
		await database.claim(anId("a1"), "hash-1", "p1");
		await database.change(aRow({ replaces: 1, tokenHash: "signed-in" }), "you");
		expect(await database.storeExchanged(next(1), "hash-1", "p1")).toBe("moved");
		expect(await database.storeExchanged(next(2), "hash-1", "p1")).toBe("moved");
		await database.remove(anId("a1"), "signed-in", "you");
		expect(await database.storeExchanged(next(3), "hash-1", "p1")).toBe("moved");
		expect(await database.row(anId("a1"))).toBeUndefined();
	});

	it("is stored also by a process whose claim was taken over", async () => {
		await database.change(aRow({ expiresAt: 0 }), "me");
		await database.claim(anId("a1"), "hash-1", "p1");
		await pool.query("update pi_multicodex.claim set claimed_at = now() - interval '2 minutes'");
		expect((await database.claim(anId("a1"), "hash-1", "p2")).kind).toBe("ours");
		expect(await database.storeExchanged(next(1), "hash-1", "p1")).toBe("stored");
		await database.settle(anId("a1"), "hash-1", "p2", { reason: "refused" });
		expect(await pool.query("select outcome from pi_multicodex.claim")).toEqual([{ outcome: "exchanged" }]);
	});

	/** Claims, each of so many days ago; the outcome of one that is open is null. */
	const claimed = (...claims: readonly (readonly [id: string, tokenHash: string, days: number, outcome: string])[]) =>
		pool.query(
			claims
				.map(([id, hash, days, outcome]) => {
					const at = `now() - interval '${days} days'`;
					return `insert into pi_multicodex.claim values ('${id}', '${hash}', 'p', ${at}, ${outcome})`;
				})
				.join(";"),
		);
	const claims = async () => {
		const rows = await pool.query("select account, token_hash from pi_multicodex.claim order by 1, 2");
		return rows.map(({ account, token_hash: hash }) => `${account} ${hash}`);
	};

	it("leaves no more than 90 days of claims, and every one on the token of a row", async () => {
		for (const id of [anId("a1"), anId("a2"), anId("a3")]) await database.change(aRow({ id }), "me");
		await database.remove(anId("a3"), "hash-1", "me");
		await claimed(
			...([
				["a1", "ended", 91, "'exchanged'"],
				["a1", "ended-lately", 89, "'exchanged'"],
				["a1", "hash-2", 91, "null"],
				["a1", "open", 91, "null"],
				["a1", "open-lately", 89, "null"],
				["a2", "hash-1", 400, "null"],
				["a2", "open", 91, "null"],
				["a3", "hash-1", 91, "null"],
				["a3", "ended-lately", 89, "'exchanged'"],
			] as const),
		);
		await database.storeExchanged(next(1), "hash-1", "p1");
		const left = ["a1 ended-lately", "a1 hash-1", "a1 hash-2", "a1 open-lately", "a2 hash-1", "a3 ended-lately"];
		expect(await claims()).toEqual(left);
		// A token that may have been spent is sent by nothing but the last try.
		expect((await database.claim(anId("a2"), "hash-1", "p2")).kind).toBe("taken");
	});

	wide("keeps a claim whose token is put back into its row at that moment, as by a restored database", async () => {
		for (const id of [anId("a1"), anId("a2")]) await database.change(aRow({ id, tokenHash: `${id}-1` }), "me");
		await claimed(["a2", "put-back", 91, "null"], ["a2", "open", 91, "null"]);
		const restoring = postgres(pool.url, { max: 1, fetch_types: false });
		let stored: Promise<unknown> = Promise.resolve();
		await restoring.begin(async (sql) => {
			await sql`update pi_multicodex.account set token_hash = 'put-back', version = 1 where id = 'a2'`;
			const row = { ...next(1), tokenHash: "a1-2" };
			stored = database.storeExchanged(row, "a1-1", "p1");
			await vi.waitFor(async () => {
				expect(await pool.query("select 1 from pg_locks where not granted")).not.toEqual([]);
			}, 3000);
		});
		expect(await stored).toBe("stored");
		await restoring.end();
		expect(await claims()).toEqual(["a1 a1-1", "a2 put-back"]);
		expect((await database.claim(anId("a2"), "put-back", "p2")).kind).toBe("taken");
	});
});

describe("new keys", () => {
	const keys = { keeperKeyId: "keeper-2", runnerKeyId: "runner-2" };
	const resealed = [aRow({ replaces: 1, forKeepers: Uint8Array.of(9) }), aRow({ id: anId("a2"), replaces: 1 })];

	beforeEach(async () => {
		await database.change(aRow(), "me");
		await database.change(aRow({ id: anId("a2") }), "me");
	});

	it("new keys come with all rows, and what was opened with the former ones is refused in every statement", async () => {
		const old = pool.open({ keyIds: KEYS });
		const runner = pool.open({ keyIds: { keeper: undefined, runner: KEYS.runner } });
		await old.look(NOTHING);
		expect(await database.reseal(keys, resealed)).toBe(true);
		expect(await database.row(anId("a1"))).toMatchObject({ version: 2, forKeepers: Uint8Array.of(9), enabled: true });
		expect(await database.head()).toMatchObject(keys);
		for (const each of [old, runner]) {
			await expect(each.look(NOTHING)).rejects.toMatchObject({ kind: "revoked" });
			await expect(each.push({ ...push, statuses: [] })).rejects.toMatchObject({ kind: "revoked" });
			await expect(each.row(anId("a1"))).rejects.toMatchObject({ kind: "revoked" });
		}
		await expect(old.claim(anId("a1"), "hash-1", "p")).rejects.toMatchObject({ kind: "revoked" });
		await expect(old.change(aRow({ replaces: 2 }), "p")).rejects.toMatchObject({ kind: "revoked" });
		await expect(old.remove(anId("a1"), "hash-1", "p")).rejects.toMatchObject({ kind: "revoked" });
		await expect(old.storeExchanged(aRow({ replaces: 2 }), "hash-1", "p")).rejects.toMatchObject({ kind: "revoked" });
		await expect(old.reseal(keys, [])).rejects.toMatchObject({ kind: "revoked" });
		expect(await database.look(NOTHING)).toMatchObject({ rows: [{ version: 2 }, { version: 2 }] });
	});

	it.each<[string, () => Promise<unknown>]>([
		["a row was changed", () => database.change(aRow({ replaces: 1 }), "me")],
		["a row was added", () => database.change(aRow({ id: anId("a3") }), "me")],
		["a row was taken out", () => database.remove(anId("a2"), "hash-1", "me")],
		["a token is on its way", () => database.claim(anId("a1"), "hash-1", "p1")],
	])("new keys change nothing at all if %s in the meantime", async (_, act) => {
		await act();
		const before = await pool.query("select * from pi_multicodex.account order by id");
		expect(await database.reseal(keys, resealed)).toBe(false);
		expect(await pool.query("select * from pi_multicodex.account order by id")).toEqual(before);
		expect(await database.head()).toMatchObject({ keeperKeyId: KEYS.keeper });
	});

	it("new keys and changes at the same moment never leave a row under the former keys", async () => {
		for (let round = 0; round < (isWide ? 100 : 5); round += 1) {
			const { rows } = await database.look(NOTHING);
			const [one, two] = [pool.open(), pool.open({ keyIds: { keeper: `k${round}`, runner: `r${round}` } })];
			await pool.query(`update pi_multicodex.pool set keeper_key_id = 'k${round}', runner_key_id = 'r${round}'`);
			await Promise.all([one.head(), two.head()]);
			const [isDone, added] = await Promise.all([
				one.reseal(
					{ keeperKeyId: "next", runnerKeyId: "next" },
					rows.map(({ version, ...row }) => ({ ...row, replaces: version })),
				),
				two.change(aRow({ id: anId(`new-${round}`) }), "me").catch(() => undefined),
			]);
			expect(isDone && added !== undefined).toBe(false);
			await Promise.all([one.end(), two.end()]);
		}
	});
});

it("news of every kind of change reach another process within a second, and not the one that made it", async () => {
	await database.change(aRow(), "me");
	const other = pool.open();
	const onNews = vi.fn();
	const onOwnNews = vi.fn();
	const stop = await other.listen("other", onNews);
	const stopOwn = await database.listen("me", onOwnNews);
	const changes: readonly (() => Promise<unknown>)[] = [
		() => database.push({ ...push, statuses: [{ id: anId("a1"), version: 0, status: 1 }] }),
		() => database.push({ ...push, pin: { account: anId("a1"), replaces: 0 } }),
		() => database.change(aRow({ replaces: 1 }), "me"),
		() => database.storeExchanged(aRow({ replaces: 2, tokenHash: "hash-2" }), "hash-1", "me"),
		() => database.remove(anId("a1"), "hash-2", "me"),
	];
	for (const [index, change] of changes.entries()) {
		await change();
		await vi.waitFor(() => expect(onNews).toHaveBeenCalledTimes(index + 1), { timeout: 1000, interval: 5 });
	}
	await database.push({ ...push, presence: { machine: "m", sessions: {} } });
	await database.push({ ...push, statuses: [{ id: anId("a1"), version: 9, status: 1 }] });
	expect(onOwnNews).not.toHaveBeenCalled();
	await stop?.();
	await other.push({ process: "other", statuses: [], pin: { account: anId("a1"), replaces: 1 } });
	await vi.waitFor(() => expect(onOwnNews).toHaveBeenCalledTimes(1));
	expect(onNews).toHaveBeenCalledTimes(changes.length);
	await stopOwn?.();
});

describe("over a network that fails", () => {
	let proxy: PostgresProxy;
	let other: PoolDatabase;
	beforeEach(async () => {
		proxy = await startPostgresProxy(server.port);
		other = pool.open({ url: proxy.through(pool.url), times: { idleMs: 200, statementMs: 1500, connectMs: 500 } });
	});
	afterEach(() => proxy.close());

	it("listening is given up behind a pooler that keeps notifications back", async () => {
		proxy.dropNotifications();
		expect(await other.listen("other", () => undefined)).toBeUndefined();
		await vi.waitFor(() => expect(proxy.connections()).toBe(0));
	});

	it("listening goes on after the connection was cut, and says that something may have been missed", async () => {
		const onNews = vi.fn();
		const stop = await other.listen("other", onNews);
		proxy.cut();
		await vi.waitFor(() => expect(onNews).toHaveBeenCalled(), { timeout: 5000 });
		onNews.mockClear();
		await database.push({ ...push, pin: { account: anId("a1"), replaces: 0 } });
		await vi.waitFor(() => expect(onNews).toHaveBeenCalledTimes(1));
		await stop?.();
		await vi.waitFor(() => expect(proxy.connections()).toBe(0));
	});

	it.each(coreOf([0, 20, 100, 1500], (ms) => ms === 20))(
		"a listener that is closed %i ms after its connection was cut leaves none",
		async (ms) => {
			await other.listen("other", () => undefined);
			proxy.refuse(true);
			proxy.cut();
			await sleep(ms);
			proxy.refuse(false);
			await other.end();
			const made = proxy.made();
			await sleep(1500);
			expect([proxy.connections(), proxy.made()]).toEqual([0, made]);
		},
	);

	it("one connection serves statements that are made at once, and is closed when there is no use for it", async () => {
		await Promise.all(Array.from({ length: 10 }, () => other.head()));
		expect(proxy.made()).toBe(1);
		await vi.waitFor(() => expect(proxy.connections()).toBe(0), { timeout: 3000 });
		expect(await other.head()).toBeDefined();
		expect(proxy.made()).toBe(2);
	});

	it("a connection that was cut between two statements is made anew", async () => {
		await other.head();
		proxy.cut();
		await vi.waitFor(() => expect(proxy.connections()).toBe(0));
		await sleep(20);
		expect(await other.head()).toBeDefined();
	});

	it("a claim whose answer was lost rejects, was made, and is freed by its holder", async () => {
		await database.change(aRow(), "me");
		await other.head();
		proxy.loseAnswerOf("insert into pi_multicodex.claim");
		await expect(other.claim(anId("a1"), "hash-1", "p1")).rejects.toMatchObject({ name: "PoolProblem", kind: "away" });
		expect((await database.claim(anId("a1"), "hash-1", "p2")).kind).toBe("taken");
		await other.settle(anId("a1"), "hash-1", "p1", "unsent");
		expect(await database.claim(anId("a1"), "hash-1", "p2")).toEqual({ kind: "ours" });
	});

	it("an exchange whose answer was lost is found stored when it is tried again", async () => {
		await database.change(aRow(), "me");
		await other.head();
		proxy.loseAnswerOf("update pi_multicodex.account");
		const exchanged = aRow({ replaces: 1, tokenHash: "hash-2" });
		await expect(other.storeExchanged(exchanged, "hash-1", "p1")).rejects.toMatchObject({ kind: "away" });
		expect(await other.storeExchanged(exchanged, "hash-1", "p1")).toBe("moved");
		expect(await other.row(anId("a1"))).toMatchObject({ version: 2, tokenHash: "hash-2" });
	});

	it("a statement is given up in time, and the next one is made on a connection of its own", async () => {
		await other.head();
		proxy.delay(60_000);
		const startedAt = performance.now();
		await expect(other.look(NOTHING)).rejects.toMatchObject({ kind: "away" });
		expect(performance.now() - startedAt).toBeLessThan(5000);
		proxy.delay(0);
		expect(await other.head()).toBeDefined();
	});

	it("a server that closes without a word is given up at once", async () => {
		proxy.refuse(true);
		await expect(other.head()).rejects.toMatchObject({ kind: "away" });
		expect(proxy.made()).toBe(0);
		proxy.refuse(false);
		expect(await other.head()).toBeDefined();
	});

	it("statements go on after the server has crashed and is back", async () => {
		const onNews = vi.fn();
		const stop = await other.listen("other", onNews);
		await database.change(aRow(), "me");
		await vi.waitFor(() => expect(onNews).toHaveBeenCalled());
		onNews.mockClear();
		await server.crash();
		await expect(database.row(anId("a1"))).rejects.toMatchObject({ kind: "away" });
		await expect(other.claim(anId("a1"), "hash-1", "p")).rejects.toMatchObject({ kind: "away" });
		await server.restart();
		expect(await database.row(anId("a1"))).toMatchObject({ version: 1 });
		expect(await other.claim(anId("a1"), "hash-1", "p")).toEqual({ kind: "ours" });
		await vi.waitFor(() => expect(onNews).toHaveBeenCalled(), { timeout: 20_000 });
		await stop?.();
	});
});

/** Bounds against hanging: a busy machine takes minutes. */
const LONGEST_MS = 300_000;
const AT_LEISURE = { timeout: LONGEST_MS + 20_000 };

describe("over a network that cuts connections at any moment", AT_LEISURE, () => {
	const COUNT = 10;
	const random = (below: number) => Math.floor(Math.random() * below);

	it("each statement is answered by its own answer or rejects, in time, and no claim is given twice", async () => {
		for (let index = 0; index < COUNT; index += 1) await database.change(aRow({ id: anId(`a${index}`) }), "me");
		const proxy = await startPostgresProxy(server.port);
		const [mostAnswers, mostCuts] = isWide ? [600, 200] : [25, 15];
		const latest = Date.now() + LONGEST_MS;
		const isOver = () => Date.now() > latest || (answered >= mostAnswers && cuts >= mostCuts);
		const claimed: string[] = [];
		const faults: unknown[] = [];
		let answered = 0;
		let lastRoundMs = 0;
		let cuts = 0;
		const asked = (process: PoolDatabase, id: AccountId) =>
			Promise.all([
				process.row(id),
				process.row(anId("nowhere")),
				process.lastVersion(id),
				process.claim(id, "another", "p"),
				process.push({ process: "p", statuses: [{ id, version: -1, status: undefined }] }),
				process.look(NOTHING),
			]);
		const expected = (id: string) => [
			expect.objectContaining({ id }),
			undefined,
			1,
			{ kind: "moved" },
			expect.objectContaining({ others: [] }),
			expect.objectContaining({ gone: [] }),
		];
		const work = async (process: PoolDatabase, name: string) => {
			while (!isOver()) {
				const id = anId(`a${random(COUNT)}`);
				const startedAt = performance.now();
				try {
					expect(await asked(process, id)).toEqual(expected(id));
					if ((await process.claim(id, "hash-1", `${name}-${random(1e9)}`)).kind === "ours") claimed.push(id);
					if (random(4) === 0) await (await process.listen(name, () => undefined))?.();
					answered += 1;
					lastRoundMs = performance.now() - startedAt;
				} catch (error) {
					if (!(error instanceof PoolProblem && error.kind === "away")) faults.push(error);
				}
				if (performance.now() - startedAt > 30_000) faults.push(`${id} took too long`);
			}
		};
		const cut = async () => {
			while (!isOver()) {
				// At most twice as long as a round takes: on a busy machine some are done all the same.
				await sleep(random(Math.max(200, 2 * lastRoundMs)));
				cuts += 1;
				if (random(3) === 0) proxy.loseAnswerOf("pi_multicodex");
				else proxy.cut();
			}
		};
		const times = { idleMs: 40, statementMs: 3000, connectMs: 1000 };
		const processes = Array.from({ length: 3 }, () => pool.open({ url: proxy.through(pool.url), times }));
		await Promise.all([...processes, ...processes].map((each, index) => work(each, `p${index}`)).concat(cut()));
		await proxy.close();
		expect(faults).toEqual([]);
		expect(answered).toBeGreaterThanOrEqual(mostAnswers);
		expect(new Set(claimed).size).toBe(claimed.length);
	});
});

describe("a database that is closed", () => {
	it("has no connection, refuses further statements, and was never reached if none was made", async () => {
		const proxy = await startPostgresProxy(server.port);
		const unused = pool.open({ url: proxy.through(pool.url) });
		await unused.end();
		const used = pool.open({ url: proxy.through(pool.url) });
		await used.listen("me", () => undefined);
		expect(proxy.connections()).toBe(2);
		await used.end();
		await vi.waitFor(() => expect(proxy.connections()).toBe(0));
		await expect(used.head()).rejects.toMatchObject({ name: "PoolProblem", kind: "away" });
		expect(proxy.made()).toBe(2);
		await proxy.close();
	});

	it("waits for no server that does not answer", async () => {
		const proxy = await startPostgresProxy(server.port);
		proxy.delay(60_000);
		const times = { connectMs: 30_000, statementMs: 60_000 };
		for (const mode of ["sslmode=disable", "sslmode=require"]) {
			const url = proxy.through(pool.url).replace("sslmode=disable", mode);
			const used = pool.open({ url, times });
			const looked = expect(used.look(NOTHING)).rejects.toMatchObject({ kind: "away" });
			await vi.waitFor(() => expect(proxy.connections()).toBe(1));
			const startedAt = performance.now();
			await used.end();
			await looked;
			expect(performance.now() - startedAt).toBeLessThan(5000);
			await vi.waitFor(() => expect(proxy.connections()).toBe(0));
		}
		await proxy.close();
	});

	wide("ends what is on its way", async () => {
		const proxy = await startPostgresProxy(server.port);
		const used = pool.open({ url: proxy.through(pool.url) });
		await used.head();
		proxy.delay(60_000);
		const looked = used.look(NOTHING);
		await sleep(50);
		await Promise.all([used.end(), expect(looked).rejects.toMatchObject({ kind: "away" })]);
		await proxy.close();
	});
});
