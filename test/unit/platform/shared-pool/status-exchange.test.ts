import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { mergeCooldown } from "../../../../src/core/cooldown.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { isAlike } from "../../../../src/core/pool/merge-status.ts";
import type { AccountStatus } from "../../../../src/core/ports.ts";
import { createRedemptionClaims } from "../../../../src/core/reset-credits/redemption-claims.ts";
import { aCooldown, aMachine, aSnapshot, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { aPoolInMemory, type PoolInMemory } from "../../../support/pool-in-memory.ts";
import { aPoolMachine, type PoolMachine, type Timers, timersFrom } from "../../../support/pool-machine.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { isWide } from "../../../support/tiers.ts";

const IDS = [anId("a"), anId("b"), anId("c")];
const TEN_MINUTES = 10 * MINUTE_MS;

const scratch = scratchForEach();
let timers: Timers;
let database: PoolInMemory;
let machines: PoolMachine[];
beforeEach(() => {
	timers = timersFrom(NOW);
	database = aPoolInMemory(IDS, timers.now);
	machines = [];
});
afterEach(async () => {
	await Promise.all(machines.map((each) => each.close()));
});

function join(name: string, aheadMs = 0, shared: readonly AccountId[] = IDS, home = name): PoolMachine {
	const machine = aPoolMachine({ name, path: scratch.path(home), shared, aheadMs, timers, database });
	machines.push(machine);
	return machine;
}
/** Three machines that have looked once, and have nothing to tell any more. */
async function threeMachines(...aheadMs: readonly number[]): Promise<[PoolMachine, PoolMachine, PoolMachine]> {
	const [one, two, three] = [join("one", aheadMs[0]), join("two", aheadMs[1]), join("three", aheadMs[2])];
	for (const each of [one, two, three]) await each.look();
	await timers.pass(1000);
	database.statements = 0;
	database.rows = 0;
	return [one, two, three];
}
const lookAll = async () => {
	await timers.pass(1000);
	for (const each of machines) await each.look();
	await timers.pass(5000);
};
const refuse = (machine: PoolMachine, id: AccountId, ms = HOUR_MS, scope = "account" as const) => {
	const now = machine.clock.now();
	const next = aCooldown({ scope, setAt: now, until: now + ms });
	void machine.state.update(id, (status) => ({ ...status, cooldowns: mergeCooldown(status.cooldowns, next, now) }));
};
/** When the cooldowns of an account end, by the true clock. */
const endsOf = (machine: PoolMachine, id: AccountId) =>
	machine.state.status(id).cooldowns.map(({ until }) => until - machine.clock.aheadMs);
/** All that a machine knows of an account, by the true clock and in a form that compares. */
const knownTo = (machine: PoolMachine, id: AccountId) => {
	const { marks: _, ...status } = machine.state.status(id);
	const numbers = (_key: string, value: unknown) =>
		typeof value === "number" && value > 1e11 ? value - machine.clock.aheadMs : value;
	return JSON.parse(JSON.stringify(status, numbers));
};

describe("a refusal on one machine", () => {
	it("is known on the others after one statement and a look of each", async () => {
		const [one, two, three] = await threeMachines();
		refuse(one, anId("a"));
		await timers.pass(200);
		expect(database.statements).toBe(1);
		await two.look();
		await three.look();
		expect(endsOf(two, anId("a"))).toEqual([NOW + 1000 + HOUR_MS]);
		expect(endsOf(three, anId("a"))).toEqual(endsOf(two, anId("a")));
		expect([two.news, three.news]).toEqual([1, 1]);
	});

	it("is written ahead of what is known of very many other accounts", async () => {
		const ids = Array.from({ length: 150 }, (_, at) => anId(`account${at}`));
		database = aPoolInMemory(ids, timers.now);
		const one = join("one", 0, ids);
		await one.look();
		await timers.pass(1000);
		database.statements = 0;
		for (const id of ids) one.state.updateSoon(id, (status) => ({ ...status, usage: aSnapshot() }));
		refuse(one, anId("account149"));
		await timers.pass(200);

		expect([...database.statuses.keys()][0]).toBe("account149");
		expect(database.statuses.get(anId("account149"))).toMatchObject({ status: { cooldowns: [{ scope: "account" }] } });
		await timers.pass(5000);
		expect(database.statuses.size).toBe(150);
	});

	it("is written at once, also while others have been faster again and again with another account", async () => {
		const [one] = await threeMachines();
		await one.state.update(anId("a"), (status) => ({ ...status, usage: aSnapshot() }));
		database.beforePush = () => {
			const { version = 0, status = {} } = database.statuses.get(anId("a")) ?? {};
			database.statuses.set(anId("a"), { version: version + 1, status });
		};
		await timers.pass(4000);
		const { statements } = database;
		await timers.pass(200);
		expect(database.statements).toBe(statements);

		refuse(one, anId("b"));
		await timers.pass(200);
		expect(database.statuses.get(anId("b"))).toMatchObject({ status: { cooldowns: [{ scope: "account" }] } });
		await timers.pass(60_000);
		expect(database.statements).toBeLessThan(statements + 25);
	});

	it("settles: the others have nothing to write of it, and no look finds news again", async () => {
		await threeMachines();
		const [one] = machines;
		if (one) refuse(one, anId("a"));
		for (let round = 0; round < 10; round += 1) await lookAll();
		// One push of the status, and 30 looks.
		expect(database.rows).toBe(1);
		expect(database.statements).toBe(31);
	});

	it("ends at the same moment on machines whose clocks are 20 minutes apart", async () => {
		const [fast, slow, exact] = await threeMachines(TEN_MINUTES, -TEN_MINUTES, 0);
		const began = timers.now();
		refuse(fast, anId("a"));
		refuse(slow, anId("b"));
		await timers.pass(200);
		await lookAll();
		for (const each of [fast, slow, exact]) {
			expect(endsOf(each, anId("a"))).toEqual([began + HOUR_MS]);
			expect(endsOf(each, anId("b"))).toEqual([began + HOUR_MS]);
		}
	});

	it("a refusal on one machine is not handed to and fro by machines whose clocks drift", async () => {
		const [one, two] = await threeMachines(TEN_MINUTES, -TEN_MINUTES, 0);
		refuse(one, anId("a"));
		for (let round = 0; round < 20; round += 1) {
			one.clock.aheadMs += round % 2 === 0 ? 90 : -90;
			two.clock.aheadMs -= round % 2 === 0 ? 90 : -90;
			await lookAll();
		}
		expect(database.rows).toBe(1);
		expect(Math.abs((endsOf(two, anId("a"))[0] ?? 0) - (endsOf(one, anId("a"))[0] ?? 0))).toBeLessThan(1000);
	});

	it("is ended for all by the machine that resets, and a later one begins anew", async () => {
		const [one, two, three] = await threeMachines();
		refuse(one, anId("a"));
		refuse(two, anId("b"));
		await lookAll();
		await three.state.clearCooldowns();
		await lookAll();
		for (const each of [one, two, three]) expect([...endsOf(each, anId("a")), ...endsOf(each, anId("b"))]).toEqual([]);
		refuse(two, anId("a"));
		await lookAll();
		for (const each of [one, two, three]) expect(endsOf(each, anId("a"))).toHaveLength(1);
	});

	it("stays if a reset on another machine came before the database was back", async () => {
		const [one, two] = await threeMachines();
		refuse(one, anId("a"));
		await lookAll();
		database.isAway = true;
		await two.state.clearCooldowns();
		await timers.pass(MINUTE_MS);
		refuse(one, anId("a"), 2 * HOUR_MS);
		await timers.pass(MINUTE_MS);
		database.isAway = false;
		await timers.pass(3 * MINUTE_MS);
		await lookAll();
		for (const each of machines) expect(endsOf(each, anId("a"))).toHaveLength(1);
	});
});

describe("usage on one machine", () => {
	it("is not thrown away as one from the future, however far the clock of another is behind", async () => {
		const [fast, slow] = await threeMachines(TEN_MINUTES, -TEN_MINUTES, 0);
		const usage = aSnapshot({ capturedAt: fast.clock.now(), plan: "pro" });
		fast.state.updateSoon(anId("a"), (status) => ({ ...status, usage, usageAskedAt: fast.clock.now() }));
		await lookAll();
		expect(slow.state.status(anId("a")).usage).toMatchObject({
			plan: "pro",
			capturedAt: usage.capturedAt - 2 * TEN_MINUTES,
		});
	});

	it("takes the place of an older one alone", async () => {
		const [one, two, three] = await threeMachines();
		const told = (machine: PoolMachine, plan: string, capturedAt: number) =>
			machine.state.updateSoon(anId("a"), (status) => ({ ...status, usage: aSnapshot({ capturedAt, plan }) }));
		told(one, "newer", timers.now());
		told(two, "older", timers.now() - MINUTE_MS);
		await lookAll();
		await lookAll();
		for (const each of [one, two, three]) expect(each.state.status(anId("a")).usage?.plan).toBe("newer");
	});
});

describe("three machines that change one account at once", () => {
	it("settle alike, with a bounded number of statements", async () => {
		const [one, two, three] = await threeMachines(TEN_MINUTES, -TEN_MINUTES, 0);
		refuse(one, anId("a"), HOUR_MS);
		refuse(two, anId("a"), 2 * HOUR_MS);
		const lastUsedAt = three.clock.now();
		three.state.updateSoon(anId("a"), (status) => ({ ...status, strikes: 2, lastUsedAt }));
		await timers.pass(10_000);
		// Each writes once, and once more where another one was quicker.
		expect(database.statements).toBeLessThanOrEqual(3 + 2 + 1);
		for (let round = 0; round < 3; round += 1) {
			for (const each of machines) await each.written();
			await lookAll();
		}
		for (const each of machines) await each.written();
		const [known] = machines.map((each) => knownTo(each, anId("a")));
		expect(known).toMatchObject({ strikes: 2, cooldowns: [{ until: NOW + 1000 + 2 * HOUR_MS }] });
		for (const each of machines) expect(isAlike(knownTo(each, anId("a")), known, 5000)).toBe(true);
		const { rows } = database;
		for (let round = 0; round < 3; round += 1) await lookAll();
		expect(database.rows).toBe(rows);
	});

	it("settle alike after any history of refusals, ends, failures and lost looks", async () => {
		const random = seeded(7);
		const [one, two, three] = await threeMachines(TEN_MINUTES, -TEN_MINUTES, 0);
		const all = [one, two, three];
		for (let step = 0; step < (isWide ? 150 : 60); step += 1) {
			const machine = all[Math.floor(random() * 3)] ?? one;
			const id = IDS[Math.floor(random() * 3)] ?? anId("a");
			const what = Math.floor(random() * 7);
			const set = (change: Partial<AccountStatus>) =>
				machine.state.updateSoon(id, (status) => ({ ...status, ...change }));
			if (what === 0) refuse(machine, id, Math.floor(random() * HOUR_MS));
			else if (what === 1) set({ cooldowns: [] });
			else if (what === 2) set({ strikes: Math.floor(random() * 3), lastUsedAt: machine.clock.now() });
			else if (what === 3) set({ usage: aSnapshot({ capturedAt: machine.clock.now(), plan: `plan ${step}` }) });
			else if (what === 4) set({ doubtedUntil: random() < 0.5 ? machine.clock.now() + MINUTE_MS : undefined });
			else if (what === 5) await machine.look().catch(() => undefined);
			else database.isAway = !database.isAway;
			await timers.pass(random() * 2000);
		}
		database.isAway = false;
		for (let round = 0; round < 3; round += 1) {
			for (const each of all) await each.written();
			await timers.pass(2 * MINUTE_MS);
			await lookAll();
		}
		for (const each of all) await each.written();
		for (const id of IDS) {
			const known = knownTo(one, id);
			for (const each of all) expect(isAlike(knownTo(each, id), known, 5000)).toBe(true);
		}
		const { rows } = database;
		await lookAll();
		expect(database.rows).toBe(rows);
		expect(all.flatMap(({ failures }) => failures)).toEqual([]);
	}, 20_000);
});

describe("while the database is away", () => {
	it("is kept one of each account, tried ever more seldom, and written at once when a look finds it back", async () => {
		const [one, two] = await threeMachines();
		database.isAway = true;
		for (let count = 0; count < 50; count += 1) {
			refuse(one, anId("a"), HOUR_MS + count * MINUTE_MS);
			await timers.pass(10_000);
		}
		expect(database.statements).toBeLessThan(20);
		database.isAway = false;
		database.rows = 0;
		await one.look();
		await timers.pass(200);
		expect(database.rows).toBe(1);
		await two.look();
		expect(endsOf(two, anId("a"))).toEqual(endsOf(one, anId("a")));
	});

	it("does not keep a session from ending", async () => {
		const [one] = await threeMachines();
		database.isAway = true;
		refuse(one, anId("a"));
		await one.exchange.end();
		const { statements } = database;
		await timers.pass(HOUR_MS);
		expect(database.statements).toBe(statements);
	});

	it("is written by the next process of the machine, if this one has ended before", async () => {
		const [one, two] = await threeMachines();
		database.isAway = true;
		refuse(one, anId("a"));
		await one.close();
		database.isAway = false;
		const next = join("one again", 0, IDS, "one");
		await next.look();
		await timers.pass(5000);
		await two.look();
		expect(endsOf(two, anId("a"))).toHaveLength(1);
	});
});

describe("a process", () => {
	it("tells what its machine has known before the account was shared", async () => {
		const shared = [anId("b")];
		const [one, two] = [join("one", 0, shared), join("two")];
		refuse(one, anId("a"));
		await one.look();
		await timers.pass(10_000);
		shared.push(anId("a"));
		await one.look();
		await timers.pass(10_000);
		await two.look();
		expect(endsOf(two, anId("a"))).toHaveLength(1);
		expect(database.rows).toBe(1);
	});

	it("asks nothing and writes nothing while there is no news, with a thousand accounts", async () => {
		const ids = Array.from({ length: 1000 }, (_, at) => anId(`account${at}`));
		database = aPoolInMemory(ids, timers.now);
		const [one, two] = [join("one", 0, ids), join("two", 0, ids)];
		await one.look();
		await two.look();
		await timers.pass(1000);
		database.statements = 0;
		await timers.pass(50_000);
		expect(database.statements).toBe(0);
		refuse(one, anId("account7"));
		await timers.pass(200);
		expect([database.statements, database.rows]).toEqual([1, 1]);
	});

	it("that has not looked asks for what is stored, and then writes what both know", async () => {
		const [one, two] = await threeMachines();
		refuse(two, anId("a"), 2 * HOUR_MS);
		await timers.pass(1000);
		const late = join("late", TEN_MINUTES);
		refuse(late, anId("a"), HOUR_MS);
		await timers.pass(1000);
		expect(endsOf(late, anId("a"))).toEqual(endsOf(two, anId("a")));
		await one.look();
		expect(endsOf(one, anId("a"))).toEqual(endsOf(two, anId("a")));
	});

	it("keeps what a newer version has written beside the members that it knows", async () => {
		database.statuses.set(anId("a"), { version: 4, status: { cooldowns: [], invented: { by: "a newer version" } } });
		const [one] = await threeMachines();
		refuse(one, anId("a"));
		await timers.pass(1000);
		expect(database.statuses.get(anId("a"))).toMatchObject({
			version: 5,
			status: { invented: { by: "a newer version" } },
		});
	});

	it("forgets what it wanted to write of an account that is taken out of the pool", async () => {
		const [one] = await threeMachines();
		database.statuses.clear();
		const outside = join("outside", 0, [...IDS, anId("gone")]);
		await outside.look();
		refuse(outside, anId("gone"));
		await timers.pass(MINUTE_MS);
		const { statements } = database;
		await timers.pass(50_000);
		expect(database.statements).toBeLessThanOrEqual(statements + 1);
		expect([...database.statuses.keys()]).toEqual([]);
		expect(one.failures).toEqual([]);
	});

	it("lets the process write it that has changed it, if another one of the machine sees both", async () => {
		const [one] = await threeMachines();
		const beside = join("beside", 0, IDS, "one");
		refuse(beside, anId("a"));
		await timers.pass(100);
		await one.look();
		await timers.pass(10_000);
		await one.look();
		await timers.pass(10_000);
		expect(database.rows).toBe(1);
	});
});

describe("the sessions of a machine", () => {
	it("sessions are counted on the others for as long as it says so, and not beside its own", async () => {
		const [one, two] = await threeMachines();
		one.state.acquireLease(aSessionId("s1"), anId("a"), true);
		one.state.acquireLease(aSessionId("s2"), anId("a"), true);
		await timers.pass(1000);
		await two.look();
		await one.look();
		expect(two.state.liveSessions(undefined).get(anId("a"))).toBe(2);
		expect(one.state.liveSessions(undefined).get(anId("a"))).toBe(2);
		one.state.releaseLease(aSessionId("s1"));
		one.state.releaseLease(aSessionId("s2"));
		await timers.pass(1000);
		await two.look();
		expect(two.state.liveSessions(undefined).get(anId("a"))).toBeUndefined();
	});

	it("sessions reach the others once a minute, and no more once they rest", async () => {
		const [one] = await threeMachines();
		one.state.acquireLease(aSessionId("s1"), anId("a"), true);
		await timers.pass(4 * MINUTE_MS);
		expect(database.statements).toBeLessThanOrEqual(5);
		await timers.pass(10 * MINUTE_MS);
		const { statements } = database;
		await timers.pass(10 * MINUTE_MS);
		expect(database.statements).toBe(statements);
	});

	it("sessions are gone with the process", async () => {
		const [one] = await threeMachines();
		one.state.acquireLease(aSessionId("s1"), anId("a"), true);
		await timers.pass(1000);
		expect(database.presences.has("one")).toBe(true);
		await one.exchange.end();
		expect(database.presences.has("one")).toBe(false);
	});
});

describe("a pin", () => {
	it("moves that of the other machines, and its end ends it there", async () => {
		const [one, two, three] = await threeMachines();
		await one.state.setPin(anId("a"));
		await lookAll();
		expect([two.state.pin(), three.state.pin()]).toEqual(["a", "a"]);
		await three.state.setPin(anId("b"));
		await lookAll();
		expect([one.state.pin(), two.state.pin()]).toEqual(["b", "b"]);
		await two.state.setPin(undefined);
		await lookAll();
		expect(machines.map(({ state }) => state.pin())).toEqual([undefined, undefined, undefined]);
	});

	it("a pin of an account that one machine has alone stays there, until another one pins", async () => {
		const [one, two] = await threeMachines();
		await one.state.setPin(anId("a"));
		await lookAll();
		await two.state.setPin(anId("own"));
		await lookAll();
		expect([one.state.pin(), two.state.pin()]).toEqual(["a", "own"]);
		await one.state.setPin(anId("b"));
		await lookAll();
		expect(two.state.pin()).toBe("b");
	});

	it("a pin of two that are set at once is the one that was heard of first, on both", async () => {
		const [one, two] = await threeMachines();
		await one.state.setPin(anId("a"));
		await two.state.setPin(anId("b"));
		await lookAll();
		await lookAll();
		expect(two.state.pin()).toBe(one.state.pin());
		expect(database.pin.account).toBe(one.state.pin());
	});

	it("set by a process that has not looked takes the place of the one that its person has seen", async () => {
		const [one, two] = await threeMachines();
		await one.state.setPin(anId("a"));
		await lookAll();
		await two.state.flush();
		const beside = join("beside", 0, IDS, "two");
		await beside.state.setPin(anId("c"));
		await lookAll();
		expect([one.state.pin(), two.state.pin()]).toEqual(["c", "c"]);
	});

	it("that a machine had before its account was shared becomes that of all", async () => {
		const one = join("one");
		await one.state.setPin(anId("a"));
		one.state.tell(undefined);
		const two = join("two");
		await one.look();
		await timers.pass(1000);
		await two.look();
		expect(two.state.pin()).toBe("a");
	});
});

describe("the claim on a reset credit", () => {
	const processes = aMachine();
	const claimsOf = (machine: PoolMachine, key: string) =>
		createRedemptionClaims({
			state: machine.state,
			processes: processes.process(key.length),
			clock: machine.clock,
			newKey: () => key,
		});
	const credit = { id: "credit" };
	const claim = (machine: PoolMachine, key: string) => claimsOf(machine, key).claim(anId("a"), credit, () => true);

	it.each([0, 3000, -3000])(
		"is given to one of two machines that redeem at once, and the other one hears of it: clocks %d ms apart",
		async (apartMs) => {
			const [one, two] = await threeMachines();
			two.clock.aheadMs += apartMs;
			const both = Promise.all([claim(one, "k1"), claim(two, "key2")]);
			await timers.pass(10_000);
			const kinds = (await both).map(({ kind }) => kind).sort();
			expect(kinds).toEqual(["ours", "taken"]);
			expect(one.state.status(anId("a")).redemption?.key).toBe(two.state.status(anId("a")).redemption?.key);
		},
	);

	it("is not given while another machine is at it, of which this one has not heard yet", async () => {
		const [one, two] = await threeMachines();
		expect((await claim(one, "k1")).kind).toBe("ours");
		expect((await claim(two, "key2")).kind).toBe("taken");
	});

	it("is given with the key of a call that another machine never heard the end of", async () => {
		const [one, two] = await threeMachines();
		await claim(one, "k1");
		await timers.pass(2 * MINUTE_MS);
		const claiming = await claim(two, "key2");
		expect(claiming).toMatchObject({ kind: "ours", claim: { key: "k1", isRepeated: true } });
	});

	it("is given while the database is away, and then waits for nothing", async () => {
		const [one] = await threeMachines();
		database.isAway = true;
		refuse(one, anId("b"));
		await timers.pass(1000);
		const { statements } = database;
		expect((await claim(one, "k1")).kind).toBe("ours");
		expect(database.statements).toBe(statements);
	});
});

/** Numbers between 0 and 1, the same in each run. */
function seeded(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
		return state / 2_147_483_648;
	};
}
