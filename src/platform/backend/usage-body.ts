import * as z from "zod/mini";
import { numberOf, timeOf } from "../../core/told-time.ts";
import type { Budget, Credits, MeteredLimit, ReserveModel, UsageSnapshot, UsageWindow } from "../../core/usage.ts";
import { boundedPercent, boundedReset, boundedWindow, boundedWord, MOST_LIMITS } from "../../core/usage-bounds.ts";
import { parseJson } from "../json.ts";
import { lazily } from "../lazily.ts";
import { lenient } from "../lenient.ts";
import { isReserveLimit, reserveModelFrom } from "./reserve-limit.ts";

/** Budgets have a reset but no length. All seen so far cover a calendar month. */
const MONTH_MINUTES = 43_200;

/** Maximum number of entries read to find {@link MOST_LIMITS} valid limits. */
const MOST_ENTRIES = 4 * MOST_LIMITS;

/** A flag as a boolean, a number or a text. */
const FLAGS: ReadonlyMap<string, boolean> = new Map([
	["true", true],
	["1", true],
	["false", false],
	["0", false],
]);

/** Reads a flag; undefined if it is none. */
export function flagOf(value: unknown): boolean | undefined {
	return FLAGS.get(String(value).trim().toLowerCase());
}

/** Stands for a window that is no object. Used up beyond any bound, it counts as one that cannot be read. */
const ODD_WINDOW = {
	used_percent: Number.POSITIVE_INFINITY,
	limit_window_seconds: undefined,
	reset_at: undefined,
	reset_after_seconds: undefined,
};

function isNothing(value: unknown): boolean {
	return value === undefined || value === null;
}

/** Each part of an answer is read by itself, so that a malformed one spoils only itself. */
const schemas = lazily(() => {
	const anything = z.optional(z.unknown());
	const read = <T>(how: (value: unknown) => T) => z.pipe(anything, z.transform(how));
	const number = read(numberOf);
	const word = read((value) => boundedWord(typeof value === "string" ? value : undefined));
	const balance = read((value) => boundedWord(typeof value === "string" ? value : numberOf(value)?.toString()));
	const flag = read(flagOf);

	const resetFields = { reset_at: anything, reset_after_seconds: anything };
	const window = z.object({ used_percent: number, limit_window_seconds: number, ...resetFields });
	// Something in the place of a window is a window that cannot be read. Nothing there is no window.
	const windowSchema = read((value) => (isNothing(value) ? undefined : (window.safeParse(value).data ?? ODD_WINDOW)));
	const limitSchema = lenient(
		z.object({
			allowed: flag,
			limit_reached: flag,
			primary_window: windowSchema,
			secondary_window: windowSchema,
			tertiary_window: windowSchema,
		}),
	);
	const budgetSchema = lenient(
		z.object({
			limit: number,
			used: number,
			remaining: number,
			used_percent: number,
			remaining_percent: number,
			...resetFields,
		}),
	);
	const entry = z.object({
		limit_id: word,
		limit_name: word,
		metered_feature: word,
		normal_model_slug: word,
		rate_limit: limitSchema,
	});
	const body = z.object({
		plan_type: word,
		rate_limit: limitSchema,
		additional_rate_limits: lenient(z.array(z.unknown())),
		credits: lenient(z.object({ has_credits: flag, unlimited: flag, balance, overage_limit_reached: flag })),
		spend_control: lenient(z.object({ reached: flag, individual_limit: budgetSchema })),
		individual_limit: budgetSchema,
		rate_limit_reset_credits: lenient(z.object({ available_count: number })),
		rate_limit_reached_type: lenient(
			z.union([
				z.object({ type: word }),
				z.pipe(
					word,
					z.transform((type: string | undefined) => ({ type })),
				),
			]),
		),
	});
	const anyObject = z.record(z.string(), z.unknown());
	/** A limit that is listed but does not limit anything. */
	const oddLimit = z.object({ rate_limit: z.union([z.string(), z.number(), z.boolean(), z.array(z.unknown())]) });
	return { body, entry, oddLimit, anyObject };
});
type Entry = z.output<ReturnType<typeof schemas>["entry"]>;
type Body = z.output<ReturnType<typeof schemas>["body"]>;

/**
 * Reads an answer of the usage endpoint; undefined if none of it could be read. Times are epoch ms. `asksForReserve`:
 * the request asked for the reserve model; otherwise it is left out.
 */
export function usageFromBody(text: string, askedAt: number, asksForReserve = false): UsageSnapshot | undefined {
	const body = parseJson(schemas().body, text);
	if (!body) return undefined;
	const { rate_limit: general } = body;
	const windows = windowsOf(general, askedAt);
	const entries = entriesOf(body);
	const limits = limitsOf(entries, askedAt);
	const reserveModel = reserveModelOf(entries, askedAt);
	const resetCredits = countOf(body.rate_limit_reset_credits?.available_count);
	const budgets = budgetsOf(body, windows.length > 0, askedAt);
	const credits = creditsOf(body);
	const isGeneralOdd = !general && parseJson(schemas().oddLimit, text) !== undefined;
	const isEmpty = body.plan_type === undefined && limits.length === 0 && budgets.length === 0 && !credits;
	// An answer without a limit is valid, but one that is unreadable says nothing about limits either.
	if (isEmpty && (isGeneralOdd || !hasAnyPart(text))) return undefined;
	const isReached = reachedType(body) === "rate_limit_reached" && general?.allowed !== true;
	return {
		capturedAt: askedAt,
		source: "api",
		plan: body.plan_type,
		windows,
		...((isGeneralOdd || hasUnreadWindow(general, askedAt)) && { isPartial: true }),
		...(budgets.length > 0 && { budgets }),
		// Not by assignment, since an id may be the name of an inherited member.
		limits: Object.fromEntries(limits),
		credits,
		limitReached: general?.limit_reached === true || general?.allowed === false || isReached,
		...(reserveModel && { reserveModel }),
		...(asksForReserve && { askedForReserve: true }),
		...(resetCredits !== undefined && { resetCredits }),
	};
}

/** False for the JSON of something else, such as an error of a gateway. It says nothing about limits. */
function hasAnyPart(text: string): boolean {
	const { anyObject, body } = schemas();
	return Object.keys(parseJson(anyObject, text) ?? {}).some((name) => Object.hasOwn(body.shape, name));
}

function windowsOf(limit: Body["rate_limit"], askedAt: number): UsageWindow[] {
	return slotsOf(limit).flatMap((slot) => windowIn(slot, askedAt) ?? []);
}

type Slot = NonNullable<NonNullable<Body["rate_limit"]>["primary_window"]>;

function slotsOf(limit: Body["rate_limit"]): readonly Slot[] {
	const slots = [limit?.primary_window, limit?.secondary_window, limit?.tertiary_window];
	return slots.filter((slot) => slot !== undefined);
}

function windowIn(slot: Slot, askedAt: number): UsageWindow | undefined {
	const { used_percent: usedPercent, limit_window_seconds: seconds, reset_at, reset_after_seconds } = slot;
	const windowMinutes = seconds === undefined ? undefined : Math.ceil(seconds / 60);
	const resetsAt = resetIn(reset_at, reset_after_seconds, askedAt);
	return boundedWindow({ usedPercent, windowMinutes, resetsAt }, askedAt);
}

/** True if a window has a length, or something was used of it, and it still cannot be read. */
function hasUnreadWindow(limit: Body["rate_limit"], askedAt: number): boolean {
	return slotsOf(limit).some((slot) => {
		const { used_percent: used, limit_window_seconds: seconds } = slot;
		const isWindow = seconds === undefined ? used !== undefined && used > 0 : seconds > 0;
		return isWindow && windowIn(slot, askedAt) === undefined;
	});
}

function entriesOf({ additional_rate_limits: entries = [] }: Body): readonly Entry[] {
	return entries.slice(0, MOST_ENTRIES).flatMap((entry) => schemas().entry.safeParse(entry).data ?? []);
}

function limitsOf(entries: readonly Entry[], askedAt: number): [string, MeteredLimit][] {
	const limits = entries.flatMap((entry): [string, MeteredLimit][] => {
		const { limit_name: name, metered_feature, limit_id, rate_limit } = entry;
		const id = metered_feature ?? limit_id ?? name;
		if (id === undefined || isOfReserve(entry)) return [];
		return [[id, { name, windows: windowsOf(rate_limit, askedAt) }]];
	});
	return limits.slice(0, MOST_LIMITS);
}

function isOfReserve({ metered_feature, limit_id, limit_name }: Entry): boolean {
	return [metered_feature, limit_id, limit_name].some(isReserveLimit);
}

/** Returns, of several entries, the one that says which model it stands for. */
function reserveModelOf(entries: readonly Entry[], askedAt: number): ReserveModel | undefined {
	const models = entries.filter(isOfReserve).map(({ limit_name, normal_model_slug, rate_limit }) =>
		reserveModelFrom({
			name: limit_name,
			visibleModel: normal_model_slug,
			windows: windowsOf(rate_limit, askedAt),
			isReached: rate_limit?.limit_reached === true || rate_limit?.allowed === false,
		}),
	);
	return models.find(({ visibleModel }) => visibleModel !== "") ?? models[0];
}

function budgetsOf(body: Body, hasWindows: boolean, askedAt: number): Budget[] {
	const cap = body.spend_control?.individual_limit ?? body.individual_limit;
	const usedPercent = cap && usedOf(cap);
	const isReached = body.spend_control?.reached === true || isBudgetReached(body, hasWindows);
	if (usedPercent === undefined && !isReached) return [];
	return [
		{
			usedPercent: isReached ? Math.max(100, usedPercent ?? 100) : (usedPercent ?? 0),
			windowMinutes: MONTH_MINUTES,
			resetsAt: boundedReset(resetIn(cap?.reset_at, cap?.reset_after_seconds, askedAt), askedAt),
			isReached,
			used: amount(cap?.used),
			limit: amount(cap?.limit),
		},
	];
}

function usedOf({ used_percent, remaining_percent, used, remaining, limit }: NonNullable<Body["individual_limit"]>) {
	const left = (percent: number | undefined) => (percent === undefined ? undefined : 100 - percent);
	const share = (part: number | undefined) => (part !== undefined && limit ? (part / limit) * 100 : undefined);
	const ways = [used_percent, left(remaining_percent), share(used), left(share(remaining))];
	return ways.map(boundedPercent).find((percent) => percent !== undefined);
}

/** Returns a count; undefined if the value cannot be one. */
function countOf(value: number | undefined): number | undefined {
	return Number.isSafeInteger(value) ? amount(value) : undefined;
}

function amount(value: number | undefined): number | undefined {
	return value !== undefined && value >= 0 && value <= Number.MAX_SAFE_INTEGER ? value : undefined;
}

/** A workspace without credits still has the windows of its seats. */
function isBudgetReached(body: Body, hasWindows: boolean): boolean {
	const type = reachedType(body);
	if (type.endsWith("_usage_limit_reached")) return true;
	return isDepleted(body) && !(hasWindows && body.rate_limit?.allowed === true);
}

function isDepleted(body: Body): boolean {
	return reachedType(body).endsWith("_credits_depleted");
}

function reachedType(body: Body): string {
	return body.rate_limit_reached_type?.type ?? "";
}

/** Credits do not count if their own limit is reached or the workspace has used them up. */
function creditsOf(body: Body): Credits | undefined {
	const { has_credits, unlimited, balance, overage_limit_reached } = body.credits ?? {};
	if (has_credits === undefined && unlimited === undefined) return undefined;
	const isClosed = overage_limit_reached === true || isDepleted(body);
	return {
		hasCredits: has_credits === true && !isClosed,
		unlimited: unlimited === true && !isClosed,
		balance,
		...(overage_limit_reached === true && { overageReached: true }),
	};
}

/**
 * Reads a reset, epoch ms: a point in time, or else seconds from now. Seconds also count if the point lies in the past:
 * the clock of this machine is ahead.
 */
export function resetIn(at: unknown, afterSeconds: unknown, now: number): number | undefined {
	const reset = boundedReset(timeOf(at), now);
	if (reset !== undefined && reset > now) return reset;
	const after = numberOf(afterSeconds) ?? 0;
	return (after > 0 ? boundedReset(now + after * 1000, now) : undefined) ?? reset;
}
