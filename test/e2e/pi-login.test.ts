import { renameSync, rmSync, writeFileSync } from "node:fs";
import lockfile from "proper-lockfile";
import { describe, expect, it, vi } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames, NEWEST_HOST } from "../support/hosts.ts";
import type { Terminal } from "../support/terminal.ts";
import { coreOf, endHosts, wide } from "../support/tiers.ts";
import {
	bearerOf,
	filesNamed,
	loginOfPi,
	signPiInAs,
	signPiOut,
	storedAccounts,
	storedLabels,
	writeAsPi,
} from "./credentials-support.ts";
import {
	answersAt,
	benchWithoutAccounts,
	browserBench,
	occupy,
	openTerminal,
	PATIENCE_MS,
	redirectOf,
	type ShownSignIn,
} from "./sign-in-support.ts";
import { type Bench, createBench, until } from "./support.ts";

// Other files of tests may have the callback ports when a test of this one begins.
vi.setConfig({ testTimeout: 300_000 });

/** Refused usage calls leave the accounts in the order of the list. */
const usage = answers.serverError(500);

describe("auth.json, changed by pi", () => {
	it("adds an account with every other login, and keeps the former ones with their last token", async () => {
		const bench = await benchWithoutAccounts();
		const rpc = bench.rpc();
		const grants = [];
		for (const name of ["a", "b", "c"]) {
			grants.push(signPiInAs(bench, name));
			expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
		}

		expect(storedAccounts(bench)).toMatchObject([
			{ label: "a", source: "pi", linked: false, needsLogin: null, credential: grants[0] },
			{ label: "b", source: "pi", linked: false, needsLogin: null, credential: grants[1] },
			{ label: "c", source: "pi", linked: true, needsLogin: null, credential: grants[2] },
		]);
		expect(loginOfPi(bench)).toMatchObject({ ...grants[2] });

		// A former one is a full member: it serves, and its token is now ours to refresh.
		bench.codex.account("b").expireAccessTokens();
		await rpc.send("/multicodex use b");
		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
		expect(bench.asked().slice(-2)).toEqual(["b", "b"]);
		expect(bench.codex.tokenRequests().map(({ account }) => account)).toEqual(["b"]);
		// A request uses a new token while it is being stored.
		const former = grants[1]?.refresh;
		await until("its token to be stored", () => bench.stored("b").credential.refresh !== former);
		expect(loginOfPi(bench)).toMatchObject({ ...grants[2] });
	});

	it("keeps the token that another process had refreshed last when pi then signs in as someone else", async () => {
		// A host with WebSocket would go on using the socket of the account, which was opened with its former token.
		const bench = await benchWithoutAccounts({ settings: { transport: "sse" } });
		signPiInAs(bench, "a");
		const rpc = bench.rpc();
		await rpc.prompt("say hi");
		const refreshedByPlainPi = signPiInAs(bench, "a");
		await rpc.prompt("say hi");
		signPiInAs(bench, "b");
		await rpc.prompt("say hi");

		expect(bench.stored("a")).toMatchObject({ linked: false, credential: refreshedByPlainPi });
		expect(bearerOf(bench.codex.responsesRequests()[1])).toBe(refreshedByPlainPi.access);
	});

	it("does not take the place of a working login of our own for the same identity", async () => {
		const bench = await createBench({ usage, accounts: ["a"] });
		const ours = bench.stored("a").credential;
		const theirs = signPiInAs(bench, "a");

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });

		expect(bench.stored("a")).toMatchObject({ linked: false, source: "login", credential: ours });
		expect(loginOfPi(bench)).toMatchObject(theirs);
		expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(ours.access);
	});

	it("mends an account of ours that had to sign in again", async () => {
		const bench = await createBench({
			usage,
			accounts: ["a"],
			rows: { a: { needsLogin: { reason: "refresh_token_reused", at: 1 } } },
		});
		const theirs = signPiInAs(bench, "a");

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });

		expect(bench.stored("a")).toMatchObject({ needsLogin: null, linked: true, source: "login", credential: theirs });
	});

	it("serves requests as they are while it holds an API key for Codex, which is never linked or touched", async () => {
		// 0.73.1 would ask four times and take seven seconds for it, as it does without us.
		const bench = await createBench({ usage, host: "0.87.1", accounts: ["a"], strangers: ["b"] });
		bench.codex.websocket = "refuse";
		const content = { "openai-codex": { type: "api_key", key: bench.codex.grant("b").access }, groq: { odd: true } };
		writeAsPi(bench.dir.path("auth.json"), content);
		bench.codex
			.account("b")
			.always(answers.usageLimit({ resetsInMs: 100 * 60_000 }))
			.next(answers.text("by the key"));
		const rowsBefore = bench.dir.read("codex-accounts.json");

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "by the key\n", stderr: "" });
		const limited = await bench.print("say hi");

		expect(limited.code).toBe(1);
		expect(limited.stderr).toContain("You have hit your ChatGPT usage limit");
		expect(bench.asked()).toEqual(["b", "b"]);
		expect(bench.dir.readJson("auth.json")).toEqual(content);
		expect(bench.dir.read("codex-accounts.json")).toBe(rowsBefore);
	});

	it.each(
		coreOf([
			{ how: "its entry is gone", signOut: signPiOut },
			{ how: "the file is gone", signOut: (bench: Bench) => rmSync(bench.dir.path("auth.json")) },
		]),
	)("takes only what pi had brought out of the pool when $how", async ({ signOut }) => {
		const bench = await createBench({ usage, accounts: ["kept", "own"], strangers: ["a", "b"] });
		const former = signPiInAs(bench, "a");
		const rpc = bench.rpc();
		await rpc.prompt("say hi");
		signPiInAs(bench, "b");
		await rpc.prompt("say hi");
		const linkedWithAHistory = { ...bench.stored("kept"), linked: true };
		const accounts = storedAccounts(bench).map((row) => (row.id === linkedWithAHistory.id ? linkedWithAHistory : row));
		const removed = storedAccounts(bench).find(({ label }) => label === "b");
		// As a whole: a running pi reads the file at any time.
		bench.dir.write("next.json", { version: 2, accounts });
		renameSync(bench.dir.path("next.json"), bench.dir.path("codex-accounts.json"));

		signOut(bench);
		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });

		expect(storedAccounts(bench)).toMatchObject([
			{ label: "kept", linked: false, source: "login", needsLogin: { reason: "signed out of pi" } },
			{ label: "own", linked: false, source: "login", needsLogin: null },
			{ label: "a", linked: false, source: "pi", needsLogin: null, credential: former },
		]);
		const backups = [...filesNamed(bench, "codex-accounts.json.bak-").values()].map((text) => JSON.parse(text));
		expect(backups).toHaveLength(1);
		expect(backups[0].accounts).toContainEqual(removed);
	});

	it("leaves nothing behind that answers, after a logout of the only account", async () => {
		const bench = await benchWithoutAccounts();
		signPiInAs(bench, "a");
		expect(await bench.print("say hi")).toMatchObject({ code: 0 });
		signPiOut(bench);

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 1, stdout: "" });
		expect(result.stderr).toMatch(/(No API key found for|Provider is not configured:) openai-codex/);
		expect(storedAccounts(bench)).toEqual([]);
		expect(bench.asked()).toEqual(["a"]);
	});

	it.each(
		coreOf([
			{ what: "half-written", cut: (text: string) => text.slice(0, text.length / 2) },
			{ what: "empty", cut: () => "" },
			{ what: "no object", cut: () => "[]" },
			{ what: "an object with half a login", cut: () => '{"openai-codex":{"type":"oauth","access":"x"}}' },
		]),
	)("is neither touched nor taken for a logout when it is $what", async ({ cut }) => {
		const bench = await benchWithoutAccounts();
		const grant = signPiInAs(bench, "a");
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		const whole = bench.dir.read("auth.json") ?? "";
		const damaged = cut(whole);
		writeFileSync(bench.dir.path("auth.json"), damaged);

		const result = await bench.print("say hi");

		// Newer hosts refuse by themselves what does not parse, before any request comes to us.
		const isRefused = result.stderr.includes("Credential store read failed for openai-codex");
		expect(result).toMatchObject(isRefused ? { code: 1, stdout: "" } : { code: 0, stdout: "OK from a #2\n" });
		expect(bench.dir.read("auth.json")).toBe(damaged);
		expect(storedAccounts(bench)).toMatchObject([{ label: "a", linked: true, needsLogin: null, credential: grant }]);
		expect([...filesNamed(bench, "auth.json").keys()]).toEqual(["auth.json"]);

		writeFileSync(bench.dir.path("auth.json"), whole);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: `OK from a #${isRefused ? 2 : 3}\n` });
	});

	it("is not taken for a logout while pi is in the middle of writing it, again and again", async () => {
		const bench = await benchWithoutAccounts();
		signPiInAs(bench, "a");
		const path = bench.dir.path("auth.json");
		const whole = bench.dir.read("auth.json") ?? "";
		const rpc = bench.rpc();
		let isOver = false;
		const writing = (async () => {
			for (let round = 0; !isOver; round += 1) {
				const release = await lockfile.lock(path, { realpath: false, retries: { retries: 50, minTimeout: 10 } });
				// As pi writes, only slower: truncated, then half there, then whole, and every time another file to a stat.
				for (const part of ["", whole.slice(0, 40), `${whole}${"\n".repeat(round % 7)}`]) {
					writeFileSync(path, part);
					await new Promise((resolve) => setTimeout(resolve, 5));
				}
				await release();
				await new Promise((resolve) => setTimeout(resolve, 10));
			}
		})();

		for (let turn = 1; turn <= 8; turn += 1) {
			expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: `OK from a #${turn}` });
		}
		isOver = true;
		await writing;

		expect(storedLabels(bench)).toEqual(["a"]);
		expect(filesNamed(bench, "codex-accounts.json.bak-").size).toBe(0);
		expect(rpc.notifications.filter(({ level }) => level !== "info")).toEqual([]);
	});
});

it("leaves a settings.json that does not parse as it is, and uses the defaults", async () => {
	const bench = await createBench({ usage });
	const broken = '{ "pi-multicodex": { "rotation": { "maxRotations": 0 } }, "defaultProvider": "openai-co';
	writeFileSync(bench.dir.path("settings.json"), broken);
	bench.codex.account("a").always(answers.usageLimit({ resetsInMs: 100 * 60_000 }));

	const result = await bench.print("say hi", ["--model", `openai-codex/${bench.host.model}`]);

	expect(result).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
	expect(bench.dir.read("settings.json")).toBe(broken);
	expect([...filesNamed(bench, "settings.json").keys()]).toEqual(["settings.json"]);
});

const PASTE_FIELD = /Paste (redirect URL below|the authorization code)/;
const SHOWN_URL = /http:\/\/127\.0\.0\.1:\d+\/oauth\/authorize\?\S+/;
/** Wide enough that the address stays on one line of pi's screen. */
const WIDE = { cols: 600 };

/** What pi says of a sign-in that has ended well: hosts have two names for the provider. */
const LOGGED_IN = /Logged in to (ChatGPT Plus\/Pro \(Codex Subscription\)|OpenAI Codex)/;

/** Newer hosts can show a device code, and there the person is asked first. */
const WAYS = /→ In the browser/;

/** Up to the point where pi has asked us for a sign-in. */
async function chooseCodex(terminal: Terminal): Promise<void> {
	await terminal.submit("/login");
	await terminal.waitForText(/→ (Use a subscription|Sign in with an account)/, PATIENCE_MS);
	await terminal.press("enter");
	await terminal.waitForText("Select provider to configure:", PATIENCE_MS);
	await terminal.type("codex");
	await terminal.waitForText(/→ (ChatGPT Plus\/Pro \(Codex Subscription\)|OpenAI Codex)/, PATIENCE_MS);
	await terminal.press("enter");
	await terminal.waitForScreen((screen) => WAYS.test(screen) || PASTE_FIELD.test(screen), PATIENCE_MS);
}

/** Up to the point where it waits for the browser. */
async function beginSignIn(terminal: Terminal): Promise<ShownSignIn> {
	await chooseCodex(terminal);
	if (WAYS.test(terminal.screen())) await terminal.press("enter");
	const [url = ""] = SHOWN_URL.exec(await terminal.waitForText(SHOWN_URL, PATIENCE_MS)) ?? [];
	await terminal.waitForText(PASTE_FIELD, PATIENCE_MS);
	const query = new URL(url).searchParams;
	return { url, redirectUri: new URL(query.get("redirect_uri") ?? ""), state: query.get("state") ?? "" };
}

describe("pi's /login, in its own screen", () => {
	it.each(endHosts.map((host) => ({ host })))(
		"ends with the browser's callback, and the first account serves at once: pi $host",
		async ({ host }) => {
			const bench = await browserBench({ host });
			const terminal = await openTerminal(bench, WIDE);
			const { url, redirectUri } = await beginSignIn(terminal);

			const page = await fetch(url);

			expect(await page.text()).toContain("You can close this page");
			await terminal.waitForText(LOGGED_IN, PATIENCE_MS);
			await terminal.waitForText(/Codex: added a\. The pool has 1 account now\.\s+a is a@example\.test/, PATIENCE_MS);
			expect(await answersAt(redirectUri.port)).toBe(false);
			const login = loginOfPi(bench);
			expect(login?.accountId).toBe(bench.codex.account("a").accountId);
			const { access, refresh, expires } = login ?? {};
			expect(storedAccounts(bench)).toMatchObject([
				{ label: "a", source: "pi", linked: true, needsLogin: null, credential: { access, refresh, expires } },
			]);
			await terminal.submit("say hi");
			await terminal.waitForText("OK from a #1", PATIENCE_MS);
			expect(bench.codex.tokenRequests()).toHaveLength(1);
		},
	);

	it.each(coreOf([NEWEST_HOST, "0.87.1"] as const).map((host) => ({ host })))(
		"ends with a code that was typed on another device: pi $host",
		async ({ host }) => {
			const bench = await browserBench({ host });
			const terminal = await openTerminal(bench, WIDE);
			await chooseCodex(terminal);
			await terminal.press("down", "enter");
			await terminal.waitForText(/[0-9A-F]{4}-[0-9A-F]{6}/, PATIENCE_MS);
			expect(terminal.screen()).toContain(`${bench.codex.issuer}/codex/device`);

			bench.codex.device.approve("b");

			await terminal.waitForText("Logged in to OpenAI Codex", PATIENCE_MS);
			expect(loginOfPi(bench)?.accountId).toBe(bench.codex.account("b").accountId);
			expect(storedLabels(bench)).toEqual(["b"]);
			await terminal.submit("say hi");
			await terminal.waitForText("OK from b #1", PATIENCE_MS);
		},
	);

	it("adds a second account for another person, and both serve", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench, WIDE);
		await fetch((await beginSignIn(terminal)).url);
		await terminal.waitForText(LOGGED_IN, PATIENCE_MS);
		// Plain pi, elsewhere, refreshes the first one: what it stored must not be lost when pi writes over it.
		const newest = signPiInAs(bench, "a");
		bench.codex.signIn("b");

		const { url, redirectUri } = await beginSignIn(terminal);
		await terminal.type(await redirectOf(url));
		await terminal.press("enter");
		await terminal.waitForScreen((screen) => !PASTE_FIELD.test(screen), PATIENCE_MS);
		await expect
			.poll(() => loginOfPi(bench)?.accountId, { timeout: PATIENCE_MS })
			.toBe(bench.codex.account("b").accountId);

		expect(await answersAt(redirectUri.port)).toBe(false);
		for (const name of ["a", "b"]) {
			await terminal.submit(`/multicodex use ${name}`);
			await terminal.waitForText(`using ${name} in all sessions`, PATIENCE_MS);
			await terminal.submit("say hi");
			await terminal.waitForText(`OK from ${name} #1`, PATIENCE_MS);
		}
		expect(await bench.print("say hi", [], { extension: false })).toMatchObject({ code: 0, stdout: "OK from b #2\n" });
		expect(storedAccounts(bench)).toMatchObject([
			{ label: "a", source: "pi", linked: false, needsLogin: null, credential: newest },
			{ label: "b", source: "pi", linked: true, needsLogin: null, credential: { access: loginOfPi(bench)?.access } },
		]);
	});

	it.each(coreOf(hostNames).map((host) => ({ host })))(
		"is cancelled by Esc without a trace: the port is free, nothing is stored, pi $host goes on",
		async ({ host }) => {
			const bench = await browserBench({ host });
			const terminal = await openTerminal(bench, WIDE);
			const { redirectUri } = await beginSignIn(terminal);
			expect(await answersAt(redirectUri.port)).toBe(true);

			await terminal.press("escape");
			await terminal.waitForScreen((screen) => !PASTE_FIELD.test(screen), PATIENCE_MS);
			await expect.poll(() => answersAt(redirectUri.port), { timeout: PATIENCE_MS }).toBe(false);

			// Newer hosts say this of any sign-in that is cancelled, with us and without.
			const pisOwn = host === "0.73.1" ? "" : "Error: Failed to login to OpenAI Codex: This operation was aborted";
			expect(terminal.transcript().replace(pisOwn, "")).not.toMatch(/error|cancelled|failed/i);
			await terminal.submit("say hi");
			await terminal.waitForText("No API key found", PATIENCE_MS);
			expect(bench.codex.tokenRequests()).toEqual([]);
			expect(loginOfPi(bench)).toBeUndefined();
			expect(storedAccounts(bench)).toEqual([]);
			const again = await beginSignIn(terminal);
			expect(again.redirectUri.port).toBe(redirectUri.port);
			await terminal.press("escape");
		},
	);

	it("refuses a callback and a pasted address with another state, and takes the right one after that", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench, WIDE);
		const { url, state } = await beginSignIn(terminal);
		const right = await redirectOf(url);
		const wrong = right.replace(state, "the-state-of-another-of-43-characters");
		expect(wrong).not.toBe(right);

		const refused = await fetch(wrong);

		expect(refused.status).toBe(400);
		expect(await refused.text()).not.toContain("Signed in");
		expect(bench.codex.tokenRequests()).toEqual([]);

		const accepted = await fetch(right);
		expect(accepted.status).toBe(200);
		await terminal.waitForText(LOGGED_IN, PATIENCE_MS);
		expect(storedLabels(bench)).toEqual(["a"]);

		const second = await beginSignIn(terminal);
		await terminal.type((await redirectOf(second.url)).replace(second.state, "a-strangers-state"));
		await terminal.press("enter");
		await terminal.waitForText("belongs to another sign-in", PATIENCE_MS);
		await terminal.waitForScreen((screen) => !PASTE_FIELD.test(screen), PATIENCE_MS);
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expect(await answersAt(second.redirectUri.port)).toBe(false);
	});

	wide("tells that the sign-in was refused in the browser", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench, WIDE);
		const { url } = await beginSignIn(terminal);
		bench.codex.denySignIn();

		const page = await fetch(url);

		expect(await page.text()).toContain("refused");
		await terminal.waitForText("The sign-in was refused in the browser.", PATIENCE_MS);
		expect(bench.codex.tokenRequests()).toEqual([]);
		expect(storedAccounts(bench)).toEqual([]);
	});

	it("uses the second registered port when the first is taken", async () => {
		const bench = await browserBench();
		await occupy(1455);
		const terminal = await openTerminal(bench, WIDE);
		const { url, redirectUri } = await beginSignIn(terminal);
		expect(redirectUri.port).toBe("1457");

		await fetch(url);

		await terminal.waitForText(LOGGED_IN, PATIENCE_MS);
		expect(storedLabels(bench)).toEqual(["a"]);
	});
});
