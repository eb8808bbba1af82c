import type { Clock } from "../ports.ts";

/** What a link failed for, as far as its words tell. */
export type LinkFailure = "quota" | "sign-in" | "model" | "unreached";

/** A failure that was read from the words of another provider. */
export interface ReadFailure {
	readonly kind: LinkFailure;
	/** When the words say that it can be asked again, ms from now. */
	readonly afterMs: number | undefined;
}

/** Why, and until when, a link is not asked. */
export interface Closure {
	readonly kind: LinkFailure;
	/** Epoch ms; undefined: until something has changed. */
	readonly until: number | undefined;
}

/** Every provider has words of its own, and only words: the host keeps no status of a failed request. */
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

/** A link without quota is asked again after this long, where its words name no time. */
const QUOTA_MS = 15 * 60_000;
/** The longest time that the words of another provider are believed. */
const LONGEST_MS = 8 * 24 * 3_600_000;
/** A link that was not reached is left to the host's own retry once, then closed this long. */
const UNREACHED_MS = 60_000;
const UNREACHED_IN_A_ROW = 2;

/** Reads what a link failed for. Words that say nothing of it are those of a server or a connection. */
export function failureIn(words: string): ReadFailure {
	const read = words.slice(0, WORDS_READ);
	const kind = KINDS.find(([, pattern]) => pattern.test(read))?.[0] ?? "unreached";
	const [, amount, unit = ""] = AFTER.exec(read) ?? [];
	const factor = UNITS.find(([pattern]) => pattern.test(unit))?.[1];
	if (kind !== "quota" || amount === undefined || factor === undefined) return { kind, afterMs: undefined };
	return { kind, afterMs: Math.min(Number(amount) * factor, LONGEST_MS) };
}

/** The failures of links, as this process has met them. */
export interface LinkFailures {
	/**
	 * Takes note that `link` has failed; what closes it, or undefined where it may be asked again at once. `markNow`
	 * tells the credentials that it failed with from later ones.
	 */
	failed(link: string, failure: ReadFailure, markNow: () => string | undefined): Closure | undefined;
	/** Takes note that `link` has answered. */
	answered(link: string): void;
	/** Why `link` is not asked now; undefined where it may be. */
	closure(link: string, markNow: () => string | undefined): Closure | undefined;
	/** Another session begins: what closed a model for the session is over. */
	beginSession(): void;
}

/** Creates it over the clock. */
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
			// One from the future is over: the clock was set back since, and nothing tells how long it would have to last.
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
