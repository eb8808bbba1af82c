import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { boundedHistory, type HistorySample } from "../../../../src/core/forecast/quota-history.ts";
import { withLock } from "../../../../src/platform/files/lock.ts";
import { HISTORY_BYTES, openQuotaHistory } from "../../../../src/platform/stores/quota-history-store.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { expectMode, onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { wide } from "../../../support/tiers.ts";

const NAME = "codex-history.jsonl";

const scratch = scratchForEach();

const aFile = (now = NOW) => openQuotaHistory(scratch.path(NAME), () => now);

function aSample(hour: number, usedPercent: number, more: Partial<HistorySample> = {}): HistorySample {
	const at = NOW + hour * HOUR_MS;
	return { accountId: anId("3f9c0a7be21d"), windowMinutes: 300, at, usedPercent, resetsAt: at + 2 * HOUR_MS, ...more };
}

/** Hours in which every account is in use, in both windows. */
function busyDays(accounts: number, day: number, hours: number): HistorySample[] {
	return Array.from({ length: hours }, (_, hour) => day * 24 + hour).flatMap((hour) =>
		Array.from({ length: accounts }, (_, index) => anId(`account-${index}`)).flatMap((accountId) => [
			aSample(hour, Math.abs((hour + index(accountId)) * 37.3) % 100, { accountId }),
			aSample(hour, Math.abs(hour * 0.63) % 100, { accountId, windowMinutes: 10_080 }),
		]),
	);
}

function index(accountId: string): number {
	return Number(accountId.slice("account-".length));
}

/** As the file has one figure. */
function lineOf({ accountId: account, windowMinutes: window, at, usedPercent }: HistorySample): string {
	return `${JSON.stringify({ account, window, samples: [[at / MINUTE_MS, usedPercent, 120]] })}\n`;
}

function linesIn(text: string): unknown[] {
	return text
		.split("\n")
		.filter((line) => line !== "")
		.map((line) => JSON.parse(line));
}

describe("the history file", () => {
	it("gives back what was appended, readable by its owner alone", async () => {
		const file = aFile();
		const samples = [
			aSample(-2, 12.3),
			aSample(-1, 4, { formerPercent: 66.5 }),
			aSample(-1, 7, { windowMinutes: 10_080, resetsAt: undefined }),
		];
		await file.append(samples);
		expect(await file.read()).toEqual(
			boundedHistory(samples, NOW).map(({ resetsAt, ...rest }) => (resetsAt ? { ...rest, resetsAt } : rest)),
		);
		expectMode(scratch.path(NAME), 0o600);
	});

	it("is empty if there is no file, or no file that can be read", async () => {
		expect(await aFile().read()).toEqual([]);
		scratch.write(NAME, '{ "this is": no JSON\n\u0000\u0000');
		expect(await aFile().read()).toEqual([]);
	});

	it("passes over lines and samples that are not what they should be, and appends behind a torn one", async () => {
		const good = { account: "a", window: 300, samples: [[NOW / 60_000 - 60, 5, 90]] };
		scratch.write(
			NAME,
			[
				JSON.stringify(good),
				"null",
				JSON.stringify({ ...good, account: "\u001b[31mred" }),
				JSON.stringify({ ...good, samples: [["x"], [null, 2, 3], [1e12, "5"]] }),
				JSON.stringify({ ...good, window: -1, note: "of a newer version" }),
				'{"account":"a","window":300,"samp',
			].join("\n"),
		);
		const file = aFile();
		await file.append([aSample(0, 9, { accountId: anId("b") })]);
		expect((await file.read()).map(({ accountId, usedPercent }) => [accountId, usedPercent])).toEqual([
			["a", 5],
			["b", 9],
		]);
	});

	// What is kept of a year is core, in the test of `core/forecast/quota-history.ts`.
	wide("stays within a mebibyte in a year in which 20 accounts are used day and night", async () => {
		let largest = 0;
		for (let day = -360; day < 0; day += 5) {
			const file = aFile(NOW + (day + 5) * DAY_MS);
			await file.append(busyDays(20, day, 5 * 24));
			largest = Math.max(largest, statSync(scratch.path(NAME)).size);
		}
		const kept = await aFile().read();
		expect(largest).toBeGreaterThan(HISTORY_BYTES / 2);
		expect(largest).toBeLessThanOrEqual(HISTORY_BYTES);
		expect(kept.length).toBeGreaterThan(20 * 2 * 24 * 20);
		expect(Math.min(...kept.map(({ at }) => at))).toBeLessThan(NOW - 300 * DAY_MS);
	});

	it("stays within four mebibytes with 1,000 accounts, and keeps the newest of each", async () => {
		let largest = 0;
		for (const day of [-120, -30, -2, -1]) {
			await aFile(NOW + (day + 1) * DAY_MS).append(busyDays(1000, day, 8));
			largest = Math.max(largest, statSync(scratch.path(NAME)).size);
		}
		const kept = await aFile().read();
		expect(largest).toBeLessThanOrEqual(4 * HISTORY_BYTES);
		expect(new Set(kept.map(({ accountId }) => accountId)).size).toBe(1000);
		expect(kept.filter(({ at }) => at >= NOW - DAY_MS).length).toBeGreaterThan(10_000);
	}, 30_000);

	it("is made smaller by a look at it, once most of it repeats itself", async () => {
		const file = aFile();
		for (let minute = 0; minute < 60; minute += 1) {
			const at = NOW - HOUR_MS + minute * 60_000;
			await file.append(
				Array.from({ length: 30 }, (_, index) => aSample(0, minute, { accountId: anId(`a${index}`), at })),
			);
		}
		const before = statSync(scratch.path(NAME)).size;
		const kept = await file.read();
		expect(kept.length).toBe(30);
		expect(statSync(scratch.path(NAME)).size).toBeLessThan(before / 10);
		expect(await file.read()).toEqual(kept);
		expectMode(scratch.path(NAME), 0o600);
	});

	it("loses no figures that come in while it is made smaller", async () => {
		const file = aFile();
		// The same figure again and again: a look at the file makes it smaller.
		appendFileSync(scratch.path(NAME), lineOf(aSample(-2, 10)).repeat(3000));
		const handle = await open(scratch.path(NAME), "r");
		const prototype: { sync: () => Promise<void> } = Object.getPrototypeOf(handle);
		await handle.close();
		let isLate = false;
		const sync = vi.spyOn(prototype, "sync").mockImplementation(async () => {
			if (!isLate) appendFileSync(scratch.path(NAME), lineOf(aSample(-1, 55)));
			isLate = true;
		});
		onTestFinished(() => sync.mockRestore());
		await file.read();
		expect(isLate).toBe(true);
		expect((await file.read()).map(({ usedPercent }) => usedPercent)).toEqual([10, 55]);
	});

	it("still takes figures in while another process makes it smaller", async () => {
		const file = aFile();
		await file.append([aSample(-3, 1)]);
		await withLock(scratch.path(NAME), { waitMs: 1000 }, () => file.append([aSample(-1, 2)]));
		expect((await file.read()).map(({ usedPercent }) => usedPercent)).toEqual([1, 2]);
	});

	it("the history file has no figures that no account can have had", async () => {
		const at = NOW / 60_000;
		const line = (window: number, ...samples: readonly (readonly (number | null)[])[]) =>
			JSON.stringify({ account: "a", window, samples });
		scratch.write(
			NAME,
			[
				line(300, [at - 60, 1e308, 90], [0, -5, 90], [0, 7, 1e300, 1e9], [1e300, 8, 90], [1e12, 9, 90]),
				line(1e300, [at - 60, 5, 90]),
				line(300, [-at, 5, 90]),
			].join("\n"),
		);
		expect(await aFile().read()).toEqual([{ accountId: "a", windowMinutes: 300, at: NOW - HOUR_MS, usedPercent: 7 }]);
	});

	it("the history file is made smaller although bytes of it are no text", async () => {
		const repeated = Buffer.from(
			`${JSON.stringify({ account: "a", window: 300, samples: [[NOW / 60_000 - 60, 5, 90]] })}\n`,
		);
		const torn = Buffer.from([0xc3, 0x0a]);
		const many = Math.ceil(HISTORY_BYTES / repeated.length);
		writeFileSync(scratch.path(NAME), Buffer.concat([torn, ...Array.from({ length: many }, () => repeated)]));
		const file = aFile();
		await file.append([aSample(0, 9, { accountId: anId("b") })]);
		expect(statSync(scratch.path(NAME)).size).toBeLessThan(1000);
		expect((await file.read()).map(({ usedPercent }) => usedPercent)).toEqual([5, 9]);
	});

	it("the history file begins anew if it is larger than any of ours", async () => {
		scratch.write(NAME, "");
		truncateSync(scratch.path(NAME), 100 * HISTORY_BYTES);
		const file = aFile();
		expect(await file.read()).toEqual([]);
		await file.append([aSample(0, 9)]);
		expect(statSync(scratch.path(NAME)).size).toBeLessThan(1000);
		expect(await file.read()).toMatchObject([{ usedPercent: 9 }]);
	});

	it("the history file keeps what was written while a clock was ahead or behind, in order", async () => {
		await aFile(NOW + 40 * DAY_MS).append([aSample(-2, 5), aSample(40 * 24, 50)]);
		const file = aFile(NOW - 40 * DAY_MS);
		await file.append([aSample(-40 * 24, 7)]);
		expect((await file.read()).map(({ usedPercent }) => usedPercent)).toEqual([7, 5, 50]);
	});

	it("the history file takes nothing in if its path is a folder", async () => {
		mkdirSync(scratch.path(NAME));
		const file = aFile();
		await file.append([aSample(0, 9)]);
		expect(await file.read()).toEqual([]);
		expect(scratch.names()).toEqual([NAME]);
	});

	onPosix("the history file takes nothing in if its path is a pipe", async () => {
		execFileSync("mkfifo", [scratch.path(NAME)]);
		const file = aFile();
		await file.append([aSample(0, 9)]);
		expect(await file.read()).toEqual([]);
	});

	onPosix("keeps a link to another file", async () => {
		const file = aFile();
		symlinkSync(scratch.write("elsewhere.jsonl", ""), scratch.path(NAME));
		await file.append([aSample(-1, 2)]);
		expect(linesIn(scratch.text("elsewhere.jsonl"))).toHaveLength(1);
		rmSync(scratch.path(NAME));
	});
});
