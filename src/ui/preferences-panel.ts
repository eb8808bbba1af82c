import {
	type Component,
	type SettingItem,
	SettingsList,
	type SettingsListTheme,
	truncateToWidth,
	visibleWidth,
	wrapTextWithAnsi,
} from "@mariozechner/pi-tui";
import { printable } from "../domain/account.ts";

/** Colours of pi's theme that the panel uses. */
export type PanelPaint = (tone: "dim" | "error" | "text" | "warning", text: string) => string;

/** One line of the panel. */
export interface PreferenceRow {
	readonly name: string;
	/** What it does; shown while the row is selected. */
	readonly summary: string;
	/** Values that are offered one after the other. */
	readonly choices: readonly string[];
}

/** What the panel asks of the rest. */
export interface PreferencesPanelDeps {
	readonly title: string;
	/** pi's look of a list of settings. */
	readonly theme: SettingsListTheme;
	readonly paint: PanelPaint;
	readonly rows: readonly PreferenceRow[];
	/** The value of a row as it is now. */
	readonly valueNow: (name: string) => string;
	/** Stores a value; resolves with why that failed, if it did, and never rejects. */
	readonly save: (name: string, value: string) => Promise<string | undefined>;
	/** What the values come to at this moment, in lines no wider than `width`. */
	readonly preview: (width: number) => readonly string[];
	readonly close: () => void;
	/** Something on the panel has changed. */
	readonly repaint: () => void;
}

const MARGIN = 1;
/** Narrower than this pi's list has no room for its own margins; what is too wide is cut here. */
const NARROWEST_LIST = 24;

/** The panel of a group of preferences, in place of the editor: every change is saved at once, one after the other. */
export function createPreferencesPanel(deps: PreferencesPanelDeps): Component {
	const { title, theme, paint, rows, valueNow, save, preview, close, repaint } = deps;
	let problem: string | undefined;
	let lastSave = Promise.resolve();
	let waiting = 0;

	const store = async (name: string, value: string) => {
		problem = await save(name, value);
		waiting -= 1;
		// Until all are stored the list knows better than the file what the person wants.
		if (waiting === 0) for (const row of rows) list.updateValue(row.name, valueNow(row.name));
		repaint();
	};
	const onChange = (name: string, value: string) => {
		waiting += 1;
		lastSave = lastSave.then(() => store(name, value));
	};
	const items = rows.map(({ name, summary, choices }): SettingItem => {
		const currentValue = valueNow(name);
		// What was typed by hand in the file is one more choice.
		const values = choices.includes(currentValue) ? [...choices] : [currentValue, ...choices];
		return { id: name, label: name, description: summary, currentValue, values };
	});
	const list = new SettingsList(items, items.length, theme, onChange, close);

	return {
		render: (width) => {
			const inner = Math.max(1, width - MARGIN);
			const indented = (lines: readonly string[]) => lines.map((line) => `${" ".repeat(MARGIN)}${line}`);
			const rule = paint("dim", "─".repeat(width));
			const notes =
				problem === undefined ? [] : ["", ...indented(wrapTextWithAnsi(paint("error", printable(problem)), inner))];
			const lines = [
				rule,
				...indented(wrapTextWithAnsi(paint("text", title), inner)),
				"",
				...preview(width),
				...notes,
				"",
				...list.render(Math.max(NARROWEST_LIST, width)),
				rule,
			];
			return lines.map((line) => (visibleWidth(line) > width ? truncateToWidth(line, width, "") : line));
		},
		handleInput: (typed) => {
			list.handleInput(typed);
			repaint();
		},
		invalidate: () => list.invalidate(),
	};
}
