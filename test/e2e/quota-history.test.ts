import { spawn } from "node:child_process";
import { once } from "node:events";
import { statSync } from "node:fs";
import { expect, it, onTestFinished } from "vitest";
import { HISTORY_BYTES, openQuotaHistory } from "../../src/platform/quota-history-store.ts";
import { aScratch, HOUR_MS, NOW } from "../support/fakes.ts";
import { repositoryRoot } from "../support/hosts.ts";
import { expectMode } from "../support/posix.ts";

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
		`import { openQuotaHistory } from ${JSON.stringify(`${repositoryRoot}/src/platform/quota-history-store.ts`)};
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
