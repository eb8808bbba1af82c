import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LISTED } from "../src/pi/commands.ts";
import { logSchema, showSchema, verifySchema, whySchema } from "../src/ui/json-schemas.ts";
import { repositoryRoot } from "./support/hosts.ts";

const readme = readFileSync(join(repositoryRoot, "README.md"), "utf8");

describe("the README", () => {
	it("lists every subcommand as help does", () => {
		const rows = readme.split("\n").filter((line) => line.startsWith("| `/multicodex"));
		const cell = (text: string) => text.replaceAll("|", "\\|");
		const command = (usage: string) => `/multicodex ${cell(usage)}`.trimEnd();
		expect(rows).toEqual(LISTED.map(({ usage, summary }) => `| \`${command(usage)}\` | ${cell(summary)} |`));
	});

	// Strict: a field that the schema has and the example lacks is missing, and the other way round.
	it.each([
		["show", showSchema],
		["why", whySchema],
		["log", logSchema],
		["verify", verifySchema],
	])("shows what %s --json prints, as its schema has it", (name, schema) => {
		const [, example = ""] = new RegExp(`\`\`\`json ${name}\n(.*?)\`\`\``, "s").exec(readme) ?? [];
		expect(schema.parse(JSON.parse(example))).toEqual(JSON.parse(example));
	});
});
