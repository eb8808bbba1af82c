/** A sign-in that another tool keeps. */
export interface FoundSignIn {
	/** The tool as it is spoken of. */
	readonly tool: string;
	/** The e-mail, or what the tool calls it; undefined where neither is known. */
	readonly who: string | undefined;
}

/** The first words in a home without an account: what other tools keep, and what to type. */
export function welcome(found: readonly FoundSignIn[]): string {
	const [first, ...others] = found;
	if (!first) return "No Codex account yet. /multicodex add signs in to one.";
	if (others.length === 0) {
		return `${first.tool} login${first.who === undefined ? "" : ` ${first.who}`} found. /multicodex import takes it.`;
	}
	const tools = new Set(found.map(({ tool }) => tool));
	return `${found.length} Codex logins found (${[...tools].join(", ")}). /multicodex import takes them.`;
}
