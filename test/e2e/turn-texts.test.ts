import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { REDIRECTED, refusedWith } from "../../src/core/request/attempt.ts";
import * as texts from "../../src/core/request/turn-texts.ts";
import { unreachedWords } from "../../src/platform/backend/unreached.ts";
import { DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../support/fakes.ts";
import { type HostRetry, hostRetries, retries } from "../support/host-retry.ts";
import { anExhaustion, exhausted } from "../unit/exhaustions.ts";

let hosts: HostRetry[];
beforeAll(async () => {
	hosts = await hostRetries();
});

/** Sentences that would wake a host's retry, whatever else that host forbids; a few of them, for the report. */
function awakening(sentences: Iterable<string>): string[] {
	const found: string[] = [];
	for (const sentence of new Set(sentences)) {
		for (const { host, wakes } of hosts) if (wakes.test(sentence)) found.push(`${host}: ${sentence}`);
	}
	return found.slice(0, 5);
}

describe("the retry patterns of the hosts", () => {
	it("our retry patterns are those of every host, and wake on what they should", () => {
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

	it("words that end a turn wake no host's retry, whatever the time until the first reset", () => {
		function* sentences() {
			for (let minutes = 0; minutes <= MINUTES; minutes += 1) {
				const readyAt = NOW + minutes * MINUTE_MS;
				yield exhausted({ total: 4, cooling: 4, readyAt });
				yield exhausted({ total: 1, cooling: 1, readyAt });
			}
		}
		expect(awakening(sentences())).toEqual([]);
	});

	it("words that end a turn wake no host's retry at any second around a change of the words", () => {
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

	it("words that end a turn wake no host's retry at any minute of the year", () => {
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

	it("words that end a turn wake no host's retry, whatever the counts", () => {
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

	it("words that end a turn wake no host's retry with any other of our sentences", () => {
		const sentences = [
			texts.noAccountSignedIn(),
			texts.signedOutInARow(),
			texts.switchedOffHere(),
			texts.switchedOffMeanwhile(),
			texts.unexpected(),
			REDIRECTED,
			...[401, 402, 403].flatMap((status) => [refusedWith(status, undefined), refusedWith(status, "brand_new")]),
		];
		expect(awakening(sentences)).toEqual([]);
	});

	it("words that end a turn wake no host's retry with what keeps a sign-in from being renewed", () => {
		const why = { kind: "certificate", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", maybeSent: false } as const;
		const obstacle = unreachedWords(why, "the sign-in service");
		expect(awakening([exhausted({ total: 2, unavailable: 2, obstacle })])).toEqual([]);
	});

	it("words that end a turn wake no host's retry in any combination", () => {
		fc.assert(
			fc.property(anExhaustion, (why) => {
				expect(awakening([exhausted(why)])).toEqual([]);
			}),
			{ numRuns: 3000 },
		);
	});
});

describe("the words that let a host go on", () => {
	it.each([
		["continuesElsewhere", texts.continuesElsewhere()],
		["brokenOff", texts.brokenOff()],
	])("words that let a host go on wake every host's retry: %s", (_name, text) => {
		expect(hosts.filter((host) => !retries(host, text)).map(({ host }) => host)).toEqual([]);
	});
});
