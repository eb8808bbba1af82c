import type { ExtensionAPI, ExtensionContext, SessionMessageEntry } from "@mariozechner/pi-coding-agent";
import { within } from "../core/abort.ts";
import type { Credentials } from "../core/credentials/credentials.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import { guarded } from "../core/defect-reports.ts";
import type { PoolEvent } from "../core/events.ts";
import type { AccountId, SessionId } from "../core/ids.ts";
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

/** Type of the session entry that remembers which account serves the session. */
export const SESSION_ENTRY = "multicodex";

interface Deps {
	readonly pool: Pool;
	readonly link: PiLoginSync;
	/** Hears in which folder the session runs. */
	readonly folders?: { begin(sessionId: SessionId, cwd: string): void; end(): void };
	readonly affinity: Affinity;
	readonly credentials: Credentials;
	readonly usage: UsageMonitor;
	readonly footer: { start(ctx: ExtensionContext): void; draw(): void; stop(): void };
	readonly provider: Provider;
	/** The virtual model, which comes and goes with the person's chain. */
	readonly poolModel: Pick<PoolModel, "begin" | "keep">;
	/** Keeps a prompt from the model that holds an address of a sign-in; the notice that takes its place. */
	readonly takeStray: (prompt: string) => Notice | undefined;
	/** Tells a newcomer how to begin; undefined where no first line is wanted. */
	readonly welcome?: { begin(tell: (text: string) => void, isOver: () => boolean): Promise<void> };
	/** What a person hears of an event. `isKnownLost`: a warning has said already that the account is lost. */
	readonly noticeOf: (event: PoolEvent, now: number, isKnownLost: (id: AccountId) => boolean) => Notice | undefined;
	/** True for a model that pi serves with its ChatGPT sign-in under `openai`, past us. */
	readonly isOnPlanLogin?: (model: ExtensionContext["model"]) => boolean;
	/** Called when the person's next prompt begins a turn: what an earlier one was asked counts no more. */
	readonly beginTurn: () => void;
	readonly settings: () => Settings;
	/** Tells what became of a sign-in by pi's own `/login`. */
	readonly logins?: { follow(tell: (text: string) => void): void };
	/** Settles once the accounts of a shared pool are there, from memory or the disk. Asks no database. */
	readonly opened?: () => Promise<void> | undefined;
	/** What has something to write when a session ends. */
	readonly writers: readonly { flush(): Promise<void> }[];
	readonly clock: Clock;
	/** What went wrong before a session could show it; each once. */
	readonly earlyWarnings: string[];
	/** A warning that every session begins with. */
	readonly reminder?: string | undefined;
}

/** An exchange under way is given this long at the end of a session: its own time-out and a little more. */
const LAST_EXCHANGE_MS = 35_000;
const LAST_WRITE_MS = 5000;

/** Ties the parts to pi's sessions: begin, model changes, notices, and an end that loses nothing. */
export function registerSessionHooks(pi: ExtensionAPI, deps: Deps): void {
	const { pool, link, affinity, credentials, usage, footer, provider, takeStray, welcome, noticeOf, isOnPlanLogin } =
		deps;
	const { settings, writers, clock, earlyWarnings, reminder, logins, beginTurn, folders, poolModel, opened } = deps;
	let current: ExtensionContext | undefined;
	/** The account that serves the session now, and is not remembered in it yet. */
	let unremembered: AccountId | undefined;
	let isKeyDue = false;
	let lastInfo: string | undefined;
	/** Accounts of which a warning has said that they can no longer serve. */
	const knownLost = new Set<AccountId>();
	let remindedIn: string | undefined;
	let toldOfPlanIn: string | undefined;
	/** A prompt has begun a turn whose run has not: what pi summarizes in between is part of it. */
	let isPrompted = false;
	/** Standard error is a screen, too. */
	const tell = (ctx: ExtensionContext, level: "info" | "warning", text: string) =>
		writeNotice(ctx, level, settings().maskEmails ? hideEmails(text) : text);

	/** What has outlived its time meanwhile is asked for, by the same rule as when the session began. */
	const askAgain = () => {
		const model = current?.model;
		if (!current?.hasUI || model?.provider !== PROVIDER || !settings().enabled) return;
		const baseUrl = baseUrlOf(current);
		if (baseUrl !== undefined) usage.setBaseUrl(baseUrl);
		void usage.refreshStale();
	};
	const returns = createReturns(clock, () => {
		// Where the session was replaced its context throws, and the key must reach pi all the same.
		guarded(askAgain, "session", pool.emit);
	});

	/** Not on the way of a request, and once for all that one brings about. */
	const keepKeySoon = () => {
		if (isKeyDue) return;
		isKeyDue = true;
		setImmediate(() => {
			isKeyDue = false;
			const ctx = current;
			if (ctx) guarded(() => provider.keepKey(ctx), "session", pool.emit);
		});
	};
	/** After the message, so that what pi tells of a message in progress is what it tells without us. */
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
		// Two requests at once, of a session and its summary say, may meet the same; after the next prompt it is news
		// again.
		if (notice.level === "info" && notice.text === lastInfo) return;
		if (notice.level === "info") lastInfo = notice.text;
		if (current) tell(current, notice.level, notice.text);
		else if (notice.level === "warning") earlyWarnings.push(notice.text);
	});

	logins?.follow((text) => {
		// The session may have been replaced while the usage was asked for.
		const ctx = current;
		if (ctx) guarded(() => tell(ctx, "info", text), "session", pool.emit);
	});

	/**
	 * Another process may have switched us off or on, or have signed the first account in or the last one out: this one
	 * follows, at the latest before its next request. What followed by a look at the files may not be settled yet.
	 */
	const follow = async (ctx: ExtensionContext) => {
		await poolModel.keep(ctx);
		if (provider.isOutOfStep()) pool.emit({ type: "changed" });
		// Another process may have joined a pool, whose accounts are read since the settings were.
		const opening = opened?.();
		if (opening) {
			await opening;
			if (provider.isOutOfStep()) pool.emit({ type: "changed" });
		}
		await provider.settle(ctx);
	};

	/** Writes the line once a session: at a limit there no other account would take over. */
	const tellOfPlanLogin = (ctx: ExtensionContext, model: ExtensionContext["model"]) => {
		const session = ctx.sessionManager.getSessionId();
		if (!settings().enabled || session === toldOfPlanIn || !isOnPlanLogin?.(model)) return;
		toldOfPlanIn = session;
		tell(ctx, "info", notServed(pool.accounts().length > 0 ? codexModelLike(model, ctx) : undefined));
	};

	// A resumed or new session, also twice in a row on some hosts: everything here may run again.
	pi.on("session_start", async (_event, given) => {
		const ctx = maskedContext(given, () => settings().maskEmails);
		current = ctx;
		folders?.begin(ctx.sessionManager.getSessionId(), ctx.cwd);
		const { account, at, isCompacted } = rememberedAccount(ctx);
		// Its account may have been merged into another one since.
		const present = account === undefined ? undefined : (pool.account(account)?.id ?? account);
		affinity.begin(ctx.sessionManager.getSessionId(), present, at);
		if (isCompacted) affinity.compacted();
		poolModel.begin(ctx);
		const warnings = earlyWarnings.splice(0);
		for (const text of warnings) tell(ctx, "warning", text);
		const session = ctx.sessionManager.getSessionId();
		// Some hosts begin a session twice.
		if (reminder !== undefined && settings().enabled && session !== remindedIn) tell(ctx, "warning", reminder);
		remindedIn = session;
		await link.sync();
		// What holds now is no news; what changes from here on is.
		pool.detectChanges();
		provider.keepAvailability();
		if (account !== undefined && pool.account(account)) pool.setActive(account);
		footer.start(ctx);
		returns.begin(ctx);
		askAgain();
		tellOfPlanLogin(ctx, ctx.model);
		// pi puts one quiet line in the place of another: a session that was told something has no room for it.
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
		if (model && model.provider !== PROVIDER) provider.leave(ctx.sessionManager.getSessionId());
		await follow(ctx);
		footer.draw();
		tellOfPlanLogin(ctx, model);
	});
	// Before pi looks for a key; then before every further request of the same run.
	pi.on("input", async ({ text }, given) => {
		lastInfo = undefined;
		returns.typed();
		// The code in it is as good as the sign-in: no model, no session file gets it.
		const stray = takeStray(text);
		if (stray !== undefined) {
			tell(given, stray.level, stray.text);
			return { action: "handled" };
		}
		// A message in mid-turn belongs to that turn.
		if (given.isIdle()) {
			isPrompted = true;
			beginTurn();
		}
		await follow(given);
		return { action: "continue" };
	});
	// Not for a retry. A run that no prompt has begun is a turn, too.
	pi.on("before_agent_start", () => {
		if (!isPrompted) beginTurn();
		isPrompted = false;
	});
	// A yes to one turn is none to a summary that the person asks for after it. The oldest hosts name no reason.
	pi.on("session_before_compact", (event, ctx) => {
		const isByHand = "reason" in event ? event.reason === "manual" : ctx.isIdle();
		if (isByHand && !isPrompted) beginTurn();
	});
	pi.on("session_before_tree", beginTurn);
	pi.on("turn_start", (_event, ctx) => follow(ctx));
	// While we are off pi renews its login by itself. The token that we knew is spent by that, and a sign-in to another
	// account would leave us with nothing but it.
	pi.on("turn_end", () => {
		remember();
		return settings().enabled ? undefined : link.sync();
	});
	pi.on("agent_end", remember);

	pi.on("session_shutdown", async (_event, ctx) => {
		// Each by itself: whatever fails, an exchange under way is waited for, and everything is written.
		const steps = [
			// After a reload there is another provider object, which knows nothing of this registration.
			() => provider.isOutOfStep() && provider.keepAvailability(),
			remember,
			() => folders?.end(),
			() => pool.releaseLease(ctx.sessionManager.getSessionId()),
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

/** What the session's branch says of the account that served it last. */
interface Remembered {
	readonly account?: string;
	/** When it answered last, epoch ms. */
	readonly at?: number;
	/** The context was compacted since. */
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
		// The cache is as old as the session's last answer, not as its last change of account.
		const isAnswer = entry.type === "message" && isOurAnswer(entry.message);
		if (isAnswer && found.account !== undefined) found = { account: found.account, at };
		if (entry.type === "compaction") found = { ...found, isCompacted: true };
	}
	return found;
}

/** Did an account of ours answer to the end? As while the session runs: nothing else keeps it on its account. */
function isOurAnswer(message: SessionMessageEntry["message"]): boolean {
	if (message.role !== "assistant" || message.provider !== PROVIDER) return false;
	return message.stopReason !== "error" && message.stopReason !== "aborted";
}

function accountIn(data: unknown): string | undefined {
	const account = typeof data === "object" && data !== null && "account" in data ? data.account : undefined;
	return typeof account === "string" ? account : undefined;
}
