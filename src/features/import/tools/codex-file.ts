import { join } from "node:path";
import * as z from "zod/mini";
import type { ToolName } from "../../../core/account-source.ts";
import { tokenTimes, writtenTokenSchema } from "../../../platform/backend/jwt.ts";
import { parseJson } from "../../../platform/json.ts";
import { lenient, lenientOrNull } from "../../../platform/lenient.ts";
import type { Finding, LeftOut } from "../rules.ts";
import { objectSchema, readJsonFile, readTomlFile } from "./files.ts";

const text = lenientOrNull(z.string());

/** Names of the parts of a sign-in in various tools, in any case and with any separator. `id_token` may be missing. */
const NAMES = {
	access: ["accesstoken", "access"],
	refresh: ["refreshtoken", "refresh"],
	accountId: ["accountid", "chatgptaccountid"],
} as const;

const token = lenient(
	z.pipe(
		z.pipe(
			z.string(),
			z.transform((written: string) => written.replace(/^\s*bearer\s+/i, "")),
		),
		writtenTokenSchema,
	),
);

function partIn(content: Readonly<Record<string, unknown>>, part: keyof typeof NAMES): string | undefined {
	const members = Object.entries(content).map(([name, value]) => [name.toLowerCase().replace(/[-_ ]/g, ""), value]);
	// Two spellings of one name may stand beside each other, one of them empty.
	const values = NAMES[part].flatMap((name) => members.filter(([called]) => called === name));
	return values.map(([, value]) => token.parse(value)).find((value) => value !== undefined);
}

const fileSchema = z.object({
	auth_mode: text,
	OPENAI_API_KEY: text,
	personal_access_token: text,
	agent_identity: z.optional(z.unknown()),
	bedrock_api_key: z.optional(z.unknown()),
	tokens: z.optional(z.unknown()),
});

/** The tool that a file belongs to, and its name for the account. */
export interface Whose {
	readonly tool: ToolName;
	readonly path: string;
	readonly name: string | undefined;
}

/** Reads an `auth.json` in Codex's format; undefined if it does not exist. */
export async function readCodexFile(whose: Whose): Promise<Finding | undefined> {
	const file = await readJsonFile(whose.path);
	if (file.kind === "missing") return undefined;
	if (file.kind === "unreadable") return leftOut(whose, file.reason);
	return loginInCodexShape(file.content, whose);
}

/** Reads JSON in Codex's format: `tokens` beside other fields, or the same names at top level. */
function loginInCodexShape(content: unknown, whose: Whose): Finding {
	const { data: record } = objectSchema.safeParse(content);
	const { data: file } = fileSchema.safeParse(content);
	if (!record || !file) return leftOut(whose, nothingIn(content));
	const other = otherThanChatGpt(file);
	if (other) return leftOut(whose, other);
	const tokens = objectSchema.safeParse(record.tokens).data ?? record;
	const access = partIn(tokens, "access") ?? partIn(record, "access");
	if (access === undefined)
		return leftOut(whose, isOfCodex(record) && !hasToken(record.tokens) ? NONE : nothingIn(content));
	if (file.auth_mode === "chatgptAuthTokens") return leftOut(whose, "holds tokens that another program lends to Codex");
	const refresh = partIn(tokens, "refresh") ?? partIn(record, "refresh");
	if (refresh === undefined) return leftOut(whose, "holds no refresh token, so it would end with its access token");
	return {
		kind: "login",
		...whose,
		credential: { access, refresh, expiresAt: tokenTimes(access).expiresAt ?? 0 },
		workspaceIdHint: workspaceIn(partIn(tokens, "accountId") ?? partIn(record, "accountId")),
	};
}

const NONE = "holds no ChatGPT sign-in";
/** The reason for content that was not understood. It may well hold a sign-in. */
const UNKNOWN = "is in a shape that is not known";

/** True for a file written by Codex itself, whatever it holds. */
function isOfCodex(record: Readonly<Record<string, unknown>>): boolean {
	return ["auth_mode", "OPENAI_API_KEY", "tokens"].some((name) => name in record);
}

/** Returns why no sign-in was found in the content. */
function nothingIn(content: unknown): string {
	return mayHoldLogin(content, DEEPEST) ? UNKNOWN : NONE;
}

/** True if a text in it is as long as a token, whatever its name. */
function hasToken(content: unknown): boolean {
	return mayHoldLogin(content, DEEPEST, NEVER);
}

/** True if a member has a name like a part of a sign-in, or a text is as long as a token. */
function mayHoldLogin(content: unknown, depth: number, called: RegExp = LIKE_A_LOGIN): boolean {
	if (typeof content === "string") return content.length >= SHORTEST_TOKEN;
	if (typeof content !== "object" || content === null) return false;
	if (depth < 0) return true;
	return Object.entries(content)
		.slice(0, MOST_ENTRIES)
		.some(([name, value]) => called.test(name) || mayHoldLogin(value, depth - 1, called));
}

const LIKE_A_LOGIN = /token|access|refresh|credential|session|cookie|oauth|jwt/i;
/** Matches no name. */
const NEVER = /(?!)/;
const SHORTEST_TOKEN = 60;

/** Limits of the search: depth and number of entries. */
const DEEPEST = 5;
const MOST_ENTRIES = 500;
/** Members whose own members are named after accounts. */
const BY_NAME = new Set(["accounts", "profiles", "users"]);
const nameSchema = lenient(z.string().check(z.trim(), z.minLength(1)));

/**
 * Finds every sign-in in the JSON of any tool: lists, accounts by name, a sign-in under `tokens`, `credentials` or
 * similar, in snake or camel case.
 */
export function loginsInAnyShape(content: unknown, whose: Whose): Finding[] {
	const found = findingsIn(content, whose, DEEPEST);
	return found.length > 0 ? found : [leftOut(whose, nothingIn(content))];
}

function findingsIn(content: unknown, whose: Whose, depth: number): Finding[] {
	if (depth < 0) return [];
	if (typeof content === "string") return findingsIn(jsonInText(content), whose, depth - 1);
	if (Array.isArray(content)) {
		return content.slice(0, MOST_ENTRIES).flatMap((entry: unknown) => findingsIn(entry, whose, depth - 1));
	}
	const { data: record } = objectSchema.safeParse(content);
	if (!record) return [];
	const called = ["name", "label", "alias", "email"].map((name) => nameSchema.parse(record[name]));
	const named = { ...whose, name: called.find((name) => name !== undefined) ?? whose.name };
	const tokens = objectSchema.safeParse(record.tokens).data ?? {};
	const isLogin = partIn(record, "access") !== undefined || partIn(tokens, "access") !== undefined;
	const within = Object.entries(record)
		.filter(([key]) => !isLogin || key !== "tokens")
		.slice(0, MOST_ENTRIES)
		.flatMap(([key, value]) => {
			const { data: byName } = BY_NAME.has(key) ? objectSchema.safeParse(value) : { data: undefined };
			if (!byName) return findingsIn(value, named, depth - 1);
			return Object.entries(byName).flatMap(([name, each]) => findingsIn(each, { ...named, name }, depth - 2));
		});
	if (!isLogin && !isOfCodex(record)) return within;
	// Such a file may keep further sign-ins, beside or instead of its own.
	const others = within.filter(({ kind }) => kind === "login");
	return isLogin || others.length === 0 ? [loginInCodexShape(record, named), ...others] : others;
}

/** Some tools store another tool's file as a text. */
function jsonInText(text: string): unknown {
	return text.trimStart().startsWith("{") ? parseJson(objectSchema, text) : undefined;
}

/** Returns the id of a workspace. Some tools write the id of an API organisation instead. */
export function workspaceIn(accountId: string | null | undefined): string | undefined {
	return accountId && !accountId.startsWith("org-") ? accountId : undefined;
}

/** Returns the finding that something is there, but no usable sign-in. */
export function leftOut({ tool, path, name }: Whose, reason: string): LeftOut {
	return { kind: "left-out", tool, path, name, reason };
}

const CHATGPT_MODES = new Set(["chatgpt", "chatgptAuthTokens"]);

/** Returns what else the file signs in with. Without a mode, an API key takes precedence over tokens, as in Codex. */
function otherThanChatGpt(file: z.output<typeof fileSchema>): string | undefined {
	const mode = file.auth_mode ?? undefined;
	if (mode !== undefined && CHATGPT_MODES.has(mode)) return undefined;
	if (mode === "apikey" || mode === "api_key") return "holds an API key, no ChatGPT sign-in";
	if (mode === "personalAccessToken") return "holds a personal access token, no ChatGPT sign-in";
	if (mode === "agentIdentity") return "holds an agent's identity, no ChatGPT sign-in";
	if (mode === "bedrockApiKey") return "holds an API key of Bedrock, no ChatGPT sign-in";
	if (file.tokens) return file.OPENAI_API_KEY ? "holds an API key, which Codex uses instead of the sign-in" : undefined;
	if (file.OPENAI_API_KEY) return "holds an API key, no ChatGPT sign-in";
	return file.personal_access_token ? "holds a personal access token, no ChatGPT sign-in" : undefined;
}

/**
 * Returns where a Codex home keeps its login if not in the file. Codex's `config.toml` decides: with `keyring` and
 * `ephemeral` an existing file is a leftover; with `auto` there is a file only if the keyring has no login.
 */
async function keptElsewhere(codexHome: string, hasFile: boolean): Promise<string | undefined> {
	const { cli_auth_credentials_store: store } = await readTomlFile(join(codexHome, "config.toml"));
	if (store === "keyring" || (store === "auto" && !hasFile)) return "keeps its login in the system's keyring";
	return store === "ephemeral" ? "keeps its login in memory only" : undefined;
}

/** Reads a folder that is a Codex home. */
export async function readCodexHome(folder: string, whose: Omit<Whose, "path">): Promise<Finding[]> {
	const path = join(folder, "auth.json");
	const found = await readCodexFile({ ...whose, path });
	const elsewhere = await keptElsewhere(folder, found !== undefined);
	if (elsewhere === undefined) return found ? [found] : [];
	const reason = `${elsewhere}${found ? ", and this file is a leftover" : ""}; sign in to it with /multicodex add`;
	return [leftOut({ ...whose, path }, reason)];
}
