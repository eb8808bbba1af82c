import { beforeEach, expect, it } from "vitest";
import { createPool } from "../../../../src/core/pool/pool.ts";
import type { AccountStatus } from "../../../../src/core/ports.ts";
import { createResetCreditList } from "../../../../src/core/reset-credits/reset-credit-list.ts";
import { knownCredits, type ResetCredit } from "../../../../src/core/reset-credits/reset-credits.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import {
	aClock,
	anAccount,
	anAccountStore,
	aSnapshot,
	aStateStore,
	HOUR_MS,
	MINUTE_MS,
	NOW,
	until,
} from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const CREDIT: ResetCredit = { id: "c", expiresAt: NOW + HOUR_MS };
const counted = (resetCredits?: number) => ({ usage: aSnapshot({ source: "api", resetCredits }) });

let asked: string[];
let answer: () => Promise<readonly ResetCredit[]>;
/** The end of the call that was made last. */
let ended: AbortSignal | undefined;
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
			list: async ({ access }, signal) => {
				ended = signal;
				asked.push(access);
				return answer();
			},
		},
		baseUrl,
	});
	return { clock, state, list };
}

it("is asked for only if the usage endpoint has reported credits", async () => {
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
	expect(knownCredits(state.status(anId("two")))).toEqual([CREDIT]);
	expect([await list.ask(anId("zero")), await list.ask(anId("two"))]).toEqual([false, true]);
	expect(asked).toEqual(["access-two", "access-two"]);
});

it("is asked for again after five minutes, or when the count is another one", async () => {
	const { list, clock, state } = open({ a: counted(1) });
	await list.refreshStale();
	clock.at += 4 * MINUTE_MS;
	await list.refreshStale();
	expect(asked).toHaveLength(1);
	state.updateSoon(anId("a"), (status) => ({ ...status, usage: aSnapshot({ capturedAt: clock.at, resetCredits: 2 }) }));
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
	expect(knownCredits(state.status(anId("a")))).toEqual([CREDIT]);
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

it("is waited for by each caller for itself, and ends with the last of them", async () => {
	let reply: (credits: readonly ResetCredit[]) => void = () => undefined;
	answer = () =>
		new Promise((resolve) => {
			reply = resolve;
		});
	const { list, state } = open({ a: counted(1) });
	const [short, long] = [new AbortController(), new AbortController()];
	const [looked, asking] = [list.refreshStale(short.signal), list.ask(anId("a"), long.signal)];
	await until("the call to be made", () => asked.length === 1);
	short.abort();
	await looked;
	expect(ended?.aborted).toBe(false);
	reply([CREDIT]);
	expect(await asking).toBe(true);
	expect(knownCredits(state.status(anId("a")))).toEqual([CREDIT]);
	const alone = list.ask(anId("a"), long.signal);
	await until("another call", () => asked.length === 2);
	long.abort();
	expect([await alone, ended?.aborted]).toEqual([false, true]);
});

it("brings back no credit that was redeemed while it was on its way", async () => {
	const { list, clock, state } = open({ a: counted(2) });
	answer = async () => {
		clock.at += 1000;
		const redemption = { creditId: "c", key: "k", at: clock.at, end: "redeemed" } as const;
		state.updateSoon(anId("a"), (status) => ({ ...status, redemption }));
		return [CREDIT, { id: "d", expiresAt: NOW + HOUR_MS }];
	};
	await list.ask(anId("a"));
	expect(knownCredits(state.status(anId("a"))).map(({ id }) => id)).toEqual(["d"]);
});

it("counts for nothing if the usage endpoint says that no credit is left", () => {
	const { state } = open({ a: { ...counted(0), resetCredits: { askedAt: NOW, listedAt: NOW, credits: [CREDIT] } } });
	expect(knownCredits(state.status(anId("a")))).toEqual([]);
});
