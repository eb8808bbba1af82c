import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { type Component, visibleWidth } from "@mariozechner/pi-tui";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Account, printable } from "../../src/core/account.ts";
import type { Rung } from "../../src/core/beyond/ladder.ts";
import { DECISION_KINDS } from "../../src/core/decision.ts";
import type { PoolEvent } from "../../src/core/events.ts";
import { NOTHING } from "../../src/core/ledger/ledger.ts";
import {
	GROUPINGS,
	type Grouping,
	PERIODS,
	type Period,
	type Report,
	reportOf,
} from "../../src/core/ledger/ledger-report.ts";
import type { PoolView } from "../../src/core/pool/pool-view.ts";
import { redeemable } from "../../src/core/reset-credits/reset-credits.ts";
import { DEFAULT_SETTINGS } from "../../src/core/settings.ts";
import { createNameField } from "../../src/features/accounts/name-field.ts";
import { refreshedAsText } from "../../src/features/accounts/refreshed.ts";
import { poolAsLines, poolAsText, poolInDetail } from "../../src/features/accounts/show-view.ts";
import {
	isBeingRenewed,
	piLoginUnreadable,
	removed,
	removeNeedsLogout,
	removeQuestion,
	switchedOff,
	switchedOn,
} from "../../src/features/accounts/texts.ts";
import { createBeyondPanel } from "../../src/features/beyond/panel.ts";
import { createChainPanel } from "../../src/features/chain/panel.ts";
import { chainAsText } from "../../src/features/chain/view.ts";
import { createDashboard } from "../../src/features/dashboard/dashboard.ts";
import { createPicker } from "../../src/features/dashboard/picker.ts";
import { pinned, unpinned } from "../../src/features/dashboard/pin-texts.ts";
import { logAsText } from "../../src/features/explain/log.ts";
import { whyAsText } from "../../src/features/explain/why.ts";
import { footerLine } from "../../src/features/footer/line.ts";
import type { Verdict as ImportVerdict } from "../../src/features/import/rules.ts";
import { importChecklist, importFailure, importList, importOutcome } from "../../src/features/import/view.ts";
import { noticeOf } from "../../src/features/notices/texts.ts";
import { createPreferencesPanel } from "../../src/features/preferences/panel.ts";
import { startsOn } from "../../src/features/preferences/preview.ts";
import * as redeemTexts from "../../src/features/redeem/texts.ts";
import { createCodeField } from "../../src/features/share/code-field.ts";
import { createWaitPanel } from "../../src/features/share/patience.ts";
import * as shareTexts from "../../src/features/share/texts.ts";
import { poolAsText as poolAsTextOfShare } from "../../src/features/share/view.ts";
import { createSignInScreen } from "../../src/features/sign-in/screen.ts";
import {
	joined,
	labelTakenByAdd,
	otherAccountQuestion,
	otherAccountRefused,
	restored,
	severalNeedLogin,
	signInAgainTitle,
} from "../../src/features/sign-in/texts.ts";
import { createUsagePanel } from "../../src/features/usage/panel.ts";
import { usageAsText } from "../../src/features/usage/view.ts";
import { verifiedAsText } from "../../src/features/verify/view.ts";
import type { ShownLink } from "../../src/pi/chain-links.ts";
import { badLabel, type NextRequest, whatNow } from "../../src/ui-kit/account-texts.ts";
import { createChecklistPanel } from "../../src/ui-kit/checklist.ts";
import { createListCursor } from "../../src/ui-kit/list-cursor.ts";
import { type ActQuestion, createQuestionPanel } from "../../src/ui-kit/question.ts";
import { sharedText } from "../../src/ui-kit/shared-texts.ts";
import { aPoolStatus, CODES } from "../support/fake-shared-pools.ts";
import { aSnapshot, HOUR_MS, NOW, settled } from "../support/fakes.ts";
import { repositoryRoot } from "../support/hosts.ts";
import { anId } from "../support/ids.ts";
import { runs } from "../support/tiers.ts";
import { MODEL } from "./harness.ts";
import { aPace } from "./pace.ts";
import { planOf } from "./plans.ts";
import { anyText, anyView, aShown, controlsIn } from "./pool-views.ts";

/** Who serves next, with nothing in the way. */
const nextIs = (account: Account | undefined): NextRequest => ({
	isEnabled: true,
	isForeign: false,
	account,
});

/** What a screen may be given: a pool, however damaged its file, and words of a server, another file, or a person. */
interface World {
	readonly view: PoolView;
	readonly words: string;
	readonly more: string;
	/** Lines of the terminal. */
	readonly room: number;
}

const anyWorld: fc.Arbitrary<World> = fc.record({
	view: anyView,
	words: anyText,
	more: anyText,
	room: fc.integer({ min: 0, max: 60 }),
});

const KEYS = { up: "\x1b[A", down: "\x1b[B", pageDown: "\x1b[6~", confirm: "\r" } as const;
/** False: the theme has no colours, as on a terminal that shows none. */
let hasColours = true;
const HOST = {
	paint: (tone: string, text: string) => {
		if (!hasColours) return text;
		return tone === "error" ? `\x1b[31m${text}\x1b[39m` : `\x1b[2m${text}\x1b[22m`;
	},
	isKey: (typed: string, key: string) =>
		Object.entries(KEYS).some(([name, sent]) => sent === typed && key.endsWith(name)),
	highlight: (line: string) => (hasColours ? `\x1b[7m${line}\x1b[27m` : line),
	repaint: () => undefined,
	pace: aPace(),
};
const nothing = () => undefined;

/** The panel as it is drawn at first, and after each of the keys. */
function drawn(panel: Component, width: number, keys: readonly string[]): string[] {
	return ["", ...keys].flatMap((key) => {
		if (key !== "") panel.handleInput?.(key);
		HOST.pace.pass(200);
		return panel.render(width);
	});
}

/** Holds a code that sets the colour of letters or of what is behind them. */
const isColoured = (line: string) =>
	line
		.split("\x1b[")
		.slice(1)
		.some((code) => /^(?:\d+;)*(?:[34]\d|9\d|10\d)(?:;\d+)*m/.test(code));

/** Words and marks. pi's wrapping leaves other blanks where colours begin and end. */
const shownIn = (lines: readonly string[]) => stripVTControlCharacters(lines.join("")).replaceAll(/\s/g, "");

const pasteOf = (text: string) => `\x1b[200~${text}\x1b[201~`;

/** Two accounts that a sentence may be about. */
function two({ accounts }: PoolView): readonly [Account, Account] {
	const [first = aShown("first"), second = aShown("second")] = accounts;
	return [first.account, second.account];
}

/** The footer with an account at work, and with none. */
function footersOf(view: PoolView, words: string, width: number): string[] {
	const [account, other] = two(view);
	const [shown] = view.accounts;
	const model = {
		isEnabled: view.isEnabled,
		isForeign: view.isForeign,
		hasKeys: true,
		settings: DEFAULT_SETTINGS.footer,
		isPinned: true,
		total: 3,
		waitingUntil: words === "" ? NOW + HOUR_MS : undefined,
		waitsForRoom: true,
		first: { label: other.label, readyAt: NOW + HOUR_MS },
		now: NOW,
	};
	const active = { account, usage: shown?.usage, isReady: true };
	return [
		{ ...model, active, ready: 2 },
		{ ...model, active: { ...active, isOnReserveModel: true }, ready: 0 },
		{ ...model, active: undefined, ready: 0 },
		{ ...model, active: undefined, ready: 0, waitingUntil: undefined, link: words },
	].map((each) => footerLine(each, width, HOST.paint));
}

/** Everything that is drawn by us line by line, where pi ends at a line that is too wide. By its file in `src/ui`. */
const PANELS: Readonly<Record<string, (world: World, width: number) => string[] | Promise<string[]>>> = {
	dashboard: ({ view, words, more, room }, width) => {
		const [from, to] = two(view);
		const asked = { modelId: words, sessionId: undefined };
		const grounds = { decidedBy: undefined, terms: [] };
		const moved = { from, to, reason: "usage_limit", window: words, readyAt: NOW, remainingPercent: 1 } as const;
		const panel = createDashboard({
			...HOST,
			view: () => view,
			cursor: createListCursor(view.active),
			isAsking: () => false,
			moves: () => [{ at: NOW, from: from.id, to: anId(words), reason: words, window: more, isRotation: true }],
			usedToday: () => ({ ...NOTHING, requests: 3, cost: 1e9, input: 12_345 }),
			lastRotation: () => ({ at: NOW - HOUR_MS, event: { type: "rotated", asked, grounds, ...moved } }),
			room: () => room,
			undoable: () => more,
			onAction: nothing,
		});
		return drawn(panel, width, [KEYS.down, "?", "?", "d", KEYS.pageDown, "d", pasteOf(more), "職場", KEYS.confirm]);
	},
	picker: ({ view, words, room }, width) => {
		const cursor = createListCursor(view.active);
		const panel = createPicker({ ...HOST, view: () => view, cursor, room: () => room, onPick: nothing });
		panel.focused = true;
		return drawn(panel, width, [KEYS.down, pasteOf(words), "職場"]);
	},
	"preferences-panel": async ({ view, words, room }, width) => {
		const panel = createPreferencesPanel({
			...HOST,
			room,
			title: "What is shown",
			theme: { label: String, value: String, description: String, hint: String, cursor: "→ " },
			rows: [
				{ name: "usage", summary: "percent that is left, or used", choices: ["left", "used"], usual: "left" },
				{ name: "maxWait", summary: "longest wait", choices: ["0s"], usual: "60s" },
			],
			valueNow: () => "37m",
			save: async () => words,
			preview: (columns) => footersOf(view, words, columns),
			close: nothing,
		});
		const before = drawn(panel, width, [KEYS.confirm, KEYS.down]);
		await settled();
		return [...before, ...drawn(panel, width, [])];
	},
	"sign-in-screen": ({ words, more, room }, width) => {
		const screen = createSignInScreen({
			...HOST,
			room: () => room,
			title: signInAgainTitle(aShown(more).account),
			isCancelKey: () => false,
			onCancel: nothing,
			copy: async () => true,
			now: () => NOW,
		});
		screen.focused = true;
		const asking = drawn(screen, width, []);
		screen.showUrl(LINK, { comesBack: words.length % 2 === 0 });
		void screen.pasted(words);
		const opened = drawn(screen, width, [pasteOf(more)]);
		screen.showCode({ userCode: "1234-56789A", verificationUri: LINK, expiresAt: NOW + HOUR_MS });
		return [...asking, ...opened, ...drawn(screen, width, [])].map(withoutLinks);
	},
	"beyond-panel": ({ view, words, more, room }, width) => {
		const [account, other] = two(view);
		const rungs: readonly Rung[] = [
			{ kind: "credits", account, balance: words },
			{ kind: "reserve-model", account, model: more, leftPercent: 40 },
			{
				kind: "reset-credit",
				account: other,
				credit: { id: words, expiresAt: NOW },
				window: words,
				resetsAt: NOW + HOUR_MS,
			},
			{ kind: "chain", model: more, isPaid: true },
			{ kind: "wait", account: other, until: NOW + HOUR_MS, isGuess: true },
		];
		const { component } = createBeyondPanel({
			...HOST,
			offers: rungs.map((rung) => ({ rung, consent: "ask", canBeRemembered: true })),
			now: () => NOW,
			room: () => room,
			onAnswer: nothing,
		});
		const first = component.render(width);
		HOST.pace.pass(1000);
		return [
			...first,
			...drawn(component, width, [KEYS.down, "\x1b[C", KEYS.down, KEYS.down, KEYS.down, pasteOf(words)]),
		];
	},
	question: ({ view, words, room }, width) => {
		const { heading, text, act, keep } = removeQuestion(two(view)[0], {
			isPis: true,
			isActive: true,
			next: nextIs(undefined),
		});
		const question = { heading, text: `${text} ${words}`, answers: [keep, act] };
		const panel = createQuestionPanel({ ...HOST, question, room: () => room, onAnswer: nothing });
		return drawn(panel, width, [KEYS.down, pasteOf(words)]);
	},
	"import-panel": ({ words, more, room }, width) => {
		const row = { name: words, place: more, warning: undefined };
		const rows = [anId("a"), anId("b"), anId("c"), anId("d")].map((id) => ({ ...row, id, name: `${words} ${id}` }));
		const checklist = importChecklist(rows);
		const panel = createChecklistPanel({ ...HOST, checklist, room: () => room, onAnswer: nothing });
		return drawn(panel, width, [KEYS.down, KEYS.down, KEYS.down, " ", pasteOf(words), KEYS.pageDown]);
	},
	"name-field": ({ words, more }, width) => {
		const field = createNameField({ ...HOST, title: words, value: more, problemOf: () => words, onEnd: nothing });
		field.focused = true;
		return drawn(field, width, [KEYS.confirm, pasteOf(words)]);
	},
	chain: async ({ words, more, room }, width) => {
		const links = [words, more, "anthropic/claude-opus-5-5"].map((name, at) => aLink(name, { isPaid: at > 0 }));
		const panel = createChainPanel({
			...HOST,
			view: () => ({ isAvailable: room % 2 === 0, isSelected: false, links, now: NOW }),
			candidates: () => [words, more, "groq/fast"],
			look: (name) => aLink(name),
			add: async () => words,
			remove: async () => more,
			move: async () => undefined,
			close: nothing,
			room: () => room,
		});
		panel.focused = true;
		const before = drawn(panel, width, [KEYS.down, "d", "x", "a", pasteOf(words), KEYS.confirm]);
		await settled();
		return [...before, ...drawn(panel, width, ["a", pasteOf("no such model")])];
	},
	usage: ({ view, words, more, room }, width) => {
		const panel = createUsagePanel({
			...HOST,
			look: { period: "week", by: "account" },
			view: ({ period, by }) => ({
				report: aReport([words, more], period, by),
				accounts: accountsIn(view),
				isOn: false,
			}),
			close: nothing,
			room: () => room,
		});
		return drawn(panel, width, ["t", "b", "m", "b", KEYS.down, "a", "b", "b", KEYS.pageDown, pasteOf(words)]);
	},
	"code-field": ({ words }, width) => {
		const field = createCodeField({ ...HOST, title: shareTexts.CODE_TITLE, onEnd: nothing });
		field.focused = true;
		return drawn(field, width, [pasteOf(words), KEYS.confirm]);
	},
	"wait-panel": (_, width) => drawn(createWaitPanel({ ...HOST, onStop: nothing }), width, [KEYS.confirm]),
	"footer-line": ({ view, words }, width) => footersOf(view, words, width),
};

const aLink = (name: string, rest: Partial<ShownLink> = {}): ShownLink => ({
	name,
	model: { ...MODEL, cost: { input: 5, output: 25, cacheRead: 0, cacheWrite: 0 } },
	obstacle: rest.isPaid ? "failed" : undefined,
	isPaid: false,
	isSubscription: false,
	closure: rest.isPaid ? { kind: "quota", until: NOW + HOUR_MS } : undefined,
	...rest,
});

/** What was used today and long ago for folders and models that may be called anything. */
function aReport(names: readonly string[], period: Period, by: Grouping): Report {
	const rows = ["2026-11-20", "2026-11-19", "2025-01"].flatMap((at) =>
		names.map((name, index) => ({
			...NOTHING,
			period: at,
			account: anId(name),
			project: `/home/${name}`,
			model: name,
			requests: index,
			input: 10 ** (index * 8),
			cost: 0.001,
			refusals: index,
			refusedMs: index * HOUR_MS,
		})),
	);
	return reportOf(rows, period, by, NOW);
}
const accountsIn = ({ accounts }: PoolView) => accounts.map(({ account }) => account);

const LINK = `https://auth.example.test/oauth/authorize?${"scope=openid%20profile&".repeat(12)}`;
const withoutLinks = (line: string) => line.replaceAll(`\x1b]8;;${LINK}\x07`, "").replaceAll("\x1b]8;;\x07", "");

const planAt = ({ accounts }: PoolView, modelId: string) =>
	planOf(
		accounts.map(({ account, cooldowns, usage }) => ({ account, cooldowns, usage })),
		{ modelId, reserve: { "5h": 90 } },
	);

const IMPORT_VERDICTS: readonly ImportVerdict[] = ["add", "renew", "have", "older", "same", "spent"];

/** An account as the store gives it: what its row says is made printable there. */
function toldByStore(account: Account): Account {
	const { label, email, plan, disabledReason, needsLogin } = account;
	return {
		...account,
		label: printable(label),
		email: email && printable(email),
		plan: plan && printable(plan),
		disabledReason: disabledReason && printable(disabledReason),
		needsLogin: needsLogin && { ...needsLogin, reason: printable(needsLogin.reason) },
	};
}

/** Every text that pi or the terminal wraps; each string is one line before it is wrapped. */
const TEXTS: Readonly<Record<string, (world: World, width: number) => string>> = {
	show: ({ view }, width) => [poolAsText(view, width), poolInDetail(view, width), poolAsLines(view)].join("\n"),
	usage: ({ view, words, more }, width) =>
		PERIODS.flatMap((period) =>
			GROUPINGS.map((by) => {
				const report = aReport([words, more], period, by);
				return usageAsText({ report, accounts: accountsIn(view).map(toldByStore), isOn: true }, width);
			}),
		).join("\n"),
	why: ({ view, words }, width) => {
		const about = { isEnabled: view.isEnabled, isForeign: false, policy: "soonest-reset", model: words };
		return whyAsText({ ...about, plan: planAt(view, words) }, width);
	},
	"next-account": ({ view, words }) => startsOn(planAt(view, words)),
	log: ({ view, words, more }, width) => {
		const accounts = view.accounts.map(({ account }) => account);
		const told = { reason: words, scope: `limit:${more}`, window: more, decidedBy: words, from: anId(more) };
		const decisions = DECISION_KINDS.flatMap((kind) => [
			{ at: NOW, pid: 1, kind, account: anId(words), ...told },
			{ at: NOW, pid: 1, kind, account: accounts[0]?.id, ...told },
		]);
		return logAsText(decisions, accounts, NOW, width);
	},
	share: ({ view }, width) => {
		const accounts = view.accounts.map(({ account }) => toldByStore(account));
		const status = view.sharedPool ?? aPoolStatus();
		return poolAsTextOfShare({ status, accounts, now: NOW }, width);
	},
	"chain-list": ({ words, more }, width) => {
		const links = [aLink(words), aLink(more, { isPaid: true })];
		return chainAsText({ isAvailable: true, isSelected: false, links, now: NOW }, width);
	},
	refreshed: ({ view, words }) => {
		const told = view.accounts.map(({ account, usage }, at) => {
			return { account, usage, problem: at % 2 === 0 ? words : undefined };
		});
		return refreshedAsText(told, NOW);
	},
	verify: ({ view, words, more }) => {
		const accounts = view.accounts.map(({ account }) => account);
		const finding = { level: "warning", figure: 1 } as const;
		const findings = [
			{ ...finding, code: "leftover", subject: words, detail: more },
			{ ...finding, code: "setting-bad", subject: undefined, detail: words },
			{ ...finding, code: "sign-in-lost", subject: accounts[0]?.id ?? more, detail: words },
		] as const;
		const repairs = [{ kind: "set-aside", subject: words }] as const;
		return verifiedAsText({ findings, repairs, isFixing: true, accounts });
	},
	"import-list": ({ view, words, more }) => {
		const taken = view.accounts.map(({ account }) => account);
		const [account] = two(view);
		const credential = { access: "a", refresh: "r", expiresAt: NOW };
		const found = {
			kind: "login",
			tool: "codex",
			path: words,
			name: more,
			credential,
			workspaceIdHint: undefined,
		} as const;
		const planned = IMPORT_VERDICTS.map((verdict, at) => ({
			found: { ...found, name: at % 2 === 0 ? more : undefined },
			owner: { id: account.id, email: at % 3 === 0 ? words : undefined },
			account: at === 1 ? account : undefined,
			verdict,
			isOwnerActive: at % 2 === 0,
		}));
		const leftOut = [{ kind: "left-out", tool: "file", path: more, name: words, reason: words }] as const;
		const options = { home: "/home/me", now: NOW, tool: undefined };
		const plan = { planned, leftOut };
		return [importList(plan, options), importFailure(plan, options), importOutcome(plan, taken)].join("\n");
	},
	messages: ({ view, words, more }) => {
		const [from, to] = [toldByStore(two(view)[0]), toldByStore(two(view)[1])];
		const asked = { modelId: words, sessionId: undefined };
		const grounds = { decidedBy: undefined, terms: [] };
		const left = { window: "7d", percent: 3, resetsAt: NOW + HOUR_MS, isStale: false };
		const rotated = { type: "rotated", from, to, reason: "usage_limit", window: "5h", asked, grounds } as const;
		const moves = [
			{ ...rotated, readyAt: NOW + HOUR_MS, remainingPercent: 4 },
			{ type: "switched", from, to, cause: "policy", left, asked, grounds },
		] as const;
		const events: PoolEvent[] = [
			...moves.map((first) => ({ type: "continued", first, to, remainingPercent: 3 }) as const),
			{ type: "last-one", account: from, left, threshold: 10 },
			{ type: "pool-low", dryAt: NOW, from: NOW, to: NOW, first: { account: from, at: NOW } },
			{ type: "chain-serves", link: words, isPaid: true, from: more, back: undefined, asked },
			{ type: "chain-left", link: words, asked },
			{ type: "link-closed", link: words, reason: "quota", until: NOW + HOUR_MS },
			{ type: "signed-out", account: from, reason: words },
			{ type: "closed", account: from, reason: words },
			{ type: "warning", text: words },
		];
		// Read off a token, where they are made printable.
		const other = { email: printable(words), plan: printable(more), known: undefined };
		const next = nextIs(to);
		const removal = { next, isPiSignedOut: true, left: 1 };
		return [
			...events.map((event) => noticeOf(event, NOW)?.text),
			pinned(from, { readyAt: NOW + HOUR_MS, isGuess: false, next, now: NOW }),
			unpinned(next),
			whatNow(from),
			...wordsIn(otherAccountQuestion(from, other)),
			otherAccountRefused(from, other),
			severalNeedLogin([from, to]),
			joined(from, { isNew: true, isForNew: true, total: 2, now: NOW }),
			restored(from, false),
			labelTakenByAdd(from),
			badLabel(words, "is empty"),
			...wordsIn(removeQuestion(from, { isPis: true, isActive: true, next })),
			removeNeedsLogout(from),
			isBeingRenewed(from),
			piLoginUnreadable(from),
			removed(from, removal),
			switchedOn(from, next),
			switchedOff(from, next),
			...redeemWords(from, to, words),
			...shareWords(view, from, to),
			...(["away", "revoked"] as const).map(
				(problem) => noticeOf({ type: "pool-away", problem, text: words, since: NOW }, NOW)?.text,
			),
		].join("\n");
	},
};

/** What `share`, `join` and `leave` say of a pool whose names are from a database. */
function shareWords({ sharedPool: status = aPoolStatus() }: PoolView, first: Account, second: Account): string[] {
	const leaving = { own: [first], going: [second], taken: [] };
	return [
		shareTexts.alreadyIn(status),
		shareTexts.keepersOnly(status, "adding accounts"),
		shareTexts.made(status, [first], CODES),
		shareTexts.codesShown(status, CODES),
		shareTexts.added(status, [first, second]),
		...wordsIn(shareTexts.rotateQuestion(status)),
		shareTexts.rotated(status, CODES),
		shareTexts.joined(status, [first]),
		...wordsIn(shareTexts.leaveQuestion(status, leaving)),
		shareTexts.leaveNeedsYes(status),
		shareTexts.left(status, leaving),
		sharedText({ pool: status.name, users: [{ machine: status.machine, sessions: 1 }], renewal: "here" }),
	];
}

/** What `redeem` says of two accounts, a credit of the first of which can be spent. */
function redeemWords(first: Account, second: Account, words: string): string[] {
	const credit = { id: words, expiresAt: NOW + HOUR_MS };
	const usage = aSnapshot({
		source: "api",
		windows: [
			{ usedPercent: 100, windowMinutes: 10_080, resetsAt: NOW + 4 * HOUR_MS },
			{ usedPercent: 5, windowMinutes: 300 },
		],
	});
	const found = redeemable(
		{ account: { ...first, enabled: true, needsLogin: undefined }, usage, credits: [credit] },
		NOW,
	);
	if (found.kind !== "redeemable") throw new Error(found.kind);
	const offers = [
		{ account: first, credits: [credit], found },
		{ account: second, credits: [credit], found: { kind: "not-spent" } as const },
	];
	return [
		...wordsIn(redeemTexts.redeemQuestion(found, [credit], NOW)),
		...Object.values(redeemTexts.choiceQuestion(offers, NOW)),
		redeemTexts.noneRedeemable(offers, NOW),
		redeemTexts.needsYes(found, NOW),
		redeemTexts.redeemed(first, { isAlready: true, usage, left: 1 }, NOW),
		redeemTexts.notRedeemed(first, "it is gone", true),
	];
}

const wordsIn = (question: ActQuestion) => Object.values(question).map(String);

/** What draws a panel, or makes a text of several lines. */
const SHOWS = /\brender\b|export function (?:\w+(?:AsText|AsLines|InDetail|List|Outcome)|footerLine)\b/;

/** Wraps what another file draws. */
const WRAPPERS = ["features/dashboard/command.ts", "ui-kit/text-field.ts"];

describe("whatever files, servers and people say", () => {
	it("every file that draws a panel or makes a text is drawn here", () => {
		const src = join(repositoryRoot, "src");
		const files = ["features", "ui-kit"]
			.flatMap((room) =>
				readdirSync(join(src, room), { recursive: true, encoding: "utf8" }).map((path) => join(room, path)),
			)
			.map((path) => path.replaceAll("\\", "/"))
			.filter((path) => path.endsWith(".ts") && !WRAPPERS.includes(path))
			.filter((path) => SHOWS.test(readFileSync(join(src, path), "utf8")));
		const own = readFileSync(new URL(import.meta.url), "utf8");
		expect(files.length).toBeGreaterThan(10);
		expect(files.filter((path) => !own.includes(`src/${path}"`))).toEqual([]);
	});

	it.each(Object.entries(PANELS))(
		"no line of %s is too wide for any terminal, nor moves its cursor",
		async (_name, draw) => {
			await fc.assert(
				fc.asyncProperty(anyWorld, fc.integer({ min: 1, max: 200 }), async (world, width) => {
					const lines = await draw(world, width);
					expect(lines.filter((line) => visibleWidth(line) > width)).toEqual([]);
					expect(controlsIn(lines)).toEqual([]);
				}),
				runs(12, 400),
			);
		},
	);

	// pi's own themes have colours under NO_COLOR as well: what is ours is that a theme without any is enough.
	it.each(Object.entries(PANELS))(
		"%s says the same without colours, and writes none by itself",
		async (_name, draw) => {
			await fc.assert(
				fc.asyncProperty(anyWorld, fc.integer({ min: 20, max: 200 }), async (any, width) => {
					// With room for every line: other blanks may make other lines.
					const world = { ...any, room: 500 };
					const usual = await draw(world, width);
					hasColours = false;
					try {
						const plain = await draw(world, width);
						expect(shownIn(plain)).toBe(shownIn(usual));
						expect(plain.filter(isColoured)).toEqual([]);
					} finally {
						hasColours = true;
					}
				}),
				runs(6, 200),
			);
		},
	);

	it.each(Object.entries(TEXTS))("nothing that %s says moves the cursor", (_name, say) => {
		fc.assert(
			fc.property(anyWorld, fc.integer({ min: 1, max: 200 }), (world, width) => {
				expect(controlsIn(say(world, width).split("\n"))).toEqual([]);
			}),
			runs(12, 400),
		);
	});
});
