import { raceAbort } from "../abort.ts";
import type { DryRequest } from "../beyond/beyond.ts";
import type { Offer, ResetCreditRung } from "../beyond/ladder.ts";
import { gatedIn, type Plan } from "./plan.ts";
import type { Run } from "./request-loop.ts";
import { chose, closed, type Progress, redeemed, resume, type Try } from "./request-progress.ts";

/** A request that stands still looks at the clock and at the state file this often. */
export const WAIT_TICK_MS = 1000;

/** The plan, once all is known that may be looked up of what lies beyond included quota. */
export async function informed(plan: Plan, progress: Progress, run: Run): Promise<Plan> {
	if (plan.next || progress.isFinished) return plan;
	const { signal } = run.request.options;
	const isAsked = await raceAbort(run.deps.beyond.lookUp(plan, signal), signal);
	return isAsked ? run.plan(progress) : plan;
}

/** The request as what lies beyond included quota is looked for. */
export function dryRequest({ request, deps }: Run, { waitBudgetMs }: Progress): DryRequest {
	return { request, served: deps.affinity.lastServed(), patienceMs: waitBudgetMs };
}

/** A session's own requests tell what it is served from, not those of a summary. */
export function noteSource({ account, on }: Try, plan: Plan, { asked, deps }: Run): void {
	if (!deps.affinity.isOwn(asked.sessionId)) return;
	const { gate } = plan.order.find((ranked) => ranked.account === account) ?? gatedIn(plan, account.id) ?? {};
	const until = gate?.kind === "credits" || gate?.kind === "cooling" ? gate.until : undefined;
	deps.beyond.serves(on, account, until, asked);
}

/** Asks the person what is to serve, and looks meanwhile whether quota is back: then the question is taken away. */
export async function ask(offers: readonly Offer[], progress: Progress, run: Run): Promise<Progress> {
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
		if (!run.deps.settings().enabled || run.plan(resume(progress)).next) return undefined;
	}
}

/** Redeems the reset credit of `rung`. One that fails is not tried again by this request. */
export async function redeem(rung: ResetCreditRung, progress: Progress, { deps, request }: Run): Promise<Progress> {
	const { signal } = request.options;
	const isFull = await raceAbort(deps.beyond.redeem(rung, signal), signal);
	return isFull ? redeemed(progress, rung) : closed(progress, rung);
}
