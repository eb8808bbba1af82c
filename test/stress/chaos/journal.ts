import type { Answer, RecordedRequest } from "../../support/fake-codex/index.ts";
import { diceOf } from "./dice.ts";
import { BAD, type Fault, GOOD, TOKEN_FAULTS, USAGE_FAULTS } from "./faults.ts";
import { type TurnReport, wordsOf } from "./orders.ts";
import { NAMES, type World } from "./world.ts";

/** A request for a response, and the answer that was drawn for it. Times are epoch ms of the real clock. */
export interface Asked {
	readonly number: number;
	readonly turn: string;
	readonly account: string;
	readonly at: number;
	readonly isSocket: boolean;
	readonly fault: Fault;
	readonly restMs: number;
	/** The backend's own record of it. */
	readonly record: RecordedRequest;
}

/** A time in which an account may rest, as far as the backend's answers go. */
export interface Rest {
	readonly account: string;
	readonly from: number;
	/** The end that was told; 0 where none was. */
	readonly told: number;
	/** It was told with a refusal. */
	readonly isTold: boolean;
	/** The turn that was refused. */
	readonly turn: string | undefined;
	/** Ends with the next reset after this turn has ended. */
	until: number;
}

/** What was known of all accounts at one moment, as the files had it. */
export interface Snapshot {
	readonly at: number;
	/** By name. */
	readonly usable: ReadonlyMap<string, { readonly access: string }>;
	/** Names that were cooling for every model. */
	readonly cooling: ReadonlySet<string>;
}

/** Keeps everything that happened, as long as a judgement may need it. */
export interface Journal {
	readonly requests: Map<string, Asked[]>;
	readonly rests: Rest[];
	readonly tokens: RecordedRequest[];
	/** Good answers, which contradict a rest: when they were asked for and when they ended, by account. */
	readonly news: { readonly account: string; readonly at: number; readonly askedAt: number }[];
	readonly snapshots: Snapshot[];
	/** What else happened, for a trace. */
	readonly happened: { readonly at: number; readonly what: string }[];
	readonly counts: { requests: number; faults: number; usage: number };
	/** How late the driver itself has been of late, ms: every process on this machine is as late as that. */
	readonly lateness: { ms: number };
	note(what: string): void;
	/** Takes over what the backend has recorded. */
	harvest(): void;
	/** Looks at the files. */
	look(): readonly string[];
	/** Accounts that may rest now. */
	resting(): readonly string[];
	/** A reset of cooldowns is over that began at `from`, and that nothing older can follow. */
	wasReset(from: number): void;
	turnEnded(report: TurnReport): void;
	/** Turns of a dead process end, too. */
	turnFell(turn: string): void;
	/** Forgets what is older. */
	forget(before: number): void;
}

/** Usage that was told before a reset may arrive this long after it. */
const USAGE_UNDER_WAY_MS = 4000;
const SNAPSHOT_MS = 20;
/** By each look; half of it is left after some three seconds. */
const FADING = 0.995;
const TURN = /turn:([\w-]+);/g;

/**
 * Answers every request by lot, and writes down what came of it. `onHang`: a turn was given an answer that never ends.
 */
export function keepJournal(seed: number, world: World, onHang: (turn: string, afterMs: number) => void): Journal {
	const { codex } = world;
	const journal = {
		requests: new Map<string, Asked[]>(),
		rests: [] as Rest[],
		tokens: [] as RecordedRequest[],
		news: [] as { account: string; at: number; askedAt: number }[],
		snapshots: [] as Snapshot[],
		happened: [] as { at: number; what: string }[],
		counts: { requests: 0, faults: 0, usage: 0 },
		lateness: { ms: 0 },
	};
	const ended = new Map<string, number>();
	let pending: RecordedRequest[] = [];
	let lastLook = 0;

	const answer = (record: RecordedRequest, account: string): Answer => {
		const turn = [...record.bodyText.matchAll(TURN)].at(-1)?.[1] ?? "?";
		const before = journal.requests.get(turn) ?? [];
		const dice = diceOf(seed, "answer", turn, before.length);
		const fault = dice.chance(0.68) ? dice.weighed(GOOD) : dice.weighed(BAD);
		const restMs = dice.between(5000, 9000);
		journal.counts.requests += 1;
		if (fault.sequel !== "answered") journal.counts.faults += 1;
		const number = journal.counts.requests;
		const isSocket = record.kind === "websocket-request";
		const asked: Asked = { number, turn, account, at: Date.now(), isSocket, fault, restMs, record };
		journal.requests.set(turn, [...before, asked]);
		if (fault.rests) {
			const told = asked.at + restMs + 1000;
			const seats = fault.isOfWorkspace ? seatsOf(account) : [account];
			const until = fault.rests === "told" ? told : Number.POSITIVE_INFINITY;
			for (const each of seats)
				journal.rests.push({ account: each, from: asked.at, told, isTold: fault.rests === "told", turn, until });
		}
		if (fault.hangs) onHang(turn, dice.between(200, 1200));
		return fault.answer(wordsOf(number, dice.between(1, 6)), restMs, dice);
	};
	const seatsOf = (name: string) =>
		NAMES.filter((each) => codex.account(each).accountId === codex.account(name).accountId);

	/** The next answers of the other endpoints, in an order that depends on the account alone. */
	const queues = NAMES.map((name) => ({
		name,
		tokens: diceOf(seed, "token", name),
		usage: diceOf(seed, "usage", name),
	}));
	const refill = () => {
		for (const { name, tokens, usage } of queues) {
			const account = codex.account(name);
			while (account.tokenScript.pending < 50) account.tokenScript.next(tokens.weighed(TOKEN_FAULTS).answer(tokens));
			while (account.usageScript.pending < 50) {
				const fault = usage.weighed(USAGE_FAULTS);
				const given = fault.answer(usage);
				if (fault.restMs === undefined || given.kind !== "usage") {
					account.usageScript.next(given);
					continue;
				}
				const { change } = given;
				account.usageScript.next({
					...given,
					name: "spent",
					change: (payload, nowMs) => {
						const until = nowMs + (fault.restMs ?? 0) + 1000;
						journal.rests.push({ account: name, from: nowMs, told: until, isTold: false, turn: undefined, until });
						return change(payload, nowMs);
					},
				});
			}
		}
	};
	for (const name of NAMES) codex.account(name).always((record) => answer(record, name));
	refill();

	return Object.assign(journal, {
		note: (what: string) => {
			journal.happened.push({ at: Date.now(), what });
		},
		harvest: () => {
			const all = [...pending, ...codex.requests];
			codex.clearRequests();
			pending = all.filter(({ endedAt }) => endedAt === undefined);
			for (const record of all) {
				if (record.kind === "token" && !journal.tokens.includes(record)) journal.tokens.push(record);
				if (record.endedAt === undefined || record.account === undefined) continue;
				// No news: within a minute of a refusal the endpoint may lag behind it, and rests are shorter here.
				if (record.kind === "usage") journal.counts.usage += 1;
				const isGood = ["text", "responses"].includes(record.answer ?? "") && record.status === 200;
				if (isGood) journal.news.push({ account: record.account, at: record.endedAt, askedAt: record.at });
			}
			refill();
		},
		look: () => {
			const now = Date.now();
			const sinceMs = now - lastLook;
			if (sinceMs < SNAPSHOT_MS) return [];
			if (lastLook > 0) journal.lateness.ms = Math.max(sinceMs, journal.lateness.ms * FADING);
			lastLook = now;
			const problems = world.look();
			const rows = world.rows();
			const usable = new Map<string, { access: string }>();
			for (const row of rows) {
				const name = world.nameOf(row.id);
				if (name !== undefined && row.enabled && !row.needsLogin && !row.linked)
					usable.set(name, { access: row.credential.access });
			}
			const cooling = NAMES.filter((name) =>
				world.cooldowns(name).some(({ scope, until }) => scope === "account" && until > now),
			);
			journal.snapshots.push({ at: now, usable, cooling: new Set(cooling) });
			return problems;
		},
		resting: () => {
			const now = Date.now();
			return [...new Set(journal.rests.filter(({ until }) => until > now).map(({ account }) => account))];
		},
		wasReset: (from: number) => {
			const now = Date.now();
			for (const rest of journal.rests) {
				const end = rest.turn === undefined ? rest.from : ended.get(rest.turn);
				if (end === undefined || end >= from) continue;
				rest.until = Math.min(rest.until, now + USAGE_UNDER_WAY_MS);
			}
		},
		turnEnded: ({ turn }: TurnReport) => {
			ended.set(turn, Date.now());
		},
		turnFell: (turn: string) => {
			ended.set(turn, Date.now());
		},
		forget: (before: number) => {
			for (const [turn, [first]] of journal.requests) {
				if (first && first.at < before && ended.has(turn)) journal.requests.delete(turn);
			}
			for (const [turn, at] of ended) if (at < before) ended.delete(turn);
			for (const list of [journal.snapshots, journal.happened, journal.news]) {
				const keep = list.findIndex(({ at }) => at >= before);
				list.splice(0, keep < 0 ? list.length : keep);
			}
			const live = journal.rests.filter(({ until }) => until >= before);
			journal.rests.splice(0, journal.rests.length, ...live);
		},
	});
}
