import { chmodSync, existsSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Account, Credential } from "../../../../src/core/account.ts";
import { createMembership, type Membership } from "../../../../src/core/credentials/membership.ts";
import { createPool, type Pool } from "../../../../src/core/pool/pool.ts";
import type { AccountStore, PiAuth } from "../../../../src/core/ports.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import { fingerprint, identityOf, tokenTimes } from "../../../../src/platform/backend/jwt.ts";
import { defaultLabel } from "../../../../src/platform/stores/account-file.ts";
import { openAccountStore } from "../../../../src/platform/stores/account-store.ts";
import { openPiAuth } from "../../../../src/platform/stores/pi-auth.ts";
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
	type FakeClock,
	type FakeStateStore,
	HOUR_MS,
	idFor,
	NOW,
	settled,
} from "../../../support/fakes.ts";
import { anId, aWorkspaceId } from "../../../support/ids.ts";
import { expectMode, onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { runs } from "../../../support/tiers.ts";
import { hurryLocks } from "../../waits.ts";

const FILE = "codex-accounts.json";

const scratch = scratchForEach();
let accounts: AccountStore;
let state: FakeStateStore;
let clock: FakeClock;
let pool: Pool;
let membership: Membership;
let changes: number;
/** Changes that were told of, as the log has them. */
let told: string[];

/** Over real files, or over whatever is given. */
function open(over: { readonly accounts?: AccountStore; readonly piAuth?: PiAuth } = {}): void {
	clock = aClock();
	accounts = over.accounts ?? openAccountStore(scratch.path(FILE), () => undefined, clock.now);
	state = aStateStore();
	pool = createPool({ accounts, state, clock, settings: () => DEFAULT_SETTINGS });
	changes = 0;
	told = [];
	pool.subscribe((event) => {
		if (event.type === "changed") changes += 1;
		if (event.type === "membership") told.push(event.change);
	});
	membership = createMembership({
		accounts,
		state,
		pool,
		piAuth: over.piAuth ?? openPiAuth(scratch.path("auth.json")),
		tokens: { fingerprint, identify: identityOf, issuedAt: (access) => tokenTimes(access).issuedAt },
		clock,
		labelFor: defaultLabel,
	});
}
beforeEach(() => {
	open();
});
afterEach(async () => {
	await accounts.flush();
});

const idOf = (name: string) => idFor(`user-${name}__acct-${name}`, `acct-${name}`);
const credentialOf = (name: string, issuedAt = NOW, refresh = `refresh-${name}-${issuedAt - NOW}`): Credential => ({
	access: aTokenOf(name, { issuedAt }),
	refresh,
	expiresAt: issuedAt + 10 * DAY_MS,
});
const rowOf = (name: string, overrides: Partial<Account> = {}) =>
	anAccount(name, { id: idOf(name), credential: credentialOf(name), ...overrides });
const seatOf = (user: string, workspaceId: string, issuedAt = NOW): Credential => ({
	access: aTokenOf(user, {
		issuedAt,
		auth: {
			chatgpt_account_id: workspaceId,
			chatgpt_user_id: user,
			chatgpt_account_user_id: `${user}__${workspaceId}`,
		},
	}),
	refresh: `refresh-${user}-${workspaceId}`,
	expiresAt: NOW + DAY_MS,
});
const add = (name: string, label?: string) => membership.join(credentialOf(name), { source: "login", label });
const stored = (name: string) => accounts.list().find(({ id }) => id === idOf(name));
const labels = () => accounts.list().map(({ label }) => label);
/** The account as the commands have it in hand. */
const inHand = (name: string): Account => stored(name) ?? rowOf(name);
const onDisk = () =>
	z.object({ accounts: z.array(z.looseObject({ id: z.string() })) }).parse(scratch.json(FILE)).accounts;

const piLogin = (name: string, credential = credentialOf(name)) => ({
	type: "oauth",
	access: credential.access,
	refresh: credential.refresh,
	expires: credential.expiresAt,
	accountId: `acct-${name}`,
});
const KEY = { type: "api_key", key: "k" };
const writeAuth = (entries: Record<string, unknown>) =>
	scratch.write("auth.json", JSON.stringify(entries, undefined, 2));

describe("a sign-in that joins", () => {
	it("is a new account of its own, stored before it is announced", async () => {
		const account = await add("work");
		expect(account).toEqual({
			id: idOf("work"),
			label: "work",
			email: "work@example.test",
			userId: "user-work",
			workspaceId: "acct-work",
			plan: "plus",
			credential: credentialOf("work"),
			source: "login",
			linked: false,
			enabled: true,
			disabledReason: undefined,
			needsLogin: undefined,
			addedAt: NOW,
			claims: claimsOfToken("work"),
		});
		expect(onDisk()).toMatchObject([{ id: idOf("work"), credential: { refresh: "refresh-work-0" } }]);
		expect(changes).toBe(1);
	});

	it("is called as the person wants, or numbered if that is taken", async () => {
		await add("work", "lap");
		const second = await add("home", "lap");
		const third = await membership.join(credentialOf("side"), { source: "import:codex" });
		expect([labels(), second?.label, third?.label]).toEqual([["lap", "lap-2", "side"], "lap-2", "side"]);
	});

	it("renews the account that is here, which keeps its name, its switch and its age", async () => {
		await accounts.put(
			rowOf("work", {
				label: "mine",
				enabled: false,
				disabledReason: "account_deactivated",
				needsLogin: { reason: "revoked", at: NOW },
				source: "import:codex",
				plan: "free",
				addedAt: 5,
			}),
		);
		const credential = credentialOf("work", NOW + HOUR_MS);
		expect(await membership.join(credential, { source: "login", label: "another" })).toMatchObject({
			label: "mine",
			credential,
			source: "login",
			plan: "plus",
			enabled: false,
			disabledReason: "account_deactivated",
			needsLogin: undefined,
			addedAt: 5,
		});
		expect(accounts.list()).toHaveLength(1);
	});

	it("ends the rest that a refused sign-in had earned, and no other", async () => {
		await accounts.put(rowOf("work", { needsLogin: { reason: "revoked", at: NOW } }));
		const [limited, refused] = [aCooldown(), aCooldown({ reason: "unauthorized" })];
		state.statusById.set(idOf("work"), { cooldowns: [limited, refused], strikes: 2 });
		await membership.join(credentialOf("work", NOW + HOUR_MS), { source: "login" });
		expect(state.status(idOf("work")).cooldowns).toEqual([limited]);
	});

	it("a sign-in to an account that pi holds is our own grant and leaves pi's file alone", async () => {
		const before = writeAuth({ anthropic: KEY, "openai-codex": piLogin("work") }) && scratch.text("auth.json");
		await accounts.put(rowOf("work", { linked: true, source: "pi" }));
		const credential = credentialOf("work", NOW + HOUR_MS, "own");
		expect(await membership.join(credential, { source: "login" })).toMatchObject({
			linked: false,
			source: "login",
			credential: { refresh: "own" },
		});
		expect(scratch.text("auth.json")).toBe(before);
		expect(membership.isPis(inHand("work"))).toBe(true);
	});

	it("takes neither two seats of one workspace nor one person in two workspaces for one", async () => {
		const grants = [seatOf("ann", "acct-team"), seatOf("bob", "acct-team"), seatOf("ann", "acct-home")];
		for (const grant of grants) await membership.join(grant, { source: "login" });
		const all = accounts.list();
		expect(new Set(all.map(({ id }) => id)).size).toBe(3);
		expect(labels()).toEqual(["ann", "bob", "ann-2"]);
		expect(all.map(({ credential }) => credential.refresh)).toEqual(grants.map(({ refresh }) => refresh));
		await membership.join({ ...seatOf("bob", "acct-team", NOW + HOUR_MS), refresh: "bob-again" }, { source: "login" });
		expect(accounts.list().map(({ credential }) => credential.refresh)).toEqual([
			"refresh-ann-acct-team",
			"bob-again",
			"refresh-ann-acct-home",
		]);
	});

	it("a sign-in that names no workspace changes nothing", async () => {
		const access = aTokenOf("work", { auth: { chatgpt_user_id: "user-work" } });
		const credential = { access, refresh: "r", expiresAt: NOW };
		expect(await membership.join(credential, { source: "login" })).toBeUndefined();
		expect(await membership.join({ ...credential, access: "opaque" }, { source: "login" })).toBeUndefined();
		expect([existsSync(scratch.path(FILE)), changes, membership.whose(credential)]).toEqual([false, 0, undefined]);
	});

	it("a sign-in that cannot be stored is an error, and no account is announced", async () => {
		const full = anAccountStore();
		full.isFull = true;
		open({ accounts: full });
		await expect(add("work")).rejects.toMatchObject({ code: "ENOSPC" });
		expect(changes).toBe(0);
	});

	it("a token with more claims than before belongs to the same account, under its id", async () => {
		const vague = aTokenOf("work", { auth: { chatgpt_account_id: "acct-work" } });
		await membership.join({ ...credentialOf("work"), access: vague }, { source: "login", label: "mine" });
		const [before] = accounts.list();
		expect(before?.id).not.toBe(idOf("work"));
		await membership.join(credentialOf("work"), { source: "import:codex" });
		expect(accounts.list()).toMatchObject([{ id: before?.id, label: "mine" }]);
	});

	it("a sign-in with the refresh token that pi holds stays pi's alone", async () => {
		await accounts.put(rowOf("work", { linked: true, source: "pi" }));
		const joined = await membership.join(credentialOf("work"), { source: "import:codex" });
		expect(joined).toMatchObject({ linked: true, source: "pi" });
		expect(accounts.list()).toEqual([joined]);
	});

	it("tells beforehand who it is, and whether that account is here", async () => {
		expect(membership.whose(credentialOf("work"))).toMatchObject({
			identity: { id: idOf("work") },
			account: undefined,
		});
		await add("work");
		expect(membership.whose(credentialOf("work", NOW + HOUR_MS))?.account?.label).toBe("work");
	});
});

describe("an account that leaves", () => {
	it("takes along what is known of it and its pin, and no other's", async () => {
		for (const name of ["work", "home"]) await add(name);
		for (const name of ["work", "home"]) state.statusById.set(idOf(name), { cooldowns: [aCooldown()], strikes: 2 });
		state.pinnedId = idOf("work");
		await membership.remove(idOf("work"));
		expect(onDisk().map(({ id }) => id)).toEqual([idOf("home")]);
		expect([...state.statusById.keys()]).toEqual([idOf("home")]);
		expect(state.pinnedId).toBeUndefined();
		const [backup = ""] = scratch.names(`${FILE}.bak-`);
		expectMode(scratch.path(backup), 0o600);
	});

	it("leaves another account's pin alone", async () => {
		for (const name of ["work", "home"]) await add(name);
		state.pinnedId = idOf("home");
		await membership.remove(idOf("work"));
		expect(state.pinnedId).toBe(idOf("home"));
	});

	it("stays, with everything, while its token is being renewed", async () => {
		await add("work");
		state.pinnedId = idOf("work");
		const before = scratch.text(FILE);
		await accounts.whileRefreshing(idOf("work"), async () => {
			hurryLocks();
			expect(await membership.remove(idOf("work"))).toEqual({ kind: "busy" });
		});
		expect([scratch.text(FILE), state.pinnedId]).toEqual([before, idOf("work")]);
		await membership.remove(idOf("work"));
		expect(accounts.list()).toEqual([]);
	});

	onPosix("signs pi out of it if pi is signed in as it, and leaves the rest of pi's file as it was", async () => {
		writeAuth({ anthropic: KEY, "openai-codex": piLogin("work"), zai: KEY });
		chmodSync(scratch.path("auth.json"), 0o640);
		await accounts.put(rowOf("work", { linked: true, source: "pi" }));
		expect(membership.isPis(inHand("work"))).toBe(true);
		expect(await membership.remove(idOf("work"))).toEqual({ kind: "removed", isPiSignedOut: true });
		expect(scratch.text("auth.json")).toBe(JSON.stringify({ anthropic: KEY, zai: KEY }, undefined, 2));
		expectMode(scratch.path("auth.json"), 0o640);
		expect(accounts.list()).toEqual([]);
		expect(scratch.names().filter((name) => !name.includes(".bak-"))).toEqual(["auth.json", FILE]);
	});

	it("an account with pi's login leaves with the newest token", async () => {
		writeAuth({ "openai-codex": piLogin("work", credentialOf("work", NOW + HOUR_MS, "newest")) });
		await accounts.put(rowOf("work", { linked: true, source: "pi" }));
		await membership.remove(idOf("work"));
		expect(await membership.restore()).toMatchObject({
			linked: false,
			source: "login",
			credential: { refresh: "newest" },
		});
	});

	it("an account with a grant beside pi's leaves with its own, and pi is signed out", async () => {
		writeAuth({ "openai-codex": piLogin("work", credentialOf("work", NOW + HOUR_MS, "pis")) });
		await accounts.put(rowOf("work", { source: "import:codex" }));
		expect(membership.isPis(inHand("work"))).toBe(true);
		await membership.remove(idOf("work"));
		expect(scratch.json("auth.json")).toEqual({});
		expect(await membership.restore()).toMatchObject({
			source: "import:codex",
			credential: { refresh: "refresh-work-0" },
		});
	});

	it("leaves pi's login alone if it is another account's", async () => {
		const path = writeAuth({ "openai-codex": piLogin("home") });
		await add("work");
		expect(membership.isPis(inHand("work"))).toBe(false);
		await membership.remove(idOf("work"));
		expect(existsSync(path)).toBe(true);
		expect(scratch.json("auth.json")).toMatchObject({ "openai-codex": { accountId: "acct-home" } });
	});

	it("stays, and pi stays signed in, while another process holds the lock of pi's file", async () => {
		const piAuth = aPiAuth({ kind: "oauth", credential: credentialOf("work"), workspaceId: aWorkspaceId("acct-work") });
		piAuth.lockRefusal = "busy";
		open({ piAuth, accounts: anAccountStore(rowOf("work", { linked: true, source: "pi" })) });
		state.pinnedId = idOf("work");
		expect(await membership.remove(idOf("work"))).toEqual({ kind: "busy" });
		expect([labels(), piAuth.login.kind, state.pinnedId]).toEqual([["work"], "oauth", idOf("work")]);
	});

	it.each([
		["alone", {}],
		["with pi's login", { linked: true, source: "pi" }],
	])(
		"%s is no longer called busy once its locks are held: a later failure is reported as it is",
		async (_what, overrides) => {
			const store = anAccountStore(rowOf("work", overrides));
			const piAuth = aPiAuth({
				kind: "oauth",
				credential: credentialOf("work"),
				workspaceId: aWorkspaceId("acct-work"),
			});
			if (!("linked" in overrides)) piAuth.login = { kind: "none" };
			const remove = () => Promise.reject(Object.assign(new Error("the file's lock"), { name: "LockBusyError" }));
			open({ piAuth, accounts: { ...store, remove } });
			await expect(membership.remove(idOf("work"))).rejects.toThrow("the file's lock");
		},
	);
});

describe("an account that cannot leave", () => {
	const credential = credentialOf("work", NOW + HOUR_MS, "pis");
	const login = { kind: "oauth", credential, workspaceId: aWorkspaceId("acct-work") } as const;

	it("an account that pi is signed in to waits for the renewal of our grant", async () => {
		const piAuth = aPiAuth(login);
		const store = anAccountStore(rowOf("work"));
		open({ piAuth, accounts: store });
		const order: string[] = [];
		let finish: () => void = () => undefined;
		const renewal = store.whileRefreshing(idOf("work"), async () => {
			await new Promise<void>((resolve) => {
				finish = resolve;
			});
			order.push("renewed");
		});
		const removal = membership.remove(idOf("work")).then(() => order.push("removed"));
		await settled();
		await settled();
		expect([piAuth.login.kind, labels()]).toEqual(["oauth", ["work"]]);
		finish();
		await Promise.all([renewal, removal]);
		expect([order, piAuth.login.kind]).toEqual([["renewed", "removed"], "none"]);
	});

	it("leaves pi alone if pi's file is damaged, since pi could not be signed out", async () => {
		scratch.write("auth.json", "{ torn");
		await accounts.put(rowOf("work", { linked: true, source: "pi" }));
		expect(await membership.remove(idOf("work"))).toEqual({ kind: "pi-unreadable" });
		expect([labels(), scratch.text("auth.json")]).toEqual([["work"], "{ torn"]);
	});

	it("stays, and pi stays signed in, if no copy of it can be kept", async () => {
		const piAuth = aPiAuth(login);
		const store = anAccountStore(rowOf("work"));
		open({ piAuth, accounts: store });
		store.isFull = true;
		await expect(membership.remove(idOf("work"))).rejects.toMatchObject({ code: "ENOSPC" });
		expect([labels(), piAuth.login.kind]).toEqual([["work"], "oauth"]);
	});

	it("an account that cannot leave is no trouble if it has left already", async () => {
		expect(await membership.remove(idOf("work"))).toEqual({ kind: "removed", isPiSignedOut: false });
		expect(changes).toBe(0);
	});
});

describe("an account that comes back", () => {
	it("an account that comes back is that row only: what others have renewed or changed since stays", async () => {
		for (const name of ["work", "home"]) await add(name);
		await membership.remove(idOf("work"));
		const renewed = credentialOf("home", NOW + HOUR_MS);
		await accounts.patch(idOf("home"), { credential: renewed, label: "moved" });
		await add("side");
		expect(await membership.restore()).toMatchObject({ id: idOf("work"), credential: credentialOf("work") });
		expect(labels()).toEqual(["moved", "side", "work"]);
		expect(stored("home")?.credential).toEqual(renewed);
	});

	it("brings back neither accounts that were removed earlier nor one account twice", async () => {
		for (const name of ["work", "home"]) await add(name);
		for (const name of ["work", "home"]) {
			clock.at += 1000;
			await membership.remove(idOf(name));
		}
		expect((await membership.restore())?.label).toBe("home");
		expect(labels()).toEqual(["home"]);
		expect((await membership.restore())?.label).toBe("work");
		expect(await membership.restore()).toBeUndefined();
		expect(labels()).toEqual(["home", "work"]);
	});

	it("an account that comes back is the one that is named, even if another one was removed since", async () => {
		for (const name of ["work", "home"]) await add(name);
		for (const name of ["work", "home"]) {
			clock.at += 1000;
			await membership.remove(idOf(name));
		}
		expect((await membership.restore(idOf("work")))?.label).toBe("work");
		expect(await membership.restore(idOf("work"))).toBeUndefined();
		expect(labels()).toEqual(["work"]);
	});

	it("never with an older token than it has been given since", async () => {
		await add("work");
		await membership.remove(idOf("work"));
		const newer = credentialOf("work", NOW + HOUR_MS);
		await membership.join(newer, { source: "login" });
		expect(await membership.restore()).toBeUndefined();
		expect(stored("work")?.credential).toEqual(newer);
	});

	it("a restored account keeps its unknown fields", async () => {
		const { credential, workspaceId: accountId, ...row } = rowOf("work");
		const { expiresAt: expires, ...tokens } = credential;
		const known = { ...row, accountId, email: row.email ?? null, disabledReason: null, needsLogin: null };
		const work = { ...known, colour: "red", credential: { ...tokens, expires, scope: "all" } };
		scratch.write(FILE, { version: 2, accounts: [work] });
		await membership.remove(idOf("work"));
		expect(onDisk()).toEqual([]);
		expect(await membership.restore()).toMatchObject(rowOf("work"));
		expect(onDisk()).toEqual([work]);
	});

	it("stays away, and is not announced, if it cannot be stored", async () => {
		const store = anAccountStore(rowOf("work"));
		open({ accounts: store });
		await membership.remove(idOf("work"));
		const before = changes;
		store.isFull = true;
		await expect(membership.restore()).rejects.toMatchObject({ code: "ENOSPC" });
		expect([labels(), changes]).toEqual([[], before]);
	});

	it("is numbered if its label was given away", async () => {
		await add("work");
		await membership.remove(idOf("work"));
		await add("home", "work");
		expect((await membership.restore())?.label).toBe("work-2");
	});

	it("is undefined if no account was removed", async () => {
		expect([await membership.restore(), changes]).toEqual([undefined, 0]);
	});
});

describe("managing an account", () => {
	it("renames it, and numbers a label that another process has just given away", async () => {
		for (const name of ["work", "home"]) await add(name);
		expect(await membership.rename(idOf("work"), "day job")).toBe("day job");
		expect(await membership.rename(idOf("home"), "day job")).toBe("day job-2");
		expect(labels()).toEqual(["day job", "day job-2"]);
		await membership.rename(idOf("work"), "day job");
		expect(labels()).toEqual(["day job", "day job-2"]);
	});

	it("switches it off and on by hand; a closed account begins anew", async () => {
		await add("work");
		await membership.setEnabled(idOf("work"), false);
		expect(stored("work")).toMatchObject({ enabled: false, disabledReason: undefined });
		await accounts.patch(idOf("work"), { disabledReason: "account_deactivated" });
		state.statusById.set(idOf("work"), { cooldowns: [aCooldown()], strikes: 3 });
		await membership.setEnabled(idOf("work"), true);
		expect(stored("work")).toMatchObject({ enabled: true, disabledReason: undefined });
		expect(state.status(idOf("work"))).toMatchObject({ strikes: 0, cooldowns: [expect.anything()] });
		expect(onDisk()).toMatchObject([{ enabled: true, disabledReason: null }]);
	});

	it("every change of an account is announced", async () => {
		await add("work");
		const before = changes;
		await membership.rename(idOf("work"), "job");
		await membership.setEnabled(idOf("work"), false);
		await membership.remove(idOf("work"));
		await membership.restore();
		expect(changes).toBe(before + 4);
	});
});

describe("accounts that were taken for two", () => {
	const auth = (claims: object) => ({ chatgpt_account_id: "acct", ...claims });
	const SEAT = { chatgpt_account_user_id: "seat" };
	const tokenOf = (claims: object, sub: string | undefined, issuedAt: number): Credential => ({
		access: aToken({ ...(sub ? { sub } : {}), email: "me@work.example", issuedAt, auth: auth(claims) }),
		refresh: `refresh-${JSON.stringify(claims)}-${sub}-${issuedAt - NOW}`,
		expiresAt: issuedAt + DAY_MS,
	});
	const bySeat = tokenOf(SEAT, undefined, NOW);
	const bySub = tokenOf({}, "auth0|me", NOW + HOUR_MS);
	const proof = tokenOf(SEAT, "auth0|me", NOW + 2 * HOUR_MS);
	const backups = () => scratch.names(`${FILE}.bak`).map((name) => scratch.text(name));

	/** Two accounts, `mine` the older. */
	async function doubled(): Promise<{ older: Account; newer: Account }> {
		const older = await membership.join(bySeat, { source: "login", label: "mine" });
		clock.at += 1000;
		const newer = await membership.join(bySub, { source: "import:codex", label: "again" });
		if (!older || !newer) throw new Error("no account joined");
		expect(accounts.list()).toHaveLength(2);
		return { older, newer };
	}

	it("a sign-in merges doubled accounts: the older one's id and name, the newest credential", async () => {
		const { older, newer } = await doubled();
		await membership.setEnabled(older.id, false);
		expect(await membership.join(proof, { source: "login" })).toMatchObject({ id: older.id, label: "mine" });
		expect(accounts.list()).toMatchObject([
			{ id: older.id, label: "mine", enabled: false, credential: proof, source: "login", formerIds: [newer.id] },
		]);
		expect(pool.account(newer.id)?.id).toBe(older.id);
		// The sign-in that was given up is not lost, and `add --undo` does not double the account again.
		expect(backups().join()).toContain(JSON.stringify(bySub.refresh));
		expect(await membership.restore()).toBeUndefined();
	});

	it("doubled accounts are merged by a token that is looked at only", async () => {
		const { older, newer } = await doubled();
		await membership.recognise(proof);
		expect(accounts.list()).toMatchObject([{ id: older.id, label: "mine", credential: bySub, formerIds: [newer.id] }]);
		expect(backups().join()).toContain(JSON.stringify(bySeat.refresh));
	});

	it("doubled accounts are not written for a token that tells nothing new", async () => {
		await membership.join(proof, { source: "login" });
		const before = scratch.text(FILE);
		changes = 0;
		await membership.recognise(bySeat);
		await membership.recognise(proof);
		expect([scratch.text(FILE), changes]).toEqual([before, 0]);
	});

	it("doubled accounts are merged by a renewal, even if that is stored under the id that is gone", async () => {
		const { older, newer } = await doubled();
		await accounts.patch(newer.id, { credential: { ...proof, refresh: "renewed" } });
		expect(accounts.list()).toMatchObject([{ id: older.id, credential: { refresh: "renewed" } }]);
		const next = tokenOf(SEAT, "auth0|me", NOW + 3 * HOUR_MS);
		await accounts.patch(newer.id, { credential: next }, ({ refresh }) => refresh === "renewed");
		expect(accounts.list()).toMatchObject([{ id: older.id, credential: next }]);
	});

	it("doubled accounts keep a sign-in that works, though another one is newer", async () => {
		const { older, newer } = await doubled();
		await accounts.patch(newer.id, { needsLogin: { reason: "revoked", at: NOW } });
		await membership.recognise(proof);
		expect(accounts.list()).toMatchObject([{ id: older.id, credential: bySeat, needsLogin: undefined }]);
	});

	it("doubled accounts leave copies of what was given up, which push out no copy of a removed account", async () => {
		for (const name of ["a", "b", "c"]) {
			await add(name);
			await membership.remove(idOf(name));
		}
		const removed = scratch.names(`${FILE}.bak-`);
		expect(removed).toHaveLength(3);
		const given: string[] = [];
		for (let pair = 0; pair < 5; pair += 1) {
			const seat = { chatgpt_account_user_id: `seat-${pair}` };
			const first = tokenOf(seat, undefined, NOW);
			given.push(first.refresh, `second-${pair}`);
			await membership.join(first, { source: "login" });
			await membership.join({ ...tokenOf({}, `auth0|${pair}`, NOW), refresh: `second-${pair}` }, { source: "login" });
			await membership.join(tokenOf(seat, `auth0|${pair}`, NOW + HOUR_MS), { source: "login" });
		}
		expect(accounts.list()).toHaveLength(5);
		expect(scratch.names(`${FILE}.bak-`)).toEqual(expect.arrayContaining(removed));
		const kept = backups().join();
		expect(
			given.filter((_, index) => index % 2 === 1).filter((refresh) => !kept.includes(JSON.stringify(refresh))),
		).toEqual([]);
		expect((await membership.restore())?.id).toBe(idOf("c"));
	});

	it("doubled accounts leave a copy of each sign-in that one account has given up", async () => {
		const third = tokenOf({ chatgpt_user_id: "me" }, undefined, NOW + HOUR_MS);
		await doubled();
		await membership.join(third, { source: "login" });
		expect(accounts.list()).toHaveLength(2 + 1);
		await membership.recognise(proof);
		await membership.recognise(tokenOf({ ...SEAT, chatgpt_user_id: "me" }, undefined, NOW));
		expect(accounts.list()).toHaveLength(1);
		const everywhere = `${backups().join()}${scratch.text(FILE)}`;
		expect([bySeat, bySub, third].filter(({ refresh }) => !everywhere.includes(JSON.stringify(refresh)))).toEqual([]);
	});

	it("accounts that come back under another id are not put back twice", async () => {
		const { older } = await doubled();
		await membership.recognise(proof);
		await membership.remove(older.id);
		await membership.join(bySub, { source: "login" });
		expect(accounts.list()).toHaveLength(1);
		expect(await membership.lastRemoved()).toBeUndefined();
		expect(await membership.restore()).toBeUndefined();
	});

	it("doubled accounts are put back as one, whichever of their sign-ins is used again", async () => {
		const { older } = await doubled();
		await membership.recognise(proof);
		await membership.remove(older.id);
		expect(await membership.restore()).toMatchObject({ id: older.id, credential: bySub });
		await membership.join(bySeat, { source: "import:codex" });
		expect(accounts.list()).toMatchObject([{ id: older.id }]);
	});

	it("doubled accounts are one even if two processes sign in at once, each with a token that tells less", async () => {
		const tokens = { fingerprint, identify: identityOf, issuedAt: (access: string) => tokenTimes(access).issuedAt };
		const stores = [accounts, openAccountStore(scratch.path(FILE), () => undefined, clock.now)];
		const processes = stores.map((store) => {
			const piAuth = openPiAuth(scratch.path("auth.json"));
			return createMembership({ accounts: store, state, pool, piAuth, tokens, clock, labelFor: defaultLabel });
		});
		const user = { chatgpt_user_id: "me" };
		const [one, other] = [tokenOf(SEAT, "auth0|me", NOW), tokenOf(user, "auth0|me", NOW + HOUR_MS)];
		await Promise.all([processes[0]?.join(one, { source: "login" }), processes[1]?.join(other, { source: "login" })]);
		await Promise.all(stores.map((store) => store.flush()));
		expect(onDisk()).toHaveLength(1);
		expect(`${backups().join()}${scratch.text(FILE)}`).toContain(JSON.stringify(one.refresh));
		expect(onDisk()).toMatchObject([{ credential: { refresh: other.refresh } }]);
	});

	it("doubled accounts stay pi's if pi's own login is the newer one, and ours if it is not", async () => {
		const { newer } = await doubled();
		await accounts.patch(newer.id, { linked: true });
		await membership.recognise(proof);
		expect(accounts.list()).toMatchObject([{ linked: true, credential: bySub }]);

		scratch.remove();
		open();
		const { older: ours } = await doubled();
		await accounts.patch(ours.id, { linked: true });
		await membership.recognise(proof);
		expect(accounts.list()).toMatchObject([{ linked: false, credential: bySub }]);
	});

	it("doubled accounts are merged whatever a file of an older version kept of them", async () => {
		const { older, newer } = await doubled();
		const stored = onDisk().map(({ claims: _, ...row }) => row);
		scratch.write(FILE, { version: 2, accounts: stored });
		await membership.join(proof, { source: "login" });
		expect(accounts.list()).toMatchObject([{ id: older.id, formerIds: [newer.id], credential: proof }]);
	});

	it("doubled accounts are found by what an older version made of a claim that no token carries now", async () => {
		const old = await membership.join(bySeat, { source: "login" });
		const { claims: _, ...row } = onDisk()[0] ?? { id: "" };
		const less = tokenOf({}, "auth0|me", NOW + HOUR_MS);
		const credential = { access: less.access, refresh: less.refresh, expires: less.expiresAt };
		scratch.write(FILE, { version: 2, accounts: [{ ...row, userId: null, credential }] });
		await membership.join(tokenOf(SEAT, undefined, NOW + 2 * HOUR_MS), { source: "login" });
		expect(accounts.list()).toMatchObject([{ id: old?.id }]);
	});

	it("doubled accounts are as many as there are chains of equal claims, whatever order their tokens come in", async () => {
		const person = fc.constantFrom("ann", "bob");
		const token = fc.record({ person, seat: fc.boolean(), user: fc.boolean(), sub: fc.boolean() });
		const useful = token.filter(({ seat, user, sub }) => seat || user || sub);
		await fc.assert(
			fc.asyncProperty(fc.array(useful, { minLength: 1, maxLength: 6 }), async (tokens) => {
				scratch.remove();
				open();
				/** Which tokens are joined so far: sets of claims, each with its first id and its newest credential. */
				let chains: { claims: Set<string>; id: string | undefined; newest: Credential }[] = [];
				for (const [at, { person: who, seat, user, sub }] of tokens.entries()) {
					clock.at += 1000;
					const claims = {
						...(seat ? { chatgpt_account_user_id: `${who}__acct` } : {}),
						...(user ? { chatgpt_user_id: who } : {}),
					};
					const credential = tokenOf(claims, sub ? `auth0|${who}` : undefined, NOW + at * HOUR_MS);
					const told = new Set([...Object.values(claims), ...(sub ? [`auth0|${who}`] : [])]);
					const same = chains.filter((chain) => [...told].some((claim) => chain.claims.has(claim)));
					const joined = await membership.join(credential, { source: "login" });
					const first = same[0] ?? { claims: new Set<string>(), id: joined?.id, newest: credential };
					for (const claim of [...told, ...same.flatMap((chain) => [...chain.claims])]) first.claims.add(claim);
					first.newest = credential;
					chains = [...chains.filter((chain) => chain === first || !same.includes(chain))];
					if (!chains.includes(first)) chains.push(first);
					expect(joined).toMatchObject({ id: first.id, credential });
				}
				expect(accounts.list().map(({ id, credential }) => [id, credential.refresh])).toEqual(
					chains.map(({ id, newest }) => [id, newest.refresh]),
				);
			}),
			runs(5, 60),
		);
	});
});

it("what a change announces is each change once, and nothing if nothing has changed", async () => {
	open({ accounts: anAccountStore(anAccount("work")) });
	await membership.setEnabled(anId("work"), false);
	await membership.setEnabled(anId("work"), true);
	await membership.rename(anId("work"), "job");
	await membership.remove(anId("work"));
	await membership.remove(anId("work"));
	expect((await membership.lastRemoved())?.label).toBe("job");
	await membership.restore();
	expect(told).toEqual(["disabled", "enabled", "renamed", "removed", "restored"]);
});
