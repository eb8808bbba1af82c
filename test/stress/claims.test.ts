import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { startProcess } from "../support/child.ts";
import { aScratch, DAY_MS, MINUTE_MS } from "../support/fakes.ts";
import { isWide } from "../support/tiers.ts";

const WORKER = fileURLToPath(new URL("claim-worker.ts", import.meta.url));
const STEP_MS = 150;
const TOKENS = isWide ? 300 : 40;

it("no token is claimed by two processes, even if none of them holds another one's lock for alive", async () => {
	const scratch = aScratch();
	onTestFinished(() => scratch.remove());
	const workers = [0, 10 * MINUTE_MS, DAY_MS, -10 * MINUTE_MS].map((skewMs) => {
		const env = {
			...process.env,
			SKEW_MS: String(skewMs),
			STATE: scratch.path("codex-state.json"),
			STEP_MS: String(STEP_MS),
			TOKENS: String(TOKENS),
		};
		const args = ["--import", "jiti/register", WORKER];
		return startProcess({ file: process.execPath, args, cwd: process.cwd(), env }, "ignore");
	});
	const ends = await Promise.all(workers.map((worker) => worker.wait()));
	expect(ends.map(({ code, stderr }) => [code, stderr])).toEqual(workers.map(() => [0, ""]));
	const claimed = ends.flatMap(({ stdout }) => stdout.split("\n").filter(Boolean));
	expect(claimed.length).toBeGreaterThan(TOKENS / 10);
	expect(claimed.filter((token, at) => claimed.indexOf(token) !== at)).toEqual([]);
});
