import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Beyond } from "../../core/beyond/beyond.ts";
import { guarded, tellDefect } from "../../core/defect-reports.ts";
import type { PoolEvent } from "../../core/events.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { ForecastSource, SharedPools } from "../../core/ports.ts";
import { includedOf } from "../../core/quota.ts";
import type { Affinity } from "../../core/request/affinity.ts";
import type { Settings } from "../../core/settings.ts";
import { modeOf } from "../../pi/output.ts";
import { PROVIDER } from "../../pi/provider.ts";
import { sessionIdOf } from "../../pi/session-id.ts";
import { type FooterModel, footerLine } from "./line.ts";
import { footerModel, type Waiting } from "./model.ts";

/** Key of the status line. Also the name of the slash command. */
const STATUS_KEY = "multicodex";

/** The line that the footer shows while a Codex model is selected. */
export interface Footer {
	/** Draws now and from now on. Called again for every session. */
	start(ctx: ExtensionContext): void;
	/** Draws again after the selected model, or anything else in the line, has changed. */
	draw(): void;
	stop(): void;
}

interface Deps {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly settings: () => Settings;
	/** True while pi holds its own API key for Codex. */
	readonly isForeign: () => boolean;
	/** Returns the Codex model of a session that is on one, or on the virtual model. */
	readonly codexId: (ctx: ExtensionContext) => string | undefined;
	/** Returns the link of the chain that serves the session; undefined while the pool does. */
	readonly serving: (ctx: ExtensionContext) => string | undefined;
	/** Returns what a session was last served from. */
	readonly sourceOf: Beyond["source"];
	/** Forecasts how long quota lasts. */
	readonly forecasts: Pick<ForecastSource, "current" | "subscribe">;
	/** The pool that this machine shares with others. */
	readonly sharedPool?: SharedPools["status"];
	/** Called with every minute's redraw. */
	readonly onTick: () => void;
	/** Calls `listener` when another process may have stored something, until the returned function is called. */
	readonly followStores: (listener: () => void) => () => void;
}

/** Times in the line are in minutes, so it is redrawn every minute. Countdowns are redrawn every second. */
const REDRAW_MS = 60_000;
const COUNTDOWN_MS = 1000;
const MINUTE_MS = 60_000;
const DEFAULT_COLUMNS = 80;

/** Creates the footer over the pool. */
export function createFooter(deps: Deps): Footer {
	const {
		pool,
		affinity,
		settings,
		isForeign,
		codexId,
		serving,
		sourceOf,
		onTick,
		followStores,
		forecasts,
		sharedPool,
	} = deps;
	let context: ExtensionContext | undefined;
	/** By request: the end of one must not end the countdown of another. */
	const waits = new Map<number, Waiting>();
	let isAsking = false;
	let minutes: NodeJS.Timeout | undefined;
	let seconds: NodeJS.Timeout | undefined;
	/** Fires when a time in the line changes to its next minute, so that it agrees with a panel above. */
	let minuteEnd: NodeJS.Timeout | undefined;
	let isDrawQueued = false;
	let shown: string | undefined;
	let unfollow: (() => void) | undefined;

	const lineFor = (ctx: ExtensionContext) => {
		const { theme } = ctx.ui;
		// A client that draws by itself gets words without a terminal's colours.
		const hasColours = modeOf(ctx) === "tui";
		const columns = process.stdout.columns ?? DEFAULT_COLUMNS;
		const [modelId, sessionId] = [codexId(ctx), sessionIdOf(ctx)];
		const now = settings();
		const plan = pool.plan({
			modelId,
			sessionId,
			affinity: affinity.account(),
			served: affinity.lastServed(),
			patienceMs: now.rotation.maxWaitMs,
		});
		const [soonest] = [...waits.values()].sort((a, b) => a.until - b.until);
		const link = serving(ctx);
		const model = footerModel(plan, now, {
			isForeign: isForeign(),
			source: sourceOf(sessionId),
			waiting: soonest,
			isAsking,
			link,
			hasKeys: hasColours,
			floorsOf: pool.floors,
			isPoolAway: sharedPool?.()?.connection.kind === "away",
			lasts: now.footer.lasts ? forecasts.current()?.pool : undefined,
		});
		drawWhenOlder(model);
		return footerLine(model, columns, (tone, text) => (hasColours ? theme.fg(tone, text) : text));
	};
	const drawWhenOlder = ({ active, first, now }: FooterModel) => {
		clearTimeout(minuteEnd);
		const resets = active?.usage ? includedOf(active.usage).map(({ resetsAt }) => resetsAt) : [];
		const delays = [first?.readyAt, ...resets].flatMap((at) => {
			return at !== undefined && at > now ? [((at - now) % MINUTE_MS) + 1] : [];
		});
		if (delays.length === 0) return;
		// A clock that stands still must not keep this busy.
		minuteEnd = setTimeout(draw, Math.max(COUNTDOWN_MS, Math.min(...delays)));
		minuteEnd.unref();
	};
	const draw = () => {
		if (!context) return;
		try {
			const next = context.model?.provider === PROVIDER ? lineFor(context) : undefined;
			if (next !== shown) context.ui.setStatus(STATUS_KEY, next);
			shown = next;
		} catch (error) {
			// The session was replaced and its context is useless. The next one begins with `start`.
			stop();
			tellDefect(error, "footer", pool.emit);
		}
	};
	/** Several events at one moment cause one drawing. */
	const drawSoon = () => {
		if (isDrawQueued) return;
		isDrawQueued = true;
		setImmediate(() => {
			isDrawQueued = false;
			draw();
		});
	};
	const countDown = () => {
		if (waits.size > 0 && context) {
			seconds ??= setInterval(draw, COUNTDOWN_MS).unref();
			return;
		}
		clearInterval(seconds);
		seconds = undefined;
	};
	const stop = () => {
		context = undefined;
		clearInterval(minutes);
		clearTimeout(minuteEnd);
		countDown();
		process.stdout.off("resize", drawSoon);
		unfollow?.();
		unfollow = undefined;
	};

	pool.subscribe((event: PoolEvent) => {
		if (event.type === "waiting") {
			const { request, until, forRoom } = event;
			if (until === undefined) waits.delete(request);
			else waits.set(request, { until, forRoom });
			countDown();
		}
		if (event.type === "asking") isAsking = event.isOpen;
		drawSoon();
	});

	forecasts.subscribe(drawSoon);

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
