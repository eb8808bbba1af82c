import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { logSchema, showSchema, usageSchema, verifySchema, whySchema } from "../../src/pi/json-schemas.ts";
import { COMMANDS } from "../support/commands.ts";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import { launchCommand } from "../support/launch.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { type Bench, besidesPi, createBench, resultLines } from "./support.ts";

vi.setConfig({ testTimeout: 600_000 });

const HOUR_MS = 3_600_000;
const resultSchema = z.strictObject({ type: z.literal("multicodex"), command: z.string(), result: z.unknown() });
const usage = answers.serverError(503);

/** A pipe into a program that reads late and passes on what it got; that, and pi's exit code at the end of `stderr`. */
async function piped(bench: Bench, prompt: string, ...options: readonly string[]) {
	const { file, args, cwd, env } = launchCommand(bench.host, bench.dir, ["-p", ...options, prompt]);
	const reader = `setTimeout(() => { let text = ""; process.stdin.on("data", (part) => { text += part; });
		process.stdin.on("end", () => process.stdout.write(text)); }, 1500)`;
	// The pipe takes 64 KiB, then it is full until its reader wakes up.
	const script = '{ "$@" < /dev/null; echo "exit $?" >&2; } | "$NODE" -e "$READER"';
	const { stdout, stderr } = await promisify(execFile)("/bin/sh", ["-c", script, "sh", file, ...args], {
		cwd,
		env: { ...env, PI_MULTICODEX_AUTH_URL: bench.codex.issuer, NODE: process.execPath, READER: reader },
		maxBuffer: 16 * 1024 * 1024,
	});
	return { stdout, stderr };
}

/** Labels in the document of `show --json` that a late reader got, and pi's exit code. */
async function labelsPiped(bench: Bench) {
	const { stdout, stderr } = await piped(bench, "/multicodex show --json");
	return { labels: showSchema.parse(JSON.parse(stdout)).accounts.map(({ label }) => label), stderr: besidesPi(stderr) };
}

describe.each(coreOf(hostNames))("a pipe behind pi -p show --json, on pi %s", (host) => {
	it("gets one document of a thousand accounts, every byte of it, however late it reads", async () => {
		const names = Array.from({ length: 1000 }, (_, index) => `account-${index}`);
		const bench = await createBench({ host, accounts: names });
		const { stdout, stderr } = await piped(bench, "/multicodex show --json");
		expect(stdout.length).toBeGreaterThan(5 * 65_536);
		expect(showSchema.parse(JSON.parse(stdout)).accounts.map(({ label }) => label)).toEqual(names);
		expect(stderr).toBe("exit 0\n");
	});

	it("gets one document from a pool that is used up, from none, and beside a file that is damaged", async () => {
		const bench = await createBench({ host, usage });
		for (const name of ["a", "b"]) bench.codex.account(name).always(answers.usageLimit({ resetsInMs: HOUR_MS }));
		expect((await bench.print("say hi")).code).toBe(1);
		expect(await labelsPiped(bench)).toEqual({ labels: ["a", "b"], stderr: "exit 0\n" });

		bench.dir.write("codex-accounts.json", "{ this is no JSON");
		const damaged = await labelsPiped(bench);
		expect(damaged.labels).toEqual([]);
		expect(damaged.stderr).toMatch(/exit 0\n$/);
		expect(bench.dir.read("codex-accounts.json")).toBeUndefined();

		expect(await labelsPiped(bench)).toEqual({ labels: [], stderr: "exit 0\n" });
	});
});

/** Every document that `--json` prints. */
const DOCUMENTS = { show: showSchema, why: whySchema, log: logSchema, usage: usageSchema, verify: verifySchema };

describe("every document", () => {
	/** What the five documents say, each by its schema, and how pi ended. */
	async function documentsOf(bench: Bench) {
		const exits: string[] = [];
		for (const [name, schema] of Object.entries(DOCUMENTS)) {
			const { stdout, stderr } = await piped(bench, `/multicodex ${name} --json`);
			expect([name, schema.safeParse(JSON.parse(stdout)).error]).toEqual([name, undefined]);
			exits.push(`${name} ${/exit (\d)\n$/.exec(stderr)?.[1]}`);
		}
		return exits;
	}

	it("is whole beside files that are damaged, and only verify finds fault", async () => {
		const bench = await createBench({ usage });
		await bench.print("say hi");
		for (const name of [
			"codex-state.json",
			"codex-events.jsonl",
			"codex-history.jsonl",
			"codex-ledger.jsonl",
			"settings.json",
			"auth.json",
		]) {
			bench.dir.write(name, '{ "this is": no JSON');
		}
		expect(await documentsOf(bench)).toEqual(["show 0", "why 0", "log 0", "usage 0", "verify 1"]);
	});

	wide("is complete if no account is signed in", async () => {
		const bench = await createBench({ accounts: [], usage });
		expect(await documentsOf(bench)).toEqual(["show 0", "why 0", "log 0", "usage 0", "verify 0"]);
	});

	wide("is complete if every account is used up", async () => {
		const bench = await createBench({ usage });
		for (const { name } of bench.codex.accounts) bench.codex.account(name).always(answers.usageLimit({}));
		expect((await bench.print("say hi")).code).toBe(1);
		expect(await documentsOf(bench)).toEqual(["show 0", "why 0", "log 0", "usage 0", "verify 0"]);
	});

	wide("is whole with a thousand accounts", async () => {
		const bench = await createBench({ accounts: Array.from({ length: 1000 }, (_, at) => `account-${at}`), usage });
		expect(await documentsOf(bench)).toEqual(["show 0", "why 0", "log 0", "usage 0", "verify 0"]);
	});
});

/** Each subcommand as it works without a user at the screen, in an order in which each finds what it works on. */
const GIVEN: Readonly<Record<string, readonly string[]>> = {
	show: ["show", "show --json"],
	use: ["use b", "use auto"],
	next: ["next"],
	only: ["only", "only a b", "only --json", "only all"],
	cap: ["cap", "cap b week=20", "cap --json", "cap off"],
	import: ["import --dry-run"],
	rename: ["rename b work", "rename work b"],
	disable: ["disable b"],
	enable: ["enable b"],
	refresh: ["refresh", "refresh b"],
	footer: ["footer", "footer usage=used"],
	rotation: ["rotation", "rotation policy=in-order"],
	beyond: ["beyond", "beyond credits=ask", "beyond forget"],
	notify: ["notify", "notify to=terminal", "notify test"],
	chain: ["chain", "chain --json", "chain clear"],
	why: ["why", "why --json"],
	usage: ["usage", "usage month --by model --json"],
	log: ["log", "log --json"],
	redeem: ["redeem", "redeem --json"],
	reset: ["reset quota", "reset pin", "reset", "reset backups --yes"],
	verify: ["verify", "verify --json", "verify --fix"],
	off: ["off"],
	on: ["on"],
	path: ["path"],
	help: ["help"],
	share: ["share", "share --json"],
	// They need a database: test/e2e/share.test.ts.
	join: [],
	leave: [],
	// Waits for a person: test/e2e/sign-in-device.test.ts.
	login: [],
	remove: ["remove b"],
	add: ["add --undo"],
};

/** Every command with a word that none of them knows. */
const REFUSED = COMMANDS.filter(({ name }) => !["path", "help", "use", "add", "import", "refresh"].includes(name));

describe("every command", () => {
	it("every command has a row in this file", () => {
		expect(Object.keys(GIVEN).sort()).toEqual(COMMANDS.map(({ name }) => name).sort());
	});

	it("every command is one line in JSON mode, however many are given at once", async () => {
		const bench = await createBench();
		const lines = Object.values(GIVEN).flat();
		const { code, stdout, stderr } = await bench.run(["--mode", "json", ...lines.map((line) => `/multicodex ${line}`)]);
		expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
		const results = resultLines(stdout).map((line) => resultSchema.parse(line));
		expect(results.map(({ command }) => command)).toEqual(lines.map((line) => line.split(" ")[0]));
		for (const [name, schema] of Object.entries(DOCUMENTS)) {
			for (const { result } of results.filter(({ command }) => command === name)) {
				expect([name, schema.safeParse(result).error]).toEqual([name, undefined]);
			}
		}
	});

	wide.each(hostNames)("says what it did on standard output alone, with exit code 0, on pi %s", async (host) => {
		const bench = await createBench({ host });
		for (const line of Object.values(GIVEN).flat()) {
			const { code, stdout, stderr } = await bench.print(`/multicodex ${line}`);
			expect({ line, code, stderr: besidesPi(stderr) }).toEqual({ line, code: 0, stderr: "" });
			expect([line, stdout.trim() !== ""]).toEqual([line, true]);
		}
	});

	it.each(coreOf(["json", "print"]))(
		"a failed command says so in one line, with exit code 1, in %s mode",
		async (mode) => {
			const bench = await createBench({ accounts: ["a"], usage });
			for (const { name } of coreOf(REFUSED, ({ name }) => name === "off")) {
				const prompt = `/multicodex ${name} --no-such-option now`;
				const result = mode === "json" ? (await bench.json(prompt)).result : await bench.print(prompt);
				expect([name, result.code]).toEqual([name, 1]);
				expect(result.stderr.trimEnd().split("\n")).toHaveLength(1);
				expect(mode === "json" ? resultLines(result.stdout) : result.stdout).toHaveLength(0);
			}
		},
	);
});

it("prints documents in which nothing acts on a terminal, as text of pi -p and as a line of JSON mode", async () => {
	// The one format character that a label may have: it joins emoji.
	const label = "family 👩\u200d👧";
	const bench = await createBench({ accounts: ["a"], usage, rows: { a: { label } } });
	const printed = (await bench.print("/multicodex show --json")).stdout;
	const lines = (await bench.json("/multicodex show")).result.stdout;
	const [line] = resultLines(lines);
	const documents: unknown[] = [JSON.parse(printed), resultSchema.parse(line).result];
	for (const document of documents) expect(document).toMatchObject({ accounts: [{ label }] });
	expect(`${printed}${lines}`).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
});

it("the document comes first in a session that goes on", async () => {
	const bench = await createBench({ accounts: ["a"], usage });
	await bench.print("say hi");
	const result = await bench.print("/multicodex verify --json", ["-c"]);
	const end = result.stdout.lastIndexOf("}") + 1;
	expect(verifySchema.parse(JSON.parse(result.stdout.slice(0, end)))).toMatchObject({ healthy: true });
	expect(result.stdout.slice(end).trim()).toBe("OK from a #1");
	const shown = await bench.print("/multicodex show --json", ["-c"]);
	const document = shown.stdout.slice(0, shown.stdout.lastIndexOf("}") + 1);
	expect(showSchema.parse(JSON.parse(document)).accounts).toHaveLength(1);
	expect((await bench.print("/multicodex use missing", ["-c"])).code).toBe(1);
});
