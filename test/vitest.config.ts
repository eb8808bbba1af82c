import { defineConfig } from "vitest/config";

const LOOPBACK = "localhost,127.0.0.1,[::1]";

export default defineConfig({
	test: {
		root: new URL("..", import.meta.url).pathname,
		include: ["test/**/*.test.ts"],
		globalSetup: ["test/support/global-setup.ts"],
		// The fakes are on this machine: what the developer's own proxy would carry is refused.
		env: { NO_PROXY: LOOPBACK, no_proxy: LOOPBACK },
		// Real pi processes on a shared machine: a bound against hanging, not a measure.
		testTimeout: 120_000,
		hookTimeout: 120_000,
		maxWorkers: 2,
	},
});
