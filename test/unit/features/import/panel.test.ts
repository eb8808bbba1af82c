import { stripVTControlCharacters } from "node:util";
import type { Component } from "@mariozechner/pi-tui";
import { beforeEach, describe, expect, it } from "vitest";
import type { AccountId } from "../../../../src/core/ids.ts";
import { type ImportRow, importChecklist } from "../../../../src/features/import/view.ts";
import { createChecklistPanel } from "../../../../src/ui-kit/checklist.ts";
import { anId } from "../../../support/ids.ts";
import { aPace, type FakePace } from "../../pace.ts";

const KEYS = { up: "\x1b[A", down: "\x1b[B", cancel: "\x1b", confirm: "\r" } as const;

let pace: FakePace;
let answers: (readonly string[] | undefined)[];
let room: number;
beforeEach(() => {
	pace = aPace();
	answers = [];
	room = 40;
});

const rowOf = (id: AccountId, warning?: string): ImportRow => {
	return { id, name: `${id}@x.example`, place: `Codex CLI (~/${id}.json)`, warning };
};
const open = (
	rows: readonly ImportRow[] = [rowOf(anId("a"), "Codex CLI still uses this sign-in."), rowOf(anId("b"))],
): Component =>
	createChecklistPanel({
		checklist: importChecklist(rows),
		highlight: (line) => `\x1b[7m${line}\x1b[27m`,
		paint: (_tone, text) => text,
		isKey: (typed, key) => Object.entries(KEYS).some(([name, sent]) => sent === typed && key === `tui.select.${name}`),
		pace,
		room: () => room,
		repaint: () => undefined,
		onAnswer: (chosen) => answers.push(chosen && [...chosen]),
	});
const press = (panel: Component, ...keys: readonly string[]) => {
	for (const key of keys) {
		panel.handleInput?.(key);
		pace.pass(200);
	}
};
const text = (panel: Component, width = 80) =>
	stripVTControlCharacters(panel.render(width).join("\n")).replaceAll(/ +$/gm, "");

describe("the panel of an import", () => {
	it("imports everything if nothing else is chosen, and names that", () => {
		const panel = open();
		expect(text(panel)).toMatch(/█ {2}Yes, import all 2\n {3}No, import nothing\n\n {3}\[x\] a@x\.example, Codex CLI/);
		press(panel, KEYS.confirm);
		expect(answers).toEqual([["a", "b"]]);
	});

	it("switches a row by a blank or by Enter, and imports the rest", () => {
		const panel = open();
		press(panel, KEYS.down, KEYS.down, " ");
		expect(text(panel)).toMatch(/Yes, import 1 of 2\n[\s\S]*█ {2}\[ \] a@x/);
		expect(text(panel)).toMatch(/Codex CLI still uses/);
		press(panel, KEYS.confirm, KEYS.confirm, KEYS.up, KEYS.up, KEYS.confirm);
		expect(answers).toEqual([["b"]]);
	});

	it("does nothing if nothing is chosen", () => {
		const panel = open();
		press(panel, KEYS.down, KEYS.down, " ", KEYS.down, " ", KEYS.up, KEYS.up, KEYS.up);
		expect(text(panel)).toContain("█  Nothing is chosen");
		press(panel, KEYS.confirm);
		expect(answers).toEqual([]);
	});

	it("takes no for an answer, and Esc for none", () => {
		press(open(), KEYS.down, KEYS.confirm);
		press(open(), KEYS.cancel);
		expect(answers).toEqual([[], undefined]);
	});

	it.each([
		["a paste", ["\x1b[200~yes\x1b[201~"]],
		["a word, letter by letter", ["y", "e", "s"]],
		["words with blanks between them", ["y", " ", "e", " "]],
	])("the panel of an import is not answered by %s and the Enter at its end", (_what, typed) => {
		const panel = open();
		press(panel, KEYS.down, KEYS.down, ...typed, KEYS.confirm);
		expect(text(panel)).toContain("█  [x] a@x");
		expect(text(panel)).toContain("Text does not answer.");
		press(panel, KEYS.up, KEYS.up, KEYS.confirm);
		expect(answers).toEqual([["a", "b"]]);
	});

	it("keeps its answers and the row on which one is in sight, however low the terminal", () => {
		const rows = Array.from({ length: 24 }, (_, at) => rowOf(anId(`n${at}`)));
		for (room of [8, 12, 20]) {
			const panel = open(rows);
			press(panel, ...Array.from({ length: 20 }, () => KEYS.down));
			const lines = text(panel).split("\n");
			expect(lines.length).toBeLessThanOrEqual(room);
			expect(text(panel)).toMatch(/Yes, import all 24\n[\s\S]*█ {2}\[x\] n18@/);
		}
	});
});
