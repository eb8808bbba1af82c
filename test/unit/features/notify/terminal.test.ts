import { describe, expect, it } from "vitest";
import { chooseWay, sequenceFor } from "../../../../src/features/notify/terminal.ts";

describe("what a terminal gets", () => {
	it.each([
		[{ TERM: "xterm-kitty" }, "osc9", "kitty"],
		[{ TERM: "xterm-ghostty", TERM_PROGRAM: "ghostty" }, "osc777", "Ghostty"],
		[{ TERM: "xterm-256color", TERM_PROGRAM: "iTerm.app" }, "osc9", "iTerm2"],
		[{ TERM: "xterm-256color", LC_TERMINAL: "iTerm2" }, "osc9", "iTerm2"],
		[{ TERM: "xterm-256color", TERM_PROGRAM: "WezTerm" }, "osc777", "WezTerm"],
		[{ TERM: "xterm-256color", TERM_PROGRAM: "WarpTerminal" }, "osc9", "Warp"],
		[{ TERM: "foot-extra" }, "osc777", "foot"],
		[{ TERM: "rxvt-unicode-256color" }, "osc777", "rxvt-unicode"],
		[{ TERM: "xterm-256color" }, "bell", undefined],
		[{ TERM: "xterm-256color", TERM_PROGRAM: "Apple_Terminal" }, "bell", undefined],
		[{ TERM: "footer" }, "bell", undefined],
		[{}, "bell", undefined],
	] as const)("what a terminal gets is what it knows: %j gets %s", (env, way, name) => {
		expect(chooseWay("auto", env)).toEqual({ way, name, isThroughTmux: false });
	});

	it("is decided by the terminal itself, not by the one that it was started from", () => {
		const inherited = { KITTY_WINDOW_ID: "1", LC_TERMINAL: "iTerm2" };
		expect(chooseWay("auto", { ...inherited, TERM: "xterm-256color", TERM_PROGRAM: "vscode" }).way).toBe("bell");
		expect(chooseWay("auto", { TERM: "xterm-ghostty", TERM_PROGRAM: "vscode" }).name).toBe("Ghostty");
	});

	it("is passed on by tmux, where what is left of the environment tells of the terminal around it", () => {
		const tmux = { TMUX: "/tmp/tmux-1000/default,1,0", TERM: "tmux-256color", TERM_PROGRAM: "tmux" };
		expect(chooseWay("auto", { ...tmux, KITTY_WINDOW_ID: "1" })).toEqual({
			way: "osc9",
			name: "kitty",
			isThroughTmux: true,
		});
		expect(chooseWay("auto", tmux)).toEqual({ way: "bell", name: undefined, isThroughTmux: false });
		expect(chooseWay("osc777", tmux)).toEqual({ way: "osc777", name: undefined, isThroughTmux: true });
		expect(chooseWay("bell", tmux).isThroughTmux).toBe(false);
	});

	it("is a bell behind GNU screen and zellij, unless the person says otherwise", () => {
		const kitty = { TERM: "xterm-kitty", KITTY_WINDOW_ID: "1" };
		for (const between of [{ STY: "1.tty" }, { ZELLIJ: "0" }]) {
			expect(chooseWay("auto", { ...kitty, ...between }).way).toBe("bell");
			expect(chooseWay("osc9", { ...kitty, ...between }).way).toBe("osc9");
		}
	});
});

describe("the bytes of a notice", () => {
	const plain = { name: undefined, isThroughTmux: false };

	it("the bytes are OSC 9, OSC 777 or a bell", () => {
		expect(sequenceFor("work is back.", { way: "osc9", ...plain })).toBe("\x1b]9;pi-multicodex: work is back.\x07");
		expect(sequenceFor("a; b", { way: "osc777", ...plain })).toBe("\x1b]777;notify;pi-multicodex;a, b\x07");
		expect(sequenceFor("work is back.", { way: "bell", ...plain })).toBe("\x07");
	});

	it("the bytes have each escape doubled inside tmux", () => {
		const choice = { way: "osc9", name: "kitty", isThroughTmux: true } as const;
		expect(sequenceFor("x", choice)).toBe("\x1bPtmux;\x1b\x1b]9;pi-multicodex: x\x07\x1b\\");
	});

	it.each(["osc9", "osc777"] as const)("the bytes end where they should, whatever the text holds: %s", (way) => {
		const bytes = sequenceFor(`4;3;\x07\x1b]0;x\x1b\\\x9c\n${"職".repeat(999)}`, { way, ...plain });
		// biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there.
		expect(bytes.slice(1, -1)).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
		expect([...bytes].length).toBeLessThan(300);
		// A text that began with 4; would be a progress bar, and a further semicolon another part.
		expect(bytes.slice(1)).toMatch(way === "osc9" ? /^\]9;pi-/ : /^\]777;notify;pi-multicodex;[^;]*$/);
	});
});
