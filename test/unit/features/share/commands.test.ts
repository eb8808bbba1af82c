import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { PoolProblem } from "../../../../src/core/shared-pool.ts";
import { ANNOUNCED_AFTER_MS } from "../../../../src/features/share/patience.ts";
import { shareSchema } from "../../../../src/pi/json-schemas.ts";
import { aPoolStatus, CODES, NEW_CODES } from "../../../support/fake-shared-pools.ts";
import { anAccount, HOUR_MS, MINUTE_MS, NOW, until } from "../../../support/fakes.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";
import { hurryTimersOf } from "../../waits.ts";

const URL = "postgres://pool:hunter2@db.example/pi";
/** What no text for a person, no log and no file may hold. */
const SECRETS = /hunter2|pi-pool-(?:keeper|runner)-\w/;

let folder: string;
beforeAll(() => {
	folder = mkdtempSync(join(tmpdir(), "share-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

let cli: CommandHarness;
function open(
	mode: "tui" | "rpc" | "print" | "json" = "tui",
	rows: readonly Account[] = [anAccount("work"), anAccount("team"), anAccount("pis", { linked: true })],
) {
	cli = createCommandHarness(rows, { mode, hasUI: mode === "tui" || mode === "rpc", cwd: folder });
}
beforeEach(() => open());

const shared = () =>
	cli.harness.accounts
		.list()
		.filter((account) => account.shared)
		.map(({ label }) => label);
/** This machine is in a pool, to which `work` belongs. */
const inPool = (overrides: Parameters<typeof aPoolStatus>[0] = {}) => {
	cli.sharedPools.joined = aPoolStatus(overrides);
	cli.harness.accounts.rows = cli.harness.accounts.rows.map((row) =>
		row.label === "work" ? { ...row, shared: true } : row,
	);
};
const fileWith = (name: string, content: string) => {
	writeFileSync(join(folder, name), content);
	return name;
};

describe("share with a URL", () => {
	it("asks which accounts to move, says why pi's own login is not offered, and prints both codes", async () => {
		const said = await cli.run(`share ${URL}`, 2);
		expect(cli.screen.notices[0]).toBe(
			"info: Not offered: pis is pi's own login, which stays on this machine: /multicodex login pis gives it a sign-in of its own, which can be shared.",
		);
		expect(cli.screen.questions).toEqual(["Make the shared pool pi?"]);
		expect(cli.screen.details[0]).toMatch(/Yes, share all 2 .*\[x\] work .*\[x\] team/);
		expect(cli.sharedPools.asked).toEqual([
			["create", { url: URL, name: "pi", machine: undefined, accounts: ["work", "team"] }],
		]);
		expect(said).toMatch(/^info: Codex: made the shared pool pi in db\.example\/pi, with work, team\.\n/);
		expect(said).toContain(`Keeper, for a machine of yours: may renew, add and remove accounts.\n  ${CODES.keeper}\n`);
		expect(said).toContain(
			`Runner, for a container or CI: uses accounts, and can read no refresh token.\n  ${CODES.runner}\n`,
		);
		expect(said).toContain("Both are secret");
		expect(said).not.toContain("hunter2");
		expect(shared()).toEqual(["work", "team"]);
	});

	it("moves the accounts that are named without a question, and names the machine", async () => {
		await cli.run(`share ${URL} team --name "my laptop"`);
		expect(cli.screen.questions).toEqual([]);
		expect(cli.sharedPools.asked).toEqual([
			["create", { url: URL, name: "pi", machine: "my laptop", accounts: ["team"] }],
		]);
	});

	it("takes a URL with quotes around it, typed or in a file", async () => {
		await cli.run(`share '${URL}' work`);
		expect(cli.sharedPools.asked).toEqual([
			["create", { url: URL, name: "pi", machine: undefined, accounts: ["work"] }],
		]);
		open();
		await cli.run(`share @${fileWith("url.txt", `"${URL}" \n`)} work`);
		expect(cli.sharedPools.asked).toEqual([
			["create", { url: URL, name: "pi", machine: undefined, accounts: ["work"] }],
		]);
	});

	it("makes nothing after a no", async () => {
		cli.screen.consent = false;
		expect(await cli.run(`share ${URL}`, 2)).toBe("info: Nothing was shared.");
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("is answered in dialogs where there are no panels", async () => {
		open("rpc", [anAccount("work"), anAccount("team")]);
		cli.screen.choices.push("[x] work", "Yes, share 1 of 2");
		await cli.run(`share ${URL}`);
		expect(shared()).toEqual(["team"]);
		open("rpc", [anAccount("work")]);
		await cli.run(`share ${URL}`);
		expect(cli.screen.details).toEqual([
			"work. Every machine in the pool uses them. Their sign-ins move into the database, sealed.",
		]);
		expect(shared()).toEqual(["work"]);
	});

	it("wants the accounts named where nothing can be asked, and takes all of them by one word", async () => {
		open("print");
		expect(await cli.runUnseen(`share ${URL}`)).toEqual({
			said: "Name the accounts to share, or all: work, team. Nothing was changed.\n",
			code: 1,
		});
		open("rpc");
		await cli.run(`share ${URL} all`);
		expect(shared()).toEqual(["work", "team"]);
	});

	it("reads the URL from a file", async () => {
		const name = fileWith("url.txt", `${URL}\n`);
		await cli.run(`share @${name} work`);
		expect(cli.sharedPools.asked).toMatchObject([["create", { url: URL, name: "pi" }]]);
		open();
		expect(await cli.run("share @not-there.txt work")).toBe("error: not-there.txt does not exist.");
		expect(await cli.run(`share @${fileWith("empty.txt", "\n")} work`)).toBe("error: empty.txt is empty.");
		expect(await cli.run(`share @${fileWith("other.txt", "hunter2")} work`)).toMatch(
			/^error: That is not the URL of a Postgres database:/,
		);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it.each([
		["postgress://pool:hunter2@db/pi", /^error: That is not the URL of a Postgres database: one begins with postgres:/],
		["https://pool:hunter2@db/pi", /^error: That is not the URL of a Postgres database:/],
		["postgres://pool:hunter2@db:port/pi", /^error: The host or port of the URL cannot be read:/],
		["postgres://pool:hun/ter2@db/pi", /^error: The host or port of the URL cannot be read:/],
		[CODES.keeper, /^error: That is a join code\. \/multicodex join takes it/],
		[`${URL} wrok`, /No Codex account is called "wrok"\. Did you mean work\?/],
		[`${URL} --nmae x`, /There is no option --nmae here\./],
		[`${URL} --name`, /--name needs a name after it\./],
		[`${URL} --name ""`, /^error: That name is empty\.$/],
		[`${URL} work all`, /all cannot be combined with anything else\./],
		[`${URL} --codes`, /--codes cannot be combined with anything else\./],
		[`${URL} pis`, /^error: pis is pi's own login, which stays on this machine/],
	])("does nothing for %s, and quotes no secret", async (words, problem) => {
		const said = await cli.run(`share ${words}`);
		expect(said).toMatch(problem);
		expect(said).not.toMatch(SECRETS);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("says why no account can be shared", async () => {
		const needsLogin = { reason: "revoked", at: NOW };
		open("tui", [
			anAccount("pis", { linked: true }),
			anAccount("theirs", { linkedElsewhere: true }),
			anAccount("out", { needsLogin }),
		]);
		const said = await cli.run(`share ${URL}`);
		expect(said).toMatch(/^error: No account can be shared\. pis is pi's own login.* theirs is the login of a pi in/);
		expect(said).toMatch(/out is signed out: \/multicodex login out first\. Nothing was changed\.$/);
		open("tui", []);
		expect(await cli.run(`share ${URL}`)).toBe(
			"error: There is no account to share yet: /multicodex add. Nothing was changed.",
		);
	});

	it("passes on what the database says, in its one sentence", async () => {
		cli.sharedPools.problem = new PoolProblem("no-rights", "The role may not make tables: grant it CREATE.");
		expect(await cli.run(`share ${URL} work`)).toBe("error: The role may not make tables: grant it CREATE.");
		expect(shared()).toEqual([]);
	});

	it("makes no second pool", async () => {
		inPool();
		expect(await cli.run(`share ${URL} team`)).toMatch(/^error: This machine is already in the shared pool pi\./);
		inPool({ joinedBy: "environment" });
		expect(await cli.run(`share ${URL} team`)).toMatch(/^error: PI_MULTICODEX_POOL names the pool of this pi\./);
		expect(cli.sharedPools.asked).toEqual([]);
	});
});

describe("share with accounts", () => {
	it("adds them to the pool", async () => {
		inPool();
		expect(await cli.run("share team")).toBe("info: Codex: team is in the shared pool pi now, for all its machines.");
		expect(cli.sharedPools.asked).toEqual([["add", ["team"]]]);
	});

	it.each([
		["work", "error: work is already shared. Nothing was changed."],
		["pis team", /^error: pis is pi's own login/],
		["nobody-here", /No Codex account is called "nobody-here"/],
	])("refuses %s", async (words, problem) => {
		inPool();
		expect(await cli.run(`share ${words}`)).toMatch(problem);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("needs a pool, and a keeper", async () => {
		expect(await cli.run("share team")).toMatch(/^error: This machine has joined no shared pool\./);
		inPool({ role: "runner" });
		expect(await cli.run("share team")).toBe(
			"error: This machine is a runner of pi: adding accounts has to be done on a keeper's machine.",
		);
		expect(cli.sharedPools.asked).toEqual([]);
	});
});

describe("share alone", () => {
	const others = [
		{ name: "desk", seenAt: NOW - 3 * MINUTE_MS, sessions: new Map([["work", 2]]) },
		{ name: "ci", seenAt: NOW, sessions: new Map() },
	];

	it("says how to begin where there is no pool, and asks no database", async () => {
		expect(await cli.run("share")).toMatch(/has joined no shared pool\.\nTo make one .*\nTo join one: /);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("shows the pool, the machines and what they work on", async () => {
		inPool({ others, clockAheadMs: -10 * MINUTE_MS, journals: 1 });
		expect(await cli.run("share")).toBe(
			[
				"info: pool          pi in db.example/pi",
				"state         connected, changes arrive at once",
				"this machine  laptop, a keeper",
				"              its clock is 10m behind the database's",
				"              1 renewed sign-in still to be stored in the database",
				"others        desk: 2 sessions, seen 3m ago",
				"              ci: no session, seen just now",
				"shared        work: 2 sessions on desk",
				"only here     team",
				"              pis: pi's own login",
			].join("\n"),
		);
	});

	it("says what keeps the pool away", async () => {
		inPool({ joinedBy: "environment" });
		cli.sharedPools.problem = new PoolProblem("revoked", "The keys were replaced: join again.");
		const said = await cli.run("share");
		expect(said).toMatch(/state +not usable since \d\d:\d\d: The keys were replaced: join again\./);
		expect(said).toContain("laptop, a keeper, by PI_MULTICODEX_POOL");
	});

	it("says no more than it knows where it was not tried whether notifications get through", async () => {
		inPool({ connection: { kind: "connected", lookedAt: NOW, listens: undefined } });
		expect(await cli.run("share")).toMatch(/state +connected$/m);
		expect(await cli.run("share --json")).toMatch(/"listens": null/);
	});

	it("/multicodex share alone is one document with --json, without a code in it", async () => {
		inPool({ others });
		const [, text = ""] = /^info: (.*)$/s.exec(await cli.run("share --json")) ?? [];
		const document = shareSchema.parse(JSON.parse(text));
		expect(document.codes).toBeNull();
		expect(document.pool).toMatchObject({
			name: "pi",
			role: "keeper",
			accounts: ["work"],
			machines: [
				{ name: "desk", sessions: [{ account: "work", count: 2 }] },
				{ name: "ci", sessions: [] },
			],
			connection: { state: "connected", listens: true, problem: null },
		});
	});
});

describe("share --codes and --rotate", () => {
	it("shows the codes once more to a keeper alone", async () => {
		inPool();
		expect(await cli.run("share --codes")).toContain(CODES.runner);
		inPool({ role: "runner" });
		expect(await cli.run("share --codes")).toMatch(/^error: This machine is a runner of pi: showing the join codes/);
	});

	it("asks before new keys are made, and says what old codes can still do", async () => {
		inPool({ others: [{ name: "desk", seenAt: NOW, sessions: new Map() }] });
		const said = await cli.run("share --rotate");
		expect(cli.screen.questions).toEqual(["Make new keys for the shared pool pi?"]);
		expect(cli.screen.details[0]).toMatch(/Every other machine \(seen lately: desk\) has to join again.*Keep the keys/);
		expect(said).toContain(NEW_CODES.keeper);
		expect(said).toMatch(/What was read with an old code stays known to its holder: .*change that password/);
		expect(cli.sharedPools.asked).toEqual([["rotate", undefined]]);
	});

	it("keeps the keys after a no", async () => {
		inPool();
		cli.screen.consent = false;
		expect(await cli.run("share --rotate --yes")).toBe("info: The keys were kept.");
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("takes a URL with a new password along", async () => {
		inPool();
		await cli.run(`share --rotate ${URL}`);
		expect(cli.sharedPools.asked).toEqual([["rotate", URL]]);
	});

	it("needs --yes where nothing can be asked", async () => {
		open("print");
		inPool();
		expect(await cli.runUnseen("share --rotate")).toMatchObject({
			said: expect.stringMatching(/--rotate --yes/),
			code: 1,
		});
		expect(cli.sharedPools.asked).toEqual([]);
	});
});

describe("join", () => {
	it("joins by a code that was typed, also one that a terminal has broken", async () => {
		const said = await cli.run(`join ${CODES.keeper} --name desk`);
		expect(said).toBe("info: Codex: desk has joined the shared pool pi as a keeper. It has no account yet.");
		const { runner } = CODES;
		await cli.run(`join ${runner.slice(0, 20)}\n  ${runner.slice(20)}`);
		expect(cli.sharedPools.asked).toEqual([
			["join", [CODES.keeper, "desk"]],
			["join", [runner, undefined]],
		]);
	});

	it("asks for the code in a field that does not show it", async () => {
		cli.screen.input = CODES.keeper;
		cli.screen.onQuestion = () => {
			cli.screen.onQuestion = () => undefined;
		};
		await cli.run("join");
		expect(cli.screen.questions).toEqual(["Join code of the shared pool"]);
		expect(cli.sharedPools.asked).toEqual([["join", [CODES.keeper, undefined]]]);
		cli.screen.input = undefined;
		expect(await cli.run("join")).toBe("info: No pool was joined.");
	});

	it("reads it from a file", async () => {
		open("print");
		const name = fileWith("code.txt", `${CODES.runner.slice(0, 30)}\n${CODES.runner.slice(30)}\n`);
		await cli.run(`join @${name}`, 0);
		expect(cli.sharedPools.asked).toEqual([["join", [CODES.runner, undefined]]]);
	});

	it("names the pool's accounts and machines", async () => {
		cli.harness.accounts.rows = [anAccount("work", { shared: true })];
		const others = [{ name: "desk", seenAt: NOW, sessions: new Map() }];
		cli.sharedPools.join = async () => aPoolStatus({ role: "runner", machine: "ci", others });
		expect(await cli.run(`join ${CODES.runner}`)).toBe(
			"info: Codex: ci has joined the shared pool pi as a runner. It has work. Other machines: desk.",
		);
		expect(cli.askedUsage).toEqual(["work"]);
	});

	it("says how to choose a Codex model on a machine that has another one", async () => {
		cli.harness.accounts.rows = [anAccount("work", { shared: true })];
		cli.screen.model = { provider: "anthropic", baseUrl: "http://127.0.0.1:1" };
		expect(await cli.run(`join ${CODES.keeper}`)).toMatch(/It has work\. \/model chooses a Codex model\.$/);
	});

	it.each(["'", '"', "`"])("takes a code with %s around it", async (quote) => {
		await cli.run(`join ${quote}${CODES.keeper}${quote}`);
		expect(cli.sharedPools.asked).toContainEqual(["join", [CODES.keeper, undefined]]);
	});

	it.each([
		[URL, /^error: That is a URL\. /],
		["hunter2", /^error: That is not a join code\. One begins with pi-pool-/],
		[`${CODES.keeper} --name`, /--name needs a name after it\./],
		["--nmae desk", /There is no option --nmae here\. Did you mean --name\?/],
	])("does nothing for %s, and quotes no secret", async (words, problem) => {
		const said = await cli.run(`join ${words}`);
		expect(said).toMatch(problem);
		expect(said).not.toMatch(SECRETS);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("says how to give a code where none can be asked for", async () => {
		open("print");
		expect(await cli.runUnseen("join")).toMatchObject({ said: expect.stringMatching(/join @code\.txt/), code: 1 });
	});

	it("passes on why a code does not do", async () => {
		cli.sharedPools.problem = new PoolProblem("revoked", "The keys were replaced since this code was printed.");
		expect(await cli.run(`join ${CODES.keeper}`)).toBe("error: The keys were replaced since this code was printed.");
	});
});

describe("leave", () => {
	it("asks, and says what stays, what goes, and what to keep", async () => {
		inPool();
		const said = await cli.run("leave");
		expect(cli.screen.questions).toEqual(["Leave the shared pool pi?"]);
		expect(cli.screen.details[0]).toMatch(
			/Stays in the pool, for its other machines: work\. +Stays on this machine: team, pis\. +No other machine was seen lately\. Keep a join code/,
		);
		expect(said).toBe("info: Codex: this machine has left the shared pool pi. It has team, pis.");
		expect(cli.sharedPools.asked).toEqual([["leave", []]]);
	});

	it("takes an account along", async () => {
		inPool({ others: [{ name: "desk", seenAt: NOW, sessions: new Map() }] });
		expect(await cli.run("leave --take work")).toMatch(/It has team, pis, work\.$/);
		expect(cli.screen.details[0]).toMatch(/^Leaves the pool, for this machine alone: work\./);
		expect(cli.screen.details[0]).not.toContain("No other machine");
		expect(cli.sharedPools.asked).toEqual([["leave", ["work"]]]);
	});

	it("stays after a no", async () => {
		inPool();
		cli.screen.consent = false;
		expect(await cli.run("leave --yes")).toBe("info: The pool was not left.");
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("asks once more where the database lacks what only this machine holds, and names the accounts", async () => {
		inPool();
		cli.sharedPools.unstored = { renewed: ["work"], moving: ["team"] };
		const said = await cli.run("leave");
		expect(cli.screen.questions).toEqual(["Leave the shared pool pi?", "Leave the shared pool pi anyway?"]);
		expect(cli.screen.details[1]).toMatch(
			/Renewed here and not in the database yet: work\. .* every other machine .* new sign-in .* Being moved: team\. .* new sign-in on this machine/,
		);
		expect(said).toMatch(/has left the shared pool pi\./);
		expect(cli.sharedPools.asked).toEqual([
			["leave", []],
			["leave", { take: [], isForced: true }],
		]);
	});

	it("stays where nothing can be asked and the database lacks something, unless that is forced", async () => {
		open("print");
		inPool();
		cli.sharedPools.unstored = { renewed: ["work"], moving: [] };
		expect(await cli.runUnseen("leave --yes")).toMatchObject({
			said: expect.stringMatching(/: work\. .*The pool was not left\. .*leave --yes --force\.\n$/),
			code: 1,
		});
		await cli.run("leave --yes --force", 0);
		expect(cli.sharedPools.joined).toBeUndefined();
	});

	it("needs --yes where nothing can be asked", async () => {
		open("print");
		inPool();
		expect(await cli.runUnseen("leave")).toMatchObject({ said: expect.stringMatching(/leave --yes/), code: 1 });
		await cli.run("leave --yes", 0);
		expect(cli.sharedPools.asked).toEqual([["leave", []]]);
	});

	it.each([
		["--take team", "error: team is not shared, and stays on this machine anyway."],
		["--take", /--take needs a name after it\./],
		["--take wrok", /Did you mean work\?/],
		["work", /^error: Usage: \/multicodex leave/],
	])("refuses %s", async (words, problem) => {
		inPool();
		expect(await cli.run(`leave ${words}`)).toMatch(problem);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("/multicodex leave is not for a process whose environment names the pool, and takes nothing from a runner", async () => {
		expect(await cli.run("leave")).toMatch(/^error: This machine has joined no shared pool\./);
		inPool({ joinedBy: "environment" });
		expect(await cli.run("leave")).toMatch(/^error: PI_MULTICODEX_POOL names the pool/);
		inPool({ role: "runner" });
		expect(await cli.run("leave --take work")).toMatch(/taking an account out of the pool has to be done on a keeper/);
		expect(cli.sharedPools.asked).toEqual([]);
	});
});

describe("while they are typed", () => {
	it("the commands offer what fits", () => {
		expect(cli.offered("share ")).toEqual(["share postgres://"]);
		expect(cli.offered(`share ${URL} `)).toEqual([`share ${URL} work`, `share ${URL} team`, `share ${URL} all`]);
		expect(cli.offered("join ")).toEqual(["join --name"]);
		inPool();
		expect(cli.offered("share ")).toEqual(["share team", "share --codes", "share --rotate", "share --json"]);
		expect(cli.offered("leave ")).toEqual(["leave --take", "leave --yes", "leave --force"]);
		expect(cli.offered("leave --take ")).toEqual(["leave --take work"]);
	});
});

describe("what a command tells", () => {
	it("is at first that it waits, where the database takes its time", async () => {
		hurryTimersOf(ANNOUNCED_AFTER_MS);
		open("rpc");
		const { join } = cli.sharedPools;
		cli.sharedPools.join = async (...given) => {
			await new Promise((resolve) => setTimeout(resolve, 60));
			return join(...given);
		};
		await cli.run(`join ${CODES.keeper}`, 2);
		expect(cli.screen.notices[0]).toBe("info: Codex: asking the database…");
		cli.sharedPools.join = join;
		await cli.run(`join ${CODES.keeper}`, 1);
	});

	it("is nothing more where the person ends the wait with Esc in a terminal: the database is left alone", async () => {
		hurryTimersOf(ANNOUNCED_AFTER_MS);
		const stopped = new PoolProblem("unexpected", "Stopped. No pool was joined.");
		cli.sharedPools.join = (_code, _machine, signal) =>
			new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(stopped)));
		const running = cli.run(`join ${CODES.keeper}`);
		await until("the wait is shown", () => cli.screen.panel !== undefined);
		expect(cli.screen.panel?.render(60).join("\n")).toMatch(/asking the database[\s\S]*esc stop waiting/);
		cli.screen.panel?.handleInput?.("x");
		cli.screen.panel?.handleInput?.("\u001b");
		expect(await running).toBe("error: Stopped. No pool was joined.");
		await until("the panel ends", () => cli.screen.panel === undefined);
	});

	it("is the sentence of a problem of the pool, whichever command met it", async () => {
		cli.harness.accounts.edit = () => Promise.reject(new PoolProblem("no-rights", "A keeper has to do that."));
		expect(await cli.run("disable work")).toBe("error: A keeper has to do that.");
		expect(cli.harness.told.filter(({ type }) => type === "defect")).toEqual([]);
	});

	it("has no secret in it wherever one is typed by mistake", async () => {
		for (const words of [CODES.keeper, `use ${URL}`, `remove ${CODES.runner}`]) {
			expect(await cli.run(words)).not.toMatch(SECRETS);
		}
	});

	it("ages what it knows of other machines", async () => {
		inPool({ others: [{ name: "desk", seenAt: NOW - 2 * HOUR_MS, sessions: new Map() }] });
		expect(await cli.run("share")).toContain("desk: no session, seen 2h00m ago");
	});
});
