import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { prepareHost } from "./hosts.ts";

/** A sign-in that another tool keeps. The rest of what its files say is read off the access token. */
export interface ToolLogin {
	/** What the tool calls it, where it has names. */
	readonly name: string;
	readonly access: string;
	readonly refresh: string;
	/** Epoch ms. */
	readonly expires: number;
}

/** Every kind of file that sign-ins are taken from; some tools have two. */
export const FIXTURES = [
	"pi",
	"codex",
	"codex-auth",
	"codex-auth-npm",
	"codex-account-orchestrator",
	"codex-hotswap",
	"codex-hotswap-elsewhere",
	"prodex",
	"prodex-external",
	"opencode",
	"opencode-database",
	"codex-pool",
] as const;

/** A kind of file that sign-ins are taken from. */
export type Fixture = (typeof FIXTURES)[number];

/** The name under which `import` knows the tool of a fixture. */
export function toolOf(fixture: Fixture): string {
	return fixture.replace(/-(npm|elsewhere|external|database)$/, "");
}

/**
 * Writes the files that a tool keeps in `home` for these sign-ins, the first of which is its active one; the paths of
 * those that hold a token. Tools that hold one sign-in get the first.
 */
export async function writeTool(tool: Fixture, home: string, logins: readonly ToolLogin[]): Promise<string[]> {
	const write = WRITERS[tool];
	return write(home, logins);
}

/** Codex's `auth.json`. */
export function codexFile(login: ToolLogin, overrides: Readonly<Record<string, unknown>> = {}): object {
	const { accountId, email, issuedAt, auth } = claimsOf(login.access);
	const idToken = unsigned({ email, iat: issuedAt, exp: issuedAt + 3600, "https://api.openai.com/auth": auth });
	return {
		auth_mode: "chatgpt",
		OPENAI_API_KEY: null,
		tokens: {
			id_token: idToken,
			access_token: login.access,
			refresh_token: login.refresh,
			account_id: accountId,
		},
		last_refresh: new Date(issuedAt * 1000).toISOString(),
		...overrides,
	};
}

/** Codex's file of a user who works with an API key. */
export const API_KEY_FILE = { auth_mode: "apikey", OPENAI_API_KEY: "sk-FAKE-not-a-key" };

/** opencode's entry for a ChatGPT login. */
export function opencodeEntry(login: ToolLogin, overrides: Readonly<Record<string, unknown>> = {}): object {
	const { access, refresh, expires } = login;
	return { type: "oauth", refresh, access, expires, accountId: claimsOf(access).accountId, ...overrides };
}

/** Writes a file and its folders: JSON as these tools lay it out, a text as it is. */
export function writeAt(path: string, content: unknown): string {
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	const text = typeof content === "string" ? content : JSON.stringify(content, null, 2);
	writeFileSync(path, text, { mode: 0o600 });
	return path;
}

/** What codex-auth calls a snapshot: base64url of `<user>::<workspace>`. */
export function snapshotName(login: ToolLogin): string {
	return `${Buffer.from(keyOf(login)).toString("base64url")}.auth.json`;
}

/** Rows of opencode codex-pool, beyond what the sign-in says. */
export interface PoolRow {
	readonly login: ToolLogin;
	/** Epoch ms; null: in use. */
	readonly disabledAt?: number | null;
	readonly label?: string | null;
	readonly accountId?: string | null;
}

/** Statements that make opencode codex-pool's database. */
export function poolSql(rows: readonly PoolRow[]): string[] {
	const inserts = rows.map(({ login, disabledAt = null, label, accountId }, index) => {
		const { email, subject, ...claims } = claimsOf(login.access);
		const workspace = accountId === undefined ? claims.accountId : accountId;
		const values = [
			workspace ?? `row-${index}`,
			subject,
			email,
			workspace,
			label === undefined ? email : label,
			index,
			index === 0 ? 1 : 0,
			login.access,
			login.refresh,
			login.expires,
			disabledAt,
			disabledAt === null ? null : "401 after refresh",
			claims.issuedAt * 1000,
			claims.issuedAt * 1000,
			"plus",
		];
		return `INSERT INTO account VALUES (${values.map(literal).join(", ")})`;
	});
	return [
		`CREATE TABLE account (id TEXT PRIMARY KEY, subject TEXT, email TEXT, chatgpt_account_id TEXT, label TEXT,
			priority INTEGER NOT NULL UNIQUE, primary_account INTEGER NOT NULL DEFAULT 0, access_token TEXT NOT NULL,
			refresh_token TEXT NOT NULL, expires_at INTEGER NOT NULL, disabled_at INTEGER, last_error TEXT,
			created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, plan_type TEXT)`,
		`CREATE TABLE "lock" (key TEXT PRIMARY KEY, owner TEXT NOT NULL, until_at INTEGER NOT NULL, updated_at INTEGER NOT NULL)`,
		...inserts,
	];
}

/** Statements that make the database of opencode 2. `owner` is the column that names the provider; it has moved. */
export function credentialSql(
	rows: readonly { readonly label: string; readonly provider?: string; readonly value: string }[],
	owner: "integration_id" | "connector_id" = "integration_id",
): string[] {
	const inserts = rows.map(({ label, provider = "openai", value }, index) => {
		const values = [`cred_${index}`, provider, "chatgpt-browser", label, value, index === 0 ? 1 : 0, index, index];
		return `INSERT INTO credential VALUES (${values.map(literal).join(", ")})`;
	});
	return [
		`CREATE TABLE credential (id TEXT PRIMARY KEY, ${owner} TEXT NOT NULL, method_id TEXT NOT NULL, label TEXT NOT NULL,
			value TEXT NOT NULL, active INTEGER DEFAULT 0, time_created INTEGER NOT NULL, time_updated INTEGER NOT NULL)`,
		...inserts,
	];
}

/** What opencode 2 has in the column `value`. */
export function credentialValue({ access, refresh, expires }: ToolLogin): string {
	const metadata = { accountID: claimsOf(access).accountId };
	return JSON.stringify({ type: "oauth", methodID: "chatgpt-browser", refresh, access, expires, metadata });
}

/**
 * Makes a SQLite database in a Node that can. With `isLive` its owner is killed before it closes the file, so that
 * everything is in the write-ahead log only, as with a tool that is running.
 */
export async function writeDatabase(path: string, sql: readonly string[], { isLive = false } = {}): Promise<string> {
	mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
	const program = `
		const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
		const { path, sql, isLive } = JSON.parse(process.argv[1]);
		const database = new DatabaseSync(path);
		database.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0");
		for (const statement of sql) database.exec(statement);
		if (isLive) process.kill(process.pid, "SIGKILL");
		database.close();`;
	const { node } = await prepareHost("0.87.1");
	await new Promise<void>((resolve, reject) => {
		execFile(node, ["-e", program, JSON.stringify({ path, sql, isLive })], (error) => {
			if (error && !(isLive && error.signal === "SIGKILL")) reject(error);
			else resolve();
		});
	});
	return path;
}

const WRITERS: Readonly<Record<Fixture, (home: string, logins: readonly ToolLogin[]) => Promise<string[]>>> = {
	pi: async (home, logins) =>
		first(logins).map((login) => {
			const entry = opencodeEntry(login);
			return writeAt(join(home, ".pi/agent/auth.json"), { "openai-codex": entry });
		}),
	codex: async (home, logins) =>
		first(logins).map((login) => writeAt(join(home, ".codex/auth.json"), codexFile(login))),
	"codex-auth": async (home, logins) => {
		const folder = join(home, ".codex/accounts");
		writeAt(join(folder, "registry.json"), {
			schema_version: 4,
			active_account_key: first(logins).map(keyOf)[0] ?? null,
			accounts: logins.map((login) => ({
				account_key: keyOf(login),
				chatgpt_account_id: claimsOf(login.access).accountId,
				email: claimsOf(login.access).email,
				alias: login.name,
				account_name: null,
				auth_mode: "chatgpt",
			})),
		});
		// Its own backups hold credentials too, old ones.
		writeAt(join(folder, "auth.json.bak.20260921-141320"), '{"tokens":{}}');
		return logins.map((login) => writeAt(join(folder, snapshotName(login)), codexFile(login)));
	},
	"codex-auth-npm": async (home, logins) => {
		const folder = join(home, ".codex/accounts");
		const [active] = logins;
		const named = (login: ToolLogin) => ({ name: login.name, email: claimsOf(login.access).email });
		writeAt(join(folder, "registry.json"), {
			version: 1,
			activeAccountName: active?.name,
			accounts: Object.fromEntries(logins.map((login) => [login.name, named(login)])),
		});
		writeAt(join(folder, "sessions.json"), {
			version: 1,
			sessions: { "ppid:4242": { accountName: active?.name, updatedAt: "2026-09-21T14:13:20.000Z" } },
		});
		writeAt(join(home, ".codex/current"), active?.name ?? "");
		return logins.map((login) => writeAt(join(folder, `${login.name}.json`), codexFile(login)));
	},
	"codex-account-orchestrator": async (home, logins) => {
		const folder = join(home, ".codex-account-orchestrator");
		const names = logins.map(({ name }) => name);
		writeAt(join(folder, "registry.json"), { default_account: names[0] ?? null, accounts: names });
		writeAt(join(folder, "account_status.json"), { statuses: {} });
		return logins.map((login, index) => {
			const config = 'cli_auth_credentials_store = "file"\nforced_login_method = "chatgpt"\n';
			writeAt(join(folder, login.name, "config.toml"), config);
			// Its gateway writes what it renews without a mode, and without what it does not know.
			const { access: access_token, refresh: refresh_token } = login;
			const renewed = { OPENAI_API_KEY: null, tokens: { access_token, refresh_token }, last_refresh: "2026-09-21" };
			return writeAt(join(folder, login.name, "auth.json"), index === 0 ? codexFile(login) : renewed);
		});
	},
	"codex-hotswap": async (home, logins) => hotswapIn(home, logins, (name) => `~/.codex-${name}`),
	"codex-hotswap-elsewhere": async (home, logins) => hotswapIn(home, logins, (name) => `~/vaults/${name}`),
	prodex: async (home, logins) => prodexIn(home, logins, (name) => join(home, ".prodex/profiles", name)),
	"prodex-external": async (home, logins) => prodexIn(home, logins, (name) => join(home, "codex-homes", name)),
	opencode: async (home, logins) =>
		first(logins).map((login) =>
			writeAt(join(home, ".local/share/opencode/auth.json"), {
				anthropic: { type: "api", key: "sk-ant-FAKE" },
				openai: opencodeEntry(login),
				"https://example.com": { type: "wellknown", key: "EXAMPLE_TOKEN", token: "FAKE" },
			}),
		),
	"opencode-database": async (home, logins) => {
		const rows = logins.map((login) => ({ label: login.name, value: credentialValue(login) }));
		const path = join(home, ".local/share/opencode/opencode.db");
		const key = { label: "other", provider: "anthropic", value: '{"type":"key","key":"sk-ant-FAKE"}' };
		return [await writeDatabase(path, credentialSql([...rows, key]))];
	},
	"codex-pool": async (home, logins) => {
		const path = join(home, ".local/share/opencode/codex-pool.db");
		return [await writeDatabase(path, poolSql(logins.map((login) => ({ login, label: login.name }))))];
	},
};

function hotswapIn(home: string, logins: readonly ToolLogin[], folderOf: (name: string) => string): string[] {
	const targets = logins.map(
		({ name }) => `[[targets]]\nname = "${name}"\ncodex_home = "${folderOf(name)}"\nnote = "Configured by setup"\n`,
	);
	const local = '[[targets]]\nname = "local"\noss = true\nlocal_provider = "ollama"\nactive = false\n';
	const config = `version = 1\n\n[settings]\nmax_swaps = 3\nshared_codex_home = "~/.codex"\n\n${[...targets, local].join("\n")}`;
	writeAt(join(home, ".config/codex-hotswap/config.toml"), config);
	writeAt(join(home, ".local/state/codex-hotswap/state.json"), { current_target: logins[0]?.name ?? null });
	return logins.map((login) => writeAt(join(folderOf(login.name).replace("~", home), "auth.json"), codexFile(login)));
}

function prodexIn(home: string, logins: readonly ToolLogin[], folderOf: (name: string) => string): string[] {
	const profiles = logins.map(({ name, access }) => {
		const codex_home = folderOf(name);
		const managed = codex_home.includes("profiles");
		return [name, { codex_home, managed, email: claimsOf(access).email, provider: { provider_kind: "openai" } }];
	});
	writeAt(join(home, ".prodex/state.json"), {
		schema_version: 1,
		active_profile: logins[0]?.name ?? null,
		profiles: Object.fromEntries(profiles),
		last_run_selected_at: {},
		response_profile_bindings: {},
		session_profile_bindings: {},
	});
	return logins.map((login) => writeAt(join(folderOf(login.name), "auth.json"), codexFile(login)));
}

function first(logins: readonly ToolLogin[]): ToolLogin[] {
	return logins.slice(0, 1);
}

function keyOf({ access }: ToolLogin): string {
	const { userId, accountId } = claimsOf(access);
	return `${userId}::${accountId}`;
}

function literal(value: unknown): string {
	if (value === null || value === undefined) return "NULL";
	return typeof value === "number" ? String(value) : `'${String(value).replaceAll("'", "''")}'`;
}

/** What a token says, as the tools read it. `issuedAt` is in seconds. */
function claimsOf(access: string) {
	const claims = recordIn(JSON.parse(Buffer.from(access.split(".")[1] ?? "", "base64").toString() || "{}"));
	const auth = recordIn(claims["https://api.openai.com/auth"]);
	const profile = recordIn(claims["https://api.openai.com/profile"]);
	return {
		auth,
		subject: claims.sub,
		email: profile.email ?? claims.email ?? null,
		issuedAt: typeof claims.iat === "number" ? claims.iat : 0,
		accountId: textIn(auth.chatgpt_account_id),
		userId: textIn(auth.chatgpt_user_id) ?? createHash("sha256").update(access).digest("hex").slice(0, 8),
	};
}

function recordIn(value: unknown): Record<string, unknown> {
	return typeof value === "object" && value !== null ? { ...value } : {};
}

function textIn(value: unknown): string | null {
	return typeof value === "string" ? value : null;
}

function unsigned(claims: object): string {
	const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
	return `${part({ alg: "none", typ: "JWT" })}.${part(claims)}.unsigned`;
}
