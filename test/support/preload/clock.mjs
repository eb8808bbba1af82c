/**
 * Loaded into a process before anything else (`--import`): its clock is wrong by `shiftMs`, as that of a machine whose
 * time was never set, or stands still at `fixedAt` (epoch ms). Timers and file times stay right, so what others write
 * looks as odd to it as it would there.
 */
const { shiftMs = 0, fixedAt } = JSON.parse(process.env.TEST_PRELOAD_CLOCK ?? "{}");
const RealDate = globalThis.Date;
const now = () => fixedAt ?? RealDate.now() + shiftMs;

globalThis.Date = new Proxy(RealDate, {
	apply: () => new RealDate(now()).toString(),
	construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
	get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
});
