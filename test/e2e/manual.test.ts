import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { repositoryRoot } from "../support/hosts.ts";
import { writeTool } from "../support/import-fixtures.ts";
import { startPostgres } from "../support/postgres.ts";
import type { DialogAnswer, Rpc } from "../support/rpc.ts";
import { ANY_HOST } from "../support/tiers.ts";
import { PATIENCE_MS } from "./sign-in-support.ts";
import { createBench } from "./support.ts";

const PAGES = ["README.md", ...readdirSync(join(repositoryRoot, "docs")).map((name) => `docs/${name}`)];

/** Every command that a page types as it stands; those with a placeholder are rows of a table of forms. */
function commandsIn(page: string): string[] {
	const text = readFileSync(join(repositoryRoot, page), "utf8");
	const inline = [...text.matchAll(/`(\/multicodex[^`]*)`/g)].map(([, command = ""]) => command);
	// In a block, a description follows after two blanks.
	const inBlocks = [...text.matchAll(/^(\/multicodex.*?)(?: {2,}.*)?$/gm)].map(([, command = ""]) => command);
	return [...inline, ...inBlocks].map((command) => command.trim()).filter((command) => !/[<[…|]/.test(command));
}

const UNDONE_BY: Readonly<Record<string, readonly string[]>> = {
	"/multicodex disable work": ["/multicodex enable work"],
	"/multicodex off": ["/multicodex on"],
	"/multicodex only work": ["/multicodex only all"],
	"/multicodex only work personal": ["/multicodex only all"],
};

/** What a command complains about in the home of this test, whose accounts exist already. */
const EXPECTED: Readonly<Record<string, RegExp>> = {
	"/multicodex leave": /^This machine has joined no shared pool\./,
	"/multicodex add work": /\balready called work\b.*\/multicodex login work/,
};

/** The database of the manual, of whose pool this home is while it runs the rest of it. */
const DATABASE = /postgres:\/\/\S+@db\.example\S*/;
const MAKES_POOL = "/multicodex share postgres://";

/** Runs a command, and answers its questions; one for which no answer is left is left without one. */
async function type(rpc: Rpc, command: string, answers: readonly DialogAnswer[] = []): Promise<readonly string[]> {
	const from = rpc.notifications.length;
	const done = rpc.send(command, 2 * PATIENCE_MS).then(() => undefined);
	for (const answer of [...answers, undefined]) {
		const dialog = await Promise.race([done, rpc.waitForDialog(2 * PATIENCE_MS)]);
		if (dialog) rpc.answer(dialog, answer);
	}
	await done;
	const complaints = rpc.notifications.slice(from).filter(({ level }) => level === "error" || level === "warning");
	return complaints.map(({ message }) => message).filter((message) => !EXPECTED[command]?.test(message));
}

it("runs every command that the README and the manual type, as it stands there", async () => {
	const bench = await createBench({ host: ANY_HOST, accounts: ["work", "personal"], strangers: ["e"] });
	bench.excuse(await writeTool("codex", bench.dir.home, [{ name: "e", ...bench.codex.grant("e") }]));
	const backup = join(bench.dir.home, "backup");
	mkdirSync(backup);
	writeFileSync(join(backup, "auth.json"), readFileSync(join(bench.dir.home, ".codex/auth.json")));
	// The mirror of the pool holds access tokens, as it has to.
	bench.excuse([join(backup, "auth.json"), bench.dir.path("codex-pool.json")]);
	const server = await startPostgres();
	onTestFinished(() => server.close());
	const database = await server.database();
	const rpc = bench.rpc();
	const typed = [...new Set(PAGES.flatMap(commandsIn))];
	// The state of before, for those that follow.
	const commands = typed.flatMap((command) => [command, ...(UNDONE_BY[command] ?? [])]);
	expect(commands.length).toBeGreaterThan(25);
	const makesPool = commands.filter((command) => command.startsWith(MAKES_POOL));
	expect(makesPool).toHaveLength(1);
	const seen: [command: string, unexpected: readonly string[]][] = [];
	for (const command of makesPool) {
		// Of both accounts, which are offered, the one that the manual shares later is left out.
		const answers = ["[x] work", "Yes, share 1 of 2"];
		seen.push([command, await type(rpc, command.replace(DATABASE, database), answers)]);
	}
	await type(rpc, "/multicodex share --codes");
	const [code = ""] = /pi-pool-keeper-[\w-]+/.exec(rpc.notifications.at(-1)?.message ?? "") ?? [];
	writeFileSync(join(bench.dir.cwd, "code.txt"), code, { mode: 0o600 });
	for (const command of commands.filter((each) => !makesPool.includes(each))) {
		seen.push([command, await type(rpc, command)]);
	}
	expect(seen.filter(([, unexpected]) => unexpected.length > 0)).toEqual([]);
	expect(await rpc.close(PATIENCE_MS)).toMatchObject({ code: 0 });
});
