import { mkdirSync, unlinkSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { createUniqueLabels } from "../../../../src/core/account.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { defaultLabel } from "../../../../src/platform/stores/account-file.ts";
import { openAccountStore } from "../../../../src/platform/stores/account-store.ts";
import {
	aClock,
	anAccount,
	aToken,
	aTokenOf,
	claimsOfToken,
	DAY_MS,
	ENCODINGS,
	type FakeClock,
	HOUR_MS,
	idFor,
	NOW,
	settled,
	until,
} from "../../../support/fakes.ts";
import { anId, aWorkspaceId } from "../../../support/ids.ts";
import { expectMode } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { hurryLocks, hurryTimersOf } from "../../waits.ts";

const NAME = "codex-accounts.json";
const WORK_CLAIMS = {
	chatgpt_account_id: "acct-work",
	chatgpt_account_user_id: "user-work__acct-work",
	chatgpt_plan_type: "plus",
};

const scratch = scratchForEach();
let problems: string[];
let clock: FakeClock;
let opened: { flush(): Promise<void> }[];
beforeEach(() => {
	opened = [];
	problems = [];
	clock = aClock();
});
afterEach(async () => {
	// A look alone may begin a write: it must not outlive its folder.
	await Promise.all(opened.map((store) => store.flush()));
});

function openStore(path = scratch.path(NAME)) {
	const told = problems;
	const store = openAccountStore(path, (text) => told.push(text), clock.now);
	opened.push(store);
	return store;
}

/** No content comes to the disk from here on, not even the superuser's. */
async function aDiskThatFails() {
	const handle = await open(scratch.write("any", ""), "r");
	const prototype: { sync: () => Promise<void> } = Object.getPrototypeOf(handle);
	await handle.close();
	unlinkSync(scratch.path("any"));
	return vi.spyOn(prototype, "sync").mockRejectedValue(Object.assign(new Error("no"), { code: "EIO" }));
}

/** Waits for `act` at each sync of a file or folder from here on, and not at those that `act` itself brings about. */
async function onSync(act: (isFolder: boolean, count: number) => unknown): Promise<void> {
	const handle = await open(scratch.write("any", ""), "r");
	const prototype: { sync: () => Promise<void> } = Object.getPrototypeOf(handle);
	await handle.close();
	unlinkSync(scratch.path("any"));
	let isActing = false;
	let folders = 0;
	vi.spyOn(prototype, "sync").mockImplementation(async function (this: FileHandle) {
		if (isActing) return;
		isActing = true;
		const isFolder = (await this.stat()).isDirectory();
		if (isFolder) folders += 1;
		await act(isFolder, folders);
		isActing = false;
	});
}

const fileSchema = z.looseObject({ version: z.number(), accounts: z.array(z.record(z.string(), z.unknown())) });
const rows = () => fileSchema.parse(scratch.json(NAME)).accounts;
const row = (id: AccountId) => rows().find((each) => each.id === id);

/** A whole row of the file, as the contract shows it. */
const storedRow = (name: string, overrides: Record<string, unknown> = {}) => ({
	id: idFor(`user-${name}__acct-${name}`, `acct-${name}`),
	label: name,
	email: `${name}@example.test`,
	userId: `user-${name}`,
	accountId: `acct-${name}`,
	plan: "plus",
	credential: { access: aTokenOf(name), refresh: `refresh-${name}`, expires: NOW + DAY_MS },
	source: "login",
	linked: false,
	enabled: true,
	needsLogin: null,
	addedAt: NOW - DAY_MS,
	...overrides,
});
const idOf = (name: string) => storedRow(name).id;
const writeRows = (...accounts: unknown[]) => scratch.write(NAME, { version: 2, accounts });

describe("reading accounts", () => {
	it("takes a whole row as it is", () => {
		writeRows(storedRow("work", { needsLogin: { reason: "revoked", at: NOW }, linked: true, source: "pi" }));
		expect(openStore().list()).toEqual([
			{
				id: idOf("work"),
				label: "work",
				email: "work@example.test",
				userId: "user-work",
				workspaceId: "acct-work",
				plan: "plus",
				credential: { access: aTokenOf("work"), refresh: "refresh-work", expiresAt: NOW + DAY_MS },
				source: "pi",
				linked: true,
				enabled: true,
				disabledReason: undefined,
				needsLogin: { reason: "revoked", at: NOW },
				addedAt: NOW - DAY_MS,
				claims: [...claimsOfToken("work"), `id=${idOf("work")}`],
			},
		]);
	});

	it("needs no more than id, workspace and credential, and takes the rest from the token", () => {
		const { id, accountId, credential } = storedRow("work");
		writeRows({ id, accountId, credential });
		expect(openStore().list()).toMatchObject([
			{
				id,
				label: "work",
				email: "work@example.test",
				userId: "user-work",
				plan: "plus",
				linked: false,
				enabled: true,
				needsLogin: undefined,
			},
		]);
	});

	it("names an account without an e-mail by its id", () => {
		writeRows({ id: "3f9c0a7be21d", accountId: "acct", credential: { access: "opaque", refresh: "r", expires: 1 } });
		expect(openStore().list()).toMatchObject([{ label: "3f9c0a7be21d", email: undefined, plan: undefined }]);
		expect(defaultLabel("me@work.example", anId("id"))).toBe("me");
		for (const local of ["", "auto", "-x", "a\u202eb", "x".repeat(41)]) {
			expect(defaultLabel(`${local}@work.example`, anId("id"))).toBe("id");
		}
	});

	it("ignores a bad field, a bad row, and a second row of one id", () => {
		const { credential, ...withoutCredential } = storedRow("other");
		writeRows(
			storedRow("work", { label: 5, enabled: "yes", linked: null, needsLogin: "soon", addedAt: "today", plan: {} }),
			withoutCredential,
			{ ...storedRow("torn"), credential: { ...credential, refresh: undefined } },
			"nonsense",
			null,
			storedRow("work", { label: "twin" }),
		);
		expect(openStore().list()).toMatchObject([
			{ label: "work", enabled: true, linked: false, needsLogin: undefined, addedAt: 0, plan: "plus" },
		]);
		expect(problems).toEqual([]);
	});

	it.each(["false", "no", "off", 0])(
		"leaves an account disabled if its row says `%s` in place of `false`",
		(enabled) => {
			writeRows(storedRow("work", { enabled }));
			expect(openStore().list()).toMatchObject([{ label: "work", enabled: false }]);
		},
	);

	it("takes a token that cannot stand in a header for none: it would come back in an error message", () => {
		const { credential } = storedRow("work");
		writeRows(
			storedRow("a", { credential: { ...credential, access: "with a blank" } }),
			storedRow("b", { credential: { ...credential, refresh: "with\nline" } }),
			storedRow("c", { credential: { ...credential, access: "" } }),
			storedRow("d"),
		);
		expect(openStore().list()).toMatchObject([{ label: "d" }]);
	});

	it("shows nothing of a label that could move the cursor, and leaves the file as it is", () => {
		writeRows(storedRow("work", { label: "a\x1b[2Jb\nc" }));
		expect(openStore().list()).toMatchObject([{ label: "a?[2Jb?c" }]);
		expect(rows()).toMatchObject([{ label: "a\x1b[2Jb\nc" }]);
	});

	it("shows nothing that moves the cursor of why an account cannot be used", () => {
		const reason = "revoked\x1b[2J";
		writeRows(storedRow("work", { disabledReason: reason, needsLogin: { reason, at: NOW } }));
		const shown = "revoked?[2J";
		expect(openStore().list()).toMatchObject([{ disabledReason: shown, needsLogin: { reason: shown, at: NOW } }]);
	});

	it("gives no label twice", () => {
		writeRows(storedRow("a", { label: "work" }), storedRow("b", { label: "work" }), storedRow("c", { label: "work" }));
		expect(
			openStore()
				.list()
				.map(({ label }) => label),
		).toEqual(["work", "work-2", "work-3"]);
	});

	it("hands out the same list while nothing has changed, and another process's changes at once", async () => {
		writeRows(storedRow("work"));
		const [one, other] = [openStore(), openStore()];
		expect(one.list()).toBe(one.list());
		await other.patch(idOf("work"), { plan: "pro" });
		expect(one.list()).toMatchObject([{ plan: "pro" }]);
	});
});

describe("changing accounts", () => {
	it("writes a new account in the contract's shape, for its owner alone", async () => {
		await openStore().put(anAccount("work"));
		expect(scratch.json(NAME)).toEqual({
			version: 2,
			accounts: [
				expect.objectContaining({
					id: "work",
					label: "work",
					email: "work@example.test",
					userId: "user-work",
					accountId: "acct-work",
					plan: "plus",
					credential: { access: "access-work", refresh: "refresh-work", expires: NOW + 10 * DAY_MS },
					source: "login",
					linked: false,
					enabled: true,
					needsLogin: null,
					addedAt: NOW - DAY_MS,
				}),
			],
		});
		expectMode(scratch.path(NAME), 0o600);
	});

	it("makes a label unique, even if two processes add the same one", async () => {
		const [one, other] = [openStore(), openStore()];
		await Promise.all([
			one.put(anAccount("a", { label: "work" })),
			other.put(anAccount("b", { label: "work" })),
			one.put(anAccount("c", { label: "work" })),
		]);
		expect(
			rows()
				.map(({ label }) => label)
				.sort(),
		).toEqual(["work", "work-2", "work-3"]);
	});

	it("keeps an account's own label when it is put again", async () => {
		const store = openStore();
		await store.put(anAccount("work"));
		await store.put(anAccount("work", { plan: "pro" }));
		expect(rows()).toMatchObject([{ label: "work", plan: "pro" }]);
	});

	it("keeps what it cannot read and what it does not know, through every kind of write", async () => {
		const strange = { id: "from-the-future", credential: { kind: "passkey" } };
		const work = storedRow("work", { colour: "red", credential: { ...storedRow("work").credential, scope: "all" } });
		scratch.write(NAME, { version: 2, accounts: [strange, work, "nonsense"], theme: { dark: true } });
		const store = openStore();
		await store.patch(idOf("work"), { plan: "pro", credential: { access: "a2", refresh: "r2", expiresAt: NOW } });
		await store.put(anAccount("home"));
		await store.put({ ...(store.list()[0] ?? anAccount("work")), plan: "team" });
		await store.remove(anId("home"));
		expect(scratch.json(NAME)).toEqual({
			version: 2,
			theme: { dark: true },
			accounts: [
				strange,
				{
					...work,
					plan: "team",
					disabledReason: null,
					claims: [...claimsOfToken("work"), `id=${idOf("work")}`],
					credential: { access: "a2", refresh: "r2", expires: NOW, scope: "all" },
				},
				"nonsense",
			],
		});
	});

	it("loses neither side's change if two processes write at once", async () => {
		writeRows(storedRow("a"), storedRow("b"));
		const [one, other] = [openStore(), openStore()];
		await Promise.all([
			one.patch(idOf("a"), { plan: "pro" }),
			other.patch(idOf("b"), { plan: "team" }),
			one.put(anAccount("c")),
			other.put(anAccount("d")),
		]);
		expect(row(idOf("a"))).toMatchObject({ plan: "pro" });
		expect(row(idOf("b"))).toMatchObject({ plan: "team" });
		expect(rows()).toHaveLength(4);
	});

	it("changes only what a patch names", async () => {
		const before = storedRow("work", { needsLogin: { reason: "revoked", at: NOW } });
		writeRows(before);
		await openStore().patch(idOf("work"), { linked: true });
		expect(rows()).toEqual([{ ...before, linked: true, linkedTo: expect.any(String) }]);
	});

	it("sets and clears the flags that a patch names", async () => {
		writeRows(storedRow("work"));
		const store = openStore();
		await store.patch(idOf("work"), {
			needsLogin: { reason: "revoked", at: NOW },
			enabled: false,
			disabledReason: "closed",
		});
		expect(store.list()).toMatchObject([
			{ needsLogin: { reason: "revoked" }, enabled: false, disabledReason: "closed" },
		]);
		await store.patch(idOf("work"), { needsLogin: undefined, enabled: true, disabledReason: undefined });
		expect(rows()).toMatchObject([{ needsLogin: null, enabled: true, disabledReason: null }]);
	});

	it("changes nothing of a sign-in that it was not meant for, which another process has stored meanwhile", async () => {
		writeRows(storedRow("work"));
		const store = openStore();
		store.list();
		const credential = {
			access: aTokenOf("work", { issuedAt: NOW + HOUR_MS }),
			refresh: "next",
			expiresAt: NOW + DAY_MS,
		};
		await openStore().patch(idOf("work"), { credential });
		const over = { reason: "refresh_token_expired", at: NOW };
		await store.patch(idOf("work"), { needsLogin: over }, ({ refresh }) => refresh === "refresh-work");
		expect(row(idOf("work"))).toMatchObject({ needsLogin: null, credential: { refresh: "next" } });
		await store.patch(idOf("work"), { needsLogin: over }, ({ refresh }) => refresh === "next");
		expect(row(idOf("work"))).toMatchObject({ needsLogin: over });
	});

	it("patches no account that is gone, and brings none back", async () => {
		writeRows(storedRow("work"));
		const store = openStore();
		await store.patch(anId("missing"), { plan: "pro" });
		expect(rows()).toEqual([storedRow("work")]);
	});
});

describe("a patch of a credential", () => {
	const credentialOf = (issuedAt: number, refresh: string) => ({
		access: aTokenOf("work", { issuedAt }),
		refresh,
		expiresAt: issuedAt + 10 * DAY_MS,
	});

	it("takes the one that was issued later", async () => {
		writeRows(storedRow("work"));
		const next = credentialOf(NOW + HOUR_MS, "next");
		await openStore().patch(idOf("work"), { credential: next });
		expect(row(idOf("work"))).toMatchObject({ credential: { access: next.access, refresh: "next" } });
	});

	it("never goes back to one that was issued earlier, whichever process wrote the later one", async () => {
		writeRows(storedRow("work"));
		const [one, other] = [openStore(), openStore()];
		await Promise.all([
			one.patch(idOf("work"), { credential: credentialOf(NOW + 2 * HOUR_MS, "latest") }),
			other.patch(idOf("work"), { credential: credentialOf(NOW + HOUR_MS, "earlier") }),
		]);
		await other.patch(idOf("work"), { credential: credentialOf(NOW - DAY_MS, "older still"), plan: "pro" });
		expect(row(idOf("work"))).toMatchObject({ credential: { refresh: "latest" }, plan: "pro" });
		expect(one.list()).toMatchObject([{ credential: { refresh: "latest" } }]);
	});

	it("goes back to an earlier one that works if the later one is over", async () => {
		const over = { reason: "token_revoked", at: NOW };
		writeRows(storedRow("work", { needsLogin: over }));
		const earlier = credentialOf(NOW - HOUR_MS, "of pi");
		await openStore().patch(idOf("work"), { credential: earlier, needsLogin: over });
		expect(row(idOf("work"))).toMatchObject({ credential: { refresh: "refresh-work" }, needsLogin: over });
		await openStore().patch(idOf("work"), { credential: earlier, needsLogin: undefined, linked: true });
		expect(row(idOf("work"))).toMatchObject({ credential: { refresh: "of pi" }, needsLogin: null, linked: true });
	});

	it("takes what came for the sign-in that is stored, though its service believes it to be earlier", async () => {
		writeRows(storedRow("work"));
		const next = credentialOf(NOW - HOUR_MS, "next");
		const isThat = ({ refresh }: { refresh: string }) => refresh === "refresh-work";
		// One that is only found somewhere, such as in pi's file, is an old one.
		await openStore().patch(idOf("work"), { credential: next }, isThat);
		expect(row(idOf("work"))).toMatchObject({ credential: { refresh: "refresh-work" } });
		await openStore().patch(idOf("work"), { credential: next }, isThat, true);
		expect(row(idOf("work"))).toMatchObject({ credential: { access: next.access, refresh: "next" } });
		await openStore().patch(idOf("work"), { credential: next }, isThat, true);
		expect(row(idOf("work"))).toMatchObject({ credential: { refresh: "next" } });
	});

	it("a patch of a credential is not held up by a token that counts in milliseconds", async () => {
		const access = aTokenOf("work", { issuedAt: NOW * 1000, expiresAt: NOW * 1000 });
		writeRows(storedRow("work", { credential: { access, refresh: "odd", expires: NOW } }));
		await openStore().patch(idOf("work"), { credential: credentialOf(NOW, "next") });
		expect(row(idOf("work"))).toMatchObject({ credential: { refresh: "next" } });
	});

	it("never goes back from one to one that was issued earlier and had ended by then", async () => {
		const ended = aTokenOf("work", { issuedAt: NOW - HOUR_MS, expiresAt: NOW - 2 * HOUR_MS });
		writeRows(storedRow("work"));
		await openStore().patch(idOf("work"), { credential: { access: ended, refresh: "old", expiresAt: NOW } });
		expect(row(idOf("work"))).toMatchObject({ credential: { refresh: "refresh-work" } });
	});

	it("takes any if one of the two does not say when it was issued", async () => {
		writeRows(storedRow("work"));
		await openStore().patch(idOf("work"), { credential: { access: "opaque", refresh: "next", expiresAt: NOW } });
		expect(row(idOf("work"))).toMatchObject({ credential: { refresh: "next", expires: NOW } });
	});
});

describe("removing accounts", () => {
	it("keeps the last three rows in backups for their owner alone, the oldest going first", async () => {
		writeRows(...["a", "b", "c", "d", "e"].map((name) => storedRow(name)));
		const store = openStore();
		for (const name of ["a", "b", "c", "d"]) {
			clock.at += 1000;
			await store.remove(idOf(name));
		}
		expect(rows()).toMatchObject([{ label: "e" }]);
		const backups = scratch.names(`${NAME}.bak-`);
		const left = ["b", "c", "d"].map((name, index) => `${NAME}.bak-${NOW + 2000 + 1000 * index}-${idOf(name)}`);
		expect(backups).toEqual(left);
		const labels = backups.map((name) => fileSchema.parse(scratch.json(name)).accounts.map(({ label }) => label));
		// Of each only what left: an older token of another account would be of no use, and one more place to lose it from.
		expect(labels).toEqual([["b"], ["c"], ["d"]]);
		for (const name of backups) expectMode(scratch.path(name), 0o600);
	});

	it("removes no account that it cannot keep in a backup", async () => {
		writeRows(storedRow("work"));
		mkdirSync(scratch.path(`${NAME}.bak-${NOW}-${idOf("work")}`));
		await expect(openStore().remove(idOf("work"))).rejects.toThrow();
		expect(rows()).toHaveLength(1);
	});

	it("keeps an account once, however often it is backed up, and the newest as it was last", async () => {
		writeRows(storedRow("a"), storedRow("b"));
		const store = openStore();
		await store.backUp(idOf("a"));
		await store.patch(idOf("a"), { label: "renamed" });
		await store.backUp(idOf("b"));
		await store.remove(idOf("a"));
		const backups = scratch.names(`${NAME}.bak-`);
		expect(backups.map((name) => name.split("-").at(-1))).toEqual([idOf("b"), idOf("a")]);
		expect(fileSchema.parse(scratch.json(backups[1] ?? "")).accounts).toMatchObject([{ label: "renamed" }]);
	});

	it("takes the last one for the last, even if the clock was set back in between", async () => {
		writeRows(...["a", "b", "c", "d", "e"].map((name) => storedRow(name)));
		const store = openStore();
		for (const name of ["a", "b", "c", "d"]) {
			await store.remove(idOf(name));
			clock.at -= HOUR_MS;
		}
		expect(await store.lastRemoved()).toMatchObject({ id: idOf("d") });
		expect(scratch.names(`${NAME}.bak-`).map((name) => name.split("-").at(-1))).toEqual(["b", "c", "d"].map(idOf));
	});

	it("keeps the token that another process has stored just before", async () => {
		writeRows(storedRow("work"));
		const [one, other] = [openStore(), openStore()];
		const credential = { access: aTokenOf("work", { issuedAt: NOW + HOUR_MS }), refresh: "newer", expiresAt: NOW };
		one.list();
		await Promise.all([other.patch(idOf("work"), { credential }), one.remove(idOf("work"))]);
		expect(rows()).toEqual([]);
		expect(await openStore().lastRemoved()).toMatchObject({ credential: { refresh: "newer" } });
	});

	it("keeps what came for the token of an account that was renamed while it was being taken out", async () => {
		writeRows(storedRow("work"));
		const [one, other] = [openStore(), openStore()];
		const next = { access: aTokenOf("work", { issuedAt: NOW + HOUR_MS }), refresh: "next", expiresAt: NOW + DAY_MS };
		await onSync((isFolder, count) => {
			// First the backup is written, then the file without the account.
			if (isFolder && count === 1) return other.edit(idOf("work"), { label: "renamed" });
			if (isFolder && count === 2) return other.renewBackup(idOf("work"), "refresh-work", next);
			return undefined;
		});
		await one.remove(idOf("work"));
		vi.restoreAllMocks();
		expect(await openStore().lastRemoved()).toMatchObject({ credential: { refresh: "next" } });
	});

	it("changes nothing if it cannot be written, neither by removing nor by hand", async () => {
		writeRows(storedRow("work"));
		const store = openStore();
		const before = store.list();
		const disk = await aDiskThatFails();
		await expect(store.edit(idOf("work"), { label: "other", enabled: false })).rejects.toThrow();
		await expect(store.remove(idOf("work"))).rejects.toThrow();
		expect([store.list(), rows()]).toEqual([before, [storedRow("work")]]);
		disk.mockRestore();
		await store.patch(idOf("work"), { plan: "pro" });
		expect(rows()).toEqual([storedRow("work", { plan: "pro" })]);
	});

	it("forgets all backups on request", async () => {
		writeRows(storedRow("work"));
		scratch.write(`${NAME}.v1.bak`, "{}");
		const store = openStore();
		await store.remove(idOf("work"));
		expect(await store.removeBackups()).toBe(2);
		expect(scratch.names()).toEqual([NAME]);
		expect(await store.removeBackups()).toBe(0);
	});
});

describe("the account that was taken out last", () => {
	it("is as it was when it left, in any process, while it is not back", async () => {
		writeRows(storedRow("a"), storedRow("b", { label: "side", plan: "pro", enabled: false }), storedRow("c"));
		const store = openStore();
		const leaving = store.list().find(({ id }) => id === idOf("b"));
		expect(await store.lastRemoved()).toBeUndefined();
		await store.remove(idOf("b"));
		expect(leaving).toMatchObject({ label: "side", plan: "pro", enabled: false });
		expect(await openStore().lastRemoved()).toEqual(leaving);
		await store.put(leaving ?? anAccount("none"));
		expect(await store.lastRemoved()).toBeUndefined();
	});

	it("is put back with what came for its token after it had left", async () => {
		writeRows(storedRow("a"), storedRow("b"));
		const store = openStore();
		const [{ credential }] = [store.list().find(({ id }) => id === idOf("b")) ?? anAccount("none")];
		const next = { access: aTokenOf("b", { issuedAt: NOW + HOUR_MS }), refresh: "next", expiresAt: NOW + DAY_MS };
		await store.remove(idOf("b"));
		expect(await store.renewBackup(idOf("b"), "another", { ...next, refresh: "none of it" })).toBe(false);
		expect(await store.renewBackup(idOf("a"), credential.refresh, { ...next, refresh: "none of it" })).toBe(false);
		expect(await store.renewBackup(idOf("b"), credential.refresh, next)).toBe(true);
		await openStore().restore(idOf("b"));
		expect(openStore().list().at(-1)).toMatchObject({ id: idOf("b"), credential: next });
	});

	it("is one that left with a file that was damaged, once it was kept aside", async () => {
		hurryTimersOf(500);
		writeRows(storedRow("a"));
		const store = openStore();
		const [account = anAccount("none")] = store.list();
		scratch.write(NAME, "damaged");
		await store.patch(idOf("a"), { plan: "pro" });
		await store.keepAside(account);
		expect(await openStore().lastRemoved()).toEqual(account);
		for (const name of scratch.names(`${NAME}.bak-`)) expectMode(scratch.path(name), 0o600);
	});

	it("stays the one with a later sign-in if an earlier one is kept aside, and gives way to a later one", async () => {
		writeRows(storedRow("a"));
		const store = openStore();
		const [account = anAccount("none")] = store.list();
		const issuedAt = (at: number, refresh: string) => ({
			...account,
			credential: { ...account.credential, access: aTokenOf("a", { issuedAt: at }), refresh },
		});
		await store.patch(idOf("a"), { credential: issuedAt(NOW + HOUR_MS, "anew").credential });
		await store.remove(idOf("a"));
		await store.keepAside(issuedAt(NOW + 1000, "earlier"));
		expect((await store.lastRemoved())?.credential.refresh).toBe("anew");
		await store.keepAside(issuedAt(NOW + 2 * HOUR_MS, "later"));
		expect((await store.lastRemoved())?.credential.refresh).toBe("later");
	});

	it("is followed by the one before it, once it is back", async () => {
		writeRows(...["a", "b", "c"].map((name) => storedRow(name)));
		const store = openStore();
		for (const name of ["a", "b"]) {
			clock.at += 1000;
			await store.remove(idOf(name));
		}
		const last = await store.lastRemoved();
		expect(last?.id).toBe(idOf("b"));
		if (last) await store.put(last);
		expect((await store.lastRemoved())?.id).toBe(idOf("a"));
	});

	it("is read from its own backup: what others hold by now is of no concern", async () => {
		writeRows(storedRow("a"), storedRow("b"));
		const store = openStore();
		await store.remove(idOf("b"));
		const credential = {
			access: aTokenOf("a", { issuedAt: NOW + HOUR_MS }),
			refresh: "newer",
			expiresAt: NOW + DAY_MS,
		};
		await store.patch(idOf("a"), { credential });
		const removed = await store.lastRemoved();
		if (removed) await store.put(removed);
		expect(row(idOf("a"))).toMatchObject({ credential: { refresh: "newer" } });
		expect(row(idOf("b"))).toMatchObject({ credential: { refresh: "refresh-b" } });
	});

	it("is undefined if its backup is damaged, gone, or of another time", async () => {
		writeRows(storedRow("a"), storedRow("b"));
		const store = openStore();
		await store.remove(idOf("b"));
		const [backup = ""] = scratch.names(`${NAME}.bak-`);
		scratch.write(backup, scratch.text(backup).slice(0, 100));
		expect(await store.lastRemoved()).toBeUndefined();
		await store.removeBackups();
		expect(await store.lastRemoved()).toBeUndefined();
		// As version 2.x of the file's neighbours are called: nothing says who left.
		scratch.write(`${NAME}.bak-${NOW}`, { version: 2, accounts: [storedRow("b")] });
		expect(await store.lastRemoved()).toBeUndefined();
	});
});

describe("an account that is put back", () => {
	it("has what came for its token while it was being put back", async () => {
		writeRows(storedRow("work"));
		const store = openStore();
		await store.remove(idOf("work"));
		const next = { access: aTokenOf("work", { issuedAt: NOW + 1000 }), refresh: "next", expiresAt: NOW + DAY_MS };
		let isRenewed = false;
		await onSync(async () => {
			// The backup was read, and the file does not have the row yet.
			if (!isRenewed) isRenewed = await store.renewBackup(idOf("work"), "refresh-work", next);
		});
		await store.restore(idOf("work"));
		vi.restoreAllMocks();
		expect([isRenewed, row(idOf("work"))]).toMatchObject([true, { credential: { refresh: "next" } }]);
	});

	it("is complete, with the fields that this version does not know, and no other account is touched", async () => {
		const strange = { id: "from-the-future", credential: { kind: "passkey" } };
		const work = storedRow("work", {
			colour: "red",
			credential: { ...storedRow("work").credential, scope: "all" },
			needsLogin: { reason: "revoked", at: NOW },
			enabled: false,
			disabledReason: "closed",
			source: "import:codex",
		});
		writeRows(strange, work, storedRow("home"));
		const store = openStore();
		await store.remove(idOf("work"));
		await store.patch(idOf("home"), { label: "moved" });
		await openStore().restore(idOf("work"));
		expect(rows()).toEqual([strange, storedRow("home", { label: "moved" }), work]);
		expect(store.list()).toMatchObject([{ label: "moved" }, { id: idOf("work"), disabledReason: "closed" }]);
	});

	it("is ours if it was pi's, since pi gave that grant up", async () => {
		writeRows(storedRow("work", { linked: true, source: "pi" }));
		const store = openStore();
		await store.remove(idOf("work"));
		await store.restore(idOf("work"));
		expect(rows()).toEqual([storedRow("work", { linked: false, source: "login" })]);
	});

	it("has its former label, numbered if another has that by now", async () => {
		writeRows(storedRow("a", { label: "work" }), storedRow("b"));
		const store = openStore();
		await store.remove(idOf("a"));
		await store.patch(idOf("b"), { label: "work" });
		await store.restore(idOf("a"));
		expect(rows()).toMatchObject([{ label: "work" }, { id: idOf("a"), label: "work-2" }]);
	});

	it("stays as it is if it is back already, in whatever process", async () => {
		writeRows(storedRow("work"));
		const [one, other] = [openStore(), openStore()];
		await one.remove(idOf("work"));
		await Promise.all([one.restore(idOf("work")), other.restore(idOf("work"))]);
		expect(rows()).toEqual([storedRow("work")]);
		await one.patch(idOf("work"), { plan: "pro" });
		await other.restore(idOf("work"));
		expect(rows()).toEqual([storedRow("work", { plan: "pro" })]);
	});

	it("is undefined if its backup is damaged or gone", async () => {
		writeRows(storedRow("a"), storedRow("b"));
		const store = openStore();
		await store.remove(idOf("b"));
		const [backup = ""] = scratch.names(`${NAME}.bak-`);
		for (const content of [scratch.text(backup).slice(0, 100), { version: 2, accounts: [{ id: idOf("b") }] }]) {
			scratch.write(backup, content);
			await store.restore(idOf("b"));
		}
		await store.removeBackups();
		await store.restore(idOf("b"));
		expect(rows()).toEqual([storedRow("a")]);
	});

	it("is not in the list if it cannot be written, and can be put back later", async () => {
		writeRows(storedRow("work"));
		const store = openStore();
		await store.remove(idOf("work"));
		const disk = await aDiskThatFails();
		await expect(store.restore(idOf("work"))).rejects.toThrow();
		expect([store.list(), rows()]).toEqual([[], []]);
		disk.mockRestore();
		await store.restore(idOf("work"));
		expect(rows()).toEqual([storedRow("work")]);
	});
});

describe("an account that is put over one with a later token", () => {
	const early = () => ({
		...anAccount("work", { id: idOf("work"), label: "again" }),
		credential: { access: aTokenOf("work", { issuedAt: NOW - HOUR_MS }), refresh: "early", expiresAt: NOW },
	});

	it("does not take its place while that one works: another process has stored it meanwhile", async () => {
		writeRows(storedRow("work"));
		await openStore().put(early());
		expect(rows()).toEqual([storedRow("work")]);
	});

	it("takes its place if that one is signed out", async () => {
		writeRows(storedRow("work", { needsLogin: { reason: "revoked", at: NOW } }));
		await openStore().put(early());
		expect(rows()).toMatchObject([{ label: "again", needsLogin: null, credential: { refresh: "early" } }]);
	});
});

describe("the file of pi-multicodex 2.x", () => {
	const versionOne = {
		activeEmail: "home@example.test",
		accounts: [
			{
				email: "Work@example.test",
				accessToken: aToken({ auth: WORK_CLAIMS }),
				refreshToken: "refresh-work",
				expiresAt: NOW + HOUR_MS,
				accountId: "acct-work",
				lastUsed: NOW,
				quotaExhaustedUntil: NOW + DAY_MS,
			},
			{
				email: "home@example.test",
				accessToken: aTokenOf("home"),
				refreshToken: "refresh-home",
				expiresAt: NOW + DAY_MS,
				needsReauth: true,
			},
		],
	};

	it.each([
		["without a version", versionOne],
		["with version 1", { version: 1, ...versionOne }],
	])("%s is taken over, with the original kept for its owner alone", async (_name, former) => {
		const bytes = JSON.stringify(former, undefined, 4);
		scratch.write(NAME, bytes);
		const store = openStore();
		expect(store.list()).toMatchObject([
			{
				id: idOf("work"),
				label: "Work",
				email: "Work@example.test",
				workspaceId: "acct-work",
				plan: "plus",
				credential: { refresh: "refresh-work", expiresAt: NOW + HOUR_MS },
				enabled: true,
				linked: false,
				needsLogin: undefined,
			},
			{ id: idOf("home"), label: "home", needsLogin: { at: NOW } },
		]);
		await until("the file is written anew", () => scratch.text(NAME) !== bytes);
		await store.flush();
		expect(scratch.text(`${NAME}.v1.bak`)).toBe(bytes);
		expectMode(scratch.path(`${NAME}.v1.bak`), 0o600);
		expect(scratch.json(NAME)).toMatchObject({ version: 2, accounts: [{ label: "Work" }, { label: "home" }] });
		expect(problems).toEqual([]);
		expect(openStore().list()).toEqual(store.list());
	});

	it("gives one row to two of one identity, with the token that lasts longer", async () => {
		const [work] = versionOne.accounts;
		const renewed = { ...work, accessToken: aTokenOf("work"), refreshToken: "renewed", expiresAt: NOW + 3 * DAY_MS };
		scratch.write(NAME, { accounts: [work, renewed, { ...work, refreshToken: "oldest", expiresAt: NOW }] });
		expect(openStore().list()).toMatchObject([{ id: idOf("work"), credential: { refresh: "renewed" } }]);
	});

	it("keeps two of one e-mail in two workspaces apart", () => {
		const inTeam = aTokenOf("work", {
			profileEmail: "Work@example.test",
			auth: { chatgpt_account_id: "acct-team", chatgpt_account_user_id: "user-work__acct-team" },
		});
		const [work] = versionOne.accounts;
		scratch.write(NAME, { accounts: [work, { ...work, accessToken: inTeam, accountId: "acct-team" }] });
		expect(openStore().list()).toMatchObject([{ label: "Work" }, { label: "Work-2", workspaceId: "acct-team" }]);
	});

	it("leaves out a token that names no workspace, which the original still holds", async () => {
		const opaque = { email: "x@example.test", accessToken: "opaque-token", refreshToken: "r", expiresAt: NOW };
		scratch.write(NAME, { accounts: [opaque, versionOne.accounts[1]] });
		const store = openStore();
		expect(store.list()).toMatchObject([{ label: "home" }]);
		await until("the original is kept", () => scratch.names().includes(`${NAME}.v1.bak`));
		await store.flush();
		expect(scratch.text(`${NAME}.v1.bak`)).toContain("opaque-token");
	});
});

describe("an accounts file that cannot be used", () => {
	it.each([
		["torn", '{"version":2,"accounts":[{"id":"3f9c'],
		["of no version that ever was", '{"version":2,"accounts":{}}'],
	])("a file that is %s is kept byte for byte, and reported without its content", async (_name, bytes) => {
		hurryTimersOf(500);
		scratch.write(NAME, bytes);
		const store = openStore();
		expect(store.list()).toEqual([]);
		await store.put(anAccount("work"));
		await settled();
		expect(scratch.names(`${NAME}.corrupt-`).map((name) => scratch.text(name))).toEqual([bytes]);
		expect(problems).toHaveLength(1);
		expect(problems.join()).not.toContain("3f9c");
		expect(rows()).toHaveLength(1);
	});

	it("a file of a newer version is never written", async () => {
		const bytes = '{"version":3,"accounts":[{"id":"x"}],"vault":true}';
		scratch.write(NAME, bytes);
		const store = openStore();
		expect(store.list()).toEqual([]);
		await store.put(anAccount("work")).catch(() => undefined);
		await store.patch(anId("x"), { plan: "pro" }).catch(() => undefined);
		await store.remove(anId("x")).catch(() => undefined);
		expect(scratch.text(NAME)).toBe(bytes);
		expect(problems).toHaveLength(1);
	});

	it("an account whose folder is read-only is kept in memory, and written later", async () => {
		scratch.write("folder", "a file where a folder should be");
		const store = openStore(scratch.path(`folder/${NAME}`));
		await expect(store.put(anAccount("work"))).rejects.toThrow();
		await expect(store.assertWritable()).rejects.toThrow();
		expect(store.list()).toMatchObject([{ id: "work" }]);
		unlinkSync(scratch.path("folder"));
		await store.assertWritable();
		await store.put(anAccount("home"));
		expect(fileSchema.parse(scratch.json(`folder/${NAME}`)).accounts).toMatchObject([{ id: "work" }, { id: "home" }]);
		expect(scratch.names()).toEqual(["folder"]);
	});

	it("leaves nothing behind when it proves that it can be written", async () => {
		await openStore().assertWritable();
		expect(scratch.names()).toEqual([]);
	});
});

describe("the refresher's lock", () => {
	it("lets one in at a time for an account, and others meanwhile", async () => {
		const [one, other] = [openStore(), openStore()];
		const order: string[] = [];
		hurryLocks();
		await one.whileRefreshing(anId("a"), async () => {
			order.push("one in");
			await other.whileRefreshing(anId("b"), async () => {
				order.push("another account");
			});
			expect(await other.whileRefreshing(anId("a"), async () => order.push("two in"))).toBe("busy");
			order.push("one out");
		});
		await other.whileRefreshing(anId("a"), async () => order.push("two in"));
		expect(order).toEqual(["one in", "another account", "one out", "two in"]);
		expect(scratch.names()).toEqual([]);
	});
});

describe("a token that names no workspace", () => {
	const without = aToken({ sub: "auth0|work", issuedAt: NOW, auth: { chatgpt_user_id: "user-work" } });

	it.each([
		["a token without the claim", without],
		["no token of the sort", "opaque"],
	])("a row of an older version needs a sign-in, and keeps its credential: %s", async (_what, access) => {
		const credential = { ...storedRow("work").credential, access };
		writeRows(storedRow("work", { credential }));
		const store = openStore();
		expect(store.list()).toMatchObject([
			{ needsLogin: { reason: "no_workspace", at: NOW - DAY_MS }, credential: { access, refresh: "refresh-work" } },
		]);
		// That is seen, not stored: a sign-in with a workspace ends it.
		await store.patch(idOf("work"), { linked: false });
		expect(rows()).toMatchObject([{ needsLogin: null, credential }]);
		await store.patch(idOf("work"), {
			credential: { access: aTokenOf("work"), refresh: "next", expiresAt: NOW + DAY_MS },
		});
		expect(store.list()).toMatchObject([{ needsLogin: undefined, credential: { refresh: "next" } }]);
	});

	it("keeps the reason for which its sign-in was lost before", () => {
		const credential = { ...storedRow("work").credential, access: without };
		writeRows(storedRow("work", { credential, needsLogin: { reason: "revoked", at: NOW } }));
		expect(openStore().list()).toMatchObject([{ needsLogin: { reason: "revoked", at: NOW } }]);
	});
});

describe("a file that is damaged in places", () => {
	const good = () => storedRow("other");

	describe("with a damaged row of the same id before an account's own", () => {
		const damaged = () => ({ ...storedRow("work"), credential: "damaged" });
		const begun = () => {
			writeRows(damaged(), storedRow("work"), good());
			return openStore();
		};

		it("changes and new tokens go to the account's own row", async () => {
			const store = begun();
			const credential = {
				access: aTokenOf("work", { issuedAt: NOW + 60_000 }),
				refresh: "next",
				expiresAt: NOW + DAY_MS,
			};
			await store.patch(idOf("work"), { label: "new", credential });
			const [account] = store.list();
			if (account) await store.put({ ...account, plan: "pro" });
			expect(rows()).toMatchObject([damaged(), { label: "new", plan: "pro", credential: { refresh: "next" } }, good()]);
		});

		it("a removal takes the account's own row out, which can be put back", async () => {
			const store = begun();
			await store.remove(idOf("work"));
			expect(rows()).toEqual([damaged(), good()]);
			expect(await store.lastRemoved()).toMatchObject({ id: idOf("work") });
			await store.restore(idOf("work"));
			expect(store.list().map(({ label }) => label)).toEqual(["other", "work"]);
			expect(rows()[0]).toEqual(damaged());
		});

		it("a token goes to the account that its own was merged into, past a damaged row with the former id", async () => {
			writeRows(damaged(), storedRow("other", { formerIds: [idOf("work")] }));
			const credential = { access: aTokenOf("other", { issuedAt: NOW + 60_000 }), refresh: "next", expiresAt: NOW };
			await openStore().patch(idOf("work"), { credential });
			expect(rows()).toMatchObject([damaged(), { label: "other", credential: { refresh: "next" } }]);
		});

		it("a new sign-in leaves a damaged row as it is", async () => {
			writeRows(storedRow("work"));
			const [account] = openStore().list();
			writeRows(damaged());
			const store = openStore();
			if (account) await store.put(account);
			expect(rows()).toMatchObject([damaged(), { label: "work" }]);
		});
	});

	it.each<[string, Record<string, unknown>]>([
		["an end that is a word", { credential: { ...storedRow("work").credential, expires: "soon" } }],
		["no end", { credential: { access: storedRow("work").credential.access, refresh: "r" } }],
		["an end that is nothing", { credential: { ...storedRow("work").credential, expires: null } }],
	])("takes %s from the token", (_name, damage) => {
		writeRows({ ...storedRow("work"), ...damage }, good());
		expect(
			openStore()
				.list()
				.map(({ label, credential }) => [label, credential.expiresAt]),
		).toEqual([
			["work", NOW + 10 * DAY_MS],
			["other", storedRow("other").credential.expires],
		]);
	});

	it.each([undefined, null, "", 5, "with a blank"])("takes a workspace that is %j from the token", (accountId) => {
		writeRows({ ...storedRow("work"), accountId }, good());
		expect(
			openStore()
				.list()
				.map((account) => account.workspaceId),
		).toEqual(["acct-work", "acct-other"]);
	});

	it.each([
		"label",
		"email",
		"userId",
		"plan",
		"source",
		"linked",
		"enabled",
		"disabledReason",
		"needsLogin",
		"addedAt",
	])("does without %s, whatever stands there, and keeps the sign-in", (member) => {
		for (const value of [[], {}, Number.MAX_VALUE, "\u0000", -1, null, { deep: [[[]]] }]) {
			writeRows({ ...storedRow("work"), [member]: value }, good());
			const ids = openStore()
				.list()
				.map(({ id }) => id);
			expect(ids).toEqual([idOf("work"), idOf("other")]);
		}
	});

	it.each([["2"], [null], [undefined], [true], [{}], ["two"], [1], [0]])(
		"keeps its rows if its version is %j, and no copy of 2.x is made of it",
		async (version) => {
			scratch.write(NAME, { version, accounts: [storedRow("work"), { strange: 1 }], kept: 1 });
			const store = openStore();
			expect(store.list().map(({ label }) => label)).toEqual(["work"]);
			await store.patch(idOf("work"), { plan: "pro" });
			expect(rows()).toEqual([storedRow("work", { plan: "pro" }), { strange: 1 }]);
			expect([scratch.json(NAME), scratch.names()]).toMatchObject([{ version: 2, kept: 1 }, [NAME]]);
			expect(problems).toEqual([]);
		},
	);

	it("is left to a newer version even if that is written as text", async () => {
		scratch.write(NAME, { version: "3", accounts: [storedRow("work")] });
		const before = scratch.text(NAME);
		await expect(openStore().patch(idOf("work"), { plan: "pro" })).rejects.toThrow("newer");
		expect(scratch.text(NAME)).toBe(before);
	});

	it("keeps every row that cannot be read, in its place, through every kind of change", async () => {
		const strange = [5, null, "text", { id: 5 }, { id: "__proto__", x: 1 }, [], { id: "a", accountId: "b" }];
		writeRows(strange[0], strange[1], storedRow("work"), ...strange.slice(2));
		const store = openStore();
		await store.patch(idOf("work"), { plan: "pro" });
		await store.put(
			anAccount("new", { id: anId("new"), credential: { access: aTokenOf("new"), refresh: "n", expiresAt: 1 } }),
		);
		await store.edit(anId("new"), { label: "newer" });
		await store.remove(anId("new"));
		expect(z.object({ accounts: z.array(z.unknown()) }).parse(scratch.json(NAME)).accounts).toEqual([
			strange[0],
			strange[1],
			storedRow("work", { plan: "pro" }),
			...strange.slice(2),
		]);
	});

	it.each(["constructor", "toString", "hasOwnProperty"])("has an account whose id is %s like any other", async (id) => {
		writeRows({ ...storedRow("work"), id }, good());
		const store = openStore();
		await store.patch(anId(id), { plan: "pro" });
		expect(store.list().map((account) => [account.id, account.plan])).toEqual([
			[id, "pro"],
			[idOf("other"), "plus"],
		]);
	});
});

describe("changes of accounts that could not be written", () => {
	it("unwritten changes leave an account alone that has signed in since, and carry over what was changed", async () => {
		writeRows(storedRow("work"), storedRow("other"));
		const store = openStore();
		const disk = await aDiskThatFails();
		const next = { access: aTokenOf("work", { issuedAt: NOW + 1000 }), refresh: "next", expiresAt: NOW + DAY_MS };
		const lost = { reason: "revoked", at: NOW };
		await store.patch(idOf("work"), { credential: next }).catch(() => undefined);
		await store.patch(idOf("work"), { plan: "pro" }).catch(() => undefined);
		await store.patch(idOf("other"), { needsLogin: lost }).catch(() => undefined);
		disk.mockRestore();
		const anew = {
			...storedRow("other").credential,
			access: aTokenOf("other", { issuedAt: NOW + 5000 }),
			refresh: "anew",
		};
		writeRows(storedRow("work", { label: "theirs" }), storedRow("other", { credential: anew }));
		await store.flush();
		expect(row(idOf("work"))).toMatchObject({ plan: "pro", credential: { refresh: "next" } });
		expect(store.list().map(({ credential }) => credential.refresh)).toEqual(["next", "anew"]);
		expect(row(idOf("other"))).toMatchObject({ credential: { refresh: "anew" }, needsLogin: null });
	});
});

it.each([
	["at the same second", aTokenOf("work")],
	["at a time that it does not tell", aToken({ auth: WORK_CLAIMS })],
])("carries what came for a token over to a row that has that token still: issued %s", async (_when, access) => {
	writeRows(storedRow("work"));
	const store = openStore();
	store.list();
	const disk = await aDiskThatFails();
	const next = { access, refresh: "next", expiresAt: NOW + DAY_MS };
	await store.patch(idOf("work"), { credential: next }, undefined, true).catch(() => undefined);
	await store.patch(idOf("work"), { plan: "pro" }).catch(() => undefined);
	disk.mockRestore();
	writeRows(storedRow("work", { label: "theirs" }));
	await store.flush();
	expect(row(idOf("work"))).toMatchObject({ plan: "pro", credential: { refresh: "next" } });
});

it("carries a change over to a row that another process has changed, while both hold the same sign-in", async () => {
	writeRows(storedRow("work"));
	const store = openStore();
	store.list();
	const disk = await aDiskThatFails();
	await store.patch(idOf("work"), { needsLogin: { reason: "revoked", at: NOW } }).catch(() => undefined);
	await store.patch(idOf("work"), { plan: "pro" }).catch(() => undefined);
	disk.mockRestore();
	writeRows(storedRow("work", { label: "theirs", enabled: false, ofOthers: 1 }));
	await store.flush();
	const changed = { plan: "pro", needsLogin: { reason: "revoked" } };
	expect(row(idOf("work"))).toMatchObject({ ...changed, label: "theirs", enabled: false, ofOthers: 1 });
});

it("stores a renewed token late in a row that another process has changed, and leaves that change", async () => {
	writeRows(storedRow("work", { needsLogin: null }));
	const store = openStore();
	store.list();
	const disk = await aDiskThatFails();
	const access = aTokenOf("work", { issuedAt: NOW + HOUR_MS });
	const next = { access, refresh: "next", expiresAt: NOW + DAY_MS };
	for (let tries = 0; tries < 2; tries += 1) {
		await store.patch(idOf("work"), { credential: next, needsLogin: undefined }).catch(() => undefined);
	}
	disk.mockRestore();
	const refusal = { reason: "revoked", at: NOW };
	writeRows(storedRow("work", { label: "theirs", enabled: false, needsLogin: refusal }));
	await store.flush();
	const stored = { credential: { access, refresh: "next" }, needsLogin: null };
	expect(row(idOf("work"))).toMatchObject({ ...stored, label: "theirs", enabled: false });
});

describe("a file of very many accounts", () => {
	/** How often labels were compared for so many accounts that are all called the same. */
	function looksFor(count: number): number {
		const has = vi.spyOn(Set.prototype, "has");
		const labelFor = createUniqueLabels();
		const labels = Array.from({ length: count }, () => labelFor("work"));
		const looks = has.mock.calls.length;
		has.mockRestore();
		expect([labels[0], labels[1], labels.at(-1), new Set(labels).size]).toEqual([
			"work",
			"work-2",
			`work-${count}`,
			count,
		]);
		return looks;
	}

	it("gives each its label with a look or two", () => {
		expect(looksFor(4000)).toBeLessThan(3 * 4000);
	});
});

describe("a file that an editor of another system has saved", () => {
	it.each(ENCODINGS)("is read, and written as ever: in %s", async (_what, encode) => {
		const text = JSON.stringify({ version: 2, accounts: [storedRow("work")] });
		writeFileSync(scratch.path(NAME), encode(text));
		const store = openStore();
		expect(store.list()).toMatchObject([{ label: "work", credential: { refresh: "refresh-work" } }]);
		await store.patch(idOf("work"), { plan: "pro" });
		expect(rows()).toMatchObject([{ id: idOf("work"), plan: "pro" }]);
		expect([problems, scratch.names(`${NAME}.corrupt`)]).toEqual([[], []]);
	});
});

describe("the file of 2.x", () => {
	it("loses no row for an expiry that makes no sense", () => {
		const former = { email: "w@example.test", accessToken: aTokenOf("work"), refreshToken: "r", expiresAt: "soon" };
		scratch.write(NAME, { accounts: [former] });
		expect(openStore().list()).toMatchObject([{ credential: { refresh: "r", expiresAt: NOW + 10 * DAY_MS } }]);
	});
});

describe("two accounts that turn out to be one", () => {
	it("doubled accounts become one row with the better sign-in, and the other one is kept in a backup", async () => {
		const over = { needsLogin: { reason: "refresh_token_expired", at: NOW } };
		writeRows(storedRow("work"), storedRow("work", { ...over, id: "older", label: "older", addedAt: 0 }));
		await openStore().patch(idOf("work"), { claims: claimsOfToken("work") });
		expect(rows()).toMatchObject([{ id: "older", formerIds: [idOf("work")], needsLogin: null }]);
		const backups = scratch.names(`${NAME}.bak-merged-`);
		expect(backups.map((name) => name.split("-").at(-1))).toEqual(["older"]);
		expect(backups.map((name) => scratch.json(name))).toMatchObject([{ accounts: [over] }]);
	});
});

describe("an account that has moved into a pool", () => {
	it("leaves the file with the sign-in that has moved, and its backups with it", async () => {
		writeRows(storedRow("work"), storedRow("home"));
		const store = openStore();
		await store.backUp(idOf("work"));
		await store.drop(idOf("work"), "refresh-work");
		expect(rows().map(({ id }) => id)).toEqual([idOf("home")]);
		expect(scratch.names(`${NAME}.bak-`)).toEqual([]);
	});

	it("stays in the file if it has signed in anew since", async () => {
		writeRows(storedRow("work"));
		const store = openStore();
		await store.backUp(idOf("work"));
		await store.drop(idOf("work"), "refresh-of-before");
		expect(row(idOf("work"))).toMatchObject({ credential: { refresh: "refresh-work" } });
		expect(scratch.names(`${NAME}.bak-`)).toHaveLength(1);
	});
});

describe("an error while two accounts become one", () => {
	it("is heard of, and fails nothing that was asked for", async () => {
		const failures: unknown[] = [];
		const defect = new TypeError("secret");
		const onMerged = () => {
			throw defect;
		};
		const store = openAccountStore(
			scratch.path(NAME),
			() => undefined,
			clock.now,
			onMerged,
			(error) => failures.push(error),
		);
		opened.push(store);
		const first = anAccount("a", { workspaceId: aWorkspaceId("w") });
		await store.put(first);
		await store.put(anAccount("b", { workspaceId: aWorkspaceId("w"), credential: first.credential }));
		expect([store.list().length, failures]).toEqual([1, [defect]]);
	});
});
