import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AgentDir } from "../support/agent-dir.ts";
import { answers } from "../support/fake-codex/index.ts";
import { NEWEST_HOST, OLDEST_HOST } from "../support/hosts.ts";
import { POSTGRES_PASSWORD, startPostgres, type TestPostgres } from "../support/postgres.ts";
import { ANY_HOST } from "../support/tiers.ts";
import { createBench } from "./support.ts";

const PATIENCE_MS = 30_000;
const CODE = /pi-pool-(keeper|runner)-[\w-]{16,}/g;

let server: TestPostgres;
beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server.close());

/** Files of a home that hold a join code or the password of the database, by their names. */
function holdersOf(dir: AgentDir, secrets: readonly string[]): string[] {
	return readdirSync(dir.home, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.filter((entry) => {
			const text = readFileSync(join(entry.parentPath, entry.name), "utf8");
			return secrets.some((secret) => text.includes(secret));
		})
		.map(({ name }) => name);
}

describe("a pool that two machines share", () => {
	it("is made on one, joined on the other, shown and used on both, and left again", async () => {
		const first = await createBench({ host: OLDEST_HOST, accounts: ["work", "team"] });
		writeFileSync(join(first.dir.cwd, "url.txt"), await server.database(), { mode: 0o600 });
		const made = await first.print("/multicodex share @url.txt work --name laptop");
		expect(made).toMatchObject({ code: 0, stderr: "" });
		expect(made.stdout).toMatch(/^Codex: made the shared pool \w+ in 127\.0\.0\.1:\d+\/\w+, with work\.\n/);
		const codes = made.stdout.match(CODE) ?? [];
		expect(codes.map((code) => code.split("-")[2])).toEqual(["keeper", "runner"]);
		const [keeper = ""] = codes;
		expect(made.stdout).not.toContain(POSTGRES_PASSWORD);

		const { baseUrl, issuer } = first.codex;
		const env = { PI_MULTICODEX_AUTH_URL: issuer };
		const second = await createBench({ host: NEWEST_HOST, accounts: [], baseUrl, env });
		const terminal = second.terminal([], { cols: 100 });
		await terminal.ready(PATIENCE_MS);
		await terminal.submit(`/multicodex join ${keeper} --name desk`);
		await terminal.waitForText("Which Codex model do you want to use?", PATIENCE_MS);
		await terminal.press("enter");
		await terminal.waitForText(/desk has joined the shared pool \w+ as a keeper\. It has work\./, PATIENCE_MS);
		first.codex.account("work").next(answers.text("from the other machine"));
		await terminal.submit("say hi");
		await terminal.waitForText("from the other machine", PATIENCE_MS);
		await terminal.submit("/multicodex show");
		await terminal.waitForText(/work ⇄.*ready/, PATIENCE_MS);
		// What was typed is not echoed, and a long word would have been broken over lines.
		expect(terminal.transcript().replaceAll(/\s/g, "")).not.toContain(keeper.slice(30, 90));

		const shown = await first.print("/multicodex share --json");
		expect(JSON.parse(shown.stdout)).toMatchObject({
			pool: { role: "keeper", machine: "laptop", machines: [{ name: "desk" }], accounts: [first.id("work")] },
			codes: null,
		});
		expect((await first.print("/multicodex show")).stdout).toMatch(/⇄ \w+ with desk\n[\s\S]*work ⇄ /);
		expect(first.dir.read("codex-accounts.json")).not.toContain(first.id("work"));

		await terminal.submit("/multicodex leave");
		await terminal.waitForText("Stays in the pool, for its other machines: work.", PATIENCE_MS);
		await terminal.press("down", "enter");
		await terminal.waitForText("this machine has left the shared pool", PATIENCE_MS);
		await terminal.stop();
		expect((await second.print("/multicodex share")).stdout).toContain("has joined no shared pool");

		const secrets = [POSTGRES_PASSWORD, ...codes.map((code) => code.slice(30, 90))];
		expect(holdersOf(first.dir, secrets).sort()).toEqual(["codex-pool.json", "url.txt"]);
		expect(holdersOf(second.dir, secrets)).toEqual([]);
	});

	it("leaves one sentence and nothing on the disk if a code, a URL or a prompt is wrong", async () => {
		const bench = await createBench({ host: ANY_HOST, accounts: ["work"] });
		const fails = async (command: string, words: RegExp) => {
			const { code, stdout, stderr } = await bench.print(command);
			expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
			expect(stderr).toMatch(words);
			expect(stderr).not.toMatch(/hunter2|pi-pool-keeper-\w/);
			expect(stderr.trim().split("\n")).toHaveLength(1);
		};
		const broken = `pi-pool-keeper-${"A".repeat(60)}`;
		await fails(`/multicodex join ${broken}`, /\S/);
		await fails("/multicodex share postgres://pool:hunter2@127.0.0.1:1/pi work", /127\.0\.0\.1/);
		await bench.print(`/multicodx join ${broken}`).then(({ stderr }) => {
			expect(stderr).toMatch(
				/contains the join code of a shared pool, which is secret, so it was not sent to the model/,
			);
		});
		expect(bench.asked()).toEqual([]);
		expect(bench.dir.read("settings.json")).not.toContain("pool");
		expect(holdersOf(bench.dir, ["hunter2", broken])).toEqual([]);
	});
});
