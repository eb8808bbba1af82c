import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { HistorySample } from "../../../../src/core/forecast/quota-history.ts";
import { createQuotaRecorder, type HistoryFile } from "../../../../src/core/forecast/quota-recorder.ts";
import { aSnapshot, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const MINUTE_MS = 60_000;

function aRecorder(append: HistoryFile["append"] = async () => undefined) {
	const written: HistorySample[][] = [];
	const failures: unknown[] = [];
	const load = vi.fn(async () => ({
		append: async (samples: readonly HistorySample[]) => {
			await append(samples);
			written.push([...samples]);
		},
		read: async () => written.flat(),
	}));
	const recorder = createQuotaRecorder({ load, now: () => NOW + HOUR_MS, onFailure: (error) => failures.push(error) });
	onTestFinished(() => recorder.flush());
	return { recorder, written, failures, load };
}

function used(usedPercent: number, capturedAt = NOW, resetsAt = NOW + 4 * HOUR_MS) {
	return aSnapshot({ capturedAt, windows: [{ windowMinutes: 300, usedPercent, resetsAt }] });
}

describe("the recorder of quota", () => {
	it("loads nothing and writes nothing before a session ends", async () => {
		const { recorder, written, load } = aRecorder();
		recorder.record(anId("a"), used(10));
		expect(load).not.toHaveBeenCalled();
		await recorder.flush();
		expect(written).toMatchObject([[{ accountId: "a", usedPercent: 10, at: NOW }]]);
	});

	it("loads nothing for a session in which nothing was used", async () => {
		const { recorder, load } = aRecorder();
		await recorder.flush();
		expect(load).not.toHaveBeenCalled();
	});

	it("writes one figure for the changes of an hour, and none that says the same again", async () => {
		const { recorder, written } = aRecorder();
		recorder.record(anId("a"), used(10));
		recorder.record(anId("a"), used(11, NOW + 5 * MINUTE_MS));
		recorder.record(anId("a"), used(12, NOW + 9 * MINUTE_MS));
		await recorder.flush();
		recorder.record(anId("a"), used(12, NOW + 12 * MINUTE_MS));
		await recorder.flush();
		expect(written.map((batch) => batch.map(({ usedPercent }) => usedPercent))).toEqual([[12]]);
	});

	it("passes over a figure that comes after a newer one", async () => {
		const { recorder, written } = aRecorder();
		recorder.record(anId("a"), used(12, NOW + 5 * MINUTE_MS));
		recorder.record(anId("a"), used(10));
		await recorder.flush();
		expect(written).toMatchObject([[{ usedPercent: 12, at: NOW + 5 * MINUTE_MS }]]);
	});

	it("keeps what a window had reached that ended before it was written", async () => {
		const { recorder, written } = aRecorder();
		recorder.record(anId("a"), used(96, NOW, NOW + MINUTE_MS));
		recorder.record(anId("a"), used(2, NOW + 2 * MINUTE_MS));
		await recorder.flush();
		expect(written).toMatchObject([[{ usedPercent: 2, formerPercent: 96 }]]);
	});

	it("the recorder of quota passes over a late answer, and goes on after a clock was set back", async () => {
		const { recorder, written } = aRecorder();
		recorder.record(anId("a"), used(20));
		recorder.record(anId("a"), used(15, NOW - 5 * MINUTE_MS));
		recorder.record(anId("a"), used(30, NOW - 40 * 24 * HOUR_MS));
		await recorder.flush();
		expect(written.flat().map(({ usedPercent }) => usedPercent)).toEqual([20, 30]);
	});

	it("writes by itself while a session goes on", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		onTestFinished(() => void vi.useRealTimers());
		const { recorder, written } = aRecorder();
		recorder.record(anId("a"), used(10));
		await vi.advanceTimersByTimeAsync(5 * MINUTE_MS);
		expect(written.length).toBe(1);
	});

	it("reads what is not written yet, too", async () => {
		const { recorder } = aRecorder();
		recorder.record(anId("a"), used(10));
		await recorder.flush();
		recorder.record(anId("a"), used(30, NOW + HOUR_MS));
		expect((await recorder.read()).map(({ usedPercent }) => usedPercent)).toEqual([10, 30]);
	});

	it("reports what it could not write, and goes on with the next figure", async () => {
		let isFull = true;
		const { recorder, written, failures } = aRecorder(async () => {
			if (isFull) throw new Error("no space left");
		});
		recorder.record(anId("a"), used(10));
		await recorder.flush();
		isFull = false;
		recorder.record(anId("a"), used(20, NOW + HOUR_MS));
		await recorder.flush();
		expect(failures).toHaveLength(1);
		expect(written).toMatchObject([[{ usedPercent: 20 }]]);
	});
});
