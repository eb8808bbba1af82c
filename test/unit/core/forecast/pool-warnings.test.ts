import { beforeEach, describe, expect, it } from "vitest";
import type { PoolEvent } from "../../../../src/core/events.ts";
import type { Outlook } from "../../../../src/core/forecast/forecast.ts";
import { createPoolWarnings } from "../../../../src/core/forecast/pool-warnings.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { createHarness, type Harness } from "../../harness.ts";

let harness: Harness;
let outlook: Outlook | undefined;
let aheadMs: number;
/** How often a forecast was asked for. */
let asked: number;
const aProcess = () =>
	createPoolWarnings({
		pool: harness.pool,
		forecasts: {
			fresh: async () => {
				asked += 1;
				return { madeAt: harness.clock.at, pool: outlook, accounts: [], serving: undefined };
			},
		},
		state: harness.state,
		settings: () => ({ notify: { ...DEFAULT_SETTINGS.notify, aheadMs } }),
		clock: harness.clock,
	});
/** A forecast that the pool is out at `dryAt`. */
const dryAt = (at: number, to: number | undefined = at + HOUR_MS): Outlook => ({
	dryAt: at,
	from: at - HOUR_MS,
	to,
	comesBack: [],
});
const uses = (id: AccountId, usedPercent: number, resetsAt = NOW + 4 * HOUR_MS) => {
	const usage = aSnapshot({ windows: [{ usedPercent, windowMinutes: 300, resetsAt }] });
	harness.state.statusById.set(id, { cooldowns: [], strikes: 0, usage });
};
const warnings = () =>
	harness.told.filter((event): event is Extract<PoolEvent, { type: "pool-low" }> => event.type === "pool-low");

beforeEach(() => {
	harness = createHarness(anAccount("a"), anAccount("b"));
	aheadMs = 3 * HOUR_MS;
	asked = 0;
	outlook = dryAt(NOW + 2 * HOUR_MS);
	uses(anId("a"), 70);
	uses(anId("b"), 60, NOW + HOUR_MS);
});

describe("a pool that a forecast has run out", () => {
	it("is one warning of all processes, with the interval and the first reset", async () => {
		await Promise.all([aProcess().look(), aProcess().look()]);
		expect(warnings()).toMatchObject([
			{
				dryAt: NOW + 2 * HOUR_MS,
				from: NOW + HOUR_MS,
				to: NOW + 3 * HOUR_MS,
				first: { account: { id: "b" }, at: NOW + HOUR_MS },
			},
		]);
	});

	it("is no further warning while the forecast moves a little, and one when another time comes", async () => {
		const process = aProcess();
		await process.look();
		harness.clock.at = NOW + 30 * MINUTE_MS;
		outlook = dryAt(NOW + 3 * HOUR_MS);
		await process.look();
		expect(warnings()).toHaveLength(1);
		harness.state.told.clear();
		await process.look();
		expect(warnings()).toHaveLength(2);
	});

	it.each([
		["it is further away than the person wants to know", () => dryAt(NOW + 4 * HOUR_MS)],
		["it is about to be seen anyway", () => dryAt(NOW + MINUTE_MS)],
		["it may last for more than a week", () => ({ ...dryAt(NOW + HOUR_MS), to: undefined })],
		["nothing can be told", () => undefined],
	])("a pool that a forecast has run out is no warning if %s", async (_why, made) => {
		outlook = made();
		await aProcess().look();
		expect([warnings(), asked]).toEqual([[], 1]);
	});

	it.each([
		["a person wants none", () => (aheadMs = 0)],
		["an account has plenty left", () => uses(anId("b"), 49)],
		["nothing is known of an account", () => harness.state.statusById.delete(anId("b"))],
		[
			"no account is ready",
			() => {
				for (const id of [anId("a"), anId("b")]) {
					harness.state.statusById.set(id, { cooldowns: [aCooldown()], strikes: 0 });
				}
			},
		],
	])("a pool that a forecast has run out is no forecast that is asked for if %s", async (_why, arrange) => {
		arrange();
		await aProcess().look();
		expect([warnings(), asked]).toEqual([[], 0]);
	});
});
