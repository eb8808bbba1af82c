import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { AccountId } from "../../src/core/ids.ts";
import { type AgentDir, createAgentDir } from "../support/agent-dir.ts";
import { answers, type FakeCodex, startFakeCodex } from "../support/fake-codex/index.ts";
import { findModernNode } from "../support/hosts.ts";
import { foundPool, sharedAccountOf, type TestPool } from "../support/pool.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { type SessionProcess, startSession } from "./many/run.ts";
import { keep, line, median, option, quantile } from "./options.ts";
import { packageInto } from "./package.ts";

/**
 * A pool in a real PostgreSQL, and processes of the package on two machines (homes) that share it. For 1 to 50
 * processes on one machine: connections, and statements per turn. For 1 to 1,000 accounts: how long until the other
 * machine knows of a refusal, and what a look and a turn take. In the end: turns while every answer of the database
 * takes three seconds, and a first turn with the database stopped. `--processes 1,10,50`, `--accounts 1,10,100,1000`,
 * `--turns 5`, `--refusals 20`, `--starts 5`, `--json <file>`.
 */

const PROCESSES = (option("processes") ?? "1,10,50").split(",").map(Number);
const ACCOUNTS = (option("accounts") ?? "1,10,100,1000").split(",").map(Number);
const TURNS = Number(option("turns") ?? 5);
const REFUSALS = Number(option("refusals") ?? 20);
const STARTS = Number(option("starts") ?? 5);
const AT_A_TIME = 4;
/** What is behind a start has been asked for by then. */
const SETTLED_MS = 3000;
const SLOW_MS = 3000;
const KNOWN_WITHIN_MS = 70_000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const stateShape = z.object({
	accounts: z.record(z.string(), z.looseObject({ cooldowns: z.array(z.unknown()).optional() })),
});

/** Two machines on one pool. */
interface Fleet {
	readonly codex: FakeCodex;
	readonly pool: TestPool;
	readonly proxy: PostgresProxy;
	readonly url: string;
	readonly homes: readonly AgentDir[];
	start(home: AgentDir, session: string): Promise<SessionProcess>;
	end(): Promise<void>;
}

const folder = mkdtempSync(join(realpathSync(tmpdir()), "bench-"));
const dist = join(dirname(await packageInto(join(folder, "package"))), "dist");
const node = await findModernNode();

async function aFleet(server: TestPostgres, accounts: number): Promise<Fleet> {
	const names = Array.from({ length: accounts }, (_, index) => `a${index + 1}`);
	const codex = await startFakeCodex({ accounts: names });
	for (const account of codex.accounts) account.always(answers.text("Done.", {}));
	const url = await server.database();
	const pool = await foundPool(
		url,
		names.map((name) => sharedAccountOf(codex, name)),
	);
	const proxy = await startPostgresProxy(server.port);
	const homes = ["one", "two"].map(() => createAgentDir({ baseUrl: codex.baseUrl }));
	for (const [at, home] of homes.entries()) await pool.join(home, `machine-${at + 1}`, proxy.through(url));
	const sessions: SessionProcess[] = [];
	return {
		codex,
		pool,
		proxy,
		url,
		homes,
		start: async (dir, session) => {
			const { baseUrl, issuer } = codex;
			const begun = await startSession({ node, dir, dist, baseUrl, issuer, access: "", session, mode: "rpc" });
			sessions.push(begun);
			return begun;
		},
		end: async () => {
			for (const session of sessions) session.kill();
			await pool.database.end();
			await proxy.close();
			await codex.close();
			for (const home of homes) home.remove();
		},
	};
}

async function ofProcesses(server: TestPostgres, count: number) {
	const fleet = await aFleet(server, 5);
	try {
		const [home] = fleet.homes;
		if (!home) throw new Error("no home");
		const left = Array.from({ length: count }, (_, at) => `session-${at}`);
		const sessions: SessionProcess[] = [];
		let most = 0;
		const looking = setInterval(() => {
			most = Math.max(most, fleet.proxy.connections());
		}, 20);
		const startNext = async () => {
			for (let name = left.shift(); name !== undefined; name = left.shift())
				sessions.push(await fleet.start(home, name));
		};
		await Promise.all(Array.from({ length: AT_A_TIME }, startNext));
		// The first turn of each is its start.
		await Promise.all(sessions.map((session) => session.ask({ do: "turns", side: "ours", turns: 1 })));
		await pause(SETTLED_MS);
		const before = fleet.proxy.traffic().statements;
		const beganAt = performance.now();
		for (let turn = 0; turn < TURNS; turn += 1) {
			await Promise.all(sessions.map((session) => session.ask({ do: "turns", side: "ours", turns: 1 })));
			await pause(1000);
		}
		await pause(1000);
		const taken = fleet.proxy.traffic().statements - before;
		const seconds = (performance.now() - beganAt) / 1000;
		clearInterval(looking);
		return {
			processes: count,
			mostConnections: most,
			connections: fleet.proxy.connections(),
			perTurn: taken / (TURNS * count),
			perSecond: taken / seconds,
		};
	} finally {
		await fleet.end();
	}
}

async function ofAccounts(server: TestPostgres, count: number) {
	const fleet = await aFleet(server, count);
	try {
		const [here, there] = fleet.homes;
		if (!here || !there) throw new Error("no homes");
		const [asking, watching] = [await fleet.start(here, "asking"), await fleet.start(there, "watching")];
		for (const session of [asking, watching]) await session.ask({ do: "turns", side: "ours", turns: 1 });
		await pause(SETTLED_MS);
		const first = (await asking.ask({ do: "turns", side: "ours", turns: 10 })).turns.map((turn) => turn.first);
		const looks: number[] = [];
		const known = { rows: new Map<AccountId, number>(), statuses: new Map<AccountId, number>() };
		for (const { id, version } of (await fleet.pool.database.look(known)).rows) known.rows.set(id, version);
		for (let look = 0; look < 10; look += 1) {
			const beganAt = performance.now();
			await fleet.pool.database.look(known);
			looks.push(performance.now() - beganAt);
		}
		const knownAfter: number[] = [];
		for (let refusal = 0; refusal < Math.min(REFUSALS, count - 1); refusal += 1) {
			knownAfter.push(await refuseOnce(fleet, asking, there));
		}
		return { accounts: count, first: median(first), look: median(looks), knownAfter };
	} finally {
		await fleet.end();
	}
}

/** From the end of a refusal until the file of the other machine has the cooldown, ms. */
async function refuseOnce({ codex }: Fleet, asking: SessionProcess, there: AgentDir): Promise<number> {
	const before = codex.requests.length;
	let isOpen = true;
	for (const account of codex.accounts) {
		account.always(() => {
			if (!isOpen) return answers.text("Done.", {});
			isOpen = false;
			return answers.usageLimit({ resetsInMs: 3_600_000 });
		});
	}
	const resting = () => {
		const { accounts } = stateShape.parse(there.readJson("codex-state.json") ?? { accounts: {} });
		return Object.values(accounts).filter(({ cooldowns = [] }) => cooldowns.length > 0).length;
	};
	const restingBefore = resting();
	const turn = asking.ask({ do: "turns", side: "ours", turns: 1 });
	const refused = await codex.waitFor(
		(request) => codex.requests.indexOf(request) >= before && request.status === 429 && request.endedAt !== undefined,
		20_000,
	);
	const at = refused.endedAt ?? 0;
	while (resting() === restingBefore) {
		if (Date.now() - at > KNOWN_WITHIN_MS) throw new Error("the other machine never heard of a refusal");
		await pause(2);
	}
	const ms = Date.now() - at;
	await turn;
	return ms;
}

/** Turns while each answer of the database is slow, and the first turn of a process without it. */
async function without(server: TestPostgres) {
	const fleet = await aFleet(server, 3);
	try {
		const [home] = fleet.homes;
		if (!home) throw new Error("no home");
		const session = await fleet.start(home, "slow");
		const ask = async (each: SessionProcess) =>
			(await each.ask({ do: "turns", side: "ours", turns: 1 })).turns.map(({ total }) => total);
		await ask(session);
		await pause(SETTLED_MS);
		const fast: number[] = [];
		for (let turn = 0; turn < 5; turn += 1) fast.push(...(await ask(session)));
		fleet.proxy.delay(SLOW_MS);
		const slow: number[] = [];
		for (let turn = 0; turn < 5; turn += 1) slow.push(...(await ask(session)));
		fleet.proxy.delay(0);
		const start = async (name: string) => {
			const beganAt = performance.now();
			await ask(await fleet.start(home, name));
			return performance.now() - beganAt;
		};
		const starts: { readonly up: number; readonly down: number }[] = [];
		for (let round = 0; round < STARTS; round += 1) {
			const up = await start(`up-${round}`);
			fleet.proxy.refuse(true);
			fleet.proxy.cut();
			const down = await start(`down-${round}`);
			fleet.proxy.refuse(false);
			starts.push({ up, down });
		}
		return { fast: median(fast), slow: median(slow), ratio: median(starts.map(({ up, down }) => down / up)) };
	} finally {
		await fleet.end();
	}
}

const server = await startPostgres();
try {
	const processes: Awaited<ReturnType<typeof ofProcesses>>[] = [];
	for (const count of PROCESSES) {
		const figures = await ofProcesses(server, count);
		processes.push(figures);
		const { mostConnections, connections, perTurn } = figures;
		line(
			`${count} processes on one machine: connections at most, at rest; statements behind a turn`,
			`${mostConnections}, ${connections}; ${perTurn.toFixed(2)}`,
		);
	}
	const accounts: Awaited<ReturnType<typeof ofAccounts>>[] = [];
	for (const count of ACCOUNTS) {
		const figures = await ofAccounts(server, count);
		accounts.push(figures);
		const { first, look, knownAfter } = figures;
		const known =
			knownAfter.length === 0
				? "none to refuse"
				: `median ${median(knownAfter).toFixed(0)} ms, p95 ${quantile(knownAfter, 0.95).toFixed(0)} ms`;
		line(
			`${count} accounts: a refusal is known on the other machine; a look; a first token`,
			`${known}; ${look.toFixed(1)} ms; ${first.toFixed(1)} ms`,
		);
	}
	const slow = await without(server);
	line(
		"a turn, and one while each answer of the database takes 3 s",
		`${slow.fast.toFixed(0)}, ${slow.slow.toFixed(0)} ms`,
	);
	line("start and first turn with the database stopped, to one with it", slow.ratio.toFixed(2));
	keep({ processes, accounts, slow });
} finally {
	await server.close();
	rmSync(folder, { recursive: true, force: true });
}
