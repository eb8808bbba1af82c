import { printable } from "../../core/account.ts";
import type { Amounts } from "../../core/ledger/ledger.ts";
import type { PoolView, ShownAccount } from "../../core/pool/pool-view.ts";
import { type Fact, factLines, factsOf } from "../../ui-kit/account-details.ts";
import { amountsText } from "../../ui-kit/amount-texts.ts";
import { formatPast, hanging, plural } from "../../ui-kit/format.ts";
import { type Line, span } from "../../ui-kit/panel.ts";
import { labelIn, type Move } from "./moves.ts";
import { causeOf, notesOf } from "./texts.ts";

/** What the details of an account are made of. */
interface AccountDetails {
	readonly shown: ShownAccount;
	readonly view: PoolView;
	/** True while its usage is being fetched. */
	readonly isAsking: boolean;
	/** Newest first. */
	readonly moves: readonly Move[];
	/** What it was used for today; undefined for nothing. */
	readonly today: Amounts | undefined;
}

/** Maximum number of moves shown per account. */
const MOST_MOVES = 4;

/** Formats everything known of one account in lines of `width`, problems first. */
export function accountLines({ shown, view, isAsking, moves, today }: AccountDetails, width: number): Line[] {
	const { now, accounts } = view;
	const { account, sessions } = shown;
	const labels = accounts.map((each) => each.account);
	const facts = factsOf(shown, now).map(([name, text]): Fact => {
		return [name, name === "usage" && isAsking ? `${text}, asking now` : text];
	});
	const its = moves.filter(({ from, to }) => from === account.id || to === account.id).slice(0, MOST_MOVES);
	const moved = its.map(({ at, from, to, reason, window }, index): Fact => {
		const way = `${labelIn(labels, from)} to ${labelIn(labels, to)}`;
		return [index === 0 ? "last moves" : "", `${formatPast(at, now)} ${way}: ${causeOf(reason, window)}`];
	});
	const inUse: Fact[] = sessions > 0 ? [["in use", `by ${plural(sessions, "session")}`]] : [];
	const used: Fact[] = today ? [["today", amountsText(today)]] : [];
	return [
		// The facts already say what shares the account.
		...notesOf({ ...shown, shared: undefined }, view),
		...linesOf([...inUse, ...facts, ...used, ...moved], width).map((text) => [span("text", printable(text))]),
	];
}

/** In fewer columns than this, a column for names leaves too little beside it. */
const NARROW = 45;

function linesOf(facts: readonly Fact[], width: number): string[] {
	if (width >= NARROW) return factLines(facts, width);
	return facts.flatMap(([name, text]) => hanging(name === "" ? "  " : `${printable(name)}: `, printable(text), width));
}
