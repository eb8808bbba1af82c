import { describe, expect, it } from "vitest";
import {
	type ClockMeasure,
	createDatabaseClock,
	steadyAhead,
} from "../../../../src/platform/shared-pool/database-clock.ts";
import { aClock, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";

/** A machine, and the measure that another process of it has noted. */
function aMachine(measured?: ClockMeasure) {
	const clock = aClock();
	const machine = {
		clock,
		measured,
		ran: 0,
		pass: (ms: number) => {
			clock.at += ms;
			machine.ran += ms;
		},
	};
	const databaseClock = createDatabaseClock({
		measured: () => machine.measured,
		clock,
		monotonic: () => machine.ran,
	});
	return { ...machine, machine, databaseClock };
}

describe("how far the clock of a machine is ahead of the database", () => {
	it("how far the clock of a machine is ahead of the database is not known before it was measured", () => {
		expect(aMachine().databaseClock.aheadMs()).toBeUndefined();
	});

	it("is what a process of the machine has measured, for all of its processes", () => {
		const { databaseClock } = aMachine({ aheadMs: 7000, at: NOW - MINUTE_MS });
		expect(databaseClock.aheadMs()).toBe(7000);
		// The way takes a little longer this time.
		expect(databaseClock.measure(NOW - 7120, NOW)).toBe(7000);
		expect(databaseClock.aheadMs()).toBe(7000);
	});

	it("is measured anew after minutes, and after the clock was set", () => {
		const { databaseClock, machine, clock } = aMachine();
		databaseClock.measure(NOW, NOW);
		machine.pass(4 * MINUTE_MS);
		expect(databaseClock.aheadMs()).toBe(0);
		machine.pass(2 * MINUTE_MS);
		expect(databaseClock.aheadMs()).toBeUndefined();
		databaseClock.measure(clock.at, clock.at);
		expect(databaseClock.aheadMs()).toBe(0);
		clock.at += HOUR_MS;
		expect(databaseClock.aheadMs()).toBeUndefined();
		expect(databaseClock.measure(clock.at - HOUR_MS, clock.at)).toBe(HOUR_MS);
		expect(databaseClock.aheadMs()).toBe(HOUR_MS);
	});

	it.each([1000, -1000, MINUTE_MS, -MINUTE_MS])("is measured anew after the clock was set by %d ms", (setMs) => {
		const { databaseClock, clock } = aMachine();
		databaseClock.measure(NOW, NOW);
		clock.at += setMs;
		expect(databaseClock.aheadMs()).toBeUndefined();
		expect(databaseClock.measure(NOW, clock.at)).toBe(setMs);
		expect(databaseClock.aheadMs()).toBe(setMs);
	});

	it("is what this process has measured if the noted one can no longer be true", () => {
		const { databaseClock } = aMachine({ aheadMs: 7000, at: NOW - MINUTE_MS });
		databaseClock.measure(NOW, NOW);
		expect(databaseClock.aheadMs()).toBe(0);
	});

	it("stays as it was while the difference may come of the way alone", () => {
		expect(steadyAhead(1000, 1400)).toBe(1000);
		expect(steadyAhead(1000, 1600.4)).toBe(1600);
		expect(steadyAhead(undefined, 3.4)).toBe(3);
	});
});
