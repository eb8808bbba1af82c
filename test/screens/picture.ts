import type { Cell } from "../support/terminal.ts";

const CELL_WIDTH = 8.4;
const CELL_HEIGHT = 18;
const MARGIN = 12;
const FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace";

/** Every picture that is taken, by its file in `pictures`, with its title. The README shows no other. */
export const PICTURES = {
	dashboard: "The dashboard: four accounts in four states",
	picker: "The picker: choose an account, or type to filter",
	footer: "The footer, below pi's own",
	"footer-panel": "What the footer shows, with a preview",
	rotation: "A rotation: work runs out of quota, personal answers",
} as const;

/** What the terminal itself paints with. */
export interface Palette {
	readonly color: string;
	readonly background: string;
}

/** A dark terminal, and a light one. */
export const GROUNDS = {
	dark: { color: "#d4d4d4", background: "#18181e" },
	light: { color: "#1f2328", background: "#ffffff" },
} as const satisfies Record<string, Palette>;

/** A screen of a moving picture. */
export interface Frame {
	readonly screen: readonly (readonly Cell[])[];
	readonly lastsMs: number;
}

/** A screen as an SVG document: text stays text, every run stands in its own columns whatever the font. */
export function pictureOf(title: string, screen: readonly (readonly Cell[])[], palette: Palette): string {
	const rows = withoutEmptyEnds(screen);
	return documentOf(title, rows, palette, elementsOfRows(rows, palette));
}

/**
 * Screens of one size as a moving SVG document that starts over at its end. A viewer that does not animate shows the
 * last one.
 */
export function movingPictureOf(title: string, frames: readonly Frame[], palette: Palette): string {
	const totalMs = frames.reduce((sum, { lastsMs }) => sum + lastsMs, 0);
	let startsMs = 0;
	const groups = frames.flatMap(({ screen, lastsMs }, index) => {
		const isLast = index === frames.length - 1;
		const [from, to] = [startsMs / totalMs, (startsMs + lastsMs) / totalMs].map((share) => share.toFixed(4));
		startsMs += lastsMs;
		const times = index === 0 ? `0;${to}` : `0;${from};${isLast ? "1" : to}`;
		const values = index === 0 ? "visible;hidden" : `hidden;visible;${isLast ? "visible" : "hidden"}`;
		return [
			`<g visibility="${isLast ? "visible" : "hidden"}">`,
			`<animate attributeName="visibility" calcMode="discrete" dur="${totalMs}ms" repeatCount="indefinite" ` +
				`values="${values}" keyTimes="${times}"/>`,
			...elementsOfRows(screen, palette),
			"</g>",
		];
	});
	return documentOf(title, frames.at(-1)?.screen ?? [], palette, groups);
}

function documentOf(
	title: string,
	rows: readonly (readonly Cell[])[],
	palette: Palette,
	elements: readonly string[],
): string {
	const columns = Math.max(...rows.map((row) => row.reduce((sum, { width }) => sum + width, 0)));
	const [width, height] = [size(columns * CELL_WIDTH + 2 * MARGIN), rows.length * CELL_HEIGHT + 2 * MARGIN];
	return [
		`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
		`<title>${escaped(title)}</title>`,
		`<rect width="100%" height="100%" rx="6" fill="${palette.background}"/>`,
		`<g font-family="${FONT}" font-size="14" fill="${palette.color}">`,
		...elements,
		"</g>",
		"</svg>",
		"",
	].join("\n");
}

function elementsOfRows(rows: readonly (readonly Cell[])[], palette: Palette): string[] {
	return rows.flatMap((row, index) => runsOf(row).flatMap((run) => elementsOf(run, index, palette)));
}

function withoutEmptyEnds(screen: readonly (readonly Cell[])[]): readonly (readonly Cell[])[] {
	const isPainted = (row: readonly Cell[]) => row.some(({ text, background }) => text.trim() !== "" || background);
	return screen.slice(screen.findIndex(isPainted), screen.findLastIndex(isPainted) + 1);
}

interface Run extends Omit<Cell, "width"> {
	/** First column. */
	readonly at: number;
	readonly columns: number;
}

/** Neighbours that look the same. */
function runsOf(row: readonly Cell[]): Run[] {
	const runs: Run[] = [];
	let at = 0;
	for (const { width, ...cell } of row) {
		const last = runs.at(-1);
		if (last && width === 1 && last.text.length === last.columns && looksLike(last, cell)) {
			runs[runs.length - 1] = { ...last, text: last.text + cell.text, columns: last.columns + width };
		} else runs.push({ ...cell, at, columns: width });
		at += width;
	}
	return runs;
}

function looksLike(one: Omit<Cell, "width" | "text">, other: Omit<Cell, "width" | "text">): boolean {
	return (["color", "background", "isBold", "isDim", "isInverse"] as const).every((key) => one[key] === other[key]);
}

function elementsOf(run: Run, row: number, palette: Palette): string[] {
	const xOf = (column: number) => size(MARGIN + column * CELL_WIDTH);
	const [x, y] = [xOf(run.at), MARGIN + row * CELL_HEIGHT];
	const width = size(run.columns * CELL_WIDTH);
	const [color, background] = run.isInverse
		? [run.background ?? palette.background, run.color ?? palette.color]
		: [run.color, run.background];
	const behind = background
		? [`<rect x="${x}" y="${y}" width="${width}" height="${CELL_HEIGHT}" fill="${background}"/>`]
		: [];
	const look = [
		color ? ` fill="${color}"` : "",
		run.isBold ? ' font-weight="bold"' : "",
		run.isDim ? ' opacity="0.6"' : "",
	].join("");
	// Two blanks in a row, or at an end, are one or none to many viewers: what they part is placed by itself.
	const texts = [...run.text.matchAll(/[^ ]+(?: [^ ]+)*/g)].map(({ 0: text, index }) => {
		const isWide = run.text.length !== run.columns;
		const span = size((isWide ? run.columns : text.length) * CELL_WIDTH);
		const where = `x="${xOf(run.at + index)}" y="${y + 13}" textLength="${span}" lengthAdjust="spacingAndGlyphs"`;
		return `<text ${where}${look}>${escaped(text)}</text>`;
	});
	return [...behind, ...texts];
}

function size(value: number): number {
	return Math.round(value * 10) / 10;
}

function escaped(text: string): string {
	return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
