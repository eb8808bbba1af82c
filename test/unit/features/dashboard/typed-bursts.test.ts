import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LOGIN_CANCELLED, SignInError } from "../../../../src/features/sign-in/rules.ts";
import { anAccount } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";
import { aGrant, type CommandHarness, createCommandHarness } from "../../command-harness.ts";

/** Every panel that opens by its command alone. */
const PANELS = ["", "use", "remove work", "rename work", "footer", "rotation", "beyond", "reset backups"];

/** A sign-in that ends only with the session. */
const endless = (signal: AbortSignal | undefined) =>
	new Promise<never>((_, reject) => {
		signal?.addEventListener("abort", () => reject(new SignInError(LOGIN_CANCELLED)), { once: true });
	});
/** Panels that come when other tools or a sign-in play along: what these do, and what the panel then shows. */
const PLAYED: Readonly<Record<string, { readonly shows: string; readonly play: (cli: CommandHarness) => void }>> = {
	import: {
		shows: "Import 2 Codex accounts?",
		play: (cli) => {
			cli.found = ["third", "fourth"].map((name) => {
				const credential = aGrant(name);
				const path = `/data/${name}.json`;
				return { kind: "login", tool: "codex", path, name: undefined, credential, workspaceIdHint: undefined };
			});
		},
	},
	add: {
		shows: "Sign in to one more Codex account",
		play: (cli) => {
			cli.inBrowser = async ({ showUrl, pasted, signal }) => {
				showUrl("https://auth.example.test/oauth/authorize", { comesBack: false });
				const refuse = async () => {
					for (let problem: string | undefined; ; problem = "There is no code in it.") await pasted(problem);
				};
				return Promise.race([refuse(), endless(signal)]);
			};
		},
	},
	"add --device": {
		shows: "1234-56789A",
		play: (cli) => {
			cli.onDevice = ({ showCode, signal }) => {
				const verificationUri = "https://auth.example.test/codex/device";
				showCode({ userCode: "1234-56789A", verificationUri, intervalSeconds: 5, expiresInSeconds: 900 });
				return endless(signal);
			};
		},
	},
	"login work": {
		shows: "That was not work",
		play: (cli) => {
			cli.inBrowser = async () => aGrant("third");
		},
	},
};
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

beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
});
afterEach(() => {
	vi.useRealTimers();
});

const work = anAccount("work", { id: anId("1") });
const home = anAccount("home", { id: anId("2") });
/** So many that the list folds those that are of no use. */
const many = Array.from({ length: 30 }, (_, at) => anAccount(`off-${at}`, { id: anId(`off-${at}`), enabled: false }));

describe("a burst of text", () => {
	it.each([
		...[...PANELS, ...Object.keys(PLAYED)].map((command) => ({ command, view: "" })),
		...VIEWS.map((view) => ({ command: "", view })),
	])("changes no account, no pin and no setting: /multicodex $command, $view", async ({ command, view }) => {
		await fc.assert(
			fc.asyncProperty(anyBurst, fc.integer({ min: 0, max: 20 }), async (pieces, gap) => {
				const cli = createCommandHarness([work, home, ...(view.includes("m") ? many : [])]);
				const played = PLAYED[command];
				played?.play(cli);
				cli.screen.isAway = true;
				const before = JSON.stringify(cli.harness.accounts.rows);
				const running = cli.command.handler(command, cli.screen.ctx);
				await vi.advanceTimersByTimeAsync(0);
				expect(cli.screen.panel?.render(100).join("\n")).toContain(played?.shows ?? "─");
				const signIns = cli.browserDialogs.length + cli.deviceDialogs.length;
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
				expect([cli.harness.pool.pinned(), cli.stored, cli.removals]).toEqual([undefined, [], 0]);
				expect(cli.browserDialogs.length + cli.deviceDialogs.length).toBe(signIns);
				await cli.pi.fire("session_shutdown", cli.screen.ctx);
				await running;
			}),
			runs(5, 200),
		);
	});
});
