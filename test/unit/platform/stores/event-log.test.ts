import { chmodSync, mkdirSync, renameSync, rmSync, statSync, symlinkSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DECISION_KINDS, type Decision } from "../../../../src/core/decision.ts";
import { withLock } from "../../../../src/platform/files/lock.ts";
import { LINE_LENGTH, LOG_BYTES, openEventLog } from "../../../../src/platform/stores/event-log.ts";
import { anyCharacter } from "../../../support/arbitraries.ts";
import { SECRET_MARK } from "../../../support/fake-codex/index.ts";
import { HOUR_MS, NOW, until } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { expectMode, onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { runs } from "../../../support/tiers.ts";
import { hurryTimersOf } from "../../waits.ts";

const NAME = "codex-events.jsonl";
const OLDER = "codex-events.1.jsonl";

const scratch = scratchForEach();

const aLog = (at = NOW, pid = 7) => openEventLog(scratch.path(NAME), () => at, pid);
const rotated: Decision = {
	kind: "rotated",
	from: anId("3f9c0a7be21d"),
	account: anId("3f00aa7be21d"),
	reason: "usage_limit",
	window: "5h",
	until: NOW + HOUR_MS,
	model: "gpt-5.5",
	session: aSessionId("the-session-itself"),
	decidedBy: "fresh",
	terms: { pin: 0, room: 73 },
};

describe("the decision log", () => {
	it("keeps a decision as one line, with a hash for the session", async () => {
		const log = aLog();
		log.append(rotated);
		await log.flush();
		const line = JSON.parse(scratch.text(NAME));
		expect(line).toMatchObject({ at: "2026-11-20T12:00:00.000Z", pid: 7, kind: "rotated", terms: { room: 73 } });
		expect(line.session).toMatch(/^[0-9a-f]{12}$/);
		expect(await log.read(5)).toEqual([{ ...rotated, at: NOW, pid: 7, session: line.session }]);
		expectMode(scratch.path(NAME), 0o600);
	});

	it("creates no folder to read from", async () => {
		const log = openEventLog(scratch.path(`gone/${NAME}`), () => NOW, 7);
		expect(await log.read(5)).toEqual([]);
		expect(scratch.names()).toEqual([]);
	});

	it("keeps the links of a chain by their names, and a stored list of them", async () => {
		const log = aLog();
		const served: Decision = { kind: "chain-serves", link: "@cf/moonshotai/kimi-k2.7", formerLink: "a/b", paid: true };
		log.append(served);
		log.append({ kind: "setting", setting: "beyond.chain", value: "anthropic/claude,openrouter/z-ai/glm-5.3" });
		log.append({ kind: "link-closed", link: "no name at all", reason: "quota" });
		await log.flush();
		expect(await log.read(5)).toMatchObject([
			served,
			{ value: "anthropic/claude,openrouter/z-ai/glm-5.3" },
			{ link: "other" },
		]);
	});

	it("keeps a defect by class and place, and nothing that is neither", async () => {
		const log = aLog();
		const frames = ["src/core/pool/pool.ts:12:5", "index.ts:3:1"];
		log.append({ kind: "defect", reason: "request", error: "TypeError", frames });
		log.append({
			kind: "defect",
			reason: "a token: abc123",
			error: "eyJhbGciOiJSUzI1NiJ9",
			frames: [
				"/home/me/src/x.ts:1:1",
				`src/${SECRET_MARK}.js:1:1`,
				...Array.from({ length: 9 }, () => "src/pi/panel.ts:1:2"),
			],
		});
		await log.flush();
		expect(await log.read(5)).toMatchObject([
			{ kind: "defect", reason: "request", error: "TypeError", frames },
			{ kind: "defect", reason: "other", error: "other", frames: Array(5).fill("src/pi/panel.ts:1:2") },
		]);
		expect(scratch.text(NAME)).not.toMatch(new RegExp(`eyJ|abc123|/home|${SECRET_MARK}`));
	});

	it("writes behind its caller, by itself", async () => {
		hurryTimersOf(1000);
		aLog().append(rotated);
		expect(scratch.names()).toEqual([]);
		await until("the line to be written", () => scratch.names().includes(NAME));
	});

	it("reads the last decisions of all processes in the order of their times", async () => {
		const [late, early] = [aLog(NOW + 2000, 1), aLog(NOW + 1000, 2)];
		late.append({ kind: "unpinned" });
		await late.flush();
		early.append({ kind: "pinned", account: anId("a") });
		await early.flush();
		expect((await late.read(9)).map(({ kind }) => kind)).toEqual(["pinned", "unpinned"]);
		expect((await late.read(1)).map(({ kind }) => kind)).toEqual(["unpinned"]);
	});

	it("passes over torn lines, kinds of the future and fields that are not what they should be", async () => {
		const good = { at: "2026-11-20T12:00:00.000Z", pid: 1, kind: "pinned", account: "a" };
		scratch.write(
			NAME,
			[
				"not json",
				"",
				JSON.stringify({ ...good, kind: "teleported" }),
				JSON.stringify({ ...good, at: "yesterday" }),
				JSON.stringify({ ...good, account: "\u001b[31mred", until: 5, terms: "x" }),
				JSON.stringify(good),
				"null",
				'{"at":"2026-11-20T12:00:00.000Z","kind":"pin',
			].join("\n"),
		);
		const log = aLog();
		log.append({ kind: "unpinned" });
		await log.flush();
		expect(await log.read(9)).toEqual([
			{ at: NOW, pid: 1, kind: "pinned" },
			{ at: NOW, pid: 1, kind: "pinned", account: "a" },
			{ at: NOW, pid: 7, kind: "unpinned" },
		]);
	});

	it("sets a full file aside, and reads both", async () => {
		const line = JSON.stringify({ at: "2026-11-20T11:00:00.000Z", pid: 1, kind: "pinned", account: "old" });
		scratch.write(OLDER, "what was there before\n");
		scratch.write(NAME, `${line}\n`.repeat(Math.floor(LOG_BYTES / (line.length + 1))));
		const log = aLog();
		log.append(rotated);
		await log.flush();
		expect(scratch.text(OLDER)).toContain(line);
		expect(scratch.text(NAME).split("\n")).toHaveLength(2);
		expect((await log.read(2)).map(({ kind }) => kind)).toEqual(["pinned", "rotated"]);
	});

	it("loses nothing if another process has just set the file aside and not begun a new one yet", async () => {
		scratch.write(NAME, "x".repeat(LOG_BYTES));
		const log = aLog();
		log.append(rotated);
		let flushed: Promise<void> | undefined;
		await withLock(scratch.path(NAME), { waitMs: 0 }, async () => {
			flushed = log.flush();
			// It waits for the lock by then; were it later, nothing would be there to be set aside.
			await new Promise((resolve) => setTimeout(resolve, 50));
			renameSync(scratch.path(NAME), scratch.path(OLDER));
		});
		await flushed;
		expect(await log.read(9)).toMatchObject([{ kind: "rotated" }]);
	});

	onPosix("stays a link if it is one, and is set aside where it really is", async () => {
		mkdirSync(scratch.path("real"));
		scratch.write("real/there.jsonl", "x".repeat(LOG_BYTES));
		symlinkSync(scratch.path("real/there.jsonl"), scratch.path(NAME));
		const log = aLog();
		log.append(rotated);
		await log.flush();
		expect(await log.read(9)).toHaveLength(1);
		expect(scratch.text("real/there.1.jsonl")).toHaveLength(LOG_BYTES);
	});

	it("loses lines, and nothing else, if it cannot be written", async () => {
		mkdirSync(scratch.path(NAME));
		const log = aLog();
		log.append(rotated);
		await expect(log.flush()).resolves.toBeUndefined();
		expect(await log.read(9)).toEqual([]);
		rmSync(scratch.path(NAME), { recursive: true });
		log.append({ kind: "unpinned" });
		await log.flush();
		expect((await log.read(9)).map(({ kind }) => kind)).toEqual(["unpinned"]);
	});

	it.skipIf(process.getuid?.() === 0)("loses lines on a read-only disk", async () => {
		chmodSync(scratch.dir, 0o500);
		const log = aLog();
		log.append(rotated);
		await log.flush();
		chmodSync(scratch.dir, 0o700);
		expect(scratch.names()).toEqual([]);
	});
});

const aWord = fc.oneof(
	fc.string({ maxLength: 200 }),
	fc.string({ unit: anyCharacter, maxLength: 200 }),
	fc.constantFrom("usage_limit", "3f9c0a7be21d", "limit:codex_bengalfox"),
);
const aNumber = fc.oneof(fc.double(), fc.integer(), fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, 9e15));
const aDecision = fc.record<Decision>(
	{
		kind: fc.constantFrom(...DECISION_KINDS),
		account: aWord.map(anId),
		from: aWord.map(anId),
		reason: aWord,
		scope: aWord,
		window: aWord,
		leftPercent: aNumber,
		until: aNumber,
		total: aNumber,
		cooling: aNumber,
		untried: aNumber,
		model: aWord,
		session: aWord.map(aSessionId),
		decidedBy: aWord,
		terms: fc.dictionary(fc.string(), aNumber, { maxKeys: 300 }),
	},
	{ requiredKeys: ["kind"] },
);

describe("whatever is logged", () => {
	it("whatever is logged is one line that is no longer than its bound, and is read again", async () => {
		await fc.assert(
			fc.asyncProperty(fc.array(aDecision, { minLength: 1, maxLength: 20 }), async (decisions) => {
				const log = aLog();
				rmSync(scratch.path(NAME), { force: true });
				for (const decision of decisions) log.append(decision);
				await log.flush();
				const lines = scratch.text(NAME).split("\n");
				expect(lines.pop()).toBe("");
				expect(lines).toHaveLength(decisions.length);
				for (const line of lines) expect(line.length).toBeLessThanOrEqual(LINE_LENGTH);
				expect((await log.read(99)).map(({ kind }) => kind)).toEqual(decisions.map(({ kind }) => kind));
			}),
			runs(8, 200),
		);
	});

	it("stays in two files of a mebibyte", async () => {
		const log = aLog();
		const long: Decision = { ...rotated, model: "m".repeat(80), terms: Object.fromEntries(terms(60)) };
		for (let batch = 0; batch < 4; batch += 1) {
			for (let line = 0; line < 600; line += 1) log.append(long);
			await log.flush();
			for (const name of scratch.names()) expect(statSync(scratch.path(name)).size).toBeLessThanOrEqual(LOG_BYTES);
		}
		expect(scratch.names()).toEqual([OLDER, NAME].sort());
		expect((await log.read(1e6)).length).toBeGreaterThan(600);
	});

	it("holds no token, though one were given for a reason", async () => {
		const log = aLog();
		const token = `${SECRET_MARK}_rt_a_1_9f2c3d4e5f60718293a4b5c6d7e8f901`;
		log.append({ kind: "signed-out", account: anId("a"), reason: token, decidedBy: token });
		log.append({ kind: "closed", account: anId(`eyJhbGciOi.${"x".repeat(200)}`), reason: "a@b.example" });
		await log.flush();
		expect(scratch.text(NAME)).not.toMatch(new RegExp(`${SECRET_MARK}|eyJ|@`));
		expect((await log.read(2)).map(({ reason }) => reason)).toEqual(["other", "other"]);
	});
});

function terms(count: number): [string, number][] {
	return Array.from({ length: count }, (_, at) => [`term ${String.fromCharCode(97 + (at % 26))}${"x".repeat(at)}`, at]);
}
