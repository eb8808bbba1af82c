import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		root: fileURLToPath(new URL("../..", import.meta.url)),
		include: ["test/stress/**/*.stress.ts"],
		globalSetup: ["test/support/hosts-setup.ts", "test/support/package-setup.ts"],
		// One fire burns up to its own bound, and then every account is asked.
		testTimeout: 15 * 60_000,
		maxWorkers: 1,
		reporters: ["verbose"],
	},
});
