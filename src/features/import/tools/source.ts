import type { ToolName } from "../../../core/account-source.ts";
import type { Finding } from "../rules.ts";

/** Where a person's files lie. */
export interface Places {
	readonly home: string;
	readonly env: Readonly<Record<string, string | undefined>>;
}

/** One tool that keeps Codex sign-ins: where, and how to read them. */
export interface ImportSource {
	readonly tool: ToolName;
	/** Everything it keeps. Files that are not there are no findings. */
	find(places: Places): Promise<Finding[]>;
}
