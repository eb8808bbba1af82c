import { describe, expect, it } from "vitest";
import type { PoolEvent, Rotated, Switched } from "../../../../src/core/events.ts";
import type { WindowLeft } from "../../../../src/core/quota.ts";
import { noticeOf } from "../../../../src/features/notices/texts.ts";
import { anAccount, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";

describe("notices", () => {
	const from = anAccount("side");
	const to = anAccount("work");
	const asked = { modelId: "gpt-5.5", sessionId: aSessionId("s") };
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
		return noticeOf({ type: "continued", first, to, remainingPercent, remainingWindow }, NOW);
	};
	const switched = (left: WindowLeft | undefined) => {
		const first: Switched = { type: "switched", from, to, cause: "policy", left, asked, grounds };
		return noticeOf({ type: "continued", first, to, remainingPercent: 90 }, NOW);
	};
	const nearItsEnd: WindowLeft = { window: "5h", percent: 8.3, resetsAt: NOW + 67 * MINUTE_MS, isStale: false };

	it("notices tell of a rotation in one line", () => {
		expect(rotated()?.level).toBe("info");
		expect(rotated()?.text).toMatch(
			/^Codex: side .* 5h limit \(resets (?:\w{3} )?\d\d:\d\d\)\. Continued on work, 73% of .*week limit left\.$/,
		);
	});

	it("notices tell of each move between pool and chain, as a warning if it costs money", () => {
		const back = { account: anId("side"), at: NOW + HOUR_MS, isGuess: true };
		const serves = (isPaid: boolean) =>
			noticeOf(
				{ type: "chain-serves", link: "a/b", isPaid, from: undefined, back: isPaid ? back : undefined, asked },
				NOW,
			);
		expect(serves(false)).toEqual({ level: "info", text: expect.stringMatching(/^Codex: .* serve\. a\/b answers\.$/) });
		expect(serves(true)).toEqual({
			level: "warning",
			text: expect.stringMatching(/^Codex: .* until about .*\d\d:\d\d\. a\/b answers, charged by the token\.$/),
		});
		expect(noticeOf({ type: "chain-left", link: "a/b", asked }, NOW)).toEqual({
			level: "info",
			text: expect.stringMatching(/^Codex: .* in place of a\/b\.$/),
		});
	});

	it.each([
		["model", undefined, /is not offered by .* not asked again in this session\.$/],
		["sign-in", undefined, /its sign-in or key.* not asked again until that changes\.$/],
		["quota", NOW + HOUR_MS, /no quota left\. .* not asked again before .*\d\d:\d\d\.$/],
	] as const)("notices tell why a model of the chain is not asked, and until when: %s", (reason, until, words) => {
		const notice = noticeOf({ type: "link-closed", link: "a/b", reason, until }, NOW);
		expect(notice).toEqual({ level: "warning", text: expect.stringMatching(/^Codex: a\/b /) });
		expect(notice?.text).toMatch(words);
	});

	it("notices tell once that a shared pool is away, why, and that nothing has to be done at once", () => {
		const text = "db.example cannot be reached.";
		expect(noticeOf({ type: "pool-away", problem: "away", text, since: NOW }, NOW)).toEqual({
			level: "warning",
			text: expect.stringMatching(/^Codex: .* pool is away\. db\.example cannot be reached\. .* keep serving/),
		});
		const revoked = { type: "pool-away", problem: "revoked", text: "Join again.", since: NOW } as const;
		expect(noticeOf(revoked, NOW)?.text).toMatch(/^Codex: .* pool cannot be used\. Join again\. /);
		const back = noticeOf({ type: "pool-back", since: NOW }, NOW);
		expect(back).toEqual({ level: "info", text: expect.stringMatching(/^Codex: .* pool is back\.$/) });
	});

	it("notices leave out what is not known", () => {
		expect(rotated({ window: undefined, readyAt: undefined, remainingPercent: undefined })?.text).toMatch(
			/^Codex: side [\w ]+ usage limit\. Continued on work\.$/,
		);
	});

	it("notices have words for every reason", () => {
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
		for (const text of texts) expect(text).toMatch(/^Codex: side \w.* Continued on work, 73% .* left\.$/);
	});

	it.each(["signed_out", "closed"] as const)("notices do not say twice that an account is lost: %s", (reason) => {
		const first: Rotated = {
			type: "rotated",
			from,
			to,
			reason,
			window: undefined,
			readyAt: undefined,
			remainingPercent: undefined,
			asked,
			grounds,
		};
		const saidAfter = (known: string) =>
			noticeOf({ type: "continued", first, to, remainingPercent: 73 }, NOW, (id) => id === known)?.text;
		expect(saidAfter(from.id)).toBe("Codex: continued on work, 73% left.");
		expect(saidAfter(to.id)).toMatch(/^Codex: side (?:was signed out|is off)\. Continued on work, 73% left\.$/);
	});

	it("notices warn of a lost sign-in, a closed account and a broken file", () => {
		expect(noticeOf({ type: "signed-out", account: from, reason: "revoked" }, NOW)).toEqual({
			level: "warning",
			text: expect.stringMatching(/ side was signed out: .* \/multicodex login side$/),
		});
		expect(noticeOf({ type: "closed", account: from, reason: "account_deactivated" }, NOW)).toEqual({
			level: "warning",
			text: expect.stringMatching(/ side was deactivated by OpenAI/),
		});
		const reason = "its workspace is disabled";
		expect(noticeOf({ type: "closed", account: from, reason }, NOW)?.text).toMatch(/ side is off: its workspace /);
		expect(noticeOf({ type: "warning", text: "x.json is broken." }, NOW)).toEqual({
			level: "warning",
			text: "Codex: x.json is broken.",
		});
	});

	it("notices tell of a switch by the policy, and what was left of the account before", () => {
		expect(switched(nearItsEnd)).toEqual({
			level: "info",
			text: expect.stringMatching(/^Codex: now on work; side has 8% .* 5h limit left\.$/),
		});
		expect(switched({ ...nearItsEnd, isStale: true })?.text).toContain("side has ~8%");
		expect(switched(undefined)?.text).toBe("Codex: now on work.");
	});

	it("notices warn of the last account", () => {
		const lastOne = (left: WindowLeft) => noticeOf({ type: "last-one", account: to, left, threshold: 25 }, NOW);
		expect(lastOne({ ...nearItsEnd, percent: 9 })).toEqual({
			level: "warning",
			text: expect.stringMatching(/^work is the last .*: 9% .* 5h limit left, resets in 1h07m\.$/),
		});
		expect(lastOne({ ...nearItsEnd, resetsAt: undefined })?.text).toMatch(/8% .* left\.$/);
	});

	it("notices warn before the pool is out, with the interval and the first reset", () => {
		const event = {
			type: "pool-low",
			dryAt: NOW + 3 * HOUR_MS,
			from: NOW + 2 * HOUR_MS,
			to: NOW + 5 * HOUR_MS,
		} as const;
		const text = noticeOf({ ...event, first: { account: to, at: NOW + HOUR_MS } }, NOW)?.text;
		expect(text).toMatch(
			/^Codex: the pool .* about 3h00m \(.*\d\d:\d\d to .*\d\d:\d\d\); first reset .*\d\d:\d\d on work\.$/,
		);
		expect(noticeOf({ ...event, first: undefined }, NOW)?.text).toMatch(/to .*\d\d:\d\d\)\.$/);
	});

	it("notices tell of a session that continues with Luna Reserve", () => {
		const event = { type: "on-reserve-model", account: to, model: "gpt-6-luna", asked } as const;
		expect(noticeOf({ ...event, leftPercent: 40.4 }, NOW)).toEqual({
			level: "warning",
			text: expect.stringMatching(/^Codex: .* Luna Reserve \(gpt-6-luna\) of work, 40% left\.$/),
		});
		expect(noticeOf({ ...event, leftPercent: undefined }, NOW)?.text).toMatch(/\(gpt-6-luna\) of work\.$/);
	});

	it.each([
		["usage_limit", /^Codex: Luna Reserve of work .* until (\w+ )?\d\d:\d\d\.$/],
		["model_not_supported", /^Codex: work may not use Luna Reserve\. .* before .+\.$/],
		["not_included", /^Codex: work may not use/],
		["rate_limit", undefined],
	] as const)("notices tell that Luna Reserve was refused only if it was: %s", (reason, words) => {
		const scope = "limit:base_model_inference";
		const event = { type: "cooling", account: to, scope, reason, until: NOW + HOUR_MS, cause: "refusal" } as const;
		const text = noticeOf({ ...event, isOfReserveModel: true }, NOW)?.text;
		if (words) expect(text).toMatch(words);
		else expect(text).toBeUndefined();
		expect(noticeOf({ ...event, isOfReserveModel: true, cause: "elsewhere" }, NOW)).toBeUndefined();
		expect(noticeOf(event, NOW)).toBeUndefined();
	});

	it("notices are silent if the footer is enough", () => {
		const quiet: PoolEvent[] = [
			{ type: "chosen", account: to, asked, grounds },
			{ type: "recovered", account: from, scope: "account", cause: "time" },
			{ type: "changed" },
			{ type: "served", account: anId("a"), hasMoved: true, hasToldUsage: true },
			{ type: "waiting", request: 1, until: NOW, forRoom: false },
		];
		expect(quiet.map((event) => noticeOf(event, NOW))).toEqual(quiet.map(() => undefined));
	});
});

describe("a session that a cap or an account set has moved", () => {
	const change = (reason: "capped" | "not_in_set", window?: string) => {
		const grounds = { decidedBy: undefined, terms: [] };
		const asked = { modelId: "m", sessionId: aSessionId("s") };
		const [from, to] = [anAccount("work"), anAccount("home")];
		const first = {
			type: "rotated",
			from,
			to,
			reason,
			window,
			readyAt: undefined,
			remainingPercent: 73,
			asked,
			grounds,
		} as const;
		return noticeOf({ type: "continued", first, to, remainingPercent: 73 }, NOW)?.text;
	};

	it("has one line that says why", () => {
		expect(change("capped", "7d")).toMatch(/^Codex: work .* week cap\. Continued on home, 73% left\.$/);
		expect(change("not_in_set")).toMatch(/^Codex: work .* account set\. Continued on home, 73% left\.$/);
	});
});
