import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { LISTED } from "../src/pi/commands.ts";
import { logSchema, showSchema, verifySchema, whySchema } from "../src/ui/json-schemas.ts";
import { PICTURES } from "./screens/picture.ts";
import { repositoryRoot } from "./support/hosts.ts";

const readme = readFileSync(join(repositoryRoot, "README.md"), "utf8");

describe("the README", () => {
	it("lists every subcommand as help does", () => {
		const rows = readme.split("\n").filter((line) => line.startsWith("| `/multicodex"));
		const cell = (text: string) => text.replaceAll("|", "\\|");
		const command = (usage: string) => `/multicodex ${cell(usage)}`.trimEnd();
		expect(rows).toEqual(LISTED.map(({ usage, summary }) => `| \`${command(usage)}\` | ${cell(summary)} |`));
	});

	it("shows pictures of dashboard, picker and footer, and none but those that the screens are taken to", () => {
		const shown = [...readme.matchAll(/!\[([^\]]*)\]\(([^)]*)\)/g)].map(([, title, path]) => ({ title, path }));
		const taken = Object.entries(PICTURES).map(([name, title]) => ({
			title,
			path: `test/screens/pictures/${name}.svg`,
		}));
		for (const picture of shown) expect(taken).toContainEqual(picture);
		for (const name of ["dashboard", "picker", "footer"]) {
			expect(shown.map(({ path }) => path)).toContain(`test/screens/pictures/${name}.svg`);
		}
		const files = readdirSync(join(repositoryRoot, "test/screens/pictures"));
		expect(files.sort()).toEqual(
			Object.keys(PICTURES)
				.map((name) => `${name}.svg`)
				.sort(),
		);
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
