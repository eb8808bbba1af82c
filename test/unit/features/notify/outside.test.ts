import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import type { PoolEvent } from "../../../../src/core/events.ts";
import { DEFAULT_SETTINGS, type NotifySettings } from "../../../../src/core/settings.ts";
import { noticeOf } from "../../../../src/features/notices/texts.ts";
import type { HookEnd } from "../../../../src/features/notify/hook.ts";
import { createOutsideNotices, isQuiet, type OutsideNotices } from "../../../../src/features/notify/outside.ts";
import { hookFailure, poolDry, poolDryAsking } from "../../../../src/features/notify/texts.ts";
import { noticeSchema } from "../../../../src/pi/json-schemas.ts";
import { anAccount, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { createHarness, type Harness } from "../../harness.ts";

const [work, side] = [
	anAccount("work", { id: anId("3f9c0a7be21d") }),
	anAccount("side@x.test", { id: anId("a1b2c3d4e5f6") }),
];
const asked = { modelId: "gpt-5.5", sessionId: aSessionId("s") };

let harness: Harness;
let notify: NotifySettings;
let maskEmails: boolean;
/** What was written to the terminal, and what commands got. */
let written: string[];
let documents: unknown[];
let hookEnd: HookEnd;
/** The notices of one process; `isOnScreen`: it draws on a terminal. */
const aProcess = (isOnScreen = true): OutsideNotices =>
	createOutsideNotices({
		pool: harness.pool,
		state: harness.state,
		settings: () => ({ notify, maskEmails }),
		lineOf: (event) => noticeOf(event, harness.clock.at)?.text,
		screen: { isOurs: () => isOnScreen, write: (bytes) => written.push(bytes), env: { TERM: "xterm-kitty" } },
		hooks: {
			run: async (_argv, document) => {
				documents.push(noticeSchema.parse(JSON.parse(document)));
				return hookEnd;
			},
			end: () => undefined,
		},
		clock: harness.clock,
	});

let ours: OutsideNotices;
beforeEach(() => {
	harness = createHarness(work, side);
	notify = { ...DEFAULT_SETTINGS.notify, to: "terminal" };
	maskEmails = false;
	written = [];
	documents = [];
	hookEnd = { kind: "done" };
	ours = aProcess();
});

/** The texts that the terminal got. */
const texts = () => written.map((bytes) => bytes.replace("\x1b]9;pi-multicodex: ", "").replace("\x07", ""));

const exhausted = (why: Partial<Extract<PoolEvent, { type: "exhausted" }>["why"]> = {}): PoolEvent => ({
	type: "exhausted",
	why: {
		total: 2,
		cooling: 2,
		notOffered: 0,
		needsLogin: 0,
		unavailable: 0,
		tried: 2,
		untried: 0,
		readyAt: NOW + HOUR_MS,
		...why,
	},
	asked,
});
const waits = (until: number | undefined, goesOnWith?: typeof work, request = 1): PoolEvent => ({
	type: "waiting",
	request,
	until,
	forRoom: false,
	...(goesOnWith && { goesOnWith }),
});
const recovered = (account = work, cause: "time" | "reset" = "time"): PoolEvent => {
	return { type: "recovered", account, scope: "account", cause };
};
const threshold: PoolEvent = {
	type: "last-one",
	account: side,
	left: { window: "5h", percent: 9, resetsAt: NOW + HOUR_MS, isStale: false },
	threshold: 10,
};

describe("a pool without an account", () => {
	it("a pool without an account is one notice, of one of all processes, until it is back", async () => {
		const theirs = aProcess();
		for (const process of [ours, theirs, ours]) await process.hear(exhausted());
		expect(texts()).toEqual([expect.stringMatching(/^Codex: no account .* first is back .+ \(in 1h00m\)\.$/)]);
		for (const process of [theirs, ours]) await process.hear(recovered());
		expect(texts().slice(1)).toEqual([expect.stringMatching(/^Codex: work is ready/)]);
		await ours.hear(exhausted());
		expect(texts()).toHaveLength(3);
	});

	it("is a further notice if it lasts longer than it was to", async () => {
		await ours.hear(exhausted({ readyAt: undefined }));
		expect(harness.state.told.get("pool-dry")?.until).toBe(NOW + 2 * HOUR_MS);
		await ours.hear(exhausted());
		expect(texts()).toEqual([poolDry(undefined, undefined, NOW)]);
	});

	it("is back without a word if a person has ended the cooldowns, or if none is ready", async () => {
		await ours.hear(exhausted());
		await ours.hear(recovered(work, "reset"));
		await ours.hear(recovered());
		expect(texts()).toHaveLength(1);
		await ours.hear(exhausted());
		harness.accounts.rows = harness.accounts.rows.map((row) => ({ ...row, enabled: false }));
		await ours.hear(recovered());
		expect(texts()).toHaveLength(2);
	});

	it("is a notice if a session begins to wait for long, if pi asks, and if the chain answers", async () => {
		await ours.hear(waits(NOW + MINUTE_MS));
		expect(texts()).toEqual([]);
		await ours.hear(waits(NOW + 3 * HOUR_MS, undefined, 2));
		expect(texts()).toEqual([expect.stringMatching(/ waits until .+ \(in 3h00m\)\.$/)]);
		harness.state.told.clear();
		await ours.hear({ type: "asking", isOpen: true });
		await ours.hear(exhausted());
		expect(texts().slice(1)).toEqual([poolDryAsking()]);
		harness.state.told.clear();
		const chain = { type: "chain-serves", link: "anthropic/x", isPaid: false, back: undefined, asked } as const;
		await ours.hear({ ...chain, from: undefined });
		await ours.hear({ ...chain, from: "openai/y" });
		expect(texts().slice(2)).toEqual([expect.stringMatching(/^Codex: .* anthropic\/x answers\.$/)]);
	});

	it("a pool without an account is none if others could serve", async () => {
		await ours.hear(exhausted({ untried: 3 }));
		await ours.hear(exhausted({ isInSet: true }));
		await ours.hear({ type: "asking", isOpen: false });
		expect(texts()).toEqual([]);
	});
});

describe("a session that waits", () => {
	it("is one notice when it continues, in place of the pool, and for all that continue together", async () => {
		const theirs = aProcess();
		for (const process of [ours, theirs]) await process.hear(waits(NOW + HOUR_MS));
		expect(texts()).toHaveLength(1);
		harness.clock.at = NOW + HOUR_MS;
		for (const process of [ours, theirs]) {
			await process.hear(recovered());
			await process.hear(waits(undefined, work));
			await process.hear(recovered());
		}
		expect(texts().slice(1)).toEqual([expect.stringMatching(/^Codex: .* on work, after 1h00m\.$/)]);
	});

	it("a session that waits is no notice if the wait was short, or ended otherwise", async () => {
		await ours.hear(waits(NOW + MINUTE_MS));
		harness.clock.at = NOW + 9000;
		await ours.hear(waits(undefined, work));
		await ours.hear(waits(NOW + MINUTE_MS));
		harness.clock.at = NOW + MINUTE_MS;
		await ours.hear(waits(undefined));
		expect(texts()).toEqual([]);
	});
});

describe("an account", () => {
	it("is a notice when its sign-in is lost, or when it is closed, in the words of the chat", async () => {
		for (let times = 0; times < 2; times += 1)
			await ours.hear({ type: "signed-out", account: work, reason: "revoked" });
		await ours.hear({ type: "closed", account: work, reason: "closed by OpenAI" });
		expect(texts()).toEqual([
			expect.stringMatching(/ account work .* signed out/),
			expect.stringMatching(/ account work .* off/),
		]);
	});

	it("is a notice at a threshold, which one process was chosen for already", async () => {
		await ours.hear(threshold);
		expect(texts()).toEqual([expect.stringMatching(/^side@x\.test .* 9% .* 5h /)]);
		expect(harness.state.told.size).toBe(0);
	});
});

it("a pool that a forecast has run out is a notice in the words of the chat", async () => {
	const times = { dryAt: NOW + 3 * HOUR_MS, from: NOW + 2 * HOUR_MS, to: NOW + 5 * HOUR_MS };
	await ours.hear({ type: "pool-low", ...times, first: { account: work, at: NOW + HOUR_MS } });
	expect(texts()).toEqual([expect.stringMatching(/ 3h00m .*\bwork\b/)]);
});

describe("a command", () => {
	beforeEach(() => {
		notify = { ...notify, to: "command", command: ["/usr/bin/notify", "secret-argument"] };
	});

	it("gets one document, even if there is no screen", async () => {
		await aProcess(false).hear(threshold);
		expect(written).toEqual([]);
		expect(documents).toEqual([
			{
				version: 1,
				event: "threshold",
				at: "2026-11-20T12:00:00.000Z",
				text: expect.stringMatching(/^side@x\.test .* 9% .* 5h /),
				account: { id: "a1b2c3d4e5f6", label: "side@x.test" },
				window: "5h",
				leftPercent: 9,
				threshold: 10,
				until: "2026-11-20T13:00:00.000Z",
			},
		]);
	});

	it("gets no e-mail if the person hides them, and neither does a terminal", async () => {
		maskEmails = true;
		await ours.hear(threshold);
		expect(JSON.stringify(documents)).not.toContain("side@");
		expect(JSON.stringify(documents)).toContain("s…@x.test");
		notify = { ...notify, to: "terminal" };
		await ours.hear(threshold);
		expect(texts()[0]).toMatch(/^s…@x\.test /);
	});

	it.each([
		[{ kind: "exit", code: 3 }, /, ended with code 3\./],
		[{ kind: "late" }, /, took longer than 5 s /],
		[{ kind: "signal", signal: "SIGSEGV" }, /, .* by SIGSEGV\./],
		[{ kind: "unstarted", code: "ENOENT" }, /, .*\(.* no such program\)\./],
		[{ kind: "unstarted", code: "EACCES" }, /, .*\(EACCES\)\./],
	] as const)("has one warning a day if it fails, in one process, without its arguments: %j", async (end, words) => {
		hookEnd = end;
		for (const process of [ours, aProcess(), ours]) await process.hear(threshold);
		const warnings = harness.told.flatMap((event) => (event.type === "warning" ? [event.text] : []));
		const failure = hookFailure(["notify"], end) ?? "";
		expect(failure).toMatch(/^The command .* notify,/);
		expect(failure).toMatch(words);
		expect(warnings).toEqual([expect.stringMatching(/ \/multicodex notify test /)]);
		expect(warnings[0]?.startsWith(failure)).toBe(true);
		expect(await ours.tryOut()).toEqual({ kind: "failed", failure });
		// Another command is another matter.
		notify = { ...notify, command: ["other"] };
		await ours.hear(threshold);
		expect(harness.told.filter(({ type }) => type === "warning")).toHaveLength(2);
	});

	it("a command is no failure if the end of pi cut it off", async () => {
		hookEnd = { kind: "cut-off" };
		await ours.hear(threshold);
		expect(harness.told.filter(({ type }) => type === "warning")).toEqual([]);
	});
});

describe("nothing is sent", () => {
	it("no notice is sent while notices are off, without terminal or command; another process may", async () => {
		notify = { ...notify, to: "off" };
		await ours.hear(exhausted());
		expect(await ours.tryOut()).toEqual({ kind: "off" });
		notify = { ...notify, to: "terminal" };
		const unseen = aProcess(false);
		await unseen.hear(exhausted());
		expect(await unseen.tryOut()).toEqual({ kind: "no-terminal" });
		notify = { ...notify, to: "command" };
		await ours.hear(exhausted());
		expect(await ours.tryOut()).toEqual({ kind: "no-command" });
		expect([written, documents, harness.state.told.size]).toEqual([[], [], 0]);
		notify = { ...notify, to: "terminal" };
		await ours.hear(exhausted());
		expect(written).toHaveLength(1);
	});

	it("quiet hours hold back all but a notice that is tried out; a pool that is back after them is one", async () => {
		const at = new Date(NOW);
		const minute = at.getHours() * 60 + at.getMinutes();
		notify = { ...notify, quiet: { from: minute, to: (minute + 30) % 1440 } };
		await ours.hear(exhausted());
		expect(written).toEqual([]);
		await ours.tryOut();
		expect(texts()).toEqual(["Codex: notices arrive here."]);
		harness.clock.at = NOW + HOUR_MS;
		await ours.hear(recovered());
		expect(texts().slice(1)).toEqual([expect.stringMatching(/^Codex: work is ready/)]);
	});

	it("no notice is sent of anything else", async () => {
		for (const event of [{ type: "changed" }, { type: "warning", text: "x" }] as const) await ours.hear(event);
		expect(written).toEqual([]);
	});
});

describe("quiet hours", () => {
	const at = (hour: number, minute: number) => new Date(2026, 10, 20, hour, minute).getTime();

	it("quiet hours are on the local clock, from the first minute on and up to the last", () => {
		const day = { from: 9 * 60 + 30, to: 17 * 60 };
		const seen = [at(9, 29), at(9, 30), at(16, 59), at(17, 0)].map((time) => isQuiet(day, time));
		expect(seen).toEqual([false, true, true, false]);
	});

	it("a span of quiet hours may go over midnight", () => {
		const night = { from: 22 * 60, to: 7 * 60 };
		const seen = [at(21, 59), at(22, 0), at(23, 59), at(0, 0), at(6, 59), at(7, 0), at(12, 0)];
		expect(seen.map((time) => isQuiet(night, time))).toEqual([false, true, true, true, true, false, false]);
	});

	it("quiet hours follow the clock in the nights in which it is changed", () => {
		const zone = process.env.TZ;
		onTestFinished(() => {
			if (zone === undefined) delete process.env.TZ;
			else process.env.TZ = zone;
		});
		process.env.TZ = "Europe/Berlin";
		const quietAt = (time: string) => isQuiet({ from: 22 * 60, to: 2 * 60 + 30 }, Date.parse(time));
		// In March 01:59 is followed by 03:00, in October 02:59 by 02:00.
		expect(["2026-03-29T00:59Z", "2026-03-29T01:00Z"].map(quietAt)).toEqual([true, false]);
		const october = ["2026-10-25T00:29Z", "2026-10-25T00:30Z", "2026-10-25T01:29Z", "2026-10-25T01:30Z"];
		expect(october.map(quietAt)).toEqual([true, false, true, false]);
	});
});

it("the end of a session waits for what is under way, and ends commands", async () => {
	let finish: () => void = () => undefined;
	let ended = 0;
	const slow = createOutsideNotices({
		pool: harness.pool,
		state: harness.state,
		settings: () => ({ notify: { ...notify, to: "command", command: ["x"] }, maskEmails }),
		lineOf: () => "x",
		screen: { isOurs: () => false, write: () => undefined, env: {} },
		hooks: {
			run: () =>
				new Promise((resolve) => {
					finish = () => resolve({ kind: "done" });
				}),
			end: () => {
				ended += 1;
			},
		},
		clock: harness.clock,
	});
	const heard = slow.hear(threshold);
	const end = slow.end();
	await Promise.resolve();
	expect(ended).toBe(0);
	finish();
	await Promise.all([heard, end]);
	expect(ended).toBe(1);
});
