import { describe, expect, it, onTestFinished } from "vitest";
import { answers, tokenAnswers } from "../support/fake-codex/index.ts";
import { aToken, DAY_MS } from "../support/fakes.ts";
import { codexFile, writeAt } from "../support/import-fixtures.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { startUntrusted } from "../support/untrusted.ts";
import { benchWithExpiredLogin, keepers, loginOfPi, storedAccounts } from "./credentials-support.ts";
import { createBench } from "./support.ts";

/** A token that pi cannot use, since it names no workspace. */
const withoutWorkspace = () =>
	aToken({
		sub: "auth0|z",
		email: "z@example.test",
		issuedAt: Date.now(),
		expiresAt: Date.now() + 10 * DAY_MS,
		auth: { user_id: "user-z" },
	});

describe("a sign-in whose token names no workspace", () => {
	it("is not taken in by an import, and one that an older version stored is not chosen", async () => {
		const bench = await createBench({ usage: answers.serverError(500), accounts: ["b"], strangers: ["z"] });
		const access = withoutWorkspace();
		const credential = { access, refresh: "refresh-of-z", expires: Date.now() + 10 * DAY_MS };
		const good = bench.stored("b");
		const { claims: _, ...row } = bench.row("z", { credential });
		bench.dir.write("codex-accounts.json", { version: 2, accounts: [row, good] });

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: expect.stringContaining("OK from b") });
		expect(bench.asked()).toEqual(["b"]);
		const shown = await bench.print("/multicodex show");
		expect(shown.stdout).toMatch(/names no ChatGPT workspace, so pi cannot use it/);
		const verified = await bench.print("/multicodex verify");
		expect(verified.stdout).toMatch(/z is signed out: its sign-in names no ChatGPT workspace/);
		expect(storedAccounts(bench)[0]?.credential).toEqual(credential);

		const file = writeAt(bench.dir.path("export/auth.json"), {
			...codexFile({ name: "z", access, refresh: "refresh-of-z-elsewhere", expires: credential.expires }),
		});
		const imported = await bench.print(`/multicodex import ${file} --dry-run`);
		expect(imported.stdout).toMatch(/its token names no ChatGPT workspace/);
		expect(storedAccounts(bench)).toHaveLength(2);
	});
});

describe("a renewal", () => {
	it.each(coreOf(keepers, ({ keeper }) => keeper === "us"))(
		"that brings the token of another account adds that one, and loses neither: kept by $keeper",
		async ({ keeper }) => {
			const bench = await benchWithExpiredLogin(keeper, [], {}, onTestFinished, ["z"]);
			const { access, refresh } = bench.codex.grant("z");
			bench.codex.account("a").token(tokenAnswers.change(() => ({ access_token: access, refresh_token: refresh })));

			const turn = await bench.print("say hi");

			expect(turn).toMatchObject({ code: 0, stdout: "OK from z #1\n" });
			expect(turn.stderr).toMatch(/a was signed out: its sign-in was renewed as that of another account/);
			expect(bench.stored("a")).toMatchObject({
				credential: { refresh: bench.spent.refresh },
				needsLogin: { reason: "renewed_as_another" },
			});
			expect(bench.stored("z")).toMatchObject({ credential: { access, refresh }, needsLogin: null });
			expect(loginOfPi(bench)?.refresh).toBe(keeper === "pi" ? refresh : undefined);
			expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from z #2\n", stderr: "" });
			expect(bench.codex.tokenRequests()).toHaveLength(1);
		},
	);

	wide("a renewal that meets a certificate which is not trusted says so at once, and spends nothing", async () => {
		const issuer = await startUntrusted();
		onTestFinished(() => issuer.close());
		const bench = await benchWithExpiredLogin("us", [], { env: { PI_MULTICODEX_AUTH_URL: issuer.url } });
		const began = performance.now();
		const turn = await bench.print("say hi");
		const named =
			/certificate of the sign-in service is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\).*NODE_EXTRA_CA_CERTS/;
		expect(turn.code).not.toBe(0);
		expect(turn.stderr).toMatch(named);
		// Nothing is waited for: no second try would help.
		expect(performance.now() - began).toBeLessThan(45_000);
		expect((await bench.print("/multicodex refresh")).stderr).toMatch(named);
		const verified = await bench.print("/multicodex verify");
		expect(`${verified.stdout}${verified.stderr}`).toMatch(/certificate of the sign-in service is not trusted/);
		expect(bench.stored("a")).toMatchObject({ needsLogin: null, credential: { refresh: bench.spent.refresh } });
	});
});
