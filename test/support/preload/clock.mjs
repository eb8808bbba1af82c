/**
 * Loaded into a process before anything else (`--import`): its clock is wrong by `shiftMs`, as that of a machine whose
 * time was never set, stands still at `fixedAt` (epoch ms), or is wrong by what the file `jumps` says at the moment, as
 * that of one that slept or was set by hand. Timers and file times stay right, so what others write looks as odd to it
 * as it would there.
 */
import { existsSync, readFileSync } from "node:fs";

const { shiftMs = 0, fixedAt, jumps } = JSON.parse(process.env.TEST_PRELOAD_CLOCK ?? "{}");
const RealDate = globalThis.Date;
const jumpedMs = () => (jumps !== undefined && existsSync(jumps) ? Number(readFileSync(jumps, "utf8")) : 0);
const now = () => fixedAt ?? RealDate.now() + shiftMs + jumpedMs();

globalThis.Date = new Proxy(RealDate, {
	apply: () => new RealDate(now()).toString(),
	construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
	get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
});
