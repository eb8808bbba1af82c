import { spawn } from "node:child_process";
import { expect, it, onTestFinished } from "vitest";
import { openEventLog } from "../../src/platform/stores/event-log.ts";
import { aScratch } from "../support/fakes.ts";
import { repositoryRoot } from "../support/hosts.ts";

const NAME = "codex-events.jsonl";
const OLDER = "codex-events.1.jsonl";

it("loses and tears no line of the event log that four processes fill at once", async () => {
	const scratch = aScratch();
	onTestFinished(() => scratch.remove());
	scratch.write(
		"writer.ts",
		`import { openEventLog } from ${JSON.stringify(`${repositoryRoot}/src/platform/stores/event-log.ts`)};
		const [, , path, name] = process.argv;
		const log = openEventLog(path, () => Date.now(), process.pid);
		for (let round = 0; round < 20; round += 1) {
			for (let line = 0; line < 40; line += 1) {
				log.append({ kind: "rotated", account: name + "-" + round + "-" + line, model: "m".repeat(80), scope: "s".repeat(80), window: "w".repeat(80) });
			}
			await log.flush();
		}`,
	);
	const names = ["a", "b", "c", "d"];
	const run = (name: string) =>
		new Promise((resolve) => {
			const args = ["--import", "jiti/register", scratch.path("writer.ts"), scratch.path(NAME), name];
			spawn(process.execPath, args, { cwd: repositoryRoot, stdio: "ignore" }).on("exit", resolve);
		});
	expect(await Promise.all(names.map(run))).toEqual(names.map(() => 0));
	expect(scratch.names("codex")).toEqual([OLDER, NAME]);
	const lines = [OLDER, NAME].flatMap((name) => scratch.text(name).trimEnd().split("\n"));
	// An empty one parts two batches where the end of the first was not to be seen yet.
	for (const line of lines.filter((each) => each !== "")) expect(() => JSON.parse(line)).not.toThrow();
	expect(
		new Set((await openEventLog(scratch.path(NAME), Date.now, 1).read(1e6)).map(({ account }) => account)).size,
	).toBe(4 * 20 * 40);
});
