import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DAY_MS, HOUR_MS, NOW } from "../../../../support/fakes.ts";
import { opencodeEntry, writeAt, writeTool } from "../../../../support/import-fixtures.ts";
import { scratchForEach } from "../../../../support/scratch-for-each.ts";
import { aLogin, loginsOf, reasonsOf, search } from "../readers.ts";

const scratch = scratchForEach();
let home: string;
let data: string;
beforeEach(() => {
	home = scratch.path("home");
	data = join(home, ".local/share/opencode");
	mkdirSync(data, { recursive: true });
});
afterEach(() => {
	vi.restoreAllMocks();
});

const work = aLogin("work");
const side = aLogin("side");
const writeAuth = (content: unknown) => writeAt(join(data, "auth.json"), content);
const found = (env: Record<string, string> = {}) => search({ home, env, tool: "opencode" });
const NEEDS_NEWER_NODE = expect.stringMatching(/^- is an SQLite database, .* Node 22\.15 or newer/);

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

	it("opencode's file is read where XDG_DATA_HOME says", async () => {
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
	])("opencode's file with %s is left out, with a reason that shows nothing of it", async (_what, reason, content) => {
		writeAuth(content);
		expect(reasonsOf(await found())).toEqual([expect.stringMatching(reason)]);
	});

	it("a file without a ChatGPT sign-in is no finding", async () => {
		writeAuth({ anthropic: { type: "api", key: "sk-SECRET" } });
		expect(await found()).toEqual([]);
	});
});

describe("a database, on a Node without SQLite", () => {
	it("is left out with what it takes to read it, and opencode's file is still read", async () => {
		vi.spyOn(process, "getBuiltinModule").mockReturnValue(undefined);
		for (const name of ["opencode.db", "codex-pool.db"]) writeAt(join(data, name), "a database");
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

	it("skips a database whose URL cannot be opened", async () => {
		failing(new TypeError('The "path" argument must be of type string. Received SECRET'));
		expect(await look()).toEqual([NEEDS_NEWER_NODE]);
	});

	it("cannot read that database is not called too old", async () => {
		failing(Object.assign(new Error("file is not a database: SECRET"), { code: "ERR_SQLITE_ERROR" }));
		expect(await look()).toEqual([expect.stringMatching(/not a readable SQLite/)]);
	});
});
