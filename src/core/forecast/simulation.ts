import type { AccountId } from "../ids.ts";
import type { Candidate } from "../request/candidate.ts";
import type { SelectionRequest, Snapshot } from "../request/plan.ts";
import { createNextInPlan, type NextInPlan } from "../request/plan-next.ts";
import { POLICIES, type Policy } from "../request/policies.ts";
import { HOUR_MS } from "./demand.ts";
import type { DemandPath } from "./demand-paths.ts";
import {
	candidateAt,
	copyOf,
	markSpent,
	roll,
	roomOf,
	type SimulatedAccount,
	simulatedAccount,
	use,
} from "./simulated-account.ts";

/** The pool when a forecast begins. */
interface Start {
	readonly snapshot: Snapshot;
	/** What a session asks for, apart from its account. */
	readonly request: Pick<SelectionRequest, "modelId" | "patienceMs">;
	/** The account that serves the session. */
	readonly serving: AccountId | undefined;
	readonly windowsPerWeek: number;
	/** What one active session uses in an hour. */
	readonly sessionPace: number;
}

/** What runs out along one path, and when, epoch ms. */
export interface SimulatedPath {
	/** When the first request finds no account; undefined if none does. */
	readonly dryAt: number | undefined;
	readonly spentAt: ReadonlyMap<AccountId, number>;
	/** Number of times that an account was chosen. */
	readonly choices: number;
}

/** Simulates one path, in steps of a few milliseconds. Skips demand before `from`, epoch ms. */
type Simulate = (path: DemandPath, from?: number) => Generator<undefined, SimulatedPath>;

/** Below this demand in an hour a session pauses, and chooses its account again afterwards. */
const PAUSE_DEMAND = 0.05;
/** A step looks at no more accounts than this, which is about one future of twenty accounts. */
const LOOKS_AT_ONCE = 3000;
/** More sessions than this are simulated as this many, with larger shares. */
const MOST_SESSIONS = 5;
const TINY = 1e-9;

/** The pool at one moment of the simulation. */
type Moment = { -readonly [Key in keyof Omit<Snapshot, "candidates">]: Snapshot[Key] } & {
	readonly candidates: Candidate[];
};

/** A simulated session. */
interface Stream {
	account: SimulatedAccount | undefined;
	/** True after so long a pause that its prompt cache has expired. */
	isPaused: boolean;
}

/** The pool while one future is simulated. */
interface Run {
	readonly streams: Stream[];
	/** Epoch ms. Demand before it is skipped. */
	readonly from: number;
	readonly sessionPace: number;
	readonly spentAt: Map<AccountId, number>;
	/** Chooses the account of a session; undefined if none is ready. */
	readonly choose: (stream: Stream, at: number) => SimulatedAccount | undefined;
	/** Number of times it did. */
	choices: number;
	/** What was served in the simulated hour. */
	served: number;
}

/**
 * Creates a function that simulates demand on the pool, hour by hour, with as many parallel sessions as needed. Each
 * session stays on its account until the plan chooses another.
 */
export function createSimulation(start: Start): Simulate {
	const { snapshot, serving, windowsPerWeek, sessionPace } = start;
	const { now: begins } = snapshot;
	const full = snapshot.candidates.map((candidate) => simulatedAccount(candidate, windowsPerWeek, begins));
	for (const account of full) candidateAt(account, begins);
	const next = createNextInPlan();

	return function* (path, from = 0) {
		const accounts = full.map(copyOf);
		const streams = streamsOf(accounts, snapshot, serving);
		const choose = chooserOf(start, accounts, streams, next);
		const run: Run = { streams, from, sessionPace, spentAt: new Map(), choose, choices: 0, served: 0 };
		const choicesAtOnce = LOOKS_AT_ONCE / accounts.length;
		let pausedAt = 0;
		let dryAt: number | undefined;
		for (let hour = 0; hour < path.length && dryAt === undefined; hour += 1) {
			const hourAt = begins + hour * HOUR_MS;
			if (hourAt + HOUR_MS > from) dryAt = simulateHour(run, hourAt, path[hour] ?? 0);
			if (run.choices - pausedAt < choicesAtOnce) continue;
			yield;
			pausedAt = run.choices;
		}
		return { dryAt, spentAt: run.spentAt, choices: run.choices };
	};
}

/** Uses the product's own plan to choose among the simulated accounts. */
function chooserOf(
	{ snapshot, request: { modelId, patienceMs } }: Start,
	accounts: readonly SimulatedAccount[],
	streams: readonly Stream[],
	next: NextInPlan,
): Run["choose"] {
	const byId = new Map(accounts.map((account) => [account.candidate.account.id, account]));
	// The policy's last choice matters only if it takes turns.
	const terms: Policy = POLICIES[snapshot.policy];
	const isByTurn = terms.some(({ name }) => name === "turn");
	// All choices share one object and one list. Allocating new ones would cost more than choosing.
	const candidates: Candidate[] = [];
	const moment: Moment = { ...snapshot, candidates };
	return (stream, at) => {
		const own = stream.account?.candidate.account.id;
		const affinity = stream.isPaused ? undefined : own;
		for (let place = 0; place < accounts.length; place += 1) {
			const account = accounts[place];
			if (account) candidates[place] = candidateAt(account, at);
		}
		moment.now = at;
		moment.liveSessions = liveBeside(stream, streams);
		const chosen = next.nextOf({ modelId, patienceMs, sessionId: undefined, affinity, served: own }, moment);
		if (chosen && chosen.id !== own && isByTurn) moment.lastChosen = chosen.id;
		return chosen && byId.get(chosen.id);
	};
}

/** Simulates an hour with this demand. Returns when the pool ran dry in it. */
function simulateHour(run: Run, hourAt: number, wanted: number): number | undefined {
	const { streams, sessionPace, from } = run;
	const atWork = wanted < PAUSE_DEMAND ? 0 : sessionsFor(wanted / sessionPace);
	while (streams.length < atWork) streams.push({ account: undefined, isPaused: true });
	run.served = 0;
	for (const [index, stream] of streams.entries()) {
		if (index >= atWork) {
			stream.isPaused = true;
			continue;
		}
		const at = serve(run, stream, hourAt, wanted / atWork);
		// Sessions take turns here but work in parallel in reality: quota lasted until all that was served is gone.
		if (at !== undefined) return Math.max(at, from, hourAt + (run.served / wanted) * HOUR_MS);
	}
	return undefined;
}

/** Serves a session's share of an hour. Returns the moment at which no account is left for it. */
function serve(run: Run, stream: Stream, hourAt: number, wanted: number): number | undefined {
	const endsAt = hourAt + HOUR_MS;
	const openMs = Math.min(HOUR_MS, endsAt - run.from);
	const share = (wanted * openMs) / HOUR_MS;
	// A session that returns for part of an hour works in the later part. The windows start then.
	const busyMs = stream.isPaused ? openMs * Math.min(1, wanted / run.sessionPace) : openMs;
	let left = share;
	while (left > TINY) {
		const at = endsAt - (left / share) * busyMs;
		if (stream.account) roll(stream.account, at);
		if (!stream.account || stream.isPaused || stream.account.spentUntil > at) {
			run.choices += 1;
			stream.account = run.choose(stream, at);
			stream.isPaused = false;
		}
		const { account } = stream;
		if (!account) return at;
		roll(account, at);
		const room = roomOf(account);
		const taken = Math.min(left, room);
		use(account, taken, at);
		left -= taken;
		run.served += taken;
		if (taken < room) continue;
		const spent = endsAt - (left / share) * busyMs;
		markSpent(account, spent);
		const { id } = account.candidate.account;
		if (!run.spentAt.has(id)) run.spentAt.set(id, spent);
	}
	return undefined;
}

function sessionsFor(paces: number): number {
	return Math.min(MOST_SESSIONS, Math.max(1, Math.round(paces)));
}

/** Counts the other sessions on each account. */
function liveBeside(stream: Stream, streams: readonly Stream[]): ReadonlyMap<AccountId, number> {
	if (streams.length === 1) return NONE_LIVE;
	const live = new Map<AccountId, number>();
	for (const other of streams) {
		if (other === stream || other.isPaused || !other.account) continue;
		const { id } = other.account.candidate.account;
		live.set(id, (live.get(id) ?? 0) + 1);
	}
	return live;
}

const NONE_LIVE: ReadonlyMap<AccountId, number> = new Map();

function streamsOf(
	accounts: readonly SimulatedAccount[],
	{ liveSessions }: Snapshot,
	serving: AccountId | undefined,
): Stream[] {
	const withId = (id: AccountId) => accounts.find(({ candidate }) => candidate.account.id === id);
	const own = serving === undefined ? [] : [serving];
	const others = [...liveSessions].flatMap(([id, count]) => Array.from({ length: count }, () => id));
	const streams = [...own, ...others].slice(0, MOST_SESSIONS).map((id) => ({ account: withId(id), isPaused: false }));
	return streams.length > 0 ? streams : [{ account: undefined, isPaused: false }];
}
