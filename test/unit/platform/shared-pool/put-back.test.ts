import { beforeEach, describe, expect, it } from "vitest";
import { fingerprint } from "../../../../src/platform/backend/jwt.ts";
import { sealAccount } from "../../../../src/platform/shared-pool/sealed-account.ts";
import type { SharedRow } from "../../../../src/platform/shared-pool/types.ts";
import { anAccount, aTokenOf, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { aKeeper, granted, type Keeper } from "../../../support/pool-keeper.ts";

const signIn = (count: number) => ({
	access: aTokenOf("a", { issuedAt: NOW + count * HOUR_MS, expiresAt: NOW + 10 * DAY_MS }),
	refresh: `refresh-${count}`,
	expiresAt: NOW + 10 * DAY_MS,
});
const account = (count: number) => anAccount("a", { credential: signIn(count) });
const claimOn = (count: number) => `a ${fingerprint(`refresh-${count}`)}`;

let keeper: Keeper;
/** The first of three versions of the row, all of which the keeper has seen. */
let first: SharedRow;
beforeEach(async () => {
	keeper = aKeeper();
	for (const count of [1, 2, 3]) {
		keeper.pool.put(account(count));
		const open = await keeper.rows.read(anId("a"));
		if (open && count === 1) first = open.row;
	}
	keeper.answer = () => granted(signIn(6));
});

const rowOf = (count: number, version: number): SharedRow => {
	const rest = { id: anId("a"), version, enabled: true, disabledReason: undefined, needsLogin: undefined };
	return { ...rest, ...sealAccount(account(count), version, keeper.keys) };
};
const renew = async () => {
	const known = (await keeper.rows.read(anId("a")))?.account;
	if (!known) throw new Error("the account is gone");
	return keeper.tokens.renew(known, known.credential.access);
};

describe("a database that was restored from a backup", () => {
	it("has its spent token noted, so that a machine that joins later does not send it", async () => {
		keeper.pool.rows.set(anId("a"), first);
		await keeper.putBack.note([first]);
		await keeper.putBack.note([first]);
		expect([...keeper.pool.claims]).toEqual([[claimOn(1), { holder: "me 1", outcome: "exchanged" }]]);

		// As on a machine that has seen nothing of the pool.
		await keeper.mirror.take([], [anId("a")]);
		expect(await renew()).toMatchObject({ kind: "signed-out" });
		expect(keeper.sent).toEqual([]);
	});

	it("keeps a later sign-in, whose version is lower than the one that was seen", async () => {
		const next = rowOf(5, 2);
		keeper.pool.rows.set(anId("a"), next);
		await keeper.rows.read(anId("a"));
		await keeper.putBack.note([next]);
		expect([...keeper.pool.claims]).toEqual([]);
		expect(keeper.mirror.rows().get(anId("a"))?.account.credential.access).toBe(signIn(5).access);

		expect(await renew()).toMatchObject({ kind: "ready" });
		expect(keeper.sent).toEqual(["refresh-5"]);
	});

	it("has nothing noted if the row was written meanwhile, or its token may be on its way", async () => {
		await keeper.putBack.note([first]);
		expect([...keeper.pool.claims]).toEqual([]);

		const again = rowOf(2, 2);
		keeper.pool.rows.set(anId("a"), again);
		keeper.pool.claims.set(claimOn(2), { holder: "another" });
		await keeper.putBack.note([again]);
		expect([...keeper.pool.claims]).toEqual([[claimOn(2), { holder: "another" }]]);
	});

	it("has the token noted even if both were issued in one second", async () => {
		const credential = { ...signIn(3), refresh: "refresh-of-old" };
		const sealed = sealAccount(anAccount("a", { credential }), 1, keeper.keys);
		const old = { ...first, ...sealed };
		keeper.pool.rows.set(anId("a"), old);
		await keeper.putBack.note([old]);
		expect([...keeper.pool.claims.values()]).toEqual([{ holder: "me 1", outcome: "exchanged" }]);
	});

	it("has nothing noted of the newest row", async () => {
		const newest = keeper.pool.rows.get(anId("a"));
		await keeper.putBack.note(newest ? [newest] : []);
		expect([...keeper.pool.claims]).toEqual([]);
	});
});
