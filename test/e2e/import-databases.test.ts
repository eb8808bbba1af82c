import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createImportFinder } from "../../src/features/import/tools/finder.ts";
import { fingerprint } from "../../src/platform/backend/jwt.ts";
import { DAY_MS, NOW } from "../support/fakes.ts";
import {
	codexFile,
	credentialSql,
	credentialValue,
	FIXTURES,
	poolSql,
	toolOf,
	writeAt,
	writeDatabase,
	writeTool,
} from "../support/import-fixtures.ts";
import { scratchForEach } from "../support/scratch-for-each.ts";
import { aLogin, loginsOf, reasonsOf } from "../unit/features/import/readers.ts";
import { type SearchProcess, startSearchProcess } from "./search-process.ts";

// The oldest supported Node has no SQLite: one that has it searches, in a process of its own.
let searcher: SearchProcess;
const scratch = scratchForEach();
let home: string;
let data: string;
beforeAll(async () => {
	searcher = await startSearchProcess();
});
afterAll(async () => {
	expect(await searcher.close()).not.toMatch(/SQLite/i);
});
beforeEach(() => {
	home = scratch.path("home");
	data = join(home, ".local/share/opencode");
	mkdirSync(data, { recursive: true });
});

const work = aLogin("work");
const side = aLogin("side");

describe("looking in all places", () => {
	it("finds what every tool keeps, under the name by which it is asked for", async () => {
		const finder = createImportFinder({ home, env: {} }, join(home, ".pi/agent/auth.json"));
		const expected: string[] = [];
		for (const fixture of FIXTURES) {
			// Both kinds of codex-auth have a registry of one name, and opencode's database replaces its file.
			if (fixture === "codex-auth-npm" || fixture === "opencode") continue;
			const paths = await writeTool(fixture, home, [aLogin(fixture)]);
			expected.push(...paths.map((path) => `${toolOf(fixture)}: ${path}`));
			expect(finder.tools).toContain(toolOf(fixture));
		}
		const found = await searcher.search({ home });
		expect(reasonsOf(found)).toEqual([]);
		expect(found.map(({ tool, path }) => `${tool}: ${path}`).sort()).toEqual(expected.sort());
		// In the order in which the tools are named.
		const order = found.map(({ tool }) => finder.tools.indexOf(tool));
		expect(order).toEqual([...order].sort((a, b) => a - b));
	});

	it("changes nothing that it reads, and leaves nothing behind", async () => {
		for (const fixture of FIXTURES) await writeTool(fixture, home, [work, side]);
		const files = () =>
			readdirSync(home, { recursive: true, encoding: "utf8" })
				.filter((name) => statSync(join(home, name)).isFile())
				.map((name) => `${name} ${statSync(join(home, name)).mode} ${readFileSync(join(home, name), "base64")}`)
				.sort();
		const before = files();
		const found = await searcher.search({ home });
		expect(found.length).toBeGreaterThan(FIXTURES.length);
		expect(files()).toEqual(before);
	});
});

/**
 * What lies there: names, and a short form of the content. The index of a log is shared memory: only that it is there.
 */
const contents = () =>
	readdirSync(data).map((name) => {
		return name.endsWith("-shm") ? name : `${name} ${fingerprint(readFileSync(join(data, name), "base64"))}`;
	});

describe("opencode's database", () => {
	const path = () => join(data, "opencode.db");
	const look = () => searcher.search({ home, tool: "opencode" });

	it("is read, with the labels of its rows, and goes before the file that it has replaced", async () => {
		await writeTool("opencode-database", home, [work, side]);
		await writeTool("opencode", home, [aLogin("old")]);
		const findings = await look();
		expect(loginsOf(findings)).toEqual(["work: work", "side: side"]);
		expect(findings[0]).toMatchObject({
			path: path(),
			credential: { access: work.access, expiresAt: NOW + 10 * DAY_MS },
			workspaceIdHint: "acct-work",
		});
	});

	it("is read in the layout before this one", async () => {
		await writeDatabase(path(), credentialSql([{ label: "Imported", value: credentialValue(work) }], "connector_id"));
		expect(loginsOf(await look())).toEqual(["Imported: work"]);
	});

	it("may hold a key, or rows that are damaged: they are left out by name", async () => {
		const key = { label: "key", value: '{"type":"key","key":"sk-SECRET"}' };
		const torn = { label: "torn", value: credentialValue(work).slice(0, 60) };
		const sql = credentialSql([{ label: "good", value: credentialValue(side) }, key, torn]);
		await writeDatabase(path(), sql);
		const findings = await look();
		expect(loginsOf(findings)).toEqual(["good: side"]);
		expect(reasonsOf(findings)).toEqual([
			expect.stringMatching(/^key .*API key/),
			expect.stringMatching(/^torn .*no ChatGPT sign-in/),
		]);
	});

	it.each([
		["a key", '{"type":"key","key":"sk-SECRET"}', /^main .*API key/],
		["a damaged login", credentialValue(work).slice(0, 60), /^main .*no ChatGPT sign-in/],
	])("opencode's database with %s for ChatGPT still replaces the file", async (_what, value, reason) => {
		await writeDatabase(path(), credentialSql([{ label: "main", value }]));
		await writeTool("opencode", home, [work]);
		const findings = await look();
		expect([loginsOf(findings), reasonsOf(findings)]).toEqual([[], [expect.stringMatching(reason)]]);
	});

	it.each([
		["that has no such table", ["CREATE TABLE session (id TEXT)"]],
		["with rows of others only", credentialSql([{ label: "x", provider: "anthropic", value: "{}" }])],
	])("%s leaves the file to be read", async (_what, sql) => {
		await writeDatabase(path(), sql);
		await writeTool("opencode", home, [work]);
		expect(loginsOf(await look())).toEqual(["-: work"]);
	});
});

describe("opencode codex-pool", () => {
	const path = () => join(data, "codex-pool.db");
	const look = () => searcher.search({ home, tool: "codex-pool" });

	it("codex-pool of opencode is read row by row", async () => {
		await writeTool("codex-pool", home, [work, side]);
		const findings = await look();
		expect(loginsOf(findings)).toEqual(["work: work", "side: side"]);
		expect(findings[1]).toMatchObject({ tool: "codex-pool", path: path(), workspaceIdHint: "acct-side" });
	});

	it("is read in the usual place, whatever XDG says", async () => {
		await writeTool("codex-pool", home, [work]);
		const env = { XDG_DATA_HOME: join(home, "xdg") };
		expect(loginsOf(await searcher.search({ home, env, tool: "codex-pool" }))).toEqual(["work: work"]);
	});

	it("has accounts without a name, with an organisation for a workspace, and ones that it has given up", async () => {
		const rows = [
			{ login: work, label: null, accountId: "org-9" },
			{ login: side, disabledAt: NOW, label: "side" },
		];
		await writeDatabase(path(), poolSql(rows));
		const findings = await look();
		expect(loginsOf(findings)).toEqual(["work@example.test: work"]);
		expect(findings[0]).toMatchObject({ workspaceIdHint: undefined });
		expect(reasonsOf(findings)).toEqual([expect.stringMatching(/^side .*given.*up/)]);
	});

	it("is read in its oldest layout, and a row that holds no token is left out", async () => {
		const [table = "", , ...rows] = poolSql([{ login: work }, { login: { ...side, refresh: "" } }]);
		const oldest = (sql: string) => sql.replace(/, plan_type TEXT\)$/, ")").replace(/, 'plus'\)$/, ")");
		await writeDatabase(path(), [oldest(table), ...rows.map(oldest)]);
		const findings = await look();
		expect(loginsOf(findings)).toEqual(["work@example.test: work"]);
		expect(reasonsOf(findings)).toEqual([expect.stringMatching(/row that holds no sign-in/)]);
	});

	it("is read while it is in use, with what is only in its log, and is left as it was", async () => {
		await writeDatabase(path(), poolSql([{ login: work }]), { isLive: true });
		expect(readdirSync(data)).toEqual(["codex-pool.db", "codex-pool.db-shm", "codex-pool.db-wal"]);
		const before = contents();
		expect(loginsOf(await look())).toEqual(["work@example.test: work"]);
		expect(contents()).toEqual(before);
		// A copy would hold tokens.
		expect(readdirSync(home)).toEqual([".local"]);
	});

	it("a database with a log and no index is left to its owner", async () => {
		await writeDatabase(path(), poolSql([{ login: work }]), { isLive: true });
		rmSync(`${path()}-shm`);
		const before = contents();
		expect(reasonsOf(await look())).toEqual([expect.stringMatching(/left open by a crash/)]);
		expect(contents()).toEqual(before);
	});

	it("leaves no file beside a database that was closed", async () => {
		await writeTool("codex-pool", home, [work]);
		const before = contents();
		expect(loginsOf(await look())).toEqual(["work: work"]);
		expect([contents(), readdirSync(data)]).toEqual([before, ["codex-pool.db"]]);
	});

	it.each([
		["no database", "SECRET, but no database at all: ".repeat(200)],
		["half a one", "SQLite format 3\0SECRET"],
	])("a file that is %s is left out, with a reason that shows nothing of it", async (_what, bytes) => {
		writeAt(path(), bytes);
		const findings = await look();
		expect(reasonsOf(findings)).toEqual([expect.stringMatching(/not a readable SQLite database/)]);
		expect(readdirSync(home)).toEqual([".local"]);
	});

	it("a database that is missing, a folder, or without its table is no finding", async () => {
		expect(await look()).toEqual([]);
		await writeDatabase(path(), ["CREATE TABLE session (id TEXT)"]);
		expect(await look()).toEqual([]);
		expect(existsSync(path())).toBe(true);
	});
});

describe("a path to a database", () => {
	it.each(["opencode-database", "codex-pool"] as const)(
		"a database of %s is recognised by its content",
		async (tool) => {
			const [path = ""] = await writeTool(tool, home, [work]);
			const findings = await searcher.search({ home, path });
			expect(findings).toMatchObject([{ kind: "login", tool: "file", name: "work", path }]);
		},
	);

	it("a path to a database in a folder is found with everything else in it", async () => {
		await writeTool("codex-pool", home, [work]);
		writeAt(join(data, "side.json"), codexFile(side));
		const findings = await searcher.search({ home, path: data });
		expect(loginsOf(findings).sort()).toEqual(["-: side", "work: work"]);
	});

	it("a path to a database of something else is left out", async () => {
		const path = writeAt(join(home, "notes.db"), "SECRET");
		expect(reasonsOf(await searcher.search({ home, path }))).toEqual([
			expect.stringMatching(/not a readable SQLite database/),
		]);
	});
});
