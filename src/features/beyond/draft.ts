import { printable } from "../../core/account.ts";
import { graphemesIn } from "../../ui-kit/format.ts";
import { textIn } from "../../ui-kit/typing.ts";

/** Text that was typed for the editor while a panel covered it. */
interface Draft {
	/** Keeps the text of one piece of input. Enter and Backspace act as in the editor. */
	read(typed: string): void;
	text(): string;
}

const PASTE_BEGINS = "\x1b[200~";
const PASTE_ENDS = "\x1b[201~";

/** Creates an empty draft. */
export function createDraft(): Draft {
	let kept = "";
	return {
		read: (typed) => {
			if (typed === "\x7f") kept = graphemesIn(kept).slice(0, -1).join("");
			// An empty line needs no line end.
			else if (typed === "\r" || typed === "\n") kept += kept === "" ? "" : "\n";
			else kept += typed.startsWith(PASTE_BEGINS) ? pastedIn(typed) : (textIn(typed) ?? "");
		},
		text: () => kept.trimEnd(),
	};
}

/** Returns a paste with its line breaks. */
function pastedIn(typed: string): string {
	const [pasted = ""] = typed.slice(PASTE_BEGINS.length).split(PASTE_ENDS);
	return pasted
		.split(/\r\n|\r|\n/)
		.map((line) => printable(line.replaceAll("\t", " ")))
		.join("\n");
}
