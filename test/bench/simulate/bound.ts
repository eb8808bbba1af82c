import type { AccountSpec, Scenario } from "./demand.ts";
import { HOUR_MS, SHORT_MS, START } from "./model.ts";

/**
 * The most work that any pool could serve of a scenario, whatever the policy: no more in any interval of whole hours
 * than is wanted in it, and than all the windows hold that can lie in it. Which account serves what, what caches cost,
 * and that others take their share is left out, so that it can be too high, never too low: save for what a window's
 * last request may take beyond the limit.
 */
export function fluidBound({ sessions, accounts, outside, endsAt }: Scenario): number {
	const hours = Math.ceil((endsAt - START) / HOUR_MS);
	const bucket = (at: number) => Math.min(hours, Math.max(0, (at - START) / HOUR_MS));
	/** Work wanted before the end of an hour, and work that had to be done before its beginning. */
	const wantedBy = new Float64Array(hours + 2);
	const dueBy = new Float64Array(hours + 2);
	for (const { turns, deadline } of sessions) {
		for (const { plannedAt, work } of turns) {
			add(wantedBy, Math.floor(bucket(plannedAt)) + 1, work);
			add(dueBy, Math.ceil(bucket(deadline)), work);
		}
	}
	accumulate(wantedBy);
	accumulate(dueBy);
	const pools = accounts.map((spec, index) => capacityOf(spec, resetsOf(outside, index)));
	const most = new Float64Array(hours + 1).fill(Number.POSITIVE_INFINITY);
	most[0] = 0;
	for (let from = 0; from < hours; from += 1) {
		const before = most[from] ?? 0;
		for (let to = from + 1; to <= hours; to += 1) {
			const limit = most[to] ?? 0;
			const wanted = (wantedBy[to] ?? 0) - (dueBy[from] ?? 0);
			let held = 0;
			for (const capacity of pools) {
				held += capacity(from, to);
				if (held >= wanted) break;
			}
			most[to] = Math.min(limit, before + Math.min(wanted, held));
		}
	}
	return most[hours] ?? 0;
}

/** What an account can serve in an interval of hours, however its clocks are started. */
function capacityOf(spec: AccountSpec, resets: readonly number[]): (from: number, to: number) => number {
	const { shortWork, longWork, longMs, running } = spec;
	const longHours = longMs / HOUR_MS;
	const shortHours = SHORT_MS / HOUR_MS;
	const runsUntil = running ? (running.endsAt - START) / HOUR_MS : 0;
	return (from, to) => {
		let extra = 0;
		for (const at of resets) if (at > from && at < to) extra += 1;
		const isInFirst = running !== undefined && from < runsUntil && extra === 0 && !resets.some((at) => at <= from);
		// Before the interval a window may have been begun and left unused; not before the very beginning.
		const early = from === 0 ? 0 : 1;
		const long = isInFirst
			? longWork - running.used + Math.ceil(Math.max(0, to - runsUntil) / longHours) * longWork
			: (Math.ceil((to - from) / longHours) + (running || from > 0 ? 1 : 0) + extra) * longWork;
		if (shortWork === undefined) return long;
		return Math.min(long, (Math.ceil((to - from) / shortHours) + early + extra) * shortWork);
	};
}

function resetsOf(outside: Scenario["outside"], account: number): number[] {
	return outside
		.filter((event) => event.account === account && event.work === undefined)
		.map(({ at }) => (at - START) / HOUR_MS);
}

function add(sums: Float64Array, index: number, work: number): void {
	sums[index] = (sums[index] ?? 0) + work;
}

function accumulate(sums: Float64Array): void {
	for (let index = 1; index < sums.length; index += 1) add(sums, index, sums[index - 1] ?? 0);
}
