import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createProcesses } from "../../../src/platform/processes.ts";
import { DAY_MS, MINUTE_MS, NOW, until } from "../../support/fakes.ts";

const processes = createProcesses(() => NOW);
const own = processes.own();
afterEach(() => {
	vi.restoreAllMocks();
});

/** When Linux says that a process was started. */
function startOf(pid: number): string | undefined {
	const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
	return fields.split(" ")[19];
}

/** A process that runs until it is ended by the test. */
function aProcess() {
	const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000); console.log('up')"], { stdio: "pipe" });
	return {
		pid: child.pid ?? 0,
		isUp: once(child.stdout, "data"),
		end: async () => {
			child.kill("SIGKILL");
			await once(child, "exit");
		},
	};
}

describe.runIf(process.platform === "linux")("the fate of a process", () => {
	it("a process runs, stopped or not, until its end", async () => {
		const other = aProcess();
		await other.isUp;
		const mark = { ...own, pid: other.pid, started: startOf(other.pid) };
		expect([processes.fateOf(own, NOW), processes.fateOf(mark, NOW)]).toEqual(["running", "running"]);
		process.kill(other.pid, "SIGSTOP");
		expect(processes.fateOf(mark, NOW)).toBe("running");
		await other.end();
		expect(processes.fateOf(mark, NOW)).toBe("gone");
	});

	it("a process is gone once it has ended, although its parent has not taken note of that", async () => {
		// The shell turns into a program that knows nothing of the child.
		const parent = spawn("sh", ["-c", "sleep 0 & echo $!; exec sleep 60"], { stdio: "pipe" });
		const [told]: unknown[] = await once(parent.stdout, "data");
		const pid = Number(String(told));
		const started = startOf(pid);
		await until("the child has ended", () => / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")), 4000);
		expect(processes.fateOf({ ...own, pid, started }, NOW)).toBe("gone");
		parent.kill("SIGKILL");
		await once(parent, "exit");
	});

	it("a process is gone if a later one has its id", () => {
		expect(processes.fateOf({ ...own, started: "1" }, NOW)).toBe("gone");
	});

	it("a process of another machine, container or boot is unknown", () => {
		expect(processes.fateOf({ ...own, machine: "other" }, NOW)).toBe("unknown");
	});
});

it("the uptime runs with the machine, and no clock sets it", async () => {
	const before = processes.uptime();
	const elsewhere = createProcesses(() => NOW + DAY_MS).uptime();
	expect([before.machine, elsewhere.machine]).toEqual([own.machine, own.machine]);
	expect(elsewhere.ms - before.ms).toBeGreaterThanOrEqual(0);
	expect(elsewhere.ms - before.ms).toBeLessThan(60_000);
});

describe("the fate of a process of which only the id is known", () => {
	const mark = { pid: process.pid, machine: own.machine };

	it("a process with that id counts as running for two minutes", () => {
		let elapsedMs = 0;
		vi.spyOn(performance, "now").mockImplementation(() => elapsedMs);
		const fresh = createProcesses(() => NOW + 5 * MINUTE_MS);
		expect(fresh.fateOf(mark, NOW)).toBe("running");
		elapsedMs = 2 * MINUTE_MS;
		expect(fresh.fateOf(mark, NOW)).toBe("unknown");
	});

	it("a day later a running id is unknown, and a missing one is gone", () => {
		expect(createProcesses(() => NOW + DAY_MS).fateOf(mark, NOW)).toBe("unknown");
		expect(processes.fateOf({ ...mark, pid: 2 ** 30 }, NOW)).toBe("gone");
	});
});
