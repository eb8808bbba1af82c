/** What precedes the tool's name in the `source` of an imported account. */
export const IMPORTED = "import:";

/** Tools from which accounts are taken: as typed and stored, and as spoken of. */
export const TOOLS = {
	pi: "pi",
	codex: "Codex CLI",
	"codex-auth": "codex-auth",
	"codex-account-orchestrator": "codex-account-orchestrator",
	"codex-hotswap": "codex-hotswap",
	prodex: "prodex",
	opencode: "opencode",
	"codex-pool": "opencode codex-pool",
	file: "the program that keeps that file",
} as const;

/** A tool as typed. */
export type ToolName = keyof typeof TOOLS;
