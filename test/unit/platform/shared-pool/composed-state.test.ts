import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AccountId } from "../../../../src/core/ids.ts";
import { composeState } from "../../../../src/platform/shared-pool/composed-state.ts";
import type { Presence } from "../../../../src/platform/shared-pool/types.ts";
import { openStateStore } from "../../../../src/platform/stores/state-store.ts";
import { aClock, aCooldown, type FakeClock, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const scratch = scratchForEach();
let clock: FakeClock;
let local: ReturnType<typeof openStateStore>;
let shared: AccountId[];
let presences: Presence[];
beforeEach(() => {
	clock = aClock();
	local = openStateStore(scratch.path("codex-state.json"), () => undefined, clock.now);
	shared = [anId("a")];
	presences = [];
});
afterEach(async () => {
	await local.flush();
});

const compose = () =>
	composeState({
		local,
		isShared: (id) => shared.includes(id),
		sharedIds: () => shared,
		presences: () => presences,
		machine: () => "here",
		clock,
	});
/** An exchange that writes down what it is told. */
const listener = () => {
	const told: string[] = [];
	return {
		told,
		changed: (id: string, isUrgent = true) => void told.push(`${id}${isUrgent ? " now" : ""}`),
		pinMoved: (before?: string, after?: string) => void told.push(`${before} -> ${after}`),
		sessionsChanged: () => void told.push("sessions"),
		refresh: async (id: string) => void told.push(`refresh ${id}`),
		store: async (id: string) => void told.push(`store ${id}`),
		flush: async () => void told.push("flush"),
	};
};

describe("the state of a machine with a pool", () => {
	it("is the file as it is without one, for accounts that are not shared", async () => {
		const state = compose();
		const exchange = listener();
		state.tell(exchange);
		exchange.told.length = 0;
		await state.update(anId("own"), (status) => ({ ...status, cooldowns: [aCooldown()], strikes: 2 }));
		await state.updateIf(
			anId("own"),
			() => true,
			(status) => ({ ...status, strikes: 0 }),
		);
		state.updateSoon(anId("own"), (status) => ({ ...status, cooldowns: [] }));
		await state.setPin(anId("own"));
		await state.clearCooldowns();
		await state.forget(anId("own"));
		expect(exchange.told).toEqual(["undefined -> own"]);
		await state.update(anId("own"), (status) => ({ ...status, cooldowns: [aCooldown()], strikes: 2 }));
		await local.flush();
		expect(scratch.text("codex-state.json")).not.toContain("marks");
	});

	it("tells of each change to a shared account, of a refusal at once", async () => {
		const state = compose();
		const exchange = listener();
		state.tell(exchange);
		exchange.told.length = 0;
		void state.update(anId("a"), (status) => ({ ...status, cooldowns: [aCooldown()] }));
		state.updateSoon(anId("a"), (status) => ({ ...status, lastUsedAt: NOW }));
		expect(exchange.told).toEqual(["a now", "a"]);
		await state.updateIf(
			anId("a"),
			() => false,
			(status) => status,
		);
		expect(exchange.told).toHaveLength(2);
		await state.flush();
		expect(exchange.told.at(-1)).toBe("flush");
	});

	it("tells what has changed before there was an exchange as soon as there is one", async () => {
		const state = compose();
		await local.setPin(anId("b"));
		void state.update(anId("a"), (status) => ({ ...status, strikes: 1 }));
		await state.setPin(anId("a"));
		await state.setPin(undefined);
		const exchange = listener();
		state.tell(exchange);
		expect(exchange.told).toEqual(["a now", "b -> undefined", "sessions"]);
	});

	it("marks what a reset ends, as it was at that moment", async () => {
		const state = compose();
		await state.update(anId("a"), (status) => ({
			...status,
			cooldowns: [aCooldown({ until: NOW + HOUR_MS })],
			strikes: 1,
		}));
		clock.at += MINUTE_MS;
		await state.clearCooldowns();
		expect(state.status(anId("a"))).toMatchObject({
			cooldowns: [],
			strikes: 0,
			marks: { ended: [{ scope: "account", until: NOW + HOUR_MS }], changedAt: { strikes: NOW + MINUTE_MS } },
		});
	});

	it("marks a change as of the moment when it was made, however late it is written", async () => {
		const state = compose();
		state.updateSoon(anId("a"), (status) => ({ ...status, strikes: 1 }));
		clock.at += 10 * MINUTE_MS;
		await local.flush();
		expect(state.status(anId("a")).marks?.changedAt).toEqual({ strikes: NOW });
	});

	it("asks and stores at once if a redemption begins, and nowhere else", async () => {
		const state = compose();
		const exchange = listener();
		state.tell(exchange);
		exchange.told.length = 0;
		const note = { creditId: "c", key: "k", at: NOW, holder: { pid: 1, machine: "m" } };
		await state.updateIf(
			anId("a"),
			() => true,
			(status) => ({ ...status, redemption: note }),
		);
		expect(exchange.told).toEqual(["refresh a", "a", "store a"]);
		await state.updateIf(
			anId("a"),
			() => true,
			(status) => ({ ...status, redemption: { ...note, end: "redeemed" } }),
		);
		expect(exchange.told).toEqual(["refresh a", "a", "store a", "a"]);
	});

	it("counts sessions of other machines that were seen lately, beside those of its file", () => {
		const state = compose();
		state.acquireLease(aSessionId("s1"), anId("a"), true);
		state.acquireLease(aSessionId("s2"), anId("own"), true);
		expect(state.sessions()).toEqual({ a: 1 });
		const seen = { process: "p", seenAt: NOW };
		presences = [
			{ ...seen, machine: "there", sessions: { [anId("a")]: 2, [anId("b")]: 1 } },
			{ ...seen, machine: "here", sessions: { [anId("a")]: 1 } },
			{ ...seen, machine: "gone", sessions: { [anId("a")]: 5 }, seenAt: NOW - 6 * MINUTE_MS },
		];
		expect([...state.liveSessions(aSessionId("s1"))]).toEqual([
			["own", 1],
			["a", 2],
			["b", 1],
		]);
		clock.at += 6 * MINUTE_MS;
		expect(state.sessions()).toEqual({});
	});
});
