import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { type Outcome, parseOptions, type Subcommand, type SubcommandDeps, usageError } from "../../pi/command.ts";
import { forgetLoginInMemory, settleRegistration } from "../../pi/provider.ts";
import * as messages from "../../ui-kit/messages.ts";

/** `/multicodex off`: pi behaves as without us, here and in every other process, until `on`. */
export const off: Subcommand = {
	name: "off",
	usage: "off",
	summary: "stop all intervention: pi behaves as without pi-multicodex",
	run: (words, ctx, deps) => switchTo(false, words, ctx, deps),
};

/** `/multicodex on`: resume. */
export const on: Subcommand = {
	name: "on",
	usage: "on",
	summary: "resume after off",
	run: (words, ctx, deps) => switchTo(true, words, ctx, deps),
};

async function switchTo(
	enabled: boolean,
	words: readonly string[],
	ctx: ExtensionCommandContext,
	{ settings, pool, hasPiLogin }: SubcommandDeps,
): Promise<Outcome> {
	const given = parseOptions(words, [], enabled ? on : off);
	if ("failure" in given) return given;
	if (words.length > 0) return usageError(enabled ? on : off);
	const wasEnabled = settings.read().enabled;
	await settings.set({ enabled });
	// The provider leaves the registry, or comes back, on this event.
	pool.emit({ type: "changed" });
	forgetLoginInMemory(ctx);
	await settleRegistration(ctx);
	const text = enabled
		? messages.switchedBackOn(pool.accounts().length, wasEnabled)
		: messages.switchedAllOff(hasPiLogin(), !wasEnabled);
	return { text, json: { enabled } };
}
