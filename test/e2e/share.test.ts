import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { AgentDir } from "../support/agent-dir.ts";
import { ANY_HOST } from "../support/tiers.ts";
import { createBench } from "./support.ts";

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

describe("a pool that is not there", () => {
	it("leaves one sentence and nothing on the disk where a code, a URL or a prompt is wrong", async () => {
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
			expect(stderr).toMatch(/holds the join code of a shared pool, a secret, so it was not sent to the model/);
		});
		expect(bench.asked()).toEqual([]);
		expect(bench.dir.read("settings.json")).not.toContain("pool");
		expect(holdersOf(bench.dir, ["hunter2", broken])).toEqual([]);
	});
});
