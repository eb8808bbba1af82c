import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { dayOf } from "../../src/core/ledger/ledger.ts";
import { newKeeperCode, printJoinCode } from "../../src/platform/shared-pool/join-code.ts";
import { openMirror } from "../../src/platform/shared-pool/mirror.ts";
import { openers } from "../e2e/sign-in-support.ts";
import type { Bench } from "../e2e/support.ts";
import { holdCallbackPorts } from "../support/callback-ports.ts";
import { answers, resetCreditAnswers, usageAnswers } from "../support/fake-codex/index.ts";
import { NEWEST_HOST } from "../support/hosts.ts";
import { aWorkspaceId } from "../support/ids.ts";
import { writeTool } from "../support/import-fixtures.ts";
import type { Terminal } from "../support/terminal.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { type Frame, GROUNDS, movingPictureOf, PICTURES, pictureOf } from "./picture.ts";
import { type Actor, FOUR, NOW, type SceneOptions, startScene } from "./scene.ts";

/**
 * The screens as they are stored. `npm run screenshots` takes them anew, and the pictures of the README with them: what
 * is shown there is what a real pi has painted.
 */

const PATIENCE_MS = 30_000;
const HOUR_MS = 3_600_000;

/** Every screen at a comfortable width, at pi's default, and on two phones; in the core as most people have it. */
const WIDTHS = coreOf([120, 80, 40, 30], (columns) => columns === 80 || columns === 40).map((columns) => ({ columns }));

async function store(name: string, terminal: Terminal, tamed: (screen: string) => string = String): Promise<void> {
	await expect(`${tamed(terminal.screen())}\n`).toMatchFileSnapshot(`stored/${name}.txt`);
}

const taken = new Set<string>();

async function storePicture(name: keyof typeof PICTURES, terminal: Terminal): Promise<void> {
	taken.add(name);
	await expect(pictureOf(PICTURES[name], terminal.cells(), GROUNDS.dark)).toMatchFileSnapshot(`pictures/${name}.svg`);
}

type Scene = Awaited<ReturnType<typeof startScene>>;

/** A scene in which a command was typed, once `sign` is on the screen. */
async function sceneAfter(command: string, sign: string | RegExp, options: SceneOptions = {}) {
	const scene = await startScene(options);
	await scene.terminal.submit(command);
	await scene.terminal.waitForText(sign, PATIENCE_MS);
	return scene;
}

const TWELVE: readonly Actor[] = Array.from({ length: 12 }, (_, at) => ({
	name: `acc-${String(at + 1).padStart(2, "0")}`,
	fiveHour: [at * 9, HOUR_MS * (1 + at / 4)],
	week: [at * 8, HOUR_MS * 24 * (1 + at / 2)],
}));

/** Twelve accounts: half are of no use now, and one shows everything that an account can show. */
const MIXED: readonly Actor[] = TWELVE.map((actor, at) => ({
	...actor,
	...(at % 2 === 1 && { fiveHour: [100, HOUR_MS * at], coolsForMs: HOUR_MS * at }),
	...(at === 7 && { row: { enabled: false } }),
	...(at === 9 && { row: { needsLogin: { reason: "refresh_token_expired", at: NOW - HOUR_MS } } }),
	...(at === 2 && { sessions: 1 }),
	...(at === 0 && {
		sessions: 2,
		usedAgoMs: HOUR_MS,
		email: "me@acme.example",
		told: {
			budgets: [
				{
					usedPercent: 40,
					windowMinutes: 43_200,
					resetsAt: NOW + 300 * HOUR_MS,
					isReached: false,
					used: 40,
					limit: 100,
				},
			],
			credits: { hasCredits: true, unlimited: false, balance: "12.50" },
			limits: { codex_spark: { windows: [{ usedPercent: 80, windowMinutes: 300, resetsAt: NOW + HOUR_MS }] } },
		},
	}),
}));

/** What another process has logged. */
async function furnish({ dir, id }: Bench): Promise<void> {
	const at = (agoMs: number) => new Date(NOW - agoMs).toISOString();
	const moved = { pid: 1, kind: "rotated", reason: "usage_limit", window: "5h" };
	const lines = [
		{ at: at(3 * HOUR_MS), ...moved, from: id("acc-04"), account: id("acc-06") },
		{ at: at(2 * HOUR_MS), ...moved, kind: "switched", reason: "user", from: id("acc-06"), account: id("acc-01") },
		{ at: at(HOUR_MS), ...moved, from: id("acc-02"), account: id("acc-01") },
	];
	dir.write("codex-events.jsonl", lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
	writeLedger(dir, [{ account: id("acc-01"), agoDays: 0, requests: 41, cost: 3.2 }]);
}

/** What was counted: a row a day of an account, with as many tokens as its requests suggest. */
function writeLedger(
	dir: Bench["dir"],
	rows: readonly {
		readonly account: string;
		readonly agoDays: number;
		readonly requests: number;
		readonly cost: number;
		readonly project?: string;
		readonly refusals?: number;
	}[],
): void {
	const lines = rows.map(({ agoDays, requests, ...row }) => ({
		period: dayOf(NOW - agoDays * 24 * HOUR_MS),
		project: "/home/me/web",
		model: "gpt-5.5",
		requests,
		input: requests * 7570,
		cached: requests * 51_300,
		output: requests * 830,
		...row,
		...(row.refusals !== undefined && { rotations: row.refusals, refusedMs: row.refusals * 920 }),
	}));
	dir.write("codex-ledger.jsonl", lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

/**
 * Whether pi has drawn a screen with two rules anew since the terminal changed its width. Until then the terminal wraps
 * the longer rules of before: into rows of other lengths, or into rows one below the other.
 */
function isDrawnFor(columns: number, screen: string): boolean {
	const rows = screen.split("\n");
	const rules = rows.flatMap((row, at) => (/^─+$/.test(row) ? [at] : []));
	const [first = 0, second = 0] = rules;
	return rules.length === 2 && second > first + 1 && rules.every((at) => rows[at]?.length === columns);
}

/** Stores the same screen at every width: the terminal is made smaller. */
async function storeWidths(
	name: string,
	terminal: Terminal,
	tamed: (screen: string) => string = String,
): Promise<void> {
	for (const columns of [120, 80, 40, 30]) {
		terminal.resize(columns);
		await terminal.waitForScreen((screen) => isDrawnFor(columns, screen), PATIENCE_MS);
		await store(`${name}-${columns}`, terminal, tamed);
	}
	terminal.resize(120);
	await terminal.waitForText(/^─{120}$/m, PATIENCE_MS);
}

/** Labels as people of all countries give them. */
const ABROAD: readonly Actor[] = [
	{ name: "a", label: "Büro Zürich", fiveHour: [40, HOUR_MS], week: [20, 90 * HOUR_MS] },
	{ name: "b", label: "東京オフィス", fiveHour: [75, 2 * HOUR_MS], week: [50, 60 * HOUR_MS] },
	{ name: "c", label: "🚀 side", fiveHour: [95, 3 * HOUR_MS], week: [99, 30 * HOUR_MS] },
];

describe("the dashboard", () => {
	it.each(WIDTHS)("the dashboard is as stored, $columns columns wide", async ({ columns }) => {
		const { terminal } = await sceneAfter("/multicodex", "esc close", { columns });
		await store(`dashboard-${columns}`, terminal);
		if (columns === 80) await storePicture("dashboard", terminal);
	});

	wide("the dashboard of a pool that is off is as stored at every width", async () => {
		const settings = { "pi-multicodex": { enabled: false } };
		const { terminal } = await sceneAfter("/multicodex", "esc close", { settings, columns: 120 });
		await storeWidths("dashboard-off", terminal);
	});

	wide("the dashboard of an empty pool is as stored at every width", async () => {
		const { terminal } = await sceneAfter("/multicodex", "esc close", { actors: [], columns: 120 });
		await storeWidths("dashboard-of-none", terminal);
	});

	it("is as stored at every width when more than fits is folded, unfolded, and looked at in detail", async () => {
		const { terminal } = await sceneAfter("/multicodex", "esc close", {
			actors: MIXED,
			columns: 120,
			rows: 24,
			furnish,
		});
		await terminal.waitForText(/last rotation/, PATIENCE_MS);
		await storeWidths("live-folded", terminal);
		await terminal.type("d");
		await terminal.waitForText(/d list/, PATIENCE_MS);
		await storeWidths("live-details", terminal);
		await terminal.type("d");
		await terminal.waitForText(/m shows them/, PATIENCE_MS);
		await terminal.type("m");
		await terminal.waitForText(/\(1\/12\)/, PATIENCE_MS);
		await storeWidths("live-unfolded", terminal);
	});

	wide.each([
		{ what: "one", actors: FOUR.slice(0, 1) },
		{ what: "twelve", actors: TWELVE },
		{ what: "abroad", actors: ABROAD },
	])("the dashboard is as stored with accounts: $what", async ({ what, actors }) => {
		const { terminal } = await sceneAfter("/multicodex", "esc close", { actors });
		await store(`dashboard-of-${what}`, terminal);
	});

	wide("fits a terminal that changes its size under it", async () => {
		const { terminal } = await sceneAfter("/multicodex", "esc close", { actors: TWELVE, columns: 120 });
		terminal.resize(40, 20);
		await terminal.waitForScreen((screen) => screen.split("\n").every((line) => line.length <= 40), PATIENCE_MS);
		await terminal.waitForText(/^█→ acc-01/m, PATIENCE_MS);
		await store("dashboard-resized", terminal);
	});

	wide("says the same on a light screen", async () => {
		const { terminal } = await sceneAfter("/multicodex", "esc close", { theme: "light" });
		await store("dashboard-80", terminal);
		await expect(pictureOf("The dashboard on a light screen", terminal.cells(), GROUNDS.light)).toMatchFileSnapshot(
			"stored/dashboard-light.svg",
		);
	});
});

/** Two weeks in which an account was used from nine to seven, more on some days than on others. */
async function furnishHistory({ dir, id }: Bench, name = "personal"): Promise<void> {
	const samples: number[][] = [];
	let used = 0;
	let resetsAt = 0;
	for (let at = NOW - 15 * 24 * HOUR_MS; at <= NOW; at += HOUR_MS) {
		const day = Math.floor(at / (24 * HOUR_MS));
		const hour = new Date(at).getUTCHours();
		if (hour < 9 || hour >= 19) continue;
		if (at >= resetsAt) {
			used = 0;
			resetsAt = at + 5 * HOUR_MS;
		}
		used += [10, 20, 14, 18][day % 4] ?? 0;
		samples.push([at / 60_000, used, (resetsAt - at) / 60_000]);
	}
	const lines = samples.map((sample) => ({ account: id(name), window: 300, samples: [sample] }));
	dir.write("codex-history.jsonl", lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

describe("how long quota lasts", () => {
	it("is on the dashboard, in the footer of who wants it, and in the details, as stored at every width", async () => {
		const settings = { "pi-multicodex": { footer: { lasts: true } } };
		const options = { settings, columns: 120, furnish: furnishHistory };
		const { terminal } = await sceneAfter("/multicodex", "at your pace", options);
		await terminal.waitForText(/esc close/, PATIENCE_MS);
		await storeWidths("forecast", terminal);
		await terminal.type("d");
		await terminal.waitForText(/d list/, PATIENCE_MS);
		await storeWidths("forecast-details", terminal);
	});
});

/** Two accounts with little left, which the rest of an afternoon uses up. */
const NEARLY_OUT: readonly Actor[] = [
	{ name: "work", fiveHour: [85, 67 * 60_000], week: [98, 74 * HOUR_MS] },
	{ name: "side", fiveHour: [60, 2 * HOUR_MS], week: [97, 33 * HOUR_MS] },
];

wide("the warning before all accounts have run out is in the chat, as stored at every width", async () => {
	const { terminal } = await sceneAfter("say hi", /pool will be out in about[^.]*side\./, {
		actors: NEARLY_OUT,
		columns: 120,
		settings: { transport: "sse" },
		furnish: (bench) => furnishHistory(bench, "work"),
	});
	await terminal.waitForScreen((screen) => !screen.includes("Working"), PATIENCE_MS);
	await storeWidths("pool-low", terminal);
});

/** A project that is bound to two of the four accounts, one of which a cap keeps. */
const BOUND: SceneOptions = {
	columns: 120,
	furnish: async ({ dir, id }) => {
		const settings = dir.readJson("settings.json");
		const ours = {
			caps: { [id("personal")]: { "7d": 60 }, [id("work")]: { "7d": 20 } },
			sets: { [dir.cwd]: ["work", "personal"].map(id) },
		};
		dir.write("settings.json", { ...(typeof settings === "object" ? settings : {}), "pi-multicodex": ours });
	},
};

describe("caps and an account set", () => {
	it("caps and a set are in the dashboard and the footer as stored, at every width", async () => {
		const { terminal } = await sceneAfter("/multicodex", "esc close", BOUND);
		await storeWidths("dashboard-bound", terminal);
	});

	it("caps and a set have a question before a pin below a cap, as stored at every width", async () => {
		const { terminal } = await sceneAfter("/multicodex use personal", "enter answer", BOUND);
		await storeWidths("cap-question", terminal);
	});

	wide("caps and a set are in the picker as stored, at every width", async () => {
		const { terminal } = await sceneAfter("/multicodex use", "esc cancel", BOUND);
		await storeWidths("picker-bound", terminal);
	});

	it.each(WIDTHS)("caps and a set are in the footer as stored, $columns columns wide", async ({ columns }) => {
		const { terminal } = await startScene({ ...BOUND, columns });
		await terminal.waitForText("set of work", PATIENCE_MS);
		await store(`footer-bound-${columns}`, terminal);
	});
});

describe("the picker", () => {
	it.each(WIDTHS)("the picker is as stored, $columns columns wide", async ({ columns }) => {
		const { terminal } = await sceneAfter("/multicodex use", "esc cancel", { columns });
		await store(`picker-${columns}`, terminal);
		if (columns === 80) await storePicture("picker", terminal);
	});

	wide.each([
		{ what: "none", actors: [] },
		{ what: "twelve", actors: TWELVE },
		{ what: "abroad", actors: ABROAD },
	])("the picker is as stored with accounts: $what", async ({ what, actors }) => {
		const { terminal } = await sceneAfter("/multicodex use", "esc cancel", { actors });
		await store(`picker-of-${what}`, terminal);
	});

	wide("says the same on a light screen", async () => {
		const { terminal } = await sceneAfter("/multicodex use", "esc cancel", { theme: "light" });
		await store("picker-80", terminal);
	});
});

/** What waits for `opened` goes on once `open` was called. */
function createGate(): { readonly opened: Promise<void>; readonly open: () => void } {
	const gate: { open: () => void } = { open: () => undefined };
	const opened = new Promise<void>((resolve) => {
		gate.open = resolve;
	});
	return { opened, open: () => gate.open() };
}

it("a rotation is as stored, screen by screen", async () => {
	const [refusal, answer] = [createGate(), createGate()];
	const { bench, terminal } = await startScene({ rows: 20 });
	bench.codex.account("work").always(async () => {
		await refusal.opened;
		return answers.usageLimit({ resetsInMs: 67 * 60_000 + NOW - Date.now() });
	});
	bench.codex.account("personal").always(async () => {
		await answer.opened;
		return answers.text("src/core/request/request-loop.ts: it decides what follows a refusal.");
	});
	const frames: Frame[] = [];
	const take = async (sign: RegExp, lastsMs: number) => {
		await terminal.waitForText(sign, PATIENCE_MS);
		frames.push({ screen: terminal.cells(), lastsMs });
	};
	await terminal.type("Which file decides what follows a refusal?");
	await take(/what follows a refusal\?/, 1500);
	await terminal.press("enter");
	await take(/⠋ Working/, 1500);
	refusal.open();
	await take(/⠋ Working[\s\S]*codex personal/, 1500);
	answer.open();
	await take(/it decides what follows/, 6000);
	taken.add("rotation");
	const picture = movingPictureOf(PICTURES.rotation, frames, GROUNDS.dark);
	await expect(picture).toMatchFileSnapshot("pictures/rotation.svg");
});

describe("the panels", () => {
	it.each(
		coreOf(
			["footer", "rotation", "beyond", "notify"].flatMap((panel) =>
				[80, 120, 40, 30].map((columns) => ({ panel, columns })),
			),
			({ columns }) => columns === 80,
		),
	)("the panels are as stored: $panel, $columns columns wide", async ({ panel, columns }) => {
		const { terminal } = await sceneAfter(`/multicodex ${panel}`, /Enter\/Space to change/, { columns });
		await store(`panel-${panel}-${columns}`, terminal);
		if (panel === "footer" && columns === 80) await storePicture("footer-panel", terminal);
	});
});

/** Panels, each with what its last line says. */
const PANELS = [
	["", "esc close"],
	["use", "esc cancel"],
	["footer", "Esc to close"],
	["rotation", "Esc to close"],
	["beyond", "Esc to close"],
	["notify", "Esc to close"],
] as const;

describe("a terminal that changes its size", () => {
	wide.each(PANELS)("shows the panel of `%s` as one that always had it", async (command, sign) => {
		const typed = `/multicodex ${command}`.trimEnd();
		const { terminal } = await sceneAfter(typed, sign, { columns: 120 });
		for (const columns of [20, 200, 40]) {
			terminal.resize(columns, 30);
			await terminal.waitForScreen((screen) => panelIn(screen).startsWith("─".repeat(columns)), PATIENCE_MS);
		}
		const { terminal: narrow } = await sceneAfter(typed, sign, { columns: 40 });
		const expected = panelIn(narrow.screen());
		await terminal.waitForScreen((screen) => panelIn(screen) === expected, PATIENCE_MS);
	});
});

/** What stands between two rules, and they themselves. */
function panelIn(screen: string): string {
	const lines = screen.split("\n");
	const isRule = (line: string) => /^─+$/.test(line);
	return lines.slice(lines.findIndex(isRule), lines.findLastIndex(isRule) + 1).join("\n");
}

/** Two accounts without quota; one has everything that may serve beyond it. */
const EMPTY: readonly Actor[] = [
	{
		name: "work",
		fiveHour: [40, 2 * HOUR_MS],
		week: [100, 74 * HOUR_MS],
		told: {
			credits: { hasCredits: true, unlimited: false, balance: "12.40" },
			reserveModel: {
				limitId: "base_model_inference",
				wireModel: "gpt-reserve",
				visibleModel: "gpt-5.5",
				windows: [{ usedPercent: 60, windowMinutes: 10_080, resetsAt: NOW + 100 * HOUR_MS }],
			},
			resetCredits: 1,
		},
		resetCredits: [{ id: "credit-1", expiresAt: NOW + 13 * 24 * HOUR_MS }],
	},
	{ name: "side", fiveHour: [100, 42 * 60_000], week: [69, 33 * HOUR_MS], coolsForMs: 42 * 60_000 },
];

/** pi's sign that a turn goes on is another one at every moment. */
const still = (screen: string) => screen.replace(/[\u2800-\u28ff]/g, "~");

describe("the question how a turn goes on", () => {
	it("is as stored at every width, with each row highlighted that costs something", async () => {
		const { terminal } = await sceneAfter("say hi", "How should this turn continue?", {
			actors: EMPTY,
			columns: 120,
			active: "side",
			settings: { transport: "sse", "pi-multicodex": { beyond: { credits: "ask" } } },
		});
		await storeWidths("question", terminal, still);
		// Before that a key is taken for the end of what was typed before the panel came.
		await new Promise((resolve) => setTimeout(resolve, 1000));
		await terminal.press("down", "down", "right");
		await terminal.waitForText("(today)", PATIENCE_MS);
		await storeWidths("question-today", terminal, still);
		await terminal.press("down");
		await terminal.waitForText("for good", PATIENCE_MS);
		await storeWidths("question-reset", terminal, still);
		await terminal.type("and the tests");
		await terminal.waitForText("Letters do not answer", PATIENCE_MS);
		await storeWidths("question-typed", terminal, still);
	});

	wide("says how long quota lasts after the wait, as stored at every width", async () => {
		const { terminal } = await sceneAfter("say hi", /at your pace\s+quota\s+lasts/, {
			actors: EMPTY,
			columns: 120,
			active: "side",
			settings: { transport: "sse", "pi-multicodex": { beyond: { credits: "ask" } } },
			furnish: (bench) => furnishHistory(bench, "side"),
		});
		await storeWidths("question-lasts", terminal, still);
	});
});

/** What differs from run to run in a sign-in: where the backend listens, the code, and all of a long address. */
const tame = (screen: string) =>
	screen
		.replace(/^http\S+(\n\S+)*state=\S+(\n\S+)*$/m, "(the address)")
		.replace(/127\.0\.0\.1:\d+/, "127.0.0.1:port")
		.replace(/[0-9A-F]{4}-[0-9A-F]{6}/, "0000-000000");

describe("a sign-in", () => {
	it.each(coreOf([80, 120, 40, 30]))("a sign-in in a browser is as stored, %i columns wide", async (columns) => {
		await holdCallbackPorts();
		const { terminal } = await sceneAfter("/multicodex add", /^ Your browser is open[\s\S]*esc cancel/m, {
			columns,
			rows: 40,
			env: openers,
		});
		await store(`sign-in-browser-${columns}`, terminal, tame);
	});

	wide.each([80, 120, 40, 30])("a sign-in on another device is as stored, %i columns wide", async (columns) => {
		const { terminal } = await sceneAfter("/multicodex add --device", "esc cancel", { columns });
		await terminal.waitForText(/[0-9A-F]{4}-[0-9A-F]{6}/, PATIENCE_MS);
		await store(`sign-in-device-${columns}`, terminal, tame);
	});
});

describe("the first minute", () => {
	/** Without pi's own first words, which name the place where it is installed. */
	const fromOurs = (screen: string) => screen.replace(/^[\s\S]*?(?= 2 Codex)/, "");
	const found = {
		settings: { defaultProvider: undefined, defaultModel: undefined },
		actors: [],
		strangers: ["me", "you"],
	};

	it.each(coreOf([80, 120, 40, 30]))("leads to screens as stored, %i columns wide", async (columns) => {
		const { terminal } = await startScene({
			...found,
			columns,
			furnish: async ({ codex, dir, excuse }) => {
				const logins = ["me", "you"].map((name) => ({ name, ...codex.grant(name) }));
				await writeTool("codex-account-orchestrator", dir.home, logins);
				excuse(logins.map(({ name }) => join(dir.home, `.codex-account-orchestrator/${name}/auth.json`)));
			},
		});
		await terminal.waitForText(/import takes/, PATIENCE_MS);
		await store(`first-words-${columns}`, terminal, fromOurs);
		await terminal.submit("/multicodex import");
		await terminal.waitForText(/Yes, import all 2/, PATIENCE_MS);
		await store(`first-import-${columns}`, terminal, fromOurs);
		await terminal.press("down", "down", "enter");
		await terminal.waitForText(/import 1 of 2/, PATIENCE_MS);
		await store(`first-choice-${columns}`, terminal, fromOurs);
	});
});

describe("what is typed into a panel", () => {
	it.each(coreOf([80, 120, 40, 30]))("leads to screens as stored, %i columns wide", async (columns) => {
		const { terminal } = await sceneAfter("/multicodex", "esc close", { columns });
		const storeOnce = async (name: string, sign: RegExp) => {
			await terminal.waitForText(sign, PATIENCE_MS);
			await store(`${name}-${columns}`, terminal);
		};
		await terminal.type("?");
		await storeOnce("typed-keys", /hide keys|\/ filter/);
		await terminal.press("escape");
		await terminal.waitForText(/\? keys/, PATIENCE_MS);
		await terminal.type("/per");
		await storeOnce("typed-filter", /> per[\s\S]*esc end it/);
		await terminal.type("zzz");
		await storeOnce("typed-no-match", /No account/);
		await terminal.press("escape");
		await terminal.waitForText(/\? keys/, PATIENCE_MS);
		await terminal.press("home");
		await terminal.type("x");
		await terminal.waitForText("█  Keep", PATIENCE_MS);
		await terminal.type("yes");
		await storeOnce("typed-question", /Letters do not/);
		await terminal.press("down");
		await terminal.waitForText("█  Remove", PATIENCE_MS);
		await terminal.press("enter");
		await storeOnce("typed-undo", /Removed work[\s\S]*u undo/);
		await terminal.type("v");
		await terminal.waitForText("New label", PATIENCE_MS);
		await terminal.type('"');
		await terminal.press("enter");
		await storeOnce("typed-label", /cannot/);
		await terminal.press("escape");
		await terminal.waitForScreen((screen) => !screen.includes("New label"), PATIENCE_MS);
		await terminal.submit("/multicodex use");
		await terminal.waitForText("esc cancel", PATIENCE_MS);
		await terminal.type("zzz");
		await storeOnce("typed-slip", /No account/);
	});
});

describe("a removal", () => {
	it.each(coreOf([80, 120, 40, 30]))("is confirmed as stored, %i columns wide", async (columns) => {
		const { terminal } = await sceneAfter("/multicodex remove work", /Remove work\?[\s\S]*Keep/, { columns });
		await store(`removal-${columns}`, terminal);
	});
});

/** Two accounts with a spent week and reset credits, and one without. */
const WITH_CREDITS: readonly Actor[] = [
	["work", 2],
	["team", 1],
].map(([name, resetCredits], at) => ({
	name: String(name),
	fiveHour: [27, HOUR_MS * (1 + at)],
	week: [100, HOUR_MS * 24 * (4 - 2 * at)],
	coolsForMs: HOUR_MS * 24 * (4 - 2 * at),
	told: { resetCredits },
	resetCredits: [13, 25].slice(0, Number(resetCredits)).map((days) => ({
		id: `credit-${days}`,
		expiresAt: NOW + HOUR_MS * 24 * days,
	})),
}));

/** The same from the backend, at the clock of the scene. */
function answerWithCredits({ codex }: Bench, { name, fiveHour, week, resetCredits = [] }: Actor): void {
	const window = (seconds: number, [used_percent = 0, inMs = 0]: Actor["week"] & object) => {
		return { used_percent, limit_window_seconds: seconds, reset_at: (NOW + inMs) / 1000 };
	};
	const rate_limit = {
		allowed: false,
		limit_reached: true,
		primary_window: window(18_000, fiveHour ?? [0, undefined]),
		secondary_window: window(604_800, week ?? [0, undefined]),
	};
	const rate_limit_reset_credits = { available_count: resetCredits.length };
	codex.account(name).usage(usageAnswers.change((payload) => ({ ...payload, rate_limit, rate_limit_reset_credits })));
	const credits = resetCredits.map(({ id, expiresAt }) => ({ id, expires_at: new Date(expiresAt).toISOString() }));
	codex.account(name).resetCredits.listScript.always(resetCreditAnswers.list(() => ({ credits })));
}

describe("reset credits", () => {
	it.each(coreOf([80, 120, 40, 30]))(
		"reset credits are shown and asked about as stored, %i columns wide",
		async (columns) => {
			const actors = [...WITH_CREDITS, ...FOUR.slice(1, 2)];
			const { bench, terminal } = await startScene({ actors, columns, rows: 40 });
			const storeOnce = async (name: string, sign: RegExp) => {
				await terminal.waitForText(sign, PATIENCE_MS);
				await store(`${name}-${columns}`, terminal);
			};
			await terminal.submit("/multicodex show");
			await storeOnce("credits-show", /redeem\s+team/);
			await terminal.submit("/multicodex");
			await terminal.waitForText("esc close", PATIENCE_MS);
			await terminal.press("home");
			await terminal.waitForText(/█. work/, PATIENCE_MS);
			await terminal.type("d");
			await storeOnce("credits-details", /work {2}\(1\/3\)[\s\S]*esc close/);
			await terminal.press("escape");
			await terminal.waitForScreen((screen) => !screen.includes("esc close"), PATIENCE_MS);
			for (const actor of WITH_CREDITS) answerWithCredits(bench, actor);
			bench.codex.account("personal").usage(answers.serverError(503));
			await terminal.submit("/multicodex redeem");
			await storeOnce("credits-choice", /█ {2}Keep the credit[\s\S]*team[\s\S]*esc cancel/);
			await terminal.press("escape");
			await terminal.waitForText(/Nothing\s+was\s+redeemed/, PATIENCE_MS);
			await terminal.submit("/multicodex redeem work");
			await storeOnce("credits-question", /█ {2}Keep the credit[\s\S]*esc cancel/);
		},
	);
});

/** A month of two accounts in two projects, one of which is refused now and then, and one that has left. */
const USED: SceneOptions["furnish"] = async ({ dir, id }) => {
	const days = Array.from({ length: 40 }, (_, agoDays) => agoDays);
	writeLedger(dir, [
		...days.map((agoDays) => ({
			account: id("work"),
			agoDays,
			requests: [31, 8, 0, 44, 52, 17, 25][agoDays % 7] ?? 0,
			cost: 0.9,
			refusals: agoDays % 3,
		})),
		...days.slice(2, 9).map((agoDays) => ({
			account: id("personal"),
			agoDays,
			requests: 3 + agoDays,
			cost: 0.004,
			project: "/home/me/a-folder-with-a-long-name",
		})),
		{ account: "3f9c0a7be21d", agoDays: 5, requests: 2, cost: 0, project: "/srv/web" },
	]);
};

describe("what was used", () => {
	it("is as stored at every width, of the week, of the month by project, and of an account today", async () => {
		const { terminal } = await sceneAfter("/multicodex usage", /total[\s\S]*esc close/, {
			columns: 120,
			furnish: USED,
		});
		await storeWidths("usage", terminal);
		await terminal.type("m");
		await terminal.waitForText("last 30 days, by account", PATIENCE_MS);
		await terminal.type("b");
		await terminal.waitForText("last 30 days, by project", PATIENCE_MS);
		await storeWidths("usage-projects", terminal);
		await terminal.press("escape");
		await terminal.waitForScreen((screen) => !screen.includes("esc close"), PATIENCE_MS);
		await terminal.submit("/multicodex");
		await terminal.waitForText("esc close", PATIENCE_MS);
		await terminal.type("d");
		await terminal.waitForText(/today +31 requests/, PATIENCE_MS);
		await storeWidths("usage-today", terminal);
	});

	wide("is as stored at every width when nothing was counted, by day, and before it is deleted", async () => {
		const { terminal } = await sceneAfter("/multicodex usage", /Nothing was used[\s\S]*esc close/, { columns: 120 });
		await storeWidths("usage-of-none", terminal);
		await terminal.press("escape");
		await terminal.waitForScreen((screen) => !screen.includes("esc close"), PATIENCE_MS);
		await terminal.submit("/multicodex usage --forget");
		await terminal.waitForText("Keep it", PATIENCE_MS);
		await storeWidths("usage-forget", terminal);
	});

	wide("what was used is as stored at every width by month, when more than fits is scrolled", async () => {
		const options = { columns: 120, rows: 16, furnish: USED };
		const { terminal } = await sceneAfter("/multicodex usage month --by day", /more, ↑↓[\s\S]*esc close/, options);
		await storeWidths("usage-days", terminal);
	});
});

describe("the footer", () => {
	it.each(WIDTHS)("the footer is as stored, $columns columns wide", async ({ columns }) => {
		const { terminal } = await startScene({ columns, rows: 12 });
		await terminal.waitForText(/work.*73%/, PATIENCE_MS);
		await store(`footer-${columns}`, terminal);
		if (columns === 80) await storePicture("footer", terminal);
	});

	wide.each<{ what: string; options: SceneOptions; sign: RegExp }>([
		{ what: "off", options: { settings: { "pi-multicodex": { enabled: false } } }, sign: /codex off/ },
		{
			what: "all-cooling",
			options: { actors: FOUR.slice(0, 3).map((actor) => ({ ...actor, coolsForMs: HOUR_MS })) },
			sign: /0\/3 ready/,
		},
		{ what: "used", options: { settings: { "pi-multicodex": { footer: { usage: "used" } } } }, sign: /27%/ },
	])("the footer is as stored: $what", async ({ what, options, sign }) => {
		const { terminal } = await startScene({ rows: 12, ...options });
		await terminal.waitForText(sign, PATIENCE_MS);
		await store(`footer-${what}`, terminal);
	});

	/** The last line at each width: the same terminal is made smaller. */
	wide.each<{ what: string; options: SceneOptions; lines: Readonly<Record<number, RegExp>> }>([
		{
			what: "stale",
			options: { actors: FOUR.map((actor) => ({ ...actor, usageAgeMs: HOUR_MS / 3 })) },
			lines: {
				120: /^codex work .*~73% left \(1h07m\) .*~92% left \(6d20h\) · 20m old · 2\/4 ready$/,
				80: /^codex work · 5h ~73% left \(1h07m\) · week ~92% left \(6d20h\) · 2\/4 ready$/,
				40: /^work · 5h ~73% · wk ~92% · 2\/4$/,
				30: /^work · 5h ~73% · wk ~92% · 2\/4$/,
			},
		},
		{
			what: "no-limit",
			options: { actors: [{ name: "seat", plan: "team", hasNoLimit: true }] },
			lines: {
				120: /^codex seat \(team\) · no limit reported · 1 of 1 ready$/,
				80: /^codex seat \(team\) · no limit reported · 1 of 1 ready$/,
				40: /^codex seat · no limit · 1\/1$/,
				30: /^seat · no limit · 1\/1$/,
			},
		},
		{
			what: "new-session",
			options: { isNew: true },
			lines: {
				120: /^codex personal \(\w+\) · 5h ━{10} 100% left · week ━{6}─{4} 58% left \(3d04h\) · 2 of 4 ready$/,
				80: /^codex personal · 5h 100% left · week 58% left \(3d04h\) · 2\/4 ready$/,
				40: /^personal · 5h 100% · wk 58% · 2\/4$/,
				30: /^personal · 5h 100% · wk 58%$/,
			},
		},
	])("the footer is as stored at every width: $what", async ({ what, options, lines }) => {
		const { terminal } = await startScene({ rows: 12, columns: 120, ...options });
		for (const columns of [120, 80, 40, 30]) {
			terminal.resize(columns);
			await terminal.waitForScreen((screen) => {
				const last = screen.split("\n").at(-1) ?? "";
				return lines[columns]?.test(last) === true && isDrawnFor(columns, screen);
			}, PATIENCE_MS);
			await store(`footer-${what}-${columns}`, terminal);
		}
	});
});

describe("what a command says", () => {
	wide.each(
		[
			["show", "ready ·"],
			["why", "serves next"],
			["help", "this list"],
		].flatMap(([command = "", sign = ""]) => [120, 80, 40, 30].map((columns) => ({ command, sign, columns }))),
	)("what a command says is as stored: $command, $columns columns wide", async ({ command, sign, columns }) => {
		const scene = await startScene({ rows: 80, columns });
		await scene.terminal.submit(`/multicodex ${command}`);
		await scene.terminal.waitForText(new RegExp(sign.replaceAll(" ", "\\s+")), PATIENCE_MS);
		await store(`said-${command}-${columns}`, scene.terminal);
	});

	wide.each([120, 80, 40, 30])("the log of decisions is as stored, %i columns wide", async (columns) => {
		const { terminal } = await startScene({ rows: 40, columns, actors: MIXED, furnish });
		await terminal.submit("/multicodex log");
		await terminal.waitForText(/acc-02\s+to\s+acc-01/, PATIENCE_MS);
		await store(`said-log-${columns}`, terminal);
	});
});

/** All that is there to see of what a person types, right or wrong; one pi a width. */
wide.each([120, 80, 40, 30])("the words for what is typed are as stored, %i columns wide", async (columns) => {
	const { terminal } = await startScene({ columns, rows: 60 });
	const said = async (command: string, name: string, sign: RegExp) => {
		await terminal.submit(`/multicodex ${command}`);
		await terminal.waitForText(sign, PATIENCE_MS);
		await store(`said-${name}-${columns}`, terminal);
	};
	await said("show --detail", "detail", /last used/);
	await said("status --compact", "compact", /^ *→ work +ready\s+-/m);
	await said("show --jsno", "mistyped-option", /mean\s+--json/);
	await said("use wrok", "mistyped-account", /mean\s+work/);
	await said("rotation maxWait=1.5h", "rotation-changed", /was\s+60s/);
	await terminal.submit("/multicodex rotation");
	await terminal.waitForText("maxWait*", PATIENCE_MS);
	await store(`panel-rotation-changed-${columns}`, terminal);
});

/** Two spent accounts: Luna Reserve of one is open, that of the other was refused. */
const RESERVED: readonly Actor[] = ["work", "side"].map((name, at) => ({
	name,
	week: [100, 52 * HOUR_MS],
	coolsForMs: 52 * HOUR_MS,
	told: {
		reserveModel: {
			limitId: "base_model_inference",
			wireModel: "gpt-reserve",
			visibleModel: "gpt-6-luna",
			windows: [{ usedPercent: 60 + at, windowMinutes: 10_080, resetsAt: NOW + 90 * HOUR_MS }],
		},
	},
	...(at === 1 && { refusedLimit: "base_model_inference" }),
}));

wide.each([120, 80, 40, 30])("all about Luna Reserve is as stored, %i columns wide", async (columns) => {
	const { terminal } = await startScene({ columns, rows: 50, actors: RESERVED });
	await terminal.submit("/multicodex show --detail");
	await terminal.waitForText(/was\s+refused/, PATIENCE_MS);
	await store(`said-reserve-${columns}`, terminal);
});

describe("the chain", () => {
	const settings = {
		defaultModel: "pool",
		"pi-multicodex": {
			beyond: { chain: ["anthropic/claude-opus-5-5", "openai-codex/gpt-6-luna", "groq/llama-3.3-70b-versatile"] },
		},
	};
	const options = { host: NEWEST_HOST, settings, columns: 120, env: () => ({ ANTHROPIC_API_KEY: "key" }) } as const;

	it("the chain is as stored at every width, and so is the list of models to add", async () => {
		const { terminal } = await sceneAfter("/multicodex chain", "esc close", options);
		await storeWidths("chain", terminal);
		await terminal.type("a");
		await terminal.waitForText("Add to the chain", PATIENCE_MS);
		await terminal.type("haiku");
		await terminal.waitForText(/^█ .*haiku/m, PATIENCE_MS);
		await storeWidths("chain-add", terminal);
	});

	wide.each([120, 80, 40, 30])("names the model that serves in the footer, %i columns wide", async (columns) => {
		const actors = FOUR.map((actor) => ({ ...actor, coolsForMs: HOUR_MS, fiveHour: [100, HOUR_MS] as const }));
		const { terminal } = await startScene({ ...options, columns, actors, isNew: true });
		await terminal.waitForText(/claude-opus/, PATIENCE_MS);
		await store(`chain-footer-${columns}`, terminal);
	});
});

it("the pictures are taken, each that is named", () => {
	expect([...taken].sort()).toEqual(Object.keys(PICTURES).sort());
});

/** What this machine knows of a pool whose database is at `port`: two of its accounts, and one other machine. */
async function furnishPool({ dir, codex, id }: Bench, port: number): Promise<void> {
	const mirror = openMirror(dir.path("codex-pool.json"), expect.fail);
	const code = newKeeperCode(`postgres://pool:secret@127.0.0.1:${port}/pi`);
	await mirror.enter(printJoinCode(code), "laptop", "pi", false);
	const rows = ["work", "side"].map((name) => {
		const { access } = codex.grant(name, { expiresInMs: NOW + 4.5 * HOUR_MS - Date.now() });
		const { accountId, email, userId, plan } = codex.account(name);
		const credential = { access, refresh: `shared:${name}`, expiresAt: NOW + 4.5 * HOUR_MS };
		const known = {
			id: id(name),
			label: name,
			email,
			userId,
			workspaceId: aWorkspaceId(accountId),
			plan,
			credential,
			source: "login",
		};
		const state = { linked: false, enabled: true, disabledReason: undefined, needsLogin: undefined };
		const account = { ...known, ...state, shared: true, addedAt: NOW - 30 * 24 * HOUR_MS };
		return { version: 1, tokenHash: name, account };
	});
	await mirror.take(rows);
	const presence = { process: "p", machine: "desk", sessions: { [id("work")]: 2 }, seenAt: NOW - 40_000 };
	mirror.noteLook({ at: NOW - 30_000, aheadMs: 0, listens: true, presences: [presence] }, "pi");
	await mirror.flush();
}

/** The port of a database that accepts, and never answers: what is on the screen is what was known before. */
async function silentPort(): Promise<number> {
	const silent = createServer();
	await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
	onTestFinished(() => void silent.close());
	const address = silent.address();
	return typeof address === "object" && address ? address.port : 0;
}

/** Waits for a database that never answers, as long as the terminal shows that. */
async function storeWait({ bench, terminal }: Scene, columns: number): Promise<void> {
	const code = newKeeperCode(`postgres://pool:secret@127.0.0.1:${await silentPort()}/pi`);
	writeFileSync(join(bench.dir.cwd, "code.txt"), printJoinCode(code), { mode: 0o600 });
	await terminal.submit("/multicodex join @code.txt");
	await terminal.waitForText("esc stop waiting", PATIENCE_MS);
	await store(`share-wait-${columns}`, terminal);
	await terminal.press("escape");
	await terminal.waitForText(/Stopped before the\s+database/, PATIENCE_MS);
}

const IN_POOL = { "pi-multicodex": { pool: "pi" } };

describe("a pool that several machines share", () => {
	it("marks its accounts, names its machines, and asks before anything is given up", async () => {
		const port = await silentPort();
		const furnish = (bench: Bench) => furnishPool(bench, port);
		const options = { settings: IN_POOL, columns: 120, furnish };
		const { terminal } = await sceneAfter("/multicodex", "esc close", options);
		await storeWidths("shared-dashboard", terminal);
		await terminal.type("d");
		await terminal.waitForText(/d list/, PATIENCE_MS);
		await storeWidths("shared-details", terminal);
		await terminal.press("escape");
		for (const [command, sign, name] of [
			["/multicodex leave --take side", "Leave the shared pool pi?", "shared-leave"],
			["/multicodex share --rotate", "Make new keys", "shared-rotate"],
			["/multicodex remove work", "Remove work?", "shared-remove"],
		] as const) {
			await terminal.submit(command);
			await terminal.waitForText(sign, PATIENCE_MS);
			await storeWidths(name, terminal);
			await terminal.press("escape");
		}
	});

	it("says on a phone that it is away: once, and with a mark in the footer", async () => {
		const furnish = (bench: Bench) => furnishPool(bench, 1);
		const { terminal } = await startScene({ settings: IN_POOL, columns: 40, furnish });
		await terminal.waitForText(/pool away/, PATIENCE_MS);
		await terminal.submit("/multicodex share");
		await terminal.waitForText(/only here/, PATIENCE_MS);
		await store("shared-away-40", terminal);
	});

	it("asks which accounts to move in, and for a code that it does not show", async () => {
		const scene = await startScene({ columns: 120 });
		const { terminal } = scene;
		await terminal.submit("/multicodex share postgres://pool:secret@127.0.0.1:1/pi");
		await terminal.waitForText("Make the shared pool pi?", PATIENCE_MS);
		await storeWidths("share-choice", terminal);
		await terminal.press("escape");
		await terminal.waitForText("Nothing was shared", PATIENCE_MS);
		await terminal.submit("/multicodex join");
		await terminal.waitForText("Join code of the shared pool", PATIENCE_MS);
		await terminal.type(`\x1b[200~pi-pool-keeper-${"x".repeat(300)}\x1b[201~`);
		await terminal.waitForText("315 characters, not shown", PATIENCE_MS);
		await storeWidths("join-field", terminal);
		await terminal.press("escape");
		await terminal.waitForText("No pool was joined", PATIENCE_MS);
		await storeWait(scene, 120);
	});

	wide.each([80, 40, 30])("waits for its database as stored, %s columns wide, until Esc", async (columns) => {
		await storeWait(await startScene({ columns }), columns);
	});
});
