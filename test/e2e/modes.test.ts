import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it, vi } from "vitest";
import { COMMANDS } from "../../src/pi/commands.ts";
import { showSchema, verifySchema } from "../../src/ui/json-schemas.ts";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import { launchCommand } from "../support/launch.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { type Bench, createBench, resultLines } from "./support.ts";

vi.setConfig({ testTimeout: 180_000 });

const HOUR_MS = 3_600_000;
const usage = answers.serverError(503);

/** A pipe into a program that parses one JSON document, late; what that program says, and pi's exit code. */
async function piped(bench: Bench, prompt: string, ...options: readonly string[]) {
	const { file, args, cwd, env } = launchCommand(bench.host, bench.dir, ["-p", ...options, prompt]);
	const reader = `setTimeout(() => { let text = ""; process.stdin.on("data", (part) => { text += part; });
		process.stdin.on("end", () => console.log(text.length, JSON.parse(text).accounts.map(({ label }) => label).join())); }, 1500)`;
	// The pipe takes 64 KiB, then it is full until its reader wakes up.
	const script = '{ "$@" < /dev/null; echo "exit $?" >&2; } | "$NODE" -e "$READER"';
	const { stdout, stderr } = await promisify(execFile)("/bin/sh", ["-c", script, "sh", file, ...args], {
		cwd,
		env: { ...env, PI_MULTICODEX_AUTH_URL: bench.codex.issuer, NODE: process.execPath, READER: reader },
		maxBuffer: 16 * 1024 * 1024,
	});
	const [length, labels = ""] = stdout.trimEnd().split(" ");
	return { length: Number(length), labels, stderr };
}

describe.each(coreOf(hostNames, (name) => name !== "0.87.1"))("a pipe behind pi -p show --json, on pi %s", (host) => {
	it("gets one document of a thousand accounts, every byte of it, however late it reads", async () => {
		const names = Array.from({ length: 1000 }, (_, index) => `account-${index}`);
		const bench = await createBench({ host, accounts: names });
		const { length, labels, stderr } = await piped(bench, "/multicodex show --json");
		expect(length).toBeGreaterThan(5 * 65_536);
		expect(labels).toBe(names.join());
		expect(stderr).toBe("exit 0\n");
	});

	it("gets one document from a pool that is used up, from none, and beside a file that is damaged", async () => {
		const bench = await createBench({ host, usage });
		for (const name of ["a", "b"]) bench.codex.account(name).always(answers.usageLimit({ resetsInMs: HOUR_MS }));
		expect((await bench.print("say hi")).code).toBe(1);
		expect(await piped(bench, "/multicodex show --json")).toMatchObject({ labels: "a,b", stderr: "exit 0\n" });

		bench.dir.write("codex-accounts.json", "{ this is no JSON");
		const damaged = await piped(bench, "/multicodex show --json");
		expect(damaged.labels).toBe("");
		expect(damaged.stderr).toMatch(/exit 0\n/);
		expect(bench.dir.read("codex-accounts.json")).toBeUndefined();

		expect(await piped(bench, "/multicodex show --json")).toMatchObject({ labels: "", stderr: "exit 0\n" });
	});
});

/** Every command with a word that none of them knows, and those that only look, as they stand. */
const REFUSED = COMMANDS.filter(({ name }) => !["path", "help", "use", "add", "import", "refresh"].includes(name));
const LOOKING = ["show", "rotation", "path", "help"];

describe("every command", () => {
	it("answers in RPC mode by what the protocol has, and nowhere else", async () => {
		const bench = await createBench({ usage });
		const rpc = bench.rpc();
		rpc.answerDialogs(() => undefined);
		// A sign-in opens a browser, where there is one: it has tests of its own.
		const names = COMMANDS.map(({ name }) => name).filter((name) => name !== "add" && name !== "login");
		for (const name of names) {
			const before = rpc.notifications.length;
			await rpc.send(`/multicodex ${name}`);
			expect([name, rpc.notifications.length > before]).toEqual([name, true]);
		}
		expect(rpc.strayLines).toEqual([]);
		expect(await rpc.close(60_000)).toMatchObject({ code: 0 });
	});

	it.each(coreOf(["json", "print"]))("that fails says so in one line, with exit code 1, in %s mode", async (mode) => {
		const bench = await createBench({ accounts: ["a"], usage });
		for (const { name } of coreOf(REFUSED, ({ name }) => name === "off")) {
			const prompt = `/multicodex ${name} --no-such-option now`;
			const result = mode === "json" ? (await bench.json(prompt)).result : await bench.print(prompt);
			expect([name, result.code]).toEqual([name, 1]);
			expect(result.stderr.trimEnd().split("\n")).toHaveLength(1);
			expect(mode === "json" ? resultLines(result.stdout) : result.stdout).toHaveLength(0);
		}
	});

	wide("that looks is one line in JSON mode", async () => {
		const bench = await createBench({ accounts: ["a"], usage });
		for (const command of LOOKING) {
			const { result } = await bench.json(`/multicodex ${command}`);
			expect(result).toMatchObject({ code: 0, stderr: "" });
			expect(resultLines(result.stdout)).toMatchObject([{ type: "multicodex", command }]);
		}
	});
});

describe("in a session that goes on", () => {
	it("the document comes first, and pi repeats the last answer after it", async () => {
		const bench = await createBench({ accounts: ["a"], usage });
		await bench.print("say hi");
		const result = await bench.print("/multicodex verify --json", ["-c"]);
		const end = result.stdout.lastIndexOf("}") + 1;
		expect(verifySchema.parse(JSON.parse(result.stdout.slice(0, end)))).toMatchObject({ healthy: true });
		expect(result.stdout.slice(end).trim()).toBe("OK from a #1");
		const shown = await bench.print("/multicodex show --json", ["-c"]);
		const document = shown.stdout.slice(0, shown.stdout.lastIndexOf("}") + 1);
		expect(showSchema.parse(JSON.parse(document)).accounts).toHaveLength(1);
		expect((await bench.print("/multicodex use nobody", ["-c"])).code).toBe(1);
	});
});
