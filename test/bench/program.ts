import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { bundle } from "../../scripts/bundle.ts";
import { repositoryRoot } from "../support/hosts.ts";
import { keep, line, median, option } from "./options.ts";
import { openStoredPool } from "./stored-pool.ts";

/**
 * Prints what one look at the program without pi costs, from its start to its end, to `node -e 0` in the same round;
 * `--rounds 31`.
 */
const rounds = Number(option("rounds") ?? 31);
const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-"));
const program = join(folder, "bin/pi-multicodex.cjs");

/** Milliseconds of a run of Node; `status` is the exit code of one that did its work. */
function timed(words: readonly string[], directory: string): number {
	const began = performance.now();
	const env = { ...process.env, PI_CODING_AGENT_DIR: directory };
	const { status, stderr } = spawnSync(process.execPath, words, { env, encoding: "utf8" });
	if (status !== 0 || stderr !== "") throw new Error(`node ${words.join(" ")}: exit code ${status}, ${stderr}`);
	return performance.now() - began;
}

const figures: Record<string, unknown> = {};
try {
	await bundle(join(folder, "dist"));
	mkdirSync(dirname(program));
	cpSync(join(repositoryRoot, "bin/pi-multicodex.cjs"), program);
	cpSync(join(repositoryRoot, "package.json"), join(folder, "package.json"));
	for (const total of [3, 100]) {
		const stored = openStoredPool(total);
		const directory = dirname(stored.statePath);
		const [plain, own]: [number[], number[]] = [[], []];
		for (let round = 0; round <= rounds; round += 1) {
			const bare = timed(["-e", "0"], directory);
			const looked = timed([program, "status", "--line"], directory);
			// The first round warms the caches of the disk.
			if (round > 0) plain.push(bare);
			if (round > 0) own.push(looked);
		}
		await stored.remove();
		const ratio = median(own.map((ms, round) => ms / (plain[round] ?? Number.NaN)));
		figures[`${total} accounts`] = { plain, own, ratio };
		const times = `${median(own).toFixed(0)} ms, node -e 0 ${median(plain).toFixed(0)} ms`;
		line(`status --line, ${total} accounts`, `${ratio.toFixed(2)} (${times})`);
	}
} finally {
	rmSync(folder, { recursive: true });
}
keep({ rounds, ...figures });
