import { beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { createMembership } from "../../../../src/core/credentials/membership.ts";
import { createPool } from "../../../../src/core/pool/pool.ts";
import type { StateStore } from "../../../../src/core/ports.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import { createImports, type Imports } from "../../../../src/features/import/imports.ts";
import type { Finding, FoundLogin, ImportPlan } from "../../../../src/features/import/rules.ts";
import { fingerprint, identityOf, tokenTimes } from "../../../../src/platform/backend/jwt.ts";
import { defaultLabel } from "../../../../src/platform/stores/account-file.ts";
import {
	aClock,
	aCredential,
	anAccount,
	anAccountStore,
	aPiAuth,
	aStateStore,
	aToken,
	aTokenOf,
	DAY_MS,
	type FakeAccountStore,
	type FakeClaims,
	HOUR_MS,
	idFor,
	NOW,
} from "../../../support/fakes.ts";

let accounts: FakeAccountStore;
let state: StateStore;
let imports: Imports;
let findings: Finding[];
let asked: (string | undefined)[];

function open(...rows: Account[]): void {
	accounts = anAccountStore(...rows);
	findings = [];
	asked = [];
	const clock = aClock();
	state = aStateStore();
	const tokens = {
		fingerprint,
		identify: identityOf,
		issuedAt: (access: string) => tokenTimes(access).issuedAt,
	};
	const pool = createPool({ accounts, state, clock, settings: () => DEFAULT_SETTINGS });
	const piAuth = aPiAuth();
	const membership = createMembership({ accounts, state, piAuth, pool, tokens, clock, labelFor: defaultLabel });
	const finder = {
		tools: ["pi", "codex"] as const,
		find: async (tool: string | undefined) => {
			asked.push(tool);
			return findings;
		},
		read: async (path: string) => (path === "/gone" ? undefined : findings),
	};
	imports = createImports({ finder, accounts, state, membership, tokens, clock });
}
beforeEach(() => open());

const idOf = (name: string) => idFor(`user-${name}__acct-${name}`, `acct-${name}`);
const found = (name: string, overrides: Partial<FoundLogin> = {}, claims: FakeClaims = {}): FoundLogin => ({
	kind: "login",
	tool: "codex",
	path: `/x/${name}.json`,
	name: undefined,
	credential: { access: aTokenOf(name, claims), refresh: `refresh-${name}`, expiresAt: NOW + DAY_MS },
	workspaceIdHint: undefined,
	...overrides,
});
const later: FakeClaims = { issuedAt: NOW + HOUR_MS };
const labels = () => accounts.rows.map(({ label }) => label);

async function plan(): Promise<ImportPlan> {
	return imports.lookIn(undefined);
}

describe("looking", () => {
	it("asks the tool that was named, or all, and changes nothing", async () => {
		findings = [found("work")];
		expect((await imports.lookIn("codex")).planned).toMatchObject([{ verdict: "add", owner: { id: idOf("work") } }]);
		await plan();
		expect([asked, accounts.rows, imports.tools]).toEqual([["codex", undefined], [], ["pi", "codex"]]);
	});

	it("looking at a path is the same, and finds nothing in an empty place", async () => {
		findings = [found("work", { tool: "file" })];
		expect((await imports.lookAt("/x"))?.planned).toMatchObject([{ verdict: "add" }]);
		expect(await imports.lookAt("/gone")).toBeUndefined();
	});

	it("leaves a sign-in alone that was refused here, although another one has replaced it since", async () => {
		const credential = { access: aTokenOf("work", later), refresh: "refused", expiresAt: NOW + DAY_MS };
		const refused = found("work", { credential });
		open(anAccount("work", { id: idOf("work"), source: "import:codex" }));
		findings = [refused];
		expect((await plan()).planned).toMatchObject([{ verdict: "renew" }]);
		const spent = [{ tokenHash: fingerprint(refused.credential.refresh), reason: "refresh_token_reused" }];
		await state.update(idOf("work"), (status) => ({ ...status, spent }));
		expect((await plan()).planned).toMatchObject([{ verdict: "spent" }]);
	});

	it("knows who is here by identity, whatever the account is called", async () => {
		open(anAccount("mine", { id: idOf("work") }));
		findings = [found("work")];
		expect((await plan()).planned).toMatchObject([{ verdict: "have", account: { label: "mine" } }]);
	});

	it("leaves out a token that names no workspace, whatever the file beside it says: pi could not use it", async () => {
		const claims: FakeClaims = { auth: { chatgpt_user_id: "user-work" } };
		findings = [found("work", { workspaceIdHint: "acct-hint" }, claims), found("work", { path: "/y" }, claims)];
		const { planned, leftOut } = await plan();
		expect(planned).toEqual([]);
		expect(leftOut).toMatchObject([
			{ reason: expect.stringMatching(/ no ChatGPT workspace, and pi /) },
			{ path: "/y", reason: expect.stringMatching(/ no ChatGPT workspace$/) },
		]);
		await imports.take(await plan());
		expect(accounts.rows).toEqual([]);
	});

	it("takes sign-ins for one account if any of them proves it, and the newest of them", async () => {
		const login = (name: string, claims: FakeClaims) =>
			found(name, {
				path: `/${name}`,
				credential: { access: aToken(claims), refresh: `refresh-${name}`, expiresAt: NOW + DAY_MS },
			});
		const auth = (claims: object) => ({ chatgpt_account_id: "acct-work", ...claims });
		const seat = { chatgpt_account_user_id: "seat-of-work" };
		findings = [
			login("seat", { issuedAt: NOW, auth: auth(seat) }),
			login("sub", { issuedAt: NOW, sub: "auth0|work", auth: auth({}) }),
			login("other", { issuedAt: NOW, auth: auth({ chatgpt_user_id: "another-user" }) }),
			login("both", { issuedAt: NOW + HOUR_MS, sub: "auth0|work", auth: auth(seat) }),
		];
		const { planned } = await plan();
		expect(planned.map(({ found: { path }, verdict }) => [path, verdict])).toEqual([
			["/seat", "older"],
			["/sub", "older"],
			["/other", "add"],
			["/both", "add"],
		]);
		expect(new Set(planned.map(({ owner }) => owner.id)).size).toBe(2);
	});

	it("says that its owner is at it while its token lasts", async () => {
		const old = found("old");
		findings = [found("work"), { ...old, credential: { ...old.credential, expiresAt: NOW } }];
		expect((await plan()).planned.map(({ isOwnerActive }) => isOwnerActive)).toEqual([true, false]);
	});
});

describe("taking", () => {
	it("adds and renews what the plan says, with where it came from, and nothing else", async () => {
		open(
			anAccount("home", {
				id: idOf("home"),
				source: "import:codex",
				credential: aCredential("lost"),
				needsLogin: { reason: "revoked", at: NOW },
			}),
			anAccount("own", { id: idOf("own") }),
		);
		const former = accounts.rows.find(({ label }) => label === "own");
		findings = [
			found("work"),
			found("home", { tool: "codex-auth" }, later),
			found("own"),
			found("work", { path: "/older", tool: "prodex" }, { issuedAt: NOW - HOUR_MS }),
			{ kind: "left-out", tool: "prodex", path: "/p", name: "key", reason: "holds an API key" },
		];
		const taken = await imports.take(await plan());
		expect(taken.map(({ label }) => label)).toEqual(["work", "home"]);
		expect(accounts.rows).toMatchObject([
			{ label: "home", source: "import:codex-auth", needsLogin: undefined, credential: { refresh: "refresh-home" } },
			former ?? {},
			{ label: "work", source: "import:codex", linked: false, enabled: true },
		]);
	});

	it("takes each of ten accounts once, two of which are there twice, beside what cannot be used", async () => {
		const names = Array.from({ length: 10 }, (_, index) => `n${index}`);
		const again = ["n3", "n7"].map((name) => {
			const copy = found(name, { path: `/y/${name}.json` }, later);
			return { ...copy, credential: { ...copy.credential, refresh: `newer-${name}` } };
		});
		const expired = found("old", {}, { issuedAt: NOW - 20 * DAY_MS, expiresAt: NOW - 10 * DAY_MS });
		const useless = found("none", {}, { auth: {} });
		findings = [...again.slice(0, 1), ...names.map((name) => found(name)), useless, expired, ...again.slice(1)];
		const taken = await imports.take(await plan());
		expect(taken.map(({ id }) => id).sort()).toEqual([...names, "old"].map(idOf).sort());
		const refreshes = accounts.rows.map(({ credential }) => credential.refresh);
		expect(refreshes).toEqual(expect.arrayContaining(["newer-n3", "newer-n7", "refresh-n0", "refresh-old"]));
		expect(refreshes).toHaveLength(11);
	});

	it("takes the newest of all copies", async () => {
		const newest = found("work", { tool: "opencode" }, later);
		findings = [found("work"), newest, found("work", { tool: "prodex" })];
		await imports.take(await plan());
		expect(accounts.rows).toMatchObject([{ source: "import:opencode", credential: newest.credential }]);
	});

	it("calls a new account as its tool does, but never by an e-mail or what can be no label", async () => {
		findings = [
			found("a", { name: "day job" }),
			found("b", { name: "b@example.test" }),
			found("c", { name: "auto" }),
			found("d", { name: "--x" }),
			found("e", { name: "tab\there" }),
			found("f"),
		];
		await imports.take(await plan());
		expect(labels()).toEqual(["day job", "b", "c", "d", "e", "f"]);
	});

	it("leaves the name of an account that is here", async () => {
		open(anAccount("mine", { id: idOf("work"), needsLogin: { reason: "revoked", at: NOW } }));
		findings = [found("work", { name: "theirs" }, later)];
		await imports.take(await plan());
		expect(labels()).toEqual(["mine"]);
	});

	it("a second import finds nothing to take", async () => {
		findings = [found("work"), found("home")];
		await imports.take(await plan());
		expect(await imports.take(await plan())).toEqual([]);
		expect((await plan()).planned.map(({ verdict }) => verdict)).toEqual(["have", "have"]);
	});

	it("never takes a sign-in that was refused, until its tool has a new one", async () => {
		findings = [found("work")];
		await imports.take(await plan());
		await accounts.patch(idOf("work"), { needsLogin: { reason: "refresh_token_reused", at: NOW } });
		expect((await plan()).planned.map(({ verdict }) => verdict)).toEqual(["spent"]);
		expect(await imports.take(await plan())).toEqual([]);
		const renewed = found("work", {}, later);
		findings = [{ ...renewed, credential: { ...renewed.credential, refresh: "renewed" } }];
		await imports.take(await plan());
		expect(accounts.rows).toMatchObject([{ needsLogin: undefined, credential: { refresh: "renewed" } }]);
	});

	it("does not count a sign-in for which another process has stored a newer one meanwhile", async () => {
		findings = [found("work")];
		const before = await plan();
		const newer = { ...found("work", {}, later).credential, refresh: "newer" };
		await accounts.put(anAccount("work", { id: idOf("work"), credential: newer }));
		expect(await imports.take(before)).toEqual([]);
		expect(accounts.rows).toMatchObject([{ credential: newer }]);
	});

	it("an account that cannot be stored is an error", async () => {
		findings = [found("work")];
		accounts.isFull = true;
		await expect(imports.take(await plan())).rejects.toMatchObject({ code: "ENOSPC" });
	});
});
