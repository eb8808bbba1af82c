import { afterEach, describe, expect, it, vi } from "vitest";
import { PoolProblem } from "../../../../src/core/shared-pool.ts";
import { aPoolStatus } from "../../../support/fake-shared-pools.ts";
import { anAccount } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { createCommandHarness } from "../../command-harness.ts";

afterEach(() => vi.unstubAllEnvs());
const broken = { name: "auth.json", owner: "pi", content: "broken", bytes: 1, unreadableRows: 0 } as const;

describe("/multicodex verify", () => {
	it("looks, and neither repairs nor takes over what others have stored", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		cli.screen.models = [{ provider: "openai-codex", id: "gpt-5.5", baseUrl: "http://127.0.0.1:9/x" }];
		cli.screen.model = undefined;
		cli.harness.told.length = 0;
		expect(await cli.run("verify")).toMatch(/^info: .*\n.*ok {4}/s);
		expect(cli.looks).toEqual(["look", "reach http://127.0.0.1:9/x"]);
		expect([cli.syncs, cli.harness.told]).toEqual([0, []]);
	});

	it("asks the database of a shared pool, and knows its accounts though they are in no file of ours", async () => {
		const cli = createCommandHarness([anAccount("work", { shared: true })]);
		cli.harness.settings = { ...cli.harness.settings, caps: { [anId("work")]: { "7d": 10 } } };
		cli.sharedPools.joined = aPoolStatus();
		cli.sharedPools.problem = new PoolProblem("revoked", "Join again.");
		const said = await cli.run("verify");
		expect(said).toMatch(/^problem {2}.*shared pool .* since .*\d\d:\d\d: Join again\.$/m);
		expect(said).toMatch(/work has a cap/);
		expect(cli.sharedPools.asked).toEqual([["look", undefined]]);
		cli.sharedPools.joined = undefined;
		await cli.run("verify");
		expect(cli.sharedPools.asked).toHaveLength(1);
	});

	it("repairs first with --fix, and says what it did", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		cli.repairs = [{ kind: "lock", subject: "auth.json.lock" }];
		expect(await cli.run("verify --fix")).toContain("Removed auth.json.lock");
		expect(cli.looks.slice(0, 2)).toEqual(["repair", "look"]);
	});

	it("warns of a problem on a screen", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		cli.disk = { ...cli.disk, files: [broken] };
		expect(await cli.run("verify")).toMatch(/^warning: 1 problem\.\nproblem {2}auth\.json is damaged/);
	});

	it("names variables that are in effect, without their values", async () => {
		vi.stubEnv("CODEX_HOME", "/home/person");
		vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "1");
		const cli = createCommandHarness([anAccount("a")]);
		const said = await cli.run("verify");
		expect(said).toContain("CODEX_HOME is set.");
		expect(said).not.toMatch(/person|NODE_TLS/);
		vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
		expect(await cli.run("verify")).toContain("NODE_TLS_REJECT_UNAUTHORIZED is 0");
	});

	it("refuses other words, and offers its options once each", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		expect(await cli.run("verify everything")).toBe("error: Usage: /multicodex verify [--json] [--fix]");
		expect(cli.offered("verify --fix ")).toEqual(["verify --fix --json"]);
		expect(cli.looks).toEqual([]);
	});

	it("sees whether requests come to us if the host can tell", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		const registry = cli.screen.ctx.modelRegistry;
		expect(await cli.run("verify")).toMatch(/does not show .* openai-codex/);
		Object.assign(registry, { getRegisteredProviderConfig: () => ({ streamSimple: () => undefined }) });
		expect(await cli.run("verify")).toMatch(/Another extension .* openai-codex/);
	});
});
