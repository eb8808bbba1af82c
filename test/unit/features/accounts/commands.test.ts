import { beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId, aWorkspaceId } from "../../../support/ids.ts";
import { aGrant, type CommandHarness, createCommandHarness, idOf } from "../../command-harness.ts";
import { aContext } from "../../fake-pi.ts";

let cli: CommandHarness;

const work = anAccount("work", { id: anId("3f9c0a7be21d") });
const home = anAccount("home", { id: anId("3f00aa7be21d") });
const side = anAccount("side", { id: anId("aaaaaaaaaaaa") });
const out = anAccount("out", { id: anId("bbbbbbbbbbbb"), needsLogin: { reason: "revoked", at: NOW } });

function open(rows: readonly Account[] = [work, home, side, out], mode: "tui" | "rpc" | "print" = "tui"): void {
	cli = createCommandHarness(rows, { mode, hasUI: mode !== "print" });
}
/** The only account is pi's own login. */
function openPis(mode?: "tui" | "rpc"): void {
	const credential = aGrant("work");
	open([anAccount("work", { id: idOf("work"), credential, linked: true, source: "pi" })], mode);
	cli.piAuth.login = { kind: "oauth", credential, workspaceId: aWorkspaceId("acct-work") };
}
beforeEach(() => open());

const run = (args: string) => cli.run(args);
const labels = () => cli.harness.pool.accounts().map(({ label }) => label);
const account = (id: AccountId) => cli.harness.pool.account(id);

describe("remove", () => {
	it.each(["work", "WORK", "work@example.test", "3f9c"])("takes %s for the account", async (named) => {
		await run(`remove ${named}`);
		expect(labels()).not.toContain("work");
	});

	it.each([
		["3f", /work \(3f9c0a7be21d\), home \(3f00aa7be21d\)\./],
		["missing", /"missing"\. Known: work, home, side, out\./],
	])("the words %s remove no account, and there is no question", async (named, words) => {
		expect(await run(`remove ${named}`)).toMatch(words);
		expect([labels().length, cli.screen.questions]).toEqual([4, []]);
	});

	it("removing another account moves no session", async () => {
		cli.harness.affinity.begin(aSessionId("s"), work.id, NOW);
		expect(await run("remove home")).not.toMatch(/next request/);
		expect(cli.screen.details[0]).not.toMatch(/next|No other/);
	});

	it("removing the active account says so if no other one is ready", async () => {
		open([work, out]);
		cli.harness.pool.setActive(work.id);
		await run("remove work");
		expect(cli.screen.details[0]).toMatch(/No other account/);
		expect(await run("remove out")).toMatch(/No .* account is left/);
	});

	it("removing pi's own login asks whether to sign pi out too, and does", async () => {
		openPis();
		expect(await run("remove work")).toMatch(/removed work .*signed pi out/);
		expect(cli.screen.details[0]).toMatch(/pi's own login: .*█ +Keep *Remove and sign pi out/);
		expect(cli.piAuth.login.kind).toBe("none");
	});

	it("removing pi's own login asks in a dialog in the words of the panel", async () => {
		openPis("rpc");
		cli.screen.consent = true;
		expect(await run("remove work")).toMatch(/removed work .*signed pi out/);
		expect([cli.screen.questions, cli.screen.details]).toEqual([
			["Remove work?"],
			[expect.stringMatching(/^This is pi's own login: [^?]*$/)],
		]);
	});

	it("removing with the option asks once, as without it", async () => {
		openPis();
		await run("remove work --logout");
		expect([cli.piAuth.login.kind, cli.screen.questions]).toEqual(["none", ["Remove work?"]]);
	});

	it("says so while the token is being renewed, and changes nothing", async () => {
		cli.harness.accounts.lockRefusal = "busy";
		expect(await run("remove work")).toMatch(/^error: .*work is being renewed.*Try again/);
		expect(labels()).toContain("work");
	});

	it("says so while another process holds pi's file, and leaves pi signed in", async () => {
		openPis();
		cli.piAuth.lockRefusal = "busy";
		expect(await run("remove work --logout")).toMatch(/^error: .*work is being renewed.*Try again/);
		expect([labels(), cli.piAuth.login.kind]).toEqual([["work"], "oauth"]);
	});

	it("says so if the file cannot be written", async () => {
		cli.harness.accounts.lockRefusal = Object.assign(new Error("EROFS: read-only"), { code: "EROFS" });
		expect(await run("remove work")).toMatch(/^error: .*: EROFS: read-only$/);
		const path = "/home/me/.pi/agent/codex-accounts.json.12-0011aabb.tmp";
		const refusal = new Error(`EROFS: read-only file system, open '${path}'`);
		cli.harness.accounts.lockRefusal = Object.assign(refusal, { code: "EROFS", path });
		expect(await run("remove work")).toMatch(/^error: .*: codex-accounts\.json cannot be written: .*\(EROFS\)$/);
	});
});

describe("rename", () => {
	it("says so if the account has gone while the question stood", async () => {
		Object.defineProperty(cli.screen, "input", {
			get: () => {
				cli.harness.accounts.rows = cli.harness.accounts.rows.filter(({ id }) => id !== work.id);
				return "day job";
			},
		});
		expect(await run("rename work")).toMatch(/^error: work is no longer in/);
	});

	it("gives another label, also one of several words", async () => {
		expect(await run("rename work day job")).toMatch(/^info: .*\bwork\b.* day job\b/);
		expect(account(work.id)?.label).toBe("day job");
	});

	it("asks for the label if none was typed, and takes no answer for none", async () => {
		cli.screen.input = " day job ";
		expect(await run("rename work")).toMatch(/^info: .*\bwork\b.* day job\b/);
		expect(cli.screen.questions).toEqual(["New label of work"]);
		cli.screen.input = undefined;
		expect(await run('rename "day job"')).toBe("info: Nothing was changed.");
		open([work], "print");
		expect((await cli.runUnseen("rename work")).said).toMatch(/^Usage: \/multicodex rename/);
	});

	it.each([
		["home", /already called home/],
		["auto", /"auto" has a meaning/],
		["--x", /"--x" begins like an option/],
		[`${"x".repeat(41)}`, /more than 40/],
		["a\u202eb", /^error: That label .*: U\+202E\./],
		['""', /is empty/],
	])("a rename to %s changes nothing, and says why", async (label, words) => {
		expect(await run(`rename work ${label}`)).toMatch(words);
		expect(account(work.id)?.label).toBe("work");
	});

	it("a rename to its own label, or to another case of it, is no clash", async () => {
		expect(await run("rename work work")).toMatch(/^info: /);
		expect(await run("rename work Work")).toMatch(/^info: /);
		expect(account(work.id)?.label).toBe("Work");
	});
});

describe("enable and disable", () => {
	it("enabling an account asks for its usage", async () => {
		let asked = 0;
		cli.refreshStale = async () => {
			asked += 1;
		};
		await run("disable home");
		expect(asked).toBe(0);
		await run("enable home");
		expect(asked).toBe(1);
	});

	it("enable and disable say who serves next, whomever they are about", async () => {
		cli.harness.affinity.begin(aSessionId("s"), work.id, NOW);
		expect(await run("disable work")).toMatch(/next request goes to home\./);
		expect(await run("enable work")).toMatch(/next request goes to work\./);
		// The request goes by the pin, so that is the account that is left.
		await cli.harness.pool.pin(home.id);
		expect(await run("disable work")).toMatch(/next request goes to home\./);
	});

	it("enable and disable warn if no account is ready any more, by a switch or by a removal", async () => {
		open([work, home, out]);
		expect(await run("disable home")).toMatch(/^info: (?!.*No Codex account)/);
		expect(await run("disable work")).toMatch(/^warning: .*No Codex account .*\. \/multicodex enable work/);
		await run("enable home");
		expect(await run("remove home")).toMatch(/^warning: .*No Codex account /);
		expect(cli.screen.details.at(-1)).toMatch(/No other account/);
		// If none was ready before it is no news.
		expect(await run("remove work")).toMatch(/^info: /);
	});

	it("enabling an account that OpenAI had closed says so, and begins anew", async () => {
		open([anAccount("shut", { enabled: false, disabledReason: "account_deactivated" })]);
		cli.harness.state.statusById.set(anId("shut"), { cooldowns: [aCooldown()], strikes: 3 });
		expect(await run("enable shut")).toMatch(/turned off: account deactivated/);
		expect(cli.harness.state.status(anId("shut")).strikes).toBe(0);
	});

	it("enabling an account without a sign-in says what it still needs", async () => {
		open([{ ...out, enabled: false }]);
		expect(await run("enable out")).toMatch(/signed out: \/multicodex login out/);
	});
});

describe("refresh", () => {
	const fresh = () => aSnapshot({ source: "api", windows: [{ usedPercent: 27, windowMinutes: 300 }] });
	beforeEach(() => {
		for (const { id } of [work, home, side]) cli.usage.set(id, fresh);
	});

	it("asks for one account, or for all, and tells what is left", async () => {
		expect(await run("refresh work")).toBe("info: work  5h 73% left");
		expect(cli.askedUsage).toEqual([work.id]);
		const text = await run("refresh");
		expect(cli.askedUsage.slice(1)).toEqual([work.id, home.id, side.id]);
		expect(text.split("\n")).toHaveLength(4);
		expect(text).toMatch(/^out {3}its sign-in was revoked\. \/multicodex login out$/m);
		expect(await run("refresh all")).toBe(text);
	});

	it("renews a token that is due, and never sends a refused refresh token", async () => {
		const tokens: string[] = [];
		for (const { id, label } of [work, out]) {
			cli.harness.tokens.set(id, () => {
				tokens.push(label);
				return { kind: "ready", access: "new" };
			});
		}
		await run("refresh");
		expect(tokens).toEqual(["work"]);
		expect(cli.askedUsage).not.toContain(out.id);
	});

	it("says why, as a failure, if no question could be asked", async () => {
		cli.usage.set(work.id, () => "HTTP 503");
		cli.harness.tokens.set(home.id, () => ({ kind: "unavailable", reason: "network", retryAt: NOW }));
		expect(await run("refresh work")).toBe("error: work  HTTP 503");
		expect(await run("refresh home")).toBe("error: home  network");
		expect(await run("refresh out")).toMatch(/^error: out {2}its sign-in was revoked/);
		cli.usage.delete(side.id);
		expect(await run("refresh side")).toMatch(/^error: side {2}its usage could not/);
	});

	it("refresh is no failure if a question could be asked", async () => {
		cli.usage.set(work.id, () => "HTTP 503");
		expect(await run("refresh")).toMatch(/^info: work {2}HTTP 503\nhome {2}5h/);
	});

	it("counts an answer as one even when another process had asked before", async () => {
		const windows = [{ usedPercent: 27, windowMinutes: 300 }];
		cli.usage.set(work.id, () => aSnapshot({ source: "api", capturedAt: NOW - 1000, windows }));
		expect(await run("refresh work")).toBe("info: work  5h 73% left");
	});

	it("takes what was known before for no answer, and gives the account's last error as the reason", async () => {
		const before = NOW - HOUR_MS;
		cli.harness.state.statusById.set(work.id, {
			cooldowns: [],
			strikes: 0,
			usage: aSnapshot({ source: "api", capturedAt: before }),
			lastError: { text: "long ago", at: before },
		});
		cli.usage.delete(work.id);
		expect(await run("refresh work")).toBe("error: work  long ago");
	});

	it("does not ask for an account that is off", async () => {
		await run("disable work");
		expect(await run("refresh work")).toMatch(/^error: work {2}off \(by hand\)\. \/multicodex enable work/);
		expect(cli.askedUsage).toEqual([]);
	});

	it("a refresh of no account says that there is none", async () => {
		open([]);
		expect(await run("refresh")).toMatch(/^info: No .* account .*\/multicodex add/);
		expect(await run("refresh missing")).toMatch(/^error: .*"missing"\. There is none yet: /);
	});
});

it("a session that has ended receives nothing any more", async () => {
	cli.screen.isAway = true;
	const removing = cli.command.handler("remove work", cli.screen.ctx);
	await expect.poll(() => cli.screen.questions.length).toBe(1);
	await cli.pi.fire("session_shutdown", cli.screen.ctx);
	await removing;
	expect([cli.screen.notices, labels().includes("work")]).toEqual([[], true]);
	cli.screen = aContext({ mode: "tui" });
	expect(await run("remove work")).toMatch(/removed work/);
});
