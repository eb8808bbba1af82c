import { beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { type Mirrored, mirrorInMemory, openMirror } from "../../../../src/platform/shared-pool/mirror.ts";
import { asShared } from "../../../../src/platform/shared-pool/sealed-account.ts";
import { anAccount, aTokenOf, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";

const scratch = scratchForEach();
let problems: string[];
beforeEach(() => {
	problems = [];
});

const open = () => openMirror(scratch.path("codex-pool.json"), (text) => problems.push(text));
const row = (name: string, version: number, overrides: Partial<Account> = {}): Mirrored => {
	const credential = { access: aTokenOf(name), refresh: `refresh-${name}`, expiresAt: NOW };
	const account = anAccount(name, { credential, ...overrides });
	return { version, tokenHash: `hash-${version}`, account: asShared(account, `hash-${version}`) };
};
const joined = async () => {
	const mirror = open();
	await mirror.enter("code", "laptop", "team", false);
	return mirror;
};

describe("the mirror of a pool", () => {
	it("the mirror of a pool is what another process of this machine reads, without a refresh token", async () => {
		const mirror = await joined();
		await mirror.take([row("a", 1), row("b", 1)]);

		const other = open();
		expect([...other.rows().keys()]).toEqual(["a", "b"]);
		expect(other.rows().get(anId("a"))).toMatchObject({
			version: 1,
			account: { shared: true, linked: false, label: "a" },
		});
		expect(other.rows().get(anId("a"))?.account.credential.refresh).toBe("shared:hash-1");
		expect([other.join(), other.machine(), other.name()]).toEqual(["code", "laptop", "team"]);
		expect(scratch.text("codex-pool.json")).not.toContain("refresh-");
	});

	it("takes newer rows alone, and takes out what has gone", async () => {
		const mirror = await joined();
		await mirror.take([row("a", 3, { label: "newest" }), row("b", 1)]);
		await mirror.take([row("a", 2, { label: "older" })], [anId("b"), anId("unknown")]);

		expect([...mirror.rows().values()].map(({ version, account }) => [version, account.label])).toEqual([
			[3, "newest"],
		]);
	});

	it("takes a later sign-in also under a lower version, as in a database that was restored", async () => {
		const mirror = await joined();
		const signIn = (issuedAt: number) => ({
			credential: { access: aTokenOf("a", { issuedAt }), refresh: "r", expiresAt: NOW },
		});
		await mirror.take([row("a", 9, signIn(NOW))]);
		await mirror.take([row("a", 4, signIn(NOW - 60_000))]);
		expect(mirror.rows().get(anId("a"))?.version).toBe(9);
		await mirror.take([row("a", 5, signIn(NOW + 60_000))]);
		expect(mirror.rows().get(anId("a"))).toMatchObject({ version: 5, tokenHash: "hash-5" });
		await mirror.take([row("a", 6, { ...signIn(NOW + 60_000), label: "renamed" })]);
		expect(mirror.rows().get(anId("a"))?.account.label).toBe("renamed");
	});

	it("takes nothing once another process has left the pool", async () => {
		const mirror = await joined();
		await mirror.take([row("a", 1)]);
		await open().clear();
		await mirror.take([row("a", 2)]);

		expect(mirror.rows().size).toBe(0);
		expect(scratch.json("codex-pool.json")).toEqual({ version: 1, rows: [], crossings: [] });
	});

	it("has what came for a token at once, and only for the token that it holds", async () => {
		const mirror = await joined();
		await mirror.take([row("a", 1, { needsLogin: { reason: "x", at: 1 } })]);
		const next = { access: aTokenOf("a", { issuedAt: NOW + 1000 }), refresh: "never stored", expiresAt: NOW + 5 };
		await mirror.renewed(anId("a"), "another", next, "next");
		expect(mirror.rows().get(anId("a"))?.tokenHash).toBe("hash-1");
		await mirror.renewed(anId("a"), "hash-1", next, "next");

		expect(mirror.rows().get(anId("a"))).toMatchObject({
			version: 1,
			tokenHash: "next",
			account: {
				credential: { access: next.access, refresh: "shared:next", expiresAt: NOW + 5 },
				needsLogin: undefined,
			},
		});
		expect(scratch.text("codex-pool.json")).not.toContain("never stored");
	});

	it("keeps the label of each account apart, and the accounts of one pool alone", async () => {
		const mirror = await joined();
		await mirror.take([row("a", 1, { label: "work" }), row("b", 1, { label: "work" })]);
		expect([...mirror.rows().values()].map(({ account }) => account.label)).toEqual(["work", "work-2"]);
		await mirror.enter("newer code", "laptop", "team", true);
		expect(mirror.rows().size).toBe(2);
		await mirror.enter("of another pool", "laptop", "other", false);
		expect(mirror.rows().size).toBe(0);
	});

	it("gives the same accounts as long as they are the same, whatever else of the file has changed", async () => {
		const mirror = await joined();
		await mirror.take([row("a", 1), row("b", 1)]);
		const before = mirror.rows();
		const other = open();
		other.noteLook({ at: NOW, aheadMs: 0, listens: true, presences: [] }, "renamed");
		await other.flush();
		expect([mirror.name(), mirror.rows()]).toEqual(["renamed", before]);
		expect(mirror.rows()).toBe(before);

		await other.take([row("b", 2)]);
		expect(mirror.rows().get(anId("b"))?.version).toBe(2);
		expect(mirror.rows().get(anId("a"))).toBe(before.get(anId("a")));
	});

	it("keeps a row that this version cannot read, beside changes of others", async () => {
		const mirror = await joined();
		await mirror.take([row("a", 1)]);
		const file = scratch.json("codex-pool.json") as { rows: unknown[] };
		const odd = { version: "newer", account: { id: "a", shape: "unknown" } };
		scratch.write("codex-pool.json", JSON.stringify({ ...file, rows: [odd, ...file.rows] }));
		await mirror.take([row("a", 2), row("b", 1)]);
		await mirror.patch(anId("b"), { enabled: false });

		expect([...mirror.rows().values()].map(({ version }) => version)).toEqual([2, 1]);
		expect(scratch.json("codex-pool.json")).toMatchObject({ rows: [odd, {}, {}] });
	});

	it("remembers what crosses until that has ended, in every process", async () => {
		const mirror = await joined();
		await mirror.beginCrossing({ id: anId("a"), way: "in", tokenHash: "h" });
		await mirror.beginCrossing({ id: anId("a"), way: "out", tokenHash: "h", holder: "p" });
		expect(open().crossings()).toEqual([{ id: "a", way: "out", tokenHash: "h", holder: "p" }]);
		await mirror.endCrossing(anId("a"));
		expect(open().crossings()).toEqual([]);
	});

	it("is on no disk if it is in memory", async () => {
		const mirror = mirrorInMemory("code", "runner");
		await mirror.take([row("a", 1)]);
		await mirror.patch(anId("a"), { enabled: false, disabledReason: "closed" });

		expect(mirror.rows().get(anId("a"))?.account).toMatchObject({ enabled: false, disabledReason: "closed" });
		expect(scratch.names()).toEqual([]);
	});
});
