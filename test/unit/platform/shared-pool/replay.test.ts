import { beforeEach, describe, expect, it } from "vitest";
import { fingerprint } from "../../../../src/platform/backend/jwt.ts";
import type { JournalEntry } from "../../../../src/platform/shared-pool/journal.ts";
import { anAccount, aTokenOf, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { aKeeper, away, type Keeper } from "../../../support/pool-keeper.ts";

const account = (refresh: string, hours = 0) =>
	anAccount("a", {
		credential: { access: aTokenOf("a", { issuedAt: NOW + hours * HOUR_MS }), refresh, expiresAt: NOW + 10 * DAY_MS },
	});
/** What came for the token `spent`. */
const came = (refresh: string, spent: string): JournalEntry => ({
	account: { ...account(refresh, 1), shared: true },
	spentHash: fingerprint(spent),
});

let keeper: Keeper;
beforeEach(() => {
	keeper = aKeeper();
	keeper.pool.put(account("first"));
});

const stored = () => keeper.pool.account(anId("a"))?.credential;

describe("what came for a token and is not in the database yet", () => {
	it("is stored in the place of the token that it came for, and leaves the journal", async () => {
		keeper.journal.push(came("second", "first"));
		await keeper.replay.all();
		expect(stored()?.refresh).toBe("second");
		expect(keeper.journal).toEqual([]);
	});

	it("stays in the journal while the database is away", async () => {
		keeper.journal.push(came("second", "first"));
		keeper.pool.once("storeExchanged", () => {
			throw away();
		});
		await expect(keeper.replay.all()).rejects.toThrow("away");
		expect(keeper.journal).toHaveLength(1);
	});

	it.each([["second"], ["first"]])("leaves a newer sign-in alone (%s came)", async (refresh) => {
		keeper.pool.put(account("signed-in-anew", 5));
		keeper.journal.push(came(refresh, "first"));
		await keeper.replay.all();
		expect(stored()).toEqual(account("signed-in-anew", 5).credential);
		expect(keeper.journal).toEqual([]);
	});

	it("is stored beside a change that another machine makes at that moment", async () => {
		keeper.pool.once("storeExchanged", () => keeper.pool.put({ ...account("first"), label: "renamed" }));
		await keeper.replay.keep(came("second", "first"));
		expect(keeper.pool.account(anId("a"))).toMatchObject({ label: "renamed", credential: { refresh: "second" } });
	});

	it("is kept as a backup if the account has left the pool", async () => {
		keeper.pool.rows.delete(anId("a"));
		await keeper.replay.keep(came("second", "first"));
		expect(keeper.aside).toMatchObject([{ id: "a", credential: { refresh: "second" } }]);
	});
});
