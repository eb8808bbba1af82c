import { beforeEach, describe, expect, it } from "vitest";
import type { AccountId, SessionId } from "../../../../src/core/ids.ts";
import { createSessionSockets, type SessionSockets } from "../../../../src/core/request/session-sockets.ts";
import { anId, aSessionId } from "../../../support/ids.ts";

let closed: string[];
let sockets: SessionSockets;
beforeEach(() => {
	closed = [];
	sockets = createSessionSockets((session) => closed.push(session));
});

/** An attempt that is over at once. */
const use = (session: SessionId | undefined, account: AccountId) => sockets.claim(session, account).release();

describe("a session's sockets", () => {
	it("sockets of unknown origin are closed before the first use", () => {
		use(aSessionId("s"), anId("a"));
		expect(closed).toEqual(["s"]);
	});

	it("a session's sockets are closed for each session by itself, without a session for none", () => {
		expect(sockets.claim(undefined, anId("a")).mustNotShare).toBe(false);
		use(undefined, anId("b"));
		sockets.forget(undefined);
		sockets.leave(undefined);
		expect(closed).toEqual([]);
		use(aSessionId("s"), anId("a"));
		use(aSessionId("t"), anId("b"));
		expect(closed).toEqual(["s", "t"]);
	});
});

describe("the sockets of a session that an account has used", () => {
	beforeEach(() => {
		use(aSessionId("s"), anId("a"));
		closed.length = 0;
	});

	it("used sockets stay open while one account serves", () => {
		use(aSessionId("s"), anId("a"));
		use(aSessionId("s"), anId("a"));
		expect(closed).toEqual([]);
	});

	it("used sockets are closed before another account is used, and only then", () => {
		use(aSessionId("s"), anId("b"));
		use(aSessionId("s"), anId("b"));
		expect(closed).toEqual(["s"]);
		use(aSessionId("s"), anId("a"));
		expect(closed).toEqual(["s", "s"]);
	});

	it("used sockets are closed before another provider is asked, which keeps its own until an account is used", () => {
		const theirs = (provider: string) => sockets.claimOther(aSessionId("s"), provider).release();
		theirs("mine");
		theirs("mine");
		expect(closed).toEqual(["s"]);
		theirs("a");
		use(aSessionId("s"), anId("a"));
		expect(closed).toEqual(["s", "s", "s"]);
		expect(sockets.claimOther(undefined, "mine").mustNotShare).toBe(false);
	});

	it("used sockets are closed when the session goes on with another model, and after the answer that is under way", () => {
		sockets.leaveSoon(aSessionId("t"));
		expect(closed).toEqual([]);
		sockets.leaveSoon(aSessionId("s"));
		sockets.leaveSoon(aSessionId("s"));
		expect(closed).toEqual(["s"]);
		const answer = sockets.claim(aSessionId("s"), anId("a"));
		sockets.leaveSoon(aSessionId("s"));
		expect(closed).toEqual(["s", "s"]);
		answer.release();
		expect(closed).toEqual(["s", "s", "s"]);
	});

	it("used sockets are left to an answer under way, and another provider is asked on none of them", () => {
		const answer = sockets.claim(aSessionId("s"), anId("a"));
		const theirs = sockets.claimOther(aSessionId("s"), "mine");
		expect([theirs.mustNotShare, closed]).toEqual([true, []]);
		theirs.release();
		answer.release();
		use(aSessionId("s"), anId("a"));
		expect(closed).toEqual([]);
	});

	it("used sockets are closed before a reserve model is used, stay open while it serves, and close after it", () => {
		const onReserve = () => sockets.claim(aSessionId("s"), anId("a"), "gpt-reserve").release();
		onReserve();
		onReserve();
		expect(closed).toEqual(["s"]);
		use(aSessionId("s"), anId("a"));
		expect(closed).toEqual(["s", "s"]);
	});

	it("used sockets are not closed in mid-answer: another account's request goes without them", () => {
		const first = sockets.claim(aSessionId("s"), anId("a"));
		const second = sockets.claim(aSessionId("s"), anId("b"));
		expect([first.mustNotShare, second.mustNotShare]).toEqual([false, true]);
		second.release();
		expect(sockets.claim(aSessionId("s"), anId("a")).mustNotShare).toBe(false);
		expect(closed).toEqual([]);
	});

	it("used sockets are shared by requests of one account at the same time", () => {
		const claims = [sockets.claim(aSessionId("s"), anId("a")), sockets.claim(aSessionId("s"), anId("a"))];
		expect(claims.map(({ mustNotShare }) => mustNotShare)).toEqual([false, false]);
		expect(closed).toEqual([]);
	});

	it("used sockets are closed for another account as soon as nothing is under way on them", () => {
		const first = sockets.claim(aSessionId("s"), anId("a"));
		const second = sockets.claim(aSessionId("s"), anId("a"));
		first.release();
		const early = sockets.claim(aSessionId("s"), anId("b"));
		expect(early.mustNotShare).toBe(true);
		early.release();
		second.release();
		expect(closed).toEqual([]);
		expect(sockets.claim(aSessionId("s"), anId("b")).mustNotShare).toBe(false);
		expect(closed).toEqual(["s"]);
	});

	it("used sockets belong to no session once they are forgotten", () => {
		sockets.forget(aSessionId("s"));
		expect(closed).toEqual(["s"]);
		use(aSessionId("s"), anId("a"));
		expect(closed).toEqual(["s", "s"]);
	});

	it("used sockets are closed when the session goes on without us, once", () => {
		sockets.leave(aSessionId("t"));
		expect(closed).toEqual([]);
		sockets.leave(aSessionId("s"));
		sockets.leave(aSessionId("s"));
		expect(closed).toEqual(["s"]);
	});
});

describe("refused reasoning", () => {
	it("is left out for the rest of that session, and of no other", () => {
		expect(sockets.refusesReasoning(aSessionId("s"))).toBe(false);
		sockets.rememberReasoningRefused(aSessionId("s"));
		expect(sockets.refusesReasoning(aSessionId("s"))).toBe(true);
		expect(sockets.refusesReasoning(aSessionId("t"))).toBe(false);
		use(aSessionId("s"), anId("a"));
		use(aSessionId("s"), anId("b"));
		expect(sockets.refusesReasoning(aSessionId("s"))).toBe(true);
	});

	it("refused reasoning is not remembered without a session", () => {
		sockets.rememberReasoningRefused(undefined);
		expect(sockets.refusesReasoning(undefined)).toBe(false);
	});
});

describe("leaving every session", () => {
	beforeEach(() => {
		use(aSessionId("s"), anId("a"));
		use(aSessionId("t"), anId("b"));
		closed.length = 0;
	});

	it("closes what is open in each", () => {
		sockets.leaveAll();
		expect(closed).toEqual(["s", "t"]);
		sockets.leaveAll();
		expect(closed).toEqual(["s", "t"]);
	});

	it("lets an answer finish first, and is off if the session goes on with us", () => {
		const [first, second] = [sockets.claim(aSessionId("s"), anId("a")), sockets.claim(aSessionId("s"), anId("a"))];
		sockets.leaveAll();
		first.release();
		expect(closed).toEqual(["t"]);
		second.release();
		expect(closed).toEqual(["t", "s"]);

		const third = sockets.claim(aSessionId("s"), anId("a"));
		closed.length = 0;
		sockets.leaveAll();
		const fourth = sockets.claim(aSessionId("s"), anId("a"));
		third.release();
		fourth.release();
		expect(closed).toEqual([]);
	});
});
