/**
 * Claims a token of one account after the other, each at the same moment as the other workers, through stores of its
 * own and with a clock that is wrong by `SKEW_MS`. Each one it may send goes to standard output.
 */
import { setTimeout } from "node:timers/promises";
import { createTokenClaims } from "../../src/core/credentials/token-claims.ts";
import { createProcesses } from "../../src/platform/processes.ts";
import { openStateStore } from "../../src/platform/stores/state-store.ts";
import { anId } from "../support/ids.ts";

const { SKEW_MS = "0", STATE = "", STEP_MS = "", TOKENS = "" } = process.env;
const stepMs = Number(STEP_MS);
const trueTime = Date.now;
Date.now = () => trueTime() + Number(SKEW_MS);

const state = openStateStore(STATE, () => undefined, Date.now);
const processes = createProcesses(Date.now);
const clock = { now: Date.now };
const claims = createTokenClaims({ state, processes, clock, tokens: { fingerprint: (token) => token } });

const end = trueTime() + Number(TOKENS) * stepMs;
/** What sessions write all the time, too: it keeps the lock of the file in use. */
const noteUse = async () => {
	while (trueTime() < end) {
		await state.update(anId(`of ${process.pid}`), (status) => ({ ...status, lastUsedAt: Date.now() }));
	}
};
const using = noteUse();
while (trueTime() < end) {
	const step = Math.floor(trueTime() / stepMs);
	const claiming = await claims.claim({ id: anId(`account ${step}`) }, { refresh: `token ${step}` });
	if (claiming.kind === "ours") {
		console.log(`token ${step}`);
		await setTimeout(5);
		await claiming.claim.release("exchanged");
	}
	await setTimeout(Math.max(0, (step + 1) * stepMs - trueTime()));
}
await using;
await state.flush();
