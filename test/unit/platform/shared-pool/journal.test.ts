import { statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { newKeeperCode, runnerCodeOf } from "../../../../src/platform/shared-pool/join-code.ts";
import { openJournal } from "../../../../src/platform/shared-pool/journal.ts";
import { accountIn, openRow, sealAccount, textOf } from "../../../../src/platform/shared-pool/sealed-account.ts";
import { createSealing } from "../../../../src/platform/shared-pool/sealing.ts";
import { anAccount, aTokenOf, closeFolder, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const code = newKeeperCode("postgres://x@localhost/pi");
const keys = { sealing: createSealing(code), poolId: code.poolId };
const account = anAccount("a", {
	credential: { access: aTokenOf("a"), refresh: "refresh-secret", expiresAt: NOW },
	label: "work",
});
const entry = { account, spentHash: "0123456789abcdef" };

const scratch = scratchForEach();

describe("the journal of tokens that came", () => {
	it("is read by the next process of this machine, and holds no token that another program could read", async () => {
		await openJournal(scratch.dir, keys).write(entry);
		const [name = ""] = scratch.names();

		expect(scratch.text(name)).not.toContain("refresh-secret");
		expect(scratch.text(name)).not.toContain(account.credential.access);
		expect(statSync(scratch.path(name)).mode & 0o777).toBe(0o600);
		const next = openJournal(scratch.dir, keys);
		expect(await next.read()).toMatchObject([
			{ spentHash: entry.spentHash, account: { credential: account.credential } },
		]);
		expect(await next.count()).toBe(1);
		await next.drop(entry);
		expect(scratch.names()).toEqual([]);
	});

	it("leaves what another key has sealed, and what is damaged or moved to another account, as it is", async () => {
		const other = newKeeperCode("postgres://x@localhost/pi");
		await openJournal(scratch.dir, { sealing: createSealing({ ...other }), poolId: code.poolId }).write(entry);
		const [name = ""] = scratch.names();
		scratch.write(name.replace("-a-", "-b-"), "{");
		const journal = openJournal(scratch.dir, keys);

		expect(await journal.read()).toEqual([]);
		expect(await journal.count()).toBe(2);
		await openJournal(scratch.dir, keys).write({ ...entry, spentHash: "ffff" });
		const own = scratch.names().find((each) => each.includes("ffff")) ?? "";
		scratch.write(own, scratch.text(own).replace('"account":"a"', '"account":"c"'));
		expect(await journal.read()).toEqual([]);
	});

	it("finds a folder that cannot be written before a token is spent", async () => {
		const journal = openJournal(scratch.dir, keys);
		const reopen = closeFolder(scratch.dir);
		try {
			await expect(journal.prove(anId("a"))).rejects.toThrow(/EACCES|EPERM|EROFS/);
		} finally {
			reopen();
		}
		await journal.prove(anId("a"));
		expect(scratch.names()).toEqual([]);
	});
});

describe("a sealed account", () => {
	const row = (version: number) => {
		const { tokenHash, ...sealed } = sealAccount(account, version, keys);
		return {
			id: anId("a"),
			version,
			tokenHash,
			...sealed,
			enabled: true,
			disabledReason: undefined,
			needsLogin: undefined,
		};
	};

	it("opens whole for a keeper, and with a stand-in for its refresh token for a runner", () => {
		const runner = { sealing: createSealing(runnerCodeOf(code)), poolId: code.poolId };
		expect(openRow(row(2), keys)).toMatchObject({
			kind: "ok",
			account: { label: "work", credential: account.credential },
		});
		const opened = openRow(row(2), runner);
		expect(opened).toMatchObject({ kind: "ok", account: { credential: { access: account.credential.access } } });
		expect(JSON.stringify(opened)).not.toContain("refresh-secret");
		expect(openRow({ ...row(2), forRunners: row(2).forKeepers }, runner).kind).toBe("other-key");
	});

	it.each([
		["of another version", { version: 3 }],
		["of another account", { id: anId("b") }],
		["beside the hash of another token", { tokenHash: "0000" }],
	])("does not open in a row %s", (_, change) => {
		expect(openRow({ ...row(2), ...change }, keys).kind).toBe("damaged");
	});

	it("is never sealed without its refresh token", () => {
		const shared = { ...account, credential: { ...account.credential, refresh: "shared:0123" } };
		expect(() => sealAccount(shared, 1, keys)).toThrow("without its refresh token");
	});

	it("a sealed account is the same account after it was written and read", () => {
		expect(accountIn(textOf(account))).toMatchObject({ id: "a", label: "work", credential: account.credential });
		expect(accountIn("{}")).toBeUndefined();
	});
});
