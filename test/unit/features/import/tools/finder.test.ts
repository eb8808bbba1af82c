import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { ENCODINGS } from "../../../../support/fakes.ts";
import {
	API_KEY_FILE,
	codexFile,
	FIXTURES,
	opencodeEntry,
	type ToolLogin,
	writeAt,
	writeTool,
} from "../../../../support/import-fixtures.ts";
import { scratchForEach } from "../../../../support/scratch-for-each.ts";
import { coreOf } from "../../../../support/tiers.ts";
import { aLogin, loginsOf, reasonsOf, search } from "../readers.ts";

const scratch = scratchForEach();
let home: string;
beforeEach(() => {
	home = scratch.path("home");
	mkdirSync(home);
});

const work = aLogin("work");
const side = aLogin("side");
const inHome = (path: string, content: unknown) => writeAt(join(home, path), content);
const at = (path: string) => search({ home, path });

/** Every kind of file that is text. */
const TEXTS = FIXTURES.filter((fixture) => !["opencode-database", "codex-pool"].includes(fixture));

describe("looking in all places", () => {
	it.each(coreOf(ENCODINGS, (_encoding, at) => at < 2))("finds what every tool keeps in %s", async (_what, bytes) => {
		for (const fixture of TEXTS) await writeTool(fixture, home, [work]);
		const before = (await search({ home }))?.map(({ tool, kind, name }) => `${tool} ${kind} ${name}`);
		const texts = readdirSync(home, { recursive: true, encoding: "utf8" }).filter((name) =>
			/\.(json|toml)$/.test(name),
		);
		expect(texts.length).toBeGreaterThan(TEXTS.length);
		for (const path of texts.map((name) => join(home, name))) writeFileSync(path, bytes(readFileSync(path, "utf8")));
		const found = await search({ home });
		expect(found?.map(({ tool, kind, name }) => `${tool} ${kind} ${name}`)).toEqual(before);
	});

	it("continues if one place is damaged", async () => {
		inHome(".codex/auth.json", "torn {");
		inHome(".prodex", "a file where a folder should be");
		await writeTool("opencode", home, [work]);
		const found = await search({ home });
		expect(loginsOf(found)).toEqual(["-: work"]);
		expect(found?.filter(({ kind }) => kind === "left-out")).toMatchObject([{ tool: "codex" }]);
	});
});

describe("a path", () => {
	it.each<[string, unknown]>([
		["Codex", codexFile(work)],
		["Codex, at top level", { access_token: work.access, refresh_token: work.refresh, account_id: "acct-work" }],
		["opencode", { openai: opencodeEntry(work) }],
		["opencode, under its second name", { codex: opencodeEntry(work) }],
		["pi", { anthropic: { type: "api_key", key: "k" }, "openai-codex": opencodeEntry(work) }],
	])("a path to a file in the shape of %s is read", async (_shape, content) => {
		const path = inHome("some where/login file.txt", content);
		expect(await at(path)).toMatchObject([
			{ kind: "login", tool: "file", path, name: undefined, workspaceIdHint: "acct-work" },
		]);
	});

	it("may begin with the home, written ~, and hold blanks", async () => {
		const path = inHome("some where/a file.json", codexFile(work));
		expect(await at("~/some where/a file.json")).toMatchObject([{ kind: "login", path }]);
		expect(loginsOf(await at("~"))).toEqual([]);
		inHome("auth.json", codexFile(side));
		expect(loginsOf(await at("~"))).toEqual(["-: side"]);
		expect(await at("~other/file.json")).toBeUndefined();
	});

	it("a path to nothing finds no place at all", async () => {
		expect(await at(join(home, "gone"))).toBeUndefined();
		expect(await at("~/gone.json")).toBeUndefined();
	});

	it("a path to a Codex home, to a folder of snapshots, or to a folder of homes is read", async () => {
		await writeTool("codex", home, [work]);
		await writeTool("codex-auth-npm", home, [side]);
		await writeTool("codex-account-orchestrator", home, [work, side]);
		expect(loginsOf(await at("~/.codex"))).toEqual(["-: work"]);
		expect(loginsOf(await at("~/.codex/accounts"))).toEqual(["-: side"]);
		expect(loginsOf(await at("~/.codex-account-orchestrator"))).toEqual(["-: side", "-: work"]);
	});

	it.each<[string, unknown]>([
		["opencode", { anthropic: { type: "api", key: "sk-SECRET" }, openai: opencodeEntry(work) }],
		["pi", { anthropic: { type: "api_key", key: "k" }, "openai-codex": opencodeEntry(work) }],
	])("a path to a folder of %s is read, and so is one to the folder around it", async (_tool, content) => {
		const path = inHome("elsewhere/main/auth.json", content);
		for (const folder of ["~/elsewhere/main", "~/elsewhere"]) {
			expect(await at(folder)).toMatchObject([{ kind: "login", tool: "file", path, workspaceIdHint: "acct-work" }]);
		}
	});

	it("a path to a folder of opencode with nothing but an API key says so", async () => {
		inHome("elsewhere/auth.json", { openai: { type: "api", key: "sk-SECRET" } });
		expect(loginsOf(await at("~/elsewhere"))).toEqual([]);
		expect(reasonsOf(await at("~/elsewhere"))).toHaveLength(1);
	});

	it("a path to a folder with sign-ins says nothing of what else is there", async () => {
		inHome("mix/side.json", codexFile(side));
		inHome("mix/package.json", { name: "x" });
		inHome("mix/torn.json", "{");
		expect(reasonsOf(await at("~/mix"))).toEqual([]);
		expect(loginsOf(await at("~/mix"))).toEqual(["-: side"]);
	});

	it("a path to a folder without sign-ins names what was found there", async () => {
		inHome("mix/key.json", API_KEY_FILE);
		inHome("mix/notes.md", "SECRET");
		expect(reasonsOf(await at("~/mix"))).toEqual([expect.stringMatching(/API key/)]);
		mkdirSync(join(home, "empty"));
		expect(await at("~/empty")).toEqual([]);
	});

	it("a path to a folder in which the keyring is used says so", async () => {
		inHome("codex home/config.toml", 'cli_auth_credentials_store = "keyring"');
		expect(reasonsOf(await at("~/codex home"))).toEqual([expect.stringMatching(/keyring/)]);
	});

	it("a path to a folder in which the keyring is used takes no leftover file", async () => {
		inHome("codex home/config.toml", 'cli_auth_credentials_store = "keyring"');
		inHome("codex home/auth.json", codexFile(work));
		expect(loginsOf(await at("~/codex home"))).toEqual([]);
		expect(reasonsOf(await at("~/codex home"))).toEqual([expect.stringMatching(/keyring.*leftover/)]);
	});

	it("a path to the folder of pi's own login finds that as pi's", async () => {
		await writeTool("pi", home, [work]);
		for (const folder of ["~/.pi/agent", "~/.pi"]) expect(await at(folder)).toMatchObject([{ tool: "pi" }]);
	});

	it("a path to pi's own login is pi's, however it is written", async () => {
		await writeTool("pi", home, [work]);
		expect(await at("~/.pi/agent/../agent/auth.json")).toMatchObject([{ tool: "pi" }]);
	});

	const inCamel = (login: ToolLogin) => ({
		accessToken: login.access,
		refreshToken: login.refresh,
		accountId: "acct-x",
	});
	const claude = { ...aLogin("claude"), access: "opaque", refresh: "opaque" };
	const inSnake = (login: ToolLogin) => ({
		access_token: login.access,
		refresh_token: login.refresh,
		account_id: "acct-x",
	});

	it.each<[string, unknown, string[]]>([
		["a list of flat sign-ins", [inSnake(work), inSnake(side)], ["-: work", "-: side"]],
		["tokens in camel case", { tokens: inCamel(work), lastRefresh: "2026-11-20" }, ["-: work"]],
		["a flat sign-in in camel case", { email: "w@work.example", ...inCamel(work) }, ["w@work.example: work"]],
		["both cases mixed", { accessToken: work.access, refresh_token: work.refresh }, ["-: work"]],
		[
			"accounts with credentials",
			{ version: 3, accounts: [{ name: "one", credentials: inSnake(work) }, { credentials: inCamel(side) }] },
			["one: work", "-: side"],
		],
		[
			"accounts by name",
			{ accounts: { one: { tokens: inCamel(work) }, two: inSnake(side) } },
			["one: work", "two: side"],
		],
		["a list of Codex files", [codexFile(work), codexFile(side)], ["-: work", "-: side"]],
		["data around a list", { data: [{ label: "l", oauth: inCamel(work) }], total: 1 }, ["l: work"]],
		[
			"a list under the name that opencode has for its login",
			{ codex: [inSnake(work), inSnake(side)] },
			["-: work", "-: side"],
		],
		[
			"further accounts beside pi's own",
			{ "openai-codex": opencodeEntry(work), "openai-codex-2": opencodeEntry(side), anthropic: opencodeEntry(claude) },
			["-: work", "-: side"],
		],
		["a key and a sign-in", { openai: { type: "api", key: "SECRET" }, accounts: [inSnake(work)] }, ["-: work"]],
		[
			"providers side by side, one of them ChatGPT",
			{ openai: opencodeEntry(work), anthropic: { type: "oauth", access: "a", refresh: "r", expires: 1 } },
			["-: work"],
		],
		["a text in place of the tokens", { credentials: JSON.stringify(inSnake(work)) }, ["-: work"]],
		["whole files as texts", { accounts: [{ name: "one", auth: JSON.stringify(codexFile(work)) }] }, ["one: work"]],
		["a list of tokens", { tokens: [inSnake(work), inSnake(side)] }, ["-: work", "-: side"]],
		["names with a dash", { tokens: { "access-token": work.access, "refresh-token": work.refresh } }, ["-: work"]],
		["names in capitals", { ACCESS_TOKEN: work.access, REFRESH_TOKEN: work.refresh }, ["-: work"]],
		["names that begin with a capital", { AccessToken: work.access, RefreshToken: work.refresh }, ["-: work"]],
		[
			"its scheme before the token",
			{ access_token: `Bearer ${work.access}`, refresh_token: work.refresh },
			["-: work"],
		],
		[
			"one token elsewhere than the other",
			{ tokens: { access_token: work.access }, refresh_token: work.refresh },
			["-: work"],
		],
		[
			"the refresh token alone among the tokens",
			{ access_token: work.access, tokens: { refresh_token: work.refresh } },
			["-: work"],
		],
		["figures called tokens beside it", { ...inSnake(work), tokens: { used: 1200, limit: 5000 } }, ["-: work"]],
		["empty tokens beside it", { ...inSnake(work), tokens: {} }, ["-: work"]],
		["an empty second spelling", { ...inSnake(work), accessToken: null, refreshToken: "" }, ["-: work"]],
		[
			"a sign-in of its own, and others",
			{ ...codexFile(work), accounts: { two: inSnake(side) } },
			["-: work", "two: side"],
		],
		["others in place of its own", { OPENAI_API_KEY: null, tokens: null, accounts: [inSnake(side)] }, ["-: side"]],
	])("a path to a file with %s is read", async (_what, content, expected) => {
		expect(loginsOf(await at(inHome("export.json", content)))).toEqual(expected);
	});

	it.each(ENCODINGS)("a path to a file in %s is read, whatever tool's it is", async (_what, bytes) => {
		const files: [string, unknown][] = [
			["codex.json", codexFile(work)],
			["pi.json", { "openai-codex": opencodeEntry(work) }],
			["opencode.json", { openai: opencodeEntry(work) }],
		];
		for (const [name, content] of files) {
			const path = inHome(name, "");
			writeFileSync(path, bytes(JSON.stringify(content, undefined, 2)));
			expect([name, ...loginsOf(await at(path))]).toEqual([name, "-: work"]);
		}
	});

	it.each<[string, unknown]>([
		["tokens under unknown names", { session: { bearer: work.access } }],
		["a list of tokens", [work.access]],
		["a token alone in place of the tokens", { OPENAI_API_KEY: null, tokens: work.access }],
	])("a path to a file with %s is in a shape that is not known", async (_what, content) => {
		expect(reasonsOf(await at(inHome("x.json", content)))).toEqual([expect.stringMatching(/shape that is not known/)]);
	});

	it.each<[string, RegExp, unknown]>([
		["no JSON", /not valid JSON/, "SECRET"],
		["a key that Codex uses, whatever else is in it", /API key/, { ...codexFile(work), auth_mode: "apikey" }],
		["nothing in Codex's own shape", /no ChatGPT sign-in/, { OPENAI_API_KEY: null, tokens: null }],
		["an API key of pi's", /API key/, { "openai-codex": { type: "api_key", key: "SECRET" } }],
		["something else", /no ChatGPT sign-in/, { version: 1 }],
	])("a path to a file with %s is left out", async (_what, reason, content) => {
		expect(reasonsOf(await at(inHome("x.json", content)))).toEqual([expect.stringMatching(reason)]);
	});
});
