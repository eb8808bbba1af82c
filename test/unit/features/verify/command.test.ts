import { afterEach, describe, expect, it, vi } from "vitest";
import { anAccount } from "../../../support/fakes.ts";
import { aDesk } from "../../command-harness.ts";

afterEach(() => vi.unstubAllEnvs());
const broken = { name: "auth.json", owner: "pi", content: "broken", bytes: 1, strangeRows: 0 } as const;

describe("/multicodex verify", () => {
	it("looks, and neither repairs nor takes over what others have stored", async () => {
		const desk = aDesk([anAccount("a")]);
		desk.screen.models = [{ provider: "openai-codex", id: "gpt-5.5", baseUrl: "http://127.0.0.1:9/x" }];
		desk.screen.model = undefined;
		desk.house.told.length = 0;
		expect(await desk.run("verify")).toMatch(/^info: .*\n.*ok {4}/s);
		expect(desk.looks).toEqual(["look", "reach http://127.0.0.1:9/x"]);
		expect([desk.syncs, desk.house.told]).toEqual([0, []]);
	});

	it("repairs first where it is told to, and says what", async () => {
		const desk = aDesk([anAccount("a")]);
		desk.repairs = [{ kind: "lock", subject: "auth.json.lock" }];
		expect(await desk.run("verify --fix")).toContain("Removed auth.json.lock, which nobody held.");
		expect(desk.looks.slice(0, 2)).toEqual(["repair", "look"]);
	});

	it("warns of a problem on a screen", async () => {
		const desk = aDesk([anAccount("a")]);
		desk.disk = { ...desk.disk, files: [broken] };
		expect(await desk.run("verify")).toMatch(/^warning: 1 problem\.\nproblem {2}auth\.json is damaged/);
	});

	it("names variables that are in effect, without their values", async () => {
		vi.stubEnv("CODEX_HOME", "/home/somebody");
		vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "1");
		const desk = aDesk([anAccount("a")]);
		const said = await desk.run("verify");
		expect(said).toContain("CODEX_HOME is set.");
		expect(said).not.toMatch(/somebody|NODE_TLS/);
		vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
		expect(await desk.run("verify")).toContain("NODE_TLS_REJECT_UNAUTHORIZED is 0");
	});

	it("refuses other words, and offers its options once each", async () => {
		const desk = aDesk([anAccount("a")]);
		expect(await desk.run("verify everything")).toBe("error: Usage: /multicodex verify [--json] [--fix]");
		expect(await desk.run("verify --all")).toBe(
			"error: There is no option --all here. Usage: /multicodex verify [--json] [--fix]",
		);
		expect(desk.offered("verify --fix ")).toEqual(["verify --fix --json"]);
		expect(desk.looks).toEqual([]);
	});

	it("sees whether requests come to us where the host can tell", async () => {
		const desk = aDesk([anAccount("a")]);
		const registry = desk.screen.ctx.modelRegistry;
		expect(await desk.run("verify")).toContain("is not visible on this version of pi");
		Object.assign(registry, { getRegisteredProviderConfig: () => ({ streamSimple: () => undefined }) });
		expect(await desk.run("verify")).toContain("Another extension has registered over openai-codex");
	});
});
