import type { Pool } from "../../core/pool/pool.ts";
import type { SettingsStore } from "../../core/ports.ts";
import { type CommandContext, type NoArgs, type Outcome, parseNothing, type Subcommand } from "../../pi/command.ts";
import { forgetLoginInMemory, settleRegistration } from "../../pi/provider.ts";
import * as texts from "./texts.ts";

interface Ports {
	readonly settings: SettingsStore;
	readonly pool: Pick<Pool, "accounts" | "emit">;
	/** True if pi has a Codex login of its own, of any kind. */
	readonly hasPiLogin: () => boolean;
}

/** `/multicodex off`: pi behaves as without this extension, here and in every other process, until `on`. */
export function createOff(ports: Ports): Subcommand<NoArgs> {
	return {
		name: "off",
		usage: "off",
		summary: "switch off: pi behaves as without pi-multicodex",
		parse: (words) => parseNothing(words, "off"),
		run: (_args, ctx) => setExtensionEnabled(false, ctx, ports),
	};
}

/** `/multicodex on`: switches the extension on again. */
export function createOn(ports: Ports): Subcommand<NoArgs> {
	return {
		name: "on",
		usage: "on",
		summary: "resume after off",
		parse: (words) => parseNothing(words, "on"),
		run: (_args, ctx) => setExtensionEnabled(true, ctx, ports),
	};
}

async function setExtensionEnabled(
	enabled: boolean,
	{ host }: CommandContext,
	{ settings, pool, hasPiLogin }: Ports,
): Promise<Outcome> {
	const wasEnabled = settings.read().enabled;
	await settings.set({ enabled });
	// This event makes the provider leave the registry or return to it.
	pool.emit({ type: "changed" });
	forgetLoginInMemory(host);
	await settleRegistration(host);
	const text = enabled
		? texts.switchedBackOn(pool.accounts().length, wasEnabled)
		: texts.switchedAllOff(hasPiLogin(), !wasEnabled);
	return { text, json: { enabled } };
}
