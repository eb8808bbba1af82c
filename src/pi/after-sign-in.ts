import { setTimeout as pause } from "node:timers/promises";
import type { Api, Model } from "@mariozechner/pi-ai";
import { raceAbort, within } from "../core/abort.ts";
import type { Account } from "../core/account.ts";
import type { AccountId } from "../core/ids.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { UsageMonitor } from "../core/pool/usage-monitor.ts";
import type { SettingsStore } from "../core/ports.ts";
import type { UsageSnapshot } from "../core/usage.ts";
import type { CommandContext } from "./command.ts";
import { modeOf } from "./output.ts";
import { baseUrlOf, PROVIDER } from "./provider.ts";
import { isVirtual } from "./virtual-models.ts";

/** Newer hosts process a registration in the background. Their models appear a moment after the first account. */
const MODELS_TRIES = 40;
const MODELS_PAUSE_MS = 50;

/** How long the person waits to hear what is left. The footer shows later answers. */
const USAGE_MS = 3000;

/** What to tell the person when accounts have joined. */
interface Joining {
	/** How to choose a model, with a leading blank; empty if there is nothing to do. */
	readonly modelAdvice: string;
	/** Returns what an account has left; undefined if no answer came in time. */
	usageOf(account: Account): UsageSnapshot | undefined;
}

/**
 * Runs after accounts have joined: fetches their usage, and selects a model if pi has none yet, as before the first
 * sign-in.
 */
export type AfterSignIn = (accounts: readonly Account[], ctx: CommandContext) => Promise<Joining>;

interface Deps {
	readonly usage: Pick<UsageMonitor, "ask" | "setBaseUrl">;
	readonly pool: Pick<Pool, "status">;
	readonly settings: Pick<SettingsStore, "read">;
	/** Selects a model for the session. Resolves to false if pi has no key for it. */
	readonly setModel: (model: Model<Api>) => Promise<boolean>;
	/** Returns the Codex model that the person has saved as the default. */
	readonly savedModel: () => string | undefined;
}

/** Creates the follow-up of a sign-in. */
export function createAfterSignIn(deps: Deps): AfterSignIn {
	return (accounts, ctx) => afterSignIn(accounts, ctx, deps);
}

async function afterSignIn(accounts: readonly Account[], ctx: CommandContext, deps: Deps): Promise<Joining> {
	const { usage, pool } = deps;
	const { host, signal } = ctx;
	if (!host.hasUI) return { modelAdvice: "", usageOf: () => undefined };
	const answered = new Set<AccountId>();
	const askFor = async ({ id }: Account) => {
		if (await usage.ask(id)) answered.add(id);
	};
	const beginAsking = (): Promise<unknown> | undefined => {
		const baseUrl = baseUrlOf(host);
		if (baseUrl === undefined || !deps.settings.read().enabled) return undefined;
		usage.setBaseUrl(baseUrl);
		return Promise.all(accounts.map(askFor));
	};
	const asking = beginAsking();
	const modelAdvice = await offerModel(accounts, ctx, deps);
	// Without any account, some hosts know no Codex model, and therefore no address.
	const asked = asking ?? beginAsking() ?? Promise.resolve();
	// The session has ended, and its chat with it.
	const answers = raceAbort(asked, signal).catch(() => undefined);
	await within(answers, USAGE_MS, () => undefined);
	return { modelAdvice, usageOf: ({ id }) => (answered.has(id) ? pool.status(id).usage : undefined) };
}

async function offerModel(
	accounts: readonly Account[],
	{ host, signal }: CommandContext,
	{ setModel, savedModel }: Deps,
): Promise<string> {
	const { model } = host;
	if (model?.provider === PROVIDER) return "";
	// Newer hosts use a model with this name while they have none.
	const isMissing = model === undefined || model.provider === "unknown";
	if (!isMissing || modeOf(host) !== "tui") return " /model chooses a Codex model.";
	for (let tries = 0; tries < MODELS_TRIES && !signal.aborted; tries += 1) {
		const models = host.modelRegistry.getAvailable().filter((each) => each.provider === PROVIDER && !isVirtual(each));
		if (models.length > 0) {
			const saved = models.find(({ id }) => id === savedModel());
			const who = accounts.map(({ label }) => label).join(", ");
			const names = models.map(({ id }) => id).reverse();
			const ask = () => host.ui.select(`Signed in: ${who}. Which Codex model do you want to use?`, names, { signal });
			const chosen = saved?.id ?? (await ask());
			const wanted = models.find(({ id }) => id === chosen);
			if (wanted && (await setModel(wanted))) return "";
			break;
		}
		await pause(MODELS_PAUSE_MS);
	}
	return " /model chooses a Codex model.";
}
