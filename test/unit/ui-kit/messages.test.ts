import { isContextOverflow } from "@mariozechner/pi-ai";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { REDIRECTED, refusedWith } from "../../../src/core/attempt.ts";
import type { Exhaustion, PoolEvent, Rotated, Switched } from "../../../src/core/events.ts";
import type { WindowLeft } from "../../../src/core/usage.ts";
import type { PlannedImport, ToolName } from "../../../src/features/import/rules.ts";
import { unreachedWords } from "../../../src/platform/unreached.ts";
import * as messages from "../../../src/ui-kit/messages.ts";
import { aCredential, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";
import { type HostRetry, hostRetries, retries } from "../host-retry.ts";

let hosts: HostRetry[];
beforeAll(async () => {
	hosts = await hostRetries();
});

const nobody: Exhaustion = {
	total: 0,
	cooling: 0,
	notOffered: 0,
	needsLogin: 0,
	unavailable: 0,
	tried: 0,
	untried: 0,
	readyAt: undefined,
};
const exhausted = (why: Partial<Exhaustion>, now = NOW) => messages.exhausted({ ...nobody, ...why }, now);

/** Sentences that would wake a host's retry, whatever else that host forbids; a few of them, for the report. */
function awakening(sentences: Iterable<string>): string[] {
	const found: string[] = [];
	for (const sentence of new Set(sentences)) {
		for (const { host, wakes } of hosts) if (wakes.test(sentence)) found.push(`${host}: ${sentence}`);
	}
	return found.slice(0, 5);
}

function asOverflow(text: string): boolean {
	const usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, totalTokens: 0 };
	const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };
	return isContextOverflow(
		{
			role: "assistant",
			content: [],
			api: "openai-codex-responses",
			provider: "openai-codex",
			model: "gpt-5.5",
			usage: { ...usage, cost },
			stopReason: "error",
			errorMessage: text,
			timestamp: NOW,
		},
		272_000,
	);
}

describe("the retry patterns of the hosts", () => {
	it("are those of every host, and wake on what they should", () => {
		expect(hosts.map(({ host }) => host)).toEqual(["0.73.1", "0.87.1", "1.5.2", "1.6.0"]);
		for (const host of hosts) {
			for (const text of ["error 429", "500 status code", "fetch failed", "Rate limit reached", "overloaded_error"]) {
				expect([host.host, text, retries(host, text)]).toEqual([host.host, text, true]);
			}
			expect(retries(host, "Invalid image_url")).toBe(false);
		}
	});

	it("would be woken by minutes that are written out", () => {
		const naive = "Try again in ~500 min.";
		expect(awakening([naive])).toHaveLength(hosts.length);
	});
});

describe("the words that end a turn for good", () => {
	const MINUTES = 366 * 24 * 60;

	it("wake no host's retry, whatever the time until the first reset", () => {
		function* sentences() {
			for (let minutes = 0; minutes <= MINUTES; minutes += 1) {
				const readyAt = NOW + minutes * MINUTE_MS;
				yield exhausted({ total: 4, cooling: 4, readyAt });
				yield exhausted({ total: 1, cooling: 1, readyAt });
			}
		}
		expect(awakening(sentences())).toEqual([]);
	});

	it("wake no host's retry at any second around a change of the words", () => {
		function* sentences() {
			for (let seconds = 0; seconds <= 7200; seconds += 1) {
				yield exhausted({ total: 4, cooling: 4, readyAt: NOW + seconds * 1000 });
			}
			for (const edge of [DAY_MS, 6 * DAY_MS, 7 * DAY_MS, 99 * DAY_MS, 100 * DAY_MS, 366 * DAY_MS]) {
				for (let ms = -2000; ms <= 2000; ms += 500) {
					yield exhausted({ total: 4, cooling: 4, readyAt: NOW + edge + ms });
				}
			}
			yield exhausted({ total: 4, cooling: 4, readyAt: NOW - HOUR_MS });
		}
		expect(awakening(sentences())).toEqual([]);
	});

	it("wake no host's retry at any minute of the year", () => {
		function* sentences() {
			for (let minutes = 0; minutes <= MINUTES; minutes += 1) {
				const at = NOW + minutes * MINUTE_MS;
				for (const ahead of [42 * MINUTE_MS, 3 * DAY_MS, 40 * DAY_MS]) {
					yield exhausted({ total: 4, cooling: 4, readyAt: at }, at - ahead);
				}
			}
		}
		expect(awakening(sentences())).toEqual([]);
	});

	it("wake no host's retry, whatever the counts", () => {
		function* sentences() {
			const readyAt = NOW + HOUR_MS;
			for (let count = 0; count <= 1200; count += 1) {
				yield messages.switchedOffMeanwhile();
				yield exhausted({ tried: count, untried: count });
				yield exhausted({ tried: 6, untried: count });
				yield exhausted({ tried: count, untried: 3 });
				yield exhausted({ total: count, cooling: count, readyAt });
				yield exhausted({ total: count + 1, cooling: count, readyAt });
				yield exhausted({ total: count, cooling: count, notOffered: count, readyAt });
				yield exhausted({ total: count + 1, cooling: 1, needsLogin: count, readyAt });
				yield exhausted({ total: count + 1, cooling: 1, unavailable: count, readyAt });
				yield exhausted({ total: count, unavailable: count });
				yield exhausted({ total: count, unavailable: count, refused: count });
				yield exhausted({ total: count + 1, cooling: 1, unavailable: count, refused: count, readyAt });
				yield exhausted({ tried: count, unavailable: count, refused: count, untried: count });
				yield exhausted({ cooling: count, notOffered: count, untried: count });
				yield exhausted({ total: count, needsLogin: count });
			}
		}
		expect(awakening(sentences())).toEqual([]);
	});

	it("wake no host's retry with any other sentence of ours", () => {
		const sentences = [
			messages.nobodySignedIn(),
			messages.signedOutInARow(),
			messages.switchedOffHere(),
			messages.switchedOffMeanwhile(),
			messages.unexpected(),
			REDIRECTED,
			...[401, 402, 403].flatMap((status) => [refusedWith(status, undefined), refusedWith(status, "brand_new")]),
		];
		expect(awakening(sentences)).toEqual([]);
		// These two are for the host to repeat.
		for (const host of hosts) {
			for (const words of [messages.continuesElsewhere(), messages.brokenOff()]) {
				expect([host.host, words, retries(host, words)]).toEqual([host.host, words, true]);
			}
		}
	});

	it("name what keeps a sign-in from being renewed, where that is known, and wake no host's retry", () => {
		const why = { kind: "certificate", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", maybeSent: false } as const;
		const text = exhausted({ total: 2, unavailable: 2, obstacle: unreachedWords(why, "the sign-in service") });
		expect(text).toMatch(/could not be renewed: the certificate of .*UNABLE_TO_VERIFY.*NODE_EXTRA_CA_CERTS/);
		expect(awakening([text])).toEqual([]);
	});

	const count = fc.integer({ min: 0, max: 1200 });
	const anExhaustion = fc.record<Exhaustion>({
		total: count,
		cooling: count,
		notOffered: count,
		needsLogin: count,
		unavailable: count,
		tried: count,
		untried: count,
		readyAt: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 366 * DAY_MS }), { nil: undefined }),
	});

	it("wake no host's retry in any combination, and are not taken for an overflow of the context", () => {
		fc.assert(
			fc.property(anExhaustion, (why) => {
				const text = exhausted(why);
				expect(awakening([text])).toEqual([]);
				expect(asOverflow(text)).toBe(false);
			}),
			{ numRuns: 3000 },
		);
	});

	it("are one sentence after the other, with nothing left open", () => {
		fc.assert(
			fc.property(anExhaustion, (why) => {
				expect(exhausted(why)).toMatch(/^[A-Z].*[.]$/);
				expect(exhausted(why)).not.toMatch(/undefined|NaN|null| {2}|\n/);
			}),
		);
	});

	it("wake no host's retry after two lost sign-ins or a defect of ours", () => {
		const sentences = [messages.signedOutInARow(), messages.unexpected(), messages.nobodySignedIn()];
		expect(awakening(sentences)).toEqual([]);
		expect(sentences.filter(asOverflow)).toEqual([]);
	});
});

describe("the words that let a host go on", () => {
	it.each([
		["continuesElsewhere", messages.continuesElsewhere()],
		["brokenOff", messages.brokenOff()],
	])("wake every host's retry: %s", (_name, text) => {
		expect(hosts.filter((host) => !retries(host, text)).map(({ host }) => host)).toEqual([]);
		expect(asOverflow(text)).toBe(false);
	});

	it("are those of the contract", () => {
		expect(messages.continuesElsewhere()).toBe(
			"The Codex usage limit was reached while answering. Another account takes over after the retry delay.",
		);
	});
});

describe("the exhausted message", () => {
	const readyAt = NOW + 42 * MINUTE_MS;

	it("says how many, when the first returns, and what can be done", () => {
		expect(exhausted({ total: 4, cooling: 4, readyAt })).toMatch(
			/^Codex quota exceeded on all 4 accounts\. First one resets in 42m \((?:\w{3} )?\d\d:\d\d\)\. \/multicodex shows all, \/model switches provider\.$/,
		);
	});

	it("speaks of one account as of one", () => {
		expect(exhausted({ total: 1, cooling: 1, readyAt })).toMatch(/^Codex quota exceeded\. It resets in 42m \(/);
	});

	it("says who else could not be used", () => {
		expect(exhausted({ total: 4, cooling: 3, needsLogin: 1, readyAt })).toMatch(
			/^Codex quota exceeded on 3 accounts\. .*\. 1 account must sign in again\. /,
		);
		expect(exhausted({ total: 4, cooling: 3, unavailable: 1, readyAt })).toContain("1 account could not be reached.");
	});

	it("names the renewal, and not quota, where those that were tried had no token", () => {
		expect(exhausted({ total: 2, cooling: 0, unavailable: 1, untried: 1, readyAt: undefined })).toBe(
			"The Codex sign-in of 1 account could not be renewed just now. Send again to go on with 1 more.",
		);
	});

	it("says how to go on where accounts are left untried", () => {
		expect(exhausted({ total: 9, cooling: 6, tried: 6, untried: 3, readyAt })).toBe(
			"Codex quota exceeded on 6 accounts in a row. Send again to go on with 3 more.",
		);
	});

	it("says of each account what is true of it", () => {
		expect(exhausted({ total: 4, cooling: 2, unavailable: 2, refused: 1, readyAt })).toMatch(
			/\. 1 account was refused\. 1 account could not be reached\. \/multicodex shows all, /,
		);
		expect(exhausted({ total: 3, unavailable: 2, refused: 2, needsLogin: 1 })).toBe(
			"2 Codex accounts were refused. 1 account must sign in again. /multicodex shows all, /model switches provider.",
		);
		expect(exhausted({ total: 9, cooling: 4, tried: 3, unavailable: 3, refused: 2, untried: 3, readyAt })).toBe(
			"Codex quota exceeded on 3 accounts in a row. 2 Codex accounts were refused. The Codex sign-in of 1 account could not be renewed just now. Send again to go on with 3 more.",
		);
		expect(exhausted({ total: 9, cooling: 6, notOffered: 6, untried: 3 })).toBe(
			"6 accounts may not use this model. Send again to go on with 3 more.",
		);
	});

	it("blames no quota where the model is not offered, the sign-in is not renewed, or nobody is signed in", () => {
		expect(exhausted({ total: 2, cooling: 2, notOffered: 2, readyAt })).toMatch(/may use this model/);
		expect(exhausted({ total: 2, unavailable: 2 })).toMatch(/sign-in of 2 accounts could not be renewed/);
		expect(exhausted({ total: 2, needsLogin: 2 })).toBe("No Codex account is signed in. Run /multicodex add.");
	});
});

describe("notices", () => {
	const from = anAccount("side");
	const to = anAccount("work");
	const asked = { modelId: "gpt-5.5", sessionId: "s" };
	const grounds = { decidedBy: undefined, terms: [] };
	const rotated = (overrides: Partial<Rotated> = {}) => {
		const first: Rotated = {
			type: "rotated",
			from,
			to: anAccount("between"),
			reason: "usage_limit",
			window: "5h",
			readyAt: NOW + HOUR_MS,
			remainingPercent: 12,
			asked,
			grounds,
			...overrides,
		};
		const { remainingPercent } = { remainingPercent: 73.4, ...overrides };
		const remainingWindow = remainingPercent === undefined ? undefined : "7d";
		return messages.noticeOf({ type: "continued", first, to, remainingPercent, remainingWindow }, NOW);
	};
	const switched = (left: WindowLeft | undefined) => {
		const first: Switched = { type: "switched", from, to, cause: "policy", left, asked, grounds };
		return messages.noticeOf({ type: "continued", first, to, remainingPercent: 90 }, NOW);
	};
	const nearItsEnd: WindowLeft = { window: "5h", percent: 8.3, resetsAt: NOW + 67 * MINUTE_MS, isStale: false };

	it("tell of a rotation in one line", () => {
		expect(rotated()?.level).toBe("info");
		expect(rotated()?.text).toMatch(
			/^Codex: side reached its 5h limit \(resets (?:\w{3} )?\d\d:\d\d\)\. Continued on work, 73% of its week limit left\.$/,
		);
	});

	it("leave out what is not known", () => {
		expect(rotated({ window: undefined, readyAt: undefined, remainingPercent: undefined })?.text).toBe(
			"Codex: side reached its usage limit. Continued on work.",
		);
		expect(rotated({ reason: "unavailable", window: undefined })?.text).toMatch(/^Codex: side cannot be used just now/);
	});

	it("have words for every reason", () => {
		const reasons = [
			"usage_limit",
			"workspace_limit",
			"rate_limit",
			"not_included",
			"model_not_supported",
			"workspace_disabled",
			"unauthorized",
			"signed_out",
			"closed",
			"unavailable",
		] as const;
		const texts = reasons.map((reason) => rotated({ reason, window: undefined })?.text ?? "");
		expect(new Set(texts).size).toBe(reasons.length);
		for (const text of texts)
			expect(text).toMatch(/^Codex: side \w.* Continued on work, 73% of its week limit left\.$/);
	});

	it("warn of a lost sign-in, a closed account and a broken file", () => {
		expect(messages.noticeOf({ type: "signed-out", account: from, reason: "revoked" }, NOW)).toMatchObject({
			level: "warning",
			text: expect.stringContaining("side was signed out"),
		});
		expect(messages.noticeOf({ type: "closed", account: from, reason: "account_deactivated" }, NOW)).toMatchObject({
			level: "warning",
			text: "Codex account side was deactivated by OpenAI and is off.",
		});
		const reason = "its workspace is disabled";
		expect(messages.noticeOf({ type: "closed", account: from, reason }, NOW)?.text).toBe(
			"Codex account side is off: its workspace is disabled.",
		);
		expect(messages.noticeOf({ type: "warning", text: "x.json is broken." }, NOW)).toEqual({
			level: "warning",
			text: "Codex: x.json is broken.",
		});
	});

	it("tell of a switch by the policy, and what was left of the account before", () => {
		expect(switched(nearItsEnd)).toEqual({
			level: "info",
			text: "Codex: now on work; side has 8% of its 5h limit left.",
		});
		expect(switched({ ...nearItsEnd, isStale: true })?.text).toBe(
			"Codex: now on work; side has ~8% of its 5h limit left.",
		);
		expect(switched(undefined)?.text).toBe("Codex: now on work.");
	});

	it("warn of the last account", () => {
		const lastOne = (left: WindowLeft) => messages.noticeOf({ type: "last-one", account: to, left }, NOW);
		expect(lastOne({ ...nearItsEnd, percent: 9 })).toEqual({
			level: "warning",
			text: "work is the last Codex account with quota: 9% of its 5h limit left, resets in 1h07m.",
		});
		expect(lastOne({ ...nearItsEnd, resetsAt: undefined })?.text).toMatch(/8% of its 5h limit left\.$/);
	});

	it("are silent where the footer is enough", () => {
		const quiet: PoolEvent[] = [
			{ type: "chosen", account: to, asked, grounds },
			{ type: "recovered", account: from, scope: "account", cause: "time" },
			{ type: "changed" },
			{ type: "served", account: "a", hasMoved: true, hasToldUsage: true },
			{ type: "waiting", until: NOW, forRoom: false },
		];
		expect(quiet.map((event) => messages.noticeOf(event, NOW))).toEqual(quiet.map(() => undefined));
	});
});

describe("the answer to a pin", () => {
	it("says that it holds for all sessions, and how it ends", () => {
		const text = messages.pinned(anAccount("work"), NOW, NOW);
		expect(text).toContain("using work in all sessions");
		expect(text).toContain("/multicodex use auto");
		expect(text).not.toContain("cooling");
	});

	it("says when a cooling account takes over, and where that is a guess", () => {
		expect(messages.pinned(anAccount("work"), NOW + HOUR_MS, NOW, true)).toMatch(/takes over in about 1h00m \(/);
		expect(messages.pinned(anAccount("work"), NOW + HOUR_MS, NOW)).toMatch(/takes over in 1h00m \(/);
	});
});

describe("why a sign-in is over", () => {
	it.each([
		["refresh_token_expired", "its sign-in has expired"],
		["refresh_token_reused", "its sign-in was used by another program"],
		["refresh_token_invalidated", "its sign-in was revoked"],
		["app_session_terminated", "its session was ended"],
		["some_new_code", "some new code"],
	])("%s: %s", (reason, words) => {
		expect(messages.whySignedOut(anAccount("work"), reason)).toBe(words);
	});

	it("may be a clash with the tool that it came from, which is named as people know it", () => {
		const from = (source: string) => messages.whySignedOut(anAccount("work", { source }), "refresh_token_reused");
		expect(from("import:codex")).toMatch(/shared with Codex CLI, which has used or ended it/);
		expect(from("import:codex-pool")).toMatch(/shared with opencode codex-pool,/);
		expect(from("import:pi-multicodex-2")).toMatch(/shared with pi-multicodex-2,/);
		expect(from("pi")).toMatch(/used by another program/);
		const imported = anAccount("work", { source: "import:codex" });
		expect(messages.whySignedOut(imported, "refresh_token_expired")).toBe("its sign-in has expired");
	});

	it("is told with what to type, in a notice and wherever the account is shown", () => {
		const account = anAccount("day job", { needsLogin: { reason: "refresh_token_expired", at: NOW } });
		expect(messages.whatNow(account)).toBe('its sign-in has expired. /multicodex login "day job"');
		const notice = messages.noticeOf({ type: "signed-out", account, reason: "refresh_token_expired" }, NOW);
		expect(notice?.text).toMatch(/day job was signed out: its sign-in has expired\. \/multicodex login "day job"$/);
	});

	it("goes behind that the account is switched off", () => {
		const account = anAccount("a", { enabled: false, needsLogin: { reason: "revoked", at: NOW } });
		expect(messages.whatNow(account)).toBe("off (by hand). /multicodex enable a");
		expect(messages.whatNow(anAccount("a"))).toBe("ready");
	});
});

describe("what is said of a sign-in", () => {
	it("names an account of a new one, and counts as people do", () => {
		expect(messages.joined(anAccount("work"), { isNew: true, isForNew: true, total: 1, now: NOW }).split("\n")).toEqual(
			[
				"Codex: added work. The pool has 1 account now.",
				"work is work@example.test (plus).",
				"/multicodex add signs in to the next one, /multicodex shows all.",
			],
		);
		const known = { isNew: false, total: 3, now: NOW };
		const nameless = anAccount("work", { email: undefined, plan: undefined });
		expect(messages.joined(nameless, { ...known, isForNew: false })).toBe("Codex: work is signed in again.");
		expect(messages.joined(anAccount("work"), { ...known, isForNew: true })).toMatch(
			/^Codex: that was work, which is here already.*another account.*private window/,
		);
	});

	it("says what is left and until when, and how to choose a model where that is to be done", () => {
		const usage = aSnapshot({
			windows: [
				{ usedPercent: 8, windowMinutes: 10080, resetsAt: NOW + 6 * DAY_MS },
				{ usedPercent: 27, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
			],
		});
		const how = {
			isNew: true,
			isForNew: true,
			total: 2,
			now: NOW,
			usage,
			modelAdvice: " /model chooses a Codex model.",
		};
		const account = anAccount("me@x.example", { email: "me@x.example" });
		const [done, about] = messages.joined(account, how).split("\n");
		expect(done).toBe("Codex: added me@x.example. The pool has 2 accounts now. /model chooses a Codex model.");
		expect(about).toMatch(
			/^me@x\.example is on the plus plan\. Left: 73% of 5h until \d\d:\d\d, 92% of the week until \d+ Nov\.$/,
		);
	});

	it("promises no end of a window that has not begun, and says nothing of limits that nobody has told", () => {
		const untouched = aSnapshot({ windows: [{ usedPercent: 0, windowMinutes: 300 }] });
		expect(messages.leftUntil(untouched, NOW)).toBe("100% of 5h");
		const notBegun = aSnapshot({ windows: [{ usedPercent: 0, windowMinutes: 300, resetsAt: NOW + 5 * HOUR_MS }] });
		expect(messages.leftUntil(notBegun, NOW)).toBe("100% of 5h");
		expect(messages.leftUntil(aSnapshot(), NOW)).toBeUndefined();
	});

	it("tells where to go with a code, and how long it is good for", () => {
		const shown = { userCode: "1234-56789A", verificationUri: "https://x.test/device", expiresInSeconds: 900 };
		expect(messages.deviceSignIn(shown)).toBe(
			"Open https://x.test/device on any device and type the code 1234-56789A there. It is good for 15m.",
		);
	});

	it("never shows a label that could move the cursor", () => {
		expect(messages.badLabel("a\x1b[2J", "has characters: U+001B")).toBe("That label has characters: U+001B.");
		expect(messages.badLabel("auto", "has a meaning of its own")).toMatch(/^"auto" has/);
		expect(messages.badLabel("fine", undefined)).toBeUndefined();
	});
});

describe("the question before an account leaves", () => {
	const ask = (how: Partial<Parameters<typeof messages.removeQuestion>[1]>) =>
		messages.removeQuestion(anAccount("work"), { isPis: false, isActive: false, next: anAccount("home"), ...how });

	it("says what follows, and how it is undone", () => {
		const undo = "/multicodex add --undo puts it back.";
		expect(ask({})).toEqual({ heading: "Remove work?", text: undo, dialogText: undo, act: "Remove", keep: "Keep" });
		expect(ask({ isActive: true }).text).toMatch(/^The next request goes to home\. /);
		expect(ask({ next: undefined }).text).toMatch(/^No other account is ready\. /);
	});

	it("names the one act that it is about: pi's own login leaves with pi's sign-in, or stays", () => {
		const { text, act, keep } = ask({ isPis: true });
		expect([act, keep]).toEqual(["Remove and sign pi out", "Keep"]);
		expect(text).toMatch(/^This is pi's own login: removing it signs pi out too\. /);
	});

	it("is answered with what has become of pi and of the pool", () => {
		const said = messages.removed(anAccount("work"), {
			next: undefined,
			isPiSignedOut: true,
			left: 0,
			isNoneReady: true,
		});
		expect(said).toBe(
			"Codex: removed work and signed pi out. No Codex account is left. /multicodex add --undo puts it back.",
		);
	});
});

describe("the first words in a home", () => {
	const found = (email: string | undefined, tool: ToolName, name?: string): PlannedImport => ({
		found: { kind: "login", tool, path: "/x", name, credential: aCredential("x"), workspaceIdHint: undefined },
		owner: { id: `${email}`, email },
		account: undefined,
		verdict: "add",
		isOwnerActive: true,
	});

	it("name what one tool keeps, as far as that has a name", () => {
		expect(messages.welcome([found("me@acme.example", "codex")])).toBe(
			"Codex CLI login me@acme.example found. /multicodex import takes it.",
		);
		expect(messages.welcome([found(undefined, "prodex", "main")])).toBe(
			"prodex login main found. /multicodex import takes it.",
		);
		expect(messages.welcome([found(undefined, "opencode")])).toBe("opencode login found. /multicodex import takes it.");
	});

	it("count what several keep, and leave out what could not be taken", () => {
		const many = [found("a@x.example", "codex"), found("b@x.example", "prodex"), found("c@x.example", "prodex")];
		expect(messages.welcome(many)).toBe("3 Codex logins found (Codex CLI, prodex). /multicodex import takes them.");
		const spent = { ...found("a@x.example", "codex"), verdict: "spent" } as const;
		expect(messages.welcome([spent])).toBe("No Codex account yet. /multicodex add signs in to one.");
	});
});
