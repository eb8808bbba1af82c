import { visibleWidth } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { PoolView, ShownAccount } from "../../core/pool/pool-view.ts";
import { leadOf, meter, stateCell, type WindowCell, windowCells } from "../../ui-kit/account-cells.ts";
import { whySignedOut } from "../../ui-kit/account-texts.ts";
import { windowLabel } from "../../ui-kit/format.ts";
import { type Line, nameCell, padCell, span } from "../../ui-kit/panel.ts";
import { SHARED_SIGN, signedLabel } from "../../ui-kit/shared-texts.ts";

/** The accounts as lines, in the fullest form that fits. */
interface Table {
	/** True if each account takes two lines and little else fits. */
	readonly isNarrow: boolean;
	readonly heading: readonly Line[];
	/** Number of lines per account. */
	readonly height: number;
	/** Draws a row, without the column for the cursor's sign. */
	row(shown: ShownAccount, isSelected: boolean): Line[];
}

const LEAD = 3;
const GAP = 3;
/** Including the leading blank: `  73%`, ` ~73%`, `~100%`. */
const PERCENT = 5;
const RESET = 5;
const SHORTEST_LABEL = 10;
/** The part of a label beyond this width gives way to meters. */
const TELLING_LABEL = 16;
const PLAN = 4;
const LONGEST_PLAN = 12;
const METERS = [10, 9, 8, 7, 6, 5, 0];
const UNKNOWN = "--";

/** What each form of the table shows, from the fullest on. */
const FORMS = [...METERS.map((cells) => ({ cells, hasPlan: true })), { cells: 0, hasPlan: false }];

/** What is left of each account's windows. Computed once per drawing, since a pool may be large. */
type Cells = ReadonlyMap<ShownAccount, readonly WindowCell[]>;

/** Returns the names of windows that have a cell in every account, shortest first. */
function windowColumns(cells: Cells): string[] {
	const lengths = new Map<string, number>();
	for (const { name, minutes } of [...cells.values()].flat()) lengths.set(name, lengths.get(name) ?? minutes);
	const names = [...lengths].sort(([, a], [, b]) => a - b).map(([name]) => name);
	return names.length > 0 ? names : ["5h", "7d"];
}

/** Lays out the accounts of `view` in `width` columns. Measures all of them, so that scrolling moves nothing. */
export function layOut(view: PoolView, width: number): Table {
	const { accounts, now } = view;
	const known: Cells = new Map(accounts.map((shown) => [shown, windowCells(shown, now)]));
	const names = windowColumns(known);
	const longestLabel = widest(
		accounts.map(({ account }) => signedLabel(account)),
		SHORTEST_LABEL,
	);
	const plan = Math.min(LONGEST_PLAN, widest(accounts.map(planOf), PLAN));
	const state = widest(
		accounts.map((shown) => stateCell(shown, now, false).text),
		"state".length,
	);
	const reset = widest(
		[...known.values()].flatMap((cells) => cells.map(({ resetsIn }) => resetsIn)),
		RESET,
	);
	for (const { cells, hasPlan } of FORMS) {
		const window = cells + PERCENT + 2 + reset;
		const fixed = LEAD + 2 + (hasPlan ? plan + GAP : 0) + names.length * (window + GAP) + state;
		const room = width - fixed;
		if (room >= Math.min(longestLabel, TELLING_LABEL)) {
			const label = Math.min(longestLabel, room);
			return wideTable({ names, label, plan: hasPlan ? plan : 0, cells, reset }, known, now);
		}
	}
	const narrowState = widest(
		accounts.map((shown) => stateCell(shown, now, true).text),
		0,
	);
	const label = Math.max(1, Math.min(longestLabel, width - LEAD - 1 - narrowState));
	const withResets = LEAD + names.length * (2 + PERCENT + 2 + reset + GAP) - GAP <= width;
	return narrowTable({ width, label, reset: withResets ? reset : 0 }, known, now);
}

interface Widths {
	readonly names: readonly string[];
	readonly label: number;
	/** 0 leaves the column out; the same applies to the cells of a meter. */
	readonly plan: number;
	readonly cells: number;
	readonly reset: number;
}

function wideTable({ names, label, plan, cells, reset }: Widths, known: Cells, now: number): Table {
	const width = cells + PERCENT + 2 + reset;
	const gap = span("dim", " ".repeat(GAP));
	const planCell = (text: string) => (plan > 0 ? [span("dim", padCell(text, plan)), gap] : []);
	const windowCell = (found: WindowCell | undefined, isUnknown: boolean): Line => {
		if (!found) return [span("dim", padCell(isUnknown ? UNKNOWN.padStart(PERCENT) : "", width))];
		return [
			span(found.tone, (cells > 0 ? meter(found.leftPercent, cells, "bar") : "") + found.left.padStart(PERCENT)),
			span("dim", `  ${found.resetsIn.padStart(reset)}`),
		];
	};
	const heads = names.flatMap((name) => [gap, span("dim", padCell(`${windowLabel(name)} left`, width))]).slice(1);
	return {
		isNarrow: false,
		height: 1,
		heading: [
			[
				span("dim", `${" ".repeat(LEAD)}${padCell("account", label)}  `),
				...planCell("plan"),
				...heads,
				gap,
				span("dim", "state"),
			],
		],
		row: (shown, isSelected) => {
			const its = known.get(shown) ?? [];
			const windows = names
				.flatMap((name) => {
					const found = its.find((each) => each.name === name);
					return [gap, ...windowCell(found, its.length === 0)];
				})
				.slice(1);
			return [
				[
					leadOf(shown.isActive),
					span(isSelected ? "accent" : "text", `${labelCell(shown, label)}  `),
					...planCell(planOf(shown)),
					...windows,
					gap,
					stateCell(shown, now, false),
				],
			];
		},
	};
}

interface NarrowWidths {
	readonly width: number;
	readonly label: number;
	/** Width of the time until a reset; 0 leaves it out. */
	readonly reset: number;
}

function narrowTable({ width, label, reset }: NarrowWidths, known: Cells, now: number): Table {
	return {
		isNarrow: true,
		height: 2,
		heading: [],
		row: (shown, isSelected) => {
			const windows = fitting(known.get(shown) ?? [], reset, width).flatMap((cell, at) => {
				const { figure, rest } = narrowCell(cell, reset);
				return [span("dim", " ".repeat(at === 0 ? LEAD - 1 : GAP)), span(cell.tone, figure), span("dim", rest)];
			});
			const state = stateCell(shown, now, true);
			const name = narrowLabel(shown, label, width - LEAD - 1 - visibleWidth(state.text));
			return [
				[leadOf(shown.isActive), span(isSelected ? "accent" : "text", `${name} `), state],
				windows.length > 0 ? windows : [span("dim", " ".repeat(LEAD - 1) + withoutUsage(shown))],
			];
		},
	};
}

/** Returns the label in this many columns. Never cuts the sign of a shared account. */
function labelCell({ account }: ShownAccount, width: number): string {
	const sign = account.shared ? ` ${SHARED_SIGN}` : "";
	return visibleWidth(printable(account.label)) + sign.length > width
		? `${padCell(account.label, width - sign.length)}${sign}`
		: padCell(`${account.label}${sign}`, width);
}

function narrowLabel({ account }: ShownAccount, width: number, room: number): string {
	const { label, shared } = account;
	const sign = shared ? ` ${SHARED_SIGN}` : "";
	// If even the sign does not fit, the name matters more.
	if (room <= sign.length) return nameCell(label, width, room);
	const name = nameCell(label, Math.max(1, width - sign.length), room - sign.length).trimEnd();
	return padCell(`${name}${sign}`, Math.max(width, visibleWidth(name) + sign.length));
}

/** Returns a window's text in a narrow row, with the time until its reset if that fits. */
function narrowCell({ name, left, resetsIn }: WindowCell, reset: number) {
	return {
		figure: `${shortName(name)}${left.padStart(PERCENT)}`,
		rest: reset > 0 ? `  ${resetsIn.padStart(reset)}` : "",
	};
}

/**
 * Returns the windows that fit into a narrow row, since a figure that is cut is wrong. The widest are dropped first.
 */
function fitting(cells: readonly WindowCell[], reset: number, width: number): readonly WindowCell[] {
	const columns = cells.reduce(
		(sum, cell) => {
			const { figure, rest } = narrowCell(cell, reset);
			return sum + GAP + figure.length + rest.length;
		},
		LEAD - 1 - GAP,
	);
	if (columns <= width || cells.length < 2) return cells;
	const most = Math.max(...cells.map(({ leftPercent }) => leftPercent));
	const roomiest = cells.findLast(({ leftPercent }) => leftPercent === most);
	return fitting(
		cells.filter((cell) => cell !== roomiest),
		reset,
		width,
	);
}

function withoutUsage({ account, state }: ShownAccount): string {
	const { needsLogin } = account;
	return state === "needs-login" && needsLogin ? whySignedOut(account, needsLogin.reason) : "usage unknown";
}

function shortName(name: string): string {
	return name === "7d" ? "wk" : windowLabel(name);
}

function planOf({ account, usage }: ShownAccount): string {
	return usage?.plan ?? account.plan ?? "";
}

function widest(texts: readonly string[], least: number): number {
	return texts.reduce((most, text) => Math.max(most, visibleWidth(printable(text))), least);
}
