import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { type Bench, createBench, until } from "./support.ts";
import { jumpingClock } from "./under-fire-support.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Every account is out of quota, and a long run is to survive the night. */
async function nightBench(): Promise<Bench> {
	const settings = { transport: "sse", "pi-multicodex": { rotation: { maxWait: "8h" } } };
	const bench = await createBench({ settings, usage: answers.serverError(503) });
	bench.codex.account("a").next(answers.usageLimit({ resetsInMs: 5 * HOUR_MS + MINUTE_MS / 2 }));
	bench.codex.account("b").next(answers.usageLimit({ resetsInMs: 3 * HOUR_MS + MINUTE_MS / 2 }));
	return bench;
}

describe("a wait for the night", () => {
	it("is counted down in the footer, and Esc ends it and the turn at once", async () => {
		const bench = await nightBench();
		const terminal = bench.terminal([], { cols: 80, rows: 30 });
		await terminal.ready();
		await terminal.submit("say hi");
		await terminal.waitForText(/codex waiting · b back [\w :]+ \((3h00m|2h59m)\) · esc ends/);
		expect(bench.asked()).toEqual(["a", "b"]);

		await terminal.press("escape");

		await terminal.waitForText(/Operation aborted/);
		await terminal.waitForScreen((screen) => !screen.includes("waiting"));
		expect(terminal.screen()).toMatch(/codex 0\/2 ready/);
		expect((await bench.print("/multicodex reset quota")).code).toBe(0);
		await terminal.submit("again");
		await terminal.waitForText("OK from a #2");
		expect(bench.asked()).toEqual(["a", "b", "a"]);
	});

	it("outlasts a clock that is set back, and ends when the machine has slept through it", async () => {
		const bench = await nightBench();
		const jumps = join(bench.dir.home, "clock");
		const jumpBy = (ms: number) => {
			// In one step: it is being read.
			writeFileSync(`${jumps}.new`, String(ms));
			renameSync(`${jumps}.new`, jumps);
		};
		const rpc = bench.rpc([], { env: jumpingClock(jumps) });
		const backIn = () => stripVTControlCharacters(rpc.status("multicodex") ?? "");
		await rpc.send("say hi");
		await until("the wait", () => /back [\w :]+ \((3h00m|2h59m)/.test(backIn()));

		jumpBy(-2 * HOUR_MS);
		await until("the wait on the new clock", () => /back [\w :]+ \((5h00m|4h59m)/.test(backIn()));
		expect(bench.asked()).toEqual(["a", "b"]);
		jumpBy(4 * HOUR_MS);

		expect(await rpc.settled()).toMatchObject({ stopReason: "stop", text: "OK from b #2", retries: 0 });
		expect(bench.asked()).toEqual(["a", "b", "b"]);
		await until("the countdown to go", () => !backIn().includes("waiting"));
	});
});
