import { afterEach, describe, expect, it, vi } from "vitest";
import { raceAbort, within } from "../../../src/core/abort.ts";

describe("waiting with an abort", () => {
	it("ends as the work does", async () => {
		const { signal } = new AbortController();
		await expect(raceAbort(Promise.resolve("done"), signal)).resolves.toBe("done");
		await expect(raceAbort(Promise.reject(new Error("no")), signal)).rejects.toThrow("no");
		await expect(raceAbort(Promise.resolve("done"), undefined)).resolves.toBe("done");
	});

	it("ends with the reason of the abort, and lets the work go on", async () => {
		const abort = new AbortController();
		let finish: ((value: string) => void) | undefined;
		const work = new Promise<string>((resolve) => {
			finish = resolve;
		});
		const waiting = raceAbort(work, abort.signal);
		abort.abort(new Error("the person left"));
		await expect(waiting).rejects.toThrow("the person left");
		finish?.("stored");
		await expect(work).resolves.toBe("stored");
	});

	it("ends at once if the abort came first", async () => {
		const never = new Promise<never>(() => undefined);
		await expect(raceAbort(never, AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
	});

	it("leaves no failure unheard that comes after the abort", async () => {
		const unheard: unknown[] = [];
		const onUnheard = (reason: unknown) => unheard.push(reason);
		process.on("unhandledRejection", onUnheard);
		const abort = new AbortController();
		let fail: ((error: Error) => void) | undefined;
		const waiting = raceAbort(
			new Promise<never>((_resolve, reject) => {
				fail = reject;
			}),
			abort.signal,
		);
		abort.abort(new Error("gone"));
		await expect(waiting).rejects.toThrow("gone");
		fail?.(new Error("late"));
		await new Promise((resolve) => setTimeout(resolve, 10));
		process.off("unhandledRejection", onUnheard);
		expect(unheard).toEqual([]);
	});

	it("leaves no listener behind, however often one signal is waited on", async () => {
		const { signal } = new AbortController();
		let listening = 0;
		const { addEventListener, removeEventListener } = signal;
		signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
			listening += 1;
			addEventListener.apply(signal, args);
		};
		signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
			listening -= 1;
			removeEventListener.apply(signal, args);
		};
		for (let round = 0; round < 50; round += 1) await raceAbort(Promise.resolve(round), signal);
		await Promise.resolve();
		expect(listening).toBe(0);
	});
});

describe("waiting for so long", () => {
	afterEach(() => {
		vi.useRealTimers();
	});

	it("ends as the work does, and leaves no timer behind", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		expect(await within(Promise.resolve("done"), 1000, () => "late")).toBe("done");
		await expect(within(Promise.reject(new Error("no")), 1000, () => "late")).rejects.toThrow("no");
		await Promise.resolve();
		expect(vi.getTimerCount()).toBe(0);
	});

	it("ends otherwise if the work takes longer, which goes on", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		let finish: ((value: string) => void) | undefined;
		const work = new Promise<string>((resolve) => {
			finish = resolve;
		});
		let isOver = false;
		const waiting = within(work, 1000, () => "late").finally(() => (isOver = true));
		await vi.advanceTimersByTimeAsync(999);
		expect(isOver).toBe(false);
		await vi.advanceTimersByTimeAsync(1);
		expect(await waiting).toBe("late");
		finish?.("stored");
		expect(await work).toBe("stored");
	});
});
