import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import type { HistorySample } from "../../src/core/forecast/quota-history.ts";
import { showSchema } from "../../src/pi/json-schemas.ts";
import { HISTORY_BYTES, openQuotaHistory } from "../../src/platform/stores/quota-history-store.ts";
import { aScratch, DAY_MS, HOUR_MS, NOW } from "../support/fakes.ts";
import { repositoryRoot } from "../support/hosts.ts";
import { expectMode } from "../support/posix.ts";
import { createBench } from "./support.ts";

const NAME = "codex-history.jsonl";
const HOURS = 30;

it("keeps a history whole that eight processes write at once, some of which are killed", async () => {
	const scratch = aScratch();
	onTestFinished(() => scratch.remove());
	// Nearly full of repetitions, so that the processes have to make it smaller meanwhile.
	const repeated = `${JSON.stringify({ account: "old", window: 300, samples: [[NOW / 60_000, 5, 90]] })}\n`;
	scratch.write(NAME, repeated.repeat(Math.ceil((HISTORY_BYTES * 0.86) / repeated.length)));
	scratch.write(
		"writer.ts",
		`import { openQuotaHistory } from ${JSON.stringify(`${repositoryRoot}/src/platform/stores/quota-history-store.ts`)};
		const [, , path, accountId, isEndless] = process.argv;
		const file = openQuotaHistory(path, () => ${NOW + HOURS * HOUR_MS});
		for (let hour = 0; isEndless === "endless" || hour < ${HOURS}; hour += 1) {
			const at = ${NOW} + hour * ${HOUR_MS};
			const windows = [300, 10080, ...Array.from({ length: 8 }, (_, more) => 20000 + more)];
			await file.append(windows.map((windowMinutes) => ({ accountId, windowMinutes, at, usedPercent: hour })));
			if (hour === 0) console.log("up");
		}`,
	);
	const start = (name: string, kind: string) => {
		const args = ["--import", "jiti/register", scratch.path("writer.ts"), scratch.path(NAME), name, kind];
		return spawn(process.execPath, args, { cwd: repositoryRoot, stdio: ["ignore", "pipe", "inherit"] });
	};
	const doomed = ["k", "l", "m", "n"].map((name) => start(name, "endless"));
	const others = ["a", "b", "c", "d"].map((name) => start(name, "whole"));
	const ends = others.map((child) => once(child, "exit"));
	await Promise.all(
		doomed.map(async (child, index) => {
			await once(child.stdout, "data");
			await new Promise((resolve) => setTimeout(resolve, 50 * index));
			child.kill("SIGKILL");
			await once(child, "exit");
		}),
	);
	expect(await Promise.all(ends)).toEqual(others.map(() => [0, null]));

	const lines = scratch.text(NAME).trimEnd().split("\n");
	for (const line of lines.filter((each) => each !== "")) expect(() => JSON.parse(line)).not.toThrow();
	expect(statSync(scratch.path(NAME)).size).toBeLessThan(HISTORY_BYTES * 0.8);
	expectMode(scratch.path(NAME), 0o600);
	const kept = await openQuotaHistory(scratch.path(NAME), () => NOW + HOURS * HOUR_MS).read();
	const lastOf = (name: string) =>
		Math.max(...kept.flatMap((each) => (each.accountId === name ? each.usedPercent : [])));
	expect(["a", "b", "c", "d"].map(lastOf)).toEqual([HOURS - 1, HOURS - 1, HOURS - 1, HOURS - 1]);
	expect(["k", "l", "m", "n"].map(lastOf).every((last) => last >= 0)).toBe(true);
});

it("keeps the backend's figures, and says in show --json how long quota lasts after three weeks of use", async () => {
	const quota = {
		fiveHour: { usedPercent: 60, resetsInMs: 4 * HOUR_MS },
		week: { usedPercent: 97, resetsInMs: 5 * DAY_MS },
	};
	const bench = await createBench({ accounts: ["a", "b"].map((name) => ({ name, quota })) });
	const forecast = async () => {
		const { stdout } = await bench.print("/multicodex show --json");
		return showSchema.parse(JSON.parse(stdout)).forecast;
	};
	expect((await bench.print("/multicodex refresh")).code).toBe(0);
	const kept = await openQuotaHistory(bench.dir.path(NAME), Date.now).read();
	const windows = ["a", "b"].flatMap((name) => [300, 10_080].map((minutes) => `${bench.id(name)} ${minutes}`));
	expect(new Set(kept.map(({ accountId, windowMinutes }) => `${accountId} ${windowMinutes}`))).toEqual(
		new Set(windows),
	);
	// A day is too little to say anything.
	expect(await forecast()).toBeUndefined();

	const now = Date.now();
	const samples = Array.from({ length: 21 * 24 }, (_, hour): HistorySample => {
		const at = now - (21 * 24 - hour) * HOUR_MS;
		const part = hour % 5;
		const resetsAt = at + (5 - part) * HOUR_MS;
		return { accountId: bench.id("a"), windowMinutes: 300, at, usedPercent: 8 * (1 + part), resetsAt };
	});
	await openQuotaHistory(bench.dir.path(NAME), Date.now).append(samples);
	// Each has 3 % of a week left, about 18 % of a 5h window, of which 8 % are used in an hour.
	const { pool, accounts = [] } = (await forecast()) ?? {};
	const [from, dryAt, to] = [pool?.from, pool?.dryAt, pool?.to].map((at) => (Date.parse(at ?? "") - now) / HOUR_MS);
	expect(dryAt).toBeGreaterThan(3);
	expect(dryAt).toBeLessThan(6);
	expect(from).toBeLessThanOrEqual(dryAt ?? 0);
	expect(to).toBeGreaterThanOrEqual(dryAt ?? Infinity);
	expect(accounts.map(({ id }) => id)).toEqual(["a", "b"].map(bench.id));
});
