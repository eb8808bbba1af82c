/** A process of `run.ts`: keeps what vitest has made of the sources, so that each mutation costs a second. */
import { join } from "node:path";
import { createVitest, type TestCase, type TestModule } from "vitest/node";
import { z } from "zod";

/** Which tests are to run, and which files have changed since the last order. */
export const orderSchema = z.object({ files: z.array(z.string()), changed: z.array(z.string()) });

export const verdictSchema = z.union([
	z.object({ kind: z.literal("passed") }),
	/** `isLate`: by its time-out, which a busy machine may bring about, too. */
	z.object({ kind: z.literal("failed"), test: z.string(), isLate: z.boolean() }),
	/** A file of tests could not be loaded: the mutated file is not TypeScript any more, or lacks something. */
	z.object({ kind: z.literal("unrunnable"), why: z.string() }),
]);

type Verdict = z.output<typeof verdictSchema>;

function failureIn(module: TestModule): TestCase | undefined {
	const [failed] = module.children.allTests("failed");
	return failed;
}

function verdictOf(modules: readonly TestModule[], unhandled: readonly unknown[]): Verdict {
	const failed = modules.map(failureIn).find((test) => test !== undefined);
	if (failed) {
		const isLate = (failed.result().errors ?? []).some(({ message }) => /timed out in \d+ms/.test(message));
		return { kind: "failed", test: failed.fullName, isLate };
	}
	const errors = modules.flatMap((module) => module.errors().map(({ message }) => message));
	if (errors.length > 0 || unhandled.length > 0)
		return { kind: "unrunnable", why: [...errors, ...unhandled].join("\n") };
	return { kind: "passed" };
}

async function serve(root: string): Promise<void> {
	const vitest = await createVitest("test", {
		root,
		config: join(root, "test/vitest.config.ts"),
		project: ["unit"],
		watch: false,
		maxWorkers: 1,
		bail: 1,
		reporters: [{}],
	});
	process.on("message", async (message) => {
		const { files, changed } = orderSchema.parse(message);
		for (const file of changed) vitest.invalidateFile(join(root, file));
		const wanted = files.map((file) => join(root, file));
		const specifications = await vitest.globTestSpecifications(wanted);
		const { testModules, unhandledErrors } = await vitest.runTestSpecifications(specifications);
		const ran = testModules.filter(({ moduleId }) => wanted.includes(moduleId));
		const isShort = ran.length < wanted.length;
		process.send?.(isShort ? { kind: "unrunnable", why: "not all files were found" } : verdictOf(ran, unhandledErrors));
	});
	// It has a process group of its own, which no Ctrl+C reaches.
	process.on("disconnect", () => process.exit());
	process.send?.("ready");
}

const [, , root] = process.argv;
if (process.send && root !== undefined) await serve(root);
