import { identityOf } from "../../src/platform/jwt.ts";
import { type AgentDir, createAgentDir } from "../support/agent-dir.ts";
import { answers, type FakeCodex, startFakeCodex } from "../support/fake-codex/index.ts";
import { type Host, prepareHost } from "../support/hosts.ts";
import { runPi } from "../support/pi.ts";

/**
 * What the extension costs and saves, each figure against plain pi 0.73.1 in the same run. Machines differ and are
 * shared: read the ratios, not the milliseconds.
 */

const ROUNDS = 7;
const HOUR_MS = 3_600_000;
const ARGUMENTS = ["-p", "--no-tools", "--no-session", "say hi"];

function median(values: readonly number[]): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function line(name: string, text: string): void {
	process.stdout.write(`${name.padEnd(52)} ${text}\n`);
}

/** An agent directory with pi's own login, and every other account of the backend in our file. */
function agentDirFor(codex: FakeCodex): AgentDir {
	const [own, ...others] = codex.accounts.map(({ name }) => name);
	const rows = others.map((name) => {
		const credential = codex.grant(name);
		const identity = identityOf(credential.access);
		return { id: identity?.id, label: name, workspaceId: identity?.workspaceId, credential };
	});
	return createAgentDir({
		baseUrl: codex.baseUrl,
		auth: { "openai-codex": codex.piAuthEntry(own ?? "a") },
		accounts: { version: 2, accounts: rows },
	});
}

async function timed(host: Host, dir: AgentDir, codex: FakeCodex, extension: boolean): Promise<number> {
	const { ms } = await runPi(host, dir, ARGUMENTS, { extension, env: { PI_MULTICODEX_AUTH_URL: codex.issuer } });
	return ms;
}

/** A whole `pi -p` with a healthy answer, with and without us, in turn. */
async function costOfBeingThere(host: Host): Promise<void> {
	const codex = await startFakeCodex({ accounts: ["a", "b", "c"] });
	const dir = agentDirFor(codex);
	const pairs: { plain: number; ours: number }[] = [];
	await timed(host, dir, codex, true);
	for (let round = 0; round < ROUNDS; round += 1) {
		const plain = await timed(host, dir, codex, false);
		pairs.push({ plain, ours: await timed(host, dir, codex, true) });
	}
	await codex.close();
	dir.remove();
	const ratio = median(pairs.map(({ plain, ours }) => ours / plain));
	const milliseconds = median(pairs.map(({ plain, ours }) => ours - plain));
	line("healthy `pi -p`, with us / plain", `${ratio.toFixed(2)} (${milliseconds.toFixed(0)} ms more)`);
}

/** From the end of a 429 to the next account's request, against what plain pi does with the same 429. */
async function timeToRotate(host: Host): Promise<void> {
	const gaps: number[] = [];
	for (let round = 0; round < ROUNDS; round += 1) {
		const codex = await startFakeCodex({ accounts: ["a", "b"] });
		for (const account of codex.accounts) account.usage(answers.serverError(503));
		codex.account("a").next(answers.usageLimit({ resetsInMs: HOUR_MS }));
		codex.account("b").next(answers.usageLimit({ resetsInMs: HOUR_MS }));
		const dir = agentDirFor(codex);
		await timed(host, dir, codex, true);
		const [first, second] = codex.responsesRequests();
		if (first && second) gaps.push(second.at - (first.endedAt ?? first.at));
		await codex.close();
		dir.remove();
	}
	const codex = await startFakeCodex({ accounts: ["a"] });
	codex.account("a").always(answers.usageLimit({ resetsInMs: HOUR_MS }));
	const dir = agentDirFor(codex);
	await timed(host, dir, codex, false);
	const requests = codex.responsesRequests();
	const plainMs = (requests.at(-1)?.at ?? 0) - (requests[0]?.at ?? 0);
	await codex.close();
	dir.remove();
	line("429 to the next account's request, median", `${median(gaps)} ms`);
	line("the same 429 in plain pi: time lost on one account", `${plainMs} ms, ${requests.length} requests`);
	line("ratio", (plainMs / Math.max(1, median(gaps))).toFixed(0));
}

const host = await prepareHost("0.73.1");
await costOfBeingThere(host);
await timeToRotate(host);
