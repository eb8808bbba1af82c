/** A sign-in that another tool stores. */
export interface FoundSignIn {
	/** The tool's name to show. */
	readonly tool: string;
	/** The e-mail, or the tool's name for it; undefined if neither is known. */
	readonly who: string | undefined;
}

/** Returns the first text in a home without accounts: what other tools store, and what to type. */
export function welcome(found: readonly FoundSignIn[]): string {
	const [first, ...others] = found;
	if (!first) return "No Codex account yet. /multicodex add signs in to one.";
	if (others.length === 0) {
		return `${first.tool} login${first.who === undefined ? "" : ` ${first.who}`} found. /multicodex import takes it.`;
	}
	const tools = new Set(found.map(({ tool }) => tool));
	return `${found.length} Codex logins found (${[...tools].join(", ")}). /multicodex import takes them.`;
}
