import { beforeEach, describe, expect, it } from "vitest";
import type { PoolEvent } from "../../../../src/core/events.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { createChangeDetector } from "../../../../src/core/pool/change-detector.ts";
import { createPool, type Pool } from "../../../../src/core/pool/pool.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import type { UsageSnapshot } from "../../../../src/core/usage.ts";
import {
	aClock,
	aCooldown,
	anAccount,
	anAccountStore,
	aSnapshot,
	aStateStore,
	type FakeAccountStore,
	type FakeClock,
	type FakeStateStore,
	HOUR_MS,
	MINUTE_MS,
	NOW,
	settled,
} from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

let clock: FakeClock;
let accounts: FakeAccountStore;
let state: FakeStateStore;
/** The thresholds of the person. */
let warnAt: readonly number[];

/** A process, and its events without the redraws. */
interface Process {
	readonly pool: Pool;
	readonly told: PoolEvent[];
	/** As `<type> <account> <cause>`. */
	heard(): string[];
}

function aProcess(): Process {
	const settings = () => ({ ...DEFAULT_SETTINGS, notify: { ...DEFAULT_SETTINGS.notify, warnAt } });
	const pool = createPool({ accounts, state, clock, settings });
	const told: PoolEvent[] = [];
	pool.subscribe((event) => event.type !== "changed" && told.push(event));
	const heard = () =>
		told.map((event) =>
			"cause" in event && "account" in event ? `${event.type} ${event.account.id} ${event.cause}` : event.type,
		);
	return { pool, told, heard };
}

const limit = (overrides: Partial<Parameters<Pool["cool"]>[1]> = {}) =>
	({
		covers: "account",
		scope: "account",
		reason: "usage_limit",
		until: NOW + HOUR_MS,
		guessed: false,
		...overrides,
	}) as const;
const used = (percent: number, overrides: Partial<UsageSnapshot> = {}) =>
	aSnapshot({
		capturedAt: clock.at,
		source: "api",
		windows: [{ usedPercent: percent, windowMinutes: 300, resetsAt: NOW + 2 * HOUR_MS }],
		...overrides,
	});

let ours: Process;
let theirs: Process;
beforeEach(() => {
	clock = aClock();
	accounts = anAccountStore(anAccount("a"), anAccount("b"), anAccount("c"));
	state = aStateStore();
	warnAt = DEFAULT_SETTINGS.notify.warnAt;
	[ours, theirs] = [aProcess(), aProcess()];
	for (const { pool } of [ours, theirs]) pool.detectChanges();
});

const account = (id: AccountId) => ours.pool.account(id) ?? anAccount(id);

describe("a cooldown", () => {
	it("is reported when it begins, and at the next look by every other process", () => {
		ours.pool.cool(account(anId("a")), limit(), "gpt-5.5");
		expect([ours.heard(), theirs.heard()]).toEqual([["cooling a refusal"], []]);
		for (const { pool } of [ours, theirs, theirs]) pool.detectChanges();
		expect([ours.heard(), theirs.heard()]).toEqual([["cooling a refusal"], ["cooling a elsewhere"]]);
		expect(ours.told[0]).toMatchObject({ scope: "account", reason: "usage_limit", until: NOW + HOUR_MS });
	});

	it("a cooldown that is over is no news if it held before the first look", () => {
		state.statusById.set(anId("a"), { cooldowns: [aCooldown()], strikes: 0 });
		const late = aProcess();
		late.pool.detectChanges();
		expect(late.heard()).toEqual([]);
	});

	it("is reported again when its end moves later, and not for a jitter", () => {
		ours.pool.cool(account(anId("a")), limit(), "gpt-5.5");
		ours.pool.cool(account(anId("a")), limit({ until: NOW + HOUR_MS + MINUTE_MS }), "gpt-5.5");
		expect(ours.heard()).toHaveLength(1);
		ours.pool.cool(account(anId("a")), limit({ until: NOW + 5 * HOUR_MS }), "gpt-5.5");
		expect(ours.heard()).toHaveLength(2);
	});

	it("is over by its time, seen at the next look and once", () => {
		ours.pool.cool(account(anId("a")), limit(), "gpt-5.5");
		clock.at = NOW + HOUR_MS + 1;
		expect(ours.heard()).toHaveLength(1);
		for (let looks = 0; looks < 3; looks += 1) ours.pool.detectChanges();
		expect(ours.heard()).toEqual(["cooling a refusal", "recovered a time"]);
	});

	it("is over by newer usage, here and elsewhere", () => {
		ours.pool.cool(account(anId("a")), limit(), "gpt-5.5");
		theirs.pool.detectChanges();
		clock.at = NOW + 5 * MINUTE_MS;
		ours.pool.noteUsage(anId("a"), used(3));
		theirs.pool.detectChanges();
		expect(ours.heard().at(-1)).toBe("recovered a usage");
		expect(theirs.heard().at(-1)).toBe("recovered a elsewhere");
	});

	it("a cooldown that is ended by hand is over", async () => {
		ours.pool.cool(account(anId("a")), limit(), "gpt-5.5");
		await ours.pool.clearCooldowns();
		expect(ours.heard()).toEqual(["cooling a refusal", "recovered a reset"]);
	});

	it("begins with usage that is used up", () => {
		ours.pool.noteUsage(anId("b"), used(100));
		expect(ours.heard()).toEqual(["cooling b usage"]);
	});

	it("a cooldown of a part of an account is one of its own", () => {
		ours.pool.cool(account(anId("a")), limit({ scope: "model:gpt-6", reason: "not_included" }), "gpt-6");
		ours.pool.cool(account(anId("a")), limit(), "gpt-6");
		expect(ours.told.map((event) => "scope" in event && event.scope)).toEqual(["model:gpt-6", "account"]);
	});

	it("a cooldown of an account that was removed is not reported", async () => {
		ours.pool.cool(account(anId("a")), limit(), "gpt-5.5");
		await accounts.remove(anId("a"));
		ours.pool.detectChanges();
		expect(ours.heard()).toEqual(["cooling a refusal"]);
	});
});

describe("a lost sign-in", () => {
	it("is reported once for any number of requests, and again after a new sign-in", async () => {
		const lose = async () => {
			await accounts.patch(anId("a"), { needsLogin: { reason: "revoked", at: clock.at } });
			ours.pool.lost("signed-out", account(anId("a")), "revoked");
		};
		await lose();
		await lose();
		ours.pool.detectChanges();
		await lose();
		expect(ours.heard()).toEqual(["signed-out"]);
		await accounts.patch(anId("a"), { needsLogin: undefined });
		ours.pool.detectChanges();
		await lose();
		expect(ours.heard()).toEqual(["signed-out", "signed-out"]);
	});

	it("a lost sign-in is not told by another process, which finds it flagged", () => {
		ours.pool.signOut(account(anId("a")), "access-a", "unauthorized");
		theirs.pool.detectChanges();
		expect([ours.heard(), theirs.heard()]).toEqual([["signed-out"], []]);
	});

	it("a sign-in that is lost because OpenAI closed the account is reported once", () => {
		ours.pool.close(account(anId("a")), "closed by OpenAI");
		ours.pool.close(account(anId("a")), "closed by OpenAI");
		expect(ours.heard()).toEqual(["closed"]);
	});
});

describe("the last account", () => {
	const lastOnesOf = ({ told }: Process) => told.filter(({ type }) => type === "last-one");
	const alone = (process: Process) => {
		for (const id of [anId("a"), anId("b")])
			process.pool.cool(account(id), limit({ until: NOW + 9 * HOUR_MS }), "gpt-5.5");
		process.pool.setActive(anId("c"));
	};
	/** Has a process hear, one after the other, how much of the window of `c` is used. */
	const hears = async (process: Process, percents: readonly number[], overrides: Partial<UsageSnapshot> = {}) => {
		for (const percent of percents) {
			process.pool.noteUsage(anId("c"), used(percent, overrides));
			await settled();
		}
	};

	it("is reported at each threshold, once a window", async () => {
		alone(ours);
		await hears(ours, [74]);
		expect(lastOnesOf(ours)).toEqual([]);
		await hears(ours, [75, 80, 91, 94, 90, 96, 99]);
		expect(lastOnesOf(ours)).toMatchObject([
			{ account: { id: "c" }, left: { window: "5h", percent: 25, resetsAt: NOW + 2 * HOUR_MS }, threshold: 25 },
			{ left: { percent: 9 }, threshold: 10 },
			{ left: { percent: 4 }, threshold: 5 },
		]);
		clock.at = NOW + 3 * HOUR_MS;
		const next = [{ usedPercent: 80, windowMinutes: 300, resetsAt: NOW + 7 * HOUR_MS }];
		await hears(ours, [80], { windows: next });
		expect(lastOnesOf(ours).slice(3)).toMatchObject([{ threshold: 25 }]);
	});

	it("is reported for the lowest of several thresholds passed at once, and not for the others after it", async () => {
		alone(ours);
		await hears(ours, [92, 88, 80]);
		expect(lastOnesOf(ours)).toMatchObject([{ left: { percent: 8 }, threshold: 10 }]);
	});

	it("is reported at the person's own thresholds, and at none if there are none", async () => {
		alone(ours);
		warnAt = [];
		await hears(ours, [76]);
		warnAt = [15];
		await hears(ours, [80, 85]);
		expect(lastOnesOf(ours)).toMatchObject([{ left: { percent: 15 }, threshold: 15 }]);
	});

	it("is reported by one of all processes, also after a restart of them, and again for the next threshold", async () => {
		alone(ours);
		theirs.pool.setActive(anId("c"));
		await Promise.all([hears(ours, [80]), hears(theirs, [80])]);
		const later = aProcess();
		later.pool.setActive(anId("c"));
		await hears(later, [82]);
		expect([ours, theirs, later].flatMap(lastOnesOf)).toHaveLength(1);
		await hears(later, [90]);
		await hears(ours, [91]);
		expect([ours, theirs, later].flatMap(lastOnesOf)).toMatchObject([{ threshold: 25 }, { threshold: 10 }]);
	});

	it("is reported once if nothing tells when its window resets", async () => {
		alone(ours);
		const windows = [{ usedPercent: 80, windowMinutes: 300 }];
		await hears(ours, [80, 81], { windows });
		clock.at = NOW + HOUR_MS;
		const later = aProcess();
		later.pool.setActive(anId("c"));
		await hears(later, [82], { windows });
		expect([ours, later].flatMap(lastOnesOf)).toHaveLength(1);
	});

	it("is not reported while another account is ready or in use, nor to a person with one account", async () => {
		ours.pool.cool(account(anId("a")), limit(), "gpt-5.5");
		ours.pool.setActive(anId("c"));
		await hears(ours, [95]);
		expect(lastOnesOf(ours)).toEqual([]);
		ours.pool.cool(account(anId("b")), limit(), "gpt-5.5");
		await hears(theirs, [96]);
		expect(theirs.heard()).not.toContain("last-one");
		await hears(ours, [96]);
		expect(lastOnesOf(ours)).toHaveLength(1);
	});

	it("is not reported while another account cools for a moment, and is reported once that one has run out", async () => {
		ours.pool.cool(account(anId("a")), limit({ until: NOW + 9 * HOUR_MS }), "gpt-5.5");
		ours.pool.cool(account(anId("b")), limit({ reason: "rate_limit", until: NOW + MINUTE_MS }), "gpt-5.5");
		ours.pool.setActive(anId("c"));
		await hears(ours, [95]);
		expect(lastOnesOf(ours)).toEqual([]);
		ours.pool.cool(account(anId("b")), limit({ until: NOW + 9 * HOUR_MS }), "gpt-5.5");
		await hears(ours, [96]);
		expect(lastOnesOf(ours)).toHaveLength(1);
	});

	it("the last account is not reported if the others were switched off by hand", async () => {
		for (const id of [anId("a"), anId("b")]) await accounts.patch(id, { enabled: false });
		ours.pool.setActive(anId("c"));
		await hears(ours, [95]);
		expect(lastOnesOf(ours)).toEqual([]);
	});
});

it("tells of a pin when it changes", async () => {
	for (const id of [anId("a"), anId("a"), undefined, undefined]) await ours.pool.pin(id);
	expect(ours.told).toEqual([
		{ type: "pinned", account: "a" },
		{ type: "pinned", account: undefined },
	]);
});

it("a look takes linear time, however many accounts rest", () => {
	const many = 400;
	let reads = 0;
	const rows = Array.from({ length: many }, (_, at) => {
		const row = anAccount(`a${at}`);
		return Object.defineProperty({ ...row }, "id", {
			get: () => {
				reads += 1;
				return row.id;
			},
		});
	});
	const resting = rows.map(({ id }) => [id, { cooldowns: [aCooldown({ until: NOW + HOUR_MS })] }]);
	const status = aStateStore(Object.fromEntries(resting)).snapshot();
	const watch = createChangeDetector({
		accounts: () => rows,
		statuses: () => status,
		thresholds: () => [25],
		claim: async () => true,
		clock: aClock(),
		emit: () => undefined,
	});
	for (let looks = 0; looks < 3; looks += 1) watch.detect();
	expect(reads).toBeLessThan(30 * many);
});
