import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fingerprint } from "../../../../../src/platform/jwt.ts";
import { aScratch, DAY_MS, HOUR_MS, NOW, type Scratch } from "../../../../support/fakes.ts";
import {
	codexFile,
	credentialSql,
	credentialValue,
	opencodeEntry,
	poolSql,
	writeAt,
	writeDatabase,
	writeTool,
} from "../../../../support/import-fixtures.ts";
import { aLogin, loginsOf, reasonsOf, search, searchWithSqlite } from "../readers.ts";

let scratch: Scratch;
let home: string;
let data: string;
beforeEach(() => {
	scratch = aScratch();
	home = scratch.path("home");
	data = join(home, ".local/share/opencode");
	mkdirSync(data, { recursive: true });
});
afterEach(() => {
	vi.restoreAllMocks();
	scratch.remove();
});

const work = aLogin("work");
const side = aLogin("side");
const writeAuth = (content: unknown) => writeAt(join(data, "auth.json"), content);
const found = (env: Record<string, string> = {}) => search({ home, env, tool: "opencode" });
const NEEDS_NEWER_NODE = "- is an SQLite database, which needs Node 22.15 or newer to be read";
const hasSqlite = process.getBuiltinModule?.("node:sqlite") !== undefined;

describe("opencode's file", () => {
	it("is read where it keeps its logins, and others' entries are passed over", async () => {
		const [path] = await writeTool("opencode", home, [work]);
		expect(await found()).toEqual([
			{
				kind: "login",
				tool: "opencode",
				path,
				name: undefined,
				credential: { access: work.access, refresh: work.refresh, expiresAt: NOW + 10 * DAY_MS },
				workspaceIdHint: "acct-work",
			},
		]);
	});

	it("is read where XDG_DATA_HOME says", async () => {
		writeAt(join(home, "xdg/opencode/auth.json"), { openai: opencodeEntry(work) });
		expect(loginsOf(await found({ XDG_DATA_HOME: join(home, "xdg") }))).toEqual(["-: work"]);
		expect(await found({ XDG_DATA_HOME: "" })).toEqual([]);
	});

	it("may have the newer login under its second name: both are found", async () => {
		writeAuth({ openai: opencodeEntry(work), codex: opencodeEntry(side) });
		expect(loginsOf(await found())).toEqual(["-: work", "-: side"]);
		writeAuth({ codex: opencodeEntry(side) });
		expect(loginsOf(await found())).toEqual(["-: side"]);
	});

	it("believes the token rather than the entry as to when it ends", async () => {
		writeAuth({ openai: opencodeEntry(work, { expires: 0 }) });
		expect(await found()).toMatchObject([{ credential: { expiresAt: NOW + 10 * DAY_MS } }]);
		writeAuth({ openai: opencodeEntry(work, { expires: "soon" }) });
		expect(await found()).toMatchObject([{ credential: { expiresAt: NOW + 10 * DAY_MS } }]);
		writeAuth({ openai: { type: "oauth", access: "opaque", refresh: "r", expires: NOW + HOUR_MS } });
		expect(await found()).toMatchObject([{ credential: { expiresAt: NOW + HOUR_MS } }]);
	});

	it("never takes the id of an API organisation for a workspace", async () => {
		writeAuth({ openai: opencodeEntry(work, { accountId: "org-1" }) });
		expect(await found()).toMatchObject([{ kind: "login", workspaceIdHint: undefined }]);
	});

	it.each<[string, RegExp, unknown]>([
		["an API key", /API key/, { openai: { type: "api", key: "sk-SECRET" } }],
		["no access token", /no access token/, { openai: opencodeEntry(work, { access: "" }) }],
		["no refresh token", /no ChatGPT sign-in/, { openai: opencodeEntry(work, { refresh: "" }) }],
		["an entry of no known kind", /no ChatGPT sign-in/, { openai: "SECRET" }],
		["another layout", /no ChatGPT sign-in/, ["SECRET"]],
		["half a file", /not valid JSON/, '{"openai":{"type":"oauth","refresh":"rt_SECRET'],
	])("with %s is left out, with a reason that shows nothing of it", async (_what, reason, content) => {
		writeAuth(content);
		expect(reasonsOf(await found())).toEqual([expect.stringMatching(reason)]);
	});

	it("of somebody who uses no ChatGPT is no finding", async () => {
		writeAuth({ anthropic: { type: "api", key: "sk-SECRET" } });
		expect(await found()).toEqual([]);
	});
});

describe.skipIf(hasSqlite)("a database, on a Node without SQLite", () => {
	it("is left out with what it takes to read it, and opencode's file is read all the same", async () => {
		await writeTool("opencode-database", home, [work]);
		await writeTool("codex-pool", home, [work]);
		await writeTool("opencode", home, [side]);
		const findings = await search({ home });
		expect(loginsOf(findings)).toEqual(["-: side"]);
		expect(reasonsOf(findings)).toEqual([NEEDS_NEWER_NODE, NEEDS_NEWER_NODE]);
		expect(reasonsOf(await search({ home, path: join(data, "codex-pool.db") }))).toEqual([NEEDS_NEWER_NODE]);
	});
});

describe("a database, on a Node whose SQLite", () => {
	const failing = (error: Error) => {
		class DatabaseSync {
			constructor() {
				throw error;
			}
		}
		vi.spyOn(process, "getBuiltinModule").mockImplementation(() => ({ DatabaseSync }));
	};
	const look = async () => {
		writeAt(join(data, "codex-pool.db"), "a database");
		return reasonsOf(await search({ home, tool: "codex-pool" }));
	};

	it("takes no URL is left out with what it takes to read it", async () => {
		failing(new TypeError('The "path" argument must be of type string. Received SECRET'));
		expect(await look()).toEqual([NEEDS_NEWER_NODE]);
	});

	it("cannot read that database is not told to be too old", async () => {
		failing(Object.assign(new Error("file is not a database: SECRET"), { code: "ERR_SQLITE_ERROR" }));
		expect(await look()).toEqual([expect.stringMatching(/is no SQLite database/)]);
	});
});

/** What lies there: names, and a short form of the content. The index of a log is shared memory: only that it is there. */
const contents = () =>
	readdirSync(data).map((name) => {
		return name.endsWith("-shm") ? name : `${name} ${fingerprint(readFileSync(join(data, name), "base64"))}`;
	});

describe("opencode's database", () => {
	const path = () => join(data, "opencode.db");
	const look = () => searchWithSqlite({ home, tool: "opencode" });

	it("is read, with the labels of its rows, and goes before the file that it has replaced", async () => {
		await writeTool("opencode-database", home, [work, side]);
		await writeTool("opencode", home, [aLogin("old")]);
		const { found: findings, said } = await look();
		expect(loginsOf(findings)).toEqual(["work: work", "side: side"]);
		expect(findings[0]).toMatchObject({
			path: path(),
			credential: { access: work.access, expiresAt: NOW + 10 * DAY_MS },
			workspaceIdHint: "acct-work",
		});
		expect(said).not.toMatch(/SQLite/i);
	});

	it("is read in the layout before this one", async () => {
		await writeDatabase(path(), credentialSql([{ label: "Imported", value: credentialValue(work) }], "connector_id"));
		expect(loginsOf((await look()).found)).toEqual(["Imported: work"]);
	});

	it("may hold a key, or rows that are damaged: they are left out by name", async () => {
		const key = { label: "key", value: '{"type":"key","key":"sk-SECRET"}' };
		const torn = { label: "torn", value: credentialValue(work).slice(0, 60) };
		const sql = credentialSql([{ label: "good", value: credentialValue(side) }, key, torn]);
		await writeDatabase(path(), sql);
		const { found: findings } = await look();
		expect(loginsOf(findings)).toEqual(["good: side"]);
		expect(reasonsOf(findings)).toEqual([
			expect.stringMatching(/^key .*API key/),
			expect.stringMatching(/^torn .*no ChatGPT sign-in/),
		]);
	});

	it.each([
		["a key", '{"type":"key","key":"sk-SECRET"}', /^main .*API key/],
		["a damaged login", credentialValue(work).slice(0, 60), /^main .*no ChatGPT sign-in/],
	])("with %s for ChatGPT has replaced the file all the same", async (_what, value, reason) => {
		await writeDatabase(path(), credentialSql([{ label: "main", value }]));
		await writeTool("opencode", home, [work]);
		const { found: findings } = await look();
		expect([loginsOf(findings), reasonsOf(findings)]).toEqual([[], [expect.stringMatching(reason)]]);
	});

	it.each([
		["that has no such table", ["CREATE TABLE session (id TEXT)"]],
		["with rows of others only", credentialSql([{ label: "x", provider: "anthropic", value: "{}" }])],
	])("%s leaves the file to be read", async (_what, sql) => {
		await writeDatabase(path(), sql);
		await writeTool("opencode", home, [work]);
		expect(loginsOf((await look()).found)).toEqual(["-: work"]);
	});
});

describe("opencode codex-pool", () => {
	const path = () => join(data, "codex-pool.db");
	const look = () => searchWithSqlite({ home, tool: "codex-pool" });

	it("is read row by row", async () => {
		await writeTool("codex-pool", home, [work, side]);
		const { found: findings } = await look();
		expect(loginsOf(findings)).toEqual(["work: work", "side: side"]);
		expect(findings[1]).toMatchObject({ tool: "codex-pool", path: path(), workspaceIdHint: "acct-side" });
	});

	it("is read in the usual place, whatever XDG says", async () => {
		await writeTool("codex-pool", home, [work]);
		const env = { XDG_DATA_HOME: join(home, "xdg") };
		expect(loginsOf((await searchWithSqlite({ home, env, tool: "codex-pool" })).found)).toEqual(["work: work"]);
	});

	it("has accounts without a name, with an organisation for a workspace, and ones that it has given up", async () => {
		const rows = [
			{ login: work, label: null, accountId: "org-9" },
			{ login: side, disabledAt: NOW, label: "side" },
		];
		await writeDatabase(path(), poolSql(rows));
		const { found: findings } = await look();
		expect(loginsOf(findings)).toEqual(["work@example.test: work"]);
		expect(findings[0]).toMatchObject({ workspaceIdHint: undefined });
		expect(reasonsOf(findings)).toEqual([expect.stringMatching(/^side .*given.*up/)]);
	});

	it("is read in its oldest layout, and a row that holds no token is left out", async () => {
		const [table = "", , ...rows] = poolSql([{ login: work }, { login: { ...side, refresh: "" } }]);
		const oldest = (sql: string) => sql.replace(/, plan_type TEXT\)$/, ")").replace(/, 'plus'\)$/, ")");
		await writeDatabase(path(), [oldest(table), ...rows.map(oldest)]);
		const { found: findings } = await look();
		expect(loginsOf(findings)).toEqual(["work@example.test: work"]);
		expect(reasonsOf(findings)).toEqual([expect.stringMatching(/row that holds no sign-in/)]);
	});

	it("is read while it is in use, with what is only in its log, and is left as it was", async () => {
		await writeDatabase(path(), poolSql([{ login: work }]), { isLive: true });
		expect(readdirSync(data)).toEqual(["codex-pool.db", "codex-pool.db-shm", "codex-pool.db-wal"]);
		const before = contents();
		expect(loginsOf((await look()).found)).toEqual(["work@example.test: work"]);
		expect(contents()).toEqual(before);
		// A copy would hold tokens.
		expect(readdirSync(home)).toEqual([".local"]);
	});

	it("with a log and no index is left to its owner, who would find files that are not its own", async () => {
		await writeDatabase(path(), poolSql([{ login: work }]), { isLive: true });
		rmSync(`${path()}-shm`);
		const before = contents();
		expect(reasonsOf((await look()).found)).toEqual([expect.stringMatching(/left open by a crash/)]);
		expect(contents()).toEqual(before);
	});

	it("leaves no file beside a database that was closed", async () => {
		await writeTool("codex-pool", home, [work]);
		const before = contents();
		expect(loginsOf((await look()).found)).toEqual(["work: work"]);
		expect([contents(), readdirSync(data)]).toEqual([before, ["codex-pool.db"]]);
	});

	it.each([
		["no database", "SECRET, but no database at all: ".repeat(200)],
		["half a one", "SQLite format 3\0SECRET"],
	])("with a file that is %s is left out, with a reason that shows nothing of it", async (_what, bytes) => {
		writeAt(path(), bytes);
		const { found: findings } = await look();
		expect(reasonsOf(findings)).toEqual([expect.stringMatching(/no SQLite database/)]);
		expect(readdirSync(home)).toEqual([".local"]);
	});

	it("that is not there, or a folder, or has no table of its, is no finding", async () => {
		expect((await look()).found).toEqual([]);
		await writeDatabase(path(), ["CREATE TABLE session (id TEXT)"]);
		expect((await look()).found).toEqual([]);
		expect(existsSync(path())).toBe(true);
	});
});

describe("a path to a database", () => {
	it.each(["opencode-database", "codex-pool"] as const)("of %s is read for what it is", async (tool) => {
		const [path = ""] = await writeTool(tool, home, [work]);
		const { found: findings } = await searchWithSqlite({ home, path });
		expect(findings).toMatchObject([{ kind: "login", tool: "file", name: "work", path }]);
	});

	it("in a folder is found with everything else in it", async () => {
		await writeTool("codex-pool", home, [work]);
		writeAt(join(data, "side.json"), codexFile(side));
		const { found: findings } = await searchWithSqlite({ home, path: data });
		expect(loginsOf(findings).sort()).toEqual(["-: side", "work: work"]);
	});

	it("of something else is left out", async () => {
		const path = writeAt(join(home, "notes.db"), "SECRET");
		expect(reasonsOf((await searchWithSqlite({ home, path })).found)).toEqual([
			expect.stringMatching(/no SQLite database/),
		]);
	});
});
