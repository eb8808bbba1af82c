import { join } from "node:path";
import { z } from "zod";
import type { Finding, LeftOut, ToolName } from "../../domain/import.ts";
import { tokenSchema, tokenTimes } from "../jwt.ts";
import { readJsonFile, readTomlFile } from "./files.ts";

const text = z.string().nullish().catch(undefined);

/** Tokens as Codex writes them; `id_token` is of no use to us and may be missing. */
const tokensSchema = z.object({
	access_token: tokenSchema,
	refresh_token: z.string().nullish().catch(undefined),
	account_id: text,
});

const fileSchema = z.object({
	auth_mode: text,
	OPENAI_API_KEY: text,
	personal_access_token: text,
	agent_identity: z.unknown().optional(),
	bedrock_api_key: z.unknown().optional(),
	tokens: z.unknown().optional(),
});

/** Whose file it is, and what it is called there. */
export interface Whose {
	readonly tool: ToolName;
	readonly path: string;
	readonly name: string | undefined;
}

/** What an `auth.json` in Codex's shape holds; undefined where there is no such file. */
export async function readCodexFile(whose: Whose): Promise<Finding | undefined> {
	const file = await readJsonFile(whose.path);
	if (file.kind === "missing") return undefined;
	if (file.kind === "unreadable") return leftOut(whose, file.reason);
	return loginInCodexShape(file.content, whose);
}

/** What JSON in Codex's shape holds: `tokens` beside other things, or the same names at top level. */
export function loginInCodexShape(content: unknown, whose: Whose): Finding {
	const { data: file } = fileSchema.safeParse(content);
	if (!file) return leftOut(whose, "holds no ChatGPT sign-in");
	const other = otherThanChatGpt(file);
	if (other) return leftOut(whose, other);
	const { data: tokens } = tokensSchema.safeParse(file.tokens ?? content);
	if (!tokens) return leftOut(whose, "holds no ChatGPT sign-in");
	if (file.auth_mode === "chatgptAuthTokens") return leftOut(whose, "holds tokens that another program lends to Codex");
	const { data: refresh } = tokenSchema.safeParse(tokens.refresh_token);
	if (refresh === undefined) return leftOut(whose, "holds no refresh token, so it would end with its access token");
	const { access_token: access, account_id: accountId } = tokens;
	return {
		kind: "login",
		...whose,
		credential: { access, refresh, expiresAt: tokenTimes(access).expiresAt ?? 0 },
		accountIdHint: workspaceIn(accountId),
	};
}

/** A workspace's id; some tools write the id of an API organisation in its place. */
export function workspaceIn(accountId: string | null | undefined): string | undefined {
	return accountId && !accountId.startsWith("org-") ? accountId : undefined;
}

/** The finding that something is there, but no sign-in that could be taken. */
export function leftOut({ tool, path, name }: Whose, reason: string): LeftOut {
	return { kind: "left-out", tool, path, name, reason };
}

const CHATGPT_MODES = new Set(["chatgpt", "chatgptAuthTokens"]);

/** What else the file signs in with. Without a mode an API key wins over tokens, as in Codex. */
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
 * Where else than in its file a Codex home keeps its login; undefined where it is the file. Codex's `config.toml` says so:
 * with `keyring` and `ephemeral` a file that is there is a leftover, with `auto` there is one where the keyring has none.
 */
async function keptElsewhere(codexHome: string, hasFile: boolean): Promise<string | undefined> {
	const { cli_auth_credentials_store: store } = await readTomlFile(join(codexHome, "config.toml"));
	if (store === "keyring" || (store === "auto" && !hasFile)) return "keeps its login in the system's keyring";
	return store === "ephemeral" ? "keeps its login in memory only" : undefined;
}

/** What a folder holds that is a Codex home. */
export async function readCodexHome(folder: string, whose: Omit<Whose, "path">): Promise<Finding[]> {
	const path = join(folder, "auth.json");
	const found = await readCodexFile({ ...whose, path });
	const elsewhere = await keptElsewhere(folder, found !== undefined);
	if (elsewhere === undefined) return found ? [found] : [];
	const reason = `${elsewhere}${found ? ", and this file is a leftover" : ""}; sign in to it with /multicodex add`;
	return [leftOut({ ...whose, path }, reason)];
}
