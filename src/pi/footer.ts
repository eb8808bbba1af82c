import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { PoolEvent } from "../domain/events.ts";
import type { Pool } from "../pool/pool.ts";
import type { Clock } from "../pool/ports.ts";
import { type FooterModel, footerLine } from "../ui/footer-line.ts";
import { PROVIDER } from "./provider.ts";

/** Status key, also the slash command's name. */
export const STATUS_KEY = "multicodex";

/** The line that the footer shows while a Codex model is selected. */
export interface Footer {
	/** Draws now and from here on; called again for every session. */
	start(ctx: ExtensionContext): void;
	/** The selected model has changed, or something else that is drawn. */
	draw(): void;
	stop(): void;
}

/** Times in the line are in minutes, so it is drawn again once a minute. */
const REDRAW_MS = 60_000;
const DEFAULT_COLUMNS = 80;

/** Creates the footer over the pool; `onTick` runs with every minute's redraw. */
export function createFooter(pool: Pool, clock: Clock, onTick: () => void): Footer {
	let context: ExtensionContext | undefined;
	let waitingUntil: number | undefined;
	let timer: NodeJS.Timeout | undefined;
	let isDrawQueued = false;
	let shown: string | undefined;

	const lineFor = ({ ui }: ExtensionContext) => {
		const columns = process.stdout.columns ?? DEFAULT_COLUMNS;
		const { text, tone } = footerLine(modelOf(pool, waitingUntil, clock.now()), columns);
		return ui.theme.fg(tone, text);
	};
	const draw = () => {
		if (!context) return;
		try {
			const next = context.model?.provider === PROVIDER ? lineFor(context) : undefined;
			if (next !== shown) context.ui.setStatus(STATUS_KEY, next);
			shown = next;
		} catch {
			// The session was replaced; its context is of no more use, and the next one begins with `start`.
			stop();
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
	const stop = () => {
		context = undefined;
		clearInterval(timer);
		process.stdout.off("resize", drawSoon);
	};

	pool.subscribe((event: PoolEvent) => {
		if (event.type === "waiting") waitingUntil = event.until;
		drawSoon();
	});

	return {
		start: (ctx) => {
			stop();
			if (!ctx.hasUI) return;
			context = ctx;
			shown = undefined;
			timer = setInterval(() => {
				onTick();
				draw();
			}, REDRAW_MS);
			timer.unref();
			process.stdout.on("resize", drawSoon);
			draw();
		},
		draw: drawSoon,
		stop,
	};
}

function modelOf(pool: Pool, waitingUntil: number | undefined, now: number): FooterModel {
	const accounts = pool.accounts();
	const activeId = pool.active() ?? pool.pinned();
	const active = accounts.find(({ id }) => id === activeId);
	const returns = accounts.flatMap((account) => {
		const readyAt = pool.readyAt(account, now);
		return readyAt === undefined ? [] : { label: account.label, readyAt };
	});
	const first = returns.sort((a, b) => a.readyAt - b.readyAt)[0];
	return {
		active: active && {
			account: active,
			usage: pool.memo(active.id).usage,
			isReady: pool.state(active) === "ready",
		},
		isPinned: activeId !== undefined && activeId === pool.pinned(),
		ready: accounts.filter((account) => pool.state(account) === "ready").length,
		total: accounts.length,
		first,
		waitingUntil,
		now,
	};
}
