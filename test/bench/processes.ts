import { mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { createAgentDir } from "../support/agent-dir.ts";
import { answers, startFakeCodex } from "../support/fake-codex/index.ts";
import { findModernNode, NEWEST_HOST, prepareHost } from "../support/hosts.ts";
import { runPi } from "../support/pi.ts";
import type { Locks, Turn } from "./many/orders.ts";
import { type SessionProcess, startSession } from "./many/run.ts";
import { keep, line, median, option, quantile } from "./options.ts";
import { packageInto } from "./package.ts";
import { accountRows } from "./stored-pool.ts";

/**
 * 50 processes on one agent directory, each a session of the package, and some real pis among them. First the sign-ins
 * of all accounts have expired when every process asks at once. Then each process sends one request after the other,
 * as fast as it can: rounds with us and rounds on pi's own stream in the same processes. In the end nothing may be
 * lost. `--processes 50`, `--turns 20`, `--rounds 4`, `--pis 4`, `--json <file>`.
 */

const PROCESSES = Number(option("processes") ?? 50);
const TURNS = Number(option("turns") ?? 20);
const ROUNDS = Number(option("rounds") ?? 4);
const PIS = Number(option("pis") ?? 4);
/** So many are started at a time: a start takes a core. */
const AT_A_TIME = 4;
const NAMES = ["a", "b", "c", "d", "e"];
const EXPIRED = { expiresInMs: -60_000 };
const DURABLE_MS = 15_000;

const stateShape = z.object({
	live: z.record(z.string(), z.unknown()),
	accounts: z.record(z.string(), z.looseObject({ lastUsedAt: z.number().optional() })),
});
const accountsShape = z.object({
	accounts: z.array(z.object({ label: z.string(), credential: z.object({ refresh: z.string() }) })),
});

const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-"));
const extension = await packageInto(join(folder, "package"));
const dist = join(dirname(extension), "dist");
const node = await findModernNode();
const host = await prepareHost(NEWEST_HOST);
const quota = { fiveHour: { usedPercent: 10 }, week: { usedPercent: 20 } };
const codex = await startFakeCodex({ accounts: [...NAMES, "plain"].map((name) => ({ name, quota })) });
for (const account of codex.accounts) account.always(answers.text("Done.", {}));
const rows = accountRows(codex, NAMES, EXPIRED);
const dir = createAgentDir({ baseUrl: codex.baseUrl, accounts: { version: 2, accounts: rows } });
const { access } = codex.grant("plain");
const sessions: SessionProcess[] = [];
const problems: string[] = [];
const expect = (what: string, found: number, wanted: number) => {
	if (found !== wanted) problems.push(`${what}: ${found}, and not ${wanted}`);
};

function sumOf(all: readonly Locks[]): Record<string, { taken: number; refused: number }> {
	const sums: Record<string, { taken: number; refused: number }> = {};
	for (const [name, { taken, refused }] of all.flatMap((locks) => Object.entries(locks))) {
		const { taken: before = 0, refused: refusedBefore = 0 } = sums[name] ?? {};
		sums[name] = { taken: before + taken, refused: refusedBefore + refused };
	}
	return sums;
}

const lockText = (locks: Record<string, { taken: number; refused: number }>) =>
	Object.entries(locks)
		.map(([name, { taken, refused }]) => `${name} taken ${taken}, busy ${refused}`)
		.join("; ") || "none";

/** Every process at once. */
async function all(side: "ours" | "plain", turns: number) {
	const begun = performance.now();
	const replies = await Promise.all(sessions.map((session) => session.ask({ do: "turns", side, turns })));
	const taken: readonly Turn[] = replies.flatMap((reply) => reply.turns);
	return {
		side,
		wallMs: performance.now() - begun,
		cpuMs: replies.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
		first: taken.map(({ first }) => first),
		locks: sumOf(replies.map(({ locks }) => locks)),
	};
}

async function start(): Promise<void> {
	const left = Array.from({ length: PROCESSES }, (_, at) => `session-${at}`);
	const startNext = async () => {
		for (let session = left.shift(); session !== undefined; session = left.shift()) {
			sessions.push(
				await startSession({ node, dir, dist, baseUrl: codex.baseUrl, issuer: codex.issuer, access, session }),
			);
		}
	};
	await Promise.all(Array.from({ length: AT_A_TIME }, startNext));
}

/** Real pis, all at once, among the processes. */
async function somePis(): Promise<number> {
	const runs = Array.from({ length: PIS }, () =>
		runPi(host, dir, ["-p", "--no-tools", "--no-session", "say hi"], {
			extension,
			env: { PI_MULTICODEX_AUTH_URL: codex.issuer },
		}),
	);
	const ended = await Promise.all(runs);
	for (const { stderr } of ended) if (stderr !== "") problems.push(`a pi said: ${stderr}`);
	return ended.filter(({ code, stdout }) => code === 0 && stdout.includes("Done.")).length;
}

async function leaseCount(): Promise<number> {
	const deadline = performance.now() + DURABLE_MS;
	const count = () => Object.keys(stateShape.parse(dir.readJson("codex-state.json")).live).length;
	while (count() < PROCESSES && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 100));
	return count();
}

try {
	await start();
	const beginning = await all("ours", 1);
	const exchanges = codex.tokenRequests();
	expect("refused exchanges", exchanges.filter(({ status }) => status !== 200).length, 0);
	expect("exchanges, one for each account in use", exchanges.length, new Set(exchanges.map((one) => one.account)).size);
	line(`${PROCESSES} processes at once, all sign-ins expired`, `${exchanges.length} exchanges`);
	line("the same: to the first token", `median ${median(beginning.first).toFixed(0)} ms`);
	line("the same: locks", lockText(beginning.locks));
	expect("sessions in the state file", await leaseCount(), PROCESSES);

	const rounds: Awaited<ReturnType<typeof all>>[] = [];
	for (let round = 0; round < ROUNDS; round += 1) {
		const order = round % 2 === 0 ? (["ours", "plain"] as const) : (["plain", "ours"] as const);
		for (const side of order) rounds.push(await all(side, TURNS));
	}
	const of = (side: "ours" | "plain") => rounds.filter((round) => round.side === side);
	const [ours, plain] = [of("ours"), of("plain")];
	const ratioOf = (figure: (round: (typeof rounds)[number]) => number) =>
		median(ours.map((round, at) => figure(round) / figure(plain[at] ?? round)));
	const ratios = {
		wall: ratioOf(({ wallMs }) => wallMs),
		cpu: ratioOf(({ cpuMs }) => cpuMs),
		median: ratioOf(({ first }) => median(first)),
		p99: ratioOf(({ first }) => quantile(first, 0.99)),
	};
	const requests = ours.length * PROCESSES * TURNS;
	const locks = sumOf(ours.map((round) => round.locks));
	line(`${requests} requests of ${PROCESSES} processes: to plain pi`, `${ratios.wall.toFixed(2)} times the whole`);
	line("the same: processor time, to plain pi", ratios.cpu.toFixed(2));
	line("the same: to the first token, to plain pi", `median ${ratios.median.toFixed(2)}, p99 ${ratios.p99.toFixed(2)}`);
	line("the same: locks", lockText(locks));

	const [pis] = await Promise.all([somePis(), all("ours", TURNS)]);
	expect("real pis that were answered", pis, PIS);
	const left = await Promise.all(sessions.map((session) => session.ask({ do: "leave" })));

	const answered = NAMES.reduce((sum, name) => sum + codex.responsesRequests(name).length, 0);
	expect("requests that were answered", answered, PROCESSES + requests + PROCESSES * TURNS + PIS);
	const kept = accountsShape.parse(dir.readJson("codex-accounts.json")).accounts;
	const valid = kept.filter(({ credential }) => codex.refreshState(credential.refresh) === "valid");
	expect("sign-ins that are still good", valid.length, NAMES.length);
	const state = stateShape.parse(dir.readJson("codex-state.json"));
	const served = Object.values(state.accounts).filter(({ lastUsedAt }) => lastUsedAt !== undefined);
	const used = NAMES.filter((name) => codex.responsesRequests(name).length > 0);
	expect("accounts whose use is written down", served.length, used.length);
	expect("files left over", readdirSync(dir.dir).filter((name) => /\.(lock|tmp)|corrupt/.test(name)).length, 0);
	// pi waits for no write longer than a moment when it ends. What is left of a session ends by itself, in five minutes.
	const unwritten = Object.keys(state.live).length;
	line(`${PROCESSES} sessions that end at once: ends not written`, `${unwritten}`);
	line("requests, sign-ins, sessions or files that were lost", `${problems.length}`);
	line("the same: real pis beside them", `${pis} of ${PIS} answered`);
	keep({
		processes: PROCESSES,
		turns: TURNS,
		beginning,
		ratios,
		locks,
		unwritten,
		atTheEnd: sumOf(left.map((one) => one.locks)),
		rounds,
	});
	if (problems.length > 0) throw new Error(problems.join("\n"));
} finally {
	for (const session of sessions) session.kill();
	await codex.close();
	dir.remove();
	rmSync(folder, { recursive: true, force: true });
}
