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

/** A request for which something beyond included quota is needed. */
export interface DryRequest {
	/** Undefined for the next request of a session, when only the session is known. */
	readonly request: StreamRequest | undefined;
	/** The account that served the session last. */
	readonly served: AccountId | undefined;
	/** How long the request would wait unasked, ms. */
	readonly patienceMs: number;
	/** True if it starts a turn. Questions and consents of the turn before no longer count. */
	readonly isNextTurn?: boolean;
}

/** What is left beyond included quota, whatever the settings allow. */
export interface Leftovers {
	readonly credits: boolean;
	readonly reserveModel: boolean;
	readonly resetCredits: number;
	/** A model that the person could choose to be served by a link of the chain. */
	readonly chain?: WayOn | undefined;
}

/** What a session is served from. */
export interface Source {
	readonly on: ServedOn;
	readonly account: AccountId;
}

/** Decides what serves a session once all included quota is out, and remembers what its person has agreed to. */
export interface Beyond {
	/** Starts a turn of the person. Earlier questions and consents no longer count. */
	beginTurn(): void;
	/**
	 * Looks up what is not known yet about reserve models, and about reset credits if a person could be offered one.
	 * Resolves to true if usage was fetched, which may change the plan. Never rejects.
	 */
	lookUp(plan: Plan, signal: AbortSignal | undefined): Promise<boolean>;
	/** True until the turn has asked the person, if there is a way to ask. For the next turn that is not known yet. */
	mayAsk(isNextTurn?: boolean): boolean;
	/** Returns what may serve a request for which `plan` was made, in order. */
	offers(plan: Plan, asked: DryRequest): readonly Offer[];
	/** Returns what is left that neither a setting nor a consent allows; undefined if nothing is. */
	leftovers(plan: Plan, asked: DryRequest): Leftovers | undefined;
	/** Asks the person. A consent holds for the rest of the turn. */
	ask(offers: readonly Offer[], signal: AbortSignal): Promise<DryAnswer>;
	/** Redeems a reset credit that the person has agreed to, once. Resolves to true if there is quota again. */
	redeem(rung: ResetCreditRung, signal: AbortSignal | undefined): Promise<boolean>;
	/** Hands a request over to a link of the chain. Resolves to the text that ends the request. */
	handOver(rung: ChainRung, asked: RequestInfo): Promise<string>;
	/** Records what a request of the session is about to be served from. Emits an event if that has changed. */
	serves(on: ServedOn, account: Account, until: number | undefined, asked: RequestInfo): void;
	/** Returns what a session was last served from. */
	source(session: SessionId | undefined): Source | undefined;
}

/** What could serve beyond included quota. Each source is optional. */
export interface BeyondSources {
	/** Asks the person. Without it no person is asked. */
	readonly question?: DryQuestion;
	readonly consents?: RememberedConsents;
	readonly resets?: ResetSource;
	readonly chain?: ChainRoute;
}

/** Reset credits: their lists, and the one way to spend one. */
export interface ResetSource extends Redeemer {
	/** Updates the lists if any account has credits. Never rejects. */
	refreshStale(signal: AbortSignal | undefined): Promise<unknown>;
}

interface Deps extends BeyondSources {
	readonly pool: Pool;
	readonly settings: () => Settings;
	/** Returns pi's Codex model with this id; undefined if pi has none. */
	readonly modelNamed: (id: string) => Model<Api> | undefined;
	/** Fetches the usage of an account; for a spent one including its reserve model. Never rejects. */
	readonly askUsage: (id: AccountId) => Promise<unknown>;
}

/** Maximum wait for usage that reports a reserve model. */
const USAGE_MS = 2000;
/** Maximum wait for the lists of reset credits. */
const LISTS_MS = 5000;
/** Number of sessions of this process whose last source is remembered. */
const MOST_SESSIONS = 50;

/** What one turn has asked, and what the person has agreed to. */
interface Turn {
	isAsked: boolean;
	readonly agreed: Set<string>;
}

/** Creates the decision for the session of this process. */
export function createBeyond(deps: Deps): Beyond {
	const { pool, settings, question, consents, resets, chain, modelNamed, askUsage } = deps;
	let turn: Turn = { isAsked: false, agreed: new Set() };

	// A spent reset credit is gone for good, so each one needs its own consent.
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
			// Another request of the turn under the same consent joins the redemption while it is in progress.
			const end = await resets?.redeem(account, credit, signal).finally(() => agreeing.agreed.delete(agreement(rung)));
			if (!end) return false;
			if (!("reason" in end)) return true;
			signal?.throwIfAborted();
			pool.emit({ type: "warning", text: notRedeemed(account.label, end.reason) });
			return false;
		},
		handOver: async (rung, asked) => chain?.handOver(rung, asked) ?? unexpected(),
		...createSources(pool),
	};
}

/** Creates the memory of what each session was last served from. */
function createSources(pool: Pick<Pool, "emit">): Pick<Beyond, "serves" | "source"> {
	/** By session, the session served last at the end. */
	const sources = new Map<SessionId | undefined, Source>();
	return {
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

/**
 * Returns what consent to `rung` covers: the reserve model of any account, but credits or a reset of one account only.
 */
function agreement(rung: Rung): string {
	return rung.kind === "reserve-model" ? rung.kind : rungKey(rung);
}
