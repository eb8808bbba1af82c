import type { AccountId } from "../../core/ids.ts";
import { iso } from "../../core/iso-time.ts";
import type { Redemption } from "../../core/ports.ts";
import { windowName } from "../../core/quota.ts";
import type { RedeemDocument } from "../../pi/json-schemas.ts";
import type { Offer } from "./texts.ts";

/** What the document contains. */
export interface Redeeming {
	readonly offers: readonly Offer[];
	/** The account whose credit was to be spent, and how that ended; undefined if none was. */
	readonly done?: { readonly account: AccountId; readonly redemption: Redemption } | undefined;
}

/** Returns the document of `redeem --json`, version 1. Ids only. */
export function redeemingAsJson({ offers, done }: Redeeming): RedeemDocument {
	const { account, redemption } = done ?? {};
	const isDone = redemption?.kind === "redeemed" || redemption?.kind === "already";
	return {
		version: 1,
		redeemed: isDone && account !== undefined ? account : null,
		outcome: redemption?.kind ?? null,
		reason: redemption && "reason" in redemption ? redemption.reason : null,
		accounts: offers.map(({ account: each, credits, found }) => {
			const isRedeemable = found.kind === "redeemable";
			return {
				id: each.id,
				credits: credits.map(({ expiresAt }) => ({ expiresAt: iso(expiresAt) })),
				redeemable: isRedeemable,
				obstacle: isRedeemable ? null : found.kind,
				window: isRedeemable ? found.window : null,
				resetsAt: isRedeemable ? iso(found.resetsAt) : null,
				resets: isRedeemable ? found.windows.map(({ windowMinutes }) => windowName(windowMinutes)) : [],
			};
		}),
	};
}
