import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Account } from "../../../src/core/account.ts";
import { createPool, type Pool } from "../../../src/core/pool/pool.ts";
import type { Candidate } from "../../../src/core/request/candidate.ts";
import { plan } from "../../../src/core/request/plan.ts";
import { POLICIES, type PolicyName } from "../../../src/core/request/policies.ts";
import { DEFAULT_SETTINGS } from "../../../src/core/settings.ts";
import { openAccountStore } from "../../../src/platform/stores/account-store.ts";
import { openStateStore } from "../../../src/platform/stores/state-store.ts";
import { anId, aWorkspaceId } from "../../support/ids.ts";
import { DAY_MS, HOUR_MS, START } from "./model.ts";
import { createDice } from "./random.ts";

const ACCOUNTS = 1000;
const ROUNDS = 300;

/** How long a plan over a thousand accounts takes, by policy: alone, and as a request makes it. */
export function rankTime(): string {
	const dice = createDice(1, "rank");
	const candidates = Array.from({ length: ACCOUNTS }, (_, index): Candidate => {
		const until = START + dice.between(-1, 1) * HOUR_MS;
		const window = (windowMinutes: number) => ({
			usedPercent: Math.floor(dice.between(0, 100)),
			windowMinutes,
			resetsAt: START + dice.unit() * windowMinutes * 60_000,
		});
		return {
			account: accountAt(index),
			cooldowns: dice.chance(0.3) ? [{ scope: "account", reason: "usage_limit", until, setAt: START, models: [] }] : [],
			usage: {
				capturedAt: START,
				source: "api",
				windows: [window(300), window(10_080)],
				limits: {},
				limitReached: false,
			},
		};
	});
	const liveSessions = new Map(candidates.slice(0, 100).map(({ account }) => [account.id, dice.whole(1, 3)]));
	const snapshot = {
		now: START,
		candidates,
		pinned: undefined,
		liveSessions,
		reserve: { "5h": 10, "7d": 5 },
		lastChosen: candidates[500]?.account.id,
	};
	const directory = mkdtempSync(join(tmpdir(), "pi-multicodex-bench-"));
	try {
		const poolOf = writePool(directory, candidates);
		const request = { modelId: "simulated", affinity: undefined, sessionId: undefined };
		const lines = (Object.keys(POLICIES) as PolicyName[]).map((policy) => {
			const pool = poolOf(policy);
			const alone = median(() => plan(request, { ...snapshot, policy }));
			const whole = median(() => pool.plan(request));
			return `${policy}: a plan ${alone}, as a request makes it from the files ${whole}`;
		});
		return [`Over ${ACCOUNTS} accounts, median of ${ROUNDS}`, ...lines].join("\n");
	} finally {
		rmSync(directory, { recursive: true });
	}
}

function median(work: () => unknown): string {
	const times = Array.from({ length: ROUNDS }, () => {
		const begin = performance.now();
		work();
		return performance.now() - begin;
	}).sort((a, b) => a - b);
	return `${(times[ROUNDS / 2] ?? 0).toFixed(3)} ms`;
}

/** Puts the candidates into files, and returns how to open a pool over these. */
function writePool(directory: string, candidates: readonly Candidate[]): (policy: PolicyName) => Pool {
	const paths = { accounts: join(directory, "codex-accounts.json"), state: join(directory, "codex-state.json") };
	const rows = candidates.map(({ account: { id, workspaceId, credential } }) => {
		const { access, refresh, expiresAt: expires } = credential;
		return { id, accountId: workspaceId, credential: { access, refresh, expires } };
	});
	const statusById = candidates.map(({ account, cooldowns, usage }) => [account.id, { cooldowns, usage, strikes: 0 }]);
	writeFileSync(paths.accounts, JSON.stringify({ version: 2, accounts: rows }));
	writeFileSync(paths.state, JSON.stringify({ version: 1, accounts: Object.fromEntries(statusById) }));
	const clock = { now: () => START };
	const onProblem = (text: string) => {
		throw new Error(text);
	};
	return (policy) =>
		createPool({
			accounts: openAccountStore(paths.accounts, onProblem, clock.now),
			state: openStateStore(paths.state, onProblem, clock.now),
			clock,
			settings: () => ({ ...DEFAULT_SETTINGS, rotation: { ...DEFAULT_SETTINGS.rotation, policy } }),
		});
}

export function accountAt(index: number): Account {
	const id = index.toString(16).padStart(12, "0");
	return {
		id: anId(id),
		label: id,
		email: undefined,
		userId: undefined,
		workspaceId: aWorkspaceId(id),
		plan: "plus",
		credential: { access: "access", refresh: "refresh", expiresAt: START + DAY_MS },
		source: "login",
		linked: false,
		enabled: true,
		disabledReason: undefined,
		needsLogin: undefined,
		addedAt: START,
	};
}
