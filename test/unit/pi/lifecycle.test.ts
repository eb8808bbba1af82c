import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { DEFAULT_SETTINGS, type Settings } from "../../../src/core/settings.ts";
import { noticeOf } from "../../../src/features/notices/texts.ts";
import { createStraySignIns, type StraySignIns } from "../../../src/features/sign-in/stray-sign-in.ts";
import { registerSessionHooks } from "../../../src/pi/lifecycle.ts";
import { SESSION_ENTRY } from "../../../src/pi/session-memory.ts";
import { anAccount, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";
import { anId, aSessionId } from "../../support/ids.ts";
import { aContext, aPi, type FakeContext, type FakeContextInit, type FakePi } from "../fake-pi.ts";
import { createHarness, type Harness } from "../harness.ts";

let harness: Harness;
let pi: FakePi;
let order: string[];
let earlyWarnings: string[];
let settings: Settings;
let isOutOfStep: boolean;
/** Sessions that have gone on with a model of another provider. */
let left: string[];
let baseUrls: string[];
/** What was heard of the folders of sessions. */
let folders: string[];
let onFlush: () => void;
let strays: StraySignIns;
let welcomed: { readonly isOver: () => boolean }[];
let firstWords: string | undefined;
let isOnPlan: boolean;

beforeEach(() => {
	harness = createHarness(anAccount("a"), anAccount("b"));
	pi = aPi();
	order = [];
	earlyWarnings = [];
	settings = DEFAULT_SETTINGS;
	isOutOfStep = false;
	left = [];
	baseUrls = [];
	folders = [];
	onFlush = () => undefined;
	strays = createStraySignIns();
	welcomed = [];
	firstWords = undefined;
	isOnPlan = false;
	harness.affinity.begin(undefined);
	registerSessionHooks(pi.api, {
		pool: harness.pool,
		link: {
			...harness.deps.link,
			sync: async () => {
				order.push("sync");
			},
		},
		folders: {
			begin: (sessionId, cwd) => folders.push(`${sessionId} in ${cwd}`),
			end: () => folders.push("end"),
		},
		affinity: harness.affinity,
		credentials: {
			accessToken: () => Promise.reject(new Error("not here")),
			currentToken: () => undefined,
			idle: async () => {
				order.push("idle");
			},
		},
		usage: {
			setBaseUrl: (baseUrl) => baseUrls.push(baseUrl),
			baseUrl: () => baseUrls.at(-1),
			refreshStale: async () => {
				order.push("usage");
			},
			follow: async (id, hasToldUsage) => {
				order.push(`follow ${id}${hasToldUsage ? "" : ", which told nothing"}`);
			},
			recheckCooling: async () => undefined,
			ask: async () => true,
			figuresDue: () => undefined,
			isAsking: () => false,
			stop: () => order.push("usage stop"),
		},
		poolModel: { begin: () => undefined, keep: async () => undefined },
		footer: {
			start: () => order.push("footer start"),
			draw: () => order.push("footer draw"),
			stop: () => order.push("footer stop"),
		},
		provider: {
			keepAvailability: () => order.push("availability"),
			keepKey: () => order.push("key"),
			leave: (session) => left.push(session),
			isOutOfStep: () => isOutOfStep,
			settle: async () => {
				order.push("settled");
			},
		},
		takeStray: strays.take,
		noticeOf,
		welcome: {
			begin: async (tell, isOver) => {
				welcomed.push({ isOver });
				if (firstWords !== undefined) tell(firstWords);
			},
		},
		isOnPlanLogin: (model) => isOnPlan && model?.provider === "openai",
		beginTurn: () => order.push("turn"),
		settings: () => settings,
		writers: [
			{
				flush: async () => {
					onFlush();
					order.push("flush");
				},
			},
			{ flush: async () => void order.push("log flush") },
			{ flush: async () => void order.push("history") },
		],
		clock: harness.clock,
		earlyWarnings,
	});
});

it("the folder of a session is that in which it runs, and known until the session ends", async () => {
	const screen = await start({ sessionId: "one", cwd: "/proj" });
	expect(folders).toEqual(["one in /proj"]);
	await pi.fire("session_shutdown", screen.ctx);
	expect(folders).toEqual(["one in /proj", "end"]);
	const next = aContext({ mode: "tui", sessionId: "two", cwd: "/other" });
	await pi.fire("session_start", next.ctx);
	expect(folders.at(-1)).toBe("two in /other");
});

it("a turn begins with each prompt, and not with a retry or a further request of the same one", async () => {
	const screen = await start();
	for (const event of ["input", "before_agent_start", "agent_start", "turn_start", "turn_end", "agent_end"] as const) {
		await pi.fire(event, screen.ctx);
	}
	for (const event of ["agent_start", "turn_start", "turn_end", "turn_start", "turn_end", "agent_end"] as const) {
		await pi.fire(event, screen.ctx);
	}
	expect(order.filter((each) => each === "turn")).toHaveLength(1);
});

it("a summary that the person asks for is a turn of its own; one that pi makes in a turn is not", async () => {
	const screen = await start();
	const turns = () => order.filter((each) => each === "turn").length;
	await pi.fire("input", screen.ctx);
	// The oldest hosts name no reason: there it is the run that tells.
	await pi.fire("session_before_compact", screen.ctx);
	await pi.fire("before_agent_start", screen.ctx);
	screen.isIdle = false;
	await pi.fire("input", screen.ctx);
	await pi.fire("session_before_compact", screen.ctx);
	await pi.fire("session_before_compact", screen.ctx, { reason: "threshold" });
	expect(turns()).toBe(1);
	await pi.fire("session_before_compact", screen.ctx, { reason: "manual" });
	expect(turns()).toBe(2);
	screen.isIdle = true;
	await pi.fire("session_before_compact", screen.ctx);
	await pi.fire("session_before_tree", screen.ctx);
	expect(turns()).toBe(4);
	// Another extension's message begins a run without a prompt.
	await pi.fire("before_agent_start", screen.ctx);
	expect(turns()).toBe(5);
});

async function start(init: FakeContextInit = {}) {
	const screen = aContext({ mode: "tui", ...init });
	await pi.fire("session_start", screen.ctx);
	return screen;
}
const at = (ms: number) => new Date(NOW - ms).toISOString();
const remembers = (account: unknown, ms: number) => ({
	type: "custom",
	customType: SESSION_ENTRY,
	data: account,
	timestamp: at(ms),
});
const answer = (ms: number, message: object = {}) => ({
	type: "message",
	message: { role: "assistant", provider: "openai-codex", stopReason: "stop", ...message },
	timestamp: at(ms),
});
const rotated = {
	type: "rotated",
	from: anAccount("a"),
	to: anAccount("b"),
	reason: "usage_limit",
	window: "5h",
	readyAt: undefined,
	remainingPercent: undefined,
	asked: { modelId: "gpt-5.5", sessionId: aSessionId("s") },
	grounds: { decidedBy: undefined, terms: [] },
} as const;
const continued = { type: "continued", first: rotated, to: anAccount("b"), remainingPercent: undefined } as const;

describe("a session", () => {
	it("goes on with the account that its branch names last", async () => {
		await start({ branch: [remembers({ account: "b" }, HOUR_MS), remembers({ account: "a" }, MINUTE_MS)] });
		expect([harness.affinity.account(), harness.pool.active()]).toEqual(["a", "a"]);
	});

	it("a session is as old as its last answer, not as its last change of account", async () => {
		await start({ branch: [remembers({ account: "b" }, 5 * HOUR_MS), answer(10 * MINUTE_MS)] });
		expect(harness.affinity.account()).toBe("b");
		await start({ branch: [remembers({ account: "b" }, 5 * HOUR_MS), answer(2 * HOUR_MS)] });
		expect(harness.affinity.account()).toBeUndefined();
	});

	it("chooses anew after a compaction, even if it is resumed after one", async () => {
		const compaction = { type: "compaction", timestamp: at(MINUTE_MS) };
		const before = [remembers({ account: "b" }, HOUR_MS / 2), answer(2 * MINUTE_MS)];
		await start({ branch: [...before, compaction] });
		expect([harness.affinity.account(), harness.affinity.lastServed()]).toEqual([undefined, "b"]);
		await start({ branch: [...before, compaction, answer(MINUTE_MS / 2)] });
		expect(harness.affinity.account()).toBe("b");
		await pi.fire("session_compact", aContext().ctx);
		expect(harness.affinity.account()).toBeUndefined();
	});

	it.each([{ stopReason: "error" }, { stopReason: "aborted" }, { provider: "anthropic" }])(
		"takes no message for an answer of its account that is none: %j",
		async (message) => {
			const served = [remembers({ account: "b" }, 3 * HOUR_MS), answer(2 * HOUR_MS)];
			await start({ branch: [...served, answer(MINUTE_MS, message)] });
			expect(harness.affinity.account()).toBeUndefined();
			const compacted = [remembers({ account: "b" }, HOUR_MS / 2), { type: "compaction", timestamp: at(MINUTE_MS) }];
			await start({ branch: [...compacted, answer(MINUTE_MS / 2, message)] });
			expect([harness.affinity.account(), harness.affinity.lastServed()]).toEqual([undefined, "b"]);
		},
	);

	it("reads which account a branch names that the person goes to", async () => {
		await start({ branch: [remembers({ account: "b" }, MINUTE_MS)] });
		const [session] = [harness.affinity.session()];
		expect(harness.affinity.served(session, anId("b"))).toBe(false);
		await pi.fire("session_tree", aContext({ branch: [] }).ctx);
		expect(harness.affinity.served(session, anId("b"))).toBe(true);
	});

	it.each([[undefined], ["a"], [{}], [{ account: 5 }], [null]])("is not led astray by an entry of %j", async (data) => {
		await start({
			branch: [
				remembers(data, MINUTE_MS),
				{ type: "custom", customType: "other", data: { account: "b" }, timestamp: at(0) },
			],
		});
		expect(harness.affinity.account()).toBeUndefined();
	});

	it("a session that names an account which is gone makes no account active", async () => {
		await start({ branch: [remembers({ account: "gone" }, MINUTE_MS)] });
		expect(harness.pool.active()).toBeUndefined();
	});

	it("may begin twice in a row", async () => {
		const branch = [remembers({ account: "b" }, MINUTE_MS)];
		await start({ branch });
		await start({ branch });
		expect(harness.affinity.account()).toBe("b");
	});

	it("looks at pi's login before the footer is drawn", async () => {
		await start();
		expect(order.indexOf("sync")).toBeGreaterThanOrEqual(0);
		expect(order.indexOf("sync")).toBeLessThan(order.indexOf("footer start"));
	});

	it("asks for usage in the background if there is a screen and a Codex model", async () => {
		const screen = await start();
		expect([baseUrls, order.includes("usage")]).toEqual([[screen.model?.baseUrl], true]);
		order.length = 0;
		await start({ hasUI: false, mode: "print" });
		expect(order).not.toContain("usage");
		const other = aContext({ mode: "tui" });
		other.model = { provider: "anthropic", baseUrl: "x" };
		await pi.fire("session_start", other.ctx);
		expect(order).not.toContain("usage");
	});

	it("ends with nothing under way: exchanges first, then what they have to write", async () => {
		const screen = await start();
		order.length = 0;
		await pi.fire("session_shutdown", screen.ctx);
		expect(order.slice(-4)).toEqual(["idle", "flush", "log flush", "history"]);
		expect(order.slice(0, -4).sort()).toEqual(["footer stop", "usage stop"]);
	});

	it("sends the address of a sign-in to no model: to the sign-in that waits for it, or nowhere", async () => {
		const screen = await start();
		const address = "http://localhost:1455/auth/callback?code=ac_1&state=st_1";
		expect(await pi.fire("input", screen.ctx, { text: "say hi" })).toEqual({ action: "continue" });
		expect(await pi.fire("input", screen.ctx, { text: address })).toEqual({ action: "handled" });
		expect(screen.notices).toEqual([expect.stringMatching(/^warning: .*not sent to the model/)]);
		const pasted = strays.during(
			{ showUrl: () => undefined, pasted: () => new Promise(() => undefined) },
			async (dialog) => dialog.pasted(undefined),
		);
		expect(await pi.fire("input", screen.ctx, { text: `here: ${address}` })).toEqual({ action: "handled" });
		expect([await pasted, screen.notices.at(-1)]).toEqual([
			`here: ${address}`,
			expect.stringMatching(/^info: .*went to the waiting sign-in/),
		]);
		// It waits no longer.
		await pi.fire("input", screen.ctx, { text: address });
		expect(screen.notices.at(-1)).toMatch(/^warning: /);
		expect(screen.notices.join()).not.toMatch(/ac_1|st_1/);
	});

	it("draws the footer when the model changes", async () => {
		const screen = await start();
		order.length = 0;
		await pi.fire("model_select", screen.ctx);
		expect(order).toEqual(["settled", "footer draw"]);
	});
});

describe("a session that is over", () => {
	it("a session that is over is no longer at work on its account in any process after the last write", async () => {
		harness.pool.acquireLease(anId("a"), aSessionId("s"), true);
		harness.pool.acquireLease(anId("a"), aSessionId("other"), true);
		const { ctx } = await start();
		let atFlush: unknown;
		onFlush = () => {
			atFlush = [...harness.state.live];
		};
		await pi.fire("session_shutdown", ctx);
		expect(atFlush).toEqual([["other", "a"]]);
	});

	it("takes nothing from the one that follows it", async () => {
		const first = await start({ sessionId: "first" });
		harness.pool.acquireLease(anId("a"), aSessionId("first"), true);
		await pi.fire("session_shutdown", first.ctx);
		await start({ sessionId: "second" });
		harness.pool.acquireLease(anId("a"), aSessionId("second"), true);
		expect([...harness.state.live]).toEqual([["second", "a"]]);
	});
});

describe("a person who comes back", () => {
	const asks = () => order.filter((step) => step === "usage").length;
	const press = (screen: FakeContext) => screen.listeners.map((listener) => listener("x"));

	it("has old usage asked for with the first key after ten minutes, once, and every key is pi's", async () => {
		const screen = await start();
		expect(asks()).toBe(1);
		harness.clock.at += 10 * MINUTE_MS - 1;
		expect(press(screen)).toEqual([undefined]);
		expect(asks()).toBe(1);
		harness.clock.at += 10 * MINUTE_MS;
		press(screen);
		press(screen);
		expect(asks()).toBe(2);
	});

	it("is noticed by what is sent if there are no keys", async () => {
		const screen = await start({ mode: "rpc" });
		expect(screen.listeners).toEqual([]);
		harness.clock.at += 10 * MINUTE_MS;
		await pi.fire("input", screen.ctx);
		expect(asks()).toBe(2);
	});

	it("has nothing asked for beside a model of another provider, nor while everything is switched off", async () => {
		const screen = await start();
		harness.clock.at += 10 * MINUTE_MS;
		screen.model = { provider: "anthropic", baseUrl: "x" };
		press(screen);
		screen.model = { provider: "openai-codex", baseUrl: "x" };
		settings = { ...settings, enabled: false };
		harness.clock.at += 10 * MINUTE_MS;
		press(screen);
		expect(asks()).toBe(1);
	});

	it("is listened for once a session, however often that begins, and no longer than it lasts", async () => {
		const screen = await start();
		await pi.fire("session_start", screen.ctx);
		expect(screen.listeners).toHaveLength(1);
		await pi.fire("session_shutdown", screen.ctx);
		expect(screen.listeners).toEqual([]);
	});

	it("can type on if the session was replaced without a word", async () => {
		const screen = await start();
		harness.clock.at += 10 * MINUTE_MS;
		Object.defineProperty(screen.ctx, "hasUI", {
			get: () => {
				throw new Error("This extension ctx is stale");
			},
		});
		expect(press(screen)).toEqual([undefined]);
		expect(asks()).toBe(1);
	});
});

describe("an answer", () => {
	it("is followed by a look at what is known of its account, with or without a screen", async () => {
		await start({ hasUI: false, mode: "print" });
		order.length = 0;
		harness.pool.served(anId("b"), false, true);
		expect(order.filter((step) => step.startsWith("follow"))).toEqual(["follow b"]);
		harness.pool.served(anId("a"), true, false);
		expect(order.filter((step) => step.startsWith("follow"))).toEqual(["follow b", "follow a, which told nothing"]);
	});

	it("an answer is the only event that is", async () => {
		await start();
		order.length = 0;
		harness.pool.emit(rotated);
		harness.pool.emit({ type: "changed" });
		harness.pool.acquireLease(anId("a"), aSessionId("s"), true);
		expect(order.filter((step) => step.startsWith("follow"))).toEqual([]);
	});
});

describe("an answer by another account", () => {
	const entry = { type: "multicodex", data: { account: "b" } };

	it.each(["turn_end", "agent_end", "session_shutdown"])(
		"is remembered in the session by its id alone, once, when the message is over: %s",
		async (event) => {
			const { ctx } = await start();
			harness.pool.emit({ type: "served", account: anId("b"), hasMoved: true, hasToldUsage: true });
			harness.pool.emit({ type: "served", account: anId("b"), hasMoved: false, hasToldUsage: true });
			expect(pi.entries).toEqual([]);
			await pi.fire(event, ctx);
			await pi.fire(event, ctx);
			expect(pi.entries).toEqual([entry]);
		},
	);

	it("is remembered although others followed within one turn: the last one counts", async () => {
		const { ctx } = await start();
		harness.pool.emit({ type: "served", account: anId("a"), hasMoved: true, hasToldUsage: true });
		harness.pool.emit({ type: "served", account: anId("b"), hasMoved: true, hasToldUsage: true });
		await pi.fire("turn_end", ctx);
		expect(pi.entries).toEqual([entry]);
	});
});

it("the end of a session waits for an exchange and writes everything, whatever fails before", async () => {
	const { ctx } = await start();
	harness.pool.emit({ type: "served", account: anId("b"), hasMoved: true, hasToldUsage: true });
	Object.assign(pi.api, {
		appendEntry: () => {
			throw new TypeError("the session file is full");
		},
	});
	order.length = 0;
	await pi.fire("session_shutdown", ctx);
	expect(order).toEqual(expect.arrayContaining(["footer stop", "usage stop", "idle", "flush", "log flush", "history"]));
	expect(harness.told).toContainEqual(expect.objectContaining({ type: "defect", where: "session" }));
});

describe("the key that other extensions get", () => {
	const turns = () => order.filter((step) => step === "key").length;

	it("is brought up to date once for everything that happens at a time", async () => {
		// What tests before this one have left.
		await new Promise(setImmediate);
		order.length = 0;
		harness.pool.emit({ type: "changed" });
		await new Promise(setImmediate);
		expect(turns()).toBe(0);
		const { ctx } = await start();
		await new Promise(setImmediate);
		order.length = 0;
		harness.pool.emit({ type: "changed" });
		harness.pool.emit({ type: "served", account: anId("b"), hasMoved: true, hasToldUsage: true });
		expect(turns()).toBe(0);
		await new Promise(setImmediate);
		expect(turns()).toBe(1);
		harness.pool.emit({ type: "changed" });
		await pi.fire("session_shutdown", ctx);
		await new Promise(setImmediate);
		expect(turns()).toBe(1);
	});
});

describe("a notice", () => {
	it("a notice is one line in the session", async () => {
		const { notices } = await start();
		harness.pool.emit(rotated);
		harness.pool.emit(continued);
		expect(notices).toEqual([expect.stringMatching(/^info: .*\ba\b.* 5h .*\bb\b/)]);
	});

	it("is not repeated for a second request that meets the same at once, and another notice is shown", async () => {
		const { notices } = await start();
		harness.pool.emit(continued);
		harness.pool.emit(continued);
		harness.pool.emit({ ...continued, to: anAccount("c") });
		expect(notices).toHaveLength(2);
	});

	it("shows no e-mail if the person wants none, on standard error neither", async () => {
		settings = { ...DEFAULT_SETTINGS, maskEmails: true };
		const written: unknown[] = [];
		vi.spyOn(process.stderr, "write").mockImplementation((text) => written.push(text) > 0);
		onTestFinished(() => void vi.restoreAllMocks());
		earlyWarnings.push("early: me@work.example.");
		await start({ mode: "print", hasUI: false });
		harness.pool.emit({ type: "signed-out", account: anAccount("me@work.example"), reason: "revoked" });
		expect(written).toHaveLength(2);
		expect(written.join("")).not.toContain("me@");
	});

	it("is news again after the next prompt", async () => {
		const screen = await start();
		harness.pool.emit(continued);
		await pi.fire("input", screen.ctx);
		harness.pool.emit(continued);
		expect(screen.notices).toHaveLength(2);
	});

	it("a notice of a change is not kept for a later session, a warning is", async () => {
		harness.pool.emit(continued);
		harness.pool.emit({ type: "closed", account: anAccount("a"), reason: "account_deactivated" });
		expect((await start()).notices).toEqual([expect.stringMatching(/^warning: .* account a .* off/)]);
	});

	it("a notice of a rotation is nothing for a person who does not want it; a warning is", async () => {
		settings = { ...DEFAULT_SETTINGS, notifications: false };
		const { notices } = await start();
		harness.pool.emit(continued);
		harness.pool.emit({ type: "signed-out", account: anAccount("a"), reason: "revoked" });
		expect(notices).toEqual([expect.stringMatching(/^warning: .* account a .* signed out/)]);
	});

	it("names a lost account once: if a warning has, the rotation only says who continues", async () => {
		const lost = { ...continued, first: { ...continued.first, reason: "signed_out" as const } };
		const screen = await start();
		harness.pool.emit({ type: "signed-out", account: anAccount("a"), reason: "revoked" });
		harness.pool.emit(lost);
		expect(screen.notices).toEqual([
			expect.stringMatching(/^warning: .* account a .* signed out/),
			expect.stringMatching(/^info: (?!.*signed out).*\bb\b/),
		]);
		await pi.fire("session_shutdown", screen.ctx);
		const { notices } = await start();
		harness.pool.emit(lost);
		expect(notices).toEqual([expect.stringMatching(/^info: .*\ba was signed out\b.*\bb\b/)]);
	});

	it("a notice from before the session is shown when it begins, once", async () => {
		earlyWarnings.push("codex-state.json could not be read.");
		harness.pool.emit({ type: "warning", text: "settings.json: bad." });
		const { notices } = await start();
		expect(notices).toEqual(["warning: codex-state.json could not be read.", "warning: Codex: settings.json: bad."]);
		expect((await start()).notices).toEqual([]);
	});

	it("waits for the next session if the last one has ended", async () => {
		const ended = await start();
		await pi.fire("session_shutdown", ended.ctx);
		harness.pool.emit({ type: "warning", text: "late." });
		expect(ended.notices).toEqual([]);
		expect((await start()).notices).toEqual(["warning: Codex: late."]);
	});
});

describe("a change of another process's hand", () => {
	it.each(["input", "turn_start", "model_select"])("is followed at %s, and only if there is one", async (event) => {
		const screen = await start();
		order.length = 0;
		await pi.fire(event, screen.ctx);
		expect(order).not.toContain("availability");
		isOutOfStep = true;
		order.length = 0;
		await pi.fire(event, screen.ctx);
		expect(order.filter((step) => ["availability", "settled"].includes(step))).toEqual(["availability", "settled"]);
	});

	it.each(["input", "turn_start", "model_select"])(
		"is settled at %s if the files were followed before",
		async (event) => {
			const screen = await start();
			order.length = 0;
			await pi.fire(event, screen.ctx);
			expect(order).toContain("settled");
		},
	);

	it("leaves pi to renew its own login, and notes the result after every turn", async () => {
		const screen = await start();
		order.length = 0;
		await pi.fire("turn_end", screen.ctx);
		expect(order).toEqual([]);
		settings = { ...DEFAULT_SETTINGS, enabled: false };
		await pi.fire("turn_end", screen.ctx);
		expect(order).toEqual(["sync"]);
	});

	it("is followed before a reload, which forgets this registration", async () => {
		const screen = await start();
		order.length = 0;
		isOutOfStep = true;
		await pi.fire("session_shutdown", screen.ctx);
		expect(order[0]).toBe("availability");
	});

	it("keeps a session that begins switched off from asking for usage", async () => {
		settings = { ...DEFAULT_SETTINGS, enabled: false };
		await start();
		expect(order).not.toContain("usage");
	});
});

describe("the first words in a home", () => {
	beforeEach(() => {
		firstWords = "Codex CLI login me@acme.example found.";
	});

	it("first words are shown in a terminal, and hide an e-mail if that is wanted", async () => {
		expect((await start()).notices).toEqual(["info: Codex CLI login me@acme.example found."]);
		settings = { ...settings, maskEmails: true };
		expect((await start()).notices).toEqual(["info: Codex CLI login m…@acme.example found."]);
	});

	it.each<FakeContextInit>([{ mode: "rpc" }, { mode: "print", hasUI: false }, { mode: "json", hasUI: false }])(
		"first words are never told elsewhere: %j",
		async (init) => {
			expect((await start(init)).notices).toEqual([]);
			expect(welcomed).toEqual([]);
		},
	);

	it("first words are not told over a warning, nor while we are off", async () => {
		earlyWarnings.push("A file is damaged.");
		expect((await start()).notices).toEqual(["warning: A file is damaged."]);
		settings = { ...settings, enabled: false };
		await start();
		expect(welcomed).toEqual([]);
	});

	it("first words are over with the session for which they were sought", async () => {
		const screen = await start();
		expect(welcomed.map(({ isOver }) => isOver())).toEqual([false]);
		await pi.fire("session_shutdown", screen.ctx);
		expect(welcomed.map(({ isOver }) => isOver())).toEqual([true]);
	});
});

describe("a session on pi's ChatGPT sign-in under openai", () => {
	const notServed = (command: string) =>
		expect.stringMatching(new RegExp(`^info: .* ChatGPT sign-in; pi-multicodex .* openai-codex\\. ${command}`));
	const sessionOn = (provider: string, init: FakeContextInit = {}) => {
		isOnPlan = true;
		const screen = aContext({ mode: "tui", ...init });
		screen.model = Object.assign({ provider, baseUrl: "x" }, { id: "gpt-6.2-sol" });
		screen.models = ["gpt-6.1", "gpt-6.2-sol", "gpt-7"].map((id) => ({ provider: "openai-codex", id, baseUrl: "y" }));
		return screen;
	};

	it("a session on pi's ChatGPT sign-in under openai is one line a session that says what to type", async () => {
		const screen = sessionOn("openai");
		for (const event of ["session_start", "session_start"]) await pi.fire(event, screen.ctx);
		await pi.fire("model_select", screen.ctx, { model: screen.model });
		expect(screen.notices).toEqual([notServed("/model openai-codex/gpt-6\\.2-sol$")]);
		const next = sessionOn("openai", { sessionId: "other", mode: "rpc" });
		await pi.fire("session_start", next.ctx);
		expect(next.notices).toHaveLength(1);
		// One quiet line would take the place of the other.
		expect(welcomed).toEqual([]);
	});

	it("leaves the socket of the account with a change to a model of another provider, and with no other", async () => {
		const screen = sessionOn("openai-codex", { sessionId: "one" });
		await pi.fire("session_start", screen.ctx);
		await pi.fire("model_select", screen.ctx, { model: { provider: "openai-codex", id: "gpt-7" } });
		expect(left).toEqual([]);
		await pi.fire("model_select", screen.ctx, { model: { provider: "mine", id: "gpt-7" } });
		expect(left).toEqual(["one"]);
	});

	it("comes with a change of model too, and not for any other", async () => {
		const screen = sessionOn("anthropic");
		await pi.fire("session_start", screen.ctx);
		screen.notices.length = 0;
		await pi.fire("model_select", screen.ctx, { model: { provider: "openai-codex", id: "gpt-7" } });
		expect(screen.notices).toEqual([]);
		await pi.fire("model_select", screen.ctx, { model: { provider: "openai", id: "gpt-old" } });
		// No Codex model is called so: the newest one is named.
		expect(screen.notices).toEqual([notServed("/model openai-codex/gpt-7$")]);
	});

	it("says how to sign in there, if no account could serve", async () => {
		harness.accounts.rows = [];
		const screen = sessionOn("openai");
		await pi.fire("session_start", screen.ctx);
		expect(screen.notices).toEqual([notServed("/multicodex add ")]);
	});

	it("says nothing in print mode, nor while we are off", async () => {
		const unseen = sessionOn("openai", { mode: "print", hasUI: false });
		await pi.fire("session_start", unseen.ctx);
		settings = { ...settings, enabled: false };
		const off = sessionOn("openai", { sessionId: "off" });
		await pi.fire("session_start", off.ctx);
		expect([unseen.notices, off.notices]).toEqual([[], []]);
	});
});
