import { beforeEach, expect, it } from "vitest";
import { createPool } from "../../../src/core/pool.ts";
import type { AccountStatus } from "../../../src/core/ports.ts";
import { createResetCreditList } from "../../../src/core/reset-credit-list.ts";
import { knownCredits, type ResetCredit } from "../../../src/core/reset-credits.ts";
import { DEFAULT_SETTINGS } from "../../../src/core/settings.ts";
import {
	aClock,
	anAccount,
	anAccountStore,
	aSnapshot,
	aStateStore,
	HOUR_MS,
	MINUTE_MS,
	NOW,
} from "../../support/fakes.ts";

const CREDIT: ResetCredit = { id: "c", expiresAt: NOW + HOUR_MS };
const counted = (resetCredits?: number) => ({ usage: aSnapshot({ source: "api", resetCredits }) });

let asked: string[];
let answer: () => Promise<readonly ResetCredit[]>;
beforeEach(() => {
	asked = [];
	answer = async () => [CREDIT];
});

function open(
	statusById: Record<string, Partial<AccountStatus>>,
	baseUrl: () => string | undefined = () => "http://backend",
) {
	const clock = aClock();
	const state = aStateStore(statusById);
	const rows = Object.keys(statusById).map((id) =>
		anAccount(id, { enabled: id !== "off", needsLogin: id === "lost" ? { reason: "revoked", at: NOW } : undefined }),
	);
	const pool = createPool({
		accounts: anAccountStore(...rows),
		state,
		clock,
		settings: () => DEFAULT_SETTINGS,
	});
	const list = createResetCreditList({
		pool,
		state,
		clock,
		credentials: { currentToken: (id) => (id === "renewable" ? undefined : `access-${id}`) },
		api: {
			list: async ({ access }) => {
				asked.push(access);
				return answer();
			},
		},
		baseUrl,
	});
	return { clock, state, list };
}

it("is asked for only where the usage endpoint has reported credits", async () => {
	const { list, state } = open({
		none: {},
		zero: counted(0),
		two: counted(2),
		off: counted(2),
		lost: counted(2),
		renewable: counted(2),
	});
	await list.refreshStale();
	expect(asked).toEqual(["access-two"]);
	expect(knownCredits(state.status("two"))).toEqual([CREDIT]);
	expect([await list.ask("zero"), await list.ask("two")]).toEqual([false, true]);
	expect(asked).toEqual(["access-two", "access-two"]);
});

it("is asked for again after five minutes, or when the count is another one", async () => {
	const { list, clock, state } = open({ a: counted(1) });
	await list.refreshStale();
	clock.at += 4 * MINUTE_MS;
	await list.refreshStale();
	expect(asked).toHaveLength(1);
	state.updateSoon("a", (status) => ({ ...status, usage: aSnapshot({ capturedAt: clock.at, resetCredits: 2 }) }));
	await list.refreshStale();
	expect(asked).toHaveLength(2);
	clock.at += 5 * MINUTE_MS;
	await list.refreshStale();
	expect(asked).toHaveLength(3);
});

it("is asked for by one of all that look at once, and not again at once after a failure", async () => {
	answer = async () => Promise.reject(new Error("no answer"));
	const { list, clock, state } = open({ a: { ...counted(1), resetCredits: { askedAt: 0, credits: [CREDIT] } } });
	await Promise.all([list.refreshStale(), list.refreshStale(), list.refreshStale()]);
	await list.refreshStale();
	expect(asked).toHaveLength(1);
	// What was known stays.
	expect(knownCredits(state.status("a"))).toEqual([CREDIT]);
	clock.at += 30_000;
	await list.refreshStale();
	expect(asked).toHaveLength(2);
});

it("is not asked for before the address of the backend is known, nor after the look has ended", async () => {
	await open({ a: counted(1) }, () => undefined).list.refreshStale();
	const { list } = open({ a: counted(1) });
	await list.refreshStale(AbortSignal.abort());
	expect(asked).toEqual([]);
});

it("counts for nothing where the usage endpoint says that no credit is left", () => {
	const { state } = open({ a: { ...counted(0), resetCredits: { askedAt: NOW, listedAt: NOW, credits: [CREDIT] } } });
	expect(knownCredits(state.status("a"))).toEqual([]);
});
