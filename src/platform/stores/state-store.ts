import { access, constants } from "node:fs/promises";
import { dirname } from "node:path";
import * as z from "zod/mini";
import { activeCooldowns, type CooldownReason, type CooldownScope, FURTHEST_RESET_MS } from "../../core/cooldown.ts";
import { allSpent } from "../../core/credentials/spent-tokens.ts";
import type { AccountId } from "../../core/ids.ts";
import { ownValue } from "../../core/own-value.ts";
import { mergeSince, mergeStatus } from "../../core/pool/merge-status.ts";
import type { AccountStatus, StateStore } from "../../core/ports.ts";
import type { RedemptionEnd } from "../../core/reset-credits/reset-credits.ts";
import type { MeteredLimit, UsageSnapshot, UsageWindow } from "../../core/usage.ts";
import { boundedWindow, boundedWord, MOST_LIMITS } from "../../core/usage-bounds.ts";
import { isMissing } from "../files/errors.ts";
import { openSharedDocument } from "../files/shared-document.ts";
import { accountIdSchema, anyAccountIdSchema } from "../ids.ts";
import { lazily } from "../lazily.ts";
import { late, lenient, remembering } from "../lenient.ts";

/** The version of `codex-state.json` that this code writes. */
const STATE_VERSION = 1;
/** After this long without a request a session is no longer at work. */
export const LEASE_MS = 5 * 60_000;
/** Minimum time between two renewals of an unchanged lease. */
const RENEWAL_MS = 60_000;
/** A snapshot is from the future if it is ahead by more than this. The clocks of two machines differ a little. */
export const CLOCK_TOLERANCE_MS = 60_000;

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

/** Works as {@link recordOf} does, and reads a member anew only where it has changed: a draft replaces members. */
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
type Lease = z.output<ReturnType<typeof leaseSchema>>;

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
type StateFile = z.output<typeof fileSchema>;

/** The schema of what is remembered of one account. */
export const STATUS_SCHEMA = statusSchema;

/** The format of `codex-state.json`. */
export const STATE_FORMAT = { schema: fileSchema, version: STATE_VERSION };

const NO_STATUS: AccountStatus = { cooldowns: [], strikes: 0 };

/**
 * Opens `codex-state.json` at `path`. `onProblem` is called once for a newer and once for an unwritable file. A program
 * that only reads passes another `open`.
 */
export function openStateStore(
	path: string,
	onProblem: (text: string) => void,
	now: () => number,
	open: typeof openSharedDocument = openSharedDocument,
): StateStore & {
	/** Moves the status of an account to the one that it was merged into. */
	inherit(into: AccountId, former: AccountId): Promise<void>;
} {
	const document = open({
		path,
		...STATE_FORMAT,
		conflicts: {
			resolve: (_key, mine) => mine,
			within: {
				accounts: {
					areWhole: true,
					resolve: (_id, mine, theirs, before) => {
						const [ours, stored] = [statusSchema.safeParse(mine).data, statusSchema.safeParse(theirs).data];
						if (!ours) return keptOfForgotten(stored);
						return stored ? mergeSince(statusSchema.safeParse(before).data ?? NO_STATUS, ours, stored, now()) : ours;
					},
				},
			},
		},
		empty: (): StateFile => ({ version: STATE_VERSION, pin: null, lastChosen: null, live: {}, accounts: {} }),
		isDisposable: true,
		onProblem: (problem) => onProblem(problem.text),
	});
	// State that cannot be written stays in memory. None of it is worth failing a request for.
	const durable = (
		change: (draft: StateFile, isNewest: boolean) => void,
		onUnwritten: (error: unknown) => void = () => undefined,
	) => document.update(change).catch(onUnwritten);
	const applyTo = (id: AccountId, change: (status: AccountStatus) => AccountStatus) => {
		const { resets } = document.read();
		return (draft: StateFile) => {
			const former = ownValue(draft.accounts, id);
			const status = former ? readable(former, now()) : NO_STATUS;
			const next = change(status);
			// Counted rather than dated, since clocks differ. A later write must not restore what was learnt before a reset.
			const { cooldowns } = draft.resets === resets ? next : status;
			draft.accounts[id] = { ...former, ...next, cooldowns };
		};
	};

	const snapshot = () => {
		const [{ accounts }, at] = [document.read(), now()];
		return (id: AccountId): AccountStatus => {
			const stored = ownValue(accounts, id);
			return stored ? readable(stored, at) : NO_STATUS;
		};
	};

	return {
		pin: () => document.read().pin ?? undefined,
		setPin: (id, belowCapUntil) =>
			durable((draft) => {
				draft.pin = id ?? null;
				if (belowCapUntil === undefined) delete draft.pinBelowCapUntil;
				else draft.pinBelowCapUntil = belowCapUntil;
			}),
		pinnedBelowCapUntil: () => document.read().pinBelowCapUntil,
		status: (id) => snapshot()(id),
		snapshot,
		update: (id, change) => durable(applyTo(id, change)),
		updateIf: async (id, applies, change, onUnwritten) => {
			let didApply: boolean | undefined;
			const apply = applyTo(id, change);
			// If the file cannot be read, memory decides. A read after the rename already contains the change and does not
			// decide.
			await durable((draft, isNewest) => {
				const former = ownValue(draft.accounts, id);
				const isFree = applies(former ? readable(former, now()) : NO_STATUS);
				if (isNewest || didApply === undefined) didApply = isFree;
				if (isFree) apply(draft);
			}, onUnwritten);
			return didApply === true;
		},
		updateSoon: (id, change) => document.updateDebounced(applyTo(id, change)),
		liveSessions: (except) => {
			const counts = new Map<AccountId, number>();
			for (const [session, lease] of Object.entries(document.read().live)) {
				if (session === except || !isAlive(lease, now())) continue;
				counts.set(lease.account, (counts.get(lease.account) ?? 0) + 1);
			}
			return counts;
		},
		lastChosen: () => document.read().lastChosen ?? undefined,
		acquireLease: (session, account, isChoice) => {
			const known = ownValue(document.read().live, session);
			const isNews = isChoice || known?.account !== account || !isAlive(known, now());
			if (!isNews && now() - known.at < RENEWAL_MS) return;
			// A change may be written late. The lease keeps the time of the change.
			const at = now();
			const change = (draft: StateFile) => {
				const present = now();
				for (const [other, lease] of Object.entries(draft.live)) {
					if (!isAlive(lease, present)) delete draft.live[other];
				}
				draft.live = { ...draft.live, [session]: { ...ownValue(draft.live, session), account, at } };
				if (isChoice) draft.lastChosen = account;
			};
			if (isNews) void durable(change);
			else document.updateDebounced(change);
		},
		releaseLease: (session) => {
			if (!ownValue(document.read().live, session)) return;
			document.updateDebounced((draft) => {
				delete draft.live[session];
			});
		},
		clearCooldowns: () => {
			// Computed once, since the change may be applied to a draft that already has it.
			const resets = (document.read().resets ?? 0) + 1;
			return durable((draft) => {
				draft.resets = Math.max(draft.resets ?? 0, resets);
				for (const [id, status] of Object.entries(draft.accounts)) {
					draft.accounts[id] = { ...status, cooldowns: [], strikes: 0 };
				}
			});
		},
		forget: (id) =>
			durable((draft) => {
				const kept = keptOfForgotten(ownValue(draft.accounts, id));
				if (kept) draft.accounts[id] = { ...kept };
				else delete draft.accounts[id];
				if (draft.pin !== id) return;
				draft.pin = null;
				delete draft.pinBelowCapUntil;
			}),
		claimWelcome: async () => {
			// If this cannot be stored, the welcome would be shown at every start.
			if (!(await canKeep(path))) return false;
			let isOurs: boolean | undefined;
			await durable((draft, isNewest) => {
				const isFree = draft.welcomedAt === undefined;
				if (isNewest || isOurs === undefined) isOurs = isFree;
				if (isFree) draft.welcomedAt = now();
			});
			return isOurs === true;
		},
		endWelcome: () => {
			if (document.read().welcomedAt === undefined) return;
			document.updateDebounced((draft) => {
				delete draft.welcomedAt;
			});
		},
		claimNotice: async (what, { until, slackMs, level = 0 }) => {
			const isNews = ({ told = {} }: StateFile) => {
				const before = ownValue(told, what);
				const isHolding = before !== undefined && before.until > now() && before.until - now() <= FURTHEST_RESET_MS;
				return !isHolding || until - before.until > slackMs || level < before.level;
			};
			if (!isNews(document.read())) return false;
			let isOurs: boolean | undefined;
			await durable((draft, isNewest) => {
				const isFree = isNews(draft);
				if (isNewest || isOurs === undefined) isOurs = isFree;
				if (!isFree) return;
				const others = Object.entries(draft.told ?? {}).filter(([, each]) => each.until > now());
				draft.told = { ...Object.fromEntries(others), [what]: { until, level } };
			});
			return isOurs === true;
		},
		endNotice: async (what) => {
			const isTold = ({ told = {} }: StateFile) => Object.hasOwn(told, what);
			if (!isTold(document.read())) return false;
			let isOurs: boolean | undefined;
			await durable((draft, isNewest) => {
				const isThere = isTold(draft);
				if (isNewest || isOurs === undefined) isOurs = isThere;
				if (draft.told) delete draft.told[what];
			});
			return isOurs === true;
		},
		consents: () => new Map(Object.entries(document.read().consents ?? {})),
		giveConsent: (what, until) =>
			durable((draft) => {
				draft.consents = { ...draft.consents, [what]: until };
			}),
		endConsents: () =>
			durable((draft) => {
				delete draft.consents;
			}),
		inherit: (into, former) =>
			durable((draft) => {
				if (draft.pin === former) draft.pin = into;
				if (draft.lastChosen === former) draft.lastChosen = into;
				for (const lease of Object.values(draft.live)) {
					if (lease.account === former) lease.account = into;
				}
				const [kept, gone] = [ownValue(draft.accounts, into), ownValue(draft.accounts, former)];
				if (!gone) return;
				draft.accounts[into] = { ...kept, ...inherited(kept ?? NO_STATUS, gone, now()) };
				// An exchange in progress still uses the former id.
				if (gone.exchange) draft.accounts[former] = { ...NO_STATUS, exchange: gone.exchange };
				else delete draft.accounts[former];
			}),
		flush: () => document.flush(),
	};
}

/** True if the file can be written, as far as its folder shows. A missing folder will be created. */
async function canKeep(path: string): Promise<boolean> {
	return access(dirname(path), constants.W_OK).then(
		() => true,
		(error) => isMissing(error),
	);
}

/**
 * Returns what to keep of a removed account. If it is restored, it must not send its token a second time, nor redeem
 * under a second key.
 */
function keptOfForgotten(status: Partial<AccountStatus> | undefined): AccountStatus | undefined {
	const { exchange, spent, redemption } = status ?? {};
	return exchange || spent || redemption ? { ...NO_STATUS, exchange, spent, redemption } : undefined;
}

/**
 * Merges the status of two rows that were one account all along: the cooldowns of both, and the newer value of
 * everything else.
 */
function inherited(kept: AccountStatus, gone: AccountStatus, now: number): AccountStatus {
	const { cooldowns, usage, lastUsedAt } = mergeStatus(kept, gone, now);
	return {
		...kept,
		cooldowns,
		usage,
		...(lastUsedAt !== undefined && { lastUsedAt }),
		exchange: kept.exchange ?? gone.exchange,
		spent: allSpent(gone.spent, kept.spent),
		refusal: kept.refusal ?? gone.refusal,
		redemption: kept.redemption ?? gone.redemption,
	};
}

/** True if the lease is recent. One from the future is not: a clock was set back. */
function isAlive({ at }: Lease, now: number): boolean {
	return Math.abs(now - at) < LEASE_MS;
}

/**
 * Returns the stored status without implausible parts: expired or overlong cooldowns, and snapshots from the future.
 */
function readable(stored: AccountStatus, now: number): AccountStatus {
	const { usage } = stored;
	return {
		...stored,
		cooldowns: activeCooldowns(stored.cooldowns, now),
		usage: usage && usage.capturedAt <= now + CLOCK_TOLERANCE_MS ? usage : undefined,
	};
}
