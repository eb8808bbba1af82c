/**
 * Measures text in a terminal: what `ui-kit` uses of pi-tui, for a program without pi. For plain text only, since
 * nothing here paints.
 */

const PRINTABLE_ASCII = /^[\x20-\x7e]*$/;
/**
 * Matches characters of one column each: Latin, Greek and Cyrillic letters, punctuation, arrows, boxes and blocks,
 * without combining marks.
 */
const NARROW =
	/^[\x20-\x7e\u00a0-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e\u2190-\u22ff\u2500-\u25fc]*$/;
const INVISIBLE = /^[\p{Default_Ignorable_Code_Point}\p{Control}\p{Mark}\p{Surrogate}]+$/u;
const WIDE =
	/^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97c\uac00-\ud7a3\uf900-\ufaff\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{16fe0}-\u{18cff}\u{1aff0}-\u{1b2ff}\u{1f1e6}-\u{1f1ff}\u{20000}-\u{3fffd}])/u;
/** Matches a character that is text by default but is shown as a picture. */
const AS_EMOJI = /^\p{Emoji}.*\ufe0f/u;

let segmenter: Intl.Segmenter | undefined;

/** Splits a text into characters as a reader counts them. */
function charactersOf(text: string): string[] {
	if (PRINTABLE_ASCII.test(text)) return text.split("");
	// Created at first use: it takes 5 ms, which most calls need not pay for.
	segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
	return [...segmenter.segment(text)].map(({ segment }) => segment);
}

function widthOf(character: string): number {
	if (INVISIBLE.test(character)) return 0;
	return WIDE.test(character) || AS_EMOJI.test(character) ? 2 : 1;
}

/** Returns the columns that a text takes. */
export function visibleWidth(text: string): number {
	if (NARROW.test(text)) return text.length;
	return charactersOf(text).reduce((sum, character) => sum + widthOf(character), 0);
}

/** Returns the beginning of a text that fits into `columns`, followed by `ellipsis` if something was cut. */
export function truncateToWidth(text: string, columns: number, ellipsis = "..."): string {
	if (visibleWidth(text) <= columns) return text;
	const end = visibleWidth(ellipsis) <= columns ? ellipsis : "";
	return `${fitting(text, columns - visibleWidth(end))}${end}`;
}

function fitting(text: string, columns: number): string {
	let [kept, room] = ["", columns];
	for (const character of charactersOf(text)) {
		room -= widthOf(character);
		if (room < 0) break;
		kept += character;
	}
	return kept;
}

/** Wraps a text into lines of at most `columns`, between words if possible. */
export function wrapTextWithAnsi(text: string, columns: number): string[] {
	return text.split("\n").flatMap((line) => wrapLine(line, columns));
}

function wrapLine(line: string, columns: number): string[] {
	const lines: string[] = [];
	let current = "";
	for (const piece of line.match(/\s+|\S+/g) ?? []) {
		if (visibleWidth(current + piece) <= columns) {
			current += piece;
			continue;
		}
		if (current.trim() !== "") lines.push(current.trimEnd());
		current = piece.trim() === "" ? "" : piece;
		while (visibleWidth(current) > columns) {
			// A character wider than a line gets a line of its own.
			const head = fitting(current, columns) || (charactersOf(current)[0] ?? current);
			lines.push(head);
			current = current.slice(head.length);
		}
	}
	return current !== "" || lines.length === 0 ? [...lines, current.trimEnd()] : lines;
}
