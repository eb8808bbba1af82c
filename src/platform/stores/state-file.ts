import * as z from "zod/mini";
import type { CooldownReason, CooldownScope } from "../../core/cooldown.ts";
import type { RedemptionEnd } from "../../core/reset-credits/reset-credits.ts";
import type { MeteredLimit, UsageSnapshot, UsageWindow } from "../../core/usage.ts";
import { boundedWindow, boundedWord, MOST_LIMITS } from "../../core/usage-bounds.ts";
import { accountIdSchema, anyAccountIdSchema } from "../ids.ts";
import { lazily } from "../lazily.ts";
import { late, lenient, remembering } from "../lenient.ts";

/** The version of `codex-state.json` that this code writes. */
export const STATE_VERSION = 1;

const time = z.number();
const optionalTime = lenient(time);
const optionalText = lenient(z.string());
const count = z.int().check(z.nonnegative());
const optionalCount = lenient(count);

const REASONS = [
	"usage_limit",
	"workspace_limit",
	"rate_limit",
	"not_included",
	"model_not_supported",
	"workspace_disabled",
	"unauthorized",
	"refused",
] as const satisfies readonly CooldownReason[];

const REDEMPTION_ENDS = [
	"redeemed",
	"already",
	"nothing-to-reset",
	"no-credit",
	"failed",
] as const satisfies readonly RedemptionEnd[];

const anyList = z.catch(z.array(z.unknown()), []);
const anyRecord = z.catch(z.record(z.string(), z.unknown()), {});

/** Reads a list, skipping damaged entries. The schema of an entry is built with the first one. */
function listOf<S extends z.ZodMiniType>(build: () => S) {
	const entry = lazily(build);
	return z.pipe(
		anyList,
		z.transform((rows: unknown[]): readonly z.output<S>[] =>
			rows.flatMap((row) => {
				const read = entry().safeParse(row);
				return read.success ? [read.data] : [];
			}),
		),
	);
}

/** Reads a record, skipping damaged members. The schema of a member is built with the first one. */
function recordOf<S extends z.ZodMiniType>(build: () => S) {
	const member = lazily(build);
	return z.pipe(
		anyRecord,
		z.transform((record: Record<string, unknown>): Record<string, z.output<S>> => {
			const read = Object.entries(record).map(([key, value]) => ({ key, ...member().safeParse(value) }));
			return Object.fromEntries(read.flatMap((each) => (each.success ? [[each.key, each.data]] : [])));
		}),
	);
}

/** Works as {@link recordOf} does, and reads a member again only if it has changed: a draft replaces members. */
function rememberedRecordOf<S extends z.ZodMiniType<object>>(member: S) {
	const membersOf = remembering((raw): Readonly<z.output<S>> | undefined => member.safeParse(raw).data);
	return z.pipe(
		anyRecord,
		z.transform((record: Record<string, unknown>): Record<string, Readonly<z.output<S>>> => {
			const read = membersOf(Object.entries(record));
			return Object.fromEntries(read.flatMap(({ key, value }) => (value ? [[key, value]] : [])));
		}),
	);
}

const scopeSchema = z.custom<CooldownScope>(
	(value) => value === "account" || (typeof value === "string" && /^(limit|model):./.test(value)),
);
const cooldownsSchema = listOf(() => {
	const flag = lenient(z.literal(true));
	return z.object({
		scope: scopeSchema,
		reason: z.enum(REASONS),
		until: time,
		setAt: z.catch(time, 0),
		models: z.catch(z.readonly(z.array(z.string())), []),
		except: lenient(z.readonly(z.array(z.string()))),
		guessed: flag,
		shared: flag,
	});
});

const windowSchema = z.object({ usedPercent: time, windowMinutes: time, resetsAt: optionalTime });
const windowsSchema = listOf(() => windowSchema);
const word = z.pipe(optionalText, z.transform(boundedWord));
const limitSchema = lazily(() =>
	z.object({
		name: word,
		windows: windowsSchema,
		models: lenient(z.readonly(z.array(z.string()))),
	}),
);
const budgetsSchema = listOf(() => {
	const amount = lenient(time.check(z.nonnegative()));
	return z.extend(windowSchema, { isReached: z.catch(z.boolean(), false), used: amount, limit: amount });
});
const creditsSchema = late(() =>
	z.object({
		hasCredits: z.boolean(),
		unlimited: z.boolean(),
		balance: word,
		overageReached: lenient(z.boolean()),
	}),
);
const reserveModelSchema = late(() => {
	const boundedText = z.pipe(
		z.string(),
		z.transform((text: string) => boundedWord(text) ?? ""),
	);
	return z.object({
		limitId: boundedText,
		wireModel: boundedText,
		visibleModel: boundedText,
		windows: windowsSchema,
		isReached: lenient(z.boolean()),
	});
});

const storedUsageSchema = z.object({
	capturedAt: time,
	source: z.catch(z.enum(["headers", "api"]), "api"),
	plan: word,
	windows: windowsSchema,
	budgets: lenient(budgetsSchema),
	limits: z.pipe(
		anyRecord,
		z.transform((limits: Record<string, unknown>): Readonly<Record<string, MeteredLimit>> => {
			const read = Object.entries(limits).flatMap(([id, limit]) => {
				const known = limitSchema().safeParse(limit).data;
				return known ? [[id, known] as const] : [];
			});
			return Object.fromEntries(read.slice(0, MOST_LIMITS));
		}),
	),
	credits: lenient(creditsSchema),
	limitReached: z.catch(z.boolean(), false),
	reserveModel: lenient(reserveModelSchema),
	resetCredits: optionalCount,
});
const usageSchema = z.pipe(
	storedUsageSchema,
	z.transform((usage: z.output<typeof storedUsageSchema>) => boundedUsage(usage)),
);

/** Applies the present bounds to usage that an older version or a person has written. */
function boundedUsage(usage: UsageSnapshot): UsageSnapshot {
	const { capturedAt, windows, budgets, limits, reserveModel } = usage;
	// A window may be older than the snapshot: headers leave windows that they do not report as they were.
	const reportedAt = (row: UsageWindow) => Math.min(capturedAt, row.resetsAt ?? capturedAt);
	const bounded = (rows: readonly UsageWindow[]) => rows.flatMap((row) => boundedWindow(row, reportedAt(row)) ?? []);
	return {
		...usage,
		windows: bounded(windows),
		...(budgets && { budgets: budgets.flatMap((row) => bounded([row]).map((window) => ({ ...row, ...window }))) }),
		limits: Object.fromEntries(
			Object.entries(limits).map(([id, limit]) => [id, { ...limit, windows: bounded(limit.windows) }]),
		),
		...(reserveModel && { reserveModel: { ...reserveModel, windows: bounded(reserveModel.windows) } }),
	};
}

/** A session at work on an account. */
export type Lease = z.output<ReturnType<typeof leaseSchema>>;

const spentSchema = listOf(() => z.object({ tokenHash: z.string(), reason: z.string() }));
const holderSchema = lazily(() =>
	z.object({ pid: z.int().check(z.positive()), started: optionalText, machine: z.string() }),
);
const uptimeSchema = lazily(() => z.object({ machine: z.string(), ms: time }));
const exchangeSchema = late(() =>
	z.object({
		tokenHash: z.string(),
		at: time,
		holder: lenient(holderSchema()),
		uptime: lenient(uptimeSchema()),
	}),
);
const refusalSchema = late(() => z.object({ tokenHash: z.string(), at: time }));
const resetCreditsSchema = late(() => {
	const credits = listOf(() => z.object({ id: z.string(), expiresAt: optionalTime, grantedAt: optionalTime }));
	return z.object({ askedAt: time, listedAt: optionalTime, credits });
});
const redemptionSchema = late(() =>
	z.object({
		creditId: z.string(),
		key: z.string(),
		at: time,
		holder: lenient(holderSchema()),
		uptime: lenient(uptimeSchema()),
		end: lenient(z.enum(REDEMPTION_ENDS)),
		closedUntil: optionalTime,
	}),
);

const marksSchema = late(() =>
	z.object({
		ended: z.optional(listOf(() => z.object({ scope: scopeSchema, setAt: time, until: time }))),
		changedAt: z.optional(recordOf(() => time)),
		stored: lenient(z.object({ pool: z.string(), version: z.int() })),
	}),
);

const errorSchema = lenient(late(() => z.object({ text: z.string(), at: time })));
/** Each part falls back by itself, so that damage to one affects no other. */
const statusSchema = z.looseObject({
	cooldowns: cooldownsSchema,
	usage: lenient(usageSchema),
	usageAskedAt: optionalTime,
	reserveAskedAt: optionalTime,
	usageFailures: optionalCount,
	lastUsedAt: optionalTime,
	lastError: errorSchema,
	usageError: errorSchema,
	strikes: z.catch(count, 0),
	exchange: lenient(exchangeSchema),
	spent: z.optional(spentSchema),
	refusal: lenient(refusalSchema),
	refusedToken: optionalText,
	doubtedUntil: optionalTime,
	trialAt: optionalTime,
	resetCredits: lenient(resetCreditsSchema),
	redemption: lenient(redemptionSchema),
	marks: lenient(marksSchema),
});

const leaseSchema = lazily(() => z.looseObject({ account: anyAccountIdSchema, at: time }));

const fileSchema = z.looseObject({
	// A newer version does not get here.
	version: z.catch(z.literal(STATE_VERSION), STATE_VERSION),
	pin: z.catch(z.nullable(accountIdSchema), null),
	/** Until when the pinned account may be used below its caps. */
	pinBelowCapUntil: optionalTime,
	lastChosen: z.catch(z.nullable(anyAccountIdSchema), null),
	live: recordOf(leaseSchema),
	/** How often cooldowns were cleared by hand. */
	resets: optionalCount,
	/** When the welcome was shown in a home without accounts. */
	welcomedAt: optionalTime,
	/** Notices that some process has sent: until when each is not repeated, and how serious it was. */
	told: z.optional(recordOf(() => z.object({ until: time, level: z.catch(time, 0) }))),
	/** What the person has agreed to in advance, and until when. */
	consents: z.optional(recordOf(() => time)),
	accounts: rememberedRecordOf(statusSchema),
});
/** The content of `codex-state.json`. */
export type StateFile = z.output<typeof fileSchema>;

/** The schema of what is remembered of one account. */
export const STATUS_SCHEMA = statusSchema;

/** The format of `codex-state.json`. */
export const STATE_FORMAT = { schema: fileSchema, version: STATE_VERSION };
