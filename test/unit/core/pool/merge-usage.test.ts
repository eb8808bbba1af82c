import { describe, expect, it } from "vitest";
import { mergeUsage } from "../../../../src/core/pool/merge-usage.ts";
import type { AccountStatus } from "../../../../src/core/ports.ts";
import { reserveModelOf } from "../../../../src/core/quota.ts";
import type { ReserveModel, UsageSnapshot } from "../../../../src/core/usage.ts";
import { aCooldown, aSnapshot, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";

const RESERVE: ReserveModel = {
	limitId: "base_model_inference",
	wireModel: "gpt-reserve",
	visibleModel: "gpt-6-luna",
	windows: [
		{ usedPercent: 40, windowMinutes: 10_080, resetsAt: NOW + DAY_MS },
		{ usedPercent: 10, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
	],
};
const FUNDED = { hasCredits: true, unlimited: false, balance: "20" };

const ofEndpoint = (overrides: Partial<UsageSnapshot> = {}) => aSnapshot({ source: "api", ...overrides });
const merged = (first: UsageSnapshot, ...others: readonly UsageSnapshot[]) => {
	const begin: AccountStatus = { cooldowns: [], strikes: 0 };
	return [first, ...others].reduce((status, usage) => mergeUsage(status, usage, NOW), begin);
};

describe("what is known of the reserve model", () => {
	const known = ofEndpoint({ askedForReserve: true, reserveModel: RESERVE });

	it("is kept by headers, and by an answer that was not asked for it", () => {
		expect(merged(known, aSnapshot()).usage?.reserveModel).toEqual(RESERVE);
		expect(merged(known, ofEndpoint()).usage?.reserveModel).toEqual(RESERVE);
	});

	it("ends with an answer that was asked for it and has none", () => {
		expect(merged(known, ofEndpoint({ askedForReserve: true })).usage?.reserveModel).toBeUndefined();
	});

	it("has the newer windows of headers beside those that they leave out", () => {
		const week = { usedPercent: 55, windowMinutes: 10_080, resetsAt: NOW + DAY_MS };
		const told = aSnapshot({ reserveModel: { ...RESERVE, visibleModel: "", windows: [week] } });
		expect(merged(known, told).usage?.reserveModel).toEqual({ ...RESERVE, windows: [week, RESERVE.windows[1]] });
	});

	it("begins with no headers that do not say which model it stands for", () => {
		const told = aSnapshot({ reserveModel: { ...RESERVE, visibleModel: "" } });
		expect(merged(told).usage?.reserveModel).toBeUndefined();
		expect(merged(aSnapshot({ reserveModel: RESERVE })).usage?.reserveModel).toEqual(RESERVE);
	});

	it("keeps the model that it stands for if a later answer leaves that out", () => {
		const nameless = ofEndpoint({ askedForReserve: true, reserveModel: { ...RESERVE, visibleModel: "", windows: [] } });
		expect(reserveModelOf(merged(known, nameless).usage)).toEqual({ ...RESERVE, windows: [] });
	});

	it("is used up by the server's word until newer windows arrive", () => {
		const reached = { ...RESERVE, isReached: true };
		const status = merged(ofEndpoint({ askedForReserve: true, reserveModel: reached }), aSnapshot());
		expect(status.usage?.reserveModel?.isReached).toBe(true);
		expect(
			mergeUsage(status, aSnapshot({ reserveModel: RESERVE }), NOW).usage?.reserveModel?.isReached,
		).toBeUndefined();
	});

	it("is stored without the note that it was asked for", () => {
		expect(merged(known).usage).not.toHaveProperty("askedForReserve");
	});
});

describe("figures that come late", () => {
	it("late figures change nothing if newer ones are known", () => {
		const newer = ofEndpoint({ plan: "pro", windows: [{ usedPercent: 60, windowMinutes: 300 }] });
		const status = merged(newer);
		expect(mergeUsage(status, ofEndpoint({ capturedAt: NOW - 1, plan: "plus" }), NOW)).toBe(status);
		expect(mergeUsage(status, aSnapshot({ capturedAt: NOW, plan: "plus" }), NOW).usage?.plan).toBe("plus");
	});
});

describe("limits of single models", () => {
	it("limits of single models are fifty at most, the newest of them, however many headers name", () => {
		const limitsFrom = (first: number) => {
			const ids = Array.from({ length: 40 }, (_, index) => `limit_${first + index}`);
			return Object.fromEntries(ids.map((id) => [id, { windows: [] }]));
		};
		const { usage } = merged(aSnapshot({ limits: limitsFrom(0) }), aSnapshot({ limits: limitsFrom(40) }));
		expect(Object.keys(usage?.limits ?? {})).toHaveLength(50);
		expect(usage?.limits).toMatchObject(limitsFrom(40));
	});
});

describe("a refusal without a reset, of a model that has a limit of its own", () => {
	const free = { usedPercent: 20, windowMinutes: 10_080, resetsAt: NOW + 5 * DAY_MS };
	const spent = { usedPercent: 100, windowMinutes: 10_080, resetsAt: NOW + 3 * DAY_MS };
	const limits = { codex_bengalfox: { name: "GPT-5.3-Codex-Spark", windows: [spent] } };
	const cooldownsFor = (models: readonly string[], general = free, sinceMs = 1000) => {
		const cooldown = aCooldown({ models, setAt: NOW - sinceMs, until: free.resetsAt });
		return mergeUsage({ cooldowns: [cooldown], strikes: 0 }, ofEndpoint({ windows: [general], limits }), NOW).cooldowns;
	};
	const ofLimit = { scope: "limit:codex_bengalfox", until: spent.resetsAt, models: ["gpt-5.3-codex-spark"] };

	it("a model's own limit rests alone, until its reset, whenever the endpoint is asked after the refusal", () => {
		for (const sinceMs of [1000, 90_000]) {
			expect(cooldownsFor(["gpt-5.3-codex-spark"], free, sinceMs)).toMatchObject([ofLimit]);
		}
	});

	it.each([
		["another model was refused", ["gpt-5.5"], free],
		["another model was refused as well", ["gpt-5.3-codex-spark", "gpt-5.5"], free],
		["the general limit is spent too", ["gpt-5.3-codex-spark"], { ...free, usedPercent: 97 }],
	])("a model's own limit does not rest in place of the account if %s", (_when, models, general) => {
		expect(cooldownsFor(models, general)).toMatchObject([{ scope: "account", until: free.resetsAt }]);
	});
});

describe("what only the endpoint reports", () => {
	it("is kept by headers: reset credits, and a limit on spending credits that is reached", () => {
		const credits = { ...FUNDED, hasCredits: false, overageReached: true };
		const { usage } = merged(ofEndpoint({ resetCredits: 2, credits }), aSnapshot({ credits: FUNDED }));
		expect(usage).toMatchObject({ resetCredits: 2, credits: { hasCredits: false, overageReached: true } });
	});

	it("ends with an answer without it", () => {
		const credits = { ...FUNDED, hasCredits: false, overageReached: true };
		const { usage } = merged(ofEndpoint({ resetCredits: 2, credits }), ofEndpoint({ credits: FUNDED }));
		expect([usage?.resetCredits, usage?.credits]).toEqual([undefined, FUNDED]);
	});
});

describe("windows that the endpoint reports as spent after a reset", () => {
	const spent = ofEndpoint({ windows: [{ usedPercent: 100, windowMinutes: 10_080, resetsAt: NOW + DAY_MS }] });
	const full = aSnapshot({ windows: [{ usedPercent: 0, windowMinutes: 10_080 }], capturedAt: NOW - 1000 });
	const mergedAfter = (sinceMs: number) => {
		const redemption = { creditId: "c", key: "k", at: NOW - sinceMs, end: "redeemed" } as const;
		return mergeUsage({ cooldowns: [], strikes: 0, usage: full, redemption }, spent, NOW);
	};

	it("windows that still look spent after a reset do not undo it within a minute, since the endpoint lags", () => {
		expect(mergedAfter(2000)).toMatchObject({ usage: full, cooldowns: [] });
	});

	it("windows that still look spent after a reset count after that", () => {
		expect(mergedAfter(120_000).cooldowns).toHaveLength(1);
	});
});

describe("a cooldown that the endpoint contradicts within a minute", () => {
	const full = ofEndpoint({ windows: [{ usedPercent: 0, windowMinutes: 10_080, resetsAt: NOW + DAY_MS }] });
	const cooldownsWith = (redemption: AccountStatus["redemption"]) => {
		const cooldowns = [aCooldown({ setAt: NOW - 5000, until: NOW + DAY_MS })];
		return mergeUsage({ cooldowns, strikes: 0, redemption }, full, NOW).cooldowns;
	};

	it("stays, since the endpoint lags behind a refusal", () => {
		expect(cooldownsWith(undefined)).toHaveLength(1);
		expect(cooldownsWith({ creditId: "c", key: "k", at: NOW - 16_000, end: "redeemed" })).toHaveLength(1);
		expect(cooldownsWith({ creditId: "c", key: "k", at: NOW - 4000, end: "no-credit" })).toHaveLength(1);
	});

	it("is over if a reset credit was redeemed since, even if that was never answered", () => {
		expect(cooldownsWith({ creditId: "c", key: "k", at: NOW - 4000 })).toEqual([]);
		expect(cooldownsWith({ creditId: "c", key: "k", at: NOW - 6000 })).toEqual([]);
	});
});

describe("windows that an answer does not tell", () => {
	const fiveHours = { usedPercent: 100, windowMinutes: 300, resetsAt: NOW + HOUR_MS };
	const week = { usedPercent: 30, windowMinutes: 10_080, resetsAt: NOW + 3 * DAY_MS };

	it("windows that could not be read are as they were, and end no cooldown", () => {
		const cooldowns = [aCooldown({ setAt: NOW - HOUR_MS, until: NOW + HOUR_MS })];
		const before: AccountStatus = { cooldowns, strikes: 0, usage: ofEndpoint({ windows: [fiveHours, week] }) };
		const partial = ofEndpoint({ windows: [{ ...week, usedPercent: 40 }], isPartial: true });
		const { usage, cooldowns: after } = mergeUsage(before, partial, NOW);
		expect(usage?.windows).toEqual([{ ...week, usedPercent: 40 }, fiveHours]);
		expect(usage).not.toHaveProperty("isPartial");
		expect(after).toHaveLength(1);
		// A window that a whole answer leaves out is there no more.
		expect(mergeUsage(before, ofEndpoint({ windows: [week] }), NOW)).toMatchObject({ cooldowns: [] });
	});

	it("a limit that the endpoint calls reached stays so in headers, until a window has more left", () => {
		const almost = { ...fiveHours, usedPercent: 99.7 };
		const reached = ofEndpoint({ windows: [almost], limitReached: true });
		expect(merged(reached, aSnapshot({ windows: [almost] })).usage?.limitReached).toBe(true);
		expect(merged(reached, aSnapshot({ windows: [] })).usage?.limitReached).toBe(true);
		expect(merged(reached, aSnapshot({ windows: [{ ...almost, usedPercent: 2 }] })).usage?.limitReached).toBe(false);
		expect(merged(reached, ofEndpoint({ windows: [almost] })).usage?.limitReached).toBe(false);
	});
});
