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
import { footerModel, type Surroundings, type Waiting } from "./model.ts";
import { createRedraws } from "./redraws.ts";

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

const DEFAULT_COLUMNS = 80;

/** Creates the footer over the pool. */
export function createFooter(deps: Deps): Footer {
	const { pool, onTick, followStores, forecasts } = deps;
	let context: ExtensionContext | undefined;
	/** By request: the end of one must not end the countdown of another. */
	const waits = new Map<number, Waiting>();
	let isAsking = false;
	let shown: string | undefined;
	let unfollow: (() => void) | undefined;

	const lineFor = (ctx: ExtensionContext) => {
		const { theme } = ctx.ui;
		// A client that draws by itself gets words without a terminal's colours.
		const hasColours = modeOf(ctx) === "tui";
		const [waiting] = [...waits.values()].sort((a, b) => a.until - b.until);
		const model = modelFor(ctx, deps, { waiting, isAsking, hasKeys: hasColours });
		redraws.whenOlder(timesIn(model), model.now);
		const columns = process.stdout.columns ?? DEFAULT_COLUMNS;
		return footerLine(model, columns, (tone, text) => (hasColours ? theme.fg(tone, text) : text));
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
	const redraws = createRedraws(draw);
	const countDown = () => redraws.countDown(waits.size > 0 && context !== undefined);
	const stop = () => {
		context = undefined;
		redraws.stop();
		process.stdout.off("resize", redraws.soon);
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
		redraws.soon();
	});

	forecasts.subscribe(redraws.soon);

	return {
		start: (ctx) => {
			stop();
			if (!ctx.hasUI) return;
			context = ctx;
			shown = undefined;
			redraws.start(() => guarded(onTick, "footer", pool.emit));
			countDown();
			process.stdout.on("resize", redraws.soon);
			unfollow = followStores(() => pool.emit({ type: "changed" }));
			draw();
		},
		draw: redraws.soon,
		stop,
	};
}

/** Returns what the line shows of a session now. */
function modelFor(
	ctx: ExtensionContext,
	deps: Deps,
	session: Pick<Surroundings, "waiting" | "isAsking" | "hasKeys">,
): FooterModel {
	const { pool, affinity, forecasts } = deps;
	const settings = deps.settings();
	const sessionId = sessionIdOf(ctx);
	const plan = pool.plan({
		modelId: deps.codexId(ctx),
		sessionId,
		affinity: affinity.account(),
		served: affinity.lastServed(),
		patienceMs: settings.rotation.maxWaitMs,
	});
	return footerModel(plan, settings, {
		...session,
		isForeign: deps.isForeign(),
		source: deps.sourceOf(sessionId),
		link: deps.serving(ctx),
		floorsOf: pool.floors,
		isPoolAway: deps.sharedPool?.()?.connection.kind === "away",
		lasts: settings.footer.lasts ? forecasts.current()?.pool : undefined,
	});
}

/** Returns the times that the line counts down to. */
function timesIn({ active, first }: FooterModel): readonly (number | undefined)[] {
	const resets = active?.usage ? includedOf(active.usage).map(({ resetsAt }) => resetsAt) : [];
	return [first?.readyAt, ...resets];
}
