import { visibleWidth } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { ShownLink } from "../../pi/chain-links.ts";
import { type Line, padCell, type Span, span } from "../../ui-kit/panel.ts";
import { shortCostOf, stateOf } from "./view.ts";

const GAP = 2;
/** Marks a paid link if its cost does not fit. */
const PAID_MARK = "$";

/** Shows position and name, and if they fit, cost and state. */
export function linkRows(links: readonly ShownLink[], now: number, width: number): Line[] {
	const costs = links.map(shortCostOf);
	const states = links.map((link) => stateOf(link, now));
	const digits = String(links.length).length;
	const layout = layoutOf(links, [costs, states], width - digits - 1);
	return links.map((link, at) => [
		span("dim", ` ${String(at + 1).padStart(digits)} `),
		span(link.obstacle ? "warning" : "text", padCell(link.name, layout.name)),
		costSpan(link, costs[at] ?? "", layout),
		...(layout.columns > 1 ? [span(link.obstacle ? "warning" : "muted", `  ${states[at] ?? ""}`)] : []),
	]);
}

/** Shows the name, and if it fits, the cost. */
export function candidateRows(links: readonly ShownLink[], width: number): Line[] {
	const costs = links.map(shortCostOf);
	const layout = layoutOf(links, [costs], width);
	return links.map((link, at) => [
		span("text", `  ${padCell(link.name, layout.name)}`),
		costSpan(link, costs[at] ?? "", layout),
	]);
}

function costSpan({ isPaid }: ShownLink, cost: string, { columns, widths: [width = 0] }: Layout): Span {
	if (columns === 0) return span("warning", isPaid ? ` ${PAID_MARK}` : "");
	return span(isPaid ? "warning" : "muted", `  ${padCell(cost, width)}`);
}

interface Layout {
	/** Number of columns beside the names. */
	readonly columns: number;
	readonly widths: readonly number[];
	/** Width of the names. */
	readonly name: number;
}

/** Names come first: two models may differ only at their ends. */
function layoutOf(links: readonly ShownLink[], columns: readonly (readonly string[])[], width: number): Layout {
	const widest = (texts: readonly string[]) => Math.max(0, ...texts.map(visibleWidth));
	const names = widest(links.map(({ name }) => printable(name)));
	const widths = columns.map(widest);
	const room = width - 4;
	const fitting = (count: number) => room - widths.slice(0, count).reduce((sum, each) => sum + each + GAP, 0);
	const most = columns.length;
	const count = Array.from({ length: most }, (_, less) => most - less).find((each) => fitting(each) >= names) ?? 0;
	const left = count === 0 ? room - GAP : fitting(count);
	return { columns: count, widths, name: Math.max(1, Math.min(names, left)) };
}
