import { describe, expect, it, vi } from "vitest";
import type { ForecastInput } from "../../../../src/core/forecast/forecast.ts";
import { createForecastSource, type ForecastMaker } from "../../../../src/core/forecast/forecast-source.ts";
import type { Snapshot } from "../../../../src/core/request/plan.ts";
import { aClock, MINUTE_MS } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";

function aSource(read = async () => []) {
	const clock = aClock();
	const made: ForecastInput[] = [];
	const failures: unknown[] = [];
	let ways = 0;
	const maker: ForecastMaker = {
		knownDemand: () => undefined,
		*forecastSteps(input) {
			yield;
			made.push(input);
			return { madeAt: clock.now(), pool: undefined, serving: undefined, accounts: [] };
		},
	};
	const snapshot = (): Snapshot => ({
		now: clock.now(),
		candidates: [],
		pinned: undefined,
		liveSessions: new Map(),
		lastChosen: undefined,
		policy: "soonest-reset",
		reserve: {},
	});
	const reading = vi.fn(read);
	const source = createForecastSource({
		pool: { snapshot },
		history: { read: reading },
		load: async () => maker,
		giveWay: async () => {
			ways += 1;
		},
		asked: () => ({ modelId: undefined, sessionId: aSessionId("s"), serving: anId("a") }),
		clock,
		onFailure: (error) => failures.push(error),
	});
	return { source, clock, made, reading, failures, ways: () => ways };
}

describe("the source of forecasts", () => {
	it("reads and makes nothing before it is asked", () => {
		const { source, made, reading } = aSource();
		source.subscribe(() => undefined);
		expect([made.length, reading.mock.calls.length]).toEqual([0, 0]);
	});

	it("makes one behind when it is asked, and tells when it is there", async () => {
		const { source, made, ways } = aSource();
		const told = new Promise<void>((resolve) => source.subscribe(resolve));
		expect(source.current()).toBeUndefined();
		await told;
		expect(source.current()).toBeDefined();
		expect(made).toMatchObject([{ serving: "a" }]);
		expect(ways()).toBe(1);
	});

	it("makes the next one a minute later, and reads the history every ten", async () => {
		const { source, clock, made, reading } = aSource();
		await source.fresh();
		await source.fresh();
		expect(made).toHaveLength(1);
		for (let minute = 0; minute < 12; minute += 1) {
			clock.at += MINUTE_MS;
			await source.fresh();
		}
		expect([made.length, reading.mock.calls.length]).toEqual([13, 2]);
	});

	it("makes one for all who ask at once", async () => {
		const { source, made, reading } = aSource();
		const all = await Promise.all([source.fresh(), source.renew(), source.fresh()]);
		expect([made.length, reading.mock.calls.length, new Set(all).size]).toEqual([1, 1, 1]);
	});

	it("reports a history that cannot be read, and tells nothing", async () => {
		const { source, failures } = aSource(async () => {
			throw new Error("unreadable");
		});
		expect(await source.fresh()).toBeUndefined();
		expect(failures).toHaveLength(1);
	});

	it("tells no listener that has left", async () => {
		const { source } = aSource();
		const heard = vi.fn();
		source.subscribe(heard)();
		await source.fresh();
		expect(heard).not.toHaveBeenCalled();
	});
});
