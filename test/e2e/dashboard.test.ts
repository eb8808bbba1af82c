import { existsSync } from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames, NEWEST_HOST } from "../support/hosts.ts";
import type { Terminal } from "../support/terminal.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { storedLabels } from "./credentials-support.ts";
import { openTerminal, PATIENCE_MS, SIGN_IN_SCREEN } from "./sign-in-support.ts";
import { type Bench, createBench, until } from "./support.ts";

vi.setConfig({ testTimeout: 240_000 });

const HOUR_MS = 3_600_000;
const THREE = [
	{ name: "work", quota: { fiveHour: { usedPercent: 27, resetsInMs: 1.2 * HOUR_MS } } },
	{ name: "personal", plan: "pro", quota: { fiveHour: { usedPercent: 61, resetsInMs: 2.5 * HOUR_MS } } },
	{ name: "side", quota: { fiveHour: { usedPercent: 95, resetsInMs: 4 * HOUR_MS } } },
];
const CLOSE = "esc close";
const CANCEL = "esc cancel";

const open = async (terminal: Terminal, command = "/multicodex", sign = CLOSE) => {
	await terminal.submit(command);
	await terminal.waitForText(sign, PATIENCE_MS);
};
/** Answers the question before a removal. */
const remove = async (terminal: Terminal, label: string) => {
	await terminal.waitForText(`Remove ${label}?`, PATIENCE_MS);
	await terminal.press("down");
	await terminal.waitForText("█  Remove", PATIENCE_MS);
	await terminal.press("enter");
};
/** The line of the highlighted row, once it is that of `label`. */
const selected = async (terminal: Terminal, label: string) => {
	await terminal.waitForText(new RegExp(`^█[→ ] ${label}\\b`, "m"), PATIENCE_MS);
};
const pinIs = (bench: Bench, name: string | undefined) =>
	until(`the pin of ${name}`, () => bench.pin() === (name === undefined ? null : bench.id(name)));
const many = (count: number) => Array.from({ length: count }, (_, at) => `acc-${String(at + 1).padStart(2, "0")}`);

describe("what is typed after /multicodex", () => {
	it.each(
		coreOf([{ host: NEWEST_HOST }, ...hostNames.filter((host) => host !== NEWEST_HOST).map((host) => ({ host }))]),
	)("is run by Enter if it is whole, and completed by it if it is not: pi $host", async ({ host }) => {
		const bench = await createBench({ host, accounts: ["a", "b"], rows: { a: { label: "home work" } } });
		const terminal = bench.terminal([], { cols: 80, rows: 30 });
		await terminal.ready(PATIENCE_MS);
		await terminal.submit("/multicodex why");
		await terminal.waitForText("serves next", PATIENCE_MS);
		await terminal.type("/multicodex use wo");
		await terminal.waitForText("→ home work", PATIENCE_MS);
		await terminal.press("enter");
		await terminal.waitForText('/multicodex use "home work"', PATIENCE_MS);
		await terminal.press("enter");
		await until("the pin", () => bench.pin() === bench.id("a"));
	});
});

describe("the dashboard in a terminal", () => {
	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"shows every account, pins, unpins and removes one, and gives the editor back: pi $host",
		async ({ host }) => {
			const bench = await createBench({ host, accounts: THREE });
			const terminal = bench.terminal([], { cols: 80, rows: 30 });
			await terminal.ready(PATIENCE_MS);
			await open(terminal);
			await terminal.waitForText(/work +plus +█{7}░░░ {2}73% {2}1h\d\dm/, PATIENCE_MS);
			await terminal.waitForText(/MultiCodex {2}3 of 3 ready · soonest-reset · usage \d+s ago/, PATIENCE_MS);

			await terminal.press("down");
			await selected(terminal, "personal");
			await terminal.press("enter");
			await pinIs(bench, "personal");
			await terminal.waitForText(/pinned to personal/, PATIENCE_MS);
			await terminal.type("a");
			await pinIs(bench, undefined);
			await terminal.waitForText(/ready · soonest-reset/, PATIENCE_MS);

			await terminal.type("x");
			await remove(terminal, "personal");
			await selected(terminal, "side");
			expect(storedLabels(bench)).toEqual(["work", "side"]);
			await terminal.waitForText("Removed personal. u puts it back.", PATIENCE_MS);
			await terminal.type("u");
			await selected(terminal, "personal");
			expect(storedLabels(bench)).toContain("personal");

			await terminal.press("escape");
			await terminal.waitForScreen((screen) => !screen.includes(CLOSE), PATIENCE_MS);
			await terminal.submit("say hi");
			await terminal.waitForText(/OK from \w+ #1/, PATIENCE_MS);
		},
	);

	it("is on the screen while no answer about usage comes", async () => {
		const bench = await createBench({ accounts: many(12), usage: answers.hang() });
		const terminal = bench.terminal([], { cols: 80, rows: 40 });
		await terminal.ready(PATIENCE_MS);
		await open(terminal);
		for (const label of many(12)) expect(terminal.screen()).toContain(label);
		expect(terminal.screen()).toMatch(/usage unknown|asking for usage/);
		// Not one question has been answered by then.
		expect(bench.codex.usageRequests().filter(({ endedAt }) => endedAt !== undefined)).toEqual([]);
		await terminal.press("escape");
		await terminal.waitForScreen((screen) => !screen.includes(CLOSE), PATIENCE_MS);
	});

	it.each(
		coreOf(
			hostNames.map((host) => ({ host })),
			({ host }) => host === "1.5.2",
		),
	)(
		"takes a command that is typed into it for text: no account changes, no pin, nothing is sent: pi $host",
		async ({ host }) => {
			const bench = await createBench({ host, accounts: THREE });
			const terminal = await openTerminal(bench, { cols: 80, rows: 30 });
			const before = bench.dir.read("codex-accounts.json");
			await open(terminal);
			for (const text of ["/multicodex use side", "xvqq personal", "remove zz e v"]) {
				await terminal.submit(text);
				await terminal.waitForText(/No account matches/, PATIENCE_MS);
				await terminal.press("escape");
				await selected(terminal, "\\w+");
			}
			// One that does fit is what the list then shows, and no more.
			await terminal.type("side\r\r");
			await selected(terminal, "side");
			await terminal.press("escape", "escape");
			await terminal.waitForScreen((screen) => !screen.includes("MultiCodex"), PATIENCE_MS);
			expect([bench.dir.read("codex-accounts.json"), bench.pin(), bench.asked()]).toEqual([before, null, []]);
		},
	);

	it("keeps the highlighted account in sight while the terminal is resized", async () => {
		const bench = await createBench({ accounts: many(12), usage: answers.serverError(503) });
		const terminal = bench.terminal([], { cols: 100, rows: 24 });
		await terminal.ready(PATIENCE_MS);
		await open(terminal);
		await terminal.waitForText(/fetch failed/, PATIENCE_MS);
		for (let at = 0; at < 10; at += 1) await terminal.press("down");
		await selected(terminal, "acc-11");
		await terminal.waitForText("(11/12)", PATIENCE_MS);
		for (const [cols, rows] of [
			[40, 24],
			[23, 12],
			[120, 40],
			[80, 16],
		] as const) {
			terminal.resize(cols, rows);
			await selected(terminal, "acc-11");
			const isWhole = (screen: string) => screen.includes("MultiCodex") && screen.includes("close");
			await terminal.waitForScreen(isWhole, PATIENCE_MS);
		}
		await terminal.press("escape");
		await terminal.waitForScreen((screen) => !screen.includes("MultiCodex"), PATIENCE_MS);
	});

	it("an empty pool offers a sign-in, and the editor is back when that is cancelled", async () => {
		const bench = await createBench({ accounts: [], strangers: ["first"] });
		const terminal = await openTerminal(bench, { cols: 120 });
		await open(terminal);
		await terminal.waitForText("No Codex account is signed in.", PATIENCE_MS);
		await terminal.type("i");
		await terminal.waitForText(/no other tool on this machine keeps a Codex sign-in/i, PATIENCE_MS);
		await terminal.type("n");
		await terminal.waitForText(/http[\s\S]*esc cancel/, PATIENCE_MS);
		await terminal.press("escape");
		await terminal.waitForText("Nothing was changed.", PATIENCE_MS);
		expect(terminal.screen()).not.toMatch(`${SIGN_IN_SCREEN}|${CLOSE}`);
	});

	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"drops what is typed ahead of a question, which the editor would send to the model: pi $host",
		async ({ host }) => {
			const bench = await createBench({ host, accounts: THREE });
			const terminal = await openTerminal(bench, { cols: 80, rows: 30 });
			await open(terminal);
			await terminal.type("x");
			await terminal.waitForText("Remove work?", PATIENCE_MS);
			// As a slow connection brings it: all at once.
			await terminal.type("yes, remove it\r\r");
			await terminal.waitForText("Letters do not answer.", PATIENCE_MS);
			await terminal.press("escape");
			await terminal.waitForText("Nothing was removed.", PATIENCE_MS);
			expect(storedLabels(bench)).toEqual(["work", "personal", "side"]);
			await terminal.submit("say hi");
			await terminal.waitForText(/OK from \w+ #1/, PATIENCE_MS);
			await until("the request", () => bench.asked().length === 1);
			expect(JSON.stringify(bench.codex.responsesRequests()[0]?.body)).toMatch(/"say hi"/);
		},
	);

	wide("shows labels in any writing on any width", async () => {
		const labels = ["café", "職場のアカウント", "👩‍👩‍👧 home", "Ünïcödé"];
		const names = ["a", "b", "c", "d"];
		const rows = Object.fromEntries(names.map((name, at) => [name, { label: labels[at] }]));
		const bench = await createBench({ accounts: names, rows });
		const terminal = bench.terminal([], { cols: 120, rows: 30 });
		await terminal.ready(PATIENCE_MS);
		await open(terminal);
		for (const cols of [120, 80, 40, 25]) {
			terminal.resize(cols);
			await terminal.waitForText(/café/, PATIENCE_MS);
			await terminal.waitForText("職場の", PATIENCE_MS);
		}
	});
});

/** Rows of the dashboard, by label. */
const backgroundOf = (terminal: Terminal, label: string) =>
	terminal
		.cells()
		.find((row) =>
			row
				.map(({ text }) => text)
				.join("")
				.includes(label),
		)
		?.at(4)?.background;

/** Another extension: does what a file `go-<what>` asks for while a panel stands, and says so in `done-<what>`. */
function later(bench: Bench): string {
	bench.dir.write(
		"later.ts",
		`import { existsSync, writeFileSync } from "node:fs";
		const path = (name) => ${JSON.stringify(bench.dir.path(""))} + "/" + name;
		export default function later(pi) {
			pi.registerCommand("later", { handler: async (_args, ctx) => {
				const codex = ctx.modelRegistry.getAll().filter(({ provider }) => provider === "openai-codex");
				const acts = new Map([
					["light", () => ctx.ui.setTheme("light")],
					["dark", () => ctx.ui.setTheme("dark")],
					["model", () => pi.setModel(codex.find(({ id }) => id !== ctx.model.id))],
					["new", () => ctx.newSession()],
				]);
				setInterval(async () => {
					for (const [name, act] of acts) {
						if (!existsSync(path("go-" + name))) continue;
						acts.delete(name);
						await act();
						writeFileSync(path("done-" + name), "");
					}
				}, 50).unref();
			} });
		}`,
	);
	return bench.dir.path("later.ts");
}

/** A pi with that extension at work, and `act`, which has it do one of its things. */
async function openBesideLater(bench: Bench) {
	const terminal = bench.terminal(["-e", later(bench)], { cols: 80, rows: 30, env: { NO_COLOR: undefined } });
	await terminal.ready(PATIENCE_MS);
	await terminal.submit("/later");
	const act = async (what: string) => {
		bench.dir.write(`go-${what}`, "");
		await until(what, () => existsSync(bench.dir.path(`done-${what}`)));
	};
	return { terminal, act };
}

describe("the dashboard while it stands open", () => {
	it("shows a rotation and a request of another pi without a key", async () => {
		const settings = { transport: "sse", "pi-multicodex": { rotation: { policy: "in-order" } } };
		const bench = await createBench({ accounts: THREE, settings });
		bench.codex.account("work").always(answers.usageLimit({}));
		bench.codex.account("personal").always(answers.hangAfterStart("begun"));
		const terminal = await openTerminal(bench, { cols: 100, rows: 30 });
		await open(terminal);
		await terminal.waitForText(/work .* ready$/m, PATIENCE_MS);
		const told = terminal.typed();
		bench.spawn(["-p", "say hi"]);
		await terminal.waitForText(/work .*out of quota$/m, PATIENCE_MS);
		await terminal.waitForText(/→ personal .*ready, in use$/m, PATIENCE_MS);
		await terminal.waitForText(/last rotation \d\d:\d\d {2}work to personal {2}\(/, PATIENCE_MS);
		expect([terminal.typed(), bench.asked()]).toEqual([told, ["work", "personal"]]);
		// The one that was refused is asked once more, by the process that was refused.
		const asked = (name: string) => bench.codex.usageRequests(name).length;
		expect([asked("personal"), asked("side")]).toEqual([1, 1]);
		expect(asked("work")).toBeLessThanOrEqual(2);
	});

	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"keeps its row in every theme, survives another model, and ends with its session: pi $host",
		async ({ host }) => {
			const bench = await createBench({ host, accounts: THREE, settings: { theme: "dark" } });
			const { terminal, act } = await openBesideLater(bench);
			await open(terminal);
			await terminal.press("down");
			await selected(terminal, "personal");
			const dark = backgroundOf(terminal, "personal ");
			expect([dark, backgroundOf(terminal, "side ")]).toEqual([expect.stringMatching(/^#/), undefined]);
			await act("light");
			await until("the light theme", () => ![dark, undefined].includes(backgroundOf(terminal, "personal ")));
			await act("dark");
			await until("the dark theme", () => backgroundOf(terminal, "personal ") === dark);
			await act("model");
			await terminal.press("down");
			await selected(terminal, "side");
			await act("new");
			await terminal.waitForScreen((screen) => !screen.includes("MultiCodex"), PATIENCE_MS);
			await terminal.submit("say hi");
			await terminal.waitForText(/OK from \w+ #1/, PATIENCE_MS);
		},
	);
});

describe("a list while it stands open", () => {
	const lists = [
		{ list: "use", sign: CANCEL, rows: ["personal", "side"] },
		{ list: "rotation", sign: "Esc to close", rows: ["maxWait", "reserve.5h"] },
	] as const;
	/** Presses the arrow until that row is highlighted. */
	const moveTo = async (terminal: Terminal, row: string) => {
		const isThere = (screen: string) => new RegExp(`^█[→ ] ?${row}\\b`, "m").test(screen);
		for (let presses = 0; presses < 8 && !isThere(terminal.screen()); presses += 1) {
			const before = terminal.screen();
			await terminal.press("down");
			await terminal.waitForScreen((screen) => screen !== before, PATIENCE_MS);
		}
		await terminal.waitForScreen(isThere, PATIENCE_MS);
	};
	wide.each(lists.flatMap((each) => hostNames.map((host) => ({ ...each, host }))))(
		"keeps its row in every theme, survives another model, and ends with its session: $list, pi $host",
		async ({ list, sign, rows: [row, next], host }) => {
			const bench = await createBench({ host, accounts: THREE, settings: { theme: "dark" } });
			const { terminal, act } = await openBesideLater(bench);
			await open(terminal, `/multicodex ${list}`, sign);
			const background = () => backgroundOf(terminal, ` ${row} `);
			await moveTo(terminal, row);
			const dark = background();
			expect([dark, backgroundOf(terminal, ` ${next} `)]).toEqual([expect.stringMatching(/^#/), undefined]);
			await act("light");
			await until("the light theme", () => ![dark, undefined].includes(background()));
			await act("dark");
			await until("the dark theme", () => background() === dark);
			await act("model");
			await moveTo(terminal, next);
			await act("new");
			await terminal.waitForScreen((screen) => !screen.includes(sign), PATIENCE_MS);
			await terminal.submit("say hi");
			await terminal.waitForText(/OK from \w+ #1/, PATIENCE_MS);
		},
	);
});

describe("the picker in a terminal", () => {
	it("filters, pins what is highlighted, and removes with Backspace after a question", async () => {
		const bench = await createBench({ accounts: THREE });
		const terminal = bench.terminal([], { cols: 80, rows: 30 });
		await terminal.ready(PATIENCE_MS);
		await open(terminal, "/multicodex use", CANCEL);
		await terminal.type("per");
		await selected(terminal, "personal");
		await terminal.waitForText("(1/3)", PATIENCE_MS);
		await terminal.press("enter");
		await pinIs(bench, "personal");
		await terminal.waitForText("using personal in all sessions", PATIENCE_MS);

		await open(terminal, "/multicodex use", CANCEL);
		await terminal.type("s");
		// One takes the letter back, the other asks.
		await terminal.press("backspace");
		await terminal.waitForText(/\/5\)/, PATIENCE_MS);
		await selected(terminal, "\\w+");
		const label = /█[→ ] (\w+)/.exec(terminal.screen())?.[1] ?? "";
		await terminal.press("backspace");
		await remove(terminal, label);
		await terminal.waitForText(/\/4\)/, PATIENCE_MS);
		expect(storedLabels(bench)).not.toContain(label);
		await terminal.press("escape");
		await terminal.waitForScreen((screen) => !screen.includes(CANCEL), PATIENCE_MS);
	});

	it("starts nothing by a slip of the keys", async () => {
		const bench = await createBench({ accounts: THREE });
		const terminal = await openTerminal(bench, { cols: 80, rows: 30 });
		await open(terminal, "/multicodex use", CANCEL);
		await terminal.submit("zzz");
		await terminal.waitForText('No account matches "zzz".', PATIENCE_MS);
		await terminal.press("enter", "escape");
		await terminal.waitForScreen((screen) => !screen.includes(CANCEL), PATIENCE_MS);
		expect([bench.pin(), terminal.screen()]).toEqual([null, expect.not.stringContaining(SIGN_IN_SCREEN)]);
	});

	wide("signs in by its last row, and gives the editor back when that is cancelled", async () => {
		const bench = await createBench({ accounts: ["a"], strangers: ["new"] });
		const terminal = await openTerminal(bench);
		await open(terminal, "/multicodex use", CANCEL);
		await terminal.press("up");
		await selected(terminal, "add");
		await terminal.press("enter");
		await terminal.waitForText(/http[\s\S]*esc cancel/, PATIENCE_MS);
		await terminal.press("escape");
		await terminal.waitForText("Nothing was changed.", PATIENCE_MS);
		await terminal.submit("say hi");
		await terminal.waitForText(/OK from a #1/, PATIENCE_MS);
		expect(terminal.screen()).not.toContain("Use Codex account");
	});
});

describe("/multicodex over RPC", () => {
	it.each(coreOf(hostNames.map((host) => ({ host }))))(
		"is a menu that asks for what a subcommand needs: pi $host",
		async ({ host }) => {
			const bench = await createBench({ host, accounts: ["a", "b"], usage: answers.serverError(503) });
			const rpc = bench.rpc();
			const asked: string[] = [];
			rpc.answerDialogs(({ method, title, options }) => {
				asked.push(`${method}: ${title}`);
				return options.find((option) => option.startsWith(asked.length === 1 ? "disable" : "b"));
			});
			await rpc.send("/multicodex");
			expect(asked).toEqual([
				"select: MultiCodex: 2 of 2 accounts ready",
				"select: disable: turn an account off: keep it, but do not use it",
			]);
			expect(rpc.notifications.at(-1)?.message).toMatch(/b is off/);
			expect(bench.stored("b").enabled).toBe(false);
			expect(rpc.strayLines).toEqual([]);
		},
	);
});
