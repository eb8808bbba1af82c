import type { Candidate } from "./candidate.ts";
import type { Cooldown } from "./cooldown.ts";
import { HOUR_MS, sizeOf } from "./demand.ts";
import type { DemandPath } from "./demand-paths.ts";
import type { AccountId } from "./ids.ts";
import { ownValue } from "./own-value.ts";
import { plan, type SelectionRequest, type Snapshot } from "./plan.ts";
import { planFactor } from "./plan-sizes.ts";
import { budgetsOf, windowName, windowsOf } from "./quota.ts";
import type { UsageSnapshot } from "./usage.ts";

/** The pool at the moment at which a forecast begins. */
export interface Start {
	readonly snapshot: Snapshot;
	/** What a session asks for; its account is the one that serves. */
	readonly request: Pick<SelectionRequest, "modelId" | "patienceMs">;
	/** The account that serves the session. */
	readonly serving: AccountId | undefined;
	readonly windowsPerWeek: number;
}

/** When what runs out along one path, epoch ms. */
export interface Played {
	/** The first request that finds no account; undefined where there is none. */
	readonly dryAt: number | undefined;
	readonly spentAt: ReadonlyMap<AccountId, number>;
}

/** A pause of a session after which it chooses anew, in hours of next to no demand. */
const PAUSE_DEMAND = 0.05;
/** A session that is at work all the time takes about this much in an hour. */
const BUSY_DEMAND = 30;
/** More sessions than this are played as this many, with larger shares. */
const MOST_SESSIONS = 4;
const TINY = 1e-9;
/** What has no known end is looked at again after this. */
const UNKNOWN_END_MS = HOUR_MS;

interface Window {
	readonly minutes: number;
	/** In the unit of the demand. */
	readonly size: number;
	/** What is not used of it, for the sake of a cap. */
	readonly kept: number;
	readonly isBudget: boolean;
	used: number;
	/** Epoch ms; undefined while its clock stands still. */
	resetsAt: number | undefined;
}

/** An account, as it is played forward. */
interface Tank {
	readonly candidate: Candidate;
	readonly windows: readonly Window[];
	/** Epoch ms; in the past while it is not spent. */
	spentUntil: number;
	/** As the plan sees it; undefined after a change. */
	seen: Candidate | undefined;
}

/** The order of a plan, and until when it holds but for the accounts that are spent meanwhile. */
interface Known {
	readonly order: readonly Tank[];
	readonly until: number;
}

/** A session at work. */
interface Stream {
	tank: Tank | undefined;
	/** Nothing was wanted for so long that its cache is gone. */
	isPaused: boolean;
}

/**
 * Plays demand over the pool, hour by hour: each session stays on its account, and the plan chooses the next one. What
 * is wanted before `from`, epoch ms, is left out.
 */
export function playForward({ snapshot, request, serving, windowsPerWeek }: Start, path: DemandPath, from = 0): Played {
	const begins = snapshot.now;
	const tanks = snapshot.candidates.map((candidate) => tankOf(candidate, windowsPerWeek));
	const streams = streamsOf(tanks, snapshot, serving);
	const spentAt = new Map<AccountId, number>();
	let { lastChosen } = snapshot;
	let known: Known | undefined;

	const choose = (stream: Stream, at: number): Tank | undefined => {
		// Nothing but the account that served has changed since the last plan: the next one of it is the next one now.
		if (known && !stream.isPaused && streams.length === 1 && at < known.until) {
			const following = known.order.find(({ spentUntil }) => spentUntil <= at);
			if (following) {
				lastChosen = following.candidate.account.id;
				return following;
			}
		}
		const live = new Map<AccountId, number>();
		for (const other of streams) {
			const id = other === stream || other.isPaused ? undefined : other.tank?.candidate.account.id;
			if (id !== undefined) live.set(id, (live.get(id) ?? 0) + 1);
		}
		const own = stream.tank?.candidate.account.id;
		const asked: SelectionRequest = {
			...request,
			sessionId: undefined,
			affinity: stream.isPaused ? undefined : own,
			served: own,
		};
		const candidates = tanks.map((tank) => candidateAt(tank, at));
		const { order, lastResort } = plan(asked, { ...snapshot, now: at, candidates, liveSessions: live, lastChosen });
		const id = (order[0] ?? lastResort[0])?.account.id;
		if (id !== undefined && id !== own) lastChosen = id;
		const withId = (each: AccountId) => tanks.find(({ candidate }) => candidate.account.id === each);
		known = { order: order.flatMap(({ account }) => withId(account.id) ?? []), until: nextChange(tanks, at) };
		return id === undefined ? undefined : withId(id);
	};
	/** Serves a share of an hour. Returns the moment at which there is no account for it. */
	const serve = (stream: Stream, hourAt: number, wanted: number): number | undefined => {
		const endsAt = hourAt + HOUR_MS;
		const openMs = Math.min(HOUR_MS, endsAt - from);
		const share = (wanted * openMs) / HOUR_MS;
		// Who comes back for a part of an hour is at work in its later part: the clocks of windows start then.
		const busyMs = stream.isPaused ? openMs * Math.min(1, wanted / BUSY_DEMAND) : openMs;
		let left = share;
		while (left > TINY) {
			const at = endsAt - (left / share) * busyMs;
			if (stream.tank) roll(stream.tank, at);
			if (!stream.tank || stream.isPaused || stream.tank.spentUntil > at) {
				stream.tank = choose(stream, at);
				stream.isPaused = false;
			}
			const { tank } = stream;
			if (!tank) return at;
			roll(tank, at);
			const room = roomOf(tank);
			const taken = Math.min(left, room);
			use(tank, taken, at);
			left -= taken;
			if (taken < room) continue;
			const spent = endsAt - (left / share) * busyMs;
			tank.spentUntil = spentUntil(tank, spent);
			tank.seen = undefined;
			if (known) known = { ...known, until: Math.min(known.until, tank.spentUntil) };
			const { id } = tank.candidate.account;
			if (!spentAt.has(id)) spentAt.set(id, spent);
		}
		return undefined;
	};

	for (let hour = 0; hour < path.length; hour += 1) {
		const wanted = path[hour] ?? 0;
		if (begins + (hour + 1) * HOUR_MS <= from) continue;
		if (wanted < PAUSE_DEMAND) {
			for (const stream of streams) stream.isPaused = true;
			continue;
		}
		for (const stream of streams) {
			const dryAt = serve(stream, begins + hour * HOUR_MS, wanted / streams.length);
			if (dryAt !== undefined) return { dryAt, spentAt };
		}
	}
	return { dryAt: undefined, spentAt };
}

function tankOf(candidate: Candidate, windowsPerWeek: number): Tank {
	const { account, usage, floors = {} } = candidate;
	const factor = planFactor(usage?.plan ?? account.plan, usage);
	const windowOf =
		(isBudget: boolean) =>
		(each: { usedPercent: number; windowMinutes: number; resetsAt?: number | undefined }): Window => {
			const size = sizeOf(each.windowMinutes, factor, windowsPerWeek);
			const floor = ownValue(floors, windowName(each.windowMinutes)) ?? 0;
			const { usedPercent, windowMinutes: minutes, resetsAt } = each;
			return { minutes, size, kept: (size * floor) / 100, isBudget, used: (size * usedPercent) / 100, resetsAt };
		};
	const windows = usage ? [...windowsOf(usage).map(windowOf(false)), ...budgetsOf(usage).map(windowOf(true))] : [];
	return { candidate, windows, spentUntil: 0, seen: undefined };
}

function streamsOf(tanks: readonly Tank[], { liveSessions }: Snapshot, serving: AccountId | undefined): Stream[] {
	const withId = (id: AccountId) => tanks.find(({ candidate }) => candidate.account.id === id);
	const own = serving === undefined ? [] : [serving];
	const others = [...liveSessions].flatMap(([id, count]) => Array.from({ length: count }, () => id));
	const streams = [...own, ...others].slice(0, MOST_SESSIONS).map((id) => ({ tank: withId(id), isPaused: false }));
	return streams.length > 0 ? streams : [{ tank: undefined, isPaused: false }];
}

/** Lets windows reset whose time has come. */
function roll(tank: Tank, at: number): void {
	for (const window of tank.windows) {
		if (window.resetsAt === undefined || window.resetsAt > at) continue;
		window.used = 0;
		window.resetsAt = undefined;
	}
}

/** The first reset, or end of a cooldown, after `at`. */
function nextChange(tanks: readonly Tank[], at: number): number {
	let first = Infinity;
	const consider = (time: number) => {
		if (time > at && time < first) first = time;
	};
	for (const { candidate, windows, spentUntil } of tanks) {
		consider(spentUntil);
		for (const { resetsAt = 0 } of windows) consider(resetsAt);
		for (const { until } of candidate.cooldowns) consider(until);
	}
	return first;
}

function roomOf({ windows }: Tank): number {
	return windows.reduce((least, { size, kept, used }) => Math.min(least, Math.max(0, size - kept - used)), Infinity);
}

function use(tank: Tank, amount: number, at: number): void {
	tank.seen = undefined;
	for (const window of tank.windows) {
		window.resetsAt ??= at + window.minutes * 60_000;
		window.used += amount;
	}
}

function spentUntil({ windows }: Tank, at: number): number {
	const full = windows.filter(({ size, kept, used }) => used >= size - kept - TINY);
	return full.reduce((until, { resetsAt }) => Math.max(until, resetsAt ?? at + UNKNOWN_END_MS), at + 1);
}

/** A look at a tank holds until the tank is used: the times in it show whether a window has reset since. */
function candidateAt(tank: Tank, at: number): Candidate {
	tank.seen ??= look(tank, at);
	return tank.seen;
}

function look(tank: Tank, at: number): Candidate {
	roll(tank, at);
	const { candidate, windows, spentUntil } = tank;
	const { usage } = candidate;
	const spent: Cooldown = { scope: "account", reason: "usage_limit", until: spentUntil, setAt: at, models: [] };
	const cooldowns = spentUntil > at ? [...candidate.cooldowns, spent] : candidate.cooldowns;
	if (!usage) return { ...candidate, cooldowns };
	const seen = (isBudget: boolean) =>
		windows
			.filter((each) => each.isBudget === isBudget)
			.map(({ minutes, size, used, resetsAt }) => ({
				windowMinutes: minutes,
				usedPercent: Math.min(100, (used / size) * 100),
				resetsAt: resetsAt ?? at + minutes * 60_000,
			}));
	const played: UsageSnapshot = {
		...usage,
		capturedAt: at,
		limitReached: false,
		windows: seen(false),
		budgets: seen(true).map((each) => ({ ...each, isReached: each.usedPercent >= 100 })),
	};
	return { ...candidate, cooldowns, usage: played };
}
