import { formatClock } from "../format.ts";
import type { RedeemObstacle } from "./reset-credits.ts";

/** Returns why no reset credit of an account can be redeemed, as the end of a sentence. `now` is epoch ms. */
export function obstacleWords(obstacle: RedeemObstacle, now: number): string {
	switch (obstacle.kind) {
		case "off":
			return "it is off";
		case "signed-out":
			return "it is signed out";
		case "no-credit":
			return "it has no reset credit";
		case "credits-unknown":
			return "its reset credits could not be listed";
		case "expired":
			return "its reset credit has expired";
		case "usage-unknown":
			return "its usage is not known";
		case "budget-spent":
			return "its monthly budget is spent, which a reset does not fill";
		case "one-window":
			return "it has a single window, and OpenAI resets no such account";
		case "not-spent":
			return "its windows are not spent, so the credit would be wasted";
		case "resets-soon":
			return `it resets by itself at ${formatClock(obstacle.at, now)}, so the credit is kept`;
		case "closed":
			return `the last attempt failed; it is offered again at ${formatClock(obstacle.until, now)}`;
	}
}
