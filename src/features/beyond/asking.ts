import { raceAbort } from "../../core/abort.ts";
import type { DryAnswer, Offer } from "../../core/beyond/ladder.ts";
import type { DryQuestion } from "../../core/ports.ts";
import { sharedAnswer } from "./choices.ts";

/** Shows the question until it is answered or `signal` closes it. Never rejects. */
export type Show = (offers: readonly Offer[], signal: AbortSignal) => Promise<DryAnswer>;

/** A question on the screen. */
interface Open {
	readonly answer: Promise<DryAnswer>;
	/** Number of requests that wait for it. It closes after the last one. */
	askers: number;
	readonly takeAway: () => void;
}

/**
 * Shows one question at a time for several requests. A request that asks while a question is open gets the same answer
 * if that fits; otherwise its own question follows.
 */
export function createAsking(show: Show): Pick<DryQuestion, "ask"> {
	let open: Open | undefined;

	const begin = (offers: readonly Offer[]): Open => {
		const away = new AbortController();
		const end = () => {
			if (open === question) open = undefined;
		};
		const question: Open = {
			answer: show(offers, away.signal).finally(end),
			askers: 0,
			takeAway: () => {
				// Close it at once: an earlier answer does not apply to a later request.
				end();
				away.abort();
			},
		};
		return question;
	};
	const answerTo = async (question: Open, signal: AbortSignal | undefined): Promise<DryAnswer> => {
		question.askers += 1;
		try {
			return await raceAbort(question.answer, signal);
		} finally {
			question.askers -= 1;
			if (question.askers === 0) question.takeAway();
		}
	};

	return {
		ask: async (offers, signal) => {
			signal?.throwIfAborted();
			for (;;) {
				const isJoining = open !== undefined;
				open ??= begin(offers);
				const answer = await answerTo(open, signal);
				const fitting = isJoining ? sharedAnswer(answer, offers) : answer;
				if (fitting) return fitting;
			}
		},
	};
}
