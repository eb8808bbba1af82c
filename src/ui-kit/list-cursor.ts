import { Key, matchesKey } from "@mariozechner/pi-tui";
import type { PanelKey } from "./panel.ts";

/** The highlighted row of a list whose rows come and go. It follows its row and outlives the panel. */
export interface ListCursor {
	/**
	 * Returns the position of the highlighted row among `ids`. If its row is gone, the nearest one; -1 in an empty list.
	 */
	at(ids: readonly string[]): number;
	/** Highlights the row `id`, or none. */
	put(id: string | undefined): void;
	/** Moves by `step` rows. One row beyond an end continues at the other end. */
	move(ids: readonly string[], step: number): void;
	/** Returns the first of the `height` rows to show. Scrolls only as far as the highlighted row needs. */
	top(ids: readonly string[], height: number): number;
}

/** Creates the cursor on the row `id`, if the list contains it. */
export function createListCursor(id: string | undefined): ListCursor {
	let current = id;
	let place = 0;
	let first = 0;

	const at = (ids: readonly string[]): number => {
		const found = current === undefined ? -1 : ids.indexOf(current);
		place = found >= 0 ? found : Math.min(place, ids.length - 1);
		if (place >= 0) current = ids[place];
		else place = 0;
		return ids.length === 0 ? -1 : place;
	};
	return {
		at,
		put: (next) => {
			current = next;
		},
		move: (ids, step) => {
			const from = at(ids);
			if (from < 0) return;
			const last = ids.length - 1;
			const isAtEnd = step < 0 ? from === 0 : from === last;
			const otherEnd = step < 0 ? last : 0;
			current = ids[isAtEnd && Math.abs(step) === 1 ? otherEnd : Math.min(last, Math.max(0, from + step))];
		},
		top: (ids, height) => {
			const shown = Math.max(0, at(ids));
			first = Math.min(Math.max(first, shown - height + 1), shown, Math.max(0, ids.length - height));
			return first;
		},
	};
}

/**
 * Returns by how many rows a key moves the cursor, infinite for a move to an end; undefined for any other key. `page`
 * is the number of rows shown at once.
 */
export function stepOf(
	typed: string,
	isKey: (typed: string, key: PanelKey) => boolean,
	page: number,
): number | undefined {
	const leap = Math.max(2, page);
	const steps: readonly (readonly [PanelKey, number])[] = [
		["tui.select.up", -1],
		["tui.select.down", 1],
		["tui.select.pageUp", -leap],
		["tui.select.pageDown", leap],
	];
	if (matchesKey(typed, Key.home)) return Number.NEGATIVE_INFINITY;
	if (matchesKey(typed, Key.end)) return Number.POSITIVE_INFINITY;
	return steps.find(([key]) => isKey(typed, key))?.[1];
}
