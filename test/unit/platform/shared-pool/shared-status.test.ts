import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isAlike, mergeStatus } from "../../../../src/core/pool/merge-status.ts";
import type { AccountStatus } from "../../../../src/core/ports.ts";
import { readSharedStatus, writeSharedStatus } from "../../../../src/platform/shared-pool/shared-status.ts";
import { aCooldown, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { runs } from "../../../support/tiers.ts";

const TEN_MINUTES = 10 * MINUTE_MS;

const FULL: AccountStatus = {
	cooldowns: [aCooldown({ models: ["gpt-5.5"], except: ["spark"], guessed: true })],
	usage: aSnapshot({
		source: "api",
		plan: "pro",
		windows: [{ usedPercent: 20, windowMinutes: 300, resetsAt: NOW + HOUR_MS }],
		budgets: [{ usedPercent: 5, windowMinutes: 43_200, resetsAt: NOW + DAY_MS, isReached: false }],
		limits: { spark: { windows: [{ usedPercent: 7, windowMinutes: 300, resetsAt: NOW + HOUR_MS }] } },
		reserveModel: {
			limitId: "luna",
			wireModel: "w",
			visibleModel: "v",
			windows: [{ usedPercent: 1, windowMinutes: 300, resetsAt: NOW + HOUR_MS }],
		},
		resetCredits: 2,
	}),
	usageAskedAt: NOW - 1,
	reserveAskedAt: NOW - 2,
	usageFailures: 1,
	lastUsedAt: NOW - 3,
	lastError: { text: "rate-limit", at: NOW - 4 },
	usageError: { text: "the usage service answered 500", at: NOW - 5 },
	strikes: 2,
	spent: [{ tokenHash: "h", reason: "exchanged" }],
	refusal: { tokenHash: "h", at: NOW - 6 },
	refusedToken: "hash",
	doubtedUntil: NOW + MINUTE_MS,
	trialAt: NOW - 7,
	resetCredits: { askedAt: NOW - 8, listedAt: NOW - 8, credits: [{ id: "c", expiresAt: NOW + DAY_MS }] },
	redemption: {
		creditId: "c",
		key: "k",
		at: NOW - 9,
		holder: { pid: 7, machine: "m" },
		uptime: { machine: "m", ms: 5 },
		closedUntil: NOW + MINUTE_MS,
	},
	marks: {
		ended: [{ scope: "account", setAt: NOW - HOUR_MS, until: NOW + HOUR_MS }],
		changedAt: { strikes: NOW - 10, usage: NOW - 11 },
	},
};

/** Every number of a document that may be a time. */
function timesIn(value: unknown): readonly number[] {
	if (typeof value === "number") return value > 1e11 ? [value] : [];
	if (typeof value !== "object" || value === null) return [];
	return Object.entries(value).flatMap(([key, each]) => (key === "credits" ? [] : timesIn(each)));
}

describe("a status on its way to another machine", () => {
	it("arrives as it was, by the clock of that one", () => {
		const stored = JSON.parse(JSON.stringify(writeSharedStatus(FULL, TEN_MINUTES, undefined)));
		expect(isAlike(readSharedStatus(stored, TEN_MINUTES, NOW), FULL)).toBe(true);
		const [there, here] = [timesIn(stored), timesIn(FULL)];
		expect(there).toHaveLength(here.length);
		// Every time was moved by as much, but those of the backend.
		expect([...there].sort()).toEqual([...here].map((at) => at - TEN_MINUTES).sort());
		expect(stored.resetCredits.credits).toEqual([{ id: "c", expiresAt: NOW + DAY_MS }]);
	});

	it("takes nothing along that belongs to its machine, and no name of a person", () => {
		const local = {
			...FULL,
			exchange: { tokenHash: "secret", at: NOW },
			lastError: { text: "no seat for jane.doe@work.example, token eyJhbGciOiJub25lIn0.e30.x", at: NOW },
			marks: { ...FULL.marks, stored: { pool: "p", version: 3 } },
		};
		const text = JSON.stringify(writeSharedStatus(local, 0, undefined));
		for (const hidden of ['"exchange"', "secret", "jane.doe", "eyJ", "stored"]) expect(text).not.toContain(hidden);
		expect(text).toContain("no seat for j…@work.example");
	});

	it("keeps what a newer version has written, unless that has no end", () => {
		const newer = { later: { a: 1 }, cooldowns: "of another form" };
		expect(writeSharedStatus(FULL, 0, newer)).toMatchObject({ later: { a: 1 }, cooldowns: [expect.anything()] });
		expect(writeSharedStatus(FULL, 0, { later: "x".repeat(100_000) })).not.toHaveProperty("later");
		for (const odd of [undefined, null, "text", 7, []]) expect(() => writeSharedStatus(FULL, 0, odd)).not.toThrow();
	});
});

describe("a row that another version, or an enemy, has written", () => {
	const read = (raw: unknown) => readSharedStatus(raw, 0, NOW);

	it("never throws, and leaves a status that every machine can join and store", () => {
		const anything = fc.anything({ maxDepth: 4, withNullPrototype: true });
		const keys = fc.constantFrom(...Object.keys(FULL), "__proto__", "constructor");
		fc.assert(
			fc.property(fc.oneof(anything, fc.dictionary(keys, anything)), (raw) => {
				const status = read(raw);
				if (!status) return;
				const joined = mergeStatus(FULL, status, NOW);
				const again = readSharedStatus(writeSharedStatus(joined, 0, raw), 0, NOW);
				expect(again).toBeDefined();
			}),
			runs(60, 2000),
		);
	});

	it("loses only the parts that cannot be read", () => {
		expect(read({ ...FULL, usage: 7, strikes: "many", cooldowns: [{}, ...FULL.cooldowns] })).toMatchObject({
			cooldowns: [{ scope: "account" }],
			usage: undefined,
			strikes: 0,
			doubtedUntil: FULL.doubtedUntil,
		});
	});

	it("cannot keep an account out for longer than any reset is ahead", () => {
		const until = NOW + 400 * DAY_MS;
		expect(read({ cooldowns: [aCooldown({ until })], doubtedUntil: until })).toMatchObject({
			cooldowns: [],
			doubtedUntil: undefined,
		});
	});

	it("cannot be newer than now, so that it does not keep out what is learnt later", () => {
		const ahead = NOW + HOUR_MS;
		const status = read({
			cooldowns: [aCooldown({ setAt: ahead, until: ahead + HOUR_MS })],
			usage: aSnapshot({ capturedAt: ahead }),
			lastUsedAt: ahead,
			usageAskedAt: ahead,
			trialAt: ahead,
			lastError: { text: "x", at: ahead },
			redemption: { creditId: "c", key: "k", at: ahead },
			marks: {
				ended: [{ scope: "account", setAt: ahead, until: ahead }],
				changedAt: { strikes: ahead, lastError: NOW },
			},
		});
		expect(timesIn(status)).toEqual([NOW]);
	});

	it("has only texts that can be shown on a line, and lists that end", () => {
		const long = "x".repeat(5000);
		const status = read({
			cooldowns: [
				...Array.from({ length: 500 }, (_, at) => aCooldown({ scope: `model:m${at}` })),
				aCooldown({ scope: `model:${long}` }),
				aCooldown({ scope: "limit:\u001b[2J" }),
			],
			lastError: { text: `\u001b[2J${long}`, at: NOW },
			spent: Array.from({ length: 500 }, (_, at) => ({ tokenHash: `${at}`, reason: "r" })),
			refusedToken: long,
			strikes: 1e9,
			marks: { changedAt: Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`m${at}`, NOW])) },
		});
		expect(status?.cooldowns).toHaveLength(100);
		expect(status?.spent).toHaveLength(64);
		expect(status?.marks?.changedAt).toEqual({});
		expect(status?.refusedToken).toBeUndefined();
		expect(JSON.stringify(status)).not.toMatch(/\\u001b|x{300}/);
		expect(status?.strikes).toBe(100);
	});
});
