import type { ExtensionAPI, ExtensionContext, SessionMessageEntry } from "@mariozechner/pi-coding-agent";
import { within } from "../core/abort.ts";
import type { Credentials } from "../core/credentials/credentials.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import { guarded } from "../core/defect-reports.ts";
import type { PoolEvent } from "../core/events.ts";
import { type AccountId, asAccountId, type SessionId } from "../core/ids.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { UsageMonitor } from "../core/pool/usage-monitor.ts";
import type { Clock } from "../core/ports.ts";
import { hideEmails } from "../core/privacy.ts";
import type { Affinity } from "../core/request/affinity.ts";
import type { Settings } from "../core/settings.ts";
import { maskedContext } from "./mask-emails.ts";
import { modeOf, type Notice, writeNotice } from "./output.ts";
import { codexModelLike, notServed } from "./plan-login.ts";
import type { PoolModel } from "./pool-model.ts";
import { baseUrlOf, PROVIDER, type Provider } from "./provider.ts";
import { createReturns } from "./returns.ts";
import { sessionIdOf } from "./session-id.ts";

/** Type of the session entry that records which account serves the session. */
export const SESSION_ENTRY = "multicodex";

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
	const { pool, link, affinity, credentials, usage, footer, provider, takeStray, welcome, noticeOf, isOnPlanLogin } =
		deps;
	const { settings, writers, clock, earlyWarnings, reminder, logins, beginTurn, folders, poolModel, opened } = deps;
	let current: ExtensionContext | undefined;
	/** The account that serves the session now but is not recorded in it yet. */
	let unremembered: AccountId | undefined;
	let isKeyDue = false;
	let lastInfo: string | undefined;
	/** Accounts that a warning has already reported as unable to serve. */
	const knownLost = new Set<AccountId>();
	let remindedIn: string | undefined;
	let toldOfPlanIn: string | undefined;
	/**
	 * True after a prompt has started a turn whose run has not begun. A summary that pi makes in between belongs to the
	 * turn.
	 */
	let isPrompted = false;
	/** Standard error is also a screen, so mask e-mails. */
	const tell = (ctx: ExtensionContext, level: "info" | "warning", text: string) =>
		writeNotice(ctx, level, settings().maskEmails ? hideEmails(text) : text);

	/** Fetches what has become stale meanwhile, by the same rule as at the start of the session. */
	const askAgain = () => {
		const model = current?.model;
		if (!current?.hasUI || model?.provider !== PROVIDER || !settings().enabled) return;
		const baseUrl = baseUrlOf(current);
		if (baseUrl !== undefined) usage.setBaseUrl(baseUrl);
		void usage.refreshStale();
	};
	const returns = createReturns(clock, () => {
		// If the session was replaced, its context throws. The key must reach pi anyway.
		guarded(askAgain, "session", pool.emit);
	});

	/** Runs outside the request, and once for all changes that a request causes. */
	const keepKeySoon = () => {
		if (isKeyDue) return;
		isKeyDue = true;
		setImmediate(() => {
			isKeyDue = false;
			const ctx = current;
			if (ctx) guarded(() => provider.keepKey(ctx), "session", pool.emit);
		});
	};
	/** Records after the message, so that what pi reports of a message in progress is the same as without us. */
	const remember = () => {
		if (unremembered === undefined) return;
		pi.appendEntry(SESSION_ENTRY, { account: unremembered });
		unremembered = undefined;
	};

	pool.subscribe((event) => {
		provider.keepAvailability();
		void poolModel.keep(current);
		keepKeySoon();
		if (event.type === "served" && event.hasMoved) unremembered = event.account;
		if (event.type === "served") void usage.follow(event.account, event.hasToldUsage);
		const notice = noticeOf(event, clock.now(), (id) => knownLost.has(id));
		if (event.type === "signed-out" || event.type === "closed") knownLost.add(event.account.id);
		if (!notice || (event.type === "continued" && !settings().notifications)) return;
		// Two requests at once, such as those of a session and its summary, may report the same. After the next prompt it
		// is new again.
		if (notice.level === "info" && notice.text === lastInfo) return;
		if (notice.level === "info") lastInfo = notice.text;
		if (current) tell(current, notice.level, notice.text);
		else if (notice.level === "warning") earlyWarnings.push(notice.text);
	});

	logins?.follow((text) => {
		// The session may have been replaced while usage was fetched.
		const ctx = current;
		if (ctx) guarded(() => tell(ctx, "info", text), "session", pool.emit);
	});

	/**
	 * Applies what another process has done: switched us off or on, signed in the first account, or signed out the last
	 * one. At the latest before the next request. What a check of the files has started may not be settled yet.
	 */
	const follow = async (ctx: ExtensionContext) => {
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

	/** Shows this line once per session. At a limit of that sign-in, no other account would take over. */
	const tellOfPlanLogin = (ctx: ExtensionContext, model: ExtensionContext["model"]) => {
		const session = sessionIdOf(ctx);
		if (!settings().enabled || session === toldOfPlanIn || !isOnPlanLogin?.(model)) return;
		toldOfPlanIn = session;
		tell(ctx, "info", notServed(pool.accounts().length > 0 ? codexModelLike(model, ctx) : undefined));
	};

	// A resumed or new session. Some hosts fire this twice in a row, so everything here may run again.
	pi.on("session_start", async (_event, given) => {
		const ctx = maskedContext(given, () => settings().maskEmails);
		current = ctx;
		folders?.begin(sessionIdOf(ctx), ctx.cwd);
		const { account, at, isCompacted } = rememberedAccount(ctx);
		// The account may have been merged into another one since.
		const present = account === undefined ? undefined : (pool.account(account)?.id ?? account);
		affinity.begin(sessionIdOf(ctx), present, at);
		if (isCompacted) affinity.compacted();
		poolModel.begin(ctx);
		const warnings = earlyWarnings.splice(0);
		for (const text of warnings) tell(ctx, "warning", text);
		const session = sessionIdOf(ctx);
		// Some hosts start a session twice.
		if (reminder !== undefined && settings().enabled && session !== remindedIn) tell(ctx, "warning", reminder);
		remindedIn = session;
		await link.sync();
		// The present state is no news. Changes from here on are.
		pool.detectChanges();
		provider.keepAvailability();
		if (account !== undefined && pool.account(account)) pool.setActive(account);
		footer.start(ctx);
		returns.begin(ctx);
		askAgain();
		tellOfPlanLogin(ctx, ctx.model);
		// pi replaces one quiet line by the next, so a session that was told something has no room for it.
		const isQuiet = warnings.length === 0 && toldOfPlanIn !== session && settings().enabled;
		if (isQuiet && modeOf(ctx) === "tui") {
			void welcome?.begin(
				(text) => tell(ctx, "info", text),
				() => current !== ctx,
			);
		}
	});

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
	// Runs before pi looks for a key, and before every further request of the same run.
	pi.on("input", async ({ text }, given) => {
		lastInfo = undefined;
		returns.typed();
		// The code in it is as good as a sign-in. No model and no session file may get it.
		const stray = takeStray(text);
		if (stray !== undefined) {
			tell(given, stray.level, stray.text);
			return { action: "handled" };
		}
		// A message sent during a turn belongs to that turn.
		if (given.isIdle()) {
			isPrompted = true;
			beginTurn();
		}
		await follow(given);
		return { action: "continue" };
	});
	// Not for a retry. A run without a prompt is a turn too.
	pi.on("before_agent_start", () => {
		if (!isPrompted) beginTurn();
		isPrompted = false;
	});
	// Consent for one turn does not cover a summary that the person asks for afterwards. The oldest hosts give no reason.
	pi.on("session_before_compact", (event, ctx) => {
		const isByHand = "reason" in event ? event.reason === "manual" : ctx.isIdle();
		if (isByHand && !isPrompted) beginTurn();
	});
	pi.on("session_before_tree", beginTurn);
	pi.on("turn_start", (_event, ctx) => follow(ctx));
	// While we are off, pi renews its login by itself, which spends the token that we know. After a sign-in to another
	// account, that token would be all that we have.
	pi.on("turn_end", () => {
		remember();
		return settings().enabled ? undefined : link.sync();
	});
	pi.on("agent_end", remember);

	pi.on("session_shutdown", async (_event, ctx) => {
		// Each step runs by itself: whatever fails, an exchange in progress is awaited and everything is written.
		const steps = [
			// After a reload there is another provider object, which does not know of this registration.
			() => provider.isOutOfStep() && provider.keepAvailability(),
			remember,
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
		knownLost.clear();
	});
}

/** What the session's branch records of the account that served it last. */
interface Remembered {
	readonly account?: AccountId;
	/** When it last answered, epoch ms. */
	readonly at?: number;
	/** True if the context was compacted since. */
	readonly isCompacted?: boolean;
}

function rememberedAccount(ctx: ExtensionContext): Remembered {
	let found: Remembered = {};
	for (const entry of ctx.sessionManager.getBranch()) {
		const at = Date.parse(entry.timestamp);
		if (entry.type === "custom" && entry.customType === SESSION_ENTRY) {
			const account = accountIn(entry.data);
			if (account !== undefined) found = { account, at };
		}
		// The prompt cache is as old as the session's last answer, not as its last change of account.
		const isAnswer = entry.type === "message" && isOurAnswer(entry.message);
		if (isAnswer && found.account !== undefined) found = { account: found.account, at };
		if (entry.type === "compaction") found = { ...found, isCompacted: true };
	}
	return found;
}

/** True if one of our accounts answered to the end. Only that keeps a running session on its account, too. */
function isOurAnswer(message: SessionMessageEntry["message"]): boolean {
	if (message.role !== "assistant" || message.provider !== PROVIDER) return false;
	return message.stopReason !== "error" && message.stopReason !== "aborted";
}

function accountIn(data: unknown): AccountId | undefined {
	const account = typeof data === "object" && data !== null && "account" in data ? data.account : undefined;
	return typeof account === "string" ? asAccountId(account) : undefined;
}
