import { describe, expect, it } from "vitest";
import { answers, tokenAnswers } from "../support/fake-codex/index.ts";
import type { Rpc } from "../support/rpc.ts";
import { coreOf, wide } from "../support/tiers.ts";
import {
	bearerOf,
	benchWithExpiredLogin,
	closedAddress,
	loginOfPi,
	NEARLY_EXPIRED_MS,
	nextSecond,
	signPiInAs,
	storedAccounts,
	storedLabels,
} from "./credentials-support.ts";
import { type Bench, createBench, resultLines, until } from "./support.ts";

/** With usage unknown the order of accounts is that of the list. */
const usage = answers.serverError(503);
const STATUS = "multicodex";
const quota = { fiveHour: { usedPercent: 27 }, week: { usedPercent: 8 } };

/** Runs a command that must fail in print mode: one line on stderr, nothing on stdout, and nothing changed. */
async function refused(bench: Bench, command: string): Promise<string> {
	const before = bench.dir.read("codex-accounts.json");
	const { code, stdout, stderr } = await bench.print(`/multicodex ${command}`);
	expect({ code, stdout }, command).toEqual({ code: 1, stdout: "" });
	expect(stderr.trimEnd().split("\n"), command).toHaveLength(1);
	expect(bench.dir.read("codex-accounts.json"), command).toBe(before);
	return stderr.trimEnd();
}

/** The same in RPC mode, where many commands need one process only. */
async function refusedIn(rpc: Rpc, bench: Bench, command: string): Promise<string> {
	const before = bench.dir.read("codex-accounts.json");
	const told = rpc.notifications.length;
	await rpc.send(`/multicodex ${command}`);
	const [notification, ...more] = rpc.notifications.slice(told);
	expect({ level: notification?.level, more }, command).toEqual({ level: "error", more: [] });
	expect(bench.dir.read("codex-accounts.json"), command).toBe(before);
	return notification?.message ?? "";
}

describe("/multicodex rename", () => {
	it.each(
		coreOf([
			{ typed: '"my work"', label: "my work" },
			{ typed: "my work", label: "my work" },
			{ typed: "仕事用アカウント", label: "仕事用アカウント" },
			{ typed: "👩‍💻🚀", label: "👩‍💻🚀" },
			{ typed: "Ünïcode-429", label: "Ünïcode-429" },
		]),
	)("gives an account the label $typed, and the account answers to it", async ({ typed, label }) => {
		const bench = await createBench({ usage, accounts: ["a", "b"] });
		const result = await bench.print(`/multicodex rename b ${typed}`);
		expect(result).toMatchObject({ code: 0, stdout: `Codex: b is called ${label} now.\n`, stderr: "" });
		expect(storedLabels(bench)).toEqual(["a", label]);
		expect((await bench.print(`/multicodex use "${label}"`)).code).toBe(0);
		expect(bench.pin()).toBe(bench.id("b"));
		expect((await bench.print("/multicodex show")).stdout).toContain(` ${label} `);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
	});

	wide(
		"takes an account by e-mail or id, keeps its own label when that is asked for, and is one line in JSON mode",
		async () => {
			const bench = await createBench({ usage, accounts: ["a", "b"] });
			const [first] = storedAccounts(bench);
			const result = await bench.run(["--mode", "json", "/multicodex rename a@example.test first"]);
			expect(result).toMatchObject({ code: 0, stderr: "" });
			expect(resultLines(result.stdout)).toEqual([
				{
					type: "multicodex",
					command: "rename",
					result: { account: { id: bench.id("a"), label: "first" }, formerly: "a" },
				},
			]);
			expect((await bench.print(`/multicodex rename ${bench.id("a").slice(0, 6)} first`)).code).toBe(0);
			// Nothing else of the row has changed.
			expect(storedAccounts(bench)[0]).toEqual({ ...first, label: "first" });
		},
	);

	it("lists the accounts that an ambiguous name may mean", async () => {
		const email = "me@example.test";
		const bench = await createBench({
			usage,
			accounts: [
				{ name: "home", email },
				{ name: "work", email },
			],
		});
		const rpc = bench.rpc();
		for (const command of [`rename ${email} x`, `disable ${email}`, `enable ${email}`, `refresh ${email}`]) {
			const told = await refusedIn(rpc, bench, command);
			for (const word of ["home", "work", bench.id("home"), bench.id("work")]) expect(told).toContain(word);
		}
	});
});

wide("what is changed while another process exchanges the token stays changed, and the new token is kept", async () => {
	const bench = await benchWithExpiredLogin("us", ["b"]);
	bench.codex.account("a").token(tokenAnswers.delay(8_000, { rotate: "before" }));
	const turn = bench.print("say hi");
	await bench.codex.waitFor(({ kind }) => kind === "token", 60_000);
	expect((await bench.print("/multicodex rename a renamed")).code).toBe(0);
	expect((await bench.print("/multicodex disable renamed")).code).toBe(0);
	expect((await turn).code).toBe(0);
	const [exchange] = bench.codex.tokenRequests();
	expect(bench.codex.tokenRequests()).toHaveLength(1);
	expect(bench.stored("a")).toMatchObject({
		label: "renamed",
		enabled: false,
		credential: { refresh: exchange?.issuedRefresh },
	});
});

describe("/multicodex disable and enable", () => {
	it("disable and enable keep an account out of use, and offer it again", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b"] });
		const off = await bench.print("/multicodex disable a");
		expect(off).toMatchObject({ code: 0, stderr: "" });
		expect(off.stdout).toMatch(/^Codex: a is off\..*\/multicodex enable a/);
		expect(bench.stored("a")).toMatchObject({ enabled: false, disabledReason: null });
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		const again = await bench.run(["--mode", "json", "/multicodex disable a"]);
		expect(again.code).toBe(0);
		expect(resultLines(again.stdout)).toMatchObject([
			{ command: "disable", result: { account: { id: bench.id("a") }, enabled: false } },
		]);
		expect(await refused(bench, "use a")).toContain("/multicodex enable a");

		expect(await bench.print("/multicodex enable a")).toMatchObject({ code: 0, stderr: "" });
		expect(bench.stored("a").enabled).toBe(true);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		expect(await refused(bench, "disable")).toContain("Usage:");
		expect(await refused(bench, "enable missing")).toContain("a, b");
	});

	it("moves on at once from the active account", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b"] });
		const rpc = bench.rpc();
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
		await rpc.send("/multicodex disable a");
		await until("the footer to show b", () => rpc.status(STATUS)?.includes("codex b ") === true);
		expect(rpc.notifications).toMatchObject([
			{ level: "info", message: expect.stringContaining("The next request goes to b.") },
		]);
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		expect(bench.asked()).toEqual(["a", "b"]);
		expect(rpc.notifications).toHaveLength(1);

		// With no other account left no request goes out, and the answer says so.
		await rpc.send("/multicodex disable b");
		const turn = await rpc.prompt("say hi");
		expect(turn).toMatchObject({ stopReason: "error", retries: 0 });
		expect(bench.asked()).toEqual(["a", "b"]);
		await until(
			"the footer to show that no account is ready",
			() => rpc.status(STATUS)?.includes("0/2 ready") === true,
		);
	});

	wide("does not use a pinned account that is switched off, and says so", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b"] });
		await bench.print("/multicodex use b");
		expect((await bench.print("/multicodex disable b")).code).toBe(0);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
	});

	wide("is seen by another process with its next request", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b"] });
		const rpc = bench.rpc();
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
		await bench.print("/multicodex disable a");
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		expect(rpc.notifications).toEqual([]);
		await bench.print("/multicodex enable a");
		await bench.print("/multicodex disable b");
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #2");
	});
});

describe("/multicodex refresh", () => {
	it("asks for the usage of one account, or of all", async () => {
		const bench = await createBench({
			accounts: [
				{ name: "a", quota },
				{ name: "b", quota },
			],
		});
		const one = await bench.print("/multicodex refresh b");
		expect(one).toMatchObject({ code: 0, stderr: "" });
		expect(one.stdout).toMatch(/^b +5h 73% left · week 92% left\n$/);
		expect(bench.codex.usageRequests().map(({ account }) => account)).toEqual(["b"]);
		expect(bench.status("b").usage).toMatchObject({ source: "api" });

		for (const word of ["refresh", "refresh all"]) {
			bench.codex.clearRequests();
			const all = await bench.print(`/multicodex ${word}`);
			expect(all).toMatchObject({ code: 0, stderr: "" });
			expect(all.stdout).toMatch(/^a +5h 73% left · week 92% left\nb +5h 73% left · week 92% left\n$/);
			expect(
				bench.codex
					.usageRequests()
					.map(({ account }) => account)
					.toSorted(),
			).toEqual(["a", "b"]);
		}
		const inJson = await bench.run(["--mode", "json", "/multicodex refresh"]);
		expect(resultLines(inJson.stdout)).toMatchObject([
			{ type: "multicodex", command: "refresh", result: [{ account: { label: "a" }, problem: null }, {}] },
		]);
		expect(bench.codex.tokenRequests()).toEqual([]);
		expect(bench.asked()).toEqual([]);
	});

	wide("says why an account cannot be asked, and fails if that is so for all that were named", async () => {
		const bench = await createBench({
			accounts: [{ name: "good", quota }, "old", "off", "mute"],
			rows: { old: { needsLogin: { reason: "refresh_token_expired", at: 1 } }, off: { enabled: false } },
		});
		bench.codex.account("mute").usage(answers.serverError(500));
		const all = await bench.print("/multicodex refresh all");
		expect(all).toMatchObject({ code: 0, stderr: "" });
		expect(all.stdout).toMatch(/^good +5h 73% left/m);
		expect(all.stdout).toMatch(/^old +.*expired.*\/multicodex login old$/m);
		expect(all.stdout).toMatch(/^off +.*\/multicodex enable off$/m);
		expect(all.stdout).toMatch(/^mute +\S/m);
		expect(all.stdout).not.toMatch(/^mute .*% left/m);

		for (const [name, word] of [
			["old", "/multicodex login old"],
			["off", "/multicodex enable off"],
			["mute", "mute"],
		] as const) {
			bench.codex.clearRequests();
			const one = await bench.print(`/multicodex refresh ${name}`);
			expect(one).toMatchObject({ code: 1, stdout: "" });
			expect(one.stderr.trimEnd().split("\n")).toHaveLength(1);
			expect(one.stderr).toContain(word);
			expect(bench.codex.tokenRequests()).toEqual([]);
			expect(bench.codex.usageRequests()).toHaveLength(name === "mute" ? 1 : 0);
		}
		// No account is flagged for a usage call that failed.
		expect(bench.stored("mute")).toMatchObject({ needsLogin: null, enabled: true });
		expect(await bench.print("/multicodex refresh missing")).toMatchObject({ code: 1, stdout: "" });
	});

	wide(
		"exchanges a token that is due once, also when two processes are asked, and stores it before pi ends",
		async () => {
			const bench = await createBench({ accounts: [{ name: "a", quota }] });
			const due = bench.codex.grant("a", { expiresInMs: NEARLY_EXPIRED_MS });
			bench.dir.write("codex-accounts.json", { version: 2, accounts: [bench.row("a", { credential: due })] });
			// Longer than a request would wait for a newer token.
			bench.codex.account("a").token(tokenAnswers.delay(2_500, { rotate: "before" }));
			await nextSecond();
			const results = await Promise.all([bench.print("/multicodex refresh a"), bench.print("/multicodex refresh")]);
			for (const result of results)
				expect(result).toMatchObject({ code: 0, stdout: expect.stringContaining("73% left") });
			const exchanges = bench.codex.tokenRequests();
			expect(exchanges).toHaveLength(1);
			expect(bench.stored("a").credential.refresh).toBe(exchanges[0]?.issuedRefresh);
			// The next one has nothing to do.
			await bench.print("/multicodex refresh a");
			expect(bench.codex.tokenRequests()).toHaveLength(1);
		},
	);

	it("renews pi's own login where pi keeps it", async () => {
		const bench = await createBench({ accounts: [], strangers: [{ name: "a", quota }] });
		signPiInAs(bench, "a", { expiresInMs: NEARLY_EXPIRED_MS });
		await nextSecond();
		expect((await bench.print("/multicodex refresh")).code).toBe(0);
		const [exchange, ...more] = bench.codex.tokenRequests();
		expect(more).toEqual([]);
		expect(loginOfPi(bench)?.refresh).toBe(exchange?.issuedRefresh);
		expect(bench.stored("a")).toMatchObject({ linked: true, credential: { refresh: exchange?.issuedRefresh } });
	});

	it("finds out that a sign-in is over, and says what to type", async () => {
		const bench = await createBench({
			accounts: [
				{ name: "a", quota },
				{ name: "b", quota },
			],
		});
		const due = bench.codex.grant("a", { expiresInMs: -60_000 });
		const rows = [bench.row("a", { credential: due }), bench.row("b")];
		bench.dir.write("codex-accounts.json", { version: 2, accounts: rows });
		bench.codex.account("a").token(tokenAnswers.permanent("refresh_token_expired"));
		const result = await bench.print("/multicodex refresh a");
		expect(result).toMatchObject({ code: 1, stdout: "" });
		expect(result.stderr).toMatch(/expired.*\/multicodex login a/);
		expect(bench.stored("a").needsLogin).toMatchObject({ reason: "refresh_token_expired" });
		await bench.print("/multicodex refresh a");
		expect(bench.codex.tokenRequests()).toHaveLength(1);
	});

	wide("says so if the backend cannot be reached", async () => {
		const baseUrl = `${await closedAddress()}/backend-api`;
		const bench = await createBench({ baseUrl });
		for (const command of ["refresh a", "refresh"]) {
			const result = await bench.print(`/multicodex ${command}`);
			expect(result).toMatchObject({ code: 1, stdout: "" });
			expect(result.stderr).toMatch(/^a +\S/);
		}
		expect(storedAccounts(bench)).toMatchObject([{ needsLogin: null }, { needsLogin: null }]);
	});
});

describe("an account whose sign-in is over", () => {
	const dead = (source: string, reason: string) => ({ source, needsLogin: { reason, at: Date.now() } });

	it.each(
		coreOf(
			[
				{ source: "login", reason: "refresh_token_expired", why: "has expired" },
				{ source: "login", reason: "refresh_token_reused", why: "used by another program" },
				{ source: "pi", reason: "refresh_token_invalidated", why: "was revoked" },
				{ source: "import:codex", reason: "refresh_token_reused", why: "shared with Codex CLI" },
				{
					source: "import:codex-account-orchestrator",
					reason: "refresh_token_reused",
					why: "codex-account-orchestrator",
				},
				{ source: "import:file", reason: "refresh_token_reused", why: "that file" },
			],
			({ source }) => source === "import:codex",
		),
	)("says why and what to type, wherever it is asked for ($source, $reason)", async ({ source, reason, why }) => {
		const bench = await createBench({
			usage,
			accounts: ["my work", "b"],
			rows: { "my work": dead(source, reason) },
		});
		const remedy = '/multicodex login "my work"';
		const shown = await bench.print("/multicodex show");
		// Neither of them may fall victim to the width of the screen.
		expect(shown.stdout.replace(/\s+/g, " ")).toContain(why);
		expect(shown.stdout.replace(/\s+/g, " ")).toContain(remedy);
		const rpc = bench.rpc();
		for (const command of ['refresh "my work"', 'use "my work"']) {
			const told = await refusedIn(rpc, bench, command);
			expect(told).toContain(why);
			expect(told).toContain(remedy);
		}
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		expect(bench.codex.tokenRequests()).toEqual([]);
	});

	it.each(coreOf([120, 80, 40], (cols) => cols === 40))(
		"shows the whole remedy on a screen of %i columns",
		async (cols) => {
			const bench = await createBench({
				usage,
				accounts: ["work", "shared", "closed"],
				rows: {
					shared: dead("import:codex", "refresh_token_reused"),
					closed: { enabled: false, disabledReason: "account_deactivated" },
				},
			});
			const terminal = bench.terminal([], { cols, rows: 50 });
			await terminal.ready(60_000);
			await terminal.submit("/multicodex show");
			const isWhole = (screen: string) => {
				const text = screen.replace(/\s+/g, " ");
				return ["Codex CLI", "/multicodex login shared", "/multicodex enable closed"].every((part) =>
					text.includes(part),
				);
			};
			await terminal.waitForScreen(isWhole, 30_000);
		},
	);
});

it("asks, does nothing on Esc, and moves the footer on at once if that is the answer", async () => {
	const bench = await createBench({ usage, accounts: ["a", "b"] });
	const terminal = bench.terminal([], { cols: 80, rows: 40 });
	await terminal.ready(60_000);
	await terminal.submit("say hi");
	await terminal.waitForText("OK from a #1", 60_000);
	await terminal.waitForText(/codex a .*ready/, 30_000);
	await terminal.submit("/multicodex remove a");
	await terminal.waitForText("Remove a?", 30_000);
	expect(terminal.screen()).toContain("The next request goes to b. /multicodex add --undo puts it back.");
	await terminal.press("escape");
	await terminal.waitForText("Nothing was removed.", 30_000);
	expect(storedLabels(bench)).toEqual(["a", "b"]);

	await terminal.submit("/multicodex remove a");
	await terminal.waitForText("█  Keep", 30_000);
	// What is under the cursor is harmless.
	await terminal.press("enter");
	await terminal.waitForScreen((screen) => !screen.includes("█  Keep"), 30_000);
	expect(storedLabels(bench)).toEqual(["a", "b"]);
	await terminal.submit("/multicodex remove a");
	await terminal.waitForText("█  Keep", 30_000);
	await terminal.press("down");
	await terminal.waitForText("█  Remove", 30_000);
	await terminal.press("enter");
	await terminal.waitForText(/next request goes to\s+b\./, 30_000);
	await terminal.waitForText(/codex b .*1/, 30_000);
	expect(storedLabels(bench)).toEqual(["b"]);
	await terminal.submit("say hi");
	await terminal.waitForText("OK from b #1", 60_000);
	expect(bench.codex.responsesRequests().map(bearerOf)).toHaveLength(2);
	expect(bench.asked()).toEqual(["a", "b"]);
});
