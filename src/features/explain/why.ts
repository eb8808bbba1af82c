import { visibleWidth } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { Gate } from "../../core/candidate.ts";
import { iso } from "../../core/iso-time.ts";
import { selectionReasonOf, type Verdict } from "../../core/policies.ts";
import { nobodySignedIn } from "../../core/turn-texts.ts";
import type { WhyDocument } from "../../pi/json-schemas.ts";
import { about, cut, formatClock, formatDuration, formatPercent, hanging, windowLabel } from "../../ui-kit/format.ts";

/** What the next request of a session would be decided on. */
export interface WhyView {
	/** As `explain` gives them: by rank, then those without one. */
	readonly verdicts: readonly Verdict[];
	/** False while the person has switched us off: then pi serves by itself. */
	readonly isEnabled: boolean;
	/** True while pi holds a key of its own for Codex: requests are then not ours. */
	readonly isForeign: boolean;
	readonly policy: string;
	/** Undefined where the session uses none of Codex. */
	readonly model: string | undefined;
	readonly now: number;
}

/** The JSON document of `why --json`, version 1. Ids only; times are ISO 8601. */
export function whyAsJson({ verdicts, isEnabled, isForeign, policy, model }: WhyView): WhyDocument {
	const [first] = verdicts;
	return {
		version: 1,
		enabled: isEnabled,
		policy,
		model: model ?? null,
		next: first?.rank === 1 && !isForeign ? first.account.id : null,
		decidedBy: selectionReasonOf(verdicts).decidedBy ?? null,
		candidates: verdicts.map(({ account, rank, gate, decidedBy, terms }) => ({
			id: account.id,
			rank: rank ?? null,
			gate: gate ? gateAsJson(gate) : null,
			decidedBy: decidedBy ?? null,
			terms: terms.map(({ name, value, text }) => ({ name, value: value ?? null, text })),
		})),
	};
}

function gateAsJson(gate: Gate): WhyDocument["candidates"][number]["gate"] {
	if (gate.kind === "credits") return { kind: gate.kind, until: iso(gate.until) };
	if (gate.kind !== "cooling") return gate;
	return { kind: gate.kind, until: iso(gate.until), ...(gate.guessed && { guessed: true }) };
}

/** The same for a person, in lines of `columns`: who serves and why, then all accounts in the order of the choice. */
export function whyAsText(view: WhyView, columns: number): string {
	const { verdicts } = view;
	if (verdicts.length === 0) return nobodySignedIn();
	const labels = Math.max(...verdicts.map(({ account }) => visibleWidth(printable(account.label))));
	const width = Math.min(labels, Math.floor(columns / 3));
	const digits = String(verdicts.length).length;
	const rows = verdicts.flatMap((verdict, at) => {
		const label = cut(printable(verdict.account.label), width);
		const pad = " ".repeat(width - visibleWidth(label));
		const rank = String(verdict.rank ?? "-").padStart(digits);
		return hanging(`${rank} ${label}${pad}  `, rowText(view, verdict, at), columns);
	});
	// The sentence is left to wrap.
	return [headline(view), ...rows].join("\n");
}

const SWITCHED_OFF = "pi-multicodex is off: pi uses its own login. After /multicodex on it would be:";

const FOREIGN = "auth.json holds an API key for openai-codex, which serves as it is. After /logout in pi it would be:";

function headline({ verdicts, isEnabled, isForeign, policy, now }: WhyView): string {
	if (!isEnabled) return SWITCHED_OFF;
	if (isForeign) return FOREIGN;
	const [first, second] = verdicts;
	if (first?.rank !== 1) return noneReady(verdicts, now);
	const { decidedBy, terms } = selectionReasonOf(verdicts);
	const term = terms.find(({ name }) => name === decidedBy);
	const because = term ? reasonText(term.name, term.text, second?.gate) : "no other account can";
	if (first.gate?.kind === "credits") {
		return `${printable(first.account.label)} serves next on bought credits: no account has included quota left.`;
	}
	return `${printable(first.account.label)} serves next (${policy}): ${because}.`;
}

/** Why a term puts an account first, as the end of a sentence. `text` is what it was measured at. */
function reasonText(term: string, text: string, next: Gate | undefined): string {
	switch (term) {
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

function noneReady(verdicts: readonly Verdict[], now: number): string {
	const gates = verdicts.flatMap(({ gate }) => (gate && "until" in gate ? [gate] : []));
	if (gates.length === 0) return "No account can serve the next request.";
	const first = Math.min(...gates.map(({ until }) => until));
	const isGuess = gates.some((gate) => gate.until === first && gate.kind === "cooling" && gate.guessed);
	const what = verdicts.some(({ gate }) => gate?.kind === "crowded") ? "has room" : "can serve";
	return `No account ${what} before ${about(isGuess)}${formatClock(first, now)}, in ${formatDuration(first - now)}.`;
}

/** What decided about an account: against the one before it, or, for the first, against the next. */
function rowText({ verdicts, now }: WhyView, verdict: Verdict, at: number): string {
	const { gate, terms, rank } = verdict;
	if (rank === undefined) return gate ? gateText(gate, now) : "";
	if (gate?.kind === "credits") return `on bought credits until ${formatClock(gate.until, now)}`;
	const name = at === 0 ? selectionReasonOf(verdicts).decidedBy : verdict.decidedBy;
	return terms.find((term) => term.name === name)?.text ?? "the only one";
}

function gateText(gate: Gate, now: number): string {
	switch (gate.kind) {
		case "cooling":
			return `${gate.ofQuota ? "out of quota" : "resting"} until ${about(gate.guessed)}${formatClock(gate.until, now)}, in ${formatDuration(gate.until - now)}`;
		case "credits":
			return `out of quota until ${formatClock(gate.until, now)}, bought credits are left`;
		case "disabled":
			return "off";
		case "needs-login":
			return "signed out";
		case "reserve":
			return `kept in reserve: ${formatPercent(gate.leftPercent)} of ${windowLabel(gate.window)} left`;
		case "crowded":
			return `kept for its ${gate.live} live ${gate.live === 1 ? "session" : "sessions"}`;
	}
}
