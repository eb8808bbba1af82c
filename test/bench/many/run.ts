import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { AgentDir } from "../../support/agent-dir.ts";
import { killAtExit, outputTail } from "../../support/launch.ts";
import type { Order, Reply } from "./orders.ts";

/** What a process is started with. */
export interface SessionInit {
	readonly node: string;
	readonly dir: AgentDir;
	/** Folder of the bundle. */
	readonly dist: string;
	readonly baseUrl: string;
	readonly issuer: string;
	/** Access token for pi's own stream. */
	readonly access: string;
	readonly session: string;
	/** Of the pi; default: print. */
	readonly mode?: "print" | "rpc";
}

/** One process of many. */
export interface SessionProcess {
	/** Resolves with the reply to an order. */
	ask<K extends Order["do"]>(order: Extract<Order, { do: K }>): Promise<Extract<Reply, { did: K }>>;
	kill(): void;
}

/** Starts a process; resolves when its session has begun. Whatever it complains of fails the next answer. */
export async function startSession(init: SessionInit): Promise<SessionProcess> {
	const { dir } = init;
	const child: ChildProcess = fork(fileURLToPath(new URL("session.ts", import.meta.url)), [], {
		execPath: init.node,
		execArgv: ["--disable-warning=ExperimentalWarning"],
		cwd: dir.cwd,
		env: {
			PATH: process.env.PATH,
			HOME: dir.home,
			PI_CODING_AGENT_DIR: dir.dir,
			PI_MULTICODEX_AUTH_URL: init.issuer,
			BENCH_DIST: init.dist,
			BENCH_BASE_URL: init.baseUrl,
			BENCH_ACCESS: init.access,
			BENCH_SESSION: init.session,
			...(init.mode !== undefined && { BENCH_MODE: init.mode }),
		},
		stdio: ["ignore", "pipe", "pipe", "ipc"],
	});
	if (child.pid === undefined) throw new Error("a process could not be started");
	const forget = killAtExit(child.pid);
	let written = "";
	for (const stream of [child.stdout, child.stderr]) {
		stream?.setEncoding("utf8").on("data", (text: string) => {
			written += text;
		});
	}
	const waiting = new Map<Reply["did"], { resolve: (reply: Reply) => void; reject: (error: Error) => void }>();
	const fail = (why: string) => {
		for (const { reject } of waiting.values()) reject(new Error(`${init.session}: ${why}\n${outputTail(written)}`));
		waiting.clear();
	};
	child.on("message", (reply: Reply) => {
		if (reply.did === "complain") return fail(reply.text);
		waiting.get(reply.did)?.resolve(reply);
		waiting.delete(reply.did);
	});
	child.once("exit", (code, signal) => {
		forget();
		fail(`ended with ${code ?? signal}`);
	});
	const expected = (did: Reply["did"]) =>
		new Promise<Reply>((resolve, reject) => {
			waiting.set(did, { resolve, reject });
		});
	await expected("begin");
	return {
		ask: async <K extends Order["do"]>(order: Extract<Order, { do: K }>) => {
			const reply = expected(order.do);
			child.send(order);
			const answer = await reply;
			if (!isTo(answer, order.do)) throw new Error(`asked for ${order.do}, and got ${answer.did}`);
			return answer;
		},
		kill: () => void child.kill("SIGKILL"),
	};
}

function isTo<K extends Order["do"]>(reply: Reply, did: K): reply is Extract<Reply, { did: K }> {
	return reply.did === did;
}
