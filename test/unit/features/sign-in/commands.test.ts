import { beforeEach, describe, expect, it } from "vitest";
import type { Account, Credential } from "../../../../src/core/account.ts";
import type { DeviceDialog, LoginDialog } from "../../../../src/features/sign-in/ports.ts";
import { LOGIN_CANCELLED, SignInError } from "../../../../src/features/sign-in/rules.ts";
import * as texts from "../../../../src/features/sign-in/texts.ts";
import { aPoolStatus } from "../../../support/fake-shared-pools.ts";
import { anAccount, aSnapshot, HOUR_MS, NOW, settled } from "../../../support/fakes.ts";
import { aGrant, type CommandHarness, createCommandHarness, idOf } from "../../command-harness.ts";
import { aContext, type FakeContextInit } from "../../fake-pi.ts";
import { hurryTimersOf } from "../../waits.ts";

const ADDRESS = "https://auth.example.test/oauth/authorize?state=x";
const NEXT_ONE = expect.stringMatching(/^\/multicodex add /);
const CODE = {
	userCode: "1234-56789A",
	verificationUri: "https://auth.example.test/codex/device",
	intervalSeconds: 5,
	expiresInSeconds: 900,
};

let cli: CommandHarness;

const rowOf = (name: string, overrides: Partial<Account> = {}) => anAccount(name, { id: idOf(name), ...overrides });
const signedOut = { needsLogin: { reason: "revoked", at: NOW } };
function open(rows: readonly Account[] = [], init: FakeContextInit = { mode: "tui" }): void {
	cli = createCommandHarness(rows, init);
}
beforeEach(() => open());

/** Every sign-in succeeds at once. */
const signsInAs = (name: string, issuedAt = NOW + HOUR_MS) => {
	cli.inBrowser = async ({ showUrl }) => {
		showUrl(ADDRESS, { comesBack: true });
		return aGrant(name, issuedAt);
	};
	cli.onDevice = async ({ showCode }) => {
		showCode(CODE);
		return aGrant(name, issuedAt);
	};
};
/** A sign-in that ends only when it is cancelled. */
const waits = ({ signal }: LoginDialog | DeviceDialog) =>
	new Promise<Credential>((_, reject) => {
		const cancel = () => reject(new SignInError(LOGIN_CANCELLED));
		if (signal?.aborted) cancel();
		signal?.addEventListener("abort", cancel, { once: true });
	});
const labels = () => cli.harness.pool.accounts().map(({ label }) => label);
const account = (name: string) => cli.harness.pool.account(idOf(name));
const run = (args: string) => cli.run(args);
/** Begins a sign-in; its end is `running`. */
const start = async (args: string) => {
	const running = cli.command.handler(args, cli.screen.ctx);
	await expect.poll(() => cli.browserDialogs.length + cli.deviceDialogs.length, { timeout: 20_000 }).toBe(1);
	await settled();
	return { running };
};

describe("add", () => {
	it("adds the account that signs in under the wanted label, and asks for what it has left", async () => {
		signsInAs("work");
		expect((await run("add")).split("\n")).toEqual([
			expect.stringMatching(/^info: .*\badded work\b.* 1 account/),
			expect.stringMatching(/^work .*work@example\.test/),
			NEXT_ONE,
		]);
		signsInAs("home");
		const window = { usedPercent: 27, windowMinutes: 300, resetsAt: NOW + HOUR_MS };
		cli.usage.set(idOf("home"), () => aSnapshot({ windows: [window] }));
		expect((await run("add day job")).split("\n")).toEqual([
			expect.stringMatching(/^info: .*\badded day job\b.* 2 accounts/),
			expect.stringMatching(/^day job .*home@example\.test.* 73% of 5h /),
			NEXT_ONE,
		]);
		expect([labels(), cli.askedUsage]).toEqual([
			["work", "day job"],
			[idOf("work"), idOf("home")],
		]);
		expect(cli.opened).toEqual([ADDRESS, ADDRESS]);
	});

	it("waits for figures no longer than a person would, and not past the end of the session", async () => {
		cli.askUsage = () => new Promise(() => undefined);
		signsInAs("work");
		hurryTimersOf(3000);
		expect(await run("add")).toMatch(/added work[\s\S]*work@example\.test \(plus\)\.\n/);
		signsInAs("home");
		const running = cli.command.handler("add", cli.screen.ctx);
		await expect.poll(() => cli.askedUsage).toContain(idOf("home"));
		await cli.pi.fire("session_shutdown", cli.screen.ctx);
		await running;
		expect(labels()).toEqual(["work", "home"]);
	});

	it("renews an account that is here, whatever label was typed", async () => {
		open([rowOf("work", { ...signedOut, label: "mine" })]);
		signsInAs("work");
		expect(await run("add other")).toMatch(/^info: .*\bmine\b.* already added/);
		expect(account("work")).toMatchObject({ label: "mine", needsLogin: undefined, source: "login" });
	});

	it("says what an account that is switched off still needs", async () => {
		open([rowOf("work", { enabled: false })]);
		signsInAs("work");
		expect(await run("add")).toMatch(/It is off \(by hand\)\. \/multicodex enable work/);
	});

	it.each([
		["work", /already called work\. \/multicodex login work /],
		["auto", /"auto" has a meaning/],
		["x".repeat(41), /more than 40/],
	])("add with %s begins no sign-in", async (label, words) => {
		open([rowOf("work")]);
		expect(await run(`add ${label}`)).toMatch(words);
		expect(cli.browserDialogs).toEqual([]);
	});

	it("says what went wrong in the sentence of the sign-in, and stores nothing", async () => {
		cli.inBrowser = () => Promise.reject(new SignInError("Refused in the browser."));
		expect(await run("add")).toBe("error: Refused in the browser.");
		cli.inBrowser = () => Promise.reject(new Error("secret-token"));
		expect(await run("add")).toMatch(/^error: .* an unexpected error$/);
		cli.inBrowser = async () => ({ access: "opaque", refresh: "r", expiresAt: NOW });
		expect(await run("add")).toBe(`error: ${texts.unusableSignIn()}`);
		expect(labels()).toEqual([]);
	});

	it("a sign-in that cannot be stored is kept in memory, and says that pi must stay open", async () => {
		signsInAs("work");
		cli.harness.accounts.isFull = true;
		expect(await run("add")).toMatch(/^info: .*cannot be written.*Leave pi open.*added work/);
		expect(labels()).toEqual(["work"]);
	});

	const codexModels = ["gpt-5.5", "gpt-6.1"].map((id) => ({ provider: "openai-codex", id, baseUrl: "http://x" }));
	const hasNoModel = () => {
		cli.screen.model = undefined;
		cli.screen.models = [...codexModels, { provider: "other", id: "o", baseUrl: "http://y" }];
		cli.screen.choice = "gpt-5.5";
	};

	// The saved one may be another provider's, or have been withdrawn.
	it.each([undefined, "o", "gpt-4"])("gives a pi without a model a choice of ours, %s being saved", async (saved) => {
		hasNoModel();
		cli.savedModel = saved;
		signsInAs("work");
		expect(await run("add")).toMatch(/^info: .*\badded work\b/);
		expect([cli.pi.models, cli.screen.details]).toEqual([[codexModels[0]], ["gpt-6.1, gpt-5.5"]]);
		expect(cli.screen.questions).toEqual([expect.stringMatching(/^Signed in: work\. .*\?/)]);
	});

	it("gives a pi without a model the one that the person has saved, without a question", async () => {
		hasNoModel();
		cli.savedModel = "gpt-6.1";
		signsInAs("work");
		expect(await run("add")).toMatch(/^info: .*\badded work\b/);
		expect([cli.pi.models, cli.screen.questions]).toEqual([[codexModels[1]], []]);
	});

	it("says how to choose one if the session has another provider's, and leaves that alone", async () => {
		cli.screen.model = { provider: "other", baseUrl: "http://y" };
		signsInAs("work");
		expect(await run("add")).toMatch(/^.* \/model .*\n/);
		expect([cli.pi.models, cli.screen.questions]).toEqual([[], []]);
	});
});

describe("login", () => {
	it("is refused for a shared account on a runner before the person signs in", async () => {
		const cli = createCommandHarness([anAccount("work", { shared: true })]);
		cli.sharedPools.joined = aPoolStatus({ role: "runner" });
		expect(await cli.run("login work")).toMatch(/^error: work is shared, .* runner: .* keeper/);
		expect(cli.browserDialogs).toEqual([]);
	});

	it("signs in to the account that was named", async () => {
		open([rowOf("work", signedOut), rowOf("home", signedOut)]);
		signsInAs("work");
		expect(await run("login work")).toMatch(/^info: Codex: work is .*again\.\n/);
		expect([account("work")?.needsLogin, account("home")?.needsLogin]).toEqual([undefined, signedOut.needsLogin]);
	});

	it("login without a name is for the only account that needs it", async () => {
		open([rowOf("work"), rowOf("home", signedOut)]);
		signsInAs("home");
		expect(await run("login")).toMatch(/^info: Codex: home is .*again\.\n/);
		expect(cli.screen.questions).toEqual([]);
	});

	it("login without a name asks which if several need it", async () => {
		open([rowOf("work", signedOut), rowOf("home", signedOut), rowOf("side")]);
		signsInAs("home");
		cli.screen.choice = "home";
		expect(await run("login")).toMatch(/^info: Codex: home is .*again\.\n/);
		expect(cli.screen.details).toEqual(["work, home"]);
		cli.screen.choice = undefined;
		open([rowOf("work", signedOut), rowOf("home", signedOut)]);
		expect(await run("login")).toBe("info: Nothing was changed.");
		expect(cli.browserDialogs).toEqual([]);
	});

	it("login without a name adds an account if none needs a sign-in", async () => {
		open([rowOf("work")]);
		signsInAs("home");
		expect(await run("login")).toMatch(/added home/);
	});

	it("login of no account, or of several, begins no sign-in", async () => {
		open([rowOf("work", { email: "me@x.example" }), rowOf("home", { email: "me@x.example" })]);
		expect(await run("login missing")).toMatch(/^error: .*"missing"/);
		expect(await run("login me@x.example")).toMatch(/^error: "me@x\.example" may mean work \(.*\), home \(/);
		expect(cli.browserDialogs).toEqual([]);
	});

	it("a sign-in as another account adds it only when the person agrees", async () => {
		open([rowOf("work", signedOut)]);
		signsInAs("home");
		cli.screen.consent = false;
		expect(await run("login work")).toBe("info: Nothing was changed.");
		expect([labels(), cli.screen.questions]).toEqual([["work"], ["That was not work"]]);
		expect(cli.screen.details[0]).toMatch(/ as home@example\.test, not as work\. Add it .*\?/);
		cli.screen.consent = true;
		expect(await run("login work")).toMatch(/added home/);
		expect(labels()).toEqual(["work", "home"]);
		expect(account("work")?.needsLogin).toEqual(signedOut.needsLogin);
	});

	it("a sign-in as another known account asks whether to renew that one", async () => {
		open([rowOf("work"), rowOf("home", { label: "job" })]);
		signsInAs("home");
		expect(await run("login work")).toMatch(/^info: Codex: job is .*again\.\n/);
		expect(cli.screen.details[0]).toMatch(/ as job, not as work\. Give job .*\?/);
	});

	it("a sign-in as another account shows no hidden e-mail", async () => {
		open([rowOf("work")]);
		cli.harness.settings = { ...cli.harness.settings, maskEmails: true };
		signsInAs("home");
		await run("login work");
		expect(cli.screen.details[0]).toMatch(/signed in as h…@example\.test, not as work/);
	});
});

describe("a sign-in in the terminal", () => {
	it("ends with its session, without a message", async () => {
		cli.inBrowser = waits;
		const { running } = await start("add");
		await cli.pi.fire("session_shutdown", cli.screen.ctx);
		await running;
		expect([cli.screen.notices, cli.browserDialogs[0]?.signal?.aborted]).toEqual([[], true]);
		// The next session is not born cancelled.
		cli.screen = aContext({ mode: "tui" });
		signsInAs("work");
		expect(await run("add")).toMatch(/added work/);
	});
});

describe("a sign-in with dialogs alone", () => {
	beforeEach(() => open([], { mode: "rpc" }));

	it("tells the address, and takes it that the browser comes back while it asks", async () => {
		cli.screen.isAway = true;
		cli.inBrowser = async ({ showUrl, pasted }) => {
			showUrl(ADDRESS, { comesBack: true });
			void pasted(undefined).catch(() => undefined);
			return aGrant("work");
		};
		await cli.command.handler("add", cli.screen.ctx);
		expect(cli.screen.notices).toEqual([
			expect.stringContaining(`\n${ADDRESS}`),
			expect.stringMatching(/^info: Codex: added work/),
		]);
		expect(cli.opened).toEqual([ADDRESS]);
	});

	it("says so if no browser could be opened", async () => {
		cli.browserOpens = async () => false;
		cli.inBrowser = async ({ showUrl }) => {
			showUrl(ADDRESS, { comesBack: true });
			await settled();
			return aGrant("work");
		};
		await cli.command.handler("add", cli.screen.ctx);
		expect(cli.screen.notices).toEqual([
			expect.stringContaining(`\n${ADDRESS}`),
			`info: ${texts.browserMissing()}`,
			expect.stringMatching(/added work/),
		]);
	});

	it("says nothing of a browser once it is over", async () => {
		let give: (isOpen: boolean) => void = () => undefined;
		cli.browserOpens = () =>
			new Promise((resolve) => {
				give = resolve;
			});
		signsInAs("work");
		await cli.command.handler("add", cli.screen.ctx);
		give(false);
		await settled();
		expect(cli.screen.notices.at(-1)).toMatch(/added work/);
	});

	it("takes the question away once it is over", async () => {
		cli.screen.isAway = true;
		let isAnswered = false;
		cli.inBrowser = async ({ pasted }) => {
			void pasted(undefined).then(
				() => undefined,
				() => {
					isAnswered = true;
				},
			);
			return aGrant("work");
		};
		await cli.command.handler("add", cli.screen.ctx);
		await expect.poll(() => isAnswered).toBe(true);
	});

	it("gives what was typed to the sign-in, and says what was wrong with it", async () => {
		cli.screen.input = "pasted";
		cli.inBrowser = async ({ pasted }) => {
			expect(await pasted(undefined)).toBe("pasted");
			expect(await pasted("No code in it.")).toBe("pasted");
			return aGrant("work");
		};
		await cli.command.handler("add", cli.screen.ctx);
		expect(cli.screen.notices).toEqual(["warning: No code in it.", expect.stringMatching(/added work/)]);
	});

	it("a sign-in with dialogs alone is cancelled with the question", async () => {
		cli.inBrowser = async ({ pasted }) => {
			await pasted(undefined);
			return aGrant("work");
		};
		expect(await run("add")).toBe("info: Nothing was changed.");
		expect(labels()).toEqual([]);
	});
});

describe("a sign-in for which no question can be asked", () => {
	beforeEach(() => open([rowOf("work", signedOut)], { mode: "print", hasUI: false }));

	it.each(["add", "login work", "login"])("%s says how to do it with a code, and fails", async (args) => {
		expect(await cli.runUnseen(args)).toEqual({ said: expect.stringMatching(/^[^\n]*--device[^\n]*\n$/), code: 1 });
		expect(cli.browserDialogs).toEqual([]);
	});

	it("a sign-in as another account is refused, with the command that takes any", async () => {
		signsInAs("home");
		const { said, code } = await cli.runUnseen("login work --device");
		expect(said).toMatch(/1234-56789A[\s\S]* as home@example\.test, not as work\. .*\/multicodex add/);
		expect([code, labels()]).toEqual([1, ["work"]]);
	});

	it("login with several candidates names them, and fails", async () => {
		open([rowOf("work", signedOut), rowOf("home", signedOut)], { mode: "print", hasUI: false });
		expect(await cli.runUnseen("login --device")).toEqual({
			said: expect.stringMatching(/: work, home\. Name one/),
			code: 1,
		});
	});
});
