import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { repositoryRoot } from "./support/hosts.ts";

/** The first string after the head of a test or a group of tests, also of a table of tests. */
const TITLE = /(?:\b(it|describe|wide|test|onPosix)(?:\.\w+)*|\))\(\s*(["`])((?:(?!\2).)+)\2,/g;

/** Words that leave open who or what is meant. */
const VAGUE = /\b(nobody|somebody|anybody|everybody|whoever|what it comes to|is told|are told|told of|is said)\b/i;

/** Verbs in the plural and words that join: what begins with one has left its subject to the name of the group. */
const HEADLESS = new RegExp(
	`^(?:${[
		"act|answer|are|ask|become|begin|belong|bring|carry|change|come|cool|cost|count|drop|end|fail|fall|fit|follow|get",
		"give|go|have|hold|join|keep|know|leave|lie|look|lose|make|move|name|need|offer|pass|print|reach|read|renew|rest",
		"run|say|see|serve|share|show|sign|spend|stand|start|stay|stop|store|take|tell|turn|use|wait|wake|warn|were|write",
		"after|although|and|as|at|because|before|behind|beside|between|beyond|but|by|for|from|if|in|of|on|or|over|since|so",
		"than|though|to|under|until|when|where|while|with|without",
	].join("|")})\\b(?!-)`,
);
/** Too short to tell of what it is. */
const TERSE = /^(?:is|has|does|was|may|can|cannot)(?: \S+){0,4}$/;
const FRAGMENT = /(?:[,:]|\b(?:a|an|and|because|but|its|or|than|the|their))$/;

const WORDS_OF_PROBLEMS = { vague: VAGUE, headless: HEADLESS, terse: TERSE, "a fragment": FRAGMENT };

function problemsOf(text: string): string[] {
	return [...text.matchAll(TITLE)].flatMap(([, head, , title = ""]) =>
		Object.entries(WORDS_OF_PROBLEMS)
			.filter(([problem, words]) => (head !== "describe" || problem === "vague") && words.test(title))
			.map(([problem]) => `${problem}: ${title}`),
	);
}

it("the title of every test can be read alone: it says who or what does what", () => {
	const folder = join(repositoryRoot, "test");
	const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".test.ts"));
	expect(files.length).toBeGreaterThan(100);
	const found = files.flatMap((path) =>
		problemsOf(readFileSync(join(folder, path), "utf8")).map((problem) => `${path}: ${problem}`),
	);
	expect(found).toEqual([]);
});

it.each(["it(", "describe(\n\t", "it.each([1])(", "wide.each<[number]>([\n\t[1],\n])("])(
	"a vague title is found after %j",
	(head) => {
		const word = ["no", "body"].join("");
		expect(problemsOf(`${head}"the token is ${word}'s", () => {`)).toEqual([`vague: the token is ${word}'s`]);
	},
);

it.each([
	["are written at once", "headless"],
	["with a pin, goes elsewhere", "headless"],
	["is not waited for", "terse"],
	["serves an account that the", "a fragment"],
	["serves an account:", "a fragment"],
	["serves an account", undefined],
	["is asked again once its quota is back", undefined],
	["reset credits are never spent twice", undefined],
])("the title %j is %s", (title, problem) => {
	const found = problem === undefined ? [] : [`${problem}: ${title}`];
	expect(problemsOf(`it("${title}", () => {`)).toEqual(found);
	expect(problemsOf(`describe("${title}", () => {`)).toEqual([]);
});
