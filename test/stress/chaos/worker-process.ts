import { type ChildProcess, fork } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { AgentDir } from "../../support/agent-dir.ts";
import { type Host, repositoryRoot, siblingFile } from "../../support/hosts.ts";
import { killAtExit, outputTail } from "../../support/launch.ts";
import type { Measure, Message, Order, TurnOrder, TurnReport } from "./orders.ts";

/** Thrown at a caller that waits for a process that was killed. */
export class KilledWorker extends Error {}

/** Orders that are waited for; the ticket is ours. */
type Ticketed<T> = T extends { readonly ticket: number } ? Omit<T, "ticket"> : never;

/** How a process is started. */
export interface WorkerInit {
	readonly name: string;
	readonly node: string;
	readonly dir: AgentDir;
	readonly baseUrl: string;
	readonly issuer: string;
	/** The pi whose packages the extension gets: 0.73.1, which knows its sockets by session alone, or 0.87.1. */
	readonly host: Host;
	/** Name of a guard that is taken out. */
	readonly broken: string | undefined;
	/** The disk is what this file says, while it is there. */
	readonly trouble: string;
	/** Added to its environment. */
	readonly env?: Readonly<Record<string, string>>;
	readonly onWrong: (what: string) => void;
}

/** One process of the chaos, from its start to its end. */
export interface WorkerProcess {
	readonly name: string;
	readonly pid: number;
	/** Epoch ms. */
	killedAt(): number | undefined;
	turn(order: TurnOrder): Promise<TurnReport>;
	sit(seat: number, session: string): Promise<void>;
	command(seat: number, line: string): Promise<readonly string[]>;
	measure(): Promise<Measure>;
	tell(order: Extract<Order, { readonly do: "abort" | "jump" }>): void;
	signal(name: "SIGSTOP" | "SIGCONT"): void;
	kill(): void;
	/** Lets it end by itself; false where it had to be killed after `timeoutMs`. */
	leave(timeoutMs: number): Promise<boolean>;
	/** Everything that it has written. */
	output(): string;
}

/** Where it is not `dist/index.js`. */
const ENTRY_OF_PI_AI: Readonly<Record<string, string>> = { "0.87.1": "dist/compat.js" };

const preload = (path: string) => `--import=${pathToFileURL(join(repositoryRoot, path)).href}`;

/** Starts a process; resolves when it takes orders. */
export async function startWorker(init: WorkerInit): Promise<WorkerProcess> {
	const { name, node, dir, onWrong } = init;
	const child: ChildProcess = fork(fileURLToPath(new URL("worker.ts", import.meta.url)), [], {
		execPath: node,
		execArgv: [
			"--expose-gc",
			"--disable-warning=ExperimentalWarning",
			preload("test/stress/chaos/preload.mjs"),
			preload("test/support/preload/disk.mjs"),
		],
		cwd: dir.cwd,
		env: {
			PATH: process.env.PATH,
			HOME: dir.home,
			TZ: "UTC",
			PI_CODING_AGENT_DIR: dir.dir,
			PI_MULTICODEX_AUTH_URL: init.issuer,
			CHAOS_BASE_URL: init.baseUrl,
			CHAOS_HOST: init.host.name,
			CHAOS_PI_AI: siblingFile(init.host, "pi-ai", ENTRY_OF_PI_AI[init.host.name] ?? "dist/index.js"),
			CHAOS_PI_TUI: siblingFile(init.host, "pi-tui", "dist/index.js"),
			TEST_PRELOAD_DISK: JSON.stringify({ folder: dir.dir, trouble: init.trouble }),
			...(init.broken !== undefined && { CHAOS_BREAK: init.broken }),
			...init.env,
		},
		stdio: ["ignore", "pipe", "pipe", "ipc"],
	});
	const { pid } = child;
	if (pid === undefined) throw new Error(`${name} could not be started`);
	const forget = killAtExit(pid);
	let written = "";
	for (const stream of [child.stdout, child.stderr]) {
		stream?.setEncoding("utf8").on("data", (text: string) => {
			written += text;
		});
	}

	let killedAt: number | undefined;
	let isLeaving = false;
	let tickets = 0;
	const waiting = new Map<string, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
	const ended = new Promise<void>((resolve) => {
		child.once("exit", (code, signal) => {
			forget();
			if (killedAt === undefined && !(isLeaving && code === 0))
				onWrong(`${name} ended by itself: ${code ?? signal}\n${outputTail(written)}`);
			for (const { reject } of waiting.values()) reject(new KilledWorker(`${name} is gone`));
			waiting.clear();
			resolve();
		});
	});
	const expected = <T>(key: string): Promise<T> => {
		if (killedAt !== undefined || child.exitCode !== null) return Promise.reject(new KilledWorker(`${name} is gone`));
		// What comes under the key is what was asked for under it.
		return new Promise<T>((resolve, reject) =>
			waiting.set(key, { resolve: resolve as (value: unknown) => void, reject }),
		);
	};
	const settle = (key: string, value: unknown) => {
		waiting.get(key)?.resolve(value);
		waiting.delete(key);
	};
	const send = (order: Order) => {
		if (child.connected) child.send(order, () => undefined);
	};
	const ask = <T>(order: Ticketed<Order>): Promise<T> => {
		tickets += 1;
		const answer = expected<T>(`ticket ${tickets}`);
		send({ ...order, ticket: tickets } as Order);
		return answer;
	};
	child.on("message", (message: Message) => {
		switch (message.did) {
			case "start":
			case "leave":
				return settle(message.did, undefined);
			case "turn":
				return settle(`turn ${message.report.turn}`, message.report);
			case "order":
				return settle(`ticket ${message.ticket}`, message.told);
			case "measure":
				return settle(`ticket ${message.ticket}`, message.measure);
			case "wrong":
				onWrong(`${name}: ${message.what}`);
		}
	});
	const kill = () => {
		if (killedAt !== undefined || child.exitCode !== null) return;
		killedAt = Date.now();
		child.kill("SIGKILL");
	};
	await expected("start");
	return {
		name,
		pid,
		killedAt: () => killedAt,
		turn: (order) => {
			const report = expected<TurnReport>(`turn ${order.turn}`);
			send(order);
			return report;
		},
		sit: async (seat, session) => {
			await ask({ do: "sit", seat, session });
		},
		command: (seat, line) => ask({ do: "command", seat, line }),
		measure: () => ask({ do: "measure" }),
		tell: send,
		signal: (signal) => {
			if (killedAt === undefined && child.exitCode === null) child.kill(signal);
		},
		kill,
		leave: async (timeoutMs) => {
			isLeaving = true;
			send({ do: "leave" });
			let isOverdue = false;
			const timer = setTimeout(() => {
				isOverdue = true;
				kill();
			}, timeoutMs);
			await ended;
			clearTimeout(timer);
			return !isOverdue;
		},
		output: () => written,
	};
}
