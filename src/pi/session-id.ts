import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import { asSessionId, type SessionId } from "../core/ids.ts";

/** Names the session of a context. */
export function sessionIdOf({ sessionManager }: Pick<ExtensionContext, "sessionManager">): SessionId {
	return asSessionId(sessionManager.getSessionId());
}
