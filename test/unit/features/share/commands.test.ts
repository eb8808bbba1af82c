import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { PoolProblem } from "../../../../src/core/shared-pool.ts";
import { ANNOUNCED_AFTER_MS } from "../../../../src/features/share/patience.ts";
import * as texts from "../../../../src/features/share/texts.ts";
import { shareSchema } from "../../../../src/pi/json-schemas.ts";
import { aPoolStatus, CODES, NEW_CODES } from "../../../support/fake-shared-pools.ts";
import { anAccount, HOUR_MS, MINUTE_MS, NOW, until } from "../../../support/fakes.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";
import { hurryTimersOf } from "../../waits.ts";

const URL = "postgres://pool:hunter2@db.example/pi";
/** What no text for a person, no log and no file may hold. */
const SECRETS = /hunter2|pi-pool-(?:keeper|runner)-\w/;
const NO_URL = /^error: .* not the URL of a Postgres/;
const KEEPERS_ONLY = /^error: This machine is a runner of pi: /;

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
		expect(cli.screen.notices[0]).toMatch(/^info: Not offered: pis .* \/multicodex login pis /);
		expect(cli.screen.questions).toEqual(["Make the shared pool pi?"]);
		expect(cli.screen.details[0]).toMatch(/Yes, share all 2 .*\[x\] work .*\[x\] team/);
		expect(cli.sharedPools.asked).toEqual([
			["create", { url: URL, name: "pi", machine: undefined, accounts: ["work", "team"] }],
		]);
		expect(said).toMatch(/^info: Codex: .* pool pi in db\.example\/pi, with work, team\.\n/);
		expect(said).toMatch(
			new RegExp(`^Keeper, .* renew.*\n  ${CODES.keeper}\nRunner, .*\n  ${CODES.runner}\n.* secret`, "m"),
		);
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
		expect(await cli.run(`share ${URL}`, 2)).toBe(`info: ${texts.NOTHING_SHARED}`);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("is answered in dialogs if there are no panels", async () => {
		open("rpc", [anAccount("work"), anAccount("team")]);
		cli.screen.choices.push("[x] work", "Yes, share 1 of 2");
		await cli.run(`share ${URL}`);
		expect(shared()).toEqual(["team"]);
		open("rpc", [anAccount("work")]);
		await cli.run(`share ${URL}`);
		expect(cli.screen.details).toEqual([`work. ${texts.checklistOf([], "").note}`]);
		expect(shared()).toEqual(["work"]);
	});

	it("wants the accounts named if nothing can be asked, and takes all of them by one word", async () => {
		open("print");
		const unseen = await cli.runUnseen(`share ${URL}`);
		expect(unseen).toEqual({ said: expect.stringMatching(/^Name .* or all: work, team\. .*\n$/), code: 1 });
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
		expect(await cli.run(`share @${fileWith("other.txt", "hunter2")} work`)).toMatch(NO_URL);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it.each([
		["postgress://pool:hunter2@db/pi", NO_URL],
		["https://pool:hunter2@db/pi", NO_URL],
		["postgres://pool:hunter2@db:port/pi", /^error: The host or port of the URL/],
		["postgres://pool:hun/ter2@db/pi", /^error: The host or port of the URL/],
		[CODES.keeper, /^error: That is a join code\. \/multicodex join /],
		[`${URL} wrok`, /"wrok".* work\?/],
		[`${URL} --nmae x`, /no option --nmae/],
		[`${URL} --name`, /--name needs a name/],
		[`${URL} --name ""`, /^error: That name is empty\.$/],
		[`${URL} work all`, /all cannot be combined/],
		[`${URL} --codes`, /--codes cannot be combined/],
		[`${URL} pis`, /^error: pis is pi's own login,/],
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
		expect(said).toMatch(
			/^error: .* pis is pi's own .* login pis .* theirs is .* login theirs .* out is signed out: \/multicodex login out /,
		);
		open("tui", []);
		expect(await cli.run(`share ${URL}`)).toMatch(/^error: .*: \/multicodex add\./);
	});

	it("passes on what the database says, in its one sentence", async () => {
		cli.sharedPools.problem = new PoolProblem("no-rights", "Grant it CREATE.");
		expect(await cli.run(`share ${URL} work`)).toBe("error: Grant it CREATE.");
		expect(shared()).toEqual([]);
	});

	it("makes no second pool", async () => {
		inPool();
		expect(await cli.run(`share ${URL} team`)).toMatch(/^error: .* already in .* pi\. /);
		inPool({ joinedBy: "environment" });
		expect(await cli.run(`share ${URL} team`)).toBe(`error: ${texts.isByEnvironment()}`);
		expect(cli.sharedPools.asked).toEqual([]);
	});
});

describe("share with accounts", () => {
	it("adds them to the pool", async () => {
		inPool();
		expect(await cli.run("share team")).toMatch(/^info: Codex: team is in .* pi now,/);
		expect(cli.sharedPools.asked).toEqual([["add", ["team"]]]);
	});

	it.each([
		["work", /^error: work is already shared\./],
		["pis team", /^error: pis is pi's own login/],
		["nowhere", /"nowhere"/],
	])("refuses %s", async (words, problem) => {
		inPool();
		expect(await cli.run(`share ${words}`)).toMatch(problem);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("needs a pool, and a keeper", async () => {
		expect(await cli.run("share team")).toBe(`error: ${texts.needsPool()}`);
		inPool({ role: "runner" });
		expect(await cli.run("share team")).toMatch(KEEPERS_ONLY);
		expect(cli.sharedPools.asked).toEqual([]);
	});
});

describe("share alone", () => {
	const others = [
		{ name: "desk", seenAt: NOW - 3 * MINUTE_MS, sessions: new Map([["work", 2]]) },
		{ name: "ci", seenAt: NOW, sessions: new Map() },
	];

	it("says how to begin if there is no pool, and asks no database", async () => {
		expect(await cli.run("share")).toMatch(/^info: .*\n.*\/multicodex share <.*\n.*\/multicodex join </);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("shows the pool, the machines and what they work on", async () => {
		inPool({ others, clockAheadMs: -10 * MINUTE_MS, journals: 1 });
		expect((await cli.run("share")).split("\n")).toEqual([
			"info: pool          pi in db.example/pi",
			"state         connected, changes arrive at once",
			"this machine  laptop, a keeper",
			expect.stringMatching(/^ {14}its clock .* 10m behind/),
			expect.stringMatching(/^ {14}1 renewed sign-in /),
			"others        desk: 2 sessions, seen 3m ago",
			"              ci: no session, seen just now",
			"shared        work: 2 sessions on desk",
			"only here     team",
			"              pis: pi's own login",
		]);
	});

	it("says what keeps the pool away", async () => {
		inPool({ joinedBy: "environment" });
		cli.sharedPools.problem = new PoolProblem("revoked", "Join again.");
		const said = await cli.run("share");
		expect(said).toMatch(/^state +not usable since \d\d:\d\d: Join again\.$/m);
		expect(said).toContain("laptop, a keeper, by PI_MULTICODEX_POOL");
	});

	it("says no more than it knows if it was not tried whether notifications get through", async () => {
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
		expect(await cli.run("share --codes")).toMatch(KEEPERS_ONLY);
	});

	it("asks before new keys are made, and says what old codes can still do", async () => {
		inPool({ others: [{ name: "desk", seenAt: NOW, sessions: new Map() }] });
		const said = await cli.run("share --rotate");
		expect(cli.screen.questions).toEqual([expect.stringMatching(/^Make new keys .* pi\?$/)]);
		expect(cli.screen.details[0]).toMatch(/All codes .* desk\) has to join again.* password .*Keep the keys/);
		expect(said).toContain(NEW_CODES.keeper);
		expect(said).toMatch(/ old code .*change that password.* \/multicodex login\.$/);
		expect(cli.sharedPools.asked).toEqual([["rotate", undefined]]);
	});

	it("keeps the keys after a no", async () => {
		inPool();
		cli.screen.consent = false;
		expect(await cli.run("share --rotate --yes")).toBe(`info: ${texts.KEYS_KEPT}`);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("takes a URL with a new password along", async () => {
		inPool();
		await cli.run(`share --rotate ${URL}`);
		expect(cli.sharedPools.asked).toEqual([["rotate", URL]]);
	});

	it("needs --yes if nothing can be asked", async () => {
		open("print");
		inPool();
		expect(await cli.runUnseen("share --rotate")).toEqual({ said: expect.stringMatching(/--rotate --yes/), code: 1 });
		expect(cli.sharedPools.asked).toEqual([]);
	});
});

describe("join", () => {
	it("joins by a code that was typed, also one that a terminal has broken", async () => {
		const said = await cli.run(`join ${CODES.keeper} --name desk`);
		expect(said).toMatch(/^info: Codex: desk .* pi as a keeper\. It has no account yet\.$/);
		const { runner } = CODES;
		await cli.run(`join ${runner.slice(0, 20)}\n  ${runner.slice(20)}`);
		expect(cli.sharedPools.asked).toEqual([
			["join", [CODES.keeper, "desk"]],
			["join", [runner, undefined]],
		]);
	});

	it("asks for the code in a field that does not show it", async () => {
		cli.screen.input = CODES.keeper;
		await cli.run("join");
		expect(cli.screen.questions).toEqual([texts.CODE_TITLE]);
		expect(cli.sharedPools.asked).toEqual([["join", [CODES.keeper, undefined]]]);
		cli.screen.input = undefined;
		expect(await cli.run("join")).toBe(`info: ${texts.NOT_JOINED}`);
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
		expect(await cli.run(`join ${CODES.runner}`)).toMatch(/ ci .* as a runner\. It has work\. .* machines: desk\.$/);
		expect(cli.askedUsage).toEqual(["work"]);
	});

	it("says how to choose a Codex model if the machine has another one", async () => {
		cli.harness.accounts.rows = [anAccount("work", { shared: true })];
		cli.screen.model = { provider: "anthropic", baseUrl: "http://127.0.0.1:1" };
		expect(await cli.run(`join ${CODES.keeper}`)).toMatch(/It has work\. \/model /);
	});

	it.each(["'", '"', "`"])("takes a code with %s around it", async (quote) => {
		await cli.run(`join ${quote}${CODES.keeper}${quote}`);
		expect(cli.sharedPools.asked).toContainEqual(["join", [CODES.keeper, undefined]]);
	});

	it.each([
		[URL, /^error: That is a URL\. \/multicodex share /],
		["hunter2", /^error: .* not a join code\..* pi-pool-;/],
		[`${CODES.keeper} --name`, /--name needs a name/],
		["--nmae desk", / --nmae .* --name\?/],
	])("does nothing for %s, and quotes no secret", async (words, problem) => {
		const said = await cli.run(`join ${words}`);
		expect(said).toMatch(problem);
		expect(said).not.toMatch(SECRETS);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("says how to give a code if none can be asked for", async () => {
		open("print");
		expect(await cli.runUnseen("join")).toEqual({ said: expect.stringMatching(/join @code\.txt/), code: 1 });
	});

	it("passes on why a code does not do", async () => {
		cli.sharedPools.problem = new PoolProblem("revoked", "The keys were replaced.");
		expect(await cli.run(`join ${CODES.keeper}`)).toBe("error: The keys were replaced.");
	});
});

describe("leave", () => {
	it("asks, and says what stays, what goes, and what to keep", async () => {
		inPool();
		const said = await cli.run("leave");
		expect(cli.screen.questions).toEqual(["Leave the shared pool pi?"]);
		expect(cli.screen.details[0]).toMatch(/ in the pool, .*: work\. .* this machine: team, pis\. .* share --codes\)/);
		expect(said).toMatch(/^info: Codex: .* pool pi\. It has team, pis\.$/);
		expect(cli.sharedPools.asked).toEqual([["leave", []]]);
	});

	it("takes an account along", async () => {
		inPool({ others: [{ name: "desk", seenAt: NOW, sessions: new Map() }] });
		expect(await cli.run("leave --take work")).toMatch(/It has team, pis, work\.$/);
		expect(cli.screen.details[0]).toMatch(/^Leaves the pool, .*: work\./);
		expect(cli.screen.details[0]).not.toContain("--codes");
		expect(cli.sharedPools.asked).toEqual([["leave", ["work"]]]);
	});

	it("stays after a no", async () => {
		inPool();
		cli.screen.consent = false;
		expect(await cli.run("leave --yes")).toBe(`info: ${texts.STAYED}`);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("asks once more if the database lacks what only this machine holds, and names the accounts", async () => {
		inPool();
		cli.sharedPools.unstored = { renewed: ["work"], moving: ["team"] };
		const said = await cli.run("leave");
		expect(cli.screen.questions).toEqual(["Leave the shared pool pi?", "Leave the shared pool pi anyway?"]);
		expect(cli.screen.details[1]).toMatch(/: work\. .* every other machine .* moved: team\. .* on this machine/);
		expect(said).toMatch(/has left .* pi\./);
		expect(cli.sharedPools.asked).toEqual([
			["leave", []],
			["leave", { take: [], isForced: true }],
		]);
	});

	it("stays if nothing can be asked and the database lacks something, unless that is forced", async () => {
		open("print");
		inPool();
		cli.sharedPools.unstored = { renewed: ["work"], moving: [] };
		expect(await cli.runUnseen("leave --yes")).toMatchObject({
			said: expect.stringMatching(/: work\. .* was not left\. .*leave --yes --force\.\n$/),
			code: 1,
		});
		await cli.run("leave --yes --force", 0);
		expect(cli.sharedPools.joined).toBeUndefined();
	});

	it("needs --yes if nothing can be asked", async () => {
		open("print");
		inPool();
		expect(await cli.runUnseen("leave")).toEqual({ said: expect.stringMatching(/leave --yes/), code: 1 });
		await cli.run("leave --yes", 0);
		expect(cli.sharedPools.asked).toEqual([["leave", []]]);
	});

	it.each([
		["--take team", /^error: team is not shared,/],
		["--take", /--take needs a name/],
		["--take wrok", / work\?/],
		["work", /^error: Usage: \/multicodex leave/],
	])("refuses %s", async (words, problem) => {
		inPool();
		expect(await cli.run(`leave ${words}`)).toMatch(problem);
		expect(cli.sharedPools.asked).toEqual([]);
	});

	it("/multicodex leave is not for a process whose environment names the pool, and takes nothing from a runner", async () => {
		expect(await cli.run("leave")).toMatch(/^error: .* joined no shared pool\./);
		inPool({ joinedBy: "environment" });
		expect(await cli.run("leave")).toMatch(/^error: PI_MULTICODEX_POOL /);
		inPool({ role: "runner" });
		expect(await cli.run("leave --take work")).toMatch(KEEPERS_ONLY);
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
	it("is at first that it waits, if the database takes its time", async () => {
		hurryTimersOf(ANNOUNCED_AFTER_MS);
		open("rpc");
		const { join } = cli.sharedPools;
		cli.sharedPools.join = async (...given) => {
			await new Promise((resolve) => setTimeout(resolve, 60));
			return join(...given);
		};
		await cli.run(`join ${CODES.keeper}`, 2);
		expect(cli.screen.notices[0]).toBe(`info: ${texts.ASKING}`);
		cli.sharedPools.join = join;
		await cli.run(`join ${CODES.keeper}`, 1);
	});

	it("is nothing more if the person ends the wait with Esc in a terminal: the database is left alone", async () => {
		hurryTimersOf(ANNOUNCED_AFTER_MS);
		const stopped = new PoolProblem("unexpected", "Stopped.");
		cli.sharedPools.join = (_code, _machine, signal) =>
			new Promise((_resolve, reject) => signal?.addEventListener("abort", () => reject(stopped)));
		const running = cli.run(`join ${CODES.keeper}`);
		await until("the wait is shown", () => cli.screen.panel !== undefined);
		expect(cli.screen.panel?.render(60).join("\n")).toMatch(/asking the database[\s\S]*esc stop waiting/);
		cli.screen.panel?.handleInput?.("x");
		cli.screen.panel?.handleInput?.("\u001b");
		expect(await running).toBe("error: Stopped.");
		await until("the panel ends", () => cli.screen.panel === undefined);
	});

	it("is the sentence of a problem of the pool, whichever command met it", async () => {
		cli.harness.accounts.edit = () => Promise.reject(new PoolProblem("no-rights", "Ask a keeper."));
		expect(await cli.run("disable work")).toBe("error: Ask a keeper.");
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
