import { stripVTControlCharacters } from "node:util";
import { CURSOR_MARKER } from "@mariozechner/pi-tui";
import { beforeEach, describe, expect, it } from "vitest";
import type { PoolView } from "../../../../src/core/pool/pool-view.ts";
import { createPicker, type Picked } from "../../../../src/features/dashboard/picker.ts";
import { createListCursor } from "../../../../src/ui-kit/list-cursor.ts";
import type { PanelKey } from "../../../../src/ui-kit/panel.ts";
import { aCooldown, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { aPace, type FakePace } from "../../pace.ts";
import { aShown, aView, DRAWN } from "../../pool-views.ts";

let view: PoolView;
let room: number;
let picked: Picked[];
let pace: FakePace;
let picker: ReturnType<typeof createPicker>;

const BOUND: Readonly<Record<PanelKey, string>> = {
	"tui.select.up": "\x1b[A",
	"tui.select.down": "\x1b[B",
	"tui.select.pageUp": "\x1b[5~",
	"tui.select.pageDown": "\x1b[6~",
	"tui.select.confirm": "\r",
	"tui.select.cancel": "\x1b",
};
const [UP, DOWN, ENTER, ESCAPE, BACKSPACE] = ["\x1b[A", "\x1b[B", "\r", "\x1b", "\x7f"] as const;

function open(next: PoolView): void {
	view = next;
	pace = aPace();
	picker = createPicker({
		view: () => view,
		cursor: createListCursor(view.active),
		highlight: (line) => `\x1b[7m${line}\x1b[27m`,
		paint: (tone, text) => (tone === "muted" ? `\x1b[90m${text}\x1b[39m` : `\x1b[2m${text}\x1b[22m`),
		isKey: (typed, key) => BOUND[key] === typed,
		room: () => room,
		pace,
		repaint: () => undefined,
		onPick: (what) => picked.push(what),
	});
}

beforeEach(() => {
	room = 40;
	picked = [];
	open(DRAWN);
});

const lines = (width = 80) => picker.render(width).map((line) => stripVTControlCharacters(line).trimEnd());
/** What stands between the blank line below the field and the next one. */
const rows = (width = 80) => {
	const all = lines(width);
	const from = all.indexOf("") + 1;
	return all.slice(from, all.indexOf("", from));
};
const selected = () => rows().find((line) => line.startsWith("█"));
const press = (...typed: readonly string[]) => {
	for (const key of typed) {
		picker.handleInput?.(key);
		pace.pass(200);
	}
};
const type = (text: string) => press(...text);

describe("the picker", () => {
	it("the picker is as drawn", () => {
		type("per");
		const rule = "─".repeat(80);
		expect(lines()).toEqual([
			rule,
			" Use Codex account",
			expect.stringMatching(/^ > per/),
			"",
			"█  personal                  5h 100%   week  58%   ready",
			"   auto                      let the policy choose (soonest-reset)",
			"   add                       sign in to another account",
			"",
			"   (1/3)  enter use   esc cancel",
			rule,
		]);
	});

	it("names Enter as what counts later while the pool serves nothing", () => {
		for (const why of [{ isEnabled: false }, { isForeign: true }]) {
			view = { ...DRAWN, ...why };
			expect(lines().at(-2)).toMatch(/\) {2}enter use later {3}/);
		}
	});

	it("highlights a row, and marks the account that serves next with the arrow", () => {
		press(DOWN);
		expect(rows().slice(0, 2)).toEqual([expect.stringMatching(/^ → work/), expect.stringMatching(/^█ {2}personal/)]);
	});

	it("lists every account, and what is always there last, at any width", () => {
		for (const width of [40, 80, 120]) {
			expect(rows(width).map((row) => row.slice(3).split(" ")[0])).toEqual([
				"work",
				"personal",
				"side",
				"old-team",
				"auto",
				"add",
			]);
		}
		expect(rows(40)[2]).toMatch(/side +out of quota 42m/);
		expect(rows(40)[4]).toMatch(/let the policy choose$/);
	});

	it("says in full what its last rows do if no windows need the room", () => {
		view = aView(["work", "home office"].map((label) => aShown(label, { usage: undefined })));
		expect(rows(45).slice(-2)).toEqual([
			"   auto            let the policy choose",
			"   add             sign in to another account",
		]);
		expect(rows(66).at(-2)).toMatch(/choose \(soonest-reset\)$/);
	});

	it("mutes an account that cools as a whole, with its time", () => {
		const line = picker.render(80).find((each) => each.includes("side"));
		expect(line).toMatch(/90mside/);
		expect(line).toMatch(/90mout of quota 42m/);
	});

	it("calls a time a guess if nothing told it", () => {
		const guess = aCooldown({ until: NOW + HOUR_MS, guessed: true });
		const shown = { state: "cooling", readyAt: NOW + HOUR_MS } as const;
		view = aView([
			aShown("side", { ...shown, cooldowns: [guess] }),
			aShown("work", { ...shown, cooldowns: [aCooldown()] }),
		]);
		expect(rows(80)[0]).toMatch(/out of quota about 1h00m$/);
		expect(rows(80)[1]).toMatch(/out of quota 1h00m$/);
		expect(rows(40)[0]).toMatch(/side +out of quota about 1h00m$/);
	});

	it("tells long labels apart on a narrow terminal, if the state of their row leaves the room", () => {
		open(
			aView([aShown("seat-number-006"), aShown("seat-number-007"), aShown("seat-number-008", { state: "disabled" })]),
		);
		const shown = rows(30).join("\n");
		for (const label of ["seat-number-006  ready", "seat-number-007  ready"]) expect(shown).toContain(label);
	});

	it("scrolls within the lines it may take", () => {
		open(aView(Array.from({ length: 1000 }, (_, at) => aShown(`account-${at + 1}`))));
		for (room of [12, 20]) expect(picker.render(80).length).toBeLessThanOrEqual(room);
		press(UP);
		expect([selected(), lines().at(-2)]).toEqual([
			expect.stringContaining("sign in to another"),
			expect.stringContaining("(1002/1002)"),
		]);
	});

	it("passes the focus on to its field, where input methods look for the cursor", () => {
		picker.focused = true;
		expect([picker.focused, picker.render(80).join("").includes(CURSOR_MARKER)]).toEqual([true, true]);
		picker.focused = false;
		expect(picker.render(80).join("").includes(CURSOR_MARKER)).toBe(false);
	});
});

describe("the keys of the picker", () => {
	it("pick the highlighted account, which is the active one at first", () => {
		press(ENTER, DOWN, ENTER);
		expect(picked).toEqual([
			{ kind: "use", id: "work" },
			{ kind: "use", id: "personal" },
		]);
	});

	it("filter by label and e-mail, and highlight the best match", () => {
		type("side");
		press(ENTER);
		open(DRAWN);
		type("acme");
		press(ENTER);
		expect(picked).toEqual([
			{ kind: "use", id: "side" },
			{ kind: "use", id: "work" },
		]);
	});

	it.each(["zzz", "auu", "adn", "ad z"])("the keys start nothing if no account is called %s, and say so", (typo) => {
		type(typo);
		expect(lines()).toContain(` No account matches "${typo}".`);
		press(ENTER);
		expect([selected(), picked]).toEqual([undefined, []]);
		press(DOWN, ENTER);
		expect(picked).toHaveLength(1);
	});

	it("the keys end the pin, and sign in, by the whole word", () => {
		type("auto");
		press(ENTER);
		open(DRAWN);
		type("add");
		press(ENTER);
		expect(picked).toEqual([{ kind: "auto" }, { kind: "add" }]);
	});

	it("the keys are not in a text that ends in a line break, nor in one that takes itself back", () => {
		for (const text of ["side\r", "\rside", "si\x7f\x7f\x7f\x7f", "\r\r"]) {
			open(DRAWN);
			for (const key of text) picker.handleInput?.(key);
			pace.pass(200);
		}
		expect(picked).toEqual([]);
	});

	it("edit the filter with Backspace as long as there is one, and then remove the highlighted account", () => {
		type("si");
		press(BACKSPACE, BACKSPACE);
		expect(rows()).toHaveLength(6);
		expect(picked).toEqual([]);
		press(BACKSPACE);
		expect(picked).toEqual([{ kind: "remove", id: expect.any(String) }]);
		expect(lines().at(-2)).toContain("backspace remove");
	});

	it("remove nothing on the rows that are no accounts", () => {
		press(UP, BACKSPACE);
		expect(selected()).toMatch(/add/);
		press(UP, BACKSPACE);
		expect(selected()).toMatch(/auto/);
		expect(lines().at(-2)).not.toContain("backspace");
		expect(picked).toEqual([]);
	});

	it("cancel, also with a filter", () => {
		type("per");
		press(ESCAPE);
		expect(picked).toEqual([{ kind: "closed" }]);
	});

	it("the keys keep to their account while data arrives", () => {
		press(DOWN);
		view = aView(DRAWN.accounts.slice(1));
		expect(selected()).toContain("personal");
	});
});
