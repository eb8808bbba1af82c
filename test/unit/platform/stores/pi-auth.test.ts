import {
	chmodSync,
	lstatSync,
	mkdirSync,
	readFileSync,
	rmdirSync,
	symlinkSync,
	unlinkSync,
	writeFileSync,
} from "node:fs";
import { open as openFile } from "node:fs/promises";
import lockfile from "proper-lockfile";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { LockedPiAuth } from "../../../../src/core/ports.ts";
import { openPiAuth, parseLogin } from "../../../../src/platform/stores/pi-auth.ts";
import { aCredential, ENCODINGS, NOW, until } from "../../../support/fakes.ts";
import { aWorkspaceId } from "../../../support/ids.ts";
import { expectMode, onPosix } from "../../../support/posix.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { hurryLocks } from "../../waits.ts";

const NAME = "auth.json";

const scratch = scratchForEach();
afterEach(() => {
	vi.restoreAllMocks();
});

type Call = "sync" | "stat";
type Calls = Record<Call, (this: unknown, ...given: unknown[]) => Promise<unknown>>;

/** Calls `act` after each such call of an open file; of a `stat` only with options, as right before a rename. */
async function afterEachCall(call: Call, act: () => unknown): Promise<void> {
	const handle = await openFile(scratch.write("any", ""), "r");
	const calls: Calls = Object.getPrototypeOf(handle);
	const original = calls[call];
	await handle.close();
	unlinkSync(scratch.path("any"));
	vi.spyOn(calls, call).mockImplementation(async function (this: unknown, ...given: unknown[]) {
		const done = await Reflect.apply(original, this, given);
		if (call !== "stat" || given.length > 0) act();
		return done;
	});
}

/** Calls `act` after the next such call. */
function afterNextCall(call: Call, act: () => unknown): Promise<void> {
	return afterEachCall(call, () => {
		vi.restoreAllMocks();
		act();
	});
}

const open = () => openPiAuth(scratch.path(NAME));
const entry = (overrides: Record<string, unknown> = {}) => ({
	type: "oauth",
	access: "access-old",
	refresh: "refresh-old",
	expires: NOW,
	accountId: "acct",
	...overrides,
});
const pretty = (value: unknown) => JSON.stringify(value, undefined, 2);
const write = (value: unknown) => scratch.write(NAME, pretty(value));
const next = aCredential("new", { expiresAt: NOW + 5 });
const replace = (refresh = "refresh-old") =>
	open().exclusively((file) => file.replaceCredential(refresh, next, aWorkspaceId("acct")), undefined);

describe("a file that an editor of another system has saved", () => {
	it.each(ENCODINGS)("is read, and written as pi writes it: in %s", async (_what, encode) => {
		writeFileSync(scratch.path(NAME), encode(pretty({ anthropic: { key: "k" }, "openai-codex": entry() })));
		expect(open().peek()).toMatchObject({ kind: "oauth", credential: { refresh: "refresh-old" } });
		expect(await replace()).toBe(true);
		expect(scratch.json(NAME)).toMatchObject({ anthropic: { key: "k" }, "openai-codex": { refresh: next.refresh } });
	});
});

describe("pi's login", () => {
	it("pi's login is the credential that pi has stored", () => {
		write({ anthropic: { type: "api_key", key: "k" }, "openai-codex": entry() });
		expect(open().peek()).toEqual({
			kind: "oauth",
			credential: { access: "access-old", refresh: "refresh-old", expiresAt: NOW },
			workspaceId: "acct",
		});
	});

	it.each([
		["none", "there is no entry", "{}"],
		["none", "there are only others", pretty({ anthropic: entry() })],
		["none", "its entry is null", pretty({ "openai-codex": null })],
		["foreign", "it is an API key", pretty({ "openai-codex": { type: "api_key", key: "sk-1" } })],
		["foreign", "its type is unknown", pretty({ "openai-codex": { type: "passkey" } })],
		["foreign", "it is a text", pretty({ "openai-codex": "sk-1" })],
		["unreadable", "the file is empty", ""],
		["unreadable", "the file is torn", pretty({ "openai-codex": entry() }).slice(0, 60)],
		["unreadable", "the file is no object", "[]"],
		["unreadable", "the file is null", "null"],
		["unreadable", "a field is missing", pretty({ "openai-codex": { type: "oauth", access: "a", expires: 1 } })],
		["unreadable", "a field is broken", pretty({ "openai-codex": entry({ refresh: 5 }) })],
		["oauth", "only the token has an end", pretty({ "openai-codex": entry({ expires: "soon" }) })],
	])("pi's login is %s if %s", (kind, _name, bytes) => {
		expect(parseLogin(bytes).kind).toBe(kind);
		scratch.write(NAME, bytes);
		expect(open().peek().kind).toBe(kind);
		expect(scratch.text(NAME)).toBe(bytes);
	});

	it("is never taken for a logout at any point of a torn write", () => {
		const whole = `${pretty({ anthropic: entry(), "openai-codex": entry() })}\n`;
		for (let length = 0; length < whole.trimEnd().length; length += 1) {
			expect([length, parseLogin(whole.slice(0, length)).kind]).toEqual([length, "unreadable"]);
		}
	});

	it("pi's login is none if there is no file, and unreadable if the file is a folder", () => {
		expect(open().peek().kind).toBe("none");
		expect(open().signature()).toBeUndefined();
		mkdirSync(scratch.path(NAME));
		expect(open().peek().kind).toBe("unreadable");
	});

	it("has another signature after every change, and the same one until then", () => {
		const auth = open();
		write({ "openai-codex": entry() });
		const before = auth.signature();
		expect(auth.signature()).toBe(before);
		write({ "openai-codex": entry({ access: "access-alt" }) });
		expect(auth.signature()).not.toBe(before);
	});

	it("is read whole under the lock, after a writer that was in the middle of it", async () => {
		scratch.write(NAME, '{"openai-co');
		const release = await lockfile.lock(scratch.path(NAME), { realpath: false });
		const auth = open();
		expect(auth.peek().kind).toBe("unreadable");
		const reading = auth.read(undefined);
		write({ "openai-codex": entry() });
		await release();
		expect(await reading).toMatchObject({ kind: "oauth" });
	});
});

describe("replacing pi's credential", () => {
	onPosix("changes four fields, and keeps all else: keys, order, layout, mode", async () => {
		const before = {
			zeta: { type: "api_key", key: "k" },
			"openai-codex": {
				refresh: "refresh-old",
				note: "kept",
				type: "oauth",
				expires: NOW,
				accountId: "acct",
				access: "access-old",
				scopes: ["a"],
			},
			anthropic: { type: "oauth", access: "x", refresh: "y", expires: 5, deep: { list: [1, null] } },
		};
		write(before);
		chmodSync(scratch.path(NAME), 0o640);
		expect(await replace()).toBe(true);
		const codex = { ...before["openai-codex"], access: next.access, refresh: next.refresh, expires: NOW + 5 };
		expect(scratch.text(NAME)).toBe(pretty({ ...before, "openai-codex": codex }));
		expectMode(scratch.path(NAME), 0o640);
		expect(scratch.names()).toEqual([NAME]);
	});

	it("keeps the order of the other entries, and the line end that the file had", async () => {
		const before = {
			zeta: { type: "api_key", key: "k" },
			"openai-codex": entry(),
			alpha: { type: "api_key", key: "l" },
		};
		scratch.write(NAME, `${pretty(before)}\n`);
		expect(await replace()).toBe(true);
		expect(Object.keys(before)).toEqual(Object.keys(JSON.parse(scratch.text(NAME))));
		expect(scratch.text(NAME).endsWith("}\n")).toBe(true);
	});

	onPosix("keeps a link a link, and writes what it leads to", async () => {
		mkdirSync(scratch.path("dotfiles"));
		scratch.write("dotfiles/auth.json", pretty({ "openai-codex": entry() }));
		symlinkSync(scratch.path("dotfiles/auth.json"), scratch.path(NAME));
		expect(await replace()).toBe(true);
		expect(lstatSync(scratch.path(NAME)).isSymbolicLink()).toBe(true);
		expect(scratch.text("dotfiles/auth.json")).toContain(next.access);
		expect(await open().writeBack(next.refresh, aCredential("later"), aWorkspaceId("acct"))).toBe(true);
		expect(lstatSync(scratch.path(NAME)).isSymbolicLink()).toBe(true);
		expect(scratch.text("dotfiles/auth.json")).toContain("access-later");
		expect(scratch.names()).toEqual([NAME, "dotfiles"]);
	});

	it.each([
		["pi holds another token by now", pretty({ "openai-codex": entry({ refresh: "refresh-other" }) })],
		["pi is signed out by now", pretty({ anthropic: entry() })],
		["pi holds an API key by now", pretty({ "openai-codex": { type: "api_key", key: "refresh-old" } })],
		["the file does not parse", '{"openai-codex":{"refresh":"refresh-old"'],
	])("replacing pi's credential does nothing if %s", async (_name, bytes) => {
		scratch.write(NAME, bytes);
		expect(await replace()).toBe(false);
		expect(await open().writeBack("refresh-old", next, aWorkspaceId("acct"))).toBe(false);
		expect(scratch.text(NAME)).toBe(bytes);
		expect(scratch.names()).toEqual([NAME]);
	});

	it("sees what pi wrote after the lock was taken", async () => {
		write({ "openai-codex": entry() });
		const hasReplaced = await open().exclusively(async (file) => {
			expect(file.login().kind).toBe("oauth");
			write({ "openai-codex": entry(), groq: { type: "api_key", key: "new" } });
			return file.replaceCredential("refresh-old", next, aWorkspaceId("acct"));
		}, undefined);
		expect(hasReplaced).toBe(true);
		expect(scratch.json(NAME)).toMatchObject({ groq: { key: "new" }, "openai-codex": { access: next.access } });
	});

	it.each<[string, (file: LockedPiAuth) => Promise<boolean>, unknown]>([
		["replacing", (file) => file.replaceCredential("refresh-old", next, aWorkspaceId("acct")), { access: next.access }],
		["deleting", (file) => file.deleteLogin("refresh-old"), undefined],
	])(
		"keeps what pi wrote after the last look at the file, as after a process was stopped: %s",
		async (_, act, left) => {
			write({ "openai-codex": entry() });
			const theirs = { "openai-codex": entry(), groq: { type: "api_key", key: "new" } };
			const isDone = await open().exclusively(async (file) => {
				await afterNextCall("sync", () => write(theirs));
				return act(file);
			}, undefined);
			expect([isDone, scratch.json(NAME)]).toMatchObject([true, { groq: { key: "new" } }]);
			expect(scratch.json(NAME)).toHaveProperty("groq");
			if (left) expect(scratch.json(NAME)).toMatchObject({ "openai-codex": left });
			else expect(scratch.json(NAME)).not.toHaveProperty("openai-codex");
			expect(scratch.names()).toEqual([NAME]);
		},
	);

	it("does nothing if pi signed in anew after the last look at the file", async () => {
		write({ "openai-codex": entry() });
		const isDone = await open().exclusively(async (file) => {
			await afterNextCall("sync", () => write({ "openai-codex": entry({ refresh: "anew" }) }));
			return file.replaceCredential("refresh-old", next, aWorkspaceId("acct"));
		}, undefined);
		expect([isDone, scratch.json(NAME)]).toMatchObject([false, { "openai-codex": { refresh: "anew" } }]);
	});

	it("fails if pi writes each time, and overwrites nothing", async () => {
		write({ "openai-codex": entry() });
		let writes = 0;
		const replacing = open().exclusively(async (file) => {
			await afterEachCall("sync", () => {
				writes += 1;
				write({ "openai-codex": entry(), groq: { key: `${writes}` } });
			});
			return file.replaceCredential("refresh-old", next, aWorkspaceId("acct"));
		}, undefined);
		await expect(replacing).rejects.toMatchObject({ code: "ELOCKED" });
		expect(scratch.json(NAME)).toEqual({ "openai-codex": entry(), groq: { key: `${writes}` } });
		expect(scratch.names()).toEqual([NAME]);
	});

	it("can be tried again after a write that failed", async () => {
		write({ "openai-codex": entry() });
		const isDone = await open().exclusively(async (file) => {
			await afterNextCall("stat", () => {
				unlinkSync(scratch.path(NAME));
				mkdirSync(scratch.path(NAME));
			});
			await expect(file.replaceCredential("refresh-old", next, aWorkspaceId("acct"))).rejects.toThrow();
			rmdirSync(scratch.path(NAME));
			write({ "openai-codex": entry() });
			return file.replaceCredential("refresh-old", next, aWorkspaceId("acct"));
		}, undefined);
		expect([isDone, scratch.json(NAME)]).toMatchObject([true, { "openai-codex": { refresh: next.refresh } }]);
		expect(scratch.names()).toEqual([NAME]);
	});

	onPosix("finds out that it cannot write before anything is spent", async () => {
		let hasRun = false;
		const work = async () => {
			hasRun = true;
		};
		await expect(open().exclusively(work, undefined)).rejects.toMatchObject({ code: "ENOENT" });
		symlinkSync(scratch.path("gone/auth.json"), scratch.path(NAME));
		await expect(open().exclusively(work, undefined)).rejects.toMatchObject({ code: "ENOENT" });
		expect(hasRun).toBe(false);
	});

	it("leaves nothing behind if the work fails", async () => {
		write({ "openai-codex": entry() });
		const failing = open().exclusively(() => Promise.reject(new Error("no answer")), undefined);
		await expect(failing).rejects.toThrow("no answer");
		expect(scratch.names()).toEqual([NAME]);
	});
});

describe("a write that was held up", () => {
	it("keeps what pi wrote between the look under the lock and the rename", async () => {
		write({ "openai-codex": entry() });
		await afterNextCall("stat", () => write({ "openai-codex": entry(), groq: { key: "new" } }));
		expect(await open().writeBack("refresh-old", next, aWorkspaceId("acct"))).toBe(true);
		expect(scratch.json(NAME)).toMatchObject({ groq: { key: "new" }, "openai-codex": { refresh: next.refresh } });
	});

	it("fails if pi writes each time right before the rename, and overwrites nothing", async () => {
		write({ "openai-codex": entry() });
		let writes = 0;
		await afterEachCall("stat", () => {
			writes += 1;
			write({ "openai-codex": entry(), groq: { key: `${writes}` } });
		});
		await expect(open().writeBack("refresh-old", next, aWorkspaceId("acct"))).rejects.toMatchObject({
			code: "ELOCKED",
		});
		expect(scratch.json(NAME)).toEqual({ "openai-codex": entry(), groq: { key: `${writes}` } });
	});

	it("changes nothing if pi wrote meanwhile", async () => {
		write({ "openai-codex": entry() });
		const release = await lockfile.lock(scratch.path(NAME), { realpath: false });
		const writing = open().writeBack("refresh-old", next, aWorkspaceId("acct"));
		await until("the write is prepared", () => scratch.names().some((name) => name.endsWith(".tmp")));
		const theirs = pretty({ "openai-codex": entry({ refresh: "refresh-theirs" }) });
		writeFileSync(scratch.path(NAME), theirs);
		await release();
		expect(await writing).toBe(false);
		expect(readFileSync(scratch.path(NAME), "utf8")).toBe(theirs);
		expect(scratch.names()).toEqual([NAME]);
	});
});

describe("a busy lock", () => {
	it("is waited for three seconds, by a read, an exchange and a write", async () => {
		write({ "openai-codex": entry() });
		const before = scratch.text(NAME);
		const release = await lockfile.lock(scratch.path(NAME), { realpath: false });
		let hasRun = false;
		const work = async () => {
			hasRun = true;
		};
		const waitedMs = hurryLocks();
		const waits = async (attempt: () => Promise<unknown>) => {
			const began = waitedMs();
			const [outcome] = await Promise.allSettled([attempt()]);
			expect(waitedMs() - began).toBeGreaterThan(3000);
			// Other work of the process looks at the stopwatch too, and moves it.
			expect(waitedMs() - began).toBeLessThan(30_000);
			return outcome;
		};
		expect(await waits(() => open().read(undefined))).toMatchObject({ value: "busy" });
		expect(await waits(() => open().exclusively(work, undefined))).toMatchObject({ value: "busy" });
		expect(await waits(() => open().writeBack("refresh-old", next, aWorkspaceId("acct")))).toMatchObject({
			reason: { name: "LockBusyError" },
		});
		await release();
		expect(hasRun).toBe(false);
		expect(scratch.text(NAME)).toBe(before);
		expect(scratch.names()).toEqual([NAME]);
	});

	it("a busy lock is not waited for after an abort", async () => {
		write({ "openai-codex": entry() });
		const release = await lockfile.lock(scratch.path(NAME), { realpath: false });
		const abort = new AbortController();
		const reading = open().read(abort.signal);
		const exchanging = open().exclusively(async () => undefined, abort.signal);
		abort.abort(new Error("the person left"));
		await expect(reading).rejects.toThrow("the person left");
		await expect(exchanging).rejects.toThrow("the person left");
		await release();
		expect(scratch.names()).toEqual([NAME]);
	});

	it("is a different error from a folder that is gone", async () => {
		write({ "openai-codex": entry() });
		unlinkSync(scratch.path(NAME));
		scratch.remove();
		await expect(open().read(undefined)).rejects.toMatchObject({ code: "ENOENT" });
	});
});

describe("pi's ChatGPT sign-in under openai", () => {
	it.each<[string, unknown, boolean]>([
		["a sign-in", { openai: { type: "oauth", access: "a", clientId: "oaiapp_x" } }, true],
		["a sign-in beside ours", { openai: { type: "oauth" }, "openai-codex": entry() }, true],
		["an API key", { openai: { type: "api_key", key: "sk-x" } }, false],
		["ours alone", { "openai-codex": entry() }, false],
		["something else", { openai: null }, false],
		["no object", [], false],
	])("pi's ChatGPT sign-in under openai is there with %s: %j", (_what, content, isThere) => {
		write(content);
		expect(open().hasPlanLogin()).toBe(isThere);
	});

	it("pi's ChatGPT sign-in under openai is not there without a file, or with one that does not parse", () => {
		expect(open().hasPlanLogin()).toBe(false);
		scratch.write(NAME, '{"openai": {"type": "oa');
		expect(open().hasPlanLogin()).toBe(false);
	});
});

describe("the mark of a stored login", () => {
	it("is the same for as long as the entry of its provider is, and holds nothing of it", () => {
		write({ groq: { type: "api_key", key: "key one" }, other: { type: "api_key", key: "x" } });
		const before = open().loginMark("groq");
		expect(before).toMatch(/^[0-9a-f]{16}$/);
		write({ groq: { type: "api_key", key: "key one" }, other: { type: "api_key", key: "y" } });
		expect(open().loginMark("groq")).toBe(before);
		write({ groq: { type: "api_key", key: "key two" } });
		expect(open().loginMark("groq")).not.toBe(before);
		for (const none of ["other", "constructor"]) expect(open().loginMark(none)).toBeUndefined();
	});
});
