import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { spawn as spawnPty } from "@lydell/node-pty";
import { describe, expect, it, onTestFinished } from "vitest";
import { chooseWay, sequenceFor } from "../../src/features/notify/terminal.ts";
import type { NoticeDocument } from "../../src/pi/json-schemas.ts";
import { noticeSchema } from "../../src/pi/json-schemas.ts";
import { openQuotaHistory } from "../../src/platform/stores/quota-history-store.ts";
import { answers } from "../support/fake-codex/index.ts";
import { aScratch } from "../support/fakes.ts";
import { hostNames, prepareHost, repositoryRoot } from "../support/hosts.ts";
import { anId } from "../support/ids.ts";
import { ANY_HOST, coreOf, isWide, wide } from "../support/tiers.ts";
import { PATIENCE_MS } from "./sign-in-support.ts";
import { type Bench, createBench, until } from "./support.ts";

const HOUR_MS = 3_600_000;
const spent = answers.usageLimit({ resetsInMs: HOUR_MS });
const used = (usedPercent: number) => ({ fiveHour: { usedPercent, resetsInMs: HOUR_MS }, week: { usedPercent: 10 } });

/** Writes what it reads to a line of the file that it is given. */
const APPEND = 'require("node:fs").appendFileSync(process.argv[1], require("node:fs").readFileSync(0))';

/** A bench with an account that is spent and one that is nearly so, and what notices are to be. */
const aBench = (notify: Readonly<Record<string, unknown>>, { maxWait = "0s", host = ANY_HOST } = {}) =>
	createBench({
		host,
		accounts: [
			{ name: "a", quota: used(100) },
			{ name: "b", quota: used(91) },
		],
		settings: { transport: "sse", "pi-multicodex": { notify, rotation: { maxWait } } },
	});
const documentsIn = (path: string): NoticeDocument[] => {
	const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n") : [];
	return lines.filter((line) => line !== "").map((line) => noticeSchema.parse(JSON.parse(line)));
};
/** A bench whose notices are appended to a file, and that file. */
const aListener = async (maxWait = "0s") => {
	const scratch = aScratch();
	onTestFinished(() => scratch.remove());
	const heard = scratch.path("heard");
	const bench = await aBench({ to: "command", command: [process.execPath, "-e", APPEND, heard] }, { maxWait });
	return { bench, heard: () => documentsIn(heard) };
};
const spendBoth = ({ codex }: Bench) => {
	for (const name of ["a", "b"]) codex.account(name).always(spent);
};

describe("notices of a pi in a terminal", () => {
	const aTerminal = async (env: Readonly<Record<string, string>>, host = ANY_HOST) => {
		const bench = await aBench({ to: "terminal" }, { host });
		bench.codex.account("a").always(spent);
		const terminal = bench.terminal([], { cols: 100, rows: 30, env });
		await terminal.ready(PATIENCE_MS);
		return { bench, terminal };
	};

	it.each(coreOf(hostNames))(
		"notices are shown by a terminal that knows them, while the screen stays what it is, on pi %s",
		async (host) => {
			const { bench, terminal } = await aTerminal({ TERM_PROGRAM: "ghostty" }, host);
			await terminal.submit("/multicodex notify test");
			await terminal.waitForText("A notice was sent. Ghostty shows notices by OSC 777.", PATIENCE_MS);
			expect(terminal.notices()).toEqual(["notify;pi-multicodex;Codex: notices arrive here."]);
			await terminal.submit("say hi");
			await terminal.waitForText("OK from b #1", PATIENCE_MS);
			const warned = /b is the last Codex account with quota: [89]% of its 5h limit left, resets in (59m|1h00m)\./;
			await terminal.waitForText(warned, PATIENCE_MS);
			await terminal.waitForScreen(() => terminal.notices().length === 2, PATIENCE_MS);
			expect(terminal.notices()[1]).toMatch(/^notify;pi-multicodex;b is the last Codex account with quota: [89]%/);
			spendBoth(bench);
			await terminal.submit("again");
			await terminal.waitForText("Codex quota exceeded", PATIENCE_MS);
			await terminal.waitForScreen(() => terminal.notices().length === 3, PATIENCE_MS);
			expect(terminal.notices()[2]).toMatch(/^notify;pi-multicodex;Codex: no account can serve\. The first is back /);
			expect(terminal.screen()).not.toContain("notify;");
		},
	);

	wide("ring the bell of one that is not known, and reach tmux with each escape doubled", async () => {
		const plain = await aTerminal({});
		await plain.terminal.submit("/multicodex notify test");
		await plain.terminal.waitForText("it rings its bell", PATIENCE_MS);
		expect(plain.terminal.notices()).toEqual(["bell"]);
		const { terminal } = await aTerminal({
			TMUX: "/tmp/tmux-0/default,1,0",
			TERM: "tmux-256color",
			LC_TERMINAL: "iTerm2",
		});
		await terminal.submit("/multicodex notify test");
		await terminal.waitForText("iTerm2 shows notices by OSC 9.", PATIENCE_MS);
		expect(terminal.output()).toContain("\x1bPtmux;\x1b\x1b]9;pi-multicodex: Codex: notices arrive here.\x07\x1b\\");
	});
});

const hasTmux = isWide && spawnSync("tmux", ["-V"]).status === 0;

it.skipIf(!hasTmux)("a notice passes through tmux to the terminal around it", async () => {
	const scratch = aScratch();
	onTestFinished(() => scratch.remove());
	const choice = chooseWay("auto", { TMUX: "in it", KITTY_WINDOW_ID: "1" });
	scratch.write("sequence", sequenceFor("work is back.", choice));
	scratch.write("tmux.conf", "set -g allow-passthrough on\n");
	const inside = `sleep 1; cat ${scratch.path("sequence")}; sleep 1`;
	const args = ["-S", scratch.path("socket"), "-f", scratch.path("tmux.conf"), "new-session", inside];
	const pty = spawnPty("tmux", args, { name: "xterm-256color", env: { PATH: process.env.PATH, HOME: scratch.dir } });
	let written = "";
	let isOver = false;
	pty.onData((bytes) => {
		written += bytes;
	});
	pty.onExit(() => {
		isOver = true;
	});
	await until("the end of tmux", () => isOver);
	expect(written).toContain("\x1b]9;pi-multicodex: work is back.\x07");
});

describe("notices of a pi without a terminal", () => {
	it("notices reach a command once in a run and once in the next, and pi prints no byte of theirs", async () => {
		const { bench, heard } = await aListener();
		spendBoth(bench);
		for (const _ of ["first", "second"]) {
			const { code, stdout } = await bench.print("say hi");
			expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
		}
		expect(heard()).toMatchObject([{ event: "pool-dry", account: null, until: expect.any(String) }]);
	});

	wide(
		"outside notices keep the arguments of their command, which may hold a secret, out of the log and of what is shown",
		async () => {
			const { bench } = await aListener();
			const run = async (line: string) => (await bench.print(`/multicodex ${line}`)).stdout;
			const texts = [
				await run("notify command ./beep --token=a-secret -u me:a-secret"),
				await run("notify"),
				await run("log"),
			];
			expect(texts[0]).toMatch(/^beep gets each notice/);
			expect(texts[2]).toMatch(/setting notify\.command is set/);
			expect(texts.join()).not.toContain("a-secret");
			expect(bench.dir.read("codex-events.jsonl")).not.toContain("a-secret");
		},
	);

	it("outside notices are none if they would go to a terminal", async () => {
		const bench = await aBench({ to: "terminal", terminal: "osc9" });
		spendBoth(bench);
		const rpc = bench.rpc();
		const [print, json] = await Promise.all([bench.print("say hi"), bench.json("say hi"), rpc.prompt("say hi")]);
		await rpc.close();
		expect(rpc.strayLines).toEqual([]);
		for (const text of [print.stdout, print.stderr, json.result.stdout, json.result.stderr, rpc.process.stdout()]) {
			for (const sign of ["pi-multicodex: Codex", "\x1b", "\x07"]) expect(text).not.toContain(sign);
		}
	});

	wide("outside notices tell of a session that has waited and goes on, in place of the pool", async () => {
		const { bench, heard } = await aListener("1m");
		for (const name of ["a", "b"]) bench.codex.account(name).next(answers.usageLimit({ resetsInMs: 15_000 }));
		const rpc = bench.rpc();
		expect(await rpc.prompt("say hi", PATIENCE_MS)).toMatchObject({ stopReason: "stop" });
		// What is left of b is another notice.
		const ofTheWait = () => heard().filter(({ event }) => event !== "threshold");
		await until("the notice", () => ofTheWait().length > 0);
		await rpc.close();
		expect(ofTheWait()).toMatchObject([
			{ event: "goes-on", text: expect.stringMatching(/^Codex: a waiting session continues on [ab], after <1m\.$/) },
		]);
	});
});

wide("a pool that a forecast has run out is one warning, in one of two pis, and one notice", async () => {
	const week = (usedPercent: number) => ({ week: { usedPercent, resetsInMs: 5 * 24 * HOUR_MS } });
	const scratch = aScratch();
	onTestFinished(() => scratch.remove());
	const command = [process.execPath, "-e", APPEND, scratch.path("heard")];
	const bench = await createBench({
		host: ANY_HOST,
		accounts: [
			{ name: "a", quota: week(97.5) },
			{ name: "b", quota: week(98.5) },
		],
		settings: { transport: "sse", "pi-multicodex": { notify: { to: "command", command } } },
	});
	const now = Date.now();
	const samples = [anId("a"), anId("b")].flatMap((name) =>
		Array.from({ length: 6 * 24 }, (_, hour) => ({
			accountId: bench.id(name),
			windowMinutes: 10_080,
			at: now - (6 * 24 - hour) * HOUR_MS,
			usedPercent: (hour / (6 * 24)) * 97,
			resetsAt: now + 5 * 24 * HOUR_MS,
		})),
	);
	await openQuotaHistory(bench.dir.path("codex-history.jsonl"), () => now).append(samples);
	const pis = [bench.rpc(), bench.rpc()];
	// A warning comes after an answer, once the usage of both is known. */
	await until("the notice", async () => {
		for (const pi of pis) await pi.prompt("say hi", PATIENCE_MS);
		return documentsIn(scratch.path("heard")).length > 0;
	});
	for (const pi of pis) await pi.prompt("again", PATIENCE_MS);
	await Promise.all(pis.map((pi) => pi.close()));
	expect(documentsIn(scratch.path("heard"))).toMatchObject([{ event: "pool-low" }]);
	const said = pis.flatMap(({ notifications }) => notifications.map(({ message }) => message));
	expect(said.filter((message) => /^Codex: the pool will be out in about .+; first reset /.test(message))).toHaveLength(
		1,
	);
});

describe("of several processes", () => {
	/** A process of ours without pi: it hears, at a word, that no account can serve, and says when it is done. */
	const program = (dir: string, heard: string) => {
		const url = (path: string) => JSON.stringify(pathToFileURL(join(repositoryRoot, path)).href);
		const notify = { to: "command", terminal: "auto", command: [process.execPath, "-e", APPEND, heard], warnAt: [] };
		return `
			const { openStateStore } = await import(${url("src/platform/stores/state-store.ts")});
			const { createHooks } = await import(${url("src/features/notify/hook.ts")});
			const { createOutsideNotices } = await import(${url("src/features/notify/outside.ts")});
			const state = openStateStore(${JSON.stringify(join(dir, "codex-state.json"))}, () => {}, Date.now);
			const notices = createOutsideNotices({
				pool: { accounts: () => [], emit: () => {} },
				state,
				settings: () => (${JSON.stringify({ notify, maskEmails: false })}),
				lineOf: () => undefined,
				screen: { isOurs: () => false, write: () => {}, env: {} },
				hooks: createHooks(),
				clock: { now: Date.now },
			});
			console.log("ready");
			for await (const _ of process.stdin) {
				await notices.hear({ type: "exhausted", why: { untried: 0, readyAt: Date.now() + 3600000 } });
				console.log("heard");
			}
		`;
	};
	const aProcess = async (node: string, source: string) => {
		const child = spawn(node, ["--input-type=module", "-e", source], { stdio: ["pipe", "pipe", "inherit"] });
		onTestFinished(() => void child.kill("SIGKILL"));
		let written = "";
		child.stdout.setEncoding("utf8").on("data", (text: string) => {
			written += text;
		});
		await until("its start", () => written.includes("ready"), PATIENCE_MS);
		return {
			hear: async () => {
				child.stdin.write("\n");
				await until("its end", () => written.includes("heard"), PATIENCE_MS);
			},
			end: async () => {
				child.stdin.end();
				await once(child, "exit");
			},
		};
	};

	it("one sends the notice, and none that starts later", async () => {
		const { node } = await prepareHost("0.87.1");
		const scratch = aScratch();
		onTestFinished(() => scratch.remove());
		const source = program(scratch.dir, scratch.path("heard"));
		const eight = await Promise.all(Array.from({ length: 8 }, () => aProcess(node, source)));
		await Promise.all(eight.map(({ hear }) => hear()));
		await Promise.all(eight.map(({ end }) => end()));
		const later = await aProcess(node, source);
		await later.hear();
		await later.end();
		expect(documentsIn(scratch.path("heard"))).toMatchObject([{ event: "pool-dry" }]);
	});

	wide("one pi sends each notice", async () => {
		const { bench, heard } = await aListener();
		bench.codex.account("a").always(spent);
		const pis = Array.from({ length: 3 }, () => bench.rpc());
		await Promise.all(pis.map((pi) => pi.prompt("say hi", PATIENCE_MS)));
		await until("the warning", () => heard().length > 0);
		spendBoth(bench);
		await Promise.all(pis.map((pi) => pi.prompt("again", PATIENCE_MS)));
		await until("both notices", () => heard().length > 1);
		await Promise.all(pis.map((pi) => pi.close()));
		expect(heard().map(({ event }) => event)).toEqual(["threshold", "pool-dry"]);
		const said = pis.flatMap(({ notifications }) =>
			notifications.filter(({ message }) => /the last Codex/.test(message)),
		);
		expect(said).toHaveLength(1);
	});
});
