import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { CALLBACK_PORTS } from "../support/callback-ports.ts";
import { answers, type TokenAnswer, tokenAnswers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import type { Terminal } from "../support/terminal.ts";
import { coreOf, endHosts, wide } from "../support/tiers.ts";
import { storedAccounts, storedLabels } from "./credentials-support.ts";
import {
	answersAt,
	beginInBrowser,
	browserBench,
	cancelSignIn,
	codeOf,
	expectAdded,
	expectPortsFree,
	expectSignInGone,
	MODEL_QUESTION,
	occupy,
	opened,
	openers,
	openTerminal,
	PATIENCE_MS,
	passingFast,
	paste,
	redirectOf,
	SIGN_IN_SCREEN,
	withParameter,
} from "./sign-in-support.ts";
import { type Bench, until } from "./support.ts";

// Other files of tests may have the ports when a test of this one begins.
vi.setConfig({ testTimeout: 300_000 });

const TEN_MINUTES_MS = 10 * 60_000;
/** The sign-in is off the screen, nothing was stored, the ports are free, and pi takes a prompt. */
async function expectNothingHappened(bench: Bench, terminal: Terminal): Promise<void> {
	await expectSignInGone(terminal);
	await expectPortsFree();
	expect(storedAccounts(bench)).toEqual([]);
	expect(bench.dir.read("auth.json")).toSatisfy((text) => text === undefined || text === "{}");
	await terminal.submit("say hi");
	await terminal.waitForText("No API key found", PATIENCE_MS);
	expect(bench.asked()).toEqual([]);
}

describe("/multicodex add in a terminal", () => {
	it.each(endHosts.map((host) => ({ host })))(
		"opens the browser, takes its callback, and the account serves the next prompt: pi $host",
		async ({ host }) => {
			const bench = await browserBench({ host });
			const terminal = await openTerminal(bench);

			const { url, redirectUri, state } = await beginInBrowser(terminal);

			await terminal.waitForText("Your browser is open", PATIENCE_MS);
			expect(opened(bench)).toEqual([url]);
			expect(redirectUri.href).toBe("http://localhost:1455/auth/callback");
			expect(state).toMatch(/^[\w-]{43}$/);
			const page = await fetch(url);
			expect(await page.text()).toContain("You can close this page");
			await expectAdded(terminal, "a");
			await expectSignInGone(terminal);
			await expectPortsFree();
			expect(storedAccounts(bench)).toMatchObject([
				{ label: "a", source: "login", linked: false, enabled: true, needsLogin: null },
			]);
			expect(bench.codex.tokenRequests()).toHaveLength(1);
			await terminal.submit("say hi");
			await terminal.waitForText("OK from a #1", PATIENCE_MS);
		},
	);

	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"works in a home that holds nothing at all, up to an answer in the same session: pi $host",
		async ({ host }) => {
			const settings = { defaultProvider: undefined, defaultModel: undefined };
			const bench = await browserBench({ host, settings });
			const terminal = await openTerminal(bench);
			const { url } = await beginInBrowser(terminal, "/multicodex add work");

			await fetch(url);

			await expectAdded(terminal, "work");
			await terminal.submit("say hi");
			await terminal.waitForText("OK from a #1", PATIENCE_MS);
		},
	);

	wide("keeps the account when no model is chosen afterwards, and says how to choose one", async () => {
		const settings = { defaultProvider: undefined, defaultModel: undefined };
		const bench = await browserBench({ settings });
		const terminal = await openTerminal(bench);
		await fetch((await beginInBrowser(terminal)).url);
		await terminal.waitForText(MODEL_QUESTION, PATIENCE_MS);

		await terminal.press("escape");

		await terminal.waitForText("added a. The pool has 1 account now. /model chooses a Codex model.", PATIENCE_MS);
		expect(storedLabels(bench)).toEqual(["a"]);
	});

	it.each(
		coreOf(
			[
				{ cols: 120, what: "the redirect address", pasted: (redirect: string) => redirect },
				{ cols: 40, what: "the redirect address, in a narrow terminal,", pasted: (redirect: string) => redirect },
				{ cols: 120, what: "the code alone", pasted: codeOf },
				{ cols: 120, what: "the query", pasted: (redirect: string) => new URL(redirect).search },
				{
					cols: 120,
					what: "the code and the state",
					pasted: (redirect: string) => `${codeOf(redirect)}#${new URL(redirect).searchParams.get("state")}`,
				},
			],
			({ what }) => what === "the redirect address" || what === "the code alone",
		),
	)("takes $what when it is pasted", async ({ cols, pasted }) => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench, { cols });
		const { url } = await beginInBrowser(terminal);

		await paste(terminal, pasted(await redirectOf(url)));

		await expectAdded(terminal, "a");
		expect(storedLabels(bench)).toEqual(["a"]);
		await expectPortsFree();
		expect(bench.codex.tokenRequests()).toHaveLength(1);
	});

	wide(
		"takes an address that a terminal pastes in one piece, broken into lines as a narrow window shows it",
		async () => {
			const bench = await browserBench();
			const terminal = await openTerminal(bench, { cols: 80 });
			const { url } = await beginInBrowser(terminal);
			const lines = (await redirectOf(url)).match(/.{1,60}/g) ?? [];
			expect(lines.length).toBeGreaterThan(1);

			await terminal.type(`\x1b[200~${lines.join("\n")}\n\x1b[201~`);
			expect(terminal.screen()).toContain(SIGN_IN_SCREEN);
			await terminal.press("enter");

			await expectAdded(terminal, "a");
		},
	);

	wide("says what is wrong with a pasted text, and takes the right one after that", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench);
		const { url } = await beginInBrowser(terminal);
		const right = await redirectOf(url);

		await paste(terminal, "https://chatgpt.com/?from=somewhere");
		await terminal.waitForText("The pasted text contains no sign-in code.", PATIENCE_MS);
		await paste(terminal, withParameter(right, "state", "a-strangers-state"));
		await terminal.waitForText("The pasted text belongs to another sign-in.", PATIENCE_MS);
		await paste(terminal, "http://localhost:1455/auth/callback?error=access_denied&error_description=no");
		await terminal.waitForText("The sign-in was refused in the browser.", PATIENCE_MS);
		await paste(terminal, "   ");
		expect(terminal.screen()).toContain(SIGN_IN_SCREEN);
		expect(bench.codex.tokenRequests()).toEqual([]);
		// Blanks that a person copies along.
		await terminal.press("ctrl+u");
		await paste(terminal, ` ${right}  `);

		await expectAdded(terminal, "a");
		expect(bench.codex.tokenRequests()).toHaveLength(1);
	});

	wide("keeps the field after an unknown code, and sends no late address to the model", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench);
		const { url } = await beginInBrowser(terminal);
		const right = await redirectOf(url);
		await paste(terminal, "garbage");
		await terminal.waitForText("did not accept the code that was pasted.", PATIENCE_MS);
		expect(terminal.screen()).toContain(SIGN_IN_SCREEN);
		await paste(terminal, right);
		await expectAdded(terminal, "a");
		expect(bench.codex.tokenRequests()).toHaveLength(2);

		await paste(terminal, right);
		await terminal.waitForText("it was not sent to the model.", PATIENCE_MS);
		await terminal.submit("say hi");
		await terminal.waitForText("OK from a #1", PATIENCE_MS);
		expect(JSON.stringify(bench.codex.responsesRequests())).not.toContain("auth/callback");
	});

	it("refuses a callback with another state, goes on, and takes the right one", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench);
		const { url } = await beginInBrowser(terminal);
		const right = await redirectOf(url);

		const refusals = await Promise.all(
			[withParameter(right, "state", "a-strangers-state"), right.replace(/state=[^&]*&?/, "")].map((address) =>
				fetch(address),
			),
		);

		expect(refusals.map(({ status }) => status)).toEqual([400, 400]);
		expect(terminal.screen()).toContain(SIGN_IN_SCREEN);
		expect(bench.codex.tokenRequests()).toEqual([]);
		expect(await fetch(right)).toMatchObject({ status: 200 });
		await expectAdded(terminal, "a");
		expect(bench.codex.tokenRequests()).toHaveLength(1);
	});

	wide("ignores a second callback while the first is being exchanged", async () => {
		const bench = await browserBench();
		bench.codex.account("a").token(tokenAnswers.delay(3_000));
		const terminal = await openTerminal(bench);
		const { url } = await beginInBrowser(terminal);
		const first = await redirectOf(url);
		bench.codex.signIn("b");
		const second = await redirectOf(url);

		// The page is answered when the exchange is over: it names the account.
		const answered = fetch(first);
		await until("the exchange", () => bench.codex.tokenRequests().length === 1);
		const again = await fetch(first);
		const other = await fetch(second);

		expect([again.status, other.status]).toEqual([400, 400]);
		expect((await answered).status).toBe(200);
		await expectAdded(terminal, "a");
		expect(storedLabels(bench)).toEqual(["a"]);
		expect(bench.codex.tokenRequests()).toHaveLength(1);
	});

	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"is cancelled by Esc without a trace, and can be begun again: pi $host",
		async ({ host }) => {
			const bench = await browserBench({ host });
			const terminal = await openTerminal(bench);
			const { redirectUri } = await beginInBrowser(terminal);
			expect(await answersAt(redirectUri.port)).toBe(true);

			await cancelSignIn(terminal);
			await expectNothingHappened(bench, terminal);
			expect(bench.codex.tokenRequests()).toEqual([]);
			const again = await beginInBrowser(terminal);
			expect(again.redirectUri.port).toBe(redirectUri.port);
			await fetch(again.url);
			await expectAdded(terminal, "a");
		},
	);

	wide("is cancelled by Ctrl+C too, and pi stays", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench);
		await beginInBrowser(terminal);

		await cancelSignIn(terminal, "ctrl+c");
		await expectNothingHappened(bench, terminal);
	});

	it("is cancelled in the middle of the exchange, and stores nothing of what comes after", async () => {
		const bench = await browserBench();
		bench.codex.account("a").token(tokenAnswers.delay(2_000));
		const terminal = await openTerminal(bench);
		const { url } = await beginInBrowser(terminal);
		// The page waits for what becomes of the exchange.
		const page = fetch(url);
		await bench.codex.waitFor(({ kind }) => kind === "token", PATIENCE_MS);

		await terminal.press("escape");

		expect(await (await page).text()).toBe("The sign-in was cancelled in pi. You can close this page.");
		await expectNothingHappened(bench, terminal);
		await bench.codex.waitFor(({ kind, endedAt }) => kind === "token" && endedAt !== undefined, PATIENCE_MS);
		expect(storedAccounts(bench)).toEqual([]);
	});

	it("ends after ten minutes without the person, and says so", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench, { env: passingFast(TEN_MINUTES_MS, 2_000) });
		await beginInBrowser(terminal);

		await terminal.waitForText("The sign-in was not completed within 10 minutes. Start again.", PATIENCE_MS);

		await expectNothingHappened(bench, terminal);
		expect(bench.codex.tokenRequests()).toEqual([]);
	});

	wide("uses the second port when the first is taken", async () => {
		const bench = await browserBench();
		await occupy(1455);
		const terminal = await openTerminal(bench);
		const { url, redirectUri } = await beginInBrowser(terminal);
		expect(redirectUri.port).toBe("1457");

		await fetch(url);

		await expectAdded(terminal, "a");
		await expect.poll(() => answersAt(1457), { timeout: PATIENCE_MS }).toBe(false);
	});

	wide("runs in two sessions at once, each on a port of its own", async () => {
		const bench = await browserBench();
		const [first, second] = [await openTerminal(bench), await openTerminal(bench)];
		const [a, b] = [await beginInBrowser(first), await beginInBrowser(second)];
		expect([a.redirectUri.port, b.redirectUri.port]).toEqual(["1455", "1457"]);

		bench.codex.signIn("b");
		await fetch(b.url);
		await expectAdded(second, "b");
		bench.codex.signIn("a");
		await fetch(a.url);
		await expectAdded(first, "a");

		expect(new Set(storedLabels(bench))).toEqual(new Set(["a", "b"]));
	});

	wide("can be begun while an answer streams, which goes on to its end", async () => {
		const bench = await browserBench({ accounts: ["a"], strangers: ["b"] });
		let finish: (() => void) | undefined;
		const finished = new Promise<void>((resolve) => {
			finish = resolve;
		});
		bench.codex.account("a").next(async () => {
			await finished;
			return answers.text("the long answer");
		});
		const terminal = await openTerminal(bench);
		await terminal.submit("say hi");
		await bench.codex.waitFor(({ kind }) => kind === "responses" || kind === "websocket-request", PATIENCE_MS);

		const { url } = await beginInBrowser(terminal);
		finish?.();
		await terminal.waitForText("the long answer", PATIENCE_MS);
		bench.codex.signIn("b");
		await fetch(url);

		await expectAdded(terminal, "b");
		expect(storedLabels(bench)).toEqual(["a", "b"]);
	});

	it.each(coreOf([120, 40]))("says that both ports are taken, and takes a pasted address: %s columns", async (cols) => {
		const bench = await browserBench();
		await occupy(...CALLBACK_PORTS);
		const terminal = await openTerminal(bench, { cols });
		const { url } = await beginInBrowser(terminal);
		expect(terminal.screen().replace(/\s+/g, " ")).toContain("other programs use ports 1455 and 1457");

		await paste(terminal, await redirectOf(url));

		await expectAdded(terminal, "a");
		expect(storedLabels(bench)).toEqual(["a"]);
	});

	it.each(
		coreOf(
			[
				{
					what: "the person refuses",
					error: "access_denied",
					description: "The user denied the request",
					sentence: "The sign-in was refused in the browser.",
				},
				{
					what: "the workspace has no Codex",
					error: "access_denied",
					description: "missing_codex_entitlement",
					sentence: "Codex is not switched on in this ChatGPT workspace. Its administrator can change that.",
				},
				{
					what: "the issuer says anything else",
					error: "server_error",
					description: "rt_text_of_theirs",
					sentence: "The sign-in service refused the sign-in. Start again.",
				},
			],
			({ description }) => description === "missing_codex_entitlement",
		),
	)("says that $what", async ({ error, description, sentence }) => {
		const bench = await browserBench();
		bench.codex.denySignIn(error, description);
		const terminal = await openTerminal(bench);
		const { url } = await beginInBrowser(terminal);

		const page = await fetch(url);

		expect(await page.text()).toContain("refused");
		await terminal.waitForText(sentence, PATIENCE_MS);
		expect(terminal.screen()).not.toContain(description);
		await expectNothingHappened(bench, terminal);
		expect(bench.codex.tokenRequests()).toEqual([]);
	});

	it.each(
		coreOf<{ readonly what: string; readonly answer: TokenAnswer; readonly sentence: string }>([
			{
				what: "this region is blocked",
				answer: answers.regionBlocked(),
				sentence: "OpenAI does not offer Codex in the region that this connection comes from.",
			},
			{ what: "Cloudflare is in the way", answer: answers.cloudflare(), sentence: "Cloudflare blocked this machine" },
			{
				what: "the service is out of order",
				answer: answers.serverError(503),
				sentence: "The sign-in service is not working (503). Try again later.",
			},
			{ what: "there were too many", answer: answers.bare429(), sentence: "got too many sign-ins from here" },
			{
				what: "the code was not accepted",
				answer: tokenAnswers.permanent("invalid_grant", { status: 400 }),
				sentence: "The sign-in service did not accept the code (400). Start again.",
			},
			{
				what: "the service cannot be reached",
				answer: answers.resetBeforeHeaders(),
				sentence: "The sign-in service cannot be reached.",
			},
			{
				what: "no refresh token came",
				answer: tokenAnswers.withoutRefreshToken(),
				sentence: "The sign-in came without a refresh token, so it would not last. Start again.",
			},
			{
				what: "the token names no account",
				answer: tokenAnswers.change((body) => ({ ...body, access_token: "eyJhbGciOiJub25lIiwi.e30.x" })),
				sentence: "The sign-in returned no account that Codex accepts: its token names no ChatGPT workspace.",
			},
		]),
	)("says, after the browser is done, that $what", async ({ answer, sentence }) => {
		const bench = await browserBench();
		bench.codex.token(answer);
		const terminal = await openTerminal(bench, { cols: 160 });
		const { url } = await beginInBrowser(terminal);

		await fetch(url);

		await terminal.waitForText(sentence, PATIENCE_MS);
		await expectNothingHappened(bench, terminal);
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		bench.codex.token(undefined);
		await fetch((await beginInBrowser(terminal)).url);
		await expectAdded(terminal, "a");
	});

	wide("says that no browser could be opened, and the address stays to be used elsewhere", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench, { at: "no browser" });
		const { url } = await beginInBrowser(terminal);

		await terminal.waitForText(/No browser could be opened here\.[\s\S]*this address on any machine/, PATIENCE_MS);
		expect(terminal.screen().replaceAll("\n", "")).toContain(url);
		await paste(terminal, await redirectOf(url));

		await expectAdded(terminal, "a");
	});

	it.each(coreOf([120, 80, 40], (cols) => cols === 40))(
		"shows the whole address, each line a link to all of it, at %s columns",
		async (cols) => {
			const bench = await browserBench();
			const terminal = await openTerminal(bench, { cols });
			const { url } = await beginInBrowser(terminal);
			await terminal.waitForText("Your browser is open", PATIENCE_MS);

			expect(opened(bench)).toEqual([url]);
			expect(new Set([...terminal.output().matchAll(OPENING_LINK)].map(([, target]) => target))).toEqual(
				new Set([url]),
			);
			for (const line of terminal.screen().split("\n")) expect(line.length).toBeLessThanOrEqual(cols);
			await cancelSignIn(terminal);
		},
	);

	it.each(coreOf(hostNames.map((host) => ({ host }))))("copies the address with ctrl+y: pi $host", async ({ host }) => {
		const bench = await browserBench({ host });
		const copied = bench.dir.path("copied");
		openers(bench);
		writeFileSync(bench.dir.path("bin/xclip"), `#!/bin/sh\ncat > '${copied}'\n`, { mode: 0o755 });
		writeFileSync(bench.dir.path("bin/pbcopy"), `#!/bin/sh\ncat > '${copied}'\n`, { mode: 0o755 });
		const terminal = await openTerminal(bench, { env: { DISPLAY: ":0", XDG_SESSION_TYPE: "x11" } });
		const { url } = await beginInBrowser(terminal);

		await terminal.press("ctrl+y");

		await terminal.waitForText("The address is in the clipboard.", PATIENCE_MS);
		const inTerminal = [...terminal.output().matchAll(CLIPBOARD)].map(([, text = ""]) =>
			Buffer.from(text, "base64").toString(),
		);
		// A newer host asks a library of its own first, which has no display here either.
		const got = inTerminal.length > 0 ? inTerminal : [readFileSync(copied, "utf8")];
		expect(got).toEqual([url]);
		await cancelSignIn(terminal);
	});

	wide("copies through the terminal if there is no clipboard of the machine's own, as over SSH", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench, { at: "no browser", env: { SSH_CONNECTION: "10.0.0.1 1 10.0.0.2 22" } });
		const { url } = await beginInBrowser(terminal);

		await terminal.press("ctrl+y");

		await expect
			.poll(() => [...terminal.output().matchAll(CLIPBOARD)].length, { timeout: PATIENCE_MS })
			.toBeGreaterThan(0);
		const [[, text = ""] = []] = [...terminal.output().matchAll(CLIPBOARD)];
		expect(Buffer.from(text, "base64").toString()).toBe(url);
		await cancelSignIn(terminal);
	});

	wide("keeps the session it was begun in, which can be left in the middle of it", async () => {
		const bench = await browserBench();
		const terminal = await openTerminal(bench);
		await beginInBrowser(terminal);

		await terminal.stop();

		await expectPortsFree();
		expect(storedAccounts(bench)).toEqual([]);
		expect(bench.codex.tokenRequests()).toEqual([]);
	});
});

/** The start of a link in a terminal, and its target. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what a terminal obeys.
const OPENING_LINK = /\x1b\]8;;([^\x07\x1b]+)(?:\x07|\x1b\\)/g;
/** What a terminal puts into the clipboard of the machine it runs on. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what a terminal obeys.
const CLIPBOARD = /\x1b\]52;c;([^\x07\x1b]+)(?:\x07|\x1b\\)/g;
