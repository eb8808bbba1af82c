import { raceAbort } from "../../core/abort.ts";
import type { DryAnswer, Offer } from "../../core/beyond/ladder.ts";
import type { DryQuestion } from "../../core/ports.ts";
import { sharedAnswer } from "./choices.ts";

/** Shows the question until it is answered, or until `signal` takes it away. Never rejects. */
export type Show = (offers: readonly Offer[], signal: AbortSignal) => Promise<DryAnswer>;

/** A question on the screen. */
interface Open {
	readonly answer: Promise<DryAnswer>;
	/** Requests that wait for it; it is taken away after the last one. */
	askers: number;
	readonly takeAway: () => void;
}

/**
 * Has several requests ask with one question at a time: a request that asks while the question is open gets the same
 * answer where that fits, else its own question afterwards.
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
				// At once: an answer of before is none for a request that comes later.
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
