import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const isWide = process.env.WIDE === "1";

const LOOPBACK = "localhost,127.0.0.1,[::1]";
/** The fakes are on this machine: what the developer's own proxy would carry is refused. */
const ON_LOOPBACK = { NO_PROXY: LOOPBACK, no_proxy: LOOPBACK };

/** What starts a real pi, reads a host's own files, or plays whole weeks. */
const HOSTED = ["e2e", "stress", "support"].map((folder) => `test/${folder}/**/*.test.ts`);
const LONG = "test/bench/simulate/weeks.test.ts";
/** What runs on the sources, as a checkout does and an install from git. All else runs on the package. */
const ON_THE_SOURCES = ["commands"].map((name) => `test/e2e/${name}.test.ts`);
const SCREENS = ["test/screens/**/*.test.ts"];

const inTests = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Real pi processes on a shared machine: a bound against hanging, not a measure. */
const A_LONG_WHILE = 120_000;

/** Of `unit`. A wide run plays each property ten times as often: see `runs` in `support/tiers.ts`. */
const A_MOMENT = isWide ? 50_000 : 5000;

const hosted = {
	// Fetches the hosts once. Runs only when a test of its project does.
	globalSetup: ["test/support/hosts-setup.ts"],
	testTimeout: A_LONG_WHILE,
	hookTimeout: A_LONG_WHILE,
	sequence: { groupOrder: 1 },
};

/** The same on the package that `npm pack` makes, which is what users run. */
const packed = { ...hosted, globalSetup: [...hosted.globalSetup, "test/support/package-setup.ts"] };

export default defineConfig({
	test: {
		root: inTests(".."),
		env: ON_LOOPBACK,
		// One more than there are cores: while a test waits for a clock or a late answer, another one can run.
		maxWorkers: 3,
		projects: [
			{
				extends: true,
				resolve: { alias: { "@mariozechner/pi-coding-agent": inTests("unit/pi-stand-in.ts") } },
				test: {
					name: "unit",
					include: ["test/**/*.test.ts"],
					exclude: [...HOSTED, ...SCREENS, LONG],
					testTimeout: A_MOMENT,
					hookTimeout: 5000,
					// One registry of modules for a worker: a third of the time would go into imports.
					isolate: false,
					// What is polled for comes within a few turns of the event loop. vitest would look every 50 ms.
					expect: { poll: { interval: 5, timeout: 4000 } },
				},
			},
			{
				extends: true,
				test: {
					name: "e2e",
					include: [...HOSTED, LONG],
					// The core runs them once, on the sources.
					exclude: isWide ? [] : ON_THE_SOURCES,
					...packed,
				},
			},
			{ extends: true, test: { name: "screens", include: SCREENS, ...packed } },
			{
				extends: true,
				test: {
					name: "source",
					include: ON_THE_SOURCES,
					...hosted,
					env: { ...ON_LOOPBACK, EXTENSION_UNDER_TEST: inTests("../index.ts") },
				},
			},
		],
	},
});
