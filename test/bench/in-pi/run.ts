import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createAgentDir } from "../../support/agent-dir.ts";
import { type FakeCodex, startFakeCodex } from "../../support/fake-codex/index.ts";
import type { Host } from "../../support/hosts.ts";
import { runPi } from "../../support/pi.ts";
import { accountRows } from "../stored-pool.ts";
import { type Job, ORDER_VARIABLE, type Order, type Outcome } from "./jobs.ts";

const EXTENSION = fileURLToPath(new URL("extension.ts", import.meta.url));
const LONGEST_MS = 240_000;

/** Where a job runs, and what the backend answers. */
export interface Place {
	readonly host: Host;
	/** `index.ts` of the package. */
	readonly extension: string;
	/** For files that come and go. */
	readonly folder: string;
	/** Further variables, such as those of a profiler. */
	readonly env?: Readonly<Record<string, string>>;
	/** Sets the answers of the backend. */
	readonly prepare: (codex: FakeCodex) => void;
}

/**
 * Runs a job inside a real pi with three accounts, the first of them pi's own login, against a backend in this process:
 * every request goes over a socket of the loopback interface. `judge` looks at the backend afterwards.
 */
export async function runInPi<K extends Job["kind"]>(
	job: Extract<Job, { kind: K }>,
	{ host, extension, folder, env = {}, prepare }: Place,
	judge: (codex: FakeCodex) => void = () => undefined,
): Promise<Extract<Outcome, { kind: K }>> {
	const quota = { fiveHour: { usedPercent: 10 }, week: { usedPercent: 20 } };
	const codex = await startFakeCodex({ accounts: ["a", "b", "c"].map((name) => ({ name, quota })) });
	prepare(codex);
	const own = codex.piAuthEntry("a");
	const dir = createAgentDir({
		baseUrl: codex.baseUrl,
		auth: { "openai-codex": own },
		accounts: { version: 2, accounts: accountRows(codex, ["b", "c"]) },
	});
	const order: Order = { job, extension, access: own.access, outcome: join(folder, "outcome.json") };
	try {
		const { code, stderr, stdout } = await runPi(host, dir, ["-p", "--no-tools", "--no-session", "say hi"], {
			extension: EXTENSION,
			timeoutMs: LONGEST_MS,
			env: { ...env, PI_MULTICODEX_AUTH_URL: codex.issuer, [ORDER_VARIABLE]: JSON.stringify(order) },
		});
		if (code !== 0 || stderr !== "") throw new Error(`pi ${host.name}: exit code ${code}, ${stderr}${stdout}`);
		judge(codex);
		const outcome: Outcome = JSON.parse(readFileSync(order.outcome, "utf8"));
		if (!isOf(outcome, job.kind)) throw new Error(`asked for ${job.kind}, and got ${outcome.kind}`);
		return outcome;
	} finally {
		await codex.close();
		dir.remove();
	}
}

function isOf<K extends Job["kind"]>(outcome: Outcome, kind: K): outcome is Extract<Outcome, { kind: K }> {
	return outcome.kind === kind;
}
