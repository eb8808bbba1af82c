import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";

/**
 * Makes several ChatGPT Codex accounts work as one behind pi's own `openai-codex` provider. Never rejects, since pi
 * does not start if an extension fails to. Imports everything of ours late, so that a missing file or package costs one
 * line of output and pi starts without us. A package has `scripts/package-index.cjs` in place of this file.
 */
export default async function multicodex(pi: ExtensionAPI): Promise<void> {
	if (process.env.PI_MULTICODEX_DISABLE === "1") return;
	try {
		const { compose } = await import("./src/compose.ts");
		await compose(pi);
	} catch (error) {
		process.stderr.write(`pi-multicodex could not start: ${whyNot(error)} pi continues without it.\n`);
	}
}

const ROOT = dirname(fileURLToPath(import.meta.url));

/**
 * Returns why it could not start. Only a missing package is named: the message of any other error may quote anything.
 */
function whyNot(error: unknown): string {
	const name = error instanceof Error ? error.name : "unknown error";
	const missing = error instanceof Error ? MISSING.exec(error.message)?.[1] : undefined;
	if (missing === undefined) return `${name}.`;
	return `the package ${missing} is missing. Run "npm install" in ${ROOT}.`;
}

/** Matches what Node, jiti and bun say of a missing package (not of a missing file). */
const MISSING = /Cannot find (?:module|package) ["']((?:@[\w.-]+\/)?[\w-][\w.-]*)(?=["'/])/;
