import type { AssistantMessageEvent } from "@mariozechner/pi-ai";
import { raceAbort } from "../abort.ts";
import type { Beyond } from "../beyond/beyond.ts";
import type { PiLoginSync } from "../credentials/pi-login-sync.ts";
import { traceOf } from "../defect.ts";
import type { RequestInfo } from "../events.ts";
import { createInquiries, type Inquiries } from "../pool/inquiries.ts";
import { createRotationReporter, type RotationReporter } from "../pool/rotation-reporter.ts";
import { ask, dryRequest, informed, noteSource, redeem, WAIT_TICK_MS } from "./beyond-steps.ts";
import { endingOf } from "./exhaustion.ts";
import { ABORTED, finalError } from "./final-events.ts";
import type { Plan } from "./plan.ts";
import {
	askedOf,
	beginProgress,
	isProbing,
	next,
	type Progress,
	type Try,
	tried,
	type Wait,
	waited,
} from "./request-progress.ts";
import { reasonIn, type ServeDeps, type Served, type StreamRequest, serve } from "./serve.ts";
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

const SHORTEST_TICK_MS = 250;
/** A look at pi's file behind a tick takes no longer: it waits three seconds for the lock. */
const LONGEST_LOOK_MS = 5000;

/** One request while it goes from account to account. */
export interface Run {
	readonly request: StreamRequest;
	readonly asked: RequestInfo;
	readonly sink: EventSink;
	readonly deps: FailoverDeps;
	readonly inquiries: Inquiries;
	readonly reporter: RotationReporter;
	/** Who serves now, as the request knows it. */
	readonly plan: (progress: Progress) => Plan;
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
	const plan = (progress: Progress) => planFor(request, progress, deps);
	return { request, asked, sink, deps: { ...deps, askUsage: inquiries.ask }, inquiries, reporter, plan };
}

/** The loop: plan, decide, act. Undefined when a final event is out, else the words to end with. */
async function rotate(run: Run): Promise<string | undefined> {
	const { deps, request } = run;
	const { pool, affinity, settings, link } = deps;
	const { signal } = request.options;
	// A session whose account ran out between two requests moves as visibly as one that moves within a request.
	let progress = beginProgress(settings().rotation, pool.account(affinity.lastServed() ?? ""));
	let plan = run.plan(progress);
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
				return raceAbort(deps.beyond.handOver(step.rung, run.asked), signal);
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
		plan = run.plan(progress);
	}
}

const GIVEN_UP = { "signed-out-in-a-row": signedOutInARow, "switched-off": switchedOffMeanwhile } as const;

/** A session that has waited for its own account goes back to it, also where its cache is gone. */
function planFor({ model, options }: StreamRequest, progress: Progress, { pool, affinity }: FailoverDeps): Plan {
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
	reporter.accountChosen(step, progress.previous, plan);
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
	if (isRefusal(served)) {
		deps.record?.({ kind: "refused", account: account.id, asked: run.asked, tookMs: clock.now() - began });
	}
	// Two accounts have refused the same: the request may be at fault, so neither rests, but a third is tried first.
	const isAlike = served.kind === "finished" && isProbing(progress) && served.failure?.remedy === "try-elsewhere-once";
	if (isAlike) pool.doubt([...progress.suspects.map((suspect) => suspect.account.id), account.id]);
	return tried(progress, step, served);
}

/** Has the account refused the request? Of one that broke off after its first output the answer is counted. */
function isRefusal(served: Served): boolean {
	return served.kind === "refused" || (served.kind === "finished" && served.failure !== undefined);
}

/** Another account has served what these refused: the fault is theirs. */
function convict({ suspects }: Progress, { request: { model }, deps: { pool } }: Run): void {
	for (const { account, failure, message } of suspects) {
		if (!failure.cooling) continue;
		pool.cool(account, failure.cooling, model.id);
		pool.noteError(account.id, reasonIn(message));
	}
}

async function wait(step: Wait, progress: Progress, run: Run): Promise<Progress> {
	const { clock, link } = run.deps;
	const { signal } = run.request.options;
	const began = clock.now();
	const tickMs = await tick(step, run);
	await raceAbort(link.sync(signal), signal);
	// A clock that was set has neither given time back nor taken any, and a machine that slept has not waited.
	const tookMs = clock.now() - began;
	return waited(progress, Math.min(Math.max(tookMs, tickMs), tickMs + LONGEST_LOOK_MS));
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
	const plan = run.plan(progress);
	const { why, text } = endingOf(progress, plan, deps.beyond.leftovers(plan, dryRequest(run, progress)));
	if (why) deps.pool.emit({ type: "exhausted", why, asked: run.asked });
	return text;
}
