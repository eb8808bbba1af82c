import { execFileSync } from "node:child_process";
import {
	appendFileSync,
	mkdirSync,
	renameSync,
	statSync,
	symlinkSync,
	truncateSync,
	unlinkSync,
	utimesSync,
} from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import type { DatedEntry } from "../../../../src/core/ledger/late-ledger.ts";
import { daysBefore, sumOf } from "../../../../src/core/ledger/ledger.ts";
import { type LockOptions, withLock } from "../../../../src/platform/files/lock.ts";
import { openLedgerStore } from "../../../../src/platform/stores/ledger-store.ts";
import { closeFolder } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { expectMode, onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { isWide, wide } from "../../../support/tiers.ts";

const NAME = "codex-ledger.jsonl";
const DAY_MS = 24 * 3_600_000;
const NOW = new Date(2026, 10, 30, 12).getTime();
const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0.1 };
const usage = { input: 10, output: 3, cacheRead: 7, cacheWrite: 0, totalTokens: 20, cost };

const scratch = scratchForEach();
let now: number;
let failures: unknown[];
beforeEach(() => {
	now = NOW;
	failures = [];
});
afterEach(() => {
	expect(failures).toEqual([]);
});

const aStore = (lock?: LockOptions) =>
	openLedgerStore({
		...(lock && { lock }),
		path: scratch.path(NAME),
		now: () => now,
		projectOf: (folder) => folder.replace(/\/src$/, ""),
		onFailure: (error) => failures.push(error),
	});
const answered = (account = anId("a"), folder = "/p/src", modelId = "gpt-5.5"): DatedEntry => ({
	at: now,
	folder: folder === "" ? undefined : folder,
	entry: { kind: "answered", account, asked: { modelId, sessionId: aSessionId("s") }, usage },
});
const fail = (error: unknown) => void failures.push(error);
const lines = () => scratch.text(NAME).trimEnd().split("\n");

describe("the ledger", () => {
	it("creates no folder to read from", async () => {
		const path = scratch.path(`gone/${NAME}`);
		const store = openLedgerStore({ path, now: () => now, projectOf: (folder) => folder, onFailure: fail });
		expect(await store.read()).toEqual([]);
		expect(scratch.names()).toEqual([]);
	});

	it("is one line for what a process has counted since the last, and holds ids, amounts and the project", async () => {
		const store = aStore();
		store.add([answered(), answered()]);
		store.add([
			{
				...answered(),
				entry: {
					kind: "refused",
					account: anId("a"),
					asked: { modelId: "gpt-5.5", sessionId: aSessionId("s") },
					tookMs: 40,
				},
			},
		]);
		await store.flush();
		await store.flush();
		expect(lines().map((line) => JSON.parse(line))).toEqual([
			{ version: 1, bytes: 0 },
			{
				period: "2026-11-30",
				account: "a",
				project: "/p",
				model: "gpt-5.5",
				requests: 2,
				input: 20,
				cached: 14,
				output: 6,
				cost: 0.2,
				refusals: 1,
				refusedMs: 40,
			},
		]);
		expectMode(scratch.path(NAME), 0o600);
	});

	it("names no model that is none, no folder if none is known, and the end of a path that has no end", async () => {
		const store = aStore();
		store.add([
			answered(anId("a"), "", 'a "model" of many words, which nothing has'),
			answered(anId("a"), `/${"long/".repeat(100)}end`),
		]);
		const rows = await store.read();
		expect(rows.map(({ project, model }) => [project?.length, project?.slice(-4), model])).toEqual([
			[undefined, undefined, undefined],
			[200, "/end", "gpt-5.5"],
		]);
	});

	it("has what every process has counted, however they write at once, also while lines are added up", async () => {
		const stores = Array.from({ length: 8 }, aStore);
		const rounds = isWide ? 20 : 8;
		for (let round = 0; round < rounds; round += 1) {
			await Promise.all(
				stores.map(async (store, at) => {
					// So many projects that the lines of this round take more room than is left to them.
					const entries = Array.from({ length: 20 }, (_, index) =>
						answered(anId(`a${at}`), `/${"x".repeat(150)}/${index}`),
					);
					store.add(entries);
					await store.flush();
				}),
			);
		}
		const rows = await aStore().read();
		expect(rows).toHaveLength(8 * 20);
		expect(sumOf(rows)).toMatchObject({ requests: 8 * 20 * rounds, input: 10 * 8 * 20 * rounds });
		expect(rows.every(({ requests }) => requests === rounds)).toBe(true);
		// It was added up, else it would hold over a thousand lines of 250 bytes.
		expect(statSync(scratch.path(NAME)).size).toBeLessThan(250_000);
		expect(scratch.names("codex")).toEqual([NAME]);
	}, 30_000);

	// The bound on its rows is core, in the test of `core/ledger/ledger.ts`.
	wide("stays within a few megabytes under a thousand accounts and a year of use", { timeout: 100_000 }, async () => {
		const store = aStore();
		let counted = 0;
		for (let day = 0; day < 365; day += 1) {
			now = NOW + day * DAY_MS;
			store.add(
				Array.from({ length: 1000 }, (_, at) => answered(anId(`account-${at}`), `/home/me/projects/p${at % 5}`)),
			);
			counted += 1000;
			await store.flush();
			expect(statSync(scratch.path(NAME)).size).toBeLessThan(5_000_000);
		}
		const rows = await store.read();
		expect(rows.length).toBeLessThanOrEqual(10_000);
		expect(sumOf(rows).requests).toBe(counted);
	});

	it("makes months of old days when lines are added up", async () => {
		const store = aStore();
		store.add([answered()]);
		await store.flush();
		now += 100 * DAY_MS;
		expect((await store.read()).map(({ period }) => period)).toEqual(["2026-11"]);
		const text = scratch.text(NAME);
		appendFileSync(scratch.path(NAME), `${" ".repeat(150_000)}\n`);
		store.add([answered()]);
		await store.flush();
		expect(text).toContain("2026-11-30");
		expect(lines().map((line) => JSON.parse(line).period)).toEqual([
			undefined,
			"2026-11",
			daysBefore("2026-11-30", -100),
		]);
	});
});

describe("a ledger that was damaged", () => {
	it("loses a line that a kill has torn, and none beside it", async () => {
		const store = aStore();
		store.add([answered(anId("a"))]);
		await store.flush();
		store.add([answered(anId("b"))]);
		await store.flush();
		truncateSync(scratch.path(NAME), statSync(scratch.path(NAME)).size - 10);
		store.add([answered(anId("c"))]);
		const rows = await store.read();
		expect(rows.map(({ account }) => account)).toEqual(["a", "c"]);
	});

	it("leaves out what cannot be read, and counts odd amounts as nothing", async () => {
		const day = { period: "2026-11-30", account: "a" };
		const odd = [
			"no JSON",
			JSON.stringify({ period: "2026-13-30", requests: 1 }),
			JSON.stringify({
				...day,
				model: "Please write a poem",
				project: 7,
				requests: -1,
				input: "9",
				cost: 1e300,
				output: 4,
			}),
		];
		scratch.write(NAME, odd.join("\n"));
		const store = aStore();
		store.add([answered(anId("b"))]);
		expect(await store.read()).toMatchObject([
			{ account: "a", model: undefined, project: undefined, requests: 0, input: 0, cost: 0, output: 4 },
			{ account: "b", requests: 1 },
		]);
	});

	it("is left as it is if a newer version has written it", async () => {
		const newer = `${JSON.stringify({ version: 2, rows: [] })}\n`;
		scratch.write(NAME, newer);
		const store = aStore();
		store.add([answered()]);
		expect(await store.read()).toEqual([]);
		expect(scratch.text(NAME)).toBe(newer);
	});

	it("a ledger that is larger than any of ours is added up before more is counted", async () => {
		const store = aStore();
		store.add([answered(anId("a"))]);
		await store.flush();
		truncateSync(scratch.path(NAME), 17 * 1024 * 1024);
		store.add([answered(anId("b"))]);
		const rows = await store.read();
		expect(rows.map(({ account }) => account)).toEqual(["a", "b"]);
		expect(statSync(scratch.path(NAME)).size).toBeLessThan(1000);
	});

	it("a ledger has what was counted while a clock was ahead or behind, each on its day", async () => {
		const store = aStore();
		for (const days of [400, -400, 0]) {
			now = NOW + days * DAY_MS;
			store.add([answered()]);
			await store.flush();
		}
		expect(sumOf(await store.read()).requests).toBe(3);
		appendFileSync(scratch.path(NAME), `${" ".repeat(150_000)}\n`);
		store.add([answered()]);
		expect(sumOf(await store.read()).requests).toBe(4);
	});

	onPosix("a ledger is no reason for a word if its path is a pipe", async () => {
		execFileSync("mkfifo", [scratch.path(NAME)]);
		const store = aStore();
		store.add([answered()]);
		expect(await store.read()).toEqual([]);
	});

	it("a ledger that was damaged is no reason for a word if its path is a folder", async () => {
		mkdirSync(scratch.path(NAME));
		const store = aStore();
		store.add([answered()]);
		expect(await store.read()).toEqual([]);
	});
});

describe("a ledger that cannot be written", () => {
	onPosix("keeps what was counted, shows it, and writes it once it can", async () => {
		const reopen = closeFolder(scratch.dir);
		const store = aStore();
		try {
			store.add([answered()]);
			expect(sumOf(await store.read()).requests).toBe(1);
			store.add([answered()]);
			expect(sumOf(await store.read()).requests).toBe(2);
		} finally {
			reopen();
		}
		await store.flush();
		expect(sumOf(await aStore().read()).requests).toBe(2);
	});

	it("has every line once if the disk was full in the middle of one", async () => {
		const store = aStore();
		store.add([answered(anId("a")), answered(anId("b"))]);
		const handle = await open(scratch.write("any", ""), "r");
		const prototype: { write: (bytes: Buffer, at: number) => unknown } = Object.getPrototypeOf(handle);
		await handle.close();
		unlinkSync(scratch.path("any"));
		const { write } = prototype;
		const full = vi.spyOn(prototype, "write");
		onTestFinished(() => full.mockRestore());
		full.mockImplementationOnce(function (this: FileHandle, bytes) {
			// The first line is whole, and all but a little of the second one.
			return write.call(this, bytes.subarray(0, bytes.length - 10), 0);
		});
		full.mockRejectedValueOnce(Object.assign(new Error("no"), { code: "ENOSPC" }));
		await store.flush();
		await store.flush();
		expect((await aStore().read()).map(({ account, requests }) => [account, requests])).toEqual([
			["a", 1],
			["b", 1],
		]);
	});

	it("is written again after the lock was held for too long, and once", async () => {
		const store = aStore({ waitMs: 100 });
		store.add([answered()]);
		await withLock(scratch.path(NAME), { waitMs: 1000 }, () => store.flush());
		expect(scratch.names(NAME)).toEqual([]);
		await Promise.all([store.flush(), store.flush()]);
		expect(sumOf(await aStore().read()).requests).toBe(1);
	});

	it("is written in time at the end of a session although a killed process has left the lock", async () => {
		const store = aStore();
		store.add([answered()]);
		mkdirSync(scratch.path(`${NAME}.lock`));
		const began = new Date(Date.now() - 2900);
		utimesSync(scratch.path(`${NAME}.lock`), began, began);
		await store.flush();
		expect(sumOf(await aStore().read()).requests).toBe(1);
		expect(scratch.names(NAME)).toEqual([NAME]);
	});

	onPosix("follows a link, and writes where it leads", async () => {
		mkdirSync(scratch.path("elsewhere"));
		symlinkSync("elsewhere/ledger.jsonl", scratch.path(NAME));
		const store = aStore();
		store.add([answered()]);
		await store.flush();
		expect(scratch.names("elsewhere")).toEqual(["elsewhere"]);
		renameSync(scratch.path("elsewhere/ledger.jsonl"), scratch.path("there"));
	});
});

describe("a ledger that is deleted", () => {
	it("is gone, with what was counted and not written, and begins anew with the next answer", async () => {
		const store = aStore();
		store.add([answered()]);
		await store.flush();
		store.add([answered()]);
		expect(await store.forget()).toBe(true);
		expect([scratch.names(), await store.read(), await store.forget()]).toEqual([[], [], false]);
		store.add([answered(anId("b"))]);
		expect((await store.read()).map(({ account }) => account)).toEqual(["b"]);
	});
});
