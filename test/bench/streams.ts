import type { AssistantMessageEvent } from "@mariozechner/pi-ai";
import { createAffinity } from "../../src/core/request/affinity.ts";
import { failover } from "../../src/core/request/request-loop.ts";
import { aSessionId } from "../support/ids.ts";
import { CONTEXT, createHarness, MODEL, type Play } from "../unit/harness.ts";
import { aMessage } from "../unit/streams.ts";
import { keep, line, median, option } from "./options.ts";
import { openStoredPool } from "./stored-pool.ts";

/**
 * What a request costs beside the stream that it decorates: thousands of requests in pairs, in one process, one with us
 * and one on the undecorated stream, over a delegate that answers at once. Accounts, state and settings are real files.
 * Then 100 streams at a time. `--pairs 3000`, `--deltas 200`, `--json <file>`.
 */

const PAIRS = Number(option("pairs") ?? 3000);
const DELTAS = Number(option("deltas") ?? 200);
const WARM_UP = 200;
const PARALLEL = 100;

/** An answer of many small pieces, each of which arrives by itself. */
const answer: Play = async function* () {
	const message = aMessage();
	yield { type: "start", partial: message };
	yield { type: "text_start", contentIndex: 0, partial: message };
	for (let at = 0; at < DELTAS; at += 1) {
		await undefined;
		yield { type: "text_delta", contentIndex: 0, delta: "word ", partial: message };
	}
	yield { type: "done", reason: "stop", message };
};

const stored = openStoredPool(3);
const harness = createHarness();
const delegate = { ...harness.deps.delegate, stream: () => asAsync(answer({})) };
const affinity = createAffinity({ now: () => Date.now() });
affinity.begin(aSessionId("s"));
const deps = {
	...harness.deps,
	pool: stored.pool,
	settings: stored.settings,
	clock: { now: () => Date.now() },
	affinity,
	delegate,
	credentials: { ...harness.deps.credentials, accessToken: async () => ({ kind: "ready", access: "token" }) as const },
};

async function* asAsync(events: AsyncIterable<AssistantMessageEvent> | Iterable<AssistantMessageEvent>) {
	yield* events;
}

/** Milliseconds to the first piece of text, and to the end. */
interface Times {
	readonly first: number;
	readonly total: number;
}

async function timed(serve: (sink: { push(event: AssistantMessageEvent): void; end(): void }) => Promise<void>) {
	const begun = performance.now();
	let first = Number.NaN;
	let finals = 0;
	await serve({
		push: ({ type }) => {
			if (type === "text_delta" && Number.isNaN(first)) first = performance.now() - begun;
			if (type === "done") finals += 1;
		},
		end: () => undefined,
	});
	// A request that was not served would be measured as a fast one.
	if (finals !== 1) throw new Error(`an answer ended ${finals} times`);
	return { first, total: performance.now() - begun };
}

const plain = () =>
	timed(async (sink) => {
		for await (const event of delegate.stream()) sink.push(event);
	});
const ours = () =>
	timed((sink) => failover({ model: MODEL, context: CONTEXT, options: { sessionId: aSessionId("s") } }, sink, deps));

async function inPairs(pairs: number): Promise<{ plain: Times; ours: Times }[]> {
	const taken: { plain: Times; ours: Times }[] = [];
	for (let at = 0; at < pairs; at += 1) {
		const oursFirst = at % 2 === 0 ? await ours() : undefined;
		const plainTimes = await plain();
		taken.push({ plain: plainTimes, ours: oursFirst ?? (await ours()) });
	}
	return taken;
}

async function atOnce(one: () => Promise<Times>): Promise<number> {
	const begun = performance.now();
	await Promise.all(Array.from({ length: PARALLEL }, one));
	return performance.now() - begun;
}

await inPairs(WARM_UP);
const taken = await inPairs(PAIRS);
const firstMs = median(taken.map((pair) => pair.ours.first - pair.plain.first));
const perEventUs =
	(1000 * median(taken.map(({ ours: o, plain: p }) => o.total - o.first - (p.total - p.first)))) / DELTAS;
line("added time to the first token", `${firstMs.toFixed(3)} ms`);
line("added time for each event after it", `${perEventUs.toFixed(2)} µs`);

const rounds: { plain: number; ours: number }[] = [];
for (let round = 0; round < 20; round += 1) rounds.push({ plain: await atOnce(plain), ours: await atOnce(ours) });
const parallelMs = median(rounds.map((each) => each.ours - each.plain)) / PARALLEL;
line(`${PARALLEL} streams at once, added to each`, `${parallelMs.toFixed(3)} ms`);
keep({ pairs: PAIRS, deltas: DELTAS, firstMs, perEventUs, parallelMs, rounds, taken });
await stored.remove();
