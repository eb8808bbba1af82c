import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Clock } from "../core/ports.ts";
import { modeOf } from "./output.ts";

/** Notices that a person comes back to a session in which nothing was typed for a while. */
export interface Returns {
	/** Listens to the keys of a session in a terminal; called again for every session. */
	begin(ctx: ExtensionContext): void;
	/** Something was typed that came another way than by a key. */
	typed(): void;
	stop(): void;
}

/** Without a key for this long a person counts as away. */
const AWAY_MS = 10 * 60_000;

/** Creates the watch; `onReturn` is called with the first thing typed after the person was away. */
export function createReturns(clock: Clock, onReturn: () => void): Returns {
	let lastAt = clock.now();
	let release: (() => void) | undefined;
	const typed = () => {
		const now = clock.now();
		const isBack = now - lastAt >= AWAY_MS;
		lastAt = now;
		if (isBack) onReturn();
	};
	const stop = () => {
		release?.();
		release = undefined;
	};
	return {
		begin: (ctx) => {
			stop();
			lastAt = clock.now();
			// Where the host has no such hook, what is sent tells it.
			if (modeOf(ctx) !== "tui" || typeof ctx.ui.onTerminalInput !== "function") return;
			release = ctx.ui.onTerminalInput(() => {
				typed();
				return undefined;
			});
		},
		typed,
		stop,
	};
}
