import { stripVTControlCharacters } from "node:util";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { createPreferencesPanel, type PreferenceRow } from "../../../../src/features/preferences/panel.ts";
import { settled } from "../../../support/fakes.ts";
import { aPace } from "../../pace.ts";

const same = (text: string) => text;
const theme = { label: same, value: same, description: same, hint: same, cursor: "█ " };
const DOWN = "\x1b[B";
const ENTER = "\r";
const ESCAPE = "\x1b";
const [HOME, END] = ["\x1b[H", "\x1b[F"] as const;
const rows: PreferenceRow[] = [
	{ name: "usage", summary: "percent that is left, or used", choices: ["left", "used"], usual: "left" },
	{
		name: "maxWait",
		summary: "longest wait for the first account to come back",
		choices: ["0s", "60s", "15m"],
		usual: "60s",
	},
];

const BOUND: Readonly<Record<string, readonly string[]>> = {
	"tui.select.confirm": [ENTER],
	"tui.select.down": [DOWN],
	"tui.select.up": ["\x1b[A"],
};

const pace = aPace();
let values: Map<string, string>;
let saves: string[];
let refusal: string | undefined;
/** Saves wait until the test lets them go on. */
let isSlow: boolean;
let begun: (() => void)[];
let closed: number;
let repaints: number;
beforeEach(() => {
	values = new Map([
		["usage", "left"],
		["maxWait", "37m"],
	]);
	saves = [];
	refusal = undefined;
	isSlow = false;
	begun = [];
	closed = 0;
	repaints = 0;
});
const aPanel = (room = 40) =>
	createPreferencesPanel({
		room,
		title: "A group (saved at each change)",
		theme,
		highlight: (line) => `\x1b[7m${line}\x1b[27m`,
		paint: (tone, text) => (tone === "error" ? `\x1b[31m${text}\x1b[0m` : text),
		rows,
		valueNow: (name) => values.get(name) ?? "",
		save: async (name, value) => {
			if (isSlow) await new Promise<void>((resolve) => begun.push(resolve));
			saves.push(`${name}=${value}`);
			if (refusal === undefined) values.set(name, value);
			return refusal;
		},
		preview: () => [` now ${[...values.values()].join(" ")}`],
		close: () => {
			closed += 1;
		},
		isKey: (typed, key) => BOUND[key]?.includes(typed) === true,
		pace,
		repaint: () => {
			repaints += 1;
		},
	});
type Panel = ReturnType<typeof aPanel>;
const press = (panel: Panel, ...keys: readonly string[]) => {
	for (const key of keys) {
		panel.handleInput?.(key);
		pace.pass(200);
	}
};
const screen = (panel: Panel, width = 60) =>
	panel.render(width).map((line) => stripVTControlCharacters(line).trimEnd());

describe("a panel of preferences", () => {
	it("changes nothing by text, however many blanks and line breaks it has", async () => {
		const panel = aPanel();
		for (const text of ["say hi\r", " a b c \r", "\r\r", "\x1b[200~ a b \x1b[201~", "jj kk\r"]) {
			// A paste is one piece of input; everything else comes letter by letter.
			for (const piece of text.startsWith("\x1b") ? [text] : text) panel.handleInput?.(piece);
			pace.pass(200);
		}
		await settled();
		expect(saves).toEqual([]);
	});

	it("moves by j and k, and changes a value by a blank that is pressed alone", async () => {
		const panel = aPanel();
		press(panel, "j", " ", " ", "k", " ");
		await settled();
		expect(saves).toEqual(["maxWait=0s", "maxWait=60s", "usage=used"]);
	});

	it("moves to the first and the last by home and end, and in at the other end", async () => {
		const chosen = (panel: Panel) => screen(panel).find((line) => line.startsWith("█"));
		const panel = aPanel();
		for (const [key, name] of [
			[END, "maxWait"],
			[DOWN, "usage"],
			["k", "maxWait"],
			[HOME, "usage"],
		] as const) {
			press(panel, key);
			expect(chosen(panel)).toContain(name);
		}
		press(panel, END, " ");
		await settled();
		expect(saves).toEqual(["maxWait=0s"]);
	});

	it("scrolls its rows if the terminal is low, so that the chosen one is always seen", () => {
		const many = Array.from({ length: 9 }, (_, at) => ({
			name: `row${at}`,
			summary: "does it",
			choices: ["a", "b"],
			usual: "a",
		}));
		rows.push(...many);
		onTestFinished(() => void rows.splice(-many.length));
		for (const room of [30, 22, 21, 17, 15, 3]) {
			const panel = aPanel(room);
			for (const { name } of rows) {
				const lines = screen(panel);
				expect(lines.length).toBeLessThanOrEqual(Math.max(room, 15));
				expect(lines.join("\n")).toMatch(new RegExp(`^█ ${name}\\b`, "m"));
				press(panel, DOWN);
			}
			expect(screen(panel).join("\n").includes("(1/11)")).toBe(room < 22);
		}
	});

	it("shows every value, what the chosen row does, and what all of it comes to", () => {
		expect(screen(aPanel())).toEqual([
			"─".repeat(60),
			" A group (saved at each change)",
			"",
			" now left 37m",
			"",
			"█ usage     left",
			"  maxWait*  37m",
			"",
			"  percent that is left, or used",
			"",
			"  Enter/Space to change · Esc to close",
			"─".repeat(60),
		]);
	});

	it("saves at each change, and shows what that comes to", async () => {
		const panel = aPanel();
		press(panel, ENTER);
		expect(screen(panel)).toContain("█ usage*    used");
		await settled();
		expect(saves).toEqual(["usage=used"]);
		expect(screen(panel)).toContain(" now used 37m");
		expect(repaints).toBeGreaterThan(1);
	});

	it("keeps a value that was typed by hand among those it offers", async () => {
		const panel = aPanel();
		press(panel, DOWN, ENTER, ENTER, ENTER, ENTER);
		await settled();
		expect(saves).toEqual(["maxWait=0s", "maxWait=60s", "maxWait=15m", "maxWait=37m"]);
	});

	it("marks what is not the default, and says of the chosen row what that is", async () => {
		const panel = aPanel();
		press(panel, DOWN);
		expect(screen(panel)).toEqual(expect.arrayContaining(["█ maxWait*  37m"]));
		expect(screen(panel).join(" ")).toMatch(/account to come back\s+\(default\s+60s\)/);
		press(panel, ENTER, ENTER);
		await settled();
		expect(screen(panel)).toEqual(expect.arrayContaining(["█ maxWait  60s"]));
		expect(screen(panel).join(" ")).not.toMatch(/default/);
	});

	it("saves one after the other, and shows what the person chose last meanwhile", async () => {
		isSlow = true;
		const panel = aPanel();
		press(panel, ENTER, DOWN, ENTER, ENTER);
		for (let saved = 0; saved < 3; saved += 1) {
			await settled();
			expect([saves.length, begun.length]).toEqual([saved, saved + 1]);
			expect(screen(panel)).toEqual(expect.arrayContaining(["  usage*   used", "█ maxWait  60s"]));
			begun.at(-1)?.();
		}
		await settled();
		expect(saves).toEqual(["usage=used", "maxWait=0s", "maxWait=60s"]);
		expect(screen(panel)).toEqual(expect.arrayContaining(["  usage*   used", "█ maxWait  60s", " now used 60s"]));
	});

	it("says why a value could not be saved, and shows the one that holds", async () => {
		const panel = aPanel();
		refusal = "Not saved: settings.json contains something unexpected.";
		press(panel, ENTER);
		await settled();
		expect(screen(panel, 40)).toEqual(
			expect.arrayContaining([" Not saved: settings.json contains", " something unexpected.", "█ usage     left"]),
		);
		refusal = undefined;
		press(panel, ENTER);
		await settled();
		expect(screen(panel).join()).not.toContain("Not saved");
		expect(screen(panel)).toContain("█ usage*    used");
	});

	it("names every key and shows every value whole, down to 30 columns", () => {
		values.set("maxWait", "account-first");
		for (const width of [120, 40, 30]) {
			const shown = aPanel().render(width).map(stripVTControlCharacters);
			expect(shown.join(" ").replaceAll(/[\s·]+/g, " ")).toMatch(/Enter\/Space .* Esc /);
			expect(shown.join("\n")).toContain("account-first");
			expect(shown.join("\n")).not.toMatch(/…|\.\.\./);
		}
	});

	it("a panel of preferences is closed by Escape", () => {
		press(aPanel(), ESCAPE);
		expect(closed).toBe(1);
	});
});
