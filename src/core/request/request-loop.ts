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

/** Receives the events of the one outer stream. */
interface EventSink {
	push(event: AssistantMessageEvent): void;
	end(): void;
}

/** Dependencies of the request loop. */
export interface FailoverDeps extends ServeDeps {
	readonly link: PiLoginSync;
	/** At least 0, less than 1. */
	readonly random: () => number;
	/** Checks in the background whether a cooling account is back early. */
	readonly recheckCooling: () => void;
	/** Decides what serves once all included quota is out. */
	readonly beyond: Beyond;
}

const SHORTEST_TICK_MS = 250;
/** Maximum time counted for reading pi's file after a tick. The lock alone may take three seconds. */
const LONGEST_LOOK_MS = 5000;

/** One request, while it moves between accounts. */
export interface Run {
	readonly request: StreamRequest;
	readonly asked: RequestInfo;
	readonly sink: EventSink;
	readonly deps: FailoverDeps;
	readonly inquiries: Inquiries;
	readonly reporter: RotationReporter;
	/** Plans who serves now, given the progress of the request. */
	readonly plan: (progress: Progress) => Plan;
}

let lastRunId = 0;

/**
 * Serves one request from the pool. Chooses an account and tries it; if the account is at fault and no output was
 * shown, moves on to the next. `sink` gets what pi's own stream would give, and always exactly one final event.
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
		// An abort ends any wait by throwing. Anything else is a defect of ours.
		if (options.signal?.aborted) fail("aborted", ABORTED);
		else {
			fail("error", unexpected());
			deps.pool.emit({ type: "defect", where: "request", trace: traceOf(error) });
		}
	} finally {
		run.reporter.waits(undefined);
		// A summary is done with its first answer. Kept as a live session, it would keep others away from the account.
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

/** Runs the loop: plan, decide, act. Returns undefined once a final event is out, else the text to end with. */
async function rotate(run: Run): Promise<string | undefined> {
	const { deps, request } = run;
	const { pool, affinity, settings, link } = deps;
	const { signal } = request.options;
	// If the account ran out between two requests, the move is reported like one within a request.
	let progress = beginProgress(settings().rotation, pool.account(affinity.lastServed()));
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
		// Waiting has already synchronized, within the time it counts.
		if (step.kind !== "wait") await raceAbort(link.sync(signal), signal);
		plan = run.plan(progress);
	}
}

const GIVEN_UP = { "signed-out-in-a-row": signedOutInARow, "switched-off": switchedOffMeanwhile } as const;

/**
 * Plans with the accounts as they are now. A session that waited for its own account returns to it, even if its prompt
 * cache has expired.
 */
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

/** Lets the account of `step` serve. */
async function attempt(step: Try, plan: Plan, progress: Progress, run: Run): Promise<Progress> {
	const { request, sink, deps, reporter } = run;
	const { pool, clock } = deps;
	const { account, on } = step;
	// Several processes may find the same weak evidence. Only one of them asks.
	const isMine = !step.isTrial || (await raceAbort(pool.claimTrial(account.id), request.options.signal));
	if (!isMine) return { ...progress, hadTrial: true };
	reporter.accountChosen(step, progress.previous, plan);
	noteSource(step, plan, run);
	const began = clock.now();
	const push = (event: AssistantMessageEvent) => {
		if (event.type === "done") {
			coolSuspects(progress, run);
			if (step.isTrial) pool.endTrial(account.id, request.model.id, began);
		}
		reporter.firstOutput(account);
		sink.push(event);
	};
	const served = await serve(account, request, step.others, push, deps, on);
	if (isRefusal(served)) {
		deps.record?.({ kind: "refused", account: account.id, asked: run.asked, tookMs: clock.now() - began });
	}
	// Two accounts were refused alike, so the request may be at fault. Neither cools, but a third account is tried first.
	const isAlike = served.kind === "finished" && isProbing(progress) && served.failure?.remedy === "try-elsewhere-once";
	if (isAlike) pool.doubt([...progress.suspects.map((suspect) => suspect.account.id), account.id]);
	return tried(progress, step, served);
}

/** True if the account refused the request. An answer that broke off after its first output is counted as an answer. */
function isRefusal(served: Served): boolean {
	return served.kind === "refused" || (served.kind === "finished" && served.failure !== undefined);
}

/** Another account has served the request, so the earlier refusals were the accounts' fault. */
function coolSuspects({ suspects }: Progress, { request: { model }, deps: { pool } }: Run): void {
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
	// Count neither a change of the clock nor the time that the machine slept.
	const tookMs = clock.now() - began;
	return waited(progress, Math.min(Math.max(tookMs, tickMs), tickMs + LONGEST_LOOK_MS));
}

/** Waits until the next check. Returns how long that wait was meant to be, ms. */
async function tick({ until, now, forRoom, budgetMs }: Wait, { request, deps, reporter }: Run): Promise<number> {
	const { random, recheckCooling, pause } = deps;
	reporter.waits({ until, forRoom });
	recheckCooling();
	const waitMs = until - now;
	// Spread processes that wait for the same account, so that each sees the sessions that came before it.
	const spreadMs = waitMs <= WAIT_TICK_MS ? random() * WAIT_TICK_MS : 0;
	const tickMs = Math.min(Math.max(waitMs, SHORTEST_TICK_MS), WAIT_TICK_MS) + spreadMs;
	const boundedMs = Math.min(tickMs, budgetMs);
	await pause(boundedMs, request.options.signal);
	return boundedMs;
}

/** Returns the text to end with. It names a time, so usage that is being fetched is awaited for a moment. */
async function giveUp(run: Run, progress: Progress): Promise<string> {
	const { inquiries, request, deps } = run;
	const answered = inquiries.answered();
	if (answered) await raceAbort(answered, request.options.signal);
	const plan = run.plan(progress);
	const { why, text } = endingOf(progress, plan, deps.beyond.leftovers(plan, dryRequest(run, progress)));
	if (why) deps.pool.emit({ type: "exhausted", why, asked: run.asked });
	return text;
}
