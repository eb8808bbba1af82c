import type { Account } from "../../../src/domain/account.ts";
import type { Candidate } from "../../../src/domain/candidate.ts";
import { POLICIES, type PolicyName, rank } from "../../../src/domain/selection.ts";
import { DAY_MS, HOUR_MS, START } from "./model.ts";
import { createDice } from "./random.ts";

const ACCOUNTS = 1000;
const ROUNDS = 300;

/** How long one choice among a thousand accounts takes, as a sentence for each policy. */
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
	const context = {
		modelId: "simulated",
		now: START,
		pinned: undefined,
		affinity: undefined,
		liveSessions,
		reserve: { "5h": 10, "7d": 5 },
		lastChosen: candidates[500]?.account.id,
	};
	const lines = (Object.keys(POLICIES) as PolicyName[]).map((policy) => {
		const times = Array.from({ length: ROUNDS }, () => {
			const begin = performance.now();
			rank(candidates, context, policy);
			return performance.now() - begin;
		}).sort((a, b) => a - b);
		return `${policy}: ${(times[ROUNDS / 2] ?? 0).toFixed(3)} ms`;
	});
	return `rank over ${ACCOUNTS} accounts, median of ${ROUNDS}: ${lines.join(", ")}`;
}

function accountAt(index: number): Account {
	const id = index.toString(16).padStart(12, "0");
	return {
		id,
		label: id,
		email: undefined,
		userId: undefined,
		accountId: id,
		plan: "plus",
		credential: { access: "", refresh: "", expiresAt: START + DAY_MS },
		source: "login",
		linked: false,
		enabled: true,
		disabledReason: undefined,
		needsLogin: undefined,
		addedAt: START,
	};
}
