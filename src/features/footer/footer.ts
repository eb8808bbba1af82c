import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../core/account.ts";
import type { Affinity } from "../../core/affinity.ts";
import { gateOf } from "../../core/candidate.ts";
import { isReadyAtGuessed } from "../../core/cooldown.ts";
import { guarded, tellDefect } from "../../core/defect-reports.ts";
import type { PoolEvent } from "../../core/events.ts";
import type { SessionId } from "../../core/ids.ts";
import { nextInLine } from "../../core/next-in-line.ts";
import type { Pool } from "../../core/pool.ts";
import type { AccountStatus, Clock } from "../../core/ports.ts";
import type { Settings } from "../../core/settings.ts";
import { modeOf } from "../../pi/output.ts";
import { PROVIDER } from "../../pi/provider.ts";
import { type ActiveAccount, type FooterModel, footerLine } from "./line.ts";

/** Status key, also the slash command's name. */
const STATUS_KEY = "multicodex";

/** The line that the footer shows while a Codex model is selected. */
export interface Footer {
	/** Draws now and from here on; called again for every session. */
	start(ctx: ExtensionContext): void;
	/** The selected model has changed, or something else that is drawn. */
	draw(): void;
	stop(): void;
}

interface Deps {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly settings: () => Settings;
	readonly clock: Clock;
	/** Runs with every minute's redraw. */
	readonly onTick: () => void;
	/** Has `listener` called when another process may have stored something, until the function that it gives is called. */
	readonly followStores: (listener: () => void) => () => void;
}

/** Times in the line are in minutes, so it is drawn again once a minute; what counts down, once a second. */
const REDRAW_MS = 60_000;
const COUNTDOWN_MS = 1000;
const DEFAULT_COLUMNS = 80;

/** Creates the footer over the pool. */
export function createFooter({ pool, affinity, settings, clock, onTick, followStores }: Deps): Footer {
	let context: ExtensionContext | undefined;
	let waitingUntil: number | undefined;
	let waitsForRoom = false;
	let minutes: NodeJS.Timeout | undefined;
	let seconds: NodeJS.Timeout | undefined;
	let isDrawQueued = false;
	let shown: string | undefined;
	let unfollow: (() => void) | undefined;

	const lineFor = (ctx: ExtensionContext) => {
		const { theme } = ctx.ui;
		// A client that draws by itself is given words, not a terminal's colours.
		const hasColours = modeOf(ctx) === "tui";
		const columns = process.stdout.columns ?? DEFAULT_COLUMNS;
		const [modelId, sessionId] = [ctx.model?.id, ctx.sessionManager.getSessionId()];
		const moment = { modelId, sessionId, now: clock.now(), waitingUntil, waitsForRoom };
		const model = footerModel(pool, affinity, settings(), moment);
		return footerLine(model, columns, (tone, text) => (hasColours ? theme.fg(tone, text) : text));
	};
	const draw = () => {
		if (!context) return;
		try {
			const next = context.model?.provider === PROVIDER ? lineFor(context) : undefined;
			if (next !== shown) context.ui.setStatus(STATUS_KEY, next);
			shown = next;
		} catch (error) {
			// The session was replaced; its context is of no more use, and the next one begins with `start`.
			stop();
			tellDefect(error, "footer", pool.emit);
		}
	};
	/** Several events of one moment make one drawing. */
	const drawSoon = () => {
		if (isDrawQueued) return;
		isDrawQueued = true;
		setImmediate(() => {
			isDrawQueued = false;
			draw();
		});
	};
	const countDown = () => {
		if (waitingUntil !== undefined && context) {
			seconds ??= setInterval(draw, COUNTDOWN_MS).unref();
			return;
		}
		clearInterval(seconds);
		seconds = undefined;
	};
	const stop = () => {
		context = undefined;
		clearInterval(minutes);
		countDown();
		process.stdout.off("resize", drawSoon);
		unfollow?.();
		unfollow = undefined;
	};

	pool.subscribe((event: PoolEvent) => {
		if (event.type === "waiting") {
			waitingUntil = event.until;
			waitsForRoom = event.forRoom;
			countDown();
		}
		drawSoon();
	});

	return {
		start: (ctx) => {
			stop();
			if (!ctx.hasUI) return;
			context = ctx;
			shown = undefined;
			minutes = setInterval(() => {
				guarded(onTick, "footer", pool.emit);
				draw();
			}, REDRAW_MS);
			minutes.unref();
			countDown();
			process.stdout.on("resize", drawSoon);
			unfollow = followStores(() => pool.emit({ type: "changed" }));
			draw();
		},
		draw: drawSoon,
		stop,
	};
}

/** The session and the moment that are shown. Times are epoch ms. */
interface Shown {
	readonly modelId: string | undefined;
	readonly sessionId: SessionId | undefined;
	readonly now: number;
	/** Set while a request waits for an account. */
	readonly waitingUntil?: number | undefined;
	/** See {@link FooterModel}. */
	readonly waitsForRoom?: boolean;
}

/** What the footer shows of the pool: the account that serves the next request, and how many could. */
export function footerModel(pool: Pool, affinity: Affinity, settings: Settings, shown: Shown): FooterModel {
	const { modelId, sessionId, now, waitingUntil, waitsForRoom = false } = shown;
	const accounts = pool.accounts();
	const active = nextInLine(pool, affinity, { modelId, sessionId, patienceMs: settings.rotation.maxWaitMs });
	const returns = accounts.flatMap((account) => {
		const readyAt = pool.readyAt(account, now, modelId);
		if (readyAt === undefined) return [];
		const isGuess = isReadyAtGuessed(pool.status(account.id).cooldowns, modelId, now);
		return { label: account.label, readyAt, isGuess };
	});
	const first = [...returns].sort((a, b) => a.readyAt - b.readyAt)[0];
	return {
		isEnabled: settings.enabled,
		settings: settings.footer,
		active: active && activeAccount(active, pool.status(active.id), modelId, now),
		isPinned: active !== undefined && active.id === pool.pinned(),
		ready: returns.filter(({ readyAt }) => readyAt <= now).length,
		total: accounts.length,
		first,
		waitingUntil,
		waitsForRoom,
		now,
	};
}

function activeAccount(
	account: Account,
	{ cooldowns, usage }: AccountStatus,
	modelId: string | undefined,
	now: number,
): ActiveAccount {
	const gate = gateOf({ account, cooldowns, usage }, modelId, now);
	return { account, usage, isReady: gate === undefined, isOnCredits: gate?.kind === "credits" };
}
