import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createHooks } from "../../src/features/notify/hook.ts";
import { until } from "../support/fakes.ts";
import { scratchForEach } from "../support/scratch-for-each.ts";

/** Enough for Node to start on a busy machine, where that is what a test is about. */
const PATIENT_MS = 60_000;
/** What ends commands that take too long, in these tests. */
const HASTY_MS = 3000;
const DOCUMENT = `${JSON.stringify({ version: 1, text: "職場 is ready again." })}\n`;

const scratch = scratchForEach();

/** A command that runs `program` in Node, with `args` behind it. */
const node = (program: string, ...args: string[]) => [process.execPath, "-e", program, ...args];
const isRunning = (pid: number) => {
	try {
		return process.kill(pid, 0);
	} catch {
		return false;
	}
};

it("a command gets the document whole, its arguments as they stand, and the home folder", async () => {
	const out = scratch.path("out");
	const program = `
		const { readFileSync, writeFileSync } = require("node:fs");
		const [out, ...args] = process.argv.slice(1);
		writeFileSync(out, JSON.stringify({ args, cwd: process.cwd(), text: readFileSync(0, "utf8") }));
	`;
	const odd = ["$(touch x)", "; rm", "a b", "", "*", "\\"];
	expect(await createHooks(PATIENT_MS).run(node(program, out, ...odd), DOCUMENT)).toEqual({ kind: "done" });
	const { homedir } = await import("node:os");
	expect(JSON.parse(readFileSync(out, "utf8"))).toEqual({ args: odd, cwd: homedir(), text: DOCUMENT });
});

it.each([
	["fails", "process.exit(3)", { kind: "exit", code: 3 }],
	["kills itself", 'process.kill(process.pid, "SIGABRT")', { kind: "signal", signal: "SIGABRT" }],
	["does not read", "process.stdin.destroy(); setTimeout(() => process.exit(0), 50)", { kind: "done" }],
	["floods its output and ends", 'for (let n = 0; n < 9e3; n += 1) console.log("x".repeat(9e3))', { kind: "done" }],
])("a command that %s has its own kind of end, and costs pi nothing", async (_what, program, end) => {
	const before = process.memoryUsage().rss;
	expect(await createHooks(PATIENT_MS).run(node(program), "x".repeat(300_000))).toEqual(end);
	expect(process.memoryUsage().rss - before).toBeLessThan(80e6);
});

/** Programs that do not end by themselves, each after it has started another. */
const ENDLESS: Readonly<Record<string, string>> = {
	hangs: "setInterval(() => {}, 1000)",
	stubborn: 'for (const s of ["SIGTERM", "SIGINT", "SIGHUP"]) process.on(s, () => {}); setInterval(() => {}, 9)',
	floods: 'for (;;) require("node:fs").writeSync(1, "x".repeat(9e3))',
};

it("a command that hangs, ignores signals or floods its output is ended in time, with all that it started", async () => {
	const ends = Object.entries(ENDLESS).map(([name, program]) => {
		const withChild = `
			const child = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
			require("node:fs").writeFileSync(${JSON.stringify(scratch.path(name))}, process.pid + " " + child.pid);
			${program}
		`;
		return createHooks(HASTY_MS).run(node(withChild), DOCUMENT);
	});
	expect(await Promise.all(ends)).toEqual(Object.keys(ENDLESS).map(() => ({ kind: "late" })));
	const started = Object.keys(ENDLESS).flatMap((name) => scratch.text(name).split(" ").map(Number));
	expect(started).toHaveLength(6);
	await until("all to be gone", () => !started.some(isRunning));
});

it("a program that a command leaves behind goes on, and holds nothing of pi", async () => {
	const began = scratch.path("began");
	const pipes = () => process.getActiveResourcesInfo().filter((kind) => kind === "PipeWrap").length;
	const before = pipes();
	const program = `
		const options = { detached: true, stdio: ["inherit", "ignore", "ignore"] };
		const left = require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], options);
		require("node:fs").writeFileSync(${JSON.stringify(began)}, String(left.pid));
		process.exit(0);
	`;
	expect(await createHooks(PATIENT_MS).run(node(program), "x".repeat(300_000))).toEqual({ kind: "done" });
	const left = Number(readFileSync(began, "utf8"));
	try {
		expect(isRunning(left)).toBe(true);
		await until("the pipe to be closed", () => pipes() <= before);
	} finally {
		process.kill(left, "SIGKILL");
	}
});

it("a command that is no program has the code of the system", async () => {
	const hooks = createHooks();
	expect(await hooks.run([scratch.path("nothing")], DOCUMENT)).toEqual({ kind: "unstarted", code: "ENOENT" });
	scratch.write("no-program", "x");
	expect(await hooks.run([scratch.path("no-program")], DOCUMENT)).toEqual({ kind: "unstarted", code: "EACCES" });
	expect(await hooks.run(["a\0b"], DOCUMENT)).toMatchObject({ kind: "unstarted" });
	expect(await hooks.run([], DOCUMENT)).toMatchObject({ kind: "unstarted" });
});

it("the end of pi ends a command that is under way", async () => {
	const hooks = createHooks(PATIENT_MS);
	const began = join(scratch.dir, "began");
	const run = hooks.run(
		node(`require("node:fs").writeFileSync(${JSON.stringify(began)}, String(process.pid)); setInterval(() => {}, 9)`),
		DOCUMENT,
	);
	await until("its start", () => scratch.names("began").length > 0 && scratch.text("began") !== "");
	hooks.end();
	expect(await run).toEqual({ kind: "cut-off" });
	await until("its end", () => !isRunning(Number(scratch.text("began"))));
});
