import { stripVTControlCharacters } from "node:util";
import { type Component, visibleWidth } from "@mariozechner/pi-tui";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { type Amounts, NOTHING } from "../../../../src/core/ledger/ledger.ts";
import type { PoolView } from "../../../../src/core/pool/pool-view.ts";
import { createDashboard } from "../../../../src/features/dashboard/dashboard.ts";
import type { DashboardAction } from "../../../../src/features/dashboard/keys.ts";
import type { Move } from "../../../../src/features/dashboard/moves.ts";
import type { LastRotation } from "../../../../src/features/dashboard/texts.ts";
import { createListCursor } from "../../../../src/ui-kit/list-cursor.ts";
import type { PanelKey } from "../../../../src/ui-kit/panel.ts";
import { aPoolStatus } from "../../../support/fake-shared-pools.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId, aWorkspaceId } from "../../../support/ids.ts";
import { coreOf, runs } from "../../../support/tiers.ts";
import { aPace, type FakePace } from "../../pace.ts";
import { aShown, aView, DRAWN } from "../../pool-views.ts";

let view: PoolView;
let room: number;
let isAsking: boolean;
let asked: readonly string[];
let lastRotation: LastRotation | undefined;
let moves: readonly Move[];
let actions: string[];
let repaints: number;
let dashboard: Component;
let pace: FakePace;
let undoable: string | undefined;

/** Keys that a person has bound in a way of their own: to F5 and so on. */
const [UP, DOWN, PAGE_UP, PAGE_DOWN, CONFIRM, CANCEL] = [15, 17, 18, 19, 20, 21].map((code) => `\x1b[${code}~`) as [
	string,
	string,
	string,
	string,
	string,
	string,
];
const BOUND: Readonly<Record<PanelKey, string>> = {
	"tui.select.up": UP,
	"tui.select.down": DOWN,
	"tui.select.pageUp": PAGE_UP,
	"tui.select.pageDown": PAGE_DOWN,
	"tui.select.confirm": CONFIRM,
	"tui.select.cancel": CANCEL,
};

const used = new Map<string, Amounts>();

function open(next: PoolView): void {
	view = next;
	pace = aPace();
	dashboard = createDashboard({
		view: () => view,
		cursor: createListCursor(view.active),
		isAsking: (id) => (id === undefined ? isAsking : asked.includes(id)),
		lastRotation: () => lastRotation,
		moves: () => moves,
		usedToday: (id) => used.get(id),
		highlight: (line) => `\x1b[7m${line}\x1b[27m`,
		paint: (tone, text) => (tone === "error" ? `\x1b[31m${text}\x1b[39m` : `\x1b[2m${text}\x1b[22m`),
		isKey: (typed, key) => BOUND[key] === typed,
		room: () => room,
		pace,
		undoable: () => undoable,
		repaint: () => {
			repaints += 1;
		},
		onAction: (action: DashboardAction, account) => actions.push(`${action} ${account?.label ?? "-"}`),
	});
}

beforeEach(() => {
	used.clear();
	room = 40;
	isAsking = false;
	asked = [];
	lastRotation = undefined;
	moves = [];
	undoable = undefined;
	actions = [];
	repaints = 0;
	open(DRAWN);
});

const lines = (width = 80) => dashboard.render(width).map((line) => stripVTControlCharacters(line).trimEnd());
const text = (width = 80) => lines(width).join("\n");
/** Keys as a person presses them, one after the other. */
const press = (...typed: readonly string[]) => {
	for (const key of typed) {
		dashboard.handleInput?.(key);
		pace.pass(200);
	}
};
/** All at once, as a slow connection brings it. */
const burst = (text: string) => {
	for (const key of text) dashboard.handleInput?.(key === "\r" ? CONFIRM : key);
	pace.pass(200);
};
const selected = (width = 80) => lines(width).find((line) => line.startsWith("█"));
const many = (count: number) =>
	aView(Array.from({ length: count }, (_, at) => aShown(`account-${at + 1}`, { isActive: at === 0 })));

describe("the dashboard", () => {
	it("gives up meters, then the plan, before it takes two lines an account", () => {
		expect(text(76)).toMatch(/█/);
		expect(text(64)).toMatch(/plus +73%/);
		expect(text(64)).not.toMatch(/█ *\d/);
		expect(text(58)).toMatch(/work +73% {2}1h07m +92%/);
		expect(text(58)).not.toMatch(/plus/);
		expect(text(48)).toMatch(/work +ready\n█ {2}5h/);
	});

	it("cuts a label that is too long, keeps the columns apart, and the states below each other", () => {
		const long = aShown("a-very-long-label-that-is-forty-chars-xx");
		open(aView([aShown("職場のアカウント", { isActive: true }), long, aShown("c", { isUsageFailing: true })]));
		expect(text()).toMatch(/a-very-[\w-]*… {2}plus/);
		for (const width of [40, 50, 80, 140]) {
			const starts = lines(width)
				.slice(2)
				.flatMap((line) => {
					const [before] = line.split(/(active|ready|fetch failed)$/);
					return before !== undefined && before !== line ? [visibleWidth(before)] : [];
				});
			expect([starts.length, new Set(starts).size]).toEqual([3, 1]);
		}
	});

	it("tells long labels apart on a narrow terminal, if the state of their row leaves the room", () => {
		open(
			aView([
				aShown("seat-number-006"),
				aShown("seat-number-007"),
				aShown("seat-number-008", { state: "cooling", readyAt: NOW + HOUR_MS, cooldowns: [aCooldown()] }),
			]),
		);
		for (const label of ["seat-number-006 ready", "seat-number-007 ready"]) expect(text(30)).toContain(label);
		expect(text(30)).toMatch(/seat-n\S*… out of quota/);
	});

	it("cuts no figure on a narrow terminal: the window with the most left gives way", () => {
		const budget = { usedPercent: 40, windowMinutes: 43_200, resetsAt: NOW + HOUR_MS, isReached: false };
		const windows = [
			{ usedPercent: 0, windowMinutes: 300 },
			{ usedPercent: 10, windowMinutes: 10_080 },
		];
		const shown = aShown("work", { usage: aSnapshot({ windows, budgets: [budget] }) });
		open(aView([shown, aShown("side")]));
		expect(lines(40).join("\n")).toMatch(/5h 100% +wk {2}90% +month {2}60%$/m);
		expect(lines(30).join("\n")).toMatch(/^. {2}wk {2}90% +month {2}60%$/m);
	});

	it("takes no more lines than it may, as long as that leaves one account", () => {
		for (const width of [40, 120]) {
			for (const count of coreOf([1, 4, 12, 60], (each) => each !== 4)) {
				for (room of coreOf([10, 11, 13, 16, 20, 30, 59], (each) => [10, 11, 16, 59].includes(each))) {
					open(many(count));
					expect(dashboard.render(width).length).toBeLessThanOrEqual(room);
					expect(selected(width)).toContain("account-1");
				}
			}
		}
	});

	it("keeps every row where it is when data arrives", () => {
		open(aView(["a", "b", "c"].map((label) => aShown(label, { usage: undefined }))));
		press(DOWN);
		const placesOf = () =>
			lines().flatMap((line, at) => (/^[█ ][→ ] [abc] /.test(line) ? [`${at} ${line.slice(3, 5)}`] : []));
		const before = [placesOf(), lines().length];
		view = aView([
			aShown("a", { state: "cooling", readyAt: NOW + HOUR_MS, cooldowns: [aCooldown()] }),
			aShown("b", { usage: undefined, isUsageFailing: true }),
			aShown("c", { isActive: true }),
		]);
		expect([placesOf(), lines().length]).toEqual(before);
	});

	it("begins on the active account, and stays on its account when another one leaves", () => {
		open(aView([aShown("a"), aShown("b", { isActive: true }), aShown("c")]));
		expect(selected()).toContain("b");
		view = aView(view.accounts.slice(1));
		expect(selected()).toContain("b");
		view = aView(view.accounts.slice(1));
		expect(selected()).toContain("c");
	});

	it("says that it is switched off, what is pinned, and that usage is being asked for", () => {
		expect(text()).toMatch(/ready · soonest-reset · usage 12s ago/);
		isAsking = true;
		expect(text()).toMatch(/asking for usage/);
		open({ ...DRAWN, pinned: anId("side"), isEnabled: false });
		expect(text()).toMatch(/MultiCodex {2}off, \/multicodex on resumes · 2 of 4 ready · pinned to side/);
	});

	it("marks shared accounts, names the machines that share them, and who renews their sign-in", () => {
		const [work, ...rest] = DRAWN.accounts;
		const use = { pool: "pi", users: [{ machine: "desk", sessions: 2 }], renewal: "here" } as const;
		const shown = (shared: typeof use | { readonly pool: string; readonly users: []; readonly renewal: "keepers" }) =>
			aShown("work", { ...work, account: anAccount("work", { email: "work@acme.dev", shared: true }), shared });
		const sharedPool = aPoolStatus({ others: [{ name: "desk", seenAt: NOW, sessions: new Map([[anId("work"), 2]]) }] });
		open({ ...DRAWN, accounts: [shown(use), ...rest], sharedPool });
		for (const width of [30, 40, 80, 120]) {
			expect(text(width)).toMatch(/^[█ ]→ work ⇄ /m);
			expect(text(width).match(/⇄ {2}|⇄ ready/g)).toHaveLength(1);
		}
		expect(text(120)).toMatch(/ready · ⇄ pi with desk · soonest-reset/);
		expect(text(80)).toMatch(/shared, 2 sessions on desk/);
		open({ ...DRAWN, accounts: [shown({ pool: "pi", users: [], renewal: "keepers" }), ...rest], sharedPool });
		expect(text(80)).toMatch(/token until .*, renewed by a keeper/);
		const connection = { kind: "away", since: NOW, problem: "away", text: "db.example cannot be reached." } as const;
		open({ ...DRAWN, sharedPool: aPoolStatus({ connection }) });
		expect(text(80)).toMatch(/ready · ⇄ pi away · /);
	});

	it("never cuts the mark of a shared account, however long its label", () => {
		const label = "a".repeat(40);
		open(aView([aShown("b", { account: anAccount("b", { label, shared: true }) }), aShown("c")]));
		for (const width of [30, 40, 80, 120]) {
			expect(text(width)).toMatch(/a… ⇄|a{40} ⇄/);
			for (const line of lines(width)) expect(visibleWidth(line)).toBeLessThanOrEqual(width);
		}
	});

	it("tells how old usage is, and marks what is stale", () => {
		const stale = aSnapshot({ capturedAt: NOW - HOUR_MS, windows: [{ usedPercent: 27, windowMinutes: 300 }] });
		open(aView([aShown("a", { usage: stale }), aShown("b")]));
		expect(text()).toMatch(/usage 12s ago/);
		expect(text()).toMatch(/a .* ~73%/);
		open(aView([aShown("a", { usage: stale })]));
		expect(text()).toMatch(/usage 1h00m old/);
		open(aView([aShown("a", { usage: undefined })]));
		expect(text()).toMatch(/usage unknown/);
	});

	it.each<[string, Parameters<typeof aShown>[1], RegExp, RegExp]>([
		["ready", {}, /ready$/m, /token until 30 Nov, renewed by itself/],
		["pinned", { isPinned: true, isActive: true }, /pinned$/m, /token until/],
		[
			"out of reach",
			{ isUsageFailing: true, isActive: true, lastError: { text: "HTTP 503", at: NOW - 25 * HOUR_MS } },
			/fetch failed$/m,
			/last error 19 Nov \d\d:\d\d: HTTP 503/,
		],
		["pinned and out of reach", { isUsageFailing: true, isPinned: true }, /pinned$/m, /token until/],
		[
			"cooling",
			{ state: "cooling", readyAt: NOW + HOUR_MS, cooldowns: [aCooldown({ reason: "rate_limit" })] },
			/resting$/m,
			/resting until \d\d:\d\d \(1h00m\): rate limit/,
		],
		[
			"cooling for as long as is guessed",
			{
				state: "cooling",
				readyAt: NOW + HOUR_MS,
				cooldowns: [
					aCooldown({ guessed: true }),
					aCooldown({ scope: "limit:spark", guessed: true, until: NOW + 2 * HOUR_MS }),
				],
			},
			/out of quota$/m,
			/out of quota until about \d\d:\d\d \(1h00m\)[\s\S]*limit spark not before about \d\d:\d\d: usage limit/,
		],
		[
			"refused for a model",
			{ cooldowns: [aCooldown({ scope: "model:gpt-x", reason: "not_included" })] },
			/ready$/m,
			/model gpt-x not before \d\d:\d\d: not included/,
		],
		[
			"switched off",
			{ state: "disabled", account: anAccount("a", { enabled: false, disabledReason: "account_deactivated" }) },
			/off$/m,
			/off \(account deactivated\)\. \/multicodex enable a/,
		],
		[
			"signed out",
			{ state: "needs-login", account: anAccount("a", { needsLogin: { reason: "revoked", at: NOW } }) },
			/signed out$/m,
			/its sign-in was revoked\. \/multicodex login a/,
		],
	])("tells of an account that is %s so, and what to do", (_state, overrides, row, detail) => {
		open(aView([aShown("a", overrides)]));
		expect(text()).toMatch(row);
		expect(text()).toMatch(detail);
	});

	it("has no e-mail if there is none to be seen", () => {
		open(
			aView([aShown("a", { account: anAccount("a", { email: undefined, workspaceId: aWorkspaceId("acct-9c1f") }) })]),
		);
		expect(text()).toMatch(/^ {3}account …9c1f · token until/m);
	});

	it("shows windows by their length, whichever an account has", () => {
		const month = aSnapshot({ capturedAt: NOW, windows: [{ usedPercent: 50, windowMinutes: 43_200 }] });
		open(aView([aShown("free", { usage: month }), aShown("paid")]));
		expect(text(140)).toMatch(/5h left +week left +month left/);
		expect(text(140)).toMatch(/free +plus +█████░░░░░ +50%/);
		expect(text(140)).not.toMatch(/free.*--/);
	});

	it("never rounds a rest or a use away", () => {
		const at = (usedPercent: number) => {
			open(aView([aShown("a", { usage: aSnapshot({ windows: [{ usedPercent, windowMinutes: 300 }] }) })]));
			return /([█░]{10}) +(\S+)/.exec(text())?.slice(1);
		};
		expect(at(99.5)).toEqual(["█░░░░░░░░░", "<1%"]);
		expect(at(100)).toEqual(["░░░░░░░░░░", "0%"]);
		expect(at(1)).toEqual(["█████████░", "99%"]);
		expect(at(0)).toEqual(["██████████", "100%"]);
	});

	it("the dashboard of an empty pool says how to begin, and offers no key that needs an account", () => {
		open(aView([]));
		expect(text()).toMatch(/No Codex account/);
		expect(text()).toMatch(/^ n add {2}i import {2}esc close$/m);
		press(CONFIRM, "a", "x", "v", "d", "m", DOWN, "n", "i", CANCEL);
		expect(actions).toEqual(["add -", "import -", "close -"]);
	});
});

describe("the keys of the dashboard", () => {
	it("the keys are those of the person if pi knows them, and letters of its own", () => {
		press(CONFIRM, "a", "n", "s", "x", "e", "v", "r", CANCEL, "\r", "\x1b", "q");
		expect(actions).toEqual(
			["use", "auto", "add", "login", "remove", "disable", "rename", "refresh", "close"].map(
				(action) => `${action} work`,
			),
		);
	});

	it("the keys move the highlight, and leave the arrow with the account that serves next", () => {
		const marked = () => lines().filter((line) => /^(█| →)/.test(line));
		expect(marked()).toEqual([expect.stringMatching(/^█→ work/)]);
		press(DOWN);
		expect(marked()).toEqual([expect.stringMatching(/^ → work/), expect.stringMatching(/^█ {2}personal/)]);
		// All of the row stands out, to the end of the line.
		const row = dashboard.render(80).find((line) => line.includes("personal")) ?? "";
		expect([row.startsWith("\x1b[7m"), row.endsWith("\x1b[27m")]).toEqual([true, true]);
		expect(visibleWidth(row)).toBe(80);
	});

	it("the keys move, and come in at the other end", () => {
		press(DOWN);
		expect(selected()).toContain("personal");
		press(UP, UP);
		expect(selected()).toContain("old-team");
		press(DOWN);
		expect([selected(), repaints]).toEqual([expect.stringContaining("work"), 4]);
	});

	it("the keys are named as far as they do something: each that is named, and no other", () => {
		const named = () =>
			text(200).match(/\S+ (use|auto|add|sign in|remove|disable|enable|rename|refresh|close)(?= {2}|$)/gm);
		expect(named()).toHaveLength(9);
		open(aView([aShown("a", { state: "disabled", account: anAccount("a", { enabled: false }) })]));
		expect(named()).toContain("e enable");
		expect(named()).not.toContain("enter use");
		press("e", CONFIRM);
		// Enter is not named there, but asked all the same it tells why.
		expect(actions).toEqual(["enable a", "use a"]);
	});

	it("the keys name the way to sign in on a narrow terminal if that is what is needed", () => {
		press(UP);
		expect(lines(40).at(-2)).toBe(" a auto  s sign in  ? keys  esc close");
	});

	it("open the details of an account, also of the next one, and act on it there", () => {
		moves = [
			{
				at: NOW - HOUR_MS,
				from: anId("side"),
				to: anId("work"),
				reason: "usage_limit",
				window: "5h",
				isRotation: true,
			},
			{
				at: NOW - 25 * HOUR_MS,
				from: anId("personal"),
				to: anId("gone"),
				reason: "user",
				window: undefined,
				isRotation: false,
			},
		];
		used.set("work", { ...NOTHING, requests: 12, input: 310_400, cached: 2_100_000, output: 34_000, cost: 3.2 });
		press("d");
		expect(lines().slice(3, -1)).toEqual([
			"",
			" work  (1/4)",
			expect.stringMatching(/^ {3}state +ready, serves next$/),
			expect.stringMatching(/^ {3}who +work@acme.dev · plus · id work$/),
			expect.stringMatching(/^ {3}5h +73% left, resets \d\d:\d\d \(1h07m\)$/),
			expect.stringMatching(/^ {3}week +92% left, resets \d+ \w+ \(6d20h\)$/),
			expect.stringMatching(/^ {3}usage +12s old$/),
			expect.stringMatching(/^ {3}sign-in +token until/),
			expect.stringMatching(/^ {3}today +12 requests, 310k .* 2\.1M cached, 34k out, \$3\.20$/),
			expect.stringMatching(/^ {3}last moves +\d\d:\d\d side to work: 5h limit$/),
			"",
			" ↑↓ move  enter use  a auto  d list  n add  s sign in  x remove  e disable",
			" v rename  r refresh  ? keys  esc close",
		]);
		press(DOWN);
		expect(text()).toMatch(/personal {2}\(2\/4\)[\s\S]*personal to gone: by hand/);
		expect(text()).not.toContain("today");
		press("x", "d");
		expect([actions, text()]).toEqual([["remove personal"], expect.stringMatching(/^█ {2}personal/m)]);
	});

	it("the keys tell of an account that waits until when, and what is asked for or at work just now", () => {
		asked = ["side"];
		open(aView([...DRAWN.accounts.slice(0, 2), aShown("side", { ...DRAWN.accounts[2], sessions: 2 })]));
		press(UP, "d");
		expect(text()).toMatch(/out of quota until \d\d:\d\d \(42m\): usage limit/);
		expect(text()).toMatch(/in use +by 2 sessions\n/);
		expect(text()).toMatch(/usage +12s old, asking now/);
	});

	it("fold what more there is of an account than fits behind a line that counts it, and page through that", () => {
		room = 9;
		press("d");
		expect(dashboard.render(80).length).toBeLessThanOrEqual(room);
		const counted = () => Number(/(\d+) more lines {2}pgup pgdn/.exec(text())?.[1]);
		expect(counted()).toBeGreaterThan(0);
		expect(text()).not.toMatch(/sign-in/);
		press(PAGE_DOWN, PAGE_DOWN);
		expect([text(), selected()]).toEqual([expect.stringMatching(/sign-in +token/), undefined]);
		press(PAGE_UP, PAGE_UP, PAGE_UP);
		expect(text()).toMatch(/state +ready/);
	});

	it("scroll through a thousand accounts, and say where one is", () => {
		open(many(1000));
		room = 18;
		expect(text()).toContain("(1/1000)");
		press(PAGE_DOWN);
		const page = Number(/\((\d+)\/1000\)/.exec(text())?.[1]) - 1;
		expect(page).toBeGreaterThan(1);
		press(UP, PAGE_UP, UP);
		expect([selected(), text()]).toEqual([
			expect.stringContaining("account-1000"),
			expect.stringContaining("(1000/1000)"),
		]);
	});

	it("the keys keep the account on the screen when the terminal gets lower, and fill it when it gets higher", () => {
		open(many(12));
		press(...Array<string>(9).fill(DOWN));
		for (room of [40, 16, 12, 30]) expect(selected()).toContain("account-10");
		expect(text()).not.toContain("/12)");
	});
});

describe("accounts that are of no use now", () => {
	const cooling = { state: "cooling", readyAt: NOW + HOUR_MS, cooldowns: [aCooldown()] } as const;
	const off = { state: "disabled", account: anAccount("off", { enabled: false }) } as const;
	const mixed = () => [
		aShown("a", { isActive: true }),
		aShown("b", cooling),
		aShown("c"),
		...["d", "e", "f"].map((label) => aShown(label, cooling)),
		aShown("off", off),
		aShown("g"),
	];
	const names = (width = 80) =>
		lines(width).flatMap((line) => /^[█ ][→ ] (a|b|c|d|e|f|off|g) {2}/.exec(line)?.[1] ?? []);

	it("accounts of no use stay in a list that fits, and fold behind one line that counts them if it does not", () => {
		open(aView(mixed()));
		expect([names(), text()]).toEqual([["a", "b", "c", "d", "e", "f", "off", "g"], expect.not.stringMatching(/ more/)]);
		room = 18;
		expect(names()).toEqual(["a", "c", "g"]);
		expect(lines()).toContainEqual(expect.stringMatching(/^ {3}5 more, m .*: 4 out of quota, 1 off$/));
		for (const width of [30, 40, 120]) {
			// Whole words, however narrow.
			expect(text(width)).toMatch(/^ {3}(\(1\/\d\) {2})?5 more(, m [a-z ]+| \(m\))(: 4 out of quota, 1 off)?$/m);
			expect(dashboard.render(width).length).toBeLessThanOrEqual(room);
		}
	});

	it("unfold by m, and fold again", () => {
		room = 18;
		open(aView(mixed()));
		text();
		press("m");
		expect([names().slice(0, 3), text()]).toEqual([["a", "b", "c"], expect.stringMatching(/\(1\/8\)$/m)]);
		press("m");
		expect(names()).toEqual(["a", "c", "g"]);
		expect(actions).toEqual([]);
	});

	it("accounts of no use move no row when their figures change: what is folded is counted, what is shown stays", () => {
		room = 18;
		open(aView(mixed()));
		const before = [names(), lines().length];
		view = aView(mixed().map((shown, at) => (at === 2 ? aShown("c", cooling) : shown)));
		expect([names(), lines().length]).toEqual(before);
		view = aView(mixed().map((shown, at) => (at === 1 ? aShown("b") : shown)));
		expect(lines()).toContainEqual(expect.stringMatching(/^ {3}5 more, m .*: 1 ready, 3 out of quota, 1 off$/));
		// Another terminal size is another list.
		room = 19;
		expect(names()).toEqual(["a", "b", "c", "g"]);
	});

	it("accounts of no use are found by the filter, and scrolled if none is of use", () => {
		room = 18;
		open(aView(mixed()));
		text();
		press("/", ..."off");
		expect(names()).toEqual(["off"]);
		open(aView(mixed().map(({ account }) => aShown(account.label, cooling))));
		expect(text()).toMatch(/\(1\/8\)$/m);
	});

	it("accounts of no use are not folded while they are highlighted, pinned, or serve next", () => {
		room = 16;
		const waiting = (label: string, more = {}) => aShown(label, { ...cooling, ...more });
		open(aView([waiting("a", { isActive: true }), waiting("b", { isPinned: true }), aShown("c"), ...mixed().slice(3)]));
		expect(names()).toEqual(["a", "b", "c", "g"]);
	});
});

describe("text that is typed into the dashboard", () => {
	const filterLine = () => lines().find((line) => /^ (>|filter:)/.test(line));

	it("filters, by its letters, and takes no letter and no Enter of it for a key", () => {
		for (const text of ["/multicodex use bert\r", "x\r", "remove\r", "vx\r\r", "say hi\r", "ee\r", "\rx"]) {
			open(DRAWN);
			burst(text);
			expect(actions).toEqual([]);
		}
	});

	it("does so at the pace of a person if it begins with a slash or with a letter that is no key", () => {
		for (const text of ["/multicodex use bert", "hello, remove everything", "zx"]) {
			open(DRAWN);
			press(...text, CONFIRM);
			expect(actions).toEqual([]);
			expect(text.replace("/", "")).toBe(filterLine()?.replace(/^ > /, "").trimEnd());
		}
	});

	it("never acts, whatever it is and however fast", () => {
		const letter = fc.constantFrom(..."/?jkanxsevruq \r\t職é", "\x1b[200~x e\r\x1b[201~", "multicodex ", "bert");
		const typed = fc.array(letter, { minLength: 2, maxLength: 40 });
		fc.assert(
			fc.property(typed, fc.integer({ min: 0, max: 20 }), (pieces, gap) => {
				open(DRAWN);
				actions = [];
				for (const piece of pieces) {
					for (const each of piece.startsWith("\x1b") ? [piece] : piece) {
						dashboard.handleInput?.(each === "\r" ? CONFIRM : each);
						pace.pass(gap);
					}
				}
				pace.pass(1000);
				expect(actions).toEqual([]);
			}),
			runs(25, 800),
		);
	});

	it("leaves the rows that fit, in their order, and highlights the best", () => {
		press("/", ..."si");
		expect(lines().filter((line) => /^[█ ][→ ] (work|personal|side|old-team) {2,}/.test(line))).toEqual([
			expect.stringMatching(/^█ {2}side/),
		]);
		expect(selected(40)).toContain("side");
		expect([filterLine(), text()]).toEqual([
			expect.stringMatching(/^ > si/),
			expect.stringMatching(/type to filter {2}enter keep it {2}esc end it/),
		]);
	});

	it("is kept by Enter, for the keys, and ended by Esc, with the cursor where it is", () => {
		press("/", ..."si", CONFIRM);
		expect([filterLine(), actions]).toEqual([" filter: si", []]);
		press("x", CANCEL);
		expect([filterLine(), selected(), actions]).toEqual([undefined, expect.stringContaining("side"), ["remove side"]]);
		press("/", ..."per", CANCEL, CANCEL);
		expect(actions).toEqual(["remove side", "close personal"]);
	});

	it("says so if nothing fits, and does nothing at Enter, nor at a key", () => {
		press("/", ..."zzz", CONFIRM, CONFIRM);
		expect([text(), actions]).toEqual([expect.stringContaining('No account matches "zzz".'), []]);
	});

	it("belongs to the account that was highlighted when the key was pressed", () => {
		dashboard.handleInput?.("x");
		view = aView(DRAWN.accounts.slice(1));
		pace.pass(200);
		expect(actions).toEqual([]);
	});
});

describe("a key soon after a letter that moves", () => {
	/** As fast as a person can press another key after a move. */
	it.each([
		[CONFIRM, 30, "use personal"],
		[CONFIRM, 140, "use personal"],
		["e", 80, "disable personal"],
		["x", 140, "remove personal"],
	])("acts on the account that is highlighted by then: %j after %i ms", (key, ms, action) => {
		dashboard.handleInput?.("j");
		expect(selected()).toContain("personal");
		pace.pass(ms);
		press(key);
		expect(actions).toEqual([action]);
	});
});

describe("the list of keys", () => {
	it.each([120, 80, 40, 30])("names every key at %i columns, within the terminal", (width) => {
		undoable = "old";
		for (room of [40, 20, 12]) {
			press("?");
			const shown = lines(width).join(" ").replaceAll(/\s+/g, " ");
			for (const key of ["enter", "a ", "n ", "s ", "x ", "u ", "e ", "v ", "r ", "? ", "esc", "/"]) {
				expect(shown).toContain(` ${key}`);
			}
			if (room >= 20 || width >= 80) expect(lines(width).length).toBeLessThanOrEqual(room);
			press("?");
			expect(selected(width)).toContain("work");
		}
	});

	it("is there in an empty pool too, with the keys that do something there, and no other", () => {
		open(aView([]));
		press("?");
		const keys = lines().flatMap((line) => /^ (\S+) {2,}\S/.exec(line)?.[1] ?? []);
		expect(keys).toEqual(["MultiCodex", "n", "i", "?", "esc"]);
		press(CANCEL);
		expect([text(), actions]).toEqual([expect.stringContaining("No Codex account"), []]);
	});

	it("is closed by any key, which does nothing else", () => {
		press("?", "x", "?", CANCEL);
		expect([actions, selected()]).toEqual([[], expect.stringContaining("work")]);
	});
});

describe("moving and undoing", () => {
	it("moves by j and k, home and end", () => {
		press("j");
		expect(selected()).toContain("personal");
		press("k", "\x1b[F");
		expect(selected()).toContain("old-team");
		press("\x1b[H");
		expect([selected(), actions]).toEqual([expect.stringContaining("work"), []]);
	});

	it("offers to undo a removal while its line stands, at any width", () => {
		expect(text()).not.toContain("undo");
		undoable = "bert";
		for (const width of [80, 40]) expect(text(width)).toMatch(/Removed bert\. u [\s\S]*u undo/);
		press("u");
		open(aView([]));
		press("u");
		expect(actions).toEqual(["undo work", "undo -"]);
	});
});
