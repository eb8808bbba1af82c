import type { AssistantMessage, AssistantMessageEvent } from "@mariozechner/pi-ai";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { RecordedRequest } from "../../support/fake-codex/index.ts";
import { BAD, type Fault, GOOD } from "./faults.ts";
import { type Asked, type Journal, keepJournal } from "./journal.ts";
import {
	createMemory,
	isBeingRenewed,
	isLossExplained,
	judgeTokens,
	judgeTurn,
	type Memory,
	type Turn,
} from "./judge.ts";
import type { TurnReport } from "./orders.ts";
import { createWatcher } from "./watcher.ts";
import { createWorld, NAMES, type World } from "./world.ts";

let world: World;
let journal: Journal;
let memory: Memory;
let began: number;
beforeAll(async () => {
	world = await createWorld();
});
afterAll(() => world.close());
beforeEach(() => {
	journal = keepJournal(1, world, () => undefined);
	memory = createMemory();
	began = Date.now();
});

const faultOf = (name: string): Fault => {
	const found = [...GOOD, ...BAD].find((fault) => fault.name === name);
	if (!found) throw new Error(`there is no answer ${name}`);
	return found;
};
const aRecord = (more: Partial<RecordedRequest>): RecordedRequest => ({
	kind: "token",
	at: began,
	method: "POST",
	path: "/",
	query: {},
	headers: {},
	bodyText: "",
	body: undefined,
	account: undefined,
	connectionId: "1",
	sender: undefined,
	...more,
});
/** A request of a turn: its account, and the answer that it got, `afterMs` after the turn began. */
const ask = (turn: string, account: string, name: string, afterMs = 10, isSocket = false): Asked => {
	const [at, fault] = [began + afterMs, faultOf(name)];
	const number = [...journal.requests.values()].flat().length + 1;
	const asked = { number, turn, account, at, isSocket, fault, restMs: 5000, record: aRecord({ at, account }) };
	journal.requests.set(turn, [...(journal.requests.get(turn) ?? []), asked]);
	if (fault.rests === "told") {
		const until = at + 5000;
		journal.rests.push({ account, from: at, told: until, isTold: true, turn, until });
	}
	return asked;
};
const judge = (report: Partial<TurnReport>, more: Partial<Turn> = {}) => {
	const turn = report.turn ?? "t";
	const asked = journal.requests.get(turn) ?? [];
	const whole: TurnReport = {
		turn,
		startedAt: began,
		endedAt: began + 100,
		reason: "done",
		words: "",
		shown: [],
		meant: asked.map(({ account }) => world.codex.account(account).userId),
		abortedAt: undefined,
		problems: [],
		...report,
	};
	const plain = { touched: () => false, wasReset: () => false, isPlain: true, isSettled: () => true, stoppedMs: 0 };
	return judgeTurn({ report: whole, seat: "p0/0", ...plain, ...more }, journal, world, memory);
};
/** Every account works, and the files have said so all the time. */
const allWork = () => {
	const usable = new Map(NAMES.map((name) => [name, { access: world.codex.grant(name).access }]));
	for (const at of [began, began + 50, began + 100]) journal.snapshots.push({ at, usable, cooling: new Set() });
};

describe("a turn that kept every promise", () => {
	it("a turn that kept every promise is one that was answered at once, or by another account", () => {
		ask("t", "a2", "text");
		expect(judge({ shown: [1] })).toEqual([]);
		ask("u", "a3", "quota");
		ask("u", "a4", "text", 20);
		expect(judge({ turn: "u", shown: [3] })).toEqual([]);
	});

	it("is one that no other account could have answered, or that was ended on purpose", () => {
		allWork();
		ask("t", "a2", "context too long");
		expect(judge({ reason: "error", words: "Your input exceeds the context window" })).toEqual([]);
		ask("u", "a3", "hang");
		expect(judge({ turn: "u", reason: "aborted", abortedAt: began + 50 })).toEqual([]);
	});

	it("a turn that kept every promise is one whose account the host itself asked twice", () => {
		ask("t", "a2", "reasoning refused");
		ask("t", "a2", "text", 20);
		expect(judge({ shown: [2], meant: [world.codex.account("a2").userId] })).toEqual([]);
	});

	it("a turn that kept every promise is one that stood still with its process", () => {
		ask("t", "a2", "text");
		expect(judge({ shown: [1], endedAt: began + 70_000 }, { stoppedMs: 12_000 })).toEqual([]);
	});
});

describe("a broken promise is seen:", () => {
	it.each<[string, Partial<TurnReport>, RegExp]>([
		["no final event", { reason: "none" }, /no final event/],
		["an end as if by Esc", { reason: "aborted" }, /aborted without a key/],
		["no account to serve it", { reason: "off" }, /nothing of ours/],
		["an answer that was given to another turn", { shown: [7] }, /another turn/],
		["a wait without a bound", { shown: [1], endedAt: 60_100 }, /it took 60 s/],
		["an Esc that is not heeded", { shown: [1], abortedAt: 100, endedAt: 5200 }, /after its abort/],
		["a defect", { reason: "error", words: "pi-multicodex could not handle this request" }, /a defect of ours/],
		["what was wrong with its events", { shown: [1], problems: ["a second start"] }, /a second start/],
		["a token that was meant for another account", { shown: [1], meant: [] }, /meant for none/],
	])("%s", (_, { endedAt = 100, abortedAt, ...report }, words) => {
		ask("t", "a2", "text");
		const times = { endedAt: began + endedAt, abortedAt: abortedAt === undefined ? undefined : began + abortedAt };
		expect(judge({ ...report, ...times })).toEqual([expect.stringMatching(words)]);
	});

	it("a request after output was shown", () => {
		ask("t", "a2", "reset in mid-answer");
		ask("t", "a3", "text", 20);
		expect(judge({ shown: [1] })).toContainEqual(expect.stringMatching(/after output was shown: a3/));
	});

	it("another account for what none would do better", () => {
		ask("t", "a2", "context too long");
		ask("t", "a3", "text", 20);
		expect(judge({ shown: [2] })).toEqual([expect.stringMatching(/after "context too long"/)]);
	});

	it("an account that is asked again although it has told when it is back: in the turn, and in the next one", () => {
		ask("t", "a2", "quota");
		ask("t", "a2", "text", 20);
		expect(judge({ shown: [2] })).toEqual([expect.stringMatching(/a2 was asked again after "quota"/)]);
		began += 1000;
		ask("u", "a2", "text");
		expect(judge({ turn: "u", shown: [3] })).toEqual([expect.stringMatching(/before its return/)]);
	});

	it("such an account before the time that its usage has told since, and not after it", () => {
		ask("t", "a2", "quota");
		ask("t", "a2", "text", 3000);
		const told = { account: "a2", told: began + 4000, isTold: false, turn: undefined, until: began + 4000 };
		journal.rests.push({ ...told, from: began + 10, told: began + 5000 });
		expect(judge({ shown: [2], endedAt: began + 3100 })).toEqual([expect.stringMatching(/a2 was asked again/)]);
		journal.rests.push({ ...told, from: began + 10 });
		expect(judge({ shown: [2], endedAt: began + 3100 })).toEqual([]);
	});

	it("an account that is asked again even if it has answered since, but not if it answers what came before", () => {
		ask("t", "a2", "quota");
		expect(judge({ reason: "error" })).toEqual([]);
		const refusedAt = began;
		began += 3000;
		ask("u", "a2", "text", 0);
		journal.news.push({ account: "a2", at: began, askedAt: began - 100 });
		expect(judge({ turn: "u", shown: [2] })).toEqual([expect.stringMatching(/before its return/)]);
		journal.news.push({ account: "a2", at: refusedAt + 200, askedAt: refusedAt - 100 });
		expect(judge({ turn: "u", shown: [2] })).toEqual([]);
	});

	it("an account that another process knew to rest", () => {
		ask("t", "a2", "quota");
		expect(judge({ reason: "error" })).toEqual([]);
		began += 3500;
		ask("u", "a2", "text", 0);
		const elsewhere = { seat: "p1/0" };
		expect(judge({ turn: "u", shown: [2] }, elsewhere)).toEqual([]);
		const [rest] = journal.rests;
		if (rest) journal.rests.push({ ...rest, told: rest.told + 5000, until: rest.until + 5000 });
		expect(judge({ turn: "u", shown: [2] }, elsewhere)).toEqual([expect.stringMatching(/after it had told/)]);
		expect(judge({ turn: "u", shown: [2] }, { ...elsewhere, isSettled: () => false })).toEqual([]);
	});

	it("an error although accounts were there that would have answered", () => {
		allWork();
		ask("t", "a2", "quota");
		const [told] = judge({ reason: "error", words: "Codex quota exceeded" });
		expect(told).toMatch(/an answer was possible on a1/);
		expect(told).not.toContain("a2 (");
		expect(judge({ reason: "error" }, { touched: () => true })).toEqual([]);
	});
});

describe("events of a stream", () => {
	const message = { content: [{ type: "text", text: "[1:0][1:1]" }] } as AssistantMessage;
	const start: AssistantMessageEvent = { type: "start", partial: message };
	const begin: AssistantMessageEvent = { type: "text_start", contentIndex: 0, partial: message };
	const delta = (text: string): AssistantMessageEvent => {
		return { type: "text_delta", contentIndex: 0, delta: text, partial: message };
	};
	const done: AssistantMessageEvent = { type: "done", reason: "stop", message };
	const good = [start, begin, delta("[1:0]"), delta("[1:1]"), done];
	const watch = (events: readonly AssistantMessageEvent[], isEnded = true) => {
		const late: string[] = [];
		const watcher = createWatcher((what) => late.push(what));
		for (const event of events) watcher.push(event);
		if (isEnded) watcher.end();
		watcher.close();
		return { problems: watcher.problems, shown: watcher.shown(), late, watcher };
	};

	it("events of a stream are right if one answer comes in order and ends once", () => {
		expect(watch(good)).toMatchObject({ problems: [], shown: [1], late: [] });
	});

	it.each<[string, readonly AssistantMessageEvent[], RegExp]>([
		["a second final one", [...good, done], /after the final one/],
		["output after the final one", [...good, delta("[1:2]")], /after the final one/],
		["no final one", good.slice(0, -1), /no final event/],
		["a second start", [start, ...good], /a second start/],
		["output before the start", good.slice(1), /before the start/],
		["output of two answers", [start, begin, delta("[1:0]"), delta("[2:0]"), done], /output of 2 answers/],
		["words out of order", [start, begin, delta("[1:1]"), delta("[1:0]"), done], /out of order/],
		["a message that is not what was shown", [start, begin, delta("[1:0]"), done], /not what was shown/],
	])("events of a stream are wrong: %s", (_, events, words) => {
		expect(watch(events).problems).toContainEqual(expect.stringMatching(words));
	});

	it("events of a stream are wrong without a final event, and with one after the final event", () => {
		expect(watch(good, false).problems).toEqual(["a stream without an end"]);
		const { watcher, late } = watch(good);
		watcher.push(done);
		expect(late).toEqual([expect.stringMatching(/after the final one/)]);
	});
});

/** A connection that was reset, and an exchange that is still under way: neither has a status. */
const RESET = "resetBeforeHeaders";
const OPEN = "still under way";

describe("refresh tokens", () => {
	const never = () => Number.POSITIVE_INFINITY;
	type Sending = Partial<RecordedRequest>;
	const sent = (at: number, sender: string, { answer = "normal", ...more }: Sending = {}) => {
		const whole = { endedAt: at + 10, ...(answer !== RESET && { status: 200 }), answer, ...more };
		const body = { grant_type: "refresh_token", refresh_token: "r" };
		return aRecord({ at, sender, account: "a2", body, ...(answer !== OPEN && whole), ...more });
	};
	const twice = (first: Sending, gapMs: number, deathOf: Parameters<typeof judgeTokens>[1] = never) =>
		judgeTokens([sent(0, "p0", first), sent(gapMs, "p1")], deathOf).length;

	it.each<[string, Sending, number]>([
		["an exchange", {}, 200],
		["an exchange, a minute later", {}, 59_000],
		["a refusal for good", { status: 401, answer: "permanent:refresh_token_expired" }, 700],
		["one that is still under way", { answer: OPEN }, 70_000],
		["an error that came while the second one was under way", { status: 503, answer: "delayed", endedAt: 300 }, 200],
		["no answer, within the minute", { answer: RESET }, 30_000],
	])("refresh tokens are spent twice after %s", (_, first, gapMs) => {
		expect(twice(first, gapMs)).toBe(1);
	});

	it.each<[string, Sending, number]>([
		["an error of the server", { status: 503, answer: "serverError" }, 200],
		["an exchange that left them as they were", { answer: "withoutRefreshToken" }, 200],
		["no answer, a minute later", { answer: RESET }, 60_000],
	])("may be sent again after %s", (_, first, gapMs) => {
		expect(twice(first, gapMs)).toBe(0);
	});

	it("may be sent again a minute after their sender was killed in mid-exchange, and not before", () => {
		const deathOf = (sender: string | undefined) => (sender === "p0" ? 5 : Number.POSITIVE_INFINITY);
		const gaps = [60_000, 57_000, 56_000];
		expect(gaps.map((gapMs) => twice({ answer: OPEN }, gapMs, deathOf))).toEqual([0, 0, 1]);
	});

	it("tokens of other kinds of grants are not looked at", () => {
		const code = { body: { grant_type: "authorization_code", code: "c" } };
		const other = { body: { grant_type: "refresh_token", refresh_token: "s" } };
		expect(judgeTokens([sent(0, "p0", code), sent(1, "p0", code), sent(2, "p0", other), sent(3, "p0")], never)).toEqual(
			[],
		);
	});
});

describe("an account whose token is spent", () => {
	const never = () => Number.POSITIVE_INFINITY;
	const isRenewed = (request: Partial<RecordedRequest>, deathOf: Parameters<typeof isBeingRenewed>[2] = never) => {
		const tokens = [aRecord({ account: "a2", sender: "p0", answer: "delay", ...request })];
		return isBeingRenewed("a2", { tokens }, deathOf, began + 10_000);
	};

	it("may be without another one while its answer is under way, and until that is stored", () => {
		expect(isRenewed({})).toBe(true);
		expect(isRenewed({ endedAt: began + 9000 })).toBe(true);
	});

	it("has to have another one some time after the answer, or when its process is dead", () => {
		expect(isRenewed({ endedAt: began + 5000 })).toBe(false);
		expect(isRenewed({}, () => began + 9000)).toBe(false);
		expect(isRenewed({ account: "a3" })).toBe(false);
	});
});

describe("a sign-in that is over", () => {
	const never = () => Number.POSITIVE_INFINITY;
	const isExplained = (request: Partial<RecordedRequest>, deathOf: Parameters<typeof isLossExplained>[3] = never) => {
		journal.tokens.push(aRecord({ account: "a2", sender: "p0", endedAt: began + 10, status: 200, ...request }));
		return isLossExplained("a2", began, journal, deathOf, () => false);
	};

	it("has a cause if it was refused, or if its next token was lost on its way or with its process", () => {
		expect(isExplained({ answer: "permanent:refresh_token_expired", status: 401 })).toBe(true);
		journal.tokens.length = 0;
		expect(isExplained({ answer: "resetAfterRotation", issuedRefresh: "next" })).toBe(true);
		journal.tokens.length = 0;
		expect(isExplained({ answer: "normal", issuedRefresh: "next" }, () => began + 20)).toBe(true);
		journal.tokens.length = 0;
		ask("t", "a2", "401 revoked");
		expect(isLossExplained("a2", began, journal, never, () => false)).toBe(true);
	});

	it("has none if every answer arrived at a process that lived, or only another account was refused", () => {
		expect(isExplained({ answer: "normal", issuedRefresh: "next" })).toBe(false);
		journal.tokens.length = 0;
		expect(isExplained({ account: "a3", answer: "permanent:refresh_token_expired", status: 401 })).toBe(false);
	});
});
