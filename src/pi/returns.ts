import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Clock } from "../core/ports.ts";
import { modeOf } from "./output.ts";

/** Notices that a person returns to a session in which nothing was typed for a while. */
interface Returns {
	/** Listens to the keys of a session in a terminal. Called again for every session. */
	begin(ctx: ExtensionContext): void;
	/** Records input that did not come from a key. */
	typed(): void;
	stop(): void;
}

/** A person counts as away after this long without a key. */
const AWAY_MS = 10 * 60_000;

/** Creates the watch. `onReturn` is called on the first input after the person was away. */
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
			// On a host without this hook, only submitted input counts.
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
