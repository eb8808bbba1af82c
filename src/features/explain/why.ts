import { visibleWidth } from "@mariozechner/pi-tui";
import { type Account, printable } from "../../core/account.ts";
import { type AccountSet, EVERYWHERE } from "../../core/account-sets.ts";
import type { Offer } from "../../core/beyond/ladder.ts";
import { iso } from "../../core/iso-time.ts";
import type { Gate } from "../../core/request/candidate.ts";
import { firstBack, type Plan, type Ranked } from "../../core/request/plan.ts";
import { noAccountSignedIn } from "../../core/request/turn-texts.ts";
import { type SharedPoolStatus, sharedUseOf, usersOf } from "../../core/shared-pool.ts";
import type { WhyDocument } from "../../pi/json-schemas.ts";
import {
	about,
	formatClock,
	formatDuration,
	formatPast,
	formatPercent,
	hanging,
	truncate,
	windowLabel,
} from "../../ui-kit/format.ts";
import { awayWord, sharedUseAsJson, usersText } from "../../ui-kit/shared-texts.ts";

/** What the next request of a session is decided on. */
interface WhyView {
	readonly plan: Plan;
	/** False while the extension is switched off and pi serves by itself. */
	readonly isEnabled: boolean;
	/** True while pi holds its own API key for Codex. Requests are then not ours. */
	readonly isForeign: boolean;
	readonly policy: string;
	/** Undefined if the session uses no Codex model. */
	readonly model: string | undefined;
	/** The link of the chain that serves in place of the pool. */
	readonly link?: string | undefined;
	/** The pool that this machine shares with others. */
	readonly sharedPool?: SharedPoolStatus | undefined;
	/** What may serve if no account can from included quota, or after the one that serves on bought credits. */
	readonly offers?: readonly Offer[];
}

/** Returns the document of `why --json`, version 1. Ids only; times are ISO 8601. */
export function whyAsJson(view: WhyView): WhyDocument {
	const { plan, isEnabled, isForeign, policy, model, link, offers = [], sharedPool } = view;
	const [first, second] = plan.order;
	const sharedOf = ({ id, shared }: Account) =>
		shared && sharedPool ? { shared: sharedUseAsJson(sharedUseOf(id, sharedPool)) } : {};
	const beyond = offers.flatMap(offerAsJson);
	return {
		version: 1,
		enabled: isEnabled,
		policy,
		model: model ?? null,
		...(plan.set && { set: [...plan.set.accounts] }),
		next: first && !isForeign ? first.account.id : null,
		...(link !== undefined && { link }),
		decidedBy: second?.decidedBy ?? null,
		candidates: [
			...plan.order.map(({ account, rank, gate, decidedBy, terms }) => ({
				id: account.id,
				rank,
				gate: gate ? gateAsJson(gate) : null,
				decidedBy: decidedBy ?? null,
				terms: terms().map(({ name, value, text }) => ({ name, value: value ?? null, text })),
				...sharedOf(account),
			})),
			...plan.gated.map(({ account, gate }) => ({
				id: account.id,
				rank: null,
				gate: gateAsJson(gate),
				decidedBy: null,
				terms: [],
				...sharedOf(account),
			})),
		],
		...(beyond.length > 0 && { beyond }),
	};
}

/** A wait is left out: the gates already say when each account is back. */
function offerAsJson({ rung, consent }: Offer): NonNullable<WhyDocument["beyond"]> {
	switch (rung.kind) {
		case "wait":
			return [];
		case "chain":
			return [{ kind: rung.kind, model: rung.model, consent }];
		case "reserve-model":
			return [{ kind: rung.kind, account: rung.account.id, model: rung.model, consent }];
		case "credits":
		case "reset-credit":
			return [{ kind: rung.kind, account: rung.account.id, consent }];
	}
}

function gateAsJson(gate: Gate): WhyDocument["candidates"][number]["gate"] {
	if (gate.kind === "credits") return { kind: gate.kind, until: iso(gate.until) };
	if (gate.kind === "capped") return { ...gate, until: iso(gate.until) };
	if (gate.kind === "not-in-set") return { kind: gate.kind };
	if (gate.kind !== "cooling") return gate;
	return { kind: gate.kind, until: iso(gate.until), ...(gate.guessed && { guessed: true }) };
}

/**
 * Formats the same for a person, in lines of `columns`: who serves and why, then all accounts in the order of choice.
 */
export function whyAsText(view: WhyView, columns: number): string {
	const { order, gated, now } = view.plan;
	const all = [...order, ...gated];
	if (all.length === 0) return noAccountSignedIn();
	const labels = Math.max(...all.map(({ account }) => visibleWidth(printable(account.label))));
	const width = Math.min(labels, Math.floor(columns / 3));
	const digits = String(all.length).length;
	const row = ({ label }: Account, rank: number | undefined, text: string) => {
		const name = truncate(printable(label), width);
		const pad = " ".repeat(width - visibleWidth(name));
		return hanging(`${String(rank ?? "-").padStart(digits)} ${name}${pad}  `, text, columns);
	};
	const withUsers = ({ id, shared }: Account, text: string) => {
		const users = shared && view.sharedPool ? usersText(usersOf(id, view.sharedPool)) : undefined;
		return users === undefined ? text : `${text}; ${users}`;
	};
	// The sentence is left to wrap.
	const { set } = view.plan;
	return [
		[headline(view), ...whatFollows(view)].join(" "),
		...(set ? [`Only the account set of ${setName(set)} serves here. /multicodex only`] : []),
		...(view.sharedPool ? poolLines(view.sharedPool, now) : []),
		...order.flatMap((ranked, at) => {
			const text = decisiveText(ranked, order[at + 1], now);
			return row(ranked.account, ranked.rank, withUsers(ranked.account, text));
		}),
		...gated.flatMap(({ account, gate }) => row(account, undefined, withUsers(account, gateText(gate, now)))),
	].join("\n");
}

/** Says who renews shared accounts, if this machine does not. */
function poolLines({ name, role, connection }: SharedPoolStatus, now: number): string[] {
	const pool = printable(name);
	const runner =
		role === "runner" ? [`This machine is a runner of ${pool}: shared accounts are renewed by keepers.`] : [];
	if (connection.kind !== "away") return runner;
	const since = formatPast(connection.since, now);
	const away = `The shared pool ${pool} is ${awayWord(connection)} since ${since}: shared accounts keep serving with their current tokens, but no token is renewed. /multicodex share`;
	return [...runner, away];
}

function setName({ folder }: AccountSet): string {
	return folder === EVERYWHERE ? "settings.json, which cannot be read," : printable(folder);
}

const SWITCHED_OFF = "pi-multicodex is off: pi serves by itself. After /multicodex on it would be:";

const FOREIGN = "auth.json has an API key for openai-codex, which pi uses directly. After /logout in pi it would be:";

function headline({ plan, isEnabled, isForeign, policy, link }: WhyView): string {
	if (!isEnabled) return SWITCHED_OFF;
	if (isForeign) return FOREIGN;
	const [first, second] = plan.order;
	if (!first && link !== undefined) return `${printable(link)} serves next, from your chain. ${noneReady(plan)}`;
	if (!first) return noneReady(plan);
	const name = printable(first.account.label);
	if (first.gate?.kind === "credits") {
		return `${name} serves next on bought credits: no account has included quota left.`;
	}
	const term = first.terms().find((each) => each.name === second?.decidedBy);
	const because = term ? reasonText(term.name, term.text, second?.gate) : "no other account can";
	return `${name} serves next (${policy}): ${because}.`;
}

/** Lists what may serve then, in order. */
function whatFollows({ plan, offers = [], link, isEnabled, isForeign }: WhyView): string[] {
	const texts = isEnabled && !isForeign && link === undefined ? offers.flatMap(offerText) : [];
	if (texts.length === 0) return [];
	return [`${plan.order.length > 0 ? "After that" : "Until then"}: ${texts.join(", then ")}.`];
}

function offerText({ rung, consent }: Offer): string[] {
	const yes = consent === "ask" ? " (asks first)" : "";
	switch (rung.kind) {
		case "credits":
			return [`bought credits of ${printable(rung.account.label)}${yes}`];
		case "reserve-model":
			return [`Luna Reserve of ${printable(rung.account.label)}${yes}`];
		case "reset-credit":
			return [`a reset of ${printable(rung.account.label)}${yes}`];
		case "chain":
			return [`${printable(rung.model)}${yes}`];
		case "wait":
			return [];
	}
}

/** Says why a term puts an account first, as the end of a sentence. `text` is the measured value. */
function reasonText(term: string, text: string, next: Gate | undefined): string {
	switch (term) {
		case "doubt":
			return "the others refused requests lately";
		case "pin":
			return "it is pinned";
		case "session":
			return "it served this session last";
		case "reserve":
			return next?.kind === "reserve"
				? `the others have no more than their reserve of ${windowLabel(next.window)}`
				: text;
		case "room":
			return `it has room for a session, ${text}`;
		case "fresh":
			return `its windows are the freshest, ${text}`;
		case "expires":
			return `its quota expires soonest, ${text}`;
		case "headroom":
			return `no other has more, ${text}`;
		case "live":
			return `it is the least busy, ${text}`;
		case "turn":
			return "it is its turn";
		case "list":
			return "all else is equal, and it comes first in the list";
		default:
			return text;
	}
}

function noneReady(plan: Plan): string {
	const { gated, now, trial } = plan;
	const first = firstBack(plan);
	const what = gated.some(({ gate }) => gate.kind === "crowded") ? "has room" : "can serve";
	if (trial && what === "can serve") {
		return `No account is known to have quota left. ${printable(trial.label)} is asked once more, because what is known of it is old or a guess.`;
	}
	if (!first) return "No account can serve the next request.";
	const { readyAt, isGuess } = first;
	return `No account ${what} before ${returnText(readyAt, now, isGuess)}.`;
}

/** Says what decided about an account: compared with the previous one or, for the first, with the next. */
function decisiveText({ rank, gate, terms, decidedBy }: Ranked, following: Ranked | undefined, now: number): string {
	if (gate?.kind === "credits") return `on bought credits until ${formatClock(gate.until, now)}`;
	const name = rank === 1 ? following?.decidedBy : decidedBy;
	return terms().find((term) => term.name === name)?.text ?? "the only one";
}

/** Formats a time ahead, on the clock and from now. */
function returnText(at: number, now: number, isGuess?: boolean): string {
	return `${about(isGuess)}${formatClock(at, now)}, in ${formatDuration(at - now)}`;
}

function gateText(gate: Gate, now: number): string {
	switch (gate.kind) {
		case "cooling":
			return `${gate.ofQuota ? "out of quota" : "resting"} until ${returnText(gate.until, now, gate.guessed)}`;
		case "credits":
			return `out of quota until ${formatClock(gate.until, now)}, bought credits are left`;
		case "disabled":
			return "off";
		case "needs-login":
			return "signed out";
		case "reserve":
			return `kept in reserve: ${formatPercent(gate.leftPercent)} of ${windowLabel(gate.window)} left`;
		case "capped": {
			const end = gate.until === undefined ? "" : ` until ${returnText(gate.until, now)}`;
			const left = `${formatPercent(gate.leftPercent)} of ${windowLabel(gate.window)} left`;
			return `at its cap: ${left}, ${formatPercent(gate.floorPercent)} kept${end}`;
		}
		case "not-in-set":
			return "not in the account set of this folder";
		case "crowded":
			return `kept for its ${gate.live} live ${gate.live === 1 ? "session" : "sessions"}`;
	}
}
