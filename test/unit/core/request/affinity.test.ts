import { beforeEach, describe, expect, it } from "vitest";
import { type Affinity, createAffinity } from "../../../../src/core/request/affinity.ts";
import { aClock, type FakeClock, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";

let clock: FakeClock;
let affinity: Affinity;
beforeEach(() => {
	clock = aClock();
	affinity = createAffinity(clock);
});

describe("a session", () => {
	it("has no account before its first answer", () => {
		affinity.begin("s");
		expect(affinity.account()).toBeUndefined();
	});

	it("stays on the account that answered last, and remembers it once", () => {
		affinity.begin("s");
		expect(affinity.served("s", "a")).toBe(true);
		expect(affinity.served("s", "a")).toBe(false);
		expect(affinity.account()).toBe("a");
		expect(affinity.served("s", "b")).toBe(true);
		expect(affinity.account()).toBe("b");
		expect(affinity.served("s", "a")).toBe(true);
	});

	it("goes on with the account that it remembers", () => {
		affinity.begin("s", "a", NOW - MINUTE_MS);
		expect(affinity.account()).toBe("a");
		expect(affinity.served("s", "a")).toBe(false);
	});

	it("knows who served it last, however long ago", () => {
		affinity.begin("s", "a", NOW - 9 * HOUR_MS);
		expect([affinity.account(), affinity.lastServed()]).toEqual([undefined, "a"]);
		affinity.begin("s");
		expect(affinity.lastServed()).toBeUndefined();
	});

	it("chooses anew when its cache is gone: an hour after its last request", () => {
		affinity.begin("s", "a", NOW - HOUR_MS + 1);
		expect(affinity.account()).toBe("a");
		clock.at = NOW + 1;
		expect(affinity.account()).toBeUndefined();
		affinity.served("s", "b");
		clock.at += HOUR_MS - 1;
		expect(affinity.account()).toBe("b");
		clock.at += 1;
		expect(affinity.account()).toBeUndefined();
	});

	it("chooses anew when its context was compacted, until it is served again", () => {
		affinity.begin("s", "a", NOW);
		affinity.compacted();
		expect([affinity.account(), affinity.lastServed()]).toEqual([undefined, "a"]);
		// A summary that comes after it says nothing of the session's cache.
		affinity.served("fresh-id", "a");
		expect(affinity.account()).toBeUndefined();
		expect(affinity.served("s", "a")).toBe(false);
		expect(affinity.account()).toBe("a");
	});

	it("a session is not taken for compacted because the one before it was", () => {
		affinity.begin("s", "a", NOW);
		affinity.compacted();
		affinity.begin("t", "b", NOW);
		expect(affinity.account()).toBe("b");
	});

	it("takes an account of unknown age for one of now", () => {
		affinity.begin("s", "a");
		expect(affinity.account()).toBe("a");
	});

	it("leaves nothing to the next one", () => {
		affinity.begin("s");
		affinity.served("s", "a");
		affinity.begin("t");
		expect(affinity.account()).toBeUndefined();
		expect(affinity.served("t", "a")).toBe(true);
	});

	it("may begin twice, as some hosts say", () => {
		affinity.begin("s", "a", NOW);
		affinity.begin("s", "a", NOW);
		expect(affinity.account()).toBe("a");
	});

	it("a session that was not announced begins with its first answer", () => {
		expect(affinity.served("s", "a")).toBe(true);
		expect(affinity.served("s", "b")).toBe(true);
		expect(affinity.account()).toBe("b");
	});
});

describe("a request that is not the session's own", () => {
	it("is recognised by its id, once there is a session", () => {
		expect(affinity.isOwn("s")).toBe(true);
		affinity.begin("s");
		expect([affinity.isOwn("s"), affinity.isOwn("t"), affinity.isOwn(undefined)]).toEqual([true, false, false]);
	});

	it.each([
		["without an id", undefined],
		["with an id of its own, as a compaction has", "fresh-id"],
	])("leaves no trace in it: %s", (_name, id) => {
		affinity.begin("s", "a", NOW);
		expect(affinity.served(id, "b")).toBe(false);
		expect(affinity.account()).toBe("a");
	});

	it.each([
		["without an id", undefined],
		["with an id of its own", "fresh-id"],
	])("keeps the session from nothing: its first answer is remembered all the same, %s", (_name, id) => {
		affinity.begin("s");
		expect(affinity.served(id, "a")).toBe(false);
		expect(affinity.served("s", "a")).toBe(true);
	});
});
