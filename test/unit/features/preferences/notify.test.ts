import { stripVTControlCharacters } from "node:util";
import { beforeEach, describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import { anAccount, settled } from "../../../support/fakes.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";
import { aContext } from "../../fake-pi.ts";

let cli: CommandHarness;
beforeEach(() => {
	cli = createCommandHarness([anAccount("a")]);
	cli.harness.settings = DEFAULT_SETTINGS;
});

describe("notify", () => {
	it("shows every value, and what they lead to, if there is no panel", async () => {
		cli.screen = aContext({ mode: "rpc" });
		const text = await cli.run("notify");
		expect(text).toMatch(/^info: to +off +\S/);
		expect(text).toMatch(/^quiet +off +\S/m);
		expect(text).toMatch(/^warnAt +25,10,5 +\S/m);
		expect(text).toMatch(/^Nothing is sent: /m);
	});

	it("shows the same on its panel", async () => {
		Object.assign(cli.screen.ctx.ui.theme, { fg: (_tone: string, text: string) => text });
		const closed = cli.command.handler("notify", cli.screen.ctx);
		await settled();
		const text = stripVTControlCharacters(cli.screen.panel?.render(200).join("\n") ?? "");
		expect(text).toMatch(/^ *Nothing is sent: /m);
		cli.screen.panel?.handleInput?.("\x1b");
		await closed;
	});

	it.each([
		["to=terminal", { "notify.to": "terminal" }],
		["quiet=22-7 warnAt=25, 5", { "notify.quiet": "22:00-07:00", "notify.warnAt": "25,5" }],
		["warnAt=10", { "notify.warnAt": "10" }],
		["warnAt=off terminal=osc9", { "notify.warnAt": "off", "notify.terminal": "osc9" }],
	])("stores %s", async (typed, stored) => {
		await cli.run(`notify ${typed}`);
		expect(cli.stored).toEqual([stored]);
	});

	it("stores a command as it stands, and has notices go there", async () => {
		expect(await cli.run('notify command notify-send --app-name=pi "two words"')).toMatch(/^info: notify-send gets /);
		expect(cli.stored).toEqual([
			{ "notify.command": ["notify-send", "--app-name=pi", "two words"], "notify.to": "command" },
		]);
		expect(await cli.run("notify command")).toMatch(/^error: .*notify command <program> \[argument …\]/);
	});

	it("sends a notice to try it, and says what became of it", async () => {
		cli.harness.settings = { ...DEFAULT_SETTINGS, notify: { ...DEFAULT_SETTINGS.notify, to: "terminal" } };
		expect(await cli.run("notify test")).toMatch(/^info: .* was sent\. kitty .* OSC 9\.$/);
		cli.delivery = { kind: "failed", failure: "It failed." };
		expect(await cli.run("notify test")).toBe("warning: It failed.");
		expect(cli.triedNotices).toBe(2);
	});

	it("names what is bad, and how it is typed", async () => {
		expect(await cli.run("notify quiet=night")).toMatch(/^error: quiet .* 22:00-08:00, or off/);
		expect(await cli.run("notify to=everywhere")).toMatch(
			/^error: to .* off, terminal, command.* \/multicodex notify \[name=value …\|default\|test\|command <program> …\]$/,
		);
		expect(cli.stored).toEqual([]);
	});

	it("completes its values and words", () => {
		expect(cli.offered("notify to=")).toEqual(["notify to=off", "notify to=terminal", "notify to=command"]);
		expect(cli.offered("notify ")).toEqual(expect.arrayContaining(["notify test", "notify command"]));
		expect(cli.offered("notify test ")).toBeNull();
		expect(cli.offered("notify command ")).toBeNull();
	});
});
