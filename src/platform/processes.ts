import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname, uptime } from "node:os";
import type { Processes, ProcessMark } from "../core/ports.ts";
import { codeOf } from "./errors.ts";

/** Where only its id is known, a process may be another one that got the id: it is believed for this long. */
const WATCHED_MS = 2 * 60_000;
const LONGEST_BELIEF_MS = 24 * 60 * 60_000;
/** Fields of `/proc/<pid>/stat` behind the name, which ends with the last bracket: the state, and the time of the start. */
const STATE_FIELD = 0;
const STARTED_FIELD = 19;

/** Tells processes apart and whether they run, by more than their id, which is given away again. */
export function createProcesses(now: () => number): Processes {
	let own: ProcessMark | undefined;
	const firstSeen = new Map<string, number>();

	/** By its id alone. By this process's own running time as well as by the clock, which may be set at any moment. */
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
		watch: () => ({ machine: machineId(), ms: Math.round(uptime() * 1000) }),
		fateOf: (mark, since) => {
			if (mark.machine !== machineId()) return "unknown";
			if (mark.started === undefined) return byIdAlone(mark, since);
			const status = statusOf(mark.pid);
			// It may be another user's, whose processes are not shown.
			if (!status) return isThere(mark.pid) ? "unknown" : "gone";
			return status.isRunning && status.started === mark.started ? "running" : "gone";
		},
	};
}

let machine: string | undefined;

/**
 * Tells where ids of processes mean the same: until the machine restarts, and within one container. Elsewhere than on
 * Linux the name of the machine has to do.
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
		// No Linux, or one that shows neither.
		return hostname();
	}
}

/** What Linux says of a process; undefined where there is none, or where it is not Linux. */
function statusOf(pid: number): { readonly started: string; readonly isRunning: boolean } | undefined {
	try {
		const text = readFileSync(`/proc/${pid}/stat`, "utf8");
		const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
		const [state = "", started] = [fields[STATE_FIELD], fields[STARTED_FIELD]];
		// One that has ended stays until its parent has asked for it.
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
