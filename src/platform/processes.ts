import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname, uptime } from "node:os";
import type { Processes, ProcessMark } from "../core/ports.ts";
import { codeOf } from "./files/errors.ts";

/** A process known only by its pid counts as running for at most this long, since pids are reused. */
const WATCHED_MS = 2 * 60_000;
const LONGEST_BELIEF_MS = 24 * 60 * 60_000;
/** Positions in `/proc/<pid>/stat` after the name, which ends with the last bracket: state and start time. */
const STATE_FIELD = 0;
const STARTED_FIELD = 19;

/** Identifies processes, and finds out whether they run, by more than the pid, which the system reuses. */
export function createProcesses(now: () => number): Processes {
	let own: ProcessMark | undefined;
	const firstSeen = new Map<string, number>();

	/** Returns the fate by the pid alone. Considers this process's running time besides the clock, which may be set. */
	const byIdAlone = ({ pid }: ProcessMark, since: number) => {
		if (!isThere(pid)) return "gone";
		const key = `${pid} ${since}`;
		const seenAt = firstSeen.get(key) ?? performance.now();
		firstSeen.set(key, seenAt);
		const isWatched = performance.now() - seenAt >= WATCHED_MS;
		return isWatched || Math.abs(now() - since) >= LONGEST_BELIEF_MS ? "unknown" : "running";
	};

	return {
		own: () => {
			own ??= { pid: process.pid, started: statusOf(process.pid)?.started, machine: machineId() };
			return own;
		},
		uptime: () => ({ machine: machineId(), ms: Math.round(uptime() * 1000) }),
		fateOf: (mark, since) => {
			if (mark.machine !== machineId()) return "unknown";
			if (mark.started === undefined) return byIdAlone(mark, since);
			const status = statusOf(mark.pid);
			// The process may be hidden because it belongs to another user.
			if (!status) return isThere(mark.pid) ? "unknown" : "gone";
			return status.isRunning && status.started === mark.started ? "running" : "gone";
		},
	};
}

let machine: string | undefined;

/**
 * Names the scope in which a pid is unique: one container, until the machine restarts. Outside Linux it is the name of
 * the machine.
 */
function machineId(): string {
	machine ??= createHash("sha256").update(placeOf()).digest("hex").slice(0, 12);
	return machine;
}

function placeOf(): string {
	try {
		const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
		return `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
	} catch {
		// Not Linux, or a system that hides both.
		return hostname();
	}
}

/** Reads the state and start of a process on Linux; undefined if it does not exist, or on another system. */
function statusOf(pid: number): { readonly started: string; readonly isRunning: boolean } | undefined {
	try {
		const text = readFileSync(`/proc/${pid}/stat`, "utf8");
		const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
		const [state = "", started] = [fields[STATE_FIELD], fields[STARTED_FIELD]];
		// An ended process stays as a zombie until its parent has read its result.
		return started === undefined ? undefined : { started, isRunning: !"ZXx".includes(state) };
	} catch {
		return undefined;
	}
}

function isThere(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return codeOf(error) === "EPERM";
	}
}
