import { type Component, type Focusable, type KeyId, matchesKey } from "@mariozechner/pi-tui";
import type { Account } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Amounts } from "../../core/ledger/ledger.ts";
import type { PoolView } from "../../core/pool/pool-view.ts";
import { type ListCursor, stepOf } from "../../ui-kit/list-cursor.ts";
import { type Highlight, type Paint, type PanelKey, WITH_PAGE_KEYS } from "../../ui-kit/panel.ts";
import { bypassedBy } from "../../ui-kit/state-words.ts";
import { panelAround } from "../../ui-kit/text-field.ts";
import { createTyping, type Pace, textIn } from "../../ui-kit/typing.ts";
import { createDetails } from "./details.ts";
import { type Drawing, drawDashboard, type Mode, type Scene } from "./drawing.ts";
import { actionOf, type DashboardAction, type KeyMoment, type LookAction } from "./keys.ts";
import { createListedAccounts } from "./listed-accounts.ts";
import type { Move } from "./moves.ts";
import type { LastRotation } from "./texts.ts";

/** Dependencies of the dashboard. */
interface DashboardDeps {
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
	const list = createListedAccounts(deps.cursor);
	const details = createDetails(deps.isKey);
	let isHelp = false;
	let drawn: Drawing = { lines: [] };
	/** The account that was highlighted when the waiting key was pressed. */
	let pressedOn: Account | undefined;

	const momentOf = (account: Account | undefined, view = deps.view()): KeyMoment => ({
		account,
		isBypassed: bypassedBy(view) !== undefined,
		isUndoable: deps.undoable() !== undefined,
		hasFold: list.fold.isOffered(),
		isDetailed: details.isOpen(),
	});

	const sceneOf = (whole: PoolView): Scene => {
		const selected = list.selected(whole);
		return {
			whole,
			view: list.listed(whole),
			selected,
			folded: list.folded(whole),
			mode: modeOf(isHelp, list.isTyping()),
			filter: list.input.getValue(),
			field: (width) => list.input.render(Math.max(1, width - 1)).map((text) => ` ${text}`),
			moment: momentOf(selected?.account, whole),
			isAsking: deps.isAsking,
			lastRotation: deps.lastRotation(),
			moves: deps.moves(),
			usedToday: deps.usedToday,
			undone: deps.undoable(),
			room: deps.room(),
			scrolled: details.scrolled(),
			top: (height) => list.top(whole, height),
			paint: deps.paint,
			highlight: deps.highlight,
		};
	};
	const render = (width: number): string[] => {
		const whole = deps.view();
		drawn = drawDashboard(sceneOf(whole), width);
		const { fitting } = drawn;
		if (fitting !== undefined && list.fit(whole, `${width} ${deps.room()}`, fitting)) {
			drawn = drawDashboard(sceneOf(whole), width);
		}
		return drawn.lines;
	};

	const move = (typed: string): boolean => {
		if (!list.isTyping() && details.scroll(typed, drawn.details)) return true;
		const letter = list.isTyping() ? undefined : LETTER_STEPS.find(([key]) => matchesKey(typed, key))?.[1];
		// The page keys move by the number of accounts shown at once.
		const step = letter ?? stepOf(typed, deps.isKey, Math.max(1, drawn.fitting ?? 1));
		if (step === undefined) return false;
		list.move(deps.view(), step);
		details.toTop();
		return true;
	};
	const pressInFilter = (typed: string) => {
		if (deps.isKey(typed, "tui.select.cancel")) list.clear();
		else if (deps.isKey(typed, "tui.select.confirm")) {
			// A filter without a match is a slip, so the field stays open.
			if (list.selected(deps.view())) list.accept();
		} else if (!move(typed)) list.edit(typed, deps.view());
	};
	/** Handles a key. Returns true if it asks for an action outside the dashboard. */
	const pressKey = (typed: string): boolean => {
		if (isHelp) isHelp = false;
		else if (list.isTyping()) pressInFilter(typed);
		else if (!move(typed)) return pressCommand(typed);
		return false;
	};
	const pressCommand = (typed: string): boolean => {
		// The first Esc clears the filter.
		if (deps.isKey(typed, "tui.select.cancel") && list.isFiltered()) {
			list.clear();
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
		if (action === "help") isHelp = true;
		else if (action === "fold") list.fold.toggle();
		else if (action === "details") details.toggle();
		else return false;
		return true;
	};
	/** Letters that are not keys of the dashboard are text too, since more may follow. */
	const takeText = (text: string) => {
		const whole = deps.view();
		// With nothing to filter, text is dropped.
		if (whole.accounts.length === 0) return;
		isHelp = false;
		list.begin(text, whole);
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
		isRisky: (typed) => deps.isKey(typed, "tui.select.confirm"),
		isMove: (typed) => LETTER_STEPS.some(([key]) => matchesKey(typed, key)),
		isInField: list.isTyping,
	});

	const panel = panelAround(list.input, {
		render,
		handleInput: (typed) => {
			if (!typing.isWaiting()) pressedOn = list.selected(deps.view())?.account;
			const isSlash = !isHelp && !list.isTyping() && textIn(typed) === "/" && !typing.isWaiting();
			if (!isSlash) return typing.read(typed);
			takeText("/");
			deps.repaint();
		},
	});
	return Object.assign(panel, WITH_PAGE_KEYS);
}

function modeOf(isHelp: boolean, isTyping: boolean): Mode {
	if (isHelp) return "help";
	return isTyping ? "filter" : "keys";
}

/** Letters that move the cursor, as in many terminal programs. */
const LETTER_STEPS: readonly (readonly [KeyId, number])[] = [
	["j", 1],
	["k", -1],
];
