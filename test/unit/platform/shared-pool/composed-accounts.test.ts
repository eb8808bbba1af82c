import { beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import type { AccountStore } from "../../../../src/core/ports.ts";
import { composeAccounts } from "../../../../src/platform/shared-pool/composed-accounts.ts";
import { halfMoved } from "../../../../src/platform/shared-pool/half-moved.ts";
import type { Crossing } from "../../../../src/platform/shared-pool/mirror.ts";
import type { SharedAccounts } from "../../../../src/platform/shared-pool/shared-accounts.ts";
import { anAccount, anAccountStore, type FakeAccountStore } from "../../../support/fakes.ts";
import { anId, aWorkspaceId } from "../../../support/ids.ts";

let local: FakeAccountStore;
let pooled: readonly Account[];
let crossings: readonly Crossing[];
let calls: unknown[];
let accounts: AccountStore;

function open(own: readonly Account[], shared: readonly Account[]): void {
	local = anAccountStore(...own);
	pooled = shared.map((account) => ({ ...account, shared: true }));
	crossings = [];
	calls = [];
	const called =
		(name: string) =>
		async (...given: unknown[]): Promise<void> => {
			calls.push([name, ...given]);
		};
	const store: SharedAccounts = {
		list: () => pooled,
		has: (id) => pooled.some((each) => each.id === id),
		put: called("put"),
		patch: called("patch"),
		edit: called("edit"),
		remove: called("remove"),
		catchUp: called("catchUp"),
		flush: called("flush"),
	};
	accounts = composeAccounts({ local, shared: store, mirror: { crossings: () => crossings } });
}
beforeEach(() => open([], []));

const labels = () => accounts.list().map(({ label }) => label);

describe("accounts of this machine and of its pool", () => {
	it("accounts are one list, in which no label is there twice", () => {
		open([anAccount("a"), anAccount("b", { label: "work" })], [anAccount("c", { label: "work" })]);
		expect(accounts.list().map(({ id, label, shared }) => [id, label, shared])).toEqual([
			["a", "a", undefined],
			["b", "work-2", undefined],
			["c", "work", true],
		]);
		expect(accounts.list()).toBe(accounts.list());
	});

	it("accounts are one if both have the same, also under another id, and that is the shared one", () => {
		const own = anAccount("x", { userId: "user-c", workspaceId: aWorkspaceId("acct-c"), claims: ["sub=c"] });
		open([anAccount("a"), own], [anAccount("a", { label: "shared a" }), anAccount("c", { claims: ["sub=c"] })]);
		expect(labels()).toEqual(["shared a", "c"]);
	});

	it("accounts have no token to spend here while they cross", () => {
		const refused = { reason: "refused", at: 1 };
		open([anAccount("a", { needsLogin: halfMoved("team", 1) }), anAccount("b", { needsLogin: refused })], []);
		crossings = [
			{ id: anId("a"), way: "in", tokenHash: "h" },
			{ id: anId("b"), way: "out", tokenHash: "i" },
		];
		expect(accounts.list()).toMatchObject([
			{ id: "a", shared: true, needsLogin: undefined, credential: { refresh: "shared:h" } },
			{ id: "b", shared: true, needsLogin: refused, credential: { refresh: "shared:i" } },
		]);
		crossings = [];
		const reason = 'half moved: its sign-in may be in the pool "team"';
		expect(accounts.list()).toMatchObject([{ id: "a", needsLogin: { reason } }, { id: "b" }]);
	});

	it("accounts are changed where they are, with labels that are unique over both", async () => {
		open([anAccount("a"), anAccount("b")], [anAccount("c")]);
		await accounts.edit(anId("c"), { label: "a" });
		await accounts.patch(anId("c"), { plan: "pro" });
		await accounts.remove(anId("c"));
		await accounts.edit(anId("a"), { label: "c" });
		await accounts.patch(anId("b"), { plan: "pro" });
		expect(calls).toEqual([
			["edit", "c", { label: "a-2" }],
			["patch", "c", { plan: "pro" }],
			["remove", "c"],
		]);
		expect(local.rows).toMatchObject([
			{ id: "a", label: "c-2" },
			{ id: "b", plan: "pro" },
		]);
	});

	it("accounts take a new sign-in of a shared account into the pool, and any other into the file", async () => {
		open([], [anAccount("c", { claims: ["sub=c"] })]);
		await accounts.put(anAccount("other id", { workspaceId: aWorkspaceId("acct-c"), claims: ["sub=c"] }));
		await accounts.put(anAccount("d", { label: "c" }));
		expect(calls).toMatchObject([["put", { id: "c" }]]);
		expect(local.rows).toMatchObject([{ id: "d", label: "c-2" }]);
	});
});
