import { beforeEach, describe, expect, it } from "vitest";
import type { DryAnswer, Offer } from "../../../../src/core/beyond/ladder.ts";
import { createAsking } from "../../../../src/features/beyond/asking.ts";
import { settled } from "../../../support/fakes.ts";
import { ALL, anOffer, RUNGS } from "./offers.ts";

/** A question on the screen. */
interface Shown {
	readonly offers: readonly Offer[];
	readonly signal: AbortSignal;
	readonly answer: (answer: DryAnswer) => void;
}

let shown: Shown[];
let asking: ReturnType<typeof createAsking>;
beforeEach(() => {
	shown = [];
	asking = createAsking((offers, signal) => new Promise((answer) => shown.push({ offers, signal, answer })));
});

const take = (rung: (typeof RUNGS)[keyof typeof RUNGS]): DryAnswer => ({ kind: "take", rung, forToday: false });
const aTurn = () => new AbortController();

describe("requests that ask at once", () => {
	it("requests at once share one question, and its answer", async () => {
		const answers = Promise.all([asking.ask(ALL, aTurn().signal), asking.ask(ALL, undefined)]);
		await settled();
		expect(shown).toHaveLength(1);
		shown[0]?.answer(take(RUNGS.reserveModel));
		expect(await answers).toEqual([take(RUNGS.reserveModel), take(RUNGS.reserveModel)]);
		expect(shown).toHaveLength(1);
	});

	it("requests at once get a question of their own, afterwards, if the answer is no answer to theirs", async () => {
		const first = asking.ask(ALL, undefined);
		const second = asking.ask([anOffer(RUNGS.wait)], undefined);
		shown[0]?.answer(take(RUNGS.credits));
		expect(await first).toEqual(take(RUNGS.credits));
		await settled();
		expect(shown.map(({ offers }) => offers.length)).toEqual([5, 1]);
		shown[1]?.answer(take(RUNGS.wait));
		expect(await second).toEqual(take(RUNGS.wait));
	});

	it("requests at once keep the question while one of them still waits for it", async () => {
		const [one, other] = [aTurn(), aTurn()];
		const first = asking.ask(ALL, one.signal);
		const second = asking.ask(ALL, other.signal);
		one.abort(new Error("aborted"));
		await expect(first).rejects.toThrow("aborted");
		expect(shown[0]?.signal.aborted).toBe(false);
		other.abort(new Error("aborted too"));
		await expect(second).rejects.toThrow("aborted too");
		expect(shown[0]?.signal.aborted).toBe(true);
	});

	it("open a new question once the last one was taken away", async () => {
		const one = aTurn();
		const first = asking.ask(ALL, one.signal);
		one.abort();
		await expect(first).rejects.toThrow();
		const second = asking.ask(ALL, undefined);
		shown[0]?.answer({ kind: "stop" });
		await settled();
		expect(shown).toHaveLength(2);
		shown[1]?.answer(take(RUNGS.wait));
		expect(await second).toEqual(take(RUNGS.wait));
	});
});

it("that is over asks nothing", async () => {
	const turn = aTurn();
	turn.abort(new Error("over"));
	await expect(asking.ask(ALL, turn.signal)).rejects.toThrow("over");
	expect(shown).toEqual([]);
});
