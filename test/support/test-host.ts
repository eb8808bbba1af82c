import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { z } from "zod";
import { createAgentDir } from "./agent-dir.ts";
import { startFakeCodex } from "./fake-codex/index.ts";
import { fetchPublished, findModernNode, type Host, publishedVersion, repositoryRoot } from "./hosts.ts";
import { startRpc } from "./pi.ts";

/** The end-to-end tests in which a host has the largest part. */
const FILES = [
	"hosts",
	"failover",
	"traps",
	"neighbours",
	"pi-login",
	"off-on",
	"which-account",
	"healthy-path",
	"rpc",
].map((name) => `test/e2e/${name}.test.ts`);

const USAGE = "npm run test:host -- <version, or latest> [--node <path of node or bun>] [-t <pattern>] [test files]";

const stateSchema = z.looseObject({ model: z.looseObject({ provider: z.string(), id: z.string() }) });

/** The model that this pi takes for a person with a Codex login whose saved default may be gone. */
async function modelOf(host: Host): Promise<string> {
	const codex = await startFakeCodex({ accounts: ["a"] });
	const dir = createAgentDir({ baseUrl: codex.baseUrl, auth: { "openai-codex": codex.piAuthEntry("a") } });
	const rpc = startRpc(host, dir, [], { extension: false });
	try {
		return stateSchema.parse(await rpc.command("get_state")).model.id;
	} finally {
		await rpc.close();
		await codex.close();
		dir.remove();
	}
}

/** Runs the core of the end-to-end tests on one published pi. Resolves with the exit code. */
async function testHost(wanted: string, runtime: string | undefined, rest: readonly string[]): Promise<number> {
	const node = runtime ?? (await findModernNode());
	const name = await publishedVersion(wanted);
	const unknown: Host = { name, node, cli: await fetchPublished(name, await findModernNode()), model: "" };
	const host: Host = { ...unknown, model: await modelOf(unknown) };
	process.stdout.write(`pi ${name} on ${node}, model ${host.model}\n`);
	const files = rest.some((each) => each.endsWith(".test.ts")) ? [] : FILES;
	const vitest = spawn("npx", ["vitest", "run", "--config", "test/vitest.config.ts", ...files, ...rest], {
		cwd: repositoryRoot,
		stdio: "inherit",
		env: { ...process.env, PI_HOST: JSON.stringify(host) },
	});
	return new Promise((resolve, reject) => {
		vitest.once("error", reject);
		vitest.once("exit", (code) => resolve(code ?? 1));
	});
}

const { values, positionals } = parseArgs({
	// What follows the version is vitest's.
	args: process.argv.slice(2),
	options: { node: { type: "string" }, testNamePattern: { type: "string", short: "t" } },
	allowPositionals: true,
});
const [wanted, ...files] = positionals;
if (wanted === undefined) {
	process.stderr.write(`${USAGE}\n`);
	process.exitCode = 2;
} else {
	const pattern = values.testNamePattern === undefined ? [] : ["-t", values.testNamePattern];
	process.exitCode = await testHost(wanted, values.node, [...pattern, ...files]);
}
