import { CAPPABLE_WINDOWS, windowCalled } from "../../core/caps.ts";
import { asWord } from "../../ui-kit/format.ts";
import { nearest } from "../../ui-kit/nearest.ts";
import * as texts from "./texts.ts";

/** What to do with one window: the percentage to keep, or undefined for no cap. */
export interface CapWish {
	readonly window: string;
	readonly floor: number | undefined;
}

/** The words of `cap`: the account as typed, and the wishes. `isEnd` if every cap should end. */
interface CapWords {
	readonly account: readonly string[];
	readonly wishes: readonly CapWish[];
	readonly isEnd: boolean;
}

const ENDS: ReadonlySet<string> = new Set(["off", "none"]);
const PERCENT = /^(-?\d{1,6})%?$/;
const ALL_OF_IT = 100;

/** Reads `work week=20% 5h = 10`. Returns a sentence if that is not possible. */
export function readCapWords(words: readonly string[]): CapWords | { readonly problem: string } {
	const text = words
		.map(asWord)
		.join(" ")
		.replace(/\s*=\s*/g, "=")
		.replace(/(\d)\s+%/g, "$1%");
	const parts = [...text.matchAll(/(?:"[^"]*"|\S)+/g)].map(([part]) => part.replaceAll('"', ""));
	const first = parts.findIndex((part) => part.includes("="));
	if (first < 0) {
		const isEnd = ENDS.has(parts.at(-1)?.toLowerCase() ?? "");
		return { account: isEnd ? parts.slice(0, -1) : parts, wishes: [], isEnd };
	}
	const account = parts.slice(0, first);
	const wishes = parts.slice(first).map((part) => wishIn(part, account.join(" ") || "<account>"));
	const problem = wishes.find((wish) => "problem" in wish);
	if (problem && "problem" in problem) return problem;
	return { account, wishes: wishes.filter((wish) => "window" in wish), isEnd: false };
}

function wishIn(part: string, account: string): CapWish | { readonly problem: string } {
	const at = part.indexOf("=");
	if (at < 0) return { problem: texts.noCap(part) };
	const [typed, value] = [part.slice(0, at), part.slice(at + 1).toLowerCase()];
	const window = windowCalled(typed);
	if (window === undefined) return { problem: texts.noSuchWindow(typed, nearest(typed, CAPPABLE_WINDOWS)) };
	if (ENDS.has(value)) return { window, floor: undefined };
	const floor = Number(PERCENT.exec(value)?.[1] ?? Number.NaN);
	if (floor === ALL_OF_IT) return { problem: texts.capOfAll(account) };
	if (!(floor >= 1 && floor < ALL_OF_IT)) return { problem: texts.badPercent(window, account) };
	return { window, floor };
}
