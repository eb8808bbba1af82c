import { beforeAll, expect, it, onTestFinished, vi } from "vitest";
import multicodex from "../index.ts";
import { createAgentDir } from "./support/agent-dir.ts";

// The first start loads everything, which is no part of what is tested.
beforeAll(async () => void (await import("../src/compose.ts")), 60_000);

it.each([
	["Provider openai-codex: secret details", "TypeError."],
	[
		"Cannot find package 'zod' imported from /secret/src/platform/backend/jwt.ts",
		/^the package zod is missing\. Run "npm install" in /,
	],
	["Cannot find module '@scope/some.name/deep/file.js'", /^the package @scope\/some\.name is missing\./],
	["Cannot find module 'C:\\secret\\src\\compose.ts'", "TypeError."],
	["Cannot find module 'file:///secret/src/compose.ts'", "TypeError."],
	["Cannot find module '/secret/src/compose.ts'", "TypeError."],
	["Cannot find module './src/secret.ts'", "TypeError."],
])("never keeps pi from starting, and quotes no error: %s", async (message, why) => {
	const dir = createAgentDir();
	vi.stubEnv("PI_CODING_AGENT_DIR", dir.dir);
	const written = vi.spyOn(process.stderr, "write").mockReturnValue(true);
	onTestFinished(() => {
		vi.unstubAllEnvs();
		vi.restoreAllMocks();
		dir.remove();
	});
	const refuse = () => {
		throw new TypeError(message);
	};
	const host = { registerProvider: refuse, unregisterProvider: refuse, registerCommand: refuse, on: refuse };

	await Reflect.apply(multicodex, undefined, [host]);

	const told = written.mock.calls.map(([text]) => String(text)).join("");
	const [, reason] = /^pi-multicodex could not start: (.*) pi continues without it\.\n$/.exec(told) ?? [];
	if (typeof why === "string") expect(reason).toBe(why);
	else expect(reason).toMatch(why);
	expect(told).not.toContain("secret");
});
