import type { Api, Context, Model } from "@mariozechner/pi-ai";
import type { Account } from "../account.ts";
import { activeCooldowns, type Cooldown, type CooldownScope, isOfQuota } from "../cooldown.ts";
import type { AccountStatus } from "../ports.ts";
import { isSpent, remaining, reserveModelOf } from "../quota.ts";
import type { Cooling, Failure } from "../request/classify.ts";
import type { FailureEvidence } from "../request/failure-rules.ts";
import type { ReserveModel, UsageSnapshot } from "../usage.ts";

/** How long a reserve model is not asked for after the backend refused it by name. */
const REFUSED_MS = 24 * 60 * 60_000;

/** Statuses that refuse a model, unless the refusal names another cause. */
const MODEL_STATUSES: ReadonlySet<number> = new Set([400, 402, 403, 404]);

/** Matches the answer to a client that is too old for a model. */
const OUTDATED = /requires a newer version/i;

/** Failures that do not concern the reserve model: the sign-in, the network or the server is at fault. */
const OTHER_FAULTS: ReadonlySet<string> = new Set([
	"cloudflare",
	"region",
	"reasoning-refused",
	"connection-lost-state",
	"overloaded",
	"account-closed",
	"unauthorized",
	"connection",
]);

/** What is known of an account's quota. */
type Known = Pick<AccountStatus, "cooldowns" | "usage">;

/** Returns the cooldown scope of a reserve model. */
export function reserveScope({ limitId }: Pick<ReserveModel, "limitId">): CooldownScope {
	return `limit:${limitId}`;
}

/** Returns the account's reserve model if `scope` is about it. */
export function reserveModelIn(scope: CooldownScope, usage: UsageSnapshot | undefined): ReserveModel | undefined {
	const reserve = reserveModelOf(usage);
	return reserve && reserveScope(reserve) === scope ? reserve : undefined;
}

/** True if the account's included quota is used up, as far as is known. Only then does it offer a reserve model. */
export function isIncludedSpent({ cooldowns, usage }: Known, now: number): boolean {
	if (usage && isSpent(usage, now)) return true;
	return activeCooldowns(cooldowns, now).some((cooldown) => cooldown.scope === "account" && isOfQuota(cooldown));
}

/** Returns the cooldown that closes an account's reserve model; undefined if it is open or there is none. */
export function reserveClosedBy({ cooldowns, usage }: Known, now: number): Cooldown | undefined {
	return activeCooldowns(cooldowns, now).find(({ scope }) => reserveModelIn(scope, usage) !== undefined);
}

/**
 * Returns the reserve model that the account can serve with now: its included quota is spent, the reserve is neither
 * used up nor refused lately, and nothing else excludes the account.
 */
export function openReserveModel(
	{ enabled, needsLogin }: Account,
	known: Known,
	now: number,
): ReserveModel | undefined {
	const reserve = reserveModelOf(known.usage);
	if (!enabled || needsLogin || !reserve || reserveLeft(reserve, now) === 0) return undefined;
	// A spent limit of one model leaves included quota for other models.
	if (!isIncludedSpent(known, now)) return undefined;
	const isKeptOut = activeCooldowns(known.cooldowns, now).some((cooldown) => {
		return cooldown.scope === "account" ? !isOfQuota(cooldown) : cooldown.scope === reserveScope(reserve);
	});
	return isKeptOut ? undefined : reserve;
}

/** How a request is served on a reserve model. */
export interface StandIn {
	/** The model that answers: the session's own, or the one that replaces it. */
	readonly model: Model<Api>;
	readonly reserveModel: ReserveModel;
}

/**
 * Returns how `request` could be served on `reserveModel`: as the session's own model, else as the model that answers,
 * if pi knows it and the conversation fits.
 */
export function standInFor(
	{ model, context }: { readonly model: Model<Api>; readonly context: Context },
	reserveModel: ReserveModel,
	modelNamed: (id: string) => Model<Api> | undefined,
): StandIn | undefined {
	if (model.id === reserveModel.visibleModel) return { model, reserveModel };
	const other = modelNamed(reserveModel.visibleModel);
	if (other?.api !== model.api || tokensOf(context) >= other.contextWindow) return undefined;
	// The request may go where its own model goes, and nowhere else.
	return { model: { ...other, baseUrl: model.baseUrl }, reserveModel };
}

/** Returns the tokens that the last answer reported. The next request sends at least as many. */
function tokensOf({ messages }: Context): number {
	const answers = messages.flatMap((message) => (message.role === "assistant" ? [message.usage.totalTokens] : []));
	return answers.findLast((tokens) => tokens > 0) ?? 0;
}

/** How often a spent account is asked about its reserve model if no refusal shows when it ran out. */
const ASK_AGAIN_MS = 15 * 60_000;

/** True if it is unknown whether the account has a reserve model: its quota has run out, and it was not asked since. */
export function isReserveUnknown({ enabled, needsLogin }: Account, known: AccountStatus, now: number): boolean {
	const { cooldowns, usage, reserveAskedAt } = known;
	if (!enabled || needsLogin || !isIncludedSpent(known, now) || reserveModelOf(usage)) return false;
	if (reserveAskedAt === undefined) return true;
	const since = cooldowns.filter((each) => each.scope === "account" && isOfQuota(each)).map(({ setAt }) => setAt);
	if (since.length > 0) return reserveAskedAt < Math.max(...since);
	return Math.abs(now - reserveAskedAt) >= ASK_AGAIN_MS;
}

/** Returns what is left of a reserve model, percent; undefined if unknown. */
export function reserveLeft(reserve: ReserveModel, now: number): number | undefined {
	return remaining({ kind: "reserve-model", ...reserve }, now);
}

/**
 * Interprets a refusal on the reserve model. It closes only the reserve model: until its reset, or for a day if the
 * account may not use it. Neither the account nor its included quota is at fault.
 */
export function onReserveModel(
	failure: Failure,
	refusal: FailureEvidence,
	reserve: ReserveModel,
	now: number,
): Failure {
	if (refusal.unsent) return failure;
	const { cooling } = failure;
	const isOfAllowance = cooling !== undefined && (isOfQuota(cooling) || cooling.reason === "rate_limit");
	const isRefused = isOfModel(failure, refusal, reserve);
	if (!isOfAllowance && !isRefused) return failure;
	const closing = isOfAllowance ? cooling : refusedFor(failure, now);
	const { reason, until, guessed } = closing;
	return {
		...failure,
		remedy: failure.remedy === "retry-or-rotate" ? failure.remedy : "rotate",
		cooling: { covers: "account", scope: reserveScope(reserve), reason, until, guessed },
		isLeftToHost: false,
	};
}

/** True if the refusal is about the named model. A status alone is enough if nothing names another cause. */
function isOfModel({ kind, cooling }: Failure, { status, message = "" }: FailureEvidence, { wireModel }: ReserveModel) {
	if (kind === "request") return OUTDATED.test(message);
	if (OTHER_FAULTS.has(kind)) return false;
	return cooling !== undefined || MODEL_STATUSES.has(status ?? 0) || message.includes(wireModel);
}

function refusedFor({ kind }: Failure, now: number): Pick<Cooling, "reason" | "until" | "guessed"> {
	const reason = kind === "not-included" ? "not_included" : "model_not_supported";
	return { reason, until: now + REFUSED_MS, guessed: false };
}
