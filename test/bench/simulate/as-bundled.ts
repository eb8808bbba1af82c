import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { rolldown } from "rolldown";
import { repositoryRoot } from "../../support/hosts.ts";

/** Loads a module of this folder as the package has it: bundled. What transpiles each file of a checkout costs time. */
export async function asBundled(name: string): Promise<unknown> {
	const folder = mkdtempSync(join(tmpdir(), "pi-multicodex-bench-"));
	try {
		const build = await rolldown({
			cwd: repositoryRoot,
			input: join(repositoryRoot, "test/bench/simulate", name),
			platform: "node",
			external: [/^node:/],
			logLevel: "silent",
		});
		const file = join(folder, "bundled.mjs");
		await build.write({ file, format: "esm", codeSplitting: false });
		await build.close();
		return await import(pathToFileURL(file).href);
	} finally {
		rmSync(folder, { recursive: true });
	}
}
