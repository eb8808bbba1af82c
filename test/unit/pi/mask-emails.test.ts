import { type Component, visibleWidth } from "@mariozechner/pi-tui";
import { afterEach, describe, expect, it } from "vitest";
import { maskedContext } from "../../../src/pi/mask-emails.ts";
import { COMMANDS } from "../../support/commands.ts";
import { anAccount, NOW } from "../../support/fakes.ts";
import { anId } from "../../support/ids.ts";
import { aGrant, type CommandHarness, createCommandHarness } from "../command-harness.ts";
import { aContext } from "../fake-pi.ts";

const lost = { needsLogin: { reason: "revoked", at: NOW } };
/** Labels that are e-mails: as a user may type them, and two that look the same once they are hidden. */
const work = anAccount("me@work.example", { id: anId("aaaaaaaaaaaa"), email: "me@work.example" });
const twin = anAccount("mo@work.example", { id: anId("bbbbbbbbbbbb"), email: "mo@work.example", ...lost });
const side = anAccount("side", { id: anId("cccccccccccc"), email: "side@home.example", enabled: false });
const other = anAccount("my own@home.example", { id: anId("dddddddddddd"), email: "own@home.example", ...lost });
const ADDRESS = /(me|mo|side|own|new)@/;

function aMaskedHarness(mode: "tui" | "rpc" | "print" = "rpc"): CommandHarness {
	const cli = createCommandHarness([work, twin, side, other], { mode, hasUI: mode !== "print" });
	cli.harness.settings = { ...cli.harness.settings, maskEmails: true };
	cli.inBrowser = async () => aGrant("new");
	cli.onDevice = async () => aGrant("new");
	cli.found = [
		{
			kind: "login",
			tool: "codex",
			path: "/x/accounts/new@home.example.json",
			name: "new@home.example",
			credential: aGrant("new"),
			workspaceIdHint: undefined,
		},
	];
	return cli;
}
/** Ways to give each command that have something to say; every other command is given as it stands, too. */
const WAYS: Readonly<Record<string, readonly string[]>> = {
	show: ["", "--json"],
	use: ["", "me@work.example", "mo@work.example", "auto"],
	add: ["", "me@work.example", "--undo"],
	login: ["", "mo@work.example", '"my own@home.example"'],
	import: ["--dry-run", ""],
	remove: ["me@work.example", "own@home.example --logout", "missing@home.example"],
	rename: ["me@work.example", "me@work.example me@other.example", "side me@work.example"],
	enable: ["me@work.example", "mo@work.example", "side"],
	disable: ["me@work.example", "side"],
	refresh: ["", "me@work.example"],
	rotation: ["", "me@work.example=5"],
};

describe("with maskEmails", () => {
	const lines = COMMANDS.flatMap(({ name }) => ["", ...(WAYS[name] ?? [])].map((words) => `${name} ${words}`.trim()));
	it.each([...new Set([...lines, "me@work.example"])])("no e-mail is shown by /multicodex %s", async (line) => {
		const cli = aMaskedHarness();
		await cli.command.handler(line, cli.screen.ctx);
		const { notices, questions, details } = cli.screen;
		expect(notices.length + questions.length).toBeGreaterThan(0);
		expect([...notices, ...questions, ...details].join("\n")).not.toMatch(ADDRESS);
	});

	it("no completion shows or types one", async () => {
		const cli = aMaskedHarness();
		for (const { name } of COMMANDS) {
			expect(JSON.stringify(await cli.command.getArgumentCompletions(`${name} `))).not.toMatch(ADDRESS);
		}
		expect(cli.offered("use ")).toEqual(expect.arrayContaining(["use aaaaaaaaaaaa", "use side"]));
	});

	it("the account that was chosen is the one that was offered, though another looks the same", async () => {
		const cli = aMaskedHarness();
		cli.screen.choice = "m…@work.example-2";
		cli.inBrowser = () => Promise.reject(new Error("not now"));
		await cli.command.handler("login", cli.screen.ctx);
		expect(cli.screen.details[0]).toBe("m…@work.example, my o…@home.example");
		cli.screen.choice = "m…@work.example-2";
		await cli.command.handler("use", cli.screen.ctx);
		expect(cli.screen.notices.at(-1)).toMatch(/^error: Codex account m…@work\.example cannot be used/);
	});

	it("output without a screen shows none either", async () => {
		const cli = aMaskedHarness("print");
		for (const line of ["use missing@home.example", "me@work.example", "remove me@work.example --x"]) {
			const { said } = await cli.runUnseen(line);
			expect(said).not.toBe("");
			expect(said).not.toMatch(/(missing|me)@/);
		}
	});
});

it("an account is the one that was chosen from the menu of a masked pool, though another looks the same", async () => {
	const cli = aMaskedHarness();
	const disable = COMMANDS.find(({ name }) => name === "disable");
	const answers = [`disable: ${disable?.summary}`, "m…@work.example-2"];
	Object.defineProperty(cli.screen, "choice", { get: () => answers.shift() });
	await cli.command.handler("", cli.screen.ctx);
	const twinIsOn = cli.harness.pool.account(twin.id)?.enabled;
	expect([cli.screen.notices.at(-1), twinIsOn]).toEqual([expect.stringContaining("info: "), false]);
});

describe("a private context", () => {
	let isMasked = true;
	afterEach(() => {
		isMasked = true;
	});
	const screen = aContext({ mode: "tui" });
	const ctx = maskedContext(screen.ctx, () => isMasked);

	it("hides what a panel draws, and leaves the panel what it is", async () => {
		const typed: string[] = [];
		const panel = {
			focused: false,
			render: () => [`\u001b[1mme@work.example\u001b[0m of ${panel.focused}`],
			invalidate: () => undefined,
			handleInput: (text: string) => typed.push(text),
		};
		const shown = ctx.ui.custom<string>((_tui, _theme, _keys, done) => {
			setImmediate(() => done("over"));
			return panel as Component;
		});
		Object.assign(screen.panel ?? {}, { focused: true });
		screen.panel?.handleInput?.("x");
		expect(screen.panel?.render(80)).toEqual(["\u001b[1mm…@work.example\u001b[0m of true"]);
		expect([typed, await shown]).toEqual([["x"], "over"]);
	});

	it("makes no line of a panel too wide for the terminal: pi ends at one that is", () => {
		const lines = ["\u00e9\u0301@b.test", "👨‍👩‍👧@b.test"];
		void ctx.ui.custom(() => ({ render: () => lines, invalidate: () => undefined }));
		for (const line of screen.panel?.render(8) ?? []) expect(visibleWidth(line)).toBeLessThanOrEqual(8);
	});

	it("a private context is the context itself while nothing is to be hidden", () => {
		isMasked = false;
		expect(ctx.ui).toBe(screen.ctx.ui);
		ctx.ui.setStatus("x", "me@work.example");
		expect(screen.statuses.at(-1)).toBe("me@work.example");
		isMasked = true;
		ctx.ui.setStatus("x", "me@work.example");
		expect(screen.statuses.at(-1)).toBe("m…@work.example");
		expect(ctx.sessionManager).toBe(screen.ctx.sessionManager);
	});

	it("throws as the context does once that is stale", () => {
		screen.isStale = true;
		expect(() => ctx.ui).toThrow("stale");
		screen.isStale = false;
	});
});
