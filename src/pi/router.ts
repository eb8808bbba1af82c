import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import { tellUnexpected } from "../core/defect-reports.ts";
import type { CommandList } from "./command.ts";
import { maskedContext } from "./mask-emails.ts";
import { writeFailure } from "./output.ts";
import type { CommandDeps } from "./typed-command.ts";

interface Deps extends CommandDeps {
	/** Loads the subcommands when the first one is given or completed. */
	readonly loadCommands: () => Promise<CommandList>;
}

/** Shown if the files of the commands cannot be loaded, usually because an update replaced them under a running pi. */
const COMMANDS_UNAVAILABLE =
	"multicodex: the commands cannot be loaded. If pi-multicodex was updated while pi is running, /reload helps.";

/** Registers `/multicodex`. The handler never throws: an error would end `pi -p` with exit code 0. */
export function registerCommand(pi: ExtensionAPI, deps: Deps): void {
	const { loadCommands, pool, settings } = deps;
	const load = async () => ({
		commands: await loadCommands(),
		...(await import("./completions.ts")),
		...(await import("./typed-command.ts")),
	});
	let session = new AbortController();
	const isMasked = () => settings.read().maskEmails;
	// A sign-in that waits for its person must not outlive its session.
	pi.on("session_shutdown", () => {
		session.abort();
		session = new AbortController();
	});
	pi.registerCommand("multicodex", {
		description: "Codex accounts at a glance; show, use, add, import, remove and more",
		getArgumentCompletions: async (typed) => {
			// If the commands cannot be loaded, offer nothing. The command itself says why.
			const loaded = await load().catch(() => undefined);
			return loaded?.completionsFor(typed, loaded.commands) ?? null;
		},
		handler: async (args, host) => {
			const { signal } = session;
			const masked = maskedContext(host, isMasked);
			const loaded = await load().catch((error: unknown) => {
				tellUnexpected(error, pool.emit);
				return undefined;
			});
			if (!loaded) return writeFailure(masked, COMMANDS_UNAVAILABLE);
			await loaded.runTyped(args, masked, loaded.commands, { ...deps, signal, isMasked });
		},
	});
}
