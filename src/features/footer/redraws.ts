/** Decides when a line with times in it is drawn again. */
interface Redraws {
	/** Draws once for everything that happens at one moment. */
	soon(): void;
	/** Draws every minute from now on, since times are in minutes. `onMinute` is called before. */
	start(onMinute: () => void): void;
	/** Draws every second, or no longer. */
	countDown(isCounting: boolean): void;
	/**
	 * Draws when the first of these times changes to its next minute, so that the line agrees with a panel above. All are
	 * epoch ms.
	 */
	whenOlder(times: readonly (number | undefined)[], now: number): void;
	stop(): void;
}

const MINUTE_MS = 60_000;
const COUNTDOWN_MS = 1000;

/** Creates the schedule without any time to draw at. */
export function createRedraws(draw: () => void): Redraws {
	let minutes: NodeJS.Timeout | undefined;
	let seconds: NodeJS.Timeout | undefined;
	let minuteEnd: NodeJS.Timeout | undefined;
	let isQueued = false;

	const countDown = (isCounting: boolean) => {
		if (isCounting) {
			seconds ??= setInterval(draw, COUNTDOWN_MS).unref();
			return;
		}
		clearInterval(seconds);
		seconds = undefined;
	};
	return {
		soon: () => {
			if (isQueued) return;
			isQueued = true;
			setImmediate(() => {
				isQueued = false;
				draw();
			});
		},
		start: (onMinute) => {
			clearInterval(minutes);
			minutes = setInterval(() => {
				onMinute();
				draw();
			}, MINUTE_MS);
			minutes.unref();
		},
		countDown,
		whenOlder: (times, now) => {
			clearTimeout(minuteEnd);
			const delays = times.flatMap((at) => (at !== undefined && at > now ? [((at - now) % MINUTE_MS) + 1] : []));
			if (delays.length === 0) return;
			// A clock that stands still must not keep this busy.
			minuteEnd = setTimeout(draw, Math.max(COUNTDOWN_MS, Math.min(...delays)));
			minuteEnd.unref();
		},
		stop: () => {
			clearInterval(minutes);
			clearTimeout(minuteEnd);
			countDown(false);
		},
	};
}
