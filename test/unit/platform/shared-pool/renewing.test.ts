import { beforeEach, describe, expect, it } from "vitest";
import type { Credential } from "../../../../src/core/account.ts";
import { anAccount, aTokenOf, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { aKeeper, away, granted, type Keeper } from "../../../support/pool-keeper.ts";

/** The sign-in number `count` of an account: what each exchange gives is the next one. */
const signIn = (count: number, overrides: Partial<Credential> = {}): Credential => ({
	access: aTokenOf("a", { issuedAt: NOW + count * HOUR_MS, expiresAt: NOW + 10 * DAY_MS + count * HOUR_MS }),
	refresh: `refresh-${count}`,
	expiresAt: NOW + 10 * DAY_MS + count * HOUR_MS,
	...overrides,
});
const account = (count: number) => anAccount("a", { credential: signIn(count) });

let keeper: Keeper;
beforeEach(async () => {
	keeper = aKeeper();
	keeper.pool.put(account(1));
	await keeper.rows.read(anId("a"));
	keeper.answer = () => granted(signIn(2));
});

/** The pool refuses the token that the machine has. */
const renew = () => {
	const known = keeper.mirror.rows().get(anId("a"))?.account;
	if (!known) throw new Error("the account is gone");
	return keeper.tokens.renew(known, known.credential.access);
};
/** Lets time pass by some clocks of the machine. */
const pass = ({ ran = 0, up = 0, clock = 0 }) => {
	keeper.ranMs += ran;
	keeper.upMs += up;
	keeper.clock.at += clock;
};
const stored = () => keeper.pool.account(anId("a"))?.credential.refresh;

describe("the renewal of a shared account", () => {
	it("sends its token once, and has what came in the database and on this machine", async () => {
		expect(await renew()).toEqual({ kind: "ready", access: signIn(2).access });
		expect(keeper.sent).toEqual(["refresh-1"]);
		expect(stored()).toBe("refresh-2");
		expect(keeper.mirror.rows().get(anId("a"))?.account.credential.access).toBe(signIn(2).access);
		expect(keeper.journal).toEqual([]);
	});

	it("sends nothing if another machine has signed in to it before the token was claimed", async () => {
		keeper.pool.once("claim", () => keeper.pool.put(account(5)), "after");
		expect(await renew()).toEqual({ kind: "ready", access: signIn(5).access });
		expect(keeper.sent).toEqual([]);
		expect(stored()).toBe("refresh-5");
		expect([...keeper.pool.claims]).toEqual([]);
	});

	it.each<[string, (ms: number) => void]>([
		["a machine that is busy", (ms) => pass({ ran: ms, up: ms, clock: ms })],
		["a machine that slept", (ms) => pass({ up: ms, clock: ms })],
		["a machine that slept, whose clock was set back", (ms) => pass({ up: ms, clock: -ms })],
		["a virtual machine that was paused", (ms) => pass({ clock: ms })],
	])("sends nothing once its claim is older than twenty seconds, and gives the token free: %s", async (_, wait) => {
		keeper.pool.once("claim", () => wait(20_001));
		expect(await renew()).toMatchObject({ kind: "unavailable" });
		expect(keeper.sent).toEqual([]);
		expect([...keeper.pool.claims]).toEqual([]);
	});

	describe("on a machine whose clock is off by eleven days", () => {
		/** As a look has measured it. */
		const isAhead = (days: number) => {
			keeper.clock.at += days * DAY_MS;
			keeper.mirror.noteLook({ at: keeper.clock.now(), aheadMs: days * DAY_MS, listens: true, presences: [] }, "team");
		};
		const known = () => keeper.mirror.rows().get(anId("a"))?.account ?? account(1);

		it("sends nothing while a token is good by the database's clock, and one token if it was refused", async () => {
			isAhead(11);
			expect(keeper.tokens.isDue(known())).toBe(false);
			expect(await keeper.tokens.renew(known(), undefined)).toEqual({ kind: "ready", access: signIn(1).access });
			expect([...keeper.pool.claims]).toEqual([]);
			expect(await renew()).toEqual({ kind: "ready", access: signIn(2).access });
			expect(await keeper.tokens.renew(known(), undefined)).toEqual({ kind: "ready", access: signIn(2).access });
			expect(keeper.sent).toEqual(["refresh-1"]);
		});

		it("renews a token once by its own clock if the database's is ahead", async () => {
			isAhead(-11);
			expect(keeper.tokens.isDue(known())).toBe(false);
			keeper.clock.at = signIn(1).expiresAt - DAY_MS;
			expect(keeper.tokens.isDue(known())).toBe(true);
			expect(await keeper.tokens.renew(known(), undefined)).toEqual({ kind: "ready", access: signIn(2).access });
			expect(keeper.sent).toEqual(["refresh-1"]);
		});
	});

	it("keeps what came in the journal until the database has it", async () => {
		keeper.pool.once("storeExchanged", () => {
			throw away();
		});
		expect(await renew()).toEqual({ kind: "ready", access: signIn(2).access });
		expect(keeper.journal).toMatchObject([{ account: { credential: { refresh: "refresh-2" } } }]);
		expect(stored()).toBe("refresh-1");

		keeper.clock.at += HOUR_MS;
		keeper.answer = () => granted(signIn(3));
		expect(await renew()).toEqual({ kind: "ready", access: signIn(3).access });
		expect(keeper.sent).toEqual(["refresh-1", "refresh-2"]);
		expect(keeper.journal).toEqual([]);
		expect(stored()).toBe("refresh-3");
	});

	it("sends nothing while its journal cannot be written", async () => {
		keeper.journalProblem = new Error("the disk is full");
		await expect(renew()).rejects.toThrow("the disk is full");
		expect(keeper.sent).toEqual([]);
		expect([...keeper.pool.claims]).toEqual([]);
	});

	it("sends no token of a database that was put back to an older state", async () => {
		const { row } = (await keeper.rows.read(anId("a"))) ?? {};
		await renew();
		if (row) keeper.pool.rows.set(anId("a"), row);
		keeper.pool.claims.clear();
		keeper.clock.at = signIn(1).expiresAt;

		expect(await renew()).toMatchObject({ kind: "unavailable", reason: expect.stringContaining("put back") });
		expect(keeper.sent).toEqual(["refresh-1"]);
	});
});
