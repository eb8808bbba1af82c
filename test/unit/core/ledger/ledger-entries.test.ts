import { describe, expect, it } from "vitest";
import type { LedgerEntry } from "../../../../src/core/ledger/ledger.ts";
import { failover } from "../../../../src/core/request/request-loop.ts";
import { anAccount, HOUR_MS } from "../../../support/fakes.ts";
import { aSessionId } from "../../../support/ids.ts";
import {
	answered,
	CONTEXT,
	createHarness,
	echoing,
	failedWith,
	type Harness,
	MODEL,
	type Play,
	refused,
	silent,
} from "../../harness.ts";
import { hurryTimersOf } from "../../waits.ts";

const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0.25 };
const usage = { input: 10, output: 3, cacheRead: 7, cacheWrite: 0, totalTokens: 20, cost };

/** An answer whose final message tells what it took. */
const toldBy = (play: Play): Play =>
	async function* (options) {
		for await (const event of play(options)) {
			if (event.type === "done") yield { ...event, message: { ...event.message, usage } };
			else if (event.type === "error") yield { ...event, error: { ...event.error, usage } };
			else yield event;
		}
	};

/** What is counted of one request. */
async function entriesOf(harness: Harness, sessionId?: string, signal?: AbortSignal): Promise<string[]> {
	const entries: LedgerEntry[] = [];
	const deps = { ...harness.deps, record: (entry: LedgerEntry) => void entries.push(entry) };
	const options = {
		fetch: echoing,
		...(sessionId !== undefined && { sessionId: aSessionId(sessionId) }),
		...(signal && { signal }),
	};
	await failover({ model: MODEL, context: CONTEXT, options }, { push: () => undefined, end: () => undefined }, deps);
	return entries.map((entry) => {
		const { account, asked, kind } = entry;
		const told = kind === "answered" ? `${entry.usage.input} ${entry.usage.cost.total}` : "";
		const took = kind === "refused" ? `${entry.tookMs} ms` : "";
		return [kind, account, asked.modelId, asked.sessionId ?? "no session", told || took].join(" ");
	});
}

describe("what a request has counted", () => {
	it("is its answer, by the account that gave it and what its final message tells", async () => {
		const harness = createHarness(anAccount("a"));
		harness.play("a", toldBy(answered()));
		expect(await entriesOf(harness, "s")).toEqual(["answered a gpt-5.5 s 10 0.25"]);
	});

	it("what a request has counted is the same for a request of no session, as that of a summary", async () => {
		const harness = createHarness(anAccount("a"));
		harness.play("a", toldBy(answered()));
		expect(await entriesOf(harness)).toEqual(["answered a gpt-5.5 no session 10 0.25"]);
	});

	it("is each refusal with the time that it took, before the answer of another account", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		harness.play("a", async function* (options) {
			harness.clock.at += 1500;
			yield* refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: HOUR_MS / 1000 } })(options);
		});
		harness.play("b", toldBy(answered()));
		expect(await entriesOf(harness, "s")).toEqual(["refused a gpt-5.5 s 1500 ms", "answered b gpt-5.5 s 10 0.25"]);
	});

	it("is a refusal that is surfaced", async () => {
		const harness = createHarness(anAccount("a"));
		harness.play("a", refused(400, { error: { message: "the request is too long" } }));
		expect(await entriesOf(harness, "s")).toEqual(["refused a gpt-5.5 s 0 ms"]);
	});

	it("is an answer if that broke off after its first output, and is nothing before that", async () => {
		const harness = createHarness(anAccount("a"));
		harness.play("a", toldBy(failedWith("the stream broke", { after: "hel" })));
		expect(await entriesOf(harness, "s")).toEqual(["answered a gpt-5.5 s 10 0.25"]);
	});

	it("is nothing for an answer that was given up before its first output, and an answer after that", async () => {
		hurryTimersOf(500);
		const countedOf = async (text: string) => {
			const harness = createHarness(anAccount("a"));
			const stop = new AbortController();
			harness.play("a", async function* (options) {
				for await (const event of silent(text)({ ...options, signal: stop.signal })) {
					yield event;
					stop.abort();
				}
			});
			return entriesOf(harness, "s", stop.signal);
		};
		expect(await countedOf("")).toEqual([]);
		expect(await countedOf("hel")).toEqual(["answered a gpt-5.5 s 0 0"]);
	});
});
