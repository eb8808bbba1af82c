import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { activeCooldowns, type Cooldown, mergeCooldown } from "../../../../src/core/cooldown.ts";
import { isAlike, mergeSince, mergeStatus } from "../../../../src/core/pool/merge-status.ts";
import { refilled } from "../../../../src/core/pool/merge-usage.ts";
import { marking } from "../../../../src/core/pool/status-marks.ts";
import type { AccountStatus } from "../../../../src/core/ports.ts";
import { aCooldown, aSnapshot, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { runs } from "../../../support/tiers.ts";

const NOTHING: AccountStatus = { cooldowns: [], strikes: 0 };

const aTime = fc.nat({ max: 40 }).map((minutes) => NOW - minutes * MINUTE_MS);
const aScopeOfTime = fc.constantFrom("account" as const, "limit:spark" as const, "model:gpt-5.5" as const);
/** A refusal that came later never ends sooner, so that it does not matter which of two was heard of first. */
const aRefusal = fc
	.record({ scope: aScopeOfTime, after: fc.nat({ max: 60 }), model: fc.constantFrom("a", "b", "c") })
	.map(({ scope, after, model }) =>
		aCooldown({
			scope,
			setAt: NOW - HOUR_MS + after * MINUTE_MS,
			until: NOW + after * MINUTE_MS,
			models: [model],
			reason: after % 2 === 0 ? "usage_limit" : "rate_limit",
		}),
	);
const anEnd = fc.record({ scope: aScopeOfTime, setAt: aTime, until: fc.constant(NOW + HOUR_MS) });
const aText = fc.constantFrom("rate-limit", "overloaded");
const aStatus: fc.Arbitrary<AccountStatus> = fc.record({
	cooldowns: fc.array(aRefusal, { maxLength: 3 }).map(oneOfEachScope),
	strikes: fc.nat({ max: 2 }),
	usage: fc.option(
		fc.record({ at: aTime, percent: fc.constantFrom(10, 20) }).map(({ at, percent }) => {
			return aSnapshot({ capturedAt: at, windows: [{ usedPercent: percent, windowMinutes: 300 }] });
		}),
		{ nil: undefined },
	),
	usageAskedAt: fc.option(aTime, { nil: undefined }),
	trialAt: fc.option(aTime, { nil: undefined }),
	lastError: fc.option(fc.record({ text: aText, at: aTime }), { nil: undefined }),
	doubtedUntil: fc.option(aTime, { nil: undefined }),
	refusedToken: fc.constantFrom(undefined, "one", "two"),
	spent: fc.option(fc.array(fc.record({ tokenHash: fc.constantFrom("x", "y", "z"), reason: aText })), {
		nil: undefined,
	}),
	redemption: fc.option(
		fc.record({ creditId: fc.constantFrom("c1", "c2"), key: fc.constantFrom("k1", "k2"), at: aTime }),
		{ nil: undefined },
	),
	marks: fc.record({
		ended: fc.array(anEnd, { maxLength: 2 }),
		changedAt: fc.record(
			{ strikes: aTime, lastError: aTime, doubtedUntil: aTime, refusedToken: aTime, redemption: aTime, usage: aTime },
			{ requiredKeys: [] },
		),
	}),
});

function oneOfEachScope(cooldowns: readonly Cooldown[]): readonly Cooldown[] {
	return cooldowns.filter(({ scope }, at) => cooldowns.findIndex((each) => each.scope === scope) === at);
}

const marked = (before: AccountStatus, after: AccountStatus, now: number) => marking(() => after, now)(before);
const merged = (...statuses: readonly AccountStatus[]) =>
	statuses.reduce((one, other) => mergeStatus(one, other, NOW), statuses[0] ?? NOTHING);

describe("what two machines know of an account", () => {
	it("what two machines know of an account is the same whichever of them joins it", () => {
		fc.assert(
			fc.property(aStatus, aStatus, (a, b) => {
				expect(merged(a, b)).toEqual(merged(b, a));
			}),
			runs(30),
		);
	});

	it("what two machines know of an account is the same in whichever order three of them hear of each other", () => {
		fc.assert(
			fc.property(aStatus, aStatus, aStatus, (a, b, c) => {
				expect(merged(merged(a, b), c)).toEqual(merged(a, merged(b, c)));
			}),
			runs(30),
		);
	});

	it("does not change when it is joined once more", () => {
		fc.assert(
			fc.property(aStatus, aStatus, (a, b) => {
				const both = merged(a, b);
				expect(merged(both, both)).toEqual(both);
				expect(merged(both, a)).toEqual(both);
				expect(merged(b, both)).toEqual(both);
			}),
			runs(30),
		);
	});

	it("never ends a cooldown sooner than either of them knows, unless a mark has ended it", () => {
		fc.assert(
			fc.property(aStatus, aStatus, (a, b) => {
				const { cooldowns, marks } = merged(a, b);
				for (const each of activeCooldowns([...a.cooldowns, ...b.cooldowns], NOW)) {
					const isOver = marks?.ended?.some(({ scope, setAt }) => scope === each.scope && each.setAt <= setAt);
					const kept = cooldowns.find(({ scope }) => scope === each.scope);
					if (!isOver) expect(kept?.until).toBeGreaterThanOrEqual(each.until);
				}
			}),
			runs(30),
		);
	});

	it("keeps the newer usage, and of one snapshot what was learnt of it since", () => {
		const older = { ...NOTHING, usage: aSnapshot({ capturedAt: NOW - MINUTE_MS }) };
		const newer = { ...NOTHING, usage: aSnapshot({ capturedAt: NOW, plan: "pro" }) };
		expect(merged(newer, older).usage?.plan).toBe("pro");
		const corrected = marked(newer, { ...newer, usage: { ...newer.usage, plan: undefined } }, NOW);
		expect(merged(newer, corrected).usage?.plan).toBeUndefined();
		expect(merged(corrected, newer).usage?.plan).toBeUndefined();
	});

	it("has all spent tokens of both", () => {
		const one = { ...NOTHING, spent: [{ tokenHash: "b", reason: "exchanged" }] };
		const other = { ...NOTHING, spent: [{ tokenHash: "a", reason: "invalid_grant" }] };
		expect(merged(one, other).spent?.map(({ tokenHash }) => tokenHash)).toEqual(["a", "b"]);
	});

	it("leaves the exchange to the machine that has begun it", () => {
		const one = { ...NOTHING, exchange: { tokenHash: "a", at: NOW } };
		expect(merged(one, NOTHING)).not.toHaveProperty("exchange");
	});
});

describe("a cooldown that one machine has ended", () => {
	const cooling = { ...NOTHING, cooldowns: [aCooldown({ setAt: NOW - HOUR_MS, until: NOW + HOUR_MS })] };

	it.each([
		["by hand", (status: AccountStatus) => ({ ...status, cooldowns: [] })],
		["by a reset credit", (status: AccountStatus) => refilled(status, NOW)],
	])("is over for the others: %s", (_how, end) => {
		const ended = marked(cooling, end(cooling), NOW);
		expect(merged(ended, cooling).cooldowns).toEqual([]);
		expect(merged(cooling, ended).cooldowns).toEqual([]);
	});

	it("ends as soon as usage says, if that corrects its end", () => {
		const sooner = marked(
			cooling,
			{ ...cooling, cooldowns: [aCooldown({ setAt: NOW - HOUR_MS, until: NOW + 5 })] },
			NOW,
		);
		expect(merged(cooling, sooner).cooldowns).toEqual([expect.objectContaining({ until: NOW + 5 })]);
	});

	it("does not end what another machine was refused since", () => {
		const ended = marked(cooling, { ...cooling, cooldowns: [] }, NOW);
		const again = { ...NOTHING, cooldowns: [aCooldown({ setAt: NOW + MINUTE_MS, until: NOW + 2 * HOUR_MS })] };
		expect(merged(ended, again).cooldowns).toHaveLength(1);
	});

	it("stays ended if another machine has met the same refusal within a second", () => {
		const ended = marked(cooling, { ...cooling, cooldowns: [] }, NOW);
		const same = { ...NOTHING, cooldowns: [aCooldown({ setAt: NOW - HOUR_MS + 1000, until: NOW + HOUR_MS })] };
		expect(merged(ended, same).cooldowns).toEqual([]);
		expect(merged(same, ended).cooldowns).toEqual([]);
	});

	it("does not end what this machine is refused since, although its clock was set back", () => {
		const ended = marked(cooling, { ...cooling, cooldowns: [] }, NOW);
		const early = NOW - 3 * HOUR_MS;
		const next = aCooldown({ setAt: early, until: NOW + HOUR_MS });
		const again = marked(ended, { ...ended, cooldowns: mergeCooldown(ended.cooldowns, next, NOW) }, early);
		expect(merged(ended, again).cooldowns).toEqual([expect.objectContaining({ until: NOW + HOUR_MS })]);
	});

	it("leaves no mark once it would be over by itself", () => {
		const ended = marked(cooling, { ...cooling, cooldowns: [] }, NOW);
		expect(ended.marks?.ended).toHaveLength(1);
		expect(mergeStatus(ended, NOTHING, NOW + 2 * HOUR_MS).marks?.ended).toEqual([]);
	});
});

describe("a member without a time of its own", () => {
	it("is as the machine left it that has changed it last, even if it has cleared it", () => {
		const doubted = marked(NOTHING, { ...NOTHING, doubtedUntil: NOW + MINUTE_MS, strikes: 2 }, NOW);
		const served = marked(doubted, { ...doubted, doubtedUntil: undefined, strikes: 0 }, NOW + 1);
		expect(merged(served, doubted)).toMatchObject({ doubtedUntil: undefined, strikes: 0 });
		expect(merged(doubted, served)).toMatchObject({ doubtedUntil: undefined, strikes: 0 });
	});

	it("goes on being written last on a machine whose clock was set back", () => {
		const one = marked(NOTHING, { ...NOTHING, strikes: 1 }, NOW);
		const two = marked(one, { ...one, strikes: 2 }, NOW - HOUR_MS);
		expect(merged(one, two).strikes).toBe(2);
	});

	it("has no mark if a change has left it as it was", () => {
		const { marks } = marked(NOTHING, { ...NOTHING, lastUsedAt: NOW }, NOW);
		expect(marks).toEqual({ ended: [], changedAt: {} });
	});
});

describe("a change that is made again, as a file wants it", () => {
	const strike = marking((status) => ({ ...status, strikes: status.strikes + 1 }), NOW);
	const free = marking((status) => ({ ...status, cooldowns: [] }), NOW);
	const cooling = { ...NOTHING, cooldowns: [aCooldown({ setAt: NOW - 1 })] };

	it("is made once to a status that has it already", () => {
		const once = strike(NOTHING);
		expect(strike(once)).toEqual(once);
		const freed = free(cooling);
		expect(free(freed)).toEqual(freed);
	});

	it("leaves what was learnt since it was made", () => {
		const [struck, freed] = [strike(NOTHING), free(cooling)];
		const served = marking((status) => ({ ...status, strikes: 0 }), NOW + 1)(struck);
		expect(strike(served)).toEqual(served);
		const learnt = { ...freed, cooldowns: [aCooldown({ setAt: NOW + MINUTE_MS })] };
		expect(free(learnt)).toEqual(learnt);
	});

	it("is made to a status of another process that does not have it", () => {
		strike(NOTHING);
		expect(strike({ ...NOTHING, lastUsedAt: NOW })).toMatchObject({ strikes: 1, lastUsedAt: NOW });
	});
});

describe("what two processes have changed in one file", () => {
	const base: AccountStatus = { ...NOTHING, cooldowns: [aCooldown()], strikes: 1 };

	it("is carried over member by member, each as the one left it that has changed it", () => {
		fc.assert(
			fc.property(aStatus, aStatus, (mine, theirs) => {
				expect(mergeSince(base, base, theirs, NOW)).toEqual(theirs);
				expect(isAlike(mergeSince(base, mine, base, NOW), { ...base, ...mine })).toBe(true);
			}),
			runs(30),
		);
	});

	it("keeps a cooldown that one of them has ended ended, and the one that the other has learnt", () => {
		const learnt = aCooldown({ scope: "model:b" });
		const found = mergeSince(base, { ...base, cooldowns: [] }, { ...base, cooldowns: [aCooldown(), learnt] }, NOW);
		expect(found.cooldowns.map(({ scope }) => scope)).toEqual(["model:b"]);
	});

	it("has no marks if no machine shares the account", () => {
		const mine = { ...base, cooldowns: [], strikes: 0 };
		expect(mergeSince(base, mine, { ...base, cooldowns: [] }, NOW)).not.toHaveProperty("marks");
	});

	it("leaves notes to the process that has written them, and keeps what nothing here knows", () => {
		const [ours, theirs] = ["a", "b"].map((tokenHash) => ({ ...base, exchange: { tokenHash, at: NOW }, later: 1 }));
		const found = mergeSince(base, { ...base, ...ours }, { ...base, ...theirs }, NOW);
		expect(found).toMatchObject({ exchange: { tokenHash: "b" }, later: 1 });
	});

	it("has the spent tokens of both: one that is forgotten would be sent again", () => {
		const [ours, theirs] = ["a", "b"].map((tokenHash) => ({ ...base, spent: [{ tokenHash, reason: "exchanged" }] }));
		const { spent } = mergeSince(base, { ...base, ...ours }, { ...base, ...theirs }, NOW);
		expect(spent?.map(({ tokenHash }) => tokenHash).sort()).toEqual(["a", "b"]);
	});

	it("has one whole snapshot, and not parts of two", () => {
		const mine = { ...base, usage: aSnapshot({ capturedAt: NOW, plan: "pro" }) };
		const theirs = { ...base, usage: aSnapshot({ capturedAt: NOW + 1, limitReached: true }) };
		expect(mergeSince(base, mine, theirs, NOW).usage).toEqual(theirs.usage);
		expect(mergeSince(base, theirs, mine, NOW).usage).toEqual(theirs.usage);
	});
});
