import type { Pace } from "../../src/ui-kit/typing.ts";

/** Time that passes only when a test says so. */
export interface FakePace extends Pace {
	/** Lets `ms` pass; what is due by then runs, in order. */
	pass(ms: number): void;
}

/** Creates it. */
export function aPace(): FakePace {
	let now = 1000;
	let due: { readonly at: number; readonly work: () => void }[] = [];
	return {
		now: () => now,
		after: (ms, work) => {
			const timer = { at: now + ms, work };
			due.push(timer);
			return () => {
				due = due.filter((each) => each !== timer);
			};
		},
		pass: (ms) => {
			const end = now + ms;
			for (;;) {
				const [next] = due.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at);
				if (!next) break;
				due = due.filter((each) => each !== next);
				now = next.at;
				next.work();
			}
			now = end;
		},
	};
}
