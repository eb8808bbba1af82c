import type { Api, AssistantMessageEvent, Context, Model } from "@mariozechner/pi-ai";
import { type Account, printable } from "./account.ts";
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
import type { Credentials } from "./credentials.ts";
import { cameUpHere, traceOf } from "./defect.ts";
import { guarded } from "./defect-reports.ts";
import { type Delivery, deliver } from "./delivery.ts";
import type { Remedy } from "./failure-rules.ts";
import { ABORTED, brokenOffAt, type ErrorEvent, finalError, withWords } from "./final-events.ts";
import type { AccountId } from "./ids.ts";
import type { Pool } from "./pool.ts";
import type { Clock } from "./ports.ts";
import { hideTokens } from "./privacy.ts";
import type { SessionSockets } from "./session-sockets.ts";
import type { FastMode, Settings } from "./settings.ts";
import { brokenOff, continuesElsewhere, unexpected } from "./turn-texts.ts";
import { headroom, type UsageSnapshot } from "./usage.ts";

/** One call of pi's stream function. */
export interface StreamRequest {
	readonly model: Model<Api>;
	readonly context: Context;
	readonly options: StreamOptions;
}

/** What one account made of a request. */
export type Served =
	/** The final event is out. `failure` where the account was refused, and pi hears of it. */
	| { readonly kind: "finished"; readonly failure: Failure | undefined }
	/**
	 * The account was refused; it has been taken out of the choice accordingly, or will be if another one serves.
	 */
	| Refused
	/** Its sign-in is over; it has been flagged. */
	| { readonly kind: "signed-out" }
	/** No token for it right now; nobody is flagged. `why` is what the person has to change first. */
	| { readonly kind: "unavailable"; readonly retryAt: number; readonly why: string | undefined };

/** A refusal that another account may make good. */
export interface Refused {
	readonly kind: "refused";
	readonly failure: Failure;
	/** The message a person may see. */
	readonly words: string;
}

/** What else could serve the request. */
export interface Alternatives {
	/** Another account is there. */
	readonly hasNext: boolean;
	/** It may be tried also where the fault may be the request's. */
	readonly mayTryElsewhere: boolean;
}

/** What serving one account stands on. */
export interface ServeDeps {
	readonly pool: Pool;
	readonly credentials: Credentials;
	readonly affinity: Affinity;
	readonly sockets: SessionSockets;
	readonly delegate: CodexDelegate;
	readonly backend: BackendAccess;
	readonly readUsageHeaders: ReadUsageHeaders;
	/** Asks the usage endpoint; nothing but a sentence waits for it. Never rejects. */
	readonly askUsage: (id: AccountId) => Promise<unknown>;
	/** Does pi's own turn retry ask again by itself after such an error? */
	readonly isRepeatedByHost: (words: string) => boolean;
	/** A hash of a token, to know it again by. */
	readonly fingerprint: (token: string) => string;
	readonly settings: () => Settings;
	readonly clock: Clock;
	/** Resolves after `ms`, rejects with the abort reason. Keeps the process alive meanwhile. */
	readonly pause: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
}

/**
 * Lets one account serve a request, trying it a second time once for each remedy that says so. While another one is
 * there a slow renewal of its token is left to itself, and that one serves.
 */
export async function serve(
	account: Account,
	request: StreamRequest,
	others: Alternatives,
	push: (event: AssistantMessageEvent) => void,
	deps: ServeDeps,
): Promise<Served> {
	const { credentials, pool, sockets, pause } = deps;
	const { signal, sessionId } = request.options;
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
			// Its present token is refused and no other to be had: without a rest every request would try it first.
			if (refused !== undefined) pool.cool(account, restAfterRefusal(deps.clock.now()), request.model.id);
			return { kind: "unavailable", retryAt: token.retryAt, why: token.lasts ? token.reason : undefined };
		}
		const tried = await tryOnce(account, token.access, request, spent, others, push, deps);
		if (tried.kind === "finished") return tried;
		const { failure } = tried;
		if (spent.has(failure.remedy) || !isWorthAnotherTry(failure, isRefusedForGood(account, token.access, deps))) {
			if (failure.remedy === "refresh-or-rotate") pool.noteRefused(account.id, deps.fingerprint(token.access));
			penalize(account, token.access, failure, request.model.id, deps);
			return tried;
		}
		spent.add(failure.remedy);
		if (failure.remedy === "refresh-or-rotate") refused = token.access;
		if (failure.remedy === "retry-or-rotate") await pause(failure.retryAfterMs ?? 0, signal);
		if (failure.remedy === "strip-reasoning") sockets.rememberReasoningRefused(sessionId);
		if (failure.remedy === "reconnect") sockets.forget(sessionId);
	}
}

/** With less left of any window, percent, the faster tier would bring its end nearer. */
const FAST_LEFT_PERCENT = 30;

function isFast(mode: FastMode, usage: UsageSnapshot | undefined, now: number): boolean {
	if (mode !== "auto") return mode === "always";
	return usage !== undefined && headroom(usage, now) >= FAST_LEFT_PERCENT;
}

/** The longest wait for which a throttled account is asked again instead of another one. */
const SHORT_RETRY_MS = 10_000;

/** A session is said to be at work this often while its answer comes: other processes look back five minutes. */
const AT_WORK_MS = 60_000;
const REFUSED_REST_MS = 60_000;
/** As long as for the lock of a process that is renewing it. */
const RENEWAL_PATIENCE_MS = 3000;

function restAfterRefusal(now: number): Cooling {
	return { covers: "account", scope: "account", reason: "unauthorized", until: now + REFUSED_REST_MS, guessed: false };
}

/** A token that was refused right after it had been issued: another one would fare no better. */
function isRefusedForGood({ id }: Account, access: string, { pool, fingerprint }: ServeDeps): boolean {
	return pool.status(id).refusedToken === fingerprint(access);
}

function isWorthAnotherTry({ remedy, retryAfterMs }: Failure, isForGood: boolean): boolean {
	if (remedy === "retry-or-rotate") return retryAfterMs !== undefined && retryAfterMs <= SHORT_RETRY_MS;
	return (remedy === "refresh-or-rotate" && !isForGood) || isOnTheSameAccount(remedy);
}

/** Remedies that only ever change the request: when they do not help, pi hears of the failure. */
function isOnTheSameAccount(remedy: Remedy): boolean {
	return remedy === "strip-reasoning" || remedy === "reconnect";
}

/** One try: the final event is out, or the account did not serve. */
async function tryOnce(
	account: Account,
	access: string,
	request: StreamRequest,
	spent: ReadonlySet<Remedy>,
	others: Alternatives,
	push: (event: AssistantMessageEvent) => void,
	deps: ServeDeps,
): Promise<Extract<Served, { kind: "finished" | "refused" }>> {
	const { pool, affinity, sockets, delegate, backend, readUsageHeaders, settings, clock } = deps;
	const { model, context, options } = request;
	const { sessionId, signal } = options;
	const claim = sockets.claim(sessionId, account.id);
	pool.acquireLease(account.id, sessionId, affinity.account() !== account.id);
	// A summary belongs to its session, which is told by its own requests.
	if (affinity.isOwn(sessionId)) pool.spends(account.id, { modelId: model.id, sessionId });
	const tried = startAttempt(
		{
			model,
			context,
			options: claim.mustNotShare ? { ...options, transport: "sse" } : options,
			access,
			stripReasoning: spent.has("strip-reasoning") || sockets.refusesReasoning(sessionId),
			isFast: isFast(settings().rotation.fastMode, pool.status(account.id).usage, clock.now()),
		},
		{
			delegate,
			backend,
			readUsageHeaders,
			now: clock.now,
			onUsage: (usage, limitId) =>
				pool.noteUsage(account.id, usage, limitId === undefined ? undefined : { modelId: model.id, limitId }),
		},
	);
	const atWork = setInterval(
		() => guarded(() => pool.renewLease(account.id, sessionId), "stream", pool.emit),
		AT_WORK_MS,
	);
	// The answer that is waited for keeps pi alive, not this.
	atWork.unref();
	try {
		const delivery = await deliver(tried.events, push, signal);
		if (delivery.kind === "answered") {
			// At work until now, however long the answer took.
			pool.renewLease(account.id, sessionId);
			pool.served(account.id, affinity.served(sessionId, account.id), tried.hasUsageHeaders());
			push(delivery.final);
			return { kind: "finished", failure: undefined };
		}
		const isAborted = signal?.aborted === true || delivery.final?.reason === "aborted";
		const final = delivery.final ?? thrownEarly(delivery, tried, request, deps);
		if (isAborted || !final) {
			delivery.forwardHeld();
			push(endOf(delivery, isAborted, request, deps));
			return { kind: "finished", failure: undefined };
		}
		const told = final.error.errorMessage ?? "";
		const surfaced = tried.surfaced(told);
		const { cooldownMs } = settings().rotation;
		const failure = classify(tried.evidence(told), { now: clock.now(), modelId: model.id, cooldownMs });
		const isForPi =
			delivery.isCommitted ||
			isSurfaced(failure, surfaced, others, deps) ||
			(isOnTheSameAccount(failure.remedy) && spent.has(failure.remedy));
		if (!isForPi) return { kind: "refused", failure, words: surfaced };
		delivery.forwardHeld();
		const text = delivery.isCommitted ? afterCommit(account, access, failure, surfaced, request, deps) : surfaced;
		if (failure.remedy === "try-elsewhere-once") pool.noteError(account.id, reasonIn(surfaced));
		if (failure.kind === "other" && !delivery.isCommitted && !deps.isRepeatedByHost(surfaced)) {
			pool.noteUnknown(account.id, reasonIn(surfaced));
		}
		push(withWords(final, text));
		return { kind: "finished", failure: delivery.isCommitted ? undefined : failure };
	} finally {
		clearInterval(atWork);
		claim.release();
		tried.release();
	}
}

/** Is this for pi, although nothing was shown yet? */
function isSurfaced(
	{ remedy, isLeftToHost }: Failure,
	words: string,
	{ mayTryElsewhere }: Alternatives,
	{ isRepeatedByHost }: ServeDeps,
): boolean {
	if (remedy === "try-elsewhere-once") return !mayTryElsewhere;
	if (remedy !== "surface") return false;
	return !isLeftToHost || !mayTryElsewhere || isRepeatedByHost(words);
}

/** The final event of a host that threw before anything was sent: another account may do better. */
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

/** The final event where the host has given none, or none of use: an abort, a stream that broke off. */
function endOf(
	{ final, partial, thrown }: Extract<Delivery, { kind: "failed" }>,
	isAborted: boolean,
	{ model }: StreamRequest,
	{ clock, pool }: ServeDeps,
): AssistantMessageEvent {
	if (isAborted && final?.reason === "aborted") return final;
	const isOurs = !isAborted && thrown !== undefined && cameUpHere(thrown);
	if (isOurs) pool.emit({ type: "defect", where: "stream", trace: traceOf(thrown) });
	const told = thrown instanceof Error && !isOurs ? thrown.message : undefined;
	const broken = told ?? (isOurs ? unexpected() : brokenOff());
	const [reason, text] = isAborted ? (["aborted", ABORTED] as const) : (["error", broken] as const);
	return partial ? brokenOffAt(partial, reason, text) : finalError(model, reason, text, clock.now());
}

/**
 * Output was shown, so nothing is replayed here: the account is taken out, and pi's own turn retry goes on elsewhere.
 */
function afterCommit(
	account: Account,
	access: string,
	failure: Failure,
	told: string,
	{ model, options: { sessionId } }: StreamRequest,
	deps: ServeDeps,
): string {
	const isAccountFault = failure.remedy === "rotate" || failure.remedy === "retry-or-rotate";
	if (!isAccountFault) return told;
	penalize(account, access, failure, model.id, deps);
	const { next } = deps.pool.plan({
		modelId: model.id,
		affinity: deps.affinity.account(),
		served: deps.affinity.lastServed(),
		sessionId,
		tried: new Set([account.id]),
	});
	return next ? continuesElsewhere() : told;
}

/** Takes the account out of the choice as the failure says; `access` is the token that it was refused with. */
function penalize(
	account: Account,
	access: string,
	failure: Failure,
	modelId: string,
	{ pool, askUsage, clock }: ServeDeps,
): void {
	const isSignInGone = failure.remedy === "refresh-or-rotate" && failure.isSignInGone;
	if (failure.kind === "workspace-disabled") pool.strike(account, "its workspace is disabled");
	if (isSignInGone) pool.signOut(account, access, failure.kind);
	// Whose fault the others are is known when another account has served.
	else if (failure.cooling && !failure.cooling.ifAnotherServes) {
		const known = withKnownReset(failure.cooling, pool.status(account.id).usage, clock.now());
		pool.cool(account, known, modelId);
	}
	if (failure.remedy === "close-account") pool.close(account, "closed by OpenAI");
	// A throttled account may be an exhausted one: 0.73.1 does not show which. A limit that no header names may be that
	// of one model.
	if (isQuotaInDoubt(failure)) void askUsage(account.id);
	pool.noteError(account.id, failure.kind);
}

/** Does only the usage endpoint know what of the account is spent, and until when? */
function isQuotaInDoubt({ kind, cooling }: Failure): boolean {
	if (kind === "rate-limit") return true;
	return cooling !== undefined && !cooling.ifAnotherServes && (cooling.guessed || cooling.isUnproved === true);
}

/** A server's reason in `show` is no longer than this. */
const LONGEST_REASON = 80;

/** The server's words as they may be shown. */
export function reasonIn(words: string): string {
	return [...printable(hideTokens(words).trim())].slice(0, LONGEST_REASON).join("");
}
