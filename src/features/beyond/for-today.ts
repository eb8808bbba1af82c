import type { Rung } from "../../core/beyond/ladder.ts";
import type { Clock, RememberedConsents, StateStore } from "../../core/ports.ts";

/** The kinds of rungs for which consent may cover the whole day. */
const KINDS = ["credits", "reserve-model", "chain", "wait"] as const satisfies readonly Rung["kind"][];

/** What the person has agreed to for the rest of the day, in every process of this machine. */
export interface ForToday extends RememberedConsents {
	/**
	 * Remembers consent until midnight, local time. Consent to credits covers one account, and any other consent covers
	 * every account. A reset credit is never remembered.
	 */
	remember(rung: Rung): Promise<void>;
	/** Returns the kinds of rungs covered now, and until when, epoch ms. */
	list(): readonly { readonly kind: Rung["kind"]; readonly until: number }[];
	/** Ends every consent. */
	forget(): Promise<void>;
}

/** Longer than any day, even if the clocks change. A time beyond that comes from a wrong clock. */
const LONGEST_DAY_MS = 26 * 60 * 60_000;

/** Creates the consents over the state file. */
export function createForToday(
	state: Pick<StateStore, "consents" | "giveConsent" | "endConsents">,
	clock: Clock,
): ForToday {
	const holding = () => {
		const now = clock.now();
		return [...state.consents()].filter(([, until]) => until > now && until - now <= LONGEST_DAY_MS);
	};
	return {
		holds: (rung) => holding().some(([key]) => key === keyOf(rung)),
		list: () => {
			const held = holding();
			return KINDS.flatMap((kind) => {
				const times = held.flatMap(([key, until]) => (isOfKind(key, kind) ? [until] : []));
				return times.length > 0 ? [{ kind, until: Math.max(...times) }] : [];
			});
		},
		remember: async (rung) => {
			const key = keyOf(rung);
			if (key !== undefined) await state.giveConsent(key, midnightAfter(clock.now()));
		},
		forget: () => state.endConsents(),
	};
}

/** Returns the key of a consent; undefined if there may be none. */
function keyOf(rung: Rung): string | undefined {
	if (rung.kind === "credits") return `${rung.kind}:${rung.account.id}`;
	return KINDS.some((kind) => kind === rung.kind) ? rung.kind : undefined;
}

function isOfKind(key: string, kind: string): boolean {
	return key === kind || key.startsWith(`${kind}:`);
}

function midnightAfter(now: number): number {
	return new Date(now).setHours(24, 0, 0, 0);
}
