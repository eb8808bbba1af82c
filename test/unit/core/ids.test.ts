import { expect, it } from "vitest";
import type { AccountId, SessionId, WorkspaceId } from "../../../src/core/ids.ts";

it("lets no id take the place of another kind, which the compiler keeps", () => {
	const [account, workspace, session]: [AccountId, WorkspaceId, SessionId] = ["a1", "acct-work", "s1"];
	// @ts-expect-error: a workspace is not an account.
	const first: AccountId = workspace;
	// @ts-expect-error: an account is not a session.
	const second: SessionId = account;
	// @ts-expect-error: a session is not a workspace.
	const third: WorkspaceId = session;
	expect([first, second, third]).toEqual(["acct-work", "a1", "s1"]);
});
