import type { Account } from "./account.ts";
import type { ResetCredit } from "./reset-credits.ts";

/** One thing that could serve a request, or bring back what serves it, once all included quota is out. */
export type Rung =
	/** Bought credits of an account. `balance` is in the server's unit. */
	| { readonly kind: "credits"; readonly account: Account; readonly balance: string | undefined }
	/** The second allowance of a spent account. `model` is the visible model that it stands for. */
	| {
			readonly kind: "reserve-model";
			readonly account: Account;
			readonly model: string;
			readonly leftPercent: number | undefined;
	  }
	/** A voucher that resets `window` early; by itself it would reset at `resetsAt`, epoch ms. */
	| {
			readonly kind: "reset-credit";
			readonly account: Account;
			readonly credit: ResetCredit;
			readonly window: string;
			readonly resetsAt: number | undefined;
	  }
	/** The next link of the person's own list, such as `anthropic/claude-…`. */
	| { readonly kind: "chain"; readonly model: string; readonly isPaid: boolean }
	/** The first account that is back, at `until`, epoch ms. */
	| { readonly kind: "wait"; readonly account: Account; readonly until: number; readonly isGuess: boolean };

/** A rung, and whether the person has agreed to it already. */
export interface Offer {
	readonly rung: Rung;
	readonly consent: "given" | "ask";
	/** A yes may be given for the whole day. */
	readonly canBeRemembered: boolean;
}

/** What a person answers when all included quota is out. */
export type DryAnswer =
	| { readonly kind: "take"; readonly rung: Rung; readonly forToday: boolean }
	/** The turn ends with its error. */
	| { readonly kind: "stop" }
	/** No person could be asked: only what the settings allow may happen. */
	| { readonly kind: "unavailable" };
