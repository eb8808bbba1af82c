import type { Api, Context, Model } from "@mariozechner/pi-ai";
import type { Account } from "../account.ts";
import { activeCooldowns, type Cooldown, type CooldownScope, isOfQuota } from "../cooldown.ts";
import type { AccountStatus } from "../ports.ts";
import { isSpent, remaining, reserveModelOf } from "../quota.ts";
import type { Cooling, Failure } from "../request/classify.ts";
import type { FailureEvidence } from "../request/failure-rules.ts";
import type { ReserveModel, UsageSnapshot } from "../usage.ts";

/** A reserve model that the backend refuses by its name is not asked for again for this long. */
const REFUSED_MS = 24 * 60 * 60_000;

/** Statuses that refuse a model, unless the refusal names another cause. */
const MODEL_STATUSES: ReadonlySet<number> = new Set([400, 402, 403, 404]);

/** The answer to a client that is too old for a model. */
const OUTDATED = /requires a newer version/i;

/** Failures that say nothing about the reserve model: the sign-in, the network or the server is at fault. */
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

/** The scope of a cooldown of a reserve model. */
export function reserveScope({ limitId }: Pick<ReserveModel, "limitId">): CooldownScope {
	return `limit:${limitId}`;
}

/** The reserve model that `scope` is about, if it is about that of the account. */
export function reserveModelIn(scope: CooldownScope, usage: UsageSnapshot | undefined): ReserveModel | undefined {
	const reserve = reserveModelOf(usage);
	return reserve && reserveScope(reserve) === scope ? reserve : undefined;
}

/**
 * The included quota of the account is used up, as far as is known. Only then does it have a reserve model to offer.
 */
export function isIncludedSpent({ cooldowns, usage }: Known, now: number): boolean {
	if (usage && isSpent(usage, now)) return true;
	return activeCooldowns(cooldowns, now).some((cooldown) => cooldown.scope === "account" && isOfQuota(cooldown));
}

/** The cooldown that closes the reserve model of an account; undefined where it is open, or there is none. */
export function reserveClosedBy({ cooldowns, usage }: Known, now: number): Cooldown | undefined {
	return activeCooldowns(cooldowns, now).find(({ scope }) => reserveModelIn(scope, usage) !== undefined);
}

/**
 * The reserve model that the account can serve on now: its included quota is spent, the reserve is not used up and has
 * not been refused lately, and nothing else keeps the account itself out.
 */
export function openReserveModel(
	{ enabled, needsLogin }: Account,
	known: Known,
	now: number,
): ReserveModel | undefined {
	const reserve = reserveModelOf(known.usage);
	if (!enabled || needsLogin || !reserve || reserveLeft(reserve, now) === 0) return undefined;
	// A spent limit of one model leaves the included quota of the others.
	if (!isIncludedSpent(known, now)) return undefined;
	const isKeptOut = activeCooldowns(known.cooldowns, now).some((cooldown) => {
		return cooldown.scope === "account" ? !isOfQuota(cooldown) : cooldown.scope === reserveScope(reserve);
	});
	return isKeptOut ? undefined : reserve;
}

/** How a request is served on a reserve model. */
export interface StandIn {
	/** The model that answers: that of the session, or the one that stands in for it. */
	readonly model: Model<Api>;
	readonly reserveModel: ReserveModel;
}

/**
 * How `request` could be served on `reserveModel`: as the model that the session is on, else as the one that answers,
 * where pi knows that one and the conversation fits into it.
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

/** The tokens that the last answer of a conversation reported: what the next one is at least about to send. */
function tokensOf({ messages }: Context): number {
	const answers = messages.flatMap((message) => (message.role === "assistant" ? [message.usage.totalTokens] : []));
	return answers.findLast((tokens) => tokens > 0) ?? 0;
}

/**
 * Without a refusal to tell when it ran out, a spent account is asked about its reserve model no more often than this.
 */
const ASK_AGAIN_MS = 15 * 60_000;

/**
 * Is it unknown whether the account has a reserve model? Its quota has run out, and it was not asked about one since.
 */
export function isReserveUnknown({ enabled, needsLogin }: Account, known: AccountStatus, now: number): boolean {
	const { cooldowns, usage, reserveAskedAt } = known;
	if (!enabled || needsLogin || !isIncludedSpent(known, now) || reserveModelOf(usage)) return false;
	if (reserveAskedAt === undefined) return true;
	const since = cooldowns.filter((each) => each.scope === "account" && isOfQuota(each)).map(({ setAt }) => setAt);
	if (since.length > 0) return reserveAskedAt < Math.max(...since);
	return Math.abs(now - reserveAskedAt) >= ASK_AGAIN_MS;
}

/** What is left of a reserve model, percent; undefined where nothing tells. */
export function reserveLeft(reserve: ReserveModel, now: number): number | undefined {
	return remaining({ kind: "reserve-model", ...reserve }, now);
}

/**
 * What a refusal on the reserve model means: it closes that alone, until its reset, or for a day where the account may
 * not use it. The account and its included quota are not to blame.
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

/** Is the refusal about the model that was named? A status alone is enough, where nothing names another cause. */
function isOfModel({ kind, cooling }: Failure, { status, message = "" }: FailureEvidence, { wireModel }: ReserveModel) {
	if (kind === "request") return OUTDATED.test(message);
	if (OTHER_FAULTS.has(kind)) return false;
	return cooling !== undefined || MODEL_STATUSES.has(status ?? 0) || message.includes(wireModel);
}

function refusedFor({ kind }: Failure, now: number): Pick<Cooling, "reason" | "until" | "guessed"> {
	const reason = kind === "not-included" ? "not_included" : "model_not_supported";
	return { reason, until: now + REFUSED_MS, guessed: false };
}
