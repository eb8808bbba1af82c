import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../src/core/account.ts";
import type { AccountId } from "../../src/core/ids.ts";
import { PATIENT } from "../../src/platform/shared-pool/types.ts";
import { closeFolder, until } from "../support/fakes.ts";
import { anId } from "../support/ids.ts";
import { anIssuer, aPoolProcess, type FakeIssuer, type PoolProcess } from "../support/pool-home.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { wide } from "../support/tiers.ts";

let server: TestPostgres;
let url: string;
let issuer: FakeIssuer;
let running: PoolProcess[];
beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server.close());
beforeEach(async () => {
	url = await server.database();
	issuer = anIssuer();
	running = [];
});
afterEach(async () => {
	for (const each of running) await each.end().catch(() => undefined);
	for (const each of running) each.scratch.remove();
});

const start = (options?: Parameters<typeof aPoolProcess>[1]) => {
	const started = aPoolProcess(issuer, options);
	running.push(started);
	return started;
};
/** A machine that has made a pool with these accounts, and its codes. */
const shared = async (...names: readonly string[]) => {
	const one = start();
	const ids: AccountId[] = [];
	for (const name of names) ids.push(await one.signIn(name));
	const codes = await one.pools.create({ url, name: "team", machine: "one", accounts: ids }, undefined);
	return { one, ids, codes };
};
const joined = async (code: string, machine: string) => {
	const process = start();
	await process.pools.join(code, machine, undefined);
	return process;
};
const find = ({ sharing }: PoolProcess, id: string): Account | undefined =>
	sharing.accounts.list().find((account) => account.id === id);
const tokenOf = async ({ credentials }: PoolProcess, id: AccountId, refused?: string) => {
	const result = await credentials.accessToken(id, { refused });
	return result.kind === "ready" ? result.access : `${result.kind}: ${result.reason}`;
};
/** No refresh token was sent twice. */
const expectOnce = () => expect(new Set(issuer.sent).size).toBe(issuer.sent.length);

describe("accounts that two machines share", () => {
	it("each machine has the accounts of both, and of the other's an access token alone", async () => {
		const { one, ids, codes } = await shared("a", "b");
		const two = await joined(codes.keeper, "two");
		await two.signIn("c");

		expect(two.labels()).toEqual(["c", "a", "b"]);
		expect(find(two, ids[0] ?? anId(""))?.shared).toBe(true);
		expect(await tokenOf(two, ids[0] ?? anId(""))).toBe(find(one, ids[0] ?? anId(""))?.credential.access);
		for (const { scratch } of [one, two]) {
			const texts = scratch.names("codex-pool").map(scratch.text).join("");
			expect(texts).not.toContain("refresh-a");
			expect(texts).not.toContain("refresh-b");
		}
		expect(one.local.list()).toEqual([]);
		expect(one.scratch.text("codex-accounts.json")).not.toContain("refresh-");
		expect(one.scratch.names("codex-accounts.json.bak")).toEqual([]);
		expect(issuer.sent).toEqual([]);
	});

	it("shared accounts are there at the next start, from the disk, while the database is away", async () => {
		const { one, ids } = await shared("a");
		await one.end();
		await server.crash();

		const again = start({ scratch: one.scratch });
		await again.sharing.settling();
		expect(again.labels()).toEqual(["a"]);
		expect(await tokenOf(again, ids[0] ?? anId(""))).toBe(find(one, ids[0] ?? anId(""))?.credential.access);
		await again.pools.look(undefined);
		expect(again.pools.status()?.connection.kind).toBe("away");
		expect(again.events.filter(({ type }) => type === "pool-away")).toHaveLength(1);
		await server.restart();
		await again.pools.look(undefined);
		expect(again.events.filter(({ type }) => type === "pool-back")).toHaveLength(1);
	});

	it("shared accounts reach a runner that knows nothing with its first request, and no disk of it", async () => {
		const { one, ids, codes } = await shared("a");
		const runner = start({ environment: codes.runner });
		await runner.sharing.settling();

		expect(runner.open().isAwaited()).toBe(true);
		await runner.open().ready(undefined);
		expect(runner.open().isAwaited()).toBe(false);
		expect(await tokenOf(runner, ids[0] ?? anId(""))).toBe(find(one, ids[0] ?? anId(""))?.credential.access);
		expect(runner.scratch.names().filter((name) => name !== "codex-state.json")).toEqual([]);
		await expect(runner.membership.rename(ids[0] ?? anId(""), "x")).rejects.toThrow("as a runner");
		await expect(runner.membership.remove(ids[0] ?? anId(""))).rejects.toThrow("as a runner");
	});

	it("shared accounts are renewed by one exchange, whichever machines want that at once", async () => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		const two = await joined(codes.keeper, "two");
		const three = await joined(codes.keeper, "three");
		const old = find(one, id)?.credential.access;

		const tokens = await Promise.all([one, two, three].map((each) => tokenOf(each, id, old)));
		// The token is used as soon as it is on the disk, and stored in the database behind.
		for (const each of [one, two, three]) await each.credentials.idle();
		for (const each of [one, two, three]) await each.pools.look(undefined);
		const now = [one, two, three].map((each) => find(each, id)?.credential.access);
		expect(new Set(now).size).toBe(1);
		expect(now[0]).not.toBe(old);
		expect(issuer.sent).toHaveLength(1);
		expect(tokens).toContain(now[0]);
		expect(find(two, id)?.needsLogin).toBeUndefined();
	});

	it("shared accounts wait for the token that another machine is renewing, if their own was refused", async () => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		const two = await joined(codes.keeper, "two");
		const refused = find(one, id)?.credential.access;
		issuer.onExchanged = () => new Promise((resolve) => setTimeout(resolve, 300));

		const [first, second] = await Promise.all([one, two].map((each) => tokenOf(each, id, refused)));

		expect(first).toMatch(/^[^:]+$/);
		expect(first).not.toBe(refused);
		expect(second).toBe(first);
		expectOnce();
	});

	it("shared accounts are renewed behind a request, when a fifth of the token's life is left", async () => {
		const one = start();
		const id = await one.signIn("a", 10 * 60_000 - 5000);
		const { access } = find(one, id)?.credential ?? {};
		await one.pools.create({ url, name: "team", machine: "one", accounts: [id] }, undefined);

		expect(await tokenOf(one, id)).toBe(access);
		await one.credentials.idle();
		expect(issuer.sent).toHaveLength(1);
		expect(await tokenOf(one, id)).not.toBe(access);
		await one.credentials.idle();
		expect(issuer.sent).toHaveLength(1);
	});

	it("a token that comes while the database is away is kept in a journal, and stored when it is back", async () => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		const two = await joined(codes.keeper, "two");
		const old = find(one, id)?.credential.access;
		issuer.onExchanged = () => server.crash();

		const token = await tokenOf(one, id, old);
		expect(token).not.toBe(old);
		expect(find(one, id)?.credential.access).toBe(token);
		const [journal = ""] = one.scratch.names("codex-pool-");
		expect(journal).toMatch(/\.journal$/);
		expect(one.scratch.text(journal)).not.toContain("refresh-a");
		issuer.onExchanged = async () => undefined;
		await server.restart();
		// The other machine does not send what was claimed.
		expect(await tokenOf(two, id, old)).toContain("unavailable");
		await one.end();

		const again = start({ scratch: one.scratch });
		await again.sharing.settling();
		await again.pools.look(undefined);
		expect(again.scratch.names("codex-pool-").filter((name) => name.endsWith(".journal"))).toEqual([]);
		await two.pools.look(undefined);
		expect(find(two, id)?.credential.access).toBe(token);
		expectOnce();
	});

	wide("shared accounts have a new sign-in even if it is made while the database is away", async () => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		const two = await joined(codes.keeper, "two");
		await server.crash();
		for (const _ of ["a first one", "a second one"]) await one.signIn("a");
		const access = find(one, id)?.credential.access;
		expect(access).not.toBe(find(two, id)?.credential.access);
		await one.end();
		await server.restart();

		const again = start({ scratch: one.scratch });
		await again.sharing.settling();
		expect(find(again, id)?.credential.access).toBe(access);
		await again.pools.look(undefined);
		expect(again.scratch.names("codex-pool-").filter((name) => name.endsWith(".journal"))).toEqual([]);
		await two.pools.look(undefined);
		expect(find(two, id)?.credential.access).toBe(access);
		// Also what comes for it is the pool's.
		expect(await tokenOf(two, id, access)).toMatch(/^[^:]+$/);
		expectOnce();
	});

	it("send nothing if more than 20 seconds have passed since the claim", async () => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		const old = find(one, id)?.credential.access;
		const database = one.open().inside.connection;
		const use = database.use.bind(database);
		let slept = false;
		Object.assign(database, {
			use: async (...given: Parameters<typeof use>) => {
				const result = await use(...given);
				if (typeof result === "object" && result !== null && "kind" in result && result.kind === "ours" && !slept) {
					slept = true;
					one.sleep(21_000);
				}
				return result;
			},
		});

		expect(await tokenOf(one, id, old)).toContain("unavailable");
		expect(slept).toBe(true);
		expect(issuer.sent).toEqual([]);
		// The claim was given back.
		const two = await joined(codes.keeper, "two");
		expect(await tokenOf(two, id, old)).not.toBe(old);
		expect(issuer.sent).toHaveLength(1);
	});

	it("send nothing if their machine could not keep what comes", async () => {
		const { one, ids } = await shared("a");
		const [id = anId("")] = ids;
		const old = find(one, id)?.credential.access;
		const reopen = closeFolder(one.scratch.dir);
		try {
			expect(await tokenOf(one, id, old)).toContain("unavailable");
		} finally {
			reopen();
		}
		expect(issuer.sent).toEqual([]);
	});

	it("shared accounts are never renewed by a runner, which takes what a keeper has renewed", async () => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		const runner = start({ environment: codes.runner });
		await runner.sharing.settling();
		await runner.open().ready(undefined);
		const old = find(runner, id)?.credential.access;

		expect(await tokenOf(runner, id, old)).toContain("no keeper of its pool has renewed it");
		expect(issuer.sent).toEqual([]);
		const next = await tokenOf(one, id, old);
		const another = start({ environment: codes.runner });
		await another.sharing.settling();
		await another.open().ready(undefined);
		expect(await tokenOf(another, id, old)).toBe(next);
	});

	it("a shared account that is refused needs a sign-in everywhere, and none after one machine has signed in", async () => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		const two = await joined(codes.keeper, "two");
		await issuer.refresh(`refresh-a-1`);
		const old = find(one, id)?.credential.access;

		expect(await tokenOf(one, id, old)).toContain("signed-out");
		await two.pools.look(undefined);
		expect(find(two, id)?.needsLogin?.reason).toBe("refresh_token_reused");
		expect(issuer.sent).toHaveLength(2);
		await two.signIn("a");
		await one.pools.look(undefined);
		expect(find(one, id)?.needsLogin).toBeUndefined();
		expect(one.local.list()).toEqual([]);
		expect(two.local.list()).toEqual([]);
		expect(await tokenOf(one, id)).toBe(find(two, id)?.credential.access);
	});

	it("shared accounts are renamed, switched off and removed for all machines", async () => {
		const { one, ids, codes } = await shared("a", "b");
		const [id = anId(""), other = anId("")] = ids;
		const two = await joined(codes.keeper, "two");

		await two.membership.rename(id, "work");
		await two.membership.setEnabled(other, false);
		await one.pools.look(undefined);
		expect(find(one, id)?.label).toBe("work");
		expect(find(one, other)?.enabled).toBe(false);
		expect(await one.membership.remove(other)).toEqual({ kind: "removed", isPiSignedOut: false });
		await two.pools.look(undefined);
		expect(two.labels()).toEqual(["work"]);
		// It comes back where it was removed, as that machine's own.
		expect((await one.membership.restore(other))?.shared).toBeUndefined();
		expect(one.labels()).toEqual(["b", "work"]);
	});
});

it("making a pool goes on where it was cut off, and leaves a database alone that holds another pool", async () => {
	const one = start();
	const id = await one.signIn("a");
	const broken = { change: () => Promise.reject(new Error("settings.json is read-only")) };
	const half = start({ scratch: one.scratch, settings: broken });
	const wanted = { url, name: "team", machine: "one", accounts: [id] };
	await expect(half.pools.create(wanted, undefined)).rejects.toThrow("read-only");
	const codes = await one.pools.create(wanted, undefined);
	expect(find(one, id)?.shared).toBe(true);

	const two = start();
	await two.signIn("b");
	await expect(two.pools.create({ ...wanted, accounts: [] }, undefined)).rejects.toThrow("already has a pool");
	expect(two.labels()).toEqual(["b"]);
	expect(two.scratch.text("codex-pool.json")).not.toContain("pi-pool");
	await two.pools.join(codes.keeper, "two", undefined);
	expect(two.labels()).toEqual(["b", "a"]);
});

/** What the file of a home has of its pool. */
const codeOf = ({ scratch }: PoolProcess): unknown => JSON.parse(scratch.text("codex-pool.json")).join;

describe("the code of a keeper", () => {
	it("stays if a runner's code of the same pool is tried", async () => {
		const { one, codes } = await shared("a");
		await expect(one.pools.join(codes.runner, undefined, undefined)).rejects.toThrow("is a keeper of that pool");
		expect(codeOf(one)).toBe(codes.keeper);
		// A runner may become a keeper, and take the same code twice.
		const two = await joined(codes.runner, "two");
		await two.pools.join(codes.keeper, undefined, undefined);
		await two.pools.join(codes.keeper, undefined, undefined);
		expect(two.pools.status()).toMatchObject({ role: "keeper", machine: "two" });
	});

	it("stays whatever is tried while the environment names another pool, or none that can be read", async () => {
		const { one, codes } = await shared("a");
		const other = start();
		const others = await other.pools.create(
			{ url: await server.database(), name: "other", machine: "other", accounts: [] },
			undefined,
		);
		await one.end();
		for (const environment of ["rubbish", others.runner]) {
			const process = start({ scratch: one.scratch, environment });
			await process.sharing.settling();
			const nowhere = url.replace(/:\d+\//, ":1/");
			const tries = [
				process.pools.create({ url: nowhere, name: "new", machine: "one", accounts: [] }, undefined),
				process.pools.join(others.keeper, undefined, undefined),
				process.pools.leave([], { isForced: false }, undefined),
			];
			for (const each of tries) await expect(each).rejects.toThrow("PI_MULTICODEX_POOL");
			expect(codeOf(process)).toBe(codes.keeper);
			await process.end();
		}
		const again = start({ scratch: one.scratch });
		await again.sharing.settling();
		expect(again.labels()).toEqual(["a"]);
	});
});

describe("a database that was put back to an older state", () => {
	it("never has a token sent that was renewed since, and goes on after a sign-in", async () => {
		const one = start();
		// So short that the token is renewed with its first use.
		const id = await one.signIn("a", 4000);
		const { keeper } = await one.pools.create({ url, name: "team", machine: "one", accounts: [id] }, undefined);
		const tables = ["account", "claim", "status"];
		const inEach = (text: (table: string) => string) => `${tables.map(text).join(";")}; select 1 as done`;
		await server.query(
			url,
			inEach((table) => `create table public.${table} as table pi_multicodex.${table}`),
		);
		const renewed = await tokenOf(one, id);
		await one.credentials.idle();
		const two = await joined(keeper, "two");
		expect(await tokenOf(two, id)).toBe(renewed);
		await server.query(
			url,
			inEach((table) => `delete from pi_multicodex.${table}`),
		);
		await server.query(
			url,
			inEach((table) => `insert into pi_multicodex.${table} select * from public.${table}`),
		);

		for (const process of [one, two]) {
			await process.pools.look(undefined);
			expect(await tokenOf(process, id)).toBe(renewed);
			expect(await tokenOf(process, id, renewed)).toContain("put back to an older state; sign in to it again");
		}
		expectOnce();
		// The others have noted which token is spent.
		const late = await joined(keeper, "late");
		expect(await tokenOf(late, id, "refused")).toMatch(/signed-out|its sign-in is over/);
		expectOnce();

		await two.signIn("a");
		const signedIn = await tokenOf(two, id);
		expect(signedIn).toMatch(/^[^:]+$/);
		expect(signedIn).not.toBe(renewed);
		const three = await joined(keeper, "three");
		expect(await tokenOf(three, id)).toBe(signedIn);
		const next = await tokenOf(three, id, signedIn);
		expect(next).toMatch(/^[^:]+$/);
		expect(next).not.toBe(signedIn);
		await three.credentials.idle();
		for (const each of [one, two]) {
			await each.pools.look(undefined);
			expect(find(each, id)?.credential.access).toBe(next);
		}
		expectOnce();
	});
});

describe("leaving a pool", () => {
	it("is possible if the settings name one and its file is gone or damaged", async () => {
		const { one } = await shared("a");
		await one.end();
		one.scratch.write("codex-pool.json", '{"version":1,"jo');
		const again = start({ scratch: one.scratch });
		await again.sharing.settling();
		expect(again.sharing.current()).toBeUndefined();
		await again.pools.leave([], { isForced: false }, undefined);
		expect(again.scratch.text("settings.json")).not.toContain("team");
		await expect(again.pools.leave([], { isForced: false }, undefined)).rejects.toThrow("has joined no shared pool");
	});

	it("names what a database that is gone has not got, and keeps it if the person leaves all the same", async () => {
		const { one, ids } = await shared("a");
		const [id = anId("")] = ids;
		const moving = await one.signIn("b");
		issuer.onExchanged = () => server.crash();
		const token = await tokenOf(one, id, find(one, id)?.credential.access);
		issuer.onExchanged = async () => undefined;
		await expect(one.pools.add([moving], undefined)).rejects.toThrow(/database/);

		const waiting = await one.pools.leave([], { isForced: false }, undefined);
		expect(waiting).toMatchObject({ kind: "waiting", unstored: { renewed: ["a"], moving: ["b"] } });
		expect(waiting).toHaveProperty("why", expect.stringContaining("database"));
		expect(one.pools.status()?.name).toBe("team");
		expect(await one.pools.leave([], { isForced: true }, undefined)).toEqual({ kind: "left" });

		expect(find(one, id)).toMatchObject({ credential: { access: token, refresh: issuer.refreshOf("a") } });
		expect(find(one, id)?.shared).toBeUndefined();
		expect(find(one, moving)).toMatchObject({ needsLogin: { reason: expect.stringMatching(/^half moved/) } });
		expect(one.scratch.names("codex-pool-")).toEqual([]);
		await server.restart();
		expect(await tokenOf(one, id, token)).toMatch(/^[^:]+$/);
		expectOnce();
	});

	it("forgets the name of the machine on the others, also that of processes which go on", async () => {
		const { one, codes } = await shared("a");
		const two = await joined(codes.keeper, "two");
		const other = start({ scratch: one.scratch });
		await other.sharing.settling();
		for (const each of [one, other]) await each.pools.look(undefined);
		const seen = async () => (await two.pools.look(undefined))?.others.map(({ name }) => name) ?? [];
		await expect.poll(seen, { timeout: 20_000 }).toEqual(["one"]);

		await one.pools.leave([], { isForced: false }, undefined);
		expect(await seen()).toEqual([]);
		await one.pools.join(codes.keeper, "uno", undefined);
		await other.pools.look(undefined);
		await expect.poll(seen, { timeout: 20_000 }).toEqual(["uno"]);
		expect(other.pools.status()).toMatchObject({ machine: "uno", others: [{ name: "two" }] });
	});

	it("takes an account along whose sign-in is over", async () => {
		const { one, ids } = await shared("a");
		const [id = anId("")] = ids;
		issuer.refresh = async () => ({ kind: "refused", code: "refresh_token_reused", closed: false });
		expect(await tokenOf(one, id, find(one, id)?.credential.access)).toContain("signed-out");
		await one.pools.leave([id], { isForced: false }, undefined);
		expect(find(one, id)).toMatchObject({ needsLogin: { reason: "refresh_token_reused" } });
		expect(find(one, id)?.shared).toBeUndefined();
	});

	it("brings no sign-in back from a backup that the pool has renewed since", async () => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		const two = await joined(codes.keeper, "two");
		await one.membership.remove(id);
		await one.membership.restore(id);
		await one.pools.add([id], undefined);
		await two.pools.look(undefined);
		expect(await tokenOf(two, id, find(two, id)?.credential.access)).toMatch(/^[^:]+$/);
		await two.credentials.idle();
		await one.pools.leave([], { isForced: false }, undefined);
		expect(await one.membership.lastRemoved()).toBeUndefined();
		expect(one.scratch.names("codex-accounts.json.bak")).toEqual([]);
		expectOnce();
	});

	it("takes what was named along, once, and leaves everything else to the others", async () => {
		const { one, ids, codes } = await shared("a", "b");
		const two = await joined(codes.keeper, "two");
		const own = await one.signIn("c");
		const [id = anId("")] = ids;
		const old = find(one, id)?.credential.access;

		await one.pools.leave([id], { isForced: false }, undefined);
		expect(one.labels().sort()).toEqual(["a", "c"]);
		expect(find(one, id)?.shared).toBeUndefined();
		expect(find(one, own)?.label).toBe("c");
		await two.pools.look(undefined);
		expect(two.labels()).toEqual(["b"]);
		expect(one.scratch.text("codex-pool.json")).not.toContain("pi-pool");
		expect(await tokenOf(one, id, old)).not.toBe(old);
		expectOnce();

		// What was taken along can be shared again, and is renewed at once.
		await one.pools.join(codes.keeper, undefined, undefined);
		await one.pools.add([id], undefined);
		await two.pools.look(undefined);
		const again = find(two, id)?.credential.access;
		expect(await tokenOf(two, id, again)).not.toBe(again);
		expectOnce();
	});

	it("gives back the claim on what it took, so that it can be shared again unrenewed", async () => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		await one.pools.leave([id], { isForced: false }, undefined);
		await one.pools.join(codes.keeper, undefined, undefined);
		await one.pools.add([id], undefined);
		const old = find(one, id)?.credential.access;
		expect(await tokenOf(one, id, old)).not.toBe(old);
	});

	it.each(["in", "out"] as const)("settles an account that was on its way %s when a process ended", async (way) => {
		const { one, ids, codes } = await shared("a");
		const [id = anId("")] = ids;
		const two = await joined(codes.keeper, "two");
		const added = way === "in" ? await one.signIn("b") : id;
		// The process ends when both places have it.
		const end = () => Promise.reject(new Error("killed"));
		Object.assign(one.local, way === "in" ? { drop: end } : { flush: end });
		const { moves, mirror } = one.open().inside;
		await expect(way === "in" ? moves.moveIn(added, PATIENT) : moves.takeOut(added, PATIENT)).rejects.toThrow("killed");
		expect(one.local.list().map((each) => each.id)).toContain(added);
		expect([...mirror.rows().keys()]).toContain(added);

		// For every other process of this home it is shared until that is settled: its token is not spent here.
		const again = start({ scratch: one.scratch });
		await again.sharing.settling();
		const label = find(again, added)?.label ?? "";
		expect(find(again, added)?.shared).toBe(true);
		expect(again.labels().filter((each) => each === label)).toHaveLength(1);
		await again.pools.look(undefined);
		await two.pools.look(undefined);
		const old = find(again, added)?.credential.access;
		expect(find(again, added)?.shared).toBe(way === "in" ? true : undefined);
		expect(again.local.list().some((each) => each.id === added)).toBe(way === "out");
		expect(two.labels().includes(label)).toBe(way === "in");
		expect(again.open().inside.mirror.crossings()).toEqual([]);
		expect(await tokenOf(again, added, old)).not.toBe(old);
		expectOnce();
	});
});

it("new keys end the codes that were printed before, and keep every account", async () => {
	const { one, ids, codes } = await shared("a", "b");
	const two = await joined(codes.keeper, "two");
	const [id = anId("")] = ids;

	const beside = start({ scratch: one.scratch });
	await beside.sharing.settling();

	const next = await one.pools.rotate(undefined, undefined);
	// Another process of the machine that has made them goes on with the new ones.
	await beside.pools.look(undefined);
	await until("the pool is open anew", () => {
		const [mine, theirs] = [beside, one].map((each) => each.open().codes()?.keeper);
		return mine === theirs;
	});
	await beside.pools.look(undefined);
	expect(beside.pools.status()?.connection.kind).not.toBe("away");
	expect(beside.events.filter(({ type }) => type === "pool-away")).toEqual([]);
	await two.pools.look(undefined);
	expect(two.pools.status()?.connection).toMatchObject({ kind: "away", problem: "revoked" });
	expect(await tokenOf(two, id)).toBe(find(one, id)?.credential.access);
	await expect(start().pools.join(codes.runner, "three", undefined)).rejects.toThrow("were replaced");
	await two.pools.join(next.keeper, undefined, undefined);
	expect(two.pools.status()?.connection.kind).not.toBe("away");
	expect(two.pools.status()?.machine).toBe("two");
	const old = find(two, id)?.credential.access;
	expect(await tokenOf(two, id, old)).not.toBe(old);
	expectOnce();
});

wide(
	"new keys that come in mid-exchange lose nothing: not before a minute, and then it is stored after a join",
	async () => {
		const { one, ids, codes } = await shared("a");
		const two = await joined(codes.keeper, "two");
		const [id = anId("")] = ids;
		const old = find(one, id)?.credential.access;
		let next = codes;
		issuer.onExchanged = async () => {
			issuer.onExchanged = async () => undefined;
			await expect(one.pools.rotate(undefined, undefined)).rejects.toThrow("No key was changed");
			await server.query(url, "update pi_multicodex.claim set claimed_at = claimed_at - interval '61 seconds'");
			next = await one.pools.rotate(undefined, undefined);
		};
		const token = await tokenOf(two, id, old);
		expect(token).not.toBe(old);
		await two.credentials.idle();
		expect(two.pools.status()?.connection).toMatchObject({ kind: "away", problem: "revoked" });
		expect(await tokenOf(two, id)).toBe(token);
		// The machine that has made the keys does not send what was claimed.
		expect(await tokenOf(one, id, old)).toContain("another machine is renewing it");

		await two.pools.join(next.keeper, undefined, undefined);
		await one.pools.look(undefined);
		expect(find(one, id)?.credential.access).toBe(token);
		expect(two.scratch.names("codex-pool-").filter((name) => name.endsWith(".journal"))).toEqual([]);
		expect(issuer.sent).toHaveLength(1);
	},
);
