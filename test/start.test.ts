import { expect, it, vi } from "vitest";
import multicodex from "../index.ts";
import { createAgentDir } from "./support/agent-dir.ts";

it("never keeps pi from starting, whatever the host refuses", async ({ onTestFinished }) => {
	const dir = createAgentDir();
	vi.stubEnv("PI_CODING_AGENT_DIR", dir.dir);
	const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
	onTestFinished(() => {
		vi.unstubAllEnvs();
		vi.restoreAllMocks();
		dir.remove();
	});
	const refuse = () => {
		throw new TypeError("Provider openai-codex: secret details");
	};
	const host = { registerProvider: refuse, unregisterProvider: refuse, registerCommand: refuse, on: refuse };

	await Reflect.apply(multicodex, undefined, [host]);

	const told = written.mock.calls.map(([text]) => String(text)).join("");
	expect(told).toBe("pi-multicodex could not start: TypeError. pi goes on without it.\n");
});
