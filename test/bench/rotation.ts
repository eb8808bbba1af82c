import { identityOf } from "../../src/platform/backend/jwt.ts";
import { type AgentDir, createAgentDir } from "../support/agent-dir.ts";
import { answers, type FakeCodex, startFakeCodex } from "../support/fake-codex/index.ts";
import { type Host, hostNames, prepareHost } from "../support/hosts.ts";
import { runPi } from "../support/pi.ts";
import { keep, line, median, option } from "./options.ts";

/**
 * What a rotation takes on each host, against what plain pi does with the same refusal in the same run. Machines differ
 * and are shared: read the ratios, not the milliseconds. `--host 1.6.0`, `--rounds 7`, `--json <file>`.
 */

const ROUNDS = Number(option("rounds") ?? 7);
const HOUR_MS = 3_600_000;
const ARGUMENTS = ["-p", "--no-tools", "--no-session", "say hi"];

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

/** Of one host, ms. */
interface Figures {
	readonly host: string;
	readonly gaps: readonly number[];
	readonly gapMs: number;
	readonly plainMs: number;
	readonly plainRequests: number;
}

/** From the end of a 429 to the next account's request, against what plain pi does with the same 429. */
async function timeToRotate(host: Host): Promise<Figures> {
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
	const gapMs = median(gaps);
	line(`pi ${host.name}: 429 to the next account's request`, `${gapMs} ms, median of ${gaps.length}`);
	line(`pi ${host.name}: the same 429 in plain pi`, `no answer, ${requests.length} requests in ${plainMs} ms`);
	return { host: host.name, gaps, gapMs, plainMs, plainRequests: requests.length };
}

const figures: Figures[] = [];
for (const name of hostNames.filter((each) => each === (option("host") ?? each))) {
	figures.push(await timeToRotate(await prepareHost(name)));
}
keep({ figures });
