import { describe, expect, it } from "vitest";
import { decisionOf } from "../../../../src/core/decision.ts";
import type { PoolEvent } from "../../../../src/core/events.ts";
import { type BusEvents, busEventOf, publishEvents } from "../../../../src/features/explain/event-bus.ts";
import { anAccount, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { aPi } from "../../fake-pi.ts";
import { createHarness } from "../../harness.ts";

const [a, b] = [anAccount("label-a", { id: anId("a") }), anAccount("label-b", { id: anId("b") })];
const asked = { modelId: "gpt-5.5", sessionId: aSessionId("the-session") };
const grounds = { decidedBy: "room", terms: [{ name: "room", value: 73, text: "73% of 5h left" }] };
const rotated = {
	type: "rotated",
	from: a,
	to: b,
	reason: "usage_limit",
	window: "5h",
	readyAt: NOW + HOUR_MS,
	remainingPercent: 73,
	asked,
	grounds,
} as const;
const EVENTS: readonly PoolEvent[] = [
	{ type: "chosen", account: a, asked, grounds },
	rotated,
	{ type: "switched", from: a, to: b, cause: "policy", left: undefined, asked, grounds },
	{ type: "cooling", account: a, scope: "account", reason: "usage_limit", until: NOW + HOUR_MS, cause: "refusal" },
	{ type: "recovered", account: a, scope: "account", cause: "usage" },
	{ type: "signed-out", account: a, reason: "revoked" },
	{ type: "closed", account: a, reason: "closed by OpenAI" },
	{
		type: "last-one",
		account: a,
		left: { window: "5h", percent: 9, resetsAt: NOW + HOUR_MS, isStale: false },
		threshold: 10,
	},
	{
		type: "pool-low",
		dryAt: NOW + 2 * HOUR_MS,
		from: NOW + HOUR_MS,
		to: NOW + 3 * HOUR_MS,
		first: { account: a, at: NOW + HOUR_MS },
	},
	{
		type: "exhausted",
		why: {
			total: 2,
			cooling: 2,
			notOffered: 0,
			needsLogin: 0,
			unavailable: 0,
			tried: 2,
			untried: 0,
			readyAt: undefined,
		},
		asked,
	},
	{ type: "pool-away", problem: "no-rights", text: "label-a may not write.", since: NOW },
	{ type: "pool-back", since: NOW },
];
const OURS: readonly PoolEvent[] = [
	{ type: "continued", first: rotated, to: b, remainingPercent: 73 },
	{ type: "served", account: anId("a"), hasMoved: true, hasToldUsage: true },
	{ type: "waiting", request: 1, until: NOW, forRoom: false },
	{ type: "changed" },
	{ type: "warning", text: "x" },
];
const OURS_AND_LOGGED: readonly PoolEvent[] = [
	{ type: "shared-pool", change: "joined", role: "runner" },
	{ type: "renewed-elsewhere", account: anId("a") },
];
const CHANNEL: Readonly<Partial<Record<PoolEvent["type"], keyof BusEvents>>> = {
	chosen: "multicodex:account:switched",
	rotated: "multicodex:account:switched",
	switched: "multicodex:account:switched",
	cooling: "multicodex:account:cooling",
	recovered: "multicodex:account:recovered",
	"signed-out": "multicodex:account:signed-out",
	closed: "multicodex:account:closed",
	"last-one": "multicodex:pool:last-one",
	"pool-low": "multicodex:pool:low",
	exhausted: "multicodex:pool:exhausted",
	"pool-away": "multicodex:pool:away",
	"pool-back": "multicodex:pool:back",
};

describe("what other extensions hear", () => {
	it.each(EVENTS.map((event) => [event.type, event] as const))(
		"%s has a channel, and names ids alone",
		(type, event) => {
			const [channel, payload] = busEventOf(event) ?? [];
			expect(channel).toBe(CHANNEL[type]);
			expect(JSON.stringify(payload)).not.toMatch(/label|example\.test|access-|refresh-|the-session|undefined/);
		},
	);

	it("is nothing of what is only ours", () => {
		expect([...OURS, ...OURS_AND_LOGGED].map(busEventOf).filter((event) => event)).toEqual([]);
	});

	it("is frozen, and reaches the other listeners when a bus throws", () => {
		const harness = createHarness(anAccount("a"));
		const pi = aPi();
		const heard: unknown[] = [];
		pi.bus = (channel, payload) => {
			heard.push([channel, Object.isFrozen(payload)]);
			throw new Error("a listener's own fault");
		};
		publishEvents(pi.api, harness.pool);
		let later = 0;
		harness.pool.subscribe(() => {
			later += 1;
		});
		for (const event of [...EVENTS, ...OURS]) harness.pool.emit(event);
		expect(heard).toEqual(EVENTS.map(({ type }) => [CHANNEL[type], true]));
		expect(later).toBe(EVENTS.length + OURS.length);
	});
});

describe("what is logged", () => {
	it("is every decision of this process, by ids, with the terms of the choice", () => {
		expect(decisionOf(rotated)).toEqual({
			kind: "rotated",
			from: "a",
			account: "b",
			reason: "usage_limit",
			window: "5h",
			until: NOW + HOUR_MS,
			model: "gpt-5.5",
			session: "the-session",
			decidedBy: "room",
			terms: { room: 73 },
		});
		for (const event of EVENTS) {
			const decision = decisionOf(event);
			expect(decision?.kind).toBe(event.type);
			expect(JSON.stringify(decision)).not.toMatch(/label|example\.test|access-|refresh-/);
		}
		expect(decisionOf({ type: "pinned", account: anId("a") })).toEqual({ kind: "pinned", account: "a" });
		expect(decisionOf({ type: "membership", change: "merged", account: anId("a"), former: anId("b") })).toEqual({
			kind: "merged",
			account: "a",
			from: "b",
		});
		expect(decisionOf({ type: "shared-pool", change: "new-keys", role: "keeper" })).toEqual({
			kind: "pool-new-keys",
			reason: "keeper",
		});
		expect(decisionOf({ type: "renewed-elsewhere", account: anId("a") })).toEqual({
			kind: "renewed-elsewhere",
			account: "a",
		});
		expect(decisionOf({ type: "pinned", account: undefined })).toEqual({ kind: "unpinned" });
	});

	it("is nothing that another process logs, or that was logged with its beginning", () => {
		const cooling = { type: "cooling", account: a, scope: "account", reason: "usage_limit", until: NOW } as const;
		expect(decisionOf({ ...cooling, cause: "elsewhere" })).toBeUndefined();
		for (const cause of ["elsewhere", "time"] as const) {
			expect(decisionOf({ type: "recovered", account: a, scope: "account", cause })).toBeUndefined();
		}
		expect(OURS.map(decisionOf)).toEqual(OURS.map(() => undefined));
	});

	it("what is logged is the model that a session goes on with, which others hear nothing of", () => {
		const event = { type: "on-reserve-model", account: a, model: "gpt-6-luna", leftPercent: 40, asked } as const;
		const { type: kind, model, leftPercent } = event;
		expect(decisionOf(event)).toEqual({ kind, account: "a", model, leftPercent, session: "the-session" });
		expect(busEventOf(event)).toBeUndefined();
	});
});
