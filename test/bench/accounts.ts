import { readFileSync, statSync, utimesSync } from "node:fs";
import { anId, aSessionId } from "../support/ids.ts";
import { keep, line, median } from "./options.ts";
import { openStoredPool } from "./stored-pool.ts";

/** What 1 to 1,000 accounts cost: a plan, a plan after another process has written, and a write of the state file. */

const REPEATS = 50;
const WRITES = 11;

function milliseconds(work: () => unknown): number {
	const begun = performance.now();
	work();
	return performance.now() - begun;
}

const figures: Record<string, unknown>[] = [];
for (const total of [1, 10, 100, 1000]) {
	const { pool, state, statePath, remove } = openStoredPool(total);
	const plan = () => {
		const { next } = pool.plan({ modelId: "gpt-5.5", sessionId: aSessionId("s"), affinity: undefined });
		if (!next) throw new Error("no account can serve");
	};
	plan();
	const planMs = median(Array.from({ length: REPEATS }, () => milliseconds(plan)));
	let at = statSync(statePath).mtimeMs / 1000;
	// As after a write of another process.
	const rereadMs = median(
		Array.from({ length: REPEATS }, () => {
			at += 1;
			utimesSync(statePath, at, at);
			return milliseconds(plan);
		}),
	);
	const writes: number[] = [];
	for (let times = 0; times < WRITES; times += 1) {
		const begun = performance.now();
		await state.update(pool.accounts()[0]?.id ?? anId(""), (status) => ({ ...status, lastUsedAt: Date.now() + times }));
		writes.push(performance.now() - begun);
	}
	const writeMs = median(writes);
	const stateKib = readFileSync(statePath).length / 1024;
	figures.push({ total, planMs, rereadMs, writeMs, stateKib });
	const each = { plan: planMs, "plan after a change": rereadMs, write: writeMs };
	const text = Object.entries(each).map(([name, ms]) => `${name} ${ms.toFixed(2)} ms`);
	line(`${total} account${total === 1 ? "" : "s"}`, [...text, `state ${stateKib.toFixed(0)} KiB`].join(", "));
	await remove();
}
keep({ figures });
