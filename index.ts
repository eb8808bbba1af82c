import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import type { compose } from "./src/compose.ts";

/**
 * Makes several ChatGPT Codex accounts work as one behind pi's own `openai-codex` provider. Never rejects: pi does not
 * start when an extension fails to. Everything of ours is loaded late, so that a file or a package that is missing is
 * one line and a pi without us.
 */
export default async function multicodex(pi: ExtensionAPI): Promise<void> {
	if (process.env.PI_MULTICODEX_DISABLE === "1") return;
	try {
		const { compose } = existsSync(join(ROOT, "src")) ? await import("./src/compose.ts") : await loadBundle();
		compose(pi);
	} catch (error) {
		process.stderr.write(`pi-multicodex could not start: ${whyNot(error)} pi goes on without it.\n`);
	}
}

const ROOT = dirname(fileURLToPath(import.meta.url));

/**
 * Loads what `npm pack` has made of the sources, by Node's own `require`: pi's transpiler takes seconds for them. A
 * package holds either the bundle or the sources, so that neither can be older than the other.
 */
async function loadBundle(): Promise<{ compose: typeof compose }> {
	// Named one by one, since pi resolves these names only where they are written out.
	const packages = {
		"@mariozechner/pi-ai": await import("@mariozechner/pi-ai"),
		"@mariozechner/pi-coding-agent": await import("@mariozechner/pi-coding-agent"),
		"@mariozechner/pi-tui": await import("@mariozechner/pi-tui"),
	};
	const load = createRequire(import.meta.url);
	const folder = join(ROOT, "dist") + sep;
	// After an update `/reload` must not find the files of before.
	for (const path of Object.keys(load.cache)) if (path.startsWith(folder)) delete load.cache[path];
	load(join(folder, "host.cjs")).packages = packages;
	return load(join(folder, "multicodex.cjs"));
}

/** Only a missing package is named: the message of any other error may quote anything. */
function whyNot(error: unknown): string {
	const name = error instanceof Error ? error.name : "unknown error";
	const missing = error instanceof Error ? MISSING.exec(error.message)?.[1] : undefined;
	if (missing === undefined) return `${name}.`;
	return `the package ${missing} is missing. Run "npm install" in ${ROOT}.`;
}

/** What Node, jiti and bun say of a package, not of a file, that is not there. */
const MISSING = /Cannot find (?:module|package) ["']((?:@[\w.-]+\/)?[\w-][\w.-]*)(?=["'/])/;
