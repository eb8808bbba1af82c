import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		root: new URL("..", import.meta.url).pathname,
		include: ["test/**/*.test.ts"],
		globalSetup: ["test/support/global-setup.ts"],
		// Real pi processes on a shared machine: a bound against hanging, not a measure.
		testTimeout: 120_000,
		hookTimeout: 120_000,
		// One more than the cores of CI: every test waits for a pi now and then, for a pause of ours or one of pi's own.
		maxWorkers: 2,
	},
});
