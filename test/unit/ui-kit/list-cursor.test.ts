import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createListCursor } from "../../../src/ui-kit/list-cursor.ts";

const IDS = ["a", "b", "c", "d"];

describe("the cursor of a list", () => {
	it("begins on its row, else on the first, and is nowhere in an empty list", () => {
		expect(createListCursor("c").at(IDS)).toBe(2);
		expect(createListCursor(undefined).at(IDS)).toBe(0);
		expect(createListCursor("gone").at(IDS)).toBe(0);
		expect(createListCursor("a").at([])).toBe(-1);
	});

	it("follows its row when rows before it come and go", () => {
		const cursor = createListCursor("c");
		cursor.at(IDS);
		expect([cursor.at(["c", "d"]), cursor.at(["x", "y", "a", "b", "c"])]).toEqual([0, 4]);
	});

	it("is on the nearest row when its own is gone, and stays there", () => {
		const cursor = createListCursor("c");
		cursor.at(IDS);
		expect(cursor.at(["a", "b", "d"])).toBe(2);
		expect(cursor.at(["a", "b"])).toBe(1);
		expect(cursor.at([])).toBe(-1);
		expect(cursor.at(["b"])).toBe(0);
	});

	it("moves, comes in at the other end after the last row, and stops at the ends with long steps", () => {
		const cursor = createListCursor("a");
		const placeAfter = (step: number) => {
			cursor.move(IDS, step);
			return cursor.at(IDS);
		};
		expect([placeAfter(1), placeAfter(-1), placeAfter(-1), placeAfter(1)]).toEqual([1, 0, 3, 0]);
		expect([placeAfter(10), placeAfter(10), placeAfter(-10), placeAfter(-10)]).toEqual([3, 3, 0, 0]);
		cursor.move([], 1);
		expect(cursor.at(IDS)).toBe(0);
	});

	it("keeps what is shown where it is as long as its row is in it", () => {
		const cursor = createListCursor("a");
		expect(cursor.top(IDS, 2)).toBe(0);
		cursor.put("b");
		expect(cursor.top(IDS, 2)).toBe(0);
		cursor.put("d");
		expect(cursor.top(IDS, 2)).toBe(2);
		cursor.put("c");
		expect(cursor.top(IDS, 2)).toBe(2);
		cursor.put("b");
		expect(cursor.top(IDS, 2)).toBe(1);
		// The terminal has grown: no row is left empty.
		expect(cursor.top(IDS, 4)).toBe(0);
	});

	it("is always among the rows that are shown", () => {
		const steps = fc.array(
			fc.record({ step: fc.integer({ min: -5, max: 5 }), height: fc.integer({ min: 1, max: 9 }) }),
		);
		fc.assert(
			fc.property(fc.integer({ min: 1, max: 12 }), steps, (size, moves) => {
				const ids = Array.from({ length: size }, (_, at) => `id-${at}`);
				const cursor = createListCursor(undefined);
				for (const { step, height } of moves) {
					cursor.move(ids, step);
					const [at, top] = [cursor.at(ids), cursor.top(ids, height)];
					expect(at).toBeGreaterThanOrEqual(top);
					expect(at).toBeLessThan(top + height);
					expect(top).toBeGreaterThanOrEqual(0);
					expect(top + Math.min(height, size)).toBeLessThanOrEqual(size);
				}
			}),
		);
	});
});
