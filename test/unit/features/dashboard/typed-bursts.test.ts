import { initTheme } from "@mariozechner/pi-coding-agent";
import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { anAccount } from "../../../support/fakes.ts";
import { runs } from "../../../support/tiers.ts";
import { createCommandHarness } from "../../command-harness.ts";

/** Every panel, by the command that opens it. */
const PANELS = ["", "use", "remove work", "rename work", "footer", "rotation", "reset backups"];
/** Views of the dashboard, by the keys that lead to them. */
const VIEWS = ["d", "m", "?", "/", "dm"];

/** Words and keys as they come when a person types or pastes for the editor while a panel is open. */
const anyPiece = fc.oneof(
	fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }),
	fc.constantFrom(
		"/multicodex use home",
		"remove",
		"exit",
		" ",
		"\r",
		"\n",
		"\t",
		"j",
		"k",
		"x",
		"e",
		"n",
		"u",
		"d",
		"i",
		"m",
		"\x7f",
	),
	fc.string({ maxLength: 12 }).map((text) => `\x1b[200~${text}\r\x1b[201~`),
);
const anyBurst = fc.array(anyPiece, { minLength: 2, maxLength: 30 });

// The panels of preferences are drawn with it.
beforeAll(() => initTheme("dark"));
beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
});
afterEach(() => {
	vi.useRealTimers();
});

const work = anAccount("work", { id: "1" });
const home = anAccount("home", { id: "2" });
/** So many that the list folds those that are of no use. */
const many = Array.from({ length: 30 }, (_, at) => anAccount(`off-${at}`, { id: `off-${at}`, enabled: false }));

describe("a burst of text", () => {
	it.each([...PANELS.map((command) => ({ command, view: "" })), ...VIEWS.map((view) => ({ command: "", view }))])(
		"changes no account, no pin and no setting: /multicodex $command, $view",
		async ({ command, view }) => {
			await fc.assert(
				fc.asyncProperty(anyBurst, fc.integer({ min: 0, max: 20 }), async (pieces, gap) => {
					const cli = createCommandHarness([work, home, ...(view.includes("m") ? many : [])]);
					cli.screen.isAway = true;
					const before = JSON.stringify(cli.harness.accounts.rows);
					const running = cli.command.handler(command, cli.screen.ctx);
					await vi.advanceTimersByTimeAsync(0);
					expect(cli.screen.panel).toBeDefined();
					for (const key of view) {
						cli.screen.panel?.handleInput?.(key);
						await vi.advanceTimersByTimeAsync(300);
					}
					for (const piece of pieces) {
						// pi gives a paste in one piece, and everything else letter by letter.
						for (const typed of piece.startsWith("\x1b") ? [piece] : piece) {
							cli.screen.panel?.handleInput?.(typed);
							if (gap > 0) await vi.advanceTimersByTimeAsync(gap);
						}
					}
					await vi.advanceTimersByTimeAsync(1000);
					expect(JSON.stringify(cli.harness.accounts.rows)).toBe(before);
					expect([cli.harness.pool.pinned(), cli.stored, cli.removals, cli.browserDialogs]).toEqual([
						undefined,
						[],
						0,
						[],
					]);
					await cli.pi.fire("session_shutdown", cli.screen.ctx);
					await running;
				}),
				runs(20),
			);
		},
	);
});
