import type { AssistantMessageEvent } from "@mariozechner/pi-ai";
import { raceAbort } from "./abort.ts";
import type { Account } from "./account.ts";
import type { Failure } from "./classify.ts";
import { covers, isReadyAtGuessed, withoutRefusal } from "./cooldown.ts";
import { traceOf } from "./defect.ts";
import type { Exhaustion, RotationReason } from "./events.ts";
import { ABORTED, finalError } from "./final-events.ts";
import type { AccountId } from "./ids.ts";
import { createInquiries, type Inquiries } from "./inquiries.ts";
import { firstOffer } from "./next-in-line.ts";
import type { PiLoginSync } from "./pi-login-sync.ts";
import { createRotationReporter } from "./rotation-reporter.ts";
import { type Refused, reasonIn, type ServeDeps, type StreamRequest, serve } from "./serve.ts";
import { exhausted, signedOutInARow, switchedOffMeanwhile, unexpected } from "./turn-texts.ts";

/** Where the one outer stream's events go. */
export interface EventSink {
	push(event: AssistantMessageEvent): void;
	end(): void;
}

/** Everything the loop stands on. */
export interface FailoverDeps extends ServeDeps {
	readonly link: PiLoginSync;
	/** At least 0, less than 1. */
	readonly random: () => number;
	/** Asks, behind the request's back, whether an account that cools is back early. */
	readonly recheckCooling: () => void;
}

/** An account that refused this often in one request is done with, however soon it is back. */
const REFUSALS_PER_REQUEST = 2;
/** Sign-ins lost in a row look like a burst of invalidations: walking on might take the whole pool along. */
const MOST_SIGNED_OUT_IN_A_ROW = 2;
/** A waiting request looks at the clock and at the state file this often. */
const WAIT_TICK_MS = 1000;
const SHORTEST_TICK_MS = 250;

/** What a request remembers while it goes from account to account. */
interface Progress {
	/** Accounts that this request is done with, until a wait. */
	readonly tried: Set<AccountId>;
	readonly refusals: Map<AccountId, number>;
	/** When an account that nobody blames may be asked again, epoch ms. */
	readonly retryAt: Map<AccountId, number>;
	/** What the person has to change before a sign-in can be renewed. */
	obstacle: string | undefined;
	hasWaited: boolean;
	/** What is left of the longest wait. */
	waitBudgetMs: number;
	lastRefusal: { readonly kind: string; readonly words: string } | undefined;
	/** Refusals of which it is open whose fault they are: another account that serves proves it. */
	readonly suspects: Suspect[];
}

/** A refusal that may be the account's fault or the request's. */
interface Suspect extends Refused {
	readonly account: Account;
}

/**
 * Serves one request from the pool: choose an account, try it, and as long as nothing was shown go on with another one
 * when the fault is the account's. `sink` gets what pi's own stream would give, and always exactly one final event.
 */
export async function failover(request: StreamRequest, sink: EventSink, deps: FailoverDeps): Promise<void> {
	const { model, options } = request;
	const fail = (reason: "aborted" | "error", text: string) =>
		sink.push(finalError(model, reason, text, deps.clock.now()));
	try {
		const words = await rotate(request, sink, deps);
		if (words !== undefined) fail("error", words);
	} catch (error) {
		// An abort ends any wait with a throw; anything else is a defect of ours.
		if (options.signal?.aborted) fail("aborted", ABORTED);
		else {
			fail("error", unexpected());
			deps.pool.emit({ type: "defect", where: "request", trace: traceOf(error) });
		}
	} finally {
		// A summary is done with its first answer; as a live session it would keep others from the account.
		if (!deps.affinity.isOwn(options.sessionId)) deps.pool.releaseLease(options.sessionId);
		sink.end();
	}
}

/** The loop. Undefined when a final event is out, else the words to end with. */
async function rotate(request: StreamRequest, sink: EventSink, deps: FailoverDeps): Promise<string | undefined> {
	const { pool, link, affinity } = deps;
	const { signal, sessionId } = request.options;
	const inquiries = createInquiries(deps.askUsage);
	const moves = createRotationReporter(
		{ modelId: request.model.id, sessionId },
		{ ...deps, usageKnown: inquiries.answered },
	);
	const inquiring: FailoverDeps = { ...deps, askUsage: inquiries.ask };
	const { maxRotations, maxWaitMs } = deps.settings().rotation;
	const progress: Progress = {
		tried: new Set(),
		refusals: new Map(),
		retryAt: new Map(),
		obstacle: undefined,
		hasWaited: false,
		waitBudgetMs: maxWaitMs,
		lastRefusal: undefined,
		suspects: [],
	};
	let rotations = 0;
	let lostInARow = 0;
	// A session whose account ran out between two requests moves as visibly as one that moves within a request.
	let left = pool.account(affinity.lastServed() ?? "");
	for (;;) {
		await raceAbort(link.sync(signal), signal);
		pool.detectChanges();
		const question = selectionRequest(request, progress, deps);
		let { account, excluded } = firstOffer(pool, question, progress.tried);
		if (!account && (await waitForOne(request, progress, deps))) continue;
		if (!account) {
			if (!deps.settings().enabled) return switchedOffMeanwhile();
			// One more on a crowded account is better than nobody.
			excluded = progress.tried;
			account = pool.choose({ ...question, excluded });
		}
		if (!account) return giveUp(request, progress, inquiries, deps);
		if (left && left.id !== account.id) {
			if (progress.tried.size > 0) rotations += 1;
			if (rotations > maxRotations) return giveUp(request, progress, inquiries, deps);
		}
		moves.begin(
			account,
			left,
			excluded,
			progress.tried.size > 0 ? reasonOf(progress.suspects.at(-1), left) : undefined,
		);
		progress.tried.add(account.id);
		const hasNext = pool.choose({ ...question, excluded: progress.tried }) !== undefined;
		const isProbing = progress.suspects.some(({ failure }) => isProbe(failure));
		const others = { hasNext, mayTryElsewhere: hasNext && !isProbing && rotations < maxRotations };
		const push = (event: AssistantMessageEvent) => {
			if (event.type === "done") convict(request, progress, deps);
			moves.output(account);
			sink.push(event);
		};
		const served = await serve(account, request, others, push, inquiring);
		if (served.kind === "finished") {
			// Two accounts have refused the same: the request may be at fault, so neither rests, but a third is tried first.
			const isAlike = isProbing && served.failure?.remedy === "try-elsewhere-once";
			if (isAlike) pool.doubt([...progress.suspects.map((suspect) => suspect.account.id), account.id]);
			return undefined;
		}
		if (served.kind === "unavailable") {
			progress.retryAt.set(account.id, served.retryAt);
			progress.obstacle = served.why ?? progress.obstacle;
		}
		const failure = served.kind === "refused" ? served.failure : undefined;
		if (served.kind === "refused") {
			const isSuspect = served.failure.cooling?.ifAnotherServes === true || isProbe(served.failure);
			if (isSuspect && !served.failure.isSignInGone) progress.suspects.push({ ...served, account });
			// Nothing will have changed for it while this request waits.
			const refusals = isSuspect ? REFUSALS_PER_REQUEST : (progress.refusals.get(account.id) ?? 0) + 1;
			progress.refusals.set(account.id, refusals);
			progress.lastRefusal = { kind: served.failure.kind, words: served.words };
		}
		const isSignedOut = served.kind === "signed-out" || failure?.isSignInGone || failure?.remedy === "close-account";
		lostInARow = isSignedOut ? lostInARow + 1 : 0;
		if (lostInARow >= MOST_SIGNED_OUT_IN_A_ROW) return signedOutInARow();
		left = account;
	}
}

/** One other account is tried after it, and no more. */
function isProbe({ remedy, isLeftToHost }: Failure): boolean {
	return remedy === "try-elsewhere-once" || isLeftToHost;
}

/** Why `left` was left, where nothing that is stored tells it. */
function reasonOf(last: Suspect | undefined, left: Account | undefined): RotationReason {
	if (last === undefined || last.account.id !== left?.id) return "unavailable";
	return last.failure.cooling?.reason ?? "overloaded";
}

/** Another account has served what these refused: the fault is theirs. */
function convict({ model }: StreamRequest, { suspects }: Progress, { pool }: FailoverDeps): void {
	for (const { account, failure, words } of suspects) {
		if (!failure.cooling) continue;
		pool.cool(account, failure.cooling, model.id);
		pool.noteError(account.id, reasonIn(words));
	}
	suspects.length = 0;
}

/**
 * Waits for the first account to come back, crowded ones aside, if that is soon enough. False when it is not, and when we
 * are switched off.
 */
async function waitForOne(request: StreamRequest, progress: Progress, deps: FailoverDeps): Promise<boolean> {
	const { pool, link, clock, pause, random, recheckCooling, settings } = deps;
	const { signal } = request.options;
	try {
		for (let ticks = 0; ; ticks += 1) {
			if (!settings().enabled) return false;
			const { readyAt, forRoom } = firstReturn(request, progress, deps);
			if (readyAt === undefined) return false;
			const waitMs = readyAt - clock.now();
			if (waitMs <= 0 && ticks > 0) break;
			if (waitMs > progress.waitBudgetMs || progress.waitBudgetMs <= 0) return false;
			pool.emit({ type: "waiting", until: readyAt, forRoom });
			recheckCooling();
			// Processes that wait for one account do not come back all at once: each shall see who was there before it.
			const spreadMs = waitMs <= WAIT_TICK_MS ? random() * WAIT_TICK_MS : 0;
			const wholeMs = Math.min(Math.max(waitMs, SHORTEST_TICK_MS), WAIT_TICK_MS) + spreadMs;
			const tickMs = Math.min(wholeMs, progress.waitBudgetMs);
			await pause(tickMs, signal);
			progress.waitBudgetMs -= tickMs;
			await raceAbort(link.sync(signal), signal);
		}
	} finally {
		pool.emit({ type: "waiting", until: undefined, forRoom: false });
	}
	for (const id of progress.tried) {
		if ((progress.refusals.get(id) ?? 0) < REFUSALS_PER_REQUEST) progress.tried.delete(id);
	}
	progress.retryAt.clear();
	progress.hasWaited = true;
	return true;
}

/** What an account is asked for. A session that has waited for its own goes back to it, also where its cache is gone. */
function selectionRequest(
	{ model, options }: StreamRequest,
	{ hasWaited, waitBudgetMs }: Progress,
	{ affinity }: FailoverDeps,
) {
	const served = affinity.lastServed();
	const own = hasWaited ? served : affinity.account();
	return { modelId: model.id, affinity: own, served, patienceMs: waitBudgetMs, sessionId: options.sessionId };
}

/** When the first account is back that this request may still use, epoch ms, and whether it passes others by until then. */
function firstReturn(
	request: StreamRequest,
	progress: Progress,
	deps: FailoverDeps,
): { readonly readyAt: number | undefined; readonly forRoom: boolean } {
	const { pool, affinity, clock } = deps;
	const now = clock.now();
	const { model } = request;
	const question = selectionRequest(request, progress, deps);
	const crowded = pool.crowded(question, affinity.lastServed(), progress.waitBudgetMs);
	const times = pool
		.accounts()
		.filter(({ id }) => !crowded.has(id) && (progress.refusals.get(id) ?? 0) < REFUSALS_PER_REQUEST)
		.map((account) => {
			const readyAt = pool.readyAt(account, now, model.id);
			return readyAt === undefined ? undefined : Math.max(readyAt, progress.retryAt.get(account.id) ?? 0);
		})
		.filter((at) => at !== undefined);
	return { readyAt: times.length > 0 ? Math.min(...times) : undefined, forRoom: crowded.size > 0 };
}

/** The words to end with. They name a time, so the usage that was asked for is waited for, a moment. */
async function giveUp(
	{ model, options }: StreamRequest,
	progress: Progress,
	inquiries: Inquiries,
	{ pool, clock }: FailoverDeps,
): Promise<string> {
	const answered = inquiries.answered();
	if (answered) await raceAbort(answered, options.signal);
	const { lastRefusal, suspects } = progress;
	const isSuspect = ({ id }: Account) => suspects.some(({ account }) => account.id === id);
	const isModelRefused = lastRefusal?.kind === "model-not-supported" || lastRefusal?.kind === "not-included";
	const now = clock.now();
	const accounts = pool.accounts();
	const readyAt = (account: Account) => pool.readyAt(account, now, model.id);
	const usable = accounts.filter((account) => readyAt(account) !== undefined);
	const covering = ({ id }: Account) => pool.status(id).cooldowns.filter((cooldown) => covers(cooldown, model.id));
	// The rest after a refused token says nothing of quota.
	const refused = usable.filter((account) => {
		const cooldowns = covering(account);
		if (isSuspect(account)) return withoutRefusal(cooldowns).length === 0;
		return cooldowns.length > 0 && withoutRefusal(cooldowns).length === 0;
	});
	// An account that refused a moment ago counts as spent even where usage data has ended its cooldown since.
	const cooling = usable.filter(
		(account) => !refused.includes(account) && ((readyAt(account) ?? 0) > now || progress.refusals.has(account.id)),
	);
	const notOffered = cooling.filter((account) => {
		const cooldowns = covering(account);
		return cooldowns.length > 0 && cooldowns.every(({ scope }) => isForModel(scope));
	});
	const ready = usable.filter((account) => !cooling.includes(account) && !refused.includes(account));
	// Every account said the same of this model: what the backend says of it is the better answer.
	if (isModelRefused && notOffered.length === usable.length) return lastRefusal.words;
	const spent = cooling.filter((account) => !notOffered.includes(account));
	const times = spent.map((account) => readyAt(account) ?? Number.POSITIVE_INFINITY);
	const first = times.length > 0 ? Math.min(...times) : undefined;
	const isGuess = spent.some((account) => {
		return readyAt(account) === first && isReadyAtGuessed(pool.status(account.id).cooldowns, model.id, now);
	});
	const why: Exhaustion = {
		total: accounts.length,
		cooling: cooling.length,
		notOffered: notOffered.length,
		needsLogin: accounts.filter((account) => account.enabled && account.needsLogin).length,
		unavailable: refused.length + ready.filter(({ id }) => progress.tried.has(id)).length,
		refused: refused.length,
		tried: spent.filter(({ id }) => progress.refusals.has(id)).length,
		untried: ready.filter(({ id }) => !progress.tried.has(id)).length,
		readyAt: first,
		...(isGuess && { guessed: true }),
		obstacle: progress.obstacle,
	};
	pool.emit({ type: "exhausted", why, asked: { modelId: model.id, sessionId: options.sessionId } });
	// No account is out of quota: what the last one was refused for is the better answer.
	const [suspect] = suspects.slice(-1);
	if (suspect && spent.length === 0 && why.untried === 0) return suspect.words;
	return exhausted(why, now);
}

function isForModel(scope: string): boolean {
	return scope.startsWith("model:");
}
