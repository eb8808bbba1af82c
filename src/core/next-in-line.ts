import type { Account } from "./account.ts";
import type { Affinity } from "./affinity.ts";
import type { AccountId, SessionId } from "./ids.ts";
import type { Pool, SelectionRequest } from "./pool.ts";

/** What a request is offered first. */
export interface Offer {
	/** Undefined where no account is ready that others do not need more. */
	readonly account: Account | undefined;
	/** Accounts that the choice left out: those that were tried, and those whose quota is left to others. */
	readonly excluded: ReadonlySet<AccountId>;
}

const NONE: ReadonlySet<AccountId> = new Set();

/** The account that a request tries next, when it is done with `tried`. Neither waits nor asks. */
export function firstOffer(pool: Pool, question: SelectionRequest, tried: ReadonlySet<AccountId> = NONE): Offer {
	const { served, patienceMs = 0 } = question;
	const excluded = new Set([...tried, ...pool.crowded(question, served, patienceMs).keys()]);
	const doubted = pool.doubted();
	// A doubt is no reason to spend credits: not even the session's own account is chosen for them here.
	const withoutDoubted = { ...question, served: undefined, excluded: new Set([...excluded, ...doubted]) };
	const account = doubted.size > 0 ? pool.choose(withoutDoubted) : undefined;
	return { account: account ?? pool.choose({ ...question, excluded }), excluded };
}

/** Of whom the next request would be. */
export interface Asker {
	readonly modelId: string | undefined;
	readonly sessionId: SessionId | undefined;
	/** How long the session waits for an account, ms. */
	readonly patienceMs: number;
}

/**
 * The account that serves the session's next request, as that request itself will choose; undefined where none is ready.
 * `without`: as if these were gone.
 */
export function nextInLine(
	pool: Pool,
	affinity: Pick<Affinity, "account" | "lastServed">,
	asker: Asker,
	without: ReadonlySet<AccountId> = NONE,
): Account | undefined {
	const question = { ...asker, affinity: affinity.account(), served: affinity.lastServed() };
	// A request that has waited in vain for room takes an account of which others need the rest.
	return firstOffer(pool, question, without).account ?? pool.choose({ ...question, excluded: without });
}
