import { expect, it } from "vitest";
import { createPool } from "../../../../src/core/pool/pool.ts";
import { createLateResets, type Resets } from "../../../../src/core/reset-credits/late-resets.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import { aClock, anAccount, anAccountStore, aSnapshot, aStateStore, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const CREDIT = { id: "c" };

function open(resetCredits: number | undefined, load: () => Promise<Resets>) {
	const clock = aClock();
	const state = aStateStore({ [anId("a")]: { usage: aSnapshot({ source: "api", resetCredits }) } });
	const account = anAccount("a");
	const pool = createPool({ accounts: anAccountStore(account), state, clock, settings: () => DEFAULT_SETTINGS });
	return { resets: createLateResets({ pool, load, clock }), account };
}

const gone = () => Promise.reject(new Error("Cannot find module"));

it("loads nothing while no account has a reset credit", async () => {
	let loads = 0;
	const { resets, account } = open(0, () => {
		loads += 1;
		return gone();
	});

	await resets.list.refreshStale();
	expect(await resets.list.ask(account.id)).toBe(false);
	expect(loads).toBe(0);
});

it("hands every call on once an account has a reset credit", async () => {
	const calls: string[] = [];
	const { resets, account } = open(1, async () => ({
		list: {
			refreshStale: async () => void calls.push("refreshStale"),
			ask: async (id) => calls.push(`ask ${id}`) > 0,
		},
		redeemer: {
			redeem: async (_account, credit) => {
				calls.push(`redeem ${credit.id}`);
				return { kind: "already" };
			},
		},
	}));

	await resets.list.refreshStale();
	expect(await resets.list.ask(account.id)).toBe(true);
	expect(await resets.redeemer.redeem(account, CREDIT, undefined)).toEqual({ kind: "already" });
	expect(calls).toEqual(["refreshStale", "ask a", "redeem c"]);
});

it("never rejects if its files are gone: nothing is asked for, and nothing is spent", async () => {
	const { resets, account } = open(1, gone);

	await resets.list.refreshStale();
	expect(await resets.list.ask(account.id)).toBe(false);
	expect(await resets.redeemer.redeem(account, CREDIT, undefined)).toEqual({
		kind: "failed",
		reason: expect.stringMatching(/: restart pi$/),
		until: NOW + 60_000,
	});
});
