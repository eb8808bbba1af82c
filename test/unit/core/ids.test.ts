import { expect, it } from "vitest";
import {
	type AccountId,
	asAccountId,
	asSessionId,
	entriesById,
	type SessionId,
	type WorkspaceId,
} from "../../../src/core/ids.ts";
import { accountIdSchema, workspaceIdSchema } from "../../../src/platform/ids.ts";

it("lets neither a plain text nor an id of another kind take the place of an id, which the compiler keeps", () => {
	const [account, workspace, session] = [asAccountId("a1"), workspaceIdSchema.parse("acct-work"), asSessionId("s1")];
	// @ts-expect-error: a workspace is not an account.
	const first: AccountId = workspace;
	// @ts-expect-error: an account is not a session.
	const second: SessionId = account;
	// @ts-expect-error: a session is not a workspace.
	const third: WorkspaceId = session;
	expect([first, second, third]).toEqual(["acct-work", "a1", "s1"]);
	// @ts-expect-error: a text is not yet an account.
	const fourth: AccountId = "a1";
	// @ts-expect-error: nor a workspace.
	const fifth: WorkspaceId = "acct-work";
	// @ts-expect-error: nor a session.
	const sixth: SessionId = "s1";
	expect([fourth, fifth, sixth]).toEqual([account, workspace, session]);
});

it("lists a record by account id", () => {
	const entries: [AccountId, number][] = entriesById({ [asAccountId("a1")]: 1, [asAccountId("b2")]: 2 });
	expect(entries).toEqual([
		["a1", 1],
		["b2", 2],
	]);
});

it.each([
	["3f9c0a7be21d", true],
	["__proto__", false],
	["a/b", false],
	["", false],
	[7, false],
])("takes %j of a file for an account id: %s", (value, isOne) => {
	expect(accountIdSchema.safeParse(value).success).toBe(isOne);
});

it("takes for a workspace what can stand in a header", () => {
	const isOne = (value: unknown) => workspaceIdSchema.safeParse(value).success;
	expect([isOne("acct-work"), isOne("a b"), isOne("a\n"), isOne(""), isOne(undefined)]).toEqual([
		true,
		false,
		false,
		false,
		false,
	]);
});
