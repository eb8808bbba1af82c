import type { Account } from "../../../src/core/account.ts";
import type { Cooldown } from "../../../src/core/cooldown.ts";
import type { Candidate } from "../../../src/core/request/candidate.ts";
import type { UsageSnapshot, UsageWindow } from "../../../src/core/usage.ts";
import { anId, aWorkspaceId } from "../../support/ids.ts";
import type { AccountSpec } from "./demand.ts";
import { type Model, SHORT_MS } from "./model.ts";

/** A limit as the backend keeps it: its clock starts with the first use after a reset. */
interface Limit {
	readonly holds: number;
	readonly lengthMs: number;
	used: number;
	/** Epoch ms; 0 while the clock stands still. */
	endsAt: number;
}

/** One window as a policy may know it: when it was looked at, not as it is. */
export interface SeenWindow {
	readonly usedPercent: number;
	readonly lengthMs: number;
	/** Epoch ms; a whole length away while the clock stands still. */
	readonly resetsAt: number;
}

/** What was left unused when a longer window ended. */
export interface Expired {
	readonly from: number;
	readonly to: number;
	readonly unused: number;
	readonly holds: number;
}

/** One simulated account: the backend's truth, and the pool's knowledge of it. */
export interface Meter extends Candidate {
	readonly index: number;
	readonly spec: AccountSpec;
	cooldowns: readonly Cooldown[];
	/** What was seen last, shortest window first. */
	readonly seen: readonly SeenWindow[];
	readonly seenAt: number;
	/**
	 * Takes in what was asked meanwhile, before anything is decided or changed at `now`. Returns when it is asked next.
	 */
	observe(now: number): number;
	/** Knows everything at once: for the reference. */
	observeNow(now: number): void;
	isSpent(now: number): boolean;
	/** Serves a request, and reads its headers. Returns how much of it did not fit into what was left. */
	serve(work: number, now: number): number;
	/** Refuses a request: the account cools until the server's reset. */
	refuse(now: number): void;
	/** Another program uses the account; what does not fit is refused. */
	takeOutside(work: number, now: number): void;
	resetEarly(now: number): void;
	/** Longer windows that have ended. */
	readonly expired: readonly Expired[];
}

/** Creates the account of a specification. */
export function createMeter(spec: AccountSpec, index: number, { headersTell }: Model): Meter {
	const long: Limit = {
		holds: spec.longWork,
		lengthMs: spec.longMs,
		used: spec.running?.used ?? 0,
		endsAt: spec.running?.endsAt ?? 0,
	};
	const limits: Limit[] = [long];
	if (spec.shortWork !== undefined) limits.unshift({ holds: spec.shortWork, lengthMs: SHORT_MS, used: 0, endsAt: 0 });
	const expired: Expired[] = [];
	let seen: readonly SeenWindow[] = [];
	let seenAt = 0;
	let snapshot: UsageSnapshot | undefined;
	let cooldowns: readonly Cooldown[] = [];
	let nextPollAt = spec.poll.firstAt;
	/** Something has happened that no process here has seen. */
	let isNews = false;

	const settle = (now: number) => {
		for (const limit of limits) {
			if (limit.endsAt === 0 || limit.endsAt > now) continue;
			if (limit === long) noteEnd(limit.endsAt);
			limit.used = 0;
			limit.endsAt = 0;
		}
	};
	const noteEnd = (to: number) => {
		const from = long.endsAt - long.lengthMs;
		expired.push({ from, to, unused: Math.max(0, long.holds - long.used), holds: long.holds });
	};
	const spentUntil = () =>
		limits.reduce((until, { used, holds, endsAt }) => (used >= holds ? Math.max(until, endsAt) : until), 0);
	const cool = (now: number) => {
		const until = spentUntil();
		if (until > now) cooldowns = [{ scope: "account", reason: "usage_limit", until, setAt: now, models: [] }];
		else if (cooldowns.length > 0) cooldowns = [];
	};
	/** Looks at the account as it was at `at`, after everything before and nothing later has changed it. */
	const look = (at: number) => {
		settle(at);
		seen = limits.map(({ used, holds, lengthMs, endsAt }) => ({
			usedPercent: Math.min(100, Math.floor((used / holds) * 100)),
			lengthMs,
			resetsAt: endsAt === 0 ? at + lengthMs : endsAt,
		}));
		seenAt = at;
		isNews = false;
		snapshot = undefined;
		cool(at);
	};
	const observe = (now: number) => {
		if (now < nextPollAt) return nextPollAt;
		const polledAt = nextPollAt + Math.floor((now - nextPollAt) / spec.poll.everyMs) * spec.poll.everyMs;
		nextPollAt = polledAt + spec.poll.everyMs;
		if (polledAt > seenAt) look(polledAt);
		return nextPollAt;
	};
	const add = (work: number, now: number) => {
		settle(now);
		const room = Math.min(...limits.map(({ holds, used }) => Math.max(0, holds - used)));
		for (const limit of limits) {
			if (limit.endsAt === 0) limit.endsAt = now + limit.lengthMs;
			limit.used += work;
		}
		return Math.max(0, work - room);
	};
	const account = accountOf(spec, index);
	look(spec.poll.firstAt - spec.poll.everyMs);

	return {
		index,
		spec,
		account,
		get cooldowns() {
			return cooldowns;
		},
		get seen() {
			return seen;
		},
		get seenAt() {
			return seenAt;
		},
		get usage() {
			snapshot ??= snapshotOf(seen, seenAt);
			return snapshot;
		},
		expired,
		observe,
		observeNow: (now) => {
			if (isNews) look(now);
		},
		isSpent: (now) => {
			settle(now);
			return spentUntil() > now;
		},
		serve: (work, now) => {
			if (headersTell === "before") look(now);
			const overshoot = add(work, now);
			if (headersTell === "after") look(now);
			else isNews = true;
			return overshoot;
		},
		refuse: look,
		takeOutside: (work, now) => {
			observe(now);
			settle(now);
			if (spentUntil() > now) return;
			add(work, now);
			isNews = true;
		},
		resetEarly: (now) => {
			observe(now);
			settle(now);
			isNews = true;
			if (long.endsAt !== 0) noteEnd(now);
			for (const limit of limits) {
				limit.used = 0;
				limit.endsAt = 0;
			}
		},
	};
}

function snapshotOf(seen: readonly SeenWindow[], capturedAt: number): UsageSnapshot {
	const windows = seen.map(
		({ usedPercent, lengthMs, resetsAt }): UsageWindow => ({ usedPercent, windowMinutes: lengthMs / 60_000, resetsAt }),
	);
	return { capturedAt, source: "headers", windows, limits: {}, limitReached: false };
}

function accountOf({ plan }: AccountSpec, index: number): Account {
	const id = `account-${index}`;
	return {
		id: anId(id),
		label: id,
		email: undefined,
		userId: undefined,
		workspaceId: aWorkspaceId(id),
		plan,
		credential: { access: "", refresh: "", expiresAt: Number.MAX_SAFE_INTEGER },
		source: "login",
		linked: false,
		enabled: true,
		disabledReason: undefined,
		needsLogin: undefined,
		addedAt: 0,
	};
}
