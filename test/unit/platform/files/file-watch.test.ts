import { mkdirSync, renameSync, rmSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { followFiles } from "../../../../src/platform/files/file-watch.ts";
import { settled, until } from "../../../support/fakes.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const scratch = scratchForEach();
let calls: number;
let stop: () => void;
beforeEach(() => {
	calls = 0;
	stop = followFiles([scratch.path("a.json"), scratch.path("b.json")], () => {
		calls += 1;
	});
});
afterEach(() => stop());
const awhile = () => new Promise((resolve) => setTimeout(resolve, 400));

describe("files that another process writes", () => {
	it("files of another process are noticed, in place or by a rename, once for all changes of one moment", async () => {
		scratch.write("a.json", { n: 1 });
		scratch.write("b.json", { n: 1 });
		await until("the first call", () => calls === 1);
		await awhile();
		expect(calls).toBe(1);
		scratch.write("b.json.tmp", { n: 2 });
		renameSync(scratch.path("b.json.tmp"), scratch.path("b.json"));
		await until("the second call", () => calls === 2);
	});

	it("files of another process are noticed in every folder that they are in", async () => {
		mkdirSync(scratch.path("store"));
		let both = 0;
		const end = followFiles([scratch.path("a.json"), scratch.path("store/b.json")], () => {
			both += 1;
		});
		scratch.write("store/b.json", {});
		await until("the first call", () => both === 1);
		scratch.write("b.json", {});
		scratch.write("store/a.json", {});
		await awhile();
		expect(both).toBe(1);
		scratch.write("a.json", {});
		await until("the second call", () => both === 2);
		end();
	});

	it("files of another process are noticed, and no other files", async () => {
		scratch.write("other.json", {});
		await awhile();
		expect(calls).toBe(0);
	});

	it("changes are not noticed after the watch has ended", async () => {
		scratch.write("a.json", { n: 1 });
		await until("the call", () => calls === 1);
		scratch.write("a.json", { n: 2 });
		stop();
		await awhile();
		expect(calls).toBe(1);
	});

	it("a change right before the end of the watch is not noticed", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		onTestFinished(() => void vi.useRealTimers());
		scratch.write("a.json", { n: 1 });
		// The system tells of a change after a moment of its own.
		for (const end = performance.now() + 150; performance.now() < end; ) await settled();
		stop();
		vi.advanceTimersByTime(1000);
		expect(calls).toBe(0);
	});

	it("a watch survives files that are missing or deleted", async () => {
		const folder = scratch.path("gone");
		followFiles([`${folder}/a.json`], () => undefined)();
		rmSync(scratch.dir, { recursive: true, force: true });
		await awhile();
		expect(calls).toBeLessThanOrEqual(1);
	});
});
