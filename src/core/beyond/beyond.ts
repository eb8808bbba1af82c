import type { Api, Model } from "@mariozechner/pi-ai";
import { within } from "../abort.ts";
import type { Account } from "../account.ts";
import { tellDefect } from "../defect-reports.ts";
import type { RequestInfo } from "../events.ts";
import type { AccountId, SessionId } from "../ids.ts";
import type { Pool } from "../pool/pool.ts";
import type { ChainRoute, DryQuestion, Redeemer, RememberedConsents, WayOn } from "../ports.ts";
import type { Plan } from "../request/plan.ts";
import type { ServedOn, StreamRequest } from "../request/serve.ts";
import { notRedeemed, unexpected } from "../request/turn-texts.ts";
import { redeemables, redeemFactsOf } from "../reset-credits/reset-credits.ts";
import type { Settings } from "../settings.ts";
import {
	type ChainRung,
	creditsRungs,
	type DryAnswer,
	isIncludedOut,
	type LadderFacts,
	ladder,
	type Offer,
	type ReserveModelRung,
	type ResetCreditRung,
	type Rung,
	reserveModelRungs,
	rungKey,
	spentOf,
} from "./ladder.ts";
import { isReserveUnknown, openReserveModel, reserveLeft, standInFor } from "./reserve-model.ts";

/** The request for which something beyond included quota is looked for. */
export interface DryRequest {
	/** Undefined for the next request of a session, of which only the session is known. */
	readonly request: StreamRequest | undefined;
	/** The account that served the session last. */
	readonly served: AccountId | undefined;
	/** How long it would wait unasked, ms. */
	readonly patienceMs: number;
	/** It begins a turn: what the one before was asked, and has agreed to, counts no more. */
	readonly isNextTurn?: boolean;
}

/** What is left beyond included quota, whatever the settings say of it. */
export interface Leftovers {
	readonly credits: boolean;
	readonly reserveModel: boolean;
	readonly resetCredits: number;
	/** A model that the person could choose, since a link of the chain answers there. */
	readonly chain?: WayOn | undefined;
}

/** What a session is served from. */
export interface Source {
	readonly on: ServedOn;
	readonly account: AccountId;
}

/** What serves a session once all included quota is out, and what its person has said to that. */
export interface Beyond {
	/** Begins a turn of the person: what was asked and agreed to before counts no more. */
	beginTurn(): void;
	/**
	 * Has looked up what is not known yet of reserve models, and of reset credits where a person could be offered one.
	 * True if usage was asked for, which may change the plan. Never rejects.
	 */
	lookUp(plan: Plan, signal: AbortSignal | undefined): Promise<boolean>;
	/** True until the turn has asked the person, if there is a way to ask; of the next turn it is not known yet. */
	mayAsk(isNextTurn?: boolean): boolean;
	/** What may serve a request for which `plan` was made, in order. */
	offers(plan: Plan, asked: DryRequest): readonly Offer[];
	/** What is left that no setting and no yes has let serve; undefined where there is nothing. */
	leftovers(plan: Plan, asked: DryRequest): Leftovers | undefined;
	/** Asks the person. A yes holds for the rest of the turn. */
	ask(offers: readonly Offer[], signal: AbortSignal): Promise<DryAnswer>;
	/** Redeems a reset credit, to which the person has said yes: once. True if there is quota again. */
	redeem(rung: ResetCreditRung, signal: AbortSignal | undefined): Promise<boolean>;
	/** Leaves a request to a link of the chain. Returns the words to end it with. */
	handOver(rung: ChainRung, asked: RequestInfo): Promise<string>;
	/** Takes note of what a request of the session is about to be served from; tells where that has changed. */
	serves(on: ServedOn, account: Account, until: number | undefined, asked: RequestInfo): void;
	/** What a session was served from last. */
	source(session: SessionId | undefined): Source | undefined;
}

/** What serves beyond included quota, each as far as there is one. */
export interface BeyondSources {
	/** Without one no person is asked. */
	readonly question?: DryQuestion;
	readonly consents?: RememberedConsents;
	readonly resets?: ResetSource;
	readonly chain?: ChainRoute;
}

/** Reset credits: their lists, and the one way to spend one. */
export interface ResetSource extends Redeemer {
	/** Brings the lists up to date, if any account has credits. Never rejects. */
	refreshStale(signal: AbortSignal | undefined): Promise<unknown>;
}

interface Deps extends BeyondSources {
	readonly pool: Pool;
	readonly settings: () => Settings;
	/** pi's Codex model of this id; undefined where pi knows none. */
	readonly modelNamed: (id: string) => Model<Api> | undefined;
	/** Asks for the usage of an account; of a spent one with its reserve model. Never rejects. */
	readonly askUsage: (id: AccountId) => Promise<unknown>;
}

/** What usage says of a reserve model is waited for no longer than this. */
const USAGE_MS = 2000;
/** Lists of reset credits are waited for no longer than this. */
const LISTS_MS = 5000;
/** Sessions of this process, one after the other, of which it is remembered what they were served from. */
const MOST_SESSIONS = 50;

/** What one turn was asked, and has agreed to. */
interface Turn {
	isAsked: boolean;
	readonly agreed: Set<string>;
}

/** Creates it for the session of this process. */
export function createBeyond(deps: Deps): Beyond {
	const { pool, settings, question, consents, resets, chain, modelNamed, askUsage } = deps;
	let turn: Turn = { isAsked: false, agreed: new Set() };
	/** The session that was served last is the last one. */
	const sources = new Map<SessionId | undefined, Source>();

	// A reset credit is gone for good: each one has a yes of its own.
	const isRemembered = (rung: Rung) => rung.kind !== "reset-credit" && consents?.holds(rung) === true;
	const isAgreed = (rung: Rung) => turn.agreed.has(agreement(rung)) || isRemembered(rung);
	const resetCredits = (now: number): ResetCreditRung[] => {
		if (!resets) return [];
		const known = pool.accounts().map((account) => redeemFactsOf(account, pool.status(account.id)));
		return redeemables(known, now).map(({ account, credit, window, resetsAt }) => {
			return { kind: "reset-credit", account, credit, window, resetsAt };
		});
	};
	const factsFor = ({ now, gated }: Plan, { request, served, patienceMs, isNextTurn }: DryRequest): LadderFacts => ({
		served,
		reserveModels: gated.flatMap(({ account }): ReserveModelRung[] => {
			const open = openReserveModel(account, pool.status(account.id), now);
			if (!open || (request && !standInFor(request, open, modelNamed))) return [];
			const { visibleModel: model } = open;
			const changes = request !== undefined && request.model.id !== model;
			const rung = { kind: "reserve-model", account, model, leftPercent: reserveLeft(open, now) } as const;
			return [changes ? { ...rung, changesModel: true } : rung];
		}),
		resetCredits: resetCredits(now),
		chain: chain?.links(request && infoOf(request)) ?? [],
		patienceMs,
		isAgreed: isNextTurn ? isRemembered : isAgreed,
	});

	const lookUpReserveModels = async (plan: Plan): Promise<boolean> => {
		if (settings().beyond.reserveModel === "never") return false;
		const unknown = spentOf(plan, plan.gated).filter(({ account }) => {
			return isReserveUnknown(account, pool.status(account.id), plan.now);
		});
		const answers = unknown.map(({ account }) => askUsage(account.id));
		if (answers.length > 0) await within(Promise.all(answers), USAGE_MS, () => []);
		return answers.length > 0;
	};
	const lookUpResets = async (signal: AbortSignal | undefined): Promise<void> => {
		if (!resets || turn.isAsked) return;
		const ending = new AbortController();
		const signals = signal ? [signal, ending.signal] : [ending.signal];
		await within(resets.refreshStale(AbortSignal.any(signals)), LISTS_MS, () => undefined);
		ending.abort();
	};

	return {
		beginTurn: () => {
			turn = { isAsked: false, agreed: new Set() };
		},
		lookUp: async (plan, signal) => {
			if (!isIncludedOut(plan)) return false;
			const [isAsked] = await Promise.all([lookUpReserveModels(plan), lookUpResets(signal)]);
			return isAsked;
		},
		mayAsk: (isNextTurn = false) => question !== undefined && (isNextTurn || !turn.isAsked),
		offers: (plan, asked) => {
			// Nothing is looked up while an account can serve.
			return plan.next ? [] : ladder(plan, settings().beyond, factsFor(plan, asked));
		},
		leftovers: (plan, asked) => {
			const facts = factsFor(plan, asked);
			const left = {
				credits: creditsRungs(plan, undefined).length > 0,
				reserveModel: reserveModelRungs(plan, facts).length > 0,
				resetCredits: spentOf(plan, facts.resetCredits).length,
				chain: chain?.wayOn(asked.request && infoOf(asked.request)),
			};
			return left.credits || left.reserveModel || left.resetCredits > 0 || left.chain ? left : undefined;
		},
		ask: async (offers, signal) => {
			const asking = turn;
			try {
				const answer: DryAnswer = (await question?.ask(offers, signal)) ?? { kind: "unavailable" };
				if (answer.kind === "take") asking.agreed.add(agreement(answer.rung));
				return answer;
			} catch (error) {
				signal.throwIfAborted();
				tellDefect(error, "request", pool.emit);
				return { kind: "unavailable" };
			} finally {
				asking.isAsked = true;
			}
		},
		redeem: async (rung, signal) => {
			const { account, credit } = rung;
			const agreeing = turn;
			// Another request of the turn that shares the yes joins the same redemption while it is under way.
			const end = await resets?.redeem(account, credit, signal).finally(() => agreeing.agreed.delete(agreement(rung)));
			if (!end) return false;
			if (!("reason" in end)) return true;
			signal?.throwIfAborted();
			pool.emit({ type: "warning", text: notRedeemed(account.label, end.reason) });
			return false;
		},
		handOver: async (rung, asked) => chain?.handOver(rung, asked) ?? unexpected(),
		serves: (on, account, until, asked) => {
			const before = sources.get(asked.sessionId);
			sources.delete(asked.sessionId);
			sources.set(asked.sessionId, { on, account: account.id });
			const [longestAgo] = sources.keys();
			if (sources.size > MOST_SESSIONS) sources.delete(longestAgo);
			const isSame = before
				? before.on === on && (on === "included" || before.account === account.id)
				: on === "included";
			if (!isSame) pool.emit({ type: "source-changed", on, account, until, asked });
		},
		source: (session) => sources.get(session),
	};
}

function infoOf({ model, options }: StreamRequest): RequestInfo {
	return { modelId: model.id, sessionId: options.sessionId };
}

/** What a yes to `rung` covers: a reserve model of any account, but credits and a reset of that one alone. */
function agreement(rung: Rung): string {
	return rung.kind === "reserve-model" ? rung.kind : rungKey(rung);
}
