import fc from "fast-check";
import type { Exhaustion } from "../../src/core/events.ts";
import * as texts from "../../src/core/request/turn-texts.ts";
import { DAY_MS, NOW } from "../support/fakes.ts";

const NONE: Exhaustion = {
	total: 0,
	cooling: 0,
	notOffered: 0,
	needsLogin: 0,
	unavailable: 0,
	tried: 0,
	untried: 0,
	readyAt: undefined,
};

/** The words for a request that no account could serve: `why` is what differs from a pool without accounts. */
export const exhausted = (why: Partial<Exhaustion>, now = NOW): string => texts.exhausted({ ...NONE, ...why }, now);

const count = fc.integer({ min: 0, max: 1200 });
/** Any number of accounts in any condition. */
export const anExhaustion = fc.record<Exhaustion>({
	total: count,
	cooling: count,
	notOffered: count,
	needsLogin: count,
	unavailable: count,
	tried: count,
	untried: count,
	capped: fc.option(count, { nil: undefined }),
	isInSet: fc.boolean(),
	readyAt: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 366 * DAY_MS }), { nil: undefined }),
});
