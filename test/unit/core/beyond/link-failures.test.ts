import { beforeEach, describe, expect, it } from "vitest";
import { createLinkFailures, failureIn, type LinkFailures } from "../../../../src/core/beyond/link-failures.ts";
import { aClock, type FakeClock } from "../../../support/fakes.ts";
import { isLinear } from "../../../support/growth.ts";

const MINUTE_MS = 60_000;

describe("the words of another provider", () => {
	it.each([
		["429 Too Many Requests", "quota"],
		["Your credit balance is too low to access the Anthropic API.", "quota"],
		['400 {"error":{"code":"insufficient_quota"}}', "quota"],
		["401 invalid x-api-key", "sign-in"],
		["403 Forbidden", "sign-in"],
		["No API key for provider: other", "sign-in"],
		["404 model: claude-9 was not found", "model"],
		["The model `gpt-9` does not exist or you do not have access to it.", "model"],
		["503 Service Unavailable", "unreached"],
		["fetch failed", "unreached"],
		["", "unreached"],
	])("%j are read as %s", (words, kind) => {
		expect(failureIn(words).kind).toBe(kind);
	});

	it.each([
		["429: please retry after 90 seconds", 90_000],
		["rate limit reached, try again in 1.5h", 90 * MINUTE_MS],
		["Server requested 1200s retry delay (max: 60s)", 20 * MINUTE_MS],
		["429: try again in 100000 hours", 8 * 24 * 60 * MINUTE_MS],
		["rate limited", undefined],
		["503, retry after 90 seconds", undefined],
	])("%j name the time %s", (words, afterMs) => {
		expect(failureIn(words).afterMs).toBe(afterMs);
	});

	it("the words of another provider are read in linear time, and only where they begin", () => {
		for (const piece of ["429 retry ", "model ", "retry 1"]) expect(isLinear(failureIn, piece)).toBe(true);
		expect(failureIn(`${"x".repeat(3000)} 429`).kind).toBe("unreached");
	});
});

describe("a link that failed", () => {
	let clock: FakeClock;
	let failures: LinkFailures;
	const mark = () => "key-1";
	beforeEach(() => {
		clock = aClock();
		failures = createLinkFailures(clock);
	});

	it("a link that failed without quota is closed until its reset, else for 15 minutes", () => {
		failures.failed("a/b", { kind: "quota", afterMs: undefined }, mark);
		failures.failed("c/d", { kind: "quota", afterMs: 60 * MINUTE_MS }, mark);
		clock.at += 14 * MINUTE_MS;
		expect(failures.closure("a/b", mark)?.kind).toBe("quota");
		clock.at += 2 * MINUTE_MS;
		expect(failures.closure("a/b", mark)).toBeUndefined();
		expect(failures.closure("c/d", mark)?.kind).toBe("quota");
	});

	it("is asked again at once after a clock that was set back", () => {
		failures.failed("a/b", { kind: "quota", afterMs: undefined }, mark);
		clock.at -= MINUTE_MS;
		expect(failures.closure("a/b", mark)).toBeUndefined();
	});

	it("a link that failed for its sign-in is closed until other credentials are stored", () => {
		failures.failed("a/b", { kind: "sign-in", afterMs: undefined }, mark);
		clock.at += 24 * 60 * MINUTE_MS;
		expect(failures.closure("a/b", mark)?.kind).toBe("sign-in");
		expect(failures.closure("a/b", () => "key-2")).toBeUndefined();
		expect(failures.closure("a/b", mark)).toBeUndefined();
	});

	it("a link that failed for its model is closed for the session", () => {
		failures.failed("a/b", { kind: "model", afterMs: undefined }, mark);
		clock.at += 24 * 60 * MINUTE_MS;
		expect(failures.closure("a/b", () => "key-2")?.kind).toBe("model");
		failures.beginSession();
		expect(failures.closure("a/b", mark)).toBeUndefined();
	});

	it("that was not reached is left to the host's retry once, then closed for a minute", () => {
		const unreached = { kind: "unreached", afterMs: undefined } as const;
		expect(failures.failed("a/b", unreached, mark)).toBeUndefined();
		failures.answered("a/b");
		expect(failures.failed("a/b", unreached, mark)).toBeUndefined();
		expect(failures.failed("a/b", unreached, mark)?.kind).toBe("unreached");
		clock.at += MINUTE_MS;
		expect(failures.closure("a/b", mark)).toBeUndefined();
	});
});
