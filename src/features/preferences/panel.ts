import {
	type Component,
	type SettingItem,
	SettingsList,
	type SettingsListTheme,
	visibleWidth,
	wrapTextWithAnsi,
} from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import { stepOf } from "../../ui-kit/list-cursor.ts";
import { CURSOR_SIGN, clampWidth, type Highlight, type Paint, type PanelKey, wrapParts } from "../../ui-kit/panel.ts";
import { createTyping, type Pace, textIn } from "../../ui-kit/typing.ts";

/** One line of the panel. */
export interface PreferenceRow {
	readonly name: string;
	/** What it does. Shown while the row is selected. */
	readonly summary: string;
	/** Values offered one after the other. */
	readonly choices: readonly string[];
	/** The default. */
	readonly usual: string;
}

/** Dependencies of the panel. */
interface PreferencesPanelDeps {
	readonly title: string;
	/** pi's theme for a list of settings. */
	readonly theme: SettingsListTheme;
	/** Number of lines that the panel may take. */
	readonly room: number;
	readonly paint: Paint;
	readonly highlight: Highlight;
	readonly rows: readonly PreferenceRow[];
	/** Returns the present value of a row. */
	readonly valueNow: (name: string) => string;
	/** Stores a value. Resolves to why that failed, if it did; never rejects. */
	readonly save: (name: string, value: string) => Promise<string | undefined>;
	/** Shows what the values mean now, in lines of at most `width`. */
	readonly preview: (width: number) => readonly string[];
	readonly close: () => void;
	/** True for a key that has this meaning in the person's key bindings. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	/** Called when something on the panel has changed. */
	readonly repaint: () => void;
}

const MARGIN = 1;
/** Lines for rules, title, preview, description of the selected row, hint, and the blanks between them. */
const LINES_AROUND = 11;
const FEWEST_ROWS = 3;
/** In fewer columns than this pi's list has no room for its own margins, so wider lines are cut here. */
const NARROWEST_LIST = 24;
/** A narrow terminal cannot spare the columns that pi's list leaves free on the right. */
const NARROW = 40;
const FREE_COLUMNS = 2;
/** Keys as pi's list names them. It cuts the names if they do not fit. */
const HINTS = ["Enter/Space to change", "Esc to close"];

/** The arrow keys that pi's list understands. */
const [UP, DOWN] = ["\x1b[A", "\x1b[B"];
const LETTER_STEPS: ReadonlyMap<string, number> = new Map([
	["j", 1],
	["k", -1],
]);
const letterStep = (typed: string) => LETTER_STEPS.get(textIn(typed) ?? "");

/**
 * Creates the panel of a group of preferences, in place of the editor. Every change is saved at once, one after the
 * other.
 */
export function createPreferencesPanel(deps: PreferencesPanelDeps): Component {
	const { title, theme, room, paint, highlight, rows, valueNow, save, preview, close, repaint } = deps;
	let problem: string | undefined;
	let lastSave = Promise.resolve();
	let waiting = 0;

	const store = async (name: string, value: string) => {
		problem = await save(name, value);
		waiting -= 1;
		// Until all changes are stored, the list knows better than the file what the person wants.
		if (waiting === 0) for (const row of rows) list.updateValue(row.name, valueNow(row.name));
		mark();
		repaint();
	};
	/**
	 * Marks each name whose value is not the default with a star, and shows the default. Goes by what the list shows,
	 * stored or not.
	 */
	const mark = () => {
		for (const [at, { name, summary, usual }] of rows.entries()) {
			const item = items[at];
			if (!item) continue;
			const isUsual = item.currentValue === usual;
			item.label = isUsual ? name : `${name}*`;
			item.description = isUsual ? summary : `${summary} (default ${usual})`;
		}
	};
	const onChange = (name: string, value: string) => {
		mark();
		waiting += 1;
		lastSave = lastSave.then(() => store(name, value));
	};
	const items = rows.map(({ name, summary, choices }): SettingItem => {
		const currentValue = valueNow(name);
		// A value typed into the file by hand is one more choice.
		const values = choices.includes(currentValue) ? [...choices] : [currentValue, ...choices];
		return { id: name, label: name, description: summary, currentValue, values };
	});
	mark();
	const isAllShown = items.length + LINES_AROUND <= room;
	// If not everything fits, the list scrolls, which takes one line to say so.
	const height = isAllShown ? items.length : Math.max(FEWEST_ROWS, room - LINES_AROUND - 1);
	// pi's list calls closing a cancel, but every change is already saved and stays. The keys are named below it.
	const hint = (text: string) => (text.includes("to cancel") ? "" : theme.hint(text));
	// Painted with each drawing, since the theme may change while the panel is open.
	const cursor = `${CURSOR_SIGN} `;
	const list = new SettingsList(items, Math.min(items.length, height), { ...theme, hint, cursor }, onChange, close);

	/** pi's list does not report which row is highlighted, and only moves by single steps. */
	let place = 0;
	const move = (step: number, key = step < 0 ? UP : DOWN) => {
		// A person's own key bindings may not include the arrows.
		if (!deps.isKey(key, step < 0 ? "tui.select.up" : "tui.select.down")) return;
		const last = items.length - 1;
		const next = Math.min(last, Math.max(0, place + step));
		const times = Math.abs(step) === 1 ? 1 : Math.abs(next - place);
		for (let time = 0; time < times; time += 1) list.handleInput(key);
		place = times === 1 ? (place + Math.sign(step) + items.length) % items.length : next;
	};
	// pi's list changes a value on Enter and on a blank, and text is full of blanks.
	const typing = createTyping({
		pace: deps.pace,
		onKey: (typed) => {
			const step = stepOf(typed, deps.isKey, height);
			const letter = letterStep(typed);
			if (letter !== undefined) move(letter);
			else if (step === undefined) list.handleInput(typed);
			else move(step, Math.abs(step) === 1 ? typed : undefined);
			repaint();
		},
		onText: () => undefined,
		isRisky: (typed) => deps.isKey(typed, "tui.select.confirm"),
		isMove: (typed) => letterStep(typed) !== undefined,
	});

	return {
		render: (width) => {
			const inner = Math.max(1, width - MARGIN);
			const indented = (lines: readonly string[]) => lines.map((line) => `${" ".repeat(MARGIN)}${line}`);
			const rule = paint("dim", "─".repeat(width));
			const highlighted = (line: string) => {
				const whole = paint("accent", CURSOR_SIGN) + line.slice(CURSOR_SIGN.length);
				return highlight(whole + " ".repeat(Math.max(0, width - visibleWidth(whole))));
			};
			const notes =
				problem === undefined ? [] : ["", ...indented(wrapTextWithAnsi(paint("error", printable(problem)), inner))];
			const listed = list.render(Math.max(NARROWEST_LIST, width < NARROW ? width + FREE_COLUMNS : width));
			while (listed.at(-1)?.trim() === "") listed.pop();
			const lines = [
				rule,
				...indented(wrapTextWithAnsi(paint("text", title), inner)),
				"",
				...preview(width),
				...notes,
				"",
				...listed.map((line) => (line.startsWith(cursor) ? highlighted(line) : line)),
				"",
				...wrapParts(HINTS, " · ", width - 2).map((text) => theme.hint(`  ${text}`)),
				rule,
			];
			return clampWidth(lines, width);
		},
		handleInput: typing.read,
		invalidate: () => list.invalidate(),
	};
}
