import type { Rung } from "../../core/ladder.ts";
import type { Clock, RememberedConsents, StateStore } from "../../core/ports.ts";

/** The kinds of rungs that a yes for the whole day may cover. */
const KINDS = ["credits", "reserve-model", "chain", "wait"] as const satisfies readonly Rung["kind"][];

/** What the person has said yes to for the rest of the day, in every process of this machine. */
export interface ForToday extends RememberedConsents {
	/** Remembers a yes until midnight, by the local clock. A reset credit is never remembered. */
	remember(kind: Rung["kind"]): Promise<void>;
	/** Kinds of rungs that are covered now, and until when, epoch ms. */
	list(): readonly { readonly kind: Rung["kind"]; readonly until: number }[];
	/** Ends all of it. */
	forget(): Promise<void>;
}

/** No day is longer, also where the clocks change. A time beyond that is of a clock that was wrong. */
const LONGEST_DAY_MS = 26 * 60 * 60_000;

/** Creates it over the state file. */
export function createForToday(
	state: Pick<StateStore, "consents" | "giveConsent" | "endConsents">,
	clock: Clock,
): ForToday {
	const list: ForToday["list"] = () => {
		const [given, now] = [state.consents(), clock.now()];
		return KINDS.flatMap((kind) => {
			const until = given.get(kind);
			const holds = until !== undefined && until > now && until - now <= LONGEST_DAY_MS;
			return holds ? [{ kind, until }] : [];
		});
	};
	return {
		holds: (rung) => list().some(({ kind }) => kind === rung.kind),
		list,
		remember: async (kind) => {
			const isKnown = KINDS.some((known) => known === kind);
			if (isKnown) await state.giveConsent(kind, midnightAfter(clock.now()));
		},
		forget: () => state.endConsents(),
	};
}

function midnightAfter(now: number): number {
	return new Date(now).setHours(24, 0, 0, 0);
}
