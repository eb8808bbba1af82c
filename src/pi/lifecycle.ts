import type { ExtensionAPI, ExtensionContext } from "@mariozechner/pi-coding-agent";
import { within } from "../core/abort.ts";
import type { Credentials } from "../core/credentials/credentials.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import { guarded } from "../core/defect-reports.ts";
import type { PoolEvent } from "../core/events.ts";
import type { AccountId, SessionId } from "../core/ids.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { UsageMonitor } from "../core/pool/usage-monitor.ts";
import type { Clock } from "../core/ports.ts";
import type { Affinity } from "../core/request/affinity.ts";
import type { Settings } from "../core/settings.ts";
import { type ChatLines, createChatLines } from "./chat-lines.ts";
import { maskedContext } from "./mask-emails.ts";
import { modeOf, type Notice } from "./output.ts";
import { codexModelLike, notServed } from "./plan-login.ts";
import type { PoolModel } from "./pool-model.ts";
import { baseUrlOf, PROVIDER, type Provider } from "./provider.ts";
import { createReturns } from "./returns.ts";
import { sessionIdOf } from "./session-id.ts";
import { createSessionMemory, rememberedAccount } from "./session-memory.ts";
import { followTurns } from "./turns.ts";

interface Deps {
	readonly pool: Pool;
	readonly link: PiLoginSync;
	/** Records the folder of each session. */
	readonly folders?: { begin(sessionId: SessionId, cwd: string): void; end(): void };
	readonly affinity: Affinity;
	readonly credentials: Credentials;
	readonly usage: UsageMonitor;
	readonly footer: { start(ctx: ExtensionContext): void; draw(): void; stop(): void };
	readonly provider: Provider;
	/** The virtual model, which is registered while the person has a chain. */
	readonly poolModel: Pick<PoolModel, "begin" | "keep">;
	/** Keeps a prompt that contains a sign-in address from the model. Returns the notice that replaces it. */
	readonly takeStray: (prompt: string) => Notice | undefined;
	/** Tells a newcomer how to start. Absent if no first line is wanted. */
	readonly welcome?: { begin(tell: (text: string) => void, isOver: () => boolean): Promise<void> };
	/**
	 * Returns what to tell a person about an event. `isKnownLost`: a warning has already said that the account is lost.
	 */
	readonly noticeOf: (event: PoolEvent, now: number, isKnownLost: (id: AccountId) => boolean) => Notice | undefined;
	/** True for a model that pi serves with its ChatGPT sign-in under `openai`, without us. */
	readonly isOnPlanLogin?: (model: ExtensionContext["model"]) => boolean;
	/** Called when the person's next prompt starts a turn. Questions of earlier turns no longer count. */
	readonly beginTurn: () => void;
	readonly settings: () => Settings;
	/** Reports the result of a sign-in through pi's own `/login`. */
	readonly logins?: { follow(tell: (text: string) => void): void };
	/**
	 * Settles once the accounts of a shared pool are available, from memory or disk. Does not connect to the database.
	 */
	readonly opened?: () => Promise<void> | undefined;
	/** What may have something to write when a session ends. */
	readonly writers: readonly { flush(): Promise<void> }[];
	readonly clock: Clock;
	/** Problems that occurred before a session could show them. Each is shown once. */
	readonly earlyWarnings: string[];
	/** A warning to show at the start of every session. */
	readonly reminder?: string | undefined;
}

/** How long the end of a session waits for an exchange in progress: its own time-out, plus a little. */
const LAST_EXCHANGE_MS = 35_000;
const LAST_WRITE_MS = 5000;

/** Connects everything to pi's sessions: start, model changes, notices, and an end that loses nothing. */
export function registerSessionHooks(pi: ExtensionAPI, deps: Deps): void {
	const { pool, link, affinity, credentials, usage, footer, provider, takeStray, welcome } = deps;
	const { settings, writers, clock, logins, beginTurn, folders, poolModel } = deps;
	let current: ExtensionContext | undefined;
	const memory = createSessionMemory(pi);
	const chat = createChatLines(deps);
	const { remind, tellOfPlanLogin, wasToldOfPlanLogin } = createSessionLines(deps, chat.tell);
	const follow = createFollow(deps);
	const keepKeySoon = createKeySoon(deps, () => current);

	const returns = createReturns(clock, () => {
		// If the session was replaced, its context throws. The key must reach pi anyway.
		guarded(() => askForStale(deps, current), "session", pool.emit);
	});

	pool.subscribe((event) => {
		provider.keepAvailability();
		void poolModel.keep(current);
		keepKeySoon();
		if (event.type === "served" && event.hasMoved) memory.moved(event.account);
		if (event.type === "served") void usage.follow(event.account, event.hasToldUsage);
		chat.hear(event, current);
	});

	logins?.follow((text) => {
		// The session may have been replaced while usage was fetched.
		const ctx = current;
		if (ctx) guarded(() => chat.tell(ctx, "info", text), "session", pool.emit);
	});

	// A resumed or new session. Some hosts fire this twice in a row, so everything here may run again.
	pi.on("session_start", async (_event, given) => {
		const ctx = maskedContext(given, () => settings().maskEmails);
		current = ctx;
		folders?.begin(sessionIdOf(ctx), ctx.cwd);
		const account = recall(deps, ctx);
		poolModel.begin(ctx);
		const hasWarned = chat.catchUp(ctx);
		remind(ctx);
		await link.sync();
		// The present state is no news. Changes from here on are.
		pool.detectChanges();
		provider.keepAvailability();
		if (account !== undefined && pool.account(account)) pool.setActive(account);
		footer.start(ctx);
		returns.begin(ctx);
		askForStale(deps, current);
		tellOfPlanLogin(ctx, ctx.model);
		// pi replaces one quiet line by the next, so a session that was told something has no room for it.
		const isQuiet = !hasWarned && !wasToldOfPlanLogin(ctx) && settings().enabled;
		if (isQuiet && modeOf(ctx) === "tui") {
			void welcome?.begin(
				(text) => chat.tell(ctx, "info", text),
				() => current !== ctx,
			);
		}
	});

	pi.on("session_tree", (_event, ctx) => affinity.branched(rememberedAccount(ctx).account));

	pi.on("session_compact", () => {
		affinity.compacted();
		footer.draw();
	});
	pi.on("model_select", async ({ model }, ctx) => {
		if (model && model.provider !== PROVIDER) provider.leave(sessionIdOf(ctx));
		await follow(ctx);
		footer.draw();
		tellOfPlanLogin(ctx, model);
	});
	const turns = followTurns(pi, beginTurn);
	// Runs before pi looks for a key, and before every further request of the same run.
	pi.on("input", async ({ text }, given) => {
		chat.prompted();
		returns.typed();
		// The code in it is as good as a sign-in. No model and no session file may get it.
		const stray = takeStray(text);
		if (stray !== undefined) {
			chat.tell(given, stray.level, stray.text);
			return { action: "handled" };
		}
		// A message sent during a turn belongs to that turn.
		if (given.isIdle()) turns.prompted();
		await follow(given);
		return { action: "continue" };
	});
	pi.on("turn_start", (_event, ctx) => follow(ctx));
	// While we are off, pi renews its login by itself, which spends the token that we know. After a sign-in to another
	// account, that token would be all that we have.
	pi.on("turn_end", () => {
		memory.write();
		return settings().enabled ? undefined : link.sync();
	});
	pi.on("agent_end", memory.write);

	pi.on("session_shutdown", async (_event, ctx) => {
		// Each step runs by itself: whatever fails, an exchange in progress is awaited and everything is written.
		const steps = [
			// After a reload there is another provider object, which does not know of this registration.
			() => provider.isOutOfStep() && provider.keepAvailability(),
			memory.write,
			() => folders?.end(),
			() => pool.releaseLease(sessionIdOf(ctx)),
			footer.stop,
			returns.stop,
			usage.stop,
		];
		for (const step of steps) guarded(step, "session", pool.emit);
		await within(credentials.idle(), LAST_EXCHANGE_MS, () => undefined);
		await within(Promise.all(writers.map((each) => each.flush())), LAST_WRITE_MS, () => undefined);
		current = undefined;
		chat.end();
	});
}

/** Lets the session continue on the account that served it last, and returns that account. */
function recall({ pool, affinity }: Pick<Deps, "pool" | "affinity">, ctx: ExtensionContext): AccountId | undefined {
	const { account, at, isCompacted } = rememberedAccount(ctx);
	// The account may have been merged into another one since.
	const present = account === undefined ? undefined : (pool.account(account)?.id ?? account);
	affinity.begin(sessionIdOf(ctx), present, at);
	if (isCompacted) affinity.compacted();
	return account;
}

/** Fetches usage that has become stale meanwhile, if the session is on a Codex model and a person sees it. */
function askForStale({ usage, settings }: Pick<Deps, "usage" | "settings">, ctx: ExtensionContext | undefined): void {
	const model = ctx?.model;
	if (!ctx?.hasUI || model?.provider !== PROVIDER || !settings().enabled) return;
	const baseUrl = baseUrlOf(ctx);
	if (baseUrl !== undefined) usage.setBaseUrl(baseUrl);
	void usage.refreshStale();
}

/**
 * Creates a function that updates the key of other extensions: outside the request, and once for all changes that a
 * request causes.
 */
function createKeySoon(
	{ provider, pool }: Pick<Deps, "provider" | "pool">,
	current: () => ExtensionContext | undefined,
): () => void {
	let isDue = false;
	return () => {
		if (isDue) return;
		isDue = true;
		setImmediate(() => {
			isDue = false;
			const ctx = current();
			if (ctx) guarded(() => provider.keepKey(ctx), "session", pool.emit);
		});
	};
}

/**
 * Creates a function that applies what another process has done: switched us off or on, signed in the first account, or
 * signed out the last one. At the latest before the next request. What a check of the files has started may not be
 * settled yet.
 */
function createFollow({ poolModel, provider, opened, pool }: Pick<Deps, "poolModel" | "provider" | "opened" | "pool">) {
	return async (ctx: ExtensionContext): Promise<void> => {
		await poolModel.keep(ctx);
		if (provider.isOutOfStep()) pool.emit({ type: "changed" });
		// Another process may have joined a pool, whose accounts have been read since the settings were.
		const opening = opened?.();
		if (opening) {
			await opening;
			if (provider.isOutOfStep()) pool.emit({ type: "changed" });
		}
		await provider.settle(ctx);
	};
}

/** Creates the lines that a session shows once. Some hosts start a session twice. */
function createSessionLines(
	{ pool, settings, isOnPlanLogin, reminder }: Pick<Deps, "pool" | "settings" | "isOnPlanLogin" | "reminder">,
	tell: ChatLines["tell"],
) {
	let remindedIn: SessionId | undefined;
	let toldOfPlanIn: SessionId | undefined;
	return {
		remind: (ctx: ExtensionContext) => {
			const session = sessionIdOf(ctx);
			if (reminder !== undefined && settings().enabled && session !== remindedIn) tell(ctx, "warning", reminder);
			remindedIn = session;
		},
		/** At a limit of that sign-in, no other account would take over. */
		tellOfPlanLogin: (ctx: ExtensionContext, model: ExtensionContext["model"]) => {
			const session = sessionIdOf(ctx);
			if (!settings().enabled || session === toldOfPlanIn || !isOnPlanLogin?.(model)) return;
			toldOfPlanIn = session;
			tell(ctx, "info", notServed(pool.accounts().length > 0 ? codexModelLike(model, ctx) : undefined));
		},
		wasToldOfPlanLogin: (ctx: ExtensionContext) => toldOfPlanIn === sessionIdOf(ctx),
	};
}
