import { beforeEach, describe, expect, it } from "vitest";
import { type Affinity, createAffinity } from "../../../../src/core/request/affinity.ts";
import { aClock, type FakeClock, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";

let clock: FakeClock;
let affinity: Affinity;
beforeEach(() => {
	clock = aClock();
	affinity = createAffinity(clock);
});

describe("a session", () => {
	it("has no account before its first answer", () => {
		affinity.begin(aSessionId("s"));
		expect(affinity.account()).toBeUndefined();
	});

	it("stays on the account that answered last, and remembers it once", () => {
		affinity.begin(aSessionId("s"));
		expect(affinity.served(aSessionId("s"), anId("a"))).toBe(true);
		expect(affinity.served(aSessionId("s"), anId("a"))).toBe(false);
		expect(affinity.account()).toBe("a");
		expect(affinity.served(aSessionId("s"), anId("b"))).toBe(true);
		expect(affinity.account()).toBe("b");
		expect(affinity.served(aSessionId("s"), anId("a"))).toBe(true);
	});

	it("records its account once on each branch that it continues on", () => {
		affinity.begin(aSessionId("s"), anId("a"), NOW - MINUTE_MS);
		affinity.branched(undefined);
		expect(affinity.account()).toBe("a");
		expect([1, 2].map(() => affinity.served(aSessionId("s"), anId("a")))).toEqual([true, false]);
		affinity.branched(anId("b"));
		expect(affinity.served(aSessionId("s"), anId("a"))).toBe(true);
		affinity.branched(anId("a"));
		expect(affinity.served(aSessionId("s"), anId("a"))).toBe(false);
	});

	it("goes on with the account that it remembers", () => {
		affinity.begin(aSessionId("s"), anId("a"), NOW - MINUTE_MS);
		expect(affinity.account()).toBe("a");
		expect(affinity.served(aSessionId("s"), anId("a"))).toBe(false);
	});

	it("knows who served it last, however long ago", () => {
		affinity.begin(aSessionId("s"), anId("a"), NOW - 9 * HOUR_MS);
		expect([affinity.account(), affinity.lastServed()]).toEqual([undefined, "a"]);
		affinity.begin(aSessionId("s"));
		expect(affinity.lastServed()).toBeUndefined();
	});

	it("chooses anew when its cache is gone: an hour after its last request", () => {
		affinity.begin(aSessionId("s"), anId("a"), NOW - HOUR_MS + 1);
		expect(affinity.account()).toBe("a");
		clock.at = NOW + 1;
		expect(affinity.account()).toBeUndefined();
		affinity.served(aSessionId("s"), anId("b"));
		clock.at += HOUR_MS - 1;
		expect(affinity.account()).toBe("b");
		clock.at += 1;
		expect(affinity.account()).toBeUndefined();
	});

	it("chooses anew when its context was compacted, until it is served again", () => {
		affinity.begin(aSessionId("s"), anId("a"), NOW);
		affinity.compacted();
		expect([affinity.account(), affinity.lastServed()]).toEqual([undefined, "a"]);
		// A summary that comes after it says nothing of the session's cache.
		affinity.served(aSessionId("fresh-id"), anId("a"));
		expect(affinity.account()).toBeUndefined();
		expect(affinity.served(aSessionId("s"), anId("a"))).toBe(false);
		expect(affinity.account()).toBe("a");
	});

	it("a session is not taken for compacted because the one before it was", () => {
		affinity.begin(aSessionId("s"), anId("a"), NOW);
		affinity.compacted();
		affinity.begin(aSessionId("t"), anId("b"), NOW);
		expect(affinity.account()).toBe("b");
	});

	it("takes an account of unknown age for one of now", () => {
		affinity.begin(aSessionId("s"), anId("a"));
		expect(affinity.account()).toBe("a");
	});

	it("leaves nothing to the next one", () => {
		affinity.begin(aSessionId("s"));
		affinity.served(aSessionId("s"), anId("a"));
		affinity.begin(aSessionId("t"));
		expect(affinity.account()).toBeUndefined();
		expect(affinity.served(aSessionId("t"), anId("a"))).toBe(true);
	});

	it("may begin twice, as some hosts say", () => {
		affinity.begin(aSessionId("s"), anId("a"), NOW);
		affinity.begin(aSessionId("s"), anId("a"), NOW);
		expect(affinity.account()).toBe("a");
	});

	it("a session that was not announced begins with its first answer", () => {
		expect(affinity.served(aSessionId("s"), anId("a"))).toBe(true);
		expect(affinity.served(aSessionId("s"), anId("b"))).toBe(true);
		expect(affinity.account()).toBe("b");
	});
});

describe("a request that is not the session's own", () => {
	it("is recognised by its id, once there is a session", () => {
		expect(affinity.isOwn(aSessionId("s"))).toBe(true);
		affinity.begin(aSessionId("s"));
		expect([affinity.isOwn(aSessionId("s")), affinity.isOwn(aSessionId("t")), affinity.isOwn(undefined)]).toEqual([
			true,
			false,
			false,
		]);
	});

	it.each([
		["without an id", undefined],
		["with an id of its own, as a compaction has", aSessionId("fresh-id")],
	])("leaves no trace in it: %s", (_name, id) => {
		affinity.begin(aSessionId("s"), anId("a"), NOW);
		expect(affinity.served(id, anId("b"))).toBe(false);
		expect(affinity.account()).toBe("a");
	});

	it.each([
		["without an id", undefined],
		["with an id of its own", aSessionId("fresh-id")],
	])("keeps the session from nothing: its first answer is remembered all the same, %s", (_name, id) => {
		affinity.begin(aSessionId("s"));
		expect(affinity.served(id, anId("a"))).toBe(false);
		expect(affinity.served(aSessionId("s"), anId("a"))).toBe(true);
	});
});
