import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished } from "vitest";
import { z } from "zod";
import { repositoryRoot } from "../support/hosts.ts";
import { wide } from "../support/tiers.ts";

const run = promisify(execFile);

/** Each benchmark as short as it gets: that it runs, not what it measures. */
const SHORTEST: Readonly<Record<string, readonly string[]>> = {
	streams: ["--pairs", "2", "--deltas", "2"],
	accounts: [],
	sockets: ["--host", "1.6.0", "--pairs", "2", "--deltas", "5", "--rounds", "1"],
	processes: ["--processes", "3", "--turns", "2", "--rounds", "2", "--pis", "1"],
	dashboard: ["--rounds", "1"],
	pool: ["--processes", "2", "--accounts", "3", "--turns", "1", "--refusals", "1", "--starts", "1"],
	memory: ["--rounds", "1", "--prompts", "1", "--looks", "1", "--turns", "5"],
};

const keptShape = z.looseObject({ node: z.string(), at: z.string() });

wide.each(Object.entries(SHORTEST))("the benchmark %s runs, and keeps its figures as JSON", async (name, options) => {
	const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-test-"));
	onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
	const file = join(folder, "figures.json");
	const program = join(repositoryRoot, `test/bench/${name}.ts`);
	const { stdout } = await run(process.execPath, ["--import", "jiti/register", program, ...options, "--json", file], {
		cwd: repositoryRoot,
	});
	expect(stdout).not.toMatch(/NaN|undefined|Infinity/);
	expect(stdout.trim().split("\n").length).toBeGreaterThan(1);
	keptShape.parse(JSON.parse(readFileSync(file, "utf8")));
});
