import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";

/**
 * Makes several ChatGPT Codex accounts work as one behind pi's own `openai-codex` provider. Never rejects: pi does not
 * start when an extension fails to. Everything of ours is loaded late, so that a file or a package that is missing is
 * one line and a pi without us. A package has `scripts/package-index.ts` in the place of this file.
 */
export default async function multicodex(pi: ExtensionAPI): Promise<void> {
	if (process.env.PI_MULTICODEX_DISABLE === "1") return;
	try {
		const { compose } = await import("./src/compose.ts");
		await compose(pi);
	} catch (error) {
		process.stderr.write(`pi-multicodex could not start: ${whyNot(error)} pi goes on without it.\n`);
	}
}

const ROOT = dirname(fileURLToPath(import.meta.url));

/** Only a missing package is named: the message of any other error may quote anything. */
function whyNot(error: unknown): string {
	const name = error instanceof Error ? error.name : "unknown error";
	const missing = error instanceof Error ? MISSING.exec(error.message)?.[1] : undefined;
	if (missing === undefined) return `${name}.`;
	return `the package ${missing} is missing. Run "npm install" in ${ROOT}.`;
}

/** What Node, jiti and bun say of a package, not of a file, that is not there. */
const MISSING = /Cannot find (?:module|package) ["']((?:@[\w.-]+\/)?[\w-][\w.-]*)(?=["'/])/;
