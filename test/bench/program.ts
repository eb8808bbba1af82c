import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { bundle } from "../../scripts/bundle.ts";
import { repositoryRoot } from "../support/hosts.ts";
import { keep, line, median, option } from "./options.ts";
import { openStoredPool } from "./stored-pool.ts";

/**
 * Prints what one look at the program without pi costs, from its start to its end, to `node -e 0` in the same round: by
 * the clock, and in processor time, on which other work of the machine has less of an influence; `--rounds 31`.
 */
const rounds = Number(option("rounds") ?? 31);
const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-"));
const program = join(folder, "bin/pi-multicodex.cjs");

const cpuFile = join(folder, "cpu-ms");
/** Preloaded: says at the end how much processor time the run took. CommonJS, since Node loads that sooner. */
const preloaded = join(folder, "cpu-time.cjs");
writeFileSync(
	preloaded,
	`process.on("exit", () => {
		const { user, system } = process.cpuUsage();
		require("node:fs").writeFileSync(${JSON.stringify(cpuFile)}, String((user + system) / 1000));
	});`,
);

/** Milliseconds of a run of Node. */
interface Run {
	readonly wall: number;
	readonly cpu: number;
}

/** Runs Node; a run that fails is no figure. */
function timed(words: readonly string[], directory: string): Run {
	const env = { ...process.env, PI_CODING_AGENT_DIR: directory };
	const run = (...options: string[]) => {
		const began = performance.now();
		const { status, stderr } = spawnSync(process.execPath, [...options, ...words], { env, encoding: "utf8" });
		if (status !== 0 || stderr !== "") throw new Error(`node ${words.join(" ")}: exit code ${status}, ${stderr}`);
		return performance.now() - began;
	};
	const wall = run();
	run("--require", preloaded);
	return { wall, cpu: Number(readFileSync(cpuFile, "utf8")) };
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
		const [plain, own]: [Run[], Run[]] = [[], []];
		for (let round = 0; round <= rounds; round += 1) {
			const bare = timed(["-e", "0"], directory);
			const looked = timed([program, "status", "--line"], directory);
			// The first round warms the caches of the disk.
			if (round > 0) plain.push(bare);
			if (round > 0) own.push(looked);
		}
		await stored.remove();
		for (const kind of ["wall", "cpu"] as const) {
			const [ofPlain, ofOwn] = [plain.map((run) => run[kind]), own.map((run) => run[kind])];
			const ratio = median(ofOwn.map((ms, round) => ms / (ofPlain[round] ?? Number.NaN)));
			figures[`${total} accounts, ${kind}`] = { plain: ofPlain, own: ofOwn, ratio };
			const times = `${median(ofOwn).toFixed(0)} ms, node -e 0 ${median(ofPlain).toFixed(0)} ms`;
			line(`status --line, ${total} accounts, ${kind}`, `${ratio.toFixed(2)} (${times})`);
		}
	}
} finally {
	rmSync(folder, { recursive: true });
}
keep({ rounds, ...figures });
