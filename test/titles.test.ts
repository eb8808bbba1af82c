import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { repositoryRoot } from "./support/hosts.ts";

/** The first string after the head of a test or a group of tests, also of a table of tests. */
const TITLE = /(?:\b(?:it|describe|wide|test)(?:\.\w+)*|\))\(\s*(["`])((?:(?!\1).)+)\1,/g;

/** Words that leave open who or what is meant. */
const VAGUE = /\b(nobody|somebody|anybody|everybody|whoever|what it comes to|is told|are told|told of|is said)\b/i;

function vagueTitles(text: string): string[] {
	return [...text.matchAll(TITLE)].flatMap(([, , title = ""]) => (VAGUE.test(title) ? [title] : []));
}

it("the title of every test says who or what it is about", () => {
	const folder = join(repositoryRoot, "test");
	const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".test.ts"));
	expect(files.length).toBeGreaterThan(100);
	const found = files.flatMap((path) =>
		vagueTitles(readFileSync(join(folder, path), "utf8")).map((title) => `${path}: ${title}`),
	);
	expect(found).toEqual([]);
});

it("a vague title is found in a test, a group and a table", () => {
	const word = ["no", "body"].join("");
	for (const head of ["it(", "describe(\n\t", "it.each([1])(", "wide.each<[number]>([\n\t[1],\n])("]) {
		expect(vagueTitles(`${head}"is ${word}'s", () => {`)).toEqual([`is ${word}'s`]);
	}
	expect(vagueTitles('it("serves an account", () => {')).toEqual([]);
});
