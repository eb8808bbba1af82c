import { beforeEach, describe, expect, it } from "vitest";
import { fingerprint } from "../../../../src/platform/backend/jwt.ts";
import { PoolProblem } from "../../../../src/platform/shared-pool/types.ts";
import { anAccount, aTokenOf, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { aKeeper, away, type Keeper } from "../../../support/pool-keeper.ts";

const account = anAccount("a", {
	credential: { access: aTokenOf("a"), refresh: "refresh-a", expiresAt: NOW + 10 * DAY_MS },
});
const hash = fingerprint("refresh-a");

let keeper: Keeper;
beforeEach(async () => {
	keeper = aKeeper();
	keeper.pool.put(account);
	await keeper.rows.read(anId("a"));
});

const claims = () => [...keeper.pool.claims.keys()];

describe("an account of a pool", () => {
	it("is removed for all machines once it has a backup", async () => {
		await keeper.accounts.remove(anId("a"));
		expect(keeper.aside).toMatchObject([{ id: "a", shared: undefined, credential: { refresh: "refresh-a" } }]);
		expect(keeper.pool.rows.size).toBe(0);
		expect(keeper.accounts.list()).toEqual([]);
		expect(claims()).toEqual([]);
	});

	it("stays while another machine has its token under way", async () => {
		keeper.pool.claims.set(`a ${hash}`, { holder: "another" });
		await expect(keeper.accounts.remove(anId("a"))).rejects.toThrow("Another machine is renewing");
		expect(keeper.pool.account(anId("a"))?.credential.refresh).toBe("refresh-a");
		expect(claims()).toEqual([`a ${hash}`]);
	});

	it("stays once the claim on its token is older than twenty seconds", async () => {
		keeper.pool.once("claim", () => {
			keeper.upMs += 20_001;
		});
		await expect(keeper.accounts.remove(anId("a"))).rejects.toThrow("Another machine is renewing");
		expect(keeper.pool.account(anId("a"))?.credential.refresh).toBe("refresh-a");
		expect(claims()).toEqual([]);
	});

	it("stays if no backup of it can be written", async () => {
		keeper.backupProblem = new Error("the disk is full");
		await expect(keeper.accounts.remove(anId("a"))).rejects.toThrow("the disk is full");
		expect(keeper.pool.account(anId("a"))?.credential.refresh).toBe("refresh-a");
		expect(claims()).toEqual([]);
	});

	it("stays if a newer sign-in was stored while it was being removed", async () => {
		keeper.pool.once("remove", () =>
			keeper.pool.put({ ...account, credential: { ...account.credential, refresh: "new" } }),
		);
		await expect(keeper.accounts.remove(anId("a"))).rejects.toThrow("try again");
		expect(keeper.pool.account(anId("a"))?.credential.refresh).toBe("new");
		expect(claims()).toEqual([]);
	});

	it("has both changes if another machine is quicker by a moment", async () => {
		keeper.pool.once("change", () => keeper.pool.put({ ...account, plan: "pro" }));
		await keeper.accounts.edit(anId("a"), { label: "work" });
		expect(keeper.pool.account(anId("a"))).toMatchObject({ label: "work", plan: "pro" });
		expect(keeper.accounts.list()).toMatchObject([{ label: "work", plan: "pro" }]);
	});

	it("has a change that this machine makes while the database is away, and the database has it later", async () => {
		keeper.pool.once("row", () => {
			throw away();
		});
		await expect(keeper.accounts.patch(anId("a"), { plan: "pro" })).rejects.toThrow("away");
		expect(keeper.accounts.list()).toMatchObject([{ plan: "pro" }]);
		expect(keeper.pool.account(anId("a"))?.plan).toBe("plus");
		keeper.clock.at += DAY_MS;
		await keeper.accounts.catchUp();
		expect(keeper.pool.account(anId("a"))?.plan).toBe("pro");
	});
});

describe("a sign-in that a person makes while the database cannot take it", () => {
	const signIn = (refresh: string, hours: number) => ({
		...account,
		email: "new@example.com",
		credential: { ...account.credential, access: aTokenOf("a", { issuedAt: NOW + hours * HOUR_MS }), refresh },
	});
	/** Until {@link back}. */
	const isAway = (problem: PoolProblem = away()) => {
		const fail = () => {
			keeper.pool.once("row", fail);
			throw problem;
		};
		keeper.pool.once("row", fail);
	};
	const stored = () => keeper.pool.account(anId("a"));
	const back = async () => {
		keeper.pool.once("row", () => undefined);
		keeper.clock.at += DAY_MS;
		await keeper.replay.all();
		expect(keeper.journal).toEqual([]);
	};

	it.each(["away", "full", "read-only", "no-rights", "refused", "untrusted", "revoked", "newer"] as const)(
		"is used here at once, kept, and in the pool later: %s",
		async (kind) => {
			keeper.pool.put({ ...account, needsLogin: { reason: "refused", at: NOW } });
			await keeper.rows.read(anId("a"));
			isAway(new PoolProblem(kind, "It cannot."));
			await keeper.accounts.put(signIn("signed-in", 1));
			const { credential } = signIn("signed-in", 1);
			expect(keeper.accounts.list()).toMatchObject([
				{ needsLogin: undefined, credential: { access: credential.access } },
			]);
			expect([keeper.journal.length, stored()?.credential.refresh]).toEqual([1, "refresh-a"]);
			await back();
			expect(stored()).toMatchObject({ credential, email: "new@example.com", needsLogin: undefined });
		},
	);

	it("is the later one of two, whatever the pool has renewed or lost meanwhile", async () => {
		isAway();
		await keeper.accounts.put(signIn("first", 1));
		await keeper.accounts.put(signIn("second", 3));
		expect(keeper.journal).toHaveLength(1);
		keeper.pool.put({ ...signIn("renewed-by-another", 2), needsLogin: { reason: "refused", at: NOW } });
		await back();
		expect(stored()?.credential.refresh).toBe("second");
		expect(stored()?.needsLogin).toBeUndefined();
	});

	it("is not stored over a later one that works, and is kept aside if the account is gone", async () => {
		isAway();
		await keeper.accounts.put(signIn("signed-in", 1));
		keeper.pool.put(signIn("later", 2));
		await back();
		expect(stored()?.credential.refresh).toBe("later");

		isAway();
		await keeper.accounts.put(signIn("again", 3));
		keeper.pool.rows.delete(anId("a"));
		await back();
		expect(keeper.aside).toMatchObject([{ credential: { refresh: "again" } }]);
	});

	it("is refused if it could be kept nowhere, or if the pool is no longer this machine's", async () => {
		isAway(new PoolProblem("other-pool", "It has another pool."));
		await expect(keeper.accounts.put(signIn("signed-in", 1))).rejects.toThrow("another pool");
		isAway();
		keeper.journalProblem = new Error("the disk is full");
		await expect(keeper.accounts.put(signIn("signed-in", 1))).rejects.toThrow("away");
		expect(keeper.journal).toEqual([]);
	});
});

describe("a claim whose answer was lost", () => {
	const claim = { id: anId("a"), tokenHash: hash, holder: "me" };

	it("is given back as soon as the database can be reached", async () => {
		keeper.pool.once(
			"claim",
			() => {
				throw away();
			},
			"after",
		);
		await expect(keeper.unsent.claim(claim)).rejects.toThrow("away");
		expect(claims()).toEqual([`a ${hash}`]);
		keeper.clock.at += DAY_MS;
		await keeper.unsent.catchUp();
		expect(claims()).toEqual([]);
	});

	it("is given back once, and a claim that was answered is not", async () => {
		await keeper.unsent.claim(claim);
		await keeper.unsent.catchUp();
		expect(claims()).toEqual([`a ${hash}`]);
		await keeper.unsent.free(claim);
		keeper.pool.claims.set(`a ${hash}`, { holder: "me" });
		await keeper.unsent.catchUp();
		expect(claims()).toEqual([`a ${hash}`]);
	});
});
