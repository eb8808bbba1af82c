import { expect, it } from "vitest";
import * as z from "zod/mini";
import { late, lenient, remembering } from "../../../src/platform/lenient.ts";

const counted = () => {
	const asked: unknown[] = [];
	const read = remembering((raw): { raw: unknown } | undefined => {
		asked.push(raw);
		return raw === "bad" ? undefined : { raw };
	});
	return { asked, values: (...members: [string, unknown][]) => read(members).map(({ value }) => value) };
};

it("reads a member anew only if it has changed, and gives the same object if it has not", () => {
	const { asked, values } = counted();
	const [one, other] = values(["a", { n: 1 }], ["b", { n: 1 }]);
	const again = values(["b", { n: 1 }], ["a", { n: 2 }]);

	expect(asked).toEqual([{ n: 1 }, { n: 1 }, { n: 2 }]);
	expect(again[0]).toBe(other);
	expect(again[1]).toEqual({ raw: { n: 2 } });
	expect(one).toEqual({ raw: { n: 1 } });
});

it("remembers the last reading alone, also of what cannot be read", () => {
	const { asked, values } = counted();
	values(["a", 1], ["b", "bad"]);
	expect(values(["b", "bad"])).toEqual([undefined]);
	values(["a", 1]);
	expect(asked).toEqual([1, "bad", 1]);
});

it("reads what is nested too deeply for JSON each time", () => {
	let deep: unknown = [];
	for (let depth = 0; depth < 100_000; depth += 1) deep = [deep];
	const { asked, values } = counted();
	expect(values(["a", deep])).toHaveLength(1);
	values(["a", deep]);
	expect(asked).toHaveLength(2);
});

it("builds a late schema with the first value of its kind, once, and not for a member that is absent", () => {
	let built = 0;
	const spent = late(() => {
		built += 1;
		return z.object({ at: z.number() });
	});
	const status = z.object({ name: z.string(), spent: lenient(spent) });

	expect(status.parse({ name: "a" })).toEqual({ name: "a" });
	expect(built).toBe(0);
	expect(status.parse({ name: "a", spent: { at: 1, more: true } })).toEqual({ name: "a", spent: { at: 1 } });
	expect(status.parse({ name: "a", spent: { at: "soon" } })).toEqual({ name: "a", spent: undefined });
	expect(status.parse({ name: "a", spent: null })).toEqual({ name: "a", spent: undefined });
	expect(built).toBe(1);
	expect(spent.safeParse({ at: "soon" }).success).toBe(false);
});
