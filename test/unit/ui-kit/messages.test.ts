import { describe, expect, it } from "vitest";
import type { Account } from "../../../src/core/account.ts";
import type { PoolEvent, Rotated, Switched } from "../../../src/core/events.ts";
import type { WindowLeft } from "../../../src/core/usage.ts";
import type { PlannedImport, ToolName } from "../../../src/features/import/rules.ts";
import * as messages from "../../../src/ui-kit/messages.ts";
import { aCredential, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";

/** Who serves next, with nothing in the way. */
const nextIs = (account: Account | undefined): messages.NextRequest => ({ isEnabled: true, isForeign: false, account });

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
	const atOnce = { readyAt: undefined, isGuess: false, next: nextIs(anAccount("work")), now: NOW };

	it("says that it holds for all sessions, and how it ends", () => {
		const text = messages.pinned(anAccount("work"), { ...atOnce, readyAt: NOW });
		expect(text).toContain("using work in all sessions");
		expect(text).toContain("/multicodex use auto");
		expect(text).not.toContain("cooling");
	});

	it("says when a cooling account takes over, and where that is a guess", () => {
		const later = { ...atOnce, readyAt: NOW + HOUR_MS, next: nextIs(anAccount("home")) };
		expect(messages.pinned(anAccount("work"), { ...later, isGuess: true })).toMatch(/takes over in about 1h00m \(/);
		expect(messages.pinned(anAccount("work"), later)).toMatch(
			/takes over in 1h00m \(.*\)\. The next request goes to home\. /,
		);
	});

	it("says who serves instead where that is neither the account nor another one", () => {
		const said = (next: Partial<messages.NextRequest>) =>
			messages.pinned(anAccount("work"), { ...atOnce, next: { ...atOnce.next, ...next } });
		expect(said({ isEnabled: false })).toMatch(/ pi-multicodex is off: this counts after \/multicodex on\. /);
		expect(said({ isForeign: true })).toMatch(/ pi's own API key for openai-codex serves /);
		expect(said({ account: undefined })).toMatch(/ No Codex account is ready now\. /);
		expect(said({})).not.toMatch(/next request|No Codex/);
	});

	it("ends with who serves next where the pin is taken away", () => {
		expect(messages.unpinned(nextIs(anAccount("home")))).toBe(
			"Codex: unpinned; accounts are chosen automatically. The next request goes to home.",
		);
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

	it("goes behind that the account is off", () => {
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
			/^Codex: that was work, which was already added.*another account.*private window/,
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
		messages.removeQuestion(anAccount("work"), {
			isPis: false,
			isActive: false,
			next: nextIs(anAccount("home")),
			...how,
		});

	it("says what follows, and how it is undone", () => {
		const undo = "/multicodex add --undo puts it back.";
		expect(ask({})).toEqual({ heading: "Remove work?", text: undo, dialogText: undo, act: "Remove", keep: "Keep" });
		expect(ask({ isActive: true }).text).toMatch(/^The next request goes to home\. /);
		expect(ask({ next: nextIs(undefined) }).text).toMatch(/^No other account is ready\. /);
	});

	it("names the one act that it is about: pi's own login leaves with pi's sign-in, or stays", () => {
		const { text, act, keep } = ask({ isPis: true });
		expect([act, keep]).toEqual(["Remove and sign pi out", "Keep"]);
		expect(text).toMatch(/^This is pi's own login: removing it signs pi out too\. /);
	});

	it("is answered with what has become of pi and of the pool", () => {
		const said = messages.removed(anAccount("work"), {
			next: nextIs(undefined),
			isPiSignedOut: true,
			left: 0,
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
