import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		root: new URL("..", import.meta.url).pathname,
		include: ["test/**/*.test.ts"],
		globalSetup: ["test/support/global-setup.ts"],
		// Real pi processes on a shared machine: a bound against hanging, not a measure.
		testTimeout: 120_000,
		hookTimeout: 120_000,
		// One more than the two cores of CI: a good part of the time a test waits for a bound of ours.
		maxWorkers: 3,
	},
});
