import { describe, expect, it } from "vitest";
import { lazily, once } from "../../../src/platform/lazily.ts";

it("a value is built at its first use, and once, even if it is undefined", () => {
	let built = 0;
	const value = lazily(() => {
		built += 1;
	});
	expect(built).toBe(0);
	expect([value(), value()]).toEqual([undefined, undefined]);
	expect(built).toBe(1);
});

describe("code that is loaded late", () => {
	it("code is loaded at its first use, and once for all who ask at the same time", async () => {
		let loaded = 0;
		const load = once(async () => {
			loaded += 1;
			return loaded;
		});
		expect(loaded).toBe(0);
		expect(await Promise.all([load(), load()])).toEqual([1, 1]);
		expect(await load()).toBe(1);
	});

	it("code that could not be loaded is tried again at its next use", async () => {
		let tries = 0;
		const load = once(async () => {
			tries += 1;
			if (tries === 1) throw new Error("the file is gone");
			return "loaded";
		});
		await expect(Promise.all([load(), load()])).rejects.toThrow("the file is gone");
		expect(await load()).toBe("loaded");
		expect(tries).toBe(2);
	});
});
