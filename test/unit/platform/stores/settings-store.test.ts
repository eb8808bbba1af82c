import { chmodSync, lstatSync, mkdirSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import lockfile from "proper-lockfile";
import { beforeEach, describe, expect, it } from "vitest";
import type { AccountSets } from "../../../../src/core/account-sets.ts";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import {
	BEYOND_PREFERENCES,
	FOOTER_PREFERENCES,
	GENERAL_PREFERENCES,
	ROTATION_PREFERENCES,
} from "../../../../src/platform/stores/settings-schema.ts";
import { openSettings, savedCodexModelIn } from "../../../../src/platform/stores/settings-store.ts";
import { closeFolder, settled, until } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { expectMode, onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { hurryLocks } from "../../waits.ts";

const NAME = "settings.json";

const scratch = scratchForEach();
let problems: string[];
beforeEach(() => {
	problems = [];
});

const open = () => openSettings(scratch.path(NAME), (text) => problems.push(text));
const write = (ours: unknown, others: Record<string, unknown> = {}) =>
	scratch.write(NAME, { theme: "dark", ...others, "pi-multicodex": ours });

describe("preferences", () => {
	it("preferences are the defaults if there is no file, no key, or an empty one", () => {
		expect(open().read()).toEqual(DEFAULT_SETTINGS);
		scratch.write(NAME, { theme: "dark" });
		expect(open().read()).toEqual(DEFAULT_SETTINGS);
		write({});
		expect(open().read()).toEqual(DEFAULT_SETTINGS);
		expect(problems).toEqual([]);
	});

	it("preferences have the contract's defaults", () => {
		expect(DEFAULT_SETTINGS).toEqual({
			enabled: true,
			footer: {
				usage: "left",
				windows: "both",
				account: true,
				reset: true,
				meters: true,
				ready: true,
				lasts: false,
				order: "account-first",
			},
			rotation: {
				policy: "soonest-reset",
				reserve: { "5h": 0, "7d": 0 },
				fastMode: "off",
				maxRotations: 5,
				maxWaitMs: 60_000,
				cooldownMs: 3_600_000,
			},
			beyond: { credits: "own", reserveModel: "ask", chain: [] },
			caps: {},
			sets: {},
			notify: { to: "off", terminal: "auto", command: [], quiet: undefined, warnAt: [25, 10, 5], aheadMs: 10_800_000 },
			notifications: true,
			maskEmails: false,
			ledger: true,
		});
	});

	it("preferences have no command of notices but a list of a program and its arguments", () => {
		write({ notify: { to: "command", command: "notify-send $(whoami)" } });
		expect(open().read().notify).toMatchObject({ to: "command", command: [] });
		expect(problems).toEqual([
			expect.stringMatching(/^settings\.json: pi-multicodex\.notify\.command must be .*; the default /),
		]);
	});

	it("preferences keep the links of a chain that will do, and name each of the others once", () => {
		write({
			beyond: {
				reserve: "always",
				chain: ["anthropic/claude", "claude", 7, "openrouter/z-ai/glm", "anthropic/claude", "a b/c", "/x", null],
			},
		});
		const settings = open();
		expect(settings.read().beyond).toMatchObject({
			reserveModel: "always",
			chain: ["anthropic/claude", "openrouter/z-ai/glm"],
		});
		const wanted = [1, 2, 4, 5, 6, 7].map((at) => {
			const why = at === 4 ? "anthropic/claude is already listed" : "provider/model";
			const link = `settings\\.json: pi-multicodex\\.beyond\\.chain\\[${at}\\]`;
			return expect.stringMatching(new RegExp(`^${link} must be .*${why}; it is left out\\.$`));
		});
		expect(problems).toEqual(wanted);
	});

	it("preferences have no chain if something else stands in its place", () => {
		write({ beyond: { chain: "anthropic/claude" } });
		expect(open().read().beyond.chain).toEqual([]);
		expect(problems).toEqual([
			expect.stringMatching(/^settings\.json: pi-multicodex\.beyond\.chain must be a list .*; the default /),
		]);
	});

	it("preferences store a chain, and leave what stands beside it", async () => {
		write({ beyond: { reserve: "always", other: 1 } });
		const settings = open();
		await settings.set({ "beyond.chain": ["anthropic/claude"] });
		expect(JSON.parse(scratch.text(NAME))["pi-multicodex"]).toEqual({
			beyond: { reserve: "always", other: 1, chain: ["anthropic/claude"] },
		});
		expect(settings.read().beyond.chain).toEqual(["anthropic/claude"]);
	});

	it("preferences are what the person wrote", () => {
		write({
			rotation: {
				policy: "in-order",
				maxRotations: 0,
				maxWait: "90s",
				cooldown: "8h",
				reserve: { "5h": 10, "7d": 95 },
				fastMode: "auto",
			},
			beyond: { credits: "never", reserve: "always" },
			caps: { "3f9c0a7be21d": { "5h": 10, "7d": 20 } },
			sets: { "/home/me/project": ["3f9c0a7be21d"] },
			notify: {
				to: "command",
				terminal: "bell",
				command: ["beep", "-l", "9"],
				quiet: "22-7",
				warnAt: [5, 20],
				ahead: "1h",
			},
			notifications: false,
			maskEmails: true,
			ledger: false,
			footer: { usage: "used", windows: "5h", meters: false, order: "usage-first" },
			enabled: false,
		});
		expect(open().read()).toEqual({
			enabled: false,
			footer: {
				usage: "used",
				windows: "5h",
				account: true,
				reset: true,
				meters: false,
				ready: true,
				lasts: false,
				order: "usage-first",
			},
			rotation: {
				policy: "in-order",
				maxRotations: 0,
				maxWaitMs: 90_000,
				cooldownMs: 8 * 3_600_000,
				reserve: { "5h": 10, "7d": 95 },
				fastMode: "auto",
			},
			beyond: { credits: "never", reserveModel: "always", chain: [] },
			caps: { "3f9c0a7be21d": { "5h": 10, "7d": 20 } },
			sets: { "/home/me/project": ["3f9c0a7be21d"] },
			notify: {
				to: "command",
				terminal: "bell",
				command: ["beep", "-l", "9"],
				quiet: { from: 22 * 60, to: 7 * 60 },
				warnAt: [20, 5],
				aheadMs: 3_600_000,
			},
			notifications: false,
			maskEmails: true,
			ledger: false,
		});
		expect(problems).toEqual([]);
	});

	it.each([
		["0s", 0],
		["60s", 60_000],
		["15m", 900_000],
		["8h", 28_800_000],
		["2d", 172_800_000],
	])("preferences write a duration as %s", (text, ms) => {
		write({ rotation: { maxWait: text } });
		expect(open().read().rotation.maxWaitMs).toBe(ms);
	});

	it("preferences follow the file while pi runs", () => {
		const settings = open();
		write({ notifications: false });
		expect(settings.read().notifications).toBe(false);
		write({ notifications: true, maskEmails: true });
		expect(settings.read()).toMatchObject({ notifications: true, maskEmails: true });
		expect(settings.read()).toBe(settings.read());
	});
});

describe("a bad value", () => {
	it.each([
		["rotation.policy", { rotation: { policy: "fastest" } }],
		["rotation.policy", { rotation: { policy: "toString" } }],
		["rotation.policy", { rotation: { policy: 0 } }],
		["rotation.fastMode", { rotation: { fastMode: true } }],
		["rotation.fastMode", { rotation: { fastMode: "sometimes" } }],
		["rotation.reserve.5h", { rotation: { reserve: { "5h": 96 } } }],
		["rotation.reserve.7d", { rotation: { reserve: { "7d": "20%" } } }],
		["rotation.reserve", { rotation: { reserve: 20 } }],
		["rotation.reserve", { rotation: { reserve: [10, 20] } }],
		["rotation.maxRotations", { rotation: { maxRotations: 51 } }],
		["rotation.maxRotations", { rotation: { maxRotations: 2.5 } }],
		["rotation.maxRotations", { rotation: { maxRotations: -1 } }],
		["rotation.maxRotations", { rotation: { maxRotations: "5" } }],
		["rotation.maxWait", { rotation: { maxWait: 60 } }],
		["rotation.maxWait", { rotation: { maxWait: "1 moment" } }],
		["rotation.maxWait", { rotation: { maxWait: "-5s" } }],
		["rotation.cooldown", { rotation: { cooldown: "1y" } }],
		["notifications", { notifications: "yes" }],
		["maskEmails", { maskEmails: null }],
		["rotation", { rotation: "fast" }],
		["rotation", { rotation: [] }],
	])("%s becomes the default, with one message that names the key and the reason: %j", (name, ours) => {
		write(ours);
		const settings = open();
		expect(settings.read()).toEqual(DEFAULT_SETTINGS);
		write({ ...ours, again: true });
		expect(settings.read()).toEqual(DEFAULT_SETTINGS);
		expect(problems).toEqual([expect.stringContaining(`pi-multicodex.${name} must be `)]);
	});

	it("a bad value of the whole key leaves every default, with one message", () => {
		write("everything");
		const settings = open();
		expect(settings.read()).toEqual(DEFAULT_SETTINGS);
		expect(settings.read()).toEqual(DEFAULT_SETTINGS);
		expect(problems).toEqual([expect.stringContaining("pi-multicodex")]);
	});

	it("is named with the others, each once, in a file full of them", () => {
		write({
			rotation: {
				policy: "x",
				maxRotations: -1,
				maxWait: 5,
				cooldown: "soon",
				reserve: { "5h": -1, "7d": null },
				fastMode: "x",
			},
			beyond: { credits: true, reserve: "own" },
			footer: { usage: "most", windows: 5, account: 1, reset: "x", meters: null, ready: [], lasts: "x", order: "x" },
			enabled: "no",
			notifications: 1,
			maskEmails: "x",
			ledger: "on",
		});
		const settings = open();
		expect([settings.read(), settings.read()]).toEqual([DEFAULT_SETTINGS, DEFAULT_SETTINGS]);
		const named = problems.map((problem) => /pi-multicodex\.(\S+) must be \S/.exec(problem)?.[1]);
		expect(named.sort()).toEqual(
			[
				...ROTATION_PREFERENCES.map(({ key }) => `rotation.${key}`),
				...BEYOND_PREFERENCES.map(({ key }) => `beyond.${key}`),
				...FOOTER_PREFERENCES.map(({ key }) => `footer.${key}`),
				...GENERAL_PREFERENCES.map(({ key }) => key),
			].sort(),
		);
	});

	it("a bad value are those of pi-multicodex 2.x if there is no footer yet", () => {
		const former = { usageMode: "used", resetWindow: "7d", showAccount: false, showReset: false, order: "usage-first" };
		write(former);
		const footer = { usage: "used", windows: "7d", account: false, reset: false, order: "usage-first" };
		expect(open().read().footer).toEqual({ ...DEFAULT_SETTINGS.footer, ...footer });
		write({ ...former, footer: { order: "account-first" } });
		expect(open().read().footer).toEqual(DEFAULT_SETTINGS.footer);
		expect(problems).toEqual([]);
	});

	it.each(["own", "ask", "allow", "never"] as const)("lets credits be spent as it says: %s", (credits) => {
		write({ beyond: { credits } });
		expect(open().read().beyond).toEqual({ credits, reserveModel: "ask", chain: [] });
	});

	it.each(["ask", "always", "never"] as const)("lets Luna Reserve serve as it says: %s", (reserve) => {
		write({ beyond: { reserve } });
		expect(open().read().beyond).toEqual({ credits: "own", reserveModel: reserve, chain: [] });
	});

	it("leaves the good values beside it and in its group in force", () => {
		write({ rotation: { reserve: { "5h": 10, "7d": 100 }, fastMode: "auto", policy: "x" } });
		expect(open().read().rotation).toMatchObject({
			reserve: { "5h": 10, "7d": 0 },
			fastMode: "auto",
			policy: "soonest-reset",
		});
		expect(problems).toHaveLength(2);
	});

	it("leaves the good values beside it in force", () => {
		write({ rotation: { maxRotations: "many", maxWait: "5s" }, maskEmails: true });
		expect(open().read()).toMatchObject({ rotation: { maxRotations: 5, maxWaitMs: 5000 }, maskEmails: true });
		expect(problems).toHaveLength(1);
	});

	it("is never quoted, as it may be anything", () => {
		write({ notifications: "secret-token" });
		open().read();
		expect(problems.join()).not.toContain("secret-token");
	});

	it.each(["999999d", "367d"])("is a cooldown of %s, after which no account would ever cool", (cooldown) => {
		write({ rotation: { cooldown } });
		expect(open().read().rotation.cooldownMs).toBeLessThanOrEqual(366 * 24 * 3_600_000);
	});
});

describe("a settings file that cannot be read", () => {
	it("leaves the last good values in force until it can be", () => {
		write({ maskEmails: true });
		const settings = open();
		expect(settings.read().maskEmails).toBe(true);
		scratch.write(NAME, '{"pi-multicodex":{"maskEm');
		expect(settings.read().maskEmails).toBe(true);
		write({ maskEmails: false });
		expect(settings.read().maskEmails).toBe(false);
		expect(problems).toEqual([]);
	});

	it.each(["", "{", "null", "[]", '"x"'])("a settings file that cannot be read is never touched: %j", (bytes) => {
		scratch.write(NAME, bytes);
		expect(open().read()).toEqual(DEFAULT_SETTINGS);
		expect(scratch.text(NAME)).toBe(bytes);
		expect(scratch.names()).toEqual([NAME]);
	});

	it("a settings file that cannot be read is none when it is gone", () => {
		write({ maskEmails: true });
		const settings = open();
		settings.read();
		unlinkSync(scratch.path(NAME));
		expect(settings.read()).toEqual(DEFAULT_SETTINGS);
	});
});

describe("storing values of rotation", () => {
	const pretty = (value: unknown) => JSON.stringify(value, undefined, 2);
	const whole = {
		lastChangelogVersion: "1.5.2",
		"pi-multicodex": {
			maskEmails: true,
			mood: "good",
			rotation: { maxWait: "8h", mood: "better", reserve: { "30d": 5, "7d": 10 }, policy: "in-order" },
			footer: { order: "account-first" },
		},
		theme: "dark",
		packages: ["a", { source: "b" }],
		nothing: null,
	};

	onPosix("changes those alone: all else stays, with its order, layout and mode", async () => {
		scratch.write(NAME, pretty(whole));
		chmodSync(scratch.path(NAME), 0o640);
		const settings = open();
		await settings.set({ "rotation.policy": "round-robin", "rotation.reserve.7d": 20, "rotation.maxRotations": 2 });
		const rotation = {
			maxWait: "8h",
			mood: "better",
			reserve: { "30d": 5, "7d": 20 },
			policy: "round-robin",
			maxRotations: 2,
		};
		expect(scratch.text(NAME)).toBe(pretty({ ...whole, "pi-multicodex": { ...whole["pi-multicodex"], rotation } }));
		expectMode(scratch.path(NAME), 0o640);
		expect(scratch.names()).toEqual([NAME]);
		expect(settings.read()).toMatchObject({
			rotation: { policy: "round-robin", maxRotations: 2, reserve: { "5h": 0, "7d": 20 }, maxWaitMs: 28_800_000 },
			maskEmails: true,
		});
	});

	it("begins a group if there is none, or something else in its place", async () => {
		for (const before of [{}, { rotation: "fast" }, { rotation: { reserve: 5 } }]) {
			scratch.write(NAME, { "pi-multicodex": before });
			await open().set({ "rotation.reserve.5h": 10 });
			expect(scratch.json(NAME)).toEqual({ "pi-multicodex": { rotation: { reserve: { "5h": 10 } } } });
		}
		scratch.write(NAME, { theme: "dark" });
		await open().set({ "rotation.fastMode": "auto" });
		expect(scratch.json(NAME)).toEqual({ theme: "dark", "pi-multicodex": { rotation: { fastMode: "auto" } } });
	});

	it("takes what pi-multicodex 2.x stored of the footer with the first value", async () => {
		scratch.write(NAME, { "pi-multicodex": { usageMode: "used", showReset: false } });
		await open().set({ "footer.meters": false, "footer.windows": "5h" });
		expect(open().read().footer).toMatchObject({ usage: "used", reset: false, meters: false, windows: "5h" });
		expect(scratch.json(NAME)).toEqual({
			"pi-multicodex": {
				usageMode: "used",
				showReset: false,
				footer: { usage: "used", reset: false, meters: false, windows: "5h" },
			},
		});
	});

	it("stores what stands by itself", async () => {
		scratch.write(NAME, { "pi-multicodex": { rotation: { policy: "in-order" } } });
		await open().set({ enabled: false, maskEmails: true });
		expect(open().read()).toMatchObject({ enabled: false, maskEmails: true, rotation: { policy: "in-order" } });
	});

	it("keeps the line end that the file had", async () => {
		scratch.write(NAME, `${pretty(whole)}\n`);
		await open().set({ "rotation.policy": "round-robin" });
		expect(scratch.text(NAME).endsWith("}\n")).toBe(true);
	});

	onPosix("keeps a link a link, and writes what it leads to", async () => {
		mkdirSync(scratch.path("dotfiles"));
		scratch.write("dotfiles/settings.json", pretty(whole));
		symlinkSync(scratch.path("dotfiles/settings.json"), scratch.path(NAME));
		await open().set({ "rotation.policy": "round-robin" });
		expect(lstatSync(scratch.path(NAME)).isSymbolicLink()).toBe(true);
		expect(scratch.text("dotfiles/settings.json")).toContain("round-robin");
		expect(scratch.names()).toEqual(["dotfiles", NAME]);
	});

	onPosix("makes the file that a link leads to, as pi does", async () => {
		mkdirSync(scratch.path("dotfiles"));
		symlinkSync("dotfiles/settings.json", scratch.path(NAME));
		await open().set({ enabled: false });
		expect(lstatSync(scratch.path(NAME)).isSymbolicLink()).toBe(true);
		expect(scratch.json("dotfiles/settings.json")).toEqual({ "pi-multicodex": { enabled: false } });
		expectMode(scratch.path("dotfiles/settings.json"), 0o600);
	});

	onPosix("says where a link leads behind which there is nothing, and where one leads in circles", async () => {
		const failure = () =>
			open()
				.set({ enabled: false })
				.catch((error: Error) => error.message);
		symlinkSync(scratch.path("store/settings.json"), scratch.path(NAME));
		const told = await failure();
		expect(told).toMatch(/^settings\.json leads to .*, which is not there \(ENOENT\)\. Set "pi-multicodex" in /);
		expect(told).toContain(` ${scratch.path("store/settings.json")}, `);
		unlinkSync(scratch.path(NAME));
		symlinkSync(NAME, scratch.path(NAME));
		expect(await failure()).toMatch(/^settings\.json cannot be written \(ELOOP\)\. /);
		expect(scratch.names()).toEqual([NAME]);
	});

	it("makes the file if there is none, for its person alone", async () => {
		const settings = open();
		expect(settings.read()).toEqual(DEFAULT_SETTINGS);
		await settings.set({ "rotation.policy": "in-order" });
		expect(scratch.json(NAME)).toEqual({ "pi-multicodex": { rotation: { policy: "in-order" } } });
		expectMode(scratch.path(NAME), 0o600);
		expect(settings.read().rotation.policy).toBe("in-order");
	});

	it.each(["", "{", '{"theme":"dark","pi-multi', "null", "[]", '"x"'])(
		"writes nothing over what it cannot read, and says so without a word of it: %j",
		async (bytes) => {
			scratch.write(NAME, bytes);
			const failure = await open()
				.set({ "rotation.policy": "in-order" })
				.catch((error: unknown) => error);
			expect(failure).toMatchObject({ code: "EUNREADABLE", message: expect.not.stringContaining("dark") });
			expect(scratch.text(NAME)).toBe(bytes);
			expect(scratch.names()).toEqual([NAME]);
		},
	);

	it("reads a file that pi is in the middle of writing once more, when pi is done", async () => {
		const bytes = pretty(whole);
		const release = await lockfile.lock(scratch.path(NAME), { realpath: false });
		scratch.write(NAME, bytes.slice(0, 100));
		const storing = open().set({ "rotation.policy": "round-robin" });
		await new Promise((resolve) => setTimeout(resolve, 30));
		scratch.write(NAME, bytes);
		await release();
		await storing;
		expect(scratch.json(NAME)).toMatchObject({
			theme: "dark",
			"pi-multicodex": { rotation: { policy: "round-robin" } },
		});
	});

	it("waits for pi's lock, and loses nothing of what pi wrote meanwhile", async () => {
		scratch.write(NAME, pretty(whole));
		const release = await lockfile.lock(scratch.path(NAME), { realpath: false });
		const storing = open().set({ "rotation.policy": "round-robin" });
		await until("the write is prepared", () => scratch.names().some((name) => name.endsWith(".tmp")));
		for (let turn = 0; turn < 20; turn += 1) await settled();
		expect(scratch.text(NAME)).toBe(pretty(whole));
		writeFileSync(scratch.path(NAME), pretty({ ...whole, theme: "light" }));
		await release();
		await storing;
		expect(scratch.json(NAME)).toMatchObject({
			theme: "light",
			"pi-multicodex": { rotation: { policy: "round-robin" } },
		});
		expect(scratch.names()).toEqual([NAME]);
	});

	it("loses nothing if many write at once, pi among them", async () => {
		scratch.write(NAME, pretty(whole));
		const mine = ROTATION_PREFERENCES.map(({ key, choices }) => [key, choices.at(-1) ?? ""] as const);
		const wanted = mine.map(([key, choice]) => [key, /^\d+$/.test(choice) ? Number(choice) : choice] as const);
		const theirs = async (name: string) => {
			const release = await lockfile.lock(scratch.path(NAME), {
				realpath: false,
				retries: { retries: 1000, minTimeout: 5, maxTimeout: 20 },
			});
			writeFileSync(scratch.path(NAME), pretty({ ...Object(scratch.json(NAME)), [name]: name }));
			await release();
		};
		const names = Array.from({ length: 8 }, (_each, at) => `pi-${at}`);
		await Promise.all([
			...wanted.map(([key, value]) => open().set({ [`rotation.${key}`]: value })),
			...names.map((name) => theirs(name)),
		]);
		const stored = open().read().rotation;
		for (const { key, stored: read } of ROTATION_PREFERENCES) {
			expect([key, read(stored)]).toEqual([key, new Map(wanted).get(key)]);
		}
		expect(scratch.json(NAME)).toMatchObject(Object.fromEntries(names.map((name) => [name, name])));
		expect(scratch.names()).toEqual([NAME]);
	});

	it("succeeds, and loses nothing, if another process is quicker each time", async () => {
		scratch.write(NAME, pretty(whole));
		let isOver = false;
		const storing = open()
			.set({ "rotation.policy": "round-robin" })
			.finally(() => {
				isOver = true;
			});
		const seen = new Set<string>();
		while (!isOver) {
			const names = scratch.names();
			const begun = names.find((name) => name.endsWith(".tmp") && !seen.has(name));
			// Only between others' locks, as pi would.
			if (begun !== undefined && !names.includes(`${NAME}.lock`)) {
				seen.add(begun);
				writeFileSync(scratch.path(NAME), pretty({ ...whole, theirs: seen.size }));
			}
			await settled();
		}
		await storing;
		expect(seen.size).toBeGreaterThan(1);
		expect(scratch.json(NAME)).toMatchObject({
			theirs: seen.size,
			"pi-multicodex": { rotation: { policy: "round-robin" } },
		});
		expect(scratch.names()).toEqual([NAME]);
	});

	it("is seen by every other store at its next look, without a restart", async () => {
		scratch.write(NAME, pretty(whole));
		const [one, other] = [open(), open()];
		expect(other.read().rotation.policy).toBe("in-order");
		for (const policy of ["round-robin", "in-order", "most-headroom", "in-order"]) {
			await one.set({ "rotation.policy": policy });
			expect([one.read().rotation.policy, other.read().rotation.policy]).toEqual([policy, policy]);
		}
	});

	onPosix("fails, and changes nothing, if the file stays locked", async () => {
		scratch.write(NAME, pretty(whole));
		const release = await lockfile.lock(scratch.path(NAME), { realpath: false });
		hurryLocks();
		await expect(open().set({ "rotation.policy": "round-robin" })).rejects.toMatchObject({ code: "ELOCKED" });
		await release();
		expect(scratch.text(NAME)).toBe(pretty(whole));
		expect(scratch.names()).toEqual([NAME]);
		symlinkSync(scratch.path("gone/settings.json"), scratch.path("linked.json"));
		const dangling = openSettings(scratch.path("linked.json"), () => undefined);
		await expect(dangling.set({ "rotation.policy": "round-robin" })).rejects.toMatchObject({ code: "ENOENT" });
	});
});

describe("the model that the person has saved", () => {
	const PROVIDER = "openai-codex";
	const saved = () => savedCodexModelIn(scratch.path(NAME));

	it("is the default that pi keeps, if it is a Codex model and not the virtual one", () => {
		scratch.write(NAME, { defaultProvider: PROVIDER, defaultModel: "gpt-6.1" });
		expect(saved()).toBe("gpt-6.1");
		scratch.write(NAME, { defaultProvider: "other", defaultModel: "gpt-6.1" });
		expect(saved()).toBeUndefined();
		scratch.write(NAME, { defaultProvider: PROVIDER, defaultModel: "pool" });
		expect(saved()).toBeUndefined();
	});

	it.each([
		["without a provider", { defaultModel: "gpt-6.1" }],
		["of another shape", { defaultProvider: PROVIDER, defaultModel: 5 }],
		["that is torn", '{"defaultProvider":"openai-codex","defaultModel":"gpt'],
		["that is a list", []],
	])("the model that the person has saved is none in a file %s", (_what, content) => {
		scratch.write(NAME, content);
		expect(saved()).toBeUndefined();
	});

	it("the model that the person has saved is none if there is no file", () => {
		expect(saved()).toBeUndefined();
	});
});

describe("a file that another program makes and keeps where nothing can be written", () => {
	onPosix.each(["a folder of its own", "the agent directory"])(
		"is read, and a change says where it lies: %s",
		async (where) => {
			mkdirSync(scratch.path("store"));
			const isLink = where === "a folder of its own";
			scratch.write(isLink ? `store/${NAME}` : NAME, { theme: "dark", "pi-multicodex": { maskEmails: true } });
			if (isLink) symlinkSync(scratch.path(`store/${NAME}`), scratch.path(NAME));
			const reopen = closeFolder(isLink ? scratch.path("store") : scratch.dir);
			try {
				const settings = open();
				expect(settings.read().maskEmails).toBe(true);
				const place = isLink ? `leads to ${scratch.path(`store/${NAME}`)}, which cannot` : "cannot";
				const failure = await settings.set({ enabled: false }).catch((error: Error) => error.message);
				expect(failure).toMatch(
					new RegExp(`^settings\\.json ${place} be written \\(E[A-Z]+\\)\\. Set "pi-multicodex" in `),
				);
				expect([settings.read().enabled, scratch.names(`${NAME}.`)]).toEqual([true, []]);
			} finally {
				reopen();
			}
		},
	);
});

describe("caps and account sets in the file", () => {
	const ID = anId("3f9c0a7be21d");
	const read = (stored: unknown) => {
		write(stored);
		return open().read();
	};

	it.each<[unknown, Record<string, number>, RegExp | undefined]>([
		[{ "7d": 20 }, { "7d": 20 }, undefined],
		[{ week: 20, "5H": "10", month: "5%" }, { "7d": 20, "5h": 10, "30d": 5 }, undefined],
		[{ "7d": 20, week: 30 }, { "7d": 30 }, undefined],
		[{ "7d": 100 }, { "7d": 100 }, /any other cap keeps its account unused/],
		[{ "7d": "twenty" }, { "7d": 100 }, /keeps its account unused/],
		[{ "7d": null }, { "7d": 100 }, /keeps its account unused/],
		[{ "7d": -5 }, { "7d": 0 }, /a cap of 0 or less is no cap/],
		[{ fortnight: 20 }, { fortnight: 20 }, /a window that does not exist is passed over/],
		["20", { "5h": 100, "7d": 100, "30d": 100, "1d": 100 }, /whose caps cannot be read stays unused/],
	])("caps and sets take %j, and say what is wrong with it", (stored, floors, problem) => {
		expect(read({ caps: { [ID]: stored } }).caps).toEqual({ [ID]: floors });
		expect(problems.map((text) => problem?.test(text))).toEqual(problem ? [true] : []);
	});

	it.each<[unknown, AccountSets, RegExp | undefined]>([
		[{ "/proj": [ID] }, { "/proj": [ID] }, undefined],
		[{ "/proj": ID }, { "/proj": [] }, /a set that cannot be read allows no account/],
		[{ "/proj": [7] }, { "/proj": [] }, /allows no account/],
		[{ proj: [ID], "C:\\proj": [ID] }, {}, /a folder that is not absolute is passed over/],
		[[ID], { "*": [] }, /no account serves until it is corrected/],
		[{ "*": [ID] }, {}, /not absolute/],
	])("caps and sets lose no set by a slip: %j", (stored, sets, problem) => {
		expect(read({ sets: stored }).sets).toEqual(sets);
		expect(problems.map((text) => problem?.test(text))).toEqual(problem ? [true] : []);
	});

	it("caps and sets are stored under keys that hold anything, and leave no empty group behind", async () => {
		write({ notifications: false });
		const settings = open();
		await settings.change([
			{ path: ["sets", "/home/me/my.project"], value: [ID] },
			{ path: ["caps", ID, "7d"], value: 20 },
			{ path: ["caps", ID, "5h"], value: 10 },
		]);
		expect(settings.read().sets).toEqual({ "/home/me/my.project": [ID] });
		expect(settings.read().caps).toEqual({ [ID]: { "5h": 10, "7d": 20 } });
		await settings.change([
			{ path: ["sets", "/home/me/my.project"], value: undefined },
			{ path: ["caps", ID, "7d"], value: undefined },
		]);
		expect(settings.read().caps).toEqual({ [ID]: { "5h": 10 } });
		await settings.change([{ path: ["caps", ID, "5h"], value: undefined }]);
		expect(scratch.json(NAME)).toEqual({ theme: "dark", "pi-multicodex": { notifications: false } });
	});
});

describe("the chain", () => {
	const added = (name: string) => (chain: readonly string[]) => [...chain, name];

	it("is changed as it is in the file, whatever another process has stored since it was read", async () => {
		write({ beyond: { chain: ["a/x"] } });
		const [one, other] = [open(), open()];
		expect([one.read().beyond.chain, other.read().beyond.chain]).toEqual([["a/x"], ["a/x"]]);
		await Promise.all([one.changeChain(added("b/x")), other.changeChain(added("c/x"))]);
		expect([...one.read().beyond.chain].sort()).toEqual(["a/x", "b/x", "c/x"]);
		await one.changeChain(() => undefined);
		expect(one.read().beyond.chain).toHaveLength(3);
	});

	it("keeps what only another version can read, until it is cleared", async () => {
		write({ beyond: { chain: [{ model: "later" }, "a/x"] } });
		const settings = open();
		await settings.changeChain(added("b/x"));
		const stored = () => (scratch.json(NAME) as { "pi-multicodex": unknown })["pi-multicodex"];
		expect(stored()).toEqual({ beyond: { chain: ["a/x", "b/x", { model: "later" }] } });
		await settings.changeChain(() => []);
		expect(stored()).toEqual({ beyond: { chain: [] } });
	});
});

describe("a settings file that could never be read", () => {
	it("allows no account while it may hold account sets or caps, and is as if it were not there else", () => {
		scratch.write(NAME, '{"pi-multicodex":{"sets":{"/proj":["a"]},}}');
		const settings = open();
		expect(settings.read().sets).toEqual({ "*": [] });
		write({ sets: { "/proj": ["a"] } });
		expect(settings.read().sets).toEqual({ "/proj": ["a"] });
		scratch.write(NAME, '{"pi-multicodex":{"sets":');
		expect(settings.read().sets).toEqual({ "/proj": ["a"] });
		scratch.write(NAME, '{"pi-multicodex":{"caps":{"a":{"7d":20}},}}');
		expect(open().read().sets).toEqual({ "*": [] });
		scratch.write(NAME, '{"theme":"dark",}');
		expect(open().read()).toEqual(DEFAULT_SETTINGS);
	});
});
