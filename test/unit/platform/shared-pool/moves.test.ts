import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { fingerprint } from "../../../../src/platform/backend/jwt.ts";
import { createMoves, type Moves } from "../../../../src/platform/shared-pool/moves.ts";
import { PATIENT } from "../../../../src/platform/shared-pool/types.ts";
import { type LocalAccountStore, openAccountStore } from "../../../../src/platform/stores/account-store.ts";
import { anAccount, aStateStore, aTokenOf, DAY_MS, type FakeStateStore, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { aKeeper, away, type Keeper } from "../../../support/pool-keeper.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const account = (refresh = "refresh-a", hours = 0): Account =>
	anAccount("a", {
		credential: {
			access: aTokenOf("a", { issuedAt: NOW + hours * HOUR_MS }),
			refresh,
			expiresAt: NOW + 10 * DAY_MS,
		},
	});

const scratch = scratchForEach();
let keeper: Keeper;
let local: LocalAccountStore;
let state: FakeStateStore;
let moves: Moves;
beforeEach(() => {
	keeper = aKeeper();
	state = aStateStore();
	local = openAccountStore(
		scratch.path("codex-accounts.json"),
		(text) => {
			throw new Error(text);
		},
		keeper.clock.now,
	);
	moves = movesOver(local);
});
afterEach(async () => {
	await local.flush();
});

function movesOver(store: LocalAccountStore): Moves {
	const { rows, mirror, connection, unsent, clock } = keeper;
	return createMoves({
		...{ local: store, state, rows, mirror, connection, unsent, own: "me", now: clock.now },
		newHolder: () => "me",
		startWatch: keeper.startWatch,
	});
}

/** The refresh tokens in the file. One that no process may spend before it is clear who holds it is marked. */
const inFile = () =>
	local.list().map(({ credential: { refresh }, needsLogin }) => (needsLogin ? `${refresh}, marked` : refresh));
const inPool = () => keeper.pool.account(anId("a"))?.credential.refresh;
/** The answer to the next such statement is lost: the database has carried it out. */
const losesAnswerOf = (statement: Parameters<typeof keeper.pool.once>[0]) =>
	keeper.pool.once(
		statement,
		() => {
			throw away();
		},
		"after",
	);
/** The next process of this machine finds what the former one has left. */
const settle = async () => {
	keeper.clock.at += DAY_MS;
	await moves.settle();
	expect(keeper.mirror.crossings()).toEqual([]);
};

describe("an account that moves into the pool", () => {
	beforeEach(() => local.put(account()));

	it("is in the pool, and no longer in the file nor in a backup", async () => {
		await moves.moveIn(anId("a"), PATIENT);
		expect([inFile(), inPool(), keeper.mirror.crossings()]).toEqual([[], "refresh-a", []]);
		expect(scratch.names("codex-accounts.json.bak")).toEqual([]);
	});

	it("stays in the file if another machine has put another sign-in of it into the pool at that moment", async () => {
		keeper.pool.once("change", () => keeper.pool.put(account("refresh-of-another", 1)));
		await moves.moveIn(anId("a"), PATIENT);
		expect([inFile(), inPool()]).toEqual([["refresh-a"], "refresh-of-another"]);
	});

	it("is in one place alone after a process that died between the two", async () => {
		losesAnswerOf("change");
		await expect(moves.moveIn(anId("a"), PATIENT)).rejects.toThrow("away");
		expect([inFile(), inPool()]).toEqual([["refresh-a, marked"], "refresh-a"]);
		await settle();
		expect([inFile(), inPool()]).toEqual([[], "refresh-a"]);
	});

	it("is in the pool in the end if it had not reached it: a lost statement may still be executed", async () => {
		keeper.pool.once("change", () => {
			throw away();
		});
		await expect(moves.moveIn(anId("a"), PATIENT)).rejects.toThrow("away");
		expect([inFile(), inPool()]).toEqual([["refresh-a, marked"], undefined]);
		await settle();
		expect([inFile(), inPool()]).toEqual([[], "refresh-a"]);
	});

	it("stays in the file if another machine has put it into the pool and out of it at that moment", async () => {
		await keeper.mirror.beginCrossing({ id: anId("a"), way: "in", tokenHash: fingerprint("refresh-a") });
		keeper.pool.once("change", () => {
			keeper.pool.put(account("refresh-of-another", 1));
			keeper.pool.rows.delete(anId("a"));
		});
		await settle();
		expect([inFile(), inPool()]).toEqual([["refresh-a"], undefined]);
	});

	it("moves on after a process that died before it had marked it, and stays as it was if that fails", async () => {
		const full = { ...local, edit: () => Promise.reject(new Error("the disk is full")) };
		await expect(movesOver(full).moveIn(anId("a"), PATIENT)).rejects.toThrow("the disk is full");
		expect([inFile(), inPool(), keeper.mirror.crossings()]).toEqual([["refresh-a"], undefined, []]);

		await keeper.mirror.beginCrossing({ id: anId("a"), way: "in", tokenHash: fingerprint("refresh-a") });
		losesAnswerOf("change");
		await expect(moves.settle()).rejects.toThrow("away");
		expect([inFile(), inPool()]).toEqual([["refresh-a, marked"], "refresh-a"]);
		await settle();
		expect([inFile(), inPool(), keeper.pool.account(anId("a"))?.needsLogin]).toEqual([[], "refresh-a", undefined]);
	});

	it("is marked by no move if its sign-in is over", async () => {
		const needsLogin = { reason: "refused", at: NOW };
		await local.patch(anId("a"), { needsLogin });
		losesAnswerOf("change");
		await expect(moves.moveIn(anId("a"), PATIENT)).rejects.toThrow("away");
		expect(local.list()).toMatchObject([{ needsLogin }]);
		await settle();
		expect(keeper.pool.rows.get(anId("a"))).toMatchObject({ needsLogin });
	});

	it("stays where it is while its token is under way", async () => {
		state.statusById.set(anId("a"), {
			cooldowns: [],
			strikes: 0,
			exchange: { tokenHash: fingerprint("refresh-a"), at: NOW - 59_000 },
		});
		await expect(moves.moveIn(anId("a"), PATIENT)).rejects.toThrow("is renewing");
		expect([inFile(), inPool()]).toEqual([["refresh-a"], undefined]);
		keeper.clock.at += 1000;
		await moves.moveIn(anId("a"), PATIENT);
		expect([inFile(), inPool()]).toEqual([[], "refresh-a"]);
	});

	it("is none that pi is signed in with", async () => {
		await local.patch(anId("a"), { linked: true });
		await expect(moves.moveIn(anId("a"), PATIENT)).rejects.toThrow("pi's own sign-in");
		expect([inFile(), inPool()]).toEqual([["refresh-a"], undefined]);
	});
});

describe("an account that moves out of the pool", () => {
	beforeEach(async () => {
		keeper.pool.put(account());
		await keeper.rows.read(anId("a"));
	});

	it("is in the file, and no longer in the pool", async () => {
		await moves.takeOut(anId("a"), PATIENT);
		expect([inFile(), inPool(), keeper.mirror.crossings()]).toEqual([["refresh-a"], undefined, []]);
		expect([...keeper.pool.claims]).toEqual([]);
	});

	it("stays in the pool if the file cannot be written", async () => {
		moves = movesOver({
			...local,
			put: async () => {
				throw new Error("the disk is full");
			},
		});
		await expect(moves.takeOut(anId("a"), PATIENT)).rejects.toThrow("the disk is full");
		expect(inPool()).toBe("refresh-a");
		moves = movesOver(local);
		await settle();
		expect([inFile(), inPool()]).toEqual([[], "refresh-a"]);
	});

	it("stays in the pool while another machine has its token under way", async () => {
		keeper.pool.claims.set(`a ${fingerprint("refresh-a")}`, { holder: "another" });
		await expect(moves.takeOut(anId("a"), PATIENT)).rejects.toThrow("is renewing");
		expect([inFile(), inPool()]).toEqual([[], "refresh-a"]);
	});

	it("stays in the pool once its claim is older than twenty seconds", async () => {
		keeper.pool.once("claim", () => {
			keeper.upMs += 20_001;
		});
		await expect(moves.takeOut(anId("a"), PATIENT)).rejects.toThrow("is renewing");
		expect(inPool()).toBe("refresh-a");
		expect([...keeper.pool.claims]).toEqual([]);
		await settle();
		expect([inFile(), inPool()]).toEqual([["refresh-a"], undefined]);
	});

	it("stays in the pool if a person signs in to it at the moment at which it leaves", async () => {
		keeper.pool.once("remove", () => keeper.pool.put(account("signed-in", 1)));
		await expect(moves.takeOut(anId("a"), PATIENT)).rejects.toThrow("try again");
		expect([...keeper.pool.claims]).toEqual([]);
		await settle();
		expect([inFile(), inPool()]).toEqual([[], "signed-in"]);
	});

	it("is in one place alone after a process that died between the two", async () => {
		keeper.pool.once("remove", () => {
			throw away();
		});
		await expect(moves.takeOut(anId("a"), PATIENT)).rejects.toThrow("away");
		expect([inFile(), inPool()]).toEqual([["refresh-a, marked"], "refresh-a"]);
		await settle();
		expect([inFile(), inPool()]).toEqual([["refresh-a"], undefined]);
	});

	it("leaves the file again if the pool has renewed it since", async () => {
		keeper.pool.once("remove", () => {
			throw away();
		});
		await expect(moves.takeOut(anId("a"), PATIENT)).rejects.toThrow("away");
		keeper.pool.claims.clear();
		keeper.pool.put(account("refresh-of-another", 1));
		await settle();
		expect([inFile(), inPool()]).toEqual([[], "refresh-of-another"]);
	});
});
