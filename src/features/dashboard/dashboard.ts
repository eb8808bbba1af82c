import { type Component, type Focusable, Input, type KeyId, matchesKey } from "@mariozechner/pi-tui";
import { type Account, printable } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Amounts } from "../../core/ledger/ledger.ts";
import type { PoolView } from "../../core/pool/pool-view.ts";
import { type ListCursor, stepOf } from "../../ui-kit/list-cursor.ts";
import { type Highlight, type Paint, type PanelKey, WITH_PAGE_KEYS } from "../../ui-kit/panel.ts";
import { bypassedBy } from "../../ui-kit/state-words.ts";
import { panelAround } from "../../ui-kit/text-field.ts";
import { createTyping, type Pace, textIn } from "../../ui-kit/typing.ts";
import { type Drawing, drawDashboard, type Mode, type Scene } from "./drawing.ts";
import { createFold } from "./fold.ts";
import { actionOf, type DashboardAction, type KeyMoment, type LookAction } from "./keys.ts";
import { filtered } from "./list-filter.ts";
import type { Move } from "./moves.ts";
import type { LastRotation } from "./texts.ts";

/** Dependencies of the dashboard. */
export interface DashboardDeps {
	readonly view: () => PoolView;
	readonly cursor: ListCursor;
	/** True while usage is being fetched: of this account, or without an id of any. */
	readonly isAsking: (id?: AccountId) => boolean;
	/** Returns the last rotation of this process. */
	readonly lastRotation: () => LastRotation | undefined;
	/** Returns the moves of sessions between accounts, in any process, newest first. */
	readonly moves: () => readonly Move[];
	/** Returns what an account was used for today; undefined for nothing, or while unknown. */
	readonly usedToday: (id: AccountId) => Amounts | undefined;
	readonly paint: Paint;
	readonly highlight: Highlight;
	/** True for a key that has this meaning in the person's key bindings. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	/** Returns how many lines the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	readonly pace: Pace;
	/** Returns the label of the account that was just removed, while it can be restored. */
	readonly undoable: () => string | undefined;
	/** Called for a key. `account` is the one that was highlighted when it was pressed; undefined in an empty pool. */
	readonly onAction: (action: DashboardAction, account: Account | undefined) => void;
}

/** Creates the dashboard. It draws what it is given and does nothing by itself. Text is never taken for keys. */
export function createDashboard(deps: DashboardDeps): Component & Focusable {
	const { cursor } = deps;
	const input = new Input();
	const fold = createFold();
	let mode: Mode = "keys";
	let isDetailed = false;
	/** Number of lines of the details scrolled past. */
	let scrolled = 0;
	let drawn: Drawing = { lines: [] };
	/** The account that was highlighted when the waiting key was pressed. */
	let pressedOn: Account | undefined;

	const hasFilter = () => mode === "filter" || input.getValue() !== "";
	const shownIn = (view: PoolView): PoolView =>
		hasFilter() ? { ...view, ...filtered(view.accounts, input.getValue()) } : fold.listed(view);
	const idsOf = (view: PoolView) => view.accounts.map(({ account }) => account.id);
	const selectedIn = (view: PoolView) => view.accounts[cursor.at(idsOf(view))];
	const momentOf = (account: Account | undefined, view = deps.view()): KeyMoment => ({
		account,
		isBypassed: bypassedBy(view) !== undefined,
		isUndoable: deps.undoable() !== undefined,
		hasFold: fold.isOffered(),
		isDetailed,
	});

	const sceneOf = (whole: PoolView): Scene => {
		const view = shownIn(whole);
		const selected = selectedIn(view);
		return {
			whole,
			view,
			selected,
			folded: hasFilter() ? [] : fold.folded(whole),
			mode,
			filter: input.getValue(),
			field: (width) => input.render(Math.max(1, width - 1)).map((text) => ` ${text}`),
			moment: momentOf(selected?.account, whole),
			isAsking: deps.isAsking,
			lastRotation: deps.lastRotation(),
			moves: deps.moves(),
			usedToday: deps.usedToday,
			undone: deps.undoable(),
			room: deps.room(),
			scrolled,
			top: (height) => cursor.top(idsOf(view), height),
			paint: deps.paint,
			highlight: deps.highlight,
		};
	};
	const render = (width: number): string[] => {
		const whole = deps.view();
		const scene = sceneOf(whole);
		drawn = drawDashboard(scene, width);
		const { fitting } = drawn;
		const isList = fitting !== undefined && !hasFilter();
		const place = `${width} ${deps.room()}`;
		if (isList && fold.decide(whole, place, fitting, scene.selected?.account.id)) {
			drawn = drawDashboard(sceneOf(whole), width);
		}
		return drawn.lines;
	};
	/** Number of accounts shown at once: the step of the page keys. */
	const page = () => Math.max(1, drawn.fitting ?? 1);

	const filter = (typed: string) => {
		const before = input.getValue();
		input.handleInput(typed);
		const value = printable(input.getValue());
		if (value !== input.getValue()) input.setValue(value);
		if (value === before) return;
		const { best } = filtered(deps.view().accounts, value);
		if (best) cursor.put(best.account.id);
	};
	const endFilter = () => {
		input.setValue("");
		mode = "keys";
	};
	/** Scrolls the details of an account; false if the key does not scroll. */
	const scroll = (typed: string): boolean => {
		const { height, total } = drawn.details ?? { height: 0, total: 0 };
		const steps = [
			deps.isKey(typed, "tui.select.pageUp") && -height,
			deps.isKey(typed, "tui.select.pageDown") && height,
		];
		const step = steps.find((each) => each !== false);
		if (!isDetailed || step === undefined) return false;
		scrolled = Math.max(0, Math.min(total - height, scrolled + step));
		return true;
	};
	const move = (typed: string): boolean => {
		if (mode === "keys" && scroll(typed)) return true;
		const ids = idsOf(shownIn(deps.view()));
		const letter = mode === "filter" ? undefined : LETTER_STEPS.find(([key]) => matchesKey(typed, key))?.[1];
		const step = letter ?? stepOf(typed, deps.isKey, page());
		if (step === undefined) return false;
		cursor.move(ids, step);
		scrolled = 0;
		return true;
	};
	const isBound = (typed: string, key: PanelKey) => deps.isKey(typed, key);
	const pressInFilter = (typed: string) => {
		if (isBound(typed, "tui.select.cancel")) endFilter();
		else if (isBound(typed, "tui.select.confirm")) {
			// A filter without a match is a slip, so the field stays open.
			if (selectedIn(shownIn(deps.view()))) mode = "keys";
		} else if (!move(typed)) filter(typed);
	};
	/** Handles a key. Returns true if it asks for an action outside the dashboard. */
	const pressKey = (typed: string): boolean => {
		if (mode === "help") mode = "keys";
		else if (mode === "filter") pressInFilter(typed);
		else if (!move(typed)) return pressCommand(typed);
		return false;
	};
	const pressCommand = (typed: string): boolean => {
		// The first Esc clears the filter.
		if (isBound(typed, "tui.select.cancel") && input.getValue() !== "") {
			endFilter();
			return false;
		}
		const account = deps.view().accounts.find((each) => each.account.id === pressedOn?.id)?.account;
		// The row may have disappeared while its key waited.
		if (pressedOn && !account) return false;
		const action = actionOf(typed, momentOf(account), deps.isKey);
		if (action === undefined && textIn(typed) !== undefined) takeText(typed);
		if (action === undefined || doHere(action)) return false;
		deps.onAction(action, account);
		return true;
	};
	/** Handles a key that only changes how the accounts are shown. */
	const doHere = (action: DashboardAction | LookAction): action is LookAction => {
		if (action === "help") mode = "help";
		else if (action === "fold") fold.toggle();
		else if (action === "details") {
			isDetailed = !isDetailed;
			scrolled = 0;
		} else return false;
		return true;
	};
	/** Letters that are not keys of the dashboard are text too, since more may follow. */
	const takeText = (text: string) => {
		// With nothing to filter, text is dropped.
		if (deps.view().accounts.length === 0) return;
		mode = "filter";
		// Text that starts with a slash starts a filter. A command meant for the editor matches nothing.
		const begun = input.getValue() === "" ? text.replace(/^\//, "") : text;
		if (begun !== "") filter(begun);
	};
	const typing = createTyping({
		pace: deps.pace,
		onKey: (typed) => {
			// The action draws by itself, and may have closed the dashboard.
			if (!pressKey(typed)) deps.repaint();
		},
		onText: (text) => {
			takeText(text);
			deps.repaint();
		},
		isRisky: (typed) => isBound(typed, "tui.select.confirm"),
		isMove: (typed) => LETTER_STEPS.some(([key]) => matchesKey(typed, key)),
		isInField: () => mode === "filter",
	});

	const panel = panelAround(input, {
		render,
		handleInput: (typed) => {
			if (!typing.isWaiting()) pressedOn = selectedIn(shownIn(deps.view()))?.account;
			const isSlash = mode === "keys" && textIn(typed) === "/" && !typing.isWaiting();
			if (!isSlash) return typing.read(typed);
			takeText("/");
			deps.repaint();
		},
	});
	return Object.assign(panel, WITH_PAGE_KEYS);
}

/** Letters that move the cursor, as in many terminal programs. */
const LETTER_STEPS: readonly (readonly [KeyId, number])[] = [
	["j", 1],
	["k", -1],
];
