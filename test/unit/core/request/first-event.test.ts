import { expect, it } from "vitest";
import { watchingFirst } from "../../../../src/core/request/first-event.ts";

async function* stream(...events: number[]) {
	yield* events;
}

/** What came out, and what was noticed. */
async function watched(open: () => AsyncIterable<number>) {
	const noticed: (number | undefined)[] = [];
	const seen: number[] = [];
	let thrown: unknown;
	try {
		for await (const event of watchingFirst(open, (first) => void noticed.push(first))) seen.push(event);
	} catch (error) {
		thrown = error;
	}
	return { noticed, seen, thrown };
}

it("passes every event on, in order, and shows the first one before it goes out", async () => {
	expect(await watched(() => stream(1, 2, 3))).toEqual({ noticed: [1], seen: [1, 2, 3], thrown: undefined });
});

it("says once that there was none", async () => {
	expect(await watched(() => stream())).toEqual({ noticed: [undefined], seen: [], thrown: undefined });
});

it("says the same if the stream throws at once, and throws what that threw", async () => {
	const error = new Error("no key");
	const failing = () => {
		throw error;
	};
	expect(await watched(failing)).toEqual({ noticed: [undefined], seen: [], thrown: error });
});

it("opens the stream with the first look, and only once", async () => {
	let opened = 0;
	const open = () => {
		opened += 1;
		return stream(1, 2);
	};
	const events = watchingFirst(open, () => undefined)[Symbol.asyncIterator]();
	expect(opened).toBe(0);
	await events.next();
	await events.next();
	expect(opened).toBe(1);
});
