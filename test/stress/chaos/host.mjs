/** What the extension asks of pi's own package, for a process that runs without pi. */
import { env } from "node:process";

export const VERSION = env.CHAOS_HOST;
export const getAgentDir = () => env.PI_CODING_AGENT_DIR;
export const copyToClipboard = async () => undefined;
export const getSettingsListTheme = () => ({});
