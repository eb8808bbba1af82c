import type {
	AnswerContext,
	PlayableAnswer,
	Refusal,
	RefusalAnswer,
	ScriptedAnswer,
	UpgradeRefusalAnswer,
} from "./answer.ts";
import { reserveHeaders, reserveLimit, usageLimit } from "./answers-limited.ts";
import { echoAccount } from "./answers-streamed.ts";
import { asString, type JsonRecord } from "./json.ts";
import type { TokenAnswer } from "./oauth-answers.ts";
import { type LimitWindow, limitHeaders, ModelledQuota, type QuotaInit } from "./quota.ts";
import type { RecordedRequest } from "./recorder.ts";
import { ModelledReserve, type ReserveInit, WIRE_MODEL } from "./reserve.ts";
import { type ResetCreditInit, ResetCredits } from "./reset-credits.ts";
import { Script } from "./script.ts";
import type { Grant, TokenIdentity, TokenLedger } from "./tokens.ts";
import type { UsageAnswer } from "./usage.ts";

/** The shortest prefix the real backend caches, in tokens (codex-backend.md 7). */
const MIN_CACHED_TOKENS = 1_024;

/** Credits as wham/usage shows them. */
export interface CreditsInit {
	readonly hasCredits: boolean;
	readonly unlimited?: boolean;
	readonly balance?: string;
	/** The limit on spending them is reached; left out of the answer unless set. */
	readonly overageReached?: boolean;
}

/** A member's cap, or a budget of a month, beside the windows. */
export interface SpendControlInit {
	readonly limit: number;
	readonly used: number;
	readonly resetsInMs: number;
	/** Default: once all of it is used. */
	readonly reached?: boolean;
}

/** One entry of `additional_rate_limits`. */
export interface AdditionalLimitInit {
	readonly limitName: string;
	readonly meteredFeature: string;
	readonly usedPercent: number;
	readonly resetsInMs: number;
	/** Default: a week. */
	readonly windowMinutes?: number;
}

/** An account to create. Everything but the name has a default derived from the name. */
export interface FakeAccountInit {
	readonly name: string;
	/** The workspace; give two accounts the same one to make them seats of it. */
	readonly accountId?: string;
	readonly userId?: string;
	/** The seat; null leaves the claim out, as older tokens do. */
	readonly accountUserId?: string | null;
	readonly email?: string;
	readonly plan?: string;
	/** Extra or replaced auth claims; null removes one. */
	readonly claims?: JsonRecord;
	readonly tokenLifetimeMs?: number;
	/** See `TokenIdentity`. */
	readonly tokenAgeMs?: number;
	readonly quota?: QuotaInit;
	readonly credits?: CreditsInit;
	readonly additionalLimits?: readonly AdditionalLimitInit[];
	readonly reserve?: ReserveInit;
	readonly spendControl?: SpendControlInit;
	/** Reset credits; a number is so many that end in 30 days. */
	readonly resetCredits?: number | readonly ResetCreditInit[];
}

/** One account of the fake: its identity, its scripts and its modelled quota. */
export class FakeAccount {
	readonly name: string;
	readonly accountId: string;
	readonly userId: string;
	readonly accountUserId: string | undefined;
	readonly email: string;
	plan: string;
	credits: CreditsInit | undefined;
	additionalLimits: readonly AdditionalLimitInit[];
	spendControl: SpendControlInit | undefined;
	/** Luna Reserve; undefined for an account without it. */
	reserve: ModelledReserve | undefined;
	/** Undefined as long as no quota is modelled. */
	quota: ModelledQuota | undefined;
	/** Requests for a response that reached this account, refused ones included. */
	requestCount = 0;
	/** Script of wham/usage and of the token endpoint, for what the short forms below do not cover. */
	readonly usageScript = new Script<UsageAnswer>();
	readonly tokenScript = new Script<TokenAnswer>();
	readonly resetCredits: ResetCredits;
	readonly #answers = new Script<ScriptedAnswer>();
	readonly #claims: JsonRecord;
	readonly #tokenLifetimeMs: number | undefined;
	readonly #tokenAgeMs: number | undefined;
	readonly #ledger: TokenLedger;
	readonly #now: () => number;
	readonly #cachedTokens = new Map<string, number>();
	#claimedSpent: LimitWindow | undefined;

	constructor(init: FakeAccountInit, ledger: TokenLedger, now: () => number) {
		const slug = init.name.replace(/[^A-Za-z0-9.-]+/g, "-");
		this.name = init.name;
		this.accountId = init.accountId ?? `acct-${slug}`;
		this.userId = init.userId ?? `user-${slug}`;
		this.accountUserId =
			init.accountUserId === null ? undefined : (init.accountUserId ?? `${this.userId}__${this.accountId}`);
		this.email = init.email ?? `${slug}@example.test`;
		this.plan = init.plan ?? "plus";
		this.credits = init.credits;
		this.additionalLimits = init.additionalLimits ?? [];
		this.spendControl = init.spendControl;
		this.reserve = init.reserve && new ModelledReserve(init.reserve, now());
		this.#claims = init.claims ?? {};
		this.#tokenLifetimeMs = init.tokenLifetimeMs;
		this.#tokenAgeMs = init.tokenAgeMs;
		this.#ledger = ledger;
		this.#now = now;
		this.setQuota(init.quota);
		this.resetCredits = new ResetCredits(this, now);
		const { resetCredits = [] } = init;
		this.resetCredits.grant(
			...(typeof resetCredits === "number" ? Array.from({ length: resetCredits }, () => ({})) : resetCredits),
		);
	}

	/** Queues answers for the next requests, one each. */
	next(...answers: readonly ScriptedAnswer[]): this {
		this.#answers.next(...answers);
		return this;
	}

	/** Sets the answer for every request that finds the queue empty; undefined returns to `echoAccount()`. */
	always(answer: ScriptedAnswer | undefined): this {
		this.#answers.always(answer);
		return this;
	}

	/** How many queued answers have not been asked for yet. */
	get pendingAnswers(): number {
		return this.#answers.pending;
	}

	/** Sets the answer of wham/usage until further notice; undefined returns to the modelled one. */
	usage(answer: UsageAnswer | undefined): this {
		this.usageScript.always(answer);
		return this;
	}

	/** Sets the answer of the token endpoint for this account until further notice. */
	token(answer: TokenAnswer | undefined): this {
		this.tokenScript.always(answer);
		return this;
	}

	/** Replaces the modelled quota. */
	setQuota(quota: QuotaInit | undefined): this {
		this.quota = quota === undefined ? undefined : new ModelledQuota(quota, this.#now());
		this.#claimedSpent = undefined;
		return this;
	}

	/** Empties every window, which begins anew. */
	resetWindows(): void {
		this.#claimedSpent = undefined;
		this.quota?.reset(this.#now());
	}

	/** A new login of this account. */
	grant(expiresInMs?: number): Grant {
		return this.#ledger.grant(this.identity(), expiresInMs);
	}

	/** Revokes every token issued so far, as signing out everywhere does. */
	revokeTokens(): this {
		this.#ledger.revoke(this.name);
		return this;
	}

	/** Makes every access token issued so far expired for the backend, although its `exp` is in the future. */
	expireAccessTokens(): this {
		this.#ledger.expire(this.name);
		return this;
	}

	/** What the tokens of this account claim. */
	identity(): TokenIdentity {
		const claims: JsonRecord = {
			chatgpt_account_id: this.accountId,
			chatgpt_user_id: this.userId,
			user_id: this.userId,
			...(this.accountUserId === undefined ? {} : { chatgpt_account_user_id: this.accountUserId }),
			chatgpt_plan_type: this.plan,
			...this.#claims,
		};
		const present = Object.entries(claims).filter(([, value]) => value !== null);
		const { name, userId, email } = this;
		const life = { tokenLifetimeMs: this.#tokenLifetimeMs, tokenAgeMs: this.#tokenAgeMs };
		return { name, userId, email, claims: Object.fromEntries(present), ...life };
	}

	/** The scripted answer a WebSocket handshake must respect, if the next one is of that kind. */
	answerAtHandshake(): RefusalAnswer | UpgradeRefusalAnswer | undefined {
		const answer = this.#answers.peek();
		if (answer === undefined || typeof answer === "function") return undefined;
		if (answer.kind === "upgrade-refusal") {
			if (this.#answers.pending > 0) this.#answers.takeQueued();
			return answer;
		}
		return answer.kind === "refusal" && answer.atEdge ? answer : undefined;
	}

	/**
	 * Takes the answer for a request and books a healthy one on the quota; a spent quota without credits replaces only an
	 * unscripted or repeating answer.
	 */
	async takeAnswer(request: RecordedRequest): Promise<PlayableAnswer> {
		if (this.isOnReserve(request)) return this.#takeOnReserve(request);
		const queued = this.#answers.takeQueued();
		let answer = await this.#resolve(queued ?? this.#answers.repeating ?? echoAccount(), request);
		const healthy = answer.kind === "stream" && answer.healthy;
		// Bought credits carry on past a spent window.
		const spent = this.credits?.hasCredits ? undefined : this.quota?.spent(this.#now());
		if (healthy && queued === undefined && spent !== undefined) {
			answer = usageLimit({
				resetsInMs: spent.resetsAt - this.#now(),
				windows: this.quota?.windows(this.#now()) ?? [],
			});
		} else if (healthy) {
			this.#claimedSpent = undefined;
			this.quota?.charge(this.#now());
		}
		return answer;
	}

	/** Does the request name the wire model of Luna Reserve? */
	isOnReserve(request: RecordedRequest): boolean {
		return asString(request.body?.model) === (this.reserve?.wireModel ?? WIRE_MODEL);
	}

	/** Is a window spent, modelled or as a refusal claimed? Only then Luna Reserve serves. */
	isOrdinarySpent(): boolean {
		return this.windows().some(({ usedPercent }) => usedPercent >= 100);
	}

	/** As {@link takeAnswer}, from the second allowance. */
	async #takeOnReserve(request: RecordedRequest): Promise<PlayableAnswer> {
		const queued = this.#answers.takeQueued();
		const answer = await this.#resolve(queued ?? this.#answers.repeating ?? echoAccount(), request);
		if (answer.kind !== "stream" || !answer.healthy) return answer;
		const now = this.#now();
		const isOpen = this.reserve !== undefined && this.reserve.spent(now) === undefined && this.isOrdinarySpent();
		if (queued === undefined && !isOpen) return reserveLimit({ windows: this.reserve?.windows(now) ?? [] });
		this.reserve?.charge(now);
		return answer;
	}

	/** Remembers a refusal that claimed a spent window, so that wham/usage does not contradict it. */
	noteRefusal(refusal: Refusal): void {
		this.#claimedSpent = refusal.spent ?? this.#claimedSpent;
	}

	/**
	 * The windows wham/usage reports: the modelled ones (else 5 h and week, unused), overlaid by what a refusal claimed.
	 */
	windows(): LimitWindow[] {
		const now = this.#now();
		const idle = new ModelledQuota({ fiveHour: {}, week: {} }, now);
		const windows = (this.quota ?? idle).windows(now);
		const claimed = this.#claimedSpent;
		if (claimed === undefined || claimed.resetsAt <= now) return windows;
		const others = windows.filter((window) => window.windowMinutes !== claimed.windowMinutes);
		return [...others, claimed].sort((a, b) => a.windowMinutes - b.windowMinutes);
	}

	/** Headers of a healthy answer: windows only when a quota is modelled. */
	quotaHeaders(request: RecordedRequest): Record<string, string> {
		if (!this.isOnReserve(request)) return this.#ordinaryHeaders();
		const windows = this.reserve?.windows(this.#now()) ?? [];
		const ofReserve = reserveHeaders(windows, this.#now(), this.reserve?.wireModel);
		// As was seen, the general windows are then those of the reserve as well.
		return { ...this.#ordinaryHeaders(), ...limitHeaders(windows, this.#now()), ...ofReserve };
	}

	#ordinaryHeaders(): Record<string, string> {
		if (this.quota === undefined) return { "x-codex-plan-type": this.plan };
		return {
			...limitHeaders(this.quota.windows(this.#now()), this.#now()),
			...creditHeaders(this.credits),
			"x-codex-active-limit": "codex",
			"x-codex-plan-type": this.plan,
		};
	}

	/**
	 * Everything an answer may depend on; also updates this account's own prompt cache, as the real one is per account.
	 */
	context(request: RecordedRequest): AnswerContext {
		const key = asString(request.body?.prompt_cache_key) ?? "";
		const known = this.#cachedTokens.get(key) ?? 0;
		const continued = request.body?.previous_response_id === undefined ? 0 : known;
		const inputTokens = continued + Math.ceil(request.bodyText.length / 4);
		if (key !== "") this.#cachedTokens.set(key, inputTokens);
		return {
			nowMs: this.#now(),
			account: this.name,
			plan: this.plan,
			model: asString(request.body?.model) ?? "gpt-5.5",
			requestCount: this.requestCount,
			inputTokens,
			cachedTokens: known >= MIN_CACHED_TOKENS ? Math.min(known, inputTokens) : 0,
		};
	}

	async #resolve(answer: ScriptedAnswer, request: RecordedRequest): Promise<PlayableAnswer> {
		const resolved = typeof answer === "function" ? await answer(request, this) : answer;
		return resolved.kind === "upgrade-refusal" ? echoAccount() : resolved;
	}
}

function creditHeaders(credits: CreditsInit | undefined): Record<string, string> {
	if (credits === undefined) return {};
	return {
		"x-codex-credits-has-credits": String(credits.hasCredits),
		"x-codex-credits-unlimited": String(credits.unlimited ?? false),
		"x-codex-credits-balance": credits.balance ?? "",
	};
}
