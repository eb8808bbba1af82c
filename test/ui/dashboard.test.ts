import { stripVTControlCharacters } from "node:util";
import { type Component, visibleWidth } from "@mariozechner/pi-tui";
import { beforeEach, describe, expect, it } from "vitest";
import { createDashboard, type DashboardAction } from "../../src/ui/dashboard.ts";
import type { LastRotation } from "../../src/ui/dashboard-words.ts";
import { createListCursor } from "../../src/ui/list-cursor.ts";
import type { PanelKey } from "../../src/ui/panel.ts";
import type { PoolView } from "../../src/ui/pool-view.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, NOW } from "../support/fakes.ts";
import { aShown, aView, DRAWN } from "./pool-views.ts";

let view: PoolView;
let room: number;
let isAsking: boolean;
let lastRotation: LastRotation | undefined;
let actions: string[];
let repaints: number;
let dashboard: Component;

/** The keys of somebody who has bound them in a way of their own. */
const BOUND: Readonly<Record<PanelKey, string>> = {
	"tui.select.up": "<up>",
	"tui.select.down": "<down>",
	"tui.select.pageUp": "<page up>",
	"tui.select.pageDown": "<page down>",
	"tui.select.confirm": "<confirm>",
	"tui.select.cancel": "<cancel>",
};

function open(next: PoolView): void {
	view = next;
	dashboard = createDashboard({
		view: () => view,
		cursor: createListCursor(view.active),
		isAsking: () => isAsking,
		lastRotation: () => lastRotation,
		paint: (tone, text) => (tone === "error" ? `\x1b[31m${text}\x1b[39m` : `\x1b[2m${text}\x1b[22m`),
		isKey: (typed, key) => BOUND[key] === typed,
		room: () => room,
		repaint: () => {
			repaints += 1;
		},
		onAction: (action: DashboardAction, account) => actions.push(`${action} ${account?.label ?? "-"}`),
	});
}

beforeEach(() => {
	room = 40;
	isAsking = false;
	lastRotation = undefined;
	actions = [];
	repaints = 0;
	open(DRAWN);
});

const lines = (width = 80) => dashboard.render(width).map((line) => stripVTControlCharacters(line).trimEnd());
const text = (width = 80) => lines(width).join("\n");
const press = (...typed: readonly string[]) => {
	for (const key of typed) dashboard.handleInput?.(key);
};
const selected = (width = 80) => lines(width).find((line) => line.startsWith(" →"));
const many = (count: number) =>
	aView(Array.from({ length: count }, (_, at) => aShown(`account-${at + 1}`, { isActive: at === 0 })));

describe("the dashboard", () => {
	it("is as drawn at 80 columns", () => {
		lastRotation = {
			at: NOW - 2 * HOUR_MS,
			event: {
				type: "rotated",
				asked: { modelId: "gpt-5.5", sessionId: "s" },
				grounds: { decidedBy: undefined, terms: [] },
				from: anAccount("side"),
				to: anAccount("work"),
				reason: "usage_limit",
				window: "5h",
				readyAt: undefined,
				remainingPercent: undefined,
			},
		};
		const rule = "─".repeat(80);
		expect(lines()).toEqual([
			rule,
			" MultiCodex  2 of 4 ready · soonest-reset · usage 12s ago",
			"",
			"   account     plan   5h left                  week left                state",
			" → work        plus   ███████░░░  73%  1h07m   █████████░  92%  6d20h   active",
			"   personal    pro    ██████████ 100%          ██████░░░░  58%  3d04h   ready",
			"   side        plus   ░░░░░░░░░░   0%    42m   ███░░░░░░░  31%  1d09h   cooling",
			"   old-team    team      --                       --                    sign in",
			"",
			"   work@acme.dev · account …7f3a · token until 30 Nov, renewed by itself",
			expect.stringMatching(/^ {3}last rotation \d\d:\d\d {2}side → work {2}\(5h limit\)$/),
			"",
			" ↑↓ move  enter use  a auto  n add  s sign in  x remove  e disable  v rename",
			" r refresh  esc close",
			rule,
		]);
	});

	it("is as drawn at 40 columns: two lines an account, and the keys that matter most", () => {
		expect(lines(40).slice(1, -1)).toEqual([
			" MultiCodex  2 of 4 ready",
			"",
			" → work       active",
			"   5h  73%  1h07m   wk  92%  6d20h",
			"   personal   ready",
			"   5h 100%          wk  58%  3d04h",
			"   side       cooling 42m",
			"   5h   0%    42m   wk  31%  1d09h",
			"   old-team   sign in",
			"   its sign-in was revoked",
			"",
			" enter use  a auto  esc close",
		]);
	});

	it("gives up meters, then the plan, before it takes two lines an account", () => {
		expect(text(76)).toMatch(/█/);
		expect(text(60)).toMatch(/plus +73%/);
		expect(text(60)).not.toMatch(/█/);
		expect(text(54)).toMatch(/work +73% {2}1h07m +92%/);
		expect(text(54)).not.toMatch(/plus/);
		expect(text(48)).toMatch(/work +active\n {3}5h/);
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

	it("takes no more lines than it may, as long as that leaves one account", () => {
		for (const width of [40, 80, 120]) {
			for (const count of [1, 4, 12, 1000]) {
				for (room of [10, 11, 13, 16, 20, 30, 59]) {
					open(many(count));
					expect(dashboard.render(width).length).toBeLessThanOrEqual(room);
					expect(selected(width)).toContain("account-1");
				}
			}
		}
	});

	it("keeps every row where it is when data arrives", () => {
		open(aView(["a", "b", "c"].map((label) => aShown(label, { usage: undefined }))));
		press("<down>");
		const placesOf = () =>
			lines().flatMap((line, at) => (/^ [→ ] [abc] /.test(line) ? [`${at} ${line.slice(0, 5)}`] : []));
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
		open({ ...DRAWN, pinned: "side", isEnabled: false });
		expect(text()).toMatch(/MultiCodex {2}off, \/multicodex on resumes · 2 of 4 ready · pinned to side/);
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
			/cooling$/m,
			/cooling until \d\d:\d\d \(1h00m\): rate limit/,
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
			/switched off$/m,
			/switched off \(account deactivated\)\. \/multicodex enable a/,
		],
		[
			"signed out",
			{ state: "needs-login", account: anAccount("a", { needsLogin: { reason: "revoked", at: NOW } }) },
			/sign in$/m,
			/its sign-in was revoked\. \/multicodex login a/,
		],
	])("tells of an account that is %s so, and what to do", (_state, overrides, row, detail) => {
		open(aView([aShown("a", overrides)]));
		expect(text()).toMatch(row);
		expect(text()).toMatch(detail);
	});

	it("has no e-mail where there is none to be seen", () => {
		open(aView([aShown("a", { account: anAccount("a", { email: undefined, accountId: "acct-9c1f" }) })]));
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
			return /([█░]+) +(\S+)/.exec(text())?.slice(1);
		};
		expect(at(99.5)).toEqual(["█░░░░░░░░░", "<1%"]);
		expect(at(100)).toEqual(["░░░░░░░░░░", "0%"]);
		expect(at(1)).toEqual(["█████████░", "99%"]);
		expect(at(0)).toEqual(["██████████", "100%"]);
	});

	it("of an empty pool says how to begin, and offers no key that needs an account", () => {
		open(aView([]));
		expect(text()).toMatch(/No Codex account is signed in/);
		expect(text()).toMatch(/^ n add {2}esc close$/m);
		press("<confirm>", "a", "x", "v", "<down>", "n", "<cancel>");
		expect(actions).toEqual(["add -", "close -"]);
	});
});

describe("the keys of the dashboard", () => {
	it("are those of the person where pi knows them, and letters of its own", () => {
		press("<confirm>", "a", "n", "s", "x", "e", "v", "r", "<cancel>", "q", "\r", "\x1b");
		expect(actions).toEqual(
			["use", "auto", "add", "login", "remove", "disable", "rename", "refresh", "close"].map(
				(action) => `${action} work`,
			),
		);
	});

	it("move, and come in at the other end", () => {
		press("<down>");
		expect(selected()).toContain("personal");
		press("<up>", "<up>");
		expect(selected()).toContain("old-team");
		press("<down>");
		expect([selected(), repaints]).toEqual([expect.stringContaining("work"), 4]);
	});

	it("are named as far as they do something: each that is named, and no other", () => {
		const named = () =>
			text(200).match(/\S+ (use|auto|add|sign in|remove|disable|enable|rename|refresh|close)(?= {2}|$)/gm);
		expect(named()).toHaveLength(9);
		open(aView([aShown("a", { state: "disabled", account: anAccount("a", { enabled: false }) })]));
		expect(named()).toContain("e enable");
		expect(named()).not.toContain("enter use");
		press("e", "<confirm>");
		// Enter is not named there, but asked all the same it tells why.
		expect(actions).toEqual(["enable a", "use a"]);
	});

	it("name the way to sign in on a narrow terminal where that is what is needed", () => {
		press("<up>");
		expect(lines(40).at(-2)).toBe(" a auto  s sign in  esc close");
	});

	it("scroll through a thousand accounts, and say where one is", () => {
		open(many(1000));
		room = 18;
		expect(text()).toContain("(1/1000)");
		press("<page down>");
		const page = Number(/\((\d+)\/1000\)/.exec(text())?.[1]) - 1;
		expect(page).toBeGreaterThan(1);
		press("<up>", "<page up>", "<up>");
		expect([selected(), text()]).toEqual([
			expect.stringContaining("account-1000"),
			expect.stringContaining("(1000/1000)"),
		]);
	});

	it("keep the account on the screen when the terminal gets lower, and fill it when it gets higher", () => {
		open(many(12));
		press(...Array<string>(9).fill("<down>"));
		for (room of [40, 16, 12, 30]) expect(selected()).toContain("account-10");
		expect(text()).not.toContain("/12)");
	});
});
