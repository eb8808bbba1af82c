import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EVERYWHERE } from "../../../../src/core/account-sets.ts";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import type { Failure } from "../../../../src/core/request/classify.ts";
import { endingOf } from "../../../../src/core/request/exhaustion.ts";
import { beginProgress, type Progress } from "../../../../src/core/request/request-progress.ts";
import { exhausted, setIsEmpty, setsUnreadable } from "../../../../src/core/request/turn-texts.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { planOf } from "../../plans.ts";

const free = (id: string, overrides: Partial<Candidate> = {}): Candidate => ({
	account: anAccount(id),
	cooldowns: [],
	usage: undefined,
	...overrides,
});
const cooling = (id: string, cooldown: Parameters<typeof aCooldown>[0] = {}) =>
	free(id, { cooldowns: [aCooldown(cooldown)] });
const begun = (overrides: Partial<Progress> = {}): Progress => ({
	...beginProgress({ maxRotations: 5, maxWaitMs: 0 }, undefined),
	...overrides,
});
const failure: Failure = {
	kind: "model-not-supported",
	remedy: "rotate",
	cooling: undefined,
	retryAfterMs: undefined,
	isSignInGone: false,
	isLeftToHost: false,
};
const refusal = { kind: "refused", failure, message: "The backend says no." } as const;

describe("the end of a request that no account serves", () => {
	it("counts accounts that cool, with the first return, and those that were not tried", () => {
		const all = [cooling("a", { until: NOW + MINUTE_MS, guessed: true }), cooling("b"), free("c"), free("d")];
		const progress = begun({ tried: new Set([anId("c")]), refusals: new Map([[anId("b"), 1]]) });
		const { why } = endingOf(progress, planOf(all, { tried: progress.tried }));
		expect(why).toMatchObject({ total: 4, cooling: 2, tried: 1, unavailable: 1, untried: 1, guessed: true });
		expect(why?.readyAt).toBe(NOW + MINUTE_MS);
	});

	it("counts an account as spent that refused a moment ago, though its cooldown has ended since", () => {
		const progress = begun({ tried: new Set([anId("a")]), refusals: new Map([[anId("a"), 1]]) });
		expect(endingOf(progress, planOf([free("a")], { tried: progress.tried })).why).toMatchObject({
			cooling: 1,
			tried: 1,
		});
	});

	it("calls a sign-in that was refused no quota, and leaves the last word to the backend", () => {
		const suspects = [{ ...refusal, account: anAccount("a") }];
		const progress = begun({ tried: new Set([anId("a")]), refusals: new Map([[anId("a"), 2]]), suspects });
		const { why, text } = endingOf(progress, planOf([free("a")], { tried: progress.tried }));
		expect(why).toMatchObject({ cooling: 0, refused: 1, unavailable: 1 });
		expect(text).toBe("The backend says no.");
	});

	it("is the backend's word on the model if every account has said the same", () => {
		const noModel = { scope: "model:gpt-5.5", reason: "model_not_supported" } as const;
		const progress = begun({ lastRefusal: refusal });
		expect(endingOf(progress, planOf([cooling("a", noModel), cooling("b", noModel)]))).toEqual({
			why: undefined,
			text: "The backend says no.",
		});
		const { why, text } = endingOf(progress, planOf([cooling("a", noModel), cooling("b")]));
		expect(why && exhausted(why, NOW)).toBe(text);
	});

	it("counts every account once, whatever has become of it", () => {
		const kinds = {
			free: (id: string) => free(id),
			cooling: (id: string) => cooling(id),
			resting: (id: string) => cooling(id, { reason: "unauthorized" }),
			noModel: (id: string) => cooling(id, { scope: "model:gpt-5.5", reason: "model_not_supported" }),
			off: (id: string) => free(id, { account: anAccount(id, { enabled: false }) }),
			out: (id: string) => free(id, { account: anAccount(id, { needsLogin: { reason: "revoked", at: NOW } }) }),
		};
		const names = Object.keys(kinds) as (keyof typeof kinds)[];
		const anAccountOf = fc.record({
			kind: fc.constantFrom(...names),
			isTried: fc.boolean(),
			refusals: fc.nat(2),
			isSuspect: fc.boolean(),
		});
		fc.assert(
			fc.property(fc.array(anAccountOf, { maxLength: 7 }), (rows) => {
				const all = rows.map(({ kind }, at) => kinds[kind](`a${at}`));
				const idsWhere = (is: (row: (typeof rows)[number]) => boolean) =>
					rows.flatMap((row, at) => (is(row) ? [anId(`a${at}`)] : []));
				const progress = begun({
					tried: new Set(idsWhere(({ isTried }) => isTried)),
					refusals: new Map(idsWhere(({ isTried, refusals }) => isTried && refusals > 0).map((id) => [id, 1])),
					suspects: idsWhere(({ isTried, isSuspect }) => isTried && isSuspect).map((id) => {
						return { ...refusal, account: anAccount(id) };
					}),
				});
				const { why } = endingOf(progress, planOf(all, { tried: progress.tried }));
				const off = rows.filter(({ kind }) => kind === "off").length;
				const counted = (why?.cooling ?? 0) + (why?.needsLogin ?? 0) + (why?.unavailable ?? 0) + (why?.untried ?? 0);
				expect(counted + off).toBe(rows.length);
				expect(why?.total).toBe(rows.length);
			}),
		);
	});
});

it("a return that is a guess is called one only if it is the first of all", () => {
	const guess = cooling("a", { until: NOW + 2 * HOUR_MS, guessed: true });
	expect(endingOf(begun(), planOf([guess, cooling("b")])).why?.guessed).toBeUndefined();
	expect(endingOf(begun(), planOf([guess])).why?.guessed).toBe(true);
});

describe("a request within an account set, or at caps", () => {
	const capped = (id: string) => {
		const windows = [{ usedPercent: 85, windowMinutes: 10_080, resetsAt: NOW + HOUR_MS }];
		return free(id, { floors: { "7d": 20 }, usage: aSnapshot({ windows }) });
	};

	it("counts only what the session may use", () => {
		const set = { folder: "/proj", accounts: [anId("a"), anId("b")] };
		const all = [cooling("a"), capped("b"), free("c", { outsideOf: "/proj" }), cooling("d", { until: NOW + 1 })];
		const outside = all.map((each) => (each.account.id === "d" ? { ...each, outsideOf: "/proj" } : each));
		const { why } = endingOf(begun(), planOf(outside, { set }));
		expect(why).toMatchObject({ total: 2, cooling: 1, capped: 1, untried: 0, isInSet: true, readyAt: NOW + HOUR_MS });
	});

	it("says that the sets cannot be read, and promises no command that could not end them", () => {
		const set = { folder: EVERYWHERE, accounts: [] };
		const { text } = endingOf(begun(), planOf([free("c", { outsideOf: EVERYWHERE })], { set }));
		expect(text).toBe(setsUnreadable());
		expect(text).toMatch(/settings\.json .*\/multicodex verify (?!.*\/multicodex)/);
	});

	it("says that the set is empty if none of its accounts is left", () => {
		const set = { folder: "/proj", accounts: [anId("gone")] };
		const { text } = endingOf(begun(), planOf([free("c", { outsideOf: "/proj" })], { set }));
		expect(text).toBe(setIsEmpty());
	});

	it("is counted as it was without any of both", () => {
		expect(endingOf(begun(), planOf([cooling("a")])).why).not.toHaveProperty("capped");
		expect(endingOf(begun(), planOf([cooling("a")])).why).not.toHaveProperty("isInSet");
	});
});
