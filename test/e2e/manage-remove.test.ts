import { chmodSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { answers, type TokenAnswer, tokenAnswers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import { coreOf, wide } from "../support/tiers.ts";
import {
	bearerOf,
	benchWithExpiredLogin,
	filesNamed,
	type Keeper,
	keepers,
	keptCredential,
	loginOfPi,
	modeOf,
	signPiInAs,
	signPiOut,
	storedAccounts,
	storedLabels,
	writeAsPi,
} from "./credentials-support.ts";
import { type Bench, type BenchOptions, createBench, resultLines, until } from "./support.ts";

/** With usage unknown the order of accounts is that of the list. */
const usage = answers.serverError(503);
const STATUS = "multicodex";

/** `a` is pi's own login, and the file holds more than that; the others are ours. */
async function benchWithPisLogin(options: BenchOptions = {}): Promise<Bench> {
	const bench = await createBench({ usage, accounts: ["b"], strangers: ["a"], ...options });
	writeAsPi(bench.dir.path("auth.json"), { zeta: { type: "api_key", key: "k1" } });
	signPiInAs(bench, "a");
	const entries = JSON.parse(bench.dir.read("auth.json") ?? "");
	writeAsPi(bench.dir.path("auth.json"), { ...entries, alpha: { odd: [1, { two: null }] } });
	return bench;
}

/** Names of the backups of removed accounts. */
function backups(bench: Bench): string[] {
	return [...filesNamed(bench, "codex-accounts.json.bak-").keys()];
}

describe("/multicodex remove", () => {
	it("takes out the account that is named by label, e-mail or id, at once in print mode", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b", "c", "d"] });
		bench.codex.account("a").always(answers.usageLimit({ resetsInMs: 3_600_000 }));
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		expect(bench.status("a").cooldowns).toHaveLength(1);

		const byLabel = await bench.print("/multicodex remove a");
		expect(byLabel).toMatchObject({ code: 0, stderr: "" });
		expect(byLabel.stdout).toMatch(/^Codex: removed a\. .*\/multicodex add --undo.*\n$/);
		expect(storedLabels(bench)).toEqual(["b", "c", "d"]);
		expect(bench.dir.read("codex-state.json")).not.toContain(bench.id("a"));
		expect((await bench.print("/multicodex remove B@Example.test")).code).toBe(0);
		expect(storedLabels(bench)).toEqual(["c", "d"]);

		const inJson = await bench.run(["--mode", "json", `/multicodex remove ${bench.id("c").slice(0, 6)}`]);
		expect(inJson).toMatchObject({ code: 0, stderr: "" });
		expect(resultLines(inJson.stdout)).toEqual([
			{
				type: "multicodex",
				command: "remove",
				// Who serves next is known before the first request.
				result: { account: { id: bench.id("c"), label: "c" }, active: bench.id("d") },
			},
		]);
		expect(storedLabels(bench)).toEqual(["d"]);
	});

	wide("refuses what is unknown, ambiguous or missing, and changes nothing", async () => {
		const email = "me@example.test";
		const bench = await createBench({
			usage,
			accounts: [{ name: "home", email }, { name: "work", email }, "spare"],
		});
		const before = bench.dir.read("codex-accounts.json");
		const refusals = {
			"remove missing": ["missing", "home", "work", "spare"],
			[`remove ${email}`]: ["home", "work", bench.id("home"), bench.id("work")],
			remove: ["remove <account>"],
			"remove home --force": ["remove <account>"],
			"remove --logout": ["remove <account>"],
		};
		const inPrint = await bench.print("/multicodex remove missing");
		expect(inPrint).toMatchObject({ code: 1, stdout: "" });
		expect(inPrint.stderr.trimEnd().split("\n")).toHaveLength(1);
		const rpc = bench.rpc();
		for (const [command, named] of Object.entries(refusals)) {
			await rpc.send(`/multicodex ${command}`);
			const told = rpc.notifications.at(-1);
			expect(told, command).toMatchObject({ level: "error" });
			for (const word of named) expect(told?.message).toContain(word);
		}
		expect(rpc.notifications).toHaveLength(Object.keys(refusals).length);
		expect(bench.dir.read("codex-accounts.json")).toBe(before);
		expect(backups(bench)).toEqual([]);
	});

	it("asks first in RPC mode, and no changes nothing", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b"] });
		const before = bench.dir.read("codex-accounts.json");
		const rpc = bench.rpc();
		for (const refusal of [false, undefined]) {
			const asked = rpc.send("/multicodex remove b");
			const dialog = await rpc.waitForDialog();
			expect(dialog).toMatchObject({ method: "confirm", title: expect.stringContaining("b") });
			expect(dialog.message).toContain("/multicodex add --undo");
			// It is neither pi's login nor the one in use.
			expect(dialog.message).not.toMatch(/sign pi out|next request/i);
			rpc.answer(dialog, refusal);
			await asked;
			expect(bench.dir.read("codex-accounts.json")).toBe(before);
			expect(rpc.notifications.at(-1)).toMatchObject({ level: "info", message: "Nothing was removed." });
		}
		rpc.answerDialogs(() => true);
		await rpc.send("/multicodex remove b");
		expect(storedLabels(bench)).toEqual(["a"]);
		expect(rpc.notifications.at(-1)).toMatchObject({ level: "info", message: expect.stringContaining("removed b") });
	});

	it.each(coreOf(hostNames))("moves on from the active account at once, on %s", async (host) => {
		const bench = await createBench({ usage, host, accounts: ["a", "b", "c"] });
		const rpc = bench.rpc();
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
		await until("the footer to show a", () => rpc.status(STATUS)?.includes("codex a ") === true);
		const asked = rpc.send("/multicodex remove a");
		const dialog = await rpc.waitForDialog();
		expect(dialog.message).toContain("The next request goes to b.");
		rpc.answer(dialog, true);
		await asked;

		await until("the footer to show b", () => /codex b .*2(\/| of )2 ready/.test(rpc.status(STATUS) ?? ""));
		expect(bench.asked()).toEqual(["a"]);
		expect(rpc.notifications).toMatchObject([
			{ level: "info", message: expect.stringContaining("The next request goes to b.") },
		]);
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		// No account had run out: there is no rotation to report.
		expect(rpc.notifications).toHaveLength(1);
	});

	wide("lets a turn end that the account is answering just now", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b"] });
		bench.codex.account("a").always(answers.slow({ beforeHeadersMs: 3_000 }));
		const rpc = bench.rpc();
		rpc.answerDialogs(() => true);
		await rpc.send("say hi");
		await bench.codex.waitFor(({ kind }) => kind === "responses" || kind === "websocket-request", 60_000);
		await rpc.send("/multicodex remove a");
		expect(await rpc.settled()).toMatchObject({ stopReason: "stop", text: "OK from a #1" });
		expect(storedLabels(bench)).toEqual(["b"]);
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		expect(bench.asked()).toEqual(["a", "b"]);
		await until("the footer to show b", () => rpc.status(STATUS)?.includes("codex b ") === true);
	});

	wide("takes the last one too: pi is then as without us, and undo makes the same session work again", async () => {
		const bench = await createBench({ usage, accounts: ["a"] });
		const rpc = bench.rpc();
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
		rpc.answerDialogs(({ message }) => message?.includes("No other account is ready.") === true);
		await rpc.send("/multicodex remove a");
		expect(rpc.notifications.at(-1)?.message).toContain("No Codex account is left.");
		await until("the footer to show no account", () => rpc.status(STATUS)?.includes("no accounts") === true);
		const shown = await bench.print("/multicodex show");
		expect(shown.stdout).toMatch(/^No Codex account is signed in\./);

		await rpc.send("/multicodex add --undo");
		expect(rpc.notifications.at(-1)).toMatchObject({ level: "info", message: "Codex: a is back." });
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #2");
	});
});

describe("/multicodex remove of pi's own login", () => {
	it("needs --logout if no question can be asked, and changes nothing without it", async () => {
		const bench = await benchWithPisLogin();
		expect((await bench.print("/multicodex show")).code).toBe(0);
		const auth = bench.dir.read("auth.json");
		const before = bench.dir.read("codex-accounts.json");
		for (const args of [["-p"], ["--mode", "json"]]) {
			const result = await bench.run([...args, "/multicodex remove a"]);
			expect(result.code).toBe(1);
			expect(result.stderr.trimEnd().split("\n")).toHaveLength(1);
			expect(result.stderr).toContain("/multicodex remove a --logout");
			expect(resultLines(args[0] === "-p" ? "" : result.stdout)).toEqual([]);
		}
		expect(bench.dir.read("auth.json")).toBe(auth);
		expect(bench.dir.read("codex-accounts.json")).toBe(before);
		expect(backups(bench)).toEqual([]);
	});

	it("signs pi out with --logout, and leaves everything else in auth.json as it is", async () => {
		const bench = await benchWithPisLogin();
		expect((await bench.print("/multicodex show")).code).toBe(0);
		chmodSync(bench.dir.path("auth.json"), 0o640);
		const result = await bench.print("/multicodex remove a --logout");
		expect(result).toMatchObject({ code: 0, stderr: "" });
		expect(result.stdout).toMatch(/^Codex: removed a and signed pi out\./);

		expect(bench.dir.read("auth.json")).toBe(
			JSON.stringify({ zeta: { type: "api_key", key: "k1" }, alpha: { odd: [1, { two: null }] } }, null, 2),
		);
		expect(modeOf(bench.dir.path("auth.json"))).toBe(0o640);
		expect(storedLabels(bench)).toEqual(["b"]);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		expect(storedLabels(bench)).toEqual(["b"]);
	});

	wide("asks the same of an account that pi is signed in to as well", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b"] });
		signPiInAs(bench, "a");
		expect(await bench.print("/multicodex remove a")).toMatchObject({ code: 1, stdout: "" });
		expect(storedLabels(bench)).toEqual(["a", "b"]);
		const ours = bench.stored("a");
		expect((await bench.print("/multicodex remove a --logout")).code).toBe(0);
		expect(loginOfPi(bench)).toBeUndefined();
		await bench.print("/multicodex show");
		expect(storedLabels(bench)).toEqual(["b"]);
		expect((await bench.print("/multicodex add --undo")).code).toBe(0);
		expect(bench.stored("a")).toMatchObject(ours);
	});
});

describe("/multicodex add --undo", () => {
	it("puts back exactly that row, and leaves the newer credentials of others alone", async () => {
		const bench = await createBench({
			usage,
			accounts: ["a", "b", "c"],
			rows: { a: { note: "kept for another version", label: "first" } },
		});
		const before = bench.stored("a");
		const olderOfB = bench.stored("b").credential;
		await bench.print("/multicodex remove first");
		bench.codex.account("b").expireAccessTokens();
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: expect.stringContaining("OK from b") });
		const renewed = bench.stored("b");
		expect(renewed.credential.refresh).not.toBe(olderOfB.refresh);
		await bench.print("/multicodex rename c third");

		const undone = await bench.print("/multicodex add --undo");
		expect(undone).toMatchObject({ code: 0, stdout: "Codex: first is back.\n", stderr: "" });
		expect(bench.stored("a")).toMatchObject(before);
		expect(bench.stored("b")).toEqual(renewed);
		expect(storedLabels(bench).toSorted()).toEqual(["b", "first", "third"]);
		await bench.print("/multicodex use first");
		expect((await bench.print("say hi")).stdout).toMatch(/^OK from a/);
		// Of all tokens only the one that was due was exchanged.
		expect(bench.codex.tokenRequests().map(({ account }) => account)).toEqual(["b"]);
	});

	wide("gives an account of its own if pi had been signed out of it", async () => {
		const bench = await benchWithPisLogin();
		const grant = loginOfPi(bench);
		await bench.print("/multicodex remove a --logout");
		const auth = bench.dir.read("auth.json");
		expect((await bench.print("/multicodex add --undo")).code).toBe(0);
		expect(bench.stored("a")).toMatchObject({
			source: "login",
			linked: false,
			needsLogin: null,
			credential: { access: grant?.access, refresh: grant?.refresh },
		});

		// Its token is ours to renew from now on.
		bench.codex.account("a").expireAccessTokens();
		await bench.print("/multicodex use a");
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: expect.stringContaining("OK from a") });
		expect(bench.codex.tokenRequests().map(({ account }) => account)).toEqual(["a"]);
		expect(bench.dir.read("auth.json")).toBe(auth);
		expect(storedLabels(bench).toSorted()).toEqual(["a", "b"]);
	});

	wide("puts back what a logout of pi had taken out, as an account of its own", async () => {
		const bench = await benchWithPisLogin();
		await bench.print("/multicodex show");
		signPiOut(bench);
		await bench.print("/multicodex show");
		expect(storedLabels(bench)).toEqual(["b"]);
		expect((await bench.print("/multicodex add --undo")).stdout).toBe("Codex: a is back.\n");
		await bench.print("/multicodex use a");
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		expect(bench.stored("a")).toMatchObject({ source: "login", linked: false });
	});
});

describe("the backups of removed accounts", () => {
	it("backups are for their owner only, the last three, and deleted by `reset backups --yes` alone", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b", "c", "d", "e"] });
		const rpc = bench.rpc();
		rpc.answerDialogs(() => true);
		for (const name of ["a", "b", "c", "d"]) await rpc.send(`/multicodex remove ${name}`);
		expect(storedLabels(bench)).toEqual(["e"]);
		expect(backups(bench).map((name) => name.replace(/^.*-/, ""))).toEqual(["b", "c", "d"].map(bench.id));
		for (const name of backups(bench)) expect(modeOf(bench.dir.path(name))).toBe(0o600);

		const resets = ["reset", "reset all", "reset manual", "reset quota"].map((line) => `/multicodex ${line}`);
		expect((await bench.run(["-p", ...resets])).code).toBe(0);
		expect((await bench.run(["--mode", "json", ...resets])).code).toBe(0);
		const unsure = await bench.print("/multicodex reset backups");
		expect(unsure).toMatchObject({ code: 1, stdout: "" });
		expect(unsure.stderr).toContain("--yes");
		expect(backups(bench)).toHaveLength(3);
		expect(await bench.print("/multicodex reset backups --yes")).toMatchObject({
			code: 0,
			stdout: "Deleted 3 backups.\n",
		});
		expect(backups(bench)).toEqual([]);
		expect(await bench.print("/multicodex add --undo")).toMatchObject({ code: 1, stdout: "" });
		expect(storedLabels(bench)).toEqual(["e"]);
	});
});

describe("/multicodex remove beside another process", () => {
	/** A process is exchanging the token of `a`; another one is there to remove it. */
	async function whileExchanging(keeper: Keeper, answer: TokenAnswer) {
		const bench = await benchWithExpiredLogin(keeper, ["b"]);
		bench.codex.account("a").token(answer);
		const [remover, asker] = [bench.rpc(), bench.rpc()];
		remover.answerDialogs(() => true);
		await remover.send("/multicodex path");
		await asker.send("say hi");
		await bench.codex.waitFor(({ kind }) => kind === "token", 60_000);
		const remove = async () => {
			await remover.send("/multicodex remove a", 60_000);
			return remover.notifications.at(-1);
		};
		return { bench, remove, asker };
	}

	it.each(coreOf(keepers, ({ keeper }) => keeper === "us"))(
		"waits for an exchange that ends soon, and keeps its token for undo ($keeper)",
		async ({ keeper }) => {
			const { bench, remove, asker } = await whileExchanging(keeper, tokenAnswers.delay(1_500, { rotate: "before" }));
			let told = await remove();
			await asker.settled();
			if (told?.level === "error") {
				// The machine was too slow for it to be waited for: then it says so, and has changed nothing.
				expect(told.message).toMatch(/being renewed right now/);
				told = await remove();
			}
			expect(told).toMatchObject({ level: "info", message: expect.stringContaining("removed a") });
			expect(storedLabels(bench)).toEqual(["b"]);
			expect(loginOfPi(bench)).toBeUndefined();

			expect((await bench.print("/multicodex add --undo")).code).toBe(0);
			expect(bench.codex.tokenRequests()).toHaveLength(1);
			expect(bench.stored("a").credential.refresh).toBe(bench.codex.tokenRequests()[0]?.issuedRefresh);
			await bench.print("/multicodex use a");
			expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: expect.stringContaining("OK from a") });
			expect(bench.codex.tokenRequests()).toHaveLength(1);
		},
	);

	it.each(coreOf(keepers, ({ keeper }) => keeper === "pi"))(
		"says so if that takes longer, and loses nothing ($keeper)",
		async ({ keeper }) => {
			let answer: () => void = () => undefined;
			const answered = new Promise<void>((resolve) => {
				answer = resolve;
			});
			const { bench, remove, asker } = await whileExchanging(keeper, tokenAnswers.hold(answered));
			const told = await remove();
			expect(told).toMatchObject({ level: "error" });
			expect(told?.message).toMatch(/a is being renewed right now\. Try again/);
			expect(storedLabels(bench)).toEqual(["a", "b"]);
			expect(backups(bench)).toEqual([]);
			expect(loginOfPi(bench) !== undefined).toBe(keeper === "pi");

			answer();
			await asker.settled();
			const isStored = () => keptCredential(bench, keeper)?.refresh === bench.codex.tokenRequests()[0]?.issuedRefresh;
			await until("the new token to be stored", isStored, 60_000);
			expect(await remove()).toMatchObject({ level: "info" });
			expect(storedLabels(bench)).toEqual(["b"]);
		},
	);

	wide("is seen there with the next request", async () => {
		const bench = await createBench({ usage, accounts: ["a", "b"] });
		const rpc = bench.rpc();
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
		await bench.print("/multicodex remove a");
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		expect(bench.asked()).toEqual(["a", "b"]);
		expect(rpc.notifications).toEqual([]);
		await until("the footer to show b", () => rpc.status(STATUS)?.includes("codex b ") === true);
		expect(storedAccounts(bench).map(({ label }) => label)).toEqual(["b"]);

		await bench.print("/multicodex add --undo");
		await bench.print("/multicodex use a");
		expect((await rpc.prompt("say hi")).text).toMatch(/^OK from a/);
		const [first, , last] = bench.codex.responsesRequests();
		expect(bearerOf(last)).toBe(bearerOf(first));
	});
});
