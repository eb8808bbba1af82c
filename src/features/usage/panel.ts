import { type Component, type KeyId, matchesKey } from "@mariozechner/pi-tui";
import { GROUPINGS, type Grouping, PERIODS, type Period, type Report } from "../../core/ledger/ledger-report.ts";
import { stepOf } from "../../ui-kit/list-cursor.ts";
import { clampWidth, hintsOf, type Paint, type PanelKey, renderLine, span, wordsOf } from "../../ui-kit/panel.ts";
import { createTyping, type Pace, textIn } from "../../ui-kit/typing.ts";
import { tableOf } from "./table.ts";
import { COST_NOTE, nothingIn, rowsOf, titleOf } from "./texts.ts";
import type { UsageView } from "./view.ts";

/** What is shown first. */
export interface Look {
	readonly period: Period;
	readonly by: Grouping;
}

/** Dependencies of the panel. */
interface UsagePanelDeps {
	readonly look: Look;
	/** Undefined until the ledger was read. */
	readonly view: (look: Look) => UsageView | undefined;
	readonly close: () => void;
	readonly paint: Paint;
	/** True for a key that has this meaning in the person's key bindings. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	/** Returns how many lines the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	readonly pace: Pace;
}

/** The letter for each period. */
const PERIOD_KEYS: ReadonlyMap<string, Period> = new Map(PERIODS.map((period) => [period.slice(0, 1), period]));
const BY_KEY = "b";
const PERIOD_HINTS = PERIODS.map((period) => `${period.slice(0, 1)} ${period}`);
/** Letters that move, as in many terminal programs. */
const LETTER_STEPS: readonly (readonly [KeyId, number])[] = [
	["j", 1],
	["k", -1],
];

/** Creates the panel: one report at a time, with keys for another period and for other rows. */
export function createUsagePanel(deps: UsagePanelDeps): Component {
	const { paint, isKey, repaint } = deps;
	let look = deps.look;
	/** Number of rows scrolled past, and of rows shown at once. */
	let scrolled = 0;
	let height = 1;
	let total = 0;

	const change = (next: Partial<Look>) => {
		look = { ...look, ...next };
		scrolled = 0;
	};
	const press = (typed: string) => {
		const letter = textIn(typed)?.toLowerCase();
		const period = PERIOD_KEYS.get(letter ?? "");
		const step = LETTER_STEPS.find(([key]) => matchesKey(typed, key))?.[1] ?? stepOf(typed, isKey, height);
		if (period) change({ period });
		else if (letter === BY_KEY) change({ by: nextOf(look.by) });
		else if (step !== undefined) scrolled = Math.max(0, Math.min(total - height, scrolled + step));
		else if (isKey(typed, "tui.select.cancel")) return deps.close();
		repaint();
	};
	const typing = createTyping({
		pace: deps.pace,
		onKey: press,
		onText: () => undefined,
		isRisky: (typed) => isKey(typed, "tui.select.confirm"),
		isMove: (typed) => LETTER_STEPS.some(([key]) => matchesKey(typed, key)),
	});

	const bodyOf = (view: UsageView, width: number, around: number): string[] => {
		const { report, isOn } = view;
		if (report.groups.length === 0) return wordsOf(nothingIn(report.period, isOn), "muted", width, paint);
		const table = tableOf(report, view.accounts, Math.max(1, width - 2));
		const line = (tone: "dim" | "text" | "accent", text: string) => renderLine([span(tone, ` ${text}`)], width, paint);
		const sum = table.total === undefined ? [] : [line("accent", table.total)];
		const note = wordsOf(COST_NOTE, "muted", width, paint);
		const roomy = Math.max(0, deps.room() - around - 1 - sum.length);
		const hasNote = roomy - note.length - 1 >= Math.min(table.rows.length, FEWEST_ROWS);
		const most = Math.max(1, hasNote ? roomy - note.length - 1 : roomy);
		total = table.rows.length;
		// One line says how many more there are.
		height = total <= most ? total : Math.max(1, most - 1);
		scrolled = Math.max(0, Math.min(scrolled, total - height));
		const shown = table.rows.slice(scrolled, scrolled + height).map((text) => line("text", text));
		const more = total > height ? [line("dim", `${total - height} more, ↑↓ scroll`)] : [];
		return [line("dim", table.heading), ...shown, ...more, ...sum, ...(hasNote ? ["", ...note] : [])];
	};

	return {
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const view = deps.view(look);
			const head = [...wordsOf(titleOf(look), "accent", width, paint), ""];
			const next = rowsOf({ ...look, by: nextOf(look.by) });
			const foot = ["", ...hintsOf([...PERIOD_HINTS, `b by ${next}`, "esc close"], width, paint)];
			const body = view
				? bodyOf(view, width, head.length + foot.length + 2)
				: wordsOf("Reading …", "muted", width, paint);
			return clampWidth([rule, ...head, ...body, ...foot, rule], width);
		},
		handleInput: typing.read,
		invalidate: () => undefined,
	};
}

/** With fewer rows than this, the note below them is dropped. */
const FEWEST_ROWS = 3;

function nextOf(by: Report["by"]): Grouping {
	return GROUPINGS[(GROUPINGS.indexOf(by) + 1) % GROUPINGS.length] ?? "account";
}
