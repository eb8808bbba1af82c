import type { Api, AssistantMessageEvent, Context, Model, Usage } from "@mariozechner/pi-ai";
import { raceAbort } from "../abort.ts";
import { type Account, printable } from "../account.ts";
import { onReserveModel, openReserveModel, reserveScope, type StandIn, standInFor } from "../beyond/reserve-model.ts";
import type { Credentials } from "../credentials/credentials.ts";
import { cameUpHere, traceOf } from "../defect.ts";
import { guarded } from "../defect-reports.ts";
import type { AccountId, SessionId } from "../ids.ts";
import type { RecordEntry } from "../ledger/ledger.ts";
import type { Pool } from "../pool/pool.ts";
import type { Clock } from "../ports.ts";
import { hideTokens } from "../privacy.ts";
import { headroom } from "../quota.ts";
import type { FastMode, Settings } from "../settings.ts";
import type { UsageSnapshot } from "../usage.ts";
import type { Affinity } from "./affinity.ts";
import {
	type Attempt,
	type BackendAccess,
	type CodexDelegate,
	type ReadUsageHeaders,
	type StreamOptions,
	startAttempt,
} from "./attempt.ts";
import { type Cooling, classify, type Failure, withKnownReset } from "./classify.ts";
import { type Delivery, deliver } from "./delivery.ts";
import type { Remedy } from "./failure-rules.ts";
import { ABORTED, brokenOffAt, type ErrorEvent, finalError, withWords } from "./final-events.ts";
import type { SessionSockets } from "./session-sockets.ts";
import { brokenOff, continuesElsewhere, unexpected } from "./turn-texts.ts";

/** The faster tier uses up quota sooner. It is not used with less than this left of any window, percent. */
const FAST_LEFT_PERCENT = 30;
/** The longest wait after which a throttled account is asked again, rather than another one. */
const SHORT_RETRY_MS = 10_000;
/** How often a lease is renewed during an answer. It expires after five minutes. */
const LEASE_RENEWAL_MS = 60_000;
/** How long an account rests whose token was refused and cannot be renewed now. */
const [SHORTEST_REFUSED_MS, LONGEST_REFUSED_MS] = [5000, 60_000];
/** How long a token renewal may take if another account is available: as long as the wait for a renewal lock. */
const RENEWAL_PATIENCE_MS = 3000;
/** A server's reason is cut off at this length. */
const LONGEST_REASON = 80;

/** One call of pi's stream function. */
export interface StreamRequest {
	readonly model: Model<Api>;
	readonly context: Context;
	readonly options: StreamOptions & { readonly sessionId?: SessionId };
}

/** How one account served a request. */
export type Served =
	/** The final event was forwarded. `failure` is set if a refusal was surfaced. */
	| { readonly kind: "finished"; readonly failure: Failure | undefined }
	/** The account refused. It is cooling now, or will be once another account has served. */
	| Refused
	/** The sign-in of the account has ended, and the pool has recorded that. */
	| { readonly kind: "signed-out" }
	/** A cap, or the account set of the session, has excluded the account since it was chosen. */
	| { readonly kind: "barred" }
	/**
	 * The account has no token right now, which does not count against it. `since` and `retryAt` are epoch ms. `why`:
	 * what the person has to change first.
	 */
	| Unavailable;

/** An account has no token right now. */
interface Unavailable {
	readonly kind: "unavailable";
	readonly since: number;
	readonly retryAt: number;
	readonly why: string | undefined;
}

/** A refusal after which another account may serve. */
export interface Refused {
	readonly kind: "refused";
	readonly failure: Failure;
	/** The message for a person. */
	readonly message: string;
}

/** What other accounts could do for the request. */
export interface Alternatives {
	/** True if there is another account to try. */
	readonly hasNext: boolean;
	/** True if another account may be tried although the request may be at fault. */
	readonly mayTryElsewhere: boolean;
}

/** What a request is served from. */
export type ServedOn = "included" | "credits" | "reserve-model";

/** Dependencies of `serve`. */
export interface ServeDeps {
	readonly pool: Pool;
	readonly credentials: Credentials;
	readonly affinity: Affinity;
	readonly sockets: SessionSockets;
	readonly delegate: CodexDelegate;
	readonly backend: BackendAccess;
	readonly readUsageHeaders: ReadUsageHeaders;
	/** Asks the usage endpoint. Only messages wait for the answer. Never rejects. */
	readonly askUsage: (id: AccountId) => Promise<unknown>;
	/** Settles once the usage that a cap depends on has arrived; undefined if none is due. */
	readonly figuresDue?: (id: AccountId) => Promise<void> | undefined;
	/** True if pi's own retry repeats a turn that ends with this error. */
	readonly isRepeatedByHost: (message: string) => boolean;
	/** Hashes a token, to recognize it later. */
	readonly fingerprint: (token: string) => string;
	readonly settings: () => Settings;
	/** Returns pi's Codex model with this id; undefined if pi has none. */
	readonly modelNamed: (id: string) => Model<Api> | undefined;
	/** Counts answers and refusals. */
	readonly record?: RecordEntry;
	readonly clock: Clock;
	/** Resolves after `ms`, rejects with the abort reason. Keeps the process alive meanwhile. */
	readonly pause: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/**
 * Serves a request on one account, retrying it once per remedy. If another account is available and the token is slow
 * to renew, the renewal continues in the background while the other account serves.
 */
export async function serve(
	account: Account,
	asked: StreamRequest,
	others: Alternatives,
	push: (event: AssistantMessageEvent) => void,
	deps: ServeDeps,
	on: ServedOn = "included",
): Promise<Served> {
	const { credentials, pool, sockets, pause } = deps;
	const { signal, sessionId } = asked.options;
	const standIn = on === "reserve-model" ? standInOn(account, asked, deps) : undefined;
	// Another request may have used up the reserve since the plan was made.
	if (on === "reserve-model" && !standIn) return unavailable({ retryAt: deps.clock.now() }, deps);
	const request: OnAccount = standIn ? { ...asked, ...standIn } : asked;
	const spent = new Set<Remedy>();
	let refused: string | undefined;
	for (;;) {
		const token = await credentials.accessToken(account.id, {
			signal,
			refused,
			patienceMs: others.hasNext ? RENEWAL_PATIENCE_MS : undefined,
		});
		if (token.kind === "signed-out") {
			pool.lost(token.closed ? "closed" : "signed-out", account, token.reason);
			return { kind: "signed-out" };
		}
		if (token.kind === "unavailable") {
			pool.noteError(account.id, token.reason);
			// The token was refused and there is no other. Without a cooldown every request would try it first.
			if (refused !== undefined) {
				const retryAt = token.lasts ? undefined : token.retryAt;
				pool.cool(account, cooldownAfterRefusal(retryAt, deps.clock.now()), request.model.id);
			}
			return unavailable(token, deps);
		}
		const due = deps.figuresDue?.(account.id);
		if (due) await raceAbort(due, signal);
		// Usage or a person's decision may have changed while we waited for the token or before the second try.
		if (pool.isBarred(pool.account(account.id) ?? account, sessionId)) return { kind: "barred" };
		const tried = await tryOnce(account, token.access, request, spent, others, push, deps);
		if (tried.kind === "finished") return tried;
		const { failure } = tried;
		if (spent.has(failure.remedy) || !isWorthAnotherTry(failure, isRefusedForGood(account, token.access, deps))) {
			if (failure.remedy === "refresh-or-rotate") pool.noteRefused(account.id, deps.fingerprint(token.access));
			penalize(account, token.access, failure, request, deps);
			return tried;
		}
		spent.add(failure.remedy);
		if (failure.remedy === "refresh-or-rotate") refused = token.access;
		if (failure.remedy === "retry-or-rotate") await pause(failure.retryAfterMs ?? 0, signal);
		if (failure.remedy === "strip-reasoning") sockets.rememberReasoningRefused(sessionId);
		if (failure.remedy === "reconnect") sockets.forget(sessionId);
	}
}

function unavailable(
	{ retryAt, lasts, reason }: { readonly retryAt: number; readonly lasts?: true; readonly reason?: string },
	{ clock }: ServeDeps,
): Unavailable {
	return { kind: "unavailable", since: clock.now(), retryAt, why: lasts ? reason : undefined };
}

/**
 * The request as one account serves it. With `reserveModel` it uses that, and `model` is the model that it answers as.
 */
type OnAccount = StreamRequest & Partial<StandIn>;

function standInOn(account: Account, { model, context }: StreamRequest, deps: ServeDeps): StandIn | undefined {
	const reserveModel = openReserveModel(account, deps.pool.status(account.id), deps.clock.now());
	return reserveModel && standInFor({ model, context }, reserveModel, deps.modelNamed);
}

function isFast(mode: FastMode, usage: UsageSnapshot | undefined, now: number): boolean {
	if (mode !== "auto") return mode === "always";
	return usage !== undefined && headroom(usage, now) >= FAST_LEFT_PERCENT;
}

/**
 * Ends once the renewal may be tried again, such as when the exchange of another process is over. Never at once: the
 * next try sends the refused token first.
 */
function cooldownAfterRefusal(retryAt: number | undefined, now: number): Cooling {
	const [earliest, latest] = [now + SHORTEST_REFUSED_MS, now + LONGEST_REFUSED_MS];
	const until = Math.min(Math.max(retryAt ?? latest, earliest), latest);
	return { covers: "account", scope: "account", reason: "unauthorized", until, guessed: false };
}

/** True if a token was refused right after it had been issued. A new one would be refused too. */
function isRefusedForGood({ id }: Account, access: string, { pool, fingerprint }: ServeDeps): boolean {
	return pool.status(id).refusedToken === fingerprint(access);
}

function isWorthAnotherTry({ remedy, retryAfterMs }: Failure, isForGood: boolean): boolean {
	if (remedy === "retry-or-rotate") return retryAfterMs !== undefined && retryAfterMs <= SHORT_RETRY_MS;
	return (remedy === "refresh-or-rotate" && !isForGood) || isOnTheSameAccount(remedy);
}

/** Remedies that only change the request. If one does not help, the failure is surfaced. */
function isOnTheSameAccount(remedy: Remedy): boolean {
	return remedy === "strip-reasoning" || remedy === "reconnect";
}

/** An attempt on an account, and what lasts as long as it: its claim on the session's sockets, and its lease. */
interface Work {
	readonly tried: Attempt;
	release(): void;
}

function startWork(
	account: Account,
	access: string,
	{ model, context, options, reserveModel }: OnAccount,
	spent: ReadonlySet<Remedy>,
	deps: ServeDeps,
): Work {
	const { pool, affinity, sockets, delegate, backend, readUsageHeaders, settings, clock } = deps;
	const { sessionId } = options;
	const claim = sockets.claim(sessionId, account.id, reserveModel?.wireModel);
	pool.acquireLease(account.id, sessionId, affinity.account() !== account.id);
	// Spending credits is reported once per session, for its own requests and not for summaries.
	if (affinity.isOwn(sessionId) && !reserveModel) pool.spends(account.id, { modelId: model.id, sessionId });
	const tried = startAttempt(
		{
			model,
			context,
			options: claim.mustNotShare ? { ...options, transport: "sse" } : options,
			access,
			stripReasoning: spent.has("strip-reasoning") || sockets.refusesReasoning(sessionId),
			isFast: !reserveModel && isFast(settings().rotation.fastMode, pool.status(account.id).usage, clock.now()),
			reserveModel,
		},
		{
			delegate,
			backend,
			readUsageHeaders,
			now: clock.now,
			onUsage: (usage, limitId) =>
				pool.noteUsage(account.id, usage, limitId === undefined ? undefined : { modelId: model.id, limitId }),
			onReserveModel: (windows) => pool.noteReserveModel(account.id, windows),
		},
	);
	const atWork = setInterval(
		() => guarded(() => pool.renewLease(account.id, sessionId), "stream", pool.emit),
		LEASE_RENEWAL_MS,
	);
	// The answer keeps pi alive. This timer must not.
	atWork.unref();
	return {
		tried,
		release: () => {
			clearInterval(atWork);
			claim.release();
			tried.release();
		},
	};
}

/** Makes one attempt. Forwards its final event, or returns the refusal. */
async function tryOnce(
	account: Account,
	access: string,
	request: OnAccount,
	spent: ReadonlySet<Remedy>,
	others: Alternatives,
	push: (event: AssistantMessageEvent) => void,
	deps: ServeDeps,
): Promise<Extract<Served, { kind: "finished" | "refused" }>> {
	const { pool, affinity, settings, clock } = deps;
	const { model, options, reserveModel } = request;
	const { sessionId, signal } = options;
	const { tried, release } = startWork(account, access, request, spent, deps);
	const end = (event: AssistantMessageEvent, hasOutput: boolean) => {
		push(event);
		const usage = hasOutput ? usageIn(event) : undefined;
		if (usage) deps.record?.({ kind: "answered", account: account.id, asked: { modelId: model.id, sessionId }, usage });
	};
	let hasBegun = false;
	const forward = (event: AssistantMessageEvent) => {
		// Before any content, a held-back answer may still turn out to be a refusal.
		const isContent = !hasBegun && (event.type.endsWith("_delta") || event.type.endsWith("_end"));
		if (isContent && affinity.isOwn(sessionId)) {
			hasBegun = true;
			pool.answers(account.id, { modelId: model.id, sessionId }, reserveModel);
		}
		push(event);
	};
	try {
		const delivery = await deliver(tried.events, forward, signal);
		if (delivery.kind === "answered") {
			// The session was active until now, however long the answer took.
			pool.renewLease(account.id, sessionId);
			const hasMoved = affinity.served(sessionId, account.id);
			// Headers of the reserve model do not report included quota reliably, so the usage endpoint is asked.
			pool.served(account.id, hasMoved, tried.hasUsageHeaders() && !reserveModel, reserveModel !== undefined);
			end(delivery.final, true);
			return { kind: "finished", failure: undefined };
		}
		const isAborted = signal?.aborted === true || delivery.final?.reason === "aborted";
		const final = delivery.final ?? thrownEarly(delivery, tried, request, deps);
		if (isAborted || !final) {
			delivery.forwardHeld();
			end(endOf(delivery, isAborted, request, deps), delivery.isCommitted);
			return { kind: "finished", failure: undefined };
		}
		const message = final.error.errorMessage ?? "";
		const surfaced = tried.surfaced(message);
		const { cooldownMs } = settings().rotation;
		const evidence = tried.evidence(message);
		const found = classify(evidence, { now: clock.now(), modelId: model.id, cooldownMs });
		const failure = reserveModel ? onReserveModel(found, evidence, reserveModel, clock.now()) : found;
		const isForPi =
			delivery.isCommitted ||
			isSurfaced(failure, surfaced, others, deps) ||
			(isOnTheSameAccount(failure.remedy) && spent.has(failure.remedy));
		if (!isForPi) return { kind: "refused", failure, message: surfaced };
		delivery.forwardHeld();
		const text = delivery.isCommitted ? afterCommit(account, access, failure, surfaced, request, deps) : surfaced;
		if (failure.remedy === "try-elsewhere-once") pool.noteError(account.id, reasonIn(surfaced));
		if (failure.kind === "other" && !delivery.isCommitted && !deps.isRepeatedByHost(surfaced)) {
			pool.noteUnknown(account.id, reasonIn(surfaced));
		}
		end(withWords(final, text), delivery.isCommitted);
		return { kind: "finished", failure: delivery.isCommitted ? undefined : failure };
	} finally {
		release();
	}
}

/** Returns the token usage that the final message reports. */
function usageIn(event: AssistantMessageEvent): Usage | undefined {
	if (event.type === "done") return event.message.usage;
	return event.type === "error" ? event.error.usage : undefined;
}

/** True if the failure is surfaced although nothing was shown yet. */
function isSurfaced(
	{ remedy, isLeftToHost }: Failure,
	message: string,
	{ mayTryElsewhere }: Alternatives,
	{ isRepeatedByHost }: ServeDeps,
): boolean {
	if (remedy === "try-elsewhere-once") return !mayTryElsewhere;
	if (remedy !== "surface") return false;
	return !isLeftToHost || !mayTryElsewhere || isRepeatedByHost(message);
}

/** Returns the final event if the host threw before it sent anything: another account may serve. */
function thrownEarly(
	{ isCommitted, thrown }: Extract<Delivery, { kind: "failed" }>,
	tried: Attempt,
	{ model }: StreamRequest,
	{ clock }: ServeDeps,
): ErrorEvent | undefined {
	if (isCommitted || !(thrown instanceof Error) || cameUpHere(thrown) || !tried.evidence(thrown.message).unsent)
		return undefined;
	return finalError(model, "error", thrown.message, clock.now());
}

/** Returns the final event if the host's is missing or useless: after an abort, or a stream that broke off. */
function endOf(
	{ final, partial, thrown }: Extract<Delivery, { kind: "failed" }>,
	isAborted: boolean,
	{ model }: StreamRequest,
	{ clock, pool }: ServeDeps,
): AssistantMessageEvent {
	if (isAborted && final?.reason === "aborted") return final;
	const isOurs = !isAborted && thrown !== undefined && cameUpHere(thrown);
	if (isOurs) pool.emit({ type: "defect", where: "stream", trace: traceOf(thrown) });
	const message = thrown instanceof Error && !isOurs ? thrown.message : undefined;
	const broken = message ?? (isOurs ? unexpected() : brokenOff());
	const [reason, text] = isAborted ? (["aborted", ABORTED] as const) : (["error", broken] as const);
	return partial ? brokenOffAt(partial, reason, text) : finalError(model, reason, text, clock.now());
}

/**
 * Handles a failure after output was shown. Nothing is replayed; the account cools, and pi's own retry uses another
 * one.
 */
function afterCommit(
	account: Account,
	access: string,
	failure: Failure,
	message: string,
	request: OnAccount,
	deps: ServeDeps,
): string {
	const isAccountFault = failure.remedy === "rotate" || failure.remedy === "retry-or-rotate";
	if (!isAccountFault) return message;
	penalize(account, access, failure, request, deps);
	const { model, options } = request;
	const { next } = deps.pool.plan({
		modelId: model.id,
		affinity: deps.affinity.account(),
		served: deps.affinity.lastServed(),
		sessionId: options.sessionId,
		tried: new Set([account.id]),
	});
	return next ? continuesElsewhere() : message;
}

/** Sets the cooldown of a failure. `access` is the token that was refused. */
function penalize(
	account: Account,
	access: string,
	failure: Failure,
	{ model, reserveModel }: OnAccount,
	{ pool, askUsage, clock }: ServeDeps,
): void {
	const isOfReserveModel = reserveModel !== undefined && failure.cooling?.scope === reserveScope(reserveModel);
	const modelId = isOfReserveModel ? undefined : model.id;
	const isSignInGone = failure.remedy === "refresh-or-rotate" && failure.isSignInGone;
	if (failure.kind === "workspace-disabled" && !isOfReserveModel) pool.strike(account, "its workspace is disabled");
	if (isSignInGone) pool.signOut(account, access, failure.kind);
	// Other cooldowns wait until another account has served. Until then the request may be at fault.
	else if (failure.cooling && !failure.cooling.ifAnotherServes) {
		const known = withKnownReset(failure.cooling, pool.status(account.id).usage, clock.now());
		pool.cool(account, known, modelId);
	}
	if (failure.remedy === "close-account") pool.close(account, "closed by OpenAI");
	// A throttled account may be exhausted, which 0.73.1 does not show. A limit that the headers do not name may be that
	// of one model.
	if (isQuotaInDoubt(failure)) void askUsage(account.id);
	if (!isOfReserveModel) pool.noteError(account.id, failure.kind);
}

/** True if the usage endpoint should tell what is spent, and until when. */
function isQuotaInDoubt({ kind, cooling }: Failure): boolean {
	if (kind === "rate-limit") return true;
	return cooling !== undefined && !cooling.ifAnotherServes && (cooling.guessed || cooling.isUnproved === true);
}

/** Returns a server's message, safe to show. */
export function reasonIn(message: string): string {
	return [...printable(hideTokens(message).trim())].slice(0, LONGEST_REASON).join("");
}
