import { describe, expect, it } from "vitest";
import type { RecordedRequest } from "../../support/fake-codex/index.ts";
import { type Evidence, lostByTheLiving, savedFromTheDead, sentTwice } from "./verdict.ts";

const MINUTE_MS = 60_000;

/** An exchange of the refresh token `token` that began at `at`, and was answered with `next` 30 ms later. */
function exchange(
	sender: string,
	token: string,
	at: number,
	next: string | undefined,
	more: Partial<RecordedRequest> = {},
): RecordedRequest {
	return {
		kind: "token",
		at,
		method: "POST",
		path: "/oauth/token",
		query: {},
		headers: {},
		bodyText: "",
		body: { grant_type: "refresh_token", refresh_token: token },
		account: "a",
		connectionId: "connection-1",
		sender,
		status: next === undefined ? 401 : 200,
		endedAt: at + 30,
		...(next !== undefined && { issuedRefresh: next }),
		...more,
	};
}

/** Two processes on two machines; the access token that came with a refresh token ends at minute 5. */
function evidence(tokens: readonly RecordedRequest[], more: Partial<Evidence> = {}): Evidence {
	return {
		tokens,
		senders: [
			{ name: "one", machine: "a", killedAt: undefined },
			{ name: "two", machine: "b", killedAt: undefined },
		],
		stored: new Set(["second"]),
		signIns: [],
		aged: new Set(),
		accessEndOf: () => 5 * MINUTE_MS,
		...more,
	};
}

const oneDiedAt = (killedAt: number): Pick<Evidence, "senders"> => ({
	senders: [
		{ name: "one", machine: "a", killedAt },
		{ name: "two", machine: "b", killedAt: undefined },
	],
});
const twice = (gapMs: number) => [exchange("one", "first", 0, "lost"), exchange("two", "first", gapMs, undefined)];

describe("a refresh token that was sent twice", () => {
	it("is no fault if the first sender died before it could store what came, and the minute is over", () => {
		expect(sentTwice(evidence(twice(MINUTE_MS), oneDiedAt(40)))).toEqual([]);
		expect(sentTwice(evidence(twice(5000), { ...oneDiedAt(40), aged: new Set(["first"]) }))).toEqual([]);
	});

	it("a refresh token that was sent twice is no fault if the first answer said that nothing was spent", () => {
		const refused = exchange("one", "first", 0, undefined, { status: 503, answer: "serverError" });
		expect(sentTwice(evidence([refused, exchange("two", "first", 100, "second")]))).toEqual([]);
	});

	it.each([
		["lives", MINUTE_MS, {}],
		["died later", MINUTE_MS, oneDiedAt(2 * MINUTE_MS)],
		["died a moment ago", 5000, oneDiedAt(40)],
		["had stored what came", MINUTE_MS, { ...oneDiedAt(40), stored: new Set(["lost"]) }],
		["left a token that is good for long", MINUTE_MS, { ...oneDiedAt(40), accessEndOf: () => 30 * MINUTE_MS }],
	] as const)("is a fault if the first sender %s", (_, gapMs, more) => {
		expect(sentTwice(evidence(twice(gapMs), more))).toHaveLength(1);
	});
});

describe("a token that came and was stored nowhere", () => {
	const came = exchange("one", "first", 0, "lost");

	it("is a fault of a process that lives, or lived long enough to store it", () => {
		expect(lostByTheLiving(evidence([came]))).toHaveLength(1);
		expect(lostByTheLiving(evidence([came], oneDiedAt(MINUTE_MS)))).toHaveLength(1);
	});

	it("is none if its process died, never got it, or a person has signed in since", () => {
		expect(lostByTheLiving(evidence([came], oneDiedAt(40)))).toEqual([]);
		expect(lostByTheLiving(evidence([{ ...came, clientGone: true }]))).toEqual([]);
		expect(lostByTheLiving(evidence([came], { signIns: [{ account: "a", at: 100 }] }))).toEqual([]);
	});

	it("counts as saved if it is stored although its process died right after the answer", () => {
		const saved = exchange("one", "first", 0, "second");
		expect(savedFromTheDead(evidence([saved], oneDiedAt(40)), 150)).toEqual([saved]);
		expect(savedFromTheDead(evidence([saved], oneDiedAt(MINUTE_MS)), 150)).toEqual([]);
		expect(savedFromTheDead(evidence([came], oneDiedAt(40)), 150)).toEqual([]);
	});
});
