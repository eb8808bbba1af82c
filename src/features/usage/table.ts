import { visibleWidth } from "@mariozechner/pi-tui";
import { type Account, printable } from "../../core/account.ts";
import type { Amounts } from "../../core/ledger/ledger.ts";
import type { Group, Report } from "../../core/ledger/ledger-report.ts";
import { costText, countText } from "../../ui-kit/amount-texts.ts";
import { padCell } from "../../ui-kit/panel.ts";
import { namesOf, refusalsText, rowsOf, sparkline } from "./texts.ts";

/** A report as lines of limited width. */
interface Table {
	readonly heading: string;
	readonly rows: readonly string[];
	/** Undefined if the only row is the sum. */
	readonly total: string | undefined;
}

interface Column {
	readonly title: string;
	readonly cell: (amounts: Amounts) => string;
}

const COURSE = "course";
/** The columns in the order in which they are added while there is room. The course comes last. */
const BY_RANK: readonly (Column | typeof COURSE)[] = [
	{ title: "cost", cell: ({ cost }) => costText(cost) },
	{ title: "requests", cell: ({ requests }) => countText(requests) },
	{ title: "output", cell: ({ output }) => countText(output) },
	COURSE,
	{ title: "input", cell: ({ input }) => countText(input) },
	{ title: "cached", cell: ({ cached }) => countText(cached) },
	{ title: "rotated", cell: ({ rotations }) => countText(rotations) },
	{ title: "refused", cell: refusalsText },
];
/** The columns from left to right. */
const ORDER = ["requests", "input", "cached", "output", "cost", "rotated", "refused"];
const GAP = "  ";
/** Names are cut to this width before a column is left out. */
const SHORT_NAME = 12;
/** A shorter course is not worth showing. */
const SHORT_COURSE = 7;

/** A laid-out column: its cells, each as wide as the widest. */
interface Standing {
	readonly title: string;
	readonly cells: readonly string[];
	readonly width: number;
}

/** What fits. */
interface Layout {
	readonly columns: readonly Standing[];
	readonly name: number;
	/** Number of steps of the course shown; 0 for none. */
	readonly course: number;
}

/** Lays a report out in `width` columns, with fewer figures if there is less room. */
export function tableOf(report: Report, accounts: readonly Account[], width: number): Table {
	const { groups, total, period } = report;
	const hasTotal = groups.length > 1;
	const all = hasTotal ? [...groups, total] : groups;
	const names = [...namesOf(report, accounts).map(printable), ...(hasTotal ? ["total"] : [])];
	const title = rowsOf(report);
	const layout = layOut(report, all, Math.max(...[title, ...names].map(visibleWidth)), width);
	const { columns, course } = layout;
	const unit = period === "all" ? "months" : "days";
	const lines = all.map((group, at) => {
		const cells = columns.map((column) => column.cells[at] ?? "");
		return lineOf(names[at] ?? "", cells, sparkline(group.course, course), layout);
	});
	return {
		heading: lineOf(
			title,
			columns.map((column) => column.title),
			`${course} ${unit}`,
			layout,
		),
		rows: lines.slice(0, groups.length),
		total: hasTotal ? lines.at(-1) : undefined,
	};
}

function layOut({ steps, by }: Report, all: readonly Group[], longestName: number, width: number): Layout {
	const columns: Standing[] = [];
	const shortName = Math.min(longestName, SHORT_NAME);
	const shortCourse = Math.min(steps.length, SHORT_COURSE);
	let course = 0;
	let room = width - shortName;
	for (const column of BY_RANK) {
		// A single day has no course.
		if (column === COURSE && by === "day") continue;
		const standing = column === COURSE ? undefined : standingOf(column, all);
		const takes = GAP.length + (standing?.width ?? shortCourse);
		if (takes > room) break;
		room -= takes;
		if (standing) columns.push(standing);
		else course = shortCourse;
	}
	// Remaining room goes to the names first, then to the course.
	const name = Math.max(1, shortName + Math.min(longestName - shortName, room));
	const rest = room - (name - shortName);
	columns.sort((a, b) => ORDER.indexOf(a.title) - ORDER.indexOf(b.title));
	return { columns, name, course: course > 0 ? Math.min(steps.length, course + Math.max(0, rest)) : 0 };
}

function standingOf({ title, cell }: Column, all: readonly Group[]): Standing {
	const cells = all.map(({ amounts }) => cell(amounts));
	return { title, cells, width: Math.max(title.length, ...cells.map(({ length }) => length)) };
}

function lineOf(name: string, cells: readonly string[], course: string, { columns, ...layout }: Layout): string {
	const figures = cells.map((cell, at) => GAP + cell.padStart(columns[at]?.width ?? 0));
	const behind = layout.course > 0 ? GAP + course : "";
	return `${padCell(name, layout.name)}${figures.join("")}${behind}`.trimEnd();
}
