import { execFileSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { basename, join, sep } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { statusSchema, usageSchema, verifySchema, whySchema } from "../../src/pi/json-schemas.ts";
import { type AgentDir, createAgentDir } from "../support/agent-dir.ts";
import { answers } from "../support/fake-codex/index.ts";
import { aTokenOf, closeFolder, HOUR_MS } from "../support/fakes.ts";
import { findModernNode, repositoryRoot } from "../support/hosts.ts";
import { bundleProgram, type Program } from "../support/program.ts";
import { startTerminal } from "../support/terminal.ts";
import { coreOf } from "../support/tiers.ts";
import { createBench, until } from "./support.ts";

/** The size of what `status --line` reads of the package, and a little more: see `start.test.ts`. */
const MOST_KIB = 306;

let program: Program;
beforeAll(async () => {
	program = await bundleProgram();
});
afterAll(() => program.remove());

/** What `--line` says of {@link aHome}. */
const LINE = "codex work · 5h 73% left · 2/2\n";
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const IDS: Readonly<Record<string, string>> = { work: "3f9c0a7be21d", side: "a1b2c3d4e5f6" };

function stateOf(used: Readonly<Record<string, number>>) {
	const accounts = Object.entries(used).map(([label, usedPercent]) => {
		const windows = [{ usedPercent, windowMinutes: 300, resetsAt: Date.now() + HOUR_MS }];
		const usage = { capturedAt: Date.now(), source: "api", windows, limits: {}, limitReached: false };
		const lastUsedAt = label === "work" ? Date.now() - 1000 : undefined;
		return [IDS[label], { cooldowns: [], usage, lastUsedAt }] as const;
	});
	return { version: 1, pin: null, accounts: Object.fromEntries(accounts) };
}

/** An agent directory with two accounts, `work` at 73% and the one that served last. */
function aHome(more: Parameters<typeof createAgentDir>[0] = {}): AgentDir {
	const rows = Object.entries(IDS).map(([label, id]) => {
		const access = aTokenOf(label, { issuedAt: Date.now(), expiresAt: Date.now() + 48 * HOUR_MS });
		const credential = { access, refresh: `refresh-${label}`, expires: Date.now() + 48 * HOUR_MS };
		return { id, label, accountId: `acct-${label}`, credential };
	});
	const dir = createAgentDir({
		accounts: { version: 2, accounts: rows },
		state: stateOf({ work: 27, side: 10 }),
		...more,
	});
	onTestFinished(dir.remove);
	return dir;
}

const run = (dir: AgentDir, words: string, more: Parameters<Program["start"]>[2] = {}) =>
	program.start(dir, words.split(" "), more).wait();

/** Name, kind, time and content of everything below the home. */
function everythingIn({ home }: AgentDir): unknown[] {
	const paths = readdirSync(home, { recursive: true, encoding: "utf8" }).sort();
	return ["", ...paths].map((path) => {
		const stats = lstatSync(join(home, path));
		return [path, stats.mtimeMs, stats.ctimeMs, stats.mode, stats.isFile() && readFileSync(join(home, path), "utf8")];
	});
}

describe("the program without pi", () => {
	it("prints the status in each form, the version and the help, with its exit codes", async () => {
		const dir = aHome();
		expect(await run(dir, "status --line")).toMatchObject({ code: 0, stdout: LINE, stderr: "" });
		expect(await run(dir, "status")).toMatchObject({
			code: 0,
			stdout: expect.stringMatching(/^2 of 2 ready/),
			stderr: "",
		});
		const { stdout } = await run(dir, "status --json");
		expect(statusSchema.parse(JSON.parse(stdout))).toMatchObject({ active: IDS.work, ready: 2 });
		const { version } = z
			.object({ version: z.string() })
			.parse(JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")));
		expect(await run(dir, "--version")).toMatchObject({ code: 0, stdout: `${version}\n` });
		expect(await run(dir, "--help")).toMatchObject({ code: 0, stdout: expect.stringContaining("status [--line") });
		expect(await run(dir, "statsu")).toMatchObject({
			code: 2,
			stdout: "",
			stderr: 'pi-multicodex: there is no "statsu". Did you mean status?\n',
		});
		dir.write("codex-accounts.json", "{");
		expect(await run(dir, "status --line")).toMatchObject({
			code: 1,
			stdout: "codex files unreadable\n",
			stderr: "codex-accounts.json is damaged and cannot be read.\n",
		});
		expect(await run(dir, "status", { env: { ...program.env(dir), PI_CODING_AGENT_DIR: "~/gone" } })).toMatchObject({
			code: 3,
			stdout: "No Codex account is signed in. Run /multicodex add.\n",
		});
		expect(existsSync(join(dir.home, "gone"))).toBe(false);
	});

	it("changes nothing, neither if it could nor if nothing can be written", async () => {
		const dir = aHome({ auth: {} });
		mkdirSync(join(dir.dir, "codex-state.json.lock"));
		const broken = aHome({ accounts: "{", state: "{" });
		const older = aHome({ accounts: { accounts: [{ accessToken: aTokenOf("work"), refreshToken: "r" }] } });
		for (const each of [dir, broken, older]) {
			const before = everythingIn(each);
			for (const words of ["status", "status --line", "status --json", "usage", "why", "verify --json"]) {
				await run(each, words);
			}
			expect(everythingIn(each)).toEqual(before);
		}
		const reopen = closeFolder(dir.dir);
		onTestFinished(reopen);
		expect(await run(dir, "status --line")).toMatchObject({ code: 0, stdout: LINE, stderr: "" });
		expect(await run(dir, "why --json")).toMatchObject({ code: 0, stderr: "" });
	});

	it("loads two files of its own for the line of a status bar, nothing of pi, and no cryptography", async () => {
		const dir = aHome();
		const report = join(dir.home, "report.json");
		const { code } = await run(dir, "status --line", {
			env: {
				...program.env(dir),
				NODE_OPTIONS: `--import ${join(repositoryRoot, "test/support/preload/our-files.mjs")}`,
				OUR_FILES_BUNDLE: program.dist + sep,
				OUR_FILES_REPORT: report,
			},
		});
		expect(code).toBe(0);
		const shape = z.object({ loaded: z.array(z.string()), builtIns: z.array(z.string()) });
		const { loaded, builtIns } = shape.parse(JSON.parse(readFileSync(report, "utf8")));
		const names = loaded.map((path) => basename(path).replace(/-[\w-]{8}\.cjs$/, ".cjs")).sort();
		expect(names).toEqual(["cli-start.cjs", "cli.cjs"]);
		expect(builtIns).toContain("fs");
		expect(builtIns.filter((name) => ["crypto", "v8", "zlib", "net", "timers/promises"].includes(name))).toEqual([]);
		const bytes = loaded.reduce((sum, path) => sum + statSync(path).size, 0);
		expect(bytes / 1024).toBeLessThanOrEqual(MOST_KIB);
		const bundled = readdirSync(program.dist).filter((name) => /^cli.*\.cjs$/.test(name));
		const texts = bundled.map((name) => readFileSync(join(program.dist, name), "utf8"));
		const required = texts.flatMap((text) =>
			[...text.matchAll(/\brequire\("([^"]*)"\)/g)].map(([, name = ""]) => name),
		);
		expect(required.filter((name) => !isBuiltin(name) && !name.startsWith("./"))).toEqual([]);
	});

	it("keeps its bytecode for the next run, and makes it anew when that is cut off or has a hole", async () => {
		const dir = aHome();
		const look = () => run(dir, "status --line");
		const keptFiles = () => readdirSync(program.dist).filter((name) => /^cli-.*\.v8$/.test(name));
		for (const name of keptFiles()) rmSync(join(program.dist, name));

		expect(await look()).toMatchObject({ code: 0, stdout: LINE, stderr: "" });
		const [kept = ""] = keptFiles();
		const path = join(program.dist, kept);
		const { mtimeMs, size } = statSync(path);
		expect(await look()).toMatchObject({ code: 0, stdout: LINE, stderr: "" });
		expect(statSync(path).mtimeMs).toBe(mtimeMs);

		for (const damage of [(bytes: Buffer) => bytes.subarray(0, size / 2), (bytes: Buffer) => bytes.fill(0, size / 2)]) {
			writeFileSync(path, damage(readFileSync(path)));
			expect(await look()).toMatchObject({ code: 0, stdout: LINE, stderr: "" });
			expect(statSync(path).mtimeMs).toBeGreaterThan(mtimeMs);
			const laterHalf = readFileSync(path).subarray(size / 2);
			expect(laterHalf.equals(Buffer.alloc(laterHalf.length))).toBe(false);
		}
		expect(keptFiles()).toEqual([kept]);
	});

	it("ends in silence if its reader has what it wants", async () => {
		const dir = aHome();
		const script = "pi-multicodex status --json | head -c 1; pi-multicodex status --watch | head -n 1";
		// The second one hears of it with its next line.
		const shell = program.start(dir, [], { file: "/bin/sh", args: ["-c", script] });
		await until("the first line of the watch", () => shell.stdout().includes("ready"));
		const touch = setInterval(
			() => dir.replace("codex-state.json", stateOf({ work: Math.random() * 90, side: 10 })),
			100,
		);
		onTestFinished(() => clearInterval(touch));
		const { stdout, stderr, code } = await shell.wait();
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		expect(stdout).toMatch(/^\{2 of 2 ready · [^\n]*\n$/);
	});

	it("runs the sources of a checkout if Node can, and else says in one line what to do", async () => {
		const dir = aHome();
		const node = await findModernNode();
		const source = join(repositoryRoot, "bin/pi-multicodex.cjs");
		const checkout = (...args: string[]) => run(dir, "", { file: node, args });
		const { code, stdout } = await checkout(source, "status", "--line");
		expect({ code, stdout }).toEqual({ code: 0, stdout: LINE });
		expect(await checkout(source, "verify", "--json")).toMatchObject({ code: 0 });
		const refused = await checkout("--no-experimental-strip-types", source, "status");
		expect(refused).toMatchObject({ code: 1, stdout: "" });
		expect(refused.stderr).toMatch(/^pi-multicodex: this is a checkout, which needs Node 22\.18 [^\n]*\n$/);
	});
});

describe("the watch", () => {
	const terminal = (dir: AgentDir, env = {}) => {
		const host = { name: "the program", node: process.execPath, cli: program.path, model: "" };
		const started = startTerminal(host, dir, ["status", "--watch"], { extension: false, env, cols: 80, rows: 12 });
		onTestFinished(async () => void (await started.stop().catch(() => undefined)));
		return started;
	};

	const ends = [
		["q", undefined, 0],
		["ctrl+c", undefined, 0],
		["SIGTERM", "SIGTERM", 143],
		["SIGHUP", "SIGHUP", 129],
	] as const;
	it.each(coreOf(ends, ([how]) => how === "ctrl+c" || how === "SIGTERM"))(
		"paints a terminal as files change, and leaves it as it was after %s",
		async (how, signal, code) => {
			const dir = aHome();
			const shown = terminal(dir);
			await shown.waitForText(/→ {2}work .* 73% left/);
			dir.replace("codex-state.json", stateOf({ work: 60, side: 10 }));
			await shown.waitForText(/→ {2}work .* 40% left/);
			const whole = dir.read("codex-accounts.json") ?? "";
			dir.replace("codex-accounts.json", "{");
			await shown.waitForScreen((screen) => screen === "\ncodex-accounts.json is damaged and cannot be read.");
			dir.replace("codex-accounts.json", whole);
			await shown.waitForText(/→ {2}work .* 40% left/);
			shown.resize(40);
			await shown.waitForText(/→ {2}work {2}plus {4}5h {2}40% {2}\d+m {4}ready/);
			if (signal) process.kill(shown.pid, signal);
			else if (how === "q") await shown.type("q");
			else await shown.press("ctrl+c");
			expect(await shown.waitForExit()).toMatchObject({ code });
			expect(shown.output().startsWith(ENTER)).toBe(true);
			expect(shown.output().endsWith(LEAVE)).toBe(true);
			expect(shown.screen()).toBe("");
		},
	);

	it("follows a real pi beside it: the account that runs out is left, and why and verify agree with pi's", async () => {
		const bench = await createBench({ accounts: ["work", "side"] });
		const beside = (...words: string[]) => program.start(bench.dir, words, { env: program.env(bench.dir) });
		await bench.print("hi", ["--no-tools", "--no-session"]);
		const watching = beside("status", "--watch", "--line");
		onTestFinished(() => void watching.signal("SIGKILL"));
		const first = bench.asked().at(-1) ?? "";
		const second = first === "work" ? "side" : "work";
		await until("the line of the account that served", () => watching.stdout().includes(`${first} · `));
		bench.codex.account(first).always(answers.usageLimit({ resetsInMs: HOUR_MS }));
		await bench.print("hi again", ["--no-tools", "--no-session"]);
		expect(bench.asked().at(-1)).toBe(second);
		await until("the line of the next account", () => new RegExp(`${second} · .*last ready\n`).test(watching.stdout()));
		watching.signal("SIGTERM");
		expect(await watching.wait()).toMatchObject({ code: 143, stderr: "" });

		const { stdout: ofPi } = await bench.print("/multicodex why --json", ["--no-session"]);
		const { stdout: why } = await beside("why", "--json").wait();
		// A host that does not know the saved model takes another one.
		const { model } = whySchema.parse(JSON.parse(ofPi));
		expect({ ...whySchema.parse(JSON.parse(why)), model }).toEqual(whySchema.parse(JSON.parse(ofPi)));
		const { stdout: text } = await beside("why").wait();
		expect(text).toMatch(new RegExp(`^A new session in this folder:\n${second} serves next`));
		const { stdout: usageOfPi } = await bench.print("/multicodex usage --json", ["--no-session"]);
		const { stdout: usage } = await beside("usage", "--json").wait();
		expect(usageSchema.parse(JSON.parse(usage)).total.requests).toBe(2);
		expect(JSON.parse(usage)).toEqual(JSON.parse(usageOfPi));
		const { stdout: verify } = await beside("verify", "--json").wait();
		const { stdout: verifyOfPi } = await bench.print("/multicodex verify --json", ["--no-session"]);
		const [here, there] = [verify, verifyOfPi].map((document) => verifySchema.parse(JSON.parse(document)).findings);
		const isOffline = ({ code, subject }: { code: string; subject: string | null }) =>
			!/^(endpoint|clock|host|node|rival|from-source)/.test(code) && subject !== "PI_MULTICODEX_AUTH_URL";
		const codesOf = (findings: typeof here) => findings?.filter(isOffline).map(({ level, code }) => `${level} ${code}`);
		expect(codesOf(here)).toEqual(codesOf(there));
	});
});

describe("the manual's lines for status bars", () => {
	const page = readFileSync(join(repositoryRoot, "docs/status-bar.md"), "utf8");
	const block = (language: string) => new RegExp(`\`\`\`${language}\n(.*?)\`\`\``, "s").exec(page)?.[1] ?? "";
	const tmuxLines = block("tmux");
	const ofTmux = /#\((.*)\)/.exec(tmuxLines)?.[1] ?? "";
	const ofStarship = /^command = "(.*)"$/m.exec(block("toml"))?.[1] ?? "";
	const waybar = z.object({ "custom/codex": z.object({ exec: z.string() }) });
	const inShell = (dir: AgentDir, command: string) =>
		program.start(dir, [], { file: "/bin/sh", args: ["-c", command] });

	it("the manual's lines are commands that print the line, for starship also while no account is ready", async () => {
		const dir = aHome();
		for (const command of [ofTmux, ofStarship]) {
			expect(await inShell(dir, command).wait()).toMatchObject({
				code: 0,
				stdout: LINE,
				stderr: "",
			});
		}
		const { exec } = waybar.parse(JSON.parse(block("json waybar")))["custom/codex"];
		const bar = inShell(dir, `exec ${exec}`);
		await until("the first line in waybar", () => bar.stdout() === LINE);
		dir.replace("codex-state.json", stateOf({ work: 60, side: 10 }));
		await until("the next line in waybar", () => bar.stdout().endsWith(`\n${LINE.replace("73%", "40%")}`));
		bar.signal("SIGTERM");
		await bar.wait();
		dir.replace("codex-accounts.json", { version: 2, accounts: [] });
		expect(await inShell(dir, ofTmux).wait()).toMatchObject({
			code: 3,
			stdout: "codex no accounts · /multicodex add\n",
		});
		expect(await inShell(dir, ofStarship).wait()).toMatchObject({
			code: 0,
			stdout: "codex no accounts · /multicodex add\n",
		});
	});

	it.skipIf(!hasTmux())("the manual's lines stand in the status bar of a real tmux", async () => {
		const dir = aHome();
		const [config, socket] = [join(dir.home, ".tmux.conf"), join(dir.home, "tmux.sock")];
		writeFileSync(config, tmuxLines);
		const env = { ...program.env(dir), LANG: "C.UTF-8" };
		onTestFinished(() => void execFileSync("tmux", ["-S", socket, "kill-server"], { env }));
		const host = { name: "tmux", node: "tmux", cli: "-S", model: "" };
		const words = [socket, "-f", config, "new-session", "cat"];
		const terminal = startTerminal(host, dir, words, { extension: false, env, cols: 100, rows: 8 });
		await terminal.waitForText(LINE.trim());
		await terminal.stop();
	});
});

function hasTmux(): boolean {
	try {
		execFileSync("tmux", ["-V"]);
		return true;
	} catch {
		// Not installed: the command itself is run above.
		return false;
	}
}
