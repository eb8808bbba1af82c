/**
 * Loaded into a process before anything else (`--import`): its timers of `slowMs` fire after `fastMs`, and its clock
 * then shows that `slowMs` have passed. Its intervals of `tickMs` come every `fastMs`, and the clock knows nothing of
 * it. Every other timer is as slow as ever.
 */
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers/promises";

const { slowMs, tickMs, fastMs } = JSON.parse(process.env.TEST_PRELOAD_TIMERS ?? "{}");
const realSetTimeout = globalThis.setTimeout;
const realSetInterval = globalThis.setInterval;
const RealDate = globalThis.Date;
let skippedMs = 0;
const now = () => RealDate.now() + skippedMs;

globalThis.setTimeout = Object.assign((callback, delay, ...rest) => {
	if (delay !== slowMs) return realSetTimeout(callback, delay, ...rest);
	return realSetTimeout(() => {
		skippedMs += slowMs - fastMs;
		callback(...rest);
	}, fastMs);
}, realSetTimeout);

const realPause = timers.setTimeout;
timers.setTimeout = async (delay, ...rest) => {
	if (delay !== slowMs) return realPause(delay, ...rest);
	const value = await realPause(fastMs, ...rest);
	skippedMs += slowMs - fastMs;
	return value;
};
syncBuiltinESMExports();

globalThis.setInterval = Object.assign(
	(callback, delay, ...rest) => realSetInterval(callback, delay === tickMs ? fastMs : delay, ...rest),
	realSetInterval,
);

globalThis.Date = new Proxy(RealDate, {
	apply: () => new RealDate(now()).toString(),
	construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
	get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
});
