import { mkdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { StatusAsked } from "../../../src/cli/arguments.ts";
import { BROKEN, NONE_READY, READY, statusOf } from "../../../src/cli/status.ts";
import { openStoredPool, pathsIn, untilWhole } from "../../../src/cli/stored-pool.ts";
import { noAccountSignedIn } from "../../../src/core/request/turn-texts.ts";
import { statusSchema } from "../../../src/pi/json-schemas.ts";
import { newKeeperCode, printJoinCode } from "../../../src/platform/shared-pool/join-code.ts";
import { openMirror } from "../../../src/platform/shared-pool/mirror.ts";
import { aCooldown, anAccount, aScratch, aTokenOf, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";
import { aStoredHome, type StoredHome, usageOf } from "./stored-home.ts";

const ASKED: StatusAsked = { kind: "status", form: "text", isWatching: false, columns: 40 };
const status = (home: StoredHome, asked: Partial<StatusAsked> = {}, folder?: string) =>
	statusOf(home.open(folder), { ...ASKED, ...asked }, () => 80);
const line = (home: StoredHome, columns = 40) => status(home, { form: "line", columns }).text;

const spent = { usage: usageOf(100, 40), cooldowns: [aCooldown()] };
const twoOfThree = () =>
	aStoredHome({
		work: { status: { usage: usageOf(27, 8), lastUsedAt: NOW - MINUTE_MS } },
		side: { status: { usage: usageOf(0, 50) } },
		out: { status: spent },
	});

/** pi's file while it is signed in with the account `own`. */
const LOGIN_OF_OWN = {
	"openai-codex": {
		type: "oauth",
		access: aTokenOf("own"),
		refresh: "r",
		expires: NOW + HOUR_MS,
		accountId: "acct-own",
	},
};

describe("the status of a pool", () => {
	it("is a table, a line, and a document, which agree", () => {
		const home = twoOfThree();
		const { text, code, problems } = status(home);
		expect({ code, problems }).toEqual({ code: READY, problems: [] });
		expect(text).toMatch(/^2 of 3 ready · soonest-reset\n→ {2}work .*\n {3}side .*\n {3}out .*out of quota 1h00m\n$/);
		expect(line(home)).toBe("work · 5h 73% · wk 92% · 2/3\n");
		expect(line(home, 80)).toMatch(/^codex work · 5h 73% left .* · 2\/3 ready\n$/);
		const document = statusSchema.parse(JSON.parse(status(home, { form: "json" }).text));
		expect(document).toMatchObject({
			active: home.id("work"),
			ready: 2,
			usable: 3,
			line: "work · 5h 73% · wk 92% · 2/3",
		});
	});

	it("has the accounts of a shared pool as a pi has seen them last, and asks no database", async () => {
		const home = aStoredHome({ solo: { status: { usage: usageOf(27, 8) } } }, { "pi-multicodex": { pool: "pi" } });
		const code = newKeeperCode("postgres://pool:hunter2@127.0.0.1:1/pi");
		const mirror = openMirror(home.path("codex-pool.json"), expect.fail);
		await mirror.enter(printJoinCode(code), "laptop", "pi", false);
		const credential = { access: aTokenOf("work"), refresh: "shared:0011", expiresAt: NOW + HOUR_MS };
		const account = anAccount("work", { id: home.id("work"), credential, shared: true });
		await mirror.take([{ version: 1, tokenHash: "0011", account }]);
		const presence = { process: "p", machine: "desk", sessions: { [account.id]: 2 }, seenAt: NOW };
		mirror.noteLook({ at: NOW, aheadMs: 0, listens: true, presences: [presence] }, "pi");
		await mirror.flush();
		const before = readFileSync(home.path("codex-pool.json"), "utf8");
		const { text, problems } = status(home);
		expect(problems).toEqual([]);
		expect(text).toMatch(/^2 of 2 ready · soonest-reset · ⇄ pi with desk\n/);
		expect(text).toMatch(/^→ {2}work ⇄ .*ready$/m);
		expect(text).toMatch(/^ {2}work: 2 sessions on desk$/m);
		const document = statusSchema.parse(JSON.parse(status(home, { form: "json" }).text));
		expect(document.pool).toEqual({
			name: "pi",
			role: "keeper",
			machine: "laptop",
			state: "resting",
			machines: ["desk"],
		});
		expect(JSON.stringify(document)).not.toMatch(/hunter2|pi-pool-|shared:/);
		expect(readFileSync(home.path("codex-pool.json"), "utf8")).toBe(before);
		home.write("codex-pool.json", "{");
		expect(status(home)).toMatchObject({
			problems: [expect.stringMatching(/^codex-pool\.json is damaged /)],
			code: BROKEN,
		});
	});

	it.each([1, 5, 12, 40, 120])("fits %i columns in one line without an escape code", (columns) => {
		const text = line(twoOfThree(), columns);
		expect(text).toMatch(/^[^\p{Cc}]+\n$/u);
		expect(text.trimEnd().length).toBeLessThanOrEqual(columns);
	});

	it("continues with the account that served last within the hour, and else begins as a new session does", () => {
		const home = twoOfThree();
		expect(line(home)).toMatch(/^work /);
		home.writeState({ work: { usage: usageOf(27, 8) }, side: { usage: usageOf(0, 50), lastUsedAt: NOW - 1000 } });
		expect(line(home)).toMatch(/^side /);
		home.writeState({
			work: { usage: usageOf(27, 8), lastUsedAt: NOW - 2 * HOUR_MS },
			side: { usage: usageOf(0, 50) },
		});
		const { pool, nextOfNew } = home.open();
		expect(line(home)).toMatch(new RegExp(`^(codex )?${pool.plan(nextOfNew()).next?.label} `));
	});

	it("follows a rotation: the account that has run out is left", () => {
		const home = twoOfThree();
		home.writeState({ work: { ...spent, lastUsedAt: NOW }, side: { usage: usageOf(0, 50) }, out: spent });
		expect(line(home)).toMatch(/^side /);
	});

	it("ends with 3 if no account is ready, and says when the first one is back", () => {
		const home = aStoredHome({ work: { status: spent } });
		const { code, returns } = status(home, { isWatching: true });
		expect({ code, returns }).toEqual({ code: NONE_READY, returns: [NOW + HOUR_MS] });
		expect(line(home)).toMatch(/^codex 0\/1 ready · work back /);
	});

	it("says so if no account is stored, and if pi's own login has not been taken over", () => {
		const home = aStoredHome({});
		expect(status(home)).toMatchObject({ text: `${noAccountSignedIn()}\n`, code: NONE_READY });
		expect(line(home)).toBe("codex no accounts · /multicodex add\n");
		home.write("auth.json", LOGIN_OF_OWN);
		expect(status(home)).toMatchObject({
			text: expect.stringContaining("next start of pi"),
			code: NONE_READY,
		});
	});

	it("leaves out an account whose login pi has given up, and has one of another source signed out", () => {
		const usage = usageOf(27, 8);
		const home = aStoredHome({
			own: { row: { linked: true, source: "pi" }, status: { usage, lastUsedAt: NOW } },
			side: { row: { linked: true, source: "login" } },
			work: { status: { usage } },
		});
		home.write("auth.json", LOGIN_OF_OWN);
		expect(status(home).text).toMatch(/^3 of 3 ready .*\n→ {2}own /);
		home.write("auth.json", {});
		expect(status(home).text).toMatch(/^1 of 2 ready .*\n {3}side .* signed out\n→ {2}work /);
		home.write("auth.json", "{");
		expect(status(home).text).toMatch(/^3 of 3 ready /);
	});

	it("says so if pi's own key serves, and if the person has switched us off", () => {
		const home = twoOfThree();
		home.write("auth.json", { "openai-codex": { type: "api_key", key: "sk-x" } });
		expect(status(home)).toMatchObject({ code: READY, text: expect.stringMatching(/^pi's own API key serves · /) });
		const off = aStoredHome({ work: { status: spent } }, { "pi-multicodex": { enabled: false } });
		expect(line(off)).toBe("codex off · /multicodex on\n");
		expect(status(off).code).toBe(NONE_READY);
	});

	it("uses the account set of the folder that it is started in", () => {
		const home = twoOfThree();
		mkdirSync(home.path("client"));
		const sets = { [home.path("client")]: [home.id("side")] };
		home.write("settings.json", { "pi-multicodex": { sets } });
		expect(status(home, {}, home.path("client")).text).toMatch(/^1 of 1 ready .* set of client\n[^→]*→ {2}side/);
		expect(status(home, {}, home.dir).text).toMatch(/^2 of 3 ready/);
	});

	it("honours the footer's preferences, and hides e-mails if they are to be hidden", () => {
		const row = { label: "me@work.example" };
		const home = aStoredHome(
			{ work: { row, status: { usage: usageOf(27, 8) } } },
			{ "pi-multicodex": { maskEmails: true, footer: { usage: "used" } } },
		);
		for (const form of ["text", "line", "json"] as const) {
			expect(status(home, { form }).text).toContain("m…@w");
			expect(status(home, { form }).text).not.toContain("me@work");
		}
		expect(line(home)).toContain("5h 27%");
	});

	it("lets nothing of a label act on a terminal", () => {
		const home = aStoredHome({ work: { row: { label: "a\x1b[31mb\u202e" }, status: { usage: usageOf(27, 8) } } });
		for (const form of ["text", "line", "json"] as const) {
			expect(status(home, { form }).text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
		}
	});
});

describe("files that cannot be read", () => {
	it.each([
		["accounts that are damaged", "codex-accounts.json", "{", /^codex-accounts\.json is damaged/],
		["accounts of a newer version", "codex-accounts.json", '{"version":9,"accounts":[]}', /newer pi-multicodex/],
	])("unreadable files say nothing of %s but that", (_what, name, content, problem) => {
		const home = twoOfThree();
		home.write(name, content);
		for (const form of ["text", "json"] as const) {
			expect(status(home, { form })).toMatchObject({
				text: "",
				code: BROKEN,
				problems: [expect.stringMatching(problem)],
			});
		}
		expect(status(home, { form: "line" })).toMatchObject({ text: "codex files unreadable\n", code: BROKEN });
	});

	it.each(["codex-state.json", "settings.json", "auth.json"])("what is known is shown beside a damaged %s", (name) => {
		const home = twoOfThree();
		home.write(name, "{");
		const { text, code, problems } = status(home);
		expect(text).toContain("work");
		expect({ code, problems }).toEqual({ code: BROKEN, problems: [expect.stringContaining(`${name} is damaged`)] });
	});

	it("unreadable files are waited for while pi writes them", async () => {
		const home = twoOfThree();
		home.write("settings.json", '{"pi-multi');
		setTimeout(() => home.write("settings.json", {}), 20);
		await untilWhole(pathsIn(home.dir));
		expect(status(home)).toMatchObject({ code: READY, problems: [] });
	});

	it("unreadable files name a preference that will not do, and go on with its default", () => {
		const home = aStoredHome({ work: {} }, { "pi-multicodex": { rotation: { policy: "best" } } });
		expect(home.open().complaints()).toEqual([
			expect.stringMatching(/^settings\.json: pi-multicodex\.rotation\.policy /),
		]);
		expect(status(home).code).toBe(READY);
	});

	it("a linked accounts file is followed, with the former state while pi has begun none there", () => {
		const home = twoOfThree();
		const other = aScratch();
		renameSync(home.path("codex-accounts.json"), other.path("shared.json"));
		symlinkSync(other.path("shared.json"), home.path("codex-accounts.json"));
		expect(line(home)).toMatch(/^work · 5h 73%/);
		renameSync(home.path("codex-state.json"), other.path("shared.state.json"));
		home.writeState({});
		expect(line(home)).toMatch(/^work · 5h 73%/);
		const { files } = pathsIn(home.dir);
		expect(files).toEqual(expect.arrayContaining([other.path("shared.json"), other.path("shared.state.json")]));
		other.remove();
	});

	it("unreadable files need not be there, nor need their folder", () => {
		const paths = pathsIn("/nowhere/at/all");
		const stored = openStoredPool(paths, { now: () => NOW }, () => {
			throw new Error("ENOENT: the folder is gone");
		});
		expect(statusOf(stored, ASKED, () => 80)).toMatchObject({ code: NONE_READY, problems: [] });
	});
});
