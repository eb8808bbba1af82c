/** Length of the known rate limit windows, in minutes. */
export const WINDOW_MINUTES = { fiveHour: 300, day: 1_440, week: 10_080, month: 43_200 } as const;

/** Name of a rate limit window. */
export type WindowName = keyof typeof WINDOW_MINUTES;

/** State of one rate limit window; `resetsAt` is in epoch milliseconds. */
export interface LimitWindow {
	readonly usedPercent: number;
	readonly windowMinutes: number;
	readonly resetsAt: number;
}

/** Start state of one modelled window; it resets in its full length unless told otherwise. */
export interface WindowInit {
	readonly usedPercent?: number;
	readonly resetsInMs?: number;
}

/** A modelled quota: windows that exist for the account and what one healthy request costs. */
export interface QuotaInit {
	readonly fiveHour?: WindowInit;
	readonly day?: WindowInit;
	readonly week?: WindowInit;
	readonly month?: WindowInit;
	/** Percent of each window, or of the named ones only. */
	readonly costPerRequestPercent?: number | Partial<Record<WindowName, number>>;
	/** Reports the windows in reverse order (the longest as primary), as some plans do. */
	readonly longestFirst?: boolean;
}

interface ModelledWindow {
	readonly name: WindowName;
	usedPercent: number;
	resetsAt: number;
}

const WINDOW_NAMES: readonly WindowName[] = ["fiveHour", "day", "week", "month"];

/** Quota that fills with every healthy request and empties at its reset. */
export class ModelledQuota {
	#windows: ModelledWindow[] = [];
	#cost: QuotaInit["costPerRequestPercent"];
	#longestFirst: boolean;

	constructor(init: QuotaInit, nowMs: number) {
		this.#cost = init.costPerRequestPercent ?? 0;
		this.#longestFirst = init.longestFirst ?? false;
		for (const name of WINDOW_NAMES) {
			const window = init[name];
			if (window === undefined) continue;
			const resetsAt = nowMs + (window.resetsInMs ?? WINDOW_MINUTES[name] * 60_000);
			this.#windows.push({ name, usedPercent: window.usedPercent ?? 0, resetsAt });
		}
	}

	/** The windows in the order they are reported, after any reset that is due. */
	windows(nowMs: number): LimitWindow[] {
		this.#roll(nowMs);
		const windows = this.#windows.map(({ name, usedPercent, resetsAt }) => ({
			usedPercent: Math.min(usedPercent, 100),
			windowMinutes: WINDOW_MINUTES[name],
			resetsAt,
		}));
		return this.#longestFirst ? windows.reverse() : windows;
	}

	/** The spent window that resets last, which is the one that governs. */
	spent(nowMs: number): LimitWindow | undefined {
		const spent = this.windows(nowMs).filter((window) => window.usedPercent >= 100);
		return spent.sort((a, b) => b.resetsAt - a.resetsAt)[0];
	}

	/** Books one healthy request. */
	charge(nowMs: number): void {
		this.#roll(nowMs);
		for (const window of this.#windows) {
			window.usedPercent += typeof this.#cost === "number" ? this.#cost : (this.#cost?.[window.name] ?? 0);
		}
	}

	/** Overwrites the use of one window. */
	setUsed(name: WindowName, usedPercent: number): void {
		const window = this.#windows.find((each) => each.name === name);
		if (window === undefined) throw new Error(`the quota has no window ${name}`);
		window.usedPercent = usedPercent;
	}

	/** Empties every window before its time. */
	reset(nowMs: number): void {
		for (const window of this.#windows) begin(window, nowMs);
	}

	#roll(nowMs: number): void {
		for (const window of this.#windows) if (nowMs >= window.resetsAt) begin(window, nowMs);
	}
}

function begin(window: ModelledWindow, nowMs: number): void {
	window.usedPercent = 0;
	window.resetsAt = nowMs + WINDOW_MINUTES[window.name] * 60_000;
}

/**
 * Windows as the `x-codex-*` headers (codex-backend.md 3.3); `family` names another limit, e.g. `x-codex-bengalfox`.
 */
export function limitHeaders(
	windows: readonly LimitWindow[],
	nowMs: number,
	family = "x-codex",
): Record<string, string> {
	const headers: Record<string, string> = {};
	const slots = ["primary", "secondary"];
	for (const [index, slot] of slots.entries()) {
		const window = windows[index];
		if (window === undefined) continue;
		headers[`${family}-${slot}-used-percent`] = String(window.usedPercent);
		headers[`${family}-${slot}-window-minutes`] = String(window.windowMinutes);
		headers[`${family}-${slot}-reset-at`] = String(epochSeconds(window.resetsAt));
		headers[`${family}-${slot}-reset-after-seconds`] = String(secondsUntil(window.resetsAt, nowMs));
	}
	return headers;
}

/** Epoch seconds as the backend writes them. */
export function epochSeconds(epochMs: number): number {
	return Math.ceil(epochMs / 1_000);
}

/** Whole seconds until the time, never negative. */
export function secondsUntil(epochMs: number, nowMs: number): number {
	return Math.max(0, Math.ceil((epochMs - nowMs) / 1_000));
}

/** The length of the shortest known window that can hold this reset, in minutes. */
export function windowFor(resetsInMs: number): number {
	const minutes = resetsInMs / 60_000;
	return Object.values(WINDOW_MINUTES).find((each) => each >= minutes) ?? WINDOW_MINUTES.month;
}
