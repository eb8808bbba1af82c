import { type Component, type KeyId, matchesKey, visibleWidth, wrapTextWithAnsi } from "@mariozechner/pi-tui";
import { type Account, printable } from "../domain/account.ts";
import { layOut } from "./dashboard-table.ts";
import { details, emptyPool, headline, type LastRotation, rotationLine } from "./dashboard-words.ts";
import { type ListCursor, stepOf } from "./list-cursor.ts";
import { fitted, flow, type Line, type Paint, type PanelKey, painted, span } from "./panel.ts";
import type { PoolView } from "./pool-view.ts";

/** What a key of the dashboard asks for. */
export type DashboardAction =
	| "use"
	| "auto"
	| "add"
	| "login"
	| "remove"
	| "enable"
	| "disable"
	| "rename"
	| "refresh"
	| "close";

/** What the dashboard asks of the rest. */
export interface DashboardDeps {
	readonly view: () => PoolView;
	readonly cursor: ListCursor;
	/** Usage is on its way. */
	readonly isAsking: () => boolean;
	readonly lastRotation: () => LastRotation | undefined;
	readonly paint: Paint;
	/** True for a key that this person's key bindings give that meaning. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	/** Lines that the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	/** `account` is the highlighted one; undefined in an empty pool. */
	readonly onAction: (action: DashboardAction, account: Account | undefined) => void;
}

/** Where the hint line names a key: also on a narrow terminal, where there is room, or not at all; `off`: it does nothing. */
type Naming = "always" | "room" | "never" | "off";

interface Key {
	readonly typed: { readonly binding: PanelKey } | { readonly letter: KeyId };
	/** As the hint line names it. */
	readonly name: string;
	readonly does: string;
	readonly action: DashboardAction;
	/** For the highlighted account; `room` unless told otherwise. */
	readonly naming?: (account: Account) => Naming;
	/** There is something to do in an empty pool, too. */
	readonly isForAll?: boolean;
}

const confirm = { binding: "tui.select.confirm" } as const;
const cancel = { binding: "tui.select.cancel" } as const;
const always = (): Naming => "always";
const canServe = ({ enabled, needsLogin }: Account) => enabled && !needsLogin;

/** Every key but those that move: what is pressed, what is hinted at, and what is done. */
const KEYS: readonly Key[] = [
	// Pressed on an account that cannot serve it tells why.
	{
		typed: confirm,
		name: "enter",
		does: "use",
		action: "use",
		naming: (each) => (canServe(each) ? "always" : "never"),
	},
	{ typed: { letter: "a" }, name: "a", does: "auto", action: "auto", naming: always },
	{ typed: { letter: "n" }, name: "n", does: "add", action: "add", isForAll: true },
	{
		typed: { letter: "s" },
		name: "s",
		does: "sign in",
		action: "login",
		naming: ({ needsLogin }) => (needsLogin ? "always" : "room"),
	},
	{ typed: { letter: "x" }, name: "x", does: "remove", action: "remove" },
	{
		typed: { letter: "e" },
		name: "e",
		does: "disable",
		action: "disable",
		naming: ({ enabled }) => (enabled ? "room" : "off"),
	},
	{
		typed: { letter: "e" },
		name: "e",
		does: "enable",
		action: "enable",
		naming: ({ enabled }) => (enabled ? "off" : "always"),
	},
	{ typed: { letter: "v" }, name: "v", does: "rename", action: "rename" },
	{ typed: { letter: "r" }, name: "r", does: "refresh", action: "refresh" },
	{ typed: cancel, name: "esc", does: "close", action: "close", naming: always, isForAll: true },
];

const MOVE = "↑↓ move";
/** The detail block is as high as this at least, so that news in it move nothing. */
const DETAIL_LINES = 2;
/** Fewer accounts than this are not worth the detail block. */
const FEWEST_ROWS = 3;

/** Creates the dashboard. It draws what it is told and does nothing by itself. */
export function createDashboard(deps: DashboardDeps): Component {
	const { cursor, paint } = deps;
	const idsOf = (view: PoolView) => view.accounts.map(({ account }) => account.id);
	const selectedIn = (view: PoolView) => view.accounts[cursor.at(idsOf(view))];
	/** Accounts that fitted the last time: the step of the page keys. */
	let page = 1;

	const render = (width: number): string[] => {
		const view = deps.view();
		const ids = idsOf(view);
		const at = cursor.at(ids);
		const selected = view.accounts[at];
		const table = layOut(view, width);
		const line = (spans: Line) => painted(spans, width, paint);
		const wrapped = (spans: Line) =>
			spans.flatMap(({ tone, text }) =>
				wrapTextWithAnsi(paint(tone, printable(text)), Math.max(1, width - LEAD.length)).map((each) => LEAD + each),
			);
		const hintsOf = (isShort: boolean) =>
			hintLines(selected?.account, isShort, width).map((text) => line([span("dim", text)]));
		const rule = paint("dim", "─".repeat(width));
		const head = [rule, line(headerSpans(view, deps.isAsking(), width))];
		if (!selected) return fitted([...head, "", ...emptyPool().flatMap(wrapped), "", ...hintsOf(false), rule], width);

		const rotation = deps.lastRotation();
		const detail = [...details(selected, view), ...(rotation ? [rotationLine(rotation, view.now)] : [])];
		const block = table.isNarrow ? [] : filledUp(detail.flatMap(wrapped));
		const heading = table.heading.map(line);
		const hints = hintsOf(table.isNarrow);
		// From the richest on: a terminal may be too low for the details, and even for every hint.
		const forms = [
			{ above: [...head, "", ...heading], below: [...block, ...hints, rule] },
			{ above: [...head, "", ...heading], below: [...hints, rule] },
			{ above: [...head, ...heading], below: [...hintsOf(true), rule] },
		];
		const rowsIn = ({ above, below }: (typeof forms)[number]) =>
			Math.floor((deps.room() - above.length - 1 - below.length) / table.height);
		const form = forms.find((each) => rowsIn(each) >= Math.min(ids.length, FEWEST_ROWS)) ?? forms.at(-1);
		if (!form) return [];
		page = Math.max(1, Math.min(ids.length, rowsIn(form)));
		const top = cursor.top(ids, page);
		const rows = view.accounts
			.slice(top, top + page)
			.flatMap((shown, index) => table.row(shown, top + index === at).map(line));
		const count = page < ids.length ? line([span("dim", `${LEAD}(${at + 1}/${ids.length})`)]) : "";
		return fitted([...form.above, ...rows, count, ...form.below], width);
	};

	return {
		render,
		invalidate: () => undefined,
		handleInput: (typed) => {
			const view = deps.view();
			const ids = idsOf(view);
			const step = stepOf(typed, deps.isKey, page);
			if (step !== undefined) {
				cursor.move(ids, step);
				deps.repaint();
				return;
			}
			const account = selectedIn(view)?.account;
			const isPressed = ({ typed: wanted }: Key) =>
				"binding" in wanted ? deps.isKey(typed, wanted.binding) : matchesKey(typed, wanted.letter);
			const key = keysFor(account).find(isPressed);
			if (key) deps.onAction(key.action, account);
		},
	};
}

const LEAD = "   ";

/** As high as usual at least, and parted from what follows. */
function filledUp(detail: readonly string[]): string[] {
	return [...detail, ...Array<string>(Math.max(0, DETAIL_LINES - detail.length)).fill(""), ""];
}

/** As many parts as fit, in the order of what matters. */
function headerSpans(view: PoolView, isAsking: boolean, width: number): Line {
	const title = " MultiCodex";
	const parts = headline(view, isAsking).map(printable);
	while (parts.length > 1 && visibleWidth(`${title}  ${parts.join(" · ")}`) > width) parts.pop();
	return [span("accent", title), span("dim", "  "), span(view.isEnabled ? "text" : "warning", parts.join(" · "))];
}

function namingOf({ naming, isForAll = false }: Key, account: Account | undefined): Naming {
	if (!account) return isForAll ? "always" : "off";
	return naming?.(account) ?? "room";
}

function keysFor(account: Account | undefined): Key[] {
	return KEYS.filter((key) => namingOf(key, account) !== "off");
}

/** `isShort`: only the few keys that matter most. */
function hintLines(account: Account | undefined, isShort: boolean, width: number): string[] {
	const named = isShort ? ["always"] : ["always", "room"];
	const words = KEYS.filter((key) => named.includes(namingOf(key, account))).map(({ name, does }) => `${name} ${does}`);
	return flow(account && !isShort ? [MOVE, ...words] : words, "  ", width - 2).map((text) => ` ${text}`);
}
