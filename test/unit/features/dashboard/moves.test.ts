import { beforeEach, describe, expect, it } from "vitest";
import type { LoggedDecision } from "../../../../src/core/decision.ts";
import { followMoves, type Moves } from "../../../../src/features/dashboard/moves.ts";
import { NOW, settled } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

let log: LoggedDecision[];
let reads: number;
let news: number;
let failures: unknown[];
let listeners: Set<() => void>;
let read: (count: number) => Promise<readonly LoggedDecision[]>;
let moves: Moves;

beforeEach(() => {
	log = [];
	reads = 0;
	news = 0;
	failures = [];
	listeners = new Set();
	read = async (count) => log.slice(-count);
});

const open = async () => {
	moves = followMoves({
		read: (count) => {
			reads += 1;
			return read(count);
		},
		follow: (listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		onNews: () => {
			news += 1;
		},
		onFailure: (error) => failures.push(error),
	});
	await settled();
};
const written = async () => {
	for (const listener of listeners) listener();
	await settled();
};
const logged = (decision: Partial<LoggedDecision>): LoggedDecision => ({
	at: NOW,
	pid: 1,
	kind: "rotated",
	...decision,
});

describe("the moves between accounts", () => {
	it("moves are those of the log, the newest first, and nothing else that is logged", async () => {
		log = [
			logged({ from: anId("a"), account: anId("b"), reason: "usage_limit", window: "5h" }),
			logged({ kind: "cooling", account: anId("a") }),
			logged({ kind: "switched", from: anId("b"), account: anId("a"), reason: "user", at: NOW + 1 }),
			logged({ from: anId("a") }),
		];
		await open();
		expect(moves.list()).toEqual([
			{ at: NOW + 1, from: "b", to: "a", reason: "user", window: undefined, isRotation: false },
			{ at: NOW, from: "a", to: "b", reason: "usage_limit", window: "5h", isRotation: true },
		]);
	});

	it("moves are read once, and again only when the log was written", async () => {
		await open();
		await settled();
		expect([reads, news, moves.list()]).toEqual([1, 1, []]);
		log.push(logged({ from: anId("a"), account: anId("b") }));
		await written();
		expect([reads, news, moves.list().length]).toEqual([2, 2, 1]);
	});

	it("moves are read by one reading at a time, however often the log is written meanwhile", async () => {
		const waiting: (() => void)[] = [];
		read = () => new Promise((resolve) => waiting.push(() => resolve(log)));
		await open();
		await written();
		await written();
		expect(reads).toBe(1);
		waiting[0]?.();
		await settled();
		expect([reads, news]).toEqual([2, 0]);
		waiting[1]?.();
		await settled();
		expect([reads, news]).toEqual([2, 1]);
	});

	it("moves stay as they were if the log cannot be read, and are let go of with the panel", async () => {
		log = [logged({ from: anId("a"), account: anId("b") })];
		await open();
		read = () => Promise.reject(new Error("EIO"));
		await written();
		expect([moves.list().length, failures.length]).toEqual([1, 1]);
		moves.stop();
		expect(listeners.size).toBe(0);
		await written();
		expect(reads).toBe(2);
	});
});
