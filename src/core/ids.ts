declare const kind: unique symbol;

/** A string that stands for one kind of id. The compiler rejects a plain string, and an id of another kind. */
type Id<Kind extends string> = string & { readonly [kind]: Kind };

/** First 12 hex digits of sha256(`<user>\n<workspaceId>`), from the first token seen. Never changes. */
export type AccountId = Id<"account">;

/** `chatgpt_account_id`: a workspace. All its seats share it. */
export type WorkspaceId = Id<"workspace">;

/** A session of pi, under the name in its stream options. */
export type SessionId = Id<"session">;

/** The form of an account id. Ids become file names and document keys, so never `__proto__`. */
export const ACCOUNT_ID = /^(?!__proto__$)[\w-]{1,64}$/;

/** Brands a text as an account id. `test/architecture.test.ts` lists the places that may. */
export function asAccountId(text: string): AccountId {
	return text as AccountId;
}

/** Brands a session id that pi has handed over. */
export function asSessionId(text: string): SessionId {
	return text as SessionId;
}

/** Returns the entries of a record by account id. To the compiler, the keys of an object are plain strings. */
export function entriesById<V>(record: Readonly<Record<AccountId, V>>): [id: AccountId, value: V][] {
	return Object.entries(record).map(([id, value]) => [asAccountId(id), value]);
}

/** pi's built-in provider, which we replace under the same name. */
export const PROVIDER = "openai-codex";

/** Id of the virtual model under {@link PROVIDER}. */
export const POOL_MODEL_ID = "pool";
