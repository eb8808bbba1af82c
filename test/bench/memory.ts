import { existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { createAgentDir } from "../support/agent-dir.ts";
import { answers, startFakeCodex } from "../support/fake-codex/index.ts";
import { NEWEST_HOST, prepareHost, repositoryRoot } from "../support/hosts.ts";
import { startRpc } from "../support/pi.ts";
import type { Memory } from "./in-pi/jobs.ts";
import { runInPi } from "./in-pi/run.ts";
import { keep, line, median, option } from "./options.ts";
import { packageInto } from "./package.ts";
import { accountRows } from "./stored-pool.ts";

/**
 * What a session holds after its garbage was collected. First a whole pi in RPC mode, idle and then after some turns:
 * plain, with an empty extension, for which pi loads its transpiler, and with the package, one after the other in turn.
 * Then thousands of requests inside one pi, to see whether anything is kept of each. `--host 1.6.0`, `--rounds 5`,
 * `--prompts 20`, `--looks 5`, `--turns 1000`, `--json <file>`.
 */

const ROUNDS = Number(option("rounds") ?? 5);
const PROMPTS = Number(option("prompts") ?? 20);
const LOOKS = Number(option("looks") ?? 5);
const TURNS = Number(option("turns") ?? 1000);
/** The first requests fill caches, of Node too. */
const WARM_UP = 500;
/** What a session begins by itself is over by then. */
const SETTLED_MS = 2000;
const LONGEST_MS = 20_000;
const KIB = 1024;
const MIB = KIB * KIB;

const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-"));
const extension = await packageInto(join(folder, "package"));
const host = await prepareHost(option("host") ?? NEWEST_HOST);
const memoryFile = join(folder, "memory.json");
const memoryShape = z.object({ heap: z.number(), rss: z.number() });
type Held = z.infer<typeof memoryShape>;

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const VARIANTS = ["plain", "empty", "ours"] as const;
type Variant = (typeof VARIANTS)[number];
const empty = join(folder, "empty.ts");
writeFileSync(empty, "export default function (): void {}\n");
const EXTENSIONS: Readonly<Record<Variant, string | false>> = { plain: false, empty, ours: extension };

/** One pi: what it holds when idle, and after its turns. */
async function session(variant: Variant): Promise<{ readonly idle: Held; readonly busy: Held }> {
	const codex = await startFakeCodex({ accounts: ["a", "b", "c"] });
	const dir = createAgentDir({
		baseUrl: codex.baseUrl,
		auth: { "openai-codex": codex.piAuthEntry("a") },
		accounts: { version: 2, accounts: accountRows(codex, ["b", "c"]) },
	});
	const rpc = startRpc(host, dir, ["--no-tools", "--no-session"], {
		extension: EXTENSIONS[variant],
		env: {
			PI_MULTICODEX_AUTH_URL: codex.issuer,
			NODE_OPTIONS: `--import ${join(repositoryRoot, "test/bench/memory.mjs")}`,
			MEMORY_FILE: memoryFile,
		},
	});
	const look = async () => {
		await later(SETTLED_MS);
		rpc.process.signal("SIGUSR2");
		const deadline = performance.now() + LONGEST_MS;
		while (!existsSync(memoryFile)) {
			if (performance.now() > deadline) throw new Error(`pi does not tell what it holds: ${rpc.process.stderr()}`);
			await later(20);
		}
		const held = memoryShape.parse(JSON.parse(readFileSync(memoryFile, "utf8")));
		rmSync(memoryFile);
		return held;
	};
	try {
		await rpc.command("get_state");
		const idle = await look();
		for (let turn = 0; turn < PROMPTS; turn += 1) {
			const { stopReason } = await rpc.prompt("say hi");
			if (stopReason !== "stop") throw new Error(`a turn ended with ${stopReason}`);
		}
		return { idle, busy: await look() };
	} finally {
		await rpc.close();
		await codex.close();
		dir.remove();
	}
}

type Session = Awaited<ReturnType<typeof session>>;

async function sessions(): Promise<Record<Variant, Session>[]> {
	// The first start fills the caches of the transpiler.
	for (const variant of VARIANTS) await session(variant);
	const rounds: Record<Variant, Session>[] = [];
	for (let round = 0; round < ROUNDS; round += 1) {
		rounds.push({ plain: await session("plain"), empty: await session("empty"), ours: await session("ours") });
	}
	return rounds;
}

/** Of looks after the same number of turns each: how the heap grows, and by how much it wavers, KiB per 1,000 turns. */
function growthOf(memory: readonly Memory[]) {
	const steps = memory.slice(1).map(({ heap, turns }, at) => {
		const before = memory[at];
		return before ? (((heap - before.heap) / KIB) * 1000) / (turns - before.turns) : Number.NaN;
	});
	const [first, last] = [memory[0], memory.at(-1)];
	const grown = first && last ? (((last.heap - first.heap) / KIB) * 1000) / (last.turns - first.turns) : Number.NaN;
	return { grown, from: Math.min(...steps), to: Math.max(...steps), steps };
}

try {
	const rounds = await sessions();
	const added: Record<string, number> = {};
	for (const when of ["idle", "busy"] as const) {
		for (const what of ["heap", "rss"] as const) {
			const mib = (of: (round: Record<Variant, Held>) => number) =>
				median(
					rounds.map(
						({ plain, empty, ours }) => of({ plain: plain[when], empty: empty[when], ours: ours[when] }) / MIB,
					),
				);
			const plain = mib((round) => round.plain[what]);
			const byEmpty = mib((round) => round.empty[what] - round.plain[what]);
			const byUs = mib((round) => round.ours[what] - round.plain[what]);
			const name = when === "idle" ? "an idle session" : `a session after ${PROMPTS} turns`;
			const text = `${byUs.toFixed(1)} MiB, an empty extension ${byEmpty.toFixed(1)}, plain ${plain.toFixed(0)} MiB`;
			line(`pi ${host.name}, ${name}: added ${what}`, text);
			added[`${when} ${what}`] = byUs;
		}
	}
	const growth: Record<string, ReturnType<typeof growthOf>> = {};
	const memory: Record<string, readonly Memory[]> = {};
	for (const side of ["plain", "ours"] as const) {
		const outcome = await runInPi(
			{ kind: "growth", side, turns: TURNS, looks: LOOKS, warmUp: WARM_UP },
			{
				host,
				extension,
				folder,
				prepare: ({ accounts }) => {
					for (const account of accounts) account.always(answers.text("Done.", {}));
				},
			},
		);
		memory[side] = outcome.memory;
		const { grown, from, to } = growthOf(outcome.memory);
		const name = side === "ours" ? "with the package" : "plain";
		const text = `${grown.toFixed(0)} KiB, from ${from.toFixed(0)} to ${to.toFixed(0)}`;
		line(`pi ${host.name}, ${name}: heap grown in 1,000 turns`, text);
		growth[side] = growthOf(outcome.memory);
	}
	keep({ host: host.name, rounds, added, growth, memory });
} finally {
	rmSync(folder, { recursive: true, force: true });
}
