import { createBeyond, type ResetSource } from "../core/beyond/beyond.ts";
import type { Plan } from "../core/request/plan.ts";
import { createForToday } from "../features/beyond/for-today.ts";
import { whyAsJson, whyAsText } from "../features/explain/why.ts";
import { openHealth } from "../features/verify/disk.ts";
import { offlineFacts } from "../features/verify/facts.ts";
import { diagnose, hasProblem } from "../features/verify/rules.ts";
import { verifiedAsJson, verifiedAsText } from "../features/verify/view.ts";
import { maskedOutcome } from "../pi/mask-emails.ts";
import { documentText, shown } from "../pi/output.ts";
import { DEFAULT_ISSUER } from "../platform/backend/openai-oauth.ts";
import { openEventLog } from "../platform/stores/event-log.ts";
import type { UsageAsked } from "./arguments.ts";
import type { Paths, StoredPool } from "./stored-pool.ts";
import { chainFollows, FOR_A_NEW_SESSION, LEFT_OUT } from "./texts.ts";
import { usageReport } from "./usage.ts";

/** The output of `usage`, `why` and `verify`. */
interface Explained {
	readonly text: string;
	readonly problems: readonly string[];
	readonly code: number;
}

type Asked = UsageAsked | { readonly kind: "why" | "verify"; readonly isJson: boolean };

/** Answers `usage`, `why` and `verify` as pi does in print mode, as far as the files allow. */
export async function explain(asked: Asked, stored: StoredPool, paths: Paths, columns: number): Promise<Explained> {
	const { text, json, problems, code } = await answerTo(asked, stored, paths, columns);
	// If the accounts cannot be read, the problems say so and nothing else is known.
	if (text === "") return { text, problems, code };
	const masked = maskedOutcome({ text, json }, stored.settings.read().maskEmails);
	return { text: `${asked.isJson ? documentText(masked.json, 2) : shown(masked.text)}\n`, problems, code };
}

interface Answer extends Explained {
	readonly json: unknown;
}

async function answerTo(asked: Asked, stored: StoredPool, paths: Paths, columns: number): Promise<Answer> {
	switch (asked.kind) {
		case "why":
			return why(stored, columns);
		case "verify":
			return verify(stored, paths);
		case "usage": {
			const report = await usageReport(asked, stored, paths, columns);
			// Only the labels of accounts are used for it.
			const { accounts } = stored.problems();
			return { ...report, problems: accounts, code: accounts.length > 0 ? 1 : 0 };
		}
	}
}

function why(stored: StoredPool, columns: number): Answer {
	const { pool, settings } = stored;
	const { enabled: isEnabled, rotation, beyond } = settings.read();
	const request = stored.nextOfNew();
	const plan = pool.plan(request);
	const isForeign = stored.isForeign();
	const view = {
		plan,
		isEnabled,
		isForeign,
		policy: rotation.policy,
		model: request.modelId,
		offers: offersAfter(plan, stored),
		sharedPool: stored.sharedPool(),
	};
	const isAnyLeft = plan.order.some(({ gate }) => gate?.kind !== "credits");
	const hasChain = beyond.chain.length > 0 && isEnabled && !isForeign && !isAnyLeft;
	const isEmpty = pool.accounts().length === 0;
	const text = [
		...(isEmpty ? [] : [FOR_A_NEW_SESSION]),
		whyAsText(view, columns),
		...(hasChain ? [chainFollows(beyond.chain)] : []),
	].join("\n");
	const { accounts, others } = stored.problems();
	const problems = [...accounts, ...others];
	return { text: accounts.length > 0 ? "" : text, json: whyAsJson(view), problems, code: problems.length > 0 ? 1 : 0 };
}

/** Only pi calls the backend and spends credits. */
const NOTHING_IS_SPENT: ResetSource = {
	redeem: async () => ({ kind: "failed", reason: "only pi redeems", until: 0 }),
	refreshStale: async () => undefined,
};

/** Returns what would serve if no account could; for an account on bought credits, what would serve after it. */
function offersAfter(plan: Plan, { pool, settings, state, clock, nextOfNew }: StoredPool) {
	const [first] = plan.order;
	if (first && first.gate?.kind !== "credits") return [];
	const beyond = createBeyond({
		pool,
		settings: settings.read,
		modelNamed: () => undefined,
		askUsage: async () => undefined,
		consents: createForToday(state, clock),
		resets: NOTHING_IS_SPENT,
	});
	const request = nextOfNew();
	const rest = first ? pool.plan({ ...request, tried: new Set([first.account.id]) }) : plan;
	const { patienceMs = 0 } = request;
	return beyond.offers(rest, { request: undefined, served: undefined, patienceMs, isNextTurn: true });
}

async function verify({ pool, settings, clock }: StoredPool, { directory, log }: Paths): Promise<Answer> {
	const facts = await offlineFacts(
		{
			health: openHealth(directory, DEFAULT_ISSUER, clock.now),
			eventLog: openEventLog(log, clock.now, process.pid),
			pool,
			settings,
			clock,
		},
		undefined,
	);
	const unknown = { endpoints: undefined, hostVersion: undefined, nodeVersion: undefined, rival: undefined };
	const findings = diagnose({ ...facts, ...unknown });
	const seen = { findings, repairs: [], isFixing: false, accounts: facts.accounts };
	return {
		text: `${verifiedAsText(seen)}\n${LEFT_OUT}`,
		json: verifiedAsJson(seen),
		problems: [],
		code: hasProblem(findings) ? 1 : 0,
	};
}
