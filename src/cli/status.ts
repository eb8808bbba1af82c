import type { PoolView } from "../core/pool/pool-view.ts";
import { includedOf } from "../core/quota.ts";
import { readyCount } from "../core/request/plan.ts";
import { poolAsJson, poolAsText } from "../features/accounts/show-view.ts";
import { footerLine } from "../features/footer/line.ts";
import { footerModel } from "../features/footer/model.ts";
import type { StatusDocument } from "../pi/json-schemas.ts";
import { maskedOutcome } from "../pi/mask-emails.ts";
import { documentText, shown } from "../pi/output.ts";
import { viewOf } from "../pi/view-of-pool.ts";
import { lazily } from "../platform/lazily.ts";
import type { StatusAsked } from "./arguments.ts";
import type { StoredPool } from "./stored-pool.ts";
import { BROKEN_LINE, NOT_YET_TAKEN_OVER } from "./texts.ts";

/** Exit codes of `status`. */
export const READY = 0;
export const BROKEN = 1;
export const NONE_READY = 3;

/** The status at one moment. */
export interface Status {
	/** For standard output, including its last line end. May be empty. */
	readonly text: string;
	/** For standard error, one line each. */
	readonly problems: readonly string[];
	readonly code: number;
	/** Times at which it changes by itself, epoch ms: `returns` count down by the second, `resets` change it once. */
	readonly returns: readonly number[];
	readonly resets: readonly number[];
}

/** Reads the pool. `columns` tells the width of the terminal, which the line does not need. */
export function statusOf(
	stored: StoredPool,
	{ form, isWatching, columns: ofLine }: StatusAsked,
	columns: () => number,
): Status {
	const { pool, settings, clock } = stored;
	const plan = pool.plan(stored.nextOfLast());
	const isForeign = stored.isForeign();
	const now = settings.read();
	const { accounts: broken, others } = stored.problems();
	const problems = [...broken, ...others];
	const line = () => {
		return footerLine(footerModel(plan, now, { isForeign, floorsOf: pool.floors }), ofLine, (_tone, text) => text);
	};
	// The line needs none of this, and a status bar requests nothing else.
	const view = lazily(() =>
		viewOf(pool, now, clock.now(), { account: plan.next, isForeign }, undefined, undefined, stored.sharedPool()),
	);
	const table = () => {
		const isNotYetOurs = pool.accounts().length === 0 && stored.piAuth.peek().kind === "oauth";
		return isNotYetOurs ? NOT_YET_TAKEN_OVER : poolAsText(view(), columns());
	};
	const document = (): StatusDocument => {
		return { ...poolAsJson(view()), ready: readyCount(plan), usable: plan.total, line: line() };
	};
	// If the accounts cannot be read, the problems say so and nothing else is known.
	const isKnown = broken.length === 0;
	const outcome = maskedOutcome(
		{
			text: isKnown && form !== "json" ? { line, text: table }[form]() : "",
			json: isKnown && form === "json" ? document() : undefined,
		},
		now.maskEmails,
	);
	const isServed = readyCount(plan) > 0 || (isForeign && now.enabled);
	const isReadyOrNot = isServed ? READY : NONE_READY;
	return {
		text: printed(form, isKnown, outcome, isWatching),
		problems,
		code: problems.length > 0 ? BROKEN : isReadyOrNot,
		...(isWatching ? timesIn(view()) : { returns: [], resets: [] }),
	};
}

function printed(
	form: StatusAsked["form"],
	isKnown: boolean,
	{ text, json }: { readonly text: string; readonly json: unknown },
	isWatching: boolean,
): string {
	if (!isKnown) return form === "line" ? `${BROKEN_LINE}\n` : "";
	// While watching, print one document per line.
	if (form === "json") return `${documentText(json, isWatching ? undefined : 2)}\n`;
	return `${shown(text)}\n`;
}

function timesIn({ accounts, now }: PoolView): Pick<Status, "returns" | "resets"> {
	const isAhead = (at: number | undefined): at is number => at !== undefined && at > now;
	const windows = accounts.flatMap(({ usage }) => (usage ? includedOf(usage) : []));
	return {
		returns: accounts.map(({ readyAt }) => readyAt).filter(isAhead),
		resets: windows.map(({ resetsAt }) => resetsAt).filter(isAhead),
	};
}
