import { GROUPINGS, type Grouping, PERIODS, type Period } from "../core/ledger/ledger-report.ts";
import { didYouMean, nearest } from "../ui-kit/nearest.ts";
import { noSuchCommand, noSuchGrouping, noSuchOption, SPEAKS, USAGES, usageOf, widthNeeded } from "./texts.ts";

/** What the program was asked to do. */
export type Asked =
	| { readonly kind: "help" }
	| { readonly kind: "version" }
	| { readonly kind: "wrong"; readonly problem: string }
	| StatusAsked
	| UsageAsked
	| { readonly kind: "why" | "verify"; readonly isJson: boolean };

/** The options of `usage`. */
export interface UsageAsked {
	readonly kind: "usage";
	readonly period: Period;
	readonly by: Grouping;
	readonly isJson: boolean;
}

/** The options of `status`. */
export interface StatusAsked {
	readonly kind: "status";
	readonly form: "text" | "line" | "json";
	readonly isWatching: boolean;
	/** Width of the line. */
	readonly columns: number;
}

/** The width that tmux leaves for the right side of its status bar. */
const DEFAULT_COLUMNS = 40;
const MOST_COLUMNS = 1000;

const HELP = new Set(["--help", "-h", "help"]);
const VERSION = new Set(["--version", "-v", "version"]);

/** Reads the words of the command line. */
export function readArguments(words: readonly string[]): Asked {
	const [name, ...rest] = words;
	if (name === undefined || words.some((word) => word === "--help" || word === "-h") || HELP.has(name)) {
		return { kind: "help" };
	}
	if (VERSION.has(name)) return { kind: "version" };
	switch (name) {
		case "status":
			return readStatus(rest);
		case "usage":
			return readUsage(rest);
		case "why":
		case "verify": {
			const { options, problem } = readOptions(name, rest, ["--json"]);
			return problem ?? { kind: name, isJson: options.has("--json") };
		}
		default:
			return wrong(noSuchCommand(name, didYouMean(nearest(name, Object.keys(USAGES)))));
	}
}

function readStatus(words: readonly string[]): Asked {
	const { options, problem } = readOptions("status", words, ["--line", "--json", "--watch", "--width"]);
	if (problem) return problem;
	const [isLine, isJson, width] = [options.has("--line"), options.has("--json"), options.get("--width")];
	if (isLine && isJson) return wrong(`--line and --json do not go together. ${usageOf("status")}`);
	if (width !== undefined && !isLine) return wrong(`--width is the width of --line. ${usageOf("status")}`);
	const columns = width === undefined ? DEFAULT_COLUMNS : Number(width);
	const isWidth = Number.isInteger(columns) && columns > 0 && columns <= MOST_COLUMNS;
	if (!isWidth) return wrong(widthNeeded(MOST_COLUMNS));
	const otherForm = isJson ? "json" : "text";
	return { kind: "status", form: isLine ? "line" : otherForm, isWatching: options.has("--watch"), columns };
}

function readUsage(words: readonly string[]): Asked {
	const { options, rest, problem } = readOptions("usage", words, ["--by", "--json"], PERIODS);
	if (problem) return problem;
	const [typedPeriod = "week", ...more] = rest;
	const typedGrouping = options.get("--by") ?? "account";
	const period = PERIODS.find((each) => each === typedPeriod);
	const by = GROUPINGS.find((each) => each === typedGrouping);
	if (!period || more.length > 0) return wrong(usageOf("usage"));
	if (!by) return wrong(noSuchGrouping(typedGrouping, didYouMean(nearest(typedGrouping, GROUPINGS))));
	return { kind: "usage", period, by, isJson: options.has("--json") };
}

/** Options that take a value. */
const WITH_VALUE = new Set(["--width", "--by"]);

interface Options {
	readonly options: ReadonlyMap<string, string>;
	/** Words that are not options, each one known to the command. */
	readonly rest: readonly string[];
	readonly problem?: Asked;
}

function readOptions(
	name: keyof typeof USAGES,
	words: readonly string[],
	known: readonly string[],
	plain: readonly string[] = [],
): Options {
	const options = new Map<string, string>();
	const [left, rest]: [string[], string[]] = [[...words], []];
	for (let word = left.shift(); word !== undefined; word = left.shift()) {
		const [option = "", given] = word.split(/=(.*)/s);
		if (plain.includes(word)) rest.push(word);
		else if (known.includes(option) && (given === undefined || WITH_VALUE.has(option))) {
			options.set(option, WITH_VALUE.has(option) ? (given ?? left.shift() ?? "") : "");
		} else {
			const meant = didYouMean(nearest(option, [...plain, ...known]));
			return { options, rest, problem: wrong(noSuchOption(word, meant, name)) };
		}
	}
	return { options, rest };
}

function wrong(problem: string): Asked {
	return { kind: "wrong", problem: `${SPEAKS}: ${problem}` };
}
