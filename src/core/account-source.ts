/** Precedes the tool's name in the `source` of an imported account. */
export const IMPORTED = "import:";

/** Tools that accounts are imported from: the name as typed and stored, and the name as displayed. */
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

/** The name of a tool as typed. */
export type ToolName = keyof typeof TOOLS;
