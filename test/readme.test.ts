import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { DEFAULT_SETTINGS, type StoredValue } from "../src/core/settings.ts";
import {
	capSchema,
	chainSchema,
	logSchema,
	noticeSchema,
	onlySchema,
	redeemSchema,
	showSchema,
	statusSchema,
	usageSchema,
	verifySchema,
	whySchema,
} from "../src/pi/json-schemas.ts";
import {
	BEYOND_PREFERENCES,
	FOOTER_PREFERENCES,
	GENERAL_PREFERENCES,
	NOTIFY_PREFERENCES,
	type Preference,
	ROTATION_PREFERENCES,
} from "../src/platform/stores/settings-schema.ts";
import { PICTURES } from "./screens/picture.ts";
import { COMMANDS, LISTED } from "./support/commands.ts";
import { repositoryRoot } from "./support/hosts.ts";

const read = (page: string) => readFileSync(join(repositoryRoot, page), "utf8");
const readme = read("README.md");
const manual = readdirSync(join(repositoryRoot, "docs")).map((name) => read(`docs/${name}`));
/** The README and the manual, one after the other. */
const pages = [readme, ...manual].join("\n");

function defaultsOf<G>(
	prefix: string,
	preferences: readonly Preference<G>[],
	defaults: G,
): Record<string, StoredValue> {
	return Object.fromEntries(preferences.map(({ key, stored }) => [`${prefix}${key}`, stored(defaults)]));
}

/** What stands in an object, each value by its path. */
function leavesOf(value: unknown, path = ""): Record<string, unknown> {
	if (typeof value !== "object" || value === null || Array.isArray(value)) return { [path]: value };
	const below = (key: string) => (path === "" ? key : `${path}.${key}`);
	return Object.assign({}, ...Object.entries(value).map(([key, each]) => leavesOf(each, below(key))));
}

it("has one repository in the manifest, the manual, the changelog and what GitHub shows", () => {
	const ofGitHub = readdirSync(join(repositoryRoot, ".github"), { recursive: true, encoding: "utf8" })
		.filter((name) => /\.(md|yml)$/.test(name))
		.map((name) => read(`.github/${name}`));
	const texts = [pages, read("CHANGELOG.md"), read("package.json"), ...ofGitHub].join("\n");
	const named = [...texts.matchAll(/github(?:usercontent)?\.com[/:]([\w.-]+\/pi-multicodex)\b/g)].map(
		([, slug]) => slug,
	);
	const { url } = z
		.object({ repository: z.object({ url: z.string() }) })
		.parse(JSON.parse(read("package.json"))).repository;

	expect(named.length).toBeGreaterThan(4);
	expect([...new Set(named)].map((slug) => `git+https://github.com/${slug}.git`)).toEqual([url]);
});

describe("the README", () => {
	it("has at most 800 words before its links to the manual", () => {
		const [prose = ""] = readme.split("## Manual");
		const words = prose.replace(/\]\([^)]*\)/g, "]").match(/[\p{L}\p{N}][\p{L}\p{N}'/.-]*/gu) ?? [];
		expect(words.length).toBeLessThanOrEqual(800);
	});

	it("links to every page of the manual, and to nothing that is not there", () => {
		const links = [...pages.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path = ""]) => path.replace(/^\.\.\//, ""));
		const isThere = (path: string) =>
			existsSync(join(repositoryRoot, path)) || existsSync(join(repositoryRoot, "docs", path));
		expect(links.filter((path) => !isThere(path))).toEqual([]);
		const linked = [...readme.matchAll(/\]\((docs\/[^)#]+)/g)].map(([, path]) => path);
		const there = readdirSync(join(repositoryRoot, "docs")).map((name) => `docs/${name}`);
		expect(there.filter((page) => !linked.includes(page))).toEqual([]);
	});

	it("has a line for each row of a table, and so have the other pages", () => {
		const rules = pages.split("\n").filter((line) => /\|-{3,}\|/.test(line));
		expect(rules.length).toBeGreaterThan(10);
		expect(rules.filter((line) => !/^ *\|(-{3,}\|)+$/.test(line))).toEqual([]);
	});

	it("has no line of prose over 120 columns, and neither have the manual, the code map and the changelog", () => {
		const files = ["AGENTS.md", "CHANGELOG.md"].map((name) => readFileSync(join(repositoryRoot, name), "utf8"));
		const prose = [pages, ...files]
			.join("\n")
			.replace(/^```[\s\S]*?^```/gm, "")
			.split("\n")
			.filter((line) => !line.trimStart().startsWith("|"));
		expect(prose.filter((line) => line.length > 120)).toEqual([]);
	});
});

it("the manifest gives pi's gallery a picture that is there, of a kind that it shows", () => {
	const shape = z.object({ pi: z.object({ image: z.string() }) });
	const { image } = shape.parse(JSON.parse(read("package.json"))).pi;
	expect(image).toMatch(/\.(png|jpe?g|gif|webp)$/);
	expect(existsSync(join(repositoryRoot, image.split("/main/")[1] ?? ""))).toBe(true);
});

describe("the manual", () => {
	it("lists every subcommand as help does", () => {
		const rows = read("docs/commands.md")
			.split("\n")
			.filter((line) => line.startsWith("| `/multicodex"));
		const cell = (text: string) => text.replaceAll("|", "\\|");
		const command = (usage: string) => `/multicodex ${cell(usage)}`.trimEnd();
		expect(rows).toEqual(LISTED.map(({ usage, summary }) => `| \`${command(usage)}\` | ${cell(summary)} |`));
	});

	it("types no command that there is not, neither of pi-multicodex nor of npm", () => {
		const typed = [...pages.matchAll(/\/multicodex ([a-z]+)/g)].map(([, word]) => word);
		const known = COMMANDS.map(({ name }) => name);
		expect(typed.filter((word) => !known.includes(word ?? ""))).toEqual([]);
		const { scripts } = z
			.object({ scripts: z.record(z.string(), z.string()) })
			.parse(JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")));
		const run = [...pages.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name);
		expect(run.filter((name) => scripts[name ?? ""] === undefined)).toEqual([]);
	});

	it("has each setting, with its default in the example and its meaning in the table", () => {
		const [, example = ""] = /```json\n(\{\n {2}"pi-multicodex".*?)```/s.exec(pages) ?? [];
		const { "pi-multicodex": shown } = z.object({ "pi-multicodex": z.unknown() }).parse(JSON.parse(example));
		const { beyond, footer, notify, rotation } = DEFAULT_SETTINGS;
		expect(leavesOf(shown)).toEqual({
			...defaultsOf("rotation.", ROTATION_PREFERENCES, rotation),
			...defaultsOf("beyond.", BEYOND_PREFERENCES, beyond),
			"beyond.chain": beyond.chain,
			...defaultsOf("notify.", NOTIFY_PREFERENCES, notify),
			"notify.command": notify.command,
			...defaultsOf("footer.", FOOTER_PREFERENCES, footer),
			...defaultsOf("", GENERAL_PREFERENCES, DEFAULT_SETTINGS),
		});
		const rows = read("docs/settings.md")
			.split("\n")
			.filter((line) => /^\| `[a-z][a-zA-Z.]+` \| /.test(line));
		const explained = rows.map((line) => line.split("`")[1] ?? "");
		const keys = Object.keys(leavesOf(shown)).map((key) => key.replace(/^(rotation\.reserve)\..*/, "$1"));
		expect(new Set(explained)).toEqual(new Set(keys));
	});

	it("shows pictures of dashboard, picker and footer, and none but those that the screens are taken to", () => {
		const shown = [...pages.matchAll(/!\[([^\]]*)\]\(([^)]*)\)/g)].map(([, title, path]) => ({
			title,
			path: path?.replace("../", ""),
		}));
		const taken = Object.entries(PICTURES).map(([name, title]) => ({
			title,
			path: `test/screens/pictures/${name}.svg`,
		}));
		for (const picture of shown) expect(taken).toContainEqual(picture);
		for (const name of ["rotation", "dashboard", "picker", "footer"]) {
			expect(shown.map(({ path }) => path)).toContain(`test/screens/pictures/${name}.svg`);
		}
		const files = readdirSync(join(repositoryRoot, "test/screens/pictures"));
		expect(files.sort()).toEqual(
			Object.keys(PICTURES)
				.map((name) => `${name}.svg`)
				.sort(),
		);
	});

	it("lists every event that other extensions hear, with what it carries", () => {
		const source = readFileSync(join(repositoryRoot, "src/features/explain/event-bus.ts"), "utf8");
		const [, declared = ""] = /interface BusEvents \{\n(.*?)\n\}/s.exec(source) ?? [];
		const events = [...declared.matchAll(/readonly "(multicodex:[^"]+)": \{(.*?)\};(?:\n|$)/gs)];
		const fieldsOf = (body: string) => [...body.matchAll(/readonly (\w+):/g)].map(([, field]) => field);
		const listed = [...pages.matchAll(/^\| `(multicodex:[^`]+)` \| (.*?) \|/gm)];
		const namesIn = (cell: string) => [...cell.matchAll(/`(\w+)`/g)].map(([, field]) => field);
		expect(events.length).toBeGreaterThan(0);
		expect(listed.map(([, channel, cell = ""]) => [channel, namesIn(cell)])).toEqual(
			events.map(([, channel, body = ""]) => [channel, fieldsOf(body)]),
		);
	});

	// Strict: a field that the schema has and the example lacks is missing, and the other way round.
	it.each([
		["cap", capSchema],
		["only", onlySchema],
		["show", showSchema],
		["status", statusSchema],
		["why", whySchema],
		["log", logSchema],
		["usage", usageSchema],
		["chain", chainSchema],
		["verify", verifySchema],
		["redeem", redeemSchema],
		["notice", noticeSchema],
	])("shows the document of %s, as its schema has it", (name, schema) => {
		const [, example = ""] = new RegExp(`\`\`\`json ${name}\n(.*?)\`\`\``, "s").exec(pages) ?? [];
		expect(schema.parse(JSON.parse(example))).toEqual(JSON.parse(example));
	});
});
