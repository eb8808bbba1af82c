import { beforeEach, describe, expect, it } from "vitest";
import { createSessionSockets, type SessionSockets } from "../../../../src/core/request/session-sockets.ts";

let closed: string[];
let sockets: SessionSockets;
beforeEach(() => {
	closed = [];
	sockets = createSessionSockets((session) => closed.push(session));
});

/** An attempt that is over at once. */
const use = (session: string | undefined, account: string) => sockets.claim(session, account).release();

describe("a session's sockets", () => {
	it("sockets of unknown origin are closed before the first use", () => {
		use("s", "a");
		expect(closed).toEqual(["s"]);
	});

	it("a session's sockets are closed for each session by itself, without a session for none", () => {
		expect(sockets.claim(undefined, "a").mustNotShare).toBe(false);
		use(undefined, "b");
		sockets.forget(undefined);
		sockets.leave(undefined);
		expect(closed).toEqual([]);
		use("s", "a");
		use("t", "b");
		expect(closed).toEqual(["s", "t"]);
	});
});

describe("the sockets of a session that an account has used", () => {
	beforeEach(() => {
		use("s", "a");
		closed.length = 0;
	});

	it("used sockets stay open while one account serves", () => {
		use("s", "a");
		use("s", "a");
		expect(closed).toEqual([]);
	});

	it("used sockets are closed before another account is used, and only then", () => {
		use("s", "b");
		use("s", "b");
		expect(closed).toEqual(["s"]);
		use("s", "a");
		expect(closed).toEqual(["s", "s"]);
	});

	it("used sockets are closed before another provider is asked, which keeps its own until an account is used", () => {
		const theirs = (provider: string) => sockets.claimOther("s", provider).release();
		theirs("mine");
		theirs("mine");
		expect(closed).toEqual(["s"]);
		theirs("a");
		use("s", "a");
		expect(closed).toEqual(["s", "s", "s"]);
		expect(sockets.claimOther(undefined, "mine").mustNotShare).toBe(false);
	});

	it("used sockets are closed when the session goes on with another model, and after the answer that is under way", () => {
		sockets.leaveSoon("t");
		expect(closed).toEqual([]);
		sockets.leaveSoon("s");
		sockets.leaveSoon("s");
		expect(closed).toEqual(["s"]);
		const answer = sockets.claim("s", "a");
		sockets.leaveSoon("s");
		expect(closed).toEqual(["s", "s"]);
		answer.release();
		expect(closed).toEqual(["s", "s", "s"]);
	});

	it("used sockets are left to an answer under way, and another provider is asked on none of them", () => {
		const answer = sockets.claim("s", "a");
		const theirs = sockets.claimOther("s", "mine");
		expect([theirs.mustNotShare, closed]).toEqual([true, []]);
		theirs.release();
		answer.release();
		use("s", "a");
		expect(closed).toEqual([]);
	});

	it("used sockets are closed before a reserve model is used, stay open while it serves, and close after it", () => {
		const onReserve = () => sockets.claim("s", "a", "gpt-reserve").release();
		onReserve();
		onReserve();
		expect(closed).toEqual(["s"]);
		use("s", "a");
		expect(closed).toEqual(["s", "s"]);
	});

	it("used sockets are not closed in mid-answer: another account's request goes without them", () => {
		const first = sockets.claim("s", "a");
		const second = sockets.claim("s", "b");
		expect([first.mustNotShare, second.mustNotShare]).toEqual([false, true]);
		second.release();
		expect(sockets.claim("s", "a").mustNotShare).toBe(false);
		expect(closed).toEqual([]);
	});

	it("used sockets are shared by requests of one account at the same time", () => {
		const claims = [sockets.claim("s", "a"), sockets.claim("s", "a")];
		expect(claims.map(({ mustNotShare }) => mustNotShare)).toEqual([false, false]);
		expect(closed).toEqual([]);
	});

	it("used sockets are closed for another account as soon as nothing is under way on them", () => {
		const first = sockets.claim("s", "a");
		const second = sockets.claim("s", "a");
		first.release();
		const early = sockets.claim("s", "b");
		expect(early.mustNotShare).toBe(true);
		early.release();
		second.release();
		expect(closed).toEqual([]);
		expect(sockets.claim("s", "b").mustNotShare).toBe(false);
		expect(closed).toEqual(["s"]);
	});

	it("used sockets belong to no session once they are forgotten", () => {
		sockets.forget("s");
		expect(closed).toEqual(["s"]);
		use("s", "a");
		expect(closed).toEqual(["s", "s"]);
	});

	it("used sockets are closed when the session goes on without us, once", () => {
		sockets.leave("t");
		expect(closed).toEqual([]);
		sockets.leave("s");
		sockets.leave("s");
		expect(closed).toEqual(["s"]);
	});
});

describe("refused reasoning", () => {
	it("is left out for the rest of that session, and of no other", () => {
		expect(sockets.refusesReasoning("s")).toBe(false);
		sockets.rememberReasoningRefused("s");
		expect(sockets.refusesReasoning("s")).toBe(true);
		expect(sockets.refusesReasoning("t")).toBe(false);
		use("s", "a");
		use("s", "b");
		expect(sockets.refusesReasoning("s")).toBe(true);
	});

	it("refused reasoning is not remembered without a session", () => {
		sockets.rememberReasoningRefused(undefined);
		expect(sockets.refusesReasoning(undefined)).toBe(false);
	});
});

describe("leaving every session", () => {
	beforeEach(() => {
		use("s", "a");
		use("t", "b");
		closed.length = 0;
	});

	it("closes what is open in each", () => {
		sockets.leaveAll();
		expect(closed).toEqual(["s", "t"]);
		sockets.leaveAll();
		expect(closed).toEqual(["s", "t"]);
	});

	it("lets an answer finish first, and is off where the session goes on with us", () => {
		const [first, second] = [sockets.claim("s", "a"), sockets.claim("s", "a")];
		sockets.leaveAll();
		first.release();
		expect(closed).toEqual(["t"]);
		second.release();
		expect(closed).toEqual(["t", "s"]);

		const third = sockets.claim("s", "a");
		closed.length = 0;
		sockets.leaveAll();
		const fourth = sockets.claim("s", "a");
		third.release();
		fourth.release();
		expect(closed).toEqual([]);
	});
});
