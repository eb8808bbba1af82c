import { isContextOverflow } from "@mariozechner/pi-ai";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { REDIRECTED, refusedWith } from "../../../src/core/attempt.ts";
import type { Exhaustion } from "../../../src/core/events.ts";
import * as texts from "../../../src/core/turn-texts.ts";
import { unreachedWords } from "../../../src/platform/unreached.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../support/fakes.ts";
import { type HostRetry, hostRetries, retries } from "../host-retry.ts";

let hosts: HostRetry[];
beforeAll(async () => {
	hosts = await hostRetries();
});

const nobody: Exhaustion = {
	total: 0,
	cooling: 0,
	notOffered: 0,
	needsLogin: 0,
	unavailable: 0,
	tried: 0,
	untried: 0,
	readyAt: undefined,
};
const exhausted = (why: Partial<Exhaustion>, now = NOW) => texts.exhausted({ ...nobody, ...why }, now);

/** Sentences that would wake a host's retry, whatever else that host forbids; a few of them, for the report. */
function awakening(sentences: Iterable<string>): string[] {
	const found: string[] = [];
	for (const sentence of new Set(sentences)) {
		for (const { host, wakes } of hosts) if (wakes.test(sentence)) found.push(`${host}: ${sentence}`);
	}
	return found.slice(0, 5);
}

function asOverflow(text: string): boolean {
	const usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, totalTokens: 0 };
	const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };
	return isContextOverflow(
		{
			role: "assistant",
			content: [],
			api: "openai-codex-responses",
			provider: "openai-codex",
			model: "gpt-5.5",
			usage: { ...usage, cost },
			stopReason: "error",
			errorMessage: text,
			timestamp: NOW,
		},
		272_000,
	);
}

describe("the retry patterns of the hosts", () => {
	it("are those of every host, and wake on what they should", () => {
		expect(hosts.map(({ host }) => host)).toEqual(["0.73.1", "0.87.1", "1.5.2", "1.6.0"]);
		for (const host of hosts) {
			for (const text of ["error 429", "500 status code", "fetch failed", "Rate limit reached", "overloaded_error"]) {
				expect([host.host, text, retries(host, text)]).toEqual([host.host, text, true]);
			}
			expect(retries(host, "Invalid image_url")).toBe(false);
		}
	});

	it("would be woken by minutes that are written out", () => {
		const naive = "Try again in ~500 min.";
		expect(awakening([naive])).toHaveLength(hosts.length);
	});
});

describe("the words that end a turn for good", () => {
	const MINUTES = 366 * 24 * 60;

	it("wake no host's retry, whatever the time until the first reset", () => {
		function* sentences() {
			for (let minutes = 0; minutes <= MINUTES; minutes += 1) {
				const readyAt = NOW + minutes * MINUTE_MS;
				yield exhausted({ total: 4, cooling: 4, readyAt });
				yield exhausted({ total: 1, cooling: 1, readyAt });
			}
		}
		expect(awakening(sentences())).toEqual([]);
	});

	it("wake no host's retry at any second around a change of the words", () => {
		function* sentences() {
			for (let seconds = 0; seconds <= 7200; seconds += 1) {
				yield exhausted({ total: 4, cooling: 4, readyAt: NOW + seconds * 1000 });
			}
			for (const edge of [DAY_MS, 6 * DAY_MS, 7 * DAY_MS, 99 * DAY_MS, 100 * DAY_MS, 366 * DAY_MS]) {
				for (let ms = -2000; ms <= 2000; ms += 500) {
					yield exhausted({ total: 4, cooling: 4, readyAt: NOW + edge + ms });
				}
			}
			yield exhausted({ total: 4, cooling: 4, readyAt: NOW - HOUR_MS });
		}
		expect(awakening(sentences())).toEqual([]);
	});

	it("wake no host's retry at any minute of the year", () => {
		function* sentences() {
			for (let minutes = 0; minutes <= MINUTES; minutes += 1) {
				const at = NOW + minutes * MINUTE_MS;
				for (const ahead of [42 * MINUTE_MS, 3 * DAY_MS, 40 * DAY_MS]) {
					yield exhausted({ total: 4, cooling: 4, readyAt: at }, at - ahead);
				}
			}
		}
		expect(awakening(sentences())).toEqual([]);
	});

	it("wake no host's retry, whatever the counts", () => {
		function* sentences() {
			const readyAt = NOW + HOUR_MS;
			for (let count = 0; count <= 1200; count += 1) {
				yield texts.switchedOffMeanwhile();
				yield exhausted({ tried: count, untried: count });
				yield exhausted({ tried: 6, untried: count });
				yield exhausted({ tried: count, untried: 3 });
				yield exhausted({ total: count, cooling: count, readyAt });
				yield exhausted({ total: count + 1, cooling: count, readyAt });
				yield exhausted({ total: count, cooling: count, notOffered: count, readyAt });
				yield exhausted({ total: count + 1, cooling: 1, needsLogin: count, readyAt });
				yield exhausted({ total: count + 1, cooling: 1, unavailable: count, readyAt });
				yield exhausted({ total: count, unavailable: count });
				yield exhausted({ total: count, unavailable: count, refused: count });
				yield exhausted({ total: count + 1, cooling: 1, unavailable: count, refused: count, readyAt });
				yield exhausted({ tried: count, unavailable: count, refused: count, untried: count });
				yield exhausted({ cooling: count, notOffered: count, untried: count });
				yield exhausted({ total: count, needsLogin: count });
			}
		}
		expect(awakening(sentences())).toEqual([]);
	});

	it("wake no host's retry with any other sentence of ours", () => {
		const sentences = [
			texts.nobodySignedIn(),
			texts.signedOutInARow(),
			texts.switchedOffHere(),
			texts.switchedOffMeanwhile(),
			texts.unexpected(),
			REDIRECTED,
			...[401, 402, 403].flatMap((status) => [refusedWith(status, undefined), refusedWith(status, "brand_new")]),
		];
		expect(awakening(sentences)).toEqual([]);
		// These two are for the host to repeat.
		for (const host of hosts) {
			for (const words of [texts.continuesElsewhere(), texts.brokenOff()]) {
				expect([host.host, words, retries(host, words)]).toEqual([host.host, words, true]);
			}
		}
	});

	it("name what keeps a sign-in from being renewed, where that is known, and wake no host's retry", () => {
		const why = { kind: "certificate", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", maybeSent: false } as const;
		const text = exhausted({ total: 2, unavailable: 2, obstacle: unreachedWords(why, "the sign-in service") });
		expect(text).toMatch(/could not be renewed: the certificate of .*UNABLE_TO_VERIFY.*NODE_EXTRA_CA_CERTS/);
		expect(awakening([text])).toEqual([]);
	});

	const count = fc.integer({ min: 0, max: 1200 });
	const anExhaustion = fc.record<Exhaustion>({
		total: count,
		cooling: count,
		notOffered: count,
		needsLogin: count,
		unavailable: count,
		tried: count,
		untried: count,
		readyAt: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 366 * DAY_MS }), { nil: undefined }),
	});

	it("wake no host's retry in any combination, and are not taken for an overflow of the context", () => {
		fc.assert(
			fc.property(anExhaustion, (why) => {
				const text = exhausted(why);
				expect(awakening([text])).toEqual([]);
				expect(asOverflow(text)).toBe(false);
			}),
			{ numRuns: 3000 },
		);
	});

	it("are one sentence after the other, with nothing left open", () => {
		fc.assert(
			fc.property(anExhaustion, (why) => {
				expect(exhausted(why)).toMatch(/^[A-Z].*[.]$/);
				expect(exhausted(why)).not.toMatch(/undefined|NaN|null| {2}|\n/);
			}),
		);
	});

	it("wake no host's retry after two lost sign-ins or a defect of ours", () => {
		const sentences = [texts.signedOutInARow(), texts.unexpected(), texts.nobodySignedIn()];
		expect(awakening(sentences)).toEqual([]);
		expect(sentences.filter(asOverflow)).toEqual([]);
	});
});

describe("the words that let a host go on", () => {
	it.each([
		["continuesElsewhere", texts.continuesElsewhere()],
		["brokenOff", texts.brokenOff()],
	])("wake every host's retry: %s", (_name, text) => {
		expect(hosts.filter((host) => !retries(host, text)).map(({ host }) => host)).toEqual([]);
		expect(asOverflow(text)).toBe(false);
	});

	it("are those of the contract", () => {
		expect(texts.continuesElsewhere()).toBe(
			"The Codex usage limit was reached while answering. Another account takes over after the retry delay.",
		);
	});
});

describe("the exhausted message", () => {
	const readyAt = NOW + 42 * MINUTE_MS;

	it("says how many, when the first returns, and what can be done", () => {
		expect(exhausted({ total: 4, cooling: 4, readyAt })).toMatch(
			/^Codex quota exceeded on all 4 accounts\. First one resets in 42m \((?:\w{3} )?\d\d:\d\d\)\. \/multicodex shows all, \/model switches provider\.$/,
		);
	});

	it("speaks of one account as of one", () => {
		expect(exhausted({ total: 1, cooling: 1, readyAt })).toMatch(/^Codex quota exceeded\. It resets in 42m \(/);
	});

	it("says who else could not be used", () => {
		expect(exhausted({ total: 4, cooling: 3, needsLogin: 1, readyAt })).toMatch(
			/^Codex quota exceeded on 3 accounts\. .*\. 1 account is signed out\. /,
		);
		expect(exhausted({ total: 4, cooling: 3, unavailable: 1, readyAt })).toContain("1 account could not be reached.");
	});

	it("names the renewal, and not quota, where those that were tried had no token", () => {
		expect(exhausted({ total: 2, cooling: 0, unavailable: 1, untried: 1, readyAt: undefined })).toBe(
			"The Codex sign-in of 1 account could not be renewed just now. Send again to go on with 1 more.",
		);
	});

	it("says how to go on where accounts are left untried", () => {
		expect(exhausted({ total: 9, cooling: 6, tried: 6, untried: 3, readyAt })).toBe(
			"Codex quota exceeded on 6 accounts in a row. Send again to go on with 3 more.",
		);
	});

	it("says of each account what is true of it", () => {
		expect(exhausted({ total: 4, cooling: 2, unavailable: 2, refused: 1, readyAt })).toMatch(
			/\. 1 account was refused\. 1 account could not be reached\. \/multicodex shows all, /,
		);
		expect(exhausted({ total: 3, unavailable: 2, refused: 2, needsLogin: 1 })).toBe(
			"2 Codex accounts were refused. 1 account is signed out. /multicodex shows all, /model switches provider.",
		);
		expect(exhausted({ total: 9, cooling: 4, tried: 3, unavailable: 3, refused: 2, untried: 3, readyAt })).toBe(
			"Codex quota exceeded on 3 accounts in a row. 2 Codex accounts were refused. The Codex sign-in of 1 account could not be renewed just now. Send again to go on with 3 more.",
		);
		expect(exhausted({ total: 9, cooling: 6, notOffered: 6, untried: 3 })).toBe(
			"6 accounts may not use this model. Send again to go on with 3 more.",
		);
	});

	it("blames no quota where the model is not offered, the sign-in is not renewed, or nobody is signed in", () => {
		expect(exhausted({ total: 2, cooling: 2, notOffered: 2, readyAt })).toMatch(/may use this model/);
		expect(exhausted({ total: 2, unavailable: 2 })).toMatch(/sign-in of 2 accounts could not be renewed/);
		expect(exhausted({ total: 2, needsLogin: 2 })).toBe("No Codex account is signed in. Run /multicodex add.");
	});
});
