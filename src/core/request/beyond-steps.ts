import { raceAbort } from "../abort.ts";
import type { DryRequest } from "../beyond/beyond.ts";
import type { Offer, ResetCreditRung } from "../beyond/ladder.ts";
import { gatedIn, type Plan } from "./plan.ts";
import type { Run } from "./request-loop.ts";
import { chose, closed, type Progress, redeemed, resume, type Try } from "./request-progress.ts";

/** How often a waiting request checks the clock and the state file. */
export const WAIT_TICK_MS = 1000;

/** Returns the plan with all facts about what may serve beyond included quota, looking them up if they are missing. */
export async function informed(plan: Plan, progress: Progress, run: Run): Promise<Plan> {
	if (plan.next || progress.isFinished) return plan;
	const { signal } = run.request.options;
	const isAsked = await raceAbort(run.deps.beyond.lookUp(plan, signal), signal);
	return isAsked ? run.plan(progress) : plan;
}

/** Describes the request to whatever looks for offers beyond included quota. */
export function dryRequest({ request, deps }: Run, { waitBudgetMs }: Progress): DryRequest {
	return { request, served: deps.affinity.lastServed(), patienceMs: waitBudgetMs };
}

/** Records what the session is served from. Only the session's own requests count, not those of a summary. */
export function noteSource({ account, on }: Try, plan: Plan, { asked, deps }: Run): void {
	if (!deps.affinity.isOwn(asked.sessionId)) return;
	const { gate } = plan.order.find((ranked) => ranked.account === account) ?? gatedIn(plan, account.id) ?? {};
	const until = gate?.kind === "credits" || gate?.kind === "cooling" ? gate.until : undefined;
	deps.beyond.serves(on, account, until, asked);
}

/** Asks the person what should serve. Closes the question as soon as quota is back. */
export async function ask(offers: readonly Offer[], progress: Progress, run: Run): Promise<Progress> {
	const { deps, request, reporter } = run;
	const { signal } = request.options;
	const answered = run.inquiries.answered();
	if (answered) {
		// A refusal named no reset. The usage that is being fetched may change the offers, so wait for it.
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

/** Resolves once an account can serve again, or the extension is switched off. */
async function quotaIsBack(progress: Progress, run: Run, signal: AbortSignal): Promise<undefined> {
	const { pause, recheckCooling, link } = run.deps;
	for (;;) {
		await pause(WAIT_TICK_MS, signal);
		recheckCooling();
		await raceAbort(link.sync(signal), signal);
		if (!run.deps.settings().enabled || run.plan(resume(progress)).next) return undefined;
	}
}

/** Redeems the reset credit of `rung`. If that fails, this request does not try again. */
export async function redeem(rung: ResetCreditRung, progress: Progress, { deps, request }: Run): Promise<Progress> {
	const { signal } = request.options;
	const isFull = await raceAbort(deps.beyond.redeem(rung, signal), signal);
	return isFull ? redeemed(progress, rung) : closed(progress, rung);
}
