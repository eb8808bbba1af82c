import type { WorkspaceId } from "../../src/core/ids.ts";

export { asAccountId as anId, asSessionId as aSessionId } from "../../src/core/ids.ts";

export function aWorkspaceId(text: string): WorkspaceId {
	return text as WorkspaceId;
}
