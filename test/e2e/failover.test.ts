import { afterEach, describe, expect, it } from "vitest";
import { type AgentDir, createAgentDir } from "../support/agent-dir.ts";
import { answers, type FakeCodex, startFakeCodex } from "../support/fake-codex/index.ts";
import { prepareHost } from "../support/hosts.ts";
import { runPi } from "../support/pi.ts";

describe("a real pi", () => {
	let codex: FakeCodex;
	let dir: AgentDir;
	afterEach(async () => {
		await codex.close();
		await dir.remove();
	});
	it("answers", async () => {
		codex = await startFakeCodex({ accounts: ["a", "b"] });
		codex.account("a").always(answers.usageLimit({ resetsInMs: 3_600_000 }));
		const stored = (name: string) => {
			const grant = codex.grant(name);
			return { id: `id${name}`, accountId: `acct-${name}`, label: name, credential: grant };
		};
		dir = await createAgentDir({ baseUrl: codex.baseUrl, accounts: { version: 2, accounts: [stored("a"), stored("b")] } });
		const host = await prepareHost("0.73.1");
		const result = await runPi(host, dir, ["-p", "--no-tools", "say hi"], { env: { PI_MULTICODEX_AUTH_URL: codex.issuer } });
		console.log(result, codex.requests.map((r) => [r.kind, r.account, r.status, r.at]), dir.read("codex-state.json"));
		expect(result.code).toBe(0);
	});
});
