import type { AccountId } from "../../../src/core/ids.ts";
import { type Chooser, nextReadyAt } from "./choosers.ts";
import type { Scenario, Session } from "./demand.ts";
import { createMeter, type Meter } from "./meter.ts";
import { CACHE_LIFE_MS, HOUR_MS, MINUTE_MS, type Model, START, workOf } from "./model.ts";
import { createQueue } from "./queue.ts";

/** What became of a scenario's demand. Work is in tokens of uncached input. */
export interface Outcome {
	readonly demanded: number;
	readonly served: number;
	readonly lost: number;
	/** Part of `served` that went beyond what its account had left: the last request of a window may. */
	readonly overshoot: number;
	readonly turns: number;
	readonly servedTurns: number;
	/** Turns that found no account at once, or were lost. */
	readonly blockedTurns: number;
	readonly sessions: number;
	/** Times at which a session went on with another account than before. */
	readonly switches: number;
	/** Tokens that were sent uncached only because of a switch. */
	readonly coldTokens: number;
	/** Work spent only because of a switch. */
	readonly switchBurn: number;
	/** Work spent only because a cache did not outlive a wait. */
	readonly waitBurn: number;
	/** Requests that an account refused because it was spent. */
	readonly refused: number;
	readonly waitedMs: number;
	/** Longer windows' work that expired although as much work was lost in that time. */
	readonly avoidableWaste: number;
	/** What the longer windows held that have ended. */
	readonly expiredWork: number;
}

/** How a run differs from the world as it is. */
export interface RunOptions {
	/** Changing the account costs nothing, and all usage is known at once: the reference, which no real pool reaches. */
	readonly isFree?: boolean;
	/** What serves, or gives quota back, while every account is out of quota; nothing by default. */
	readonly beyond?: Beyond;
	/** Looks on. */
	readonly watcher?: Watcher;
}

/** Hears what happens in a run. Times are epoch ms. */
export interface Watcher {
	/** Every full hour, before what happens after it; `live`: how many sessions are at work on each account. */
	onHour(now: number, meters: readonly Meter[], live: () => ReadonlyMap<AccountId, number>): void;
	/** An account has served a request, or has been asked for its usage. */
	onNews(meters: readonly Meter[]): void;
	/** A request finds every account out of quota. */
	onDry(now: number): void;
}

/** What there is once all included quota is out. */
export interface Beyond {
	/**
	 * Serves on a second allowance of an account, that of `own` first. Returns its account; undefined where none has any.
	 */
	serveOnReserve(meters: readonly Meter[], own: Meter | undefined, work: number, now: number): Meter | undefined;
	/** Gives an account its windows back, before their time. True if it did. */
	redeem(meters: readonly Meter[], now: number): boolean;
}

/**
 * A session that waits is looked at again so often: an early reset may end the wait, or a session that ends its work.
 */
const LOOK_AGAIN_MS = MINUTE_MS;

/** Others see a session on an account for so long after it was served. */
const LIVE_MS = 5 * MINUTE_MS;

interface Progress {
	readonly session: Session;
	next: number;
	last: { readonly meter: Meter; readonly at: number } | undefined;
	/** Its last turn was served by another model, whose cache is another. */
	isOnReserve: boolean;
	/** When the turn that waits was due first; undefined where none waits. */
	waitsSince: number | undefined;
}

/** Plays a scenario from its first request to its last. */
export function play(
	scenario: Scenario,
	chooser: Chooser,
	model: Model,
	{ isFree = false, beyond, watcher }: RunOptions = {},
): Outcome {
	const meters = scenario.accounts.map((spec, index) => createMeter(spec, index, model));
	const lostAt: { readonly at: number; readonly work: number }[] = [];
	const live = new Set<Progress>();
	const queue = createQueue<Progress>();
	const tally = {
		demanded: 0,
		served: 0,
		lost: 0,
		overshoot: 0,
		turns: 0,
		servedTurns: 0,
		blockedTurns: 0,
		switches: 0,
		coldTokens: 0,
		switchBurn: 0,
		waitBurn: 0,
		refused: 0,
		waitedMs: 0,
	};
	let outsideIndex = 0;
	let nextPollAt = 0;

	const outsideUntil = (now: number) => {
		for (let event = scenario.outside[outsideIndex]; event && event.at <= now; ) {
			const meter = meters[event.account];
			if (event.work === undefined) meter?.resetEarly(event.at);
			else meter?.takeOutside(event.work, event.at);
			outsideIndex += 1;
			event = scenario.outside[outsideIndex];
		}
	};
	const liveSessions = (self: Progress | undefined, now: number) => {
		const counts = new Map<AccountId, number>();
		for (const progress of live) {
			if (!progress.last || now - progress.last.at > LIVE_MS) {
				live.delete(progress);
			} else if (progress !== self) {
				const { id } = progress.last.meter.account;
				counts.set(id, (counts.get(id) ?? 0) + 1);
			}
		}
		return counts;
	};
	/** An account that serves now; the ones that refuse first are counted, and cool from then on. */
	const find = (progress: Progress, now: number): Meter | undefined => {
		if (isFree) {
			for (const meter of meters) meter.observeNow(now);
		} else if (now >= nextPollAt) {
			nextPollAt = Math.min(...meters.map((meter) => meter.observe(now)));
		}
		const request = {
			now,
			meters,
			last: progress.last,
			isCompacted: progress.session.turns[progress.next]?.isCompacted === true,
			waitsSince: progress.waitsSince,
			liveSessions: () => liveSessions(progress, now),
		};
		for (;;) {
			const meter = chooser.choose(request);
			if (!meter?.isSpent(now)) return meter;
			meter.refuse(now);
			tally.refused += 1;
		}
	};
	const giveUp = (progress: Progress) => {
		const rest = progress.session.turns.slice(progress.next);
		for (const { plannedAt, work } of rest) {
			tally.lost += work;
			lostAt.push({ at: plannedAt, work });
		}
		// The turn that waits was counted when its wait began.
		tally.blockedTurns += rest.length - (progress.waitsSince === undefined ? 0 : 1);
		if (progress.waitsSince !== undefined) tally.waitedMs += progress.session.deadline - progress.waitsSince;
	};
	const serve = (progress: Progress, meter: Meter, now: number) => {
		const turn = progress.session.turns[progress.next];
		if (!turn) return;
		const { last } = progress;
		const hasMoved = last !== undefined && last.meter !== meter;
		const isGone = !last || turn.isCold || progress.isOnReserve || now - last.at >= CACHE_LIFE_MS;
		const cached = cachedShare({ isGone, hasMoved: hasMoved && !isFree }, model);
		const cost = Math.max(turn.work, workOf(turn.inputTokens, turn.outputTokens, cached));
		const isPaid = hasMoved && !isGone;
		tally.served += turn.work;
		tally.servedTurns += 1;
		if (hasMoved) tally.switches += 1;
		if (isPaid) {
			tally.coldTokens += turn.inputTokens * (model.cachedWhenWarm - cached);
			tally.switchBurn += cost - turn.work;
		} else {
			tally.waitBurn += cost - turn.work;
		}
		// What fits is what the account had left; the extra cost of a switch is not counted as work that did.
		tally.overshoot += Math.max(0, meter.serve(cost, now) - (cost - turn.work));
		progress.last = { meter, at: now };
		progress.isOnReserve = false;
		live.add(progress);
	};
	/**
	 * True if the turn was served on a second allowance, by another model: cold, unless the one before it was as well.
	 */
	const serveOnReserve = (progress: Progress, now: number): boolean => {
		const turn = progress.session.turns[progress.next];
		if (!beyond || !turn) return false;
		const { last } = progress;
		const isWarm = last !== undefined && progress.isOnReserve && !turn.isCold && now - last.at < CACHE_LIFE_MS;
		const cost = Math.max(turn.work, workOf(turn.inputTokens, turn.outputTokens, isWarm ? model.cachedWhenWarm : 0));
		const meter = beyond.serveOnReserve(meters, last?.meter, cost, now);
		if (!meter) return false;
		tally.served += turn.work;
		tally.servedTurns += 1;
		tally.waitBurn += cost - turn.work;
		progress.last = { meter, at: now };
		progress.isOnReserve = true;
		live.add(progress);
		return true;
	};
	const isDry = (now: number) => meters.every(({ cooldowns }) => cooldowns.some(({ until }) => until > now));
	/** Serves a turn with what a pool has. False while there is nothing to serve it. */
	const attempt = (progress: Progress, now: number): boolean => {
		const isServing = (meter: Meter | undefined) => {
			if (meter) serve(progress, meter, now);
			return meter !== undefined;
		};
		if (isServing(find(progress, now))) return true;
		if (!beyond || !isDry(now)) return false;
		if (serveOnReserve(progress, now)) return true;
		return beyond.redeem(meters, now) && isServing(find(progress, now));
	};
	const step = (progress: Progress, now: number) => {
		const { session } = progress;
		if (now > session.deadline) {
			giveUp(progress);
			return;
		}
		if (!attempt(progress, now)) {
			if (isDry(now)) watcher?.onDry(now);
			if (progress.waitsSince === undefined) {
				progress.waitsSince = now;
				tally.blockedTurns += 1;
			}
			queue.push(Math.min(nextReadyAt(meters, now), now + LOOK_AGAIN_MS), progress);
			return;
		}
		if (progress.waitsSince !== undefined) tally.waitedMs += now - progress.waitsSince;
		progress.waitsSince = undefined;
		progress.next += 1;
		const next = session.turns[progress.next];
		if (next) queue.push(Math.max(next.plannedAt, now + next.gapMs), progress);
	};

	for (const session of scenario.sessions) {
		const [first] = session.turns;
		if (!first) continue;
		for (const { work } of session.turns) tally.demanded += work;
		tally.turns += session.turns.length;
		queue.push(first.plannedAt, { session, next: 0, last: undefined, isOnReserve: false, waitsSince: undefined });
	}
	let nextHourAt = START;
	const watchUntil = (now: number) => {
		for (; watcher && nextHourAt <= now; nextHourAt += HOUR_MS) {
			outsideUntil(nextHourAt);
			for (const meter of meters) meter.observe(nextHourAt);
			watcher.onNews(meters);
			const at = nextHourAt;
			watcher.onHour(at, meters, () => liveSessions(undefined, at));
		}
	};
	for (let entry = queue.pop(); entry; entry = queue.pop()) {
		watchUntil(entry.at);
		outsideUntil(entry.at);
		step(entry.item, entry.at);
		watcher?.onNews(meters);
	}
	for (const meter of meters) meter.observe(scenario.endsAt);
	return { ...tally, sessions: scenario.sessions.length, ...wasteOf(meters, lostAt) };
}

function cachedShare(
	{ isGone, hasMoved }: { readonly isGone: boolean; readonly hasMoved: boolean },
	model: Model,
): number {
	if (isGone) return 0;
	return hasMoved ? model.cachedAfterSwitch : model.cachedWhenWarm;
}

/** Each piece of lost work is held against one window only. */
function wasteOf(
	meters: readonly Meter[],
	lostAt: readonly { readonly at: number; readonly work: number }[],
): Pick<Outcome, "avoidableWaste" | "expiredWork"> {
	const lost = [...lostAt].sort((a, b) => a.at - b.at).map(({ at, work }) => ({ at, work }));
	const windows = meters.flatMap(({ expired }) => expired).sort((a, b) => a.to - b.to);
	let avoidableWaste = 0;
	let expiredWork = 0;
	for (const { from, to, unused, holds } of windows) {
		expiredWork += holds;
		let rest = unused;
		for (const piece of lost) {
			if (piece.at > to || rest <= 0) break;
			if (piece.at < from || piece.work <= 0) continue;
			const taken = Math.min(rest, piece.work);
			piece.work -= taken;
			rest -= taken;
			avoidableWaste += taken;
		}
	}
	return { avoidableWaste, expiredWork };
}
