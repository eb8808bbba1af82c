import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import type { TokenRequest, TokenResult } from "../../../../src/core/credentials/credentials.ts";
import type { PoolEvent } from "../../../../src/core/events.ts";
import { createPool } from "../../../../src/core/pool/pool.ts";
import type { AccountStatus, ConsumeAnswer } from "../../../../src/core/ports.ts";
import { createRedeemer } from "../../../../src/core/reset-credits/redeemer.ts";
import type { ResetCredit } from "../../../../src/core/reset-credits/reset-credits.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import type { UsageSnapshot, UsageWindow } from "../../../../src/core/usage.ts";
import { openStateStore } from "../../../../src/platform/stores/state-store.ts";
import {
	aClock,
	aCooldown,
	aMachine,
	anAccount,
	anAccountStore,
	aSnapshot,
	closeFolder,
	DAY_MS,
	HOUR_MS,
	MINUTE_MS,
	NOW,
	settled,
	until,
} from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { coreOf, runs } from "../../../support/tiers.ts";

const STATE = "codex-state.json";
const CREDIT: ResetCredit = { id: "c", expiresAt: NOW + 20 * DAY_MS };
const OTHER: ResetCredit = { id: "d", expiresAt: NOW + 25 * DAY_MS };
const windows = (usedPercent: number): UsageWindow[] => [
	{ usedPercent: 10, windowMinutes: 300, resetsAt: NOW + 2 * HOUR_MS },
	{ usedPercent, windowMinutes: 10_080, resetsAt: NOW + 4 * DAY_MS },
];
const SPENT = aSnapshot({ source: "api", windows: windows(100), resetCredits: 2 });
const FULL = aSnapshot({ source: "api", windows: windows(0), resetCredits: 1 });

interface Sent {
	readonly pid: number;
	readonly key: string;
	readonly creditId: string;
	readonly access: string;
}

const scratch = scratchForEach();
let clock: ReturnType<typeof aClock>;
let machine: ReturnType<typeof aMachine>;
/** What the backend was sent, and how it answers. */
let sent: Sent[];
let answer: (call: Sent) => Promise<ConsumeAnswer>;
let usage: () => Promise<UsageSnapshot>;
let usageCalls: number;

beforeEach(async () => {
	clock = aClock();
	machine = aMachine();
	machine.ranMs = 1000;
	sent = [];
	usageCalls = 0;
	answer = async () => ({ kind: "reset" });
	usage = async () => ({ ...FULL, capturedAt: clock.now() });
	await store().update(anId("a"), () => status());
});

const store = () => openStateStore(scratch.path(STATE), () => undefined, clock.now);
const status = (overrides: Partial<AccountStatus> = {}): AccountStatus => ({
	cooldowns: [aCooldown({ until: NOW + 4 * DAY_MS }), aCooldown({ scope: "limit:spark", until: NOW + DAY_MS })],
	strikes: 0,
	usage: SPENT,
	resetCredits: { askedAt: NOW, listedAt: NOW, credits: [CREDIT, OTHER] },
	...overrides,
});
/** A process of its own, which reads and writes the same file. */
function aProcess(pid: number, rows: readonly Account[] = [anAccount("a")]) {
	const state = store();
	const events: PoolEvent[] = [];
	const accounts = anAccountStore(...rows);
	const pool = createPool({ accounts, state, clock, settings: () => DEFAULT_SETTINGS });
	pool.subscribe((event) => void events.push(event));
	const process = {
		state,
		pool,
		events,
		token: async (_id: string, { refused }: TokenRequest): Promise<TokenResult> => {
			return { kind: "ready", access: refused === undefined ? "access" : "renewed" };
		},
		baseUrl: (): string | undefined => "http://127.0.0.1:1/backend-api",
		keys: 0,
		onKey: (): void => undefined,
		redeem: (credit = CREDIT, signal?: AbortSignal) => redeemer.redeem(anAccount("a"), credit, signal),
		outcomes: () => events.flatMap((event) => (event.type === "redeemed" ? [event.outcome] : [])),
	};
	const redeemer = createRedeemer({
		pool,
		state,
		clock,
		credentials: { accessToken: (id, request) => process.token(id, request) },
		api: {
			consume: ({ access }, { key, creditId }) => {
				const call = { pid, key, creditId, access };
				sent.push(call);
				return answer(call);
			},
		},
		usageApi: {
			fetch: () => {
				usageCalls += 1;
				return usage();
			},
		},
		processes: machine.process(pid),
		baseUrl: () => process.baseUrl(),
		pause: async (ms) => {
			clock.at += ms;
			machine.ranMs = (machine.ranMs ?? 0) + ms;
			await settled();
		},
		newKey: () => {
			process.keys += 1;
			process.onKey();
			return `key-${pid}-${process.keys}`;
		},
	});
	return process;
}
const fileStatus = () => store().status(anId("a"));
const silence = () => new Promise<never>(() => undefined);

describe("a redemption", () => {
	it("ends the cooldown of quota at once, in every process, and has the usage asked for anew", async () => {
		const [one, other] = [aProcess(1), aProcess(2)];
		expect(await one.redeem()).toEqual({ kind: "redeemed" });
		expect(sent).toEqual([{ pid: 1, key: "key-1-1", creditId: "c", access: "access" }]);
		for (const { state } of [one, other]) {
			expect(state.status(anId("a")).cooldowns).toMatchObject([{ scope: "limit:spark" }]);
		}
		expect(one.state.status(anId("a")).usage).toMatchObject({ windows: FULL.windows, resetCredits: 1 });
		expect([usageCalls, one.outcomes(), other.outcomes()]).toEqual([1, ["redeemed"], []]);
		expect(one.events).toContainEqual(expect.objectContaining({ type: "recovered", scope: "account", cause: "usage" }));
		expect(fileStatus().resetCredits?.credits).toMatchObject([{ id: "d" }]);
	});

	it("has its key on the disk before the backend hears of it", async () => {
		answer = async ({ key }) => {
			expect(scratch.json(STATE)).toMatchObject({ accounts: { a: { redemption: { creditId: "c", key } } } });
			return { kind: "reset" };
		};
		expect(await aProcess(1).redeem()).toEqual({ kind: "redeemed" });
		expect(scratch.text(STATE)).not.toContain("access");
	});

	it("a redemption is not made if its key cannot be written", async () => {
		const open = closeFolder(scratch.dir);
		const outcome = await aProcess(1).redeem();
		open();
		expect(outcome).toMatchObject({ kind: "failed", reason: expect.stringContaining("nothing was sent") });
		expect(sent).toEqual([]);
		expect(fileStatus().redemption).toBeUndefined();
	});

	it("has the account refilled if usage cannot be asked for, and a backend is late that still says spent", async () => {
		usage = async () => Promise.reject(new Error("no answer"));
		const one = aProcess(1);
		expect(await one.redeem()).toEqual({ kind: "redeemed" });
		expect(one.pool.status(anId("a")).usage?.windows).toMatchObject([{ usedPercent: 0 }, { usedPercent: 0 }]);
		await store().update(anId("a"), () => status());
		let late = 2;
		usage = async () => ({ ...(late-- > 0 ? SPENT : FULL), capturedAt: clock.now() });
		expect(await aProcess(1).redeem(OTHER)).toEqual({ kind: "redeemed" });
		expect(fileStatus().cooldowns).toMatchObject([{ scope: "limit:spark" }]);
	});

	it("keeps other cooldowns: a refused sign-in is not quota", async () => {
		const refused = aCooldown({ reason: "unauthorized", until: NOW + MINUTE_MS });
		await store().update(anId("a"), () => status({ cooldowns: [refused] }));
		await aProcess(1).redeem();
		expect(fileStatus().cooldowns).toMatchObject([{ reason: "unauthorized" }]);
	});

	it("is made once by all processes that redeem at once, and every one of them gets the outcome", async () => {
		const processes = [1, 2, 3].map((pid) => aProcess(pid));
		let answered: (value: ConsumeAnswer) => void = () => undefined;
		answer = () =>
			new Promise((resolve) => {
				answered = resolve;
			});
		const outcomes = Promise.all(processes.map((process, at) => process.redeem(at === 0 ? CREDIT : OTHER)));
		await until("the call was made", () => sent.length > 0);
		for (let turn = 0; turn < 20; turn += 1) await settled();
		answered({ kind: "reset" });
		const kinds = (await outcomes).map(({ kind }) => kind).sort();
		expect([sent.length, kinds]).toEqual([1, ["already", "already", "redeemed"]]);
	});

	it("is made once if one process is asked twice", async () => {
		const one = aProcess(1);
		expect(await Promise.all([one.redeem(), one.redeem(OTHER)])).toEqual([{ kind: "redeemed" }, { kind: "already" }]);
		expect(sent).toHaveLength(1);
	});

	it("fails for all that waited if it fails, and none of them makes the call again", async () => {
		const processes = [1, 2].map((pid) => aProcess(pid));
		let answered: (value: ConsumeAnswer) => void = () => undefined;
		answer = () =>
			new Promise((resolve) => {
				answered = resolve;
			});
		const outcomes = Promise.all(processes.map((process) => process.redeem()));
		await until("the call was made", () => sent.length > 0);
		for (let turn = 0; turn < 20; turn += 1) await settled();
		answered({ kind: "unknown", reason: "it did not answer" });
		expect((await outcomes).map(({ kind }) => kind)).toEqual(["failed", "failed"]);
		expect(sent).toHaveLength(1);
	});

	it("is busy if another process's call has no answer for twenty seconds", async () => {
		answer = silence;
		void aProcess(1).redeem();
		await until("the call was made", () => sent.length > 0);
		expect(await aProcess(2).redeem()).toMatchObject({ kind: "busy" });
		expect(sent).toHaveLength(1);
	});

	it.each(coreOf([HOUR_MS, -MINUTE_MS / 2]))(
		"is busy for a minute at most, if a clock was set by %d ms",
		async (setMs) => {
			answer = silence;
			void aProcess(1).redeem();
			await until("the call was made", () => sent.length > 0);
			clock.at += setMs;
			const busy = await aProcess(2).redeem();
			const forMs = busy.kind === "busy" ? busy.until - clock.at : 0;
			expect([forMs > 0, forMs <= MINUTE_MS]).toEqual([true, true]);
		},
	);
});

describe("a redemption that was cut off", () => {
	/** A process makes the call and is killed before the answer. */
	const killedAfterYes = async (credit = CREDIT) => {
		answer = silence;
		void aProcess(1).redeem(credit);
		await until("the call was made", () => sent.length > 0);
		machine.gone.add(1);
	};

	it("is made again with the same key by the next attempt, and what was carried out counts as success", async () => {
		await killedAfterYes();
		answer = async ({ key }) => ({ kind: key === "key-1-1" ? "already_redeemed" : "reset" });
		expect(await aProcess(2).redeem()).toEqual({ kind: "already" });
		expect(sent.map(({ pid, key, creditId }) => [pid, key, creditId])).toEqual([
			[1, "key-1-1", "c"],
			[2, "key-1-1", "c"],
		]);
		expect(fileStatus().cooldowns).toMatchObject([{ scope: "limit:spark" }]);
	});

	it("comes before another credit of the account, which is kept", async () => {
		await killedAfterYes();
		answer = async () => ({ kind: "already_redeemed" });
		expect(await aProcess(2).redeem(OTHER)).toEqual({ kind: "already" });
		expect(sent.map(({ creditId }) => creditId)).toEqual(["c", "c"]);
		expect(fileStatus().resetCredits?.credits).toMatchObject([{ id: "d" }]);
	});

	it("gives way to the credit that is wanted if it helps no more", async () => {
		await killedAfterYes();
		// It was carried out, and the windows have been spent again since.
		let isReset = false;
		answer = async ({ creditId }) => {
			isReset = creditId === "d";
			return { kind: isReset ? "reset" : "already_redeemed" };
		};
		usage = async () => ({ ...(isReset ? FULL : SPENT), capturedAt: clock.now() });
		expect(await aProcess(2).redeem(OTHER)).toEqual({ kind: "redeemed" });
		expect(sent.map(({ key, creditId }) => [key, creditId])).toEqual([
			["key-1-1", "c"],
			["key-1-1", "c"],
			["key-2-2", "d"],
		]);
	});

	it("leaves no cooldown once the usage shows that it was carried out", async () => {
		clock.at += 5000;
		await killedAfterYes();
		clock.at += 5000;
		const two = aProcess(2);
		two.pool.noteUsage(anId("a"), { ...FULL, capturedAt: clock.at });
		expect(two.pool.status(anId("a")).cooldowns).toMatchObject([{ scope: "limit:spark" }]);
	});

	it("a redemption that was cut off is not made again if the windows are known to be full", async () => {
		await killedAfterYes();
		await store().update(anId("a"), (known) => ({ ...known, usage: FULL }));
		expect(await aProcess(2).redeem()).toMatchObject({ kind: "nothing-to-reset" });
		expect(sent).toHaveLength(1);
	});

	it("keeps its key if it was not answered, and if the account leaves and comes back", async () => {
		answer = async () => ({ kind: "unknown", reason: "it did not answer" });
		const one = aProcess(1);
		expect(await one.redeem()).toMatchObject({ kind: "failed", until: NOW + MINUTE_MS });
		await store().forget(anId("a"));
		await store().update(anId("a"), (known) => ({ ...status(), redemption: known.redemption }));
		answer = async () => ({ kind: "already_redeemed" });
		expect(await aProcess(2).redeem()).toEqual({ kind: "already" });
		expect(sent.map(({ key }) => key)).toEqual(["key-1-1", "key-1-1"]);
	});

	it("is taken over after a minute if nothing tells whether its process still runs", async () => {
		await killedAfterYes();
		machine.gone.clear();
		clock.at += MINUTE_MS;
		machine.ranMs = (machine.ranMs ?? 0) + MINUTE_MS;
		answer = async () => ({ kind: "already_redeemed" });
		expect(await aProcess(2).redeem()).toEqual({ kind: "already" });
	});
});

describe("a redemption that must not be made", () => {
	it.each<[string, Partial<AccountStatus>, string]>([
		["the windows are not spent", { usage: FULL }, "nothing-to-reset"],
		["the usage is not known", { usage: undefined }, "failed"],
		[
			"the windows reset within the hour",
			{
				usage: {
					...SPENT,
					windows: [
						{ ...windows(0)[0], usedPercent: 100, windowMinutes: 300, resetsAt: NOW + 30 * MINUTE_MS },
						{ usedPercent: 5, windowMinutes: 10_080 },
					],
				},
			},
			"failed",
		],
		["there is a single window", { usage: { ...SPENT, windows: windows(100).slice(1) } }, "failed"],
	])("a redemption that must not be made is refused if %s", async (_why, overrides, kind) => {
		await store().update(anId("a"), () => status(overrides));
		const one = aProcess(1);
		expect(await one.redeem()).toMatchObject({ kind });
		expect([sent, one.outcomes()]).toEqual([[], []]);
	});

	it("is refused for a credit that has expired, a pool that has seen no address yet, and a lost sign-in", async () => {
		const one = aProcess(1);
		expect(await one.redeem({ id: "c", expiresAt: NOW })).toMatchObject({ kind: "no-credit" });
		one.token = async () => ({ kind: "signed-out", account: anAccount("a"), reason: "revoked", closed: false });
		expect(await one.redeem()).toMatchObject({ kind: "failed", reason: "it is signed out" });
		one.baseUrl = () => undefined;
		expect(await one.redeem()).toMatchObject({ kind: "failed" });
		expect(sent).toEqual([]);
	});

	it("is not made after Esc, and one that was made is written down all the same", async () => {
		const one = aProcess(1);
		expect(await one.redeem(CREDIT, AbortSignal.abort())).toMatchObject({ kind: "failed", reason: "it was cancelled" });
		expect(sent).toEqual([]);
		const stop = new AbortController();
		let answered: (value: ConsumeAnswer) => void = () => undefined;
		answer = () =>
			new Promise((resolve) => {
				answered = resolve;
			});
		const outcome = one.redeem(CREDIT, stop.signal);
		await until("the call was made", () => sent.length > 0);
		stop.abort();
		expect(await outcome).toMatchObject({ kind: "failed", reason: "it was cancelled" });
		answered({ kind: "reset" });
		await until("it was written down", () => fileStatus().redemption?.end === "redeemed");
	});
});

it("a redemption that is given up while its key is written sends nothing, and leaves the account as it was", async () => {
	const stop = new AbortController();
	const one = aProcess(1);
	one.onKey = () => stop.abort();
	expect(await one.redeem(CREDIT, stop.signal)).toMatchObject({ kind: "failed", reason: "it was cancelled" });
	expect(one.state.status(anId("a")).redemption).toBeDefined();
	await until("it is over", () => sent.length > 0 || one.state.status(anId("a")).redemption === undefined);
	expect(sent).toEqual([]);
});

describe("a refusal of the backend", () => {
	it.each<[ConsumeAnswer, string, number]>([
		[{ kind: "nothing_to_reset" }, "nothing-to-reset", 15 * MINUTE_MS],
		[{ kind: "no_credit" }, "no-credit", MINUTE_MS],
		[{ kind: "refused", status: 404, reason: "it refused" }, "failed", HOUR_MS],
		[{ kind: "refused", status: 429, reason: "it asks to slow down", retryAfterMs: 5000 }, "failed", 5000],
		[{ kind: "refused", status: 429, reason: "it asks to slow down" }, "failed", 15 * MINUTE_MS],
		[{ kind: "unsent", reason: "it cannot be reached" }, "failed", MINUTE_MS],
	])("closes the account for the time of its cause: %j", async (said, kind, closedMs) => {
		answer = async () => said;
		usage = async () => ({ ...SPENT, capturedAt: clock.now() });
		const one = aProcess(1);
		expect(await one.redeem()).toMatchObject({ kind, until: NOW + closedMs });
		expect([one.outcomes(), fileStatus().redemption?.closedUntil]).toEqual([[kind], NOW + closedMs]);
		expect(fileStatus().cooldowns).toHaveLength(2);
	});

	it("a refused token is renewed once, and the call made again with the same key", async () => {
		answer = async ({ access }) =>
			access === "renewed" ? { kind: "reset" } : { kind: "refused", status: 401, reason: "no" };
		expect(await aProcess(1).redeem()).toEqual({ kind: "redeemed" });
		expect(sent.map(({ key, access }) => [key, access])).toEqual([
			["key-1-1", "access"],
			["key-1-1", "renewed"],
		]);
		await store().update(anId("a"), () => status());
		answer = async () => ({ kind: "refused", status: 401, reason: "no" });
		expect(await aProcess(1).redeem(OTHER)).toMatchObject({ kind: "failed" });
		expect(sent).toHaveLength(4);
	});

	it("takes a credit that was redeemed elsewhere off the list, and spends no other one for it", async () => {
		answer = async () => ({ kind: "already_redeemed" });
		usage = async () => ({ ...SPENT, capturedAt: clock.now() });
		expect(await aProcess(1).redeem()).toMatchObject({ kind: "no-credit", reason: "the credit was redeemed before" });
		expect(sent).toHaveLength(1);
		expect(fileStatus().resetCredits).toMatchObject({ askedAt: 0, credits: [{ id: "d" }] });
		expect(fileStatus().cooldowns).toHaveLength(2);
	});
});

describe("any course of yeses, kills and lost answers", () => {
	it("spends one credit for a yes at most, none twice, and none while the windows are full", async () => {
		const step = fc.record({
			pid: fc.integer({ min: 1, max: 3 }),
			wants: fc.constantFrom(CREDIT, OTHER),
			/** What becomes of the call: carried out or not, answered or not, and whether its process dies over it. */
			fate: fc.constantFrom("answered", "lost before", "lost after", "killed before", "killed after", "refused"),
			/** The windows are spent again before the next yes. */
			isSpentAgain: fc.boolean(),
		});
		await fc.assert(
			fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 6 }), async (steps) => {
				const backend = { spent: new Map<string, string>(), isReset: false };
				machine.gone.clear();
				clock.at = NOW;
				await store().update(anId("a"), () => status({ redemption: undefined }));
				for (const [at, { pid, wants, fate, isSpentAgain }] of steps.entries()) {
					if (isSpentAgain) backend.isReset = false;
					clock.at += MINUTE_MS;
					const reported = { ...(backend.isReset ? FULL : SPENT), capturedAt: clock.at };
					usage = async () => ({ ...(backend.isReset ? FULL : SPENT), capturedAt: clock.at });
					await store().update(anId("a"), (known) => ({ ...known, usage: reported }));
					const [spentBefore, wasReset] = [backend.spent.size, backend.isReset];
					// Every process is a new one: its id tells it from one that was killed.
					const process = aProcess(10 * at + pid);
					const carryOut = ({ key, creditId }: Sent): ConsumeAnswer => {
						if (backend.spent.has(key)) return { kind: "already_redeemed" };
						if ([...backend.spent.values()].includes(creditId)) return { kind: "no_credit" };
						if (backend.isReset) return { kind: "nothing_to_reset" };
						backend.spent.set(key, creditId);
						backend.isReset = true;
						return { kind: "reset" };
					};
					answer = async (call) => {
						if (fate === "refused") return { kind: "refused", status: 403, reason: "no" };
						const outcome = fate.endsWith("before") ? undefined : carryOut(call);
						if (fate.startsWith("killed")) return silence();
						return fate === "answered" && outcome ? outcome : { kind: "unknown", reason: "lost" };
					};
					const before = sent.length;
					const outcome = process.redeem(wants);
					if (fate.startsWith("killed")) {
						const isOver = outcome.then(() => true);
						await Promise.race([until("it ended or called", () => sent.length > before), isOver]);
						machine.gone.add(10 * at + pid);
					} else await outcome;
					// One yes spends one credit at most, and none while the windows are full.
					expect(backend.spent.size - spentBefore).toBeLessThanOrEqual(wasReset ? 0 : 1);
				}
				expect(new Set(backend.spent.values()).size).toBe(backend.spent.size);
			}),
			runs(4, 100),
		);
	});
});
