import type { AssistantMessageEvent } from "@mariozechner/pi-ai";
import { raceAbort } from "./abort.ts";
import type { Beyond, DryRequest } from "./beyond.ts";
import { traceOf } from "./defect.ts";
import type { RequestInfo } from "./events.ts";
import { endingOf } from "./exhaustion.ts";
import { ABORTED, finalError } from "./final-events.ts";
import { createInquiries, type Inquiries } from "./inquiries.ts";
import type { Offer, ResetCreditRung } from "./ladder.ts";
import type { PiLoginSync } from "./pi-login-sync.ts";
import { gatedIn, type Plan, selectionReason } from "./plan.ts";
import {
	askedOf,
	beginProgress,
	chose,
	closed,
	isProbing,
	next,
	type Progress,
	redeemed,
	resume,
	type Try,
	tried,
	type Wait,
	waited,
} from "./request-progress.ts";
import { createRotationReporter, type RotationReporter } from "./rotation-reporter.ts";
import { reasonIn, type ServeDeps, type StreamRequest, serve } from "./serve.ts";
import { signedOutInARow, switchedOffMeanwhile, unexpected } from "./turn-texts.ts";

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
	/** Asks, beside the request, whether an account that cools is back early. */
	readonly recheckCooling: () => void;
	/** What serves once all included quota is out. */
	readonly beyond: Beyond;
}

/** A waiting request looks at the clock and at the state file this often. */
const WAIT_TICK_MS = 1000;
const SHORTEST_TICK_MS = 250;

/** One request while it goes from account to account. */
interface Run {
	readonly request: StreamRequest;
	readonly asked: RequestInfo;
	readonly sink: EventSink;
	readonly deps: FailoverDeps;
	readonly inquiries: Inquiries;
	readonly reporter: RotationReporter;
}

let lastRunId = 0;

/**
 * Serves one request from the pool: choose an account, try it, and as long as nothing was shown go on with another one
 * when the fault is the account's. `sink` gets what pi's own stream would give, and always exactly one final event.
 */
export async function failover(request: StreamRequest, sink: EventSink, deps: FailoverDeps): Promise<void> {
	const { model, options } = request;
	const fail = (reason: "aborted" | "error", text: string) =>
		sink.push(finalError(model, reason, text, deps.clock.now()));
	const run = begin(request, sink, deps);
	try {
		const text = await rotate(run);
		if (text !== undefined) fail("error", text);
	} catch (error) {
		// An abort ends any wait with a throw; anything else is a defect of ours.
		if (options.signal?.aborted) fail("aborted", ABORTED);
		else {
			fail("error", unexpected());
			deps.pool.emit({ type: "defect", where: "request", trace: traceOf(error) });
		}
	} finally {
		run.reporter.waits(undefined);
		// A summary is done with its first answer; as a live session it would keep others from the account.
		if (!deps.affinity.isOwn(options.sessionId)) deps.pool.releaseLease(options.sessionId);
		sink.end();
	}
}

function begin(request: StreamRequest, sink: EventSink, deps: FailoverDeps): Run {
	const inquiries = createInquiries(deps.askUsage);
	lastRunId += 1;
	const asked = { modelId: request.model.id, sessionId: request.options.sessionId };
	const reporter = createRotationReporter(lastRunId, asked, { ...deps, usageKnown: inquiries.answered });
	return { request, asked, sink, deps: { ...deps, askUsage: inquiries.ask }, inquiries, reporter };
}

/** The loop: plan, decide, act. Undefined when a final event is out, else the words to end with. */
async function rotate(run: Run): Promise<string | undefined> {
	const { deps, request } = run;
	const { pool, affinity, settings, link } = deps;
	const { signal } = request.options;
	// A session whose account ran out between two requests moves as visibly as one that moves within a request.
	let progress = beginProgress(settings().rotation, pool.account(affinity.lastServed() ?? ""));
	let plan = planFor(run, progress);
	for (;;) {
		const isEnabled = settings().enabled;
		if (isEnabled) plan = await informed(plan, progress, run);
		const offers = isEnabled && !progress.isFinished ? deps.beyond.offers(plan, dryRequest(run, progress)) : [];
		const step = next(progress, plan, { isEnabled, offers, mayAsk: deps.beyond.mayAsk() });
		switch (step.kind) {
			case "done":
				return undefined;
			case "give-up":
				return step.why === "exhausted" ? giveUp(run, progress) : GIVEN_UP[step.why]();
			case "hand-over":
				return deps.beyond.handOver(step.rung, run.asked);
			case "wait":
				progress = await wait(step, progress, run);
				break;
			case "try":
				progress = await attempt(step, plan, progress, run);
				break;
			case "ask":
				progress = await ask(step.offers, progress, run);
				break;
			case "redeem":
				progress = await redeem(step.rung, progress, run);
		}
		if (progress.isFinished) continue;
		// A wait has done so, within the time that it counts.
		if (step.kind !== "wait") await raceAbort(link.sync(signal), signal);
		plan = planFor(run, progress);
	}
}

const GIVEN_UP = { "signed-out-in-a-row": signedOutInARow, "switched-off": switchedOffMeanwhile } as const;

/** The plan, once all is known that may be looked up of what lies beyond included quota. */
async function informed(plan: Plan, progress: Progress, run: Run): Promise<Plan> {
	if (plan.next || progress.isFinished) return plan;
	const { signal } = run.request.options;
	const isAsked = await raceAbort(run.deps.beyond.lookUp(plan, signal), signal);
	return isAsked ? planFor(run, progress) : plan;
}

function dryRequest({ request, deps }: Run, { waitBudgetMs }: Progress): DryRequest {
	return { request, served: deps.affinity.lastServed(), patienceMs: waitBudgetMs };
}

/**
 * Who serves now, as the request knows it. A session that has waited for its own account goes back to it, also where
 * its cache is gone.
 */
function planFor({ request: { model, options }, deps: { pool, affinity } }: Run, progress: Progress): Plan {
	pool.detectChanges();
	const served = affinity.lastServed();
	const own = progress.hasWaited ? served : affinity.account();
	return pool.plan({
		modelId: model.id,
		sessionId: options.sessionId,
		affinity: own,
		served,
		...askedOf(progress),
	});
}

/** Has the account of `step` serve. */
async function attempt(step: Try, plan: Plan, progress: Progress, run: Run): Promise<Progress> {
	const { request, sink, deps, reporter } = run;
	const { pool, clock } = deps;
	const { account, on } = step;
	// Of several processes that find the same weak evidence, one asks.
	const isMine = !step.isTrial || (await raceAbort(pool.claimTrial(account.id), request.options.signal));
	if (!isMine) return { ...progress, hadTrial: true };
	reporter.accountChosen(step, progress.previous, plan, selectionReason(plan, account));
	noteSource(step, plan, run);
	const began = clock.now();
	const push = (event: AssistantMessageEvent) => {
		if (event.type === "done") {
			convict(progress, run);
			if (step.isTrial) pool.endTrial(account.id, request.model.id, began);
		}
		reporter.firstOutput(account);
		sink.push(event);
	};
	const served = await serve(account, request, step.others, push, deps, on);
	// Two accounts have refused the same: the request may be at fault, so neither rests, but a third is tried first.
	const isAlike = served.kind === "finished" && isProbing(progress) && served.failure?.remedy === "try-elsewhere-once";
	if (isAlike) pool.doubt([...progress.suspects.map((suspect) => suspect.account.id), account.id]);
	return tried(progress, step, served);
}

/** Another account has served what these refused: the fault is theirs. */
function convict({ suspects }: Progress, { request: { model }, deps: { pool } }: Run): void {
	for (const { account, failure, message } of suspects) {
		if (!failure.cooling) continue;
		pool.cool(account, failure.cooling, model.id);
		pool.noteError(account.id, reasonIn(message));
	}
}

/** A session's own requests tell what it is served from, not those of a summary. */
function noteSource({ account, on }: Try, plan: Plan, { asked, deps }: Run): void {
	if (!deps.affinity.isOwn(asked.sessionId)) return;
	const { gate } = plan.order.find((ranked) => ranked.account === account) ?? gatedIn(plan, account.id) ?? {};
	const until = gate?.kind === "credits" || gate?.kind === "cooling" ? gate.until : undefined;
	deps.beyond.serves(on, account, until, asked);
}

/** Asks the person what is to serve, and looks meanwhile whether quota is back: then the question is taken away. */
async function ask(offers: readonly Offer[], progress: Progress, run: Run): Promise<Progress> {
	const { deps, request, reporter } = run;
	const { signal } = request.options;
	const answered = run.inquiries.answered();
	if (answered) {
		// What usage says of a refusal that named no reset may change what is offered.
		await raceAbort(answered, signal);
		return progress;
	}
	reporter.waits(undefined);
	const closing = new AbortController();
	const untilClosed = signal ? AbortSignal.any([signal, closing.signal]) : closing.signal;
	try {
		const answering = raceAbort(deps.beyond.ask(offers, untilClosed), signal);
		const answer = await Promise.race([answering, quotaIsBack(progress, run, untilClosed)]);
		if (answer === undefined) return resume(progress);
		if (answer.kind === "take") return chose(progress, answer.rung, deps.clock.now());
		return { ...progress, isStopped: answer.kind === "stop" };
	} finally {
		closing.abort();
	}
}

/** Resolves once an account can serve again, or we are switched off. */
async function quotaIsBack(progress: Progress, run: Run, signal: AbortSignal): Promise<undefined> {
	const { pause, recheckCooling, link } = run.deps;
	for (;;) {
		await pause(WAIT_TICK_MS, signal);
		recheckCooling();
		await raceAbort(link.sync(signal), signal);
		if (!run.deps.settings().enabled || planFor(run, resume(progress)).next) return undefined;
	}
}

async function redeem(rung: ResetCreditRung, progress: Progress, { deps, request }: Run): Promise<Progress> {
	const { signal } = request.options;
	const isFull = await raceAbort(deps.beyond.redeem(rung, signal), signal);
	return isFull ? redeemed(progress, rung) : closed(progress, rung);
}

async function wait(step: Wait, progress: Progress, run: Run): Promise<Progress> {
	const { clock, link } = run.deps;
	const { signal } = run.request.options;
	const began = clock.now();
	const tickMs = await tick(step, run);
	await raceAbort(link.sync(signal), signal);
	// A clock that was set back has not given the time back.
	return waited(progress, Math.max(tickMs, clock.now() - began));
}

/** One look at the clock later. Returns how long that was meant to be, ms. */
async function tick({ until, now, forRoom, budgetMs }: Wait, { request, deps, reporter }: Run): Promise<number> {
	const { random, recheckCooling, pause } = deps;
	reporter.waits({ until, forRoom });
	recheckCooling();
	const waitMs = until - now;
	// Processes that wait for one account do not come back all at once: each shall see who was there before it.
	const spreadMs = waitMs <= WAIT_TICK_MS ? random() * WAIT_TICK_MS : 0;
	const tickMs = Math.min(Math.max(waitMs, SHORTEST_TICK_MS), WAIT_TICK_MS) + spreadMs;
	const boundedMs = Math.min(tickMs, budgetMs);
	await pause(boundedMs, request.options.signal);
	return boundedMs;
}

/** The words to end with. They name a time, so the usage that was asked for is waited for, a moment. */
async function giveUp(run: Run, progress: Progress): Promise<string> {
	const { inquiries, request, deps } = run;
	const answered = inquiries.answered();
	if (answered) await raceAbort(answered, request.options.signal);
	const plan = planFor(run, progress);
	const { why, text } = endingOf(progress, plan, deps.beyond.leftovers(plan, dryRequest(run, progress)));
	if (why) deps.pool.emit({ type: "exhausted", why, asked: run.asked });
	return text;
}
