import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { aTokenOf, DAY_MS, NOW } from "../../../../support/fakes.ts";
import { API_KEY_FILE, codexFile, snapshotName, writeAt, writeTool } from "../../../../support/import-fixtures.ts";
import { onPosix } from "../../../../support/posix.ts";
import { scratchForEach } from "../../../../support/scratch-for-each.ts";
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
const found = (tool: Parameters<typeof search>[0]["tool"], env: Record<string, string> = {}) =>
	search({ home, env, ...(tool && { tool }) });

describe("Codex CLI", () => {
	it("is read where it keeps its login", async () => {
		const [path] = await writeTool("codex", home, [work]);
		expect(await found("codex")).toEqual([
			{
				kind: "login",
				tool: "codex",
				path,
				name: undefined,
				credential: { access: work.access, refresh: work.refresh, expiresAt: NOW + 10 * DAY_MS },
				workspaceIdHint: "acct-work",
			},
		]);
	});

	it("is read in CODEX_HOME if that is set, and there only", async () => {
		await writeTool("codex", home, [work]);
		inHome("elsewhere/auth.json", codexFile(side));
		expect(loginsOf(await found("codex", { CODEX_HOME: join(home, "elsewhere") }))).toEqual(["-: side"]);
		expect(loginsOf(await found("codex", { CODEX_HOME: "" }))).toEqual(["-: work"]);
		expect(await found("codex", { CODEX_HOME: join(home, "gone") })).toEqual([]);
	});

	it("needs neither an ID token nor a mode, and takes the time from the token itself", async () => {
		const { access: access_token, refresh: refresh_token } = work;
		inHome(".codex/auth.json", { OPENAI_API_KEY: null, tokens: { access_token, refresh_token, id_token: 5 } });
		expect(await found("codex")).toMatchObject([
			{ credential: { expiresAt: NOW + 10 * DAY_MS }, workspaceIdHint: undefined },
		]);
	});

	it("has a sign-in even if its token has run out: it can be renewed", async () => {
		const old = aLogin("old", { claims: { expiresAt: NOW - DAY_MS } });
		await writeTool("codex", home, [old]);
		expect(await found("codex")).toMatchObject([{ credential: { expiresAt: NOW - DAY_MS } }]);
	});

	it("never takes the id of an API organisation for a workspace", async () => {
		const { tokens } = { tokens: {}, ...codexFile(work) };
		inHome(".codex/auth.json", codexFile(work, { tokens: { ...tokens, account_id: "org-123" } }));
		expect(await found("codex")).toMatchObject([{ kind: "login", workspaceIdHint: undefined }]);
	});

	it.each<[string, string, unknown]>([
		["an API key", "API key", API_KEY_FILE],
		["an API key without a mode", "API key", { OPENAI_API_KEY: "sk-SECRET" }],
		[
			"an API key that goes first",
			"API key.* instead",
			{ ...codexFile(work), auth_mode: null, OPENAI_API_KEY: "sk-SECRET" },
		],
		[
			"a mode of API keys over tokens",
			"API key",
			codexFile(work, { auth_mode: "apikey", OPENAI_API_KEY: "sk-SECRET" }),
		],
		[
			"a personal access token",
			"personal access token",
			{ auth_mode: "personalAccessToken", personal_access_token: "at-SECRET" },
		],
		["one without a mode", "personal access token", { personal_access_token: "at-SECRET" }],
		["an agent's identity", "agent", { auth_mode: "agentIdentity", agent_identity: "eyJSECRET" }],
		["a key of Bedrock", "Bedrock", { auth_mode: "bedrockApiKey", bedrock_api_key: { api_key: "SECRET" } }],
		["lent tokens", "lends", codexFile(work, { auth_mode: "chatgptAuthTokens" })],
		[
			"lent tokens that cannot be renewed",
			"lends",
			codexFile(work, { auth_mode: "chatgptAuthTokens", tokens: { access_token: work.access, refresh_token: "" } }),
		],
		["no refresh token", "no refresh token", codexFile(work, { tokens: { access_token: work.access } })],
		[
			"an empty refresh token",
			"no refresh token",
			codexFile(work, { tokens: { access_token: work.access, refresh_token: "" } }),
		],
		[
			"a refresh token that can stand in no request",
			"no refresh token",
			codexFile(work, { tokens: { access_token: work.access, refresh_token: "SECRET with blanks" } }),
		],
		["no access token", "no ChatGPT sign-in", codexFile(work, { tokens: { refresh_token: "SECRET" } })],
		["tokens of another shape", "no ChatGPT sign-in", codexFile(work, { tokens: ["SECRET"] })],
		["no sign-in", "no ChatGPT sign-in", { OPENAI_API_KEY: null }],
		["a list", "no ChatGPT sign-in", ["SECRET"]],
		["a text", "no ChatGPT sign-in", '"SECRET"'],
		["nothing at all", "not valid JSON", ""],
		["half a file", "not valid JSON", JSON.stringify(codexFile(work)).slice(0, 300)],
	])("a login with %s is left out, by name, with a reason that shows none of it", async (_what, reason, content) => {
		const path = inHome(".codex/auth.json", content);
		expect(await found("codex")).toEqual([
			{ kind: "left-out", tool: "codex", path, name: undefined, reason: expect.stringMatching(new RegExp(reason)) },
		]);
	});

	it("a good sign-in beside a key of Bedrock is found", async () => {
		inHome(".codex/auth.json", codexFile(work, { bedrock_api_key: { api_key: "SECRET" } }));
		expect(loginsOf(await found("codex"))).toEqual(["-: work"]);
	});

	it("keeps its login in the keyring: the list says so, and a leftover file is not imported", async () => {
		inHome(".codex/config.toml", '# mine\nmodel = "gpt-5.5"\ncli_auth_credentials_store = "keyring"\n');
		expect(reasonsOf(await found("codex"))).toEqual([
			expect.stringMatching(/^- .*keyring(?!.*leftover).*\/multicodex add/),
		]);
		await writeTool("codex", home, [work]);
		expect(reasonsOf(await found("codex"))).toEqual([expect.stringMatching(/keyring.*leftover/)]);
		expect(loginsOf(await found("codex"))).toEqual([]);
	});

	it("keeps its login in memory only: a leftover file is not taken either", async () => {
		inHome(".codex/config.toml", "\"cli_auth_credentials_store\"='ephemeral'");
		await writeTool("codex", home, [work]);
		expect(reasonsOf(await found("codex"))).toEqual([expect.stringMatching(/memory.*leftover/)]);
	});

	it("is read if its keyring is optional and there is a file, or if the setting is another table's", async () => {
		const config = (text: string) => inHome(".codex/config.toml", text);
		config('cli_auth_credentials_store = "auto"');
		expect(reasonsOf(await found("codex"))).toEqual([expect.stringMatching(/keyring/)]);
		await writeTool("codex", home, [work]);
		expect(loginsOf(await found("codex"))).toEqual(["-: work"]);
		for (const text of [
			'cli_auth_credentials_store = "file"',
			'[profiles.x]\ncli_auth_credentials_store = "keyring"',
			'# cli_auth_credentials_store = "keyring"',
			'note = """\ncli_auth_credentials_store = "keyring"\n"""',
			'cli_auth_credentials_store = "keyring',
		]) {
			config(text);
			expect(loginsOf(await found("codex"))).toEqual(["-: work"]);
		}
	});

	it("a missing Codex CLI is no finding, and no line", async () => {
		expect(await found("codex")).toEqual([]);
		expect(await search({ home })).toEqual([]);
	});
});

describe("a file that another program keeps", () => {
	it("is read once more if it is half written", async () => {
		const whole = JSON.stringify(codexFile(work), undefined, 2);
		const path = inHome(".codex/auth.json", whole.slice(0, 200));
		setTimeout(() => writeFileSync(path, whole), 30);
		expect(loginsOf(await found("codex"))).toEqual(["-: work"]);
	});

	it("is no finding if it is a folder, and is left out if it is much too large", async () => {
		mkdirSync(join(home, ".codex/auth.json"), { recursive: true });
		expect(await found("codex")).toEqual([]);
		inHome(".other/auth.json", "{}");
		truncateSync(join(home, ".other/auth.json"), 4 * 1024 * 1024 + 1);
		expect(reasonsOf(await found("codex", { CODEX_HOME: join(home, ".other") }))).toEqual([
			expect.stringMatching(/too large/),
		]);
	});

	it.skipIf(process.platform === "win32")("is left out if it is a pipe that may never be written to", async () => {
		mkdirSync(join(home, ".codex"));
		for (const name of ["auth.json", "config.toml"]) execFileSync("mkfifo", [join(home, ".codex", name)]);
		expect(reasonsOf(await found("codex"))).toEqual([expect.stringMatching(/is not a file/)]);
	});

	onPosix("is left out if its link leads nowhere but to itself", async () => {
		mkdirSync(join(home, ".codex"));
		symlinkSync("auth.json", join(home, ".codex/auth.json"));
		expect(reasonsOf(await found("codex"))).toEqual([expect.stringMatching(/cannot be read \(ELOOP\)/)]);
	});

	// The superuser may read everything.
	it.skipIf(process.getuid?.() === 0)("is left out if it is not to be read", async () => {
		const [path = ""] = await writeTool("codex", home, [work]);
		chmodSync(path, 0);
		expect(reasonsOf(await found("codex"))).toEqual([expect.stringMatching(/cannot be read \(EACCES\)/)]);
	});

	onPosix("is no finding if its folder is a file, and a link to nothing is none either", async () => {
		inHome(".codex", "a file");
		symlinkSync(join(home, "gone"), join(home, ".codex-link"));
		expect(await search({ home })).toEqual([]);
	});
});

describe("codex-auth", () => {
	it("is read by its snapshots, and has the names that the person gave", async () => {
		const paths = await writeTool("codex-auth", home, [work, side]);
		const findings = await found("codex-auth");
		expect(loginsOf(findings).sort()).toEqual(["side: side", "work: work"]);
		expect(findings?.map(({ path }) => path).sort()).toEqual(paths.sort());
	});

	it("has no name for a snapshot without one, whatever its file is called", async () => {
		await writeTool("codex-auth", home, [work]);
		inHome(`.codex/accounts/${snapshotName(side)}`, codexFile(side));
		inHome(".codex/accounts/registry.json", '{"accounts": [{"account_key": 5}, null, {"alias": ""}]}');
		expect(loginsOf(await found("codex-auth")).sort()).toEqual(["-: side", "-: work"]);
		inHome(".codex/accounts/registry.json", "torn {");
		expect(loginsOf(await found("codex-auth")).sort()).toEqual(["-: side", "-: work"]);
	});

	it("is two tools of one name: the other one's snapshots are called after the account", async () => {
		await writeTool("codex-auth-npm", home, [work, { ...side, name: "side@example.test" }]);
		expect(loginsOf(await found("codex-auth")).sort()).toEqual(["side@example.test: side", "work: work"]);
		await writeTool("codex-auth", home, [aLogin("main")]);
		expect(loginsOf(await found("codex-auth"))).toHaveLength(3);
	});

	it("is read in CODEX_HOME and in the usual place: one of the two tools does not know the former", async () => {
		await writeTool("codex-auth-npm", home, [work]);
		inHome("elsewhere/accounts/side.json", codexFile(side));
		const env = { CODEX_HOME: join(home, "elsewhere") };
		expect(loginsOf(await found("codex-auth", env)).sort()).toEqual(["side: side", "work: work"]);
		expect(loginsOf(await found("codex-auth", { CODEX_HOME: join(home, ".codex") }))).toEqual(["work: work"]);
	});

	it("leaves out API keys and damaged snapshots by their names, and its backups without a word", async () => {
		await writeTool("codex-auth-npm", home, [work]);
		inHome(".codex/accounts/key.json", API_KEY_FILE);
		inHome(".codex/accounts/torn.json", "{");
		inHome(".codex/accounts/auth.json.bak.20260921-141320", codexFile(side));
		inHome(".codex/accounts/backups/old.json", codexFile(side));
		const findings = await found("codex-auth");
		expect(loginsOf(findings)).toEqual(["work: work"]);
		expect(reasonsOf(findings)).toEqual([
			expect.stringMatching(/^key .*API key/),
			expect.stringMatching(/^torn .*JSON/),
		]);
	});
});

describe("codex-account-orchestrator", () => {
	it("is read by its accounts, also those that its gateway has renewed", async () => {
		await writeTool("codex-account-orchestrator", home, [work, side]);
		expect(loginsOf(await found("codex-account-orchestrator"))).toEqual(["side: side", "work: work"]);
	});

	it("has accounts without a sign-in, and one that is a registry by mistake", async () => {
		await writeTool("codex-account-orchestrator", home, [work]);
		mkdirSync(join(home, ".codex-account-orchestrator/empty"));
		inHome(".codex-account-orchestrator/registry/auth.json", { version: 1, accounts: {} });
		const findings = await found("codex-account-orchestrator");
		expect(loginsOf(findings)).toEqual(["work: work"]);
		expect(reasonsOf(findings)).toEqual([expect.stringMatching(/^registry .*no ChatGPT sign-in/)]);
	});
});

describe("codex-hotswap", () => {
	it("is read in the homes that it makes", async () => {
		await writeTool("codex-hotswap", home, [work, side]);
		expect(loginsOf(await found("codex-hotswap"))).toEqual(["work: work", "side: side"]);
	});

	it("is read in the homes that its configuration names, each once", async () => {
		const paths = await writeTool("codex-hotswap-elsewhere", home, [work]);
		await writeTool("codex-hotswap", home, []);
		const config = `[[targets]]\ncodex_home = '${join(home, "vaults/work")}'\n\n[[targets]]\ncodex_home = "${home}/.codex-side"\n`;
		inHome(".config/codex-hotswap/config.toml", config);
		inHome(".codex-side/auth.json", codexFile(side));
		const findings = await found("codex-hotswap");
		expect(loginsOf(findings)).toEqual(["work: work", "side: side"]);
		expect(findings?.[0]?.path).toBe(paths[0]);
	});

	it("is not taken for the orchestrator, nor for a folder of that kind that holds no login", async () => {
		await writeTool("codex-account-orchestrator", home, [work]);
		inHome(".codex-account-orchestrator/auth.json", codexFile(side));
		inHome(".codex-lb/config.toml", "x = 1");
		inHome(".codex-notes", "a file");
		expect(await found("codex-hotswap")).toEqual([]);
		expect(loginsOf(await search({ home }))).toEqual(["work: work"]);
	});
});

describe("prodex", () => {
	it("is read by its profiles, wherever they lie", async () => {
		await writeTool("prodex", home, [work]);
		expect(loginsOf(await found("prodex"))).toEqual(["work: work"]);
		await writeTool("prodex-external", home, [side]);
		expect(loginsOf(await found("prodex")).sort()).toEqual(["side: side", "work: work"]);
	});

	it("prodex is read where PRODEX_HOME says", async () => {
		await writeTool("prodex", join(home, "x"), [work]);
		expect(await found("prodex")).toEqual([]);
		expect(loginsOf(await found("prodex", { PRODEX_HOME: join(home, "x/.prodex") }))).toEqual(["work: work"]);
	});

	it("has profiles of other providers and with API keys, which are left out by name", async () => {
		await writeTool("prodex", home, [work]);
		const profile = (name: string, provider?: string) => ({
			codex_home: join(home, ".prodex/profiles", name),
			managed: true,
			...(provider && { provider: { provider_kind: provider, host: "github.com", login: "octo" } }),
		});
		inHome(".prodex/state.json", {
			profiles: { work: profile("work"), octo: profile("octo", "copilot"), api_key: profile("api_key"), bad: 5 },
		});
		inHome(".prodex/profiles/octo/auth.json", codexFile(side));
		inHome(".prodex/profiles/api_key/auth.json", { ...API_KEY_FILE, auth_mode: "api_key" });
		const findings = await found("prodex");
		expect(loginsOf(findings)).toEqual(["work: work"]);
		expect(reasonsOf(findings)).toEqual([
			expect.stringMatching(/^octo .*another provider/),
			expect.stringMatching(/^api_key .*API key/),
		]);
	});

	it("is read by its folders if its state is damaged or gone", async () => {
		await writeTool("prodex", home, [work]);
		rmSync(join(home, ".prodex/state.json"));
		const withoutState = await found("prodex");
		expect([loginsOf(withoutState), reasonsOf(withoutState)]).toEqual([["work: work"], []]);
		// Profiles that lie elsewhere are known to the state only, so its loss is reported.
		const path = inHome(".prodex/state.json", "{");
		const findings = await found("prodex");
		expect(loginsOf(findings)).toEqual(["work: work"]);
		expect(findings).toContainEqual({
			kind: "left-out",
			tool: "prodex",
			path,
			name: undefined,
			reason: expect.stringMatching(/not valid JSON/),
		});
	});

	it("has a home beside its state if the path is not absolute", async () => {
		inHome(".prodex/state.json", { profiles: { near: { codex_home: "profiles/near" } } });
		inHome(".prodex/profiles/near/auth.json", codexFile(work));
		expect(loginsOf(await found("prodex"))).toEqual(["near: work"]);
	});
});

describe("pi", () => {
	it("is read where this pi keeps its login", async () => {
		await writeTool("pi", home, [work]);
		expect(await found("pi")).toMatchObject([{ kind: "login", tool: "pi", workspaceIdHint: "acct-work" }]);
	});

	it.each([
		["an API key", { type: "api_key", key: "sk-SECRET" }, /API key/],
		["half a login", { type: "oauth", access: aTokenOf("work") }, /cannot be read/],
	])("pi with %s is left out", async (_what, entry, reason) => {
		inHome(".pi/agent/auth.json", { "openai-codex": entry });
		expect(reasonsOf(await found("pi"))).toEqual([expect.stringMatching(reason)]);
	});

	it("pi without a login for Codex is no finding", async () => {
		inHome(".pi/agent/auth.json", { anthropic: { type: "api_key", key: "sk-SECRET" } });
		expect(await found("pi")).toEqual([]);
	});
});
