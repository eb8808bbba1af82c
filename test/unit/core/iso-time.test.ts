import fc from "fast-check";
import { expect, it } from "vitest";
import { z } from "zod";
import { iso } from "../../../src/core/iso-time.ts";

it("a time is as the schemas of documents want it, or null if no calendar has it", () => {
	expect([iso(0), iso(undefined), iso(Number.NaN), iso(9e15)]).toEqual(["1970-01-01T00:00:00.000Z", null, null, null]);
	const written = z.iso.datetime().nullable();
	fc.assert(
		fc.property(fc.oneof(fc.double(), fc.integer({ min: -8.7e15, max: 8.7e15 })), (at) => {
			expect(written.safeParse(iso(at)).success).toBe(true);
		}),
	);
});
