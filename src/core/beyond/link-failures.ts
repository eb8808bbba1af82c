import type { Clock } from "../ports.ts";

/** Why a link failed, as far as its message shows. */
export type LinkFailure = "quota" | "sign-in" | "model" | "unreached";

/** A failure as read from another provider's message. */
interface ReadFailure {
	readonly kind: LinkFailure;
	/** When the message says that the link can be asked again, ms from now. */
	readonly afterMs: number | undefined;
}

/** Why a link is not asked, and until when. */
export interface Closure {
	readonly kind: LinkFailure;
	/** Epoch ms; undefined until something has changed. */
	readonly until: number | undefined;
}

/**
 * How much of a message is read. Providers have only messages of their own: the host keeps no status of a failed
 * request.
 */
const WORDS_READ = 2000;
const KINDS: readonly (readonly [LinkFailure, RegExp])[] = [
	[
		"quota",
		/\b429\b|rate.?limit|too many requests|quota|usage limit|credit balance|insufficient|billing|out of (?:budget|credits)|available balance|retry delay|\b402\b/i,
	],
	[
		"model",
		/model.{0,80}(?:not found|does not exist|not supported|unknown|no access|deprecated)|\b404\b|not_found_error/i,
	],
	[
		"sign-in",
		/\b40[13]\b|unauthori[sz]ed|authentication|invalid.{0,20}key|api.?key|forbidden|permission|no credentials/i,
	],
];
const AFTER =
	/(?:retry|again|resets?|wait|requested).{0,40}?(\d{1,6}(?:\.\d{1,3})?)\s?(ms|s|sec|seconds?|m|min|minutes?|h|hours?)\b/i;
const UNITS: readonly (readonly [RegExp, number])[] = [
	[/^ms/i, 1],
	[/^s/i, 1000],
	[/^m/i, 60_000],
	[/^h/i, 3_600_000],
];

/** How soon a link without quota is asked again if its message names no time. */
const QUOTA_MS = 15 * 60_000;
/** The longest wait that another provider's message may ask for. */
const LONGEST_MS = 8 * 24 * 3_600_000;
/** An unreachable link is left to the host's own retry once, then closed for this long. */
const UNREACHED_MS = 60_000;
const UNREACHED_IN_A_ROW = 2;

/** Reads why a link failed. A message that says nothing about that is taken for a server or connection failure. */
export function failureIn(words: string): ReadFailure {
	const read = words.slice(0, WORDS_READ);
	const kind = KINDS.find(([, pattern]) => pattern.test(read))?.[0] ?? "unreached";
	const [, amount, unit = ""] = AFTER.exec(read) ?? [];
	const factor = UNITS.find(([pattern]) => pattern.test(unit))?.[1];
	if (kind !== "quota" || amount === undefined || factor === undefined) return { kind, afterMs: undefined };
	return { kind, afterMs: Math.min(Number(amount) * factor, LONGEST_MS) };
}

/** The failures of links, as seen by this process. */
export interface LinkFailures {
	/**
	 * Records that `link` has failed. Returns what closes it, or undefined if it may be asked again at once. `markNow`
	 * distinguishes the credentials that it failed with from later ones.
	 */
	failed(link: string, failure: ReadFailure, markNow: () => string | undefined): Closure | undefined;
	/** Records that `link` has answered. */
	answered(link: string): void;
	/** Returns why `link` is not asked now; undefined if it may be. */
	closure(link: string, markNow: () => string | undefined): Closure | undefined;
	/** Starts another session: closures that applied to the last session end. */
	beginSession(): void;
}

/** Creates the record of failures, empty. */
export function createLinkFailures(clock: Clock): LinkFailures {
	const closures = new Map<string, Closure & { readonly setAt: number; readonly mark: string | undefined }>();
	const unreached = new Map<string, number>();

	const closureFor = ({ kind, afterMs }: ReadFailure): Closure => {
		switch (kind) {
			case "quota":
				return { kind, until: clock.now() + (afterMs ?? QUOTA_MS) };
			case "unreached":
				return { kind, until: clock.now() + UNREACHED_MS };
			default:
				return { kind, until: undefined };
		}
	};
	return {
		failed: (link, failure, markNow) => {
			const times = failure.kind === "unreached" ? (unreached.get(link) ?? 0) + 1 : 0;
			unreached.set(link, times);
			if (failure.kind === "unreached" && times < UNREACHED_IN_A_ROW) return undefined;
			const closure = closureFor(failure);
			const mark = closure.kind === "sign-in" ? markNow() : undefined;
			closures.set(link, { ...closure, setAt: clock.now(), mark });
			return closure;
		},
		answered: (link) => {
			closures.delete(link);
			unreached.delete(link);
		},
		closure: (link, markNow) => {
			const closure = closures.get(link);
			if (!closure) return undefined;
			const { kind, until } = closure;
			const now = clock.now();
			// A closure from the future has ended: the clock was set back, and its remaining time is unknown.
			const isOutlived = until !== undefined && (until <= now || closure.setAt > now);
			const isSignedInAgain = kind === "sign-in" && markNow() !== closure.mark;
			if (!isOutlived && !isSignedInAgain) return { kind, until };
			closures.delete(link);
			return undefined;
		},
		beginSession: () => {
			for (const [link, { kind }] of closures) if (kind === "model") closures.delete(link);
			unreached.clear();
		},
	};
}
