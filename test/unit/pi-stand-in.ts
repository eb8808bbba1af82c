import { homedir } from "node:os";
import { join } from "node:path";
import type * as pi from "@mariozechner/pi-coding-agent";

// What unit tests have in place of `@mariozechner/pi-coding-agent`. The sources use these values of it, and for them
// each worker would load all of pi, which takes it two seconds of processor time.

export const VERSION: typeof pi.VERSION = "0.73.1";

export const getAgentDir: typeof pi.getAgentDir = () =>
	process.env.PI_CODING_AGENT_DIR ?? join(homedir(), ".pi", "agent");

export const copyToClipboard: typeof pi.copyToClipboard = async () => undefined;

const inColour = (text: string) => `\x1b[36m${text}\x1b[39m`;

export const getSettingsListTheme: typeof pi.getSettingsListTheme = () => ({
	label: (text, isSelected) => (isSelected ? inColour(text) : text),
	value: (text, isSelected) => (isSelected ? inColour(text) : text),
	description: inColour,
	cursor: inColour("→ "),
	hint: inColour,
});
