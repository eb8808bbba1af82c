import { describe, expect, it } from "vitest";
import { readArguments } from "../../../src/cli/arguments.ts";
import { helpText, USAGES } from "../../../src/cli/texts.ts";

const read = (typed: string) => readArguments(typed === "" ? [] : typed.split(" "));
const STATUS = { kind: "status", form: "text", isWatching: false, columns: 40 };

describe("the command line", () => {
	it.each([
		["status", STATUS],
		["status --line", { ...STATUS, form: "line" }],
		["status --line --width 60", { ...STATUS, form: "line", columns: 60 }],
		["status --width=60 --line", { ...STATUS, form: "line", columns: 60 }],
		["status --json", { ...STATUS, form: "json" }],
		["status --watch", { ...STATUS, isWatching: true }],
		["status --watch --line", { ...STATUS, form: "line", isWatching: true }],
		["why", { kind: "why", isJson: false }],
		["why --json", { kind: "why", isJson: true }],
		["usage", { kind: "usage", period: "week", by: "account", isJson: false }],
		["usage today --by project --json", { kind: "usage", period: "today", by: "project", isJson: true }],
		["usage --by=model all", { kind: "usage", period: "all", by: "model", isJson: false }],
		["verify --json", { kind: "verify", isJson: true }],
		["", { kind: "help" }],
		["help", { kind: "help" }],
		["--help", { kind: "help" }],
		["status -h", { kind: "help" }],
		["--version", { kind: "version" }],
		["-v", { kind: "version" }],
	])("the command line is understood: %s", (typed, asked) => {
		expect(read(typed)).toEqual(asked);
	});

	it.each([
		["statsu", 'there is no "statsu". Did you mean status?'],
		["add work", 'there is no "add". pi-multicodex --help lists every command.'],
		["a\x1b[31m", 'there is no "a?[31m".'],
		["status --lin", "status takes no --lin. Did you mean --line? Usage: pi-multicodex status"],
		["status work", "status takes no work. Usage: "],
		["status --line=yes", "status takes no --line=yes."],
		["status --line --json", "--line and --json do not go together. Usage: "],
		["status --width 40", "--width is the width of --line."],
		["status --line --width", "--width must be a whole number of columns from 1 to 1000."],
		["status --line --width 0", "--width must be a whole number"],
		["status --line --width 1e9", "--width must be a whole number"],
		["usage wek", "usage takes no wek. Did you mean week? Usage: pi-multicodex usage [today|week|"],
		["usage today week", "Usage: pi-multicodex usage"],
		["usage --by projct", '--by takes no "projct". Did you mean project? Usage: '],
		["usage --by", '--by takes no "".'],
		["usage --forget", "usage takes no --forget."],
		["why --watch", "why takes no --watch. Usage: pi-multicodex why [--json]"],
		["verify --fix", "verify takes no --fix. Usage: pi-multicodex verify [--json]"],
	])("is refused in one sentence: %s", (typed, problem) => {
		const asked = read(typed);
		if (asked.kind !== "wrong") expect.fail(`${typed} was taken for ${asked.kind}`);
		expect(asked.problem).toContain(`pi-multicodex: ${problem}`);
		expect(asked.problem).not.toMatch(/\p{Cc}/u);
	});

	it("is explained in lines that a terminal holds, each command among them", () => {
		const lines = helpText().split("\n");
		expect(lines.filter((line) => line.length > 100)).toEqual([]);
		for (const { words } of Object.values(USAGES)) expect(lines).toContain(`  pi-multicodex ${words}`);
	});
});
