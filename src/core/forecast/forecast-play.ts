import type { AccountId } from "../ids.ts";
import type { Candidate } from "../request/candidate.ts";
import type { SelectionRequest, Snapshot } from "../request/plan.ts";
import { createNextInPlan, type NextInPlan } from "../request/plan-next.ts";
import { POLICIES, type Policy } from "../request/policies.ts";
import { HOUR_MS } from "./demand.ts";
import type { DemandPath } from "./demand-paths.ts";
import { candidateAt, markSpent, refilled, roll, roomOf, type Tank, tankOf, use } from "./forecast-tank.ts";

/** The pool at the moment at which a forecast begins. */
export interface Start {
	readonly snapshot: Snapshot;
	/** What a session asks for; its account is the one that serves. */
	readonly request: Pick<SelectionRequest, "modelId" | "patienceMs">;
	/** The account that serves the session. */
	readonly serving: AccountId | undefined;
	readonly windowsPerWeek: number;
	/** What one session at work takes in an hour. */
	readonly sessionPace: number;
}

/** When what runs out along one path, epoch ms. */
export interface Played {
	/** The first request that finds no account; undefined where there is none. */
	readonly dryAt: number | undefined;
	readonly spentAt: ReadonlyMap<AccountId, number>;
	/** How often an account was chosen. */
	readonly choices: number;
}

/** Plays one path; what is wanted before `from`, epoch ms, is left out. */
export type Player = (path: DemandPath, from?: number) => Played;

/** A pause of a session after which it chooses anew, in hours of next to no demand. */
const PAUSE_DEMAND = 0.05;
/** More sessions than this are played as this many, with larger shares. */
const MOST_SESSIONS = 5;
const TINY = 1e-9;

/** The pool at one moment of the play. */
type Moment = { -readonly [Key in keyof Omit<Snapshot, "candidates">]: Snapshot[Key] } & {
	readonly candidates: Candidate[];
};

/** A session at work. */
interface Stream {
	tank: Tank | undefined;
	/** Nothing was wanted for so long that its cache is gone. */
	isPaused: boolean;
}

/** The pool while one future is played. */
interface Play {
	readonly streams: Stream[];
	/** Epoch ms; what is wanted before it is left out. */
	readonly from: number;
	readonly sessionPace: number;
	readonly spentAt: Map<AccountId, number>;
	/** Chooses the account of a stream; undefined where none is ready. */
	readonly choose: (stream: Stream, at: number) => Tank | undefined;
	/** How often it did. */
	choices: number;
	/** What was served in the hour that is played. */
	served: number;
}

/**
 * Plays demand over the pool, hour by hour, by as many sessions side by side as it takes: each stays on its account,
 * and the plan chooses the next one.
 */
export function createPlayer(start: Start): Player {
	const { snapshot, serving, windowsPerWeek, sessionPace } = start;
	const { now: begins } = snapshot;
	const full = snapshot.candidates.map((candidate) => tankOf(candidate, windowsPerWeek, begins));
	for (const tank of full) candidateAt(tank, begins);
	const next = createNextInPlan();

	return (path, from = 0) => {
		const tanks = full.map(refilled);
		const streams = streamsOf(tanks, snapshot, serving);
		const choose = chooserOf(start, tanks, streams, next);
		const play: Play = { streams, from, sessionPace, spentAt: new Map(), choose, choices: 0, served: 0 };
		let dryAt: number | undefined;
		for (let hour = 0; hour < path.length && dryAt === undefined; hour += 1) {
			const hourAt = begins + hour * HOUR_MS;
			if (hourAt + HOUR_MS > from) dryAt = playHour(play, hourAt, path[hour] ?? 0);
		}
		return { dryAt, spentAt: play.spentAt, choices: play.choices };
	};
}

/** The product's own plan as the choice among tanks. */
function chooserOf(
	{ snapshot, request: { modelId, patienceMs } }: Start,
	tanks: readonly Tank[],
	streams: readonly Stream[],
	next: NextInPlan,
): Play["choose"] {
	const byId = new Map(tanks.map((tank) => [tank.candidate.account.id, tank]));
	// Whom the policy chose last matters where it goes by turns.
	const terms: Policy = POLICIES[snapshot.policy];
	const isByTurn = terms.some(({ name }) => name === "turn");
	// One object and one list serve for all choices: what is thrown away costs more than what is found out.
	const candidates: Candidate[] = [];
	const moment: Moment = { ...snapshot, candidates };
	return (stream, at) => {
		const own = stream.tank?.candidate.account.id;
		const affinity = stream.isPaused ? undefined : own;
		for (let place = 0; place < tanks.length; place += 1) {
			const tank = tanks[place];
			if (tank) candidates[place] = candidateAt(tank, at);
		}
		moment.now = at;
		moment.liveSessions = liveBeside(stream, streams);
		const chosen = next.nextOf({ modelId, patienceMs, sessionId: undefined, affinity, served: own }, moment);
		if (chosen && chosen.id !== own && isByTurn) moment.lastChosen = chosen.id;
		return chosen && byId.get(chosen.id);
	};
}

/** Plays an hour in which so much is wanted. Returns when the pool ran dry in it. */
function playHour(play: Play, hourAt: number, wanted: number): number | undefined {
	const { streams, sessionPace, from } = play;
	const atWork = wanted < PAUSE_DEMAND ? 0 : sessionsFor(wanted / sessionPace);
	while (streams.length < atWork) streams.push({ tank: undefined, isPaused: true });
	play.served = 0;
	for (const [index, stream] of streams.entries()) {
		if (index >= atWork) {
			stream.isPaused = true;
			continue;
		}
		const at = serve(play, stream, hourAt, wanted / atWork);
		// The sessions take turns here, but work side by side: there was quota until all that was served is gone.
		if (at !== undefined) return Math.max(at, from, hourAt + (play.served / wanted) * HOUR_MS);
	}
	return undefined;
}

/** Serves a stream's share of an hour. Returns the moment at which there is no account for it. */
function serve(play: Play, stream: Stream, hourAt: number, wanted: number): number | undefined {
	const endsAt = hourAt + HOUR_MS;
	const openMs = Math.min(HOUR_MS, endsAt - play.from);
	const share = (wanted * openMs) / HOUR_MS;
	// Who comes back for a part of an hour is at work in its later part: the clocks of windows start then.
	const busyMs = stream.isPaused ? openMs * Math.min(1, wanted / play.sessionPace) : openMs;
	let left = share;
	while (left > TINY) {
		const at = endsAt - (left / share) * busyMs;
		if (stream.tank) roll(stream.tank, at);
		if (!stream.tank || stream.isPaused || stream.tank.spentUntil > at) {
			play.choices += 1;
			stream.tank = play.choose(stream, at);
			stream.isPaused = false;
		}
		const { tank } = stream;
		if (!tank) return at;
		roll(tank, at);
		const room = roomOf(tank);
		const taken = Math.min(left, room);
		use(tank, taken, at);
		left -= taken;
		play.served += taken;
		if (taken < room) continue;
		const spent = endsAt - (left / share) * busyMs;
		markSpent(tank, spent);
		const { id } = tank.candidate.account;
		if (!play.spentAt.has(id)) play.spentAt.set(id, spent);
	}
	return undefined;
}

function sessionsFor(paces: number): number {
	return Math.min(MOST_SESSIONS, Math.max(1, Math.round(paces)));
}

/** How many other sessions are at work on an account. */
function liveBeside(stream: Stream, streams: readonly Stream[]): ReadonlyMap<AccountId, number> {
	if (streams.length === 1) return NONE_LIVE;
	const live = new Map<AccountId, number>();
	for (const other of streams) {
		if (other === stream || other.isPaused || !other.tank) continue;
		const { id } = other.tank.candidate.account;
		live.set(id, (live.get(id) ?? 0) + 1);
	}
	return live;
}

const NONE_LIVE: ReadonlyMap<AccountId, number> = new Map();

function streamsOf(tanks: readonly Tank[], { liveSessions }: Snapshot, serving: AccountId | undefined): Stream[] {
	const withId = (id: AccountId) => tanks.find(({ candidate }) => candidate.account.id === id);
	const own = serving === undefined ? [] : [serving];
	const others = [...liveSessions].flatMap(([id, count]) => Array.from({ length: count }, () => id));
	const streams = [...own, ...others].slice(0, MOST_SESSIONS).map((id) => ({ tank: withId(id), isPaused: false }));
	return streams.length > 0 ? streams : [{ tank: undefined, isPaused: false }];
}
