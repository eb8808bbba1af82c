import { Input } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { PoolView, ShownAccount } from "../../core/pool/pool-view.ts";
import type { ListCursor } from "../../ui-kit/list-cursor.ts";
import { createFold, type Fold } from "./fold.ts";
import { filtered } from "./list-filter.ts";

/**
 * The accounts that are listed: all that match what was typed, or else all that are not folded. One of them is
 * highlighted.
 */
interface ListedAccounts {
	/** The field of the filter. */
	readonly input: Input;
	/** True while the field is open. */
	isTyping(): boolean;
	/** True while the field is open or contains anything. Nothing is folded then. */
	isFiltered(): boolean;
	/** Returns the accounts of the pool that are listed. */
	listed(whole: PoolView): PoolView;
	/** Returns the highlighted account; undefined in an empty list. */
	selected(whole: PoolView): ShownAccount | undefined;
	folded(whole: PoolView): readonly ShownAccount[];
	readonly fold: Pick<Fold, "isOffered" | "toggle">;
	/**
	 * Folds if the terminal, which `place` stands for, has room for only `fitting` accounts. Returns true if the list has
	 * changed.
	 */
	fit(whole: PoolView, place: string, fitting: number): boolean;
	/** Moves by `step` rows. */
	move(whole: PoolView, step: number): void;
	/** Returns the first of the `height` rows to show. */
	top(whole: PoolView, height: number): number;
	/** Opens the field with a text, or adds it to the field. */
	begin(text: string, whole: PoolView): void;
	/** Gives the field a key. The best match is then highlighted. */
	edit(typed: string, whole: PoolView): void;
	/** Closes the field. Its text still filters. */
	accept(): void;
	/** Closes the field and lists every account again. */
	clear(): void;
}

/** Creates the list without a filter, and with nothing folded. */
export function createListedAccounts(cursor: ListCursor): ListedAccounts {
	const input = new Input();
	const fold = createFold();
	let isTyping = false;

	const isFiltered = () => isTyping || input.getValue() !== "";
	const listed = (whole: PoolView): PoolView =>
		isFiltered() ? { ...whole, ...filtered(whole.accounts, input.getValue()) } : fold.listed(whole);
	const idsOf = (whole: PoolView) => listed(whole).accounts.map(({ account }) => account.id);
	const selected = (whole: PoolView) => listed(whole).accounts[cursor.at(idsOf(whole))];
	const edit = (typed: string, whole: PoolView) => {
		const before = input.getValue();
		input.handleInput(typed);
		const value = printable(input.getValue());
		if (value !== input.getValue()) input.setValue(value);
		if (value === before) return;
		const { best } = filtered(whole.accounts, value);
		if (best) cursor.put(best.account.id);
	};
	return {
		input,
		isTyping: () => isTyping,
		isFiltered,
		listed,
		selected,
		folded: (whole) => (isFiltered() ? [] : fold.folded(whole)),
		fold,
		fit: (whole, place, fitting) => !isFiltered() && fold.decide(whole, place, fitting, selected(whole)?.account.id),
		move: (whole, step) => cursor.move(idsOf(whole), step),
		top: (whole, height) => cursor.top(idsOf(whole), height),
		begin: (text, whole) => {
			isTyping = true;
			// Text that starts with a slash starts a filter. A command meant for the editor matches nothing.
			const begun = input.getValue() === "" ? text.replace(/^\//, "") : text;
			if (begun !== "") edit(begun, whole);
		},
		edit,
		accept: () => {
			isTyping = false;
		},
		clear: () => {
			input.setValue("");
			isTyping = false;
		},
	};
}
