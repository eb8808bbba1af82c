declare const kind: unique symbol;

/**
 * A string of one kind: an id of another kind cannot take its place, and the compiler says so. A plain string may, so
 * that a schema's output needs no cast.
 */
type Id<Kind extends string> = string & { readonly [kind]?: Kind };

/** First 12 hex digits of sha256(`<user>\n<workspaceId>`) as first seen; it never changes. */
export type AccountId = Id<"account">;

/** `chatgpt_account_id`: a workspace, shared by the accounts of all its seats. */
export type WorkspaceId = Id<"workspace">;

/** A session of pi, as its stream options name it. */
export type SessionId = Id<"session">;

/** pi's built-in provider, over which we register. */
export const PROVIDER = "openai-codex";

/** Id of the virtual model under {@link PROVIDER}. */
export const POOL_MODEL_ID = "pool";
