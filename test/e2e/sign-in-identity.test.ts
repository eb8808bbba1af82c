import { describe, expect, it } from "vitest";
import { answers, type FakeAccountInit, tokenAnswers } from "../support/fake-codex/index.ts";
import { hostNames, OLDEST_HOST } from "../support/hosts.ts";
import { coreOf, wide } from "../support/tiers.ts";
import {
	bearerOf,
	EXPIRED_MS,
	loginOfPi,
	nextSecond,
	signPiInAs,
	signPiOut,
	storedAccounts,
	storedLabels,
} from "./credentials-support.ts";
import { approveOnDevice, benchWithoutAccounts, PATIENCE_MS, rpcOnDesk, signInOnDevice } from "./sign-in-support.ts";
import { type Bench, type BenchOptions, createBench, until } from "./support.ts";

const lost = { needsLogin: { reason: "refresh_token_invalidated", at: Date.now() + EXPIRED_MS } };

/** Two accounts of ours in the order of the list, and others that have yet to sign in. */
function benchOfTwo(options: BenchOptions = {}): Promise<Bench> {
	return createBench({ usage: answers.serverError(500), accounts: ["a", "b"], strangers: ["c", "d"], ...options });
}

describe("who has signed in", () => {
	it("a known account gets the new sign-in, and keeps its name, place and switch", async () => {
		const rows = { a: { label: "first one", enabled: false, addedAt: 1_780_000_000_000 } };
		const bench = await benchOfTwo({ rows });
		const before = bench.stored("a");
		const rpc = rpcOnDesk(bench);

		const told = await signInOnDevice(bench, rpc, "/multicodex add another --device", "a");

		expect(told).toContain("that was first one, which was already added; its sign-in is renewed.");
		expect(told).toContain('/multicodex enable "first one"');
		expect(storedLabels(bench)).toEqual(["first one", "b"]);
		const after = bench.stored("a");
		expect(after).toMatchObject({ id: before.id, enabled: false, addedAt: 1_780_000_000_000, source: "login" });
		expect(after.credential.refresh).not.toBe(before.credential.refresh);
	});

	it("an account that had lost its sign-in works again at once", async () => {
		const bench = await benchOfTwo({ rows: { a: lost } });
		const rpc = rpcOnDesk(bench);
		await rpc.prompt("say hi");
		expect(bench.asked()).toEqual(["b"]);

		expect(await signInOnDevice(bench, rpc, "/multicodex login a --device", "a")).toContain("a is signed in again.");

		expect(bench.stored("a").needsLogin).toBeNull();
		await rpc.send("/multicodex use a");
		expect(await rpc.prompt("say hi")).toMatchObject({ text: "OK from a #1" });
		expect(bearerOf(bench.codex.responsesRequests().at(-1))).toBe(bench.stored("a").credential.access);
	});

	it("another account than the named one is added after a yes", async () => {
		const bench = await benchOfTwo({ rows: { a: lost } });
		const before = bench.stored("a");
		const rpc = rpcOnDesk(bench);

		const { done } = await approveOnDevice(bench, rpc, "/multicodex login a --device", "c");
		const dialog = await rpc.waitForDialog(PATIENCE_MS, "confirm");
		expect(dialog.title).toBe("That was not a");
		expect(dialog.message).toContain("You signed in as c@example.test, not as a.");
		expect(storedLabels(bench)).toEqual(["a", "b"]);
		rpc.answer(dialog, true);
		await done;

		expect(rpc.notifications.at(-1)?.message).toContain("added c.");
		expect(storedLabels(bench)).toEqual(["a", "b", "c"]);
		expect(bench.stored("a")).toEqual(before);
		await rpc.send("/multicodex use c");
		expect(await rpc.prompt("say hi")).toMatchObject({ text: "OK from c #1" });
	});

	it.each(coreOf([{ answer: false }, { answer: undefined }]))(
		"another account than the named one is not stored after the answer $answer",
		async ({ answer }) => {
			const bench = await benchOfTwo({ rows: { a: lost } });
			const before = bench.dir.read("codex-accounts.json");
			const rpc = rpcOnDesk(bench);

			const { done } = await approveOnDevice(bench, rpc, "/multicodex login a --device", "c");
			rpc.answer(await rpc.waitForDialog(PATIENCE_MS, "confirm"), answer);
			await done;

			expect(rpc.notifications.at(-1)).toMatchObject({ level: "info", message: "Nothing was changed." });
			expect(bench.dir.read("codex-accounts.json")).toBe(before);
		},
	);

	it.each<{ readonly what: string; readonly people: readonly [FakeAccountInit, FakeAccountInit] }>(
		coreOf([
			{
				what: "two seats of one workspace",
				people: [
					{ name: "a", accountId: "acct-shared" },
					{ name: "b", accountId: "acct-shared" },
				],
			},
			{
				what: "one person in two workspaces",
				people: [
					{ name: "a", userId: "user-one", email: "one@example.test", accountId: "acct-one" },
					{ name: "b", userId: "user-one", email: "one@example.test", accountId: "acct-two" },
				],
			},
		]),
	)("two sign-ins are two accounts if they are $what", async ({ people }) => {
		// Over RPC the newer hosts have no model before the first account, and the client has to choose one.
		const bench = await benchWithoutAccounts({ host: OLDEST_HOST, strangers: people });
		const rpc = rpcOnDesk(bench);

		await signInOnDevice(bench, rpc, "/multicodex add left --device", "a");
		await signInOnDevice(bench, rpc, "/multicodex add right --device", "b");

		expect(storedLabels(bench)).toEqual(["left", "right"]);
		expect(new Set(storedAccounts(bench).map(({ id }) => id))).toEqual(new Set([bench.id("a"), bench.id("b")]));
		for (const [label, name] of [
			["right", "b"],
			["left", "a"],
		]) {
			await rpc.send(`/multicodex use ${label}`);
			expect(await rpc.prompt("say hi")).toMatchObject({ text: `OK from ${name} #1` });
		}
		const sent = bench.codex.responsesRequests().map(({ headers }) => headers["chatgpt-account-id"]);
		expect(sent).toEqual([people[1].accountId, people[0].accountId]);
	});

	wide("each of two accounts with one e-mail gets its own name", async () => {
		const email = "one@example.test";
		const strangers = [
			{ name: "a", userId: "user-one", email },
			{ name: "b", userId: "user-one", email },
		];
		const bench = await benchWithoutAccounts({ strangers });
		const rpc = rpcOnDesk(bench);

		await signInOnDevice(bench, rpc, "/multicodex add --device", "a");
		const told = await signInOnDevice(bench, rpc, "/multicodex add --device", "b");

		expect(told).toContain("added one-2. The pool has 2 accounts now.");
		expect(storedLabels(bench)).toEqual(["one", "one-2"]);
	});
});

describe("/multicodex login without a name", () => {
	it("is for the only account that needs it", async () => {
		const bench = await benchOfTwo({ rows: { b: lost } });
		const rpc = rpcOnDesk(bench);

		const told = await signInOnDevice(bench, rpc, "/multicodex login --device", "b");

		expect(told).toContain("b is signed in again.");
		expect(rpc.notifications.some(({ message }) => message.includes("Sign in to b again"))).toBe(true);
		expect(bench.stored("b").needsLogin).toBeNull();
	});
});

describe("a sign-in as the account that pi holds", () => {
	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"is a grant of our own beside pi's, and both work: pi $host",
		async ({ host }) => {
			const bench = await benchWithoutAccounts({ host });
			const pis = signPiInAs(bench, "a");
			const model = ["--model", `openai-codex/${bench.host.model}`];
			expect(await bench.print("say hi", model)).toMatchObject({ code: 0 });
			expect(storedAccounts(bench)).toMatchObject([{ label: "a", linked: true, source: "pi" }]);
			const authBefore = bench.dir.read("auth.json");
			const rpc = bench.rpc(model);

			const told = await signInOnDevice(bench, rpc, "/multicodex add --device", "a");

			expect(told).toContain("that was a, which was already added; its sign-in is renewed.");
			expect(bench.dir.read("auth.json")).toBe(authBefore);
			expect(storedAccounts(bench)).toMatchObject([{ label: "a", linked: false, source: "login", needsLogin: null }]);
			const ours = bench.stored("a").credential;
			expect(ours.refresh).not.toBe(pis.refresh);
			expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
			expect(bearerOf(bench.codex.responsesRequests().at(-1))).toBe(ours.access);
			expect(await bench.print("say hi", model, { extension: false })).toMatchObject({ code: 0 });
			expect(bearerOf(bench.codex.responsesRequests().at(-1))).toBe(pis.access);
			expect(bench.dir.read("auth.json")).toBe(authBefore);

			signPiOut(bench);
			expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
			expect(bearerOf(bench.codex.responsesRequests().at(-1))).toBe(ours.access);
			expect(storedAccounts(bench)).toMatchObject([{ label: "a", linked: false, needsLogin: null, credential: ours }]);
		},
	);

	it("gives its place to pi's, which was issued before it, once it is revoked, and pi's file stays", async () => {
		// A socket keeps the token that it was opened with.
		const bench = await benchWithoutAccounts({ settings: { transport: "sse" } });
		const pis = signPiInAs(bench, "a");
		const rpc = bench.rpc();
		await rpc.prompt("say hi");
		// Tokens tell when they were issued in whole seconds.
		await nextSecond();
		await signInOnDevice(bench, rpc, "/multicodex add --device", "a");
		const ours = bench.stored("a").credential;
		const authBefore = bench.dir.read("auth.json");
		const a = bench.codex.account("a");
		a.token(tokenAnswers.permanent("refresh_token_invalidated"));
		a.always(({ headers }) => {
			const isOurs = headers.authorization?.includes(ours.access) === true;
			return isOurs ? answers.unauthorized("token_invalidated") : answers.echoAccount();
		});

		await rpc.prompt("say hi");
		expect(await rpc.prompt("again")).toMatchObject({ stopReason: "stop" });

		expect(bearerOf(bench.codex.responsesRequests().at(-1))).toBe(pis.access);
		expect(bench.stored("a")).toMatchObject({ linked: true, needsLogin: null, credential: { refresh: pis.refresh } });
		expect(bench.dir.read("auth.json")).toBe(authBefore);
		expect(bench.codex.tokenRequests("a").filter(({ body }) => body?.refresh_token === pis.refresh)).toEqual([]);
	});

	it("leaves each of the two to refresh its own", async () => {
		const bench = await benchWithoutAccounts({ host: OLDEST_HOST });
		const pis = signPiInAs(bench, "a");
		const rpc = bench.rpc();
		await rpc.prompt("say hi");
		await signInOnDevice(bench, rpc, "/multicodex add --device", "a");
		const ours = bench.stored("a").credential;
		bench.codex.account("a").expireAccessTokens();

		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });

		const [, refresh, ...more] = bench.codex.tokenRequests("a");
		expect(more).toEqual([]);
		expect(refresh?.body?.refresh_token).toBe(ours.refresh);
		await until("its token to be stored", () => bench.stored("a").credential.refresh !== ours.refresh);
		expect(loginOfPi(bench)).toMatchObject({ refresh: pis.refresh, access: pis.access });
	});
});
