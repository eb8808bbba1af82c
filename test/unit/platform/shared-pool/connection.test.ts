import { beforeEach, describe, expect, it } from "vitest";
import type { PoolEvent } from "../../../../src/core/events.ts";
import { type Connection, createConnection } from "../../../../src/platform/shared-pool/connection.ts";
import { PATIENT, type PoolDatabase, PoolProblem } from "../../../../src/platform/shared-pool/types.ts";
import { aClock, type FakeClock, NOW } from "../../../support/fakes.ts";
import { aPoolInMemory } from "../../../support/pool-in-memory.ts";

let clock: FakeClock;
let told: PoolEvent[];
let opened: number;
let connection: Connection;
beforeEach(() => {
	clock = aClock();
	told = [];
	opened = 0;
	const nothing = () => Promise.reject(new Error("not asked for here"));
	connection = createConnection({
		open: async () => {
			opened += 1;
			const database: PoolDatabase = {
				...aPoolInMemory([], clock.now),
				...{ migrate: nothing, head: nothing, create: nothing, row: nothing, change: nothing, lastVersion: nothing },
				...{ remove: nothing, claim: nothing, settle: nothing, storeExchanged: nothing, reseal: nothing },
				...{ listen: nothing, end: async () => undefined, forgetMachine: nothing, until: () => database },
			};
			return database;
		},
		clock,
		tell: (event) => told.push(event),
	});
});

const problem = (kind: PoolProblem["kind"]) => new PoolProblem(kind, `it is ${kind}`);
const failing = (kind: PoolProblem["kind"], isAsking = false) =>
	connection.use(() => Promise.reject(problem(kind)), isAsking ? PATIENT : undefined).catch((error: unknown) => error);

describe("the way to the database of a pool", () => {
	it("is opened with the first use, and again after it was closed", async () => {
		expect(opened).toBe(0);
		expect(await connection.use(async () => "done")).toBe("done");
		await connection.use(async () => "done");
		expect(opened).toBe(1);
		await connection.rest();
		await connection.use(async () => "done");
		expect(opened).toBe(2);
	});

	it("is tried ever more seldom while it is away, at once if a person asks, and is one notice", async () => {
		await failing("away");
		expect(connection.away()).toMatchObject({ since: NOW, problem: { kind: "away" } });
		let tries = 0;
		const attempt = (isAsking = false) =>
			connection
				.use(
					() => {
						tries += 1;
						return Promise.reject(problem("away"));
					},
					isAsking ? PATIENT : undefined,
				)
				.catch(() => undefined);
		await attempt();
		expect(tries).toBe(0);
		await attempt(true);
		expect(tries).toBe(1);
		clock.at = NOW + 1999;
		await attempt();
		expect(tries).toBe(1);
		clock.at = NOW + 2000;
		await attempt();
		expect(tries).toBe(2);
		// A clock that was set back makes no pause longer.
		clock.at = NOW - 3_600_000;
		await attempt();
		expect(tries).toBe(3);
		expect(told).toEqual([{ type: "pool-away", problem: "away", text: "it is away", since: NOW }]);
	});

	it("is back with the first statement that succeeds", async () => {
		await failing("away");
		await connection.use(async () => undefined, PATIENT);
		expect(connection.away()).toBeUndefined();
		expect(told.at(-1)).toEqual({ type: "pool-back", since: NOW });
		await connection.use(async () => undefined);
		expect(told).toHaveLength(2);
	});

	it.each(["no-rights", "read-only", "full"] as const)(
		"the way to the database of a pool is not away if changes alone are refused: %s",
		async (kind) => {
			await failing(kind);
			await failing(kind);
			expect(connection.away()).toBeUndefined();
			expect(told).toEqual([{ type: "warning", text: `it is ${kind}` }]);
		},
	);

	it("is not away for what was cut off since it was closed, or for a defect", async () => {
		let cut = (_: unknown) => undefined as unknown;
		const statement = connection.use(
			() =>
				new Promise((_, reject) => {
					cut = reject;
				}),
		);
		await connection.use(async () => undefined);
		await connection.rest();
		cut(problem("away"));
		await expect(statement).rejects.toThrow("it is away");
		await expect(connection.use(() => Promise.reject(new TypeError("broken")))).rejects.toThrow("broken");
		expect(connection.away()).toBeUndefined();
		expect(told).toEqual([]);
	});
});
