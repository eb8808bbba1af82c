import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { holdCallbackPorts } from "../support/callback-ports.ts";
import { answers } from "../support/fake-codex/index.ts";
import { type HostName, NEWEST_HOST, OLDEST_HOST } from "../support/hosts.ts";
import { writeTool } from "../support/import-fixtures.ts";
import type { Terminal } from "../support/terminal.ts";
import { coreOf } from "../support/tiers.ts";
import { storedLabels } from "./credentials-support.ts";
import { beginInBrowser, MODEL_QUESTION, openTerminal, PATIENCE_MS } from "./sign-in-support.ts";
import { type Bench, createBench } from "./support.ts";

/** A home that nothing was set in. */
const FRESH = { defaultProvider: undefined, defaultModel: undefined };
const ENDS: readonly { readonly host: HostName }[] = [{ host: OLDEST_HOST }, { host: NEWEST_HOST }];

const FOUND = "Codex CLI login a@example.test found. /multicodex import takes it.";
const NOTHING_FOUND = "No Codex account yet. /multicodex add signs in to one.";

/** The screen as running text: where a line breaks is of no concern. */
const flat = (screen: string) => screen.replaceAll(/\s+/g, " ");
const waitFor = (terminal: Terminal, words: string) =>
	terminal.waitForScreen((screen) => flat(screen).includes(words), PATIENCE_MS);

/** A home of a person who has just installed pi and us; figures are as the backend models them. */
function freshHome(host: HostName): Promise<Bench> {
	return createBench({ host, accounts: [], strangers: ["a", "b"], settings: FRESH });
}

async function startIn(bench: Bench, cols = 120): Promise<Terminal> {
	const terminal = bench.terminal([], { cols, rows: 40 });
	await terminal.ready(PATIENCE_MS);
	return terminal;
}

describe("the first minute in a home without an account", () => {
	it.each(ENDS)("says once what lies on this machine, and import takes what is chosen: pi $host", async ({ host }) => {
		const tools = await freshHome(host);
		const login = { name: "a", ...tools.codex.grant("a") };
		await writeTool("codex", tools.dir.home, [login]);
		tools.excuse([join(tools.dir.home, ".codex/auth.json")]);
		for (const args of [
			["-p", "say hi"],
			["--mode", "json", "say hi"],
		]) {
			const { stdout, stderr } = await tools.run(args);
			expect(stdout + stderr).not.toContain("multicodex");
		}
		expect(tools.dir.read("codex-state.json")).toBeUndefined();
		const terminal = await startIn(tools);
		await waitFor(terminal, FOUND);
		await terminal.stop();
		// Who has read it once is left in peace, until there is an account.
		const again = await startIn(tools);
		await again.submit("/multicodex import");
		await again.waitForText("█  Yes, import it", PATIENCE_MS);
		expect(flat(again.screen())).not.toContain(FOUND);
		await again.press("enter");
		await waitFor(again, MODEL_QUESTION);
		await again.press("enter");
		await waitFor(again, "Codex: imported a.");
		expect(flat(again.screen())).toMatch(
			/a: \d+% of 5h( until \S+)?, \d+% of the week.* left\. The pool has 1 account now\./,
		);
		expect(storedLabels(tools)).toEqual(["a"]);
	});

	it.each(coreOf(ENDS, ({ host }) => host === NEWEST_HOST))(
		"says how to sign in if nothing was found, and then who that is: pi $host",
		async ({ host }) => {
			await holdCallbackPorts();
			const bench = await freshHome(host);
			const terminal = await openTerminal(bench);
			await waitFor(terminal, NOTHING_FOUND);
			const page = await fetch((await beginInBrowser(terminal)).url);
			expect(await page.text()).toBe("Signed in as a@example.test, and pi has the sign-in. You can close this page.");
			await waitFor(terminal, MODEL_QUESTION);
			await terminal.press("enter");
			await waitFor(terminal, "Codex: added a. The pool has 1 account now.");
			expect(flat(terminal.screen())).toMatch(
				/a is a@example\.test \(\w+\)\. Left: \d+% of 5h.* \/multicodex add signs in to the next one/,
			);
			expect(storedLabels(bench)).toEqual(["a"]);
		},
	);
});

describe("a session on pi's own ChatGPT sign-in under openai", () => {
	const auth = {
		openai: {
			type: "oauth",
			access: "plan-access",
			refresh: "plan-refresh",
			expires: Date.now() + 3_600_000,
			clientId: "oaiapp_test",
			scopes: [],
		},
	};

	it("shows that it is not served and what to type, and so does verify", async () => {
		const settings = { defaultProvider: "openai", defaultModel: "gpt-6.2-sol" };
		const bench = await createBench({ host: NEWEST_HOST, settings, auth, usage: answers.serverError(500) });
		const terminal = await startIn(bench);
		await waitFor(terminal, "pi-multicodex serves openai-codex. /model openai-codex/gpt-6.2-sol");
		await terminal.submit("/multicodex verify");
		await waitFor(terminal, "This session uses pi's ChatGPT sign-in under its provider openai");
		const old = await createBench({ host: OLDEST_HOST, settings: { ...settings, defaultModel: "gpt-5.5" }, auth });
		const verified = await old.print("/multicodex verify");
		expect(verified.stdout).not.toContain("ChatGPT sign-in");
	});
});
