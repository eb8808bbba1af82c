import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames, NEWEST_HOST } from "../support/hosts.ts";
import {
	API_KEY_FILE,
	codexFile,
	FIXTURES,
	type Fixture,
	opencodeEntry,
	poolSql,
	toolOf,
	writeAt,
	writeDatabase,
	writeTool,
} from "../support/import-fixtures.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { bearerOf, nextSecond, signPiInAs, storedAccounts, storedLabels } from "./credentials-support.ts";
import { createTools, renewedByOwner, type Tools } from "./import-support.ts";
import { resultLines, until } from "./support.ts";

const DATABASES: readonly Fixture[] = ["opencode-database", "codex-pool"];
const JSON_FILES = FIXTURES.filter((fixture) => fixture !== "pi" && !DATABASES.includes(fixture));
/** Tools that hold one sign-in. */
const SINGLE: readonly Fixture[] = ["codex", "opencode"];

const resultSchema = z.strictObject({
	type: z.literal("multicodex"),
	command: z.literal("import"),
	result: z.strictObject({
		found: z.array(
			z.strictObject({
				tool: z.string(),
				path: z.string(),
				account: z.string(),
				verdict: z.string(),
				ownerActive: z.boolean(),
			}),
		),
		leftOut: z.array(z.strictObject({ tool: z.string(), path: z.string(), reason: z.string() })),
		imported: z.array(z.strictObject({ id: z.string(), label: z.string() })),
	}),
});

/** What an import in JSON mode gave: one line. */
function importResult(stdout: string): z.output<typeof resultSchema>["result"] {
	const [line, ...more] = resultLines(stdout);
	expect(more).toEqual([]);
	return resultSchema.parse(line).result;
}

/** Words on several lines, however they were wrapped. */
function flat(text: string): string {
	return text.replace(/\s+/g, " ");
}

async function expectTaken(tools: Tools, fixture: Fixture, accounts: readonly string[]): Promise<void> {
	const logins = await tools.install(fixture, ["a", "b"]);
	const untouched = tools.furnished();
	const result = await tools.print("/multicodex import");
	expect(result).toMatchObject({ code: 0, stderr: "" });
	expect(flat(result.stdout)).toContain(`imported ${accounts.join(", ")}.`);
	expect(storedAccounts(tools)).toMatchObject(
		accounts.map((label, index) => ({
			label,
			source: `import:${toolOf(fixture)}`,
			linked: false,
			enabled: true,
			needsLogin: null,
			credential: { access: logins[index]?.access, refresh: logins[index]?.refresh },
		})),
	);

	expect(await tools.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
	expect(bearerOf(tools.codex.responsesRequests()[0])).toBe(logins[0]?.access);
	if (accounts.length > 1) {
		await tools.print("/multicodex use b");
		expect(await tools.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
	}
	// Nothing was renewed on the way: that would have signed the tool out.
	expect(tools.codex.tokenRequests()).toEqual([]);
	untouched();
}

describe("a home with nothing but another tool's sign-in", () => {
	it.each(coreOf(hostNames))("serves a turn after import from Codex CLI, on pi %s", async (host) => {
		const tools = await createTools(["a", "b"], { host });
		expect((await tools.print("say hi")).code).not.toBe(0);
		await expectTaken(tools, "codex", ["a"]);
	});

	it.each(coreOf(hostNames))("serves the next prompt of the very session that imported, on pi %s", async (host) => {
		const tools = await createTools(["a"], { host });
		await tools.install("codex", ["a"]);
		tools.furnished();
		const rpc = tools.rpc();
		await rpc.send("/multicodex import codex");
		if (host !== "0.73.1") {
			// These begin without any model when no account is signed in, and need one.
			expect(rpc.notifications.at(-1)?.message).toContain("/model");
			await rpc.command("set_model", { provider: "openai-codex", modelId: tools.host.model });
		}
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
	});

	it.each(
		coreOf(
			JSON_FILES.filter((fixture) => fixture !== "codex"),
			(fixture) => fixture === "opencode",
		),
	)("serves a turn after import from %s", async (fixture) => {
		const tools = await createTools(["a", "b"]);
		await expectTaken(tools, fixture, SINGLE.includes(fixture) ? ["a"] : ["a", "b"]);
	});

	it.each(coreOf([NEWEST_HOST, "0.87.1"] as const))(
		"serves a turn after import from a database, on pi %s",
		async (host) => {
			const fixture = host === NEWEST_HOST ? "codex-pool" : "opencode-database";
			const tools = await createTools(["a", "b"], { host, env: {} });
			const privateCopies = join(tools.dir.home, "tmp");
			mkdirSync(privateCopies);
			await expectTaken(tools, fixture, ["a", "b"]);
			const env = { TMPDIR: privateCopies };
			expect((await tools.print(`/multicodex import ${toolOf(fixture)}`, [], { env })).code).toBe(0);
			expect(readdirSync(privateCopies).filter((name) => name.startsWith("pi-multicodex"))).toEqual([]);
		},
	);

	wide("serves a turn after import from a database that its tool has open", async () => {
		const tools = await createTools(["a"], { host: NEWEST_HOST });
		const path = join(tools.dir.home, ".local/share/opencode/codex-pool.db");
		await writeDatabase(path, poolSql([{ login: tools.login("a") }]), { isLive: true });
		const untouched = tools.furnished();
		expect(await tools.print("/multicodex import codex-pool")).toMatchObject({ code: 0, stderr: "" });
		expect(await tools.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		untouched();
	});

	wide.each(DATABASES)("says that a newer Node is needed for %s if this one is too old", async (fixture) => {
		const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
		// pi 0.73.1 runs on the Node of this test.
		const isOld = major < 22 || (major === 22 && minor < 15);
		const tools = await createTools(["a", "b"]);
		await tools.install(fixture, ["a", "b"]);
		const untouched = tools.furnished();
		const named = await tools.print(`/multicodex import ${toolOf(fixture)}`);
		const anything = await tools.print("/multicodex import");
		if (isOld) {
			expect(named).toMatchObject({ code: 1, stdout: "" });
			expect(named.stderr).toMatch(/Node 22\.15 or newer/);
			expect(anything).toMatchObject({ code: 0, stderr: "" });
			expect(anything.stdout).toMatch(/Node 22\.15 or newer/);
			expect(storedLabels(tools)).toEqual([]);
		} else expect(named.code).toBe(0);
		untouched();
	});

	wide("looks where the environment says that a tool keeps its files", async () => {
		const tools = await createTools(["a", "b", "c"]);
		const elsewhere = join(tools.dir.home, "else where");
		writeAt(join(elsewhere, "codex/auth.json"), codexFile(tools.login("a")));
		writeAt(join(elsewhere, "prodex/profiles/one/auth.json"), codexFile(tools.login("b")));
		writeAt(join(elsewhere, "data/opencode/auth.json"), { openai: opencodeEntry(tools.login("c")) });
		const untouched = tools.furnished();
		const env = {
			CODEX_HOME: join(elsewhere, "codex"),
			PRODEX_HOME: join(elsewhere, "prodex"),
			XDG_DATA_HOME: join(elsewhere, "data"),
		};
		const result = await tools.print("/multicodex import", [], { env });
		expect(result).toMatchObject({ code: 0, stderr: "" });
		expect(storedAccounts(tools).map(({ source }) => source)).toEqual([
			"import:codex",
			"import:prodex",
			"import:opencode",
		]);
		untouched();
	});
});

describe("what /multicodex import is given", () => {
	it("--dry-run shows everything and changes nothing", async () => {
		const tools = await createTools(["a", "b", "c"]);
		await tools.install("codex", ["a"]);
		await tools.install("prodex", ["b", "c"]);
		const untouched = tools.furnished();
		for (const command of ["import --dry-run", "import --dry-run prodex", "import prodex --dry-run"]) {
			const result = await tools.print(`/multicodex ${command}`);
			expect(result, command).toMatchObject({ code: 0, stderr: "" });
			for (const name of ["b", "c"]) expect(result.stdout).toMatch(new RegExp(`new: ${name}@example\\.test,.*prodex`));
			expect(result.stdout.includes("Codex CLI")).toBe(command === "import --dry-run");
			expect(result.stdout).not.toContain("imported");
		}
		expect(tools.dir.read("codex-accounts.json")).toBeUndefined();
		expect(tools.codex.requests).toEqual([]);
		untouched();
	});

	it("nothing at all: it looks everywhere, lists in print mode and then takes", async () => {
		const tools = await createTools(["a", "b"]);
		await tools.install("codex", ["a"]);
		await tools.install("codex-account-orchestrator", ["b"]);
		const untouched = tools.furnished();
		const result = await tools.print("/multicodex import");
		expect(result).toMatchObject({ code: 0, stderr: "" });
		const lines = result.stdout.trimEnd().split("\n");
		expect(lines.slice(0, 4)).toEqual([
			"Found 2 Codex sign-ins:",
			"  new: a@example.test, Codex CLI (~/.codex/auth.json)",
			"  new: b@example.test, codex-account-orchestrator b (~/.codex-account-orchestrator/b/auth.json)",
			"Codex: imported a, b.",
		]);
		// Both tools go on using what we have taken.
		expect(lines[4]).toMatch(/Codex CLI still uses the sign-in of a;.*\/multicodex login a /);
		expect(lines[5]).toMatch(/codex-account-orchestrator still uses the sign-in of b;.*\/multicodex login b /i);
		expect(lines).toHaveLength(6);

		const again = await tools.print("/multicodex import");
		expect(again).toMatchObject({ code: 0, stderr: "" });
		expect(again.stdout).toMatch(/already added: a,[\s\S]*already added: b,[\s\S]*Nothing is left to import\./);
		expect(storedLabels(tools)).toEqual(["a", "b"]);
		untouched();
	});

	it("nothing at all in RPC mode: it asks first, and no takes nothing", async () => {
		// Newer hosts have no model where they began without a login: a client has to choose one first.
		const tools = await createTools(["a", "b"], { host: "0.73.1" });
		await tools.install("codex", ["a"]);
		await tools.install("prodex", ["b"]);
		const untouched = tools.furnished();
		const rpc = tools.rpc();
		const rows = [
			"[x] a@example.test, Codex CLI (~/.codex/auth.json)",
			expect.stringMatching(/^\[x\] b@.*, prodex b /),
		];
		for (const refusal of ["No, import nothing", undefined]) {
			const asked = rpc.send("/multicodex import");
			const dialog = await rpc.waitForDialog();
			expect(dialog).toMatchObject({
				method: "select",
				title: "Import 2 Codex accounts?",
				options: ["Yes, import all 2", "No, import nothing", ...rows],
			});
			rpc.answer(dialog, refusal);
			await asked;
			expect(rpc.notifications.at(-1)).toMatchObject({ level: "info", message: "Nothing was imported." });
			expect(storedLabels(tools)).toEqual([]);
		}
		// The first answer takes b out, the second imports the rest.
		const given = ["[x] b@", "Yes, import 1 of 2"];
		rpc.answerDialogs((dialog) => {
			const wanted = given.shift() ?? "";
			return dialog.method === "select" ? dialog.options.find((option) => option.startsWith(wanted)) : undefined;
		});
		await rpc.send("/multicodex import");
		expect(rpc.notifications.at(-1)?.message).toMatch(/^Codex: imported a\.\nThe pool has 1 account now\./);
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
		// Of one account it is a plain question; what is here already is named before.
		const questions: unknown[] = [];
		rpc.answerDialogs((dialog) => {
			questions.push(dialog);
			expect(rpc.notifications.at(-1)?.message).toContain("already added: a,");
			return true;
		});
		await rpc.send("/multicodex import");
		expect(questions).toMatchObject([{ method: "confirm", title: "Import 1 Codex account?" }]);
		expect(rpc.notifications.at(-1)?.message).toMatch(/^Codex: imported b\./);

		// With nothing left to take there is no question.
		rpc.answerDialogs(() => {
			throw new Error("no question should be asked");
		});
		await rpc.send("/multicodex import");
		expect(rpc.notifications.at(-1)?.message).toContain("Nothing is left to import.");
		untouched();
	});

	it.each(coreOf(hostNames))(
		"nothing at all in the terminal: the question can be read and answered, on pi %s",
		async (host) => {
			const names = Array.from({ length: 24 }, (_, index) => `n${index}`);
			const tools = await createTools(names, { host });
			await tools.install("codex-account-orchestrator", names);
			const untouched = tools.furnished();
			const terminal = tools.terminal([], { cols: 80, rows: 24 });
			await terminal.ready(60_000);
			await terminal.submit("/multicodex import");
			// However much there is to list: what is asked, and what can be answered.
			const isWhole = (screen: string) =>
				["Import 24 Codex accounts?", "█  Yes, import all 24", "No, import nothing", "[x] n0@"].every((word) =>
					screen.includes(word),
				);
			await terminal.waitForScreen(isWhole, 30_000);
			await terminal.press("enter");
			await until("the accounts to be there", () => storedLabels(tools).length === names.length, 60_000);
			untouched();
		},
	);

	wide("a tool: only that one is looked at, and taken without a question", async () => {
		const tools = await createTools(["a", "b"]);
		await tools.install("codex", ["a"]);
		await tools.install("opencode", ["b"]);
		const rpc = tools.rpc();
		tools.furnished();
		await rpc.send("/multicodex import opencode");
		expect(storedAccounts(tools)).toMatchObject([{ label: "b", source: "import:opencode" }]);
		expect(rpc.notifications.map(({ level }) => level)).toEqual(["info"]);
	});

	wide("a tool that is not there, or a word that is nothing: it fails and changes nothing", async () => {
		const tools = await createTools(["a"]);
		await tools.install("codex", ["a"]);
		tools.furnished();
		const nothing = await tools.print("/multicodex import prodex");
		expect(nothing).toMatchObject({ code: 1, stdout: "" });
		expect(nothing.stderr).toMatch(/prodex.*Nothing was imported/);
		const unknown = await tools.run(["--mode", "json", "/multicodex import nonsense"]);
		expect(unknown.code).toBe(1);
		expect(resultLines(unknown.stdout)).toEqual([]);
		for (const tool of ["nonsense", "codex", "codex-auth", "opencode", "codex-pool"]) {
			expect(unknown.stderr).toContain(tool);
		}
		expect(unknown.stderr.trimEnd().split("\n")).toHaveLength(1);
		expect(await tools.print("/multicodex import --force")).toMatchObject({ code: 1, stdout: "" });
		expect(tools.dir.read("codex-accounts.json")).toBeUndefined();
	});

	wide("a path: a file or a folder, with a blank in it, from the home or from here", async () => {
		const tools = await createTools(["a", "b", "c", "d", "e", "f", "g"]);
		const { home, cwd } = tools.dir;
		writeAt(join(home, "my logins/first one.json"), codexFile(tools.login("a")));
		writeAt(join(home, "plain.json"), { openai: opencodeEntry(tools.login("b")) });
		writeAt(join(cwd, "here/auth.json"), codexFile(tools.login("c")));
		writeAt(join(home, "many/one/auth.json"), codexFile(tools.login("d")));
		writeAt(join(home, "many/flat.json"), { access_token: tools.login("e").access, refresh_token: "rt_flat" });
		writeAt(join(home, "many/notes.json"), { nothing: "of interest" });
		writeAt(join(home, "data/opencode/auth.json"), { openai: opencodeEntry(tools.login("f")) });
		writeAt(join(home, "agent/auth.json"), { "openai-codex": tools.codex.piAuthEntry("g") });
		// Files in the working directory are not ours either.
		tools.excuse([join(cwd, "here/auth.json")]);
		const untouched = tools.furnished();
		const rpc = tools.rpc();
		for (const [typed, labels] of [
			[`"${home}/my logins/first one.json"`, ["a"]],
			["~/plain.json", ["a", "b"]],
			["here", ["a", "b", "c"]],
			["~/many", ["a", "b", "c", "d", "e"]],
			["~/data/opencode", ["a", "b", "c", "d", "e", "f"]],
			["~/agent", ["a", "b", "c", "d", "e", "f", "g"]],
		] as const) {
			await rpc.send(`/multicodex import ${typed}`);
			expect(rpc.notifications.at(-1), typed).toMatchObject({ level: "info" });
			expect(storedLabels(tools).toSorted(), typed).toEqual(labels);
		}
		// A blank needs no quotes.
		await rpc.send("/multicodex import ~/my logins/first one.json");
		expect(rpc.notifications.at(-1)?.message).toContain("already added: a");
		for (const nothing of ["~/many/notes.json", "~/nowhere.json"]) {
			await rpc.send(`/multicodex import ${nothing}`);
			expect(rpc.notifications.at(-1), nothing).toMatchObject({ level: "error" });
		}
		expect(await tools.print("/multicodex import ~/nowhere.json")).toMatchObject({ code: 1, stdout: "" });
		untouched();
	});

	it("pi's own file: it is linked, not copied", async () => {
		const tools = await createTools(["a"]);
		const grant = signPiInAs(tools, "a");
		const auth = tools.dir.read("auth.json");
		const result = await tools.print("/multicodex import pi");
		expect(result).toMatchObject({ code: 0, stdout: expect.stringContaining("already added: a") });
		expect(storedAccounts(tools)).toMatchObject([{ label: "a", source: "pi", linked: true, credential: grant }]);
		expect(tools.dir.read("auth.json")).toBe(auth);
	});

	it("anything: JSON mode gives one line that parses", async () => {
		const tools = await createTools(["a"]);
		await tools.install("codex", ["a"]);
		writeAt(join(tools.dir.home, ".codex-work/auth.json"), API_KEY_FILE);
		tools.furnished();
		const path = join(tools.dir.home, ".codex/auth.json");
		const leftOut = [
			{ tool: "codex-hotswap", path: join(tools.dir.home, ".codex-work/auth.json"), reason: expect.any(String) },
		];
		const found = { tool: "codex", path, account: tools.id("a"), ownerActive: true };

		const dry = await tools.run(["--mode", "json", "/multicodex import --dry-run"]);
		expect(dry).toMatchObject({ code: 0, stderr: "" });
		expect(importResult(dry.stdout)).toEqual({ found: [{ ...found, verdict: "add" }], leftOut, imported: [] });
		const taken = await tools.run(["--mode", "json", "/multicodex import"]);
		expect(taken).toMatchObject({ code: 0, stderr: "" });
		expect(importResult(taken.stdout)).toEqual({
			found: [{ ...found, verdict: "add" }],
			leftOut,
			imported: [{ id: tools.id("a"), label: "a" }],
		});
		const again = await tools.run(["--mode", "json", "/multicodex import"]);
		expect(importResult(again.stdout)).toEqual({ found: [{ ...found, verdict: "have" }], leftOut, imported: [] });
	});
});

describe("several sign-ins of one identity", () => {
	it("sign-ins of one identity make one account, with the newest of them, wherever that lies", async () => {
		const tools = await createTools(["a", "b"]);
		const olderOfA = tools.login("a");
		await writeTool("codex-auth", tools.dir.home, [olderOfA]);
		await writeTool("prodex", tools.dir.home, [tools.login("b")]);
		await nextSecond();
		const [newerOfA] = await tools.install("opencode", ["a"]);
		const [newerOfB] = await tools.install("codex", ["b"]);
		const untouched = tools.furnished();
		const result = await tools.print("/multicodex import");
		expect(result).toMatchObject({ code: 0, stderr: "" });
		expect(result.stdout).toMatch(/older copy: .*codex-auth/);
		expect(result.stdout).toMatch(/older copy: .*prodex/);
		expect(storedAccounts(tools)).toHaveLength(2);
		expect(tools.stored("a")).toMatchObject({ credential: { refresh: newerOfA?.refresh } });
		expect(tools.stored("b")).toMatchObject({ credential: { refresh: newerOfB?.refresh } });
		expect(storedAccounts(tools).map(({ source }) => source)).toEqual(
			expect.arrayContaining(["import:opencode", "import:codex"]),
		);
		untouched();
	});

	it("an import leaves an account alone that has a sign-in of its own, and two seats of a workspace are two", async () => {
		const seat = { accountId: "workspace" };
		const tools = await createTools([{ name: "b", ...seat }], { accounts: [{ name: "a", ...seat }] });
		const ours = tools.stored("a");
		await nextSecond();
		await tools.install("prodex", ["a", "b"]);
		tools.furnished();
		const result = await tools.print("/multicodex import");
		expect(result.stdout).toMatch(/already added: a,/);
		expect(storedLabels(tools)).toEqual(["a", "b"]);
		expect(tools.stored("a")).toEqual(ours);
	});
});

describe("a sign-in that two programs share", () => {
	it("ends when its owner has renewed it, and comes back with the owner's next one", async () => {
		const tools = await createTools(["a"], { accounts: ["b"] });
		const [login] = await tools.install("codex", ["a"]);
		if (!login) throw new Error("Codex CLI has no login");
		tools.furnished();
		const imported = await tools.print("/multicodex import");
		expect(imported.stdout).toMatch(/Codex CLI still uses the sign-in of a;.*signed out.*\/multicodex login a/);
		await tools.print("/multicodex use a");

		tools.codex.account("a").expireAccessTokens();
		await renewedByOwner(tools, login);
		const rpc = tools.rpc();
		const turn = await rpc.prompt("say hi");
		expect(turn).toMatchObject({ stopReason: "stop", text: "OK from b #1" });
		const notice = await rpc.waitForNotification("a was signed out");
		expect(notice).toMatchObject({ level: "warning" });
		expect(notice.message).toMatch(/shared with Codex CLI.*\/multicodex login a$/);
		expect(tools.stored("a").needsLogin).toMatchObject({ reason: "refresh_token_reused" });
		const shown = flat((await tools.print("/multicodex show")).stdout);
		expect(shown).toContain("shared with Codex CLI");
		expect(shown).toContain("/multicodex login a");

		// The very same sign-in is not tried again, by whatever name it comes.
		const exchanges = tools.codex.tokenRequests().length;
		const again = await tools.print("/multicodex import");
		expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining("Nothing is left to import.") });
		expect(tools.stored("a").needsLogin).not.toBeNull();
		await tools.print("say hi");
		expect(tools.codex.tokenRequests()).toHaveLength(exchanges);

		// The backend has signed Codex CLI out as well; its person signs in there.
		await writeTool("codex", tools.dir.home, [tools.login("a")]);
		const renewed = await tools.print("/multicodex import codex");
		expect(renewed).toMatchObject({ code: 0, stdout: expect.stringMatching(/new sign-in: a,/) });
		expect(tools.stored("a").needsLogin).toBeNull();
		expect(await tools.print("say hi")).toMatchObject({ code: 0, stdout: expect.stringMatching(/^OK from a/) });
	});

	wide("is warned of if a path was typed instead of the tool's name", async () => {
		const tools = await createTools(["a"]);
		await tools.install("codex", ["a"]);
		tools.furnished();
		const result = await tools.print("/multicodex import ~/.codex/auth.json");
		expect(result).toMatchObject({ code: 0, stderr: "" });
		expect(result.stdout).toMatch(/\/multicodex login a\b/);
	});
});

describe("what cannot be taken", () => {
	wide("is listed by place and reason, and does not keep the others from being imported", async () => {
		const tools = await createTools(["a", "b", "c"]);
		const { home } = tools.dir;
		const orchestrator = (name: string) => join(home, ".codex-account-orchestrator", name, "auth.json");
		const { access, refresh } = tools.login("a");
		const torn = JSON.stringify(codexFile(tools.login("a"))).slice(0, -40);
		writeAt(orchestrator("key"), API_KEY_FILE);
		writeAt(orchestrator("pat"), { auth_mode: "personalAccessToken", personal_access_token: "at-FAKE" });
		writeAt(orchestrator("lent"), codexFile(tools.login("a"), { auth_mode: "chatgptAuthTokens" }));
		writeAt(orchestrator("torn"), torn);
		writeAt(orchestrator("odd"), ["not", "an", "object"]);
		writeAt(orchestrator("half"), { tokens: { access_token: access } });
		writeAt(orchestrator("foreign"), { tokens: { access_token: "eyJhbGciOiJub25lIn0.e30.x", refresh_token: refresh } });
		mkdirSync(orchestrator("folder"), { recursive: true });
		mkdirSync(dirname(orchestrator("pipe")));
		execFileSync("mkfifo", [orchestrator("pipe")]);
		writeAt(join(home, ".codex/config.toml"), 'cli_auth_credentials_store = "keyring"\n');
		writeAt(join(home, ".codex/auth.json"), codexFile(tools.login("a")));
		writeAt(join(home, ".codex-mem/config.toml"), "cli_auth_credentials_store = 'ephemeral'\n[features]\nx = true\n");
		writeAt(join(home, ".codex-mem/auth.json"), codexFile(tools.login("a")));
		writeAt(join(home, ".prodex/state.json"), {
			profiles: { octo: { codex_home: join(home, ".prodex/octo"), provider: { provider_kind: "copilot" } } },
		});
		writeAt(join(home, ".prodex/octo/auth.json"), codexFile(tools.login("a")));
		writeAt(join(home, ".local/share/opencode/auth.json"), { openai: { type: "api", key: "sk-FAKE-not-a-key" } });
		writeAt(join(home, ".prodex/profiles/good/auth.json"), codexFile(tools.login("b")));
		const untouched = tools.furnished();

		const result = await tools.print("/multicodex import");
		expect(result).toMatchObject({ code: 0, stderr: "" });
		const told = (place: string) => result.stdout.split("\n").filter((line) => line.includes(place));
		for (const [place, reason] of [
			["orchestrator/key/", "API key"],
			["orchestrator/pat/", "personal access token"],
			["orchestrator/lent/", "another program lends"],
			["orchestrator/torn/", "not valid JSON"],
			["orchestrator/odd/", "no ChatGPT sign-in"],
			["orchestrator/half/", "no refresh token"],
			["orchestrator/foreign/", "names no ChatGPT workspace"],
			["orchestrator/pipe/", "is not a file"],
			["(~/.codex/auth.json)", "keyring"],
			["(~/.codex-mem/auth.json)", "memory only"],
			["prodex octo", "another provider"],
			["opencode/auth.json", "API key"],
		]) {
			expect(told(place ?? ""), place).toHaveLength(1);
			expect(told(place ?? "")[0]).toContain(reason);
		}
		expect(storedAccounts(tools)).toMatchObject([{ label: "good", source: "import:prodex" }]);
		expect(await tools.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		untouched();
	});

	it.each(
		coreOf([
			{ what: "an API key", content: API_KEY_FILE, reason: /API key/ },
			{
				what: "a file that is cut off",
				content: '{"auth_mode":"chatgpt","tokens":{"access_token":"ey',
				reason: /JSON/,
			},
		]),
	)("fails in one line if a tool was named and has only $what", async ({ content, reason }) => {
		const tools = await createTools([]);
		writeAt(join(tools.dir.home, ".codex/auth.json"), content);
		for (const typed of ["codex", "~/.codex/auth.json", "~/.codex"]) {
			const result = await tools.print(`/multicodex import ${typed}`);
			expect(result, typed).toMatchObject({ code: 1, stdout: "" });
			expect(result.stderr, typed).toMatch(reason);
			expect(result.stderr.trimEnd().split("\n"), typed).toHaveLength(1);
		}
		const anywhere = await tools.print("/multicodex import");
		expect(anywhere).toMatchObject({ code: 0, stdout: expect.stringMatching(reason), stderr: "" });
		expect(tools.dir.read("codex-accounts.json")).toBeUndefined();
	});

	wide("is a row that the pool of opencode has given up, beside one that works", async () => {
		const tools = await createTools(["a", "b"], { host: "0.87.1" });
		const path = join(tools.dir.home, ".local/share/opencode/codex-pool.db");
		const rows = [{ login: tools.login("a") }, { login: tools.login("b"), disabledAt: Date.now(), label: "spare" }];
		await writeDatabase(path, poolSql(rows));
		writeFileSync(join(tools.dir.home, ".local/share/opencode/opencode.db"), "this is no database");
		const untouched = tools.furnished();
		const result = await tools.print("/multicodex import");
		expect(result).toMatchObject({ code: 0, stderr: "" });
		expect(result.stdout).toMatch(/spare .*given this sign-in up/);
		expect(result.stdout).toMatch(/opencode\.db\) is not a readable SQLite database/);
		expect(storedLabels(tools)).toEqual(["a"]);
		untouched();
	});

	wide("what cannot be taken is not a token that has run out: it is renewed at first use, once", async () => {
		const tools = await createTools(["a"]);
		await writeTool("codex", tools.dir.home, [tools.login("a", { expiresInMs: -60_000 })]);
		const untouched = tools.furnished();
		const result = await tools.print("/multicodex import");
		expect(result).toMatchObject({ code: 0, stdout: expect.stringMatching(/has expired/), stderr: "" });
		expect(tools.codex.tokenRequests()).toEqual([]);
		expect(await tools.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		expect(tools.codex.tokenRequests()).toHaveLength(1);
		untouched();
	});
});

describe("the names of imported accounts", () => {
	wide("the names of imported accounts are those that the tool has, made unique, and never an e-mail", async () => {
		const tools = await createTools(["a", "b", "c"], { accounts: ["main"] });
		const logins = [
			tools.login("a", { name: "main" }),
			tools.login("b", { name: "b@example.test" }),
			tools.login("c", { name: "all" }),
		];
		await writeTool("codex-auth-npm", tools.dir.home, logins);
		tools.furnished();
		expect((await tools.print("/multicodex import")).code).toBe(0);
		expect(storedLabels(tools).toSorted()).toEqual(["b", "c", "main", "main-2"]);
		expect(tools.stored("a").label).toBe("main-2");
	});

	wide("the names of imported accounts tell no e-mail if e-mails are masked", async () => {
		const tools = await createTools(["a", "b"], { settings: { "pi-multicodex": { maskEmails: true } } });
		await writeTool("codex-auth-npm", tools.dir.home, [tools.login("a", { name: "a@example.test" })]);
		await writeTool("codex", tools.dir.home, [tools.login("b")]);
		tools.furnished();
		for (const command of ["import --dry-run", "import"]) {
			const { stdout } = await tools.print(`/multicodex ${command}`);
			expect(stdout).toContain("Codex CLI");
			expect(stdout).not.toMatch(/[ab]@example\.test/);
		}
		expect(storedLabels(tools).toSorted()).toEqual(["a", "b"]);
	});
});

describe("two processes that import at once", () => {
	wide(
		"two imports take each account once, and the one that was there already sees it at its next request",
		async () => {
			const tools = await createTools(["a", "b"], { accounts: ["z"] });
			await tools.install("prodex", ["a", "b"]);
			tools.furnished();
			tools.codex.account("z").always(answers.usageLimit({ resetsInMs: 3_600_000 }));
			const rpc = tools.rpc();
			const results = await Promise.all([1, 2, 3].map(() => tools.print("/multicodex import")));
			for (const result of results) expect(result.code).toBe(0);
			expect(storedLabels(tools).toSorted()).toEqual(["a", "b", "z"]);
			expect((await rpc.prompt("say hi")).text).toMatch(/^OK from [ab] #1$/);
		},
	);
});
