import { chmodSync, lstatSync, mkdirSync, readlinkSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { answers, type Grant, tokenAnswers } from "../support/fake-codex/index.ts";
import { coreOf, wide } from "../support/tiers.ts";
import {
	bearerOf,
	benchWithExpiredLogin,
	closedAddress,
	filesNamed,
	type Keeper,
	keepers,
	keptCredential,
	loginOfPi,
	modeOf,
	NEARLY_EXPIRED_MS,
	nextSecond,
	storedAccounts,
	writeAsPi,
} from "./credentials-support.ts";
import { type Bench, createBench } from "./support.ts";
import { ageExchangeNotes } from "./under-fire-support.ts";

/** Changes the credential of `a` where its keeper has it, in place, as another process would. */
function storeElsewhere(bench: Bench, keeper: Keeper, credential: object): void {
	if (keeper === "pi") {
		writeAsPi(bench.dir.path("auth.json"), { "openai-codex": { ...loginOfPi(bench), ...credential } });
		return;
	}
	const accounts = storedAccounts(bench).map((row) => (row.id === bench.id("a") ? { ...row, credential } : row));
	bench.dir.write("codex-accounts.json", { version: 2, accounts });
}

/** A text with one credential in place of another, and every other byte as it was. */
function renewedIn(text: string, former: Grant, renewed: Grant | undefined): string {
	return text
		.replace(former.access, String(renewed?.access))
		.replace(former.refresh, String(renewed?.refresh))
		.replace(String(former.expires), String(renewed?.expires));
}

describe("pi's own login", () => {
	it("serves without any set-up, and is left as it is while it is good", async () => {
		const bench = await createBench({ accounts: [], strangers: ["a"] });
		const { accountId } = bench.codex.account("a");
		const login = { type: "oauth", ...bench.codex.grant("a"), accountId };
		bench.dir.write("auth.json", {
			groq: { type: "api_key", key: "k" },
			"openai-codex": login,
			zai: { type: "api_key", key: "k2" },
		});
		const before = bench.dir.read("auth.json");

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
		expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(login.access);
		expect(bench.codex.tokenRequests()).toEqual([]);
		expect(bench.dir.read("auth.json")).toBe(before);
		expect(storedAccounts(bench)).toMatchObject([
			{
				id: bench.id("a"),
				label: "a",
				email: "a@example.test",
				accountId,
				source: "pi",
				linked: true,
				enabled: true,
				needsLogin: null,
				credential: { access: login.access, refresh: login.refresh, expires: login.expires },
			},
		]);
	});

	it("is refreshed with one exchange once it has run out, and the new token is where pi looks for it", async () => {
		const bench = await createBench({ accounts: [], strangers: ["a"] });
		const { accountId } = bench.codex.account("a");
		const spent = bench.codex.grant("a", { expiresInMs: -60_000 });
		writeAsPi(bench.dir.path("auth.json"), {
			groq: { type: "api_key", key: "k" },
			"openai-codex": { type: "oauth", ...spent, accountId, since: "a field of another version" },
			zai: { type: "api_key", key: "k2", later: [1, null] },
		});
		const original = bench.dir.read("auth.json") ?? "";

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
		const [exchange, ...more] = bench.codex.tokenRequests();
		expect(more).toEqual([]);
		expect(exchange?.body).toMatchObject({ grant_type: "refresh_token", refresh_token: spent.refresh });
		const renewed = loginOfPi(bench);
		expect(renewed?.expires).toBeGreaterThan(Date.now());
		expect(renewed?.access).not.toBe(spent.access);
		expect(renewed?.refresh).not.toBe(spent.refresh);
		expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(renewed?.access);
		expect(bench.dir.read("auth.json")).toBe(renewedIn(original, spent, renewed));
		const { access, refresh, expires } = renewed ?? {};
		expect(bench.stored("a")).toMatchObject({ source: "pi", linked: true, credential: { access, refresh, expires } });
		expect(filesNamed(bench, "auth.json").size).toBe(1);
	});

	it("is refreshed some minutes ahead, with every other byte of the file and its mode kept", async () => {
		const bench = await createBench({ accounts: [], strangers: ["a"] });
		const { accountId } = bench.codex.account("a");
		const former = bench.codex.grant("a", { expiresInMs: NEARLY_EXPIRED_MS });
		const login = { since: "a field of another version", ...former, accountId, type: "oauth" };
		const original = `${JSON.stringify({ groq: { type: "api_key", key: "k" }, "openai-codex": login, zai: {} }, null, 2)}\n`;
		writeFileSync(bench.dir.path("auth.json"), original);
		chmodSync(bench.dir.path("auth.json"), 0o640);

		// A mask that takes away what the file has.
		const mask = process.umask(0o077);
		const result = await bench.print("say hi").finally(() => process.umask(mask));

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		const renewed = bench.stored("a").credential;
		expect(renewed.access).not.toBe(former.access);
		expect(bench.dir.read("auth.json")).toBe(renewedIn(original, former, renewed));
		expect(modeOf(bench.dir.path("auth.json"))).toBe(0o640);
	});

	it("stays a link if auth.json is one, and the file behind it gets the new token", async () => {
		const bench = await createBench({ accounts: [], strangers: ["a"] });
		const { accountId } = bench.codex.account("a");
		const former = bench.codex.grant("a", { expiresInMs: NEARLY_EXPIRED_MS });
		const elsewhere = join(bench.dir.home, "dotfiles");
		mkdirSync(elsewhere);
		const target = join(elsewhere, "auth.json.shared");
		writeAsPi(target, { "openai-codex": { type: "oauth", ...former, accountId } });
		chmodSync(target, 0o400);
		symlinkSync("../../dotfiles/auth.json.shared", bench.dir.path("auth.json"));

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expect(lstatSync(bench.dir.path("auth.json")).isSymbolicLink()).toBe(true);
		expect(readlinkSync(bench.dir.path("auth.json"))).toBe("../../dotfiles/auth.json.shared");
		expect(lstatSync(target).isSymbolicLink()).toBe(false);
		expect(modeOf(target)).toBe(0o400);
		expect(loginOfPi(bench)?.access).toBe(bench.stored("a").credential.access);
		expect(loginOfPi(bench)?.access).not.toBe(former.access);
	});

	it("is not spent if auth.json cannot be written: another account serves, and none is flagged", async () => {
		const bench = await benchWithExpiredLogin("pi", ["b"]);
		// A temporary file beside it would have a name that no file system takes; this stops even a privileged user.
		const target = bench.dir.path(`auth.json.${"x".repeat(240)}`);
		renameSync(bench.dir.path("auth.json"), target);
		symlinkSync(target, bench.dir.path("auth.json"));

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		expect(bench.codex.tokenRequests()).toEqual([]);
		expect(bench.stored("a").needsLogin).toBeNull();
		expect(loginOfPi(bench)).toMatchObject(bench.spent);
	});

	it("an auth.json that is out of reach during the exchange gets its token at the next request", async () => {
		const bench = await benchWithExpiredLogin("pi");
		const folder = join(bench.dir.home, "dotfiles");
		const away = join(bench.dir.home, "unmounted");
		mkdirSync(folder);
		renameSync(bench.dir.path("auth.json"), join(folder, "auth.json"));
		symlinkSync(join(folder, "auth.json"), bench.dir.path("auth.json"));
		await nextSecond();
		bench.codex.account("a").token(
			tokenAnswers.change((body) => {
				renameSync(folder, away);
				return body;
			}),
		);

		const first = await bench.print("say hi");
		renameSync(away, folder);

		expect(first).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		const { access, refresh } = bench.stored("a").credential;
		expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(access);
		expect(loginOfPi(bench)?.refresh).toBe(bench.spent.refresh);

		const second = await bench.print("say hi");

		expect(second).toMatchObject({ code: 0, stdout: "OK from a #2\n" });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expect(loginOfPi(bench)).toMatchObject({ access, refresh });
	});
});

/** Ways in which a token endpoint can be down. */
const faults = [
	{ how: "refuses connections", answer: undefined },
	{ how: "answers 500", answer: answers.serverError(500) },
	{ how: "answers 429", answer: answers.bare429() },
	{ how: "answers with a page of HTML", answer: answers.cloudflare() },
];

describe.each(keepers)("an expired token kept by $keeper", ({ keeper }) => {
	/** Who keeps it matters less here: one of the two is in the core. */
	const coreFor = (core: Keeper) => (keeper === core ? it : wide);

	it("is refreshed after a 401, once, and the same account answers", async () => {
		const bench = await benchWithExpiredLogin(keeper, ["b"]);
		const former = bench.codex.grant("a");
		storeElsewhere(bench, keeper, former);
		bench.codex.account("a").expireAccessTokens();

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
		expect(bench.asked()).toEqual(["a", "a"]);
		expect(bench.codex.tokenRequests().map(({ body }) => body?.refresh_token)).toEqual([former.refresh]);
		const [refused, answered] = bench.codex.responsesRequests().map(bearerOf);
		expect(refused).toBe(former.access);
		expect(answered).toBe(keptCredential(bench, keeper)?.access);
	});

	coreFor("us")("is not exchanged after a 401 when another process has stored a newer one meanwhile", async () => {
		const bench = await benchWithExpiredLogin(keeper, ["b"]);
		storeElsewhere(bench, keeper, bench.codex.grant("a"));
		const newer = bench.codex.grant("a");
		bench.codex.account("a").next(() => {
			storeElsewhere(bench, keeper, newer);
			return answers.unauthorized("detail");
		});

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #2\n", stderr: "" });
		expect(bench.codex.tokenRequests()).toEqual([]);
		expect(bearerOf(bench.codex.responsesRequests()[1])).toBe(newer.access);
	});

	it.each(coreOf(keeper === "pi" ? faults : faults.slice(0, 1)))(
		"makes way for another account, unflagged, while the token endpoint $how",
		async ({ answer }) => {
			const bench = await benchWithExpiredLogin(keeper, ["b"]);
			bench.codex.token(answer);
			const issuer = answer === undefined ? await closedAddress() : bench.codex.issuer;

			const down = await bench.print("say hi", [], { env: { PI_MULTICODEX_AUTH_URL: issuer } });

			expect(down).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
			expect(bench.codex.tokenRequests()).toHaveLength(answer === undefined ? 0 : 1);
			expect(bench.stored("a")).toMatchObject({ needsLogin: null, enabled: true, credential: bench.spent });
		},
	);

	coreFor("pi")("serves to its last minute while the token endpoint is down", async () => {
		const bench = await benchWithExpiredLogin(keeper, ["b"]);
		const nearlySpent = bench.codex.grant("a", { expiresInMs: NEARLY_EXPIRED_MS });
		storeElsewhere(bench, keeper, nearlySpent);
		bench.codex.token(answers.serverError(502));

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(nearlySpent.access);
	});

	coreFor("us")("is exchanged by the next process when the token endpoint is back", async () => {
		const bench = await benchWithExpiredLogin(keeper, ["b"]);
		bench.codex.account("a").tokenScript.next(answers.serverError(503));
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		expect(bench.codex.tokenRequests().map(({ status }) => status)).toEqual([503, 200]);
	});

	coreFor("pi")("is replaced by the newer one that another process stores while it is refused as reused", async () => {
		const bench = await benchWithExpiredLogin(keeper, ["b"]);
		const refused = tokenAnswers.permanent("refresh_token_reused");
		bench.codex.account("a").token(answers.delayed(1_500, refused));
		await nextSecond();
		const newer = bench.codex.grant("a");
		const running = bench.spawn(["-p", "say hi"]);
		await bench.codex.waitFor(({ kind }) => kind === "token", 30_000);
		storeElsewhere(bench, keeper, newer);

		const result = await running.wait();

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(newer.access);
		expect(bench.stored("a")).toMatchObject({ needsLogin: null, credential: { refresh: newer.refresh } });
	});

	coreFor("us")(
		"flags the account, once and for every process, when it is refused as reused and no process has a newer one",
		async () => {
			const bench = await benchWithExpiredLogin(keeper, ["b"]);
			bench.codex.account("a").token(tokenAnswers.permanent("refresh_token_reused"));

			const first = await bench.print("say hi");

			expect(first).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
			expect(first.stderr.match(/Codex account a was signed out/g)).toHaveLength(1);
			expect(bench.stored("a").needsLogin).toMatchObject({ reason: "refresh_token_reused" });

			const second = await bench.print("say hi");

			expect(second).toMatchObject({ code: 0, stdout: "OK from b #2\n", stderr: "" });
			expect(bench.codex.tokenRequests()).toHaveLength(1);
		},
	);

	coreFor("us")("stops at the second account in a row whose sign-in is over, and says so", async () => {
		const bench = await benchWithExpiredLogin(keeper, ["b", "c"]);
		const b = { ...bench.stored("b"), credential: bench.codex.grant("b", { expiresInMs: -60_000 }) };
		const accounts = storedAccounts(bench).map((row) => (row.id === b.id ? b : row));
		bench.dir.write("codex-accounts.json", { version: 2, accounts });
		bench.codex.account("a").token(tokenAnswers.permanent("app_session_terminated"));
		bench.codex.account("b").token(tokenAnswers.permanent("invalid_grant", { status: 400, place: "error" }));

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 1, stdout: "" });
		expect(result.stderr).toContain("Two Codex accounts in a row were signed out, so no more were tried.");
		expect(bench.asked()).toEqual([]);
		expect(bench.codex.tokenRequests().map(({ account }) => account)).toEqual(["a", "b"]);
		expect(bench.stored("a").needsLogin?.reason).toBe("app_session_terminated");
		expect(bench.stored("b").needsLogin?.reason).toBe("invalid_grant");
		expect(bench.stored("c").needsLogin).toBeNull();
	});

	coreFor("us")("is exchanged to the end although the turn is aborted, and the next turn has the new one", async () => {
		const bench = await benchWithExpiredLogin(keeper);
		bench.codex.account("a").token(tokenAnswers.delay(2_500, { rotate: "before" }));
		const rpc = bench.rpc();

		await rpc.send("say hi");
		const exchange = await bench.codex.waitFor(({ kind }) => kind === "token", 30_000);
		await rpc.abort();
		const aborted = await rpc.settled();

		expect(aborted.stopReason).toBe("aborted");
		// The caller did not wait for the exchange, and did not end it either.
		expect(exchange.endedAt).toBeUndefined();
		await vi.waitFor(() => expect(keptCredential(bench, keeper)?.refresh).not.toBe(bench.spent.refresh), 30_000);
		expect(exchange.clientGone).toBeUndefined();
		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: "OK from a #1" });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(keptCredential(bench, keeper)?.access);
	});

	coreFor("pi")("is exchanged to the end although pi is left right after an abort", async () => {
		const bench = await benchWithExpiredLogin(keeper);
		bench.codex.account("a").token(tokenAnswers.delay(1_500, { rotate: "before" }));
		const rpc = bench.rpc();
		await rpc.send("say hi");
		const exchange = await bench.codex.waitFor(({ kind }) => kind === "token", 30_000);
		await rpc.abort();
		expect(exchange.endedAt).toBeUndefined();

		expect(await rpc.close(60_000)).toMatchObject({ code: 0 });

		expect(keptCredential(bench, keeper)?.refresh).not.toBe(bench.spent.refresh);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
	});

	coreFor("pi")("is not exchanged again within a minute of an exchange without an answer, by no process", async () => {
		const bench = await benchWithExpiredLogin(keeper, ["b"]);
		bench.codex.account("a").tokenScript.next(tokenAnswers.resetAfterRotation());

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #2\n" });
		// Half of the minute, so that a slow machine has the other half for three runs.
		ageExchangeNotes(bench, 30_000);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #3\n" });
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expect(bench.stored("a").needsLogin).toBeNull();

		ageExchangeNotes(bench, 30_000);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #4\n" });
		// The backend had rotated it: only now is it known to be gone.
		expect(bench.codex.tokenRequests()).toHaveLength(2);
		expect(bench.stored("a").needsLogin?.reason).toBe("refresh_token_reused");
	});
});
