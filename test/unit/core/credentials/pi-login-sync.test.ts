import { beforeEach, describe, expect, it } from "vitest";
import type { Account, Credential } from "../../../../src/core/account.ts";
import { createPiLoginSync, type PiLoginSync } from "../../../../src/core/credentials/pi-login-sync.ts";
import type { PoolEvent } from "../../../../src/core/events.ts";
import { fingerprint, identityOf, tokenTimes } from "../../../../src/platform/backend/jwt.ts";
import { defaultLabel } from "../../../../src/platform/stores/account-file.ts";
import {
	aClock,
	aCooldown,
	anAccount,
	anAccountStore,
	aPiAuth,
	aStateStore,
	aToken,
	aTokenOf,
	claimsOfToken,
	DAY_MS,
	type FakeAccountStore,
	type FakePiAuth,
	type FakeStateStore,
	HOUR_MS,
	idFor,
	NOW,
	settled,
} from "../../../support/fakes.ts";
import { anId, aWorkspaceId } from "../../../support/ids.ts";

let accounts: FakeAccountStore;
let state: FakeStateStore;
let piAuth: FakePiAuth;
let link: PiLoginSync;
let told: PoolEvent[];

function open(...rows: Account[]): void {
	accounts = anAccountStore(...rows);
	state = aStateStore();
	piAuth = aPiAuth();
	told = [];
	link = createPiLoginSync({
		accounts,
		state,
		piAuth,
		tokens: { fingerprint, identify: identityOf, issuedAt: (access) => tokenTimes(access).issuedAt },
		clock: aClock(),
		labelFor: defaultLabel,
		tell: (event) => told.push(event),
	});
}
beforeEach(() => open());

it("tells why a look failed, and not of one that was given up", async () => {
	const failures: unknown[] = [];
	const broken = new TypeError("broken");
	piAuth.peek = () => {
		throw broken;
	};
	const tokens = { fingerprint, identify: identityOf, issuedAt: (access: string) => tokenTimes(access).issuedAt };
	const onFailure = (error: unknown) => void failures.push(error);
	const clock = aClock();
	const watched = createPiLoginSync({
		accounts,
		state,
		piAuth,
		tokens,
		clock,
		tell: () => undefined,
		labelFor: defaultLabel,
		onFailure,
	});
	await watched.sync(AbortSignal.abort());
	await watched.sync();
	expect(failures).toEqual([broken]);
});

const idOf = (name: string) => idFor(`user-${name}__acct-${name}`, `acct-${name}`);
const credentialOf = (name: string, issuedAt = NOW, refresh = `refresh-${name}-${issuedAt - NOW}`): Credential => ({
	access: aTokenOf(name, { issuedAt }),
	refresh,
	expiresAt: issuedAt + 10 * DAY_MS,
});
const login = (name: string, credential = credentialOf(name)) => {
	piAuth.login = { kind: "oauth", credential, workspaceId: aWorkspaceId(`acct-${name}`) };
};
/** A row of the pool for one who may also be pi's login. */
const rowOf = (name: string, overrides: Partial<Account> = {}) =>
	anAccount(name, { id: idOf(name), credential: credentialOf(name), ...overrides });
const rows = () => accounts.rows;

describe("pi's login", () => {
	it("is announced when it appears, and when it is gone", async () => {
		login("work");
		await link.sync();
		await link.sync();
		piAuth.login = { kind: "none" };
		await link.sync();
		expect(told).toEqual([
			{ type: "membership", change: "added", account: idOf("work"), source: "pi" },
			{ type: "membership", change: "removed", account: idOf("work"), source: "pi logout" },
		]);
	});

	it("becomes an account by itself", async () => {
		login("work");
		await link.sync();
		expect(rows()).toEqual([
			{
				id: idOf("work"),
				label: "work",
				email: "work@example.test",
				userId: "user-work",
				workspaceId: "acct-work",
				plan: "plus",
				credential: credentialOf("work"),
				source: "pi",
				linked: true,
				enabled: true,
				disabledReason: undefined,
				needsLogin: undefined,
				addedAt: NOW,
				claims: claimsOfToken("work"),
			},
		]);
	});

	it("is looked at once, and again only when its file has changed", async () => {
		login("work");
		for (let time = 0; time < 5; time += 1) await link.sync();
		expect(piAuth.reads).toBe(1);
		login("work", credentialOf("work", NOW + HOUR_MS));
		await link.sync();
		expect(rows()).toMatchObject([{ credential: credentialOf("work", NOW + HOUR_MS) }]);
	});

	it("a login as another person adds an account, and the former one becomes ours", async () => {
		for (const name of ["one", "two", "three"]) {
			login(name);
			await link.sync();
		}
		expect(rows().map(({ label, linked, source }) => [label, linked, source])).toEqual([
			["one", false, "pi"],
			["two", false, "pi"],
			["three", true, "pi"],
		]);
	});

	it("a login as an account with a working sign-in leaves both grants where they are", async () => {
		open(rowOf("work", { source: "login" }));
		login("work", credentialOf("work", NOW + HOUR_MS, "pi's own"));
		await link.sync();
		expect(rows()).toMatchObject([{ linked: false, credential: { refresh: credentialOf("work").refresh } }]);
	});

	it("a login with the grant that we hold is pi's to renew", async () => {
		open(rowOf("work", { source: "import:codex" }));
		login("work");
		await link.sync();
		expect(rows()).toMatchObject([{ linked: true, source: "import:codex" }]);
	});

	it("stays with pi if the account is one that machines share, also while that needs a sign-in", async () => {
		const needsLogin = { reason: "refused", at: NOW };
		const shared = anAccount("a", { id: anId("x"), shared: true, claims: claimsOfToken("a"), needsLogin });
		open(shared);
		const credential = { access: aTokenOf("a"), refresh: "of pi", expiresAt: NOW + HOUR_MS };
		piAuth.login = { kind: "oauth", credential, workspaceId: aWorkspaceId("acct-a") };

		await link.sync();
		await link.sync();
		await link.signedIn(credential);
		expect(accounts.rows).toEqual([shared]);
	});

	it("helps out an account whose own sign-in is lost, also later", async () => {
		const needsLogin = { reason: "revoked", at: NOW };
		open(rowOf("work", { needsLogin }));
		login("work", credentialOf("work", NOW + HOUR_MS, "pi's own"));
		await link.sync();
		expect(rows()).toMatchObject([{ linked: true, needsLogin: undefined, credential: { refresh: "pi's own" } }]);
		open(rowOf("work"));
		login("work", credentialOf("work", NOW + HOUR_MS, "pi's own"));
		await link.sync();
		await accounts.patch(idOf("work"), { needsLogin });
		await link.sync();
		expect(rows()).toMatchObject([{ linked: true, needsLogin: undefined }]);
	});

	it("helps out such an account with a login of pi that was issued before the lost one", async () => {
		const later = credentialOf("work", NOW + HOUR_MS, "of our own");
		open(rowOf("work", { needsLogin: { reason: "revoked", at: NOW }, credential: later }));
		login("work", credentialOf("work", NOW, "pi's own"));
		await link.sync();
		expect(rows()).toMatchObject([{ linked: true, needsLogin: undefined, credential: { refresh: "pi's own" } }]);
	});

	it("never puts an older token over a newer one of the same account", async () => {
		open(rowOf("work", { linked: true, source: "pi", credential: credentialOf("work", NOW + HOUR_MS) }));
		login("work", credentialOf("work", NOW));
		await link.sync();
		expect(rows()).toMatchObject([{ credential: credentialOf("work", NOW + HOUR_MS) }]);
	});

	it("pi's login whose renewed token tells more of who it is for stays one account, with its name", async () => {
		const vague = aToken({ sub: "auth0|work", auth: { chatgpt_account_id: "acct-work" } });
		login("work", { access: vague, refresh: "same", expiresAt: NOW + DAY_MS });
		await link.sync();
		accounts.rows = rows().map((row) => ({ ...row, label: "mine" }));
		const [before] = rows();
		login("work", { ...credentialOf("work", NOW + HOUR_MS), refresh: "same" });
		await link.sync();
		expect(rows()).toMatchObject([{ id: before?.id, label: "mine", linked: true }]);
		expect(rows()[0]?.claims).toEqual(expect.arrayContaining(claimsOfToken("work")));
	});

	it("pi's login that names no workspace is not linked to any account", async () => {
		open(rowOf("work", { linked: true, source: "pi" }));
		const access = aToken({ sub: "x", email: "x@example.test" });
		piAuth.login = { kind: "oauth", credential: { access, refresh: "r", expiresAt: NOW }, workspaceId: undefined };
		await link.sync();
		expect(rows()).toMatchObject([{ id: idOf("work"), linked: false }]);
		expect(rows()).toHaveLength(1);
	});
});

describe("a logout in pi", () => {
	it("takes out the account that came from pi, and what was remembered of it", async () => {
		login("work");
		await link.sync();
		state.statusById.set(idOf("work"), { cooldowns: [aCooldown()], strikes: 0 });
		piAuth.login = { kind: "none" };
		await link.sync();
		expect([rows(), accounts.removed]).toEqual([[], [idOf("work")]]);
		expect(state.statusById.size).toBe(0);
	});

	it("keeps an account that came from elsewhere, which must sign in again", async () => {
		open(rowOf("work", { source: "import:codex", linked: true }));
		login("work");
		await link.sync();
		piAuth.login = { kind: "none" };
		await link.sync();
		expect(rows()).toMatchObject([{ linked: false, needsLogin: { reason: "signed out of pi", at: NOW } }]);
	});

	it("leaves accounts alone that pi is not signed in to", async () => {
		open(rowOf("other", { source: "login" }), rowOf("former", { source: "pi" }));
		const before = rows();
		login("work");
		await link.sync();
		piAuth.login = { kind: "none" };
		await link.sync();
		expect(rows()).toEqual(before);
	});

	it("is noticed when pi was signed out while the extension did not run", async () => {
		open(rowOf("work", { source: "pi", linked: true }));
		await link.sync();
		expect(rows()).toEqual([]);
	});
});

describe("a file that cannot be read", () => {
	it("is read again under the lock, and never taken for a logout", async () => {
		open(rowOf("work", { source: "pi", linked: true }));
		login("work", credentialOf("work", NOW + HOUR_MS));
		piAuth.torn = true;
		await link.sync();
		expect(rows()).toMatchObject([{ linked: true, credential: credentialOf("work", NOW + HOUR_MS) }]);
	});

	it("a file that cannot be read even under the lock changes nothing, and is read again later", async () => {
		open(rowOf("work", { source: "pi", linked: true }));
		piAuth.login = { kind: "unreadable" };
		await link.sync();
		await link.sync();
		expect([rows().length, piAuth.reads]).toEqual([1, 4]);
		login("other");
		await link.sync();
		expect(rows()).toHaveLength(2);
	});

	it("a file that cannot be read because its lock is busy changes nothing, and ends no request", async () => {
		open(rowOf("work", { source: "pi", linked: true }));
		piAuth.login = { kind: "unreadable" };
		piAuth.lockRefusal = "busy";
		await expect(link.sync()).resolves.toBeUndefined();
		expect(rows()).toHaveLength(1);
		piAuth.lockRefusal = undefined;
		login("other");
		await link.sync();
		expect(rows()).toHaveLength(2);
	});
});

describe("something else than an OAuth login", () => {
	it("makes requests foreign, and unlinks and removes no account, until it is gone", async () => {
		open(rowOf("work", { source: "pi", linked: true }));
		expect(link.isForeign()).toBe(false);
		piAuth.login = { kind: "foreign" };
		await link.sync();
		expect([link.isForeign(), rows()]).toMatchObject([true, [{ linked: false }]]);
		login("work", rows()[0]?.credential);
		await link.sync();
		expect([link.isForeign(), rows()]).toMatchObject([false, [{ linked: true }]]);
	});
});

describe("looks that overlap", () => {
	const linkedOnes = () => rows().flatMap(({ label, linked }) => (linked ? [label] : []));

	/** Writes that reach the store, and wait there until they are let go. */
	function gate(): { open: () => void } {
		let open = () => undefined as unknown;
		const opened = new Promise<void>((resolve) => {
			open = resolve;
		});
		const { put, patch } = accounts;
		accounts.put = async (account) => {
			await opened;
			await put(account);
		};
		accounts.patch = async (...given) => {
			await opened;
			await patch(...given);
		};
		return { open };
	}

	it("looks that overlap leave one account linked, the one that the file holds at last", async () => {
		login("old");
		await link.sync();
		const { open: letGo } = gate();
		login("a");
		const first = link.sync();
		await settled();
		login("b");
		const second = link.sync();
		await settled();
		letGo();
		await Promise.all([first, second]);
		expect(linkedOnes()).toEqual(["b"]);
		expect(rows().map(({ label }) => label)).toEqual(["old", "a", "b"]);
	});

	it("overlapping looks become one more look, whatever the number of callers", async () => {
		const { open: letGo } = gate();
		login("a");
		const all = [link.sync(), link.sync(), link.sync()];
		await settled();
		for (let more = 0; more < 20; more += 1) all.push(link.sync());
		letGo();
		await Promise.all(all);
		expect(piAuth.reads).toBe(1);
		expect(linkedOnes()).toEqual(["a"]);
	});

	it("looks that overlap end for a caller that gives up, and go on for the others", async () => {
		const { open: letGo } = gate();
		login("a");
		const controller = new AbortController();
		const impatient = link.sync(controller.signal);
		const patient = link.sync();
		await settled();
		controller.abort();
		await impatient;
		expect(rows()).toEqual([]);
		letGo();
		await patient;
		expect(linkedOnes()).toEqual(["a"]);
	});

	it("looks that overlap do not come between a sign-in through pi and the login that it replaces", async () => {
		const { open: letGo } = gate();
		login("old");
		const look = link.sync();
		const signingIn = link.signedIn(credentialOf("new"));
		await settled();
		letGo();
		await Promise.all([look, signingIn]);
		login("new");
		await link.sync();
		expect(linkedOnes()).toEqual(["new"]);
	});

	it("two accounts that two processes left linked are mended", async () => {
		login("b");
		await link.sync();
		accounts.rows = [rowOf("a", { source: "pi", linked: true }), ...rows()];
		await link.sync();
		expect(linkedOnes()).toEqual(["b"]);
	});
});

it("a token that tells more than those before it is kept in mind, even if pi's grant is left to pi", async () => {
	const less = aToken({ sub: "auth0|work", auth: { chatgpt_account_id: "acct-work" } });
	const own = { access: less, refresh: "ours", expiresAt: NOW + DAY_MS };
	open(rowOf("work", { credential: own, claims: ["sub=auth0|work"] }));
	login("work");
	await link.sync();
	expect(rows()).toMatchObject([{ linked: false, credential: own }]);
	expect(rows()[0]?.claims).toEqual(expect.arrayContaining(claimsOfToken("work")));
	const before = rows()[0];
	await link.sync();
	expect(rows()[0]).toBe(before);
});

describe("a look at pi's login that is older than its refusal", () => {
	const refused = { reason: "refresh_token_expired", at: NOW };
	const older = credentialOf("work", NOW - HOUR_MS);

	it("does not take the refusal back that another process has met meanwhile", async () => {
		open(rowOf("work", { credential: older, source: "pi", linked: true }));
		login("work");
		const patch = accounts.patch.bind(accounts);
		accounts.patch = async (...given) => {
			// The other one takes it in as well, and is through with its exchange before this one has the lock.
			if (given[1].credential) accounts.rows = [rowOf("work", { source: "pi", linked: true, needsLogin: refused })];
			await patch(...given);
		};
		await link.sync();
		expect(rows()).toMatchObject([{ needsLogin: refused, credential: credentialOf("work") }]);
	});

	it("does not take it back if the refusal is on record", async () => {
		open(rowOf("work", { credential: older, source: "pi", linked: true, needsLogin: refused }));
		login("work");
		const spent = [{ tokenHash: fingerprint(credentialOf("work").refresh), reason: refused.reason }];
		await state.update(idOf("work"), (status) => ({ ...status, spent }));
		await link.sync();
		expect(rows()).toMatchObject([{ needsLogin: refused }]);
	});

	it("does not put a token that was exchanged over the one that came for it in the same second", async () => {
		const access = aTokenOf("work", { issuedAt: NOW, expiresAt: NOW + 11 * DAY_MS });
		const next = { access, refresh: "next", expiresAt: NOW + 11 * DAY_MS };
		open(rowOf("work", { credential: next, source: "pi", linked: true }));
		login("work");
		const spent = [{ tokenHash: fingerprint(credentialOf("work").refresh), reason: "refresh_token_reused" }];
		await state.update(idOf("work"), (status) => ({ ...status, spent }));
		await link.sync();
		expect(rows()).toMatchObject([{ linked: true, credential: next }]);
	});

	it("takes it back for another sign-in", async () => {
		open(rowOf("work", { credential: older, source: "pi", linked: true, needsLogin: refused }));
		login("work");
		await link.sync();
		expect(rows()).toMatchObject([{ needsLogin: undefined, credential: credentialOf("work") }]);
	});
});

it("a store that cannot be written ends no request; the login is looked at again", async () => {
	login("work");
	accounts.isFull = true;
	await expect(link.sync()).resolves.toBeUndefined();
	accounts.isFull = false;
	const { reads } = piAuth;
	await link.sync();
	expect(piAuth.reads).toBeGreaterThan(reads);
});

describe("a sign-in through pi", () => {
	it("stores the identity that it replaces, with its newest token, and then itself", async () => {
		login("old", credentialOf("old", NOW + HOUR_MS));
		await link.signedIn(credentialOf("new"));
		expect(rows().map(({ label, credential }) => [label, credential.refresh])).toEqual([
			["old", credentialOf("old", NOW + HOUR_MS).refresh],
			["new", credentialOf("new").refresh],
		]);
		login("new");
		await link.sync();
		expect(rows().map(({ label, linked }) => [label, linked])).toEqual([
			["old", false],
			["new", true],
		]);
	});

	it("a second sign-in as the same person renews the account", async () => {
		login("work");
		await link.sync();
		const again = credentialOf("work", NOW + HOUR_MS);
		await link.signedIn(again);
		expect(rows()).toMatchObject([{ credential: again, linked: true }]);
	});

	it("fails if it could not be stored: pi must not have what we would lose", async () => {
		accounts.isFull = true;
		await expect(link.signedIn(credentialOf("work"))).rejects.toMatchObject({ code: "ENOSPC" });
	});
});
