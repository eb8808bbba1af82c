import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { LOGIN_CANCELLED, SignInError } from "../../../../src/features/sign-in/rules.ts";
import { COMMANDS } from "../../../support/commands.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, NOW, settled } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { aGrant, type CommandHarness, createCommandHarness, idOf } from "../../command-harness.ts";
import { aContext } from "../../fake-pi.ts";

let cli: CommandHarness;
let open: Promise<void>;

const work = anAccount("work", { id: anId("3f9c0a7be21d") });
const home = anAccount("home", { id: anId("aaaaaaaaaaaa") });
const out = anAccount("out", { id: anId("bbbbbbbbbbbb"), needsLogin: { reason: "revoked", at: NOW } });
const [DOWN, ENTER, ESCAPE, BACKSPACE] = ["\x1b[B", "\r", "\x1b", "\x7f"] as const;

/** The list of commands is loaded when the first one is given: a few microtasks in a test. */
const loaded = async () => {
	for (let tasks = 0; tasks < 100; tasks += 1) await Promise.resolve();
};

async function begin(rows: readonly Account[] = [work, home, out], args = ""): Promise<void> {
	cli = createCommandHarness(rows);
	open = cli.command.handler(args, cli.screen.ctx);
	await loaded();
}
beforeEach(() => {
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
	return begin();
});
afterEach(() => {
	vi.useRealTimers();
});

// As wide as the names of colours need, which the theme of the tests writes out.
const text = () =>
	(cli.screen.panel?.render(300) ?? [])
		.map((line) => stripVTControlCharacters(line).replaceAll(/<\w+>/g, "").trimEnd())
		.join("\n");
const selected = () => text().match(/^█[→ ] (\S+)/m)?.[1];
const press = async (...typed: readonly string[]) => {
	for (const key of typed) {
		cli.screen.panel?.handleInput?.(key);
		await vi.advanceTimersByTimeAsync(30);
	}
	// A letter is a key once no other has followed it.
	if (/^[a-z?]$/.test(typed.at(-1) ?? "")) await vi.advanceTimersByTimeAsync(170);
	await settled();
};
const labels = () => cli.harness.pool.accounts().map(({ label }) => label);
const pinned = () => cli.harness.pool.pinned();
const notices = () => cli.screen.notices;
/** Waits until the panel that a dialog has pushed aside is back. */
const back = () => expect.poll(() => (text().includes("enter answer") ? "a question" : text())).toMatch(/^█[→ ] /m);

describe("/multicodex without a word", () => {
	it("begins on the account that serves next: the pinned one, else the session's", async () => {
		const begun = async (change: (harness: CommandHarness["harness"]) => unknown) => {
			cli = createCommandHarness([work, home, out]);
			await change(cli.harness);
			open = cli.command.handler("", cli.screen.ctx);
			await loaded();
			return selected();
		};
		expect(await begun(({ pool }) => pool.pin(home.id))).toBe("home");
		expect(await begun(({ affinity }) => affinity.begin(aSessionId("s"), home.id, NOW))).toBe("home");
		const both = ({ pool, affinity }: CommandHarness["harness"]) => {
			affinity.begin(aSessionId("s"), work.id, NOW);
			return pool.pin(home.id);
		};
		expect(await begun(both)).toBe("home");
	});

	it("paints what is known before it looks at pi's login, and before it asks for usage", async () => {
		let looked = 0;
		cli = createCommandHarness([work]);
		cli.refreshStale = () => {
			looked += 1;
			return new Promise(() => undefined);
		};
		open = cli.command.handler("", cli.screen.ctx);
		await loaded();
		// Without a macrotask between: neither a file nor the network has had a chance to answer.
		expect(text()).toMatch(/→ work/);
		expect(looked).toBe(0);
		await expect.poll(() => looked).toBe(1);
		expect(cli.syncs).toBe(1);
		expect(text()).toMatch(/asking for usage/);
		await press(ESCAPE);
		await open;
	});

	it("has the lists of reset credits asked for once the usage is known", async () => {
		let answer: () => void = () => undefined;
		cli = createCommandHarness([work]);
		cli.refreshStale = () =>
			new Promise((resolve) => {
				answer = resolve;
			});
		open = cli.command.handler("", cli.screen.ctx);
		await expect.poll(() => text()).toMatch(/asking for usage/);
		expect(cli.listLooks).toBe(0);
		answer();
		await expect.poll(() => cli.listLooks).toBe(1);
		await press(ESCAPE);
		await open;
	});

	it("pins, unpins, switches off and on in place, and tells what came of it", async () => {
		await press(DOWN, ENTER);
		expect([pinned(), notices().at(-1)]).toEqual([home.id, expect.stringMatching(/^info: Codex: using home /)]);
		expect(text()).toMatch(/pinned to home/);
		await press("a");
		expect([pinned(), notices().at(-1)]).toEqual([undefined, expect.stringMatching(/chosen automatically/)]);
		await press("e");
		expect(text()).toMatch(/home .*off$/m);
		await press("e");
		expect(text()).toMatch(/home .*ready/);
		expect(selected()).toBe("home");
	});

	it("makes room for the question before a pin below a cap, and is back afterwards", async () => {
		const windows = [{ usedPercent: 90, windowMinutes: 10_080, resetsAt: NOW + DAY_MS }];
		cli.harness.pool.noteUsage(home.id, aSnapshot({ windows, capturedAt: NOW }));
		cli.harness.settings = { ...cli.harness.settings, caps: { [home.id]: { "7d": 20 } } };
		cli.screen.consent = false;
		await press(DOWN, ENTER);
		await expect.poll(() => cli.screen.questions).toEqual(["Use home below its cap?"]);
		await expect.poll(() => text()).toMatch(/home .*capped/);
		expect(pinned()).toBeUndefined();
	});

	it("tells why an account cannot be used, in the words of the command", async () => {
		await press(DOWN, DOWN, ENTER);
		expect(notices()).toEqual([expect.stringMatching(/^error: .*out cannot be used: .* revoked/)]);
		expect(pinned()).toBeUndefined();
	});

	it("asks for usage again, and says only what went wrong", async () => {
		for (const { id } of [work, home]) cli.usage.set(id, () => aSnapshot({ source: "api" }));
		await press("r");
		expect([cli.askedUsage, notices()]).toEqual([[work.id, home.id], []]);
		for (const { id } of [work, home]) cli.usage.set(id, () => "HTTP 503");
		await press("r");
		expect(notices().at(-1)).toMatch(/^error: work {2}HTTP 503/);
	});

	it("makes room for the question before a removal, and is back on the nearest row", async () => {
		await press(DOWN, "x");
		await back();
		expect([cli.screen.questions, labels(), selected()]).toEqual([["Remove home?"], ["work", "out"], "out"]);
		cli.screen.consent = false;
		await press("x");
		await back();
		expect([labels(), selected()]).toEqual([["work", "out"], "out"]);
	});

	it("gives the editor back when a question, a sign-in or a field is left by Esc", async () => {
		cli.screen.consent = false;
		await press("x");
		await back();
		expect([labels(), cli.screen.questions]).toEqual([["work", "home", "out"], ["Remove work?"]]);
		cli.screen.isAway = true;
		cli.inBrowser = ({ signal }) =>
			new Promise((_, reject) => {
				signal?.addEventListener("abort", () => reject(new SignInError(LOGIN_CANCELLED)));
			});
		for (const key of ["x", "n", "v", "s"]) {
			if (!cli.screen.panel) {
				open = cli.command.handler("", cli.screen.ctx);
				await loaded();
			}
			await press(key);
			expect(text()).not.toMatch(/MultiCodex/);
			await press(ESCAPE);
			await open;
			expect([cli.screen.panel, labels()]).toEqual([undefined, ["work", "home", "out"]]);
		}
		expect(notices()).toContain("info: Nothing was removed.");
	});

	it("undoes a removal by u, while nothing else has been done", async () => {
		await press("x");
		await back();
		expect([labels(), text()]).toEqual([["home", "out"], expect.stringMatching(/Removed work\. u /)]);
		await press("u");
		await back();
		expect([labels().sort(), selected(), text()]).toEqual([
			["home", "out", "work"],
			"work",
			expect.not.stringMatching(/puts it back/),
		]);
		await press("x");
		await back();
		await press("a");
		expect(text()).not.toMatch(/puts it back|u undo/);
	});

	it("undoes the removal that its line names, even if another pi has removed an account since", async () => {
		await press("x");
		await back();
		await cli.harness.accounts.remove(home.id);
		cli.harness.pool.emit({ type: "changed" });
		await press("u");
		await back();
		expect([labels().sort(), selected()]).toEqual([["out", "work"], "work"]);

		await press("x");
		await back();
		await cli.harness.accounts.restore(work.id);
		await press("u");
		await back();
		expect([labels().sort(), notices().at(-1)]).toEqual([
			["out", "work"],
			expect.stringMatching(/^error: Codex: work cannot be put back: /),
		]);
	});

	it("names Enter as what counts later while the pool serves nothing", async () => {
		expect(text()).toMatch(/ enter use {2}/);
		await press(ESCAPE);
		await open;
		await cli.command.handler("off", cli.screen.ctx);
		open = cli.command.handler("", cli.screen.ctx);
		await loaded();
		expect(text()).toMatch(/ enter use later {2}/);
		await press(DOWN, ENTER);
		expect([pinned(), notices().at(-1)]).toEqual([home.id, expect.stringMatching(/applies after \/multicodex on/)]);
		await press("?");
		expect(text()).toMatch(/enter +use once the pool serves/);
		expect(text()).not.toMatch(/use in all sessions/);
	});

	it("gives another label in a field that holds the old one, and stays until that will do", async () => {
		cli.screen.isAway = true;
		await press("v");
		expect(text()).toMatch(/New label of work[\s\S]*> work/);
		await press('"', ENTER);
		expect(text()).toMatch(/a label cannot have: "\./);
		await press(BACKSPACE, " ", "2", ENTER);
		await back();
		expect([labels(), selected()]).toEqual([["work 2", "home", "out"], "work"]);
	});

	it("signs in to one more, and is back on it; signs in again; gives another label", async () => {
		const [first, again] = [aGrant("new"), aGrant("new", NOW + 1000)];
		cli.inBrowser = async () => first;
		await press("n");
		await back();
		expect([labels().at(-1), selected()]).toEqual(["new", "new"]);
		cli.inBrowser = async () => again;
		await press("s");
		await back();
		expect(cli.harness.pool.account(idOf("new"))?.credential).toEqual(again);
		cli.screen.input = "other";
		await press("v");
		await back();
		expect([labels().at(-1), selected()]).toEqual(["other", "other"]);
	});

	it("follows what happens elsewhere while it is open, and stops when it is closed", async () => {
		cli.harness.state.statusById.set(home.id, { cooldowns: [aCooldown()], strikes: 0 });
		cli.harness.pool.emit({ type: "changed" });
		expect(text()).toMatch(/home .*out of quota/);
		cli.harness.pool.emit({
			type: "rotated",
			asked: { modelId: "gpt-5.5", sessionId: aSessionId("s") },
			grounds: { decidedBy: undefined, terms: [] },
			from: home,
			to: work,
			reason: "usage_limit",
			window: "5h",
			readyAt: undefined,
			remainingPercent: 73,
		});
		expect(text()).toMatch(/last rotation \d\d:\d\d {2}home to work {2}\(5h limit\)/);
		// What is asked for behind the first paint has been answered.
		await expect.poll(text).toMatch(/usage unknown/);
		await new Promise((resolve) => setImmediate(resolve));
		const renders = cli.screen.repaints;
		cli.harness.pool.emit({ type: "changed" });
		expect(cli.screen.repaints).toBe(renders + 1);
		await press(ESCAPE);
		await open;
		cli.harness.pool.emit({ type: "changed" });
		expect(cli.screen.repaints).toBe(renders + 1);
	});

	it("imports by a key, also into an empty pool", async () => {
		await press(ESCAPE);
		await begin([]);
		cli.found = [];
		await press("i");
		await expect.poll(() => cli.searched.length).toBe(1);
		await expect.poll(text).toMatch(/No Codex account/);
		expect(notices()).toHaveLength(1);
	});

	it("shows the last rotation of any process, once it is in the log", async () => {
		await expect.poll(() => cli.logListeners.size).toBe(1);
		expect(text()).not.toMatch(/last rotation/);
		cli.decisions = [
			{ at: NOW, pid: 7, kind: "rotated", from: home.id, account: work.id, reason: "usage_limit", window: "5h" },
		];
		for (const listener of cli.logListeners) listener();
		await expect.poll(text).toMatch(/last rotation \d\d:\d\d {2}home to work {2}\(5h limit\)/);
	});

	it("marks the account that a session uses, its own only while the model answers", async () => {
		cli.harness.pool.acquireLease(home.id, aSessionId("another"), true);
		cli.harness.pool.acquireLease(work.id, aSessionId("s"), true);
		expect(text()).toMatch(/home .*ready, in use$/m);
		expect(text()).toMatch(/work .*ready$/m);
		cli.screen.isIdle = false;
		expect(text()).toMatch(/work .*ready, in use$/m);
	});

	it("ends with the session that it was opened in, and touches its context no more", async () => {
		await cli.pi.fire("session_shutdown", cli.screen.ctx);
		cli.screen.isStale = true;
		await open;
		expect([cli.screen.panel, notices()]).toEqual([undefined, []]);
	});

	it("the dashboard of an empty pool offers to sign in", async () => {
		await press(ESCAPE);
		await begin([]);
		expect(text()).toMatch(/No Codex account/);
		cli.inBrowser = async () => aGrant("new");
		await press("n");
		await back();
		expect(selected()).toBe("new");
	});
});

describe("the dashboard while it stands open", () => {
	const MINUTE_MS = 60_000;
	let looks: number;

	beforeEach(async () => {
		await press(ESCAPE);
		await open;
		looks = 0;
	});
	const stand = async (ms: number) => {
		// The clock of the pool goes with the timers.
		for (let passed = 0; passed < ms; passed += 1000) {
			cli.harness.clock.at += 1000;
			await vi.advanceTimersByTimeAsync(1000);
		}
	};
	const openAgain = async () => {
		cli = createCommandHarness([work, home]);
		cli.refreshStale = async () => {
			looks += 1;
		};
		const resetsAt = cli.harness.clock.at + 90 * 1000;
		const usage = aSnapshot({
			capturedAt: cli.harness.clock.at - 5 * MINUTE_MS,
			windows: [{ usedPercent: 40, windowMinutes: 300, resetsAt }],
		});
		cli.harness.state.statusById.set(work.id, { cooldowns: [], strikes: 0, usage });
		open = cli.command.handler("", cli.screen.ctx);
		await loaded();
		text();
		await new Promise((resolve) => setImmediate(resolve));
		cli.screen.repaints = 0;
	};

	it("counts down each minute, each second under one minute, and asks pi to draw only then", async () => {
		await openAgain();
		expect(text()).toMatch(/work .* 60% +1m /);
		await stand(29_000);
		expect([cli.screen.repaints, text()]).toEqual([0, expect.stringMatching(/work .* 60% +1m /)]);
		await stand(2000);
		expect(text()).toMatch(/work .* 60% +59s /);
		const before = cli.screen.repaints;
		await stand(10_000);
		expect([cli.screen.repaints - before, text()]).toEqual([10, expect.stringMatching(/work .* 60% +49s /)]);
	});

	it("sees within a second what another process has stored, though nothing tells of it", async () => {
		await openAgain();
		cli.harness.state.statusById.set(home.id, { cooldowns: [aCooldown()], strikes: 0 });
		expect(cli.screen.repaints).toBe(0);
		await stand(1000);
		expect([cli.screen.repaints, text()]).toEqual([1, expect.stringMatching(/home .*out of quota/)]);
	});

	it("lets the monitor look once a minute, reads the log once, and leaves nothing behind", async () => {
		cli = createCommandHarness([work, home]);
		await openAgain();
		await vi.advanceTimersByTimeAsync(MINUTE_MS);
		expect([looks, cli.logReads, cli.askedUsage]).toEqual([2, 1, []]);
		cli.screen.panel?.handleInput?.(ESCAPE);
		await vi.advanceTimersByTimeAsync(200);
		await open;
		expect(cli.logListeners.size).toBe(0);
		const { repaints } = cli.screen;
		await vi.advanceTimersByTimeAsync(2 * MINUTE_MS);
		expect([looks, cli.logReads, cli.screen.repaints]).toEqual([2, 1, repaints]);
	});
});

describe("the picker of /multicodex use", () => {
	it("removes and adds accounts on the way, is open again after each, and pins at last", async () => {
		await begin([work, home, out], "use");
		await press(BACKSPACE);
		await expect.poll(() => [labels(), text().includes("Use Codex account")]).toEqual([["home", "out"], true]);
		expect(cli.screen.questions).toEqual(["Remove work?"]);
		cli.inBrowser = async () => aGrant("new");
		await press("add");
		await press(ENTER);
		await expect.poll(() => [labels(), selected()]).toEqual([["home", "out", "new"], "new"]);
		await press(ENTER);
		await open;
		expect([pinned(), cli.screen.panel]).toEqual([idOf("new"), undefined]);
	});
});

describe("keys that are typed ahead", () => {
	const isDropped = () => cli.screen.listeners.some((listener) => listener("q")?.consume === true);
	const macrotask = () => new Promise((resolve) => setImmediate(resolve));

	it.each(["", "use"])("keys typed ahead go to no editor between two panels: /multicodex %s", async (args) => {
		await begin([work, home, out], args);
		await macrotask();
		expect(isDropped()).toBe(false);
		cli.screen.isAway = true;
		// The panel has closed, and the question has its place by the next key of the same moment.
		cli.screen.panel?.handleInput?.(args === "" ? "x" : BACKSPACE);
		await expect.poll(() => cli.screen.questions).toHaveLength(1);
		await macrotask();
		expect([cli.screen.questions, isDropped()]).toEqual([["Remove work?"], false]);
		await cli.pi.fire("session_shutdown", cli.screen.ctx);
		await open;
		expect(cli.screen.listeners).toEqual([]);
	});

	it("keys typed ahead are dropped while what was asked for is done, yet not for long", async () => {
		await macrotask();
		let goOn: () => void = () => undefined;
		cli.harness.accounts.whileRefreshing = (_id, work) =>
			new Promise((resolve, reject) => {
				goOn = () => void work().then(resolve, reject);
			});
		await press("x");
		await expect.poll(() => cli.screen.panel).toBeUndefined();
		expect(isDropped()).toBe(true);
		cli.harness.clock.at += 1000;
		expect(isDropped()).toBe(false);
		goOn();
		await back();
		await macrotask();
		expect([labels(), isDropped()]).toEqual([["home", "out"], false]);
		await press(ESCAPE);
		await open;
		expect(cli.screen.listeners).toEqual([]);
	});
});

describe("/multicodex with dialogs alone", () => {
	const rowOf = (called: string) => `${called}: ${COMMANDS.find(({ name }) => name === called)?.summary}`;
	const menu = async (...choices: readonly string[]) => {
		cli = createCommandHarness([work, home, out], { mode: "rpc" });
		const left = [...choices];
		Object.defineProperty(cli.screen, "choice", { get: () => left.shift() });
		await cli.command.handler("", cli.screen.ctx);
		return notices();
	};

	it("is a menu of the subcommands, each with what it does", async () => {
		expect(await menu(rowOf("show"))).toEqual([expect.stringMatching(/^info: 2 of 3 ready/)]);
		expect(cli.screen.questions).toEqual([expect.stringMatching(/^MultiCodex: 2 of 3 /)]);
		expect(cli.screen.details[0]).toMatch(/add: .*remove: .*help: /);
	});

	it("offers the accounts that a subcommand is for, and says so if there is none", async () => {
		await menu(rowOf("disable"), "home");
		expect([cli.screen.details[1], cli.harness.pool.account(home.id)?.enabled]).toEqual(["work, home, out", false]);
		expect(await menu(rowOf("enable"))).toEqual([expect.stringMatching(/^error: multicodex enable: .* no account /)]);
	});

	it("offers accounts alone when it asks for one, and takes the very one that was chosen", async () => {
		await menu(rowOf("remove"), "home");
		expect(cli.screen.details[1]).toBe("work, home, out");
		expect(labels()).toEqual(["work", "out"]);
		// Two e-mails that look the same once they are hidden.
		cli = createCommandHarness(
			[anAccount("me@a.example", { id: anId("1") }), anAccount("mo@a.example", { id: anId("2") })],
			{
				mode: "rpc",
			},
		);
		cli.harness.settings = { ...cli.harness.settings, maskEmails: true };
		const left = [rowOf("remove"), "m…@a.example-2"];
		Object.defineProperty(cli.screen, "choice", { get: () => left.shift() });
		await cli.command.handler("", cli.screen.ctx);
		expect(labels()).toEqual(["me@a.example"]);
	});

	it("does nothing when it is cancelled, at either question, or answered with what was not offered", async () => {
		expect(await menu()).toEqual([]);
		expect(await menu(rowOf("remove"))).toEqual([]);
		expect(await menu("nonsense")).toEqual([]);
		expect(await menu(rowOf("remove"), "missing")).toEqual([]);
		expect(labels()).toEqual(["work", "home", "out"]);
	});
});

describe("/multicodex use without an account", () => {
	beforeEach(async () => {
		await press(ESCAPE);
		await begin([work, home, out], "use");
	});

	it("lets the policy choose, by the row for that", async () => {
		await cli.harness.pool.pin(home.id);
		await press(..."auto", ENTER);
		await open;
		expect([pinned(), notices()]).toEqual([undefined, [expect.stringMatching(/chosen automatically/)]]);
	});

	it("signs in, and is open again on the account that has joined", async () => {
		cli.inBrowser = async () => aGrant("new");
		await press(..."add", ENTER);
		await back();
		expect(selected()).toBe("new");
		await press(ENTER);
		await open;
		expect(pinned()).toBe(idOf("new"));
	});

	it("gives the editor back when its sign-in or its question is left by Esc", async () => {
		cli.screen.isAway = true;
		cli.inBrowser = ({ signal }) =>
			new Promise((_, reject) => {
				signal?.addEventListener("abort", () => reject(new SignInError(LOGIN_CANCELLED)));
			});
		await press(..."add", ENTER);
		await expect.poll(text).not.toMatch(/Use Codex account/);
		await press(ESCAPE);
		await open;
		expect([cli.screen.panel, notices()]).toEqual([undefined, ["info: Nothing was changed."]]);

		open = cli.command.handler("use", cli.screen.ctx);
		await loaded();
		await press(BACKSPACE);
		await expect.poll(text).toMatch(/Remove work\?/);
		await press(ESCAPE);
		await open;
		expect([cli.screen.panel, labels()]).toEqual([undefined, ["work", "home", "out"]]);
	});

	it("is cancelled without a word, and ends with its session", async () => {
		await press(ESCAPE);
		await open;
		expect(notices()).toEqual([]);
		open = cli.command.handler("use", cli.screen.ctx);
		await loaded();
		await cli.pi.fire("session_shutdown", cli.screen.ctx);
		await open;
		expect([cli.screen.panel, notices(), pinned()]).toEqual([undefined, [], undefined]);
	});

	it("falls back to a dialog if this pi shows no panels", async () => {
		await press(ESCAPE);
		cli.screen = aContext({ mode: "tui", hasPanels: false });
		cli.screen.choice = "home";
		await cli.command.handler("use", cli.screen.ctx);
		expect([cli.screen.questions, pinned()]).toEqual([["Use Codex account"], home.id]);
		await cli.command.handler("", cli.screen.ctx);
		expect(cli.screen.questions.at(-1)).toMatch(/^MultiCodex: /);
	});
});
