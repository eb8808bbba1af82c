import { expect, it, vi } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { type HostName, hostNames } from "../support/hosts.ts";
import type { Terminal } from "../support/terminal.ts";
import { coreOf } from "../support/tiers.ts";
import { openTerminal, PATIENCE_MS } from "./sign-in-support.ts";
import { createBench, until } from "./support.ts";

/**
 * What a person met who tried everything, in one session of a real terminal: each step is here once, in the order in
 * which a person comes to it. What a step has a file of its own for is not repeated.
 */

vi.setConfig({ testTimeout: 240_000 });

const HOUR_MS = 3_600_000;
const THREE = [
	{ name: "work", quota: { fiveHour: { usedPercent: 27, resetsInMs: 1.2 * HOUR_MS } } },
	{ name: "tokyo", quota: { fiveHour: { usedPercent: 61, resetsInMs: 2.5 * HOUR_MS } } },
	{ name: "side", quota: { fiveHour: { usedPercent: 40, resetsInMs: 4 * HOUR_MS } } },
];
const TOKYO = "🚀 東京オフィス";

const isIn = (terminal: Terminal, sign: string | RegExp) => terminal.waitForText(sign, PATIENCE_MS);
const gone = (terminal: Terminal, sign: string) =>
	terminal.waitForScreen((screen) => !screen.includes(sign), PATIENCE_MS);
/** A person needs a moment from one key to the next; what comes faster is text, of which no key is taken. */
const unhurried = () => new Promise((resolve) => setTimeout(resolve, 250));
/** The last line of the screen. */
const footerOf = (screen: string) => screen.split("\n").at(-1) ?? "";
const footer = (terminal: Terminal, pattern: RegExp) =>
	terminal.waitForScreen((screen) => pattern.test(footerOf(screen)), PATIENCE_MS);
/** Gives a command, and waits for what it says, wherever that is broken into lines. */
const says = async (terminal: Terminal, command: string, words: string) => {
	await terminal.submit(`/multicodex ${command}`);
	await terminal.waitForScreen((screen) => screen.replaceAll(/\s+/g, " ").includes(words), PATIENCE_MS);
};

it.each(coreOf<{ readonly host: HostName }>(hostNames.map((host) => ({ host }))))(
	"a person finds every word and key that they try, and each says what it did: pi $host",
	async ({ host }) => {
		const settings = { transport: "sse", "pi-multicodex": { rotation: { policy: "in-order" } } };
		const bench = await createBench({ host, accounts: THREE, settings, rows: { tokyo: { label: TOKYO } } });
		const terminal = await openTerminal(bench, { cols: 100, rows: 40 });
		await footer(terminal, /^codex work .*73% left .*3 of 3 ready$|^codex work .*73% left .*3\/3 ready$/);

		// A blank behind the command, and Enter.
		await terminal.type("/multicodex ");
		await isIn(terminal, /^→ dashboard/m);
		await terminal.press("enter");
		await isIn(terminal, /^\/multicodex dashboard$/m);
		await terminal.press("enter");
		await isIn(terminal, /^█→ work .*ready$/m);
		await terminal.type("j");
		await isIn(terminal, /^█ {2}🚀 東京オフィス/m);
		await terminal.press("pageDown");
		await isIn(terminal, /^█ {2}side/m);
		await terminal.type("k");
		await isIn(terminal, /^█ {2}🚀 東京オフィス/m);
		await unhurried();
		await terminal.press("enter");
		await footer(terminal, /^codex 🚀 東京オフィス pinned .*39% left/);
		await terminal.type("a");
		await footer(terminal, /^codex work .*73% left/);
		await terminal.press("escape");
		await gone(terminal, "esc close");

		// The beginning of a label in any writing is completed.
		await terminal.type("/multicodex use 東");
		await terminal.press("backspace");
		await terminal.type("東");
		await isIn(terminal, /^→ 🚀 東京オフィス/m);
		await terminal.press("enter", "enter");
		await until("the pin", () => bench.pin() === bench.id("tokyo"));
		await says(terminal, "unpin", "unpinned; accounts are chosen automatically");

		await says(terminal, "stauts", "Did you mean status?");
		await says(terminal, "add --devcie", "There is no option --devcie here. Did you mean --device?");
		await says(terminal, "use wrok", "Did you mean work?");
		await says(terminal, "rotation polcy=in-order", 'There is no setting "polcy". Did you mean policy?');
		await says(terminal, "ls", "3 of 3 ready");
		await says(terminal, "rotation maxWait=1.5h", "(was 60s, default 60s)");
		await terminal.submit("/multicodex rotation");
		await isIn(terminal, /maxWait\* +90m/);
		await terminal.press("escape");
		await gone(terminal, "Esc to close");
		await says(terminal, "rotation maxWait=default", "(was 90m)");

		// A refusal, and what is left of it.
		bench.codex.account("work").always(answers.usageLimit({ resetsInMs: 1.2 * HOUR_MS }));
		await terminal.submit("say hi");
		await isIn(terminal, /OK from tokyo #1/);
		await terminal.submit("/multicodex");
		await isIn(terminal, "esc close");
		await terminal.press("home");
		await isIn(terminal, /last error \d\d:\d\d: usage limit/);
		await terminal.press("escape");
		await gone(terminal, "esc close");

		await says(terminal, "remove side", "Remove side?");
		await terminal.press("down");
		await isIn(terminal, "█  Remove");
		await terminal.press("enter");
		await isIn(terminal, /removed side/);
		await says(terminal, "undo", "side is back");
		await says(terminal, "ls", "2 of 3 ready");
		await isIn(terminal, /side .*60%/);

		// A sign-in that is lost: who, why and what to type, once, and who goes on with what left of which window.
		bench.codex.account("side").revokeTokens();
		await says(terminal, "use side", "using side in all sessions");
		await terminal.submit("say more");
		await isIn(terminal, /OK from tokyo #2/);
		const said = terminal.screen().replaceAll(/\s+/g, " ");
		expect(said).toContain("Codex account side was signed out: its sign-in was revoked. /multicodex login side");
		expect(said).toContain(`Codex: continued on ${TOKYO}, 39% of its 5h limit left.`);
		await says(terminal, "unpin", "unpinned");

		// Nothing is left: one moment has one time, in the error and in the footer below it.
		bench.codex.account("tokyo").always(answers.usageLimit({ resetsInMs: 2.5 * HOUR_MS }));
		await terminal.submit("say it again");
		const told = /quota\s+exceeded[\s\S]*The\s+first\s+resets\s+in\s+1h\d\dm\s+\((?:\w{3}\s+)?(\d\d:\d\d)\)/;
		const [, clock] = told.exec(await isIn(terminal, told)) ?? [];
		await footer(terminal, new RegExp(`work back (?:\\w{3} )?${clock} \\(1h\\d\\dm\\)`));

		await says(terminal, `disable ${JSON.stringify(TOKYO)}`, "No Codex account is ready now.");
		await footer(terminal, /0\/3 ready|0 of 3 ready/);
		await says(terminal, `enable ${JSON.stringify(TOKYO)}`, "is on again.");

		await says(terminal, "off", "/multicodex on to undo");
		await terminal.submit("/multicodex");
		await isIn(terminal, /off, \/multicodex on resumes[\s\S]*esc close/);
		await terminal.press("home", "down");
		await isIn(terminal, /enter use later/);
		expect(terminal.screen()).not.toMatch(/enter use {2}/);
	},
);
