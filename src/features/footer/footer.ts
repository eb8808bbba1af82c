import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../core/account.ts";
import type { Affinity } from "../../core/affinity.ts";
import type { Beyond, Source } from "../../core/beyond.ts";
import type { Floors } from "../../core/caps.ts";
import { guarded, tellDefect } from "../../core/defect-reports.ts";
import type { PoolEvent } from "../../core/events.ts";
import { type FirstBack, firstBack, gatedIn, type Plan, readyCount } from "../../core/plan.ts";
import type { Pool } from "../../core/pool.ts";
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
	/** True while pi holds a key of its own for Codex. */
	readonly isForeign: () => boolean;
	/** The Codex model of a session that is on one, or on the virtual model. */
	readonly codexId: (ctx: ExtensionContext) => string | undefined;
	/** The link of the chain that serves the session; undefined while the pool does. */
	readonly serving: (ctx: ExtensionContext) => string | undefined;
	/** What a session was served from last. */
	readonly sourceOf: Beyond["source"];
	/** Runs with every minute's redraw. */
	readonly onTick: () => void;
	/**
	 * Has `listener` called when another process may have stored something, until the function that it gives is called.
	 */
	readonly followStores: (listener: () => void) => () => void;
}

/** Times in the line are in minutes, so it is drawn again once a minute; what counts down, once a second. */
const REDRAW_MS = 60_000;
const COUNTDOWN_MS = 1000;
const DEFAULT_COLUMNS = 80;

/** Creates the footer over the pool. */
export function createFooter(deps: Deps): Footer {
	const { pool, affinity, settings, isForeign, codexId, serving, sourceOf, onTick, followStores } = deps;
	let context: ExtensionContext | undefined;
	/** By request: one that ends leaves the countdown of another. */
	const waits = new Map<number, Waiting>();
	let isAsking = false;
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
		const [modelId, sessionId] = [codexId(ctx), ctx.sessionManager.getSessionId()];
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
		});
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

/** What the footer shows of a plan: the account that serves the next request, and how many could. */
export function footerModel(
	plan: Plan,
	settings: Settings,
	{ isForeign, source, waiting, isAsking = false, link, hasKeys = false, floorsOf }: Surroundings,
): FooterModel {
	const { total, now, next, pinned } = plan;
	return {
		isEnabled: settings.enabled,
		isForeign,
		settings: settings.footer,
		active: activeIn(plan, source, floorsOf),
		setFolder: plan.set?.folder,
		isPinned: next !== undefined && next.id === pinned,
		ready: readyCount(plan),
		total,
		first: labelled(firstBack(plan)),
		waitingUntil: waiting?.until,
		waitsForRoom: waiting?.forRoom ?? false,
		isAsking,
		link,
		hasKeys,
		now,
	};
}

/** The account that serves next; with none, the one that serves the session beyond its included quota. */
function activeIn(
	plan: Plan,
	source: Source | undefined,
	floorsOf: Surroundings["floorsOf"],
): ActiveAccount | undefined {
	const { order, lastResort, next } = plan;
	const [ranked] = [...order, ...lastResort].filter(({ account }) => account === next);
	if (ranked) {
		const gate = ranked.gate?.kind === "reserve" ? undefined : ranked.gate;
		const { account, usage } = ranked;
		return {
			account,
			usage,
			isReady: gate === undefined,
			isOnCredits: gate?.kind === "credits",
			floors: floorsOf?.(account),
		};
	}
	const gated = source && source.on !== "included" ? gatedIn(plan, source.account) : undefined;
	return (
		gated && {
			account: gated.account,
			usage: gated.usage,
			isReady: false,
			isOnCredits: source?.on === "credits",
			isOnReserveModel: source?.on === "reserve-model",
			floors: floorsOf?.(gated.account),
		}
	);
}

function labelled(first: FirstBack | undefined): FooterModel["first"] {
	if (!first) return undefined;
	const { account, readyAt, isGuess, isCapped } = first;
	return { label: account.label, readyAt, isGuess, isCapped };
}

/** What a plan does not know. */
interface Surroundings extends Pick<FooterModel, "isForeign"> {
	/** What the session was served from last. */
	readonly source?: Source | undefined;
	/** A request that waits, and ends first. */
	readonly waiting?: Waiting | undefined;
	/** A question how a turn goes on is open. */
	readonly isAsking?: boolean;
	readonly link?: string | undefined;
	readonly hasKeys?: boolean;
	/** The caps on an account. */
	readonly floorsOf?: ((account: Account) => Floors | undefined) | undefined;
}

/** A request's wait for an account. */
interface Waiting {
	/** Epoch ms. */
	readonly until: number;
	/** See {@link FooterModel}. */
	readonly forRoom: boolean;
}
