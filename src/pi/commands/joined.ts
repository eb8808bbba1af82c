import { setTimeout as pause } from "node:timers/promises";
import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../domain/account.ts";
import { modeOf } from "../output.ts";
import { baseUrlOf, PROVIDER } from "../provider.ts";
import type { SubcommandDeps } from "./subcommand.ts";

/** Newer hosts take a registration in behind: their models are there a moment after the first account. */
const MODELS_TRIES = 40;
const MODELS_PAUSE_MS = 50;

/**
 * What follows when accounts have joined: their usage is asked for, and a pi that has no model yet, as before the first
 * sign-in, is given one. Returns what the person should know.
 */
export async function afterJoining(
	accounts: readonly Account[],
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
): Promise<string> {
	if (!ctx.hasUI) return "";
	const words = await offerModel(accounts, ctx, deps);
	const baseUrl = baseUrlOf(ctx);
	if (baseUrl !== undefined && deps.settings.read().enabled) {
		deps.usage.setBaseUrl(baseUrl);
		for (const { id } of accounts) void deps.usage.ask(id);
	}
	return words;
}

async function offerModel(
	accounts: readonly Account[],
	ctx: ExtensionCommandContext,
	{ setModel, savedModel, signal }: SubcommandDeps,
): Promise<string> {
	const { model } = ctx;
	if (model?.provider === PROVIDER) return "";
	// Newer hosts have a model of this name as long as they have none.
	const isMissing = model === undefined || model.provider === "unknown";
	if (!isMissing || modeOf(ctx) !== "tui") return " /model chooses a Codex model.";
	for (let tries = 0; tries < MODELS_TRIES && !signal.aborted; tries += 1) {
		const models = ctx.modelRegistry.getAvailable().filter(({ provider }) => provider === PROVIDER);
		if (models.length > 0) {
			const saved = models.find(({ id }) => id === savedModel());
			const who = accounts.map(({ label }) => label).join(", ");
			const names = models.map(({ id }) => id).reverse();
			const ask = () => ctx.ui.select(`Signed in: ${who}. Which Codex model do you want to use?`, names, { signal });
			const chosen = saved?.id ?? (await ask());
			const wanted = models.find(({ id }) => id === chosen);
			if (wanted && (await setModel(wanted))) return "";
			break;
		}
		await pause(MODELS_PAUSE_MS);
	}
	return " /model chooses a Codex model.";
}
