declare const kind: unique symbol;

/**
 * A string that stands for one kind of id. The compiler rejects an id of another kind, but accepts a plain string, so
 * that a schema's output needs no cast.
 */
type Id<Kind extends string> = string & { readonly [kind]?: Kind };

/** First 12 hex digits of sha256(`<user>\n<workspaceId>`), from the first token seen. Never changes. */
export type AccountId = Id<"account">;

/** `chatgpt_account_id`: a workspace. All its seats share it. */
export type WorkspaceId = Id<"workspace">;

/** A session of pi, under the name in its stream options. */
export type SessionId = Id<"session">;

/** pi's built-in provider, which we replace under the same name. */
export const PROVIDER = "openai-codex";

/** Id of the virtual model under {@link PROVIDER}. */
export const POOL_MODEL_ID = "pool";
