import { join } from "node:path";
import * as z from "zod/mini";
import { tokenTimes, writtenTokenSchema } from "../../../platform/backend/jwt.ts";
import { parseJson } from "../../../platform/json.ts";
import { lenientOrNull } from "../../../platform/lenient.ts";
import type { Finding } from "../rules.ts";
import { leftOut, type Whose, workspaceIn } from "./codex-file.ts";
import { objectSchema, readJsonFile } from "./files.ts";
import type { ImportSource, Places } from "./source.ts";
import { rowsOf } from "./sqlite.ts";

const text = lenientOrNull(z.string());
const oauthSchema = z.object({
	type: z.literal("oauth"),
	access: z.string(),
	refresh: writtenTokenSchema,
	// Epoch ms. Often earlier than what the token itself says.
	expires: z.catch(z.number(), 0),
	accountId: text,
	metadata: lenientOrNull(z.object({ accountID: text })),
});

/** Names under which ChatGPT's login is stored. Some versions wrote renewed tokens under the second one. */
const KEYS = ["openai", "codex"];

/** opencode: `auth.json` of versions 1, and the database that versions 2 moved it to. */
export const opencode: ImportSource = {
	tool: "opencode",
	find: async (places) => {
		const folder = join(dataHomeOf(places), "opencode");
		const { hasMoved, moved } = await readCredentialTable(join(folder, "opencode.db"));
		// Once the database has a row, no program updates the file.
		return hasMoved ? moved : [...moved, ...(await readFile(join(folder, "auth.json")))];
	},
};

/** opencode follows the XDG rules on every platform. */
function dataHomeOf({ home, env }: Places): string {
	return env.XDG_DATA_HOME || join(home, ".local", "share");
}

async function readFile(path: string): Promise<Finding[]> {
	const file = await readJsonFile(path);
	const whose: Whose = { tool: "opencode", path, name: undefined };
	if (file.kind === "missing") return [];
	if (file.kind === "unreadable") return [leftOut(whose, file.reason)];
	return loginsInOpencodeShape(file.content, whose);
}

/** Reads an `auth.json` in opencode's format. */
export function loginsInOpencodeShape(content: unknown, whose: Whose): Finding[] {
	const { data: entries } = objectSchema.safeParse(content);
	if (!entries) return [leftOut(whose, "holds no ChatGPT sign-in")];
	return KEYS.filter((key) => entries[key] !== undefined).map((key) => loginIn(entries[key], whose));
}

function loginIn(entry: unknown, whose: Whose): Finding {
	const { data: login } = oauthSchema.safeParse(entry);
	if (!login) {
		const { data: other } = z.object({ type: z.string() }).safeParse(entry);
		const isKey = other?.type === "api" || other?.type === "key";
		return leftOut(whose, isKey ? "holds an API key, no ChatGPT sign-in" : "holds no ChatGPT sign-in");
	}
	const { data: access } = writtenTokenSchema.safeParse(login.access);
	if (access === undefined) return leftOut(whose, "holds no access token, which would tell whose it is");
	return {
		kind: "login",
		...whose,
		credential: { access, refresh: login.refresh, expiresAt: tokenTimes(access).expiresAt ?? login.expires },
		workspaceIdHint: workspaceIn(login.accountId ?? login.metadata?.accountID),
	};
}

const credentialRowSchema = z.object({ integration_id: text, connector_id: text, label: text, value: z.string() });

async function readCredentialTable(path: string): Promise<{ hasMoved: boolean; moved: Finding[] }> {
	const whose: Whose = { tool: "opencode", path, name: undefined };
	const rows = await rowsOf(path, "credential");
	if (rows.kind === "missing") return { hasMoved: false, moved: [] };
	if (rows.kind === "unreadable") return { hasMoved: false, moved: [leftOut(whose, rows.reason)] };
	const moved = rows.rows.flatMap((raw) => {
		const { data: row } = credentialRowSchema.safeParse(raw);
		const owner = row?.integration_id ?? row?.connector_id;
		if (!row || owner !== "openai") return [];
		return [loginIn(parseJson(z.unknown(), row.value), { ...whose, name: row.label ?? undefined })];
	});
	return { hasMoved: moved.length > 0, moved };
}

const accountRowSchema = z.object({
	email: text,
	label: text,
	chatgpt_account_id: text,
	access_token: writtenTokenSchema,
	refresh_token: writtenTokenSchema,
	expires_at: z.catch(z.number(), 0),
	disabled_at: lenientOrNull(z.number()),
});

/** opencode codex-pool: the table `account` of its database, which is in the default data folder, whatever XDG says. */
export const codexPool: ImportSource = {
	tool: "codex-pool",
	find: ({ home }) => readPoolTable(join(home, ".local", "share", "opencode", "codex-pool.db")),
};

async function readPoolTable(path: string): Promise<Finding[]> {
	const whose: Whose = { tool: "codex-pool", path, name: undefined };
	const rows = await rowsOf(path, "account");
	if (rows.kind === "missing") return [];
	if (rows.kind === "unreadable") return [leftOut(whose, rows.reason)];
	return rows.rows.map((raw): Finding => {
		const { data: row } = accountRowSchema.safeParse(raw);
		const named = { ...whose, name: row?.label ?? row?.email ?? undefined };
		if (!row) return leftOut(whose, "has a row that holds no sign-in");
		if (row.disabled_at) return leftOut(named, "has given this sign-in up after it was refused");
		const { access_token: access, refresh_token: refresh, expires_at } = row;
		return {
			kind: "login",
			...named,
			credential: { access, refresh, expiresAt: tokenTimes(access).expiresAt ?? expires_at },
			workspaceIdHint: workspaceIn(row.chatgpt_account_id),
		};
	});
}

/** Reads a database of either tool. */
export async function readDatabase(path: string): Promise<Finding[]> {
	const [pool, { moved }] = await Promise.all([readPoolTable(path), readCredentialTable(path)]);
	const logins = [...pool, ...moved].filter(({ kind }) => kind === "login");
	return logins.length > 0 ? logins : pool;
}
