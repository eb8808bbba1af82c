import { stripVTControlCharacters } from "node:util";
import { visibleWidth } from "@mariozechner/pi-tui";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW, settled } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";
import { aContext } from "../../fake-pi.ts";

const DOWN = "\x1b[B";
const ENTER = "\r";
const ESCAPE = "\x1b";

let cli: CommandHarness;

beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
	cli = createCommandHarness([anAccount("work"), anAccount("職場", { id: anId("b") })]);
	cli.harness.settings = DEFAULT_SETTINGS;
	const windows = [
		{ usedPercent: 27, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
		{ usedPercent: 8, windowMinutes: 10080, resetsAt: NOW + 6 * DAY_MS },
	];
	cli.harness.pool.noteUsage(anId("work"), aSnapshot({ windows }));
});

afterEach(() => {
	vi.useRealTimers();
});

/** Opens the panel of a group; `closed` resolves when the command is done. */
const open = async (group: string) => {
	cli.screen.notices.length = 0;
	// Colours that take no room, as a terminal's.
	Object.assign(cli.screen.ctx.ui.theme, { fg: (_tone: string, text: string) => text });
	const closed = cli.command.handler(group, cli.screen.ctx);
	await settled();
	const { panel } = cli.screen;
	if (!panel) throw new Error(`no panel: ${cli.screen.notices.join()}`);
	const lines = (width = 80) => panel.render(width).map((line) => stripVTControlCharacters(line).trimEnd());
	const press = async (...keys: readonly string[]) => {
		for (const key of keys) {
			panel.handleInput?.(key);
			await vi.advanceTimersByTimeAsync(30);
		}
		await settled();
	};
	return { panel, lines, press, closed };
};

describe("footer", () => {
	it("sets what is shown, in the footer and elsewhere, by words in every mode", async () => {
		const said = await cli.run("footer usage=used meters=false notifications=false maskEmails=true");
		expect(cli.stored).toEqual([
			{ "footer.usage": "used", "footer.meters": false, notifications: false, maskEmails: true },
		]);
		expect(cli.harness.settings).toMatchObject({
			footer: { usage: "used", meters: false, account: true },
			notifications: false,
			maskEmails: true,
		});
		expect(said).toMatch(/^info: usage {10}used {11}percent/);
		expect(said).toMatch(/^maskEmails {5}true/m);
	});

	it.each(["usage=most", "windows=30d", "account=yes", "meters=1", "maskEmails=on", "enabled=false", "order="])(
		"takes no value that will not do: %s",
		async (word) => {
			expect(await cli.run(`footer ${word}`)).toMatch(
				/^error: .*Usage: \/multicodex footer \[name=value …\|default\]$/,
			);
			expect(cli.stored).toEqual([]);
		},
	);

	it("prints every value if there is no screen or no panel, and asks nothing", async () => {
		cli.screen = aContext({ mode: "rpc" });
		const text = await cli.run("footer");
		expect(text.split("\n")).toHaveLength(11);
		expect(text).toMatch(/^order {10}account-first {2}what comes first$/m);
		expect([cli.screen.questions, cli.stored]).toEqual([[], []]);
	});

	it("has a panel that shows the line as it will look, and saves at each change", async () => {
		cli.harness.affinity.begin(aSessionId("s"), anId("work"), NOW);
		const { lines, press, closed } = await open("footer");
		expect(lines()[3]).toBe("codex work · 5h 73% left (1h00m) · week 92% left (6d00h) · 2/2 ready");
		expect(lines(40)[3]).toBe("work · 5h 73% · wk 92% · 2/2");
		await press(ENTER);
		expect(cli.stored).toEqual([{ "footer.usage": "used" }]);
		expect(lines()[3]).toBe("codex work · 5h 27% used (1h00m) · week 8% used (6d00h) · 2/2 ready");
		await press(DOWN, DOWN, ENTER);
		expect(cli.stored.at(-1)).toEqual({ "footer.account": false });
		expect(lines()[3]).toBe("codex 5h 27% used (1h00m) · week 8% used (6d00h) · 2/2 ready");
		await press(ESCAPE);
		await closed;
		expect(cli.screen.notices).toEqual([]);
	});

	it("draws whatever shows it at once, with the new value", async () => {
		const { press } = await open("footer");
		const shown: boolean[] = [];
		cli.harness.pool.subscribe(() => shown.push(cli.harness.settings.footer.usage === "used"));
		await press(ENTER);
		expect(shown).toEqual([true]);
	});

	it("shows before the first request the account that would be next", async () => {
		const { lines } = await open("footer");
		expect(lines()[3]).toMatch(/^codex 職場 \(plus\) · usage unknown/);
	});

	it("says in the panel why something could not be saved", async () => {
		cli.settingsRefusal = Object.assign(new Error("not valid JSON"), { code: "EUNREADABLE" });
		const { lines, press } = await open("footer");
		await press(ENTER);
		expect(lines()).toContainEqual(expect.stringMatching(/^ .*: not valid JSON\.$/));
		expect(lines()).toContain("█ usage          left");
		cli.settingsRefusal = new Error("secret-token");
		await press(ENTER);
		expect(lines()).toContainEqual(expect.stringMatching(/^ .*: an unexpected error\.$/));
	});

	it("goes with its session", async () => {
		const { closed } = await open("footer");
		await cli.pi.fire("session_shutdown", cli.screen.ctx);
		await closed;
		expect([cli.screen.panel, cli.screen.notices]).toEqual([undefined, []]);
	});
});

describe("rotation", () => {
	it("has a panel that says where a new session would start, and why", async () => {
		const { lines, press } = await open("rotation");
		expect(lines()[3]).toMatch(/^ .* on 職場: .+ \(work: .+\)\.$/);
		await press(ENTER);
		expect(cli.stored).toEqual([{ "rotation.policy": "most-headroom" }]);
		expect(lines()[3]).toMatch(/^ .* on work: 73% left \(職場: usage unknown\)\.$/);
	});

	it("keeps a value that was typed by hand", async () => {
		cli.harness.settings = { ...DEFAULT_SETTINGS, rotation: { ...DEFAULT_SETTINGS.rotation, maxWaitMs: 37 * 60_000 } };
		const { lines, press } = await open("rotation");
		expect(lines()).toContain("  maxWait*      37m");
		await press(DOWN, DOWN, ...Array.from({ length: 5 }, () => ENTER));
		expect(cli.stored.map((values) => values["rotation.maxWait"])).toEqual(["0s", "60s", "15m", "8h", "37m"]);
	});

	it("stores numbers as numbers", async () => {
		const { press } = await open("rotation");
		await press(DOWN, ENTER);
		expect(cli.stored).toEqual([{ "rotation.maxRotations": 10 }]);
	});
});

it.each(["footer", "rotation"])("no line of the panel of %s is wider than the terminal", async (group) => {
	const { panel, press } = await open(group);
	for (let row = 0; row < 9; row += 1) {
		for (const width of [1, 7, 19, 30, 40, 80, 120]) {
			expect(panel.render(width).filter((line) => visibleWidth(line) > width)).toEqual([]);
		}
		await press(ENTER, DOWN);
	}
});
