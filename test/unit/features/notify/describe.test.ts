import { describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS, type NotifySettings } from "../../../../src/core/settings.ts";
import { tried, whatIsSent } from "../../../../src/features/notify/describe.ts";
import type { Screen } from "../../../../src/features/notify/outside.ts";

const { notify: defaults } = DEFAULT_SETTINGS;
const seen: Pick<Screen, "isOurs" | "env"> = { isOurs: () => true, env: { TERM: "xterm-kitty" } };
const unseen = { ...seen, isOurs: () => false };
const first = (settings: Partial<NotifySettings>, screen = seen) => whatIsSent({ ...defaults, ...settings }, screen)[0];

describe("what the settings of notices lead to", () => {
	it("has a sentence for each way", () => {
		expect(first({})).toMatch(/^Nothing is sent: /);
		expect(first({ to: "terminal" })).toMatch(/^kitty .* OSC 9\.$/);
		expect(first({ to: "terminal", terminal: "osc777" })).toMatch(/^The terminal .* OSC 777\.$/);
		expect(first({ to: "terminal", terminal: "bell" })).toMatch(/^The terminal .* bell\.$/);
		expect(first({ to: "terminal" }, { ...seen, env: { TERM: "linux" } })).toMatch(/not known .* rings its bell\.$/);
		expect(first({ to: "terminal" }, { ...seen, env: { TMUX: "x", KITTY_WINDOW_ID: "1" } })).toMatch(
			/^kitty .* allow-passthrough is on\.$/,
		);
		expect(first({ to: "terminal" }, unseen)).toMatch(/ not run in a terminal/);
		expect(first({ to: "command" })).toMatch(/ no command yet: \/multicodex notify command /);
		expect(first({ to: "command", command: ["/usr/bin/notify-send", "token-in-an-argument"] })).toMatch(
			/^notify-send (?!.*token).* standard input, as JSON\.$/,
		);
	});

	it("names quiet hours if something is sent, and the thresholds", () => {
		const quiet = { from: 22 * 60, to: 8 * 60 + 5 };
		expect(whatIsSent({ ...defaults, quiet }, seen).slice(1)).toEqual([
			expect.stringMatching(/^The chat warns .* last account .* 25%, 10%, 5% /),
			expect.stringMatching(/^It warns up to 3h before /),
		]);
		expect(whatIsSent({ ...defaults, to: "terminal", quiet, warnAt: [], aheadMs: 0 }, seen).slice(1)).toEqual([
			expect.stringMatching(/^Nothing is sent .* 22:00 to 08:05\.$/),
			expect.stringMatching(/^The chat does not warn .* last account /),
		]);
	});

	it("stands behind what became of a notice that was tried", () => {
		const terminal = { ...defaults, to: "terminal" } as const;
		expect(tried({ kind: "sent" }, terminal, seen)).toMatch(/ was sent\. kitty .* OSC 9\.$/);
		expect(tried({ kind: "no-terminal" }, terminal, unseen)).toMatch(/^Nothing is sent/);
		expect(tried({ kind: "failed", failure: "It failed." }, terminal, seen)).toBe("It failed.");
	});
});
