import type { Account } from "../../core/account.ts";
import type { PoolEvent } from "../../core/events.ts";
import type { NoticeClaim, StateStore } from "../../core/ports.ts";
import type { NoticeDocument } from "../../pi/json-schemas.ts";
import { goesOn, poolBack, poolDry, poolDryAsking, poolDryWaiting } from "./texts.ts";

/** A notice for a person who does not see pi. */
export interface OutsideNotice {
	readonly event: NoticeDocument["event"];
	readonly text: string;
	readonly account?: Account | undefined;
	/** Such as `5h`. */
	readonly window?: string | undefined;
	readonly leftPercent?: number | undefined;
	readonly threshold?: number | undefined;
	/** When the window resets, the first account is back, or the pool runs out, epoch ms. */
	readonly until?: number | undefined;
}

/** A notice, and the claim that makes only one of all processes send it. */
interface News {
	readonly notice: OutsideNotice;
	readonly claim: (state: Pick<StateStore, "claimNotice" | "endNotice">) => Promise<boolean>;
}

/** Finds what is worth a notice in the events of this process. */
interface NewsFinder {
	/** Returns the notice for an event; undefined for none. */
	newsIn(event: PoolEvent): News | undefined;
}

interface Deps {
	/** Returns the line in the chat about an event. */
	readonly lineOf: (event: PoolEvent) => string | undefined;
	/** True while an account can serve. */
	readonly isAnyReady: () => boolean;
	readonly now: () => number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** How long a wait must be to be worth a notice: at its end, and at its beginning. */
const WORTH_TELLING_MS = 10_000;
const LONG_WAIT_MS = 2 * MINUTE_MS;
/** Sessions that continue, or ask, within this time share one notice. */
const TOGETHER_MS = MINUTE_MS;
/** A pool still without an account this long after the first one was due is news again. */
const OVERDUE_MS = HOUR_MS;
/** How long a lost sign-in is not reported again. */
const LOST_MS = HOUR_MS;

/** Names under which all processes remember notices. */
const DRY = "pool-dry";
const GOES_ON = "goes-on";
const ASKING = "asking";

/** Creates the finder. */
export function createNewsFinder({ lineOf, isAnyReady, now }: Deps): NewsFinder {
	/** When each wait of this process began, by request. */
	const waits = new Map<number, number>();

	const once = (what: string, ms: number) => (state: Pick<StateStore, "claimNotice">) =>
		state.claimNotice(what, { until: now() + ms, slackMs: ms });
	const dryClaim = (back: number | undefined): NoticeClaim => {
		const until = (back ?? now() + HOUR_MS) + OVERDUE_MS;
		return { until, slackMs: Number.POSITIVE_INFINITY };
	};
	const dry = (text: string, back: number | undefined): News => ({
		notice: { event: "pool-dry", text, until: back },
		claim: (state) => state.claimNotice(DRY, dryClaim(back)),
	});

	const waiting = ({ request, until, forRoom, goesOnWith }: Extract<PoolEvent, { type: "waiting" }>) => {
		const at = now();
		const began = waits.get(request);
		if (until !== undefined) {
			if (began !== undefined) return undefined;
			waits.set(request, at);
			return forRoom || until - at < LONG_WAIT_MS ? undefined : dry(poolDryWaiting(until, at), until);
		}
		waits.delete(request);
		if (!goesOnWith || began === undefined || at - began < WORTH_TELLING_MS) return undefined;
		const text = goesOn(goesOnWith.label, at - began);
		return {
			notice: { event: "goes-on", text, account: goesOnWith },
			claim: async (state) => {
				// This notice also says that the pool is back.
				await state.endNotice(DRY);
				return once(GOES_ON, TOGETHER_MS)(state);
			},
		} satisfies News;
	};

	const asking = (): News => ({
		notice: { event: "pool-dry", text: poolDryAsking() },
		claim: async (state) => {
			await state.claimNotice(DRY, dryClaim(undefined));
			return once(ASKING, TOGETHER_MS)(state);
		},
	});

	const back = ({ account, cause }: Extract<PoolEvent, { type: "recovered" }>): News => ({
		notice: { event: "pool-back", text: poolBack(account.label), account },
		// A person who has ended the cooldowns by hand is looking at pi.
		claim: async (state) => (await state.endNotice(DRY)) && cause !== "reset",
	});

	const lost = (event: Extract<PoolEvent, { type: "signed-out" | "closed" }>): News => {
		const { type, account } = event;
		const notice = { event: type, text: lineOf(event) ?? "", account };
		return { notice, claim: once(`${type} ${account.id}`, LOST_MS) };
	};

	const newsIn = (event: PoolEvent): News | undefined => {
		switch (event.type) {
			case "waiting":
				return waiting(event);
			case "asking":
				return event.isOpen ? asking() : undefined;
			case "exhausted": {
				const { untried, readyAt, guessed, isInSet } = event.why;
				// Other accounts could serve: on a second try, or a session elsewhere.
				if (untried > 0 || isInSet) return undefined;
				return dry(poolDry(readyAt, guessed, now()), readyAt);
			}
			case "chain-serves":
				return event.from === undefined ? dry(lineOf(event) ?? "", event.back?.at) : undefined;
			case "recovered":
				// A session that waits here continues by itself and says so.
				return event.scope === "account" && waits.size === 0 && isAnyReady() ? back(event) : undefined;
			case "signed-out":
			case "closed":
				return lost(event);
			case "last-one": {
				const { account, left, threshold } = event;
				const { window, percent: leftPercent, resetsAt: until } = left;
				const notice = {
					event: "threshold",
					text: lineOf(event) ?? "",
					account,
					window,
					leftPercent,
					threshold,
					until,
				} as const;
				// This process was already chosen among all when the event was emitted.
				return { notice, claim: async () => true };
			}
			case "pool-low": {
				const { first, dryAt: until } = event;
				const notice = { event: "pool-low", text: lineOf(event) ?? "", account: first?.account, until } as const;
				return { notice, claim: async () => true };
			}
			default:
				return undefined;
		}
	};
	return { newsIn };
}
