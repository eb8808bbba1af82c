import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { findModernNode, type Host, prepareHost, repositoryRoot } from "../../support/hosts.ts";
import { startRpc } from "../../support/pi.ts";
import { startWorker, type WorkerProcess } from "../chaos/worker-process.ts";
import type { Machine } from "./machine.ts";
import type { Sender } from "./verdict.ts";

/** What came of one turn. */
export interface Answer {
	readonly isAnswered: boolean;
	/** What pi would show of it, or its error. */
	readonly words: string;
}

/** One process at work on a machine. */
export interface Seat extends Sender {
	readonly kind: "pi" | "worker";
	readonly pid: number;
	/** Sends a prompt, `isNew` in a session of its own. Rejects where the process is gone. */
	ask(mark: string, isNew?: boolean): Promise<Answer>;
	/** Types a command, and resolves to what was shown. */
	command(line: string): Promise<readonly string[]>;
	kill(): void;
	/** Lets it end by itself; false where it had to be killed. */
	leave(): Promise<boolean>;
	output(): string;
}

/** How a process of the fleet is started. */
export interface SeatInit {
	readonly name: string;
	readonly machine: Machine;
	readonly kind: "pi" | "worker";
	/** As the backend knows it. */
	readonly issuer: string;
	readonly baseUrl: string;
	/** Name of a guard that is taken out of a worker, and the file of all of them. */
	readonly broken: string | undefined;
	readonly breaks: URL;
	readonly onWrong: (what: string) => void;
}

/** A start on a machine where nine of them start at once. */
const STARTING_MS = 120_000;
const TURN_MS = 150_000;
/** A renewal under way ends first, each of its statements by its own time-out; a real pi does not wait as long. */
const LEAVING_MS = 150_000;

export function startSeat(init: SeatInit): Promise<Seat> {
	return init.kind === "pi" ? startPiSeat(init) : startWorkerSeat(init);
}

/** The extension itself over the stream function of a pi, without the rest of that: starts in a part of the time. */
async function startWorkerSeat(init: SeatInit): Promise<Seat> {
	const { machine, name } = init;
	const worker: WorkerProcess = await startWorker({
		name,
		node: await findModernNode(),
		dir: machine.dir,
		baseUrl: init.baseUrl,
		issuer: init.issuer,
		host: await prepareHost("0.87.1"),
		broken: init.broken,
		trouble: join(machine.dir.home, "trouble"),
		env: {
			...machine.env,
			CHAOS_CLOCK_MS: String(machine.clockMs),
			...(init.broken !== undefined && { CHAOS_BREAKS: init.breaks.pathname }),
		},
		onWrong: init.onWrong,
	});
	let sessions = 0;
	const sit = () => worker.sit(0, `${name}-${++sessions}`);
	await sit();
	return {
		kind: "worker",
		name,
		machine: machine.name,
		pid: worker.pid,
		get killedAt() {
			return worker.killedAt();
		},
		ask: async (mark, isNew = false) => {
			if (isNew) await sit();
			const { reason, words, problems } = await worker.turn({
				do: "turn",
				seat: 0,
				turn: mark,
				transport: "sse",
				abortAfterMs: undefined,
				isAside: false,
			});
			for (const problem of problems.filter((each) => !each.startsWith("shown"))) init.onWrong(`${name}: ${problem}`);
			return { isAnswered: reason === "done", words: reason === "done" ? "" : words || reason };
		},
		command: (line) => worker.command(0, line),
		kill: worker.kill,
		leave: () => worker.leave(LEAVING_MS),
		output: worker.output,
	};
}

async function startPiSeat({ machine, name, issuer }: SeatInit): Promise<Seat> {
	const host: Host = await prepareHost("1.6.0");
	const clock = pathToFileURL(join(repositoryRoot, "test/support/preload/clock.mjs")).href;
	const client = startRpc(host, machine.dir, ["--no-session", "--no-tools"], {
		env: {
			...machine.env,
			PI_MULTICODEX_AUTH_URL: issuer,
			NODE_OPTIONS: `--import=${clock}`,
			TEST_PRELOAD_CLOCK: JSON.stringify({ shiftMs: machine.clockMs }),
		},
	});
	let killedAt: number | undefined;
	const kill = () => {
		if (killedAt === undefined && client.process.signal("SIGKILL")) killedAt = Date.now();
	};
	await client.command("get_state", {}, STARTING_MS);
	return {
		kind: "pi",
		name,
		machine: machine.name,
		pid: client.process.pid,
		get killedAt() {
			return killedAt;
		},
		ask: async (mark, isNew = false) => {
			if (isNew) await client.command("new_session", {}, STARTING_MS);
			const { stopReason, errorMessage, text } = await client.prompt(`turn:${mark};`, TURN_MS);
			return { isAnswered: stopReason === "stop", words: errorMessage ?? text };
		},
		command: async (line) => {
			const before = client.notifications.length;
			await client.send(`/multicodex ${line}`, STARTING_MS);
			return client.notifications.slice(before).map(({ message }) => message);
		},
		kill,
		leave: async () => (await client.close(LEAVING_MS)).signal === null,
		output: () => `${client.process.stdout()}${client.process.stderr()}`,
	};
}
