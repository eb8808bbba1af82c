import type { Account } from "../account.ts";
import { EVERYWHERE } from "../account-sets.ts";
import type { Leftovers } from "../beyond/beyond.ts";
import { withoutRefusal } from "../cooldown.ts";
import type { Exhaustion } from "../events.ts";
import { type Gated, gatedIn, type Plan } from "./plan.ts";
import type { Progress } from "./request-progress.ts";
import { exhausted } from "./turn-texts.ts";

/** The end of a request that no account can serve. */
interface Ending {
	/** Undefined if every account was refused for the model itself. */
	readonly why: Exhaustion | undefined;
	/** The text that ends the turn: the backend's own message where it says more. */
	readonly text: string;
}

/** Refusals of a model. If every account gets the same one, the backend's message is the better answer. */
const MODEL_REFUSALS: readonly string[] = ["model-not-supported", "not-included"];

/**
 * Counts why no account of `plan` can serve the request, each account once. `left`: what could serve beyond included
 * quota.
 */
export function endingOf(progress: Progress, plan: Plan, left?: Leftovers): Ending {
	const { refusals, suspects, lastRefusal, obstacle } = progress;
	const entries = entriesOf(plan);
	const capped = entries.filter(({ gate }) => gate?.kind === "capped");
	const usable = entries.filter((entry) => entry.readyAt !== undefined && !capped.includes(entry));
	const isSuspect = ({ id }: Account) => suspects.some(({ account }) => account.id === id);
	// The cooldown after a refused token says nothing about quota.
	const refused = usable.filter((entry) => {
		const blocking = entry.blocking();
		if (withoutRefusal(blocking).length > 0) return false;
		return blocking.length > 0 || isSuspect(entry.account);
	});
	// An account that refused a moment ago counts as spent, even if usage has ended its cooldown since.
	const cooling = usable.filter(
		(entry) => !refused.includes(entry) && (isAway(entry, plan) || refusals.has(entry.account.id)),
	);
	const notOffered = cooling.filter(
		(entry) => entry.blocking().length > 0 && entry.blocking().every(({ scope }) => scope.startsWith("model:")),
	);
	const ready = usable.filter((entry) => !cooling.includes(entry) && !refused.includes(entry));
	const isModelRefused = lastRefusal !== undefined && MODEL_REFUSALS.includes(lastRefusal.failure.kind);
	if (isModelRefused && notOffered.length === usable.length) return { why: undefined, text: lastRefusal.message };
	const spent = cooling.filter((entry) => !notOffered.includes(entry));
	const times = [...spent, ...capped].flatMap(({ readyAt }) => readyAt ?? []);
	const first = times.length > 0 ? Math.min(...times) : undefined;
	const isGuess = spent.some(({ gate, readyAt }) => readyAt === first && gate?.kind === "cooling" && gate.guessed);
	const passed = ready.filter(({ account }) => plan.passed.includes(account));
	const why: Exhaustion = {
		total: plan.total,
		cooling: cooling.length,
		notOffered: notOffered.length,
		needsLogin: entries.filter(({ gate }) => gate?.kind === "needs-login").length,
		off: entries.filter(({ gate }) => gate?.kind === "disabled").length,
		unavailable: refused.length + passed.length,
		refused: refused.length,
		tried: spent.filter(({ account }) => refusals.has(account.id)).length,
		untried: ready.length - passed.length,
		readyAt: first,
		...(isGuess && { guessed: true }),
		...(capped.length > 0 && { capped: capped.length }),
		...(plan.set && { isInSet: true, ...(plan.set.folder === EVERYWHERE && { areSetsUnreadable: true }) }),
		obstacle,
		...(left && { left }),
	};
	// No account is out of quota, so the last refusal is the better answer.
	const suspect = spent.length + capped.length === 0 && why.untried === 0 ? suspects.at(-1) : undefined;
	return { why, text: suspect?.message ?? exhausted(why, plan.now) };
}

type Entry = Pick<Gated, "account" | "readyAt" | "blocking"> & { readonly gate: Gated["gate"] | undefined };

/** Returns every account that the session may use at all, once. */
function entriesOf(plan: Plan): readonly Entry[] {
	const free = [...plan.order.map(({ account }) => account), ...plan.lastResort.map(({ account }) => account)];
	const ungated = [...free, ...plan.passed].filter(({ id }) => !gatedIn(plan, id));
	return [
		...ungated.map((account) => ({ account, readyAt: plan.now, blocking: () => [], gate: undefined })),
		...plan.gated.filter(({ gate }) => gate.kind !== "not-in-set"),
	];
}

function isAway({ readyAt = 0 }: Entry, { now }: Plan): boolean {
	return readyAt > now;
}
