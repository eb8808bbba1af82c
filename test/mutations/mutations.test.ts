import { describe, expect, it } from "vitest";
import { misfits, mutations } from "./mutations.ts";

const FOLDERS = ["request", "credentials", "pool", "beyond", "reset-credits", "forecast", "ledger"];

describe("the list of mutations", () => {
	it("changes text that stands in the source exactly once, and names test files that are there", () => {
		expect(misfits()).toEqual([]);
	});

	it("finds text that the source does not have, or has more than once, and a test file that is gone", () => {
		const [first] = mutations;
		if (!first) throw new Error("the list is empty");
		const without = { ...first, name: "none", from: ["a text that", "no source has"].join(" ") };
		const many = { ...first, name: "many", from: "\t" };
		const untested = { ...first, name: "untested", tests: ["no-such-file"] };
		expect(misfits([without, many, untested]).map((text) => text.split(":")[0])).toEqual(["none", "many", "untested"]);
	});

	it("has a name of its own for each, and changes something", () => {
		expect(new Set(mutations.map(({ name }) => name)).size).toBe(mutations.length);
		expect(mutations.filter(({ from, to }) => from === to)).toEqual([]);
	});

	it("reaches every folder of the core and of the platform", () => {
		const folders = [...FOLDERS.map((name) => `core/${name}`), "core"];
		const platform = ["files", "stores", "backend", "shared-pool"].map((name) => `platform/${name}`);
		const reached = new Set(mutations.map(({ file }) => file.replace(/^src\//, "").replace(/\/[^/]*$/, "")));
		expect([...folders, ...platform].filter((folder) => !reached.has(folder))).toEqual([]);
	});
});
