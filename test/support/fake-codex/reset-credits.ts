import type { FakeAccount } from "./accounts.ts";
import type { PlainAnswer } from "./answer.ts";
import type { JsonRecord } from "./json.ts";
import { Script } from "./script.ts";

/** A reset credit to give an account. */
export interface ResetCreditInit {
	readonly id?: string;
	/** Default: 30 days. */
	readonly expiresInMs?: number;
	readonly status?: ResetCreditStatus;
}

export type ResetCreditStatus = "available" | "redeeming" | "redeemed";

/** How a redemption is answered other than at once: before or after it was carried out. */
export interface ConsumeAnswer {
	readonly kind: "consume";
	readonly name: string;
	/** Waits so long before the credit is spent, and so long after it. */
	readonly beforeMs: number;
	readonly afterMs: number;
	/** What is answered instead of the outcome, once the credit is spent. */
	readonly instead?: PlainAnswer;
	readonly change?: (payload: JsonRecord) => JsonRecord;
}

/** A payload of the list made from the modelled one. */
export interface CreditListAnswer {
	readonly kind: "list";
	readonly name: string;
	readonly delayMs: number;
	readonly change: (payload: JsonRecord) => JsonRecord;
}

/** Constructors of answers to a redemption and to a look at the list. */
export const resetCreditAnswers = {
	/** Late: the credit is spent after `beforeMs`, and the answer comes `afterMs` later. */
	late: ({ beforeMs = 0, afterMs = 0 }: { beforeMs?: number; afterMs?: number }): ConsumeAnswer => {
		return { kind: "consume", name: "late", beforeMs, afterMs };
	},
	/** The credit is spent, and the client gets another answer. */
	spentBut: (instead: PlainAnswer): ConsumeAnswer => {
		return { kind: "consume", name: "spentBut", beforeMs: 0, afterMs: 0, instead };
	},
	/** The outcome in another shape. */
	changed: (change: (payload: JsonRecord) => JsonRecord): ConsumeAnswer => {
		return { kind: "consume", name: "changed", beforeMs: 0, afterMs: 0, change };
	},
	/** The list in another shape, or late. */
	list: (change: (payload: JsonRecord) => JsonRecord = (payload) => payload, delayMs = 0): CreditListAnswer => {
		return { kind: "list", name: "list", delayMs, change };
	},
};

interface ResetCredit {
	readonly id: string;
	readonly grantedAt: number;
	readonly expiresAt: number;
	status: ResetCreditStatus;
	redeemedAt: number | undefined;
}

const DAY_MS = 24 * 60 * 60_000;
/** The backend resets an account that has two windows or more. */
const LEAST_WINDOWS = 2;

/** The reset credits of one account, with what was redeemed under which key. */
export class ResetCredits {
	/** Answers to looks at the list, and to redemptions. */
	readonly listScript = new Script<PlainAnswer | CreditListAnswer>();
	readonly consumeScript = new Script<PlainAnswer | ConsumeAnswer>();
	readonly #account: FakeAccount;
	readonly #now: () => number;
	readonly #keys = new Map<string, ResetCredit>();
	#credits: ResetCredit[] = [];

	constructor(account: FakeAccount, now: () => number) {
		this.#account = account;
		this.#now = now;
	}

	/** Grants credits. */
	grant(...inits: readonly ResetCreditInit[]): this {
		for (const { id, expiresInMs = 30 * DAY_MS, status = "available" } of inits) {
			const expiresAt = this.#now() + expiresInMs;
			const given = { grantedAt: expiresAt - 30 * DAY_MS, expiresAt, status, redeemedAt: undefined };
			this.#credits.push({ id: id ?? `credit-${this.#account.name}-${this.#credits.length + 1}`, ...given });
		}
		return this;
	}

	/** Ids of the credits in a status. */
	ids(status: ResetCreditStatus): string[] {
		return this.#credits.filter((credit) => credit.status === status).map(({ id }) => id);
	}

	/** How many can be redeemed. */
	get available(): number {
		return this.#credits.filter((credit) => this.#isAvailable(credit)).length;
	}

	/** The payload of the list. */
	payload(): JsonRecord {
		return {
			credits: this.#credits.map(wire),
			available_count: this.available,
			total_earned_count: this.#credits.length,
		};
	}

	/** Carries a redemption out, and says what came of it. */
	consume(body: JsonRecord | undefined): JsonRecord {
		const key = String(body?.redeem_request_id ?? "");
		const known = this.#keys.get(key);
		if (known) return { code: "already_redeemed", windows_reset: 0, credit: wire(known) };
		const credit = this.#credits.find((each) => {
			return this.#isAvailable(each) && (body?.credit_id === undefined || body.credit_id === each.id);
		});
		if (!credit) return { code: "no_credit", windows_reset: 0, credit: null };
		const windows = this.#account.windows();
		const isSpent = windows.some(({ usedPercent }) => usedPercent >= 100);
		if (windows.length < LEAST_WINDOWS || !isSpent) {
			return { code: "nothing_to_reset", windows_reset: 0, credit: wire(credit) };
		}
		credit.status = "redeemed";
		credit.redeemedAt = this.#now();
		this.#keys.set(key, credit);
		this.#account.resetWindows();
		return { code: "reset", windows_reset: windows.length, credit: wire(credit) };
	}

	#isAvailable({ status, expiresAt }: ResetCredit): boolean {
		return status === "available" && expiresAt > this.#now();
	}
}

function wire({ id, grantedAt, expiresAt, status, redeemedAt }: ResetCredit): JsonRecord {
	const iso = (at: number | undefined) => (at === undefined ? null : new Date(at).toISOString());
	return {
		id,
		reset_type: "codex_rate_limits",
		status,
		granted_at: iso(grantedAt),
		expires_at: iso(expiresAt),
		redeem_started_at: iso(redeemedAt),
		redeemed_at: iso(redeemedAt),
		title: "Rate limit reset",
		description: "Resets your Codex rate limits",
	};
}
