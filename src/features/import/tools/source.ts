import type { ToolName } from "../../../core/account-source.ts";
import type { Finding } from "../rules.ts";

/** Where a person's files are. */
export interface Places {
	readonly home: string;
	readonly env: Readonly<Record<string, string | undefined>>;
}

/** One tool that stores Codex sign-ins: where, and how to read them. */
export interface ImportSource {
	readonly tool: ToolName;
	/** Finds everything that it stores. Missing files are not findings. */
	find(places: Places): Promise<Finding[]>;
}
